package dispatch

import (
	"bytes"
	"container/list"
	"slices"
	"sort"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/server"
	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/slot"
)

// A client that waits for keys (command.Park.Keys) stands in the queue of each of them. When a
// unit has run and its effects are in the stream, the worker that ran it goes through the keys
// the unit changed, in that order, and through the queue of each, first come first served: it
// runs the waiting client's call again, on its behalf, as a unit of its own. What the call does
// goes to the stream right behind the unit that woke it, and may wake others. All that is over
// before the worker's own client gets its next request run, on whichever loop the parked one
// lives; only its reply travels there.
//
// # Who owns a ticket
//
// A queue, and whether a ticket stands in it, are guarded by the stripe of its key. A ticket is
// guarded by the stripes of all keys its call names, those it only writes to as well: to end it, whoever it is (the worker that
// serves it, the client's own loop when the time is up or the connection is closed, a change of
// role) holds all of them and takes it out of all its queues. So a ticket ends once, never
// while its call is being run, and its reply is appended once.
//
// # Why no wake-up is lost
//
// A call that parks has looked at its keys, and enters the queues, under one hold of their
// stripes. A unit that changes one of the keys holds that key's stripe too. If it came before,
// the call has seen what it did. If it comes after, then its Txn, begun after the ticket was
// counted in Store.NoteTouched under that stripe, keeps notes; and before it lets go of the
// stripe it has found the key's queue by them (noteReady).
//
// If the worker holds all stripes of the first ticket, as always in a cluster, it serves it
// before it unlocks: nobody comes between. Else it must let go to lock them in ascending order,
// and another call may take what was pushed meanwhile. Then the ticket's call finds nothing, and
// stays parked, at its place, for whoever pushes next: as if the other call had come first.
// What it would have to wait for because a script holds it, it serves later, when its loop comes round again: see relock.

// waitKey is a key that clients wait for.
type waitKey struct {
	db  int
	key string
}

// queue is the tickets that wait for one key, first come first. It exists as long as there are
// any. Guarded by the key's stripe.
type queue struct {
	id      waitKey
	tickets list.List // of *ticket, seq ascending
	missing int       // how many of them wait for the key's end as well
	noted   *worker   // who has it among its ready keys last
}

// lot is what is kept by key of one stripe. Guarded by it.
type lot struct {
	queues map[waitKey]*queue
	own    map[waitKey]struct{} // see own.go
}

// place is where a ticket stands.
type place struct {
	lot *lot
	q   *queue
	at  *list.Element
}

// readyKey is a key that was changed and has a queue.
type readyKey struct {
	id   waitKey
	slot slot.Slot
}

// waker is a worker's business with parked clients. Owned by the worker.
type waker struct {
	ready   []readyKey
	owed    []readyKey  // a script held their stripes; at most one for each queue
	seen    int         // touched notes of the Txn looked at
	again   *ticket     // whose call is being run again
	stays   bool        // it parked again
	reply   resp.Writer // of that call
	answers []answer    // to be sent once the stripes are unlocked
}

// answer is a reply on its way to a client that was parked.
type answer struct {
	t      *ticket
	reply  []byte
	offset int64 // the stream's, behind what the call did; 0: it did nothing
	anew   bool  // no reply: the call walks anew
}

// enter puts t in the queues of its keys. REQUIRES: the stripes of all keys of its call held.
func (w *worker) enter(t *ticket) {
	d := w.d
	t.seq = d.tickets.Add(1)
	t.slots = slices.Clone(w.slots)
	for _, key := range t.p.Keys {
		sl := slot.Of(key)
		if !w.txn.Holds(sl) {
			panic("dispatch: a call parks for a key that it does not name")
		}
		l := &d.lots[d.store.Stripe(sl)]
		q := l.queues[waitKey{t.db, string(key)}]
		if q == nil {
			if l.queues == nil {
				l.queues = map[waitKey]*queue{}
			}
			q = &queue{id: waitKey{t.db, string(key)}}
			l.queues[q.id] = q
			d.Stats.BlockingKeys.Add(1)
		} else if q.tickets.Len() > 0 && q.tickets.Back().Value == t {
			continue // a key named twice
		}
		if t.p.Missing {
			if q.missing++; q.missing == 1 {
				d.Stats.BlockingKeysOnNoKey.Add(1)
			}
		}
		t.places = append(t.places, place{l, q, q.tickets.PushBack(t)})
	}
	d.store.NoteTouched(1)
}

// remove takes t out of its queues. REQUIRES: the stripes of its slots held; it stands in them.
func (t *ticket) remove() {
	d := t.w.d
	for _, p := range t.places {
		p.q.tickets.Remove(p.at)
		if t.p.Missing {
			if p.q.missing--; p.q.missing == 0 {
				d.Stats.BlockingKeysOnNoKey.Add(-1)
			}
		}
		if p.q.tickets.Len() == 0 {
			delete(p.lot.queues, p.q.id)
			d.Stats.BlockingKeys.Add(-1)
		}
	}
	t.places = nil
	d.store.NoteTouched(-1)
	t.uncount()
}

// conclude ends a unit that has run and been published: it serves who waits for what the unit
// changed, and unlocks.
func (w *worker) conclude() {
	if w.txn.TouchedKeys() == 0 {
		w.txn.End()
		return
	}
	w.noteStale(nil) // what no call has done
	w.ready, w.seen = w.ready[:0], 0
	w.noteReady()
	w.serveReady()
}

// serveReady serves the queues of w.ready, and of what becomes ready by that, and unlocks.
func (w *worker) serveReady() {
	if len(w.ready) > 0 {
		// What the unit pushed may have expired while it ran.
		w.nowMs = max(w.nowMs, w.d.wall())
		w.txn.Advance(w.nowMs)
	}
	owes := len(w.owed) > 0
	for i := 0; i < len(w.ready); i++ {
		if !w.serveQueue(w.ready[i]) {
			w.owed = append(w.owed, w.ready[i])
		}
	}
	clear(w.ready)
	if w.txn.Open() {
		w.txn.End()
	}
	if !owes && len(w.owed) > 0 {
		l := w.loop
		postLater(l.Post, func() { w.serveOwed(l) })
	}
	w.tracked = 0
	w.sendAnswers()
	w.tellStale()
}

// serveOwed is serveReady for the keys whose stripes a script held. On l, outside of calls.
func (w *worker) serveOwed(l *server.Loop) {
	w.loop, w.nowMs, w.mono = l, l.NowMs, l.Mono
	w.ended = 0
	w.ready, w.owed = append(w.ready[:0], w.owed...), w.owed[:0]
	w.serveReady()
}

// noteReady appends the keys touched since the last time, of those that have a queue, to
// w.ready.
func (w *worker) noteReady() {
	for _, n := range w.txn.Touched(w.seen) {
		w.seen++
		if n.Key == nil {
			w.noteDatabase(n.DB)
			continue
		}
		sl := slot.Of(n.Key)
		if l := &w.d.lots[w.d.store.Stripe(sl)]; len(l.queues) > 0 {
			if q := l.queues[waitKey{n.DB, string(n.Key)}]; q != nil && q.noted != w {
				q.noted = w
				w.ready = append(w.ready, readyKey{q.id, sl})
			}
		}
	}
}

// noteDatabase appends all keys of a database that have a queue: longest waiter first.
func (w *worker) noteDatabase(db int) {
	var all []*queue
	for i := range w.d.lots {
		if !w.txn.HoldsStripe(i) {
			continue
		}
		for id, q := range w.d.lots[i].queues {
			if id.db == db && q.noted != w {
				all = append(all, q)
			}
		}
	}
	sort.Slice(all, func(i, j int) bool {
		return all[i].tickets.Front().Value.(*ticket).seq < all[j].tickets.Front().Value.(*ticket).seq
	})
	for _, q := range all {
		q.noted = w
		w.ready = append(w.ready, readyKey{q.id, slot.OfString(q.id.key)})
	}
}

// serveQueue runs the calls that wait for r, each at most once. It reports false when it could not go on; then no stripe is held.
func (w *worker) serveQueue(r readyKey) bool {
	if (!w.txn.Open() || !w.txn.Holds(r.slot)) && !w.relock(r.slot) {
		return false
	}
	q := w.queueOf(r)
	if q == nil {
		return true
	}
	if q.noted == w {
		q.noted = nil
	}
	last := q.tickets.Back().Value.(*ticket).seq
	for e := q.tickets.Front(); e != nil; {
		t := e.Value.(*ticket)
		switch {
		case t.seq > last:
			return true
		case !w.serves(r.id, t):
			e = e.Next()
		case !w.txn.Holds(t.slots...):
			if !w.relock(t.slots...) {
				return false
			}
			e = w.firstFrom(r, t.seq)
		default:
			e = e.Next() // of t's queues only t is taken out
			w.rerun(t)
			w.noteReady()
		}
	}
	return true
}

func (w *worker) queueOf(r readyKey) *queue { return w.d.lots[w.d.store.Stripe(r.slot)].queues[r.id] }

// firstFrom is the first place in r's queue of a ticket not older than seq.
func (w *worker) firstFrom(r readyKey, seq uint64) *list.Element {
	q := w.queueOf(r)
	if q == nil {
		return nil
	}
	e := q.tickets.Front()
	for e != nil && e.Value.(*ticket).seq < seq {
		e = e.Next()
	}
	return e
}

// serves reports whether what stands at a ready key is what t waits for.
func (w *worker) serves(id waitKey, t *ticket) bool {
	if t.p.Missing {
		return true
	}
	w.txn.SelectDB(id.db)
	w.txn.SetView(store.ViewReplica) // only looking: an expired key is absent, and stays
	e, ok := w.txn.Lookup([]byte(id.key), store.NoTouch|store.NoStats)
	return ok && e.Type() == t.p.Type
}

// relock lets go of the stripes held and locks others. It reports false, and has locked nothing, when a script holds some of
// them and this is a loop's worker: its loop would serve nobody until the script ends.
func (w *worker) relock(slots ...slot.Slot) bool {
	if w.txn.Open() {
		w.txn.End()
	}
	w.seen, w.tracked = 0, 0
	if w.loop == nil {
		w.txn.Begin(w.d.store, w.nowMs, slots...)
		return true
	}
	return w.reach(slots...)
}

// rerun runs the call of a parked client again. Either it answers, and the ticket ends, or it
// parks again, and nothing has changed. REQUIRES: the stripes of its slots held.
func (w *worker) rerun(t *ticket) {
	d, ctx, c := w.d, &w.ctx, t.c
	client, argv, asking := w.client, w.argv, w.asking
	defer func() { w.client, w.argv, w.asking = client, argv, asking }() // eviction happens in the middle of a walk
	gates := Gate(d.gates.Load())
	w.client, w.argv, w.asking = c, t.argv, t.asking
	w.reply.Truncate(0)
	w.reply.Proto = c.sess.Proto()
	ctx.Sess, ctx.Out, ctx.Conn, ctx.Nested = &c.sess, &w.reply, c.face, 0
	ctx.Effects.Clear()
	ctx.Effects.Off = !d.sink.Active()
	w.txn.SelectDB(t.db)
	w.txn.SetView(c.view(d, gates))
	w.again, w.stays = t, false
	// The unit that woke it has made room already.
	err := w.admit(c, t.cmd, t.argv, t.cmd.Flags, gates&^GateMemory)
	if err == "" {
		err = w.whereNow(t)
	}
	switch {
	case err != "":
		d.observer.Rejected(w.index, t.cmd, err)
		w.reply.Error(err)
	case gates&GateMoving != 0 && d.mustAwaitMove(t): // BLMOVE to a key that is being handed over
		w.again = nil
		t.remove()
		w.answers = append(w.answers, answer{t: t, anew: true})
		return
	default:
		w.call(t.cmd, t.argv)
	}
	w.again = nil
	if w.stays {
		return
	}
	a := answer{t: t, reply: bytes.Clone(w.reply.Bytes())}
	if !ctx.Effects.Empty() {
		ctx.Effects.Apart = false
		a.offset = d.sink.Append(&ctx.Effects)
	}
	t.remove()
	w.answers = append(w.answers, a)
}

// whereNow routes the call being run again: "" is here. REQUIRES: stripes held.
func (w *worker) whereNow(t *ticket) resp.Error {
	if w.d.router == nil {
		return ""
	}
	switch v := w.verdict(t); v.Kind {
	case command.Refuse:
		return v.Err
	case command.Local:
		return ""
	default:
		return w.openSlot(t.c, t.cmd, v)
	}
}

// sendAnswers sends the replies of calls that were parked. REQUIRES: no stripe held.
func (w *worker) sendAnswers() {
	for _, a := range w.answers {
		a.send()
	}
	clear(w.answers)
	w.answers = w.answers[:0]
}

func (a answer) send() {
	if a.anew {
		a.t.c.conn.Do(a.t.walkAnew)
		return
	}
	a.t.wake(func(w *resp.Writer) {
		if a.offset != 0 {
			a.t.c.sess.WriteOffset = a.offset
		}
		w.Raw(a.reply)
	})
}

// redirectParked tells clients that wait for keys which this node does not serve any more where
// to go.
func (w *worker) redirectParked() {
	d := w.d
	if d.router == nil || d.Stats.BlockingKeys.Load() == 0 {
		return
	}
	for stripe := w.index; stripe < d.store.Stripes(); stripe += len(d.workers) {
		if !w.reach(slot.Slot(stripe)) {
			continue // at the next tick
		}
		for _, t := range d.lots[stripe].all() {
			v := w.verdict(t)
			if v.Kind != command.Refuse {
				continue
			}
			t.remove()
			d.observer.Rejected(w.index, t.cmd, v.Err)
			w.reply.Truncate(0)
			w.reply.Error(v.Err)
			w.answers = append(w.answers, answer{t: t, reply: bytes.Clone(w.reply.Bytes())})
		}
		w.txn.End()
		w.sendAnswers()
	}
}

// verdict is what the router says about the slot a ticket waits in: in a cluster it is one.
func (w *worker) verdict(t *ticket) command.Verdict {
	w.asking = t.asking
	if w.collect(t.c, t.cmd, t.argv) != "" || len(w.slots) == 0 {
		return command.Verdict{}
	}
	return w.d.router.Route(w.query(t.c, t.cmd.Flags, t.cmd.Flags))
}

// all is the tickets in l, the oldest first.
func (l *lot) all() (all []*ticket) {
	for _, q := range l.queues {
		for e := q.tickets.Front(); e != nil; e = e.Next() {
			all = append(all, e.Value.(*ticket))
		}
	}
	sort.Slice(all, func(i, j int) bool { return all[i].seq < all[j].seq })
	return slices.Compact(all) // those of several keys stand in several queues
}

// Changed serves clients that wait for keys, after the whole data set was replaced by a way that
// does not go through dispatch (a full sync). Any goroutine.
func (d *Dispatcher) Changed(nowMs int64) {
	d.AllStale(nil)
	if d.Stats.BlockingKeys.Load() == 0 {
		return
	}
	w := newWorker(d, len(d.workers))
	w.nowMs = nowMs
	w.txn.BeginAll(d.store, nowMs)
	for db := range d.store.Databases() {
		w.noteDatabase(db)
	}
	w.serveReady()
}

// UnblockAll wakes every client parked for data with err and closes it: the node changed its
// role. When it has returned none is served any more that was parked before.
func (d *Dispatcher) UnblockAll(err resp.Error, nowMs int64) {
	var x store.Txn
	x.BeginAll(d.store, nowMs)
	var all []*ticket
	for i := range d.lots {
		for _, t := range d.lots[i].all() {
			if t.places != nil {
				t.remove()
				all = append(all, t)
			}
		}
	}
	x.End()
	for _, t := range all {
		t.wake(func(w *resp.Writer) { t.unblocked(w, err, true) })
	}
	d.each(func(c *client) { d.unblock(c, err, true) })
}
