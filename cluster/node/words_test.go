package node

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/integration/proc"
	"github.com/sextantdb/sextant/resp/command"
)

// FuzzWords gives any words to what is derived from the table before a handler runs: lookup, keys,
// flags, permissions. What it finds must lie within the words.
func FuzzWords(f *testing.F) {
	table := build(f, f.TempDir(), proc.FreePort(f)).table
	for _, c := range table.All() {
		words := bytes.ReplaceAll([]byte(c.FullName()), []byte("|"), []byte{0})
		f.Add(words)
		if !c.HasKeys() && c.Refine == nil {
			continue
		}
		for _, more := range []string{"\x001", "\x001\x00k", "\x00k\x001\x00k2", "\x002\x00a\x00b\x00STORE\x00c", "\x00KEYS\x00k", "\x00g\x00c\x00STREAMS\x00a\x000", "\x00\x00\x00\x00\x00KEYS\x00a"} {
			f.Add(append(bytes.Clone(words), more...))
		}
	}
	f.Add([]byte("EVAL\x00#!lua name=x flags=no-writes,allow-oom\nreturn 1\x001\x00k"))
	f.Fuzz(func(t *testing.T, text []byte) {
		argv := bytes.Split(text, []byte{0})
		cmd, refused := table.Find(argv)
		if refused != "" {
			return
		}
		for _, channels := range []bool{false, true} {
			refs, _ := cmd.KeysOf(argv, nil, channels)
			for _, r := range refs {
				require.True(t, 0 < r.Index && r.Index < len(argv), "%q: key at %d", argv, r.Index)
				require.NotZero(t, r.Access, "%q", argv)
			}
		}
		flags := cmd.FlagsOf(argv)
		require.NotEqual(t, command.Write|command.ReadOnly, flags&(command.Write|command.ReadOnly), "%q", argv)
	})
}
