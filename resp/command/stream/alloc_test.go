//go:build !race

package stream_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp/command/commandtest"
)

// Under the race detector the arena keeps its blocks on Go's heap, so there this says nothing.

func TestPlainPathsDoNotAllocate(t *testing.T) {
	b := commandtest.New(t, setup(commandtest.Settings{"stream-node-max-entries": "0", "stream-node-max-bytes": "0"})...)
	c := b.Client(0)
	c.Do("XGROUP", "CREATE", "s", "g", "0", "MKSTREAM")
	c.Do("XADD", "s", "1-1", "a", "1", "b", "two")
	c.Do("XADD", "s", "1-2", "a", "1", "b", "two")
	c.Do("XREADGROUP", "GROUP", "g", "alice", "STREAMS", "s", ">")
	side := c.Side()
	for range 2000 { // room, so that appending need not grow it
		side.Run(b.Table.Get("XADD"), words("XADD s * a 1 b two"), b.Now)
	}
	side.Run(b.Table.Get("XTRIM"), words("XTRIM s MAXLEN 100"), b.Now)
	for _, line := range []string{
		"XADD s * a 1 b two", "XADD s MAXLEN ~ 100000 * a 1 b two", "XADD s 1-* a 1", "XADD s 1700000000000-* c 1", "XLEN s", "XRANGE s - +", "XREVRANGE s + - COUNT 5",
		"XREAD STREAMS s 1", "XREAD COUNT 3 STREAMS s nosuch 0 0", "XACK s g 9-9", "XDEL s 9-9", "XTRIM s MAXLEN 1000000",
		"XREADGROUP GROUP g alice STREAMS s 0", "XCLAIM s g alice 0 1-1", "XAUTOCLAIM s g alice 0 - JUSTID", "XPENDING s g", "XPENDING s g - + 10",
		"XINFO STREAM s", "XINFO GROUPS s", "XINFO CONSUMERS s g",
	} {
		argv := words(line)
		cmd, refusal := b.Table.Find(argv)
		require.Empty(t, refusal)
		assert.Zero(t, testing.AllocsPerRun(100, func() { side.Run(cmd, argv, b.Now) }), line)
	}
}

func words(line string) (argv [][]byte) {
	for _, w := range strings.Fields(line) {
		argv = append(argv, []byte(w))
	}
	return argv
}
