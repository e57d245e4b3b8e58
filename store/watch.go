package store

import "github.com/sextantdb/sextant/store/slot"

// A key under WATCH has a record in its stripe that counts changes; a record lives as long
// as someone watches. Nothing is kept for other keys, and no lock but the stripe's is
// involved.
//
// Expiry is no change by itself (Redis removes expired keys when it happens to meet them):
// whoever watched a living key compares at EXEC whether it still lives.

type watchKey struct {
	db  int
	key string
}

// watched is guarded by the lock of the key's stripe.
type watched struct {
	version uint64
	refs    int
}

// Watch is one key under WATCH. The zero value watches nothing.
type Watch struct {
	rec     *watched
	id      watchKey
	slot    slot.Slot
	version uint64
	alive   bool // the key existed and had not expired
}

// Watch starts watching key of the current database in w. REQUIRES: w watches nothing.
func (t *Txn) Watch(key []byte, w *Watch) {
	if w.rec != nil {
		panic("store: Watch of a Watch in use")
	}
	var p place
	t.find(&p, key)
	if invariants {
		t.requireHeld(p.slot)
	}
	id := watchKey{t.db, string(key)}
	rec := p.st.watches[id]
	if rec == nil {
		if p.st.watches == nil {
			p.st.watches = map[watchKey]*watched{}
		}
		rec = &watched{}
		p.st.watches[id] = rec
	}
	rec.refs++
	*w = Watch{rec: rec, id: id, slot: p.slot, version: rec.version, alive: p.b != nil && !t.expired(p.b)}
}

// Changed reports whether the key was changed, deleted, expired, flushed or swapped since.
// REQUIRES: the stripe of w.Slot() is held.
func (t *Txn) Changed(w *Watch) bool {
	if w.rec == nil {
		return false
	}
	if w.rec.version != w.version {
		return true
	}
	if !w.alive {
		return false
	}
	var p place
	t.s.findKey(&p, int(t.s.spaces[w.id.db].Load()), []byte(w.id.key))
	return p.b == nil || t.expired(p.b)
}

// Unwatch ends the watch. REQUIRES: the stripe of w.Slot() is held.
func (t *Txn) Unwatch(w *Watch) {
	if w.rec == nil {
		return
	}
	st := &t.s.stripes[w.slot&t.s.stripeMask]
	if w.rec.refs--; w.rec.refs == 0 {
		if delete(st.watches, w.id); len(st.watches) == 0 {
			st.watches = nil
		}
	}
	*w = Watch{}
}

// Slot is the slot of the watched key: EXEC locks it together with its keys' slots.
func (w *Watch) Slot() slot.Slot { return w.slot }

// Key is the watched key (WATCH of the same key twice is one watch).
func (w *Watch) Key() string { return w.id.key }

// DB is its database.
func (w *Watch) DB() int { return w.id.db }

func (st *stripe) touchWatched(db int, key []byte) {
	if rec := st.watches[watchKey{db, string(key)}]; rec != nil {
		rec.version++
	}
}

// touchWatchedOf touches the watched keys of database db in st that exist in one of the
// spaces: what FLUSHDB and SWAPDB change.
func (t *Txn) touchWatchedOf(st *stripe, db int, spaces ...int) {
	for id, rec := range st.watches {
		if id.db != db {
			continue
		}
		for _, space := range spaces {
			var p place
			if t.s.findKey(&p, space, []byte(id.key)); p.b != nil && !t.expired(p.b) {
				rec.version++
				break
			}
		}
	}
}
