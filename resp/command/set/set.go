// Package set is the set family: SADD, SISMEMBER, SINTER and their like, over the sets of package
// value. The node hands Commands to the table; nobody else uses it. It must not know the other
// families, dispatch or the cluster.
package set

import (
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/value"
)

// Options are what the family reads. The functions are called for single calls, on any event
// loop.
type Options struct {
	// Limits are the thresholds of compact forms, as CONFIG SET last said.
	Limits func() *value.Limits
	// Rand gives 64 random bits (SPOP, SRANDMEMBER).
	Rand func() uint64
	// LazyServerDel is lazyfree-lazy-server-del: an SPOP that takes all is propagated as UNLINK.
	LazyServerDel func() bool
}

// family is Options as the receiver of the handlers that need them.
type family struct{ Options }

// Commands are the entries of the family.
func Commands(o Options) []command.Command {
	f := family{o}
	const (
		readFast  = command.ReadOnly | command.Fast
		write     = command.Write | command.DenyOOM
		writeFast = command.Write | command.Fast
		look      = command.RO | command.ReadsValue
		take      = command.RW | command.ReadsValue | command.Delete
		replace   = command.OW | command.Update
	)
	unordered := []string{"nondeterministic_output_order"}
	random := []string{"nondeterministic_output"}
	sources := command.Span(2, -1, 1, look)
	entries := []command.Command{
		{
			Name: "SADD", Since: "1.0.0", Arity: -3, Flags: write | command.Fast, Args: "key member...", Reply: "int", Run: f.sadd,
			Keys: []command.KeySpec{command.At(1, command.RW|command.Insert)},
			Doc: command.Doc{Summary: "Adds members to a set and answers how many are new.", Complexity: "O(n) for n members added",
				History: []string{"2.4.0: several members"}},
		},
		{
			Name: "SREM", Since: "1.0.0", Arity: -3, Flags: writeFast, Args: "key member...", Reply: "int", Run: f.srem,
			Keys: []command.KeySpec{command.At(1, command.RW|command.Delete)},
			Doc: command.Doc{Summary: "Removes members of a set, and the set with its last one.", Complexity: "O(n) for n members removed",
				History: []string{"2.4.0: several members"}},
		},
		{
			Name: "SMOVE", Since: "1.0.0", Arity: 4, Flags: writeFast, Args: "source:key destination:key member", Reply: "int", Run: f.smove,
			Keys: []command.KeySpec{command.At(1, take), command.At(2, command.RW|command.Insert)},
			Doc:  command.Doc{Summary: "Moves a member from one set to another.", Complexity: "O(1)"},
		},
		{
			Name: "SISMEMBER", Since: "1.0.0", Arity: 3, Flags: readFast, Args: "key member", Reply: "int", Run: sismember,
			Keys: []command.KeySpec{command.At(1, command.RO)},
			Doc:  command.Doc{Summary: "Tells whether a set has a member.", Complexity: "O(1)"},
		},
		{
			Name: "SMISMEMBER", Since: "6.2.0", Arity: -3, Flags: readFast, Args: "key member...", Reply: "[int...]", Run: smismember,
			Keys: []command.KeySpec{command.At(1, look)},
			Doc:  command.Doc{Summary: "Tells of several members whether a set has them.", Complexity: "O(n) for n members asked for"},
		},
		{
			Name: "SCARD", Since: "1.0.0", Arity: 2, Flags: readFast, Args: "key", Reply: "int", Run: scard,
			Keys: []command.KeySpec{command.At(1, command.RO)},
			Doc:  command.Doc{Summary: "Answers how many members a set has.", Complexity: "O(1)"},
		},
		{
			Name: "SMEMBERS", Since: "1.0.0", Arity: 2, Flags: command.ReadOnly, Args: "key", Reply: "<bulk>", Run: smembers,
			Keys: []command.KeySpec{command.At(1, look)}, Tips: unordered,
			Doc: command.Doc{Summary: "Answers all members of a set.", Complexity: "O(n) for a set of n members"},
		},
		{
			Name: "SPOP", Since: "1.0.0", Arity: -2, Flags: writeFast, Args: "key [count:int@3.2.0]", Reply: "bulk | nil | <bulk>", Run: f.spop,
			Keys: []command.KeySpec{command.At(1, take)}, Tips: random,
			Doc: command.Doc{Summary: "Removes one or several members of a set, chosen at random, and answers them.", Complexity: "O(n) for n members removed",
				History: []string{"3.2.0: count"}},
		},
		{
			Name: "SRANDMEMBER", Since: "1.0.0", Arity: -2, Flags: command.ReadOnly, Args: "key [count:int@2.6.0]", Reply: "bulk | nil | [bulk...]", Run: f.srandmember,
			Keys: []command.KeySpec{command.At(1, look)}, Tips: random,
			Doc: command.Doc{Summary: "Answers one or several members of a set, chosen at random.", Complexity: "O(n) for n members answered",
				History: []string{"2.6.0: count"}},
		},
		{
			Name: "SINTER", Since: "1.0.0", Arity: -2, Flags: command.ReadOnly, Args: "key...", Reply: "<bulk>", Run: f.sinter,
			Keys: []command.KeySpec{command.Span(1, -1, 1, look)}, Tips: unordered,
			Doc: command.Doc{Summary: "Answers the members that all of several sets have.", Complexity: "O(n*m) for m sets and n members of the smallest"},
		},
		{
			Name: "SINTERCARD", Since: "7.0.0", Arity: -3, Flags: command.ReadOnly, Args: "numkeys:int key... [LIMIT limit:int]", Reply: "int", Run: f.sintercard,
			Keys: []command.KeySpec{command.Counted(1, look)},
			Doc:  command.Doc{Summary: "Answers how many members all of several sets have, up to a limit.", Complexity: "O(n*m) for m sets and n members of the smallest"},
		},
		{
			Name: "SINTERSTORE", Since: "1.0.0", Arity: -3, Flags: write, Args: "destination:key key...", Reply: "int", Run: f.sinterstore,
			Keys: []command.KeySpec{command.At(1, command.RW|command.Update), sources},
			Doc:  command.Doc{Summary: "Makes a key the set of the members that all of several sets have.", Complexity: "O(n*m) for m sets and n members of the smallest"},
		},
		{
			Name: "SUNION", Since: "1.0.0", Arity: -2, Flags: command.ReadOnly, Args: "key...", Reply: "<bulk>", Run: f.sunion,
			Keys: []command.KeySpec{command.Span(1, -1, 1, look)}, Tips: unordered,
			Doc: command.Doc{Summary: "Answers the members that at least one of several sets has.", Complexity: "O(n) for n members of all sets together"},
		},
		{
			Name: "SUNIONSTORE", Since: "1.0.0", Arity: -3, Flags: write, Args: "destination:key key...", Reply: "int", Run: f.sunionstore,
			Keys: []command.KeySpec{command.At(1, replace), sources},
			Doc:  command.Doc{Summary: "Makes a key the set of the members that at least one of several sets has.", Complexity: "O(n) for n members of all sets together"},
		},
		{
			Name: "SDIFF", Since: "1.0.0", Arity: -2, Flags: command.ReadOnly, Args: "key...", Reply: "<bulk>", Run: f.sdiff,
			Keys: []command.KeySpec{command.Span(1, -1, 1, look)}, Tips: unordered,
			Doc: command.Doc{Summary: "Answers the members of a set that none of other sets has.", Complexity: "O(n) for n members of all sets together"},
		},
		{
			Name: "SDIFFSTORE", Since: "1.0.0", Arity: -3, Flags: write, Args: "destination:key key...", Reply: "int", Run: f.sdiffstore,
			Keys: []command.KeySpec{command.At(1, replace), sources},
			Doc:  command.Doc{Summary: "Makes a key the set of the members of a set that none of other sets has.", Complexity: "O(n) for n members of all sets together"},
		},
		{
			Name: "SSCAN", Since: "2.8.0", Arity: -3, Flags: command.ReadOnly, Args: "key cursor:int [MATCH pattern:pattern] [COUNT count:int]",
			Reply: "[bulk, [bulk...]]", Run: sscan,
			Keys: []command.KeySpec{command.At(1, look)}, Tips: random,
			Doc: command.Doc{Summary: "Goes through the members of a set in steps.", Complexity: "O(1) for a step, O(n) for all n members"},
		},
	}
	for i := range entries {
		entries[i].Group = command.Set
		entries[i].ACL = command.CatSet
	}
	return entries
}

func viewOf(e store.Entry) value.SetView { return value.SetOf(e.Encoding(), e.Payload(), e.Object()) }

// open finds the set at key for reading; an empty one when there is none. ok is false when the
// key holds something else and the error is answered.
func open(c *command.Ctx, key []byte) (s value.SetView, ok bool) {
	e, found := c.Read(key)
	if !c.Typed(e, found, value.Set) {
		return s, false
	}
	if found {
		s = viewOf(e)
	}
	return s, true
}

// look finds the set at key for a command that may change it, for reading so far.
func look(c *command.Ctx, key []byte) (e store.Entry, s value.SetView, found, ok bool) {
	e, found = c.Write(key)
	if !c.Typed(e, found, value.Set) {
		return e, s, found, false
	}
	if found {
		s = viewOf(e)
	}
	return e, s, found, true
}

// edit is a set being changed by a call.
type edit struct {
	value.SetEdit
	found bool // the set existed
}

// change begins to change the set at key, which look has found or not. The Txn counts a large
// set as changed from here on, a compact one when it is saved.
func (f family) change(c *command.Ctx, key []byte, e store.Entry, found bool) edit {
	if !found {
		return edit{value.EditSet(0, nil, nil, c.Scratch, f.Limits()), false}
	}
	if e.Object() != nil {
		return edit{value.EditSet(value.Hashtable, nil, c.Txn.EditEntry(e, key), c.Scratch, f.Limits()), true}
	}
	return edit{value.EditSet(e.Encoding(), e.Payload(), nil, c.Scratch, f.Limits()), true}
}

// save stores what the set at key has become; without a member, the key goes.
func save(c *command.Ctx, key []byte, e *edit) {
	if e.Len() == 0 {
		c.Txn.Delete(key)
		return
	}
	put(c, key, &e.SetEdit, store.KeepTTL)
	if !e.found {
		c.Created(key)
	}
}

// put makes key hold what e has become.
func put(c *command.Ctx, key []byte, e *value.SetEdit, at int64) (existed bool) {
	enc, payload, o := e.Result()
	switch {
	case o != nil:
		existed = c.Txn.SetObject(key, o, at)
	case payload != nil:
		existed = c.Txn.SetPayload(key, value.Set, enc, payload, at)
		c.Scratch = payload
	}
	return existed
}
