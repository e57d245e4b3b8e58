package node

import (
	"sync/atomic"

	"github.com/sextantdb/sextant/store"
)

// memSample is where the keyspace's memory went when it was last looked at: looking needs
// every stripe in turn, so the node does it once a second and INFO shows that.
type memSample struct{ store.MemStats }

func (m *memSample) blocks() int64 { return m.Entries.Block + m.Values.Block + m.Tables.Block }
func (m *memSample) asked() int64  { return m.Entries.Asked + m.Values.Asked + m.Tables.Asked }
func (m *memSample) tables() int64 { return m.Tables.Block + m.Directories }

// sampler keeps the newest sample.
type sampler struct{ p atomic.Pointer[memSample] }

func (n *Node) mem() *memSample {
	if m := n.sample.p.Load(); m != nil {
		return m
	}
	return new(memSample)
}

// moved is how many blocks defragmentation moved.
func (n *Node) moved() int64 {
	m := n.mem()
	return m.Entries.Moves + m.Values.Moves + m.Tables.Moves
}

// sampleMemory adds up the stripes, one after the other.
func (n *Node) sampleMemory() {
	var t store.Txn
	sum := new(memSample)
	now := nowMs()
	for i := range n.store.Stripes() {
		t.BeginStripe(n.store, now, i)
		m := t.MemStats()
		t.End()
		sum.Entries.Add(m.Entries)
		sum.Values.Add(m.Values)
		sum.Tables.Add(m.Tables)
		sum.Objects += m.Objects
		sum.Directories += m.Directories
		sum.Garbage += m.Garbage
		sum.Watched += m.Watched
	}
	n.sample.p.Store(sum)
}

// besidesNow is what counts towards maxmemory beside the keyspace: what used_memory says the
// process itself, its clients, their subscriptions and the backlog take.
func (n *Node) besidesNow() int64 { return n.besides.Load() + n.srv.ClientBytes() }

// weighBesides notes all of it but the clients. It is done some times a second, and only while
// there is a bound: it waits for the lock of the stream.
func (n *Node) weighBesides() {
	v := n.cfg.Now()
	if v.MaxMemory == 0 {
		return
	}
	n.besides.Store(n.startupBytes + n.channels.Bytes() + min(n.backlogBytes(), v.ReplBacklogSize))
}

// recountBesides is weighBesides for who is about to refuse calls: at most once in a ms.
func (n *Node) recountBesides() {
	if now := nowMs(); n.weighedMs.Swap(now) != now {
		n.weighBesides()
	}
}
