package list

import (
	"strconv"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store/value"
)

func (f family) lpush(c *command.Ctx)  { f.push(c, true, false) }
func (f family) rpush(c *command.Ctx)  { f.push(c, false, false) }
func (f family) lpushx(c *command.Ctx) { f.push(c, true, true) }
func (f family) rpushx(c *command.Ctx) { f.push(c, false, true) }

func (f family) push(c *command.Ctx, front, mustExist bool) {
	ed, ok := f.open(c, c.Argv[1])
	if !ok {
		return
	}
	if mustExist && !ed.found {
		c.Out.Int(0)
		return
	}
	ed.push(front, c.Argv[2:]...)
	c.Out.Int(int64(ed.q.Len()))
}

func (f family) lpop(c *command.Ctx) { f.pop(c, true) }
func (f family) rpop(c *command.Ctx) { f.pop(c, false) }

func (f family) pop(c *command.Ctx, front bool) {
	count, counted := int64(1), len(c.Argv) == 3
	switch {
	case len(c.Argv) > 3:
		c.Fail(resp.ErrWrongArgs(c.Cmd.LowerName()))
		return
	case counted:
		var ok bool
		if count, ok = value.ParseInt(c.Argv[2]); !ok || count < 0 {
			c.Fail(resp.ErrMustBePositive)
			return
		}
	}
	ed, ok := f.open(c, c.Argv[1])
	if !ok {
		return
	}
	n := 0
	if ed.found {
		n = int(min(count, int64(ed.q.Len())))
	}
	switch {
	case !ed.found && counted:
		c.Out.NullArray()
	case !ed.found:
		c.Out.Null()
	case n == 0:
		c.Out.Array(0)
	default:
		if counted {
			c.Out.Array(n)
		}
		ed.take(n, front)
	}
}

// isLeft reads argv[i] as LEFT or RIGHT; it answers the error.
func isLeft(c *command.Ctx, i int) (left, ok bool) {
	switch {
	case command.Is(c.Argv[i], "LEFT"):
		return true, true
	case command.Is(c.Argv[i], "RIGHT"):
		return false, true
	}
	c.Fail(resp.ErrSyntax)
	return false, false
}

// firstOf opens the first of keys that exists. found is false when none does; ok is false when
// it answered an error.
func (f family) firstOf(c *command.Ctx, keys [][]byte) (ed edit, found, ok bool) {
	for _, key := range keys {
		if ed, ok = f.open(c, key); !ok || ed.found {
			return ed, ed.found, ok
		}
	}
	return ed, false, true
}

// popFrom pops from the first key that has elements. It reports false when none has and nothing
// was answered. Replicas are told the one key and how many, whichever way the call was written.
func (f family) popFrom(c *command.Ctx, p *command.ManyPop) (done bool) {
	ed, found, ok := f.firstOf(c, p.Keys)
	if !found {
		return !ok
	}
	n := min(p.Count, int64(ed.q.Len()))
	c.Out.Array(2)
	c.Out.Bulk(ed.key)
	c.Out.Array(int(n))
	ed.take(int(n), p.First)
	c.PropagateAs(popWord(p.First), ed.key, strconv.AppendInt(nil, n, 10))
	return true
}

func (f family) lmpop(c *command.Ctx) {
	if p, ok := c.ManyPop(1, "LEFT", "RIGHT"); ok && !f.popFrom(c, &p) {
		c.Out.NullArray()
	}
}

func (f family) lmove(c *command.Ctx) {
	from, ok := isLeft(c, 3)
	if !ok {
		return
	}
	if to, ok := isLeft(c, 4); ok && !f.move(c, from, to) {
		c.Out.Null()
	}
}

func (f family) rpoplpush(c *command.Ctx) {
	if !f.move(c, false, true) {
		c.Out.Null()
	}
}

// move takes an element from an end of argv[1] to an end of argv[2]. It reports false when there
// is none and nothing was answered.
func (f family) move(c *command.Ctx, fromFront, toFront bool) (done bool) {
	src, ok := f.open(c, c.Argv[1])
	if !ok {
		return true
	}
	if !src.found {
		return false
	}
	if string(c.Argv[1]) == string(c.Argv[2]) {
		src.rotate(fromFront, toFront)
		return true
	}
	// The source is opened again once the destination has changed: that may move everything.
	dst, ok := f.open(c, c.Argv[2])
	if !ok {
		return true
	}
	if src, ok = f.open(c, c.Argv[1]); !ok {
		return true
	}
	i := 0
	if !fromFront {
		i = src.q.Len() - 1
	}
	it := src.q.From(i, false)
	it.Next()
	element := it.Element()
	mark := c.Out.Len()
	c.Out.Bulk(element)
	reply := c.Out.From(mark)
	dst.push(toFront, reply[len(reply)-2-len(element):len(reply)-2])
	src, _ = f.open(c, c.Argv[1])
	src.begin()
	src.q.Delete(i, 1)
	src.finish(popEvent(fromFront), false)
	c.Txn.Join()
	return true
}

// rotate is move within one list.
func (ed *edit) rotate(fromFront, toFront bool) {
	c := ed.c
	i := 0
	if !fromFront {
		i = ed.q.Len() - 1
	}
	it := ed.q.From(i, false)
	it.Next()
	element := it.Element()
	mark := c.Out.Len()
	c.Out.Bulk(element)
	reply := c.Out.From(mark)
	element = reply[len(reply)-2-len(element) : len(reply)-2]
	ed.begin()
	ed.q.Delete(i, 1)
	ed.q.Expect(ed.lim, element)
	ed.q.Push(element, toFront, ed.lim)
	c.Notify(command.EventList, pushEvent(toFront), ed.key)
	ed.finish(popEvent(fromFront), false)
}
