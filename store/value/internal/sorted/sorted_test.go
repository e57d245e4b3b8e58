package sorted

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// model is the specification: a map and a sort.
type model map[string]float64

type pair struct {
	member string
	score  float64
}

func (m model) sorted() (all []pair) {
	for k, v := range m {
		all = append(all, pair{k, v})
	}
	slices.SortFunc(all, func(a, b pair) int {
		if before(a.score, []byte(a.member), b.score, []byte(b.member)) {
			return -1
		}
		return 1
	})
	return all
}

func contents(s *Set) (all []pair) {
	if s.Len() == 0 {
		return nil
	}
	it := s.From(0)
	for ok := true; ok; ok = it.Step(false) {
		m, sc := it.Here()
		all = append(all, pair{string(m), sc})
	}
	return all
}

// check says what always holds.
func check(t *testing.T, s *Set, m model) {
	t.Helper()
	require.Equal(t, len(m), s.Len())
	want := m.sorted()
	require.Equal(t, want, contents(s))
	if s.n == 0 {
		require.Zero(t, s.live)
		return
	}
	var walk func(k *kid, height int) int
	nodes := 0
	walk = func(k *kid, height int) int {
		nodes++
		require.Equal(t, height == 0, k.leaf != nil)
		was := *k
		k.refresh()
		require.Equal(t, was, *k, "count or first member of a subtree")
		if k.leaf != nil {
			return k.leaf.n
		}
		n := 0
		for i := range k.inner.n {
			n += walk(&k.inner.kids[i], height-1)
		}
		return n
	}
	require.Equal(t, s.n, walk(&s.root, s.height))
	seen := map[*segment]bool{}
	inTable := 0
	bytes := int64(setBytes + nodes*nodeBytes)
	for _, g := range s.dir {
		if !seen[g] {
			seen[g] = true
			inTable += g.n
			bytes += segmentBytes + slotBytes*int64(len(g.slots))
		}
	}
	require.Equal(t, s.n, inTable)
	live, used := int64(0), int64(0)
	for _, c := range s.chunks {
		live += int64(c.live)
		used += int64(len(c.data))
		bytes += int64(cap(c.data))
	}
	require.Equal(t, s.live, live)
	require.Equal(t, s.used, used)
	require.Equal(t, bytes, s.bytes, "memory count")
	for i := 0; i < len(want); i += 1 + len(want)/50 {
		rank, score, ok := s.Rank([]byte(want[i].member))
		require.True(t, ok)
		require.Equal(t, i, rank)
		require.Equal(t, want[i].score, score)
	}
}

func TestAgainstModel(t *testing.T) {
	for _, c := range []struct {
		name            string
		members, scores int
		long            bool
		ops             int
	}{
		{"few members", 50, 5, false, 4000},
		{"many members", 8000, 40000, false, 24000},
		{"all scores equal", 3000, 1, false, 10000},
		{"long members", 300, 10, true, 6000},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			s, m := New(), model{}
			name := func() string {
				n := r.IntN(c.members)
				if c.long {
					return string(bytes.Repeat([]byte{byte(n)}, 1+n*n/5)) + fmt.Sprint(n)
				}
				return fmt.Sprint("m", n)
			}
			for i := range c.ops {
				member, score := name(), float64(r.IntN(c.scores))
				// Phases of growth and decay.
				if (i*5/c.ops)%2 == 0 && r.IntN(10) < 8 || r.IntN(10) < 3 {
					_, had := m[member]
					require.Equal(t, had, s.Put([]byte(member), score))
					m[member] = score
				} else {
					was, had := m[member]
					score, ok := s.Remove([]byte(member))
					require.Equal(t, had, ok)
					require.Equal(t, was, score)
					delete(m, member)
				}
				if i%(c.ops/8) == 0 {
					check(t, s, m)
				}
			}
			check(t, s, m)
			for s.Len() > 0 {
				from := r.IntN(s.Len())
				to := from + r.IntN(s.Len()-from) + 1
				for _, p := range m.sorted()[from:to] {
					delete(m, p.member)
				}
				s.RemoveRange(from, to)
				check(t, s, m)
			}
			s.Put([]byte("again"), 1)
			check(t, s, model{"again": 1})
		})
	}
}

func TestCloneIsIndependent(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	s, m := New(), model{}
	edit := func(s *Set, m model) {
		for range 300 {
			member := fmt.Sprint(r.IntN(3000))
			if r.IntN(3) == 0 {
				s.Remove([]byte(member))
				delete(m, member)
			} else {
				sc := float64(r.IntN(1000))
				s.Put([]byte(member), sc)
				m[member] = sc
			}
		}
		if s.Len() > 20 {
			for _, p := range m.sorted()[5:10] {
				delete(m, p.member)
			}
			s.RemoveRange(5, 10)
		}
	}
	type frozen struct {
		s *Set
		m model
	}
	var all []frozen
	copyOf := func(m model) model {
		c := model{}
		for k, v := range m {
			c[k] = v
		}
		return c
	}
	for range 12 {
		edit(s, m)
		c := s.Clone()
		all = append(all, frozen{c, copyOf(m)})
		edit(s, m)
		if r.IntN(2) == 0 { // a clone that is edited, as COPY does, and cloned again
			d := c.Clone()
			dm := copyOf(all[len(all)-1].m)
			edit(d, dm)
			all = append(all, frozen{d, dm})
		}
	}
	check(t, s, m)
	for _, f := range all {
		check(t, f.s, f.m)
	}
}

// A clone is read by another goroutine while its origin goes on (run with -race).
func TestCloneIsReadBesideEdits(t *testing.T) {
	s := New()
	for i := range 5000 {
		s.Put(fmt.Appendf(nil, "m%d", i), float64(i%97))
	}
	want := contents(s)
	c := s.Clone()
	got := make(chan []pair)
	go func() { got <- contents(c) }()
	for i := range 5000 {
		s.Put(fmt.Appendf(nil, "m%d", i), float64(i%89))
		s.Put(fmt.Appendf(nil, "n%d", i), 1)
		s.Remove(fmt.Appendf(nil, "m%d", i/2))
	}
	assert.Equal(t, want, <-got)
}

func TestSearchAndWalkBack(t *testing.T) {
	s := New()
	for i := range 1000 {
		s.Put(fmt.Appendf(nil, "%04d", i), float64(i/10))
	}
	for _, bound := range []float64{-1, 0, 0.5, 50, 99, 100} {
		want := 0
		for i := range 1000 {
			if float64(i/10) < bound {
				want++
			}
		}
		assert.Equal(t, want, s.Search(func(sc float64, _ []byte) bool { return sc < bound }), bound)
	}
	it := s.From(999)
	for i := 999; i >= 0; i-- {
		m, _ := it.Here()
		require.Equal(t, fmt.Sprintf("%04d", i), string(m))
		require.Equal(t, i > 0, it.Step(true))
	}
}

// What stays in the set during a whole scan is seen exactly once, whatever else happens.
func TestScan(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	s := New()
	for i := range 3000 {
		s.Put(fmt.Appendf(nil, "stays%d", i), 1)
	}
	seen := map[string]int{}
	cursor, calls := uint64(0), 0
	for {
		before := len(seen)
		cursor = s.Scan(cursor, 10, func(m []byte, _ float64) { seen[string(m)]++ })
		calls++
		require.LessOrEqual(t, len(seen)-before, 12)
		if cursor == 0 {
			break
		}
		for range 50 { // grows, then shrinks
			if calls < 150 {
				s.Put(fmt.Appendf(nil, "goes%d", r.IntN(20000)), 2)
			} else {
				s.Remove(fmt.Appendf(nil, "goes%d", r.IntN(20000)))
			}
		}
	}
	for i := range 3000 {
		require.Equal(t, 1, seen[fmt.Sprintf("stays%d", i)])
	}
	assert.Zero(t, New().Scan(0, 10, func([]byte, float64) { t.Fail() }))
}

// The log gives memory back bit by bit when members leave here and there.
func TestLogIsEmptiedAsMembersLeave(t *testing.T) {
	s := New()
	const n = 40000
	for i := range n {
		s.Put(fmt.Appendf(nil, "member:%d", i), float64(i))
	}
	full := s.used
	for i := range n {
		if i%4 != 0 {
			s.Remove(fmt.Appendf(nil, "member:%d", i))
		}
	}
	assert.Less(t, s.used, full/2)
	assert.Equal(t, n/4, s.Len())
	for i := 0; i < n; i += 4 {
		_, ok := s.Score(fmt.Appendf(nil, "member:%d", i))
		require.True(t, ok)
	}
}

func TestBytesPerMember(t *testing.T) {
	s := New()
	const n = 200000
	r := rand.New(rand.NewPCG(7, 8))
	for i := range n {
		s.Put(fmt.Appendf(nil, "member:%07d", i), r.Float64())
	}
	per := float64(s.Bytes()) / n
	t.Logf("%.1f bytes for each member of 14", per)
	assert.Less(t, per, 80.0) // a skip list node, a dict entry and an SDS take some 110
}

func BenchmarkPut(b *testing.B) {
	s := New()
	r := rand.New(rand.NewPCG(7, 8))
	var buf [20]byte
	b.ReportAllocs()
	for b.Loop() {
		s.Put(fmt.Appendf(buf[:0], "m%d", r.IntN(1000000)), r.Float64())
	}
}

func BenchmarkScore(b *testing.B) {
	s := New()
	for i := range 1000000 {
		s.Put(fmt.Appendf(nil, "m%d", i), float64(i))
	}
	r := rand.New(rand.NewPCG(7, 8))
	var buf [20]byte
	b.ReportAllocs()
	for b.Loop() {
		s.Score(fmt.Appendf(buf[:0], "m%d", r.IntN(1000000)))
	}
}
