package sim

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/cluster/core"
)

// ablation is a rule, the surroundings that make it matter, and how soon its loss is seen.
type ablation struct {
	rule   core.Ablation
	kinds  []faultKind
	tune   func(*Params)
	shape  func(*Plan)
	after  func(*Plan) // adds faults to the drawn ones
	within int         // seeds, from 1
	stuck  bool        // only convergence can show it
}

var ablations = map[string]ablation{
	"no-lives":       {rule: core.AblateNoLives, kinds: []faultKind{faultWallStep, faultMoveSlot, faultBump}, within: 30, shape: threeVoters, after: withTwin},
	"any-replica":    {rule: core.AblateAnyReplica, kinds: []faultKind{faultCrashEmpty, faultCrashStale, faultPause, faultIsolate, faultReplicate}, within: 300},
	"no-incarnation": {rule: core.AblateNoIncarnation, kinds: []faultKind{faultCrashEmpty, faultCrashStale}, within: 300},
	"any-offset":     {rule: core.AblateAnyOffset, kinds: []faultKind{faultReplStall, faultCrashEmpty, faultPause}, within: 300, tune: calmNet, shape: func(pl *Plan) { pl.Primaries, pl.Replicas = 3, 2 }},
	"first-record":   {rule: core.AblateFirstRecord, kinds: []faultKind{faultCut, faultCutBoth, faultSplit, faultPause, faultReplicate, faultCrashEmpty, faultFailover}, within: 300, shape: oneShard},
	"nolease-wait":   {rule: core.AblateNoLeaseWait, kinds: []faultKind{faultCut, faultCutBoth, faultIsolate, faultForce}, within: 300},
	"no-lease-check": {rule: core.AblateNoLeaseCheck, kinds: []faultKind{faultIsolate, faultSplit, faultPause}, within: 300},
	"lease-from-receipt": {rule: core.AblateLeaseFromReceipt, kinds: []faultKind{faultClog}, within: 20, tune: calmNet, shape: script(nil,
		// The voters' last answers are long under way, and by then nothing of the primary n0 gets out any
		// more: they will have voted for n3, whom it does not hear, before its lease from the receipt ends.
		step{0, faultCutBoth, 0, 3, 700, 0}, step{120, faultClog, 0, 1, 100, 0}, step{120, faultClog, 0, 2, 100, 0},
		step{165, faultCut, 0, 1, 300, 0}, step{165, faultCut, 0, 2, 300, 0}, step{165, faultCut, 0, 4, 300, 0}, step{165, faultCut, 0, 5, 300, 0})},
	"noquarantine":      {rule: core.AblateNoQuarantine, kinds: []faultKind{faultCrash}, within: 50, shape: script(leaseHolderCutOff, step{170, faultCrash, 1, 0, 5, 0}, step{171, faultCrash, 2, 0, 5, 0})},
	"nofsync-promise":   {rule: core.AblateNoPromiseSave, kinds: []faultKind{faultCrash, faultCutBoth, buggifyVote, faultForce}, within: 300},
	"nofsync-record":    {rule: core.AblateNoRecordSave, kinds: []faultKind{faultCrash, faultFailover, buggifyAccept}, within: 300},
	"voter-accepts-old": {rule: core.AblateVoterAcceptsOld, kinds: []faultKind{faultCut, faultCutBoth, faultSplit, faultFailover, faultForce, faultPause, faultCrashEmpty}, within: 300, tune: slowNet, shape: oneShard},
	"no-freeze":         {rule: core.AblateNoFreeze, kinds: []faultKind{faultVoters, faultForce, faultFailover, faultPause}, within: 300},
	"no-copy":           {rule: core.AblateNoCopy, kinds: []faultKind{faultVoters, faultForce, faultFailover}, within: 300},
	"install-noquarantine": {rule: core.AblateInstallNoQuarantine, kinds: []faultKind{faultVoters}, within: 150, shape: script(nil,
		// The primary is no voter, so that the set can be replaced quickly while it is away.
		step{0, faultVoters, 1, 0, 5, 0b010110}, step{150, faultCutBoth, 0, 3, 600, 0},
		step{400, faultIsolate, 0, 1, 300, 0}, step{410, faultVoters, 1, 0, 5, 0b111000})},
	"no-version": {rule: core.AblateNoVersion, kinds: []faultKind{faultVoters}, within: 150, shape: script(nil,
		// n4 leaves the set without hearing of it and is heard by the primary alone, which reaches n1
		// again for a moment: one voter of each version makes a majority of the old one.
		step{0, faultVoters, 1, 0, 5, 0b010110}, step{290, faultCutBoth, 0, 3, 900, 0},
		step{300, faultCutBoth, 4, 1, 900, 0}, step{300, faultCutBoth, 4, 2, 900, 0}, step{300, faultCutBoth, 4, 3, 900, 0},
		step{300, faultCutBoth, 4, 5, 900, 0}, step{300, faultCutBoth, 0, 2, 900, 0}, step{300, faultCutBoth, 0, 5, 900, 0},
		step{300, faultCutBoth, 0, 1, 35, 0}, step{305, faultVoters, 1, 0, 5, 0b100110})},
	"no-cluster-id":  {rule: core.AblateNoClusterID, kinds: []faultKind{faultSoftReset, faultForeign, faultBump, faultFailover, faultForce}, within: 300, shape: func(pl *Plan) { pl.Foreign = true }},
	"no-ban":         {rule: core.AblateNoBan, kinds: []faultKind{faultForget, faultCutBoth, faultPause}, within: 300},
	"no-slot-ballot": {rule: core.AblateNoSlotBallot, kinds: []faultKind{faultRaceSlots}, within: 150, tune: quickVoters},
}

// unseen are rules that the asynchronous mode cannot show, with the reason.
var unseen = map[string]string{
	"no-fence": "a primary stands against its own record only when its lease has run out, or for a BUMP that it wins itself: " +
		"without the fence it is still not allowed to serve (R9). The fence guards commits of the strict mode (R1).",
}

// step is a fault of a script; times in hundredths of T.
type step struct {
	at   core.Mono
	kind faultKind
	a, b int
	dur  core.Mono
	set  int // voters: which nodes, as bits
}

// leaseHolderCutOff: the primary n0 is cut off from its replica n3, which asks the voters again
// and again, and at 1.6 T from everyone, so that its lease runs on for about T.
var leaseHolderCutOff = []step{{0, faultCutBoth, 0, 3, 700, 0}, {160, faultIsolate, 0, 1, 300, 0}}

// script replaces the drawn faults; only who and when else is left to the seed.
func script(first []step, more ...step) func(*Plan) {
	return func(pl *Plan) {
		pl.Primaries, pl.Replicas, pl.Spares, pl.Foreign = 3, 1, 0, false
		p := pl.params()
		r := stream(pl.Seed, forFaults)
		pl.Faults, pl.Length = nil, 7*p.T
		for _, s := range append(append([]step(nil), first...), more...) {
			x := r.next() >> 32
			for s.kind == faultVoters && !orders(x, s.set) {
				x = r.next() >> 32
			}
			pl.Faults = append(pl.Faults, Fault{At: p.T * s.at / 100, Kind: s.kind, A: s.a, B: s.b, Dur: p.T * s.dur / 100, X: x})
		}
	}
}

// orders: a voters fault with this X names exactly these of six nodes.
func orders(x uint64, set int) bool {
	r := &rng{x}
	seen := 0
	for range pick(r, 1, 3, 3, 5) {
		seen |= 1 << r.n(6)
	}
	return seen == set
}

func calmNet(p *Params) { p.SlowPct, p.LossPct, p.DupPct, p.Reorder, p.Bandwidth = 0, 0, 0, false, 0 }
func slowNet(p *Params) {
	p.Reorder, p.SlowPct, p.SlowMax, p.Bandwidth = true, 30, p.T*3/4, 0
}
func fiveVoters(pl *Plan) { pl.Primaries, pl.Replicas, pl.Spares, pl.Foreign = 5, 1, 0, false }

// quickVoters: faults come close together, so that voters restart while a primary is cut off.
func quickVoters(p *Params) { p.FaultEvery = p.T / 6 }

func oneShard(pl *Plan) { pl.Primaries, pl.Replicas, pl.Spares, pl.Foreign = 1, 2, 0, false }

// planFor draws the plan of a seed in surroundings where the rule matters.
func planFor(a ablation, seed uint64, off bool) Plan {
	pl := newPlan(seed, 12, func(p *Params) {
		p.On = [faultKinds]bool{}
		for _, k := range a.kinds {
			p.On[k] = true
		}
		p.FaultEvery = p.T / 2
		p.Encode = false
		if a.tune != nil {
			a.tune(p)
		}
		if off {
			p.Ablate = a.rule
		}
	})
	if a.shape != nil {
		a.shape(&pl)
	}
	nodes := pl.Primaries*(1+pl.Replicas) + pl.Spares
	for i := range pl.Faults {
		pl.Faults[i].A %= nodes
		pl.Faults[i].B %= nodes
	}
	if a.after != nil {
		a.after(&pl)
	}
	return pl
}

// Each protecting rule of core is switched off in turn: a checker must see it.
func TestAblationsBite(t *testing.T) {
	names, bits := core.Ablations()
	for i, name := range names {
		t.Run(name, func(t *testing.T) {
			a, ok := ablations[name]
			if why := unseen[name]; why != "" {
				require.False(t, ok)
				t.Skip(why)
			}
			require.True(t, ok, "a rule without a test")
			require.Equal(t, bits[i], a.rule)
			for seed := uint64(1); seed <= uint64(a.within); seed++ {
				r := Run(planFor(a, seed, true))
				if r.Violation == nil || !a.stuck && (r.Violation.Name == "not converged" || r.Violation.Name == "not formed") {
					continue // stuck, perhaps for want of the rule: not what the rule is for
				}
				if on := Run(planFor(a, seed, false)); on.Violation == nil {
					t.Logf("seed %d of %d: %.200s", seed, a.within, r.Violation.Error())
					return
				}
			}
			t.Fatalf("nobody notices in %d seeds", a.within)
		})
	}
}
