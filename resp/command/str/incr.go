package str

import (
	"math"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/value"
)

func incr(c *command.Ctx) { add(c, 1) }
func decr(c *command.Ctx) { add(c, -1) }

func incrby(c *command.Ctx) {
	if n, ok := c.Int(2); ok {
		add(c, n)
	}
}

func decrby(c *command.Ctx) {
	n, ok := c.Int(2)
	if !ok {
		return
	}
	if n == math.MinInt64 {
		c.Fail(resp.ErrDecrOverflow)
		return
	}
	add(c, -n)
}

func add(c *command.Ctx, delta int64) {
	key := c.Argv[1]
	e, found := c.Write(key)
	if !c.Typed(e, found, value.String) {
		return
	}
	var n int64
	if found {
		var ok bool
		if n, ok = e.Int(); !ok {
			n, ok = value.ParseInt(e.Bytes(nil))
		}
		if !ok {
			c.Fail(resp.ErrNotInteger)
			return
		}
	}
	sum, ok := value.AddInt(n, delta)
	if !ok {
		c.Fail(resp.ErrIncrOverflow)
		return
	}
	if existed := c.Txn.SetInt(key, sum, store.KeepTTL); !existed {
		c.Created(key)
	}
	c.Notify(command.EventString, "incrby", key)
	c.Out.Int(sum)
}

// incrbyfloat is propagated as the SET of its result: another machine, or the same one after
// a restart, must not come to another last digit.
func incrbyfloat(c *command.Ctx) {
	key := c.Argv[1]
	e, found := c.Write(key)
	if !c.Typed(e, found, value.String) {
		return
	}
	var n value.Float
	if found {
		var ok bool
		var digits [20]byte
		if n, ok = value.ParseFloat(e.Bytes(digits[:])); !ok {
			c.Fail(resp.ErrNotFloat)
			return
		}
	}
	delta, ok := value.ParseFloat(c.Argv[2])
	if !ok {
		c.Fail(resp.ErrNotFloat)
		return
	}
	sum, ok := n.Add(delta)
	if !ok {
		c.Fail(resp.ErrIncrNaNOrInfinity)
		return
	}
	text := sum.AppendTo(nil)
	c.Txn.SetPayload(key, value.String, value.TextEncoding(len(text)), text, store.KeepTTL)
	if !found {
		c.Created(key)
	}
	c.Notify(command.EventString, "incrbyfloat", key)
	c.Out.Bulk(text)
	c.PropagateAs(wordSet, key, text, wordKeepTTL)
}
