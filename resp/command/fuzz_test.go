package command_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/command/bitmap"
	"github.com/sextantdb/sextant/resp/command/commandtest"
	"github.com/sextantdb/sextant/resp/command/generic"
	"github.com/sextantdb/sextant/resp/command/geo"
	"github.com/sextantdb/sextant/resp/command/hash"
	"github.com/sextantdb/sextant/resp/command/hll"
	lists "github.com/sextantdb/sextant/resp/command/list"
	"github.com/sextantdb/sextant/resp/command/set"
	"github.com/sextantdb/sextant/resp/command/sorting"
	"github.com/sextantdb/sextant/resp/command/str"
	"github.com/sextantdb/sextant/resp/command/stream"
	"github.com/sextantdb/sextant/resp/command/txn"
	"github.com/sextantdb/sextant/resp/command/zset"
	"github.com/sextantdb/sextant/store/value"
)

// most bounds strings, so that a fuzzer's SETRANGE at 512 MB does not count as a find.
const most = 1 << 20

// dataFamilies are those of families whose commands need nothing but a store. Both sides of a bench
// throw the same dice.
func dataFamilies() [][]command.Command {
	no, bound := func() bool { return false }, func() int64 { return most }
	dice := rand.NewPCG(1, 2)
	seeded := func(entries []command.Command) []command.Command { return commandtest.Seeded(dice, entries) }
	zsets := seeded(zset.Commands(zset.Options{Limits: value.UsualLimits, Rand: dice.Uint64}))
	return [][]command.Command{
		str.Commands(str.Options{MaxBulk: bound, LazyExpire: no}),
		generic.Commands(generic.Options{LFU: no, Compress: no, LazyExpire: no, LazyServerDel: no, Limits: value.UsualLimits}),
		bitmap.Commands(bitmap.Options{MaxBulk: bound}),
		seeded(hll.Commands(hll.Options{SparseMax: func() int { return 3000 }, Rand: dice.Uint64})),
		geo.Commands(geo.Options{ZAdd: command.Handler(zsets, "ZADD"), Limits: value.UsualLimits}),
		sorting.Commands(sorting.Options{Limits: value.UsualLimits}),
		seeded(hash.Commands(hash.Options{Limits: value.UsualLimits, Rand: dice.Uint64})),
		seeded(set.Commands(set.Options{Limits: value.UsualLimits, Rand: dice.Uint64, LazyServerDel: no})),
		lists.Commands(lists.Options{Limits: value.UsualLimits}), lists.Blocking(lists.Options{Limits: value.UsualLimits}),
		zsets, zset.Blocking(zset.Options{Limits: value.UsualLimits, Rand: dice.Uint64}),
		stream.Commands(stream.Options{Limits: value.UsualLimits}), txn.Commands(),
	}
}

// FuzzCalls plays lines of words, quoted as in redis-cli, to all data commands: nothing may panic, every
// reply must fit its schema, and the two protocols must do the same.
func FuzzCalls(f *testing.F) {
	scripts, err := filepath.Glob("*/testdata/*.txt")
	require.NoError(f, err)
	require.NotEmpty(f, scripts)
	for _, file := range scripts {
		text, err := os.ReadFile(file)
		require.NoError(f, err)
		var calls []string
		for line := range strings.Lines(string(text)) {
			if call, ok := strings.CutPrefix(line, "> "); ok {
				calls = append(calls, call)
			}
			if len(calls) == 12 {
				f.Add([]byte(strings.Join(calls, "")))
				calls = nil
			}
		}
	}
	b := commandtest.New(f, dataFamilies()...)
	f.Fuzz(func(t *testing.T, text []byte) {
		b.Again(t)
		c := b.Client(0)
		defer c.Close()
		for n, line := range bytes.Split(text, []byte("\n")) {
			words, ok := resp.SplitArgs(line, nil)
			if !ok || len(words) == 0 || n == 20 {
				break
			}
			args := make([]string, len(words))
			for i, w := range words {
				args[i] = string(w)
			}
			c.Do(args...)
		}
	})
}
