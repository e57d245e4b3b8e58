package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command/admin"
	"github.com/sextantdb/sextant/resp/dispatch"
	"github.com/sextantdb/sextant/store/persist"
)

// shutdown is the end of the node as the server family sees it.
type shutdown struct{ n *Node }

var (
	errShutdownAborted = errors.New("Shutdown manually aborted.")
	errEnding          = errors.New("the node is ending")
	errInitialAOF      = errors.New("Writing initial AOF, can't exit.")
)

// ending is an orderly end under way.
type ending struct {
	deadlineMs atomic.Int64 // Unix time until which replicas are waited for; 0: none are

	mu      sync.Mutex
	abort   context.CancelFunc // guarded by mu, like all here; nil: none is under way
	waiting bool               // it waits for replicas, so it can still be aborted
	failed  []func(resp.Error) // told when it does not come to the end
}

func (s shutdown) Begin(o admin.ShutdownOptions, failed func(resp.Error)) {
	if o.Save == admin.SaveNever {
		s.n.disp.DropScripts()
	}
	s.n.beginShutdown("User requested shutdown...", o, failed)
}

func (s shutdown) Abort() bool {
	e := &s.n.ending
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.abort == nil || !e.waiting {
		return false
	}
	e.abort()
	return true
}

// underWay reports whether an orderly end has begun.
func (e *ending) underWay() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.abort != nil
}

// decided says that the end is not waited with any more. It reports false when it was aborted.
func (e *ending) decided(ctx context.Context) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.waiting = false
	return ctx.Err() == nil
}

// beginShutdown starts the orderly end on a goroutine of its own. failed is told when it did not
// come to that. Who asks while one is under way waits for the same.
func (n *Node) beginShutdown(why string, o admin.ShutdownOptions, failed func(resp.Error)) {
	e := &n.ending
	e.mu.Lock()
	e.failed = append(e.failed, failed)
	if e.abort != nil {
		e.mu.Unlock()
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	e.abort, e.waiting = cancel, true
	e.mu.Unlock()
	n.log.Notice("%s", why)
	go func() {
		defer cancel()
		err := n.shutDown(ctx, o)
		if err == nil {
			n.finish(0)
			return
		}
		n.log.Warning("%v", err)
		if !errors.Is(err, errShutdownAborted) {
			n.log.Warning("Errors trying to shut down the server. Check the logs for more information.")
		}
		n.stopping.Store(false)
		n.disp.HoldWrites(dispatch.HoldShutdown, false, nowMs())
		e.mu.Lock()
		told := e.failed
		e.abort, e.failed = nil, nil
		e.mu.Unlock()
		for _, failed := range told {
			failed(resp.ErrShutdown)
		}
	}()
}

// shutDown waits for the replicas and saves. While it works no write is accepted, so that
// what is on disk and at the replicas at the end is everything.
func (n *Node) shutDown(ctx context.Context, o admin.ShutdownOptions) error {
	for n.cronPaused.Load() { // DEBUG PAUSE-CRON: a shutdown is periodic work too
		select {
		case <-ctx.Done():
			return errShutdownAborted
		case <-time.After(10 * time.Millisecond):
		}
	}
	n.stopping.Store(true)
	n.disp.HoldWrites(dispatch.HoldShutdown, true, nowMs())
	if limit := time.Duration(n.cfg.Now().ShutdownTimeout) * time.Second; !o.Now && limit > 0 {
		n.awaitReplicas(ctx, limit)
	}
	if !n.ending.decided(ctx) {
		return errShutdownAborted
	}
	if err := n.saveAtEnd(o); err != nil {
		if !o.Force {
			return fmt.Errorf("Error trying to save the DB, can't exit: %w", err)
		}
		n.log.Warning("Error trying to save the DB, but shutdown is forced: %v", err)
	}
	return nil
}

// awaitReplicas waits until every replica has acknowledged the whole stream, at most for limit.
func (n *Node) awaitReplicas(ctx context.Context, limit time.Duration) {
	if n.repl.Behind() == 0 || n.repl.IsReplica() {
		return
	}
	n.log.Notice("Waiting for replicas before shutting down.")
	n.ending.deadlineMs.Store(nowMs() + limit.Milliseconds())
	defer n.ending.deadlineMs.Store(0)
	defer func() {
		if ctx.Err() == nil {
			n.repl.TellLagging()
		}
	}()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-deadline.C:
			return
		case <-tick.C:
			if n.repl.Behind() == 0 {
				return
			}
		}
	}
}

// saveAtEnd saves as SHUTDOWN's words say, and leaves the mark that proves the file complete.
func (n *Node) saveAtEnd(o admin.ShutdownOptions) error {
	v := n.cfg.Now()
	save := o.Save != admin.SaveNever && (o.Save != admin.SaveIfConfigured || len(v.Save) > 0)
	if !save && !v.AppendOnly {
		return nil
	}
	if n.loading() {
		return nil // what is on disk is more than what is in memory
	}
	// A replica applies and acknowledges nothing behind what it saves.
	thaw := n.repl.Freeze()
	err := n.endAOF(v, o)
	if err == nil && save {
		n.log.Notice("Saving the final RDB snapshot before exiting.")
		err = n.lastSave()
	}
	if err == nil && o.Save != admin.SaveNever {
		err = n.leaveCleanMark(v)
	}
	if err != nil {
		thaw()
	}
	return err
}

// endAOF makes the append only file durable for good. One whose first base is not complete proves
// nothing, so that the end is refused unless it is forced.
func (n *Node) endAOF(v *Values, o admin.ShutdownOptions) error {
	if !v.AppendOnly {
		return nil
	}
	if n.aof.Waiting() {
		if !o.Force {
			return errInitialAOF
		}
		n.log.Warning("Writing initial AOF. Exiting anyway.")
	}
	n.log.Notice("Calling fsync() on the AOF file.")
	n.aof.CancelRewrite(errEnding)
	if err := n.aof.Flush(true); err != nil {
		n.log.Warning("Fail to fsync the AOF file: %v.", reason(err))
		return fmt.Errorf("the AOF file: %w", err)
	}
	return nil
}

// lastSave saves whatever other snapshot is being read: that one is in vain now.
func (n *Node) lastSave() error {
	for {
		n.saver.Cancel()
		err := n.saver.Save(context.Background())
		if !errors.Is(err, persist.ErrInProgress) {
			return err
		}
		if other := n.source.Current(); other != nil {
			other.Abort(errEnding)
		}
		<-n.source.Idle()
	}
}

// finish ends the node with an exit code; the first one counts. A load under way is given up.
func (n *Node) finish(code int) {
	n.endLoad(errEnding)
	select {
	case n.over <- code:
	default:
	}
}

// The clean mark is a file that names what is on disk as it was written at an orderly end: the RDB file,
// or with appendonly the append only files. It is taken away before the node serves again, so it proves that they
// hold everything this node ever acknowledged. Under appendfsync always the append only file proves that by itself, as
// long as the mark says so: it is there from when the first acknowledgement under that rule could
// be given until the rule ends.
func cleanMark(v *Values) string { return v.Path(v.DBFilename) + ".complete" }

const alwaysMark = "always\n"

func (n *Node) fileStamp(v *Values) (string, error) {
	if v.AppendOnly {
		return n.aof.Stamp(), nil
	}
	st, err := os.Stat(v.Path(v.DBFilename))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d %d\n", st.Size(), st.ModTime().UnixNano()), nil
}

func (n *Node) leaveCleanMark(v *Values) error {
	stamp, err := n.fileStamp(v)
	if err != nil {
		return err
	}
	return writeMark(v, stamp)
}

// writeMark is atomic: a mark that is torn names nothing.
func writeMark(v *Values, stamp string) error {
	if err := os.WriteFile(cleanMark(v), []byte(stamp), 0o644); err != nil {
		return fmt.Errorf("writing the mark of an orderly end: %w", err)
	}
	return syncDir(v.Dir)
}

// hasCleanMark reports whether what is on disk is complete.
func (n *Node) hasCleanMark(v *Values) bool {
	mark, err := os.ReadFile(cleanMark(v))
	if err != nil || len(mark) == 0 {
		return false
	}
	if string(mark) == alwaysMark {
		return v.AppendOnly && n.aof.Present()
	}
	stamp, err := n.fileStamp(v)
	return err == nil && stamp == string(mark)
}

// dropCleanMark takes the mark away before anything is acknowledged that the files do not
// hold, or, under appendfsync always, says that they will. An attempt to start that fails before leaves it.
func (n *Node) dropCleanMark(v *Values) error {
	if v.AppendOnly && v.AppendFsync == FsyncAlways {
		return writeMark(v, alwaysMark)
	}
	return removeMark(v)
}

func removeMark(v *Values) error {
	err := os.Remove(cleanMark(v))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = syncDir(v.Dir)
	}
	if err != nil {
		return fmt.Errorf("taking away the mark of an orderly end, which would be found again after a crash: %w", err)
	}
	return nil
}

// markAlways follows a change of appendfsync or appendonly while the node serves. The mark comes only once
// everything acknowledged before is on disk.
func (n *Node) markAlways() {
	v := n.cfg.Now()
	if !v.AppendOnly || v.AppendFsync != FsyncAlways || n.aof.Waiting() || n.aof.Flush(true) != nil {
		return
	}
	if err := writeMark(v, alwaysMark); err != nil {
		n.log.Warning("%v", err)
	}
}

func syncDir(dir string) error {
	d, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
