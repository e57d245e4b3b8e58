package value

import (
	"crypto/subtle"
	"encoding/binary"
	"math"
	"math/bits"
)

// A bitmap is a string whose bits are counted from the highest bit of the first byte on. Bits
// beyond the end are zero.

// BitAt is the bit at a position.
func BitAt(b []byte, at int64) bool {
	i := at >> 3
	return i < int64(len(b)) && b[i]>>(7-at&7)&1 != 0
}

// SetBitAt sets the bit at a position. REQUIRES: it lies within b.
func SetBitAt(b []byte, at int64, on bool) {
	mask := byte(1) << (7 - at&7)
	if on {
		b[at>>3] |= mask
	} else {
		b[at>>3] &^= mask
	}
}

// CountBits counts the set bits in [from, to). REQUIRES: 0 <= from <= to <= 8*len(b).
func CountBits(b []byte, from, to int) int {
	if from == to {
		return 0
	}
	first, last := from>>3, (to-1)>>3
	head, tail := byte(0xff)>>(from&7), byte(0xff)<<(7-(to-1)&7)
	if first == last {
		return bits.OnesCount8(b[first] & head & tail)
	}
	return bits.OnesCount8(b[first]&head) + countBytes(b[first+1:last]) + bits.OnesCount8(b[last]&tail)
}

// countBytes counts 32 bytes a round: four sums do not wait for each other.
func countBytes(b []byte) int {
	var n0, n1, n2, n3 int
	for ; len(b) >= 32; b = b[32:] {
		n0 += bits.OnesCount64(binary.LittleEndian.Uint64(b))
		n1 += bits.OnesCount64(binary.LittleEndian.Uint64(b[8:]))
		n2 += bits.OnesCount64(binary.LittleEndian.Uint64(b[16:]))
		n3 += bits.OnesCount64(binary.LittleEndian.Uint64(b[24:]))
	}
	for ; len(b) >= 8; b = b[8:] {
		n0 += bits.OnesCount64(binary.LittleEndian.Uint64(b))
	}
	for _, c := range b {
		n1 += bits.OnesCount8(c)
	}
	return n0 + n1 + n2 + n3
}

// FindBit is the position of the first bit in [from, to) that is on or not, or -1. REQUIRES:
// 0 <= from <= to <= 8*len(b).
func FindBit(b []byte, on bool, from, to int) int {
	if from == to {
		return -1
	}
	skip := byte(0xff) // a byte without such a bit
	if on {
		skip = 0
	}
	// Bytes are compared with skip, so the bits of the first byte before from are made like it.
	i, last := from>>3, (to-1)>>3
	c := b[i]
	if before := ^(byte(0xff) >> (from & 7)); on {
		c &^= before
	} else {
		c |= before
	}
	if c == skip {
		i++
		for i+8 <= last && binary.LittleEndian.Uint64(b[i:]) == uint64(skip)*0x0101010101010101 {
			i += 8
		}
		for i < last && b[i] == skip {
			i++
		}
		if i > last || b[i] == skip {
			return -1
		}
		c = b[i]
	}
	if at := i<<3 + bits.LeadingZeros8(c^skip); at < to {
		return at
	}
	return -1
}

// BitOp is how BITOP puts bitmaps together.
type BitOp uint8

const (
	BitAnd BitOp = iota
	BitOr
	BitXor
	BitNot // of one bitmap
)

// CombineBits changes dst into dst op src, or for BitNot into the opposite of src. REQUIRES:
// src is not longer than dst and does not overlap it; zeros follow it.
func CombineBits(op BitOp, dst, src []byte) {
	rest := dst[len(src):]
	dst = dst[:len(src)]
	le := binary.LittleEndian
	switch op {
	case BitAnd:
		clear(rest)
		for ; len(src) >= 8; dst, src = dst[8:], src[8:] {
			le.PutUint64(dst, le.Uint64(dst)&le.Uint64(src))
		}
		for i, c := range src {
			dst[i] &= c
		}
	case BitOr:
		for ; len(src) >= 8; dst, src = dst[8:], src[8:] {
			le.PutUint64(dst, le.Uint64(dst)|le.Uint64(src))
		}
		for i, c := range src {
			dst[i] |= c
		}
	case BitXor:
		subtle.XORBytes(dst, dst, src)
	case BitNot:
		ones(dst)
		ones(rest)
		subtle.XORBytes(dst, dst, src)
	}
}

func ones(b []byte) {
	for i := range b {
		b[i] = 0xff
	}
}

// BitField is the type of an integer of BITFIELD, 1 to 64 bits wide; unsigned ones have at most
// 63, so that an int64 holds them all.
type BitField struct {
	Signed bool
	Bits   int
}

// ParseBitField reads a type such as u8 or i64.
func ParseBitField(b []byte) (f BitField, ok bool) {
	if len(b) < 2 || b[0] != 'u' && b[0] != 'i' {
		return f, false
	}
	f.Signed = b[0] == 'i'
	n, ok := ParseInt(b[1:])
	if f.Bits = int(n); !ok || n < 1 || n > 64 || n == 64 && !f.Signed {
		return f, false
	}
	return f, true
}

// Get reads the integer whose highest bit is at a position; what lies beyond b is zero.
func (f BitField) Get(b []byte, at int64) int64 {
	var v uint64
	i, skip := at>>3, int(at&7)
	for left := f.Bits; left > 0; i++ {
		var c byte
		if i < int64(len(b)) {
			c = b[i]
		}
		take := min(8-skip, left)
		v = v<<take | uint64(c>>(8-skip-take))&(1<<take-1)
		left -= take
		skip = 0
	}
	return f.cut(v)
}

// Put writes v, of which the lower bits count. REQUIRES: it lies within b.
func (f BitField) Put(b []byte, at int64, v int64) {
	i, skip := at>>3, int(at&7)
	for left := f.Bits; left > 0; i++ {
		take := min(8-skip, left)
		left -= take
		shift := 8 - skip - take
		mask := byte(1<<take-1) << shift
		b[i] = b[i]&^mask | byte(uint64(v)>>left)<<shift&mask
		skip = 0
	}
}

// cut is the integer that the lower bits of v are.
func (f BitField) cut(v uint64) int64 {
	unused := 64 - f.Bits
	if f.Signed {
		return int64(v<<unused) >> unused
	}
	return int64(v << unused >> unused)
}

// Overflow says what becomes of results that an integer has no room for.
type Overflow uint8

const (
	Wrap     Overflow = iota // the lower bits stay
	Saturate                 // the nearest number that there is room for
	Refuse                   // nothing is written
)

// Add is v+delta as the integer can hold it; overflows tells whether that is another number.
// Only an unsigned v may be out of range, taken as an uint64 (SET of a negative number).
func (f BitField) Add(v, delta int64, o Overflow) (sum int64, overflows bool) {
	var over, under bool
	var least, most int64
	if f.Signed {
		most = math.MaxInt64 >> (64 - f.Bits)
		least = -most - 1
		over = v > most || delta > 0 && v > most-delta
		under = v < least || delta < 0 && v < least-delta
	} else {
		most = 1<<f.Bits - 1
		over = uint64(v) > uint64(most) || delta > 0 && v > most-delta
		under = !over && delta < 0 && delta < -v
	}
	switch {
	case !over && !under:
		return v + delta, false
	case o == Wrap:
		return f.cut(uint64(v) + uint64(delta)), true
	case over:
		return most, true
	}
	return least, true
}
