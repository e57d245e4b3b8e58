package hash

import (
	"strconv"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store/value"
)

var wordHSet = []byte("HSET")

func (f family) hset(c *command.Ctx) {
	if n, ok := f.setFields(c); ok {
		c.Out.Int(int64(n))
	}
}

func (f family) hmset(c *command.Ctx) {
	if _, ok := f.setFields(c); ok {
		c.Out.OK()
	}
}

// setFields sets the fields of argv[2:] and reports how many are new.
func (f family) setFields(c *command.Ctx) (created int, ok bool) {
	if len(c.Argv)%2 != 0 {
		c.Fail(resp.ErrWrongArgs(c.Cmd.LowerName()))
		return 0, false
	}
	key := c.Argv[1]
	entry, _, found, ok := look(c, key)
	if !ok {
		return 0, false
	}
	e := f.change(c, key, entry, found)
	e.Expect(len(c.Argv)/2 - 1)
	for i := 2; i < len(c.Argv); i += 2 {
		if e.Set(c.Argv[i], c.Argv[i+1]) {
			created++
		}
	}
	save(c, key, &e)
	c.Notify(command.EventHash, "hset", key)
	return created, true
}

func (f family) hsetnx(c *command.Ctx) {
	key, field := c.Argv[1], c.Argv[2]
	entry, h, found, ok := look(c, key)
	switch {
	case !ok:
	case h.Has(field):
		c.Out.Int(0)
	default:
		e := f.change(c, key, entry, found)
		e.Set(field, c.Argv[3])
		save(c, key, &e)
		c.Notify(command.EventHash, "hset", key)
		c.Out.Int(1)
	}
}

func (f family) hdel(c *command.Ctx) {
	key := c.Argv[1]
	entry, h, found, ok := look(c, key)
	if !ok {
		return
	}
	first := 2
	for first < len(c.Argv) && !h.Has(c.Argv[first]) {
		first++
	}
	if first == len(c.Argv) {
		c.Out.Int(0)
		return
	}
	e := f.change(c, key, entry, found)
	n := 0
	for _, field := range c.Argv[first:] {
		if e.Delete(field) {
			n++
		}
	}
	save(c, key, &e)
	c.Notify(command.EventHash, "hdel", key)
	if e.Len() == 0 {
		c.Notify(command.EventGeneric, "del", key)
	}
	c.Out.Int(int64(n))
}

func (f family) hincrby(c *command.Ctx) {
	delta, ok := c.Int(3)
	if !ok {
		return
	}
	key, field := c.Argv[1], c.Argv[2]
	entry, h, found, ok := look(c, key)
	if !ok {
		return
	}
	var digits [20]byte
	n := int64(0)
	if old, is := h.Get(field, digits[:]); is {
		if n, ok = value.ParseInt(old); !ok {
			c.Fail(resp.ErrHashNotInteger)
			return
		}
	}
	sum, ok := value.AddInt(n, delta)
	if !ok {
		c.Fail(resp.ErrIncrOverflow)
		return
	}
	e := f.change(c, key, entry, found)
	e.SetKeeping(field, strconv.AppendInt(digits[:0], sum, 10))
	save(c, key, &e)
	c.Notify(command.EventHash, "hincrby", key)
	c.Out.Int(sum)
}

// hincrbyfloat is propagated as the setting of its result: another machine, or the same one after
// a restart, must not come to another last digit. HSET would take the field's expiry.
func (f family) hincrbyfloat(c *command.Ctx) {
	delta, ok := value.ParseFloat(c.Argv[3])
	if !ok {
		c.Fail(resp.ErrNotFloat)
		return
	}
	if delta.IsInf() {
		c.Fail(resp.ErrNaNOrInfinity)
		return
	}
	key, field := c.Argv[1], c.Argv[2]
	entry, h, found, ok := look(c, key)
	if !ok {
		return
	}
	var digits [20]byte
	var n value.Float
	if old, is := h.Get(field, digits[:]); is {
		if n, ok = value.ParseFloat(old); !ok {
			c.Fail(resp.ErrHashNotFloat)
			return
		}
	}
	sum, ok := n.Add(delta)
	if !ok {
		c.Fail(resp.ErrIncrNaNOrInfinity)
		return
	}
	text := sum.AppendTo(nil)
	at, _ := h.ExpiresAt(field)
	e := f.change(c, key, entry, found)
	e.SetKeeping(field, text)
	save(c, key, &e)
	c.Notify(command.EventHash, "hincrbyfloat", key)
	c.Out.Bulk(text)
	if at != 0 {
		c.PropagateAs(wordHSetEx, key, wordKeepTTL, wordFields, wordOne, field, text)
	} else {
		c.PropagateAs(wordHSet, key, field, text)
	}
}
