package dispatch

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/acl"
	"github.com/sextantdb/sextant/resp/channel"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/observe"
	"github.com/sextantdb/sextant/resp/session"
	"github.com/sextantdb/sextant/resp/tracking"
	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/stat"
)

// Options compose a Dispatcher. Table, Store and ACL are required.
type Options struct {
	Table    *command.Table
	Store    *store.Store
	ACL      *acl.List
	Router   Router      // nil: a node alone
	Sink     Sink        // nil: nobody takes the stream
	Shipper  Shipper     // nil: what is in the stream goes on by itself
	Observer Observer    // nil: nobody counts
	Events   Broadcaster // nil: nobody listens
	// Loops is the number of event loops that will call Command.
	Loops int
	// Clock returns nanoseconds that only go up, for durations. nil: the system's.
	Clock func() int64
	// NowMs is the time of day in Unix milliseconds, for what is run behind a call and cannot know
	// how long that took. nil: the system's.
	NowMs func() int64
	// LazyExpire and LazyEvict say that expired and evicted keys leave as UNLINK instead of DEL
	// (lazyfree-lazy-expire, lazyfree-lazy-eviction). nil: DEL.
	LazyExpire, LazyEvict func() bool
	// Feed takes every call for clients in MONITOR mode. nil: there are none.
	Feed *observe.Feed
	// Channels are the subscriptions of clients. nil: a registry that nobody watches.
	Channels *channel.Registry
	// OtherBytes is the memory in use outside the keyspace that counts towards maxmemory.
	OtherBytes func() int64
	// ScriptSlow is told of a script that runs over its time. nil: nobody is.
	ScriptSlow func(name string, ms int64)
	// Denied is told of every call that ACL rules refuse, on the client's loop. nil: nobody is.
	Denied func(s *session.Session, d acl.Denial)
	// Recount brings OtherBytes up to date before a call is refused for want of memory. nil: it is
	// always up to date.
	Recount func()
}

// Dispatcher is the server.Handler of a node.
type Dispatcher struct {
	// Immutable after New.
	table    *command.Table
	store    *store.Store
	acl      *acl.List
	router   Router
	sink     Sink
	shipper  Shipper
	observer Observer
	events   Broadcaster
	clock    func() int64
	wall     func() int64
	other    func() int64
	recount  func()
	feed     *observe.Feed
	channels *channel.Registry
	tracking *tracking.Table
	workers  []*worker // one per loop

	lazyExpire, lazyEvict func() bool

	gates     atomic.Uint32 // set of Gate
	view      atomic.Uint32 // store.View of ordinary clients
	misconf   atomic.Pointer[resp.Error]
	elsewhere atomic.Pointer[resp.Error] // what GateRedirect answers
	commit    atomic.Pointer[Commit]     // nil: replies wait for nothing
	limits    limits
	ownExpiry atomic.Bool   // see own.go
	tickets   atomic.Uint64 // counts tickets with keys: their order
	expire    atomic.Bool   // active expiry on (DEBUG SET-ACTIVE-EXPIRE)

	expireBudget atomic.Int64 // ns a tick of active expiry may take; see SetExpireEffort

	scriptLimit     atomic.Int64 // see SetScriptLimit, in ns
	scriptsAllowAll atomic.Bool  // see SetScriptsAllowAll
	scripts         atomic.Int64 // calls under way that run a script, from before they lock
	scriptPulse     atomic.Int64 // clock when a script was last seen running
	scriptSlow      func(name string, ms int64)
	denied          func(*session.Session, acl.Denial)

	lots []lot // by stripe, guarded by it: see wake.go

	// Counters are exported for node to register.
	Stats Stats

	mu struct {
		sync.Mutex
		clients map[int64]*client
		pause   pause
		moving  moving
		slow    []*slowScript // scripts that run over their time
	}
}

// Stats are the numbers dispatch counts.
type Stats struct {
	Blocked       stat.Level   // blocked_clients
	BlockedInTime stat.Level   // clients_in_timeout_table: those of them parked with a time limit
	Evicted       stat.Counter // evicted_keys
	ExpireStopped stat.Counter // expired_time_cap_reached_count
	ExpireNs      stat.Counter // time spent in active expiry, ns

	OwnExpires stat.Level // slave_expires_tracked_keys: see own.go

	BlockingKeys        stat.Level // total_blocking_keys: keys that clients wait for
	BlockingKeysOnNoKey stat.Level // total_blocking_keys_on_nokey: of them, keys whose end is waited for
}

// New returns a Dispatcher that lets everything in; open and close its gates with SetGate.
func New(o Options) *Dispatcher {
	d := &Dispatcher{
		table: o.Table, store: o.Store, acl: o.ACL, router: o.Router,
		sink: o.Sink, shipper: o.Shipper, observer: o.Observer, events: o.Events, clock: o.Clock, other: o.OtherBytes,
	}
	if d.feed = o.Feed; d.feed == nil {
		d.feed = new(observe.Feed)
	}
	if d.channels = o.Channels; d.channels == nil {
		d.channels = channel.New(nil)
	}
	if d.sink == nil {
		d.sink = noSink{}
	}
	if d.shipper == nil {
		d.shipper = noShipper{}
	}
	if d.observer == nil {
		d.observer = noObserver{}
	}
	if d.events == nil {
		d.events = noBroadcaster{}
	}
	if d.clock == nil {
		start := time.Now()
		d.clock = func() int64 { return int64(time.Since(start)) }
	}
	if d.wall = o.NowMs; d.wall == nil {
		d.wall = func() int64 { return time.Now().UnixMilli() }
	}
	if d.recount = o.Recount; d.recount == nil {
		d.recount = func() {}
	}
	if d.other == nil {
		d.other = func() int64 { return 0 }
	}
	d.scriptSlow = o.ScriptSlow
	if d.denied = o.Denied; d.denied == nil {
		d.denied = func(*session.Session, acl.Denial) {}
	}
	d.lazyExpire, d.lazyEvict = o.LazyExpire, o.LazyEvict
	d.expire.Store(true)
	d.SetExpireEffort(1)
	d.lots = make([]lot, d.store.Stripes())
	d.mu.clients = map[int64]*client{}
	d.tracking = tracking.New(d.receiver)
	for i := range max(o.Loops, 1) {
		d.workers = append(d.workers, newWorker(d, i))
	}
	return d
}

// Table is the command table requests are looked up in.
func (d *Dispatcher) Table() *command.Table { return d.table }

// SetView says whether this node's clients see the keyspace as a primary's or a replica's.
func (d *Dispatcher) SetView(v store.View) { d.view.Store(uint32(v)) }

// SetExpireEffort puts active-expire-effort, 1 to 10, in force.
func (d *Dispatcher) SetExpireEffort(n int64) {
	d.expireBudget.Store(expireBudgetNs + (n-1)*expireEffortNs)
}

// SetActiveExpire switches the active removal of expired keys (DEBUG SET-ACTIVE-EXPIRE).
func (d *Dispatcher) SetActiveExpire(on bool) { d.expire.Store(on) }

// Commands is how many calls were run (total_commands_processed), appliers' left out.
func (d *Dispatcher) Commands() (n int64) {
	for _, w := range d.workers {
		n += w.commands.Load()
	}
	return n
}

// deletion is the command by which an expired key leaves, evictWord that of an evicted one.
func (d *Dispatcher) deletion() []byte  { return lazyWord(d.lazyExpire) }
func (d *Dispatcher) evictWord() []byte { return lazyWord(d.lazyEvict) }

func lazyWord(lazy func() bool) []byte {
	if lazy != nil && lazy() {
		return unlinkWord
	}
	return delWord
}

// Fence returns when every call that began before it has ended: whoever publishes a new view
// and fences knows that nothing runs under the old one. nowMs is Unix time.
func (d *Dispatcher) Fence(nowMs int64) {
	var t store.Txn
	t.BeginAll(d.store, nowMs)
	t.End()
}
