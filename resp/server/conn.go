package server

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"

	"github.com/sextantdb/sextant/resp"
)

// Why a connection was closed, besides errors of its socket and io.EOF.
var (
	ErrClosedByServer = errors.New("closed by the server")
	ErrStopped        = errors.New("server stopped")
	ErrIdle           = errors.New("idle too long")
	ErrUnauthTimeout  = errors.New("not authenticated in time")
	ErrUnauthOutput   = errors.New("too much unread output before authentication")
	ErrOutputLimit    = errors.New("output buffer limit reached")
	ErrQueryLimit     = errors.New("query buffer limit reached")
	ErrEvicted        = errors.New("evicted, clients use too much memory")
	ErrProtocol       = errors.New("protocol error")
	ErrDetached       = errors.New("handed over to another owner")
)

// Conn is one client connection. It lives on one loop from Opened to Closed.
//
// "On the loop" below means: inside a Handler call about this loop, or inside a function given to Do or Loop.Post.
type Conn struct {
	// Context belongs to the handler. Set in Opened, used on the loop.
	Context any
	// Out takes replies. Write to it only inside Opened or Command of this connection, or in a function given to its Do;
	// from anywhere else use Push.
	Out resp.Writer

	// Immutable after construction.
	loop      *Loop
	id        uint64
	addr      string
	localAddr string
	unix      bool
	createdMs int64
	sock      socket

	// Owned by the loop.
	unauth      bool
	noIdle      bool
	paused      int   // depth of Pause
	closeWhy    error // set: in loop.doomed
	afterReply  error // set: close for this reason once everything is sent; no more input is executed
	gone        bool  // Closed was called, or is being called
	detached    bool
	inTurn      bool // commands of this connection are being executed further up the stack
	inDo        bool // so is a function given to Do: a call that was set aside may be run again there
	dirty       bool // in loop.dirty
	ready       bool // in loop.ready: input waits that may hold whole requests
	holding     bool // in loop.holding
	heldBack    bool // paused because of too many holds
	at          int  // index in loop.all
	wantsWrite  bool // waiting for the socket to take more
	parser      resp.Parser
	in          []byte // input kept between turns; begins with the incomplete or not yet executed request
	cur         []byte // during a turn: input behind the running command
	queue       [][]byte
	queueBytes  int    // len of all of queue, without what was sent of queue[0]
	queueCap    int    // cap of all of queue
	queueOff    int    // sent bytes of queue[0]
	outSent     int    // sent bytes of Out
	muchOut     bool   // the last loan of a buffer was for much output
	sentTotal   int64  // stream position of the next byte to send
	mark        int64  // stream position where the running command's reply begins
	holds       []hold // ascending by off and by start
	softSinceMs int64  // since when above the soft limit; 0: below

	// mu guards what other goroutines leave for the loop.
	mu struct {
		sync.Mutex
		chunks  [][]byte // pushed before what is in pushed; may be shared with other connections, so never changed
		pushed  []byte
		bytes   int  // len of all of chunks and of pushed
		proto   int  // the protocol that Messages are pushed in
		dropped bool // no more pushes are taken
	}
	class     atomic.Uint32         // Class; written by the loop
	counted   atomic.Int64          // its share of Server.clientBytes
	extra     atomic.Int64          // SetCost; written by the loop
	keep      atomic.Bool           // SetCost; written by the loop
	hasPush   atomic.Bool           // mu.bytes is not 0; written under mu
	posted    atomic.Int32          // functions given to Do that did not run yet
	asyncWhy  atomic.Pointer[error] // set once, by CloseAsync
	lastMs    atomic.Int64          // last time the client sent something; written by the loop
	inBytes   atomic.Int64          // written by the loop at the end of a turn
	inCap     atomic.Int64
	outBytes  atomic.Int64 // unsent reply bytes after the last write
	outChunks atomic.Int64 // in queue
	outMem    atomic.Int64 // memory of queue and Out
}

// Constants of a connection: any goroutine.

// ID returns the connection's number, ascending from 1 over the server's life.
func (c *Conn) ID() uint64 { return c.id }

// Addr returns the peer as CLIENT LIST shows it: "ip:port", or "path:0" on a unix socket.
func (c *Conn) Addr() string { return c.addr }

// LocalAddr returns our end in the same form.
func (c *Conn) LocalAddr() string { return c.localAddr }

// Unix reports whether the client came through the unix socket.
func (c *Conn) Unix() bool { return c.unix }

// Loopback reports whether the peer is on this machine: a unix socket or a loopback address. Protected mode asks it.
func (c *Conn) Loopback() bool { return c.unix || isLoopback(c.addr) }

// FD returns the descriptor number that CLIENT LIST shows, or −1.
func (c *Conn) FD() int { return c.sock.fd() }

// CreatedMs returns when the connection was accepted.
func (c *Conn) CreatedMs() int64 { return c.createdMs }

// Loop returns the loop the connection lives on.
func (c *Conn) Loop() *Loop { return c.loop }

// Numbers is what CLIENT LIST tells about a connection's buffers.
type Numbers struct {
	LastMs      int64 // when the client last sent or took something
	Qbuf        int64 // qbuf: input waiting
	QbufFree    int64 // qbuf-free: room behind it
	Obl         int64 // obl: unsent bytes that no limit counts, Redis' fixed buffer
	Oll         int64 // oll: chunks behind them
	Omem        int64 // omem: unsent bytes as the limits of a class count them
	PushWaiting int64 // of both, what was pushed and is not yet taken over by the loop
	BufferBytes int64 // memory of all buffers: the server's part of tot-mem
}

// Numbers may be called from any goroutine; it tells the state at the end of the connection's last turn.
func (c *Conn) Numbers() Numbers {
	c.mu.Lock()
	waiting := int64(c.mu.bytes)
	c.mu.Unlock()
	n := Numbers{
		LastMs:      c.lastMs.Load(),
		Qbuf:        c.inBytes.Load(),
		PushWaiting: waiting,
	}
	unsent := c.outBytes.Load() + waiting
	n.Obl = min(unsent, uncounted)
	if n.Omem = countedOutput(unsent); n.Omem > 0 {
		n.Oll = max(c.outChunks.Load(), 1)
	}
	n.QbufFree = max(c.inCap.Load()-n.Qbuf, 0)
	n.BufferBytes = n.Qbuf + n.QbufFree + c.outMem.Load() + waiting
	return n
}

// Acts from any goroutine.

// Push appends bytes that are RESP already to the connection's output, behind the replies of all commands that have
// finished and behind earlier pushes. It returns false if the connection is closing. It never blocks on the client: what
// it adds counts against the output limit of the connection's class.
func (c *Conn) Push(b []byte) bool { return c.PushFrom(nil, b) }

// PushFrom is Push by a caller that runs on the loop from. When that is the connection's own loop, it need not be woken, and
// the push goes out in this very round.
func (c *Conn) PushFrom(from *Loop, b []byte) bool {
	c.mu.Lock()
	return c.pushLocked(from, b, false)
}

// Message is something to be pushed that reads differently in RESP2 and RESP3. Form returns the same bytes whenever it is
// asked for the same protocol, and nobody changes them: a long message is shared by all connections it is pushed to. Nil
// says that a client of this protocol does not get it.
type Message interface {
	Form(proto int) []byte
}

// PushMessage is PushFrom in the protocol that SetProto named last. from is nil for a caller that runs on no loop.
func (c *Conn) PushMessage(from *Loop, m Message) bool {
	c.mu.Lock()
	b := m.Form(c.mu.proto)
	if b == nil {
		c.mu.Unlock()
		return true
	}
	return c.pushLocked(from, b, true)
}

// pushLocked queues b and unlocks mu. shared says that b is never changed, so a long b need not be copied.
func (c *Conn) pushLocked(from *Loop, b []byte, shared bool) bool {
	s := c.loop.srv
	if c.mu.dropped {
		c.mu.Unlock()
		s.Stats.PushDropped.Inc()
		return false
	}
	shared = shared && len(b) >= chunkBytes
	if len(c.mu.pushed) > 0 && (shared || len(c.mu.pushed)+len(b) > max(chunkBytes, cap(c.mu.pushed))) {
		c.mu.chunks, c.mu.pushed = append(c.mu.chunks, c.mu.pushed), nil
	}
	if shared {
		c.mu.chunks = append(c.mu.chunks, b)
	} else {
		c.mu.pushed = append(c.mu.pushed, b...)
	}
	c.mu.bytes += len(b)
	pending := int64(c.mu.bytes) + c.outBytes.Load()
	first := !c.hasPush.Load()
	c.hasPush.Store(true)
	// A loop that is held up cannot enforce the limit, so the hard one is looked at here too.
	hard := s.settings.Load().Output[c.Class()].Hard
	over := hard > 0 && countedOutput(pending) >= hard
	if over {
		c.dropPushesLocked()
	}
	c.mu.Unlock()
	switch {
	case over:
		c.CloseAsync(ErrOutputLimit)
		return false
	case from == c.loop:
		from.touched(c)
	case first:
		c.loop.wakeFor(c)
	}
	return true
}

// dropPushesLocked forgets what was pushed and takes no more. REQUIRES: mu.
func (c *Conn) dropPushesLocked() {
	c.mu.dropped = true
	c.mu.chunks, c.mu.pushed, c.mu.bytes = nil, nil, 0
}

// Do runs f on the connection's loop, soon, unless the connection is closed before. f may write to c.Out. Pushes that are
// made from now on come behind what f writes.
func (c *Conn) Do(f func()) {
	c.posted.Add(1)
	c.loop.Post(func() {
		c.posted.Add(-1)
		if c.gone {
			return
		}
		c.mark = c.position()
		c.inDo = true
		f()
		c.inDo = false
		c.loop.touched(c)
	})
}

// CloseAsync closes the connection, with what is unsent, at the end of its loop's present round. The first reason counts.
func (c *Conn) CloseAsync(why error) {
	if c.asyncWhy.CompareAndSwap(nil, &why) {
		c.loop.wakeFor(c)
	}
}

// Acts on the loop.

// SetProto says which protocol Messages are pushed in from now on, RESP2 at first.
func (c *Conn) SetProto(proto int) {
	c.mu.Lock()
	c.mu.proto = proto
	c.mu.Unlock()
}

// TakePushes puts what was pushed so far before whatever is written to Out next. Inside a command it may be called as long
// as nothing of the reply is written.
func (c *Conn) TakePushes() {
	if c.hasPush.Load() {
		c.takePushes()
	}
}

// Close closes the connection with what is unsent. Inside one of its commands the rest of the command still runs;
// Closed is called at the end of the turn. why nil means ErrClosedByServer.
func (c *Conn) Close(why error) {
	if why == nil {
		why = ErrClosedByServer
	}
	if c.closeWhy == nil && !c.gone {
		c.closeWhy = why
		c.loop.doom(c)
	}
}

// CloseAfterReply executes no further input and closes the connection once its output, including held replies, is sent.
func (c *Conn) CloseAfterReply() { c.closeAfterReply(ErrClosedByServer) }

func (c *Conn) closeAfterReply(why error) {
	if c.afterReply == nil {
		c.afterReply = why
	}
	c.loop.touched(c)
}

// busy reports whether something of the connection runs further up the stack; see Interlude.
func (c *Conn) busy() bool { return c.inTurn || c.inDo }

// Closing reports whether Close or CloseAfterReply was called.
func (c *Conn) Closing() bool { return c.gone || c.closeWhy != nil || c.afterReply != nil }

// Pause stops executing the client's requests after the running one. Input is still read and kept, up to the query buffer
// limit. Pauses nest.
func (c *Conn) Pause() { c.paused++ }

// Resume undoes one Pause. Kept requests are executed in a later turn, not inside Resume.
func (c *Conn) Resume() {
	if c.paused == 0 {
		panic("server: Resume without Pause")
	}
	c.paused--
	if c.paused == 0 && !c.gone && !c.inTurn {
		c.loop.makeReady(c)
	}
}

// Paused reports whether requests are not being executed.
func (c *Conn) Paused() bool { return c.paused > 0 }

// SetUnauthenticated switches the bounds for clients that have yet to AUTH on and off. It takes effect with the next request.
func (c *Conn) SetUnauthenticated(on bool) { c.unauth = on }

// SetNoIdleTimeout exempts the connection from Settings.IdleTimeout.
func (c *Conn) SetNoIdleTimeout(on bool) { c.noIdle = on }

// SetClass moves the connection to another class of output limits.
func (c *Conn) SetClass(class Class) { c.class.Store(uint32(class)) }

// Class returns the connection's class of output limits. Any goroutine.
func (c *Conn) Class() Class { return Class(c.class.Load()) }

// Pending returns how many reply bytes are not sent yet, pushes of other goroutines left out.
func (c *Conn) Pending() int { return c.queueBytes + c.Out.Len() - c.outSent }

// HoldUntil keeps back the reply of the running command, and everything behind it, until Server.Release has been
// called with an offset ≥ off. Replies of earlier commands are not kept back. off may not be less than in earlier calls
// for this connection. Call it after the reply is written or before, but inside Command or a function given to Do.
func (c *Conn) HoldUntil(off int64) {
	if off <= c.loop.srv.released.Load() {
		return
	}
	if n := len(c.holds); n > 0 && c.holds[n-1].off >= off {
		return // the earlier hold keeps this reply back as well
	}
	c.holds = append(c.holds, hold{off: off, start: c.mark})
	if len(c.holds) >= maxHolds && !c.heldBack {
		c.heldBack = true
		c.Pause()
	}
	c.loop.held(c)
}

// Held returns the number of holds that are not released yet.
func (c *Conn) Held() int { return len(c.holds) }

// Detached is a connection that left its loop.
type Detached struct {
	Conn   net.Conn // blocking from now on; the new owner's
	Unread []byte   // what the client sent behind the running command
	Unsent []byte   // replies that were not sent, held ones too; to be sent first
}

// Detach takes the connection away from the loop, for owners that want to read and write it themselves (replica links).
// Inside Command, the running command is the last one. Closed is called with ErrDetached at the end of the turn.
func (c *Conn) Detach() (*Detached, error) {
	return c.loop.detach(c)
}

// hold keeps back the output stream from start on until off is released.
type hold struct{ off, start int64 }

// position returns the stream position behind everything in Out.
func (c *Conn) position() int64 {
	return c.sentTotal + int64(c.Pending())
}

func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
