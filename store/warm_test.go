package store_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/slot"
	"github.com/sextantdb/sextant/store/value"
	"github.com/stretchr/testify/require"
)

// warmKeys warms up for keys of all kinds: present, absent, in slots without a table, in a slot with many segments, and more
// of them than it takes.
func warmKeys(w *store.Warmer, s *store.Store, db, n int) {
	for i := range n {
		w.Add(s, db, fmt.Appendf(nil, "key:%d", i), value.Foreseen{})
		w.Add(s, db, fmt.Appendf(nil, "{big}%d", i), value.Foreseen{})
		w.Add(s, db, fmt.Appendf(nil, "none:%d", i), value.Foreseen{})
	}
	w.Run(s)
}

func TestWarmingChangesNothing(t *testing.T) {
	s := open(t)
	fillStore(s, 500, "key:%d", forever)
	fillStore(s, 5000, "{big}%d", forever)
	before, changes := s.UsedBytes(), s.Changes()
	var w store.Warmer
	for db := range 2 {
		for n := range 40 {
			warmKeys(&w, s, db, n)
		}
	}
	require.Equal(t, before, s.UsedBytes())
	require.Equal(t, changes, s.Changes())
	require.Equal(t, int64(0), s.Stats().Misses)
	all(s, t0, func(x *store.Txn) { // no stripe was left locked
		require.Equal(t, int64(5500), s.DBSize(0))
		require.True(t, x.Exists(b("{big}4999")))
	})
}

func TestWarmingWaitsForNobody(t *testing.T) {
	s := open(t)
	fillStore(s, 100, "key:%d", forever)
	var w store.Warmer
	all(s, t0, func(*store.Txn) { warmKeys(&w, s, 0, 10) }) // would deadlock
}

// Calls of one key in a row on large values of all types, on a compact one and on none: nothing changes but the cache.
func TestWarmingLargeValues(t *testing.T) {
	s := open(t)
	elements := func(n int) (words [][]byte) {
		for i := range n {
			words = append(words, fmt.Appendf(nil, "element:%d", i))
		}
		return words
	}
	l := value.DefaultLimits()
	all(s, t0, func(x *store.Txn) {
		hash, set, zset, list := value.NewHash(nil, &l), value.EditSet(0, nil, nil, nil, &l), value.NewLargeZSet(), value.NewLargeList()
		z := value.ZSetOf(nil, zset)
		set.Expect(nil, 1000)
		for i, w := range elements(1000) {
			hash.Set(w, w)
			set.Add(w)
			z.Put(w, float64(i), &l)
			list.Push(w, &l)
		}
		_, _, h := hash.Result()
		_, _, m := set.Result()
		for key, o := range map[string]value.Object{"hash": h, "set": m, "zset": zset, "list": list} {
			x.SetObject(b(key), o, store.NoExpire)
		}
	})
	fillStore(s, 3, "key:%d", forever)
	before, changes := s.UsedBytes(), s.Changes()
	var w store.Warmer
	for _, key := range []string{"hash", "set", "zset", "list", "key:1", "none"} {
		for n := range store.WarmMost + 2 {
			for i, e := range elements(n) {
				call := value.Foreseen{e, b("x")}
				switch i % 4 {
				case 0:
					call = value.Foreseen{b("17"), e}
				case 1:
					call = value.Foreseen{b("none"), nil}
				case 2:
					call = value.Foreseen{}
				}
				w.Add(s, 0, b(key), call)
			}
			w.Run(s)
		}
	}
	require.Equal(t, before, s.UsedBytes())
	require.Equal(t, changes, s.Changes())
	all(s, t0, func(x *store.Txn) {
		e, ok := x.Lookup(b("zset"), 0)
		require.True(t, ok)
		require.Equal(t, 1000, e.Len())
	})
}

func TestWarmingBesideWriters(t *testing.T) {
	s := open(t)
	var writer sync.WaitGroup
	writer.Add(1)
	go func() {
		defer writer.Done()
		var x store.Txn
		for i := range 20000 {
			key := fmt.Appendf(nil, "key:%d", i%7)
			if i%3 == 0 {
				key = fmt.Appendf(nil, "{big}%d", i%2000)
			}
			x.Begin(s, t0, slot.Of(key))
			if i%5 == 4 {
				x.Delete(key)
			} else {
				x.SetString(key, key, store.NoExpire)
			}
			x.End()
		}
	}()
	var w store.Warmer
	for i := range 2000 {
		warmKeys(&w, s, 0, 1+i%20)
	}
	writer.Wait()
}
