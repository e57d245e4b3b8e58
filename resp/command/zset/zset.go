// Package zset is the family of commands on sorted sets, over value.SortedSet. The node hands
// Commands to the table; nobody else uses it. It must not know the other families, dispatch
// or the cluster.
package zset

import (
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store/value"
)

// Options are the settings the family reads. The functions are called for single calls, on
// any event loop, and give what CONFIG SET last said.
type Options struct {
	Limits func() *value.Limits
	// Rand is where ZRANDMEMBER's choices come from. Any goroutine may call it.
	Rand func() uint64
}

// family is Options as the receiver of the handlers that need them.
type family struct{ Options }

const (
	look     = command.RO | command.ReadsValue
	takeOut  = command.RW | command.ReadsValue | command.Delete
	remove   = command.RW | command.Delete
	replace  = command.OW | command.Update
	write    = command.Write | command.DenyOOM
	readFast = command.ReadOnly | command.Fast
	// pairs is the reply with scores: a flat array in RESP2, an array of pairs in RESP3.
	pairs  = "[bulk...] | [[bulk, double]...]"
	popped = "nil | [bulk, [[bulk, double]...]]"
)

// Commands are the entries of the family but for those that may block, see Blocking.
func Commands(o Options) []command.Command {
	f := family{o}
	var (
		oneLook   = []command.KeySpec{command.At(1, look)}
		oneMeta   = []command.KeySpec{command.At(1, command.RO)}
		oneRemove = []command.KeySpec{command.At(1, remove)}
		oneTake   = []command.KeySpec{command.At(1, takeOut)}
		counted   = []command.KeySpec{command.Counted(1, look)}
		stored    = []command.KeySpec{command.At(1, replace), command.Counted(2, look)}
	)
	const (
		byOldRange = "Z with BYSCORE, BYLEX or REV"
		aggregate  = " [WEIGHTS weight:int...] [aggregate=AGGREGATE (SUM|MIN|MAX)]"
		logRange   = "O(log(n)+m) for n members and m answered"
		logRemove  = "O(log(n)+m) for n members and m removed"
	)
	return finish([]command.Command{
		{
			Name: "ZADD", Since: "1.2.0", Arity: -4, Flags: write | command.Fast, Run: f.zadd, Reply: "int | double | nil",
			Args: "key [condition@3.0.2=NX|XX] [comparison@6.2.0=GT|LT] [change@3.0.2=CH] [increment@3.0.2=INCR] (data=score:double member)...",
			Keys: []command.KeySpec{command.At(1, command.RW|command.Update)},
			Doc: command.Doc{Summary: "Adds members to a sorted set, or changes their scores.", Complexity: "O(log(n)) for each member, n members in the set",
				History: []string{"2.4.0: several members", "3.0.2: XX, NX, CH and INCR", "6.2.0: GT and LT"}},
		},
		{
			Name: "ZINCRBY", Since: "1.2.0", Arity: 4, Flags: write | command.Fast, Args: "key increment:int member", Reply: "double", Run: f.zincrby,
			Keys: []command.KeySpec{command.At(1, command.RW|command.ReadsValue|command.Update)},
			Doc:  command.Doc{Summary: "Adds to the score of a member of a sorted set.", Complexity: "O(log(n)) for n members"},
		},
		{
			Name: "ZREM", Since: "1.2.0", Arity: -3, Flags: command.Write | command.Fast, Args: "key member...", Reply: "int", Run: f.zrem, Keys: oneRemove,
			Doc: command.Doc{Summary: "Removes members from a sorted set.", Complexity: "O(m*log(n)) for n members and m removed",
				History: []string{"2.4.0: several members"}},
		},
		{
			Name: "ZREMRANGEBYRANK", Since: "2.0.0", Arity: 4, Flags: command.Write, Args: "key start:int stop:int", Reply: "int", Run: f.zremrangebyrank, Keys: oneRemove,
			Doc: command.Doc{Summary: "Removes the members of a range of ranks from a sorted set.", Complexity: logRemove},
		},
		{
			Name: "ZREMRANGEBYSCORE", Since: "1.2.0", Arity: 4, Flags: command.Write, Args: "key min:double max:double", Reply: "int", Run: f.zremrangebyscore, Keys: oneRemove,
			Doc: command.Doc{Summary: "Removes the members of a range of scores from a sorted set.", Complexity: logRemove},
		},
		{
			Name: "ZREMRANGEBYLEX", Since: "2.8.9", Arity: 4, Flags: command.Write, Args: "key min max", Reply: "int", Run: f.zremrangebylex, Keys: oneRemove,
			Doc: command.Doc{Summary: "Removes the members of a lexicographical range from a sorted set of equal scores.", Complexity: logRemove},
		},
		{
			Name: "ZCARD", Since: "1.2.0", Arity: 2, Flags: readFast, Args: "key", Reply: "int", Run: zcard, Keys: oneMeta,
			Doc: command.Doc{Summary: "Answers the number of members of a sorted set.", Complexity: "O(1)"},
		},
		{
			Name: "ZCOUNT", Since: "2.0.0", Arity: 4, Flags: readFast, Args: "key min:double max:double", Reply: "int", Run: zcount, Keys: oneLook,
			Doc: command.Doc{Summary: "Counts the members of a sorted set within a range of scores.", Complexity: "O(log(n)) for n members"},
		},
		{
			Name: "ZLEXCOUNT", Since: "2.8.9", Arity: 4, Flags: readFast, Args: "key min max", Reply: "int", Run: zlexcount, Keys: oneLook,
			Doc: command.Doc{Summary: "Counts the members of a sorted set of equal scores within a lexicographical range.", Complexity: "O(log(n)) for n members"},
		},
		{
			Name: "ZSCORE", Since: "1.2.0", Arity: 3, Flags: readFast, Args: "key member", Reply: "double | nil", Run: zscore, Keys: oneLook,
			Doc: command.Doc{Summary: "Answers the score of a member of a sorted set.", Complexity: "O(1)"},
		},
		{
			Name: "ZMSCORE", Since: "6.2.0", Arity: -3, Flags: readFast, Args: "key member...", Reply: "[double | nil...]", Run: zmscore, Keys: oneLook,
			Doc: command.Doc{Summary: "Answers the scores of several members of a sorted set.", Complexity: "O(m) for m members named"},
		},
		{
			Name: "ZRANK", Since: "2.0.0", Arity: -3, Flags: readFast, Args: "key member [WITHSCORE]", Reply: "nil | int | [int, double]", Run: zrank, Keys: oneLook,
			Doc: command.Doc{Summary: "Answers how many members of a sorted set come before one.", Complexity: "O(log(n)) for n members",
				History: []string{"7.2.0: WITHSCORE"}},
		},
		{
			Name: "ZREVRANK", Since: "2.0.0", Arity: -3, Flags: readFast, Args: "key member [WITHSCORE]", Reply: "nil | int | [int, double]", Run: zrevrank, Keys: oneLook,
			Doc: command.Doc{Summary: "Answers how many members of a sorted set come after one.", Complexity: "O(log(n)) for n members",
				History: []string{"7.2.0: WITHSCORE"}},
		},
		{
			Name: "ZRANGE", Since: "1.2.0", Arity: -4, Flags: command.ReadOnly, Reply: pairs, Run: zrange, Keys: oneLook,
			Args: "key start stop [sortby@6.2.0=BYSCORE|BYLEX] [REV@6.2.0] [LIMIT@6.2.0 offset:int count:int] [WITHSCORES]",
			Doc: command.Doc{Summary: "Answers the members of a sorted set within a range of ranks, scores or members.", Complexity: logRange,
				History: []string{"6.2.0: REV, BYSCORE, BYLEX and LIMIT"}},
		},
		{
			Name: "ZREVRANGE", Since: "1.2.0", Arity: -4, Flags: command.ReadOnly, Args: "key start:int stop:int [WITHSCORES]", Reply: pairs, Run: zrevrange, Keys: oneLook,
			Doc: command.Doc{Summary: "Answers the members of a sorted set within a range of ranks, from the highest score down.", Complexity: logRange,
				Deprecated: "6.2.0", ReplacedBy: "ZRANGE with REV"},
		},
		{
			Name: "ZRANGEBYSCORE", Since: "1.0.5", Arity: -4, Flags: command.ReadOnly, Reply: pairs, Run: zrangebyscore, Keys: oneLook,
			Args: "key min:double max:double [WITHSCORES@2.0.0] [LIMIT offset:int count:int]",
			Doc: command.Doc{Summary: "Answers the members of a sorted set within a range of scores.", Complexity: logRange,
				Deprecated: "6.2.0", ReplacedBy: "ZRANGE with BYSCORE", History: []string{"2.0.0: WITHSCORES"}},
		},
		{
			Name: "ZREVRANGEBYSCORE", Since: "2.2.0", Arity: -4, Flags: command.ReadOnly, Reply: pairs, Run: zrevrangebyscore, Keys: oneLook,
			Args: "key max:double min:double [WITHSCORES] [LIMIT offset:int count:int]",
			Doc: command.Doc{Summary: "Answers the members of a sorted set within a range of scores, from the highest down.", Complexity: logRange,
				Deprecated: "6.2.0", ReplacedBy: "ZRANGE with REV and BYSCORE", History: []string{"2.1.6: min and max may be exclusive"}},
		},
		{
			Name: "ZRANGEBYLEX", Since: "2.8.9", Arity: -4, Flags: command.ReadOnly, Reply: "[bulk...]", Run: zrangebylex, Keys: oneLook,
			Args: "key min max [LIMIT offset:int count:int]",
			Doc: command.Doc{Summary: "Answers the members of a sorted set of equal scores within a lexicographical range.", Complexity: logRange,
				Deprecated: "6.2.0", ReplacedBy: "ZRANGE with BYLEX"},
		},
		{
			Name: "ZREVRANGEBYLEX", Since: "2.8.9", Arity: -4, Flags: command.ReadOnly, Reply: "[bulk...]", Run: zrevrangebylex, Keys: oneLook,
			Args: "key max min [LIMIT offset:int count:int]",
			Doc: command.Doc{Summary: "Answers the members of a sorted set of equal scores within a lexicographical range, from the last down.", Complexity: logRange,
				Deprecated: "6.2.0", ReplacedBy: "ZRANGE with REV and BYLEX"},
		},
		{
			Name: "ZRANGESTORE", Since: "6.2.0", Arity: -5, Flags: write, Reply: "int", Run: f.zrangestore,
			Args: "dst:key src:key min max [sortby=BYSCORE|BYLEX] [REV] [LIMIT offset:int count:int]",
			Keys: []command.KeySpec{command.At(1, replace), command.At(2, look)},
			Doc:  command.Doc{Summary: "Stores the members of a sorted set within a range under another key.", Complexity: "O(log(n)+m) for n members and m stored"},
		},
		{
			Name: "ZPOPMIN", Since: "5.0.0", Arity: -2, Flags: command.Write | command.Fast, Args: "key [count:int]", Reply: pairs + " | [bulk, double]", Run: f.zpopmin, Keys: oneTake,
			Doc: command.Doc{Summary: "Removes and answers the members with the lowest scores.", Complexity: "O(m*log(n)) for n members and m removed"},
		},
		{
			Name: "ZPOPMAX", Since: "5.0.0", Arity: -2, Flags: command.Write | command.Fast, Args: "key [count:int]", Reply: pairs + " | [bulk, double]", Run: f.zpopmax, Keys: oneTake,
			Doc: command.Doc{Summary: "Removes and answers the members with the highest scores.", Complexity: "O(m*log(n)) for n members and m removed"},
		},
		{
			Name: "ZMPOP", Since: "7.0.0", Arity: -4, Flags: command.Write, Reply: popped, Run: f.zmpop,
			Args: "numkeys:int key... (where=MIN|MAX) [COUNT count:int]", Keys: []command.KeySpec{command.Counted(1, takeOut)},
			Doc: command.Doc{Summary: "Removes and answers members of the first sorted set that has any.", Complexity: "O(k)+O(m*log(n)) for k keys, n members and m removed"},
		},
		{
			Name: "ZRANDMEMBER", Since: "6.2.0", Arity: -2, Flags: command.ReadOnly, Args: "key [options=count:int [WITHSCORES]]", Reply: "bulk | nil | " + pairs, Run: f.zrandmember,
			Keys: oneLook, Tips: []string{"nondeterministic_output"},
			Doc: command.Doc{Summary: "Answers random members of a sorted set.", Complexity: "O(m*log(n)) for n members and m answered"},
		},
		{
			Name: "ZSCAN", Since: "2.8.0", Arity: -3, Flags: command.ReadOnly, Args: "key cursor:int [MATCH pattern:pattern] [COUNT count:int] [NOSCORES]", Reply: "[bulk, [bulk...]]", Run: zscan,
			Keys: oneLook, Tips: []string{"nondeterministic_output"},
			Doc: command.Doc{Summary: "Lists the members of a sorted set, with their scores, a part at a time.", Complexity: "O(1) for a call, O(n) for all calls over n members",
				History: []string{"8.1.0: NOSCORES, in Valkey"}},
		},
		{
			Name: "ZUNION", Since: "6.2.0", Arity: -3, Flags: command.ReadOnly, Args: "numkeys:int key..." + aggregate + " [WITHSCORES]", Reply: pairs, Run: f.zunion, Keys: counted,
			Doc: command.Doc{Summary: "Answers the union of sorted sets and sets.", Complexity: "O(n)+O(m*log(m)) for n members in all and m in the union"},
		},
		{
			Name: "ZUNIONSTORE", Since: "2.0.0", Arity: -4, Flags: write, Args: "destination:key numkeys:int key..." + aggregate, Reply: "int", Run: f.zunionstore, Keys: stored,
			Doc: command.Doc{Summary: "Stores the union of sorted sets and sets.", Complexity: "O(n)+O(m*log(m)) for n members in all and m in the union"},
		},
		{
			Name: "ZINTER", Since: "6.2.0", Arity: -3, Flags: command.ReadOnly, Args: "numkeys:int key..." + aggregate + " [WITHSCORES]", Reply: pairs, Run: f.zinter, Keys: counted,
			Doc: command.Doc{Summary: "Answers the intersection of sorted sets and sets.", Complexity: "O(n*k)+O(m*log(m)) for n members in the smallest of k sets and m in the intersection"},
		},
		{
			Name: "ZINTERSTORE", Since: "2.0.0", Arity: -4, Flags: write, Args: "destination:key numkeys:int key..." + aggregate, Reply: "int", Run: f.zinterstore, Keys: stored,
			Doc: command.Doc{Summary: "Stores the intersection of sorted sets and sets.", Complexity: "O(n*k)+O(m*log(m)) for n members in the smallest of k sets and m in the intersection"},
		},
		{
			Name: "ZINTERCARD", Since: "7.0.0", Arity: -3, Flags: command.ReadOnly, Args: "numkeys:int key... [LIMIT limit:int]", Reply: "int", Run: f.zintercard, Keys: counted,
			Doc: command.Doc{Summary: "Counts the members that all of several sorted sets and sets have.", Complexity: "O(n*k) for n members in the smallest of k sets"},
		},
		{
			Name: "ZDIFF", Since: "6.2.0", Arity: -3, Flags: command.ReadOnly, Args: "numkeys:int key... [WITHSCORES]", Reply: pairs, Run: f.zdiff, Keys: counted,
			Doc: command.Doc{Summary: "Answers the members of a sorted set that others do not have.", Complexity: "O(n*k)+O(m*log(m)) for n members in the first of k sets and m in the difference"},
		},
		{
			Name: "ZDIFFSTORE", Since: "6.2.0", Arity: -4, Flags: write, Args: "destination:key numkeys:int key...", Reply: "int", Run: f.zdiffstore, Keys: stored,
			Doc: command.Doc{Summary: "Stores the members of a sorted set that others do not have.", Complexity: "O(n*k)+O(m*log(m)) for n members in the first of k sets and m in the difference"},
		},
	})
}

// Blocking are the entries that wait when all their keys are empty.
func Blocking(o Options) []command.Command {
	f := family{o}
	keys := []command.KeySpec{command.Span(1, -2, 1, takeOut)}
	const fast = command.Write | command.Fast | command.Blocking
	return finish([]command.Command{
		{
			Name: "BZPOPMIN", Since: "5.0.0", Arity: -3, Flags: fast, Args: "key... timeout:double", Reply: "nil | [bulk, bulk, double]", Run: f.bzpopmin, Keys: keys,
			Doc: command.Doc{Summary: "Removes and answers the member with the lowest score of the first sorted set that has any, waiting for one.", Complexity: "O(log(n)) for n members",
				History: []string{"6.0.0: fractions of seconds"}},
		},
		{
			Name: "BZPOPMAX", Since: "5.0.0", Arity: -3, Flags: fast, Args: "key... timeout:double", Reply: "nil | [bulk, bulk, double]", Run: f.bzpopmax, Keys: keys,
			Doc: command.Doc{Summary: "Removes and answers the member with the highest score of the first sorted set that has any, waiting for one.", Complexity: "O(log(n)) for n members",
				History: []string{"6.0.0: fractions of seconds"}},
		},
		{
			Name: "BZMPOP", Since: "7.0.0", Arity: -5, Flags: command.Write | command.Blocking, Reply: popped, Run: f.bzmpop,
			Args: "timeout:double numkeys:int key... (where=MIN|MAX) [COUNT count:int]", Keys: []command.KeySpec{command.Counted(2, takeOut)},
			Doc: command.Doc{Summary: "Removes and answers members of the first sorted set that has any, waiting for one.", Complexity: "O(k)+O(m*log(n)) for k keys, n members and m removed"},
		},
	})
}

func finish(entries []command.Command) []command.Command {
	for i := range entries {
		entries[i].Group = command.SortedSet
		entries[i].ACL = command.CatSortedSet
	}
	return entries
}

// The words that calls are rewritten with.
var (
	wordPopMin = []byte("ZPOPMIN")
	wordPopMax = []byte("ZPOPMAX")
)
