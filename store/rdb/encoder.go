package rdb

import (
	"encoding/binary"
	"io"
	"math"
	"strconv"
)

const (
	// flushBytes is when an Encoder with a destination passes on what it has collected.
	// Bound of its buffer: flushBytes plus one small item.
	flushBytes = 256 << 10

	// compressAbove is the length up to which compressing a string is not tried.
	compressAbove = 20

	// compressMax bounds the scratch memory of one compression; a longer string is written
	// as it is. (Redis would compress it, holding a second copy of it meanwhile.)
	compressMax = 64 << 20
)

// Encoder writes the primitives that RDB values consist of. With a destination it keeps a
// bounded buffer and its first write error is sticky; without one it collects everything in
// memory, as DUMP needs. One goroutine uses it at a time.
type Encoder struct {
	dst      io.Writer // nil: collect in buf
	buf      []byte
	crc      uint64 // of everything passed on to dst, unless noCRC
	noCRC    bool
	passed   int64 // bytes passed on to dst
	compress bool
	lzf      *lzfCompressor
	scratch  []byte
	err      error
}

// Byte writes one byte.
func (e *Encoder) Byte(b byte) { e.buf = append(e.buf, b) }

// Raw writes p as it is, without a length.
func (e *Encoder) Raw(p []byte) {
	if e.dst != nil && len(p) >= flushBytes {
		e.flush()
		e.pass(p)
		return
	}
	e.buf = append(e.buf, p...)
	e.maybeFlush()
}

// Len writes a length or another unsigned number in the variable-size form.
func (e *Encoder) Len(n uint64) { e.buf = appendLen(e.buf, n) }

func appendLen(dst []byte, n uint64) []byte {
	switch {
	case n < 1<<6:
		return append(dst, byte(n))
	case n < 1<<14:
		return append(dst, 0x40|byte(n>>8), byte(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, len32), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, len64), n)
}

// Uint64 writes eight bytes, little endian.
func (e *Encoder) Uint64(v uint64) { e.buf = binary.LittleEndian.AppendUint64(e.buf, v) }

// Double writes v as its eight bytes (the scores of RDB_TYPE_ZSET_2).
func (e *Encoder) Double(v float64) { e.Uint64(math.Float64bits(v)) }

// Int writes v as a string, in the integer form when it fits 32 bits.
func (e *Encoder) Int(v int64) {
	if buf, ok := appendInt(e.buf, v); ok {
		e.buf = buf
		e.maybeFlush()
		return
	}
	at := len(e.buf)
	e.buf = strconv.AppendInt(append(e.buf, 0), v, 10)
	e.buf[at] = byte(len(e.buf) - at - 1) // at most 20: a one-byte length
	e.maybeFlush()
}

// String writes s in the smallest of the forms strings have: integer, compressed (when the
// Encoder was told to compress), or length and bytes. It does not keep s.
func (e *Encoder) String(s []byte) {
	if v, ok := canonicalInt32(s); ok {
		e.buf, _ = appendInt(e.buf, v)
		e.maybeFlush()
		return
	}
	if e.compress && len(s) > compressAbove && len(s) <= compressMax {
		if e.lzf == nil {
			e.lzf = new(lzfCompressor)
		}
		packed, ok := e.lzf.compress(e.scratch[:0], s)
		if ok {
			e.Byte(encMark | encLZF)
			e.Len(uint64(len(packed)))
			e.Len(uint64(len(s)))
			e.Raw(packed)
		}
		if e.scratch = packed[:0]; cap(packed) > flushBytes {
			e.scratch = nil // do not keep a giant's memory
		}
		if ok {
			return
		}
	}
	e.Len(uint64(len(s)))
	e.Raw(s)
}

// The first byte of a length, or of a string that is stored in a special form instead.
const (
	len32    = 0x80
	len64    = 0x81
	encMark  = 0xc0
	encInt8  = 0
	encInt16 = 1
	encInt32 = 2
	encLZF   = 3
)

func appendInt(dst []byte, v int64) ([]byte, bool) {
	switch {
	case v == int64(int8(v)):
		return append(dst, encMark|encInt8, byte(v)), true
	case v == int64(int16(v)):
		return binary.LittleEndian.AppendUint16(append(dst, encMark|encInt16), uint16(v)), true
	case v == int64(int32(v)):
		return binary.LittleEndian.AppendUint32(append(dst, encMark|encInt32), uint32(v)), true
	}
	return dst, false
}

// canonicalInt32 reads s as a 32-bit number if printing that number gives exactly s.
func canonicalInt32(s []byte) (int64, bool) {
	if len(s) == 0 || len(s) > len("-2147483648") {
		return 0, false
	}
	digits, negative := s, false
	if s[0] == '-' {
		digits, negative = s[1:], true
	}
	if len(digits) == 0 || digits[0] == '0' && len(s) > 1 {
		return 0, false // "-", "-0…", "00…"
	}
	var v int64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		v = v*10 + int64(c-'0')
	}
	if negative {
		v = -v
	}
	return v, v == int64(int32(v))
}

func (e *Encoder) maybeFlush() {
	if e.dst != nil && len(e.buf) >= flushBytes {
		e.flush()
	}
}

func (e *Encoder) flush() {
	e.pass(e.buf)
	e.buf = e.buf[:0]
}

func (e *Encoder) pass(p []byte) {
	if e.err != nil || len(p) == 0 {
		return
	}
	if !e.noCRC {
		e.crc = CRC64(e.crc, p)
	}
	n, err := e.dst.Write(p)
	e.passed += int64(n)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	e.err = err
}
