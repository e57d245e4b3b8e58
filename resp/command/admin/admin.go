// Package admin is the server family: COMMAND, CONFIG, INFO, DEBUG, MEMORY, SLOWLOG, LATENCY,
// saving, flushing, shutting down. Node puts its Commands into the table. It must not know
// how those things are done: what it needs of the node are the small interfaces of Deps.
package admin

import (
	"time"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/observe"
	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/stat"
)

// Deps is what the family needs. All fields are required.
type Deps struct {
	// Table is the table the family itself is in; it is called at run time only, since the
	// table is built after the families.
	Table func() *command.Table
	// Stats is what INFO prints; CONFIG RESETSTAT resets it (whatever else must be reset
	// registers itself with Section.OnReset).
	Stats    *stat.Registry
	Config   Config
	Saver    Saver
	Shutdown Shutdown
	Debug    Debug
	Memory   Memory
	Slowlog  *observe.Slowlog
	Latency  *observe.Latency
	// Monitor turns the caller's client into a monitor.
	Monitor func(*command.Ctx) error
	// Commands are the per-command statistics; called at run time only, since they are made from the table.
	Commands func() *observe.Commands
	// NowMicros is Unix time in µs, for TIME.
	NowMicros func() int64
	// AllowDebug and AllowModule are the directives enable-debug-command and
	// enable-module-command.
	AllowDebug, AllowModule Permission
	// ClusterMode refuses SWAPDB.
	ClusterMode bool
	// Version is the Redis version we answer as, for LOLWUT and the like: "7.2.4".
	Version string
	// Loading reports whether the data set is being loaded (CONFIG SET refuses some directives
	// then); nil is never.
	Loading func() bool
	// LazyFlush is the directive lazyfree-lazy-user-flush at this moment: FLUSHALL and
	// FLUSHDB without SYNC or ASYNC free in the background.
	LazyFlush func() bool
}

// Permission is the value of enable-debug-command and enable-module-command.
type Permission uint8

const (
	PermitNo Permission = iota
	PermitLocal
	PermitYes
)

// Config is the table of directives (cluster/node). *node.Config is one.
type Config interface {
	// Get lists name and value of every directive one of the patterns matches, aliases
	// under their own names, each once, in ascending order of name. Patterns are globs
	// without regard to case; ones without *, ? and [ are names.
	Get(patterns [][]byte) []Param
	// Set changes all the given directives or none and runs their hooks. The result is ""
	// or the whole error for the client (resp.ErrConfigSet, resp.ErrUnknownConfigOption).
	// No stripe is held by the caller. local says that the caller's connection
	// comes from the loopback interface or the unix socket (enable-protected-configs local).
	Set(params []Param, loading, local bool) resp.Error
	// Secret reports whether the value of the directive must be kept out of the slow log and MONITOR.
	Secret(name string) bool
	// Rewrite rewrites the configuration file; resp.ErrNoConfigFile when there is none.
	Rewrite() resp.Error
	// RewriteAll rewrites it with every directive, also those at their defaults.
	RewriteAll() resp.Error
}

// Param is one directive and its value.
type Param struct{ Name, Value string }

// Saver makes and loads snapshots (node, over store/persist). Handlers may run with stripes
// locked (inside EXEC), so none of the methods may begin a Txn or wait; what takes time goes
// on elsewhere and says so by calling done, once, from any goroutine.
type Saver interface {
	// LastSave is the Unix time in seconds of the last successful save.
	LastSave() int64
	// Save writes a snapshot for SAVE, which parks its client until done. done gets "" or
	// the error for the client. It answers resp.ErrSaveInProgress through done when a save runs.
	Save(done func(resp.Error))
	// BGSave starts a snapshot in the background. While a rewrite of the append only file
	// runs it refuses, or, with schedule, remembers to start afterwards (scheduled is then
	// true). The error is "" or resp.ErrSaveInProgress or ErrChildActive.
	BGSave(schedule bool) (scheduled bool, err resp.Error)
	// CancelBGSave stops the save that runs in the background, or else forgets the one that is scheduled, and says
	// which of them there was. Not meant are snapshots for replicas.
	CancelBGSave() (running, scheduled bool)
	// RewriteAOF starts a rewrite of the append only file, or, with later or while a snapshot is being
	// written, remembers to start it afterwards (scheduled is then true). The error is "" or
	// ErrRewriteInProgress.
	RewriteAOF(later bool) (scheduled bool, err resp.Error)
	// Flushed says that FLUSHALL emptied every database: a running background save is
	// abandoned. It reports whether the emptiness is to be saved: save points are configured.
	Flushed() bool
	// SaveEmpty saves it, and calls done("") however that ends.
	SaveEmpty(done func(resp.Error))
	// Reload is DEBUG RELOAD: save (unless NoSave), empty the keyspace (unless NoFlush) and
	// load the snapshot again; meanwhile other clients are answered -LOADING. done gets ""
	// or the error.
	Reload(o ReloadOptions, done func(resp.Error))
	// LoadAOF is DEBUG LOADAOF: flush the append only file's buffer, empty the
	// keyspace and load it from the append only file.
	LoadAOF(done func(resp.Error))
}

// ReloadOptions are the words behind DEBUG RELOAD. Merge lets loaded keys replace
// existing ones silently; without it and with NoFlush, a key that exists is an error.
type ReloadOptions struct{ NoSave, NoFlush, Merge bool }

// ErrNothingToCancel is BGSAVE CANCEL's answer when no save is under way or scheduled.
const ErrNothingToCancel resp.Error = "ERR Background saving is currently not in progress or scheduled"

// ErrChildActive is BGSAVE's answer while the append only file is rewritten.
const ErrChildActive resp.Error = "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to schedule a BGSAVE whenever possible."

// ErrRewriteInProgress is BGREWRITEAOF's answer while one runs.
const ErrRewriteInProgress resp.Error = "ERR Background append only file rewriting already in progress"

// Shutdown ends the node.
type Shutdown interface {
	// Begin starts the orderly end: wait for replicas up to shutdown-timeout (unless Now),
	// save as Save says, close, exit. The client is parked meanwhile and gets no reply
	// when it works. failed is called once, from any goroutine, with the client's error when
	// it did not (resp.ErrShutdown), also when Abort stopped it.
	Begin(o ShutdownOptions, failed func(resp.Error))
	// Abort stops an orderly end that is still waiting; false: none was in progress.
	Abort() bool
}

// ShutdownOptions are the words behind SHUTDOWN.
type ShutdownOptions struct {
	Save  SaveMode
	Now   bool // do not wait for replicas
	Force bool // end even if saving fails
}

// SaveMode says whether SHUTDOWN saves.
type SaveMode uint8

const (
	SaveIfConfigured SaveMode = iota // when save points are configured
	SaveAlways
	SaveNever
)

// Debug are the switches of DEBUG that reach beyond the keyspace. A node may answer false or
// do nothing where it has no such thing, as said at each.
type Debug interface {
	// Sleep stops this goroutine (and so the event loop and, with the stripes the handler
	// holds, everything else) for d.
	Sleep(d time.Duration)
	// SetAOFFlushSleep makes every write to the append only file wait before.
	SetAOFFlushSleep(d time.Duration)
	// SetActiveExpire switches the expiry cycle on or off.
	SetActiveExpire(on bool)
	// SetSkipChecksum lets RESTORE and the RDB loader accept wrong checksums.
	SetSkipChecksum(on bool)
	// PauseCron stops periodic work.
	PauseCron(on bool)
	// PauseSyncs makes the process stop, as by SIGSTOP, when a snapshot for replicas has begun here, and before this node asks for the
	// stream behind a snapshot that comes by a connection of its own.
	PauseSyncs(on bool)
	// SetSideGrace says how long a snapshot that went by a connection of its own keeps its place in the stream.
	SetSideGrace(d time.Duration)
	// SetDenyScripts false lets scripts call commands flagged noscript.
	SetDenyScripts(on bool)
	// SetReplyBuffer sets how the reply buffer of clients is sized (peak reset time in ms, -1 to
	// never reset, or resizing on or off); nil leaves as is.
	SetReplyBuffer(peakResetMs *int64, resizing *bool)
	// ChangeReplicationID gives the node a new replication id, so that no replica can resync partially.
	ChangeReplicationID()
	// DropBusPackets makes the node deaf to what messages of the cluster bus a word stands for: a number of Redis' bus (-1: none) or a
	// name. The error is "" or the client's.
	DropBusPackets(word string) resp.Error
	// CloseOnDrop makes it close the link as well over which it dropped something.
	CloseOnDrop(on bool)
	// KillBusLinks closes links with a node: those the node made "to" it, those that came "from" it, or "all".
	KillBusLinks(direction, node string) resp.Error
	// Log writes a line to the node's log at level warning.
	Log(text string)
	// Crash ends the process at once: by a fault or panic, or (exit code) by plain exit.
	Crash(how Crash)
	// Restart starts the program again with the same arguments after delay, either
	// after a graceful end or at once. It returns only an error.
	Restart(graceful bool, delay time.Duration) resp.Error
}

// Crash says how DEBUG ends the process.
type Crash uint8

const (
	CrashSegfault Crash = iota
	CrashPanic
	CrashAssert
	CrashOOM
)

// Memory is what MEMORY tells and does beyond single keys.
type Memory interface {
	// Stats returns the numbers of now.
	Stats() MemoryStats
	// Purge gives free memory back to the system.
	Purge()
	// AllocatorStats is the text of MEMORY MALLOC-STATS.
	AllocatorStats() string
}

// MemoryStats are the numbers of MEMORY STATS, in bytes unless said otherwise.
type MemoryStats struct {
	Peak, Total, Startup       int64
	ReplicationBacklog         int64
	ClientsReplicas            int64
	ClientsNormal              int64
	ClusterLinks               int64
	AOFBuffer                  int64
	LuaCaches, FunctionsCaches int64
	DBs                        []DBMemory // databases that hold keys, ascending
	KeysCount                  int64
	Keyspace                   store.Stats
	RSS                        int64
	AllocatorActive            int64 // pages in use, above or equal to AllocatorAllocated
	AllocatorAllocated         int64
	AllocatorResident          int64
	Clients, Replicas          int64 // how many are connected
}

// DBMemory is the overhead of one database's tables.
type DBMemory struct {
	DB                      int
	MainBytes, ExpiresBytes int64
}
