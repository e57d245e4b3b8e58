package set

import (
	"math"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/glob"
	"github.com/sextantdb/sextant/store/value"
)

func answerHas(c *command.Ctx, s value.SetView, m []byte) {
	if s.Has(m) {
		c.Out.Int(1)
	} else {
		c.Out.Int(0)
	}
}

func sismember(c *command.Ctx) {
	if s, ok := open(c, c.Argv[1]); ok {
		answerHas(c, s, c.Argv[2])
	}
}

func smismember(c *command.Ctx) {
	s, ok := open(c, c.Argv[1])
	if !ok {
		return
	}
	c.Out.Array(len(c.Argv) - 2)
	for _, m := range c.Argv[2:] {
		answerHas(c, s, m)
	}
}

func scard(c *command.Ctx) {
	if s, ok := open(c, c.Argv[1]); ok {
		c.Out.Int(int64(s.Len()))
	}
}

func smembers(c *command.Ctx) {
	if s, ok := open(c, c.Argv[1]); ok {
		c.Out.Set(s.Len())
		s.Each(func(m []byte) bool { c.Out.Bulk(m); return true })
	}
}

func (f family) srandmember(c *command.Ctx) {
	if len(c.Argv) > 3 {
		c.Fail(resp.ErrSyntax)
		return
	}
	var digits [20]byte
	if len(c.Argv) == 2 {
		s, ok := open(c, c.Argv[1])
		switch {
		case !ok:
		case s.Len() == 0:
			c.Out.Null()
		default:
			c.Out.Bulk(s.Random(f.Rand, digits[:]))
		}
		return
	}
	count, ok := c.IntIn(2, -math.MaxInt64, math.MaxInt64)
	if !ok {
		return
	}
	s, ok := open(c, c.Argv[1])
	if !ok {
		return
	}
	size := int64(s.Len())
	switch {
	case size == 0 || count == 0:
		c.Out.Array(0)
	case count < 0 || count == 1:
		n := max(count, -count)
		c.Out.Array(int(n))
		for i := 0; i < int(n) && !c.Out.Full(); i++ {
			c.Out.Bulk(s.Random(f.Rand, digits[:]))
		}
	case count >= size:
		c.Out.Array(int(size))
		s.Each(func(m []byte) bool { c.Out.Bulk(m); return true })
	default:
		c.Out.Array(int(count))
		for _, m := range f.choose(s, int(count)) {
			c.Out.Bulk(m)
		}
	}
}

func sscan(c *command.Ctx) {
	cursor, ok := c.Cursor(2)
	if !ok {
		return
	}
	s, ok := open(c, c.Argv[1])
	if !ok {
		return
	}
	var count int
	var pattern []byte
	if s.Len() == 0 { // words are not looked at then, as in Redis
		cursor = 0
	} else if count, pattern, ok = c.ScanWords(3); !ok {
		return
	}
	c.Out.Array(2)
	// The cursor stands before the members, and is known after them.
	from := c.Out.Len()
	m := c.Out.Defer()
	n := 0
	if s.Len() > 0 {
		cursor = s.Scan(cursor, count, func(member []byte) {
			if pattern == nil || glob.Match(pattern, member) {
				c.Out.Bulk(member)
				n++
			}
		})
	}
	c.Out.EndArray(m, n)
	c.Scratch = append(c.Scratch[:0], c.Out.From(from)...)
	c.Out.Truncate(from)
	c.Out.BulkUint(cursor)
	c.Out.Raw(c.Scratch)
}
