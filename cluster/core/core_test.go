package core

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/bus"
)

func TestCreateAsRedisCLIDoes(t *testing.T) {
	n := newNet(t, 6, 2*Second)
	n.create(3, 1)
	t.Log(n.nodes[0].view.NodesText(false))
	t.Log(n.now/Millisecond, "ms", n.bytes, "bytes")
	require.Equal(t, uint64(1), n.nodes[0].view.VoterVer)
}

func TestKilledPrimaryIsReplaced(t *testing.T) {
	n := newNet(t, 6, 2*Second)
	n.create(3, 1)
	n.nodes[0].local.Offset, n.nodes[0].local.Empty, n.nodes[0].local.Keys = 100, false, 1
	n.run(3 * Second)
	n.nodes[0].kill()
	d := n.until(5*Second, "slot 0 served again", func() bool { return n.server(0) != nil })
	require.LessOrEqual(t, d, 2600*Millisecond)
	t.Log("served again after ms", d/Millisecond)
	n.run(3 * Second)
	n.nodes[0].start(false)
	n.until(10*Second, "old primary is a replica in the set", func() bool { return n.healthy(1) && n.agree(6, 6) })
	require.Equal(t, "n3", n.name(n.nodes[0].role.Primary))
}

// Both-lone MEETs race in every order; one cluster comes out of it.
func TestLoneNodesMeetInAnyOrder(t *testing.T) {
	for seed := range uint64(40) {
		n := newNet(t, 5, Second)
		r := rng{seed}
		for range 6 {
			a, b := int(r.next()%5), int(r.next()%5)
			if a != b {
				n.nodes[a].step(Input{Kind: InAdmin, Admin: &Admin{Kind: AdminMeet, IP: "127.0.0.1", Port: uint16(7000 + b), CPort: uint16(17000 + b)}})
			}
			n.run(Mono(r.next()%3) * Millisecond / 2)
		}
		for i := range 4 { // a chain joins whatever is still apart
			n.nodes[i].step(Input{Kind: InAdmin, Admin: &Admin{Kind: AdminMeet, IP: "127.0.0.1", Port: uint16(7001 + i), CPort: uint16(17001 + i)}})
		}
		n.until(5*Second, "one cluster of five", func() bool {
			for _, x := range n.nodes {
				if len(x.view.Nodes) != 5 || x.view.Cluster != n.nodes[0].view.Cluster {
					return false
				}
			}
			return true
		})
	}
}

// A founder that dies between locks and INSTALL leaves a lock; its return finishes the
// formation, and FORGET of it frees the others.
func TestFounderDiesWhileForming(t *testing.T) {
	for _, returns := range []bool{true, false} {
		n := newNet(t, 3, Second)
		for i := range 3 {
			n.nodes[i].ok(Admin{Kind: AdminAddSlots, Slots: slotsOf(i*5000, i*5000+4999+i/2*1384)})
			n.nodes[i].ok(Admin{Kind: AdminSetConfigEpoch, Epoch: int64(i + 1)})
		}
		n.nodes[1].ok(Admin{Kind: AdminMeet, IP: "127.0.0.1", Port: 7000, CPort: 17000})
		n.nodes[2].ok(Admin{Kind: AdminMeet, IP: "127.0.0.1", Port: 7000, CPort: 17000})
		for n.nodes[1].m.form.lock == nil {
			n.run(Millisecond / 2)
		}
		n.nodes[0].kill()
		n.run(2 * Second)
		require.NotNil(t, n.nodes[1].m.form.lock)
		require.Equal(t, formingErr, n.nodes[1].admin(Admin{Kind: AdminDelSlots, Slots: slotsOf(5000, 5000)}).Err)
		if returns {
			n.nodes[0].start(true)
			n.until(5*Second, "formed", func() bool { return n.healthy(0) })
			continue
		}
		n.nodes[1].ok(Admin{Kind: AdminForget, Node: n.nodes[0].id.String()})
		n.nodes[1].ok(Admin{Kind: AdminDelSlots, Slots: slotsOf(5000, 5000)})
	}
}

// The same inputs give the same effects: two runs, equal hashes after each step.
func TestDeterminism(t *testing.T) {
	play := func() (hashes []uint64) {
		n := newNet(t, 6, Second)
		n.create(3, 1)
		n.nodes[0].kill()
		n.run(2 * Second)
		n.nodes[0].start(false)
		n.isolate(1, true)
		n.run(3 * Second)
		n.isolate(1, false)
		n.nodes[4].step(Input{Kind: InAdmin, Admin: &Admin{Kind: AdminFailover, Mode: FailoverForce}})
		n.run(3 * Second)
		for _, x := range n.nodes {
			hashes = append(hashes, x.m.Hash())
		}
		return hashes
	}
	tok = 0
	a := play()
	tok = 0
	require.Equal(t, a, play())
}

// With the default timeout of 15 s: what does a user wait for?
func TestDefaultTimeoutIsBearable(t *testing.T) {
	n := newNet(t, 6, 15*Second)
	start := n.now
	n.create(3, 1)
	formed := n.now - start
	t.Logf("redis-cli create: formed and in sync after %d ms", formed/Millisecond)
	require.Less(t, formed, 12*Second)

	n.run(5 * Second)
	for _, x := range n.nodes { // clean restart of everything
		x.up = false
	}
	for _, x := range n.nodes {
		x.start(true)
	}
	d := n.until(4*Second, "all served after a clean restart", func() bool { return n.healthy(1) })
	t.Logf("clean restart of all: %d ms", d/Millisecond)

	for _, x := range n.nodes { // power cut
		x.up = false
	}
	for _, x := range n.nodes {
		x.start(false)
	}
	d = n.until(6*Second, "all served after a power cut", func() bool { return n.server(0) != nil && n.server(6000) != nil && n.server(16000) != nil })
	t.Logf("power cut: %d ms", d/Millisecond)
	n.until(30*Second, "whole again", func() bool { return n.healthy(1) })
}

// A handover that the replica does not finish ends by itself: writes flow again, and the
// primary still leads.
func TestHandoverTimesOut(t *testing.T) {
	for _, after := range []bus.HandoverStep{bus.HandoverAsk, bus.HandoverBarrier, bus.HandoverGo} {
		n := newNet(t, 6, 2*Second)
		n.create(3, 1)
		n.run(Second)
		n.nodes[3].step(Input{Kind: InAdmin, Admin: &Admin{Kind: AdminFailover}})
		p := n.nodes[0]
		for p.m.hand.role != handPrimary || p.m.hand.step != after {
			n.run(Millisecond / 4)
		}
		require.NotZero(t, p.pause)
		n.nodes[3].kill()
		d := n.until(6*Second, "writes flow", func() bool { return p.pause == 0 && n.server(0) == p })
		require.LessOrEqual(t, d, 5200*Millisecond)
	}
}

// An unfinished FAILOVER is called off by ABORT.
func TestFailoverAbort(t *testing.T) {
	n := newNet(t, 6, 2*Second)
	n.create(3, 1)
	n.run(Second)
	n.nodes[3].step(Input{Kind: InAdmin, Admin: &Admin{Kind: AdminFailover}})
	n.run(5 * Millisecond)
	n.nodes[3].ok(Admin{Kind: AdminFailover, Mode: FailoverAbort})
	n.run(Second)
	require.Equal(t, n.nodes[0], n.server(0))
	require.Zero(t, n.nodes[0].pause)
}

// H18: a node whose address changes is found again by its id, and so are all at once.
func TestAddressChange(t *testing.T) {
	n := newNet(t, 3, Second)
	n.create(3, 0)
	c := n.nodes[1].cfg
	c.IP = "10.1.1.1"
	n.nodes[1].step(Input{Kind: InReconfig, Config: &c})
	n.until(2*Second, "everyone prints the new address", func() bool {
		for _, x := range n.nodes {
			i, _ := x.view.Find(n.nodes[1].id)
			if x.view.Nodes[i].IP != "10.1.1.1" {
				return false
			}
		}
		return true
	})
}

// A witness is preferred to replicas when primaries are fewer than three.
func TestWitnessVotes(t *testing.T) {
	n := newNet(t, 2, Second)
	n.cfg.Witness = true
	n.addNode()
	n.addNode()
	n.create(1, 1)
	for _, i := range []int{2, 3} {
		n.nodes[i].ok(Admin{Kind: AdminMeet, IP: "127.0.0.1", Port: 7000, CPort: 17000})
	}
	n.until(20*Second, "three voters", func() bool { return len(n.nodes[0].view.Voters) == 3 })
	require.False(t, has(n.nodes[0].view.Voters, n.nodes[1].id) && has(n.nodes[0].view.Voters, n.nodes[2].id) && has(n.nodes[0].view.Voters, n.nodes[3].id))
	n.run(2 * Second)
	n.nodes[0].kill()
	n.until(1500*Millisecond, "the replica leads", func() bool { return n.server(0) == n.nodes[1] })
}

func BenchmarkStep(b *testing.B) {
	n := newNet(b, 6, Second)
	n.create(3, 1)
	m := n.nodes[0].m
	from := n.nodes[1].m
	msg := &bus.Msg{Header: from.header(1), Body: &bus.Ping{Stat: from.stat()}}
	msg.Table = m.tableHash
	now := n.now
	b.ReportAllocs()
	for range b.N {
		now += Millisecond
		m.Step(now, Input{Kind: InMsg, From: from.self, Msg: msg})
	}
}
