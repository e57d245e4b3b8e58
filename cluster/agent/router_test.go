package agent

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sextantdb/sextant/bus"
	"github.com/sextantdb/sextant/cluster/core"
	"github.com/sextantdb/sextant/cluster/topology"
	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store/slot"
)

func nodeID(n byte) (id bus.NodeID) { id[0] = n; return id }

// testView is the view of node me of three: 1 (slots 0-99) and 2 (100-199) are primaries, 3
// replicates 1. Slot 50 migrates from 1 to 2 and slot 150 from 2 to 1. Slot 200 is nobody's.
func testView(me int) *topology.View {
	v := &topology.View{
		Self: nodeID(byte(me)), Me: me - 1, State: topology.StateOK, Serving: me != 3, FullCoverage: true, Owner: noOwners(),
		Nodes: []topology.Node{
			{ID: nodeID(1), IP: "10.0.0.1", Host: "one.example", Port: 7001},
			{ID: nodeID(2), IP: "10.0.0.2", Port: 7002},
			{ID: nodeID(3), IP: "10.0.0.3", Host: "three.example", Port: 7003, Role: topology.RoleReplica, Primary: nodeID(1)},
		},
	}
	for s := range 100 {
		v.Owner[s], v.Owner[100+s] = 0, 1
	}
	v.Primary = v.Me
	switch me {
	case 1:
		v.OpenSlots = []topology.Open{{Slot: 50, Peer: nodeID(2)}, {Slot: 150, Importing: true, Peer: nodeID(2)}}
	case 3:
		v.Role, v.Primary = topology.RoleReplica, 0
	}
	for _, o := range v.OpenSlots {
		v.Opened.Add(o.Slot)
	}
	return v
}

func routing(v *topology.View, e Endpoint, lease core.Mono, strict bool) *Agent {
	a := &Agent{opt: Options{Strict: strict}, endpoint: e}
	a.publish(v)
	a.lease.Store(int64(lease))
	return a
}

func TestRoute(t *testing.T) {
	type view = topology.View
	down := func(v *view) { v.State = topology.StateFail }
	readsDown := func(v *view) { v.State, v.ReadsWhenDown = topology.StateFail, true }
	local := command.Verdict{}
	refuse := func(e resp.Error) command.Verdict { return command.Verdict{Kind: command.Refuse, Err: e} }
	moved1, moved2 := refuse("MOVED 7 10.0.0.1:7001"), refuse("MOVED 120 10.0.0.2:7002")
	type q = command.RouteQuery
	for _, c := range []struct {
		name string
		me   int
		with func(*view)
		q    q
		want command.Verdict
	}{
		{"my slot", 1, nil, q{Slot: 7}, local},
		{"my slot, write", 1, nil, q{Slot: 7, Write: true}, local},
		{"another's slot (S37)", 1, nil, q{Slot: 120}, moved2},
		{"nobody's slot", 1, nil, q{Slot: 200}, refuse(resp.ErrClusterDownUnbound)},
		{"nobody's slot while down", 1, readsDown, q{Slot: 200}, refuse(resp.ErrClusterDownUnbound)},

		{"down (S9)", 1, down, q{Slot: 7}, refuse(resp.ErrClusterDown)},
		{"down, another's slot", 1, down, q{Slot: 120}, refuse(resp.ErrClusterDown)},
		{"down, reads allowed", 1, readsDown, q{Slot: 7}, local},
		{"down, reads allowed, write", 1, readsDown, q{Slot: 7, Write: true}, refuse(resp.ErrClusterDownReadOnly)},
		{"down, reads allowed, another's slot", 1, readsDown, q{Slot: 120}, moved2},
		{"down, reads allowed, no lease", 1, func(v *view) { readsDown(v); v.Serving = false }, q{Slot: 7}, local},

		{"migrating (S37: ASK when absent)", 1, nil, q{Slot: 50}, command.Verdict{Kind: command.Migrating, Err: "ASK 50 10.0.0.2:7002"}},
		{"migrating, ASKING changes nothing", 1, nil, q{Slot: 50, Asking: true}, command.Verdict{Kind: command.Migrating, Err: "ASK 50 10.0.0.2:7002"}},
		{"importing without ASKING", 1, nil, q{Slot: 150}, refuse("MOVED 150 10.0.0.2:7002")},
		{"importing after ASKING", 1, nil, q{Slot: 150, Asking: true, Write: true}, command.Verdict{Kind: command.Importing, Err: resp.ErrTryAgain}},
		{"ASKING for a slot that is not open", 1, nil, q{Slot: 120, Asking: true}, moved2},
		{"migrating to a forgotten node", 1, func(v *view) { v.OpenSlots[0].Peer = nodeID(9) }, q{Slot: 50}, local},
		{"importing, but it is mine by now", 1, func(v *view) { v.Owner = testView(1).Owner; v.Owner[150] = 0 }, q{Slot: 150}, local},

		{"replica redirects (S39)", 3, nil, q{Slot: 7}, moved1},
		{"replica, READONLY read", 3, nil, q{Slot: 7, ReadOnly: true}, local},
		{"replica, READONLY write", 3, nil, q{Slot: 7, ReadOnly: true, Write: true}, moved1},
		{"replica, READONLY, another shard's slot", 3, nil, q{Slot: 120, ReadOnly: true}, moved2},
		{"replica that lost its primary's name", 3, func(v *view) { v.Primary = -1 }, q{Slot: 7, ReadOnly: true}, moved1},
		{"replica, READONLY, down", 3, down, q{Slot: 7, ReadOnly: true}, refuse(resp.ErrClusterDown)},
		{"READONLY on a primary changes nothing", 2, nil, q{Slot: 7, ReadOnly: true}, moved1},

		{"not serving", 1, func(v *view) { v.Serving = false }, q{Slot: 7}, refuse(resp.ErrClusterDown)},
		{"not serving: others' slots still redirect", 1, func(v *view) { v.Serving = false }, q{Slot: 120}, moved2},
		{"at the lease's end", 1, nil, q{Slot: 7, Mono: 1000}, refuse(resp.ErrClusterDown)},
		{"at the lease's end, migrating", 1, nil, q{Slot: 50, Mono: 1000}, refuse(resp.ErrClusterDown)},
		{"at the lease's end, importing", 1, nil, q{Slot: 150, Mono: 1000, Asking: true}, refuse(resp.ErrClusterDown)},
		{"just before the lease's end", 1, nil, q{Slot: 7, Mono: 999}, local},
		{"lease does not matter to a replica's READONLY", 3, nil, q{Slot: 7, Mono: 5000, ReadOnly: true}, local},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := testView(c.me)
			if c.with != nil {
				c.with(v)
			}
			assert.Equal(t, c.want, routing(v, EndpointIP, 1000, false).Route(c.q))
		})
	}
}

func TestRouteStrictNamesTheLease(t *testing.T) {
	a := routing(testView(1), EndpointIP, 1000, true)
	assert.Equal(t, resp.ErrLeaseExpired, a.Route(command.RouteQuery{Slot: 7, Mono: 1000}).Err)
}

func TestRouteEndpoints(t *testing.T) {
	q := command.RouteQuery{Slot: 7}
	v := testView(2)
	for e, want := range map[Endpoint]resp.Error{
		EndpointIP: "MOVED 7 10.0.0.1:7001", EndpointHostname: "MOVED 7 one.example:7001", EndpointUnknown: "MOVED 7 :7001",
	} {
		assert.Equal(t, want, routing(v, e, core.Never, false).Route(q).Err)
	}
	assert.Equal(t, resp.Error("MOVED 120 ?:7002"), routing(testView(1), EndpointHostname, core.Never, false).Route(command.RouteQuery{Slot: 120}).Err)
}

func TestVersionChangesOnlyWithRouting(t *testing.T) {
	a := routing(testView(1), EndpointIP, core.Never, false)
	was := a.Version()
	pinged := testView(1)
	pinged.Nodes[1].PongMs, pinged.CurrentEpoch, pinged.Nodes[1].Health = 12345, 9, topology.Suspect
	a.publish(pinged)
	assert.Equal(t, was, a.Version(), "pings and health do not route")
	assert.Same(t, pinged, a.View())
	for name, change := range map[string]func(*topology.View){
		"owner":    func(v *topology.View) { v.Owner[3] = 1 },
		"state":    func(v *topology.View) { v.State = topology.StateFail },
		"serving":  func(v *topology.View) { v.Serving = false },
		"address":  func(v *topology.View) { v.Nodes[1].IP = "10.9.9.9" },
		"role":     func(v *topology.View) { v.Role, v.Primary = topology.RoleReplica, 1 },
		"open":     func(v *topology.View) { v.OpenSlots[0].Peer = nodeID(3) },
		"switch":   func(v *topology.View) { v.ReadsWhenDown = true },
		"new node": func(v *topology.View) { v.Nodes = append(v.Nodes, topology.Node{ID: nodeID(4)}) },
	} {
		before := a.Version()
		v := testView(1)
		change(v)
		a.publish(v)
		assert.Greater(t, a.Version(), before, name)
		a.publish(testView(1))
	}
}

func TestRouteLocalDoesNotAllocate(t *testing.T) {
	a := routing(testView(1), EndpointIP, core.Never, false)
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		for s := range slot.Slot(50) {
			if a.Route(command.RouteQuery{Slot: s, Write: true, Mono: 1}).Kind != command.Local {
				t.Fatal("not local")
			}
		}
	}))
}

func BenchmarkRoute(b *testing.B) {
	a := routing(testView(1), EndpointIP, core.Never, false)
	for b.Loop() {
		a.Route(command.RouteQuery{Slot: 7, Write: true, Mono: 1})
	}
}
