package core

import (
	"github.com/sextantdb/sextant/cluster/topology"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/store/slot"
)

// unformed builds primaries with one replica each, by hand and with the forming switched off.
func unformed(t *testing.T, primaries int, timeout Mono) *net {
	n := newNet(t, 0, timeout)
	n.cfg.AutoVoters = false
	for range 2 * primaries {
		n.addNode()
	}
	for i := range primaries {
		n.nodes[i].ok(Admin{Kind: AdminAddSlots, Slots: slotsOf(i*slot.Count/primaries, (i+1)*slot.Count/primaries-1)})
	}
	for i := range n.nodes {
		n.nodes[i].ok(Admin{Kind: AdminSetConfigEpoch, Epoch: int64(i + 1)})
	}
	for _, x := range n.nodes[1:] {
		x.ok(Admin{Kind: AdminMeet, IP: "127.0.0.1", Port: 7000, CPort: 17000})
	}
	n.until(20*Second, "one view after MEET", func() bool { return n.agree(2*primaries, 2*primaries) })
	for i := range primaries {
		n.nodes[primaries+i].ok(Admin{Kind: AdminReplicate, Node: n.nodes[i].id.String()})
	}
	n.until(20*Second, "synced", func() bool {
		for _, x := range n.nodes[primaries:] {
			if !x.local.Synced || !x.local.LinkUp {
				return false
			}
		}
		return true
	})
	n.run(timeout) // positions are told by pings
	return n
}

// form lets the nodes make voters.
func (n *net) form() {
	for _, x := range n.nodes {
		x.cfg.AutoVoters = true
		cfg := x.cfg
		x.step(Input{Kind: InReconfig, Config: &cfg})
	}
}

// (Found by the Tcl suite, which kills a primary a moment after the cluster is up: there were
// no voters yet, and never would be without it.)
func TestOwnerThatDiesBeforeThereAreVoters(t *testing.T) {
	for dead := range 3 {
		n := unformed(t, 3, 2*Second)
		n.nodes[dead].kill()
		n.form()
		s := slot.Slot(dead * slot.Count / 3)
		took := n.until(10*Second, "its replica leads", func() bool { x := n.server(s); return x != nil && x.i == dead+3 })
		assert.Greater(t, took, 3*Second, "not before the old one has certainly stopped serving")
		n.nodes[dead].start(false)
		n.until(10*Second, "it follows", func() bool { x := n.nodes[dead]; return x.m.isReplica() && x.m.myPrimary() == n.nodes[dead+3].id })
		n.until(20*Second, "whole", func() bool { return n.healthy(1) })
	}
}

// Cut off instead of dead: it stops serving before the others go on without it, and a majority
// of the owners is needed.
func TestOwnerThatIsCutOffBeforeThereAreVoters(t *testing.T) {
	n := unformed(t, 3, 2*Second)
	n.form()
	for _, x := range n.nodes {
		x.m.form.since = 0
	}
	n.isolate(0, true)
	both := false
	n.check = func(*tnode) {
		old, heir := n.nodes[0], n.nodes[3]
		both = both || old.serves() && heir.serves() && heir.view.Nodes[heir.view.Me].Owns(0)
	}
	n.until(10*Second, "its replica leads", func() bool { x := n.nodes[3]; return x.serves() })
	assert.False(t, both, "two serve slot 0")
	n.isolate(0, false)
	n.until(20*Second, "whole", func() bool { return n.healthy(1) })

	n = unformed(t, 3, 2*Second)
	n.nodes[0].kill()
	n.nodes[1].kill()
	n.form()
	n.run(20 * Second)
	assert.Zero(t, n.nodes[2].m.voterVer, "one owner of three founds nothing")
	assert.False(t, n.nodes[2].serves())
}

// A process that was stopped before there were voters finds its right to serve run out.
func TestStoppedBeforeThereAreVoters(t *testing.T) {
	n := unformed(t, 3, 2*Second)
	require.True(t, n.nodes[0].serves())
	assert.Less(t, n.nodes[0].lease, n.now+2*Second+1)
	n.nodes[0].stop()
	n.run(3 * Second)
	assert.LessOrEqual(t, n.nodes[0].lease, n.now)
}

// Learning of the voters before the slot map must not look like a cluster without owners.
func TestFormingIsNotSeenByClients(t *testing.T) {
	n := unformed(t, 3, 2*Second)
	n.check = func(x *tnode) {
		if x.view != nil {
			require.Equal(t, slot.Count, x.view.Assigned, "node %d", x.i)
			require.Equal(t, topology.StateOK, x.view.State, "node %d: %s", x.i, x.view.Reason)
		}
		if x.i < 3 { // a primary serves until its first lease by what let it serve before
			require.True(t, x.serves(), "node %d stops serving while the voter set forms: %s, lease %d ms", x.i, x.view.NotServing, (x.lease-n.now)/Millisecond)
		}
	}
	n.form()
	took := n.until(5*Second, "formed", func() bool { return n.nodes[5].view.VoterVer == 1 && n.nodes[5].view.SlotVer == 1 })
	assert.Less(t, took, 500*Millisecond)
	for _, x := range n.nodes[3:] {
		assert.Len(t, x.m.rec(x.m.me.row.Shard).ISR, 2, "replicas in step are in the first set")
	}
}

// A primary restarts without its data; its replica hears of that before the voters do. They
// send it away for the rest of a lease that nobody holds any more: it must not believe them
// for long. (4.9 s instead of 0.1 with a node timeout of 5 s, one time in three.)
func TestReplicaHearsOfARestartBeforeTheVoters(t *testing.T) {
	n := newNet(t, 6, 5*Second)
	n.create(3, 1)
	n.run(Second)
	n.nodes[0].kill()
	n.nodes[0].start(false)
	for _, late := range []int{1, 2} { // the news reaches the voters late
		n.cut[[2]int{0, late}] = true
	}
	n.run(100 * Millisecond)
	clear(n.cut)
	took := n.until(10*Second, "the replica leads", func() bool { x := n.server(0); return x != nil && x.i == 3 })
	assert.Less(t, took, 3*Second) // T/4 until the old process counts as gone for a voter that hears of it, twice
}

// As in Redis, a node's own opinion is no report. (Found by the Tcl suite's failure-marking.)
func TestOwnSuspicionIsNoReport(t *testing.T) {
	n := newNet(t, 3, Second)
	n.create(3, 0)
	n.nodes[2].kill()
	n.run(3 * Second)
	dead := n.nodes[2].id.String()
	for _, x := range n.nodes[:2] {
		assert.EqualValues(t, 1, x.admin(Admin{Kind: AdminCountFailureReports, Node: dead}).Int)
	}
}
