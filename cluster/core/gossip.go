package core

import (
	"math/bits"
	"sort"

	"github.com/sextantdb/sextant/bus"
)

// news is one thing to tell; exactly one field is set.
type news struct {
	row  bus.NodeID
	rec  bus.ShardID
	fail bus.NodeID
	ban  bus.NodeID
	left int // pings it still rides on
}

func (n news) same(o news) bool {
	return n.row == o.row && n.rec == o.rec && n.fail == o.fail && n.ban == o.ban
}

const (
	// newsPerPing bounds what one ping carries, maxNews what waits.
	newsPerPing = 6
	maxNews     = 512
	// newsPerPush bounds what is pushed at once. Rows of others are passed on after passOnPause,
	// together: when a thousand nodes join, each row alone would be told to everyone by everyone.
	newsPerPush = 128
	passOnPause = 10 * Millisecond
	// rowsPerTable bounds a Table message far below the frame limit.
	rowsPerTable = 512
)

// note queues news. Its origin tells everyone it is connected with at once; in a partial
// mesh everyone who hears it first passes it on at once. In a full mesh that would be N^2
// messages for nothing: there the pings carry it to whoever missed it.
func (m *Machine) note(n news, origin bool) {
	n.left = 4 + 4*bits.Len(uint(len(m.nodes)))/3
	for i := range m.news {
		if m.news[i].same(n) {
			m.news = append(m.news[:i], m.news[i+1:]...)
			break
		}
	}
	if len(m.news) >= maxNews {
		m.news = m.news[1:] // the table hashes will repair it
	}
	m.news = append(m.news, n)
	switch {
	case origin, !m.mesh && n.row.IsZero():
		m.pushNow = true
	case !m.mesh && m.pushAt == 0:
		m.pushAt = m.now + passOnPause
	}
}

// carry puts up to n of the newest news into b.
func (m *Machine) carry(b *bus.Ping, n int) {
	from := max(0, len(m.news)-n)
	kept := m.news[:from]
	for _, x := range m.news[from:] {
		m.write(b, x)
		if x.left--; x.left > 0 {
			kept = append(kept, x)
		}
	}
	m.news = kept
}

func (m *Machine) write(b *bus.Ping, x news) {
	switch {
	case !x.row.IsZero():
		if p := m.find(x.row); p != nil && p.row.Ver != 0 {
			b.Rows = append(b.Rows, p.row)
		}
	case !x.rec.IsZero():
		if r := m.rec(x.rec); !r.IsZero() {
			b.Recs = append(b.Recs, *r)
		}
	case !x.fail.IsZero():
		if p := m.find(x.fail); p != nil && p.failed {
			b.Fails = append(b.Fails, bus.FailNote{ID: x.fail, Ver: p.row.Ver, By: m.self, Count: uint16(len(p.reports))})
		}
	case !x.ban.IsZero():
		for _, bn := range m.bans {
			if bn.id == x.ban && bn.until > m.now {
				b.Bans = append(b.Bans, bus.Ban{ID: bn.id, LeftMs: uint32((bn.until - m.now) / Millisecond)})
			}
		}
	}
}

// push tells fresh news to everyone at once.
func (m *Machine) push() {
	if m.isOlder() || !m.pushNow && (m.pushAt == 0 || m.now < m.pushAt) {
		return
	}
	m.pushNow, m.pushAt = false, 0
	if m.peersDirt {
		m.chooseGossip()
	}
	b := &bus.Ping{Reply: true, Stat: m.stat()}
	m.carry(b, newsPerPush)
	for _, p := range m.gossip {
		m.send(p.row.ID, b)
	}
}

// ping asks p for a sign of life.
func (m *Machine) ping(p *peer) {
	b := &bus.Ping{Stat: m.stat(), Suspects: m.suspects()}
	m.address(p, b)
	m.carry(b, newsPerPing)
	p.sentAt = m.now
	if p.pingMs == 0 {
		p.pingMs = m.wall
	}
	m.send(p.row.ID, b)
}

func (m *Machine) address(p *peer, b *bus.Ping) {
	if p.seenIP != "" && p.seenIP != p.row.IP {
		b.YouAre = p.seenIP
	}
}

// tickLinks pings whoever has not pinged. Other messages do not count: only pings carry the
// sender's position, which sets and votes are judged by.
func (m *Machine) tickLinks() {
	if m.peersDirt {
		m.chooseGossip()
	}
	every := m.pingEvery()
	if !m.mesh {
		every = clamp(m.t()/4, 20*Millisecond, 4*Second)
	}
	for _, p := range m.gossip {
		if m.now-p.statAt >= every && m.now-p.sentAt >= every || p.heardAt == 0 && m.now-p.sentAt >= m.retryEvery() {
			m.ping(p)
		}
	}
}

// heard notes a sign of life and what every header tells.
func (m *Machine) heard(p *peer, msg *bus.Msg, addr string) {
	alive := !p.unserving()
	if b, ok := msg.Body.(*bus.Ping); ok {
		alive = b.Stat.Flags&bus.StatStuck == 0
	}
	if alive {
		p.heardAt = m.now
	}
	p.pongMs = m.wall
	p.pingMs = 0
	if msg.Boot != p.boot {
		p.boot, p.bornAt, p.twin, p.twinTold = msg.Boot, m.now, false, false
	}
	m.tellTwin(p)
	if msg.Inc > p.statInc {
		p.statInc = msg.Inc
		m.roleDirt = true
	}
	p.table = msg.Table
	p.ver = msg.VoterVer
	if addr != "" && addr != p.seenIP {
		p.seenIP = addr
		if p.row.IP == "" {
			m.peersDirt, m.viewDirty = true, true
		}
	}
	if alive && (p.suspect || p.failed) {
		m.back(p, "it was heard")
	}
	m.seeEpoch(msg.Epoch)
	m.viewStale = true
	if msg.VoterVer > m.voterVer && m.now-p.askedAt >= m.tickEvery() {
		p.askedAt = m.now
		m.send(p.row.ID, &bus.VoterSet{Ask: true})
	}
	if msg.SlotVer > m.slots.ver && m.now-p.toldAt >= m.tickEvery() && msg.Kind() != bus.KindSlotMap {
		p.toldAt = m.now
		m.send(p.row.ID, &bus.SlotMap{Ask: true})
	}
}

func (m *Machine) onPing(p *peer, b *bus.Ping) {
	if p == m.me {
		return
	}
	p.stat, p.statAt = b.Stat, m.now
	m.youAre(b.YouAre)
	for i := range b.Bans {
		m.learnBan(&b.Bans[i])
	}
	for i := range b.Rows {
		m.learn(&b.Rows[i], b.Rows[i].ID == p.row.ID)
	}
	for i := range b.Recs {
		m.learnRec(&b.Recs[i], false)
	}
	for i := range b.Fails {
		m.learnFail(&b.Fails[i])
	}
	m.takeReports(p, b.Suspects)
	if !b.For.IsZero() {
		if q := m.find(b.For); q != nil && q != m.me && !q.unserving() {
			q.heardAt = m.now // a helper heard it for us
			if q.suspect {
				m.back(q, "it was heard by "+p.row.ID.Short())
			}
		}
	}
	if !b.Reply && m.find(p.row.ID) != nil {
		r := &bus.Ping{Seq: b.Seq, Reply: true, Stat: m.stat(), Suspects: m.suspects()}
		m.address(p, r)
		m.carry(r, newsPerPing)
		m.send(p.row.ID, r)
	}
}

func (m *Machine) learnBan(b *bus.Ban) {
	if b.ID == m.self || m.banned(b.ID) {
		return
	}
	left := min(Mono(b.LeftMs)*Millisecond, banTime)
	if left <= 0 {
		return
	}
	m.remove(b.ID, left)
	m.note(news{ban: b.ID}, false)
}

// ---- table comparison ----

func mix(v uint64) uint64 { r := rng{v}; return r.next() }

func idHash(id bus.NodeID) (h uint64) {
	for _, c := range id {
		h = (h ^ uint64(c)) * 0x100000001b3
	}
	return h
}

func rowHash(r *bus.Row) uint64 {
	if r.Ver == 0 {
		return 0
	}
	return mix(idHash(r.ID) ^ mix(r.Ver))
}

func recHash(r *bus.Rec) uint64 { return mix(idHash(r.Shard) ^ mix(r.Epoch) ^ mix(r.Seq+1<<40)) }

func (m *Machine) mixHash(id bus.NodeID, h uint64) {
	m.rowsVer++
	m.buckets[id[0]%bus.HashBuckets] ^= h
	m.tableHash ^= h
}

func (m *Machine) rehash(p *peer) {
	m.mixHash(p.row.ID, p.hash)
	p.hash = rowHash(&p.row)
	m.mixHash(p.row.ID, p.hash)
}

// compare begins an exchange when the other's table has differed twice in a row.
func (m *Machine) compare(p *peer, msg *bus.Msg) {
	if msg.Table == m.tableHash || m.find(p.row.ID) != p {
		p.mismatch = 0
		return
	}
	p.mismatch++
	if p.mismatch < 2 || m.now-p.askedAt < m.pingEvery()/2 {
		return
	}
	if !m.mesh && m.now-m.comparedAt < m.pingEvery()/2 {
		return // what one peer tells makes most of the others' tables equal
	}
	p.mismatch, p.askedAt, m.comparedAt = 0, m.now, m.now
	m.send(p.row.ID, &bus.Buckets{Hash: append([]uint64(nil), m.buckets[:]...)})
}

func (m *Machine) onBuckets(p *peer, b *bus.Buckets) {
	if len(b.Hash) != bus.HashBuckets || p == m.me {
		return
	}
	var mask uint64
	for i, h := range b.Hash {
		if h != m.buckets[i] {
			mask |= 1 << i
		}
	}
	if mask != 0 {
		p.askedAt = m.now
		m.sendTable(p, mask, mask)
	}
}

// sendTable sends the rows and records of the buckets in mask, in pieces.
func (m *Machine) sendTable(p *peer, mask, want uint64) {
	rows, recs := 0, 0
	for _, q := range m.nodes {
		rows += int(mask >> (q.row.ID[0] % bus.HashBuckets) & 1)
	}
	for i := range m.recs {
		recs += int(mask >> (m.recs[i].Shard[0] % bus.HashBuckets) & 1)
	}
	t := &bus.Table{Mask: mask, Rows: make([]bus.Row, 0, min(rows, rowsPerTable))}
	for _, q := range m.nodes {
		if mask&(1<<(q.row.ID[0]%bus.HashBuckets)) == 0 || q.row.Ver == 0 {
			continue
		}
		t.Rows = append(t.Rows, q.row)
		if q.failed {
			t.Fails = append(t.Fails, bus.FailNote{ID: q.row.ID, Ver: q.row.Ver, By: m.self})
		}
		if len(t.Rows) >= rowsPerTable {
			m.send(p.row.ID, t)
			rows -= len(t.Rows)
			t = &bus.Table{Mask: mask, Rows: make([]bus.Row, 0, min(rows, rowsPerTable))}
		}
	}
	if recs > 0 {
		t.Recs = make([]bus.Rec, 0, min(recs, rowsPerTable))
	}
	for i := range m.recs {
		if mask&(1<<(m.recs[i].Shard[0]%bus.HashBuckets)) != 0 {
			t.Recs = append(t.Recs, m.recs[i])
			if len(t.Recs) >= rowsPerTable {
				m.send(p.row.ID, t)
				t = &bus.Table{Mask: mask}
			}
		}
	}
	t.Want = want
	m.send(p.row.ID, t)
}

func (m *Machine) onTable(p *peer, b *bus.Table) {
	if p == m.me {
		return
	}
	for i := range b.Rows {
		m.learn(&b.Rows[i], b.Rows[i].ID == p.row.ID)
	}
	for i := range b.Recs {
		m.learnRec(&b.Recs[i], false)
	}
	for i := range b.Fails {
		m.learnFail(&b.Fails[i])
	}
	if b.Want != 0 && m.find(p.row.ID) != nil {
		m.sendTable(p, b.Want, 0)
	}
}

// ---- the decided voter set ----

func (m *Machine) onVoterSet(p *peer, b *bus.VoterSet) {
	if b.Ask {
		if m.formed() {
			m.send(p.row.ID, &bus.VoterSet{Ver: m.voterVer, Set: m.voters})
		}
		return
	}
	m.learnVoters(b.Ver, b.Set)
}

// learnVoters takes a decided voter set. Answers of other versions never count (R11), so
// whatever was being collected starts over.
func (m *Machine) learnVoters(ver uint64, set []bus.NodeID) {
	if ver <= m.voterVer || len(set) == 0 || len(set) > maxVoters+1 { // one more while a voter is replaced
		return
	}
	first := m.voterVer == 0
	if first && m.slots.ver == 0 {
		m.slots = m.claimedMap() // until the decided map comes, a moment behind its voters
	}
	m.voterVer, m.joining = ver, false
	m.change.before = m.voters
	m.voters = append([]bus.NodeID(nil), set...)
	sort.Slice(m.voters, func(i, j int) bool { return m.voters[i].Less(m.voters[j]) })
	m.event(EvVoterSet, bus.NodeID{}, 0, "voter set %d has %d members: %s", ver, len(set), shorts(m.voters))
	m.save("voters")
	m.change.goneAt = 0
	if !first {
		m.change.setAt = m.now
	}
	m.lead.newVersion(m)
	m.prop.newVersion(m)
	m.form.lock, m.form.mine = nil, nil
	m.save("form")
	if first {
		m.startFormed()
	}
	m.viewDirty, m.peersDirt, m.roleDirt, m.ownerDirt = true, true, true, true
	for _, p := range m.gossip { // whoever hears it asks for it if its own is older
		m.send(p.row.ID, &bus.VoterSet{Ver: ver, Set: m.voters})
	}
}

func shorts(ids []bus.NodeID) (s string) {
	for i, id := range ids {
		if i > 0 {
			s += " "
		}
		s += id.Short()
	}
	return s
}
