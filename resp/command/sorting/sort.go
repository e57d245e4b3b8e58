package sorting

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/slot"
	"github.com/sextantdb/sextant/store/value"
)

// call is what a call says.
type call struct {
	descending, alpha bool
	offset, count     int64 // count < 0: all
	by                []byte
	keepOrder         bool // BY a constant: elements stay in the order they are in
	gets              [][]byte
	to                []byte // STORE; nil: the client gets the result
}

// element is one element with what it is ordered by. Its bytes are copies: reading the next key
// may delete it, and with it what an element was read from.
type element struct {
	text   []byte
	weight float64
	by     []byte // nil: nothing is there
}

func (f family) sort(c *command.Ctx)   { f.run(c, false) }
func (f family) sortRO(c *command.Ctx) { f.run(c, true) }

func (f family) run(c *command.Ctx, readOnly bool) {
	s := call{count: -1}
	if !f.parse(c, &s, readOnly) {
		return
	}
	e, found := c.Read(c.Argv[1])
	if found && e.Type() != value.List && e.Type() != value.Set && e.Type() != value.ZSet {
		c.Fail(resp.ErrWrongType)
		return
	}
	var all []element
	if found {
		if s.keepOrder && e.Type() == value.Set && (s.to != nil || c.InScript) {
			// The order of a set is nobody's choice, and what is stored or a script sees must be the same everywhere.
			s.keepOrder, s.alpha, s.by = false, true, nil
		}
		all = s.read(e)
	}
	if !s.keepOrder {
		if !s.weigh(c, all) {
			c.Fail(resp.ErrSortWeight)
			return
		}
		s.order(all)
	}
	all = s.part(all)
	if s.to != nil {
		f.store(c, &s, all)
		return
	}
	if s.gets == nil {
		c.Out.Array(len(all))
	} else {
		c.Out.Array(len(all) * len(s.gets))
	}
	s.eachResult(c, all, func(text []byte, is bool) {
		if is {
			c.Out.Bulk(text)
		} else {
			c.Out.Null()
		}
	})
}

func (f family) parse(c *command.Ctx, s *call, readOnly bool) bool {
	for i := 2; i < len(c.Argv); i++ {
		left := len(c.Argv) - i - 1
		switch word := c.Argv[i]; {
		case command.Is(word, "ASC"):
			s.descending = false
		case command.Is(word, "DESC"):
			s.descending = true
		case command.Is(word, "ALPHA"):
			s.alpha = true
		case command.Is(word, "LIMIT") && left >= 2:
			var ok1, ok2 bool
			if s.offset, ok1 = c.Int(i + 1); !ok1 {
				return false
			}
			if s.count, ok2 = c.Int(i + 2); !ok2 {
				return false
			}
			i += 2
		case command.Is(word, "STORE") && left >= 1 && !readOnly:
			i++
			s.to = c.Argv[i]
		case command.Is(word, "BY") && left >= 1:
			i++
			s.by = c.Argv[i]
			switch {
			case bytes.IndexByte(s.by, '*') < 0:
				s.keepOrder = true
			case f.elsewhere(c, s.by):
				c.Fail(resp.ErrSortBySlots)
				return false
			case !readsAll(c):
				c.Fail(resp.ErrSortByACL)
				return false
			}
		case command.Is(word, "GET") && left >= 1:
			i++
			if !isElement(c.Argv[i]) && f.elsewhere(c, c.Argv[i]) {
				c.Fail(resp.ErrSortGetSlots)
				return false
			}
			if !readsAll(c) { // also for GET #, as in Redis
				c.Fail(resp.ErrSortGetACL)
				return false
			}
			s.gets = append(s.gets, c.Argv[i])
		default:
			c.Fail(resp.ErrSyntax)
			return false
		}
	}
	return true
}

// elsewhere reports whether keys of a pattern may be on other nodes than the key that is sorted.
func (f family) elsewhere(c *command.Ctx, pattern []byte) bool {
	if !f.Cluster {
		return false
	}
	sl, ok := patternSlot(pattern)
	return !ok || sl != slot.Of(c.Argv[1])
}

// readsAll reports whether the caller may read any key: a pattern may find any.
func readsAll(c *command.Ctx) bool {
	u := c.Sess.User()
	return u == nil || c.Obeys() || c.Cmd.MayReadAll(u, c.Argv)
}

// isElement reports whether a pattern stands for the element itself.
func isElement(pattern []byte) bool { return len(pattern) == 1 && pattern[0] == '#' }

// read copies the elements. Without an order to make, those of sorted sets and lists come in the
// order that the call wants.
func (s *call) read(e store.Entry) (all []element) {
	var texts []byte
	var ends []int
	add := func(text []byte) {
		texts = append(texts, text...)
		ends = append(ends, len(texts))
	}
	back := s.keepOrder && s.descending
	switch e.Type() {
	case value.List:
		q := value.ListOf(e.Payload(), e.Object())
		first := 0
		if back {
			first = q.Len() - 1
		}
		for it := q.From(first, back); it.Next(); {
			add(it.Element())
		}
	case value.Set:
		set := value.SetOf(e.Encoding(), e.Payload(), e.Object())
		set.Each(func(member []byte) bool { add(member); return true })
	case value.ZSet:
		z := value.ZSetOf(e.Payload(), e.Object())
		first := 0
		if back {
			first = z.Len() - 1
		}
		for it := z.From(first, back); it.Next(); {
			add(it.Member())
		}
	}
	all = make([]element, len(ends))
	from := 0
	for i, end := range ends {
		all[i].text = texts[from:end:end]
		from = end
	}
	return all
}

// weigh finds what each element is ordered by; false: something is not a number.
func (s *call) weigh(c *command.Ctx, all []element) bool {
	good := true
	for i := range all {
		e := &all[i]
		by := e.text
		if s.by != nil {
			var is bool
			if by, is = lookUp(c, s.by, e.text); !is {
				continue
			}
		}
		switch {
		case !s.alpha:
			var ok bool
			e.weight, ok = weight(by)
			good = good && ok
		case s.by != nil:
			e.by = append(make([]byte, 0, len(by)), by...)
		default:
			e.by = by
		}
	}
	return good
}

// weight reads a number as strtod does: after spaces, up to a NUL byte, nothing counting as 0.
func weight(b []byte) (float64, bool) {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	b = bytes.TrimLeft(b, " \t\n\v\f\r")
	if len(b) == 0 {
		return 0, true
	}
	return value.ParseScore(b)
}

func (s *call) order(all []element) {
	slices.SortStableFunc(all, func(a, b element) (n int) {
		switch {
		case !s.alpha:
			if n = cmp.Compare(a.weight, b.weight); n == 0 {
				n = bytes.Compare(a.text, b.text)
			}
		case a.by == nil && b.by == nil:
		case a.by == nil: // nothing comes before anything
			n = -1
		case b.by == nil:
			n = 1
		default:
			n = bytes.Compare(a.by, b.by)
		}
		if s.descending {
			return -n
		}
		return n
	})
}

// part is what LIMIT leaves.
func (s *call) part(all []element) []element {
	n := int64(len(all))
	from := min(max(s.offset, 0), n)
	count := n - from
	if s.count >= 0 {
		count = min(s.count, count)
	}
	return all[from : from+count]
}

// eachResult visits what the call answers: the elements, or what GET finds for each.
func (s *call) eachResult(c *command.Ctx, all []element, fn func(text []byte, is bool)) {
	for i := range all {
		if s.gets == nil {
			fn(all[i].text, true)
			continue
		}
		for _, pattern := range s.gets {
			fn(lookUp(c, pattern, all[i].text))
		}
	}
}

// lookUp is the string at the key that a pattern makes of an element, or the value of a field of
// the hash there ("pattern->field"). The bytes are valid until the next key is looked up.
func lookUp(c *command.Ctx, pattern, element []byte) (text []byte, is bool) {
	if isElement(pattern) {
		return element, true
	}
	star := bytes.IndexByte(pattern, '*')
	if star < 0 {
		return nil, false // a fixed key makes no sense
	}
	before, after := pattern[:star], pattern[star+1:]
	var field []byte
	if i := bytes.Index(after, []byte("->")); i >= 0 && i+2 < len(after) {
		after, field = after[:i], after[i+2:]
	}
	key := append(c.Scratch[:0], before...)
	key = append(key, element...)
	key = append(key, after...)
	c.Scratch = key
	e, found := c.Read(key)
	switch {
	case !found:
		return nil, false
	case field == nil:
		if e.Type() != value.String {
			return nil, false
		}
		return e.Bytes(nil), true
	case e.Type() != value.Hash:
		return nil, false
	}
	return c.Hash(e).Get(field, nil)
}

// store makes a list of the result; what GET does not find is an empty element.
func (f family) store(c *command.Ctx, s *call, all []element) {
	l := f.Limits()
	q := value.NewList(nil)
	q.Grow()
	s.eachResult(c, all, func(text []byte, _ bool) { q.Push(text, false, l) })
	q.Shrink(nil, l, true)
	c.StoreList(s.to, &q, "sortstore")
}
