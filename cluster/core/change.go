package core

import (
	"fmt"

	"github.com/sextantdb/sextant/bus"
)

// Changing the voter set (R11). Version k+1 is decided by a majority of version k under a
// ballot: FREEZE is the prepare phase (members stop answering anything else and hand over
// their state), SET-ACCEPT the accept phase, INSTALL starts version k+1 with the merged state.
// Any node may take over a change that stalls, with a greater ballot: it finds an accepted
// successor set or proposes one itself. Consecutive versions differ by at most one member, or by one
// for one: a set that waits for its dead member to go, with a successor in it that may die as well,
// is a set of four with a majority of three.

type changePhase uint8

const (
	changeIdle changePhase = iota
	changeFreezing
	changeAccepting
	changeInstalling
)

type changer struct {
	phase    changePhase
	ver      uint64 // the version being replaced
	old      []bus.NodeID
	next     []bus.NodeID
	ballot   bus.Ballot
	round    uint64
	frozen   []*bus.Frozen
	accepted []bool
	done     []bus.NodeID
	merged   *bus.Install // immutable once made: it has been sent
	at       Mono
	begun    Mono
	retryAt  Mono
	goneAt   Mono // since when the policy wants a change
	setAt    Mono // when the version I know became known to me
	want     []bus.NodeID
	wantTok  uint64
	until    Mono
	before   []bus.NodeID // the voters of the version I knew before
	askedAt  Mono
	asked    int
}

func without(ids []bus.NodeID, id bus.NodeID) (out []bus.NodeID) {
	for _, x := range ids {
		if x != id {
			out = append(out, x)
		}
	}
	return out
}

func with(ids []bus.NodeID, id bus.NodeID) []bus.NodeID {
	out := append(append([]bus.NodeID(nil), ids...), id)
	sortIDs(out)
	return out
}

func sameIDs(a, b []bus.NodeID) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func (m *Machine) tickChange() {
	c := &m.change
	if !m.formed() {
		return
	}
	if c.want != nil && m.now > c.until {
		m.reply(c.wantTok, "ERR the voter set could not be changed in time")
		c.want, c.wantTok = nil, 0
	}
	if c.phase != changeIdle {
		m.continueChange()
		return
	}
	if m.now < c.retryAt {
		return
	}
	if m.vote.frozen && m.vote.ver == m.voterVer {
		// somebody began and fell silent: finish it
		patience := clamp(m.t()/4, 50*Millisecond, Second)
		for i, v := range m.vote.set {
			if v == m.self {
				patience += Mono(i) * patience / 2
			}
		}
		if m.now-m.vote.frozenAt > patience {
			m.beginChange(m.vote.set, "finishing a stalled change")
		}
		return
	}
	if c.want != nil {
		if next := stepTo(m.voters, c.want, m.inReach); next != nil {
			m.beginChange(next, "operator")
		} else {
			m.reply(c.wantTok, "")
			c.want, c.wantTok = nil, 0
		}
		return
	}
	if !m.coordinates() {
		c.goneAt = 0
		return
	}
	if id := m.forgetful(); !id.IsZero() && m.now-c.setAt > m.t() {
		m.beginChange(m.voters, id.Short()+" has forgotten its promises: the same set anew")
		return
	}
	if !m.cfg.AutoVoters {
		c.goneAt = 0
		return
	}
	if c.setAt > 0 && m.now-c.setAt < 2*m.t() {
		return // a fresh set votes only after T: changes in a row, against an operator's, would leave no time to elect anyone
	}
	next, why := m.autoVoters()
	if next == nil {
		c.goneAt = 0
		return
	}
	if c.goneAt == 0 {
		c.goneAt = m.now
	}
	if m.now-c.goneAt >= clamp(m.t()/2, 100*Millisecond, 2*Second) {
		c.goneAt = 0
		m.beginChange(next, why)
	}
}

// forgetful is a voter that may not vote, because it has forgotten what it promised. With the next
// version of the set it starts anew from what the others remember (R11).
func (m *Machine) forgetful() (id bus.NodeID) {
	for _, v := range m.voters {
		p := m.find(v)
		if p != nil && (p == m.me && m.forgot(m.voterVer) || p != m.me && p.stat.Flags&bus.StatForgot != 0 && m.silent(p) < m.t()/2) {
			return v
		}
	}
	return id
}

// coordinates: the first voter in reach looks after the set.
func (m *Machine) coordinates() bool {
	for _, v := range m.voters {
		if v == m.self {
			return true
		}
		if p := m.find(v); p != nil && !p.suspect && !p.failed {
			return false
		}
	}
	return false
}

// stepTo is the next set on the way from one to another: a new voter takes the place of one that
// goes, those out of reach first, so that no set on the way depends on more of them.
func stepTo(from, to []bus.NodeID, inReach func(bus.NodeID) bool) []bus.NodeID {
	var leaves bus.NodeID
	for _, id := range from {
		if !has(to, id) && (leaves.IsZero() || inReach(leaves) && !inReach(id)) {
			leaves = id
		}
	}
	for _, id := range to {
		if !has(from, id) {
			return with(without(from, leaves), id)
		}
	}
	if leaves.IsZero() {
		return nil
	}
	return without(from, leaves)
}

func (m *Machine) inReach(id bus.NodeID) bool {
	p := m.find(id)
	return p != nil && (p == m.me || !p.suspect && !p.failed && p.heardAt > 0)
}

// autoVoters is the policy: an odd number of voters, the primaries with slots up to 7; with
// fewer than 3 of those, witnesses and then replicas join up to 3. Voters that work stay,
// whatever they have become; one that is gone for long is replaced.
func (m *Machine) autoVoters() (next []bus.NodeID, why string) {
	var spare [3]bus.NodeID // best addition per class: primary, witness, replica
	primaries, able := 0, 0
	for _, p := range m.nodes {
		if p.row.Ver == 0 {
			continue
		}
		class := 2
		leader := m.primaryOf(p.row.Shard)
		if leader == p && m.formedSlots(p.row.Shard) {
			class = 0
			primaries++
		} else if p.row.Flags&bus.RowWitness != 0 {
			class = 1
		} else if leader == p || leader == nil {
			continue // an empty primary: neither data nor a declared witness
		}
		able++
		up := p == m.me || !p.suspect && !p.failed && p.heardAt > 0 && m.silent(p) < m.t()/2
		// One that was silent just now is no successor: what was heard since may have been under way
		// when it died, and a dead member more beside a lost one takes the set's majority away.
		up = up && (p.suspectAt == 0 || m.now-p.suspectAt > 2*m.t())
		if up && spare[class].IsZero() && !has(m.voters, p.row.ID) {
			spare[class] = p.row.ID
		}
	}
	target := min(primaries, maxVoters)
	if target < 3 {
		target = min(3, able)
	}
	if target%2 == 0 {
		target--
	}
	target = max(target, 1)
	var gone, surplus bus.NodeID
	for _, v := range m.voters {
		p := m.find(v)
		if p == nil || p != m.me && (p.failed || p.suspect) && m.silent(p) > max(5*m.t(), 5*Second) {
			gone = v
		}
		if leader := m.primaryOfNode(p); p == nil || leader != p || surplus.IsZero() {
			surplus = v
		}
	}
	add := bus.NodeID{}
	for i := range spare {
		if !spare[i].IsZero() && add.IsZero() && (i == 0 || primaries < 3 || !gone.IsZero()) {
			add = spare[i]
		}
	}
	switch n := len(m.voters); {
	case n > target && !gone.IsZero():
		return without(m.voters, gone), "a voter is gone"
	case n > target:
		return without(m.voters, surplus), "more voters than wanted"
	case !gone.IsZero() && !add.IsZero():
		return with(without(m.voters, gone), add), "a voter is gone"
	case n < target && !add.IsZero():
		return with(m.voters, add), "fewer voters than wanted"
	}
	return nil, ""
}

func (m *Machine) primaryOfNode(p *peer) *peer {
	if p == nil {
		return nil
	}
	return m.primaryOf(p.row.Shard)
}

func (m *Machine) beginChange(next []bus.NodeID, why string) {
	c := &m.change
	c.round = m.nextRound(max(c.round, m.vote.promised.Round))
	c.phase, c.ver, c.old, c.next = changeFreezing, m.voterVer, m.voters, next
	c.ballot = bus.Ballot{Round: c.round, By: m.self}
	c.frozen, c.accepted, c.done = make([]*bus.Frozen, len(c.old)), make([]bool, len(c.old)), nil
	c.begun, c.at = m.now, m.now
	m.event(EvVoterSet, bus.NodeID{}, 0, "changing version %d: %s; next %s", c.ver, why, shorts(next))
	m.toVoters(&bus.Freeze{Ver: c.ver, Ballot: c.ballot})
}

func (m *Machine) endChange(why string) {
	c := &m.change
	if why != "" {
		m.refuse("voter-change", fmt.Sprintf("version %d: %s", c.ver, why))
	}
	c.phase = changeIdle
	c.retryAt = m.now + m.retryEvery() + m.rng.upTo(m.retryEvery())
}

func (m *Machine) continueChange() {
	c := &m.change
	if m.voterVer > c.ver && c.phase != changeInstalling || m.voterVer > c.ver+1 {
		m.endChange("") // somebody else did it
		return
	}
	if m.now-c.begun > max(m.t(), Second) {
		if c.phase == changeInstalling {
			m.endChange("") // decided; whoever is missing asks for it
		} else {
			m.endChange("no majority of voters answered")
		}
		return
	}
	if m.now-c.at < m.retryEvery() {
		return
	}
	c.at = m.now
	switch c.phase {
	case changeInstalling:
		for _, id := range c.targets() {
			if !has(c.done, id) {
				m.send(id, c.merged)
			}
		}
	default:
		for i, v := range c.old {
			if c.phase == changeFreezing && c.frozen[i] == nil {
				m.send(v, &bus.Freeze{Ver: c.ver, Ballot: c.ballot})
			} else if c.phase == changeAccepting && !c.accepted[i] {
				m.send(v, &bus.SetAccept{Ver: c.ver, Ballot: c.ballot, Next: c.next})
			}
		}
	}
}

// targets are the members of both versions.
func (c *changer) targets() []bus.NodeID {
	out := append([]bus.NodeID(nil), c.next...)
	for _, id := range c.old {
		if !has(out, id) {
			out = append(out, id)
		}
	}
	return out
}

func indexOf(ids []bus.NodeID, id bus.NodeID) int {
	for i, x := range ids {
		if x == id {
			return i
		}
	}
	return -1
}

// ---- at the voters ----

func (m *Machine) onFreeze(p *peer, b *bus.Freeze) {
	v := &m.vote
	if v.ver == 0 || b.Ver != v.ver {
		if b.Ver < v.ver {
			m.sendVer(p.row.ID, &bus.VoterSet{Ver: v.ver, Set: v.set}, v.ver)
		}
		return
	}
	if b.Ballot.Less(v.promised) {
		m.sendVer(p.row.ID, &bus.Frozen{Ver: v.ver, Ballot: b.Ballot, Promised: v.promised}, v.ver)
		return
	}
	v.promised = b.Ballot
	v.frozen, v.frozenAt = true, m.now
	m.save("voter")
	m.sendVer(p.row.ID, &bus.Frozen{Ver: v.ver, Ballot: b.Ballot, OK: true, Promised: v.promised,
		Accepted: v.accepted, Next: v.next, Regs: v.wire(), Slots: v.slots}, v.ver)
}

func (m *Machine) onSetAccept(p *peer, b *bus.SetAccept) {
	v := &m.vote
	if v.ver == 0 || b.Ver != v.ver || b.Ballot.Less(v.promised) || len(b.Next) == 0 || len(b.Next) > maxVoters+1 {
		return
	}
	v.promised, v.accepted, v.next = b.Ballot, b.Ballot, b.Next
	v.frozen, v.frozenAt = true, m.now
	m.save("voter")
	m.sendVer(p.row.ID, &bus.SetAccepted{Ver: b.Ver, Ballot: b.Ballot}, v.ver)
}

// ---- at the one who changes it ----

func (m *Machine) onFrozen(p *peer, b *bus.Frozen) {
	c := &m.change
	i := indexOf(c.old, p.row.ID)
	if c.phase != changeFreezing || i < 0 || b.Ver != c.ver || b.Ballot != c.ballot {
		return
	}
	if !b.OK {
		c.round = max(c.round, b.Promised.Round)
		m.endChange("a greater ballot was promised")
		return
	}
	c.frozen[i] = b
	n := 0
	var top *bus.Frozen
	for _, f := range c.frozen {
		if f == nil {
			continue
		}
		n++
		if len(f.Next) > 0 && (top == nil || top.Accepted.Less(f.Accepted)) {
			top = f
		}
	}
	if n < len(c.old)/2+1 {
		return
	}
	if top != nil {
		c.next = top.Next
	}
	c.merged = mergeFrozen(c.frozen)
	c.merged.Ver, c.merged.Set = c.ver+1, c.next
	c.phase, c.at = changeAccepting, m.now
	for _, v := range c.old {
		m.send(v, &bus.SetAccept{Ver: c.ver, Ballot: c.ballot, Next: c.next})
	}
}

// mergeFrozen takes the maximum of everything promised and accepted.
func mergeFrozen(fs []*bus.Frozen) *bus.Install {
	out := new(bus.Install)
	var v voter
	for _, f := range fs {
		if f == nil {
			continue
		}
		for i := range f.Regs {
			r := v.reg(f.Regs[i].Shard)
			r.Promised = max(r.Promised, f.Regs[i].Promised)
			if f.Regs[i].Rec.Newer(&r.Rec) || r.Rec.IsZero() {
				r.Rec = f.Regs[i].Rec
			}
		}
		if out.Slots.Promised.Less(f.Slots.Promised) {
			out.Slots.Promised = f.Slots.Promised
		}
		if olderMap(&out.Slots, &f.Slots) {
			out.Slots.Accepted, out.Slots.Ver, out.Slots.Spans = f.Slots.Accepted, f.Slots.Ver, f.Slots.Spans
		}
	}
	out.Regs = v.wire()
	return out
}

func (m *Machine) onSetAccepted(p *peer, b *bus.SetAccepted) {
	c := &m.change
	i := indexOf(c.old, p.row.ID)
	if c.phase != changeAccepting || i < 0 || b.Ver != c.ver || b.Ballot != c.ballot {
		return
	}
	c.accepted[i] = true
	n := 0
	for _, a := range c.accepted {
		if a {
			n++
		}
	}
	if n < len(c.old)/2+1 {
		return
	}
	c.phase, c.at, c.begun = changeInstalling, m.now, m.now
	for _, id := range c.targets() {
		m.send(id, c.merged)
	}
}

func (m *Machine) onInstalled(p *peer, b *bus.Installed) {
	c := &m.change
	if c.phase == changeInstalling && b.Ver == c.ver+1 {
		if !has(c.done, p.row.ID) {
			c.done = append(c.done, p.row.ID)
		}
		n, all := 0, true
		for _, id := range c.targets() {
			if !has(c.done, id) {
				all = false
			} else if has(c.next, id) {
				n++
			}
		}
		if n >= len(c.next)/2+1 {
			m.learnVoters(c.ver+1, c.next)
		}
		if all {
			m.endChange("")
			c.retryAt = m.now
		}
		return
	}
	// A member that missed its INSTALL: the state of anyone who has installed the version will do,
	// since the newcomer has neither promised nor accepted anything in it, and votes only T from now.
	v := &m.vote
	if b.Ver < v.ver && v.ver >= m.voterVer && has(v.set, p.row.ID) && p != m.me {
		m.sendVer(p.row.ID, &bus.Install{Ver: v.ver, Set: v.set, Regs: v.wire(), Slots: v.slots}, v.ver)
	}
}

// askInstall: I am a member of a version that I was never given.
func (m *Machine) askInstall() {
	c := &m.change
	if m.vote.ver >= m.voterVer || !has(m.voters, m.self) || m.now-c.askedAt < m.retryEvery()*2 || m.change.phase == changeInstalling {
		return
	}
	c.askedAt = m.now
	c.asked++
	// The other members may have missed it as well, and a set of one has none. Those who were voters
	// before have it too: they made it, and installed it to know that they are out. Whoever has not
	// been told who they were asks everyone in turn.
	ids := without(m.voters, m.self)
	for _, id := range c.before {
		if id != m.self && !has(ids, id) {
			ids = append(ids, id)
		}
	}
	if k := c.asked % (len(ids) + 1); k < len(ids) {
		m.sendVer(ids[k], &bus.Installed{Ver: m.vote.ver}, m.vote.ver)
	} else if p := m.nodes[c.asked/(len(ids)+1)%len(m.nodes)]; p != m.me {
		m.sendVer(p.row.ID, &bus.Installed{Ver: m.vote.ver}, m.vote.ver)
	}
}
