package str_test

import (
	"strconv"
	"testing"

	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/command/commandtest"
	"github.com/sextantdb/sextant/resp/command/generic"
	"github.com/sextantdb/sextant/resp/command/str"
)

// setup makes the family and, for looking at what it did, the generic one.
func setup(s commandtest.Settings) [][]command.Command {
	on := func(name string) func() bool { return func() bool { return s.On(name) } }
	maxBulk := func() int64 {
		if n, err := strconv.ParseInt(s["proto-max-bulk-len"], 10, 64); err == nil {
			return n
		}
		return 512 << 20
	}
	return [][]command.Command{
		str.Commands(str.Options{MaxBulk: maxBulk, LazyExpire: on("lazy-expire")}),
		generic.Commands(generic.Options{LFU: on("lfu"), Compress: on("compress"), LazyExpire: on("lazy-expire"), LazyServerDel: on("lazy-server-del")}),
	}
}

func TestScripts(t *testing.T) { commandtest.Scripts(t, "testdata/*.txt", setup) }

func TestAgainstRedis(t *testing.T) {
	commandtest.AgainstRedis(t, "testdata/*.txt", map[string]string{"lazy-expire": "lazyfree-lazy-expire"}, map[string]string{
		"SET k v PXAT 33177117420123 GET": "7.2 propagates it as written, 7.0 without GET",
	})
}
