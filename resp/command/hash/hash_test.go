package hash_test

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/command/commandtest"
	"github.com/sextantdb/sextant/resp/command/generic"
	"github.com/sextantdb/sextant/resp/command/hash"
	"github.com/sextantdb/sextant/resp/command/str"
	"github.com/sextantdb/sextant/store/value"
)

// setup makes the family and, for looking at what it did, the generic one.
func setup(s commandtest.Settings) [][]command.Command {
	limits := func() *value.Limits {
		l := value.DefaultLimits()
		s.Int("entries", &l.HashEntries)
		s.Int("value", &l.HashValue)
		return &l
	}
	on := func(name string) func() bool { return func() bool { return s.On(name) } }
	dice := rand.NewPCG(0, 0)
	return [][]command.Command{
		commandtest.Seeded(dice, hash.Commands(hash.Options{Limits: limits, Rand: dice.Uint64})),
		generic.Commands(generic.Options{LFU: on("lfu"), Compress: on("compress"), LazyExpire: on("lazy-expire"), LazyServerDel: on("lazy-server-del")}),
		str.Commands(str.Options{MaxBulk: func() int64 { return 512 << 20 }, LazyExpire: on("lazy-expire")}),
	}
}

func TestScripts(t *testing.T) { commandtest.Scripts(t, "testdata/*.txt", setup) }

func TestAgainstRedis(t *testing.T) {
	commandtest.AgainstRedis(t, "testdata/*.txt", map[string]string{
		"entries": "hash-max-listpack-entries", "value": "hash-max-listpack-value",
	}, map[string]string{
		"OBJECT ENCODING many": "7.2 makes a table of more pairs than a listpack may have, 7.0 counts the fields they make",
	})
}

func words(line string) (argv [][]byte) {
	for _, w := range strings.Fields(line) {
		argv = append(argv, []byte(w))
	}
	return argv
}

func strs(v resp.Value) (all []string) {
	for _, e := range v.Elems {
		if len(e.Elems) > 0 {
			all = append(all, strs(e)...)
		} else {
			all = append(all, string(e.Str))
		}
	}
	return all
}

// Random commands on compact and on large hashes, against a map.
func TestModel(t *testing.T) {
	for seed := range uint64(8) {
		settings := commandtest.Settings{"entries": strconv.Itoa(int(seed) * 5)}
		b := commandtest.New(t, setup(settings)...)
		c := b.Client(0)
		r := rand.New(rand.NewPCG(seed, 1))
		model := map[string]string{}
		for range 400 {
			f, v := strconv.Itoa(r.IntN(80)), strconv.Itoa(r.IntN(1000))
			old, had := model[f]
			switch r.IntN(6) {
			case 0, 1:
				want := int64(1)
				if had {
					want = 0
				}
				require.Equal(t, want, c.Do("HSET", "h", f, v).Reply.Int)
				model[f] = v
			case 2:
				n := c.Do("HDEL", "h", f, "nosuch").Reply.Int
				require.Equal(t, had, n == 1)
				delete(model, f)
			case 3:
				was, _ := strconv.Atoi(old)
				require.EqualValues(t, was+7, c.Do("HINCRBY", "h", f, "7").Reply.Int)
				model[f] = strconv.Itoa(was + 7)
			case 4:
				n := r.IntN(2*len(model)+2) - len(model)
				got := strs(c.Do("HRANDFIELD", "h", strconv.Itoa(n), "WITHVALUES").Reply)
				seen := map[string]bool{}
				for i := 0; i < len(got); i += 2 {
					require.Equal(t, model[got[i]], got[i+1])
					seen[got[i]] = true
				}
				switch {
				case len(model) == 0:
					require.Empty(t, got)
				case n >= 0:
					require.Len(t, seen, min(n, len(model)))
					require.Len(t, got, 2*len(seen))
				default:
					require.Len(t, got, -2*n)
				}
			default:
				require.Equal(t, old, string(c.Do("HGET", "h", f).Reply.Str))
			}
			require.EqualValues(t, len(model), c.Do("HLEN", "h").Reply.Int)
		}
		all := strs(c.Do("HGETALL", "h").Reply)
		got := map[string]string{}
		for i := 0; i < len(all); i += 2 {
			got[all[i]] = all[i+1]
		}
		require.Equal(t, model, got)
	}
}

// Few of many: HRANDFIELD chooses without going through the hash.
func TestFewOfMany(t *testing.T) {
	b := commandtest.New(t, setup(commandtest.Settings{})...)
	c := b.Client(0)
	for i := range 3000 {
		c.Do("HSET", "h", "f"+strconv.Itoa(i), strconv.Itoa(i))
	}
	assert.Equal(t, "hashtable", string(c.Do("OBJECT", "ENCODING", "h").Reply.Str))
	for _, n := range []int{1, 20, 900, 2999, 3000, 4000} {
		seen := map[string]bool{}
		for _, f := range strs(c.Do("HRANDFIELD", "h", strconv.Itoa(n)).Reply) {
			require.False(t, seen[f])
			seen[f] = true
		}
		require.Len(t, seen, min(n, 3000))
	}
	seen := map[string]string{}
	cursor := "0"
	for range 3000 {
		reply := c.Do("HSCAN", "h", cursor, "COUNT", "100").Reply
		all := strs(reply.Elems[1])
		for i := 0; i < len(all); i += 2 {
			seen[all[i]] = all[i+1]
		}
		if cursor = string(reply.Elems[0].Str); cursor == "0" {
			break
		}
	}
	require.Len(t, seen, 3000)
	require.Equal(t, "77", seen["f77"])
}
