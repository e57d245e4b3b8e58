package value

import "github.com/sextantdb/sextant/store/value/internal/listpack"

// A hash is fields with values: a listpack of fields and values in turn, in the order in which
// the fields came, while it is small (Limits), else an Object of encoding Hashtable.

// HashView is a hash for reading. It aliases what it was made of.
type HashView struct {
	p listpack.Pack
	t *table
}

// HashOf is the hash of an entry: o if it is not nil, else the payload. The zero HashView is empty.
func HashOf(payload []byte, o Object) HashView {
	if o != nil {
		return HashView{t: o.(*table)}
	}
	return HashView{p: payload}
}

// Len is the number of fields.
func (h HashView) Len() int {
	switch {
	case h.t != nil:
		return h.t.n
	case h.p != nil:
		return h.p.Len() / 2
	}
	return 0
}

// Compact reports whether the hash is one byte string: walking through it all is nothing then.
func (h HashView) Compact() bool { return h.t == nil }

// Get is the value of a field, in scratch (20 bytes) if it is kept as a number, and whether
// there is such a field.
func (h HashView) Get(field, scratch []byte) ([]byte, bool) {
	if h.t != nil {
		return h.t.get(field)
	}
	if at := h.find(field); at >= 0 {
		return h.p.Get(h.p.Next(at)).Bytes(scratch), true
	}
	return nil, false
}

// Has reports whether there is such a field.
func (h HashView) Has(field []byte) bool {
	if h.t != nil {
		_, ok := h.t.get(field)
		return ok
	}
	return h.find(field) >= 0
}

// ValueLen is the length of a field's value, 0 without the field.
func (h HashView) ValueLen(field []byte) int {
	if h.t != nil {
		v, _ := h.t.get(field)
		return len(v)
	}
	if at := h.find(field); at >= 0 {
		return h.p.Get(h.p.Next(at)).Len()
	}
	return 0
}

func (h HashView) find(field []byte) int {
	if h.p == nil {
		return -1
	}
	return h.p.Find(h.p.First(), field, 1)
}

// Each visits all fields until fn returns false. The bytes are valid during the call.
func (h HashView) Each(fn func(field, val []byte) bool) {
	switch {
	case h.t != nil:
		h.t.each(fn)
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

// Random visits one field, each with the same chance. rnd gives 64 random bits. REQUIRES: Len() > 0.
func (h HashView) Random(rnd func() uint64, fn func(field, val []byte)) {
	if h.t != nil {
		fn(h.t.random(rnd))
		return
	}
	var d1, d2 [20]byte
	at := h.p.Seek(2 * int(rnd()%uint64(h.Len())))
	fn(h.p.Get(at).Bytes(d1[:]), h.p.Get(h.p.Next(at)).Bytes(d2[:]))
}

// Scan visits about count fields from a cursor on and returns the next cursor, 0 at the end: a
// compact hash at once. Every field that is there from the first call to the last is visited.
// A cursor goes on meaning the same when the hash grows out of its compact form.
func (h HashView) Scan(cursor uint64, count int, fn func(field, val []byte)) uint64 {
	if h.t != nil {
		return h.t.scan(cursor, count, fn)
	}
	h.Each(func(f, v []byte) bool { fn(f, v); return true })
	return 0
}

// HashEdit is a hash being changed, or made. What it has become is told by Result.
type HashEdit struct {
	HashView
	limits Limits
	was    *table // the Object it began as
}

// EditHash begins an edit of the hash HashOf would return; of a new one when both are nil. A
// payload is copied into scratch, an Object is changed in place.
func EditHash(payload []byte, o Object, scratch []byte, l Limits) HashEdit {
	e := HashEdit{HashView: HashOf(payload, o), limits: l}
	switch {
	case e.t != nil:
		e.was = e.t
	case payload != nil:
		e.p = append(scratch[:0], payload...)
	default:
		e.p = listpack.New(scratch)
	}
	return e
}

// Expect says that n fields are about to be set: more than a compact hash may have make it a
// table at once, as Redis does, even if some turn out to be the same.
func (e *HashEdit) Expect(n int) {
	if e.t == nil && n > e.limits.HashEntries {
		e.convert()
	}
}

// Set sets a field and reports whether it is new. The bytes must not be of the hash itself.
func (e *HashEdit) Set(field, val []byte) bool {
	if e.t == nil && (len(field) > e.limits.HashValue || len(val) > e.limits.HashValue || len(e.p)+len(field)+len(val) > packMax) {
		e.convert()
	}
	if e.t != nil {
		return e.t.set(field, val)
	}
	if at := e.find(field); at >= 0 {
		e.p = e.p.Replace(e.p.Next(at), val)
		return false
	}
	e.p = e.p.Append(field)
	e.p = e.p.Append(val)
	if e.p.Len()/2 > e.limits.HashEntries {
		e.convert()
	}
	return true
}

// Delete removes a field and reports whether it was there.
func (e *HashEdit) Delete(field []byte) bool {
	if e.t != nil {
		return e.t.remove(field)
	}
	at := e.find(field)
	if at >= 0 {
		e.p = e.p.Delete(at, 2)
	}
	return at >= 0
}

func (e *HashEdit) convert() {
	t := newTable(Hash)
	e.Each(func(f, v []byte) bool { t.set(f, v); return true })
	e.t = t
}

// Result is what the hash is now: an Object that must be stored (nil when the Object that was
// there has been changed in place), or a payload of encoding Listpack.
func (e *HashEdit) Result() (payload []byte, o Object) {
	switch {
	case e.t == nil:
		return e.p, nil
	case e.t != e.was:
		return nil, e.t
	}
	return nil, nil
}

// Scratch is the memory given to EditHash, perhaps grown, for the next edit.
func (e *HashEdit) Scratch() []byte { return e.p }

// FitHash makes a compact hash that came from outside into an Object if it is beyond the
// limits. ok is false when a field occurs twice. REQUIRES: CheckPack, an even number of elements.
func FitHash(payload []byte, l Limits) (o Object, ok bool) {
	h := HashOf(payload, nil)
	fits := h.Len() <= l.HashEntries
	t := newTable(Hash)
	h.Each(func(f, v []byte) bool {
		fits = fits && len(f) <= l.HashValue && len(v) <= l.HashValue
		t.set(f, v)
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
