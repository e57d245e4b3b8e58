package core

import "github.com/sextantdb/sextant/bus"

// orphanDelay is how long a primary must be without replicas before one is lent (S12).
const orphanDelay = 5 * Second

// tickOrphans lends this replica to a primary that lost its last good replica. Everyone
// computes the same answer; only the one it names acts: the replica with the smallest id in
// the shard with most good replicas, if that shard keeps its barrier.
func (m *Machine) tickOrphans() {
	if !m.cfg.ReplicaMigration || len(m.nodes) < 4 {
		return
	}
	if m.now < m.orphanAt {
		return
	}
	m.orphanAt = m.now + Second/2
	m.countReplicas()
	m.markMigrateTo()
	if m.me.row.Primary.IsZero() {
		return
	}
	target := m.orphanTarget()
	if target == nil {
		m.orphans = 0
		return
	}
	if m.orphans == 0 {
		m.orphans = m.now
	}
	if m.now-m.orphans < orphanDelay {
		return
	}
	m.orphans = 0
	m.event(EvReplicaMigrated, target.row.ID, 0, "joining the orphaned primary %s", target.row.ID.Short())
	m.changed(func(r *bus.Row) { r.Shard, r.Primary = target.row.Shard, target.row.ID })
}

// markMigrateTo sets my row's flag once I have had a good replica.
func (m *Machine) markMigrateTo() {
	if m.me.row.Flags&bus.RowMigrateTo == 0 && m.me.row.Primary.IsZero() && m.me.good > 0 {
		m.changed(func(r *bus.Row) { r.Flags |= bus.RowMigrateTo })
	}
}

// countReplicas counts, per node, the replicas that are in reach.
func (m *Machine) countReplicas() {
	for _, p := range m.nodes {
		p.good = 0
	}
	for _, q := range m.nodes {
		if !q.row.Primary.IsZero() && q.row.Ver != 0 && !q.failed && !q.suspect {
			if p := m.find(q.row.Primary); p != nil {
				p.good++
			}
		}
	}
}

// orphanTarget works on what countReplicas has counted.
func (m *Machine) orphanTarget() *peer {
	m.refreshOwners()
	var orphan *peer
	most := 0
	for i, p := range m.nodes {
		if m.owned[i].count == 0 || p.failed || p.suspect {
			continue
		}
		if p.good == 0 && orphan == nil && p.row.Flags&bus.RowMigrateTo != 0 {
			orphan = p
		}
		most = max(most, p.good)
	}
	if orphan == nil || most < 2 || most <= m.cfg.MigrationBarrier {
		return nil
	}
	for _, q := range m.nodes {
		if q.row.Primary.IsZero() || q.failed || q.suspect {
			continue
		}
		if p := m.find(q.row.Primary); p != nil && p.good == most {
			if q == m.me {
				return orphan
			}
			return nil
		}
	}
	return nil
}
