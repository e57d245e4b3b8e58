package node

import (
	"strconv"
	"strings"

	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/command/admin"
	"github.com/sextantdb/sextant/store"
)

// named is one word of an enumeration.
type named[T any] struct {
	name  string
	value T
}

// LogLevel is how much is logged.
type LogLevel uint8

const (
	LogDebug LogLevel = iota
	LogVerbose
	LogNotice
	LogWarning
	LogNothing
)

var logLevelNames = []named[LogLevel]{
	{"debug", LogDebug}, {"verbose", LogVerbose}, {"notice", LogNotice}, {"warning", LogWarning}, {"nothing", LogNothing},
}

// Supervised is who supervises the process.
type Supervised uint8

const (
	SupervisedNo Supervised = iota
	SupervisedUpstart
	SupervisedSystemd
	SupervisedAuto
)

var supervisedNames = []named[Supervised]{
	{"upstart", SupervisedUpstart}, {"systemd", SupervisedSystemd}, {"auto", SupervisedAuto}, {"no", SupervisedNo},
}

// SyslogFacility is 0 for user and 1 to 8 for local0 to local7.
type SyslogFacility uint8

var syslogFacilityNames = []named[SyslogFacility]{
	{"user", 0}, {"local0", 1}, {"local1", 2}, {"local2", 3}, {"local3", 4}, {"local4", 5}, {"local5", 6}, {"local6", 7}, {"local7", 8},
}

// AppendFsync is when the append only file is flushed to disk.
type AppendFsync uint8

const (
	FsyncEverySecond AppendFsync = iota
	FsyncAlways
	FsyncNo
)

var appendFsyncNames = []named[AppendFsync]{{"everysec", FsyncEverySecond}, {"always", FsyncAlways}, {"no", FsyncNo}}

// DisklessLoad is how a replica loads its primary's snapshot.
type DisklessLoad uint8

const (
	DisklessLoadDisabled DisklessLoad = iota
	DisklessLoadOnEmptyDB
	DisklessLoadSwapDB
	DisklessLoadFlush
)

var disklessLoadNames = []named[DisklessLoad]{
	{"disabled", DisklessLoadDisabled}, {"on-empty-db", DisklessLoadOnEmptyDB}, {"swapdb", DisklessLoadSwapDB}, {"flush-before-load", DisklessLoadFlush},
}

// TLSAuthClients says whether clients must show a certificate.
type TLSAuthClients uint8

const (
	TLSAuthNo TLSAuthClients = iota
	TLSAuthYes
	TLSAuthOptional
)

var tlsAuthClientsNames = []named[TLSAuthClients]{{"no", TLSAuthNo}, {"yes", TLSAuthYes}, {"optional", TLSAuthOptional}}

// OOMScoreAdj says how the kernel's choice of a victim is influenced.
type OOMScoreAdj uint8

const (
	OOMScoreNo OOMScoreAdj = iota
	OOMScoreRelative
	OOMScoreAbsolute
)

var oomScoreAdjNames = []named[OOMScoreAdj]{
	{"no", OOMScoreNo}, {"yes", OOMScoreRelative}, {"relative", OOMScoreRelative}, {"absolute", OOMScoreAbsolute},
}

// ACLPubsubDefault is what channels a new user may use.
type ACLPubsubDefault uint8

const (
	ACLResetChannels ACLPubsubDefault = iota
	ACLAllChannels
)

var aclPubsubDefaultNames = []named[ACLPubsubDefault]{{"allchannels", ACLAllChannels}, {"resetchannels", ACLResetChannels}}

// SanitizeDump says which payloads are checked in full.
type SanitizeDump uint8

const (
	SanitizeNo SanitizeDump = iota
	SanitizeYes
	SanitizeClients
)

var sanitizeDumpNames = []named[SanitizeDump]{{"no", SanitizeNo}, {"yes", SanitizeYes}, {"clients", SanitizeClients}}

// Permission is who may use a dangerous command.
type Permission = admin.Permission

var permissionNames = []named[Permission]{{"no", admin.PermitNo}, {"yes", admin.PermitYes}, {"local", admin.PermitLocal}}

// EndpointType is what clients are told to connect to.
type EndpointType uint8

const (
	EndpointIP EndpointType = iota
	EndpointHostname
	EndpointUnknown
)

var endpointTypeNames = []named[EndpointType]{{"ip", EndpointIP}, {"hostname", EndpointHostname}, {"unknown-endpoint", EndpointUnknown}}

// PropagationError is what an error while applying the stream of writes does.
type PropagationError uint8

const (
	PropagationIgnore PropagationError = iota
	PropagationPanic
	PropagationPanicOnReplicas
)

var propagationErrorNames = []named[PropagationError]{
	{"ignore", PropagationIgnore}, {"panic", PropagationPanic}, {"panic-on-replicas", PropagationPanicOnReplicas},
}

// EvictionPolicy is the store's.
type EvictionPolicy = store.Policy

var evictionPolicyNames = []named[EvictionPolicy]{
	{"volatile-lru", store.VolatileLRU}, {"volatile-lfu", store.VolatileLFU}, {"volatile-random", store.VolatileRandom},
	{"volatile-ttl", store.VolatileTTL}, {"allkeys-lru", store.AllKeysLRU}, {"allkeys-lfu", store.AllKeysLFU},
	{"allkeys-random", store.AllKeysRandom}, {"noeviction", store.NoEviction},
}

// Consistency is what an acknowledged write has reached.
type Consistency uint8

const (
	ConsistencyAsync Consistency = iota
	ConsistencyStrict
)

var consistencyNames = []named[Consistency]{{"async", ConsistencyAsync}, {"strict", ConsistencyStrict}}

// ReplicaReads is how replicas answer reads in strict mode.
type ReplicaReads uint8

const (
	ReplicaReadsNo ReplicaReads = iota
	ReplicaReadsBarrier
	ReplicaReadsLocal
)

var replicaReadsNames = []named[ReplicaReads]{{"no", ReplicaReadsNo}, {"barrier", ReplicaReadsBarrier}, {"local", ReplicaReadsLocal}}

// BusAuth is how nodes prove who they are.
type BusAuth uint8

const (
	BusAuthHMAC BusAuth = iota
	BusAuthTLS
	BusAuthNone
)

var busAuthNames = []named[BusAuth]{{"hmac", BusAuthHMAC}, {"tls", BusAuthTLS}, {"none", BusAuthNone}}

// ShutdownFlags are the options of the SHUTDOWN a signal causes; 0 is "default".
type ShutdownFlags uint8

const (
	ShutdownSave ShutdownFlags = 1 << iota
	ShutdownNoSave
	ShutdownNow
	ShutdownForce
)

var shutdownNames = []named[ShutdownFlags]{
	{"default", 0}, {"save", ShutdownSave}, {"nosave", ShutdownNoSave}, {"now", ShutdownNow}, {"force", ShutdownForce},
}

// Options are the flags as SHUTDOWN's words.
func (f ShutdownFlags) Options() (o admin.ShutdownOptions) {
	switch {
	case f&ShutdownSave != 0:
		o.Save = admin.SaveAlways
	case f&ShutdownNoSave != 0:
		o.Save = admin.SaveNever
	}
	o.Now, o.Force = f&ShutdownNow != 0, f&ShutdownForce != 0
	return o
}

// SavePoint asks for a snapshot Seconds after the last one if there were at least Changes changes.
type SavePoint struct{ Seconds, Changes int64 }

// HostPort is an address; the zero value is none.
type HostPort struct {
	Host string
	Port int
}

// OutputLimits are the client output buffer limits by class.
type OutputLimits struct{ Normal, Replica, Pubsub OutputLimit }

// OutputLimit bounds the replies that wait for a client: HardBytes at once, SoftBytes for
// SoftSeconds; 0 is no limit.
type OutputLimit struct{ HardBytes, SoftBytes, SoftSeconds int64 }

func (o *OutputLimits) class(name string) *OutputLimit {
	switch strings.ToLower(name) {
	case "normal":
		return &o.Normal
	case "slave", "replica":
		return &o.Replica
	case "pubsub":
		return &o.Pubsub
	}
	return nil
}

func defaultOutputLimits() OutputLimits {
	return OutputLimits{
		Replica: OutputLimit{HardBytes: 256 << 20, SoftBytes: 64 << 20, SoftSeconds: 60},
		Pubsub:  OutputLimit{HardBytes: 32 << 20, SoftBytes: 8 << 20, SoftSeconds: 60},
	}
}

// eventLetters are the letters of notify-keyspace-events in the order CONFIG GET prints them.
// Those of eventAll are abbreviated to A when they are all there.
var eventLetters = []named[command.EventClass]{
	{"g", command.EventGeneric}, {"$", command.EventString}, {"l", command.EventList}, {"s", command.EventSet},
	{"h", command.EventHash}, {"z", command.EventZSet}, {"x", command.EventExpired}, {"e", command.EventEvicted},
	{"t", command.EventStream}, {"d", command.EventModule}, {"n", command.EventNew},
	{"K", command.EventKeyspace}, {"E", command.EventKeyevent}, {"m", command.EventMiss},
}

const eventAll = command.EventGeneric | command.EventString | command.EventList | command.EventSet | command.EventHash |
	command.EventZSet | command.EventExpired | command.EventEvicted | command.EventStream | command.EventModule

func parseEvents(letters string) (classes command.EventClass, ok bool) {
next:
	for i := range len(letters) {
		if letters[i] == 'A' {
			classes |= eventAll
			continue
		}
		for _, l := range eventLetters {
			if l.name[0] == letters[i] {
				classes |= l.value
				continue next
			}
		}
		return 0, false
	}
	return classes, true
}

func formatEvents(classes command.EventClass) string {
	out := ""
	skip := command.EventClass(0)
	if classes&eventAll == eventAll {
		// n is not part of A, but Redis prints it only when A is not.
		out, skip = "A", eventAll|command.EventNew
	}
	for _, l := range eventLetters {
		if classes&l.value != 0 && skip&l.value == 0 {
			out += l.name
		}
	}
	return out
}

// strictInt reads a decimal number as Redis does: no spaces, no plus, no leading zeros.
func strictInt(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && strconv.FormatInt(n, 10) == s
}

// parseMemory reads a size with an optional unit: k is 1000 bytes, kb is 1024, and so on.
func parseMemory(s string) (int64, bool) {
	digits := strings.TrimLeft(s, "0123456789")
	unit := int64(0)
	switch strings.ToLower(digits) {
	case "", "b":
		unit = 1
	case "k":
		unit = 1000
	case "kb":
		unit = 1 << 10
	case "m":
		unit = 1000 * 1000
	case "mb":
		unit = 1 << 20
	case "g":
		unit = 1000 * 1000 * 1000
	case "gb":
		unit = 1 << 30
	default:
		return 0, false
	}
	number := s[:len(s)-len(digits)]
	if number == "" {
		return 0, true // nothing, or a unit alone, is 0 in Redis
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n > (1<<63-1)/unit {
		return 0, false
	}
	return n * unit, true
}

// formatMemory writes a size with the largest unit that divides it.
func formatMemory(n int64) string {
	for _, u := range []named[int64]{{"gb", 1 << 30}, {"mb", 1 << 20}, {"kb", 1 << 10}} {
		if n != 0 && n%u.value == 0 {
			return strconv.FormatInt(n/u.value, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}
