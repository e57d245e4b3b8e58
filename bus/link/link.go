// Package link owns the connections between nodes: it dials, accepts, authenticates, keeps alive and closes them, and
// carries opaque frames over them within byte budgets.
//
// cluster/node builds one [Net] and connects it with cluster/agent: the agent says whom to be connected with (SetPeers) and
// what to send (Send); the Net calls the agent's [Owner] for each frame and each change of a link.
//
// It must not know messages, views, slots or roles: a frame is bytes, and a node is an id that proved itself in a handshake.
//
// # Connections
//
// Two nodes keep one control connection, whoever dialed it, and one connection for pub/sub once either has something
// to publish, so that a flood of messages delays no heartbeat (H15). On the control connection, frames of Control
// overtake waiting frames of Bulk. A connection carries frames both ways. If both nodes dial at once, the connection dialed by
// the lesser id stays; of two dialed by the same node, the newer. The lesser id takes no connection up while its own dial is
// past the point of no return (target.committed), and goes past it only while none stands; its peer sends nothing
// before it is welcome. So of two dials at once only one ever carries a frame, and nothing waits on the one that gives way.
//
// A peer is a node id, pinned: a dialer that finds another id at an address hangs up (H17). Where a peer calls from does
// not matter (H18). A peer without an id is an address to MEET: whoever answers is named in LinkUp.
//
// # Bounds
//
// Nothing a stranger sends is kept: before a connection is authenticated exactly 120 bytes are read from it, into a
// fixed buffer, within HandshakeTimeout, on at most MaxHandshakes connections at once. A frame's length is checked before its bytes
// are read. Each outgoing queue has a byte budget; a frame that does not fit is dropped and counted. Dials are spaced by an
// exponential backoff with jitter. Strangers, wrong versions and rubbish are dropped, counted, and told once (Event).
//
// # Concurrency
//
// The methods of Net may be called from any goroutine and never block on the network. Owner is called on the links'
// own goroutines: LinkUp, the frames, and LinkDown of one node in that order and never at once, different nodes at once.
package link

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sextantdb/sextant/bus"
	"github.com/sextantdb/sextant/store/stat"
)

// Channel says by which connection, and with which right of way, a frame goes.
type Channel uint8

const (
	// Control frames go first: heartbeats, leases, votes.
	Control Channel = iota
	// Bulk frames share the control connection and go when no Control frame waits: tables, slot maps.
	Bulk
	// PubSub frames have a connection of their own.
	PubSub

	numChannels
)

func (c Channel) String() string { return [numChannels]string{"control", "bulk", "pubsub"}[c] }

// Purpose is what a connection is for.
type Purpose uint8

// The purposes.
const (
	ForControl Purpose = iota
	ForPubSub

	numPurposes
)

func (p Purpose) String() string { return [numPurposes]string{"control", "pubsub"}[p] }

func (c Channel) purpose() Purpose {
	if c == PubSub {
		return ForPubSub
	}
	return ForControl
}

// Auth is how the two ends of a connection prove that they belong together (cluster-bus-auth).
type Auth uint8

const (
	// AuthNone proves nothing. It is allowed between loopback and private addresses only.
	AuthNone Auth = iota
	// AuthHMAC proves knowledge of Options.Secret and protects each frame by a MAC and a counter.
	AuthHMAC
	// AuthTLS leaves both to TLS with certificates on both sides (Options.TLS).
	AuthTLS
)

func (a Auth) String() string {
	if int(a) < 3 {
		return [...]string{"none", "hmac", "tls"}[a]
	}
	return fmt.Sprintf("auth(%d)", uint8(a))
}

// Identity is who a node says, and with AuthHMAC or AuthTLS proves, to be.
type Identity struct {
	ID      bus.NodeID
	Cluster bus.ClusterID // learned in the handshake; whether it fits is the Owner's decision
}

// Peer describes the far end of a link.
type Peer struct {
	Identity
	Purpose Purpose
	Addr    string // where it is connected from or was dialed at, ip:port
	IP      string // Addr without the port
	LocalIP string // our address as the connection has it: how a node learns its own
	Dialed  bool
	Target  string // the address given to SetPeers that was dialed; empty for accepted ones
	Serial  uint64 // of the connection, from 1; no two of a Net have the same
}

// Owner hears of frames and links. See "Concurrency" in the package documentation.
type Owner interface {
	// Frame takes one frame, valid until it returns. It may block: then nothing more is read from this link, and if
	// it blocks longer than DeadAfter the far end may give the link up.
	Frame(from Peer, purpose Purpose, frame []byte)
	// LinkUp says that a control connection to a node stands where none stood. Connections for pub/sub are not told.
	LinkUp(p Peer)
	// LinkDown says that the last control connection to a node is gone. It may block.
	LinkDown(p Peer, why error)
}

// Target is somebody to be connected with.
type Target struct {
	ID    bus.NodeID // zero: whoever answers at the addresses (MEET)
	Addrs []string   // host:port, tried in this order
}

// Options are a Net's constants.
type Options struct {
	Self   Identity
	Auth   Auth
	Secret []byte      // of AuthHMAC
	TLS    *tls.Config // of AuthTLS: certificates for both roles, client certificates required
	Owner  Owner
	// Events takes what a log wants to know; nil drops it. It is called on any goroutine and must not block.
	Events func(Event)
	Seed   uint64 // of the jitter
	// Dial opens connections; nil dials TCP. LocalAddr is the source address of that, or empty.
	Dial      func(ctx context.Context, addr string) (net.Conn, error)
	LocalAddr string

	HandshakeTimeout time.Duration // default 3 s, dialing included
	Heartbeat        time.Duration // an idle connection sends an empty frame this often; default 1 s
	DeadAfter        time.Duration // a connection that brought nothing for so long is closed; default 5 s
	RedialMin        time.Duration // first pause after a failed dial; default 100 ms
	RedialMax        time.Duration // longest pause; default 5 s
	MaxLinks         int           // authenticated connections; default 4096
	MaxHandshakes    int           // connections in the accepting half of a handshake; default 64
	// Budget bounds the bytes waiting on one connection: Control and Bulk separately, PubSub. Defaults 4, 8 and 32 MiB.
	Budget [numChannels]int
}

func (o Options) withDefaults() Options {
	defDur := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	defInt := func(n *int, v int) {
		if *n <= 0 {
			*n = v
		}
	}
	defDur(&o.HandshakeTimeout, 3*time.Second)
	defDur(&o.Heartbeat, time.Second)
	defDur(&o.DeadAfter, 5*time.Second)
	defDur(&o.RedialMin, 100*time.Millisecond)
	defDur(&o.RedialMax, 5*time.Second)
	defInt(&o.MaxLinks, 4096)
	defInt(&o.MaxHandshakes, 64)
	defInt(&o.Budget[Control], 4<<20)
	defInt(&o.Budget[Bulk], 8<<20)
	defInt(&o.Budget[PubSub], 32<<20)
	if o.Events == nil {
		o.Events = func(Event) {}
	}
	if o.Dial == nil {
		d := net.Dialer{KeepAlive: o.DeadAfter}
		if o.LocalAddr != "" {
			d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(o.LocalAddr)}
		}
		o.Dial = func(ctx context.Context, addr string) (net.Conn, error) { return d.DialContext(ctx, "tcp", addr) }
	}
	return o
}

// Validate refuses options that cannot work.
func (o Options) Validate() error {
	switch {
	case o.Owner == nil:
		return errors.New("link: no owner")
	case o.Auth == AuthHMAC && len(o.Secret) < 16:
		return errors.New("link: the secret of hmac authentication is shorter than 16 bytes")
	case o.Auth == AuthTLS && (o.TLS == nil || o.TLS.ClientAuth != tls.RequireAndVerifyClientCert):
		return errors.New("link: tls authentication needs a configuration that requires and verifies client certificates")
	case o.Auth > AuthTLS:
		return fmt.Errorf("link: unknown %v", o.Auth)
	case o.LocalAddr != "" && net.ParseIP(o.LocalAddr) == nil:
		return fmt.Errorf("link: source address %q is no IP", o.LocalAddr)
	}
	return nil
}

// Stats count what happened to a Net's connections. Any goroutine.
type Stats struct {
	FramesIn     stat.Counter
	FramesOut    stat.Counter
	BytesIn      stat.Counter
	BytesOut     stat.Counter
	Dials        stat.Counter
	DialFails    stat.Counter
	Accepts      stat.Counter
	Rejects      [numReasons]stat.Counter  // by Reason
	Dropped      [numChannels]stat.Counter // for whatever reason
	DroppedBytes stat.Counter
	OverBudget   [numChannels]stat.Counter // of them, those whose connection had no room
	Links        stat.Level                // authenticated connections
}

// Net is a node's connections to the others.
type Net struct {
	// Stats may be read at any time.
	Stats Stats

	// Immutable after construction.
	opts   Options
	ctx    context.Context
	cancel context.CancelFunc

	dead       atomic.Int64 // DeadAfter as SetTimes left it, ns
	beat       atomic.Int64 // Heartbeat likewise
	handshakes atomic.Int64
	serial     atomic.Uint64 // of the last connection
	closed     atomic.Bool
	running    sync.WaitGroup // every goroutine of the Net

	mu struct {
		sync.Mutex
		self      Identity
		rng       *rand.Rand
		targets   map[string]*target // by Target.key
		nodes     map[bus.NodeID]*node
		listeners []net.Listener
		told      map[string]bool // events that were told; see tellOnce
		links     int
	}
}

// node is what the Net has with one other node.
type node struct {
	id bus.NodeID
	// order serialises what the Owner is told about this node. Held by link goroutines while they call LinkUp and
	// LinkDown; never taken with Net.mu held, and never by Send.
	order sync.Mutex
	// told is whether the Owner believes the control link up. Guarded by order.
	told bool

	// Guarded by Net.mu.
	conns  [numPurposes]*conn
	pubbox *outbox // PubSub frames that wait for their connection
	users  int     // connections that will still call up or down
}

// New makes a Net that does nothing yet.
func New(opts Options) (*Net, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	n := &Net{opts: opts.withDefaults()}
	n.dead.Store(int64(n.opts.DeadAfter))
	n.beat.Store(int64(n.opts.Heartbeat))
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.mu.self = opts.Self
	n.mu.rng = rand.New(rand.NewPCG(opts.Seed, uint64(opts.Self.Cluster)))
	n.mu.targets = make(map[string]*target)
	n.mu.nodes = make(map[bus.NodeID]*node)
	n.mu.told = make(map[string]bool)
	if opts.Auth == AuthNone {
		n.opts.Events(Event{Kind: Unauthenticated})
	}
	return n, nil
}

// SetTimes replaces Heartbeat and DeadAfter, for standing connections too. Any goroutine.
func (n *Net) SetTimes(heartbeat, deadAfter time.Duration) {
	if n.dead.Swap(int64(deadAfter)) == int64(deadAfter) && n.beat.Load() == int64(heartbeat) {
		return
	}
	n.beat.Store(int64(heartbeat))
	n.mu.Lock()
	conns := n.connsLocked()
	n.mu.Unlock()
	for _, c := range conns { // reads that are waiting have the old deadline
		_ = c.nc.SetReadDeadline(time.Now().Add(deadAfter)) // fails on a closed connection only
		c.box.poke()
	}
}

func (n *Net) deadAfter() time.Duration { return time.Duration(n.dead.Load()) }
func (n *Net) heartbeat() time.Duration { return time.Duration(n.beat.Load()) }

// Identify changes who this node is. When the id changes all connections are closed and made anew.
func (n *Net) Identify(self Identity) {
	n.mu.Lock()
	moved := n.mu.self.ID != self.ID
	n.mu.self = self
	var old []*conn
	if moved {
		old = n.connsLocked()
	}
	n.mu.Unlock()
	for _, c := range old {
		c.close(ErrIdentity)
	}
}

func (n *Net) self() Identity {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.mu.self
}

func (n *Net) connsLocked() []*conn {
	var all []*conn
	for _, nd := range n.mu.nodes {
		for _, c := range nd.conns {
			if c != nil {
				all = append(all, c)
			}
		}
	}
	return all
}

// SetPeers says with whom to keep a control connection. Connections that were dialed to nodes that are no longer named are
// closed; accepted ones stay.
func (n *Net) SetPeers(targets []Target) {
	n.mu.Lock()
	if n.closed.Load() {
		n.mu.Unlock()
		return
	}
	wanted := make(map[string]bool, len(targets))
	ids := make(map[bus.NodeID]bool, len(targets))
	for _, t := range targets {
		if t.ID == n.mu.self.ID {
			continue
		}
		key := t.key(ForControl)
		wanted[key] = true
		ids[t.ID] = true
		n.wantLocked(key, t, ForControl)
		if pub := n.mu.targets[t.key(ForPubSub)]; pub != nil {
			wanted[t.key(ForPubSub)] = true
			pub.update(t.Addrs)
		}
	}
	var old []*conn
	for key, t := range n.mu.targets {
		if wanted[key] {
			continue
		}
		t.cancel()
		delete(n.mu.targets, key)
	}
	for id, nd := range n.mu.nodes {
		if ids[id] {
			continue
		}
		for _, c := range nd.conns {
			// A MEET address that is still wanted keeps the connection it led to.
			if c != nil && c.peer.Dialed && !wanted[Target{Addrs: []string{c.peer.Target}}.key(ForControl)] {
				old = append(old, c)
			}
		}
	}
	n.mu.Unlock()
	for _, c := range old {
		c.close(ErrNoPeer)
	}
}

// wantLocked makes or updates the dialer of a target.
func (n *Net) wantLocked(key string, t Target, p Purpose) {
	if have := n.mu.targets[key]; have != nil {
		have.update(t.Addrs)
		return
	}
	nt := newTarget(n, t, p)
	n.mu.targets[key] = nt
	n.running.Add(1)
	go nt.run()
}

// Serial is the number of the connection to a node that stands for a purpose now, 0 if there is none.
func (n *Net) Serial(id bus.NodeID, p Purpose) uint64 {
	if c := n.standing(id, p); c != nil {
		return c.peer.Serial
	}
	return 0
}

// SendOver is Send over one connection and no other.
func (n *Net) SendOver(serial uint64, to bus.NodeID, ch Channel, frame []byte) bool {
	c := n.standing(to, ch.purpose())
	if c == nil || c.peer.Serial != serial {
		n.dropped(ch, 1, len(frame))
		return false
	}
	return n.queue(c.box, ch, frame)
}

// HangUp closes all connections. Whoever wants one dials again.
func (n *Net) HangUp() {
	n.mu.Lock()
	all := n.connsLocked()
	n.mu.Unlock()
	for _, c := range all {
		c.close(ErrNoPeer)
	}
}

// Break ends a connection that its user cannot rely on any more.
func (n *Net) Break(serial uint64, id bus.NodeID, p Purpose) {
	if c := n.standing(id, p); c != nil && c.peer.Serial == serial {
		c.close(ErrUnreliable)
	}
}

// Send queues a frame for a node. The Net keeps the frame and never changes it: one frame may be sent to many. It reports
// whether the frame was queued: it is dropped without a connection, and over budget. A PubSub frame to a peer with a control
// connection waits for the connection it causes.
func (n *Net) Send(to bus.NodeID, ch Channel, frame []byte) bool {
	if len(frame) == 0 || len(frame) > bus.MaxFrame {
		panic(fmt.Sprintf("link: frame of %d bytes", len(frame)))
	}
	n.mu.Lock()
	nd := n.mu.nodes[to]
	var box *outbox
	if nd != nil {
		if c := nd.conns[ch.purpose()]; c != nil {
			box = c.box
		} else if ch == PubSub && nd.conns[ForControl] != nil {
			box = n.pubboxLocked(nd)
		}
	}
	n.mu.Unlock()
	if box == nil {
		n.dropped(ch, 1, len(frame))
		return false
	}
	return n.queue(box, ch, frame)
}

func (n *Net) queue(box *outbox, ch Channel, frame []byte) bool {
	fits, open := box.add(ch, frame)
	if fits {
		return true
	}
	if open {
		n.Stats.OverBudget[ch].Inc()
	}
	n.dropped(ch, 1, len(frame))
	return false
}

// SendAddr is Send to whoever answered at an address that was a Target without an id.
func (n *Net) SendAddr(addr string, ch Channel, frame []byte) bool {
	n.mu.Lock()
	var id bus.NodeID
	if t := n.mu.targets[Target{Addrs: []string{addr}}.key(ForControl)]; t != nil {
		id = t.found
	}
	n.mu.Unlock()
	if id.IsZero() {
		n.dropped(ch, 1, len(frame))
		return false
	}
	return n.Send(id, ch, frame)
}

// pubboxLocked makes the queue of a pub/sub connection that does not stand yet, and has it dialed where the control
// connection would be. Without such an address there is none (nil).
func (n *Net) pubboxLocked(nd *node) *outbox {
	control := n.mu.targets[Target{ID: nd.id}.key(ForControl)]
	if control == nil {
		return nil
	}
	if nd.pubbox != nil {
		return nd.pubbox
	}
	nd.pubbox = newOutbox(&n.opts.Budget)
	t := Target{ID: nd.id, Addrs: control.addresses()}
	key := t.key(ForPubSub)
	n.wantLocked(key, t, ForPubSub)
	n.mu.targets[key].poke()
	return nd.pubbox
}

func (n *Net) dropped(ch Channel, frames, bytes int) {
	if frames > 0 {
		n.Stats.Dropped[ch].Add(int64(frames))
		n.Stats.DroppedBytes.Add(int64(bytes))
	}
}

// Info describes one connection, for CLUSTER LINKS.
type Info struct {
	Peer
	CreatedMs int64
	Events    string // "r", or "rw" while output waits
	Allocated int64  // memory of the outgoing queue
	Used      int64  // bytes waiting in it
	Dropped   int64  // frames that did not fit
}

// Links lists the connections, ascending by node id.
func (n *Net) Links() []Info {
	n.mu.Lock()
	conns := n.connsLocked()
	n.mu.Unlock()
	infos := make([]Info, 0, len(conns))
	for _, c := range conns {
		used, dropped := c.box.numbers()
		i := Info{Peer: c.peer, CreatedMs: c.createdMs, Events: "r", Used: used, Allocated: used + int64(c.wbufCap.Load()), Dropped: dropped}
		if used > 0 {
			i.Events = "rw"
		}
		infos = append(infos, i)
	}
	slices.SortFunc(infos, func(a, b Info) int {
		if d := a.ID.Compare(b.ID); d != 0 {
			return d
		}
		return int(a.Purpose) - int(b.Purpose)
	})
	return infos
}

// OverLimit returns how many frames did not fit into the budget of a connection that stood. Frames that had no connection
// at all are not among them; Stats.Dropped counts both.
func (n *Net) OverLimit() uint64 {
	total := int64(0)
	for i := range n.Stats.OverBudget {
		total += n.Stats.OverBudget[i].Load()
	}
	return uint64(total)
}

// Close closes everything and waits until no Owner method runs. The Owner must not wait for Close inside its methods.
func (n *Net) Close() {
	if n.closed.Swap(true) {
		n.running.Wait()
		return
	}
	n.cancel()
	n.mu.Lock()
	conns := n.connsLocked()
	listeners := n.mu.listeners
	n.mu.Unlock()
	for _, l := range listeners {
		l.Close()
	}
	for _, c := range conns {
		c.close(ErrClosed)
	}
	n.running.Wait()
}

// register makes an authenticated connection the node's, or refuses it. See "Connections" for which of two stays.
func (n *Net) register(c *conn) (*node, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed.Load() {
		return nil, ErrClosed
	}
	if c.peer.ID == n.mu.self.ID || c.self != n.mu.self.ID {
		return nil, ErrIdentity
	}
	nd := n.mu.nodes[c.peer.ID]
	if nd == nil {
		nd = &node{id: c.peer.ID}
		n.mu.nodes[nd.id] = nd
	}
	p := c.peer.Purpose
	old := nd.conns[p]
	switch {
	case !c.peer.Dialed && n.mu.self.ID.Less(c.peer.ID) && n.committedLocked(c.peer.ID, p):
		n.releaseLocked(nd)
		return nil, ErrDuplicate
	case old == nil:
		if n.mu.links >= n.opts.MaxLinks {
			n.releaseLocked(nd)
			return nil, ErrTooMany
		}
	case old.dialer() != c.dialer() && old.dialer().Less(c.dialer()):
		return nil, ErrDuplicate
	default:
		n.mu.links--
		defer old.close(ErrDuplicate)
	}
	n.mu.links++
	n.Stats.Links.Add(1)
	nd.conns[p] = c
	nd.users++
	if p == ForPubSub && nd.pubbox != nil {
		c.box, nd.pubbox = nd.pubbox, nil
	}
	return nd, nil
}

// commit asks whether a dial that found its peer may prove itself: not if a connection of the other's stands by now.
func (n *Net) commit(t *target, peer bus.NodeID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if nd := n.mu.nodes[peer]; nd != nil && nd.conns[t.purpose] != nil {
		t.found = peer // an address to MEET led to somebody who is met already
		return false
	}
	t.committed = true
	return true
}

func (n *Net) uncommit(t *target) {
	n.mu.Lock()
	t.committed = false
	n.mu.Unlock()
}

// committedLocked reports whether our own dial to a node is about to be taken up.
func (n *Net) committedLocked(peer bus.NodeID, p Purpose) bool {
	t := n.mu.targets[Target{ID: peer}.key(p)]
	return t != nil && t.committed
}

// unregister takes a connection out. It reports whether the node has no other for the purpose.
func (n *Net) unregister(nd *node, c *conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.Stats.Links.Add(-1)
	if nd.conns[c.peer.Purpose] == c {
		nd.conns[c.peer.Purpose] = nil
		n.mu.links--
		for _, t := range n.mu.targets {
			if t.want.ID == nd.id || t.found == nd.id {
				t.poke()
			}
		}
	}
}

// leave ends a connection's use of its node.
func (n *Net) leave(nd *node) {
	n.mu.Lock()
	nd.users--
	n.releaseLocked(nd)
	n.mu.Unlock()
}

func (n *Net) releaseLocked(nd *node) {
	if nd.users == 0 && nd.conns == [numPurposes]*conn{} {
		if nd.pubbox != nil {
			n.dropBox(nd.pubbox)
		}
		delete(n.mu.nodes, nd.id)
	}
}

func (n *Net) dropBox(box *outbox) {
	for ch, d := range box.close() {
		n.dropped(Channel(ch), d.frames, d.bytes)
	}
}

// standing returns the connection to a node, or nil.
func (n *Net) standing(id bus.NodeID, p Purpose) *conn {
	n.mu.Lock()
	defer n.mu.Unlock()
	if nd := n.mu.nodes[id]; nd != nil {
		return nd.conns[p]
	}
	return nil
}

// sync tells the Owner whether the control link to nd is up, if that is news. The caller belongs to nd.users.
func (n *Net) sync(nd *node, c *conn, why error) {
	if c.peer.Purpose != ForControl {
		return
	}
	nd.order.Lock()
	defer nd.order.Unlock()
	n.mu.Lock()
	now := nd.conns[ForControl]
	n.mu.Unlock()
	switch {
	case now != nil && !nd.told:
		nd.told = true
		n.opts.Owner.LinkUp(now.peer)
	case now == nil && nd.told:
		nd.told = false
		n.opts.Owner.LinkDown(c.peer, why)
	}
}
