package manage

import (
	"fmt"
	"sort"
	"strings"

	"github.com/sextantdb/sextant/store/slot"
)

// Seen is one node's picture of the cluster.
type Seen struct {
	Addr  string // whom we asked
	Want  string // the id by which others know who should be there; "" when nobody does
	Err   string // why it could not be asked
	Nodes []Node
}

// Report is the outcome of a check.
type Report struct {
	Agree    bool     `json:"agree"`
	Covered  int      `json:"slots_covered"`           // by primaries that have not failed
	Missing  string   `json:"slots_missing,omitempty"` // the other slots, as ranges
	Problems []string `json:"problems"`
	Warnings []string `json:"warnings"`
}

// OK reports whether nothing is wrong. Warnings do not count.
func (r *Report) OK() bool { return len(r.Problems) == 0 }

// openRange are a node's open slots with one peer: a move of many slots that was interrupted is one problem.
type openRange struct{ what, peer string }

func openRanges(open []OpenSlot) (out []openRange) {
	at := map[string]*slot.Set{}
	var peers []string
	for _, o := range open {
		if at[o.Peer] == nil {
			at[o.Peer] = new(slot.Set)
			peers = append(peers, o.Peer)
		}
		at[o.Peer].Add(o.Slot)
	}
	sort.Strings(peers)
	for _, p := range peers {
		what := "slot " + at[p].String() + " is"
		if at[p].Len() > 1 {
			what = "slots " + at[p].String() + " are"
		}
		out = append(out, openRange{what, p})
	}
	return out
}

// self is the id of the node whose picture nodes are.
func self(nodes []Node) string {
	for i := range nodes {
		if nodes[i].Has("myself") {
			return nodes[i].ID
		}
	}
	return ""
}

// Check judges agreement, coverage, open slots and the health of nodes.
func Check(seen []Seen) *Report {
	r := &Report{Agree: true, Problems: []string{}, Warnings: []string{}}
	problem := func(format string, a ...any) { r.Problems = append(r.Problems, fmt.Sprintf(format, a...)) }
	warn := func(format string, a ...any) { r.Warnings = append(r.Warnings, fmt.Sprintf(format, a...)) }
	var first *Seen
	var covered slot.Set
	owners := map[slot.Slot]string{}
	for i := range seen {
		s := &seen[i]
		if s.Err != "" {
			problem("%s cannot be asked: %s", s.Addr, s.Err)
			continue
		}
		if me := self(s.Nodes); s.Want != "" && me != "" && me != s.Want {
			r.Agree = false
			problem("%s answers as another node, %s: %s lived there, and its state is not in that directory. Put it back, or send CLUSTER FORGET %s to all nodes, "+
				"then CLUSTER MEET and CLUSTER REPLICATE for the new one", s.Addr, me, s.Want, s.Want)
			continue
		}
		if first == nil {
			first = s
		} else if Signature(first.Nodes) != Signature(s.Nodes) {
			r.Agree = false
			problem("%s and %s do not agree about the slots: %s", first.Addr, s.Addr, difference(first.Nodes, s.Nodes))
		}
		for j := range s.Nodes {
			n := &s.Nodes[j]
			if !n.Has("myself") {
				continue
			}
			for _, o := range openRanges(n.Migrating) {
				problem("%s: %s open, migrating to %s", s.Addr, o.what, o.peer)
			}
			for _, o := range openRanges(n.Importing) {
				problem("%s: %s open, importing from %s", s.Addr, o.what, o.peer)
			}
			for _, rg := range n.Slots.Ranges() {
				for at := int(rg.First); at <= int(rg.Last); at++ {
					if other, twice := owners[slot.Slot(at)]; twice && other != n.ID {
						problem("slot %d is served by %s and by %s", at, other, n.ID)
					}
					owners[slot.Slot(at)] = n.ID
				}
			}
		}
	}
	if first == nil {
		problem("no node could be asked")
		return r
	}
	replicas := map[string]int{}
	for i := range first.Nodes {
		n := &first.Nodes[i]
		if !n.Has("fail") {
			covered.Union(&n.Slots)
		}
		switch {
		case n.Has("fail") && !n.Slots.Empty():
			problem("%s (%s) is failed and no replica has taken its place: nobody serves its slots %s", n.Addr(), n.ID, n.Slots.String())
		case n.Has("fail"):
			problem("%s (%s) is failed", n.Addr(), n.ID)
		case n.Has("fail?"):
			warn("%s (%s) is suspected to have failed", n.Addr(), n.ID)
		case n.Has("handshake"):
			warn("%s is still in handshake", n.Addr())
		case n.Replica():
			replicas[n.Primary]++
		}
	}
	for i := range first.Nodes {
		if n := &first.Nodes[i]; !n.Slots.Empty() && !n.Has("fail") && replicas[n.ID] == 0 {
			warn("%s has no working replica: its slots %s depend on it alone", n.Addr(), n.Slots.String())
		}
	}
	if r.Covered = covered.Len(); r.Covered < slot.Count {
		all := slot.SetOf(slot.Range{First: 0, Last: slot.Count - 1})
		all.Subtract(&covered)
		r.Missing = all.String()
		problem("not all %d slots are covered by nodes: %s missing", slot.Count, r.Missing)
	}
	return r
}

// difference names the first line in which two signatures differ.
func difference(a, b []Node) string {
	x, y := strings.Split(Signature(a), "|"), strings.Split(Signature(b), "|")
	in := map[string]bool{}
	for _, l := range y {
		in[l] = true
	}
	for _, l := range x {
		if !in[l] {
			return "only the first has " + l
		}
	}
	for i := range x {
		in[x[i]] = false
	}
	for _, l := range y {
		if in[l] {
			return "only the second has " + l
		}
	}
	return "the same lines in another number"
}
