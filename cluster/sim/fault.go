package sim

import (
	"github.com/sextantdb/sextant/bus"
	"github.com/sextantdb/sextant/cluster/core"
	"github.com/sextantdb/sextant/cluster/topology"
	"github.com/sextantdb/sextant/store/slot"
)

type faultKind uint8

const (
	// processes
	faultCrash      faultKind = iota // comes back with all its data (a log that was always fsynced)
	faultCrashStale                  // with an older snapshot
	faultCrashEmpty                  // with its state file and no data (a memory store)
	faultCrashLost                   // with nothing: a new machine, an operator puts it in its place
	faultHostDies                    // as crash-empty, and its connections do not close
	faultPause                       // SIGSTOP, VM freeze
	faultSlowCPU
	// disk
	faultSlowFsync
	faultNoSpace
	faultTorn // crash within a write: a part of the last record is there
	faultFlip // crash and a bit of the state file's middle flips
	// network
	faultCut // one direction between two nodes
	faultCutBoth
	faultIsolate
	faultIsolateOneWay
	faultSplit // a random set from the rest
	faultHalfOpen
	faultLinkReset
	faultLossBurst
	faultClog
	faultReplStall
	// clocks
	faultWallStep
	// operators and their surroundings
	faultFailover
	faultForce
	faultTakeover
	faultMoveSlot
	faultRaceSlots
	faultVoters
	faultReplicate
	faultReplaceNode
	faultAddNode
	faultSoftReset
	faultForeign
	faultBump
	faultSwapIP
	faultSwapDisk
	faultForget
	// BUGGIFY: a crash at a chosen place in the driver
	buggifySync
	buggifySave
	buggifySend
	buggifyVote
	buggifyAccept
	// Behind the rest, so that the conditions of older plans stay as they were.
	faultStuck // the data path hangs, the bus does not
	// A node's disk is copied, with its data or without, and started as a second process at another
	// address. The swarm does not draw it: what two processes of one name may break for moments,
	// others must never (TestTwins).
	faultTwin
	faultKinds
)

var faultNames = [faultKinds]string{
	"crash", "crash-stale", "crash-empty", "crash-lost", "host-dies", "pause", "slow-cpu", "slow-fsync", "no-space", "torn-tail", "bit-flip",
	"cut", "cut-both", "isolate", "isolate-one-way", "split", "half-open", "link-reset", "loss-burst", "clog", "repl-stall", "wall-step",
	"failover", "failover-force", "failover-takeover", "move-slot", "race-slots", "voters", "replicate", "replace-node", "add-node",
	"soft-reset", "foreign-cluster", "bump-epoch", "swap-ip", "swap-disk", "forget",
	"die-in-fsync", "die-after-save", "die-between-sends", "die-after-vote", "die-after-accept",
	"stuck", "twin",
}

func (k faultKind) String() string { return faultNames[k] }

func kindNamed(s string) (faultKind, bool) {
	for k, n := range faultNames {
		if n == s {
			return faultKind(k), true
		}
	}
	return 0, false
}

// strike makes a fault happen.
func (w *World) strike(f Fault) {
	if f.A >= len(w.procs) || f.B >= len(w.procs) {
		return
	}
	a, b := w.procs[f.A], w.procs[f.B]
	r := &rng{f.X}
	end := w.now + f.Dur
	w.log("--- %s", f)
	touch := func(ps ...*proc) {
		for _, p := range ps {
			p.touched = max(p.touched, end)
		}
	}
	switch f.Kind {
	case faultCrash, faultTorn:
		touch(a)
		if a.up {
			a.crash(keepAll, f.X*uint64(b2i(f.Kind == faultTorn)), r.pct(30))
			a.revive(f.Dur, true)
		}
	case faultCrashStale, faultCrashEmpty, faultHostDies:
		touch(a)
		if a.up {
			keep := keepNone
			if f.Kind == faultCrashStale {
				keep = keepStale
			}
			a.crash(keep, f.X, f.Kind == faultHostDies)
			a.revive(f.Dur, false)
		}
	case faultCrashLost:
		touch(a)
		if a.up && w.spared(a) {
			a.crash(keepNoFile, 0, r.pct(30))
			a.revive(f.Dur, false)
		}
	case faultFlip:
		touch(a)
		if a.up && w.spared(a) {
			a.crash(keepNone, f.X, false)
			if n := len(a.disk.file); n > 400 { // not in the last record: that looks like a torn write
				a.disk.file = append([]byte(nil), a.disk.file...)
				a.disk.file[int(r.next())&0x7fffffff%(n/2)] ^= 1 << r.n(8)
			}
			a.revive(f.Dur, false)
		}
	case faultPause:
		touch(a)
		a.paused = max(a.paused, end)
	case faultStuck:
		touch(a)
		a.data.hang(end)
	case faultTwin:
		touch(a)
		w.twin(a, f.Dur, r.pct(50), r.pct(50))
	case faultSlowCPU:
		touch(a)
		a.slow, a.slowBy = end, pick(r, ms, w.p.T/50, w.p.T/5)
	case faultSlowFsync:
		touch(a)
		a.disk.slow, a.disk.slowBy = end, pick(r, w.p.T/20, w.p.T/2, 2*w.p.T)
	case faultNoSpace:
		touch(a)
		a.disk.full = end
	case faultCut:
		touch(a, b)
		w.net.cutOff(a, b, end)
	case faultCutBoth:
		touch(a, b)
		w.net.cutOff(a, b, end)
		w.net.cutOff(b, a, end)
	case faultIsolate, faultIsolateOneWay, faultSplit:
		in := make([]bool, len(w.procs))
		in[a.i] = true
		if f.Kind == faultSplit {
			for i := range in {
				in[i] = r.pct(50)
			}
		}
		out := r.pct(50)
		for _, x := range w.procs {
			for _, y := range w.procs {
				if in[x.i] == in[y.i] || f.Kind == faultIsolateOneWay && in[x.i] != out {
					continue
				}
				touch(x, y)
				w.net.cutOff(x, y, end)
			}
		}
	case faultHalfOpen:
		touch(a, b)
		if c := a.conns[b.i]; c != nil {
			w.net.sever(c, a, false)
		}
	case faultLinkReset:
		touch(a, b)
		if c := a.conns[b.i]; c != nil {
			w.net.sever(c, a, true)
		}
	case faultLossBurst:
		touch(w.procs...)
		w.net.lossy = end
	case faultClog:
		for _, y := range w.procs {
			if y == b || r.pct(30) {
				touch(a, y)
				w.net.slow[a.i][y.i], w.net.slow[y.i][a.i] = end, end
			}
		}
	case faultReplStall:
		for _, y := range w.procs {
			if y == b || r.pct(60) {
				w.net.stall[a.i][y.i], w.net.stall[y.i][a.i] = end, end
			}
		}
	case faultWallStep:
		a.clk.wallStep += int64(r.n(200000)) - 100000
	case faultFailover, faultForce, faultTakeover:
		touch(w.procs...)
		if f.Kind == faultTakeover {
			w.check.taken = true
		}
		a.admin(core.Admin{Kind: core.AdminFailover, Mode: core.FailoverMode(f.Kind - faultFailover)})
	case faultMoveSlot:
		w.moveSlot(r, a, b, f.Dur/8)
	case faultRaceSlots:
		for _, x := range []*proc{a, b} {
			s := w.slotOf(r.n(w.p.Keys))
			to := w.procs[r.n(len(w.procs))]
			x.admin(core.Admin{Kind: core.AdminSetSlotNode, Slot: s, Node: to.id.String()})
		}
	case faultVoters:
		touch(w.procs...)
		set := core.Admin{Kind: core.AdminVoters}
		for range pick(r, 1, 3, 3, 5) {
			x := w.procs[r.n(len(w.procs))]
			if x.foreign() || x.retired || w.idIn(set.Voters, x.id) {
				continue
			}
			set.Voters = append(set.Voters, x.id)
		}
		for _, x := range w.procs { // an order that may leave a lost voter in a smaller set is the operator's mistake
			if x.lost || !x.up && x.kept == keepNoFile {
				return
			}
		}
		if len(set.Voters)%2 == 1 {
			w.ordered = w.now
			a.admin(set)
		}
	case faultReplicate:
		touch(a)
		if a.view != nil && a.view.Role == topology.RoleReplica {
			a.admin(core.Admin{Kind: core.AdminReplicate, Node: b.id.String()})
		}
	case faultReplaceNode:
		touch(w.procs...)
		w.replace(a, f.Dur/4, r.pct(50))
	case faultAddNode:
		touch(w.procs...)
		if a.up && b.up && !a.foreign() && !b.foreign() {
			a.admin(core.Admin{Kind: core.AdminMeet, IP: b.ip, Port: 7000, CPort: 17000})
		}
	case faultSoftReset:
		touch(w.procs...)
		if a.up && a.view != nil && a.view.Role == topology.RoleReplica && !a.foreign() && w.spared(a) {
			w.check.reset(a)
			a.admin(core.Admin{Kind: core.AdminReset})
			if k := w.foreigner(); k != nil && r.pct(50) { // moved to the other cluster, without a FORGET in ours
				w.at(f.Dur/8, func() { a.admin(core.Admin{Kind: core.AdminMeet, IP: k.ip, Port: 7000, CPort: 17000}) })
			}
		}
	case faultForeign:
		if k := w.foreigner(); k != nil {
			x, y := a, k
			if r.pct(50) {
				x, y = k, a
			}
			x.admin(core.Admin{Kind: core.AdminMeet, IP: y.ip, Port: 7000, CPort: 17000})
		}
	case faultBump:
		a.admin(core.Admin{Kind: core.AdminBumpEpoch})
	case faultSwapIP, faultSwapDisk:
		touch(w.procs...)
		if a != b && a.up && b.up {
			a.crash(keepAll, 0, false)
			b.crash(keepAll, 0, false)
			a.ip, b.ip = b.ip, a.ip
			w.ips[a.ip], w.ips[b.ip] = a, b // the disks change places, or the addresses: it is the same
			a.revive(f.Dur/4, true)
			b.revive(f.Dur/3, true)
		}
	case faultForget:
		touch(w.procs...)
		if b.up && !b.foreign() && a != b && w.spared(b) {
			if a.view != nil {
				if _, ok := a.view.Find(b.id); ok {
					w.check.forget(b.id)
				}
			}
			a.admin(core.Admin{Kind: core.AdminForget, Node: b.id.String()})
		}
	case buggifySync, buggifySave, buggifySend, buggifyVote, buggifyAccept:
		touch(a)
		if a.up {
			a.armed = append(a.armed, trap{at: f.Kind, down: f.Dur / 2, x: f.X})
			life := a.life
			w.at(f.Dur*2, func() {
				if a.life == life {
					a.armed = nil
				}
			})
		}
	}
}

// twin starts a copy of a's disk beside it; after d an operator stops one of the two for good.
func (w *World) twin(a *proc, d core.Mono, data, keepCopy bool) {
	if !a.up || a.foreign() || a.retired || a.twin != nil || len(a.disk.file) == 0 {
		return
	}
	p := w.add()
	p.disk.file = append([]byte(nil), a.disk.file...)
	if data {
		p.data.copyOf(&a.data)
		p.settled = a.settled
	}
	a.twin, p.twin = p, a
	w.doubled = true
	w.log("%s is a copy of %s", p, a)
	p.start(data)
	w.at(d, func() {
		if a.twin == p {
			w.part(a, p, keepCopy)
		}
	})
}

// part stops one of two twins for good.
func (w *World) part(a, p *proc, keepCopy bool) {
	gone, stays := p, a
	if keepCopy {
		gone, stays = a, p
	}
	w.log("an operator stops %s, %s stays", gone, stays)
	gone.crash(keepAll, 0, false)
	gone.retired = true
	a.twin, p.twin = nil, nil
	w.ids[stays.id] = stays
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (w *World) idIn(ids []bus.NodeID, id bus.NodeID) bool {
	for _, x := range ids {
		if x == id {
			return true
		}
	}
	return false
}

// spared: the cluster can do without p's name and promises. A majority of the voters, or every
// holder of a shard's data, gone for good is more than anything can heal by itself.
func (w *World) spared(p *proc) bool {
	c := &w.check
	if w.ordered > 0 && w.now-w.ordered < 10*core.Second+4*w.p.T {
		return false // the set is about to be another one
	}
	for _, back := range []uint64{0, 1} { // a change of the set may be under way
		ver := c.topSet[p.insp.Cluster]
		if ver <= back {
			continue
		}
		set := c.sets[verKey{p.insp.Cluster, ver - back}]
		gone := 0
		for _, id := range set {
			if q := w.byID(id); id == p.id || q == nil || q.lost {
				gone++
			}
		}
		if w.idIn(set, p.id) && gone > (len(set)-1)/2 {
			return false
		}
	}
	r := c.newest[p.insp.Shard]
	left := 0
	for _, x := range r.ISR {
		if q := c.holder(x); q != nil && q != p && !q.lost && q.insp.Shard == r.Shard {
			left++
		}
	}
	if r.Has(bus.NewMember(p.id, p.insp.Inc)) && left == 0 {
		return false
	}
	p.lost = true // until it is healed
	return true
}

// moveSlot is a classic resharding of one key's slot, as redis-cli does it: open both ends,
// move the key, give the slot to its new owner everywhere. Any of it may fail half way.
func (w *World) moveSlot(r *rng, a, to *proc, step core.Mono) {
	key := r.n(w.p.Keys)
	s := w.slotOf(key)
	if a.view == nil || to.view == nil || to.foreign() {
		return
	}
	o, ok := a.view.OwnerOf(s)
	if !ok {
		return
	}
	from := w.byID(a.view.Nodes[o].ID)
	if from == nil || from == to || to.view.Role != topology.RolePrimary || to.view.Nodes[to.view.Me].SlotCount == 0 {
		return
	}
	src, dst := from.id.String(), to.id.String()
	to.admin(core.Admin{Kind: core.AdminSetSlotImporting, Slot: s, Node: src})
	w.at(step, func() { from.admin(core.Admin{Kind: core.AdminSetSlotMigrating, Slot: s, Node: dst}) })
	w.at(2*step, func() {
		v := from.data.kv[key]
		_, open := from.openSlot(s)
		_, wants := to.openSlot(s)
		if from.up && to.up && v != 0 && open && wants && from.serves() && to.data.role.Role == topology.RolePrimary &&
			from.data.paused == 0 && to.data.paused == 0 {
			w.check.movedKey(key)
			to.data.write(key, v)
			from.data.write(key, 0)
		}
	})
	w.at(3*step, func() {
		if from.data.kv[key] != 0 {
			return
		}
		to.admin(core.Admin{Kind: core.AdminSetSlotNode, Slot: s, Node: dst})
		w.at(step/2, func() { from.admin(core.Admin{Kind: core.AdminSetSlotNode, Slot: s, Node: dst}) })
	})
}

func (p *proc) openSlot(s slot.Slot) (topology.Open, bool) {
	if p.view == nil {
		return topology.Open{}, false
	}
	return p.view.OpenSlot(s)
}

// serves: the data path would execute a write now.
func (p *proc) serves() bool {
	return p.running() && p.view != nil && p.view.Serving && p.view.State == topology.StateOK && p.local() < p.lease &&
		p.data.known && p.data.role.Role == topology.RolePrimary
}

// replace takes a replica out of the cluster and joins it anew under another name.
func (w *World) replace(a *proc, step core.Mono, again bool) {
	if !a.up || a.foreign() || a.view == nil || a.view.Role != topology.RoleReplica || !w.spared(a) {
		return
	}
	old := a.id
	w.check.reset(a)
	a.admin(core.Admin{Kind: core.AdminReset, Hard: true})
	w.at(step, func() {
		for _, p := range w.procs {
			if p.up && p != a && !p.foreign() && p.view != nil {
				if _, ok := p.view.Find(old); ok {
					w.check.forget(old)
					p.admin(core.Admin{Kind: core.AdminForget, Node: old.String()})
				}
			}
		}
	})
	if again {
		w.at(2*step, func() {
			for _, p := range w.procs {
				if p != a && p.up && !p.foreign() && p.view != nil && len(p.view.Nodes) > 1 {
					a.admin(core.Admin{Kind: core.AdminMeet, IP: p.ip, Port: 7000, CPort: 17000})
					return
				}
			}
		})
	}
}

func (p *proc) foreign() bool { return p == p.w.foreigner() }

// foreigner is the node of another cluster on the same network, if this plan has one.
func (w *World) foreigner() *proc {
	if !w.plan.Foreign {
		return nil
	}
	i := w.plan.Primaries*(1+w.plan.Replicas) + w.plan.Spares
	if i < len(w.procs) {
		return w.procs[i]
	}
	return nil
}
