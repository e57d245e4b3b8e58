package core

import (
	"container/heap"
	"fmt"
	"sort"
	"strings"
	"testing"

	"github.com/sextantdb/sextant/bus"
	"github.com/sextantdb/sextant/cluster/topology"
	"github.com/sextantdb/sextant/store/slot"
)

// net is a small virtual network of machines with a toy data side: a primary's offset is
// set by the test, replicas copy it while their primary is reachable. cluster/sim has the big one.
type net struct {
	t      testing.TB
	now    Mono
	seq    int
	q      evq
	nodes  []*tnode
	cut    map[[2]int]bool
	events []string
	cfg    Config
	seed   uint64
	delay  Mono
	sent   map[bus.Kind]int
	bytes  int
	codec  *bus.Codec
	noise  *rng // nil: a perfect network
	loss   uint64
	jitter Mono
	check  func(*tnode)
}

type tnode struct {
	n       *net
	i       int
	m       *Machine
	id      bus.NodeID
	up      bool
	paused  bool
	held    []func()
	disk    []byte
	durable int // bytes of disk that a power failure leaves
	log     topology.Log
	gen     uint64
	links   map[int]bool
	local   Local
	role    RoleChange
	pause   uint64
	stuckAt Mono // its data path hangs since, 0 = it does not
	lease   Mono
	wakeAt  Mono
	view    *topology.View
	replies map[uint64]AdminReply
	peers   []Peer
	clean   bool
	cfg     Config
	drop    Mono // data link last copied
}

type tev struct {
	at  Mono
	seq int
	f   func()
}
type evq []tev

func (q evq) Len() int { return len(q) }
func (q evq) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}
func (q evq) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *evq) Push(x any)   { *q = append(*q, x.(tev)) }
func (q *evq) Pop() any     { o := *q; x := o[len(o)-1]; *q = o[:len(o)-1]; return x }

func newNet(t testing.TB, nodes int, timeout Mono) *net {
	n := &net{t: t, now: Second, cut: map[[2]int]bool{}, cfg: DefaultConfig(), seed: 1, delay: Millisecond, sent: map[bus.Kind]int{}, codec: bus.NewCodec()}
	n.cfg.NodeTimeout = timeout
	for range nodes {
		n.addNode()
	}
	return n
}

func (n *net) addNode() *tnode {
	x := &tnode{n: n, i: len(n.nodes), links: map[int]bool{}, replies: map[uint64]AdminReply{}}
	x.cfg = n.cfg
	x.cfg.Port = uint16(7000 + x.i)
	x.cfg.CPort = uint16(17000 + x.i)
	n.nodes = append(n.nodes, x)
	x.local.Empty = true
	x.start(false)
	return x
}

func (n *net) at(d Mono, f func()) {
	n.seq++
	heap.Push(&n.q, tev{n.now + d, n.seq, f})
}

func (n *net) run(d Mono) {
	end := n.now + d
	for len(n.q) > 0 && n.q[0].at <= end {
		e := heap.Pop(&n.q).(tev)
		n.now = e.at
		e.f()
	}
	n.now = end
}

// until runs until f holds, at most d; it fails the test otherwise.
func (n *net) until(d Mono, what string, f func() bool) Mono {
	n.t.Helper()
	start := n.now
	for n.now-start < d {
		if f() {
			return n.now - start
		}
		n.run(5 * Millisecond)
	}
	n.t.Fatalf("not within %d ms: %s\n%s", d/Millisecond, what, n.dump())
	return 0
}

func (n *net) dump() string {
	var b strings.Builder
	for _, x := range n.nodes {
		if x.view != nil {
			fmt.Fprintf(&b, "--- node %d up=%v state=%s (%s) serving=%v (%s) voters v%d\n%s", x.i, x.up, x.view.State, x.view.Reason, x.view.Serving, x.view.NotServing, x.view.VoterVer, x.view.NodesText(false))
			for _, r := range x.view.Refusals {
				fmt.Fprintf(&b, "   refusal %s %d %s\n", r.Name, r.Count, r.Detail)
			}
		}
	}
	tail := n.events
	if len(tail) > 60 {
		tail = tail[len(tail)-60:]
	}
	return b.String() + strings.Join(tail, "\n")
}

func (x *tnode) start(complete bool) {
	n := x.n
	n.seed++
	x.cfg.Seed = n.seed
	boot := Boot{DataComplete: complete, WallMs: x.wall(), Local: x.local}
	loaded, err := topology.Decode(x.disk, !x.local.Empty)
	if err != nil {
		n.t.Fatalf("node %d: %v", x.i, err)
	}
	boot.State = loaded
	x.gen = loaded.Generation
	x.up, x.paused = true, false
	x.links = map[int]bool{}
	x.role, x.pause, x.peers = RoleChange{}, 0, nil
	m, eff := New(x.cfg, boot, n.now)
	x.m, x.id = m, m.self
	x.perform(eff)
	x.tickData(m)
}

func (x *tnode) wall() int64 { return 1700000000000 + int64(x.n.now/Millisecond) }

func (x *tnode) step(in Input) {
	if !x.up {
		return
	}
	if x.paused {
		x.held = append(x.held, func() { x.step(in) })
		return
	}
	in.WallMs = x.wall()
	x.perform(x.m.Step(x.n.now, in))
	if err := x.m.Check(); err != nil {
		x.n.t.Fatalf("node %d: %v", x.i, err)
	}
	if x.n.check != nil {
		x.n.check(x)
	}
}

func (x *tnode) perform(e Effects) {
	n := x.n
	if e.Save != nil {
		if e.Save.All {
			x.gen++
			x.disk = x.log.Begin(x.gen, e.Save.Records)
		} else {
			x.disk = x.log.Append(x.disk, e.Save.Records...)
		}
		if !e.Save.Lazy {
			x.durable = len(x.disk)
		}
	}
	x.lease = e.Lease
	if e.View != nil {
		x.view = e.View
	}
	if e.Role != nil {
		x.role = *e.Role
		if e.Role.Promoted {
			x.local.ReplID2, x.local.Second = x.local.ReplID, x.local.Offset
			x.local.ReplID = bus.NodeID{byte(x.i + 1), byte(n.now >> 20), byte(n.now >> 28)}
		}
		if e.Role.Role == topology.RoleReplica {
			x.local.Synced, x.local.LinkUp = false, false
		}
	}
	if e.Pause != nil {
		x.pause = e.Pause.Tok
	}
	if e.Peers != nil {
		x.peers = e.Peers
		x.dial()
	}
	for _, env := range e.Send {
		x.route(env)
	}
	for _, ev := range e.Events {
		n.events = append(n.events, fmt.Sprintf("%6d n%d %s node=%s epoch=%d %s", n.now/Millisecond, x.i, ev.Kind, n.name(ev.Node), ev.Epoch, ev.Text))
	}
	for _, r := range e.Replies {
		x.replies[r.Tok] = r
	}
	if e.Wake != x.wakeAt {
		x.wakeAt = e.Wake
		m := x.m
		n.at(max(e.Wake-n.now, 1), func() {
			if x.m == m && x.up {
				if n.now >= x.wakeAt {
					x.step(Input{Kind: InTick})
				}
			}
		})
	}
}

func (n *net) name(id bus.NodeID) string {
	for _, x := range n.nodes {
		if x.id == id {
			return fmt.Sprintf("n%d", x.i)
		}
	}
	return id.Short()
}

func (n *net) byID(id bus.NodeID) *tnode {
	for _, x := range n.nodes {
		if x.id == id {
			return x
		}
	}
	return nil
}

func (n *net) byPort(cport uint16) *tnode {
	if i := int(cport) - 17000; i >= 0 && i < len(n.nodes) {
		return n.nodes[i]
	}
	return nil
}

func (n *net) reach(a, b *tnode) bool {
	return a.up && b.up && !n.cut[[2]int{a.i, b.i}] && !n.cut[[2]int{b.i, a.i}]
}

// dial connects to the wanted peers; connections stand while both processes live.
func (x *tnode) dial() {
	n := x.n
	for _, p := range x.peers {
		y := n.byPort(p.CPort)
		if y == nil || y == x || x.links[y.i] || !n.reach(x, y) || !p.ID.IsZero() && y.id != p.ID {
			continue
		}
		x.links[y.i], y.links[x.i] = true, true
		xm, ym := x.m, y.m
		n.at(n.delay, func() {
			if x.m == xm && y.m == ym && x.up && y.up {
				x.step(Input{Kind: InLinkUp, From: y.id, Addr: "127.0.0.1"})
				y.step(Input{Kind: InLinkUp, From: x.id, Addr: "127.0.0.1"})
			}
		})
	}
}

func (x *tnode) route(e Envelope) {
	n := x.n
	var y *tnode
	if e.To.IsZero() {
		y = n.byPort(e.CPort)
	} else {
		y = n.byID(e.To)
	}
	if y == nil {
		return
	}
	if !x.links[y.i] {
		x.dial()
		return
	}
	n.sent[e.Msg.Kind()]++
	frame, err := n.codec.Append(nil, e.Msg)
	if err != nil {
		n.t.Fatal(err)
	}
	n.bytes += len(frame)
	msg, err := n.codec.Decode(frame)
	if err != nil {
		n.t.Fatalf("%v: %v", e.Msg.Kind(), err)
	}
	ym := y.m
	delay := n.delay
	if n.noise != nil {
		if n.noise.next()%100 < n.loss {
			return
		}
		delay += n.noise.upTo(n.jitter)
		if n.noise.next()%20 == 0 {
			delay += n.noise.upTo(20 * n.jitter)
		}
	}
	n.at(delay, func() {
		if y.m == ym && y.up && !n.cut[[2]int{x.i, y.i}] {
			y.step(Input{Kind: InMsg, From: msg.From, Addr: "127.0.0.1", Msg: msg})
		}
	})
}

// tickData is the toy data side: every 20 ms.
func (x *tnode) tickData(m *Machine) {
	n := x.n
	n.at(20*Millisecond, func() {
		if x.m != m || !x.up {
			return
		}
		if !x.paused {
			x.dial()
			if x.role.Role == topology.RoleReplica {
				p := n.byID(x.role.Primary)
				ok := p != nil && n.reach(x, p) && !p.paused && p.role.Role == topology.RolePrimary && p.m.inc == x.role.PrimaryInc
				x.local.LinkUp = ok
				if ok {
					x.local.Offset, x.local.ReplID, x.local.Synced = p.local.Offset, p.local.ReplID, true
					x.local.Empty, x.local.Keys = p.local.Empty, p.local.Keys
				}
			} else if x.local.ReplID.IsZero() {
				x.local.ReplID = bus.NodeID{byte(x.i + 1), 1}
			}
			x.local.Paused = x.pause
			x.local.Silent = 0
			if x.stuckAt > 0 {
				x.local.Silent = n.now - x.stuckAt
			}
			l := x.local
			x.step(Input{Kind: InLocal, Local: &l})
		}
		x.tickData(m)
	})
}

var tok uint64

// admin runs a command and waits for its reply.
func (x *tnode) admin(a Admin) AdminReply {
	tok++
	a.Tok = tok
	a.Keys = x.local.Keys
	x.step(Input{Kind: InAdmin, Admin: &a})
	for range 4000 {
		if r, ok := x.replies[a.Tok]; ok {
			return r
		}
		x.n.run(5 * Millisecond)
	}
	x.n.t.Fatalf("no reply to admin %d\n%s", a.Kind, x.n.dump())
	return AdminReply{}
}

func (x *tnode) ok(a Admin) {
	x.n.t.Helper()
	if r := x.admin(a); r.Err != "" {
		x.n.t.Fatalf("node %d: %s\n%s", x.i, r.Err, x.n.dump())
	}
}

func (x *tnode) kill() {
	x.up = false
	x.local = Local{Empty: true}
	n := x.n
	for i := range x.links {
		y := n.nodes[i]
		delete(y.links, x.i)
		id := x.id
		n.at(n.delay, func() { y.step(Input{Kind: InLinkDown, From: id}) })
	}
	x.links = map[int]bool{}
}

// powerFails is kill that takes what was not fsynced.
func (x *tnode) powerFails() {
	x.kill()
	x.disk = x.disk[:x.durable]
}

func (x *tnode) stop()   { x.paused = true }
func (x *tnode) resume() { x.paused = false; h := x.held; x.held = nil; x.flush(h) }
func (x *tnode) flush(h []func()) {
	for _, f := range h {
		f()
	}
}

func (n *net) isolate(i int, yes bool) {
	for j := range n.nodes {
		if j != i {
			n.cut[[2]int{i, j}], n.cut[[2]int{j, i}] = yes, yes
		}
	}
}

func slotsOf(first, last int) (out []slot.Slot) {
	for s := first; s <= last; s++ {
		out = append(out, slot.Slot(s))
	}
	return out
}

// create does what redis-cli --cluster create does.
func (n *net) create(primaries, replicas int) {
	n.t.Helper()
	per := float64(slot.Count) / float64(primaries)
	cursor := 0.0
	first := 0
	for i := range primaries {
		last := int(cursor + per - 1 + 0.5)
		if i == primaries-1 {
			last = slot.Count - 1
		}
		n.nodes[i].ok(Admin{Kind: AdminAddSlots, Slots: slotsOf(first, last)})
		first, cursor = last+1, cursor+per
	}
	total := primaries * (replicas + 1)
	for i := primaries; i < total; i++ {
		r := n.nodes[i].admin(Admin{Kind: AdminReplicate, Node: n.nodes[i%primaries].id.String()})
		if r.Err == "" {
			n.t.Fatal("REPLICATE before MEET must fail")
		}
	}
	for i := range total {
		n.nodes[i].ok(Admin{Kind: AdminSetConfigEpoch, Epoch: int64(i + 1)})
	}
	for i := 1; i < total; i++ {
		n.nodes[i].ok(Admin{Kind: AdminMeet, IP: "127.0.0.1", Port: 7000, CPort: 17000})
	}
	n.until(20*Second, "one view after MEET", func() bool { return n.agree(total, total) })
	for i := primaries; i < total; i++ {
		n.nodes[i].ok(Admin{Kind: AdminReplicate, Node: n.nodes[i%primaries].id.String()})
	}
	n.until(20*Second, "formed, in sync and ok", func() bool { return n.agree(total, total) && n.healthy(replicas) })
}

// agree: the first total nodes print the same slot map and know `known` nodes.
func (n *net) agree(total, known int) bool {
	sig := ""
	for _, x := range n.nodes[:total] {
		if !x.up {
			continue
		}
		if x.view == nil || len(x.view.Nodes) != known {
			return false
		}
		s := signature(x.view)
		if sig == "" {
			sig = s
		}
		if s != sig {
			return false
		}
	}
	return true
}

// signature is what redis-cli compares.
func signature(v *topology.View) string {
	var lines []string
	for _, l := range strings.Split(strings.TrimSuffix(v.NodesText(false), "\n"), "\n") {
		f := strings.Fields(l)
		if len(f) > 8 {
			var ranges []string
			for _, r := range f[8:] {
				if r[0] != '[' {
					ranges = append(ranges, r)
				}
			}
			lines = append(lines, f[0]+":"+strings.Join(ranges, ","))
		}
	}
	sort.Strings(lines)
	return strings.Join(lines, "|")
}

// healthy: a voter set exists, every node is ok, every slot is served under a lease by a node
// whose record has `set` members besides it.
func (n *net) healthy(set int) bool {
	served := 0
	for _, x := range n.nodes {
		if !x.up || len(x.view.Nodes) == 1 {
			continue
		}
		if x.view.State != topology.StateOK || x.view.VoterVer == 0 {
			return false
		}
		if x.serves() {
			served += x.view.Nodes[x.view.Me].SlotCount
			if len(x.view.Rec.ISR) < set+1 {
				return false
			}
		}
	}
	return served == slot.Count
}

// serves: the data path would execute a write now.
func (x *tnode) serves() bool {
	return x.up && x.view.Serving && x.view.State == topology.StateOK && x.n.now < x.lease && x.view.Nodes[x.view.Me].SlotCount > 0
}

// server is the node that serves slot s, nil when none does.
func (n *net) server(s slot.Slot) *tnode {
	for _, x := range n.nodes {
		if x.serves() && !x.paused && x.stuckAt == 0 && x.view.Nodes[x.view.Me].Owns(s) {
			return x
		}
	}
	return nil
}

func topologyDecode(b []byte) (*topology.Loaded, error) { return topology.Decode(b, true) }
