package store_test

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/slot"
)

// TestBytesPerKey prints the table of the package doc. It takes half a minute, so it runs
// only when asked: SEXTANT_BYTES_PER_KEY=2000000 go test -run BytesPerKey -v ./store
func TestBytesPerKey(t *testing.T) {
	var n int
	if _, err := fmt.Sscan(os.Getenv("SEXTANT_BYTES_PER_KEY"), &n); err != nil {
		t.Skip("set SEXTANT_BYTES_PER_KEY to a number of keys")
	}
	debug.FreeOSMemory()
	idle := rss()
	s, _ := store.New(store.Options{HashSeed: [2]uint64{1, 2}})
	defer s.Close()
	var x store.Txn
	val := make([]byte, 96)
	set := func(i, size int) {
		key := fmt.Appendf(nil, "key:%012d", i)
		x.Begin(s, 1000, slot.Of(key))
		x.SetPayload(key, 0, 2, val[:size], store.NoExpire)
		x.End()
	}
	report := func(what string) {
		debug.FreeOSMemory()
		t.Logf("%-40s %6.1f B/key RSS, %6.1f used, %6.1f mapped", what, float64(rss()-idle)/float64(n),
			float64(s.UsedBytes())/float64(n), float64(s.Stats().MappedBytes-s.Stats().FreeBytes)/float64(n))
		x.BeginAll(s, 1000)
		defer x.End()
		m := x.MemStats()
		t.Logf("    entries %.1f in slabs of %.1f, tables %.1f in slabs of %.1f, Go heap %.1f",
			float64(m.Entries.Block)/float64(n), float64(m.Entries.Slab)/float64(n),
			float64(m.Tables.Block)/float64(n), float64(m.Tables.Slab)/float64(n), float64(m.Directories)/float64(n))
	}
	for i := range n {
		set(i, 64)
	}
	report("loaded, 64-byte values")
	seed, moved := uint64(1), 0
	for round := range 3 {
		for j := range n {
			seed = seed*6364136223846793005 + 1442695040888963407
			set(int(seed>>33)%n, 32+int(seed>>20)%65)
			if j%100 == 0 {
				x.BeginStripe(s, 1000, j/100%s.Stripes())
				m, _ := x.Defrag(64)
				x.End()
				moved += m
			}
		}
		report(fmt.Sprintf("overwritten %d×n with 32–96, defrag along", round+1))
		t.Logf("blocks moved so far: %d", moved)
	}
	for more := true; more; {
		x.BeginAll(s, 1000)
		_, more = x.Defrag(1000)
		x.End()
	}
	s.ReleaseFree(1 << 40)
	report("the same after defrag at rest")
	runtime.KeepAlive(s)
}

// rss is the process' resident memory in bytes.
func rss() int64 {
	b, _ := os.ReadFile("/proc/self/status")
	var kb int64
	_, after, _ := strings.Cut(string(b), "VmRSS:")
	_, _ = fmt.Sscan(after, &kb)
	return kb << 10
}
