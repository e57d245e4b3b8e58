package repl

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store/rdb"
	"github.com/sextantdb/sextant/store/stat"
)

// Deps is what the node gives an Engine. Immutable. What may be nil says so.
type Deps struct {
	// Listen takes events for the log and the metrics.
	Listen Listener
	// Rand is where replication ids and end marks come from.
	Rand io.Reader
	// Now is the wall clock in Unix ms.
	Now func() int64
	// ClusterMode refuses REPLICAOF: the cluster says whom to follow.
	ClusterMode bool

	// Detach takes a client's connection out of its event loop for good: what was read and
	// not used yet, and what was not written yet. It is called from a handler.
	Detach func(c *command.Ctx) (conn net.Conn, unread, unsent []byte, err error)
	// Exclusive runs f with every stripe held. Roles change inside it: whoever writes must look
	// at IsReplica again once it holds its stripes.
	Exclusive func(f func())
	// Save writes the data set as of one instant as RDB; see SaveRequest.
	Save func(ctx context.Context, w io.Writer, req SaveRequest) error
	// Target takes the data set of a full sync.
	Target Target
	// Supersede runs rename, which puts the RDB received from our primary in the place of the node's, while nobody else
	// is about to do that. nil: nobody ever is.
	Supersede func(rename func() error) error
	// Apply executes our primary's commands.
	Apply Applier
	// AwaitUnpaused returns when what our primary sends may be applied, at once if nothing speaks
	// against it (CLIENT PAUSE), or when done is closed. nil: always at once.
	AwaitUnpaused func(done <-chan struct{})
	// HoldWrites holds clients' writes back while a FAILOVER runs, or lets them go. When it has returned, with on, none
	// is under way.
	HoldWrites func(on bool)
	// Dial opens the connection to our primary; nil: TCP from Options.BindSource.
	Dial func(ctx context.Context, addr, bindSource string) (net.Conn, error)
	// Leads says whether this node leads its shard as the given member, "" when it does or why
	// not; see Engine.Expect. nil: this node is in no cluster.
	Leads func(Member) string
	// Pulse brings the beats of the Engine's periodic work, ten a second. nil: it has a ticker of its own.
	Pulse <-chan time.Time
	// Fsynced is the offset up to which the append-only file is on disk; nil or false: it is off.
	Fsynced func() (int64, bool)
	// Shipped: whoever appends to the Stream calls Ship, as event loops do. Else what is appended is sent by a goroutine
	// that is woken for it.
	Shipped bool
	// Pause stops the process (PauseSyncs). nil: it cannot be.
	Pause func()
	// Name is the name of the command that words call, as the log has it. nil: the first word.
	Name func(argv [][]byte) string
	// Follows, if not nil, is told whom we follow from now on; "" is nobody. Roles cannot be changed
	// from it, all else of the Engine may be called.
	Follows func(host string, port int)
}

func (d *Deps) follows(host string, port int) {
	if d.Follows != nil {
		d.Follows(host, port)
	}
}

// SaveRequest asks for one RDB. Save may wait until another snapshot has ended, or ctx has.
type SaveRequest struct {
	// SkipData and SkipFunctions leave that part out (REPLCONF rdb-filter-only).
	SkipData, SkipFunctions bool
	// Quiesce must be called right before the stripes are taken for the cut, and what it
	// returns after they were given back.
	Quiesce func() (release func())
	// Cut must be called once with every stripe held. It returns what belongs into the head.
	Cut func() rdb.Replication
	// Whole, if not nil, must be called when everything has been written.
	Whole func() error
	// Rename, if not nil, must be called after Whole: what was written becomes the node's RDB file, unless a save of later
	// data is that already.
	Rename func() error
}

// Applier executes the stream of our primary: as the primary's commands, without the gates that
// refuse clients, without propagating what they do. One goroutine calls it, in order.
type Applier interface {
	// Apply executes one command. MULTI, EXEC and SELECT come too; a transaction takes effect at
	// its EXEC. argv is valid during the call. An error says that the command failed here. ran, if not nil, is to be called
	// when the effect has been made and cannot be seen yet: with its stripes held.
	Apply(argv [][]byte, ran func()) error
	// Ahead tells the bytes of the stream that come next: most probably the next n commands are among them, and are
	// applied soon. It is a hint, and changes nothing that anybody could see.
	Ahead(stream []byte, n int)
	// Lasting reports whether the command applied last is for the append-only file too.
	Lasting() bool
	// Reset forgets an unfinished transaction; Select makes db the current database.
	Reset()
	Select(db int)
}

// Counters count since the start or CONFIG RESETSTAT; the first three are fields of INFO stats.
type Counters struct {
	SyncFull, SyncPartialOK, SyncPartialErr stat.Counter
	ReplicasDropped                         stat.Counter // by us: output limit, timeout
	OutputLimit                             stat.Counter // of those, by client-output-buffer-limit; a part of the field of INFO stats
	InputBytes, OutputBytes                 stat.Counter // of replication connections
	ApplyErrors                             stat.Counter
	LinkAttempts                            stat.Counter
	HandshakesEvicted                       stat.Counter
}

// Engine is replication of one node.
type Engine struct {
	// Stream is dispatch's Sink.
	Stream *Stream
	// Counters count.
	Counters Counters

	deps Deps
	opts atomic.Pointer[Options]

	member       atomic.Pointer[Member] // whom our primary must be; nil: anybody
	replica      atomic.Bool            // we follow a primary; written under roleMu and all stripes
	paused       atomic.Bool            // PauseFeed
	unapplied    atomic.Int64           // bytes of the primary's stream read while a pause keeps them from being applied
	getackWanted atomic.Bool            // for Ship: somebody waits
	sideGrace    atomic.Int64           // ns; see SetSideGrace
	pauseSyncs   atomic.Bool
	good         atomic.Int32
	online       atomic.Pointer[[]*Replica] // those that Ship serves; nil: none. Written under mu

	quit    chan struct{} // closed by Close
	kick    chan struct{} // capacity 1: fullSync has something to look at
	running sync.WaitGroup

	// roleMu orders changes of role.
	roleMu sync.Mutex

	// applyMu is held by the link while the data is ahead of the stream's offset, and by
	// whoever needs both to agree (Quiesce).
	applyMu sync.Mutex
	quiet   atomic.Bool // applyMu is held by Quiesce

	mu sync.Mutex
	// Guarded by mu.
	started    bool
	closed     bool
	valid      bool // the stream's history and offset are those of our data, also for a new primary
	streamDB   int  // database selected in the primary's stream at Stream.Offset
	link       *link
	promise    promise
	downSince  int64 // Unix ms the link went down; 0: never was up, or is up
	replicas   []*Replica
	nextID     int64
	resumed    *rdb.Replication // what Resume was told as a primary; nil once we followed somebody
	lonely     int64            // Unix ms since when there is no replica
	waiters    []*waiter
	handshakes map[int64]*handshake
	shakeOrder []int64
	lastPing   int64
	syncing    *group // the snapshot under way, once it has replicas
	failover   failover
	// failoverTurn counts them, so that who acts later knows whether it is still the same one.
	failoverTurn uint64
}

// promise is what REPLICAOF has said inside EXEC and is done when the stripes are free. All that asks is told as if it were
// done: the rest of the transaction may ask, and EXEC is one moment for everybody else.
type promise struct {
	made bool
	link *link // stands for the one to come, and never runs; nil: we shall be a primary
}

// toldLinkLocked is the link to our primary as far as anybody is told, nil of a primary. REQUIRES: e.mu.
func (e *Engine) toldLinkLocked() *link {
	if e.promise.made {
		return e.promise.link
	}
	return e.link
}

// toldReplicaLocked is IsReplica in the same way. REQUIRES: e.mu.
func (e *Engine) toldReplicaLocked() bool {
	if e.promise.made {
		return e.promise.link != nil
	}
	return e.replica.Load()
}

func (e *Engine) toldReplica() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.toldReplicaLocked()
}

// New makes an Engine that is a primary without replicas.
func New(d Deps, o Options) (*Engine, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	e := &Engine{
		deps: d, quit: make(chan struct{}), kick: make(chan struct{}, 1),
		handshakes: map[int64]*handshake{},
	}
	e.opts.Store(&o)
	e.sideGrace.Store(int64(sideGrace))
	id, err := e.randomHex()
	if err != nil {
		return nil, err
	}
	e.Stream = newStream(id, max(o.BacklogBytes, MinBacklogBytes), o.hardLimit(), d.Shipped)
	e.lonely = d.Now()
	e.lastPing = e.lonely
	return e, nil
}

// Start begins to work. Follow before it makes a node start as a replica.
func (e *Engine) Start() {
	e.mu.Lock()
	e.started = true
	l := e.link
	e.mu.Unlock()
	e.goes(e.runPump)
	e.goes(e.runCron)
	e.goes(e.runSyncs)
	if l != nil {
		e.goes(func() { l.run(nil) })
	}
}

// Close ends all connections and goroutines and waits for them.
func (e *Engine) Close() {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return
	}
	e.closed = true
	close(e.quit)
	l := e.link
	e.mu.Unlock()
	if l != nil {
		l.stop()
	}
	e.dropAll("")
	e.running.Wait()
}

func (e *Engine) goes(f func()) {
	e.running.Add(1)
	go func() {
		defer e.running.Done()
		f()
	}()
}

// Options returns the settings in force.
func (e *Engine) Options() Options { return *e.opts.Load() }

// Configure replaces the settings (CONFIG SET).
func (e *Engine) Configure(o Options) error {
	if err := o.Validate(); err != nil {
		return err
	}
	e.opts.Store(&o)
	e.Stream.resize(o.BacklogBytes, o.hardLimit())
	e.kickSyncs()
	return nil
}

func (e *Engine) randomHex() (string, error) {
	var b [20]byte
	if _, err := io.ReadFull(e.deps.Rand, b[:]); err != nil {
		return "", fmt.Errorf("drawing a replication id: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}

// newID is randomHex where there is no way to go on without one.
func (e *Engine) newID() string {
	id, err := e.randomHex()
	if err != nil {
		panic(err)
	}
	return id
}

// IsReplica reports whether we follow a primary. It changes only while all stripes are held.
func (e *Engine) IsReplica() bool { return e.replica.Load() }

// Primary is whom we follow, "" when nobody.
func (e *Engine) Primary() (host string, port int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.link == nil {
		return "", 0
	}
	return e.link.host, e.link.port
}

// Status is what gates and the cluster machine look at.
type Status struct {
	Replica bool
	// LinkUp: the link to the primary streams. Synced: a whole copy of that primary's data is
	// held: its first full sync is done, or a partial one was accepted.
	LinkUp, Synced bool
	// Syncing: a full sync is being received; Loading: and our data is gone until it is done;
	// Beside: it is being loaded while our data is still there.
	Syncing, Loading, Beside bool
	History
	Offset int64
	Paused bool
}

// Status reads the state of now.
func (e *Engine) Status() Status {
	st := Status{Replica: e.replica.Load(), Paused: e.paused.Load()}
	st.History, st.Offset = e.Stream.History()
	e.mu.Lock()
	defer e.mu.Unlock()
	if l := e.link; l != nil {
		state := linkState(l.state.Load())
		st.LinkUp = state == linkConnected
		st.Syncing = state == linkTransfer
		st.Loading = l.loading.Load()
		st.Beside = l.beside.Load()
		st.Synced = l.synced.Load()
	}
	return st
}

// Stale reports whether clients' reads must be refused: the link is down and
// replica-serve-stale-data is no.
func (e *Engine) Stale() bool {
	if !e.replica.Load() || e.opts.Load().ServeStale {
		return false
	}
	return !e.Status().LinkUp
}

// Quiesce waits until our data and the stream's offset agree and keeps it so until release is
// called. Whoever makes a cut of the data (BGSAVE too) and notes the offset calls it before
// taking the stripes. On a primary the stripes alone would do.
func (e *Engine) Quiesce() (release func()) {
	e.applyMu.Lock()
	e.quiet.Store(true)
	return func() {
		e.quiet.Store(false)
		e.applyMu.Unlock()
	}
}

// Position is what an RDB says about the stream, or nil when the data belongs to no history
// that somebody could continue. On a replica whose caller did not Quiesce it is also nil when
// commands are being applied, because a file with an offset behind its data would have some
// of them applied twice; such a file costs a full sync. REQUIRES: every stripe.
func (e *Engine) Position() *rdb.Replication {
	if e.replica.Load() && !e.quiet.Load() {
		// Not in the order of locks, but it does not wait. Once the link is seen outside of a batch,
		// it cannot apply anything while the caller has the stripes.
		if !e.applyMu.TryLock() {
			return nil
		}
		defer e.applyMu.Unlock()
	}
	h, off := e.Stream.History()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.replica.Load() {
		if !e.valid {
			return nil
		}
		return &rdb.Replication{StreamDB: e.streamDB, ID: h.ID, Offset: off}
	}
	if active, _, _, _ := e.Stream.backlogState(); !active {
		return nil
	}
	e.Stream.mu.Lock()
	db := max(e.Stream.db, 0)
	e.Stream.mu.Unlock()
	return &rdb.Replication{StreamDB: db, ID: h.ID, Offset: off}
}

// Tap opens a cursor for the append-only file at the end of the stream. db is the database selected
// there, or -1: the stream says it itself before it matters. REQUIRES: every stripe, after Quiesce.
func (e *Engine) Tap() (c *Cursor, db int) { return e.Stream.Tap(), e.selected() }

// Mark is the stream's end, with db as of Tap. REQUIRES: as Tap.
func (e *Engine) Mark() (total int64, db int) { return e.Stream.Mark(), e.selected() }

func (e *Engine) selected() int {
	if !e.replica.Load() {
		return -1
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.streamDB
}

// Resume continues where the data that was loaded at the start left off: a replica will ask
// its primary to go on from there, a primary accepts the replicas it had as far as they are
// not ahead. A node that does not know yet which it will be resumes as a primary: if it is told to
// follow before anything was written, it asks as a replica would. Call it before Start and Follow.
func (e *Engine) Resume(r rdb.Replication, asReplica bool) error {
	if len(r.ID) != len(NoID) || r.Offset < 0 || r.StreamDB < 0 {
		return errors.New("the file's replication id, offset or database is not usable")
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if asReplica {
		e.valid, e.streamDB = true, r.StreamDB
		e.Stream.restart(History{ID: r.ID, ID2: NoID, Second: -1}, r.Offset, true)
		e.Stream.relaysFrom(r.StreamDB)
		return nil
	}
	h, _ := e.Stream.History()
	e.Stream.restart(History{ID: h.ID, ID2: r.ID, Second: r.Offset + 1}, r.Offset, false)
	e.resumed = &r
	e.lonely = e.deps.Now()
	return nil
}

// ensureBacklog begins to keep what replicas will need. A primary that kept nothing so far
// counted nothing either, so its history begins now, under a new id.
func (e *Engine) ensureBacklog() {
	if active, _, _, _ := e.Stream.backlogState(); active {
		return
	}
	id := ""
	if !e.replica.Load() {
		id = e.newID()
	}
	if e.Stream.keep(id) {
		h, _ := e.Stream.History()
		e.emit(EvBacklog, "Replication backlog created, my new replication IDs are '%s' and '%s'", h.ID, h.ID2)
	}
}

// Follow makes us a replica of host:port. It reports false when we follow it already. Replicas
// of ours stay: they are disconnected only when our history turns out to be another one.
// later is not nil when the caller holds stripes: it is given what to do once they are free.
func (e *Engine) Follow(host string, port int, later func(func())) bool {
	e.mu.Lock()
	told := e.toldLinkLocked()
	same := told != nil && told.port == port && equalFold(told.host, host)
	if later != nil && !same {
		e.promise = promise{made: true, link: newLink(e, host, port)}
	}
	e.mu.Unlock()
	if same {
		return false
	}
	e.perform(later, host, port, func() { e.follow(host, port) })
	return true
}

// Promote makes us a primary with the data we have. The history goes on under a new id, the old
// one stays valid up to here, so that our siblings can continue with us. It reports false when
// we are a primary already.
func (e *Engine) Promote(later func(func())) bool {
	e.mu.Lock()
	is := e.toldReplicaLocked()
	if is && later != nil {
		e.promise = promise{made: true}
	}
	e.mu.Unlock()
	if !is {
		return false
	}
	e.perform(later, "", 0, e.promote)
	return true
}

// perform makes f happen now or later. What is to come later is told at once: Sentinel sends REPLICAOF
// and CONFIG REWRITE in one transaction, and the file must name the new primary.
func (e *Engine) perform(later func(func()), host string, port int, f func()) {
	if later != nil {
		e.deps.follows(host, port)
		later(f)
		return
	}
	f()
}

func (e *Engine) follow(host string, port int) {
	e.roleMu.Lock()
	defer e.roleMu.Unlock()
	e.followLocked(host, port)
}

// followLocked is follow. REQUIRES: roleMu.
func (e *Engine) followLocked(host string, port int) {
	e.mu.Lock()
	old := e.link
	started := e.started
	resumed := e.resumed
	e.resumed, e.promise = nil, promise{}
	e.mu.Unlock()
	streamDB := 0
	rebranded := false
	if old != nil {
		old.stop()
	} else if !e.replica.Load() {
		e.deps.Exclusive(func() {
			if resumed != nil && e.Stream.Offset() == resumed.Offset {
				e.Stream.rebrand(History{ID: resumed.ID, ID2: NoID, Second: -1}, true)
				streamDB = resumed.StreamDB
				rebranded = true
			}
			e.Stream.relay()
			e.Stream.relaysFrom(streamDB)
			e.replica.Store(true)
		})
		e.finishWaiters()
		if rebranded {
			e.dropAll("our history is the one of our file now")
		}
		if started {
			e.emit(EvLink, "Before turning into a replica, using my own master parameters to synthesize a cached master: I may be able to synchronize with the new master with just a partial transfer.")
		}
	}
	l := newLink(e, host, port)
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return
	}
	if old == nil && started {
		// We were a primary: the data is the stream's up to here, as a new primary that was our
		// replica will confirm by knowing the id.
		e.valid, e.streamDB = true, streamDB
	}
	if old != nil && linkState(old.state.Load()) == linkConnected {
		e.downSince = e.deps.Now()
	}
	e.link = l
	if started {
		var prev <-chan struct{}
		if old != nil {
			prev = old.done
		}
		e.running.Add(1)
		go func() {
			defer e.running.Done()
			l.run(prev)
		}()
	}
	e.mu.Unlock()
	e.deps.follows(host, port)
}

func (e *Engine) promote() {
	e.roleMu.Lock()
	defer e.roleMu.Unlock()
	e.promoteLocked()
}

// promoteLocked is promote. REQUIRES: roleMu.
func (e *Engine) promoteLocked() {
	e.mu.Lock()
	e.promise = promise{}
	l := e.link
	started := e.started
	e.mu.Unlock()
	if l == nil {
		return
	}
	l.stop()
	if started {
		<-l.done // nothing of the old primary is applied from here on
	}
	id := e.newID()
	now := e.deps.Now()
	e.deps.Exclusive(func() {
		e.dropAll("") // before the first byte of the new history: they must ask for its name
		e.Stream.rename(id, false)
		e.mu.Lock()
		e.link, e.valid, e.downSince, e.lonely = nil, false, 0, now
		e.mu.Unlock()
		e.replica.Store(false)
	})
	e.deps.follows("", 0)
	h, _ := e.Stream.History()
	e.emit(EvRole, "Setting secondary replication ID to %s, valid up to offset: %d. New replication ID is %s", h.ID2, h.Second, h.ID)
}

// PauseFeed stops (or resumes) what we put into the stream ourselves, PING and GETACK, so that
// the offset stands still while writes are paused for a manual failover. PINGs go on as failover.pings says; what
// acknowledgements somebody wants meanwhile are asked for when it is over.
func (e *Engine) PauseFeed(on bool) {
	e.paused.Store(on)
	if !on && e.getackWanted.Load() {
		e.Stream.signal()
	}
}

// GoodReplicas is how many replicas are online and lag at most min-replicas-max-lag.
func (e *Engine) GoodReplicas() int {
	o := e.opts.Load()
	if o.MinReplicas == 0 || o.MinReplicasMaxLag == 0 {
		return 0
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.goodLocked(o)
}

func (e *Engine) goodLocked(o *Options) (n int) {
	oldest := e.deps.Now() - o.MinReplicasMaxLag.Milliseconds()
	for _, r := range e.replicas {
		if r.state == replicaOnline && r.ackTime >= oldest {
			n++
		}
	}
	return n
}

// EnoughReplicas is the gate of min-replicas-to-write. It takes no lock; it is as fresh as the
// last tick or acknowledgement.
func (e *Engine) EnoughReplicas() bool {
	o := e.opts.Load()
	return o.MinReplicas == 0 || o.MinReplicasMaxLag == 0 || e.replica.Load() || int(e.good.Load()) >= o.MinReplicas
}

func (e *Engine) refreshGoodLocked() { e.good.Store(int32(e.goodLocked(e.opts.Load()))) }

// runPump ends receivers that the stream outran, and ships what nobody else does.
func (e *Engine) runPump() {
	for {
		select {
		case <-e.Stream.wake:
		case <-e.quit:
			return
		}
		e.Ship(0, true)
		for _, c := range e.Stream.overrun() {
			e.dropOverrun(c)
		}
	}
}

func (e *Engine) dropOverrun(c *Cursor) {
	e.mu.Lock()
	for _, r := range e.replicas {
		if r.cursor == c {
			e.dropLaggingLocked(r)
			break
		}
	}
	e.mu.Unlock()
}

// dropLaggingLocked drops r for its lag. REQUIRES: e.mu.
func (e *Engine) dropLaggingLocked(r *Replica) {
	e.Counters.ReplicasDropped.Inc()
	e.Counters.OutputLimit.Inc()
	e.warn(EvReplicaDropped, "Client %s scheduled to be closed ASAP for overcoming of output buffer limits.", r.name())
	e.dropLocked(r)
}

const tick = 100 * time.Millisecond

// runCron is what happens by time.
func (e *Engine) runCron() {
	beat := e.deps.Pulse
	if beat == nil {
		t := time.NewTicker(tick)
		defer t.Stop()
		beat = t.C
	}
	for {
		select {
		case <-beat:
			e.cron(e.deps.Now())
		case <-e.quit:
			return
		}
	}
}

func (e *Engine) cron(now int64) {
	e.stepFailover(now)
	o := e.opts.Load()
	isReplica := e.replica.Load()
	offset := e.Stream.Offset()
	ping, freed, waits := false, false, false
	e.mu.Lock()
	for i := 0; i < len(e.replicas); i++ {
		r := e.replicas[i]
		waits = waits || r.state == replicaWaitStart
		if e.expireLocked(r, o, now, offset) {
			i--
		}
	}
	e.refreshGoodLocked()
	if now-e.lastPing >= o.PingPeriod.Milliseconds() {
		e.lastPing = now // with or without replicas, as Redis does: none is sent because one came
		ping = len(e.replicas) > 0 && !isReplica && (!e.paused.Load() || e.failover.pings())
	}
	if len(e.replicas) > 0 {
		e.lonely = now
	} else if !isReplica && o.BacklogTTL > 0 && now-e.lonely > o.BacklogTTL.Milliseconds() {
		if active, _, _, _ := e.Stream.backlogState(); active {
			freed = e.Stream.forget(e.newID())
		}
	}
	e.mu.Unlock()
	if ping {
		e.Stream.control(pingBytes)
	}
	e.Ship(0, true) // what a loop that does not come to its round's end has appended
	if freed {
		e.emit(EvBacklog, "Replication backlog freed after %d seconds without connected replicas.", int(o.BacklogTTL.Seconds()))
	}
	if waits {
		e.kickSyncs()
	}
}

// expireLocked drops r if it was silent or lagged too long.
func (e *Engine) expireLocked(r *Replica, o *Options, now, offset int64) bool {
	if r.state == replicaOnline && !r.prePsync && now-r.ackTime > o.Timeout.Milliseconds() {
		e.Counters.ReplicasDropped.Inc()
		e.warn(EvReplicaDropped, "Disconnecting timedout replica (streaming sync): %s", r.name())
		e.dropLocked(r)
		return true
	}
	if since := r.sendingSince.Load(); since != 0 && now-since > o.Timeout.Milliseconds() {
		e.Counters.ReplicasDropped.Inc()
		e.warn(EvReplicaDropped, "Disconnecting timedout replica (full sync): %s", r.name())
		e.dropLocked(r)
		return true
	}
	if r.cursor == nil {
		return false
	}
	lag := offset - r.cursor.Pos()
	if o.SoftLimit == 0 || lag <= o.SoftLimit {
		r.softSince = 0
	} else if r.softSince == 0 {
		r.softSince = now
	}
	if hard := o.hardLimit(); hard > 0 && lag > hard || r.softSince != 0 && now-r.softSince > o.SoftTime.Milliseconds() {
		e.dropLaggingLocked(r)
		return true
	}
	return false
}

func (e *Engine) dial(ctx context.Context, host string, port int) (net.Conn, error) {
	o := e.opts.Load()
	addr := net.JoinHostPort(host, strconv.Itoa(port))
	if e.deps.Dial != nil {
		return e.deps.Dial(ctx, addr, o.BindSource)
	}
	d := net.Dialer{}
	if o.BindSource != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(o.BindSource)}
	}
	return d.DialContext(ctx, "tcp", addr)
}
