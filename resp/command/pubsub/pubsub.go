// Package pubsub is the family of publish and subscribe: channels, patterns, shard channels, and
// PUBSUB, which looks at them. Node puts its Commands into the table. The registries are
// resp/channel's; here is what the commands say about them. It must not know sockets, the bus or
// how a message reaches other nodes.
package pubsub

import (
	"bytes"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/channel"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/session"
)

// Deps is what the family needs. All but Others are required.
type Deps struct {
	// Channels are the node's subscriptions.
	Channels func() *channel.Registry
	// Subscriber is the caller's.
	Subscriber func(c *command.Ctx) *channel.Subscriber
	// Origin is the caller as a publisher.
	Origin func(c *command.Ctx) any
	// Others carries messages to the other nodes of a cluster; nil outside of one, where the
	// replication stream does it.
	Others Others
}

// Others are the other nodes of a cluster. No method waits for one of them.
type Others interface {
	// Publish sends a message to those who may have subscribers.
	Publish(name, payload []byte, sharded bool)
	// Claim says that names will have subscribers here. It returns nil when the others know that;
	// else the function it returns runs ready, perhaps at once, perhaps on another goroutine, when
	// a message published on any of them from now on will come here. names must not change.
	// Every Claim is followed by one Release, after the subscription was made, or when it will
	// not be.
	Claim(k channel.Kind, names [][]byte) (await func(ready func()))
	Release(k channel.Kind, names [][]byte)
}

type family struct{ Deps }

// Commands are the entries of the family.
func Commands(d Deps) []command.Command {
	f := &family{d}
	const (
		always    = command.PubSub | command.Loading | command.Stale
		subscribe = always | command.NoScript | command.WhileSubscribed
		publish   = always | command.Fast | command.MayReplicate
	)
	name := []command.KeySpec{command.At(1, command.NotKey)}
	names := []command.KeySpec{command.Span(1, -1, 1, command.NotKey)}
	entries := []command.Command{
		{
			Name: "SUBSCRIBE", Since: "2.0.0", Arity: -2, Flags: subscribe | command.InSentinel, Channels: command.ListensTo, Args: "channel...", Reply: confirmation, Run: f.subscribe(channel.Channel),
			Doc: command.Doc{Summary: "Listens to channels.", Complexity: "O(n) for n channels"},
		},
		{
			Name: "UNSUBSCRIBE", Since: "2.0.0", Arity: -1, Flags: subscribe | command.InSentinel, Args: "[channel...]", Reply: confirmation, Run: f.unsubscribe(channel.Channel),
			Doc: command.Doc{Summary: "Stops listening to channels, or to all.", Complexity: "O(n) for n channels"},
		},
		{
			Name: "PSUBSCRIBE", Since: "2.0.0", Arity: -2, Flags: subscribe | command.InSentinel, Channels: command.ListensToPatterns, Args: "pattern:pattern...", Reply: confirmation, Run: f.subscribe(channel.Pattern),
			Doc: command.Doc{Summary: "Listens to all channels that match a pattern.", Complexity: "O(n) for n patterns"},
		},
		{
			Name: "PUNSUBSCRIBE", Since: "2.0.0", Arity: -1, Flags: subscribe | command.InSentinel, Args: "[pattern:pattern...]", Reply: confirmation, Run: f.unsubscribe(channel.Pattern),
			Doc: command.Doc{Summary: "Stops listening to patterns, or to all.", Complexity: "O(n) for n patterns"},
		},
		{
			Name: "SSUBSCRIBE", Since: "7.0.0", Arity: -2, Flags: subscribe, Keys: names, Channels: command.ListensTo, Args: "shardchannel...", Reply: confirmation, Run: f.subscribe(channel.Shard),
			Doc: command.Doc{Summary: "Listens to shard channels.", Complexity: "O(n) for n shard channels"},
		},
		{
			Name: "SUNSUBSCRIBE", Since: "7.0.0", Arity: -1, Flags: subscribe, Keys: names, Args: "[shardchannel...]", Reply: confirmation, Run: f.unsubscribe(channel.Shard),
			Doc: command.Doc{Summary: "Stops listening to shard channels, or to all.", Complexity: "O(n) for n shard channels"},
		},
		{
			Name: "PUBLISH", Since: "2.0.0", Arity: 3, Flags: publish | command.InSentinel, Channels: command.PublishesTo, Args: "channel message", Reply: "int", Run: f.publish,
			Doc: command.Doc{Summary: "Sends a message to the listeners of a channel.", Complexity: "O(n+m) for n listeners and m patterns of any client"},
		},
		{
			Name: "SPUBLISH", Since: "7.0.0", Arity: 3, Flags: publish, Keys: name, Channels: command.PublishesTo, Args: "shardchannel message", Reply: "int", Run: f.spublish,
			Doc: command.Doc{Summary: "Sends a message to the listeners of a shard channel.", Complexity: "O(n) for n listeners"},
		},
		{
			Name: "PUBSUB", Since: "2.8.0", Arity: -2,
			Doc: command.Doc{Summary: "A container for commands that look at subscriptions.", Complexity: "Depends on subcommand."},
			Sub: []command.Command{
				{
					Name: "CHANNELS", Since: "2.8.0", Arity: -2, Flags: always, Args: "[pattern:pattern]", Reply: "[bulk...]", Run: f.names(channel.Channel),
					Doc: command.Doc{Summary: "Lists the channels that have listeners.", Complexity: "O(n) for n such channels"},
				},
				{
					Name: "HELP", Since: "6.2.0", Arity: 2, Flags: command.Loading | command.Stale, Reply: "[simple...]", Run: help,
					Doc: command.Doc{Summary: "Lists the subcommands.", Complexity: "O(1)"},
				},
				{
					Name: "NUMPAT", Since: "2.8.0", Arity: 2, Flags: always, Reply: "int", Run: f.numPat,
					Doc: command.Doc{Summary: "Counts the patterns that have listeners.", Complexity: "O(1)"},
				},
				{
					Name: "NUMSUB", Since: "2.8.0", Arity: -2, Flags: always, Args: "[channel...]", Reply: "[any...]", Run: f.numSub(channel.Channel),
					Doc: command.Doc{Summary: "Counts the listeners of channels, those of patterns left out.", Complexity: "O(n) for n channels"},
				},
				{
					Name: "SHARDCHANNELS", Since: "7.0.0", Arity: -2, Flags: always, Args: "[pattern:pattern]", Reply: "[bulk...]", Run: f.names(channel.Shard),
					Doc: command.Doc{Summary: "Lists the shard channels that have listeners.", Complexity: "O(n) for n such channels"},
				},
				{
					Name: "SHARDNUMSUB", Since: "7.0.0", Arity: -2, Flags: always, Args: "[shardchannel...]", Reply: "[any...]", Run: f.numSub(channel.Shard),
					Doc: command.Doc{Summary: "Counts the listeners of shard channels.", Complexity: "O(n) for n shard channels"},
				},
			},
		},
	}
	for i := range entries {
		entries[i].Group = command.Pubsub
		for j := range entries[i].Sub {
			entries[i].Sub[j].Group = command.Pubsub
		}
	}
	return entries
}

// confirmation is the schema of the confirmations; one comes for each name.
const confirmation = "[bulk, bulk | nil, int] | none"

// listed is how many subscriptions a confirmation of kind k tells: shard channels are counted
// apart from the others.
func listed(s *channel.Subscriber, k channel.Kind) int {
	if k == channel.Shard {
		return s.Count(k)
	}
	return s.Count(channel.Channel) + s.Count(channel.Pattern)
}

// subscribe confirms each subscription before it is made, and makes it before anything else of
// this client is executed, so that a message never precedes the confirmation. In a cluster it
// waits first until the others send what it subscribes to; but not inside MULTI, where a reply
// cannot be put off: there a message published elsewhere within that moment may be missed.
func (f *family) subscribe(k channel.Kind) func(*command.Ctx) {
	return func(c *command.Ctx) {
		if c.Conn == nil {
			c.Fail(resp.ErrDenyBlocking(c.Cmd.FullName()))
			return
		}
		s, names := f.Subscriber(c), c.Argv[1:]
		if f.Others == nil || k == channel.Shard {
			join(s, k, names, c.Sess, c.Conn, c.Out)
			return
		}
		names = cloned(names)
		await := f.Others.Claim(k, names)
		if await == nil || c.Nested > 0 {
			join(s, k, names, c.Sess, c.Conn, c.Out)
			f.Others.Release(k, names)
			return
		}
		sess, conn := c.Sess, c.Conn
		release := func() { f.Others.Release(k, names) }
		ticket := c.Park(command.Park{Gone: release})
		await(func() {
			ticket.Finish(func(w *resp.Writer) {
				join(s, k, names, sess, conn, w)
				release()
			})
		})
	}
}

func cloned(words [][]byte) [][]byte {
	own := make([][]byte, len(words))
	for i, w := range words {
		own[i] = bytes.Clone(w)
	}
	return own
}

func join(s *channel.Subscriber, k channel.Kind, names [][]byte, sess *session.Session, conn command.Conn, w *resp.Writer) {
	for _, name := range names {
		count := listed(s, k)
		if !s.Has(k, name) {
			count++
		}
		confirm(sess, conn, w, channel.Subscribed(k), name, count)
		s.Join(k, name)
	}
	s.Settle(sess, conn)
}

// confirm writes a confirmation, which a client gets even if it wants no replies.
func confirm(sess *session.Session, conn command.Conn, w *resp.Writer, word string, name []byte, count int) {
	if sess.Any(session.ReplyOff | session.ReplySkipping) {
		apart := resp.NewWriter(nil, w.Proto)
		channel.Confirm(apart, word, name, count)
		conn.Push(apart.Bytes())
		return
	}
	channel.Confirm(w, word, name, count)
}

// unsubscribe ends subscriptions first and then confirms that, behind the messages that came
// before. Inside MULTI these come behind the reply of EXEC, which must not be torn.
func (f *family) unsubscribe(k channel.Kind) func(*command.Ctx) {
	return func(c *command.Ctx) {
		if c.Conn == nil {
			c.Fail(resp.ErrDenyBlocking(c.Cmd.FullName()))
			return
		}
		s, names := f.Subscriber(c), c.Argv[1:]
		if len(names) == 0 {
			for _, name := range s.Names(k) {
				names = append(names, []byte(name))
			}
		}
		counts := make([]int, 0, 8)
		for _, name := range names {
			s.Leave(k, name)
			counts = append(counts, listed(s, k))
		}
		if c.Nested == 0 {
			c.Conn.TakePushes()
		}
		for i, name := range names {
			confirm(c.Sess, c.Conn, c.Out, channel.Unsubscribed(k), name, counts[i])
		}
		if len(names) == 0 {
			confirm(c.Sess, c.Conn, c.Out, channel.Unsubscribed(k), nil, listed(s, k))
		}
		s.Settle(c.Sess, c.Conn)
	}
}

func (f *family) publish(c *command.Ctx) {
	n := f.Channels().Publish(f.Origin(c), c.Argv[1], c.Argv[2])
	f.pass(c, false)
	c.Out.Int(int64(n))
}

func (f *family) spublish(c *command.Ctx) {
	n := f.Channels().PublishShard(f.Origin(c), c.Argv[1], c.Argv[2])
	f.pass(c, true)
	c.Out.Int(int64(n))
}

// pass hands a message on to other nodes.
func (f *family) pass(c *command.Ctx, sharded bool) {
	if f.Others != nil {
		f.Others.Publish(c.Argv[1], c.Argv[2], sharded)
	} else {
		c.Propagate()
	}
}

func (f *family) names(k channel.Kind) func(*command.Ctx) {
	return func(c *command.Ctx) {
		if len(c.Argv) > 3 {
			c.Fail(resp.ErrUnknownSubcommandOrArgs("pubsub", c.Argv[1]))
			return
		}
		var pattern []byte
		if len(c.Argv) == 3 {
			pattern = c.Argv[2]
		}
		names := f.Channels().Matching(k, pattern)
		c.Out.Array(len(names))
		for _, name := range names {
			c.Out.BulkString(name)
		}
	}
}

func (f *family) numPat(c *command.Ctx) { c.Out.Int(f.Channels().Names(channel.Pattern)) }

func (f *family) numSub(k channel.Kind) func(*command.Ctx) {
	return func(c *command.Ctx) {
		names := c.Argv[2:]
		c.Out.Array(2 * len(names))
		for _, name := range names {
			c.Out.Bulk(name)
			c.Out.Int(int64(f.Channels().Subscribers(k, name)))
		}
	}
}

func help(c *command.Ctx) {
	c.Help(
		"CHANNELS [<pattern>]",
		"    List the channels that have listeners and match <pattern> (default: all).",
		"NUMPAT",
		"    Count the patterns that have listeners.",
		"NUMSUB [<channel> ...]",
		"    Count the listeners of each <channel>, those of patterns left out.",
		"SHARDCHANNELS [<pattern>]",
		"    List the shard channels that have listeners and match <pattern> (default: all).",
		"SHARDNUMSUB [<shardchannel> ...]",
		"    Count the listeners of each <shardchannel>.",
	)
}
