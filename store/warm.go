package store

import (
	"unsafe"

	"github.com/sextantdb/sextant/store/arena"
	"github.com/sextantdb/sextant/store/slot"
)

// WarmMost is how many keys a Warmer takes.
const WarmMost = 64

// Warmer brings the memory that lookups of some keys will need into the processor's cache,
// for all of them at a time. A lookup follows three addresses, each found at the one before; done one key
// after the other, every step waits for main memory. A Warmer takes the first step for all keys,
// then the second, then the third, and waits for none of them.
//
// It changes nothing and its result is only a hint. It takes the stripes' locks for moments,
// one at a time, and leaves keys alone whose stripe is locked. The zero value is ready; it is used by one
// goroutine that has no Txn open.
type Warmer struct {
	n     int
	items [WarmMost]warm
}

type warm struct {
	st    *stripe
	hash  uint64
	slot  slot.Slot
	space int
}

// Add notes that key of database db will be looked up. Beyond WarmMost keys it does nothing.
func (w *Warmer) Add(s *Store, db int, key []byte) {
	if w.n == WarmMost {
		return
	}
	sl := slot.Of(key)
	w.items[w.n] = warm{&s.stripes[sl&s.stripeMask], s.hash(key), sl, int(s.spaces[db].Load())}
	w.n++
}

// Run warms up for the keys added since the last Run.
func (w *Warmer) Run(s *Store) {
	items := w.items[:w.n]
	w.n = 0
	for i := range items {
		it := &items[i]
		if tab := it.enter(s); tab != nil {
			prefetch(uintptr(unsafe.Pointer(tab)))
			it.st.mu.Unlock()
		} else {
			it.st = nil
		}
	}
	for i := range items {
		it := &items[i]
		tab := it.enter(s)
		if tab == nil {
			continue
		}
		seg := uintptr(it.st.tables.At(tab.dir[it.hash>>(64-tab.bits)]))
		// The word lies about where it would in a segment of average size. The tag depends on the segment's depth, which is
		// not known yet; nearly always it is the directory's.
		i := uintptr(tagOf(it.hash, tab.bits) * (uint64(tab.keys) >> tab.bits) >> 16)
		it.st.mu.Unlock()
		prefetch(seg)
		prefetch(seg + segHeader + 8*i)
	}
	for i := range items {
		it := &items[i]
		tab := it.enter(s)
		if tab == nil {
			continue
		}
		g := it.st.seg(tab.dir[it.hash>>(64-tab.bits)])
		tag := tagOf(it.hash, g.depth)
		words := g.all()
		var b uintptr
		if i := search(words, tag); i < len(words) && words[i]>>48 == tag {
			b = uintptr(it.st.entries.At(arena.Ref(words[i] & refMask)))
		}
		it.st.mu.Unlock()
		if b != 0 {
			prefetch(b)
			prefetch(b + 64)
		}
	}
}

// enter locks the stripe and returns the key's table; nil, with nothing locked, if there is none
// or somebody else is in the stripe.
func (it *warm) enter(s *Store) *table {
	if it.st == nil || !it.st.mu.TryLock() {
		return nil
	}
	if p := it.st.parts[it.space].Load(); p != nil {
		if tab := p.tables[it.slot>>s.stripeBits]; tab != nil {
			return tab
		}
	}
	it.st.mu.Unlock()
	return nil
}
