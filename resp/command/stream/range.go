package stream

import (
	"slices"
	"strconv"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store/value"
)

func appendInt(dst []byte, n int64) []byte { return strconv.AppendInt(dst, n, 10) }

// putEntry answers the entry a walk is at.
func putEntry(w *resp.Writer, it *value.StreamIter) {
	w.Array(2)
	putID(w, it.ID)
	w.Array(2 * it.N)
	for range it.N {
		field, val := it.Field()
		w.Bulk(field)
		w.Bulk(val)
	}
}

// putOne answers the entry with an id; false, and nothing, if there is none.
func putOne(w *resp.Writer, s *value.StreamLog, id value.StreamID) bool {
	it := s.Range(id, id, false)
	ok := it.Next()
	if ok {
		putEntry(w, &it)
	}
	return ok
}

// putRange answers up to count entries, as an array; count 0 is any number.
func putRange(w *resp.Writer, s *value.StreamLog, lo, hi value.StreamID, count int64, back bool) {
	mark, n := w.Defer(), 0
	for it := s.Range(lo, hi, back); (count == 0 || int64(n) < count) && it.Next(); n++ {
		putEntry(w, &it)
	}
	w.EndArray(mark, n)
}

func xrange(c *command.Ctx)    { answerRange(c, 2, 3, false) }
func xrevrange(c *command.Ctx) { answerRange(c, 3, 2, true) }

func answerRange(c *command.Ctx, startAt, endAt int, back bool) {
	lo, ok := start(c, startAt)
	if !ok {
		return
	}
	hi, ok := end(c, endAt)
	if !ok {
		return
	}
	count := int64(-1)
	for i := 4; i < len(c.Argv); i += 2 {
		if i+1 == len(c.Argv) || !command.Is(c.Argv[i], "COUNT") {
			c.Fail(resp.ErrSyntax)
			return
		}
		if count, ok = c.Int(i + 1); !ok {
			return
		}
		count = max(count, 0)
	}
	s, found, ok := read(c, c.Argv[1])
	switch {
	case !ok:
	case !found:
		c.Out.Array(0)
	case count == 0:
		c.Out.NullArray()
	default:
		putRange(c.Out, s, lo, hi, max(count, 0), back)
	}
}

// readCall is a call of XREAD or XREADGROUP, parsed.
type readCall struct {
	group, consumer []byte // nil for XREAD
	count           int64  // 0: any number
	timeoutMs       int64
	blocks          bool
	noAck           bool
	keys            int // word of the first key
	n               int // streams
}

func (r *readCall) parse(c *command.Ctx, grouped bool) (ok bool) {
	for i := 1; i < len(c.Argv) && r.keys == 0; i++ {
		more := len(c.Argv) - 1 - i
		switch word := c.Argv[i]; {
		case more > 0 && command.Is(word, "BLOCK"):
			i++
			if r.timeoutMs, ok = c.TimeoutMs(i); !ok {
				return false
			}
			r.blocks = true
		case more > 0 && command.Is(word, "COUNT"):
			i++
			if r.count, ok = c.Int(i); !ok {
				return false
			}
			r.count = max(r.count, 0)
		case more > 0 && command.Is(word, "STREAMS"):
			r.keys = i + 1
			if more%2 != 0 {
				symbol := "$"
				if grouped {
					symbol = ">"
				}
				c.Fail(resp.ErrUnbalanced(c.Cmd.LowerName(), symbol))
				return false
			}
			r.n = more / 2
		case more > 1 && command.Is(word, "GROUP"):
			if !grouped {
				c.Fail(resp.ErrXReadGroup)
				return false
			}
			r.group, r.consumer = c.Argv[i+1], c.Argv[i+2]
			i += 2
		case command.Is(word, "NOACK"):
			if !grouped {
				c.Fail(resp.ErrXReadNoAck)
				return false
			}
			r.noAck = true
		default:
			c.Fail(resp.ErrSyntax)
			return false
		}
	}
	switch {
	case r.keys == 0:
		c.Fail(resp.ErrSyntax)
	case grouped && r.group == nil:
		c.Fail(resp.ErrXReadGroupMissing)
	default:
		return true
	}
	return false
}

// after says behind which entry one of the streams is to be read.
type after struct {
	id value.StreamID
	// fresh: what no consumer of the group has been given yet (">").
	fresh bool
}

// ids reads the ids of the call and looks whether the streams, and the groups in them, are what the
// call needs. It answers the error.
func (r *readCall) ids(c *command.Ctx, dst []after) ([]after, bool) {
	for i := range r.n {
		key, at := c.Argv[r.keys+i], r.keys+r.n+i
		s, found, ok := read(c, key)
		if !ok {
			return nil, false
		}
		if r.group != nil && (!found || s.Group(r.group) == nil) {
			c.Fail(resp.ErrXReadGroupNoGroup(key, r.group))
			return nil, false
		}
		var a after
		switch string(c.Argv[at]) {
		case "$", "+":
			last := c.Argv[at][0] == '+'
			switch {
			case r.group != nil && last:
				c.Fail(resp.ErrXReadGroupPlus)
				return nil, false
			case r.group != nil:
				c.Fail(resp.ErrXReadGroupDollar)
				return nil, false
			case found:
				a.id = s.Last
				if top, any := s.LastEntry(); any && last {
					a.id, _ = top.Prev()
				}
			}
		case ">":
			if r.group == nil {
				c.Fail(resp.ErrXReadNew)
				return nil, false
			}
			a.fresh = true
		default:
			if a.id, ok = strictID(c, at); !ok {
				return nil, false
			}
			a.fresh = r.group != nil && a.id == value.StreamMaxID // which Redis cannot tell from >
		}
		dst = append(dst, a)
	}
	return dst, true
}

func xread(c *command.Ctx) { (&readCall{}).run(c, false) }

func xreadgroup(c *command.Ctx) {
	c.DontPropagate() // but what serve says
	(&readCall{}).run(c, true)
}

func (r *readCall) run(c *command.Ctx, grouped bool) {
	if !r.parse(c, grouped) {
		return
	}
	var few [8]after
	ids, ok := r.ids(c, few[:0])
	if !ok {
		return
	}
	w := c.Out
	begin, mark, n := w.Len(), w.Defer(), 0
	for i, a := range ids {
		if r.serve(c, c.Argv[r.keys+i], a) {
			n++
		}
	}
	switch {
	case n > 0 && w.Proto >= resp.RESP3:
		w.EndMap(mark, n)
	case n > 0:
		w.EndArray(mark, n)
	case r.blocks && c.Nested == 0:
		w.Truncate(begin)
		r.park(c, ids)
	default:
		w.EndNullArray(mark)
	}
}

// park waits for one of the streams. A group may also go, and its key, which is an answer too.
func (r *readCall) park(c *command.Ctx, ids []after) {
	p := command.Park{
		Keys: c.Argv[r.keys : r.keys+r.n], Type: value.Stream, Missing: r.group != nil,
		TimeoutMs: r.timeoutMs, TimedOut: (*resp.Writer).NullArray,
	}
	for i := range ids {
		at := r.keys + r.n + i
		if string(c.Argv[at]) != "$" {
			continue
		}
		if p.Again == nil { // what is last now would not be any more
			p.Again = slices.Clone(c.Argv)
		}
		p.Again[at] = ids[i].id.Append(nil)
	}
	c.Park(p)
}

// serve answers what there is to read in one of the streams, if anything.
func (r *readCall) serve(c *command.Ctx, key []byte, a after) bool {
	if r.group != nil {
		return r.give(c, key, a)
	}
	s, found, _ := read(c, key)
	if !found {
		return false
	}
	if top, any := s.LastEntry(); !any || top.Compare(a.id) <= 0 {
		return false
	}
	putKey(c.Out, key)
	from, _ := a.id.Next() // there is one, the last entry
	putRange(c.Out, s, from, value.StreamMaxID, r.count, false)
	return true
}

// putKey begins the answer for one stream.
func putKey(w *resp.Writer, key []byte) {
	if w.Proto < resp.RESP3 {
		w.Array(2)
	}
	w.Bulk(key)
}
