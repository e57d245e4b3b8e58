package core

import (
	"testing"

	"github.com/stretchr/testify/require"
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
