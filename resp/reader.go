package resp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"strconv"
)

// ErrBadReply is wrapped by everything Reader returns for bytes that are no reply.
var ErrBadReply = errors.New("bad reply")

// ReadLimits bound what a Reader accepts from a peer. Zero fields take the defaults.
type ReadLimits struct {
	MaxBulk  int // bytes of one string; default 512 MiB
	MaxElems int // elements of one reply, counted through all levels; default 2^24
	MaxDepth int // levels of nesting; default 128
}

// Bounds of a Reader that nobody needs to change.
const (
	maxReplyLine   = 64 << 10 // a status, error or header line
	readAhead      = 16 << 10
	firstBulkRoom  = 64 << 10 // a string is given more room only as its bytes come
	firstElemsRoom = 64       // likewise the elements of an aggregate
)

// Reader reads replies from a stream. It blocks in the stream only. After an error the stream is unusable. Not safe for
// concurrent use.
type Reader struct {
	src    io.Reader
	limits ReadLimits
	buf    []byte
	r, w   int // buf[r:w] was read and not used
	elems  int // left for the present reply
}

// NewReader reads from src.
func NewReader(src io.Reader, limits ReadLimits) *Reader {
	if limits.MaxBulk <= 0 {
		limits.MaxBulk = DefaultMaxBulk
	}
	if limits.MaxElems <= 0 {
		limits.MaxElems = 1 << 24
	}
	if limits.MaxDepth <= 0 {
		limits.MaxDepth = 128
	}
	return &Reader{src: src, limits: limits, buf: make([]byte, readAhead)}
}

// Buffered returns how many bytes were read ahead.
func (r *Reader) Buffered() int { return r.w - r.r }

// Read makes the Reader an io.Reader for what follows the last reply or line.
func (r *Reader) Read(p []byte) (int, error) {
	if r.r < r.w {
		n := copy(p, r.buf[r.r:r.w])
		r.r += n
		return n, nil
	}
	return r.src.Read(p)
}

// ReadLine reads a line and returns it without its LF, or CR LF. It is valid until the next call.
func (r *Reader) ReadLine() ([]byte, error) {
	scanned := 0
	for {
		if i := bytes.IndexByte(r.buf[r.r+scanned:r.w], '\n'); i >= 0 {
			line := r.buf[r.r : r.r+scanned+i]
			r.r += scanned + i + 1
			return bytes.TrimSuffix(line, []byte{'\r'}), nil
		}
		scanned = r.w - r.r
		if scanned >= maxReplyLine {
			return nil, bad("line of more than %d bytes", maxReplyLine)
		}
		if err := r.fill(); err != nil {
			if err == io.EOF && scanned > 0 {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
}

func (r *Reader) fill() error {
	if r.r > 0 {
		r.w = copy(r.buf, r.buf[r.r:r.w])
		r.r = 0
	}
	if r.w == len(r.buf) {
		r.buf = append(r.buf, make([]byte, len(r.buf))...)
	}
	for range 100 {
		n, err := r.src.Read(r.buf[r.w:])
		r.w += n
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// ReadValue reads one reply. Its bytes are the caller's.
func (r *Reader) ReadValue() (Value, error) {
	r.elems = r.limits.MaxElems
	v, err := r.value(r.limits.MaxDepth)
	if err == io.EOF && v.Kind != 0 {
		err = io.ErrUnexpectedEOF // the stream may end between replies only
	}
	return v, err
}

// value reads a reply that may be depth levels deep. It returns io.EOF with Kind 0 only in front of the first byte.
func (r *Reader) value(depth int) (Value, error) {
	line, err := r.ReadLine()
	if err != nil {
		return Value{}, err
	}
	if len(line) == 0 {
		return Value{}, bad("empty line")
	}
	v := Value{Kind: Kind(line[0])}
	text := line[1:]
	switch v.Kind {
	case KindSimple, KindError:
		v.Str = bytes.Clone(text)
	case KindInt:
		n, ok := strictInt(bytes.TrimPrefix(text, []byte{'+'}))
		if !ok {
			return v, bad("integer %q", text)
		}
		v.Int = n
	case KindNull:
		if len(text) > 0 {
			return v, bad("null %q", text)
		}
	case KindBool:
		switch string(text) {
		case "t":
			v.Int = 1
		case "f":
		default:
			return v, bad("boolean %q", text)
		}
	case KindDouble:
		v.Str = bytes.Clone(text)
		if v.Float, err = parseDouble(string(text)); err != nil {
			return v, err
		}
	case KindBigNumber:
		if _, ok := new(big.Int).SetString(string(text), 10); !ok {
			return v, bad("big number %q", text)
		}
		v.Str = bytes.Clone(text)
	case KindBulk, KindBulkError, KindVerbatim:
		return r.bulk(v, text)
	case KindArray, KindSet, KindPush, KindMap, '|':
		return r.aggregate(v, text, depth)
	default:
		return v, bad("type byte %q", line[0])
	}
	return v, nil
}

func parseDouble(s string) (float64, error) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) || len(s) == 0 || len(s) > 1 && (s[1] == 'x' || s[1] == 'X') {
		return 0, bad("double %q", s)
	}
	return f, nil
}

func (r *Reader) bulk(v Value, text []byte) (Value, error) {
	n, ok := strictInt(text)
	if v.Kind == KindBulk && ok && n == -1 {
		return Value{Kind: KindNull}, nil
	}
	if !ok || n < 0 || n > int64(r.limits.MaxBulk) {
		return v, bad("string length %q", text)
	}
	var err error
	if v.Str, err = r.bytes(int(n)); err != nil {
		return v, err
	}
	var crlf [2]byte
	if err := r.full(crlf[:]); err != nil {
		return v, err
	}
	if crlf != [2]byte{'\r', '\n'} {
		return v, bad("string of %d bytes not followed by CR LF", n)
	}
	if v.Kind == KindVerbatim {
		if len(v.Str) < 4 || v.Str[3] != ':' {
			return v, bad("verbatim string without a format")
		}
		v.Format, v.Str = string(v.Str[:3]), v.Str[4:]
	}
	return v, nil
}

// bytes reads n bytes. Memory grows with what comes, not with what was announced.
func (r *Reader) bytes(n int) ([]byte, error) {
	out := make([]byte, min(n, firstBulkRoom))
	read := 0
	for {
		if err := r.full(out[read:]); err != nil {
			return nil, err
		}
		read = len(out)
		if read == n {
			return out, nil
		}
		grown := make([]byte, min(n, 4*read))
		copy(grown, out)
		out = grown
	}
}

func (r *Reader) full(p []byte) error {
	_, err := io.ReadFull(readerFunc(r.Read), p)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func (r *Reader) aggregate(v Value, text []byte, depth int) (Value, error) {
	n, ok := strictInt(text)
	if v.Kind == KindArray && ok && n == -1 {
		return Value{Kind: KindNull}, nil
	}
	if !ok || n < 0 || n > math.MaxInt32 {
		return v, bad("aggregate length %q", text)
	}
	if v.Kind == KindMap || v.Kind == '|' {
		n *= 2
	}
	if n > int64(r.elems) {
		return v, bad("more than %d elements", r.limits.MaxElems)
	}
	if depth <= 1 {
		return v, bad("nested deeper than %d", r.limits.MaxDepth)
	}
	r.elems -= int(n)
	elems := make([]Value, 0, min(int(n), firstElemsRoom))
	for range n {
		e, err := r.value(depth - 1)
		if err != nil {
			return v, err
		}
		elems = append(elems, e)
	}
	if v.Kind != '|' {
		v.Elems = elems
		return v, nil
	}
	// Attributes belong to the value behind them, which may have more; depth bounds those too.
	next, err := r.value(depth - 1)
	if err != nil {
		return v, err
	}
	next.Attrs = append(elems, next.Attrs...)
	return next, nil
}

// BulkHeader is the announcement of a string that is streamed instead of kept: an RDB file of a full resynchronisation.
type BulkHeader struct {
	Size int64  // bytes, or −1 if only EOF says where it ends
	EOF  string // the 40 bytes that end it, when Size is −1
}

// EOFMarkLen is the length of the mark that ends a string of unknown length.
const EOFMarkLen = 40

// ReadBulkHeader reads "$<size>" or "$EOF:<40 bytes>"; the string itself is then read by Bulk. An error reply is
// returned as Error. Empty lines in front, which a primary sends to keep the link alive, are skipped and told to alive, which may be nil.
func (r *Reader) ReadBulkHeader(alive func()) (BulkHeader, error) {
	for {
		line, err := r.ReadLine()
		if err != nil {
			return BulkHeader{}, err
		}
		if len(line) == 0 {
			if alive != nil {
				alive()
			}
			continue
		}
		if line[0] == '-' {
			return BulkHeader{}, Error(line[1:])
		}
		if mark, ok := bytes.CutPrefix(line, []byte("$EOF:")); ok && len(mark) == EOFMarkLen {
			return BulkHeader{Size: -1, EOF: string(mark)}, nil
		}
		if line[0] == '$' {
			if n, ok := strictInt(line[1:]); ok && n >= 0 {
				return BulkHeader{Size: n}, nil
			}
		}
		return BulkHeader{}, bad("string announcement %q", line)
	}
}

// Bulk returns a reader of the string that h announced; it ends with io.EOF. No CR LF follows such a string. The Reader may be
// used again when it has ended.
func (r *Reader) Bulk(h BulkHeader) io.Reader {
	if h.Size >= 0 {
		return &sizedBulk{r: r, left: h.Size}
	}
	return &markedBulk{r: r, mark: []byte(h.EOF)}
}

type sizedBulk struct {
	r    *Reader
	left int64
}

func (b *sizedBulk) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// markedBulk hands out everything before the mark. It keeps back what could be the mark's beginning.
type markedBulk struct {
	r    *Reader
	mark []byte
	done bool
}

func (b *markedBulk) Read(p []byte) (int, error) {
	if b.done {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	r := b.r
	for {
		window := r.buf[r.r:r.w]
		i := bytes.Index(window, b.mark)
		safe := i // bytes that cannot belong to the mark
		if i < 0 {
			safe = len(window) - (len(b.mark) - 1)
		}
		if safe > 0 {
			n := copy(p, window[:safe])
			r.r += n
			return n, nil
		}
		if i == 0 {
			r.r += len(b.mark)
			b.done = true
			return 0, io.EOF
		}
		if err := r.fill(); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
	}
}

func bad(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrBadReply, fmt.Sprintf(format, args...))
}
