package dispatch

import (
	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/slot"
)

// On a replica that takes writes (replica-read-only no) keys do not expire: their primary says
// when they go. It will never say so of the keys that clients gave an expiry time here, so
// these are remembered, in their stripe's lot, and removed by housekeeping.

// TrackOwnExpiry switches the memory of such keys on or off. Any goroutine, also one that holds
// stripes: a Txn that is under way may miss what it does itself.
func (d *Dispatcher) TrackOwnExpiry(on bool) {
	if d.ownExpiry.Swap(on) != on {
		n := -1
		if on {
			n = 1
		}
		d.store.NoteTouched(n)
	}
}

// noteOwnExpiry remembers the keys of the unit just run that have an expiry time, and forgets
// those that have none. REQUIRES: stripes held, the client is not our primary.
func (w *worker) noteOwnExpiry() {
	db, view := w.txn.DB(), w.txn.View()
	w.txn.SetView(store.ViewStream)
	for _, n := range w.txn.Touched(0) {
		if n.Key == nil || n.DB >= w.d.store.Databases() {
			continue
		}
		l := &w.d.lots[w.d.store.Stripe(slot.Of(n.Key))]
		if w.txn.SelectDB(n.DB); w.mayExpire(n.Key) {
			l.remember(waitKey{n.DB, string(n.Key)}, w.d)
		} else {
			l.forget(waitKey{n.DB, string(n.Key)}, w.d)
		}
	}
	w.txn.SelectDB(db)
	w.txn.SetView(view)
}

// mayExpire reports whether key is there and has an expiry time, come or not. REQUIRES: ViewStream.
func (w *worker) mayExpire(key []byte) bool {
	e, ok := w.txn.Lookup(key, store.NoTouch|store.NoStats)
	return ok && e.ExpireAt() != store.NoExpire
}

func (l *lot) remember(k waitKey, d *Dispatcher) {
	if _, known := l.own[k]; !known {
		if l.own == nil {
			l.own = map[waitKey]struct{}{}
		}
		l.own[k] = struct{}{}
		d.Stats.OwnExpires.Add(1)
	}
}

func (l *lot) forget(k waitKey, d *Dispatcher) {
	if _, known := l.own[k]; known {
		delete(l.own, k)
		d.Stats.OwnExpires.Add(-1)
	}
}

// expireOwn removes remembered keys whose time has come; some of each stripe, at every tick.
func (w *worker) expireOwn() {
	d := w.d
	if d.Stats.OwnExpires.Load() == 0 || !d.expire.Load() {
		return
	}
	for stripe := w.index; stripe < d.store.Stripes(); stripe += len(d.workers) {
		if !w.reach(slot.Slot(stripe)) {
			continue // at the next tick
		}
		on := d.ownExpiry.Load() && Gate(d.gates.Load())&(GateLoading|GatePause) == 0
		l, budget := &d.lots[stripe], expireStep
		for k := range l.own { // another order each time
			if budget--; budget < 0 {
				break
			}
			key := []byte(k.key)
			w.txn.SelectDB(k.db)
			w.txn.SetView(store.ViewStream)
			switch {
			case !d.ownExpiry.Load() || !w.mayExpire(key):
				l.forget(k, d)
			case on:
				w.txn.SetView(store.ViewPrimary)
				if !w.txn.Exists(key) {
					l.forget(k, d)
				}
			}
		}
		w.publishExpired()
		w.fireEvents()
		w.conclude()
	}
}
