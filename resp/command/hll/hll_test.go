package hll_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/command/commandtest"
	"github.com/sextantdb/sextant/resp/command/generic"
	"github.com/sextantdb/sextant/resp/command/hll"
	"github.com/sextantdb/sextant/resp/command/str"
	"github.com/sextantdb/sextant/resp/session"
	"github.com/sextantdb/sextant/store/value"
)

// setup makes the family and, for looking at what it did, the string and the generic one.
func setup(s commandtest.Settings) [][]command.Command {
	no := func() bool { return false }
	sparseMax := func() int {
		n := 3000
		s.Int("sparse-max", &n)
		return n
	}
	return [][]command.Command{
		hll.Commands(hll.Options{SparseMax: sparseMax, Rand: rand.Uint64}),
		str.Commands(str.Options{MaxBulk: func() int64 { return 512 << 20 }, LazyExpire: no}),
		generic.Commands(generic.Options{LFU: no, Compress: no, LazyExpire: no, LazyServerDel: no}),
	}
}

func TestScripts(t *testing.T) { commandtest.Scripts(t, "testdata/*.txt", setup) }

func TestAgainstRedis(t *testing.T) {
	commandtest.AgainstRedis(t, "testdata/*.txt", map[string]string{"sparse-max": "hll-sparse-max-bytes"}, map[string]string{})
}

// The standard error is 0.81 %.
func TestError(t *testing.T) {
	b := commandtest.New(t, setup(commandtest.Settings{})...)
	c := b.Client(0)
	for i := range 20_000 {
		c.Do("PFADD", "k", strconv.Itoa(3*i), strconv.Itoa(3*i+1), strconv.Itoa(3*i+2))
		if n := 3 * (i + 1); n == 30 || n == 3_000 || n == 60_000 {
			assert.InEpsilon(t, n, c.Do("PFCOUNT", "k").Reply.Int, 0.03)
		}
	}
}

// A replica computes the count but leaves keeping it to its primary: its value stays the same
// byte for byte, and nothing enters its stream.
func TestCountKeptByPrimary(t *testing.T) {
	b := commandtest.New(t, setup(commandtest.Settings{})...)
	c := b.Client(0)
	c.Do("PFADD", "k", "a", "b")
	first := c.Do("PFCOUNT", "k")
	assert.Equal(t, "[~ PFCOUNT k]", fmt.Sprint(first.Effects))
	assert.Empty(t, c.Do("PFCOUNT", "k").Effects, "it is kept now")
	primary := b.Client(session.Primary)
	c.Do("PFADD", "k", "c")
	assert.Len(t, primary.Do("PFCOUNT", "k").Effects, 1)
}

// PFDEBUG GETREG shows the registers and leaves a dense value, which is propagated.
func TestGetReg(t *testing.T) {
	b := commandtest.New(t, setup(commandtest.Settings{})...)
	c := b.Client(0)
	c.Do("PFADD", "k", "a", "b", "c")
	r := c.Do("PFDEBUG", "GETREG", "k")
	require.Len(t, r.Reply.Elems, 16384)
	for _, element := range []string{"a", "b", "c"} {
		i, count := value.HLLHash([]byte(element))
		assert.EqualValues(t, count, r.Reply.Elems[i].Int)
	}
	assert.Len(t, r.Effects, 1)
	assert.Equal(t, "dense", c.Do("PFDEBUG", "ENCODING", "k").Reply.Text())
	assert.Empty(t, c.Do("PFDEBUG", "GETREG", "k").Effects)
}
