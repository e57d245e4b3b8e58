package core

import (
	"fmt"
	"slices"
	"sort"

	"github.com/sextantdb/sextant/bus"
)

// lead is this node's part in its shard: holding the lease as primary, or getting elected.
type lead struct {
	was      bool   // led at the last look
	fence    uint64 // highest epoch this node stood with: nothing older is led or followed
	heardAt  Mono   // start of this life: silence is counted from here
	newShard bool   // my shard owns slots and needs its first record

	phase   phase
	epoch   uint64
	reason  bus.VoteReason
	votes   []*bus.VoteAck // by index of voter
	waits   []Mono         // by index of voter, 0 = none
	nacks   []bool         // by index of voter: refused this phase for good
	begun   Mono
	at      Mono
	tries   int
	losses  int  // rounds lost in a row to nobody known: the next pauses are drawn wider
	electAt Mono // 0: not standing
	// hint is the newest record of my shard that any voter said it had accepted. It may never
	// have been decided, or been decided by a winner that died before telling: it only says
	// with which right this node may stand, the votes say what is so.
	hint bus.Rec
	// passed is the newest record that my votes have passed over (R5): neither it nor any between
	// it and their base was ever chosen, or will be, and nobody has a right by them.
	passed bus.Rec

	// a record proposed by me, as candidate (seq 0) or as primary
	pend     *bus.Rec
	pendAcks []bool
	pendAt   Mono

	// the lease, as primary
	acked  []Mono // by index of voter: newest acknowledged send time
	exp    Mono
	before Mono // the deadline by which this primary served before there were voters; 0 = none
	// lentUntil is how long what is left of before counts for a lease. Volatile.
	lentUntil Mono
	// heardMajority as it was when the node table was at majorityOf. In a partial mesh it is looked
	// for again at majorityAt only: until then the truth is no earlier.
	majority, majorityAt Mono
	majorityOf           uint64
	heard                []Mono // scratch
	lent                 bool   // exp is lentUntil, not yet a lease of the voters
	renewAt              Mono
	expandAt             Mono // next look at who may join the set
	released             bool
	held                 bool // the lease was valid at the last look

	// an operator's FORCE, TAKEOVER or BUMPEPOCH, or a handover, under way
	order      bus.VoteReason
	orderUntil Mono
	orderTok   uint64
}

type phase uint8

const (
	idle phase = iota
	voting
	accepting
)

// rec is the newest decided record of a shard that this node knows; zero when there is none.
func (m *Machine) rec(shard bus.ShardID) *bus.Rec {
	i := sort.Search(len(m.recs), func(i int) bool { return !m.recs[i].Shard.Less(shard) })
	if i < len(m.recs) && m.recs[i].Shard == shard {
		return &m.recs[i]
	}
	return &noRec
}

var noRec bus.Rec // never written

// learnRec takes a decided record. origin: I had it decided.
func (m *Machine) learnRec(r *bus.Rec, origin bool) {
	i := sort.Search(len(m.recs), func(i int) bool { return !m.recs[i].Shard.Less(r.Shard) })
	if i == len(m.recs) || m.recs[i].Shard != r.Shard {
		if len(m.recs) >= maxShards || len(r.ISR) == 0 || r.Shard.IsZero() {
			return
		}
		m.recs = append(m.recs, bus.Rec{})
		copy(m.recs[i+1:], m.recs[i:])
		m.recs[i] = bus.Rec{Shard: r.Shard}
	} else if !r.Newer(&m.recs[i]) {
		return
	} else {
		m.mixHash(r.Shard, recHash(&m.recs[i]))
	}
	moved := m.recs[i].Primary != r.Primary
	m.recs[i] = *r
	m.mixHash(r.Shard, recHash(r))
	m.save("rec." + r.Shard.String())
	m.seeEpoch(r.Epoch)
	m.note(news{rec: r.Shard}, origin)
	m.event(EvRecord, r.Primary.ID, r.Epoch, "shard %s is led by %s inc %d, seq %d, set of %d", r.Shard.Short(), r.Primary.ID.Short(), r.Primary.Inc, r.Seq, len(r.ISR))
	if moved {
		m.ownerDirt, m.roleDirt = true, true
		if r.Shard == m.me.row.Shard {
			m.peersDirt = true
			m.lead.electAt, m.lead.losses = 0, 0
			if m.lead.phase != idle && r.Epoch >= m.lead.epoch { // somebody else won
				m.lead.phase, m.lead.pend = idle, nil
			}
		}
	}
	m.viewDirty = true
}

// leads: the record says that I, in this life, am the shard's primary, and I have not stood
// with a greater epoch since.
func (m *Machine) leads(r *bus.Rec) bool {
	if r.IsZero() || r.Primary.ID != m.self || r.Epoch < m.lead.fence && !m.off(AblateNoFence) {
		return false
	}
	return r.Primary.Inc == m.inc || m.off(AblateNoIncarnation)
}

// leaseDeadline is what the data path compares its clock with. Before there are voters a
// primary serves while it has heard from a majority of the slot owners within T: so one that
// was stopped, or cut off, is silent when the others found a voter set without it.
func (m *Machine) leaseDeadline() Mono {
	if m.off(AblateNoLeaseCheck) {
		return Never
	}
	if m.isOlder() {
		return 0
	}
	if !m.formed() {
		return m.heardMajority()
	}
	rec := m.rec(m.me.row.Shard)
	if rec.IsZero() && !m.isReplica() {
		return m.lead.lentUntil
	}
	if !m.leads(rec) || m.lead.released {
		return 0
	}
	return m.lead.exp
}

func (m *Machine) heardMajority() Mono {
	if len(m.me.row.Slots) == 0 {
		return Never
	}
	l := &m.lead
	if !m.mesh && m.now < l.majorityAt && m.rowsVer == l.majorityOf {
		return l.majority
	}
	l.majorityAt, l.majorityOf = m.now+m.tickEvery(), m.rowsVer
	l.majority = m.slotOwnersHeard()
	return l.majority
}

func (m *Machine) slotOwnersHeard() Mono {
	heard := m.lead.heard[:0]
	for _, p := range m.nodes {
		if p != m.me && len(p.row.Slots) > 0 {
			heard = append(heard, max(p.heardAt, p.addedAt))
		}
	}
	m.lead.heard = heard
	need := (len(heard) + 1) / 2 // besides me
	if need == 0 {
		return Never
	}
	slices.Sort(heard)
	return heard[len(heard)-need] + m.t()
}

// leaseRefusal says why a primary must not serve, "" when it may or is no primary.
func (m *Machine) leaseRefusal() string {
	if !m.formed() || !m.leads(m.rec(m.me.row.Shard)) || m.off(AblateNoLeaseCheck) {
		return ""
	}
	if m.lead.released {
		return "the shard is being handed over"
	}
	if m.now >= m.lead.exp {
		return "primary lease expired"
	}
	return ""
}

func (l *lead) newVersion(m *Machine) {
	l.acked = make([]Mono, len(m.voters))
	l.renewAt = m.now
	if l.pend != nil {
		l.pendAcks = make([]bool, len(m.voters))
		l.pendAt = 0
	}
	if l.phase == voting {
		l.phase = idle
		l.electAt = m.now + 5*Millisecond
	}
}

func (l *lead) wake(m *Machine) Mono {
	w := Never
	if !m.formed() {
		return w
	}
	if l.was {
		if !l.released {
			w = min(w, l.renewAt)
		}
		if l.held {
			w = min(w, l.exp)
		}
	} else if l.electAt != 0 && l.phase == idle {
		w = min(w, l.electAt)
	}
	return w
}

// leadStep does what is due in my shard.
func (m *Machine) leadStep() {
	l := &m.lead
	if !m.formed() {
		l.before = m.heardMajority()
		return
	}
	if l.before != 0 {
		// The set has just formed: what let this primary serve before holds on until its record and
		// its first lease are there, for one renewal at most, so that clients do not see the
		// change. No voter of a new set votes within T of its start.
		l.lentUntil = min(l.before, m.now+m.t()/5)
		l.before = 0
	}
	rec := m.rec(m.me.row.Shard)
	leading := m.leads(rec)
	if leading != l.was {
		l.was = leading
		l.released = false
		l.exp, l.held, l.lent = 0, false, false
		if leading && m.now < l.lentUntil {
			l.exp, l.lent = l.lentUntil, true
		}
		l.acked = make([]Mono, len(m.voters))
		l.renewAt = m.now
		if l.phase == idle {
			l.pend = nil
		}
		if leading {
			l.phase, l.electAt, l.newShard = idle, 0, false
		} else {
			m.handStop("no longer primary")
		}
		m.viewDirty, m.ownerDirt, m.roleDirt = true, true, true
	}
	if leading {
		m.primaryStep(rec)
		if l.phase == idle {
			m.orderStep(rec)
		}
	}
	if !leading || l.phase != idle {
		m.candidateStep(rec)
	}
}

// ---- primary ----

func (m *Machine) primaryStep(rec *bus.Rec) {
	l := &m.lead
	if !l.released && m.now >= l.renewAt && m.stuck() {
		l.renewAt = m.now + m.tickEvery()
	} else if !l.released && m.now >= l.renewAt {
		l.renewAt = m.now + m.t()/5
		if l.exp <= m.now || l.lent { // without a lease of the voters: ask more often
			l.renewAt = m.now + m.retryEvery()
		}
		m.toVoters(&bus.LeaseReq{Shard: rec.Shard, Epoch: rec.Epoch, TSend: int64(m.now), Stat: m.stat()})
		m.drain()
	}
	if held := m.now < l.exp && !l.released; held != l.held {
		l.held = held
		if held {
			m.event(EvLeaseHeld, m.self, rec.Epoch, "for %d ms", (l.exp-m.now)/Millisecond)
		} else {
			m.event(EvLeaseLost, m.self, rec.Epoch, "expired %d ms ago", (m.now-l.exp)/Millisecond)
			m.refuse("serve-lease-expired", fmt.Sprintf("epoch=%d", rec.Epoch))
		}
		m.viewDirty = true
	}
	m.resend()
	if l.pend == nil && l.phase == idle && l.held && m.now >= l.expandAt {
		l.expandAt = m.now + m.tickEvery()
		if next := m.expand(rec); next != nil {
			m.proposeRec(next)
		}
	}
}

// expand adds a member that has come to hold this shard's data, and drops those that belong
// to other shards or have been replaced by their own next life. In async mode silence alone
// removes nobody: the set says who may lead, offsets say who should. Strict mode adds R2 here.
func (m *Machine) expand(rec *bus.Rec) *bus.Rec {
	for _, x := range rec.ISR {
		if x.ID == m.self {
			continue
		}
		q := m.find(x.ID)
		if q != nil && q.row.Ver != 0 && q.row.Shard != rec.Shard {
			return m.nextRec(rec, x.ID, bus.Member{})
		}
	}
	for _, q := range m.nodes {
		if q == m.me || q.row.Shard != rec.Shard || q.suspect || q.statAt == 0 || q.stat.Shard != rec.Shard {
			continue
		}
		who := bus.NewMember(q.row.ID, q.statInc)
		const whole = bus.StatSynced | bus.StatLinkUp
		if rec.Has(who) || q.stat.Flags&whole != whole || q.stat.Flags&bus.StatLoading != 0 {
			continue
		}
		if q.stat.ReplID == m.local.ReplID && q.stat.Offset <= m.local.Offset {
			return m.nextRec(rec, q.row.ID, who)
		}
	}
	return nil
}

// nextRec is rec with the member of one id taken out and another put in.
func (m *Machine) nextRec(rec *bus.Rec, out bus.NodeID, in bus.Member) *bus.Rec {
	next := &bus.Rec{Shard: rec.Shard, Epoch: rec.Epoch, Seq: rec.Seq + 1, Primary: rec.Primary, VoterVer: m.voterVer, Forced: rec.Forced}
	for _, x := range rec.ISR {
		if x.ID != out {
			next.ISR = append(next.ISR, x)
		}
	}
	if !in.ID.IsZero() {
		next.ISR = append(next.ISR, in)
	}
	sortMembers(next.ISR)
	return next
}

func sortMembers(ms []bus.Member) {
	sort.Slice(ms, func(i, j int) bool {
		if ms[i].ID != ms[j].ID {
			return ms[i].ID.Less(ms[j].ID)
		}
		return ms[i].Inc < ms[j].Inc
	})
}

func (m *Machine) proposeRec(r *bus.Rec) {
	l := &m.lead
	l.pend, l.pendAcks, l.pendAt = r, make([]bool, len(m.voters)), m.now
	m.toVoters(m.acceptOf(r))
}

// acceptOf: TSend makes the acceptance a lease, which whoever hands over must not take anew: its
// heir would have to wait it out. Nor must a node that cannot serve under it.
func (m *Machine) acceptOf(r *bus.Rec) *bus.Accept {
	a := &bus.Accept{Rec: *r, TSend: int64(m.now), Stat: m.stat()}
	if m.lead.released || m.stuck() {
		a.TSend = 0
	}
	return a
}

// resend repeats the same proposal until it is decided: one at a time, never another value in
// its place (R2).
func (m *Machine) resend() {
	l := &m.lead
	if l.pend == nil || m.now-l.pendAt < m.retryEvery() {
		return
	}
	l.pendAt = m.now
	for i, v := range m.voters {
		if i < len(l.pendAcks) && !l.pendAcks[i] {
			m.send(v, m.acceptOf(l.pend))
		}
	}
}

// leaseAcked counts a lease from the time it was asked for (R9).
func (m *Machine) leaseAcked(i int, tsend int64) {
	l := &m.lead
	t := Mono(tsend)
	if t <= 0 || t > m.now || i >= len(l.acked) {
		return
	}
	if m.off(AblateLeaseFromReceipt) {
		t = m.now
	}
	l.acked[i] = max(l.acked[i], t)
	newest := append([]Mono(nil), l.acked...)
	sort.Slice(newest, func(a, b int) bool { return newest[a] > newest[b] })
	if at := newest[len(m.voters)/2]; at > 0 {
		ppm := Mono(m.cfg.DriftPPM)
		l.exp, l.lent = max(l.exp, at+m.t()/(1000000+ppm)*(1000000-ppm)), false
	}
}

// ---- candidate ----

// stand says why this node should ask for its shard now, or why not.
func (m *Machine) stand(rec *bus.Rec) (reason bus.VoteReason, refusal string) {
	l := &m.lead
	if l.orderUntil > m.now {
		return l.order, ""
	}
	// The first record of a shard may be at the voters, while this node did not live to hear of it.
	b := m.believed(rec)
	if b.IsZero() {
		if l.newShard && m.me.row.Primary.IsZero() {
			return bus.VoteNewShard, ""
		}
		return 0, "no-record"
	}
	if m.local.Loading {
		return 0, "loading"
	}
	if m.stuck() {
		return 0, "data-path-stuck"
	}
	if rec.Primary.ID == m.self && rec.Primary.Inc == m.inc && rec.Epoch >= l.fence {
		return 0, "leading" // with a greater fence I lost a candidacy, and lead again only by votes
	}
	if m.cfg.NoFailover && rec.Primary.ID != m.self && !(rec.IsZero() && l.newShard) {
		return 0, "no-failover"
	}
	if rec.Primary.ID != m.self && (b == rec || b.Primary.ID == rec.Primary.ID) {
		if p := m.find(rec.Primary.ID); p != nil && p.statInc <= rec.Primary.Inc &&
			m.now-max(p.heardAt, l.heardAt, p.addedAt) < m.t() {
			return 0, "primary-heard"
		}
	}
	if b.Has(m.member()) || m.off(AblateAnyReplica) {
		return bus.VoteSilence, ""
	}
	if _, ok := b.HasID(m.self); ok && m.off(AblateNoIncarnation) {
		return bus.VoteSilence, ""
	}
	if why, _ := m.coldWait(b); why != "" {
		if rec.Has(m.member()) {
			return bus.VoteSilence, "" // the newer record may prove never to have been chosen (R5)
		}
		return 0, "not-in-set"
	}
	if m.local.Empty && m.someoneFuller(b) {
		return 0, "empty"
	}
	return bus.VoteCold, ""
}

func (m *Machine) someoneFuller(rec *bus.Rec) bool {
	mine := m.stat()
	for _, q := range m.nodes {
		if q != m.me && q.row.Shard == rec.Shard && q.statAt > 0 && m.silent(q) <= m.t()/2 &&
			moreData(&q.stat, &mine) {
			return true
		}
	}
	return false
}

// rank is how many live siblings look better than me; between equals the last primary comes
// first, when it is back, then the smaller id. It only delays: the voters decide.
func (m *Machine) rank(rec *bus.Rec) (n Mono) {
	for _, q := range m.nodes {
		if q == m.me || q.row.Shard != rec.Shard || m.silent(q) > m.t()/2 || q.statAt == 0 {
			continue
		}
		before := q.row.ID.Less(m.self)
		if q.row.ID == rec.Primary.ID {
			before = true
		} else if rec.Primary.ID == m.self {
			before = false
		}
		if q.stat.Offset > m.local.Offset || q.stat.Offset == m.local.Offset && before {
			n++
		}
	}
	return n
}

func (m *Machine) candidateStep(rec *bus.Rec) {
	l := &m.lead
	switch l.phase {
	case voting:
		if m.now-l.at >= m.retryEvery() {
			l.at = m.now
			for i, v := range m.voters {
				if l.votes[i] == nil && l.waits[i] == 0 {
					m.send(v, m.voteReq(rec))
				}
			}
		}
		if m.now-l.begun >= clamp(m.t()/2, 50*Millisecond, Second) {
			m.lose(rec, "no majority of voters answered", 0)
		}
		return
	case accepting:
		if l.tries++; m.now-l.begun >= m.t() {
			m.lose(rec, "no majority of voters accepted the record", 0)
			return
		}
		m.resend()
		return
	}
	reason, no := m.stand(rec)
	if no != "" {
		l.electAt = 0
		return
	}
	if l.electAt == 0 {
		l.electAt = m.now
		if reason == bus.VoteSilence || reason == bus.VoteCold {
			l.electAt += m.rank(rec) * clamp(m.t()/50, 5*Millisecond, 100*Millisecond)
		}
	}
	if m.now >= l.electAt {
		m.elect(rec, reason)
	}
}

func (m *Machine) voteReq(rec *bus.Rec) *bus.VoteReq {
	return &bus.VoteReq{Shard: m.me.row.Shard, Epoch: m.lead.epoch, Cand: m.member(), Reason: m.lead.reason, Stat: m.stat()}
}

// elect begins a round of votes.
func (m *Machine) elect(rec *bus.Rec, reason bus.VoteReason) {
	l := &m.lead
	l.phase, l.reason = voting, reason
	l.epoch = max(m.epoch, l.fence, rec.Epoch) + 1
	l.begun, l.at, l.tries = m.now, m.now, 0
	l.votes, l.waits = make([]*bus.VoteAck, len(m.voters)), make([]Mono, len(m.voters))
	l.nacks = make([]bool, len(m.voters))
	m.event(EvElectionStarted, m.self, l.epoch, "reason %s, offset %d, record epoch %d seq %d", reason, m.local.Offset, rec.Epoch, rec.Seq)
	m.toVoters(m.voteReq(rec))
}

// maxWiden bounds how wide pauses between lost rounds are drawn: 8 retries.
const maxWiden = 3

// lose ends a round; the next one begins after wait, or after a drawn pause.
func (m *Machine) lose(rec *bus.Rec, why string, wait Mono) {
	l := &m.lead
	if l.phase == idle {
		return
	}
	if wait == 0 {
		// Three candidates over slow links split the votes again and again when all pauses are alike.
		wait = m.retryEvery() + m.rng.upTo(m.retryEvery()<<min(l.losses, maxWiden))
		l.losses++
	}
	l.phase, l.pend = idle, nil
	l.electAt = m.now + wait
	m.event(EvElectionLost, m.self, l.epoch, "%s; again in %d ms", why, wait/Millisecond)
	m.refuse("election", fmt.Sprintf("epoch=%d,%s", l.epoch, why))
}

// asLeader handles voters' answers.
func (m *Machine) asLeader(p *peer, msg *bus.Msg) {
	l := &m.lead
	if b, ok := msg.Body.(*bus.Nack); ok {
		l.hinted(m, &b.Rec)
	}
	i := m.voterIndex(p.row.ID)
	if i < 0 {
		return
	}
	rec := m.rec(m.me.row.Shard)
	switch b := msg.Body.(type) {
	case *bus.LeaseAck:
		if l.was && b.Shard == rec.Shard && b.Epoch == rec.Epoch {
			m.leaseAcked(i, b.TSend)
		}
	case *bus.Nack:
		m.onNack(i, b, rec)
	case *bus.VoteWait:
		l.hinted(m, &b.Rec)
		if l.phase == voting && b.Shard == m.me.row.Shard && b.Epoch == l.epoch {
			l.waits[i] = max(Mono(b.LeftMs), 1) * Millisecond
			m.maybeWait(rec, b.Why)
		}
	case *bus.VoteAck:
		l.hinted(m, &b.Rec)
		if l.phase == voting && b.Shard == m.me.row.Shard && b.Epoch == l.epoch {
			l.votes[i], l.waits[i] = b, 0
			m.maybeWin(rec)
		}
	case *bus.AcceptAck:
		m.onAcceptAck(i, b)
	}
}

func (l *lead) hinted(m *Machine, r *bus.Rec) {
	if r.Shard == m.me.row.Shard && (l.hint.Shard != r.Shard || r.Newer(&l.hint)) && (l.passed.Shard != r.Shard || r.Newer(&l.passed)) {
		l.hint = *r
	}
}

// believed is the record to judge my own chances by.
func (m *Machine) believed(rec *bus.Rec) *bus.Rec {
	if h := &m.lead.hint; h.Shard == m.me.row.Shard && h.Newer(rec) {
		return h
	}
	return rec
}

// maybeWait gives a round up that waits have made unwinnable, and comes back exactly when
// enough leases have run out.
func (m *Machine) maybeWait(rec *bus.Rec, why string) {
	l := &m.lead
	need := len(m.voters)/2 + 1
	var waits []Mono
	got := 0
	for i, w := range l.waits {
		if w > 0 {
			waits = append(waits, w)
		}
		if l.votes[i] != nil {
			got++
		}
	}
	if l.lostVoters() <= len(m.voters)-need || len(waits) == 0 {
		return
	}
	sort.Slice(waits, func(a, b int) bool { return waits[a] < waits[b] })
	k := min(max(need-1-got, 0), len(waits)-1)
	wait := waits[k] + 2*Millisecond
	if p := m.find(rec.Primary.ID); p != nil && p.statInc > rec.Primary.Inc {
		// The lease they speak of died with the process that held it. They may not have heard of
		// the new one yet; then they will know soon.
		wait = min(wait, m.earlyDeath())
	}
	m.lose(rec, why, wait+m.rank(rec)*clamp(m.t()/200, Millisecond, 20*Millisecond))
}

// onNack: a greater epoch was promised. A primary that hears it stops; a candidate comes back
// with a greater epoch.
func (m *Machine) onNack(i int, b *bus.Nack, rec *bus.Rec) {
	l := &m.lead
	if b.Shard != m.me.row.Shard {
		return
	}
	m.seeEpoch(b.Promised)
	if (l.phase == voting && b.Epoch == l.epoch || l.phase == accepting && l.pend != nil && b.Epoch == l.pend.Epoch) && i < len(l.nacks) {
		// One voter that has promised more does not end it: two candidates would starve each
		// other, each with a majority behind it and the other one's own vote against it.
		l.nacks[i] = true
		if l.lostVoters() > len(m.voters)-(len(m.voters)/2+1) {
			m.lose(rec, "nack: "+b.Why, 0)
		}
	}
	if l.was && b.Epoch == rec.Epoch && b.Promised > rec.Epoch && l.phase == idle {
		// Somebody may win with that epoch. My lease was not renewed here; serving ends when a
		// majority says so, by the lease running out, or when the new record is heard.
		m.refuse("lease-"+b.Why, fmt.Sprintf("epoch=%d,promised=%d", rec.Epoch, b.Promised))
		l.nacked(m, b)
	}
}

// lostVoters is how many voters this phase can no longer count on.
func (l *lead) lostVoters() (n int) {
	for i, no := range l.nacks {
		if no || l.phase == voting && i < len(l.waits) && l.waits[i] > 0 {
			n++
		}
	}
	return n
}

// nacked lets a primary that can never renew again stand for election anew, when nobody took
// its shard: a candidate may have died with its promises collected.
func (l *lead) nacked(m *Machine, b *bus.Nack) {
	if l.exp <= m.now {
		l.fence = max(l.fence, m.rec(m.me.row.Shard).Epoch+1)
	}
}

// maybeWin looks for a majority of votes, finds the base record, and proposes the next.
func (m *Machine) maybeWin(rec *bus.Rec) {
	l := &m.lead
	need := len(m.voters)/2 + 1
	var got []*bus.VoteAck
	for _, v := range l.votes {
		if v != nil {
			got = append(got, v)
		}
	}
	if len(got) < need {
		return
	}
	base := baseRec(got, len(m.voters), m.off(AblateFirstRecord))
	for _, v := range got {
		if v.Rec.Newer(base) && (l.passed.Shard != v.Rec.Shard || v.Rec.Newer(&l.passed)) {
			l.passed, l.hint = v.Rec, *base
		}
	}
	next, refusal := m.winner(base)
	if refusal != "" {
		m.lose(rec, refusal, m.t()/4)
		if base.Newer(rec) { // its members may not know that they are in it
			for _, x := range base.ISR {
				if x.ID != m.self {
					m.send(x.ID, &bus.Nack{Shard: base.Shard, Why: "you-are-in-a-set", Rec: *base})
				}
			}
		}
		return
	}
	l.phase = accepting
	clear(l.nacks)
	l.begun = m.now
	l.fence = max(l.fence, l.epoch) // R4: fence before proposing
	m.save("self")
	m.proposeRec(next)
}

// baseRec is R4 with R5: the highest accepted record among the votes, passing over those
// that too few voters can hold for them to have been chosen.
func baseRec(votes []*bus.VoteAck, voters int, first bool) *bus.Rec {
	base := &votes[0].Rec
	if first {
		return base
	}
	for _, v := range votes {
		if v.Rec.Newer(base) {
			base = &v.Rec
		}
	}
	for need := voters/2 + 1; ; {
		holders, silent := 0, voters-len(votes)
		var next *bus.Rec
		for _, v := range votes {
			if !base.Newer(&v.Rec) {
				holders++
			} else if next == nil || v.Rec.Newer(next) {
				next = &v.Rec
			}
		}
		if holders+silent >= need || next == nil || next.IsZero() {
			return base
		}
		base = next
	}
}

// winner makes the record this candidate may propose on base, or says why it may not.
func (m *Machine) winner(base *bus.Rec) (*bus.Rec, string) {
	l := &m.lead
	me := m.member()
	next := &bus.Rec{Shard: m.me.row.Shard, Epoch: l.epoch, Primary: me, VoterVer: m.voterVer}
	_, idThere := base.HasID(m.self)
	in := base.Has(me) || idThere && m.off(AblateNoIncarnation) || m.off(AblateAnyReplica)
	cold := l.reason == bus.VoteCold && !in // a member by the record that counts needs no cold start
	switch l.reason {
	case bus.VoteNewShard:
		if !base.IsZero() && !in {
			return nil, "shard-has-a-record"
		}
	case bus.VoteTakeover:
		next.Forced = !in
	case bus.VoteCold:
		if why, _ := m.coldWait(base); why != "" && cold {
			return nil, why
		}
		next.Forced = cold || base.Forced
	default:
		if never := base.IsZero() && m.rec(next.Shard).IsZero(); !in && !never { // never: what was hinted at was not chosen
			return nil, fmt.Sprintf("not-in-set: epoch %d seq %d, my incarnation %d", base.Epoch, base.Seq, m.inc)
		}
		next.Forced = base.Forced
	}
	next.ISR = []bus.Member{me}
	for _, x := range base.ISR {
		if x.ID != m.self && (x != base.Primary || l.reason == bus.VoteHandover) && !cold {
			next.ISR = append(next.ISR, x)
		}
	}
	sortMembers(next.ISR)
	return next, ""
}

func (m *Machine) onAcceptAck(i int, b *bus.AcceptAck) {
	l := &m.lead
	if l.was && b.Shard == m.me.row.Shard && b.Epoch == m.rec(b.Shard).Epoch {
		m.leaseAcked(i, b.TSend)
	}
	if l.pend == nil || b.Shard != l.pend.Shard || b.Epoch != l.pend.Epoch || b.Seq != l.pend.Seq || i >= len(l.pendAcks) {
		return
	}
	l.pendAcks[i] = true
	won := l.phase == accepting
	if won {
		if len(l.acked) != len(m.voters) {
			l.acked = make([]Mono, len(m.voters))
		}
		l.acked[i] = max(l.acked[i], Mono(b.TSend))
	}
	n := 0
	for _, a := range l.pendAcks {
		if a {
			n++
		}
	}
	if n < len(m.voters)/2+1 {
		return
	}
	rec := *l.pend
	l.pend = nil
	if !won {
		m.learnRec(&rec, true)
		return
	}
	acked := l.acked
	l.phase = idle
	m.event(EvElectionWon, m.self, rec.Epoch, "reason %s, %d ms after it began, offset %d, set of %d", l.reason, (m.now-l.begun)/Millisecond, m.local.Offset, len(rec.ISR))
	m.learnRec(&rec, true)
	if l.orderTok != 0 {
		m.replyText(l.orderTok, fmt.Sprintf("BUMPED %d", rec.Epoch))
	}
	l.orderUntil, l.orderTok = 0, 0
	m.handDone()
	// The acceptances are leases: serve at once. A bump keeps the lease it had.
	if !l.was {
		l.was, l.released, l.exp, l.held = true, false, 0, false
		l.newShard, l.electAt = false, 0
		m.roleDirt = true
	}
	l.acked = acked
	l.renewAt = m.now + m.t()/5
	for k, t := range acked {
		m.leaseAcked(k, int64(t))
	}
	m.primaryStep(m.rec(rec.Shard))
	if m.me.row.Primary != (bus.NodeID{}) || m.me.row.Epoch != rec.Epoch {
		m.changed(func(r *bus.Row) { r.Primary, r.Epoch = bus.NodeID{}, rec.Epoch })
	}
}

// orderStep begins what an operator ordered of a primary (BUMPEPOCH).
func (m *Machine) orderStep(rec *bus.Rec) {
	l := &m.lead
	if l.orderUntil > m.now && l.order == bus.VoteBump && m.now >= l.electAt && l.pend == nil {
		m.elect(rec, bus.VoteBump)
	}
}

// tickFollow keeps my own row in step with the records (H19): who follows whom is derived, never
// remembered on its own.
func (m *Machine) tickFollow() {
	row := &m.me.row
	rec := m.rec(row.Shard)
	if rec.IsZero() {
		if !row.Primary.IsZero() { // the shard I joined has no record yet: follow its claimant
			p := m.find(row.Primary)
			if p != nil && p.row.Ver != 0 && p.row.Shard != row.Shard && p.row.Primary != m.self {
				m.changed(func(r *bus.Row) { r.Shard = p.row.Shard })
			}
			if p == nil && m.formedSlots(row.Shard) { // forgotten, and its slots are left to those who followed it
				m.changed(func(r *bus.Row) { r.Primary = bus.NodeID{} })
				m.firstSlots()
			}
		}
		return
	}
	want := rec.Primary.ID
	if want == m.self {
		want = bus.NodeID{}
	} else if p := m.find(want); p != nil && p.row.Ver != 0 && p.row.Shard != rec.Shard && !m.formedSlots(rec.Shard) {
		// my primary has left for another shard because this one has no slots left (S29)
		m.changed(func(r *bus.Row) { r.Shard, r.Primary = p.row.Shard, m.leaderOf(p) })
		return
	}
	if row.Primary != want {
		m.changed(func(r *bus.Row) { r.Primary = want })
	}
}

func (m *Machine) formedSlots(shard bus.ShardID) bool {
	_, owns := m.slots.first(shard)
	return owns
}

// leaderOf is the primary of the shard that p is in.
func (m *Machine) leaderOf(p *peer) bus.NodeID {
	if q := m.primaryOf(p.row.Shard); q != nil {
		return q.row.ID
	}
	return p.row.ID
}
