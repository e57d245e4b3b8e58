package store_test

import (
	"fmt"
	"testing"

	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/slot"
)

// One operation with its lock, on keys of 16 bytes, values of 64.
func benchmarkStore(b *testing.B, n int, op func(x *store.Txn, key, val []byte)) {
	s, _ := store.New(store.Options{HashSeed: [2]uint64{1, 2}})
	defer s.Close()
	var x store.Txn
	val := make([]byte, 64)
	keys := make([][]byte, n)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "key:%012d", i)
		x.Begin(s, 1000, slot.Of(keys[i]))
		x.SetString(keys[i], val, store.NoExpire)
		x.End()
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		key := keys[uint(i*7919)%uint(n)]
		x.Begin(s, 1000, slot.Of(key))
		op(&x, key, val)
		x.End()
	}
}

func BenchmarkGet(b *testing.B) {
	for _, n := range []int{10_000, 1_000_000} {
		b.Run(fmt.Sprint("keys=", n), func(b *testing.B) {
			benchmarkStore(b, n, func(x *store.Txn, key, _ []byte) {
				if e, ok := x.Lookup(key, 0); !ok || e.StrLen() != 64 {
					b.Fatal("lost")
				}
			})
		})
	}
}

func BenchmarkSet(b *testing.B) {
	for _, n := range []int{10_000, 1_000_000} {
		b.Run(fmt.Sprint("keys=", n), func(b *testing.B) {
			i := 0
			benchmarkStore(b, n, func(x *store.Txn, key, val []byte) {
				i++
				x.SetString(key, val[:32+i%33], store.NoExpire)
			})
		})
	}
}

func BenchmarkBeginAll(b *testing.B) {
	s, _ := store.New(store.Options{})
	defer s.Close()
	var x store.Txn
	b.ReportAllocs()
	for range b.N {
		x.BeginAll(s, 1)
		x.End()
	}
}

// BenchmarkActiveExpire is one expired key found and deleted, of b.N that die over ten
// seconds, in housekeeping rounds of 100 ms.
func BenchmarkActiveExpire(b *testing.B) {
	s, _ := store.New(store.Options{HashSeed: [2]uint64{1, 2}})
	defer s.Close()
	fillStore(s, b.N, "key:%012d", func(i int) int64 { return t0 + int64(i*7919%10_000) })
	var x store.Txn
	b.ReportAllocs()
	b.ResetTimer()
	for now := t0; now <= t0+10_100; now += 100 {
		for stripe := range s.Stripes() {
			for more := s.NextExpire(stripe) < now; more; {
				x.BeginStripe(s, now, stripe)
				_, more = x.ActiveExpire(200)
				x.End()
			}
		}
	}
	if s.DBSize(0) != 0 {
		b.Fatal("left")
	}
}
