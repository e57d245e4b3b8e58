// Package core is the cluster as one deterministic machine: who is a member, who is alive,
// who leads each shard, which shard owns each slot. cluster/agent owns a Machine and performs
// its effects; cluster/sim runs the very same code over virtual networks. It is pure: it must
// not know sockets, files, clocks, goroutines, or the data it decides about.
//
// # Reading order
//
// api.go (inputs, effects, configuration) → machine.go (one step) → table.go and gossip.go
// (membership) → life.go (which process a node is) → failure.go → claims.go and slotmap.go (slot ownership before and after there
// are voters) → form.go (how voters come about) → voter.go (what a voter promises) → lead.go
// (records, leases, elections) → change.go (changing the voters) → manual.go, orphan.go →
// admin.go → view.go → persist.go.
//
// # Two regimes
//
// Before a voter set exists, rows claim slots and the greater epoch wins, as in Redis. From
// version 1 of the voter set on, three kinds of registers at the voters rule: the voter set
// itself, one slot map, and per shard a record {epoch, seq, primary, set} with a lease. Only
// decided values are gossiped, so every node may act on what it hears.
//
// # For the simulator
//
// Feed InTick at or after Effects.Wake; any time will do, early ticks are harmless. Perform
// Effects in field order; a crash may happen between any two, and an unsaved Save is lost.
// Config.Ablate switches single rules off (Ablations lists them by name). Check holds after
// every Step; Inspect gives the facts for invariants over several nodes.
//
// # Figures (this package's tests; virtual network of 1 ms, no loss; T = cluster-node-timeout)
//
//	primary killed, T = 2 s: slots served again after          2.0 s
//	primary killed, 40 nodes in a partial mesh, T = 2 s        2.0 s
//	FAIL known everywhere, 6 nodes, T = 2 s                    2.1 s
//	redis-cli --cluster create, 6 nodes, T = 15 s, to formed   2.3 s
//	idle, 6 nodes, T = 2 s, per node                           3.1 KB/s, 22 messages/s
//	idle, 120 nodes, T = 15 s, per node                        2.5 KB/s, 11 messages/s, 19 connections
//
// # Limits
//
// A record is kept for ever, also when its shard has lost its slots and its nodes: some 200
// bytes at each node. FREEZE and INSTALL carry all records in one frame, good for some 5,000
// shards. TAKEOVER needs a majority of the voters, unlike in Redis: without one there is
// nobody who could keep two primaries apart.
package core

import (
	"fmt"
	"sort"

	"github.com/sextantdb/sextant/bus"
	"github.com/sextantdb/sextant/cluster/topology"
	"github.com/sextantdb/sextant/store/slot"
)

// Machine is one node's part of the cluster. It is owned by one goroutine; every field is
// that goroutine's.
type Machine struct {
	cfg   Config
	rng   rng
	codec *bus.Codec
	now   Mono
	wall  int64

	// identity; me is also in nodes
	self    bus.NodeID
	cluster bus.ClusterID
	joining bool   // I have taken the id of a cluster that has voters; volatile
	boot    uint64 // starts so far, durable
	life    uint64 // names this process: boot, and below it a number drawn at its start
	inc     uint64
	newer   superseded
	// disowned: this life has been told of an older one that went on beside it.
	disowned bool
	me       *peer
	epoch    uint64 // greatest epoch seen

	// membership
	nodes     []*peer // sorted by id, with me
	byID      map[bus.NodeID]*peer
	bans      []ban // sorted by id
	meets     []meet
	buckets   [bus.HashBuckets]uint64 // xor of row and record hashes
	tableHash uint64
	rowsVer   uint64  // counts changes of rows
	gossip    []*peer // whom I keep connections to, sorted by id
	mesh      bool
	// comparedAt is when an exchange of tables was last begun.
	comparedAt Mono
	news       []news
	pushNow    bool // news to be pushed at the end of this step
	pushAt     Mono // rows of others to be passed on then, 0 = none

	// decided knowledge
	voterVer uint64
	voters   []bus.NodeID // sorted
	recs     []bus.Rec    // sorted by shard
	slots    slotMap

	local Local

	vote   voter    // what this node is as a voter
	lead   lead     // what this node is in its shard
	prop   slotProp // slot map change under way here
	form   former
	change changer
	hand   handover

	// classic migration marks of this node
	open     []topology.Open // sorted by slot
	orphans  Mono            // since when I see a primary that I should help, 0 = none
	orphanAt Mono            // next look

	tickAt    Mono
	waiting   []waiting // admin commands whose outcome is awaited
	sent      [bus.Kinds]uint64
	received  [bus.Kinds]uint64
	refusals  []topology.Refusal
	dropsSeen []string

	// results of the step under way
	out       Effects
	selfBox   []*bus.Msg
	dirty     map[string]bool // state records to save, true: durably; sorted before use
	saveTok   uint64
	savedTok  uint64
	saveAll   bool
	viewDirty bool // publish now
	viewStale bool // times and offsets changed: publish within a second
	viewSoon  Mono // rows of others changed: publish then, 0 = they have not
	viewAt    Mono
	view      *topology.View
	ownerTab  *topology.SlotTable
	owned     []owned // the same by index in nodes
	ownerDirt bool
	peersDirt bool
	roleDirt  bool
	lastRole  RoleChange
	roleKnown bool
	lastLease Mono
	state     topology.State
	reason    string
	stepHash  uint64
}

// rng is splitmix64.
type rng struct{ s uint64 }

func (r *rng) next() uint64 {
	r.s += 0x9e3779b97f4a7c15
	z := r.s
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// upTo returns a value in [0, n).
func (r *rng) upTo(n Mono) Mono {
	if n <= 0 {
		return 0
	}
	return Mono(r.next() % uint64(n))
}

func (r *rng) id() (id bus.NodeID) {
	for i := 0; i < len(id); i += 4 {
		v := r.next()
		id[i], id[i+1], id[i+2], id[i+3] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24)
	}
	return id
}

func (c Config) withDefaults() Config {
	if c.NodeTimeout <= 0 {
		c.NodeTimeout = 15 * Second
	}
	if c.MeshLimit <= 0 {
		c.MeshLimit = 64
	}
	if c.ColdGrace <= 0 {
		c.ColdGrace = 10 * c.NodeTimeout
	}
	if c.DriftPPM < 0 || c.DriftPPM >= 500000 {
		c.DriftPPM = 10000
	}
	return c
}

func clamp(v, lo, hi Mono) Mono { return min(max(v, lo), hi) }

func (m *Machine) t() Mono         { return m.cfg.NodeTimeout }
func (m *Machine) tickEvery() Mono { return clamp(m.t()/20, 10*Millisecond, 100*Millisecond) }
func (m *Machine) pingEvery() Mono { return clamp(m.t()/4, 20*Millisecond, Second) }

// retryEvery is how often an unanswered request to voters is repeated.
func (m *Machine) retryEvery() Mono { return clamp(m.t()/10, 10*Millisecond, 200*Millisecond) }
func (m *Machine) off(a Ablation) bool {
	return m.cfg.Ablate&a != 0
}
func (m *Machine) formed() bool       { return m.voterVer > 0 }
func (m *Machine) member() bus.Member { return bus.NewMember(m.self, m.inc) }

// New starts a node. The Effects are to be performed like those of a Step.
func New(cfg Config, boot Boot, now Mono) (*Machine, Effects) {
	m := &Machine{cfg: cfg.withDefaults(), rng: rng{cfg.Seed}, codec: bus.NewCodec(), now: now, wall: boot.WallMs,
		dirty: map[string]bool{}, local: boot.Local}
	m.roleDirt, m.viewDirty, m.ownerDirt, m.peersDirt = true, true, true, true
	if boot.State == nil || boot.State.Fresh {
		m.fresh()
	} else {
		m.restore(boot)
	}
	m.vote.bootAt = now
	m.lead.heardAt = now
	m.tickAt = now
	m.saveAll = true
	m.me.boot = m.life
	m.note(news{row: m.self}, true) // my life is news: another one may be taken for this node
	m.settle()
	return m, m.finish()
}

func (m *Machine) fresh() {
	m.slots = mapOf(0, nil)
	m.self = m.rng.id()
	m.cluster = bus.ClusterID(m.rng.next() | 1)
	m.boot, m.inc = 1, 1
	m.newLife()
	m.me = &peer{row: bus.Row{ID: m.self, Inc: 1, Shard: m.rng.id()}, addedAt: m.now}
	m.alone()
	m.announce(m.me)
}

// announce puts the configured addresses into my row.
func (m *Machine) announce(p *peer) {
	c := &m.cfg
	if c.IP != "" {
		p.row.IP = c.IP
	}
	p.row.Host, p.row.Port, p.row.TLSPort, p.row.CPort = c.Host, c.Port, c.TLSPort, c.CPort
	p.row.Flags &^= bus.RowNoFailover | bus.RowWitness
	if c.NoFailover {
		p.row.Flags |= bus.RowNoFailover
	}
	if c.Witness {
		p.row.Flags |= bus.RowWitness
	}
	p.row.Inc = m.inc
	p.row.Ver, p.row.Life = max(p.row.Ver+1, m.boot<<32), m.life
	m.rehash(p)
	m.save("self")
}

// Step takes one input at a given time and says what must now happen. It is total: no input
// makes it panic. Time never runs backwards; an earlier now counts as the last one.
func (m *Machine) Step(now Mono, in Input) Effects {
	m.now = max(m.now, now)
	if in.WallMs > 0 {
		m.wall = in.WallMs
	}
	m.out = Effects{}
	switch in.Kind {
	case InMsg:
		m.onMsg(in.From, in.Addr, in.Msg)
	case InLinkUp:
		m.onLink(in.From, in.Addr, true)
	case InLinkDown:
		m.onLink(in.From, in.Addr, false)
	case InAdmin:
		if in.Admin != nil {
			m.onAdmin(in.Admin)
		}
	case InLocal:
		if in.Local != nil {
			m.onLocal(in.Local)
		}
	case InPersisted:
		m.savedTok = max(m.savedTok, in.Tok)
	case InReconfig:
		if in.Config != nil {
			m.reconfig(*in.Config)
		}
	}
	m.settle()
	return m.finish()
}

func (m *Machine) reconfig(c Config) {
	c.Seed, c.Ablate = m.cfg.Seed, m.cfg.Ablate
	old := m.cfg
	m.cfg = c.withDefaults()
	if old.IP != c.IP || old.Host != c.Host || old.Port != c.Port || old.TLSPort != c.TLSPort || old.CPort != c.CPort ||
		old.NoFailover != c.NoFailover || old.Witness != c.Witness {
		m.changed(func(*bus.Row) { m.announce(m.me) })
	}
	m.viewDirty = true
}

// settle runs whatever has become due or possible, until nothing is left to say to oneself.
func (m *Machine) settle() {
	for {
		m.drain()
		if m.now >= m.tickAt {
			m.tickAt = m.now + m.tickEvery() - m.now%m.tickEvery() // a multiple: the driver wakes for other things then too
			m.tick()
			continue
		}
		if m.isOlder() {
			break
		}
		if m.now >= m.prop.due() {
			m.tickSlotProp()
		}
		m.leadStep()
		if len(m.selfBox) == 0 {
			break
		}
	}
	if m.viewSoon != 0 && m.now >= m.viewSoon {
		m.viewDirty, m.ownerDirt = true, true
	}
	m.push()
	m.judgeState()
	m.deriveRole()
}

// drain delivers messages this node sent to itself (a primary is usually a voter too).
func (m *Machine) drain() {
	if m.isOlder() {
		m.selfBox = nil
	}
	for len(m.selfBox) > 0 {
		msg := m.selfBox[0]
		m.selfBox = m.selfBox[1:]
		m.dispatch(m.me, msg)
	}
}

func (m *Machine) tick() {
	if m.isOlder() {
		m.tickOlder()
		m.tickSlotProp()
		m.tickWaiting()
		return
	}
	m.tickMeets()
	m.tickBans()
	m.tickLinks()
	m.tickFailure()
	m.tickClaims()
	m.readMap()
	m.tickSlotProp()
	m.tickForm()
	m.tickChange()
	m.tickHandover()
	m.tickOrphans()
	m.tickWaiting()
	if m.viewStale && m.now-m.viewAt >= max(Second, Mono(len(m.nodes))*10*Millisecond) {
		m.viewDirty = true
	}
}

// send queues a message with this node's header.
func (m *Machine) send(to bus.NodeID, body bus.Body) { m.sendVer(to, body, m.voterVer) }

// sendVer is send for a voter, which speaks for its own version of the set.
func (m *Machine) sendVer(to bus.NodeID, body bus.Body, ver uint64) {
	msg := &bus.Msg{Header: m.header(ver), Body: body}
	if to == m.self {
		m.selfBox = append(m.selfBox, msg)
		return
	}
	m.sent[body.Kind()]++
	m.out.Send = append(m.out.Send, Envelope{To: to, Msg: msg, Early: early(body.Kind())})
}

// early are a proposer's words: they promise nothing, and the voter in the same process is waited
// for like any other before anything is decided.
func early(k bus.Kind) bool { return k == bus.KindSlotPrepare || k == bus.KindSlotAccept }

func (m *Machine) header(ver uint64) bus.Header {
	return bus.Header{Cluster: m.cluster, From: m.self, Inc: m.inc, Boot: m.life, VoterVer: ver,
		SlotVer: m.slots.ver, Epoch: m.epoch, Table: m.tableHash}
}

func (m *Machine) toVoters(body bus.Body) {
	for _, v := range m.voters {
		m.send(v, body)
	}
}

func (m *Machine) event(k EventKind, node bus.NodeID, epoch uint64, format string, args ...any) {
	m.out.Events = append(m.out.Events, Event{Kind: k, Node: node, Shard: m.me.row.Shard, Epoch: epoch, Text: fmt.Sprintf(format, args...)})
}

// refuse counts a named refusal; its event is raised when its numbers change.
func (m *Machine) refuse(name, detail string) {
	i := sort.Search(len(m.refusals), func(i int) bool { return m.refusals[i].Name >= name })
	if i == len(m.refusals) || m.refusals[i].Name != name {
		m.refusals = append(m.refusals, topology.Refusal{})
		copy(m.refusals[i+1:], m.refusals[i:])
		m.refusals[i] = topology.Refusal{Name: name}
	}
	r := &m.refusals[i]
	r.Count++
	if r.Detail != detail {
		r.Detail = detail
		m.event(EvRefusal, bus.NodeID{}, 0, "%s: %s", name, detail)
	}
	m.viewStale = true
}

// dropped notes a message that was not listened to, once per reason and sender.
func (m *Machine) dropped(from bus.NodeID, why string) {
	key := from.Short() + why
	for _, d := range m.dropsSeen {
		if d == key {
			return
		}
	}
	if len(m.dropsSeen) >= 256 { // bounded: forget the oldest
		m.dropsSeen = append(m.dropsSeen[:0], m.dropsSeen[1:]...)
	}
	m.dropsSeen = append(m.dropsSeen, key)
	m.event(EvDropped, from, 0, "%s", why)
}

func (m *Machine) seeEpoch(e uint64) {
	if e > m.epoch {
		m.epoch = e
		m.viewStale = true
		m.save("self")
	}
}

// onMsg judges whether a message is listened to at all.
func (m *Machine) onMsg(from bus.NodeID, addr string, msg *bus.Msg) {
	if msg == nil || msg.Body == nil || from == m.self || msg.From != from {
		m.dropped(from, "message does not come from whom it names")
		return
	}
	m.received[msg.Kind()]++
	if p := m.find(from); p != nil {
		if b, ok := msg.Body.(*bus.Older); ok && b.Ask {
			p.told = max(p.told, min(b.Life, maxLife))
		}
		if msg.Boot < m.newestOf(p) {
			m.heardOlder(p, msg.Boot)
			return
		}
		if msg.Boot <= p.deafTo && m.now < p.deafEnd {
			return
		}
	}
	switch b := msg.Body.(type) {
	case *bus.Meet:
		m.onMeet(msg, b, addr)
		return
	case *bus.MeetAck:
		m.onMeetAck(msg, b, addr)
		return
	}
	p := m.find(from)
	if p == nil {
		m.dropped(from, "stranger")
		return
	}
	if msg.Cluster != m.cluster && !m.off(AblateNoClusterID) && !m.joinCluster(p, msg) {
		return
	}
	if b, ok := msg.Body.(*bus.Older); ok && !b.Ask {
		m.onOlder(p, b)
	}
	if m.isOlder() {
		p.heardAt = m.now
		return
	}
	m.heard(p, msg, addr)
	m.dispatch(p, msg)
	m.compare(p, msg)
}

func (m *Machine) dispatch(p *peer, msg *bus.Msg) {
	switch b := msg.Body.(type) {
	case *bus.Ping:
		m.onPing(p, b)
	case *bus.Buckets:
		m.onBuckets(p, b)
	case *bus.Table:
		m.onTable(p, b)
	case *bus.SlotMap:
		m.onSlotMap(p, b)
	case *bus.VoterSet:
		m.onVoterSet(p, b)
	case *bus.Suspect:
		m.onSuspect(p, b)
	case *bus.Probe:
		m.onProbe(p, b)
	case *bus.Form:
		m.onForm(p, b)
	case *bus.FormAck:
		m.onFormAck(p, b)
	case *bus.Handover:
		m.onHandover(p, b)
	case *bus.LeaseReq, *bus.LeaseRelease, *bus.VoteReq, *bus.Accept, *bus.SlotPrepare, *bus.SlotAccept,
		*bus.Freeze, *bus.SetAccept, *bus.Install:
		m.asVoter(p, msg)
	case *bus.LeaseAck, *bus.VoteAck, *bus.VoteWait, *bus.AcceptAck, *bus.Nack:
		if m.sameVersion(msg) {
			m.asLeader(p, msg)
		}
	case *bus.SlotPromise:
		if m.sameVersion(msg) {
			m.onSlotPromise(p, b)
		}
	case *bus.SlotAccepted:
		if m.sameVersion(msg) {
			m.onSlotAccepted(p, b)
		}
	case *bus.Frozen:
		m.onFrozen(p, b)
	case *bus.SetAccepted:
		m.onSetAccepted(p, b)
	case *bus.Installed:
		m.onInstalled(p, b)
	}
}

// sameVersion is R11 on the asking side: answers of another version never count.
func (m *Machine) sameVersion(msg *bus.Msg) bool {
	return msg.VoterVer == m.voterVer || m.off(AblateNoVersion)
}

func (m *Machine) onLocal(l *Local) {
	old := m.local
	m.local = *l
	if old != *l {
		m.viewStale = true
	}
	was := m.me.stat
	m.me.stat = m.stat()
	m.me.statAt = m.now
	if (was.Flags^m.me.stat.Flags)&bus.StatStuck != 0 {
		m.stuckChanged()
	}
	if was.Flags != m.me.stat.Flags || was.ReplID != m.me.stat.ReplID {
		if p := m.find(m.myPrimary()); p != nil && p != m.me {
			m.ping(p) // it may now put me into its set
		}
		if !m.formed() { // and one of these into its first set
			for _, id := range m.electors() {
				if p := m.find(id); p != nil && p != m.me && id != m.myPrimary() {
					m.ping(p)
				}
			}
		}
	}
	m.handLocal()
}

func (m *Machine) stat() bus.Stat {
	s := bus.Stat{Shard: m.me.row.Shard, ReplID: m.local.ReplID, ReplID2: m.local.ReplID2, Second: m.local.Second, Offset: m.local.Offset}
	if m.local.LinkUp {
		s.Flags |= bus.StatLinkUp
	}
	if m.local.Synced {
		s.Flags |= bus.StatSynced
	}
	if m.local.Loading {
		s.Flags |= bus.StatLoading
	}
	if m.local.Empty {
		s.Flags |= bus.StatEmpty
	}
	if m.stuck() {
		s.Flags |= bus.StatStuck
	}
	if m.formed() && has(m.voters, m.self) && m.forgot(m.voterVer) {
		s.Flags |= bus.StatForgot
	}
	return s
}

// finish turns what changed into Effects.
func (m *Machine) finish() Effects {
	m.out.Save = m.takeSave()
	if m.peersDirt {
		m.peersDirt = false
		m.out.Peers = m.peerList()
	}
	if m.viewDirty {
		m.publish()
	}
	m.out.Lease = m.leaseDeadline()
	sort.SliceStable(m.out.Send, func(i, j int) bool { return m.out.Send[i].To.Less(m.out.Send[j].To) })
	m.out.Wake = m.wake()
	m.stepHash = hashEffects(m.stepHash, &m.out)
	return m.out
}

func (m *Machine) wake() Mono {
	w := m.tickAt
	if m.isOlder() {
		return max(w, m.now+1)
	}
	w = min(w, m.lead.wake(m))
	if m.pushAt != 0 {
		w = min(w, m.pushAt)
	}
	if m.formed() {
		w = min(w, m.prop.due())
	}
	return max(w, m.now+1)
}

// View is the last published view.
func (m *Machine) View() *topology.View { return m.view }

// Now is the time of the last step.
func (m *Machine) Now() Mono { return m.now }

func setOfSlots(ss []slot.Slot) (s slot.Set) {
	for _, x := range ss {
		s.Add(x)
	}
	return s
}
