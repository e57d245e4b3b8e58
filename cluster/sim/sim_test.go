package sim

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	simSeed   = flag.Uint64("sim.seed", 1, "first seed")
	simSeeds  = flag.Int("sim.seeds", 0, "seeds of TestSeeds, 0 = the usual number")
	simFor    = flag.Duration("sim.duration", 0, "TestSoak: how long to go on with new seeds")
	simLen    = flag.Int("sim.length", 20, "length of the faulty phase, in node timeouts")
	simShrink = flag.Bool("sim.shrink", false, "shrink failing plans")
	simPlan   = flag.String("sim.plan", "", "TestPlan: a file with a plan")
	simTrace  = flag.Bool("sim.trace", false, "show the last events of a failure")
)

func report(pl Plan, r Result) string {
	s := fmt.Sprintf("%s\n%s", r.Violation.Error(), pl)
	if *simTrace {
		s += strings.Join(r.Violation.Trace, "\n")
	}
	return s
}

func TestSeeds(t *testing.T) {
	n := *simSeeds
	if n == 0 {
		n = 100
	}
	var total Counts
	began := time.Now()
	for seed := *simSeed; seed < *simSeed+uint64(n); seed++ {
		pl := NewPlan(seed, *simLen)
		r := Run(pl)
		if r.Violation != nil {
			if *simShrink {
				pl, r = Shrink(pl, r.Violation.Name, 300)
			}
			if *simTrace {
				r = Explain(pl)
			}
			t.Errorf("seed %d: %s", seed, report(pl, r))
			if !*simTrace && n > 1 {
				continue
			}
			return
		}
		total.Virtual += r.Counts.Virtual
		total.Acked += r.Counts.Acked
		total.Elections += r.Counts.Elections
	}
	t.Logf("%d seeds, %d virtual s in %.1f s, %d writes, %d elections", n, total.Virtual/1e9, time.Since(began).Seconds(), total.Acked, total.Elections)
	_ = require.New
}

func TestPlan(t *testing.T) {
	if *simPlan == "" {
		t.Skip("no -sim.plan")
	}
	b, err := os.ReadFile(*simPlan)
	require.NoError(t, err)
	pl, err := ParsePlan(string(b))
	require.NoError(t, err)
	if r := Explain(pl); r.Violation != nil {
		t.Error(report(pl, r))
	}
}
