package value_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/store/value"
)

type scored struct {
	member string
	score  float64
}

func members(z *value.SortedSet, from int, back bool) (all []scored) {
	for it := z.From(from, back); it.Next(); {
		all = append(all, scored{string(it.Member()), it.Score()})
	}
	return all
}

// The compact form must answer every question as the large one does, which has a model of its
// own (package sorted).
func TestFormsOfSortedSetsAgree(t *testing.T) {
	wide := value.Limits{ZSetEntries: 1000, ZSetValue: 1000}
	never := value.Limits{}
	r := rand.New(rand.NewPCG(1, 2))
	small, large := value.NewZSet(nil, 1, 1, &wide), value.NewZSet(nil, 1, 1, &never)
	scores := []float64{0, 1, -1, 0.5, 1e300, math.Inf(1), math.Inf(-1), 1 << 61, 1 << 63, -3.25, 100}
	names := []string{"", "a", "b", "7", "-12", "70000", "9223372036854775807", "ab", "A long member, longer than sixty-three bytes, which takes another header"}
	for range 3000 {
		name := names[r.IntN(len(names))] + fmt.Sprint(r.IntN(4))
		if r.IntN(3) > 0 {
			score := scores[r.IntN(len(scores))]
			require.Equal(t, large.Put([]byte(name), score, &never), small.Put([]byte(name), score, &wide))
		} else {
			require.Equal(t, large.Remove([]byte(name)), small.Remove([]byte(name)))
		}
		require.Equal(t, members(&large, 0, false), members(&small, 0, false))
		if n := small.Len(); n > 8 && r.IntN(20) == 0 {
			from := r.IntN(n)
			to := from + r.IntN(min(n-from, 4))
			small.RemoveRange(from, to)
			large.RemoveRange(from, to)
		}
		if r.IntN(20) > 0 {
			continue
		}
		if small.Len() > 0 {
			require.True(t, value.CheckZSet(small.Payload()))
		}
		i := r.IntN(small.Len() + 1)
		require.Equal(t, members(&large, i, true), members(&small, i, true))
		for _, s := range scores {
			for _, ex := range []bool{true, false} {
				lo, hi := value.ScoreBound{Score: s, Exclusive: ex}, value.ScoreBound{Score: scores[r.IntN(len(scores))], Exclusive: !ex}
				f1, t1 := small.ScoreRange(lo, hi)
				f2, t2 := large.ScoreRange(lo, hi)
				require.Equal(t, []int{f2, t2}, []int{f1, t1})
			}
		}
		for _, name := range names {
			name += "1"
			r1, s1, ok1 := small.Rank([]byte(name))
			r2, s2, ok2 := large.Rank([]byte(name))
			require.Equal(t, []any{r2, s2, ok2}, []any{r1, s1, ok1})
			s1, ok1 = small.Score([]byte(name))
			require.Equal(t, []any{s2, ok2}, []any{s1, ok1})
		}
	}
	grown := value.ZSetOf(append([]byte(nil), small.Payload()...), nil)
	grown.Grow()
	require.Equal(t, members(&small, 0, false), members(&grown, 0, false))
	grown.Compact(nil, &wide)
	require.Equal(t, small.Payload(), grown.Payload())
}

func TestSortedSetGrowsByLimits(t *testing.T) {
	l := value.Limits{ZSetEntries: 3, ZSetValue: 5}
	encoding := func(z value.SortedSet) string {
		if o := z.Large(); o != nil {
			return o.Encoding().String()
		}
		return "listpack"
	}
	assert.Equal(t, "listpack", encoding(value.NewZSet(nil, 3, 5, &l)))
	assert.Equal(t, "skiplist", encoding(value.NewZSet(nil, 4, 5, &l)))
	assert.Equal(t, "skiplist", encoding(value.NewZSet(nil, 1, 6, &l)))
	z := value.NewZSet(nil, 1, 1, &l)
	for i := range 3 {
		z.Put([]byte{byte(i)}, 1, &l)
	}
	assert.Equal(t, "listpack", encoding(z))
	z.Put([]byte{0}, 2, &l)
	assert.Equal(t, "listpack", encoding(z), "the score of a member that is there")
	z.Put([]byte("x"), 1, &l)
	assert.Equal(t, "skiplist", encoding(z))
	z.Compact(nil, &l)
	assert.Equal(t, "skiplist", encoding(z))
	z.Remove([]byte("x"))
	z.Compact(nil, &l)
	assert.Equal(t, "listpack", encoding(z))
	z.Put([]byte("too long"), 1, &l)
	assert.Equal(t, "skiplist", encoding(z))
}

func TestLexRange(t *testing.T) {
	least, most := value.LexBound{Least: true}, value.LexBound{Most: true}
	at := func(s string) value.LexBound { return value.LexBound{Member: []byte(s)} }
	beyond := func(s string) value.LexBound { return value.LexBound{Member: []byte(s), Exclusive: true} }
	for _, l := range []value.Limits{{ZSetEntries: 10, ZSetValue: 10}, {}} {
		z := value.NewZSet(nil, 1, 1, &l)
		for _, m := range []string{"a", "b", "c", "d"} {
			z.Put([]byte(m), 0, &l)
		}
		for _, c := range []struct {
			lo, hi   value.LexBound
			from, to int
		}{
			{least, most, 0, 4}, {at("b"), at("c"), 1, 3}, {beyond("b"), at("c"), 2, 3}, {at("b"), beyond("c"), 1, 2},
			{at("b"), at("b"), 1, 2}, {beyond("b"), at("b"), 0, 0}, {at("c"), at("b"), 0, 0}, {most, least, 0, 0},
			{least, least, 0, 0}, {least, at("bb"), 0, 2}, {at("bb"), most, 2, 4}, {at("x"), most, 4, 4},
		} {
			from, to := z.LexRange(c.lo, c.hi)
			assert.Equal(t, c.to-c.from, to-from, "%+v", c)
			if c.from < c.to {
				assert.Equal(t, c.from, from, "%+v", c)
			}
		}
	}
}

func TestParseScore(t *testing.T) {
	for text, want := range map[string]float64{
		"1": 1, "-0.5": -0.5, "+3": 3, "1e3": 1000, "inf": math.Inf(1), "-Infinity": math.Inf(-1), "+inf": math.Inf(1),
		"0x10": 16, "0x1p4": 16, ".5": 0.5, "5.": 5, "0e5": 0, "12345678901234567890": 12345678901234567890,
	} {
		got, ok := value.ParseScore([]byte(text))
		assert.True(t, ok, text)
		assert.Equal(t, want, got, text)
	}
	for _, text := range []string{"", " 1", "1 ", "nan", "abc", "1e400", "1e-400", "--1", "0x", "1_0", "e5", "in"} {
		_, ok := value.ParseScore([]byte(text))
		assert.False(t, ok, "%q", text)
	}
	for text, want := range map[string]float64{"": 0, " 1": 1, "2\x00x": 2, "1e400": math.Inf(1), "1e-400": 0} {
		got, ok := value.ParseScoreBound([]byte(text))
		assert.True(t, ok, "%q", text)
		assert.Equal(t, want, got, "%q", text)
	}
	_, ok := value.ParseScoreBound([]byte("nan"))
	assert.False(t, ok)
}

// What claims to be a sorted set must be one before anybody believes it.
func TestCheckZSet(t *testing.T) {
	l := value.Limits{ZSetEntries: 10, ZSetValue: 10}
	z := value.NewZSet(nil, 1, 1, &l)
	assert.False(t, value.CheckZSet(z.Payload()), "no member")
	z.Put([]byte("a"), 1, &l)
	z.Put([]byte("b"), 1, &l)
	good := z.Payload()
	assert.True(t, value.CheckZSet(good))
	assert.False(t, value.CheckZSet(good[:len(good)-1]))
	// Two members with their places exchanged, and one member twice.
	swapped := append([]byte(nil), good...)
	swapped[7], swapped[12] = 'b', 'a'
	assert.False(t, value.CheckZSet(swapped))
	twice := append([]byte(nil), good...)
	twice[12] = 'a'
	assert.False(t, value.CheckZSet(twice))
	nan := value.NewZSet(nil, 1, 1, &l)
	nan.Put([]byte("a"), 0.25, &l)
	bad := append([]byte(nil), nan.Payload()...)
	copy(bad[len(bad)-6:], "nane")
	assert.False(t, value.CheckZSet(bad))
}
