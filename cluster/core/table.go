package core

import (
	"math/bits"
	"sort"
	"strings"

	"github.com/sextantdb/sextant/bus"
)

// peer is a known node and what this node has seen of it.
type peer struct {
	row      bus.Row
	addedAt  Mono
	seenIP   string // where its connection comes from
	linked   bool
	pinging  bool   // is in m.gossip
	heardAt  Mono   // last valid message, 0 = never
	boot     uint64 // the newest life of it that was heard
	bornAt   Mono   // when that was heard first
	twin     bool   // an older life has been heard since
	twinTold bool
	told     uint64 // the newest life that an older one has asked about
	deafTo   uint64 // up to here no life is listened to until deafEnd: what I promised an older one (Older.Gone)
	deafEnd  Mono
	sentAt   Mono // last message of ours meant to be answered
	pingMs   int64
	pongMs   int64
	stat     bus.Stat
	statAt   Mono
	statInc  uint64

	good      int  // scratch of tickOrphans: its replicas in reach
	suspect   bool // silent for T, by my own ears
	suspectAt Mono
	probedAt  Mono
	failed    bool
	reports   []report // electors that suspect it, sorted by id
	askedAt   Mono     // last table, slot map or voter set exchange begun with it
	toldAt    Mono
	toldOlder Mono // last Older
	mismatch  int  // table hashes differed so many times in a row
	table     uint64
	ver       uint64
	hash      uint64
}

type report struct {
	by bus.NodeID
	at Mono
}

type ban struct {
	id    bus.NodeID
	until Mono
}

// meet is a MEET under way: an address, no id yet.
type meet struct {
	ip     string
	cport  uint16
	port   uint16
	tok    uint64
	until  Mono
	showAs bus.NodeID // random id shown in CLUSTER NODES with the handshake flag
}

const (
	// rowsPause is how long news of other nodes may wait to be shown in a large cluster.
	rowsPause = 50 * Millisecond
	// banTime is how long a forgotten node is kept out (S33).
	banTime = 60 * Second
	// maxNodes and maxMeets bound the tables.
	maxNodes = 16384
	maxMeets = 16384
)

// alone makes me the only node I know.
func (m *Machine) alone() {
	m.nodes = []*peer{m.me}
	m.byID = map[bus.NodeID]*peer{m.me.row.ID: m.me}
}

func (m *Machine) index(id bus.NodeID) (int, bool) {
	i := sort.Search(len(m.nodes), func(i int) bool { return !m.nodes[i].row.ID.Less(id) })
	return i, i < len(m.nodes) && m.nodes[i].row.ID == id
}

func (m *Machine) find(id bus.NodeID) *peer { return m.byID[id] }

// lone: knows nobody and owns nothing that others could lose.
func (m *Machine) lone() bool { return len(m.nodes) == 1 && !m.formed() }

// changed makes a new version of my own row and tells everyone.
func (m *Machine) changed(f func(*bus.Row)) {
	was := m.me.row.Shard
	f(&m.me.row)
	if m.formed() && m.me.row.Shard != was && !m.off(AblateNoIncarnation) {
		// The copy of the old shard's data goes: the member that its set names is nobody now (R10).
		// Without this it could come back and lead with another shard's data, and while it is
		// elsewhere a cold start would wait for it for ever.
		m.inc++
	}
	m.me.row.Inc = m.inc
	m.me.row.Ver, m.me.row.Life = max(m.me.row.Ver+1, m.boot<<32), m.life
	m.save("self")
	m.rehash(m.me)
	m.note(news{row: m.self}, true)
	m.ownerDirt, m.viewDirty, m.roleDirt, m.peersDirt = true, true, true, true
}

// learn takes another node's row; origin says the row came from its owner.
func (m *Machine) learn(row *bus.Row, origin bool) {
	if row.ID == m.self {
		m.refute(row)
		return
	}
	if row.ID.IsZero() || m.banned(row.ID) && !m.off(AblateNoBan) {
		return
	}
	p := m.find(row.ID)
	if p == nil {
		if len(m.nodes) >= maxNodes {
			m.refuse("node-table-full", "more than 16384 nodes")
			return
		}
		p = m.add(row.ID)
	} else if !row.Newer(&p.row) {
		return
	}
	reborn := p.row.Life != 0 && row.Life > p.row.Life
	if p.failed {
		m.back(p, "it refuted")
	}
	if p.row.Ver != 0 && (p.row.IP != row.IP || p.row.Port != row.Port || p.row.CPort != row.CPort || p.row.Host != row.Host) {
		m.event(EvNodeAddress, row.ID, 0, "address changed from %s:%d to %s:%d", p.row.IP, p.row.Port, row.IP, row.Port)
	}
	p.row = *row
	if reborn {
		m.tellLife(p)
	}
	m.seeEpoch(row.Epoch)
	m.rehash(p)
	m.saveSoon("node." + row.ID.String())
	m.note(news{row: row.ID}, false)
	m.rowsChanged()
}

// rowsChanged has the picture renewed: at once in a small cluster, where an operator looks on; in a
// large one within rowsPause, since every picture costs as much as there are nodes and slots.
func (m *Machine) rowsChanged() {
	m.roleDirt, m.peersDirt = true, true
	if len(m.nodes) <= m.cfg.MeshLimit {
		m.ownerDirt, m.viewDirty = true, true
	} else if m.viewSoon == 0 {
		m.viewSoon = m.now + rowsPause
	}
}

// add makes an entry for a node whose row follows.
func (m *Machine) add(id bus.NodeID) *peer {
	i, _ := m.index(id)
	p := &peer{addedAt: m.now, row: bus.Row{ID: id}}
	m.nodes = append(m.nodes, nil)
	copy(m.nodes[i+1:], m.nodes[i:])
	m.nodes[i] = p
	m.byID[id] = p
	m.event(EvNodeAdded, id, 0, "now %d nodes", len(m.nodes))
	m.ownerDirt = true // indexes have moved
	m.rowsChanged()
	return p
}

// remove forgets a node and, with a ban, keeps it out for a while.
func (m *Machine) remove(id bus.NodeID, left Mono) {
	if left > 0 {
		i := sort.Search(len(m.bans), func(i int) bool { return !m.bans[i].id.Less(id) })
		if i < len(m.bans) && m.bans[i].id == id {
			m.bans[i].until = max(m.bans[i].until, m.now+left)
		} else {
			m.bans = append(m.bans, ban{})
			copy(m.bans[i+1:], m.bans[i:])
			m.bans[i] = ban{id, m.now + left}
		}
	}
	i, ok := m.index(id)
	if !ok || id == m.self {
		return
	}
	m.mixHash(id, m.nodes[i].hash)
	m.nodes = append(m.nodes[:i], m.nodes[i+1:]...)
	delete(m.byID, id)
	for _, p := range m.nodes {
		p.reports = dropReport(p.reports, id)
	}
	m.save("node." + id.String())
	m.event(EvNodeRemoved, id, 0, "now %d nodes", len(m.nodes))
	if m.form.lock != nil && m.form.lock.Founder == id {
		m.form.lock = nil // the operator's word: this founder will not come back
		m.save("form")
	}
	m.ownerDirt, m.viewDirty, m.roleDirt, m.peersDirt = true, true, true, true
}

func (m *Machine) banned(id bus.NodeID) bool {
	i := sort.Search(len(m.bans), func(i int) bool { return !m.bans[i].id.Less(id) })
	return i < len(m.bans) && m.bans[i].id == id && m.bans[i].until > m.now
}

func (m *Machine) tickBans() {
	kept := m.bans[:0]
	for _, b := range m.bans {
		if b.until > m.now {
			kept = append(kept, b)
		}
	}
	m.bans = kept
}

// refute answers an outdated or false statement about me with a newer row.
func (m *Machine) refute(row *bus.Row) {
	m.supersede(row.Life, row.Inc)
	if row.Life == m.life && row.Ver > m.me.row.Ver {
		m.changed(func(r *bus.Row) { r.Ver = row.Ver })
	}
}

// ---- MEET ----

func (m *Machine) startMeet(ip string, port, cport uint16) {
	for _, x := range m.meets {
		if x.ip == ip && x.cport == cport {
			return
		}
	}
	if len(m.meets) >= maxMeets {
		m.refuse("meets-full", "more than 16384 handshakes at once")
		return
	}
	m.meets = append(m.meets, meet{ip: ip, port: port, cport: cport, tok: m.rng.next() | 1, until: m.now + max(m.t(), Second), showAs: m.rng.id()})
	m.peersDirt, m.viewDirty = true, true
	m.sendMeet(&m.meets[len(m.meets)-1])
}

func (m *Machine) sendMeet(x *meet) {
	m.sent[bus.KindMeet]++
	m.out.Send = append(m.out.Send, Envelope{IP: x.ip, CPort: x.cport, Msg: &bus.Msg{Header: m.header(m.voterVer), Body: &bus.Meet{
		Row: m.me.row, Lone: m.lone(), Formed: m.ofFormed(), Slots: m.claimed(), Tok: x.tok, YouAre: x.ip}}})
}

func (m *Machine) tickMeets() {
	kept := m.meets[:0]
	for _, x := range m.meets {
		if x.until <= m.now {
			m.refuse("meet-timeout", "no answer from "+x.ip)
			m.peersDirt, m.viewDirty = true, true
			continue
		}
		kept = append(kept, x)
	}
	m.meets = kept
	for i := range m.meets {
		m.sendMeet(&m.meets[i])
	}
}

func (m *Machine) endMeet(tok uint64) bool {
	for i := range m.meets {
		if m.meets[i].tok == tok {
			m.meets = append(m.meets[:i], m.meets[i+1:]...)
			m.peersDirt, m.viewDirty = true, true
			return true
		}
	}
	return false
}

// claimed is the number of slots I claim or my shard owns.
func (m *Machine) claimed() int {
	if m.formed() {
		s := m.slots.of(m.me.row.Shard)
		return s.Len()
	}
	s, _ := bus.SetOf(m.me.row.Slots)
	return s.Len()
}

// mayJoin decides whether a node of another cluster and this node may be in one. Both sides
// compute it from the same numbers, and both give the same answer:
//
//	both formed                              never: two clusters never merge (H17)
//	one formed, the other claims slots       never: its claims would be void
//	one formed                               the other adopts its id
//	none formed                              the smaller id wins, whatever order MEETs race in
func mayJoin(mine, theirs bus.ClusterID, iFormed, theyFormed bool, mySlots, theirSlots int) (adopt bool, refuse string) {
	switch {
	case mine == theirs:
		return false, ""
	case iFormed && theyFormed:
		return false, "the nodes belong to two different clusters"
	case iFormed && theirSlots > 0 || theyFormed && mySlots > 0:
		return false, "the joining node has slots assigned in another cluster"
	case theyFormed:
		return true, ""
	case iFormed:
		return false, ""
	}
	return theirs < mine, ""
}

// agreesWithMap: what the row claims is what the decided map gives to its shard. A slot owner that
// died before its MEET was answered is known to those it met, and they may have formed a cluster
// that counts on it.
func (m *Machine) agreesWithMap(row *bus.Row) bool {
	claims, ok := bus.SetOf(row.Slots)
	return ok && m.formed() && m.find(row.ID) != nil && !claims.Empty() && claims == m.slots.of(row.Shard)
}

// ofFormed: my cluster has voters, whether or not I have heard of them yet.
func (m *Machine) ofFormed() bool { return m.formed() || m.joining }

// adopt takes the id of the cluster that from is in. Into a formed one nobody is taken along who owns
// slots elsewhere: before I know the voters, and can say so, such a node would follow me (H17).
func (m *Machine) adopt(c bus.ClusterID, from bus.NodeID, formed bool, why string) {
	for _, p := range append([]*peer(nil), m.nodes...) {
		if formed && p != m.me && p.row.ID != from && len(p.row.Slots) > 0 {
			m.remove(p.row.ID, 0)
		}
	}
	m.event(EvClusterID, bus.NodeID{}, 0, "cluster id %s gives way to %s: %s", m.cluster, c, why)
	m.cluster, m.joining = c, formed
	m.save("self")
	m.viewDirty = true
}

func (m *Machine) onMeet(msg *bus.Msg, b *bus.Meet, addr string) {
	if b.Row.ID != msg.From || b.Row.ID == m.self {
		m.dropped(msg.From, "meet names somebody else")
		return
	}
	theirs, known := b.Slots, m.agreesWithMap(&b.Row)
	if known {
		theirs = 0
	}
	adopt, refuse := mayJoin(m.cluster, msg.Cluster, m.ofFormed(), b.Formed, m.claimed(), theirs)
	if refuse == "" {
		if adopt {
			m.adopt(msg.Cluster, msg.From, b.Formed, "met by "+msg.From.Short())
		}
		m.youAre(b.YouAre)
		m.unban(msg.From)
		m.admit(&b.Row, msg, addr)
	} else {
		m.refuse("meet", refuse)
	}
	m.send(msg.From, &bus.MeetAck{Row: m.me.row, Lone: m.lone(), Formed: m.ofFormed(), Slots: m.claimed(), Tok: b.Tok, Refuse: refuse, YouAre: addr, Known: known})
}

func (m *Machine) onMeetAck(msg *bus.Msg, b *bus.MeetAck, addr string) {
	if b.Row.ID != msg.From || !m.endMeet(b.Tok) {
		return // not asked, or answered before
	}
	if b.Row.ID == m.self {
		return
	}
	mine := m.claimed()
	if b.Known && !m.formed() {
		mine = 0
	}
	adopt, refuse := mayJoin(m.cluster, msg.Cluster, m.ofFormed(), b.Formed, mine, b.Slots)
	if b.Refuse != "" {
		refuse = b.Refuse
	}
	if refuse != "" {
		m.refuse("meet", refuse)
		return
	}
	if adopt {
		m.adopt(msg.Cluster, msg.From, b.Formed, "met "+msg.From.Short())
	}
	m.youAre(b.YouAre)
	m.unban(msg.From)
	m.admit(&b.Row, msg, addr)
}

// unban lifts a ban: an operator's MEET says the node is wanted again.
func (m *Machine) unban(id bus.NodeID) {
	for i := range m.bans {
		if m.bans[i].id == id {
			m.bans = append(m.bans[:i], m.bans[i+1:]...)
			return
		}
	}
}

// admit adds a met node and brings it up to date.
func (m *Machine) admit(row *bus.Row, msg *bus.Msg, addr string) {
	m.learn(row, true)
	p := m.find(row.ID)
	if p == nil {
		return
	}
	p.linked = true
	m.heard(p, msg, addr)
	if p.row.IP == "" && addr != "" {
		p.seenIP = addr
	}
	p.askedAt = 0
	m.sendTable(p, ^uint64(0), ^uint64(0))
}

// joinCluster handles a message of another cluster from a node that is in my table: MEETs
// raced, and one of us has not yet adopted the surviving id.
func (m *Machine) joinCluster(p *peer, msg *bus.Msg) bool {
	adopt, refuse := mayJoin(m.cluster, msg.Cluster, m.ofFormed(), msg.VoterVer > 0, m.claimed(), 0)
	if refuse != "" {
		m.dropped(p.row.ID, "cluster "+msg.Cluster.String()+": "+refuse)
		return false
	}
	if adopt {
		m.adopt(msg.Cluster, msg.From, msg.VoterVer > 0, "heard from "+p.row.ID.Short())
		return true
	}
	if m.now-p.toldAt >= m.tickEvery() { // it must adopt mine: let it hear the id
		p.toldAt = m.now
		m.send(p.row.ID, &bus.Ping{Reply: true, Stat: m.stat()})
	}
	return false
}

// youAre learns my own address from another node, when none is announced. A loopback
// address never replaces a real one: a neighbour on the same host sees that.
func (m *Machine) youAre(ip string) {
	if ip == "" || m.cfg.IP != "" || ip == m.me.row.IP {
		return
	}
	if ip == "0.0.0.0" || ip == "::" || m.me.row.IP != "" && loopback(ip) && !loopback(m.me.row.IP) {
		return
	}
	m.event(EvNodeAddress, m.self, 0, "my address is %s (was %q)", ip, m.me.row.IP)
	m.changed(func(r *bus.Row) { r.IP = ip })
}

func loopback(ip string) bool { return strings.HasPrefix(ip, "127.") || ip == "::1" }

// ---- whom to be connected with ----

func (m *Machine) peerList() []Peer {
	if m.isOlder() && !m.newer.asking {
		return []Peer{}
	}
	m.chooseGossip()
	out := make([]Peer, 0, len(m.gossip)+len(m.meets))
	for _, p := range m.gossip {
		ip := p.row.IP
		if ip == "" {
			ip = p.seenIP
		}
		out = append(out, Peer{ID: p.row.ID, IP: ip, Host: p.row.Host, CPort: p.row.CPort})
	}
	for _, x := range m.meets {
		out = append(out, Peer{IP: x.ip, CPort: x.cport})
	}
	return out
}

// chooseGossip picks the connections. Up to MeshLimit nodes: everyone. Above: four ring
// successors by id and one node per power of two of distance (log2 N + 4 peers, diameter
// log2 N, stable under joins because distance is measured in ids), the voters, and the own
// shard.
func (m *Machine) chooseGossip() {
	m.mesh = len(m.nodes) <= m.cfg.MeshLimit
	for _, p := range m.nodes {
		p.pinging = false
	}
	if m.mesh {
		for _, p := range m.nodes {
			p.pinging = p != m.me
		}
	} else {
		me, _ := m.index(m.self)
		n := len(m.nodes)
		for k := 1; k <= 4; k++ {
			m.nodes[(me+k)%n].pinging = true
		}
		for b := range bits.Len(uint(n)) {
			t := m.self
			t[0] ^= 0x80 >> (b % 8) // flips one of the leading bits: a node that far away
			if b >= 8 {
				t = m.self
				t[1] ^= 0x80 >> (b % 8)
			}
			i := sort.Search(n, func(i int) bool { return !m.nodes[i].row.ID.Less(t) })
			m.nodes[i%n].pinging = true
		}
		for _, v := range m.voters {
			if p := m.find(v); p != nil {
				p.pinging = true
			}
		}
		mine, _ := bus.SetOf(m.me.row.Slots)
		founder := !m.formed() && mine.Has(0) // must hear every slot owner
		for _, p := range m.nodes {
			if p.row.Shard == m.me.row.Shard || founder && len(p.row.Slots) > 0 {
				p.pinging = true
			}
		}
		m.me.pinging = false
	}
	m.gossip = m.gossip[:0]
	for _, p := range m.nodes {
		if p.pinging {
			m.gossip = append(m.gossip, p)
		}
	}
}

func (m *Machine) onLink(id bus.NodeID, addr string, up bool) {
	p := m.find(id)
	if p == nil {
		if up { // an address we MEET has answered the link handshake
			for i := range m.meets {
				m.sendMeet(&m.meets[i])
			}
		}
		return
	}
	if p.linked != up {
		p.linked = up
		m.viewStale = true
	}
	if up {
		if addr != "" {
			p.seenIP = addr
		}
		m.ping(p)
	}
}
