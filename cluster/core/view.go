package core

import (
	"sort"

	"github.com/sextantdb/sextant/bus"
	"github.com/sextantdb/sextant/cluster/topology"
)

// publish makes a View of everything.
func (m *Machine) publish() {
	m.viewDirty, m.viewStale, m.viewSoon = false, false, 0
	m.viewAt = m.now
	m.refreshOwners()
	v := &topology.View{Self: m.self, Cluster: m.cluster, State: m.state, Reason: m.reason,
		FullCoverage: m.cfg.FullCoverage, ReadsWhenDown: m.cfg.ReadsDown, Shard: m.me.row.Shard,
		CurrentEpoch: m.epoch, VoterVer: m.voterVer, Voters: m.voters, SlotVer: m.slots.ver,
		Rec: *m.rec(m.me.row.Shard), Sent: m.sent, Received: m.received}
	v.Refusals = append(v.Refusals, m.refusals...)
	v.OpenSlots = append(v.OpenSlots, m.open...)
	for _, o := range m.open {
		v.Opened.Add(o.Slot)
	}
	v.Nodes = make([]topology.Node, 0, len(m.nodes)+len(m.meets))
	for i, p := range m.nodes {
		v.Nodes = append(v.Nodes, m.viewNode(p, m.owned[i]))
	}
	for i := range m.meets {
		x := &m.meets[i]
		v.Nodes = append(v.Nodes, topology.Node{ID: x.showAs, IP: x.ip, Port: x.port, CPort: x.cport, Handshake: true})
	}
	owner := m.ownerTab
	if len(m.meets) > 0 {
		owner = reorder(v, owner)
	}
	v.Owner = owner
	v.Me, _ = v.Find(m.self)
	v.Role, v.Primary = v.Nodes[v.Me].Role, v.Me
	if v.Role == topology.RoleReplica {
		v.Primary = -1
		if i, ok := v.Find(v.Nodes[v.Me].Primary); ok {
			v.Primary = i
		}
	}
	v.MyEpoch = v.Nodes[v.Me].Epoch
	for i := range v.Nodes {
		n := &v.Nodes[i]
		c := n.SlotCount
		if c == 0 {
			continue
		}
		v.Size++
		v.Assigned += c
		switch n.Health {
		case topology.Failed:
			v.SlotsFail += c
		case topology.Suspect:
			v.SlotsPFail += c
		default:
			v.SlotsOK += c
		}
	}
	v.Serving, v.NotServing = m.serving()
	v.Incarnation = m.inc
	v.Leading = !m.isReplica() && (!m.formed() || m.leads(m.rec(m.me.row.Shard)))
	m.view, m.out.View = v, v
}

// serving: whether this node may execute writes for its shard, lease aside.
func (m *Machine) serving() (bool, string) {
	switch rec := m.rec(m.me.row.Shard); {
	case m.isOlder():
		return false, olderReason
	case m.isReplica():
		return false, "replica"
	case !m.formed():
		return true, ""
	case rec.IsZero() && m.now < m.lead.lentUntil:
		return true, "" // the voter set has just formed
	case rec.IsZero():
		return false, "the shard has no record yet"
	case !m.leads(rec):
		return false, "not the primary of record in this incarnation"
	case m.lead.released:
		return false, "the shard is being handed over"
	case !m.lead.held && !m.off(AblateNoLeaseCheck):
		return false, "primary lease expired"
	}
	return true, ""
}

func (m *Machine) viewNode(p *peer, own owned) topology.Node {
	r := &p.row
	n := topology.Node{ID: r.ID, Shard: r.Shard, IP: r.IP, Host: r.Host, Port: r.Port, TLSPort: r.TLSPort, CPort: r.CPort,
		Myself: p == m.me, NoFail: r.Flags&bus.RowNoFailover != 0, Witness: r.Flags&bus.RowWitness != 0,
		Voter: has(m.voters, r.ID), Linked: p.linked || p == m.me || !p.pinging && !p.suspect && !p.failed,
		PingMs: p.pingMs, PongMs: p.pongMs, Epoch: r.Epoch, Offset: p.stat.Offset,
		Loading: p.stat.Flags&bus.StatLoading != 0, Suspects: len(p.reports), Ranges: own.ranges, SlotCount: own.count}
	if n.IP == "" {
		n.IP = p.seenIP
	}
	if r.Ver == 0 {
		n.NoAddr = true
	}
	switch {
	case p.failed:
		n.Health = topology.Failed
	case p.suspect:
		n.Health = topology.Suspect
	}
	if m.replicaNode(p) {
		n.Role, n.Primary = topology.RoleReplica, r.Primary
		if rec := m.rec(r.Shard); m.formed() && !rec.IsZero() {
			n.Primary, n.Epoch = rec.Primary.ID, rec.Epoch
		} else if q := m.find(r.Primary); q != nil {
			n.Epoch = q.row.Epoch
		}
	} else if rec := m.rec(r.Shard); m.formed() && !rec.IsZero() {
		n.Epoch = rec.Epoch
	}
	return n
}

// reorder sorts handshake entries into the node list and moves the owners' indexes along.
func reorder(v *topology.View, owner *topology.SlotTable) *topology.SlotTable {
	old := make([]bus.NodeID, len(v.Nodes))
	for i := range v.Nodes {
		old[i] = v.Nodes[i].ID
	}
	sort.SliceStable(v.Nodes, func(i, j int) bool { return v.Nodes[i].ID.Less(v.Nodes[j].ID) })
	at := make([]uint16, len(old))
	for i, id := range old {
		k, _ := v.Find(id)
		at[i] = uint16(k)
	}
	out := new(topology.SlotTable)
	for s, o := range owner {
		out[s] = topology.NoOwner
		if o != topology.NoOwner {
			out[s] = at[o]
		}
	}
	return out
}

// deriveRole tells the data side what to be, whenever that changes.
func (m *Machine) deriveRole() {
	if !m.roleDirt {
		return
	}
	m.roleDirt = false
	r := RoleChange{Role: topology.RolePrimary, Shard: m.me.row.Shard}
	rec := m.rec(r.Shard)
	if m.formed() {
		r.Epoch = rec.Epoch
	} else {
		r.Epoch = m.me.row.Epoch
	}
	if m.isReplica() {
		if len(m.open) > 0 { // a replica migrates nothing, and SETSLOT is refused there: as Redis, close them
			m.open = nil
			m.save("self")
			m.viewDirty = true
		}
		r.Role, r.Primary = topology.RoleReplica, m.myPrimary()
		p := m.find(r.Primary)
		switch {
		case p == nil:
		case m.formed() && p.statInc > rec.Primary.Inc && !rec.IsZero() && !m.off(AblateNoIncarnation):
			r.Primary = bus.NodeID{} // it restarted without its data: whoever has data must keep it (H5)
		default:
			r.IP, r.Port, r.TLSPort, r.PrimaryInc = p.row.IP, p.row.Port, p.row.TLSPort, p.statInc
			if r.IP == "" {
				r.IP = p.seenIP
			}
			if m.formed() && !rec.IsZero() {
				r.PrimaryInc = rec.Primary.Inc
			}
		}
	} else if m.formed() && rec.Primary.ID == m.self && rec.Primary.Inc != m.inc && !m.off(AblateNoIncarnation) {
		r.Role = topology.RoleReplica // in the record, but not in this life: wait for the voters
	}
	// The epoch alone is no change of role: BUMPEPOCH must not restart replication.
	same := m.lastRole
	same.Epoch = r.Epoch
	if m.roleKnown && same == r {
		return
	}
	r.Promoted = m.roleKnown && m.lastRole.Role == topology.RoleReplica && r.Role == topology.RolePrimary
	m.roleKnown = true
	m.lastRole = r
	m.lastRole.Promoted = false
	m.event(EvRole, r.Primary, r.Epoch, "%s, promoted %v", r.Role, r.Promoted)
	out := r
	m.out.Role = &out
}
