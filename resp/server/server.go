// Package server owns the sockets of clients: listeners, connections, event loops, and the buffers and limits between a
// socket and the commands. It cuts requests out of the input, calls its [Handler], and writes the replies.
//
// resp/dispatch is its handler; cluster/node builds and stops it. Tests drive it with handlers of their own.
//
// It must not know commands, sessions, users or the store. What a reply means, whether a client may ask, and why a client
// waits is the handler's business; the server only lets it pause a client, hold a reply back, and push bytes.
//
// # A loop
//
// A [Loop] is one goroutine that serves its connections in rounds:
//
//  1. poll: which sockets have something (never blocking while there is work; else parked, without occupying a thread)
//  2. mail: what other goroutines asked for (Post, Do, Push, CloseAsync)
//  3. turns: for each readable connection one read and at most 1024 requests; a connection with more input takes another
//     turn next round, so a long pipeline delays others by one turn
//  4. Handler.BeforeWrite, then one write for each connection with output, then burials (Handler.Closed)
//  5. Handler.Housekeeping, and before the loop parks Idler.Idle: the place for work that is cheaper in larger pieces
//
// A connection stays on its loop, so nothing about it needs a lock but the queue that other goroutines push to.
// Request arguments are sub-slices of the loop's one read buffer; only an incomplete rest is copied to the connection. Output
// buffers are lent for the round. So a command allocates nothing here, and an idle connection holds no buffer.
//
// On Linux the loop polls its own epoll descriptor with raw system calls. When nothing is there it waits for a moment inside
// that call (Options.Brisk), and parks by showing that descriptor to Go's poller when the moment is over. Elsewhere, and for any
// net.Conn given to Adopt (TLS), two goroutines per connection carry bytes to and from the loop behind the same interface.
//
// # Foreseeing
//
// Connections that are readable in a round are read one after the other and only then executed. Before, and every 32 requests of
// a long pipeline, the first arguments of what comes are shown to the handler (Foreseer), which has the memory of all these keys
// fetched at a time: a lookup follows addresses from cache line to cache line, and waiting for each was a third of
// the CPU at P=16.
//
// # Figures
//
// sextant server against redis-server 7.0.15, 2026-11-22, two cores shared with other builds (load 7 to 23), interleaved, 1 M
// keys of 16 and values of 64 bytes, 50 clients. CPU of the server per operation, in µs, is what such a machine can tell:
//
//	          redis  sextant  ratio [range of rounds]   requests/s
//	PING P=1   6.45    6.73   1.04 [0.97–1.15]          0.97
//	SET  P=1   7.89    7.08   0.89 [0.83–1.00]          0.84 to 1.27
//	GET  P=1   7.65    6.59   0.87 [0.79–0.92]          0.71 to 1.12
//	PING P=16  0.50    0.49   0.99 [0.93–1.10]          0.80
//	SET  P=16  1.70    0.85   0.50 [0.44–0.66]          1.61, 1.77, 2.23
//	GET  P=16  1.42    0.78   0.55 [0.50–0.62]          1.69, 2.07
//	three nodes, redis-benchmark --cluster: CPU 1.04, requests/s 1.21 [1.03–1.38]
//
// (4 or 5 rounds each, the cluster 2; several numbers are several runs.) At load 11 to 23 requests/s and p99 at P=1 depend on who
// is on the processor: take them again on a quiet machine. Of P=1, nine tenths are system calls, more than half write
// alone. Tried and not kept: 10 µs of polling before parking (CPU per operation 10 % up, no gain on a busy machine), huge
// pages for the arena (no difference). An idle connection costs 0.9 KB of RSS (Redis: 1.4 KB, 7.8 KB once it has sent something).
//
// The loop makes raw system calls only. An ordinary one wakes the runtime's monitor thread, which looks around every 20 µs
// from then on; one a round cost 1.3 µs per operation at P=1.
//
// # Order
//
// Replies leave in the order of their requests. A push made by another goroutine comes behind the replies of all commands
// of that connection that had finished, and behind earlier pushes. HoldUntil keeps a reply and everything behind it
// back until an offset is released.
package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sextantdb/sextant/resp"
)

// Server is the listeners and loops of one node. Its methods may be called from any goroutine that is not a loop, unless they
// say otherwise.
type Server struct {
	// Stats may be read at any time.
	Stats Stats

	// Immutable after construction.
	handler Handler
	opts    Options
	loops   []*Loop

	settings atomic.Pointer[Settings]
	released atomic.Int64 // see Release
	nextID   atomic.Uint64
	turn     atomic.Uint64 // round robin over loops
	open     atomic.Int64  // connections accepted and not closed

	clientBytes atomic.Int64 // sum of Conn.counted: see evict.go
	futile      atomic.Int64 // of clientBytes, when last nobody could be evicted; 0: try
	evicting    sync.Mutex   // held by the one who looks whom to evict; under it Server.mu and loops' mailboxes

	mu struct {
		sync.Mutex
		conns     map[uint64]*Conn
		listeners []*listener
		started   bool
		stopped   bool
	}
	running sync.WaitGroup // loops
}

// New builds a server. It opens nothing but its loops' poll descriptors.
func New(opts Options, h Handler) (*Server, error) {
	if err := opts.Settings.Validate(); err != nil {
		return nil, err
	}
	if opts.Clock == nil {
		opts.Clock = systemClock
	}
	if opts.Events == nil {
		opts.Events = func(Event) {}
	}
	if len(opts.Bind) == 0 {
		opts.Bind = []string{"127.0.0.1", "-::1"}
	}
	if opts.Loops == 0 {
		opts.Loops = 1
		if n := runtime.NumCPU(); n > 3 {
			opts.Loops = n / 2
		}
	}
	s := &Server{handler: h, opts: opts}
	s.mu.conns = make(map[uint64]*Conn)
	set := opts.Settings.withDefaults()
	s.settings.Store(&set)
	for i := range opts.Loops {
		l, err := newLoop(s, i)
		if err != nil {
			for _, l := range s.loops {
				l.poll.close()
			}
			return nil, fmt.Errorf("event loop: %w", err)
		}
		s.loops = append(s.loops, l)
	}
	return s, nil
}

// Listen opens the listeners of Options; connections queue up until Start. A failure is a *BindError, and leaves nothing
// open.
func (s *Server) Listen() error {
	if err := s.Rebind(s.opts.Bind, s.opts.Port); err != nil {
		return err
	}
	if s.opts.UnixSocket == "" {
		return nil
	}
	ln, err := listenUnix(s.opts.UnixSocket, s.opts.UnixGroup, s.opts.UnixPerm, s.Settings().TCPBacklog)
	if err != nil {
		s.closeListeners()
		return err
	}
	s.mu.Lock()
	s.mu.listeners = append(s.mu.listeners, ln)
	s.mu.Unlock()
	s.loops[0].serve(ln)
	return nil
}

// Rebind changes the TCP addresses that are listened on (CONFIG SET bind, port). Listeners that stay are not touched. On
// failure everything is as before.
func (s *Server) Rebind(bind []string, port int) error {
	if len(bind) == 0 {
		bind = []string{"127.0.0.1", "-::1"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.stopped {
		return ErrStopped
	}
	var keep, fresh, muted []*listener
	if port != 0 {
		for _, addr := range bind {
			if i := slices.IndexFunc(s.mu.listeners, func(ln *listener) bool { return ln.spec == addr && ln.port == port }); i >= 0 {
				keep = append(keep, s.mu.listeners[i])
				continue
			}
			ln, err := listenTCP(addr, port, s.Settings().TCPBacklog)
			if err != nil && errors.Is(err, syscall.EADDRINUSE) && len(muted) == 0 {
				// Perhaps in use by ourselves: 127.0.0.1 cannot be had while * is open.
				if muted = s.muteTCP(port); len(muted) > 0 {
					ln, err = listenTCP(addr, port, s.Settings().TCPBacklog)
				}
			}
			if err == nil {
				fresh = append(fresh, ln)
				continue
			}
			if err.Optional && err.missing() {
				s.opts.Events(BindFailed{Addr: addr, Err: err.Err})
				continue
			}
			for _, ln := range fresh {
				ln.close()
			}
			for _, ln := range muted {
				if unmute := ln.unmute(s.Settings().TCPBacklog); unmute != nil {
					return fmt.Errorf("%w; %s is not listened on any more: %v", err, ln.name(), unmute)
				}
			}
			return err
		}
		if len(keep)+len(fresh) == 0 {
			return &BindError{Addr: fmt.Sprint(bind), Port: port, Err: errors.New("none of the addresses exists")}
		}
	}
	for _, ln := range s.mu.listeners {
		if ln.unix != "" {
			keep = append(keep, ln)
		} else if !slices.Contains(keep, ln) {
			s.loops[0].unserve(ln)
		}
	}
	for _, ln := range fresh {
		s.loops[0].serve(ln)
	}
	s.mu.listeners = append(keep, fresh...)
	return nil
}

// muteTCP makes the TCP listeners on port stop listening, so that their addresses are free, and
// returns them. REQUIRES: s.mu.
func (s *Server) muteTCP(port int) (muted []*listener) {
	for _, ln := range s.mu.listeners {
		if ln.unix == "" && ln.port == port && ln.mute() == nil {
			muted = append(muted, ln)
		}
	}
	return muted
}

// TCPAddrs returns the addresses that are listened on.
func (s *Server) TCPAddrs() []net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	var addrs []net.Addr
	for _, ln := range s.mu.listeners {
		if ln.unix == "" {
			addrs = append(addrs, ln.addr)
		}
	}
	return addrs
}

// Start runs the loops.
func (s *Server) Start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.started || s.mu.stopped {
		panic("server: started twice")
	}
	s.mu.started = true
	for _, l := range s.loops {
		s.running.Add(1)
		go l.run()
	}
}

// StopAccepting closes the listeners and leaves connections alone.
func (s *Server) StopAccepting() { s.closeListeners() }

func (s *Server) closeListeners() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ln := range s.mu.listeners {
		s.loops[0].unserve(ln)
	}
	s.mu.listeners = nil
}

// Stop closes the listeners, executes no further requests, sends what was answered, and closes each connection when it has
// nothing left to send, or all when ctx ends. It returns when the loops have ended; ctx' error if something was unsent.
func (s *Server) Stop(ctx context.Context) error {
	s.mu.Lock()
	if s.mu.stopped {
		s.mu.Unlock()
		s.running.Wait()
		return nil
	}
	s.mu.stopped = true
	started := s.mu.started
	s.mu.Unlock()
	s.closeListeners()
	if !started {
		for _, l := range s.loops {
			l.poll.close()
		}
		return nil
	}
	for _, l := range s.loops {
		l.Post(l.stopGently)
	}
	ended := make(chan struct{})
	go func() {
		s.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
	}
	for _, l := range s.loops {
		l.Post(l.stopNow)
	}
	<-ended
	return ctx.Err()
}

// Apply changes the settings. New bounds hold from each connection's next turn on; tcp-backlog for listeners opened later.
func (s *Server) Apply(set Settings) error {
	if err := set.Validate(); err != nil {
		return err
	}
	set = set.withDefaults()
	old := s.settings.Swap(&set)
	if old.ClientMemory != set.ClientMemory || set.counts() && !old.counts() {
		s.recount()
	}
	if old.Hz != set.Hz {
		for _, l := range s.loops {
			l.poll.setHz(set.Hz)
		}
	}
	return nil
}

// Settings returns the settings in force. Any goroutine.
func (s *Server) Settings() Settings { return *s.settings.Load() }

// Loops returns the loops. Any goroutine.
func (s *Server) Loops() []*Loop { return s.loops }

// Conns returns the open connections, ascending by id. Any goroutine.
func (s *Server) Conns() []*Conn {
	s.mu.Lock()
	conns := make([]*Conn, 0, len(s.mu.conns))
	for _, c := range s.mu.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	slices.SortFunc(conns, func(a, b *Conn) int { return int(a.id) - int(b.id) })
	return conns
}

// Conn returns the open connection with this id, or nil. Any goroutine.
func (s *Server) Conn(id uint64) *Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.conns[id]
}

// NextID returns a connection number that was never given out, for clients that are not connections of this server (the
// link to a primary). Any goroutine.
func (s *Server) NextID() uint64 { return s.nextID.Add(1) }

// Release lets replies go that were held until off or less. Offsets below the last one change nothing. Any goroutine.
func (s *Server) Release(off int64) {
	for {
		old := s.released.Load()
		if off <= old {
			return
		}
		if s.released.CompareAndSwap(old, off) {
			break
		}
	}
	for _, l := range s.loops {
		if l.hasHolds.Load() {
			l.poll.wake()
		}
	}
}

// Adopt serves a connection that somebody else accepted, for example after a TLS handshake. The server owns nc from then on.
// Any goroutine.
func (s *Server) Adopt(nc net.Conn) error {
	s.mu.Lock()
	stopped := s.mu.stopped
	s.mu.Unlock()
	if stopped {
		nc.Close()
		return ErrStopped
	}
	peer := peerName(nc.RemoteAddr(), nc.LocalAddr())
	if !s.admit(peer, func(text []byte) { nc.SetWriteDeadline(time.Now().Add(time.Second)); nc.Write(text) }) {
		nc.Close()
		return s.settings.Load().MaxClientsText
	}
	sock := newStreamSocket(nc)
	l := s.nextLoop()
	c := s.newConn(l, sock, peer, peerName(nc.LocalAddr(), nc.LocalAddr()), nc.LocalAddr().Network() == "unix")
	if !l.post(func() {
		l.adopt(c)
		sock.start(func() { l.wakeFor(c) })
	}) {
		s.unadmit()
		nc.Close()
		return ErrStopped
	}
	return nil
}

// admit counts a new connection, or turns it away at maxclients.
func (s *Server) admit(addr string, say func(text []byte)) bool {
	set := s.settings.Load()
	if n := s.open.Add(1); set.MaxClients > 0 && n > int64(set.MaxClients) {
		s.open.Add(-1)
		s.Stats.Accepted.Inc()
		s.Stats.Rejected.Inc()
		say([]byte("-" + string(set.MaxClientsText) + "\r\n"))
		s.opts.Events(ConnRejected{Addr: addr, Reason: set.MaxClientsText})
		return false
	}
	s.Stats.Accepted.Inc()
	s.Stats.Connected.Add(1)
	return true
}

// unadmit forgets a connection that was admitted and never adopted.
func (s *Server) unadmit() {
	s.open.Add(-1)
	s.Stats.Connected.Add(-1)
}

func (s *Server) nextLoop() *Loop { return s.loops[int(s.turn.Add(1)-1)%len(s.loops)] }

func (s *Server) newConn(l *Loop, sock socket, addr, localAddr string, unix bool) *Conn {
	now, _ := s.opts.Clock()
	c := &Conn{loop: l, sock: sock, id: s.nextID.Add(1), addr: addr, localAddr: localAddr, unix: unix, createdMs: now}
	c.Out.Proto = resp.RESP2
	c.lastMs.Store(now)
	return c
}

// peerName renders an address as CLIENT LIST shows it; a unix peer has no name, so the path of our end stands for it.
func peerName(a, local net.Addr) string {
	if a == nil || a.Network() == "unix" {
		return local.String() + ":0"
	}
	return a.String()
}
