package manage

import (
	"fmt"
	"math"

	"github.com/sextantdb/sextant/store/slot"
)

// Place is where a node to be used stands.
type Place struct {
	Host string // ip; what affinity is judged by
	Port int
}

// Plan is the shape of a new cluster. Its indexes are into the places given.
type Plan struct {
	// Primaries in order of their slots, and Slots of each.
	Primaries []int
	Slots     []slot.Range
	// Replicas in the order in which they were placed, and whom each follows.
	Replicas []Assignment
	// Score says how badly hosts are shared: 10000 for each replica on its primary's host, and
	// one for each of several replicas of one shard on one host. 0 is perfect.
	Score int
}

// Assignment makes a replica follow a primary. Extra ones were left over.
type Assignment struct {
	Replica, Primary int
	Extra            bool
}

// TooFewError refuses a cluster of less than three primaries.
type TooFewError struct{ Nodes, Replicas int }

func (e *TooFewError) Error() string {
	return fmt.Sprintf("*** ERROR: Invalid configuration for cluster creation.\n"+
		"*** Redis Cluster requires at least 3 master nodes.\n"+
		"*** This is not possible with %d nodes and %d replicas per node.\n"+
		"*** At least %d nodes are required.", e.Nodes, e.Replicas, 3*(e.Replicas+1))
}

// Create plans a cluster as redis-cli --cluster create does: nodes are interleaved by host,
// the first of them become primaries, slots are dealt out evenly, replicas prefer another
// host than their primary's, left-over nodes become extra replicas. Where redis-cli then
// shuffles replicas at random, also when nothing can get better, Create changes the order
// only for a better score: so on one host the first replica follows the first primary, and
// the same nodes always give the same plan.
func Create(places []Place, replicas int) (*Plan, error) {
	primaries := len(places) / (replicas + 1)
	if replicas < 0 || primaries < 3 {
		return nil, &TooFewError{len(places), replicas}
	}
	order := interleave(places)
	p := &Plan{Primaries: order[:primaries], Slots: deal(primaries)}
	rest := order[primaries:]
	if len(rest) == 0 {
		return p, nil
	}
	p.Replicas = assign(places, p.Primaries, rest, replicas)
	p.Score = score(places, p.Replicas)
	if p.Score > 0 { // redis-cli begins with the rotated list: it often fits better
		rotated := append(append([]int{}, rest[1:]...), rest[0])
		if other := assign(places, p.Primaries, rotated, replicas); score(places, other) < p.Score {
			p.Replicas, p.Score = other, score(places, other)
		}
	}
	p.improve(places)
	return p, nil
}

// interleave takes one node of each host in turn, hosts in order of appearance.
func interleave(places []Place) (order []int) {
	var hosts []string
	byHost := map[string][]int{}
	for i, p := range places {
		if byHost[p.Host] == nil {
			hosts = append(hosts, p.Host)
		}
		byHost[p.Host] = append(byHost[p.Host], i)
	}
	for len(order) < len(places) {
		for _, h := range hosts {
			if left := byHost[h]; len(left) > 0 {
				order = append(order, left[0])
				byHost[h] = left[1:]
			}
		}
	}
	return order
}

// deal cuts the slots into n ranges. The arithmetic is redis-cli's, in single precision, so
// that the cuts fall where its cuts fall.
func deal(n int) (out []slot.Range) {
	per := slot.Count / float32(n)
	cursor := float32(0)
	first := 0
	for i := range n {
		last := int(math.Round(float64(cursor + per - 1)))
		if last > slot.Count || i == n-1 {
			last = slot.Count - 1
		}
		last = max(last, first)
		out = append(out, slot.Range{First: slot.Slot(first), Last: slot.Slot(last)})
		first = last + 1
		cursor += per
	}
	return out
}

// assign gives each primary its replicas: the first free node on another host, else the first
// free node. What is left over is dealt out one by one.
func assign(places []Place, primaries, rest []int, replicas int) (out []Assignment) {
	free := append([]int{}, rest...)
	take := func(primary int) (int, bool) {
		if len(free) == 0 {
			return 0, false
		}
		at := 0
		for i, n := range free {
			if places[n].Host != places[primary].Host {
				at = i
				break
			}
		}
		n := free[at]
		free = append(free[:at], free[at+1:]...)
		return n, true
	}
	for _, p := range primaries {
		for range replicas {
			if n, ok := take(p); ok {
				out = append(out, Assignment{n, p, false})
			}
		}
	}
	for len(free) > 0 {
		for _, p := range primaries {
			if n, ok := take(p); ok {
				out = append(out, Assignment{n, p, true})
			}
		}
	}
	return out
}

// score counts shared hosts as redis-cli does.
func score(places []Place, replicas []Assignment) (total int) {
	type group struct {
		host    string
		primary int
	}
	at := map[group]int{}
	for _, a := range replicas {
		at[group{places[a.Replica].Host, a.Primary}]++
	}
	for g, n := range at {
		switch {
		case places[g.primary].Host == g.host:
			total += 10000 * n
		case n > 1:
			total += n
		}
	}
	return total
}

// improve exchanges the primaries of two replicas as long as that makes the score better.
func (p *Plan) improve(places []Place) {
	for better := true; better && p.Score > 0; {
		better = false
		for i := range p.Replicas {
			for j := i + 1; j < len(p.Replicas); j++ {
				a, b := &p.Replicas[i], &p.Replicas[j]
				if a.Primary == b.Primary || places[a.Replica].Host == places[b.Replica].Host {
					continue
				}
				a.Primary, b.Primary = b.Primary, a.Primary
				if s := score(places, p.Replicas); s < p.Score {
					p.Score, better = s, true
				} else {
					a.Primary, b.Primary = b.Primary, a.Primary
				}
			}
		}
	}
}

// PrimaryOf returns whom node follows in the plan, or -1 for a primary.
func (p *Plan) PrimaryOf(node int) int {
	for _, a := range p.Replicas {
		if a.Replica == node {
			return a.Primary
		}
	}
	return -1
}

// SlotsOf returns the slots of a primary.
func (p *Plan) SlotsOf(node int) (slot.Range, bool) {
	for i, n := range p.Primaries {
		if n == node {
			return p.Slots[i], true
		}
	}
	return slot.Range{}, false
}

// Affinity puts the score in redis-cli's words.
func (p *Plan) Affinity() string {
	switch {
	case p.Score >= 10000:
		return "[WARNING] Some slaves are in the same host as their master"
	case p.Score > 0:
		return "[WARNING] Some slaves of the same master are in the same host"
	}
	return "[OK] Perfect anti-affinity obtained!"
}
