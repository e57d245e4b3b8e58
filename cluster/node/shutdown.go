package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command/admin"
	"github.com/sextantdb/sextant/resp/dispatch"
)

// shutdown is the end of the node as the server family sees it.
type shutdown struct{ n *Node }

var errShutdownAborted = errors.New("Shutdown manually aborted.")

func (s shutdown) Begin(o admin.ShutdownOptions, failed func(resp.Error)) {
	s.n.beginShutdown("User requested shutdown...", o, failed)
}

func (s shutdown) Abort() bool {
	n := s.n
	n.shutdownMu.Lock()
	defer n.shutdownMu.Unlock()
	if n.abort == nil {
		return false
	}
	n.abort()
	return true
}

// beginShutdown starts the orderly end on a goroutine of its own. failed is told when it did not
// come to that.
func (n *Node) beginShutdown(why string, o admin.ShutdownOptions, failed func(resp.Error)) {
	n.shutdownMu.Lock()
	if n.abort != nil {
		n.shutdownMu.Unlock()
		failed(resp.ErrShutdown)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	n.abort = cancel
	n.shutdownMu.Unlock()
	n.log.Notice("%s", why)
	go func() {
		err := n.shutDown(ctx, o)
		n.shutdownMu.Lock()
		n.abort = nil
		n.shutdownMu.Unlock()
		cancel()
		if err != nil {
			n.log.Warning("%v", err)
			n.stopping.Store(false)
			n.disp.HoldWrites(dispatch.HoldShutdown, false, nowMs())
			failed(resp.ErrShutdown)
			return
		}
		n.finish(0)
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
		if !n.awaitReplicas(ctx, limit) && ctx.Err() != nil {
			return errShutdownAborted
		}
	}
	if err := n.saveAtEnd(o); err != nil {
		if !o.Force {
			return fmt.Errorf("Error trying to save the DB, can't exit: %w", err)
		}
		n.log.Warning("Error trying to save the DB, but shutdown is forced: %v", err)
	}
	return nil
}

// awaitReplicas waits until every replica has acknowledged the whole stream. false: not in time.
func (n *Node) awaitReplicas(ctx context.Context, limit time.Duration) bool {
	behind := n.repl.Behind()
	if behind == 0 || n.repl.IsReplica() {
		return true
	}
	n.log.Notice("%d replica(s) are not in sync; waiting up to %v for them.", behind, limit)
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-deadline.C:
			n.log.Warning("%d of the replicas are still behind. Exiting all the same.", n.repl.Behind())
			return false
		case <-tick.C:
			if n.repl.Behind() == 0 {
				n.log.Notice("All replicas are in sync.")
				return true
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
	n.saver.Cancel()
	if err := n.saver.Save(context.Background()); err != nil {
		return err
	}
	return leaveCleanMark(v)
}

// finish ends the node with an exit code; the first one counts.
func (n *Node) finish(code int) {
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

// takeCleanMark reports whether the last end was orderly, and takes the mark away.
func takeCleanMark(v *Values) bool {
	mark, err := os.ReadFile(cleanMark(v))
	if err != nil {
		return false
	}
	stamp, err := fileStamp(v)
	if os.Remove(cleanMark(v)) != nil || syncDir(v.Dir) != nil {
		return false // it could be found again after a crash, when it is no longer true
	}
	return err == nil && stamp == string(mark)
}

func syncDir(dir string) error {
	d, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
