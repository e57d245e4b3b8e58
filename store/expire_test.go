package store_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/arena"
	"github.com/stretchr/testify/require"
)

func TestAKeyLivesThroughItsLastMillisecond(t *testing.T) {
	s := open(t)
	all(s, t0, func(x *store.Txn) { x.SetString(b("k"), b("v"), t0+100) })
	all(s, t0+100, func(x *store.Txn) { require.True(t, x.Exists(b("k"))) })
	all(s, t0+101, func(x *store.Txn) {
		require.False(t, x.Exists(b("k")))
		require.Len(t, x.Expired(), 1)
		require.Equal(t, "k", string(x.Expired()[0].Key))
		x.ClearExpired()
		require.Empty(t, x.Expired())
	})
	require.Equal(t, int64(1), s.Stats().ExpiredKeys)
	require.Zero(t, s.DBSize(0))
}

func TestAnExpiredKeyMetByAWriteDiesFirst(t *testing.T) {
	s := open(t)
	all(s, t0, func(x *store.Txn) { x.SelectDB(3); x.SetString(b("k"), b("v"), t0+1) })
	all(s, t0+2, func(x *store.Txn) {
		x.SelectDB(3)
		require.False(t, x.SetString(b("k"), b("w"), store.KeepTTL))
		require.Equal(t, 3, x.Expired()[0].DB)
		e, _ := x.Lookup(b("k"), 0)
		require.Equal(t, store.NoExpire, e.ExpireAt(), "the dead key's expiry is not kept")
	})
}

func TestReplicasHideAndTheStreamSees(t *testing.T) {
	s := open(t)
	all(s, t0, func(x *store.Txn) { x.SetString(b("k"), b("v"), t0+1) })
	all(s, t0+2, func(x *store.Txn) {
		x.SetView(store.ViewReplica)
		require.False(t, x.Exists(b("k")))
		require.Empty(t, x.Expired())
		x.SetView(store.ViewStream)
		require.True(t, x.Exists(b("k")))
		x.Append(b("k"), b("w"))
		deleted, more := x.ActiveExpire(100)
		require.Zero(t, deleted)
		require.False(t, more)
		require.True(t, x.Delete(b("k")))
	})
}

func TestActiveExpireFindsAllAndOnlyWhatIsDue(t *testing.T) {
	s := open(t)
	n := 60_000
	if arena.Checked {
		n = 6_000
	}
	// A third never, the rest over ten seconds; half of all in one slot.
	at := func(i int) int64 {
		if i%3 == 0 {
			return store.NoExpire
		}
		return t0 + int64(i*7919%10_000)
	}
	fillStore(s, n/2, "{hot}%d", at)
	fillStore(s, n/2, "k%d", at)
	require.Equal(t, int64(n), s.DBSize(0))
	left := s.Expires(0)
	require.InDelta(t, 5000, s.AvgTTL(0, t0), 600)
	var x store.Txn
	for now := t0; now <= t0+10_000; now += 500 {
		looked := 0
		for stripe := range s.Stripes() {
			for more := s.NextExpire(stripe) < now; more; looked++ {
				x.BeginStripe(s, now, stripe)
				_, more = x.ActiveExpire(200)
				left -= int64(len(x.Expired()))
				x.End()
			}
		}
		require.Equal(t, left, s.Expires(0))
		all(s, now, func(x *store.Txn) {
			x.SetView(store.ViewStream)
			x.Keys(func(e store.Entry) bool {
				if e.ExpireAt() != store.NoExpire && e.ExpireAt() < now {
					t.Fatalf("%q is still there", e.Key())
				}
				return true
			})
		})
	}
	require.Zero(t, left)
	for stripe := range s.Stripes() {
		require.Equal(t, int64(math.MaxInt64), s.NextExpire(stripe), "nothing is waited for")
	}
}

func TestAWritableReplicaReplacesWhatItHides(t *testing.T) {
	s := open(t)
	all(s, t0, func(x *store.Txn) { x.SetString(b("k"), b("v"), t0+1) })
	all(s, t0+2, func(x *store.Txn) {
		x.SetView(store.ViewReplica)
		require.False(t, x.SetString(b("k"), b("w"), store.KeepTTL))
		e, ok := x.Lookup(b("k"), 0)
		require.True(t, ok)
		require.Equal(t, store.NoExpire, e.ExpireAt())
		x.Check()
	})
	require.Equal(t, int64(1), s.DBSize(0))
}

func TestTheTimeIndexTakesLittle(t *testing.T) {
	if arena.Checked {
		t.Skip("measures the real arena")
	}
	s := open(t)
	fillStore(s, 100_000, "{hot}:%012d", forever)
	before := s.UsedBytes()
	all(s, t0, func(x *store.Txn) {
		for i := range 100_000 {
			x.SetExpire(fmt.Appendf(nil, "{hot}:%012d", i), t0+int64(i))
		}
	})
	require.Less(t, float64(s.UsedBytes()-before)/100_000, 8+2.0, "8 bytes in the entry and next to nothing beside")
}
