package value

import (
	"strconv"

	"github.com/sextantdb/sextant/store/value/internal/intset"
	"github.com/sextantdb/sextant/store/value/internal/listpack"
)

// A set is members: an intset while all are integers and not too many, a listpack while there
// are few and short ones (Limits), else an Object of encoding Hashtable.

// SetView is a set for reading. It aliases what it was made of.
type SetView struct {
	ints intset.Set
	p    listpack.Pack
	t    *table
}

// SetOf is the set of an entry: o if it is not nil, else the payload in encoding enc, Intset or
// Listpack. The zero SetView is empty.
func SetOf(enc Encoding, payload []byte, o Object) SetView {
	switch {
	case o != nil:
		return SetView{t: o.(*table)}
	case payload == nil:
		return SetView{}
	case enc == Intset:
		return SetView{ints: payload}
	}
	return SetView{p: payload}
}

// Encoding is how the set is kept.
func (s SetView) Encoding() Encoding {
	switch {
	case s.t != nil:
		return Hashtable
	case s.p != nil:
		return Listpack
	}
	return Intset
}

// Len is the number of members.
func (s SetView) Len() int {
	switch {
	case s.t != nil:
		return s.t.n
	case s.p != nil:
		return s.p.Len()
	case s.ints != nil:
		return s.ints.Len()
	}
	return 0
}

// Has reports whether m is a member.
func (s SetView) Has(m []byte) bool {
	switch {
	case s.t != nil:
		_, _, ok := s.t.get(m)
		return ok
	case s.p != nil:
		return s.p.Find(s.p.First(), m, 0) >= 0
	case s.ints != nil:
		n, ok := ParseInt(m)
		return ok && s.ints.Has(n)
	}
	return false
}

// Each visits all members until fn returns false. The bytes are valid during the call.
func (s SetView) Each(fn func(m []byte) bool) {
	switch {
	case s.t != nil:
		s.t.each(func(m, _ []byte) bool { return fn(m) })
	case s.p != nil:
		EachInPack(s.p, fn)
	case s.ints != nil:
		var digits [20]byte
		for i := range s.ints.Len() {
			if !fn(strconv.AppendInt(digits[:0], s.ints.At(i), 10)) {
				return
			}
		}
	}
}

// Random is one member, each with the same chance, in scratch (20 bytes) if it is kept as a
// number. rnd gives 64 random bits. REQUIRES: Len() > 0.
func (s SetView) Random(rnd func() uint64, scratch []byte) []byte {
	if s.t != nil {
		m, _ := s.t.random(rnd)
		return m
	}
	i := int(rnd() % uint64(s.Len()))
	if s.p != nil {
		return s.p.Get(s.p.Seek(i)).Bytes(scratch)
	}
	return strconv.AppendInt(scratch[:0], s.ints.At(i), 10)
}

// Scan visits about count members from a cursor on and returns the next cursor, 0 at the end: a
// compact set at once. Every member that is there from the first call to the last is visited.
func (s SetView) Scan(cursor uint64, count int, fn func(m []byte)) uint64 {
	if s.t != nil {
		return s.t.scan(cursor, count, func(m, _ []byte, _ int64) { fn(m) })
	}
	s.Each(func(m []byte) bool { fn(m); return true })
	return 0
}

// SetEdit is a set being changed, or made. What it has become is told by Result.
type SetEdit struct {
	SetView
	limits  *Limits // not changed
	was     *table  // the Object it began as
	scratch []byte
}

// EditSet begins an edit of the set SetOf would return. A payload is copied into scratch, an
// Object is changed in place. With neither, the set is new: as Redis does, its first form is
// chosen by its first member and by how many are about to come.
func EditSet(enc Encoding, payload []byte, o Object, scratch []byte, l *Limits) SetEdit {
	e := SetEdit{SetView: SetOf(enc, payload, o), limits: l, scratch: scratch}
	e.was = e.t
	switch {
	case e.ints != nil:
		e.ints = append(scratch[:0], e.ints...)
	case e.p != nil:
		e.p = append(scratch[:0], e.p...)
	}
	return e
}

// Expect says that n members, first among them, are about to be added: more than a compact set
// may have make it a table at once, as Redis does, even if some turn out to be the same.
func (e *SetEdit) Expect(first []byte, n int) {
	switch {
	case e.t != nil:
	case e.p != nil && n > e.limits.SetEntries, e.ints != nil && n > e.limits.SetIntset:
		e.convert()
	case e.p != nil || e.ints != nil:
	default:
		if _, ok := ParseInt(first); ok && n <= e.limits.SetIntset {
			e.ints = intset.New(e.scratch)
		} else if n <= e.limits.SetEntries {
			e.p = listpack.New(e.scratch)
		} else {
			e.t = newTable(Set)
		}
	}
}

// Begin makes a new set begin in the form enc, whatever its first member is.
func (e *SetEdit) Begin(enc Encoding) {
	if enc == Intset {
		e.ints = intset.New(e.scratch)
	} else {
		e.p = listpack.New(e.scratch)
	}
}

// Add adds a member and reports whether it is new. The bytes must not be of the set itself.
func (e *SetEdit) Add(m []byte) bool {
	if e.t == nil && e.p == nil && e.ints == nil {
		e.Expect(m, 1)
	}
	switch {
	case e.t != nil:
		return e.t.set(m, nil)
	case e.p != nil:
		if e.p.Find(e.p.First(), m, 0) >= 0 {
			return false
		}
		if e.p.Len() < e.limits.SetEntries && len(m) <= e.limits.SetValue && len(e.p)+len(m) < packMax {
			e.p = e.p.Append(m)
			return true
		}
		e.convert()
		return e.t.set(m, nil)
	}
	if n, ok := ParseInt(m); ok {
		ints, added := e.ints.Add(n)
		e.ints = ints
		if e.ints.Len() > min(e.limits.SetIntset, intset.MaxLen) {
			e.convert()
		}
		return added
	}
	if n := e.ints.Len(); n < e.limits.SetEntries && len(m) <= e.limits.SetValue && e.longestInt() <= e.limits.SetValue {
		p := listpack.New(make([]byte, 0, listpack.EmptyBytes+n*6+len(m)+16))
		for i := range n {
			p = p.AppendInt(e.ints.At(i))
		}
		e.ints, e.p = nil, p.Append(m)
		return true
	}
	e.convert()
	return e.t.set(m, nil)
}

// longestInt is the number of digits of the longest number of an intset.
func (e *SetEdit) longestInt() int {
	if e.ints.Len() == 0 {
		return 0
	}
	var digits [20]byte
	first := len(strconv.AppendInt(digits[:0], e.ints.At(0), 10))
	return max(first, len(strconv.AppendInt(digits[:0], e.ints.At(e.ints.Len()-1), 10)))
}

// Remove removes a member and reports whether it was there.
func (e *SetEdit) Remove(m []byte) bool {
	switch {
	case e.t != nil:
		return e.t.remove(m)
	case e.p != nil:
		at := e.p.Find(e.p.First(), m, 0)
		if at >= 0 {
			e.p = e.p.Delete(at, 1)
		}
		return at >= 0
	case e.ints != nil:
		n, ok := ParseInt(m)
		if ok {
			e.ints, ok = e.ints.Remove(n)
		}
		return ok
	}
	return false
}

func (e *SetEdit) convert() {
	t := newTable(Set)
	e.Each(func(m []byte) bool { t.set(m, nil); return true })
	e.t, e.p, e.ints = t, nil, nil
}

// PreferInts makes the set an intset if all its members are integers and not too many, as Redis
// does with intersections.
func (e *SetEdit) PreferInts() {
	if e.p == nil && e.t == nil || e.Len() > min(e.limits.SetIntset, intset.MaxLen) {
		return
	}
	ints := intset.New(nil)
	all := true
	e.Each(func(m []byte) bool {
		var n int64
		if n, all = ParseInt(m); all {
			ints, _ = ints.Add(n)
		}
		return all
	})
	if all {
		e.ints, e.p, e.t = ints, nil, nil
	}
}

// Result is what the set is now: an Object that must be stored (nil when the Object that was
// there has been changed in place), or a payload of encoding enc.
func (e *SetEdit) Result() (enc Encoding, payload []byte, o Object) {
	switch {
	case e.t == nil && e.p != nil:
		return Listpack, e.p, nil
	case e.t == nil:
		return Intset, e.ints, nil
	case e.t != e.was:
		return Hashtable, nil, e.t
	}
	return Hashtable, nil, nil
}

// Scratch is the memory given to EditSet, perhaps grown, for the next edit.
func (e *SetEdit) Scratch() []byte {
	switch {
	case e.p != nil:
		return e.p
	case e.ints != nil:
		return e.ints
	}
	return e.scratch
}

// FitSet makes a compact set that came from outside into an Object if it is beyond the limits.
// ok is false when a member occurs twice. REQUIRES: CheckPack or CheckIntset.
func FitSet(enc Encoding, payload []byte, l Limits) (o Object, ok bool) {
	s := SetOf(enc, payload, nil)
	if enc == Intset && s.Len() <= l.SetIntset {
		return nil, true // sorted: no member is there twice
	}
	fits := enc == Listpack && s.Len() <= l.SetEntries
	t := newTable(Set)
	s.Each(func(m []byte) bool {
		fits = fits && len(m) <= l.SetValue
		t.set(m, nil)
		return true
	})
	switch {
	case t.n != s.Len():
		return nil, false
	case fits:
		return nil, true
	}
	return t, true
}

// Sample chooses count of n things that pass by one after the other: Take says whether the
// next is chosen. Every subset of count has the same chance.
type Sample struct {
	left, want uint64
	rnd        func() uint64
}

// NewSample chooses count of n. REQUIRES: count <= n. rnd gives 64 random bits.
func NewSample(n, count int, rnd func() uint64) Sample {
	return Sample{uint64(n), uint64(count), rnd}
}

// Take reports whether the next thing is chosen.
func (s *Sample) Take() bool {
	take := s.want > 0 && s.rnd()%s.left < s.want
	if take {
		s.want--
	}
	s.left--
	return take
}

// Done reports whether all are chosen.
func (s *Sample) Done() bool { return s.want == 0 }

// Names is a set of byte strings for temporary use.
type Names struct{ t *table }

// Add adds s and reports whether it is new.
func (n *Names) Add(s []byte) bool {
	if n.t == nil {
		n.t = newTable(Set)
	}
	return n.t.set(s, nil)
}
