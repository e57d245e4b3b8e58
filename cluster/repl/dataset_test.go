package repl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/rdb"
	"github.com/sextantdb/sextant/store/slot"
	"github.com/sextantdb/sextant/store/snapshot"
	"github.com/sextantdb/sextant/store/value"
)

func newStore(t testing.TB, shadow bool) *store.Store {
	t.Helper()
	s, err := store.New(store.Options{Databases: databases, Shadow: shadow, Stripes: 8, HashSeed: [2]uint64{1, 2}, RandSeed: 3})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

func wallMs() int64 { return time.Now().UnixMilli() }

func put(s *store.Store, db int, k, v string, at int64) {
	var t store.Txn
	t.Begin(s, wallMs(), slot.OfString(k))
	t.SetView(store.ViewStream)
	t.SelectDB(db)
	t.SetString([]byte(k), []byte(v), at)
	t.End()
}

func storeDump(s *store.Store, dbs int) map[string]string {
	all := map[string]string{}
	var t store.Txn
	t.BeginAll(s, wallMs())
	defer t.End()
	t.SetView(store.ViewStream)
	for db := range dbs {
		t.SelectDB(db)
		for sl := range slot.Count {
			t.EachInSlot(slot.Slot(sl), func(e store.Entry) bool {
				all[fmt.Sprint(db, "/", string(e.Key()))] = fmt.Sprint(string(e.Bytes(make([]byte, 20))), "@", e.ExpireAt())
				return true
			})
		}
	}
	return all
}

// writeImages is the least that makes an RDB of a snapshot.
func writeImages(ctx context.Context, w io.Writer, snap *snapshot.Snapshot, in *snapshot.Stream, at rdb.Replication, _ SaveRequest) error {
	out := rdb.NewWriter(w, rdb.WriterOptions{Compress: true})
	out.Begin(rdb.Info{Replication: &at})
	for {
		b, err := in.Next(ctx)
		if errors.Is(err, io.EOF) {
			return out.End()
		}
		if err != nil {
			return err
		}
		for img := range b.All() {
			out.Select(img.DB, uint64(snap.Keys(img.DB)), uint64(snap.Expires(img.DB)))
			var a rdb.Attributes
			if img.ExpireAt != store.NoExpire {
				a.ExpireAt = img.ExpireAt
			}
			out.Entry(a, img.Key, &rdb.Value{Type: img.Type, Encoding: img.Encoding, Payload: img.Payload, Object: img.Object})
		}
		if out.Err() != nil {
			return out.Err()
		}
	}
}

// useStore puts a real store behind a node: its commands change s, under s's stripes.
func useStore(n *testNode, s *store.Store) {
	n.e.deps.Exclusive = Exclusive(s, wallMs)
	n.e.deps.Save = SaveFrom(snapshot.NewSource(s), snapshot.Options{}, wallMs, writeImages)
	n.e.deps.Target = StoreTarget{Store: s, Now: wallMs}
}

func TestFullSyncBetweenStores(t *testing.T) {
	for _, how := range []struct {
		name         string
		shadow, room bool
		mode         LoadMode
		log          string
		how          LoadHow // that StoreTarget.Loading is told
	}{
		{"from the socket into the shadow", true, true, LoadShadow, "to parser", LoadClosed},
		{"through a file into the shadow", true, true, LoadFile, "to disk", LoadAside},
		{"no memory for both", true, false, LoadFile, "to disk", LoadInPlace},
		{"no memory for both, but wanted", true, false, LoadShadow, "to disk", LoadInPlace},
		{"no shadow", false, true, LoadShadow, "to disk", LoadInPlace},
	} {
		t.Run(how.name, func(t *testing.T) {
			from, to := newStore(t, false), newStore(t, how.shadow)
			for i := range 5000 {
				put(from, i%3, fmt.Sprint("k", i), fmt.Sprint("value", i), store.NoExpire)
			}
			put(from, 5, "number", "12345678901", wallMs()+1e9)
			put(from, 5, "past", "gone", wallMs()-5) // the primary has not deleted it yet
			put(to, 0, "old", "data", store.NoExpire)
			put(to, 9, "old", "data", store.NoExpire)
			p, r := freshNode(t), freshNode(t)
			useStore(p, from)
			useStore(r, to)
			type word struct {
				how LoadHow
				on  bool
			}
			var told []word
			target := r.e.deps.Target.(StoreTarget)
			target.Room = func(bytes int64) bool { return how.room }
			target.Loading = func(how LoadHow, on bool) {
				told = append(told, word{how, on})
			}
			r.e.deps.Target = target
			o := r.e.Options()
			o.DisklessLoad = how.mode
			require.NoError(t, r.e.Configure(o))
			p.start()
			r.start()
			follow(t, r, p.port)
			up(t, r)
			require.Equal(t, storeDump(from, databases), storeDump(to, databases))
			r.logged(how.log)
			require.Equal(t, []word{{how.how, true}, {how.how, false}}, told)
			if how.how != LoadInPlace {
				r.logged("Swapping active DB")
			}
			var txn store.Txn
			txn.Begin(to, wallMs(), slot.OfString("number"))
			txn.SelectDB(5)
			e, ok := txn.Lookup([]byte("number"), store.NoTouch)
			require.True(t, ok)
			require.Equal(t, value.Int, e.Encoding())
			txn.End()
		})
	}
}

// A save goes on while clients write; what it holds is the cut, whatever they do.
func TestSaveFromIsACut(t *testing.T) {
	s := newStore(t, false)
	n := freshNode(t)
	useStore(n, s)
	for i := range 20000 {
		put(s, 0, fmt.Sprint("k", i), "0", store.NoExpire)
	}
	quit := make(chan struct{})
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		for i := 0; ; i++ {
			select {
			case <-quit:
				return
			default:
				put(s, 0, fmt.Sprint("k", i%20000), strconv.Itoa(1+i/20000), store.NoExpire)
			}
		}
	}()
	n.start()
	target := newStore(t, false)
	read, write := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := n.e.deps.Save(context.Background(), write, SaveRequest{
			Quiesce: n.e.Quiesce,
			Cut: func() rdb.Replication {
				return rdb.Replication{ID: NoID, Offset: 7, StreamDB: 3}
			},
		})
		write.CloseWithError(err)
		done <- err
	}()
	ds, err := StoreTarget{Store: target, Now: wallMs}.Begin(LoadInPlace)
	require.NoError(t, err)
	l := newLink(n.e, "", 0)
	db, _, err := l.parse(read, func([]byte) error { return nil }, ds.Put)
	require.NoError(t, err)
	require.NoError(t, <-done)
	require.Equal(t, 3, db)
	require.NoError(t, ds.Install(func() {}))
	close(quit)
	wg.Wait()
	// The writer goes round and round in one order: at an instant a first part of the keys has
	// its round's number, the rest the one before.
	got := storeDump(target, databases)
	require.Len(t, got, 20000)
	first, drops := got["0/k0"], 0
	for i := 1; i < 20000; i++ {
		if v := got[fmt.Sprint("0/k", i)]; v != first {
			round, _ := strconv.Atoi(strings.TrimSuffix(first, "@-1"))
			require.Equal(t, fmt.Sprint(round-1, "@-1"), v)
			first, drops = v, drops+1
		}
	}
	require.LessOrEqual(t, drops, 1)
}

func TestSaveWaitsForAnotherSnapshot(t *testing.T) {
	s := newStore(t, false)
	n := freshNode(t)
	src := snapshot.NewSource(s)
	save := SaveFrom(src, snapshot.Options{}, wallMs, writeImages)
	other, err := src.Begin(snapshot.ForSave, wallMs(), snapshot.Options{}, nil)
	require.NoError(t, err)
	req := SaveRequest{Quiesce: n.e.Quiesce, Cut: func() rdb.Replication { return rdb.Replication{ID: NoID} }}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, save(ctx, io.Discard, req), context.Canceled)
	done := make(chan error, 1)
	go func() { done <- save(context.Background(), io.Discard, req) }()
	other.Abort(errors.New("enough"))
	require.Error(t, other.Run(context.Background()))
	require.NoError(t, <-done)
}

func TestDiscardedShadowLeavesNothing(t *testing.T) {
	s := newStore(t, true)
	put(s, 1, "old", "data", store.NoExpire)
	target := StoreTarget{Store: s, Now: wallMs}
	ds, err := target.Begin(LoadAside)
	require.NoError(t, err)
	for i := range 1000 {
		rec := rdb.Record{Kind: rdb.KindKey, DB: 1, Key: []byte("k" + strconv.Itoa(i)), Value: rdb.Value{Type: value.String, Encoding: value.Raw, Payload: []byte("v")}}
		require.NoError(t, ds.Put(&rec))
		if i == 0 {
			require.Error(t, ds.Put(&rec), "the same key twice")
		}
	}
	require.Error(t, ds.Put(&rdb.Record{Kind: rdb.KindFunction}))
	ds.Discard()
	require.Equal(t, map[string]string{"1/old": "data@-1"}, storeDump(s, databases))
	var x store.Txn
	x.BeginAll(s, wallMs())
	require.Zero(t, x.FlushShadow())
	x.End()
	require.False(t, target.Empty())
}
