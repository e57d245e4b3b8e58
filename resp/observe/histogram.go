package observe

import (
	"math/bits"
	"sync/atomic"
)

// Histogram counts durations between 1 ns and 1 s to two significant digits, in the cells
// that an HDR histogram of that range and precision has, so that percentiles and the
// LATENCY HISTOGRAM levels come out as Redis prints them: cells are 1 ns wide up to 256 ns,
// and twice as wide with every further power of two. Longer durations count as 1 s.
//
// It may be read while one goroutine records. The zero value is empty.
type Histogram struct {
	cells [cellCount]atomic.Int64
}

const (
	maxNanos  = 1_000_000_000
	half      = 128                 // cells per power of two above 256
	cellCount = (22 + 1 + 1) * half // powers 2^8 … 2^30, the lowest having two halves
)

// Record counts one duration.
func (h *Histogram) Record(nanos int64) {
	h.cells[cellOf(min(max(nanos, 1), maxNanos))].Add(1)
}

func cellOf(v int64) int {
	power := bits.Len64(uint64(v)|255) - 8
	return power*half + int(v>>power)
}

// highest is the largest duration counted in cell i.
func highest(i int) int64 {
	if i < 2*half {
		return int64(i)
	}
	power := i/half - 1
	lowest := int64(i-power*half) << power
	return lowest + 1<<power - 1
}

func (h *Histogram) add(o *Histogram) {
	for i := range o.cells {
		if n := o.cells[i].Load(); n != 0 {
			h.cells[i].Add(n)
		}
	}
}

// Count is the number of recorded durations.
func (h *Histogram) Count() (n int64) {
	for i := range h.cells {
		n += h.cells[i].Load()
	}
	return n
}

// Percentile is the duration in ns that p percent of the recorded ones do not exceed.
func (h *Histogram) Percentile(p float64) int64 {
	want := max(1, int64(min(p, 100)/100*float64(h.Count())+0.5))
	var seen int64
	for i := range h.cells {
		if seen += h.cells[i].Load(); seen >= want {
			return highest(i)
		}
	}
	return 0
}

// Level is one line of LATENCY HISTOGRAM: Count durations took at most Micros.
type Level struct{ Micros, Count int64 }

// Levels is the cumulative distribution at powers of two of 1024 ns, without the levels at
// which nothing is added.
func (h *Histogram) Levels() (levels []Level) {
	total := h.Count()
	var seen, told int64
	at := 0
	for limit := int64(1024); told < total; limit *= 2 {
		last := cellCount - 1
		if limit < 1<<30 {
			last = cellOf(limit)
		}
		for ; at <= last; at++ {
			seen += h.cells[at].Load()
		}
		if seen > told {
			levels = append(levels, Level{highest(last) / 1000, seen})
			told = seen
		}
		if last == cellCount-1 {
			break
		}
	}
	return levels
}
