package core

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/bus"
)

// Each rule here is switched off in turn, in a run made for it: what it prevents must not
// happen with it and must happen without. Rules that only lost writes or rare timings can show
// (first-record, no-fence, lease-from-receipt, no-freeze, no-copy, no-version,
// install-noquarantine, voter-accepts-old) are cluster/sim's to prove over many seeds.
func TestAblationsBite(t *testing.T) {
	twoLeased := func(n *net) bool {
		a, b := n.nodes[0], n.nodes[3]
		return a.lease > n.now && b.lease > n.now && a.m.Inspect().Leading && b.m.Inspect().Leading
	}
	force := func(n *net) {
		n.nodes[3].step(Input{Kind: InAdmin, Admin: &Admin{Kind: AdminFailover, Mode: FailoverForce}})
	}
	watched := func(n *net, d Mono, bad func(*net) bool) bool {
		for end := n.now + d; n.now < end; n.run(Millisecond) {
			if bad(n) {
				return true
			}
		}
		return false
	}
	written := func(n *net) {
		x := n.nodes[0]
		x.local.Offset, x.local.Empty, x.local.Keys = 100, false, 1
		n.run(Second)
	}
	lost := func(n *net) bool { // the shard of slot 0 is served from less than was written
		s := n.server(0)
		return s != nil && s.local.Offset < 100
	}
	for name, tc := range map[string]struct {
		rule Ablation
		bad  func(*net) bool
	}{
		"nolease-wait: the old primary's lease still runs": {AblateNoLeaseWait, func(n *net) bool {
			n.isolate(0, true)
			force(n)
			return watched(n, Second, twoLeased)
		}},
		"noquarantine: restarted voters have forgotten whom they leased": {AblateNoQuarantine, func(n *net) bool {
			n.isolate(0, true)
			for _, i := range []int{1, 2} {
				n.nodes[i].kill()
				n.nodes[i].start(true)
			}
			force(n)
			return watched(n, 1500*Millisecond, twoLeased)
		}},
		"no-lease-check: a primary alone never stops": {AblateNoLeaseCheck, func(n *net) bool {
			n.isolate(0, true)
			return watched(n, 4*Second, twoLeased)
		}},
		"no-incarnation: an emptied primary leads on": {AblateNoIncarnation, func(n *net) bool {
			written(n)
			n.nodes[0].kill()
			n.nodes[0].start(false)
			return watched(n, 5*Second, lost)
		}},
		"any-replica: a replica that never was in sync wins (its empty data stops it as well)": {AblateAnyReplica | AblateAnyOffset, func(n *net) bool {
			n.nodes[3].local = Local{Empty: true}
			n.nodes[3].kill()
			n.run(100 * Millisecond)
			written(n)
			n.nodes[0].kill()
			n.nodes[3].start(false)
			return watched(n, 6*Second, lost)
		}},
		"nofsync-promise: a voter forgets a promise": {AblateNoPromiseSave, func(n *net) bool {
			n.nodes[0].kill()
			force(n)
			was := *n.nodes[1].m.vote.reg(n.nodes[3].m.me.row.Shard)
			for was.Promised == 1 { // stop between promise and record
				n.run(Millisecond / 4)
				was = *n.nodes[1].m.vote.reg(was.Shard)
			}
			require.Equal(n.t, uint64(1), was.Rec.Epoch)
			n.nodes[1].kill()
			n.nodes[1].start(true)
			return n.nodes[1].m.vote.reg(was.Shard).Promised < was.Promised
		}},
		"nofsync-record: a voter forgets a record": {AblateNoRecordSave, func(n *net) bool {
			n.nodes[3].ok(Admin{Kind: AdminFailover})
			n.run(Second)
			was := *n.nodes[1].m.vote.reg(n.nodes[3].m.me.row.Shard)
			n.nodes[1].kill()
			n.nodes[1].start(true)
			return was.Rec.Newer(&n.nodes[1].m.vote.reg(was.Shard).Rec)
		}},
		"no-slot-ballot: two changes of the map, one of them lost": {AblateNoSlotBallot, func(n *net) bool {
			n.noise, n.jitter = &rng{5}, 5*Millisecond
			for s := range uint16(60) {
				for i := range 3 {
					n.nodes[i].step(Input{Kind: InAdmin, Admin: &Admin{Kind: AdminSetSlotNode, Slot: s*3 + uint16(i), Node: n.nodes[(i+1+int(s))%3].id.String()}})
				}
				maps := map[uint64]string{}
				for range 100 {
					n.run(Millisecond)
					for _, x := range n.nodes {
						id := signature(x.view)
						if old, ok := maps[x.view.SlotVer]; ok && old != id {
							return true
						}
						maps[x.view.SlotVer] = id
					}
				}
			}
			return false
		}},
		"no-ban: gossip brings a forgotten node back": {AblateNoBan, func(n *net) bool {
			id := n.nodes[5].id
			n.nodes[5].kill()
			n.nodes[0].ok(Admin{Kind: AdminForget, Node: id.String()})
			row := n.nodes[1].m.me.row
			row.ID = id
			row.Ver = 1 << 40
			n.nodes[1].step(Input{Kind: InTick})
			n.nodes[0].step(Input{Kind: InMsg, From: n.nodes[1].id, Msg: &bus.Msg{Header: n.nodes[1].m.header(1), Body: &bus.Table{Rows: []bus.Row{row}}}})
			return n.nodes[0].m.find(id) != nil
		}},
		"no-cluster-id: a node of another cluster is listened to": {AblateNoClusterID, func(n *net) bool {
			h := n.nodes[1].m.header(1)
			h.Cluster, h.Epoch = 77, 1000
			n.nodes[0].step(Input{Kind: InMsg, From: n.nodes[1].id, Msg: &bus.Msg{Header: h, Body: &bus.Ping{Reply: true}}})
			return n.nodes[0].m.epoch >= 1000
		}},
		"any-offset: voters let the shorter history win": {AblateAnyOffset, func(n *net) bool {
			m := n.nodes[1].m
			p, q := m.find(n.nodes[3].id), m.find(n.nodes[4].id)
			r := m.vote.reg(p.row.Shard)
			q.row.Shard, q.stat.Shard, q.stat.ReplID, q.stat.Offset = p.row.Shard, p.row.Shard, p.stat.ReplID, 10
			r.Rec.ISR = append(r.Rec.ISR, bus.NewMember(q.row.ID, q.statInc))
			r.leaseUntil = 0
			return m.judgeVote(p, r, &bus.VoteReq{Shard: p.row.Shard, Epoch: 99, Cand: bus.NewMember(p.row.ID, 1), Stat: p.stat}) == nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, off := range []Ablation{0, tc.rule} {
				n := newNet(t, 0, 2*Second)
				n.cfg.Ablate = off
				for range 6 {
					n.addNode()
				}
				n.create(3, 1)
				n.run(Second)
				require.Equal(t, off != 0, tc.bad(n), "rule off: %v", off != 0)
			}
		})
	}
}

func TestAblationNamesAreComplete(t *testing.T) {
	names, bits := Ablations()
	require.Equal(t, ablationEnd, Ablation(1)<<len(names))
	require.Equal(t, bits[len(bits)-1]<<1, ablationEnd)
}
