// Package stream is the family of commands on streams and their consumer groups, over
// value.StreamLog. The node hands Commands to the table; nobody else uses it. It must not know the
// other families, dispatch or the cluster.
package stream

import (
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store/value"
)

// Options are the settings the family reads.
type Options struct {
	// Limits is called for single calls, on any event loop, and gives what CONFIG SET last said.
	Limits func() *value.Limits
}

// family is Options as the receiver of the handlers that need them.
type family struct{ Options }

const (
	entry   = "[bulk, [bulk...]]"
	entries = "[" + entry + "...]"
)

// Commands are the entries of the family.
func Commands(o Options) []command.Command {
	f := family{o}
	const (
		look   = command.RO | command.ReadsValue
		update = command.RW | command.Update
		remove = command.RW | command.Delete
		insert = command.RW | command.Insert
		admin  = command.Loading | command.Stale
		perID  = "O(1) for each id"
	)
	at := func(word int, a command.Access) []command.KeySpec { return []command.KeySpec{command.At(word, a)} }
	unsure := []string{"nondeterministic_output"}
	all := []command.Command{
		{
			Name: "XADD", Since: "5.0.0", Arity: -5, Flags: command.Write | command.DenyOOM | command.Fast, Reply: "bulk | nil", Run: f.xadd,
			Args: "key [NOMKSTREAM@6.2.0] [trim=(strategy=MAXLEN|MINID@6.2.0) [operator=(equal='=')|(approximately='~')] threshold [LIMIT count:int@6.2.0]] (id-selector=(auto-id='*')|id) (data=field value)...",
			Keys: at(1, update), Tips: unsure,
			Doc: command.Doc{Summary: "Adds an entry behind the last of a stream; the stream is made if it does not exist.", Complexity: "O(1), and O(n) for n entries trimmed",
				History: []string{"6.2.0: NOMKSTREAM, MINID, LIMIT", "7.0.0: ids with * for the second number"}},
		},
		{
			Name: "XTRIM", Since: "5.0.0", Arity: -4, Flags: command.Write, Reply: "int", Run: f.xtrim,
			Args: "key (trim=(strategy=MAXLEN|MINID@6.2.0) [operator=(equal='=')|(approximately='~')] threshold [LIMIT count:int@6.2.0])",
			Keys: at(1, remove), Tips: unsure,
			Doc: command.Doc{Summary: "Removes entries from the front of a stream.", Complexity: "O(n) for n entries removed", History: []string{"6.2.0: MINID, LIMIT"}},
		},
		{
			Name: "XDEL", Since: "5.0.0", Arity: -3, Flags: command.Write | command.Fast, Args: "key id...", Reply: "int", Run: xdel, Keys: at(1, remove),
			Doc: command.Doc{Summary: "Removes entries from a stream and answers how many there were.", Complexity: perID},
		},
		{
			Name: "XDELEX", Since: "8.2.0", Arity: -5, Flags: command.Write | command.Fast, Reply: "[int...]", Run: xdelex, Keys: at(1, remove),
			Args: "key [condition=KEEPREF|DELREF|ACKED] (ids=IDS numids:int id...)",
			Doc:  command.Doc{Summary: "Removes entries from a stream, and says what becomes of them in the groups.", Complexity: "O(g) for each id and g groups"},
		},
		{
			Name: "XACKDEL", Since: "8.2.0", Arity: -6, Flags: command.Write | command.Fast, Reply: "[int...]", Run: xackdel, Keys: at(1, remove),
			Args: "key group [condition=KEEPREF|DELREF|ACKED] (ids=IDS numids:int id...)",
			Doc:  command.Doc{Summary: "Acknowledges entries in a group and removes them from the stream.", Complexity: "O(g) for each id and g groups"},
		},
		{
			Name: "XLEN", Since: "5.0.0", Arity: 2, Flags: command.ReadOnly | command.Fast, Args: "key", Reply: "int", Run: xlen, Keys: at(1, command.RO),
			Doc: command.Doc{Summary: "Answers the number of entries of a stream.", Complexity: "O(1)"},
		},
		{
			Name: "XRANGE", Since: "5.0.0", Arity: -4, Flags: command.ReadOnly, Args: "key start end [COUNT count:int]", Reply: "nil | " + entries, Run: xrange, Keys: at(1, look),
			Doc: command.Doc{Summary: "Answers the entries of a stream with ids in a range.", Complexity: "O(n) for n entries answered", History: []string{"6.2.0: exclusive ends"}},
		},
		{
			Name: "XREVRANGE", Since: "5.0.0", Arity: -4, Flags: command.ReadOnly, Args: "key end start [COUNT count:int]", Reply: "nil | " + entries, Run: xrevrange, Keys: at(1, look),
			Doc: command.Doc{Summary: "Answers the entries of a stream with ids in a range, the last first.", Complexity: "O(n) for n entries answered", History: []string{"6.2.0: exclusive ends"}},
		},
		{
			Name: "XREAD", Since: "5.0.0", Arity: -4, Flags: command.ReadOnly | command.Blocking, Run: xread,
			Args:  "[COUNT count:int] [BLOCK milliseconds:int] (streams=STREAMS key... id...)",
			Reply: "nil | {bulk: " + entries + "} | [[bulk, " + entries + "]...]",
			Keys:  []command.KeySpec{command.After("STREAMS", 1, -1, 1, 2, look)},
			Doc:   command.Doc{Summary: "Answers the entries of streams behind given ids, or waits for some.", Complexity: "O(n) for n entries answered"},
		},
		{
			Name: "XREADGROUP", Since: "5.0.0", Arity: -7, Flags: command.Write | command.Blocking, Run: xreadgroup,
			Args:  "(group-block=GROUP group consumer) [COUNT count:int] [BLOCK milliseconds:int] [NOACK] (streams=STREAMS key... id...)",
			Reply: "nil | {bulk: [[bulk, [bulk...] | nil]...]} | [[bulk, [[bulk, [bulk...] | nil]...]]...]",
			Keys:  []command.KeySpec{command.After("STREAMS", 4, -1, 1, 2, look)},
			Doc:   command.Doc{Summary: "Gives entries of streams to a consumer of a group, or waits for some.", Complexity: "O(n) for n entries given"},
		},
		{
			Name: "XACK", Since: "5.0.0", Arity: -4, Flags: command.Write | command.Fast, Args: "key group id...", Reply: "int", Run: xack, Keys: at(1, update),
			Doc: command.Doc{Summary: "Acknowledges entries that were given to consumers of a group, and answers how many were pending.", Complexity: perID},
		},
		{
			Name: "XCLAIM", Since: "5.0.0", Arity: -6, Flags: command.Write | command.Fast, Run: xclaim, Keys: at(1, update), Tips: unsure,
			Args:  "key group consumer min-idle-time id... [IDLE ms:int] [TIME unix-time-milliseconds:time] [RETRYCOUNT count:int] [FORCE] [JUSTID] [LASTID lastid]",
			Reply: entries + " | [bulk...]",
			Doc:   command.Doc{Summary: "Gives pending entries of a group to another consumer.", Complexity: perID},
		},
		{
			Name: "XAUTOCLAIM", Since: "6.2.0", Arity: -6, Flags: command.Write | command.Fast, Run: xautoclaim, Keys: at(1, remove), Tips: unsure,
			Args:  "key group consumer min-idle-time start [COUNT count:int] [JUSTID]",
			Reply: "[bulk, " + entries + " | [bulk...], [bulk...]]",
			Doc: command.Doc{Summary: "Gives entries of a group that have been pending for long to another consumer.", Complexity: "O(n) for n entries looked at",
				History: []string{"7.0.0: answers which pending entries no longer exist"}},
		},
		{
			Name: "XPENDING", Since: "5.0.0", Arity: -3, Flags: command.ReadOnly, Run: xpending, Keys: at(1, look), Tips: unsure,
			Args:  "key group [filters=[IDLE min-idle-time:int@6.2.0] start end count:int [consumer]]",
			Reply: "[int, bulk | nil, bulk | nil, nil | [[bulk, bulk]...]] | [[bulk, bulk, int, int]...]",
			Doc:   command.Doc{Summary: "Answers which entries a group has been given and not acknowledged.", Complexity: "O(n) for n entries answered, O(n) for n consumers without a range", History: []string{"6.2.0: IDLE, exclusive ends"}},
		},
		{
			Name: "XSETID", Since: "5.0.0", Arity: -3, Flags: command.Write | command.DenyOOM | command.Fast, Run: xsetid, Keys: at(1, update),
			Args: "key last-id [ENTRIESADDED entries-added:int@7.0.0] [MAXDELETEDID max-deleted-id@7.0.0]", Reply: "OK",
			Doc: command.Doc{Summary: "Sets the last id of a stream. Meant for replication.", Complexity: "O(1)", History: []string{"7.0.0: ENTRIESADDED, MAXDELETEDID"}},
		},
		{
			Name: "XGROUP", Since: "5.0.0", Arity: -2, Doc: command.Doc{Summary: "Manages consumer groups.", Complexity: "Depends on subcommand."},
			Sub: []command.Command{
				{
					Name: "CREATE", Since: "5.0.0", Arity: -5, Flags: command.Write | command.DenyOOM, Run: xgroupCreate, Keys: at(2, insert),
					Args: "key group (id-selector=id|(new-id='$')) [MKSTREAM] [ENTRIESREAD entries-read:int]", Reply: "OK",
					Doc: command.Doc{Summary: "Makes a consumer group.", Complexity: "O(1)", History: []string{"7.0.0: ENTRIESREAD"}},
				},
				{
					Name: "SETID", Since: "5.0.0", Arity: -5, Flags: command.Write, Run: xgroupSetID, Keys: at(2, update),
					Args: "key group (id-selector=id|(new-id='$')) [ENTRIESREAD entriesread:int]", Reply: "OK",
					Doc: command.Doc{Summary: "Sets the last id that a consumer group has been given.", Complexity: "O(1)", History: []string{"7.0.0: ENTRIESREAD"}},
				},
				{
					Name: "DESTROY", Since: "5.0.0", Arity: 4, Flags: command.Write, Args: "key group", Reply: "int", Run: xgroupDestroy, Keys: at(2, remove),
					Doc: command.Doc{Summary: "Removes a consumer group.", Complexity: "O(n) for n entries pending"},
				},
				{
					Name: "CREATECONSUMER", Since: "6.2.0", Arity: 5, Flags: command.Write | command.DenyOOM, Args: "key group consumer", Reply: "int", Run: xgroupCreateConsumer, Keys: at(2, insert),
					Doc: command.Doc{Summary: "Adds a consumer to a group.", Complexity: "O(1)"},
				},
				{
					Name: "DELCONSUMER", Since: "5.0.0", Arity: 5, Flags: command.Write, Args: "key group consumer", Reply: "int", Run: xgroupDelConsumer, Keys: at(2, remove),
					Doc: command.Doc{Summary: "Removes a consumer from a group, and with it what it has pending.", Complexity: "O(n) for n entries pending"},
				},
				{
					Name: "HELP", Since: "5.0.0", Arity: 2, Flags: admin, Reply: "[simple...]", Run: xgroupHelp,
					Doc: command.Doc{Summary: "Answers how to use XGROUP.", Complexity: "O(1)"},
				},
			},
		},
		{
			Name: "XINFO", Since: "5.0.0", Arity: -2, Doc: command.Doc{Summary: "Looks into streams.", Complexity: "Depends on subcommand."},
			Sub: []command.Command{
				{
					Name: "STREAM", Since: "5.0.0", Arity: -3, Flags: command.ReadOnly, Args: "key [full-block=FULL [COUNT count:int]]", Reply: "{bulk: any}", Run: xinfoStream, Keys: at(2, look),
					Doc: command.Doc{Summary: "Answers what there is to know of a stream.", Complexity: "O(1), with FULL O(n) for n things answered",
						History: []string{"6.0.0: FULL", "7.0.0: max-deleted-entry-id, entries-added, recorded-first-entry-id, entries-read, lag", "7.2.0: active-time, and a new meaning of seen-time"}},
				},
				{
					Name: "GROUPS", Since: "5.0.0", Arity: 3, Flags: command.ReadOnly, Args: "key", Reply: "[{bulk: bulk | int | nil}...]", Run: xinfoGroups, Keys: at(2, look),
					Doc: command.Doc{Summary: "Answers the consumer groups of a stream.", Complexity: "O(n) for n groups", History: []string{"7.0.0: entries-read, lag"}},
				},
				{
					Name: "CONSUMERS", Since: "5.0.0", Arity: 4, Flags: command.ReadOnly, Args: "key group", Reply: "[{bulk: bulk | int}...]", Run: xinfoConsumers, Keys: at(2, look), Tips: unsure,
					Doc: command.Doc{Summary: "Answers the consumers of a group.", Complexity: "O(n) for n consumers", History: []string{"7.2.0: inactive"}},
				},
				{
					Name: "HELP", Since: "5.0.0", Arity: 2, Flags: admin, Reply: "[simple...]", Run: xinfoHelp,
					Doc: command.Doc{Summary: "Answers how to use XINFO.", Complexity: "O(1)"},
				},
			},
		},
	}
	return finish(all)
}

func finish(all []command.Command) []command.Command {
	for i := range all {
		all[i].Group = command.Stream
		if len(all[i].Sub) == 0 {
			all[i].ACL = command.CatStream
		}
		finish(all[i].Sub)
	}
	return all
}
