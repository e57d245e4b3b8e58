package persist

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/disk/disktest"
	"github.com/sextantdb/sextant/store/slot"
	"github.com/sextantdb/sextant/store/snapshot"
)

// feed is a stream of writes as dumb as can be: all bytes, for ever.
type feed struct {
	mu   sync.Mutex
	all  []byte     // guarded by mu
	taps []*feedTap // guarded by mu
}

type feedTap struct {
	f     *feed
	pos   int
	idle  bool
	ended bool
	ready chan struct{}
}

func (f *feed) append(words ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, recordOf(words...)...)
	for _, t := range f.taps {
		t.wake()
	}
}

func recordOf(words ...string) string {
	s := fmt.Sprintf("*%d\r\n", len(words))
	for _, w := range words {
		s += fmt.Sprintf("$%d\r\n%s\r\n", len(w), w)
	}
	return s
}

// leave ends the taps, as a full sync does.
func (f *feed) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range f.taps {
		t.ended = true
		t.wake()
	}
	f.taps = nil
}

func (f *feed) total() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return int64(len(f.all))
}

func (f *feed) tap() (Tap, int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := &feedTap{f: f, pos: len(f.all), ready: make(chan struct{}, 1)}
	f.taps = append(f.taps, t)
	return t, 0
}

func (t *feedTap) wake() {
	if t.idle || t.ended {
		t.idle = false
		select {
		case t.ready <- struct{}{}:
		default:
		}
	}
}

func (t *feedTap) Look() ([]byte, bool, bool) {
	t.f.mu.Lock()
	defer t.f.mu.Unlock()
	p := t.f.all[t.pos:]
	t.idle = len(p) == 0
	return p, true, !t.ended
}
func (t *feedTap) Ready() <-chan struct{} { return t.ready }
func (t *feedTap) Advance(n int)          { t.f.mu.Lock(); t.pos += n; t.f.mu.Unlock() }
func (t *feedTap) Place() (int64, int64)  { return int64(t.pos), int64(t.pos) }
func (t *feedTap) Close()                 {}

// world is a node reduced to its data: a store, its stream, a disk.
type world struct {
	t      *testing.T
	store  *store.Store
	source *snapshot.Source
	feed   feed
	disk   *disktest.Disk
	aof    *AOF
	loader *Loader

	settings atomic.Pointer[AOFSettings]
	synced   atomic.Int64 // what clients need not wait for
	moved    *sync.Cond   // told when it moved
	fatal    atomic.Int64
	trouble  chan bool
	whole    chan bool

	mu     sync.Mutex
	events []string // guarded by mu
}

func newWorld(t *testing.T, d *disktest.Disk, change ...func(*AOFSettings)) *world {
	w := makeWorld(t, d, change...)
	require.NoError(t, w.aof.Bad())
	return w
}

// makeWorld is newWorld on a disk whose manifest may be no good.
func makeWorld(t *testing.T, d *disktest.Disk, change ...func(*AOFSettings)) *world {
	s, err := store.New(store.Options{Databases: 4, Stripes: 16, HashSeed: [2]uint64{1, 2}, RandSeed: 3})
	require.NoError(t, err)
	w := &world{t: t, store: s, source: snapshot.NewSource(s), disk: d, trouble: make(chan bool, 100), whole: make(chan bool, 100),
		moved: sync.NewCond(new(sync.Mutex))}
	st := AOFSettings{Dir: "/d", DirName: "aofdir", Filename: "a.aof", Fsync: FsyncAlways, LoadTruncated: true, RDBPreamble: true,
		Compress: true, Checksum: true, IncrementalSync: true}
	for _, f := range change {
		f(&st)
	}
	w.settings.Store(&st)
	w.aof = NewAOF(AOFOptions{
		Store: s, Source: w.source, FS: d, Now: time.Now, PID: 42, Listener: w.hear,
		Settings: func() AOFSettings { return *w.settings.Load() },
		Tap:      w.feed.tap, Mark: func() (int64, int) { return w.feed.total(), 0 }, Total: w.feed.total,
		Synced: func(n int64) {
			w.moved.L.Lock()
			w.synced.Store(max(n, w.synced.Load()))
			w.moved.L.Unlock()
			w.moved.Broadcast()
		},
		Trouble: func() { w.trouble <- w.aof.Failed() != nil },
		Whole:   func(is bool) { w.whole <- is },
		Fatal:   func(error) { w.fatal.Add(1) },
	})
	w.loader = NewLoader(LoaderOptions{Store: s, FS: d, Now: time.Now, Listener: w.hear})
	t.Cleanup(func() { _ = w.aof.Close(); s.Close() })
	return w
}

func (w *world) change(f func(*AOFSettings)) {
	st := *w.settings.Load()
	f(&st)
	w.settings.Store(&st)
}

func (w *world) hear(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e.String())
}

func (w *world) said() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.events, "\n")
}

// open loads and begins to write.
func (w *world) open() error {
	err := w.load()
	if err != nil && !errors.Is(err, ErrNoAOF) {
		return err
	}
	return w.aof.Open(context.Background())
}

// load executes SET, DEL and transactions.
func (w *world) load() error {
	var queue [][][]byte
	multi := false
	var apply func(argv [][]byte) error
	apply = func(argv [][]byte) error {
		switch name := strings.ToUpper(string(argv[0])); {
		case name == "MULTI":
			multi = true
		case name == "EXEC":
			multi = false
			for _, q := range queue {
				_ = apply(q)
			}
			queue = nil
		case multi:
			var own [][]byte
			for _, a := range argv {
				own = append(own, bytes.Clone(a))
			}
			queue = append(queue, own)
		case name == "SELECT":
		case name == "SET" && len(argv) == 3:
			w.put(string(argv[1]), string(argv[2]))
		default:
			return fmt.Errorf("unknown %s", name)
		}
		return nil
	}
	_, err := w.aof.Load(context.Background(), w.loader, AOFLoad{
		Apply: apply, Reset: func() { multi, queue = false, nil },
		Known: func(name []byte) bool { return string(name) != "bla" },
		Base:  LoadOptions{},
	})
	return err
}

func (w *world) put(key, val string) {
	var t store.Txn
	t.Begin(w.store, 1000, slot.OfString(key))
	t.SetString([]byte(key), []byte(val), store.NoExpire)
	t.End()
}

// set is a client's write. It returns the stream's count behind it.
func (w *world) set(key, val string) int64 {
	var t store.Txn
	t.Begin(w.store, 1000, slot.OfString(key))
	t.SetString([]byte(key), []byte(val), store.NoExpire)
	w.feed.append("SET", key, val)
	t.End()
	if w.settings.Load().Fsync == FsyncAlways {
		for w.aof.SyncNow() {
		}
	} else {
		w.aof.WriteNow()
	}
	return w.feed.total()
}

// state is everything in the store.
func (w *world) state() map[string]string {
	got := map[string]string{}
	var t store.Txn
	t.BeginAll(w.store, 1000)
	defer t.End()
	for sl := range slot.Count {
		t.EachInSlot(slot.Slot(sl), func(e store.Entry) bool {
			got[string(e.Key())] = string(e.Bytes(nil))
			return true
		})
	}
	return got
}

func (w *world) await(what func() bool) {
	w.t.Helper()
	require.Eventually(w.t, what, 10*time.Second, time.Millisecond)
}

// committed waits until n is what clients need not wait for.
func (w *world) committed(n int64) {
	w.moved.L.Lock()
	defer w.moved.L.Unlock()
	for w.synced.Load() < n {
		w.moved.Wait()
	}
}

func (w *world) rewritten() {
	w.t.Helper()
	w.await(func() bool { i := w.aof.Info(); return !i.RewriteInProgress && !i.RewriteScheduled })
}

// again is the node as it starts from the disk.
func (w *world) again(d *disktest.Disk) *world {
	n := newWorld(w.t, d)
	n.settings.Store(w.settings.Load())
	return n
}

func TestAOFWritesRewritesAndLoads(t *testing.T) {
	for _, preamble := range []bool{true, false} {
		for _, fsync := range []FsyncPolicy{FsyncAlways, FsyncEverySec, FsyncNo} {
			w := newWorld(t, disktest.New(), func(st *AOFSettings) { st.RDBPreamble, st.Fsync = preamble, fsync })
			require.NoError(t, w.open())
			require.Equal(t, []string{"/d/aofdir/" + w.aof.dir.Manifest().Base.Name, "/d/aofdir/a.aof.1.incr.aof", "/d/aofdir/a.aof.manifest"}, w.disk.Names())
			var last int64
			for i := range 500 {
				last = w.set(fmt.Sprint("k", i%40), fmt.Sprint(i))
				if i == 250 {
					scheduled, err := w.aof.Rewrite(false)
					require.NoError(t, err)
					require.False(t, scheduled)
				}
			}
			w.rewritten()
			require.NoError(t, w.aof.Flush(true))
			require.GreaterOrEqual(t, w.synced.Load(), last)
			pos, on := w.aof.Fsynced()
			require.True(t, on)
			require.Equal(t, last, pos)
			info := w.aof.Info()
			require.True(t, info.Enabled && info.LastRewriteOK && info.LastWriteOK)
			require.Equal(t, int64(1), info.Rewrites)
			require.Zero(t, info.LagBytes)
			require.Len(t, w.disk.Names(), 3, "history is gone")

			n := w.again(w.disk.Kill())
			require.NoError(t, n.open())
			require.Equal(t, w.state(), n.state())
			last = n.set("after", "x")
			require.NoError(t, n.aof.Close())
			m := n.again(n.disk)
			require.NoError(t, m.open())
			require.Equal(t, n.state(), m.state())
			_ = last
		}
	}
}

// TestAOFPowerCut cuts the power at random moments of random lives, with whatever part of the unsynced bytes and
// names the dice let arrive. What comes up again is the data as of one write, and under appendfsync
// always nothing that a client could know of is missing.
func TestAOFPowerCut(t *testing.T) {
	seeds := 60
	if testing.Short() {
		seeds = 20
	}
	for seed := range seeds {
		rnd := rand.New(rand.NewPCG(uint64(seed), 7))
		always := seed%3 != 0
		d := disktest.New()
		have := map[string]string{}
		for life := range 3 {
			w := newWorld(t, d, func(st *AOFSettings) {
				st.RDBPreamble = seed%2 == 0
				if !always {
					st.Fsync = FsyncNo
				}
			})
			require.NoError(t, w.open(), "seed %d, life %d", seed, life)
			require.Equal(t, have, w.state(), "seed %d, life %d", seed, life)
			states := []map[string]string{have}
			acked := 0
			writes := rnd.IntN(60)
			for i := range writes {
				key, val := fmt.Sprint("k", rnd.IntN(8)), fmt.Sprint(life, "-", i, strings.Repeat("x", rnd.IntN(300)))
				n := w.set(key, val)
				next := map[string]string{}
				for k, v := range states[len(states)-1] {
					next[k] = v
				}
				next[key] = val
				states = append(states, next)
				if rnd.IntN(15) == 0 {
					_, _ = w.aof.Rewrite(false)
				}
				if rnd.IntN(4) == 0 && always {
					w.committed(n)
				}
				if always && w.synced.Load() >= n {
					acked = len(states) - 1
				}
			}
			d = w.disk.PowerCut(rnd.IntN)
			n := w.again(d)
			require.NoError(t, n.load(), "seed %d, life %d\n%s", seed, life, n.said())
			got := n.state()
			at := -1
			for i := range states {
				if fmt.Sprint(states[i]) == fmt.Sprint(got) {
					at = i
				}
			}
			require.GreaterOrEqual(t, at, acked, "seed %d, life %d: acknowledged %d of %d writes", seed, life, acked, writes)
			have = got
			_ = w.aof.Close()
		}
	}
}

func TestAOFSurvivesADiskThatFails(t *testing.T) {
	for _, op := range []string{"write", "sync"} {
		w := newWorld(t, disktest.New(), func(st *AOFSettings) { st.Fsync = FsyncEverySec })
		require.NoError(t, w.open())
		w.set("k", "1")
		require.NoError(t, w.aof.Flush(true))
		w.disk.Fail(op, syscall.EIO)
		last := w.set("k", "2")
		require.True(t, <-w.trouble)
		require.ErrorIs(t, w.aof.Failed(), syscall.EIO)
		require.False(t, w.aof.Info().LastWriteOK)
		require.Less(t, w.synced.Load(), last)
		require.Error(t, w.aof.Flush(true))
		w.disk.Fail(op, nil)
		require.False(t, <-w.trouble) // tried again by itself
		require.NoError(t, w.aof.Failed())
		w.committed(last)
		w.await(func() bool { // after a failed sync a new base is made, by the Cron that comes next
			w.aof.Cron()
			i := w.aof.Info()
			return !i.RewriteInProgress && !i.RewriteScheduled
		})
		n := w.again(w.disk.PowerCut(func(int) int { return 0 }))
		require.NoError(t, n.load())
		require.Equal(t, map[string]string{"k": "2"}, n.state())
		require.Contains(t, w.said(), "AOF write error looks solved")
		require.Zero(t, w.fatal.Load())
	}
	// A disk that is full cuts a write short.
	w := newWorld(t, disktest.New(), func(st *AOFSettings) { st.Fsync = FsyncEverySec })
	require.NoError(t, w.open())
	w.disk.SetSpace(50)
	w.set("k", strings.Repeat("v", 100))
	require.True(t, <-w.trouble)
	w.disk.SetSpace(-1)
	require.False(t, <-w.trouble)
	require.NoError(t, w.aof.Flush(false))
	n := w.again(w.disk.Kill())
	require.NoError(t, n.load())
	require.Equal(t, w.state(), n.state())
}

func TestAOFAlwaysEndsTheNodeWhenItCannotKeepItsWord(t *testing.T) {
	for op, said := range map[string]string{
		"write": "Can't recover from AOF write error when the AOF fsync policy is 'always'. Exiting...",
		"sync":  "Can't persist AOF for fsync error when the AOF fsync policy is 'always': input/output error. Exiting...",
	} {
		w := newWorld(t, disktest.New())
		require.NoError(t, w.open())
		w.disk.Fail(op, syscall.EIO)
		last := w.set("k", "1")
		w.await(func() bool { return w.fatal.Load() > 0 })
		require.Contains(t, w.said(), said)
		require.Less(t, w.synced.Load(), last, "no client hears of it")
	}
}

func TestAOFRewriteThatFails(t *testing.T) {
	w := newWorld(t, disktest.New())
	require.NoError(t, w.open())
	w.set("k", "1")
	w.disk.Fail("rename", errors.New("broken"))
	for i := range 3 {
		_, err := w.aof.Rewrite(false)
		require.NoError(t, err)
		w.rewritten()
		require.Equal(t, int64(i+1), w.aof.Info().RewriteFailures)
	}
	require.False(t, w.aof.Info().LastRewriteOK)
	// None begins by itself for a minute.
	w.change(func(st *AOFSettings) { st.RewritePercentage, st.RewriteMinSize = 1, 0 })
	w.set("k", strings.Repeat("2", 1000))
	require.NoError(t, w.aof.Flush(false))
	w.aof.Cron()
	w.aof.Cron()
	require.False(t, w.aof.Info().RewriteInProgress)
	require.Equal(t, 1, strings.Count(w.said(), "triggered the limit, will retry in 1 minutes"))
	w.disk.Fail("rename", nil)
	_, err := w.aof.Rewrite(false)
	require.NoError(t, err)
	w.rewritten()
	require.Zero(t, w.aof.Info().RewriteFailures)
	w.set("k", strings.Repeat("3", 1000))
	require.NoError(t, w.aof.Flush(false))
	w.aof.Cron()
	w.rewritten()
	require.Contains(t, w.said(), "Starting automatic rewriting of AOF on")
	n := w.again(w.disk.Kill())
	require.NoError(t, n.load())
	require.Equal(t, w.state(), n.state())
}

func TestRewriteLimit(t *testing.T) {
	var l rewriteLimit
	now := int64(1000)
	for _, minutes := range []int64{1, 2, 4, 8, 16, 32, 60, 60} {
		held, tell := l.holds(3, now)
		require.True(t, held)
		require.Equal(t, minutes, tell)
		held, tell = l.holds(3, now+minutes*60-1)
		require.True(t, held)
		require.Zero(t, tell)
		now += minutes * 60
		held, _ = l.holds(3, now)
		require.False(t, held)
	}
	held, _ := l.holds(2, now)
	require.False(t, held)
	_, tell := l.holds(3, now)
	require.Equal(t, int64(1), tell)
}

// BGREWRITEAOF right after a rewrite was stopped is not refused, as in Redis, where the child is gone by then.
func TestAOFRewriteAfterOneThatWasStopped(t *testing.T) {
	w := newWorld(t, disktest.New(), func(st *AOFSettings) {
		st.Fsync = FsyncEverySec
		st.Pace = Pace{Micros: func() int64 { return 1e9 }} // a rewrite takes until it is stopped
	})
	w.set("k", "1")
	w.aof.Enable()
	w.await(func() bool { return w.aof.Info().RewriteInProgress })
	_, err := w.aof.Rewrite(false)
	require.ErrorIs(t, err, ErrAOFInProgress)
	st := *w.settings.Load()
	st.Pace = Pace{}
	w.settings.Store(&st)
	w.aof.Disable()
	scheduled, err := w.aof.Rewrite(false)
	require.NoError(t, err)
	require.False(t, scheduled)
	w.await(func() bool { return !w.aof.Info().RewriteInProgress })
	require.EqualValues(t, 1, w.aof.Info().Rewrites)
}

// Close leaves nobody who could still write: what asks for a rewrite behind it is not served.
func TestAOFNoRewriteBeginsAfterClose(t *testing.T) {
	w := newWorld(t, disktest.New(), func(st *AOFSettings) { st.Fsync = FsyncEverySec })
	require.NoError(t, w.open())
	w.set("k", "1")
	require.NoError(t, w.aof.Close())
	files := w.disk.Names()
	_, err := w.aof.Rewrite(false)
	require.NoError(t, err)
	w.aof.Reschedule()
	w.aof.Cron()
	require.False(t, w.aof.Rewriting())
	require.Equal(t, files, w.disk.Names())
}

func TestAOFIsSwitchedOnAndOff(t *testing.T) {
	w := newWorld(t, disktest.New(), func(st *AOFSettings) { st.Fsync = FsyncEverySec })
	w.set("before", "1")
	_, on := w.aof.Fsynced()
	require.False(t, on)
	w.disk.Fail("rename", errors.New("broken"))
	w.aof.Enable()
	pos, on := w.aof.Fsynced()
	require.True(t, on)
	require.Equal(t, int64(-1), pos, "nothing counts before the first base")
	w.await(func() bool { return strings.Contains(w.said(), "Removing the temp incr aof file") })
	require.Nil(t, w.disk.Content("/d/aofdir/a.aof.manifest"))
	w.disk.Fail("rename", nil)
	w.set("meanwhile", "2")
	w.await(func() bool { w.aof.Cron(); return !w.aof.Waiting() }) // it tries again
	require.True(t, <-w.whole)
	last := w.set("after", "3")
	require.NoError(t, w.aof.Flush(true))
	pos, _ = w.aof.Fsynced()
	require.Equal(t, last, pos)
	want := w.state()

	w.aof.Disable()
	w.set("off", "4")
	w.aof.Enable()
	w.aof.Disable()
	w.aof.Enable()
	w.aof.Disable()
	_, on = w.aof.Fsynced()
	require.False(t, on)
	n := w.again(w.disk.Kill())
	require.NoError(t, n.load())
	got := n.state()
	delete(got, "off") // a first base that was quick is in force
	require.Equal(t, want, got)
}

func TestAOFAfterTheDataWasReplaced(t *testing.T) {
	w := newWorld(t, disktest.New())
	require.NoError(t, w.open())
	w.committed(w.set("old", "1"))
	var txn store.Txn
	txn.BeginAll(w.store, 1000)
	txn.FlushAll()
	w.feed.leave()
	txn.End()
	require.False(t, <-w.whole)
	w.put("new", "1") // what the full sync brought
	w.await(func() bool { w.aof.Cron(); return !w.aof.Waiting() })
	require.True(t, <-w.whole)
	w.committed(w.set("new", "2"))
	n := w.again(w.disk.PowerCut(func(int) int { return 0 }))
	require.NoError(t, n.load())
	require.Equal(t, map[string]string{"new": "2"}, n.state())
}

func TestAOFFilesThatAreNoGood(t *testing.T) {
	set := func(k, v string) string { return recordOf("SET", k, v) }
	const one, two = "/d/aofdir/a.aof.1.incr.aof", "/d/aofdir/a.aof.2.incr.aof"
	type files = map[string]string
	for name, c := range map[string]struct {
		files  files
		strict bool   // aof-load-truncated no
		fails  string // "": it loads
		want   files  // of the store
		cut    int    // length of the last file after
	}{
		"torn tail":              {files: files{two: set("a", "1") + set("b", "2")[:20]}, want: files{"a": "1"}, cut: len(set("a", "1"))},
		"torn tail, refused":     {files: files{two: set("a", "1") + set("b", "2")[:20]}, strict: true, fails: "Unexpected end of file reading the append only file a.aof.2.incr.aof: at offset 27"},
		"torn within MULTI":      {files: files{two: set("a", "1") + recordOf("MULTI") + set("b", "2")}, want: files{"a": "1"}, cut: len(set("a", "1"))},
		"torn record in MULTI":   {files: files{two: set("a", "1") + recordOf("MULTI") + set("b", "2") + "*1\r\n"}, want: files{"a": "1"}, cut: len(set("a", "1"))},
		"torn in the middle":     {files: files{one: set("a", "1")[:10], two: set("b", "2")}, fails: "the truncated file is not the last file"},
		"torn before nothing":    {files: files{one: set("a", "1") + set("b", "2")[:9], two: ""}, want: files{"a": "1"}},
		"garbage":                {files: files{two: set("a", "1") + "!!!" + set("b", "2")}, fails: "Bad file format reading the append only file a.aof.2.incr.aof: '!!!*3' is not the head of a command in the record at offset 27"},
		"zeros at the end":       {files: files{two: set("a", "1") + "\x00\x00\x00"}, want: files{"a": "1"}, cut: len(set("a", "1"))},
		"zeros within a record":  {files: files{two: set("a", "1") + "*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$4\r\n1\x00\x00\x00\x00\x00\x00"}, want: files{"a": "1"}, cut: len(set("a", "1"))},
		"zeros before something": {files: files{two: set("a", "1") + "\x00\x00\x00" + set("b", "1")}, fails: "Bad file format"},
		"zeros in the middle":    {files: files{one: set("a", "1") + "\x00\x00\x00", two: set("b", "1")}, fails: "Bad file format"},
		"unknown command":        {files: files{two: set("a", "1") + recordOf("bla", "x")}, fails: "Unknown command 'bla' reading the append only file a.aof.2.incr.aof"},
		"damaged base":           {files: files{"/d/aofdir/a.aof.1.base.rdb": "REDIS0010\xfa\x05hello\xff12345678", two: set("a", "1")}, fails: "Error reading the RDB base file a.aof.1.base.rdb, AOF loading aborted"},
		"base cut":               {files: files{"/d/aofdir/a.aof.1.base.rdb": "REDIS0010", two: set("a", "1")}, fails: "Error reading the RDB base file"},
		"a file that is missing": {files: files{one: "-"}, fails: "The append log file a.aof.1.incr.aof doesn't exist: No such file or directory"},
	} {
		t.Run(name, func(t *testing.T) {
			d := disktest.New()
			manifest := ""
			if base := "/d/aofdir/a.aof.1.base.rdb"; c.files[base] != "" {
				manifest = "file a.aof.1.base.rdb seq 1 type b\n"
				d.Put(base, []byte(c.files[base]))
			}
			for i, name := range []string{one, two} {
				if text, ok := c.files[name]; ok {
					if text != "-" {
						d.Put(name, []byte(text))
					}
					manifest += fmt.Sprintf("file a.aof.%d.incr.aof seq %d type i\n", i+1, i+1)
				}
			}
			d.Put("/d/aofdir/a.aof.manifest", []byte(manifest))
			w := newWorld(t, d, func(st *AOFSettings) { st.LoadTruncated = !c.strict })
			err := w.load()
			if c.fails != "" {
				require.ErrorContains(t, err, c.fails)
				require.Empty(t, w.state(), "nothing is half loaded")
				require.False(t, w.loader.Progress().Loading)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, w.state())
			if c.cut > 0 {
				require.Len(t, d.Content(two), c.cut)
			}
		})
	}
}

// TestAOFAtEveryCut cuts a file at every place: what loads is the data as of one write.
func TestAOFAtEveryCut(t *testing.T) {
	text, ends := "", map[int]int{0: 0}
	for i := range 12 {
		if i%4 == 3 {
			text += recordOf("MULTI") + recordOf("SET", "k", "half") + recordOf("SET", "k", strconv.Itoa(i)) + recordOf("EXEC")
		} else {
			text += recordOf("SET", "k", strconv.Itoa(i))
		}
		ends[len(text)] = i + 1
	}
	done := 0
	for cut := range len(text) + 1 {
		if n, ok := ends[cut]; ok {
			done = n
		}
		d := disktest.New()
		d.Put("/d/aofdir/a.aof.manifest", []byte("file a.aof.1.incr.aof seq 1 type i\n"))
		d.Put("/d/aofdir/a.aof.1.incr.aof", []byte(text[:cut]))
		w := newWorld(t, d)
		require.NoError(t, w.load(), "cut at %d", cut)
		want := map[string]string{}
		if done > 0 {
			want["k"] = strconv.Itoa(done - 1)
		}
		require.Equal(t, want, w.state(), "cut at %d", cut)
	}
}

func TestAOFTimestamps(t *testing.T) {
	w := newWorld(t, disktest.New(), func(st *AOFSettings) { st.Timestamps, st.RDBPreamble = true, false })
	require.NoError(t, w.open())
	w.committed(w.set("a", "1"))
	require.Regexp(t, `^#TS:\d+\r\n\*2\r\n\$6\r\nSELECT\r\n\$1\r\n0\r\n\*3`, string(w.disk.Content("/d/aofdir/a.aof.1.incr.aof")))
	_, err := w.aof.Rewrite(false)
	require.NoError(t, err)
	w.rewritten()
	require.Regexp(t, `^#TS:\d+\r\n\*2\r\n\$6\r\nSELECT\r\n\$1\r\n0\r\n\*3`, string(w.disk.Content("/d/aofdir/a.aof.2.base.aof")))
	n := w.again(w.disk.Kill())
	require.NoError(t, n.load())
	require.Equal(t, w.state(), n.state())
}

// What was written under no is synced once everysec is in force, though nothing is written any more.
func TestAOFEverySecTakesOverWhatNoLeft(t *testing.T) {
	w := newWorld(t, disktest.New(), func(st *AOFSettings) { st.Fsync = FsyncNo })
	require.NoError(t, w.open())
	last := w.set("k", "1")
	require.NoError(t, w.aof.Flush(false))
	require.Less(t, w.synced.Load(), last)
	w.change(func(st *AOFSettings) { st.Fsync = FsyncEverySec })
	w.committed(last)
}
