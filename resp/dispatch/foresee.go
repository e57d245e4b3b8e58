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
	for i := range next {
		w.foresee(next[i].Conn.Context.(*client).sess.DB(), next[i].Argv)
	}
	w.warmer.Run(d.store)
	w.ended = 0 // the time this took is no call's
}

// foresee notes what a call of argv will look up.
func (w *worker) foresee(db int, argv [][]byte) {
	var behind [2][]byte
	switch {
	case len(argv) < 2 || len(argv[1]) == 0:
		return
	case len(argv) > 3:
		behind = [2][]byte{argv[2], argv[3]}
	case len(argv) == 3:
		behind[0] = argv[2]
	}
	w.warmer.Add(w.d.store, db, argv[1], behind)
}
