package value

import (
	"math"

	"github.com/sextantdb/sextant/store/value/internal/listpack"
)

// A hash is fields with values, and with times at which fields expire where that was asked for.
// While it is small (Limits) it is one listpack, else an Object of encoding Hashtable.
//
// A listpack of encoding Listpack has fields and values in turn, in the order in which the fields
// came. In one of encoding ListpackEx the time follows the value, 0 standing for never: a hash
// becomes that with the first field that gets a time, and stays it. There the fields are in the
// order of their times, those without one last, so that the first tells when something expires.
// It is Redis' form, byte for byte.
//
// A field lives up to and including the last millisecond of its time, as a key does. What has
// expired is still there, and counts, until it is removed (HashEdit.RemoveDue), but a view of a
// time does not show it.

// Never is a time that does not come.
const Never = math.MaxInt64

// HashView is a hash for reading. It aliases what it was made of.
type HashView struct {
	p     listpack.Pack
	t     *table
	timed bool  // p is a ListpackEx
	now   int64 // fields whose time was before are not shown
}

// HashOf is the hash of an entry as of a time: o if it is not nil, else the payload, which has the
// encoding. At time 0 all fields are shown. The zero HashView is empty.
func HashOf(enc Encoding, payload []byte, o Object, now int64) HashView {
	if o != nil {
		return HashView{t: o.(*table), now: now}
	}
	return HashView{p: payload, timed: enc == ListpackEx, now: now}
}

// stride is how many elements of the listpack a field takes.
func (h HashView) stride() int {
	if h.timed {
		return 3
	}
	return 2
}

// gone reports whether a field with that time is not shown.
func (h HashView) gone(at int64) bool { return at != 0 && at < h.now }

// Len is the number of fields.
func (h HashView) Len() int {
	n := 0
	switch {
	case h.t != nil:
		n = h.t.n
	case h.p != nil:
		n = h.p.Len() / h.stride()
	}
	if h.Due() {
		n = 0
		h.each(func(_, _ []byte, _ int64) bool { n++; return true })
	}
	return n
}

// NextExpiry is a time before which no field expires, Never if none has a time. It may be too
// early, never too late.
func (h HashView) NextExpiry() int64 {
	switch {
	case h.t != nil && h.t.next != 0:
		return h.t.next
	case h.t == nil && h.timed && h.p.First() != h.p.End():
		if at := h.p.Get(h.p.Next(h.p.Next(h.p.First()))).Int; at != 0 {
			return at
		}
	}
	return Never
}

// FirstExpiry is NextExpiry, exactly: the first time at which a field expires. It looks through a
// large hash.
func (h HashView) FirstExpiry() int64 {
	if h.t == nil {
		return h.NextExpiry()
	}
	if at := h.t.firstTime(); at != 0 {
		return at
	}
	return Never
}

// Due reports whether there may be fields that are not shown.
func (h HashView) Due() bool { return h.now != 0 && h.NextExpiry() < h.now }

// Compact reports whether the hash is one byte string: walking through it all is nothing then.
func (h HashView) Compact() bool { return h.t == nil }

// Get is the value of a field, in scratch (20 bytes) if it is kept as a number, and whether
// there is such a field.
func (h HashView) Get(field, scratch []byte) ([]byte, bool) {
	if h.t != nil {
		v, at, ok := h.t.get(field)
		if h.gone(at) {
			return nil, false
		}
		return v, ok
	}
	if at := h.find(field); at >= 0 {
		return h.p.Get(h.p.Next(at)).Bytes(scratch), true
	}
	return nil, false
}

// Has reports whether there is such a field.
func (h HashView) Has(field []byte) bool {
	_, ok := h.ExpiresAt(field)
	return ok
}

// ExpiresAt is the time at which a field expires, 0 for never, and whether there is such a field.
func (h HashView) ExpiresAt(field []byte) (at int64, ok bool) {
	if h.t != nil {
		_, at, ok = h.t.get(field)
		return at, ok && !h.gone(at)
	}
	i := h.find(field)
	if i < 0 {
		return 0, false
	}
	return h.timeAt(i), true
}

// ValueLen is the length of a field's value, 0 without the field.
func (h HashView) ValueLen(field []byte) int {
	if h.t != nil {
		v, at, _ := h.t.get(field)
		if h.gone(at) {
			return 0
		}
		return len(v)
	}
	if at := h.find(field); at >= 0 {
		return h.p.Get(h.p.Next(at)).Len()
	}
	return 0
}

// find is where a field that is shown stands in the listpack, or -1.
func (h HashView) find(field []byte) int {
	i := h.findAny(field)
	if i >= 0 && h.timed && h.gone(h.timeAt(i)) {
		return -1
	}
	return i
}

func (h HashView) findAny(field []byte) int {
	if h.p == nil {
		return -1
	}
	return h.p.Find(h.p.First(), field, h.stride()-1)
}

// timeAt is the time of the field at a place of the listpack.
func (h HashView) timeAt(i int) int64 {
	if !h.timed {
		return 0
	}
	return h.p.Get(h.p.Next(h.p.Next(i))).Int
}

// Each visits all fields until fn returns false. The bytes are valid during the call.
func (h HashView) Each(fn func(field, val []byte) bool) {
	switch {
	case h.t != nil && h.t.next == 0:
		h.t.each(fn)
	case h.timed || h.t != nil:
		h.each(func(field, val []byte, _ int64) bool { return fn(field, val) })
	case h.p != nil:
		var d1, d2, field, val []byte // d1 and d2 are room for numbers, once there are some
		for at, end := h.p.First(), h.p.End(); at != end; {
			next := h.p.Next(at)
			field, d1 = textOf(h.p.Get(at), d1)
			val, d2 = textOf(h.p.Get(next), d2)
			if !fn(field, val) {
				return
			}
			at = h.p.Next(next)
		}
	}
}

// EachTimed is Each with the times at which fields expire, 0 for never.
func (h HashView) EachTimed(fn func(field, val []byte, at int64) bool) { h.each(fn) }

func (h HashView) each(fn func(field, val []byte, at int64) bool) {
	if h.t != nil {
		h.t.eachTimed(func(field, val []byte, at int64) bool { return h.gone(at) || fn(field, val, at) })
		return
	}
	if h.p == nil {
		return
	}
	var d1, d2, field, val []byte
	for i, end := h.p.First(), h.p.End(); i != end; {
		next := h.p.Next(i)
		if at := h.timeAt(i); !h.gone(at) {
			field, d1 = textOf(h.p.Get(i), d1)
			val, d2 = textOf(h.p.Get(next), d2)
			if !fn(field, val, at) {
				return
			}
		}
		if i = h.p.Next(next); h.timed {
			i = h.p.Next(i)
		}
	}
}

// Random visits one field, each with the same chance. rnd gives 64 random bits. REQUIRES: Len() > 0.
func (h HashView) Random(rnd func() uint64, fn func(field, val []byte)) {
	switch {
	case h.Due():
		i := int(rnd() % uint64(h.Len()))
		h.each(func(field, val []byte, _ int64) bool {
			if i--; i < 0 {
				fn(field, val)
			}
			return i >= 0
		})
	case h.t != nil:
		fn(h.t.random(rnd))
	default:
		var d1, d2 [20]byte
		at := h.p.Seek(h.stride() * int(rnd()%uint64(h.Len())))
		fn(h.p.Get(at).Bytes(d1[:]), h.p.Get(h.p.Next(at)).Bytes(d2[:]))
	}
}

// Scan visits about count fields from a cursor on and returns the next cursor, 0 at the end: a
// compact hash at once. Every field that is there from the first call to the last is visited.
// A cursor goes on meaning the same when the hash grows out of its compact form.
func (h HashView) Scan(cursor uint64, count int, fn func(field, val []byte)) uint64 {
	if h.t != nil {
		return h.t.scan(cursor, count, func(field, val []byte, at int64) {
			if !h.gone(at) {
				fn(field, val)
			}
		})
	}
	h.Each(func(f, v []byte) bool { fn(f, v); return true })
	return 0
}

// HashEdit is a hash being changed, or made. What it has become is told by Result.
type HashEdit struct {
	HashView
	limits *Limits // not changed
	was    *table  // the Object it began as
}

// EditHash begins an edit of the hash HashOf would return; of a new one when payload and o are
// nil. A payload is copied into scratch, an Object is changed in place.
func EditHash(enc Encoding, payload []byte, o Object, now int64, scratch []byte, l *Limits) HashEdit {
	e := HashEdit{HashView: HashOf(enc, payload, o, now), limits: l}
	switch {
	case e.t != nil:
		e.was = e.t
	case payload != nil:
		e.p = append(scratch[:0], payload...)
	default:
		e.p, e.timed = listpack.New(scratch), false
	}
	return e
}

// NewHash begins a new hash.
func NewHash(scratch []byte, l *Limits) HashEdit {
	return EditHash(Listpack, nil, nil, 0, scratch, l)
}

// Expect says that n fields are about to be set: more than a compact hash may have make it a
// table at once, as Redis does, even if some turn out to be the same.
func (e *HashEdit) Expect(n int) {
	if e.t == nil && n > e.limits.HashEntries {
		e.convert()
	}
}

// Set sets a field, which never expires then, and reports whether it is new. The bytes must not
// be of the hash itself.
func (e *HashEdit) Set(field, val []byte) bool {
	isNew := e.SetKeeping(field, val)
	if e.NextExpiry() != Never {
		if at, _ := e.ExpiresAt(field); at != 0 {
			e.SetExpiry(field, 0)
		}
	}
	return isNew
}

// SetKeeping is Set for a field that goes on expiring when it would have.
func (e *HashEdit) SetKeeping(field, val []byte) bool {
	if e.t == nil && (len(field) > e.limits.HashValue || len(val) > e.limits.HashValue || len(e.p)+len(field)+len(val) > packMax) {
		e.convert()
	}
	if e.t != nil {
		if e.t.next != 0 {
			if _, at, ok := e.t.get(field); ok && e.gone(at) {
				e.t.remove(field)
			}
		}
		return e.t.set(field, val)
	}
	if at := e.findAny(field); at >= 0 {
		if !e.gone(e.timeAt(at)) {
			e.p = e.p.Replace(e.p.Next(at), val)
			return false
		}
		e.p = e.p.Delete(at, e.stride())
	}
	e.p = e.p.Append(field)
	e.p = e.p.Append(val)
	if e.timed {
		e.p = e.p.AppendInt(0)
	}
	if e.p.Len()/e.stride() > e.limits.HashEntries {
		e.convert()
	}
	return true
}

// SetExpiry sets the time at which a field expires, 0 for never. REQUIRES: Has(field).
func (e *HashEdit) SetExpiry(field []byte, at int64) {
	if e.t != nil {
		e.t.setTime(field, at)
		return
	}
	if !e.timed {
		if at == 0 {
			return
		}
		e.addTimes()
	}
	i := e.find(field)
	vi := e.p.Next(i)
	ti := e.p.Next(vi)
	if e.p.Get(ti).Int == at {
		return
	}
	// The field moves to its place in the order of times.
	var d1, d2 [20]byte
	f := append([]byte(nil), e.p.Get(i).Bytes(d1[:])...)
	v := append([]byte(nil), e.p.Get(vi).Bytes(d2[:])...)
	e.p = e.p.Delete(i, 3)
	e.insert(f, v, at)
}

// insert puts a field, with its value and time, into a ListpackEx.
func (e *HashEdit) insert(field, val []byte, at int64) {
	i, end := e.p.First(), e.p.End()
	if at == 0 {
		i = end
	}
	for i != end {
		if has := e.timeAt(i); has == 0 || has > at {
			break
		}
		i = e.p.Next(e.p.Next(e.p.Next(i)))
	}
	e.p = e.p.InsertInt(i, at)
	e.p = e.p.Insert(i, val)
	e.p = e.p.Insert(i, field)
}

// addTimes makes a Listpack a ListpackEx.
func (e *HashEdit) addTimes() {
	p := listpack.New(make([]byte, 0, len(e.p)+2*e.p.Len()+16))
	e.Each(func(field, val []byte) bool {
		p = p.Append(field)
		p = p.Append(val)
		p = p.AppendInt(0)
		return true
	})
	e.p, e.timed = p, true
}

// Delete removes a field and reports whether it was there.
func (e *HashEdit) Delete(field []byte) bool {
	if e.t != nil {
		_, at, _ := e.t.get(field)
		return e.t.remove(field) && !e.gone(at)
	}
	at := e.find(field)
	if at >= 0 {
		e.p = e.p.Delete(at, e.stride())
	}
	return at >= 0
}

// RemoveDue removes fields whose time was before now, at most limit of them, and gives them to
// fn. more: some are left.
func (e *HashEdit) RemoveDue(now int64, limit int, fn func(field []byte)) (n int, more bool) {
	if e.t != nil {
		return e.t.removeDue(now, limit, fn)
	}
	for e.timed && e.p.First() != e.p.End() {
		i := e.p.First()
		if at := e.timeAt(i); at == 0 || at >= now {
			break
		}
		if n == limit {
			return n, true
		}
		var digits [20]byte
		fn(e.p.Get(i).Bytes(digits[:]))
		e.p = e.p.Delete(i, 3)
		n++
	}
	return n, false
}

func (e *HashEdit) convert() {
	t := newTable(Hash)
	view := e.HashView
	view.now = 0
	view.each(func(f, v []byte, at int64) bool {
		if t.set(f, v); at != 0 {
			t.setTime(f, at)
		}
		return true
	})
	e.t = t
}

// Result is what the hash is now: an Object that must be stored (nil when the Object that was
// there has been changed in place), or a payload with its encoding.
func (e *HashEdit) Result() (enc Encoding, payload []byte, o Object) {
	switch {
	case e.t == nil && e.timed:
		return ListpackEx, e.p, nil
	case e.t == nil:
		return Listpack, e.p, nil
	case e.t != e.was:
		return Hashtable, nil, e.t
	}
	return Hashtable, nil, nil
}

// Scratch is the memory given to EditHash, perhaps grown, for the next edit.
func (e *HashEdit) Scratch() []byte { return e.p }

// NextFieldExpiry is HashView.NextExpiry of any value: Never for what is no hash.
func NextFieldExpiry(typ Type, enc Encoding, payload []byte, o Object) int64 {
	if typ != Hash || o == nil && enc != ListpackEx {
		return Never
	}
	return HashOf(enc, payload, o, 0).NextExpiry()
}

// CheckListpackEx reports whether a listpack from outside is a hash with times: fields, values
// and times in turn, in the order of times. Fields may occur twice; see FitHash.
func CheckListpackEx(payload []byte) bool {
	n, ok := CheckPack(payload)
	if !ok || n == 0 || n%3 != 0 {
		return false
	}
	h := HashOf(ListpackEx, payload, nil, 0)
	last := int64(1)
	for i, end := h.p.First(), h.p.End(); i != end; {
		ti := h.p.Next(h.p.Next(i))
		v := h.p.Get(ti)
		switch {
		case !v.IsInt || v.Int < 0:
			return false
		case v.Int == 0:
			last = Never
		case v.Int < last:
			return false
		default:
			last = v.Int
		}
		i = h.p.Next(ti)
	}
	return true
}

// FitHash makes a compact hash that came from outside into an Object if it is beyond the
// limits. ok is false when a field occurs twice. REQUIRES: CheckPack and an even number of
// elements, or CheckListpackEx.
func FitHash(enc Encoding, payload []byte, l Limits) (o Object, ok bool) {
	h := HashOf(enc, payload, nil, 0)
	fits := h.Len() <= l.HashEntries
	t := newTable(Hash)
	h.each(func(f, v []byte, at int64) bool {
		fits = fits && len(f) <= l.HashValue && len(v) <= l.HashValue
		if t.set(f, v); at != 0 {
			t.setTime(f, at)
		}
		return true
	})
	switch {
	case t.n != h.Len():
		return nil, false
	case fits:
		return nil, true
	}
	return t, true
}
