package repl

import (
	"slices"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
)

// waiter is a client parked in WAIT or WAITAOF.
type waiter struct {
	offset   int64
	replicas int
	local    int  // WAITAOF: 1 asks for our own file too
	aof      bool // WAITAOF
	ticket   command.Ticket
}

// ackCounts are the replicas' acknowledged offsets, the highest first, so that how many have
// reached an offset is one search for any number of waiters.
type ackCounts []int64

func (a ackCounts) reached(offset int64) int {
	n := 0
	for n < len(a) && a[n] >= offset {
		n++
	}
	return n
}

// acksLocked collects what online replicas have acknowledged: applied, or with fsynced on disk.
func (e *Engine) acksLocked(fsynced bool) ackCounts {
	acks := make(ackCounts, 0, len(e.replicas))
	for _, r := range e.replicas {
		if r.state != replicaOnline {
			continue
		}
		if fsynced {
			acks = append(acks, r.fackOff)
		} else {
			acks = append(acks, r.ackOff)
		}
	}
	slices.SortFunc(acks, func(a, b int64) int {
		switch {
		case a > b:
			return -1
		case a < b:
			return 1
		}
		return 0
	})
	return acks
}

// local is 1 when our own file holds everything up to offset.
func (e *Engine) local(offset int64) int {
	if off, on := e.fsynced(); on && off >= offset {
		return 1
	}
	return 0
}

func (e *Engine) fsynced() (int64, bool) {
	if e.deps.Fsynced == nil {
		return 0, false
	}
	return e.deps.Fsynced()
}

// AOFSynced tells that Fsynced has moved: WAITAOF may be waiting for it.
func (e *Engine) AOFSynced() {
	e.mu.Lock()
	woken := e.wakeWaitersLocked()
	l := e.link
	e.mu.Unlock()
	woken.give()
	if l != nil && l.owesFack.Swap(false) {
		l.askAck()
	}
}

// answers are waits that have come true. They are finished without e.mu, because whoever parks
// clients may have a lock of its own under which it calls Park.Gone.
type answers []func()

func (a answers) give() {
	for _, f := range a {
		f()
	}
}

// wakeWaitersLocked takes out those whose wish has come true; the caller gives the answers when
// it has unlocked. REQUIRES: e.mu.
func (e *Engine) wakeWaitersLocked() (out answers) {
	if len(e.waiters) == 0 {
		return nil
	}
	applied, synced := e.acksLocked(false), e.acksLocked(true)
	left := e.waiters[:0]
	for _, w := range e.waiters {
		acks := applied
		local := 0
		if w.aof {
			if _, on := e.fsynced(); w.local > 0 && !on {
				out = append(out, func() {
					w.ticket.Finish(func(out *resp.Writer) { out.Error(resp.ErrWaitAOFNoAOF) })
				})
				continue
			}
			acks = synced
			local = e.local(w.offset)
		}
		n := acks.reached(w.offset)
		if n < w.replicas || local < w.local {
			left = append(left, w)
			continue
		}
		out = append(out, func() {
			w.ticket.Finish(func(out *resp.Writer) { writeAcks(out, w.aof, local, n) })
		})
	}
	clear(e.waiters[len(left):])
	e.waiters = left
	return out
}

func writeAcks(out *resp.Writer, aof bool, local, replicas int) {
	if aof {
		out.Array(2)
		out.Int(int64(local))
	}
	out.Int(int64(replicas))
}

// wait answers or parks the caller.
func (e *Engine) wait(c *command.Ctx, w *waiter, timeoutMs int64) {
	w.offset = c.Sess.WriteOffset
	now := func() (local, n int) {
		e.mu.Lock()
		defer e.mu.Unlock()
		if w.aof {
			local = e.local(w.offset)
		}
		return local, e.acksLocked(w.aof).reached(w.offset)
	}
	local, n := now()
	if n >= w.replicas && local >= w.local || c.Nested > 0 {
		writeAcks(c.Out, w.aof, local, n)
		return
	}
	w.ticket = c.Park(command.Park{
		Data:      true,
		TimeoutMs: timeoutMs,
		TimedOut: func(out *resp.Writer) {
			local, n := now()
			writeAcks(out, w.aof, local, n)
		},
		Gone: func() {
			e.mu.Lock()
			if i := slices.Index(e.waiters, w); i >= 0 {
				e.waiters = slices.Delete(e.waiters, i, i+1)
			}
			e.mu.Unlock()
		},
	})
	e.mu.Lock()
	e.waiters = append(e.waiters, w)
	woken := e.wakeWaitersLocked() // an acknowledgement may have come since the first look
	e.mu.Unlock()
	woken.give()
	// Whoever ships next asks once for all who began to wait meanwhile.
	e.getackWanted.Store(true)
	if !e.deps.Shipped {
		e.Stream.signal()
	}
}

// finishWaiters ends all waits when we become a replica, as Redis does with every client
// blocked by a primary.
func (e *Engine) finishWaiters() {
	e.mu.Lock()
	all := e.waiters
	e.waiters = nil
	e.mu.Unlock()
	for _, w := range all {
		w.ticket.Finish(func(out *resp.Writer) { out.Error(resp.ErrUnblockedForce) })
	}
}
