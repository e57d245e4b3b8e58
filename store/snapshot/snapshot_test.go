package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/slot"
)

const nowMs = 1_700_000_000_000

func newStore(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.New(store.Options{Databases: 4, Stripes: 64, HashSeed: [2]uint64{1, 2}, RandSeed: 3})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

// state is a keyspace as plain text: "db/key" to "value@expiry".
type state map[string]string

// stateOf copies what t, which holds all stripes, can see.
func stateOf(t *store.Txn) state {
	got := state{}
	db := t.DB()
	for n := range t.Store().Databases() {
		t.SelectDB(n)
		for sl := range slot.Count {
			if t.CountInSlot(slot.Slot(sl)) == 0 {
				continue
			}
			t.EachInSlot(slot.Slot(sl), func(e store.Entry) bool {
				got[fmt.Sprintf("%d/%s", n, e.Key())] = fmt.Sprintf("%s@%d", e.Bytes(nil), e.ExpireAt())
				return true
			})
		}
	}
	t.SelectDB(db)
	return got
}

func textOf(img *store.Image) string {
	if len(img.Payload) == 8 && img.Encoding == 0 {
		var n uint64
		for i := range 8 {
			n |= uint64(img.Payload[i]) << (8 * i)
		}
		return fmt.Sprint(int64(n))
	}
	return string(img.Payload)
}

// read takes everything out of st.
func read(t *testing.T, st *Stream) (state, error) {
	got := state{}
	for {
		b, err := st.Next(context.Background())
		if errors.Is(err, io.EOF) {
			return got, nil
		}
		if err != nil {
			return got, err
		}
		n := 0
		for img := range b.All() {
			key := fmt.Sprintf("%d/%s", img.DB, img.Key)
			if _, twice := got[key]; twice {
				t.Errorf("%s came twice", key)
			}
			if slot.Of(img.Key) != img.Slot {
				t.Errorf("%s has slot %d", key, img.Slot)
			}
			got[key] = fmt.Sprintf("%s@%d", textOf(img), img.ExpireAt)
			n++
		}
		if n != b.Len() {
			t.Errorf("%d of %d entries", n, b.Len())
		}
	}
}

func update(s *store.Store, db int, key string, fn func(t *store.Txn, key []byte)) {
	var t store.Txn
	t.Begin(s, nowMs, slot.OfString(key))
	t.SelectDB(db)
	fn(&t, []byte(key))
	t.End()
}

func set(s *store.Store, db int, key, val string, at int64) {
	update(s, db, key, func(t *store.Txn, k []byte) { t.SetString(k, []byte(val), at) })
}

func all(s *store.Store, fn func(t *store.Txn)) {
	var t store.Txn
	t.BeginAll(s, nowMs)
	fn(&t)
	t.End()
}

// fill makes n keys in the first two databases.
func fill(s *store.Store, n int) {
	for i := range n {
		at := store.NoExpire
		if i%3 == 0 {
			at = nowMs + int64(i%7) - 3 // some have expired already and are still there
		}
		set(s, i%2, fmt.Sprint("key:", i), fmt.Sprint("value ", i), at)
		if i%5 == 0 {
			set(s, i%2, fmt.Sprint("number:", i), fmt.Sprint(i), store.NoExpire)
		}
	}
}

// cut begins a snapshot with one reader and returns the state at the cut.
func cut(t *testing.T, src *Source, o Options) (*Snapshot, *Stream, state) {
	t.Helper()
	var want state
	sp, err := src.Begin(ForSave, nowMs, o, func(txn *store.Txn) { want = stateOf(txn) })
	require.NoError(t, err)
	st, err := sp.Stream()
	require.NoError(t, err)
	return sp, st, want
}

// finish runs sp and requires that st gets want.
func finish(t *testing.T, sp *Snapshot, st *Stream, want state) {
	t.Helper()
	ran := make(chan error, 1)
	go func() { ran <- sp.Run(context.Background()) }()
	got, err := read(t, st)
	require.NoError(t, err)
	require.NoError(t, <-ran)
	require.Equal(t, len(want), len(got))
	require.Equal(t, want, got)
	p := sp.Progress()
	require.Equal(t, int64(len(want)), p.KeysDone)
	require.Equal(t, int64(len(want)), p.KeysTotal)
	require.Zero(t, p.PreImageBytes)
	require.Zero(t, p.DetachedBytes)
}

// Each change is made between the cut and the walk; what comes out is the state at the cut.
func TestChangesAfterTheCutDoNotShow(t *testing.T) {
	changes := map[string]func(s *store.Store){
		"nothing": func(*store.Store) {},
		"overwriting everything, twice": func(s *store.Store) {
			for i := range 4000 {
				set(s, i%2, fmt.Sprint("key:", i%2000), fmt.Sprint("new ", i), store.NoExpire)
			}
		},
		"new keys": func(s *store.Store) {
			for i := range 2000 {
				set(s, i%4, fmt.Sprint("new:", i), "x", store.NoExpire)
			}
		},
		"deleting, some to come back": func(s *store.Store) {
			for i := range 2000 {
				update(s, i%2, fmt.Sprint("key:", i), func(t *store.Txn, k []byte) { t.Delete(k) })
				if i%2 == 0 {
					set(s, i%2, fmt.Sprint("key:", i), "back", store.NoExpire)
				}
			}
		},
		"editing in place": func(s *store.Store) {
			for i := range 2000 {
				update(s, i%2, fmt.Sprint("key:", i), func(t *store.Txn, k []byte) {
					t.Append(k, []byte("more"))
					t.SetRange(k, 2, []byte("LU"))
					t.Append(k, []byte(strings.Repeat("much more", 10)))
				})
				update(s, i%2, fmt.Sprint("number:", i), func(t *store.Txn, k []byte) { t.SetInt(k, 7, store.KeepTTL) })
			}
		},
		"expiry times": func(s *store.Store) {
			for i := range 2000 {
				update(s, i%2, fmt.Sprint("key:", i), func(t *store.Txn, k []byte) {
					if i%3 == 0 {
						t.Persist(k)
					} else {
						t.SetExpire(k, nowMs+5)
					}
				})
			}
		},
		"expiry, lazy": func(s *store.Store) {
			for i := range 2000 {
				update(s, i%2, fmt.Sprint("key:", i), func(t *store.Txn, k []byte) { t.Exists(k) })
			}
		},
		"expiry, active": func(s *store.Store) {
			for stripe := range s.Stripes() {
				var t store.Txn
				t.BeginStripe(s, nowMs+10, stripe)
				for more := true; more; {
					_, more = t.ActiveExpire(100)
				}
				t.End()
			}
		},
		"renaming, within and across slots": func(s *store.Store) {
			for i := range 500 {
				var t store.Txn
				from, to := fmt.Sprint("key:", i), fmt.Sprint("key:", 1500+i)
				t.Begin(s, nowMs, slot.OfString(from), slot.OfString(to))
				t.SelectDB(i % 2)
				t.Rename([]byte(from), []byte(to))
				t.End()
			}
		},
		"copying and moving between databases": func(s *store.Store) {
			for i := range 500 {
				update(s, i%2, fmt.Sprint("key:", i), func(t *store.Txn, k []byte) {
					t.Copy(k, k, 1-i%2)
					t.Move(k, 3)
				})
			}
		},
		"FLUSHDB": func(s *store.Store) { all(s, func(t *store.Txn) { t.FlushDB(1) }) },
		"FLUSHALL, reclaimed, new keys": func(s *store.Store) {
			all(s, func(t *store.Txn) {
				t.FlushAll()
				for t.Reclaim(1000) > 0 && !t.Snapshotting() {
				}
				t.Reclaim(1 << 20)
			})
			fill(s, 1000)
		},
		"half overwritten, then FLUSHALL, twice": func(s *store.Store) {
			for i := range 1000 {
				set(s, i%2, fmt.Sprint("key:", i), "over", store.NoExpire)
			}
			all(s, func(t *store.Txn) { t.FlushAll() })
			fill(s, 500)
			all(s, func(t *store.Txn) { t.FlushAll(); t.Reclaim(1 << 20) })
		},
		"SWAPDB, then changes, then SWAPDB": func(s *store.Store) {
			all(s, func(t *store.Txn) { t.SwapDB(0, 1) })
			for i := range 1000 {
				set(s, i%2, fmt.Sprint("key:", i), "swapped", store.NoExpire)
			}
			all(s, func(t *store.Txn) { t.SwapDB(1, 2) })
			all(s, func(t *store.Txn) { t.FlushDB(2) })
			for i := range 1000 {
				set(s, i%4, fmt.Sprint("key:", i), "swapped again", store.NoExpire)
			}
		},
		"dropping slots": func(s *store.Store) {
			for i := range 300 {
				update(s, 0, fmt.Sprint("key:", i), func(t *store.Txn, k []byte) { t.DropSlot(slot.Of(k)) })
			}
		},
		"defragmentation": func(s *store.Store) {
			for i := range 2000 {
				if i%4 != 0 {
					update(s, i%2, fmt.Sprint("key:", i), func(t *store.Txn, k []byte) { t.Delete(k) })
				}
			}
			for stripe := range s.Stripes() {
				var t store.Txn
				t.BeginStripe(s, nowMs, stripe)
				t.Defrag(10_000)
				t.End()
			}
		},
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			src := NewSource(s)
			fill(s, 2000)
			for range 2 { // the second snapshot must tell its entries from those of the first
				sp, st, want := cut(t, src, Options{})
				change(s)
				finish(t, sp, st, want)
			}
			sp, st, want := cut(t, src, Options{})
			finish(t, sp, st, want)
		})
	}
}

// Writers of all kinds run while the walk does.
func TestExactUnderConcurrentWriters(t *testing.T) {
	for _, oneSlot := range []bool{false, true} {
		t.Run(fmt.Sprint("giant slot: ", oneSlot), func(t *testing.T) {
			s := newStore(t)
			src := NewSource(s)
			name := func(i int) string {
				if oneSlot {
					return fmt.Sprint("{tag}key:", i)
				}
				return fmt.Sprint("key:", i)
			}
			const keys = 1500
			for i := range keys {
				set(s, i%2, name(i), fmt.Sprint("value ", i), store.NoExpire)
			}
			stop := make(chan struct{})
			var writers sync.WaitGroup
			for w := range 2 {
				writers.Add(1)
				go func() {
					defer writers.Done()
					rng := rand.New(rand.NewPCG(uint64(w), 9))
					for {
						select {
						case <-stop:
							return
						default:
							randomChange(s, rng, name, keys)
						}
					}
				}()
			}
			for i := range 6 {
				sp, st, want := cut(t, src, Options{Lockstep: i%2 == 0})
				finish(t, sp, st, want)
			}
			close(stop)
			writers.Wait()
			sp, st, want := cut(t, src, Options{})
			finish(t, sp, st, want)
		})
	}
}

func randomChange(s *store.Store, rng *rand.Rand, name func(int) string, keys int) {
	k := []byte(name(rng.IntN(keys * 3 / 2)))
	var t store.Txn
	op := rng.IntN(20_000)
	switch {
	case op == 0:
		t.BeginAll(s, nowMs)
		t.FlushDB(rng.IntN(4))
	case op == 1:
		t.BeginAll(s, nowMs)
		t.SwapDB(rng.IntN(4), rng.IntN(4))
	case op < 100:
		t.BeginStripe(s, nowMs, rng.IntN(s.Stripes()))
		t.Reclaim(1000)
		t.ActiveExpire(50)
		t.Defrag(50)
	case op < 1000:
		to := []byte(name(rng.IntN(keys)))
		t.Begin(s, nowMs, slot.Of(k), slot.Of(to))
		t.SelectDB(rng.IntN(4))
		t.Rename(k, to)
	default:
		t.Begin(s, nowMs, slot.Of(k))
		t.SelectDB(rng.IntN(4))
		switch op % 7 {
		case 0, 1, 2:
			t.SetString(k, fmt.Append(nil, rng.Uint32()), store.NoExpire)
		case 3:
			t.Delete(k)
		case 4:
			t.Append(k, []byte("x"))
		case 5:
			t.SetExpire(k, nowMs+rng.Int64N(4)-1)
		case 6:
			if db := rng.IntN(4); db != t.DB() {
				t.Copy(k, k, db)
			}
		}
	}
	t.End()
}

func TestAbortsAtTheMemoryBound(t *testing.T) {
	s := newStore(t)
	src := NewSource(s)
	fill(s, 5000)
	sp, st, _ := cut(t, src, Options{MaxPreImageBytes: 64 << 10})
	for i := range 5000 {
		set(s, i%2, fmt.Sprint("key:", i), "over", store.NoExpire) // never fails, never waits
	}
	require.LessOrEqual(t, sp.Progress().PreImageBytesPeak, int64(65<<10))
	ran := make(chan error, 1)
	go func() { ran <- sp.Run(context.Background()) }()
	_, err := read(t, st)
	require.ErrorIs(t, err, ErrPreImages)
	require.ErrorIs(t, <-ran, ErrPreImages)
	require.Zero(t, sp.Progress().PreImageBytes)

	sp, st, want := cut(t, src, Options{})
	finish(t, sp, st, want)
}

func TestPreImagesAreDrainedDuringTheWalk(t *testing.T) {
	s := newStore(t)
	src := NewSource(s)
	const keys = 8000
	val := strings.Repeat("v", 1000)
	for i := range keys {
		set(s, 0, fmt.Sprint("key:", i), val, store.NoExpire)
	}
	sp, st, want := cut(t, src, Options{MaxPreImageBytes: 7 << 19})
	ran := make(chan error, 1)
	go func() { ran <- sp.Run(context.Background()) }()
	// One key changes for each entry the reader takes, from the far end of the walk's order as
	// well as from its beginning: about 4 MB of images, which would break the bound if they
	// had to wait for the walk to reach them. But each batch the reader takes makes room.
	got := state{}
	next := 0
	for {
		b, err := st.Next(context.Background())
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		for img := range b.All() {
			got[fmt.Sprintf("%d/%s", img.DB, img.Key)] = fmt.Sprintf("%s@%d", textOf(img), img.ExpireAt)
			if next < keys {
				set(s, 0, fmt.Sprint("key:", keys-1-next), "over", store.NoExpire)
				next++
			}
		}
	}
	require.NoError(t, <-ran)
	require.Equal(t, want, got)
	require.Greater(t, sp.Progress().PreImages, int64(keys/10))
}

func TestReadersShareAndMayLeave(t *testing.T) {
	for _, lockstep := range []bool{false, true} {
		t.Run(fmt.Sprint("lockstep: ", lockstep), func(t *testing.T) { shareAndLeave(t, Options{Lockstep: lockstep}) })
	}
}

func shareAndLeave(t *testing.T, o Options) {
	s := newStore(t)
	src := NewSource(s)
	for i := range 8000 {
		set(s, 0, fmt.Sprint("key:", i), strings.Repeat("x", 500), store.NoExpire)
	}
	sp, first, want := cut(t, src, o)
	second, err := sp.Stream()
	require.NoError(t, err)
	third, err := sp.Stream()
	require.NoError(t, err)
	ran := make(chan error, 1)
	go func() { ran <- sp.Run(context.Background()) }()

	var both sync.WaitGroup
	for _, st := range []*Stream{first, second} {
		both.Add(1)
		go func() {
			defer both.Done()
			got, err := read(t, st)
			if err != nil || len(got) != len(want) {
				t.Errorf("%d entries, %v", len(got), err)
			}
		}()
	}
	_, err = third.Next(context.Background())
	require.NoError(t, err)
	third.Close() // the walk was, or soon would be, waiting for it
	third.Close()
	both.Wait()
	require.NoError(t, <-ran)
	_, err = sp.Stream()
	require.ErrorIs(t, err, ErrStarted)
}

func TestNobodyReads(t *testing.T) {
	s := newStore(t)
	src := NewSource(s)
	fill(s, 100)
	sp, st, _ := cut(t, src, Options{})
	st.Close()
	require.ErrorIs(t, sp.Run(context.Background()), ErrNoReader)

	sp, err := src.Begin(ForSync, nowMs, Options{}, nil)
	require.NoError(t, err)
	require.ErrorIs(t, sp.Run(context.Background()), ErrNoReader)
}

func TestEmptyStore(t *testing.T) {
	src := NewSource(newStore(t))
	sp, st, want := cut(t, src, Options{})
	require.Empty(t, want)
	finish(t, sp, st, want)
}

func TestCancel(t *testing.T) {
	for _, lockstep := range []bool{false, true} {
		t.Run(fmt.Sprint("lockstep: ", lockstep), func(t *testing.T) { cancelled(t, Options{Lockstep: lockstep}) })
	}
}

func cancelled(t *testing.T, o Options) {
	s := newStore(t)
	src := NewSource(s)
	for i := range 8000 {
		set(s, 0, fmt.Sprint("key:", i), strings.Repeat("x", 500), store.NoExpire)
	}
	sp, st, _ := cut(t, src, o)
	ctx, cancel := context.WithCancelCause(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- sp.Run(ctx) }()
	_, err := st.Next(context.Background())
	require.NoError(t, err)
	stop := errors.New("shutting down")
	cancel(stop) // the walk waits for the reader, whose queue is full
	require.ErrorIs(t, <-ran, stop)
	_, err = st.Next(context.Background())
	require.ErrorIs(t, err, stop)
	st.Close()

	sp, st, _ = cut(t, src, o)
	sp.Abort(stop)
	require.ErrorIs(t, sp.Run(context.Background()), stop)
	st.Close()

	sp, st, want := cut(t, src, o)
	finish(t, sp, st, want)
	sp.Abort(stop) // too late
	_, err = st.Next(context.Background())
	require.ErrorIs(t, err, io.EOF)
}

func TestOneSnapshotAtATime(t *testing.T) {
	s := newStore(t)
	src := NewSource(s)
	<-src.Idle()
	_, busy := src.Busy()
	require.False(t, busy)

	sp, st, want := cut(t, src, Options{})
	_, err := src.Begin(ForSync, nowMs, Options{}, nil)
	var inTheWay *BusyError
	require.ErrorAs(t, err, &inTheWay)
	require.Equal(t, ForSave, inTheWay.Purpose)
	require.ErrorContains(t, err, "a snapshot for a save is in progress")
	require.Same(t, sp, src.Current())
	idle := src.Idle()
	finish(t, sp, st, want)
	<-idle
	require.Nil(t, src.Current())

	sp, st, want = cut(t, src, Options{})
	finish(t, sp, st, want)
}
