package value

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// checkTable compares t with the model and with its own counts.
func checkTable(t *testing.T, tab *table, model map[string]string) {
	t.Helper()
	require.Equal(t, len(model), tab.Len())
	n, mem, deep := 0, int64(8*len(tab.dir)), 0
	tab.eachChunk(func(c *chunk) bool {
		mem += c.bytes()
		if c.big != nil {
			big := 0
			for _, s := range c.big.at {
				big += cap(s)
			}
			require.Equal(t, big, c.big.bytes)
			require.NotZero(t, big)
		}
		if c.depth == tab.bits {
			deep++
		}
		at := make([]int, 0, len(c.offs))
		for i, off := range c.offs {
			key, _ := c.str(int(off))
			require.Equal(t, byte(hashOf(key)), c.tags[i])
			require.Same(t, c, tab.at(hashOf(key)))
			at = append(at, int(off))
		}
		slices.Sort(at)
		end := 0
		for _, off := range at {
			require.Equal(t, end, off, "no holes")
			_, end = c.str(off)
			if c.data[off]&timed != 0 {
				end += timeBytes
			}
			if tab.hasValues() {
				_, end = c.str(end)
			}
		}
		require.Equal(t, end, len(c.data))
		require.LessOrEqual(t, len(c.tags), chunkItems)
		n += len(c.tags)
		return true
	})
	require.Equal(t, tab.n, n)
	require.Equal(t, tab.mem, mem)
	require.Equal(t, tab.deep, deep)
	require.Len(t, tab.dir, 1<<tab.bits)
	seen := map[string]string{}
	tab.each(func(k, v []byte) bool {
		seen[string(k)] = string(v)
		return true
	})
	require.Equal(t, model, seen)
}

func someKey(r *rand.Rand, n int) []byte {
	k := fmt.Appendf(nil, "key:%d", r.IntN(n))
	if len(k)%2 == 0 && r.IntN(20) == 0 {
		k = append(k, strings.Repeat("k", r.IntN(600))...)
	}
	return k
}

func someVal(r *rand.Rand) []byte {
	return bytes.Repeat([]byte{byte('a' + r.IntN(26))}, r.IntN(1<<r.IntN(11)))
}

func TestTableModel(t *testing.T) {
	for seed := range uint64(4) {
		short := seed >= 2 // then chunks are divided in place
		r := rand.New(rand.NewPCG(seed, 1))
		tab, model := newTable(Hash), map[string]string{}
		type frozen struct {
			o     Object
			model map[string]string
		}
		var clones []frozen
		for step := range 12000 {
			grow := step/3000%2 == 0
			key := someKey(r, 4000)
			val := someVal(r)
			if short {
				key, val = key[:min(len(key), 20)], val[:min(len(val), 60)]
			}
			_, had := model[string(key)]
			if r.IntN(10) < 2 != grow {
				require.Equal(t, !had, tab.set(key, val))
				model[string(key)] = string(val)
			} else {
				require.Equal(t, had, tab.remove(key))
				delete(model, string(key))
			}
			v, _, ok := tab.get(key)
			want, is := model[string(key)]
			require.Equal(t, is, ok)
			require.Equal(t, want, string(v))
			if step%1500 == 0 {
				clones = append(clones, frozen{tab.Clone(), maps.Clone(model)})
				if step%4500 == 0 { // go on with the clone: neither is the original
					clones[len(clones)-1].o, tab = tab, clones[len(clones)-1].o.(*table)
				}
			}
			if step%1997 == 0 {
				checkTable(t, tab, model)
			}
		}
		checkTable(t, tab, model)
		for _, c := range clones {
			checkTable(t, c.o.(*table), c.model)
		}
		for k := range model {
			tab.remove([]byte(k))
		}
		checkTable(t, tab, map[string]string{})
		assert.Len(t, tab.dir, 1, "an empty table is small again")
	}
}

// Values that grow in place must not overflow a chunk.
func TestFullChunksAreDividedInPlace(t *testing.T) {
	for _, typ := range []Type{Hash, Set} {
		tab, model := newTable(typ), map[string]string{}
		val := bytes.Repeat([]byte{'v'}, 64)
		divided := 0
		for i := range 5000 {
			key := fmt.Appendf(nil, "key:%d", i)
			c := tab.at(hashOf(key))
			whole, depth := c.full() && c.divisible(), c.depth
			tab.set(key, val)
			if model[string(key)] = string(val); typ == Set {
				model[string(key)] = ""
			}
			if whole {
				divided++
				require.Equal(t, depth+1, c.depth)
				require.Contains(t, tab.dir, c, "it keeps a half")
			}
		}
		require.Greater(t, divided, 20)
		checkTable(t, tab, model)
		// A clone keeps the chunks as they were.
		clone := tab.Clone()
		for i := range 5000 {
			tab.set(fmt.Appendf(nil, "more:%d", i), val)
		}
		checkTable(t, clone.(*table), model)
	}
}

func TestValuesGrow(t *testing.T) {
	tab, model := newTable(Hash), map[string]string{}
	for _, size := range []int{0, 1, 200, 256, 3, 257, 100, 5000, 256} {
		for i := range 300 {
			key := fmt.Sprintf("%0250d", i)
			model[key] = strings.Repeat("v", size)
			tab.set([]byte(key), []byte(model[key]))
		}
		checkTable(t, tab, model)
	}
}

// A clone is read on one goroutine while the original is edited on another (run with -race).
func TestCloneIsIndependent(t *testing.T) {
	tab, model := newTable(Hash), map[string]string{}
	for i := range 5000 {
		k := fmt.Sprint("k", i)
		model[k] = k
		tab.set([]byte(k), []byte(k))
	}
	clone := tab.Clone()
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		checkTable(t, clone.(*table), model)
	}()
	for i := range 5000 {
		tab.set(fmt.Append(nil, "k", i), []byte("other"))
		tab.remove(fmt.Append(nil, "k", i*3))
	}
	wg.Wait()
}

// Everything that is there from a scan's first call to its last is seen, exactly once.
func TestScanWhileTheTableChanges(t *testing.T) {
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 2))
		tab := newTable(Set)
		stay := map[string]int{}
		for i := range 1000 {
			k := fmt.Sprint("stays", i)
			stay[k] = 0
			tab.set([]byte(k), nil)
		}
		if seed%3 == 1 { // shrinking
			for i := range 8000 {
				tab.set(fmt.Append(nil, "goes", i), nil)
			}
		}
		goes, calls := 0, 0
		for cursor := uint64(0); ; {
			cursor = tab.scan(cursor, 1+r.IntN(30), func(k, _ []byte, _ int64) {
				if _, ok := stay[string(k)]; ok {
					stay[string(k)]++
				}
			})
			calls++
			if cursor == 0 {
				break
			}
			for range 40 {
				switch seed % 3 {
				case 0:
					tab.set(fmt.Append(nil, "new", r.IntN(1<<30)), nil)
				case 1:
					tab.remove(fmt.Append(nil, "goes", goes))
					goes++
				}
			}
			if seed%2 == 0 && calls%50 == 0 {
				tab = tab.Clone().(*table)
			}
		}
		for k, n := range stay {
			require.Equal(t, 1, n, k)
		}
	}
}

func TestScanVisitsAboutCount(t *testing.T) {
	tab := newTable(Set)
	for i := range 10000 {
		tab.set(fmt.Append(nil, i), nil)
	}
	most, calls := 0, 0
	for cursor := uint64(0); ; calls++ {
		n := 0
		cursor = tab.scan(cursor, 10, func(_, _ []byte, _ int64) { n++ })
		require.Less(t, cursor, uint64(1<<20), "cursors are small numbers")
		if most = max(most, n); cursor == 0 {
			break
		}
	}
	assert.Less(t, most, 60)
	assert.Less(t, calls, 2000)
}

// Every item has the same chance: the counts are within what chance explains.
func TestRandomIsFair(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, n := range []int{1, 7, 100, 1000} {
		for _, size := range []int{4, 200} {
			tab := newTable(Hash)
			for i := range n {
				tab.set(fmt.Append(nil, i), bytes.Repeat([]byte("x"), size))
			}
			counts := map[string]int{}
			rounds := 200 * n
			for range rounds {
				k, v := tab.random(r.Uint64)
				if len(v) != size {
					t.Fatal("a value that is not its own")
				}
				counts[string(k)]++
			}
			require.Len(t, counts, n)
			chi := 0.0
			for _, c := range counts {
				d := float64(c) - 200
				chi += d * d / 200
			}
			// chi is about n-1, with a deviation of sqrt(2n).
			assert.Less(t, chi, float64(n)+6*float64(max(n/4, 10)), "n=%d size=%d", n, size)
		}
	}
}

func TestTableDoesNotAllocateWithoutNeed(t *testing.T) {
	tab := newTable(Hash)
	for i := range 1000 {
		tab.set(fmt.Append(nil, "field:", i), []byte("0123456789"))
	}
	key, val := []byte("field:77"), []byte("9876543210")
	assert.Zero(t, testing.AllocsPerRun(200, func() {
		val[0]++
		tab.set(key, val)
		tab.get(key)
	}))
}

// The count of memory is what Go's heap has grown by.
func TestMemBytes(t *testing.T) {
	if testing.Short() {
		t.Skip()
	}
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	for _, size := range []int{0, 10, 100, 1000} {
		before := heap()
		tab := newTable(Hash)
		val := bytes.Repeat([]byte("x"), size)
		const n = 50000
		for i := range n {
			tab.set(fmt.Appendf(nil, "field:%012d", i), val)
		}
		grown := heap() - before
		assert.InEpsilon(t, grown, tab.MemBytes(), 0.06)
		t.Logf("fields of 18, values of %d: %.1f bytes each, %d counted", size, float64(grown)/n, tab.MemBytes()/n)
		runtime.KeepAlive(tab)
	}
}

func BenchmarkTable(b *testing.B) {
	tab := newTable(Hash)
	keys := make([][]byte, 1<<20)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "field:%012d", i)
		tab.set(keys[i], keys[i][:10])
	}
	r := rand.New(rand.NewPCG(1, 1))
	b.Run("get", func(b *testing.B) {
		for i := 0; b.Loop(); i += 7919 {
			tab.get(keys[i&(1<<20-1)])
		}
	})
	b.Run("set", func(b *testing.B) {
		for i := 0; b.Loop(); i += 7919 {
			tab.set(keys[i&(1<<20-1)], keys[i&0xffff][5:15])
		}
	})
	b.Run("remove and set", func(b *testing.B) {
		for i := 0; b.Loop(); i += 7919 {
			tab.remove(keys[i&(1<<20-1)])
			tab.set(keys[i&(1<<20-1)], keys[i&0xffff][5:15])
		}
	})
	b.Run("random", func(b *testing.B) {
		for b.Loop() {
			tab.random(r.Uint64)
		}
	})
	b.Run("clone and first edit", func(b *testing.B) {
		for b.Loop() {
			tab.Clone()
			tab.set(keys[5], keys[7])
		}
	})
	b.Run("grow", func(b *testing.B) {
		for b.Loop() {
			tab := newTable(Set)
			for _, k := range keys[:1<<16] {
				tab.set(k, nil)
			}
		}
	})
}
