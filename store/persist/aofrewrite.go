package persist

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/aof"
	"github.com/sextantdb/sextant/store/rdb"
	"github.com/sextantdb/sextant/store/snapshot"
	"github.com/sextantdb/sextant/store/value"
)

// rewrite is one rewrite under way.
type rewrite struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	began  time.Time
	done   chan struct{} // closed at the end

	snap       *snapshot.Snapshot // guarded by AOF.mu; nil before the cut
	again      bool               // guarded by AOF.mu: another one is to begin when this one has ended
	committing bool               // guarded by AOF.mu: it can no longer be stopped
	sess       *session           // guarded by AOF.mu: whose commands come behind the new base; nil: none are written
}

// rewriteLimit puts rewrites that begin by themselves off after several have failed in a row.
type rewriteLimit struct {
	minutes int64 // the present delay
	until   int64 // Unix seconds
}

const (
	limitAfter       = 3
	mostLimitMinutes = 60
)

// holds reports whether a rewrite must wait; tell is then the number of minutes to be logged once.
func (l *rewriteLimit) holds(flaws int, now int64) (held bool, tell int64) {
	if flaws < limitAfter {
		*l = rewriteLimit{}
		return false, 0
	}
	if l.until != 0 {
		if now < l.until {
			return true, 0
		}
		l.until = 0
		return false, 0
	}
	l.minutes = min(max(1, 2*l.minutes), mostLimitMinutes)
	l.until = now + l.minutes*60
	return true, l.minutes
}

// growth is by how many per cent size is above base, as Redis computes it.
func growth(size, base int64) int64 { return size*100/max(base, 1) - 100 }

// Rewrite is BGREWRITEAOF. With later, or while another snapshot is being read, it is done as soon as
// possible and scheduled is true. It does not wait and takes no stripe.
func (a *AOF) Rewrite(later bool) (scheduled bool, err error) {
	_, busy := a.o.Source.Busy()
	a.mu.Lock()
	defer a.mu.Unlock()
	if j := a.job; j != nil {
		if context.Cause(j.ctx) == nil {
			return false, ErrAOFInProgress
		}
		j.again = true // it was stopped, and takes a moment to end
		return false, nil
	}
	if a.scheduled = true; later || busy {
		a.o.Listener(AOFScheduled{})
		return true, nil
	}
	a.startLocked()
	return false, nil
}

// Rewriting reports whether a rewrite runs, from when it was asked for.
func (a *AOF) Rewriting() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.job != nil
}

// tryScheduled begins what is scheduled, if nothing is in the way.
func (a *AOF) tryScheduled() {
	_, busy := a.o.Source.Busy()
	now := a.o.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.scheduled && a.job == nil && !busy && !now.Before(a.retryAt) {
		a.startLocked()
	}
}

// Cron begins a rewrite that was asked for, or that the growth of the file asks for. The caller calls it some
// times a second, but not while the data is being loaded. It takes no stripe.
func (a *AOF) Cron() {
	a.tryScheduled()
	st := a.o.Settings()
	size := a.size.Load()
	if st.RewritePercentage == 0 || size <= st.RewriteMinSize {
		return
	}
	if _, busy := a.o.Source.Busy(); busy {
		return
	}
	now := a.o.Now().Unix()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.state != AOFOn || a.job != nil || growth(size, a.baseSize) < st.RewritePercentage {
		return
	}
	held, tell := a.limit.holds(a.flaws, now)
	if tell > 0 {
		a.o.Listener(AOFRewriteLimited{Minutes: tell})
	}
	if held {
		return
	}
	a.o.Listener(AOFGrown{Percent: growth(size, a.baseSize)})
	a.startLocked()
}

// startLocked begins a rewrite; after Close it does nothing. REQUIRES: mu, no job.
func (a *AOF) startLocked() {
	if a.closed {
		return
	}
	j := &rewrite{began: a.o.Now(), done: make(chan struct{})}
	j.ctx, j.cancel = context.WithCancelCause(context.Background())
	a.job, a.scheduled = j, false
	before := a.ended
	go func() {
		<-before // of the files it may still write
		a.finish(j, a.perform(j))
	}()
}

// errBusy: another snapshot came first.
var errBusy = errors.New("another snapshot is being read")

// perform does a rewrite from its cut to the new manifest.
func (a *AOF) perform(j *rewrite) error {
	st := a.o.Settings()
	next, err := a.nextLog()
	if err != nil {
		return err
	}
	a.o.Listener(AOFRewriteStarted{PID: a.o.PID})
	snap, o, err := a.cut(j, st, next)
	if err != nil {
		if next != nil {
			_ = next.Close()
		}
		return err
	}
	temp := fmt.Sprintf("temp-rewriteaof-bg-%d.aof", a.o.PID)
	// The cut, and what happens under a.mu, is not for a thread of low priority: event loops would wait for it.
	written := snapshot.Go(true, func() error { return a.writeBase(j.ctx, st, temp, snap, o) })
	if err := <-written; err != nil {
		return err
	}
	a.o.Listener(AOFBaseWritten{Name: temp})

	a.mu.Lock()
	if err := context.Cause(j.ctx); err != nil {
		a.mu.Unlock()
		_ = a.o.FS.Remove(a.dir.Path(temp))
		return err
	}
	j.committing = true
	initial := a.state == AOFWaiting
	a.mu.Unlock()

	a.dirMu.Lock()
	defer a.dirMu.Unlock()
	keep := int64(0)
	if next != nil {
		keep = next.File.Seq
	}
	base, incr, err := a.dir.CommitBase(temp, st.RDBPreamble, keep, initial && next != nil)
	if err != nil {
		_ = a.o.FS.Remove(a.dir.Path(temp))
		return err
	}
	a.o.Listener(AOFRewriteDone{})
	a.o.Listener(AOFRenamed{What: "base", From: temp, To: base.Name})
	if initial && next != nil {
		a.o.Listener(AOFRenamed{What: "incr", From: a.dir.TempIncr(), To: incr.Name})
	}
	_, all := a.dir.Sizes()
	a.mu.Lock()
	total := int64(0)
	if s := j.sess; s != nil && a.sess == s {
		if s.turn != nil {
			s.turn.based = true
		}
		if initial {
			a.state = AOFOn
			at := s.synced.Load()
			a.durable.Store(at.pos)
			total = at.total
		}
	}
	a.size.Store(all)
	a.baseSize = all
	a.mu.Unlock()
	a.Commit() // the writer may have waited for a disk that works
	if total > 0 {
		a.o.Synced(total)
		a.o.whole(true)
	}
	if !a.o.Settings().KeepHistory {
		a.dropHistory()
	}
	a.o.Listener(AOFRewriteFinished{})
	return nil
}

// nextLog makes the file for what comes behind the cut, nil when no commands are written.
func (a *AOF) nextLog() (*aof.Log, error) {
	a.mu.Lock()
	state := a.state
	a.mu.Unlock()
	a.dirMu.Lock()
	defer a.dirMu.Unlock()
	if err := a.dir.Make(); err != nil {
		return nil, err
	}
	switch state {
	case AOFOn:
		log, err := a.dir.NewIncr()
		if err == nil {
			a.o.Listener(AOFIncrCreated{Name: log.File.Name, When: "on background rewrite"})
		}
		return log, err
	case AOFWaiting:
		return a.dir.NewTempIncr()
	}
	return nil, nil
}

// cut makes the snapshot, and in the same instant lets the commands that follow go to next.
func (a *AOF) cut(j *rewrite, st AOFSettings, next *aof.Log) (*snapshot.Snapshot, StreamOptions, error) {
	o := StreamOptions{
		Info:     rdb.Info{CreatedUnix: j.began.Unix(), AOFBase: true},
		Compress: st.Compress, Checksum: st.Checksum, Policy: st.Policy, Pace: st.Pace,
	}
	if a.o.UsedMemory != nil {
		o.Info.UsedMemory = a.o.UsedMemory()
	}
	var refused error
	release := a.o.Quiesce()
	snap, err := a.o.Source.Begin(snapshot.ForRewrite, a.o.Now().UnixMilli(),
		snapshot.Options{MaxPreImageBytes: st.MaxPreImageBytes, Lockstep: Lockstep()}, func(*store.Txn) {
			if a.o.Libraries != nil {
				o.Libraries = a.o.Libraries()
			}
			a.mu.Lock()
			defer a.mu.Unlock()
			if refused = context.Cause(j.ctx); refused != nil || next == nil {
				return
			}
			switch {
			case a.state == AOFOn && a.sess != nil && next.File.Seq != 0:
				total, db := a.o.Mark()
				a.sess.turn = &turn{total: total, log: next, db: db}
			case a.state == AOFWaiting && a.sess == nil && next.File.Seq == 0:
				tap, db := a.o.Tap()
				a.begin(tap, db, next)
			default:
				refused = errAOFOff // the state changed since the file was made
				return
			}
			j.sess = a.sess
		})
	release()
	if err != nil {
		var busy *snapshot.BusyError
		if errors.As(err, &busy) {
			err = errBusy
		}
		return nil, o, err
	}
	a.mu.Lock()
	j.snap = snap
	a.mu.Unlock()
	if refused != nil {
		snap.Drop(refused)
		return nil, o, refused
	}
	return snap, o, nil
}

// writeBase writes the snapshot to the file temp, which is complete and durable when it succeeds, and gone when
// it fails.
func (a *AOF) writeBase(ctx context.Context, st AOFSettings, temp string, snap *snapshot.Snapshot, o StreamOptions) error {
	return snap.Read(ctx, true, func(in *snapshot.Stream) error {
		path := a.dir.Path(temp)
		file, err := a.o.FS.Create(path)
		if err != nil {
			return fmt.Errorf("Opening the temp file for AOF rewrite in rewriteAppendOnlyFile(): %w", err)
		}
		out := &pacedWriter{file: file, off: !st.IncrementalSync}
		if st.RDBPreamble {
			_, err = WriteStream(ctx, out, snap, in, o)
		} else {
			ts := int64(0)
			if st.Timestamps {
				ts = a.o.Now().Unix()
			}
			err = writeCommands(ctx, out, in, o, ts)
		}
		if err == nil {
			err = file.Sync()
		}
		if closeErr := file.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			_ = a.o.FS.Remove(path)
			return fmt.Errorf("Write error writing append only file on disk: %w", err)
		}
		return nil
	})
}

// firstBase makes the base of what is in the store. REQUIRES: dirMu; nobody changes the store.
func (a *AOF) firstBase(ctx context.Context, st AOFSettings) error {
	j := &rewrite{ctx: ctx, began: a.o.Now()}
	snap, o, err := a.cut(j, st, nil)
	if err != nil {
		return err
	}
	o.Pace = Pace{}
	temp := fmt.Sprintf("temp-rewriteaof-%d.aof", a.o.PID)
	if err := a.writeBase(ctx, st, temp, snap, o); err != nil {
		return err
	}
	base, err := a.dir.FirstBase(temp, st.RDBPreamble)
	if err != nil {
		return err
	}
	a.o.Listener(AOFBaseCreated{Name: base.Name})
	return nil
}

// finish records how a rewrite ended.
func (a *AOF) finish(j *rewrite, err error) {
	now := a.o.Now()
	cancelled := err != nil && context.Cause(j.ctx) != nil
	busy := errors.Is(err, errBusy) || errors.Is(err, errAOFOff) && !cancelled
	a.mu.Lock()
	initial := a.state == AOFWaiting
	var temp *session // collected commands for a base that did not come about
	if err != nil && j.sess != nil && a.sess == j.sess && initial {
		temp, a.sess, a.ended = a.sess, nil, j.sess.done
	}
	switch {
	case err == nil:
		a.stats.failed, a.flaws = false, 0
		a.stats.rewrites++
	case busy:
		a.scheduled = true
	case cancelled:
	default:
		a.stats.failed = true
		a.flaws++
	}
	if !busy {
		a.stats.took = now.Unix() - j.began.Unix()
	}
	if j.snap != nil {
		a.stats.peak = j.snap.Progress().PreImageBytesPeak
	}
	if err != nil && initial {
		a.scheduled = true
		if !busy {
			a.retryAt = now.Add(retryAfter)
		}
	}
	off := a.state == AOFOff
	a.mu.Unlock()
	if temp != nil {
		temp.end()
		<-temp.done
	}
	if err != nil && !busy {
		if cancelled {
			a.o.Listener(AOFRewriteCancelled{Reason: context.Cause(j.ctx)})
		} else {
			a.o.Listener(AOFProblem{Err: err})
			a.o.Listener(AOFRewriteFailed{})
		}
		if temp != nil || off && j.sess != nil {
			if off {
				<-j.sess.done
			}
			a.dirMu.Lock()
			a.o.Listener(AOFTempRemoved{Name: a.dir.TempIncr()})
			a.dir.DropTempIncr()
			a.dirMu.Unlock()
		}
	}
	j.cancel(nil)
	a.mu.Lock()
	if a.job = nil; j.again {
		a.startLocked()
	}
	a.mu.Unlock()
	close(j.done)
}

// CancelRewrite stops a rewrite that runs: its snapshot would be in the way. It does not wait.
func (a *AOF) CancelRewrite(why error) {
	a.mu.Lock()
	if j := a.job; j != nil && !j.committing {
		j.cancel(why)
	}
	a.mu.Unlock()
}

// Reschedule makes a new base as soon as possible: the data was changed past the stream.
func (a *AOF) Reschedule() {
	a.mu.Lock()
	if a.state != AOFOff {
		a.scheduled = true
	}
	a.mu.Unlock()
}

// commandWriter writes entries as commands.
type commandWriter struct {
	out *bufio.Writer
	num [20]byte
	db  int
	buf []byte
}

func (w *commandWriter) head(words int) {
	_ = w.out.WriteByte('*') // bufio keeps the first error for Flush
	_, _ = w.out.Write(strconv.AppendInt(w.num[:0], int64(words), 10))
	_, _ = w.out.WriteString("\r\n")
}

func (w *commandWriter) word(b []byte) {
	_ = w.out.WriteByte('$')
	_, _ = w.out.Write(strconv.AppendInt(w.num[:0], int64(len(b)), 10))
	_, _ = w.out.WriteString("\r\n")
	_, _ = w.out.Write(b)
	_, _ = w.out.WriteString("\r\n")
}

func (w *commandWriter) command(words ...string) {
	w.head(len(words))
	for _, s := range words {
		w.word([]byte(s))
	}
}

// writeCommands writes everything in as commands (aof-use-rdb-preamble no): strings as SET, everything else
// as RESTORE of its DUMP payload, which keeps every type and encoding exact, in one command that is never torn.
func writeCommands(ctx context.Context, dst io.Writer, in *snapshot.Stream, o StreamOptions, ts int64) error {
	w := &commandWriter{out: bufio.NewWriterSize(dst, 256<<10), db: -1}
	if ts != 0 {
		fmt.Fprintf(w.out, "#TS:%d\r\n", ts)
	}
	for _, code := range o.Libraries {
		w.head(4)
		w.word([]byte("FUNCTION"))
		w.word([]byte("LOAD"))
		w.word([]byte("REPLACE"))
		w.word(code)
	}
	for {
		batch, err := in.Next(ctx)
		if errors.Is(err, io.EOF) {
			return w.out.Flush()
		}
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return &SnapshotError{err}
		}
		for img := range batch.All() {
			w.entry(img, o)
			if err := o.Pace.Wait(ctx); err != nil {
				return err
			}
		}
		if _, err := w.out.Write(nil); err != nil {
			return err
		}
	}
}

func (w *commandWriter) entry(img *store.Image, o StreamOptions) {
	if img.DB != w.db {
		w.db = img.DB
		w.command("SELECT", strconv.Itoa(img.DB))
	}
	v := rdb.Value{Type: img.Type, Encoding: img.Encoding, Payload: img.Payload, Object: img.Object}
	expires := img.ExpireAt != store.NoExpire
	if v.IsString() && v.Object == nil {
		n := 3
		if expires {
			n = 5
		}
		w.head(n)
		w.word([]byte("SET"))
		w.word(img.Key)
		if img.Encoding == value.Int {
			w.word(strconv.AppendInt(nil, int64(binary.LittleEndian.Uint64(img.Payload)), 10))
		} else {
			w.word(img.Payload)
		}
		if expires {
			w.word([]byte("PXAT"))
			w.word(strconv.AppendInt(nil, max(img.ExpireAt, 1), 10))
		}
		return
	}
	at := int64(0)
	if expires {
		at = max(img.ExpireAt, 1)
	}
	w.buf = rdb.AppendPayload(w.buf[:0], &v, rdb.WriterOptions{Compress: o.Compress})
	w.head(5)
	w.word([]byte("RESTORE"))
	w.word(img.Key)
	w.word(strconv.AppendInt(nil, at, 10))
	w.word(w.buf)
	w.word([]byte("ABSTTL"))
}
