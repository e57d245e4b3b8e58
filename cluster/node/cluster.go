package node

import (
	"fmt"
	"os"
	"time"

	"github.com/sextantdb/sextant/bus"
	"github.com/sextantdb/sextant/cluster/agent"
	"github.com/sextantdb/sextant/cluster/core"
	"github.com/sextantdb/sextant/cluster/repl"
	"github.com/sextantdb/sextant/cluster/topology"
	"github.com/sextantdb/sextant/resp/dispatch"
)

// busPort is where the bus listens: cluster-port, else port + 10000.
func busPort(v *Values) int {
	if v.ClusterPort != 0 {
		return int(v.ClusterPort)
	}
	return int(v.Port) + 10000
}

// A node timeout below the first is taken for it: the machine renews leases and pings several times
// in each, and the scheduler or a slow fsync takes tens of ms now and then, so that nodes would fail
// and come back for ever (cluster/sim goes down to it). Above the other, times would overflow.
const (
	minNodeTimeout = 300 * time.Millisecond
	maxNodeTimeout = 10 * 365 * 24 * time.Hour
)

// nodeTimeout is cluster-node-timeout as it is used.
func nodeTimeout(v *Values) time.Duration {
	ms := min(v.ClusterNodeTimeout, maxNodeTimeout.Milliseconds())
	return max(time.Duration(ms)*time.Millisecond, minNodeTimeout)
}

// coreConfig translates the cluster directives for the machine.
func coreConfig(v *Values, seed uint64) core.Config {
	c := core.DefaultConfig()
	c.Seed = seed
	c.IP, c.Host = v.ClusterAnnounceIP, v.ClusterAnnounceHostname
	c.Port, c.CPort = uint16(v.Port), uint16(busPort(v))
	c.TLSPort = uint16(v.TLSPort)
	if v.ClusterAnnouncePort != 0 {
		c.Port = uint16(v.ClusterAnnouncePort)
	}
	if v.ClusterAnnounceTLSPort != 0 {
		c.TLSPort = uint16(v.ClusterAnnounceTLSPort)
	}
	if v.ClusterAnnounceBusPort != 0 {
		c.CPort = uint16(v.ClusterAnnounceBusPort)
	}
	c.NodeTimeout = core.Mono(nodeTimeout(v))
	c.DriftPPM = v.ClusterMaxClockDriftPPM
	c.NoFailover = v.ClusterReplicaNoFailover
	c.Witness = v.ClusterWitness
	c.FullCoverage = v.ClusterRequireFullCoverage
	c.ReadsDown = v.ClusterAllowReadsWhenDown
	c.ReplicaMigration = v.ClusterAllowReplicaMigration
	c.MigrationBarrier = int(v.ClusterMigrationBarrier)
	c.ValidityFactor = int(v.ClusterReplicaValidityFactor)
	return c
}

func endpoint(v *Values) agent.Endpoint {
	switch v.ClusterPreferredEndpointType {
	case EndpointHostname:
		return agent.EndpointHostname
	case EndpointUnknown:
		return agent.EndpointUnknown
	}
	return agent.EndpointIP
}

func (n *Node) agentOptions() agent.Options {
	v := n.cfg.Now()
	_, err := os.Stat(v.Path(v.DBFilename))
	present := err == nil || v.AppendOnly && n.aof.Present()
	return agent.Options{
		Dir: v.Dir, File: v.ClusterConfigFile, DataPresent: present, DataComplete: n.cleanStart,
		Core: coreConfig(v, randomUint64()), Endpoint: endpoint(v), Strict: v.ClusterConsistency == ConsistencyStrict,
		Pulse: n.pulse.hear(), Rerouted: n.reroute, ChannelsDown: func() bool { return n.cfg.Now().ClusterAllowPubsubshardWhenDown },
		Local: n.localReport, Role: n.clusterRole, Pause: n.clusterPause, Events: n.clusterEvents,
		Fatal: func(err error) {
			n.log.Warning("The cluster state cannot be saved any more: %v. Exiting.", err)
			n.finish(1)
		},
	}
}

// localReport is what the cluster machine knows of the data.
func (n *Node) localReport() core.Local {
	// The token first: an offset read behind it is at least that of the last write before the pause.
	paused := n.paused.Load()
	st := n.repl.Status()
	keys := n.store.DBSize(0)
	l := core.Local{
		Offset: st.Offset, Second: st.Second, Keys: keys, Empty: keys == 0 && !n.loading(),
		Loading: n.loading() || st.Loading, LinkUp: st.LinkUp, Synced: st.Synced, Paused: paused,
		Silent: n.heart.silent(),
	}
	l.ReplID, _ = bus.ParseNodeID(st.ID)
	l.ReplID2, _ = bus.ParseNodeID(st.ID2)
	return l
}

// clusterRole takes a decision of the cluster machine about the data side's role.
func (n *Node) clusterRole(r core.RoleChange) { n.roles.putRole(r) }

// assume makes the data side what the machine says.
func (n *Node) assume(r core.RoleChange) {
	if r.Flush {
		// First nothing may come in any more. Afterwards the data is nobody's history.
		n.repl.Promote(nil)
		n.empty()
		n.repl.ChangeID()
	}
	switch {
	case r.Role != topology.RoleReplica:
		n.repl.Promote(nil)
	case r.IP != "":
		n.repl.Expect(memberOf(r))
		n.repl.Follow(r.IP, int(r.Port), nil)
	}
}

// memberOf is whose data may be copied: nobody in particular while the machine has not heard
// which life of the primary it is.
func memberOf(r core.RoleChange) repl.Member {
	if r.PrimaryInc == 0 {
		return repl.Member{}
	}
	return repl.Member{Node: r.Primary.String(), Incarnation: r.PrimaryInc}
}

// leads answers a replica that asks whether this node is the member it must follow.
func (n *Node) leads(m repl.Member) string {
	v := n.agent.View()
	switch self := v.Self.String(); {
	case m.Node != self:
		return "I am node " + self
	case m.Incarnation != v.Incarnation:
		return fmt.Sprintf("I am in incarnation %d, not %d", v.Incarnation, m.Incarnation)
	case !v.Leading:
		return "I do not lead my shard"
	}
	return ""
}

// clusterPause takes a decision to hold client writes back for a manual failover, or to let
// them go.
func (n *Node) clusterPause(p core.Pause) { n.roles.putPause(p) }

// hold holds writes back; tok tells the machine which of its pauses is in force.
func (n *Node) hold(tok uint64) {
	n.repl.PauseFeed(true)
	n.disp.HoldWrites(dispatch.HoldHandover, true, nowMs())
	n.paused.Store(tok)
}

func (n *Node) letGo() {
	n.paused.Store(0)
	n.repl.PauseFeed(false)
	n.disp.HoldWrites(dispatch.HoldHandover, false, nowMs())
}

// leadsHook is leads in cluster mode; the agent does not exist yet when replication is built.
func (n *Node) leadsHook() func(repl.Member) string {
	if !n.cfg.Now().ClusterEnabled {
		return nil
	}
	return n.leads
}
