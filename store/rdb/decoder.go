package rdb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/sextantdb/sextant/store/value"
)

// CorruptError says that the input is not what an RDB file or payload may be: where, and why.
type CorruptError struct {
	Offset int64 // of the first byte of the item that is wrong
	Reason string

	cause error // io.ErrUnexpectedEOF when the input ends too early
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("corrupt RDB data at offset %d: %s", e.Offset, e.Reason)
}

// Unwrap lets errors.Is find io.ErrUnexpectedEOF in the error of a truncated input.
func (e *CorruptError) Unwrap() error { return e.cause }

const (
	windowBytes = 256 << 10

	// scratchKeep bounds the memory a Decoder keeps for long strings between two of them.
	scratchKeep = 1 << 20

	// firstChunk is what is allocated for a long string before any of it has been read; then
	// the memory at most doubles with what has really arrived. A length that lies costs no
	// more than this.
	firstChunk = 64 << 10
)

// Decoder reads the primitives that RDB values consist of, from a stream or from a payload in
// memory. Every length is checked against what really arrives before memory is taken for it.
// Bytes it returns are valid until its next call. One goroutine uses it at a time.
type Decoder struct {
	src     io.Reader // nil: window is the whole input
	window  []byte    // window[pos:end] is not yet read
	pos     int
	end     int
	base    int64 // offset in the input of window[0]
	srcErr  error // what src said last; kept until the window is used up
	crc     uint64
	crcFrom int // crc covers the input before window[crcFrom]
	noCRC   bool
	scratch []byte // long strings and decompressed ones
	packed  []byte // long compressed ones
	digits  [20]byte
	build   []byte // compact collections put together from their elements
	element []byte // the first of two strings that belong together
	limits  value.Limits
}

func newStreamDecoder(src io.Reader) *Decoder {
	return &Decoder{src: src, window: make([]byte, windowBytes)}
}

func newPayloadDecoder(payload []byte) *Decoder {
	return &Decoder{window: payload, end: len(payload), noCRC: true}
}

// Offset is the number of bytes read so far.
func (d *Decoder) Offset() int64 { return d.base + int64(d.pos) }

// Corrupt makes the error for an item that began at offset from.
func (d *Decoder) Corrupt(from int64, format string, args ...any) error {
	return &CorruptError{Offset: from, Reason: fmt.Sprintf(format, args...)}
}

// checksum returns the CRC of all bytes read so far.
func (d *Decoder) checksum() uint64 {
	if !d.noCRC {
		d.crc = CRC64(d.crc, d.window[d.crcFrom:d.pos])
	}
	d.crcFrom = d.pos
	return d.crc
}

// fill makes window[pos:pos+n] readable. REQUIRES: n <= len(window), or src is nil.
func (d *Decoder) fill(n int) error {
	if d.src == nil {
		return d.truncated(n)
	}
	d.checksum()
	copy(d.window, d.window[d.pos:d.end])
	d.base += int64(d.pos)
	d.end -= d.pos
	d.pos, d.crcFrom = 0, 0
	for empty := 0; d.end < n; {
		if d.srcErr != nil {
			return d.truncated(n)
		}
		var got int
		got, d.srcErr = d.src.Read(d.window[d.end:])
		d.end += got
		if got > 0 {
			empty = 0
		} else if empty++; empty >= 100 && d.srcErr == nil {
			d.srcErr = io.ErrNoProgress
		}
	}
	return nil
}

// truncated makes the error for n bytes that are not there.
func (d *Decoder) truncated(n int) error {
	if d.srcErr != nil && !errors.Is(d.srcErr, io.EOF) && !errors.Is(d.srcErr, io.ErrUnexpectedEOF) {
		return fmt.Errorf("reading RDB data at offset %d: %w", d.base+int64(d.end), d.srcErr)
	}
	return &CorruptError{
		Offset: d.base + int64(d.end),
		Reason: fmt.Sprintf("unexpected end of input, %d more bytes expected", n-(d.end-d.pos)),
		cause:  io.ErrUnexpectedEOF,
	}
}

// Byte reads one byte.
func (d *Decoder) Byte() (byte, error) {
	if d.pos >= d.end {
		if err := d.fill(1); err != nil {
			return 0, err
		}
	}
	b := d.window[d.pos]
	d.pos++
	return b, nil
}

// take reads n bytes that fit into the window.
func (d *Decoder) take(n int) ([]byte, error) {
	if n > d.end-d.pos {
		if err := d.fill(n); err != nil {
			return nil, err
		}
	}
	p := d.window[d.pos : d.pos+n : d.pos+n]
	d.pos += n
	return p, nil
}

// Raw reads n bytes. They are valid until the next call.
func (d *Decoder) Raw(n uint64) ([]byte, error) { return d.raw(n, &d.scratch) }

func (d *Decoder) raw(n uint64, long *[]byte) ([]byte, error) {
	if d.src == nil && n > uint64(d.end-d.pos) {
		return nil, d.truncated(int(min(n, math.MaxInt32)))
	}
	if d.src == nil || n <= windowBytes {
		return d.take(int(n))
	}
	if cap(*long) > scratchKeep {
		*long = nil
	}
	p := (*long)[:0]
	for uint64(len(p)) < n {
		chunk := min(n-uint64(len(p)), uint64(max(firstChunk, len(p))))
		if need := len(p) + int(chunk); need > cap(p) {
			p = append(make([]byte, 0, need), p...)
		}
		for to := len(p) + int(chunk); len(p) < to; {
			part, err := d.take(min(windowBytes, to-len(p)))
			if err != nil {
				return nil, err
			}
			p = append(p, part...)
		}
	}
	*long = p
	return p, nil
}

// Uint64 reads eight bytes, little endian.
func (d *Decoder) Uint64() (uint64, error) {
	p, err := d.take(8)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(p), nil
}

// Double reads a number written as its eight bytes.
func (d *Decoder) Double() (float64, error) {
	v, err := d.Uint64()
	return math.Float64frombits(v), err
}

// Len reads a length or another unsigned number.
func (d *Decoder) Len() (uint64, error) {
	from := d.Offset()
	n, special, err := d.lenOrSpecial()
	if err == nil && special {
		return 0, d.Corrupt(from, "a length was expected, found string encoding %d", n)
	}
	return n, err
}

// lenOrSpecial reads a length, or the number of the special form a string has instead of one.
func (d *Decoder) lenOrSpecial() (n uint64, special bool, err error) {
	from := d.Offset()
	b, err := d.Byte()
	if err != nil {
		return 0, false, err
	}
	switch b >> 6 {
	case 0:
		return uint64(b), false, nil
	case 1:
		low, err := d.Byte()
		return uint64(b&0x3f)<<8 | uint64(low), false, err
	case 3:
		return uint64(b & 0x3f), true, nil
	}
	switch b {
	case len32:
		p, err := d.take(4)
		if err != nil {
			return 0, false, err
		}
		return uint64(binary.BigEndian.Uint32(p)), false, nil
	case len64:
		p, err := d.take(8)
		if err != nil {
			return 0, false, err
		}
		return binary.BigEndian.Uint64(p), false, nil
	}
	return 0, false, d.Corrupt(from, "unknown length encoding 0x%02x", b)
}

// String reads a string in any of its forms. The bytes are valid until the next call.
func (d *Decoder) String() ([]byte, error) {
	from := d.Offset()
	n, special, err := d.lenOrSpecial()
	if err != nil {
		return nil, err
	}
	if !special {
		return d.raw(n, &d.scratch)
	}
	switch n {
	case encInt8:
		b, err := d.Byte()
		return strconv.AppendInt(d.digits[:0], int64(int8(b)), 10), err
	case encInt16:
		p, err := d.take(2)
		if err != nil {
			return nil, err
		}
		return strconv.AppendInt(d.digits[:0], int64(int16(binary.LittleEndian.Uint16(p))), 10), nil
	case encInt32:
		p, err := d.take(4)
		if err != nil {
			return nil, err
		}
		return strconv.AppendInt(d.digits[:0], int64(int32(binary.LittleEndian.Uint32(p))), 10), nil
	case encLZF:
		return d.compressed(from)
	}
	return nil, d.Corrupt(from, "unknown string encoding %d", n)
}

func (d *Decoder) compressed(from int64) ([]byte, error) {
	packedLen, err := d.Len()
	if err != nil {
		return nil, err
	}
	n, err := d.Len()
	if err != nil {
		return nil, err
	}
	packed, err := d.raw(packedLen, &d.packed)
	if err != nil {
		return nil, err
	}
	if n > packedLen*lzfMaxRatio { // no overflow: packedLen bytes have really been read
		return nil, d.Corrupt(from, "%d compressed bytes cannot give %d", packedLen, n)
	}
	if uint64(cap(d.scratch)) < n || cap(d.scratch) > scratchKeep {
		d.scratch = make([]byte, n)
	}
	d.scratch = d.scratch[:n]
	if err := lzfDecompress(d.scratch, packed); err != nil {
		return nil, d.Corrupt(from, "%v", err)
	}
	return d.scratch, nil
}
