package rdb

import (
	"encoding/binary"
	"errors"
)

// LZF, the compression of strings inside RDB. A compressed block is a row of items:
//
//	000LLLLL <L+1 bytes>           the bytes as they are (a literal run of 1–32)
//	LLLooooo oooooooo              L is 1–6: repeat L+2 bytes that began o+1 bytes ago
//	111ooooo LLLLLLLL oooooooo     repeat L+9 bytes (9–264) that began o+1 bytes ago
const (
	lzfMaxLiteral = 1 << 5
	lzfMaxOffset  = 1 << 13
	lzfMaxMatch   = 7 + 255 + 2

	// lzfMaxRatio bounds what one compressed byte can become (a three-byte item gives at most
	// 264 bytes). A claimed length above it is a lie and must not reach an allocation.
	lzfMaxRatio = lzfMaxMatch / 3

	lzfHashBits = 12
)

// lzfCompressor is the match finder's memory, kept between calls so that short strings do not
// pay for clearing it. One goroutine uses it at a time.
type lzfCompressor struct {
	// table maps the hash of three bytes to base + position + 1 of where they were last seen.
	// Invariant: values <= base belong to earlier inputs and count as empty.
	table [1 << lzfHashBits]uint32
	base  uint32
}

// compress appends the compressed form of src to dst and reports true when it takes at most
// len(src)-4 bytes; otherwise it returns dst unchanged and false.
func (c *lzfCompressor) compress(dst, src []byte) ([]byte, bool) {
	if len(src) <= 4 || uint64(len(src)) >= 1<<31 {
		return dst, false
	}
	if c.base > 1<<32-1-uint32(len(src))-1 {
		clear(c.table[:])
		c.base = 0
	}
	base := c.base
	c.base += uint32(len(src)) + 1

	start := len(dst)
	limit := start + len(src) - 4
	literal := 0 // src[literal:i] is not yet written
	i := 0
	// misses lets the step grow in data that does not compress, so that such data costs
	// little; any match sets it back.
	misses := 0
	for i+4 <= len(src) {
		three := binary.LittleEndian.Uint32(src[i:]) << 8
		slot := &c.table[three*2654435761>>(32-lzfHashBits)]
		seen := *slot
		*slot = base + uint32(i) + 1
		at := int(seen) - int(base) - 1
		if seen <= base || i-at > lzfMaxOffset || binary.LittleEndian.Uint32(src[at:])<<8 != three {
			misses++
			i += 1 + misses>>5
			continue
		}
		misses = 0
		if literal < i {
			dst = lzfLiterals(dst, src[literal:i])
		}
		n, most := 3, min(len(src)-i, lzfMaxMatch)
		for n < most && src[at+n] == src[i+n] {
			n++
		}
		offset := i - at - 1
		if n < 9 {
			dst = append(dst, byte(n-2)<<5|byte(offset>>8), byte(offset))
		} else {
			dst = append(dst, 7<<5|byte(offset>>8), byte(n-9), byte(offset))
		}
		if len(dst) > limit {
			return dst[:start], false
		}
		i += n
		literal = i
		// The last place of the match is worth remembering; the places between cost more
		// than they find.
		if i+2 <= len(src) {
			last := uint32(src[i-1])<<8 | uint32(src[i])<<16 | uint32(src[i+1])<<24
			c.table[last*2654435761>>(32-lzfHashBits)] = base + uint32(i-1) + 1
		}
	}
	if literal < len(src) {
		dst = lzfLiterals(dst, src[literal:])
	}
	if len(dst) > limit {
		return dst[:start], false
	}
	return dst, true
}

func lzfLiterals(dst, run []byte) []byte {
	for len(run) > 0 {
		n := min(len(run), lzfMaxLiteral)
		dst = append(append(dst, byte(n-1)), run[:n]...)
		run = run[n:]
	}
	return dst
}

var errLZF = errors.New("invalid LZF compressed string")

// lzfDecompress fills dst from src. It fails unless src is well formed and gives exactly
// len(dst) bytes.
func lzfDecompress(dst, src []byte) error {
	o := 0
	for i := 0; i < len(src); {
		ctrl := int(src[i])
		i++
		if ctrl < lzfMaxLiteral {
			n := ctrl + 1
			if n > len(src)-i || n > len(dst)-o {
				return errLZF
			}
			copy(dst[o:], src[i:i+n])
			i += n
			o += n
			continue
		}
		n := ctrl >> 5
		if n == 7 {
			if i >= len(src) {
				return errLZF
			}
			n += int(src[i])
			i++
		}
		if i >= len(src) {
			return errLZF
		}
		n += 2
		from := o - (ctrl&0x1f)<<8 - int(src[i]) - 1
		i++
		if from < 0 || n > len(dst)-o {
			return errLZF
		}
		if from+n <= o {
			copy(dst[o:o+n], dst[from:])
			o += n
			continue
		}
		// The source runs into what is being written: that is how a run of one byte is
		// expressed, so it must go byte by byte.
		for range n {
			dst[o] = dst[from]
			o++
			from++
		}
	}
	if o != len(dst) {
		return errLZF
	}
	return nil
}
