package store

import (
	"encoding/binary"
	"strconv"

	"github.com/sextantdb/sextant/store/arena"
	"github.com/sextantdb/sextant/store/value"
)

// Every write goes through the same three points: changing (before the first change of an
// existing entry: its image goes to a running snapshot), one of place's and table's
// mutators, and changed (after: dirty count, WATCH, notes).

// changing must be called before the entry at p is changed. It may be called again.
func (t *Txn) changing(p *place) {
	if t.s.snap != nil && entryFlags(p.b)&flagMark != t.s.mark {
		t.preImage(p, false)
	}
}

// changed tells who must know that key, which is p's, has changed.
func (t *Txn) changed(p *place, key []byte) {
	t.dirty++
	if p.st.watches != nil {
		p.st.touchWatched(t.dbOf(p.space), key)
	}
	if t.touch {
		t.noteTouched(t.dbOf(p.space), key, false)
	}
}

// put makes room for a value of the given shape at key and returns its inline payload, to
// be filled by the caller, who then calls changed. sh.expire may be KeepTTL. p says where
// the entry is then; existed whether there was one.
func (t *Txn) put(p *place, key []byte, sh *shape) (payload []byte, existed bool) {
	found := t.locate(p, key)
	st := p.st
	if !found && t.view == ViewReplica {
		// A writable replica replaces the expired key it hides.
		if t.s.refind(p, key); p.b != nil {
			t.discard(p)
			t.s.refind(p, key)
		}
	}
	if !found {
		if sh.expire == KeepTTL {
			sh.expire = NoExpire
		}
		ref := st.entries.Alloc(sh.size(len(key)))
		b := st.entries.At(ref)
		payload = sh.write(b, key, t.newClock(), t.s.mark)
		t.s.insert(p, ref, sh.expire)
		return payload, false
	}
	if t.s.snap != nil && entryFlags(p.b)&flagMark != t.s.mark {
		t.preImage(p, true)
	}
	old := entryExpire(p.b)
	if sh.expire == KeepTTL {
		sh.expire = old
	}
	st.releaseValue(p.b)
	oldSize, newSize := entrySize(p.b), sh.size(len(key))
	clock := t.rewrittenClock(entryClock(p.b))
	if st.entries.Resize(p.ref, oldSize, newSize) {
		payload = sh.write(p.b, key, clock, t.s.mark)
	} else {
		ref := st.entries.Alloc(newSize)
		payload = sh.write(st.entries.At(ref), key, clock, t.s.mark)
		p.move(ref, oldSize)
	}
	if old != sh.expire {
		p.noteExpire(t.s, old, sh.expire)
	}
	return payload, true
}

// move puts the block ref, a rewritten copy, in the place of the entry at p, whose block
// used size bytes, and frees that.
func (p *place) move(ref arena.Ref, size int) {
	p.st.entries.Free(p.ref, size)
	w := p.seg.all()
	w[p.i] = w[p.i]&^refMask | uint64(ref)
	p.ref, p.b = ref, p.st.entries.At(ref)
}

// lazyElements is from how many elements on an object that goes is counted as freed in the background, as Redis has it.
const lazyElements = 64

// releaseValue frees what b owns besides itself. b's payload is meaningless afterwards.
func (st *stripe) releaseValue(b block) {
	if o := st.freeValue(b); o != nil && o.Len() > lazyElements {
		st.lazyFreed.Add(1) // the collector's work from here on
	}
}

// freeValue is releaseValue for keys that are counted themselves. It returns the object that b had.
func (st *stripe) freeValue(b block) value.Object {
	f := entryFlags(b)
	if f&(flagObject|flagOutline) == 0 {
		return nil
	}
	off, _ := inlineAt(b)
	if f&flagObject != 0 {
		return st.takeObject(get32(b, off))
	}
	st.values.Free(arena.Ref(get64(b, off)), valueHeader+int(get64(b, off+8)))
	return nil
}

// discard removes the entry at p and everything it owns.
func (t *Txn) discard(p *place) {
	if t.s.snap != nil && entryFlags(p.b)&flagMark != t.s.mark {
		t.preImage(p, true)
	}
	st, b, ref := p.st, p.b, p.ref
	size := entrySize(b)
	st.releaseValue(b)
	t.s.remove(p, entryExpire(b))
	st.entries.Free(ref, size)
	p.b = nil
}

// ownValue makes the large value of the entry at p refer back to it.
func (p *place) ownValue() {
	if entryFlags(p.b)&flagOutline != 0 {
		off, _ := inlineAt(p.b)
		put64(p.st.values.At(arena.Ref(get64(p.b, off))), 0, uint64(p.ref))
	}
}

// putBytes stores a payload, inline or beside the entry.
func (t *Txn) putBytes(p *place, key []byte, typ value.Type, enc value.Encoding, val []byte, at int64) bool {
	sh := shape{typ: typ, enc: enc, expire: at, inline: len(val)}
	if len(val) <= inlineMax {
		payload, existed := t.put(p, key, &sh)
		copy(payload, val)
		if enc == value.ListpackEx {
			t.s.noteFields(p)
		}
		return existed
	}
	sh.flags, sh.inline = flagOutline, 16
	payload, existed := t.put(p, key, &sh)
	r := p.st.values.Alloc(valueHeader + len(val))
	copy(span(p.st.values.At(r), valueHeader, len(val)), val)
	binary.LittleEndian.PutUint64(payload, uint64(r))
	binary.LittleEndian.PutUint64(payload[8:], uint64(len(val)))
	p.ownValue()
	if enc == value.ListpackEx {
		t.s.noteFields(p)
	}
	return existed
}

// SetString makes val the value of key as SET does: encoding Int, Embstr or Raw. at is an
// expiry time in ms, NoExpire or KeepTTL. A previous value of any type is replaced. It
// reports whether key existed. val must not alias the value of key itself.
func (t *Txn) SetString(key, val []byte, at int64) bool {
	enc, n := value.StringEncoding(val)
	if enc == value.Int {
		return t.SetInt(key, n, at)
	}
	return t.SetPayload(key, value.String, enc, val, at)
}

// SetInt is SetString for a number.
func (t *Txn) SetInt(key []byte, n int64, at int64) bool {
	var p place
	sh := shape{typ: value.String, enc: value.Int, expire: at, inline: 8}
	payload, existed := t.put(&p, key, &sh)
	binary.LittleEndian.PutUint64(payload, uint64(n))
	t.changed(&p, key)
	return existed
}

// SetPayload makes key hold a payload of the given type and encoding (as Entry.Payload
// returns it): text that must not become an integer, or a compact collection.
func (t *Txn) SetPayload(key []byte, typ value.Type, enc value.Encoding, payload []byte, at int64) bool {
	var p place
	existed := t.putBytes(&p, key, typ, enc, payload, at)
	t.changed(&p, key)
	return existed
}

// SetObject makes key hold o. The store owns o from then on.
func (t *Txn) SetObject(key []byte, o value.Object, at int64) bool {
	var p place
	existed := t.putObject(&p, key, o, at)
	t.changed(&p, key)
	return existed
}

func (t *Txn) putObject(p *place, key []byte, o value.Object, at int64) bool {
	sh := shape{typ: o.Type(), enc: o.Encoding(), flags: flagObject, expire: at, inline: 4}
	payload, existed := t.put(p, key, &sh)
	binary.LittleEndian.PutUint32(payload, p.st.putObject(o))
	t.s.noteFields(p)
	return existed
}

// Edit returns the Object of key for changing it, after everything that must happen before
// a change (snapshot pre-image, WATCH, dirty). The memory count is settled at End. The
// caller deletes the key when the object has become empty. false: absent or no Object.
func (t *Txn) Edit(key []byte) (value.Object, bool) {
	var p place
	if !t.locate(&p, key) || entryFlags(p.b)&flagObject == 0 {
		return nil, false
	}
	o := t.amend(&p)
	t.changed(&p, key)
	return o, true
}

// EditEntry is Edit of the Object that Lookup found under key, without looking again. REQUIRES: e holds an Object, and
// nothing was changed since.
func (t *Txn) EditEntry(e Entry, key []byte) value.Object {
	o := t.AmendEntry(e, key)
	t.AmendedEntry(e, key)
	return o
}

// AmendEntry is EditEntry as Amend is Edit. AmendedEntry says that it was a real change. REQUIRES: as EditEntry.
func (t *Txn) AmendEntry(e Entry, key []byte) value.Object {
	p := place{st: e.st, b: e.b, space: t.space}
	if invariants {
		if t.s.findKey(&p, t.space, key); p.b != e.b {
			panic("store: an entry is to be edited that has changed")
		}
	}
	if t.s.snap != nil {
		p.slot = t.slotOf(key)
	}
	return t.amend(&p)
}

// AmendedEntry: see AmendEntry.
func (t *Txn) AmendedEntry(e Entry, key []byte) {
	t.changed(&place{st: e.st, space: t.space}, key)
}

// Amend is Edit for a change that may turn out to be none, or one that WATCH and Dirty should not
// hear of (when a consumer of a stream was last seen). Amended says that it was a real one.
func (t *Txn) Amend(key []byte) (value.Object, bool) {
	var p place
	if !t.locate(&p, key) || entryFlags(p.b)&flagObject == 0 {
		return nil, false
	}
	return t.amend(&p), true
}

func (t *Txn) amend(p *place) value.Object {
	t.changing(p)
	off, _ := inlineAt(p.b)
	h := get32(p.b, off)
	t.edits = append(t.edits, edit{p.st, h})
	return p.st.objects[h]
}

// Amended notes a change of key that was made by Amend. REQUIRES: key exists.
func (t *Txn) Amended(key []byte) {
	var p place
	if t.locate(&p, key) {
		t.changed(&p, key)
	}
}

// Append appends val to the string at key, which is created if absent, and returns the
// new length. Encodings follow Redis: a new key as SET, an existing one becomes Raw.
// REQUIRES: key is absent or a string.
func (t *Txn) Append(key, val []byte) int {
	var p place
	if !t.locate(&p, key) {
		t.SetString(key, val, NoExpire)
		return len(val)
	}
	t.changing(&p)
	n := Entry{p.b, t, p.st}.StrLen()
	copy(t.stretch(&p, n+len(val))[n:], val)
	t.changed(&p, key)
	return n + len(val)
}

// SetRange writes val over the string at key from offset, zero-filling a gap, and returns
// the new length. An absent key is created as Raw. REQUIRES: absent or a string; val not empty.
func (t *Txn) SetRange(key []byte, offset int, val []byte) int {
	text, n := t.editString(key, offset+len(val))
	if n < offset {
		clear(text[n:offset])
	}
	copy(text[offset:], val)
	return len(text)
}

// EditString makes the string at key, which is created if absent, a Raw one of at least n
// bytes and returns it for writing in place; new bytes are zero. It is changed from here on,
// whatever the caller writes. REQUIRES: absent or a string; n > 0.
func (t *Txn) EditString(key []byte, n int) []byte {
	text, old := t.editString(key, n)
	clear(text[old:])
	return text
}

// editString is EditString with arbitrary content behind the old bytes.
func (t *Txn) editString(key []byte, n int) (text []byte, old int) {
	var p place
	if t.locate(&p, key) {
		t.changing(&p)
		old = Entry{p.b, t, p.st}.StrLen()
	} else {
		t.putBytes(&p, key, value.String, value.Raw, nil, NoExpire)
	}
	text = t.stretch(&p, max(n, old))
	t.changed(&p, key)
	return text, old
}

// stretch makes the string at p a Raw one of n bytes, not fewer than it has, and returns
// them for writing. What is new has arbitrary content. Blocks that move get room to grow.
func (t *Txn) stretch(p *place, n int) []byte {
	b, st := p.b, p.st
	off, inline := inlineAt(b)
	if entryFlags(b)&flagOutline != 0 {
		r, old := arena.Ref(get64(b, off)), int(get64(b, off+8))
		if !st.values.Resize(r, valueHeader+old, valueHeader+n) {
			to := st.values.AllocRoom(valueHeader+n, valueHeader+room(n))
			copy(span(st.values.At(to), 0, valueHeader+old), span(st.values.At(r), 0, valueHeader+old))
			st.values.Free(r, valueHeader+old)
			put64(b, off, uint64(to))
			r = to
		}
		put64(b, off+8, uint64(n))
		*at8(b, 0) = uint8(value.String)<<4 | uint8(value.Raw)
		return span(st.values.At(r), valueHeader, n)
	}
	var digits [20]byte
	text := span(b, off, inline)
	if entryEnc(b) == value.Int {
		text = strconv.AppendInt(digits[:0], int64(get64(b, off)), 10)
	}
	if n <= inlineMax {
		wasInt := entryEnc(b) == value.Int
		to := p.reshape(value.Raw, 0, n, min(n+n/4, inlineMax))
		if wasInt {
			copy(to, text)
		}
		return to
	}
	spare := n // a string that did not exist need not be one that grows
	if len(text) > 0 {
		spare = room(n)
	}
	r := st.values.AllocRoom(valueHeader+n, valueHeader+spare)
	to := span(st.values.At(r), valueHeader, n)
	copy(to, text)
	payload := p.reshape(value.Raw, flagOutline, 16, 16)
	binary.LittleEndian.PutUint64(payload, uint64(r))
	binary.LittleEndian.PutUint64(payload[8:], uint64(n))
	p.ownValue()
	return to
}

// room is the capacity for a large string that has just grown to n bytes: as Redis' SDS,
// double, but never more than 1 MiB spare.
func room(n int) int { return n + min(n, 1<<20) }

// reshape gives the entry at p another encoding and an inline payload of n bytes, keeping
// key, expiry and as much of the payload as remains in place if the block does; if the
// entry must move, to a block with room for a payload of roomy bytes.
func (p *place) reshape(enc value.Encoding, flag uint8, n, roomy int) []byte {
	b, st := p.b, p.st
	off, inline := inlineAt(b)
	if !st.entries.Resize(p.ref, off+inline, off+n) {
		ref := st.entries.AllocRoom(off+n, off+roomy)
		to := st.entries.At(ref)
		copy(span(to, 0, off+min(inline, n)), span(b, 0, off+min(inline, n)))
		p.move(ref, off+inline)
		b = p.b
	}
	*at8(b, 0) = *at8(b, 0)&0xf0 | uint8(enc)
	*at8(b, 1) = entryFlags(b)&^(flagObject|flagOutline) | flag
	put16(b, 6, uint16(n))
	return span(b, off, n)
}

// Delete removes key and reports whether it existed (an expired key did not).
func (t *Txn) Delete(key []byte) bool {
	var p place
	if !t.locate(&p, key) {
		return false
	}
	t.discard(&p)
	t.changed(&p, key)
	return true
}

// Rename moves src, with its expiry, to dst in the current database, replacing dst. src
// and dst may lie in different slots. false: src is absent.
func (t *Txn) Rename(src, dst []byte) bool {
	var p place
	if !t.locate(&p, src) {
		return false
	}
	if string(src) != string(dst) {
		t.transfer(&p, src, t.db, dst)
	}
	return true
}

// Move moves key, with its expiry, to database dstDB. false: absent here, or present there.
func (t *Txn) Move(key []byte, dstDB int) bool {
	var p place
	if !t.locate(&p, key) {
		return false
	}
	from := t.db
	t.SelectDB(dstDB)
	there := t.Exists(key)
	t.SelectDB(from)
	if there {
		return false
	}
	t.transfer(&p, key, dstDB, key)
	return true
}

// transfer moves the entry at p, found under src in the current database, to dst in
// dstDB. Its large value or object moves along without being copied if it can.
func (t *Txn) transfer(p *place, src []byte, dstDB int, dst []byte) {
	t.changing(p) // an object is cloned for the snapshot: it lives on under dst
	from, b, st := t.db, p.b, p.st
	sh := shape{typ: entryType(b), enc: entryEnc(b), flags: entryFlags(b) & (flagObject | flagOutline), expire: entryExpire(b)}
	clock := entryClock(b)
	off, inline := inlineAt(b)
	sh.inline = inline
	t.SelectDB(dstDB)
	var q place
	payload, _ := t.put(&q, dst, &sh)
	switch {
	case sh.flags&flagObject != 0:
		h := get32(b, off)
		if st != q.st {
			t.settle()
			o := st.takeObject(h)
			h = q.st.putObject(o)
		}
		binary.LittleEndian.PutUint32(payload, h)
	case sh.flags&flagOutline != 0:
		r, n := arena.Ref(get64(b, off)), int(get64(b, off+8))
		if st != q.st {
			to, ok := q.st.values.Adopt(&st.values, r, valueHeader+n)
			if !ok {
				to = q.st.values.Alloc(valueHeader + n)
				copy(span(q.st.values.At(to), valueHeader, n), span(st.values.At(r), valueHeader, n))
				st.values.Free(r, valueHeader+n)
			}
			r = to
		}
		binary.LittleEndian.PutUint64(payload, uint64(r))
		binary.LittleEndian.PutUint64(payload[8:], uint64(n))
		q.ownValue()
	default:
		copy(payload, span(b, off, inline))
	}
	setEntryClock(q.b, clock)
	t.s.noteFields(&q)
	t.changed(&q, dst)
	t.SelectDB(from)

	// What src owned is dst's now. Its place may have shifted meanwhile.
	*at8(b, 1) &^= flagObject | flagOutline
	t.find(p, src)
	t.discard(p)
	t.changed(p, src)
	t.Join() // one change, two keys
}

// Copy copies src, with its expiry, to dst in database dstDB, replacing dst. false: src is
// absent. REQUIRES: not the same key.
func (t *Txn) Copy(src, dst []byte, dstDB int) bool {
	var p, q place
	if !t.locate(&p, src) {
		return false
	}
	from, b, st := t.db, p.b, p.st
	t.SelectDB(dstDB)
	if o := (Entry{b, t, st}).Object(); o != nil {
		t.putObject(&q, dst, o.Clone(), entryExpire(b))
	} else {
		t.putBytes(&q, dst, entryType(b), entryEnc(b), st.payload(b), entryExpire(b))
	}
	t.changed(&q, dst)
	t.SelectDB(from)
	return true
}
