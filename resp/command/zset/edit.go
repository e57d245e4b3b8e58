package zset

import (
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/value"
)

// read finds the sorted set at key for reading. found is false when there is none; ok is
// false when the key holds something else and the error is answered.
func read(c *command.Ctx, key []byte) (z value.SortedSet, found, ok bool) {
	e, found := c.Read(key)
	if !found || !c.Typed(e, found, value.ZSet) {
		return z, found, !found
	}
	return value.ZSetOf(e.Payload(), e.Object()), true, true
}

// edit is a sorted set while a command changes it. Nothing happens to the key before begin:
// a command that changes nothing must leave no trace.
type edit struct {
	c     *command.Ctx
	key   []byte
	z     value.SortedSet
	entry store.Entry
	found bool // the key exists
	large bool // and holds a large sorted set
	begun bool
}

// open finds the sorted set at key for changing it; ok is false when the key holds something
// else and the error is answered.
func open(c *command.Ctx, key []byte) (ed edit, ok bool) {
	ed.c, ed.key = c, key
	e, found := c.Write(key)
	if !c.Typed(e, found, value.ZSet) {
		return ed, false
	}
	if ed.found = found; found {
		ed.z = value.ZSetOf(e.Payload(), e.Object())
		ed.entry, ed.large = e, ed.z.Large() != nil
	}
	return ed, true
}

// begin must be called before a change. REQUIRES: the key exists.
func (ed *edit) begin() {
	if ed.begun {
		return
	}
	ed.begun = true
	if ed.large {
		ed.c.Txn.EditEntry(ed.entry, ed.key)
		return
	}
	ed.c.Scratch = append(ed.c.Scratch[:0], ed.z.Payload()...)
	ed.z = value.ZSetOf(ed.c.Scratch, nil)
}

// create is begin for a key that does not exist.
func (ed *edit) create(n, memberLen int, l *value.Limits) {
	ed.begun = true
	ed.z = value.NewZSet(ed.c.Scratch, n, memberLen, l)
}

// end writes back what was changed. It reports whether the key is gone because no member is
// left.
func (ed *edit) end() (gone bool) {
	if !ed.begun {
		return false
	}
	c := ed.c
	payload, large := ed.z.Payload(), ed.z.Large()
	switch {
	case ed.z.Len() == 0:
		c.Txn.Delete(ed.key)
		return true
	case large == nil:
		c.Txn.SetPayload(ed.key, value.ZSet, value.Listpack, payload, store.KeepTTL)
		c.Scratch = payload
	case !ed.large:
		c.Txn.SetObject(ed.key, large, store.KeepTTL)
	}
	return false
}
