package node

import (
	"strconv"

	"github.com/sextantdb/sextant/resp/channel"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/command/pubsub"
	"github.com/sextantdb/sextant/resp/dispatch"
	"github.com/sextantdb/sextant/store/stat"
)

// pubsubDeps is what the pub/sub family needs.
func (n *Node) pubsubDeps() pubsub.Deps {
	return pubsub.Deps{
		Channels:   func() *channel.Registry { return n.channels },
		Subscriber: func(c *command.Ctx) *channel.Subscriber { return n.disp.Subscriber(c) },
		Origin:     dispatch.Origin,
	}
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
