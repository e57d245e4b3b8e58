package stream

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/store/value/internal/listpack"
)

// model is a stream as one would write it down.
type model struct {
	entries          []modelEntry
	last, maxDeleted ID
	added            uint64
	groups           map[string]*modelGroup
}

type modelEntry struct {
	id     ID
	fields []string
}

type modelGroup struct {
	last      ID
	pending   map[ID]modelPending
	consumers map[string]int64 // when seen
}

type modelPending struct {
	consumer string
	time     int64
	count    uint64
}

func (m *model) clone() *model {
	c := *m
	c.entries = slices.Clone(m.entries)
	c.groups = map[string]*modelGroup{}
	for name, g := range m.groups {
		c.groups[name] = &modelGroup{g.last, maps.Clone(g.pending), maps.Clone(g.consumers)}
	}
	return &c
}

func (m *model) find(id ID) (int, bool) {
	return slices.BinarySearchFunc(m.entries, id, func(e modelEntry, id ID) int { return e.id.Compare(id) })
}

func (m *model) first() ID {
	if len(m.entries) == 0 {
		return ID{}
	}
	return m.entries[0].id
}

// compare looks at everything in s.
func (m *model) compare(t *testing.T, s *Stream, r *rand.Rand) {
	s.CheckMem()
	require.Equal(t, len(m.entries), s.Len())
	require.Equal(t, m.last, s.Last)
	require.Equal(t, m.first(), s.First)
	require.Equal(t, m.maxDeleted, s.MaxDeleted)
	require.Equal(t, m.added, s.Added)
	m.compareRange(t, s, ID{}, MaxID)
	lo := ID{r.Uint64N(m.last.Ms + 2), r.Uint64N(3)}
	m.compareRange(t, s, lo, ID{lo.Ms + r.Uint64N(20), r.Uint64N(3)})
	last := ID{}
	s.EachNode(func(id ID, pack []byte) {
		c, ok := CheckNode(id, pack)
		require.True(t, ok)
		require.Positive(t, c.Live)
		require.Equal(t, 1, c.FirstID.Compare(last))
		last = c.LastID
	})
	require.Len(t, s.Groups(), len(m.groups))
	for _, g := range s.Groups() {
		want := m.groups[g.Name]
		require.NotNil(t, want)
		require.Equal(t, want.last, g.Last)
		require.Equal(t, len(want.pending), g.Pending())
		require.True(t, g.AllOwned())
		n := 0
		for p := g.Walk(ID{}, NoOwner); p.Next(); {
			require.Equal(t, want.pending[p.ID], modelPending{g.Consumer(p.Owner).Name, p.Time, p.Count})
			n++
		}
		require.Equal(t, len(want.pending), n)
		n = 0
		require.Len(t, g.Consumers(), len(want.consumers))
		name := ""
		for i, o := range g.Consumers() {
			c := g.Consumer(o)
			require.True(t, i == 0 || name < c.Name)
			name = c.Name
			require.Equal(t, want.consumers[c.Name], c.Seen)
			here := 0
			for p := g.Walk(ID{}, o); p.Next(); {
				require.Equal(t, o, p.Owner)
				here++
			}
			require.Equal(t, c.Pending(), here)
			n += here
		}
		require.Equal(t, len(want.pending), n)
	}
}

func next(id ID) ID { id, _ = id.Next(); return id }

func (m *model) compareRange(t *testing.T, s *Stream, lo, hi ID) {
	var want []modelEntry
	for _, e := range m.entries {
		if e.id.Compare(lo) >= 0 && e.id.Compare(hi) <= 0 {
			want = append(want, e)
		}
	}
	for _, back := range []bool{false, true} {
		var got []modelEntry
		for it := s.Range(lo, hi, back); it.Next(); {
			e := modelEntry{id: it.ID}
			for range it.N {
				name, val := it.Field()
				e.fields = append(e.fields, string(name), string(val))
			}
			got = append(got, e)
		}
		require.Equal(t, want, got)
		slices.Reverse(want)
	}
}

func TestModel(t *testing.T) {
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 1))
		l := &Limits{NodeBytes: []int{0, 100, 400}[r.IntN(3)], NodeEntries: []int{0, 3, 20}[r.IntN(3)]}
		if l.NodeBytes == 0 && l.NodeEntries == 0 {
			l.NodeEntries = 100
		}
		type pair struct {
			s *Stream
			m *model
		}
		all := []pair{{New(), &model{groups: map[string]*modelGroup{}}}}
		for step := range 3000 {
			p := &all[r.IntN(len(all))]
			change(r, p.s, p.m, l)
			switch {
			case step%500 == 499: // a clone, and no more than three of them
				all = append(all, pair{p.s.Clone(), p.m.clone()})
				all = all[max(0, len(all)-3):]
			case step%50 == 0:
				for _, p := range all {
					p.m.compare(t, p.s, r)
				}
			}
		}
		for _, p := range all {
			p.m.compare(t, p.s, r)
		}
	}
}

func change(r *rand.Rand, s *Stream, m *model, l *Limits) {
	someID := func() ID {
		if len(m.entries) > 0 && r.IntN(8) > 0 {
			return m.entries[r.IntN(len(m.entries))].id
		}
		return ID{r.Uint64N(m.last.Ms + 2), r.Uint64N(3)}
	}
	now := r.Int64N(1000)
	switch k := r.IntN(100); {
	case k < 50:
		id := ID{m.last.Ms + r.Uint64N(3), r.Uint64N(3)}
		if id.Compare(m.last) <= 0 {
			id = next(m.last)
		}
		var fields []string
		for i := range 1 + r.IntN(3) {
			name := fmt.Sprint("f", i)
			if r.IntN(10) == 0 {
				name = fmt.Sprint(r.IntN(100))
			}
			fields = append(fields, name, []string{"", "17", "-70000", "value", string(make([]byte, 70))}[r.IntN(5)])
		}
		s.Append(id, asBytes(fields), l)
		m.entries = append(m.entries, modelEntry{id, fields})
		m.last = id
		m.added++
	case k < 70:
		id := someID()
		i, ok := m.find(id)
		if s.Has(id) != ok || s.Delete(id) != ok {
			panic("Delete")
		}
		if ok {
			m.entries = slices.Delete(slices.Clone(m.entries), i, i+1)
			if id.Compare(m.maxDeleted) > 0 {
				m.maxDeleted = id
			}
		}
	case k < 73:
		t := &Trim{ByID: r.IntN(2) == 0, MaxLen: r.Uint64N(uint64(len(m.entries)) + 1), MinID: someID(), Approx: r.IntN(2) == 0, Limit: int64(r.IntN(3) * 50)}
		n := len(m.entries) - int(t.MaxLen)
		if t.ByID {
			n, _ = m.find(t.MinID)
		}
		taken := int(s.Trim(t))
		if taken > n || t.Limit == 0 && !t.Approx && taken != n || t.Limit > 0 && t.Approx && taken > int(t.Limit) {
			panic(fmt.Sprint("Trim ", taken, " of ", n))
		}
		m.entries = m.entries[taken:]
	case k < 75:
		name := fmt.Sprint("g", r.IntN(4))
		if m.groups[name] == nil {
			m.groups[name] = &modelGroup{last: m.last, pending: map[ID]modelPending{}, consumers: map[string]int64{}}
			if s.CreateGroup([]byte(name), m.last, ReadUnknown) == nil {
				panic("CreateGroup")
			}
		} else if r.IntN(6) == 0 {
			delete(m.groups, name)
			if !s.DestroyGroup([]byte(name)) {
				panic("DestroyGroup")
			}
		}
	default:
		name := fmt.Sprint("g", r.IntN(4))
		mg := m.groups[name]
		g := s.EditGroup([]byte(name))
		if mg == nil {
			if g != nil || s.Group([]byte(name)) != nil {
				panic("a group that is none")
			}
			return
		}
		consumer := fmt.Sprint("c", r.IntN(5))
		o, ok := g.Find([]byte(consumer))
		if _, want := mg.consumers[consumer]; ok != want {
			panic("Find")
		}
		switch {
		case !ok:
			if o, ok = g.CreateConsumer([]byte(consumer), now); !ok || g.Consumer(o).Name != consumer {
				panic("CreateConsumer")
			}
			mg.consumers[consumer] = now
		case k < 85:
			p := Pending{someID(), now, r.Uint64N(10), o}
			g.Put(p)
			mg.pending[p.ID] = modelPending{consumer, p.Time, p.Count}
		case k < 96:
			id := someID()
			_, want := mg.pending[id]
			if g.Ack(id) != want {
				panic("Ack")
			}
			delete(mg.pending, id)
		case k < 98:
			g.EditConsumer(o).Seen = now
			mg.consumers[consumer] = now
			g.Last = someID()
			mg.last = g.Last
		case r.IntN(5) == 0:
			n := g.RemoveConsumer(o)
			for id, p := range mg.pending {
				if p.consumer == consumer {
					delete(mg.pending, id)
					n--
				}
			}
			if n != 0 {
				panic("RemoveConsumer")
			}
			delete(mg.consumers, consumer)
		}
	}
}

func asBytes(fields []string) (all [][]byte) {
	for _, f := range fields {
		all = append(all, []byte(f))
	}
	return all
}

// Pages split, join and come apart under many ids in any order.
func TestIndex(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var x index[ID]
	mem := int64(0)
	var want []ID
	for phase := range 6 {
		for range 5000 {
			id := ID{r.Uint64N(2000), r.Uint64N(2)}
			at, ok := x.seek(id)
			i, has := slices.BinarySearchFunc(want, id, ID.Compare)
			require.Equal(t, has, ok)
			if add := r.IntN(10) < []int{9, 5, 1}[phase%3]; add && !ok {
				x.insert(1, id, &mem)
				want = slices.Insert(want, i, id)
			} else if ok && !add {
				x.remove(1, at, &mem)
				want = slices.Delete(want, i, i+1)
			}
		}
		require.Equal(t, x.bytes(), mem)
		require.Equal(t, len(want), x.n)
		var got, back []ID
		for at := (place{}); x.ok(at); at = x.next(at) {
			got = append(got, x.at(at))
		}
		require.Equal(t, want, got)
		for at := x.lastPlace(); x.ok(at); at = x.prev(at) {
			back = append(back, x.at(at))
		}
		slices.Reverse(back)
		require.Equal(t, want, back)
		for _, p := range x.pages {
			require.NotEmpty(t, p.items)
			require.LessOrEqual(t, len(p.items), pageItems)
		}
		require.LessOrEqual(t, len(x.pages), 4+8*len(want)/pageItems)
	}
}

// A node is what Redis makes of the same entries: XADD k 5-3 a 1 b two, 5-4 a 300 b "", 6-1 c 1,
// XDEL k 5-4.
func TestNodeIsRedis(t *testing.T) {
	s := New()
	l := &Limits{NodeBytes: 4096, NodeEntries: 100}
	s.Append(ID{5, 3}, asBytes([]string{"a", "1", "b", "two"}), l)
	s.Append(ID{5, 4}, asBytes([]string{"a", "300", "b", ""}), l)
	s.Append(ID{6, 1}, asBytes([]string{"c", "1"}), l)
	require.True(t, s.Delete(ID{5, 4}))
	var got []string
	s.EachNode(func(id ID, pack []byte) {
		require.Equal(t, ID{5, 3}, id)
		p := listpack.Pack(pack)
		for at := p.First(); at != p.End(); at = p.Next(at) {
			got = append(got, string(p.Get(at).Append(nil)))
		}
	})
	require.Equal(t, []string{
		"2", "1", "2", "a", "b", "0",
		"2", "0", "0", "1", "two", "5",
		"3", "0", "1", "300", "", "5",
		"0", "1", "-2", "1", "c", "1", "6",
	}, got)
	require.Equal(t, ID{5, 4}, s.MaxDeleted)
	require.Equal(t, ID{5, 3}, s.First)
}

func TestNodesThatAreRefused(t *testing.T) {
	pack := func(elements ...string) []byte {
		p := listpack.New(nil)
		for _, e := range elements {
			p = p.Append([]byte(e))
		}
		return p
	}
	good := []string{"2", "1", "1", "a", "0", "2", "0", "0", "x", "4", "3", "0", "1", "y", "4", "0", "7", "0", "1", "b", "z", "6"}
	c, ok := CheckNode(ID{5, 5}, pack(good...))
	require.True(t, ok)
	require.Equal(t, NodeCheck{2, 1, ID{5, 5}, ID{12, 5}}, c)
	for i := range good {
		_, ok := CheckNode(ID{5, 5}, pack(good[:i]...))
		require.False(t, ok, "cut at %d", i)
		if text := good[i]; text >= "a" {
			continue
		}
		for _, other := range []string{"q", "-1", "100", "9223372036854775807", "-9223372036854775808"} {
			bad := slices.Clone(good)
			bad[i] = other
			if _, ok := CheckNode(ID{5, 5}, pack(bad...)); ok {
				// Other ids are as good, as long as they ascend.
				require.Contains(t, []int{6, 7, 11, 12, 16, 17}, i, "%s at %d", other, i)
			}
		}
	}
	_, ok = CheckNode(ID{5, 5}, pack(append(good, "1")...))
	require.False(t, ok)
	_, ok = CheckNode(ID{5, 5}, pack())
	require.False(t, ok)
	_, ok = CheckNode(ID{5, 5}, pack("0", "0", "1", "a", "0"))
	require.False(t, ok)
	_, ok = CheckNode(ID{5, 5}, []byte("rubbish"))
	require.False(t, ok)
}

func TestIDs(t *testing.T) {
	for _, c := range []struct {
		a, b ID
		ok   bool
	}{
		{ID{1, 2}, ID{1, 3}, true},
		{ID{1, math.MaxUint64}, ID{2, 0}, true},
		{MaxID, MaxID, false},
	} {
		b, ok := c.a.Next()
		require.Equal(t, c.b, b)
		require.Equal(t, c.ok, ok)
		if ok {
			a, ok := b.Prev()
			require.Equal(t, c.a, a)
			require.True(t, ok)
		}
		require.Equal(t, c.a, IDFrom(c.a.AppendBytes(nil)))
		require.Equal(t, c.a.Compare(c.b), bytes.Compare(c.a.AppendBytes(nil), c.b.AppendBytes(nil)))
	}
	_, ok := ID{}.Prev()
	require.False(t, ok)
	require.Equal(t, "18446744073709551615-0", string(ID{math.MaxUint64, 0}.Append(nil)))
}

// FuzzNode: what passes the check can be read and edited without harm. The node is given by its
// elements, between spaces.
func FuzzNode(f *testing.F) {
	f.Add(uint64(5), uint64(5), "2 1 1 a 0 2 0 0 x 4 3 0 1 y 4 0 7 0 1 b z 6")
	f.Add(uint64(0), uint64(0), "1 0 2 a b 0 2 0 1 x y 5")
	f.Add(uint64(7), uint64(1), "2 0 0 0 2 0 0 3 2 1 -1 3")
	l := &Limits{NodeEntries: 4}
	f.Fuzz(func(t *testing.T, ms, seq uint64, text string) {
		pack := listpack.New(nil)
		for e := range strings.SplitSeq(text, " ") {
			pack = pack.Append([]byte(e))
		}
		c, ok := CheckNode(ID{ms, seq}, pack)
		if !ok {
			return
		}
		s := New()
		if !s.AddNode(ID{ms, seq}, slices.Clone(pack), c) {
			t.Fatal("the first node is refused")
		}
		s.Last = c.LastID
		s.CheckMem()
		var ids []ID
		for it := s.Range(ID{}, MaxID, false); it.Next(); {
			ids = append(ids, it.ID)
			for range it.N {
				it.Field()
			}
		}
		if len(ids) != c.Live || s.Len() != c.Live {
			t.Fatal("entries are missing")
		}
		for it := s.Range(ID{}, MaxID, true); it.Next(); {
			if it.ID != ids[len(ids)-1] {
				t.Fatal("not the same backwards")
			}
			ids = ids[:len(ids)-1]
		}
		if id, ok := s.Last.Next(); ok {
			s.Append(id, asBytes([]string{"a", "b"}), l)
		}
		s.Delete(s.First)
		for s.Len() > 1 {
			s.Trim(&Trim{MaxLen: uint64(s.Len() / 2)})
			s.CheckMem()
		}
	})
}

// A clone is read on another goroutine while the original changes; the race detector looks on.
func TestCloneIsReadBesideChanges(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	l := &Limits{NodeEntries: 5}
	s, m := New(), &model{groups: map[string]*modelGroup{}}
	for range 8 {
		for range 400 {
			change(r, s, m, l)
		}
		c, want := s.Clone(), m.clone()
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 3 {
				want.compare(t, c, rand.New(rand.NewPCG(4, 4)))
			}
		}()
		for range 400 {
			change(r, s, m, l)
		}
		<-done
	}
	m.compare(t, s, r)
}
