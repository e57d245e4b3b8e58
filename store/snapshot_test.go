package store_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/arena"
	"github.com/sextantdb/sextant/store/slot"
	"github.com/stretchr/testify/require"
)

// collector is a Sink that many stripes call at once.
type collector struct {
	mu   sync.Mutex
	seen model
	dups atomic.Int64
}

func (c *collector) PreImage(i *store.Image) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := dbKey{i.DB, string(i.Key)}
	if _, ok := c.seen[k]; ok {
		c.dups.Add(1)
	}
	c.seen[k] = itemOfImage(i)
}

// TestSnapshotIsTheCutUnderConcurrentWriters cuts while writers of every kind are at work,
// and walks while they go on.
func TestSnapshotIsTheCutUnderConcurrentWriters(t *testing.T) {
	s := open(t)
	n := 20_000
	if arena.Checked {
		n = 2_000
	}
	fillStore(s, n, "{hot}%d", forever)
	fillStore(s, n, "k%d", func(i int) int64 { return t0 + int64(i) })
	var stop atomic.Bool
	var writers sync.WaitGroup
	for w := range 3 {
		writers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 9))
			var x store.Txn
			for i := 0; !stop.Load(); i++ {
				format := "k%d"
				if r.IntN(2) == 0 {
					format = "{hot}%d"
				}
				key, other := fmt.Appendf(nil, format, r.IntN(n)), fmt.Appendf(nil, format, r.IntN(2*n))
				x.Begin(s, t0+int64(i/100), slot.Of(key), slot.Of(other))
				x.SelectDB(r.IntN(2))
				switch r.IntN(9) {
				case 0:
					x.SetString(key, other, store.NoExpire)
				case 1:
					x.Delete(key)
				case 2:
					x.Rename(key, other)
				case 3:
					x.Move(key, 1-x.DB())
				case 4:
					x.SetObject(key, &toy{[]string{string(other)}}, store.NoExpire)
				case 5:
					if o, ok := x.Edit(key); ok {
						o.(*toy).items = append(o.(*toy).items, "more")
					}
				case 6:
					x.SetExpire(key, t0+int64(r.IntN(n)))
				case 7:
					if e, ok := x.Lookup(key, 0); ok && e.Object() == nil {
						x.Append(key, other)
					}
				case 8:
					x.ActiveExpire(10)
					x.Defrag(10)
				}
				x.End()
				if r.IntN(n) == 0 {
					x.BeginAll(s, t0)
					if r.IntN(2) == 0 {
						x.SwapDB(0, 1)
					} else {
						x.FlushDB(1)
					}
					x.Reclaim(1000)
					x.End()
				}
			}
		})
	}
	for range 4 {
		c := &collector{seen: model{}}
		want := model{}
		var sn *store.Snapshot
		var keys int64
		all(s, t0, func(x *store.Txn) {
			sn = x.Cut(c)
			x.SetView(store.ViewStream)
			for db := range s.Databases() {
				x.SelectDB(db)
				x.Keys(func(e store.Entry) bool { want[dbKey{db, string(e.Key())}] = itemOfEntry(e); return true })
				require.Equal(t, s.DBSize(db), sn.Keys(db))
				keys += sn.Keys(db)
			}
		})
		require.Equal(t, int64(len(want)), keys)
		for sl := range slot.Slot(slot.Count) {
			for pos := (store.WalkPos{}); !sn.Walk(sl, &pos, 50, 4000, c.PreImage); {
			}
		}
		sn.End()
		require.Zero(t, c.dups.Load(), "an entry came out twice")
		require.Equal(t, len(want), len(c.seen))
		for id, it := range want {
			if c.seen[id] != it {
				t.Fatalf("%v was %v at the cut and came out as %v", id, it, c.seen[id])
			}
		}
		require.False(t, sn.Aborted())
	}
	stop.Store(true)
	writers.Wait()
	all(s, t0, func(x *store.Txn) { x.Check() })
}

func TestFlushedTablesWaitForTheWalk(t *testing.T) {
	s := open(t)
	fillStore(s, 1000, "k%d", forever)
	c := &collector{seen: model{}}
	var sn *store.Snapshot
	all(s, t0, func(x *store.Txn) { sn = x.Cut(c); require.True(t, x.Snapshotting()) })
	all(s, t0, func(x *store.Txn) {
		x.FlushAll()
		require.Zero(t, x.Reclaim(1<<30))
	})
	require.Positive(t, sn.HeldBytes())
	fillStore(s, 10, "new%d", forever)
	for sl := range slot.Slot(slot.Count) {
		for pos := (store.WalkPos{}); !sn.Walk(sl, &pos, 1, 1, c.PreImage); {
		}
	}
	sn.End()
	require.Len(t, c.seen, 1000)
	require.Zero(t, sn.HeldBytes())
	all(s, t0, func(x *store.Txn) {
		require.False(t, x.Snapshotting())
		require.Zero(t, x.Reclaim(1<<30))
		x.FlushAll()
		x.Reclaim(1 << 30)
	})
	require.Zero(t, s.UsedBytes())
}

func TestAnAbortedSnapshotLeavesNoTrace(t *testing.T) {
	s := open(t)
	fillStore(s, 1000, "k%d", forever)
	for range 3 {
		c := &collector{seen: model{}}
		var sn *store.Snapshot
		all(s, t0, func(x *store.Txn) { sn = x.Cut(c) })
		sn.Abort()
		all(s, t0, func(x *store.Txn) { x.Delete(b("k1")); x.SetString(b("k2"), b("v"), store.NoExpire) })
		require.Empty(t, c.seen, "no pre-images after Abort")
		sn.End()
		all(s, t0, func(x *store.Txn) { x.Check() })
	}
	c := &collector{seen: model{}}
	var sn *store.Snapshot
	all(s, t0, func(x *store.Txn) { sn = x.Cut(c) })
	for sl := range slot.Slot(slot.Count) {
		sn.Walk(sl, new(store.WalkPos), 1000, 1<<20, c.PreImage)
	}
	sn.End()
	require.Len(t, c.seen, 999, "the next one is whole")
}

func TestWalkHoldsTheLockForABoundedPiece(t *testing.T) {
	s := open(t)
	fillStore(s, 5000, "{hot}%d", forever)
	var sn *store.Snapshot
	all(s, t0, func(x *store.Txn) { sn = x.Cut(&collector{seen: model{}}) })
	total, steps := 0, 0
	for pos := (store.WalkPos{}); ; steps++ {
		n := 0
		done := sn.Walk(slot.OfString("hot"), &pos, 100, 1<<20, func(*store.Image) { n++ })
		require.LessOrEqual(t, n, 150)
		if total += n; done {
			break
		}
	}
	require.Equal(t, 5000, total)
	require.Greater(t, steps, 30)
	sn.End()
}
