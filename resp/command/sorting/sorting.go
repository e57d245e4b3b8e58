// Package sorting is SORT and SORT_RO, which order the elements of lists, sets and sorted sets
// by themselves or by what other keys hold. The node hands Commands to the table; nobody else
// uses it. It must not know the families, dispatch or the cluster.
//
// # Keys that no word names
//
// The patterns of BY and GET make keys out of elements, so which keys a call reads is not known
// before it runs. Alone, such a call therefore locks the whole keyspace (KeySpec.Anywhere). In a
// cluster a pattern is taken only when its hash tag puts all its keys into the slot of the key
// that is sorted, so there the one stripe is enough.
package sorting

import (
	"bytes"

	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store/slot"
	"github.com/sextantdb/sextant/store/value"
)

// Options are what the family reads. Limits is called for single calls, on any event loop.
type Options struct {
	// Cluster says that the node runs in cluster mode.
	Cluster bool
	// Limits are the thresholds of compact forms, as CONFIG SET last said.
	Limits func() *value.Limits
}

// family is Options as the receiver of the handlers that need them.
type family struct{ Options }

// Commands are the entries of the family.
func Commands(o Options) []command.Command {
	f := family{o}
	const (
		look = command.RO | command.ReadsValue
		args = "key [BY by-pattern:pattern] [LIMIT offset:int count:int] [GET get-pattern:pattern]... [order=ASC|DESC] [sorting=ALPHA]"
	)
	patterns := command.Unknown(look, func(_ [][]byte, refs []command.KeyRef) ([]command.KeyRef, bool) { return refs, true })
	if !o.Cluster {
		patterns.Anywhere = makesKeys
	}
	entries := []command.Command{
		{
			Name: "SORT", Since: "1.0.0", Arity: -2, Flags: command.Write | command.DenyOOM, Run: f.sort,
			Args: args + " [STORE destination:key]", Reply: "[bulk | nil...] | int",
			Keys: []command.KeySpec{command.At(1, look), patterns, command.Unknown(command.OW|command.Update, destination)},
			Doc: command.Doc{Summary: "Answers or stores the elements of a list, set or sorted set in order, by themselves or by what other keys hold.",
				Complexity: "O(n+m*log(m)) for n elements of which m are answered"},
		},
		{
			Name: "SORT_RO", Since: "7.0.0", Arity: -2, Flags: command.ReadOnly, Run: f.sortRO,
			Args: args, Reply: "[bulk | nil...]",
			Keys: []command.KeySpec{command.At(1, look), patterns},
			Doc: command.Doc{Summary: "Answers the elements of a list, set or sorted set in order, by themselves or by what other keys hold.",
				Complexity: "O(n+m*log(m)) for n elements of which m are answered"},
		},
	}
	for i := range entries {
		entries[i].Group = command.Generic
		entries[i].ACL = command.CatSet | command.CatSortedSet | command.CatList | command.CatDangerous
	}
	return entries
}

// eachOption visits the words of a call with what belongs to each, as the handler reads them.
func eachOption(argv [][]byte, fn func(word []byte, more [][]byte)) {
	for i := 2; i < len(argv); i++ {
		n := 0
		switch word := argv[i]; {
		case command.Is(word, "LIMIT"):
			n = 2
		case command.Is(word, "BY"), command.Is(word, "GET"), command.Is(word, "STORE"):
			n = 1
		}
		if i+n >= len(argv) {
			return // a syntax error
		}
		fn(argv[i], argv[i+1:i+1+n])
		i += n
	}
}

// makesKeys reports whether a call has patterns that make keys.
func makesKeys(argv [][]byte) (makes bool) {
	eachOption(argv, func(word []byte, more [][]byte) {
		if command.Is(word, "BY") || command.Is(word, "GET") {
			makes = makes || bytes.IndexByte(more[0], '*') >= 0
		}
	})
	return makes
}

// destination finds STORE's key: the last one counts.
func destination(argv [][]byte, refs []command.KeyRef) ([]command.KeyRef, bool) {
	at, i := 0, 2
	eachOption(argv, func(word []byte, more [][]byte) {
		if i += 1 + len(more); command.Is(word, "STORE") {
			at = i - 1
		}
	})
	if at > 0 {
		refs = append(refs, command.KeyRef{Index: at, Access: command.OW | command.Update})
	}
	return refs, true
}

// patternSlot is the slot of all keys that a pattern makes; ok is false when they may be in
// different ones: the hash tag must come before any wildcard.
func patternSlot(pattern []byte) (sl slot.Slot, ok bool) {
	tag := -1
	for i, c := range pattern {
		switch {
		case c == '*' || c == '?' || c == '[' || c == '\\':
			return 0, false
		case c == '{' && tag == -1:
			tag = i
		case c == '}' && tag >= 0:
			if i > tag+1 {
				return slot.Of(pattern[:i+1]), true
			}
			tag = -2 // an empty tag is none
		}
	}
	return slot.Of(pattern), true
}
