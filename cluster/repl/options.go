package repl

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// LoadMode is how the data set of a full sync is received (directive repl-diskless-load).
type LoadMode uint8

const (
	// LoadShadow parses the stream into a second data set, which replaces the old one when it
	// is complete and its checksum right ("swapdb"). It needs the memory of both.
	LoadShadow LoadMode = iota
	// LoadFile receives into a file and checks it; only then the old data goes and the file is
	// loaded ("disabled").
	LoadFile
	// LoadOnEmpty parses the stream straight into the data set when that is empty, else it is
	// LoadFile ("on-empty-db").
	LoadOnEmpty
	// LoadFlush parses the stream straight into the data set, whose old data is dropped for it
	// ("flush-before-load", a name of Valkey's): neither a disk nor the memory of both is needed.
	LoadFlush
)

var loadModeNames = [...]string{LoadShadow: "swapdb", LoadFile: "disabled", LoadOnEmpty: "on-empty-db", LoadFlush: "flush-before-load"}

// String is the name in redis.conf.
func (m LoadMode) String() string { return loadModeNames[m] }

// ParseLoadMode reads a name of redis.conf in any letter case.
func ParseLoadMode(s string) (LoadMode, bool) {
	for m, name := range loadModeNames {
		if strings.EqualFold(s, name) {
			return LoadMode(m), true
		}
	}
	return 0, false
}

// Options are the settings that may change at run time: Engine.Configure replaces them whole.
// The directive each stands for is in its comment.
type Options struct {
	BacklogBytes int64         // repl-backlog-size
	BacklogTTL   time.Duration // repl-backlog-ttl; 0: never freed
	PingPeriod   time.Duration // repl-ping-replica-period
	Timeout      time.Duration // repl-timeout

	DisklessSync            bool          // repl-diskless-sync
	DisklessSyncDelay       time.Duration // repl-diskless-sync-delay
	DisklessSyncMaxReplicas int           // repl-diskless-sync-max-replicas; 0: the delay always passes
	DisklessLoad            LoadMode      // repl-diskless-load
	DualChannel             bool          // dual-channel-replication-enabled
	DisableTCPNoDelay       bool          // repl-disable-tcp-nodelay

	MasterUser, MasterAuth string // masteruser, masterauth
	BindSource             string // bind-source-addr
	ListenPort             int    // port, or tls-port with tls-replication
	AnnounceIP             string // replica-announce-ip
	AnnouncePort           int    // replica-announce-port
	Announced              bool   // replica-announced
	Priority               int    // replica-priority
	ReadOnly               bool   // replica-read-only
	ServeStale             bool   // replica-serve-stale-data

	MinReplicas       int           // min-replicas-to-write
	MinReplicasMaxLag time.Duration // min-replicas-max-lag; 0 switches the check off

	// client-output-buffer-limit replica: a replica that lags HardLimit bytes, or SoftLimit
	// bytes for SoftTime, is dropped. 0: no limit.
	HardLimit, SoftLimit int64
	SoftTime             time.Duration

	// TempDir is where transfers are spooled (directive dir).
	TempDir string
	// RDBPath is the node's RDB file, which an RDB that went through a file becomes (dir, dbfilename). "": none does.
	RDBPath string
	// SavePoints says that the node saves by itself: what replicas no longer wait for is worth having as a file.
	SavePoints bool
}

// DefaultOptions returns the defaults of redis.conf, except that a full sync is loaded beside
// the old data (LoadShadow), so that a primary that dies meanwhile costs nothing.
func DefaultOptions() Options {
	return Options{
		BacklogBytes: 1 << 20, BacklogTTL: time.Hour, PingPeriod: 10 * time.Second, Timeout: time.Minute,
		DisklessSync: true, DisklessSyncDelay: 5 * time.Second, DisklessLoad: LoadShadow,
		ListenPort: 6379, Announced: true, Priority: 100, ReadOnly: true, ServeStale: true,
		MinReplicasMaxLag: 10 * time.Second,
		HardLimit:         256 << 20, SoftLimit: 64 << 20, SoftTime: time.Minute,
	}
}

// hardLimit is HardLimit as far as it means something: the bytes that the backlog keeps anyway cost a replica's lag
// nothing, and one that was let in by a partial sync would be dropped at once.
func (o *Options) hardLimit() int64 {
	if o.HardLimit == 0 {
		return 0
	}
	return max(o.HardLimit, o.BacklogBytes)
}

// MinBacklogBytes is the smallest backlog, as in Redis.
const MinBacklogBytes = 16 << 10

// Validate says what is wrong with o.
func (o *Options) Validate() error {
	switch {
	case o.BacklogBytes < 1:
		return errors.New("repl-backlog-size must be 1 or more")
	case o.BacklogTTL < 0:
		return errors.New("repl-backlog-ttl must not be negative")
	case o.PingPeriod <= 0:
		return errors.New("repl-ping-replica-period must be positive")
	case o.Timeout <= 0:
		return errors.New("repl-timeout must be positive")
	case o.DisklessSyncDelay < 0 || o.DisklessSyncMaxReplicas < 0:
		return errors.New("repl-diskless-sync-delay and -max-replicas must not be negative")
	case int(o.DisklessLoad) >= len(loadModeNames):
		return fmt.Errorf("repl-diskless-load %d does not exist", o.DisklessLoad)
	case o.ListenPort < 0 || o.ListenPort > 65535 || o.AnnouncePort < 0 || o.AnnouncePort > 65535:
		return errors.New("port must be between 0 and 65535")
	case o.MinReplicas < 0 || o.MinReplicasMaxLag < 0:
		return errors.New("min-replicas-to-write and min-replicas-max-lag must not be negative")
	case o.HardLimit < 0 || o.SoftLimit < 0 || o.SoftTime < 0:
		return errors.New("client-output-buffer-limit replica must not be negative")
	}
	return nil
}

// announcedPort is the port we tell our primary.
func (o *Options) announcedPort() int {
	if o.AnnouncePort != 0 {
		return o.AnnouncePort
	}
	return o.ListenPort
}
