package store

import (
	"math/bits"

	"github.com/sextantdb/sextant/store/arena"
)

// Walks go through a table in the order of hashes. A position in a walk is a hash; 0 is
// both the beginning and, as a result, the end.

func reverse(x uint64) uint64 { return bits.Reverse64(x) }

func (st *stripe) entryAt(word uint64) block { return st.entries.At(arena.Ref(word & refMask)) }

// each visits every entry of tab until fn returns false.
func (st *stripe) each(tab *table, fn func(block) bool) bool {
	for i := 0; i < len(tab.dir); {
		g := st.seg(tab.dir[i])
		for _, w := range g.all() {
			if !fn(st.entryAt(w)) {
				return false
			}
		}
		_, n := tab.places(g)
		i += n
	}
	return true
}

// scanStep visits the entries whose hash lies in [pos, next): about count of them, within
// one segment. It returns how many, and next, which is 0 at the end of the table.
func (st *stripe) scanStep(tab *table, pos uint64, count int, fn func(block)) (seen int, next uint64) {
	g := st.seg(tab.dir[int(pos>>(64-tab.bits))])
	fine := g.depth // the position will be a multiple of 2^(64-fine)
	if n := int(g.n); n > count+count/2+8 {
		fine += uint8(bits.Len(uint(n / max(count, 8))))
	}
	step := uint64(1) << (64 - fine) // 0 when fine is 0: all that is left
	next = pos&^(step-1) + step
	w := g.all()
	from, to := 0, len(w)
	if first := uint64(g.prefix) << (64 - g.depth); pos > first {
		from = search(w, tagOf(pos, g.depth))
	}
	if fine > g.depth {
		if last := tagOf(next, g.depth); last != 0 {
			to = search(w, last)
		}
	}
	for _, word := range w[from:max(from, to)] {
		fn(st.entryAt(word))
	}
	return max(to-from, 0), next
}
