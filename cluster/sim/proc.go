package sim

import (
	"fmt"

	"github.com/sextantdb/sextant/bus"
	"github.com/sextantdb/sextant/cluster/core"
	"github.com/sextantdb/sextant/cluster/topology"
)

// clock is a node's view of time: a suspend-proof monotonic clock with an offset and a rate
// error, and a wall clock that may be stepped. lost is what a frozen clock missed; freezing
// breaks the contract of core.Mono and is only done by tests that show why.
type clock struct {
	off, lost core.Mono
	ppm       int64
	wallStep  int64 // ms
}

func (c *clock) read(t core.Mono) core.Mono {
	t -= c.lost
	return c.off + t + t/1000*core.Mono(c.ppm)/1000
}

// when is the true time at which the clock will have reached d; never early.
func (c *clock) when(now, d core.Mono) core.Mono {
	left := d - c.read(now)
	if left <= 0 {
		return now
	}
	return now + left*1000000/core.Mono(1000000+c.ppm) + 1
}

// proc is one node: process, clock, disk and data. It does what cluster/agent's loop does:
// takes waiting inputs in batches, makes what they decided durable with one fsync, then
// performs the effects of each step in their order.
type proc struct {
	w    *World
	i    int
	ip   string
	r    *rng
	clk  clock
	disk disk
	data dataset

	up      bool
	life    int       // processes so far
	started core.Mono // true time of this life
	retired bool      // an operator took the machine away
	twin    *proc     // the other process under this name
	lost    bool      // its promises are gone, or nobody listens to them
	settled bool      // a life of its data has a durable name
	refused string    // the state file was refused at the last start
	id      bus.NodeID
	cfg     core.Config
	m       *core.Machine
	insp    core.Inspect
	view    *topology.View
	lease   core.Mono // its clock
	peers   []core.Peer
	conns   []*conn
	inbox   []core.Input
	lazily  bool // an fsync for what is not urgent is planned
	looped  bool // a pass of the loop is planned
	wake    core.Mono
	wakeAt  core.Mono // true time of the planned wake-up
	sample  core.Mono // its clock: next report

	paused  core.Mono // SIGSTOP until
	slow    core.Mono // slow CPU until
	slowBy  core.Mono // per input
	busy    core.Mono // the loop is in fsync, or short of CPU, until
	armed   []trap
	replies map[uint64]core.AdminReply

	touched  core.Mono // last time a fault was felt here
	sent     uint64
	epoch    uint64 // greatest epoch it has saved
	leads    ledger
	looked   bool                     // insp is newer than what the checker has compared
	dataLife int                      // lives of the data set
	kept     keepData                 // at the last death
	grew     core.Mono                // last time its data grew by replication
	missed   map[bus.NodeID]core.Mono // forgotten nodes that its view lacked
}

// trap is a BUGGIFY point that will go off once.
type trap struct {
	at   faultKind
	down core.Mono
	x    uint64
}

const (
	maxInbox    = 1024
	maxBatch    = 128
	sampleEvery = 100 * core.Millisecond
)

func (p *proc) String() string { return fmt.Sprintf("n%d", p.i) }

func (p *proc) local() core.Mono { return p.clk.read(p.w.now) }

func (p *proc) wall() int64 { return 1700000000000 + int64(p.w.now/core.Millisecond) + p.clk.wallStep }

// running: not stopped by a signal.
func (p *proc) running() bool { return p.up && p.paused <= p.w.now }

// add makes a process; start starts it.
func (w *World) add() *proc {
	i := len(w.procs)
	p := &proc{w: w, i: i, ip: fmt.Sprintf("10.0.%d.%d", i/250, i%250+1), r: stream(w.plan.Seed, forNodes+uint64(i)), replies: map[uint64]core.AdminReply{}}
	p.clk.off = p.r.in(core.Second, 1000*core.Second)
	if w.p.DriftPPM > 0 {
		p.clk.ppm = int64(p.r.n(int(2*w.p.DriftPPM)+1)) - w.p.DriftPPM
	}
	p.cfg = w.p.config(i)
	if w.p.Announce {
		p.cfg.IP = p.ip
	}
	p.data.init(p)
	w.procs = append(w.procs, p)
	w.ips[p.ip] = p
	if len(w.net.lat) < len(w.procs) {
		w.net.grow(len(w.procs))
	}
	for _, q := range w.procs {
		for len(q.conns) < len(w.procs) {
			q.conns = append(q.conns, nil)
		}
	}
	return p
}

// start boots the process from its disk.
func (p *proc) start(complete bool) {
	w := p.w
	if p.up || p.retired {
		return
	}
	loaded, err := p.disk.load(!p.data.empty())
	if err != nil {
		p.refused = err.Error()
		w.log("%s does not start: %v", p, err)
		return
	}
	p.refused = ""
	p.life++
	p.started = p.w.now
	p.up, p.paused, p.busy, p.inbox, p.looped, p.lazily = true, 0, 0, nil, false, false
	p.armed = nil
	p.peers = nil
	p.wakeAt = 0
	p.touched = w.now
	p.cfg.Seed = p.r.next()
	p.data.boot()
	if w.p.Announce {
		p.cfg.IP = p.ip
	}
	// A life whose first save never became durable has proven nothing: cluster/agent opens the state
	// file, and makes its incarnation durable, before the data is touched.
	complete = complete && p.settled
	p.settled = complete
	boot := core.Boot{State: loaded, DataComplete: complete, Local: p.data.report(), WallMs: p.wall()}
	w.counts.Restarts++
	m, eff := core.New(p.cfg, boot, p.local())
	p.m = m
	p.insp, p.looked, p.missed = m.Inspect(), true, nil
	p.lease, p.view = 0, nil
	p.sample = p.local()
	w.log("%s starts, complete %v", p, complete)
	p.perform([]core.Effects{eff})
	p.dialer(p.life)
	p.data.run(p.life)
}

// crash ends the process at once. keep says what is left of its data.
func (p *proc) crash(keep keepData, torn uint64, quietly bool) {
	if !p.up {
		return
	}
	p.w.log("%s dies, keeps %s", p, keep)
	p.up = false
	p.touched = p.w.now
	p.disk.crash(torn)
	p.w.net.gone(p, quietly)
	p.data.die(keep)
	p.kept = keep
	p.lease = 0
	p.inbox = nil
}

// input hands the machine something. A full inbox makes links wait; here they lose.
func (p *proc) input(in core.Input) {
	if !p.up || len(p.inbox) >= maxInbox && in.Kind == core.InMsg {
		return
	}
	p.inbox = append(p.inbox, in)
	p.loop()
}

// loop plans a pass, or runs it at once when nothing holds it up.
func (p *proc) loop() {
	if p.looped {
		return
	}
	at := max(p.busy, p.paused)
	if p.slow > p.w.now {
		at = max(at, p.w.now+p.r.in(0, p.slowBy))
	}
	if at <= p.w.now {
		p.pass()
		return
	}
	p.looped = true
	life := p.life
	p.w.at(at-p.w.now, func() {
		if p.life == life && p.up {
			p.looped = false
			if max(p.busy, p.paused) > p.w.now {
				p.loop()
				return
			}
			p.pass()
		}
	})
}

// pass is one turn of the agent's loop.
func (p *proc) pass() {
	var batch []core.Effects
	n := min(len(p.inbox), maxBatch)
	ins := p.inbox[:n]
	p.inbox = append([]core.Input(nil), p.inbox[n:]...)
	for i := range ins {
		batch = append(batch, p.step(ins[i]))
		if p.w.bad != nil {
			return
		}
	}
	now := p.local()
	if now >= p.sample {
		p.sample = now + sampleEvery
		l := p.data.report()
		batch = append(batch, p.step(core.Input{Kind: core.InLocal, Local: &l}))
	} else if now >= p.wake {
		batch = append(batch, p.step(core.Input{Kind: core.InTick}))
	}
	p.perform(batch)
}

// poke makes the agent ask the data side at once.
func (p *proc) poke() {
	if p.up {
		p.sample = p.local()
		p.loop()
	}
}

func (p *proc) step(in core.Input) core.Effects {
	w := p.w
	in.WallMs = p.wall()
	w.counts.Steps++
	e := p.m.Step(p.local(), in)
	w.check.stepped(p, &in, &e)
	return e
}

// perform does what a batch of steps said: durable things first, with one fsync.
func (p *proc) perform(batch []core.Effects) {
	w := p.w
	var save core.Save
	lazy := true
	for i := range batch {
		e := &batch[i]
		p.wake = e.Wake
		w.hash = mix(w.hash ^ uint64(p.i) ^ p.m.Hash())
		if e.Save == nil {
			continue
		}
		if e.Save.All {
			save.All, save.Records = true, nil
		}
		save.Records = append(save.Records, e.Save.Records...)
		lazy = lazy && e.Save.Lazy
	}
	if w.bad != nil {
		return
	}
	for i := range batch {
		for k := range batch[i].Send {
			if env := &batch[i].Send[k]; env.Early {
				w.net.send(p, env)
			}
		}
	}
	if !save.All && len(save.Records) == 0 {
		p.effects(batch)
		return
	}
	if p.disk.full > w.now { // the agent stops and the process ends; nothing was sent
		w.log("%s: no space left on device", p)
		p.crash(keepStale, 0, false)
		p.revive(p.disk.full-w.now+w.p.T/4, false)
		return
	}
	p.disk.write(&save)
	if lazy && !save.All { // others can tell it again: it may be lost until the next fsync
		w.check.saved(p, &save)
		p.effects(batch)
		if life := p.life; p.up && !p.lazily {
			p.lazily = true
			w.at(core.Second, func() {
				if p.life == life && p.up {
					p.lazily = false
					if p.busy <= w.now {
						p.disk.sync()
					}
				}
			})
		}
		return
	}
	d := p.r.in(0, w.p.FsyncMax)
	if p.disk.slow > w.now {
		d += p.r.in(0, p.disk.slowBy)
	}
	if d < 50*us {
		p.synced(batch, &save)
		return
	}
	p.busy = w.now + d
	life := p.life
	w.at(d, func() {
		if p.up && p.life == life {
			if p.paused > w.now { // stopped within fsync: the rest happens when it goes on
				w.at(p.paused-w.now, func() {
					if p.up && p.life == life {
						p.synced(batch, &save)
						p.goOn(life)
					}
				})
				p.busy = p.paused
				return
			}
			p.synced(batch, &save)
			p.goOn(life)
		}
	})
}

// goOn takes the next inputs, unless what has just happened ended this life: a trap within
// fsync kills the process, and the dead must not go on working.
func (p *proc) goOn(life int) {
	if p.up && p.life == life {
		p.loop()
	}
}

func (p *proc) synced(batch []core.Effects, save *core.Save) {
	if p.sprung(buggifySync) { // power fails before the fsync is done
		return
	}
	p.disk.sync()
	p.settled = true
	p.w.check.saved(p, save)
	if p.sprung(buggifySave) { // durable, but nobody will hear of it in this life
		return
	}
	p.effects(batch)
}

// sprung: a trap of this kind goes off here.
func (p *proc) sprung(k faultKind) bool {
	for i, t := range p.armed {
		if t.at == k {
			p.armed = append(p.armed[:i:i], p.armed[i+1:]...)
			p.w.log("%s: trap %s", p, k)
			p.crash(keepAll, t.x, t.x&1 == 0)
			p.revive(t.down, true)
			return true
		}
	}
	return false
}

func (p *proc) revive(d core.Mono, complete bool) {
	life := p.life
	p.w.at(d, func() {
		if p.life == life {
			p.start(complete)
		}
	})
}

func (p *proc) effects(batch []core.Effects) {
	w := p.w
	life := p.life
	for i := range batch {
		e := &batch[i]
		p.lease = e.Lease
		if e.View != nil {
			p.publish(e.View)
		}
		if e.Role != nil {
			p.data.order(*e.Role)
		}
		if e.Pause != nil {
			p.data.pause(e.Pause.Tok)
		}
		if e.HangUp {
			w.net.hangUp(p)
		}
		if e.Peers != nil {
			p.peers = e.Peers
			w.net.dial(p)
		}
		w.check.performed(p)
		for k := range e.Send {
			env := &e.Send[k]
			if env.Early {
				continue
			}
			w.net.send(p, env)
			if p.up && len(p.armed) > 0 {
				switch env.Msg.Body.(type) {
				case *bus.VoteAck:
					p.sprung(buggifyVote)
				case *bus.AcceptAck:
					p.sprung(buggifyAccept)
				}
				if p.up && len(e.Send) > 1 {
					p.sprung(buggifySend)
				}
			}
			if !p.up || p.life != life {
				return
			}
		}
		for _, r := range e.Replies {
			p.replies[r.Tok] = r
			if r.Err != "" {
				w.log("%s replies: %s", p, r.Err)
			}
		}
	}
	p.plan()
}

// plan sets the timer of the loop.
func (p *proc) plan() {
	w := p.w
	at := p.clk.when(w.now, min(p.wake, p.sample))
	at = max(at, w.now+us)
	if p.wakeAt > w.now && p.wakeAt <= at {
		return
	}
	p.wakeAt = at
	life := p.life
	w.at(at-w.now, func() {
		if p.up && p.life == life && p.wakeAt == at {
			p.wakeAt = 0
			p.loop()
			if p.wakeAt == 0 && !p.looped && p.up && p.busy <= w.now {
				p.plan()
			}
		}
	})
}

// publish takes a new view, and notes the identity it shows.
func (p *proc) publish(v *topology.View) {
	old := p.view
	p.view = v
	p.w.check.viewed(p, v)
	if p.id != v.Self {
		if p.w.ids[p.id] == p {
			delete(p.w.ids, p.id)
		}
		p.id = v.Self
		p.w.ids[p.id] = p
		for _, c := range p.conns { // links say hello again under the new name
			if c != nil && old != nil {
				p.w.net.sever(c, p, true)
			}
		}
	}
	// A connection may have come before its node was known: cluster/agent tells of it again.
	known := 0
	for i := range v.Nodes {
		id := v.Nodes[i].ID
		if old != nil { // both are sorted
			for known < len(old.Nodes) && old.Nodes[known].ID.Less(id) {
				known++
			}
			if known < len(old.Nodes) && old.Nodes[known].ID == id {
				continue
			}
		}
		if q := p.w.byID(id); q != nil && q != p {
			if c := p.conns[q.i]; c != nil && p.w.net.lives(c, p) && c.last[c.at(p)] <= p.w.now {
				p.w.at(1, func() {
					if p.w.net.lives(c, p) {
						p.input(core.Input{Kind: core.InLinkUp, From: id, Addr: q.ip})
					}
				})
			}
		}
	}
}

// dialer redials wanted nodes for as long as this life lasts.
func (p *proc) dialer(life int) {
	p.w.at(p.r.in(p.w.p.Redial/2, p.w.p.Redial), func() {
		if p.up && p.life == life {
			if p.running() {
				p.w.net.dial(p)
			}
			p.dialer(life)
		}
	})
}

// admin gives the machine an operator's command and returns its token.
func (p *proc) admin(a core.Admin) uint64 {
	if !p.up {
		return 0
	}
	a.Tok = p.w.token()
	if a.Kind == core.AdminMeet {
		p.w.check.met()
	}
	a.Keys = p.data.keys
	p.input(core.Input{Kind: core.InAdmin, Admin: &a})
	return a.Tok
}
