package dispatch

import (
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/server"
	"github.com/sextantdb/sextant/resp/session"
	"github.com/sextantdb/sextant/resp/tracking"
)

// staleKey is a key that was changed, whose readers are to be told when the unit has ended.
type staleKey struct {
	begin, end int // in worker.staleNames; begin -1: a whole database
	readers    *tracking.Readers
	by         *tracking.Client
}

// Tracking is what clients that cache have read.
func (d *Dispatcher) Tracking() *tracking.Table { return d.tracking }

// Tracks, Subscribed, Broken and Invalidate implement tracking.Receiver.
func (c *client) Tracks() tracking.State {
	s := &c.sess
	return tracking.State{
		On: s.Any(session.Tracking), Broadcast: s.Any(session.TrackBroadcast), NoLoop: s.Any(session.TrackNoLoop), Redirect: s.Redirect(),
	}
}

func (c *client) Subscribed() bool { return c.sess.Any(session.Subscribed) }
func (c *client) Broken()          { c.sess.Set(session.TrackBroken) }

func (c *client) Invalidate(from any, m *tracking.Message) {
	loop, _ := from.(*server.Loop)
	c.conn.PushMessage(loop, m)
}

func (d *Dispatcher) receiver(id int64) tracking.Receiver {
	if c := d.find(id); c != nil {
		return c
	}
	return nil
}

// Track begins or changes the tracking of the client a handler was called for, whose session
// says how. prefixes are added to those it has. REQUIRES: it has a connection.
func (d *Dispatcher) Track(c *command.Ctx, prefixes []string) {
	cl := c.Conn.(face).c.Context.(*client)
	cache := cl.cache.Load()
	if cache == nil {
		cache = tracking.NewClient(cl)
		cl.cache.Store(cache)
	}
	if !cl.sess.Any(session.Tracking) {
		cl.sess.Set(session.Tracking)
		d.store.NoteTouched(1)
		d.tracking.Enter()
	}
	for _, name := range prefixes {
		d.tracking.Join(cache, name)
	}
}

// Untrack ends it.
func (d *Dispatcher) Untrack(c *command.Ctx) {
	if f, ok := c.Conn.(face); ok {
		d.untrack(f.c.Context.(*client))
	}
}

func (d *Dispatcher) untrack(c *client) {
	if c.sess.Any(session.Tracking) {
		c.sess.Clear(session.AllTracking)
		d.tracking.Exit(c.cache.Load())
		d.store.NoteTouched(-1)
	}
}

// TrackedPrefixes lists the prefixes of the client a handler was called for.
func (d *Dispatcher) TrackedPrefixes(c *command.Ctx) []string {
	if f, ok := c.Conn.(face); ok {
		if cache := f.c.Context.(*client).cache.Load(); cache != nil {
			return d.tracking.PrefixesOf(cache)
		}
	}
	return nil
}

// remember notes what a tracking client has read by a call. REQUIRES: stripes held.
func (w *worker) remember(cmd *command.Command, argv [][]byte) {
	s := &w.client.sess
	switch {
	case cmd.Flags&command.ReadOnly == 0 || cmd.Flags&command.PubSub != 0 || cmd.Group == command.Scripting,
		s.Any(session.TrackBroadcast),
		s.Any(session.TrackOptIn) && !s.Any(session.TrackCaching),
		s.Any(session.TrackOptOut) && s.Any(session.TrackCaching):
		return
	}
	w.reads, _ = cmd.KeysOf(argv, w.reads[:0], false)
	for _, r := range w.reads {
		w.d.tracking.Remember(w.loop, w.client.cache.Load(), argv[r.Index])
	}
}

// noteStale notes the keys that the Txn has touched since the last time, on behalf of by.
// REQUIRES: stripes held.
func (w *worker) noteStale(by *tracking.Client) {
	if w.txn.TouchedKeys() <= w.tracked || !w.d.tracking.Active() {
		return
	}
	for _, k := range w.txn.Touched(w.tracked) {
		w.tracked++
		n := staleKey{begin: -1, by: by}
		if k.Expired {
			n.by = nil
		}
		if k.Key != nil {
			if n.readers = w.d.tracking.Changed(k.Key, n.by); n.readers == nil {
				continue
			}
			n.begin = len(w.staleNames)
			w.staleNames = append(w.staleNames, k.Key...)
			n.end = len(w.staleNames)
		}
		w.stale = append(w.stale, n)
	}
}

// tellStale tells the readers of what noteStale noted.
func (w *worker) tellStale() {
	flushed := false
	for _, k := range w.stale {
		if k.begin >= 0 {
			w.d.tracking.Tell(w.loop, w.staleNames[k.begin:k.end], k.readers, k.by)
		} else if !flushed {
			flushed = true
			w.d.AllStale(w.loop)
		}
	}
	clear(w.stale)
	w.stale, w.staleNames = w.stale[:0], w.staleNames[:0]
	if w.loop == nil { // nobody else sends what was gathered
		w.d.tracking.Flush(nil)
	}
}

// AllStale tells every tracking client that all keys have changed. from is the loop it is called
// on, or nil.
func (d *Dispatcher) AllStale(from *server.Loop) {
	if !d.tracking.Active() {
		return
	}
	d.tracking.Flushed(from, func() (clients []*tracking.Client) {
		d.each(func(c *client) {
			if c.sess.Any(session.Tracking) {
				clients = append(clients, c.cache.Load())
			}
		})
		return clients
	})
}
