package dispatch

import "github.com/sextantdb/sextant/resp/server"

// warmFrom is the size of the data set below which it lies in the processor's caches anyway.
const warmFrom = 1 << 20

// Foresee implements server.Foreseer: it brings the keys of the next requests into the
// processor's cache, all of them at a time. The first argument of a request is nearly always
// its key, and when it is none, nothing is found; those behind it may name an element of a large value.
func (d *Dispatcher) Foresee(l *server.Loop, next []server.Next) {
	w := d.workers[l.Index()]
	if !w.keeper.large {
		return
	}
	for _, n := range next {
		w.warmer.Add(d.store, n.Conn.Context.(*client).sess.DB(), n.Args[0], [2][]byte(n.Args[1:]))
	}
	w.warmer.Run(d.store)
	w.ended = 0 // the time this took is no call's
}
