package dispatch

import (
	"bytes"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/session"
	"github.com/sextantdb/sextant/store/slot"
)

// ticket is one parked client. One that waits for keys is guarded by their stripes: see wake.go.
// Of the others, whoever moves state away from parked decides how it is woken.
type ticket struct {
	// Immutable once the stripes of the call that parked are unlocked.
	w      *worker // of the client
	c      *client
	p      command.Park
	cmd    *command.Command
	silent bool        // the client does not want the reply (CLIENT REPLY)
	timer  *time.Timer // set by start, on the client's loop

	// The same, only with Park.Keys.
	seq    uint64 // order of parking
	db     int
	argv   [][]byte    // own copy of the call to be run again
	slots  []slot.Slot // of all keys the call names
	asking bool        // the call came with ASKING

	// Guarded by the stripes of slots; only with Park.Keys.
	places []place // where it stands; nil: it has ended
	ns     int64   // time the call took so far

	state atomic.Int32 // without Park.Keys
}

// States of a ticket without keys.
const (
	parked int32 = iota
	ended
)

// Park implements command.Host.
func (w *worker) Park(c *command.Ctx, p command.Park) command.Ticket {
	if t := w.again; t != nil {
		w.stays = true
		return t
	}
	t := &ticket{
		w: w, c: w.client, p: p, cmd: c.Cmd, db: c.Txn.DB(), asking: w.asking,
		silent: w.client.sess.Any(session.ReplySkipping | session.ReplyOff),
	}
	w.parked = t
	w.client.ticket = t
	w.client.waiting.Store(p.Data || len(p.Keys) > 0)
	w.client.sess.Set(session.Blocked)
	w.client.conn.Pause()
	w.d.Stats.Blocked.Add(1)
	if p.TimeoutMs > 0 {
		w.d.Stats.BlockedInTime.Add(1)
	}
	if len(p.Keys) > 0 {
		call := p.Again
		if call == nil {
			call = c.Argv
		}
		t.argv = make([][]byte, len(call))
		for i := range call {
			t.argv[i] = bytes.Clone(call[i])
		}
		w.enter(t)
		t.p.Keys, t.p.Again = nil, nil // they alias the read buffer
	}
	return t
}

// start begins the time-out, once the stripes are unlocked. On the client's loop, as all below
// but Finish.
func (t *ticket) start() {
	if t.p.TimeoutMs > 0 {
		limit := min(t.p.TimeoutMs, math.MaxInt64/int64(time.Millisecond))
		t.timer = time.AfterFunc(time.Duration(limit)*time.Millisecond, func() {
			t.c.conn.Do(func() { t.end(t.p.TimedOut, "", false) })
		})
	}
}

// Finish implements command.Ticket.
func (t *ticket) Finish(reply func(w *resp.Writer)) bool {
	if t.keyed() || !t.state.CompareAndSwap(parked, ended) {
		return false
	}
	t.uncount()
	t.wake(reply)
	return true
}

func (t *ticket) keyed() bool { return t.seq != 0 }

// claim ends the ticket if nobody has; its holder is told. later says that it could not be asked yet: a script holds the
// stripes.
func (t *ticket) claim() (won, later bool) {
	if t.keyed() {
		if !t.w.reach(t.slots...) {
			return false, true
		}
		won = t.places != nil
		if won {
			t.remove()
		}
		t.w.txn.End()
		return won, false
	}
	won = t.state.CompareAndSwap(parked, ended)
	if won {
		t.uncount()
		if t.p.Gone != nil {
			t.p.Gone()
		}
	}
	return won, false
}

// end answers the client of a ticket that has not ended as when its time is up, or err when
// that is not empty.
func (t *ticket) end(timedOut func(w *resp.Writer), err resp.Error, closing bool) {
	won, later := t.claim()
	if later {
		postLater(t.c.conn.Do, func() {
			if t.c.ticket == t {
				t.end(timedOut, err, closing)
			}
		})
	}
	if won {
		t.wakeNow(func(w *resp.Writer) {
			if err == "" && t.keyed() {
				t.observe("")
			}
			if err == "" {
				timedOut(w)
			} else {
				t.unblocked(w, err, closing)
			}
		})
	}
}

// unblocked answers that the client was woken by force.
func (t *ticket) unblocked(w *resp.Writer, err resp.Error, closing bool) {
	if t.keyed() {
		t.observe(err)
	}
	w.Error(err)
	if closing {
		t.c.conn.CloseAfterReply()
	}
}

// observe counts a call for keys that ended without being run to its end.
func (t *ticket) observe(err resp.Error) {
	ctx := &t.w.ctx
	ctx.Reset(t.cmd, t.argv)
	ctx.Sess, ctx.Conn, ctx.Err = &t.c.sess, t.c.face, err
	t.w.commands.Add(1)
	t.w.d.observer.Called(t.w.index, ctx, t.ns)
}

// wake sends the reply of a ticket that has ended. Any goroutine.
func (t *ticket) wake(reply func(w *resp.Writer)) {
	t.c.conn.Do(func() { t.wakeNow(reply) }) // dropped when the connection has been closed
}

func (t *ticket) wakeNow(reply func(w *resp.Writer)) {
	t.leave()
	out := t.c.out
	out.Proto = t.c.sess.Proto()
	mark := out.Len()
	reply(out)
	if t.silent {
		out.Truncate(mark)
	}
	t.w.d.hold(t.c)
	t.c.conn.Resume()
}

// walkAnew runs the call of a ticket that has ended as if it had just come. Its time begins anew.
func (t *ticket) walkAnew() {
	t.leave()
	c := t.c
	c.postponed, c.asking = t.argv, t.asking
	if t.silent {
		c.sess.Set(session.ReplySkip)
	}
	c.sess.Set(session.Blocked)
	t.w.d.Stats.Blocked.Add(1)
	t.w.retry(c)
}

// abandon ends the ticket of a connection that was closed.
func (t *ticket) abandon() {
	t.leave()
	t.forsake()
}

func (t *ticket) forsake() {
	if _, later := t.claim(); later {
		postLater(t.c.conn.Loop().Post, t.forsake)
	}
}

func (t *ticket) leave() {
	if t.timer != nil {
		t.timer.Stop()
	}
	t.c.ticket = nil
}

// uncount makes the numbers right when a ticket ends. By whoever ends it.
func (t *ticket) uncount() {
	t.c.waiting.Store(false)
	t.c.sess.Clear(session.Blocked)
	t.w.d.Stats.Blocked.Add(-1)
	if t.p.TimeoutMs > 0 {
		t.w.d.Stats.BlockedInTime.Add(-1)
	}
}

// Unblock wakes a client parked for data as if its time had run out, or with err when that is
// not empty (CLIENT UNBLOCK). It reports whether the client was parked so. Any goroutine; the
// answer is sure only about the moment of asking.
func (d *Dispatcher) Unblock(id int64, err resp.Error) bool {
	c := d.find(id)
	return c != nil && d.unblock(c, err, false)
}

func (d *Dispatcher) unblock(c *client, err resp.Error, closing bool) bool {
	if !c.waiting.Load() {
		return false
	}
	c.conn.Do(func() {
		if t := c.ticket; t != nil && (t.p.Data || t.keyed()) {
			t.end(t.p.TimedOut, err, closing)
		}
	})
	return true
}

// PauseMode says which calls wait while clients are paused.
type PauseMode uint8

const (
	// PauseWrites holds back what may change the data set or the stream.
	PauseWrites PauseMode = iota + 1
	// PauseAll holds back everything.
	PauseAll
)

// pause is what is in force. Guarded by Dispatcher.mu.
type pause struct {
	user  PauseMode // CLIENT PAUSE
	until time.Time
	timer *time.Timer
	over  chan struct{} // closed at the end of it; nil: there is none
	node  Holder        // who in the node holds writes
	held  []*client
}

// Holder is one who may hold writes back independently of the others.
type Holder uint8

const (
	HoldHandover Holder = 1 << iota // the shard is being handed over to a replica
	HoldShutdown                    // the node is about to end
	HoldFailover                    // FAILOVER waits for a replica to have everything
)

// Pause holds clients back for ms milliseconds (CLIENT PAUSE). A longer pause in force stays,
// and so does a stricter mode.
func (d *Dispatcher) Pause(mode PauseMode, ms int64) {
	until := time.Now().Add(time.Duration(ms) * time.Millisecond)
	d.mu.Lock()
	p := &d.mu.pause
	p.user = max(p.user, mode)
	if until.After(p.until) {
		p.until = until
	}
	if p.over == nil {
		p.over = make(chan struct{})
	}
	if p.timer != nil {
		p.timer.Stop()
	}
	p.timer = time.AfterFunc(time.Until(p.until), d.unpauseDue)
	d.SetGate(GatePause, true)
	d.mu.Unlock()
}

// unpauseDue is Unpause by a timer, which another Pause may have put off after it went off.
func (d *Dispatcher) unpauseDue() {
	d.mu.Lock()
	if p := &d.mu.pause; p.user != 0 && !time.Now().Before(p.until) {
		d.unpauseLocked()
	}
	d.mu.Unlock()
}

// Unpause ends what Pause began.
func (d *Dispatcher) Unpause() {
	d.mu.Lock()
	d.unpauseLocked()
	d.mu.Unlock()
}

func (d *Dispatcher) unpauseLocked() {
	p := &d.mu.pause
	p.user, p.until = 0, time.Time{}
	if p.over != nil {
		close(p.over)
		p.over = nil
	}
	if p.timer != nil {
		p.timer.Stop()
	}
	d.release()
}

// AwaitUnpaused returns once no CLIENT PAUSE is in force, or when done is closed: a replica does
// not apply what its primary sends during one.
func (d *Dispatcher) AwaitUnpaused(done <-chan struct{}) {
	for Gate(d.gates.Load())&GatePause != 0 {
		d.mu.Lock()
		over := d.mu.pause.over
		d.mu.Unlock()
		if over == nil {
			return
		}
		select {
		case <-over:
		case <-done:
			return
		}
	}
}

// HoldWrites holds all writes back on behalf of who, or lets them go on as far as nobody else
// holds them. When it has returned, with on, no write is under way.
func (d *Dispatcher) HoldWrites(who Holder, on bool, nowMs int64) {
	d.mu.Lock()
	if on {
		d.mu.pause.node |= who
		d.SetGate(GatePause, true)
	} else {
		d.mu.pause.node &^= who
		d.release()
	}
	d.mu.Unlock()
	if on {
		d.Fence(nowMs)
	}
}

// Paused tells the mode in force and how many ms it lasts yet (for INFO).
func (d *Dispatcher) Paused() (PauseMode, int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := &d.mu.pause
	if p.user == 0 {
		if p.node != 0 {
			return PauseWrites, 0
		}
		return 0, 0
	}
	return p.user, time.Until(p.until).Milliseconds()
}

// release lets held clients go on as far as the pause in force allows. REQUIRES: d.mu.
func (d *Dispatcher) release() {
	p := &d.mu.pause
	if p.user == 0 && p.node == 0 {
		d.SetGate(GatePause, false)
	}
	for _, c := range p.held {
		c.conn.Do(func() { c.w.retry(c) })
	}
	p.held = nil
}

// postpone keeps a call back while clients are paused. It reports false when the pause does
// not concern the call. A write that was let through is waited for by HoldWrites' fence: the
// gate is looked at again under the stripe's lock (see execute).
func (w *worker) postpone(c *client, cmd *command.Command, flags command.Flags, argv [][]byte) bool {
	if c.trusted || c.sess.Any(session.Multi) && cmd.Flags&command.InMulti == 0 {
		return false
	}
	d := w.d
	d.mu.Lock()
	defer d.mu.Unlock()
	p := &d.mu.pause
	mode := p.user
	if p.node != 0 {
		mode = max(mode, PauseWrites)
	}
	write := flags&(command.Write|command.MayReplicate) != 0
	if mode == 0 || mode == PauseWrites && !write || flags&command.Admin != 0 && !write && mode != PauseAll {
		return false
	}
	w.setAside(c, argv)
	p.held = append(p.held, c)
	return true
}

// setAside keeps a call until retry. On the client's loop.
func (w *worker) setAside(c *client, argv [][]byte) {
	own := slices.Clone(argv)
	for i := range own {
		own[i] = bytes.Clone(own[i])
	}
	c.postponed, c.asking = own, w.asking
	c.conn.Pause()
	c.sess.Set(session.Blocked)
	w.d.Stats.Blocked.Add(1)
}

// unhold forgets the postponed call of a connection that was closed. On the client's loop.
func (d *Dispatcher) unhold(c *client) {
	if c.postponed == nil {
		return
	}
	c.postponed = nil
	d.Stats.Blocked.Add(-1)
	d.mu.Lock()
	if i := slices.Index(d.mu.pause.held, c); i >= 0 {
		d.mu.pause.held = slices.Delete(d.mu.pause.held, i, i+1)
	}
	d.mu.moving.forget(c)
	d.mu.Unlock()
}

// retry runs a postponed call. On the client's loop.
func (w *worker) retry(c *client) {
	argv := c.postponed
	if argv == nil {
		return
	}
	c.postponed = nil
	if c.asking {
		c.sess.Set(session.AskingOnce)
	}
	c.sess.Clear(session.Blocked)
	w.d.Stats.Blocked.Add(-1)
	l := c.conn.Loop()
	w.loop, w.nowMs, w.mono = l, l.NowMs, l.Mono
	w.ended = 0
	c.out.Proto = c.sess.Proto()
	w.serve(c, argv)
	w.d.hold(c)
	c.conn.Resume()
}
