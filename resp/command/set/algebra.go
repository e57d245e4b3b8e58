package set

import (
	"bytes"
	"math"
	"slices"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/value"
)

// openAll finds the sets at keys; those that do not exist are empty. ok is false when one holds
// something else and the error is answered.
func openAll(c *command.Ctx, keys [][]byte) (sets []value.SetView, ok bool) {
	for _, key := range keys {
		e, found := c.Read(key)
		if !c.Typed(e, found, value.Set) {
			return nil, false
		}
	}
	// Finding a key may have deleted it, if its time had come, and made what was found before
	// void. Now nothing more can expire: the time stands still.
	sets = make([]value.SetView, len(keys))
	for i, key := range keys {
		if e, found := c.Txn.Lookup(key, store.NoTouch|store.NoStats); found {
			sets[i] = viewOf(e)
		}
	}
	return sets, true
}

// intersect visits the members that all sets have until fn returns false. It orders sets.
func intersect(sets []value.SetView, fn func([]byte) bool) {
	slices.SortStableFunc(sets, func(a, b value.SetView) int { return a.Len() - b.Len() })
	if sets[0].Len() == 0 {
		return
	}
	sets[0].Each(func(m []byte) bool {
		for i := range sets[1:] {
			if !sets[1+i].Has(m) {
				return true
			}
		}
		return fn(m)
	})
}

func (f family) sinter(c *command.Ctx) {
	sets, ok := openAll(c, c.Argv[1:])
	if !ok {
		return
	}
	mark, n := c.Out.Defer(), 0
	intersect(sets, func(m []byte) bool {
		c.Out.Bulk(m)
		n++
		return true
	})
	c.Out.EndSet(mark, n)
}

func (f family) sintercard(c *command.Ctx) {
	keys, ok := value.ParseInt(c.Argv[1])
	switch {
	case !ok || keys < 1:
		c.Fail(resp.ErrNumKeysPositive)
		return
	case keys > int64(len(c.Argv)-2):
		c.Fail(resp.ErrKeysGreaterThanArgs)
		return
	}
	limit := int64(0)
	rest := c.Argv[2+keys:]
	for i := 0; i < len(rest); i += 2 {
		if !command.Is(rest[i], "LIMIT") || i+1 == len(rest) {
			c.Fail(resp.ErrSyntax)
			return
		}
		if limit, ok = value.ParseInt(rest[i+1]); !ok || limit < 0 {
			c.Fail("ERR LIMIT can't be negative")
			return
		}
	}
	if limit == 0 {
		limit = math.MaxInt64
	}
	sets, ok := openAll(c, c.Argv[2:2+keys])
	if !ok {
		return
	}
	n := int64(0)
	intersect(sets, func([]byte) bool {
		n++
		return n < limit
	})
	c.Out.Int(n)
}

func (f family) sinterstore(c *command.Ctx) {
	sets, ok := openAll(c, c.Argv[2:])
	if !ok {
		return
	}
	e := value.EditSet(0, nil, nil, nil, f.Limits())
	smallest := slices.MinFunc(sets, func(a, b value.SetView) int { return a.Len() - b.Len() })
	if smallest.Encoding() == value.Intset {
		e.Begin(value.Intset)
	} else {
		e.Begin(value.Listpack)
	}
	intersect(sets, func(m []byte) bool { return e.Add(m) || true })
	e.PreferInts()
	storeResult(c, &e, "sinterstore")
}

// storeResult makes argv[1] hold the set e, or nothing if that is empty, and answers its size.
func storeResult(c *command.Ctx, e *value.SetEdit, event string) {
	key := c.Argv[1]
	n := e.Len()
	if n == 0 {
		if c.Txn.Delete(key) {
			c.Notify(command.EventGeneric, "del", key)
		}
	} else {
		if existed := put(c, key, e, store.NoExpire); !existed {
			c.Created(key)
		}
		c.Notify(command.EventSet, event, key)
	}
	c.Out.Int(int64(n))
}

// union is the set of the members of all sets.
func (f family) union(sets []value.SetView) value.SetEdit {
	e := value.EditSet(0, nil, nil, nil, f.Limits())
	e.Begin(value.Intset)
	for _, s := range sets {
		s.Each(func(m []byte) bool { return e.Add(m) || true })
	}
	return e
}

// diff is the set of the members of the first set that none of the others has. There are two
// ways: to look each of them up in the others, or to take the others' members out of a copy.
func (f family) diff(sets []value.SetView, keys [][]byte) value.SetEdit {
	e := value.EditSet(0, nil, nil, nil, f.Limits())
	e.Begin(value.Intset)
	first, others := sets[0], sets[1:]
	if first.Len() == 0 || slices.ContainsFunc(keys[1:], func(k []byte) bool { return bytes.Equal(k, keys[0]) }) {
		return e
	}
	total := 0
	for _, s := range sets {
		total += s.Len()
	}
	if first.Len()*len(sets)/2 <= total {
		slices.SortStableFunc(others, func(a, b value.SetView) int { return b.Len() - a.Len() })
		first.Each(func(m []byte) bool {
			if !slices.ContainsFunc(others, func(s value.SetView) bool { return s.Has(m) }) {
				e.Add(m)
			}
			return true
		})
		return e
	}
	first.Each(func(m []byte) bool { return e.Add(m) || true })
	for _, s := range others {
		s.Each(func(m []byte) bool {
			e.Remove(m)
			return e.Len() > 0
		})
	}
	return e
}

func answerSet(c *command.Ctx, e *value.SetEdit) {
	c.Out.Set(e.Len())
	e.Each(func(m []byte) bool { c.Out.Bulk(m); return true })
}

func (f family) sunion(c *command.Ctx) {
	if sets, ok := openAll(c, c.Argv[1:]); ok {
		e := f.union(sets)
		answerSet(c, &e)
	}
}

func (f family) sunionstore(c *command.Ctx) {
	if sets, ok := openAll(c, c.Argv[2:]); ok {
		e := f.union(sets)
		storeResult(c, &e, "sunionstore")
	}
}

func (f family) sdiff(c *command.Ctx) {
	if sets, ok := openAll(c, c.Argv[1:]); ok {
		e := f.diff(sets, c.Argv[1:])
		answerSet(c, &e)
	}
}

func (f family) sdiffstore(c *command.Ctx) {
	if sets, ok := openAll(c, c.Argv[2:]); ok {
		e := f.diff(sets, c.Argv[2:])
		storeResult(c, &e, "sdiffstore")
	}
}
