package sim

import (
	"github.com/sextantdb/sextant/cluster/core"
	"github.com/sextantdb/sextant/cluster/topology"
	"github.com/sextantdb/sextant/store/slot"
)

// FormPlan draws a plan whose faults strike while the cluster forms.
func FormPlan(seed uint64) Plan {
	pl := newPlan(seed, 6, func(p *Params) {
		for k := range p.On {
			p.On[k] = p.On[k] && whileForming[faultKind(k)]
		}
		p.On[faultCutBoth], p.On[faultCrash] = true, true
		p.FaultEvery = p.T / 2
		p.AutoVoters = true
	})
	pl.Spares, pl.Foreign, pl.Clients = 0, false, 1
	for i := range pl.Faults {
		n := pl.Primaries * (1 + pl.Replicas)
		pl.Faults[i].A, pl.Faults[i].B = pl.Faults[i].A%n, pl.Faults[i].B%n
	}
	return pl
}

// whileForming are the faults of machines and networks. Operators are busy with the formation, and what
// a machine loses for good before there are voters, they have to give again.
var whileForming = map[faultKind]bool{
	faultCrash: true, faultCrashStale: true, faultCrashEmpty: true, faultHostDies: true, faultPause: true, faultSlowCPU: true,
	faultSlowFsync: true, faultNoSpace: true, faultTorn: true, faultCut: true, faultCutBoth: true, faultIsolate: true,
	faultIsolateOneWay: true, faultSplit: true, faultHalfOpen: true, faultLinkReset: true, faultLossBurst: true, faultClog: true,
	faultReplStall: true, faultWallStep: true, buggifySync: true, buggifySave: true, buggifySend: true, faultStuck: true,
}

// RunForming plays a plan of FormPlan: an operator builds the cluster and repeats what failed, while
// faults strike from the first moment on; then all heals and the cluster must converge.
func RunForming(pl Plan, traced bool) Result {
	w := newWorld(pl, traced)
	for range pl.Primaries * (1 + pl.Replicas) {
		w.add().start(false)
	}
	w.phase = faulty
	w.addClients()
	for _, f := range pl.Faults {
		w.at(f.At, func() { w.strike(f) })
	}
	for end := w.now + pl.Length; w.now < end && w.bad == nil; w.run(w.p.T / 2) {
		w.build()
	}
	for end := w.now + 20*w.p.T + 20*core.Second; w.bad == nil && w.unformed(); w.run(w.p.T / 2) {
		if w.phase != healed {
			w.phase = healed
			w.calm()
		}
		if w.now > end {
			w.violated("not formed", "%s\n%s", w.unwell(), w.dump())
		}
		w.revive()
		w.build()
	}
	if w.bad == nil {
		w.heal()
	}
	return w.result()
}

// unformed: some node does not know of voters.
func (w *World) unformed() bool {
	for _, p := range w.members() {
		if !p.up || p.view == nil || p.view.VoterVer == 0 {
			return true
		}
	}
	return false
}

func (w *World) revive() {
	for _, p := range w.procs {
		if !p.up && !p.retired {
			p.start(false)
		}
	}
}

func (w *World) formed() bool {
	for _, p := range w.members() {
		if p.up && p.view != nil && p.view.VoterVer > 0 {
			return true
		}
	}
	return false
}

// build is one round of an operator who makes the cluster: what a node lacks it is told.
func (w *World) build() {
	ps := w.members()
	for i, p := range ps {
		if !p.up || p.view == nil || p.view.VoterVer > 0 || w.net.cut[0][i] > w.now && i > 0 {
			continue
		}
		v := p.view
		me := &v.Nodes[v.Me]
		if len(v.Nodes) == 1 && me.Epoch == 0 {
			p.admin(core.Admin{Kind: core.AdminSetConfigEpoch, Epoch: int64(i + 1)})
		}
		if i < w.plan.Primaries && me.SlotCount == 0 && v.Role == topology.RolePrimary && !w.formed() { // else its slots have an owner: it joins without any
			first, last := i*slot.Count/w.plan.Primaries, (i+1)*slot.Count/w.plan.Primaries-1
			p.admin(core.Admin{Kind: core.AdminAddSlots, Slots: slots(first, last)})
		}
		if _, ok := v.Find(ps[0].id); !ok {
			p.admin(core.Admin{Kind: core.AdminMeet, IP: ps[0].ip, Port: 7000, CPort: 17000})
		} else if i >= w.plan.Primaries && v.Role == topology.RolePrimary {
			p.admin(core.Admin{Kind: core.AdminReplicate, Node: ps[i%w.plan.Primaries].id.String()})
		}
	}
}
