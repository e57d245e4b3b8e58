package core

import (
	"fmt"
	"sort"

	"github.com/sextantdb/sextant/bus"
)

// How a MEET-built cluster gets its first voter set. The owner of slot 0 is the founder.
// When it sees every slot owned, no two owners with one epoch, every owner in reach and all
// owners' tables equal to its own for a while, it proposes {voters, records, slot map} to
// every owner. An owner that finds its own claims in the proposal locks itself to it
// (durably: its claims stand still from then on) and acknowledges. When every owner has,
// the founder installs version 1, durably before it tells anyone. One refusal ends the
// attempt. Two different first sets could only both be installed if some owner were locked to
// both, so there is only one. While the founder is down the lock holds; FORGET of the founder
// lifts it.
//
// An owner that died before there were voters would never be failed over. So a minority of
// owners may be missing, when a majority of the owners calls them failed and they have been
// silent long enough to have stopped serving by themselves (leaseDeadline): they need not
// lock, any two majorities of owners share one that is locked. They are voters and primaries
// of their shards all the same; elections do the rest.

const maxVoters = 7

// former is a node's part in formations.
type former struct {
	lock   *bus.Form // accepted proposal, durable
	mine   *attempt  // my own proposal, volatile
	hash   uint64    // table hash the agreement is about
	since  Mono      // since when all agree, 0 = they do not
	ballot uint64
	want   []bus.NodeID // voters an operator named
	tok    uint64
	until  Mono
}

type attempt struct {
	form  *bus.Form
	peers []bus.NodeID // who must agree
	acks  []bool
	at    Mono
	begun Mono
}

// formRefusal says why no voter set forms yet, "" when it may.
func (m *Machine) formRefusal() string {
	m.refreshOwners()
	founder := false
	for s, o := range m.ownerTab {
		if int(o) >= len(m.nodes) {
			return fmt.Sprintf("slot %d has no owner", s)
		}
		if p := m.nodes[o]; !founder && !m.missing(p) {
			if p != m.me {
				return "not the owner of slot 0"
			}
			founder = true
		}
	}
	owners, here := m.claimants(), 0
	epochs := map[uint64]bool{} // membership only
	for _, p := range owners {
		id := p.row.ID.Short()
		if !m.missing(p) {
			here++
		}
		switch {
		case len(owners) > 1 && epochs[p.row.Epoch]:
			return fmt.Sprintf("epoch %d is claimed twice", p.row.Epoch)
		case p == m.me, m.missing(p):
		case p.heardAt == 0 || p.suspect || p.failed || m.silent(p) > m.t()/2+m.pingEvery():
			return id + " has not been heard"
		case p.table != m.tableHash:
			return id + " sees another node table"
		case p.ver > 0:
			return id + " is in a formed cluster"
		}
		epochs[p.row.Epoch] = true
	}
	if here < len(owners)/2+1 {
		return fmt.Sprintf("%d of %d slot owners are in reach", here, len(owners))
	}
	if len(m.meets) > 0 {
		return "a MEET is under way"
	}
	return ""
}

// missing: p is failed and has been silent for so long that it no longer serves.
func (m *Machine) missing(p *peer) bool {
	return p != m.me && p.failed && m.silent(p) > m.t()+m.t()/2
}

func (m *Machine) tickForm() {
	f := &m.form
	if m.formed() {
		m.askInstall()
		return
	}
	if f.mine != nil {
		m.tickAttempt()
		return
	}
	if !m.cfg.AutoVoters && f.want == nil || f.lock != nil && f.lock.Founder != m.self || len(m.me.row.Slots) == 0 {
		return
	}
	if f.want != nil && m.now > f.until {
		m.reply(f.tok, "ERR no voter set: "+m.formRefusal())
		f.want, f.tok = nil, 0
		return
	}
	if why := m.formRefusal(); why != "" {
		f.since = 0
		return
	}
	if f.since == 0 || f.hash != m.tableHash {
		f.since, f.hash = m.now, m.tableHash
	}
	if f.want == nil && m.now-f.since < clamp(m.t()/20, 50*Millisecond, 250*Millisecond) {
		return
	}
	m.propose()
}

// propose begins an attempt.
func (m *Machine) propose() {
	f := &m.form
	owners := m.claimants()
	b := &bus.Form{Step: bus.FormPropose, Founder: m.self, Set: f.want}
	f.ballot = m.nextRound(f.ballot)
	b.Ballot = f.ballot
	if b.Set == nil {
		n := min(len(owners), maxVoters)
		if n%2 == 0 {
			n-- // an even set needs as many answers as the next odd one
		}
		sort.SliceStable(owners, func(i, j int) bool {
			if a, b := m.missing(owners[i]), m.missing(owners[j]); a != b {
				return b
			}
			return owners[i].row.ID.Less(owners[j].row.ID)
		})
		for _, p := range owners[:n] {
			b.Set = append(b.Set, p.row.ID)
		}
		sortIDs(b.Set)
	}
	b.Slots = bus.SlotReg{Promised: bus.Ballot{Round: 1, By: m.self}, Accepted: bus.Ballot{Round: 1, By: m.self}, Ver: 1}
	at := &attempt{form: b, begun: m.now, at: m.now}
	m.refreshOwners()
	for _, p := range owners {
		k, _ := m.index(p.row.ID)
		var pairs []uint16
		for s := 0; s < len(m.ownerTab); s++ {
			if int(m.ownerTab[s]) != k {
				continue
			}
			first := s
			for s+1 < len(m.ownerTab) && int(m.ownerTab[s+1]) == k {
				s++
			}
			pairs = append(pairs, uint16(first), uint16(s))
		}
		b.Slots.Spans = append(b.Slots.Spans, bus.SlotSpan{Shard: p.row.Shard, Slots: pairs})
		who := bus.NewMember(p.row.ID, p.row.Inc)
		epoch := max(p.row.Epoch, 1)
		b.Regs = append(b.Regs, bus.Register{Shard: p.row.Shard, Promised: epoch,
			Rec: bus.Rec{Shard: p.row.Shard, Epoch: epoch, Primary: who, ISR: m.firstSet(p, who), VoterVer: 1}})
		if !m.missing(p) {
			at.peers = append(at.peers, p.row.ID)
		}
	}
	for _, id := range b.Set {
		if q := m.find(id); !has(at.peers, id) && (q == nil || !m.missing(q)) {
			at.peers = append(at.peers, id)
		}
	}
	sortIDs(at.peers)
	at.acks = make([]bool, len(at.peers))
	f.mine = at
	m.event(EvFormation, m.self, 0, "proposing voter set 1 of %d to %d slot owners", len(b.Set), len(at.peers))
	for _, id := range at.peers {
		m.send(id, b)
	}
}

// firstSet is a shard's first in-sync set: its primary, and the replicas that say they hold the
// primary's history whole: connected with it, or, when it is gone, with all that it was last
// heard to have. (Those the founder has not heard of yet are added by the primary.)
func (m *Machine) firstSet(p *peer, who bus.Member) []bus.Member {
	primary, gone := &p.stat, m.missing(p)
	if p == m.me {
		mine := m.stat()
		primary = &mine
	}
	set := []bus.Member{who}
	for _, q := range m.nodes {
		s := &q.stat
		if q == m.me || q.row.Primary != p.row.ID || q.row.Shard != p.row.Shard || q.statAt == 0 || s.Shard != p.row.Shard ||
			s.Flags&bus.StatSynced == 0 || s.Flags&bus.StatLoading != 0 || s.ReplID != primary.ReplID || s.ReplID.IsZero() {
			continue
		}
		if !gone && s.Flags&bus.StatLinkUp != 0 || gone && s.Offset >= primary.Offset {
			set = append(set, bus.NewMember(q.row.ID, q.statInc))
		}
	}
	sortMembers(set)
	return set
}

func (m *Machine) tickAttempt() {
	a := m.form.mine
	if m.now-a.begun > m.t() {
		m.abandon("not every slot owner answered")
		return
	}
	if m.now-a.at >= m.retryEvery() {
		a.at = m.now
		for i, id := range a.peers {
			if !a.acks[i] {
				m.send(id, a.form)
			}
		}
	}
}

func (m *Machine) abandon(why string) {
	a := m.form.mine
	m.form.mine, m.form.since = nil, 0
	m.refuse("formation", why)
	for _, id := range a.peers {
		m.send(id, &bus.Form{Step: bus.FormAbort, Founder: m.self, Ballot: a.form.Ballot})
	}
}

// mayLock decides whether I can agree to a proposal.
func (m *Machine) mayLock(b *bus.Form, from bus.NodeID) string {
	switch {
	case m.formed():
		return "a voter set exists"
	case b.Founder != from:
		return "the founder must ask itself"
	case m.form.lock != nil && (m.form.lock.Founder != b.Founder || m.form.lock.Ballot > b.Ballot):
		return "locked to another attempt of " + m.form.lock.Founder.Short()
	}
	mine, _ := bus.SetOf(m.me.row.Slots)
	for _, sp := range b.Slots.Spans {
		set, ok := bus.SetOf(sp.Slots)
		if !ok {
			return "malformed slots"
		}
		if sp.Shard == m.me.row.Shard && m.me.row.Primary.IsZero() {
			if set != mine {
				return "it gives me other slots than I claim"
			}
			mine = set
			for _, r := range b.Regs {
				if r.Shard == sp.Shard && (r.Rec.Primary != m.member() || r.Rec.Epoch != max(m.me.row.Epoch, 1)) {
					return "it gives me another epoch or incarnation"
				}
			}
			return ""
		}
	}
	if !mine.Empty() {
		return "it leaves out my slots"
	}
	return ""
}

func (m *Machine) onForm(p *peer, b *bus.Form) {
	f := &m.form
	if b.Step == bus.FormAbort {
		if f.lock != nil && f.lock.Founder == p.row.ID && f.lock.Ballot <= b.Ballot {
			f.lock = nil
			m.save("form")
		}
		return
	}
	why := m.mayLock(b, p.row.ID)
	if why == "" {
		f.lock = b
		m.save("form")
	}
	m.send(p.row.ID, &bus.FormAck{Founder: b.Founder, Ballot: b.Ballot, Refuse: why})
}

func (m *Machine) onFormAck(p *peer, b *bus.FormAck) {
	a := m.form.mine
	if a == nil || b.Founder != m.self || b.Ballot != a.form.Ballot {
		return
	}
	if b.Refuse != "" {
		m.abandon(p.row.ID.Short() + ": " + b.Refuse)
		return
	}
	all := true
	for i, id := range a.peers {
		a.acks[i] = a.acks[i] || id == p.row.ID
		all = all && a.acks[i]
	}
	if !all {
		return
	}
	in := &bus.Install{Ver: 1, Set: a.form.Set, Regs: a.form.Regs, Slots: a.form.Slots, Decided: true}
	tok := m.form.tok
	m.form.want, m.form.tok = nil, 0
	m.install(in)
	for _, id := range a.peers {
		if id != m.self {
			m.send(id, in)
		}
	}
	m.reply(tok, "")
}

// startFormed moves a node from claims to registers. Its slots are in the map now.
func (m *Machine) startFormed() {
	m.changed(func(r *bus.Row) { r.Slots = nil })
}

func sortIDs(ids []bus.NodeID) {
	sort.Slice(ids, func(i, j int) bool { return ids[i].Less(ids[j]) })
}
