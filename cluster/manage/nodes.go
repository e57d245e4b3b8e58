// Package manage plans what an operator does to a whole cluster: create, check, reshard,
// rebalance. What was found out about nodes goes in, verdicts and steps come out; the
// command line performs them. It is pure: it must not know connections, clocks or dice of
// its own.
package manage

import (
	"fmt"
	"sort"
	"strconv"
	"strings"

	"github.com/sextantdb/sextant/store/slot"
)

// Node is one line of CLUSTER NODES, of Sextant's or of Redis'.
type Node struct {
	ID      string
	Host    string // ip
	Port    int
	CPort   int
	Name    string // announced hostname
	Flags   []string
	Primary string // id, of a replica
	Epoch   uint64
	Linked  bool
	Slots   slot.Set
	// Open slots, on the line of the node that was asked.
	Migrating []OpenSlot
	Importing []OpenSlot
}

// OpenSlot is a slot in classic migration and the other side's id.
type OpenSlot struct {
	Slot slot.Slot
	Peer string
}

func (n *Node) Has(flag string) bool {
	for _, f := range n.Flags {
		if f == flag {
			return true
		}
	}
	return false
}

func (n *Node) Replica() bool { return n.Has("slave") }
func (n *Node) Addr() string  { return n.Host + ":" + strconv.Itoa(n.Port) }

// ParseNodes reads what CLUSTER NODES answers.
func ParseNodes(text string) (nodes []Node, err error) {
	for _, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		n, err := parseNode(line)
		if err != nil {
			return nil, fmt.Errorf("CLUSTER NODES: %w: %q", err, line)
		}
		nodes = append(nodes, n)
	}
	return nodes, nil
}

func parseNode(line string) (n Node, err error) {
	f := strings.Fields(line)
	if len(f) < 8 {
		return n, fmt.Errorf("too few fields")
	}
	addr, rest, ok := cutLast(f[1], "@")
	if !ok {
		return n, fmt.Errorf("no bus port")
	}
	host, port, ok := cutLast(addr, ":")
	if !ok {
		return n, fmt.Errorf("no port")
	}
	cport, name, _ := strings.Cut(rest, ",")
	n = Node{ID: f[0], Host: host, Name: name, Flags: strings.Split(f[2], ","), Linked: f[7] == "connected"}
	if n.Port, err = strconv.Atoi(port); err != nil {
		return n, fmt.Errorf("port is no number")
	}
	if n.CPort, err = strconv.Atoi(cport); err != nil {
		return n, fmt.Errorf("bus port is no number")
	}
	if f[3] != "-" {
		n.Primary = f[3]
	}
	if n.Epoch, err = strconv.ParseUint(f[6], 10, 64); err != nil {
		return n, fmt.Errorf("epoch is no number")
	}
	for _, s := range f[8:] {
		if err := n.parseSlots(s); err != nil {
			return n, err
		}
	}
	return n, nil
}

func (n *Node) parseSlots(s string) error {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		inner = strings.TrimSuffix(inner, "]")
		for _, mark := range []string{"->-", "-<-"} {
			if num, peer, ok := strings.Cut(inner, mark); ok {
				at, ok := slot.Parse([]byte(num))
				if !ok {
					return fmt.Errorf("open slot is no slot")
				}
				if mark == "->-" {
					n.Migrating = append(n.Migrating, OpenSlot{at, peer})
				} else {
					n.Importing = append(n.Importing, OpenSlot{at, peer})
				}
				return nil
			}
		}
		return fmt.Errorf("open slot without direction")
	}
	r, ok := slot.ParseRange(s)
	if !ok {
		return fmt.Errorf("slots are no slots")
	}
	n.Slots.AddRange(r)
	return nil
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// Signature is what two nodes that agree about the slots both have: every primary's id with
// its slots. Redis' tools compare the same text.
func Signature(nodes []Node) string {
	var lines []string
	for i := range nodes {
		if n := &nodes[i]; !n.Slots.Empty() {
			lines = append(lines, n.ID+":"+strings.ReplaceAll(n.Slots.String(), " ", ","))
		}
	}
	sort.Strings(lines)
	return strings.Join(lines, "|")
}
