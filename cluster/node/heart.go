package node

import (
	"sync/atomic"
	"time"

	"github.com/sextantdb/sextant/cluster/agent"
	"github.com/sextantdb/sextant/cluster/core"
	"github.com/sextantdb/sextant/store"
)

// heart watches the data path of a clustered node: the bus has goroutines of its own, so it
// would keep the lease of a node whose event loops hang, or whose store somebody does not let
// go. A beat asks every loop for a sign and takes every stripe once, one after the other; how
// long the last whole beat is ago goes to the cluster machine, which decides
// (core.Local.Silent).
type heart struct {
	n *Node
	// last is when the newest beat that came to its end began, on the agent's clock; 0 before the
	// first. Written by run, read by the agent's loop.
	last atomic.Int64
}

// beatEvery is a fifth of what the machine tolerates.
func beatEvery(v *Values) time.Duration {
	return min(nodeTimeout(v)/20, 500*time.Millisecond)
}

// run beats until the node stops.
func (h *heart) run() {
	rest := time.NewTimer(0)
	defer rest.Stop()
	for {
		select {
		case <-h.n.quit:
			return
		case <-rest.C:
		}
		every := beatEvery(h.n.cfg.Now())
		began := agent.BootTime()
		if !h.beat() {
			return
		}
		h.last.Store(int64(began))
		if agent.BootTime()-began > core.Mono(every) {
			h.n.agent.Poke() // the machine may have given the node up
		}
		rest.Reset(every)
	}
}

// beat comes back when everything has answered; false when the node stops.
func (h *heart) beat() bool {
	loops := h.n.srv.Loops()
	signs := make(chan struct{}, len(loops))
	for _, l := range loops {
		l.Post(func() { signs <- struct{}{} })
	}
	look := time.NewTicker(scriptLook)
	defer look.Stop()
	for missing := len(loops); missing > 0; {
		select {
		case <-signs:
			missing--
		case <-look.C:
			if h.n.disp.ScriptAlive() {
				return true
			}
		case <-h.n.quit:
			return false
		}
	}
	var t store.Txn
	for i := range h.n.store.Stripes() {
		for !t.TryBeginStripe(h.n.store, nowMs(), i) {
			if h.n.disp.ScriptAlive() {
				return true
			}
			select {
			case <-time.After(time.Millisecond):
			case <-h.n.quit:
				return false
			}
		}
		t.End()
	}
	return true
}

// scriptLook is how often a beat that waits looks whether it is a script that lets it wait: a script that runs is the data
// path at work, however long it takes.
const scriptLook = 20 * time.Millisecond

// silent is how long the data path has not answered: less than a beat, as long as all is well. A
// script over its time holds stripes, but clients are told BUSY and can kill it: as in Redis,
// that node is alive.
func (h *heart) silent() core.Mono {
	last := h.last.Load()
	if last == 0 || h.n.disp.Busy() != "" {
		return 0
	}
	return agent.BootTime() - core.Mono(last)
}
