//go:build !race

package hash_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp/command/commandtest"
)

// Under the race detector the arena keeps its blocks on Go's heap, so there this says nothing.

func TestPlainPathsDoNotAllocate(t *testing.T) {
	b := commandtest.New(t, setup(commandtest.Settings{})...)
	c := b.Client(0)
	c.Do("HSET", "small", "f1", "v1", "f2", "v2", "n", "5", "f3", "v3")
	c.Do("HSET", "plain", "f1", "v1", "f2", "v2")
	for i := range 2000 {
		c.Do("HSET", "large", fmt.Sprint("f", i), "value")
	}
	c.Do("HSET", "large", "n", "1")
	c.Do("HSET", "timed", "f1", "v1", "n", "5")
	c.Do("HEXPIRE", "timed", "100", "FIELDS", "1", "f1")
	c.Do("HSET", "largetimed", "f1", strings.Repeat("v", 100), "n", "5")
	c.Do("HEXPIRE", "largetimed", "100", "FIELDS", "1", "f1")
	for _, line := range []string{
		"HGET small f2", "HGET small n", "HGET large f77", "HMGET small f1 n nosuch", "HSET small f2 other", "HSET small f2 v2 f3 v3",
		"HSET large f77 other", "HSET large f77 value", "HEXISTS small f1", "HSTRLEN large f1", "HLEN small", "HINCRBY small n 1", "HSETNX small f1 x",
		"HGETALL plain", "HKEYS large",
		"HGET timed f1", "HINCRBY timed n 1", "HLEN timed", "HTTL timed FIELDS 1 f1", "HGET largetimed f1", "HINCRBY largetimed n 1", "HLEN largetimed",
	} {
		argv := words(line)
		cmd, refusal := b.Table.Find(argv)
		require.Empty(t, refusal)
		side := c.Side()
		assert.Zero(t, testing.AllocsPerRun(200, func() { side.Run(cmd, argv, b.Now) }), line)
	}
	side := c.Side()
	set, del := words("HSET small new field"), words("HDEL small new")
	setCmd, delCmd := b.Table.Get("HSET"), b.Table.Get("HDEL")
	assert.Zero(t, testing.AllocsPerRun(200, func() {
		side.Run(setCmd, set, b.Now)
		side.Run(delCmd, del, b.Now)
	}), "HSET and HDEL of a field")
}

func BenchmarkCall(b *testing.B) {
	for _, line := range []string{"HGET small f2", "HSET small f2 v2", "HSET small f2 v3", "HGET large f77", "HSET large f77 value", "HGETALL small"} {
		b.Run(line, func(b *testing.B) {
			bench := commandtest.New(b, setup(commandtest.Settings{})...)
			c := bench.Client(0)
			c.Do("HSET", "small", "f1", "v1", "f2", "v2", "f3", "v3", "f4", "v4", "f5", "v5", "f6", "v6", "f7", "v7", "f8", "v8")
			for i := range 2000 {
				c.Do("HSET", "large", fmt.Sprint("f", i), "value")
			}
			argv := words(line)
			cmd, _ := bench.Table.Find(argv)
			side := c.Side()
			b.ReportAllocs()
			for b.Loop() {
				side.Run(cmd, argv, bench.Now)
			}
		})
	}
}
