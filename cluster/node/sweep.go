package node

import (
	"github.com/sextantdb/sextant/cluster/topology"
	"github.com/sextantdb/sextant/resp/dispatch"
	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/slot"
)

// sweeper deletes keys whose slots went to another shard. Owned by runCron's goroutine.
type sweeper struct {
	n     *Node
	s     *dispatch.Sweeper
	owner *topology.SlotTable // swept for this slot table already
}

// foreign reports whether another shard serves sl and this node may delete its keys: it leads
// its own shard and the slot is not on its way here.
func foreign(v *topology.View, sl slot.Slot) bool {
	if !v.Leading || v.MyShardOwns(sl) {
		return false
	}
	_, owned := v.OwnerOf(sl)
	_, open := v.OpenSlot(sl)
	return owned && !open
}

// run looks at the slots again when their owners have changed.
func (w *sweeper) run() {
	v := w.n.agent.View()
	if v.Owner == w.owner || !v.Leading {
		return
	}
	w.owner = v.Owner
	now, deleted := nowMs(), 0
	for _, sl := range w.held(v, now) {
		deleted += w.s.Slot(sl, now, func() bool { return foreign(w.n.agent.View(), sl) })
	}
	if deleted > 0 {
		w.n.log.Notice("cluster: %d keys of slots that other nodes serve now were deleted", deleted)
	}
}

// held lists the foreign slots that have keys here.
func (w *sweeper) held(v *topology.View, now int64) (slots []slot.Slot) {
	var t store.Txn
	stripes := w.n.store.Stripes()
	for stripe := range stripes {
		t.BeginStripe(w.n.store, now, stripe)
		for sl := stripe; sl < slot.Count; sl += stripes {
			if foreign(v, slot.Slot(sl)) && t.CountInSlot(slot.Slot(sl)) > 0 {
				slots = append(slots, slot.Slot(sl))
			}
		}
		t.End()
	}
	return slots
}
