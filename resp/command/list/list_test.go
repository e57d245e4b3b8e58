package list_test

import (
	"strconv"
	"testing"

	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/command/commandtest"
	"github.com/sextantdb/sextant/resp/command/generic"
	"github.com/sextantdb/sextant/resp/command/list"
	"github.com/sextantdb/sextant/resp/command/str"
	"github.com/sextantdb/sextant/resp/command/txn"
	"github.com/sextantdb/sextant/store/value"
)

// setup makes the family and, for looking at what it did, others.
func setup(s commandtest.Settings) [][]command.Command {
	no := func() bool { return false }
	limits := func() *value.Limits {
		l := value.DefaultLimits()
		if n, err := strconv.Atoi(s["list-max-listpack-size"]); err == nil {
			l.ListSize = n
		}
		return &l
	}
	o := list.Options{Limits: limits}
	return [][]command.Command{
		append(list.Commands(o), list.Blocking(o)...),
		generic.Commands(generic.Options{LFU: no, Compress: no, LazyExpire: no, LazyServerDel: no}),
		str.Commands(str.Options{MaxBulk: func() int64 { return 512 << 20 }, LazyExpire: no}),
		txn.Commands(),
	}
}

func TestScripts(t *testing.T) { commandtest.Scripts(t, "testdata/*.txt", setup) }

func TestAgainstRedis(t *testing.T) {
	commandtest.AgainstRedis(t, "testdata/*.txt", map[string]string{"list-max-listpack-size": "list-max-listpack-size"}, map[string]string{
		"BLPOP l 1e300": "7.0 takes the overflow for a negative number",
	})
}
