package dispatch

import (
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/slot"
)

// sweepStep is how many keys a Sweeper deletes per lock hold.
const sweepStep = 64

// Sweeper deletes the keys of slots that another shard serves now, so that they cannot come
// back stale if the slot does. It is owned by one goroutine.
type Sweeper struct {
	w    *worker
	keys []byte // the keys of one step, one behind the other
	ends []int
}

// NewSweeper returns a Sweeper.
func (d *Dispatcher) NewSweeper() *Sweeper {
	return &Sweeper{w: newWorker(d, len(d.workers))}
}

// Slot deletes every key of sl and sends the deletions to the stream, as long as foreign, asked
// under the slot's lock, says that the slot is another shard's, and this node is a primary whose
// writes are not held. It returns how many keys went.
func (s *Sweeper) Slot(sl slot.Slot, nowMs int64, foreign func() bool) (deleted int) {
	w, d := s.w, s.w.d
	for more := true; more; {
		w.txn.Begin(d.store, nowMs, sl)
		w.txn.SetView(store.ViewStream)
		if Gate(d.gates.Load())&(GatePause|GateLoading) != 0 || store.View(d.view.Load()) != store.ViewPrimary || !foreign() {
			w.txn.End()
			return deleted
		}
		s.keys, s.ends = s.keys[:0], s.ends[:0]
		more = false
		w.txn.EachInSlot(sl, func(e store.Entry) bool {
			if len(s.ends) == sweepStep {
				more = true
				return false
			}
			s.keys = append(s.keys, e.Key()...)
			s.ends = append(s.ends, len(s.keys))
			return true
		})
		e := &w.ctx.Effects
		e.Clear()
		e.Off, e.Apart = !d.sink.Active(), true
		begin := 0
		for _, end := range s.ends {
			key := s.keys[begin:end]
			begin = end
			if w.txn.Delete(key) {
				deleted++
				e.Append(w.txn.DB(), delWord, key)
				w.note(command.EventGeneric, "del", w.txn.DB(), key)
			}
		}
		if !e.Empty() {
			d.sink.Append(e)
		}
		w.fireEvents()
		w.conclude()
		d.shipper.Ship(0, true)
	}
	return deleted
}
