package store

import (
	"github.com/sextantdb/sextant/store/slot"
)

// Flags change how Lookup looks.
type Flags uint8

const (
	// NoTouch: do not update the LRU/LFU clock (OBJECT, TYPE, TTL, CLIENT NO-TOUCH).
	NoTouch Flags = 1 << iota
	// NoStats: do not count a hit or miss (lookups made by writes).
	NoStats
)

// find fills in where key is in the current database, whatever its time says. REQUIRES: the stripe of key's slot is held.
func (t *Txn) find(p *place, key []byte) { t.s.find(p, t.space, t.slotOf(key), key) }

// locate finds key in the current database, treating an expired one as the view says.
func (t *Txn) locate(p *place, key []byte) bool {
	t.find(p, key)
	if invariants {
		t.requireHeld(p.slot)
	}
	if p.b == nil {
		return false
	}
	if entryFlags(p.b)&flagExpire != 0 && t.view != ViewStream && t.expired(p.b) {
		if t.view == ViewPrimary {
			t.expire(p)
			t.s.refind(p, key)
		} else {
			p.b = nil
		}
		return false
	}
	if t.fieldsDue(p) {
		t.dropFields(p, key)
		t.s.refind(p, key)
		return p.b != nil
	}
	return true
}

// Lookup finds key in the current database. Expired keys are treated as the View says.
func (t *Txn) Lookup(key []byte, f Flags) (Entry, bool) {
	var p place
	if !t.locate(&p, key) {
		if f&NoStats == 0 {
			t.misses++
		}
		return Entry{}, false
	}
	if f&NoStats == 0 {
		t.hits++
	}
	if f&NoTouch == 0 {
		setEntryClock(p.b, t.touchedClock(p.st, entryClock(p.b)))
	}
	return Entry{p.b, t, p.st}, true
}

// Exists is Lookup with NoTouch and NoStats.
func (t *Txn) Exists(key []byte) bool {
	var p place
	return t.locate(&p, key)
}

// Touch updates the LRU/LFU clock of key (TOUCH) and reports whether key exists.
func (t *Txn) Touch(key []byte) bool {
	_, ok := t.Lookup(key, 0)
	return ok
}

// SetIdle sets the access clock of key from RESTORE's and RDB's IDLETIME, if the policy
// keeps LRU times. It is no change of the key.
func (t *Txn) SetIdle(key []byte, seconds int64) {
	var p place
	if !t.s.evictionNow().policy.LFU() && t.locate(&p, key) {
		setEntryClock(p.b, lruClock(t.now-seconds*1000))
	}
}

// SetFreq is SetIdle for FREQ, if the policy keeps LFU counters.
func (t *Txn) SetFreq(key []byte, freq uint8) {
	var p place
	if t.s.evictionNow().policy.LFU() && t.locate(&p, key) {
		setEntryClock(p.b, lfuMinutes(t.now)<<8|uint32(freq))
	}
}

// RandomKey returns a random key of the current database that has not expired, each with
// the same chance; false if there seems to be none. REQUIRES: BeginAll.
func (t *Txn) RandomKey() (Entry, bool) {
	t.requireAll()
	st := &t.s.stripes[0]
	total := int(t.s.DBSize(t.db))
	if total == 0 {
		return Entry{}, false
	}
	for range 100 { // Redis, too, gives up when a replica's keys all seem expired
		if e := t.nthKey(st.random(total)); t.view == ViewStream || !t.expired(e.b) {
			return e, true
		}
	}
	return Entry{}, false
}

// nthKey is the key number n of the current database. REQUIRES: 0 <= n < DBSize.
func (t *Txn) nthKey(n int) Entry {
	for i := range t.s.stripes {
		st := &t.s.stripes[i]
		p := st.parts[t.space].Load()
		if p == nil {
			continue
		}
		if k := int(p.keys.Load()); n >= k {
			n -= k
			continue
		}
		for _, tab := range p.tables {
			if tab == nil {
				continue
			}
			if n >= tab.keys {
				n -= tab.keys
				continue
			}
			for {
				// Directory places are equal shares of the hash; taking a segment only as
				// often as it is full makes the keys equal.
				g := st.seg(tab.dir[st.random(len(tab.dir))])
				if j := st.random(max(segMax, int(g.n))); j < int(g.n) || len(tab.dir) == 1 {
					return Entry{st.entryAt(g.all()[j%int(g.n)]), t, st}
				}
			}
		}
	}
	panic("store: the key counts are wrong")
}

// Scan visits some keys of the current database and returns the cursor to go on with, 0 at
// the end. Every key present from the first call (cursor 0) to the last is visited; a key
// may be visited twice if a table shrinks meanwhile. About count keys are visited per call.
// only, if not nil, limits the scan to its slots. Cursors are below 2^15 for databases of
// fewer than some 10,000 keys, and below 2^14 × 4 × the keys of the fullest slot always.
// Expired keys are passed over. REQUIRES: BeginAll. fn must not change the store.
//
// A cursor is the slot in the low 14 bits and above it a position in the order of hashes
// within the slot, bits reversed: positions are coarse where there are few keys, so that
// they reverse to small numbers.
func (t *Txn) Scan(cursor uint64, count int, only *slot.Set, fn func(Entry)) uint64 {
	sl, pos := int(cursor&(slot.Count-1)), reverse(cursor>>14)
	for {
		if only != nil {
			next, ok := only.Next(sl)
			if !ok {
				return 0
			}
			if int(next) != sl {
				sl, pos = int(next), 0
			}
		}
		if tab, st := t.tableOf(slot.Slot(sl)); tab != nil {
			for {
				if count <= 0 {
					return uint64(sl) | reverse(pos)<<14
				}
				var seen int
				seen, pos = st.scanStep(tab, pos, count, func(b block) {
					if t.view == ViewStream || !t.expired(b) {
						fn(Entry{b, t, st})
					}
				})
				count -= seen
				if pos == 0 {
					break
				}
			}
		}
		sl, pos = sl+1, 0
		if sl == slot.Count {
			return 0
		}
	}
}

// tableOf is the table of slot sl in the current database, or nil.
func (t *Txn) tableOf(sl slot.Slot) (*table, *stripe) {
	st := &t.s.stripes[sl&t.s.stripeMask]
	if invariants {
		t.requireHeld(sl)
	}
	p := st.parts[t.space].Load()
	if p == nil {
		return nil, st
	}
	return p.tables[sl>>t.s.stripeBits], st
}

// Keys visits every key of the current database that has not expired until fn returns
// false (KEYS). REQUIRES: BeginAll. fn must not change the store.
func (t *Txn) Keys(fn func(Entry) bool) {
	for sl := range slot.Count {
		tab, st := t.tableOf(slot.Slot(sl))
		if tab == nil {
			continue
		}
		if !st.each(tab, func(b block) bool {
			return t.view != ViewStream && t.expired(b) || fn(Entry{b, t, st})
		}) {
			return
		}
	}
}

// EachInSlot visits every key of slot sl in the current database, those expired included,
// until fn returns false. fn must not change the store.
func (t *Txn) EachInSlot(sl slot.Slot, fn func(Entry) bool) {
	if tab, st := t.tableOf(sl); tab != nil {
		st.each(tab, func(b block) bool { return fn(Entry{b, t, st}) })
	}
}

// WalkSlot visits about n keys of slot sl in the current database, those expired included, in the order of their
// hashes from pos on. It returns where to go on, 0 at the end. fn must not change the store.
func (t *Txn) WalkSlot(sl slot.Slot, pos uint64, n int, fn func(Entry)) (next uint64) {
	tab, st := t.tableOf(sl)
	if tab == nil {
		return 0
	}
	_, next = st.scanStep(tab, pos, n, func(b block) { fn(Entry{b, t, st}) })
	return next
}

// CountInSlot is the number of keys of slot sl in the current database.
func (t *Txn) CountInSlot(sl slot.Slot) int {
	if tab, _ := t.tableOf(sl); tab != nil {
		return tab.keys
	}
	return 0
}
