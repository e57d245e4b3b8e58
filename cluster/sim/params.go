package sim

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sextantdb/sextant/bus"
	"github.com/sextantdb/sextant/cluster/core"
)

// Params are the conditions of one run, drawn from the seed. Safety must not depend on any
// of them; fixed ones hide bugs (PROTOCOL 3.8, first lesson).
type Params struct {
	T                      core.Mono // cluster-node-timeout
	LatMin, LatMax, Jitter core.Mono
	SlowPct                int // messages that take up to SlowMax longer
	SlowMax                core.Mono
	LossPct, DupPct        int
	Reorder                bool // messages may overtake one another (no TCP does that)
	Stall                  bool // what is sent into a short cut arrives after it
	Bandwidth              int  // bytes per second and node, 0 = no limit
	CountBytes             bool
	Encode                 bool // messages pass through the codec
	FsyncMax               core.Mono
	RoleDelay              core.Mono // from an order of the machine to the data side's change
	Redial                 core.Mono
	ReplEvery, ReplTimeout core.Mono
	FullMin, FullMax       core.Mono // a full sync takes
	FullOnly               bool
	StreamPing             core.Mono
	Backlog                int
	Keys                   int
	ClientEvery            core.Mono
	DriftPPM               int64
	Announce               bool // addresses are configured, not learned
	AutoVoters             bool
	FullCoverage           bool
	ReplicaMigration       bool
	ColdGrace              core.Mono
	MeshLimit              int
	FaultEvery             core.Mono
	On                     [faultKinds]bool // the fault kinds of this seed
	// Rules that are switched off, by tests only.
	Ablate core.Ablation
}

const (
	ms = core.Millisecond
	us = ms / 1000
)

// drawParams is the swarm: a random half of the fault kinds and conditions, other timing
// parameters for every seed.
func drawParams(seed uint64) Params {
	r := stream(seed, forParams)
	p := Params{T: pick(r, 300*ms, 500*ms, 1000*ms, 2000*ms)}
	switch r.n(3) {
	case 0:
		p.LatMin, p.LatMax = ms/10, ms/2
	case 1:
		p.LatMin, p.LatMax = ms/2, p.T/100
	default:
		p.LatMin, p.LatMax = p.T/200, p.T/30
	}
	p.Jitter = pick(r, 0, p.LatMin, p.LatMax, p.T/50)
	if r.pct(50) {
		p.LossPct = pick(r, 1, 3, 10)
	}
	if r.pct(50) {
		p.DupPct = pick(r, 1, 5)
	}
	if r.pct(50) {
		p.SlowPct, p.SlowMax = pick(r, 1, 3, 10), pick(r, p.T/20, p.T/5, 2*p.T)
	}
	p.Reorder, p.Stall = r.pct(30), r.pct(50)
	if !p.Reorder { // a slow message holds up the whole stream behind it
		p.SlowPct, p.SlowMax = min(p.SlowPct, 1), min(p.SlowMax, p.T/2)
	}
	if r.pct(15) {
		p.Bandwidth = int(core.Mono(pick(r, 100_000, 500_000)) * core.Second / p.T) // a few pings' worth in the worst case
	}
	p.Encode = r.pct(10)
	p.FsyncMax = pick(r, 0, ms, p.T/100, p.T/20)
	p.RoleDelay = pick(r, 0, ms, p.T/50)
	p.Redial = p.T / core.Mono(5+r.n(20))
	p.ReplEvery = pick(r, p.T/100, p.T/50, p.T/20)
	p.ReplTimeout = p.T * core.Mono(1+r.n(5))
	p.FullMin, p.FullMax = p.T/100, pick(r, p.T/20, p.T/2)
	p.FullOnly = r.pct(10)
	p.StreamPing = pick(r, 0, p.T/4, 3*p.T)
	p.Backlog = pick(r, 5, 50, 1000)
	p.Keys = pick(r, 4, 16, 48)
	p.ClientEvery = pick(r, p.T/100, p.T/30, p.T/10)
	p.DriftPPM = pick(r, int64(0), 500, 10000)
	p.Announce = r.pct(50)
	p.AutoVoters = r.pct(70)
	p.FullCoverage = r.pct(60)
	p.ReplicaMigration = r.pct(70)
	p.ColdGrace = p.T * core.Mono(3+r.n(8))
	p.MeshLimit = pick(r, 64, 64, 4)
	p.FaultEvery = p.T * core.Mono(1+r.n(12)) / 4
	some := false
	for k := range faultTwin {
		p.On[k] = r.pct(50)
		some = some || p.On[k]
	}
	if !some {
		p.On[faultCrash] = true
	}
	return p
}

func (p *Params) config(i int) core.Config {
	c := core.DefaultConfig()
	c.Port, c.CPort = 7000, 17000
	c.NodeTimeout = p.T
	c.FullCoverage, c.ReplicaMigration, c.AutoVoters = p.FullCoverage, p.ReplicaMigration, true
	c.ColdGrace, c.MeshLimit = p.ColdGrace, p.MeshLimit
	c.AutoVoters = p.AutoVoters
	c.Ablate = p.Ablate
	return c
}

// Plan is everything a run depends on: the seed for the conditions, and what shrinking may
// take away.
type Plan struct {
	Seed      uint64
	Primaries int
	Replicas  int // per primary
	Spares    int // nodes that no cluster knows at first
	Foreign   bool
	Clients   int
	Length    core.Mono // of the faulty phase
	Faults    []Fault
	Tune      func(*Params) // changes drawn parameters, only by tests
}

// NewPlan draws the plan of a seed: first the whole list of faults, then the run.
func NewPlan(seed uint64, timeouts int) Plan { return newPlan(seed, timeouts, nil) }

func newPlan(seed uint64, timeouts int, tune func(*Params)) Plan {
	pl := Plan{Seed: seed, Tune: tune}
	p := pl.params()
	r := stream(seed, forFaults)
	pl.Primaries = pick(r, 3, 3, 3, 5, 1)
	pl.Replicas = 1 + r.n(2)
	if pl.Primaries == 1 {
		pl.Replicas = 2
	}
	if pl.Primaries == 5 {
		pl.Replicas = 1
	}
	pl.Spares = r.n(2)
	pl.Foreign = r.pct(25)
	pl.Clients = 1 + r.n(4)
	pl.Length = p.T * core.Mono(timeouts)
	var kinds []faultKind
	for k := range p.On {
		if p.On[k] {
			kinds = append(kinds, faultKind(k))
		}
	}
	nodes := pl.Primaries*(1+pl.Replicas) + pl.Spares
	for at := core.Mono(0); ; {
		at += r.in(p.FaultEvery/4, 2*p.FaultEvery)
		if at >= pl.Length {
			break
		}
		pl.Faults = append(pl.Faults, Fault{At: at, Kind: kinds[r.n(len(kinds))], A: r.n(nodes), B: r.n(nodes),
			Dur: r.in(p.T/20, 4*p.T), X: r.next() >> 32})
	}
	return pl
}

func (pl *Plan) params() Params {
	p := drawParams(pl.Seed)
	if pl.Tune != nil {
		pl.Tune(&p)
	}
	return p
}

// Fault is one thing that goes wrong, or that an operator does.
type Fault struct {
	At   core.Mono // since the faulty phase began
	Kind faultKind
	A, B int // nodes
	Dur  core.Mono
	X    uint64 // for everything else the fault has to choose
}

func (f Fault) String() string {
	return fmt.Sprintf("%s at=%dns a=%d b=%d dur=%dns x=%d", f.Kind, f.At, f.A, f.B, f.Dur, f.X)
}

// String is the text form, which ParsePlan reads: kept failures are files of it.
func (pl Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d\nprimaries %d\nreplicas %d\nspares %d\nforeign %v\nclients %d\nlength %dns\n",
		pl.Seed, pl.Primaries, pl.Replicas, pl.Spares, pl.Foreign, pl.Clients, pl.Length)
	for _, f := range pl.Faults {
		fmt.Fprintf(&b, "fault %s\n", f)
	}
	return b.String()
}

// ParsePlan reads the text form. Lines that begin with # are comments.
func ParsePlan(text string) (pl Plan, err error) {
	for n, line := range strings.Split(text, "\n") {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		num, bad := strconv.ParseUint(strings.TrimSuffix(rest, "ns"), 10, 64)
		switch word {
		case "seed":
			pl.Seed = num
		case "primaries":
			pl.Primaries = int(num)
		case "replicas":
			pl.Replicas = int(num)
		case "spares":
			pl.Spares = int(num)
		case "foreign":
			pl.Foreign, bad = strconv.ParseBool(rest)
		case "clients":
			pl.Clients = int(num)
		case "length":
			pl.Length = core.Mono(num)
		case "fault":
			var f Fault
			var name string
			var at, dur int64
			_, bad = fmt.Sscanf(rest, "%s at=%dns a=%d b=%d dur=%dns x=%d", &name, &at, &f.A, &f.B, &dur, &f.X)
			f.At, f.Dur = core.Mono(at), core.Mono(dur)
			var ok bool
			if f.Kind, ok = kindNamed(name); !ok && bad == nil {
				bad = fmt.Errorf("unknown fault %q", name)
			}
			pl.Faults = append(pl.Faults, f)
		default:
			if word == "" || strings.HasPrefix(word, "#") {
				bad = nil
			} else {
				bad = fmt.Errorf("unknown word %q", word)
			}
		}
		if bad != nil {
			return pl, fmt.Errorf("line %d: %w", n+1, bad)
		}
	}
	return pl, nil
}

// encode and decode pass a message through the codec, as the wire does.
func (w *World) encode(m *bus.Msg) []byte {
	b, err := w.codec.Append(nil, m)
	if err != nil {
		w.violated("codec", "%s cannot be encoded: %v", m.Kind(), err)
	}
	return b
}

func (w *World) decode(b []byte) *bus.Msg {
	m, err := w.codec.Decode(b)
	if err != nil {
		w.violated("codec", "frame cannot be decoded: %v", err)
	}
	return m
}
