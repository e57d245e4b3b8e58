package sim

import (
	"fmt"
	"testing"

	"github.com/sextantdb/sextant/cluster/core"
)

func TestScan(t *testing.T) {
	if *simSeeds == 0 {
		t.Skip()
	}
	names, bits := core.Ablations()
	for i := range names {
		found := map[string]int{}
		first := ""
		for seed := *simSeed; seed < *simSeed+uint64(*simSeeds); seed++ {
			pl := newPlan(seed, *simLen, func(p *Params) { p.Ablate = bits[i] })
			if r := Run(pl); r.Violation != nil {
				found[r.Violation.Name]++
				if first == "" {
					first = fmt.Sprintf("%d %s", seed, r.Violation.Error())
				}
			}
		}
		if len(first) > 200 {
			first = first[:200]
		}
		fmt.Printf("%-22s %v first %s\n", names[i], found, first)
	}
}
