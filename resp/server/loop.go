package server

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sextantdb/sextant/resp"
)

// Bounds of one turn and of the buffers that outlive it.
const (
	readRoom     = 64 << 10  // the most that is read from a connection in one turn
	foreseen     = 32        // requests whose data is brought into the cache at a time; of one connection at most so many more
	carryRoom    = 16 << 10  // an incomplete request up to this size is copied in front of the next read
	turnCommands = 1024      // requests executed in one turn
	turnOutput   = 256 << 10 // output after which a turn ends
	chunkBytes   = 64 << 10  // unsent output from which on it moves to the queue of chunks
	writeMost    = 256 << 10 // bytes given to one write, which occupies a processor until the kernel has copied them
	flushMost    = 1 << 20   // bytes sent to a connection in one round, so that a fast reader of much delays others little
	uncounted    = 16 << 10  // output that no limit of a class counts: what fits Redis' fixed buffer, so that small replies pass any limit
	replyBlock   = 20 << 10  // unit in which the rest is counted: what a block of Redis' takes from its allocator
	maxHolds     = 1 << 16   // holds of a connection from which on its requests wait
	pooledOut    = 64 << 10  // the largest output buffer that is lent to anybody
	pooledOuts   = 256       // output buffers kept for lending
	pooledLarge  = 512 << 10 // the largest that is lent again at all, to who wrote much the last time: a turn's output and a reply
	pooledLarges = 64        // of those
	keptInput    = 4 << 10   // the largest input buffer an idle connection keeps
	idleScan     = 1000      // connections looked at per tick for timeouts, at least
)

// Loop is one event loop. See the package documentation for its round.
type Loop struct {
	// NowMs is wall time in milliseconds and Mono CLOCK_BOOTTIME in nanoseconds, read once a round after the poll. On the
	// loop only.
	NowMs int64
	Mono  int64
	// Turn changes with every turn: commands that see the same number are executed one right after the other. On the loop
	// only.
	Turn uint64
	// Context is the handler's. On the loop only.
	Context any

	// Immutable after construction.
	srv   *Server
	index int
	poll  *poller

	// Owned by the loop's goroutine.
	all       []*Conn // every connection of this loop; all[i].at == i
	ready     []*Conn // have input that was not executed for lack of a turn
	readyNow  []*Conn // ready's other buffer
	dirty     []*Conn // may have something to write
	doomed    []*Conn // have closeWhy
	holding   []*Conn // have holds
	rbuf      []byte
	rused     int       // of rbuf, by the connections of group
	group     []reading // connections that were read from and wait for their turn in this round; c is nil when it is over
	foreseer  Foreseer  // the handler, if it is one, else nil
	idler     Idler     // the same
	ahead     ahead     // of the connections of group
	deep      ahead     // of the connection whose turn it is, behind that
	argv      [][]byte
	outs      [][]byte // output buffers to lend
	larges    [][]byte // those above pooledOut
	largesLow int      // the fewest there were of them since the last tick: so many nobody needs
	ticked    bool     // the timer went off since the last housekeeping
	scanAt    int      // where the next scan for timeouts begins
	alarm     int64    // the time of the alarm that is set, in Mono; 0 if none
	again     bool     // see Again
	stopping  bool
	netIn     int64 // since the last addition to Stats
	netOut    int64
	reads     int64
	writes    int64
	commands  int64 // in this round
	mailNow   mail  // the box being worked off
	inner     *interlude
	leftPosts bool // Interlude has left functions in the box

	hasHolds atomic.Bool // holding is not empty, and releaseHolds not about to look at it; written by the loop

	mailbox struct {
		sync.Mutex
		mail
		closed bool // the loop has ended; mail is dropped
	}
}

// reading is a connection's input, fresh from its socket, in the loop's read buffer: the first carried bytes are in Conn.in too.
type reading struct {
	c       *Conn
	buf     []byte
	carried int
	known   int // so many of the requests that buf begins with are in ahead
}

// ahead holds requests that were parsed and not yet executed: Foresee is told of them, and they are not parsed again.
type ahead struct {
	next []Next
	args [][]byte // what Next.Argv are sub-slices of
}

func (a *ahead) reset() { a.next, a.args = a.next[:0], a.args[:0] }

// mail is what other goroutines leave: functions (bounded by their senders) and connections that have something to look
// at (each at most twice: once for pushes, once for closing).
type mail struct {
	posts []func()
	opens []func() // adopt new connections; Interlude runs them too
	conns []*Conn
}

func newLoop(s *Server, index int) (*Loop, error) {
	l := &Loop{srv: s, index: index, rbuf: make([]byte, 2*readRoom), argv: make([][]byte, 0, 64)}
	l.foreseer, _ = s.handler.(Foreseer)
	l.idler, _ = s.handler.(Idler)
	p, err := newPoller(l, s.settings.Load().Hz)
	if err != nil {
		return nil, err
	}
	l.poll = p
	l.NowMs, l.Mono = s.opts.Clock()
	return l, nil
}

// Index returns the number of the loop, from 0. Any goroutine.
func (l *Loop) Index() int { return l.index }

// Server returns the loop's server. Any goroutine.
func (l *Loop) Server() *Server { return l.srv }

// Each calls f for every connection of the loop. f must not open connections. On the loop only.
func (l *Loop) Each(f func(*Conn)) {
	for _, c := range l.all {
		f(c)
	}
}

// Post runs f on the loop, in its next round. Functions run in the order in which they were posted. After the loop has
// ended f is dropped. Any goroutine.
func (l *Loop) Post(f func()) { l.post(f) }

// postOpen is post for the adoption of a new connection.
func (l *Loop) postOpen(f func()) bool { return l.leave(&l.mailbox.opens, f) }

// post is Post that tells whether f will run.
func (l *Loop) post(f func()) bool { return l.leave(&l.mailbox.posts, f) }

// leave puts f into one of the mailbox's lists, unless the loop has ended.
func (l *Loop) leave(list *[]func(), f func()) bool {
	l.mailbox.Lock()
	open := !l.mailbox.closed
	if open {
		*list = append(*list, f)
	}
	l.mailbox.Unlock()
	l.poll.wake()
	return open
}

// WakeAt has a round begin at the latest when Mono has reached mono: Housekeeping is called then. Later times than the
// earliest one asked for are forgotten, so ask again in Housekeeping for what is still to come. On the loop only.
func (l *Loop) WakeAt(mono int64) {
	if l.alarm != 0 && l.alarm <= mono {
		return
	}
	l.alarm = mono
	l.poll.alarmIn(time.Duration(max(mono-l.Mono, 1)))
}

// Again has the next round begin without waiting for anything. On the loop only.
func (l *Loop) Again() { l.again = true }

// wakeFor has the loop look at c: pushes, asynchronous close, stream input. Any goroutine.
func (l *Loop) wakeFor(c *Conn) {
	l.mailbox.Lock()
	if !l.mailbox.closed {
		l.mailbox.conns = append(l.mailbox.conns, c)
	}
	l.mailbox.Unlock()
	l.poll.wake()
}

func (l *Loop) run() {
	defer l.srv.running.Done()
	for !l.stopping || len(l.all) > 0 {
		l.round()
	}
	// Connections may have been posted since: their adoption, and all else, runs once more, and they are closed.
	for ended := false; !ended; {
		l.mailbox.Lock()
		ended = len(l.mailbox.posts) == 0 && len(l.mailbox.opens) == 0
		l.mailbox.closed = ended
		l.mailbox.Unlock()
		if !ended {
			l.takeMail()
			l.bury()
		}
	}
	l.poll.close()
}

func (l *Loop) round() {
	l.poll.wait(len(l.ready) == 0 && len(l.doomed) == 0 && !l.leftPosts && !l.again)
	l.again = false
	began := time.Now()
	l.NowMs, l.Mono = l.srv.opts.Clock()
	if l.alarm != 0 && l.alarm <= l.Mono {
		l.alarm = 0
	}
	if l.poll.takeWake() || l.leftPosts {
		l.leftPosts = false
		l.takeMail()
	}
	l.poll.serve()
	l.takeReady()
	if len(l.holding) > 0 {
		l.hasHolds.Store(false)
	}
	l.srv.handler.BeforeWrite(l)
	l.releaseHolds()
	l.flushDirty()
	l.srv.evictClients()
	tick := l.ticked
	if tick {
		l.ticked = false
		l.srv.futile.Store(0)
		l.dropLarge()
		l.scan()
	}
	l.bury()
	l.count()
	if tick {
		before := time.Now()
		l.srv.handler.Housekeeping(l, true)
		l.srv.Stats.TickNs.Add(int64(time.Since(before)))
	} else {
		l.srv.handler.Housekeeping(l, false)
	}
	took := int64(time.Since(began))
	l.srv.Stats.RoundNs.Add(took)
	l.srv.Stats.LongestRoundNs.Max(took)
}

// idle is called by the poller before the loop sleeps.
func (l *Loop) idle() {
	if l.idler != nil {
		l.idler.Idle(l)
	}
}

func (l *Loop) takeMail() {
	l.mailbox.Lock()
	l.mailNow, l.mailbox.mail = l.mailbox.mail, mail{posts: l.mailNow.posts[:0], opens: l.mailNow.opens[:0], conns: l.mailNow.conns[:0]}
	l.mailbox.Unlock()
	for i, f := range l.mailNow.opens {
		l.mailNow.opens[i] = nil
		f()
	}
	for i, f := range l.mailNow.posts {
		l.mailNow.posts[i] = nil
		f()
	}
	for i, c := range l.mailNow.conns {
		l.mailNow.conns[i] = nil
		if c.gone {
			continue
		}
		if why := c.asyncWhy.Load(); why != nil {
			c.Close(*why)
			continue
		}
		if s, ok := c.sock.(*streamSocket); ok {
			l.serveStream(c, s)
		}
		l.touched(c)
	}
}

// serveStream does for a stream what a poll event does for a descriptor. Input that is left takes another round.
func (l *Loop) serveStream(c *Conn, s *streamSocket) {
	readable, writable := s.state()
	if writable {
		l.writable(c)
	}
	if !readable {
		return
	}
	l.readable(c)
	l.executeGroup()
	if readable, _ = s.state(); readable && c.closeWhy == nil && !c.gone {
		l.wakeFor(c)
	}
}

// takeReady gives a turn to connections whose input was left over.
func (l *Loop) takeReady() {
	if len(l.ready) == 0 {
		return
	}
	l.ready, l.readyNow = l.readyNow[:0], l.ready
	for i, c := range l.readyNow {
		l.readyNow[i] = nil
		if c.busy() {
			l.ready = append(l.ready, c) // see Interlude
			continue
		}
		c.ready = false
		if c.Closing() || c.paused > 0 {
			continue
		}
		l.turnTaken(c, c.in, 0, nil)
	}
}

// adopt makes c one of the loop's connections.
func (l *Loop) adopt(c *Conn) {
	c.at = len(l.all)
	l.all = append(l.all, c)
	l.srv.mu.Lock()
	l.srv.mu.conns[c.id] = c
	l.srv.mu.Unlock()
	l.srv.opts.Events(ConnAccepted{ID: c.id, Addr: c.addr})
	l.lend(c)
	l.srv.handler.Opened(c)
	l.touched(c)
	if l.stopping {
		c.Close(ErrStopped)
	}
}

// readable reads once. What came is executed soon, by executeGroup.
func (l *Loop) readable(c *Conn) {
	if c.gone || c.closeWhy != nil || c.ready || c.busy() {
		return // busy: see Interlude. ready: what was read before comes first; the poll will tell again
	}
	if l.rused > readRoom {
		l.executeGroup()
	}
	room := l.rbuf[l.rused : l.rused+readRoom : l.rused+readRoom]
	if c.afterReply != nil {
		// Nothing is executed any more; but the end of the stream must be noticed, and the input must not pile up.
		n, err := c.sock.read(room)
		l.received(c, n, err)
		return
	}
	carried := len(c.in)
	if carried <= carryRoom && c.parser.Need() <= readRoom {
		copy(room, c.in)
		n, err := c.sock.read(room[carried:])
		if l.received(c, n, err) {
			l.rused += carried + n
			l.group = append(l.group, reading{c: c, buf: room[: carried+n : carried+n], carried: carried})
		}
		return
	}
	c.in = growInput(c.in, c.parser.Need())
	n, err := c.sock.read(c.in[carried:cap(c.in)])
	if l.received(c, n, err) {
		c.in = c.in[:carried+n]
		l.turnTaken(c, c.in, 0, nil)
	}
}

// executeGroup gives the connections that were read from their turns. Before, it lets the handler foresee what they will
// ask, for some of them at a time.
func (l *Loop) executeGroup() {
	for at := 0; at < len(l.group); {
		l.ahead.reset()
		end := at
		for ; end < len(l.group) && len(l.ahead.next) < foreseen; end++ {
			if r := &l.group[end]; r.c != nil {
				r.known = l.look(&l.ahead, r.c, r.buf)
			}
		}
		known := l.ahead.next
		l.foresee(known)
		for ; at < end; at++ {
			r := l.group[at]
			l.group[at] = reading{}
			own := known[:r.known]
			known = known[r.known:]
			// An earlier turn may have ended the connection.
			if c := r.c; c != nil && !c.gone && c.closeWhy == nil && c.afterReply == nil {
				l.turnTaken(c, r.buf, r.carried, own)
			}
		}
	}
	l.group, l.rused = l.group[:0], 0
}

// look parses some of the whole requests that buf begins with and returns how many.
func (l *Loop) look(a *ahead, c *Conn, buf []byte) (n int) {
	if c.unauth {
		return 0
	}
	lim := resp.Limits{MaxBulk: l.srv.settings.Load().MaxBulk}
	for ; n < foreseen; n++ {
		from := len(a.args)
		args, size := resp.Whole(buf, a.args, lim)
		if size == 0 {
			break
		}
		a.args = args
		a.next = append(a.next, Next{c, args[from:len(args):len(args)], size})
		buf = buf[size:]
	}
	return n
}

// foresee tells the handler what look found. One request alone would gain nothing.
func (l *Loop) foresee(next []Next) {
	if len(next) > 1 && l.foreseer != nil {
		l.foreseer.Foresee(l, next)
	}
}

// growInput makes room for another read behind in. A request that announces need bytes gets them in a few steps only, so
// that its bytes are moved at most about once, and an announcement alone costs four times what was really sent.
func growInput(in []byte, need int) []byte {
	if cap(in)-len(in) >= carryRoom || cap(in) >= need && cap(in) > len(in) {
		return in
	}
	want := max(len(in)+readRoom, 2*len(in))
	if need > len(in) {
		want = min(max(need, len(in)+len(in)/8), 4*want) // not more: it counts towards maxmemory-clients
	}
	grown := make([]byte, len(in), want)
	copy(grown, in)
	return grown
}

// received books a read. It reports whether there is something to execute.
func (l *Loop) received(c *Conn, n int, err error) bool {
	if err != nil {
		if err != errAgain {
			c.Close(err)
		}
		return false
	}
	l.netIn += int64(n)
	l.reads++
	c.lastMs.Store(l.NowMs)
	return true
}

// turnTaken executes requests of buf, which is the connection's input from its first incomplete request on: either c.in
// itself, or the loop's buffer, whose first carried bytes c.in holds too. known are those of them that were parsed. What is
// left is kept in c.in.
func (l *Loop) turnTaken(c *Conn, buf []byte, carried int, known []Next) {
	used := 0
	if !l.checkInput(c, len(buf)) && !l.weigh(c, len(buf)) && c.paused == 0 { // before, too: a large request may come in with few reads
		used = l.turn(c, buf, known)
	}
	own := len(c.in) > 0 && len(buf) > 0 && &c.in[0] == &buf[0]
	switch {
	case c.gone || c.detached:
		c.in = nil
	case own:
		n := len(buf)
		if used > 0 {
			n = copy(c.in, buf[used:])
		}
		c.in = c.in[:n]
	case used > 0:
		c.in = append(c.in[:0], buf[used:]...)
	default:
		c.in = append(c.in, buf[carried:]...)
	}
	if len(c.in) == 0 && cap(c.in) > keptInput {
		c.in = nil
	}
	c.cur = nil
	if kept := int64(len(c.in) - c.parser.Taken()); c.inBytes.Load() != kept || c.inCap.Load() != int64(cap(c.in)) {
		c.inBytes.Store(kept)
		c.inCap.Store(int64(cap(c.in)))
	}
	l.touched(c)
}

// checkInput ends a connection whose unexecuted input is longer than its limit, and says so.
func (l *Loop) checkInput(c *Conn, unexecuted int) (over bool) {
	set := l.srv.settings.Load()
	limit := int64(set.QueryBuffer)
	if c.unauth {
		limit = min(limit, int64(set.UnauthQuery))
	}
	if int64(unexecuted) > limit {
		l.limitHit(c, ErrQueryLimit, int64(unexecuted), limit)
		return true
	}
	return false
}

func (l *Loop) limitHit(c *Conn, why error, bytes, limit int64) {
	if c.closeWhy != nil || c.gone {
		return
	}
	l.srv.opts.Events(LimitHit{ID: c.id, Addr: c.addr, Class: c.Class(), Why: why, Bytes: bytes, Limit: limit})
	c.Close(why)
}

// turn executes requests from the beginning of buf, of which known were parsed, and returns how many bytes they were.
func (l *Loop) turn(c *Conn, buf []byte, known []Next) (used int) {
	set := l.srv.settings.Load()
	lim := resp.Limits{MaxBulk: set.MaxBulk}
	if c.duePushes() {
		c.takePushes()
	}
	l.lend(c)
	l.Turn++
	if c.Out.Max = 0; set.Output[c.Class()].Hard > 0 {
		c.Out.Max = int(withinHard(set.Output[c.Class()].Hard)) + 1
	}
	c.inTurn = true
	if len(known) > 0 && !c.unauth {
		c.parser.Reset() // it may have begun with the first of them
	}
	for executed := 0; used < len(buf); {
		if len(known) == 0 && executed > 0 && executed%foreseen == 0 {
			l.deep.reset()
			l.look(&l.deep, c, buf[used:])
			known = l.deep.next
			l.foresee(known)
		}
		var argv [][]byte
		if len(known) > 0 && !c.unauth {
			argv = known[0].Argv
			used += known[0].n
			known = known[1:]
		} else {
			known = nil
			lim.Unauthenticated = c.unauth
			args, n, bad := c.parser.Next(buf[used:], l.argv, lim)
			if bad != "" {
				l.protocolFailed(c, bad, buf[used:])
				used = len(buf)
				break
			}
			if n == 0 {
				break
			}
			used += n
			if argv = args; len(argv) == 0 {
				continue
			}
			if cap(argv) > cap(l.argv) && cap(argv) <= turnCommands {
				l.argv = argv[:0]
			}
		}
		c.mark = c.position()
		c.cur = buf[used:]
		l.commands++
		l.srv.handler.Command(c, argv)
		executed++
		if c.duePushes() {
			c.takePushes() // the command's own pushes stand right behind its reply
		}
		if c.paused > 0 || c.Closing() || c.detached {
			break
		}
		if executed == turnCommands || c.Out.Len() >= turnOutput {
			if used < len(buf) {
				l.makeReady(c)
			}
			break
		}
	}
	c.inTurn = false
	return used
}

// queryShown is how much of a bad request an event shows, as in Redis' log.
const queryShown = 128

func (l *Loop) protocolFailed(c *Conn, bad resp.Error, query []byte) {
	l.srv.opts.Events(ProtocolFailed{ID: c.id, Addr: c.addr, Err: bad, Query: slices.Clone(query[:min(len(query), queryShown)])})
	c.mark = c.position()
	c.Out.Error(bad)
	c.closeAfterReply(ErrProtocol)
}

// makeReady gives c a turn without waiting for its socket.
func (l *Loop) makeReady(c *Conn) {
	if !c.ready && (len(c.in) > 0 || c.inTurn) {
		c.ready = true
		l.ready = append(l.ready, c)
	}
}

func (l *Loop) touched(c *Conn) {
	if !c.dirty && !c.gone {
		c.dirty = true
		l.dirty = append(l.dirty, c)
	}
}

func (l *Loop) doom(c *Conn) { l.doomed = append(l.doomed, c) }

func (l *Loop) held(c *Conn) {
	if !c.holding {
		c.holding = true
		l.holding = append(l.holding, c)
		l.hasHolds.Store(true)
	}
}

// releaseHolds marks connections dirty whose first held reply may go. It runs before any write, and again when a Release
// came before hasHolds was set.
func (l *Loop) releaseHolds() {
	for len(l.holding) > 0 {
		released := l.srv.released.Load()
		kept := l.holding[:0]
		for _, c := range l.holding {
			if l.releaseUntil(c, released); c.gone || len(c.holds) == 0 {
				c.holding = false
				continue
			}
			kept = append(kept, c)
		}
		clear(l.holding[len(kept):])
		l.holding = kept
		l.hasHolds.Store(len(kept) > 0)
		if l.srv.released.Load() == released {
			return
		}
	}
}

func (l *Loop) releaseUntil(c *Conn, released int64) {
	if c.gone || len(c.holds) == 0 || c.holds[0].off > released {
		return
	}
	l.touched(c)
	n := 0
	for n < len(c.holds) && c.holds[n].off <= released {
		n++
	}
	c.holds = slices.Delete(c.holds, 0, n)
	if c.heldBack && len(c.holds) < maxHolds/2 {
		c.heldBack = false
		c.Resume()
	}
}

// lend gives c an output buffer for the round.
func (l *Loop) lend(c *Conn) {
	if cap(c.Out.Bytes()) > 0 {
		return
	}
	if n := len(l.larges); n > 0 && c.muchOut {
		c.Out.Swap(l.larges[n-1])
		l.larges[n-1] = nil
		l.larges = l.larges[:n-1]
		l.largesLow = min(l.largesLow, n-1)
		return
	}
	if n := len(l.outs); n > 0 {
		c.Out.Swap(l.outs[n-1])
		l.outs[n-1] = nil
		l.outs = l.outs[:n-1]
		return
	}
	c.Out.Swap(make([]byte, 0, 1024))
}

// takeBack ends the loan when nothing is left to send.
func (l *Loop) takeBack(c *Conn) {
	buf := c.Out.Swap(nil)
	c.muchOut = len(buf) > pooledOut/2
	switch {
	case cap(buf) > pooledOut:
		if cap(buf) <= pooledLarge && len(l.larges) < pooledLarges {
			l.larges = append(l.larges, buf[:0])
		}
	case cap(buf) > 0 && len(l.outs) < pooledOuts:
		l.outs = append(l.outs, buf[:0])
	}
	c.outSent = 0
}

// dropLarge gives up the large buffers that nobody has needed since the last tick.
func (l *Loop) dropLarge() {
	if l.largesLow > 0 {
		l.larges = slices.Delete(l.larges, 0, l.largesLow)
	}
	l.largesLow = len(l.larges)
}

// takePushes moves what was pushed behind what is written.
func (c *Conn) takePushes() {
	c.loop.lend(c)
	c.mu.Lock()
	if len(c.mu.chunks) > 0 {
		c.toQueue()
		c.loop.lend(c)
		for _, chunk := range c.mu.chunks {
			c.queue = append(c.queue, chunk)
			c.queueBytes += len(chunk)
			c.queueCap += cap(chunk)
		}
		c.mu.chunks = nil
	}
	c.Out.Raw(c.mu.pushed)
	if cap(c.mu.pushed) <= keptInput {
		c.mu.pushed = c.mu.pushed[:0]
	} else {
		c.mu.pushed = nil
	}
	c.mu.bytes = 0
	c.hasPush.Store(false)
	c.mu.Unlock()
}

// toQueue moves what is in Out, if anything, to the queue of chunks.
func (c *Conn) toQueue() {
	rest := c.Out.Bytes()[c.outSent:]
	if len(rest) == 0 {
		c.Out.Truncate(0)
	} else {
		c.queue = append(c.queue, rest)
		c.queueBytes += len(rest)
		c.queueCap += cap(rest)
		c.Out.Swap(nil)
	}
	c.outSent = 0
}

// duePushes reports whether pushes wait whose place is here: they stand behind what functions given to Do write.
func (c *Conn) duePushes() bool { return c.hasPush.Load() && c.posted.Load() == 0 }

func (l *Loop) flushDirty() {
	var waiting []*Conn
	for i := 0; i < len(l.dirty); i++ { // may grow: Closed and limits touch nothing, but a handler might
		c := l.dirty[i]
		l.dirty[i] = nil
		if c.busy() { // see Interlude: what it has so far is sent with the rest
			waiting = append(waiting, c)
			continue
		}
		c.dirty = false
		if !c.gone && c.closeWhy == nil {
			l.flush(c)
		}
		l.settle(c)
	}
	l.dirty = append(l.dirty[:0], waiting...)
}

// flush writes what may be written and applies the output limits.
func (l *Loop) flush(c *Conn) {
	if c.duePushes() {
		c.takePushes()
	}
	set := l.srv.settings.Load()
	if c.Pending() > 0 && (!l.withinOutput(c, set) || !c.wantsWrite && !l.send(c)) {
		return
	}
	pending := c.Pending()
	if pending == 0 {
		l.takeBack(c)
		if c.afterReply != nil {
			c.Close(c.afterReply)
		}
	}
	if pending == 0 && c.outBytes.Load() == 0 {
		return
	}
	c.outBytes.Store(int64(pending))
	c.outChunks.Store(int64(len(c.queue)))
	c.outMem.Store(int64(c.queueCap + cap(c.Out.Bytes())))
	if c.unauth && pending > set.UnauthOutput {
		l.limitHit(c, ErrUnauthOutput, int64(pending), int64(set.UnauthOutput))
	}
}

// countedOutput is what the limits of a class count of so much unsent output.
func countedOutput(unsent int64) int64 {
	if unsent <= uncounted {
		return 0
	}
	return (unsent - uncounted + replyBlock - 1) / replyBlock * replyBlock
}

// withinHard is how much output may be unsent before a hard limit is reached.
func withinHard(limit int64) int64 {
	return uncounted + (min(limit, math.MaxInt32<<16)-1)/replyBlock*replyBlock
}

// withinOutput checks the limits of the connection's class, as Redis does when it adds to an output buffer: what a fast
// reader would be sent this very round counts too.
func (l *Loop) withinOutput(c *Conn, set *Settings) bool {
	lim := &set.Output[c.Class()]
	if lim.Hard == 0 && lim.Soft == 0 {
		return true
	}
	pending := countedOutput(int64(c.Pending()))
	if lim.Hard > 0 && pending >= lim.Hard {
		l.limitHit(c, ErrOutputLimit, pending, lim.Hard)
		return false
	}
	if lim.Soft == 0 || pending < lim.Soft {
		c.softSinceMs = 0
		return true
	}
	if c.softSinceMs == 0 {
		c.softSinceMs = l.NowMs
		return true
	}
	if (l.NowMs-c.softSinceMs)/1000 <= int64(lim.SoftSeconds) {
		return true
	}
	l.limitHit(c, ErrOutputLimit, pending, lim.Soft)
	return false
}

// sendable returns the stream position up to which output may be sent.
func (c *Conn) sendable() int64 {
	if len(c.holds) > 0 {
		return c.holds[0].start
	}
	return c.position()
}

// send writes until the socket takes no more. It returns false if the connection broke.
func (l *Loop) send(c *Conn) bool {
	end := c.sendable()
	rest := c.sentTotal + flushMost
	for len(c.queue) > 0 && c.sentTotal < end {
		chunk := c.queue[0]
		left := chunk[c.queueOff:]
		n, again, ok := l.write(c, left[:min(int64(len(left)), end-c.sentTotal)])
		if !ok {
			return false
		}
		c.queueOff += n
		c.queueBytes -= n
		if c.queueOff == len(chunk) {
			c.queueCap -= cap(chunk)
			c.queue[0] = nil
			c.queue = c.queue[1:]
			c.queueOff = 0
		}
		if again || c.sentTotal >= rest && c.sentTotal < end {
			return l.blocked(c)
		}
	}
	if len(c.queue) == 0 {
		c.queue = nil
	}
	for c.sentTotal < end {
		left := c.Out.Bytes()[c.outSent:]
		n, again, ok := l.write(c, left[:min(int64(len(left)), end-c.sentTotal)])
		if !ok {
			return false
		}
		c.outSent += n
		if again || c.sentTotal >= rest && c.sentTotal < end {
			return l.blocked(c)
		}
	}
	if c.wantsWrite {
		return l.want(c, false)
	}
	return true
}

// write writes once. again means that the socket is full: a short write is as good as an errAgain, and saves it.
func (l *Loop) write(c *Conn, p []byte) (n int, again, ok bool) {
	p = p[:min(len(p), writeMost)]
	n, err := c.sock.write(p)
	switch {
	case err == errAgain:
		return 0, true, true
	case err != nil:
		c.Close(err)
		return 0, false, false
	}
	l.netOut += int64(n)
	l.writes++
	if c.lastMs.Load() != l.NowMs {
		c.lastMs.Store(l.NowMs)
	}
	c.sentTotal += int64(n)
	return n, n < len(p), true
}

// blocked waits for the client to read. Much unsent output moves to the queue, so that Out starts afresh and nothing is
// copied while it waits.
func (l *Loop) blocked(c *Conn) bool {
	if rest := c.Out.Bytes()[c.outSent:]; len(rest) >= chunkBytes {
		c.toQueue()
	} else if c.outSent > 0 {
		buf := c.Out.Bytes()
		copy(buf, rest)
		c.Out.Truncate(len(rest))
		c.outSent = 0
	}
	return c.wantsWrite || l.want(c, true)
}

func (l *Loop) want(c *Conn, on bool) bool {
	if err := c.sock.wantWrite(on); err != nil {
		c.Close(err)
		return false
	}
	c.wantsWrite = on
	return true
}

// writable goes on where blocked stopped.
func (l *Loop) writable(c *Conn) {
	if c.gone || c.closeWhy != nil {
		return
	}
	if l.want(c, false) {
		l.touched(c)
	}
}

// scan looks at some connections for everything that only time brings about: timeouts and soft output limits. Each
// connection is looked at about once a second, or more often while there are few.
func (l *Loop) scan() {
	set := l.srv.settings.Load()
	n := min(len(l.all), max(idleScan, len(l.all)/set.Hz))
	for range n {
		if l.scanAt >= len(l.all) {
			l.scanAt = 0
		}
		c := l.all[l.scanAt]
		l.scanAt++
		l.scanOne(c, set)
	}
}

func (l *Loop) scanOne(c *Conn, set *Settings) {
	if c.gone || c.closeWhy != nil {
		return
	}
	if c.Pending() > 0 && !l.withinOutput(c, set) {
		return
	}
	if set.UnauthTimeout > 0 && c.unauth && l.NowMs-c.createdMs > int64(set.UnauthTimeout)*1000 {
		l.limitHit(c, ErrUnauthTimeout, 0, int64(set.UnauthTimeout))
		return
	}
	if set.IdleTimeout > 0 && !c.noIdle && c.paused == 0 && c.Class() == ClassNormal &&
		(l.NowMs-c.lastMs.Load())/1000 > int64(set.IdleTimeout) {
		l.limitHit(c, ErrIdle, 0, int64(set.IdleTimeout))
	}
}

// bury ends the connections that were doomed.
func (l *Loop) bury() {
	for i := 0; i < len(l.doomed); i++ { // Closed may doom others
		c := l.doomed[i]
		l.doomed[i] = nil
		l.end(c, c.closeWhy)
	}
	l.doomed = l.doomed[:0]
}

// end forgets c everywhere, tells the handler, and only then closes the descriptor: its number may be given to a new
// connection, on another loop, the moment it is closed.
func (l *Loop) end(c *Conn, why error) {
	if c.gone {
		return
	}
	c.gone = true
	c.account(0)
	if !c.detached {
		c.sock.forget()
	}
	last := len(l.all) - 1
	l.all[c.at] = l.all[last]
	l.all[c.at].at = c.at
	l.all[last] = nil
	l.all = l.all[:last]
	s := l.srv
	s.mu.Lock()
	delete(s.mu.conns, c.id)
	s.mu.Unlock()
	c.mu.Lock()
	c.dropPushesLocked()
	c.mu.Unlock()
	s.countClosed(why)
	s.handler.Closed(c, why)
	c.Out.Swap(nil)
	c.in, c.cur, c.queue, c.holds = nil, nil, nil, nil
	if !c.detached {
		c.sock.close()
	}
	s.open.Add(-1)
	s.Stats.Connected.Add(-1)
	s.opts.Events(ConnClosed{ID: c.id, Addr: c.addr, Why: why})
}

func (s *Server) countClosed(why error) {
	switch why {
	case ErrOutputLimit:
		s.Stats.OutputLimit.Inc()
	case ErrQueryLimit:
		s.Stats.QueryLimit.Inc()
	case ErrUnauthOutput, ErrUnauthTimeout:
		s.Stats.UnauthLimit.Inc()
	case ErrIdle:
		s.Stats.IdleClosed.Inc()
	case ErrProtocol:
		s.Stats.BadProtocol.Inc()
	}
}

// count adds the round's numbers to the shared counters.
func (l *Loop) count() {
	st := &l.srv.Stats
	st.Rounds.Inc()
	if l.commands > 0 {
		st.MostCommands.Max(l.commands)
		l.commands = 0
	}
	if l.reads > 0 {
		st.NetInput.Add(l.netIn)
		st.Reads.Add(l.reads)
		l.netIn, l.reads = 0, 0
	}
	if l.writes > 0 {
		st.NetOutput.Add(l.netOut)
		st.Writes.Add(l.writes)
		l.netOut, l.writes = 0, 0
	}
}

func (l *Loop) detach(c *Conn) (*Detached, error) {
	if c.gone || c.detached || c.closeWhy != nil {
		return nil, ErrClosedByServer
	}
	if c.hasPush.Load() {
		c.takePushes()
	}
	d := &Detached{}
	if c.inTurn {
		d.Unread = slices.Clone(c.cur)
	} else {
		d.Unread = slices.Clone(c.in)
	}
	for i, chunk := range c.queue {
		if i == 0 {
			chunk = chunk[c.queueOff:]
		}
		d.Unsent = append(d.Unsent, chunk...)
	}
	d.Unsent = append(d.Unsent, c.Out.Bytes()[c.outSent:]...)
	c.sock.forget()
	nc, unread, unsent, err := c.sock.detach()
	c.detached = true
	if err != nil {
		c.Close(err)
		return nil, err
	}
	d.Conn = nc
	d.Unread = append(d.Unread, unread...)
	d.Unsent = append(unsent, d.Unsent...) // what is inside the socket goes first
	c.Close(ErrDetached)
	return d, nil
}

// stopGently lets every connection finish its output and the loop end with the last of them.
func (l *Loop) stopGently() {
	l.stopping = true
	for _, c := range l.all {
		c.closeAfterReply(ErrStopped)
	}
}

func (l *Loop) stopNow() {
	l.stopping = true
	for _, c := range l.all {
		c.Close(ErrStopped)
	}
}
