package node

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sextantdb/sextant/bus"
	"github.com/sextantdb/sextant/cluster/core"
	"github.com/sextantdb/sextant/cluster/topology"
	"github.com/sextantdb/sextant/store/slot"
)

// Who reads one node's log learns which other node an event is about, and who serves what.
func TestClusterLogNamesNodes(t *testing.T) {
	a, b, c := bus.NodeID{0xa}, bus.NodeID{0xb}, bus.NodeID{0xc}
	slots := []slot.Range{{First: 0, Last: 99}, {First: 200, Last: 200}}
	old := &topology.View{Self: a, Nodes: []topology.Node{
		{ID: a, IP: "10.0.0.1", Port: 7000, Myself: true},
		{ID: b, IP: "10.0.0.2", Port: 7001, Ranges: slots},
		{ID: c, IP: "10.0.0.3", Port: 7002, Role: topology.RoleReplica, Primary: b},
	}}
	now := &topology.View{Self: a, Nodes: []topology.Node{
		{ID: a, IP: "10.0.0.1", Port: 7000, Myself: true},
		{ID: b, IP: "10.0.0.2", Port: 7001, Role: topology.RoleReplica, Primary: c},
		{ID: c, IP: "10.0.0.3", Port: 7002, Epoch: 9, Ranges: slots},
	}}
	assert.Equal(t, []string{
		"cluster: role 10.0.0.2:7001 (0b000000) is a replica of 10.0.0.3:7002 (0c000000) now",
		"cluster: role 10.0.0.3:7002 (0c000000) is a primary now, epoch 9, slots 0-99 200",
	}, roleLines(old, now))
	assert.Empty(t, roleLines(now, now))

	assert.Equal(t, "cluster: node-failed 10.0.0.2:7001 (0b000000): 2 of 3 electors suspect it",
		eventLine(now, core.Event{Kind: core.EvNodeFailed, Node: b, Text: "2 of 3 electors suspect it"}))
	assert.Equal(t, "cluster: lease-lost expired 5 ms ago", eventLine(now, core.Event{Kind: core.EvLeaseLost, Node: a, Text: "expired 5 ms ago"}))
	assert.Equal(t, "cluster: node-added 0d000000: now 4 nodes", eventLine(now, core.Event{Kind: core.EvNodeAdded, Node: bus.NodeID{0xd}, Text: "now 4 nodes"}))
	assert.Equal(t, "cluster: reset hard true", eventLine(nil, core.Event{Kind: core.EvReset, Node: a, Text: "hard true"}))
}
