package hll

import (
	"encoding/binary"
	"math"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store/value"
)

func pfdebug(c *command.Ctx) {
	key := c.Argv[2]
	e, found := c.Write(key)
	if !found {
		c.Fail(resp.ErrNoSuchHLL)
		return
	}
	h, ok := hllOf(c, e, found)
	if !ok {
		return
	}
	switch word := c.Argv[1]; {
	case command.Is(word, "GETREG"):
		if h, _, ok = toDense(c, key, h); !ok {
			return
		}
		var all value.HLLRegisters
		h.MergeInto(&all)
		c.Out.Array(len(all))
		for _, v := range &all {
			c.Out.Int(int64(v))
		}
	case command.Is(word, "DECODE"):
		if h.Dense() {
			c.Fail(resp.ErrHLLNotSparse)
			return
		}
		c.Scratch = h.AppendRuns(c.Scratch)
		c.Out.Bulk(c.Scratch)
	case command.Is(word, "ENCODING"):
		if h.Dense() {
			c.Out.Simple("dense")
		} else {
			c.Out.Simple("sparse")
		}
	case command.Is(word, "TODENSE"):
		_, changed, ok := toDense(c, key, h)
		switch {
		case !ok:
		case changed:
			c.Out.Int(1)
		default:
			c.Out.Int(0)
		}
	default:
		c.Fail(resp.Errorf("ERR Unknown PFDEBUG subcommand '%s'", word))
	}
}

// toDense makes the HyperLogLog at key dense.
func toDense(c *command.Ctx, key []byte, h value.HLL) (dense value.HLL, changed, ok bool) {
	changed = !h.Dense()
	if !h.ToDense() {
		c.Fail(resp.ErrCorruptHLL)
		return h, false, false
	}
	if changed {
		save(c, key, h)
	}
	return h, changed, true
}

// pfselftest looks whether registers keep what they are given and leave their neighbours alone,
// whether dense and sparse agree, and whether the error is what it should be.
func (f family) pfselftest(c *command.Ctx) {
	const cycles, elements, registers = 100, 1_000_000, len(value.HLLRegisters{})
	dense := value.NewHLL(nil)
	dense.ToDense()
	var want value.HLLRegisters
	for range cycles {
		for i := range want {
			want[i] = uint8(f.Rand() & 63)
			dense.SetDenseRegister(i, want[i])
		}
		for i, v := range &want {
			if got := dense.DenseRegister(i); got != v {
				c.Fail(resp.Errorf("ERR TESTFAILED Register %d should be %d but is %d", i, v, got))
				return
			}
		}
	}
	dense, sparse := value.NewHLL(nil), value.NewHLL(nil)
	dense.ToDense()
	sparseMax, seed := f.SparseMax(), f.Rand()
	var element [8]byte
	for j, checkpoint := 1, 1; j <= elements; j++ {
		binary.LittleEndian.PutUint64(element[:], uint64(j)^seed)
		i, count := value.HLLHash(element[:])
		dense.Raise(i, count, sparseMax)
		sparse.Raise(i, count, sparseMax)
		if j != checkpoint {
			continue
		}
		checkpoint *= 10
		n, _ := dense.Count()
		m, _ := sparse.Count()
		off := math.Abs(float64(j) - float64(n))
		most := math.Ceil(1.04 / math.Sqrt(float64(registers)) * 6 * float64(j))
		if j == 10 { // few elements may well collide
			most = 1
		}
		switch {
		case j < sparseMax/2 && sparse.Dense():
			c.Fail(resp.Errorf("ERR TESTFAILED sparse encoding not used"))
		case n != m:
			c.Fail(resp.Errorf("ERR TESTFAILED dense/sparse disagree"))
		case off > most:
			c.Fail(resp.Errorf("ERR TESTFAILED Too big error. card:%d abserr:%d", j, int64(off)))
		default:
			continue
		}
		return
	}
	c.Out.OK()
}
