//go:build !race

package list_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp/command/commandtest"
)

// Under the race detector the arena keeps its blocks on Go's heap, so there this says nothing.

func TestPlainPathsDoNotAllocate(t *testing.T) {
	for _, size := range []string{"-2", "3"} {
		b := commandtest.New(t, setup(commandtest.Settings{"list-max-listpack-size": size})...)
		c := b.Client(0)
		c.Do("RPUSH", "l", "a", "b", "c", "17", "e")
		for _, line := range []string{
			"LLEN l", "LINDEX l 2", "LRANGE l 0 -1", "LSET l 1 x", "LPOS l 17", "LPUSHX nosuch a", "LREM l 1 nosuch", "LTRIM l 0 -1",
			"LMOVE l l LEFT RIGHT",
		} {
			argv := words(line)
			cmd, refusal := b.Table.Find(argv)
			require.Empty(t, refusal)
			side := c.Side()
			if size == "3" && strings.HasPrefix(line, "LMOVE") {
				continue // nodes come and go
			}
			assert.Zero(t, testing.AllocsPerRun(200, func() { side.Run(cmd, argv, b.Now) }), "%s, %s", line, size)
		}
		c.Do("LPUSH", "l", "y", "y")   // no node is full at either end now
		c.Do("RPUSH", "{d}stays", "x") // the first key of a slot makes the slot's table
		for _, pair := range [][2]string{{"LPUSH l x", "LPOP l"}, {"RPUSH l x", "RPOP l"}, {"LPUSH l x", "LPOP l 1"}, {"LPUSH {d}goes x", "LPOP {d}goes"}} {
			push, pop := words(pair[0]), words(pair[1])
			pushCmd, popCmd := b.Table.Get(string(push[0])), b.Table.Get(string(pop[0]))
			side := c.Side()
			assert.Zero(t, testing.AllocsPerRun(200, func() {
				side.Run(pushCmd, push, b.Now)
				side.Run(popCmd, pop, b.Now)
			}), "%s, %s", pair, size)
		}
	}
}

func words(line string) (argv [][]byte) {
	for _, w := range strings.Fields(line) {
		argv = append(argv, []byte(w))
	}
	return argv
}
