package store

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"

	"github.com/sextantdb/sextant/store/arena"
	"github.com/sextantdb/sextant/store/slot"
	"github.com/sextantdb/sextant/store/value"
)

const (
	// NoExpire is the expiry time of a key that does not expire.
	NoExpire int64 = -1
	// KeepTTL, given as a new value's expiry, keeps the expiry the key has.
	KeepTTL int64 = -2

	// MaxStripes bounds Options.Stripes.
	MaxStripes = 256
	// MaxDatabases bounds Options.Databases.
	MaxDatabases = 4096

	never = math.MaxInt64
)

// Options are fixed for the life of a Store.
type Options struct {
	Databases int       // how many databases, default 16
	Shadow    bool      // a hidden second set of them, to load a full sync into: see shadow.go
	Stripes   int       // locks; a power of two, at most MaxStripes, default 32
	HashSeed  [2]uint64 // secret key of the tables' hash; random in production
	RandSeed  uint64    // seed of RANDOMKEY, sampling and LFU increments
}

// Store is the keyspace. All access to keys goes through a Txn; Store's own methods need
// no lock and may be called from anywhere, also while a Txn is open.
type Store struct {
	// Immutable after New.
	databases  int
	stripeBits uint
	stripeMask uint16
	seed       [2]uint64
	arena      *arena.Arena
	stripes    []stripe

	// Written with all stripes held, read with any one held.
	snap *Snapshot // the running snapshot, or nil
	mark uint8     // flagMark's value in entries that a snapshot need not save; flips at each Cut

	// spaces[db] is the space that database number db means; with a shadow, databases+db is
	// the number of db's. Written with all stripes held (SwapDB, InstallShadow), read from
	// anywhere.
	spaces []atomic.Int32

	eviction atomic.Uint64 // packed Policy, lfu-log-factor, lfu-decay-time: see SetEviction

	extending atomic.Int32 // Txns that wait in Extend

	noting atomic.Int64 // who asks for Touched notes: see NoteTouched
}

// stripe is the unit of locking. Its mutex guards all that is in it, but for the atomics,
// which are written under it and read from anywhere.
type stripe struct {
	mu sync.Mutex

	entries arena.Heap // the keys' blocks
	values  arena.Heap // large string values
	tables  arena.Heap // segments of tables

	objects     []value.Object // by handle; nil is free
	objectSizes []int64        // by handle; MemBytes as last asked
	freeObjects []uint32       // free handles
	objectBytes int64          // sum of objectSizes
	goBytes     int64          // tables' directories and headers on Go's heap
	fixedBytes  int64          // slots' lists of tables: a constant per database in use that no eviction gives back, so not part of used

	watches map[watchKey]*watched // keys under WATCH; nil when none

	garbage     []*detached  // to be freed by Reclaim
	garbageKeys atomic.Int64 // keys in them

	rand uint64 // state of xorshift

	// parts[space] is the part of a space in this stripe, nil until it has had a key.
	parts []atomic.Pointer[part]

	used, hits, misses, expired, expiredFields, changes, nextExpire, heldBytes, lazyFreed atomic.Int64

	_ [64]byte // keep neighbours' locks off this one's cache line
}

// part is what a stripe holds of one space (database). Guarded by the stripe's lock, but
// for the atomics, which are written under it.
type part struct {
	tables []*table // by slot >> stripeBits; nil when the slot has no key
	next   []int64  // lower bound of the expiry times in each table; nil while none has one
	// sumExpire is the sum of all expiry times in ms, modulo 2^64: differences come out right.
	keys, volatile, sumExpire atomic.Int64
}

// New makes an empty keyspace.
func New(o Options) (*Store, error) {
	if o.Databases == 0 {
		o.Databases = 16
	}
	if o.Stripes == 0 {
		o.Stripes = 32
	}
	if o.Databases < 0 || o.Databases > MaxDatabases {
		return nil, fmt.Errorf("store: %d databases: must be 1 to %d", o.Databases, MaxDatabases)
	}
	if o.Stripes < 0 || o.Stripes > MaxStripes || o.Stripes&(o.Stripes-1) != 0 {
		return nil, fmt.Errorf("store: %d stripes: must be a power of two up to %d", o.Stripes, MaxStripes)
	}
	s := &Store{
		databases:  o.Databases,
		stripeMask: uint16(o.Stripes - 1),
		seed:       o.HashSeed,
		arena:      arena.NewArena(),
		stripes:    make([]stripe, o.Stripes),
	}
	numbers := o.Databases
	if o.Shadow {
		numbers *= 2
	}
	s.spaces = make([]atomic.Int32, numbers)
	for n := o.Stripes; n > 1; n >>= 1 {
		s.stripeBits++
	}
	for i := range s.spaces {
		s.spaces[i].Store(int32(i))
	}
	for i := range s.stripes {
		st := &s.stripes[i]
		st.entries, st.values, st.tables = *s.arena.NewHeap(), *s.arena.NewHeap(), *s.arena.NewHeap()
		st.parts = make([]atomic.Pointer[part], numbers)
		st.rand = mix(o.RandSeed+uint64(i)+1, 0x9e3779b97f4a7c15) | 1
		st.nextExpire.Store(never)
	}
	s.SetEviction(NoEviction, 10, 1)
	return s, nil
}

// Close gives all memory back to the system. REQUIRES: no Txn open, none begun later.
func (s *Store) Close() { s.arena.Close() }

// Databases is the number of databases, those of the shadow left out.
func (s *Store) Databases() int { return s.databases }

// Stripes is the number of locks; stripe numbers for BeginStripe run from 0.
func (s *Store) Stripes() int { return len(s.stripes) }

// NoteTouched says that n more (or -n fewer) ask for the keys that Txns change: parked clients,
// client-side caching. While anybody does, every Txn keeps Touched notes; that costs the
// others one atomic load per Txn.
//
// A Txn looks once its stripes are locked. So whoever asks while holding a key's stripe,
// having looked at the key, hears of every change of it made afterwards.
func (s *Store) NoteTouched(n int) {
	if s.noting.Add(int64(n)) < 0 {
		panic("store: fewer than nobody ask for touched keys")
	}
}

// Stripe is the number of the stripe that sl lies in.
func (s *Store) Stripe(sl slot.Slot) int { return int(sl & s.stripeMask) }

// eachPart calls fn for what every stripe holds of database db.
func (s *Store) eachPart(db int, fn func(*part)) {
	space := s.spaces[db].Load()
	for i := range s.stripes {
		if p := s.stripes[i].parts[space].Load(); p != nil {
			fn(p)
		}
	}
}

// DBSize is the number of keys of a database, expired ones not yet removed included.
func (s *Store) DBSize(db int) (n int64) {
	s.eachPart(db, func(p *part) { n += p.keys.Load() })
	return n
}

// Expires is the number of keys of a database that have an expiry.
func (s *Store) Expires(db int) (n int64) {
	s.eachPart(db, func(p *part) { n += p.volatile.Load() })
	return n
}

// AvgTTL is the mean remaining life in ms of the keys of a database that have an expiry.
func (s *Store) AvgTTL(db int, nowMs int64) int64 {
	var n, sum int64
	s.eachPart(db, func(p *part) {
		v := p.volatile.Load()
		n += v
		sum += p.sumExpire.Load() - v*nowMs // wraps and unwraps
	})
	if n == 0 || sum < 0 {
		return 0
	}
	return sum / n
}

// UsedBytes is what the keyspace holds by its own count: blocks as allocated, tables,
// objects, and detached data not yet freed. maxmemory is compared with it. It is current
// as of the last End of a Txn.
func (s *Store) UsedBytes() (n int64) {
	for i := range s.stripes {
		n += s.stripes[i].used.Load()
	}
	return n
}

// Changes counts the changes of keys since New; it is never reset.
func (s *Store) Changes() (n int64) {
	for i := range s.stripes {
		n += s.stripes[i].changes.Load()
	}
	return n
}

// Stats is what INFO and the metrics tell about the keyspace.
type Stats struct {
	Hits, Misses int64 // keyspace_hits, keyspace_misses
	ExpiredKeys  int64 // expired_keys: removed because their time had come

	ExpiredFields int64 // expired_subkeys: fields of hashes, removed because their time had come
	Changes       int64 // as Changes; rdb_changes_since_last_save is a difference of two

	LazyPending int64 // lazyfree_pending_objects: keys detached and not yet freed
	LazyFreed   int64 // lazyfreed_objects: keys so freed, and large values left to the collector

	UsedBytes   int64 // as UsedBytes
	MappedBytes int64 // memory the arena holds from the system
	FreeBytes   int64 // of it, whole pages that are free
}

// Stats returns the counters since New or the last ResetStats, and the gauges of now.
func (s *Store) Stats() (x Stats) {
	for i := range s.stripes {
		st := &s.stripes[i]
		x.Hits += st.hits.Load()
		x.Misses += st.misses.Load()
		x.ExpiredKeys += st.expired.Load()
		x.ExpiredFields += st.expiredFields.Load()
		x.LazyPending += st.garbageKeys.Load()
		x.LazyFreed += st.lazyFreed.Load()
	}
	x.Changes = s.Changes()
	x.UsedBytes = s.UsedBytes()
	x.MappedBytes = s.arena.Mapped()
	x.FreeBytes = s.arena.Free()
	return x
}

// ResetStats zeroes the counters (CONFIG RESETSTAT).
func (s *Store) ResetStats() {
	for i := range s.stripes {
		st := &s.stripes[i]
		st.hits.Store(0)
		st.misses.Store(0)
		st.expired.Store(0)
		st.expiredFields.Store(0)
		st.lazyFreed.Store(0)
	}
}

// MemStats is where the memory of the stripes held went (MEMORY STATS, MEMORY DOCTOR).
type MemStats struct {
	Entries, Values, Tables arena.Stats // blocks in the arena
	Objects                 int64       // bytes of objects on Go's heap
	Directories             int64       // bytes of tables' directories on Go's heap
	Garbage                 int64       // bytes detached and not yet freed, within the above
	Watched                 int         // keys under WATCH
}

// MemStats sums over the stripes held.
func (t *Txn) MemStats() (m MemStats) {
	t.eachStripe(func(st *stripe) {
		m.Entries.Add(st.entries.Stats())
		m.Values.Add(st.values.Stats())
		m.Tables.Add(st.tables.Stats())
		m.Objects += st.objectBytes
		m.Directories += st.goBytes + st.fixedBytes
		m.Garbage += st.garbageBytes()
		m.Watched += len(st.watches)
	})
	return m
}

// usedNow is what the stripe holds. REQUIRES: its lock.
func (st *stripe) usedNow() int64 {
	return st.entries.BlockBytes() + st.values.BlockBytes() + st.tables.BlockBytes() + st.objectBytes + st.goBytes
}

// random returns a number in [0, n). REQUIRES: the stripe's lock, n > 0.
func (st *stripe) random(n int) int {
	x := st.rand
	x ^= x << 13
	x ^= x >> 7
	x ^= x << 17
	st.rand = x
	return int((x >> 33) % uint64(n))
}

// partOf returns what st holds of a space, made if need be.
func (s *Store) partOf(st *stripe, space int) *part {
	p := st.parts[space].Load()
	if p == nil {
		p = &part{tables: make([]*table, slot.Count>>s.stripeBits)}
		st.parts[space].Store(p)
		st.fixedBytes += int64(len(p.tables)) * 8
	}
	return p
}

// putObject stores o and returns its handle.
func (st *stripe) putObject(o value.Object) uint32 {
	var h uint32
	if n := len(st.freeObjects); n > 0 {
		h = st.freeObjects[n-1]
		st.freeObjects = st.freeObjects[:n-1]
		st.objects[h] = o
	} else {
		h = uint32(len(st.objects))
		st.objects = append(st.objects, o)
		st.objectSizes = append(st.objectSizes, 0)
	}
	st.measure(h)
	return h
}

// measure counts what the object of a handle holds now.
func (st *stripe) measure(h uint32) {
	n := int64(0)
	if o := st.objects[h]; o != nil {
		n = o.MemBytes()
	}
	st.objectBytes += n - st.objectSizes[h]
	st.objectSizes[h] = n
}

// takeObject removes and returns the object of a handle.
func (st *stripe) takeObject(h uint32) value.Object {
	o := st.objects[h]
	st.objects[h] = nil
	st.measure(h)
	st.freeObjects = append(st.freeObjects, h)
	return o
}

// garbageBytes estimates what detached tables hold: their share of the stripe's blocks.
func (st *stripe) garbageBytes() int64 {
	keys := st.garbageKeys.Load()
	if keys == 0 {
		return 0
	}
	perKey := st.usedNow() / max(st.entries.Stats().Blocks, 1)
	return keys * perKey
}
