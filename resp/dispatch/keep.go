package dispatch

import (
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/observe"
	"github.com/sextantdb/sextant/resp/server"
	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/slot"
)

// How much of the time between two ticks housekeeping may take. At 10 ticks a second 20 ms
// are a fifth of one core, and only while there is that much to do.
const (
	expireBudgetNs = 20e6 // with active-expire-effort 1
	expireEffortNs = 5e6  // what each further step of it adds
	tidyBudgetNs   = 5e6
	tidySliceNs    = 200e3   // of it, between two rounds: what a request may wait for
	expireStep     = 256     // keys looked at per lock hold
	reclaimStep    = 512     // keys freed per lock hold
	defragStep     = 128     // blocks moved per lock hold
	releaseStep    = 8 << 20 // bytes given back to the system per tick
)

// keeper is where a worker's housekeeping stands. Owned by the worker.
type keeper struct {
	stripe  int   // next stripe for tidying
	todo    int   // stripes to tidy before this tick's tidying is complete
	tidyNs  int64 // what it may still take
	evictor store.Evictor
	sampled int  // next stripe to sample for eviction
	large   bool // the data set is larger than warmFrom
}

// Housekeeping implements server.Handler: each loop looks after its share of the stripes.
func (d *Dispatcher) Housekeeping(l *server.Loop, tick bool) {
	if w := d.workers[l.Index()]; tick || w.keeper.todo > 0 {
		w.keep(l, tick)
	}
	d.shipper.Ship(l.Mono, false)
}

// Idle implements server.Idler.
func (d *Dispatcher) Idle(l *server.Loop) { d.shipper.Ship(l.Mono, true) }

func (w *worker) keep(l *server.Loop, tick bool) {
	d := w.d
	w.loop, w.nowMs, w.mono = l, l.NowMs, l.Mono
	if tick {
		w.keeper.large = d.store.UsedBytes() > warmFrom
		w.redirectParked()
		w.expire()
		w.expireOwn()
		w.tidy(w.keeper.tidyNs) // rounds were few since the last tick, so nobody waits
		w.keeper.todo, w.keeper.tidyNs = (d.store.Stripes()-w.index+len(d.workers)-1)/len(d.workers), tidyBudgetNs
	}
	w.tidy(min(w.keeper.tidyNs, tidySliceNs))
	d.tracking.Flush(l)
	if tick && w.index == 0 {
		d.tracking.Trim(l)
		d.store.ReleaseFree(releaseStep)
		if Gate(d.gates.Load())&(GateMemory|GateLoading|GatePause) == GateMemory {
			w.makeRoom() // nobody may be asking, and still the bound holds (CONFIG SET maxmemory)
		}
	}
}

// expire removes keys whose time has come, on a primary.
func (w *worker) expire() {
	d := w.d
	if store.View(d.view.Load()) != store.ViewPrimary || !d.expire.Load() || Gate(d.gates.Load())&(GateLoading|GatePause) != 0 {
		return
	}
	start, budget := d.clock(), d.expireBudget.Load()
	for stripe := w.index; stripe < d.store.Stripes(); stripe += len(d.workers) {
		for more := d.store.NextExpire(stripe) <= w.nowMs; more; {
			if !w.txn.TryBeginStripe(d.store, w.nowMs, stripe) {
				break // somebody has it, perhaps a script, for long: at the next tick
			}
			if Gate(d.gates.Load())&(GateLoading|GatePause) != 0 || store.View(d.view.Load()) != store.ViewPrimary {
				w.txn.End() // changed since: whoever fenced after that counts on nothing going on
				return
			}
			_, more = w.txn.ActiveExpire(expireStep)
			w.publishExpired()
			w.fireEvents()
			w.conclude()
			if d.clock()-start > budget {
				d.Stats.ExpireStopped.Inc()
				w.expiredFor(start)
				return
			}
		}
	}
	w.expiredFor(start)
}

// expiredFor counts an expire cycle that began at start.
func (w *worker) expiredFor(start int64) {
	spent := w.d.clock() - start
	w.d.Stats.ExpireNs.Add(spent)
	w.d.observer.Worked(observe.EventExpireCycle, spent)
}

// publishExpired sends the deletions of what the Txn found expired. REQUIRES: stripes held.
func (w *worker) publishExpired() {
	e := &w.ctx.Effects
	e.Clear()
	e.Off = !w.d.sink.Active()
	e.AppendExpired(&w.txn, w.d.deletion())
	command.EachExpired(&w.txn, w.note)
	w.txn.ClearExpired()
	if !e.Empty() {
		e.Apart = true
		w.d.sink.Append(e)
	}
}

// tidy frees what was flushed and moves blocks together, for about ns nanoseconds.
func (w *worker) tidy(ns int64) {
	d, k := w.d, &w.keeper
	mine := (d.store.Stripes() - w.index + len(d.workers) - 1) / len(d.workers)
	for start := d.clock(); k.todo > 0; {
		if !w.txn.TryBeginStripe(d.store, w.nowMs, w.index+k.stripe*len(d.workers)) {
			return
		}
		left := w.txn.Reclaim(reclaimStep)
		_, more := w.txn.Defrag(defragStep)
		w.txn.End()
		if left == 0 && !more {
			k.stripe = (k.stripe + 1) % mine
			k.todo--
		}
		if spent := d.clock() - start; spent > ns {
			if k.tidyNs -= spent; k.tidyNs <= 0 {
				k.todo = 0 // go on with the same stripe at the next tick
			}
			return
		}
	}
}

// makeRoom evicts keys until the node is within maxmemory. It reports false when that cannot
// be done. A replica ignores maxmemory (replica-ignore-maxmemory): it has what its primary has.
func (w *worker) makeRoom() bool {
	d := w.d
	limit := d.limits.maxMemory.Load()
	if limit == 0 || d.store.UsedBytes()+d.other() <= limit {
		return true
	}
	start := d.clock()
	defer func() { d.observer.Worked(observe.EventEvictionCycle, d.clock()-start) }()
	recounted := false
	for tries := 0; d.store.UsedBytes()+d.other() > limit; {
		if store.View(d.view.Load()) != store.ViewPrimary {
			return true
		}
		if tries > 2*d.store.Stripes() || store.Policy(d.limits.policy.Load()) == store.NoEviction {
			// Nothing that the policy allows to go. What is held beside the keys may have gone since.
			if recounted {
				return false
			}
			recounted, tries = true, 0
			d.recount()
			continue
		}
		if db, key, ok := w.keeper.evictor.Best(); ok {
			if !w.evict(db, key) {
				return true
			}
			continue
		}
		tries++
		if w.txn.TryBeginStripe(d.store, w.nowMs, w.keeper.sampled) {
			w.keeper.evictor.Sample(&w.txn, int(d.limits.samples.Load()))
			w.txn.End()
		}
		w.keeper.sampled = (w.keeper.sampled + 1) % d.store.Stripes()
	}
	return true
}

// evict deletes one key. It reports false when writes were paused, or the node became a
// replica, in the meantime.
func (w *worker) evict(db int, key []byte) bool {
	e := &w.ctx.Effects
	if !w.reach(slot.Of(key)) {
		return true // a script has it; others may go
	}
	if Gate(w.d.gates.Load())&GatePause != 0 || store.View(w.d.view.Load()) != store.ViewPrimary {
		w.txn.End()
		return false
	}
	w.txn.SelectDB(db)
	e.Clear()
	e.Off = !w.d.sink.Active()
	if w.txn.Delete(key) {
		w.d.Stats.Evicted.Inc()
		e.Append(db, w.d.evictWord(), key)
		w.note(command.EventEvicted, "evicted", db, key)
	}
	if w.txn.HasExpired() { // its time had come
		w.settleExpired(0, 0)
	}
	if !e.Empty() {
		w.d.sink.Append(e)
	}
	w.fireEvents()
	w.conclude()
	return true
}
