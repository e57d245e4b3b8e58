package resp

import (
	"fmt"
	"strconv"
	"strings"
)

// Error is what a client is told when a request is refused or fails: Redis' text with its prefix and without the leading
// '-'. The constants below are the only list of them; texts with variable parts have a function.
type Error string

// Error makes it a Go error too.
func (e Error) Error() string { return string(e) }

// Code returns the prefix up to the first space, by which INFO errorstats counts ("ERR" if there is none, as in Redis).
func (e Error) Code() string {
	s := string(e)
	if len(s) > 32 {
		s = s[:32]
	}
	if i := strings.IndexByte(s, ' '); i > 0 {
		return s[:i]
	}
	return "ERR"
}

// Errors of arguments and types, used by many commands.
const (
	ErrGeneric              Error = "ERR"
	ErrSyntax               Error = "ERR syntax error"
	ErrWrongType            Error = "WRONGTYPE Operation against a key holding the wrong kind of value"
	ErrNoSuchKey            Error = "ERR no such key"
	ErrSameObject           Error = "ERR source and destination objects are the same"
	ErrIndexOutOfRange      Error = "ERR index out of range"
	ErrNotInteger           Error = "ERR value is not an integer or out of range"
	ErrOutOfRange           Error = "ERR value is out of range"
	ErrMustBePositive       Error = "ERR value is out of range, must be positive"
	ErrNotFloat             Error = "ERR value is not a valid float"
	ErrNaNOrInfinity        Error = "ERR value is NaN or Infinity"
	ErrIncrNaNOrInfinity    Error = "ERR increment would produce NaN or Infinity"
	ErrIncrOverflow         Error = "ERR increment or decrement would overflow"
	ErrDecrOverflow         Error = "ERR decrement would overflow"
	ErrOffsetOutOfRange     Error = "ERR offset is out of range"
	ErrStringTooLong        Error = "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
	ErrBitOffset            Error = "ERR bit offset is not an integer or out of range"
	ErrBitValue             Error = "ERR bit is not an integer or out of range"
	ErrBitArgument          Error = "ERR The bit argument must be 1 or 0."
	ErrBitopNot             Error = "ERR BITOP NOT must be called with a single source key."
	ErrBitfieldType         Error = "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is."
	ErrBitfieldOverflow     Error = "ERR Invalid OVERFLOW type specified"
	ErrBitfieldReadOnly     Error = "ERR BITFIELD_RO only supports the GET subcommand"
	ErrNotHLL               Error = "WRONGTYPE Key is not a valid HyperLogLog string value."
	ErrCorruptHLL           Error = "INVALIDOBJ Corrupted HLL object detected"
	ErrNoSuchHLL            Error = "ERR The specified key does not exist"
	ErrHLLNotSparse         Error = "ERR HLL encoding is not sparse"
	ErrGeoUnit              Error = "ERR unsupported unit provided. please use M, KM, FT, MI"
	ErrGeoRadius            Error = "ERR need numeric radius"
	ErrGeoRadiusNegative    Error = "ERR radius cannot be negative"
	ErrGeoWidth             Error = "ERR need numeric width"
	ErrGeoHeight            Error = "ERR need numeric height"
	ErrGeoBoxNegative       Error = "ERR height or width cannot be negative"
	ErrGeoMember            Error = "ERR could not decode requested zset member"
	ErrGeoCount             Error = "ERR COUNT must be > 0"
	ErrGeoAny               Error = "ERR the ANY argument requires COUNT argument"
	ErrSortWeight           Error = "ERR One or more scores can't be converted into double"
	ErrSortBySlots          Error = "ERR BY option of SORT denied in Cluster mode when keys formed by the pattern may be in different slots."
	ErrSortGetSlots         Error = "ERR GET option of SORT denied in Cluster mode when keys formed by the pattern may be in different slots."
	ErrInvalidNumKeys       Error = "ERR invalid numkeys value"
	ErrWrongPairs           Error = "ERR wrong number of key-value pairs"
	ErrFieldTimeNegative    Error = "ERR invalid expire time, must be >= 0"
	ErrFieldTimeMissing     Error = "ERR missing expire time"
	ErrFieldTimeTwice       Error = "ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified"
	ErrFieldConditionTwice  Error = "ERR Only one of FXX or FNX arguments can be specified"
	ErrFieldsMissing        Error = "ERR Mandatory argument FIELDS is missing or not at the right position"
	ErrFieldsCount          Error = "ERR Number of fields must be a positive integer"
	ErrNumFields            Error = "ERR Parameter `numFields` should be greater than 0"
	ErrFieldsMismatch       Error = "ERR The `numfields` parameter must match the number of arguments"
	ErrFieldsInvalid        Error = "ERR invalid number of fields"
	ErrHashNotInteger       Error = "ERR hash value is not an integer"
	ErrHashNotFloat         Error = "ERR hash value is not a float"
	ErrMinMaxNotFloat       Error = "ERR min or max is not a float"
	ErrMinMaxNotString      Error = "ERR min or max not valid string range item"
	ErrTimeoutNegative      Error = "ERR timeout is negative"
	ErrTimeoutOutOfRange    Error = "ERR timeout is out of range"
	ErrTimeoutNotFloat      Error = "ERR timeout is not a float or out of range"
	ErrTimeoutNotInteger    Error = "ERR timeout is not an integer or out of range"
	ErrInvalidCursor        Error = "ERR invalid cursor"
	ErrDBIndexOutOfRange    Error = "ERR DB index is out of range"
	ErrInvalidDBIndex       Error = "ERR invalid DB index"
	ErrInvalidFirstDBIndex  Error = "ERR invalid first DB index"
	ErrInvalidSecondDBIndex Error = "ERR invalid second DB index"
	ErrNXAndXXGTLT          Error = "ERR NX and XX, GT or LT options at the same time are not compatible"
	ErrGTAndLT              Error = "ERR GT and LT options at the same time are not compatible"
	ErrKeysGreaterThanArgs  Error = "ERR Number of keys can't be greater than number of args"
	ErrKeysNegative         Error = "ERR Number of keys can't be negative"
	ErrNumKeysPositive      Error = "ERR numkeys should be greater than 0"
	ErrCountPositive        Error = "ERR count should be greater than 0"
	ErrBusyKey              Error = "BUSYKEY Target key name already exists."
	ErrBadDataFormat        Error = "ERR Bad data format"
	ErrDumpPayload          Error = "ERR DUMP payload version or checksum are wrong"
	ErrInvalidTTL           Error = "ERR Invalid TTL value, must be >= 0"
	ErrInvalidIdleTime      Error = "ERR Invalid IDLETIME value, must be >= 0"
	ErrInvalidFreq          Error = "ERR Invalid FREQ value, must be >= 0 and <= 255"
	ErrNotLFU               Error = "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust."
	ErrLFU                  Error = "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust."
	ErrLCSNeedsStrings      Error = "ERR The specified keys must contain string values"
	ErrLCSLenAndIdx         Error = "ERR If you want both the length and indexes, please just use IDX."
	ErrLCSTooLong           Error = "ERR String too long for LCS"
)

// Errors of streams.
const (
	ErrStreamID          Error = "ERR Invalid stream ID specified as stream command argument"
	ErrStreamStart       Error = "ERR invalid start ID for the interval"
	ErrStreamEnd         Error = "ERR invalid end ID for the interval"
	ErrXAddZero          Error = "ERR The ID specified in XADD must be greater than 0-0"
	ErrXAddSmall         Error = "ERR The ID specified in XADD is equal or smaller than the target stream top item"
	ErrXAddExhausted     Error = "ERR The stream has exhausted the last possible ID, unable to add more items"
	ErrXAddTooLarge      Error = "ERR Elements are too large to be stored"
	ErrTrimBoth          Error = "ERR syntax error, MAXLEN and MINID options at the same time are not compatible"
	ErrTrimMaxLen        Error = "ERR The MAXLEN argument must be >= 0."
	ErrTrimLimit         Error = "ERR The LIMIT argument must be >= 0."
	ErrTrimLimitAlone    Error = "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy"
	ErrTrimLimitExact    Error = "ERR syntax error, LIMIT cannot be used without the special ~ option"
	ErrTrimNone          Error = "ERR syntax error, XTRIM must be called with a trimming strategy"
	ErrXSetIDDeleted     Error = "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id"
	ErrXSetIDWasDeleted  Error = "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id"
	ErrXSetIDSmall       Error = "ERR The ID specified in XSETID is smaller than the target stream top item"
	ErrXSetIDAdded       Error = "ERR entries_added must be positive"
	ErrXSetIDAddedSmall  Error = "ERR The entries_added specified in XSETID is smaller than the target stream length"
	ErrXReadGroup        Error = "ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead."
	ErrXReadNoAck        Error = "ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead."
	ErrXReadNew          Error = "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option."
	ErrXReadGroupMissing Error = "ERR Missing GROUP option for XREADGROUP"
	ErrXReadGroupDollar  Error = "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set."
	ErrXReadGroupPlus    Error = "ERR The + ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying a proper ID, or use the > ID to get new messages. The + ID would just return an empty result set."
	ErrXGroupNoKey       Error = "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically."
	ErrXGroupEntriesRead Error = "ERR value for ENTRIESREAD must be positive or -1"
	ErrBusyGroup         Error = "BUSYGROUP Consumer Group name already exists"
	ErrXClaimMinIdle     Error = "ERR Invalid min-idle-time argument for XCLAIM"
	ErrXClaimIdle        Error = "ERR Invalid IDLE option argument for XCLAIM"
	ErrXClaimTime        Error = "ERR Invalid TIME option argument for XCLAIM"
	ErrXClaimRetryCount  Error = "ERR Invalid RETRYCOUNT option argument for XCLAIM"
	ErrXAutoClaimMinIdle Error = "ERR Invalid min-idle-time argument for XAUTOCLAIM"
	ErrXAutoClaimCount   Error = "ERR COUNT must be > 0"
	ErrXIDsCount         Error = "ERR Number of IDs must be a positive integer"
	ErrXIDsMatch         Error = "ERR The `numids` parameter must match the number of arguments"
)

// ErrUnbalanced says that XREAD or XREADGROUP, by its lower-case name, got not as many ids as keys; symbol is the special id that it
// takes.
func ErrUnbalanced(name, symbol string) Error {
	return Error("ERR Unbalanced '" + name + "' list of streams: for each stream key an ID or '" + symbol + "' must be specified.")
}

// ErrNoGroup, ErrNoKeyOrGroup and ErrXReadGroupNoGroup are the forms in which a consumer group is missing.
func ErrNoGroup(group, key []byte) Error {
	return Errorf("NOGROUP No such consumer group '%s' for key name '%s'", cString(group), cString(key))
}

// ErrNoKeyOrGroup is ErrNoGroup where the key may be missing as well.
func ErrNoKeyOrGroup(key, group []byte) Error {
	return Errorf("NOGROUP No such key '%s' or consumer group '%s'", cString(key), cString(group))
}

// ErrXReadGroupNoGroup is ErrNoKeyOrGroup in XREADGROUP.
func ErrXReadGroupNoGroup(key, group []byte) Error {
	return Errorf("NOGROUP No such key '%s' or consumer group '%s' in XREADGROUP with GROUP option", cString(key), cString(group))
}

// ErrXClaimOption refuses a word that XCLAIM does not know.
func ErrXClaimOption(word []byte) Error {
	return Errorf("ERR Unrecognized XCLAIM option '%s'", cString(word))
}

// cString is b up to where C's %s stops.
func cString(b []byte) []byte { return clip(b, len(b)) }

// Errors of transactions, scripts and blocked clients.
const (
	ErrNestedMulti         Error = "ERR MULTI calls can not be nested"
	ErrExecWithoutMulti    Error = "ERR EXEC without MULTI"
	ErrDiscardWithoutMulti Error = "ERR DISCARD without MULTI"
	ErrWatchInMulti        Error = "ERR WATCH inside MULTI is not allowed"
	ErrNotInMulti          Error = "ERR Command not allowed inside a transaction"
	ErrExecAbort           Error = "EXECABORT Transaction discarded because of previous errors."
	ErrNoScript            Error = "NOSCRIPT No matching script. Please use EVAL."
	ErrBusyScript          Error = "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
	ErrBusyFunction        Error = "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE."
	ErrBusyModule          Error = "BUSY Redis is busy running a module command."
	ErrNotBusy             Error = "NOTBUSY No scripts in execution right now."
	ErrScriptUnknown       Error = "ERR Unknown Redis command called from script"
	ErrScriptArity         Error = "ERR Wrong number of args calling Redis command from script"
	ErrScriptDenied        Error = "ERR This Redis command is not allowed from script"
	ErrScriptStale         Error = "ERR Can not execute the command on a stale replica"
	ErrScriptWrite         Error = "ERR Write commands are not allowed from read-only scripts."
	ErrDebugWrites         Error = "ERR Writes are refused in a SCRIPT DEBUG YES session, whose changes could not be rolled back here. Use SCRIPT DEBUG SYNC to keep them."
	ErrScriptWriteRO       Error = "ERR Can not execute a script with write flag using *_ro command."
	ErrScriptNoCluster     Error = "ERR Can not run script on cluster, 'no-cluster' flag is set."
	ErrScriptStaleFlag     Error = "MASTERDOWN Link with MASTER is down, replica-serve-stale-data is set to 'no' and 'allow-stale' flag is not set on the script."
	ErrScriptReadOnly      Error = "READONLY Can not run script with write flag on readonly replica"
	ErrScriptOOM           Error = "OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'"
	ErrScriptMisconfRDB    Error = "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Writable scripts are blocked. Use 'no-writes' flag for read only scripts."
	ErrScriptCrossSlot     Error = "ERR Script attempted to access keys that do not hash to the same slot"
	ErrScriptNotLocal      Error = "ERR Script attempted to access a non local key in a cluster node"
	ErrScriptUnserved      Error = "ERR Script attempted to access a slot not served"
	ErrScriptDown          Error = "ERR Script attempted to execute a command while the cluster is down"
	ErrScriptDownReadOnly  Error = "ERR Script attempted to execute a write command while the cluster is down and readonly"
	ErrNumKeysNegative     Error = "ERR Number of keys can't be negative"
	ErrNumKeysTooMany      Error = "ERR Number of keys can't be greater than number of args"
	ErrUnkillableMaster    Error = "UNKILLABLE The busy script was sent by a master instance in the context of replication and cannot be killed."
	ErrUnkillable          Error = "UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command."
	ErrUnblockedForce      Error = "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)"
	ErrUnblocked           Error = "UNBLOCKED client unblocked via CLIENT UNBLOCK"
)

// Errors of admission: authentication, roles, memory, disk.
const (
	ErrNoAuth          Error = "NOAUTH Authentication required."
	ErrHelloNoAuth     Error = "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time"
	ErrWrongPass       Error = "WRONGPASS invalid username-password pair or user is disabled."
	ErrNoPassword      Error = "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?"
	ErrNoPermKey       Error = "NOPERM No permissions to access a key"
	ErrNoPermChannel   Error = "NOPERM No permissions to access a channel"
	ErrNoProto         Error = "NOPROTO unsupported protocol version"
	ErrProtoNotInteger Error = "ERR Protocol version is not an integer or out of range"
	ErrLoading         Error = "LOADING Redis is loading the dataset in memory"
	ErrMasterDown      Error = "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."
	ErrReadOnly        Error = "READONLY You can't write against a read only replica."
	ErrMisconfRDB      Error = "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may modify the data set are disabled, because this instance is configured to report errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error."
	ErrOOM             Error = "OOM command not allowed when used memory > 'maxmemory'."
	ErrNoReplicas      Error = "NOREPLICAS Not enough good replicas to write."
	ErrReplicaKeyspace Error = "ERR Replica can't interact with the keyspace"
	ErrMaxClients      Error = "ERR max number of clients reached"
	ErrMaxClientsBus   Error = "ERR max number of clients + cluster connections reached"
	// ErrDenied is written to a connection that protected mode turns away; the connection is then closed.
	ErrDenied Error = "DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the default user. In this mode connections are only accepted from the loopback interface. If you want to connect from external computers to Redis you may adopt one of the following solutions: 1) Just disable protected mode sending the command 'CONFIG SET protected-mode no' from the loopback interface by connecting to Redis from the same host the server is running, however MAKE SURE Redis is not publicly accessible from internet if you do so. Use CONFIG REWRITE to make this change permanent. 2) Alternatively you can just disable the protected mode by editing the Redis configuration file, and setting the protected mode option to 'no', and then restarting the server. 3) If you started the server manually just for testing, restart it with the '--protected-mode no' option. 4) Set up an authentication password for the default user. NOTE: You only need to do one of the above things in order for the server to start accepting connections from the outside."
)

// Errors of the cluster and of replication.
const (
	ErrCrossSlot           Error = "CROSSSLOT Keys in request don't hash to the same slot"
	ErrTryAgain            Error = "TRYAGAIN Multiple keys request during rehashing of slot"
	ErrClusterDown         Error = "CLUSTERDOWN The cluster is down"
	ErrClusterDownReadOnly Error = "CLUSTERDOWN The cluster is down and only accepts read commands"
	ErrClusterDownUnbound  Error = "CLUSTERDOWN Hash slot not served"
	ErrClusterDisabled     Error = "ERR This instance has cluster support disabled"
	ErrInvalidSlot         Error = "ERR Invalid or out of range slot"
	ErrSelectInCluster     Error = "ERR SELECT is not allowed in cluster mode"
	ErrMoveInCluster       Error = "ERR MOVE is not allowed in cluster mode"
	ErrSwapDBInCluster     Error = "ERR SWAPDB is not allowed in cluster mode"
	ErrCopyDBInCluster     Error = "ERR Copying to another database is not allowed in cluster mode"
	ErrReplicaofInCluster  Error = "ERR REPLICAOF not allowed in cluster mode."
	ErrReplicaofFailing    Error = "ERR REPLICAOF not allowed while failing over."
	ErrNoMasterLink        Error = "NOMASTERLINK Can't SYNC while not connected with my master"
	ErrNoMasterLinkFailing Error = "NOMASTERLINK Can't SYNC while failing over"
	ErrFailoverInCluster   Error = "ERR FAILOVER not allowed in cluster mode. Use CLUSTER FAILOVER command instead."
	ErrFailoverNone        Error = "ERR No failover in progress."
	ErrFailoverRuns        Error = "ERR FAILOVER already in progress."
	ErrFailoverTimeout     Error = "ERR FAILOVER timeout must be greater than 0"
	ErrFailoverOnReplica   Error = "ERR FAILOVER is not valid when server is a replica."
	ErrFailoverNoReplicas  Error = "ERR FAILOVER requires connected replicas."
	ErrFailoverForce       Error = "ERR FAILOVER with force option requires both a timeout and target HOST and IP."
	ErrFailoverNotReplica  Error = "ERR FAILOVER target HOST and PORT is not a replica."
	ErrFailoverNotOnline   Error = "ERR FAILOVER target replica is not online."
	ErrSyncPending         Error = "ERR SYNC and PSYNC are invalid with pending output"
	ErrWaitOnReplica       Error = "ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is configured to be writable (which is not the default) writes to replicas are just local and are not propagated."
	ErrWaitAOFOnReplica    Error = "ERR WAITAOF cannot be used with replica instances. Please also note that writes to replicas are just local and are not propagated."
	ErrWaitAOFNoAOF        Error = "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled."
	// Errors of strict mode (PROTOCOL 3.7) that Redis does not have.
	ErrLeaseExpired Error = "CLUSTERDOWN primary lease expired"
	ErrInDoubt      Error = "INDOUBT write outcome unknown"
)

// Errors of administration.
const (
	ErrSaveInProgress     Error = "ERR Background save already in progress"
	ErrRewriteInProgress  Error = "ERR Background append only file rewriting already in progress"
	ErrNoConfigFile       Error = "ERR The server is running without a config file"
	ErrNoSuchClient       Error = "ERR No such client"
	ErrShutdown           Error = "ERR Errors trying to SHUTDOWN. Check logs."
	ErrNoShutdown         Error = "ERR No shutdown in progress."
	ErrInvalidCommandSpec Error = "ERR Invalid command specified"
	ErrInvalidNumArgs     Error = "ERR Invalid number of arguments specified for command"
	ErrInvalidArgsForCmd  Error = "ERR Invalid arguments specified for command"
	ErrNoKeyArguments     Error = "ERR The command has no key arguments"
)

// Errors of the protocol itself. The connection is closed after each of them.
const (
	ErrProtoMultibulkLength Error = "ERR Protocol error: invalid multibulk length"
	ErrProtoBulkLength      Error = "ERR Protocol error: invalid bulk length"
	ErrProtoBigMbulkCount   Error = "ERR Protocol error: too big mbulk count string"
	ErrProtoBigBulkCount    Error = "ERR Protocol error: too big bulk count string"
	ErrProtoBigInline       Error = "ERR Protocol error: too big inline request"
	ErrProtoUnbalanced      Error = "ERR Protocol error: unbalanced quotes in request"
	ErrProtoUnauthMultibulk Error = "ERR Protocol error: unauthenticated multibulk length"
	ErrProtoUnauthBulk      Error = "ERR Protocol error: unauthenticated bulk length"
)

// ErrProtoExpectedDollar says that an argument did not begin with '$'.
func ErrProtoExpectedDollar(got byte) Error {
	return Error("ERR Protocol error: expected '$', got '" + string([]byte{got}) + "'")
}

// ErrWrongArgs says that a command, by its lower-case full name ("set", "config|get"), got too few or too many arguments.
func ErrWrongArgs(fullName string) Error {
	return Error("ERR wrong number of arguments for '" + fullName + "' command")
}

// unknownPreview is how many bytes of an unknown command's name and of its arguments are shown.
const unknownPreview = 128

// ErrUnknownCommand names a command that does not exist and shows the beginning of its arguments.
func ErrUnknownCommand(argv [][]byte) Error {
	var b strings.Builder
	b.WriteString("ERR unknown command '")
	b.Write(clip(argv[0], unknownPreview))
	b.WriteString("', with args beginning with: ")
	shown := 0
	for _, a := range argv[1:] {
		if shown >= unknownPreview {
			break
		}
		a = clip(a, unknownPreview-shown)
		b.WriteByte('\'')
		b.Write(a)
		b.WriteString("' ")
		shown += len(a) + 3
	}
	return oneLine(b.String())
}

// ErrUnknownSubcommand names a subcommand that its container does not have.
func ErrUnknownSubcommand(container string, sub []byte) Error {
	return oneLine("ERR unknown subcommand '" + string(clip(sub, unknownPreview)) + "'. Try " + strings.ToUpper(container) + " HELP.")
}

// ErrUnknownSubcommandOrArgs is what a container answers when a subcommand exists but its arguments do not fit.
func ErrUnknownSubcommandOrArgs(container string, sub []byte) Error {
	return oneLine("ERR unknown subcommand or wrong number of arguments for '" + string(clip(sub, unknownPreview)) + "'. Try " + strings.ToUpper(container) + " HELP.")
}

// ErrInvalidExpire refuses an expire time that is out of range; name is the lower-case command.
func ErrInvalidExpire(name string) Error {
	return Error("ERR invalid expire time in '" + name + "' command")
}

// ErrInvalidPlace refuses coordinates out of bounds.
func ErrInvalidPlace(lon, lat float64) Error {
	return Error("ERR invalid longitude,latitude pair " + cFloat(lon) + "," + cFloat(lat))
}

// cFloat is f in C's %f.
func cFloat(f float64) string {
	return strings.TrimPrefix(strings.ToLower(strconv.FormatFloat(f, 'f', 6, 64)), "+")
}

// ErrGeoStoreWith refuses options of the reply where the result is stored; what names the command.
func ErrGeoStoreWith(what string) Error {
	return Error("ERR " + what + " is not compatible with WITHDIST, WITHHASH and WITHCOORD options")
}

// ErrGeoFrom and ErrGeoBy refuse a search without a center or a shape; name is the command as called.
func ErrGeoFrom(name string) Error {
	return oneLine("ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for " + name)
}

// ErrGeoBy is ErrGeoFrom for the shape.
func ErrGeoBy(name string) Error {
	return oneLine("ERR exactly one of BYRADIUS and BYBOX can be specified for " + name)
}

// ErrRange says between which two values an argument must lie.
func ErrRange(low, high int64) Error {
	return Error(fmt.Sprintf("ERR value is out of range, value must between %d and %d", low, high))
}

// Redirect is the code of ErrRedirect.
const Redirect = "REDIRECT"

// ErrRedirect sends a client that asked for it (CLIENT CAPA redirect) from a replica to its primary. Of Valkey.
func ErrRedirect(addr string) Error { return Error(Redirect + " " + addr) }

// NoPerm is the code of what ACL rules refuse.
const NoPerm = "NOPERM"

// ErrNoPermCommand says that user may not run a command (by its full name).
func ErrNoPermCommand(user, fullName string) Error {
	return oneLine("NOPERM User " + user + " has no permissions to run the '" + fullName + "' command")
}

// Errors of ACL.
const (
	ErrUserName     Error = "ERR Usernames can't contain spaces or null characters"
	ErrDefaultUser  Error = "ERR The 'default' user cannot be removed"
	ErrPasswordBits Error = "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096"
	ErrNoACLFile    Error = "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users in the Redis configuration."
	ErrACLSave      Error = "ERR There was an error trying to save the ACLs. Please check the server logs for more information"
	ErrSortByACL    Error = "ERR BY option of SORT denied due to insufficient ACL permissions."
	ErrSortGetACL   Error = "ERR GET option of SORT denied due to insufficient ACL permissions."
)

// ErrUnknownCategory refuses a category of ACL CAT.
func ErrUnknownCategory(name []byte) Error {
	return oneLine("ERR Unknown category '" + string(clip(name, unknownPreview)) + "'")
}

// ErrNoPermScript says it to a script.
func ErrNoPermScript(err Error) Error {
	return oneLine("NOPERM ACL failure in script: " + strings.TrimPrefix(string(err), NoPerm+" "))
}

// ErrNoPermChanged refuses a queued command whose permission was taken away before EXEC; reason is one of "no permission to
// execute the command or subcommand", "no permission to touch the specified keys", "no permission to access one of the
// channels used as arguments to the command" and "no permission".
func ErrNoPermChanged(reason string) Error {
	return Error("NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is no longer allowed for the following reason: " + reason)
}

// ErrNoPermKeyNamed and ErrNoPermChannelNamed are the forms that ACL DRYRUN shows, with the user and the name.
func ErrNoPermKeyNamed(user, key string) Error {
	return oneLine("NOPERM User " + user + " has no permissions to access the '" + key + "' key")
}

// ErrNoPermChannelNamed is ErrNoPermKeyNamed for a channel.
func ErrNoPermChannelNamed(user, channel string) Error {
	return oneLine("NOPERM User " + user + " has no permissions to access the '" + channel + "' channel")
}

// ErrExecAbortBecause discards a transaction whose EXEC itself was refused; reason is without its '-'.
func ErrExecAbortBecause(reason Error) Error {
	return Error("EXECABORT Transaction discarded because of: " + strings.TrimPrefix(string(reason), "ERR "))
}

// ErrMisconfAOF refuses a write because the append only file cannot be written.
func ErrMisconfAOF(cause string) Error {
	return oneLine("MISCONF Errors writing to the AOF file: " + cause)
}

// ErrScriptMisconfAOF refuses a script that may write because the append only file cannot be written.
func ErrScriptMisconfAOF(cause string) Error {
	return oneLine("MISCONF Redis is configured to persist data to AOF, but it's currently unable to persist to disk. Writable scripts are blocked. Use 'no-writes' flag for read only scripts. AOF error: " + cause)
}

// ErrScriptKeysApart refuses a command of a script whose own keys are of several slots; name is its lower-case full name.
func ErrScriptKeysApart(name string) Error {
	return Error("ERR Command '" + name + "' in script attempted to access keys that don't hash to the same slot")
}

// ErrScriptUnstable refuses a command of a script on a slot that is being moved.
func ErrScriptUnstable(name string) Error {
	return Error("ERR Unable to execute command '" + name + "' in script because undeclared keys were accessed during rehashing of the slot")
}

// ErrSubscribedContext refuses other commands while a RESP2 client is subscribed.
func ErrSubscribedContext(fullName string) Error {
	return Error("ERR Can't execute '" + fullName + "': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context")
}

// ErrDenyBlocking refuses subscriptions of a client that nothing can be pushed to.
func ErrDenyBlocking(fullName string) Error {
	return Error("ERR " + fullName + " isn't allowed for a DENY BLOCKING client")
}

// ErrMoved redirects a client to the owner of a slot.
func ErrMoved(slot int, host string, port int) Error { return redirect("MOVED ", slot, host, port) }

// ErrAsk redirects one request of a client to the importing node.
func ErrAsk(slot int, host string, port int) Error { return redirect("ASK ", slot, host, port) }

func redirect(word string, slot int, host string, port int) Error {
	b := make([]byte, 0, 64)
	b = append(b, word...)
	b = strconv.AppendInt(b, int64(slot), 10)
	b = append(b, ' ')
	b = append(b, host...)
	b = append(b, ':')
	b = strconv.AppendInt(b, int64(port), 10)
	return Error(b)
}

// ErrNotLocal refuses DEBUG and MODULE to remote clients; command is in capitals, option the directive that allows it.
func ErrNotLocal(command, option string) Error {
	return Error(command + " command not allowed. If the " + option + " option is set to \"local\", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server.").withERR()
}

// ErrHelloOption refuses an unknown or incomplete HELLO option.
func ErrHelloOption(option string) Error {
	return oneLine("ERR Syntax error in HELLO option '" + option + "'")
}

// ErrUnknownConfigOption refuses CONFIG SET of a directive that does not exist.
func ErrUnknownConfigOption(name string) Error {
	return oneLine("ERR Unknown option or number of arguments for CONFIG SET - '" + name + "'")
}

// ErrConfigSet says which directive could not be set and why.
func ErrConfigSet(name, why string) Error {
	if why == "" {
		return oneLine("ERR CONFIG SET failed (possibly related to argument '" + name + "')")
	}
	return oneLine("ERR CONFIG SET failed (possibly related to argument '" + name + "') - " + why)
}

// ErrUnknownNode refuses a CLUSTER command about a node nobody knows.
func ErrUnknownNode(id string) Error { return oneLine("ERR Unknown node " + id) }

// ErrNoInSync refuses a write in strict mode (PROTOCOL 3.7).
func ErrNoInSync(inSync, want int) Error {
	return Error(fmt.Sprintf("NOINSYNC %d of %d in-sync replicas", inSync, want))
}

// Errorf builds an error for texts that one command alone has. The format must not contain a prefix other than "ERR "
// that it means to keep; line ends become spaces.
func Errorf(format string, args ...any) Error { return oneLine(fmt.Sprintf(format, args...)) }

func (e Error) withERR() Error { return "ERR " + e }

func oneLine(s string) Error {
	if strings.ContainsAny(s, "\r\n") {
		s = strings.NewReplacer("\r", " ", "\n", " ").Replace(s)
	}
	return Error(s)
}

// clip returns b cut to n bytes, and at the first NUL, where C's %s stops.
func clip(b []byte, n int) []byte {
	if len(b) > n {
		b = b[:n]
	}
	for i, c := range b {
		if c == 0 {
			return b[:i]
		}
	}
	return b
}
