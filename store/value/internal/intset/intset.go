// Package intset is Redis' intset, byte for byte: a sorted array of integers of one width in
// one byte string, which is how small sets of integers are kept in memory and in RDB files.
// Package value uses it; it must not know keys or commands.
//
// # Format
//
//	4 bytes   width of an integer: 2, 4 or 8, little endian
//	4 bytes   how many there are, little endian
//	integers  ascending, little endian, signed
//
// # Trust
//
// Methods believe what they read. Bytes from outside must pass Check first.
package intset

import (
	"encoding/binary"
	"errors"
	"math"
)

const headerBytes = 8

// MaxLen is how many integers an intset may have; Add does not look.
const MaxLen = 1 << 30

// Set is an intset. Add and Remove change it in place like append: they return the set as it
// is then, and the old slice must not be used any more.
type Set []byte

// New makes an empty intset in dst[:0].
func New(dst []byte) Set { return append(dst[:0], 2, 0, 0, 0, 0, 0, 0, 0) }

func (s Set) width() int { return int(s[0]) }

// Len is the number of integers.
func (s Set) Len() int { return int(binary.LittleEndian.Uint32(s[4:])) }

// At is the integer number i, in ascending order.
func (s Set) At(i int) int64 { return read(s[headerBytes:], s.width(), i) }

func read(b []byte, width, i int) int64 {
	switch width {
	case 2:
		return int64(int16(binary.LittleEndian.Uint16(b[i*2:])))
	case 4:
		return int64(int32(binary.LittleEndian.Uint32(b[i*4:])))
	}
	return int64(binary.LittleEndian.Uint64(b[i*8:]))
}

func write(b []byte, width, i int, n int64) {
	switch width {
	case 2:
		binary.LittleEndian.PutUint16(b[i*2:], uint16(n))
	case 4:
		binary.LittleEndian.PutUint32(b[i*4:], uint32(n))
	default:
		binary.LittleEndian.PutUint64(b[i*8:], uint64(n))
	}
}

func widthOf(n int64) int {
	switch {
	case n >= math.MinInt16 && n <= math.MaxInt16:
		return 2
	case n >= math.MinInt32 && n <= math.MaxInt32:
		return 4
	}
	return 8
}

// Find is where n is, or would be, and whether it is there.
func (s Set) Find(n int64) (int, bool) {
	low, high := 0, s.Len()
	if high > 0 && n > s.At(high-1) { // numbers that only grow are added at the end
		return high, false
	}
	for low < high {
		mid := int(uint(low+high) >> 1)
		switch v := s.At(mid); {
		case v == n:
			return mid, true
		case v < n:
			low = mid + 1
		default:
			high = mid
		}
	}
	return low, false
}

// Has reports whether n is in the set.
func (s Set) Has(n int64) bool {
	_, ok := s.Find(n)
	return ok
}

// Add adds n and reports whether it is new.
func (s Set) Add(n int64) (Set, bool) {
	at, found := s.Find(n)
	if found {
		return s, false
	}
	if w := widthOf(n); w > s.width() {
		s = s.widen(w)
	}
	w := s.width()
	size := len(s)
	for range w {
		s = append(s, 0)
	}
	from := headerBytes + at*w
	copy(s[from+w:], s[from:size])
	write(s[headerBytes:], w, at, n)
	binary.LittleEndian.PutUint32(s[4:], uint32(s.Len()+1))
	return s, true
}

func (s Set) widen(w int) Set {
	n, old := s.Len(), s.width()
	s = append(s, make([]byte, n*(w-old))...)
	b := s[headerBytes:]
	for i := n - 1; i >= 0; i-- { // from the end: places grow to the right
		write(b, w, i, read(b, old, i))
	}
	s[0] = byte(w)
	return s
}

// Remove removes n and reports whether it was there. The width stays, as in Redis.
func (s Set) Remove(n int64) (Set, bool) {
	at, found := s.Find(n)
	if !found {
		return s, false
	}
	return s.RemoveAt(at), true
}

// RemoveAt removes the integer number i.
func (s Set) RemoveAt(i int) Set {
	w := s.width()
	from := headerBytes + i*w
	copy(s[from:], s[from+w:])
	binary.LittleEndian.PutUint32(s[4:], uint32(s.Len()-1))
	return s[:len(s)-w]
}

// ErrCorrupt says that bytes are no intset.
var ErrCorrupt = errors.New("not an intset")

// Check reports whether b is a well-formed intset and how many integers it has.
func Check(b []byte) (int, error) {
	if len(b) < headerBytes {
		return 0, ErrCorrupt
	}
	w, n := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
	if w != 2 && w != 4 && w != 8 || n > MaxLen || uint64(len(b)) != headerBytes+uint64(n)*uint64(w) {
		return 0, ErrCorrupt
	}
	s := Set(b)
	for i := 1; i < int(n); i++ {
		if s.At(i-1) >= s.At(i) {
			return 0, ErrCorrupt
		}
	}
	return int(n), nil
}
