// Package snapshot reads the whole keyspace as it was at one instant while clients go on
// changing it: BGSAVE, the rewrite of the append-only file and full syncs of replicas are
// made from it. The store package makes the cut and tells it apart; this package copies
// entries out in short lock holds and hands them to readers in batches. It must not know in
// which format they are written, nor to where.
//
// # How it goes
//
// Source.Begin locks all stripes for a moment: the cut. There the caller's function runs, which
// notes the replication offset that belongs to the data. Then readers join (Stream), and one
// goroutine of the caller's choice calls Run, which walks slot by slot; the readers take
// batches with Next, each in a goroutine of its own. Run must be called for every Snapshot
// that Begin returned, also to abandon one (Abort, then Run).
//
// # Pre-images
//
// Before a client changes an entry the walk has not reached, the store hands its old image to
// us (store.Sink). It is copied into a batch beside the walk's own; order does not matter,
// because every entry of the cut comes exactly once, by one way or the other. So an image need
// not wait for the walk to reach its slot: Run passes full batches of images on before each
// step of the walk, and what is held is only what the readers could not yet take.
//
// # Bounds
//
// Options.MaxPreImageBytes bounds the held pre-images. Draining them always goes before
// walking, which is the best that can be done: each byte a reader takes either frees a held
// byte or forestalls one, and only the first is certain. Letting the writer walk its slot
// itself (as DESIGN once had it) would hold the same bytes in another place. At the bound the
// snapshot aborts; the client never waits and never fails. Besides, each reader's queue holds
// at most queueBatches batches of about walkBatchBytes. What the store keeps of detached tables
// (FLUSHALL) is not new memory and not counted here: see Progress.DetachedBytes.
//
// # Locks
//
// Run holds one stripe's lock per step, for at most holdEntries looked at or holdBytes copied
// (one larger value is copied whole). A pre-image is copied under its stripe's lock and then a
// shard's, which nothing else is taken under but free.mu and ready.mu.
package snapshot

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/slot"
)

const (
	// holdEntries and holdBytes bound one lock hold of the walk: some tens of microseconds.
	holdEntries = 256
	holdBytes   = 64 << 10

	walkBatchBytes  = 256 << 10
	imageBatchBytes = 64 << 10

	// queueBatches bounds what the walk is ahead of a reader.
	queueBatches = 8

	// shards divide the writers that hand over pre-images.
	shards = 16

	// DefaultMaxPreImageBytes bounds pre-images when Options does not.
	DefaultMaxPreImageBytes = 256 << 20
)

var (
	// ErrPreImages aborts a snapshot whose readers are too slow for the writers.
	ErrPreImages = errors.New("pre-images reached their memory bound")
	// ErrNoReader aborts a snapshot that all readers have left, or that none has joined.
	ErrNoReader = errors.New("no reader is left")
	// ErrStarted refuses a reader that comes after Run has begun.
	ErrStarted = errors.New("the snapshot is already being read")
)

// Options are fixed for one snapshot.
type Options struct {
	// MaxPreImageBytes bounds the memory held for old images of changed entries; 0 means
	// DefaultMaxPreImageBytes.
	MaxPreImageBytes int64
	// Lockstep makes the walk wait until its readers have given each batch back, so that one
	// reader and the walk together keep one core busy, not two. Go's poller wakes an event
	// loop at once only while a core is idle, so on few cores this is what keeps clients'
	// latency (up to 10 ms otherwise).
	Lockstep bool
}

// Snapshot is one point-in-time reading of the keyspace.
type Snapshot struct {
	// Immutable after Begin.
	sn        *store.Snapshot
	databases int
	keysTotal int64
	maxHeld   int64
	aborted   chan struct{} // closed by Abort
	returned  chan struct{} // with Lockstep: told when all readers have given a batch back; else nil
	ended     func()        // told at the end of Run

	readers []*Stream // owned by Run: scratch of pass

	shard [shards]shard

	ready struct {
		sync.Mutex
		batches []*Batch // full batches of pre-images, to be passed on
	}
	free struct {
		sync.Mutex
		batches []*Batch // for reuse; at most freeBatches
	}

	streams struct {
		sync.Mutex
		all     []*Stream
		started bool
	}

	abort struct {
		sync.Once
		reason error // written before aborted is closed, read after
	}

	// Counters, any goroutine.
	keysDone  atomic.Int64
	bytesDone atomic.Int64
	slotsDone atomic.Int64
	images    atomic.Int64 // pre-images so far
	held      atomic.Int64 // bytes of pre-images not yet taken by all readers
	heldPeak  atomic.Int64
	over      atomic.Bool // Run has returned
}

// shard is where writers of some slots collect pre-images.
type shard struct {
	mu    sync.Mutex
	batch *Batch // guarded by mu; nil when empty
	_     [48]byte
}

// Keys is how many keys database db had at the cut, and Expires how many of them expire.
func (sp *Snapshot) Keys(db int) int64    { return sp.sn.Keys(db) }
func (sp *Snapshot) Expires(db int) int64 { return sp.sn.Expires(db) }

// Databases is the number of databases.
func (sp *Snapshot) Databases() int { return sp.databases }

// Progress is how far a snapshot is.
type Progress struct {
	KeysDone, KeysTotal int64 // passed to the readers, and at the cut
	Bytes               int64 // keys and values passed on
	SlotsDone           int64
	PreImages           int64 // entries that writers handed over
	PreImageBytes       int64 // held now
	PreImageBytesPeak   int64
	DetachedBytes       int64 // kept by the store: emptied tables not yet walked
}

// Progress may be called by any goroutine, also after the end.
func (sp *Snapshot) Progress() Progress {
	p := Progress{
		KeysDone: sp.keysDone.Load(), KeysTotal: sp.keysTotal,
		Bytes: sp.bytesDone.Load(), SlotsDone: sp.slotsDone.Load(),
		PreImages: sp.images.Load(), PreImageBytes: sp.held.Load(), PreImageBytesPeak: sp.heldPeak.Load(),
	}
	if sp.over.Load() {
		p.PreImageBytes = 0
	} else {
		p.DetachedBytes = sp.sn.HeldBytes()
	}
	return p
}

// Abort ends the snapshot early: Run and all Nexts return reason. Any goroutine may call it;
// only the first reason counts, and none after the end.
func (sp *Snapshot) Abort(reason error) {
	sp.abort.Do(func() {
		sp.abort.reason = reason
		sp.sn.Abort()
		close(sp.aborted)
	})
}

// reason is why the snapshot was aborted, or nil.
func (sp *Snapshot) reason() error {
	select {
	case <-sp.aborted:
		return sp.abort.reason
	default:
		return nil
	}
}

// Run walks the keyspace and returns when every reader that stayed has been passed every
// batch, or with the reason why not. It calls no one but the store; it blocks while a reader's
// queue is full. After it no lock is taken and no memory held for the snapshot, except the
// batches in queues.
func (sp *Snapshot) Run(ctx context.Context) error {
	sp.streams.Lock()
	sp.streams.started = true
	sp.streams.Unlock()

	stop := context.AfterFunc(ctx, func() { sp.Abort(context.Cause(ctx)) })
	err := sp.walk()
	stop()
	if err != nil {
		sp.Abort(err)
	}
	sp.abort.Do(func() {}) // from here on Abort comes too late
	err = sp.reason()
	sp.sn.End()
	sp.streams.Lock()
	for _, st := range sp.streams.all {
		close(st.queue)
	}
	sp.streams.Unlock()
	sp.dropImages()
	sp.over.Store(true)
	sp.ended()
	return err
}

// walk passes on everything there is.
func (sp *Snapshot) walk() error {
	b := sp.take(walkBatchBytes)
	for sl := range slot.Count {
		var pos store.WalkPos
		for done := false; !done; {
			if err := sp.passImages(); err != nil {
				return err
			}
			done = sp.sn.Walk(slot.Slot(sl), &pos, holdEntries, holdBytes, b.add)
			if b.bytes() >= walkBatchBytes-holdBytes {
				if err := sp.pass(b); err != nil {
					return err
				}
				b = sp.take(walkBatchBytes)
			}
		}
		sp.slotsDone.Add(1)
	}
	// Every slot is done, so no image will come any more; what has come is complete, because
	// it came under the locks the walk has held since.
	for i := range sp.shard {
		sh := &sp.shard[i]
		sh.mu.Lock()
		if sh.batch != nil {
			sp.makeReady(sh.batch)
			sh.batch = nil
		}
		sh.mu.Unlock()
	}
	if err := sp.passImages(); err != nil {
		return err
	}
	return sp.pass(b)
}

// passImages passes on the batches of pre-images that are full. It also is where an abort is
// noticed.
func (sp *Snapshot) passImages() error {
	for {
		if err := sp.reason(); err != nil {
			return err
		}
		sp.ready.Lock()
		if len(sp.ready.batches) == 0 {
			sp.ready.Unlock()
			return nil
		}
		b := sp.ready.batches[0]
		sp.ready.batches = sp.ready.batches[1:]
		sp.ready.Unlock()
		if err := sp.pass(b); err != nil {
			return err
		}
	}
}

func (sp *Snapshot) makeReady(b *Batch) {
	sp.ready.Lock()
	sp.ready.batches = append(sp.ready.batches, b)
	sp.ready.Unlock()
}

// pass gives b to every reader, waiting where a queue is full.
func (sp *Snapshot) pass(b *Batch) error {
	sp.streams.Lock()
	readers := append(sp.readers[:0], sp.streams.all...)
	sp.streams.Unlock()
	sp.readers = readers
	if len(readers) == 0 {
		return ErrNoReader
	}
	if b.Len() == 0 {
		return nil
	}
	sp.keysDone.Add(int64(len(b.items)))
	sp.bytesDone.Add(int64(len(b.data)))
	b.refs.Store(int32(len(readers)))
	for _, st := range readers {
		select {
		case st.queue <- b:
			if st.hasLeft() {
				st.discard() // Close may have looked into the queue before b came
			}
		case <-st.left:
			b.release()
		case <-sp.aborted:
			return sp.abort.reason
		}
	}
	if sp.returned != nil {
		select {
		case <-sp.returned:
		case <-sp.aborted:
			return sp.abort.reason
		}
	}
	return nil
}

// dropImages forgets what an aborted walk has not passed on.
func (sp *Snapshot) dropImages() {
	sp.ready.Lock()
	sp.ready.batches = nil
	sp.ready.Unlock()
	for i := range sp.shard {
		sh := &sp.shard[i]
		sh.mu.Lock()
		sh.batch = nil
		sh.mu.Unlock()
	}
}

// sink is the Snapshot as the store sees it.
type sink struct{ *Snapshot }

// PreImage copies an entry that is about to change. It runs under a stripe's lock.
func (k sink) PreImage(img *store.Image) {
	sp := k.Snapshot
	if sp.reason() != nil {
		return
	}
	sh := &sp.shard[img.Slot%shards]
	sh.mu.Lock()
	b := sh.batch
	if b == nil {
		b = sp.take(imageBatchBytes)
		sh.batch = b
	}
	before := b.bytes()
	b.add(img)
	cost := b.bytes() - before
	if img.Object != nil {
		cost += img.Object.MemBytes()
	}
	b.held += cost
	full := b.bytes() >= imageBatchBytes
	if full {
		sh.batch = nil
	}
	sh.mu.Unlock()
	if full {
		sp.makeReady(b)
	}
	sp.images.Add(1)
	held := sp.held.Add(cost)
	for peak := sp.heldPeak.Load(); held > peak && !sp.heldPeak.CompareAndSwap(peak, held); {
		peak = sp.heldPeak.Load()
	}
	if held > sp.maxHeld {
		sp.Abort(fmt.Errorf("%w of %d bytes", ErrPreImages, sp.maxHeld))
	}
}
