package node

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sextantdb/sextant/cluster/agent"
	"github.com/sextantdb/sextant/cluster/fanout"
	"github.com/sextantdb/sextant/cluster/migrate"
	"github.com/sextantdb/sextant/cluster/repl"
	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/acl"
	"github.com/sextantdb/sextant/resp/channel"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/dispatch"
	"github.com/sextantdb/sextant/resp/lua"
	"github.com/sextantdb/sextant/resp/observe"
	"github.com/sextantdb/sextant/resp/server"
	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/persist"
	"github.com/sextantdb/sextant/store/rdb"
	"github.com/sextantdb/sextant/store/snapshot"
	"github.com/sextantdb/sextant/store/stat"
	values "github.com/sextantdb/sextant/store/value"
)

// Node is one running server.
type Node struct {
	// Immutable after New.
	cfg     *Config
	log     *Log
	runID   string
	started time.Time
	loops   int

	stats     stat.Registry
	sections  sections
	acl       *acl.List
	aclLog    *acl.Log
	store     *store.Store
	table     *command.Table
	commands  *observe.Commands
	slowlog   *observe.Slowlog
	latency   *observe.Latency
	feed      *observe.Feed
	channels  *channel.Registry
	fanout    *fanout.Fanout // nil outside cluster mode
	rerouted  chan struct{}  // capacity 1: slots may have another owner; nil outside cluster mode
	disp      *dispatch.Dispatcher
	srv       *server.Server
	source    *snapshot.Source
	saver     *persist.Saver
	loader    *persist.Loader
	aof       *persist.AOF
	aofNow    derived[persist.AOFSettings] // see aofSettings
	limitsNow derived[values.Limits]       // see limits
	repl      *repl.Engine
	agent     *agent.Agent // nil outside cluster mode
	wire      *wire        // nil outside cluster mode
	roles     *roleQueue   // what the agent decided and is not carried out yet
	pulse     pulse
	heart     heart // beats in cluster mode
	watchdog  watchdog
	mover     *migrate.Mover
	units     *dispatch.Units // of mover
	quit      chan struct{}   // closed when the node stops
	over      chan int        // takes the exit code once

	saveDelay    func() int64 // rdb-key-save-delay
	startupBytes int64
	cleanStart   bool // the data on disk is proven complete

	// Counters and small states; atomics, any goroutine.
	badFrames  stat.Counter // cluster_bad_frames
	sample     sampler
	peak       memoryPeak
	rates      rates
	saving     atomic.Int32 // saves asked for whose cut is not made yet
	unwanted   atomic.Bool  // one of them is to be stopped once it has begun (BGSAVE CANCEL)
	oomScore   oomScore
	paused     atomic.Uint64
	attackTold atomic.Int64 // Unix ms of the last warning about cross protocol scripting
	besides    atomic.Int64 // see weighBesides
	title      *titleSpace  // nil: not ours to change. Set by run before Start
	weighedMs  atomic.Int64 // Unix time
	cronPaused atomic.Bool
	noChecksum atomic.Bool
	gateMu     sync.Mutex  // orders changes of GateLoading; see setLoading
	loadingNow atomic.Bool // a file is being loaded
	syncing    atomic.Bool // a full sync is being loaded in place of the old data
	libraries  libraries
	scripts    *lua.Engine // immutable
	stopping   atomic.Bool
	ending     ending
	loadCtx    context.Context // of the load at the start; ended by endLoad
	endLoad    context.CancelCauseFunc
	background sync.WaitGroup
	stopped    sync.Once
}

// mode is redis_mode.
func (n *Node) mode() string {
	if n.cfg.Now().ClusterEnabled {
		return "cluster"
	}
	return "standalone"
}

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return hex.EncodeToString(b)
}

func randomUint64() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return binary.LittleEndian.Uint64(b[:])
}

func nowMs() int64 { return time.Now().UnixMilli() }

// New builds a node from the bottom up and opens what can be refused: the cluster state and
// the sockets. Nothing is served before Start.
func New(cfg *Config, log *Log) (_ *Node, err error) {
	v := cfg.Now()
	if err := notYet(v); err != nil {
		return nil, err
	}
	n := &Node{
		cfg: cfg, log: log, runID: randomHex(20), started: time.Now(), acl: acl.NewList(), aclLog: acl.NewLog(aclLogMax(v)),
		roles: newRoleQueue(), quit: make(chan struct{}), over: make(chan int, 1), feed: new(observe.Feed),
	}
	defer func() {
		if err != nil {
			n.release()
		}
	}()
	n.heart.n, n.watchdog.n = n, n
	if err = n.pulse.start(); err != nil {
		return nil, err
	}
	n.sections = newSections(&n.stats)
	n.acl.SetOpen(v.ACLPubsubDefault == ACLAllChannels)
	n.acl.RequirePass(v.RequirePass)
	n.loops = loopCount(int(v.IOThreads))
	n.newChannels(v.ClusterEnabled)

	n.store, err = store.New(store.Options{
		Databases: int(v.Databases), Shadow: true, Stripes: 64, HashSeed: [2]uint64{randomUint64(), randomUint64()}, RandSeed: randomUint64(),
	})
	if err != nil {
		return nil, err
	}
	n.source = snapshot.NewSource(n.store)
	n.source.Cut = func(took time.Duration) { observer{n}.Worked(observe.EventSnapshotCut, took.Nanoseconds()) }
	n.saveDelay = func() int64 { return cfg.Now().RDBKeySaveDelay }
	n.scripts = n.newScripts()
	n.libraries = libraries{n.scripts} // before whoever takes its methods
	n.buildAOF()
	n.cleanStart = n.hasCleanMark(v)
	n.loadCtx, n.endLoad = context.WithCancelCause(context.Background())

	n.repl, err = repl.New(n.replDeps(), replOptions(v))
	if err != nil {
		return nil, err
	}
	if v.ClusterEnabled {
		if n.agent, err = agent.Open(n.agentOptions()); err != nil {
			return nil, err
		}
	}
	n.mover = n.newMover()
	if err := n.buildTable(); err != nil {
		return nil, err
	}
	n.acl.SetCatalog(n.table.Catalog())
	if err := n.loadUsers(v); err != nil {
		return nil, err
	}
	n.buildDispatch(v)
	n.buildPersistence()
	if n.srv, err = server.New(n.serverOptions(v), n.disp); err != nil {
		return nil, err
	}
	if err := n.srv.Listen(); err != nil {
		return nil, err
	}
	if n.agent != nil {
		if err := n.openBus(v); err != nil {
			return nil, err
		}
	}
	n.registerInfo()
	n.bindConfig()
	runtime.GC()
	n.startupBytes = n.goBytes()
	return n, nil
}

// notYet refuses what the configuration asks for and this version cannot do: nobody shall
// believe in a protection that is not there. A node that nobody can reach is refused too.
func notYet(v *Values) error {
	switch {
	case v.ClusterConsistency == ConsistencyStrict:
		return errors.New("cluster-consistency strict is not built yet; a node that promised it would lie. Use async")
	case v.ClusterEnabled && v.ClusterBusAuth == BusAuthTLS:
		return errors.New("cluster-bus-auth tls is not built yet; a bus that seemed proven would not be. Use hmac with a cluster-bus-secret")
	case v.TLSPort != 0 || v.TLSCluster || v.TLSReplication:
		return errors.New("TLS is not served yet: tls-port, tls-cluster and tls-replication cannot be used. Put a TLS proxy in front, or leave them out")
	case tcpPort(v) == 0 && v.UnixSocket == "":
		return errors.New("Configured to not listen anywhere, exiting.")
	}
	return nil
}

// processors is how many this process may use.
var processors = runtime.GOMAXPROCS(0)

// loopCount is how many event loops serve clients: io-threads when it is set, else one up to
// three processors and half of them above.
func loopCount(configured int) int {
	if configured > 1 {
		return configured
	}
	if processors > 3 {
		return processors / 2
	}
	return 1
}

func (n *Node) buildTable() error {
	v := n.cfg.Now()
	n.slowlog = observe.NewSlowlog(v.SlowlogLogSlowerThan, v.SlowlogMaxLen)
	n.latency = observe.NewLatency(v.LatencyMonitorThreshold)
	var err error
	n.table, err = command.New(n.cfg.Renames, families(n.strOptions(), n.genericOptions(), n.connDeps(), n.adminDeps(), n.repl, n.agent, n.collections(), n.scriptDeps(), n.userDeps())...)
	if err != nil {
		return fmt.Errorf("building the command table: %w", err)
	}
	names := make([]string, n.table.Len())
	for _, c := range n.table.All() {
		names[c.ID()] = c.LowerName()
	}
	n.commands = observe.NewCommands(names, n.loops+1)
	return nil
}

func (n *Node) buildDispatch(v *Values) {
	o := dispatch.Options{
		Table: n.table, Store: n.store, ACL: n.acl, Sink: n.repl.Stream, Shipper: n.repl, Observer: observer{n}, Loops: n.loops, Feed: n.feed,
		LazyExpire: func() bool { return n.cfg.Now().LazyfreeLazyExpire },
		LazyEvict:  func() bool { return n.cfg.Now().LazyfreeLazyEviction },
		OtherBytes: n.besidesNow, Recount: n.recountBesides, Channels: n.channels, Events: events{n}, Denied: n.denied,
		ScriptSlow: func(name string, ms int64) {
			n.log.Warning("Slow script detected: still in execution after %d milliseconds. You can try killing the script using the SCRIPT KILL command. Script name is: %s.", ms, name)
		},
	}
	if n.agent != nil {
		o.Router = n.agent
	}
	n.disp = dispatch.New(o)
	n.units = n.disp.NewUnits()
	n.disp.Tracking().SetMax(v.TrackingTableMaxKeys)
	n.disp.SetMemory(memoryLimits(v))
	n.disp.SetScriptLimit(v.BusyReplyThreshold)
	n.disp.SetExpireEffort(v.ActiveExpireEffort)
	n.disp.SetGate(dispatch.GateProtected, v.ProtectedMode)
	n.disp.SetGate(dispatch.GateLoading, true)
}

func memoryLimits(v *Values) dispatch.Memory {
	return dispatch.Memory{
		MaxBytes: v.MaxMemory, Policy: v.MaxMemoryPolicy, Samples: int(v.MaxMemorySamples),
		LFULogFactor: int(v.LFULogFactor), LFUDecay: int(v.LFUDecayTime),
	}
}

func (n *Node) buildPersistence() {
	n.saver = persist.NewSaver(persist.Options{
		Store: n.store, Source: n.source, FS: n.cfg.Disk, Now: time.Now, PID: os.Getpid(), Listener: n.persistEvent,
		Settings:    func() persist.Settings { return n.saveSettings(n.cfg.Now()) },
		Replication: func() *rdb.Replication { return n.repl.Position() },
		UsedMemory:  func() int64 { return n.memoryNow().used },
		Quiesce:     func() func() { return n.repl.Quiesce() },
		Libraries:   n.libraries.all,
	})
	n.loader = persist.NewLoader(persist.LoaderOptions{Store: n.store, FS: n.cfg.Disk, Now: time.Now, Listener: n.persistEvent})
}

func (n *Node) saveSettings(v *Values) persist.Settings {
	s := persist.Settings{
		Dir: v.Dir, Filename: v.DBFilename, Compress: v.RDBCompression, Checksum: v.RDBChecksum,
		IncrementalSync: v.RDBSaveIncrementalFsync, Policy: v.MaxMemoryPolicy, Pace: n.savePace(),
		MaxPreImageBytes: preImageBound(v),
	}
	for _, p := range v.Save {
		s.SavePoints = append(s.SavePoints, persist.SavePoint{Seconds: p.Seconds, Changes: p.Changes})
	}
	return s
}

// leastPreImages is how many bytes of old images a snapshot may hold at least.
const leastPreImages = 256 << 20

// preImageBound is what a snapshot may hold of them: a tenth of maxmemory, but not little.
func preImageBound(v *Values) int64 { return max(leastPreImages, v.MaxMemory/10) }

func (n *Node) serverOptions(v *Values) server.Options {
	return server.Options{
		Bind: v.Bind, Port: tcpPort(v), UnixSocket: v.UnixSocket, UnixGroup: v.UnixSocketGroup, UnixPerm: fs.FileMode(v.UnixSocketPerm),
		Loops: n.loops, Brisk: n.cfg.Alone, Events: n.serverEvent, Settings: serverSettings(v, n.agent != nil),
	}
}

// tcpPort is the port to listen on, 0 for none: bind "" leaves only the unix socket.
func tcpPort(v *Values) int {
	if len(v.Bind) == 0 {
		return 0
	}
	return int(v.Port)
}

func serverSettings(v *Values, clustered bool) server.Settings {
	s := server.DefaultSettings()
	s.MaxClients = int(v.MaxClients)
	if clustered {
		s.MaxClientsText = resp.ErrMaxClientsBus
	}
	s.IdleTimeout = int(v.Timeout)
	s.TCPKeepAlive = int(v.TCPKeepalive)
	s.TCPBacklog = int(v.TCPBacklog)
	s.MaxBulk = int(v.ProtoMaxBulkLen)
	s.QueryBuffer = int(v.ClientQueryBufferLimit)
	s.ClientMemory = v.MaxMemoryClients
	if s.ClientMemory < 0 {
		s.ClientMemory = v.MaxMemory / 100 * -v.MaxMemoryClients // per cent
	}
	s.CountMemory = v.MaxMemory > 0
	s.Hz = int(v.Hz)
	limit := func(o OutputLimit) server.OutputLimit {
		return server.OutputLimit{Hard: o.HardBytes, Soft: o.SoftBytes, SoftSeconds: int(o.SoftSeconds)}
	}
	s.Output[server.ClassNormal] = limit(v.ClientOutputBufferLimit.Normal)
	s.Output[server.ClassReplica] = limit(v.ClientOutputBufferLimit.Replica)
	s.Output[server.ClassPubSub] = limit(v.ClientOutputBufferLimit.Pubsub)
	return s
}

// Start serves: sockets first, so that clients are told LOADING; then the data set is loaded;
// then replication and the cluster begin. An error means the node cannot run.
func (n *Node) Start() error {
	n.log.Notice("Server initialized")
	if err := n.aof.Bad(); err != nil {
		return fmt.Errorf("*** FATAL AOF MANIFEST FILE ERROR *** %w", err)
	}
	n.setLoading(&n.loadingNow, true)
	n.srv.Start()
	err := n.load()
	if context.Cause(n.loadCtx) != nil {
		return nil // asked to end meanwhile: Over tells
	}
	if err == nil {
		err = n.startAOF(n.cfg.Now())
	}
	if err == nil {
		err = n.dropCleanMark(n.cfg.Now())
	}
	if err != nil {
		return err
	}
	n.setLoading(&n.loadingNow, false)
	v := n.cfg.Now()
	if v.ReplicaOf.Host != "" {
		n.repl.Follow(v.ReplicaOf.Host, v.ReplicaOf.Port, nil)
	}
	n.roleChanged()
	n.repl.Start()
	n.goes(n.runRoles)
	beat := n.pulse.hear()
	n.goes(func() { n.runCron(beat) })
	n.goes(n.pulse.run)
	n.watchdog.set(v)
	if n.agent != nil {
		n.goes(n.heart.run)
		n.goes(n.runShardChannels)
		n.agent.Start(n.wire)
		n.wire.serve()
	}
	n.ready(v)
	return nil
}

func (n *Node) goes(f func()) {
	n.background.Add(1)
	go func() {
		defer n.background.Done()
		f()
	}()
}

// load reads the append only file when it is on, else the RDB file, when there is one. Redis starts
// empty when the append only file was switched on in the configuration and there is none yet; here the RDB file
// becomes its base, because whoever switches on more safety does not mean to lose everything.
func (n *Node) load() error {
	v := n.cfg.Now()
	if v.AppendOnly {
		if err := n.loadAOF(n.loadCtx); !errors.Is(err, persist.ErrNoAOF) {
			return err
		}
	}
	replica := v.ReplicaOf.Host != "" || n.agent != nil && n.isReplicaInView()
	var libs collector
	var dead command.Effects
	got, err := n.loader.File(n.loadCtx, v.Path(v.DBFilename), persist.LoadOptions{
		KeepExpired: replica, SkipChecksum: !v.RDBChecksum || n.noChecksum.Load(), Policy: v.MaxMemoryPolicy, AtStart: true,
		Pace: n.loadPace(), Library: libs.add, Limits: limitsOf(v),
		Expired: func(db int, key []byte) { dead.Append(db, []byte("DEL"), key) },
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		n.log.Warning("Terminating server after rdb file reading failure.")
		return fmt.Errorf("Fatal error loading the DB: %w. Exiting.", err)
	}
	n.saver.MarkClean()
	if err := n.libraries.replace(libs.code); err != nil {
		return fmt.Errorf("Fatal error loading the DB: %w. Exiting.", err)
	}
	if got.Replication != nil {
		if err := n.repl.Resume(*got.Replication, replica); err != nil {
			n.log.Warning("Replication cannot go on from the RDB file: %v", err)
		} else if !replica && !dead.Empty() {
			// Replicas that continue from here have what was not loaded.
			dead.Apart = true
			n.repl.Stream.Append(&dead)
		}
	}
	return nil
}

// loadPace is key-load-delay, as it stands at each key.
func (n *Node) loadPace() persist.Pace {
	return persist.Pace{Micros: func() int64 { return n.cfg.Now().KeyLoadDelay }}
}

// savePace is rdb-key-save-delay in the same way.
func (n *Node) savePace() persist.Pace {
	return persist.Pace{Micros: n.saveDelay}
}

// isReplicaInView reports whether the cluster sees this node as a replica.
func (n *Node) isReplicaInView() bool {
	view := n.agent.View()
	return view.Primary >= 0 && view.Primary != view.Me
}

func (n *Node) ready(v *Values) {
	if v.Port != 0 {
		n.log.Notice("Ready to accept connections tcp")
	}
	if v.UnixSocket != "" {
		n.log.Notice("Ready to accept connections unix")
	}
}

// runCron does what happens some times a second: save points, gates that depend on time, rates.
func (n *Node) runCron(beat <-chan time.Time) {
	sweep := sweeper{n: n, s: n.disp.NewSweeper()}
	for round := 0; ; round++ {
		select {
		case <-n.quit:
			return
		case <-beat:
		}
		if n.cronPaused.Load() {
			continue
		}
		n.refreshGates()
		n.weighBesides()
		n.rates.note(n.reading)
		if n.agent != nil {
			sweep.run()
		}
		if !n.stopping.Load() {
			n.saver.Cron()
			if !n.loading() {
				n.aof.Cron()
			}
		}
		if round%10 == 0 {
			n.sampleMemory()
		}
	}
}

// refreshGates closes and opens what depends on time and on other goroutines' work.
func (n *Node) refreshGates() {
	v := n.cfg.Now()
	n.disp.SetGate(dispatch.GateReplicas, !n.repl.EnoughReplicas())
	n.disp.SetGate(dispatch.GateStale, n.repl.Stale())
	var misconf resp.Error
	if v.StopWritesOnBgsaveError && len(v.Save) > 0 && n.saver.Failed() {
		misconf = resp.ErrMisconfRDB
	} else if err := n.aof.Failed(); err != nil {
		misconf = resp.ErrMisconfAOF(reason(err).Error())
	}
	n.disp.SetMisconf(misconf)
}

// roleChanged brings gates, log letter and the clients' view in line with the role. It runs
// with every stripe held, or before the node serves.
func (n *Node) roleChanged() {
	replica := n.repl.IsReplica()
	n.log.SetReplica(replica)
	view := store.ViewPrimary
	if replica {
		view = store.ViewReplica
	}
	n.disp.SetView(view)
	n.disp.SetGate(dispatch.GateReadOnly, replica && n.cfg.Now().ReplicaReadOnly)
	n.disp.TrackOwnExpiry(replica && !n.cfg.Now().ReplicaReadOnly)
	if err := n.oomScore.apply(n.cfg.Now(), replica); err != nil {
		n.log.Warning("%v", err)
	}
}

// exclusive runs f with every stripe held.
func (n *Node) exclusive(f func()) {
	before := n.repl.IsReplica()
	var t store.Txn
	t.BeginAll(n.store, nowMs())
	f()
	n.roleChanged()
	t.End()
	if !before && n.repl.IsReplica() {
		n.disp.UnblockAll(resp.ErrUnblockedForce, nowMs())
	}
}

// Stop ends everything in the reverse order of Start. It does not save.
func (n *Node) Stop() { n.stopped.Do(n.release) }

// release gives up whatever New and Start have made, in an order in which nobody calls what is
// gone already: first the clients, who begin everything else.
func (n *Node) release() {
	close(n.quit)
	if n.srv != nil {
		n.stopServer()
	}
	if n.mover != nil {
		n.mover.Close()
	}
	if n.agent != nil {
		n.agent.Close()
	}
	if n.wire != nil {
		n.wire.net.Close()
	}
	if n.repl != nil {
		n.repl.Close()
	}
	if n.saver != nil {
		n.saver.Close() // a BGSAVE just answered may have its goroutine yet to run
	}
	if n.aof != nil {
		_ = n.aof.Close() // told
	}
	n.pulse.close()
	n.background.Wait()
	if n.store != nil {
		n.store.Close()
	}
}

// Over returns the channel that takes the exit code when the node has ended.
func (n *Node) Over() <-chan int { return n.over }

func (n *Node) goBytes() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}
