package dispatch

import (
	"slices"

	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/slot"
)

// Handing keys to another node takes a while, and no stripe is held meanwhile. What keeps it
// atomic: from the moment the keys' values are read until they are deleted here (or the attempt
// has failed), calls that could write to them are set aside. They walk anew afterwards, and are
// then redirected to where the key is. So do the calls of parked clients when they are woken, whose
// time limit begins anew. Reads go on: the key is here.
//
// Expiry and eviction are not held up. A key that goes that way while its copy is on its way is
// as good as expired there, or was to be evicted.

// moving are the keys under way. Guarded by Dispatcher.mu.
type moving struct {
	keys map[movingKey]int // how many attempts hold it: 1, but for a key named twice
	held []*client
}

type movingKey struct {
	db  int
	key string
}

func (m *moving) forget(c *client) {
	if i := slices.Index(m.held, c); i >= 0 {
		m.held = slices.Delete(m.held, i, i+1)
	}
}

func (m *moving) touches(db int, cmd *command.Command, argv [][]byte) bool {
	refs, _ := cmd.KeysOf(argv, nil, false)
	for _, r := range refs {
		if m.keys[movingKey{db, string(argv[r.Index])}] > 0 {
			return true
		}
	}
	return false
}

// HoldKeys has writes to keys of a database wait until LetKeysGo. REQUIRES: their stripes are held.
func (d *Dispatcher) HoldKeys(db int, keys [][]byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := &d.mu.moving
	if m.keys == nil {
		m.keys = map[movingKey]int{}
	}
	for _, k := range keys {
		m.keys[movingKey{db, string(k)}]++
	}
	d.SetGate(GateMoving, true)
}

// LetKeysGo ends HoldKeys, and the calls that waited walk anew. Any goroutine.
func (d *Dispatcher) LetKeysGo(db int, keys [][]byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := &d.mu.moving
	for _, k := range keys {
		id := movingKey{db, string(k)}
		if m.keys[id]--; m.keys[id] <= 0 {
			delete(m.keys, id)
		}
	}
	if len(m.keys) == 0 {
		d.SetGate(GateMoving, false)
	}
	for _, c := range m.held {
		c.conn.Do(func() { c.w.retry(c) })
	}
	m.held = nil
}

// awaitMove sets a call aside that could write to a key under way; a Debugger's, which has no connection, comes again by
// itself. REQUIRES: stripes held: a key
// is held under its stripe, so nothing slips through between the look and the call.
func (w *worker) awaitMove(c *client, cmd *command.Command, argv [][]byte, flags command.Flags) bool {
	if c.trusted || flags&(command.Write|command.MayReplicate) == 0 {
		return false
	}
	d := w.d
	d.mu.Lock()
	defer d.mu.Unlock()
	m := &d.mu.moving
	touches := func(cmd *command.Command, argv [][]byte) bool { return m.touches(c.sess.DB(), cmd, argv) }
	wait := flags&command.WholeDB != 0 && len(m.keys) > 0
	if flags&command.RunsScript != 0 { // it may touch what it did not name, as far as its stripes reach
		for k := range m.keys {
			wait = wait || w.txn.Holds(slot.OfString(k.key))
		}
	}
	if cmd.Flags&command.Queued != 0 {
		for _, q := range c.sess.Queue() {
			wait = wait || touches(q.Cmd.(*command.Command), q.Argv)
		}
	} else {
		wait = wait || touches(cmd, argv)
	}
	if wait && c.conn != nil {
		w.setAside(c, argv)
		m.held = append(m.held, c)
	}
	return wait
}

// movesWithin reports whether a key of a slot's stripe is under way. REQUIRES: the stripe is held.
func (d *Dispatcher) movesWithin(at slot.Slot) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for k := range d.mu.moving.keys {
		if d.store.Stripe(slot.OfString(k.key)) == d.store.Stripe(at) {
			return true
		}
	}
	return false
}

// mustAwaitMove is awaitMove for a parked client's call, which is not set aside here but walks anew on its own loop.
// REQUIRES: the stripes of its slots held.
func (d *Dispatcher) mustAwaitMove(t *ticket) bool {
	if t.cmd.Flags&(command.Write|command.MayReplicate) == 0 {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.moving.touches(t.db, t.cmd, t.argv)
}

// Units runs work of the node itself that is no client's call: handing over keys ends with
// their deletion. It is owned by one goroutine.
type Units struct{ w *worker }

// NewUnits returns a Units.
func (d *Dispatcher) NewUnits() *Units { return &Units{newWorker(d, len(d.workers))} }

// Run has f work on slots of a database as one unit: with their stripes held, its effects in the
// stream, its events after. Of its Ctx, f may use Txn, Effects and Notify. False, and f is not run,
// when the node is no primary or holds writes back.
func (u *Units) Run(nowMs int64, db int, slots *slot.Set, f func(*command.Ctx)) bool {
	w, d := u.w, u.w.d
	w.nowMs = nowMs
	w.txn.BeginSet(d.store, nowMs, slots)
	if Gate(d.gates.Load())&(GatePause|GateLoading) != 0 || store.View(d.view.Load()) != store.ViewPrimary {
		w.txn.End()
		return false
	}
	w.txn.SelectDB(db)
	e := &w.ctx.Effects
	e.Clear()
	e.Off = !d.sink.Active()
	f(&w.ctx)
	if w.txn.HasExpired() {
		w.settleExpired(0, 0)
	}
	if !e.Empty() {
		d.sink.Append(e)
	}
	w.fireEvents()
	w.conclude()
	d.shipper.Ship(0, true)
	return true
}
