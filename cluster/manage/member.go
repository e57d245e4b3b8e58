package manage

import "fmt"

// Home is the primary that a new replica on host should follow: of those with slots one with fewest replicas, and of those
// one on another host. nil when there is none.
func Home(nodes []Node, host string, not ...string) *Node {
	replicas := map[string]int{}
	for i := range nodes {
		if nodes[i].Replica() && !nodes[i].Has("fail") {
			replicas[nodes[i].Primary]++
		}
	}
	var best *Node
	worse := func(n *Node) (count, shared int) {
		if n.Host == host {
			shared = 1
		}
		return replicas[n.ID], shared
	}
next:
	for i := range nodes {
		n := &nodes[i]
		if n.Replica() || n.Has("fail") || n.Has("noaddr") || n.Has("handshake") || n.Slots.Empty() {
			continue
		}
		for _, id := range not {
			if n.ID == id {
				continue next
			}
		}
		if best == nil {
			best = n
			continue
		}
		count, shared := worse(n)
		if least, on := worse(best); count < least || count == least && shared < on {
			best = n
		}
	}
	return best
}

// Find returns the node with an id or an address, or nil.
func Find(nodes []Node, name string) *Node {
	for i := range nodes {
		if n := &nodes[i]; n.ID == name || n.Addr() == name {
			return n
		}
	}
	return nil
}

// Removal is how a node leaves a cluster.
type Removal struct {
	Node *Node
	// Follow is whom its replicas follow instead, by their ids, in the order of Orphans.
	Orphans []*Node
	Follow  map[string]*Node
}

// Remove plans to take a node out: it must serve nothing. Its replicas are given to other primaries.
func Remove(nodes []Node, name string) (*Removal, error) {
	gone := Find(nodes, name)
	switch {
	case gone == nil:
		return nil, fmt.Errorf("no node of this cluster has the id or address %q", name)
	case !gone.Slots.Empty() && gone.Has("fail"):
		return nil, fmt.Errorf("%s is failed and its slots %s have no other owner", gone.Addr(), gone.Slots.String())
	case !gone.Slots.Empty():
		return nil, fmt.Errorf("%s serves %d slots", gone.Addr(), gone.Slots.Len())
	}
	r := &Removal{Node: gone, Follow: map[string]*Node{}}
	left := append([]Node(nil), nodes...)
	for i := range nodes {
		n := &nodes[i]
		if !n.Replica() || n.Primary != gone.ID {
			continue
		}
		home := Home(left, n.Host, gone.ID)
		if home == nil {
			return nil, fmt.Errorf("there is no other primary for its replica %s", n.Addr())
		}
		r.Orphans, r.Follow[n.ID] = append(r.Orphans, n), Find(nodes, home.ID)
		left[i].Primary = home.ID
	}
	return r, nil
}
