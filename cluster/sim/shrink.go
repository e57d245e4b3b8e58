package sim

import "github.com/sextantdb/sextant/cluster/core"

// Shrink makes a failing plan smaller as long as the same invariant breaks: first the fault
// list (delta debugging), then clients, other nodes, and the length. At most budget runs.
func Shrink(pl Plan, name string, budget int) (Plan, Result) {
	best := Run(pl)
	try := func(c Plan) bool {
		if budget <= 0 {
			return false
		}
		budget--
		r := Run(c)
		if r.Violation == nil || r.Violation.Name != name {
			return false
		}
		pl, best = c, r
		return true
	}
	faults := func() {
		for size := len(pl.Faults); size >= 1; size /= 2 {
			for at := 0; at < len(pl.Faults); {
				c := pl
				c.Faults = append(append([]Fault(nil), pl.Faults[:at]...), pl.Faults[min(at+size, len(pl.Faults)):]...)
				if !try(c) {
					at += size
				}
			}
		}
	}
	faults()
	for _, clients := range []int{0, 1} {
		c := pl
		if c.Clients > clients {
			c.Clients = clients
			if try(c) {
				break
			}
		}
	}
	if pl.Foreign {
		c := pl
		c.Foreign = false
		try(c)
	}
	if pl.Spares > 0 {
		c := pl
		c.Spares = 0
		try(c)
	}
	for pl.Replicas > 1 && pl.Primaries > 1 || pl.Primaries > 3 {
		c := pl
		if c.Replicas > 1 && c.Primaries > 1 {
			c.Replicas--
		} else {
			c.Primaries -= 2
		}
		if !try(c) {
			break
		}
	}
	for _, cut := range []core.Mono{4, 2, 1} { // what is left of the length, in quarters
		c := pl
		c.Length = pl.Length * cut / 4
		if n := len(pl.Faults); n > 0 {
			c.Length = max(c.Length, pl.Faults[n-1].At+1)
		}
		if c.Length < pl.Length {
			try(c)
		}
	}
	for i := range pl.Faults { // shorter disturbances
		for budget > 0 {
			c := pl
			c.Faults = append([]Fault(nil), pl.Faults...)
			if c.Faults[i].Dur /= 2; c.Faults[i].Dur < core.Millisecond || !try(c) {
				break
			}
		}
	}
	faults()
	return pl, best
}
