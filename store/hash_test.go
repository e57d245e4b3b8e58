package store

import (
	"fmt"
	"math/bits"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHashSpreads(t *testing.T) {
	s := &Store{seed: [2]uint64{1, 2}}
	seen := map[uint64]string{}
	flips, pairs := 0, 0
	var shares [64]int
	for i := range 50_000 {
		key := fmt.Appendf(nil, "%0*d", 1+i%40, i)
		h := s.hash(key)
		if other, ok := seen[h]; ok {
			require.Equal(t, other, string(key), "two keys with one 64-bit hash")
		}
		seen[h] = string(key)
		shares[h>>58]++
		key[i%len(key)] ^= 1
		flips += bits.OnesCount64(h ^ s.hash(key))
		pairs++
	}
	require.InDelta(t, 32, float64(flips)/float64(pairs), 0.5, "one bit of the key changes half of the hash")
	for _, n := range shares {
		require.InDelta(t, 50_000/64, n, 200)
	}
	require.NotEqual(t, s.hash(nil), s.hash([]byte{0}))
	require.NotEqual(t, s.hash([]byte{0}), s.hash([]byte{0, 0}))
	require.NotEqual(t, s.hash([]byte("key")), (&Store{seed: [2]uint64{1, 3}}).hash([]byte("key")))
}
