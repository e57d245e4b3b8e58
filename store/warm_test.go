package store_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/slot"
	"github.com/stretchr/testify/require"
)

// warmKeys warms up for keys of all kinds: present, absent, in slots without a table, in a slot with many segments, and more
// of them than it takes.
func warmKeys(w *store.Warmer, s *store.Store, db, n int) {
	for i := range n {
		w.Add(s, db, fmt.Appendf(nil, "key:%d", i))
		w.Add(s, db, fmt.Appendf(nil, "{big}%d", i))
		w.Add(s, db, fmt.Appendf(nil, "none:%d", i))
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
