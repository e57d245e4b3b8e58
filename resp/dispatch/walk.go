package dispatch

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/server"
	"github.com/sextantdb/sextant/resp/session"
	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/slot"
)

// worker is what one goroutine needs to walk requests one after the other. It is reused for
// all of them, so that a request allocates nothing.
type worker struct {
	d     *Dispatcher
	index int // of the loop; len(Dispatcher.workers) for appliers

	// Owned by the worker's goroutine.
	loop     *server.Loop // nil for appliers; set by whoever begins something
	nowMs    int64        // Unix time of this round
	mono     int64        // CLOCK_BOOTTIME of this round, ns
	ctx      command.Ctx
	txn      store.Txn
	refs     []command.KeyRef
	slots    []slot.Slot
	sole     int             // index of the call's one key, if it can have no other; slots[0] is its slot
	channels bool            // slots are, at least in part, those of shard channels
	spare    command.Effects // scratch of settle
	events   []keyEvent
	names    []byte // keys of events
	tracked  int    // touched notes of the open Txn that noteStale has taken; 0 while none is open
	reads    []command.KeyRef
	found    *command.Command // of the call being walked

	stale      []staleKey // to be told when the unit has ended
	staleNames []byte

	parked *ticket
	client *client
	argv   [][]byte // of the unit being run
	asking bool     // the client said ASKING just before
	room   bool     // the node was within maxmemory when the call was admitted
	script scriptRun
	whole  bool    // of the script being run: it came with all stripes
	inner  *worker // runs commands while a script of this worker does; see Command
	within bool    // this worker is another's inner: it must not wait for what that one's script holds
	turn   uint64  // the loop's, of the call before
	ended  int64   // when the call before in this turn ended, on Dispatcher.clock; 0: there was none
	ran    func()  // see Applier.ApplyWith; nil but for an applier's

	finder   command.Finder
	commands atomic.Int64 // calls run; written by the owner, read by anyone
	waits    atomic.Bool  // it waits for stripes, or is about to; see noScript. Written by the owner, read by anyone
	keeper   keeper
	waker    // see wake.go
	warmer   store.Warmer
}

type keyEvent struct {
	class      command.EventClass
	event      string
	db         int
	begin, end int // of the key in worker.names
}

var delWord, unlinkWord = []byte("DEL"), []byte("UNLINK")

func newWorker(d *Dispatcher, index int) *worker {
	w := &worker{d: d, index: index, finder: command.NewFinder(d.table)}
	w.ctx.Host = w
	w.ctx.Txn = &w.txn
	return w
}

// serve walks one request, and drops its reply when the client asked for that (CLIENT REPLY).
func (w *worker) serve(c *client, argv [][]byte) {
	s := &c.sess
	mark := c.out.Len()
	if s.Any(session.ReplySkip) {
		s.Clear(session.ReplySkip)
		s.Set(session.ReplySkipping)
	}
	caching := s.Any(session.TrackCaching)
	w.walk(c, argv)
	if w.asking && s.Any(session.Multi) { // what ASKING said holds for the transaction that MULTI has begun, to its end
		s.Set(session.AskingOnce)
	}
	if c.postponed != nil { // it walks anew later, and what the client said about it holds then
		if s.Any(session.ReplySkipping) {
			s.Clear(session.ReplySkipping)
			s.Set(session.ReplySkip)
		}
		return
	}
	if caching && !s.Any(session.Multi) && (w.found == nil || w.found.Flags&command.KeepsCaching == 0) {
		s.Clear(session.TrackCaching)
	}
	if s.Any(session.ReplySkipping | session.ReplyOff) {
		s.Clear(session.ReplySkipping)
		c.out.Truncate(mark)
	}
}

// walk is the order of things. The gates are looked at before the call and again under its
// locks: whoever closes a gate and then fences knows that nothing it keeps out still runs.
func (w *worker) walk(c *client, argv [][]byte) {
	s := &c.sess
	if w.asking = s.Any(session.AskingOnce); w.asking {
		s.Clear(session.AskingOnce)
	}
	cmd, refusal := w.finder.Find(argv)
	w.found = cmd
	if refusal != "" {
		if cmd == nil && crossProtocol(argv[0]) && c.conn != nil {
			c.conn.Close(ErrCrossProtocol)
			return
		}
		w.reject(c, cmd, refusal)
		return
	}
	s.SetLastCommand(cmd.LowerNameRef())
	flags := w.flags(c, cmd, argv)
	for {
		gates := Gate(w.d.gates.Load())
		if refusal = w.admit(c, cmd, argv, flags, gates); refusal != "" {
			if gates&GatePause != 0 && refusal.Code() == resp.Redirect && w.postpone(c, cmd, flags, argv) {
				return // whoever is primary may change yet
			}
			w.turnAway(c, cmd, argv, flags, refusal)
			return
		}
		if gates&GatePause != 0 && w.postpone(c, cmd, flags, argv) {
			return
		}
		if s.Any(session.Multi) && cmd.Flags&command.InMulti == 0 {
			w.queue(c, cmd, argv)
			return
		}
		if w.execute(c, cmd, argv, flags, gates) {
			return
		}
		if w.script.anew {
			w.script.anew = false
			flags |= command.WholeDB
		}
	}
}

// flags are the call's, and for EXEC what the queued commands add and take: a transaction that
// writes is refused where a write is, and one that holds what a stale or loading node refuses
// is refused there.
func (w *worker) flags(c *client, cmd *command.Command, argv [][]byte) command.Flags {
	f := cmd.FlagsOf(argv)
	if f&command.Queued != 0 {
		for _, q := range c.sess.Queue() {
			queued := q.Cmd.(*command.Command).FlagsOf(q.Argv)
			f |= queued & (command.Write | command.DenyOOM | command.MayReplicate | command.WholeDB | command.RunsScript)
			f &= queued | ^(command.Stale | command.Loading)
		}
		if f&command.RunsScript != 0 && w.d.router == nil && len(w.d.workers) > 1 {
			f |= command.WholeDB // what strays there must be able to begin anew; see stray
		}
	}
	return f
}

// reject refuses a call before it runs. A transaction that a call is refused in is lost.
func (w *worker) reject(c *client, cmd *command.Command, err resp.Error) {
	s := &c.sess
	if cmd != nil && cmd.Flags&command.Queued != 0 { // outside MULTI too, as Redis
		w.discard(c)
		w.refuse(c, cmd, err, resp.ErrExecAbortBecause(err))
		return
	}
	if s.Any(session.Multi) {
		s.Set(session.DirtyExec)
	}
	w.refuse(c, cmd, err, err)
}

// refuse counts err and answers text.
func (w *worker) refuse(c *client, cmd *command.Command, err, text resp.Error) {
	w.d.observer.Rejected(w.index, cmd, err)
	c.out.Error(text)
}

// discard ends MULTI without running it.
func (w *worker) discard(c *client) {
	c.sess.EndMulti()
	w.unwatch(c)
}

// unwatch gives the session's watches back to the store.
func (w *worker) unwatch(c *client) {
	if c.sess.Watching() == 0 {
		return
	}
	if w.within || !w.giveBack(c.sess.Watches()) {
		c.w.giveBackLater(c.conn.Loop(), slices.Clone(c.sess.Watches()))
	}
	c.sess.DropWatches()
}

// giveBack ends watches in the store. It reports false when a script holds their stripes.
func (w *worker) giveBack(watches []session.Watch) bool {
	w.slots = w.slots[:0]
	for _, watch := range watches {
		w.slots = append(w.slots, watch.Seen.(*store.Watch).Slot())
	}
	if !w.reach(w.slots...) {
		return false
	}
	for _, watch := range watches {
		w.txn.Unwatch(watch.Seen.(*store.Watch))
	}
	w.txn.End()
	return true
}

// giveBackLater is giveBack once the script has ended. w is the loop's worker.
func (w *worker) giveBackLater(l *server.Loop, watches []session.Watch) {
	postLater(l.Post, func() {
		if !w.giveBack(watches) {
			w.giveBackLater(l, watches)
		}
	})
}

func watchedSlots(slots []slot.Slot, s *session.Session) []slot.Slot {
	for _, watch := range s.Watches() {
		slots = append(slots, watch.Seen.(*store.Watch).Slot())
	}
	return slots
}

// queue takes a command into the transaction. In a cluster it is routed first, so that the
// client is redirected before EXEC.
func (w *worker) queue(c *client, cmd *command.Command, argv [][]byte) {
	if w.d.router != nil && !c.trusted {
		if err := w.collect(c, cmd, argv); err == "" && len(w.slots) > 0 {
			v := w.d.router.Route(w.query(c, cmd.Flags, cmd.Flags))
			if v.Kind == command.Refuse {
				w.reject(c, cmd, v.Err)
				return
			}
		} else if err != "" {
			w.reject(c, cmd, err)
			return
		}
	}
	c.sess.Enqueue(cmd, argv)
	if c.conn != nil && c.sess.QueueBytes() > int64(c.conn.Loop().Server().Settings().QueryBuffer) {
		c.conn.Close(server.ErrQueryLimit) // what is queued counts as what is not executed yet
		return
	}
	c.out.Simple("QUEUED")
}

// execute routes, locks, runs and publishes one unit. It reports false when the gates
// changed before the stripes were locked: nothing was done then; and when a script must be run
// again with all stripes.
func (w *worker) execute(c *client, cmd *command.Command, argv [][]byte, flags command.Flags, gates Gate) bool {
	d := w.d
	ctx := &w.ctx
	w.client, w.argv = c, argv
	if err := w.collect(c, cmd, argv); err != "" {
		w.redirect(c, cmd, err)
		return true
	}
	if flags&command.RunsScript != 0 {
		d.scripts.Add(1) // before it locks; see noScript
		defer d.scripts.Add(-1)
		if c.trusted || d.router == nil && gates&GateMoving != 0 {
			flags |= command.WholeDB // it shall not have to stray: see reachScript
		}
		w.whole = flags&command.WholeDB != 0
	}
	if d.router != nil && len(w.slots) > 0 && !c.trusted {
		if !w.routeAndLock(c, cmd, flags) {
			return true
		}
	} else if !w.lock(flags) {
		w.reject(c, cmd, d.busyError())
		return true
	}
	if Gate(d.gates.Load()) != gates && !c.trusted {
		w.txn.End()
		return false
	}
	if gates&GateMoving != 0 && w.awaitMove(c, cmd, argv, flags) {
		w.txn.End()
		return true
	}
	w.txn.SelectDB(c.sess.DB())
	w.txn.SetView(c.view(d, gates))
	ctx.Sess, ctx.Out, ctx.Conn, ctx.Nested = &c.sess, c.out, c.face, 0
	if c.conn == nil {
		ctx.Nested = 1 // whoever has no connection cannot be parked
	}
	ctx.Effects.Clear()
	ctx.Effects.Off = c.trusted || !d.sink.Active()
	ctx.Effects.Withhold = w.script.withheld // 0 but for a Debugger
	mark := c.out.Len()
	w.call(cmd, argv)
	if !ctx.Effects.Empty() {
		ctx.Effects.Apart = cmd.Flags&command.TouchesArbitraryKeys != 0
		c.sess.WriteOffset = d.sink.Append(&ctx.Effects)
	} else if w.ran != nil {
		w.ran()
	}
	if w.txn.TouchedKeys() > 0 && d.ownExpiry.Load() && !c.trusted {
		w.noteOwnExpiry()
	}
	w.conclude()
	w.after()
	if w.script.anew {
		c.out.Truncate(mark)
		return false
	}
	return true
}

// lock begins the Txn over what the call needs. While another worker runs a script it does not wait for ever, so that a
// loop whose client wants what the script holds can go on to say BUSY: then it reports false, and has locked nothing.
func (w *worker) lock(flags command.Flags) bool {
	if w.client.trusted { // no loop waits with it
		w.begin(flags)
		return true
	}
	for w.lockOnce(flags) {
		if flags&command.RunsScript == 0 || !w.d.someoneWaits() {
			return true
		}
		w.txn.End() // they could not know that a script comes, and shall not wait for its end
		time.Sleep(lockWaitLeast)
	}
	return false
}

func (w *worker) lockOnce(flags command.Flags) bool {
	for wait := lockWaitLeast; !w.tryLock(flags); wait = min(2*wait, lockWaitMost) {
		if w.noScript(flags) {
			w.begin(flags)
			w.waits.Store(false)
			return true
		}
		if w.within || Gate(w.d.gates.Load())&GateBusy != 0 {
			return false
		}
		time.Sleep(wait)
	}
	return true
}

// noScript reports whether no other worker runs a script. Then waits is set, and a script that comes now lets this worker
// have its stripes before it begins: it counts in Dispatcher.scripts before it locks, and looks at waits once it has.
func (w *worker) noScript(flags command.Flags) bool {
	w.waits.Store(true)
	others := w.d.scripts.Load()
	if flags&command.RunsScript != 0 {
		others--
	}
	if others > 0 {
		w.waits.Store(false)
	}
	return others <= 0
}

// someoneWaits reports whether a loop's worker waits for stripes.
func (d *Dispatcher) someoneWaits() bool {
	for _, w := range d.workers {
		if w.waits.Load() {
			return true
		}
	}
	return false
}

// reach begins the Txn over slots, for work outside of calls. It reports false, and has locked nothing, when a script runs
// that holds some of them.
func (w *worker) reach(slots ...slot.Slot) bool {
	if w.txn.TryBegin(w.d.store, w.nowMs, slots...) {
		return true
	}
	if !w.noScript(0) {
		return false
	}
	w.txn.Begin(w.d.store, w.nowMs, slots...)
	w.waits.Store(false)
	return true
}

// postLater has post run f on its loop in a while: a script holds what it needs.
func postLater(post func(f func()), f func()) { time.AfterFunc(lockWaitMost, func() { post(f) }) }

// How long a worker rests between two looks at stripes that a script holds.
const (
	lockWaitLeast = 10 * time.Microsecond
	lockWaitMost  = time.Millisecond
)

func (w *worker) begin(flags command.Flags) {
	if flags&command.WholeDB != 0 {
		w.txn.BeginAll(w.d.store, w.nowMs)
	} else {
		w.txn.Begin(w.d.store, w.nowMs, w.slots...)
	}
}

func (w *worker) tryLock(flags command.Flags) bool {
	if flags&command.WholeDB != 0 {
		return w.txn.TryBeginAll(w.d.store, w.nowMs)
	}
	if !w.txn.TryBegin(w.d.store, w.nowMs, w.slots...) {
		return false
	}
	if w.sole > 0 {
		w.txn.Know(w.argv[w.sole], w.slots[0])
	}
	return true
}

// collect fills w.slots with the slots the call touches. In a cluster they must be one.
func (w *worker) collect(c *client, cmd *command.Command, argv [][]byte) resp.Error {
	w.slots, w.sole, w.channels = w.slots[:0], 0, false
	if k := cmd.SoleKey(); k > 0 && k < len(argv) && cmd.Flags&(command.Unlocked|command.Queued) == 0 {
		w.sole = k
		w.slots = append(w.slots, slot.Of(argv[k]))
		w.refs = append(w.refs[:0], command.KeyRef{Index: k})
		return ""
	}
	if cmd.Flags&command.Unlocked != 0 {
		return ""
	}
	one := w.d.router != nil && !c.trusted
	if cmd.Flags&command.Queued != 0 {
		for _, q := range c.sess.Queue() {
			if err := w.add(q.Cmd.(*command.Command), q.Argv, one); err != "" {
				return err
			}
		}
	} else if err := w.add(cmd, argv, one); err != "" {
		return err
	}
	if cmd.Flags&(command.Queued|command.Watched) != 0 {
		w.slots = watchedSlots(w.slots, &c.sess)
	}
	return ""
}

// add appends the slots of one command's keys. one: all must be the same (cluster mode).
func (w *worker) add(cmd *command.Command, argv [][]byte, one bool) resp.Error {
	if !cmd.HasKeys() {
		return ""
	}
	w.refs, _ = cmd.KeysOf(argv, w.refs[:0], one)
	for _, r := range w.refs {
		w.channels = w.channels || r.Access&command.NotKey != 0
		sl := slot.Of(argv[r.Index])
		if len(w.slots) > 0 {
			if w.slots[len(w.slots)-1] == sl {
				continue
			}
			if one {
				return resp.ErrCrossSlot
			}
		}
		w.slots = append(w.slots, sl)
	}
	return ""
}

// call runs one command inside the held stripes and settles what it propagates.
func (w *worker) call(cmd *command.Command, argv [][]byte) {
	ctx := &w.ctx
	dirty, base, events := w.txn.Dirty(), len(ctx.Effects.Marks), len(w.events)
	ctx.Reset(cmd, argv)
	// In a turn a call begins where the one before ended: reading the clock twice costs as much as looking a key up.
	start := w.ended
	if start == 0 {
		start = w.d.clock()
	}
	if cmd.Flags&command.RunsScript != 0 && w.d.feed.Active() { // before what it calls, and also when it cannot be run
		w.showMonitors("", argv)
	}
	cmd.Run(ctx)
	if w.client.sess.Any(session.Tracking) {
		w.remember(cmd, argv)
	}
	w.ended = w.d.clock()
	w.count(w.ended - start)
	if w.again == nil && w.d.feed.Active() {
		w.tellMonitors(cmd)
	}
	w.settle(dirty, base, events)
}

// count tells the statistics of a call that took ns. A call that parked for keys counts when it
// ends, with the time of all its runs.
func (w *worker) count(ns int64) {
	t := w.again
	if t == nil && w.parked != nil && w.parked.keyed() {
		t = w.parked
	}
	if t != nil {
		t.ns += ns
		if t != w.again || w.stays {
			return
		}
		ns = t.ns
	}
	w.commands.Add(1)
	w.d.observer.Called(w.index, &w.ctx, ns)
}

// settle decides what a finished command sends to the stream: deletions of the keys it found
// expired, then what it asked for itself, or else the call as written if it changed anything.
func (w *worker) settle(dirty int64, base, events int) {
	ctx := &w.ctx
	changed := w.txn.Dirty() != dirty
	if w.txn.HasExpired() {
		w.settleExpired(base, events)
	}
	if changed && !ctx.Quiet() && ctx.Cmd.Flags&(command.Write|command.MayReplicate) != 0 {
		ctx.Effects.Append(w.client.sess.DB(), ctx.Argv...)
	}
	w.noteStale(w.client.cache.Load())
	w.fireEvents()
}

// settleExpired puts the deletions of what has expired before the effects from base on, and their
// events before those from events on.
func (w *worker) settleExpired(base, events int) {
	ctx := &w.ctx
	e := &ctx.Effects
	if !e.Off {
		begin := 0
		if base > 0 {
			begin = e.Marks[base-1].End
		}
		w.spare.Clear()
		own := append(w.spare.Buf, e.Buf[begin:]...)
		marks := append(w.spare.Marks, e.Marks[base:]...)
		e.Buf, e.Marks = e.Buf[:begin], e.Marks[:base]
		e.AppendExpired(&w.txn, w.d.deletion())
		shift := len(e.Buf) - begin
		e.Buf = append(e.Buf, own...)
		for _, m := range marks {
			e.Marks = append(e.Marks, command.EffectMark{DB: m.DB, End: m.End + shift, Withheld: m.Withheld})
		}
		w.spare.Buf, w.spare.Marks = own, marks
	}
	later := append([]keyEvent(nil), w.events[events:]...)
	w.events = w.events[:events]
	command.EachExpired(&w.txn, w.note)
	w.events = append(w.events, later...)
	w.txn.ClearExpired()
}

// after does what must wait until the stripes are unlocked.
func (w *worker) after() {
	w.ctx.Unlocked()
	if t := w.parked; t != nil {
		w.parked = nil
		t.start()
	}
}

// fireEvents publishes the keyspace events noted since the last time. REQUIRES: the stripes of
// the keys held, or else the events of one key could overtake each other.
func (w *worker) fireEvents() {
	if len(w.events) == 0 {
		return
	}
	for _, e := range w.events {
		w.d.events.Keyspace(w.loop, e.class, e.event, e.db, w.names[e.begin:e.end])
	}
	w.events, w.names = w.events[:0], w.names[:0]
}

// Call implements command.Host: one command of a transaction or a script.
func (w *worker) Call(c *command.Ctx, cmd *command.Command, argv [][]byte) {
	if !c.InScript && !w.client.trusted { // a script's calls are admitted one by one
		if err := w.permitQueued(cmd, argv); err != "" {
			w.refuse(w.client, cmd, err, err)
			return
		}
	}
	outer, outerArgv, quiet, err := c.Cmd, c.Argv, c.Quiet(), c.Err
	c.Nested++
	w.call(cmd, argv)
	c.Nested--
	c.Reset(outer, outerArgv)
	c.Err = err
	if quiet {
		c.DontPropagate()
	}
}

// Notify implements command.Host.
func (w *worker) Notify(c *command.Ctx, class command.EventClass, event string, key []byte) {
	w.note(class, event, c.Txn.DB(), key)
}

func (w *worker) note(class command.EventClass, event string, db int, key []byte) {
	if w.d.events.Wants()&class == 0 {
		return
	}
	begin := len(w.names)
	w.names = append(w.names, key...)
	w.events = append(w.events, keyEvent{class, event, db, begin, len(w.names)})
}
