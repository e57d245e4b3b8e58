package listpack_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/store/value/internal/listpack"
)

func pack(elements ...string) listpack.Pack {
	p := listpack.New(nil)
	for _, e := range elements {
		p = p.Append([]byte(e))
	}
	return p
}

func texts(p listpack.Pack) []string {
	all := []string{}
	for at := p.First(); at != p.End(); at = p.Next(at) {
		all = append(all, string(p.Get(at).Append(nil)))
	}
	return all
}

// The bytes are what DUMP of a list of these elements carries in redis-server 7.0.15.
func TestBytesAreRedis(t *testing.T) {
	for _, c := range []struct{ element, hex string }{
		{"0", "0001"}, {"127", "7f01"}, {"128", "c08002"}, {"-1", "dfff02"}, {"-4096", "d00002"}, {"4095", "cfff02"},
		{"4096", "f1001003"}, {"-32768", "f1008003"}, {"32768", "f200800004"}, {"-8388608", "f200008004"},
		{"8388608", "f30000800005"}, {"2147483648", "f4000000800000000009"},
		{"9223372036854775807", "f4ffffffffffffff7f09"}, {"-9223372036854775808", "f4000000000000008009"},
		{"", "8001"}, {"abc", "8361626304"}, {"01", "82303103"}, {"-0", "822d3003"}, {"9223372036854775808", "93" + hex.EncodeToString([]byte("9223372036854775808")) + "14"},
		{strings.Repeat("x", 64), "e040" + strings.Repeat("78", 64) + "42"},
		{strings.Repeat("x", 126), "e07e" + strings.Repeat("78", 126) + "0180"},
		{strings.Repeat("x", 4095), "efff" + strings.Repeat("78", 4095) + "2081"},
		{strings.Repeat("x", 4096), "f000100000" + strings.Repeat("78", 4096) + "2085"},
		{strings.Repeat("x", 16377), "f0f93f0000" + strings.Repeat("78", 16377) + "7ffe"},
		{strings.Repeat("x", 16378), "f0fa3f0000" + strings.Repeat("78", 16378) + "00ffff"},
	} {
		p := pack(c.element)
		assert.Equal(t, c.hex, hex.EncodeToString(p[6:len(p)-1]), "%.20s", c.element)
		n, err := listpack.Check(p)
		require.NoError(t, err)
		assert.Equal(t, 1, n)
		v := p.Get(p.First())
		assert.Equal(t, c.element, string(v.Append(nil)))
		assert.Equal(t, len(c.element), v.Len())
		assert.Equal(t, listpack.EmptyBytes+listpack.EntryBytes([]byte(c.element)), len(p))
		assert.Equal(t, p.First(), p.Prev(p.End()))
		assert.Equal(t, p.End(), p.Next(p.First()))
		assert.True(t, v.Equal([]byte(c.element)))
	}
	assert.Equal(t, "0b0000000200"+"0101"+"0201"+"ff", hex.EncodeToString(pack("1", "2")))
}

func TestManyElementsAreCounted(t *testing.T) {
	p := listpack.New(nil)
	for i := range 65540 {
		p = p.AppendInt(int64(i & 7))
	}
	assert.Equal(t, 65540, p.Len())
	assert.Equal(t, -1, p.Seek(65540))
	assert.Equal(t, -1, p.Seek(-65541))
	assert.Equal(t, p.Prev(p.End()), p.Seek(65539))
	assert.Equal(t, p.First(), p.Seek(-65540))
	_, err := listpack.Check(p)
	require.NoError(t, err)
	p = p.Delete(p.First(), 10)
	assert.Equal(t, 65530, p.Len())
	assert.EqualValues(t, 65530, int(p[4])|int(p[5])<<8, "known again")
}

// Random edits against a slice of strings.
func TestModel(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 40 {
		p, model := listpack.New(nil), []string{}
		for range 300 {
			edit(t, &p, &model, r.IntN(8), r.IntN(math.MaxInt32), element(r))
		}
	}
}

func element(r *rand.Rand) string {
	switch r.IntN(6) {
	case 0:
		return strconv.Itoa(r.IntN(300) - 100)
	case 1:
		return strconv.FormatInt(int64(r.Uint64())>>r.IntN(64), 10)
	case 2:
		return strings.Repeat("y", r.IntN(200))
	case 3:
		return strings.Repeat("z", r.IntN(20000))
	}
	return fmt.Sprint("e", r.IntN(50))
}

// edit makes one edit in both and compares them.
func edit(t *testing.T, p *listpack.Pack, model *[]string, kind, where int, s string) {
	m := *model
	i := 0
	if len(m) > 0 {
		i = where % len(m)
	}
	switch {
	case kind <= 1 || len(m) == 0:
		*p = p.Append([]byte(s))
		m = append(m, s)
	case kind == 2:
		*p = p.Prepend([]byte(s))
		m = slices.Insert(m, 0, s)
	case kind == 3:
		at := p.Seek(i)
		*p = p.Insert(at, []byte(s))
		m = slices.Insert(m, i, s)
		assert.Equal(t, s, string(p.Get(at).Append(nil)))
	case kind == 4:
		*p = p.Replace(p.Seek(i-len(m)), []byte(s))
		m[i] = s
	case kind == 5:
		n := where%7 + 1
		*p = p.Delete(p.Seek(i), n)
		m = slices.Delete(m, i, min(i+n, len(m)))
	case kind == 6:
		*p = p.Truncate(p.Seek(i), i)
		m = m[:i]
	default:
		*p = p.Join(pack(s, "1", s))
		m = append(m, s, "1", s)
	}
	*model = m
	n, err := listpack.Check(*p)
	require.NoError(t, err)
	require.Equal(t, len(m), n)
	require.Equal(t, len(m), p.Len())
	require.Equal(t, m, texts(*p))
	back := []string{}
	for at := p.Prev(p.End()); at != -1; at = p.Prev(at) {
		back = append(back, string(p.Get(at).Append(nil)))
	}
	slices.Reverse(back)
	require.Equal(t, m, back)
	for skip := range 3 {
		want := -1
		for k := 0; k < len(m); k += skip + 1 {
			if m[k] == s {
				want = p.Seek(k)
				break
			}
		}
		require.Equal(t, want, p.Find(p.First(), []byte(s), skip))
	}
}

func TestFindTakesTextForText(t *testing.T) {
	// A string element that looks like a number, which Redis itself never writes.
	odd := listpack.Pack("\x0b\x00\x00\x00\x01\x00\x8212\x03\xff")
	_, err := listpack.Check(odd)
	require.NoError(t, err)
	assert.Equal(t, odd.First(), odd.Find(odd.First(), []byte("12"), 0))
}

// Whatever Check accepts can be walked in both directions, edited, and is bounded by its input.
func FuzzCheck(f *testing.F) {
	for _, s := range [][]string{{}, {"1", "a"}, {"-1", strings.Repeat("q", 70), "70000"}, {strings.Repeat("q", 5000)}, {"5000000000", "500000", "2147483647"}} {
		f.Add([]byte(pack(s...)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := listpack.Check(b)
		if err != nil {
			return
		}
		p := listpack.Pack(bytes.Clone(b))
		model := texts(p)
		require.Len(t, model, n)
		require.LessOrEqual(t, n, len(b))
		for i := range 8 {
			edit(t, &p, &model, i, n*7+i, "12345")
		}
	})
}

func FuzzEdits(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 3, 3, 3})
	f.Fuzz(func(t *testing.T, program []byte) {
		p, model := listpack.New(nil), []string{}
		r := rand.New(rand.NewPCG(uint64(len(program)), 7))
		for _, op := range program[:min(len(program), 200)] {
			edit(t, &p, &model, int(op&7), int(op>>3), element(r))
		}
	})
}

func TestReadingDoesNotAllocate(t *testing.T) {
	p := pack("field", "value", "other", "123", "third", "x")
	field := []byte("third")
	buf := make([]byte, 0, 256)
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		at := p.Find(p.First(), field, 1)
		var digits [20]byte
		_ = p.Get(p.Next(at)).Bytes(digits[:])
		q := listpack.Pack(append(buf[:0], p...))
		q = q.Replace(q.Next(at), field)
		_ = q.Append(field)
	}))
}

func BenchmarkFind(b *testing.B) {
	p := listpack.New(nil)
	for i := range 8 {
		p = p.Append(fmt.Appendf(nil, "field:%d", i)).Append([]byte("some value"))
	}
	last := []byte("field:7")
	for b.Loop() {
		p.Find(p.First(), last, 1)
	}
}

// What is done in the room before a listpack gives the bytes that Prepend and Delete give.
func TestEditsInFrontMoveNothing(t *testing.T) {
	many := make([]string, 65540)
	for i := range many {
		many[i] = strconv.Itoa(i & 7)
	}
	for _, have := range [][]string{{}, {"a"}, {"1", "b", strings.Repeat("x", 70), "-5", "300"}, many} {
		want := pack(have...)
		mem := append(make([]byte, 1<<20), want...)
		lo := 1 << 20
		for _, e := range []string{"", "7", "-4097", "abc", strings.Repeat("y", 63), strings.Repeat("y", 64), strings.Repeat("z", 5000), strings.Repeat("z", 20000)} {
			listpack.PrependBefore(mem, lo, []byte(e))
			lo -= listpack.EntryBytes([]byte(e))
			want = want.Prepend([]byte(e))
			require.True(t, bytes.Equal(want, mem[lo:]), "%.20s", e)
		}
		for _, count := range []int{1, 2, 0, 3, len(have)} {
			if count < want.Len() {
				lo += listpack.DropFirst(listpack.Pack(mem[lo:]), count)
				want = want.Delete(want.First(), count)
				require.True(t, bytes.Equal(want, mem[lo:]), "%d", count)
			}
		}
	}
}
