// Package bus is what nodes say to each other: identities, message types and their one
// msgpack codec. bus/link carries the frames, cluster/core decides what is said, and
// cluster/sim passes the same values without encoding them. It is pure, and it must not
// know what a message makes a node do: no rule of the cluster protocol lives here.
//
// # Ownership
//
// A Msg and everything it points to is immutable once it has been handed to a sender:
// the simulator delivers one value to several receivers, and a receiver may keep parts.
//
// # Frame
//
// A frame is: one byte wire version, one byte kind, the msgpack array of the Header, the
// msgpack array of the body. The link layer puts a length before it, at most MaxFrame.
// Structs are arrays without field names. Fields are only ever appended: an older reader
// skips what it does not know, a newer reader sees zero for what is missing. A change
// that cannot be made that way takes a new kind or a new wire version.
//
// # Sizes of frames, in bytes (measured by TestFrameSizes, which fails when this table is wrong)
//
//	message                                     bytes
//	ping, no news                                 157
//	ping, 6 node rows                             787
//	lease request                                 159
//	vote request                                  175
//	accept, record of 3 members                   260
//	node row alone                                105
//	table hashes (64 buckets)                     629
//	publish, 16-byte channel, 64-byte payload     136
package bus

import (
	"bytes"
	"encoding/hex"
	"fmt"

	"github.com/sextantdb/sextant/store/slot"
)

const (
	// WireVersion is the first byte of every frame. Frames of another version are dropped.
	WireVersion = 1
	// MaxFrame bounds an encoded frame; links check it before they read the body.
	MaxFrame = 1 << 20
	// MaxList bounds every list in a message, whatever the frame could hold. With 1-byte
	// list items it keeps a decoded message under some 6 MiB.
	MaxList = slot.Count
	// MaxDepth bounds the nesting of msgpack containers in a frame.
	MaxDepth = 8
	// HashBuckets is the number of buckets the node table is compared by.
	HashBuckets = 64
)

// NodeID is the 160-bit name of a node. It never changes but by CLUSTER RESET HARD.
type NodeID [20]byte

// ShardID names a replication group. It is drawn by the group's first primary.
type ShardID = NodeID

// ReplID names a replication history (Redis' replid, 40 hex digits on the wire to clients).
type ReplID = NodeID

// ParseNodeID reads 40 hex digits.
func ParseNodeID(s string) (id NodeID, ok bool) {
	if len(s) != 2*len(id) {
		return id, false
	}
	_, err := hex.Decode(id[:], []byte(s))
	return id, err == nil
}

func (id NodeID) String() string       { return hex.EncodeToString(id[:]) }
func (id NodeID) IsZero() bool         { return id == NodeID{} }
func (id NodeID) Compare(o NodeID) int { return bytes.Compare(id[:], o[:]) }
func (id NodeID) Less(o NodeID) bool   { return bytes.Compare(id[:], o[:]) < 0 }
func (id NodeID) Short() string        { return hex.EncodeToString(id[:4]) }

// ClusterID keeps clusters apart: no message of another cluster is listened to (H17).
type ClusterID uint64

func (c ClusterID) String() string { return fmt.Sprintf("%016x", uint64(c)) }

// Kind says which body a message has.
type Kind uint8

const (
	KindHello Kind = iota + 1
	KindPing
	KindMeet
	KindMeetAck
	KindBuckets
	KindTable
	KindSlotMap
	KindVoterSet
	KindLeaseReq
	KindLeaseAck
	KindLeaseRelease
	KindVoteReq
	KindVoteAck
	KindVoteWait
	KindNack
	KindAccept
	KindAcceptAck
	KindFreeze
	KindFrozen
	KindSetAccept
	KindSetAccepted
	KindInstall
	KindInstalled
	KindSlotPrepare
	KindSlotPromise
	KindSlotAccept
	KindSlotAccepted
	KindForm
	KindFormAck
	KindSuspect
	KindProbe
	KindHandover
	KindPublish
	KindInterest
	KindInterestAck
	KindOlder
	kindEnd // keep last
)

// Kinds is the number of kinds plus one: an array indexed by Kind has this length.
const Kinds = int(kindEnd)

var kindNames = [Kinds]string{
	KindHello: "hello", KindPing: "ping", KindMeet: "meet", KindMeetAck: "meet-ack", KindBuckets: "buckets",
	KindTable: "table", KindSlotMap: "slot-map", KindVoterSet: "voter-set", KindLeaseReq: "lease-req",
	KindLeaseAck: "lease-ack", KindLeaseRelease: "lease-release", KindVoteReq: "vote-req", KindVoteAck: "vote-ack",
	KindVoteWait: "vote-wait", KindNack: "nack", KindAccept: "accept", KindAcceptAck: "accept-ack",
	KindFreeze: "freeze", KindFrozen: "frozen", KindSetAccept: "set-accept", KindSetAccepted: "set-accepted",
	KindInstall: "install", KindInstalled: "installed", KindSlotPrepare: "slot-prepare",
	KindSlotPromise: "slot-promise", KindSlotAccept: "slot-accept", KindSlotAccepted: "slot-accepted",
	KindForm: "form", KindFormAck: "form-ack", KindSuspect: "suspect", KindProbe: "probe",
	KindHandover: "handover", KindPublish: "publish", KindInterest: "interest", KindInterestAck: "interest-ack", KindOlder: "older",
}

func (k Kind) String() string {
	if int(k) < Kinds && kindNames[k] != "" {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Msg is one message. Body decides the kind.
type Msg struct {
	Header
	Body Body
}

// Kind is the kind of the body.
func (m *Msg) Kind() Kind { return m.Body.Kind() }

// Body is one of the message types of this package.
type Body interface {
	Kind() Kind
	sealed()
}

// Header travels with every message.
type Header struct {
	_struct bool `codec:",toarray"`
	Cluster ClusterID
	From    NodeID
	// Inc is the sender's data incarnation: it grows when the sender restarts without
	// proof that its data is complete (PROTOCOL 0.3).
	Inc uint64
	// Boot names the sender's process, its life: it grows with every start.
	Boot uint64
	// VoterVer is the version of the voter set the sender knows; 0 = none yet. Lease, vote
	// and accept traffic counts only between equal versions (R11).
	VoterVer uint64
	// SlotVer is the version of the decided slot map the sender knows; 0 = none.
	SlotVer uint64
	// Epoch is the greatest epoch the sender has seen (cluster_current_epoch).
	Epoch uint64
	// Table is the hash of the sender's node table and shard records.
	Table uint64
}

// Member is a node in one life of its data.
type Member struct {
	_struct bool `codec:",toarray"`
	ID      NodeID
	Inc     uint64
}

// NewMember makes a Member; composite literals must name fields because of the codec tag.
func NewMember(id NodeID, inc uint64) Member { return Member{ID: id, Inc: inc} }

// Rec is the value of a shard's register: who leads it and who may lead it next.
// Records of one shard are ordered by (Epoch, Seq).
type Rec struct {
	_struct  bool `codec:",toarray"`
	Shard    ShardID
	Epoch    uint64
	Seq      uint64
	Primary  Member
	ISR      []Member // sorted by id; contains Primary
	VoterVer uint64
	// Forced tells that an operator's override or a cold start made this record, not the
	// rules: data may have been lost (possible_loss).
	Forced bool
}

// Newer reports whether r is ordered after o.
func (r *Rec) Newer(o *Rec) bool {
	return r.Epoch > o.Epoch || r.Epoch == o.Epoch && r.Seq > o.Seq
}

// Has reports whether m may lead after r.
func (r *Rec) Has(m Member) bool {
	for _, x := range r.ISR {
		if x == m {
			return true
		}
	}
	return false
}

// HasID is Has for any incarnation.
func (r *Rec) HasID(id NodeID) (Member, bool) {
	for _, x := range r.ISR {
		if x.ID == id {
			return x, true
		}
	}
	return Member{}, false
}

// IsZero reports whether nothing has ever been decided.
func (r *Rec) IsZero() bool { return r.Epoch == 0 && r.Primary.ID.IsZero() }

// RowFlags is what a node says of itself.
type RowFlags uint16

const (
	RowNoFailover RowFlags = 1 << iota // cluster-replica-no-failover yes
	RowWitness                         // cluster-witness yes: votes, holds no data
	RowMigrateTo                       // had replicas once: other shards may lend it one (S12)
)

// Row is what a node says of itself; only the node itself makes new versions of it. The
// table of a cluster is, per id, the row of the newest life, and of that the greatest Ver.
type Row struct {
	_struct bool `codec:",toarray"`
	ID      NodeID
	Ver     uint64 // boot counter << 32 | changes since
	Inc     uint64
	IP      string
	Port    uint16
	TLSPort uint16
	CPort   uint16
	Host    string
	Flags   RowFlags
	Primary NodeID // whom I replicate, as far as I know; zero for a primary
	Shard   ShardID
	// Epoch and Slots are claims. They rule while no voter set exists (S28-S30); after
	// that the slot map and the shard records rule and Slots is empty.
	Epoch uint64
	Slots []uint16 // first, last, first, last, … ascending
	// Life is Header.Boot of the process that made this version.
	Life uint64
}

// Newer reports whether r takes the place of o.
func (r *Row) Newer(o *Row) bool {
	return r.Life > o.Life || r.Life == o.Life && r.Ver > o.Ver
}

// FailNote says that the electors hold a node for failed, as of its row version Ver. The
// node refutes it by a row of a greater version.
type FailNote struct {
	_struct bool `codec:",toarray"`
	ID      NodeID
	Ver     uint64
	By      NodeID
	Count   uint16 // electors that suspected
}

// Ban says that a node was forgotten and must not be added again for LeftMs.
type Ban struct {
	_struct bool `codec:",toarray"`
	ID      NodeID
	LeftMs  uint32
}

// StatFlags describe a node's data.
type StatFlags uint16

const (
	StatLinkUp  StatFlags = 1 << iota // replica: the link to the primary is up
	StatSynced                        // replica: holds a whole copy of its primary's data
	StatLoading                       // is loading a data set
	StatEmpty                         // holds no key and has none to load
	StatStuck                         // does not serve: its event loops or its store do not answer
	StatForgot                        // is named as a voter and has forgotten its promises: its seat must be given anew
)

// Stat is a node's own replication position. It rides on pings, leases and vote requests.
type Stat struct {
	_struct bool `codec:",toarray"`
	Shard   ShardID
	ReplID  ReplID
	ReplID2 ReplID
	Second  int64 // offset up to which ReplID2 is valid too
	Offset  int64
	Flags   StatFlags
}

// SlotSpan gives the slots of one shard.
type SlotSpan struct {
	_struct bool    `codec:",toarray"`
	Shard   ShardID // zero: unassigned (only in differences)
	Slots   []uint16
}

// Ballot orders attempts to change a register that has no leader. Round 0 is "none".
type Ballot struct {
	_struct bool `codec:",toarray"`
	Round   uint64
	By      NodeID
}

// Less orders ballots by round, then by proposer.
func (b Ballot) Less(o Ballot) bool {
	return b.Round < o.Round || b.Round == o.Round && b.By.Less(o.By)
}

// Pairs renders slot ranges as they travel.
func Pairs(rs []slot.Range) []uint16 {
	if len(rs) == 0 {
		return nil
	}
	out := make([]uint16, 0, 2*len(rs))
	for _, r := range rs {
		out = append(out, r.First, r.Last)
	}
	return out
}

// SetOf reads what Pairs wrote. Pairs that are no ranges are skipped and reported.
func SetOf(pairs []uint16) (s slot.Set, ok bool) {
	ok = len(pairs)%2 == 0
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i] > pairs[i+1] || pairs[i+1] >= slot.Count {
			ok = false
			continue
		}
		s.AddRange(slot.Range{First: pairs[i], Last: pairs[i+1]})
	}
	return s, ok
}
