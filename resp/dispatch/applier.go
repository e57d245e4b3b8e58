package dispatch

import (
	"time"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/session"
)

// Applier carries out commands that are obeyed as they stand: the stream of our primary, or
// an append only file. Nothing refuses them, expired keys are visible to them, and their
// effects are not sent on (a replica relays its primary's bytes themselves). It is owned by
// one goroutine.
type Applier struct {
	w     *worker
	c     *client
	out   resp.Writer
	clock func() int64
	known int      // commands that Ahead told of and that were not applied yet
	seen  [][]byte // Ahead's
}

// NewApplier returns an Applier whose commands run in database 0 until they say SELECT. flag
// is session.Primary or session.InReplay.
func (d *Dispatcher) NewApplier(flag session.Flags) *Applier {
	a := &Applier{w: newWorker(d, len(d.workers)), clock: func() int64 { return time.Now().UnixMilli() }}
	a.c = &client{w: a.w, out: &a.out, trusted: true}
	a.c.sess.Init(0, d.acl.Default(), flag|session.Internal)
	a.out.Proto = 2
	return a
}

// Apply runs one command. A command that fails is a sign that the two data sets differ; the
// error says how.
func (a *Applier) Apply(argv [][]byte) error { return a.ApplyWith(argv, nil) }

// ApplyWith is Apply that calls ran, if not nil, once the command, or at its EXEC the transaction, has run and while its
// stripes are still held: nobody has seen yet what it did. It is not called for what changes nothing by itself (MULTI).
func (a *Applier) ApplyWith(argv [][]byte, ran func()) error {
	a.out.Truncate(0)
	if a.known > 0 {
		a.known--
	} else {
		a.w.nowMs, a.w.ended = a.clock(), 0
	}
	a.w.ran = ran
	a.w.serve(a.c, argv)
	a.w.ran = nil
	if b := a.out.Bytes(); len(b) > 0 && b[0] == '-' {
		return resp.Error(b[1 : len(b)-2])
	}
	return nil
}

// Ahead tells of the next n commands, which are most probably among the bytes of stream and are applied one right after
// the other. Their keys are brought into the processor's cache, all of them at a time, and the clock is looked at once
// for all of them.
func (a *Applier) Ahead(stream []byte, n int) {
	w, d := a.w, a.w.d
	w.nowMs, w.ended, a.known = a.clock(), 0, 0
	warm := d.store.UsedBytes() > warmFrom
	for ; a.known < n; a.known++ {
		argv, size := resp.Whole(stream, a.seen[:0], resp.Limits{})
		a.seen = argv
		if size == 0 {
			break
		}
		if stream = stream[size:]; warm {
			w.foresee(a.c.sess.DB(), argv)
		}
	}
	if warm {
		w.warmer.Run(d.store)
	}
}

// Lasting reports whether the command applied last is part of the data set, and not only a message that passes.
func (a *Applier) Lasting() bool { return a.w.found == nil || !a.w.found.Passing() }

// Reset forgets a half-received MULTI and the selected database, for a new stream.
func (a *Applier) Reset() {
	a.w.discard(a.c)
	a.c.sess.Select(0)
}

// DB is the database the stream has selected, kept across partial resynchronisations.
func (a *Applier) DB() int { return a.c.sess.DB() }

// Select sets it.
func (a *Applier) Select(db int) { a.c.sess.Select(db) }
