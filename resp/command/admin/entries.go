package admin

import "github.com/sextantdb/sextant/resp/command"

// family are the handlers. Immutable.
type family struct{ Deps }

const (
	noScript = command.NoScript
	always   = command.Loading | command.Stale
	operator = command.Admin | noScript
	disk     = operator | command.NoAsyncLoading
)

// Policies of cluster-aware clients, as command tips.
var (
	everyNode      = []string{"request_policy:all_nodes", "response_policy:all_succeeded"}
	everyShard     = []string{"request_policy:all_shards", "response_policy:all_succeeded"}
	nodesSpecial   = []string{"nondeterministic_output", "request_policy:all_nodes", "response_policy:special"}
	shardsSpecial  = []string{"nondeterministic_output", "request_policy:all_shards", "response_policy:special"}
	varyingOrder   = []string{"nondeterministic_output_order"}
	varyingContent = []string{"nondeterministic_output"}
)

// doc is the short way to write a Doc.
func doc(summary, complexity string) command.Doc {
	return command.Doc{Summary: summary, Complexity: complexity}
}

// help is the HELP subcommand of a container.
func help(since string, flags command.Flags, lines ...string) command.Command {
	return command.Command{
		Name: "HELP", Since: since, Arity: 2, Flags: always | flags, Reply: "[simple...]",
		Doc: doc("Lists the subcommands.", "O(1)"),
		Run: func(c *command.Ctx) { c.Help(lines...) },
	}
}

// container is an entry that only has subcommands.
func container(name, since, what string, sub ...command.Command) command.Command {
	return command.Command{
		Name: name, Since: since, Arity: -2, Sub: sub,
		Doc: doc("A container for commands about "+what+".", "Depends on subcommand."),
	}
}

// Commands are the entries of the family.
func Commands(d Deps) []command.Command {
	f := &family{d}
	dangerous := command.CatKeyspace | command.CatDangerous
	entries := []command.Command{
		f.commandEntry(),
		f.configEntry(),
		f.debugEntry(),
		f.memoryEntry(),
		f.slowlogEntry(),
		f.latencyEntry(),
		f.moduleEntry(),
		{
			Name: "BGREWRITEAOF", Since: "1.0.0", Arity: 1, Flags: disk, Reply: "simple", Run: f.rewriteAOF,
			Doc: doc("Rewrites the append only file to its shortest form in the background.", "O(1)"),
		},
		{
			Name: "BGSAVE", Since: "1.0.0", Arity: -1, Flags: disk, Args: "[operation=SCHEDULE@3.2.2|CANCEL]", Reply: "simple", Run: f.bgsave,
			Doc: command.Doc{Summary: "Saves a snapshot in the background.", Complexity: "O(1)", History: []string{"3.2.2: Added the SCHEDULE option."}},
		},
		{
			Name: "DBSIZE", Since: "1.0.0", Arity: 1, Flags: command.ReadOnly | command.Fast, Reply: "int", ACL: command.CatKeyspace, Run: dbsize,
			Tips: []string{"request_policy:all_shards", "response_policy:agg_sum"},
			Doc:  doc("Returns the number of keys of the database.", "O(1)"),
		},
		{
			Name: "FLUSHALL", Since: "1.0.0", Arity: -1, Flags: command.Write | command.WholeDB, Args: "[flush-type=ASYNC@4.0.0|SYNC@6.2.0]", Reply: "OK",
			ACL: dangerous, Tips: everyShard, Run: f.flushAll,
			Doc: command.Doc{Summary: "Removes every key of every database.", Complexity: "O(n) for n keys",
				History: []string{"4.0.0: Added the ASYNC flushing mode modifier.", "6.2.0: Added the SYNC flushing mode modifier."}},
		},
		{
			Name: "FLUSHDB", Since: "1.0.0", Arity: -1, Flags: command.Write | command.WholeDB, Args: "[flush-type=ASYNC@4.0.0|SYNC@6.2.0]", Reply: "OK",
			ACL: dangerous, Tips: everyShard, Run: f.flushDB,
			Doc: command.Doc{Summary: "Removes every key of the database.", Complexity: "O(n) for n keys",
				History: []string{"4.0.0: Added the ASYNC flushing mode modifier.", "6.2.0: Added the SYNC flushing mode modifier."}},
		},
		{
			Name: "INFO", Since: "1.0.0", Arity: -1, Flags: always | command.InSentinel, Args: "[section...]", Reply: "bulk",
			ACL: command.CatDangerous, Tips: shardsSpecial, Run: f.info,
			Doc: command.Doc{Summary: "Tells about the node in lines of name and value.", Complexity: "O(1)",
				History: []string{"7.0.0: Added support for taking multiple section arguments."}},
		},
		{
			Name: "LASTSAVE", Since: "1.0.0", Arity: 1, Flags: always | command.Fast, Reply: "int", Tips: varyingContent,
			ACL: command.CatAdmin | command.CatDangerous, Run: func(c *command.Ctx) { c.Out.Int(f.Saver.LastSave()) },
			Doc: doc("Returns the Unix time of the last successful save.", "O(1)"),
		},
		{
			Name: "LOLWUT", Since: "5.0.0", Arity: -1, Flags: command.ReadOnly | command.Fast, Args: "[VERSION version:int]", Reply: "bulk", Run: f.lolwut,
			Doc: doc("Shows a sextant and the version.", "O(1)"),
		},
		{
			Name: "MONITOR", Since: "1.0.0", Arity: 1, Flags: operator | always, Reply: "OK | none", Run: f.monitor,
			Doc: doc("Shows every call the node runs, until the connection ends or RESET.", "O(1)"),
		},
		{
			Name: "SAVE", Since: "1.0.0", Arity: 1, Flags: disk | command.NoMulti, Reply: "OK", Run: f.save,
			Doc: doc("Saves a snapshot and answers when it is on disk.", "O(n) for n keys"),
		},
		{
			Name: "SHUTDOWN", Since: "1.0.0", Arity: -1, Flags: operator | always | command.NoMulti | command.InSentinel | command.AllowBusy,
			Args: "[save-selector=NOSAVE|SAVE] [NOW@7.0.0] [FORCE@7.0.0] [ABORT@7.0.0]", Reply: "OK | none", Run: f.shutdown,
			Doc: command.Doc{Summary: "Saves, if asked or configured to, and ends the node.", Complexity: "O(n) for n keys, when saving",
				History: []string{"7.0.0: Added the NOW, FORCE and ABORT modifiers."}},
		},
		{
			Name: "SWAPDB", Since: "4.0.0", Arity: 3, Flags: command.Write | command.Fast | command.WholeDB, Args: "index1:int index2:int", Reply: "OK",
			ACL: dangerous, Run: f.swapDB,
			Doc: doc("Exchanges two databases.", "O(n) for n clients that watch or wait for keys of them"),
		},
		{
			Name: "TIME", Since: "2.6.0", Arity: 1, Flags: always | command.Fast, Reply: "[bulk, bulk]", Tips: varyingContent, Run: f.time,
			Doc: doc("Returns the node's clock: Unix seconds, and microseconds.", "O(1)"),
		},
	}
	for i := range entries {
		entries[i].Group = command.Server
		for j := range entries[i].Sub {
			entries[i].Sub[j].Group = command.Server
		}
	}
	return entries
}
