package core

import (
	"fmt"
	"sort"

	"github.com/sextantdb/sextant/bus"
	"github.com/sextantdb/sextant/cluster/topology"
	"github.com/sextantdb/sextant/store/slot"
)

// electors are the nodes whose suspicion counts: the voters, or before there are any the
// primaries that claim slots (S10).
func (m *Machine) electors() []bus.NodeID {
	if m.formed() {
		return m.voters
	}
	var out []bus.NodeID
	for _, p := range m.nodes {
		if len(p.row.Slots) > 0 {
			out = append(out, p.row.ID)
		}
	}
	return out
}

// elector reports whether id is one of them.
func (m *Machine) elector(id bus.NodeID) bool {
	if m.formed() {
		return has(m.voters, id)
	}
	p := m.find(id)
	return p != nil && len(p.row.Slots) > 0
}

func has(ids []bus.NodeID, id bus.NodeID) bool {
	for _, x := range ids {
		if x == id {
			return true
		}
	}
	return false
}

// silent is how long p has not been heard.
func (m *Machine) silent(p *peer) Mono {
	if p == m.me {
		return 0
	}
	return m.now - max(p.heardAt, p.addedAt)
}

// stuck: this node's data path has not answered for so long that whoever waits for it should be
// served elsewhere. Its lease is not renewed, and it tells the others not to count its messages
// as signs of life: from then on all goes as if the process had been stopped.
func (m *Machine) stuck() bool { return m.local.Silent > m.t()/4 }

// stuckChanged tells everyone at once; whoever held me for failed hears that I am back.
func (m *Machine) stuckChanged() {
	if m.stuck() {
		m.event(EvStuck, m.self, m.epoch, "the data path has not answered for %d ms: the lease is not renewed", m.local.Silent/Millisecond)
		m.pushNow = true
		return
	}
	m.event(EvStuck, m.self, m.epoch, "the data path answers again")
	m.lead.renewAt = m.now
	m.changed(func(*bus.Row) {})
}

// unserving: p says of itself that it does not serve.
func (p *peer) unserving() bool { return p.stat.Flags&bus.StatStuck != 0 }

func (m *Machine) suspects() (out []bus.NodeID) {
	if !m.elector(m.self) {
		return nil
	}
	for _, p := range m.gossip {
		if p.suspect && len(out) < rowsPerTable {
			out = append(out, p.row.ID)
		}
	}
	return out
}

// tickFailure suspects whom I have not heard for T and tells the electors, who declare a
// node failed when a majority of them suspects it. FAIL is known everywhere T plus one or
// two message delays after the last sign of life (bound S17: 1.5 T + 1 s).
func (m *Machine) tickFailure() {
	var tell []bus.NodeID
	for _, p := range m.gossip {
		quiet := m.silent(p)
		if !m.mesh && !p.suspect && quiet > m.t()/2 && m.now-p.probedAt > m.t()/4 {
			m.askHelpers(p)
		}
		if quiet <= m.t() {
			continue
		}
		if !p.suspect {
			p.suspect, p.suspectAt = true, m.now
			m.event(EvNodeSuspect, p.row.ID, 0, "silent for %d ms", quiet/Millisecond)
			m.viewDirty = true
		} else if m.now-p.suspectAt < m.pingEvery() {
			continue
		}
		p.suspectAt = m.now
		if !p.failed {
			tell = append(tell, p.row.ID)
		}
		m.report(p, m.self)
	}
	if len(tell) > 0 {
		for _, e := range m.electors() {
			if e != m.self {
				m.send(e, &bus.Suspect{Nodes: tell})
			}
		}
	}
}

// askHelpers has three others probe a quiet node: a broken link is not a dead node.
func (m *Machine) askHelpers(p *peer) {
	p.probedAt = m.now
	n := len(m.gossip)
	start := int(m.rng.next() % uint64(max(n, 1)))
	for k, asked := 0, 0; k < n && asked < 3; k++ {
		h := m.gossip[(start+k)%n]
		if h != p && !h.suspect {
			m.send(h.row.ID, &bus.Probe{Target: p.row.ID})
			asked++
		}
	}
}

func (m *Machine) onProbe(p *peer, b *bus.Probe) {
	q := m.find(b.Target)
	if q == nil || q == m.me {
		return
	}
	if m.silent(q) < m.t()/4 {
		m.send(p.row.ID, &bus.Ping{Reply: true, For: b.Target, Stat: m.stat()})
		return
	}
	m.ping(q) // the asker will come again
}

func (m *Machine) onSuspect(p *peer, b *bus.Suspect) { m.takeReports(p, b.Nodes) }

// takeReports hears whom p suspects.
func (m *Machine) takeReports(p *peer, ids []bus.NodeID) {
	if len(ids) == 0 {
		return
	}
	electors := m.electors()
	fromElector, amElector := m.elector(p.row.ID), m.elector(m.self)
	for _, id := range ids {
		q := m.find(id)
		if q == nil || q == m.me || q == p {
			continue
		}
		if fromElector {
			m.report(q, p.row.ID)
		}
		// An elector that does not ping this node itself takes the word of one who does,
		// unless it has heard the node lately.
		if amElector && !q.pinging && m.silent(q) > m.t() && !q.suspect {
			q.suspect, q.suspectAt = true, m.now
			m.report(q, m.self)
			for _, e := range electors {
				if e != m.self {
					m.send(e, &bus.Suspect{Nodes: []bus.NodeID{id}})
				}
			}
		}
	}
}

// report notes that an elector suspects p and declares p failed at a majority (S16).
func (m *Machine) report(p *peer, by bus.NodeID) {
	if !m.elector(by) {
		return
	}
	i := sort.Search(len(p.reports), func(i int) bool { return !p.reports[i].by.Less(by) })
	if i == len(p.reports) || p.reports[i].by != by {
		p.reports = append(p.reports, report{})
		copy(p.reports[i+1:], p.reports[i:])
	}
	p.reports[i] = report{by, m.now}
	kept := p.reports[:0]
	for _, r := range p.reports {
		if m.now-r.at <= 2*m.t() && m.elector(r.by) {
			kept = append(kept, r)
		}
	}
	p.reports = kept
	if p.failed || !p.suspect || !m.elector(m.self) {
		return
	}
	n := len(m.electors())
	if len(kept) < n/2+1 {
		return
	}
	m.fail(p, fmt.Sprintf("%d of %d electors suspect it", len(kept), n))
	m.note(news{fail: p.row.ID}, true)
}

func dropReport(rs []report, by bus.NodeID) []report {
	for i := range rs {
		if rs[i].by == by {
			return append(rs[:i], rs[i+1:]...)
		}
	}
	return rs
}

func (m *Machine) fail(p *peer, why string) {
	p.failed = true
	m.event(EvNodeFailed, p.row.ID, 0, "%s", why)
	m.viewDirty, m.ownerDirt = true, true
}

// back clears suspicion.
func (m *Machine) back(p *peer, why string) {
	if p.failed {
		m.event(EvNodeBack, p.row.ID, 0, "%s", why)
	}
	p.suspect, p.failed = false, false
	p.reports = nil
	m.viewDirty, m.ownerDirt = true, true
}

// learnFail accepts the electors' word at once, unless the node has said something newer. A
// node that hears it of itself refutes by a newer row.
func (m *Machine) learnFail(f *bus.FailNote) {
	p := m.find(f.ID)
	if p == nil || p.row.Ver > f.Ver {
		return
	}
	if p == m.me && m.stuck() {
		return // they are right
	}
	if p == m.me {
		m.event(EvNodeBack, m.self, 0, "%s says I failed: refuted", f.By.Short())
		m.changed(func(r *bus.Row) { r.Ver = max(r.Ver, f.Ver) })
		return
	}
	if !p.failed && m.silent(p) > m.t()/4 {
		m.fail(p, "told by "+f.By.Short())
		m.note(news{fail: f.ID}, false)
	}
}

// majority says whether more than half of the electors are in reach.
func (m *Machine) majority() (reach, need int) {
	electors := m.electors()
	for _, id := range electors {
		if p := m.find(id); p != nil && !p.suspect && !p.failed {
			reach++
		}
	}
	return reach, len(electors)/2 + 1
}

// judgeState decides what clients are told of the cluster (S9), with its reason.
func (m *Machine) judgeState() {
	if !m.viewDirty {
		return
	}
	m.refreshOwners()
	state, reason := m.stateNow()
	if state != m.state || reason != m.reason {
		if state != m.state {
			m.event(EvClusterState, bus.NodeID{}, m.epoch, "cluster state is %s %s", state, reason)
		}
		m.state, m.reason = state, reason
		m.viewDirty = true
	}
}

func (m *Machine) stateNow() (topology.State, string) {
	if m.isOlder() {
		return topology.StateFail, olderReason
	}
	if reach, need := m.majority(); reach < need {
		return topology.StateFail, fmt.Sprintf("%d voting nodes in reach, %d needed", reach, need)
	}
	if m.cfg.FullCoverage {
		missing, down := slot.Count, 0
		for i := range m.owned {
			n := m.owned[i].count
			missing -= n
			if m.nodes[i].failed {
				down += n
			}
		}
		if missing+down > 0 {
			return topology.StateFail, fmt.Sprintf("%d slots without an owner, %d with a failed one", missing, down)
		}
	} else if len(m.electors()) == 0 {
		return topology.StateFail, "no slot is assigned"
	}
	if why := m.leaseRefusal(); why != "" {
		return topology.StateFail, why
	}
	return topology.StateOK, ""
}
