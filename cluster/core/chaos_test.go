package core

import (
	"flag"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/bus"
)

// chaos is a small random run with the invariants that need no data: cluster/sim has the
// large one. It returns the first broken invariant, "" for none.
type chaos struct {
	n    *net
	r    rng
	bad  string
	recs map[string]string
	maps map[uint64]string
	regs map[regKey]bus.Register
	sets map[uint64]string
	seen map[*Machine][3]uint64 // table hash, slot map and voter set last looked at
}

type regKey struct {
	node  int
	shard bus.ShardID
}

func (c *chaos) broken(format string, args ...any) {
	if c.bad == "" {
		c.bad = fmt.Sprintf("t=%d ms: ", c.n.now/Millisecond) + fmt.Sprintf(format, args...)
	}
}

// watch checks, after each step of a node, what must hold between nodes at that true time.
func (c *chaos) watch(x *tnode) {
	in := x.m.Inspect()
	if in.Leading && x.lease > c.n.now {
		for _, y := range c.n.nodes {
			if y != x && y.up && y.lease > c.n.now {
				if o := y.m.Inspect(); o.Leading && o.Shard == in.Shard {
					c.broken("two leased primaries of one shard: n%d epoch %d, n%d epoch %d", x.i, in.Rec.Epoch, y.i, o.Rec.Epoch)
				}
			}
		}
	}
	now := [3]uint64{x.m.tableHash, in.SlotVer, in.VoterVer}
	same := c.seen[x.m] == now
	c.seen[x.m] = now
	for i := range x.m.recs {
		if same {
			break
		}
		r := &x.m.recs[i]
		k, v := fmt.Sprintf("%s/%d/%d", r.Shard.Short(), r.Epoch, r.Seq), fmt.Sprint(r.Primary, r.ISR)
		if old, ok := c.recs[k]; ok && old != v {
			c.broken("record %s decided twice: %s and %s", k, old, v)
		}
		c.recs[k] = v
	}
	if in.SlotVer > 0 && !same {
		v := fmt.Sprint(x.m.slots.spans())
		if old, ok := c.maps[in.SlotVer]; ok && old != v {
			c.broken("slot map %d decided twice", in.SlotVer)
		}
		c.maps[in.SlotVer] = v
	}
	if in.VoterVer > 0 && !same {
		v := fmt.Sprint(in.Voters)
		if old, ok := c.sets[in.VoterVer]; ok && old != v {
			c.broken("voter set %d decided twice", in.VoterVer)
		}
		c.sets[in.VoterVer] = v
	}
	for _, g := range in.Regs {
		k := regKey{x.i, g.Shard}
		if old := c.regs[k]; g.Promised < old.Promised || old.Rec.Newer(&g.Rec) {
			c.broken("register of %s at n%d went back: promise %d after %d, record %d.%d after %d.%d", g.Shard.Short(), x.i, g.Promised, old.Promised, g.Rec.Epoch, g.Rec.Seq, old.Rec.Epoch, old.Rec.Seq)
		}
		c.regs[k] = g
	}
}

func runChaos(t testing.TB, seed uint64, d Mono, ablate Ablation) *chaos {
	n := newNet(t, 0, Second)
	n.cfg.Ablate = ablate
	n.seed = seed * 1000
	c := &chaos{n: n, r: rng{seed}, recs: map[string]string{}, maps: map[uint64]string{}, regs: map[regKey]bus.Register{}, sets: map[uint64]string{},
		seen: map[*Machine][3]uint64{}}
	for range 6 {
		n.addNode()
	}
	n.create(3, 1)
	n.noise = &rng{seed ^ 0xabcdef}
	n.loss = c.r.next() % 10
	n.jitter = []Mono{Millisecond, 5 * Millisecond, 20 * Millisecond}[c.r.next()%3]
	n.check = c.watch
	end := n.now + d
	for n.now < end && c.bad == "" {
		x := n.nodes[c.r.next()%6]
		switch k := c.r.next() % 12; {
		case k == 10: // another voter set of three
			p := c.r.next() % 6
			a := &Admin{Kind: AdminVoters}
			for i := range uint64(3) {
				a.Voters = append(a.Voters, n.nodes[(p+i*(1+p%2*4))%6].id)
			}
			if x.up && !x.paused {
				x.step(Input{Kind: InAdmin, Admin: a})
			}
		case k == 11: // two nodes move slots at once
			for range 2 {
				y := n.nodes[c.r.next()%6]
				if y.up && !y.paused {
					y.step(Input{Kind: InAdmin, Admin: &Admin{Kind: AdminSetSlotNode, Slot: uint16(c.r.next() % 16384), Node: n.nodes[c.r.next()%6].id.String()}})
				}
			}
		case k < 3:
			if x.up && !x.paused {
				x.kill()
				n.at(Mono(c.r.next()%3000)*Millisecond, func() { x.start(c.r.next()%2 == 0) })
			}
		case k < 5:
			if x.up && !x.paused {
				x.stop()
				m := x.m
				n.at(Mono(c.r.next()%3000)*Millisecond, func() {
					if x.m == m {
						x.resume()
					}
				})
			}
		case k < 8:
			y := n.nodes[c.r.next()%6]
			key := [2]int{x.i, y.i}
			n.cut[key] = true
			n.at(Mono(c.r.next()%4000)*Millisecond, func() { delete(n.cut, key) })
		case k == 8:
			n.isolate(x.i, true)
			n.at(Mono(c.r.next()%4000)*Millisecond, func() { n.isolate(x.i, false) })
		default:
			if x.up && !x.paused {
				x.step(Input{Kind: InAdmin, Admin: &Admin{Kind: AdminFailover, Mode: FailoverMode(c.r.next() % 3)}})
			}
		}
		n.run(Mono(200+c.r.next()%1500) * Millisecond)
	}
	if c.bad != "" {
		return c
	}
	n.run(5 * Second) // every fault has ended
	n.cut = map[[2]int]bool{}
	n.loss = 0
	healed := n.now
	for !n.healthy(1) || !n.agree(6, 6) {
		n.run(50 * Millisecond)
		if n.now-healed > 30*Second {
			c.broken("not well 30 s after all faults ended\n%s", n.dump())
			break
		}
	}
	return c
}

var (
	chaosSeeds = flag.Uint64("chaos", 5, "seeds of TestChaos")
	chaosStart = flag.Uint64("chaos-start", 1, "first seed of TestChaos")
)

func TestChaos(t *testing.T) {
	for seed := *chaosStart; seed < *chaosStart+*chaosSeeds; seed++ {
		c := runChaos(t, seed, 30*Second, 0)
		require.Empty(t, c.bad, "seed %d", seed)
	}
}
