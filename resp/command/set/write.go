package set

import (
	"bytes"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/value"
)

var (
	wordSRem   = []byte("SREM")
	wordDel    = []byte("DEL")
	wordUnlink = []byte("UNLINK")
)

func (f family) sadd(c *command.Ctx) {
	key, members := c.Argv[1], c.Argv[2:]
	entry, s, found, ok := look(c, key)
	if !ok {
		return
	}
	// A call that adds nothing must not count as a change.
	if found && entry.Object() != nil {
		e := value.EditSet(value.Hashtable, nil, c.Txn.AmendEntry(entry, key), nil, value.UsualLimits())
		n := 0
		for _, m := range members {
			if e.Add(m) {
				n++
			}
		}
		if n > 0 {
			c.Txn.AmendedEntry(entry, key)
			c.Notify(command.EventSet, "sadd", key)
		}
		c.Out.Int(int64(n))
		return
	}
	first := 0
	for first < len(members) && s.Has(members[first]) {
		first++
	}
	if first == len(members) {
		c.Out.Int(0)
		return
	}
	e := f.change(c, key, entry, found)
	e.Expect(members[0], len(members))
	n := 0
	for _, m := range members[first:] {
		if e.Add(m) {
			n++
		}
	}
	save(c, key, &e)
	c.Notify(command.EventSet, "sadd", key)
	c.Out.Int(int64(n))
}

func (f family) srem(c *command.Ctx) {
	key, members := c.Argv[1], c.Argv[2:]
	entry, s, found, ok := look(c, key)
	if !ok {
		return
	}
	first := 0
	for first < len(members) && !s.Has(members[first]) {
		first++
	}
	if first == len(members) {
		c.Out.Int(0)
		return
	}
	e := f.change(c, key, entry, found)
	n := 0
	for _, m := range members[first:] {
		if e.Remove(m) {
			n++
		}
	}
	removed(c, key, &e, "srem")
	c.Out.Int(int64(n))
}

// removed saves a set from which members were taken and publishes it.
func removed(c *command.Ctx, key []byte, e *edit, event string) {
	save(c, key, e)
	c.Notify(command.EventSet, event, key)
	if e.Len() == 0 {
		c.Notify(command.EventGeneric, "del", key)
	}
}

func (f family) smove(c *command.Ctx) {
	from, to, member := c.Argv[1], c.Argv[2], c.Argv[3]
	// Finding a key may delete it, if its time has come, and then what was found before is void:
	// both are looked up once for that, and again for what is in them.
	c.Write(from)
	c.Write(to)
	if _, found := c.Write(from); !found {
		c.Out.Int(0)
		return
	}
	source, s, _, ok := look(c, from)
	if !ok {
		return
	}
	_, t, _, ok := look(c, to)
	switch {
	case !ok:
		return
	case !s.Has(member):
		c.Out.Int(0)
		return
	case bytes.Equal(from, to):
		c.Out.Int(1)
		return
	}
	there := t.Has(member)
	e := f.change(c, from, source, true)
	e.Remove(member)
	removed(c, from, &e, "srem")
	if !there {
		target, _, found, _ := look(c, to)
		e = f.change(c, to, target, found)
		e.Add(member)
		save(c, to, &e)
		c.Notify(command.EventSet, "sadd", to)
	}
	c.Out.Int(1)
}

func (f family) spop(c *command.Ctx) {
	if len(c.Argv) > 3 {
		c.Fail(resp.ErrSyntax)
		return
	}
	if len(c.Argv) == 3 {
		f.spopCount(c)
		return
	}
	key := c.Argv[1]
	entry, s, found, ok := look(c, key)
	if !ok {
		return
	}
	if !found {
		c.Out.Null()
		return
	}
	var digits [20]byte
	m := append(digits[:0], s.Random(f.Rand, digits[:])...) // a copy: the member is about to go
	e := f.change(c, key, entry, true)
	e.Remove(m)
	removed(c, key, &e, "spop")
	c.Out.Bulk(m)
	c.PropagateAs(wordSRem, key, m)
}

// popMany is the share of a set from which on SPOP builds what stays instead of removing what
// goes: less than a sixth stays. Redis does the same, and with it a set may become compact again.
const popMany = 5

func (f family) spopCount(c *command.Ctx) {
	count, ok := value.ParseInt(c.Argv[2])
	if !ok || count < 0 {
		c.Fail(resp.ErrMustBePositive)
		return
	}
	key := c.Argv[1]
	entry, s, found, ok := look(c, key)
	if !ok {
		return
	}
	if !found || count == 0 {
		c.Out.Set(0)
		return
	}
	size := int64(s.Len())
	if count >= size {
		c.Out.Set(int(size))
		s.Each(func(m []byte) bool { c.Out.Bulk(m); return true })
		c.Txn.Delete(key)
		c.Notify(command.EventSet, "spop", key)
		c.Notify(command.EventGeneric, "del", key)
		word := wordDel
		if f.LazyServerDel() {
			word = wordUnlink
		}
		c.PropagateAs(word, key)
		return
	}
	popped := f.choose(s, int(count))
	if left := size - count; left*popMany > count {
		e := f.change(c, key, entry, true)
		for _, m := range popped {
			e.Remove(m)
		}
		save(c, key, &e)
	} else {
		f.keepRest(c, key, s, popped)
	}
	c.Out.Set(int(count))
	for _, m := range popped {
		c.Out.Bulk(m)
	}
	c.Notify(command.EventSet, "spop", key)
	propagateRemoval(c, key, popped)
}

// choose copies count different members, chosen at random. REQUIRES: count <= s.Len().
func (f family) choose(s value.SetView, count int) [][]byte {
	chosen := make([][]byte, 0, count)
	if size := s.Len(); count > size/3 || s.Encoding() != value.Hashtable {
		sample := value.NewSample(size, count, f.Rand)
		s.Each(func(m []byte) bool {
			if sample.Take() {
				chosen = append(chosen, bytes.Clone(m))
			}
			return !sample.Done()
		})
		return chosen
	}
	var seen value.Names // few of many: choose until there are enough different ones
	for len(chosen) < count {
		if m := s.Random(f.Rand, nil); seen.Add(m) {
			chosen = append(chosen, bytes.Clone(m))
		}
	}
	return chosen
}

// keepRest replaces the set at key by a new one of its members that are not in popped.
func (f family) keepRest(c *command.Ctx, key []byte, s value.SetView, popped [][]byte) {
	var gone value.Names
	for _, m := range popped {
		gone.Add(m)
	}
	e := value.EditSet(0, nil, nil, nil, f.Limits())
	if s.Encoding() == value.Intset {
		e.Begin(value.Intset)
	} else {
		e.Begin(value.Listpack)
	}
	s.Each(func(m []byte) bool {
		if gone.Add(m) {
			e.Add(m)
		}
		return true
	})
	put(c, key, &e, store.KeepTTL)
}

// removalBatch is how many members one SREM in the stream takes.
const removalBatch = 1024

func propagateRemoval(c *command.Ctx, key []byte, members [][]byte) {
	for len(members) > 0 {
		n := min(len(members), removalBatch)
		argv := append(make([][]byte, 0, n+2), wordSRem, key)
		c.PropagateAs(append(argv, members[:n]...)...)
		members = members[n:]
	}
}
