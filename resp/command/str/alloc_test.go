//go:build !race

package str_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp/command/commandtest"
)

// Under the race detector the arena keeps its blocks on Go's heap, so there this says nothing.

// The commands that servers run a million times a second must not allocate.
func TestPlainPathsDoNotAllocate(t *testing.T) {
	b := commandtest.New(t, setup(commandtest.Settings{})...)
	c := b.Client(0)
	c.Do("SET", "k", "v")
	c.Do("SET", "n", "1")
	for _, line := range []string{
		"GET k", "GET n", "SET k v", "SET k other", "SET k v EX 100", "INCR n", "DECRBY n 3", "MGET k n k", "MSET k v n 1",
		"STRLEN k", "GETRANGE k 0 -1", "SETNX k v", "GETEX k EX 10",
		"EXISTS k n", "EXPIRE k 100", "TTL k", "DEL nosuch", "TYPE k", "PERSIST k",
	} {
		argv := words(line)
		cmd, refusal := b.Table.Find(argv)
		require.Empty(t, refusal)
		side := c.Side()
		assert.Zero(t, testing.AllocsPerRun(200, func() { side.Run(cmd, argv, b.Now) }), line)
	}
	// Beside another key of the slot: the first key of a slot makes the slot's table.
	c.Do("SET", "{d}stays", "v")
	set, del := words("SET {d}goes v"), words("DEL {d}goes")
	setCmd, delCmd := b.Table.Get("SET"), b.Table.Get("DEL")
	side := c.Side()
	assert.Zero(t, testing.AllocsPerRun(200, func() {
		side.Run(setCmd, set, b.Now)
		side.Run(delCmd, del, b.Now)
	}), "SET and DEL of a key")
}
