//go:build !race

package bitmap_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp/command/commandtest"
)

// Under the race detector the arena keeps its blocks on Go's heap, so there this says nothing.

func TestPlainPathsDoNotAllocate(t *testing.T) {
	b := commandtest.New(t, setup(commandtest.Settings{})...)
	c := b.Client(0)
	c.Do("SETBIT", "k", "1000", "1")
	c.Do("SETBIT", "large", "1000000", "1")
	c.Do("SET", "n", "12345")
	for _, line := range []string{
		"SETBIT k 7 1", "GETBIT k 7", "GETBIT n 9", "BITCOUNT k", "BITCOUNT n 0 1", "BITPOS large 1", "SETBIT large 77 1",
		"BITFIELD k GET u8 0 INCRBY i16 #1 1 OVERFLOW FAIL SET u4 0 99", "BITFIELD_RO n GET u8 0", "BITOP AND z k n", "BITOP NOT z k",
	} {
		argv := words(line)
		cmd, refusal := b.Table.Find(argv)
		require.Empty(t, refusal)
		side := c.Side()
		assert.Zero(t, testing.AllocsPerRun(200, func() { side.Run(cmd, argv, b.Now) }), line)
	}
}

func BenchmarkCall(b *testing.B) {
	for _, line := range []string{"SETBIT k 7 1", "GETBIT k 7", "BITCOUNT large", "BITPOS large 1", "BITOP AND z large large", "BITFIELD k INCRBY u16 #3 1"} {
		b.Run(line, func(b *testing.B) {
			bench := commandtest.New(b, setup(commandtest.Settings{})...)
			c := bench.Client(0)
			c.Do("SETBIT", "k", "1000", "1")
			c.Do("SETBIT", "large", "8000000", "1")
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
