package store

import (
	"fmt"
	"math"

	"github.com/sextantdb/sextant/store/arena"
	"github.com/sextantdb/sextant/store/slot"
)

// Check panics if the data structures of the stripes held contradict themselves. It looks
// at every key; it is for tests, DEBUG commands and the build tag invariants.
func (t *Txn) Check() { t.eachStripe(t.s.checkLocked) }

func (s *Store) checkLocked(st *stripe) {
	must := func(ok bool, format string, args ...any) {
		if !ok {
			panic("store: invariant broken: " + fmt.Sprintf(format, args...))
		}
	}
	entries, values, segments, objects := 0, 0, 0, 0
	var asked int64
	table := func(tab *table, from int, p *part) (keys, volatile, sum int64) {
		deep, least := int32(0), int64(math.MaxInt64)
		must(len(tab.dir) == 1<<tab.bits, "directory of %d for %d bits", len(tab.dir), tab.bits)
		for i := from; i < len(tab.dir); {
			g := st.seg(tab.dir[i])
			first, n := tab.places(g)
			must(first == i, "segment %d of slot %d stands at %d", g.prefix, tab.slot, i)
			must(g.slot == tab.slot && int32(g.space) == tab.space, "segment of another table")
			must(g.n <= g.cap && segHeader+8*int(g.cap) <= st.tables.Size(tab.dir[i]), "segment overfull")
			if g.depth == tab.bits {
				deep++
			}
			for j := i; j < i+n; j++ {
				must(tab.dir[j] == tab.dir[i], "directory gap")
				must(tab.next == nil || j == i || tab.next[len(tab.dir)+j] == never, "a bound beside its place")
			}
			segments++
			bound, vol, last := tab.bound(g), uint16(0), uint64(0)
			for _, w := range g.all() {
				b := st.entryAt(w)
				key := entryKey(b)
				h := s.hash(key)
				must(slot.Of(key) == tab.slot, "key %q in slot %d", key, tab.slot)
				must(tagOf(h, g.depth) == w>>48 && h>>(64-tab.bits) >= uint64(i) && h>>(64-tab.bits) < uint64(i+n), "key %q at the wrong hash", key)
				must(w>>48 >= last, "words out of order")
				last = w >> 48
				must(s.snap != nil || p == nil || entryFlags(b)&flagMark == s.mark, "key %q has a stale mark", key)
				fieldsAt := st.fieldExpiry(b)
				must(p == nil || fieldsAt >= bound, "a field of key %q expires at %d before the bound %d", key, fieldsAt, bound)
				if at := entryExpire(b); at != NoExpire {
					vol++
					sum += at
					must(p == nil || at >= bound, "key %q expires at %d before the bound %d", key, at, bound)
				}
				off, _ := inlineAt(b)
				switch f := entryFlags(b); {
				case f&flagObject != 0:
					objects++
					must(st.objects[get32(b, off)] != nil, "key %q without its object", key)
				case f&flagOutline != 0:
					values++
					r := arena.Ref(get64(b, off))
					must(arena.Ref(get64(st.values.At(r), 0)) == arena.Ref(w&refMask), "a value of %q with another owner", key)
				}
				entries++
				asked += int64(entrySize(b))
			}
			must(vol == g.volatile, "slot %d: %d volatile keys counted as %d", tab.slot, vol, g.volatile)
			keys += int64(g.n)
			volatile += int64(vol)
			least = min(least, bound)
			i += n
		}
		must(from > 0 || deep == tab.deep, "slot %d: %d deep segments counted as %d", tab.slot, deep, tab.deep)
		must(keys == int64(tab.keys), "slot %d: %d keys counted as %d", tab.slot, keys, tab.keys)
		must(p == nil || tab.next == nil || tab.next[1] == least, "slot %d: least bound %d kept as %d", tab.slot, least, tab.next)
		if p != nil && p.next != nil {
			must(p.next[tab.slot>>s.stripeBits] <= least, "slot %d: its bound is later than its keys", tab.slot)
		} else {
			must(p == nil || least == never, "slot %d: bounds without a part's", tab.slot)
		}
		return
	}
	for space := range st.parts {
		p := st.parts[space].Load()
		if p == nil {
			continue
		}
		var keys, volatile, sum int64
		for _, tab := range p.tables {
			if tab != nil {
				k, v, x := table(tab, 0, p)
				must(k > 0, "an empty table is kept")
				keys, volatile, sum = keys+k, volatile+v, sum+x
			}
		}
		must(keys == p.keys.Load() && volatile == p.volatile.Load() && sum == p.sumExpire.Load(),
			"space %d: %d keys, %d volatile counted as %d, %d", space, keys, volatile, p.keys.Load(), p.volatile.Load())
		for _, at := range p.next {
			must(s.hidden(space) || at >= st.nextExpire.Load() || at == never, "nextExpire %d is later than %d", st.nextExpire.Load(), at)
		}
	}
	var garbage int64
	for _, tab := range st.garbage {
		k, _, _ := table(tab.table, tab.reaped, nil)
		garbage += k
	}
	must(garbage == st.garbageKeys.Load(), "%d detached keys counted as %d", garbage, st.garbageKeys.Load())
	e := st.entries.Stats()
	must(e.Blocks == int64(entries) && e.Asked == asked, "%d entries of %d bytes in %d blocks of %d", entries, asked, e.Blocks, e.Asked)
	must(st.values.Stats().Blocks == int64(values), "%d large values in %d blocks", values, st.values.Stats().Blocks)
	must(st.tables.Stats().Blocks == int64(segments), "%d segments in %d blocks", segments, st.tables.Stats().Blocks)
	must(len(st.objects)-len(st.freeObjects) == objects, "%d objects of %d handles", objects, len(st.objects)-len(st.freeObjects))
}
