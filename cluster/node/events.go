package node

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/sextantdb/sextant/bus"
	"github.com/sextantdb/sextant/cluster/core"
	"github.com/sextantdb/sextant/cluster/repl"
	"github.com/sextantdb/sextant/cluster/topology"
	"github.com/sextantdb/sextant/resp/dispatch"
	"github.com/sextantdb/sextant/resp/server"
	"github.com/sextantdb/sextant/store/persist"
	"github.com/sextantdb/sextant/store/slot"
)

// Packages emit typed events; here they become log lines.

func (n *Node) serverEvent(e server.Event) {
	switch e := e.(type) {
	case server.ConnAccepted:
		n.log.Verbose("Accepted %s", e.Addr)
	case server.ConnRejected:
		n.log.Verbose("Rejected %s: %s", e.Addr, e.Reason)
	case server.ConnClosed:
		if errors.Is(e.Why, dispatch.ErrCrossProtocol) {
			n.warnCrossProtocol(e.Addr)
		}
		n.log.Verbose("Client closed connection id=%d addr=%s: %v", e.ID, e.Addr, e.Why)
	case server.LimitHit:
		n.log.Warning("Client id=%d addr=%s class=%s closed: %v (%d, limit %d)", e.ID, e.Addr, e.Class, e.Why, e.Bytes, e.Limit)
	case server.ProtocolFailed:
		query := e.Query
		if n.cfg.Now().HideUserDataFromLog {
			query = []byte("*redacted*")
		}
		n.log.Verbose("Protocol error (%s) from client id=%d addr=%s. Query buffer during protocol error: %q", e.Err, e.ID, e.Addr, query)
	case server.AcceptFailed:
		n.log.Warning("Error accepting a client connection on %s: %v", e.Listener, e.Err)
	case server.BindFailed:
		n.log.Warning("Could not bind %s: %v; going on without it", e.Addr, e.Err)
	}
}

// warnCrossProtocol tells of an attack, at most once a minute.
func (n *Node) warnCrossProtocol(addr string) {
	now := nowMs()
	if last := n.attackTold.Load(); now-last < 60_000 || !n.attackTold.CompareAndSwap(last, now) {
		return
	}
	n.log.Warning("Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands to this server. "+
		"This is likely due to an attacker attempting to use Cross Protocol Scripting to compromise your data. Connection from %s aborted.", addr)
}

func (n *Node) persistEvent(e persist.Event) {
	switch e.Level() {
	case persist.Debug:
		n.log.Debug("%s", e.String())
	case persist.Warning:
		n.log.Warning("%s", e.String())
	default:
		n.log.Notice("%s", e.String())
	}
}

func (n *Node) replEvent(e repl.Event) {
	if e.Warning {
		n.log.Warning("%s", e.Text)
	} else {
		n.log.Notice("%s", e.Text)
	}
	if n.agent != nil {
		n.agent.Poke()
	}
	if e.Kind == repl.EvReplicaOnline || e.Kind == repl.EvReplicaLost {
		n.refreshGates() // min-replicas-to-write
	}
	if v := n.cfg.Now(); e.Kind == repl.EvApplyError && v.ReplicaReadOnly && v.PropagationErrorBehavior != PropagationIgnore {
		panic("This replica panicked sending an error to its master: " + e.Text) // it was asked for: the data differs
	}
}

// clusterLevels are the levels of events that are not worth a notice or worth more than one.
var clusterLevels = map[core.EventKind]func(*Log, string, ...any){
	core.EvLeaseHeld: (*Log).Verbose, core.EvRecord: (*Log).Verbose, core.EvDropped: (*Log).Verbose,
	core.EvVoteRefused: (*Log).Verbose, core.EvRefusal: (*Log).Verbose,
	core.EvNodeFailed: (*Log).Warning, core.EvLeaseLost: (*Log).Warning, core.EvSlotsLost: (*Log).Warning,
	core.EvTwin: (*Log).Warning, core.EvStuck: (*Log).Warning,
}

// clusterEvents logs what happened, and to which node. It is called on the agent's loop, after
// the View that came of it was published.
func (n *Node) clusterEvents(events []core.Event) {
	var v *topology.View
	if n.agent != nil { // nil while it is opened
		v = n.agent.View()
	}
	for _, e := range events {
		write := clusterLevels[e.Kind]
		if write == nil {
			write = (*Log).Notice
		}
		line := eventLine(v, e)
		if words := redisWords(&e); words != "" {
			line = words + " [" + line + "]"
		}
		write(n.log, "%s", line)
	}
}

// redisWords is what Redis logs when the same happens there, for those who look for these lines; "" when it says nothing,
// or there is no such thing.
func redisWords(e *core.Event) string {
	switch e.Kind {
	case core.EvNodeSuspect:
		return fmt.Sprintf("*** NODE %s possibly failing", e.Node)
	case core.EvNodeFailed:
		return fmt.Sprintf("Marking node %s as failing (quorum reached).", e.Node)
	case core.EvNodeBack:
		return fmt.Sprintf("Clear FAIL state for node %s: it is reachable again.", e.Node)
	case core.EvClusterState:
		state, _, _ := strings.Cut(strings.TrimPrefix(e.Text, "cluster state is "), " ")
		return "Cluster state changed: " + state
	case core.EvElectionStarted:
		return fmt.Sprintf("Starting a failover election for epoch %d.", e.Epoch)
	case core.EvElectionWon:
		return "Failover election won: I'm the new master."
	case core.EvVoteGranted:
		return fmt.Sprintf("Failover auth granted to %s for epoch %d", e.Node, e.Epoch)
	case core.EvVoteRefused:
		return fmt.Sprintf("Failover auth denied to %s", e.Node)
	case core.EvRole:
		if !e.Node.IsZero() && strings.HasPrefix(e.Text, topology.RoleReplica.String()) {
			return fmt.Sprintf("Configuration change detected. Reconfiguring myself as a replica of %s", e.Node)
		}
	case core.EvReplicaMigrated:
		return fmt.Sprintf("Migrating to orphaned master %s", e.Node)
	}
	return ""
}

// eventLine names the other node an event is about by its address; v may be nil.
func eventLine(v *topology.View, e core.Event) string {
	if e.Node == (bus.NodeID{}) || v == nil || e.Node == v.Self {
		return fmt.Sprintf("cluster: %s %s", e.Kind, e.Text)
	}
	return fmt.Sprintf("cluster: %s %s: %s", e.Kind, nodeName(v, e.Node), e.Text)
}

// nodeName is a node's address and the beginning of its id, which stays when the address changes.
func nodeName(v *topology.View, id bus.NodeID) string {
	if i, ok := v.Find(id); ok && v.Nodes[i].IP != "" {
		return fmt.Sprintf("%s (%s)", net.JoinHostPort(v.Nodes[i].IP, strconv.Itoa(int(v.Nodes[i].Port))), id.Short())
	}
	return id.Short()
}

// roleLines say which other nodes became primaries or replicas between two Views: on every
// node the log tells who serves what since when.
func roleLines(old, now *topology.View) (lines []string) {
	for i := range now.Nodes {
		a := &now.Nodes[i]
		j, known := old.Find(a.ID)
		if !known || a.Myself || old.Nodes[j].Role == a.Role {
			continue
		}
		switch {
		case a.Role == topology.RolePrimary:
			lines = append(lines, fmt.Sprintf("cluster: role %s is a primary now, epoch %d, slots %s", nodeName(now, a.ID), a.Epoch, slotText(a.Ranges)))
		case a.Primary != (bus.NodeID{}):
			lines = append(lines, fmt.Sprintf("cluster: role %s is a replica of %s now", nodeName(now, a.ID), nodeName(now, a.Primary)))
		}
	}
	return lines
}

func slotText(ranges []slot.Range) string {
	if len(ranges) == 0 {
		return "none"
	}
	var b strings.Builder
	for i, r := range ranges {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(r.String())
	}
	return b.String()
}
