// Package txn is the family of transactions: MULTI, EXEC, DISCARD, WATCH and UNWATCH. The
// node hands Commands to the table; nobody else uses it. Queueing is done by dispatch, which
// also locks what EXEC needs; here is what the commands themselves do. It must not know the
// other families, dispatch or the cluster.
package txn

import (
	"bytes"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/session"
	"github.com/sextantdb/sextant/store"
)

// Commands are the entries of the family.
func Commands() []command.Command {
	const any = command.NoScript | command.Loading | command.Stale
	entries := []command.Command{
		{
			Name: "MULTI", Since: "1.2.0", Arity: 1, Flags: any | command.Fast | command.AllowBusy | command.InMulti, Reply: "OK", Run: multi,
			Doc: command.Doc{Summary: "Begins a transaction: what follows is queued for EXEC.", Complexity: "O(1)"},
		},
		{
			Name: "EXEC", Since: "1.2.0", Arity: 1, Reply: "[any...] | nil", Run: exec,
			Flags: any | command.SkipSlowlog | command.InMulti | command.Queued | command.Watched,
			Doc: command.Doc{Summary: "Runs what was queued since MULTI as one, unless a watched key was changed.",
				Complexity: "That of the commands queued"},
		},
		{
			Name: "DISCARD", Since: "2.0.0", Arity: 1, Reply: "OK", Run: discard,
			Flags: any | command.Fast | command.AllowBusy | command.InMulti | command.Watched,
			Doc:   command.Doc{Summary: "Forgets what was queued since MULTI, and the watched keys.", Complexity: "O(n) for n commands queued"},
		},
		{
			Name: "WATCH", Since: "2.2.0", Arity: -2, Flags: any | command.Fast | command.AllowBusy | command.InMulti, Args: "key...", Reply: "OK", Run: watch,
			Keys: []command.KeySpec{command.Span(1, -1, 1, command.RO)},
			Doc:  command.Doc{Summary: "Makes the next EXEC depend on keys staying as they are.", Complexity: "O(1) for each key"},
		},
		{
			Name: "UNWATCH", Since: "2.2.0", Arity: 1, Flags: any | command.Fast | command.AllowBusy | command.Watched, Reply: "OK", Run: unwatch,
			Doc: command.Doc{Summary: "Forgets the watched keys.", Complexity: "O(n) for n keys watched"},
		},
	}
	for i := range entries {
		entries[i].Group = command.Transactions
		entries[i].ACL = command.CatTransaction
	}
	return entries
}

func multi(c *command.Ctx) {
	if c.Sess.Has(session.Multi) {
		c.Fail(resp.ErrNestedMulti)
		return
	}
	c.Sess.Set(session.Multi)
	c.Out.OK()
}

// exec runs the queue. The stripes of its keys and of the watched keys are held from before
// the watches are compared until after the last command, so nothing comes between. EXEC itself
// is no write: each queued command propagates its own effect.
func exec(c *command.Ctx) {
	if !c.Sess.Has(session.Multi) {
		c.Fail(resp.ErrExecWithoutMulti)
		return
	}
	dirty := c.Sess.Has(session.DirtyCAS) || changed(c)
	c.DropWatches()
	switch {
	case c.Sess.Has(session.DirtyExec):
		c.Fail(resp.ErrExecAbort)
	case dirty:
		c.Out.NullArray()
	default:
		queue := c.Sess.Queue()
		c.Out.Array(len(queue))
		for _, q := range queue {
			c.Call(q.Cmd.(*command.Command), q.Argv)
		}
	}
	c.Sess.EndMulti()
}

// changed reports whether one of the watched keys is not what it was.
func changed(c *command.Ctx) bool {
	for _, w := range c.Sess.Watches() {
		if c.Txn.Changed(w.Seen.(*store.Watch)) {
			return true
		}
	}
	return false
}

func discard(c *command.Ctx) {
	if !c.Sess.Has(session.Multi) {
		c.Fail(resp.ErrDiscardWithoutMulti)
		return
	}
	c.DropWatches()
	c.Sess.EndMulti()
	c.Out.OK()
}

func watch(c *command.Ctx) {
	if c.Sess.Has(session.Multi) {
		c.Fail(resp.ErrWatchInMulti)
		return
	}
	c.Out.OK()
	if c.Sess.Has(session.DirtyCAS) {
		return // EXEC will refuse whatever else happens
	}
	for _, key := range c.Argv[1:] {
		if !watching(c, key) {
			w := &store.Watch{}
			c.Txn.Watch(key, w)
			c.Sess.AddWatch(session.Watch{DB: c.Txn.DB(), Key: bytes.Clone(key), Seen: w})
		}
	}
}

// watching reports whether key of the current database is watched: what it was the first time
// counts.
func watching(c *command.Ctx, key []byte) bool {
	for _, w := range c.Sess.Watches() {
		if w.DB == c.Txn.DB() && bytes.Equal(w.Key, key) {
			return true
		}
	}
	return false
}

func unwatch(c *command.Ctx) {
	c.DropWatches()
	c.Out.OK()
}
