package repl

import "sync/atomic"

// What the stream has for a replica is written to its connection by the event loop that appended it, between two of its
// rounds: waking another goroutine for each round costs more than the writing, and on a machine whose cores are all busy
// the clients pay for it. Only when the socket is full the replica's own goroutine takes over, until it has caught up.

const (
	// A loop that has more to do ships when so many bytes have gathered, or the first of them waits so long. A loop
	// without work ships what there is before it goes to sleep.
	shipBytes = 128 << 10
	shipAfter = 2e6 // ns
)

// baton says who sends to a replica. Whoever finds it taken leaves a note, and who has it looks once more for the stream's
// end before letting it go. So nothing stays behind, and nobody waits.
type baton struct{ state atomic.Int32 }

const (
	batonFree int32 = iota
	batonTaken
	batonNoted // taken, and somebody came meanwhile
)

// take reports whether the caller has it now.
func (b *baton) take() bool {
	for {
		if b.state.CompareAndSwap(batonFree, batonTaken) {
			return true
		}
		if b.state.Load() == batonNoted || b.state.CompareAndSwap(batonTaken, batonNoted) {
			return false
		}
	}
}

// drop gives it back. It reports false, and the caller keeps it, when somebody came meanwhile.
func (b *baton) drop() bool {
	if b.state.CompareAndSwap(batonTaken, batonFree) {
		return true
	}
	b.state.Store(batonTaken)
	return false
}

// Ship sends replicas what the stream has for them. Event loops call it between rounds (now is a clock in ns), and with
// all before they sleep; so does everyone else who appends. It does not wait: what a full socket does not take is left to
// the replica's goroutine.
func (e *Engine) Ship(now int64, all bool) {
	list := e.online.Load()
	if list == nil {
		return
	}
	if e.getackWanted.Load() && !e.paused.Load() && e.getackWanted.Swap(false) {
		e.Stream.control(getackBytes)
		all = true
	}
	end := e.Stream.Offset()
	for _, r := range *list {
		if r.due(now, end, all) {
			r.ship()
		}
	}
}

// due reports whether it is time to send what r has not been sent of a stream that ends at end.
func (r *Replica) due(now, end int64, all bool) bool {
	behind := end - r.sent.Load()
	if behind <= 0 {
		return false
	}
	if all || behind >= shipBytes {
		r.waits.Store(0)
		return true
	}
	since := r.waits.Load()
	if since == 0 {
		r.waits.Store(now)
		return false
	}
	if now-since < shipAfter {
		return false
	}
	r.waits.Store(0)
	return true
}

// ship sends what the socket takes. When that is not all, or fails, the replica's goroutine goes on.
func (r *Replica) ship() {
	if !r.baton.take() {
		return
	}
	for {
		if !r.shipSome() {
			r.goOn <- struct{}{} // has room: only who has the baton sends
			return
		}
		if r.baton.drop() {
			return
		}
	}
}

// shipSome is ship with the baton in hand. It reports whether r has all there is.
func (r *Replica) shipSome() bool {
	if r.wire == nil || r.ended() {
		return false
	}
	for {
		p, ok := r.cursor.Next()
		if !ok {
			return false
		}
		if p == nil {
			return true
		}
		n, err := r.wire.TryWrite(p)
		r.shipped(n)
		if err != nil || n < len(p) {
			return false
		}
	}
}

// shipped books n bytes of the stream as sent.
func (r *Replica) shipped(n int) {
	if n > 0 {
		r.e.Counters.OutputBytes.Add(int64(n))
		r.cursor.Advance(n)
		r.sent.Add(int64(n))
	}
}

// ended reports whether r was dropped.
func (r *Replica) ended() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// follow sends the stream for ever, with the baton in hand: what is there, and then whatever ship could not. It returns
// when r has ended, and nobody else sends any more.
func (r *Replica) follow() {
	for {
		for {
			p, ok := r.cursor.Next()
			if !ok || r.ended() {
				return
			}
			if p == nil {
				break
			}
			n, err := r.write(p)
			r.shipped(n)
			if err != nil {
				return
			}
		}
		if !r.baton.drop() {
			continue
		}
		select {
		case <-r.goOn:
		case <-r.done:
			if !r.baton.take() { // who has it sees the note, and then that r has ended
				<-r.goOn
			}
			return
		}
	}
}

// relistLocked tells Ship who is online. REQUIRES: e.mu.
func (e *Engine) relistLocked() {
	var list []*Replica
	for _, r := range e.replicas {
		if r.state.fed() {
			list = append(list, r)
		}
	}
	if list == nil {
		e.online.Store(nil)
		return
	}
	e.online.Store(&list)
}
