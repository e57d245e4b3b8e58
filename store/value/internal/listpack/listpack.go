// Package listpack is Redis' listpack, byte for byte: a list of short strings and integers in
// one byte string, which is how small collections are kept in memory, in RDB files and in DUMP
// payloads. Package value uses it; it must not know what the elements mean.
//
// # Format
//
//	4 bytes   length of the whole, little endian
//	2 bytes   number of elements, little endian; 65535: count them
//	elements
//	1 byte    0xFF
//
// An element is a header, its bytes, and the length of those two, written so that it can be
// read backwards. Headers:
//
//	0nnnnnnn                     an integer from 0 to 127
//	10llllll                     a string of l bytes
//	110nnnnn nnnnnnnn            an integer of 13 bits, signed
//	1110llll llllllll            a string of l bytes
//	11110000 l l l l             a string of l bytes, little endian
//	1111 0001, 0010, 0011, 0100  an integer of 2, 3, 4, 8 bytes, little endian, signed
//
// A string that reads as the canonical decimal form of an int64 is kept as that integer.
//
// # Trust
//
// Methods of Pack believe what they read. Bytes from outside must pass Check first.
package listpack

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strconv"
)

const (
	headerBytes = 6
	countMax    = 65535 // in the header: the number of elements is not known
	endMark     = 0xFF

	// EmptyBytes is the size of a listpack without elements.
	EmptyBytes = headerBytes + 1
	// MaxBytes is the size no listpack may exceed. Insert and Replace do not look.
	MaxBytes = 1 << 30
)

// Pack is a listpack. Editing methods change it in place like append: they return the listpack
// as it is then, and the old slice must not be used any more. Positions are offsets of
// elements; they change with every edit before them.
type Pack []byte

// New appends an empty listpack to dst[:0].
func New(dst []byte) Pack {
	return append(dst[:0], EmptyBytes, 0, 0, 0, 0, 0, endMark)
}

// Value is an element: an integer when IsInt, else the bytes of a string, which alias the Pack.
type Value struct {
	Str   []byte
	Int   int64
	IsInt bool
}

// Append appends the element as text.
func (v Value) Append(dst []byte) []byte {
	if v.IsInt {
		return strconv.AppendInt(dst, v.Int, 10)
	}
	return append(dst, v.Str...)
}

// Bytes is the element as text: the string itself, or the integer written into scratch[:0],
// which should have room for 20 bytes.
func (v Value) Bytes(scratch []byte) []byte {
	if v.IsInt {
		return strconv.AppendInt(scratch[:0], v.Int, 10)
	}
	return v.Str
}

// Len is the length of the element as text.
func (v Value) Len() int {
	if !v.IsInt {
		return len(v.Str)
	}
	return digits(v.Int)
}

func digits(n int64) int {
	d := 1
	if n < 0 {
		d = 2
	}
	for n /= 10; n != 0; n /= 10 {
		d++
	}
	return d
}

// Equal reports whether the element is s as text.
func (v Value) Equal(s []byte) bool {
	if !v.IsInt {
		return bytes.Equal(v.Str, s)
	}
	var tmp [20]byte
	return bytes.Equal(strconv.AppendInt(tmp[:0], v.Int, 10), s)
}

// Len is the number of elements: O(1) up to 65534.
func (p Pack) Len() int {
	n := int(binary.LittleEndian.Uint16(p[4:]))
	if n == countMax {
		n = 0
		for at, end := p.First(), p.End(); at != end; at = p.Next(at) {
			n++
		}
	}
	return n
}

// First is the position of the first element, End() if there is none.
func (p Pack) First() int { return headerBytes }

// End is the position behind the last element.
func (p Pack) End() int { return len(p) - 1 }

// Next is the position behind the element at.
func (p Pack) Next(at int) int {
	n := entryBytes(p[at:])
	return at + n + backBytes(n)
}

// Prev is the position of the element before at (which may be End()), or -1 before the first.
func (p Pack) Prev(at int) int {
	if at <= headerBytes {
		return -1
	}
	n, size := readBack(p[:at])
	return at - size - n
}

// Get is the element at a position.
func (p Pack) Get(at int) Value {
	b := p[at:]
	switch c := b[0]; {
	case c < 0x80:
		return Value{Int: int64(c), IsInt: true}
	case c < 0xC0:
		n := int(c & 0x3F)
		return Value{Str: b[1 : 1+n : 1+n]}
	case c < 0xE0:
		n := int64(c&0x1F)<<8 | int64(b[1])
		if n >= 1<<12 {
			n -= 1 << 13
		}
		return Value{Int: n, IsInt: true}
	case c < 0xF0:
		n := int(c&0x0F)<<8 | int(b[1])
		return Value{Str: b[2 : 2+n : 2+n]}
	case c == 0xF0:
		n := int(binary.LittleEndian.Uint32(b[1:]))
		return Value{Str: b[5 : 5+n : 5+n]}
	case c == 0xF1:
		return Value{Int: int64(int16(binary.LittleEndian.Uint16(b[1:]))), IsInt: true}
	case c == 0xF2:
		n := uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
		return Value{Int: int64(int32(n) >> 8), IsInt: true}
	case c == 0xF3:
		return Value{Int: int64(int32(binary.LittleEndian.Uint32(b[1:]))), IsInt: true}
	}
	return Value{Int: int64(binary.LittleEndian.Uint64(b[1:])), IsInt: true}
}

// Strings puts elements from the position at on into dst, up to its length and the first one that is kept
// as a number. It returns how many they are and the position behind them.
func (p Pack) Strings(at int, dst [][]byte) (n, next int) {
	for ; n < len(dst); n++ {
		b := p[at:]
		var head, size int
		switch c := b[0]; {
		case c&0xC0 == 0x80:
			head, size = 1, int(c&0x3F)
		case c&0xF0 == 0xE0:
			head, size = 2, int(c&0x0F)<<8|int(b[1])
		case c == 0xF0:
			head, size = 5, int(binary.LittleEndian.Uint32(b[1:]))
		default: // a number, or the end
			return n, at
		}
		dst[n] = b[head : head+size : head+size]
		at += head + size + backBytes(head+size)
	}
	return n, at
}

// Seek is the position of element number i; negative numbers count from the last, -1. It is
// -1 when there is no such element.
func (p Pack) Seek(i int) int {
	n := int(binary.LittleEndian.Uint16(p[4:]))
	if n != countMax { // else the count is not worth having: walk from the side i names
		if i < -n || i >= n {
			return -1
		}
		switch {
		case i > n/2:
			i -= n
		case i < 0 && -i > n/2:
			i += n
		}
	}
	if i >= 0 {
		at, end := p.First(), p.End()
		for ; i > 0 && at != end; i-- {
			at = p.Next(at)
		}
		if at == end {
			return -1
		}
		return at
	}
	at := p.End()
	for ; i < 0 && at != -1; i++ {
		at = p.Prev(at)
	}
	return at
}

// Find is the position of the first element equal to s, from the position at on, looking only at every
// (skip+1)th; -1 when there is none.
func (p Pack) Find(at int, s []byte, skip int) int {
	num, isNum := parseInt(s)
	end := p.End()
	for at < end {
		// The usual element, a string of up to 63 bytes, without a call.
		c := p[at]
		if c >= 0x80 && c < 0xC0 {
			n := int(c & 0x3F)
			if n == len(s) && string(p[at+1:at+1+n]) == string(s) {
				return at
			}
			at += n + 2
		} else {
			if v := p.Get(at); v.IsInt {
				if isNum && v.Int == num {
					return at
				}
			} else if bytes.Equal(v.Str, s) {
				return at
			}
			at = p.Next(at)
		}
		for k := skip; k > 0 && at < end; k-- {
			at = p.Next(at)
		}
	}
	return -1
}

// Append adds s behind the last element.
func (p Pack) Append(s []byte) Pack { return p.Insert(p.End(), s) }

// AppendInt is Append of a number.
func (p Pack) AppendInt(n int64) Pack { return p.InsertInt(p.End(), n) }

// Prepend adds s before the first element.
func (p Pack) Prepend(s []byte) Pack { return p.Insert(headerBytes, s) }

// Insert adds s before the element at (End(): behind the last). The new element's position is
// at. s must not alias p.
func (p Pack) Insert(at int, s []byte) Pack {
	if n, ok := parseInt(s); ok {
		return p.InsertInt(at, n)
	}
	size := stringBytes(len(s))
	p = p.splice(at, 0, size+backBytes(size), 1)
	putString(p[at:], s)
	putBack(p[at+size:], size)
	return p
}

// InsertInt is Insert of a number.
func (p Pack) InsertInt(at int, n int64) Pack {
	size := intBytes(n)
	p = p.splice(at, 0, size+1, 1)
	putInt(p[at:], n)
	p[at+size] = byte(size)
	return p
}

// Replace puts s in the place of the element at. s must not alias p.
func (p Pack) Replace(at int, s []byte) Pack {
	if n, ok := parseInt(s); ok {
		return p.ReplaceInt(at, n)
	}
	size := stringBytes(len(s))
	p = p.splice(at, p.Next(at)-at, size+backBytes(size), 0)
	putString(p[at:], s)
	putBack(p[at+size:], size)
	return p
}

// ReplaceInt is Replace by a number.
func (p Pack) ReplaceInt(at int, n int64) Pack {
	size := intBytes(n)
	p = p.splice(at, p.Next(at)-at, size+1, 0)
	putInt(p[at:], n)
	p[at+size] = byte(size)
	return p
}

// Delete removes up to count elements from the position at on. What stands at the position at
// afterwards is the element behind them.
func (p Pack) Delete(at, count int) Pack {
	to, n := at, 0
	for ; n < count && to != p.End(); n++ {
		to = p.Next(to)
	}
	return p.splice(at, to-at, 0, -n)
}

// PrependBefore is Prepend without moving anything: p lies in mem from lo on and has EntryBytes(s) bytes of room
// before it, which the new element and the header take.
func PrependBefore(mem []byte, lo int, s []byte) {
	was := Pack(mem[lo:])
	count := int(binary.LittleEndian.Uint16(was[4:]))
	lo -= EntryBytes(s)
	p := Pack(mem[lo:])
	if n, ok := parseInt(s); ok {
		size := intBytes(n)
		putInt(p[headerBytes:], n)
		p[headerBytes+size] = byte(size)
	} else {
		size := stringBytes(len(s))
		putString(p[headerBytes:], s)
		putBack(p[headerBytes+size:], size)
	}
	binary.LittleEndian.PutUint32(p, uint32(len(p)))
	binary.LittleEndian.PutUint16(p[4:], uint16(min(count+1, countMax)))
}

// DropFirst takes the first count elements, of more, out of p without moving the others: it returns the
// position in p at which the listpack begins then.
func DropFirst(p Pack, count int) (begin int) {
	at := p.First()
	for range count {
		at = p.Next(at)
	}
	begin = at - headerBytes
	n := int(binary.LittleEndian.Uint16(p[4:]))
	rest := p[begin:]
	binary.LittleEndian.PutUint32(rest, uint32(len(rest)))
	binary.LittleEndian.PutUint16(rest[4:], countMax)
	if n != countMax {
		binary.LittleEndian.PutUint16(rest[4:], uint16(n-count))
	} else if c := rest.Len(); c < countMax {
		binary.LittleEndian.PutUint16(rest[4:], uint16(c))
	}
	return begin
}

// Truncate keeps the first bytes up to the position at, which are keep elements.
func (p Pack) Truncate(at, keep int) Pack {
	p = append(p[:at], endMark)
	binary.LittleEndian.PutUint32(p, uint32(len(p)))
	binary.LittleEndian.PutUint16(p[4:], uint16(min(keep, countMax)))
	return p
}

// Join appends the elements of q.
func (p Pack) Join(q Pack) Pack {
	n := p.Len() + q.Len()
	p = append(p[:len(p)-1], q[headerBytes:]...)
	binary.LittleEndian.PutUint32(p, uint32(len(p)))
	binary.LittleEndian.PutUint16(p[4:], uint16(min(n, countMax)))
	return p
}

// EntryBytes is how much Append(s) adds to the size.
func EntryBytes(s []byte) int {
	if n, ok := parseInt(s); ok {
		return intBytes(n) + 1
	}
	size := stringBytes(len(s))
	return size + backBytes(size)
}

// splice makes room for n bytes in the place of old at a position and corrects the header;
// elements changes the count.
func (p Pack) splice(at, old, n, elements int) Pack {
	size := len(p)
	if d := n - old; d > 0 {
		p = append(p, p[size-min(d, size):]...) // grows by up to its own size
		for len(p) < size+d {
			p = append(p, 0)
		}
		p = p[:size+d]
	}
	copy(p[at+n:], p[at+old:size])
	p = p[:size+n-old]
	binary.LittleEndian.PutUint32(p, uint32(len(p)))
	if elements != 0 {
		if count := int(binary.LittleEndian.Uint16(p[4:])); count != countMax {
			binary.LittleEndian.PutUint16(p[4:], uint16(min(count+elements, countMax)))
		} else if elements < 0 {
			// Redis, too, counts anew only when it has to: here, when it might fit again.
			if c := p.Len(); c < countMax {
				binary.LittleEndian.PutUint16(p[4:], uint16(c))
			}
		}
	}
	return p
}

// Sizes. entryBytes and the others leave out the backward length.

func entryBytes(b []byte) int {
	switch c := b[0]; {
	case c < 0x80:
		return 1
	case c < 0xC0:
		return 1 + int(c&0x3F)
	case c < 0xE0:
		return 2
	case c < 0xF0:
		return 2 + int(c&0x0F)<<8 + int(b[1])
	case c == 0xF0:
		return 5 + int(binary.LittleEndian.Uint32(b[1:]))
	case c == 0xF1:
		return 3
	case c == 0xF2:
		return 4
	case c == 0xF3:
		return 5
	}
	return 9
}

func stringBytes(n int) int {
	switch {
	case n < 64:
		return n + 1
	case n < 4096:
		return n + 2
	}
	return n + 5
}

func intBytes(n int64) int {
	switch {
	case n >= 0 && n <= 127:
		return 1
	case n >= -1<<12 && n < 1<<12:
		return 2
	case n >= math.MinInt16 && n <= math.MaxInt16:
		return 3
	case n >= -1<<23 && n < 1<<23:
		return 4
	case n >= math.MinInt32 && n <= math.MaxInt32:
		return 5
	}
	return 9
}

func putString(b, s []byte) {
	switch n := len(s); {
	case n < 64:
		b[0] = 0x80 | byte(n)
		copy(b[1:], s)
	case n < 4096:
		b[0], b[1] = 0xE0|byte(n>>8), byte(n)
		copy(b[2:], s)
	default:
		b[0] = 0xF0
		binary.LittleEndian.PutUint32(b[1:], uint32(n))
		copy(b[5:], s)
	}
}

func putInt(b []byte, n int64) {
	switch intBytes(n) {
	case 1:
		b[0] = byte(n)
	case 2:
		b[0], b[1] = 0xC0|byte(n>>8)&0x1F, byte(n)
	case 3:
		b[0] = 0xF1
		binary.LittleEndian.PutUint16(b[1:], uint16(n))
	case 4:
		b[0], b[1], b[2], b[3] = 0xF2, byte(n), byte(n>>8), byte(n>>16)
	case 5:
		b[0] = 0xF3
		binary.LittleEndian.PutUint32(b[1:], uint32(n))
	default:
		b[0] = 0xF4
		binary.LittleEndian.PutUint64(b[1:], uint64(n))
	}
}

// backBytes is the size of the backward length n. The bounds are Redis': 16383 takes three.
func backBytes(n int) int {
	switch {
	case n <= 127:
		return 1
	case n < 16383:
		return 2
	case n < 2097151:
		return 3
	case n < 268435455:
		return 4
	}
	return 5
}

func putBack(b []byte, n int) {
	size := backBytes(n)
	for i := size - 1; i > 0; i-- {
		b[i] = byte(n)&127 | 128
		n >>= 7
	}
	b[0] = byte(n)
}

// readBack reads the backward length that ends b, and its own size; 0, 0 if it has none.
func readBack(b []byte) (n, size int) {
	for shift := 0; shift <= 28 && size < len(b); shift += 7 {
		c := b[len(b)-1-size]
		size++
		n |= int(c&127) << shift
		if c&128 == 0 {
			return n, size
		}
	}
	return 0, 0
}

// parseInt reads s as value.ParseInt does: only the canonical decimal form is a number. (value
// imports this package, so it has its own.)
func parseInt(s []byte) (int64, bool) {
	if len(s) == 0 || len(s) > 20 {
		return 0, false
	}
	if c := s[0]; c > '9' || c < '0' && c != '-' {
		return 0, false
	}
	if len(s) == 1 {
		return int64(s[0] - '0'), s[0] != '-'
	}
	b := s
	neg := b[0] == '-'
	if neg {
		b = b[1:]
	}
	if b[0] < '1' || b[0] > '9' {
		return 0, false
	}
	var u uint64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		d := uint64(c - '0')
		if u > (math.MaxUint64-d)/10 {
			return 0, false
		}
		u = u*10 + d
	}
	switch {
	case neg && u <= 1<<63:
		return int64(-u), true
	case !neg && u <= math.MaxInt64:
		return int64(u), true
	}
	return 0, false
}

// ErrCorrupt says that bytes are no listpack.
var ErrCorrupt = errors.New("not a listpack")

// Check reports whether b is a well-formed listpack and how many elements it has. It reads
// every byte that other methods will rely on and none outside b.
func Check(b []byte) (n int, err error) {
	if len(b) < EmptyBytes || len(b) > MaxBytes ||
		uint64(binary.LittleEndian.Uint32(b)) != uint64(len(b)) || b[len(b)-1] != endMark {
		return 0, ErrCorrupt
	}
	end := len(b) - 1
	at := headerBytes
	for at < end {
		size, ok := checkedBytes(b[at:end])
		if !ok {
			return 0, ErrCorrupt
		}
		back := backBytes(size)
		if size+back > end-at {
			return 0, ErrCorrupt
		}
		if got, k := readBack(b[at+size : at+size+back]); got != size || k != back {
			return 0, ErrCorrupt
		}
		at += size + back
		n++
	}
	if count := int(binary.LittleEndian.Uint16(b[4:])); count != countMax && count != n {
		return 0, ErrCorrupt
	}
	return n, nil
}

// checkedBytes is entryBytes for bytes that may be anything; the entry lies within b.
func checkedBytes(b []byte) (int, bool) {
	header := 1
	switch c := b[0]; {
	case c >= 0xE0 && c < 0xF0:
		header = 2
	case c == 0xF0:
		header = 5
	case c > 0xF4:
		return 0, false
	}
	if len(b) < header {
		return 0, false
	}
	n := entryBytes(b)
	return n, n <= len(b)
}
