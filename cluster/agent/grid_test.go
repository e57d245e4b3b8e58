package agent

import (
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/bus"
	"github.com/sextantdb/sextant/cluster/core"
	"github.com/sextantdb/sextant/cluster/topology"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store/slot"
)

// grid is a cluster of agents in one process, with a network of maps and real state files.
type grid struct {
	t     testing.TB
	dir   string
	mu    sync.Mutex
	nodes []*member // guarded by mu; nil when not running
}

// member is one agent with its share of the network and a data side that always agrees.
type member struct {
	g     *grid
	index int
	*Agent

	mu      sync.Mutex
	self    bus.NodeID          // guarded by mu
	linked  map[bus.NodeID]bool // guarded by mu
	replid  bus.ReplID          // guarded by mu
	offset  int64               // guarded by mu
	keys    int64               // guarded by mu
	paused  uint64              // guarded by mu
	primary bus.NodeID          // guarded by mu; zero for a primary
	fatal   error               // guarded by mu
	inbound chan frame
	stop    chan struct{}
	done    sync.WaitGroup
}

type frame struct {
	from *member
	id   bus.NodeID
	up   bool
	down bool
	b    []byte
}

// gridTimeout must outlast what a loaded machine keeps a goroutine waiting for: a node that is taken for
// dead in the middle of a test is no fault of the agent's.
const gridTimeout = 3 * core.Second

// patience is for what has to happen, however long the machine takes.
const patience = time.Minute

func gridConfig(index int) core.Config {
	c := core.DefaultConfig()
	c.Seed = uint64(1000 + index)
	c.IP, c.Port, c.CPort = "127.0.0.1", uint16(7000+index), uint16(17000+index)
	c.NodeTimeout = gridTimeout
	return c
}

func newGrid(t testing.TB, n int) *grid {
	g := &grid{t: t, dir: t.TempDir(), nodes: make([]*member, n)}
	for i := range n {
		require.NoError(t, os.Mkdir(g.home(i), 0o755))
		g.start(i)
	}
	t.Cleanup(func() {
		for i := range g.nodes {
			g.kill(i)
		}
	})
	return g
}

func (g *grid) home(i int) string { return filepath.Join(g.dir, strconv.Itoa(i)) }

func (g *grid) start(i int) *member {
	m := &member{g: g, index: i, linked: map[bus.NodeID]bool{}, inbound: make(chan frame, 4096), stop: make(chan struct{})}
	m.replid[0], m.replid[1] = byte(i+1), 1
	a, err := Open(Options{Dir: g.home(i), File: "nodes.conf", DataPresent: true, Core: gridConfig(i), Local: m.local, Role: m.role,
		Pause: m.pause, Events: func([]core.Event) {}, Fatal: func(err error) { m.mu.Lock(); m.fatal = err; m.mu.Unlock() }})
	require.NoError(g.t, err)
	m.Agent = a
	m.done.Add(1)
	go m.deliver()
	a.Start(m)
	g.mu.Lock()
	g.nodes[i] = m
	g.mu.Unlock()
	return m
}

// kill ends a member as a crash would: nobody is told but by their broken links.
func (g *grid) kill(i int) {
	g.mu.Lock()
	m := g.nodes[i]
	g.nodes[i] = nil
	g.mu.Unlock()
	if m == nil {
		return
	}
	m.Close()
	close(m.stop)
	m.done.Wait()
	m.mu.Lock()
	self := m.self
	m.mu.Unlock()
	for _, o := range g.running() {
		o.hangup(self)
	}
}

func (g *grid) running() (out []*member) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, m := range g.nodes {
		if m != nil {
			out = append(out, m)
		}
	}
	return out
}

func (g *grid) find(id bus.NodeID, cport uint16) *member {
	for _, m := range g.running() {
		m.mu.Lock()
		hit := m.self == id || id.IsZero() && m.index == int(cport)-17000
		m.mu.Unlock()
		if hit {
			return m
		}
	}
	return nil
}

// The data side.

func (m *member) local() core.Local {
	m.mu.Lock()
	l := core.Local{ReplID: m.replid, Second: -1, Offset: m.offset, Keys: m.keys, Empty: m.keys == 0, Paused: m.paused}
	primary := m.primary
	m.mu.Unlock()
	if primary.IsZero() {
		return l
	}
	if p := m.g.find(primary, 0); p != nil {
		p.mu.Lock()
		m.mu.Lock()
		m.replid, m.offset, m.keys = p.replid, p.offset, p.keys
		l.ReplID, l.Offset, l.Keys, l.Empty, l.LinkUp = m.replid, m.offset, m.keys, m.keys == 0, true
		m.mu.Unlock()
		p.mu.Unlock()
	}
	l.Synced = true
	return l
}

func (m *member) role(r core.RoleChange) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.primary = bus.NodeID{}
	if r.Role == topology.RoleReplica {
		m.primary = r.Primary
	}
}

func (m *member) pause(p core.Pause) {
	m.mu.Lock()
	m.paused = p.Tok
	m.mu.Unlock()
	if m.Agent != nil {
		m.Poke()
	}
}

// The network.

func (m *member) Identify(self bus.NodeID, _ bus.ClusterID) {
	m.mu.Lock()
	m.self = self
	m.mu.Unlock()
}

func (m *member) SetPeers(ps []core.Peer) {
	for _, p := range ps {
		m.connect(p.ID, p.CPort)
	}
}

// connect makes the two-way link if there is none.
func (m *member) connect(id bus.NodeID, cport uint16) *member {
	o := m.g.find(id, cport)
	if o == nil || o == m {
		return nil
	}
	o.meet(m)
	m.meet(o)
	return o
}

func (m *member) meet(o *member) {
	o.mu.Lock()
	id := o.self
	o.mu.Unlock()
	m.mu.Lock()
	known := m.linked[id]
	m.linked[id] = true
	m.mu.Unlock()
	if !known {
		m.push(frame{from: o, id: id, up: true})
	}
}

func (m *member) HangUp() {
	m.mu.Lock()
	ids := slices.Collect(maps.Keys(m.linked))
	m.mu.Unlock()
	for _, id := range ids {
		m.hangup(id)
	}
}

func (m *member) hangup(id bus.NodeID) {
	m.mu.Lock()
	known := m.linked[id]
	delete(m.linked, id)
	m.mu.Unlock()
	if known {
		m.push(frame{id: id, down: true})
	}
}

func (m *member) Send(e *core.Envelope) {
	o := m.connect(e.To, e.CPort)
	if o == nil {
		return
	}
	b, err := bus.NewCodec().Append(nil, e.Msg)
	if err != nil {
		panic(err)
	}
	m.mu.Lock()
	id := m.self
	m.mu.Unlock()
	o.push(frame{from: m, id: id, b: b})
}

func (m *member) push(f frame) {
	select {
	case m.inbound <- f:
	default: // a full link drops
	}
}

func (m *member) deliver() {
	defer m.done.Done()
	codec := bus.NewCodec()
	for {
		select {
		case <-m.stop:
			return
		case f := <-m.inbound:
			switch {
			case f.up:
				m.LinkUp(f.id, "127.0.0.1")
			case f.down:
				m.LinkDown(f.id)
			default:
				msg, err := codec.Decode(f.b)
				if err != nil {
					panic(err)
				}
				m.Receive(f.id, "127.0.0.1", msg)
			}
		}
	}
}

func (m *member) Links() (out []Link) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id := range m.linked {
		out = append(out, Link{Node: id, Events: "r"})
	}
	return out
}

func (m *member) OverLimit() uint64 { return 0 }

// What operators do.

func (m *member) must(cmd core.Admin) core.AdminReply {
	m.g.t.Helper()
	r, ok := m.DoWait(cmd, patience)
	require.True(m.g.t, ok, "no answer")
	require.Empty(m.g.t, r.Err)
	return r
}

func (g *grid) eventually(what string, ok func() bool) {
	g.t.Helper()
	for began := time.Now(); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Since(began) < patience {
			continue
		}
		for _, m := range g.running() {
			g.t.Logf("node %d:\n%s%s", m.index, m.View().NodesText(false), m.View().InfoText(0))
		}
		g.t.Fatalf("never came: %s", what)
	}
}

// form builds a cluster by the sequence that redis-cli --cluster create sends.
func (g *grid) form(primaries int) {
	for i := range primaries {
		var slots []slot.Slot
		for s := i * slot.Count / primaries; s < (i+1)*slot.Count/primaries; s++ {
			slots = append(slots, slot.Slot(s))
		}
		g.nodes[i].must(core.Admin{Kind: core.AdminAddSlots, Slots: slots})
	}
	for i, m := range g.nodes {
		m.must(core.Admin{Kind: core.AdminSetConfigEpoch, Epoch: int64(i + 1)})
	}
	var met time.Time
	g.eventually("all know all", func() bool {
		again := time.Since(met) > time.Duration(gridTimeout)+time.Second // a MEET that got no answer in time is repeated by its operator
		if again {
			met = time.Now()
		}
		all := true
		for _, m := range g.nodes {
			v := m.View()
			all = all && len(v.Nodes) == len(g.nodes) && v.Assigned == slot.Count
			if again && m.index > 0 && len(v.Nodes) == 1 {
				m.must(core.Admin{Kind: core.AdminMeet, IP: "127.0.0.1", Port: 7000, CPort: 17000})
			}
		}
		return all
	})
	for i := primaries; i < len(g.nodes); i++ {
		g.nodes[i].must(core.Admin{Kind: core.AdminReplicate, Node: g.nodes[i%primaries].View().Self.String()})
	}
	g.settled()
}

// settled waits until all running members serve one cluster.
func (g *grid) settled() {
	g.t.Helper()
	g.eventually("cluster ok, voters, roles", func() bool {
		for _, m := range g.running() {
			v := m.View()
			if v.State != topology.StateOK || v.VoterVer == 0 || v.Role == topology.RolePrimary && !v.Serving && v.Nodes[v.Me].SlotCount > 0 {
				return false
			}
		}
		return true
	})
}

// serves reports whether m would execute a write on s now.
func (m *member) serves(s slot.Slot) bool {
	return m.Route(command.RouteQuery{Slot: s, Write: true, Mono: int64(BootTime())}).Kind == command.Local
}

func TestSixAgentsFormFailOverAndComeBack(t *testing.T) {
	g := newGrid(t, 6)
	g.form(3)
	for i, s := range []slot.Slot{0, 6000, 16383} {
		g.eventually("a primary serves, and it alone", func() bool { return g.nodes[i].serves(s) && !g.nodes[i+3].serves(s) })
	}
	old := g.nodes[0].View()
	g.eventually("replicas in the set", func() bool { return len(g.nodes[0].View().Rec.ISR) == 2 })

	g.kill(0)
	g.eventually("the replica serves", func() bool { return g.nodes[3].serves(0) })
	g.eventually("others redirect there", func() bool {
		v := g.nodes[1].Route(command.RouteQuery{Slot: 0, Mono: int64(BootTime())})
		return v.Err == "MOVED 0 127.0.0.1:7003"
	})

	back := g.start(0)
	assert.Equal(t, old.Self, back.View().Self, "the identity is in the file")
	assert.Equal(t, old.Cluster, back.View().Cluster)
	g.eventually("the old primary follows its heir", func() bool {
		v := back.View()
		return v.Role == topology.RoleReplica && v.Primary >= 0 && v.Nodes[v.Primary].ID == g.nodes[3].View().Self
	})
	assert.False(t, back.serves(0))
}

// A node may call before gossip has told of it; the machine forgets links of strangers, the
// agent does not. (Found by `cluster up`: one of six nodes saw two others as disconnected.)
func TestLinkThatCameBeforeItsNodeIsKnown(t *testing.T) {
	g := newGrid(t, 2)
	a, b := g.nodes[0], g.nodes[1]
	id := b.View().Self
	a.LinkUp(id, "127.0.0.1") // nothing is known of b yet
	a.mu.Lock()
	a.linked[id] = true // so that the network does not tell it again
	a.mu.Unlock()
	b.mu.Lock()
	b.linked[a.View().Self] = true
	b.mu.Unlock()
	a.must(core.Admin{Kind: core.AdminSaveConfig})
	old := a.View()
	known := *old
	known.Nodes = append([]topology.Node{}, old.Nodes...)
	known.Nodes = append(known.Nodes, topology.Node{ID: id})
	sort.Slice(known.Nodes, func(i, j int) bool { return known.Nodes[i].ID.Less(known.Nodes[j].ID) })
	a.Close() // its loop's state is ours now
	a.newcomers(old, &known)
	assert.Equal(t, []bus.NodeID{id}, a.late)
	a.late = nil
	a.newcomers(&known, &known)
	assert.Empty(t, a.late, "told once")
	a.newcomers(nil, old)
	assert.Empty(t, a.late, "not itself")
}

func TestManualFailover(t *testing.T) {
	g := newGrid(t, 6)
	g.form(3)
	g.eventually("replica in the set", func() bool { return len(g.nodes[1].View().Rec.ISR) == 2 })
	g.nodes[4].must(core.Admin{Kind: core.AdminFailover})
	g.eventually("handed over", func() bool { return g.nodes[4].serves(6000) && !g.nodes[1].serves(6000) })
	g.eventually("writes flow again", func() bool {
		g.nodes[1].mu.Lock()
		defer g.nodes[1].mu.Unlock()
		return g.nodes[1].paused == 0 && g.nodes[1].primary == g.nodes[4].View().Self
	})
}

func TestAllStopAndComeBack(t *testing.T) {
	g := newGrid(t, 3)
	g.form(3)
	id := g.nodes[0].View().Cluster
	for i := range g.nodes {
		g.kill(i)
	}
	for i := range g.nodes {
		g.start(i)
	}
	g.settled()
	assert.Equal(t, id, g.nodes[2].View().Cluster)
	g.eventually("it serves", func() bool { return g.nodes[0].serves(0) })
}

// A process that was stopped finds its lease run out on its first look at the clock.
func TestNobodyServesAfterItsLease(t *testing.T) {
	g := newGrid(t, 3)
	g.form(3)
	m := g.nodes[0]
	require.Less(t, m.Lease(), core.Never)
	late := int64(m.Lease())
	assert.Equal(t, command.Refuse, m.Route(command.RouteQuery{Slot: 0, Mono: late}).Kind)
	g.kill(1)
	g.kill(2)
	g.eventually("alone it stops", func() bool { return !m.serves(0) })
}

func TestStateThatCannotBeSavedStopsTheNode(t *testing.T) {
	g := newGrid(t, 1)
	m := g.nodes[0]
	m.must(core.Admin{Kind: core.AdminAddSlots, Slots: []slot.Slot{1}})
	require.NoError(t, os.RemoveAll(g.home(0)))
	r, ok := m.DoWait(core.Admin{Kind: core.AdminSaveConfig}, patience)
	require.True(t, ok)
	assert.Contains(t, r.Err, "error saving the cluster node config")
	<-m.Agent.done
	m.mu.Lock()
	defer m.mu.Unlock()
	assert.ErrorContains(t, m.fatal, "nodes.conf")
	assert.False(t, m.serves(1), "the lease went first")
}

func TestCommandsAreBounded(t *testing.T) {
	g := newGrid(t, 1)
	m := g.nodes[0]
	m.Close()
	refused := false
	for range maxAdmin + 1 {
		if _, ok := m.Do(core.Admin{Kind: core.AdminSaveConfig}, func(core.AdminReply) {}); !ok {
			refused = true
		}
	}
	assert.True(t, refused)
	assert.Positive(t, m.stats.adminRefused.Load())
	r, ok := m.DoWait(core.Admin{Kind: core.AdminSaveConfig}, time.Millisecond)
	assert.True(t, ok, "it was not taken, and is not in doubt")
	assert.Equal(t, string(errBusy), r.Err)
}

// Inside MULTI a command without its majority is given up before the node could be taken for stuck.
func TestNestedWaitEndsInTime(t *testing.T) {
	g := newGrid(t, 3)
	g.form(3)
	m, other := g.nodes[0], g.nodes[1].View().Self.String()
	require.Less(t, m.nestedWait(), time.Duration(gridTimeout)/4)
	g.kill(1)
	g.kill(2)
	began := time.Now()
	_, ok := m.DoWait(core.Admin{Kind: core.AdminSetSlotNode, Slot: 0, Node: other}, m.nestedWait())
	require.False(t, ok)
	require.GreaterOrEqual(t, time.Since(began), m.nestedWait())
}

func TestProbe(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	open := l.Addr().(*net.TCPAddr).Port
	assert.Equal(t, "ok", reach("127.0.0.1", open))
	l.Close()
	assert.Equal(t, "connection refused", reach("127.0.0.1", open))
}

// An idle cluster must cost next to nothing; see DESIGN's figures. The bound is per node and
// generous, for a busy machine.
func BenchmarkIdleCluster(b *testing.B) {
	g := newGrid(b, 6)
	g.form(3)
	b.ResetTimer()
	for range b.N {
		time.Sleep(time.Second)
	}
}

// CONFIG SET cluster-announce-port and then CLUSTER NODES: the answer must have the new port.
// (Found by the Tcl suite's announced-endpoints.)
func TestReconfigurationShowsAtOnce(t *testing.T) {
	g := newGrid(t, 1)
	m := g.nodes[0]
	for port := range uint16(20) {
		c := gridConfig(0)
		c.Port = 9000 + port
		m.Reconfigure(c, EndpointIP)
		v := m.View()
		require.Equal(t, c.Port, v.Nodes[v.Me].Port)
	}
	m.Close()
	m.Reconfigure(gridConfig(0), EndpointIP) // returns
}
