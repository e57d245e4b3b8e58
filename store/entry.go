package store

import (
	"encoding/binary"
	"strconv"
	"unsafe"

	"github.com/sextantdb/sextant/store/arena"
	"github.com/sextantdb/sextant/store/value"
)

// An entry is one block of the stripe's entries heap:
//
//	0      type, 4 bits, and encoding, 4 bits
//	1      flags
//	2..4   LRU/LFU clock, 24 bits
//	5      length of the key, if it is below 256 (flagLongKey)
//	6..7   length of the inline payload
//	[8]    expiry time in ms, if flagExpire
//	[4]    length of the key, if flagLongKey
//	key
//	payload: the value's bytes; or with flagObject a 4-byte handle; or with flagOutline an
//	8-byte ref into the values heap and the 8-byte length there
//
// A block of the values heap begins with the 8-byte ref of its entry, so that moving it can
// redirect its owner.
const (
	flagExpire  = 1 << iota
	flagObject  // the payload is a handle of the stripe's objects
	flagOutline // the payload lies in a block of the values heap
	flagLongKey
	flagMark // see Store.mark

	entryHeader = 8
	valueHeader = 8

	// inlineMax is the longest payload kept within the entry.
	inlineMax = 4096
)

type block = unsafe.Pointer

func at8(b block, i int) *uint8 { return (*uint8)(unsafe.Add(b, i)) }
func span(b block, i, n int) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(b, i)), n)
}
func get64(b block, i int) uint64    { return binary.LittleEndian.Uint64(span(b, i, 8)) }
func put64(b block, i int, v uint64) { binary.LittleEndian.PutUint64(span(b, i, 8), v) }
func get32(b block, i int) uint32    { return binary.LittleEndian.Uint32(span(b, i, 4)) }
func put32(b block, i int, v uint32) { binary.LittleEndian.PutUint32(span(b, i, 4), v) }
func get16(b block, i int) uint16    { return binary.LittleEndian.Uint16(span(b, i, 2)) }
func put16(b block, i int, v uint16) { binary.LittleEndian.PutUint16(span(b, i, 2), v) }

func entryType(b block) value.Type    { return value.Type(*at8(b, 0) >> 4) }
func entryEnc(b block) value.Encoding { return value.Encoding(*at8(b, 0) & 15) }
func entryFlags(b block) uint8        { return *at8(b, 1) }

func entryClock(b block) uint32 { return get32(b, 1) >> 8 }
func setEntryClock(b block, c uint32) {
	*at8(b, 2), *at8(b, 3), *at8(b, 4) = uint8(c), uint8(c>>8), uint8(c>>16)
}

// keyAt returns where the key begins and its length.
func keyAt(b block) (off, n int) {
	off, n = entryHeader, int(*at8(b, 5))
	f := entryFlags(b)
	if f&(flagExpire|flagLongKey) == 0 {
		return off, n
	}
	if f&flagExpire != 0 {
		off += 8
	}
	if f&flagLongKey != 0 {
		n = int(get32(b, off))
		off += 4
	}
	return off, n
}

func entryKey(b block) []byte {
	off, n := keyAt(b)
	return span(b, off, n)
}

func entryExpire(b block) int64 {
	if entryFlags(b)&flagExpire == 0 {
		return NoExpire
	}
	return int64(get64(b, entryHeader))
}

// inlineAt is the payload as it lies in the entry: where it begins, and its length.
func inlineAt(b block) (off, n int) {
	off, n = keyAt(b)
	return off + n, int(get16(b, 6))
}

// entrySize is how many bytes of its block the entry uses.
func entrySize(b block) int {
	off, n := inlineAt(b)
	return off + n
}

// shape is what decides an entry's layout, apart from the bytes themselves.
type shape struct {
	typ    value.Type
	enc    value.Encoding
	flags  uint8 // flagObject, flagOutline
	expire int64
	inline int // length of the inline payload
}

func (sh *shape) size(key int) int {
	n := entryHeader + key + sh.inline
	if sh.expire != NoExpire {
		n += 8
	}
	if key > 255 {
		n += 4
	}
	return n
}

// write lays an entry out in b, all but its inline payload, which it returns to be filled.
// key may lie in b itself, at its old place.
func (sh *shape) write(b block, key []byte, clock uint32, mark uint8) []byte {
	flags := sh.flags | mark
	off := entryHeader
	if sh.expire != NoExpire {
		flags |= flagExpire
		off += 8
	}
	if len(key) > 255 {
		flags |= flagLongKey
		off += 4
	}
	dst := span(b, off, len(key)+sh.inline)
	copy(dst, key) // before the header, which a shorter one may have left the key in
	*at8(b, 0) = uint8(sh.typ)<<4 | uint8(sh.enc)
	*at8(b, 1) = flags
	setEntryClock(b, clock)
	off = entryHeader
	if sh.expire != NoExpire {
		put64(b, off, uint64(sh.expire))
		off += 8
	}
	if len(key) > 255 {
		put32(b, off, uint32(len(key)))
		*at8(b, 5) = 0
	} else {
		*at8(b, 5) = uint8(len(key))
	}
	put16(b, 6, uint16(sh.inline))
	return dst[len(key):]
}

// Entry is one key as seen by the Txn that returned it. Valid until the next change made
// through that Txn or its End.
type Entry struct {
	b  block
	t  *Txn
	st *stripe
}

// Key is the key's name. Not to be written to.
func (e Entry) Key() []byte { return entryKey(e.b) }

// Type is the value's type.
func (e Entry) Type() value.Type { return entryType(e.b) }

// Encoding is the value's encoding.
func (e Entry) Encoding() value.Encoding {
	if entryFlags(e.b)&flagObject != 0 {
		return e.Object().Encoding()
	}
	return entryEnc(e.b)
}

// ExpireAt is the time in ms the key dies at, or NoExpire.
func (e Entry) ExpireAt() int64 { return entryExpire(e.b) }

// Payload is the value's bytes as stored: a string's bytes, the 8 little-endian bytes of
// an Int, or a compact collection; nil for an Object. Not to be written to.
func (e Entry) Payload() []byte { return e.st.payload(e.b) }

func (st *stripe) payload(b block) []byte {
	off, n := inlineAt(b)
	switch f := entryFlags(b); {
	case f&flagObject != 0:
		return nil
	case f&flagOutline != 0:
		return span(st.values.At(arena.Ref(get64(b, off))), valueHeader, int(get64(b, off+8)))
	}
	return span(b, off, n)
}

// Int is the number of a string with encoding Int.
func (e Entry) Int() (int64, bool) {
	if entryEnc(e.b) != value.Int || e.Type() != value.String {
		return 0, false
	}
	off, _ := inlineAt(e.b)
	return int64(get64(e.b, off)), true
}

// Bytes is the string value as text: aliasing the store, or for Int appended to
// scratch[:0], which should have room for 20 bytes. REQUIRES: Type() == value.String.
func (e Entry) Bytes(scratch []byte) []byte {
	if n, ok := e.Int(); ok {
		return strconv.AppendInt(scratch[:0], n, 10)
	}
	return e.Payload()
}

// StrLen is len(Bytes()). REQUIRES: Type() == value.String.
func (e Entry) StrLen() int {
	n, ok := e.Int()
	if !ok {
		return len(e.Payload())
	}
	digits := 1
	if n < 0 {
		digits = 2
	}
	for n /= 10; n != 0; n /= 10 {
		digits++
	}
	return digits
}

// Len is StrLen for a string, else the number of elements, fields that have expired included.
func (e Entry) Len() int {
	if o := e.Object(); o != nil {
		return o.Len()
	}
	if e.Type() == value.String {
		return e.StrLen()
	}
	return value.CompactLen(e.Type(), entryEnc(e.b), e.Payload())
}

// Object is the value when it is not a payload, else nil. For reading only: see Txn.Edit.
func (e Entry) Object() value.Object {
	if entryFlags(e.b)&flagObject == 0 {
		return nil
	}
	off, _ := inlineAt(e.b)
	return e.st.objects[get32(e.b, off)]
}

// IdleSeconds is OBJECT IDLETIME: seconds since the last touch, by the LRU clock.
func (e Entry) IdleSeconds() int64 { return lruIdle(entryClock(e.b), e.t.now) }

// Freq is OBJECT FREQ: the LFU counter, decayed to now.
func (e Entry) Freq() int { return int(lfuDecayed(entryClock(e.b), e.t.now, e.t.s.evictionNow())) }

// MemoryUsage is MEMORY USAGE: block, large value or object, and the table's share.
func (e Entry) MemoryUsage() int64 {
	off, _ := inlineAt(e.b)
	n := int64(arena.ClassSize(entrySize(e.b))) + 8
	switch f := entryFlags(e.b); {
	case f&flagObject != 0:
		n += e.st.objects[get32(e.b, off)].MemBytes()
	case f&flagOutline != 0:
		n += int64(e.st.values.Size(arena.Ref(get64(e.b, off))))
	}
	return n
}
