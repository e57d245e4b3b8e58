package store

import "github.com/sextantdb/sextant/store/arena"

// Defrag moves up to budget blocks of each stripe held out of sparse slabs, and gives
// emptied slabs back. more: there is more worth moving. While a stripe has detached tables,
// whose blocks no lookup finds, it waits for Reclaim.
func (t *Txn) Defrag(budget int) (moved int, more bool) {
	t.eachStripe(func(st *stripe) {
		if st.garbage != nil {
			return
		}
		n, m := st.entries.Defrag(budget, func(r arena.Ref) bool { return t.s.moveEntry(st, r) })
		moved, more = moved+n, more || m
		n, m = st.values.Defrag(budget, st.moveValue)
		moved, more = moved+n, more || m
		n, m = st.tables.Defrag(budget, func(r arena.Ref) bool { return t.s.moveSegment(st, r) })
		moved, more = moved+n, more || m
		if st.entries.Stats().Blocks == 0 {
			st.entries.Trim()
			st.values.Trim()
			st.tables.Trim()
		}
	})
	return moved, more
}

func (s *Store) moveEntry(st *stripe, r arena.Ref) bool {
	b := st.entries.At(r)
	var p place
	if !s.findRef(&p, entryKey(b), r) {
		return false
	}
	size := entrySize(b)
	to := st.entries.Alloc(size)
	copy(span(st.entries.At(to), 0, size), span(b, 0, size))
	p.move(to, size)
	p.ownValue()
	return true
}

func (st *stripe) moveValue(r arena.Ref) bool {
	v := st.values.At(r)
	b := st.entries.At(arena.Ref(get64(v, 0)))
	off, _ := inlineAt(b)
	size := valueHeader + int(get64(b, off+8))
	to := st.values.Alloc(size)
	copy(span(st.values.At(to), 0, size), span(v, 0, size))
	put64(b, off, uint64(to))
	st.values.Free(r, size)
	return true
}

func (s *Store) moveSegment(st *stripe, r arena.Ref) bool {
	g := st.seg(r)
	p := st.parts[g.space].Load()
	if p == nil {
		return false
	}
	tab := p.tables[g.slot>>s.stripeBits]
	if tab == nil {
		return false
	}
	first, _ := tab.places(g)
	if tab.dir[first] != r {
		return false
	}
	st.resizeSegment(tab, first, int(g.cap))
	return true
}

// ReleaseFree gives up to maxBytes of free memory back to the system (MADV_DONTNEED) and
// returns how much it gave. It needs no Txn.
func (s *Store) ReleaseFree(maxBytes int64) int64 { return s.arena.Release(maxBytes) }
