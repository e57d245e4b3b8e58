package quicklist

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/store/value/internal/listpack"
)

func contents(l *List) (all []string) {
	if l.Len() == 0 {
		return nil
	}
	it := l.From(0, false)
	for ok := true; ok; ok = it.Step() {
		all = append(all, string(it.Here().Append(nil)))
	}
	return all
}

// runs is contents, walked in runs of strings.
func runs(l *List) (all []string) {
	var run [3][]byte
	it := l.From(0, false)
	for more := true; more; {
		var n int
		if n, more = it.Strings(run[:]); n == 0 {
			all = append(all, string(it.Here().Append(nil)))
			more = it.Step()
			continue
		}
		for _, s := range run[:n] {
			all = append(all, string(s))
		}
	}
	return all
}

// check says what always holds.
func check(t *testing.T, l *List, want []string) {
	t.Helper()
	require.Equal(t, len(want), l.Len())
	if len(want) > 0 {
		require.Equal(t, want, contents(l))
		require.Equal(t, want, runs(l))
	}
	n, size := 0, int64(0)
	for _, nd := range l.row.nodes() {
		require.Positive(t, nd.n)
		if !nd.plain {
			count, err := listpack.Check(nd.pack())
			require.NoError(t, err)
			require.EqualValues(t, nd.n, count)
		}
		n += int(nd.n)
		size += nd.bytes()
	}
	require.Equal(t, l.n, n)
	require.Equal(t, size, l.bytes, "memory count")
	for i, nd := range l.row.all {
		require.Equal(t, i >= l.row.lo && i < l.row.hi, nd != nil)
	}
}

// The specification is a slice.
func TestAgainstModel(t *testing.T) {
	for _, limit := range []Limit{-1, 4, 1, 128} {
		t.Run(fmt.Sprint("limit ", limit), func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, uint64(limit+10)))
			l, m := New(), []string(nil)
			element := func() string {
				switch r.IntN(12) {
				case 0:
					return string(bytes.Repeat([]byte{'x'}, r.IntN(3000)))
				case 1:
					if limit < 0 || r.IntN(4) == 0 {
						return string(bytes.Repeat([]byte{'y'}, 3000+r.IntN(9000)))
					}
				case 2:
					return fmt.Sprint(r.Int64() - 1<<62)
				}
				return fmt.Sprint(r.IntN(50))
			}
			for i := range 2500 {
				s := element()
				grow := i/600%2 == 0
				switch op := r.IntN(12); {
				case op < 3 && (grow || op == 0):
					l.Push([]byte(s), true, limit)
					m = slices.Insert(m, 0, s)
				case op < 6 && (grow || op == 3):
					l.Push([]byte(s), false, limit)
					m = append(m, s)
				case op < 8:
					at := r.IntN(len(m) + 1)
					l.Insert(at, []byte(s), limit)
					m = slices.Insert(m, at, s)
				case len(m) == 0:
				case op == 8:
					at := r.IntN(len(m))
					l.Set(at, []byte(s), limit)
					m[at] = s
				case op == 9 || !grow && op < 6:
					at := r.IntN(len(m))
					count := min(len(m)-at, r.IntN(5))
					if r.IntN(50) == 0 {
						count = r.IntN(len(m) - at + 1)
					}
					l.Delete(at, count)
					m = slices.Delete(m, at, at+count)
				case op == 10:
					back, most := r.IntN(2) == 0, r.IntN(4)
					want := 0
					remove := func(i int) bool {
						if m[i] == s && (most == 0 || want < most) {
							want++
							m = slices.Delete(m, i, i+1)
							return true
						}
						return false
					}
					if back {
						for i := len(m) - 1; i >= 0; i-- {
							remove(i)
						}
					} else {
						for i := 0; i < len(m); {
							if !remove(i) {
								i++
							}
						}
					}
					require.Equal(t, want, l.Remove([]byte(s), most, back))
				default:
					at := r.IntN(len(m))
					v := l.At(at)
					require.Equal(t, m[at], string(v.Append(nil)))
					it := l.From(at, true)
					for k := at; k >= 0; k-- {
						v := it.Here()
						require.Equal(t, m[k], string(v.Append(nil)))
						require.Equal(t, k > 0, it.Step())
					}
				}
				if i%40 == 0 {
					check(t, l, m)
				}
			}
			check(t, l, m)
			l.Delete(0, l.Len())
			check(t, l, nil)
			l.Push([]byte("again"), true, limit)
			check(t, l, []string{"again"})
		})
	}
}

func TestLimits(t *testing.T) {
	sizes := func(l *List) (all []int) {
		for _, nd := range l.row.nodes() {
			if nd.plain {
				all = append(all, -len(nd.pack()))
			} else {
				all = append(all, int(nd.n))
			}
		}
		return all
	}
	l := New()
	for range 10 {
		l.Push([]byte("x"), false, 4)
	}
	assert.Equal(t, []int{4, 4, 2}, sizes(l))
	l = New()
	for range 5 {
		l.Push(make([]byte, 1500), false, -1)
	}
	assert.Equal(t, []int{2, 2, 1}, sizes(l))
	l.Push(make([]byte, 5000), true, -1)
	l.Insert(2, make([]byte, 5000), -1)
	assert.Equal(t, []int{-5000, 1, -5000, 1, 2, 1}, sizes(l))
	l = New()
	l.Push(make([]byte, 9000), false, 100)
	l.Push([]byte("x"), false, 100)
	assert.Equal(t, []int{-9000, 1}, sizes(l))
	for limit, size := range map[Limit]int{-1: 4096, -2: 8192, -5: 65536, -9: 65536} {
		assert.False(t, limit.Exceeds(size, 1000))
		assert.True(t, limit.Exceeds(size+1, 1))
	}
	assert.False(t, Limit(0).Exceeds(10, 1))
	assert.True(t, Limit(0).Exceeds(10, 2))
}

func TestCloneIsIndependent(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	l := New()
	var m []string
	edit := func(l *List, m []string) []string {
		for range 50 {
			s := fmt.Sprint(r.IntN(1000))
			switch at := r.IntN(len(m) + 1); {
			case r.IntN(3) > 0:
				l.Insert(at, []byte(s), 8)
				m = slices.Insert(m, at, s)
			case at < len(m):
				l.Delete(at, 1)
				m = slices.Delete(m, at, at+1)
			}
		}
		return m
	}
	type frozen struct {
		l *List
		m []string
	}
	var all []frozen
	for range 20 {
		m = edit(l, m)
		c := l.Clone()
		all = append(all, frozen{c, slices.Clone(m)})
		m = edit(l, m)
		d := c.Clone()
		all = append(all, frozen{d, edit(d, slices.Clone(all[len(all)-1].m))})
	}
	check(t, l, m)
	for _, f := range all {
		check(t, f.l, f.m)
	}
}

// A clone is read by another goroutine while its origin goes on (run with -race).
func TestCloneIsReadBesideEdits(t *testing.T) {
	l := New()
	for i := range 3000 {
		l.Push(fmt.Append(nil, i), false, -1)
	}
	want := contents(l)
	c := l.Clone()
	got := make(chan []string)
	go func() { got <- contents(c) }()
	for i := range 2000 {
		l.Push([]byte("front"), true, -1)
		l.Push([]byte("back"), false, -1)
		l.Set(i, []byte("set"), -1)
	}
	l.Delete(100, 3000)
	assert.Equal(t, want, <-got)
}

// Both ends cost the same however long the list is, and a queue does not grow its row.
func TestQueueKeepsItsSize(t *testing.T) {
	l := New()
	for i := range 20000 {
		l.Push(fmt.Append(nil, i), false, 10)
		if i >= 1000 {
			l.Delete(0, 1)
		}
	}
	assert.Equal(t, 1000, l.Len())
	assert.Less(t, len(l.row.all), 1000)
	check(t, l, contents(l))
}

func BenchmarkPushPop(b *testing.B) {
	for _, front := range []bool{true, false} {
		b.Run(fmt.Sprint("front ", front), func(b *testing.B) {
			l := New()
			b.ReportAllocs()
			for b.Loop() {
				l.Push([]byte("0123456789"), front, -2)
				if l.Len() > 10000 {
					l.Delete(0, 1)
				}
			}
		})
	}
}

// Elements that come at one end and go at the other, or come and go at one, must not make a node's memory grow.
func TestQueuesStaySmall(t *testing.T) {
	element := bytes.Repeat([]byte{'x'}, 64)
	for in := range 2 {
		for out := range 2 {
			l := New()
			for range 50 {
				l.Push(element, in == 0, -2)
			}
			for range 5000 {
				l.Push(element, in == 0, -2)
				l.Delete([2]int{0, l.Len() - 1}[out], 1)
			}
			size := int64(50 * len(element))
			require.Less(t, l.Bytes(), 3*size, "in %d, out %d", in, out)
			check(t, l, contents(l))
			for range 40 {
				l.Push(element, true, -2)
				l.Push(element, false, -2)
			}
			check(t, l, contents(l))
		}
	}
}
