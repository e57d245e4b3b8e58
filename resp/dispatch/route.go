package dispatch

import (
	"bytes"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/session"
	"github.com/sextantdb/sextant/store"
)

func (w *worker) query(c *client, cmdFlags, flags command.Flags) command.RouteQuery {
	return command.RouteQuery{
		Slot:     w.slots[0],
		Write:    flags&command.Write != 0,
		Channels: w.channels,
		ReadOnly: c.sess.Any(session.ReadOnly),
		Asking:   w.asking || cmdFlags&(command.Asking|command.HandsOver) != 0,
		Several:  len(w.refs) > 1,
		Mono:     w.mono,
	}
}

// routeAndLock asks the router and locks. It reports false when it answered the client
// instead. The version is compared again under the lock: a slot that moved in between is
// routed anew.
func (w *worker) routeAndLock(c *client, cmd *command.Command, flags command.Flags) bool {
	for {
		version := w.d.router.Version()
		v := w.d.router.Route(w.query(c, cmd.Flags, flags))
		if v.Kind == command.Refuse {
			w.redirect(c, cmd, v.Err)
			return false
		}
		if !w.lock(flags) {
			w.reject(c, cmd, w.d.busyError())
			return false
		}
		if w.d.router.Version() != version {
			w.txn.End()
			continue
		}
		if v.Kind == command.Local {
			return true
		}
		w.txn.SelectDB(c.sess.DB())
		w.txn.SetView(c.view(w.d, Gate(w.d.gates.Load())))
		if err := w.openSlot(c, cmd, v); err != "" {
			w.txn.End()
			w.redirect(c, cmd, err)
			return false
		}
		return true
	}
}

// turnAway answers what admission said, unless the call belongs to another node: then where to
// go says more to a client of a cluster than why it cannot be done here (a replica's READONLY).
func (w *worker) turnAway(c *client, cmd *command.Command, argv [][]byte, flags command.Flags, why resp.Error) {
	if w.d.router != nil && why != resp.ErrNoAuth && why != resp.ErrNotInMulti && why.Code() != resp.NoPerm {
		if err := w.collect(c, cmd, argv); err != "" {
			w.redirect(c, cmd, err)
			return
		}
		if len(w.slots) > 0 {
			if v := w.d.router.Route(w.query(c, cmd.Flags, flags)); v.Kind == command.Refuse {
				w.redirect(c, cmd, v.Err)
				return
			}
		}
	}
	if why.Code() == resp.Redirect {
		w.redirect(c, cmd, why)
		return
	}
	w.reject(c, cmd, why)
}

// redirect answers MOVED, ASK, CROSSSLOT and their like. Unlike other refusals they end a transaction at
// EXEC without EXECABORT, as clients expect.
func (w *worker) redirect(c *client, cmd *command.Command, err resp.Error) {
	if cmd.Flags&command.Queued != 0 {
		w.discard(c)
		w.refuse(c, cmd, err, err)
		return
	}
	w.reject(c, cmd, err)
}

// openSlot decides about a call on a slot in classic migration by which of its keys are here.
// REQUIRES: stripes held.
func (w *worker) openSlot(c *client, cmd *command.Command, v command.Verdict) resp.Error {
	if cmd.Flags&command.HandsOver != 0 {
		return ""
	}
	view := w.txn.View()
	w.txn.SetView(store.ViewReplica) // only looking: nobody would be told of what expires when the call is sent elsewhere
	defer w.txn.SetView(view)
	here, missing := 0, 0
	var first []byte // the first key, and whether another one is named beside it
	several := false
	count := func(cmd *command.Command, argv [][]byte) {
		refs, _ := cmd.KeysOf(argv, nil, false)
		for _, r := range refs {
			key := argv[r.Index]
			if here+missing == 0 {
				first = key
			}
			several = several || !bytes.Equal(key, first)
			if w.txn.Exists(key) {
				here++
			} else {
				missing++
			}
		}
	}
	if cmd.Flags&command.Queued != 0 {
		for _, q := range c.sess.Queue() {
			count(q.Cmd.(*command.Command), q.Argv)
		}
	} else {
		count(cmd, w.argv)
	}
	switch {
	case missing == 0:
		return ""
	case v.Kind == command.Migrating && here == 0:
		return v.Err
	case v.Kind == command.Migrating, several:
		return resp.ErrTryAgain
	}
	return "" // importing, one key that will be created here, however often a transaction names it
}
