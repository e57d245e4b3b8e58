package value_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/store/value"
)

func elements(q *value.Sequence, from int, back bool) (all []string) {
	for it := q.From(from, back); it.Next(); {
		all = append(all, string(it.Element()))
	}
	return all
}

// byRuns walks as LRANGE does: strings in runs of up to three, numbers one by one.
func byRuns(q *value.Sequence, from int) (all []string) {
	var run [3][]byte
	for it := q.From(from, false); ; {
		if n := it.Strings(run[:]); n > 0 {
			for _, s := range run[:n] {
				all = append(all, string(s))
			}
		} else if it.Next() {
			all = append(all, string(it.Element()))
		} else {
			return all
		}
	}
}

// The compact form must do everything as the large one does, which has a model of its own
// (package quicklist).
func TestFormsOfListsAgree(t *testing.T) {
	lim := value.Limits{ListSize: -5}
	r := rand.New(rand.NewPCG(1, 2))
	small, large := value.NewList(nil), value.NewList(nil)
	large.Grow()
	both := func(do func(q *value.Sequence)) {
		do(&small)
		do(&large)
	}
	for i := range 3000 {
		s := fmt.Append(nil, []any{"", "a", 7, -70000, "a rather long element, as elements go"}[r.IntN(5)])
		n := small.Len()
		switch op := r.IntN(10); {
		case op < 4 && n < 100:
			front := op < 2
			both(func(q *value.Sequence) { q.Push(s, front, &lim) })
		case op == 4 && n < 100:
			at := r.IntN(n + 1)
			both(func(q *value.Sequence) { q.Insert(at, s, &lim) })
		case n == 0:
		case op == 5:
			at := r.IntN(n)
			both(func(q *value.Sequence) { q.Set(at, s, &lim) })
		case op == 6:
			at := r.IntN(n)
			count := min(n-at, r.IntN(4))
			both(func(q *value.Sequence) { q.Delete(at, count) })
		case op == 7:
			most, back := r.IntN(3), r.IntN(2) == 0
			require.Equal(t, large.Remove(s, most, back), small.Remove(s, most, back))
		default:
			at, back := r.IntN(n), r.IntN(2) == 0
			require.Equal(t, elements(&large, at, back), elements(&small, at, back))
			require.Equal(t, elements(&large, at, false), byRuns(&large, at))
			require.Equal(t, elements(&small, at, false), byRuns(&small, at))
			a, b := small.From(at, back), large.From(at, back)
			a.Next()
			b.Next()
			require.Equal(t, a.Is(s), b.Is(s))
		}
		require.Equal(t, large.Len(), small.Len())
		if i%20 == 0 {
			require.Equal(t, elements(&large, 0, false), elements(&small, 0, false))
		}
	}
}

func TestListChangesFormByLimits(t *testing.T) {
	x := []byte("x")
	t.Run("by number", func(t *testing.T) {
		lim := value.Limits{ListSize: 4}
		q := value.NewList(nil)
		q.Expect(&lim, x, x, x, x)
		for range 4 {
			q.Push(x, false, &lim)
		}
		assert.Nil(t, q.Large())
		q.Expect(&lim, x)
		require.NotNil(t, q.Large())
		assert.Equal(t, 4, q.Len())
		q.Delete(0, 1)
		q.Shrink(nil, &lim, false)
		assert.NotNil(t, q.Large(), "three are more than half of four")
		q.Shrink(nil, &lim, true)
		assert.Nil(t, q.Large())
		q.Grow()
		q.Delete(0, 1)
		q.Shrink(nil, &lim, false)
		assert.Nil(t, q.Large())
		assert.Equal(t, []string{"x", "x"}, elements(&q, 0, false))
	})
	t.Run("by size", func(t *testing.T) {
		lim := value.DefaultLimits()
		q := value.NewList(nil)
		q.Expect(&lim, make([]byte, 8185))
		assert.Nil(t, q.Large())
		q.Expect(&lim, make([]byte, 8186))
		assert.NotNil(t, q.Large())
		q.Push(bytes.Repeat(x, 4000), false, &lim)
		q.Push(bytes.Repeat(x, 4000), false, &lim)
		q.Shrink(nil, &lim, false)
		assert.NotNil(t, q.Large())
		q.Delete(1, 1)
		q.Shrink(nil, &lim, false)
		assert.Nil(t, q.Large())
		q.Grow()
		q.Push(make([]byte, 100000), false, &lim)
		q.Delete(0, 1)
		q.Shrink(nil, &lim, true)
		assert.NotNil(t, q.Large(), "an element of its own node")
	})
}
