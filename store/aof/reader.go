package aof

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// What can be wrong with a file, in Redis' words.
var (
	// ErrTruncated: the file ends within a record.
	ErrTruncated = errors.New("Unexpected end of file reading the append only file")
	// ErrFormat: there is something else where a record should be.
	ErrFormat = errors.New("Bad file format reading the append only file")
)

// FormatError says where.
type FormatError struct {
	Offset int64  // in the file, of the record
	Reason string // of ErrFormat
	Err    error  // ErrTruncated or ErrFormat
}

func (e *FormatError) Error() string {
	if e.Reason != "" {
		return fmt.Sprintf("%v: %s in the record at offset %d", e.Err, e.Reason, e.Offset)
	}
	return fmt.Sprintf("%v: the record at offset %d is not whole", e.Err, e.Offset)
}

func (e *FormatError) Unwrap() error { return e.Err }

const (
	// readerBytes is the buffer between the file and the records.
	readerBytes = 256 << 10
	// mostWords and mostWord bound what a record may announce: Redis' own bounds of a request.
	mostWords = 1 << 30
	mostWord  = 1 << 40
	// stepBytes is how much more memory an announced length gets at a time: it is believed only as far as
	// bytes are there.
	stepBytes = 1 << 20
	// keptBytes is the largest buffer kept for the next record.
	keptBytes = 4 << 20
)

// Reader reads the records of one file.
type Reader struct {
	in   *bufio.Reader
	from int64 // offset of the next record
	pos  int64 // what was taken from in
	ts   int64

	buf  []byte // of the words
	ends []int
	argv [][]byte
}

// NewReader reads records from src, whose first byte has that offset in the file.
func NewReader(src io.Reader, offset int64) *Reader {
	return &Reader{in: bufio.NewReaderSize(src, readerBytes), from: offset, pos: offset}
}

// Offset is the place behind the last record that Next returned.
func (r *Reader) Offset() int64 { return r.from }

// Timestamp is the last annotated time in Unix seconds, 0 before the first.
func (r *Reader) Timestamp() int64 { return r.ts }

// Next returns the next record, which is valid until the call after. At the end of the file the error is
// io.EOF; else it is a *FormatError or the source's.
func (r *Reader) Next() ([][]byte, error) {
	r.from = r.pos
	line, err := r.line()
	for err == nil && len(line) > 0 && line[0] == '#' {
		if text, ok := bytes.CutPrefix(line, []byte("#TS:")); ok {
			r.ts, _ = strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64) // it only informs
		}
		r.from = r.pos
		line, err = r.line()
	}
	if errors.Is(err, io.EOF) && len(line) == 0 {
		return nil, io.EOF
	}
	if err != nil {
		return nil, r.broken(err, line, '*')
	}
	words, ok := number(line, '*')
	if !ok || words < 1 || words > mostWords {
		return nil, r.bad("'%s' is not the head of a command", line)
	}
	r.ends = r.ends[:0]
	if r.buf = r.buf[:0]; cap(r.buf) > keptBytes {
		r.buf = nil
	}
	for range words {
		if line, err = r.line(); err != nil {
			return nil, r.broken(err, line, '$')
		}
		n, ok := number(line, '$')
		if !ok || n < 0 || n > mostWord {
			return nil, r.bad("'%s' is not a length", line)
		}
		if err := r.word(n); err != nil {
			return nil, err
		}
	}
	r.argv = r.argv[:0]
	at := 0
	for _, end := range r.ends {
		r.argv = append(r.argv, r.buf[at:end:end])
		at = end
	}
	r.from = r.pos
	return r.argv, nil
}

// line reads up to a line end, which it leaves away. A line is shorter than the buffer.
func (r *Reader) line() ([]byte, error) {
	line, err := r.in.ReadSlice('\n')
	r.pos += int64(len(line))
	if errors.Is(err, bufio.ErrBufferFull) {
		return line[:64], r.bad("a line of more than %d bytes", len(line))
	}
	return bytes.TrimRight(line, "\r\n"), err
}

// word reads n bytes and their line end.
func (r *Reader) word(n int64) error {
	for n > 0 {
		step := int(min(n, stepBytes))
		at := len(r.buf)
		if cap(r.buf)-at < step {
			grown := make([]byte, at, max(2*cap(r.buf), at+step))
			copy(grown, r.buf)
			r.buf = grown
		}
		r.buf = r.buf[:at+step]
		got, err := io.ReadFull(r.in, r.buf[at:])
		r.pos += int64(got)
		if err != nil {
			return r.broken(err, nil, 0)
		}
		n -= int64(step)
	}
	r.ends = append(r.ends, len(r.buf))
	var end [2]byte
	got, err := io.ReadFull(r.in, end[:])
	r.pos += int64(got)
	if err != nil {
		return r.broken(err, nil, 0)
	}
	if end != [2]byte{'\r', '\n'} {
		return r.bad("a word is not followed by the end of a line")
	}
	return nil
}

// broken is the error of a read that failed. What there is of a line tells whether the file was cut
// there or has something else in it.
func (r *Reader) broken(err error, line []byte, head byte) error {
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	if len(line) > 0 && line[0] != head && line[0] != '#' {
		return r.bad("'%s' is not the head of a command", line)
	}
	return &FormatError{Offset: r.from, Err: ErrTruncated}
}

func (r *Reader) bad(format string, args ...any) error {
	for i, a := range args {
		if b, ok := a.([]byte); ok {
			args[i] = printable(b)
		}
	}
	return &FormatError{Offset: r.from, Reason: fmt.Sprintf(format, args...), Err: ErrFormat}
}

// printable is a piece of a file for a message.
func printable(b []byte) string {
	q := strconv.QuoteToASCII(string(b[:min(len(b), 32)]))
	return q[1 : len(q)-1]
}

func number(line []byte, head byte) (int64, bool) {
	if len(line) < 2 || line[0] != head {
		return 0, false
	}
	n, err := strconv.ParseInt(string(line[1:]), 10, 64)
	return n, err == nil
}
