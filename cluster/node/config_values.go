package node

import (
	"sync/atomic"

	"github.com/sextantdb/sextant/resp/command"
)

// Values is the configuration at one moment: one field per directive, named after it; the table in
// config_table.go says what each means. A Values is immutable once it is published:
// consumers take one with Config.Now and read as many fields as they like from it.
type Values struct {
	// Clients

	Bind                    []string
	Port                    int64
	TLSPort                 int64
	UnixSocket              string
	UnixSocketGroup         string
	UnixSocketPerm          int64
	TCPBacklog              int64
	TCPKeepalive            int64
	Timeout                 int64
	MaxClients              int64
	ProtectedMode           bool
	BindSourceAddr          string
	SocketMarkID            int64
	IOThreads               int64
	IOThreadsDoReads        bool
	ProtoMaxBulkLen         int64
	ClientQueryBufferLimit  int64
	ClientOutputBufferLimit OutputLimits
	MaxMemoryClients        int64

	// TLS

	TLSCluster             bool
	TLSReplication         bool
	TLSAuthClients         TLSAuthClients
	TLSCertFile            string
	TLSKeyFile             string
	TLSKeyFilePass         string
	TLSClientCertFile      string
	TLSClientKeyFile       string
	TLSClientKeyFilePass   string
	TLSDHParamsFile        string
	TLSCACertFile          string
	TLSCACertDir           string
	TLSProtocols           string
	TLSCiphers             string
	TLSCiphersuites        string
	TLSPreferServerCiphers bool
	TLSSessionCaching      bool
	TLSSessionCacheSize    int64
	TLSSessionCacheTimeout int64

	// The process

	Daemonize            bool
	Supervised           Supervised
	PIDFile              string
	LogLevel             LogLevel
	LogFile              string
	SyslogEnabled        bool
	SyslogIdent          string
	SyslogFacility       SyslogFacility
	CrashLogEnabled      bool
	CrashMemcheckEnabled bool
	AlwaysShowLogo       bool
	SetProcTitle         bool
	ProcTitleTemplate    string
	LocaleCollate        string
	DisableTHP           bool
	OOMScoreAdj          OOMScoreAdj
	OOMScoreAdjValues    [3]int
	ServerCPUList        string
	BioCPUList           string
	AOFRewriteCPUList    string
	BgsaveCPUList        string
	IgnoreWarnings       string
	ShutdownTimeout      int64
	ShutdownOnSigint     ShutdownFlags
	ShutdownOnSigterm    ShutdownFlags
	Hz                   int64
	DynamicHz            bool
	WatchdogPeriod       int64
	UseExitOnPanic       bool

	// Security

	RequirePass            string
	MasterAuth             string
	MasterUser             string
	ACLFile                string
	ACLPubsubDefault       ACLPubsubDefault
	ACLLogMaxLen           int64
	EnableProtectedConfigs Permission
	EnableDebugCommand     Permission
	EnableModuleCommand    Permission
	HideUserDataFromLog    bool
	EnableDebugAssert      Permission

	// Data

	Databases                     int64
	MaxMemory                     int64
	MaxMemoryPolicy               EvictionPolicy
	MaxMemorySamples              int64
	MaxMemoryEvictionTenacity     int64
	LFULogFactor                  int64
	LFUDecayTime                  int64
	ActiveExpireEffort            int64
	LazyfreeLazyEviction          bool
	DualChannelReplicationEnabled bool
	LazyfreeLazyExpire            bool
	LazyfreeLazyServerDel         bool
	LazyfreeLazyUserDel           bool
	LazyfreeLazyUserFlush         bool
	ActiveRehashing               bool
	JemallocBgThread              bool
	ActiveDefrag                  bool
	ActiveDefragCycleMin          int64
	ActiveDefragCycleMax          int64
	ActiveDefragThresholdLower    int64
	ActiveDefragThresholdUpper    int64
	ActiveDefragMaxScanFields     int64
	ActiveDefragIgnoreBytes       int64
	HashMaxListpackEntries        int64
	HashMaxListpackValue          int64
	SetMaxIntsetEntries           int64
	SetMaxListpackEntries         int64
	SetMaxListpackValue           int64
	ZSetMaxListpackEntries        int64
	ZSetMaxListpackValue          int64
	ListMaxListpackSize           int64
	ListCompressDepth             int64
	StreamNodeMaxBytes            int64
	StreamNodeMaxEntries          int64
	HLLSparseMaxBytes             int64
	TrackingTableMaxKeys          int64
	NotifyKeyspaceEvents          command.EventClass
	BusyReplyThreshold            int64
	ScriptMemoryLimit             int64

	// Watching

	SlowlogLogSlowerThan           int64
	SlowlogMaxLen                  int64
	LatencyMonitorThreshold        int64
	LatencyTracking                bool
	LatencyTrackingInfoPercentiles []float64

	// Persistence

	Save                              []SavePoint
	Dir                               string
	DBFilename                        string
	RDBCompression                    bool
	RDBChecksum                       bool
	RDBDelSyncFiles                   bool
	RDBSaveIncrementalFsync           bool
	RDBKeySaveDelay                   int64
	KeyLoadDelay                      int64
	LoadingProcessEventsIntervalBytes int64
	StopWritesOnBgsaveError           bool
	SanitizeDumpPayload               SanitizeDump
	AppendOnly                        bool
	AppendFilename                    string
	AppendDirname                     string
	AppendFsync                       AppendFsync
	NoAppendfsyncOnRewrite            bool
	AutoAOFRewritePercentage          int64
	AutoAOFRewriteMinSize             int64
	AOFLoadTruncated                  bool
	AOFUseRDBPreamble                 bool
	AOFRewriteIncrementalFsync        bool
	AOFTimestampEnabled               bool
	AOFDisableAutoGC                  bool

	// Replication

	ReplicaOf                    HostPort
	ReplicaServeStaleData        bool
	ReplicaReadOnly              bool
	ReplicaIgnoreMaxMemory       bool
	ReplicaLazyFlush             bool
	ReplicaPriority              int64
	ReplicaAnnounced             bool
	ReplicaAnnounceIP            string
	ReplicaAnnouncePort          int64
	ReplicaIgnoreDiskWriteErrors bool
	PropagationErrorBehavior     PropagationError
	ReplTimeout                  int64
	ReplPingReplicaPeriod        int64
	ReplDisklessSync             bool
	ReplDisklessSyncDelay        int64
	ReplDisklessSyncMaxReplicas  int64
	ReplDisklessLoad             DisklessLoad
	ReplDisableTCPNodelay        bool
	ReplBacklogSize              int64
	ReplBacklogTTL               int64
	MinReplicasToWrite           int64
	MinReplicasMaxLag            int64

	// Cluster

	ClusterEnabled                  bool
	ClusterConfigFile               string
	ClusterNodeTimeout              int64
	ClusterPort                     int64
	ClusterPingInterval             int64
	ClusterAnnounceIP               string
	ClusterAnnouncePort             int64
	ClusterAnnounceTLSPort          int64
	ClusterAnnounceBusPort          int64
	ClusterAnnounceHostname         string
	ClusterAnnounceHumanNodename    string
	ClusterPreferredEndpointType    EndpointType
	ClusterReplicaValidityFactor    int64
	ClusterReplicaNoFailover        bool
	ClusterMigrationBarrier         int64
	ClusterAllowReplicaMigration    bool
	ClusterRequireFullCoverage      bool
	ClusterAllowReadsWhenDown       bool
	ClusterAllowPubsubshardWhenDown bool
	ClusterLinkSendbufLimit         int64

	// Cluster, directives of our own

	ClusterConsistency        Consistency
	ClusterVoters             string
	ClusterWitness            bool
	ClusterStrictMinInSync    int64
	ClusterStrictAckTimeout   int64
	ClusterStrictReplicaReads ReplicaReads
	ClusterMaxClockDriftPPM   int64
	ClusterBusAuth            BusAuth
	ClusterBusSecret          string
}

// derived is something that is made of the configuration's values, once for each configuration, because it is asked for at
// every call. Any goroutine.
type derived[T any] struct {
	last atomic.Pointer[madeOf[T]]
}

// madeOf is immutable.
type madeOf[T any] struct {
	values *Values
	made   T
}

// from returns what build makes of v, which must depend on nothing else. It is not to be changed.
func (d *derived[T]) from(v *Values, build func(*Values) T) *T {
	last := d.last.Load()
	if last == nil || last.values != v {
		last = &madeOf[T]{v, build(v)}
		d.last.Store(last)
	}
	return &last.made
}
