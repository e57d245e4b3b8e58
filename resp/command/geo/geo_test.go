package geo_test

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
	"github.com/sextantdb/sextant/resp/command/geo"
	"github.com/sextantdb/sextant/resp/command/zset"
	"github.com/sextantdb/sextant/store/slot"
	"github.com/sextantdb/sextant/store/value"
)

// setup makes the family and, for looking at what it did, the generic one and sorted sets.
func setup(s commandtest.Settings) [][]command.Command {
	no := func() bool { return false }
	limits := func() *value.Limits {
		l := value.DefaultLimits()
		s.Int("zset-max-listpack-entries", &l.ZSetEntries)
		return &l
	}
	zsets := zset.Commands(zset.Options{Limits: limits, Rand: rand.Uint64})
	return [][]command.Command{
		geo.Commands(geo.Options{ZAdd: command.Handler(zsets, "ZADD"), Limits: limits}), zsets,
		generic.Commands(generic.Options{LFU: no, Compress: no, LazyExpire: no, LazyServerDel: no}),
	}
}

func TestScripts(t *testing.T) { commandtest.Scripts(t, "testdata/*.txt", setup) }

func TestAgainstRedis(t *testing.T) {
	commandtest.AgainstRedis(t, "testdata/*.txt", map[string]string{"zset-max-listpack-entries": "zset-max-listpack-entries"}, map[string]string{
		"ZRANGE dist 0 -1 WITHSCORES": "Go's sine and glibc's may differ in the last bit",
	})
}

// Searches find what looking at every place finds, also around the edges of the world.
func TestSearchAgainstLookingAtAll(t *testing.T) {
	for seed := range uint64(30) {
		b := commandtest.New(t, setup(commandtest.Settings{"zset-max-listpack-entries": "50"})...)
		c := b.Client(0)
		r := rand.New(rand.NewPCG(seed, 1))
		near := func(middle, spread, most float64) float64 {
			return max(-most, min(most, middle+(r.Float64()-0.5)*spread))
		}
		lon, lat := (r.Float64()-0.5)*340, (r.Float64()-0.5)*150
		spread := []float64{0.01, 1, 30}[r.IntN(3)]
		argv := []string{"GEOADD", "g"}
		for i := range 1 + r.IntN(200) {
			argv = append(argv, fmt.Sprint(near(lon, spread, 179)), fmt.Sprint(near(lat, spread, 80)), fmt.Sprint("m", i))
		}
		require.NoError(t, c.Do(argv...).Reply.Err())
		for range 10 {
			shape := value.GeoShape{Center: value.GeoPoint{Lon: near(lon, spread, 179), Lat: near(lat, spread, 80)}, Unit: 1000}
			call := []string{"GEOSEARCH", "g", "FROMLONLAT", fmt.Sprint(shape.Center.Lon), fmt.Sprint(shape.Center.Lat)}
			if size := spread * 60 * r.Float64(); r.IntN(2) == 0 {
				shape.Radius = size
				call = append(call, "BYRADIUS", fmt.Sprint(size), "km")
			} else {
				shape.Box, shape.Width, shape.Height = true, size, size*r.Float64()
				call = append(call, "BYBOX", fmt.Sprint(size), fmt.Sprint(shape.Height), "km")
			}
			var want []string
			all := c.Do("ZRANGE", "g", "0", "-1", "WITHSCORES").Reply.Texts()
			for i := 0; i < len(all); i += 2 {
				score, _ := value.ParseScore([]byte(all[i+1]))
				if _, within := shape.Distance(value.GeoPointOf(score)); within {
					want = append(want, all[i])
				}
			}
			require.ElementsMatch(t, want, c.Do(call...).Reply.Texts(), "seed %d: %q", seed, call)
		}
	}
}

// The key that the last STORE names is the one that is locked and written.
func TestStoreKeys(t *testing.T) {
	b := commandtest.New(t, setup(commandtest.Settings{})...)
	for line, want := range map[string]string{
		"GEORADIUS g 1 2 3 m":                              "g",
		"GEORADIUS g 1 2 3 m STORE a":                      "g a",
		"GEORADIUS g 1 2 3 m STORE a STOREDIST b":          "g b",
		"GEORADIUS g 1 2 3 m STOREDIST b COUNT 1 STORE a":  "g a",
		"GEORADIUS g 1 2 3 m STORE STORE":                  "g STORE",
		"GEORADIUS g 1 2 3 m STORE STORE STORE c":          "g c",
		"GEORADIUS g 1 2 3 m STORE":                        "g",
		"GEORADIUSBYMEMBER g m 3 m STORE a":                "g a",
		"GEORADIUSBYMEMBER g STORE 3 m STORE a":            "g a",
		"GEOSEARCHSTORE d s FROMMEMBER STORE BYRADIUS 1 m": "d s",
	} {
		var argv [][]byte
		for _, w := range strings.Fields(line) {
			argv = append(argv, []byte(w))
		}
		refs, ok := b.Table.Get(string(argv[0])).KeysOf(argv, nil, false)
		require.True(t, ok, line)
		var got []string
		for _, r := range refs {
			got = append(got, string(argv[r.Index]))
		}
		assert.Equal(t, want, strings.Join(got, " "), line)
	}
	require.NotEqual(t, slot.Of([]byte("a")), slot.Of([]byte("b")))
	c := b.Client(0)
	c.Do("GEOADD", "g", "1", "2", "x")
	assert.EqualValues(t, 1, c.Do("GEORADIUS", "g", "1", "2", "3", "km", "STORE", "a", "STORE", "b").Reply.Int)
	assert.EqualValues(t, 1, c.Do("ZCARD", "b").Reply.Int)
	assert.EqualValues(t, 0, c.Do("ZCARD", "a").Reply.Int)
}
