package sim

import (
	"github.com/sextantdb/sextant/bus"
	"github.com/sextantdb/sextant/cluster/core"
	"github.com/sextantdb/sextant/cluster/topology"
	"github.com/sextantdb/sextant/store/slot"
)

// keepData says what a dead process leaves behind.
type keepData uint8

const (
	keepAll    keepData = iota // a log that was always fsynced, or a clean shutdown
	keepStale                  // an older snapshot: no proof of completeness
	keepNone                   // a memory store
	keepNoFile                 // neither data nor state file: a new machine
)

func (k keepData) String() string {
	return [...]string{"all", "a stale copy", "nothing", "not even its name"}[k]
}

// op is one effect in a replication stream.
type op struct {
	key int    // -1: a ping of the stream
	val uint64 // 0 deletes
}

// dataset is the data side of a node: the keyspace, one replication stream, and the link to
// the primary. Roles and pauses are orders of the machine, performed in order after a short
// while, as cluster/node's goroutine of role changes does.
type dataset struct {
	p    *proc
	kv   []uint64 // by key: the write it holds, 0 = absent
	keys int64

	replid, replid2 bus.ReplID
	second, offset  int64
	log             []op // the backlog: effects base+1 … offset
	base            int64

	role    core.RoleChange
	known   bool
	orders  []func()
	busy    bool
	paused  uint64
	link    *feed
	synced  bool
	loading bool
	stuck   core.Mono // the data path answers nobody until
	since   core.Mono // and has done so since
	guard   int64     // up to here every effect is on every node that may lead next
}

// feed is a replica's link to its primary. It carries effects in order.
type feed struct {
	x, y   *proc // replica, primary
	lx, ly int
	up     bool      // streaming, not transferring
	sent   int64     // offset the primary has sent up to
	last   core.Mono // arrival of what was sent last
	heard  core.Mono
	dead   bool
}

func (d *dataset) init(p *proc) {
	d.p = p
	d.kv = make([]uint64, p.w.p.Keys)
}

// copyOf takes another process's data as it lies on disk.
func (d *dataset) copyOf(o *dataset) {
	copy(d.kv, o.kv)
	d.keys = o.keys
	d.replid, d.replid2, d.second, d.offset = o.replid, o.replid2, o.second, o.offset
	d.log, d.base = append([]op(nil), o.log...), o.base
}

func (d *dataset) empty() bool { return d.keys == 0 }

func (d *dataset) newReplID() bus.ReplID {
	var id bus.ReplID
	v := d.p.r.next()
	for i := range 8 {
		id[i] = byte(v >> (8 * i))
	}
	return id
}

func (d *dataset) boot() {
	d.role, d.known, d.orders, d.busy, d.paused, d.stuck = core.RoleChange{}, false, nil, false, 0, 0
	d.link, d.synced, d.loading = nil, false, false
	if d.replid.IsZero() {
		d.replid = d.newReplID()
	}
}

// flush is FLUSHALL by the operator.
func (d *dataset) flush() {
	clear(d.kv)
	d.keys = 0
}

// die is the end of a process.
func (d *dataset) die(keep keepData) {
	if d.link != nil {
		d.link.dead = true
		d.link = nil
	}
	if keep == keepAll {
		return
	}
	if !d.p.up {
		d.p.dataLife++ // a flush within a life is an order, not a loss
	}
	switch keep {
	case keepStale:
		d.replid2, d.replid, d.second = bus.ReplID{}, d.newReplID(), 0
		d.offset -= min(d.offset, 1+int64(d.p.r.n(20)))
		d.log, d.base = nil, d.offset
	default:
		clear(d.kv)
		d.keys, d.offset, d.second = 0, 0, 0
		d.log, d.base = nil, 0
		d.replid, d.replid2 = bus.ReplID{}, bus.ReplID{}
		if keep == keepNoFile {
			d.p.disk.file = nil
		}
	}
	d.guard = 0
	d.p.leads = ledger{}
}

// report is core.Local: the pause's token is read before the offset.
func (d *dataset) report() core.Local {
	l := core.Local{Paused: d.paused, ReplID: d.replid, ReplID2: d.replid2, Second: d.second, Offset: d.offset, Keys: d.keys,
		Empty: d.keys == 0, Loading: d.loading, Synced: d.synced}
	if d.link != nil {
		l.LinkUp = d.link.up
	}
	if d.stuck > d.p.w.now {
		l.Silent = d.p.w.now - d.since
	}
	return l
}

// answers: neither hung nor stopped.
func (d *dataset) answers() bool { return d.p.up && d.held() <= d.p.w.now }

// hang stops the data path for a while: a command that does not end, a loop that hangs. The
// machine goes on.
func (d *dataset) hang(until core.Mono) {
	if d.stuck <= d.p.w.now {
		d.since = d.p.w.now
	}
	d.stuck = max(d.stuck, until)
}

// held is the time until which nothing moves in the data path: hung, or stopped by a signal.
func (d *dataset) held() core.Mono { return max(d.stuck, d.p.paused) }

// order queues an order of the machine.
func (d *dataset) order(r core.RoleChange) { d.inOrder(func() { d.become(r) }) }

func (d *dataset) pause(tok uint64) {
	d.inOrder(func() {
		d.paused = tok
		d.p.poke()
	})
}

func (d *dataset) inOrder(f func()) {
	d.orders = append(d.orders, f)
	d.next()
}

func (d *dataset) next() {
	if d.busy || len(d.orders) == 0 {
		return
	}
	d.busy = true
	life := d.p.life
	d.p.w.at(d.p.r.in(0, d.p.w.p.RoleDelay), func() {
		if !d.p.up || d.p.life != life {
			return
		}
		if d.held() > d.p.w.now {
			d.p.w.at(d.held()-d.p.w.now, func() {
				if d.p.up && d.p.life == life {
					d.busy = false
					d.next()
				}
			})
			return
		}
		f := d.orders[0]
		d.orders = d.orders[1:]
		d.busy = false
		f()
		d.next()
	})
}

func (d *dataset) unlink() {
	if d.link != nil {
		d.link.dead = true
		d.link = nil
	}
	d.loading = false
}

// become performs a role change.
func (d *dataset) become(r core.RoleChange) {
	old := d.role
	d.role, d.known = r, true
	if r.Flush {
		d.unlink()
		d.die(keepNone)
		d.replid = d.newReplID()
	}
	if r.Role == topology.RolePrimary {
		d.unlink()
		d.synced = false
		if r.Promoted || old.Role == topology.RoleReplica {
			d.replid2, d.second = d.replid, d.offset
			d.replid = d.newReplID()
			d.guard = d.offset
		}
		d.p.poke()
		return
	}
	same := old.Role == r.Role && old.Primary == r.Primary && old.PrimaryInc == r.PrimaryInc && old.IP == r.IP
	if !same {
		d.unlink()
		if old.Primary != r.Primary {
			d.synced = false
		}
	}
	d.p.poke()
}

// write executes one write of this primary.
func (d *dataset) write(key int, val uint64) {
	d.apply(op{key, val})
}

func (d *dataset) apply(o op) {
	d.offset++
	d.log = append(d.log, o)
	if k := d.p.w.p.Backlog; len(d.log) > 2*k {
		d.trim(d.offset - int64(k))
	}
	if o.key < 0 {
		return
	}
	had := d.kv[o.key] != 0
	d.kv[o.key] = o.val
	if o.val != 0 && !had {
		d.keys++
	} else if o.val == 0 && had {
		d.keys--
	}
}

// trim forgets effects up to base, but for what attached replicas have yet to be sent: that
// waits in their output buffers.
func (d *dataset) trim(base int64) {
	for _, q := range d.p.w.procs {
		if l := q.data.link; l != nil && !l.dead && l.y == d.p && l.ly == d.p.life {
			base = min(base, l.sent)
		}
	}
	if base > d.base {
		d.log = append([]op(nil), d.log[base-d.base:]...)
		d.base = base
	}
}

// run drives the link to the primary for one life.
func (d *dataset) run(life int) {
	w := d.p.w
	w.at(d.p.r.in(w.p.ReplEvery/2, w.p.ReplEvery), func() {
		if !d.p.up || d.p.life != life {
			return
		}
		if d.answers() {
			d.pull()
		}
		d.run(life)
	})
}

// pull looks after the replica's link.
func (d *dataset) pull() {
	w := d.p.w
	if !d.known || d.role.Role != topology.RoleReplica || d.role.Primary.IsZero() || d.role.IP == "" {
		return
	}
	if l := d.link; l != nil {
		if l.dead || !l.y.up || l.y.life != l.ly || l.y.data.role.Role != topology.RolePrimary || w.now-l.heard > w.p.ReplTimeout {
			if l.dead || w.net.passes(l.y, l.x) && l.y.data.answers() || w.now-l.heard > w.p.ReplTimeout {
				d.unlink()
				d.p.poke()
			}
			return
		}
		d.pump(l)
		return
	}
	if d.p.r.pct(80) { // dials come slower than the stream flows
		return
	}
	y := w.byIP(d.role.IP)
	if y == nil || y == d.p || !w.net.reach(d.p, y) || !y.data.answers() || !y.data.known || y.data.role.Role != topology.RolePrimary {
		return
	}
	if y.id != d.role.Primary || y.insp.Inc != d.role.PrimaryInc {
		return // another node, or another life of it: its data is not what the shard is led by
	}
	d.connect(y)
}

// connect is PSYNC: partial when the primary's backlog has what is missing, else full.
func (d *dataset) connect(y *proc) {
	w, p := d.p.w, d.p
	s := &y.data
	l := &feed{x: p, y: y, lx: p.life, ly: y.life, heard: w.now}
	d.link = l
	same := d.replid == s.replid && d.offset <= s.offset || d.replid == s.replid2 && d.offset <= s.second
	if same && d.offset >= s.base && !w.p.FullOnly {
		w.counts.Partials++
		d.replid, d.replid2, d.second = s.replid, s.replid2, s.second
		d.synced, l.up, l.sent = true, true, d.offset
		p.poke()
		return
	}
	w.counts.Fulls++
	kv := append([]uint64(nil), s.kv...)
	keys, off, id, id2, second := s.keys, s.offset, s.replid, s.replid2, s.second
	l.sent = off
	took := p.r.in(w.p.FullMin, w.p.FullMax)
	l.heard = w.now + took
	w.at(took, func() {
		if l.dead || !p.up || p.life != l.lx || d.link != l {
			return
		}
		if !y.up || y.life != l.ly || !w.net.passes(y, p) || y.data.role.Role != topology.RolePrimary {
			d.unlink() // the source died: the old copy is still here
			return
		}
		copy(d.kv, kv)
		d.keys, d.offset = keys, off
		d.replid, d.replid2, d.second = id, id2, second
		d.log, d.base = nil, off
		d.synced, l.up = true, true
		l.heard = w.now
		w.check.applied(l)
		p.poke()
	})
}

// pump sends what the primary has executed since.
func (d *dataset) pump(l *feed) {
	w := d.p.w
	s := &l.y.data
	if !l.up || !l.y.data.answers() || !w.net.passes(l.y, l.x) || !w.net.passes(l.x, l.y) || w.net.stall[l.y.i][l.x.i] > w.now {
		return
	}
	if s.replid != d.replid {
		d.unlink()
		return
	}
	if w.p.StreamPing > 0 && w.now-s.p.leads.pinged > w.p.StreamPing {
		s.p.leads.pinged = w.now
		s.apply(op{key: -1})
	}
	l.heard = w.now
	if l.sent < s.base { // the backlog has gone on without us
		d.unlink()
		return
	}
	if l.sent == s.offset {
		return
	}
	ops := append([]op(nil), s.log[l.sent-s.base:]...)
	l.sent = s.offset
	id := s.replid
	l.last = max(l.last+1, w.now+w.net.lat[l.y.i][l.x.i]+w.net.r.in(0, w.p.Jitter))
	d.arrive(l, ops, id)
}

func (d *dataset) arrive(l *feed, ops []op, id bus.ReplID) {
	w := d.p.w
	w.at(l.last-w.now, func() {
		if l.dead || !d.p.up || d.p.life != l.lx || d.link != l || d.replid != id {
			return
		}
		if d.held() > w.now { // the socket keeps it
			l.last = max(l.last, d.held()) + 1
			d.arrive(l, ops, id)
			return
		}
		for _, o := range ops {
			d.apply(o)
		}
		w.check.applied(l)
	})
}

// slotOf gives every key a slot of its own, spread over all.
func (w *World) slotOf(key int) slot.Slot {
	return slot.Slot((key*slot.Count/w.p.Keys + key*37) % slot.Count)
}

type verdict uint8

const (
	vDone verdict = iota
	vMoved
	vAsk
	vDown
)

// answer of a node to a client.
type answer struct {
	v   verdict
	ip  string
	val uint64
}

// execute is the data path of a node: cluster/agent's Route, then the data side's own gates.
func (p *proc) execute(key int, write, asking bool, val func() uint64) answer {
	v := p.view
	if v == nil {
		return answer{v: vDown}
	}
	s := p.w.slotOf(key)
	o, ok := v.OwnerOf(s)
	if !ok || v.State != topology.StateOK {
		return answer{v: vDown}
	}
	local := o == v.Me
	if op, open := v.OpenSlot(s); open {
		switch {
		case local && !op.Importing && p.data.kv[key] == 0:
			if i, ok := v.Find(op.Peer); ok {
				return answer{v: vAsk, ip: v.Nodes[i].IP}
			}
		case !local && op.Importing && asking:
			local = true
		}
	}
	if !local {
		return answer{v: vMoved, ip: v.Nodes[o].IP}
	}
	if !v.Serving || p.local() >= p.lease || p.data.role.Role != topology.RolePrimary || !p.data.known {
		return answer{v: vDown}
	}
	if write && p.data.paused != 0 {
		return answer{v: vDown} // held until the handover ends; this client gives up first
	}
	p.w.check.executing(p, key, asking)
	if !write {
		return answer{val: p.data.kv[key]}
	}
	x := val()
	p.data.write(key, x)
	return answer{val: x}
}
