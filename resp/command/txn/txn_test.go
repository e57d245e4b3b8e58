package txn_test

import (
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
