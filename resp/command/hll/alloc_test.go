//go:build !race

package hll_test

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
	c.Do("PFADD", "sparse", "a", "b", "c")
	c.Do("PFADD", "dense", "a", "b", "d")
	c.Do("PFDEBUG", "TODENSE", "dense")
	c.Do("PFMERGE", "z", "dense")
	for _, argv := range [][][]byte{
		{[]byte("PFADD"), []byte("sparse"), []byte("a")}, {[]byte("PFADD"), []byte("dense"), []byte("a")},
		{[]byte("PFCOUNT"), []byte("sparse")}, {[]byte("PFCOUNT"), []byte("dense")},
		{[]byte("PFCOUNT"), []byte("dense"), []byte("sparse")}, {[]byte("PFMERGE"), []byte("z"), []byte("dense"), []byte("sparse")},
	} {
		cmd, refusal := b.Table.Find(argv)
		require.Empty(t, refusal)
		side := c.Side()
		assert.Zero(t, testing.AllocsPerRun(200, func() { side.Run(cmd, argv, b.Now) }), "%q", argv)
	}
	side := c.Side()
	add := [][]byte{[]byte("PFADD"), []byte("dense"), make([]byte, 1)}
	cmd := b.Table.Get("PFADD")
	assert.Zero(t, testing.AllocsPerRun(200, func() {
		add[2][0]++
		side.Run(cmd, add, b.Now)
	}), "new elements of a dense one")
}
