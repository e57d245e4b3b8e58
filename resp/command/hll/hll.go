// Package hll is the HyperLogLog family: PFADD, PFCOUNT, PFMERGE, and the commands that look
// inside, over the HyperLogLogs of package value. The node hands Commands to the table; nobody
// else uses it. It must not know the other families, dispatch or the cluster.
package hll

import (
	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/value"
)

// Options are what the family reads. The functions are called for single calls, on any event loop.
type Options struct {
	// SparseMax is hll-sparse-max-bytes: how long a sparse HyperLogLog may become.
	SparseMax func() int
	// Rand gives 64 random bits (PFSELFTEST).
	Rand func() uint64
}

// family is Options as the receiver of the handlers that need them.
type family struct{ Options }

// Commands are the entries of the family.
func Commands(o Options) []command.Command {
	f := family{o}
	const (
		write = command.Write | command.DenyOOM
		look  = command.RO | command.ReadsValue
	)
	entries := []command.Command{
		{
			Name: "PFADD", Since: "2.8.9", Arity: -2, Flags: write | command.Fast, Args: "key [element]...", Reply: "int", Run: f.pfadd,
			Keys: []command.KeySpec{command.At(1, command.RW|command.Insert)},
			Doc: command.Doc{Summary: "Adds elements to a HyperLogLog and tells whether its count may have changed.",
				Complexity: "O(1) for each element"},
		},
		{
			Name: "PFCOUNT", Since: "2.8.9", Arity: -2, Flags: command.ReadOnly | command.MayReplicate, Args: "key...", Reply: "int", Run: pfcount,
			Keys: []command.KeySpec{command.Span(1, -1, 1, command.RW|command.ReadsValue)},
			Doc: command.Doc{Summary: "Estimates how many different elements HyperLogLogs have seen, together.",
				Complexity: "O(1) for one key whose count is kept, O(n) with a large constant for n keys"},
		},
		{
			Name: "PFMERGE", Since: "2.8.9", Arity: -2, Flags: write, Args: "destkey:key [sourcekey:key]...", Reply: "OK", Run: f.pfmerge,
			Keys: []command.KeySpec{
				command.At(1, command.RW|command.ReadsValue|command.Insert), command.Span(2, -1, 1, look),
			},
			Doc: command.Doc{Summary: "Adds to a HyperLogLog all that others have seen.", Complexity: "O(n) for n keys, with a large constant"},
		},
		{
			Name: "PFDEBUG", Since: "2.8.9", Arity: 3, Flags: write | command.Admin, Args: "subcommand key", Reply: "[int...] | bulk | simple | int", Run: pfdebug,
			Keys: []command.KeySpec{command.At(2, command.RW|command.ReadsValue)},
			Doc:  command.Doc{Summary: "Shows the registers of a HyperLogLog, its runs or its encoding, or makes it dense.", Complexity: "O(1)", SysCmd: true},
		},
		{
			Name: "PFSELFTEST", Since: "2.8.9", Arity: 1, Flags: command.Admin, Reply: "OK", Run: f.pfselftest,
			Doc: command.Doc{Summary: "Tests HyperLogLogs against themselves.", Complexity: "O(1), of a fraction of a second", SysCmd: true},
		},
	}
	for i := range entries {
		entries[i].Group = command.HyperLogLog
		entries[i].ACL = command.CatHyperLogLog
	}
	return entries
}

// hllOf is the HyperLogLog of an entry, none when there is no entry. ok is false when it is
// something else and the error is answered.
func hllOf(c *command.Ctx, e store.Entry, found bool) (h value.HLL, ok bool) {
	if !c.Typed(e, found, value.String) {
		return h, false
	}
	if !found {
		return h, true
	}
	if e.Encoding() != value.Int {
		h, ok = value.HLLOf(e.Payload())
	}
	if !ok {
		c.Fail(resp.ErrNotHLL)
	}
	return h, ok
}

// save makes key hold h.
func save(c *command.Ctx, key []byte, h value.HLL) {
	if existed := c.Txn.SetPayload(key, value.String, value.Raw, h.Bytes(), store.KeepTTL); !existed {
		c.Created(key)
	}
	c.Scratch = h.Bytes()
}

// inPlace is the HyperLogLog at key, which is found and keeps its length, for writing.
func inPlace(c *command.Ctx, key []byte) value.HLL {
	h, _ := value.HLLOf(c.Txn.EditString(key, 1))
	return h
}

func (f family) pfadd(c *command.Ctx) {
	key := c.Argv[1]
	e, found := c.Write(key)
	h, ok := hllOf(c, e, found)
	if !ok {
		return
	}
	changed := !found
	if found && h.Dense() {
		for _, element := range c.Argv[2:] {
			if i, count := value.HLLHash(element); h.DenseRegister(i) < count {
				if !changed {
					h, changed = inPlace(c, key), true
				}
				h.SetDenseRegister(i, count)
			}
		}
		if changed {
			h.Forget()
		}
	} else {
		if found {
			h = value.CloneHLL(c.Scratch, h)
		} else {
			h = value.NewHLL(c.Scratch)
			h.Forget()
		}
		sparseMax := f.SparseMax()
		for _, element := range c.Argv[2:] {
			i, count := value.HLLHash(element)
			raised, ok := h.Raise(i, count, sparseMax)
			if !ok {
				c.Fail(resp.ErrCorruptHLL)
				return
			}
			changed = changed || raised
		}
		if changed {
			save(c, key, h)
		}
	}
	if !changed {
		c.Out.Int(0)
		return
	}
	c.Notify(command.EventString, "pfadd", key)
	c.Out.Int(1)
}

func pfcount(c *command.Ctx) {
	if len(c.Argv) > 2 {
		var all value.HLLRegisters
		for _, key := range c.Argv[1:] {
			if ok, _ := mergeKey(c, key, &all); !ok {
				return
			}
		}
		c.Out.Int(int64(all.Count()))
		return
	}
	key := c.Argv[1]
	e, found := c.Read(key)
	h, ok := hllOf(c, e, found)
	switch {
	case !ok:
		return
	case !found:
		c.Out.Int(0)
		return
	}
	n, kept := h.Cached()
	if !kept {
		if n, ok = h.Count(); !ok {
			c.Fail(resp.ErrCorruptHLL)
			return
		}
		// The count is kept with the value, which changes it everywhere; on a replica, as in Redis, only there.
		inPlace(c, key).Cache(n)
	}
	c.Out.Int(int64(n))
}

// mergeKey raises registers to those of the HyperLogLog at key. ok is false when the error is
// answered.
func mergeKey(c *command.Ctx, key []byte, to *value.HLLRegisters) (ok, dense bool) {
	e, found := c.Read(key)
	h, ok := hllOf(c, e, found)
	if !ok || !found {
		return ok, false
	}
	if !h.MergeInto(to) {
		c.Fail(resp.ErrCorruptHLL)
		return false, false
	}
	return true, h.Dense()
}

func (f family) pfmerge(c *command.Ctx) {
	var all value.HLLRegisters
	anyDense := false
	for _, key := range c.Argv[1:] {
		ok, dense := mergeKey(c, key, &all)
		if !ok {
			return
		}
		anyDense = anyDense || dense
	}
	key := c.Argv[1]
	e, found := c.Write(key)
	h, _ := hllOf(c, e, found) // it has been looked at above
	wasDense := found && h.Dense()
	switch {
	case wasDense:
		h = inPlace(c, key)
	case found:
		h = value.CloneHLL(c.Scratch, h)
	default:
		h = value.NewHLL(c.Scratch)
	}
	if anyDense {
		h.ToDense() // its runs are whole: they were merged above
	}
	sparseMax := f.SparseMax()
	for i, count := range &all {
		if count > 0 {
			h.Raise(i, count, sparseMax)
		}
	}
	h.Forget()
	if !wasDense {
		save(c, key, h)
	}
	c.Notify(command.EventString, "pfadd", key)
	c.Out.OK()
}
