//go:build !race

package set_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp/command/commandtest"
)

// Under the race detector the arena keeps its blocks on Go's heap, so there this says nothing.

func TestPlainPathsDoNotAllocate(t *testing.T) {
	b := commandtest.New(t, setup(commandtest.Settings{})...)
	c := b.Client(0)
	c.Do("SADD", "ints", "1", "2", "70000")
	c.Do("SADD", "words", "a", "b", "3")
	for i := range 2000 {
		c.Do("SADD", "large", fmt.Sprint("m", i))
	}
	for _, line := range []string{
		"SISMEMBER ints 70000", "SISMEMBER words b", "SISMEMBER large m5", "SADD ints 2", "SADD words b", "SADD large m7", "SCARD large",
		"SRANDMEMBER ints", "SRANDMEMBER words", "SRANDMEMBER large", "SMISMEMBER large m1 m2 m3", "SREM words nosuch",
	} {
		argv := words(line)
		cmd, refusal := b.Table.Find(argv)
		require.Empty(t, refusal)
		side := c.Side()
		assert.Zero(t, testing.AllocsPerRun(200, func() { side.Run(cmd, argv, b.Now) }), line)
	}
	side := c.Side()
	addCmd, remCmd := b.Table.Get("SADD"), b.Table.Get("SREM")
	for _, m := range []string{"ints 77", "words new", "large new"} {
		add, rem := words("SADD "+m), words("SREM "+m)
		assert.Zero(t, testing.AllocsPerRun(200, func() {
			side.Run(addCmd, add, b.Now)
			side.Run(remCmd, rem, b.Now)
		}), m)
	}
}
