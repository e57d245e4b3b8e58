package value_test

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/sextantdb/sextant/store/value"
	"github.com/stretchr/testify/require"
)

func TestParseIntTakesOnlyCanonicalForms(t *testing.T) {
	for s, want := range map[string]int64{
		"0": 0, "1": 1, "-1": -1, "42": 42,
		"9223372036854775807": math.MaxInt64, "-9223372036854775808": math.MinInt64,
	} {
		n, ok := value.ParseInt([]byte(s))
		require.True(t, ok, s)
		require.Equal(t, want, n)
	}
	for _, s := range []string{"", "-", "+1", " 1", "1 ", "01", "-0", "-01", "1.0", "0x1", "9223372036854775808",
		"-9223372036854775809", "18446744073709551616", "99999999999999999999", "184467440737095516160"} {
		_, ok := value.ParseInt([]byte(s))
		require.False(t, ok, s)
	}
}

func FuzzParseInt(f *testing.F) {
	f.Add([]byte("12"))
	f.Add([]byte("-9223372036854775808"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := strconv.ParseInt(string(b), 10, 64)
		canonical := err == nil && strconv.FormatInt(n, 10) == string(b)
		got, ok := value.ParseInt(b)
		require.Equal(t, canonical, ok)
		if ok {
			require.Equal(t, n, got)
		}
	})
}

func TestStringEncodings(t *testing.T) {
	for s, want := range map[string]value.Encoding{
		"": value.Embstr, "12": value.Int, "012": value.Embstr,
		strings.Repeat("a", 44): value.Embstr, strings.Repeat("a", 45): value.Raw,
	} {
		enc, _ := value.StringEncoding([]byte(s))
		require.Equal(t, want, enc, "%q", s)
	}
}

func TestAddIntRefusesOverflow(t *testing.T) {
	for _, c := range []struct {
		n, d int64
		ok   bool
	}{
		{1, 2, true}, {math.MaxInt64, 0, true}, {math.MinInt64, 0, true}, {math.MaxInt64, 1, false},
		{math.MinInt64, -1, false}, {math.MaxInt64, math.MinInt64, true}, {-1, math.MinInt64, false},
	} {
		sum, ok := value.AddInt(c.n, c.d)
		require.Equal(t, c.ok, ok, "%d%+d", c.n, c.d)
		if ok {
			require.Equal(t, c.n+c.d, sum)
		}
	}
}

// The right column is what redis-server 7.0.15 answers on x86-64.
func TestFloatSumsAreRedisSums(t *testing.T) {
	for _, c := range [][3]string{
		{"10.50", "0.1", "10.6"}, {"5.0e3", "2.0e2", "5200"}, {"3", "1.1", "4.1"}, {"0", "-0", "0"},
		{"1", "-1", "0"}, {"0.1", "0.2", "0.3"}, {"1e17", "1.5", "100000000000000001.5"},
		{"17179869184", "1.5", "17179869185.5"}, {"0x10", "0x1p-1", "16.5"}, {"1e-18", "0", "0"}, {"1e-17", "0", "0.00000000000000001"},
		{"-1e-19", "0", "0"}, {".5", "1.", "1.5"}, {"+1", "2", "3"}, {"1e16", "0.3", "10000000000000000.2998046875"}, {"0", "3.3e20", "330000000000000000000"},
	} {
		a, ok := value.ParseFloat([]byte(c[0]))
		require.True(t, ok, c[0])
		b, ok := value.ParseFloat([]byte(c[1]))
		require.True(t, ok, c[1])
		sum, ok := a.Add(b)
		require.True(t, ok)
		require.Equal(t, c[2], string(sum.AppendTo(nil)), "%s + %s", c[0], c[1])
	}
	for _, s := range []string{"", " 1", "1 ", "abc", "1e", "nan", "0b1", "1_0", "--1", "1e5000", "1e-5000", "1.2.3", "0x", "."} {
		_, ok := value.ParseFloat([]byte(s))
		require.False(t, ok, s)
	}
	inf, ok := value.ParseFloat([]byte("-inf"))
	require.True(t, ok)
	_, ok = inf.Add(value.FloatOfInt(1))
	require.False(t, ok, "a result must be finite")
	big, ok := value.ParseFloat([]byte("1e4932"))
	require.True(t, ok)
	_, ok = big.Add(big)
	require.False(t, ok, "a sum beyond the format is infinite")
}

func FuzzParseFloat(f *testing.F) {
	f.Add([]byte("1.5e3"))
	f.Add([]byte("0x.8p-3"))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, ok := value.ParseFloat(b)
		if !ok {
			return
		}
		s := v.AppendTo(nil)
		again, ok := value.ParseFloat(s)
		require.True(t, ok, "%q gave %q", b, s)
		require.Equal(t, string(s), string(again.AppendTo(nil)))
	})
}

func TestRangeIsGetrange(t *testing.T) {
	const s = "This is a string"
	for _, c := range []struct {
		start, end int64
		want       string
	}{
		{0, 3, "This"}, {-3, -1, "ing"}, {0, -1, s}, {10, 100, "string"}, {5, 3, ""}, {-1, -5, ""},
		{-100, 1, "Th"}, {100, 200, ""}, {0, -100, "T"}, {math.MinInt64, math.MaxInt64, s},
	} {
		from, to := value.Range(len(s), c.start, c.end)
		require.Equal(t, c.want, s[from:to], "%d %d", c.start, c.end)
	}
	from, to := value.Range(0, 0, -1)
	require.Equal(t, 0, to-from)
}

func TestLCSAsInTheManual(t *testing.T) {
	seq, m := value.LCS([]byte("ohmytext"), []byte("mynewtext"))
	require.Equal(t, "mytext", string(seq))
	require.Equal(t, []value.Match{{4, 7, 5, 8, 4}, {2, 3, 0, 1, 2}}, m)
	seq, m = value.LCS(nil, []byte("x"))
	require.Empty(t, seq)
	require.Empty(t, m)
}

func FuzzLCS(f *testing.F) {
	f.Add([]byte("abc"), []byte("acb"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if len(a) > 200 || len(b) > 200 {
			return
		}
		seq, matches := value.LCS(a, b)
		rest := len(seq)
		for _, m := range matches { // from the last to the first, they spell the sequence
			require.Equal(t, a[m.AStart:m.AEnd+1], b[m.BStart:m.BEnd+1])
			require.Equal(t, m.Len, m.AEnd-m.AStart+1)
			require.Equal(t, string(seq[rest-m.Len:rest]), string(a[m.AStart:m.AEnd+1]))
			rest -= m.Len
		}
		require.Zero(t, rest)
	})
}

func TestNames(t *testing.T) {
	for _, typ := range []value.Type{value.String, value.List, value.Set, value.ZSet, value.Hash, value.Stream} {
		got, ok := value.ParseType([]byte(strings.ToUpper(typ.String())))
		require.True(t, ok)
		require.Equal(t, typ, got)
	}
	_, ok := value.ParseType([]byte("module"))
	require.False(t, ok)
	var names []string
	for e := value.Int; e <= value.StreamEncoding; e++ {
		names = append(names, e.String())
	}
	require.Equal(t, "int embstr raw listpack intset quicklist hashtable skiplist stream", strings.Join(names, " "))
}
