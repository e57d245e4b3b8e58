package repl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sextantdb/sextant/store/rdb"
)

const (
	// chunkQueue bounds how many pieces of a snapshot wait for one replica.
	chunkQueue = 8
	// retrySave is how long a failed snapshot is not tried again.
	retrySave = time.Second
)

// transfer is one full sync of one replica, from its group.
type transfer struct {
	head   string      // what precedes the RDB, as far as it is known at the cut
	marked bool        // sent while it is made, ended by mark; else from the file
	mark   string      // 40 characters
	chunks chan *chunk // marked: closed after the last one
	file   chan *spool // not marked: one, closed without it when the snapshot failed
	failed atomic.Bool // set before chunks or file is closed without the whole RDB
}

// chunk is a piece of RDB that several writers send. It goes back to the pool when the last
// has.
type chunk struct {
	pool *sync.Pool
	buf  []byte
	refs atomic.Int32
}

var errTransfer = errors.New("the snapshot failed")

// send sends the whole transfer to r.
func (t *transfer) send(r *Replica, newline <-chan time.Time) error {
	timed := func(p []byte) error { // expireLocked ends what takes too long
		r.sendingSince.Store(r.e.deps.Now())
		defer r.sendingSince.Store(0)
		return r.send(p)
	}
	if err := timed([]byte(t.head)); err != nil {
		return err
	}
	if t.marked {
		return t.sendChunks(r, timed)
	}
	return t.sendFile(r, timed, newline)
}

func (t *transfer) sendChunks(r *Replica, timed func([]byte) error) error {
	defer func() { // give back what is left, so that nobody waits for us
		for c := range t.chunks {
			c.release()
		}
	}()
	for {
		select {
		case c, more := <-t.chunks:
			if !more {
				if t.failed.Load() {
					return errTransfer
				}
				r.sendsLast()
				return timed([]byte(t.mark))
			}
			err := timed(c.buf)
			c.release()
			if err != nil {
				r.e.lost(r)
				return err
			}
		case <-r.done:
			return errTransfer
		}
	}
}

func (t *transfer) sendFile(r *Replica, timed func([]byte) error, newline <-chan time.Time) error {
	var sp *spool
	for sp == nil {
		select {
		case got, ok := <-t.file:
			if !ok {
				return errTransfer
			}
			sp = got
		case <-newline:
			if err := timed([]byte{'\n'}); err != nil {
				return err
			}
		case <-r.done:
			return errTransfer
		}
	}
	defer sp.release()
	f := sp.f
	r.e.mu.Lock()
	r.state = replicaSendBulk
	r.e.mu.Unlock()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := timed(fmt.Appendf(nil, "$%d\r\n", info.Size())); err != nil {
		return err
	}
	buf := make([]byte, 64<<10)
	for at := int64(0); at < info.Size(); {
		n, err := f.ReadAt(buf, at) // the file is shared: no common place in it
		if n == 0 && err != nil {
			r.e.warn(EvFullSync, "Read error sending DB to replica: %v", err)
			return err
		}
		if err := timed(buf[:n]); err != nil {
			return err
		}
		at += int64(n)
	}
	return nil
}

// spool is a snapshot in a file. Its last user closes it.
type spool struct {
	f    *rdbFile
	refs atomic.Int32
}

func (sp *spool) release() {
	if sp.refs.Add(-1) == 0 {
		sp.f.Close()
	}
}

func (c *chunk) release() {
	if c.refs.Add(-1) == 0 {
		c.pool.Put(c)
	}
}

func (e *Engine) kickSyncs() {
	select {
	case e.kick <- struct{}{}:
	default:
	}
}

// runSyncs starts full syncs when replicas wait for one.
func (e *Engine) runSyncs() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-e.quit:
			cancel()
		case <-ctx.Done():
		}
	}()
	var retryAt int64
	for {
		select {
		case <-e.kick:
		case <-e.quit:
			return
		}
		for e.syncDue(retryAt) {
			if err := e.runSync(ctx); err != nil {
				retryAt = e.deps.Now() + retrySave.Milliseconds()
			}
		}
	}
}

// Saving reports whether a snapshot for replicas is under way.
func (e *Engine) Saving() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.syncing != nil
}

// syncDue decides whether a snapshot should begin now. The first replica's arrival starts the
// delay in which others may join; it does not hold when files are made anyway or enough wait.
func (e *Engine) syncDue(retryAt int64) bool {
	o := e.opts.Load()
	now := e.deps.Now()
	if now < retryAt {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || !e.servableLocked() {
		return false
	}
	waiting, oldest, file := 0, now, false
	for _, r := range e.replicas {
		if r.state == replicaWaitStart {
			waiting++
			oldest = min(oldest, r.arrived)
			file = file || !r.streamed(o)
		}
	}
	return waiting > 0 && (file || now-oldest >= o.DisklessSyncDelay.Milliseconds() ||
		o.DisklessSyncMaxReplicas > 0 && waiting >= o.DisklessSyncMaxReplicas)
}

// servableLocked: our data is a whole copy of something. REQUIRES: e.mu.
func (e *Engine) servableLocked() bool { return !e.replica.Load() || e.valid }

// group is the replicas that share one snapshot. It is the snapshot's io.Writer. The goroutine
// of runSync owns it.
type group struct {
	e         *Engine
	replicas  []*Replica
	transfers []*transfer
	file      *spool // nil when no replica needs one
	keep      string // the path at which file stays; "" when it does not
	wanted    bool   // also without replicas
	bytes     int64
	chunks    sync.Pool
	cancel    context.CancelCauseFunc
}

// runSync makes one snapshot and sends it to all replicas that wait at its cut and want the
// same parts of it.
func (e *Engine) runSync(parent context.Context) error {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	o := e.opts.Load()
	g := &group{e: e, cancel: cancel}

	e.mu.Lock()
	var want handshake
	needFile, found := false, false
	for _, r := range e.replicas {
		if r.state == replicaWaitStart {
			if !found {
				want, found = r.handshake, true
			}
			needFile = needFile || !r.streamed(o)
		}
	}
	e.mu.Unlock()
	if !found {
		return nil
	}
	target := "replicas sockets"
	if needFile {
		target = "disk"
		if !want.skipData && !want.skipFunc {
			g.keep = o.RDBPath
		}
		g.wanted = g.keep != "" && o.SavePoints
		f, err := createRDB(o, "sync-to", g.keep != "")
		if err != nil {
			e.warn(EvFullSync, "BGSAVE for replication failed: %v", err)
			e.dropWaiting()
			return err
		}
		defer f.unname()
		g.file = &spool{f: f}
		g.file.refs.Store(1)
		defer g.file.release()
	}
	e.emit(EvFullSync, "Starting BGSAVE for SYNC with target: %s", target)

	began := e.deps.Now()
	err := e.deps.Save(ctx, g, SaveRequest{
		SkipData: want.skipData, SkipFunctions: want.skipFunc,
		Quiesce: e.Quiesce,
		Cut:     func() rdb.Replication { return g.cut(want) },
		Whole:   g.whole,
		Rename:  g.rename(),
	})
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	defer func() { // the log has told how it ended
		e.mu.Lock()
		e.syncing = nil
		e.mu.Unlock()
	}()
	g.finish(err)
	if err == nil && g.keep != "" {
		if err := syncName(g.keep); err != nil {
			e.warn(EvFullSync, "The name of %s may not survive a power cut: %v", g.keep, err)
		}
	}
	switch {
	case err == nil:
		if up := g.alive(); g.file == nil {
			e.emit(EvFullSync, "Diskless rdb transfer, done reading from pipe, %d replicas still up.", up)
		}
		e.emit(EvFullSync, "Background RDB transfer terminated with success: %d bytes in %d ms", g.bytes, e.deps.Now()-began)
	case errors.Is(err, errNobody):
		if g.file == nil {
			e.warn(EvFullSync, "Diskless rdb transfer, last replica dropped, killing fork child.")
			e.warn(EvFullSync, "Background RDB transfer error: %v", err)
		} else {
			e.emit(EvFullSync, "Killing running RDB child: nobody waits for it any more")
		}
		return nil
	default:
		e.warn(EvFullSync, "BGSAVE for replication failed: %v", err)
		if len(g.replicas) == 0 && ctx.Err() == nil {
			e.dropWaiting()
		}
	}
	return err
}

// dropWaiting turns away those whose snapshot cannot begin; they come again.
func (e *Engine) dropWaiting() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := 0; i < len(e.replicas); i++ {
		if r := e.replicas[i]; r.state == replicaWaitStart {
			e.dropLocked(r)
			i--
		}
	}
}

// cut runs with every stripe held: it picks the replicas, gives them their place in the
// stream, and says what the place is.
func (g *group) cut(want handshake) rdb.Replication {
	e := g.e
	o := e.opts.Load()
	mark := e.newID()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ensureBacklog()
	var cursors []**Cursor
	for _, r := range e.replicas {
		if !e.servableLocked() || r.state != replicaWaitStart || r.skipData != want.skipData || r.skipFunc != want.skipFunc {
			continue
		}
		if !r.streamed(o) && g.file == nil {
			continue // came after the decision; the next snapshot is for it
		}
		g.replicas = append(g.replicas, r)
		if !r.rdbOnly || r.side {
			cursors = append(cursors, &r.cursor)
		}
	}
	h, off, db := e.Stream.cut(cursors)
	if e.replica.Load() {
		db = e.streamDB
	}
	for _, r := range g.replicas {
		t := &transfer{}
		if !r.prePsync {
			t.head = "+FULLRESYNC " + h.ID + " " + strconv.FormatInt(off, 10) + "\r\n"
		}
		if r.side {
			e.emit(EvFullSync, "Add rdb replica %s to waiting psync, with cid %d, tracking repl-backlog tail at offset %d", r.name(), r.sess.ID, off)
			t.head = fmt.Sprintf("$ENDOFF:%d %s %d %d\r\n", off, h.ID, db, r.sess.ID)
		}
		if r.streamed(o) {
			t.marked, t.mark = true, mark
			t.head += "$EOF:" + mark + "\r\n"
			t.chunks = make(chan *chunk, chunkQueue)
		} else {
			t.file = make(chan *spool, 1)
		}
		r.state = replicaWaitEnd
		g.transfers = append(g.transfers, t)
		r.begin <- t
	}
	if len(g.replicas) > 0 {
		e.syncing = g
	}
	return rdb.Replication{StreamDB: db, ID: h.ID, Offset: off}
}

var errNobody = errors.New("no replica is left to take the snapshot")

// Write passes a piece of the snapshot on. The slowest replica paces it; one that takes
// nothing for repl-timeout is dropped by its own writer.
func (g *group) Write(p []byte) (int, error) {
	if g.bytes == 0 {
		g.e.pausePoint()
		g.e.emit(EvFullSync, "Background RDB transfer started by pid %d", os.Getpid())
	}
	g.bytes += int64(len(p))
	if g.file != nil {
		if _, err := g.file.f.Write(p); err != nil {
			return 0, err
		}
	}
	alive, streams := 0, int32(0)
	for i, r := range g.replicas {
		select {
		case <-r.done:
		default:
			alive++
			if g.transfers[i].marked {
				streams++
			}
		}
	}
	if alive == 0 && !g.wanted {
		return 0, errNobody
	}
	if streams == 0 {
		return len(p), nil
	}
	c, reused := g.chunks.Get().(*chunk)
	if !reused {
		c = &chunk{pool: &g.chunks}
	}
	c.buf = append(c.buf[:0], p...)
	c.refs.Store(int32(len(g.replicas)) + 1)
	for i, r := range g.replicas {
		t := g.transfers[i]
		if !t.marked {
			c.release()
			continue
		}
		select {
		case <-r.done:
			c.release()
			continue
		default:
		}
		select {
		case t.chunks <- c:
		case <-r.done:
			c.release()
		}
	}
	c.release()
	return len(p), nil
}

// whole sees to it that the file has everything, durably if it is to stay.
func (g *group) whole() error {
	if g.file == nil {
		return nil
	}
	info, err := g.file.f.Stat()
	if err != nil {
		return err
	}
	if info.Size() != g.bytes {
		return io.ErrShortWrite
	}
	if g.keep == "" {
		return nil
	}
	return g.file.f.Sync()
}

// rename is what makes the file the node's, nil when it is not to be.
func (g *group) rename() func() error {
	if g.keep == "" {
		return nil
	}
	return func() error { return g.file.f.rename(g.keep) }
}

// useless: nobody is left for whom the snapshot is worth completing.
func (g *group) useless() bool { return !g.wanted && g.alive() == 0 }

// alive is how many replicas have not gone.
func (g *group) alive() (n int) {
	for _, r := range g.replicas {
		select {
		case <-r.done:
		default:
			n++
		}
	}
	return n
}

// finish tells the writers that the snapshot is complete, or drops the replicas.
func (g *group) finish(err error) {
	for i, r := range g.replicas {
		t := g.transfers[i]
		if err != nil {
			t.failed.Store(true)
		} else if !t.marked {
			g.file.refs.Add(1)
			t.file <- g.file
		}
		if t.marked {
			close(t.chunks)
		} else {
			close(t.file)
		}
		if err != nil {
			g.e.mu.Lock()
			g.e.dropLocked(r)
			g.e.mu.Unlock()
		}
	}
}
