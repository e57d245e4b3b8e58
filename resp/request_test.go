package resp

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// outcome is what a stream of bytes means: the requests in it, and how it ends.
type outcome struct {
	requests [][]string
	err      Error
	rest     int // bytes of an incomplete request at the end
}

// parseAll feeds the stream to a Parser in pieces of the given sizes, keeping what is not used as a connection does.
func parseAll(stream []byte, lim Limits, piece func() int) outcome {
	var out outcome
	var p Parser
	var argv [][]byte
	var kept []byte
	for at := 0; at < len(stream) || len(stream) == 0; {
		n := min(max(piece(), 1), len(stream)-at)
		kept = append(kept, stream[at:at+n]...)
		at += n
		buf := kept
		if len(kept) < 4096 {
			buf = bytes.Clone(kept) // a fresh buffer: nothing may point into an old one
		}
		used := 0
		for {
			args, n, err := p.Next(buf[used:], argv, lim)
			if err != "" {
				out.err = err
				return out
			}
			if n == 0 {
				break
			}
			used += n
			words := []string{}
			for _, a := range args {
				words = append(words, string(a))
			}
			out.requests = append(out.requests, words)
			argv = args
		}
		kept = append([]byte(nil), buf[used:]...)
		if len(stream) == 0 {
			break
		}
	}
	out.rest = len(kept)
	return out
}

// parseDumb is the second implementation: it has the whole stream, looks at it from the front, and keeps no state.
func parseDumb(stream string, lim Limits) (out outcome) {
	for stream != "" {
		words, n, err := dumbRequest(stream, lim)
		if err != "" {
			out.err = err
			return out
		}
		if n == 0 {
			break
		}
		out.requests = append(out.requests, words)
		stream = stream[n:]
	}
	out.rest = len(stream)
	return out
}

func dumbRequest(s string, lim Limits) (words []string, n int, err Error) {
	words = []string{}
	if s[0] != '*' {
		line, rest, found := strings.Cut(s, "\n")
		if !found || strings.Contains(line, "\x00") {
			if len(s) > 65536 {
				return nil, 0, "ERR Protocol error: too big inline request"
			}
			return nil, 0, ""
		}
		words, ok := dumbSplit(strings.TrimSuffix(line, "\r"))
		if !ok {
			return nil, 0, "ERR Protocol error: unbalanced quotes in request"
		}
		return words, len(s) - len(rest), ""
	}
	line := func(at int, tooBig Error) (string, int, Error) {
		text, rest, found := strings.Cut(s[at:], "\r")
		if !found {
			if len(s)-at > 65536 {
				return "", 0, tooBig
			}
			return "", 0, ""
		}
		if rest == "" {
			return "", 0, ""
		}
		if rest[0] != '\n' {
			text += "\r" // makes it no number, and keeps the type byte
		}
		return text, at + len(text) + 2, ""
	}
	head, at, err := line(0, "ERR Protocol error: too big mbulk count string")
	if err != "" || at == 0 {
		return nil, 0, err
	}
	count, ok := dumbInt(head[1:])
	if !ok || count > 1<<31-1 {
		return nil, 0, "ERR Protocol error: invalid multibulk length"
	}
	if count > 10 && lim.Unauthenticated {
		return nil, 0, "ERR Protocol error: unauthenticated multibulk length"
	}
	for range max(count, 0) {
		head, next, err := line(at, "ERR Protocol error: too big bulk count string")
		if err != "" || next == 0 {
			return nil, 0, err
		}
		if s[at] != '$' {
			return nil, 0, Error("ERR Protocol error: expected '$', got '" + s[at:at+1] + "'")
		}
		size, ok := dumbInt(head[1:])
		if !ok || size < 0 || size > int64(lim.MaxBulk) {
			return nil, 0, "ERR Protocol error: invalid bulk length"
		}
		if size > 16384 && lim.Unauthenticated {
			return nil, 0, "ERR Protocol error: unauthenticated bulk length"
		}
		if int64(len(s)) < int64(next)+size+2 {
			return nil, 0, ""
		}
		if s[next+int(size):next+int(size)+2] != "\r\n" {
			return nil, 0, "ERR Protocol error: invalid bulk length"
		}
		words = append(words, s[next:next+int(size)])
		at = next + int(size) + 2
	}
	return words, at, ""
}

func dumbInt(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && strconv.FormatInt(n, 10) == s
}

// dumbSplit follows the C code of sdssplitargs, character by character; the text ends with a NUL as there.
func dumbSplit(line string) ([]string, bool) {
	s := line + "\x00\x00\x00\x00"
	space := func(c byte) bool { return strings.IndexByte(" \t\n\v\f\r", c) >= 0 }
	words := []string{}
	for p := 0; ; {
		for space(s[p]) {
			p++
		}
		if s[p] == 0 {
			return words, true
		}
		var word []byte
		mode := byte(0)
		for done := false; !done; {
			c := s[p]
			switch {
			case mode == '"' && c == '\\' && s[p+1] == 'x' && isHex(s[p+2]) && isHex(s[p+3]):
				n, _ := strconv.ParseUint(s[p+2:p+4], 16, 8)
				word = append(word, byte(n))
				p += 3
			case mode == '"' && c == '\\' && s[p+1] != 0:
				p++
				if i := strings.IndexByte("nrtba", s[p]); i >= 0 {
					word = append(word, "\n\r\t\b\a"[i])
				} else {
					word = append(word, s[p])
				}
			case mode == '\'' && c == '\\' && s[p+1] == '\'':
				p++
				word = append(word, '\'')
			case mode != 0 && c == mode:
				if s[p+1] != 0 && !space(s[p+1]) {
					return nil, false
				}
				done = true
			case mode != 0 && c == 0:
				return nil, false
			case mode != 0:
				word = append(word, c)
			case strings.IndexByte(" \n\r\t\x00", c) >= 0:
				done = true
			case c == '"' || c == '\'':
				mode = c
			default:
				word = append(word, c)
			}
			if s[p] != 0 {
				p++
			}
		}
		words = append(words, string(word))
	}
}

func isHex(c byte) bool { return strings.IndexByte("0123456789abcdefABCDEF", c) >= 0 }

func TestRequests(t *testing.T) {
	for _, c := range []struct {
		stream string
		want   outcome
	}{
		{"", outcome{}},
		{"*1\r\n$4\r\nPING\r\n", outcome{requests: [][]string{{"PING"}}}},
		{"*2\r\n$3\r\nGET\r\n$0\r\n\r\n", outcome{requests: [][]string{{"GET", ""}}}},
		{"*0\r\n*-1\r\n*-10\r\n\r\n  \r\nPING\n", outcome{requests: [][]string{{}, {}, {}, {}, {}, {"PING"}}}},
		{"*1\r\n$4\r\nPI", outcome{rest: 10}},
		{"*3\r\n$3\r\nSET\r\n$1\r\nx\r\nfooz\r\n", outcome{err: "ERR Protocol error: expected '$', got 'f'"}},
		{"*1\r\nfoo", outcome{rest: 7}}, // Redis waits for the line's end too
		{"*20\r\n$-2\r\n", outcome{err: ErrProtoBulkLength}},
		{"*1\r\n$-2\r\n", outcome{err: ErrProtoBulkLength}}, // redcon alone panics here
		{"*1\r\n$blabla\r\n", outcome{err: ErrProtoBulkLength}},
		{"*1\r\n$2000000000\r\n", outcome{err: ErrProtoBulkLength}},
		{"*1\r\n$18446744073709551617\r\nx\r\n", outcome{err: ErrProtoBulkLength}}, // redcon alone reads 1
		{"*3000000000\r\n", outcome{err: ErrProtoMultibulkLength}},
		{"*-2147483649\r\n", outcome{requests: [][]string{{}}}},
		{"*x\r\n", outcome{err: ErrProtoMultibulkLength}},
		{"*\r\n", outcome{err: ErrProtoMultibulkLength}},
		{"*01\r\n", outcome{err: ErrProtoMultibulkLength}},
		{"*+1\r\n", outcome{err: ErrProtoMultibulkLength}},
		{"*1\rx", outcome{err: ErrProtoMultibulkLength}},
		{"*1\r\n$1\r\nabc", outcome{err: ErrProtoBulkLength}},
		{`set "a b" 'c\'d' "\x41\n\"\q" e"f" ` + "\r\n", outcome{requests: [][]string{{"set", "a b", "c'd", "A\n\"q", "ef"}}}},
		{`""` + "\n", outcome{requests: [][]string{{""}}}},
		{"set \"a\n", outcome{err: ErrProtoUnbalanced}},
		{"set \"a\"b\n", outcome{err: ErrProtoUnbalanced}},
		{"*" + strings.Repeat("1", 70000), outcome{err: ErrProtoBigMbulkCount}},
		{"*1\r\n$" + strings.Repeat("1", 70000), outcome{err: ErrProtoBigBulkCount}},
		{strings.Repeat("a", 70000), outcome{err: ErrProtoBigInline}},
		{"\x00" + strings.Repeat("A\n", 40000), outcome{err: ErrProtoBigInline}},
	} {
		lim := Limits{MaxBulk: 1 << 20}
		require.Equal(t, c.want, parseDumb(c.stream, lim), "dumb: %.60q", c.stream)
		require.Equal(t, c.want, parseAll([]byte(c.stream), lim, func() int { return len(c.stream) }), "whole: %.60q", c.stream)
		if len(c.stream) < 1000 {
			require.Equal(t, c.want, parseAll([]byte(c.stream), lim, func() int { return 1 }), "byte by byte: %.60q", c.stream)
		}
	}
}

func TestBoundsBeforeAuth(t *testing.T) {
	open, shut := Limits{MaxBulk: 1 << 20}, Limits{MaxBulk: 1 << 20, Unauthenticated: true}
	whole := func(s string, lim Limits) Error { return parseAll([]byte(s), lim, func() int { return len(s) }).err }
	require.Empty(t, whole("*10\r\n", shut))
	require.Empty(t, whole("*11\r\n", open))
	require.Equal(t, ErrProtoUnauthMultibulk, whole("*11\r\n", shut))
	require.Empty(t, whole("*1\r\n$16384\r\n", shut))
	require.Empty(t, whole("*1\r\n$16385\r\n", open))
	require.Equal(t, ErrProtoUnauthBulk, whole("*1\r\n$16385\r\n", shut))
}

// A large request that arrives in small pieces must be looked at once, not once per piece.
func TestLargeRequestsTakeLinearTime(t *testing.T) {
	argv := make([]string, 200_001)
	for i := range argv {
		argv[i] = "0123456789"
	}
	stream := AppendCommandStrings(nil, argv...)
	start := time.Now()
	var p Parser
	var got [][]byte
	for at := 0; at < len(stream); {
		at = min(at+16, len(stream))
		args, n, err := p.Next(stream[:at], got, Limits{})
		require.Empty(t, err)
		if n > 0 {
			require.Len(t, args, len(argv))
			require.Equal(t, len(stream), at)
		}
	}
	// Parsing it anew for each piece takes minutes; once takes milliseconds.
	require.Less(t, time.Since(start), 5*time.Second)
}

func TestNeedTellsHowMuchIsMissing(t *testing.T) {
	var p Parser
	stream := []byte("*2\r\n$3\r\nSET\r\n$1000\r\n")
	_, n, err := p.Next(stream, nil, Limits{})
	require.Empty(t, err)
	require.Zero(t, n)
	require.Equal(t, len(stream)+1002, p.Need())
}

func TestParserDoesNotAllocate(t *testing.T) {
	stream := AppendCommandStrings(nil, "SET", "key:000000001234", strings.Repeat("v", 64))
	argv := make([][]byte, 0, 8)
	var p Parser
	require.Zero(t, testing.AllocsPerRun(100, func() {
		args, n, err := p.Next(stream, argv, Limits{})
		if len(args) != 3 || n != len(stream) || err != "" {
			panic("wrong")
		}
	}))
}

// FuzzRequests holds the parser, fed in pieces, against the dumb one that has everything.
func FuzzRequests(f *testing.F) {
	for _, s := range []string{"*1\r\n$4\r\nPING\r\n", "*2\r\n$3\r\nGET\r\n$1\r\nx\r\nPING\r\n", `set "\x41\n" 'b' c"d"` + "\n",
		"*1\r\n$-2\r\n", "*1\r\n$18446744073709551617\r\n", "*0\r\n*-1\r\n\r\n\n", "*2\r\n$1\r\na\r\n$20\r\n", "\x00a\n", "a\v\"b\"\f c\n"} {
		f.Add([]byte(s), uint64(1), false)
		f.Add([]byte(s+s+s), uint64(2), true)
	}
	f.Fuzz(func(t *testing.T, stream []byte, seed uint64, unauth bool) {
		if len(stream) > 8<<10 {
			t.Skip("the dumb parser and the pieces take quadratic time")
		}
		lim := Limits{MaxBulk: 1000, Unauthenticated: unauth}
		want := parseDumb(string(stream), lim)
		rng := rand.New(rand.NewPCG(seed, 0))
		got := parseAll(stream, lim, func() int { return 1 + rng.IntN(1+rng.IntN(20)) })
		if fmt.Sprintf("%q", got.requests) != fmt.Sprintf("%q", want.requests) || got.err != want.err {
			t.Fatalf("stream %q\n got %q %q\nwant %q %q", stream, got.requests, got.err, want.requests, want.err)
		}
		if got.err == "" && got.rest != want.rest {
			t.Fatalf("stream %q: %d bytes left, want %d", stream, got.rest, want.rest)
		}
	})
}

func BenchmarkRequest(b *testing.B) {
	stream := AppendCommandStrings(nil, "SET", "key:000000001234", strings.Repeat("v", 64))
	argv := make([][]byte, 0, 8)
	var p Parser
	b.ReportAllocs()
	for b.Loop() {
		p.Next(stream, argv, Limits{})
	}
}
