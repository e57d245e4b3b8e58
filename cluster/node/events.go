package node

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sextantdb/sextant/cluster/core"
	"github.com/sextantdb/sextant/cluster/repl"
	"github.com/sextantdb/sextant/cluster/topology"
	"github.com/sextantdb/sextant/resp/dispatch"
	"github.com/sextantdb/sextant/resp/server"
	"github.com/sextantdb/sextant/store/persist"
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
		n.log.Verbose("Protocol error (%s) from client id=%d addr=%s. Query buffer during protocol error: %q", e.Err, e.ID, e.Addr, e.Query)
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
	if v := n.cfg.Now(); e.Kind == repl.EvApplyError && v.ReplicaReadOnly && v.PropagationErrorBehavior != PropagationIgnore {
		panic("This replica panicked sending an error to its master: " + e.Text) // it was asked for: the data differs
	}
}

// verboseEvents are too many for the usual log of a cluster.
var verboseEvents = map[core.EventKind]bool{
	core.EvLeaseHeld: true, core.EvRecord: true, core.EvDropped: true, core.EvVoteRefused: true, core.EvRefusal: true,
}

func (n *Node) clusterEvents(events []core.Event) {
	for _, e := range events {
		line := fmt.Sprintf("cluster: %s %s", e.Kind, e.Text)
		if words := redisWords(&e); words != "" {
			line = words + " [" + line + "]"
		}
		if verboseEvents[e.Kind] {
			n.log.Verbose("%s", line)
		} else {
			n.log.Notice("%s", line)
		}
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
