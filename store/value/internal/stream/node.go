package stream

import (
	"math"
	"unsafe"

	"github.com/sextantdb/sextant/store/value/internal/listpack"
)

// node is a piece of a stream: a listpack of
//
//	live entries, deleted entries, k, k field names, 0     the master entry
//	entries, each:
//	    flags, ms, seq                                     differences to the node's id
//	    n, names and values in turn                        or with flagSameFields: k values
//	    number of elements of this entry so far            for walking backwards
//
// The numbers of live and deleted entries stand in the struct too.
type node struct {
	gen        uint64
	id         ID
	pack       listpack.Pack
	live, dead int32
	head       int32 // position of the first entry
	fields     int32 // k
}

const (
	flagDeleted    = 1
	flagSameFields = 2
)

func (nd *node) key() ID      { return nd.id }
func (nd *node) bytes() int64 { return int64(unsafe.Sizeof(*nd)) + int64(cap(nd.pack)) }

// newNode makes a node of one entry, with room for that many bytes.
func newNode(gen uint64, id ID, fields [][]byte, room int) *node {
	nd := &node{gen: gen, id: id, live: 1, fields: int32(len(fields) / 2)}
	p := listpack.New(make([]byte, 0, room))
	p = p.AppendInt(1).AppendInt(0).AppendInt(int64(nd.fields))
	for i := 0; i < len(fields); i += 2 {
		p = p.Append(fields[i])
	}
	p = p.AppendInt(0)
	nd.head = int32(p.End())
	nd.pack = p
	nd.put(id, fields, true)
	return nd
}

// seekHead sets head and fields from the listpack.
func (nd *node) seekHead() {
	p := nd.pack
	at := p.Next(p.Next(p.First()))
	nd.fields = int32(p.Get(at).Int)
	for range nd.fields + 2 {
		at = p.Next(at)
	}
	nd.head = int32(at)
}

// full reports whether an entry of that many bytes must go to a new node.
func (nd *node) full(total int, l *Limits) bool {
	return len(nd.pack)+total >= l.nodeBytes() || l.NodeEntries > 0 && int(nd.live+nd.dead) >= l.NodeEntries ||
		nd.live+nd.dead == math.MaxInt32
}

// append adds an entry.
func (nd *node) append(id ID, fields [][]byte) {
	nd.recount(nd.live+1, nd.dead)
	nd.put(id, fields, nd.same(fields))
}

// same reports whether fields have the names of the master entry.
func (nd *node) same(fields [][]byte) bool {
	if len(fields) != 2*int(nd.fields) {
		return false
	}
	at := nd.master()
	for i := 0; i < len(fields); i += 2 {
		if !nd.pack.Get(at).Equal(fields[i]) {
			return false
		}
		at = nd.pack.Next(at)
	}
	return true
}

// master is the position of the first name of the master entry.
func (nd *node) master() int {
	p := nd.pack
	return p.Next(p.Next(p.Next(p.First())))
}

// put writes an entry behind the last.
func (nd *node) put(id ID, fields [][]byte, same bool) {
	p := nd.pack
	n := int64(len(fields) / 2)
	flags, count := int64(0), 4+2*n
	if same {
		flags, count = flagSameFields, 3+n
	}
	p = p.AppendInt(flags).AppendInt(int64(id.Ms - nd.id.Ms)).AppendInt(int64(id.Seq - nd.id.Seq))
	if !same {
		p = p.AppendInt(n)
	}
	for i := 0; i < len(fields); i += 2 {
		if !same {
			p = p.Append(fields[i])
		}
		p = p.Append(fields[i+1])
	}
	nd.pack = p.AppendInt(count)
}

// recount sets the numbers of entries.
func (nd *node) recount(live, dead int32) {
	p := nd.pack
	was := len(p)
	at := p.First()
	if live != nd.live {
		p = p.ReplaceInt(at, int64(live))
	}
	if dead != nd.dead {
		p = p.ReplaceInt(p.Next(at), int64(dead))
	}
	nd.head += int32(len(p) - was)
	nd.pack, nd.live, nd.dead = p, live, dead
}

// entry is an entry in its node.
type entry struct {
	id    ID
	flags int64
	n     int // fields
	body  int // position of the first name, or value with flagSameFields
}

// read reads the beginning of the entry at a position.
func (nd *node) read(at int) (e entry) {
	p := nd.pack
	e.flags = p.Get(at).Int
	at = p.Next(at)
	e.id.Ms = nd.id.Ms + uint64(p.Get(at).Int)
	at = p.Next(at)
	e.id.Seq = nd.id.Seq + uint64(p.Get(at).Int)
	at = p.Next(at)
	e.n = int(nd.fields)
	if e.flags&flagSameFields == 0 {
		e.n = int(p.Get(at).Int)
		at = p.Next(at)
	}
	e.body = at
	return e
}

// skip is the position behind an entry.
func (nd *node) skip(e entry) int {
	n := e.n
	if e.flags&flagSameFields == 0 {
		n *= 2
	}
	at := e.body
	for range n + 1 {
		at = nd.pack.Next(at)
	}
	return at
}

// before is the position of the entry that ends at a position; -1 if none does.
func (nd *node) before(at int) int {
	if at <= int(nd.head) {
		return -1
	}
	p := nd.pack
	at = p.Prev(at)
	for range p.Get(at).Int {
		at = p.Prev(at)
	}
	return at
}

// lastID is the id of the last entry, which may be a deleted one.
func (nd *node) lastID() ID { return nd.read(nd.before(nd.pack.End())).id }

// mark marks the entry at a position as deleted. Flags take the same room before and after.
func (nd *node) mark(at int) {
	nd.pack = nd.pack.ReplaceInt(at, nd.pack.Get(at).Int|flagDeleted)
}

// NodeCheck is what CheckNode has found.
type NodeCheck struct {
	Live, Dead      int
	FirstID, LastID ID // of entries, deleted ones too
}

// CheckNode reports whether bytes from outside are a node whose entries count from id: a
// listpack of the right form, to its end, with ids that ascend. Nothing in this package looks at
// unchecked bytes.
func CheckNode(id ID, b []byte) (c NodeCheck, ok bool) {
	if n, err := listpack.Check(b); err != nil || n == 0 {
		return c, false
	}
	w := checker{p: b, at: listpack.Pack(b).First()}
	live, dead, fields := w.int(), w.int(), w.int()
	if w.bad || live < 0 || dead < 0 || live > math.MaxInt32 || dead > math.MaxInt32 || live+dead == 0 || live+dead > math.MaxInt32 {
		return c, false
	}
	w.skip(fields)
	if zero := w.int(); w.bad || zero != 0 {
		return c, false
	}
	c.Live, c.Dead = int(live), int(dead)
	marked := int64(0)
	for i := range live + dead {
		flags := w.int()
		eid := ID{id.Ms + uint64(w.int()), id.Seq + uint64(w.int())}
		n, extra := fields, int64(3)
		if flags&flagSameFields == 0 {
			n = w.int()
			w.skip(n)
			extra = 4 + n
		}
		w.skip(n)
		if count := w.int(); w.bad || count != n+extra || flags&^(flagDeleted|flagSameFields) != 0 {
			return c, false
		}
		if eid.Compare(c.LastID) <= 0 { // the first is above 0-0
			return c, false
		}
		if i == 0 {
			c.FirstID = eid
		}
		c.LastID = eid
		marked += flags & flagDeleted
	}
	return c, marked == dead && w.at == w.p.End()
}

// checker reads elements of a listpack that is one, but may not have them.
type checker struct {
	p   listpack.Pack
	at  int
	bad bool
}

func (w *checker) int() int64 {
	if w.bad || w.at >= w.p.End() {
		w.bad = true
		return 0
	}
	v := w.p.Get(w.at)
	w.at = w.p.Next(w.at)
	w.bad = !v.IsInt
	return v.Int
}

func (w *checker) skip(n int64) {
	if n < 0 || n > int64(len(w.p)) {
		w.bad = true
	}
	for ; n > 0 && !w.bad; n-- {
		if w.at >= w.p.End() {
			w.bad = true
			return
		}
		w.at = w.p.Next(w.at)
	}
}

// Iter walks the entries of a range. It is valid until the Stream changes.
type Iter struct {
	// ID is the id of the entry the walk is at.
	ID ID
	// N is how many fields it has.
	N int

	s      *Stream
	place  place // of nd in the index
	nd     *node // nil: the next one begins at place
	at     int   // in nd: where the next entry begins or, backwards, ends
	from   int   // where the entry begins
	name   int   // position of the next field's name, and of its value
	value  int
	same   bool
	back   bool
	lo, hi ID
	tmp    [2][20]byte
}

// Range walks the live entries from lo to hi, forwards or, with back, backwards.
func (s *Stream) Range(lo, hi ID, back bool) (it Iter) {
	it.s, it.lo, it.hi, it.back = s, lo, hi, back
	it.place = place{-1, 0}
	if s.nodes.n == 0 || lo.Compare(hi) > 0 {
		return it
	}
	edge := lo
	if back {
		edge = hi
	}
	// The node that begins at or below the edge.
	var exact bool
	if it.place, exact = s.nodes.seek(edge); !exact {
		if before := s.nodes.prev(it.place); before.page >= 0 || back {
			it.place = before
		}
	}
	return it
}

// Next goes to the next entry, at first to the first, and reports whether there is one.
func (it *Iter) Next() bool {
	for {
		if it.nd == nil {
			if !it.s.nodes.ok(it.place) {
				return false
			}
			it.nd = it.s.nodes.at(it.place)
			it.at = int(it.nd.head)
			if it.back {
				it.at = it.nd.pack.End()
			}
		}
		var e entry
		if it.back {
			if it.from = it.nd.before(it.at); it.from < 0 {
				it.place, it.nd = it.s.nodes.prev(it.place), nil
				continue
			}
			e = it.nd.read(it.from)
			it.at = it.from
		} else {
			if it.from = it.at; it.from == it.nd.pack.End() {
				it.place, it.nd = it.s.nodes.next(it.place), nil
				continue
			}
			e = it.nd.read(it.from)
			it.at = it.nd.skip(e)
		}
		switch c := e.id.Compare(it.lo); {
		case c < 0 && it.back:
			it.place.page, it.nd = -1, nil
			return false
		case c < 0:
			continue
		}
		switch c := e.id.Compare(it.hi); {
		case c > 0 && !it.back:
			it.place.page, it.nd = -1, nil
			return false
		case c > 0:
			continue
		}
		if e.flags&flagDeleted != 0 {
			continue
		}
		it.ID, it.N, it.same = e.id, e.n, e.flags&flagSameFields != 0
		it.name, it.value = e.body, e.body
		if it.same {
			it.name = it.nd.master()
		}
		return true
	}
}

// Field is the next field of the entry, to be called up to N times. The bytes are valid until
// the next call.
func (it *Iter) Field() (name, val []byte) {
	p := it.nd.pack
	name = p.Get(it.name).Bytes(it.tmp[0][:])
	it.name = p.Next(it.name)
	if !it.same {
		it.value = it.name
	}
	val = p.Get(it.value).Bytes(it.tmp[1][:])
	it.value = p.Next(it.value)
	if !it.same {
		it.name = it.value
	}
	return name, val
}
