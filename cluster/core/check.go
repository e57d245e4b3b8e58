package core

import (
	"fmt"
	"math"

	"github.com/sextantdb/sextant/bus"
)

// Check verifies the machine's local invariants. It costs O(nodes): for tests and the simulator.
func (m *Machine) Check() error {
	for i, p := range m.nodes {
		if i > 0 && !m.nodes[i-1].row.ID.Less(p.row.ID) {
			return fmt.Errorf("node table out of order at %d", i)
		}
		if m.byID[p.row.ID] != p {
			return fmt.Errorf("node %s is another one by its id", p.row.ID.Short())
		}
		if p.row.ID == m.self && p != m.me {
			return fmt.Errorf("my own entry is not mine")
		}
	}
	if i, ok := m.index(m.self); !ok || m.nodes[i] != m.me {
		return fmt.Errorf("I am not in my own table")
	}
	if len(m.byID) != len(m.nodes) {
		return fmt.Errorf("%d nodes by id, %d in order", len(m.byID), len(m.nodes))
	}
	var hash uint64
	for _, p := range m.nodes {
		hash ^= p.hash
	}
	for i := range m.recs {
		r := &m.recs[i]
		hash ^= recHash(r)
		if i > 0 && !m.recs[i-1].Shard.Less(r.Shard) {
			return fmt.Errorf("records out of order at %d", i)
		}
		if len(r.ISR) == 0 || !r.Has(r.Primary) {
			return fmt.Errorf("record of %s: set lacks its primary", r.Shard.Short())
		}
	}
	if hash != m.tableHash {
		return fmt.Errorf("table hash %x, recomputed %x", m.tableHash, hash)
	}
	for i := range m.vote.regs {
		r := &m.vote.regs[i]
		if i > 0 && !m.vote.regs[i-1].Shard.Less(r.Shard) {
			return fmt.Errorf("registers out of order at %d", i)
		}
		if !r.Rec.IsZero() && r.Rec.Epoch > r.Promised && !m.off(AblateNoPromiseSave|AblateNoRecordSave) {
			return fmt.Errorf("register of %s: accepted epoch %d above promise %d", r.Shard.Short(), r.Rec.Epoch, r.Promised)
		}
	}
	if m.vote.ver > m.voterVer {
		return fmt.Errorf("installed version %d above known %d", m.vote.ver, m.voterVer)
	}
	if m.formed() && m.me.row.Slots != nil {
		return fmt.Errorf("claims outlived the formation")
	}
	if m.lead.was && m.lead.exp != 0 && !m.off(AblateLeaseFromReceipt) && m.lead.exp > m.now+m.t() {
		return fmt.Errorf("lease of %d ms is longer than the node timeout", (m.lead.exp-m.now)/Millisecond)
	}
	for i := 1; i < len(m.open); i++ {
		if m.open[i-1].Slot >= m.open[i].Slot {
			return fmt.Errorf("open slots out of order")
		}
	}
	return nil
}

// Inspect copies facts for checkers.
func (m *Machine) Inspect() Inspect {
	rec := m.rec(m.me.row.Shard)
	return Inspect{Self: m.self, Cluster: m.cluster, Inc: m.inc, Shard: m.me.row.Shard, Leading: m.leads(rec), Rec: *rec,
		Epoch: m.lead.fence, Lease: m.leaseDeadline(), VoterVer: m.voterVer, Voters: m.voters,
		IsVoter: m.vote.ver > 0 && has(m.vote.set, m.self), Frozen: m.vote.frozen, Regs: m.vote.wire(),
		SlotVer: m.slots.ver, SlotReg: m.vote.slots, Electing: m.lead.phase != idle}
}

// Hash is a hash over everything the machine has said since it was made: two runs with the
// same inputs have equal hashes after every step.
func (m *Machine) Hash() uint64 { return m.stepHash }

type hasher uint64

func (h *hasher) num(v uint64) { *h = hasher(mix(uint64(*h) ^ mix(v))) }
func (h *hasher) str(s string) {
	h.num(uint64(len(s)))
	x := uint64(14695981039346656037)
	for i := range len(s) {
		x = (x ^ uint64(s[i])) * 1099511628211
	}
	h.num(x)
}

// hashEffects folds what left a step into a running hash.
func hashEffects(seed uint64, e *Effects) uint64 {
	h := hasher(seed)
	if e.Save != nil {
		for _, r := range e.Save.Records {
			h.str(r.Key)
			h.str(r.Value)
		}
	}
	h.num(uint64(e.Lease))
	if e.View != nil {
		h.num(uint64(e.View.State)<<32 | uint64(len(e.View.Nodes)))
		h.num(e.View.SlotVer)
	}
	if e.Role != nil {
		h.num(uint64(e.Role.Role) + 1)
		h.num(idHash(e.Role.Primary))
	}
	for _, p := range e.Peers {
		h.num(idHash(p.ID))
	}
	for i := range e.Send {
		h.num(idHash(e.Send[i].To))
		h.num(uint64(e.Send[i].Msg.Kind()))
		h.num(e.Send[i].Msg.Table)
		if v, ok := e.Send[i].Msg.Body.(*bus.VoteReq); ok {
			h.num(v.Epoch)
		}
	}
	for _, ev := range e.Events {
		h.num(uint64(ev.Kind))
		h.str(ev.Text)
	}
	for _, r := range e.Replies {
		h.num(r.Tok)
		h.str(r.Err + r.Text)
		h.num(uint64(r.Int))
	}
	h.num(uint64(min(e.Wake, math.MaxInt64)))
	return uint64(h)
}
