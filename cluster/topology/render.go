package topology

import (
	"strconv"
	"strings"

	"github.com/sextantdb/sextant/bus"
	"github.com/sextantdb/sextant/store/slot"
)

// NodesText renders CLUSTER NODES: one line a node, each ended by \n. With tls the TLS port
// is printed.
func (v *View) NodesText(tls bool) string {
	var b strings.Builder
	for i := range v.Nodes {
		v.nodeLine(&b, i, tls)
		b.WriteByte('\n')
	}
	return b.String()
}

// ReplicasText renders the lines of CLUSTER REPLICAS id, one per element, without line ends.
func (v *View) ReplicasText(primary int, tls bool) (out []string) {
	for _, i := range v.Replicas(primary) {
		var b strings.Builder
		v.nodeLine(&b, i, tls)
		out = append(out, b.String())
	}
	return out
}

func (v *View) nodeLine(b *strings.Builder, i int, tls bool) {
	n := &v.Nodes[i]
	b.WriteString(n.ID.String())
	b.WriteByte(' ')
	b.WriteString(n.IP)
	b.WriteByte(':')
	b.WriteString(strconv.Itoa(int(n.port(tls))))
	b.WriteByte('@')
	b.WriteString(strconv.Itoa(int(n.CPort)))
	if n.Host != "" {
		b.WriteByte(',')
		b.WriteString(n.Host)
	}
	b.WriteByte(' ')
	b.WriteString(n.FlagsText())
	b.WriteByte(' ')
	if n.Role == RoleReplica && !n.Primary.IsZero() {
		b.WriteString(n.Primary.String())
	} else {
		b.WriteByte('-')
	}
	b.WriteByte(' ')
	b.WriteString(strconv.FormatInt(n.PingMs, 10))
	b.WriteByte(' ')
	b.WriteString(strconv.FormatInt(n.PongMs, 10))
	b.WriteByte(' ')
	b.WriteString(strconv.FormatUint(n.Epoch, 10))
	if n.Linked || n.Myself {
		b.WriteString(" connected")
	} else {
		b.WriteString(" disconnected")
	}
	for _, r := range n.Ranges {
		b.WriteByte(' ')
		b.WriteString(r.String())
	}
	if n.Myself {
		for _, o := range v.OpenSlots {
			b.WriteString(" [")
			b.WriteString(strconv.Itoa(int(o.Slot)))
			if o.Importing {
				b.WriteString("-<-")
			} else {
				b.WriteString("->-")
			}
			b.WriteString(o.Peer.String())
			b.WriteByte(']')
		}
	}
}

func (n *Node) port(tls bool) uint16 {
	if tls {
		return n.TLSPort
	}
	return n.Port
}

// FlagsText renders the flags column: Redis' words in Redis' order.
func (n *Node) FlagsText() string {
	var f []string
	if n.Myself {
		f = append(f, "myself")
	}
	if !n.Handshake {
		f = append(f, n.Role.String())
	}
	switch n.Health {
	case Suspect:
		f = append(f, "fail?")
	case Failed:
		f = append(f, "fail")
	}
	if n.Handshake {
		f = append(f, "handshake")
	}
	if n.NoAddr {
		f = append(f, "noaddr")
	}
	if n.NoFail {
		f = append(f, "nofailover")
	}
	if len(f) == 0 {
		return "noflags"
	}
	return strings.Join(f, ",")
}

// HealthText is the health field of CLUSTER SHARDS.
func (n *Node) HealthText() string {
	switch {
	case n.Health != Online:
		return "fail"
	case n.Loading:
		return "loading"
	}
	return "online"
}

// SlotRange is one element of CLUSTER SLOTS: the primary first, then the replicas that are
// not failed (S40). Nodes are indexes into View.Nodes.
type SlotRange struct {
	slot.Range
	Nodes []int
}

// Slots gives CLUSTER SLOTS in ascending order of slots.
func (v *View) Slots() (out []SlotRange) {
	replicas := map[uint16][]int{} // looked up by key only; order comes from the slots
	for at := 0; at < slot.Count; {
		o := v.Owner[at]
		end := at
		for end+1 < slot.Count && v.Owner[end+1] == o {
			end++
		}
		if o != NoOwner {
			nodes, seen := replicas[o]
			if !seen {
				nodes = []int{int(o)}
				for _, r := range v.Replicas(int(o)) {
					if v.Nodes[r].Health != Failed && !v.Nodes[r].Loading {
						nodes = append(nodes, r)
					}
				}
				replicas[o] = nodes
			}
			out = append(out, SlotRange{slot.Range{First: slot.Slot(at), Last: slot.Slot(end)}, nodes})
		}
		at = end + 1
	}
	return out
}

// Shard is one element of CLUSTER SHARDS.
type Shard struct {
	ID    bus.ShardID
	Slots []slot.Range
	Nodes []int // primary first, then replicas by id
}

// Shards gives CLUSTER SHARDS, ordered by the id of the shard.
func (v *View) Shards() (out []Shard) {
	at := map[bus.ShardID]int{}
	for i := range v.Nodes {
		n := &v.Nodes[i]
		if n.Handshake {
			continue
		}
		k, ok := at[n.Shard]
		if !ok {
			k = len(out)
			at[n.Shard] = k
			out = append(out, Shard{ID: n.Shard})
		}
		s := &out[k]
		if n.Role == RolePrimary {
			s.Nodes = append([]int{i}, s.Nodes...)
			s.Slots = append(s.Slots, n.Ranges...)
		} else {
			s.Nodes = append(s.Nodes, i)
		}
	}
	sortShards(out)
	return out
}

func sortShards(s []Shard) {
	for i := 1; i < len(s); i++ {
		for j := i; j > 0 && s[j].ID.Less(s[j-1].ID); j-- {
			s[j], s[j-1] = s[j-1], s[j]
		}
	}
}

// Field is one line of CLUSTER INFO.
type Field struct{ Name, Value string }

// Info gives CLUSTER INFO: Redis' fields first and in Redis' order, then ours.
func (v *View) Info() []Field {
	num := func(n uint64) string { return strconv.FormatUint(n, 10) }
	out := []Field{
		{"cluster_state", v.State.String()},
		{"cluster_slots_assigned", strconv.Itoa(v.Assigned)},
		{"cluster_slots_ok", strconv.Itoa(v.SlotsOK)},
		{"cluster_slots_pfail", strconv.Itoa(v.SlotsPFail)},
		{"cluster_slots_fail", strconv.Itoa(v.SlotsFail)},
		{"cluster_known_nodes", strconv.Itoa(len(v.Nodes))},
		{"cluster_size", strconv.Itoa(v.Size)},
		{"cluster_current_epoch", num(v.CurrentEpoch)},
		{"cluster_my_epoch", num(v.MyEpoch)},
	}
	var sent, received uint64
	for k, n := range v.Sent {
		if n > 0 {
			sent += n
			out = append(out, Field{"cluster_stats_messages_" + bus.Kind(k).String() + "_sent", num(n)})
		}
	}
	out = append(out, Field{"cluster_stats_messages_sent", num(sent)})
	for k, n := range v.Received {
		if n > 0 {
			received += n
			out = append(out, Field{"cluster_stats_messages_" + bus.Kind(k).String() + "_received", num(n)})
		}
	}
	out = append(out, Field{"cluster_stats_messages_received", num(received)},
		Field{"cluster_id", v.Cluster.String()},
		Field{"cluster_voter_set_version", num(v.VoterVer)},
		Field{"cluster_voters", joinIDs(v.Voters)},
		Field{"cluster_slot_map_version", num(v.SlotVer)},
		Field{"shard_epoch", num(v.Rec.Epoch)},
		Field{"shard_seq", num(v.Rec.Seq)},
		Field{"in_sync", strconv.Itoa(len(v.Rec.ISR))},
		Field{"possible_loss", flag(v.Rec.Forced)},
		Field{"cluster_serving", flag(v.Serving)})
	if v.Reason != "" {
		out = append(out, Field{"cluster_fail_reason", v.Reason})
	}
	if v.NotServing != "" {
		out = append(out, Field{"cluster_not_serving_reason", v.NotServing})
	}
	for _, r := range v.Refusals {
		out = append(out, Field{"cluster_refusal_" + r.Name, "count=" + num(r.Count) + "," + r.Detail})
	}
	return out
}

// InfoText renders Info with \r\n line ends. The link layer's counter, which a View does not
// know, comes last as in Redis.
func (v *View) InfoText(linksOverLimit uint64) string {
	var b strings.Builder
	for _, f := range v.Info() {
		b.WriteString(f.Name)
		b.WriteByte(':')
		b.WriteString(f.Value)
		b.WriteString("\r\n")
	}
	b.WriteString("total_cluster_links_buffer_limit_exceeded:")
	b.WriteString(strconv.FormatUint(linksOverLimit, 10))
	b.WriteString("\r\n")
	return b.String()
}

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

func joinIDs(ids []bus.NodeID) string {
	s := make([]string, len(ids))
	for i, id := range ids {
		s[i] = id.String()
	}
	return strings.Join(s, ",")
}
