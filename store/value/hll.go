package value

import (
	"encoding/binary"
	"math"
	"math/bits"
	"strconv"
)

// HLL is a HyperLogLog in Redis' format: a string of a header (the magic, the encoding, the
// cached count) and 16384 registers, which hold the longest run of zeros seen among the hashes
// that chose them. Dense, a register takes 6 bits. Sparse, registers are runs:
//
//	00nnnnnn           n+1 registers are zero
//	01nnnnnn nnnnnnnn  n+1 registers are zero
//	1vvvvvnn           n+1 registers are v+1
//
// Hash, estimate and the way sparse runs are split and joined are Redis', byte for byte, so that
// values and counts mean the same in both. Edits happen in place where the length allows it;
// Bytes says what has become of it. The zero value is none.
type HLL struct{ b []byte }

const (
	hllIndexBits = 14
	hllRegisters = 1 << hllIndexBits
	hllHashBits  = 64 - hllIndexBits
	hllHeader    = 16
	hllDenseSize = hllHeader + hllRegisters*6/8

	hllDense, hllSparse = 0, 1

	hllZeroMax  = 64 // registers of a short run of zeros
	hllValueMax = 32 // the largest value a sparse run can have
	hllRunMax   = 4  // registers of a run of values
)

// HLLRegisters are the registers of a HyperLogLog, or of several put together.
type HLLRegisters [hllRegisters]uint8

// HLLOf is the HyperLogLog in b; ok is false when b has no such header or length. A sparse one
// may still be corrupt, which the operations tell.
func HLLOf(b []byte) (h HLL, ok bool) {
	ok = len(b) >= hllHeader && string(b[:4]) == "HYLL" && b[4] <= hllSparse && (b[4] != hllDense || len(b) == hllDenseSize)
	return HLL{b}, ok
}

// NewHLL is an empty, sparse one in dst's memory.
func NewHLL(dst []byte) HLL {
	b := append(dst[:0], "HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"...)
	return HLL{appendZeros(b, hllRegisters)}
}

// CloneHLL is a copy of h in dst's memory.
func CloneHLL(dst []byte, h HLL) HLL { return HLL{append(dst[:0], h.b...)} }

// Bytes is the string that h is.
func (h HLL) Bytes() []byte { return h.b }

// Dense reports whether each register has its own bits.
func (h HLL) Dense() bool { return h.b[4] == hllDense }

// Cached is the count that was kept with the registers, if they have not changed since.
func (h HLL) Cached() (uint64, bool) {
	n := binary.LittleEndian.Uint64(h.b[8:])
	return n, n>>63 == 0
}

// Cache keeps a count, in place.
func (h HLL) Cache(n uint64) { binary.LittleEndian.PutUint64(h.b[8:], n) }

// Forget says that the count kept is not right any more.
func (h HLL) Forget() { h.b[15] |= 1 << 7 }

// HLLHash is what an element does to a HyperLogLog: it raises a register to count.
func HLLHash(element []byte) (register int, count uint8) {
	h := murmur64A(element, 0xadc83b19)
	register = int(h & (hllRegisters - 1))
	return register, uint8(bits.TrailingZeros64(h>>hllIndexBits|1<<hllHashBits)) + 1
}

func murmur64A(b []byte, seed uint64) uint64 {
	const m, r = 0xc6a4a7935bd1e995, 47
	h := seed ^ uint64(len(b))*m
	for ; len(b) >= 8; b = b[8:] {
		k := binary.LittleEndian.Uint64(b) * m
		k ^= k >> r
		h = (h ^ k*m) * m
	}
	if len(b) > 0 {
		var rest [8]byte
		copy(rest[:], b)
		h = (h ^ binary.LittleEndian.Uint64(rest[:])) * m
	}
	h ^= h >> r
	h *= m
	return h ^ h>>r
}

// DenseRegister is one register. REQUIRES: Dense.
func (h HLL) DenseRegister(i int) uint8 {
	r, at, shift := h.b[hllHeader:], i*6/8, i*6%8
	v := uint(r[at]) >> shift
	if shift > 2 {
		v |= uint(r[at+1]) << (8 - shift)
	}
	return uint8(v & 63)
}

// SetDenseRegister sets one register, in place. REQUIRES: Dense.
func (h HLL) SetDenseRegister(i int, v uint8) {
	r, at, shift := h.b[hllHeader:], i*6/8, i*6%8
	r[at] = r[at]&^byte(63<<shift) | v<<shift
	if shift > 2 {
		r[at+1] = r[at+1]&^byte(63>>(8-shift)) | v>>(8-shift)
	}
}

// Raise makes a register at least count and reports whether it was less; ok is false when the
// runs are corrupt. A sparse h becomes dense when count is too large for a run, or it would
// grow beyond sparseMax bytes; else it may grow and shrink.
func (h *HLL) Raise(register int, count uint8, sparseMax int) (changed, ok bool) {
	if !h.Dense() {
		return h.raiseSparse(register, count, sparseMax)
	}
	if changed = h.DenseRegister(register) < count; changed {
		h.SetDenseRegister(register, count)
		h.Forget()
	}
	return changed, true
}

// hllRun is one run of a sparse HyperLogLog: n registers have a value. size is its length in bytes.
type hllRun struct {
	value uint8
	n     int
	size  int
}

// hllRunAt reads the run at b[at]; of a torn one the size is 0.
func hllRunAt(b []byte, at int) hllRun {
	c := b[at]
	switch {
	case c&0x80 != 0:
		return hllRun{c>>2&31 + 1, int(c&3) + 1, 1}
	case c&0x40 == 0:
		return hllRun{0, int(c) + 1, 1}
	case at+1 == len(b):
		return hllRun{}
	}
	return hllRun{0, int(c&63)<<8 + int(b[at+1]) + 1, 2}
}

func appendZeros(b []byte, n int) []byte {
	switch {
	case n == 0:
		return b
	case n <= hllZeroMax:
		return append(b, byte(n-1))
	}
	return append(b, 0x40|byte((n-1)>>8), byte(n-1))
}

func hllValueRun(v uint8, n int) byte { return 0x80 | (v-1)<<2 | byte(n-1) }

func appendValues(b []byte, v uint8, n int) []byte {
	if n == 0 {
		return b
	}
	return append(b, hllValueRun(v, n))
}

func (h *HLL) raiseSparse(register int, count uint8, sparseMax int) (changed, ok bool) {
	if count > hllValueMax {
		return true, h.ToDense() && h.raiseDense(register, count)
	}
	// The run that has the register: at `at`, beginning with register first; prev is the run before.
	at, prev, first := hllHeader, hllHeader, 0
	var run hllRun
	for {
		if at >= len(h.b) {
			return false, false
		}
		if run = hllRunAt(h.b, at); run.size == 0 {
			return false, false
		}
		if register < first+run.n {
			break
		}
		prev = at
		at += run.size
		first += run.n
	}
	if run.value >= count {
		return false, true
	}
	var room [5]byte
	seq := room[:0]
	before, after := register-first, first+run.n-1-register
	if run.value == 0 {
		seq = appendZeros(seq, before)
		seq = appendValues(seq, count, 1)
		seq = appendZeros(seq, after)
	} else {
		seq = appendValues(seq, run.value, before)
		seq = appendValues(seq, count, 1)
		seq = appendValues(seq, run.value, after)
	}
	grows := len(seq) - run.size
	if grows > 0 && len(h.b)+grows > sparseMax {
		return true, h.ToDense() && h.raiseDense(register, count)
	}
	h.splice(at, run.size, seq)
	h.join(prev)
	h.Forget()
	return true, true
}

func (h *HLL) raiseDense(register int, count uint8) bool {
	h.SetDenseRegister(register, count)
	h.Forget()
	return true
}

// splice puts seq in the place of n bytes.
func (h *HLL) splice(at, n int, seq []byte) {
	old := len(h.b)
	if d := len(seq) - n; d > 0 {
		h.b = append(h.b, seq[:d]...) // room; the bytes are overwritten
		copy(h.b[at+len(seq):], h.b[at+n:old])
	} else if d < 0 {
		copy(h.b[at+len(seq):], h.b[at+n:])
		h.b = h.b[:old+d]
	}
	copy(h.b[at:], seq)
}

// join makes one of neighbouring runs of the same value, looking at five runs from `at` on.
func (h *HLL) join(at int) {
	for left := 5; at < len(h.b) && left > 0; left-- {
		run := hllRunAt(h.b, at)
		if run.size == 0 {
			return
		}
		if run.value > 0 && at+1 < len(h.b) {
			if next := hllRunAt(h.b, at+1); next.value == run.value && run.n+next.n <= hllRunMax {
				h.splice(at, 2, []byte{hllValueRun(run.value, run.n+next.n)})
				continue // with what follows now
			}
		}
		at += run.size
	}
}

// eachRun visits the runs of a sparse HyperLogLog and reports whether they are whole: they make
// all registers and no more.
func (h HLL) eachRun(fn func(first int, run hllRun)) bool {
	first := 0
	for at := hllHeader; at < len(h.b); {
		run := hllRunAt(h.b, at)
		if run.size == 0 || first+run.n > hllRegisters {
			return false
		}
		fn(first, run)
		first += run.n
		at += run.size
	}
	return first == hllRegisters
}

// ToDense makes h dense, in other memory; false: the runs are corrupt, and h stays as it is.
func (h *HLL) ToDense() bool {
	if h.Dense() {
		return true
	}
	d := HLL{make([]byte, hllDenseSize)}
	copy(d.b, h.b[:hllHeader])
	d.b[4] = hllDense
	whole := h.eachRun(func(first int, run hllRun) {
		if run.value > 0 {
			for i := range run.n {
				d.SetDenseRegister(first+i, run.value)
			}
		}
	})
	if whole {
		*h = d
	}
	return whole
}

// MergeInto raises the registers in to those of h; false: the runs are corrupt.
func (h HLL) MergeInto(to *HLLRegisters) bool {
	if !h.Dense() {
		return h.eachRun(func(first int, run hllRun) {
			if run.value == 0 {
				return
			}
			for i := range run.n {
				to[first+i] = max(to[first+i], run.value)
			}
		})
	}
	h.eachDense(func(i int, a, b, c, d uint8) {
		r := to[i : i+4 : i+4]
		r[0], r[1], r[2], r[3] = max(r[0], a), max(r[1], b), max(r[2], c), max(r[3], d)
	})
	return true
}

// eachDense visits four registers at a time, which are three bytes.
func (h HLL) eachDense(fn func(i int, a, b, c, d uint8)) {
	r := h.b[hllHeader:hllDenseSize]
	for i := 0; len(r) >= 3; i, r = i+4, r[3:] {
		fn(i, r[0]&63, r[0]>>6|r[1]<<2&63, r[1]>>4|r[2]<<4&63, r[2]>>2)
	}
}

// hllHistogram is how many registers have each value.
type hllHistogram [64]int

// Count is the estimate of how many different elements were added; ok is false when the runs
// are corrupt.
func (h HLL) Count() (n uint64, ok bool) {
	var histogram hllHistogram
	ok = true
	if h.Dense() {
		h.eachDense(func(_ int, a, b, c, d uint8) {
			histogram[a]++
			histogram[b]++
			histogram[c]++
			histogram[d]++
		})
	} else {
		ok = h.eachRun(func(_ int, run hllRun) { histogram[run.value] += run.n })
	}
	return histogram.estimate(), ok
}

// Count is HLL.Count of what the registers are of.
func (r *HLLRegisters) Count() uint64 {
	var histogram hllHistogram
	for _, v := range r {
		histogram[v&63]++
	}
	return histogram.estimate()
}

// estimate is Otmar Ertl's estimator (arXiv:1702.01284), in the order of operations that Redis
// has: the same last digit must come out, so products are rounded before they are added.
func (h *hllHistogram) estimate() uint64 {
	const m = float64(hllRegisters)
	z := m * hllTau((m-float64(h[hllHashBits+1]))/m)
	for j := hllHashBits; j >= 1; j-- {
		z = (z + float64(h[j])) * 0.5
	}
	z += float64(m * hllSigma(float64(h[0])/m))
	return uint64(math.Round(hllAlpha * m * m / z))
}

const hllAlpha = 0.721347520444481703680 // 1 / (2 ln 2)

func hllSigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	for y, z := 1.0, x; ; y += y {
		x *= x
		before := z
		if z += float64(x * y); z == before {
			return z
		}
	}
}

func hllTau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	for y, z := 1.0, 1-x; ; {
		x = math.Sqrt(x)
		before := z
		y *= 0.5
		if z -= float64(float64((1-x)*(1-x)) * y); z == before {
			return z / 3
		}
	}
}

// AppendRuns appends the runs of a sparse HyperLogLog in the notation of PFDEBUG DECODE.
func (h HLL) AppendRuns(dst []byte) []byte {
	for at := hllHeader; at < len(h.b); {
		run := hllRunAt(h.b, at)
		if run.size == 0 {
			return dst
		}
		if at > hllHeader {
			dst = append(dst, ' ')
		}
		switch {
		case run.value > 0:
			dst = strconv.AppendInt(append(dst, "v:"...), int64(run.value), 10)
			dst = append(dst, ',')
		case run.size == 1:
			dst = append(dst, "z:"...)
		default:
			dst = append(dst, "Z:"...)
		}
		dst = strconv.AppendInt(dst, int64(run.n), 10)
		at += run.size
	}
	return dst
}
