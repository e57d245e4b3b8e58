package value_test

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/store/value"
)

// A sparse value and a dense one that saw the same elements have the same registers, and the
// registers are the highest counts.
func TestRegisters(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var want value.HLLRegisters
		sparse, dense := value.NewHLL(nil), value.NewHLL(nil)
		require.True(t, dense.ToDense())
		for range r.IntN(1500) {
			i, count := r.IntN(200)*r.IntN(81), uint8(1+r.IntN(8))
			_, ok := sparse.Raise(i, count, 100_000)
			require.True(t, ok)
			changed, _ := dense.Raise(i, count, 0)
			require.Equal(t, want[i] < count, changed)
			want[i] = max(want[i], count)
		}
		require.False(t, sparse.Dense())
		for _, h := range []value.HLL{sparse, dense} {
			var got value.HLLRegisters
			require.True(t, h.MergeInto(&got))
			require.Equal(t, want, got)
			n, ok := h.Count()
			require.True(t, ok)
			require.Equal(t, want.Count(), n)
		}
	}
}

// Whatever bytes come after the header: no operation leaves the string, and the runs that Count
// finds whole stay whole.
func FuzzForeignHLL(f *testing.F) {
	const header = "HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80"
	f.Add([]byte(header+"\x7f\xff"), uint16(7))
	f.Add([]byte(header+"\x43\x84\xff\x7b"), uint16(900))
	f.Add([]byte(header+"\x80\x80\x80\x7f"), uint16(1))
	f.Add([]byte("HYLL\x00"+strings.Repeat("\xff", 12299)), uint16(16383))
	f.Fuzz(func(t *testing.T, raw []byte, register uint16) {
		h, ok := value.HLLOf(bytes.Clone(raw))
		if !ok {
			return
		}
		_, whole := h.Count()
		var all value.HLLRegisters
		require.Equal(t, whole, h.MergeInto(&all))
		h.AppendRuns(nil)
		for i := range 4 {
			if _, ok := h.Raise((int(register)+i)%len(all), uint8(3+9*i), 200); !ok {
				require.False(t, whole)
				return
			}
		}
		if _, ok := h.Count(); whole {
			require.True(t, ok)
		}
		require.Equal(t, whole, h.ToDense())
	})
}
