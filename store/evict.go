package store

import (
	"github.com/sextantdb/sextant/store/value"
)

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

func policyNames() [8]string {
	return [8]string{"noeviction", "allkeys-lru", "allkeys-lfu", "allkeys-random",
		"volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"}
}

// String is the name in redis.conf.
func (p Policy) String() string { return policyNames()[p] }

// ParsePolicy reads a name of redis.conf in any letter case.
func ParsePolicy(name string) (Policy, bool) {
	for i, n := range policyNames() {
		if value.EqualFold([]byte(name), n) {
			return Policy(i), true
		}
	}
	return 0, false
}

// LFU reports whether access clocks are LFU counters under p, else they are LRU times.
func (p Policy) LFU() bool { return p == AllKeysLFU || p == VolatileLFU }

// Clocks reports whether p looks at when or how often single keys were used.
func (p Policy) Clocks() bool { return p.LFU() || p == AllKeysLRU || p == VolatileLRU }

// volatile reports whether p evicts only keys that have an expiry.
func (p Policy) volatile() bool { return p >= VolatileLRU }

type eviction struct {
	policy        Policy
	logFactor     int
	decayInterval uint32 // minutes
}

// SetEviction sets the maxmemory-policy in force (it decides what touching does),
// lfu-log-factor and lfu-decay-time (minutes). Any time, from anywhere.
func (s *Store) SetEviction(p Policy, lfuLogFactor, lfuDecayMinutes int) {
	s.eviction.Store(uint64(p) | uint64(uint16(lfuDecayMinutes))<<8 | uint64(uint32(lfuLogFactor))<<32)
}

func (s *Store) evictionNow() eviction {
	x := s.eviction.Load()
	return eviction{Policy(x & 0xff), int(x >> 32), uint32(x >> 8 & 0xffff)}
}

// The access clock has 24 bits: under LRU policies the time of the last touch in seconds;
// under LFU policies 16 bits of minutes and 8 of a counter that grows with the logarithm of
// the touches and falls with time.

const (
	lruMask = 1<<24 - 1
	lfuInit = 5
)

func lruClock(nowMs int64) uint32 { return uint32(nowMs/1000) & lruMask }

func lruIdle(clock uint32, nowMs int64) int64 { return int64((lruClock(nowMs) - clock) & lruMask) }

func lfuMinutes(nowMs int64) uint32 { return uint32(nowMs/60000) & 0xffff }

// lfuDecayed is the counter after the time that has passed since it was last touched.
func lfuDecayed(clock uint32, nowMs int64, ev eviction) uint8 {
	counter := clock & 0xff
	if ev.decayInterval == 0 {
		return uint8(counter)
	}
	periods := ((lfuMinutes(nowMs) - clock>>8) & 0xffff) / ev.decayInterval
	return uint8(counter - min(counter, periods))
}

// newClock is the access clock of a key just made.
func (t *Txn) newClock() uint32 {
	if t.s.evictionNow().policy.LFU() {
		return lfuMinutes(t.now)<<8 | lfuInit
	}
	return lruClock(t.now)
}

// rewrittenClock is the access clock of a key whose value was replaced: frequency stays
// with the key.
func (t *Txn) rewrittenClock(old uint32) uint32 {
	if t.s.evictionNow().policy.LFU() {
		return old
	}
	return lruClock(t.now)
}

// touchedClock is the access clock after a touch.
func (t *Txn) touchedClock(st *stripe, old uint32) uint32 {
	ev := t.s.evictionNow()
	if !ev.policy.LFU() {
		return lruClock(t.now)
	}
	c := uint32(lfuDecayed(old, t.now, ev))
	if c < 255 {
		// It grows with probability 1/((c-lfuInit)·factor+1).
		odds := 1
		if c > lfuInit {
			odds += int(c-lfuInit) * ev.logFactor
		}
		if st.random(odds) == 0 {
			c++
		}
	}
	return lfuMinutes(t.now)<<8 | c
}

// evictionPool is how many candidates an Evictor keeps.
const evictionPool = 16

// Evictor keeps the best eviction candidates seen (as Redis' pool of 16). It is owned by
// one goroutine. Use: Sample some stripes, then Best until its key could be deleted.
type Evictor struct {
	pool [evictionPool]candidate // [0,n), ascending by worth
	n    int
	best []byte
}

type candidate struct {
	db    int
	key   []byte
	worth uint64 // the greater, the sooner it goes
}

// Sample looks at n random keys (maxmemory-samples) per held stripe and database, and keeps
// the best candidates under the policy in force. REQUIRES: t is begun, in the usual case
// with BeginStripe.
func (e *Evictor) Sample(t *Txn, n int) {
	ev := t.s.evictionNow()
	if ev.policy == NoEviction {
		return
	}
	t.eachStripe(func(st *stripe) {
		for db := range t.s.databases {
			p := st.parts[t.s.spaces[db].Load()].Load()
			if p == nil || p.keys.Load() == 0 || ev.policy.volatile() && p.volatile.Load() == 0 {
				continue
			}
			for range n {
				if b := st.sample(p, ev.policy.volatile()); b != nil {
					e.offer(db, b, e.worth(st, b, t.now, ev))
				}
			}
		}
	})
}

func (e *Evictor) worth(st *stripe, b block, nowMs int64, ev eviction) uint64 {
	switch ev.policy {
	case AllKeysLRU, VolatileLRU:
		return uint64(lruIdle(entryClock(b), nowMs))
	case AllKeysLFU, VolatileLFU:
		return 255 - uint64(lfuDecayed(entryClock(b), nowMs, ev))
	case VolatileTTL:
		return ^uint64(entryExpire(b))
	}
	return uint64(st.random(1 << 30))
}

// sampleTries bounds the search for a volatile key among many that are not.
const sampleTries = 64

// sample returns a random entry of p, or nil. Keys of full slots stand a better chance than
// in a fair draw only by as much as slots differ in size.
func (st *stripe) sample(p *part, volatile bool) block {
	at := st.random(len(p.tables))
	for tries, i := 0, 0; i < 2*len(p.tables) && tries < sampleTries; i++ {
		tab := p.tables[at]
		if at++; at == len(p.tables) {
			at = 0
		}
		if tab == nil || volatile && tab.next == nil {
			continue
		}
		tries++
		g := st.seg(tab.dir[st.random(len(tab.dir))])
		if g.n == 0 || volatile && g.volatile == 0 {
			continue
		}
		w := g.all()
		for j, k := st.random(len(w)), 0; k < len(w); k++ {
			b := st.entryAt(w[(j+k)%len(w)])
			if !volatile || entryFlags(b)&flagExpire != 0 {
				return b
			}
		}
	}
	return nil
}

// offer keeps the entry if it is worth more than the least one kept.
func (e *Evictor) offer(db int, b block, worth uint64) {
	key := entryKey(b)
	at := e.n
	for i := range e.pool[:e.n] {
		if e.pool[i].db == db && string(e.pool[i].key) == string(key) {
			return
		}
		if at == e.n && e.pool[i].worth > worth {
			at = i
		}
	}
	if e.n == evictionPool {
		if at == 0 {
			return
		}
		// Drop the least one, and use its key's memory again.
		at--
		first := e.pool[0]
		copy(e.pool[:at], e.pool[1:at+1])
		e.pool[at] = first
	} else {
		last := e.pool[e.n]
		copy(e.pool[at+1:e.n+1], e.pool[at:e.n])
		e.pool[at] = last
		e.n++
	}
	c := &e.pool[at]
	c.db, c.worth, c.key = db, worth, append(c.key[:0], key...)
}

// Best removes and returns the best candidate. The caller begins a Txn on its slot and
// deletes it if it still exists; key is valid until the next call of Best or Sample.
func (e *Evictor) Best() (db int, key []byte, ok bool) {
	if e.n == 0 {
		return 0, nil, false
	}
	e.n--
	c := &e.pool[e.n]
	e.best = append(e.best[:0], c.key...)
	return c.db, e.best, true
}
