package manage

import (
	"fmt"
	"sort"

	"github.com/sextantdb/sextant/store/slot"
)

// RepairKind is what a step of Fix does.
type RepairKind int

// The kinds, in the order in which they are carried out.
const (
	// Hold: Node keeps the keys of slots that Peer is about to take.
	Hold RepairKind = iota
	// Take: Node takes slots that nobody has.
	Take
	// Finish: the slots move from Peer, their owner, to Node, with their keys.
	Finish
	// Return: the keys that Peer has of slots of Node go there.
	Return
	// Close: Node's marks of a move that is none are removed.
	Close
)

func (k RepairKind) String() string {
	return [...]string{"hold", "take", "finish", "return", "close"}[k]
}

// Repair is one step; ids.
type Repair struct {
	Do    RepairKind
	Slots slot.Set
	Node  string
	Peer  string
}

// KeyCounts are how many keys the nodes have of some slots, by id.
type KeyCounts map[string]map[slot.Slot]int64

// Doubtful are the slots that are open at some node, or that nobody has: whoever plans must know where their keys are.
func Doubtful(seen []Seen) (s slot.Set) {
	l := land(seen)
	s = slot.SetOf(slot.Range{First: 0, Last: slot.Count - 1})
	for at := range l.owner {
		s.Remove(at)
	}
	for _, m := range l.marks {
		s.Add(m.slot)
	}
	return s
}

// openMark is one node's mark of a move.
type openMark struct {
	slot       slot.Slot
	node, peer string
	importing  bool
}

// landscape is what Fix judges by.
type landscape struct {
	owner   map[slot.Slot]string
	have    map[string]int // slots by primary that answers and has not failed
	primary []string       // the ids of have, sorted
	marks   []openMark     // of those, ascending by slot
	names   map[string]string
	dead    map[string]bool // primaries that have failed or do not answer
	failed  []*Node         // of them, those with slots
}

func land(seen []Seen) *landscape {
	l := &landscape{owner: map[slot.Slot]string{}, have: map[string]int{}, names: map[string]string{}, dead: map[string]bool{}}
	first := true
	alive := map[string]bool{}
	for i := range seen {
		if me := self(seen[i].Nodes); seen[i].Err == "" && me != "" && (seen[i].Want == "" || seen[i].Want == me) {
			alive[me] = true
		}
	}
	for i := range seen {
		s := &seen[i]
		if !alive[self(s.Nodes)] {
			continue
		}
		for j := range s.Nodes {
			n := &s.Nodes[j]
			if n.Has("myself") && !n.Replica() {
				for _, o := range n.Migrating {
					l.marks = append(l.marks, openMark{o.Slot, n.ID, o.Peer, false})
				}
				for _, o := range n.Importing {
					l.marks = append(l.marks, openMark{o.Slot, n.ID, o.Peer, true})
				}
			}
			if !first {
				continue
			}
			l.names[n.ID] = n.Addr()
			switch {
			case n.Replica() || n.Has("handshake") || n.Has("noaddr"):
				continue
			case alive[n.ID] && !n.Has("fail"):
				l.have[n.ID] = n.Slots.Len()
				l.primary = append(l.primary, n.ID)
			default:
				l.dead[n.ID] = true
				if !n.Slots.Empty() {
					l.failed = append(l.failed, n)
				}
			}
			for at, ok := n.Slots.Next(0); ok; at, ok = n.Slots.Next(int(at) + 1) {
				l.owner[at] = n.ID
			}
		}
		first = false
	}
	sort.Strings(l.primary)
	sort.SliceStable(l.marks, func(i, j int) bool { return l.marks[i].slot < l.marks[j].slot })
	return l
}

// Fix plans how to close the open slots and to cover those that nobody has. A move whose both ends are marked is brought to
// its end; keys that are not at the owner of their slot go there; other marks are removed. A slot without an owner goes to
// who has most keys of it, and without keys to the primaries that have least slots. stuck tells what no plan can mend.
func Fix(seen []Seen, keys KeyCounts) (steps []Repair, stuck []string) {
	l := land(seen)
	if len(l.primary) == 0 {
		return nil, []string{"no primary answers"}
	}
	for _, n := range l.failed {
		stuck = append(stuck, fmt.Sprintf("%s (%s) does not answer and has slots %s: start it again, or make a replica of it take over with CLUSTER FAILOVER TAKEOVER",
			n.Addr(), n.ID, n.Slots.String()))
	}
	p := &repairs{at: map[Repair]*Repair{}}
	closed := map[openMark]bool{}
	for i := 0; i < len(l.marks); {
		at, end := l.marks[i].slot, i
		for end < len(l.marks) && l.marks[end].slot == at {
			end++
		}
		marks := l.marks[i:end]
		i = end
		owner, owned := l.owner[at]
		if !owned {
			continue // below
		}
		for _, m := range marks {
			if l.dead[m.peer] && m.peer != owner {
				stuck = append(stuck, fmt.Sprintf("slot %d: it is open between %s and %s, which does not answer and may have keys of it: start it again", at, l.names[m.node], l.names[m.peer]))
				closed[m] = true
			}
		}
		if _, lives := l.have[owner]; !lives {
			continue // told above
		}
		to := finishes(marks, owner, keys, at, l)
		for _, m := range marks {
			switch {
			case closed[m]:
			case to != "" && (m.node == owner && m.peer == to || m.node == to):
				p.add(Finish, at, to, owner)
			case m.node != owner && keys[m.node][at] > 0:
				home := owner
				if to != "" {
					home = to
				}
				p.add(Return, at, home, m.node)
			default:
				p.add(Close, at, m.node, "")
			}
		}
	}
	l.cover(p, keys)
	sort.SliceStable(p.steps, func(i, j int) bool { return p.steps[i].Do < p.steps[j].Do })
	for _, s := range p.steps {
		steps = append(steps, *s)
	}
	return steps, stuck
}

// finishes is to whom an open slot of owner's is on its way, "" if nowhere: the owner's mark says so, and the other has the
// slot marked as well or has keys of it already.
func finishes(marks []openMark, owner string, keys KeyCounts, at slot.Slot, l *landscape) string {
	for _, m := range marks {
		if m.node != owner || m.importing {
			continue
		}
		if _, lives := l.have[m.peer]; !lives {
			continue
		}
		if keys[m.peer][at] > 0 {
			return m.peer
		}
		for _, o := range marks {
			if o.node == m.peer && o.importing && o.peer == owner {
				return m.peer
			}
		}
	}
	return ""
}

// cover gives the slots that nobody has to somebody.
func (l *landscape) cover(p *repairs, keys KeyCounts) {
	var empty []slot.Slot
	have := map[string]int{}
	for id, n := range l.have {
		have[id] = n
	}
	for i := range slot.Count {
		at := slot.Slot(i)
		if _, owned := l.owner[at]; owned {
			continue
		}
		best := ""
		for _, id := range l.primary {
			if keys[id][at] > 0 && (best == "" || keys[id][at] > keys[best][at]) {
				best = id
			}
		}
		if best == "" {
			empty = append(empty, at)
			continue
		}
		for _, id := range l.primary {
			if id != best && keys[id][at] > 0 {
				p.add(Hold, at, id, best)
				p.add(Return, at, best, id)
			}
		}
		p.add(Take, at, best, "")
		have[best]++
	}
	var takers []string
	total := len(empty)
	for _, id := range l.primary { // those that serve nothing are left alone, unless all do not
		if have[id] > 0 {
			takers, total = append(takers, id), total+have[id]
		}
	}
	if len(takers) == 0 {
		takers = append(takers, l.primary...)
	}
	sort.SliceStable(takers, func(i, j int) bool { return have[takers[i]] < have[takers[j]] })
	for n := len(takers) - 1; n > 0 && have[takers[n]]*(n+1) > total; n-- { // it has more than its share already
		total -= have[takers[n]]
		takers = takers[:n]
	}
	for i, id := range takers { // each gets what it lacks to an even share, in one piece
		for share := (total + len(takers) - 1 - i) / len(takers); len(empty) > 0 && have[id] < share; have[id]++ {
			p.add(Take, empty[0], id, "")
			empty = empty[1:]
		}
	}
	// Marks of slots that nobody had: whoever holds keys has given them away by then.
	for _, m := range l.marks {
		if _, owned := l.owner[m.slot]; !owned && keys[m.node][m.slot] == 0 {
			p.add(Close, m.slot, m.node, "")
		}
	}
}

// repairs puts slots with the same lot together.
type repairs struct {
	steps []*Repair
	at    map[Repair]*Repair // by what they do, without slots
}

func (p *repairs) add(do RepairKind, at slot.Slot, node, peer string) {
	key := Repair{Do: do, Node: node, Peer: peer}
	r := p.at[key]
	if r == nil {
		r = &Repair{Do: do, Node: node, Peer: peer}
		p.at[key], p.steps = r, append(p.steps, r)
	}
	r.Slots.Add(at)
}
