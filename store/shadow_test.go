package store_test

import (
	"testing"

	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/slot"
	"github.com/stretchr/testify/require"
)

// shadowed makes a store of two databases with old keys, and a shadow with new ones, half of
// which have expired at t0+1.
func shadowed(t *testing.T) *store.Store {
	s, err := store.New(store.Options{Databases: 2, Shadow: true, Stripes: 4})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	require.True(t, s.HasShadow())
	fillStore(s, 100, "old%d", forever)
	for i, k := range []string{"a", "b", "c", "d"} {
		var x store.Txn
		x.Begin(s, t0, slot.OfString(k))
		x.SelectShadow(i % 2)
		at := store.NoExpire
		if i < 2 {
			at = t0
		}
		x.SetString(b(k), b("new"), at)
		x.End()
	}
	return s
}

func TestNobodySeesTheShadow(t *testing.T) {
	s := shadowed(t)
	require.Equal(t, 2, s.Databases())
	require.Equal(t, int64(100), s.DBSize(0))
	require.Zero(t, s.DBSize(1))
	all(s, t0+1, func(x *store.Txn) {
		n, more := x.ActiveExpire(1 << 20)
		require.Zero(t, n, "keys of the shadow do not expire")
		require.False(t, more)
		x.DropSlot(slot.OfString("a"))
		c := &collector{seen: model{}}
		sn := x.Cut(c)
		require.Equal(t, int64(100), sn.Keys(0))
		x.SelectShadow(0)
		x.SetString(b("c"), b("newer"), store.NoExpire)
		require.Empty(t, c.seen, "no pre-image of a key of the shadow")
		x.End()
		for sl := range slot.Slot(slot.Count) {
			for pos := (store.WalkPos{}); !sn.Walk(sl, &pos, 50, 4000, c.PreImage); {
			}
		}
		require.Len(t, c.seen, 100)
		sn.End()
		x.BeginAll(s, t0+1)
		x.Check()
		require.Equal(t, int64(100), x.FlushAll())
	})
	all(s, t0+1, func(x *store.Txn) { require.Equal(t, int64(4), x.FlushShadow(), "all that was there still is") })
}

func TestAnEvictorDoesNotLookIntoTheShadow(t *testing.T) {
	s := shadowed(t)
	s.SetEviction(store.VolatileTTL, 10, 1)
	var e store.Evictor
	all(s, t0, func(x *store.Txn) { e.Sample(x, 100) })
	_, key, ok := e.Best()
	require.False(t, ok, "%s", key)
}

// The new data is seen whole, its expiry works, watchers of what changed are told, and the old
// data is freed; a snapshot of the old data still comes out whole.
func TestInstallShadow(t *testing.T) {
	s := shadowed(t)
	c := &collector{seen: model{}}
	var sn *store.Snapshot
	var w store.Watch
	all(s, t0, func(x *store.Txn) {
		x.Watch(b("old1"), &w)
		sn = x.Cut(c)
		x.InstallShadow()
		require.True(t, x.Changed(&w))
		x.Unwatch(&w)
		e, ok := x.Lookup(b("c"), 0)
		require.True(t, ok)
		require.Equal(t, "new", string(e.Bytes(nil)))
		require.True(t, x.Delete(b("c")), "a key that was not of the cut")
	})
	require.Equal(t, int64(1), s.DBSize(0))
	require.Equal(t, int64(2), s.DBSize(1))
	for sl := range slot.Slot(slot.Count) {
		for pos := (store.WalkPos{}); !sn.Walk(sl, &pos, 50, 4000, c.PreImage); {
		}
	}
	sn.End()
	require.Len(t, c.seen, 100)
	all(s, t0+1, func(x *store.Txn) {
		x.Check()
		n, _ := x.ActiveExpire(1 << 20)
		require.Equal(t, 2, n)
		x.FlushAll()
		require.Zero(t, x.FlushShadow())
		require.Zero(t, x.Reclaim(1<<20))
	})
	require.Zero(t, s.UsedBytes())
}
