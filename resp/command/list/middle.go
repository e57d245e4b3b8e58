package list

import (
	"math"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store/value"
)

func llen(c *command.Ctx) {
	if q, found, ok := read(c, c.Argv[1]); ok {
		n := 0
		if found {
			n = q.Len()
		}
		c.Out.Int(int64(n))
	}
}

func lindex(c *command.Ctx) {
	q, found, ok := read(c, c.Argv[1])
	if !ok {
		return
	}
	if !found {
		c.Out.Null()
		return
	}
	i, ok := c.Int(2)
	if !ok {
		return
	}
	if i < 0 {
		i += int64(q.Len())
	}
	if i < 0 || i >= int64(q.Len()) {
		c.Out.Null()
		return
	}
	it := q.From(int(i), false)
	it.Next()
	c.Out.Bulk(it.Element())
}

func lrange(c *command.Ctx) {
	start, ok := c.Int(2)
	if !ok {
		return
	}
	stop, ok := c.Int(3)
	if !ok {
		return
	}
	q, found, ok := read(c, c.Argv[1])
	if !ok {
		return
	}
	from, to := 0, 0
	if found {
		from, to = span(q.Len(), start, stop)
	}
	c.Out.Array(to - from)
	if from == to {
		return
	}
	it := q.From(from, false)
	var run [64][]byte
	for left := to - from; left > 0; {
		n := it.Strings(run[:min(left, len(run))])
		if n > 0 {
			c.Out.Bulks(run[:n])
			left -= n
			continue
		}
		it.Next()
		c.Out.Bulk(it.Element())
		left--
	}
}

const (
	errRankZero       resp.Error = "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list"
	errCountNegative  resp.Error = "ERR COUNT can't be negative"
	errMaxlenNegative resp.Error = "ERR MAXLEN can't be negative"
)

// lposOptions are the words behind LPOS' element; count is -1 when not said.
type lposOptions struct {
	rank, count, maxLen int64
	back                bool
}

func parseLpos(c *command.Ctx) (o lposOptions, ok bool) {
	o.rank, o.count = 1, -1
	for i := 3; i < len(c.Argv); i += 2 {
		if i+1 == len(c.Argv) {
			c.Fail(resp.ErrSyntax)
			return o, false
		}
		switch word := c.Argv[i]; {
		case command.Is(word, "RANK"):
			if o.rank, ok = c.IntIn(i+1, -math.MaxInt64, math.MaxInt64); !ok {
				return o, false
			}
			if o.rank == 0 {
				c.Fail(errRankZero)
				return o, false
			}
		case command.Is(word, "COUNT"):
			if o.count, ok = value.ParseInt(c.Argv[i+1]); !ok || o.count < 0 {
				c.Fail(errCountNegative)
				return o, false
			}
		case command.Is(word, "MAXLEN"):
			if o.maxLen, ok = value.ParseInt(c.Argv[i+1]); !ok || o.maxLen < 0 {
				c.Fail(errMaxlenNegative)
				return o, false
			}
		default:
			c.Fail(resp.ErrSyntax)
			return o, false
		}
	}
	if o.rank < 0 {
		o.rank, o.back = -o.rank, true
	}
	return o, true
}

func lpos(c *command.Ctx) {
	o, ok := parseLpos(c)
	if !ok {
		return
	}
	q, found, ok := read(c, c.Argv[1])
	if !ok {
		return
	}
	one := o.count < 0
	var it value.ListIter
	n := 0
	if found {
		if n = q.Len(); o.back {
			it = q.From(n-1, true)
		} else {
			it = q.From(0, false)
		}
	}
	var all resp.Mark
	if !one {
		all = c.Out.Defer()
	}
	answered := 0
	left := int64(n)
	if o.maxLen > 0 {
		left = min(left, o.maxLen)
	}
	matches := int64(0)
	for i := range left {
		it.Next()
		if !it.Is(c.Argv[2]) {
			continue
		}
		if matches++; matches < o.rank {
			continue
		}
		if o.back {
			i = int64(n) - 1 - i
		}
		c.Out.Int(i)
		answered++
		if one {
			return
		}
		if o.count > 0 && int64(answered) >= o.count {
			break
		}
	}
	if one {
		c.Out.Null()
	} else {
		c.Out.EndArray(all, answered)
	}
}

func (f family) lset(c *command.Ctx) {
	ed, ok := f.open(c, c.Argv[1])
	if !ok {
		return
	}
	if !ed.found {
		c.Fail(resp.ErrNoSuchKey)
		return
	}
	i, ok := c.Int(2)
	if !ok {
		return
	}
	if i < 0 {
		i += int64(ed.q.Len())
	}
	if i < 0 || i >= int64(ed.q.Len()) {
		c.Fail(resp.ErrIndexOutOfRange)
		return
	}
	ed.begin()
	ed.q.Expect(ed.lim, c.Argv[3])
	ed.q.Set(int(i), c.Argv[3], ed.lim)
	ed.q.Shrink(c.Scratch, ed.lim, false)
	ed.end()
	c.Notify(command.EventList, "lset", ed.key)
	c.Out.OK()
}

func (f family) linsert(c *command.Ctx) {
	behind := 0
	switch {
	case command.Is(c.Argv[2], "AFTER"):
		behind = 1
	case command.Is(c.Argv[2], "BEFORE"):
	default:
		c.Fail(resp.ErrSyntax)
		return
	}
	ed, ok := f.open(c, c.Argv[1])
	if !ok {
		return
	}
	if !ed.found {
		c.Out.Int(0)
		return
	}
	i := 0
	it := ed.q.From(0, false)
	for ; it.Next() && !it.Is(c.Argv[3]); i++ {
	}
	if i == ed.q.Len() {
		c.Out.Int(-1)
		return
	}
	ed.begin()
	ed.q.Expect(ed.lim, c.Argv[4])
	ed.q.Insert(i+behind, c.Argv[4], ed.lim)
	ed.end()
	c.Notify(command.EventList, "linsert", ed.key)
	c.Out.Int(int64(ed.q.Len()))
}

func (f family) lrem(c *command.Ctx) {
	count, ok := c.IntIn(2, -math.MaxInt64, math.MaxInt64)
	if !ok {
		return
	}
	ed, ok := f.open(c, c.Argv[1])
	if !ok {
		return
	}
	back := count < 0
	if back {
		count = -count
	}
	if !ed.found || !ed.has(c.Argv[3]) {
		c.Out.Int(0)
		return
	}
	ed.begin()
	n := ed.q.Remove(c.Argv[3], int(count), back)
	ed.finish("lrem", false)
	c.Out.Int(int64(n))
}

func (ed *edit) has(s []byte) bool {
	for it := ed.q.From(0, false); it.Next(); {
		if it.Is(s) {
			return true
		}
	}
	return false
}

func (f family) ltrim(c *command.Ctx) {
	start, ok := c.Int(2)
	if !ok {
		return
	}
	stop, ok := c.Int(3)
	if !ok {
		return
	}
	ed, ok := f.open(c, c.Argv[1])
	if !ok {
		return
	}
	if ed.found {
		n := ed.q.Len()
		from, to := span(n, start, stop)
		if from < to && to-from < n {
			ed.begin()
			ed.q.Delete(to, n-to)
			ed.q.Delete(0, from)
		}
		ed.finish("ltrim", from == to)
	}
	c.Out.OK()
}
