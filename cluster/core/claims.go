package core

import (
	"sort"

	"github.com/sextantdb/sextant/bus"
	"github.com/sextantdb/sextant/cluster/topology"
	"github.com/sextantdb/sextant/store/slot"
)

// Slot ownership before there are voters: rows claim slots, the greater epoch wins
// (S28), and equal epochs are told apart by the smaller id taking a new one (S30).

// refreshOwners recomputes who owns each slot, as indexes into m.nodes.
func (m *Machine) refreshOwners() {
	if !m.ownerDirt {
		return
	}
	m.ownerDirt = false
	var tab topology.SlotTable
	for i := range tab {
		tab[i] = topology.NoOwner
	}
	if m.formed() {
		idx := make([]uint16, len(m.slots.shards))
		for i, s := range m.slots.shards {
			idx[i] = topology.NoOwner
			if p := m.primaryOf(s); p != nil {
				k, _ := m.index(p.row.ID)
				idx[i] = uint16(k)
			}
		}
		for s, o := range m.slots.owner {
			if o != topology.NoOwner {
				tab[s] = idx[o]
			}
		}
	} else {
		for _, p := range m.claimants() {
			k, _ := m.index(p.row.ID)
			for i := 0; i+1 < len(p.row.Slots); i += 2 {
				for s := int(p.row.Slots[i]); s <= int(p.row.Slots[i+1]) && s < slot.Count; s++ {
					tab[s] = uint16(k)
				}
			}
		}
	}
	if m.ownerTab != nil && tab == *m.ownerTab && len(m.owned) == len(m.nodes) {
		return // the pictures that show it go on sharing it
	}
	m.ownerTab, m.owned = &tab, ownedBy(&tab, len(m.nodes))
}

// owned are the slots of one node.
type owned struct {
	ranges []slot.Range // nil for none
	count  int
}

// ownedBy turns a table of owners into the ranges of each of n nodes.
func ownedBy(tab *topology.SlotTable, n int) []owned {
	out := make([]owned, n)
	for s := 0; s < slot.Count; s++ {
		o, first := tab[s], s
		for s+1 < slot.Count && tab[s+1] == o {
			s++
		}
		if int(o) < n {
			p := &out[o]
			p.ranges = append(p.ranges, slot.Range{First: slot.Slot(first), Last: slot.Slot(s)})
			p.count += s - first + 1
		}
	}
	return out
}

// claimedMap is the slot map that the claims amount to, with version 0: known, not decided.
func (m *Machine) claimedMap() slotMap {
	m.refreshOwners()
	var spans []bus.SlotSpan
	for s := 0; s < slot.Count; {
		o, end := m.ownerTab[s], s
		for end+1 < slot.Count && m.ownerTab[end+1] == o {
			end++
		}
		if o != topology.NoOwner {
			spans = append(spans, bus.SlotSpan{Shard: m.nodes[o].row.Shard, Slots: []uint16{uint16(s), uint16(end)}})
		}
		s = end + 1
	}
	return mapOf(0, spans)
}

// claimants are the nodes that claim slots, the strongest claim last.
func (m *Machine) claimants() (out []*peer) {
	for _, p := range m.nodes {
		if len(p.row.Slots) > 0 && p.row.Primary.IsZero() {
			out = append(out, p)
		}
	}
	sort.SliceStable(out, func(i, j int) bool {
		if out[i].row.Epoch != out[j].row.Epoch {
			return out[i].row.Epoch < out[j].row.Epoch
		}
		return out[j].row.ID.Less(out[i].row.ID)
	})
	return out
}

// ownerNode is the node that serves s in my view.
func (m *Machine) ownerNode(s slot.Slot) *peer {
	m.refreshOwners()
	if o := m.ownerTab[s]; o != topology.NoOwner {
		return m.nodes[o]
	}
	return nil
}

// primaryOf is the node that leads a shard: what the record says, or, while there is none,
// the node that says of itself that it is the shard's primary.
func (m *Machine) primaryOf(shard bus.ShardID) *peer {
	if r := m.rec(shard); !r.IsZero() {
		p := m.find(r.Primary.ID)
		if p == m.me && m.me.row.Shard != shard {
			return nil // reset since, or gone to another shard: the record means who I was
		}
		return p
	}
	for _, p := range m.nodes {
		if p.row.Shard == shard && p.row.Primary.IsZero() {
			return p
		}
	}
	return nil
}

// tickClaims gives up claims that a greater epoch has taken, and resolves equal epochs.
func (m *Machine) tickClaims() {
	if m.formed() {
		m.tickFollow()
		return
	}
	if len(m.me.row.Slots) > 0 {
		m.yield()
		m.resolve()
	}
	m.followClaims()
}

func (m *Machine) yield() {
	mine, _ := bus.SetOf(m.me.row.Slots)
	lost := mine
	m.refreshOwners()
	me, _ := m.index(m.self)
	var taker *peer
	for at := 0; ; {
		s, ok := mine.Next(at)
		if !ok {
			break
		}
		at = int(s) + 1
		if int(m.ownerTab[s]) == me {
			lost.Remove(s)
		} else {
			taker = m.nodes[m.ownerTab[s]]
		}
	}
	if lost.Empty() {
		return
	}
	mine.Subtract(&lost)
	m.event(EvSlotsLost, taker.row.ID, taker.row.Epoch, "slots %s were taken by a greater epoch than %d", lost.String(), m.me.row.Epoch)
	left := mine.Empty()
	m.changed(func(r *bus.Row) {
		r.Slots = bus.Pairs(mine.Ranges())
		if left && m.cfg.ReplicaMigration { // S29
			r.Primary, r.Shard = taker.row.ID, taker.row.Shard
		}
	})
}

func (m *Machine) resolve() {
	for _, p := range m.nodes {
		if p != m.me && len(p.row.Slots) > 0 && p.row.Epoch == m.me.row.Epoch && m.self.Less(p.row.ID) {
			m.epoch++
			m.event(EvEpoch, p.row.ID, m.epoch, "epoch %d collides, now %d", m.me.row.Epoch, m.epoch)
			m.changed(func(r *bus.Row) { r.Epoch = m.epoch })
			return
		}
	}
}

// followClaims keeps a replica behind a primary and never behind a replica (H19).
func (m *Machine) followClaims() {
	if m.me.row.Primary.IsZero() {
		return
	}
	p := m.find(m.me.row.Primary)
	if p == nil || p.row.Ver == 0 {
		return
	}
	target, shard := p.row.ID, p.row.Shard
	if !p.row.Primary.IsZero() && p.row.Primary != m.self {
		target = p.row.Primary
	}
	if target != m.me.row.Primary || shard != m.me.row.Shard {
		m.changed(func(r *bus.Row) { r.Primary, r.Shard = target, shard })
	}
}

// bump takes a greater epoch for my claims without asking anyone (BUMPEPOCH, SETSLOT NODE,
// TAKEOVER before there are voters).
func (m *Machine) bump() bool {
	top := uint64(0)
	for _, p := range m.nodes {
		if p != m.me {
			top = max(top, p.row.Epoch)
		}
	}
	if m.me.row.Epoch > 0 && m.me.row.Epoch > top && m.me.row.Epoch >= m.epoch {
		return false
	}
	m.epoch++
	m.changed(func(r *bus.Row) { r.Epoch = m.epoch })
	return true
}

// claim sets my claims.
func (m *Machine) claim(set *slot.Set) {
	m.changed(func(r *bus.Row) { r.Slots = bus.Pairs(set.Ranges()) })
}
