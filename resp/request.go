package resp

import (
	"bytes"
	"math"

	"github.com/tidwall/redcon"
)

// Bounds of a request that Redis fixes.
const (
	// MaxInline is the longest inline request, and the longest header line of a multibulk one, that is waited for.
	MaxInline = 64 << 10
	// MaxUnauthArgs and MaxUnauthBulk bound what a client may send before AUTH.
	MaxUnauthArgs = 10
	MaxUnauthBulk = 16 << 10
	// DefaultMaxBulk is the default of proto-max-bulk-len.
	DefaultMaxBulk = 512 << 20
)

// Limits are the bounds of a request that may differ between clients and over time.
type Limits struct {
	MaxBulk         int  // proto-max-bulk-len; ≤ 0 means DefaultMaxBulk
	Unauthenticated bool // the client has yet to AUTH
}

// Parser cuts requests out of a byte stream. The zero value stands before a request. It remembers how much of an
// incomplete request was proven, so that a request that arrives in many pieces is looked at once.
//
// Invariants: args = 0 exactly while no multibulk header was accepted. While a bulk header is accepted and its bytes are
// awaited, bulk ≥ 0, else -1. proven ≤ len(the bytes given last).
type Parser struct {
	proven int  // bytes from the start of the request that need not be looked at again
	args   int  // arguments not yet proven
	bulk1  int  // length of the awaited argument plus one; 0: its header is awaited
	sought int  // bytes behind proven in which the line end was looked for in vain
	nul    bool // an inline request holds a NUL before its first line end: Redis never sees that end
}

// Reset forgets an incomplete request.
func (p *Parser) Reset() { *p = Parser{} }

// Need returns how long a buffer that begins at the incomplete request must at least become before Next can make
// progress. It lets the reader size its buffer for a large argument.
func (p *Parser) Need() int {
	if p.bulk1 > 0 {
		return p.proven + p.bulk1 - 1 + 2
	}
	return p.proven + p.sought + 1
}

// Taken returns how many bytes of the incomplete request stand before the large argument that is being waited for: what
// Redis has moved out of its query buffer by then.
func (p *Parser) Taken() int {
	if p.bulk1 > bigArgument {
		return p.proven
	}
	return 0
}

// bigArgument is the length from which Redis reads an argument into a buffer of its own.
const bigArgument = 32 << 10

// Next takes the first request of buf. It returns the arguments, as sub-slices of buf appended to argv[:0], and the
// length of the request. n = 0 without an error means that the request is incomplete: call again with a buffer that begins
// with the same bytes and goes on. A request without arguments (an empty line, "*0") has n > 0 and no arguments.
// After an error, one of the ErrProto texts, the stream cannot be read further. The arguments of an inline request that
// holds quotes are fresh memory.
//
// Two things are stricter than in Redis: an argument must end in CR LF, and so must each header line.
func (p *Parser) Next(buf []byte, argv [][]byte, lim Limits) (args [][]byte, n int, err Error) {
	if len(buf) == 0 {
		return argv[:0], 0, ""
	}
	if p.args == 0 && p.proven|p.sought == 0 && !p.nul && !lim.Unauthenticated {
		if args, n = Whole(buf, argv[:0], lim); n > 0 {
			return args, n, ""
		}
	}
	if p.args == 0 {
		if buf[0] != '*' {
			return p.inline(buf, argv)
		}
		if done, err := p.multibulkHeader(buf, lim); err != "" || !done {
			return argv[:0], 0, err
		}
		if p.args == 0 {
			n = p.proven
			p.Reset()
			return argv[:0], n, ""
		}
	}
	if done, err := p.arguments(buf, lim); err != "" || !done {
		return argv[:0], 0, err
	}
	n = p.proven
	p.Reset()
	complete, args, _, _, bad := redcon.ReadNextCommand(buf[:n:n], argv)
	if !complete || bad != nil {
		// Cannot happen for a proven request (fuzzed); were it to, refusing the client is the harmless answer.
		return argv[:0], 0, ErrProtoMultibulkLength
	}
	return args, n, ""
}

func (p *Parser) multibulkHeader(buf []byte, lim Limits) (done bool, err Error) {
	_, count, state := p.header(buf)
	switch {
	case state == headerTooBig:
		return false, ErrProtoBigMbulkCount
	case state == headerPartial:
		return false, ""
	case state == headerBad || count > math.MaxInt32:
		return false, ErrProtoMultibulkLength
	case count > MaxUnauthArgs && lim.Unauthenticated:
		return false, ErrProtoUnauthMultibulk
	}
	p.args = max(int(count), 0)
	return true, ""
}

func (p *Parser) arguments(buf []byte, lim Limits) (done bool, err Error) {
	maxBulk := lim.MaxBulk
	if maxBulk <= 0 {
		maxBulk = DefaultMaxBulk
	}
	for p.args > 0 {
		if p.bulk1 == 0 {
			first, size, state := p.header(buf)
			switch {
			case state == headerTooBig:
				return false, ErrProtoBigBulkCount
			case state == headerPartial:
				return false, ""
			case first != '$':
				return false, ErrProtoExpectedDollar(first)
			case state == headerBad || size < 0 || size > int64(maxBulk):
				return false, ErrProtoBulkLength
			case size > MaxUnauthBulk && lim.Unauthenticated:
				return false, ErrProtoUnauthBulk
			}
			p.bulk1 = int(size) + 1
		}
		end := p.proven + p.bulk1 - 1
		if len(buf)-2 < end {
			return false, ""
		}
		if buf[end] != '\r' || buf[end+1] != '\n' {
			return false, ErrProtoBulkLength
		}
		p.proven = end + 2
		p.bulk1 = 0
		p.args--
	}
	return true, ""
}

// wholeArgs is how many arguments a request may have that Whole takes.
const wholeArgs = 64

// Whole takes the request that buf begins with if it lies there whole and is of the usual kind: multibulk, of at most
// wholeArgs arguments, within lim, of a client that is authenticated. It appends the arguments, sub-slices of buf, to argv. n is the
// request's length, 0 if it is of another kind, which is for Parser.Next to judge: what Whole takes, Next takes the same way.
func Whole(buf []byte, argv [][]byte, lim Limits) (args [][]byte, n int) {
	words, at := wholeHeader(buf, 0, '*')
	if words == 0 || words > wholeArgs {
		return argv, 0
	}
	maxBulk := lim.MaxBulk
	if maxBulk <= 0 {
		maxBulk = DefaultMaxBulk
	}
	args = argv
	for range words {
		size, begin := wholeHeader(buf, at, '$')
		end := begin + size
		if begin == 0 || size > maxBulk || end > len(buf)-2 || buf[end] != '\r' || buf[end+1] != '\n' {
			return argv, 0
		}
		args = append(args, buf[begin:end:end])
		at = end + 2
	}
	return args, at
}

// wholeHeader reads a header line of up to nine digits; end is where it ends, 0 if there is none of that kind.
func wholeHeader(buf []byte, at int, first byte) (n, end int) {
	if at+3 >= len(buf) || buf[at] != first {
		return 0, 0
	}
	n = int(buf[at+1] - '0')
	if n > 9 || n == 0 && buf[at+2] != '\r' {
		return 0, 0
	}
	for i := at + 2; i < len(buf)-1 && i < at+11; i++ {
		c := buf[i]
		if c == '\r' {
			if buf[i+1] != '\n' {
				return 0, 0
			}
			return n, i + 2
		}
		if c -= '0'; c > 9 {
			return 0, 0
		}
		n = n*10 + int(c)
	}
	return 0, 0
}

// headerState is what header found.
type headerState uint8

const (
	headerOK      headerState = iota
	headerPartial             // no line end yet
	headerTooBig              // no line end within MaxInline
	headerBad                 // a line, but not of one number
)

// header reads the line at p.proven: a type byte, a number, CR LF. Only headerOK moves p.proven behind it.
func (p *Parser) header(buf []byte) (first byte, n int64, state headerState) {
	line := buf[p.proven:]
	if p.sought == 0 && len(line) > 0 {
		if n, end := wholeHeader(line, 0, line[0]); end > 0 {
			p.proven += end
			return line[0], int64(n), headerOK
		}
	}
	end := bytes.IndexByte(line[p.sought:], '\r')
	if end < 0 {
		if len(line) > MaxInline {
			return 0, 0, headerTooBig
		}
		p.sought = len(line)
		return 0, 0, headerPartial
	}
	end += p.sought
	if end+1 == len(line) {
		p.sought = end
		return 0, 0, headerPartial
	}
	first = line[0]
	if end == 0 || line[end+1] != '\n' {
		return first, 0, headerBad
	}
	n, ok := strictInt(line[1:end])
	if !ok {
		return first, 0, headerBad
	}
	p.proven += end + 2
	p.sought = 0
	return first, n, headerOK
}

// strictInt reads a decimal number as Redis' string2ll does: no plus sign, no leading zeros, no "-0", no overflow.
func strictInt(b []byte) (int64, bool) {
	neg := len(b) > 0 && b[0] == '-'
	if neg {
		b = b[1:]
	}
	if len(b) == 0 || len(b) > 19 {
		return 0, false
	}
	if b[0] == '0' {
		return 0, len(b) == 1 && !neg
	}
	var u uint64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		u = u*10 + uint64(c-'0') // 19 digits fit
	}
	switch {
	case neg && u <= math.MaxInt64+1:
		return -int64(u), true
	case !neg && u <= math.MaxInt64:
		return int64(u), true
	}
	return 0, false
}

// inline takes a request of plain words on one line, as typed into telnet.
func (p *Parser) inline(buf []byte, argv [][]byte) (args [][]byte, n int, err Error) {
	end := -1
	if !p.nul {
		fresh := buf[p.sought:]
		end = bytes.IndexByte(fresh, '\n')
		scanned := fresh
		if end >= 0 {
			scanned = fresh[:end]
		}
		if bytes.IndexByte(scanned, 0) >= 0 {
			p.nul, end = true, -1
		}
	}
	if end < 0 {
		if len(buf) > MaxInline {
			return argv[:0], 0, ErrProtoBigInline
		}
		p.sought = len(buf)
		return argv[:0], 0, ""
	}
	end += p.sought
	p.Reset()
	line := buf[:end]
	if end > 0 && line[end-1] == '\r' {
		line = line[:end-1]
	}
	args, ok := SplitArgs(line, argv)
	if !ok {
		return argv[:0], 0, ErrProtoUnbalanced
	}
	return args, end + 1, ""
}

// SplitArgs splits a line into words by Redis' rules, those of inline requests, redis-cli and redis.conf: words are
// separated by white space; "…" understands \n \r \t \b \a \xHH and \ before any other character; '…' understands \' only;
// a closing quote must be followed by white space or the end. It appends the words to argv[:0]; ok is false for quotes that do not
// balance. Words without quotes are sub-slices of line, others are fresh memory. A NUL ends the line.
func SplitArgs(line []byte, argv [][]byte) (args [][]byte, ok bool) {
	if i := bytes.IndexByte(line, 0); i >= 0 {
		line = line[:i]
	}
	args = argv[:0]
	for i := 0; ; {
		for i < len(line) && isSpace(line[i]) {
			i++
		}
		if i == len(line) {
			return args, true
		}
		start := i
		for i < len(line) && !endsWord(line[i]) && line[i] != '"' && line[i] != '\'' {
			i++
		}
		if i == len(line) || endsWord(line[i]) {
			args = append(args, line[start:i:i])
			continue
		}
		word := append([]byte{}, line[start:i]...)
		word, i, ok = quotedWord(line, i, word)
		if !ok {
			return argv[:0], false
		}
		args = append(args, word)
	}
}

// quotedWord finishes a word that holds quotes; line[i] opens the first. It returns where the word ends.
func quotedWord(line []byte, i int, word []byte) ([]byte, int, bool) {
	for i < len(line) && !endsWord(line[i]) {
		c := line[i]
		i++
		if c != '"' && c != '\'' {
			word = append(word, c)
			continue
		}
		for {
			if i == len(line) {
				return nil, 0, false
			}
			q := line[i]
			if q == c {
				i++
				break
			}
			if q == '\\' {
				b, used := unescape(line[i:], c)
				word = append(word, b)
				i += used
				continue
			}
			word = append(word, q)
			i++
		}
		if i < len(line) && !isSpace(line[i]) {
			return nil, 0, false
		}
		return word, i, true
	}
	return word, i, true
}

// unescape reads the backslash that b begins with, inside quotes of the given kind: the byte it stands for and its length.
func unescape(b []byte, quote byte) (c byte, used int) {
	if quote == '\'' {
		if len(b) > 1 && b[1] == '\'' {
			return '\'', 2
		}
		return '\\', 1
	}
	if len(b) >= 4 && b[1] == 'x' {
		hi, ok1 := hexDigit(b[2])
		lo, ok2 := hexDigit(b[3])
		if ok1 && ok2 {
			return hi<<4 | lo, 4
		}
	}
	if len(b) == 1 {
		return '\\', 1
	}
	switch b[1] {
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'b':
		return '\b', 2
	case 'a':
		return '\a', 2
	}
	return b[1], 2
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// isSpace is C's isspace: what separates words.
func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// endsWord is what ends a word that has begun; \v and \f do not, as in Redis.
func endsWord(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }
