package store_test

import (
	"fmt"
	"testing"

	"github.com/sextantdb/sextant/store"
	"github.com/stretchr/testify/require"
)

func TestPolicyNames(t *testing.T) {
	for p := store.NoEviction; p <= store.VolatileTTL; p++ {
		got, ok := store.ParsePolicy(p.String())
		require.True(t, ok)
		require.Equal(t, p, got)
	}
	_, ok := store.ParsePolicy("lru")
	require.False(t, ok)
}

// evict makes 1000 keys, of which the first hundred are the ones that should go, and
// reports how many of the first fifty evicted are among them.
func evict(t *testing.T, p store.Policy) (right, volatile int) {
	s := open(t)
	s.SetEviction(p, 10, 1)
	all(s, t0, func(x *store.Txn) {
		for i := range 1000 {
			at := store.NoExpire
			if i%2 == 0 {
				at = t0 + 1e8 + int64(i)*1000
			}
			x.SetString(fmt.Appendf(nil, "k%d", i), b("v"), at)
		}
	})
	for n := range 40 { // the others are used, an hour later
		all(s, t0+3_600_000+int64(n), func(x *store.Txn) {
			for i := 100; i < 1000; i++ {
				x.Touch(fmt.Appendf(nil, "k%d", i))
			}
		})
	}
	var e store.Evictor
	all(s, t0+3_600_100, func(x *store.Txn) {
		for range 50 {
			e.Sample(x, 5)
			db, key, ok := e.Best()
			if !ok {
				return
			}
			require.Zero(t, db)
			entry, ok := x.Lookup(key, store.NoTouch)
			require.True(t, ok)
			if entry.ExpireAt() != store.NoExpire {
				volatile++
			}
			var i int
			_, _ = fmt.Sscanf(string(key), "k%d", &i)
			if i < 100 {
				right++
			}
			x.Delete(key)
		}
	})
	return right, volatile
}

func TestEvictionTakesTheRightKeys(t *testing.T) {
	for p := store.NoEviction; p <= store.VolatileTTL; p++ {
		t.Run(p.String(), func(t *testing.T) {
			right, volatile := evict(t, p)
			switch p {
			case store.NoEviction:
				require.Zero(t, right)
			case store.AllKeysLRU, store.AllKeysLFU:
				require.Equal(t, 50, right)
			case store.AllKeysRandom:
				require.Less(t, right, 25)
			case store.VolatileRandom:
				require.Equal(t, 50, volatile)
			default:
				require.Equal(t, 50, volatile)
				require.GreaterOrEqual(t, right, 35, "of the 50 that are, the last are hard to meet")
			}
		})
	}
}

func TestAccessClocks(t *testing.T) {
	s := open(t)
	all(s, t0, func(x *store.Txn) { x.SetString(b("k"), b("v"), store.NoExpire) })
	all(s, t0+90_000, func(x *store.Txn) {
		e, _ := x.Lookup(b("k"), store.NoTouch)
		require.Equal(t, int64(90), e.IdleSeconds())
		x.Touch(b("k"))
		e, _ = x.Lookup(b("k"), store.NoTouch)
		require.Zero(t, e.IdleSeconds())
		x.SetIdle(b("k"), 500)
		e, _ = x.Lookup(b("k"), store.NoTouch)
		require.Equal(t, int64(500), e.IdleSeconds())
	})
	s.SetEviction(store.AllKeysLFU, 10, 1)
	all(s, t0, func(x *store.Txn) {
		x.SetString(b("f"), b("v"), store.NoExpire)
		e, _ := x.Lookup(b("f"), store.NoTouch)
		require.Equal(t, 5, e.Freq())
		for range 1000 {
			x.Touch(b("f"))
		}
		e, _ = x.Lookup(b("f"), store.NoTouch)
		require.InDelta(t, 18, e.Freq(), 6, "a thousand touches are about 18 in the manual's table")
		x.SetFreq(b("f"), 100)
	})
	all(s, t0+10*60_000, func(x *store.Txn) {
		e, _ := x.Lookup(b("f"), store.NoTouch)
		require.Equal(t, 90, e.Freq(), "it falls by one a minute")
	})
}

// A bound a little above an empty node must be kept by evicting keys, so what a database costs
// because it was used once does not count towards it.
func TestDeletingEveryKeyLeavesNothingThatCounts(t *testing.T) {
	s := open(t)
	all(s, t0, func(x *store.Txn) {
		x.SelectDB(9)
		for i := range 1000 {
			x.SetString(fmt.Appendf(nil, "k%d", i), b("v"), t0+1e9)
		}
	})
	require.Positive(t, s.UsedBytes())
	all(s, t0, func(x *store.Txn) {
		x.SelectDB(9)
		for i := range 1000 {
			require.True(t, x.Delete(fmt.Appendf(nil, "k%d", i)))
		}
	})
	require.Zero(t, s.UsedBytes())
}
