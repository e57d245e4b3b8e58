package command_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp/command"
)

// keysOf renders the keys of a call as "word:access …", or "?" when they cannot be told.
func keysOf(c *command.Command, line string, channels bool) string {
	argv := words(line)
	refs, ok := c.KeysOf(argv, nil, channels)
	if !ok {
		return "?"
	}
	var out []string
	for _, r := range refs {
		out = append(out, fmt.Sprintf("%s:%s", argv[r.Index], strings.Join(r.Access.Names(), "+")))
	}
	return strings.Join(out, " ")
}

func TestKeysOfEveryKindOfSpec(t *testing.T) {
	k := func(specs ...command.KeySpec) []command.KeySpec { return specs }
	odd := func(argv [][]byte, refs []command.KeyRef) ([]command.KeyRef, bool) {
		for i := 1; i < len(argv); i += 2 {
			refs = append(refs, command.KeyRef{Index: i, Access: command.RO})
		}
		return refs, len(argv) > 2
	}
	vary := command.At(1, command.RW|command.VariableFlags)
	vary.Vary = func(argv [][]byte) command.Access {
		if len(argv) > 2 {
			return command.RW
		}
		return command.RO
	}
	for _, c := range []struct {
		name  string
		specs []command.KeySpec
		line  string
		want  string
	}{
		{"one", k(command.At(1, command.RO)), "c a b", "a:RO"},
		{"none there", k(command.At(3, command.RO)), "c a b", ""},
		{"two", k(command.At(1, command.RO), command.At(2, command.OW)), "c a b", "a:RO b:OW"},
		{"all", k(command.Span(1, -1, 1, command.RO)), "c x y z", "x:RO y:RO z:RO"},
		{"all but the last", k(command.Span(1, -2, 1, command.RO)), "c x y 0", "x:RO y:RO"},
		{"every other", k(command.Span(1, -1, 2, command.OW)), "c k v l w", "k:OW l:OW"},
		{"up to a word", k(command.Span(1, 2, 1, command.RO)), "c x y z", "x:RO y:RO"},
		{"up to a word that is missing", k(command.Span(1, 2, 1, command.RO)), "c x", "?"},
		{"counted", k(command.Counted(1, command.RO)), "c 2 x y z", "x:RO y:RO"},
		{"counted none", k(command.Counted(1, command.RO)), "c 0 x", ""},
		{"count too high", k(command.Counted(1, command.RO)), "c 3 x y", "?"},
		{"count far too high", k(command.Counted(1, command.RO)), "c 9223372036854775807 x y", "?"},
		{"count negative", k(command.Counted(1, command.RO)), "c -1 x", "?"},
		{"count no number", k(command.Counted(1, command.RO)), "c x y", "?"},
		{"destination and counted", k(command.At(1, command.OW), command.Counted(2, command.RO)), "c d 2 x y W 1 2", "d:OW x:RO y:RO"},
		{"after a keyword", k(command.After("STORE", 2, 0, 1, 0, command.OW)), "c a store d", "d:OW"},
		{"keyword missing", k(command.After("STORE", 2, 0, 1, 0, command.OW)), "c a b d", ""},
		{"keyword last", k(command.After("STORE", 2, 0, 1, 0, command.OW)), "c a STORE", ""},
		{"half of the rest", k(command.After("STREAMS", 1, -1, 1, 2, command.RO)), "c COUNT 2 STREAMS a b 0 0", "a:RO b:RO"},
		{"keyword from the end", k(command.At(3, command.RW), command.After("KEYS", -2, -1, 1, 0, command.RW)), "c h p k 0 1 KEYS a b", "k:RW a:RW b:RW"},
		{"a rule", k(command.Unknown(command.RO, odd)), "c a 1 b", "a:RO b:RO"},
		{"a rule that fails", k(command.Unknown(command.RO, odd)), "c a", "?"},
		{"access by words, some", k(vary), "c a b", "a:RW"},
		{"access by words, none", k(vary), "c a", "a:RO"},
		{"no key", k(command.Span(1, -1, 1, command.NotKey)), "c ch", ""},
	} {
		tab, err := command.New(nil, []command.Command{entry(func(e *command.Command) {
			e.Name, e.Arity, e.Args, e.Keys = "C", -1, "[word]...", c.specs
			e.Flags |= command.NoMandatoryKeys
		})})
		require.NoError(t, err, c.name)
		assert.Equal(t, c.want, keysOf(tab.Get("C"), c.line, false), c.name)
	}
}

func TestChannelsAreKeysForRoutingOnly(t *testing.T) {
	tab, err := command.New(nil, []command.Command{entry(func(e *command.Command) {
		e.Keys = []command.KeySpec{command.At(1, command.NotKey)}
	})})
	require.NoError(t, err)
	assert.Empty(t, keysOf(tab.Get("PUT"), "put ch x", false))
	assert.Equal(t, "ch:not_key", keysOf(tab.Get("PUT"), "put ch x", true))
	assert.Zero(t, tab.Get("PUT").SoleKey())
}

func TestKeysOfRealEntries(t *testing.T) {
	tab := table(t)
	for line, want := range map[string]string{
		"get a":                "a:RO+access",
		"set a 1":              "a:OW+update",
		"set a 1 NX get":       "a:RW+access+update",
		"set get get":          "get:OW+update",
		"mset a 1 b 2":         "a:OW+update b:OW+update",
		"del a b":              "a:RM+delete b:RM+delete",
		"rename a b":           "a:RW+access+delete b:OW+update",
		"lcs a b LEN":          "a:RO+access b:RO+access",
		"object encoding k":    "k:RO",
		"scan 0 MATCH k":       "",
		"watch a b":            "a:RO b:RO",
		"restore-asking a 0 x": "a:OW+update",
	} {
		c, refusal := tab.Find(words(line))
		require.Empty(t, refusal, line)
		assert.Equal(t, want, keysOf(c, line, false), line)
	}
}

// The short way through one key at a fixed place must name the same key as the long way.
func TestSoleKeyAgreesWithKeysOf(t *testing.T) {
	n := 0
	for _, c := range table(t).All() {
		k := c.SoleKey()
		if k == 0 {
			continue
		}
		n++
		argv := make([][]byte, max(c.Arity, -c.Arity))
		refs, ok := c.KeysOf(argv, nil, true)
		assert.True(t, ok, c.FullName())
		assert.Len(t, refs, 1, c.FullName())
		assert.Equal(t, k, refs[0].Index, c.FullName())
	}
	assert.Positive(t, n)
}
