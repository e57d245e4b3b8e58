package command

import (
	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/session"
	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/value"
)

// How handlers of all families look keys up and read their words, so that the access clock,
// the hit and miss counts, the keymiss event and the error texts are the same everywhere.

// Read finds key for a command that uses its value: it counts a hit or a miss, publishes
// keymiss, and touches the key unless the client said CLIENT NO-TOUCH.
func (c *Ctx) Read(key []byte) (store.Entry, bool) { return c.read(key, c.touch()) }

// Peek is Read for commands that look at metadata only and never touch the key (TTL, TYPE,
// EXISTS).
func (c *Ctx) Peek(key []byte) (store.Entry, bool) { return c.read(key, store.NoTouch) }

func (c *Ctx) read(key []byte, f store.Flags) (store.Entry, bool) {
	e, ok := c.Txn.Lookup(key, f)
	if !ok {
		c.Notify(EventMiss, "keymiss", key)
	}
	return e, ok
}

// Write finds key for a command that is about to change it: neither counted nor a miss.
func (c *Ctx) Write(key []byte) (store.Entry, bool) {
	return c.Txn.Lookup(key, c.touch()|store.NoStats)
}

func (c *Ctx) touch() store.Flags {
	if c.Sess.Has(session.NoTouch) {
		return store.NoTouch
	}
	return 0
}

// Typed refuses an entry that is not of type t with WRONGTYPE; an absent one (found false)
// is of every type. The handler returns when it reports false.
func (c *Ctx) Typed(e store.Entry, found bool, t value.Type) bool {
	if found && e.Type() != t {
		c.Fail(resp.ErrWrongType)
		return false
	}
	return true
}

// Hash is the hash of an entry as the client sees it: without the fields that have expired, unless
// it obeys its primary, whose stream removes them.
func (c *Ctx) Hash(e store.Entry) value.HashView {
	return value.HashOf(e.Encoding(), e.Payload(), e.Object(), c.FieldTime())
}

// FieldTime is the time as of which the client sees the fields of hashes; 0: all are there.
func (c *Ctx) FieldTime() int64 {
	if c.Txn.View() == store.ViewStream {
		return 0
	}
	return c.Txn.Now()
}

// Created publishes the event "new" for a key that did not exist before, first of the
// command's events.
func (c *Ctx) Created(key []byte) { c.Notify(EventNew, "new", key) }

// Obeys reports whether the call comes from someone whose commands are carried out as they
// stand: our primary or the append only file. Limits do not bind it, and a time in the past
// is set rather than acted on, since the deletion follows in the same stream.
func (c *Ctx) Obeys() bool { return c.Sess.Any(session.Primary | session.InReplay) }

// Int reads argv[i] as an integer; it answers the error and reports false if it is none.
func (c *Ctx) Int(i int) (int64, bool) {
	n, ok := value.ParseInt(c.Argv[i])
	if !ok {
		c.Fail(resp.ErrNotInteger)
	}
	return n, ok
}

// IntIn reads argv[i] as an integer from low to high.
func (c *Ctx) IntIn(i int, low, high int64) (int64, bool) {
	n, ok := c.Int(i)
	if ok && (n < low || n > high) {
		c.Fail(resp.ErrRange(low, high))
		return 0, false
	}
	return n, ok
}

// Is reports whether word is the option upper, in any letter case.
func Is(word []byte, upper string) bool { return foldEqual(word, upper) }

// Help answers a container's HELP: the lines, between the head and the foot that all share.
func (c *Ctx) Help(lines ...string) {
	c.Out.Array(len(lines) + 3)
	c.Out.Simple(c.Cmd.parent.Name + " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")
	for _, line := range lines {
		c.Out.Simple(line)
	}
	c.Out.Simple("HELP")
	c.Out.Simple("    Print this help.")
}

// DropWatches ends all watches of the session, giving each back to the store, and forgets
// that one of them had changed. REQUIRES: the stripes of the watched keys are held (flag
// Watched).
func (c *Ctx) DropWatches() {
	for _, w := range c.Sess.Watches() {
		c.Txn.Unwatch(w.Seen.(*store.Watch))
	}
	c.Sess.DropWatches()
	c.Sess.Clear(session.DirtyCAS)
}
