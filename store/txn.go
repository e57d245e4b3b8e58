package store

import (
	"math/bits"
	"runtime"
	"time"
	"unsafe"

	"github.com/sextantdb/sextant/store/slot"
)

// View says whose eyes a Txn sees expired keys with.
type View uint8

const (
	// ViewPrimary: an expired key is absent; met, it is deleted and noted in Expired.
	ViewPrimary View = iota
	// ViewReplica: an expired key is absent, and stays until the primary deletes it.
	ViewReplica
	// ViewStream: the replication stream and the loaders see expired keys as they are.
	ViewStream
)

// Txn is one critical section over the keyspace: it holds the stripes it was begun with,
// knows the time and the current database, and notes what changed. The zero value is
// ready; embed one and reuse it, Begin and End do not allocate. A Txn is used by one
// goroutine. Keys outside its stripes must not be touched (checked with the build tag
// invariants).
type Txn struct {
	s     *Store
	now   int64
	db    int
	space int // what db means
	view  View
	open  bool
	touch bool // somebody asks for Touched notes

	held [MaxStripes / 64]uint64 // bit = stripe is held
	only *stripe                 // the one stripe held, or nil when there are several

	known     *byte // where the key lies whose slot is knownSlot; see Know
	knownLen  int
	knownSlot slot.Slot

	hits, misses, dirty int64

	edits []edit // objects given out by Edit, settled at End

	fieldNotes   []FieldNote
	fieldScratch []byte
	dropping     bool // dropFields is at work

	notes, touched         []note
	noteBytes, touchedKeys []byte
	scratch                []KeyNote // what Expired and Touched return
}

// maxNotesKept is how much room for notes a Txn keeps from one use to the next.
const maxNotesKept = 4096

type note struct {
	db, from, n int  // n < 0: the whole database
	expired     bool // its time had come
}

// edit is an object that may have changed its size.
type edit struct {
	st     *stripe
	handle uint32
}

// KeyNote names a key of a database. Key is the Txn's own copy, valid until the next
// Begin (or ClearExpired); it is nil for a whole database (Touched).
type KeyNote struct {
	DB      int
	Key     []byte
	Expired bool // deleted because its time had come, on behalf of nobody
}

// Begin locks the stripes of slots. nowMs is Unix time; it stays the Txn's now until End.
// The Txn starts in database 0 with ViewPrimary.
func (t *Txn) Begin(s *Store, nowMs int64, slots ...slot.Slot) {
	t.reset(s, nowMs)
	for _, sl := range slots {
		t.hold(sl & s.stripeMask)
	}
	t.lock()
}

// BeginSet is Begin for a set of slots.
func (t *Txn) BeginSet(s *Store, nowMs int64, slots *slot.Set) {
	t.reset(s, nowMs)
	for at, ok := slots.Next(0); ok; at, ok = slots.Next(int(at) + 1) {
		t.hold(at & s.stripeMask)
	}
	t.lock()
}

// BeginAll locks all stripes.
func (t *Txn) BeginAll(s *Store, nowMs int64) {
	t.reset(s, nowMs)
	for i := range s.stripes {
		t.hold(uint16(i))
	}
	t.lock()
}

// BeginStripe locks one stripe by number: housekeeping goes through them in turn.
func (t *Txn) BeginStripe(s *Store, nowMs int64, stripe int) {
	t.reset(s, nowMs)
	t.hold(uint16(stripe))
	t.lock()
}

// TryBegin is Begin that does not wait: it reports false, and has locked nothing, when a stripe is held by another.
func (t *Txn) TryBegin(s *Store, nowMs int64, slots ...slot.Slot) bool {
	t.reset(s, nowMs)
	for _, sl := range slots {
		t.hold(sl & s.stripeMask)
	}
	return t.tryLock()
}

// TryBeginAll is BeginAll that does not wait.
func (t *Txn) TryBeginAll(s *Store, nowMs int64) bool {
	t.reset(s, nowMs)
	for i := range s.stripes {
		t.hold(uint16(i))
	}
	return t.tryLock()
}

// TryBeginStripe is BeginStripe that does not wait.
func (t *Txn) TryBeginStripe(s *Store, nowMs int64, stripe int) bool {
	t.reset(s, nowMs)
	t.hold(uint16(stripe))
	return t.tryLock()
}

// Extend takes the stripe of one more slot into the open Txn, out of order. It waits for it until giveUp says so, and then
// reports false. Two that do so at once can lock each other out: giveUp must see to that. Of all others nobody keeps
// stripes while he waits for more, as long as somebody extends; see lock.
func (t *Txn) Extend(sl slot.Slot, giveUp func() bool) bool {
	if t.Holds(sl) {
		return true
	}
	n := sl & t.s.stripeMask
	if mu := &t.s.stripes[n].mu; !mu.TryLock() {
		t.s.extending.Add(1)
		defer t.s.extending.Add(-1)
		for !mu.TryLock() {
			if giveUp() {
				return false
			}
			time.Sleep(lockPoll)
		}
	}
	t.hold(n)
	t.only = nil
	return true
}

// Retract undoes an Extend, of a stripe in which nothing was done.
func (t *Txn) Retract(sl slot.Slot) {
	n := sl & t.s.stripeMask
	t.held[n>>6] &^= 1 << (n & 63)
	t.s.stripes[n].mu.Unlock()
}

func (t *Txn) tryLock() bool {
	n := 0
	for i, w := range t.held {
		for ; w != 0; w &= w - 1 {
			st := &t.s.stripes[i<<6+bits.TrailingZeros64(w)]
			if !st.mu.TryLock() {
				t.unlockFirst(n)
				t.open = false
				return false
			}
			t.only = st
			n++
		}
	}
	if n != 1 {
		t.only = nil
	}
	t.touch = t.s.noting.Load() != 0
	return true
}

func (t *Txn) reset(s *Store, nowMs int64) {
	if t.open {
		panic("store: Begin of a Txn that is open")
	}
	t.s, t.now, t.open = s, nowMs, true
	t.view = ViewPrimary
	t.dirty = 0
	t.held, t.only = [MaxStripes / 64]uint64{}, nil
	t.known, t.knownLen = nil, -1
	t.notes, t.touched = t.notes[:0], t.touched[:0]
	t.fieldNotes = nil
	t.noteBytes, t.touchedKeys = t.noteBytes[:0], t.touchedKeys[:0]
	if cap(t.notes)+cap(t.touched) > maxNotesKept || cap(t.noteBytes)+cap(t.touchedKeys) > maxNotesKept*16 {
		t.notes, t.touched, t.noteBytes, t.touchedKeys, t.scratch = nil, nil, nil, nil, nil
	}
	t.SelectDB(0)
}

// Know tells the Txn the slot of a key that will be looked up, so that it is not computed again. The key is known by where it
// lies. REQUIRES: key's bytes stay as they are until End.
func (t *Txn) Know(key []byte, sl slot.Slot) {
	t.known, t.knownLen, t.knownSlot = unsafe.SliceData(key), len(key), sl
}

// slotOf is slot.Of for keys of the open Txn.
func (t *Txn) slotOf(key []byte) slot.Slot {
	if len(key) == t.knownLen && unsafe.SliceData(key) == t.known {
		if invariants && slot.Of(key) != t.knownSlot {
			panic("store: a key's slot was told wrongly, or its bytes have changed since")
		}
		return t.knownSlot
	}
	return slot.Of(key)
}

func (t *Txn) hold(stripe uint16) { t.held[stripe>>6] |= 1 << (stripe & 63) }

// lock takes the stripes held says, in ascending order. Who waits for one keeps those he has, but not while another extends
// his own: that one may want them.
func (t *Txn) lock() {
	for !t.tryLockFrom() {
		time.Sleep(lockPoll)
	}
	t.touch = t.s.noting.Load() != 0
}

// lockPoll is how long one rests who waits for a stripe and must look after others meanwhile.
const lockPoll = 10 * time.Microsecond

// spins is how often a stripe is tried before lock rests: most are held for a microsecond.
const spins = 64

// tryLockFrom reports false when it had to give back what it had.
func (t *Txn) tryLockFrom() bool {
	n := 0
	t.only = nil
	for i, w := range t.held {
		for ; w != 0; w &= w - 1 {
			at := i<<6 + bits.TrailingZeros64(w)
			st := &t.s.stripes[at]
			if n == 0 {
				st.mu.Lock() // who has none may wait for it
			}
			for tries := 0; n > 0 && !st.mu.TryLock(); tries++ {
				if t.s.extending.Load() > 0 {
					t.unlockFirst(n)
					return false
				}
				if tries < spins {
					runtime.Gosched()
				} else {
					time.Sleep(lockPoll)
				}
			}
			t.only = st
			n++
		}
	}
	if n != 1 {
		t.only = nil
	}
	return true
}

// unlockFirst unlocks the first n stripes of held.
func (t *Txn) unlockFirst(n int) {
	t.eachStripe(func(st *stripe) {
		if n > 0 {
			st.mu.Unlock()
		}
		n--
	})
}

// HoldsStripe reports whether the stripe of that number is held.
func (t *Txn) HoldsStripe(n int) bool { return t.held[n>>6]&(1<<(n&63)) != 0 }

// Holds reports whether the stripes of all of slots are held.
func (t *Txn) Holds(slots ...slot.Slot) bool {
	for _, sl := range slots {
		if !t.HoldsStripe(int(sl & t.s.stripeMask)) {
			return false
		}
	}
	return true
}

// eachStripe calls fn for the stripes held, ascending.
func (t *Txn) eachStripe(fn func(*stripe)) {
	for i, w := range t.held {
		for ; w != 0; w &= w - 1 {
			fn(&t.s.stripes[i<<6+bits.TrailingZeros64(w)])
		}
	}
}

// End unlocks. Everything got from the Txn becomes invalid but the notes (Expired,
// Touched, Dirty), which stay until the next Begin.
func (t *Txn) End() {
	t.settle()
	st := t.only
	if st != nil {
		t.publish(st)
		t.count(st)
		t.checkStripe(st)
		st.mu.Unlock()
	} else {
		first := true
		t.eachStripe(func(st *stripe) {
			t.publish(st)
			if first {
				t.count(st)
				first = false
			}
			t.checkStripe(st)
			st.mu.Unlock()
		})
	}
	t.hits, t.misses = 0, 0
	t.open = false
}

// publish makes the stripe's memory count readable without its lock.
func (t *Txn) publish(st *stripe) {
	if n := st.usedNow(); n != st.used.Load() {
		st.used.Store(n)
	}
	if t.s.snap != nil {
		st.heldBytes.Store(st.garbageBytes())
	}
}

func (t *Txn) count(st *stripe) {
	if t.hits != 0 {
		st.hits.Add(t.hits)
	}
	if t.misses != 0 {
		st.misses.Add(t.misses)
	}
	if t.dirty != 0 {
		st.changes.Add(t.dirty)
	}
}

// settle counts what edited objects have become.
func (t *Txn) settle() {
	for _, e := range t.edits {
		e.st.measure(e.handle)
	}
	clear(t.edits)
	t.edits = t.edits[:0]
}

// Store is the store the Txn was begun on.
func (t *Txn) Store() *Store { return t.s }

// Now is the Unix time in ms the Txn was begun with.
func (t *Txn) Now() int64 { return t.now }

// Advance moves Now on, for the next of several units run under one hold of the stripes.
func (t *Txn) Advance(nowMs int64) { t.now = max(t.now, nowMs) }

// DB is the current database.
func (t *Txn) DB() int { return t.db }

// SelectDB makes n the current database. REQUIRES: 0 <= n < Databases().
func (t *Txn) SelectDB(n int) { t.db, t.space = n, int(t.s.spaces[n].Load()) }

// View is whose eyes expired keys are seen with.
func (t *Txn) View() View { return t.view }

// SetView changes how expired keys are seen; SetView(ViewReplica) for clients of a replica.
func (t *Txn) SetView(v View) { t.view = v }

// dbOf is the number of the database that a space is.
func (t *Txn) dbOf(space int) int {
	if space == t.space {
		return t.db
	}
	for db := range t.s.spaces {
		if int(t.s.spaces[db].Load()) == space {
			return db
		}
	}
	panic("store: a space without a database")
}

// Dirty is the number of changes made in this Txn.
func (t *Txn) Dirty() int64 { return t.dirty }

// Join says that the last two changes were one (LMOVE): they count once. REQUIRES: two changes.
func (t *Txn) Join() { t.dirty-- }

// Expired is what this Txn deleted because its time had come, in order, since Begin or
// the last ClearExpired. The caller propagates a deletion for each before the effect of
// the command that met it, and fires "expired". The slice is valid until the next call of
// Expired or Touched.
func (t *Txn) Expired() []KeyNote { return t.render(t.notes, t.noteBytes) }

// HasExpired reports whether there is anything in Expired or ExpiredFields.
func (t *Txn) HasExpired() bool { return len(t.notes)+len(t.fieldNotes) > 0 }

// ClearExpired forgets the notes of Expired and ExpiredFields, after they have been propagated.
func (t *Txn) ClearExpired() {
	t.notes, t.noteBytes, t.fieldNotes = t.notes[:0], t.noteBytes[:0], nil
}

// Touched is every key changed or expired in this Txn, in order, with repetitions, but for the
// first notes, while somebody asks for them (Store.NoteTouched); FlushDB, SwapDB and their like
// leave one note with a nil Key per database. The slice is valid until the next call of
// Expired or Touched, the keys until the next Begin.
func (t *Txn) Touched(first int) []KeyNote { return t.render(t.touched[first:], t.touchedKeys) }

// TouchedKeys is how many notes Touched(0) has.
func (t *Txn) TouchedKeys() int { return len(t.touched) }

func (t *Txn) render(notes []note, keys []byte) []KeyNote {
	t.scratch = t.scratch[:0]
	for _, n := range notes {
		k := KeyNote{DB: n.db, Expired: n.expired}
		if n.n >= 0 {
			k.Key = keys[n.from : n.from+n.n : n.from+n.n]
		}
		t.scratch = append(t.scratch, k)
	}
	return t.scratch
}

func (t *Txn) noteTouched(db int, key []byte, expired bool) {
	t.touched = append(t.touched, note{db: db, from: len(t.touchedKeys), n: len(key), expired: expired})
	t.touchedKeys = append(t.touchedKeys, key...)
}

func (t *Txn) noteDatabase(db int) {
	if t.touch && db < t.s.databases {
		t.touched = append(t.touched, note{db: db, n: -1})
	}
}

// Open reports whether the Txn has been begun and not ended.
func (t *Txn) Open() bool { return t.open }
