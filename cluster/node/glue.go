package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	"github.com/sextantdb/sextant/cluster/repl"
	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/command/admin"
	"github.com/sextantdb/sextant/resp/command/conn"
	"github.com/sextantdb/sextant/resp/command/generic"
	"github.com/sextantdb/sextant/resp/command/str"
	"github.com/sextantdb/sextant/resp/dispatch"
	"github.com/sextantdb/sextant/resp/observe"
	"github.com/sextantdb/sextant/resp/server"
	"github.com/sextantdb/sextant/resp/session"
	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/persist"
	"github.com/sextantdb/sextant/store/rdb"
	"github.com/sextantdb/sextant/store/snapshot"
)

// This file gives the families and mechanisms below what they ask for in their Deps.

func (n *Node) strOptions() str.Options {
	return str.Options{
		MaxBulk:    n.maxBulk,
		LazyExpire: func() bool { return n.cfg.Now().LazyfreeLazyExpire },
	}
}

func (n *Node) genericOptions() generic.Options {
	return generic.Options{
		Cluster:       n.cfg.Now().ClusterEnabled,
		LFU:           func() bool { return n.cfg.Now().MaxMemoryPolicy.LFU() },
		Shared:        func() bool { v := n.cfg.Now(); return v.MaxMemory == 0 || !v.MaxMemoryPolicy.Clocks() },
		Compress:      func() bool { return n.cfg.Now().RDBCompression },
		LazyExpire:    func() bool { return n.cfg.Now().LazyfreeLazyExpire },
		LazyServerDel: func() bool { return n.cfg.Now().LazyfreeLazyServerDel },
		Limits:        n.limits,
		SkipChecksum:  n.noChecksum.Load,
		Refused:       func(why error) { n.log.Warning("RESTORE refused a payload: %v", why) },
	}
}

func (n *Node) connDeps() conn.Deps {
	v := n.cfg.Now()
	return conn.Deps{
		Clients: clients{n}, Tracking: tracker{n}, Users: n.acl, Databases: int(v.Databases), ClusterMode: v.ClusterEnabled,
		Node: conn.Node{Version: redisVersion, Mode: n.mode(), Role: func() string {
			if n.repl.IsReplica() {
				return "replica"
			}
			return "master"
		}},
	}
}

func (n *Node) adminDeps() admin.Deps {
	v := n.cfg.Now()
	return admin.Deps{
		Table: func() *command.Table { return n.table }, Stats: &n.stats, Config: n.cfg, Saver: saver{n},
		Shutdown: shutdown{n}, Debug: debugger{n}, Memory: memories{n}, Slowlog: n.slowlog, Latency: n.latency,
		Monitor:    func(c *command.Ctx) error { return n.disp.Monitor(c) },
		Commands:   func() *observe.Commands { return n.commands },
		NowMicros:  func() int64 { return time.Now().UnixMicro() },
		Loading:    n.filling,
		AllowDebug: v.EnableDebugCommand, AllowModule: v.EnableModuleCommand, ClusterMode: v.ClusterEnabled,
		Version:   redisVersion,
		LazyFlush: func() bool { return n.cfg.Now().LazyfreeLazyUserFlush },
	}
}

// tracker is dispatch's client-side caching; dispatch does not exist yet when the table is built.
type tracker struct{ n *Node }

func (t tracker) Track(c *command.Ctx, prefixes []string) { t.n.disp.Track(c, prefixes) }
func (t tracker) Untrack(c *command.Ctx)                  { t.n.disp.Untrack(c) }
func (t tracker) TrackedPrefixes(c *command.Ctx) []string { return t.n.disp.TrackedPrefixes(c) }

// clients is the registry as the connection family sees it.
type clients struct{ n *Node }

func (k clients) Each(f func(*conn.Info) bool) {
	now := nowMs()
	var links []repl.Conn
	k.n.repl.EachConn(func(c *repl.Conn) { links = append(links, *c) })
	var info conn.Info
	more := true
	linksBelow := func(id int64) {
		for more && len(links) > 0 && links[0].Sess.ID < id {
			fillLink(&info, &links[0], now)
			links, more = links[1:], f(&info)
		}
	}
	k.n.disp.Each(func(s *session.Session, c *server.Conn) bool {
		if linksBelow(s.ID); !more {
			return false
		}
		fill(&info, s, c, now)
		more = f(&info)
		return more
	})
	linksBelow(math.MaxInt64)
}

func (k clients) Get(id int64, info *conn.Info) bool {
	s, c, ok := k.n.disp.Client(id)
	if ok {
		fill(info, s, c, nowMs())
		return true
	}
	k.n.repl.EachConn(func(c *repl.Conn) {
		if c.Sess.ID == id {
			fillLink(info, c, nowMs())
			ok = true
		}
	})
	return ok
}

// fillLink is fill for a replication connection.
func fillLink(info *conn.Info, c *repl.Conn, now int64) {
	*info = conn.Info{
		Sess: c.Sess, Addr: c.Addr, LocalAddr: c.LocalAddr, FD: -1,
		AgeSeconds: (now - c.CreatedMs) / 1000, IdleSeconds: max(0, now-c.LastMs) / 1000,
		QueuedBytes: c.UnsentBytes, TotalBytes: sessionBytes + c.UnsentBytes,
	}
	if c.UnsentBytes > 0 {
		info.QueuedReplies = 1
	}
}

// sessionBytes is what a replica's connection costs beside its buffers.
const sessionBytes = 1024

func fill(info *conn.Info, s *session.Session, c *server.Conn, now int64) {
	b := c.Numbers()
	*info = conn.Info{
		Sess: s, Addr: c.Addr(), LocalAddr: c.LocalAddr(), FD: c.FD(),
		AgeSeconds: (now - c.CreatedMs()) / 1000, IdleSeconds: max(0, now-b.LastMs) / 1000,
		QueryBytes: b.Qbuf, QueryFree: b.QbufFree,
		ReplyBufBytes: b.Obl, OutBytes: b.Obl, QueuedReplies: b.Oll, QueuedBytes: b.Omem,
		TotalBytes: c.Memory(),
		Closing:    s.Has(session.Closing),
	}
	info.Channels, info.Patterns, info.ShardChannels = s.Subscriptions()
}

func (k clients) Kill(id int64) bool {
	_, c, ok := k.n.disp.Client(id)
	if ok {
		c.CloseAsync(server.ErrClosedByServer)
		return true
	}
	return k.n.repl.DropConn(id)
}

func (k clients) Unblock(id int64, withError bool) bool {
	var err resp.Error
	if withError {
		err = resp.ErrUnblocked
	}
	return k.n.disp.Unblock(id, err)
}

func (k clients) Pause(untilMs int64, writesOnly bool) {
	mode := dispatch.PauseAll
	if writesOnly {
		mode = dispatch.PauseWrites
	}
	k.n.disp.Pause(mode, untilMs-nowMs())
}

func (k clients) Unpause() { k.n.disp.Unpause() }
func (k clients) Reset(c *command.Ctx) {
	c.DropWatches()
	k.n.disp.EndMonitor(c.Sess)
	k.n.disp.Unsubscribe(c)
	k.n.disp.Untrack(c)
}

// crowd is what INFO tells about all clients together.
type crowd struct{ largestIn, largestOut, watching int64 }

func (n *Node) clientsNow() (all crowd) {
	n.disp.Each(func(s *session.Session, c *server.Conn) bool {
		b := c.Numbers()
		all.largestIn, all.largestOut = max(all.largestIn, b.Qbuf), max(all.largestOut, b.Obl+b.Omem)
		if s.Watching() > 0 {
			all.watching++
		}
		return true
	})
	return all
}

// clientBytes is the memory of clients and of replicas' connections.
func (n *Node) clientBytes() (normal, replicas int64) {
	n.disp.Each(func(_ *session.Session, c *server.Conn) bool {
		normal += c.Memory()
		return true
	})
	normal += n.channels.Bytes()
	n.repl.EachConn(func(c *repl.Conn) {
		if c.Sess.Has(session.Replica) {
			replicas += sessionBytes + c.UnsentBytes
		}
	})
	return normal, replicas
}

// observer counts for INFO, the slow log and the latency monitor.
type observer struct{ n *Node }

func (o observer) Called(worker int, c *command.Ctx, ns int64) {
	n := o.n
	id := c.Cmd.ID()
	n.commands.Shard(worker).Done(id, ns, c.Err != "")
	if c.Err != "" && !c.ErrCounted {
		n.commands.CountError(c.Err.Code(), c.Cmd.Group == command.Scripting)
	}
	us := ns / 1000
	if c.Cmd.Flags&command.SkipSlowlog == 0 && n.slowlog.Slow(us) {
		o.slow(c, us)
	}
	event := observe.EventCommand
	if c.Cmd.Flags&command.Fast != 0 {
		event = observe.EventFastCommand
	}
	o.Worked(event, ns)
}

func (o observer) Worked(event string, ns int64) {
	if ms := ns / 1e6; o.n.latency.Spike(ms) {
		o.n.latency.Note(event, time.Now().Unix(), ms)
	}
}

func (o observer) slow(c *command.Ctx, us int64) {
	addr := ""
	if c.Conn != nil {
		addr = c.Conn.Addr()
	}
	o.n.slowlog.Add(time.Now().Unix(), us, c.Argv, addr, c.Sess.Name())
}

func (o observer) Rejected(worker int, cmd *command.Command, err resp.Error) {
	if cmd != nil {
		o.n.commands.Shard(worker).Rejected(cmd.ID())
	}
	o.n.commands.CountError(err.Code(), false)
}

// saver is persistence as the server family sees it. None of its methods waits or begins a
// Txn: work goes to goroutines.
type saver struct{ n *Node }

func (s saver) LastSave() int64 { return s.n.saver.LastSave() }

func (s saver) Save(done func(resp.Error)) {
	s.n.goes(func() { done(saveError(s.n.saver.Save(context.Background()))) })
}

func saveError(err error) resp.Error {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, persist.ErrInProgress):
		return resp.ErrSaveInProgress
	}
	return resp.Errorf("ERR %v", err)
}

func (s saver) BGSave(schedule bool) (bool, resp.Error) {
	n := s.n
	purpose, busy := n.source.Busy()
	if rewriting := n.aof.Rewriting(); busy || rewriting { // it may not have made its cut yet
		if rewriting || purpose == snapshot.ForRewrite {
			if schedule {
				n.saver.Schedule()
				return true, ""
			}
			return false, admin.ErrChildActive
		}
		return false, resp.ErrSaveInProgress
	}
	if n.saving.Add(1) > 1 {
		n.saving.Add(-1)
		return false, resp.ErrSaveInProgress
	}
	n.unwanted.Store(false)
	n.goes(func() {
		defer n.saving.Add(-1)
		_, _ = n.saver.Background(true) // a failure is told by its event and by INFO
		if n.unwanted.Swap(false) {
			n.saver.Abandon()
		}
	})
	return false, ""
}

func (s saver) CancelBGSave() (running, scheduled bool) {
	n := s.n
	if n.saving.Load() > 0 {
		n.unwanted.Store(true) // it may not have begun yet
		running = true
	}
	if n.saver.Abandon() || running {
		n.log.Notice("Background saving will be aborted due to user request")
		return true, false
	}
	if n.saver.Unschedule() {
		n.log.Notice("Scheduled background saving will be cancelled due to user request")
		return false, true
	}
	return false, false
}

func (s saver) Flushed() bool {
	s.n.saver.Abandon()
	return len(s.n.cfg.Now().Save) > 0
}

func (s saver) SaveEmpty(done func(resp.Error)) {
	n := s.n
	n.goes(func() {
		n.saver.Wait()
		if err := n.saver.Save(context.Background()); err != nil {
			n.saver.Schedule() // another save came first, or it failed and has said why
		}
		done("")
	})
}

func (s saver) Reload(o admin.ReloadOptions, done func(resp.Error)) {
	s.n.goes(func() { done(s.n.reload(o)) })
}

// reload is DEBUG RELOAD.
func (n *Node) reload(o admin.ReloadOptions) resp.Error {
	v := n.cfg.Now()
	defer func() { n.disp.Changed(nowMs()) }() // once clients are let in again
	// First nothing may change any more: what came behind the save would be lost.
	thaw := n.repl.Freeze()
	defer thaw()
	n.setLoading(&n.loadingNow, true)
	defer n.setLoading(&n.loadingNow, false)
	n.disp.Fence(nowMs())
	if !o.NoSave {
		n.saver.Cancel()
		if err := n.saver.Save(context.Background()); err != nil {
			return saveError(err)
		}
	}
	if !o.NoFlush {
		n.empty()
	}
	var libs collector
	_, err := n.loader.File(context.Background(), v.Path(v.DBFilename), persist.LoadOptions{
		Library: libs.add, KeepExpired: true, SkipChecksum: !v.RDBChecksum || n.noChecksum.Load(), Policy: v.MaxMemoryPolicy, Merge: o.NoFlush,
		Pace: n.loadPace(), Limits: limitsOf(v),
	})
	if err != nil {
		return resp.Errorf("ERR Error trying to load the RDB dump, check server logs: %v", err)
	}
	n.saver.MarkClean()
	if err := n.libraries.reload(libs.code, o); err != nil {
		return resp.Errorf("ERR Error trying to load the RDB dump, check server logs: %v", err)
	}
	if o.NoSave || o.NoFlush {
		n.aof.Reschedule() // this data is not what was written
	}
	return ""
}

func (n *Node) empty() {
	var t store.Txn
	t.BeginAll(n.store, nowMs())
	t.FlushAll()
	t.End()
	n.disp.AllStale(nil)
}

// debugger is DEBUG's reach beyond the keyspace.
type debugger struct{ n *Node }

func (d debugger) Sleep(t time.Duration)        { time.Sleep(t) }
func (d debugger) SetActiveExpire(on bool)      { d.n.disp.SetActiveExpire(on) }
func (d debugger) SetSkipChecksum(on bool)      { d.n.noChecksum.Store(on) }
func (d debugger) PauseCron(on bool)            { d.n.cronPaused.Store(on) }
func (d debugger) PauseSyncs(on bool)           { d.n.repl.PauseSyncs(on) }
func (d debugger) SetSideGrace(t time.Duration) { d.n.repl.SetSideGrace(t) }
func (d debugger) SetDenyScripts(on bool)       { d.n.disp.SetScriptsAllowAll(!on) }
func (d debugger) SetReplyBuffer(*int64, *bool) {}
func (d debugger) ChangeReplicationID()         { d.n.goes(d.n.repl.ChangeID) }
func (d debugger) Log(text string)              { d.n.log.Warning("%s", text) }

func (d debugger) Crash(how admin.Crash) {
	d.n.log.Warning("Crash report: DEBUG asked for a crash")
	switch how {
	case admin.CrashSegfault:
		_ = syscall.Kill(os.Getpid(), syscall.SIGSEGV)
	case admin.CrashAssert:
		panic("=== ASSERTION FAILED === DEBUG ASSERT")
	case admin.CrashOOM:
		panic("Out of memory: DEBUG OOM")
	default:
		panic("DEBUG PANIC")
	}
}

// Restart starts the program again with the same arguments.
func (d debugger) Restart(graceful bool, delay time.Duration) resp.Error {
	n := d.n
	exe, err := os.Executable()
	if err != nil {
		return resp.Errorf("ERR %v", err)
	}
	n.goes(func() {
		select {
		case <-time.After(delay):
		case <-n.quit:
			return
		}
		if graceful {
			n.disp.HoldWrites(dispatch.HoldShutdown, true, nowMs()) // what is saved is everything
			defer n.disp.HoldWrites(dispatch.HoldShutdown, false, nowMs())
			if err := n.saveAtEnd(admin.ShutdownOptions{}); err != nil {
				n.log.Warning("Restart: %v", err)
				return
			}
		}
		// exec keeps pid, standard streams and arguments; descriptors are close-on-exec.
		if err := syscall.Exec(exe, append([]string{os.Args[0]}, os.Args[1:]...), os.Environ()); err != nil {
			n.log.Warning("Restart: %v", err)
		}
	})
	return ""
}

// memories is MEMORY's reach beyond single keys.
type memories struct{ n *Node }

func (m memories) Stats() (s admin.MemoryStats) {
	n := m.n
	now := n.memoryNow()
	k := n.store.Stats()
	s = admin.MemoryStats{
		Peak: now.peak, Total: now.used, Startup: now.startup, ReplicationBacklog: now.backlog,
		ClientsReplicas: now.replicas, ClientsNormal: now.clients, Keyspace: k, RSS: now.rss,
		AllocatorActive: now.active, AllocatorAllocated: now.allocated, AllocatorResident: now.resident,
		Clients: n.srv.Stats.Connected.Load(),
	}
	for db := range n.store.Databases() {
		if keys := n.store.DBSize(db); keys > 0 {
			s.KeysCount += keys
			s.DBs = append(s.DBs, admin.DBMemory{DB: db, MainBytes: keys * 16, ExpiresBytes: n.store.Expires(db) * 8})
		}
	}
	return s
}

func (m memories) Purge() {
	m.n.store.ReleaseFree(1 << 62)
	debug.FreeOSMemory()
}

func (m memories) AllocatorStats() string {
	k := m.n.store.Stats()
	var g runtime.MemStats
	runtime.ReadMemStats(&g)
	return fmt.Sprintf("arena: mapped %d, blocks %d (asked %d), free %d, tables %d, moved %d blocks\n"+
		"go heap: in use %d, idle %d, released %d, collections %d, pause total %v\n",
		k.MappedBytes, m.n.mem().blocks(), m.n.mem().asked(), k.FreeBytes, m.n.mem().tables(), m.n.moved(),
		g.HeapInuse, g.HeapIdle, g.HeapReleased, g.NumGC, time.Duration(g.PauseTotalNs))
}

// replDeps is what replication needs.
func (n *Node) replDeps() repl.Deps {
	return repl.Deps{
		Follows: func(host string, port int) {
			// CONFIG GET shows it and CONFIG REWRITE keeps it.
			n.cfg.Change(func(v *Values) { v.ReplicaOf = HostPort{host, port} })
			if n.agent == nil {
				n.disp.SetRedirect(primaryAddr(host, port))
			}
			n.refreshGates()                 // a link that is not up yet may make us stale
			if n.cfg.Now().ReplicaReadOnly { // inside EXEC, before the role has changed: scripts ask
				n.disp.SetGate(dispatch.GateReadOnly, host != "" || n.repl.IsReplica())
			}
		},
		Pulse: n.pulse.hear(), Listen: n.replEvent, Rand: rand.Reader, Now: nowMs, ClusterMode: n.cfg.Now().ClusterEnabled,
		Detach: func(c *command.Ctx) (net.Conn, []byte, []byte, error) {
			d, err := dispatch.Detach(c)
			if err != nil {
				return nil, nil, nil, err
			}
			return d.Conn, d.Unread, d.Unsent, nil
		},
		Leads:     n.leadsHook(),
		Exclusive: n.exclusive,
		Save:      n.saveForReplicas,
		Target:    n.replTarget(),
		Supersede: func(rename func() error) error { return n.saver.Supersede(rename) },
		Name: func(argv [][]byte) string {
			if cmd, _ := n.table.Find(argv); cmd != nil {
				return cmd.LowerName()
			}
			return "<unknown>"
		},
		Pause:         func() { _ = syscall.Kill(os.Getpid(), syscall.SIGSTOP) }, // one may always stop oneself
		Apply:         &lateApplier{n: n},
		Shipped:       true,
		HoldWrites:    func(on bool) { n.disp.HoldWrites(dispatch.HoldFailover, on, nowMs()) },
		AwaitUnpaused: func(done <-chan struct{}) { n.disp.AwaitUnpaused(done) },
		Fsynced:       func() (int64, bool) { return n.aof.Fsynced() },
	}
}

// primaryAddr is how clients are told where the primary is, "" when there is none.
func primaryAddr(host string, port int) string {
	if host == "" {
		return ""
	}
	return host + ":" + strconv.Itoa(port)
}

// lateApplier makes the applier when it is first needed: replication is built before dispatch.
type lateApplier struct {
	n *Node
	a *dispatch.Applier // owned by replication's one applying goroutine
}

func (l *lateApplier) get() *dispatch.Applier {
	if l.a == nil {
		l.a = l.n.disp.NewApplier(session.Primary)
	}
	return l.a
}

func (l *lateApplier) Apply(argv [][]byte, ran func()) error { return l.get().ApplyWith(argv, ran) }
func (l *lateApplier) Ahead(stream []byte, n int)            { l.get().Ahead(stream, n) }
func (l *lateApplier) Lasting() bool                         { return l.get().Lasting() }
func (l *lateApplier) Reset()                                { l.get().Reset() }
func (l *lateApplier) Select(db int)                         { l.get().Select(db) }

// saveForReplicas is a full sync's snapshot, with the bounds in force when it begins.
func (n *Node) saveForReplicas(ctx context.Context, w io.Writer, req repl.SaveRequest) error {
	o := snapshot.Options{MaxPreImageBytes: preImageBound(n.cfg.Now()), Lockstep: persist.Lockstep()}
	var changes int64
	cut := req.Cut
	req.Cut = func() rdb.Replication {
		changes = n.store.Stats().Changes
		return cut()
	}
	err := repl.SaveFrom(n.source, o, nowMs, n.writeRDB)(ctx, w, req)
	if err != nil || req.Rename == nil {
		return err
	}
	return n.saver.Adopt(changes, req.Rename)
}

// writeRDB writes what replicas get.
func (n *Node) writeRDB(ctx context.Context, w io.Writer, snap *snapshot.Snapshot, in *snapshot.Stream, at rdb.Replication, req repl.SaveRequest) error {
	v := n.cfg.Now()
	var libs [][]byte
	if !req.SkipFunctions {
		libs = n.libraries.all()
	}
	_, err := persist.WriteStream(ctx, w, snap, in, persist.StreamOptions{
		Libraries: libs, SkipData: req.SkipData,
		Compress: v.RDBCompression, Checksum: v.RDBChecksum, Policy: v.MaxMemoryPolicy, Pace: n.savePace(),
		Info: rdb.Info{CreatedUnix: time.Now().Unix(), UsedMemory: n.memoryNow().used, Replication: &at},
	})
	return err
}

func replOptions(v *Values) repl.Options {
	o := repl.DefaultOptions()
	o.BacklogBytes = v.ReplBacklogSize
	o.BacklogTTL = time.Duration(v.ReplBacklogTTL) * time.Second
	o.PingPeriod = time.Duration(v.ReplPingReplicaPeriod) * time.Second
	o.Timeout = time.Duration(v.ReplTimeout) * time.Second
	o.DisklessSync = v.ReplDisklessSync
	o.DualChannel = v.DualChannelReplicationEnabled
	o.DisklessSyncDelay = time.Duration(v.ReplDisklessSyncDelay) * time.Second
	if v.ClusterEnabled {
		// Replicas of a cluster come one by one and their shard is at risk until they are there.
		o.DisklessSyncDelay = 0
	}
	o.DisklessSyncMaxReplicas = int(v.ReplDisklessSyncMaxReplicas)
	o.DisklessLoad = loadModes()[v.ReplDisklessLoad]
	o.DisableTCPNoDelay = v.ReplDisableTCPNodelay
	o.MasterUser, o.MasterAuth = v.MasterUser, v.MasterAuth
	o.BindSource = v.BindSourceAddr
	o.ListenPort = int(v.Port)
	o.AnnounceIP, o.AnnouncePort = v.ReplicaAnnounceIP, int(v.ReplicaAnnouncePort)
	o.Announced = v.ReplicaAnnounced
	o.Priority = int(v.ReplicaPriority)
	o.ReadOnly, o.ServeStale = v.ReplicaReadOnly, v.ReplicaServeStaleData
	o.MinReplicas = int(v.MinReplicasToWrite)
	o.MinReplicasMaxLag = time.Duration(v.MinReplicasMaxLag) * time.Second
	l := v.ClientOutputBufferLimit.Replica
	o.HardLimit, o.SoftLimit, o.SoftTime = l.HardBytes, l.SoftBytes, time.Duration(l.SoftSeconds)*time.Second
	o.TempDir = v.Dir
	o.SavePoints = len(v.Save) > 0
	if o.SavePoints || v.AppendOnly || !v.RDBDelSyncFiles {
		o.RDBPath = v.Path(v.DBFilename)
	}
	return o
}
