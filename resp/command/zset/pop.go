package zset

import (
	"strconv"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store/value"
)

func (f family) zpopmin(c *command.Ctx) { f.zpop(c, false) }
func (f family) zpopmax(c *command.Ctx) { f.zpop(c, true) }

func (f family) zpop(c *command.Ctx, highest bool) {
	if len(c.Argv) > 3 {
		c.Fail(resp.ErrSyntax)
		return
	}
	count, counted := int64(1), len(c.Argv) == 3
	if counted {
		var ok bool
		if count, ok = value.ParseInt(c.Argv[2]); !ok || count < 0 {
			c.Fail(resp.ErrMustBePositive)
			return
		}
	}
	ed, ok := open(c, c.Argv[1])
	if !ok {
		return
	}
	if !ed.found || count == 0 {
		c.Out.Array(0)
		return
	}
	n := min(count, int64(ed.z.Len()))
	nested := counted && c.Out.Proto >= resp.RESP3
	if nested {
		c.Out.Array(int(n))
	} else {
		c.Out.Array(int(2 * n))
	}
	ed.pop(int(n), highest, nested)
}

// pop answers n members from one end, the outermost first, and removes them. pairs: each is
// an array of its own.
func (ed *edit) pop(n int, highest, pairs bool) {
	c, size := ed.c, ed.z.Len()
	from, to := 0, n
	it := ed.z.From(0, false)
	if highest {
		from, to = size-n, size
		it = ed.z.From(size-1, true)
	}
	for range n {
		it.Next()
		if pairs {
			c.Out.Array(2)
		}
		c.Out.Bulk(it.Member())
		c.Out.Double(it.Score())
	}
	ed.begin()
	ed.z.RemoveRange(from, to)
	event := "zpopmin"
	if highest {
		event = "zpopmax"
	}
	ed.finish(true, event)
}

// firstOf opens the first of keys that exists. found is false when none does; ok is false when
// it answered an error.
func firstOf(c *command.Ctx, keys [][]byte) (ed edit, found, ok bool) {
	for _, key := range keys {
		if ed, ok = open(c, key); !ok || ed.found {
			return ed, ed.found, ok
		}
	}
	return ed, false, true
}

// run pops from the first key that has members. It reports false when none has and nothing was
// answered. Replicas are told the one key and how many, whichever way the call was written.
func popMany(c *command.Ctx, p *command.ManyPop) (done bool) {
	ed, found, ok := firstOf(c, p.Keys)
	if !found {
		return !ok
	}
	n := min(p.Count, int64(ed.z.Len()))
	c.Out.Array(2)
	c.Out.Bulk(ed.key)
	c.Out.Array(int(n))
	ed.pop(int(n), !p.First, true)
	c.PropagateAs(popWord(!p.First), ed.key, strconv.AppendInt(nil, n, 10))
	return true
}

func popWord(highest bool) []byte {
	if highest {
		return wordPopMax
	}
	return wordPopMin
}

func (f family) zmpop(c *command.Ctx) {
	if p, ok := c.ManyPop(1, "MIN", "MAX"); ok && !popMany(c, &p) {
		c.Out.NullArray()
	}
}

func (f family) bzmpop(c *command.Ctx) {
	p, ok := c.ManyPop(2, "MIN", "MAX")
	if !ok {
		return
	}
	timeoutMs, ok := c.TimeoutSeconds(1)
	if ok && !popMany(c, &p) {
		c.WaitFor(p.Keys, value.ZSet, timeoutMs, (*resp.Writer).NullArray)
	}
}

func (f family) bzpopmin(c *command.Ctx) { bzpop(c, false) }
func (f family) bzpopmax(c *command.Ctx) { bzpop(c, true) }

func bzpop(c *command.Ctx, highest bool) {
	last := len(c.Argv) - 1
	timeoutMs, ok := c.TimeoutSeconds(last)
	if !ok {
		return
	}
	ed, found, ok := firstOf(c, c.Argv[1:last])
	switch {
	case !ok:
	case !found:
		c.WaitFor(c.Argv[1:last], value.ZSet, timeoutMs, (*resp.Writer).NullArray)
	default:
		c.Out.Array(3)
		c.Out.Bulk(ed.key)
		ed.pop(1, highest, false)
		c.PropagateAs(popWord(highest), ed.key)
	}
}
