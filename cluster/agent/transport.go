package agent

import (
	"github.com/sextantdb/sextant/bus"
	"github.com/sextantdb/sextant/cluster/core"
)

// Transport carries messages between nodes; bus/link behind an adapter of cluster/node. The
// loop calls it; none of its methods may block.
type Transport interface {
	// Identify tells who this node is and to which cluster it belongs. It is called before
	// anything else, and again when either changes (CLUSTER RESET HARD, joining a cluster).
	Identify(self bus.NodeID, cluster bus.ClusterID)
	// SetPeers replaces the set of nodes to keep control connections with.
	SetPeers([]core.Peer)
	// HangUp closes all connections, also those that others dialed.
	HangUp()
	// Send queues one message; without a connection to its receiver it is dropped.
	Send(*core.Envelope)
	// Links lists the connections for CLUSTER LINKS. Any goroutine.
	Links() []Link
	// OverLimit counts connections dropped for a full send buffer. Any goroutine.
	OverLimit() uint64
}

// Link is one connection as CLUSTER LINKS shows it.
type Link struct {
	Node      bus.NodeID
	Inbound   bool
	CreatedMs int64
	// Events is "r", "w" or "rw": what the connection waits for.
	Events    string
	Allocated int64
	Used      int64
}
