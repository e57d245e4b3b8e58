package server

import "slices"

// What all clients together cost is counted while it has a bound (Settings.ClientMemory, maxmemory-clients), or
// somebody else asks for it. Each connection's share is counted when a round has written to it, and when much input waits; who is
// beyond the bound then closes the costliest connections, on whichever loop they live, until the
// rest is within it.

// baseBytes is what a connection costs beside its buffers.
const baseBytes = 1024

// largeInput is how much waiting input is counted before it is executed, and not after the round only.
const largeInput = 64 << 10

// Memory returns what the client costs (tot-mem). Any goroutine.
func (c *Conn) Memory() int64 { return c.memory(c.Numbers().BufferBytes) }

func (c *Conn) memory(buffers int64) int64 { return baseBytes + buffers + c.extra.Load() }

// SetCost tells what the client costs the handler, and whether it may be closed for want of memory. On the loop.
func (c *Conn) SetCost(bytes int64, keep bool) {
	c.extra.Store(bytes)
	if c.keep.Swap(keep) && !keep {
		c.loop.srv.futile.Store(0)
	}
}

// Evicted reports whether the connection is about to be closed by another goroutine (CloseAsync). Any goroutine.
func (c *Conn) Evicted() bool { return c.asyncWhy.Load() != nil }

// ClientBytes is what all clients that are not replicas cost, as of their last rounds. It is kept while
// Settings.CountMemory or Settings.ClientMemory say so. Any goroutine.
func (s *Server) ClientBytes() int64 { return s.clientBytes.Load() }

// account counts c with n bytes. Any goroutine: the sum is always that of what is counted for the connections.
func (c *Conn) account(n int64) {
	if c.Class() == ClassReplica || c.Evicted() {
		n = 0
	}
	if old := c.counted.Swap(n); old != n {
		c.loop.srv.clientBytes.Add(n - old)
	}
}

// settle counts c after a round.
func (l *Loop) settle(c *Conn) {
	switch {
	case !l.srv.settings.Load().counts():
	case c.gone || c.closeWhy != nil:
		c.account(0)
	default:
		c.account(c.Memory())
	}
}

// weigh counts input that waits to be executed, and reports whether c was evicted for it.
func (l *Loop) weigh(c *Conn, unexecuted int) bool {
	s := l.srv
	if unexecuted < largeInput || !s.settings.Load().counts() {
		return false
	}
	c.account(c.memory(int64(unexecuted) + c.outMem.Load()))
	s.evictClients()
	if why := c.asyncWhy.Load(); why != nil {
		c.Close(*why)
		return true
	}
	return false
}

// evictClients closes connections until what all cost is within the bound: the costliest first, the oldest of equals.
func (s *Server) evictClients() {
	limit := s.settings.Load().ClientMemory
	if total := s.clientBytes.Load(); limit == 0 || total <= limit || total <= s.futile.Load() {
		return
	}
	s.evicting.Lock()
	defer s.evicting.Unlock()
	type cost struct {
		c     *Conn
		bytes int64
	}
	var all []cost
	for _, c := range s.Conns() {
		if n := c.counted.Load(); n > 0 && !c.keep.Load() && !c.Evicted() {
			all = append(all, cost{c, n})
		}
	}
	slices.SortStableFunc(all, func(a, b cost) int { return int(b.bytes - a.bytes) })
	for _, v := range all {
		if s.clientBytes.Load() <= limit {
			return
		}
		s.Stats.Evicted.Inc()
		s.opts.Events(LimitHit{ID: v.c.id, Addr: v.c.addr, Class: v.c.Class(), Why: ErrEvicted, Bytes: v.bytes, Limit: limit})
		v.c.CloseAsync(ErrEvicted)
		v.c.account(0)
	}
	if total := s.clientBytes.Load(); total > limit {
		s.futile.Store(total) // nobody may go: look again when it has grown, or at the next tick
	}
}

// recount counts all connections anew, when the bound has changed.
func (s *Server) recount() {
	s.futile.Store(0)
	for _, c := range s.Conns() {
		c.account(c.Memory())
	}
	s.evictClients()
}
