package admin_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/command/admin"
	"github.com/sextantdb/sextant/resp/command/commandtest"
	"github.com/sextantdb/sextant/resp/command/hash"
	"github.com/sextantdb/sextant/resp/command/set"
	"github.com/sextantdb/sextant/resp/observe"
	"github.com/sextantdb/sextant/resp/session"
	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/stat"
	"github.com/sextantdb/sextant/store/value"
)

// node is everything the family needs of a node; it notes what it is asked for.
type node struct {
	notes      []string
	err        resp.Error // what Saver, Config and Shutdown answer
	busy       bool       // BGSave is put off
	savePoints bool
	params     []admin.Param
	memory     admin.MemoryStats
}

func (n *node) note(format string, args ...any) {
	n.notes = append(n.notes, fmt.Sprintf(format, args...))
}

// take returns what was noted on one of the bench's two sides.
func (n *node) take() string {
	got := n.notes[:len(n.notes)/2]
	n.notes = nil
	return strings.Join(got, ", ")
}

func (n *node) Get(patterns [][]byte) []admin.Param {
	n.note("get %q", patterns)
	return n.params
}

func (n *node) Set(params []admin.Param, loading, local bool) resp.Error {
	n.note("set %v %v %v", params, loading, local)
	return n.err
}
func (n *node) Rewrite() resp.Error     { n.note("rewrite"); return n.err }
func (n *node) RewriteAll() resp.Error  { n.note("rewrite all"); return n.err }
func (n *node) Secret(name string) bool { return name == "requirepass" }

func (n *node) LastSave() int64            { return 1234 }
func (n *node) Save(done func(resp.Error)) { n.note("save"); done(n.err) }
func (n *node) Flushed() bool {
	n.note("flushed")
	return n.savePoints
}
func (n *node) SaveEmpty(done func(resp.Error)) {
	n.note("save empty")
	done("")
}

func (n *node) LoadAOF(func(resp.Error)) { n.note("loadaof") }
func (n *node) RewriteAOF(later bool) (bool, resp.Error) {
	n.note("rewrite %v", later)
	return n.busy, n.err
}
func (n *node) SetAOFFlushSleep(d time.Duration) { n.note("flush sleep %v", d) }
func (n *node) CancelBGSave() (running, scheduled bool) {
	n.note("cancel")
	return n.busy, n.err != ""
}

func (n *node) BGSave(schedule bool) (bool, resp.Error) {
	n.note("bgsave %v", schedule)
	return n.busy && schedule, n.err
}
func (n *node) Reload(o admin.ReloadOptions, done func(resp.Error)) {
	n.note("reload %v", o)
	done(n.err)
}

func (n *node) Begin(o admin.ShutdownOptions, _ func(resp.Error)) { n.note("shutdown %v", o) }
func (n *node) Abort() bool                                       { n.note("abort"); return n.busy }

func (n *node) Sleep(d time.Duration)        { n.note("sleep %v", d) }
func (n *node) SetActiveExpire(on bool)      { n.note("expire %v", on) }
func (n *node) SetSkipChecksum(on bool)      { n.note("skip checksum %v", on) }
func (n *node) PauseCron(on bool)            { n.note("pause cron %v", on) }
func (n *node) PauseSyncs(on bool)           { n.note("pause syncs %v", on) }
func (n *node) SetSideGrace(d time.Duration) { n.note("side grace %v", d) }
func (n *node) SetDenyScripts(on bool)       { n.note("deny scripts %v", on) }
func (n *node) CloseOnDrop(on bool)          { n.note("close on drop %v", on) }
func (n *node) DropBusPackets(word string) resp.Error {
	n.note("drop %s", word)
	return n.err
}
func (n *node) KillBusLinks(direction, id string) resp.Error {
	n.note("kill %s %s", direction, id)
	return n.err
}
func (n *node) ChangeReplicationID()  { n.note("replid") }
func (n *node) Log(text string)       { n.note("log %s", text) }
func (n *node) Crash(how admin.Crash) { n.note("crash %d", how) }
func (n *node) SetReplyBuffer(ms *int64, resizing *bool) {
	if ms != nil {
		n.note("peak %d", *ms)
	} else {
		n.note("resizing %v", *resizing)
	}
}
func (n *node) Restart(graceful bool, delay time.Duration) resp.Error {
	n.note("restart %v %v", graceful, delay)
	return "ERR failed to restart the server. Check server logs."
}

func (n *node) Stats() admin.MemoryStats { return n.memory }
func (n *node) Purge()                   { n.note("purge") }
func (n *node) AllocatorStats() string   { return "numbers" }

type bench struct {
	*commandtest.Bench
	*node
	deps  admin.Deps
	stats *observe.Commands
}

func newBench(t testing.TB, change func(*admin.Deps)) *bench {
	b := &bench{node: &node{}}
	b.deps = admin.Deps{
		Table: func() *command.Table { return b.Table }, Stats: &stat.Registry{},
		Config: b.node, Saver: b.node, Shutdown: b.node, Debug: b.node, Memory: b.node,
		Slowlog: observe.NewSlowlog(0, 10), Latency: observe.NewLatency(1),
		Commands:   func() *observe.Commands { return b.stats },
		NowMicros:  func() int64 { return 1_700_000_000_000_042 },
		AllowDebug: admin.PermitYes, Version: "7.2.4", LazyFlush: func() bool { return false },
	}
	if change != nil {
		change(&b.deps)
	}
	b.Bench = commandtest.New(t, admin.Commands(b.deps), sample())
	names := make([]string, b.Table.Len())
	for _, c := range b.Table.All() {
		names[c.ID()] = c.LowerName()
	}
	b.stats = observe.NewCommands(names, 1)
	return b
}

// sample is a small family with keys, to look at with COMMAND.
func sample() []command.Command {
	nothing := func(c *command.Ctx) { c.Out.OK() }
	doc := command.Doc{Summary: "s", Complexity: "O(1)"}
	return []command.Command{
		{
			Name: "PUT", Since: "1.0.0", Group: command.String, Arity: -3, Flags: command.Write | command.DenyOOM, Reply: "OK",
			Args: "key value [condition=NX|XX] [EX seconds:int]", ACL: command.CatString, Tips: []string{"tip"},
			Keys: []command.KeySpec{command.At(1, command.RW|command.Update)}, Doc: doc,
			Run: func(c *command.Ctx) { c.Txn.SetString(c.Argv[1], c.Argv[2], store.NoExpire); c.Out.OK() },
		},
		{
			Name: "MANY", Since: "1.0.0", Group: command.SortedSet, Arity: -3, Flags: command.ReadOnly, Reply: "OK", Args: "numkeys:int key... [STORE key]",
			Keys: []command.KeySpec{command.Counted(1, command.RO|command.ReadsValue), command.After("STORE", 2, 0, 1, 0, command.RO)},
			Doc:  command.Doc{Summary: "s", Complexity: "O(1)", Deprecated: "2.0.0", ReplacedBy: "`PUT`", History: []string{"1.1.0: changed."}},
			Run:  nothing,
		},
	}
}

func do(c *commandtest.Client, call string) string {
	return strings.TrimSuffix(c.Do(strings.Fields(call)...).String(), "\n")
}

func TestWholeDataSet(t *testing.T) {
	b := newBench(t, nil)
	c := b.Client(0)
	c.Do("PUT", "a", "1")
	c.Do("PUT", "b", "1")
	require.Equal(t, "2", do(c, "DBSIZE"))
	require.Equal(t, "OK\n~ FLUSHDB SYNC", do(c, "FLUSHDB SYNC"))
	require.Equal(t, "0", do(c, "DBSIZE"))
	require.Equal(t, "OK\n~ FLUSHDB", do(c, "FLUSHDB"), "sent on although nothing was there")
	require.Empty(t, b.notes)
	require.Equal(t, "OK\n~ FLUSHALL ASYNC", do(c, "FLUSHALL ASYNC"))
	require.Equal(t, "flushed", b.take())
	require.Equal(t, "-ERR syntax error", do(c, "FLUSHALL NOW"))
	require.Equal(t, "-ERR syntax error", do(c, "FLUSHDB ASYNC SYNC"))

	c.Do("PUT", "a", "1")
	require.Equal(t, "OK\n~ SWAPDB 0 3", do(c, "SWAPDB 0 3"))
	require.Equal(t, "0", do(c, "DBSIZE"))
	require.Equal(t, "OK\n~ SWAPDB 1 1", do(c, "SWAPDB 1 1"))
	require.Equal(t, "-ERR DB index is out of range", do(c, "SWAPDB 0 16"))
	require.Equal(t, "-ERR invalid first DB index", do(c, "SWAPDB x 0"))
	require.Equal(t, "-ERR invalid second DB index", do(c, "SWAPDB 0 x"))
	cluster := newBench(t, func(d *admin.Deps) { d.ClusterMode = true })
	require.Equal(t, "-ERR SWAPDB is not allowed in cluster mode", do(cluster.Client(0), "SWAPDB 0 1"))

	require.Equal(t, `["1700000000", "42"]`, do(c, "TIME"))
	require.Equal(t, "1234", do(c, "LASTSAVE"))
	require.Contains(t, do(c, "LOLWUT VERSION 5"), "Redis ver. 7.2.4")
}

func TestInfo(t *testing.T) {
	b := newBench(t, nil)
	hits := b.deps.Stats.Section("stats", "Stats", stat.Default).Counter("hits", "")
	hits.Add(3)
	b.deps.Stats.Section("more", "More", stat.All).Text("x", "", func() string { return "y" })
	c := b.Client(0)
	require.Equal(t, "# Stats\r\nhits:3\r\n", string(c.Do("INFO").Reply.Str))
	require.Equal(t, "# Stats\r\nhits:3\r\n\r\n# More\r\nx:y\r\n", string(c.Do("INFO", "STATS", "more").Reply.Str))
	require.Equal(t, resp.KindVerbatim, c.Do("INFO").Reply3.Kind)
	require.Equal(t, "OK", do(c, "CONFIG RESETSTAT"))
	require.Zero(t, hits.Load())
}

func TestSaving(t *testing.T) {
	b := newBench(t, nil)
	c := b.Client(0)
	require.Equal(t, "Background saving started", do(c, "BGSAVE"))
	b.busy = true
	require.Equal(t, "Background saving scheduled", do(c, "BGSAVE SCHEDULE"))
	require.Equal(t, "bgsave false, bgsave false", b.take())
	b.err = resp.ErrSaveInProgress
	require.Equal(t, "-ERR Background save already in progress", do(c, "BGSAVE"))
	require.Equal(t, "-ERR syntax error", do(c, "BGSAVE NOW"))
	require.Equal(t, "Background saving cancelled", do(c, "BGSAVE CANCEL"))
	b.busy = false
	require.Equal(t, "Scheduled background saving cancelled", do(c, "BGSAVE cancel"))
	b.err = ""
	require.Equal(t, "-ERR Background saving is currently not in progress or scheduled", do(c, "BGSAVE CANCEL"))
	require.Equal(t, "-ERR syntax error", do(c, "BGSAVE CANCEL SCHEDULE"))
	b.busy, b.err = true, resp.ErrSaveInProgress
	b.take()
	// Nobody waits on a bench: parked calls answer at once that their time is up.
	do(c, "SAVE")
	require.Equal(t, "save", b.take())
	for call, want := range map[string]string{
		"SHUTDOWN":                  "shutdown {0 false false}",
		"SHUTDOWN SAVE NOW":         "shutdown {1 true false}",
		"SHUTDOWN NOSAVE FORCE":     "shutdown {2 false true}",
		"SHUTDOWN ABORT":            "abort",
		"SHUTDOWN SAVE NOSAVE":      "",
		"SHUTDOWN ABORT NOW":        "",
		"SHUTDOWN SOON":             "",
		"DEBUG RELOAD":              "reload {false false false}",
		"DEBUG RELOAD nosave MERGE": "reload {true false true}",
		"DEBUG RELOAD NOFLUSH":      "reload {false true false}",
		"DEBUG LOADAOF":             "loadaof",
	} {
		got := do(c, call)
		require.Equal(t, want, b.take(), call)
		if want == "" {
			require.Equal(t, "-ERR syntax error", got, call)
		}
	}
	require.Equal(t, "OK", do(c, "SHUTDOWN ABORT"))
	b.busy = false
	require.Equal(t, "-ERR No shutdown in progress.", do(c, "SHUTDOWN ABORT"))
	require.Equal(t, "-ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.", do(c, "DEBUG RELOAD X"))
}

// host lets a test park a call and finish it.
type host struct{ finished func(*resp.Writer) }

func (h *host) Call(*command.Ctx, *command.Command, [][]byte)           {}
func (h *host) Park(*command.Ctx, command.Park) command.Ticket          { return h }
func (h *host) Notify(*command.Ctx, command.EventClass, string, []byte) {}
func (h *host) Finish(reply func(*resp.Writer)) bool                    { h.finished = reply; return true }

func TestSaveAnswersWhenItIsDone(t *testing.T) {
	b := newBench(t, nil)
	call := func(nested int) string {
		h := &host{}
		var txn store.Txn
		c := &command.Ctx{Host: h, Out: resp.NewWriter(nil, 2), Txn: &txn, Sess: session.New(1, nil, 0), Nested: nested}
		cmd := b.Table.Get("save")
		c.Reset(cmd, [][]byte{[]byte("SAVE")})
		cmd.Run(c)
		if h.finished != nil {
			require.Zero(t, c.Out.Len(), "a parked call answers nothing by itself")
			h.finished(c.Out)
		}
		return string(c.Out.Bytes())
	}
	require.Equal(t, "+OK\r\n", call(0))
	b.err = resp.ErrSaveInProgress
	require.Equal(t, "-ERR Background save already in progress\r\n", call(0))
	require.Equal(t, "-ERR Command not allowed inside a transaction\r\n", call(1))
}

func TestConfig(t *testing.T) {
	b := newBench(t, nil)
	c := b.Client(0)
	b.params = []admin.Param{{Name: "a", Value: "1"}, {Name: "b", Value: ""}}
	require.Equal(t, "[\"a\", \"1\", \"b\", \"\"]\nRESP3 {\"a\": \"1\", \"b\": \"\"}", do(c, "CONFIG GET a* b"))
	require.Equal(t, `get ["a*" "b"]`, b.take())
	require.Equal(t, "OK", do(c, "CONFIG SET a 1 b 2"))
	require.Equal(t, "set [{a 1} {b 2}] false true", b.take())
	require.Equal(t, "-ERR syntax error", do(c, "CONFIG SET a 1 b"))
	b.err = resp.ErrConfigSet("a", "no")
	require.Equal(t, "-ERR CONFIG SET failed (possibly related to argument 'a') - no", do(c, "CONFIG SET a 1"))
	b.err = resp.ErrNoConfigFile
	require.Equal(t, "-ERR The server is running without a config file", do(c, "CONFIG REWRITE"))
	b.err = ""
	require.Equal(t, "OK", do(c, "CONFIG REWRITE"))

	argv := [][]byte{[]byte("CONFIG"), []byte("SET"), []byte("requirepass"), []byte("x"), []byte("y"), []byte("z")}
	c.Side().Run(b.Table.Get("config|set"), argv, b.Now)
	require.Equal(t, "(redacted) y z", string(argv[3])+" "+string(argv[4])+" "+string(argv[5]), "secrets are kept out of the logs")
}

func TestModulesAreRefused(t *testing.T) {
	c := newBench(t, nil).Client(0)
	require.Equal(t, "[]", do(c, "MODULE LIST"))
	require.True(t, strings.HasPrefix(do(c, "MODULE LOAD x"), `-ERR MODULE command not allowed. If the enable-module-command option is set to "local"`))
	c = newBench(t, func(d *admin.Deps) { d.AllowModule = admin.PermitLocal }).Client(0)
	require.Contains(t, do(c, "MODULE LOADEX x"), "-ERR Modules are not supported")
	require.Equal(t, "-ERR Error unloading module: no such module with that name", do(c, "MODULE UNLOAD x"))
}

func TestCommandInfo(t *testing.T) {
	b := newBench(t, nil)
	c := b.Client(0)
	require.Equal(t, `[["put", -3, [write, denyoom], 1, 1, 1, [@write, @string, @slow], ["tip"], `+
		`[["flags", [RW, update], "begin_search", ["type", "index", "spec", ["index", 1]], "find_keys", ["type", "range", "spec", ["lastkey", 0, "keystep", 1, "limit", 0]]]], []], nil]`,
		strings.Split(do(c, "COMMAND INFO put nope"), "\n")[0])
	many := do(c, "COMMAND INFO MANY")
	require.Contains(t, many, `[readonly, movablekeys], 0, 0, 0`)
	require.Contains(t, many, `["type", "keynum", "spec", ["keynumidx", 0, "firstkey", 1, "keystep", 1]]`)
	require.Contains(t, many, `["type", "keyword", "spec", ["keyword", "STORE", "startfrom", 2]]`)
	require.Contains(t, do(c, "COMMAND INFO config|get"), `"config|get", -3, [admin, noscript, loading, stale]`)
	require.Contains(t, do(c, "COMMAND INFO debug"), `"debug", -2, [admin, noscript, loading, stale], 0`, "protected is not told")
	require.Equal(t, len(b.Table.Commands()), len(c.Do("COMMAND").Reply.Elems))
	require.Equal(t, c.Do("COMMAND").Reply, c.Do("COMMAND", "INFO").Reply)
	require.EqualValues(t, len(b.Table.Commands()), c.Do("COMMAND", "COUNT").Reply.Int)
	require.Equal(t, "-ERR unknown subcommand 'NOSUCH'. Try COMMAND HELP.", do(c, "COMMAND NOSUCH"))
}

func TestCommandDocs(t *testing.T) {
	b := newBench(t, nil)
	c := b.Client(0)
	require.Equal(t, `["put", ["summary", "s", "since", "1.0.0", "group", "string", "complexity", "O(1)", "arguments", [`+
		`["name", "key", "type", "key", "display_text", "key", "key_spec_index", 0], `+
		`["name", "value", "type", "string", "display_text", "value"], `+
		`["name", "condition", "type", "oneof", "flags", [optional], "arguments", [`+
		`["name", "nx", "type", "pure-token", "display_text", "nx", "token", "NX"], ["name", "xx", "type", "pure-token", "display_text", "xx", "token", "XX"]]], `+
		`["name", "seconds", "type", "integer", "display_text", "seconds", "token", "EX", "flags", [optional]]]]]`,
		strings.Split(do(c, "COMMAND DOCS put nope"), "\n")[0])
	many := do(c, "COMMAND DOCS many")
	require.Contains(t, many, `"group", "sorted-set"`)
	require.Contains(t, many, `"doc_flags", [deprecated], "deprecated_since", "2.0.0", "replaced_by", "`+"`PUT`"+`", "history", [["1.1.0", "changed."]]`)
	require.Contains(t, many, `"key_spec_index", 1, "token", "STORE"`)
	require.Contains(t, do(c, "COMMAND DOCS config"), `"subcommands", ["config|get", ["summary"`)
	require.Equal(t, 2*len(b.Table.Commands()), len(c.Do("COMMAND", "DOCS").Reply.Elems))
}

func TestCommandListAndKeys(t *testing.T) {
	b := newBench(t, nil)
	c := b.Client(0)
	for call, want := range map[string]string{
		"COMMAND LIST FILTERBY pattern config|re*": `["config|resetstat", "config|rewrite"]`,
		"COMMAND LIST FILTERBY ACLCAT string":      `["put"]`,
		"COMMAND LIST FILTERBY ACLCAT nope":        `[]`,
		"COMMAND LIST FILTERBY MODULE x":           `[]`,
		"COMMAND LIST FILTERBY nope x":             `-ERR syntax error`,
		"COMMAND LIST FILTERBY MODULE":             `-ERR syntax error`,
		"COMMAND GETKEYS put a b":                  `["a"]`,
		"COMMAND GETKEYS many 2 a b":               `["a", "b"]`,
		"COMMAND GETKEYS many 2 a b store c":       `["a", "b", "c"]`,
		"COMMAND GETKEYS many 3 a b":               `-ERR Invalid arguments specified for command`,
		"COMMAND GETKEYS nope a b":                 `-ERR Invalid command specified`,
		"COMMAND GETKEYS dbsize":                   `-ERR The command has no key arguments`,
		"COMMAND GETKEYS put a":                    `-ERR Invalid number of arguments specified for command`,
		"COMMAND GETKEYS memory usage k":           `["k"]`,
		"COMMAND GETKEYSANDFLAGS put a b":          `[["a", [RW, update]]]`,
	} {
		require.Equal(t, want, strings.Split(do(c, call), "\n")[0], call)
	}
	require.Equal(t, b.Table.Len(), len(c.Do("COMMAND", "LIST").Reply.Elems))
}

func TestSlowlogAndLatency(t *testing.T) {
	b := newBench(t, nil)
	c := b.Client(0)
	for i := range 12 {
		b.deps.Slowlog.Add(100, int64(i), [][]byte{[]byte("get"), []byte("k")}, "1.1.1.1:1", "me")
	}
	require.Equal(t, "10", do(c, "SLOWLOG LEN"))
	require.Equal(t, `[[11, 100, 11, ["get", "k"], "1.1.1.1:1", "me"]]`, do(c, "SLOWLOG GET 1"))
	require.Len(t, c.Do("SLOWLOG", "GET", "-1").Reply.Elems, 10)
	require.Equal(t, "-ERR count should be greater than or equal to -1", do(c, "SLOWLOG GET -2"))
	require.Equal(t, "-ERR count should be greater than or equal to -1", do(c, "SLOWLOG GET x"))
	require.Equal(t, "OK", do(c, "SLOWLOG RESET"))
	require.Equal(t, "0", do(c, "SLOWLOG LEN"))

	b.deps.Latency.Note(observe.EventCommand, 100, 20)
	b.deps.Latency.Note(observe.EventCommand, 101, 10)
	require.Equal(t, `[[100, 20], [101, 10]]`, do(c, "LATENCY HISTORY command"))
	require.Equal(t, `[]`, do(c, "LATENCY HISTORY none"))
	require.Equal(t, `[["command", 101, 10, 20]]`, do(c, "LATENCY LATEST"))
	require.Contains(t, do(c, "LATENCY GRAPH command"), "command - high 20 ms, low 10 ms (all time high 20 ms)")
	require.Equal(t, "-ERR No samples available for event 'none'", do(c, "LATENCY GRAPH none"))
	require.Contains(t, do(c, "LATENCY DOCTOR"), "1. command: 2 latency spikes")
	b.stats.Shard(0).Done(b.Table.Get("config|get").ID(), 5000, false)
	require.Equal(t, `["config|get", ["calls", 1, "histogram_usec", [8, 1]]]`, strings.Split(do(c, "LATENCY HISTOGRAM"), "\n")[0])
	require.Equal(t, do(c, "LATENCY HISTOGRAM"), do(c, "LATENCY HISTOGRAM nope config"))
	require.Equal(t, "[]\nRESP3 {}", do(c, "LATENCY HISTOGRAM put"))
	b.deps.Latency.Reset()
	require.Equal(t, "0", do(c, "LATENCY RESET"))
	b.deps.Latency.SetThreshold(0)
	require.Contains(t, do(c, "LATENCY DOCTOR"), "is off")
}

func TestMemory(t *testing.T) {
	b := newBench(t, nil)
	c := b.Client(0)
	c.Do("PUT", "k", "v")
	require.Greater(t, c.Do("MEMORY", "USAGE", "k").Reply.Int, int64(2))
	require.Equal(t, do(c, "MEMORY USAGE k"), do(c, "MEMORY USAGE k SAMPLES 0"))
	require.Equal(t, "nil", do(c, "MEMORY USAGE none"))
	require.Equal(t, "-ERR syntax error", do(c, "MEMORY USAGE k SAMPLES"))
	require.Equal(t, "-ERR syntax error", do(c, "MEMORY USAGE k SAMPLES -1"))
	require.Equal(t, "-ERR value is not an integer or out of range", do(c, "MEMORY USAGE k SAMPLES x"))
	require.Equal(t, "OK", do(c, "MEMORY PURGE"))
	require.Contains(t, do(c, "MEMORY MALLOC-STATS"), "numbers")

	require.Contains(t, do(c, "MEMORY DOCTOR"), "hardly any data")
	b.memory = admin.MemoryStats{
		Peak: 200 << 20, Total: 100 << 20, Startup: 1 << 20, KeysCount: 99, DBs: []admin.DBMemory{{DB: 3, MainBytes: 10, ExpiresBytes: 5}},
		RSS: 101 << 20, AllocatorAllocated: 100 << 20, AllocatorActive: 100 << 20, AllocatorResident: 100 << 20,
	}
	stats := strings.Split(do(c, "MEMORY STATS"), "\n")[0]
	for _, want := range []string{
		`"peak.allocated", 209715200`, `"db.3", ["overhead.hashtable.main", 10, "overhead.hashtable.expires", 5, "overhead.hashtable.slot-to-keys", 0]`,
		`"keys.bytes-per-key", 1048576`, `"peak.percentage", "50"`, `"overhead.total", 1048591`, `"fragmentation.bytes", 1048576`,
	} {
		require.Contains(t, stats, want)
	}
	require.Len(t, c.Do("MEMORY", "STATS").Reply.Elems, 2*28)
	require.Contains(t, do(c, "MEMORY DOCTOR"), "Peak memory")
	b.memory.Peak = b.memory.Total
	require.Contains(t, do(c, "MEMORY DOCTOR"), "Nothing is out of proportion")
}

func TestDebugIsGuarded(t *testing.T) {
	no := newBench(t, func(d *admin.Deps) { d.AllowDebug = admin.PermitNo })
	require.Equal(t, string("-"+resp.ErrNotLocal("DEBUG", "enable-debug-command")), do(no.Client(0), "DEBUG SLEEP 0"))
	local := newBench(t, func(d *admin.Deps) { d.AllowDebug = admin.PermitLocal })
	require.Equal(t, "OK", do(local.Client(session.Unix), "DEBUG SLEEP 0"))
}

func TestDebug(t *testing.T) {
	b := newBench(t, nil)
	c := b.Client(0)
	for _, step := range []struct{ call, reply, note string }{
		{"DEBUG SLEEP 0.25", "OK", "sleep 250ms"},
		{"DEBUG SLEEP nonsense", "OK", ""},
		{"DEBUG SET-ACTIVE-EXPIRE 0", "OK", "expire false"},
		{"DEBUG SET-ACTIVE-EXPIRE 1", "OK", "expire true"},
		{"DEBUG SET-SKIP-CHECKSUM-VALIDATION 1", "OK", "skip checksum true"},
		{"DEBUG SET-DISABLE-DENY-SCRIPTS 1", "OK", "deny scripts false"},
		{"DEBUG PAUSE-CRON 1", "OK", "pause cron true"},
		{"DEBUG PAUSE-AFTER-FORK 1", "OK", "pause syncs true"},
		{"DEBUG DELAY-RDB-CLIENT-FREE-SECONDS 2", "OK", "side grace 2s"},
		{"DEBUG DELAY-RDB-CLIENT-FREE-SECONDS x", "-ERR value is not an integer or out of range", ""},
		{"DEBUG CHANGE-REPL-ID", "OK", "replid"},
		{"DEBUG DROP-CLUSTER-PACKET-FILTER -1", "OK", "drop -1"},
		{"DEBUG CLOSE-CLUSTER-LINK-ON-PACKET-DROP 1", "OK", "close on drop true"},
		{"DEBUG CLUSTERLINK KILL to x", "OK", "kill to x"},
		{"DEBUG CLUSTERLINK BREAK to x", "-ERR unknown subcommand or wrong number of arguments for 'CLUSTERLINK'. Try DEBUG HELP.", ""},
		{"DEBUG LOG hello", "OK", "log DEBUG LOG: hello"},
		{"DEBUG QUICKLIST-PACKED-THRESHOLD 1b", "OK", ""},
		{"DEBUG DICT-RESIZING 0", "OK", ""},
		{"DEBUG REPLYBUFFER PEAK-RESET-TIME NEVER", "OK", "peak -1"},
		{"DEBUG REPLYBUFFER PEAK-RESET-TIME RESET", "OK", "peak 5000"},
		{"DEBUG REPLYBUFFER PEAK-RESET-TIME 100", "OK", "peak 100"},
		{"DEBUG REPLYBUFFER RESIZING 0", "OK", "resizing false"},
		{"DEBUG REPLYBUFFER NONSENSE 0", "-ERR unknown subcommand or wrong number of arguments for 'REPLYBUFFER'. Try DEBUG HELP.", ""},
		{"DEBUG RESTART 5", "-ERR failed to restart the server. Check server logs.", "restart true 5ms"},
		{"DEBUG CRASH-AND-RECOVER", "-ERR failed to restart the server. Check server logs.", "restart false 0s"},
		{"DEBUG ERROR MYCODE", "-MYCODE", ""},
		{"DEBUG STRINGMATCH-LEN a* abc", "1", ""},
		{"DEBUG STRINGMATCH-LEN b* abc", "0", ""},
		{"DEBUG NOSUCH", "-ERR unknown subcommand or wrong number of arguments for 'NOSUCH'. Try DEBUG HELP.", ""},
		{"DEBUG SLEEP", "-ERR unknown subcommand or wrong number of arguments for 'SLEEP'. Try DEBUG HELP.", ""},
		{"DEBUG OBJECT none", "-ERR no such key", ""},
		{"DEBUG HTSTATS 99", "-ERR Out of range database", ""},
		{"DEBUG LISTPACK none", "-ERR no such key", ""},
		{"DEBUG PROTOCOL integer", "12345", ""},
		{"DEBUG PROTOCOL double", "\"3.141\"", ""},
		{"DEBUG PROTOCOL array", "[0, 1, 2]", ""},
		{"DEBUG PROTOCOL null", "nil", ""},
	} {
		require.Equal(t, step.reply, strings.Split(do(c, step.call), "\n")[0], step.call)
		require.Equal(t, step.note, b.take(), step.call)
	}
	require.Contains(t, do(c, "DEBUG HELP"), "POPULATE <count>")
	require.Equal(t, "RESP3 {0: false, 1: true, 2: false}", strings.Split(do(c, "DEBUG PROTOCOL map"), "\n")[1])
	require.Contains(t, do(c, "DEBUG PROTOCOL nonsense"), "-ERR Wrong protocol type name")

	require.Equal(t, "OK", do(c, "DEBUG POPULATE 3"), "nothing is sent to replicas")
	require.Equal(t, "OK", do(c, "DEBUG POPULATE 2 pre 10"))
	require.Equal(t, "5", do(c, "DBSIZE"))
	require.Contains(t, do(c, "DEBUG OBJECT pre:1"), "encoding:embstr serializedlength:11 lru:")
	require.Contains(t, do(c, "DEBUG HTSTATS 0"), "number of elements: 5")
	require.Equal(t, "-ERR Not a listpack encoded object.", do(c, "DEBUG LISTPACK pre:1"))
	require.Contains(t, do(c, "DEBUG HTSTATS-KEY pre:1"), "not represented using an hash table")
	require.Equal(t, "-ERR value is out of range, must be positive", do(c, "DEBUG POPULATE -1"))
}

// What redis-server 7.0.15 answered for the same strings.
func TestDigestIsRedisDigest(t *testing.T) {
	b := newBench(t, nil)
	c := b.Client(0)
	require.Equal(t, strings.Repeat("0", 40), do(c, "DEBUG DIGEST"))
	c.Do("PUT", "a", "1")
	c.Do("PUT", "b", "hello")
	require.Equal(t, "[b4fc66738120fba0b5aa500ab5c2bf89cea1c5da, 36b23a1456b2dce2c3ed252c456761301dba8060, "+strings.Repeat("0", 40)+"]",
		do(c, "DEBUG DIGEST-VALUE a b nope"))
	first := do(c, "DEBUG DIGEST")
	do(c, "FLUSHALL")
	c.Do("PUT", "b", "hello")
	require.NotEqual(t, first, do(c, "DEBUG DIGEST"))
	c.Do("PUT", "a", "1")
	require.Equal(t, first, do(c, "DEBUG DIGEST"), "the order of writing does not matter")
}

// The digests are redis-server 7.0.15's of the same hash and set.
func TestDigestOfCollections(t *testing.T) {
	limits := value.UsualLimits
	b := commandtest.New(t, admin.Commands(newBench(t, nil).deps), hash.Commands(hash.Options{Limits: limits}), set.Commands(set.Options{Limits: limits}))
	c := b.Client(0)
	c.Do("HSET", "h", "b", "two", "a", "1")
	c.Do("SADD", "s", "5", "x")
	require.Equal(t, "[aaec2dd6dd5d0e6fbdce75b84b029b773e920b00, 0f7b1ca121b02df0c927eac794ae99219160a350]", do(c, "DEBUG DIGEST-VALUE h s"))
	require.Equal(t, "873d11dc67b7ad91617d68f8840560d5b8598822", do(c, "DEBUG DIGEST"))
}

func TestHelpOfEveryContainer(t *testing.T) {
	b := newBench(t, nil)
	c := b.Client(0)
	for _, cmd := range b.Table.Commands() {
		if len(cmd.Sub) > 0 {
			require.Contains(t, do(c, cmd.Name+" HELP"), cmd.Name+" <subcommand>", cmd.Name)
		}
	}
}
