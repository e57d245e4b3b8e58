// Package hash is the hash family: HSET, HGET and their like, over the hashes of package value.
// The node hands Commands to the table; nobody else uses it. It must not know the other
// families, dispatch or the cluster.
package hash

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
	// Rand gives 64 random bits (HRANDFIELD).
	Rand func() uint64
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
	)
	unordered := []string{"nondeterministic_output_order"}
	random := []string{"nondeterministic_output"}
	entries := []command.Command{
		{
			Name: "HSET", Since: "2.0.0", Arity: -4, Flags: writeFast, Args: "key (data=field value)...", Reply: "int", Run: f.hset,
			Keys: []command.KeySpec{command.At(1, command.RW|command.Update)},
			Doc: command.Doc{Summary: "Sets fields of a hash and answers how many are new.", Complexity: "O(n) for n fields set",
				History: []string{"4.0.0: several fields"}},
		},
		{
			Name: "HMSET", Since: "2.0.0", Arity: -4, Flags: writeFast, Args: "key (data=field value)...", Reply: "OK", Run: f.hmset,
			Keys: []command.KeySpec{command.At(1, command.RW|command.Update)},
			Doc: command.Doc{Summary: "Sets fields of a hash.", Complexity: "O(n) for n fields set",
				Deprecated: "4.0.0", ReplacedBy: "HSET with several fields"},
		},
		{
			Name: "HSETNX", Since: "2.0.0", Arity: 4, Flags: writeFast, Args: "key field value", Reply: "int", Run: f.hsetnx,
			Keys: []command.KeySpec{command.At(1, command.RW|command.Insert)},
			Doc:  command.Doc{Summary: "Sets a field of a hash if it does not exist.", Complexity: "O(1)"},
		},
		{
			Name: "HGET", Since: "2.0.0", Arity: 3, Flags: readFast, Args: "key field", Reply: "bulk | nil", Run: hget,
			Keys: []command.KeySpec{command.At(1, look)},
			Doc:  command.Doc{Summary: "Answers the value of a field of a hash.", Complexity: "O(1)"},
		},
		{
			Name: "HMGET", Since: "2.0.0", Arity: -3, Flags: readFast, Args: "key field...", Reply: "[bulk | nil...]", Run: hmget,
			Keys: []command.KeySpec{command.At(1, look)},
			Doc:  command.Doc{Summary: "Answers the values of several fields of a hash, nil for those it does not have.", Complexity: "O(n) for n fields asked for"},
		},
		{
			Name: "HGETALL", Since: "2.0.0", Arity: 2, Flags: command.ReadOnly, Args: "key", Reply: "{bulk: bulk}", Run: hgetall,
			Keys: []command.KeySpec{command.At(1, look)}, Tips: unordered,
			Doc: command.Doc{Summary: "Answers all fields of a hash and their values.", Complexity: "O(n) for a hash of n fields"},
		},
		{
			Name: "HKEYS", Since: "2.0.0", Arity: 2, Flags: command.ReadOnly, Args: "key", Reply: "[bulk...]", Run: hkeys,
			Keys: []command.KeySpec{command.At(1, look)}, Tips: unordered,
			Doc: command.Doc{Summary: "Answers all fields of a hash.", Complexity: "O(n) for a hash of n fields"},
		},
		{
			Name: "HVALS", Since: "2.0.0", Arity: 2, Flags: command.ReadOnly, Args: "key", Reply: "[bulk...]", Run: hvals,
			Keys: []command.KeySpec{command.At(1, look)}, Tips: unordered,
			Doc: command.Doc{Summary: "Answers the values of all fields of a hash.", Complexity: "O(n) for a hash of n fields"},
		},
		{
			Name: "HDEL", Since: "2.0.0", Arity: -3, Flags: command.Write | command.Fast, Args: "key field...", Reply: "int", Run: f.hdel,
			Keys: []command.KeySpec{command.At(1, command.RW|command.Delete)},
			Doc: command.Doc{Summary: "Removes fields of a hash, and the hash with its last one.", Complexity: "O(n) for n fields removed",
				History: []string{"2.4.0: several fields"}},
		},
		{
			Name: "HLEN", Since: "2.0.0", Arity: 2, Flags: readFast, Args: "key", Reply: "int", Run: hlen,
			Keys: []command.KeySpec{command.At(1, command.RO)},
			Doc:  command.Doc{Summary: "Answers how many fields a hash has.", Complexity: "O(1)"},
		},
		{
			Name: "HEXISTS", Since: "2.0.0", Arity: 3, Flags: readFast, Args: "key field", Reply: "int", Run: hexists,
			Keys: []command.KeySpec{command.At(1, command.RO)},
			Doc:  command.Doc{Summary: "Tells whether a hash has a field.", Complexity: "O(1)"},
		},
		{
			Name: "HSTRLEN", Since: "3.2.0", Arity: 3, Flags: readFast, Args: "key field", Reply: "int", Run: hstrlen,
			Keys: []command.KeySpec{command.At(1, command.RO)},
			Doc:  command.Doc{Summary: "Answers the length of the value of a field of a hash.", Complexity: "O(1)"},
		},
		{
			Name: "HINCRBY", Since: "2.0.0", Arity: 4, Flags: writeFast, Args: "key field increment:int", Reply: "int", Run: f.hincrby,
			Keys: []command.KeySpec{command.At(1, modify)},
			Doc:  command.Doc{Summary: "Adds to the integer in a field of a hash; a missing field counts as 0.", Complexity: "O(1)"},
		},
		{
			Name: "HINCRBYFLOAT", Since: "2.6.0", Arity: 4, Flags: writeFast, Args: "key field increment:double", Reply: "bulk", Run: f.hincrbyfloat,
			Keys: []command.KeySpec{command.At(1, modify)},
			Doc:  command.Doc{Summary: "Adds to the floating point number in a field of a hash; a missing field counts as 0.", Complexity: "O(1)"},
		},
		{
			Name: "HRANDFIELD", Since: "6.2.0", Arity: -2, Flags: command.ReadOnly, Args: "key [options=count:int [WITHVALUES]]", Run: f.hrandfield,
			Reply: "bulk | nil | [bulk...] | [[bulk, bulk]...]",
			Keys:  []command.KeySpec{command.At(1, look)}, Tips: random,
			Doc: command.Doc{Summary: "Answers one or several fields of a hash, chosen at random.", Complexity: "O(n) for n fields answered"},
		},
		{
			Name: "HSCAN", Since: "2.8.0", Arity: -3, Flags: command.ReadOnly, Args: "key cursor:int [MATCH pattern:pattern] [COUNT count:int] [NOVALUES]",
			Reply: "[bulk, [bulk...]]", Run: hscan,
			Keys: []command.KeySpec{command.At(1, look)}, Tips: random,
			Doc: command.Doc{Summary: "Goes through the fields of a hash in steps.", Complexity: "O(1) for a step, O(n) for all n fields",
				History: []string{"7.4.0: NOVALUES"}},
		},
	}
	entries = append(entries, f.timeCommands()...)
	for i := range entries {
		entries[i].Group = command.Hash
		entries[i].ACL = command.CatHash
	}
	return entries
}

// timeCommands are the entries on the times at which fields expire.
func (f family) timeCommands() []command.Command {
	const (
		writeFast = command.Write | command.DenyOOM | command.Fast
		removes   = command.Write | command.Fast
		readFast  = command.ReadOnly | command.Fast
		change    = command.RW | command.Update
		fields    = "FIELDS numfields:int field..."
		condition = " [condition=NX|XX|GT|LT] (" + fields + ")"
		perField  = "O(n) for n fields"
	)
	times := "EX seconds:int|PX milliseconds:int|EXAT unix-time-seconds:time|PXAT unix-time-milliseconds:time|"
	expire := func(name, arg, summary string, run func(*command.Ctx)) command.Command {
		return command.Command{
			Name: name, Since: "7.4.0", Arity: -6, Flags: writeFast, Args: "key " + arg + condition, Reply: "[int...]", Run: run,
			Keys: []command.KeySpec{command.At(1, change)},
			Doc:  command.Doc{Summary: summary, Complexity: perField},
		}
	}
	look := func(name, summary string, run func(*command.Ctx)) command.Command {
		return command.Command{
			Name: name, Since: "7.4.0", Arity: -5, Flags: readFast, Args: "key (" + fields + ")", Reply: "[int...]", Run: run,
			Keys: []command.KeySpec{command.At(1, command.RO|command.ReadsValue)},
			Doc:  command.Doc{Summary: summary, Complexity: perField},
		}
	}
	httlEntry := look("HTTL", "Answers how many seconds fields of a hash have to live.", httl)
	hpttlEntry := look("HPTTL", "Answers how many milliseconds fields of a hash have to live.", hpttl)
	httlEntry.Tips = []string{"nondeterministic_output"}
	hpttlEntry.Tips = httlEntry.Tips
	return []command.Command{
		expire("HEXPIRE", "seconds:int", "Lets fields of a hash live for a number of seconds.", f.hexpire),
		expire("HPEXPIRE", "milliseconds:int", "Lets fields of a hash live for a number of milliseconds.", f.hpexpire),
		expire("HEXPIREAT", "unix-time-seconds:time", "Lets fields of a hash live until a Unix time in seconds.", f.hexpireat),
		expire("HPEXPIREAT", "unix-time-milliseconds:time", "Lets fields of a hash live until a Unix time in milliseconds.", f.hpexpireat),
		httlEntry, hpttlEntry,
		look("HEXPIRETIME", "Answers the Unix times in seconds at which fields of a hash expire.", hexpiretime),
		look("HPEXPIRETIME", "Answers the Unix times in milliseconds at which fields of a hash expire.", hpexpiretime),
		{
			Name: "HPERSIST", Since: "7.4.0", Arity: -5, Flags: removes, Args: "key (" + fields + ")", Reply: "[int...]", Run: f.hpersist,
			Keys: []command.KeySpec{command.At(1, change)},
			Doc:  command.Doc{Summary: "Takes the expiry from fields of a hash.", Complexity: perField},
		},
		{
			Name: "HGETEX", Since: "8.0.0", Arity: -5, Flags: removes, Reply: "[bulk | nil...]", Run: f.hgetex,
			Args: "key [expiration=" + times + "PERSIST] (" + fields + ")",
			Keys: []command.KeySpec{command.At(1, change|command.ReadsValue)},
			Doc:  command.Doc{Summary: "Answers fields of a hash and sets or removes their expiry.", Complexity: perField},
		},
		{
			Name: "HGETDEL", Since: "8.0.0", Arity: -5, Flags: removes, Args: "key (" + fields + ")", Reply: "[bulk | nil...]", Run: f.hgetdel,
			Keys: []command.KeySpec{command.At(1, command.RW|command.ReadsValue|command.Delete)},
			Doc:  command.Doc{Summary: "Answers fields of a hash and removes them, and the hash with its last one.", Complexity: perField},
		},
		{
			Name: "HSETEX", Since: "8.0.0", Arity: -6, Flags: writeFast, Reply: "int", Run: f.hsetex,
			Args: "key [condition=FNX|FXX] [expiration=" + times + "KEEPTTL] (FIELDS numfields:int (field value)...)",
			Keys: []command.KeySpec{command.At(1, change)},
			Doc:  command.Doc{Summary: "Sets fields of a hash, on request only if none or all of them exist, and their expiry.", Complexity: perField},
		},
	}
}

// open finds the hash at key for reading; an empty one when there is none. ok is false when the
// key holds something else and the error is answered.
func open(c *command.Ctx, key []byte) (h value.HashView, ok bool) {
	e, found := c.Read(key)
	if !c.Typed(e, found, value.Hash) {
		return h, false
	}
	if found {
		h = c.Hash(e)
	}
	return h, true
}

// edit is a hash being changed by a call.
type edit struct {
	value.HashEdit
	found bool // the hash existed
	timed bool // fields have got times
}

// look finds the hash at key for a command that may change it, for reading so far. Finding it has
// removed fields that have expired, but not too many at once; here the rest goes too, since what
// is done to a field must mean the same wherever it is carried out. (On a replica they stay.)
func look(c *command.Ctx, key []byte) (e store.Entry, h value.HashView, found, ok bool) {
	for {
		e, found = c.Write(key)
		if !c.Typed(e, found, value.Hash) {
			return e, h, found, false
		}
		if !found {
			return e, value.HashView{}, false, true
		}
		if h = c.Hash(e); !h.Due() || c.Txn.View() != store.ViewPrimary {
			return e, h, true, true
		}
	}
}

// change begins to change the hash at key, which look has found or not. The Txn counts a large
// hash as changed from here on, a compact one when it is saved.
func (f family) change(c *command.Ctx, key []byte, e store.Entry, found bool) edit {
	var payload []byte
	var o value.Object
	enc := value.Listpack
	if found {
		if enc, o = e.Encoding(), e.Object(); o != nil {
			o = c.Txn.EditEntry(e, key)
		} else {
			payload = e.Payload()
		}
	}
	return edit{HashEdit: value.EditHash(enc, payload, o, c.FieldTime(), c.Scratch, f.Limits()), found: found}
}

// save stores what the hash at key has become; without a field, the key goes.
func save(c *command.Ctx, key []byte, e *edit) {
	if e.Len() == 0 {
		c.Txn.Delete(key)
		return
	}
	switch enc, payload, o := e.Result(); {
	case o != nil:
		c.Txn.SetObject(key, o, store.KeepTTL)
	case payload != nil:
		c.Txn.SetPayload(key, value.Hash, enc, payload, store.KeepTTL)
		c.Scratch = payload
	case e.timed:
		c.Txn.NoteFieldExpiry(key)
	}
	if !e.found {
		c.Created(key)
	}
}
