package bus

// Purpose says what a connection is for; control and pub/sub have one each (H15).
type Purpose uint8

const (
	PurposeControl Purpose = iota
	PurposePubSub
)

// Hello is the first message on a connection, each way. Nonce, Proof and Auth belong to
// bus/link; the cluster machine never sees a Hello.
type Hello struct {
	_struct bool `codec:",toarray"`
	Purpose Purpose
	// Expect is the id the dialer wants to find; zero for a MEET by address. A listener with
	// another id refuses: addresses are reused, ids are not (H17).
	Expect NodeID
	Auth   uint8 // 0 none, 1 hmac, 2 tls
	Nonce  []byte
	Proof  []byte
	Refuse string // not empty: the connection is closed for this reason
}

// Ping says "I am here" and carries news. Every Ping with Reply unset is answered.
type Ping struct {
	_struct bool `codec:",toarray"`
	Seq     uint64
	Reply   bool
	For     NodeID // answer to an indirect probe of this node, zero otherwise
	Stat    Stat
	Rows    []Row
	Recs    []Rec
	Fails   []FailNote
	Bans    []Ban
	// Suspects lists whom the sender, an elector, has not heard for the node timeout.
	Suspects []NodeID
	// YouAre is the address the sender sees the receiver at, when it is not the announced one.
	YouAre string
}

// Meet asks a node, known only by its address, to be in one cluster with the sender.
type Meet struct {
	_struct bool `codec:",toarray"`
	Row     Row
	Lone    bool // the sender knows no other node
	Formed  bool // the sender's cluster has a voter set
	Slots   int  // slots assigned in the sender's view
	Tok     uint64
	YouAre  string // the address the receiver was met at
}

// MeetAck answers. Refuse, when not empty, says why they stay apart.
type MeetAck struct {
	_struct bool `codec:",toarray"`
	Row     Row
	Lone    bool
	Formed  bool
	Slots   int
	Tok     uint64
	Refuse  string
	YouAre  string
	// Known: the receiver's slots are what the cluster's map gives to its shard already.
	Known bool
}

// Buckets carries the 64 bucket hashes when the table hashes differ.
type Buckets struct {
	_struct bool `codec:",toarray"`
	Hash    []uint64
	Reply   bool
}

// Table carries the rows and records of the buckets in Mask. Want asks for the receiver's
// rows of those buckets in return.
type Table struct {
	_struct bool `codec:",toarray"`
	Mask    uint64
	Want    uint64
	Rows    []Row
	Recs    []Rec
	Fails   []FailNote
}

// SlotMap tells or asks for the decided slot map. Base 0 is a whole map; otherwise Spans
// are the changes from version Base to Ver. Ask requests the whole map.
type SlotMap struct {
	_struct bool `codec:",toarray"`
	Ask     bool
	Ver     uint64
	Base    uint64
	Spans   []SlotSpan
}

// VoterSet tells (or, with Ask, asks) the decided voter set. It is also the answer to a
// request of an older version (R11).
type VoterSet struct {
	_struct bool `codec:",toarray"`
	Ask     bool
	Ver     uint64
	Set     []NodeID
}

// LeaseReq asks a voter for the lease of a shard.
type LeaseReq struct {
	_struct bool `codec:",toarray"`
	Shard   ShardID
	Epoch   uint64
	TSend   int64 // the sender's clock, echoed
	Stat    Stat
}

// LeaseAck grants it.
type LeaseAck struct {
	_struct bool `codec:",toarray"`
	Shard   ShardID
	Epoch   uint64
	TSend   int64
}

// LeaseRelease gives a lease back at a planned handover.
type LeaseRelease struct {
	_struct bool `codec:",toarray"`
	Shard   ShardID
	Epoch   uint64
}

// VoteReason says why a vote is asked for.
type VoteReason uint8

const (
	VoteSilence  VoteReason = iota // the primary has not been heard for the node timeout
	VoteHandover                   // the primary handed over
	VoteForce                      // CLUSTER FAILOVER FORCE
	VoteTakeover                   // CLUSTER FAILOVER TAKEOVER
	VoteNewShard                   // a shard without a record gets its first
	VoteCold                       // every member of the last set came back without proof of its data
	VoteBump                       // the primary wants a greater epoch (BUMPEPOCH)
)

var voteReasons = [...]string{"silence", "handover", "force", "takeover", "new-shard", "cold-start", "bump"}

func (r VoteReason) String() string {
	if int(r) < len(voteReasons) {
		return voteReasons[r]
	}
	return "unknown"
}

// VoteReq asks for the shard.
type VoteReq struct {
	_struct bool `codec:",toarray"`
	Shard   ShardID
	Epoch   uint64
	Cand    Member
	Reason  VoteReason
	Stat    Stat
}

// VoteAck is a vote; it carries what the voter had accepted.
type VoteAck struct {
	_struct bool `codec:",toarray"`
	Shard   ShardID
	Epoch   uint64
	Rec     Rec // zero record: nothing accepted
	// Offset of the primary at its last lease, so that the winner's log line has its numbers.
	Offset int64
}

// VoteWait says to come back in LeftMs, with no promise made.
type VoteWait struct {
	_struct bool `codec:",toarray"`
	Shard   ShardID
	Epoch   uint64
	LeftMs  uint32
	Why     string // name of the refusal
	Offset  int64  // a number that belongs to Why
	Rec     Rec    // the voter's record: the candidate may be in a set it never heard of (H12)
}

// Nack refuses for good: the epoch was too old, or the claim is not allowed.
type Nack struct {
	_struct  bool `codec:",toarray"`
	Shard    ShardID
	Epoch    uint64 // of the request
	Promised uint64
	Why      string
	Rec      Rec // the voter's record: the sender adopts what it lacks (H12)
}

// Accept proposes a record; TSend makes an accepted first record a lease as well.
type Accept struct {
	_struct bool `codec:",toarray"`
	Rec     Rec
	TSend   int64
	Stat    Stat
}

// AcceptAck says that the record is on disk at the voter.
type AcceptAck struct {
	_struct bool `codec:",toarray"`
	Shard   ShardID
	Epoch   uint64
	Seq     uint64
	TSend   int64
}

// Register is a voter's durable state for one shard.
type Register struct {
	_struct  bool `codec:",toarray"`
	Shard    ShardID
	Promised uint64
	Rec      Rec
}

// SlotReg is a voter's durable state for the slot map.
type SlotReg struct {
	_struct  bool `codec:",toarray"`
	Promised Ballot
	Accepted Ballot
	Ver      uint64
	Spans    []SlotSpan
}

// Freeze stops a voter of version Ver for a change of the set and reads its state.
type Freeze struct {
	_struct bool `codec:",toarray"`
	Ver     uint64
	Ballot  Ballot
}

// Frozen answers Freeze. OK false: a greater ballot was promised.
type Frozen struct {
	_struct  bool `codec:",toarray"`
	Ver      uint64
	Ballot   Ballot
	OK       bool
	Promised Ballot
	Accepted Ballot   // ballot of Next
	Next     []NodeID // next set already accepted here, if any
	Regs     []Register
	Slots    SlotReg
}

// SetAccept proposes the members of version Ver+1.
type SetAccept struct {
	_struct bool `codec:",toarray"`
	Ver     uint64
	Ballot  Ballot
	Next    []NodeID
}

// SetAccepted accepts it.
type SetAccepted struct {
	_struct bool `codec:",toarray"`
	Ver     uint64
	Ballot  Ballot
}

// Install starts version Ver with the merged state.
type Install struct {
	_struct bool `codec:",toarray"`
	Ver     uint64
	Set     []NodeID
	Regs    []Register
	Slots   SlotReg
	// Decided: the records and the map are decided (the formation's), not merely what the sender
	// has accepted, as in the copy for a member that missed its INSTALL.
	Decided bool
}

// Installed answers Install.
type Installed struct {
	_struct bool `codec:",toarray"`
	Ver     uint64
}

// SlotPrepare begins a change of the slot map.
type SlotPrepare struct {
	_struct bool `codec:",toarray"`
	Ballot  Ballot
}

// SlotPromise answers it with the accepted map. OK false: a greater ballot was promised.
type SlotPromise struct {
	_struct bool `codec:",toarray"`
	Ballot  Ballot
	OK      bool
	Reg     SlotReg
}

// SlotAccept proposes the next map: whole, so that a voter's state never depends on what
// another voter has seen.
type SlotAccept struct {
	_struct bool `codec:",toarray"`
	Ballot  Ballot
	Ver     uint64
	Spans   []SlotSpan
}

// SlotAccepted accepts it.
type SlotAccepted struct {
	_struct bool `codec:",toarray"`
	Ballot  Ballot
	Ver     uint64
	OK      bool
}

// FormStep is the part of a formation a Form message plays.
type FormStep uint8

const (
	FormPropose FormStep = iota
	FormAbort
)

// Form is how the first voter set of a MEET-built cluster comes about: the founder asks
// all slot owners to agree, and installs version 1 when every one did.
type Form struct {
	_struct bool `codec:",toarray"`
	Step    FormStep
	Founder NodeID
	Ballot  uint64 // grows with every attempt of the founder
	Set     []NodeID
	Regs    []Register
	Slots   SlotReg
}

// FormAck answers a Form. Refuse, when not empty, says why not.
type FormAck struct {
	_struct bool `codec:",toarray"`
	Founder NodeID
	Ballot  uint64
	Refuse  string
}

// Suspect tells an elector that the sender has not heard these nodes for the node timeout.
type Suspect struct {
	_struct bool `codec:",toarray"`
	Nodes   []NodeID
}

// Probe asks the receiver to ping Target and to answer with a Ping whose For is Target.
type Probe struct {
	_struct bool `codec:",toarray"`
	Target  NodeID
	Seq     uint64
}

// HandoverStep is the part of a manual failover a Handover message plays.
type HandoverStep uint8

const (
	HandoverAsk     HandoverStep = iota // replica: please hand over
	HandoverBarrier                     // primary: writes stand still at Offset
	HandoverReady                       // replica: I have everything up to Offset
	HandoverGo                          // primary: my lease is given back, take it
	HandoverAbort                       // either: it is off, Why says why
)

// Handover is the talk of a manual failover between the replica and its primary.
type Handover struct {
	_struct bool `codec:",toarray"`
	Step    HandoverStep
	Shard   ShardID
	Epoch   uint64
	Tok     uint64 // drawn by the replica for this attempt
	Offset  int64
	Why     string
}

// Publish fans a pub/sub message out. It is opaque to the machine and travels on the
// pub/sub connection.
type Publish struct {
	_struct bool `codec:",toarray"`
	Channel []byte
	Payload []byte
	Sharded bool
	// A payload too long for one frame comes in parts, one behind the other on one connection:
	// Total is the length of all, At where this part begins. Total 0: Payload is all.
	Total uint32
	At    uint32
}

// Interest tells a node that publishes which messages the sender has subscribers for. It holds
// for the connection it came over, until that ends or a greater version comes.
type Interest struct {
	_struct bool `codec:",toarray"`
	Ver     uint64
	All     bool
	Buckets []byte // bit b: somebody subscribes to a channel of bucket b; empty with All
}

// InterestAck says that every message published here from now on obeys version Ver.
type InterestAck struct {
	_struct bool `codec:",toarray"`
	Ver     uint64
}

// Older answers a process whose node is known in a newer life: a copied directory, or a state file
// restored from a backup. Gone, when set, is a promise: the sender has not heard the newer life for
// the node timeout and will not listen to it for another one. To the newest life itself, naming
// it, it says that an older one has been heard since.
type Older struct {
	_struct bool   `codec:",toarray"`
	Life    uint64 // the newest that is known
	Inc     uint64 // greatest incarnation known
	Gone    bool
	// Ask: the sender is the older process, and asks about the life that it was told of.
	Ask bool
}

func (*Hello) Kind() Kind        { return KindHello }
func (*Ping) Kind() Kind         { return KindPing }
func (*Meet) Kind() Kind         { return KindMeet }
func (*MeetAck) Kind() Kind      { return KindMeetAck }
func (*Buckets) Kind() Kind      { return KindBuckets }
func (*Table) Kind() Kind        { return KindTable }
func (*SlotMap) Kind() Kind      { return KindSlotMap }
func (*VoterSet) Kind() Kind     { return KindVoterSet }
func (*LeaseReq) Kind() Kind     { return KindLeaseReq }
func (*LeaseAck) Kind() Kind     { return KindLeaseAck }
func (*LeaseRelease) Kind() Kind { return KindLeaseRelease }
func (*VoteReq) Kind() Kind      { return KindVoteReq }
func (*VoteAck) Kind() Kind      { return KindVoteAck }
func (*VoteWait) Kind() Kind     { return KindVoteWait }
func (*Nack) Kind() Kind         { return KindNack }
func (*Accept) Kind() Kind       { return KindAccept }
func (*AcceptAck) Kind() Kind    { return KindAcceptAck }
func (*Freeze) Kind() Kind       { return KindFreeze }
func (*Frozen) Kind() Kind       { return KindFrozen }
func (*SetAccept) Kind() Kind    { return KindSetAccept }
func (*SetAccepted) Kind() Kind  { return KindSetAccepted }
func (*Install) Kind() Kind      { return KindInstall }
func (*Installed) Kind() Kind    { return KindInstalled }
func (*SlotPrepare) Kind() Kind  { return KindSlotPrepare }
func (*SlotPromise) Kind() Kind  { return KindSlotPromise }
func (*SlotAccept) Kind() Kind   { return KindSlotAccept }
func (*SlotAccepted) Kind() Kind { return KindSlotAccepted }
func (*Form) Kind() Kind         { return KindForm }
func (*FormAck) Kind() Kind      { return KindFormAck }
func (*Suspect) Kind() Kind      { return KindSuspect }
func (*Probe) Kind() Kind        { return KindProbe }
func (*Handover) Kind() Kind     { return KindHandover }
func (*Publish) Kind() Kind      { return KindPublish }
func (*Interest) Kind() Kind     { return KindInterest }
func (*InterestAck) Kind() Kind  { return KindInterestAck }
func (*Older) Kind() Kind        { return KindOlder }

func (*Hello) sealed()        {}
func (*Ping) sealed()         {}
func (*Meet) sealed()         {}
func (*MeetAck) sealed()      {}
func (*Buckets) sealed()      {}
func (*Table) sealed()        {}
func (*SlotMap) sealed()      {}
func (*VoterSet) sealed()     {}
func (*LeaseReq) sealed()     {}
func (*LeaseAck) sealed()     {}
func (*LeaseRelease) sealed() {}
func (*VoteReq) sealed()      {}
func (*VoteAck) sealed()      {}
func (*VoteWait) sealed()     {}
func (*Nack) sealed()         {}
func (*Accept) sealed()       {}
func (*AcceptAck) sealed()    {}
func (*Freeze) sealed()       {}
func (*Frozen) sealed()       {}
func (*SetAccept) sealed()    {}
func (*SetAccepted) sealed()  {}
func (*Install) sealed()      {}
func (*Installed) sealed()    {}
func (*SlotPrepare) sealed()  {}
func (*SlotPromise) sealed()  {}
func (*SlotAccept) sealed()   {}
func (*SlotAccepted) sealed() {}
func (*Form) sealed()         {}
func (*FormAck) sealed()      {}
func (*Suspect) sealed()      {}
func (*Probe) sealed()        {}
func (*Handover) sealed()     {}
func (*Publish) sealed()      {}
func (*Interest) sealed()     {}
func (*InterestAck) sealed()  {}
func (*Older) sealed()        {}

// NewBody makes an empty body of kind k, nil for an unknown kind.
func NewBody(k Kind) Body {
	switch k {
	case KindHello:
		return new(Hello)
	case KindPing:
		return new(Ping)
	case KindMeet:
		return new(Meet)
	case KindMeetAck:
		return new(MeetAck)
	case KindBuckets:
		return new(Buckets)
	case KindTable:
		return new(Table)
	case KindSlotMap:
		return new(SlotMap)
	case KindVoterSet:
		return new(VoterSet)
	case KindLeaseReq:
		return new(LeaseReq)
	case KindLeaseAck:
		return new(LeaseAck)
	case KindLeaseRelease:
		return new(LeaseRelease)
	case KindVoteReq:
		return new(VoteReq)
	case KindVoteAck:
		return new(VoteAck)
	case KindVoteWait:
		return new(VoteWait)
	case KindNack:
		return new(Nack)
	case KindAccept:
		return new(Accept)
	case KindAcceptAck:
		return new(AcceptAck)
	case KindFreeze:
		return new(Freeze)
	case KindFrozen:
		return new(Frozen)
	case KindSetAccept:
		return new(SetAccept)
	case KindSetAccepted:
		return new(SetAccepted)
	case KindInstall:
		return new(Install)
	case KindInstalled:
		return new(Installed)
	case KindSlotPrepare:
		return new(SlotPrepare)
	case KindSlotPromise:
		return new(SlotPromise)
	case KindSlotAccept:
		return new(SlotAccept)
	case KindSlotAccepted:
		return new(SlotAccepted)
	case KindForm:
		return new(Form)
	case KindFormAck:
		return new(FormAck)
	case KindSuspect:
		return new(Suspect)
	case KindProbe:
		return new(Probe)
	case KindHandover:
		return new(Handover)
	case KindPublish:
		return new(Publish)
	case KindInterest:
		return new(Interest)
	case KindOlder:
		return new(Older)
	case KindInterestAck:
		return new(InterestAck)
	}
	return nil
}
