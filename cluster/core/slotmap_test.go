package core

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/bus"
	"github.com/sextantdb/sextant/store/slot"
)

// What redis-cli --cluster reshard does: one slot after the other, asked of one node. The
// voters promise once.
func TestOnePromiseForManyMoves(t *testing.T) {
	n := newNet(t, 3, 2*Second)
	n.create(3, 0)
	n.run(Second)
	clear(n.sent)
	to := n.nodes[1]
	for s := range uint16(50) {
		to.ok(Admin{Kind: AdminSetSlotNode, Slot: slot.Slot(s), Node: to.id.String()})
	}
	assert.LessOrEqual(t, n.sent[bus.KindSlotPrepare], 2)
	n.run(Second)
	for _, x := range n.nodes {
		require.Equal(t, to.id, x.m.ownerNode(49).row.ID)
		require.EqualValues(t, 51, x.m.slots.ver)
	}

	// Two that move slots in turn take the ballot from each other; nothing is lost.
	for s := range uint16(20) {
		x := n.nodes[1+s%2]
		x.ok(Admin{Kind: AdminSetSlotNode, Slot: slot.Slot(100 + s), Node: x.id.String()})
	}
	n.run(Second)
	for s := range uint16(20) {
		for _, x := range n.nodes {
			require.Equal(t, n.nodes[1+s%2].id, x.m.ownerNode(slot.Slot(100+s)).row.ID)
		}
	}
}

// redis-cli tells source and every other primary as well, often before the news is there: that
// must not start a contest of ballots with the node that made the change. (39 ms a slot, most
// of it waiting for contests to end.)
func TestTellingEveryPrimaryIsNoContest(t *testing.T) {
	n := newNet(t, 3, 15*Second)
	n.create(3, 0)
	n.run(Second)
	n.delay = 20 * Millisecond // the client is quicker than the bus
	clear(n.sent)
	to := n.nodes[1]
	began := n.now
	for s := range uint16(20) {
		a := Admin{Kind: AdminSetSlotNode, Slot: slot.Slot(s), Node: to.id.String()}
		to.ok(a)
		n.nodes[0].ok(a)
		n.nodes[2].ok(a)
	}
	assert.LessOrEqual(t, n.sent[bus.KindSlotPrepare], 2)
	assert.Less(t, n.now-began, 20*100*Millisecond)

	// If nobody has made it, whoever is asked does.
	n.nodes[0].ok(Admin{Kind: AdminSetSlotNode, Slot: 100, Node: to.id.String()})
	assert.Equal(t, to.id, n.nodes[0].m.ownerNode(100).row.ID)
}

// A change that was answered survives the power failure of everyone, though the news of it was
// nowhere on disk: the voters have it and read it back, and until then nobody gets a lease under
// which it would serve what it has given away.
func TestMovesSurvivePowerFailure(t *testing.T) {
	n := newNet(t, 3, 2*Second)
	n.create(3, 0)
	n.run(2 * Second)
	for _, x := range n.nodes {
		x.local.Empty, x.local.Keys = false, 1
	}
	to := n.nodes[1]
	to.ok(Admin{Kind: AdminSetSlotNode, Slot: 5, Node: to.id.String()})
	for _, x := range n.nodes {
		x.powerFails()
	}
	for _, x := range n.nodes {
		x.start(true)
		require.EqualValues(t, 1, x.m.slots.ver, "the news is lost")
	}
	n.check = func(x *tnode) {
		require.False(t, x != to && x.serves() && x.view.Nodes[x.view.Me].Owns(5), "%s serves a slot that it gave away", n.name(x.id))
	}
	took := n.until(5*Second, "served by its new owner", func() bool { return n.server(5) == to })
	assert.Less(t, took, 2*Second)
	for _, x := range n.nodes {
		require.EqualValues(t, 2, x.m.slots.ver)
	}
}

// Under one ballot a voter never goes back to an older version, and the merge of a new voter set
// takes the newest.
func TestMapsUnderOneBallotAreOrdered(t *testing.T) {
	n := newNet(t, 3, 2*Second)
	n.create(3, 0)
	n.run(Second)
	x, by := n.nodes[0], n.nodes[1]
	ballot := bus.Ballot{Round: 1 << 50, By: by.id}
	offer := func(ver uint64, first uint16) {
		x.step(Input{Kind: InMsg, From: by.id, Msg: &bus.Msg{Header: by.m.header(1), Body: &bus.SlotAccept{Ballot: ballot, Ver: ver,
			Spans: []bus.SlotSpan{{Shard: by.m.me.row.Shard, Slots: []uint16{first, first}}}}}})
	}
	offer(7, 7)
	offer(8, 8)
	offer(7, 7) // the network repeats itself
	assert.EqualValues(t, 8, x.m.vote.slots.Ver)
	assert.EqualValues(t, 8, x.m.vote.slots.Spans[0].Slots[0])

	old, new := bus.SlotReg{Accepted: ballot, Ver: 7}, bus.SlotReg{Accepted: ballot, Ver: 8}
	assert.True(t, olderMap(&old, &new))
	assert.False(t, olderMap(&new, &old))
	greater := bus.SlotReg{Accepted: bus.Ballot{Round: 1<<50 + 1}, Ver: 7}
	assert.True(t, olderMap(&new, &greater), "the ballot comes first")
}

// A node that starts anew must not use a ballot of its earlier life.
func TestBallotsAreOfOneLife(t *testing.T) {
	n := newNet(t, 4, 2*Second)
	n.create(3, 0)
	x := n.nodes[3] // no voter: it remembers nothing of ballots
	x.ok(Admin{Kind: AdminMeet, IP: "127.0.0.1", Port: 7000, CPort: 17000})
	n.until(10*Second, "joined", func() bool { return x.m.formed() && x.m.slots.ver > 0 })
	move := func(s slot.Slot) bus.Ballot {
		x.ok(Admin{Kind: AdminSetSlotNode, Slot: s, Node: n.nodes[2].id.String()})
		return x.m.prop.ballot
	}
	first := move(0)
	x.kill()
	x.start(false)
	n.until(10*Second, "back", func() bool { return x.m.formed() && len(x.links) > 0 })
	assert.True(t, first.Less(move(1)))
}

// A new shard that restarts between its first slot and its first record asks for the record still.
// (Found by the simulator, seed 40922.)
func TestNewShardRestarts(t *testing.T) {
	n := newNet(t, 3, 2*Second)
	n.create(3, 0)
	x := n.addNode()
	x.ok(Admin{Kind: AdminMeet, IP: "127.0.0.1", Port: n.nodes[0].cfg.Port, CPort: n.nodes[0].cfg.CPort})
	n.until(10*Second, "known", func() bool { return len(n.nodes[0].view.Nodes) == 4 && x.m.formed() && x.m.slots.ver == 1 })
	n.run(Second)
	n.isolate(3, true) // its request for the first record goes nowhere
	n.nodes[0].ok(Admin{Kind: AdminSetSlotNode, Slot: 7, Node: x.id.String()})
	n.nodes[0].step(Input{Kind: InTick})
	x.m.learnSlots(n.nodes[0].m.slots)
	x.perform(x.m.finish())
	x.kill()
	n.isolate(3, false)
	x.start(true)
	n.until(10*Second, "the new shard serves", func() bool { return n.server(7) == x })
}
