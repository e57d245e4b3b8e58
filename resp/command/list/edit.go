package list

import (
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/value"
)

// read finds the list at key for reading. found is false when there is none; ok is false when
// the key holds something else and the error is answered.
func read(c *command.Ctx, key []byte) (q value.Sequence, found, ok bool) {
	e, found := c.Read(key)
	if !found || !c.Typed(e, found, value.List) {
		return q, found, !found
	}
	return value.ListOf(e.Payload(), e.Object()), true, true
}

// edit is a list while a command changes it. Nothing happens to the key before begin.
type edit struct {
	c     *command.Ctx
	key   []byte
	q     value.Sequence
	lim   *value.Limits
	entry store.Entry
	found bool // the key exists
	large bool // and holds a large list
	begun bool
}

// open finds the list at key for changing it; ok is false when the key holds something else and
// the error is answered.
func (f family) open(c *command.Ctx, key []byte) (ed edit, ok bool) {
	ed.c, ed.key, ed.lim = c, key, f.Limits()
	e, found := c.Write(key)
	if !c.Typed(e, found, value.List) {
		return ed, false
	}
	if ed.found = found; found {
		ed.q = value.ListOf(e.Payload(), e.Object())
		ed.entry, ed.large = e, ed.q.Large() != nil
	}
	return ed, true
}

// begin must be called before a change. A key that does not exist begins empty.
func (ed *edit) begin() {
	if ed.begun {
		return
	}
	ed.begun = true
	switch {
	case ed.large:
		ed.c.Txn.EditEntry(ed.entry, ed.key)
	case ed.found:
		ed.c.Scratch = append(ed.c.Scratch[:0], ed.q.Payload()...)
		ed.q = value.ListOf(ed.c.Scratch, nil)
	default:
		ed.q = value.NewList(ed.c.Scratch)
	}
}

// end writes back what was changed.
func (ed *edit) end() {
	if !ed.begun {
		return
	}
	if large := ed.q.Large(); large == nil {
		payload := ed.q.Payload()
		ed.c.Txn.SetPayload(ed.key, value.List, value.Listpack, payload, store.KeepTTL)
		ed.c.Scratch = payload
	} else if !ed.large {
		ed.c.Txn.SetObject(ed.key, large, store.KeepTTL)
	}
}

// finish ends a removal: it writes back and publishes. With gone, or when no element is left, the
// key goes.
func (ed *edit) finish(event string, gone bool) {
	c := ed.c
	c.Notify(command.EventList, event, ed.key)
	if gone || ed.q.Len() == 0 {
		c.Txn.Delete(ed.key)
		c.Notify(command.EventGeneric, "del", ed.key)
		return
	}
	if ed.large {
		ed.q.Shrink(c.Scratch, ed.lim, false)
	}
	ed.end()
}

// push adds elements one after the other and publishes.
func (ed *edit) push(front bool, elements ...[]byte) {
	ed.begin()
	ed.q.Expect(ed.lim, elements...)
	for _, s := range elements {
		ed.q.Push(s, front, ed.lim)
	}
	ed.end()
	if !ed.found {
		ed.c.Created(ed.key)
	}
	ed.c.Notify(command.EventList, pushEvent(front), ed.key)
}

// take answers n elements from one end, the outermost first, and removes them.
func (ed *edit) take(n int, front bool) {
	c, size := ed.c, ed.q.Len()
	from := 0
	it := ed.q.From(0, false)
	if !front {
		from = size - n
		it = ed.q.From(size-1, true)
	}
	for range n {
		it.Next()
		c.Out.Bulk(it.Element())
	}
	if n < size {
		ed.begin()
		ed.q.Delete(from, n)
	}
	ed.finish(popEvent(front), n == size)
}

func pushEvent(front bool) string {
	if front {
		return "lpush"
	}
	return "rpush"
}

func popEvent(front bool) string {
	if front {
		return "lpop"
	}
	return "rpop"
}

func popWord(front bool) []byte {
	if front {
		return wordLPop
	}
	return wordRPop
}

// span is the part [from, to) of n elements that start and stop, which is inclusive, mean.
func span(n int, start, stop int64) (from, to int) {
	size := int64(n)
	if start < 0 {
		start = max(start+size, 0)
	}
	if stop < 0 {
		stop += size
	}
	stop = min(stop, size-1)
	if start > stop {
		return 0, 0
	}
	return int(start), int(stop) + 1
}
