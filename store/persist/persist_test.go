package persist

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/disk/disktest"
	"github.com/sextantdb/sextant/store/rdb"
	"github.com/sextantdb/sextant/store/slot"
	"github.com/sextantdb/sextant/store/snapshot"
)

// bench is a store with its Saver and Loader, a disk in memory and a clock moved by hand.
type bench struct {
	t        *testing.T
	store    *store.Store
	source   *snapshot.Source
	fs       *disktest.Disk
	saver    *Saver
	loader   *Loader
	settings Settings

	mu     sync.Mutex
	now    time.Time // guarded by mu
	events []string  // guarded by mu
}

const start = 1_700_000_000

func newBench(t *testing.T) *bench {
	s, err := store.New(store.Options{Databases: 16, Stripes: 16, HashSeed: [2]uint64{1, 2}, RandSeed: 3})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	b := &bench{
		t: t, store: s, source: snapshot.NewSource(s), fs: disktest.New(), now: time.Unix(start, 0),
		settings: Settings{Dir: "/data", Filename: "dump.rdb", Compress: true, Checksum: true, IncrementalSync: true},
	}
	b.saver = NewSaver(Options{
		Store: s, Source: b.source, Settings: func() Settings { return b.settings }, FS: b.fs,
		Now: b.clock, PID: 42, Listener: b.hear,
		Replication: func() *rdb.Replication {
			return &rdb.Replication{StreamDB: 3, ID: strings.Repeat("ab", 20), Offset: 777}
		},
		Libraries:  func() [][]byte { return [][]byte{[]byte("#!lua name=l\n")} },
		UsedMemory: func() int64 { return 5 << 20 },
	})
	b.loader = NewLoader(LoaderOptions{Store: s, FS: b.fs, Now: b.clock, Listener: b.hear})
	return b
}

func (b *bench) clock() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

func (b *bench) pass(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(d)
}

func (b *bench) hear(e Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, e.String())
}

// said returns the events since the last call.
func (b *bench) said() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	said := b.events
	b.events = nil
	return said
}

func (b *bench) set(db int, key, val string, at int64) {
	var t store.Txn
	t.Begin(b.store, start*1000, slot.OfString(key))
	t.SelectDB(db)
	t.SetString([]byte(key), []byte(val), at)
	t.End()
}

func (b *bench) fill(n int) {
	for i := range n {
		at := store.NoExpire
		if i%4 == 1 {
			at = (start + 1000) * 1000
		}
		b.set(i%3*5, fmt.Sprint("key:", i), strings.Repeat(fmt.Sprint(i), i%50), at)
	}
}

// state is everything in the store as text.
func (b *bench) state() map[string]string {
	got := map[string]string{}
	var t store.Txn
	t.BeginAll(b.store, start*1000)
	defer t.End()
	for db := range b.store.Databases() {
		t.SelectDB(db)
		if b.store.DBSize(db) == 0 {
			continue
		}
		for sl := range slot.Count {
			t.EachInSlot(slot.Slot(sl), func(e store.Entry) bool {
				got[fmt.Sprintf("%d/%s", db, e.Key())] = fmt.Sprintf("%s@%d", e.Bytes(nil), e.ExpireAt())
				return true
			})
		}
	}
	return got
}

// load loads the disk's dump.rdb into a fresh bench, which it returns.
func (b *bench) load(o LoadOptions) (*bench, Loaded, error) {
	c := newBench(b.t)
	c.fs.Put("/data/dump.rdb", b.fs.Content("/data/dump.rdb"))
	if o.Library == nil {
		o.Library = func([]byte) error { return nil }
	}
	got, err := c.loader.File(context.Background(), "/data/dump.rdb", o)
	return c, got, err
}

func TestSaveAndLoad(t *testing.T) {
	b := newBench(t)
	b.fill(2000)
	require.Equal(t, int64(2000), b.saver.Info().ChangesSinceLastSave)
	b.pass(10 * time.Second)
	require.NoError(t, b.saver.Save(context.Background()))
	require.Equal(t, []string{"DB saved on disk"}, b.said())
	in := b.saver.Info()
	require.Equal(t, Info{LastSaveTime: start + 10, LastBgsaveOK: true, LastBgsaveSeconds: -1, CurrentBgsaveSeconds: -1, Saves: 1}, in)
	require.Equal(t, []string{"/data/dump.rdb"}, b.fs.Names())

	// Durable before it has its name, and the name durable before success.
	log := strings.Join(b.fs.Log(), ", ")
	require.Regexp(t, `^create temp-42.rdb, (write, )+sync, close, rename temp-42.rdb dump.rdb, syncdir /data$`, log)

	var libraries []string
	c, got, err := b.load(LoadOptions{AtStart: true, Library: func(code []byte) error {
		libraries = append(libraries, string(code))
		return nil
	}})
	require.NoError(t, err)
	require.Equal(t, b.state(), c.state())
	require.Equal(t, Loaded{
		Keys: 2000, Bytes: int64(len(b.fs.Content("/data/dump.rdb"))),
		Replication: &rdb.Replication{StreamDB: 3, ID: strings.Repeat("ab", 20), Offset: 777},
	}, got)
	require.Equal(t, got, c.loader.Last())
	require.Equal(t, []string{"#!lua name=l\n"}, libraries)
	require.Equal(t, []string{
		"Loading RDB produced by version 7.2.4",
		"RDB age 0 seconds",
		"RDB memory usage when created 5.00 Mb",
		"Done loading RDB, keys loaded: 2000, keys expired: 0.",
		"DB loaded from disk: 0.000 seconds",
	}, c.said())
	require.False(t, c.loader.Progress().Loading)

	require.Equal(t, int64(2000), c.saver.Info().ChangesSinceLastSave)
	c.saver.MarkClean()
	require.Zero(t, c.saver.Info().ChangesSinceLastSave)
}

func TestBackgroundSave(t *testing.T) {
	b := newBench(t)
	b.fill(1500)
	want := b.state()
	b.fs.Gate = make(chan struct{})
	scheduled, err := b.saver.Background(false)
	require.NoError(t, err)
	require.False(t, scheduled)

	// It runs: others are refused, the numbers show it, and what is written now is not in it.
	b.pass(3 * time.Second)
	in := b.saver.Info()
	require.True(t, in.BgsaveInProgress)
	require.Equal(t, int64(3), in.CurrentBgsaveSeconds)
	require.Equal(t, int64(1500), in.KeysTotal)
	_, err = b.saver.Background(false)
	require.ErrorIs(t, err, ErrInProgress)
	_, err = b.saver.Background(true)
	require.ErrorIs(t, err, ErrInProgress)
	require.ErrorIs(t, b.saver.Save(context.Background()), ErrInProgress)
	for i := range 100 {
		b.set(0, fmt.Sprint("key:", i), "later", store.NoExpire)
	}
	close(b.fs.Gate)
	b.saver.Wait()

	in = b.saver.Info()
	require.False(t, in.BgsaveInProgress)
	require.Equal(t, int64(100), in.ChangesSinceLastSave)
	require.Equal(t, int64(start+3), in.LastSaveTime)
	require.Equal(t, int64(3), in.LastBgsaveSeconds)
	require.Equal(t, int64(1), in.Saves)
	require.True(t, in.LastBgsaveOK)
	said := b.said()
	require.Equal(t, "Background saving started by pid 42", said[0])
	require.Equal(t, "DB saved on disk", said[1])
	require.Contains(t, said[2], "Pre-images for RDB: peak 0 MB")
	require.Equal(t, "Background saving terminated with success", said[3])

	c, _, err := b.load(LoadOptions{})
	require.NoError(t, err)
	require.Equal(t, want, c.state())
	b.saver.ResetStats()
	require.Zero(t, b.saver.Info().Saves)
}

func TestFailedSavesKeepTheOldFile(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		op    string
		err   error
		space int
		said  string
		gone  bool // the new file has taken the name already
	}{
		"cannot create":   {op: "create", err: broken, space: -1, said: "Failed opening the temp RDB file temp-42.rdb (in server root dir /data) for saving: broken"},
		"disk full":       {space: 1000, said: "Write error while saving DB to the disk(rdbSaveRio): no space left on device"},
		"write fails":     {op: "write", err: syscall.EIO, space: -1, said: "Write error while saving DB to the disk(rdbSaveRio): input/output error"},
		"sync fails":      {op: "sync", err: syscall.EIO, space: -1, said: "Write error while saving DB to the disk(fsync): input/output error"},
		"close fails":     {op: "close", err: syscall.EIO, space: -1, said: "Write error while saving DB to the disk(fclose): input/output error"},
		"rename fails":    {op: "rename", err: broken, space: -1, said: "Error moving temp DB file temp-42.rdb on the final destination dump.rdb (in server root dir /data): broken"},
		"directory fails": {op: "syncdir", err: broken, space: -1, said: "Failed to fsync directory while saving DB: broken", gone: true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.fill(1500)
			b.fs.Put("/data/dump.rdb", []byte("the old file"))
			b.fs.Fail(c.op, c.err)
			b.fs.SetSpace(c.space)
			_, err := b.saver.Background(false)
			require.NoError(t, err)
			b.saver.Wait()

			require.True(t, b.saver.Failed())
			in := b.saver.Info()
			require.False(t, in.LastBgsaveOK)
			require.Equal(t, int64(1500), in.ChangesSinceLastSave, "nothing counts as saved")
			require.Equal(t, int64(start), in.LastSaveTime)
			require.Contains(t, b.said(), c.said)
			require.Equal(t, []string{"/data/dump.rdb"}, b.fs.Names(), "no temporary file stays")
			if !c.gone {
				require.Equal(t, "the old file", string(b.fs.Content("/data/dump.rdb")))
			}

			require.Error(t, b.saver.Save(context.Background()))
			b.fs.Fail(c.op, nil)
			b.fs.SetSpace(-1)
			require.NoError(t, b.saver.Save(context.Background()))
			require.False(t, b.saver.Failed())
		})
	}
}

func TestSnapshotThatAbortsFailsTheSave(t *testing.T) {
	b := newBench(t)
	b.settings.MaxPreImageBytes = 64 << 10
	b.settings.Compress = false
	// More than the reader's queue and the buffers hold, so that the walk must wait.
	val := strings.Repeat("x", 10_000)
	for i := range 600 {
		b.set(0, fmt.Sprint("key:", i), val, store.NoExpire)
	}
	b.fs.Put("/data/dump.rdb", []byte("the old file"))
	b.fs.Gate = make(chan struct{})
	_, err := b.saver.Background(false)
	require.NoError(t, err)
	for i := range 600 {
		b.set(0, fmt.Sprint("key:", i), "over", store.NoExpire)
	}
	close(b.fs.Gate)
	b.saver.Wait()
	said := b.said()
	require.Contains(t, said, "Background saving aborted: pre-images reached their memory bound of 65536 bytes")
	require.Contains(t, said, "Background saving error")
	require.True(t, b.saver.Failed())
	require.Equal(t, "the old file", string(b.fs.Content("/data/dump.rdb")))
	require.Equal(t, []string{"/data/dump.rdb"}, b.fs.Names())
	require.Greater(t, b.saver.Info().LastPreImageBytes, int64(60<<10))
}

func TestCancel(t *testing.T) {
	b := newBench(t)
	require.False(t, b.saver.Cancel())
	b.fill(1500)
	b.fs.Gate = make(chan struct{})
	_, err := b.saver.Background(false)
	require.NoError(t, err)
	go func() { b.fs.Gate <- struct{}{} }() // should the write have begun
	done := make(chan bool)
	go func() { done <- b.saver.Cancel() }()
	select {
	case ok := <-done:
		require.True(t, ok)
	case b.fs.Gate <- struct{}{}:
		require.True(t, <-done)
	}
	require.Contains(t, b.said(), "Background saving cancelled: cancelled")
	require.False(t, b.saver.Failed(), "stopping on purpose is no failure")
	require.Empty(t, b.fs.Names())
}

func TestNoSaveBeginsAfterClose(t *testing.T) {
	b := newBench(t)
	b.fill(10)
	b.saver.Schedule()
	b.saver.Close()
	_, err := b.saver.Background(true)
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, b.saver.Save(t.Context()), ErrClosed)
	b.saver.Cron()
	require.Empty(t, b.fs.Names())
	require.Empty(t, b.said())
}

func TestCronFollowsSavePoints(t *testing.T) {
	b := newBench(t)
	b.settings.SavePoints = []SavePoint{{60, 100}}
	tick := func() { b.saver.Cron(); b.saver.Wait() }
	b.fill(100)
	b.pass(60 * time.Second)
	tick()
	require.Empty(t, b.said())
	b.pass(time.Second)
	tick()
	require.Equal(t, "100 changes in 60 seconds. Saving...", b.said()[0])
	require.Equal(t, int64(start+61), b.saver.LastSave())
	b.pass(time.Hour)
	tick()
	require.Empty(t, b.said(), "nothing has changed since")

	// After a failure it waits.
	b.fill(200)
	b.fs.Fail("create", errors.New("broken"))
	tick()
	require.Contains(t, b.said(), "Background saving error")
	b.pass(5 * time.Second)
	tick()
	require.Empty(t, b.said())
	b.fs.Fail("create", nil)
	b.pass(time.Second)
	tick()
	require.Contains(t, b.said(), "Background saving terminated with success")
}

func TestOtherSnapshotsAreInTheWay(t *testing.T) {
	b := newBench(t)
	b.fill(10)
	begin := func(p snapshot.Purpose) (end func()) {
		sp, err := b.source.Begin(p, 1, snapshot.Options{}, nil)
		require.NoError(t, err)
		return func() { _ = sp.Run(context.Background()) }
	}
	end := begin(snapshot.ForSync)
	_, err := b.saver.Background(true)
	require.ErrorIs(t, err, ErrInProgress)
	end()

	end = begin(snapshot.ForRewrite)
	_, err = b.saver.Background(false)
	require.ErrorIs(t, err, ErrOtherChild)
	scheduled, err := b.saver.Background(true)
	require.NoError(t, err)
	require.True(t, scheduled)
	b.saver.Cron()
	require.Empty(t, b.said())
	saved := make(chan error)
	go func() { saved <- b.saver.Save(context.Background()) }() // waits for the rewrite
	end()
	require.NoError(t, <-saved)
	b.said()
	b.saver.Cron()
	b.saver.Wait()
	require.Contains(t, b.said(), "Background saving terminated with success")
	b.saver.Cron()
	require.Empty(t, b.said(), "a schedule counts once")

	end = begin(snapshot.ForRewrite)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, b.saver.Save(ctx), context.Canceled)
	end()
}

func TestExpiredKeysAtLoad(t *testing.T) {
	b := newBench(t)
	b.set(0, "past", "x", start*1000-1)
	b.set(0, "now", "x", start*1000)
	b.set(0, "future", "x", start*1000+1)
	b.set(0, "never", "x", store.NoExpire)
	require.NoError(t, b.saver.Save(context.Background()))

	c, got, err := b.load(LoadOptions{})
	require.NoError(t, err)
	require.Equal(t, Loaded{Keys: 3, Expired: 1, Bytes: got.Bytes, Replication: got.Replication}, got)
	require.NotContains(t, c.state(), "0/past")
	require.Contains(t, c.said(), "Done loading RDB, keys loaded: 3, keys expired: 1.")

	c, got, err = b.load(LoadOptions{KeepExpired: true})
	require.NoError(t, err)
	require.Equal(t, int64(4), got.Keys)
	require.Equal(t, b.state(), c.state())
}

func TestForeignSlotsAtLoad(t *testing.T) {
	b := newBench(t)
	b.fill(1000)
	require.NoError(t, b.saver.Save(context.Background()))
	c, got, err := b.load(LoadOptions{Drop: func(sl slot.Slot) bool { return sl >= 8192 }})
	require.NoError(t, err)
	require.Equal(t, int64(1000), got.Keys+got.Foreign)
	require.Greater(t, got.Foreign, int64(300))
	for k := range c.state() {
		_, key, _ := strings.Cut(k, "/")
		require.Less(t, slot.OfString(key), slot.Slot(8192))
	}
}

func TestDamagedFilesLeaveNothing(t *testing.T) {
	b := newBench(t)
	b.fill(300)
	require.NoError(t, b.saver.Save(context.Background()))
	good := b.fs.Content("/data/dump.rdb")
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 20 {
		damaged := bytes.Clone(good)
		if i%2 == 0 {
			damaged = damaged[:rng.IntN(len(damaged))]
		} else {
			damaged[rng.IntN(len(damaged))] ^= byte(1 << rng.IntN(8))
		}
		b.fs.Put("/data/dump.rdb", damaged)
		c, got, err := b.load(LoadOptions{})
		require.Error(t, err)
		require.ErrorContains(t, err, "loading the RDB file /data/dump.rdb: ")
		require.ErrorContains(t, err, "offset ")
		require.Zero(t, got)
		require.Empty(t, c.state())
		require.Contains(t, c.said(), err.Error())

		// The store is as good as new.
		c.fs.Put("/data/dump.rdb", good)
		_, err = c.loader.File(context.Background(), "/data/dump.rdb", LoadOptions{Library: func([]byte) error { return nil }})
		require.NoError(t, err)
		require.Len(t, c.state(), 300)
	}
}

func TestRefusalsAtLoad(t *testing.T) {
	b := newBench(t)
	_, err := b.loader.File(context.Background(), "/data/dump.rdb", LoadOptions{})
	require.ErrorIs(t, err, fs.ErrNotExist)

	b.fill(3)
	require.NoError(t, b.saver.Save(context.Background()))
	_, err = b.loader.File(context.Background(), "/data/dump.rdb", LoadOptions{})
	require.ErrorIs(t, err, ErrNotEmpty)
	require.Len(t, b.state(), 3, "and what was there stays")

	c := newBench(t)
	c.fs.Put("/data/dump.rdb", b.fs.Content("/data/dump.rdb"))
	_, err = c.loader.File(context.Background(), "/data/dump.rdb", LoadOptions{})
	require.ErrorContains(t, err, "function libraries are not supported")
	_, _, err = b.load(LoadOptions{Library: func([]byte) error { return errors.New("no such engine") }})
	require.ErrorContains(t, err, "Failed loading library, no such engine")

	var twice bytes.Buffer
	w := rdb.NewWriter(&twice, rdb.WriterOptions{})
	w.Begin(rdb.Info{})
	v := rdb.Value{Payload: []byte("x"), Encoding: 2}
	w.Entry(rdb.Attributes{}, []byte("k"), &v)
	w.Entry(rdb.Attributes{}, []byte("k"), &v)
	require.NoError(t, w.End())
	b.fs.Put("/data/dump.rdb", twice.Bytes())
	c, _, err = b.load(LoadOptions{})
	require.ErrorContains(t, err, "RDB has duplicated key 'k' in DB 0")
	require.Empty(t, c.state())
	c.set(0, "k", "old", store.NoExpire)
	_, err = c.loader.File(context.Background(), "/data/dump.rdb", LoadOptions{Merge: true})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"0/k": "x@-1"}, c.state())
}

func TestLoadTellsItsProgress(t *testing.T) {
	b := newBench(t)
	val := make([]byte, 10_000)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 1000 {
		for j := range val {
			val[j] = byte(rng.Uint32())
		}
		b.set(0, fmt.Sprint("key:", i), string(val), store.NoExpire)
	}
	require.NoError(t, b.saver.Save(context.Background()))
	require.GreaterOrEqual(t, b.fs.Count("sync"), 3, "10 MB are synced on the way")

	var seen []LoadProgress
	stop := errors.New("shutting down")
	c := newBench(t)
	c.fs.Put("/data/dump.rdb", b.fs.Content("/data/dump.rdb"))
	ctx, cancel := context.WithCancelCause(context.Background())
	_, err := c.loader.File(ctx, "/data/dump.rdb", LoadOptions{
		Library: func([]byte) error { return nil },
		Progress: func(p LoadProgress) {
			require.Equal(t, p, c.loader.Progress())
			c.pass(time.Second)
			if seen = append(seen, p); len(seen) == 3 {
				cancel(stop)
			}
		},
	})
	require.ErrorIs(t, err, stop)
	require.Empty(t, c.state())
	require.Len(t, seen, 3)
	require.True(t, seen[2].Loading)
	require.Equal(t, int64(start), seen[2].StartUnix)
	require.InDelta(t, 6<<20, seen[2].LoadedBytes, 400<<10)
	require.InDelta(t, 60, seen[2].Percent, 6)
	require.Equal(t, int64(5<<20), seen[2].UsedMemory)
	require.InDelta(t, 600, seen[2].Keys, 60)
	require.Equal(t, int64(1), seen[2].ETASeconds)
	require.Equal(t, LoadProgress{}, c.loader.Progress())
}

func TestAccessClocksFollowThePolicy(t *testing.T) {
	for _, policy := range []store.Policy{store.NoEviction, store.AllKeysLRU, store.VolatileLFU} {
		b := newBench(t)
		b.settings.Policy = policy
		b.store.SetEviction(policy, 10, 1)
		b.set(0, "k", "v", store.NoExpire)
		var txn store.Txn
		txn.Begin(b.store, start*1000, slot.OfString("k"))
		if policy.LFU() {
			txn.SetFreq([]byte("k"), 77)
		} else {
			txn.SetIdle([]byte("k"), 1000)
		}
		txn.End()
		require.NoError(t, b.saver.Save(context.Background()))

		c := newBench(t)
		c.store.SetEviction(policy, 10, 1)
		c.fs.Put("/data/dump.rdb", b.fs.Content("/data/dump.rdb"))
		_, err := c.loader.File(context.Background(), "/data/dump.rdb", LoadOptions{Policy: policy, Library: func([]byte) error { return nil }})
		require.NoError(t, err)
		txn.Begin(c.store, start*1000, slot.OfString("k"))
		e, ok := txn.Lookup([]byte("k"), store.NoTouch)
		require.True(t, ok)
		switch {
		case policy == store.NoEviction:
			require.Less(t, e.IdleSeconds(), int64(900))
		case policy.LFU():
			require.Equal(t, 77, e.Freq())
		default:
			require.InDelta(t, 1000, e.IdleSeconds(), 11)
		}
		txn.End()
	}
}
