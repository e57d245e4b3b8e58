// Package topology is what one node holds the cluster for at one moment: an immutable View
// with its CLUSTER renderings, and the text form of the durable cluster state (nodes.conf).
// cluster/core makes Views, cluster/agent publishes them, routing reads them through one
// atomic load. It is pure; it must not know how a View came about, nor any RESP.
package topology

import (
	"sort"

	"github.com/sextantdb/sextant/bus"
	"github.com/sextantdb/sextant/store/slot"
)

// State is the cluster state that clients see.
type State uint8

const (
	StateFail State = iota
	StateOK
)

func (s State) String() string {
	if s == StateOK {
		return "ok"
	}
	return "fail"
}

// Role of a node in its shard.
type Role uint8

const (
	RolePrimary Role = iota
	RoleReplica
)

func (r Role) String() string {
	if r == RoleReplica {
		return "slave"
	}
	return "master"
}

// Health of a node as this node sees it.
type Health uint8

const (
	Online  Health = iota
	Suspect        // "fail?"
	Failed         // "fail"
)

// Node is one line of CLUSTER NODES.
type Node struct {
	ID        bus.NodeID
	Shard     bus.ShardID
	IP        string
	Host      string
	Port      uint16
	TLSPort   uint16
	CPort     uint16
	Role      Role
	Primary   bus.NodeID // of a replica; zero when unknown
	Health    Health
	Myself    bool
	Handshake bool
	NoAddr    bool
	NoFail    bool // cluster-replica-no-failover
	Witness   bool
	Voter     bool
	Linked    bool  // a bus connection is up
	PingMs    int64 // wall ms of the ping that awaits an answer, 0 when none
	PongMs    int64 // wall ms of the last sign of life
	Epoch     uint64
	Offset    int64 // replication offset, as last heard
	Loading   bool
	Suspects  int // electors that suspect it (COUNT-FAILURE-REPORTS)
	// Ranges are the slots it owns, ascending and merged, nil for none; shared by successive Views
	// while nothing moves. SlotCount is how many slots they are.
	Ranges    []slot.Range
	SlotCount int
}

// Owns reports whether n owns s.
func (n *Node) Owns(s slot.Slot) bool {
	i := sort.Search(len(n.Ranges), func(i int) bool { return n.Ranges[i].Last >= s })
	return i < len(n.Ranges) && n.Ranges[i].First <= s
}

// NoOwner marks an unassigned slot in a SlotTable.
const NoOwner = 0xffff

// SlotTable is the owner of each slot as an index into View.Nodes (the primary), NoOwner when
// nobody owns it. It is immutable and shared by successive Views while nothing moves.
type SlotTable [slot.Count]uint16

// Open is a slot in classic migration at this node.
type Open struct {
	Slot      slot.Slot
	Importing bool // true: Peer is the source; false: migrating, Peer is the target
	Peer      bus.NodeID
}

// View is the whole picture. Nothing in it changes after it was made.
type View struct {
	Self    bus.NodeID
	Cluster bus.ClusterID
	Nodes   []Node // sorted by id
	Me      int    // index of Self in Nodes
	Owner   *SlotTable
	// OpenSlots are sorted by slot; Opened holds the same for a quick test.
	OpenSlots []Open
	Opened    slot.Set

	State  State
	Reason string // why the state is fail, "" when ok

	// Serving says whether this node may execute commands for the slots its shard owns: it
	// leads the shard and its register says so. The data path must also find its clock below
	// Effects.Lease. NotServing says why not.
	Serving    bool
	NotServing string
	// Incarnation is this node's own. Leading says that its data is the shard's: it is a primary,
	// and the one of record in this incarnation once there are records. Lease and handover do
	// not matter here.
	Incarnation uint64
	Leading     bool
	// FullCoverage and ReadsWhenDown repeat the two switches, so that routing needs one load.
	FullCoverage  bool
	ReadsWhenDown bool

	Role         Role
	Primary      int // index of my primary in Nodes; Me for a primary, -1 when unknown
	Shard        bus.ShardID
	CurrentEpoch uint64
	MyEpoch      uint64
	Size         int // primaries with slots
	VoterVer     uint64
	Voters       []bus.NodeID
	SlotVer      uint64
	Rec          bus.Rec // my shard's record, zero before there is one
	Assigned     int
	SlotsOK      int
	SlotsPFail   int
	SlotsFail    int
	Sent         [bus.Kinds]uint64
	Received     [bus.Kinds]uint64
	Refusals     []Refusal // named refusals with their last numbers, sorted by name
}

// Refusal is a decision's "no" with its numbers.
type Refusal struct {
	Name   string
	Detail string
	Count  uint64
}

// Find returns the index of id in v.Nodes.
func (v *View) Find(id bus.NodeID) (int, bool) {
	i := sort.Search(len(v.Nodes), func(i int) bool { return !v.Nodes[i].ID.Less(id) })
	return i, i < len(v.Nodes) && v.Nodes[i].ID == id
}

// OwnerOf returns the index of the primary that owns s; ok is false when nobody does.
func (v *View) OwnerOf(s slot.Slot) (node int, ok bool) {
	o := v.Owner[s&(slot.Count-1)]
	return int(o), o != NoOwner
}

// MyShardOwns reports whether s belongs to the shard this node is in.
func (v *View) MyShardOwns(s slot.Slot) bool {
	o := v.Owner[s&(slot.Count-1)]
	return o != NoOwner && int(o) == v.Primary
}

// OpenSlot returns the classic migration state of s.
func (v *View) OpenSlot(s slot.Slot) (Open, bool) {
	if !v.Opened.Has(s) {
		return Open{}, false
	}
	i := sort.Search(len(v.OpenSlots), func(i int) bool { return v.OpenSlots[i].Slot >= s })
	if i < len(v.OpenSlots) && v.OpenSlots[i].Slot == s {
		return v.OpenSlots[i], true
	}
	return Open{}, false
}

// Replicas returns the indexes of the replicas of the node with index primary.
func (v *View) Replicas(primary int) (out []int) {
	if primary < 0 || primary >= len(v.Nodes) {
		return nil
	}
	id := v.Nodes[primary].ID
	for i := range v.Nodes {
		if v.Nodes[i].Role == RoleReplica && v.Nodes[i].Primary == id && !v.Nodes[i].Handshake {
			out = append(out, i)
		}
	}
	return out
}
