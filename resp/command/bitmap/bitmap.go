// Package bitmap is the family of commands that see a string as bits: SETBIT, BITCOUNT,
// BITFIELD and their like, over the bitmaps of package value. The node hands Commands to the
// table; nobody else uses it. It must not know the other families, dispatch or the cluster.
package bitmap

import "github.com/sextantdb/sextant/resp/command"

// Options are the settings the family reads.
type Options struct {
	// MaxBulk is proto-max-bulk-len, which bounds the strings that SETBIT and BITFIELD make. It
	// is called for single calls, on any event loop, and gives what CONFIG SET last said.
	MaxBulk func() int64
}

// family is Options as the receiver of the handlers that need them.
type family struct{ Options }

// Commands are the entries of the family.
func Commands(o Options) []command.Command {
	f := family{o}
	const (
		write    = command.Write | command.DenyOOM
		readFast = command.ReadOnly | command.Fast
		look     = command.RO | command.ReadsValue
		modify   = command.RW | command.ReadsValue | command.Update
		get      = "GET (get-block=encoding offset:int)"
	)
	entries := []command.Command{
		{
			Name: "SETBIT", Since: "2.2.0", Arity: 4, Flags: write, Args: "key offset:int value:int", Reply: "int", Run: f.setbit,
			Keys: []command.KeySpec{command.At(1, modify)},
			Doc:  command.Doc{Summary: "Sets or clears a bit of a string and answers what it was. The string grows to hold it.", Complexity: "O(1)"},
		},
		{
			Name: "GETBIT", Since: "2.2.0", Arity: 3, Flags: readFast, Args: "key offset:int", Reply: "int", Run: f.getbit,
			Keys: []command.KeySpec{command.At(1, look)},
			Doc:  command.Doc{Summary: "Answers a bit of a string.", Complexity: "O(1)"},
		},
		{
			Name: "BITCOUNT", Since: "2.6.0", Arity: -2, Flags: command.ReadOnly, Reply: "int", Run: bitcount,
			Args: "key [range=start:int end:int [unit@7.0.0=BYTE|BIT]]",
			Keys: []command.KeySpec{command.At(1, look)},
			Doc: command.Doc{Summary: "Counts the set bits of a string or of a part of it.", Complexity: "O(n) for n bytes looked at",
				History: []string{"7.0.0: BYTE and BIT", "8.0.0: start without end, in Valkey"}},
		},
		{
			Name: "BITPOS", Since: "2.8.7", Arity: -3, Flags: command.ReadOnly, Reply: "int", Run: bitpos,
			Args: "key bit:int [range=start:int [end-unit-block=end:int [unit@7.0.0=BYTE|BIT]]]",
			Keys: []command.KeySpec{command.At(1, look)},
			Doc: command.Doc{Summary: "Answers the place of the first set or clear bit of a string or of a part of it.", Complexity: "O(n) for n bytes looked at",
				History: []string{"7.0.0: BYTE and BIT"}},
		},
		{
			Name: "BITOP", Since: "2.6.0", Arity: -4, Flags: write, Reply: "int", Run: bitop,
			Args: "(operation=AND|OR|XOR|NOT) destkey:key key...",
			Keys: []command.KeySpec{command.At(2, command.OW|command.Update), command.Span(3, -1, 1, look)},
			Doc:  command.Doc{Summary: "Puts strings together bit by bit and keeps the result.", Complexity: "O(n) for n bytes in all strings"},
		},
		{
			Name: "BITFIELD", Since: "3.2.0", Arity: -2, Flags: write, Reply: "[int | nil...]", Run: f.bitfield,
			Args: "key [operation=(" + get + ")|(write=[OVERFLOW (overflow-block=WRAP|SAT|FAIL)] (write-operation=SET (set-block=encoding offset:int value:int)|INCRBY (incrby-block=encoding offset:int increment:int)))]...",
			Keys: []command.KeySpec{fieldKey(modify|command.VariableFlags, look)},
			Doc: command.Doc{Summary: "Reads, writes and adds to integers of any width at any bit of a string, one after the other.",
				Complexity: "O(1) for each operation"},
		},
		{
			Name: "BITFIELD_RO", Since: "6.0.0", Arity: -2, Flags: readFast, Reply: "[int...]", Run: f.bitfieldRO,
			Args: "key [" + get + "]...",
			Keys: []command.KeySpec{command.At(1, look)},
			Doc:  command.Doc{Summary: "Reads integers of any width at any bit of a string.", Complexity: "O(1) for each operation"},
		},
	}
	for i := range entries {
		entries[i].Group = command.Bitmap
		entries[i].ACL = command.CatBitmap
	}
	return entries
}
