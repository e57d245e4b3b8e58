package store

import (
	"unsafe"

	"github.com/sextantdb/sextant/store/arena"
	"github.com/sextantdb/sextant/store/slot"
	"github.com/sextantdb/sextant/store/value"
)

// WarmMost is how many keys, and how many calls, a Warmer takes.
const WarmMost = value.WarmMost

// warmCalls is from how many calls of one key in a row on its large value is warmed up for them: a few would gain nothing.
const warmCalls = 4

// Warmer brings the memory that lookups of some keys will need into the processor's cache,
// for all of them at a time. A lookup follows three addresses, each found at the one before; done one key
// after the other, every step waits for main memory. A Warmer takes the first step for all keys,
// then the second, then the third, and waits for none of them. For several calls of one key it goes on within the key's
// value, if that is a large one (value.Warmer).
//
// It changes nothing and its result is only a hint. It takes the stripes' locks for moments,
// one at a time, and leaves keys alone whose stripe is locked. The zero value is ready; it is used by one
// goroutine that has no Txn open.
type Warmer struct {
	n     int
	items [WarmMost]warm
	last  []byte // the key of the last item
	calls [WarmMost]value.Foreseen
	added int // of calls
}

type warm struct {
	st       *stripe
	hash     uint64
	slot     slot.Slot
	space    int
	from, to int // of Warmer.calls
}

// Add notes that a call will look up key of database db. Beyond WarmMost calls it does nothing. REQUIRES: the bytes stay as
// they are until Run.
func (w *Warmer) Add(s *Store, db int, key []byte, call value.Foreseen) {
	if w.added == WarmMost {
		return
	}
	w.calls[w.added] = call
	w.added++
	space := int(s.spaces[db].Load())
	if w.n > 0 && string(w.last) == string(key) && w.items[w.n-1].space == space {
		w.items[w.n-1].to++
		return
	}
	sl := slot.Of(key)
	w.items[w.n] = warm{&s.stripes[sl&s.stripeMask], s.hash(key), sl, space, w.added - 1, w.added}
	w.last = key
	w.n++
}

// Run warms up for the keys added since the last Run.
func (w *Warmer) Run(s *Store) {
	items := w.items[:w.n]
	w.n, w.added, w.last = 0, 0, nil
	for i := range items {
		it := &items[i]
		if tab := it.enter(s); tab != nil {
			arena.Prefetch(uintptr(unsafe.Pointer(tab)))
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
		arena.Prefetch(seg)
		arena.Prefetch(seg + segHeader + 8*i)
	}
	for i := range items {
		it := &items[i]
		tab := it.enter(s)
		if tab == nil {
			continue
		}
		b := uintptr(it.entry(tab))
		it.st.mu.Unlock()
		if b != 0 {
			arena.Prefetch(b)
			arena.Prefetch(b + 64)
		}
	}
	for i := range items {
		it := &items[i]
		if it.to-it.from < warmCalls {
			continue
		}
		if tab := it.enter(s); tab != nil {
			if b := it.entry(tab); b != nil {
				if o, ok := (Entry{b: b, st: it.st}).Object().(value.Warmer); ok {
					o.Warm(w.calls[it.from:it.to])
				}
			}
			it.st.mu.Unlock()
		}
	}
}

// entry is the first entry that may be the key's, or nil. REQUIRES: the stripe's lock.
func (it *warm) entry(tab *table) block {
	g := it.st.seg(tab.dir[it.hash>>(64-tab.bits)])
	tag := tagOf(it.hash, g.depth)
	words := g.all()
	if i := search(words, tag); i < len(words) && words[i]>>48 == tag {
		return it.st.entries.At(arena.Ref(words[i] & refMask))
	}
	return nil
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
