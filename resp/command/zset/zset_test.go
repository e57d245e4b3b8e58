package zset_test

import (
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/command/commandtest"
	"github.com/sextantdb/sextant/resp/command/generic"
	"github.com/sextantdb/sextant/resp/command/zset"
	"github.com/sextantdb/sextant/store/value"
)

// setup makes the family and, for looking at what it did, the generic one.
func setup(s commandtest.Settings) [][]command.Command {
	no := func() bool { return false }
	limits := func() *value.Limits {
		l := value.DefaultLimits()
		if n, err := strconv.Atoi(s["zset-max-listpack-entries"]); err == nil {
			l.ZSetEntries = n
		}
		return &l
	}
	o := zset.Options{Limits: limits, Rand: rand.Uint64}
	return [][]command.Command{
		append(zset.Commands(o), zset.Blocking(o)...),
		generic.Commands(generic.Options{LFU: no, Compress: no, LazyExpire: no, LazyServerDel: no}),
	}
}

func TestScripts(t *testing.T) { commandtest.Scripts(t, "testdata/*.txt", setup) }

func TestAgainstRedis(t *testing.T) {
	commandtest.AgainstRedis(t, "testdata/*.txt", map[string]string{"zset-max-listpack-entries": "zset-max-listpack-entries"}, map[string]string{
		"BZPOPMIN z 1e300": "7.0 takes the overflow for a negative number",
	})
}
