package hash

import (
	"math"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/glob"
	"github.com/sextantdb/sextant/store/value"
)

// answer answers the value of a field or nil.
func answer(c *command.Ctx, h value.HashView, field []byte) {
	var digits [20]byte
	if v, found := h.Get(field, digits[:]); found {
		c.Out.Bulk(v)
	} else {
		c.Out.Null()
	}
}

func hget(c *command.Ctx) {
	if h, ok := open(c, c.Argv[1]); ok {
		answer(c, h, c.Argv[2])
	}
}

func hmget(c *command.Ctx) {
	h, ok := open(c, c.Argv[1])
	if !ok {
		return
	}
	c.Out.Array(len(c.Argv) - 2)
	for _, field := range c.Argv[2:] {
		answer(c, h, field)
	}
}

func hgetall(c *command.Ctx) {
	h, ok := open(c, c.Argv[1])
	if !ok {
		return
	}
	c.Out.Map(h.Len())
	h.Each(func(field, val []byte) bool {
		c.Out.Bulk(field)
		c.Out.Bulk(val)
		return true
	})
}

func hkeys(c *command.Ctx) {
	if h, ok := open(c, c.Argv[1]); ok {
		c.Out.Array(h.Len())
		h.Each(func(field, _ []byte) bool { c.Out.Bulk(field); return true })
	}
}

func hvals(c *command.Ctx) {
	if h, ok := open(c, c.Argv[1]); ok {
		c.Out.Array(h.Len())
		h.Each(func(_, val []byte) bool { c.Out.Bulk(val); return true })
	}
}

func hlen(c *command.Ctx) {
	if h, ok := open(c, c.Argv[1]); ok {
		c.Out.Int(int64(h.Len()))
	}
}

func hexists(c *command.Ctx) {
	h, ok := open(c, c.Argv[1])
	switch {
	case !ok:
	case h.Has(c.Argv[2]):
		c.Out.Int(1)
	default:
		c.Out.Int(0)
	}
}

func hstrlen(c *command.Ctx) {
	if h, ok := open(c, c.Argv[1]); ok {
		c.Out.Int(int64(h.ValueLen(c.Argv[2])))
	}
}

func (f family) hrandfield(c *command.Ctx) {
	if len(c.Argv) == 2 {
		h, ok := open(c, c.Argv[1])
		switch {
		case !ok:
		case h.Len() == 0:
			c.Out.Null()
		default:
			h.Random(f.Rand, func(field, _ []byte) { c.Out.Bulk(field) })
		}
		return
	}
	count, ok := c.IntIn(2, -math.MaxInt64, math.MaxInt64)
	if !ok {
		return
	}
	pairs := false
	if len(c.Argv) > 3 {
		if len(c.Argv) > 4 || !command.Is(c.Argv[3], "WITHVALUES") {
			c.Fail(resp.ErrSyntax)
			return
		}
		if pairs = true; count < -math.MaxInt64/2 || count > math.MaxInt64/2 {
			c.Fail(resp.ErrOutOfRange)
			return
		}
	}
	if h, ok := open(c, c.Argv[1]); ok {
		f.answerRandom(c, h, count, pairs)
	}
}

// answerRandom answers count different fields, or -count, each chosen anew.
func (f family) answerRandom(c *command.Ctx, h value.HashView, count int64, pairs bool) {
	size := int64(h.Len())
	if size == 0 || count == 0 {
		c.Out.Array(0)
		return
	}
	n := -count
	if count > 0 {
		n = min(count, size)
	}
	if pairs && c.Out.Proto < resp.RESP3 {
		c.Out.Array(int(2 * n))
	} else {
		c.Out.Array(int(n))
	}
	put := func(field, val []byte) {
		if pairs && c.Out.Proto >= resp.RESP3 {
			c.Out.Array(2)
		}
		c.Out.Bulk(field)
		if pairs {
			c.Out.Bulk(val)
		}
	}
	switch {
	case count < 0 || count == 1:
		for i := int64(0); i < n && !c.Out.Full(); i++ {
			h.Random(f.Rand, put)
		}
	case n == size:
		h.Each(func(field, val []byte) bool { put(field, val); return true })
	case n > size/3 || h.Compact():
		sample := value.NewSample(int(size), int(n), f.Rand)
		h.Each(func(field, val []byte) bool {
			if sample.Take() {
				put(field, val)
			}
			return !sample.Done()
		})
	default: // few of many: choose until there are enough different ones
		var seen value.Names
		for left := n; left > 0; {
			h.Random(f.Rand, func(field, val []byte) {
				if seen.Add(field) {
					put(field, val)
					left--
				}
			})
		}
	}
}

func hscan(c *command.Ctx) {
	cursor, ok := c.Cursor(2)
	if !ok {
		return
	}
	h, ok := open(c, c.Argv[1])
	if !ok {
		return
	}
	var count int
	var pattern []byte
	var noValues bool
	if h.Len() == 0 { // words are not looked at then, as in Redis
		cursor = 0
	} else if count, pattern, noValues, ok = c.ScanFieldWords(3, "NOVALUES"); !ok {
		return
	}
	c.Out.Array(2)
	// The cursor stands before the fields, and is known after them.
	from := c.Out.Len()
	m := c.Out.Defer()
	n := 0
	if h.Len() > 0 {
		cursor = h.Scan(cursor, count, func(field, val []byte) {
			if pattern == nil || glob.Match(pattern, field) {
				c.Out.Bulk(field)
				n++
				if !noValues {
					c.Out.Bulk(val)
					n++
				}
			}
		})
	}
	c.Out.EndArray(m, n)
	c.Scratch = append(c.Scratch[:0], c.Out.From(from)...)
	c.Out.Truncate(from)
	c.Out.BulkUint(cursor)
	c.Out.Raw(c.Scratch)
}
