package sorting_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/command/commandtest"
	"github.com/sextantdb/sextant/resp/command/generic"
	"github.com/sextantdb/sextant/resp/command/hash"
	lists "github.com/sextantdb/sextant/resp/command/list"
	"github.com/sextantdb/sextant/resp/command/set"
	"github.com/sextantdb/sextant/resp/command/sorting"
	"github.com/sextantdb/sextant/resp/command/str"
	"github.com/sextantdb/sextant/resp/command/txn"
	"github.com/sextantdb/sextant/resp/command/zset"
	"github.com/sextantdb/sextant/store/value"
)

// setup makes the family and those whose values it sorts and reads.
func setup(s commandtest.Settings) [][]command.Command {
	no := func() bool { return false }
	limits := func() *value.Limits {
		l := value.DefaultLimits()
		s.Int("list-max-listpack-size", &l.ListSize)
		s.Int("zset-max-listpack-entries", &l.ZSetEntries)
		return &l
	}
	entries := sorting.Commands(sorting.Options{Limits: limits})
	clustered := sorting.Commands(sorting.Options{Limits: limits, Cluster: true})
	for i := range entries { // cluster mode is fixed for the life of a node, but not of a script
		plain, other := entries[i].Run, clustered[i].Run
		entries[i].Run = func(c *command.Ctx) {
			if s.On("cluster") {
				other(c)
			} else {
				plain(c)
			}
		}
	}
	return [][]command.Command{
		entries, txn.Commands(),
		generic.Commands(generic.Options{LFU: no, Compress: no, LazyExpire: no, LazyServerDel: no}),
		str.Commands(str.Options{MaxBulk: func() int64 { return 512 << 20 }, LazyExpire: no}),
		hash.Commands(hash.Options{Limits: limits, Rand: rand.Uint64}),
		lists.Commands(lists.Options{Limits: limits}),
		set.Commands(set.Options{Limits: limits, Rand: rand.Uint64, LazyServerDel: no}),
		zset.Commands(zset.Options{Limits: limits, Rand: rand.Uint64}),
	}
}

func TestScripts(t *testing.T) { commandtest.Scripts(t, "testdata/*.txt", setup) }

func TestAgainstRedis(t *testing.T) {
	commandtest.AgainstRedis(t, "testdata/*.txt", map[string]string{
		"list-max-listpack-size": "list-max-listpack-size", "zset-max-listpack-entries": "zset-max-listpack-entries",
	}, map[string]string{})
}

func words(line string) (argv [][]byte) {
	for _, w := range strings.Fields(line) {
		argv = append(argv, []byte(w))
	}
	return argv
}

// What a call locks: the keys its words name, and everything when patterns make keys.
func TestWhatIsLocked(t *testing.T) {
	b := commandtest.New(t, setup(commandtest.Settings{})...)
	clustered, err := command.New(nil, sorting.Commands(sorting.Options{Cluster: true}))
	require.NoError(t, err)
	for line, want := range map[string]struct {
		keys string
		all  bool
	}{
		"SORT k":                              {"k", false},
		"SORT k LIMIT 0 10 ALPHA DESC":        {"k", false},
		"SORT k STORE d":                      {"k d", false},
		"SORT k STORE a STORE d":              {"k d", false},
		"SORT k BY STORE STORE d":             {"k d", false},
		"SORT k BY w*":                        {"k", true},
		"SORT k BY w* STORE d":                {"k d", true},
		"SORT k GET # BY nosort":              {"k", false},
		"SORT k GET # GET v*->f":              {"k", true},
		"SORT k GET STORE BY a*":              {"k", true},
		"SORT k LIMIT BY a*":                  {"k", false}, // an error: "a*" is no number
		"SORT k STORE":                        {"k", false},
		"SORT k by w* store d":                {"k d", true},
		"SORT_RO k BY w*":                     {"k", true},
		"SORT k ASC BY x LIMIT 1 2 STORE BY*": {"k BY*", false},
	} {
		argv := words(line)
		cmd := b.Table.Get(string(argv[0]))
		refs, ok := cmd.KeysOf(argv, nil, false)
		require.True(t, ok, line)
		var got []string
		for _, r := range refs {
			got = append(got, string(argv[r.Index]))
		}
		assert.Equal(t, want.keys, strings.Join(got, " "), line)
		assert.Equal(t, want.all, cmd.FlagsOf(argv)&command.WholeDB != 0, line)
		assert.Zero(t, clustered.Get(string(argv[0])).FlagsOf(argv)&command.WholeDB, line)
	}
}

// In a transaction too, all stripes are held for patterns.
func TestPatternsInATransaction(t *testing.T) {
	b := commandtest.New(t, setup(commandtest.Settings{})...)
	c := b.Client(0)
	c.Do("RPUSH", "l", "1", "2", "3")
	for i, w := range []string{"5", "9", "1"} {
		c.Do("SET", fmt.Sprint("w", i+1), w)
	}
	c.Do("MULTI")
	c.Do("SORT", "l", "BY", "w*", "GET", "w*")
	assert.Equal(t, []string{"1", "5", "9"}, c.Do("EXEC").Reply.Elems[0].Texts())
}

// Large collections, against Go's own sorting.
func TestLargeCollections(t *testing.T) {
	b := commandtest.New(t, setup(commandtest.Settings{})...)
	c := b.Client(0)
	r := rand.New(rand.NewPCG(1, 2))
	for _, i := range r.Perm(3000) {
		c.Do("RPUSH", "l", fmt.Sprint(i))
		c.Do("SADD", "s", fmt.Sprint(i))
		c.Do("ZADD", "z", fmt.Sprint(r.IntN(50)), fmt.Sprint(i))
		c.Do("HSET", fmt.Sprint("h", i), "weight", fmt.Sprint(-i))
	}
	for _, key := range []string{"l", "s", "z"} {
		for i, text := range c.Do("SORT", key).Reply.Texts() {
			require.Equal(t, fmt.Sprint(i), text)
		}
		got := c.Do("SORT", key, "BY", "h*->weight", "LIMIT", "100", "500").Reply.Texts()
		require.Len(t, got, 500)
		for i, text := range got {
			require.Equal(t, fmt.Sprint(2899-i), text)
		}
	}
}
