package intset_test

import (
	"bytes"
	"encoding/hex"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/store/value/internal/intset"
)

func all(s intset.Set) []int64 {
	list := []int64{}
	for i := range s.Len() {
		list = append(list, s.At(i))
	}
	return list
}

func TestBytesAreRedis(t *testing.T) {
	s := intset.New(nil)
	for _, step := range []struct {
		n   int64
		hex string
	}{
		{5, "0200000001000000" + "0500"},
		{-1, "0200000002000000" + "ffff0500"},
		{70000, "0400000003000000" + "ffffffff0500000070110100"},
		{1 << 40, "0800000004000000" + "ffffffffffffffff050000000000000070110100000000000000000000010000"},
	} {
		var added bool
		s, added = s.Add(step.n)
		assert.True(t, added)
		assert.Equal(t, step.hex, hex.EncodeToString(s))
	}
	s, _ = s.Remove(1 << 40)
	assert.Equal(t, "0800000003000000", hex.EncodeToString(s[:8]), "the width stays")
}

func play(t *testing.T, s intset.Set, model map[int64]bool, numbers []int64) intset.Set {
	for i, n := range numbers {
		var did bool
		if i%3 == 2 {
			s, did = s.Remove(n)
			require.Equal(t, model[n], did)
			delete(model, n)
		} else {
			s, did = s.Add(n)
			require.Equal(t, !model[n], did)
			model[n] = true
		}
		require.Equal(t, model[n], s.Has(n))
		count, err := intset.Check(s)
		require.NoError(t, err)
		require.Equal(t, len(model), count)
	}
	want := []int64{}
	for n := range model {
		want = append(want, n)
	}
	slices.Sort(want)
	require.Equal(t, want, all(s))
	return s
}

func TestModel(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		numbers := make([]int64, 200)
		shift := r.IntN(60)
		for i := range numbers {
			numbers[i] = int64(r.Uint64()) >> (shift + r.IntN(4))
		}
		numbers[50], numbers[51] = math.MinInt64, math.MaxInt64
		play(t, intset.New(nil), map[int64]bool{}, numbers)
	}
}

func FuzzCheck(f *testing.F) {
	s := intset.New(nil)
	f.Add([]byte(s), int64(1))
	for _, n := range []int64{1, -5, 70000, 1 << 40} {
		s, _ = s.Add(n)
		f.Add(bytes.Clone(s), n+1)
	}
	f.Fuzz(func(t *testing.T, b []byte, n int64) {
		if _, err := intset.Check(b); err != nil {
			return
		}
		model := map[int64]bool{}
		for _, m := range all(b) {
			model[m] = true
		}
		play(t, bytes.Clone(b), model, []int64{n, 0, -n, n, n << 20, n})
	})
}
