package sim

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/bus"
	"github.com/sextantdb/sextant/cluster/core"
	"github.com/sextantdb/sextant/store/slot"
)

var (
	simSeed   = flag.Uint64("sim.seed", 1, "first seed")
	simSeeds  = flag.Int("sim.seeds", 0, "seeds of TestSeeds, 0 = the usual number")
	simFor    = flag.Duration("sim.duration", 0, "TestSoak: how long to go on with new seeds")
	simShort  = flag.Bool("sim.short", false, "TestSeeds and TestSoak: many small runs, as TestShortSeeds")
	simLen    = flag.Int("sim.length", 20, "length of the faulty phase, in node timeouts")
	simTrace  = flag.Bool("sim.trace", false, "show the last events of a failure")
	simShrink = flag.Bool("sim.shrink", false, "shrink failing plans")
	simPlan   = flag.String("sim.plan", "", "TestPlan: a file with a plan")
	simKeep   = flag.String("sim.keep", "", "TestSoak: a directory for failing plans")
)

// planOf is the plan of a seed as the flags ask.
func planOf(seed uint64) Plan {
	if *simShort {
		return shortPlan(seed)
	}
	return NewPlan(seed, *simLen)
}

func report(pl Plan, r Result) string {
	s := r.Violation.Error() + "\n" + pl.String()
	if *simTrace {
		s += strings.Join(r.Violation.Trace, "\n")
	}
	return s
}

// failed shrinks and explains a failure as the flags ask.
func failed(pl Plan, r Result) (Plan, Result) {
	if *simShrink {
		pl, r = Shrink(pl, r.Violation.Name, 300)
	}
	if *simTrace {
		r = Explain(pl)
	}
	return pl, r
}

// Every seed is a run of its own: other conditions, other faults.
func TestSeeds(t *testing.T) {
	n := *simSeeds
	if n == 0 {
		n = 150
		if testing.Short() {
			n = 25
		}
	}
	var total Counts
	began := time.Now()
	for seed := *simSeed; seed < *simSeed+uint64(n); seed++ {
		pl := planOf(seed)
		r := Run(pl)
		if r.Violation != nil {
			pl, r = failed(pl, r)
			t.Errorf("seed %d: %s", seed, report(pl, r))
		}
		total.add(&r.Counts)
	}
	t.Logf("%d seeds, %d virtual s in %.1f s: %d steps, %d writes, %d of them lost as S1 allows, %d elections, %d handover events, %d restarts", n,
		total.Virtual/core.Second, time.Since(began).Seconds(), total.Steps, total.Acked, total.LostWrites, total.Elections, total.Handovers, total.Restarts)
	if n >= 25 { // runs that do nothing prove nothing
		require.Greater(t, total.Acked, uint64(n*50))
		require.Greater(t, total.Elections, uint64(n/2))
		require.NotZero(t, total.Handovers)
		require.Greater(t, total.Partials, uint64(n/10))
		require.Greater(t, total.Fulls, uint64(n))
		require.Greater(t, total.Restarts, uint64(8*n))
	}
}

func (c *Counts) add(o *Counts) {
	c.Steps += o.Steps
	c.Messages += o.Messages
	c.Acked += o.Acked
	c.Reads += o.Reads
	c.LostWrites += o.LostWrites
	c.Elections += o.Elections
	c.Handovers += o.Handovers
	c.Restarts += o.Restarts
	c.Partials += o.Partials
	c.Fulls += o.Fulls
	c.Virtual += o.Virtual
}

// TestShortSeeds is many small runs: three nodes or six, few timeouts, faults close together.
func TestShortSeeds(t *testing.T) {
	n := 1000
	if testing.Short() {
		n = 50
	}
	for seed := uint64(100001); seed < 100001+uint64(n); seed++ {
		pl := shortPlan(seed)
		if r := Run(pl); r.Violation != nil {
			pl, r = failed(pl, r)
			t.Errorf("seed %d: %s", seed, report(pl, r))
		}
	}
}

func shortPlan(seed uint64) Plan {
	pl := newPlan(seed, 5, func(p *Params) { p.FaultEvery = p.T / 3 })
	pl.Spares, pl.Foreign = 0, false
	if pl.Primaries > 3 {
		pl.Primaries = 3
	}
	pl.Replicas = 1 + b2i(pl.Primaries == 1)
	kept := pl.Faults[:0]
	for _, f := range pl.Faults {
		f.A, f.B = f.A%(pl.Primaries*(1+pl.Replicas)), f.B%(pl.Primaries*(1+pl.Replicas))
		kept = append(kept, f)
	}
	pl.Faults = kept
	return pl
}

// The same plan gives the same run, to the last effect of the last machine.
func TestDeterminism(t *testing.T) {
	n := uint64(100)
	if testing.Short() {
		n = 10
	}
	seen := map[uint64]bool{}
	for seed := uint64(1); seed <= n; seed++ {
		pl := shortPlan(seed)
		a, b := Run(pl), Run(pl)
		require.Equal(t, a.Hash, b.Hash, "seed %d", seed)
		require.Equal(t, a.Counts, b.Counts, "seed %d", seed)
		seen[a.Hash] = true
	}
	require.Len(t, seen, int(n), "other seeds, other runs")
}

// Plans that once broke something.
func TestKept(t *testing.T) {
	files, err := filepath.Glob("testdata/*.plan")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, f := range files {
		b, err := os.ReadFile(f)
		require.NoError(t, err)
		pl, err := ParsePlan(string(b))
		require.NoError(t, err, f)
		if r := Run(pl); r.Violation != nil {
			t.Errorf("%s: %s", f, report(failed(pl, r)))
		}
	}
}

func TestPlan(t *testing.T) {
	if *simPlan == "" {
		t.Skip("no -sim.plan")
	}
	b, err := os.ReadFile(*simPlan)
	require.NoError(t, err)
	pl, err := ParsePlan(string(b))
	require.NoError(t, err)
	if r := Run(pl); r.Violation != nil {
		t.Error(report(failed(pl, r)))
	}
}

// TestSoak is scripts/soak.sh: new seeds until the time is up. Failing plans are kept.
func TestSoak(t *testing.T) {
	if *simFor == 0 {
		t.Skip("no -sim.duration")
	}
	var total Counts
	n := 0
	for seed, end := *simSeed, time.Now().Add(*simFor); time.Now().Before(end); seed++ {
		pl := planOf(seed)
		r := Run(pl)
		n++
		total.add(&r.Counts)
		if n%500 == 0 {
			t.Logf("seed %d: %d virtual s, %d writes, %d elections so far", seed, total.Virtual/core.Second, total.Acked, total.Elections)
		}
		if r.Violation == nil {
			continue
		}
		pl, r = Shrink(pl, r.Violation.Name, 300)
		r = Explain(pl)
		t.Errorf("seed %d: %s\n%s", seed, r.Violation.Error(), pl)
		if *simKeep != "" {
			text := "# " + strings.ReplaceAll(r.Violation.Error(), "\n", "\n# ") + "\n" + pl.String()
			require.NoError(t, os.WriteFile(filepath.Join(*simKeep, "seed-"+itoa(seed)+".plan"), []byte(text), 0o644))
		}
	}
	t.Logf("%d seeds, %d virtual s, %d writes (%d lost as S1 allows), %d elections", n, total.Virtual/core.Second, total.Acked, total.LostWrites, total.Elections)
}

func itoa(v uint64) string {
	if v < 10 {
		return string(rune('0' + v))
	}
	return itoa(v/10) + itoa(v%10)
}

func TestPlanText(t *testing.T) {
	pl := NewPlan(7, 20)
	back, err := ParsePlan("# why\n" + pl.String())
	require.NoError(t, err)
	require.Equal(t, pl.String(), back.String())
	for _, bad := range []string{"seed x", "fault nonsense at=1ns a=0 b=0 dur=1ns x=1", "fault crash", "what 1", "foreign maybe"} {
		_, err := ParsePlan(bad)
		require.Error(t, err, bad)
	}
}

// Shrinking keeps what breaks and drops what does not.
func TestShrink(t *testing.T) {
	pl := newPlan(1, 10, func(p *Params) { p.Ablate = core.AblateNoIncarnation; p.StreamPing = 0 })
	pl.Faults = nil
	for k := range 12 {
		kind := faultWallStep
		if k == 7 {
			kind = faultCrashEmpty
		}
		pl.Faults = append(pl.Faults, Fault{At: core.Mono(k) * pl.Length / 13, Kind: kind, A: 0, B: 1, Dur: 50 * ms})
	}
	r := Run(pl)
	require.NotNil(t, r.Violation)
	small, r := Shrink(pl, r.Violation.Name, 200)
	require.NotNil(t, r.Violation)
	require.Len(t, small.Faults, 1)
	require.Equal(t, faultCrashEmpty, small.Faults[0].Kind)
	require.Zero(t, small.Clients*b2i(small.Clients > 1))
}

// The estimate that bandwidth and the scale table use, against the real codec.
func TestSizeEstimate(t *testing.T) {
	w := newWorld(NewPlan(3, 5), false)
	w.p.Encode = false
	c := bus.NewCodec()
	var est, real, n int
	w.tap = func(m *bus.Msg) {
		b, err := c.Append(nil, m)
		require.NoError(t, err)
		est, real, n = est+frameSize(m), real+len(b), n+1
		require.InEpsilon(t, len(b), frameSize(m), 0.45, "%s: %d bytes, estimate %d", m.Kind(), len(b), frameSize(m))
	}
	for range 6 {
		w.add().start(false)
	}
	w.plan.Primaries, w.plan.Replicas, w.plan.Spares = 3, 1, 0
	require.True(t, w.form())
	w.run(10 * w.p.T)
	require.Greater(t, n, 500)
	require.InEpsilon(t, real, est, 0.1, "%d messages", n)
}

// What a standing monotonic clock does: the contract of core.Mono excludes it.
func TestFrozenClock(t *testing.T) {
	w := newWorld(Plan{Seed: 5, Primaries: 3, Replicas: 1, Clients: 4, Tune: func(p *Params) { *p = calmParams(); p.AutoVoters = true }}, false)
	for range 6 {
		w.add().start(false)
	}
	require.True(t, w.form())
	w.phase = faulty
	w.addClients()
	w.run(w.p.T)
	p := w.procs[0]
	d := 3 * w.p.T
	p.paused = w.now + d
	began := w.now
	w.run(d - 1)
	p.clk.lost += w.now - began // the clock stood still while the process was stopped
	w.run(w.p.T)
	require.NotNil(t, w.bad)
	require.Contains(t, []string{"two leased primaries", "executed after a successor"}, w.bad.Name)
}

// calmParams is a good network and quick disks.
func calmParams() Params {
	p := drawParams(1)
	p.T = 1000 * ms
	p.LatMin, p.LatMax, p.Jitter = ms/5, ms/2, ms/10
	p.SlowPct, p.LossPct, p.DupPct, p.Reorder, p.Bandwidth, p.Encode = 0, 0, 0, false, 0, false
	p.FsyncMax, p.RoleDelay, p.Redial = ms, ms, 50*ms
	p.ReplEvery, p.ReplTimeout, p.FullMin, p.FullMax, p.FullOnly = 5*ms, 2000*ms, 5*ms, 20*ms, false
	p.Backlog, p.Keys, p.ClientEvery = 1000, 16, 10*ms
	p.DriftPPM, p.Announce, p.AutoVoters, p.FullCoverage, p.ReplicaMigration = 100, true, true, true, true
	p.MeshLimit, p.ColdGrace = 64, 10*p.T
	return p
}

var _ = slot.Count
