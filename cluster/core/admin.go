package core

import (
	"fmt"

	"github.com/sextantdb/sextant/bus"
	"github.com/sextantdb/sextant/cluster/topology"
	"github.com/sextantdb/sextant/store/slot"
)

// waiting is an admin command that is answered when the cluster knows its outcome.
type waiting struct {
	tok   uint64
	slot  slot.Slot
	to    bus.ShardID
	until Mono
}

func (m *Machine) reply(tok uint64, err string) {
	if tok == 0 {
		return
	}
	r := AdminReply{Tok: tok, Err: err}
	if err == "" {
		r.Text = "OK"
	}
	m.out.Replies = append(m.out.Replies, r)
}

func (m *Machine) replyText(tok uint64, text string) {
	if tok != 0 {
		m.out.Replies = append(m.out.Replies, AdminReply{Tok: tok, Text: text})
	}
}

// tickWaiting answers orders that ran out of time.
func (m *Machine) tickWaiting() {
	l := &m.lead
	if l.orderTok != 0 && l.orderUntil <= m.now {
		m.replyText(l.orderTok, fmt.Sprintf("STILL %d", m.rec(m.me.row.Shard).Epoch))
		l.orderTok = 0
	}
}

func (m *Machine) isReplica() bool {
	rec := m.rec(m.me.row.Shard)
	if m.formed() && !rec.IsZero() {
		return rec.Primary.ID != m.self
	}
	return !m.me.row.Primary.IsZero()
}

func (m *Machine) onAdmin(a *Admin) {
	if m.isOlder() && !(a.Kind == AdminReset && a.Hard) && a.Kind != AdminSaveConfig && a.Kind != AdminCountFailureReports {
		m.reply(a.Tok, "ERR "+olderReason)
		return
	}
	switch a.Kind {
	case AdminMeet:
		m.startMeet(a.IP, a.Port, a.CPort)
		m.reply(a.Tok, "")
	case AdminForget:
		m.reply(a.Tok, m.forget(a))
	case AdminReplicate:
		m.reply(a.Tok, m.replicate(a))
	case AdminAddSlots, AdminDelSlots, AdminFlushSlots:
		m.adminSlots(a)
	case AdminSetSlotMigrating, AdminSetSlotImporting, AdminSetSlotNode, AdminSetSlotStable:
		m.setSlot(a)
	case AdminMoveSlots:
		m.moveSlots(a)
	case AdminBumpEpoch:
		m.bumpEpoch(a)
	case AdminSetConfigEpoch:
		m.reply(a.Tok, m.setConfigEpoch(a))
	case AdminFailover:
		m.failover(a)
	case AdminReset:
		m.reply(a.Tok, m.reset(a))
	case AdminSaveConfig:
		m.saveAll = true
		m.reply(a.Tok, "")
	case AdminCountFailureReports:
		if p, err := m.named(a.Node); err != "" {
			m.reply(a.Tok, err)
		} else {
			n := 0
			for _, r := range p.reports {
				if r.by != m.self { // what others report: as in Redis, my own opinion is none
					n++
				}
			}
			m.out.Replies = append(m.out.Replies, AdminReply{Tok: a.Tok, Int: int64(n)})
		}
	case AdminVoters:
		m.adminVoters(a)
	default:
		m.reply(a.Tok, "ERR unknown cluster command")
	}
}

// named finds a node by the id an operator gave.
func (m *Machine) named(s string) (*peer, string) {
	id, ok := bus.ParseNodeID(s)
	if p := m.find(id); ok && p != nil {
		return p, ""
	}
	return nil, "ERR Unknown node " + s
}

func (m *Machine) forget(a *Admin) string {
	p, err := m.named(a.Node)
	switch id, _ := bus.ParseNodeID(a.Node); {
	case err != "" && m.banned(id):
		return "" // forgotten already, perhaps by gossip
	case err != "":
		return err
	case p == m.me:
		return "ERR I tried hard but I can't forget myself..."
	case m.isReplica() && m.myPrimary() == p.row.ID:
		return "ERR Can't forget my master!"
	}
	m.remove(p.row.ID, banTime)
	m.note(news{ban: p.row.ID}, true)
	return ""
}

func (m *Machine) myPrimary() bus.NodeID {
	if rec := m.rec(m.me.row.Shard); m.formed() && !rec.IsZero() {
		return rec.Primary.ID
	}
	return m.me.row.Primary
}

// replicaNode: what tools would call a replica.
func (m *Machine) replicaNode(p *peer) bool {
	if p == m.me {
		return m.isReplica()
	}
	if rec := m.rec(p.row.Shard); m.formed() && !rec.IsZero() {
		return rec.Primary.ID != p.row.ID
	}
	return !p.row.Primary.IsZero()
}

func (m *Machine) replicate(a *Admin) string {
	p, err := m.named(a.Node)
	switch {
	case err != "":
		return err
	case p == m.me:
		return "ERR Can't replicate myself"
	case m.replicaNode(p):
		return "ERR I can only replicate a master, not a replica."
	case !m.isReplica() && (m.claimed() > 0 || a.Keys > 0):
		return "ERR To set a master the node must be empty and without assigned slots."
	}
	m.handStop("told to replicate another node")
	m.lead.newShard = false
	m.changed(func(r *bus.Row) { r.Primary, r.Shard = p.row.ID, p.row.Shard })
	return ""
}

// ---- slots ----

const formingErr = "TRYAGAIN The cluster is forming its voter set"

func (m *Machine) adminSlots(a *Admin) {
	if a.Kind == AdminFlushSlots {
		if a.Keys > 0 {
			m.reply(a.Tok, "ERR DB must be empty to perform CLUSTER FLUSHSLOTS.")
			return
		}
		if m.formed() {
			m.wantSlots(slotOp{tok: a.Tok, from: m.me.row.Shard})
			return
		}
	}
	if !m.formed() && m.form.lock != nil {
		m.reply(a.Tok, formingErr)
		return
	}
	del := a.Kind != AdminAddSlots
	var set slot.Set
	for _, s := range a.Slots {
		if s >= slot.Count {
			m.reply(a.Tok, "ERR Invalid or out of range slot")
			return
		}
		owned := m.assigned(s)
		switch {
		case del && !owned:
			m.reply(a.Tok, fmt.Sprintf("ERR Slot %d is already unassigned", s))
			return
		case !del && owned:
			m.reply(a.Tok, fmt.Sprintf("ERR Slot %d is already busy", s))
			return
		case set.Has(s):
			m.reply(a.Tok, fmt.Sprintf("ERR Slot %d specified multiple times", s))
			return
		}
		set.Add(s)
	}
	if m.formed() {
		op := slotOp{tok: a.Tok, set: set}
		if !del {
			op.free, op.to = true, m.me.row.Shard
		}
		m.wantSlots(op)
		return
	}
	mine, _ := bus.SetOf(m.me.row.Slots)
	switch {
	case a.Kind == AdminFlushSlots:
		mine = slot.Set{}
	case del: // what others claim cannot be unassigned here: their rows are theirs
		mine.Subtract(&set)
	default:
		mine.Union(&set)
	}
	m.claim(&mine)
	m.dropOpen(&set)
	m.reply(a.Tok, "")
}

func (m *Machine) assigned(s slot.Slot) bool {
	if m.formed() {
		_, ok := m.slots.at(s)
		return ok
	}
	return m.ownerNode(s) != nil
}

// dropOpen removes the migration marks of slots.
func (m *Machine) dropOpen(set *slot.Set) {
	kept := m.open[:0]
	for _, o := range m.open {
		if !set.Has(o.Slot) {
			kept = append(kept, o)
		}
	}
	m.open = kept
	m.saveSoon("self")
	m.viewDirty = true
}

func (m *Machine) mark(o topology.Open) {
	one := setOfSlots([]slot.Slot{o.Slot})
	m.dropOpen(&one)
	i := 0
	for i < len(m.open) && m.open[i].Slot < o.Slot {
		i++
	}
	m.open = append(m.open, topology.Open{})
	copy(m.open[i+1:], m.open[i:])
	m.open[i] = o
}

func (m *Machine) setSlot(a *Admin) {
	if m.isReplica() {
		m.reply(a.Tok, "ERR Please use SETSLOT only with masters.")
		return
	}
	if a.Slot >= slot.Count {
		m.reply(a.Tok, "ERR Invalid or out of range slot")
		return
	}
	owner := m.ownerNode(a.Slot)
	if a.Kind == AdminSetSlotStable {
		one := setOfSlots([]slot.Slot{a.Slot})
		m.dropOpen(&one)
		m.reply(a.Tok, "")
		return
	}
	switch a.Kind {
	case AdminSetSlotMigrating:
		if owner != m.me {
			m.reply(a.Tok, fmt.Sprintf("ERR I'm not the owner of hash slot %d", a.Slot))
			return
		}
	case AdminSetSlotImporting:
		if owner == m.me {
			m.reply(a.Tok, fmt.Sprintf("ERR I'm already the owner of hash slot %d", a.Slot))
			return
		}
	}
	p, err := m.named(a.Node)
	if err != "" {
		if a.Kind != AdminSetSlotNode {
			err = "ERR I don't know about node " + a.Node
		}
		m.reply(a.Tok, err)
		return
	}
	if m.replicaNode(p) {
		m.reply(a.Tok, "ERR Target node is not a master")
		return
	}
	switch a.Kind {
	case AdminSetSlotMigrating:
		m.mark(topology.Open{Slot: a.Slot, Peer: p.row.ID})
		m.reply(a.Tok, "")
	case AdminSetSlotImporting:
		m.mark(topology.Open{Slot: a.Slot, Importing: true, Peer: p.row.ID})
		if m.formed() && m.rec(m.me.row.Shard).IsZero() {
			m.lead.newShard = true // the shard must have a leader before it owns a slot
		}
		m.reply(a.Tok, "")
	case AdminSetSlotNode:
		m.setSlotNode(a, p, owner)
	}
}

// setSlotNode gives a slot to a node. With voters it is a change of the slot map, decided before
// the answer, whoever was asked (PROTOCOL 6, old tools). Without, it works as in Redis: the
// target takes the slot with a new epoch, others follow its claim.
func (m *Machine) setSlotNode(a *Admin, p, owner *peer) {
	if owner == m.me && p != m.me && a.SlotKeys > 0 {
		m.reply(a.Tok, fmt.Sprintf("ERR Can't assign hashslot %d to a different node while I still hold keys for this hash slot.", a.Slot))
		return
	}
	one := setOfSlots([]slot.Slot{a.Slot})
	if m.formed() {
		if owner == p {
			m.closeOpen()
			m.reply(a.Tok, "")
			return
		}
		op := slotOp{tok: a.Tok, set: one, to: p.row.Shard}
		if p == m.me {
			m.wantSlots(op)
		} else {
			m.expectSlots(op)
		}
		return
	}
	if m.form.lock != nil {
		m.reply(a.Tok, formingErr)
		return
	}
	mine, _ := bus.SetOf(m.me.row.Slots)
	switch {
	case p == m.me && owner != m.me:
		mine.Add(a.Slot)
		m.epoch++
		m.changed(func(r *bus.Row) { r.Slots, r.Epoch = bus.Pairs(mine.Ranges()), m.epoch })
	case p != m.me && mine.Has(a.Slot):
		mine.Remove(a.Slot)
		left := mine.Empty() && m.cfg.ReplicaMigration
		m.changed(func(r *bus.Row) {
			r.Slots = bus.Pairs(mine.Ranges())
			if left {
				r.Primary, r.Shard = p.row.ID, p.row.Shard
			}
		})
	}
	m.dropOpen(&one)
	m.reply(a.Tok, "")
}

// moveSlots gives slots to a node like SETSLOT NODE for each, but as one change that is decided
// once. Nobody's own opinion counts without voters, so there it is refused.
func (m *Machine) moveSlots(a *Admin) {
	p, err := m.named(a.Node)
	mine := false
	for _, s := range a.Slots {
		if s >= slot.Count {
			err = "ERR Invalid or out of range slot"
			break
		}
		mine = mine || m.ownerNode(s) == m.me
	}
	switch {
	case err != "":
	case m.isReplica():
		err = "ERR Please use MOVESLOTSRANGE only with masters."
	case m.replicaNode(p):
		err = "ERR Target node is not a master"
	case !m.formed():
		err = formingErr
	case mine && p != m.me && a.SlotKeys > 0:
		err = "ERR Can't assign hashslots to a different node while I still hold keys for them."
	}
	if err != "" {
		m.reply(a.Tok, err)
		return
	}
	m.wantSlots(slotOp{tok: a.Tok, set: setOfSlots(a.Slots), to: p.row.Shard})
}

// ---- epochs ----

func (m *Machine) bumpEpoch(a *Admin) {
	if !m.formed() {
		word := "STILL"
		if m.bump() {
			word = "BUMPED"
		}
		m.replyText(a.Tok, fmt.Sprintf("%s %d", word, m.me.row.Epoch))
		return
	}
	rec := m.rec(m.me.row.Shard)
	if !m.leads(rec) || rec.Epoch >= m.epoch {
		m.replyText(a.Tok, fmt.Sprintf("STILL %d", rec.Epoch))
		return
	}
	m.lead.order, m.lead.orderUntil, m.lead.orderTok = bus.VoteBump, m.now+2*m.t(), a.Tok
}

func (m *Machine) setConfigEpoch(a *Admin) string {
	switch {
	case a.Epoch < 0:
		return fmt.Sprintf("ERR Invalid config epoch specified: %d", a.Epoch)
	case len(m.nodes) > 1:
		return "ERR The user can assign a config epoch only when the node does not know any other node."
	case m.me.row.Epoch != 0 || m.formed():
		return "ERR Node config epoch is already non-zero"
	}
	m.epoch = max(m.epoch, uint64(a.Epoch))
	m.changed(func(r *bus.Row) { r.Epoch = uint64(a.Epoch) })
	return ""
}

// ---- failover ----

func (m *Machine) failover(a *Admin) {
	if a.Mode == FailoverAbort {
		m.handAbort("aborted by the operator")
		m.lead.orderUntil = 0
		m.reply(a.Tok, "")
		return
	}
	primary := m.find(m.myPrimary())
	switch {
	case !m.isReplica():
		m.reply(a.Tok, "ERR You should send CLUSTER FAILOVER to a replica")
		return
	case primary == nil:
		m.reply(a.Tok, "ERR I'm a replica but my master is unknown to me")
		return
	case a.Mode == FailoverPlain && (primary.failed || primary.suspect || !primary.linked):
		m.reply(a.Tok, "ERR Master is down or failed, please use CLUSTER FAILOVER FORCE")
		return
	}
	m.handStop("a new one was ordered")
	m.reply(a.Tok, "")
	switch {
	case a.Mode == FailoverPlain:
		m.handBegin(primary.row.ID)
	case !m.formed():
		m.takeClaims(primary)
	default:
		m.lead.order, m.lead.electAt = bus.VoteForce, m.now
		if a.Mode == FailoverTakeover {
			m.lead.order = bus.VoteTakeover
		}
		m.lead.orderUntil = m.now + max(handoverWindow, 3*m.t())
		if !primary.failed && !primary.suspect && primary.linked {
			// A primary that lives is asked to step down, which loses nothing and takes three round
			// trips; its lease would have to run out otherwise. It need not answer.
			m.handBegin(primary.row.ID)
			m.lead.electAt = m.now + clamp(m.t()/10, 50*Millisecond, 500*Millisecond)
		}
	}
}

// ---- reset ----

func (m *Machine) reset(a *Admin) string {
	if !a.Hard && len(m.vote.gone) >= maxGone {
		return "ERR this node has left too many clusters to keep its name, use CLUSTER RESET HARD"
	}
	replica := m.isReplica()
	if !replica && a.Keys > 0 {
		return "ERR CLUSTER RESET can't be called with master nodes containing keys"
	}
	m.event(EvReset, m.self, m.epoch, "hard %v, %d nodes forgotten", a.Hard, len(m.nodes)-1)
	if replica && !m.off(AblateNoIncarnation) {
		m.inc++ // the data goes: this is another member, and sets that name the old one mean nobody (H5)
	}
	for _, p := range append([]*peer(nil), m.nodes...) {
		if p != m.me {
			m.remove(p.row.ID, 0)
		}
	}
	m.forgetVotes()
	m.handStop("reset")
	m.lead = lead{heardAt: m.now}
	m.change, m.prop, m.form = changer{}, slotProp{round: m.prop.round}, former{}
	m.recs, m.voters, m.voterVer, m.slots = nil, nil, 0, mapOf(0, nil)
	m.bans, m.meets, m.news, m.open = nil, nil, nil, nil
	m.cluster, m.joining = bus.ClusterID(m.rng.next()|1), false
	row := bus.Row{ID: m.self, IP: m.me.row.IP, Ver: m.me.row.Ver, Shard: m.rng.id(), Epoch: m.me.row.Epoch}
	if a.Hard {
		m.self = m.rng.id()
		row.ID, row.Epoch, row.Ver = m.self, 0, 0
		m.epoch = 0
		m.vote.gone, m.newer = nil, superseded{}
	}
	m.me = &peer{row: row, addedAt: m.now}
	m.alone()
	m.buckets, m.tableHash = [bus.HashBuckets]uint64{}, 0
	m.announce(m.me)
	m.saveAll = true
	m.ownerDirt, m.viewDirty, m.roleDirt, m.peersDirt = true, true, true, true
	m.roleKnown = false
	m.deriveRole()
	if m.out.Role != nil && replica {
		m.out.Role.Flush = true
	}
	return ""
}

func (m *Machine) adminVoters(a *Admin) {
	if len(a.Voters) == 0 || len(a.Voters) > maxVoters {
		m.reply(a.Tok, "ERR 1 to 7 voters are needed")
		return
	}
	set := append([]bus.NodeID(nil), a.Voters...)
	sortIDs(set)
	for i, id := range set {
		if m.find(id) == nil {
			m.reply(a.Tok, "ERR Unknown node "+id.String())
			return
		}
		if i > 0 && set[i-1] == id {
			m.reply(a.Tok, "ERR a voter is named twice")
			return
		}
	}
	until := m.now + max(10*Second, 4*m.t())
	if !m.formed() {
		m.form.want, m.form.tok, m.form.until = set, a.Tok, until
		return
	}
	m.change.want, m.change.wantTok, m.change.until = set, a.Tok, until
}
