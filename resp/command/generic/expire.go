package generic

import (
	"bytes"
	"math"
	"slices"
	"strconv"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store"
)

func (f family) expire(c *command.Ctx)    { f.expireGeneric(c, c.Txn.Now(), 1000) }
func (f family) pexpire(c *command.Ctx)   { f.expireGeneric(c, c.Txn.Now(), 1) }
func (f family) expireat(c *command.Ctx)  { f.expireGeneric(c, 0, 1000) }
func (f family) pexpireat(c *command.Ctx) { f.expireGeneric(c, 0, 1) }

// parseCondition reads the words behind the time. Not all conditions go together.
func parseCondition(c *command.Ctx) (d command.ExpiryCondition, ok bool) {
	for _, word := range c.Argv[3:] {
		if !d.Take(word) {
			c.Fail(resp.Errorf("ERR Unsupported option %s", word))
			return d, false
		}
	}
	switch {
	case d.NX && (d.XX || d.GT || d.LT):
		c.Fail(resp.ErrNXAndXXGTLT)
	case d.GT && d.LT:
		c.Fail(resp.ErrGTAndLT)
	default:
		return d, true
	}
	return d, false
}

// expireGeneric is the four commands: argv[2] counts in units of unit ms from base.
func (f family) expireGeneric(c *command.Ctx, base, unit int64) {
	d, ok := parseCondition(c)
	if !ok {
		return
	}
	at, ok := c.Int(2)
	if !ok {
		return
	}
	if at > math.MaxInt64/unit || at < math.MinInt64/unit || at*unit > math.MaxInt64-base {
		c.Fail(resp.ErrInvalidExpire(c.Cmd.LowerName()))
		return
	}
	at = at*unit + base
	key := c.Argv[1]
	e, found := c.Write(key)
	if !found || !d.Allows(e.ExpireAt() == store.NoExpire, e.ExpireAt(), at) {
		c.Out.Int(0)
		return
	}
	c.Out.Int(1)
	if at <= c.Txn.Now() && !c.Obeys() {
		c.Txn.Delete(key)
		c.Notify(command.EventGeneric, "del", key)
		propagateDeletion(c, key, f.LazyExpire())
		return
	}
	c.Txn.SetExpire(key, at)
	c.Notify(command.EventGeneric, "expire", key)
	if base == 0 && unit == 1 {
		return // PEXPIREAT is propagated as it is
	}
	var tmp [20]byte
	when := strconv.AppendInt(tmp[:0], at, 10)
	switch len(c.Argv) {
	case 3:
		c.PropagateAs(wordPExpireAt, key, when)
	case 4:
		c.PropagateAs(wordPExpireAt, key, when, c.Argv[3])
	default:
		argv := slices.Clone(c.Argv)
		argv[0], argv[2] = wordPExpireAt, bytes.Clone(when)
		c.PropagateAs(argv...)
	}
}

func persist(c *command.Ctx) {
	key := c.Argv[1]
	if _, found := c.Write(key); !found || !c.Txn.Persist(key) {
		c.Out.Int(0)
		return
	}
	c.Notify(command.EventGeneric, "persist", key)
	c.Out.Int(1)
}

func ttl(c *command.Ctx)         { life(c, c.Txn.Now(), true) }
func pttl(c *command.Ctx)        { life(c, c.Txn.Now(), false) }
func expiretime(c *command.Ctx)  { life(c, 0, true) }
func pexpiretime(c *command.Ctx) { life(c, 0, false) }

// life answers the expiry of a key counted from base: -2 when there is no key, -1 when it has
// none. Seconds are rounded to the nearest.
func life(c *command.Ctx, base int64, seconds bool) {
	e, found := c.Peek(c.Argv[1])
	switch {
	case !found:
		c.Out.Int(-2)
	case e.ExpireAt() == store.NoExpire:
		c.Out.Int(-1)
	default:
		left := max(e.ExpireAt()-base, 0)
		if seconds {
			left = left/1000 + (left%1000+500)/1000 // (left+500)/1000 would overflow
		}
		c.Out.Int(left)
	}
}
