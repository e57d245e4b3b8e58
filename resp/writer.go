package resp

import (
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/redcon"
)

// Protocol versions a client may choose with HELLO.
const (
	RESP2 = 2
	RESP3 = 3
)

// Writer appends replies to a byte slice. It allocates only when the slice must grow. The zero value writes RESP2.
//
// A Writer belongs to one goroutine at a time; a connection's Writer belongs to the connection's loop.
type Writer struct {
	// Proto is RESP2 or RESP3 (0 counts as RESP2). HELLO sets it; each method chooses its form by it.
	Proto int
	// Max is how long the output may become before Full says so; 0 is no bound.
	Max int

	buf []byte
}

// Full reports whether the output is so long that its client will be closed for it: whoever answers without end stops then.
func (w *Writer) Full() bool { return w.Max > 0 && len(w.buf) >= w.Max }

// NewWriter returns a writer that appends to buf.
func NewWriter(buf []byte, proto int) *Writer { return &Writer{Proto: proto, buf: buf} }

// Bytes returns what was written. It is valid until the next call that writes, truncates or swaps.
func (w *Writer) Bytes() []byte { return w.buf }

// Len returns the number of bytes written; it marks a place for Truncate and From.
func (w *Writer) Len() int { return len(w.buf) }

// From returns what was written since Len was mark (a script reads the reply of its call so).
func (w *Writer) From(mark int) []byte { return w.buf[mark:] }

// Truncate forgets everything written after Len was mark (CLIENT REPLY OFF, a refused transaction).
func (w *Writer) Truncate(mark int) { w.buf = w.buf[:mark] }

// Swap replaces the underlying slice and returns the old one; writing goes on at the end of buf.
func (w *Writer) Swap(buf []byte) []byte {
	old := w.buf
	w.buf = buf
	return old
}

// OK writes +OK.
func (w *Writer) OK() { w.buf = redcon.AppendOK(w.buf) }

// Simple writes a status reply. CR and LF in s become spaces.
func (w *Writer) Simple(s string) { w.buf = redcon.AppendString(w.buf, s) }

// Error writes an error reply. e carries its prefix ("ERR …"); CR and LF become spaces, and white space at the end
// that came from such a line end is cut, as Redis does.
func (w *Writer) Error(e Error) {
	w.buf = redcon.AppendError(w.buf, strings.TrimRight(string(e), "\r\n"))
}

// Int writes an integer reply.
func (w *Writer) Int(n int64) { w.buf = redcon.AppendInt(w.buf, n) }

// Uint writes an integer reply of an unsigned number.
func (w *Writer) Uint(n uint64) { w.buf = redcon.AppendUint(w.buf, n) }

// Bulk writes a bulk string. A nil slice is the empty string; see Null.
func (w *Writer) Bulk(b []byte) { w.buf = appendBulk(w.buf, b) }

// Bulks writes bulk strings in a row, growing the output once.
func (w *Writer) Bulks(all [][]byte) {
	size := 0
	for _, b := range all {
		size += len(b) + bulkFrame
	}
	w.buf = slices.Grow(w.buf, size)
	for _, b := range all {
		w.buf = appendBulk(w.buf, b)
	}
}

// bulkFrame is the most bytes that a bulk string has around its content: $, the length, two line ends.
const bulkFrame = 1 + 20 + 4

// appendBulk writes the length of short strings, most of all replies, without a conversion.
func appendBulk(dst, b []byte) []byte {
	switch n := len(b); {
	case n < 10:
		dst = append(dst, '$', '0'+byte(n), '\r', '\n')
	case n < 100:
		dst = append(dst, '$', '0'+byte(n/10), '0'+byte(n%10), '\r', '\n')
	default:
		dst = append(strconv.AppendUint(append(dst, '$'), uint64(n), 10), '\r', '\n')
	}
	dst = append(dst, b...)
	return append(dst, '\r', '\n')
}

// BulkString writes a bulk string.
func (w *Writer) BulkString(s string) { w.buf = redcon.AppendBulkString(w.buf, s) }

// BulkInt writes a number as a bulk string.
func (w *Writer) BulkInt(n int64) {
	var tmp [20]byte
	w.Bulk(strconv.AppendInt(tmp[:0], n, 10))
}

// BulkUint writes an unsigned number as a bulk string.
func (w *Writer) BulkUint(n uint64) {
	var tmp [20]byte
	w.Bulk(strconv.AppendUint(tmp[:0], n, 10))
}

// Null writes the null reply: $-1 in RESP2, _ in RESP3.
func (w *Writer) Null() {
	if w.Proto >= RESP3 {
		w.buf = append(w.buf, "_\r\n"...)
	} else {
		w.buf = append(w.buf, "$-1\r\n"...)
	}
}

// NullArray writes the null of commands that otherwise answer with an array: *-1 in RESP2, _ in RESP3.
func (w *Writer) NullArray() {
	if w.Proto >= RESP3 {
		w.buf = append(w.buf, "_\r\n"...)
	} else {
		w.buf = append(w.buf, "*-1\r\n"...)
	}
}

// Array begins an array of n elements.
func (w *Writer) Array(n int) { w.buf = redcon.AppendArray(w.buf, n) }

// Map begins a map of n pairs; in RESP2 an array of 2n elements.
func (w *Writer) Map(n int) {
	if w.Proto >= RESP3 {
		w.header('%', int64(n))
	} else {
		w.Array(2 * n)
	}
}

// Set begins a set of n elements; in RESP2 an array.
func (w *Writer) Set(n int) {
	if w.Proto >= RESP3 {
		w.header('~', int64(n))
	} else {
		w.Array(n)
	}
}

// Push begins an out-of-band message of n elements; in RESP2 an array (pub/sub messages).
func (w *Writer) Push(n int) {
	if w.Proto >= RESP3 {
		w.header('>', int64(n))
	} else {
		w.Array(n)
	}
}

// Attribute begins n pairs of attributes of the value that follows. It writes nothing and returns false in RESP2, where
// attributes do not exist; the caller then leaves out the pairs too.
func (w *Writer) Attribute(n int) bool {
	if w.Proto < RESP3 {
		return false
	}
	w.header('|', int64(n))
	return true
}

// Double writes f in Redis' notation: `,` in RESP3, a bulk string in RESP2.
func (w *Writer) Double(f float64) {
	var tmp [32]byte
	w.DoubleText(AppendDouble(tmp[:0], f))
}

// DoubleText is Double for a number that is text already.
func (w *Writer) DoubleText(text []byte) {
	if w.Proto < RESP3 {
		w.Bulk(text)
		return
	}
	w.buf = append(w.buf, ',')
	w.buf = append(w.buf, text...)
	w.buf = append(w.buf, '\r', '\n')
}

// Bool writes #t or #f; in RESP2 :1 or :0.
func (w *Writer) Bool(b bool) {
	switch {
	case w.Proto >= RESP3 && b:
		w.buf = append(w.buf, "#t\r\n"...)
	case w.Proto >= RESP3:
		w.buf = append(w.buf, "#f\r\n"...)
	case b:
		w.buf = append(w.buf, ":1\r\n"...)
	default:
		w.buf = append(w.buf, ":0\r\n"...)
	}
}

// BigNumber writes a decimal number of any size; in RESP2 a bulk string.
func (w *Writer) BigNumber(digits string) {
	if w.Proto < RESP3 {
		w.BulkString(digits)
		return
	}
	w.buf = append(w.buf, '(')
	w.buf = append(w.buf, digits...)
	w.buf = append(w.buf, '\r', '\n')
}

// Verbatim writes text of a given format ("txt", "mkd"; cut or padded to three characters); in RESP2 a bulk string.
func (w *Writer) Verbatim(format, text string) {
	if w.Proto < RESP3 {
		w.BulkString(text)
		return
	}
	w.header('=', int64(len(text)+4))
	for i := range 3 {
		if i < len(format) {
			w.buf = append(w.buf, format[i])
		} else {
			w.buf = append(w.buf, ' ')
		}
	}
	w.buf = append(w.buf, ':')
	w.buf = append(w.buf, text...)
	w.buf = append(w.buf, '\r', '\n')
}

// Raw appends bytes that are RESP already.
func (w *Writer) Raw(b []byte) { w.buf = append(w.buf, b...) }

// RawString appends a string that is RESP already.
func (w *Writer) RawString(s string) { w.buf = append(w.buf, s...) }

// Mark is the place of an aggregate whose length is told later. The zero value is not a Mark.
type Mark struct{ at int }

// deferredRoom is what Defer leaves for the header: "*9\r\n", the length of a header with a one-digit count. Only
// aggregates of more than nine elements move what stands behind them, once.
const deferredRoom = 4

// Defer begins an aggregate whose length is not known yet. Its elements are written next, then one of EndArray, EndMap,
// EndSet and EndPush. Nested ones must be ended innermost first; nothing written before the Mark may be truncated between.
func (w *Writer) Defer() Mark {
	m := Mark{at: len(w.buf)}
	w.buf = append(w.buf, "*0\r\n"...)
	return m
}

// EndArray gives a deferred aggregate its form, an array of n elements.
func (w *Writer) EndArray(m Mark, n int) { w.end(m, '*', n) }

// EndMap is like EndArray for a map of n pairs (RESP2: an array of 2n).
func (w *Writer) EndMap(m Mark, n int) {
	if w.Proto >= RESP3 {
		w.end(m, '%', n)
	} else {
		w.end(m, '*', 2*n)
	}
}

// EndSet is like EndArray for a set.
func (w *Writer) EndSet(m Mark, n int) {
	if w.Proto >= RESP3 {
		w.end(m, '~', n)
	} else {
		w.end(m, '*', n)
	}
}

// EndPush is like EndArray for an out-of-band message.
func (w *Writer) EndPush(m Mark, n int) {
	if w.Proto >= RESP3 {
		w.end(m, '>', n)
	} else {
		w.end(m, '*', n)
	}
}

// EndNullArray turns a deferred aggregate, and whatever was written since, into the null array.
func (w *Writer) EndNullArray(m Mark) {
	w.buf = w.buf[:m.at]
	w.NullArray()
}

func (w *Writer) end(m Mark, kind byte, n int) {
	var tmp [24]byte
	head := append(tmp[:0], kind)
	head = strconv.AppendInt(head, int64(n), 10)
	head = append(head, '\r', '\n')
	if extra := len(head) - deferredRoom; extra > 0 {
		body := len(w.buf)
		w.buf = append(w.buf, head[:extra]...) // grows the slice by extra; the bytes are overwritten below
		copy(w.buf[m.at+len(head):], w.buf[m.at+deferredRoom:body])
	}
	copy(w.buf[m.at:], head)
}

func (w *Writer) header(kind byte, n int64) {
	w.buf = append(w.buf, kind)
	w.buf = strconv.AppendInt(w.buf, n, 10)
	w.buf = append(w.buf, '\r', '\n')
}

// AppendCommand appends a request, or an effect for the AOF and the replication stream: an array of bulk strings.
func AppendCommand(dst []byte, argv ...[]byte) []byte {
	dst = redcon.AppendArray(dst, len(argv))
	for _, a := range argv {
		dst = redcon.AppendBulk(dst, a)
	}
	return dst
}

// AppendCommandStrings is AppendCommand for strings.
func AppendCommandStrings(dst []byte, argv ...string) []byte {
	dst = redcon.AppendArray(dst, len(argv))
	for _, a := range argv {
		dst = redcon.AppendBulkString(dst, a)
	}
	return dst
}
