package node

import (
	"fmt"

	"github.com/sextantdb/sextant/cluster/repl"
	"github.com/sextantdb/sextant/resp/dispatch"
	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/rdb"
	"github.com/sextantdb/sextant/store/slot"
)

// target is the keyspace as the goal of a full sync. What arrives is received into a file and
// checked there first (repl.LoadFile), so the old data goes only when a whole, sound copy of the
// new is on this machine.
type target struct{ n *Node }

func (n *Node) replTarget() repl.Target { return target{n} }

func (t target) Databases() int  { return t.n.store.Databases() }
func (t target) CanShadow() bool { return false }

func (t target) Empty() bool {
	for db := range t.n.store.Databases() {
		if t.n.store.DBSize(db) > 0 {
			return false
		}
	}
	return true
}

func (t target) Begin(inPlace bool) (repl.Dataset, error) {
	if !inPlace {
		return nil, fmt.Errorf("this node cannot hold two data sets at once")
	}
	n := t.n
	n.saver.Cancel()
	n.disp.SetGate(dispatch.GateLoading, true)
	n.empty()
	return &incoming{n: n, now: nowMs()}, nil
}

// incoming is the data set while it comes in. Clients are told LOADING meanwhile.
type incoming struct {
	n   *Node
	txn store.Txn
	now int64
}

func (i *incoming) Put(rec *rdb.Record) error {
	if rec.Kind != rdb.KindKey {
		if rec.Kind == rdb.KindFunction {
			return fmt.Errorf("function libraries are not supported")
		}
		return nil // sizes: our tables grow by themselves
	}
	at := store.NoExpire
	if rec.ExpireAt != 0 {
		at = rec.ExpireAt
	}
	t := &i.txn
	t.Begin(i.n.store, i.now, slot.Of(rec.Key))
	defer t.End()
	t.SetView(store.ViewStream)
	t.SelectDB(rec.DB)
	switch v := &rec.Value; {
	case v.Object != nil:
		t.SetObject(rec.Key, v.Object, at)
	case v.IsString():
		t.SetString(rec.Key, v.Payload, at)
	default:
		t.SetPayload(rec.Key, v.Type, v.Encoding, v.Payload, at)
	}
	return nil
}

func (i *incoming) Install(at func()) error {
	i.n.exclusive(at)
	i.n.saver.MarkClean()
	i.n.disp.SetGate(dispatch.GateLoading, false)
	return nil
}

func (i *incoming) Discard() {
	i.n.empty()
	i.n.disp.SetGate(dispatch.GateLoading, false)
}
