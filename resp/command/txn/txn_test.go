package txn_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/command/commandtest"
	"github.com/sextantdb/sextant/resp/command/generic"
	"github.com/sextantdb/sextant/resp/command/str"
	"github.com/sextantdb/sextant/resp/command/txn"
)

// setup makes the family, and others for commands to queue.
func setup(commandtest.Settings) [][]command.Command {
	no := func() bool { return false }
	return [][]command.Command{
		txn.Commands(),
		str.Commands(str.Options{MaxBulk: func() int64 { return 512 << 20 }, LazyExpire: no}),
		generic.Commands(generic.Options{LFU: no, Compress: no, LazyExpire: no, LazyServerDel: no}),
	}
}

func TestScripts(t *testing.T) { commandtest.Scripts(t, "testdata/*.txt", setup) }

func TestAgainstRedis(t *testing.T) { commandtest.AgainstRedis(t, "testdata/*.txt", nil, nil) }

// A session gives all its watches back, whichever way it ends watching.
func TestNoWatchIsLeftBehind(t *testing.T) {
	b := commandtest.New(t, setup(nil)...)
	a, other := b.Client(0), b.Client(0)
	for _, end := range [][]string{{"UNWATCH"}, {"MULTI", "DISCARD"}, {"MULTI", "EXEC"}, {"MULTI", "NOSUCH", "EXEC"}} {
		for _, changed := range []bool{false, true} {
			a.Do("WATCH", "x", "y", "{x}z")
			other.Do("WATCH", "x")
			assert.Equal(t, 3, b.Watched())
			if changed {
				other.Do("SET", "x", "1")
			}
			for _, line := range end {
				a.Do(line)
			}
			assert.Equal(t, 1, b.Watched(), "%v", end)
			assert.Zero(t, a.Session().Watching())
			other.Close()
			assert.Zero(t, b.Watched(), "%v", end)
			assert.Zero(t, a.Session().QueueLen())
		}
	}
}

// Giving a watch back needs the stripe of its key: what ends watching says so by its flags.
// The race detector sees it if one does not.
func TestWatchesAreEndedUnderTheirStripes(t *testing.T) {
	b := commandtest.New(t, setup(nil)...)
	keys := []string{"a", "b", "c", "d", "e"}
	b.Client(0).Do("MSET", "a", "1", "b", "1", "c", "1", "d", "1", "e", "1")
	var clients sync.WaitGroup
	for i := range 3 {
		c := b.Client(0)
		clients.Go(func() {
			for n := range 60 {
				c.Do(append([]string{"WATCH"}, keys...)...)
				c.Do("SET", keys[(n+i)%5], "1")
				switch n % 3 {
				case 0:
					c.Do("UNWATCH")
				case 1:
					c.Do("MULTI")
					c.Do("DISCARD")
				case 2:
					c.Do("MULTI")
					c.Do("EXEC")
				}
			}
		})
	}
	clients.Wait()
	assert.Zero(t, b.Watched())
	for _, name := range []string{"EXEC", "DISCARD", "UNWATCH"} {
		assert.NotZero(t, b.Table.Get(name).Flags&command.Watched, name)
	}
}
