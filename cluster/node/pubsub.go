package node

import (
	"fmt"
	"strconv"
	"time"

	"github.com/sextantdb/sextant/bus"
	"github.com/sextantdb/sextant/bus/link"
	"github.com/sextantdb/sextant/cluster/fanout"
	"github.com/sextantdb/sextant/cluster/topology"
	"github.com/sextantdb/sextant/resp/channel"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/command/pubsub"
	"github.com/sextantdb/sextant/resp/dispatch"
	"github.com/sextantdb/sextant/store/slot"
	"github.com/sextantdb/sextant/store/stat"
)

// pubsubDeps is what the pub/sub family needs.
func (n *Node) pubsubDeps() pubsub.Deps {
	d := pubsub.Deps{
		Channels:   func() *channel.Registry { return n.channels },
		Subscriber: func(c *command.Ctx) *channel.Subscriber { return n.disp.Subscriber(c) },
		Origin:     dispatch.Origin,
	}
	if n.fanout != nil {
		d.Others = n.fanout
	}
	return d
}

// newChannels makes the registry of subscriptions, and in cluster mode what carries messages to
// other nodes.
func (n *Node) newChannels(clustered bool) {
	if !clustered {
		n.channels = channel.New(nil)
		return
	}
	n.fanout = fanout.New(fanout.Options{Links: pubLinks{n}, Peers: n.peers, Deliver: n.deliver})
	n.channels = channel.New(n.fanout)
	n.rerouted = make(chan struct{}, 1)
}

// deliver gives a message of another node to this node's subscribers.
func (n *Node) deliver(name, payload []byte, sharded bool) {
	if sharded {
		n.channels.PublishShard(nil, name, payload)
	} else {
		n.channels.Publish(nil, name, payload)
	}
}

// peers calls f for the other nodes, or for those of this node's shard.
func (n *Node) peers(sharded bool, f func(bus.NodeID)) {
	v := n.agent.View()
	for i := range v.Nodes {
		if p := &v.Nodes[i]; i != v.Me && p.Linked && (!sharded || p.Shard == v.Shard) {
			f(p.ID)
		}
	}
}

// heard takes what came over a pub/sub connection. Nobody of another cluster is listened to.
func (n *Node) heard(from link.Peer, m *bus.Msg) {
	if v := n.agent.View(); m.Cluster == v.Cluster && m.From == from.ID {
		if _, member := v.Find(from.ID); member && n.fanout.Received(from.ID, from.Serial, m.Body) {
			return
		}
	}
	n.badFrames.Inc()
}

// pubLinks are the bus' pub/sub connections as fanout sees them.
type pubLinks struct{ n *Node }

func (l pubLinks) Encode(b bus.Body) []byte {
	v := l.n.agent.View()
	codec := l.n.wire.codecs.Get().(*bus.Codec)
	defer l.n.wire.codecs.Put(codec)
	frame, err := codec.Append(nil, &bus.Msg{Header: bus.Header{Cluster: v.Cluster, From: v.Self}, Body: b})
	if err != nil {
		panic(fmt.Sprintf("node: a %v message could not be encoded: %v", b.Kind(), err)) // its size is bounded by fanout
	}
	return frame
}

func (l pubLinks) Send(to bus.NodeID, frame []byte) bool {
	return l.n.wire.net.Send(to, link.PubSub, frame)
}

func (l pubLinks) SendOver(serial uint64, to bus.NodeID, frame []byte) bool {
	return l.n.wire.net.SendOver(serial, to, link.PubSub, frame)
}

func (l pubLinks) Standing(id bus.NodeID) uint64 { return l.n.wire.net.Serial(id, link.ForPubSub) }
func (l pubLinks) Break(serial uint64, id bus.NodeID) {
	l.n.wire.net.Break(serial, id, link.ForPubSub)
}

// reroute notes that slots may have another owner. It is called on the agent's loop.
func (n *Node) reroute(old, now *topology.View) {
	for _, line := range roleLines(old, now) {
		n.log.Notice("%s", line)
	}
	select {
	case n.rerouted <- struct{}{}:
	default:
	}
}

// runShardChannels ends subscriptions to shard channels whose slots another shard serves, as soon
// as that is so, and tidies up behind the fan-out.
func (n *Node) runShardChannels() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-n.quit:
			return
		case <-tick.C:
			n.fanout.Tidy()
			continue
		case <-n.rerouted:
		}
		n.disp.Fence(nowMs()) // a subscription made under an older view is in the registry now
		v := n.agent.View()
		n.disp.DropShardChannels(func(sl slot.Slot) bool { return !v.MyShardOwns(sl) })
	}
}

// infoFanout is what INFO tells of messages between nodes.
func (n *Node) infoFanout(s *stat.Section) {
	f := &n.fanout.Stats
	s.Counted("cluster_pubsub_sent", "published messages sent, per receiving node", &f.Sent)
	s.Counted("cluster_pubsub_spared", "published messages not sent to a node without subscribers", &f.Spared)
	s.Counted("cluster_pubsub_dropped", "published messages not sent for want of a connection or of room", &f.Dropped)
	s.Counted("cluster_pubsub_received", "published messages received from other nodes", &f.Received)
	s.Counted("cluster_pubsub_unwanted", "of them, those for channels that nobody subscribed to", &f.Unwanted)
	s.Counted("cluster_pubsub_torn", "long messages that did not come whole", &f.Torn)
	s.Counted("cluster_pubsub_announced", "interests told to nodes that publish", &f.Announced)
	s.Counted("cluster_pubsub_waits", "subscriptions that waited until other nodes knew", &f.Waits)
	s.Counted("cluster_pubsub_unanswered", "connections given up for a missing acknowledgement", &f.Unanswered)
}

// events publishes keyspace events to this node's own subscribers.
type events struct{ n *Node }

// Wants implements dispatch.Broadcaster: without K and E nobody can hear of anything.
func (e events) Wants() command.EventClass {
	classes := e.n.cfg.Now().NotifyKeyspaceEvents
	if classes&(command.EventKeyspace|command.EventKeyevent) == 0 || e.n.channels.Clients() == 0 {
		return 0
	}
	return classes
}

// Keyspace implements dispatch.Broadcaster.
func (e events) Keyspace(from any, _ command.EventClass, event string, db int, key []byte) {
	classes := e.n.cfg.Now().NotifyKeyspaceEvents
	var room [128]byte
	if classes&command.EventKeyspace != 0 {
		b := append(room[:0], "__keyspace@"...)
		b = strconv.AppendInt(b, int64(db), 10)
		b = append(b, "__:"...)
		e.n.channels.Publish(from, append(b, key...), []byte(event))
	}
	if classes&command.EventKeyevent != 0 {
		b := append(room[:0], "__keyevent@"...)
		b = strconv.AppendInt(b, int64(db), 10)
		b = append(b, "__:"...)
		e.n.channels.Publish(from, append(b, event...), key)
	}
}

// infoPubSub adds the numbers of subscriptions to INFO's stats.
func (n *Node) infoPubSub(s *stat.Section) {
	kind := func(name, help string, k channel.Kind) {
		s.Int(name, help, stat.Gauge, func() int64 { return n.channels.Names(k) })
	}
	kind("pubsub_channels", "channels with subscribers", channel.Channel)
	kind("pubsub_patterns", "patterns with subscribers", channel.Pattern)
	kind("pubsubshard_channels", "shard channels with subscribers", channel.Shard)
	s.Int("pubsub_subscription_bytes", "memory of the subscriptions", stat.Gauge, n.channels.Bytes)
}
