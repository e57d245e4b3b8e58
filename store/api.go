package store

import (
	"github.com/sextantdb/sextant/store/slot"
	"github.com/sextantdb/sextant/store/value"
)

const (
	// NoExpire is the expiry time of a key that does not expire.
	NoExpire int64 = -1
	// KeepTTL, given as a new value's expiry, keeps the expiry the key has.
	KeepTTL int64 = -2
)

// Options are fixed for the life of a Store.
type Options struct {
	Databases int       // how many databases, default 16
	Stripes   int       // locks; a power of two, at most MaxStripes, default 64
	HashSeed  [2]uint64 // secret key of the tables' hash; random in production
	RandSeed  uint64    // seed of RANDOMKEY, sampling and LFU increments
}

// MaxStripes bounds Options.Stripes.
const MaxStripes = 256

// Store is the keyspace. All access to keys goes through a Txn; Store's own methods need
// no lock and may be called from anywhere, also while a Txn is open.
type Store struct{}

// New makes an empty keyspace.
func New(o Options) (*Store, error) { return nil, nil }

// Close gives all memory back to the system. REQUIRES: no Txn open, none begun later.
func (s *Store) Close() {}

// Databases is the number of databases.
func (s *Store) Databases() int { return 0 }

// Stripes is the number of locks; stripe numbers for BeginStripe run from 0.
func (s *Store) Stripes() int { return 0 }

// DBSize is the number of keys of a database, expired ones not yet removed included.
func (s *Store) DBSize(db int) int64 { return 0 }

// Expires is the number of keys of a database that have an expiry.
func (s *Store) Expires(db int) int64 { return 0 }

// AvgTTL is the mean remaining life in ms of the keys of a database that have an expiry.
func (s *Store) AvgTTL(db int, nowMs int64) int64 { return 0 }

// UsedBytes is what the keyspace holds by its own count: blocks as allocated, tables,
// objects, and detached data not yet freed. maxmemory is compared with it.
func (s *Store) UsedBytes() int64 { return 0 }

// Stats returns the counters since New or the last ResetStats, and the gauges of now.
func (s *Store) Stats() Stats { return Stats{} }

// ResetStats zeroes the counters (CONFIG RESETSTAT).
func (s *Store) ResetStats() {}

// Stats is what INFO and the metrics tell about the keyspace.
type Stats struct {
	Hits, Misses int64 // keyspace_hits, keyspace_misses
	ExpiredKeys  int64 // expired_keys: removed because their time had come
	Changes      int64 // changes of keys since New, never reset; rdb_changes_since_last_save is a difference of two

	UsedBytes    int64 // as UsedBytes
	BlockBytes   int64 // entries, large values and tables, as allocated in the arena
	AskedBytes   int64 // the same as asked for; BlockBytes-AskedBytes is rounding
	ObjectBytes  int64 // objects on Go's heap
	TableBytes   int64 // tables, within BlockBytes, and their directories
	GarbageBytes int64 // detached by FLUSHALL and the like and not yet freed, within BlockBytes
	MappedBytes  int64 // memory the arena holds from the system
	FreeBytes    int64 // mapped and in no block: free blocks and free spans
	Moved        int64 // blocks moved by defragmentation
	Watched      int64 // keys under WATCH
}

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
type Txn struct{}

// Begin locks the stripes of slots. nowMs is Unix time; it stays the Txn's now until End.
// The Txn starts in database 0 with ViewPrimary.
func (t *Txn) Begin(s *Store, nowMs int64, slots ...slot.Slot) {}

// BeginSet is Begin for a set of slots.
func (t *Txn) BeginSet(s *Store, nowMs int64, slots *slot.Set) {}

// BeginAll locks all stripes.
func (t *Txn) BeginAll(s *Store, nowMs int64) {}

// BeginStripe locks one stripe by number: housekeeping goes through them in turn.
func (t *Txn) BeginStripe(s *Store, nowMs int64, stripe int) {}

// End unlocks. Everything got from the Txn becomes invalid but the notes (Expired,
// Touched, Dirty), which stay until the next Begin.
func (t *Txn) End() {}

// Store, Now, DB: what the Txn was begun with, and the current database.
func (t *Txn) Store() *Store { return nil }
func (t *Txn) Now() int64    { return 0 }
func (t *Txn) DB() int       { return 0 }

// SelectDB makes n the current database. REQUIRES: 0 <= n < Databases().
func (t *Txn) SelectDB(n int) {}

// SetView changes how expired keys are seen; SetView(ViewReplica) for clients of a replica.
func (t *Txn) SetView(v View) {}

// NoteTouched turns the Touched notes on for this Txn (client-side caching, parked clients).
func (t *Txn) NoteTouched(on bool) {}

// Dirty is the number of changes made in this Txn.
func (t *Txn) Dirty() int64 { return 0 }

// Expired is what this Txn deleted because its time had come, in order, since Begin or
// the last ClearExpired. The caller propagates a deletion for each before the effect of
// the command that met it, and fires "expired".
func (t *Txn) Expired() []KeyNote { return nil }

// ClearExpired forgets the notes, after they have been propagated.
func (t *Txn) ClearExpired() {}

// Touched is every key changed in this Txn since NoteTouched(true), in order, with
// repetitions; FlushDB and SwapDB leave one note with a nil Key per database.
func (t *Txn) Touched() []KeyNote { return nil }

// KeyNote names a key of a database. Key is the Txn's own copy, valid until the next
// Begin (or ClearExpired).
type KeyNote struct {
	DB  int
	Key []byte
}

// Lookup flags.
type Flags uint8

const (
	// NoTouch: do not update the LRU/LFU clock (OBJECT, TYPE, TTL, CLIENT NO-TOUCH).
	NoTouch Flags = 1 << iota
	// NoStats: do not count a hit or miss (lookups made by writes).
	NoStats
)

// Entry is one key as seen by the Txn that returned it. Valid until the next change made
// through that Txn or its End.
type Entry struct{}

func (e Entry) Key() []byte              { return nil }
func (e Entry) Type() value.Type         { return 0 }
func (e Entry) Encoding() value.Encoding { return 0 }

// ExpireAt is the time in ms the key dies at, or NoExpire.
func (e Entry) ExpireAt() int64 { return 0 }

// Payload is the value's bytes as stored: a string's bytes, the 8 little-endian bytes of
// an Int, or a compact collection; nil for an Object. Not to be written to.
func (e Entry) Payload() []byte { return nil }

// Int is the number of a string with encoding Int.
func (e Entry) Int() (int64, bool) { return 0, false }

// Bytes is the string value as text: aliasing the store, or for Int written to scratch,
// which should have room for 20 bytes. REQUIRES: Type() == value.String.
func (e Entry) Bytes(scratch []byte) []byte { return nil }

// StrLen is len(Bytes()). REQUIRES: Type() == value.String.
func (e Entry) StrLen() int { return 0 }

// Object is the value when it is not a payload, else nil. For reading only: see Txn.Edit.
func (e Entry) Object() value.Object { return nil }

// IdleSeconds is OBJECT IDLETIME: seconds since the last touch, by the LRU clock.
func (e Entry) IdleSeconds() int64 { return 0 }

// Freq is OBJECT FREQ: the LFU counter, decayed to now.
func (e Entry) Freq() int { return 0 }

// MemoryUsage is MEMORY USAGE: block, large value or object, and the table's share.
func (e Entry) MemoryUsage() int64 { return 0 }

// Lookup finds key in the current database. Expired keys are treated as the View says.
func (t *Txn) Lookup(key []byte, f Flags) (Entry, bool) { return Entry{}, false }

// Exists is Lookup with NoTouch and NoStats.
func (t *Txn) Exists(key []byte) bool { return false }

// Touch updates the LRU/LFU clock of key (TOUCH) and reports whether key exists.
func (t *Txn) Touch(key []byte) bool { return false }

// SetIdle and SetFreq set the access clock from RESTORE's and RDB's IDLETIME and FREQ.
func (t *Txn) SetIdle(key []byte, seconds int64) {}
func (t *Txn) SetFreq(key []byte, freq uint8)    {}

// SetString makes val the value of key as SET does: encoding Int, Embstr or Raw. at is an
// expiry time in ms, NoExpire or KeepTTL. A previous value of any type is replaced. It
// reports whether key existed.
func (t *Txn) SetString(key, val []byte, at int64) bool { return false }

// SetInt is SetString for a number.
func (t *Txn) SetInt(key []byte, n int64, at int64) bool { return false }

// SetPayload makes key hold a payload of the given type and encoding (as Entry.Payload
// returns it): text that must not become an integer, or a compact collection.
func (t *Txn) SetPayload(key []byte, typ value.Type, enc value.Encoding, payload []byte, at int64) bool {
	return false
}

// SetObject makes key hold o. The store owns o from then on.
func (t *Txn) SetObject(key []byte, o value.Object, at int64) bool { return false }

// Append appends val to the string at key, which is created if absent, and returns the
// new length. Encodings follow Redis: a new key as SET, an existing one becomes Raw.
// REQUIRES: key is absent or a string.
func (t *Txn) Append(key, val []byte) int { return 0 }

// SetRange writes val over the string at key from offset, zero-filling a gap, and returns
// the new length. An absent key is created as Raw. REQUIRES: absent or a string; val not empty.
func (t *Txn) SetRange(key []byte, offset int, val []byte) int { return 0 }

// Edit returns the Object of key for changing it, after everything that must happen before
// a change (snapshot pre-image, WATCH, dirty). The memory count is settled at End. The
// caller deletes the key when the object has become empty. false: absent or no Object.
func (t *Txn) Edit(key []byte) (value.Object, bool) { return nil, false }

// Delete removes key and reports whether it existed (an expired key did not).
func (t *Txn) Delete(key []byte) bool { return false }

// SetExpire sets the expiry time of key, in ms, whether in the past or not. false: absent.
func (t *Txn) SetExpire(key []byte, at int64) bool { return false }

// Persist removes the expiry of key and reports whether there was one.
func (t *Txn) Persist(key []byte) bool { return false }

// Rename moves src, with its expiry, to dst in the current database, replacing dst. src
// and dst may lie in different slots. false: src is absent.
func (t *Txn) Rename(src, dst []byte) bool { return false }

// Copy copies src, with its expiry, to dst in database dstDB, replacing dst. false: src is
// absent. REQUIRES: not the same key.
func (t *Txn) Copy(src, dst []byte, dstDB int) bool { return false }

// Move moves key, with its expiry, to database dstDB. false: absent here, or present there.
func (t *Txn) Move(key []byte, dstDB int) bool { return false }

// RandomKey returns a random key of the current database. REQUIRES: BeginAll.
func (t *Txn) RandomKey() (Entry, bool) { return Entry{}, false }

// Scan visits some keys of the current database and returns the cursor to go on with, 0 at
// the end. Every key present from the first call (cursor 0) to the last is visited; none is
// visited twice unless it was removed and created again. About count keys are visited per
// call. only, if not nil, limits the scan to its slots. Cursors are below
// 2^(14+log2(keys of the fullest slot)). REQUIRES: BeginAll. fn must not change the store.
func (t *Txn) Scan(cursor uint64, count int, only *slot.Set, fn func(Entry)) uint64 { return 0 }

// Keys visits every key of the current database until fn returns false (KEYS). REQUIRES:
// BeginAll. fn must not change the store.
func (t *Txn) Keys(fn func(Entry) bool) {}

// EachInSlot visits every key of slot sl in the current database, those expired included,
// until fn returns false. fn must not change the store.
func (t *Txn) EachInSlot(sl slot.Slot, fn func(Entry) bool) {}

// CountInSlot is the number of keys of slot sl in the current database.
func (t *Txn) CountInSlot(sl slot.Slot) int { return 0 }

// FlushDB empties database db and returns how many keys there were. It detaches tables in
// O(slots); Reclaim frees them. REQUIRES: BeginAll.
func (t *Txn) FlushDB(db int) int64 { return 0 }

// FlushAll is FlushDB for every database.
func (t *Txn) FlushAll() int64 { return 0 }

// DropSlot removes every key of slot sl in every database, O(databases); Reclaim frees them.
func (t *Txn) DropSlot(sl slot.Slot) int64 { return 0 }

// SwapDB exchanges two databases, O(watches). REQUIRES: BeginAll.
func (t *Txn) SwapDB(a, b int) {}

// Reclaim frees up to budget keys of detached tables of the stripes held and returns how
// many are left there (FLUSHALL SYNC calls it until 0; housekeeping calls it in steps).
func (t *Txn) Reclaim(budget int) (left int64) { return 0 }

// ActiveExpire deletes expired keys of the stripes held, looking at up to budget keys; each
// is noted in Expired. more: some are left whose time has come.
func (t *Txn) ActiveExpire(budget int) (deleted int, more bool) { return 0, false }

// NextExpire is a time before which no key of the stripe expires, so housekeeping need not
// lock it; 1<<63-1 when none has an expiry. It may be too early, never too late.
func (s *Store) NextExpire(stripe int) int64 { return 0 }

// Defrag moves up to budget blocks of the stripes held out of sparse slabs, and gives
// emptied slabs back. more: there is more worth moving.
func (t *Txn) Defrag(budget int) (moved int, more bool) { return 0, false }

// ReleaseFree gives up to maxBytes of free memory back to the system (MADV_DONTNEED) and
// returns how much it gave. It needs no Txn.
func (s *Store) ReleaseFree(maxBytes int64) int64 { return 0 }

// Policy is a maxmemory-policy.
type Policy uint8

const (
	NoEviction Policy = iota
	AllKeysLRU
	AllKeysLFU
	AllKeysRandom
	VolatileLRU
	VolatileLFU
	VolatileRandom
	VolatileTTL
)

// String is the name in redis.conf.
func (p Policy) String() string { return "" }

// ParsePolicy reads a name of redis.conf in any letter case.
func ParsePolicy(name string) (Policy, bool) { return 0, false }

// LFU reports whether access clocks are LFU counters under p, else they are LRU times.
func (p Policy) LFU() bool { return false }

// SetEviction sets the maxmemory-policy in force (it decides what touching does),
// lfu-log-factor and lfu-decay-time (minutes). Any time, from anywhere.
func (s *Store) SetEviction(p Policy, lfuLogFactor, lfuDecayMinutes int) {}

// Evictor keeps the best eviction candidates seen (as Redis' pool of 16). It is owned by
// one goroutine. Use: Sample some stripes, then Best until its key could be deleted.
type Evictor struct{}

// Sample looks at n random keys (maxmemory-samples) per held stripe, over all databases,
// and keeps the best candidates. REQUIRES: t is begun, with BeginStripe in the usual case.
func (e *Evictor) Sample(t *Txn, n int) {}

// Best removes and returns the best candidate. The caller begins a Txn on its slot and
// deletes it if it still exists; key is valid until the next call of Sample.
func (e *Evictor) Best() (db int, key []byte, ok bool) { return 0, nil, false }

// Watch is one key under WATCH. The zero value watches nothing.
type Watch struct{}

// Watch starts watching key of the current database in w. REQUIRES: w watches nothing.
func (t *Txn) Watch(key []byte, w *Watch) {}

// Changed reports whether the key was changed, deleted, expired, flushed or swapped since.
// REQUIRES: the stripe of w.Slot() is held.
func (t *Txn) Changed(w *Watch) bool { return false }

// Unwatch ends the watch. REQUIRES: the stripe of w.Slot() is held.
func (t *Txn) Unwatch(w *Watch) {}

// Slot is the slot of the watched key: EXEC locks it together with its keys' slots.
func (w *Watch) Slot() slot.Slot { return 0 }

// Key and DB are what is watched (WATCH of the same key twice is one watch).
func (w *Watch) Key() string { return "" }
func (w *Watch) DB() int     { return 0 }

// Image is an entry as it was at a snapshot's cut.
type Image struct {
	DB       int // the number of its database at the cut
	Slot     slot.Slot
	Key      []byte
	Type     value.Type
	Encoding value.Encoding
	ExpireAt int64 // or NoExpire
	// Clock is the LRU/LFU clock as stored, for RDB's IDLE and FREQ: see IdleSeconds, Freq.
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
type Snapshot struct{}

// Cut begins a snapshot at this instant. The caller takes its replication offset in the
// same Txn. REQUIRES: BeginAll; no snapshot exists.
func (t *Txn) Cut(sink Sink) *Snapshot { return nil }

// Snapshotting reports whether a snapshot exists. REQUIRES: t is begun.
func (t *Txn) Snapshotting() bool { return false }

// Keys is how many keys database db had at the cut (RDB's RESIZEDB); Expires likewise.
func (sn *Snapshot) Keys(db int) int64    { return 0 }
func (sn *Snapshot) Expires(db int) int64 { return 0 }

// WalkPos is where a walk stands within one slot. The zero value is its beginning.
type WalkPos struct{}

// Walk locks the stripe of sl and emits the entries of sl as at the cut, of all databases,
// from pos on, until about maxEntries are looked at or maxBytes emitted, and unlocks; then
// pos is where to go on. It returns true when the slot is done. Images are valid only
// within emit, except Object, which is a clone that emit may keep; emit must not call the
// store. A value larger than maxBytes is emitted whole. The walker calls it for every slot
// in any order, each until done, from one goroutine.
func (sn *Snapshot) Walk(sl slot.Slot, pos *WalkPos, maxEntries, maxBytes int, emit func(*Image)) (done bool) {
	return true
}

// Abort stops the pre-images at the next change; the snapshot is worthless from then on.
// Any goroutine may call it, also a Sink from PreImage. End must still be called.
func (sn *Snapshot) Abort() {}

// Aborted reports whether Abort was called.
func (sn *Snapshot) Aborted() bool { return false }

// End finishes the snapshot: what was not walked is visited without being emitted, in
// bounded lock holds, so that the next snapshot can tell old entries from new. Call it
// from the walker's goroutine with no Txn open. After it, no PreImage is called.
func (sn *Snapshot) End() {}

// HeldBytes is the memory kept only for the snapshot by the store itself (detached tables
// not yet walked). The sink counts its own.
func (sn *Snapshot) HeldBytes() int64 { return 0 }
