package persist

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/disk"
	"github.com/sextantdb/sextant/store/rdb"
	"github.com/sextantdb/sextant/store/snapshot"
)

// Settings are what redis.conf and CONFIG SET say. They are asked for anew for each save.
type Settings struct {
	Dir, Filename   string
	Compress        bool // rdbcompression
	Checksum        bool // rdbchecksum
	IncrementalSync bool // rdb-save-incremental-fsync
	SavePoints      []SavePoint
	Policy          store.Policy // decides whether LRU or LFU clocks are saved
	Pace            Pace         // rdb-key-save-delay
	// MaxPreImageBytes bounds the memory a snapshot may take; 0: snapshot's default.
	MaxPreImageBytes int64
}

// Options are fixed for the life of a Saver. Functions may be nil where that is said.
type Options struct {
	Store    *store.Store
	Source   *snapshot.Source
	Settings func() Settings
	FS       disk.FS // nil: disk.OS
	Now      func() time.Time
	PID      int      // names the temporary file
	Listener Listener // nil: nobody listens

	// Quiesce is called right before the stripes are taken for the cut, and what it returns after
	// they were given back: a replica waits here until its data and its place in the stream agree.
	// May be nil.
	Quiesce func() (release func())
	// Replication returns the place in the stream of writes, or nil when there is none. It is
	// called with all stripes held. May be nil.
	Replication func() *rdb.Replication
	// Libraries returns the code of the function libraries; called as Replication. May be nil.
	Libraries func() [][]byte
	// UsedMemory is what INFO calls used_memory. May be nil.
	UsedMemory func() int64
}

// The refusals of SAVE and BGSAVE, in Redis' words (without the "ERR ").
var (
	ErrInProgress = errors.New("Background save already in progress")
	ErrOtherChild = errors.New("Another child process is active (AOF?): can't BGSAVE right now. " +
		"Use BGSAVE SCHEDULE in order to schedule a BGSAVE whenever possible.")
)

// manyCores is from how many cores a background save may keep two busy: see
// snapshot.Options.Lockstep.
const manyCores = 4

// Lockstep reports whether snapshots in the background should keep to one core here.
func Lockstep() bool { return processors < manyCores }

// processors is how many this process may use; GOMAXPROCS is raised above it later.
var processors = runtime.GOMAXPROCS(0)

// errCancelled is the reason of a save that was stopped on purpose.
var errCancelled = errors.New("cancelled")

// ErrClosed is the refusal of a save after Close.
var ErrClosed = errors.New("the server is ending")

// Saver writes the RDB file: on demand (Save, Background) and by save points (Cron).
type Saver struct {
	o Options

	failed atomic.Bool // the last background save did not end well

	mu        sync.Mutex
	clean     int64 // guarded by mu, like all below: the store's Changes that are on disk
	lastSave  int64 // Unix seconds
	lastTry   int64
	lastTook  int64 // seconds the last background save took; -1: none yet
	saves     int64 // since ResetStats
	lastPeak  int64 // pre-image bytes
	scheduled bool
	job       *job // nil: none
	closed    bool
}

// job is one save from before its cut to its end.
type job struct {
	background bool
	started    time.Time
	cancel     context.CancelCauseFunc
	done       chan struct{} // closed at the end

	// Written before the job's snapshot is published under Saver.mu.
	snap *snapshot.Snapshot
}

// NewSaver returns a Saver that counts everything now in the store as saved.
func NewSaver(o Options) *Saver {
	if o.FS == nil {
		o.FS = disk.OS{}
	}
	if o.Listener == nil {
		o.Listener = func(Event) {}
	}
	return &Saver{o: o, clean: o.Store.Stats().Changes, lastSave: o.Now().Unix(), lastTook: -1}
}

// MarkClean counts everything now in the store as saved: it has just been loaded.
func (p *Saver) MarkClean() {
	changes := p.o.Store.Stats().Changes
	p.mu.Lock()
	p.clean = changes
	p.mu.Unlock()
}

// Failed reports whether the last background save failed; while it does, and there are save
// points, Redis refuses writes (stop-writes-on-bgsave-error). It costs one atomic load.
func (p *Saver) Failed() bool { return p.failed.Load() }

// LastSave is LASTSAVE's answer in Unix seconds.
func (p *Saver) LastSave() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lastSave
}

// Save is SAVE: it returns when the file is on disk. The calling goroutine is blocked; others
// may go on writing, what they change after the cut is not in the file. A rewrite of the
// append-only file is waited for, any other snapshot refused with ErrInProgress.
// REQUIRES: the caller has no Txn open.
func (p *Saver) Save(ctx context.Context) error {
	for {
		err := p.start(ctx, false)
		if !errors.Is(err, ErrOtherChild) {
			return err
		}
		select {
		case <-p.o.Source.Idle():
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Background is BGSAVE: it returns once the cut is made, the file is written by goroutines of
// the Saver. With schedule, a save that a rewrite of the append-only file is in the way of is
// done after it, and scheduled is true. REQUIRES: the caller has no Txn open.
func (p *Saver) Background(schedule bool) (scheduled bool, err error) {
	err = p.start(context.Background(), true)
	if schedule && errors.Is(err, ErrOtherChild) {
		p.Schedule()
		return true, nil
	}
	return false, err
}

// Schedule asks for a background save at the next Cron that finds nothing in the way (BGSAVE
// inside EXEC).
func (p *Saver) Schedule() {
	p.mu.Lock()
	p.scheduled = true
	p.mu.Unlock()
}

// Unschedule takes Schedule back and reports whether there was something to take.
func (p *Saver) Unschedule() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.scheduled
	p.scheduled = false
	return was
}

// Cron begins a background save if a save point or the schedule asks for one. The caller
// calls it some times a second. REQUIRES: the caller has no Txn open.
func (p *Saver) Cron() {
	if _, busy := p.o.Source.Busy(); busy {
		return
	}
	st := p.o.Settings()
	now := p.o.Now().Unix()
	changes := p.o.Store.Stats().Changes
	p.mu.Lock()
	state := SaveState{Dirty: changes - p.clean, LastSave: p.lastSave, LastTry: p.lastTry, LastFailed: p.failed.Load()}
	scheduled := p.scheduled && p.job == nil
	idle := p.job == nil
	p.mu.Unlock()
	if !idle {
		return
	}
	if point, due := Due(st.SavePoints, state, now); due {
		p.o.Listener(SavePointReached{SavePoint: point})
	} else if !scheduled || !mayTry(state, now) {
		return
	}
	if p.start(context.Background(), true) == nil && scheduled {
		p.mu.Lock()
		p.scheduled = false
		p.mu.Unlock()
	}
}

// Cancel stops a running save and waits for its end; the old file stays. It reports whether
// there was one. (FLUSHALL, SHUTDOWN, a full sync from a new primary.) REQUIRES: the caller has
// no Txn open, because the walk may be waiting for its stripe.
func (p *Saver) Cancel() bool {
	p.mu.Lock()
	j := p.job
	p.mu.Unlock()
	if j == nil {
		return false
	}
	j.cancel(errCancelled)
	<-j.done
	return true
}

// Close stops a running save as Cancel does; whoever asks for one afterwards gets ErrClosed and no file is touched any
// more. REQUIRES: as Cancel.
func (p *Saver) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.Cancel()
}

// Abandon stops a running background save as Cancel does, but does not wait for its end; a SAVE
// goes on. It may be called with a Txn open.
func (p *Saver) Abandon() bool {
	p.mu.Lock()
	j := p.job
	p.mu.Unlock()
	if j == nil || !j.background {
		return false
	}
	j.cancel(errCancelled)
	return true
}

// Supersede runs rename, which gives the RDB file other contents than ours, while no save is about to do the same: one
// that runs is stopped. REQUIRES: as Cancel.
func (p *Saver) Supersede(rename func() error) error {
	for {
		p.Cancel()
		p.mu.Lock()
		if p.job == nil {
			defer p.mu.Unlock()
			return rename()
		}
		p.mu.Unlock() // another has begun
	}
}

// Adopt runs rename, which makes a snapshot that somebody else wrote the RDB file; changes is what the store's Changes
// were at its cut. It does nothing when a save of a later cut has been made or is under way.
func (p *Saver) Adopt(changes int64, rename func() error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.job != nil || changes < p.clean {
		return nil
	}
	if err := rename(); err != nil {
		return err
	}
	p.clean, p.lastSave = changes, p.o.Now().Unix()
	p.failed.Store(false)
	return nil
}

// Wait returns when the save that is running has ended. REQUIRES: as Cancel.
func (p *Saver) Wait() {
	p.mu.Lock()
	j := p.job
	p.mu.Unlock()
	if j != nil {
		<-j.done
	}
}

// start makes the cut and saves, in goroutines of its own when background.
func (p *Saver) start(ctx context.Context, background bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	j := &job{background: background, started: p.o.Now(), cancel: cancel, done: make(chan struct{})}
	p.mu.Lock()
	refused := error(nil)
	switch {
	case p.closed:
		refused = ErrClosed
	case p.job != nil:
		refused = ErrInProgress
	default:
		p.job = j
	}
	p.mu.Unlock()
	if refused != nil {
		cancel(nil)
		return refused
	}

	st := p.o.Settings()
	info := rdb.Info{CreatedUnix: j.started.Unix()}
	if p.o.UsedMemory != nil {
		info.UsedMemory = p.o.UsedMemory()
	}
	var libraries [][]byte
	var changes int64
	release := func() {}
	if p.o.Quiesce != nil {
		release = p.o.Quiesce()
	}
	snap, err := p.o.Source.Begin(snapshot.ForSave, j.started.UnixMilli(),
		snapshot.Options{MaxPreImageBytes: st.MaxPreImageBytes, Lockstep: background && Lockstep()}, func(*store.Txn) {
			changes = p.o.Store.Stats().Changes
			if p.o.Replication != nil {
				info.Replication = p.o.Replication()
			}
			if p.o.Libraries != nil {
				libraries = p.o.Libraries()
			}
		})
	release()
	if err != nil {
		p.mu.Lock()
		p.job = nil
		p.mu.Unlock()
		close(j.done)
		cancel(nil)
		var busy *snapshot.BusyError
		if errors.As(err, &busy) && busy.Purpose == snapshot.ForRewrite {
			return ErrOtherChild
		}
		return ErrInProgress
	}
	p.mu.Lock()
	j.snap = snap
	p.saves++
	if background {
		p.lastTry = j.started.Unix()
	}
	p.mu.Unlock()

	run := func() error {
		err := p.save(ctx, st, snap, background, StreamOptions{
			Info: info, Libraries: libraries, Compress: st.Compress, Checksum: st.Checksum, Policy: st.Policy,
			Pace: st.Pace,
		})
		p.finish(ctx, j, changes, err)
		return err
	}
	if background {
		p.o.Listener(BackgroundStarted{PID: p.o.PID})
		snapshot.Go(true, run) // finish tells its error
		return nil
	}
	return run()
}

// finish records how a save ended.
func (p *Saver) finish(ctx context.Context, j *job, changes int64, err error) {
	now := p.o.Now()
	progress := j.snap.Progress()
	cancelled := err != nil && ctx.Err() != nil
	if j.background {
		p.o.Listener(PreImages{PeakBytes: progress.PreImageBytesPeak, Count: progress.PreImages})
		switch {
		case err == nil:
			p.o.Listener(BackgroundDone{})
		case cancelled:
			p.o.Listener(BackgroundCancelled{Reason: context.Cause(ctx)})
		default:
			p.o.Listener(BackgroundFailed{})
		}
	}
	p.mu.Lock()
	if err == nil {
		p.clean = changes
		p.lastSave = now.Unix()
		p.failed.Store(false)
	} else if j.background && !cancelled {
		p.failed.Store(true)
	}
	if j.background {
		p.lastTook = now.Unix() - j.started.Unix()
		p.lastPeak = progress.PreImageBytesPeak
	}
	p.job = nil
	p.mu.Unlock()
	j.cancel(nil)
	close(j.done)
}

// save writes the temporary file and gives it its name. Each failure is told where it happens.
// Invariant: until the rename has succeeded the old file is untouched.
func (p *Saver) save(ctx context.Context, st Settings, snap *snapshot.Snapshot, low bool, o StreamOptions) error {
	return snap.Read(ctx, low, func(in *snapshot.Stream) error { return p.write(ctx, st, snap, in, o) })
}

func (p *Saver) write(ctx context.Context, st Settings, snap *snapshot.Snapshot, in *snapshot.Stream, o StreamOptions) error {
	fs, listener := p.o.FS, p.o.Listener
	name := fmt.Sprintf("temp-%d.rdb", p.o.PID)
	temp, final := filepath.Join(st.Dir, name), filepath.Join(st.Dir, st.Filename)
	file, err := fs.Create(temp)
	if err != nil {
		listener(OpenFailed{Temp: name, Dir: st.Dir, Err: err})
		return err
	}
	step := "rdbSaveRio"
	bytes, err := WriteStream(ctx, &pacedWriter{file: file, off: !st.IncrementalSync}, snap, in, o)
	if err == nil {
		step, err = "fsync", file.Sync()
	}
	if closeErr := file.Close(); err == nil && closeErr != nil {
		step, err = "fclose", closeErr
	}
	if err != nil {
		_ = fs.Remove(temp)
		var broken *SnapshotError
		switch {
		case ctx.Err() != nil: // told by finish
		case errors.As(err, &broken):
			listener(SnapshotFailed{Reason: broken.Reason})
		default:
			listener(WriteFailed{Step: step, Err: err})
		}
		return err
	}
	if err = fs.Rename(temp, final); err != nil {
		_ = fs.Remove(temp)
		listener(RenameFailed{Temp: name, Final: st.Filename, Dir: st.Dir, Err: err})
		return err
	}
	if err = fs.SyncDir(filepath.Dir(final)); err != nil {
		listener(DirSyncFailed{Err: err})
		return err
	}
	listener(Saved{Path: final, Bytes: bytes, Keys: snap.Progress().KeysDone})
	return nil
}

// SnapshotError says that a stream could not be completed because its snapshot ended early.
type SnapshotError struct{ Reason error }

func (e *SnapshotError) Error() string { return "snapshot: " + e.Reason.Error() }
func (e *SnapshotError) Unwrap() error { return e.Reason }

// StreamOptions say how a snapshot is written as RDB.
type StreamOptions struct {
	Info               rdb.Info
	Libraries          [][]byte
	Compress, Checksum bool
	Policy             store.Policy
	Pace               Pace
	SkipData           bool // write no keys
}

// WriteStream writes everything in as one RDB file to dst and returns its length. A full sync
// uses it too. The error is a *SnapshotError, the context's, or dst's own.
func WriteStream(ctx context.Context, dst io.Writer, snap *snapshot.Snapshot, in *snapshot.Stream, o StreamOptions) (int64, error) {
	w := rdb.NewWriter(dst, rdb.WriterOptions{Compress: o.Compress, NoChecksum: !o.Checksum})
	w.Begin(o.Info)
	for _, code := range o.Libraries {
		w.Function(code)
	}
	usage := rdb.UsageNone
	switch {
	case o.Policy.LFU():
		usage = rdb.UsageFreq
	case o.Policy == store.AllKeysLRU || o.Policy == store.VolatileLRU:
		usage = rdb.UsageIdle
	}
	for {
		batch, err := in.Next(ctx)
		if errors.Is(err, io.EOF) {
			err := w.End()
			return w.Bytes(), err
		}
		if err != nil {
			if ctx.Err() != nil {
				return w.Bytes(), context.Cause(ctx)
			}
			return w.Bytes(), &SnapshotError{err}
		}
		if o.SkipData {
			continue // the batches are taken so that the walk comes to its end
		}
		for img := range batch.All() {
			w.Select(img.DB, uint64(snap.Keys(img.DB)), uint64(snap.Expires(img.DB)))
			a := rdb.Attributes{Usage: usage, Idle: uint64(max(img.IdleSeconds, 0)), Freq: img.Freq}
			if img.ExpireAt != store.NoExpire {
				a.ExpireAt = max(img.ExpireAt, 1) // 0 means never there
			}
			v := rdb.Value{Type: img.Type, Encoding: img.Encoding, Payload: img.Payload, Object: img.Object}
			w.Entry(a, img.Key, &v)
			if err := o.Pace.Wait(ctx); err != nil {
				return w.Bytes(), err
			}
		}
		if err := w.Err(); err != nil {
			return w.Bytes(), err
		}
	}
}
