package node

import (
	"context"
	"errors"
	"math"
	"os"
	"strconv"
	"time"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command/admin"
	"github.com/sextantdb/sextant/resp/dispatch"
	"github.com/sextantdb/sextant/resp/session"
	"github.com/sextantdb/sextant/store/persist"
	"github.com/sextantdb/sextant/store/stat"
)

// The append only file. persist.AOF writes and loads it; here it is given the stream, the commands and
// the clients that wait.

// aofSettings is what the append only file asks for at every write.
func (n *Node) aofSettings(v *Values) persist.AOFSettings { return *n.aofNow.from(v, n.aofSettingsOf) }

func (n *Node) aofSettingsOf(v *Values) persist.AOFSettings {
	return persist.AOFSettings{
		Dir: v.Dir, DirName: v.AppendDirname, Filename: v.AppendFilename, Fsync: fsyncPolicies[v.AppendFsync],
		NoFsyncOnRewrite: v.NoAppendfsyncOnRewrite, RewritePercentage: v.AutoAOFRewritePercentage, RewriteMinSize: v.AutoAOFRewriteMinSize,
		LoadTruncated: v.AOFLoadTruncated, RDBPreamble: v.AOFUseRDBPreamble, IncrementalSync: v.AOFRewriteIncrementalFsync,
		Timestamps: v.AOFTimestampEnabled, KeepHistory: v.AOFDisableAutoGC,
		Compress: v.RDBCompression, Checksum: v.RDBChecksum, Policy: v.MaxMemoryPolicy, Pace: n.savePace(),
		MaxPreImageBytes: preImageBound(v),
	}
}

var fsyncPolicies = map[AppendFsync]persist.FsyncPolicy{
	FsyncAlways: persist.FsyncAlways, FsyncEverySecond: persist.FsyncEverySec, FsyncNo: persist.FsyncNo,
}

// buildAOF reads the manifest. Nothing is written before startAOF.
func (n *Node) buildAOF() {
	n.aof = persist.NewAOF(persist.AOFOptions{
		Store: n.store, Source: n.source, FS: n.cfg.Disk, Now: time.Now, PID: os.Getpid(), Listener: n.persistEvent,
		Settings:   func() persist.AOFSettings { return n.aofSettings(n.cfg.Now()) },
		Tap:        func() (persist.Tap, int) { return n.repl.Tap() },
		Mark:       func() (int64, int) { return n.repl.Mark() },
		Quiesce:    func() func() { return n.repl.Quiesce() },
		Libraries:  func() [][]byte { return n.libraries.all() },
		UsedMemory: func() int64 { return n.memoryNow().used },
		Total:      func() int64 { return n.repl.Stream.Total() },
		Synced: func(total int64) {
			n.srv.Release(total)
			n.repl.AOFSynced()
		},
		Trouble: n.aofTrouble,
		Slow: func(event string, took time.Duration) {
			observer{n}.Worked(event, took.Nanoseconds())
		},
		Whole: func(whole bool) {
			if whole {
				n.markAlways()
			} else if err := removeMark(n.cfg.Now()); err != nil {
				n.log.Warning("%v", err)
			}
		},
		Fatal:  func(error) { n.finish(1) },
		Saving: func() bool { return n.saver.Info().BgsaveInProgress },
	})
}

// aofTrouble: clients' writes are refused while the file cannot be written, or let in again. A primary's cannot be
// refused: a replica that must keep them ends, as in Redis, unless it is told not to mind.
func (n *Node) aofTrouble() {
	n.refreshGates()
	if n.aof.Failed() == nil || !n.repl.IsReplica() {
		return
	}
	if n.cfg.Now().ReplicaIgnoreDiskWriteErrors {
		n.log.Warning("Replica is applying a command even though it is unable to write to disk.")
		return
	}
	n.log.Warning("Replica was unable to write command to disk.")
	n.finish(1)
}

// loadAOF loads the append only file. The error is persist.ErrNoAOF when there is none.
func (n *Node) loadAOF(ctx context.Context) error {
	v := n.cfg.Now()
	var libs collector
	applier := n.disp.NewApplier(session.InReplay)
	_, err := n.aof.Load(ctx, n.loader, persist.AOFLoad{
		Apply: applier.Apply, Reset: applier.Reset,
		Known:  func(name []byte) bool { return n.table.Get(string(name)) != nil },
		Loaded: func() error { return n.libraries.replace(libs.code) },
		Base: persist.LoadOptions{
			SkipChecksum: !v.RDBChecksum || n.noChecksum.Load(), Policy: v.MaxMemoryPolicy,
			Pace: n.loadPace(), Library: libs.add, Limits: limitsOf(v),
		},
	})
	if err != nil {
		return err
	}
	n.saver.MarkClean()
	return nil
}

// startAOF begins to write it, behind what was loaded.
func (n *Node) startAOF(v *Values) error {
	if !v.AppendOnly {
		return nil
	}
	if err := n.aof.Open(n.loadCtx); err != nil {
		return err
	}
	n.commitFollows(v)
	return nil
}

// switchAOF is CONFIG SET appendonly.
func (n *Node) switchAOF(v *Values) error {
	if err := n.fsyncChanged(v); err != nil {
		return err
	}
	if v.AppendOnly {
		n.aof.Enable()
	} else {
		n.aof.Disable()
	}
	return nil
}

// fsyncChanged is CONFIG SET appendfsync.
func (n *Node) fsyncChanged(v *Values) error {
	if !v.AppendOnly || v.AppendFsync != FsyncAlways {
		// Before anything is acknowledged that the mark would vouch for.
		if err := n.dropCleanMark(v); err != nil {
			return err
		}
	}
	n.commitFollows(v)
	n.goes(func() { n.markAlways() })
	return nil
}

// commitFollows makes replies wait as appendonly and appendfsync say.
func (n *Node) commitFollows(v *Values) {
	if !v.AppendOnly {
		n.disp.SetCommit(nil)
		return
	}
	n.disp.SetCommit(commit{n: n, always: v.AppendFsync == FsyncAlways})
	if v.AppendFsync != FsyncAlways {
		n.srv.Release(n.repl.Stream.Total()) // nobody need wait for what happened under always
	}
	n.aof.Commit() // the writer looks at the policy again
}

// commit is dispatch's: under appendfsync always a reply leaves when all that happened before it is on disk.
type commit struct {
	n      *Node
	always bool
}

func (c commit) Need() int64 {
	if c.always {
		return c.n.repl.Stream.Total()
	}
	return math.MinInt64
}

// RoundEnded lets one write, or sync, serve all clients of the round. A loop whose clients are too far ahead of the
// file waits, as it would in a write of its own.
func (c commit) RoundEnded() (again bool) {
	a := c.n.aof
	if a.Lag() > 0 {
		if c.always {
			again = a.SyncNow()
		} else {
			a.WriteNow()
		}
	}
	for a.Lag() > persist.MaxAOFLag && a.Failed() == nil && !c.n.stopping.Load() {
		a.Commit()
		time.Sleep(time.Millisecond)
	}
	return again
}

func (s saver) RewriteAOF(later bool) (bool, resp.Error) {
	scheduled, err := s.n.aof.Rewrite(later)
	if err != nil {
		return false, admin.ErrRewriteInProgress
	}
	return scheduled, ""
}

func (s saver) LoadAOF(done func(resp.Error)) {
	s.n.goes(func() { done(s.n.reloadAOF()) })
}

// reloadAOF is DEBUG LOADAOF. The node ends when the file cannot be loaded, as Redis does: there is nothing to
// go on with.
func (n *Node) reloadAOF() resp.Error {
	thaw := n.repl.Freeze()
	defer thaw()
	n.setLoading(&n.loadingNow, true)
	defer n.setLoading(&n.loadingNow, false)
	n.disp.Fence(nowMs())
	err := n.aof.Flush(false)
	if err == nil {
		n.empty()
		err = n.loadAOF(context.Background())
	}
	if err != nil && !errors.Is(err, persist.ErrNoAOF) {
		n.log.Warning("%v", err)
		n.finish(1)
		return resp.Errorf("ERR Error trying to load the AOF files, check server logs: %v", err)
	}
	return ""
}

func (d debugger) SetAOFFlushSleep(t time.Duration) { d.n.aof.SetFlushSleep(t) }

func (n *Node) infoAOF(s *stat.Section) {
	gauge := func(name, help string, f func(persist.AOFInfo) int64) {
		s.Int(name, help, stat.Gauge, func() int64 { return f(n.aof.Info()) })
	}
	status := func(name string, ok func(persist.AOFInfo) bool) {
		s.Text(name, "", func() string {
			if ok(n.aof.Info()) {
				return "ok"
			}
			return "err"
		})
	}
	gauge("aof_enabled", "the append only file is on", func(i persist.AOFInfo) int64 { return flagInt(i.Enabled) })
	gauge("aof_rewrite_in_progress", "", func(i persist.AOFInfo) int64 { return flagInt(i.RewriteInProgress) })
	gauge("aof_rewrite_scheduled", "a rewrite waits for another snapshot", func(i persist.AOFInfo) int64 { return flagInt(i.RewriteScheduled) })
	gauge("aof_last_rewrite_time_sec", "", func(i persist.AOFInfo) int64 { return i.LastRewriteSeconds })
	gauge("aof_current_rewrite_time_sec", "", func(i persist.AOFInfo) int64 { return i.CurrentRewriteSeconds })
	status("aof_last_bgrewrite_status", func(i persist.AOFInfo) bool { return i.LastRewriteOK })
	s.Int("aof_rewrites", "rewrites of the append only file", stat.Count, func() int64 { return n.aof.Info().Rewrites })
	gauge("aof_rewrites_consecutive_failures", "", func(i persist.AOFInfo) int64 { return i.RewriteFailures })
	status("aof_last_write_status", func(i persist.AOFInfo) bool { return i.LastWriteOK })
	gauge("aof_last_cow_size", "most bytes of old images in the last rewrite", func(i persist.AOFInfo) int64 { return i.LastPeakBytes })
	s.OnReset(n.aof.ResetStats)
}

// aofSizes are the fields INFO has while the append only file is on.
func (n *Node) aofSizes(emit func(name, value string)) {
	i := n.aof.Info()
	if !i.Enabled {
		return
	}
	num := func(name string, v int64) { emit(name, strconv.FormatInt(v, 10)) }
	num("aof_current_size", i.CurrentSize)
	num("aof_base_size", i.BaseSize)
	num("aof_pending_rewrite", flagInt(i.RewriteScheduled))
	num("aof_buffer_length", i.LagBytes)
	num("aof_pending_bio_fsync", i.PendingSync)
	num("aof_delayed_fsync", i.DelayedSyncs)
}

var _ dispatch.Commit = commit{}
