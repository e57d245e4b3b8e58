package store

import (
	"github.com/sextantdb/sextant/store/arena"
	"github.com/sextantdb/sextant/store/slot"
)

// FlushDB empties database db and returns how many keys there were. It detaches tables in
// O(slots); Reclaim frees them. REQUIRES: BeginAll.
func (t *Txn) FlushDB(db int) (n int64) {
	t.requireAll()
	space := int(t.s.spaces[db].Load())
	t.eachStripe(func(st *stripe) {
		t.touchWatchedOf(st, db, space)
		p := st.parts[space].Load()
		if p == nil {
			return
		}
		n += p.keys.Load()
		for _, tab := range p.tables {
			if tab != nil {
				t.detach(st, tab)
			}
		}
		st.parts[space].Store(nil)
		st.fixedBytes -= 8 * int64(len(p.tables)+len(p.next))
	})
	t.dirty += n
	t.noteDatabase(db)
	return n
}

// FlushAll is FlushDB for every database.
func (t *Txn) FlushAll() (n int64) {
	for db := range t.s.databases {
		n += t.FlushDB(db)
	}
	return n
}

// DropSlot removes every key of slot sl in every database, O(databases) but for keys under
// WATCH; Reclaim frees them.
func (t *Txn) DropSlot(sl slot.Slot) (n int64) {
	st := &t.s.stripes[sl&t.s.stripeMask]
	for id, rec := range st.watches {
		if slot.OfString(id.key) == sl {
			var p place
			if t.s.findKey(&p, int(t.s.spaces[id.db].Load()), []byte(id.key)); p.b != nil && !t.expired(p.b) {
				rec.version++
			}
		}
	}
	for db := range t.s.databases {
		p := st.parts[t.s.spaces[db].Load()].Load()
		if p == nil {
			continue
		}
		tab := p.tables[sl>>t.s.stripeBits]
		if tab == nil {
			continue
		}
		n += int64(tab.keys)
		p.keys.Add(-int64(tab.keys))
		for i := 0; i < len(tab.dir); {
			g := st.seg(tab.dir[i])
			if g.volatile > 0 {
				for _, w := range g.all() {
					if at := entryExpire(st.entryAt(w)); at != NoExpire {
						p.volatile.Add(-1)
						p.sumExpire.Add(-at)
					}
				}
			}
			_, k := tab.places(g)
			i += k
		}
		t.s.unlinkTable(st, p, tab)
		t.detach(st, tab)
		t.noteDatabase(db)
	}
	t.dirty += n
	return n
}

// detached is a table that no space has any more.
type detached struct {
	*table
	heldBy *Snapshot // the snapshot that was running, which may still have to walk it
	walked bool      // it has
	reaped int       // Reclaim has freed the segments before this place of dir
}

// detach hands an unlinked table to Reclaim, which waits for a running snapshot to have
// walked it if it saves that table's space.
func (t *Txn) detach(st *stripe, tab *table) {
	gone := &detached{table: tab}
	if sn := t.s.snap; sn != nil && sn.db[tab.space] != unsaved {
		gone.heldBy = sn
	}
	st.garbage = append(st.garbage, gone)
	st.garbageKeys.Add(int64(tab.keys))
}

// SwapDB exchanges two databases, O(watches). REQUIRES: BeginAll.
func (t *Txn) SwapDB(a, b int) {
	if a == b {
		return
	}
	t.requireAll()
	sa, sb := t.s.spaces[a].Load(), t.s.spaces[b].Load()
	t.eachStripe(func(st *stripe) {
		t.touchWatchedOf(st, a, int(sa), int(sb))
		t.touchWatchedOf(st, b, int(sa), int(sb))
	})
	t.s.spaces[a].Store(sb)
	t.s.spaces[b].Store(sa)
	t.SelectDB(t.db)
	t.dirty++
	t.noteDatabase(a)
	t.noteDatabase(b)
}

// Reclaim frees detached tables of the stripes held, up to budget keys or a few more, and
// returns how many keys are left there to be freed (FLUSHALL SYNC calls it until 0;
// housekeeping calls it in steps). What a running snapshot still has to walk does not count.
func (t *Txn) Reclaim(budget int) (left int64) {
	t.eachStripe(func(st *stripe) {
		kept := st.garbage[:0]
		for _, tab := range st.garbage {
			switch {
			case t.s.snap != nil && tab.heldBy == t.s.snap && !tab.walked:
				kept = append(kept, tab)
			case budget > 0 && t.reap(st, tab, &budget):
			default:
				left += int64(tab.keys)
				kept = append(kept, tab)
			}
		}
		clear(st.garbage[len(kept):])
		if st.garbage = kept; len(kept) == 0 {
			st.garbage = nil
		}
	})
	return left
}

// reap frees entries and segments of a detached table, and reports whether all are freed.
func (t *Txn) reap(st *stripe, tab *detached, budget *int) bool {
	for tab.reaped < len(tab.dir) {
		if *budget <= 0 {
			return false
		}
		r := tab.dir[tab.reaped]
		g := st.seg(r)
		for _, w := range g.all() {
			b := st.entryAt(w)
			st.freeValue(b)
			st.entries.Free(arena.Ref(w&refMask), entrySize(b))
		}
		n := int(g.n)
		tab.keys -= n
		st.garbageKeys.Add(int64(-n))
		st.lazyFreed.Add(int64(n))
		*budget -= n + 1
		_, places := tab.places(g)
		tab.reaped += places
		st.freeSegment(r)
	}
	t.s.forgetTable(st, tab.table)
	return true
}
