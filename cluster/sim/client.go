package sim

import "github.com/sextantdb/sextant/cluster/core"

// client reads and writes through the nodes, following MOVED and ASK, as a cluster client
// does. Clients reach every living node, cut off or not: that is the worst case for a primary
// on the wrong side of a partition.
type client struct {
	w    *World
	i    int
	r    *rng
	home map[int]string // key → address
}

func (w *World) addClients() {
	for i := range w.plan.Clients {
		c := &client{w: w, i: i, r: stream(w.plan.Seed, forClients+uint64(i)<<8), home: map[int]string{}}
		w.clients = append(w.clients, c)
		c.again()
	}
}

func (c *client) again() {
	c.w.at(c.r.in(c.w.p.ClientEvery/2, 2*c.w.p.ClientEvery), func() {
		c.call()
		c.again()
	})
}

func (c *client) call() {
	key := c.r.n(c.w.p.Keys)
	write := c.r.pct(60)
	ip, ok := c.home[key]
	if !ok || c.r.pct(5) {
		ip = c.w.procs[c.r.n(len(c.w.procs))].ip
	}
	c.ask(key, write, false, ip, 0, c.r.in(c.w.p.LatMin, c.w.p.LatMax))
}

func (c *client) ask(key int, write, asking bool, ip string, hop int, d core.Mono) {
	w := c.w
	w.at(d, func() {
		p := w.byIP(ip)
		if p == nil || !p.up {
			delete(c.home, key)
			return
		}
		if until := p.data.held(); until > w.now { // waits in the socket, and is executed when the process goes on
			c.ask(key, write, asking, ip, hop, until-w.now+1)
			return
		}
		a := p.execute(key, write, asking, func() uint64 {
			w.lastVal++
			return w.lastVal
		})
		switch a.v {
		case vDone:
			c.home[key] = ip
			if write {
				w.counts.Acked++
				w.check.acked(p, key, a.val)
			} else {
				w.counts.Reads++
			}
		case vMoved, vAsk:
			if a.v == vMoved {
				c.home[key] = a.ip
			}
			if hop < 5 && a.ip != "" {
				c.ask(key, write, a.v == vAsk, a.ip, hop+1, d)
			}
		case vDown:
			w.counts.Refused++
			delete(c.home, key)
		}
	})
}
