package persist

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/aof"
	"github.com/sextantdb/sextant/store/disk"
	"github.com/sextantdb/sextant/store/snapshot"
)

// FsyncPolicy is appendfsync.
type FsyncPolicy uint8

const (
	FsyncEverySec FsyncPolicy = iota
	FsyncAlways
	FsyncNo
)

// AOFSettings are what redis.conf and CONFIG SET say about the append only file. Dir and names are
// read once; the rest is asked for anew whenever it matters.
type AOFSettings struct {
	Dir, DirName, Filename string // dir, appenddirname, appendfilename
	Fsync                  FsyncPolicy
	NoFsyncOnRewrite       bool  // no-appendfsync-on-rewrite
	RewritePercentage      int64 // auto-aof-rewrite-percentage; 0: never by itself
	RewriteMinSize         int64 // auto-aof-rewrite-min-size
	LoadTruncated          bool  // aof-load-truncated
	RDBPreamble            bool  // aof-use-rdb-preamble
	IncrementalSync        bool  // aof-rewrite-incremental-fsync
	Timestamps             bool  // aof-timestamp-enabled
	KeepHistory            bool  // aof-disable-auto-gc
	Compress, Checksum     bool
	Policy                 store.Policy
	Pace                   Pace // rdb-key-save-delay
	MaxPreImageBytes       int64
}

// Tap is a place in the stream of writes. Bytes up to a place that ends a unit are whole commands and transactions.
type Tap interface {
	// Look returns bytes that were not advanced over yet, nil when there are none: then Ready gets a
	// token when there are. whole reports that p ends with a unit. ok is false when the stream left
	// the history the tap belongs to.
	Look() (p []byte, whole, ok bool)
	Ready() <-chan struct{}
	Advance(n int)
	// Place is where the tap is: the stream's position, which replicas acknowledge, and the stream's count of bytes,
	// which never goes back. What only replicas receive is moved over by Look; what only the tap receives is not in pos.
	Place() (pos, total int64)
	Close()
}

// place is what Tap.Place says.
type place struct{ pos, total int64 }

// AOFOptions are fixed for the life of an AOF.
type AOFOptions struct {
	Store    *store.Store
	Source   *snapshot.Source
	Settings func() AOFSettings
	FS       disk.FS // nil: disk.OS
	Now      func() time.Time
	PID      int
	Listener Listener // nil: nobody listens

	// Tap opens a tap at the stream's end and Mark tells that place's total; what comes next begins with the
	// selected database, or db says which it is in. Both are called with every stripe held, and
	// when Quiesce has been called.
	Tap  func() (t Tap, db int)
	Mark func() (total int64, db int)
	// Quiesce and Libraries: see Options. May be nil.
	Quiesce   func() (release func())
	Libraries func() [][]byte
	// UsedMemory is what INFO calls used_memory. May be nil.
	UsedMemory func() int64
	// Total is the stream's count of bytes; see Tap.Place.
	Total func() int64
	// Synced is told after the durable position has moved. total is the count of bytes that nobody need
	// wait for any more.
	Synced func(total int64)
	// Trouble is told when writing begins to fail or works again; Failed tells which.
	Trouble func()
	// Whole is told when the files stop to hold the node's data, because it was replaced, and when they
	// hold it again. May be nil.
	Whole func(whole bool)
	// Fatal is told that the node must not go on: under appendfsync always something could not be
	// made durable that clients wait for.
	Fatal func(err error)
	// Slow is told how long a step took that can hold others up, by Redis' name for the event. May be nil.
	Slow func(event string, took time.Duration)
	// Saving reports whether an RDB file is being written (no-appendfsync-on-rewrite).
	Saving func() bool
}

func (o *AOFOptions) slow(event string, began time.Time) {
	if o.Slow != nil {
		o.Slow(event, o.Now().Sub(began))
	}
}

func (o *AOFOptions) whole(is bool) {
	if o.Whole != nil {
		o.Whole(is)
	}
}

// AOFState is whether there is an append only file.
type AOFState uint8

const (
	AOFOff AOFState = iota
	// AOFWaiting: commands are collected, but the base they build on is not complete yet.
	AOFWaiting
	AOFOn
)

const (
	// gatherTime is how long the session's goroutine lets writes come together, at least between two writes to
	// the file: each time it wakes costs the event loop's thread. What loops append they write themselves
	// (WriteNow). commitTime is the same under always, where a loop's end of round says when to write.
	gatherTime = 10 * time.Millisecond
	commitTime = time.Millisecond
	// batchBytes is how much is written before it is synced under appendfsync always.
	batchBytes = 4 << 20
	// syncEvery is everysec, delayedAfter what makes a sync one of aof_delayed_fsync, retryAfter when a
	// failed write is tried again.
	syncEvery    = time.Second
	delayedAfter = 2 * time.Second
	retryAfter   = time.Second
	// quickSync is what a sync under always takes at most for event loops to make the next one themselves: less than
	// waking another goroutine, and being woken by it, is worth.
	quickSync = time.Millisecond
	// slowWrite is what a write takes from which on Slow is told: latency events have no shorter ones.
	slowWrite = time.Millisecond
	// tellAgain is how often a write that goes on failing is logged.
	tellAgain = 30 * time.Second
	// MaxAOFLag is how many bytes clients may be ahead of the file: at it they are held up, as a
	// write that blocks holds up a server that writes itself.
	MaxAOFLag = 64 << 20
	// mostHeld is how many bytes are kept for a disk that fails (a replica's primary does not stop writing, when
	// replica-ignore-disk-write-errors lets it): beyond them a new base is to be written once the disk works.
	mostHeld = 1 << 30
)

// ErrAOFInProgress refuses BGREWRITEAOF, in Redis' words (without the "ERR ").
var ErrAOFInProgress = errors.New("Background append only file rewriting already in progress")

var (
	errAOFOff     = errors.New("the append only file was switched off")
	errNewHistory = errors.New("the data was replaced")
	errHeld       = errors.New("AOF writing given up until the disk works: too much is kept in memory for it")
)

// AOF is the append only file of a node. See the package documentation.
type AOF struct {
	o   AOFOptions
	now chan struct{} // capacity 1: a round has ended, clients wait

	writer  atomic.Pointer[session]
	on      atomic.Bool  // state is not AOFOff
	durable atomic.Int64 // position up to which the stream is on disk; -1: no position
	written atomic.Int64 // the stream's count of bytes that are in a file
	size    atomic.Int64 // of base and incremental files
	delayed atomic.Int64
	syncing atomic.Bool // a sync runs beside the writer
	failed  atomic.Pointer[error]
	sleep   atomic.Int64 // DEBUG AOF-FLUSH-SLEEP, ns

	// dirMu guards dir and its files' names; held while files are renamed, so never with a.mu wanted
	// under it. Order: dirMu → stripes → mu.
	dirMu sync.Mutex
	dir   *aof.Dir
	bad   error // immutable: why the manifest is no good; then the AOF stays off

	mu sync.Mutex
	// Guarded by mu.
	state     AOFState
	sess      *session // nil: nobody writes
	job       *rewrite // nil: no rewrite runs
	scheduled bool
	retryAt   time.Time     // of a scheduled rewrite
	ended     chan struct{} // closed when the session that was stopped last has ended
	flaws     int           // rewrites that failed in a row
	limit     rewriteLimit
	stats     rewriteStats
	baseSize  int64 // what the growth is measured from
	closed    bool  // no rewrite begins any more
}

// rewriteStats are INFO's.
type rewriteStats struct {
	rewrites int64
	failed   bool  // the last one
	took     int64 // seconds; -1: none yet
	peak     int64
}

// NewAOF returns an AOF that is off. It reads the manifest; Bad tells whether that went well.
func NewAOF(o AOFOptions) *AOF {
	if o.FS == nil {
		o.FS = disk.OS{}
	}
	if o.Listener == nil {
		o.Listener = func(Event) {}
	}
	if o.Quiesce == nil {
		o.Quiesce = func() func() { return func() {} }
	}
	st := o.Settings()
	dir, err := aof.OpenDir(o.FS, st.Dir, st.DirName, st.Filename)
	a := &AOF{o: o, now: make(chan struct{}, 1), dir: dir, bad: err, stats: rewriteStats{took: -1}, ended: make(chan struct{})}
	close(a.ended)
	a.durable.Store(-1)
	return a
}

// Bad is why the manifest is no good. A node must not go on then.
func (a *AOF) Bad() error { return a.bad }

// Present reports whether there is data to load: files of a manifest, or one of the time before
// directories.
func (a *AOF) Present() bool {
	if a.bad != nil {
		return true // something is there
	}
	a.dirMu.Lock()
	defer a.dirMu.Unlock()
	return !a.dir.Manifest().Empty() || a.dir.OldFile()
}

// Fsynced is the stream position up to which everything is on disk. on reports whether the
// append only file is on; while its first base is being written the position is -1.
func (a *AOF) Fsynced() (pos int64, on bool) {
	if !a.on.Load() {
		return 0, false
	}
	return a.durable.Load(), true
}

// Failed is why writing fails, or nil. It costs one atomic load.
func (a *AOF) Failed() error {
	if p := a.failed.Load(); p != nil {
		return *p
	}
	return nil
}

func (a *AOF) fail(err error) {
	old := a.Failed()
	if err == nil {
		a.failed.Store(nil)
	} else {
		a.failed.Store(&err)
	}
	if (old == nil) != (err == nil) && a.o.Trouble != nil {
		a.o.Trouble()
	}
}

// Commit tells the writer that clients wait for what is in the stream by now. Any goroutine; it
// does not wait.
func (a *AOF) Commit() {
	select {
	case a.now <- struct{}{}:
	default:
	}
}

// SetFlushSleep makes every write to the file wait before, for tests.
func (a *AOF) SetFlushSleep(d time.Duration) { a.sleep.Store(int64(d)) }

// Lag is how many bytes are in the stream and not in a file yet.
func (a *AOF) Lag() int64 {
	if !a.on.Load() {
		return 0
	}
	return max(0, a.o.Total()-a.written.Load())
}

// Open begins to write, once the data has been loaded and before anybody may change it. Without a
// base one is made of what there is.
func (a *AOF) Open(ctx context.Context) error {
	st := a.o.Settings()
	a.dirMu.Lock()
	defer a.dirMu.Unlock()
	if err := a.dir.Make(); err != nil {
		return err
	}
	if a.dir.Manifest().Empty() {
		if err := a.firstBase(ctx, st); err != nil {
			return err
		}
	}
	log, created, err := a.dir.OpenLast()
	if err != nil {
		return err
	}
	if created {
		a.o.Listener(AOFIncrCreated{Name: log.File.Name, When: "on server start"})
	} else {
		a.o.Listener(AOFIncrOpened{Name: log.File.Name})
	}
	if !st.KeepHistory {
		a.dropHistory()
	}
	base, all := a.dir.Sizes()
	a.size.Store(all)
	release := a.o.Quiesce()
	var t store.Txn
	t.BeginAll(a.o.Store, a.o.Now().UnixMilli())
	tap, db := a.o.Tap()
	a.mu.Lock()
	a.state, a.baseSize = AOFOn, all
	_ = base
	a.begin(tap, db, log)
	a.on.Store(true)
	a.mu.Unlock()
	t.End()
	release()
	return nil
}

// dropHistory deletes what the manifest no longer needs. REQUIRES: dirMu.
func (a *AOF) dropHistory() {
	dropped, err := a.dir.DropHistory()
	for _, name := range dropped {
		a.o.Listener(AOFHistoryRemoved{Name: name})
	}
	if err != nil {
		a.o.Listener(AOFProblem{Err: err})
	}
}

// CollectHistory deletes old files that were kept (aof-disable-auto-gc no).
func (a *AOF) CollectHistory() {
	a.dirMu.Lock()
	a.dropHistory()
	a.dirMu.Unlock()
}

// Enable switches the append only file on: a rewrite makes its first base, beside which the commands
// are collected that come meanwhile. It does not wait and takes no stripe.
func (a *AOF) Enable() {
	a.mu.Lock()
	if a.state != AOFOff {
		a.mu.Unlock()
		return
	}
	a.state = AOFWaiting
	a.on.Store(true)
	a.durable.Store(-1)
	if j := a.job; j != nil && !j.committing {
		j.cancel(errAOFOff) // it has no commands behind it
	}
	a.scheduled = true
	a.mu.Unlock()
	a.fail(nil)
	a.o.Listener(AOFEnabled{})
	a.tryScheduled()
}

// Disable switches it off; what is in the stream by now is still written and synced. It does not wait for
// that. The files stay.
func (a *AOF) Disable() {
	a.mu.Lock()
	if a.state == AOFOff {
		a.mu.Unlock()
		return
	}
	if a.scheduled {
		a.o.Listener(AOFScheduleDropped{})
	}
	a.state, a.scheduled = AOFOff, false
	a.on.Store(false)
	if j := a.job; j != nil && !j.committing {
		a.o.Listener(AOFRewriteKilled{})
		j.cancel(errAOFOff)
	}
	s := a.sess
	a.sess = nil
	if s != nil {
		a.ended = s.done
	}
	a.mu.Unlock()
	if s != nil {
		s.end()
	}
	a.fail(nil)
	a.o.Synced(a.o.Total()) // WAITAOF must hear that there is nothing to wait for
}

// Flush writes what is in the stream by now, and with sync makes it durable.
func (a *AOF) Flush(sync bool) error {
	a.mu.Lock()
	s := a.sess
	a.mu.Unlock()
	if s == nil {
		return nil
	}
	return s.ask(sync)
}

// Close is the orderly end: it stops a rewrite and makes everything durable. The AOF is of no use after.
func (a *AOF) Close() error {
	a.mu.Lock()
	j, s, state := a.job, a.sess, a.state
	a.scheduled, a.closed = false, true
	if j != nil && !j.committing {
		j.cancel(errAOFOff)
	}
	a.mu.Unlock()
	if j != nil {
		<-j.done
	}
	if s == nil || state == AOFOff {
		return nil
	}
	err := s.ask(true)
	s.end()
	<-s.done
	return err
}

// Stamp tells the files on disk and their sizes: it changes with everything that is written.
func (a *AOF) Stamp() string {
	if a.bad != nil {
		return ""
	}
	a.dirMu.Lock()
	defer a.dirMu.Unlock()
	s := ""
	for _, f := range a.dir.Manifest().Files() {
		size, err := a.o.FS.Size(a.dir.Path(f.Name))
		if err != nil {
			size = -1
		}
		s += fmt.Sprintf("%s %d\n", f.Name, size)
	}
	return s
}

// Waiting reports whether the first base is not complete yet.
func (a *AOF) Waiting() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state == AOFWaiting
}

// begin makes a session. REQUIRES: mu, every stripe held.
func (a *AOF) begin(tap Tap, db int, log *aof.Log) {
	s := &session{
		a: a, tap: tap, log: log, whole: true, firstDB: db,
		calls: make(chan call), stop: make(chan struct{}), done: make(chan struct{}), syncDone: make(chan syncResult, 1),
		lastSync: a.o.Now(),
	}
	s.at.pos, s.at.total = tap.Place()
	at := s.at
	s.synced.Store(&at)
	a.written.Store(at.total)
	if a.state == AOFOn {
		a.durable.Store(at.pos)
	}
	a.sess = s
	a.writer.Store(s)
	go s.run()
}

// lost is told by a session whose stream left its history: the data is another now, and needs a new base.
func (a *AOF) lost(s *session) {
	a.mu.Lock()
	if a.sess == s {
		a.sess, a.ended = nil, s.done
		a.state, a.scheduled = AOFWaiting, true
		a.retryAt = time.Time{}
		a.durable.Store(-1)
		if j := a.job; j != nil && !j.committing {
			j.cancel(errNewHistory)
		}
	}
	a.mu.Unlock()
	a.o.whole(false)
}

// session is the time from one opening of a tap to its end. Everything without a comment is guarded by io, which
// the goroutine of run holds whenever it does not wait.
type session struct {
	a  *AOF
	io sync.Mutex

	// Immutable.
	tap      Tap
	calls    chan call
	stop     chan struct{}
	stopOnce sync.Once
	done     chan struct{}

	turn   *turn                 // guarded by a.mu, with what it points to: where the next file begins; nil: nowhere
	synced atomic.Pointer[place] // everything before it is on disk; written under io

	log      *aof.Log
	at       place  // everything before it is in a file
	whole    bool   // at is the end of a unit
	firstDB  int    // the database that is to be selected before anything else; -1: the stream says so
	head     []byte // written before the next bytes of the stream
	second   int64  // of the last annotation
	syncDone chan syncResult
	inSync   bool // a sync runs
	lastSync time.Time
	told     bool // of the running sync that it takes long
	lastFail time.Time
	lastTold time.Time
	// lastWrite is when something was written last. closed: the file is.
	lastWrite time.Time
	closed    bool
	writeErr  error
	syncErr   error
	gather    gathering
	syncTook  time.Duration // the last sync under always
}

// turn is a change to the next file at a position.
type turn struct {
	total int64
	log   *aof.Log
	db    int
	based bool // a base holds what is before pos: it need not be written any more
}

type syncResult struct {
	log *aof.Log
	at  place
	err error
}

// call asks a session to write everything, and to sync.
type call struct {
	sync bool
	done chan error
}

// end asks the session to finish: to write and sync what is there, and to close.
func (s *session) end() { s.stopOnce.Do(func() { close(s.stop) }) }

// ask is call from another goroutine.
func (s *session) ask(sync bool) error {
	c := call{sync, make(chan error, 1)}
	select {
	case s.calls <- c:
		return <-c.done
	case <-s.done:
		return nil
	}
}

func (s *session) run() {
	defer close(s.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	gather := time.NewTimer(time.Hour)
	defer gather.Stop()
	s.io.Lock()
	defer s.io.Unlock()
	for {
		alive, rest := s.write(false)
		if s.writeErr != nil && s.a.Lag() > mostHeld {
			s.a.o.Listener(AOFProblem{Err: errHeld})
			alive = false
		}
		if !alive {
			s.close()
			s.a.lost(s)
			s.a.o.Synced(s.a.o.Total())
			return
		}
		if s.sync(false) || rest {
			continue
		}
		timer.Reset(s.nap())
		// Writes come together meanwhile.
		wait := commitTime
		if s.a.o.Settings().Fsync != FsyncAlways {
			wait = gatherTime - s.a.o.Now().Sub(s.lastWrite)
		}
		s.io.Unlock()
		var asked *call
		var synced *syncResult
		stop, more := false, false
		select {
		case <-s.tap.Ready():
			more = true
		case <-s.a.now:
			more = s.a.o.Settings().Fsync != FsyncAlways
		case <-timer.C:
		case r := <-s.syncDone:
			synced = &r
		case c := <-s.calls:
			asked = &c
		case <-s.stop:
			stop = true
		}
		if more && wait > 0 {
			gather.Reset(wait)
			// Under always somebody waits at the end of a round; else rounds that leave writing to us end all the time.
			urgent := s.a.now
			if s.a.o.Settings().Fsync != FsyncAlways {
				urgent = nil
			}
			select {
			case <-gather.C:
			case <-urgent:
			case c := <-s.calls:
				asked = &c
			}
		}
		s.io.Lock()
		if synced != nil {
			s.endSync(*synced)
		}
		if asked != nil {
			asked.done <- s.flush(asked.sync)
		}
		if stop {
			s.write(false)
			_ = s.flush(true) // a failure was told
			s.close()
			s.a.o.Synced(s.a.o.Total())
			return
		}
	}
}

// WriteNow writes what is in the stream, as Redis does before it answers: then kill -9 loses nothing. It is for event
// loops, which it saves the waking of another goroutine, and holds none up for longer than a write to the kernel's
// cache takes: while the file is being synced, or changed, or fails, the session's goroutine does it.
// The caller's policy is not always.
func (a *AOF) WriteNow() {
	s := a.writer.Load()
	if s == nil || !s.io.TryLock() {
		return // whoever has the lock writes, or the next round
	}
	leave := s.inSync || s.writeErr != nil || s.closed
	clean := s.clean()
	if !leave {
		alive, rest := s.write(true)
		leave = !alive || rest
	}
	s.io.Unlock()
	if leave || clean {
		a.Commit() // it has to write, or to sync in a second
	}
}

// SyncNow writes and syncs what is in the stream, for event loops, under always: everybody that could do something meanwhile
// waits for the sync anyway, as in Redis. While syncs take long it is left to the session's goroutine, and the loop
// serves those who do not write. again asks the loop to come back at once: the sync waits for more clients.
func (a *AOF) SyncNow() (again bool) {
	s := a.writer.Load()
	if s == nil || !s.io.TryLock() {
		a.Commit() // whoever has the lock looks again
		return false
	}
	defer s.io.Unlock()
	if s.inSync || s.writeErr != nil || s.closed || s.syncTook > quickSync || a.sleep.Load() > 0 {
		a.Commit()
		return false
	}
	if s.gather.wait(a.o.Now(), a.o.Total()) > 0 {
		return true
	}
	if alive, rest := s.write(true); !alive || rest || s.sync(true) {
		a.Commit()
	}
	return false
}

// nap is how long nothing need be done unless something happens.
func (s *session) nap() time.Duration {
	now := s.a.o.Now()
	switch {
	case s.writeErr != nil || s.syncErr != nil:
		return max(retryAfter-now.Sub(s.lastFail), time.Millisecond)
	case s.inSync:
		return delayedAfter
	case !s.clean():
		if wait := s.gather.wait(now, s.at.total); wait > 0 && s.a.o.Settings().Fsync == FsyncAlways {
			return wait
		}
		// Also under no, and while no-appendfsync-on-rewrite holds: the settings may change.
		if left := syncEvery - now.Sub(s.lastSync); left > 0 {
			return left
		}
		return syncEvery / 10
	}
	return time.Hour
}

// look is Tap.Look up to the next turn. t is set when the turn is here.
func (s *session) look(loop bool) (p []byte, whole bool, t *turn, skip, ok bool) {
	a := s.a
	a.mu.Lock()
	defer a.mu.Unlock()
	if loop && s.turn != nil {
		return nil, false, s.turn, false, true
	}
	if t := s.turn; t != nil && s.at.total >= t.total {
		s.turn = nil
		return nil, true, t, false, true
	}
	p, whole, ok = s.tap.Look()
	s.moved()
	if t := s.turn; t != nil {
		if s.at.total >= t.total { // what only replicas receive reached up to there
			s.turn = nil
			return nil, true, t, false, ok
		}
		if s.at.total+int64(len(p)) > t.total {
			p, whole = p[:t.total-s.at.total], true
		}
	}
	return p, whole, nil, s.turn != nil && s.turn.based, ok
}

// write writes what there is, under appendfsync always not much more than a batch: then there may be
// more. alive is false when the stream left its history. loop: an event loop writes, and leaves to the
// session's goroutine what could take long.
func (s *session) write(loop bool) (alive, more bool) {
	a := s.a
	if s.writeErr != nil && a.o.Now().Sub(s.lastFail) < retryAfter {
		return true, false
	}
	st := a.o.Settings()
	for wrote := 0; wrote < batchBytes || st.Fsync != FsyncAlways; {
		before, clean := s.at, s.clean()
		p, whole, t, skip, ok := s.look(loop)
		if s.at != before && clean && !loop {
			s.reached(s.at) // nothing that it moved over is for the file
		}
		switch {
		case !ok:
			return false, false
		case t != nil && loop:
			return true, true
		case t != nil:
			if err := s.turnTo(t); err != nil {
				s.writeFailed(err)
				a.mu.Lock()
				s.turn = t // again later
				a.mu.Unlock()
				return true, false
			}
			continue
		case len(p) == 0:
			return true, false
		case skip: // a base holds it
			s.advance(len(p), whole)
			continue
		}
		if err := s.prefix(st); err != nil {
			s.writeFailed(err)
			return true, false
		}
		if ns := a.sleep.Load(); ns > 0 {
			time.Sleep(time.Duration(ns))
		}
		began := a.o.Now()
		var n int
		var err error
		if loop {
			n, err = s.log.QuickWrite(p)
		} else {
			n, err = s.log.Write(p)
		}
		if a.o.Slow != nil {
			if took := a.o.Now().Sub(began); took >= slowWrite {
				a.o.Slow(s.writeEvent(), took)
			}
		}
		if n > 0 {
			s.advance(n, whole && n == len(p))
			s.lastWrite = began
			a.size.Add(int64(n))
			wrote += n
		}
		if err != nil {
			if n < len(p) && n > 0 {
				err = fmt.Errorf("%w (nwritten=%d, expected=%d)", err, n, len(p))
			}
			s.writeFailed(err)
			return true, false
		}
		s.writeWorks()
	}
	return true, true
}

// writeEvent is what a write is called by how much it has the disk for itself.
func (s *session) writeEvent() string {
	switch {
	case s.inSync:
		return "aof-write-pending-fsync"
	case s.a.childActive():
		return "aof-write-active-child"
	}
	return "aof-write-alone"
}

func (s *session) advance(n int, whole bool) {
	s.tap.Advance(n)
	s.at.pos, s.at.total = s.tap.Place()
	s.whole = whole
	s.a.written.Store(s.at.total)
}

// moved notes where a look has brought the tap.
func (s *session) moved() {
	s.at.pos, s.at.total = s.tap.Place()
	s.a.written.Store(s.at.total)
}

// clean reports that nothing is to be synced.
func (s *session) clean() bool { return s.synced.Load().total >= s.at.total }

// prefix writes what stands before commands without being of the stream: the selected database of a file
// that begins, and the time.
func (s *session) prefix(st AOFSettings) error {
	if len(s.head) > 0 {
		return s.writeHead()
	}
	if !s.whole {
		return nil
	}
	var b []byte
	sec := s.second
	if st.Timestamps {
		if now := s.a.o.Now().Unix(); now != sec {
			sec = now
			b = fmt.Appendf(b, "#TS:%d\r\n", sec)
		}
	}
	if s.firstDB >= 0 {
		db := fmt.Sprint(s.firstDB)
		b = fmt.Appendf(b, "*2\r\n$6\r\nSELECT\r\n$%d\r\n%s\r\n", len(db), db)
	}
	if len(b) == 0 {
		return nil
	}
	s.head, s.second, s.firstDB = append(s.head, b...), sec, -1
	return s.writeHead()
}

func (s *session) writeHead() error {
	n, err := s.log.Write(s.head)
	s.a.size.Add(int64(n))
	s.head = s.head[n:]
	return err
}

// turnTo makes the present file durable and goes on in the next one.
func (s *session) turnTo(t *turn) error {
	s.awaitSync()
	if !s.clean() {
		if !t.based {
			if err := s.log.Sync(); err != nil {
				return err
			}
		}
		s.reached(s.at)
	}
	_ = s.log.Close() // it is on disk, or of no use
	s.log, s.firstDB, s.second, s.whole, s.head = t.log, t.db, 0, true, nil
	if s.writeErr != nil || s.syncErr != nil {
		s.writeErr, s.syncErr = nil, nil // they were the old file's
		s.a.o.Listener(AOFWriteWorks{})
		s.a.fail(nil)
	}
	return nil
}

// awaitSync waits for the sync that runs beside.
func (s *session) awaitSync() {
	if s.inSync {
		s.endSync(<-s.syncDone)
	}
}

// flush writes and, with sync, makes durable all there is.
func (s *session) flush(sync bool) error {
	s.lastFail = time.Time{} // try now
	for before := int64(-1); s.at.total != before; {
		before = s.at.total
		s.write(false)
	}
	if s.writeErr != nil {
		return s.writeErr
	}
	if !sync {
		return nil
	}
	s.awaitSync()
	if !s.clean() {
		if err := s.log.Sync(); err != nil {
			s.syncFailed(err)
			return err
		}
		s.syncWorks()
		s.reached(s.at)
	}
	return nil
}

func (s *session) close() {
	s.awaitSync()
	s.closed = true
	s.a.writer.CompareAndSwap(s, nil)
	s.tap.Close()
	_ = s.log.Close()
	s.a.mu.Lock()
	if t := s.turn; t != nil {
		s.turn = nil
		_ = t.log.Close()
	}
	s.a.mu.Unlock()
}

// sync does what appendfsync asks for. more reports that the stream may hold more than was written. loop: as of write.
func (s *session) sync(loop bool) (more bool) {
	a := s.a
	st := a.o.Settings()
	now := a.o.Now()
	if s.clean() {
		return false
	}
	switch st.Fsync {
	case FsyncAlways:
		if s.gather.wait(now, s.at.total) > 0 {
			return false
		}
		s.awaitSync()
		from, to := s.synced.Load(), s.at
		sync := s.log.Sync
		if loop {
			sync = s.log.QuickSync
		}
		err := sync()
		a.o.slow("aof-fsync-always", now)
		if err != nil {
			s.syncFailed(err)
			return false
		}
		s.syncWorks()
		ended := a.o.Now()
		s.syncTook = ended.Sub(now)
		s.gather.synced(from.total, to.total, a.o.Total(), now, ended)
		s.reached(to)
		select {
		case <-a.now: // whole rounds have ended meanwhile
			return true
		default:
			return false
		}
	case FsyncEverySec:
		if s.inSync {
			if !s.told && now.Sub(s.lastSync) >= delayedAfter {
				s.told = true
				a.delayed.Add(1)
				a.o.Listener(AOFSyncSlow{})
			}
			return false
		}
		if now.Sub(s.lastSync) < syncEvery || st.NoFsyncOnRewrite && a.childActive() {
			return false
		}
		if s.syncErr != nil && now.Sub(s.lastFail) < retryAfter {
			return false
		}
		s.inSync, s.told, s.lastSync = true, false, now
		a.syncing.Store(true)
		log, at := s.log, s.at
		go func() { s.syncDone <- syncResult{log, at, log.Sync()} }()
	}
	return false
}

// childActive reports whether a snapshot is being written to a file.
func (a *AOF) childActive() bool {
	a.mu.Lock()
	busy := a.job != nil
	a.mu.Unlock()
	return busy || a.o.Saving != nil && a.o.Saving()
}

func (s *session) endSync(r syncResult) {
	s.inSync = false
	s.a.syncing.Store(false)
	if r.err != nil {
		s.syncFailed(r.err)
		return
	}
	s.syncWorks()
	s.reached(r.at)
}

// reached notes that everything before at is on disk.
func (s *session) reached(at place) {
	a := s.a
	s.synced.Store(&at)
	a.mu.Lock()
	if a.state == AOFOn && a.sess == s {
		a.durable.Store(at.pos)
	}
	a.mu.Unlock()
	a.o.Synced(at.total)
}

func (s *session) writeFailed(err error) {
	a := s.a
	if s.writeErr == nil || a.o.Now().Sub(s.lastTold) >= tellAgain {
		s.lastTold = a.o.Now()
		a.o.Listener(AOFWriteFailed{Err: err})
	}
	s.writeErr, s.lastFail = err, a.o.Now()
	a.fail(err)
	if a.o.Settings().Fsync == FsyncAlways {
		a.o.Listener(AOFFatal{Text: "Can't recover from AOF write error when the AOF fsync policy is 'always'. Exiting..."})
		a.o.Fatal(err)
	}
}

func (s *session) writeWorks() {
	if s.writeErr == nil {
		return
	}
	s.writeErr = nil
	s.a.o.Listener(AOFWriteWorks{})
	s.a.fail(s.syncErr)
}

func (s *session) syncFailed(err error) {
	a := s.a
	if s.syncErr == nil {
		a.o.Listener(AOFSyncFailed{Err: err})
	}
	s.syncErr, s.lastFail = err, a.o.Now()
	a.fail(err)
	if a.o.Settings().Fsync == FsyncAlways {
		a.o.Listener(AOFFatal{Text: fmt.Sprintf("Can't persist AOF for fsync error when the AOF fsync policy is 'always': %v. Exiting...", err)})
		a.o.Fatal(err)
	}
}

// syncWorks: the kernel drops pages that it could not write and reports that once, so what a later sync says
// is no proof for them. A rewrite puts everything into a new file.
func (s *session) syncWorks() {
	if s.syncErr == nil {
		return
	}
	s.syncErr = nil
	s.a.o.Listener(AOFWriteWorks{})
	s.a.fail(s.writeErr)
	s.a.mu.Lock()
	s.a.scheduled = true
	s.a.mu.Unlock()
}
