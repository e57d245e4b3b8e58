package core

import (
	"github.com/sextantdb/sextant/bus"
)

// One node, one process. A directory can be copied and started twice, and an old state file can
// be put back: then two processes have one name, one seat among the voters and one place in a
// shard's set. Quorums mean nothing while both speak: each of two majorities may have one of them
// in the doubled seat. So everyone must agree on which process the node is.
//
// Every start draws a life, greater than those before (Header.Boot; the count of starts stands
// above a drawn number, for copies are numbered alike), and each version of a row names the life
// that made it. The newest life is the node: its rows replace those of others, whatever their
// versions, so that all who gossip learn of it within moments; nothing that an older life says is
// listened to, but it is told (Older). It then stops: it serves nothing, votes for nothing,
// proposes nothing and closes its connections, so that others find the newer process at the
// address that its row names.
//
// The newest may have ended: the copy was only tried out, or the state file came from a backup. So
// an older life asks, again and again, whether others still hear the newer one. An elector that
// has not heard it for T says so, and promises by that not to listen to it for another T. With that
// promise from a majority of the other electors the newer life, whose own word in its doubled seat
// counts once, has no majority while the older one goes on under a life greater than
// both, disowning what was: as a new incarnation, since the other may have acknowledged writes in its name (R10), and
// without the voter's memory, since the other may have voted (change.go gives it its seat anew).
// The newest one does the same when it is told that an older one went on after its start: that
// one was more than its memory.
//
// A start is always newer than what its state file knows of, also of other processes.
//
// What is left: two processes may both serve from the moment the second one is heard by a majority
// until the first one hears of it, at most for what is left of its lease. When the doubled node is a
// voter and a partition leaves one of the two on each side, both sides may have majorities for as
// long as it lasts, and nobody could tell them so.

// superseded is what an older life knows and does. Only life and inc are durable.
type superseded struct {
	life   uint64 // the newest that was told of; 0: this process is the node
	inc    uint64
	asking bool
	askAt  Mono
	sentAt Mono
	gone   []bus.NodeID // who promised not to listen to the newer life
}

// olderReason is what clients and operators are told of a process that is not the node.
const olderReason = "another process runs under this node's id"

// maxLife bounds lives so that a greater one can always be drawn.
const maxLife = 1 << 63

// newest is the newest life of p that is known: no older one is listened to.
func (p *peer) newest() uint64 { return max(p.boot, p.row.Life, p.told) }

// newestOf is the life of p from which on it is listened to.
func (m *Machine) newestOf(p *peer) uint64 {
	if !m.off(AblateNoLives) {
		return p.newest()
	}
	if m.silent(p) > m.t() { // what one hears with one's own ears, and nothing more
		return 0
	}
	return p.boot
}

// newLife names this process.
func (m *Machine) newLife() { m.life = m.boot<<32 | m.rng.next()>>32 }

// nextRound is a ballot's round above another, which no other life of this node uses.
func (m *Machine) nextRound(after uint64) uint64 {
	return (max(after, m.boot<<32)>>16+1)<<16 | m.life&0xffff
}

// heardOlder: a life of p that is over, or should be, has spoken.
func (m *Machine) heardOlder(p *peer, life uint64) {
	if life < p.boot && !p.twin {
		p.twin = true
		m.event(EvTwin, p.row.ID, 0, "a process of node %s that was started before its newest one is still heard; it is not listened to. Was its directory copied?", p.row.ID.Short())
	}
	m.dropped(p.row.ID, "from an earlier life of its sender")
	if m.now-p.toldOlder < m.tickEvery() || m.off(AblateNoLives) {
		return
	}
	p.toldOlder = m.now
	b := &bus.Older{Life: p.newest(), Inc: max(p.row.Inc, p.statInc), Gone: m.silent(p) > m.t()}
	if b.Gone {
		p.deafTo, p.deafEnd = b.Life, m.now+m.t()
	}
	m.send(p.row.ID, b)
}

// tellLife has the other voters hear at once of a new life of p, when the old one was well a moment
// ago: it may live on, and one of them may hear only that one.
func (m *Machine) tellLife(p *peer) {
	if !has(m.voters, m.self) || m.silent(p) > m.t() {
		return
	}
	b := &bus.Ping{Reply: true, Stat: m.stat(), Rows: []bus.Row{p.row}}
	for _, v := range m.voters {
		if v != m.self && v != p.row.ID {
			m.send(v, b)
		}
	}
}

// supersede: a newer process of this node is known.
func (m *Machine) supersede(life, inc uint64) {
	s := &m.newer
	s.inc = max(s.inc, inc)
	if life <= max(s.life, m.life) || life >= maxLife || m.off(AblateNoLives) {
		return
	}
	first := s.life == 0
	s.life = life
	if !first {
		return
	}
	m.event(EvTwin, m.self, 0, "another process runs under my node id, or ran: others know life %x of this node, mine is %x. Was the directory copied, or an old "+
		"state file restored? This process serves nothing until the other one is gone; stop one of the two", life, m.life)
	m.refuse("older-life", olderReason)
	m.save("self")
	m.handStop("another process is this node")
	m.prop.newVersion(m)
	m.reply(m.change.wantTok, "ERR "+olderReason)
	m.reply(m.form.tok, "ERR "+olderReason)
	m.change.want, m.change.wantTok, m.form.want, m.form.tok = nil, 0, nil, 0
	m.rest()
	m.viewDirty, m.ownerDirt = true, true
}

// isOlder: another process is the node.
func (m *Machine) isOlder() bool { return m.newer.life != 0 }

// rest lets go of all connections, so that others find the other process, and asks again later.
func (m *Machine) rest() {
	s := &m.newer
	s.asking, s.gone = false, nil
	s.askAt = m.now + m.t()/2 + m.rng.upTo(m.t()/4)
	m.out.HangUp, m.peersDirt = true, true
}

// tickOlder asks whether the newer life is still heard.
func (m *Machine) tickOlder() {
	s := &m.newer
	switch {
	case m.now < s.askAt:
	case !s.asking:
		s.asking, s.sentAt = true, 0
		m.peersDirt = true
		fallthrough
	case m.now-s.sentAt >= m.retryEvery():
		if m.now-s.askAt > m.t()/2 { // promises hold for T, and it is their clock that counts
			m.rest()
			return
		}
		s.sentAt = m.now
		m.chooseGossip()
		for _, p := range m.gossip {
			m.send(p.row.ID, &bus.Older{Life: s.life, Inc: s.inc, Ask: true})
		}
	}
}

// onOlder hears that another life of this node is the newest one.
func (m *Machine) onOlder(p *peer, b *bus.Older) {
	m.supersede(b.Life, b.Inc)
	s := &m.newer
	if b.Life == m.life && !m.isOlder() && !m.disowned {
		m.disowned = true
		m.event(EvTwin, m.self, 0, "an older process under my node id has been at work since I started. Was the directory copied? I go on as incarnation %d", m.inc+1)
		m.disown(b.Inc)
		return
	}
	if !m.isOlder() || !s.asking {
		return
	}
	if !b.Gone {
		m.rest()
		return
	}
	if !has(s.gone, p.row.ID) {
		s.gone = append(s.gone, p.row.ID)
	}
	judges := without(m.electors(), m.self)
	if len(judges) == 0 { // alone among the voters: then the word of whoever is there
		for _, q := range m.nodes {
			if q != m.me {
				judges = append(judges, q.row.ID)
			}
		}
	}
	n := 0
	for _, id := range s.gone {
		n += b2i(has(judges, id))
	}
	if n >= len(judges)/2+1 {
		m.succeed()
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// succeed makes this process the node again.
func (m *Machine) succeed() {
	was := m.newer.life
	m.boot = was>>32 + 1
	m.newLife()
	m.me.boot = m.life
	m.disown(m.newer.inc)
	m.newer = superseded{}
	m.event(EvTwin, m.self, 0, "nobody hears life %x of this node any more: it is mine again, as life %x and incarnation %d", was, m.life, m.inc)
}

// disown: another process has spoken in this node's name, up to incarnation inc. What this one holds
// is neither all that was acknowledged in the name nor all that was promised in it.
func (m *Machine) disown(inc uint64) {
	m.inc = max(m.inc, inc) + 1
	m.forgetVotes()
	m.lead = lead{heardAt: m.now, fence: m.lead.fence}
	m.lead.newVersion(m)
	m.change, m.prop = changer{}, slotProp{round: m.prop.round}
	m.form.mine = nil
	m.changed(func(*bus.Row) {})
	m.saveAll = true
}

// tellTwin: p is the newest, and an older one went on after its start.
func (m *Machine) tellTwin(p *peer) {
	if p.twin && !p.twinTold && !m.off(AblateNoLives) {
		p.twinTold = true
		m.send(p.row.ID, &bus.Older{Life: p.boot, Inc: max(p.row.Inc, p.statInc)})
	}
}

// forgetVotes gives up the seats this node has, or had, among the voters: it cannot answer for what
// it promised in them.
func (m *Machine) forgetVotes() {
	if m.vote.ver == 0 && !m.formed() {
		return
	}
	gone := m.vote.gone
	m.vote = voter{bootAt: m.now}
	for _, g := range gone {
		if g.cluster != m.cluster {
			m.vote.gone = append(m.vote.gone, g)
		}
	}
	m.vote.gone = append(m.vote.gone, seat{m.cluster, max(m.vote.ver, m.voterVer)})
}

// forgot: this node may not speak for version ver of the voter set as if it had kept its memory.
func (m *Machine) forgot(ver uint64) bool {
	for _, g := range m.vote.gone {
		if g.cluster == m.cluster && ver <= g.ver {
			return true
		}
	}
	return false
}
