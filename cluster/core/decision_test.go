package core

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/bus"
	"github.com/sextantdb/sextant/cluster/topology"
	"github.com/sextantdb/sextant/store/slot"
)

func nid(b byte) (n bus.NodeID) { n[0] = b; return n }

func TestMayJoin(t *testing.T) {
	for name, tc := range map[string]struct {
		mine, theirs       bus.ClusterID
		iFormed, theyF     bool
		mySlots, theySlots int
		adopt              bool
		refuse             string
	}{
		"one cluster already":              {mine: 1, theirs: 1, iFormed: true, theyF: true},
		"both lone, theirs smaller":        {mine: 2, theirs: 1, adopt: true},
		"both lone, mine smaller":          {mine: 1, theirs: 2},
		"both unformed with slots":         {mine: 2, theirs: 1, mySlots: 5, theySlots: 6, adopt: true},
		"I join a formed one":              {mine: 1, theirs: 2, theyF: true, adopt: true},
		"it joins mine":                    {mine: 2, theirs: 1, iFormed: true},
		"two formed ones never":            {mine: 1, theirs: 2, iFormed: true, theyF: true, refuse: "the nodes belong to two different clusters"},
		"it has slots and I am formed":     {mine: 1, theirs: 2, iFormed: true, theySlots: 1, refuse: "the joining node has slots assigned in another cluster"},
		"I have slots and they are formed": {mine: 1, theirs: 2, theyF: true, mySlots: 1, refuse: "the joining node has slots assigned in another cluster"},
	} {
		adopt, refuse := mayJoin(tc.mine, tc.theirs, tc.iFormed, tc.theyF, tc.mySlots, tc.theySlots)
		require.Equal(t, tc.adopt, adopt, name)
		require.Equal(t, tc.refuse, refuse, name)
		// both sides reach the same verdict, and never do both adopt
		adopt2, refuse2 := mayJoin(tc.theirs, tc.mine, tc.theyF, tc.iFormed, tc.theySlots, tc.mySlots)
		require.Equal(t, refuse, refuse2, name)
		require.False(t, adopt && adopt2, name)
	}
}

func ack(epoch, seq uint64) *bus.VoteAck {
	return &bus.VoteAck{Rec: bus.Rec{Epoch: epoch, Seq: seq, Primary: bus.NewMember(nid(1), 1)}}
}

func TestBaseRecord(t *testing.T) {
	for name, tc := range map[string]struct {
		votes  []*bus.VoteAck
		voters int
		want   [2]uint64
	}{
		"all agree":                            {[]*bus.VoteAck{ack(3, 1), ack(3, 1)}, 3, [2]uint64{3, 1}},
		"the highest, a silent voter may hold": {[]*bus.VoteAck{ack(3, 1), ack(3, 2)}, 3, [2]uint64{3, 2}},
		"R5: one holder of three, all heard":   {[]*bus.VoteAck{ack(3, 1), ack(3, 1), ack(3, 2)}, 3, [2]uint64{3, 1}},
		"R5: two of five holders, all heard":   {[]*bus.VoteAck{ack(4, 0), ack(4, 0), ack(3, 0), ack(3, 0), ack(3, 0)}, 5, [2]uint64{3, 0}},
		"R5 twice":                             {[]*bus.VoteAck{ack(5, 0), ack(4, 0), ack(3, 0), ack(3, 0), ack(3, 0)}, 5, [2]uint64{3, 0}},
		"not passed over when silence may":     {[]*bus.VoteAck{ack(5, 0), ack(3, 0), ack(3, 0)}, 5, [2]uint64{5, 0}},
	} {
		got := baseRec(tc.votes, tc.voters, false)
		require.Equal(t, tc.want, [2]uint64{got.Epoch, got.Seq}, name)
	}
}

func TestSlotMapDiffAndSpans(t *testing.T) {
	r := rng{7}
	a := mapOf(1, nil)
	for range 300 {
		b := a
		for range 3 {
			first := slot.Slot(r.next() % slot.Count)
			last := min(first+slot.Slot(r.next()%500), slot.Count-1)
			to := nid(byte(r.next() % 6)) // 0 unassigns
			b.apply([]bus.SlotSpan{{Shard: to, Slots: []uint16{first, last}}})
		}
		b.ver++
		again := mapOf(b.ver, b.spans())
		require.Empty(t, again.diff(&b))
		c := a
		c.apply(b.diff(&a))
		require.Empty(t, c.diff(&b))
		a = b
	}
}

func TestColdStartOrder(t *testing.T) {
	full, empty := &bus.Stat{Offset: 5}, &bus.Stat{Offset: 9, Flags: bus.StatEmpty}
	require.True(t, moreData(full, empty))
	require.False(t, moreData(empty, full))
	require.True(t, moreData(&bus.Stat{Offset: 6}, full))
	require.False(t, moreData(full, full))
}

func TestHistoryRanks(t *testing.T) {
	lease := &bus.Stat{ReplID: nid(3), ReplID2: nid(2), Second: 100}
	require.Equal(t, 2, history(&bus.Stat{ReplID: nid(3), Offset: 500}, lease))
	require.Equal(t, 1, history(&bus.Stat{ReplID: nid(2), Offset: 100}, lease))
	require.Equal(t, 0, history(&bus.Stat{ReplID: nid(2), Offset: 101}, lease))
	require.Equal(t, 0, history(&bus.Stat{ReplID: nid(1)}, lease))
	require.Equal(t, 2, history(&bus.Stat{ReplID: nid(1)}, &bus.Stat{}))
}

func TestStepTo(t *testing.T) {
	ids := func(bs ...byte) (out []bus.NodeID) {
		for _, b := range bs {
			out = append(out, nid(b))
		}
		return out
	}
	set, to := ids(1, 2, 3), ids(3, 4, 5)
	steps := 0
	all := func(bus.NodeID) bool { return true }
	for next := stepTo(set, to, all); next != nil; next = stepTo(set, to, all) {
		diff := 0
		for _, id := range next {
			if !has(set, id) {
				diff++
			}
		}
		for _, id := range set {
			if !has(next, id) {
				diff++
			}
		}
		require.Equal(t, 2, diff, "one for one")
		require.Len(t, next, 3)
		set = next
		steps++
	}
	require.Equal(t, to, set)
	require.Equal(t, 2, steps)
}

// The vote decision, refusal by refusal.
func TestJudgeVote(t *testing.T) {
	n := newNet(t, 6, 2*Second)
	n.create(3, 1)
	m := n.nodes[1].m
	shard := n.nodes[0].m.me.row.Shard
	p := m.find(n.nodes[3].id)
	req := func(reason bus.VoteReason) *bus.VoteReq {
		return &bus.VoteReq{Shard: shard, Epoch: 50, Cand: bus.NewMember(p.row.ID, 1), Reason: reason, Stat: p.stat}
	}
	r := m.vote.reg(shard)
	require.Equal(t, "lease-runs", m.judgeVote(p, r, req(bus.VoteSilence)).why)
	r.leaseUntil = 0
	require.Nil(t, m.judgeVote(p, r, req(bus.VoteSilence)))
	m.vote.quiet, m.vote.bootAt = true, m.now
	require.Equal(t, "voter-started-lately", m.judgeVote(p, r, req(bus.VoteHandover)).why)
	m.vote.quiet = false
	require.Equal(t, "shard-has-a-record", m.judgeVote(p, r, req(bus.VoteNewShard)).why)
	require.Nil(t, m.judgeVote(p, r, req(bus.VoteCold)), "a member")
	cold := req(bus.VoteCold)
	cold.Cand.Inc++
	require.Equal(t, "a-member-may-return", m.judgeVote(p, r, cold).why)
	r.lease.Offset, r.lease.Flags = 100, 0
	b := req(bus.VoteSilence)
	b.Stat.Flags = bus.StatEmpty
	require.Equal(t, "candidate-is-empty", m.judgeVote(p, r, b).why)
	sib := m.find(n.nodes[4].id)
	sib.row.Shard, sib.stat.Shard, sib.stat.Offset = shard, shard, 10
	sib.stat.ReplID = p.stat.ReplID
	r.Rec.ISR = append(r.Rec.ISR, bus.NewMember(sib.row.ID, sib.statInc))
	no := m.judgeVote(p, r, req(bus.VoteSilence))
	require.Equal(t, "better-sibling", no.why)
	require.Equal(t, int64(10), no.num)
	require.Nil(t, m.judgeVote(p, r, req(bus.VoteForce)))
	require.Nil(t, m.judgeVote(p, r, req(bus.VoteTakeover)))
}

// Whom a voter prefers hears of it, with the record that has it as a member: it may know an older one
// only, and would never stand. What a voter has told it of is enough to stand by, also for a shard
// of which no record is known.
func TestABetterSiblingIsTold(t *testing.T) {
	n := newNet(t, 6, 2*Second)
	n.create(3, 1)
	n.run(Second)
	voter, cand, better := n.nodes[1], n.nodes[3], n.nodes[4]
	shard := n.nodes[0].m.me.row.Shard
	q := voter.m.find(better.id)
	q.row.Shard, q.stat.Shard, q.stat.Offset, q.stat.ReplID = shard, shard, 10, voter.m.find(cand.id).stat.ReplID
	r := voter.m.vote.reg(shard)
	r.Rec.Seq++
	r.Rec.ISR = append(r.Rec.ISR, bus.NewMember(better.id, q.statInc))
	r.leaseUntil = 0
	e := voter.m.Step(n.now, Input{Kind: InMsg, From: cand.id, Msg: &bus.Msg{Header: cand.m.header(1),
		Body: &bus.VoteReq{Shard: shard, Epoch: 50, Cand: cand.m.member(), Stat: voter.m.find(cand.id).stat}}})
	var told *bus.Msg
	for _, x := range e.Send {
		if b, ok := x.Msg.Body.(*bus.Nack); ok && x.To == better.id && b.Why == "you-are-better" {
			told = x.Msg
		}
	}
	require.NotNil(t, told)

	better.m.me.row.Shard, better.m.me.row.Primary = shard, n.nodes[0].id
	i := slices.IndexFunc(better.m.recs, func(x bus.Rec) bool { return x.Shard == shard })
	for _, known := range []bool{true, false} {
		name := "by an older record"
		if !known {
			name = "by none"
			better.m.recs = slices.Delete(better.m.recs, i, i+1)
		}
		better.m.lead.hint = bus.Rec{}
		old := better.m.rec(shard)
		_, no := better.m.stand(old)
		require.NotEmpty(t, no, name)
		better.m.find(n.nodes[0].id).heardAt = 0
		better.m.now += 3 * Second
		better.m.asLeader(better.m.find(voter.id), told)
		reason, no := better.m.stand(old)
		require.Empty(t, no, name)
		require.Equal(t, bus.VoteSilence, reason, name)
		next, no := better.m.winner(old)
		require.Equal(t, known, no != "", "%s: not a member by what the votes say, unless they know nothing", name)
		require.Equal(t, known, next == nil, name)
	}
}

// A member by a record that only a minority of the voters holds: a voter without that record judges it
// as a cold start, and when its own votes pass the record over it has no right by it any more.
func TestARecordThatWasPassedOver(t *testing.T) {
	n := newNet(t, 6, 2*Second)
	n.create(3, 1)
	n.run(Second)
	voter, x := n.nodes[1].m, n.nodes[3]
	m, shard := x.m, n.nodes[0].m.me.row.Shard
	r, p := voter.vote.reg(shard), voter.find(x.id)
	r.leaseUntil, r.lease.Offset, r.lease.Flags = 0, 100, 0
	reborn := m.member()
	reborn.Inc++
	req := &bus.VoteReq{Shard: shard, Epoch: 50, Cand: reborn, Stat: bus.Stat{Shard: shard, Flags: bus.StatEmpty}}
	require.Equal(t, "candidate-is-empty", voter.judgeVote(p, r, req).why)
	p.statInc++
	voter.find(n.nodes[0].id).statInc++
	require.Nil(t, voter.judgeVote(p, r, req), "nobody of the last set is left")

	base := bus.Rec{Shard: shard, Epoch: 21, Primary: bus.NewMember(n.nodes[0].id, 1), ISR: []bus.Member{bus.NewMember(n.nodes[0].id, 1)}}
	rare := bus.Rec{Shard: shard, Epoch: 28, Primary: m.member(), ISR: []bus.Member{m.member()}}
	m.recs[slices.IndexFunc(m.recs, func(x bus.Rec) bool { return x.Shard == shard })] = base
	m.find(n.nodes[0].id).statInc = 2
	m.lead.hint = rare
	reason, no := m.stand(m.rec(shard))
	require.Empty(t, no)
	require.Equal(t, bus.VoteSilence, reason)
	m.elect(m.rec(shard), reason)
	for i, v := range m.voters {
		rec := base
		if i == 0 {
			rec = rare
		}
		m.lead.votes[i] = nil
		if v != m.self {
			m.asLeader(m.find(v), &bus.Msg{Header: voter.header(1), Body: &bus.VoteAck{Shard: shard, Epoch: m.lead.epoch, Rec: rec}})
		}
		if i == 1 { // the first two say no more than that it may have been chosen
			m.lead.phase, m.lead.pend = voting, nil
		}
	}
	require.Equal(t, idle, m.lead.phase)
	m.lead.hinted(m, &rare)
	reason, no = m.stand(m.rec(shard))
	require.Empty(t, no)
	require.Equal(t, bus.VoteCold, reason)
}

// A vote whose answer was lost is given again, to the same process and until it has proposed: with
// just a majority alive every round would need all its answers.
func TestALostVoteIsGivenAgain(t *testing.T) {
	n := newNet(t, 6, 2*Second)
	n.create(3, 1)
	n.run(Second)
	voter, cand := n.nodes[1], n.nodes[3]
	shard := n.nodes[0].m.me.row.Shard
	r := voter.m.vote.reg(shard)
	r.leaseUntil = 0
	ask := func(life uint64) bus.Kind {
		h := cand.m.header(1)
		h.Boot = life
		e := voter.m.Step(n.now, Input{Kind: InMsg, From: cand.id, Msg: &bus.Msg{Header: h,
			Body: &bus.VoteReq{Shard: shard, Epoch: 50, Cand: cand.m.member(), Stat: voter.m.find(cand.id).stat}}})
		for _, x := range e.Send {
			if x.To == cand.id {
				return x.Msg.Kind()
			}
		}
		return 0
	}
	require.Equal(t, bus.KindVoteAck, ask(cand.m.life))
	require.Equal(t, bus.KindVoteAck, ask(cand.m.life))
	proposed := r.Rec
	r.Rec.Epoch = 50
	require.Equal(t, bus.KindNack, ask(cand.m.life), "it has proposed")
	r.Rec = proposed
	require.Equal(t, bus.KindNack, ask(cand.m.life+1), "another process of the same name and incarnation")
}

// No message from anyone makes a machine panic or break its invariants.
func FuzzStep(f *testing.F) {
	n := newNet(f, 6, Second)
	n.create(3, 1)
	codec := bus.NewCodec()
	base := n.nodes[0]
	state := base.m.Records()
	var lg = base.log
	disk := lg.Begin(1, state)
	for k := bus.Kind(1); int(k) < bus.Kinds; k++ {
		frame, err := codec.Append(nil, &bus.Msg{Header: n.nodes[1].m.header(1), Body: bus.NewBody(k)})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(frame, uint8(1))
	}
	shard := base.m.me.row.Shard
	for _, b := range []bus.Body{
		&bus.VoteReq{Shard: shard, Epoch: 99, Cand: bus.NewMember(n.nodes[1].id, 1)},
		&bus.Accept{Rec: bus.Rec{Shard: shard, Epoch: 99, Primary: bus.NewMember(n.nodes[1].id, 1), ISR: []bus.Member{bus.NewMember(n.nodes[1].id, 1)}}},
		&bus.Install{Ver: 2, Set: []bus.NodeID{n.nodes[1].id}},
		&bus.SlotMap{Ver: 9, Spans: []bus.SlotSpan{{Shard: shard, Slots: []uint16{5, 1, 3}}}},
		&bus.Freeze{Ver: 1, Ballot: bus.Ballot{Round: 3, By: n.nodes[1].id}},
		&bus.Table{Want: 1<<64 - 1, Recs: []bus.Rec{{Shard: shard, Epoch: 70, Primary: bus.NewMember(n.nodes[1].id, 1), ISR: []bus.Member{bus.NewMember(n.nodes[1].id, 1)}}}},
	} {
		frame, _ := codec.Append(nil, &bus.Msg{Header: n.nodes[1].m.header(1), Body: b})
		f.Add(frame, uint8(1))
	}
	f.Fuzz(func(t *testing.T, frames []byte, from uint8) {
		loaded, err := topologyDecode(disk)
		require.NoError(t, err)
		m, _ := New(base.cfg, Boot{State: loaded, DataComplete: true}, Second)
		sender := n.nodes[1+from%5]
		now := 2 * Second
		for len(frames) > 0 {
			frame := frames
			if len(frames) > 4 && frames[0] == 0 { // several frames: 0, length, bytes
				l := int(binary.BigEndian.Uint16(frames[1:])) % (len(frames) - 3)
				frame, frames = frames[3:3+l], frames[3+l:]
			} else {
				frames = nil
			}
			msg, err := codec.Decode(frame)
			if err != nil {
				continue
			}
			msg.From, msg.Cluster = sender.id, m.cluster
			now += Mono(len(frame)) * Millisecond
			m.Step(now, Input{Kind: InMsg, From: sender.id, Addr: "10.0.0.1", Msg: msg})
			m.Step(now+Second, Input{Kind: InTick})
			require.NoError(t, m.Check())
		}
	})
}

// A voter that knows the candidate for a member has nothing against its cold start: the record
// by which it lacks proof is another voter's. Before, candidate and voter waited for "the
// member that is here", the candidate itself, for ever.
func TestColdStartOfAMember(t *testing.T) {
	shard := nid(9)
	cand, other := bus.NewMember(nid(1), 1), bus.NewMember(nid(2), 1)
	newMachine := func(isr ...bus.Member) (*Machine, *reg) {
		m, _ := New(DefaultConfig(), Boot{Local: Local{}}, Second)
		m.learn(&bus.Row{ID: cand.ID, Ver: 1, Inc: 1, Shard: shard}, true)
		m.learn(&bus.Row{ID: other.ID, Ver: 1, Inc: 1, Shard: shard}, true)
		for _, id := range []bus.NodeID{cand.ID, other.ID} {
			p := m.find(id)
			p.statInc, p.heardAt, p.statAt = 1, m.now, m.now
		}
		r := m.vote.reg(shard)
		r.Rec = bus.Rec{Shard: shard, Epoch: 3, Primary: isr[0], ISR: isr}
		return m, r
	}
	req := &bus.VoteReq{Shard: shard, Epoch: 9, Cand: cand, Reason: bus.VoteCold, Stat: bus.Stat{Offset: 7}}

	m, r := newMachine(cand, other)
	require.Nil(t, m.judgeCold(m.find(cand.ID), r, req), "the candidate is the member that is here")
	m, r = newMachine(other)
	no := m.judgeCold(m.find(cand.ID), r, req)
	require.NotNil(t, no)
	require.Equal(t, "a-member-may-return", no.why)

	// and what it proposes says so: no force when the record that counts has it as a member
	m, _ = newMachine(other)
	m.lead.reason, m.lead.epoch = bus.VoteCold, 9
	next, refusal := m.winner(&bus.Rec{Shard: m.me.row.Shard, Epoch: 3, Primary: other, ISR: []bus.Member{other, m.member(), cand}})
	require.Empty(t, refusal)
	require.False(t, next.Forced)
	require.Len(t, next.ISR, 2, "cand stays, the old primary goes")
	_, refusal = m.winner(&bus.Rec{Shard: m.me.row.Shard, Epoch: 3, Primary: other, ISR: []bus.Member{other}})
	require.Equal(t, "a-member-may-return", refusal)
}

// Others know a newer life of a node than the one that runs: a copy of its directory was started and
// has ended, or an old state file was put back. The node stops at once, and when nobody has heard
// the other for a node timeout it goes on, under a greater life and as a new incarnation, without
// its memory as a voter; its seat is given to it anew.
func TestALifeThatEndedMakesRoom(t *testing.T) {
	n := newNet(t, 6, 2*Second)
	n.create(3, 1)
	n.run(Second)
	voter, first := n.nodes[1], n.nodes[0]
	life, ver := first.m.life, first.m.voterVer
	h := first.m.header(1)
	h.Boot += 1 << 32
	voter.m.Step(n.now, Input{Kind: InMsg, From: first.id, Msg: &bus.Msg{Header: h, Body: &bus.Ping{}}})
	last := n.now
	n.until(Second, "it hears of the other and stops", func() bool { return first.m.isOlder() && first.lease == 0 })
	require.False(t, first.view.Serving)
	n.until(6*Second, "it takes its name back", func() bool { return !first.m.isOlder() })
	require.GreaterOrEqual(t, n.now-last, 2*Second, "T after the other was heard")
	require.Greater(t, first.m.life, h.Boot)
	require.Greater(t, first.m.life, life)
	require.True(t, first.m.inc > 1, "the other may have acknowledged writes")
	require.Zero(t, first.m.vote.ver, "and may have voted")
	n.until(10*Second, "its seat is given anew", func() bool { return first.m.vote.ver > ver })
	require.True(t, sameIDs(first.m.voters, voter.m.voters) && has(first.m.voters, first.id))
	n.until(10*Second, "all is well", func() bool {
		for _, x := range n.nodes {
			if x.view.State != topology.StateOK || x.m.find(first.id).suspect || x.m.forgetful() != (bus.NodeID{}) {
				return false
			}
		}
		return true
	})
}

// While another elector still hears the newer process, the older one stays out, however long one
// of them has heard neither.
func TestAnOlderLifeStaysOut(t *testing.T) {
	n := newNet(t, 6, 2*Second)
	n.create(3, 1)
	n.run(Second)
	hears, first := n.nodes[1], n.nodes[0]
	h := first.m.header(1)
	h.Boot += 1 << 32
	for range 100 {
		hears.m.Step(n.now, Input{Kind: InMsg, From: first.id, Msg: &bus.Msg{Header: h, Body: &bus.Ping{}}})
		n.run(200 * Millisecond)
	}
	require.True(t, first.m.isOlder())
	require.Equal(t, Mono(0), first.lease)
}

// Two processes under one node id, from a copied directory with all its data: the second one gets
// no lease while the first may have one, and the first one's is not renewed.
func TestTwinsDoNotBothLead(t *testing.T) {
	for name, firstGoesOn := range map[string]bool{"a twin": true, "a restart": false} {
		t.Run(name, func(t *testing.T) {
			n := newNet(t, 6, 2*Second)
			n.create(3, 1)
			n.run(Second)
			voter, first := n.nodes[1], n.nodes[0]
			life, epoch := first.m.life, first.m.rec(first.m.me.row.Shard).Epoch
			h := first.m.header(1)
			h.Boot = life + 1<<32
			if !firstGoesOn {
				first.kill()
			}
			asked, got := n.now, Mono(0)
			lastRenewal := voter.m.vote.reg(first.m.me.row.Shard).leaseUntil - 2*Second
			for got == 0 && n.now < asked+5*Second {
				e := voter.m.Step(n.now, Input{Kind: InMsg, From: first.id, Msg: &bus.Msg{Header: h,
					Body: &bus.LeaseReq{Shard: first.m.me.row.Shard, Epoch: epoch, TSend: 1}}})
				for _, x := range e.Send {
					if _, ok := x.Msg.Body.(*bus.LeaseAck); ok && x.To == first.id {
						got = n.now
					}
				}
				n.run(50 * Millisecond)
			}
			require.NotZero(t, got, "the second process gets the lease at last")
			if firstGoesOn {
				require.GreaterOrEqual(t, got, lastRenewal+2*Second, "after the first one's")
				require.True(t, voter.m.find(first.id).twin)
			} else {
				require.InDelta(t, int64(Second/2), int64(got-asked), float64(100*Millisecond), "T/4")
			}
		})
	}
}

// A replica that is empty because everything was deleted may lead; one that lost its data may not.
func TestEmptyCandidates(t *testing.T) {
	n := newNet(t, 6, 2*Second)
	n.create(3, 1)
	n.run(Second)
	m := n.nodes[1].m
	r := m.vote.reg(n.nodes[0].m.me.row.Shard)
	r.lease = bus.Stat{ReplID: bus.NodeID{7}, Offset: 50}
	req := func(id bus.ReplID, offset int64) *bus.VoteReq {
		return &bus.VoteReq{Shard: r.Shard, Epoch: 99, Cand: bus.NewMember(n.nodes[3].id, 1),
			Stat: bus.Stat{Shard: r.Shard, ReplID: id, Offset: offset, Flags: bus.StatEmpty}}
	}
	require.Nil(t, m.judgeOffset(r, req(bus.NodeID{7}, 60)))
	require.Equal(t, "candidate-is-empty", m.judgeOffset(r, req(bus.NodeID{7}, 40)).why)
	require.Equal(t, "candidate-is-empty", m.judgeOffset(r, req(bus.NodeID{8}, 60)).why)
}
