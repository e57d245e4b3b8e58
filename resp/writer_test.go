package resp

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var bulksWanted = "$1\r\na\r\n$9\r\n" + strings.Repeat("b", 9) + "\r\n$10\r\n" + strings.Repeat("c", 10) + "\r\n$99\r\n" + strings.Repeat("d", 99) +
	"\r\n$100\r\n" + strings.Repeat("e", 100) + "\r\n"

// Every reply form in both protocols, as Redis 7.2 writes it.
func TestWriterForms(t *testing.T) {
	forms := []struct {
		name         string
		write        func(w *Writer)
		resp2, resp3 string
	}{
		{"ok", func(w *Writer) { w.OK() }, "+OK\r\n", "+OK\r\n"},
		{"simple", func(w *Writer) { w.Simple("a\r\nb") }, "+a  b\r\n", "+a  b\r\n"},
		{"error", func(w *Writer) { w.Error("ERR x\ny\r\n") }, "-ERR x y\r\n", "-ERR x y\r\n"},
		{"int", func(w *Writer) { w.Int(math.MinInt64) }, ":-9223372036854775808\r\n", ":-9223372036854775808\r\n"},
		{"uint", func(w *Writer) { w.Uint(math.MaxUint64) }, ":18446744073709551615\r\n", ":18446744073709551615\r\n"},
		{"bulk", func(w *Writer) { w.Bulk([]byte("a\r\n")) }, "$3\r\na\r\n\r\n", "$3\r\na\r\n\r\n"},
		{"bulks of one, two and three digits", func(w *Writer) {
			w.Bulks([][]byte{[]byte("a"), bytes.Repeat([]byte("b"), 9), bytes.Repeat([]byte("c"), 10), bytes.Repeat([]byte("d"), 99), bytes.Repeat([]byte("e"), 100)})
		}, bulksWanted, bulksWanted},
		{"empty bulk", func(w *Writer) { w.Bulk(nil) }, "$0\r\n\r\n", "$0\r\n\r\n"},
		{"bulk int", func(w *Writer) { w.BulkInt(-10); w.BulkUint(7) }, "$3\r\n-10\r\n$1\r\n7\r\n", "$3\r\n-10\r\n$1\r\n7\r\n"},
		{"null", func(w *Writer) { w.Null() }, "$-1\r\n", "_\r\n"},
		{"null array", func(w *Writer) { w.NullArray() }, "*-1\r\n", "_\r\n"},
		{"array", func(w *Writer) { w.Array(12) }, "*12\r\n", "*12\r\n"},
		{"map", func(w *Writer) { w.Map(2) }, "*4\r\n", "%2\r\n"},
		{"set", func(w *Writer) { w.Set(2) }, "*2\r\n", "~2\r\n"},
		{"push", func(w *Writer) { w.Push(3) }, "*3\r\n", ">3\r\n"},
		{"true", func(w *Writer) { w.Bool(true) }, ":1\r\n", "#t\r\n"},
		{"false", func(w *Writer) { w.Bool(false) }, ":0\r\n", "#f\r\n"},
		{"double", func(w *Writer) { w.Double(1.5) }, "$3\r\n1.5\r\n", ",1.5\r\n"},
		{"infinity", func(w *Writer) { w.Double(math.Inf(-1)) }, "$4\r\n-inf\r\n", ",-inf\r\n"},
		{"big number", func(w *Writer) { w.BigNumber("123") }, "$3\r\n123\r\n", "(123\r\n"},
		{"verbatim", func(w *Writer) { w.Verbatim("txt", "hi") }, "$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n"},
		{"verbatim pads", func(w *Writer) { w.Verbatim("x", "hi") }, "$2\r\nhi\r\n", "=6\r\nx  :hi\r\n"},
		{"attribute", func(w *Writer) {
			if w.Attribute(1) {
				w.BulkString("k")
				w.Int(1)
			}
			w.OK()
		}, "+OK\r\n", "|1\r\n$1\r\nk\r\n:1\r\n+OK\r\n"},
		{"deferred array", func(w *Writer) { m := w.Defer(); w.Int(1); w.EndArray(m, 1) }, "*1\r\n:1\r\n", "*1\r\n:1\r\n"},
		{"deferred map", func(w *Writer) { m := w.Defer(); w.Int(1); w.Int(2); w.EndMap(m, 1) }, "*2\r\n:1\r\n:2\r\n", "%1\r\n:1\r\n:2\r\n"},
		{"deferred set", func(w *Writer) { m := w.Defer(); w.EndSet(m, 0) }, "*0\r\n", "~0\r\n"},
		{"deferred push", func(w *Writer) { m := w.Defer(); w.EndPush(m, 0) }, "*0\r\n", ">0\r\n"},
		{"deferred null", func(w *Writer) { w.OK(); m := w.Defer(); w.Int(1); w.EndNullArray(m) }, "+OK\r\n*-1\r\n", "+OK\r\n_\r\n"},
	}
	for _, f := range forms {
		for proto, want := range map[int]string{0: f.resp2, RESP2: f.resp2, RESP3: f.resp3} {
			w := NewWriter(nil, proto)
			f.write(w)
			require.Equal(t, want, string(w.Bytes()), "%s in RESP%d", f.name, proto)
		}
	}
}

// A deferred header may need more room than was left for it, at every nesting and with a full or a roomy slice.
func TestDeferMovesWhatStandsBehind(t *testing.T) {
	for _, n := range []int{0, 1, 9, 10, 99, 100, 12345} {
		w := NewWriter(nil, RESP2)
		w.Simple("before")
		outer := w.Defer()
		inner := w.Defer()
		for range n {
			w.Int(5)
		}
		w.EndArray(inner, n)
		w.Simple("after")
		w.EndArray(outer, 2)

		want := NewWriter(nil, RESP2)
		want.Simple("before")
		want.Array(2)
		want.Array(n)
		want.RawString(strings.Repeat(":5\r\n", n))
		want.Simple("after")
		require.Equal(t, string(want.Bytes()), string(w.Bytes()))
	}
}

func TestTruncateAndFrom(t *testing.T) {
	w := NewWriter(nil, RESP2)
	w.OK()
	mark := w.Len()
	w.Int(3)
	require.Equal(t, ":3\r\n", string(w.From(mark)))
	w.Truncate(mark)
	require.Equal(t, "+OK\r\n", string(w.Bytes()))
	old := w.Swap([]byte("x"))
	require.Equal(t, "+OK\r\n", string(old))
	require.Equal(t, "x", string(w.Bytes()))
}

// Cases of the rules of Redis 7.2: whole numbers up to 2^62 as integers, the rest laid out as its fpconv library does.
func TestDoubleNotation(t *testing.T) {
	for f, want := range map[float64]string{
		0: "0", 1: "1", -1: "-1", 3.0: "3", 0.1: "0.1", 1.5: "1.5", 100: "100", 1e15: "1000000000000000",
		1e17: "100000000000000000", 1e18: "1000000000000000000", 1e19: "1e+19", -1e19: "-1e+19", 1.5e300: "1.5e+300",
		0.0001: "0.0001", 0.000001: "0.000001", 0.0000001: "1e-7", 1.25e-7: "1.25e-7", 1e-10: "1e-10", 1e-100: "1e-100",
		123456.789: "123456.789", math.MaxFloat64: "1.7976931348623157e+308", math.SmallestNonzeroFloat64: "5e-324",
		math.Inf(1): "inf", math.Inf(-1): "-inf", math.Copysign(0, -1): "-0", 1.0 / 3: "0.3333333333333333",
	} {
		if f == 0 && math.Signbit(f) {
			want = "-0"
		}
		require.Equal(t, want, string(AppendDouble(nil, f)))
	}
	require.Equal(t, "-0", string(AppendDouble(nil, math.Copysign(0, -1))))
	require.Equal(t, "nan", string(AppendDouble(nil, math.NaN())))
}

func TestErrorTexts(t *testing.T) {
	for _, c := range []struct {
		err  Error
		text string
		code string
	}{
		{ErrWrongType, "WRONGTYPE Operation against a key holding the wrong kind of value", "WRONGTYPE"},
		{ErrWrongArgs("config|get"), "ERR wrong number of arguments for 'config|get' command", "ERR"},
		{ErrUnknownCommand([][]byte{[]byte("foo\r\nbar"), []byte("a"), []byte("b")}), "ERR unknown command 'foo  bar', with args beginning with: 'a' 'b' ", "ERR"},
		{ErrUnknownCommand([][]byte{[]byte("x")}), "ERR unknown command 'x', with args beginning with: ", "ERR"},
		{ErrUnknownSubcommand("config", []byte("nope")), "ERR unknown subcommand 'nope'. Try CONFIG HELP.", "ERR"},
		{ErrMoved(3999, "127.0.0.1", 6381), "MOVED 3999 127.0.0.1:6381", "MOVED"},
		{ErrAsk(3999, "", 6381), "ASK 3999 :6381", "ASK"},
		{ErrInvalidExpire("set"), "ERR invalid expire time in 'set' command", "ERR"},
		{ErrNoPermCommand("bob", "config|get"), "NOPERM User bob has no permissions to run the 'config|get' command", "NOPERM"},
		{ErrExecAbortBecause(ErrOOM), "EXECABORT Transaction discarded because of: OOM command not allowed when used memory > 'maxmemory'.", "EXECABORT"},
		{ErrProtoExpectedDollar('x'), "ERR Protocol error: expected '$', got 'x'", "ERR"},
		{Error("nospace"), "nospace", "ERR"},
		{Error(strings.Repeat("A", 40) + " x"), strings.Repeat("A", 40) + " x", "ERR"},
	} {
		require.Equal(t, c.text, c.err.Error())
		require.Equal(t, c.code, c.err.Code())
	}
	long := ErrUnknownCommand([][]byte{[]byte(strings.Repeat("c", 300)), []byte(strings.Repeat("a", 300)), []byte("b")})
	require.Equal(t, "ERR unknown command '"+strings.Repeat("c", 128)+"', with args beginning with: '"+strings.Repeat("a", 128)+"' ", string(long))
}

func TestWritersDoNotAllocate(t *testing.T) {
	w := NewWriter(make([]byte, 0, 1<<16), RESP3)
	value := []byte("some value")
	require.Zero(t, testing.AllocsPerRun(100, func() {
		w.Truncate(0)
		w.OK()
		w.Simple("x")
		w.Error(ErrWrongType)
		w.Int(123456)
		w.Bulk(value)
		w.BulkString("abc")
		w.BulkInt(991)
		w.Double(3.25)
		w.Map(1)
		m := w.Defer()
		for range 11 {
			w.Null()
		}
		w.EndArray(m, 11)
		w.Verbatim("txt", "hello")
	}))
}
