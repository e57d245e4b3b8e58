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
	good := m.goodReplicas()
	m.markMigrateTo(good)
	if m.me.row.Primary.IsZero() {
		return
	}
	target := m.orphanTarget(good)
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
func (m *Machine) markMigrateTo(good []int) {
	me, _ := m.index(m.self)
	if m.me.row.Flags&bus.RowMigrateTo == 0 && m.me.row.Primary.IsZero() && good[me] > 0 {
		m.changed(func(r *bus.Row) { r.Flags |= bus.RowMigrateTo })
	}
}

// goodReplicas counts, per node, the replicas that are in reach.
func (m *Machine) goodReplicas() []int {
	good := make([]int, len(m.nodes))
	for _, q := range m.nodes {
		if !q.row.Primary.IsZero() && q.row.Ver != 0 && !q.failed && !q.suspect {
			if i, ok := m.index(q.row.Primary); ok {
				good[i]++
			}
		}
	}
	return good
}

func (m *Machine) orphanTarget(good []int) *peer {
	m.refreshOwners()
	owns := make([]bool, len(m.nodes))
	for _, o := range m.ownerTab {
		if int(o) < len(owns) {
			owns[o] = true
		}
	}
	var orphan *peer
	most := 0
	for i, p := range m.nodes {
		if !owns[i] || p.failed || p.suspect {
			continue
		}
		if good[i] == 0 && orphan == nil && p.row.Flags&bus.RowMigrateTo != 0 {
			orphan = p
		}
		most = max(most, good[i])
	}
	if orphan == nil || most < 2 || most <= m.cfg.MigrationBarrier {
		return nil
	}
	for _, q := range m.nodes {
		if q.row.Primary.IsZero() || q.failed || q.suspect {
			continue
		}
		if i, ok := m.index(q.row.Primary); ok && good[i] == most {
			if q == m.me {
				return orphan
			}
			return nil
		}
	}
	return nil
}
