package store

import (
	"sync/atomic"

	"github.com/sextantdb/sextant/store/slot"
	"github.com/sextantdb/sextant/store/value"
)

// How an entry of the cut comes out exactly once: every entry has a mark bit (flagMark).
// Between snapshots all entries carry Store.mark's value. Cut flips Store.mark, so all
// entries of the cut differ from it; an entry is given the new value when it is emitted,
// by the walk or as a pre-image, and when it is created. So "must it still be saved" is one
// comparison, wherever the walk is and however tables grow. End visits what was not walked,
// so that all marks agree again.
//
// Tables that FLUSHALL and the like detach while a snapshot runs stay until the walk has
// been through them. A space keeps the database number it had at the cut.

// Image is an entry as it was at a snapshot's cut.
type Image struct {
	DB       int // the number of its database at the cut
	Slot     slot.Slot
	Key      []byte
	Type     value.Type
	Encoding value.Encoding
	ExpireAt int64 // or NoExpire
	// IdleSeconds or Freq is the access clock, whichever the policy in force keeps.
	IdleSeconds int64
	Freq        uint8
	// Payload as Entry.Payload, nil when Object is set. Int encoding: 8 bytes little endian.
	Payload []byte
	Object  value.Object
}

// Sink receives pre-images while a snapshot runs.
type Sink interface {
	// PreImage is called under a stripe's lock, before the first change after the cut of
	// an entry the walk has not reached; at most once per entry. Key and Payload are valid
	// only during the call: the sink copies them. Object belongs to the sink (the store
	// passes a clone, or the object itself when the key goes away). It must not block on
	// anything but a short mutex and must not call the store. Calls of different stripes
	// run at the same time.
	PreImage(*Image)
}

// Snapshot is a point-in-time view of the whole keyspace that is being walked. While it
// exists every entry of the cut comes out exactly once: either by Walk or through the
// Sink. One at a time.
type Snapshot struct {
	// Immutable after Cut.
	s             *Store
	sink          Sink
	db            []int // by space: its database number at the cut, or unsaved
	keys, expires []int64
	now           int64

	aborted atomic.Bool

	// Owned by the walker's goroutine.
	txn  Txn
	done slot.Set
}

// unsaved is the database number, at the cut, of a space of the shadow. Its entries are marked
// like all others, so that all marks agree in the end, but come out by neither way.
const unsaved = -1

// Cut begins a snapshot at this instant. The caller takes its replication offset in the
// same Txn. REQUIRES: BeginAll; no snapshot exists.
func (t *Txn) Cut(sink Sink) *Snapshot {
	t.requireAll()
	s := t.s
	if s.snap != nil {
		panic("store: Cut while a snapshot exists")
	}
	sn := &Snapshot{s: s, sink: sink, now: t.now, db: make([]int, len(s.spaces)),
		keys: make([]int64, s.databases), expires: make([]int64, s.databases)}
	for i := range sn.db {
		sn.db[i] = unsaved
	}
	for db := range s.databases {
		sn.db[s.spaces[db].Load()] = db
		sn.keys[db], sn.expires[db] = s.DBSize(db), s.Expires(db)
	}
	s.mark ^= flagMark
	s.snap = sn
	return sn
}

// Snapshotting reports whether a snapshot exists. REQUIRES: t is begun.
func (t *Txn) Snapshotting() bool { return t.s.snap != nil }

// Keys is how many keys database db had at the cut (RDB's RESIZEDB).
func (sn *Snapshot) Keys(db int) int64 { return sn.keys[db] }

// Expires is how many of them had an expiry.
func (sn *Snapshot) Expires(db int) int64 { return sn.expires[db] }

// image describes the entry b.
func (sn *Snapshot) image(img *Image, st *stripe, b block, sl slot.Slot, space int) {
	*img = Image{
		DB: sn.db[space], Slot: sl, Key: entryKey(b), Type: entryType(b), Encoding: entryEnc(b),
		ExpireAt: entryExpire(b), Payload: st.payload(b),
	}
	if ev := sn.s.evictionNow(); ev.policy.LFU() {
		img.Freq = lfuDecayed(entryClock(b), sn.now, ev)
	} else {
		img.IdleSeconds = lruIdle(entryClock(b), sn.now)
	}
}

// preImage hands the image of the entry at p to the sink and marks it. gone: the entry is
// about to be removed or overwritten, so its object can be given away.
func (t *Txn) preImage(p *place, gone bool) {
	sn := t.s.snap
	if !sn.aborted.Load() && sn.db[p.space] != unsaved {
		var img Image
		sn.image(&img, p.st, p.b, p.slot, p.space)
		if o := (Entry{p.b, t, p.st}).Object(); o != nil {
			if img.Object = o; !gone {
				img.Object = o.Clone()
			}
			img.Encoding = o.Encoding()
		}
		sn.sink.PreImage(&img)
	}
	sn.setMark(p.b)
}

func (sn *Snapshot) setMark(b block) { *at8(b, 1) = entryFlags(b)&^flagMark | sn.s.mark }

// WalkPos is where a walk stands within one slot. The zero value is its beginning.
type WalkPos struct {
	space    int       // the live table being walked; behind the last: the detached ones
	pos      uint64    // in its order of hashes
	detached *detached // the detached table being walked
}

// Walk locks the stripe of sl and emits the entries of sl as at the cut, of all databases,
// from pos on, until about maxEntries are looked at or maxBytes emitted, and unlocks; then
// pos is where to go on. It returns true when the slot is done. Images are valid only
// within emit, except Object, which is a clone that emit may keep; emit must not call the
// store. A value larger than maxBytes is emitted whole. The walker calls it for every slot
// in any order, each until done, from one goroutine.
func (sn *Snapshot) Walk(sl slot.Slot, pos *WalkPos, maxEntries, maxBytes int, emit func(*Image)) (done bool) {
	t := &sn.txn
	t.Begin(sn.s, sn.now, sl)
	defer t.End()
	st := &sn.s.stripes[sl&sn.s.stripeMask]
	w := walker{sn: sn, st: st, slot: sl, entries: maxEntries, bytes: maxBytes, emit: emit}
	for ; pos.space < len(sn.s.spaces); pos.space++ {
		p := st.parts[pos.space].Load()
		if p == nil || p.tables[sl>>sn.s.stripeBits] == nil {
			pos.pos = 0
			continue
		}
		if !w.walk(p.tables[sl>>sn.s.stripeBits], &pos.pos) {
			return false
		}
	}
	for _, tab := range st.garbage {
		if tab.slot != sl || tab.heldBy != sn || tab.walked {
			continue
		}
		if pos.detached != tab {
			pos.detached, pos.pos = tab, 0
		}
		if !w.walk(tab.table, &pos.pos) {
			return false
		}
		tab.walked = true
	}
	sn.done.Add(sl)
	return true
}

// walker is one lock hold of a walk.
type walker struct {
	sn             *Snapshot
	st             *stripe
	slot           slot.Slot
	entries, bytes int // left to look at and to emit
	emit           func(*Image)
	img            Image
}

// walk goes through tab from pos until its end or the budget's.
func (w *walker) walk(tab *table, pos *uint64) (done bool) {
	for {
		if w.entries <= 0 || w.bytes <= 0 {
			return false
		}
		// Near the budget of bytes go in small steps: each ends at a position.
		seen, next := w.st.scanStep(tab, *pos, min(w.entries, 16), func(b block) { w.visit(tab, b) })
		w.entries -= seen + 1
		if *pos = next; next == 0 {
			return true
		}
	}
}

func (w *walker) visit(tab *table, b block) {
	sn := w.sn
	if entryFlags(b)&flagMark == sn.s.mark {
		return
	}
	sn.setMark(b)
	if w.emit == nil || sn.db[tab.space] == unsaved {
		return
	}
	sn.image(&w.img, w.st, b, w.slot, int(tab.space))
	w.bytes -= len(w.img.Key) + len(w.img.Payload)
	if o := (Entry{b: b, st: w.st}).Object(); o != nil {
		w.img.Object, w.img.Encoding = o.Clone(), o.Encoding()
		w.bytes -= int(o.MemBytes())
	}
	w.emit(&w.img)
}

// Abort stops the pre-images at the next change; the snapshot is worthless from then on.
// Any goroutine may call it, also a Sink from PreImage. End must still be called.
func (sn *Snapshot) Abort() { sn.aborted.Store(true) }

// Aborted reports whether Abort was called.
func (sn *Snapshot) Aborted() bool { return sn.aborted.Load() }

// endStep is how many entries End visits in one lock hold.
const endStep = 1000

// End finishes the snapshot: what was not walked is visited without being emitted, in
// bounded lock holds, so that the next snapshot can tell old entries from new. Call it
// from the walker's goroutine with no Txn open. After it, no PreImage is called.
func (sn *Snapshot) End() {
	for sl := range slot.Slot(slot.Count) {
		if sn.done.Has(sl) {
			continue
		}
		sn.Abort() // the rest is not emitted, so neither need pre-images be
		for pos := (WalkPos{}); !sn.Walk(sl, &pos, endStep, endStep<<20, nil); {
		}
	}
	sn.txn.BeginAll(sn.s, sn.now)
	sn.s.snap = nil
	sn.txn.End()
	for i := range sn.s.stripes {
		sn.s.stripes[i].heldBytes.Store(0)
	}
}

// HeldBytes estimates the memory kept only for the snapshot by the store itself: detached
// tables not yet walked. The sink counts its own.
func (sn *Snapshot) HeldBytes() (n int64) {
	for i := range sn.s.stripes {
		n += sn.s.stripes[i].heldBytes.Load()
	}
	return n
}
