package sim

import (
	"bytes"

	"github.com/sextantdb/sextant/bus"
	"github.com/sextantdb/sextant/cluster/core"
)

// network carries messages between processes over two-way connections, as bus/link does: one
// control connection a pair, dialed by whoever wants it, kept until a side finds it dead.
type network struct {
	w     *World
	r     *rng
	lat   [][]core.Mono // base latency by pair
	cut   [][]core.Mono // by direction: no packet passes before this time
	slow  [][]core.Mono // by direction: a clog lasts until
	stall [][]core.Mono // by direction: the replication stream stands still until
	lossy core.Mono     // a burst of loss lasts until
	freeA []core.Mono   // by sender: when its line is free again
}

// conn is one connection. A side that has not noticed the end still sends into it.
type conn struct {
	side [2]*proc
	life [2]int
	open [2]bool
	last [2]core.Mono // latest arrival planned, by receiving side: order of a stream
	born core.Mono
}

func (c *conn) at(p *proc) int {
	if c.side[0] == p {
		return 0
	}
	return 1
}

func (n *network) grow(k int) {
	grow := func(m [][]core.Mono, v func(i, j int) core.Mono) [][]core.Mono {
		out := make([][]core.Mono, k)
		for i := range out {
			out[i] = make([]core.Mono, k)
			for j := range out[i] {
				if i < len(m) && j < len(m) {
					out[i][j] = m[i][j]
				} else {
					out[i][j] = v(i, j)
				}
			}
		}
		return out
	}
	zero := func(int, int) core.Mono { return 0 }
	p := &n.w.p
	n.lat = grow(n.lat, func(i, j int) core.Mono {
		r := rng{mix(n.w.plan.Seed ^ uint64(min(i, j))<<32 ^ uint64(max(i, j)))}
		return r.in(p.LatMin, p.LatMax)
	})
	n.cut, n.slow, n.stall = grow(n.cut, zero), grow(n.slow, zero), grow(n.stall, zero)
	for len(n.freeA) < k {
		n.freeA = append(n.freeA, 0)
	}
}

// passes: a packet sent now gets from x to y.
func (n *network) passes(x, y *proc) bool { return n.cut[x.i][y.i] <= n.w.now }

// reach: both live and packets pass both ways, so a connection can be made.
func (n *network) reach(x, y *proc) bool {
	return x.up && y.up && x.running() && y.running() && n.passes(x, y) && n.passes(y, x)
}

func (n *network) delay(x, y *proc) core.Mono {
	d := n.lat[x.i][y.i]
	d += n.r.in(0, n.w.p.Jitter)
	if n.w.phase == faulty && n.r.pct(n.w.p.SlowPct) {
		d += n.r.in(0, n.w.p.SlowMax)
	}
	if n.slow[x.i][y.i] > n.w.now {
		d += n.r.in(0, n.w.p.T/2)
	}
	return max(d, 1)
}

// dial connects x with the nodes it wants to be connected with.
func (n *network) dial(x *proc) {
	for i := range x.peers {
		want := &x.peers[i]
		y := n.w.byIP(want.IP)
		if y == nil || y == x || x.conns[y.i] != nil || !n.reach(x, y) || !want.ID.IsZero() && y.id != want.ID || n.w.doubled && !n.unique(x, y) {
			continue
		}
		c := &conn{side: [2]*proc{x, y}, life: [2]int{x.life, y.life}, open: [2]bool{true, true}, born: n.w.now}
		if old := y.conns[x.i]; old != nil { // y has not noticed that its old one is dead
			n.drop(old, y, 0)
		}
		x.conns[y.i], y.conns[x.i] = c, c
		for _, p := range c.side {
			q := c.side[1-c.at(p)]
			d := n.delay(x, y) * 2
			c.last[c.at(p)] = n.w.now + d
			n.w.at(d, func() {
				if n.lives(c, p) {
					p.input(core.Input{Kind: core.InLinkUp, From: q.id, Addr: q.ip})
				}
			})
		}
	}
}

// unique keeps one connection between two names, as bus/link does: the one that the lesser id
// dialed, and of two that one id dialed the newer. It reports whether x may dial y.
func (n *network) unique(x, y *proc) bool {
	if x.id == y.id || n.linkTo(x, y.id) != nil {
		return false
	}
	old := n.linkTo(y, x.id)
	if old == nil {
		return true
	}
	if old.side[0] == y && y.id.Less(x.id) {
		return false
	}
	n.sever(old, y, true)
	return true
}

// linkTo is x's connection with whoever is called id.
func (n *network) linkTo(x *proc, id bus.NodeID) *conn {
	for _, c := range x.conns {
		if c != nil && c.side[1-c.at(x)].id == id {
			return c
		}
	}
	return nil
}

// hangUp closes all connections of p.
func (n *network) hangUp(p *proc) {
	for _, c := range p.conns {
		if c != nil {
			n.sever(c, p, true)
		}
	}
}

// lives: p's side of c is still the connection it uses.
func (n *network) lives(c *conn, p *proc) bool {
	return p.up && c.life[c.at(p)] == p.life && c.open[c.at(p)]
}

// drop ends p's side of c, and tells p after d.
func (n *network) drop(c *conn, p *proc, d core.Mono) {
	s := c.at(p)
	if !c.open[s] || !p.up || c.life[s] != p.life {
		return
	}
	q := c.side[1-s]
	id, life := q.id, p.life
	c.open[s] = false
	if p.conns[q.i] == c {
		p.conns[q.i] = nil
	}
	n.w.at(d, func() {
		if p.up && p.life == life {
			p.input(core.Input{Kind: core.InLinkDown, From: id})
		}
	})
}

// sever ends c at both sides, p first; the other notices by itself within deadAfter.
func (n *network) sever(c *conn, p *proc, both bool) {
	q := c.side[1-c.at(p)]
	n.drop(c, p, 0)
	d := n.w.p.deadAfter()
	if both {
		d = n.delay(p, q)
	}
	n.w.at(d, func() { n.drop(c, q, 0) })
}

// deadAfter is when a connection without a sign of life is given up, as cluster/node sets it.
func (p *Params) deadAfter() core.Mono { return p.T * 2 / 3 }

// blocked is called when packets stop passing from x to y: y's side dies of silence unless
// the cut is over by then.
func (n *network) blocked(x, y *proc) {
	c := y.conns[x.i]
	if c == nil {
		return
	}
	n.w.at(n.w.p.deadAfter(), func() {
		if !n.passes(x, y) && y.conns[x.i] == c {
			n.drop(c, y, 0)
			if n.passes(y, x) {
				n.drop(c, x, n.lat[x.i][y.i])
			}
		}
	})
}

// send passes one message on. Without a connection it is dropped, as bus/link does.
func (n *network) send(x *proc, e *core.Envelope) {
	w := n.w
	var c *conn
	if e.To.IsZero() {
		if y := w.byIP(e.IP); y != nil {
			c = x.conns[y.i]
		}
	} else if w.doubled {
		c = n.linkTo(x, e.To)
	} else if y := w.ids[e.To]; y != nil {
		c = x.conns[y.i]
	}
	if c == nil {
		return
	}
	y := c.side[1-c.at(x)]
	x.sent++
	if w.tap != nil {
		w.tap(e.Msg)
	}
	w.counts.Messages++
	d := n.delay(x, y)
	if w.p.Bandwidth > 0 || w.p.CountBytes {
		size := frameSize(e.Msg)
		w.counts.Bytes += uint64(size)
		if w.p.Bandwidth > 0 {
			n.freeA[x.i] = max(n.freeA[x.i], w.now) + core.Mono(size)*core.Second/core.Mono(w.p.Bandwidth)
			d += n.freeA[x.i] - w.now
		}
	}
	loss := w.p.LossPct
	if n.lossy > w.now {
		loss += 30
	}
	if w.phase == faulty && n.r.pct(loss) {
		return
	}
	copies := 1
	if n.r.pct(w.p.DupPct) {
		copies = 2
	}
	var was []byte
	if w.p.Encode {
		was = w.encode(e.Msg)
	}
	for range copies {
		to := w.now + d
		s := c.at(y)
		if !w.p.Reorder {
			to = max(to, c.last[s]+1)
			c.last[s] = to
		} else {
			to = max(to, c.born+2*d)
		}
		n.arrive(c, x, y, e.Msg, was, to-w.now)
		d += n.r.in(0, w.p.T/4)
	}
}

// arrive delivers after d. was is the frame, when this run encodes: what is decoded arrives, and
// the sender must not have touched the message since.
func (n *network) arrive(c *conn, x, y *proc, msg *bus.Msg, was []byte, d core.Mono) {
	n.w.at(d, func() {
		if until := n.cut[x.i][y.i]; until > n.w.now {
			// A stream stalls and goes on after a short cut; after a long one it is gone.
			if n.w.p.Stall && until-n.w.now < n.w.p.deadAfter() {
				n.arrive(c, x, y, msg, was, until-n.w.now+1)
			}
			return
		}
		if n.lives(c, y) {
			if was != nil {
				if !bytes.Equal(was, n.w.encode(msg)) {
					n.w.violated("message changed after it was sent", "%s from %s to %s", msg.Kind(), x, y)
				}
				msg = n.w.decode(was)
			}
			y.input(core.Input{Kind: core.InMsg, From: msg.From, Addr: x.ip, Msg: msg})
		}
	})
}

// cutOff stops packets from x to y until the given time.
func (n *network) cutOff(x, y *proc, until core.Mono) {
	if x == y {
		return
	}
	n.cut[x.i][y.i] = max(n.cut[x.i][y.i], until)
	n.blocked(x, y)
}

// heal ends every disturbance of the network.
func (n *network) heal() {
	for i := range n.cut {
		for j := range n.cut[i] {
			n.cut[i][j], n.slow[i][j], n.stall[i][j] = 0, 0, 0
		}
	}
	n.lossy = 0
}

// gone: p's process died; the kernel closes its connections, if the host still lives.
func (n *network) gone(p *proc, quietly bool) {
	for j, c := range p.conns {
		if c == nil {
			continue
		}
		q := c.side[1-c.at(p)]
		c.open[c.at(p)] = false
		p.conns[j] = nil
		d := n.lat[p.i][q.i]
		if quietly || !n.passes(p, q) {
			d = n.w.p.deadAfter()
		}
		n.w.at(d, func() { n.drop(c, q, 0) })
	}
}
