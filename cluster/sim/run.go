package sim

import (
	"fmt"
	"strings"

	"github.com/sextantdb/sextant/bus"
	"github.com/sextantdb/sextant/cluster/core"
	"github.com/sextantdb/sextant/cluster/topology"
	"github.com/sextantdb/sextant/store/slot"
)

// Result of a run.
type Result struct {
	Violation *Violation // nil: every invariant held
	Counts    Counts
	Hash      uint64 // over everything every machine said
}

// Run plays a plan: a cluster forms, faults strike while clients work, everything heals, and
// the cluster must converge.
func Run(pl Plan) Result { return play(pl, false).result() }

// Explain is Run with the last events of all machines in the violation.
func Explain(pl Plan) Result { return play(pl, true).result() }

func (w *World) result() Result {
	w.counts.Virtual = w.now
	if w.bad != nil && w.traced {
		w.bad.Trace = w.trace[max(0, len(w.trace)-traceKept):]
	}
	return Result{Violation: w.bad, Counts: w.counts, Hash: w.hash}
}

func newWorld(pl Plan, traced bool) *World {
	w := &World{plan: pl, p: pl.params(), ids: map[bus.NodeID]*proc{}, ips: map[string]*proc{}, codec: bus.NewCodec(), traced: traced}
	w.net = network{w: w, r: stream(pl.Seed, forNet)}
	w.check.init(w)
	w.now = core.Second
	return w
}

func play(pl Plan, traced bool) *World {
	w := newWorld(pl, traced)
	n := pl.Primaries*(1+pl.Replicas) + pl.Spares
	for range n + b2i(pl.Foreign) {
		w.add().start(false)
	}
	if k := w.foreigner(); k != nil {
		k.admin(core.Admin{Kind: core.AdminAddSlots, Slots: slots(0, slot.Count-1)})
	}
	if !w.form() {
		return w
	}
	w.phase = faulty
	w.addClients()
	w.run(2 * w.p.T)
	for _, f := range pl.Faults {
		w.at(f.At, func() { w.strike(f) })
	}
	w.run(pl.Length)
	if w.bad == nil {
		w.heal()
	}
	return w
}

func slots(first, last int) (out []slot.Slot) {
	for s := first; s <= last; s++ {
		out = append(out, slot.Slot(s))
	}
	return out
}

// members are the processes of the cluster under test.
func (w *World) members() []*proc {
	return w.procs[:w.plan.Primaries*(1+w.plan.Replicas)]
}

// form does what redis-cli --cluster create does, over the network as the seed made it.
func (w *World) form() bool {
	ps := w.members()
	patience := 20*w.p.T + 10*core.Second
	for i := range w.plan.Primaries {
		first, last := i*slot.Count/w.plan.Primaries, (i+1)*slot.Count/w.plan.Primaries-1
		ps[i].admin(core.Admin{Kind: core.AdminAddSlots, Slots: slots(first, last)})
	}
	for i, p := range ps {
		p.admin(core.Admin{Kind: core.AdminSetConfigEpoch, Epoch: int64(i + 1)})
	}
	w.run(w.p.T / 20)
	meet := func() {
		for _, p := range ps[1:] {
			if p.view == nil || len(p.view.Nodes) < len(ps) {
				p.admin(core.Admin{Kind: core.AdminMeet, IP: ps[0].ip, Port: 7000, CPort: 17000})
			}
		}
	}
	met := func() bool {
		for _, p := range ps {
			if p.view == nil || len(p.view.Nodes) != len(ps) || handshakes(p.view) {
				return false
			}
		}
		return true
	}
	meet()
	for range 4 { // a lost MEET is repeated by its operator
		if w.until(patience/4, met) {
			break
		}
		meet()
	}
	if !met() {
		w.violated("not formed", "the nodes do not know one another %d ms after MEET\n%s", patience/ms, w.dump())
		return false
	}
	for i := w.plan.Primaries; i < len(ps); i++ {
		ps[i].admin(core.Admin{Kind: core.AdminReplicate, Node: ps[i%w.plan.Primaries].id.String()})
	}
	if !w.p.AutoVoters {
		w.run(w.p.T)
		a := core.Admin{Kind: core.AdminVoters}
		for _, p := range ps[:min(len(ps), max(3, w.plan.Primaries))] {
			a.Voters = append(a.Voters, p.id)
		}
		ps[0].admin(a)
	}
	if !w.until(patience, func() bool { return w.unwell() == "" }) {
		w.violated("not formed", "%s\n%s", w.unwell(), w.dump())
		return false
	}
	return true
}

func handshakes(v *topology.View) bool {
	for i := range v.Nodes {
		if v.Nodes[i].Handshake {
			return true
		}
	}
	return false
}

// joined are the processes that have to agree: all but the other cluster and machines that
// nobody invited.
func (w *World) joined() (out []*proc) {
	for _, p := range w.procs {
		if p.retired || p.foreign() {
			continue
		}
		if p.i >= len(w.members()) && p.up && p.view != nil && len(p.view.Nodes) == 1 {
			continue // a spare that never joined
		}
		out = append(out, p)
	}
	return out
}

// unwell says what keeps the cluster from being converged, "" when nothing does: all up, one
// view at all nodes, every slot owned and served under a lease by one primary per shard, every
// replica attached and in its shard's set.
func (w *World) unwell() string {
	ps := w.joined()
	var first *topology.View
	served := 0
	for _, p := range ps {
		v := p.view
		switch {
		case !p.up:
			return fmt.Sprintf("%s is down %s", p, p.refused)
		case v == nil:
			return p.String() + " has no view"
		case v.State != topology.StateOK:
			return fmt.Sprintf("%s: cluster state fail: %s", p, v.Reason)
		case len(v.Nodes) != len(ps):
			return fmt.Sprintf("%s knows %d nodes, not %d", p, len(v.Nodes), len(ps))
		case v.VoterVer == 0:
			return p.String() + " knows no voters"
		case v.Assigned != slot.Count:
			return fmt.Sprintf("%s: %d slots owned", p, v.Assigned)
		case len(v.OpenSlots) > 0:
			return fmt.Sprintf("%s: slot %d is open", p, v.OpenSlots[0].Slot)
		case handshakes(v):
			return p.String() + " is in a handshake"
		}
		if first == nil {
			first = v
		} else if why := differ(first, v); why != "" {
			return fmt.Sprintf("%s and %s differ: %s", ps[0], p, why)
		}
		for i := range v.Nodes {
			if v.Nodes[i].Health != topology.Online {
				return fmt.Sprintf("%s holds %s for failed", p, w.name(v.Nodes[i].ID))
			}
		}
		if v.Role == topology.RolePrimary {
			if v.Nodes[v.Me].SlotCount == 0 {
				return p.String() + " is a primary without slots"
			}
			if !p.serves() {
				return fmt.Sprintf("%s does not serve: %s", p, v.NotServing)
			}
			served += v.Nodes[v.Me].SlotCount
			for _, q := range ps {
				if q.view != nil && q.view.Role == topology.RoleReplica && q.view.Shard == v.Shard && !v.Rec.Has(bus.NewMember(q.id, q.insp.Inc)) {
					return fmt.Sprintf("%s is not in the set of %s", q, p)
				}
			}
		} else if l := p.data.link; l == nil || !l.up || !p.data.synced {
			return p.String() + " is not in sync"
		} else if l.y.id != v.Nodes[v.Me].Primary {
			return p.String() + " copies another node than its primary"
		}
	}
	if served != slot.Count {
		return fmt.Sprintf("%d slots served", served)
	}
	return ""
}

// differ compares what redis-cli compares: who owns which slots.
func differ(a, b *topology.View) string {
	if a.SlotVer != b.SlotVer {
		return "versions of the slot map"
	}
	for i := range a.Nodes {
		x, y := &a.Nodes[i], &b.Nodes[i]
		if x.ID != y.ID || x.Role != y.Role || x.Primary != y.Primary || len(x.Ranges) != len(y.Ranges) {
			return "a node's line"
		}
		for k := range x.Ranges {
			if x.Ranges[k] != y.Ranges[k] {
				return "slots of a node"
			}
		}
	}
	return ""
}

// heal ends all faults, lets an operator put right what only an operator can, and requires
// convergence. The bound counts from the operator's last act.
func (w *World) heal() {
	w.phase = healed
	w.log("=== healed")
	w.calm()
	began, last, acted := w.now, w.now, -w.p.T
	limit := w.p.healLimit()
	for w.bad == nil {
		if w.unwell() == "" {
			w.counts.ConvergedIn = w.now - last
			break
		}
		if w.now-acted >= 2*w.p.T {
			acted = w.now
			if w.repair() {
				last = w.now
			}
		}
		if w.now-last > limit+w.coldLimit() {
			w.violated("not converged", "%s; %d ms after the operator's last act, %d ms after the last fault\n%s", w.unwell(), (w.now-last)/ms, (w.now-began)/ms, w.dump())
			break
		}
		if w.now-began > 10*limit+10*w.p.ColdGrace+core.Second*90 {
			w.violated("not converged", "%s; the operator does not come to an end, %d ms after the last fault\n%s", w.unwell(), (w.now-began)/ms, w.dump())
			break
		}
		w.run(w.p.T / 4)
	}
	w.run(w.p.T) // and it stays so for those who read and write
}

// calm ends all faults.
func (w *World) calm() {
	w.net.heal()
	for _, p := range w.procs {
		if p.twin != nil {
			w.part(p, p.twin, false)
		}
		p.paused, p.slow, p.disk.full, p.disk.slow = min(p.paused, w.now), 0, 0, 0
		p.data.stuck = min(p.data.stuck, w.now)
		p.armed = nil
		if p.up {
			p.loop()
		}
	}
}

// healLimit: 3T + 2 s, see the package comment for what is added and why.
func (p *Params) healLimit() core.Mono {
	return 3*p.T + 2*core.Second + 5*core.Second + 2*p.FullMax
}

// coldLimit is what a shard needs longer whose last set nobody has survived in.
func (w *World) coldLimit() core.Mono {
	for _, p := range w.joined() {
		if p.view == nil {
			continue
		}
		r := w.check.newest[p.view.Shard]
		alive := false
		for _, x := range r.ISR {
			alive = alive || w.check.holder(x) != nil
		}
		if !alive {
			return w.p.ColdGrace + 3*w.p.T
		}
	}
	return 0
}

// repair is the operator after the faults. It reports whether it did anything.
func (w *World) repair() (acted bool) {
	do := func(p *proc, a core.Admin) uint64 {
		acted = true
		w.log("operator at %s: %d %s%s", p, a.Kind, a.IP, a.Node)
		return p.admin(a)
	}
	for _, p := range w.procs {
		if !p.up && !p.retired {
			if p.refused != "" { // the state file is beyond use: a new machine takes its place
				p.data.die(keepNoFile)
			}
			p.start(false)
			acted = true
		}
	}
	var anchor *proc // a member whose word counts
	for _, p := range w.procs {
		if !p.foreign() && p.up && p.view != nil && p.view.VoterVer > 0 && w.check.topSet[p.view.Cluster] >= p.view.VoterVer && len(p.view.Nodes) > 1 {
			if k := w.foreigner(); k != nil && k.view != nil && k.view.Cluster == p.view.Cluster {
				w.check.reset(p) // it has strayed into the other cluster
				do(p, core.Admin{Kind: core.AdminReset})
				continue
			}
			if anchor == nil || p.view.VoterVer > anchor.view.VoterVer {
				anchor = p
			}
		}
	}
	if anchor == nil {
		return acted
	}
	for _, p := range w.procs {
		if !p.up || p.view == nil || p.foreign() || p.retired {
			continue
		}
		if len(p.view.Nodes) == 1 {
			if _, known := anchor.view.Find(p.id); p.i >= len(w.members()) && !known {
				continue // never invited
			}
			if p.view.Nodes[0].SlotCount > 0 { // it was told to own slots all by itself, and clients may have found it
				p.data.flush()
				do(p, core.Admin{Kind: core.AdminReset})
			} else if p != anchor {
				do(p, core.Admin{Kind: core.AdminMeet, IP: anchor.ip, Port: 7000, CPort: 17000})
			}
			continue
		}
		if p.view.VoterVer == 0 && p.view.Cluster != anchor.view.Cluster { // it found others as lost as itself
			do(p, core.Admin{Kind: core.AdminReset})
			continue
		}
		for _, q := range w.joined() { // forgotten by some: a FORGET is lifted by a MEET, at the two who meet
			if q.view == nil || q == p || len(q.view.Nodes) == 1 || q.view.Cluster != anchor.view.Cluster {
				continue
			}
			// The same when all addresses changed at once: nobody finds anybody where he was (H18).
			if i, ok := q.view.Find(p.id); !ok || q.view.Nodes[i].Health != topology.Online && q.conns[p.i] == nil {
				do(q, core.Admin{Kind: core.AdminMeet, IP: p.ip, Port: 7000, CPort: 17000})
			}
		}
	}
	for _, p := range w.joined() { // names without a machine
		if p.view == nil || !p.up {
			continue
		}
		v := p.view
		for i := range v.Nodes {
			n := &v.Nodes[i]
			q := w.byID(n.ID)
			if n.Handshake || q != nil && !q.foreign() && !q.retired {
				continue
			}
			do(p, core.Admin{Kind: core.AdminForget, Node: n.ID.String()})
		}
		for _, o := range v.OpenSlots {
			do(p, core.Admin{Kind: core.AdminSetSlotStable, Slot: o.Slot})
		}
	}
	if anchor.view.Role != topology.RolePrimary || anchor.view.Nodes[anchor.view.Me].SlotCount == 0 {
		for _, p := range w.joined() {
			if p.up && p.view != nil && p.view.Serving && p.view.Nodes[p.view.Me].SlotCount > 0 {
				anchor = p
			}
		}
	}
	v := anchor.view
	if v.Assigned < slot.Count && v.Nodes[v.Me].SlotCount > 0 && v.Role == topology.RolePrimary {
		var free []slot.Slot
		for s := range v.Owner {
			if v.Owner[s] == topology.NoOwner {
				free = append(free, slot.Slot(s))
			}
		}
		if w.allLed(v) { // not merely a shard between two leaders
			kind := core.AdminAddSlots
			if p := w.assigner; p != nil && strings.HasSuffix(p.replies[w.assigned].Err, "busy") { // they are a shard's that has no nodes
				kind = core.AdminDelSlots
			}
			w.assigner, w.assigned = anchor, do(anchor, core.Admin{Kind: kind, Slots: free})
		}
	}
	for _, p := range w.joined() {
		if p.up && p.view != nil && len(p.view.Nodes) > 1 && p.view.Role == topology.RolePrimary && p.view.Nodes[p.view.Me].SlotCount == 0 && !w.ownsSlots(p) {
			if to := w.fewest(p); to != nil {
				p.data.flush() // the node must be empty
				do(p, core.Admin{Kind: core.AdminReplicate, Node: to.id.String()})
			}
		}
	}
	return acted
}

// allLed: every shard that v knows has a primary in v.
func (w *World) allLed(v *topology.View) bool {
	for i := range v.Nodes {
		n := &v.Nodes[i]
		if n.Role == topology.RoleReplica {
			if _, ok := v.Find(n.Primary); !ok {
				return false
			}
		}
	}
	return true
}

// ownsSlots: the newest map gives p's shard slots, whatever p has heard.
func (w *World) ownsSlots(p *proc) bool {
	for _, o := range w.check.owner {
		if o == p.view.Shard {
			return true
		}
	}
	return false
}

// fewest is the primary with the fewest replicas in p's view.
func (w *World) fewest(p *proc) *proc {
	var best *proc
	least := 1 << 30
	for i := range p.view.Nodes {
		n := &p.view.Nodes[i]
		q := w.byID(n.ID)
		if n.Role != topology.RolePrimary || n.SlotCount == 0 || q == nil || q == p || !q.up {
			continue
		}
		if k := len(p.view.Replicas(i)); k < least {
			best, least = q, k
		}
	}
	return best
}

func (w *World) dump() string {
	s := ""
	for _, p := range w.procs {
		if p.view == nil {
			s += fmt.Sprintf("--- %s up=%v no view %s\n", p, p.up, p.refused)
			continue
		}
		v := p.view
		s += fmt.Sprintf("--- %s up=%v state=%s (%s) role=%s serving=%v (%s) voters=%d map=%d rec=%s set=%v inc=%d shard=%s synced=%v lease=%d\n", p, p.up, v.State, v.Reason, v.Role,
			v.Serving, v.NotServing, v.VoterVer, v.SlotVer, at(&v.Rec), w.check.members(&v.Rec), p.insp.Inc, v.Shard.Short(), p.data.synced, (p.lease-p.local())/ms)
		for i := range v.Nodes {
			n := &v.Nodes[i]
			s += fmt.Sprintf("     %s %s %s primary=%s health=%d linked=%v slots=%v handshake=%v\n", w.name(n.ID), n.ID.Short(), n.Role, w.name(n.Primary), n.Health, n.Linked, n.Ranges, n.Handshake)
		}
		for _, r := range v.Refusals {
			s += fmt.Sprintf("     refusal %s %d %s\n", r.Name, r.Count, r.Detail)
		}
	}
	return s
}
