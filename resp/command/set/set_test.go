package set_test

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/command/commandtest"
	"github.com/sextantdb/sextant/resp/command/generic"
	"github.com/sextantdb/sextant/resp/command/set"
	"github.com/sextantdb/sextant/resp/command/str"
	"github.com/sextantdb/sextant/store/value"
)

// setup makes the family and, for looking at what it did, others.
func setup(s commandtest.Settings) [][]command.Command {
	limits := func() *value.Limits {
		l := value.DefaultLimits()
		s.Int("intset", &l.SetIntset)
		s.Int("entries", &l.SetEntries)
		s.Int("value", &l.SetValue)
		return &l
	}
	on := func(name string) func() bool { return func() bool { return s.On(name) } }
	dice := rand.NewPCG(0, 0)
	return [][]command.Command{
		commandtest.Seeded(dice, set.Commands(set.Options{Limits: limits, Rand: dice.Uint64, LazyServerDel: on("lazy-server-del")})),
		generic.Commands(generic.Options{LFU: on("lfu"), Compress: on("compress"), LazyExpire: on("lazy-expire"), LazyServerDel: on("lazy-server-del")}),
		str.Commands(str.Options{MaxBulk: func() int64 { return 512 << 20 }, LazyExpire: on("lazy-expire")}),
	}
}

func TestScripts(t *testing.T) { commandtest.Scripts(t, "testdata/*.txt", setup) }

func TestAgainstRedis(t *testing.T) {
	commandtest.AgainstRedis(t, "testdata/*.txt", map[string]string{
		"intset": "set-max-intset-entries", "lazy-server-del": "lazyfree-lazy-server-del",
	}, known)
}

// known are calls that 7.0 answers otherwise than 7.2.
var known = map[string]string{
	"SMEMBERS s": "7.0 has no listpacks of members and answers in the order of its hash table",
	"SMEMBERS t": "the same",
	"SPOP p 5":   "7.0 propagates DEL whatever lazyfree-lazy-server-del says",
}

func words(line string) (argv [][]byte) {
	for _, w := range strings.Fields(line) {
		argv = append(argv, []byte(w))
	}
	return argv
}

func strs(v resp.Value) []string {
	all := []string{}
	for _, e := range v.Elems {
		all = append(all, string(e.Str))
	}
	slices.Sort(all)
	return all
}

func sorted(m map[string]bool) []string {
	all := []string{}
	for k, in := range m {
		if in {
			all = append(all, k)
		}
	}
	slices.Sort(all)
	return all
}

// Random commands on sets of all encodings, against maps.
func TestModel(t *testing.T) {
	for seed := range uint64(10) {
		settings := commandtest.Settings{"entries": strconv.Itoa(int(seed) * 4), "intset": strconv.Itoa(int(seed) * 5), "value": "8"}
		b := commandtest.New(t, setup(settings)...)
		c := b.Client(0)
		r := rand.New(rand.NewPCG(seed, 1))
		keys := []string{"a", "b", "c"}
		model := map[string]map[string]bool{}
		for _, k := range keys {
			model[k] = map[string]bool{}
		}
		for range 500 {
			k, to := keys[r.IntN(3)], keys[r.IntN(3)]
			m := strconv.Itoa(r.IntN(40))
			if seed%2 == 0 && r.IntN(3) == 0 {
				m = strings.Repeat("m", r.IntN(12))
			}
			in := model[k][m]
			count := strconv.Itoa(r.IntN(30))
			switch r.IntN(10) {
			case 0, 1, 2, 3:
				require.Equal(t, !in, c.Do("SADD", k, m).Reply.Int == 1)
				model[k][m] = true
			case 4:
				require.Equal(t, in, c.Do("SREM", k, m, "nosuch").Reply.Int == 1)
				delete(model[k], m)
			case 5:
				got := strs(c.Do("SPOP", k, count).Reply)
				n, _ := strconv.Atoi(count)
				require.Len(t, got, min(n, len(sorted(model[k]))))
				for _, m := range got {
					require.True(t, model[k][m])
					delete(model[k], m)
				}
			case 6:
				require.Equal(t, in, c.Do("SMOVE", k, to, m).Reply.Int == 1)
				if in {
					delete(model[k], m)
					model[to][m] = true
				}
			case 7:
				n, _ := strconv.Atoi(count)
				got := slices.Compact(strs(c.Do("SRANDMEMBER", k, count).Reply))
				require.Len(t, got, min(n, len(model[k])))
				for _, m := range got {
					require.True(t, model[k][m])
				}
				require.Len(t, strs(c.Do("SRANDMEMBER", k, "-"+count).Reply), map[bool]int{true: n}[len(model[k]) > 0])
			default:
				words := []string{"SINTER", "SUNION", "SDIFF"}
				op := words[r.IntN(3)]
				args := []string{keys[r.IntN(3)], keys[r.IntN(3)], keys[r.IntN(3)]}[:1+r.IntN(3)]
				want := map[string]bool{}
				for _, k := range keys {
					for m := range model[k] {
						has := 0
						for _, a := range args {
							if model[a][m] {
								has++
							}
						}
						switch op {
						case "SINTER":
							want[m] = has == len(args)
						case "SUNION":
							want[m] = has > 0
						default:
							want[m] = has == 1 && model[args[0]][m] && !slices.Contains(args[1:], args[0])
						}
					}
				}
				require.Equal(t, sorted(want), strs(c.Do(append([]string{op}, args...)...).Reply), "%s %v", op, args)
				n := c.Do(append([]string{op + "STORE", to}, args...)...).Reply.Int
				require.EqualValues(t, len(sorted(want)), n)
				model[to] = map[string]bool{}
				for _, m := range sorted(want) {
					model[to][m] = true
				}
			}
			require.Equal(t, sorted(model[k]), strs(c.Do("SMEMBERS", k).Reply))
			require.EqualValues(t, len(model[k]), c.Do("SCARD", k).Reply.Int)
		}
	}
}

// What SPOP took is propagated as SREM, in batches, and nothing else is.
func TestSpopIsPropagatedAsSrem(t *testing.T) {
	b := commandtest.New(t, setup(commandtest.Settings{})...)
	c := b.Client(0)
	for i := range 5000 {
		c.Do("SADD", "s", "m"+strconv.Itoa(i))
	}
	for _, n := range []int{1, 2500, 2400} {
		r := c.Do("SPOP", "s", strconv.Itoa(n))
		var gone []string
		for _, e := range r.Effects {
			if len(e.Argv) == 1 { // MULTI and EXEC around several
				continue
			}
			require.Equal(t, []string{"SREM", "s"}, e.Argv[:2])
			require.LessOrEqual(t, len(e.Argv), 1026)
			gone = append(gone, e.Argv[2:]...)
		}
		slices.Sort(gone)
		require.Equal(t, strs(r.Reply), gone)
		require.Len(t, gone, n)
	}
	assert.EqualValues(t, 99, c.Do("SCARD", "s").Reply.Int)
	assert.Equal(t, "listpack", string(c.Do("OBJECT", "ENCODING", "s").Reply.Str), "what little stays is made anew")
}

func TestScanOfALargeSet(t *testing.T) {
	b := commandtest.New(t, setup(commandtest.Settings{})...)
	c := b.Client(0)
	for i := range 3000 {
		c.Do("SADD", "s", "m"+strconv.Itoa(i))
	}
	seen := map[string]bool{}
	cursor := "0"
	for range 3000 {
		reply := c.Do("SSCAN", "s", cursor, "MATCH", "m1*").Reply
		for _, m := range strs(reply.Elems[1]) {
			require.False(t, seen[m])
			seen[m] = true
		}
		if cursor = string(reply.Elems[0].Str); cursor == "0" {
			break
		}
	}
	require.Len(t, seen, 1111)
}
