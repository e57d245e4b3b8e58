package rdb

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLZFGivesBackWhatItTook(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	noise := func(n, alphabet int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rng.IntN(alphabet))
		}
		return b
	}
	c := new(lzfCompressor)
	inputs := [][]byte{
		nil, []byte("a"), []byte("abcd"), []byte("aaaaa"), []byte("aaaaaa"),
		[]byte(strings.Repeat("x", 10)), []byte(strings.Repeat("x", 264)),
		[]byte(strings.Repeat("x", 265)), []byte(strings.Repeat("x", 100_000)),
		[]byte(strings.Repeat("hello world, ", 1000)),
		noise(64, 256), noise(100_000, 256), noise(100_000, 2), noise(100_000, 4),
		// A match at the greatest distance, and one byte beyond it.
		append(append([]byte("needle"), noise(lzfMaxOffset-6, 256)...), "needle-needle-needle"...),
		append(append([]byte("needle"), noise(lzfMaxOffset-5, 256)...), "needle-needle-needle"...),
	}
	for range 2000 {
		inputs = append(inputs, noise(rng.IntN(300), 1+rng.IntN(20)))
	}
	for _, in := range inputs {
		packed, ok := c.compress([]byte("before"), in)
		require.Equal(t, "before", string(packed[:6]))
		if !ok {
			require.Len(t, packed, 6)
			continue
		}
		require.LessOrEqual(t, len(packed)-6, len(in)-4)
		out := make([]byte, len(in))
		require.NoError(t, lzfDecompress(out, packed[6:]))
		require.Equal(t, in, out)
	}
	packed, ok := c.compress(nil, bytes.Repeat([]byte("x"), 64))
	require.True(t, ok)
	require.Less(t, len(packed), 10, "a run of one byte must shrink well")
}

func TestLZFForgetsEarlierInputs(t *testing.T) {
	c := new(lzfCompressor)
	c.base = 1<<32 - 300 // the position counter is about to run over
	text := bytes.Repeat([]byte("abcdefgh"), 20)
	for range 10 {
		packed, ok := c.compress(nil, text)
		require.True(t, ok)
		out := make([]byte, len(text))
		require.NoError(t, lzfDecompress(out, packed))
		require.Equal(t, text, out)
	}
	require.Less(t, c.base, uint32(2000))
}

func TestLZFRefusesWhatIsNotLZF(t *testing.T) {
	for name, c := range map[string]struct {
		packed []byte
		n      int
	}{
		"literal run cut off":         {[]byte{5, 'a', 'b'}, 6},
		"literal run too long":        {[]byte{1, 'a', 'b'}, 1},
		"match before the beginning":  {[]byte{0, 'a', 1 << 5, 5}, 4},
		"match without its offset":    {[]byte{0, 'a', 1 << 5}, 4},
		"long match without length":   {[]byte{0, 'a', 7 << 5}, 20},
		"long match without offset":   {[]byte{0, 'a', 7 << 5, 1}, 11},
		"match too long for the room": {[]byte{0, 'a', 1 << 5, 0}, 3},
		"less than was promised":      {[]byte{0, 'a'}, 2},
	} {
		require.ErrorIs(t, lzfDecompress(make([]byte, c.n), c.packed), errLZF, name)
	}
}

// FuzzLZF runs both directions against each other: whatever compresses must come back, and
// whatever is given to the decompressor must be refused or fill the room exactly.
func FuzzLZF(f *testing.F) {
	f.Add([]byte(strings.Repeat("seed ", 20)), 30)
	f.Add([]byte{0, 'a', 7 << 5, 200, 0}, 210)
	f.Add([]byte{1, 'a', 'b', 1 << 5, 1}, 5)
	c := new(lzfCompressor)
	f.Fuzz(func(t *testing.T, in []byte, room int) {
		if packed, ok := c.compress(nil, in); ok {
			out := make([]byte, len(in))
			if err := lzfDecompress(out, packed); err != nil || !bytes.Equal(in, out) {
				t.Fatalf("%q came back as %q (%v)", in, out, err)
			}
		}
		if room >= 0 && room <= len(in)*lzfMaxRatio {
			_ = lzfDecompress(make([]byte, room), in)
		} else if room > 0 && room < 1<<20 {
			if lzfDecompress(make([]byte, room), in) == nil {
				t.Fatalf("%d bytes gave %d: lzfMaxRatio is wrong", len(in), room)
			}
		}
	})
}

func BenchmarkLZFCompress(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	random := make([]byte, 64)
	for i := range random {
		random[i] = byte(rng.Uint32())
	}
	for name, in := range map[string][]byte{
		"random-64": random,
		"text-4096": bytes.Repeat([]byte("The quick brown fox jumps over the lazy dog. "), 91),
	} {
		b.Run(name, func(b *testing.B) {
			c := new(lzfCompressor)
			out := make([]byte, 0, 8192)
			b.SetBytes(int64(len(in)))
			for b.Loop() {
				c.compress(out, in)
			}
		})
	}
}
