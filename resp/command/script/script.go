// Package script is the family of scripts and functions: EVAL and its like, SCRIPT, FUNCTION, FCALL. The node hands
// Commands to the table; nobody else uses it. The mechanism is resp/lua; how a script's own calls are admitted, run and
// propagated is dispatch's (command.Scripts). It must not know the other families, dispatch or the cluster.
//
// # Locks
//
// A script holds the stripes of the keys it declares; one that declares none, or allow-cross-slot-keys, holds all. It may touch
// keys it did not declare: alone any, in a cluster (without shebang line) any of its node. It takes their stripes when it does
// so, and comes with all from its next run on. What lies on other nodes is refused with Redis' texts.
//
// Alone with several loops this holds for runs that cannot write. Two that stray can lock each other out; one that has not
// written is then run again with all stripes, but what one has written cannot be taken back, and Redis knows no error to give
// it. So runs that may write hold all stripes from the first there, and so do all inside EXEC, which cannot be run again.
//
// # Concurrency
//
// Handlers run on their client's loop, under the stripes. What changes the set of libraries holds all of them, so that the
// stream has the changes in their order.
package script

import (
	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/lua"
	"github.com/sextantdb/sextant/resp/session"
	"github.com/sextantdb/sextant/store/value"
)

// Deps are what the family fronts and reads.
type Deps struct {
	Engine *lua.Engine
	// Narrow says that scripts that write too come with the stripes of the keys they declare: in a cluster, and where there
	// is one loop.
	Narrow bool
	// Debug takes the client's connection away and runs the session on a goroutine of its own. nil: nothing is debugged.
	Debug func(c *command.Ctx, s DebugSession) error
}

type family struct{ Deps }

// Commands are the entries of the family.
func Commands(d Deps) []command.Command {
	f := &family{d}
	const (
		run     = command.NoScript | command.SkipMonitor | command.NoMandatoryKeys | command.Stale | command.RunsScript
		readers = run | command.ReadOnly
		writers = run | command.MayReplicate
		library = command.NoScript | command.Write | command.WholeDB
	)
	const args = "numkeys:int [key...] [arg...]"
	rw := []command.KeySpec{command.Counted(2, command.RW|command.ReadsValue|command.Update)}
	ro := []command.KeySpec{command.Counted(2, command.RO|command.ReadsValue)}
	allShards := []string{"request_policy:all_shards", "response_policy:all_succeeded"}
	allNodes := []string{"request_policy:all_nodes", "response_policy:all_succeeded"}
	one := []string{"request_policy:all_shards", "response_policy:one_succeeded"}
	varying := []string{"nondeterministic_output_order"}
	entries := []command.Command{
		{
			Name: "EVAL", Since: "2.6.0", Arity: -3, Flags: writers, Keys: rw, Args: "script " + args, Reply: "any | nil",
			Run: func(c *command.Ctx) { f.eval(c, false) }, Refine: f.evalFlags,
			Doc: command.Doc{Summary: "Runs a Lua script.", Complexity: "That of the script"},
		},
		{
			Name: "EVAL_RO", Since: "7.0.0", Arity: -3, Flags: readers, Keys: ro, Args: "script " + args, Reply: "any | nil",
			Run: func(c *command.Ctx) { f.eval(c, true) }, Refine: f.evalFlags,
			Doc: command.Doc{Summary: "Runs a Lua script that writes nothing.", Complexity: "That of the script"},
		},
		{
			Name: "EVALSHA", Since: "2.6.0", Arity: -3, Flags: writers, Keys: rw, Args: "sha1 " + args, Reply: "any | nil",
			Run: func(c *command.Ctx) { f.evalSHA(c, false) }, Refine: f.evalSHAFlags,
			Doc: command.Doc{Summary: "Runs a cached Lua script by its SHA1.", Complexity: "That of the script"},
		},
		{
			Name: "EVALSHA_RO", Since: "7.0.0", Arity: -3, Flags: readers, Keys: ro, Args: "sha1 " + args, Reply: "any | nil",
			Run: func(c *command.Ctx) { f.evalSHA(c, true) }, Refine: f.evalSHAFlags,
			Doc: command.Doc{Summary: "Runs a cached Lua script that writes nothing by its SHA1.", Complexity: "That of the script"},
		},
		{
			Name: "FCALL", Since: "7.0.0", Arity: -3, Flags: writers, Keys: rw, Args: "function " + args, Reply: "any | nil",
			Run: func(c *command.Ctx) { f.fcall(c, false) }, Refine: f.fcallFlags,
			Doc: command.Doc{Summary: "Runs a function of a library.", Complexity: "That of the function"},
		},
		{
			Name: "FCALL_RO", Since: "7.0.0", Arity: -3, Flags: readers, Keys: ro, Args: "function " + args, Reply: "any | nil",
			Run: func(c *command.Ctx) { f.fcall(c, true) }, Refine: f.fcallFlags,
			Doc: command.Doc{Summary: "Runs a function of a library that writes nothing.", Complexity: "That of the function"},
		},
		{
			Name: "SCRIPT", Since: "2.6.0", Arity: -2,
			Doc: command.Doc{Summary: "A container for commands about cached scripts.", Complexity: "Depends on subcommand."},
			Sub: []command.Command{
				{
					Name: "DEBUG", Since: "3.2.0", Arity: 3, Flags: command.NoScript, ACL: command.CatScripting, Reply: "OK",
					Args: "(mode=YES|SYNC|NO)", Run: scriptDebug,
					Doc: command.Doc{Summary: "Chooses whether the next scripts of the client are debugged.", Complexity: "O(1)"},
				},
				{
					Name: "EXISTS", Since: "2.6.0", Arity: -3, Flags: command.NoScript, ACL: command.CatScripting, Args: "sha1...", Reply: "[int...]",
					Tips: []string{"request_policy:all_shards", "response_policy:agg_logical_and"}, Run: f.scriptExists,
					Doc: command.Doc{Summary: "Tells which scripts are cached.", Complexity: "O(n) for n scripts asked for"},
				},
				{
					Name: "FLUSH", Since: "2.6.0", Arity: -2, Flags: command.NoScript, ACL: command.CatScripting, Args: "[flush-type@6.2.0=ASYNC|SYNC]", Reply: "OK",
					Tips: allNodes, Run: f.scriptFlush,
					Doc: command.Doc{Summary: "Forgets all cached scripts.", Complexity: "O(n) for n scripts",
						History: []string{"6.2.0: Added the ASYNC and SYNC flushing mode modifiers."}},
				},
				{
					Name: "HELP", Since: "5.0.0", Arity: 2, Flags: command.Loading | command.Stale, ACL: command.CatScripting, Reply: "[simple...]", Run: scriptHelp,
					Doc: command.Doc{Summary: "Lists the subcommands.", Complexity: "O(1)"},
				},
				{
					Name: "KILL", Since: "2.6.0", Arity: 2, Flags: command.NoScript | command.AllowBusy, ACL: command.CatScripting, Reply: "OK", Tips: one,
					Run: func(c *command.Ctx) { kill(c, true) },
					Doc: command.Doc{Summary: "Ends a script that runs over its time and has not written.", Complexity: "O(1)"},
				},
				{
					Name: "LOAD", Since: "2.6.0", Arity: 3, Flags: command.NoScript | command.Stale, ACL: command.CatScripting, Args: "script", Reply: "bulk",
					Tips: allNodes, Run: f.scriptLoad,
					Doc: command.Doc{Summary: "Caches a script and returns its SHA1.", Complexity: "O(n) for n bytes of script"},
				},
				{
					Name: "SHOW", Since: "8.0.0", Arity: 3, Flags: command.NoScript, ACL: command.CatScripting, Args: "sha1", Reply: "bulk", Run: f.scriptShow,
					Doc: command.Doc{Summary: "Returns the text of a cached script.", Complexity: "O(1)"},
				},
			},
		},
		{
			Name: "FUNCTION", Since: "7.0.0", Arity: -2,
			Doc: command.Doc{Summary: "A container for commands about function libraries.", Complexity: "Depends on subcommand."},
			Sub: []command.Command{
				{
					Name: "DELETE", Since: "7.0.0", Arity: 3, Flags: library, ACL: command.CatScripting, Args: "library-name", Reply: "OK", Tips: allShards,
					Run: f.functionDelete,
					Doc: command.Doc{Summary: "Deletes a library with its functions.", Complexity: "O(1)"},
				},
				{
					Name: "DUMP", Since: "7.0.0", Arity: 2, Flags: command.NoScript, ACL: command.CatScripting, Reply: "bulk", Run: f.functionDump,
					Doc: command.Doc{Summary: "Returns all libraries as one payload.", Complexity: "O(n) for n libraries"},
				},
				{
					Name: "FLUSH", Since: "7.0.0", Arity: -2, Flags: library, ACL: command.CatScripting, Args: "[flush-type=ASYNC|SYNC]", Reply: "OK", Tips: allShards,
					Run: f.functionFlush,
					Doc: command.Doc{Summary: "Deletes all libraries.", Complexity: "O(n) for n functions"},
				},
				{
					Name: "HELP", Since: "7.0.0", Arity: 2, Flags: command.Loading | command.Stale, ACL: command.CatScripting, Reply: "[simple...]", Run: functionHelp,
					Doc: command.Doc{Summary: "Lists the subcommands.", Complexity: "O(1)"},
				},
				{
					Name: "KILL", Since: "7.0.0", Arity: 2, Flags: command.NoScript | command.AllowBusy, ACL: command.CatScripting, Reply: "OK", Tips: one,
					Run: func(c *command.Ctx) { kill(c, false) },
					Doc: command.Doc{Summary: "Ends a function that runs over its time and has not written.", Complexity: "O(1)"},
				},
				{
					Name: "LIST", Since: "7.0.0", Arity: -2, Flags: command.NoScript, ACL: command.CatScripting, Args: "[LIBRARYNAME library-name-pattern] [WITHCODE]",
					Reply: "[{bulk: any}...]", Tips: varying, Run: f.functionList,
					Doc: command.Doc{Summary: "Tells about libraries and their functions.", Complexity: "O(n) for n functions"},
				},
				{
					Name: "LOAD", Since: "7.0.0", Arity: -3, Flags: library | command.DenyOOM, ACL: command.CatScripting, Args: "[REPLACE] function-code", Reply: "bulk",
					Tips: allShards, Run: f.functionLoad,
					Doc: command.Doc{Summary: "Makes a library of its code.", Complexity: "O(1) for the load, and what the code does"},
				},
				{
					Name: "RESTORE", Since: "7.0.0", Arity: -3, Flags: library | command.DenyOOM, ACL: command.CatScripting,
					Args: "serialized-value [policy=FLUSH|APPEND|REPLACE]", Reply: "OK", Tips: allShards, Run: f.functionRestore,
					Doc: command.Doc{Summary: "Adds the libraries of a payload.", Complexity: "O(n) for n libraries"},
				},
				{
					Name: "STATS", Since: "7.0.0", Arity: 2, Flags: command.NoScript | command.AllowBusy, ACL: command.CatScripting, Reply: "{bulk: any}",
					Tips: []string{"nondeterministic_output", "request_policy:all_shards", "response_policy:special"}, Run: f.functionStats,
					Doc: command.Doc{Summary: "Tells which function runs, and how many there are.", Complexity: "O(1)"},
				},
			},
		},
	}
	for i := range entries {
		entries[i].Group = command.Scripting
		if len(entries[i].Sub) == 0 {
			entries[i].ACL = command.CatScripting
		}
		for j := range entries[i].Sub {
			entries[i].Sub[j].Group = command.Scripting
		}
	}
	return entries
}

// refine is what a script's own flags make of its command's. Keys it does not name may be touched, so that it locks
// everything unless its slot is known.
func (f *family) refine(argv [][]byte, cmd command.Flags, s lua.Flags) command.Flags {
	if !f.narrow(cmd, s) || numKeys(argv) <= 0 || s&lua.AllowCrossSlot != 0 {
		cmd |= command.WholeDB
	}
	if s&lua.Compat != 0 {
		return cmd
	}
	cmd &^= command.Stale | command.DenyOOM | command.Write | command.MayReplicate
	if s&(lua.AllowOOM|lua.NoWrites) == 0 {
		cmd |= command.DenyOOM
	}
	if s&lua.NoWrites == 0 {
		cmd |= command.Write
	}
	if s&lua.AllowStale != 0 {
		cmd |= command.Stale
	}
	return cmd
}

// narrow reports whether a run comes with the stripes of its keys only.
func (f *family) narrow(cmd command.Flags, s lua.Flags) bool {
	return f.Narrow || cmd&command.ReadOnly != 0 || s&lua.NoWrites != 0
}

func numKeys(argv [][]byte) int64 {
	if len(argv) < 3 {
		return 0
	}
	n, _ := value.ParseInt(argv[2])
	return n
}

func (f *family) evalFlags(argv [][]byte, cmd command.Flags) command.Flags {
	flags, ok := lua.Compat, true
	if len(argv) > 1 {
		flags, ok = lua.Declared(argv[1])
	}
	if !ok {
		flags = lua.Compat
	}
	if f.narrow(cmd, flags) && flags&lua.Compat != 0 && f.Engine.AnyStrays() && len(argv) > 1 {
		flags |= f.strays(f.Engine.Find([]byte(lua.Digest(argv[1]))))
	}
	return f.refine(argv, cmd, flags)
}

// strays is AllowCrossSlot for a script that has touched other slots than that of its keys: from then on it is treated as if
// it had said so.
func (f *family) strays(s *lua.Script) lua.Flags {
	if s != nil && s.Strays() {
		return lua.AllowCrossSlot
	}
	return 0
}

func (f *family) evalSHAFlags(argv [][]byte, cmd command.Flags) command.Flags {
	flags := lua.Compat
	if len(argv) > 1 {
		if s := f.Engine.Find(argv[1]); s != nil {
			flags = s.Flags | f.strays(s)
		}
	}
	return f.refine(argv, cmd, flags)
}

func (f *family) fcallFlags(argv [][]byte, cmd command.Flags) command.Flags {
	flags := lua.Compat
	if len(argv) > 1 {
		if fn := f.Engine.Libraries().Function(argv[1]); fn != nil {
			flags = fn.Flags
		}
	}
	return f.refine(argv, cmd, flags)
}

func (f *family) eval(c *command.Ctx, readOnly bool) {
	keys, args, ok := split(c)
	if !ok {
		return
	}
	s, err := f.Engine.Compile(c.Argv[1], false)
	if err != "" {
		c.Fail(err)
		return
	}
	if c.Sess.Any(session.Debug) && c.Nested == 0 && f.Debug != nil {
		f.debug(c, s, readOnly, keys, args)
		return
	}
	f.run(c, s, readOnly, keys, args)
}

func (f *family) evalSHA(c *command.Ctx, readOnly bool) {
	if c.Sess.Any(session.Debug) {
		c.Fail(errDebugSHA)
		return
	}
	s := f.Engine.Find(c.Argv[1])
	if len(c.Argv[1]) != 40 {
		c.Fail(resp.ErrNoScript)
		return
	}
	keys, args, ok := split(c)
	if !ok {
		return
	}
	if s == nil {
		c.Fail(resp.ErrNoScript)
		return
	}
	f.run(c, s, readOnly, keys, args)
}

// split reads numkeys, keys and arguments, or answers the error.
func split(c *command.Ctx) (keys, args [][]byte, ok bool) {
	n, ok := c.Int(2)
	switch {
	case !ok:
	case n > int64(len(c.Argv)-3):
		c.Fail(resp.ErrNumKeysTooMany)
	case n < 0:
		c.Fail(resp.ErrNumKeysNegative)
	default:
		return c.Argv[3 : 3+n], c.Argv[3+n:], true
	}
	return nil, nil, false
}

func (f *family) run(c *command.Ctx, s *lua.Script, readOnly bool, keys, args [][]byte) {
	h := host{c, c.Host.(command.Scripts)}
	if err := h.s.BeginScript(c, rules(s.SHA, true, readOnly, s.Flags)); err != "" {
		c.Fail(err)
		return
	}
	out := c.Out
	o := f.Engine.Eval(s, keys, args, h, out)
	if h.s.EndScript(c) {
		f.Engine.MarkStray(s)
	}
	h.done(o)
}

func rules(name string, eval, readOnly bool, flags lua.Flags) command.ScriptRules {
	return command.ScriptRules{
		Name: name, Eval: eval, ReadOnlyCall: readOnly, Compat: flags&lua.Compat != 0, NoWrites: flags&lua.NoWrites != 0,
		AllowOOM: flags&lua.AllowOOM != 0, AllowStale: flags&lua.AllowStale != 0, NoCluster: flags&lua.NoCluster != 0,
		AnyCrossSlot: flags&lua.AllowCrossSlot != 0,
	}
}

func (f *family) fcall(c *command.Ctx, readOnly bool) {
	fn := f.Engine.Libraries().Function(c.Argv[1])
	if fn == nil {
		c.Fail(errNoFunction)
		return
	}
	if _, ok := value.ParseInt(c.Argv[2]); !ok {
		c.Fail(errNumKeys)
		return
	}
	keys, args, ok := split(c)
	if !ok {
		return
	}
	h := host{c, c.Host.(command.Scripts)}
	if err := h.s.BeginScript(c, rules(fn.Name, false, readOnly, fn.Flags)); err != "" {
		c.Fail(err)
		return
	}
	o := f.Engine.Call(fn, keys, args, h, c.Out)
	h.s.EndScript(c)
	h.done(o)
}

const (
	errNoFunction resp.Error = "ERR Function not found"
	errNumKeys    resp.Error = "ERR Bad number of keys provided"
)

// host is a run's way out.
type host struct {
	c *command.Ctx
	s command.Scripts
}

func (h host) Call(argv [][]byte, proto int) []byte   { return h.s.CallScript(h.c, argv, proto) }
func (h host) Allowed(argv [][]byte) (ok, known bool) { return h.s.ScriptAllowed(h.c, argv) }
func (h host) SetRepl(flags int)                      { h.s.ScriptRepl(h.c, command.Targets(flags)) }
func (h host) Interrupt() string                      { return h.s.ScriptInterrupt(h.c) }

// done tells the statistics of the error a run answered, and whether they know it from inside.
func (h host) done(o lua.Outcome) {
	h.c.Err, h.c.ErrCounted = o.Err, o.Counted
}
