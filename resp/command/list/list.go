// Package list is the family of commands on lists, over value.Sequence. The node hands Commands
// to the table; nobody else uses it. It must not know the other families, dispatch or the
// cluster.
package list

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
	look     = command.RO | command.ReadsValue
	takeOut  = command.RW | command.ReadsValue | command.Delete
	putIn    = command.RW | command.Insert
	write    = command.Write | command.DenyOOM
	readFast = command.ReadOnly | command.Fast
	popped   = "nil | [bulk, [bulk...]]"
	inTheMid = "O(n) for n elements up to the place; O(1) at the ends"
)

// Commands are the entries of the family but for those that may block, see Blocking.
func Commands(o Options) []command.Command {
	f := family{o}
	var (
		oneLook = []command.KeySpec{command.At(1, look)}
		onePut  = []command.KeySpec{command.At(1, putIn)}
		oneTake = []command.KeySpec{command.At(1, takeOut)}
		oneCut  = []command.KeySpec{command.At(1, command.RW|command.Delete)}
		move    = []command.KeySpec{command.At(1, takeOut), command.At(2, putIn)}
	)
	const perElement = "O(1) for each element"
	many := []string{"2.4.0: several elements"}
	return finish([]command.Command{
		{
			Name: "LPUSH", Since: "1.0.0", Arity: -3, Flags: write | command.Fast, Args: "key element...", Reply: "int", Run: f.lpush, Keys: onePut,
			Doc: command.Doc{Summary: "Adds elements before the first of a list, one after the other; the list is made if it does not exist.", Complexity: perElement, History: many},
		},
		{
			Name: "RPUSH", Since: "1.0.0", Arity: -3, Flags: write | command.Fast, Args: "key element...", Reply: "int", Run: f.rpush, Keys: onePut,
			Doc: command.Doc{Summary: "Adds elements behind the last of a list; the list is made if it does not exist.", Complexity: perElement, History: many},
		},
		{
			Name: "LPUSHX", Since: "2.2.0", Arity: -3, Flags: write | command.Fast, Args: "key element...", Reply: "int", Run: f.lpushx, Keys: onePut,
			Doc: command.Doc{Summary: "Adds elements before the first of a list that exists.", Complexity: perElement, History: []string{"4.0.0: several elements"}},
		},
		{
			Name: "RPUSHX", Since: "2.2.0", Arity: -3, Flags: write | command.Fast, Args: "key element...", Reply: "int", Run: f.rpushx, Keys: onePut,
			Doc: command.Doc{Summary: "Adds elements behind the last of a list that exists.", Complexity: perElement, History: []string{"4.0.0: several elements"}},
		},
		{
			Name: "LPOP", Since: "1.0.0", Arity: -2, Flags: command.Write | command.Fast, Args: "key [count:int@6.2.0]", Reply: "nil | bulk | [bulk...]", Run: f.lpop, Keys: oneTake,
			Doc: command.Doc{Summary: "Removes and answers the first elements of a list.", Complexity: perElement, History: []string{"6.2.0: count"}},
		},
		{
			Name: "RPOP", Since: "1.0.0", Arity: -2, Flags: command.Write | command.Fast, Args: "key [count:int@6.2.0]", Reply: "nil | bulk | [bulk...]", Run: f.rpop, Keys: oneTake,
			Doc: command.Doc{Summary: "Removes and answers the last elements of a list.", Complexity: perElement, History: []string{"6.2.0: count"}},
		},
		{
			Name: "LMPOP", Since: "7.0.0", Arity: -4, Flags: command.Write, Args: "numkeys:int key... (where=LEFT|RIGHT) [COUNT count:int]", Reply: popped, Run: f.lmpop,
			Keys: []command.KeySpec{command.Counted(1, takeOut)},
			Doc:  command.Doc{Summary: "Removes and answers elements of the first list that has any.", Complexity: "O(k+m) for k keys and m elements"},
		},
		{
			Name: "LLEN", Since: "1.0.0", Arity: 2, Flags: readFast, Args: "key", Reply: "int", Run: llen,
			Keys: []command.KeySpec{command.At(1, command.RO)},
			Doc:  command.Doc{Summary: "Answers the number of elements of a list.", Complexity: "O(1)"},
		},
		{
			Name: "LINDEX", Since: "1.0.0", Arity: 3, Flags: command.ReadOnly, Args: "key index:int", Reply: "bulk | nil", Run: lindex, Keys: oneLook,
			Doc: command.Doc{Summary: "Answers one element of a list by its number.", Complexity: inTheMid},
		},
		{
			Name: "LRANGE", Since: "1.0.0", Arity: 4, Flags: command.ReadOnly, Args: "key start:int stop:int", Reply: "[bulk...]", Run: lrange, Keys: oneLook,
			Doc: command.Doc{Summary: "Answers a part of a list.", Complexity: "O(s+n) for n elements, s elements from the nearer end"},
		},
		{
			Name: "LPOS", Since: "6.0.6", Arity: -3, Flags: command.ReadOnly, Run: lpos, Keys: oneLook,
			Args: "key element [RANK rank:int] [COUNT num-matches:int] [MAXLEN len:int]", Reply: "int | nil | [int...]",
			Doc: command.Doc{Summary: "Answers where in a list an element stands.", Complexity: "O(n) for n elements looked at"},
		},
		{
			Name: "LSET", Since: "1.0.0", Arity: 4, Flags: write, Args: "key index:int element", Reply: "OK", Run: f.lset,
			Keys: []command.KeySpec{command.At(1, command.RW|command.Update)},
			Doc:  command.Doc{Summary: "Replaces an element of a list by its number.", Complexity: inTheMid},
		},
		{
			Name: "LINSERT", Since: "2.2.0", Arity: 5, Flags: write, Args: "key (where=BEFORE|AFTER) pivot element", Reply: "int", Run: f.linsert, Keys: onePut,
			Doc: command.Doc{Summary: "Adds an element before or behind another of a list.", Complexity: inTheMid},
		},
		{
			Name: "LREM", Since: "1.0.0", Arity: 4, Flags: command.Write, Args: "key count:int element", Reply: "int", Run: f.lrem, Keys: oneCut,
			Doc: command.Doc{Summary: "Removes elements that are equal to one from a list.", Complexity: "O(n+m) for n elements and m removed"},
		},
		{
			Name: "LTRIM", Since: "1.0.0", Arity: 4, Flags: command.Write, Args: "key start:int stop:int", Reply: "OK", Run: f.ltrim, Keys: oneCut,
			Doc: command.Doc{Summary: "Removes all elements of a list but for a part.", Complexity: "O(n) for n elements removed"},
		},
		{
			Name: "LMOVE", Since: "6.2.0", Arity: 5, Flags: write, Reply: "bulk | nil", Run: f.lmove, Keys: move,
			Args: "source:key destination:key (wherefrom=LEFT|RIGHT) (whereto=LEFT|RIGHT)",
			Doc:  command.Doc{Summary: "Moves an element from one end of a list to an end of another, and answers it.", Complexity: "O(1)"},
		},
		{
			Name: "RPOPLPUSH", Since: "1.2.0", Arity: 3, Flags: write, Args: "source:key destination:key", Reply: "bulk | nil", Run: f.rpoplpush, Keys: move,
			Doc: command.Doc{Summary: "Moves the last element of a list to the front of another, and answers it.", Complexity: "O(1)",
				Deprecated: "6.2.0", ReplacedBy: "LMOVE with RIGHT and LEFT"},
		},
	})
}

// Blocking are the entries that wait when all their keys are empty.
func Blocking(o Options) []command.Command {
	f := family{o}
	var (
		keys = []command.KeySpec{command.Span(1, -2, 1, takeOut)}
		move = []command.KeySpec{command.At(1, takeOut), command.At(2, putIn)}
	)
	fractions := []string{"6.0.0: fractions of seconds"}
	return finish([]command.Command{
		{
			Name: "BLPOP", Since: "2.0.0", Arity: -3, Flags: command.Write | command.Blocking, Args: "key... timeout:double", Reply: "nil | [bulk, bulk]", Run: f.blpop, Keys: keys,
			Doc: command.Doc{Summary: "Removes and answers the first element of the first list that has any, waiting for one.", Complexity: "O(k) for k keys", History: fractions},
		},
		{
			Name: "BRPOP", Since: "2.0.0", Arity: -3, Flags: command.Write | command.Blocking, Args: "key... timeout:double", Reply: "nil | [bulk, bulk]", Run: f.brpop, Keys: keys,
			Doc: command.Doc{Summary: "Removes and answers the last element of the first list that has any, waiting for one.", Complexity: "O(k) for k keys", History: fractions},
		},
		{
			Name: "BLMPOP", Since: "7.0.0", Arity: -5, Flags: command.Write | command.Blocking, Reply: popped, Run: f.blmpop,
			Args: "timeout:double numkeys:int key... (where=LEFT|RIGHT) [COUNT count:int]",
			Keys: []command.KeySpec{command.Counted(2, takeOut)},
			Doc:  command.Doc{Summary: "Removes and answers elements of the first list that has any, waiting for one.", Complexity: "O(k+m) for k keys and m elements"},
		},
		{
			Name: "BLMOVE", Since: "6.2.0", Arity: 6, Flags: write | command.Blocking, Reply: "bulk | nil", Run: f.blmove, Keys: move,
			Args: "source:key destination:key (wherefrom=LEFT|RIGHT) (whereto=LEFT|RIGHT) timeout:double",
			Doc:  command.Doc{Summary: "Moves an element from one end of a list to an end of another, and answers it, waiting for one.", Complexity: "O(1)"},
		},
		{
			Name: "BRPOPLPUSH", Since: "2.2.0", Arity: 4, Flags: write | command.Blocking, Reply: "bulk | nil", Run: f.brpoplpush, Keys: move,
			Args: "source:key destination:key timeout:double",
			Doc: command.Doc{Summary: "Moves the last element of a list to the front of another, and answers it, waiting for one.", Complexity: "O(1)",
				Deprecated: "6.2.0", ReplacedBy: "BLMOVE with RIGHT and LEFT", History: fractions},
		},
	})
}

func finish(entries []command.Command) []command.Command {
	for i := range entries {
		entries[i].Group = command.List
		entries[i].ACL = command.CatList
	}
	return entries
}

// The words that calls are rewritten with.
var (
	wordLPop      = []byte("LPOP")
	wordRPop      = []byte("RPOP")
	wordLMove     = []byte("LMOVE")
	wordRPopLPush = []byte("RPOPLPUSH")
)
