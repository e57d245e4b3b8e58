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
	if o.Save == admin.SaveNever || o.Save == admin.SaveIfConfigured && len(v.Save) == 0 {
		return nil
	}
	if n.loading() {
		return nil // what is on disk is more than what is in memory
	}
	n.log.Notice("Saving the final RDB snapshot before exiting.")
	// A replica applies and acknowledges nothing behind what it saves.
	thaw := n.repl.Freeze()
	err := n.lastSave()
	if err == nil {
		err = leaveCleanMark(v)
	}
	if err != nil {
		thaw()
	}
	return err
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

// The clean mark is a file beside the RDB file that names it as it was written at an orderly
// end. It is taken away before the node serves again, so it proves that the RDB file holds
// everything this node ever acknowledged.
func cleanMark(v *Values) string { return v.Path(v.DBFilename) + ".complete" }

func fileStamp(v *Values) (string, error) {
	st, err := os.Stat(v.Path(v.DBFilename))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d %d\n", st.Size(), st.ModTime().UnixNano()), nil
}

func leaveCleanMark(v *Values) error {
	stamp, err := fileStamp(v)
	if err != nil {
		return err
	}
	if err := os.WriteFile(cleanMark(v), []byte(stamp), 0o644); err != nil {
		return fmt.Errorf("writing the mark of an orderly end: %w", err)
	}
	return syncDir(v.Dir)
}

// hasCleanMark reports whether the last end was orderly.
func hasCleanMark(v *Values) bool {
	mark, err := os.ReadFile(cleanMark(v))
	if err != nil {
		return false
	}
	stamp, err := fileStamp(v)
	return err == nil && stamp == string(mark)
}

// dropCleanMark takes the mark away before anything is acknowledged that the file does not
// hold. An attempt to start that fails before leaves it.
func dropCleanMark(v *Values) error {
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

func syncDir(dir string) error {
	d, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
