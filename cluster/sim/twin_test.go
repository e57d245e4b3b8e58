package sim

import "testing"

func threeVoters(pl *Plan) {
	pl.Primaries, pl.Replicas, pl.Spares, pl.Foreign = 3, int(pl.Seed%2), 0, false
}

// withTwin has the disk of a node that leads and votes copied and started beside it. In half of the
// seeds each of the two can be heard by one of the other voters only.
func withTwin(pl *Plan) {
	p := pl.params()
	r := stream(pl.Seed, forFaults+100)
	first, second := r.n(3), pl.Primaries*(1+pl.Replicas)
	fs := []Fault{{At: p.T / 2, Kind: faultTwin, A: first, Dur: 8 * p.T, X: r.next() >> 32}}
	if r.pct(50) {
		fs = append(fs, Fault{At: p.T/2 + 1, Kind: faultCutBoth, A: first, B: (first + 1) % 3, Dur: 6 * p.T},
			Fault{At: p.T/2 + 2, Kind: faultCutBoth, A: second, B: (first + 2) % 3, Dur: 6 * p.T})
	}
	pl.Faults = append(fs, pl.Faults...)
}

// Two processes of one name, from a copied directory: within T, and a little for the news, one of
// them is left to serve; and when one of the two has ended, whichever it is, all is well again.
func TestTwins(t *testing.T) {
	n := *simSeeds
	if n == 0 {
		n = 150
		if testing.Short() {
			n = 20
		}
	}
	for seed := *simSeed; seed < *simSeed+uint64(n); seed++ {
		pl := planFor(ablations["no-lives"], seed, false)
		if r := Run(pl); r.Violation != nil {
			pl, r = failed(pl, r)
			t.Errorf("seed %d: %s", seed, report(pl, r))
		}
	}
}
