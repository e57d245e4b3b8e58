package store_test

import (
	"testing"

	"github.com/sextantdb/sextant/store"
	"github.com/stretchr/testify/require"
)

func TestWatch(t *testing.T) {
	set := func(key string, at int64) func(*store.Txn) {
		return func(x *store.Txn) { x.SetString(b(key), b("v"), at) }
	}
	nothing := func(*store.Txn) {}
	for _, c := range []struct {
		name          string
		before, after func(*store.Txn)
		later         int64 // ms between WATCH and what comes after
		changed       bool
	}{
		{"untouched", set("k", store.NoExpire), set("other", store.NoExpire), 0, false},
		{"set", set("k", store.NoExpire), set("k", store.NoExpire), 0, true},
		{"created", nothing, set("k", store.NoExpire), 0, true},
		{"deleted", set("k", store.NoExpire), func(x *store.Txn) { x.Delete(b("k")) }, 0, true},
		{"delete of an absent key", nothing, func(x *store.Txn) { x.Delete(b("k")) }, 0, false},
		{"expiry set", set("k", store.NoExpire), func(x *store.Txn) { x.SetExpire(b("k"), t0+1e9) }, 0, true},
		{"touched only", set("k", store.NoExpire), func(x *store.Txn) { x.Touch(b("k")) }, 0, false},
		{"expired and not yet removed", set("k", t0+10), nothing, 20, true},
		{"expired and removed", set("k", t0+10), func(x *store.Txn) { x.Exists(b("k")) }, 20, true},
		{"expired before WATCH", set("k", t0-10), nothing, 5, false},
		{"expired before WATCH, then removed", set("k", t0-10), func(x *store.Txn) { x.Exists(b("k")) }, 5, false},
		{"expired before WATCH, then made anew", set("k", t0-10), set("k", store.NoExpire), 5, true},
		{"FLUSHALL", set("k", store.NoExpire), func(x *store.Txn) { x.FlushAll() }, 0, true},
		{"FLUSHALL without the key", nothing, func(x *store.Txn) { x.FlushAll() }, 0, false},
		{"FLUSHDB of another database", set("k", store.NoExpire), func(x *store.Txn) { x.FlushDB(1) }, 0, false},
		{"SWAPDB with it here", set("k", store.NoExpire), func(x *store.Txn) { x.SwapDB(0, 1) }, 0, true},
		{"SWAPDB with it there", func(x *store.Txn) { x.SelectDB(1); set("k", store.NoExpire)(x); x.SelectDB(0) },
			func(x *store.Txn) { x.SwapDB(0, 1) }, 0, true},
		{"SWAPDB with it nowhere", nothing, func(x *store.Txn) { x.SwapDB(0, 1) }, 0, false},
		{"same key in another database", set("k", store.NoExpire),
			func(x *store.Txn) { x.SelectDB(1); set("k", store.NoExpire)(x) }, 0, false},
		{"renamed away", set("k", store.NoExpire), func(x *store.Txn) { x.Rename(b("k"), b("l")) }, 0, true},
		{"renamed onto", set("l", store.NoExpire), func(x *store.Txn) { x.Rename(b("l"), b("k")) }, 0, true},
		{"moved away", set("k", store.NoExpire), func(x *store.Txn) { x.Move(b("k"), 2) }, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t)
			var w, same store.Watch
			all(s, t0, func(x *store.Txn) {
				x.SetView(store.ViewStream) // keep what has expired
				c.before(x)
			})
			all(s, t0, func(x *store.Txn) {
				x.Watch(b("k"), &w)
				x.Watch(b("k"), &same)
			})
			all(s, t0+c.later, c.after)
			all(s, t0+c.later, func(x *store.Txn) {
				require.Equal(t, c.changed, x.Changed(&w))
				require.Equal(t, 1, x.MemStats().Watched)
				x.Unwatch(&w)
				require.Equal(t, c.changed, x.Changed(&same), "the other watcher's view stays")
				x.Unwatch(&same)
				require.Zero(t, x.MemStats().Watched, "nothing is kept for unwatched keys")
				require.False(t, x.Changed(&w))
			})
		})
	}
}
