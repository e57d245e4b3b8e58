package core

import (
	"github.com/sextantdb/sextant/bus"
)

// A plain CLUSTER FAILOVER is a barrier in the log and a lease handed back; no clock decides
// anything (H13):
//
//	replica   ASK ─────────────►  primary  stops writes, waits for the data side's offset
//	replica  ◄──────── BARRIER o  primary
//	replica   waits until it has o, READY ─►
//	replica  ◄───────────────GO   primary  drops its own lease, then LEASE-RELEASE to the voters
//	replica   asks for votes at once
//
// Until it has sent GO the primary may give up and let writes go on: its lease was never
// dropped. After GO it serves again only when the voters renew its lease, that is, when
// nobody was elected. Five seconds end every attempt (S27).

const handoverWindow = 5 * Second

type handRole uint8

const (
	handNone handRole = iota
	handReplica
	handPrimary
)

type handover struct {
	role   handRole
	peer   bus.NodeID
	tok    uint64
	step   bus.HandoverStep
	offset int64
	until  Mono
	at     Mono
	epoch  uint64
}

func (m *Machine) handSend(step bus.HandoverStep, why string) {
	h := &m.hand
	h.at = m.now
	m.send(h.peer, &bus.Handover{Step: step, Shard: m.me.row.Shard, Epoch: h.epoch, Tok: h.tok, Offset: h.offset, Why: why})
}

// handBegin starts a handover at the replica.
func (m *Machine) handBegin(primary bus.NodeID) {
	m.hand = handover{role: handReplica, peer: primary, tok: m.rng.next() | 1, step: bus.HandoverAsk,
		until: m.now + handoverWindow, epoch: m.rec(m.me.row.Shard).Epoch}
	m.event(EvHandover, primary, m.hand.epoch, "asking the primary to hand over")
	m.handSend(bus.HandoverAsk, "")
}

// handStop ends an attempt. The primary lets writes go on.
func (m *Machine) handStop(why string) {
	h := m.hand
	m.hand = handover{}
	if h.role == handNone {
		return
	}
	m.event(EvHandover, h.peer, h.epoch, "ended: %s", why)
	if h.role == handPrimary {
		m.out.Pause = &Pause{}
		if m.lead.released {
			m.lead.released = false
			m.lead.exp = 0 // only voters can give it back
			m.lead.acked = make([]Mono, len(m.voters))
			m.lead.renewAt = m.now
			m.viewDirty = true
		}
	} else if m.lead.order == bus.VoteHandover {
		m.lead.orderUntil = 0
	}
}

func (m *Machine) handAbort(why string) {
	if m.hand.role != handNone {
		m.handSend(bus.HandoverAbort, why)
		m.refuse("handover", why)
		m.handStop(why)
	}
}

// handDone: this node has won the shard.
func (m *Machine) handDone() {
	if m.hand.role == handReplica {
		m.hand = handover{}
	}
}

func (m *Machine) tickHandover() {
	h := &m.hand
	if h.role == handNone {
		return
	}
	if h.role == handPrimary && !m.formed() && !m.me.row.Primary.IsZero() {
		m.handStop("done") // without voters the heir's claim is all the news there is
		return
	}
	if m.now >= h.until {
		m.handAbort("timed out")
		return
	}
	if m.now-h.at >= m.retryEvery() {
		switch {
		case h.role == handReplica && (h.step == bus.HandoverAsk || h.step == bus.HandoverReady):
			m.handSend(h.step, "")
		case h.role == handPrimary && (h.step == bus.HandoverBarrier || h.step == bus.HandoverGo):
			m.handSend(h.step, "")
			if h.step == bus.HandoverGo {
				m.toVoters(&bus.LeaseRelease{Shard: m.me.row.Shard, Epoch: h.epoch})
			}
		}
	}
	m.handLocal()
}

// handLocal looks whether the data side has reached what the handover waits for.
func (m *Machine) handLocal() {
	h := &m.hand
	switch {
	case h.role == handPrimary && h.step == bus.HandoverAsk && m.local.Paused == h.tok:
		h.step, h.offset = bus.HandoverBarrier, m.local.Offset
		m.event(EvHandover, h.peer, h.epoch, "writes stand still at offset %d", h.offset)
		m.handSend(bus.HandoverBarrier, "")
	case h.role == handReplica && h.step == bus.HandoverBarrier && m.local.Offset >= h.offset:
		h.step = bus.HandoverReady
		m.event(EvHandover, h.peer, h.epoch, "offset %d reached, barrier %d", m.local.Offset, h.offset)
		m.handSend(bus.HandoverReady, "")
	}
}

// mayHandOver decides at the primary.
func (m *Machine) mayHandOver(p *peer, b *bus.Handover) string {
	rec := m.rec(m.me.row.Shard)
	switch {
	case m.formed() && !m.leads(rec), !m.formed() && !m.me.row.Primary.IsZero():
		return "not the primary"
	case b.Shard != m.me.row.Shard:
		return "another shard"
	case m.formed() && !m.lead.held:
		return "no lease"
	case m.formed() && !rec.Has(bus.NewMember(p.row.ID, p.statInc)):
		return "the replica is not in the set: it does not hold all data yet"
	case m.hand.role != handNone && m.hand.tok != b.Tok && m.hand.peer != p.row.ID:
		return "another handover is under way"
	}
	return ""
}

func (m *Machine) onHandover(p *peer, b *bus.Handover) {
	h := &m.hand
	switch b.Step {
	case bus.HandoverAsk:
		if h.role == handPrimary && h.tok == b.Tok {
			return // a repeat
		}
		if why := m.mayHandOver(p, b); why != "" {
			m.refuse("handover", why)
			m.send(p.row.ID, &bus.Handover{Step: bus.HandoverAbort, Shard: b.Shard, Tok: b.Tok, Why: why})
			return
		}
		if h.role != handNone {
			m.handStop("asked anew")
		}
		m.hand = handover{role: handPrimary, peer: p.row.ID, tok: b.Tok, step: bus.HandoverAsk,
			until: m.now + handoverWindow, at: m.now, epoch: m.rec(m.me.row.Shard).Epoch}
		m.out.Pause = &Pause{Tok: b.Tok}
		m.event(EvHandover, p.row.ID, m.hand.epoch, "asked to hand over: stopping writes")
	case bus.HandoverBarrier:
		if h.role == handReplica && h.tok == b.Tok && h.step == bus.HandoverAsk {
			h.step, h.offset, h.epoch = bus.HandoverBarrier, b.Offset, b.Epoch
			m.handLocal()
		}
	case bus.HandoverReady:
		if h.role == handPrimary && h.tok == b.Tok && h.step == bus.HandoverBarrier {
			h.step = bus.HandoverGo
			m.lead.released = true
			m.lead.held = false
			m.viewDirty = true
			m.event(EvHandover, p.row.ID, h.epoch, "lease given back at offset %d", h.offset)
			if m.formed() {
				m.toVoters(&bus.LeaseRelease{Shard: b.Shard, Epoch: h.epoch})
			}
			m.handSend(bus.HandoverGo, "")
		}
	case bus.HandoverGo:
		if h.role == handReplica && h.tok == b.Tok && h.step == bus.HandoverReady {
			h.step = bus.HandoverGo
			if !m.formed() {
				m.takeClaims(p)
				return
			}
			m.lead.order, m.lead.orderUntil, m.lead.electAt = bus.VoteHandover, h.until, m.now
		} else if h.role == handReplica && h.tok == b.Tok && h.step == bus.HandoverGo && m.lead.phase == idle {
			m.lead.electAt = m.now // the lease was given back again: do not sit out what voters said before
		}
	case bus.HandoverAbort:
		if h.role != handNone && h.tok == b.Tok && h.peer == p.row.ID {
			m.refuse("handover", b.Why)
			m.handStop("the other side: " + b.Why)
		}
	}
}

// takeClaims makes a replica the owner of its primary's claims, before there are voters.
func (m *Machine) takeClaims(p *peer) {
	m.hand = handover{}
	m.epoch++
	slots := p.row.Slots
	m.event(EvElectionWon, m.self, m.epoch, "took the claims of %s without voters", p.row.ID.Short())
	m.changed(func(r *bus.Row) { r.Slots, r.Epoch, r.Primary = slots, m.epoch, bus.NodeID{} })
}
