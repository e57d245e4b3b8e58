package value

import (
	"slices"

	"github.com/sextantdb/sextant/store/value/internal/listpack"
	"github.com/sextantdb/sextant/store/value/internal/quicklist"
)

// LargeList is the Object of a large list; ListOf gives its operations.
type LargeList struct{ l *quicklist.List }

// NewLargeList makes an empty one. No key may hold it before it has an element.
func NewLargeList() *LargeList { return &LargeList{quicklist.New()} }

func (l *LargeList) Type() Type         { return List }
func (l *LargeList) Encoding() Encoding { return Quicklist }
func (l *LargeList) Len() int           { return l.l.Len() }
func (l *LargeList) MemBytes() int64    { return l.l.Bytes() }

// Clone shares the elements with l until one of the two changes them.
func (l *LargeList) Clone() Object { return &LargeList{l.l.Clone()} }

// Nodes is the number of nodes.
func (l *LargeList) Nodes() int { return l.l.Nodes() }

// EachNode visits the nodes in order: a listpack of elements, or with plain set the bytes of one
// (RDB keeps lists as their nodes).
func (l *LargeList) EachNode(fn func(b []byte, plain bool)) { l.l.EachNode(fn) }

// AddNode adds the elements of a listpack that has been checked, or with plain set one element,
// behind the last. b is copied.
func (l *LargeList) AddNode(b []byte, plain bool) {
	b = slices.Clone(b)
	if plain {
		l.l.AddPlain(b)
	} else if n := listpack.Pack(b).Len(); n > 0 {
		l.l.AddPack(b, n)
	}
}

// Push adds an element behind the last.
func (l *LargeList) Push(s []byte, lim *Limits) { l.l.Push(s, false, quicklist.Limit(lim.ListSize)) }

// Sequence is a list in either form: a listpack, or a LargeList. It aliases what it was made of.
// Exactly one of the two is set; the zero value is none.
type Sequence struct {
	pack  listpack.Pack
	large *LargeList
}

// ListOf is the list of a payload or, if o is not nil, of an Object. To change a payload in
// place, give a copy and store Payload afterwards.
func ListOf(payload []byte, o Object) Sequence {
	if o != nil {
		return Sequence{large: o.(*LargeList)}
	}
	return Sequence{pack: payload}
}

// NewList is an empty list; dst is memory for its payload.
func NewList(dst []byte) Sequence { return Sequence{pack: listpack.New(dst)} }

// Payload is the listpack, or nil for a large list.
func (q *Sequence) Payload() []byte { return q.pack }

// Large is the Object, or nil for a payload.
func (q *Sequence) Large() *LargeList { return q.large }

// Len is the number of elements.
func (q *Sequence) Len() int {
	if q.large != nil {
		return q.large.Len()
	}
	return q.pack.Len()
}

// Expect makes the list large, as Redis does, if it could be too large for one listpack with
// these elements added. It must be called before they are.
func (q *Sequence) Expect(lim *Limits, elements ...[]byte) {
	if q.large != nil {
		return
	}
	size := len(q.pack)
	for _, s := range elements {
		size += len(s)
	}
	if quicklist.Limit(lim.ListSize).Exceeds(size, q.pack.Len()+len(elements)) || size > packMax {
		q.Grow()
	}
}

// Grow makes a listpack a LargeList.
func (q *Sequence) Grow() {
	if q.large != nil {
		return
	}
	large := NewLargeList()
	large.AddNode(q.pack, false)
	*q = Sequence{large: large}
}

// Shrink makes a large list of one node a listpack if that is at most half as large as the
// limit: when elements have been taken out. With whole, as large as the limit: when a list has
// been read or made. dst is memory for the payload.
func (q *Sequence) Shrink(dst []byte, lim *Limits, whole bool) {
	if q.large == nil {
		return
	}
	pack, ok := q.large.l.Sole()
	if !ok {
		return
	}
	size, count := quicklist.Limit(lim.ListSize).Split()
	if !whole {
		size, count = size/2, count/2
	}
	if size > 0 && len(pack) > size || size == 0 && pack.Len() > count {
		return
	}
	*q = Sequence{pack: append(dst[:0], pack...)}
}

// Push adds an element before the first, or behind the last. REQUIRES: Expect.
func (q *Sequence) Push(s []byte, front bool, lim *Limits) {
	switch {
	case q.large != nil:
		q.large.l.Push(s, front, quicklist.Limit(lim.ListSize))
	case front:
		q.pack = q.pack.Prepend(s)
	default:
		q.pack = q.pack.Append(s)
	}
}

// Insert adds an element before number i; i may be Len. REQUIRES: Expect.
func (q *Sequence) Insert(i int, s []byte, lim *Limits) {
	switch {
	case q.large != nil:
		q.large.l.Insert(i, s, quicklist.Limit(lim.ListSize))
	case i == q.pack.Len():
		q.pack = q.pack.Append(s)
	default:
		q.pack = q.pack.Insert(q.pack.Seek(i), s)
	}
}

// Set replaces element number i. REQUIRES: 0 <= i < Len; Expect.
func (q *Sequence) Set(i int, s []byte, lim *Limits) {
	if q.large != nil {
		q.large.l.Set(i, s, quicklist.Limit(lim.ListSize))
	} else {
		q.pack = q.pack.Replace(q.pack.Seek(i), s)
	}
}

// Delete removes count elements from number i on. REQUIRES: 0 <= i, i+count <= Len.
func (q *Sequence) Delete(i, count int) {
	switch {
	case count == 0:
	case q.large != nil:
		q.large.l.Delete(i, count)
	default:
		q.pack = q.pack.Delete(q.pack.Seek(i), count)
	}
}

// Remove removes the first max elements equal to s, with back the last, or all of them if max is
// 0. It returns how many.
func (q *Sequence) Remove(s []byte, max int, back bool) (removed int) {
	if q.large != nil {
		return q.large.l.Remove(s, max, back)
	}
	if !back {
		for at := q.pack.Find(q.pack.First(), s, 0); at >= 0 && (max == 0 || removed < max); at = q.pack.Find(at, s, 0) {
			q.pack = q.pack.Delete(at, 1)
			removed++
		}
		return removed
	}
	for at := q.pack.Prev(q.pack.End()); at >= 0 && (max == 0 || removed < max); {
		before := q.pack.Prev(at)
		if q.pack.Get(at).Equal(s) {
			q.pack = q.pack.Delete(at, 1)
			removed++
		}
		at = before
	}
	return removed
}

// ListIter walks a Sequence. It is valid until the list changes.
type ListIter struct {
	pack  listpack.Pack
	at    int // in pack; -1 when done
	large quicklist.Iter
	isBig bool
	back  bool
	begun bool
	tmp   [20]byte
}

// From walks from element number i on, forwards or, with back, to the front. Without such an
// element there is nothing to walk.
func (q *Sequence) From(i int, back bool) (it ListIter) {
	it.back, it.at = back, -1
	switch {
	case i < 0 || i >= q.Len():
		it.begun = true
	case q.large != nil:
		it.isBig, it.at = true, 0
		it.large = q.large.l.From(i, back)
	default:
		it.pack, it.at = q.pack, q.pack.Seek(i)
	}
	return it
}

// Next goes to the next element, at first to the first, and reports whether there is one.
func (it *ListIter) Next() bool {
	if !it.begun {
		it.begun = true
		return true
	}
	switch {
	case it.at < 0:
	case it.isBig:
		if !it.large.Step() {
			it.at = -1
		}
	case it.back:
		it.at = it.pack.Prev(it.at)
	default:
		if it.at = it.pack.Next(it.at); it.at == it.pack.End() {
			it.at = -1
		}
	}
	return it.at >= 0
}

// Strings goes over the next elements, up to len(dst), as long as they are kept as strings in one block, and
// puts them into dst; they are valid until the list changes. It returns how many they are: 0 says that Next has a number to
// tell, or nothing. REQUIRES: the walk goes forwards; dst is not empty.
func (it *ListIter) Strings(dst [][]byte) (n int) {
	if it.begun && !it.Next() || it.at < 0 {
		return 0
	}
	more := true
	if it.isBig {
		n, more = it.large.Strings(dst)
	} else {
		n, it.at = it.pack.Strings(it.at, dst)
		more = it.at != it.pack.End()
	}
	if it.begun = !more; !more {
		it.at = -1
	}
	return n
}

// Element is the element the walk is at, valid until Next.
func (it *ListIter) Element() []byte { return it.here().Bytes(it.tmp[:]) }

// Int is the element as the number it is kept as, if it is.
func (it *ListIter) Int() (int64, bool) {
	v := it.here()
	return v.Int, v.IsInt
}

// Is reports whether the element is s.
func (it *ListIter) Is(s []byte) bool { return it.here().Equal(s) }

func (it *ListIter) here() listpack.Value {
	if it.isBig {
		return it.large.Here()
	}
	return it.pack.Get(it.at)
}
