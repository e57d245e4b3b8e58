package manage

import (
	"fmt"
	"math"
	"sort"

	"github.com/sextantdb/sextant/store/slot"
)

// Move takes one slot from a primary to another; ids.
type Move struct {
	Slot     slot.Slot
	From, To string
}

// Transfers are slots that go from one primary to another together.
type Transfers struct {
	From, To string
	Slots    slot.Set
}

// Group puts moves between the same two primaries together, at most n slots each, in order.
func Group(moves []Move, n int) (groups []Transfers) {
	for _, m := range moves {
		last := len(groups) - 1
		if last < 0 || groups[last].From != m.From || groups[last].To != m.To || groups[last].Slots.Len() >= n {
			groups = append(groups, Transfers{From: m.From, To: m.To})
			last++
		}
		groups[last].Slots.Add(m.Slot)
	}
	return groups
}

// Reshard picks n slots from the sources for target, from each in proportion to what it
// has, its lowest slots first, the largest source first: redis-cli's choice.
func Reshard(sources []Node, target string, n int) (moves []Move, err error) {
	total := 0
	sorted := make([]*Node, 0, len(sources))
	for i := range sources {
		if sources[i].ID == target {
			return nil, fmt.Errorf("the target %s cannot be a source too", target)
		}
		total += sources[i].Slots.Len()
		sorted = append(sorted, &sources[i])
	}
	if n < 1 || n > total {
		return nil, fmt.Errorf("%d slots are wanted, the sources have %d", n, total)
	}
	sort.SliceStable(sorted, func(i, j int) bool { return sorted[i].Slots.Len() > sorted[j].Slots.Len() })
	for i, s := range sorted {
		share := float64(float32(n) / float32(total) * float32(s.Slots.Len()))
		if i == 0 {
			share = math.Ceil(share)
		}
		count := int(share)
		for at := 0; count > 0 && len(moves) < n; count-- {
			next, ok := s.Slots.Next(at)
			if !ok {
				break
			}
			moves = append(moves, Move{next, s.ID, target})
			at = int(next) + 1
		}
	}
	return moves, nil
}

// RebalanceOptions are those of redis-cli --cluster rebalance.
type RebalanceOptions struct {
	Weights   map[string]float32 // by id; 1 unless given
	Threshold float32            // percent; nodes that are off by less stay; default 2
	UseEmpty  bool               // give slots to primaries without any
}

// Transfer is how many slots go from one primary to another.
type Transfer struct {
	From, To string
	Count    int
}

// Rebalance evens out the slots of primaries by weight. No transfers means that all are
// within the threshold. Moves lists every slot in order.
func Rebalance(nodes []Node, o RebalanceOptions) (transfers []Transfer, moves []Move, err error) {
	type load struct {
		node    *Node
		weight  float32
		balance int
	}
	if o.Threshold == 0 {
		o.Threshold = 2
	}
	known := map[string]bool{}
	var loads []*load
	weights := float32(0)
	for i := range nodes {
		n := &nodes[i]
		if n.Replica() {
			continue
		}
		known[n.ID] = true
		w, given := o.Weights[n.ID]
		if !given {
			w = 1
		}
		if w < 0 {
			return nil, nil, fmt.Errorf("the weight of %s is negative", n.ID)
		}
		if !o.UseEmpty && n.Slots.Empty() {
			continue
		}
		weights += w
		loads = append(loads, &load{node: n, weight: w})
	}
	for id := range o.Weights {
		if !known[id] {
			return nil, nil, fmt.Errorf("No such master node %s", id)
		}
	}
	if weights == 0 {
		return nil, nil, fmt.Errorf("the weights add up to nothing")
	}
	over, sum := false, 0
	for _, l := range loads {
		have := l.node.Slots.Len()
		want := int(slot.Count / weights * l.weight)
		l.balance = have - want
		sum += l.balance
		if have > 0 {
			over = over || math.Abs(100-100*float64(want)/float64(have)) > float64(o.Threshold)
		} else {
			over = over || want > 1
		}
	}
	if !over {
		return nil, nil, nil
	}
	// Rounding down leaves slots over: those who are to receive get them.
	for sum > 0 {
		for _, l := range loads {
			if l.balance <= 0 && sum > 0 {
				l.balance--
				sum--
			}
		}
	}
	sort.SliceStable(loads, func(i, j int) bool { return loads[i].balance < loads[j].balance })
	left := map[string]*slot.Set{}
	for to, from := 0, len(loads)-1; to < from; {
		dst, src := loads[to], loads[from]
		if dst.balance > 0 || src.balance < 0 {
			break // slots are unassigned, so there is no even share for all
		}
		n := min(abs(dst.balance), abs(src.balance))
		if n > 0 {
			transfers = append(transfers, Transfer{src.node.ID, dst.node.ID, n})
			have := left[src.node.ID]
			if have == nil {
				copied := src.node.Slots
				have = &copied
				left[src.node.ID] = have
			}
			for range n {
				s, _ := have.Next(0)
				have.Remove(s)
				moves = append(moves, Move{s, src.node.ID, dst.node.ID})
			}
		}
		dst.balance += n
		src.balance -= n
		if dst.balance == 0 {
			to++
		}
		if src.balance == 0 {
			from--
		}
	}
	return transfers, moves, nil
}

func abs(n int) int { return max(n, -n) }
