// Package str is the string family: GET, SET, INCR and their like, over the strings of
// package value. The node hands Commands to the table; nobody else uses it. It must not know
// the other families, dispatch or the cluster.
package str

import "github.com/sextantdb/sextant/resp/command"

// Options are the settings the family reads. The functions are called for single calls, on
// any event loop, and give what CONFIG SET last said.
type Options struct {
	// MaxBulk is proto-max-bulk-len, which bounds the strings that APPEND and SETRANGE make.
	MaxBulk func() int64
	// LazyExpire is lazyfree-lazy-expire: a deletion that GETEX makes is propagated as UNLINK.
	LazyExpire func() bool
}

// family is Options as the receiver of the handlers that need them.
type family struct{ Options }

// Commands are the entries of the family.
func Commands(o Options) []command.Command {
	f := family{o}
	const (
		readFast  = command.ReadOnly | command.Fast
		write     = command.Write | command.DenyOOM
		writeFast = write | command.Fast
		look      = command.RO | command.ReadsValue
		modify    = command.RW | command.ReadsValue | command.Update
		replace   = command.OW | command.Update
	)
	const expiration = "[expiration=EX seconds:int|PX milliseconds:int|EXAT unix-time-seconds:time|PXAT unix-time-milliseconds:time|"
	entries := []command.Command{
		{
			Name: "GET", Since: "1.0.0", Arity: 2, Flags: readFast, Args: "key", Reply: "bulk | nil", Run: get,
			Keys: []command.KeySpec{command.At(1, look)},
			Doc:  command.Doc{Summary: "Answers the string at a key.", Complexity: "O(1)"},
		},
		{
			Name: "SET", Since: "1.0.0", Arity: -3, Flags: write, Reply: "OK | nil | bulk", Run: set,
			Args: "key value [condition@2.6.12=NX|XX|IFEQ comparison-value] [GET@6.2.0] " +
				"[expiration=EX seconds:int@2.6.12|PX milliseconds:int@2.6.12|EXAT unix-time-seconds:time@6.2.0|PXAT unix-time-milliseconds:time@6.2.0|KEEPTTL@6.0.0]",
			Keys: []command.KeySpec{setKey(modify|command.VariableFlags, replace)},
			Doc: command.Doc{
				Summary:    "Makes a key hold a string, whatever it held before; on request only if it exists or does not, with an expiry, or answering the old string.",
				Complexity: "O(1)",
				History: []string{"2.6.12: EX, PX, NX and XX", "6.0.0: KEEPTTL", "6.2.0: GET, EXAT and PXAT",
					"7.0.0: NX and GET together", "8.1.0: IFEQ, in Valkey; in Redis from 8.4 on"},
			},
		},
		{
			Name: "MSETEX", Since: "8.4.0", Arity: -4, Flags: write, Reply: "int", Run: msetex,
			Args: "numkeys:int (key value)... [condition=NX|XX] " + expiration + "KEEPTTL]",
			Keys: []command.KeySpec{{Access: command.OW | command.Update, Index: 1, Find: command.FindKeyNum, First: 1, Step: 2}},
			Tips: []string{"request_policy:multi_shard", "response_policy:agg_min"},
			Doc: command.Doc{Summary: "Makes several keys hold strings, all at once or none, with an expiry that they share.",
				Complexity: "O(n) for n keys"},
		},
		{
			Name: "DELIFEQ", Since: "9.0.0", Arity: 3, Flags: command.Write | command.Fast, Args: "key value", Reply: "int", Run: delifeq,
			Keys: []command.KeySpec{command.At(1, command.RM|command.Delete)},
			Doc:  command.Doc{Summary: "Deletes a key if it holds a string.", Complexity: "O(1)"},
		},
		{
			Name: "SETNX", Since: "1.0.0", Arity: 3, Flags: writeFast, Args: "key value", Reply: "int", Run: setnx,
			Keys: []command.KeySpec{command.At(1, command.OW|command.Insert)},
			Doc: command.Doc{Summary: "Makes a key that does not exist hold a string.", Complexity: "O(1)",
				Deprecated: "2.6.12", ReplacedBy: "SET with NX"},
		},
		{
			Name: "SETEX", Since: "2.0.0", Arity: 4, Flags: write, Args: "key seconds:int value", Reply: "OK", Run: setex,
			Keys: []command.KeySpec{command.At(1, replace)},
			Doc: command.Doc{Summary: "Makes a key hold a string for a number of seconds.", Complexity: "O(1)",
				Deprecated: "2.6.12", ReplacedBy: "SET with EX"},
		},
		{
			Name: "PSETEX", Since: "2.6.0", Arity: 4, Flags: write, Args: "key milliseconds:int value", Reply: "OK", Run: psetex,
			Keys: []command.KeySpec{command.At(1, replace)},
			Doc: command.Doc{Summary: "Makes a key hold a string for a number of milliseconds.", Complexity: "O(1)",
				Deprecated: "2.6.12", ReplacedBy: "SET with PX"},
		},
		{
			Name: "GETSET", Since: "1.0.0", Arity: 3, Flags: writeFast, Args: "key value", Reply: "bulk | nil", Run: getset,
			Keys: []command.KeySpec{command.At(1, modify)},
			Doc: command.Doc{Summary: "Makes a key hold a string and answers the string it held.", Complexity: "O(1)",
				Deprecated: "6.2.0", ReplacedBy: "SET with GET"},
		},
		{
			Name: "GETDEL", Since: "6.2.0", Arity: 2, Flags: command.Write | command.Fast, Args: "key", Reply: "bulk | nil", Run: getdel,
			Keys: []command.KeySpec{command.At(1, command.RW|command.ReadsValue|command.Delete)},
			Doc:  command.Doc{Summary: "Answers the string at a key and deletes the key.", Complexity: "O(1)"},
		},
		{
			Name: "GETEX", Since: "6.2.0", Arity: -2, Flags: command.Write | command.Fast, Reply: "bulk | nil", Run: f.getex,
			Args: "key " + expiration + "PERSIST]",
			Keys: []command.KeySpec{command.At(1, modify)},
			Doc:  command.Doc{Summary: "Answers the string at a key and sets or removes the key's expiry.", Complexity: "O(1)"},
		},
		{
			Name: "MGET", Since: "1.0.0", Arity: -2, Flags: readFast, Args: "key...", Reply: "[bulk | nil...]", Run: mget,
			Keys: []command.KeySpec{command.Span(1, -1, 1, look)},
			Tips: []string{"request_policy:multi_shard"},
			Doc:  command.Doc{Summary: "Answers the strings at several keys, nil for those that hold none.", Complexity: "O(n) for n keys"},
		},
		{
			Name: "MSET", Since: "1.0.1", Arity: -3, Flags: write, Args: "(data=key value)...", Reply: "OK", Run: mset,
			Keys: []command.KeySpec{command.Span(1, -1, 2, replace)},
			Tips: []string{"request_policy:multi_shard", "response_policy:all_succeeded"},
			Doc:  command.Doc{Summary: "Makes several keys hold strings, all at once.", Complexity: "O(n) for n keys"},
		},
		{
			Name: "MSETNX", Since: "1.0.1", Arity: -3, Flags: write, Args: "(data=key value)...", Reply: "int", Run: msetnx,
			Keys: []command.KeySpec{command.Span(1, -1, 2, command.OW|command.Insert)},
			Doc:  command.Doc{Summary: "Makes several keys hold strings if none of them exists.", Complexity: "O(n) for n keys"},
		},
		{
			Name: "APPEND", Since: "2.0.0", Arity: 3, Flags: writeFast, Args: "key value", Reply: "int", Run: f.append,
			Keys: []command.KeySpec{command.At(1, command.RW|command.Insert)},
			Doc:  command.Doc{Summary: "Adds to the end of the string at a key, which is made if it does not exist.", Complexity: "O(1), amortized"},
		},
		{
			Name: "STRLEN", Since: "2.2.0", Arity: 2, Flags: readFast, Args: "key", Reply: "int", Run: strlen,
			Keys: []command.KeySpec{command.At(1, command.RO)},
			Doc:  command.Doc{Summary: "Answers the length of the string at a key.", Complexity: "O(1)"},
		},
		{
			Name: "GETRANGE", Since: "2.4.0", Arity: 4, Flags: command.ReadOnly, Args: "key start:int end:int", Reply: "bulk", Run: getrange,
			Keys: []command.KeySpec{command.At(1, look)},
			Doc:  command.Doc{Summary: "Answers a part of the string at a key.", Complexity: "O(n) for n bytes answered"},
		},
		{
			Name: "SUBSTR", Since: "1.0.0", Arity: 4, Flags: command.ReadOnly, Args: "key start:int end:int", Reply: "bulk", Run: getrange,
			Keys: []command.KeySpec{command.At(1, look)},
			Doc: command.Doc{Summary: "Answers a part of the string at a key.", Complexity: "O(n) for n bytes answered",
				Deprecated: "2.0.0", ReplacedBy: "GETRANGE"},
		},
		{
			Name: "SETRANGE", Since: "2.2.0", Arity: 4, Flags: write, Args: "key offset:int value", Reply: "int", Run: f.setrange,
			Keys: []command.KeySpec{command.At(1, command.RW|command.Update)},
			Doc: command.Doc{Summary: "Writes over a part of the string at a key, filling a gap before it with zero bytes.",
				Complexity: "O(n) for n bytes written and filled"},
		},
		{
			Name: "INCR", Since: "1.0.0", Arity: 2, Flags: writeFast, Args: "key", Reply: "int", Run: incr,
			Keys: []command.KeySpec{command.At(1, modify)},
			Doc:  command.Doc{Summary: "Adds one to the integer at a key; a missing key counts as 0.", Complexity: "O(1)"},
		},
		{
			Name: "DECR", Since: "1.0.0", Arity: 2, Flags: writeFast, Args: "key", Reply: "int", Run: decr,
			Keys: []command.KeySpec{command.At(1, modify)},
			Doc:  command.Doc{Summary: "Takes one from the integer at a key; a missing key counts as 0.", Complexity: "O(1)"},
		},
		{
			Name: "INCRBY", Since: "1.0.0", Arity: 3, Flags: writeFast, Args: "key increment:int", Reply: "int", Run: incrby,
			Keys: []command.KeySpec{command.At(1, modify)},
			Doc:  command.Doc{Summary: "Adds to the integer at a key; a missing key counts as 0.", Complexity: "O(1)"},
		},
		{
			Name: "DECRBY", Since: "1.0.0", Arity: 3, Flags: writeFast, Args: "key decrement:int", Reply: "int", Run: decrby,
			Keys: []command.KeySpec{command.At(1, modify)},
			Doc:  command.Doc{Summary: "Takes from the integer at a key; a missing key counts as 0.", Complexity: "O(1)"},
		},
		{
			Name: "INCRBYFLOAT", Since: "2.6.0", Arity: 3, Flags: writeFast, Args: "key increment:double", Reply: "bulk", Run: incrbyfloat,
			Keys: []command.KeySpec{command.At(1, modify)},
			Doc:  command.Doc{Summary: "Adds to the floating point number at a key; a missing key counts as 0.", Complexity: "O(1)"},
		},
		{
			Name: "LCS", Since: "7.0.0", Arity: -3, Flags: command.ReadOnly, Run: f.lcs,
			Args:  "key1:key key2:key [LEN] [IDX] [MINMATCHLEN min-match-len:int] [WITHMATCHLEN]",
			Reply: "bulk | int | {bulk: int | [[[int, int], [int, int]] | [[int, int], [int, int], int]...]}",
			Keys:  []command.KeySpec{command.Span(1, 2, 1, look)},
			Doc:   command.Doc{Summary: "Answers the longest common subsequence of two strings.", Complexity: "O(n*m) for strings of n and m bytes, in time and memory"},
		},
	}
	for i := range entries {
		entries[i].Group = command.String
		entries[i].ACL = command.CatString
	}
	return entries
}

// setKey is SET's key: only with GET or IFEQ does the command read what it overwrites.
func setKey(withGet, without command.Access) command.KeySpec {
	k := command.At(1, withGet)
	k.Vary = func(argv [][]byte) command.Access {
		for _, word := range argv[min(3, len(argv)):] {
			if command.Is(word, "GET") || command.Is(word, "IFEQ") {
				return withGet &^ command.VariableFlags
			}
		}
		return without
	}
	return k
}
