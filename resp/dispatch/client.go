package dispatch

import (
	"errors"
	"sort"
	"sync/atomic"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/acl"
	"github.com/sextantdb/sextant/resp/channel"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/server"
	"github.com/sextantdb/sextant/resp/session"
	"github.com/sextantdb/sextant/resp/tracking"
	"github.com/sextantdb/sextant/store"
)

// client is what stands behind one connection (or behind an Applier, which has none).
type client struct {
	sess session.Session

	// Immutable after construction.
	conn    *server.Conn // nil for an Applier
	face    command.Conn // conn as handlers see it; nil for an Applier
	w       *worker
	out     *resp.Writer
	trusted bool // the link to our primary, or a loader: no gates, no routing, its effects are not sent on

	waiting atomic.Bool // parked for data: set on the loop, cleared by whoever ends the ticket, read by anyone

	// Made on the client's loop when it is first needed; read by anyone.
	subs  atomic.Pointer[channel.Subscriber]
	cache atomic.Pointer[tracking.Client]

	// Owned by the client's loop.
	ticket    *ticket  // parked
	postponed [][]byte // the call that CLIENT PAUSE holds back
	asking    bool     // it came with ASKING
	costly    bool     // the connection was told what the session costs
}

// view is how the client sees expired keys. While clients are paused nothing may change, so
// keys whose time has come are hidden as on a replica and stay.
func (c *client) view(d *Dispatcher, gates Gate) store.View {
	if c.trusted {
		return store.ViewStream
	}
	v := store.View(d.view.Load())
	if v == store.ViewPrimary && gates&GatePause != 0 {
		return store.ViewReplica
	}
	return v
}

// ErrCrossProtocol closes a connection that speaks HTTP: a web page makes a browser inside the
// network post commands to us, line by line. Nothing behind the first such line is run.
var ErrCrossProtocol = errors.New("HTTP on the port for clients")

func crossProtocol(word []byte) bool { return command.Is(word, "POST") || command.Is(word, "HOST:") }

// face adapts a connection for handlers.
type face struct{ c *server.Conn }

func (f face) Addr() string      { return f.c.Addr() }
func (f face) LocalAddr() string { return f.c.LocalAddr() }
func (f face) CloseAfterReply()  { f.c.CloseAfterReply() }
func (f face) Push(b []byte)     { f.c.PushFrom(f.c.Loop(), b) }
func (f face) TakePushes()       { f.c.TakePushes() }
func (f face) SetProto(p int)    { f.c.SetProto(p) }

func (f face) SetPubSub(on bool) {
	class := server.ClassNormal
	if on {
		class = server.ClassPubSub
	}
	f.c.SetClass(class)
}

// Opened implements server.Handler.
func (d *Dispatcher) Opened(sc *server.Conn) {
	c := &client{conn: sc, face: face{sc}, w: d.workers[sc.Loop().Index()], out: &sc.Out}
	var user *acl.Account
	def := d.acl.Default().User()
	if def.Open() {
		user = d.acl.Default()
	}
	var f session.Flags
	if sc.Unix() {
		f |= session.Unix
	}
	c.sess.Init(int64(sc.ID()), user, f)
	sc.Context = c
	if d.gates.Load()&uint32(GateProtected) != 0 && def.NoPass && !sc.Loopback() {
		sc.Out.Error(resp.ErrDenied)
		sc.CloseAfterReply()
	}
	sc.SetUnauthenticated(user == nil)
	d.mu.Lock()
	d.mu.clients[c.sess.ID] = c
	d.mu.Unlock()
}

// Command implements server.Handler.
func (d *Dispatcher) Command(sc *server.Conn, argv [][]byte) {
	c := sc.Context.(*client)
	l := sc.Loop()
	w := c.w
	if w.script.on { // it runs over its time, and lets the loop serve others in between
		w = w.innerWorker()
	}
	w.loop, w.nowMs, w.mono = l, l.NowMs, l.Mono
	if w.turn != l.Turn {
		w.turn, w.ended = l.Turn, 0
	}
	before := c.sess.Account()
	c.out.Proto = c.sess.Proto()
	w.serve(c, argv)
	d.hold(c)
	if now := c.sess.Account(); before != now {
		sc.SetUnauthenticated(now == nil)
	}
	if costly := c.sess.Any(session.Multi|session.Subscribed|session.NoEvict|session.TrackBroadcast) || c.sess.Watching() > 0; costly || c.costly {
		c.costly = costly
		sc.SetCost(c.bytes(), c.sess.Any(session.NoEvict))
	}
}

// bytes is what the client costs beside its connection.
func (c *client) bytes() int64 {
	n := c.sess.Bytes()
	if cache := c.cache.Load(); cache != nil {
		n += cache.Bytes()
	}
	return n
}

// BeforeWrite implements server.Handler.
func (d *Dispatcher) BeforeWrite(l *server.Loop) {
	d.tracking.Flush(l)
	if p := d.commit.Load(); p != nil && (*p).RoundEnded() {
		l.Again()
	}
}

// Closed implements server.Handler.
func (d *Dispatcher) Closed(sc *server.Conn, why error) {
	c := sc.Context.(*client)
	d.mu.Lock()
	delete(d.mu.clients, c.sess.ID)
	d.mu.Unlock()
	if c.ticket != nil {
		c.ticket.abandon()
	}
	d.unhold(c)
	c.w.discard(c)
	d.EndMonitor(&c.sess)
	if s := c.subs.Load(); s != nil {
		s.Close()
	}
	d.untrack(c)
	if cache := c.cache.Load(); cache != nil {
		cache.Close()
	}
	if why != server.ErrDetached { // else it lives on with another owner
		c.sess.Set(session.Closing)
	}
}

// each calls f for every client that is not about to be closed, by ascending ID.
func (d *Dispatcher) each(f func(*client)) {
	d.mu.Lock()
	all := make([]*client, 0, len(d.mu.clients))
	for _, c := range d.mu.clients {
		if !c.conn.Evicted() {
			all = append(all, c)
		}
	}
	d.mu.Unlock()
	sort.Slice(all, func(i, j int) bool { return all[i].sess.ID < all[j].sess.ID })
	for _, c := range all {
		f(c)
	}
}

// find returns the client with this ID, or nil.
func (d *Dispatcher) find(id int64) *client {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.clients[id]
}

// Each calls f for every connected client by ascending ID until f returns false. Any
// goroutine; of s and c only what is marked so may be used.
func (d *Dispatcher) Each(f func(s *session.Session, c *server.Conn) bool) {
	more := true
	d.each(func(c *client) { more = more && f(&c.sess, c.conn) })
}

// Client returns the client with this ID. Any goroutine.
func (d *Dispatcher) Client(id int64) (*session.Session, *server.Conn, bool) {
	c := d.find(id)
	if c == nil {
		return nil, nil, false
	}
	return &c.sess, c.conn, true
}

// Detach takes the connection a handler was called on away from its loop; see
// server.Conn.Detach.
func Detach(c *command.Ctx) (*server.Detached, error) {
	f, ok := c.Conn.(face)
	if !ok {
		return nil, errors.New("a client without a connection cannot be detached")
	}
	return f.c.Detach()
}
