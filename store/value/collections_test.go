package value_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/store/value"
)

// kept is a value as the store would keep it.
type kept struct {
	enc     value.Encoding
	payload []byte
	o       value.Object
}

func (k *kept) store(enc value.Encoding, payload []byte, o value.Object) {
	switch {
	case o != nil:
		*k = kept{value.Hashtable, nil, o}
	case payload != nil:
		*k = kept{enc, slices.Clone(payload), nil}
	}
}

func hashEdit(k *kept, scratch *[]byte, l value.Limits, fn func(*value.HashEdit)) {
	e := value.EditHash(k.enc, k.payload, k.o, 0, *scratch, &l)
	fn(&e)
	k.store(e.Result())
	*scratch = e.Scratch()
}

func TestHashModel(t *testing.T) {
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 3))
		l := value.Limits{HashEntries: r.IntN(40), HashValue: r.IntN(64)}
		var k kept
		var scratch []byte
		model := map[string]string{}
		large := false
		for range 200 {
			hashEdit(&k, &scratch, l, func(e *value.HashEdit) {
				field := strconv.Itoa(r.IntN(60))
				if r.IntN(3) == 0 {
					field = "f" + field
				}
				if r.IntN(4) == 0 {
					_, had := model[field]
					require.Equal(t, had, e.Delete([]byte(field)))
					delete(model, field)
					return
				}
				val := strconv.Itoa(r.IntN(1000))
				if r.IntN(10) == 0 {
					val = strings.Repeat("v", r.IntN(70))
				}
				_, had := model[field]
				require.Equal(t, !had, e.Set([]byte(field), []byte(val)))
				model[field] = val
				large = large || len(val) > l.HashValue || len(field) > l.HashValue || len(model) > l.HashEntries
			})
			h := value.HashOf(k.enc, k.payload, k.o, 0)
			require.Equal(t, large, !h.Compact())
			require.Equal(t, len(model), h.Len())
			got := map[string]string{}
			h.Each(func(f, v []byte) bool { got[string(f)] = string(v); return true })
			require.Equal(t, model, got)
			scanned := map[string]string{}
			for cursor := uint64(0); ; {
				if cursor = h.Scan(cursor, 5, func(f, v []byte) { scanned[string(f)] = string(v) }); cursor == 0 {
					break
				}
			}
			require.Equal(t, model, scanned)
			for f, v := range model {
				got, ok := h.Get([]byte(f), make([]byte, 0, 20))
				require.True(t, ok && h.Has([]byte(f)))
				require.Equal(t, v, string(got))
				require.Equal(t, len(v), h.ValueLen([]byte(f)))
			}
			if len(model) > 0 {
				h.Random(r.Uint64, func(f, v []byte) { require.Equal(t, model[string(f)], string(v)) })
			}
			require.False(t, h.Has([]byte("nosuch")))
			require.Zero(t, h.ValueLen([]byte("nosuch")))
		}
	}
}

// set is what a set of strings is kept as, added one by one.
func set(l value.Limits, members ...string) value.SetEdit {
	e := value.EditSet(0, nil, nil, nil, &l)
	for _, m := range members {
		e.Add([]byte(m))
	}
	return e
}

func TestSetEncodings(t *testing.T) {
	l := value.Limits{SetIntset: 4, SetEntries: 3, SetValue: 5}
	for _, c := range []struct {
		members string
		enc     value.Encoding
	}{
		{"1", value.Intset}, {"1 2 3 4", value.Intset}, {"1 2 3 4 5", value.Hashtable},
		{"a", value.Listpack}, {"a b c", value.Listpack}, {"a b c d", value.Hashtable}, {"a 1 2", value.Listpack},
		{"1 2 a", value.Listpack}, {"1 2 3 a", value.Hashtable}, {"123456 a", value.Hashtable}, {"1 abcdef", value.Hashtable},
		{"abcdef", value.Hashtable}, {"01", value.Listpack},
	} {
		e := set(l, strings.Fields(c.members)...)
		assert.Equal(t, c.enc.String(), e.Encoding().String(), c.members)
	}
	many := value.EditSet(0, nil, nil, nil, &l)
	many.Expect([]byte("1"), 5)
	assert.Equal(t, value.Hashtable, many.Encoding(), "5 members announced")
	few := set(l, "1")
	few.Expect([]byte("1"), 5)
	assert.Equal(t, value.Hashtable, few.Encoding(), "5 members announced")
	ints := value.EditSet(0, nil, nil, nil, &l)
	ints.Begin(value.Listpack)
	ints.Add([]byte("7"))
	assert.Equal(t, value.Listpack, ints.Encoding())
	ints.PreferInts()
	assert.Equal(t, value.Intset, ints.Encoding())
}

func TestSetModel(t *testing.T) {
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 4))
		l := value.Limits{SetIntset: r.IntN(40), SetEntries: r.IntN(30), SetValue: r.IntN(64)}
		words := seed%2 == 0
		var k kept
		var scratch []byte
		model := map[string]bool{}
		for range 200 {
			e := value.EditSet(k.enc, k.payload, k.o, scratch, &l)
			m := strconv.Itoa(r.IntN(90) - 20)
			if words && r.IntN(3) == 0 {
				m = strings.Repeat("w", r.IntN(70))
			}
			if r.IntN(3) == 0 {
				require.Equal(t, model[m], e.Remove([]byte(m)))
				delete(model, m)
			} else {
				require.Equal(t, !model[m], e.Add([]byte(m)))
				model[m] = true
			}
			was := k.enc
			if e.Len() == 0 {
				k = kept{} // as the store deletes the key
				continue
			}
			k.store(e.Result())
			scratch = e.Scratch()
			require.False(t, k.payload != nil && was == value.Hashtable && len(model) > 1, "no way back")
			s := value.SetOf(k.enc, k.payload, k.o)
			require.Equal(t, k.enc, s.Encoding())
			require.Equal(t, len(model), s.Len())
			got := map[string]bool{}
			s.Each(func(m []byte) bool { got[string(m)] = true; return true })
			require.Equal(t, model, got)
			clear(got)
			for cursor := uint64(0); ; {
				if cursor = s.Scan(cursor, 5, func(m []byte) { got[string(m)] = true }); cursor == 0 {
					break
				}
			}
			require.Equal(t, model, got)
			for m := range model {
				require.True(t, s.Has([]byte(m)))
			}
			require.True(t, model[string(s.Random(r.Uint64, nil))])
			require.False(t, s.Has([]byte("01")))
		}
	}
}

func TestFit(t *testing.T) {
	l := value.DefaultLimits()
	e := set(l, "a", "b", "7")
	_, payload, _ := e.Result()
	o, ok := value.FitSet(value.Listpack, payload, l)
	assert.True(t, ok && o == nil)
	o, ok = value.FitSet(value.Listpack, payload, value.Limits{SetEntries: 2, SetValue: 64})
	assert.True(t, ok && o.Len() == 3)
	// The same member twice, once as a string: "a", "7", 7.
	_, ok = value.FitSet(value.Listpack, []byte("\x0f\x00\x00\x00\x03\x00\x81a\x02\x817\x02\x07\x01\xff"), l)
	assert.False(t, ok)

	h := value.NewHash(nil, &l)
	h.Set([]byte("f"), []byte("v"))
	h.Set([]byte("g"), []byte("v"))
	_, payload, _ = h.Result()
	o, ok = value.FitHash(value.Listpack, payload, l)
	assert.True(t, ok && o == nil)
	o, ok = value.FitHash(value.Listpack, payload, value.Limits{HashEntries: 1, HashValue: 64})
	assert.True(t, ok && o.Len() == 2)
	_, ok = value.FitHash(value.Listpack, []byte("\x0f\x00\x00\x00\x04\x00\x07\x01\x07\x01\x07\x01\x07\x01\xff"), l)
	assert.False(t, ok)
}

func TestSampleIsFairAndExact(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	counts := make([]int, 10)
	for range 10000 {
		s := value.NewSample(len(counts), 3, r.Uint64)
		taken := 0
		for i := range counts {
			if s.Take() {
				counts[i]++
				taken++
			}
		}
		require.Equal(t, 3, taken)
		require.True(t, s.Done())
	}
	for _, c := range counts {
		assert.InDelta(t, 3000, c, 200)
	}
}

func TestNamesAreASet(t *testing.T) {
	var n value.Names
	want := map[string]bool{}
	for i := range 1000 {
		s := fmt.Sprint(i * i % 313)
		assert.Equal(t, !want[s], n.Add([]byte(s)))
		want[s] = true
	}
	assert.NotEmpty(t, slices.Collect(maps.Keys(want)))
}

// Small hashes and sets are read and edited without allocating.
func TestSmallCollectionsDoNotAllocate(t *testing.T) {
	l := value.DefaultLimits()
	h := value.NewHash(nil, &l)
	for i := range 8 {
		h.Set(fmt.Append(nil, "field", i), []byte("value"))
	}
	_, hash, _ := h.Result()
	s := set(l, "1", "5", "70000")
	_, ints, _ := s.Result()
	scratch := make([]byte, 0, 512)
	field, val, n := []byte("field7"), []byte("12"), []byte("6")
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		var digits [20]byte
		value.HashOf(value.Listpack, hash, nil, 0).Get(field, digits[:])
		e := value.EditHash(value.Listpack, hash, nil, 0, scratch, &l)
		e.Set(field, val)
		e.Set(val, field)
		e.Delete(field)
		value.SetOf(value.Intset, ints, nil).Has(n)
		i := value.EditSet(value.Intset, ints, nil, scratch, &l)
		i.Add(n)
		i.Remove(n)
	}))
}
