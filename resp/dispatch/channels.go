package dispatch

import (
	"github.com/sextantdb/sextant/resp/channel"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/server"
	"github.com/sextantdb/sextant/store/slot"
)

// Channels are the subscriptions of this node's clients.
func (d *Dispatcher) Channels() *channel.Registry { return d.channels }

// Push implements channel.Receiver. from is the *server.Loop of the publisher, or nil.
func (c *client) Push(from any, m *channel.Message) {
	loop, _ := from.(*server.Loop)
	c.conn.PushMessage(loop, m)
}

// Subscriber returns the subscriptions of the client a handler was called for. REQUIRES: it has
// a connection.
func (d *Dispatcher) Subscriber(c *command.Ctx) *channel.Subscriber {
	cl := c.Conn.(face).c.Context.(*client)
	if s := cl.subs.Load(); s != nil {
		return s
	}
	s := d.channels.NewSubscriber(cl)
	cl.subs.Store(s)
	return s
}

// Origin is what a handler's client is as the publisher of a message.
func Origin(c *command.Ctx) any {
	if f, ok := c.Conn.(face); ok {
		return f.c.Loop()
	}
	return nil
}

// Unsubscribe ends all subscriptions of the client a handler was called for, without a word.
func (d *Dispatcher) Unsubscribe(c *command.Ctx) {
	if f, ok := c.Conn.(face); ok {
		if s := f.c.Context.(*client).subs.Load(); s != nil {
			s.Close()
			s.Settle(c.Sess, f)
		}
	}
}

// DropShardChannels ends the subscriptions to shard channels whose slots lost says are no longer
// served here, and tells the subscribers. A subscription that is made while it runs is found if
// its call was routed before the view that lost goes by was published and a Fence came between.
// Any goroutine.
func (d *Dispatcher) DropShardChannels(lost func(slot.Slot) bool) {
	for _, name := range d.channels.Matching(channel.Shard, nil) {
		if !lost(slot.OfString(name)) {
			continue
		}
		d.channels.EachSubscriber(channel.Shard, name, func(s *channel.Subscriber) {
			c := s.Receiver().(*client)
			c.conn.Do(func() { c.dropShardChannel(s, name) })
		})
	}
}

// dropShardChannel ends a subscription that the client did not end. On its loop.
func (c *client) dropShardChannel(s *channel.Subscriber, name string) {
	if !s.Leave(channel.Shard, []byte(name)) {
		return
	}
	c.conn.TakePushes()
	c.out.Proto = c.sess.Proto()
	channel.Confirm(c.out, channel.Unsubscribed(channel.Shard), []byte(name), s.Count(channel.Shard))
	s.Settle(&c.sess, c.face)
}
