package snapshot

import (
	"fmt"
	"sync"
	"time"

	"github.com/sextantdb/sextant/store"
)

// Purpose says what a snapshot is for; another may not begin meanwhile, and its caller's
// answer depends on what is in the way.
type Purpose uint8

const (
	ForSave    Purpose = iota // an RDB file
	ForRewrite                // the base of a new append-only file
	ForSync                   // replicas
)

func (p Purpose) String() string {
	return [...]string{"save", "append-only file rewrite", "full sync"}[p]
}

// BusyError refuses a snapshot because one is being read.
type BusyError struct{ Purpose Purpose }

func (e *BusyError) Error() string {
	return fmt.Sprintf("a snapshot for a %v is in progress", e.Purpose)
}

// Source makes the snapshots of one Store, one at a time. Any goroutine may use it, also one
// that holds stripes (except Begin): its mutex is never held while a stripe is waited for.
type Source struct {
	// Cut, if not nil, is told how long each cut took. Set before the first.
	Cut func(took time.Duration)

	store *store.Store

	mu      sync.Mutex
	busy    bool          // guarded by mu: from before the cut until the end of Run
	purpose Purpose       // guarded by mu; of the one in the way
	current *Snapshot     // guarded by mu; nil while not busy and while the cut is being made
	idle    chan struct{} // guarded by mu; closed when busy becomes false
	cuts    int64         // guarded by mu
	lastCut time.Duration // guarded by mu
}

// NewSource returns the Source of s. There must be only one for a Store.
func NewSource(s *store.Store) *Source {
	idle := make(chan struct{})
	close(idle)
	return &Source{store: s, idle: idle}
}

// Begin makes the cut. atCut, which may be nil, runs with all stripes held; it must not change
// the store. REQUIRES: the caller has no Txn open. The error is a *BusyError.
func (c *Source) Begin(p Purpose, nowMs int64, o Options, atCut func(*store.Txn)) (*Snapshot, error) {
	if o.MaxPreImageBytes <= 0 {
		o.MaxPreImageBytes = DefaultMaxPreImageBytes
	}
	c.mu.Lock()
	if c.busy {
		defer c.mu.Unlock()
		return nil, &BusyError{c.purpose}
	}
	c.busy, c.purpose, c.idle = true, p, make(chan struct{})
	c.mu.Unlock()

	sp := &Snapshot{
		databases: c.store.Databases(), maxHeld: o.MaxPreImageBytes,
		aborted: make(chan struct{}), ended: c.ended,
	}
	if o.Lockstep {
		sp.returned = make(chan struct{}, 1) // one batch is out at a time
	}
	var t store.Txn
	began := time.Now()
	t.BeginAll(c.store, nowMs)
	sp.sn = t.Cut(sink{sp})
	for db := range sp.databases {
		sp.keysTotal += sp.sn.Keys(db)
	}
	if atCut != nil {
		atCut(&t)
	}
	t.End()
	took := time.Since(began)

	c.mu.Lock()
	c.cuts++
	c.lastCut = took
	c.current = sp
	c.mu.Unlock()
	if c.Cut != nil {
		c.Cut(took)
	}
	return sp, nil
}

func (c *Source) ended() {
	c.mu.Lock()
	c.busy, c.current = false, nil
	close(c.idle)
	c.mu.Unlock()
}

// Cuts is how many snapshots were begun, and how long the last cut took: the wait for all stripes and the hold of them.
func (c *Source) Cuts() (n int64, last time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cuts, c.lastCut
}

// Busy reports whether a snapshot is in the way, and its purpose.
func (c *Source) Busy() (Purpose, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.purpose, c.busy
}

// Current returns the snapshot being read, or nil.
func (c *Source) Current() *Snapshot {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current
}

// Idle returns a channel that is closed once the snapshot now being read has ended; it is
// closed already when there is none.
func (c *Source) Idle() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.idle
}
