// Package generic is the family of commands on keys of any type: DEL, EXPIRE, RENAME, SCAN,
// DUMP and their like, over the keyspace and the payloads of package rdb. The node hands
// Commands to the table; nobody else uses it. It must not know the other families, dispatch
// or the cluster.
package generic

import (
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store/value"
)

// Options are the settings the family reads. The functions are called for single calls, on
// any event loop, and give what CONFIG SET last said.
type Options struct {
	// Cluster says that the node runs in cluster mode, where there is one database only.
	Cluster bool
	// LFU says that the maxmemory-policy in force counts accesses instead of timing them.
	LFU func() bool
	// Shared says that small numbers count as shared: nothing is kept about the use of single keys.
	Shared func() bool
	// Compress is rdbcompression, which DUMP follows.
	Compress func() bool
	// LazyExpire is lazyfree-lazy-expire, LazyServerDel lazyfree-lazy-server-del: what is
	// deleted because of a time in the past, and what RESTORE replaces by nothing, is
	// propagated as UNLINK instead of DEL.
	LazyExpire, LazyServerDel func() bool
	// Refused is told why the payload of a RESTORE is no good, which the client is not; nil:
	// nobody is.
	Refused func(error)
	// SkipChecksum says that RESTORE takes payloads with a wrong checksum (DEBUG
	// SET-SKIP-CHECKSUM-VALIDATION); nil: never.
	SkipChecksum func() bool
	// Limits say which collections stay compact when RESTORE makes them; nil stands for Redis'
	// defaults.
	Limits func() *value.Limits
}

// family is Options as the receiver of the handlers that need them.
type family struct{ Options }

// Commands are the entries of the family.
func Commands(o Options) []command.Command {
	f := family{o}
	const (
		look     = command.RO | command.ReadsValue
		readFast = command.ReadOnly | command.Fast
		source   = command.RW | command.ReadsValue | command.Delete
		replace  = command.OW | command.Update
	)
	var (
		multiShard = []string{"request_policy:multi_shard", "response_policy:agg_sum"}
		nondet     = []string{"nondeterministic_output"}
		oneRead    = []command.KeySpec{command.At(1, look)}
		oneMeta    = []command.KeySpec{command.At(1, command.RO)}
		oneUpdate  = []command.KeySpec{command.At(1, command.RW|command.Update)}
		allRemoved = []command.KeySpec{command.Span(1, -1, 1, command.RM|command.Delete)}
		allMeta    = []command.KeySpec{command.Span(1, -1, 1, command.RO)}
		second     = []command.KeySpec{command.At(2, command.RO)}
	)
	conditions := " [condition@7.0.0=NX|XX|GT|LT]"
	since7 := []string{"7.0.0: NX, XX, GT and LT"}
	object := func(name, since, reply, summary string, run func(*command.Ctx)) command.Command {
		return command.Command{
			Name: name, Since: since, Group: command.Generic, Arity: 3, Flags: command.ReadOnly, ACL: command.CatKeyspace,
			Args: "key", Reply: reply, Keys: second, Tips: nondet, Run: run,
			Doc: command.Doc{Summary: summary, Complexity: "O(1)"},
		}
	}
	const payloadArgs = "key ttl:int serialized-value [REPLACE@3.0.0] [ABSTTL@5.0.0] [IDLETIME seconds:int@5.0.0] [FREQ frequency:int@5.0.0]"
	entries := []command.Command{
		{
			Name: "DEL", Since: "1.0.0", Arity: -2, Flags: command.Write, Args: "key...", Reply: "int", Run: del, Keys: allRemoved, Tips: multiShard,
			Doc: command.Doc{Summary: "Deletes keys.", Complexity: "O(n) for n keys, and for the elements of large collections"},
		},
		{
			Name: "UNLINK", Since: "4.0.0", Arity: -2, Flags: command.Write | command.Fast, Args: "key...", Reply: "int", Run: del, Keys: allRemoved, Tips: multiShard,
			Doc: command.Doc{Summary: "Deletes keys, freeing large values later.", Complexity: "O(1) for each key"},
		},
		{
			Name: "EXISTS", Since: "1.0.0", Arity: -2, Flags: readFast, Args: "key...", Reply: "int", Run: exists, Keys: allMeta, Tips: multiShard,
			Doc: command.Doc{Summary: "Counts which of the keys exist; a key named twice counts twice.", Complexity: "O(n) for n keys",
				History: []string{"3.0.3: several keys"}},
		},
		{
			Name: "TOUCH", Since: "3.2.1", Arity: -2, Flags: readFast, Args: "key...", Reply: "int", Run: touch, Keys: allMeta, Tips: multiShard,
			Doc: command.Doc{Summary: "Renews the access time of keys and counts those that exist.", Complexity: "O(n) for n keys"},
		},
		{
			Name: "TYPE", Since: "1.0.0", Arity: 2, Flags: readFast, Args: "key", Reply: "simple", Run: typeOf, Keys: oneMeta,
			Doc: command.Doc{Summary: "Names the type of the value at a key.", Complexity: "O(1)"},
		},
		{
			Name: "EXPIRE", Since: "1.0.0", Arity: -3, Flags: command.Write | command.Fast, Args: "key seconds:int" + conditions, Reply: "int", Run: f.expire, Keys: oneUpdate,
			Doc: command.Doc{Summary: "Lets a key live for a number of seconds.", Complexity: "O(1)", History: since7},
		},
		{
			Name: "PEXPIRE", Since: "2.6.0", Arity: -3, Flags: command.Write | command.Fast, Args: "key milliseconds:int" + conditions, Reply: "int", Run: f.pexpire, Keys: oneUpdate,
			Doc: command.Doc{Summary: "Lets a key live for a number of milliseconds.", Complexity: "O(1)", History: since7},
		},
		{
			Name: "EXPIREAT", Since: "1.2.0", Arity: -3, Flags: command.Write | command.Fast, Args: "key unix-time-seconds:time" + conditions, Reply: "int", Run: f.expireat, Keys: oneUpdate,
			Doc: command.Doc{Summary: "Lets a key live until a Unix time in seconds.", Complexity: "O(1)", History: since7},
		},
		{
			Name: "PEXPIREAT", Since: "2.6.0", Arity: -3, Flags: command.Write | command.Fast, Args: "key unix-time-milliseconds:time" + conditions, Reply: "int", Run: f.pexpireat, Keys: oneUpdate,
			Doc: command.Doc{Summary: "Lets a key live until a Unix time in milliseconds.", Complexity: "O(1)", History: since7},
		},
		{
			Name: "PERSIST", Since: "2.2.0", Arity: 2, Flags: command.Write | command.Fast, Args: "key", Reply: "int", Run: persist, Keys: oneUpdate,
			Doc: command.Doc{Summary: "Takes the expiry from a key.", Complexity: "O(1)"},
		},
		{
			Name: "TTL", Since: "1.0.0", Arity: 2, Flags: readFast, Args: "key", Reply: "int", Run: ttl, Keys: oneRead, Tips: nondet,
			Doc: command.Doc{Summary: "Answers how many seconds a key has to live.", Complexity: "O(1)", History: []string{"2.8.0: -2 for a key that does not exist"}},
		},
		{
			Name: "PTTL", Since: "2.6.0", Arity: 2, Flags: readFast, Args: "key", Reply: "int", Run: pttl, Keys: oneRead, Tips: nondet,
			Doc: command.Doc{Summary: "Answers how many milliseconds a key has to live.", Complexity: "O(1)", History: []string{"2.8.0: -2 for a key that does not exist"}},
		},
		{
			Name: "EXPIRETIME", Since: "7.0.0", Arity: 2, Flags: readFast, Args: "key", Reply: "int", Run: expiretime, Keys: oneRead,
			Doc: command.Doc{Summary: "Answers the Unix time in seconds at which a key dies.", Complexity: "O(1)"},
		},
		{
			Name: "PEXPIRETIME", Since: "7.0.0", Arity: 2, Flags: readFast, Args: "key", Reply: "int", Run: pexpiretime, Keys: oneRead,
			Doc: command.Doc{Summary: "Answers the Unix time in milliseconds at which a key dies.", Complexity: "O(1)"},
		},
		{
			Name: "RENAME", Since: "1.0.0", Arity: 3, Flags: command.Write, Args: "key newkey:key", Reply: "OK", Run: rename,
			Keys: []command.KeySpec{command.At(1, source), command.At(2, replace)},
			Doc:  command.Doc{Summary: "Gives a key another name, replacing what had that name.", Complexity: "O(1), and freeing what was replaced"},
		},
		{
			Name: "RENAMENX", Since: "1.0.0", Arity: 3, Flags: command.Write | command.Fast, Args: "key newkey:key", Reply: "int", Run: renamenx,
			Keys: []command.KeySpec{command.At(1, source), command.At(2, command.OW|command.Insert)},
			Doc: command.Doc{Summary: "Gives a key another name if no key has that name.", Complexity: "O(1)",
				History: []string{"3.2.0: no error when both names are the same"}},
		},
		{
			Name: "COPY", Since: "6.2.0", Arity: -3, Flags: command.Write | command.DenyOOM, Reply: "int", Run: f.copy,
			Args: "source:key destination:key [DB destination-db:int] [REPLACE]",
			Keys: []command.KeySpec{command.At(1, look), command.At(2, replace)},
			Doc:  command.Doc{Summary: "Copies the value of a key to another key.", Complexity: "O(n) for n elements or bytes"},
		},
		{
			Name: "MOVE", Since: "1.0.0", Arity: 3, Flags: command.Write | command.Fast, Args: "key db:int", Reply: "int", Run: f.move,
			Keys: []command.KeySpec{command.At(1, command.RW|command.ReadsValue|command.Update)},
			Doc:  command.Doc{Summary: "Moves a key to another database.", Complexity: "O(1)"},
		},
		{
			Name: "DUMP", Since: "2.6.0", Arity: 2, Flags: command.ReadOnly, Args: "key", Reply: "bulk | nil", Run: f.dump, Keys: oneRead, Tips: nondet,
			Doc: command.Doc{Summary: "Answers the value at a key in the form that RESTORE takes.", Complexity: "O(n) for n elements or bytes"},
		},
		{
			Name: "RESTORE", Since: "2.6.0", Arity: -4, Flags: command.Write | command.DenyOOM, ACL: command.CatDangerous, Args: payloadArgs, Reply: "OK", Run: f.restore,
			Keys: []command.KeySpec{command.At(1, replace)},
			Doc: command.Doc{Summary: "Makes a key of what DUMP answered.", Complexity: "O(n) for n elements or bytes, O(n*log n) for sorted sets",
				History: []string{"3.0.0: REPLACE", "5.0.0: ABSTTL", "5.0.0: IDLETIME and FREQ"}},
		},
		{
			Name: "RESTORE-ASKING", Since: "3.0.0", Group: command.Server, Arity: -4, ACL: command.CatDangerous,
			Flags: command.Write | command.DenyOOM | command.Asking, Args: payloadArgs, Reply: "OK", Run: f.restore,
			Keys: []command.KeySpec{command.At(1, replace)},
			Doc: command.Doc{Summary: "RESTORE into a slot that is being imported; nodes say it to each other.",
				Complexity: "O(n) for n elements or bytes, O(n*log n) for sorted sets", SysCmd: true,
				History: []string{"3.0.0: REPLACE", "5.0.0: ABSTTL", "5.0.0: IDLETIME and FREQ"}},
		},
		{
			Name: "KEYS", Since: "1.0.0", Arity: 2, Flags: command.ReadOnly | command.WholeDB, ACL: command.CatDangerous, Args: "pattern:pattern",
			Reply: "[bulk...]", Run: keys, Tips: []string{"request_policy:all_shards", "nondeterministic_output_order"},
			Doc: command.Doc{Summary: "Lists the keys whose names match a pattern.", Complexity: "O(n) for n keys in the database"},
		},
		{
			Name: "SCAN", Since: "2.8.0", Arity: -2, Flags: command.ReadOnly | command.TouchesArbitraryKeys | command.WholeDB,
			Args: "cursor:int [MATCH pattern:pattern] [COUNT count:int] [TYPE type@6.0.0]", Reply: "[bulk, [bulk...]]", Run: scan,
			Tips: []string{"nondeterministic_output", "request_policy:special", "response_policy:special"},
			Doc: command.Doc{Summary: "Lists the keys of the database a part at a time.", Complexity: "O(1) for a call with few keys, O(n) for all calls over n keys",
				History: []string{"6.0.0: TYPE"}},
		},
		{
			Name: "RANDOMKEY", Since: "1.0.0", Arity: 1, Flags: command.ReadOnly | command.TouchesArbitraryKeys | command.WholeDB, Reply: "bulk | nil", Run: randomkey,
			Tips: []string{"request_policy:all_shards", "response_policy:special", "nondeterministic_output"},
			Doc:  command.Doc{Summary: "Answers the name of some key.", Complexity: "O(1)"},
		},
		{
			Name: "OBJECT", Since: "2.2.3", Arity: -2,
			Doc: command.Doc{Summary: "Shows how the value at a key is kept.", Complexity: "See the subcommands."},
			Sub: []command.Command{
				object("ENCODING", "2.2.3", "bulk | nil", "Names the layout of the value at a key.", objectEncoding),
				object("FREQ", "4.0.0", "int | nil", "Answers how often a key is used, as a logarithm.", f.objectFreq),
				object("IDLETIME", "2.2.3", "int | nil", "Answers how many seconds ago a key was last used.", f.objectIdleTime),
				object("REFCOUNT", "2.2.3", "int | nil", "Answers how many references the value at a key has.", f.objectRefCount),
				{
					Name: "HELP", Since: "6.2.0", Group: command.Generic, Arity: 2, Flags: command.Loading | command.Stale, ACL: command.CatKeyspace,
					Reply: "[simple...]", Run: objectHelp,
					Doc: command.Doc{Summary: "Explains the subcommands.", Complexity: "O(1)"},
				},
			},
		},
	}
	for i := range entries {
		if entries[i].Group == "" {
			entries[i].Group = command.Generic
		}
		if entries[i].Run != nil {
			entries[i].ACL |= command.CatKeyspace
		}
	}
	return entries
}

// The words that calls are rewritten with.
var (
	wordPExpireAt = []byte("PEXPIREAT")
	wordDel       = []byte("DEL")
	wordUnlink    = []byte("UNLINK")
	wordAbsTTL    = []byte("ABSTTL")
)

// propagateDeletion sends the deletion of key.
func propagateDeletion(c *command.Ctx, key []byte, lazy bool) {
	if lazy {
		c.PropagateAs(wordUnlink, key)
	} else {
		c.PropagateAs(wordDel, key)
	}
}
