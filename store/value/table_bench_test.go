package value

import (
	"math/rand/v2"
	"strconv"
	"testing"
)

// The mixes of redis-benchmark -r 1000000 -P 32: fields are drawn at random, so that in a new table some are new for long.
func BenchmarkTableSet(b *testing.B) {
	const n, batch = 1000000, 32
	val := make([]byte, 64)
	key := func(i int) []byte {
		return strconv.AppendInt(append(make([]byte, 0, 24), "element:"...), 1e12+int64(i), 10)
	}
	for _, kind := range []struct {
		name         string
		typ          Type
		filled, warm bool
	}{
		{"hash/growing", Hash, false, false}, {"hash/growing/warmed", Hash, false, true},
		{"hash/full", Hash, true, false}, {"hash/full/warmed", Hash, true, true},
		{"set/growing/warmed", Set, false, true}, {"set/full/warmed", Set, true, true},
	} {
		b.Run(kind.name, func(b *testing.B) {
			r := rand.New(rand.NewPCG(1, 2))
			t := newTable(kind.typ)
			if kind.filled {
				for i := range n {
					t.set(key(i), val)
				}
			}
			calls := make([]Foreseen, 1<<20)
			for i := range calls {
				calls[i][0] = key(r.IntN(n))
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; i < b.N; i++ {
				at := i & (1<<20 - 1)
				if !kind.filled && at == 0 {
					t = newTable(kind.typ)
				}
				if kind.warm && at%batch == 0 {
					t.Warm(calls[at : at+batch])
				}
				t.set(calls[at][0], val)
			}
			b.ReportMetric(float64(t.mem)/float64(t.n), "B/item")
		})
	}
}
