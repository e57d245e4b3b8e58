package core

import (
	"github.com/sextantdb/sextant/bus"
	"github.com/sextantdb/sextant/cluster/topology"
	"github.com/sextantdb/sextant/store/slot"
)

// Mono is the driver's suspend-proof monotonic clock (CLOCK_BOOTTIME) in nanoseconds. It
// has no zero of its own; the machine only compares and adds.
type Mono int64

const (
	Millisecond Mono = 1e6
	Second      Mono = 1e9
)

// Never is the lease deadline of a node that needs none (no voter set yet).
const Never Mono = 1<<63 - 1

// Config is immutable after New, except for what Reconfigure replaces.
type Config struct {
	// Seed feeds the machine's own generator: ids of a fresh node, jitter, peer choice. The
	// same Config, boot state and inputs give the same effects, byte for byte. In production
	// draw it from the system's random source at each start.
	Seed uint64

	// What others are told. IP may be empty until a peer tells us our address.
	IP      string
	Host    string
	Port    uint16
	TLSPort uint16
	CPort   uint16 // bus port

	NodeTimeout  Mono // T; default 15 s
	DriftPPM     int64
	NoFailover   bool // cluster-replica-no-failover
	Witness      bool // cluster-witness
	FullCoverage bool // cluster-require-full-coverage
	ReadsDown    bool // cluster-allow-reads-when-down
	// ReplicaMigration is cluster-allow-replica-migration, MigrationBarrier its reserve.
	ReplicaMigration bool
	MigrationBarrier int
	// ValidityFactor is accepted and shown; the registers decide who may lead.
	ValidityFactor int
	// AutoVoters lets the machine change the voter set by itself (cluster-voters auto).
	AutoVoters bool
	// ColdGrace is how long a member of the last in-sync set must be silent before a cold
	// start of a shard may go on without it, in async mode. Default 10 T.
	ColdGrace Mono
	// MeshLimit is the number of nodes up to which everyone pings everyone. Default 64.
	MeshLimit int

	// Ablate switches protecting rules off, one bit a rule. Only tests and the simulator set
	// it: each rule has a test that sees a checker bite without it.
	Ablate Ablation
}

// DefaultConfig returns the values redis.conf documents.
func DefaultConfig() Config {
	return Config{
		NodeTimeout: 15 * Second, DriftPPM: 10000, FullCoverage: true, ReplicaMigration: true,
		MigrationBarrier: 1, ValidityFactor: 10, AutoVoters: true, MeshLimit: 64,
	}
}

// Ablation is a set of rules that are switched off.
type Ablation uint32

const (
	AblateAnyReplica          Ablation = 1 << iota // R4: a winner need not be in the record's set
	AblateNoIncarnation                            // H5: node id alone is a member
	AblateAnyOffset                                // H4: voters do not compare offsets and histories
	AblateFirstRecord                              // R4: base = first vote's record instead of the highest
	AblateNoFence                                  // R4: the candidate does not fence itself
	AblateNoLeaseWait                              // R9: voters do not wait out leases
	AblateNoLeaseCheck                             // R9: the primary serves without a lease
	AblateLeaseFromReceipt                         // R9: lease counted from the ack's receipt
	AblateNoQuarantine                             // R8: a voter votes right after its start
	AblateNoPromiseSave                            // R8: promises are not durable
	AblateNoRecordSave                             // R8: accepted records are not durable
	AblateVoterAcceptsOld                          // R8: a voter accepts records of older epochs
	AblateNoFreeze                                 // R11: a voter goes on answering while frozen
	AblateNoCopy                                   // R11: INSTALL carries no state
	AblateNoVersion                                // R11: versions of the voter set are not compared
	AblateInstallNoQuarantine                      // R11: a member votes right after its INSTALL
	AblateNoClusterID                              // H17: messages of other clusters are listened to
	AblateNoBan                                    // S33: a forgotten node may come back at once
	AblateNoSlotBallot                             // slot map changes skip the promise check
	AblateNoLives                                  // nobody hears from others of a node's newest life (life.go)
	ablationEnd
)

var ablationNames = []string{
	"any-replica", "no-incarnation", "any-offset", "first-record", "no-fence", "nolease-wait", "no-lease-check",
	"lease-from-receipt", "noquarantine", "nofsync-promise", "nofsync-record", "voter-accepts-old", "no-freeze",
	"no-copy", "no-version", "install-noquarantine", "no-cluster-id", "no-ban", "no-slot-ballot", "no-lives",
}

// Ablations lists every rule that can be switched off, by name.
func Ablations() (names []string, bits []Ablation) {
	for i, n := range ablationNames {
		names, bits = append(names, n), append(bits, 1<<i)
	}
	return names, bits
}

// Boot is what a start begins with.
type Boot struct {
	// State is what topology.Decode returned; nil or Fresh for a first start.
	State *topology.Loaded
	// DataComplete says that the data set on disk is proven to hold everything this node ever
	// acknowledged (clean shutdown, or a log that was always fsynced). Without the proof the
	// node comes back as a new incarnation and cannot lead on the strength of its old one.
	DataComplete bool
	Local        Local
	WallMs       int64
}

// InputKind says what happened.
type InputKind uint8

const (
	InTick      InputKind = iota // the clock reached Effects.Wake (or any time)
	InMsg                        // Msg came in on a link that is authenticated as From
	InLinkUp                     // a control connection to From stands; Addr when it was dialed by address
	InLinkDown                   // the last control connection to From is gone
	InAdmin                      // an operator's command
	InLocal                      // the data side reports; send it on change and at least 10 times a second
	InPersisted                  // Effects.Save with Tok is durable (only needed by drivers that save asynchronously)
	InReconfig                   // Config replaces the changeable parts of the configuration
)

// Input is one thing that happened.
type Input struct {
	Kind InputKind
	// WallMs is the wall clock in ms. It is only shown (ping-sent, pong-recv), never decided by.
	WallMs int64
	From   bus.NodeID
	// Addr is the other end's ip as the link sees it. It lets a node learn its own and others'
	// addresses when nothing is announced.
	Addr   string
	Msg    *bus.Msg
	Admin  *Admin
	Local  *Local
	Tok    uint64
	Config *Config
}

// Local is the data side's report.
type Local struct {
	ReplID  bus.ReplID
	ReplID2 bus.ReplID
	Second  int64
	Offset  int64
	Keys    int64 // keys in database 0
	Empty   bool  // nothing stored and nothing to load
	Loading bool
	// Replica: LinkUp says the replication link to the node's primary is up; Synced that a
	// whole copy of that primary's data is held (first full sync done, or partial accepted).
	LinkUp bool
	Synced bool
	// Primary: Paused repeats the token of the Pause now in force, 0 when writes flow. Offset
	// must have been read after the last write before the pause.
	Paused uint64
	// Silent is how long the data path has not answered its watchdog: event loops that hang, a
	// stripe that is not let go. The bus has goroutines of its own and would keep a lease that
	// nobody can serve under.
	Silent Mono
}

// Effects is what must happen now, in field order.
type Effects struct {
	// Save must be durable before anything below leaves, but for Early envelopes: a vote that a crash forgets is a
	// double vote. Append the records to the state file and fsync, or begin a new generation
	// when All is set.
	Save *Save
	// Lease is the deadline on the driver's clock after which this node must not execute
	// commands on slots of its shard. The data path compares per batch. Never: no lease needed.
	Lease Mono
	// View, when not nil, replaces the published one.
	View *topology.View
	// Role, when not nil, is what the data side must be from now on.
	Role *RoleChange
	// Pause, when not nil, stops or releases client writes for a manual failover.
	Pause *Pause
	// HangUp: close all connections. Another process is this node, and others should find it.
	HangUp bool
	// Peers, when not nil, replaces the set of nodes to keep control connections to.
	Peers []Peer
	// Send is ordered by receiver, then as the machine said it. Messages to a node without
	// a connection are dropped: the machine repeats what matters.
	Send []Envelope
	// Events are for the log, metrics and tests.
	Events []Event
	// Replies answer admin inputs, possibly of earlier steps.
	Replies []AdminReply
	// Wake is the earliest deadline: call Step with InTick then.
	Wake Mono
}

// Save is a change of the durable state.
type Save struct {
	Tok uint64
	All bool // Records are the whole state: start a new generation
	// Lazy: write now, fsync within a second or with the next Save that is not lazy. Nothing that
	// leaves this node depends on it: news that others can tell again, marks of open slots.
	Lazy    bool
	Records []topology.Record
}

// RoleChange tells the data side what to be.
type RoleChange struct {
	Role topology.Role
	// Primary and its address, when a replica knows them. Zero: follow nobody and keep the
	// data; the primary of record has restarted without its data, or this node has.
	Primary bus.NodeID
	// PrimaryInc is the incarnation whose data may be copied. The replication link must ask for
	// it and refuse another: the bus may hear of a restart later than the link does (H5).
	PrimaryInc uint64
	IP         string
	Port       uint16
	TLSPort    uint16
	Shard      bus.ShardID
	Epoch      uint64
	// Promoted: this node was a replica and leads now: keep the data, shift the replid.
	Promoted bool
	// Flush: drop the data (CLUSTER RESET of a replica).
	Flush bool
}

// Pause of client writes. Tok 0 releases.
type Pause struct{ Tok uint64 }

// Peer is a node to be connected with. Connections are two-way: one control connection a
// pair is enough, whoever dialed it.
type Peer struct {
	ID    bus.NodeID // zero: a MEET by address, any id may answer
	IP    string
	Host  string
	CPort uint16
}

// Envelope is one message on its way. To is zero for a message to a MEET address.
type Envelope struct {
	To    bus.NodeID
	IP    string
	CPort uint16
	Msg   *bus.Msg
	// Early: nothing in it depends on Save. It may leave while Save is being made durable, so that
	// the receiver's fsync and this node's run at the same time.
	Early bool
}

// AdminKind names an operator's command.
type AdminKind uint8

const (
	AdminMeet AdminKind = iota
	AdminForget
	AdminReplicate
	AdminAddSlots // also ADDSLOTSRANGE
	AdminDelSlots // also DELSLOTSRANGE
	AdminFlushSlots
	AdminSetSlotMigrating
	AdminSetSlotImporting
	AdminSetSlotNode
	AdminSetSlotStable
	AdminBumpEpoch
	AdminSetConfigEpoch
	AdminFailover
	AdminReset
	AdminSaveConfig
	AdminCountFailureReports
	AdminMoveSlots // Slots to Node in one change of the map
	AdminVoters    // set the voters: forms the set when there is none, else changes it step by step
)

// FailoverMode of AdminFailover.
type FailoverMode uint8

const (
	FailoverPlain FailoverMode = iota
	FailoverForce
	FailoverTakeover
	FailoverAbort
)

// Admin is one command, parsed. Names that do not parse are refused before they get here,
// except node ids, which may be any text because Redis' errors repeat it.
type Admin struct {
	Kind   AdminKind
	Tok    uint64 // names the reply
	IP     string
	Port   uint16
	CPort  uint16
	Node   string // node id as given
	Slots  []slot.Slot
	Slot   slot.Slot
	Epoch  int64
	Mode   FailoverMode
	Hard   bool
	Voters []bus.NodeID
	// What the data side holds at the moment of the command.
	Keys     int64 // keys in database 0
	SlotKeys int   // keys in Slot; of AdminMoveSlots, in those of Slots that are this node's
}

// AdminReply answers one Admin. Err is a whole Redis error line without the dash, for
// example "ERR Unknown node …"; empty: Text is a simple string, or Int when Text is empty.
type AdminReply struct {
	Tok  uint64
	Err  string
	Text string
	Int  int64
}

// EventKind names what happened.
type EventKind uint8

const (
	EvNodeAdded EventKind = iota
	EvNodeRemoved
	EvNodeAddress
	EvNodeSuspect
	EvNodeFailed
	EvNodeBack
	EvClusterState
	EvClusterID
	EvVoterSet
	EvFormation
	EvElectionStarted
	EvElectionWon
	EvElectionLost
	EvVoteGranted
	EvVoteRefused
	EvLeaseLost
	EvLeaseHeld
	EvRole
	EvRecord
	EvSlotMap
	EvSlotsLost
	EvEpoch
	EvHandover
	EvReplicaMigrated
	EvReset
	EvDropped // a message was not listened to; Text says why
	EvRefusal // a named refusal
	EvTwin    // another process runs under this node's id
	EvStuck   // this node's data path has stopped answering, or answers again
)

var eventNames = [...]string{
	"node-added", "node-removed", "node-address", "node-suspect", "node-failed", "node-back", "cluster-state",
	"cluster-id", "voter-set", "formation", "election-started", "election-won", "election-lost", "vote-granted",
	"vote-refused", "lease-lost", "lease-held", "role", "record", "slot-map", "slots-lost", "epoch", "handover",
	"replica-migrated", "reset", "dropped", "refusal", "twin", "stuck",
}

func (k EventKind) String() string { return eventNames[k] }

// Event is something worth a log line or a counter. Text holds all numbers of the decision.
type Event struct {
	Kind  EventKind
	Node  bus.NodeID
	Shard bus.ShardID
	Epoch uint64
	Text  string
}

// The whole machine is driven by:
//
//	func New(cfg Config, boot Boot, now Mono) (*Machine, Effects)
//	func (m *Machine) Step(now Mono, in Input) Effects
//	func (m *Machine) Check() error    // local invariants
//	func (m *Machine) Hash() uint64    // canonical hash of the state
//	func (m *Machine) Inspect() Inspect // read-only facts for checkers

// Inspect is what a checker may look at.
type Inspect struct {
	Self     bus.NodeID
	Cluster  bus.ClusterID
	Inc      uint64
	Shard    bus.ShardID
	Leading  bool // holds a decided record of which it is the primary
	Rec      bus.Rec
	Epoch    uint64 // fence: nothing older is obeyed
	Lease    Mono
	VoterVer uint64
	Voters   []bus.NodeID
	IsVoter  bool
	Frozen   bool
	Regs     []bus.Register // this voter's registers, sorted by shard
	SlotVer  uint64
	SlotReg  bus.SlotReg
	Electing bool
}
