package core

import (
	"fmt"
	"sort"

	"github.com/sextantdb/sextant/bus"
)

// voter is what a node holds as a member of the voter set. Everything but leases and bootAt
// is durable before an answer leaves (R8).
type voter struct {
	ver      uint64 // version installed here, 0 = none
	set      []bus.NodeID
	frozen   bool       // a change of this version is under way: nothing is answered (R11)
	promised bus.Ballot // of the change
	accepted bus.Ballot // ballot of next
	next     []bus.NodeID
	regs     []reg // sorted by shard
	slots    bus.SlotReg
	mapSeen  uint64 // version of slots at the start of this life
	bootAt   Mono   // start or install of this voter: no votes for T
	quiet    bool   // the quarantine applies (not to a cluster's very first set)
	frozenAt Mono
	// After CLUSTER RESET, or when another process has spoken in its name, this node has forgotten
	// what it promised in a cluster's sets up to a version: it must not be taken back into them
	// as if it had kept its memory. Bounded by maxGone.
	gone []seat
}

// seat is a place among a cluster's voters, up to a version of the set.
type seat struct {
	cluster bus.ClusterID
	ver     uint64
}

// maxGone bounds how many clusters a node remembers having left: then it needs another name.
const maxGone = 64

// reg is a voter's register for one shard.
type reg struct {
	bus.Register
	leaseUntil Mono
	holder     bus.NodeID // who has it
	life       uint64     // and in which life (peer.boot)
	lease      bus.Stat   // the primary's position at its last lease
	denyUntil  Mono       // an operator forces a failover: the lease is not renewed
	// voted is who has this voter's promise, and votedLife in which life. Volatile.
	voted     bus.Member
	votedLife uint64
}

// asksAgain: the candidate that has this voter's promise for epoch, in the same life, has not
// heard of it: the answer was lost. It proposes once in an epoch, so it may have the vote again
// until it has.
func (r *reg) asksAgain(p *peer, b *bus.VoteReq) bool {
	return b.Epoch == r.Promised && r.Rec.Epoch < b.Epoch && r.voted == b.Cand && r.votedLife == p.boot
}

// reg returns the register of a shard, making it when it is new.
func (v *voter) reg(shard bus.ShardID) *reg {
	i := sort.Search(len(v.regs), func(i int) bool { return !v.regs[i].Shard.Less(shard) })
	if i == len(v.regs) || v.regs[i].Shard != shard {
		v.regs = append(v.regs, reg{})
		copy(v.regs[i+1:], v.regs[i:])
		v.regs[i] = reg{Register: bus.Register{Shard: shard}}
	}
	return &v.regs[i]
}

func (v *voter) wire() (out []bus.Register) {
	for i := range v.regs {
		out = append(out, v.regs[i].Register)
	}
	return out
}

const maxShards = maxNodes

// asVoter handles requests to this node as a voter.
func (m *Machine) asVoter(p *peer, msg *bus.Msg) {
	v := &m.vote
	switch b := msg.Body.(type) {
	case *bus.Freeze:
		m.onFreeze(p, b)
		return
	case *bus.SetAccept:
		m.onSetAccept(p, b)
		return
	case *bus.Install:
		if b.Ver > v.ver && m.mayInstall(b) {
			m.install(b)
		}
		if b.Ver == v.ver {
			m.sendVer(p.row.ID, &bus.Installed{Ver: v.ver}, v.ver)
		}
		return
	}
	if !m.off(AblateNoVersion) {
		if msg.VoterVer < v.ver {
			m.sendVer(p.row.ID, &bus.VoterSet{Ver: v.ver, Set: v.set}, v.ver)
			return
		}
		if msg.VoterVer > v.ver {
			return
		}
	}
	if v.ver == 0 || !has(v.set, m.self) || v.frozen && !m.off(AblateNoFreeze) || len(v.regs) > maxShards {
		return
	}
	switch b := msg.Body.(type) {
	case *bus.LeaseReq:
		m.voterLease(p, b, msg)
	case *bus.LeaseRelease:
		r := v.reg(b.Shard)
		if b.Epoch >= r.Promised && (r.Rec.Primary.ID == p.row.ID || r.Rec.IsZero()) {
			r.leaseUntil = 0
		}
	case *bus.VoteReq:
		m.voterVote(p, b)
	case *bus.Accept:
		m.voterAccept(p, b)
	case *bus.SlotPrepare:
		ok := v.slots.Promised.Less(b.Ballot) || v.slots.Promised == b.Ballot
		if ok || m.off(AblateNoSlotBallot) {
			ok = true
			v.slots.Promised = b.Ballot
			m.save("slotreg")
		}
		r := v.slots
		if !ok {
			r.Spans = nil
		}
		m.sendVer(p.row.ID, &bus.SlotPromise{Ballot: b.Ballot, OK: ok, Reg: r}, v.ver)
	case *bus.SlotAccept:
		ok := !b.Ballot.Less(v.slots.Promised) || m.off(AblateNoSlotBallot)
		if ok && b.Ballot == v.slots.Accepted && b.Ver < v.slots.Ver {
			return // an old repeat
		}
		if ok {
			v.slots = bus.SlotReg{Promised: b.Ballot, Accepted: b.Ballot, Ver: b.Ver, Spans: b.Spans}
			m.save("slotreg")
		}
		m.sendVer(p.row.ID, &bus.SlotAccepted{Ballot: b.Ballot, Ver: b.Ver, OK: ok}, v.ver)
	}
}

func (m *Machine) nack(p *peer, r *reg, epoch uint64, why string) {
	m.sendVer(p.row.ID, &bus.Nack{Shard: r.Shard, Epoch: epoch, Promised: r.Promised, Why: why, Rec: r.Rec}, m.vote.ver)
}

// voterLease: only the primary of the newest promised epoch gets the lease.
func (m *Machine) voterLease(p *peer, b *bus.LeaseReq, msg *bus.Msg) {
	r := m.vote.reg(b.Shard)
	who := bus.NewMember(p.row.ID, msg.Inc)
	switch {
	case b.Epoch < r.Promised:
		m.nack(p, r, b.Epoch, "stale-epoch")
		return
	case r.Rec.Epoch == b.Epoch && r.Rec.Primary != who && !(m.off(AblateNoIncarnation) && r.Rec.Primary.ID == who.ID):
		m.nack(p, r, b.Epoch, "not-the-primary")
		return
	case r.denyUntil > m.now:
		return
	}
	if m.otherLife(p, r) || m.unsure() {
		return // the next request may find it over
	}
	if b.Epoch > r.Promised {
		r.Promised = b.Epoch
		m.saveReg(r, AblateNoPromiseSave)
	}
	r.grant(p, m.now+m.t(), &b.Stat)
	m.sendVer(p.row.ID, &bus.LeaseAck{Shard: b.Shard, Epoch: b.Epoch, TSend: b.TSend}, m.vote.ver)
}

func (m *Machine) saveReg(r *reg, unless Ablation) {
	if !m.off(unless) {
		m.save("reg." + r.Shard.String())
	}
}

// voteRefusal is a voter's "not now", with when to come back and a number that explains it.
type voteRefusal struct {
	why  string
	wait Mono
	num  int64
	// better is the sibling that should stand in the candidate's place. It is told so, with the
	// record by which it may: it may believe in an older one, that has not got it in its set or
	// whose primary it hears, and then nobody would ever be elected.
	better bus.NodeID
}

// judgeVote is the voter's whole decision but for the promise itself.
func (m *Machine) judgeVote(p *peer, r *reg, b *bus.VoteReq) *voteRefusal {
	v := &m.vote
	if !m.off(AblateNoLeaseWait) {
		holder := b.Reason == bus.VoteBump && r.Rec.Primary == b.Cand && !m.otherLife(p, r)
		if left := m.leaseLeft(r); left > 0 && !holder {
			return &voteRefusal{why: "lease-runs", wait: left, num: int64(left / Millisecond)}
		}
		if left := v.bootAt + m.t() - m.now; v.quiet && left > 0 && !m.leaseVoid(r) && !m.off(AblateNoQuarantine) {
			return &voteRefusal{why: "voter-started-lately", wait: left, num: int64(left / Millisecond)}
		}
	}
	switch b.Reason {
	case bus.VoteTakeover, bus.VoteBump:
		return nil
	case bus.VoteNewShard:
		if !r.Rec.IsZero() {
			return &voteRefusal{why: "shard-has-a-record", wait: m.t(), num: int64(r.Rec.Epoch)}
		}
		return nil
	case bus.VoteCold:
		return m.judgeCold(p, r, b)
	}
	if m.off(AblateAnyOffset) || b.Reason == bus.VoteForce {
		return nil
	}
	no := m.judgeOffset(r, b)
	if no != nil && !r.Rec.Has(b.Cand) && m.judgeCold(p, r, b) == nil {
		return nil // a member by a record that this voter has not got, and by this one it might start cold
	}
	return no
}

func (r *reg) grant(p *peer, until Mono, s *bus.Stat) {
	r.leaseUntil, r.holder, r.life, r.lease = until, p.row.ID, p.boot, *s
}

// earlyDeath is how long a new life of a node must be heard, and no older one, until the older
// one counts as gone: a living process would have renewed its lease by then (T/5). Two processes
// with one node id (a copied directory) therefore do not both serve, though one that is cut off
// as well may for what is left of its lease.
func (m *Machine) earlyDeath() Mono { return m.t() / 4 }

// gone is when the lives of p before the present one count as ended; Never while one is heard.
func (m *Machine) gone(p *peer) Mono {
	if p.twin {
		return Never
	}
	return p.bornAt + m.earlyDeath()
}

// leaseLeft is how long the lease that this voter gave still runs. The lease of a process that
// has been started anew cannot be used any more, and nobody need wait for its end.
func (m *Machine) leaseLeft(r *reg) Mono {
	until := r.leaseUntil
	if p := m.find(r.holder); p != nil && p != m.me && p.boot > r.life {
		until = min(until, m.gone(p))
	}
	return max(0, until-m.now)
}

// otherLife: another process of p's id has the lease.
func (m *Machine) otherLife(p *peer, r *reg) bool {
	return r.holder == p.row.ID && r.life != p.boot && m.leaseLeft(r) > 0
}

// leaseVoid: whatever lease this voter forgot by its own restart cannot be in use. Leases of
// the promised epoch go to the primary of record only; its process is gone, for a later
// incarnation of it has spoken. So a cluster that lost power comes back without waiting T.
func (m *Machine) leaseVoid(r *reg) bool {
	if r.Promised != r.Rec.Epoch || r.Rec.IsZero() {
		return false
	}
	if r.Rec.Primary.ID == m.self {
		return m.inc > r.Rec.Primary.Inc
	}
	p := m.find(r.Rec.Primary.ID)
	return p != nil && p.statInc > r.Rec.Primary.Inc && m.gone(p) <= m.now
}

// history ranks a position against the primary's last lease: 2 the same history (or there is
// no lease to compare with), 1 its predecessor, 0 another history.
func history(s, lease *bus.Stat) int {
	switch {
	case lease.ReplID.IsZero() || s.ReplID == lease.ReplID:
		return 2
	case s.ReplID == lease.ReplID2 && s.Offset <= lease.Second || s.ReplID2 == lease.ReplID:
		return 1
	}
	return 0
}

// judgeOffset refuses a candidate that has lost its data, or has less than a live sibling in
// the set (H4). A position of another history comes last, but is not refused for itself:
// being in the set in this incarnation proves the data is the shard's (R4 sees to that), and
// after two promotions in a row the last lease need not know the candidate's replid any more.
func (m *Machine) judgeOffset(r *reg, b *bus.VoteReq) *voteRefusal {
	mine := history(&b.Stat, &r.lease)
	const whole = bus.StatSynced
	deleted := mine > 0 && b.Stat.Offset >= r.lease.Offset // it is empty because all was deleted since that lease
	if b.Stat.Flags&bus.StatEmpty != 0 && b.Stat.Flags&whole == 0 && r.lease.Flags&bus.StatEmpty == 0 && r.lease.Offset > 0 && !deleted {
		return &voteRefusal{why: "candidate-is-empty", wait: m.t() / 2, num: r.lease.Offset}
	}
	for _, q := range m.nodes {
		if q.row.ID == b.Cand.ID || q.row.Shard != b.Shard || m.silent(q) > m.t()/2 || q.statAt == 0 ||
			q.stat.Shard != b.Shard || q.stat.Flags&bus.StatLoading != 0 || r.Rec.Primary.ID == q.row.ID ||
			q.row.Flags&bus.RowNoFailover != 0 || !r.Rec.Has(bus.NewMember(q.row.ID, q.statInc)) {
			continue
		}
		theirs := history(&q.stat, &r.lease)
		if theirs > mine || theirs == mine && q.stat.Offset > b.Stat.Offset {
			return &voteRefusal{why: "better-sibling", wait: clamp(m.t()/10, 20*Millisecond, 500*Millisecond), num: q.stat.Offset, better: q.row.ID}
		}
	}
	return nil
}

// judgeCold allows a leader without proof of its data only when no member of the last set
// can still have that proof: each has come back as a new incarnation, or (async mode) has been
// silent for the cold-start grace. The candidate must be the best of those that are here.
//
// Voters' records differ after a proposal that only a minority holds: the candidate may have no
// proof by the newest of them, which it must reckon with because a voter has forgotten, and
// prove itself by the one that this voter knows. Then this voter has nothing against it that
// it would not have against any member; which record counts, the votes say (R4, R5).
func (m *Machine) judgeCold(p *peer, r *reg, b *bus.VoteReq) *voteRefusal {
	if r.Rec.Has(b.Cand) {
		return m.judgeOffset(r, b)
	}
	if why, left := m.coldWait(&r.Rec); why != "" {
		return &voteRefusal{why: why, wait: clamp(left, m.t()/4, m.t()), num: int64(r.Rec.Epoch)}
	}
	for _, q := range m.nodes {
		if q.row.Shard != b.Shard || q.statAt == 0 || m.silent(q) > m.t()/2 {
			continue
		}
		if _, in := r.Rec.HasID(q.row.ID); in && q.stat.Flags&bus.StatLoading != 0 {
			return &voteRefusal{why: "a-member-is-loading", wait: m.t() / 4, num: q.stat.Offset}
		}
		if q.row.ID != b.Cand.ID &&
			q.row.Flags&bus.RowNoFailover == 0 && moreData(&q.stat, &b.Stat) {
			return &voteRefusal{why: "better-sibling", wait: m.t() / 10, num: q.stat.Offset, better: q.row.ID}
		}
	}
	return nil
}

// coldWait says which member of a record still stands in the way of a cold start.
func (m *Machine) coldWait(rec *bus.Rec) (why string, left Mono) {
	for _, x := range rec.ISR {
		q := m.find(x.ID)
		inc := m.inc
		if x.ID != m.self {
			if q == nil {
				continue // forgotten by the operator
			}
			inc = q.statInc
		}
		if inc > x.Inc {
			continue
		}
		if inc == x.Inc && x.ID == m.self {
			return "a-member-is-here", 0
		}
		if wait := m.cfg.ColdGrace - min(m.silent(q), m.now-m.vote.bootAt); wait > 0 {
			return "a-member-may-return", wait
		}
	}
	return "", 0
}

// moreData orders what came back: data before none, then the longer history. Between equals
// the voters have no opinion; candidates come forward in the order of their ids.
func moreData(a, b *bus.Stat) bool {
	if ae, be := a.Flags&bus.StatEmpty != 0, b.Flags&bus.StatEmpty != 0; ae != be {
		return be
	}
	return a.Offset > b.Offset
}

// voterVote answers a vote request: NACK for good, WAIT until then, or a durable promise.
func (m *Machine) voterVote(p *peer, b *bus.VoteReq) {
	v := &m.vote
	r := v.reg(b.Shard)
	if b.Cand.ID != p.row.ID {
		return
	}
	if b.Epoch <= r.Promised && !r.asksAgain(p, b) {
		m.nack(p, r, b.Epoch, "stale-epoch")
		return
	}
	if b.Reason == bus.VoteForce || b.Reason == bus.VoteTakeover {
		r.denyUntil = m.now + 2*m.t() // the operator wants another primary: let the lease run out
	}
	if no := m.judgeVote(p, r, b); no != nil {
		m.event(EvVoteRefused, p.row.ID, b.Epoch, "%s (%d), candidate offset %d, reason %s", no.why, no.num, b.Stat.Offset, b.Reason)
		m.refuse("vote-"+no.why, fmt.Sprintf("shard=%s,number=%d", b.Shard.Short(), no.num))
		left := uint32(clamp(no.wait, Millisecond, 3600*Second) / Millisecond)
		m.sendVer(p.row.ID, &bus.VoteWait{Shard: b.Shard, Epoch: b.Epoch, LeftMs: left, Why: no.why, Offset: no.num, Rec: r.Rec}, v.ver)
		if !no.better.IsZero() {
			m.sendVer(no.better, &bus.Nack{Shard: b.Shard, Why: "you-are-better", Rec: r.Rec}, v.ver)
		}
		return
	}
	r.Promised, r.voted, r.votedLife = b.Epoch, b.Cand, p.boot
	r.denyUntil = 0
	m.saveReg(r, AblateNoPromiseSave)
	m.seeEpoch(b.Epoch)
	m.event(EvVoteGranted, p.row.ID, b.Epoch, "for shard %s, offset %d, reason %s", b.Shard.Short(), b.Stat.Offset, b.Reason)
	m.sendVer(p.row.ID, &bus.VoteAck{Shard: b.Shard, Epoch: b.Epoch, Rec: r.Rec, Offset: r.lease.Offset}, v.ver)
}

// voterAccept stores a record. The winner's first record is a lease as well: one round trip
// less until the slots are served.
func (m *Machine) voterAccept(p *peer, b *bus.Accept) {
	r := m.vote.reg(b.Rec.Shard)
	if b.Rec.Primary.ID != p.row.ID || len(b.Rec.ISR) == 0 {
		return
	}
	if b.Rec.Epoch < r.Promised && !m.off(AblateVoterAcceptsOld) {
		m.nack(p, r, b.Rec.Epoch, "stale-epoch")
		return
	}
	if b.Rec.Newer(&r.Rec) || r.Rec.IsZero() {
		r.Promised = max(r.Promised, b.Rec.Epoch)
		r.Rec = b.Rec
		m.saveReg(r, AblateNoRecordSave)
	}
	if r.Rec.Epoch != b.Rec.Epoch || r.Rec.Seq != b.Rec.Seq {
		return
	}
	lease := b.TSend // 0 in the answer: accepted, but no lease
	if b.Rec.Epoch >= r.Promised && r.denyUntil <= m.now && b.TSend != 0 && !m.otherLife(p, r) && !m.unsure() {
		r.grant(p, m.now+m.t(), &b.Stat)
	} else {
		lease = 0
	}
	m.sendVer(p.row.ID, &bus.AcceptAck{Shard: b.Rec.Shard, Epoch: b.Rec.Epoch, Seq: b.Rec.Seq, TSend: lease}, m.vote.ver)
}

// ---- installing a version ----

func (m *Machine) mayInstall(b *bus.Install) bool {
	if len(b.Set) == 0 || len(b.Set) > maxVoters+1 {
		return false
	}
	if has(b.Set, m.self) && m.forgot(b.Ver) {
		m.refuse("install", fmt.Sprintf("version %d: this node has forgotten its promises", b.Ver))
		return false
	}
	return true
}

// install takes the merged state of version b.Ver and starts to vote in it, T from now.
func (m *Machine) install(b *bus.Install) {
	v := &m.vote
	old := v.ver
	if !m.off(AblateNoCopy) {
		for i := range b.Regs {
			in := &b.Regs[i]
			r := v.reg(in.Shard)
			r.Promised = max(r.Promised, in.Promised)
			if in.Rec.Newer(&r.Rec) || r.Rec.IsZero() {
				r.Rec = in.Rec
			}
			m.save("reg." + in.Shard.String())
		}
		if olderMap(&v.slots, &b.Slots) {
			v.slots.Accepted, v.slots.Ver, v.slots.Spans = b.Slots.Accepted, b.Slots.Ver, b.Slots.Spans
		}
		if v.slots.Promised.Less(b.Slots.Promised) {
			v.slots.Promised = b.Slots.Promised
		}
		m.save("slotreg")
	}
	v.ver, v.set, v.frozen = b.Ver, b.Set, false
	v.promised, v.accepted, v.next = bus.Ballot{}, bus.Ballot{}, nil
	if !m.off(AblateInstallNoQuarantine) && b.Ver > 1 {
		v.bootAt, v.quiet = m.now, true
	}
	m.save("voter")
	m.event(EvVoterSet, bus.NodeID{}, 0, "installed version %d (was %d), %d shards", b.Ver, old, len(b.Regs))
	if b.Decided { // the first set decides records and map by being installed
		m.learnVoters(b.Ver, b.Set)
		if m.slots.ver == 0 {
			m.learnSlots(mapOf(b.Slots.Ver, b.Slots.Spans))
		}
		for i := range b.Regs {
			m.learnRec(&b.Regs[i].Rec, true)
		}
	}
	m.learnVoters(b.Ver, b.Set)
}
