package dispatch

import (
	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/acl"
	"github.com/sextantdb/sextant/resp/channel"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/server"
	"github.com/sextantdb/sextant/resp/session"
)

// permit checks a call of a user who may not do everything, before it runs or is queued.
func (w *worker) permit(c *client, u *acl.User, cmd *command.Command, argv [][]byte) resp.Error {
	why, word := cmd.Permission(u, argv, &w.refs)
	if why == acl.Allowed {
		return ""
	}
	where := acl.TopLevel
	if c.sess.Any(session.Multi) {
		where = acl.InMulti
	}
	w.denied(&c.sess, u, cmd, argv, why, word, where)
	return denial(u, cmd, why)
}

// permitQueued checks a queued call again when EXEC runs it: the rules may have changed since.
func (w *worker) permitQueued(cmd *command.Command, argv [][]byte) resp.Error {
	sess := &w.client.sess
	u := sess.User()
	if u == nil || u.MayAll() {
		return ""
	}
	why, word := cmd.Permission(u, argv, &w.refs)
	if why == acl.Allowed {
		return ""
	}
	w.denied(sess, u, cmd, argv, why, word, acl.InMulti)
	return resp.ErrNoPermChanged(queuedReasons[why])
}

var queuedReasons = map[acl.Reason]string{
	acl.DeniedCommand: "no permission to execute the command or subcommand",
	acl.DeniedKey:     "no permission to touch the specified keys",
	acl.DeniedChannel: "no permission to access one of the channels used as arguments to the command",
}

// permitScript checks a call of a script by the rules of the script's caller.
func (w *worker) permitScript(u *acl.User, cmd *command.Command, argv [][]byte) resp.Error {
	why, word := cmd.Permission(u, argv, &w.refs)
	if why == acl.Allowed {
		return ""
	}
	w.denied(&w.client.sess, u, cmd, argv, why, word, acl.InScript)
	return resp.ErrNoPermScript(denial(u, cmd, why))
}

// denial is the error of a refusal.
func denial(u *acl.User, cmd *command.Command, why acl.Reason) resp.Error {
	switch why {
	case acl.DeniedKey:
		return resp.ErrNoPermKey
	case acl.DeniedChannel:
		return resp.ErrNoPermChannel
	}
	return resp.ErrNoPermCommand(u.Name, cmd.LowerName())
}

func (w *worker) denied(s *session.Session, u *acl.User, cmd *command.Command, argv [][]byte, why acl.Reason, word int, where acl.Context) {
	object := cmd.LowerName()
	if why != acl.DeniedCommand {
		object = string(argv[word])
	}
	w.d.denied(s, acl.Denial{Reason: why, Context: where, Object: object, User: u.Name})
}

// Enforce ends what a change of an account takes from its clients: their connections if it was deleted,
// and if they have subscriptions that are no longer allowed. The caller's own connection is closed
// after its reply. Any goroutine; c may be nil.
func (d *Dispatcher) Enforce(c *command.Ctx, change acl.Change) {
	if change.Old == nil || change.New != nil && !change.New.ListensLess(change.Old) {
		return
	}
	var self *client
	if c != nil {
		if f, ok := c.Conn.(face); ok {
			self = f.c.Context.(*client)
		}
	}
	d.each(func(other *client) {
		switch {
		case other.sess.Account() != change.Account:
		case change.New != nil:
			if other.subs.Load() != nil {
				other.conn.Do(func() { other.checkSubscriptions(change) })
			}
		case other == self:
			other.sess.Set(session.Closing)
			other.conn.CloseAfterReply()
		default:
			other.conn.CloseAsync(server.ErrClosedByServer)
		}
	})
}

// checkSubscriptions closes the connection if it has a subscription that the account may not have. On
// the client's loop.
func (c *client) checkSubscriptions(change acl.Change) {
	if c.sess.Account() != change.Account {
		return
	}
	subs := c.subs.Load()
	for _, k := range []channel.Kind{channel.Pattern, channel.Channel, channel.Shard} {
		for _, name := range subs.Names(k) {
			if !change.New.MayListen([]byte(name), k == channel.Pattern) {
				c.conn.Close(server.ErrClosedByServer)
				return
			}
		}
	}
}
