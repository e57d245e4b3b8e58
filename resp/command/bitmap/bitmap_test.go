package bitmap_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/command/bitmap"
	"github.com/sextantdb/sextant/resp/command/commandtest"
	"github.com/sextantdb/sextant/resp/command/generic"
	"github.com/sextantdb/sextant/resp/command/str"
	"github.com/sextantdb/sextant/resp/session"
)

// setup makes the family and, for looking at what it did, the string and the generic one.
func setup(s commandtest.Settings) [][]command.Command {
	no := func() bool { return false }
	maxBulk := func() int64 {
		n := 512 << 20
		s.Int("max-bulk", &n)
		return int64(n)
	}
	return [][]command.Command{
		bitmap.Commands(bitmap.Options{MaxBulk: maxBulk}),
		str.Commands(str.Options{MaxBulk: maxBulk, LazyExpire: no}),
		generic.Commands(generic.Options{LFU: no, Compress: no, LazyExpire: no, LazyServerDel: no}),
	}
}

func TestScripts(t *testing.T) { commandtest.Scripts(t, "testdata/*.txt", setup) }

func TestAgainstRedis(t *testing.T) {
	commandtest.AgainstRedis(t, "testdata/*.txt", map[string]string{"max-bulk": "proto-max-bulk-len"}, map[string]string{})
}

func words(line string) (argv [][]byte) {
	for _, w := range strings.Fields(line) {
		argv = append(argv, []byte(w))
	}
	return argv
}

// Random operations on fields of all widths, against bits in a slice.
func TestModel(t *testing.T) {
	for seed := range uint64(4) {
		b := commandtest.New(t, setup(commandtest.Settings{})...)
		c := b.Client(0)
		r := rand.New(rand.NewPCG(seed, 1))
		var bits [400]bool
		get := func(at, width int, signed bool) (n int64) {
			for i := range width {
				n <<= 1
				if bits[at+i] {
					n |= 1
				}
			}
			if signed && bits[at] && width < 64 {
				n -= 1 << width
			}
			return n
		}
		put := func(at, width int, n int64) {
			for i := range width {
				bits[at+i] = n>>(width-1-i)&1 != 0
			}
		}
		c.Do("SETBIT", "k", "399", "0")
		for range 2000 {
			signed := r.IntN(2) == 0
			width := 1 + r.IntN(63)
			name := fmt.Sprint("u", width)
			if signed {
				name = fmt.Sprint("i", width)
			}
			at := r.IntN(len(bits) - width + 1)
			old, n := get(at, width, signed), int64(r.Uint64())
			switch r.IntN(4) {
			case 0:
				got := c.Do("BITFIELD", "k", "SET", name, fmt.Sprint(at), fmt.Sprint(n)).Reply.Elems[0].Int
				require.Equal(t, old, got)
				put(at, width, n)
			case 1:
				got := c.Do("BITFIELD", "k", "INCRBY", name, fmt.Sprint(at), fmt.Sprint(n)).Reply.Elems[0].Int
				put(at, width, old+n)
				require.Equal(t, get(at, width, signed), got)
			case 2:
				from, to := at, at+r.IntN(width)
				want := 0
				for _, bit := range bits[from : to+1] {
					if bit {
						want++
					}
				}
				require.EqualValues(t, want, c.Do("BITCOUNT", "k", fmt.Sprint(from), fmt.Sprint(to), "BIT").Reply.Int)
			default:
				from, to := at, at+r.IntN(width)
				on := r.IntN(2) == 0
				want := -1
				for i := to; i >= from; i-- {
					if bits[i] == on {
						want = i
					}
				}
				bit := "0"
				if on {
					bit = "1"
				}
				require.EqualValues(t, want, c.Do("BITPOS", "k", bit, fmt.Sprint(from), fmt.Sprint(to), "BIT").Reply.Int)
			}
		}
	}
}

// Long strings take the loops over words: against the same, byte by byte.
func TestLongStrings(t *testing.T) {
	b := commandtest.New(t, setup(commandtest.Settings{})...)
	c := b.Client(0)
	r := rand.New(rand.NewPCG(1, 2))
	random := func(n int) string {
		s := make([]byte, n)
		for i := range s {
			s[i] = byte(r.Uint32())
		}
		return string(s)
	}
	for range 60 {
		x, y := random(r.IntN(300)), random(r.IntN(300))
		c.Do("SET", "x", x)
		c.Do("SET", "y", y)
		n := max(len(x), len(y))
		px, py := x+strings.Repeat("\x00", n-len(x)), y+strings.Repeat("\x00", n-len(y))
		for op, f := range map[string]func(a, b byte) byte{
			"AND": func(a, b byte) byte { return a & b },
			"OR":  func(a, b byte) byte { return a | b },
			"XOR": func(a, b byte) byte { return a ^ b },
		} {
			want := make([]byte, n)
			for i := range want {
				want[i] = f(px[i], py[i])
			}
			require.EqualValues(t, n, c.Do("BITOP", op, "z", "x", "y").Reply.Int)
			require.Equal(t, string(want), c.Do("GET", "z").Reply.Text(), op)
		}
		zeros, ones := r.IntN(200), r.IntN(200)
		c.Do("SET", "p", strings.Repeat("\x00", zeros)+strings.Repeat("\xff", ones))
		c.Do("BITOP", "NOT", "q", "p")
		at1, at0 := int64(-1), int64(0)
		if ones > 0 {
			at1 = int64(8 * zeros)
		}
		if zeros == 0 {
			if at0 = int64(8 * ones); ones == 0 {
				at0 = -1
			}
		}
		require.Equal(t, at1, c.Do("BITPOS", "p", "1").Reply.Int)
		require.Equal(t, at0, c.Do("BITPOS", "p", "0").Reply.Int)
		require.EqualValues(t, 8*ones, c.Do("BITCOUNT", "p").Reply.Int)
		require.EqualValues(t, 8*zeros, c.Do("BITCOUNT", "q").Reply.Int)
	}
}

// A string that grows bit by bit grows in place, and past the size that stands in the entry.
func TestGrowth(t *testing.T) {
	b := commandtest.New(t, setup(commandtest.Settings{})...)
	c := b.Client(0)
	for at := 0; at < 100_000; at += 977 {
		require.EqualValues(t, 0, c.Do("SETBIT", "k", fmt.Sprint(at), "1").Reply.Int)
		require.EqualValues(t, at/977+1, c.Do("BITCOUNT", "k").Reply.Int)
		require.EqualValues(t, at/8+1, c.Do("STRLEN", "k").Reply.Int)
	}
	assert.Equal(t, "raw", c.Do("OBJECT", "ENCODING", "k").Reply.Text())
}

// What our primary did is done, whatever the limit here.
func TestThePrimaryIsObeyed(t *testing.T) {
	b := commandtest.New(t, setup(commandtest.Settings{"max-bulk": "10"})...)
	assert.Error(t, b.Client(0).Do("SETBIT", "k", "80", "1").Reply.Err())
	assert.NoError(t, b.Client(session.Primary).Do("SETBIT", "k", "80", "1").Reply.Err())
}
