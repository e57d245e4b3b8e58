//go:build !race

package zset_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp/command/commandtest"
)

// Under the race detector the arena keeps its blocks on Go's heap, so there this says nothing.

func TestPlainPathsDoNotAllocate(t *testing.T) {
	for _, entries := range []string{"128", "2"} {
		b := commandtest.New(t, setup(commandtest.Settings{"zset-max-listpack-entries": entries})...)
		c := b.Client(0)
		c.Do("ZADD", "z", "1", "a", "2", "b", "3.5", "c", "4", "17")
		for _, line := range []string{
			"ZADD z 1 a", "ZADD z XX 7 a 1 a", "ZINCRBY z 1 b", "ZSCORE z a", "ZSCORE z nosuch", "ZCARD z", "ZRANK z c",
			"ZRANGE z 0 -1 WITHSCORES", "ZRANGE z 1 3 BYSCORE", "ZCOUNT z 1 3", "ZMSCORE z a b", "ZREM z nosuch", "ZREVRANGE z 0 1",
			"ZRANDMEMBER z",
		} {
			argv := words(line)
			cmd, refusal := b.Table.Find(argv)
			require.Empty(t, refusal)
			side := c.Side()
			assert.Zero(t, testing.AllocsPerRun(200, func() { side.Run(cmd, argv, b.Now) }), "%s, %s", line, entries)
		}
		add, pop := words("ZADD z 0 first"), words("ZPOPMIN z")
		addCmd, popCmd := b.Table.Get("ZADD"), b.Table.Get("ZPOPMIN")
		side := c.Side()
		side.Run(addCmd, add, b.Now)
		if entries == "128" { // the log of a large set takes a new chunk now and then
			assert.Zero(t, testing.AllocsPerRun(200, func() {
				side.Run(addCmd, add, b.Now)
				side.Run(popCmd, pop, b.Now)
			}))
		}
	}
}

func words(line string) (argv [][]byte) {
	for _, w := range strings.Fields(line) {
		argv = append(argv, []byte(w))
	}
	return argv
}
