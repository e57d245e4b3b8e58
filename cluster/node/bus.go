package node

import (
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sextantdb/sextant/bus"
	"github.com/sextantdb/sextant/bus/link"
	"github.com/sextantdb/sextant/cluster/agent"
	"github.com/sextantdb/sextant/cluster/core"
)

// wire joins the agent and its connections: messages become frames and frames messages.
// It is the agent's Transport and the connections' Owner.
type wire struct {
	n      *Node
	net    *link.Net
	codecs sync.Pool // of *bus.Codec; frames of different nodes come at once

	listeners []net.Listener // immutable after openBus

	deaf    atomic.Uint64 // a bit for each bus.Kind that is not listened to (DEBUG DROP-CLUSTER-PACKET-FILTER)
	hangsUp atomic.Bool   // and then the link is closed (DEBUG CLOSE-CLUSTER-LINK-ON-PACKET-DROP)

	// Owned by the agent's loop: the last message encoded, since one is often sent to many.
	last  *bus.Msg
	frame []byte
}

// openBus listens on the bus port and makes the connections' owner. Nothing is dialed or
// accepted before the agent starts.
func (n *Node) openBus(v *Values) error {
	if busPort(v) > 65535 {
		return fmt.Errorf("Port number too high for cluster mode: the cluster bus would be on port %d. Use a port below 55536, or set cluster-port.", busPort(v))
	}
	w := &wire{n: n}
	w.codecs.New = func() any { return bus.NewCodec() }
	view := n.agent.View()
	o := link.Options{
		Self:             link.Identity{ID: view.Self, Cluster: view.Cluster},
		Owner:            w,
		Events:           n.linkEvent,
		Seed:             randomUint64(),
		HandshakeTimeout: min(3*time.Second, max(nodeTimeout(v), time.Second)),
		LocalAddr:        v.BindSourceAddr,
	}
	o.Heartbeat, o.DeadAfter = linkTimes(v)
	if v.ClusterBusAuth == BusAuthHMAC && v.ClusterBusSecret != "" {
		o.Auth, o.Secret = link.AuthHMAC, []byte(v.ClusterBusSecret)
	}
	if v.ClusterLinkSendbufLimit > 0 {
		o.Budget[link.Control] = int(v.ClusterLinkSendbufLimit)
		o.Budget[link.Bulk] = int(v.ClusterLinkSendbufLimit)
	}
	var err error
	if w.net, err = link.New(o); err != nil {
		return err
	}
	n.wire = w
	return w.listen(v)
}

// linkTimes: a peer that says nothing for two thirds of the node timeout gets a new connection, so
// that a broken one cannot be taken for a broken node.
func linkTimes(v *Values) (heartbeat, deadAfter time.Duration) {
	deadAfter = max(nodeTimeout(v)*2/3, time.Second)
	return deadAfter / 4, deadAfter
}

// listen opens the bus port on the addresses clients are served on.
func (w *wire) listen(v *Values) error {
	port := strconv.Itoa(busPort(v))
	for _, addr := range v.Bind {
		optional := addr != "" && addr[0] == '-'
		if optional {
			addr = addr[1:]
		}
		network := "tcp"
		switch addr {
		case "*":
			addr, network = "0.0.0.0", "tcp4"
		case "::*":
			addr, network = "::", "tcp6"
		}
		l, err := net.Listen(network, net.JoinHostPort(addr, port))
		if err != nil {
			if optional {
				continue
			}
			w.net.Close()
			return fmt.Errorf("Failed listening on port %s (cluster bus, %s), aborting: %w", port, addr, err)
		}
		w.listeners = append(w.listeners, l)
	}
	return nil
}

// serve begins to accept and to dial. The agent is ready for what comes.
func (w *wire) serve() {
	for _, l := range w.listeners {
		w.net.Serve(l)
	}
}

func (w *wire) Identify(self bus.NodeID, cluster bus.ClusterID) {
	w.net.Identify(link.Identity{ID: self, Cluster: cluster})
}

func (w *wire) SetPeers(peers []core.Peer) {
	targets := make([]link.Target, 0, len(peers))
	for _, p := range peers {
		t := link.Target{ID: p.ID}
		port := strconv.Itoa(int(p.CPort))
		if p.IP != "" {
			t.Addrs = append(t.Addrs, net.JoinHostPort(p.IP, port))
		}
		if p.Host != "" {
			t.Addrs = append(t.Addrs, net.JoinHostPort(p.Host, port))
		}
		if len(t.Addrs) > 0 {
			targets = append(targets, t)
		}
	}
	w.net.SetPeers(targets)
}

func (w *wire) HangUp() { w.net.HangUp() }

// bulk says which messages wait for heartbeats, leases and votes.
func bulk(k bus.Kind) link.Channel {
	switch k {
	case bus.KindTable, bus.KindSlotMap, bus.KindBuckets:
		return link.Bulk
	}
	return link.Control
}

func (w *wire) Send(e *core.Envelope) {
	if e.Msg != w.last {
		codec := w.codecs.Get().(*bus.Codec)
		frame, err := codec.Append(nil, e.Msg) // the connections keep the frame
		w.codecs.Put(codec)
		if err != nil {
			w.n.log.Warning("cluster: a %v message could not be encoded: %v", e.Msg.Kind(), err)
			return
		}
		w.last, w.frame = e.Msg, frame
	}
	channel := bulk(e.Msg.Kind())
	if e.To.IsZero() {
		w.net.SendAddr(net.JoinHostPort(e.IP, strconv.Itoa(int(e.CPort))), channel, w.frame)
		return
	}
	w.net.Send(e.To, channel, w.frame)
}

func (w *wire) Links() (out []agent.Link) {
	for _, i := range w.net.Links() {
		out = append(out, agent.Link{
			Node: i.ID, Inbound: !i.Dialed, CreatedMs: i.CreatedMs, Events: i.Events, Allocated: i.Allocated, Used: i.Used,
		})
	}
	return out
}

func (w *wire) OverLimit() uint64 { return w.net.OverLimit() }

// Frame implements link.Owner.
func (w *wire) Frame(from link.Peer, purpose link.Purpose, frame []byte) {
	codec := w.codecs.Get().(*bus.Codec)
	m, err := codec.Decode(frame)
	w.codecs.Put(codec)
	if err != nil {
		w.n.badFrames.Inc()
		if w.n.badFrames.Load() == 1 {
			w.n.log.Warning("cluster: a frame from %s (%s) is no message of ours: %v (counted as cluster_bad_frames from now on)", from.ID, from.Addr, err)
		}
		return
	}
	if w.ignored(from, purpose, m.Kind()) {
		return
	}
	if purpose == link.ForPubSub {
		w.n.heard(from, m)
		return
	}
	w.n.agent.Receive(from.ID, from.IP, m)
}

func (w *wire) LinkUp(p link.Peer) { w.n.agent.LinkUp(p.ID, p.IP) }
func (w *wire) LinkDown(p link.Peer, why error) {
	w.n.log.Verbose("cluster: connection with %s (%s) lost: %v", p.ID, p.Addr, why)
	w.n.agent.LinkDown(p.ID)
}

func (n *Node) linkEvent(e link.Event) {
	switch e.Kind {
	case link.Unauthenticated:
		n.log.Notice("cluster: the bus asks for no authentication (no cluster-bus-secret); it accepts nodes at loopback and private addresses only")
	case link.Rejected:
		if e.Reason == link.Silent { // somebody looked whether the port answers, as `cluster create` does
			n.log.Verbose("cluster: connection with %s ended before it said who it is: %v", e.Host, e.Err)
			return
		}
		n.log.Warning("cluster: connection with %s refused: %v", e.Host, e.Err)
	}
}

func (n *Node) busConnections() int64 {
	if n.wire == nil {
		return 0
	}
	return n.wire.net.Stats.Links.Load()
}

// leastSecret is the least length of a secret of the bus (bus/link's bound).
const leastSecret = 16

func validBusSecret(s string) error {
	if s != "" && len(s) < leastSecret {
		return fmt.Errorf("cluster-bus-secret must have at least %d characters, or none", leastSecret)
	}
	return nil
}
