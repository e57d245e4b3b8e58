package core

import (
	"bytes"
	"fmt"
	"slices"
	"sort"

	"github.com/sextantdb/sextant/bus"
	"github.com/sextantdb/sextant/cluster/topology"
	"github.com/sextantdb/sextant/store/slot"
)

// The slot map is one register at the voters, changed by rounds of prepare and accept with
// no leader: whoever wants a change reads the highest accepted map from a majority, applies
// its change, and has a majority accept the result under its ballot. A decided version is
// unique: any later ballot starts from it.
//
// Who has had a version decided keeps its ballot and proposes the next version under it
// without another prepare, until somebody else's greater ballot is met: resharding moves
// slots one at a time, and each would cost a second fsync at every voter. Under one ballot
// version v+1 is proposed only when v is decided, so maps are ordered by (ballot, version),
// and a voter never goes back in that order.

// So a change costs one fsync at the voters, which run at the same time, and one round trip; what is
// queued meanwhile shares the next one. Redis answers SETSLOT without any fsync. Ours cannot: a voter
// that forgets in a power failure what it accepted lets two maps of one version be decided.

// olderMap orders what voters have accepted.
func olderMap(a, b *bus.SlotReg) bool {
	return a.Accepted.Less(b.Accepted) || a.Accepted == b.Accepted && a.Ver < b.Ver
}

// slotMap is a decided map.
type slotMap struct {
	ver    uint64
	shards []bus.ShardID // sorted
	owner  topology.SlotTable
}

func mapOf(ver uint64, spans []bus.SlotSpan) (out slotMap) {
	out.ver = ver
	for i := range out.owner {
		out.owner[i] = topology.NoOwner
	}
	for i := range spans { // all at once: one at a time, each new shard would move the indexes of others
		if !spans[i].Shard.IsZero() {
			out.shards = append(out.shards, spans[i].Shard)
		}
	}
	slices.SortFunc(out.shards, func(a, b bus.ShardID) int { return bytes.Compare(a[:], b[:]) })
	out.shards = slices.Compact(out.shards)
	out.apply(spans)
	return out
}

// apply overlays spans; the zero shard unassigns.
func (s *slotMap) apply(spans []bus.SlotSpan) {
	for _, sp := range spans {
		k := uint16(topology.NoOwner)
		if !sp.Shard.IsZero() {
			k = s.shard(sp.Shard)
		}
		for i := 0; i+1 < len(sp.Slots); i += 2 {
			for n := int(sp.Slots[i]); n <= int(sp.Slots[i+1]) && n < slot.Count; n++ {
				s.owner[n] = k
			}
		}
	}
}

// shard returns the index of id, adding it when it is new. Indexes of others may move.
func (s *slotMap) shard(id bus.ShardID) uint16 {
	i := sort.Search(len(s.shards), func(i int) bool { return !s.shards[i].Less(id) })
	if i < len(s.shards) && s.shards[i] == id {
		return uint16(i)
	}
	shards := make([]bus.ShardID, 0, len(s.shards)+1)
	s.shards = append(append(append(shards, s.shards[:i]...), id), s.shards[i:]...)
	for n, o := range s.owner {
		if o != topology.NoOwner && int(o) >= i {
			s.owner[n] = o + 1
		}
	}
	return uint16(i)
}

func (s *slotMap) at(n slot.Slot) (bus.ShardID, bool) {
	if o := s.owner[n]; o != topology.NoOwner && int(o) < len(s.shards) {
		return s.shards[o], true
	}
	return bus.ShardID{}, false
}

func (s *slotMap) of(id bus.ShardID) (set slot.Set) {
	i := sort.Search(len(s.shards), func(i int) bool { return !s.shards[i].Less(id) })
	if i == len(s.shards) || s.shards[i] != id {
		return set
	}
	for n, o := range s.owner {
		if int(o) == i {
			set.Add(slot.Slot(n))
		}
	}
	return set
}

// first is the least slot of a shard, false when it has none.
func (s *slotMap) first(id bus.ShardID) (slot.Slot, bool) {
	i := sort.Search(len(s.shards), func(i int) bool { return !s.shards[i].Less(id) })
	if i < len(s.shards) && s.shards[i] == id {
		for n, o := range s.owner {
			if int(o) == i {
				return slot.Slot(n), true
			}
		}
	}
	return 0, false
}

// spans renders the whole map in canonical order.
func (s *slotMap) spans() (out []bus.SlotSpan) {
	if s.ver == 0 {
		return nil
	}
	pairs := make([][]uint16, len(s.shards))
	for n := 0; n < slot.Count; {
		o, end := s.owner[n], n
		for end+1 < slot.Count && s.owner[end+1] == o {
			end++
		}
		if o != topology.NoOwner {
			pairs[o] = append(pairs[o], uint16(n), uint16(end))
		}
		n = end + 1
	}
	for i, p := range pairs {
		if p != nil {
			out = append(out, bus.SlotSpan{Shard: s.shards[i], Slots: p})
		}
	}
	return out
}

// diff gives the spans that turn old into s.
func (s *slotMap) diff(old *slotMap) (out []bus.SlotSpan) {
	// The old map's indexes in terms of the new one's shards; a shard the new one lacks equals none.
	const gone = topology.NoOwner - 1
	index := make([]uint16, len(old.shards))
	for i, k := 0, 0; i < len(index); i++ {
		for k < len(s.shards) && s.shards[k].Less(old.shards[i]) {
			k++
		}
		index[i] = gone
		if k < len(s.shards) && s.shards[k] == old.shards[i] {
			index[i] = uint16(k)
		}
	}
	same := func(n int) bool {
		o := old.owner[n]
		if o != topology.NoOwner {
			o = index[o]
		}
		return o == s.owner[n]
	}
	for n := 0; n < slot.Count; {
		if same(n) {
			n++
			continue
		}
		id, _ := s.at(slot.Slot(n))
		end := n
		for end+1 < slot.Count && !same(end+1) {
			if next, _ := s.at(slot.Slot(end + 1)); next != id {
				break
			}
			end++
		}
		out = append(out, bus.SlotSpan{Shard: id, Slots: []uint16{uint16(n), uint16(end)}})
		n = end + 1
	}
	return out
}

// slotOp is a wanted change.
type slotOp struct {
	tok   uint64 // admin reply, 0 = none
	set   slot.Set
	to    bus.ShardID // zero: unassign
	from  bus.ShardID // FLUSHSLOTS: only slots of this shard; zero: any
	free  bool        // ADDSLOTS: only unassigned slots may be taken
	until Mono
	after Mono // of told: when it becomes a proposal
	err   string
}

// done: the map already says what the operation wants.
func (op *slotOp) done(s *slotMap) bool {
	for at := 0; ; {
		n, ok := op.set.Next(at)
		if !ok {
			return true
		}
		at = int(n) + 1
		if to, owned := s.at(n); !owned || to != op.to {
			return false
		}
	}
}

// run applies the operation; err is Redis' text when it does not fit the map any more.
func (op *slotOp) run(s *slotMap) {
	op.err = ""
	if op.free || op.to.IsZero() && op.from.IsZero() {
		for at := 0; ; {
			n, ok := op.set.Next(at)
			if !ok {
				break
			}
			at = int(n) + 1
			_, owned := s.at(n)
			if op.free && owned {
				op.err = fmt.Sprintf("ERR Slot %d is already busy", n)
				return
			}
			if !op.free && !owned {
				op.err = fmt.Sprintf("ERR Slot %d is already unassigned", n)
				return
			}
		}
	}
	set := op.set
	if !op.from.IsZero() {
		set = s.of(op.from)
	}
	s.apply([]bus.SlotSpan{{Shard: op.to, Slots: bus.Pairs(set.Ranges())}})
}

type slotPhase uint8

const (
	slotIdle slotPhase = iota
	slotPreparing
	slotAccepting
)

// slotProp is this node's attempt to change the map.
type slotProp struct {
	phase    slotPhase
	ballot   bus.Ballot
	held     bool // next was decided under ballot, and no greater one is known
	round    uint64
	promises []*bus.SlotPromise // by index of voter
	accepted []bool
	next     slotMap
	ops      []slotOp // in this attempt
	queue    []slotOp
	// told are changes that an operator asks of every node once one has made them (redis-cli
	// --cluster reshard): the news is on its way here, so they wait for it a little before they
	// become proposals that could only get into the first one's way.
	told    []slotOp
	tries   int  // refused attempts since the last decision
	at      Mono // of the attempt's last message
	begun   Mono
	retryAt Mono
}

const (
	maxSlotOps   = 1024
	slotOpWindow = 5 * Second
)

func (sp *slotProp) newVersion(m *Machine) {
	sp.held = false
	if sp.phase != slotIdle {
		sp.queue = append(append([]slotOp(nil), sp.ops...), sp.queue...)
		sp.ops, sp.phase = nil, slotIdle
		sp.retryAt = m.now + m.retryEvery()
	}
}

// wantSlots queues a change of the map.
func (m *Machine) wantSlots(op slotOp) {
	if len(m.prop.queue) >= maxSlotOps {
		m.reply(op.tok, "ERR too many slot changes are under way")
		return
	}
	op.until = m.now + max(slotOpWindow, 2*m.t())
	m.prop.queue = append(m.prop.queue, op)
	m.tickSlotProp()
}

// expectSlots is wantSlots for a change that another node has probably made already.
func (m *Machine) expectSlots(op slotOp) {
	if len(m.prop.told) >= maxSlotOps {
		m.reply(op.tok, "ERR too many slot changes are under way")
		return
	}
	op.after = m.now + m.retryEvery()
	m.prop.told = append(m.prop.told, op)
}

// due is when a waiting change may be tried again.
func (sp *slotProp) due() Mono {
	if sp.phase == slotIdle && len(sp.queue) > 0 {
		return sp.retryAt
	}
	return Never
}

// tickTold answers what the news has brought, and proposes what it has not.
func (m *Machine) tickTold() {
	if len(m.prop.told) == 0 {
		return
	}
	told := m.prop.told
	m.prop.told = nil
	for _, op := range told {
		switch {
		case op.done(&m.slots):
			m.reply(op.tok, "")
		case op.after <= m.now:
			m.wantSlots(op)
		default:
			m.prop.told = append(m.prop.told, op)
		}
	}
}

func (m *Machine) tickSlotProp() {
	sp := &m.prop
	if !m.formed() {
		return
	}
	m.tickTold()
	kept := sp.queue[:0]
	for _, op := range sp.queue {
		if op.until <= m.now {
			m.reply(op.tok, "ERR the slot map could not be changed: no majority of the voters answered")
			continue
		}
		kept = append(kept, op)
	}
	sp.queue = kept
	if m.isOlder() {
		return
	}
	switch {
	case sp.phase == slotIdle && len(sp.queue) > 0 && m.now >= sp.retryAt:
		sp.ops, sp.queue = sp.queue, nil
		sp.begun = m.now
		if sp.held && sp.next.ver >= m.slots.ver && !m.off(AblateNoSlotBallot) {
			m.proposeMap(sp.next)
			return
		}
		// A ballot is never used in two lives: nobody remembers what was said under it.
		sp.held = false
		sp.round = m.nextRound(max(sp.round, m.vote.slots.Promised.Round))
		sp.ballot = bus.Ballot{Round: sp.round, By: m.self}
		sp.phase, sp.at, sp.begun = slotPreparing, m.now, m.now
		sp.promises = make([]*bus.SlotPromise, len(m.voters))
		m.toVoters(&bus.SlotPrepare{Ballot: sp.ballot})
	case sp.phase != slotIdle && m.now-sp.begun > m.t():
		m.slotRetry("no majority answered")
	case sp.phase != slotIdle && m.now-sp.at >= m.retryEvery():
		sp.at = m.now
		for i, v := range m.voters {
			if sp.phase == slotPreparing && sp.promises[i] == nil {
				m.send(v, &bus.SlotPrepare{Ballot: sp.ballot})
			} else if sp.phase == slotAccepting && !sp.accepted[i] {
				m.send(v, &bus.SlotAccept{Ballot: sp.ballot, Ver: sp.next.ver, Spans: sp.next.spans()})
			}
		}
	}
}

func (m *Machine) slotRetry(why string) {
	sp := &m.prop
	m.refuse("slot-map", fmt.Sprintf("round %d: %s", sp.ballot.Round, why))
	sp.queue = append(append([]slotOp(nil), sp.ops...), sp.queue...)
	sp.ops, sp.phase, sp.held = nil, slotIdle, false
	sp.tries = min(sp.tries+1, 6)
	sp.retryAt = m.now + m.rng.upTo(min(Millisecond<<(2*sp.tries), 2*m.retryEvery()))
}

func (m *Machine) voterIndex(id bus.NodeID) int {
	for i, v := range m.voters {
		if v == id {
			return i
		}
	}
	return -1
}

func (m *Machine) onSlotPromise(p *peer, b *bus.SlotPromise) {
	sp := &m.prop
	i := m.voterIndex(p.row.ID)
	if sp.phase != slotPreparing || i < 0 || b.Ballot != sp.ballot {
		return
	}
	if !b.OK {
		sp.round = max(sp.round, b.Reg.Promised.Round)
		m.slotRetry("a greater ballot was promised")
		return
	}
	sp.promises[i] = b
	n := 0
	var base *bus.SlotPromise
	for _, pr := range sp.promises {
		if pr == nil {
			continue
		}
		n++
		if base == nil || olderMap(&base.Reg, &pr.Reg) {
			base = pr
		}
	}
	if n < len(m.voters)/2+1 {
		return
	}
	m.proposeMap(mapOf(base.Reg.Ver, base.Reg.Spans))
}

// proposeMap has the voters accept what the operations make of a decided map.
func (m *Machine) proposeMap(before slotMap) {
	sp := &m.prop
	sp.next = before
	for k := range sp.ops {
		sp.ops[k].run(&sp.next)
	}
	if len(sp.next.diff(&before)) > 0 {
		sp.next.ver++
	}
	sp.phase, sp.at = slotAccepting, m.now
	sp.accepted = make([]bool, len(m.voters))
	m.toVoters(&bus.SlotAccept{Ballot: sp.ballot, Ver: sp.next.ver, Spans: sp.next.spans()})
}

func (m *Machine) onSlotAccepted(p *peer, b *bus.SlotAccepted) {
	sp := &m.prop
	i := m.voterIndex(p.row.ID)
	if sp.phase != slotAccepting || i < 0 || b.Ballot != sp.ballot || b.Ver != sp.next.ver {
		return
	}
	if !b.OK {
		m.slotRetry("a greater ballot was promised")
		return
	}
	sp.accepted[i] = true
	n := 0
	for _, a := range sp.accepted {
		if a {
			n++
		}
	}
	if n < len(m.voters)/2+1 {
		return
	}
	ops := sp.ops
	sp.ops, sp.phase, sp.held, sp.tries = nil, slotIdle, true, 0
	m.vote.mapSeen = 0 // whatever had been decided before is in this one
	m.tellSlots(&sp.next)
	for _, op := range ops {
		m.reply(op.tok, op.err)
	}
	m.tickSlotProp()
}

// tellSlots takes a map decided here and tells everyone the difference.
func (m *Machine) tellSlots(next *slotMap) {
	if next.ver <= m.slots.ver {
		return
	}
	b := &bus.SlotMap{Ver: next.ver, Base: m.slots.ver, Spans: next.diff(&m.slots)}
	if next.ver != m.slots.ver+1 {
		b.Base, b.Spans = 0, next.spans()
	}
	// A majority of the voters has it on disk: when all lose power they read it back (unsure).
	m.learnSlots(*next)
	for _, p := range m.gossip {
		m.send(p.row.ID, b)
	}
}

// unsure: after its start this voter has accepted a map that it has not heard was decided. It may
// have been, and everyone may have lost the news with the power. Until it knows, it gives no
// lease: a majority of voters would have to be sure for a shard to serve slots that it has
// handed over.
func (m *Machine) unsure() bool { return m.vote.mapSeen > m.slots.ver }

// readMap has the register decided anew, without a change of its own.
func (m *Machine) readMap() {
	if m.unsure() && m.prop.phase == slotIdle && len(m.prop.queue) == 0 && m.now >= m.prop.retryAt {
		m.wantSlots(slotOp{to: m.me.row.Shard})
	}
}

func (m *Machine) onSlotMap(p *peer, b *bus.SlotMap) {
	if b.Ask {
		if m.slots.ver > 0 {
			m.send(p.row.ID, &bus.SlotMap{Ver: m.slots.ver, Spans: m.slots.spans()})
		}
		return
	}
	if b.Ver <= m.slots.ver {
		return
	}
	if b.Base != 0 && b.Base != m.slots.ver {
		m.send(p.row.ID, &bus.SlotMap{Ask: true})
		return
	}
	next := mapOf(b.Ver, b.Spans)
	if b.Base != 0 {
		next = m.slots
		next.ver = b.Ver
		next.apply(b.Spans)
	}
	m.learnSlots(next)
	if !m.mesh {
		for _, q := range m.gossip {
			if q != p {
				m.send(q.row.ID, b)
			}
		}
	}
}

// learnSlots takes a decided map.
func (m *Machine) learnSlots(next slotMap) {
	had, owned := m.slots.first(m.me.row.Shard)
	m.slots = next
	m.ownerDirt, m.viewDirty = true, true
	m.saveSoon("slots")
	m.event(EvSlotMap, bus.NodeID{}, 0, "slot map version %d", next.ver)
	m.closeOpen()
	m.tickTold()
	if _, owns := m.slots.first(m.me.row.Shard); owned && !owns {
		m.drained(had)
	}
	m.firstSlots()
}

// firstSlots has this node ask for its shard's first record when the shard owns slots and has none.
func (m *Machine) firstSlots() {
	if _, owns := m.slots.first(m.me.row.Shard); owns && m.rec(m.me.row.Shard).IsZero() && m.me.row.Primary.IsZero() {
		m.lead.newShard = true
	}
}

// closeOpen ends classic migration marks that the map has overtaken.
func (m *Machine) closeOpen() {
	kept := m.open[:0]
	for _, o := range m.open {
		owner := m.ownerNode(o.Slot)
		mine := owner != nil && owner.row.Shard == m.me.row.Shard
		if o.Importing == mine {
			continue // importing and now mine, or migrating and no longer mine
		}
		kept = append(kept, o)
	}
	if len(kept) != len(m.open) {
		m.saveSoon("self")
		m.viewDirty = true
	}
	m.open = kept
}

// drained: my shard lost its last slot to others: its primary becomes a replica of the shard
// that took had, the first of them, and its replicas follow (S29).
func (m *Machine) drained(had slot.Slot) {
	if !m.cfg.ReplicaMigration {
		return
	}
	if !m.leads(m.rec(m.me.row.Shard)) && !m.me.row.Primary.IsZero() {
		return // replicas follow in tickFollow
	}
	if to, ok := m.slots.at(had); ok && to != m.me.row.Shard {
		if p := m.primaryOf(to); p != nil && p != m.me {
			m.event(EvRole, p.row.ID, 0, "my shard has no slot left: following %s", p.row.ID.Short())
			m.changed(func(r *bus.Row) { r.Shard, r.Primary = to, p.row.ID })
		}
	}
}
