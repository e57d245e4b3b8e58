package resp

import (
	"bytes"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

func bulkValue(s string) Value { return Value{Kind: KindBulk, Str: []byte(s)} }

func TestReadValues(t *testing.T) {
	for wire, want := range map[string]Value{
		"+OK\r\n":                             {Kind: KindSimple, Str: []byte("OK")},
		"-ERR no\r\n":                         {Kind: KindError, Str: []byte("ERR no")},
		":-12\r\n":                            {Kind: KindInt, Int: -12},
		"$3\r\na\r\n\r\n":                     bulkValue("a\r\n"),
		"$0\r\n\r\n":                          {Kind: KindBulk, Str: []byte{}},
		"$-1\r\n":                             {Kind: KindNull},
		"*-1\r\n":                             {Kind: KindNull},
		"_\r\n":                               {Kind: KindNull},
		"*2\r\n:1\r\n*1\r\n$1\r\nx\r\n":       {Kind: KindArray, Elems: []Value{{Kind: KindInt, Int: 1}, {Kind: KindArray, Elems: []Value{bulkValue("x")}}}},
		"%1\r\n$1\r\nk\r\n:2\r\n":             {Kind: KindMap, Elems: []Value{bulkValue("k"), {Kind: KindInt, Int: 2}}},
		"~0\r\n":                              {Kind: KindSet, Elems: []Value{}},
		">1\r\n+x\r\n":                        {Kind: KindPush, Elems: []Value{{Kind: KindSimple, Str: []byte("x")}}},
		"#t\r\n":                              {Kind: KindBool, Int: 1},
		"#f\r\n":                              {Kind: KindBool},
		",1.5\r\n":                            {Kind: KindDouble, Str: []byte("1.5"), Float: 1.5},
		",-inf\r\n":                           {Kind: KindDouble, Str: []byte("-inf"), Float: math.Inf(-1)},
		"(123456789012345678901234567890\r\n": {Kind: KindBigNumber, Str: []byte("123456789012345678901234567890")},
		"=6\r\ntxt:hi\r\n":                    {Kind: KindVerbatim, Format: "txt", Str: []byte("hi")},
		"!5\r\nERR x\r\n":                     {Kind: KindBulkError, Str: []byte("ERR x")},
		"|1\r\n+a\r\n:1\r\n*1\r\n|1\r\n+b\r\n:2\r\n_\r\n": {Kind: KindArray, Attrs: []Value{{Kind: KindSimple, Str: []byte("a")}, {Kind: KindInt, Int: 1}}, Elems: []Value{{Kind: KindNull, Attrs: []Value{{Kind: KindSimple, Str: []byte("b")}, {Kind: KindInt, Int: 2}}}}},
	} {
		r := NewReader(iotest.OneByteReader(strings.NewReader(wire+"+next\r\n")), ReadLimits{})
		got, err := r.ReadValue()
		require.NoError(t, err, "%q", wire)
		require.Equal(t, want, got, "%q", wire)
		next, err := r.ReadValue()
		require.NoError(t, err)
		require.Equal(t, "next", next.Text())
		_, err = r.ReadValue()
		require.Equal(t, io.EOF, err)

		if want.Kind != KindNull || len(want.Attrs) > 0 {
			w := NewWriter(nil, RESP3)
			got.AppendTo(w)
			require.Equal(t, wire, string(w.Bytes()))
		}
	}
}

func TestReaderRefuses(t *testing.T) {
	lim := ReadLimits{MaxBulk: 100, MaxElems: 50, MaxDepth: 5}
	for _, wire := range []string{"\r\n", "?1\r\n", ":x\r\n", ":\r\n", "$101\r\n", "$-2\r\n", "$3\r\nabcd\r\n", "*51\r\n", "*-2\r\n",
		"%26\r\n", "#x\r\n", ",abc\r\n", ",0x1p3\r\n", "(1.5\r\n", "=2\r\nab\r\n", "_x\r\n", strings.Repeat("*1\r\n", 6), strings.Repeat("|0\r\n", 60),
		strings.Repeat("*26\r\n", 2) + ":1\r\n", "+" + strings.Repeat("x", 70000)} {
		_, err := NewReader(strings.NewReader(wire), lim).ReadValue()
		require.ErrorIs(t, err, ErrBadReply, "%.40q", wire)
	}
	for _, wire := range []string{"+O", "$3\r\na", "$3\r\nabc", "*2\r\n:1\r\n", "*1\r\n"} {
		_, err := NewReader(strings.NewReader(wire), lim).ReadValue()
		require.Equal(t, io.ErrUnexpectedEOF, err, "%q", wire)
	}
}

// A peer that announces much and sends little must not make us allocate much.
func TestAnnouncementsCostNothing(t *testing.T) {
	allocated := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			NewReader(strings.NewReader("$536870912\r\nabc"), ReadLimits{}).ReadValue()
			NewReader(strings.NewReader("*16777216\r\n:1\r\n"), ReadLimits{}).ReadValue()
		}
	}).AllocedBytesPerOp()
	require.Less(t, allocated, int64(1<<20))
}

func TestStreamedStrings(t *testing.T) {
	body := strings.Repeat("some data $EOF: and more\r\n", 5000)
	mark := strings.Repeat("0123456789", 4)
	for name, c := range map[string]struct {
		wire string
		size int64
	}{
		"sized":  {"\n\r\n$" + "130000" + "\r\n" + body, 130000},
		"marked": {"\n$EOF:" + mark + "\r\n" + body + mark, -1},
		"tricky": {"$EOF:" + mark + "\r\n" + body + mark[:39] + mark, -1},
	} {
		for _, src := range []io.Reader{strings.NewReader(c.wire + "+after\r\n"), iotest.OneByteReader(strings.NewReader(c.wire + "+after\r\n"))} {
			r := NewReader(src, ReadLimits{})
			alive := 0
			h, err := r.ReadBulkHeader(func() { alive++ })
			require.NoError(t, err, name)
			require.Equal(t, c.size, h.Size)
			got, err := io.ReadAll(r.Bulk(h))
			require.NoError(t, err, name)
			want := body
			if name == "tricky" {
				want += mark[:39]
			}
			require.Equal(t, len(want), len(got), name)
			require.True(t, bytes.Equal([]byte(want), got), name)
			after, err := r.ReadValue()
			require.NoError(t, err)
			require.Equal(t, "after", after.Text())
		}
	}
	_, err := NewReader(strings.NewReader("-NOMASTERLINK no\r\n"), ReadLimits{}).ReadBulkHeader(nil)
	require.Equal(t, Error("NOMASTERLINK no"), err)
	for _, wire := range []string{"$10\r\nabc", "$EOF:" + mark + "\r\nabc"} {
		r := NewReader(strings.NewReader(wire), ReadLimits{})
		h, err := r.ReadBulkHeader(nil)
		require.NoError(t, err)
		_, err = io.ReadAll(r.Bulk(h))
		require.Equal(t, io.ErrUnexpectedEOF, err)
	}
}

func TestValueHelpers(t *testing.T) {
	v, err := NewReader(strings.NewReader("*4\r\n$1\r\na\r\n:1\r\n+b\r\n#t\r\n"), ReadLimits{}).ReadValue()
	require.NoError(t, err)
	b, ok := v.Get("b")
	require.True(t, ok)
	require.Equal(t, "true", b.Text())
	_, ok = v.Get("c")
	require.False(t, ok)
	require.Equal(t, []string{"a", "1", "b", "true"}, v.Texts())
	n, ok := bulkValue("12").Number()
	require.True(t, ok)
	require.EqualValues(t, 12, n)
	require.NoError(t, v.Err())
	require.Equal(t, ErrOOM, Value{Kind: KindError, Str: []byte(ErrOOM)}.Err())
}

// FuzzReader: whatever a peer sends, reading ends, and what was read is written and read again the same.
func FuzzReader(f *testing.F) {
	for _, s := range []string{"+OK\r\n", "*2\r\n:1\r\n$1\r\nx\r\n", "%1\r\n+a\r\n,1.5\r\n", "|1\r\n+a\r\n:1\r\n_\r\n", "=6\r\ntxt:hi\r\n", "(12\r\n", "!3\r\nERR\r\n", "*-1\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		r := NewReader(bytes.NewReader(wire), ReadLimits{MaxBulk: 1000, MaxElems: 1000, MaxDepth: 10})
		for {
			v, err := r.ReadValue()
			if err != nil {
				if !errors.Is(err, ErrBadReply) && err != io.EOF && err != io.ErrUnexpectedEOF {
					t.Fatal(err)
				}
				return
			}
			w := NewWriter(nil, RESP3)
			v.AppendTo(w)
			first := string(w.Bytes())
			again, err := NewReader(bytes.NewReader(w.Bytes()), ReadLimits{}).ReadValue()
			if err != nil {
				t.Fatalf("%q was written as %q: %v", wire, first, err)
			}
			w = NewWriter(nil, RESP3)
			again.AppendTo(w)
			if first != string(w.Bytes()) {
				t.Fatalf("%q, then %q", first, w.Bytes())
			}
		}
	})
}
