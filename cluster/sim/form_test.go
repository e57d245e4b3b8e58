package sim

import "testing"

// A cluster forms while machines crash and the network breaks: there is one first voter set with
// one first map and one first record a shard, whoever founds it, and in the end there is one.
func TestFormation(t *testing.T) {
	n := *simSeeds
	if n == 0 {
		n = 80
		if testing.Short() {
			n = 20
		}
	}
	for seed := *simSeed; seed < *simSeed+uint64(n); seed++ {
		pl := FormPlan(seed)
		if r := RunForming(pl, *simTrace); r.Violation != nil {
			t.Errorf("seed %d: %s", seed, report(pl, r))
		}
	}
}
