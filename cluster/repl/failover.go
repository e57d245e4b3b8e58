package repl

import (
	"strconv"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
)

// FAILOVER hands the role of the primary to a replica without losing a write: writes are held, a replica that has
// everything is waited for, then we follow it and tell it by PSYNC ... FAILOVER that it is the primary now. What is
// to be done next is decided by failover.next, a function of values; the rest of this file does it.

// failoverState is how far a FAILOVER is, in INFO's words.
type failoverState uint8

const (
	noFailover         failoverState = iota
	failoverWaits                    // for a replica to have everything
	failoverInProgress               // we follow the target, and it has not answered yet
)

var failoverStateNames = [...]string{"no-failover", "waiting-for-sync", "failover-in-progress"}

// failover is one FAILOVER. A value.
type failover struct {
	state    failoverState
	host     string // of the target; "": the first replica that has everything
	port     int
	force    bool  // after the deadline go on although the target lacks something
	deadline int64 // Unix ms; 0: none
	held     bool  // no write is under way any more: the offset stands still
}

// parseFailover reads the words of FAILOVER but ABORT's. The deadline it returns is that of a call at now.
func parseFailover(argv [][]byte, now int64) (f failover, err resp.Error) {
	f.state = failoverWaits
	timeout := int64(0)
	for i := 1; i < len(argv); i++ {
		left := len(argv) - 1 - i
		switch {
		case is(argv[i], "TIMEOUT") && left >= 1 && timeout == 0:
			n, bad := strconv.ParseInt(string(argv[i+1]), 10, 64)
			if bad != nil {
				return f, resp.ErrNotInteger
			}
			if n <= 0 {
				return f, resp.ErrFailoverTimeout
			}
			timeout = n
			f.deadline = now + min(n, 1<<62)
			i++
		case is(argv[i], "TO") && left >= 2 && f.host == "":
			n, bad := strconv.ParseInt(string(argv[i+2]), 10, 64)
			if bad != nil {
				return f, resp.ErrNotInteger
			}
			f.host, f.port = string(argv[i+1]), int(n)
			i += 2
		case is(argv[i], "FORCE") && !f.force:
			f.force = true
		default:
			return f, resp.ErrSyntax
		}
	}
	return f, ""
}

// standing is what counts of a replica.
type standing struct {
	host   string
	port   int
	online bool
	acked  int64
}

// refuse is why f cannot begin on a primary with these replicas; "" when it can.
func (f *failover) refuse(replicas []standing) resp.Error {
	switch {
	case len(replicas) == 0:
		return resp.ErrFailoverNoReplicas
	case f.force && (f.deadline == 0 || f.host == ""):
		return resp.ErrFailoverForce
	case f.host == "":
		return ""
	}
	switch r := f.target(replicas); {
	case r == nil:
		return resp.ErrFailoverNotReplica
	case !r.online:
		return resp.ErrFailoverNotOnline
	}
	return ""
}

// target is the replica that was named, nil if it is not there.
func (f *failover) target(replicas []standing) *standing {
	for i := range replicas {
		if r := &replicas[i]; r.port == f.port && equalFold(r.host, f.host) {
			return r
		}
	}
	return nil
}

// pings reports whether replicas are sent PING while f waits. One without an end could outlast their repl-timeout; a PING
// moves the offset, but who is named by the next acknowledgement has it too. Where there is a deadline, as in Redis, the
// target's time to catch up is not made longer.
func (f *failover) pings() bool { return f.state == failoverWaits && f.deadline == 0 }

// failoverStep is what is to be done now.
type failoverStep uint8

const (
	failoverStay  failoverStep = iota
	failoverGo                 // follow the target
	failoverForce              // the same, though it may lack something
	failoverEnd                // give up
)

// next decides about a FAILOVER that waits (REQUIRES: that it does), at now, when the stream stands at offset. To go on it names the target.
func (f *failover) next(now, offset int64, replicas []standing) (step failoverStep, host string, port int) {
	if f.deadline != 0 && f.deadline <= now {
		if f.force {
			return failoverForce, f.host, f.port
		}
		return failoverEnd, "", 0
	}
	if !f.held {
		return failoverStay, "", 0 // an offset that moves says nothing
	}
	if f.host != "" {
		if r := f.target(replicas); r != nil && r.acked == offset {
			return failoverGo, f.host, f.port
		}
		return failoverStay, "", 0
	}
	for _, r := range replicas {
		if r.acked == offset {
			return failoverGo, r.host, r.port
		}
	}
	return failoverStay, "", 0
}

// standingsLocked are the replicas as a FAILOVER sees them. REQUIRES: e.mu.
func (e *Engine) standingsLocked() []standing {
	all := make([]standing, 0, len(e.replicas))
	for _, r := range e.replicas {
		all = append(all, standing{r.address(), r.port, r.state == replicaOnline, r.ackOff})
	}
	return all
}

func (e *Engine) failoverCommand(c *command.Ctx) {
	if e.deps.ClusterMode {
		c.Fail(resp.ErrFailoverInCluster)
		return
	}
	if len(c.Argv) == 2 && is(c.Argv[1], "ABORT") {
		if !e.abortFailover("Failover manually aborted") {
			c.Fail(resp.ErrFailoverNone)
			return
		}
		c.Out.OK()
		return
	}
	f, err := parseFailover(c.Argv, e.deps.Now())
	if err == "" {
		err = e.startFailover(f)
	}
	if err != "" {
		c.Fail(err)
		return
	}
	c.Out.OK()
}

// startFailover begins f, or says why not.
func (e *Engine) startFailover(f failover) resp.Error {
	e.mu.Lock()
	err := f.refuse(e.standingsLocked())
	switch {
	case e.failover.state != noFailover:
		err = resp.ErrFailoverRuns
	case e.replica.Load():
		err = resp.ErrFailoverOnReplica
	}
	if err != "" {
		e.mu.Unlock()
		return err
	}
	e.failover = f
	e.failoverTurn++
	turn := e.failoverTurn
	e.mu.Unlock()
	if f.host != "" {
		e.emit(EvRole, "FAILOVER requested to %s:%d.", f.host, f.port)
	} else {
		e.emit(EvRole, "FAILOVER requested to any replica.")
	}
	e.later(func() {
		e.roleMu.Lock()
		defer e.roleMu.Unlock()
		if !e.failoverIs(turn) {
			return
		}
		e.PauseFeed(true)
		e.deps.HoldWrites(true)
		e.mu.Lock()
		e.failover.held = e.failoverTurn == turn && e.failover.state == failoverWaits
		e.mu.Unlock()
	})
	return ""
}

// later runs f on a goroutine of its own, unless the Engine is closed.
func (e *Engine) later(f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		e.goes(f)
	}
}

// failoverIs reports whether the FAILOVER under way is that one.
func (e *Engine) failoverIs(turn uint64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.failoverTurn == turn && e.failover.state != noFailover
}

// failingOver reports whether a FAILOVER is under way.
func (e *Engine) failingOver() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.failover.state != noFailover
}

// stepFailover does what the FAILOVER under way asks for at now. By runCron.
func (e *Engine) stepFailover(now int64) {
	offset := e.Stream.Offset()
	e.mu.Lock()
	if e.failover.state != failoverWaits {
		e.mu.Unlock()
		return
	}
	step, host, port := e.failover.next(now, offset, e.standingsLocked())
	if step == failoverGo || step == failoverForce {
		e.failover.state, e.failover.host, e.failover.port = failoverInProgress, host, port
	}
	turn := e.failoverTurn
	e.mu.Unlock()
	switch step {
	case failoverStay:
		return
	case failoverEnd:
		e.abortFailover("Replica never caught up before timeout")
		return
	case failoverForce:
		e.emit(EvRole, "FAILOVER to %s:%d time out exceeded, failing over.", host, port)
	case failoverGo:
		e.emit(EvRole, "Failover target %s:%d is synced, failing over.", host, port)
	}
	e.later(func() {
		e.roleMu.Lock()
		defer e.roleMu.Unlock()
		if e.failoverIs(turn) {
			e.followLocked(host, port)
		}
	})
}

// abortFailover ends the FAILOVER under way without effect: who follows the target already is a primary again. It
// reports false when none is under way. It does not wait.
func (e *Engine) abortFailover(why string) bool {
	e.mu.Lock()
	f := e.failover
	e.failover = failover{}
	e.mu.Unlock()
	if f.state == noFailover {
		return false
	}
	if f.host != "" {
		e.emit(EvRole, "FAILOVER to %s:%d aborted: %s", f.host, f.port, why)
	} else {
		e.emit(EvRole, "FAILOVER to any replica aborted: %s", why)
	}
	e.later(func() {
		e.roleMu.Lock()
		defer e.roleMu.Unlock()
		if f.state == failoverInProgress {
			e.promoteLocked()
		}
		e.letWritesGoLocked()
	})
	return true
}

// letWritesGoLocked ends the hold of a FAILOVER that has ended. REQUIRES: roleMu.
func (e *Engine) letWritesGoLocked() {
	if e.failingOver() {
		return // another has begun
	}
	e.PauseFeed(false)
	e.deps.HoldWrites(false)
}

// handsOver reports whether l is the link over which the FAILOVER under way is to be told to its target.
func (e *Engine) handsOver(l *link) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.link == l && e.failover.state == failoverInProgress
}

// handedOver ends the FAILOVER under way: its target is the primary.
func (e *Engine) handedOver() {
	e.mu.Lock()
	e.failover = failover{}
	e.mu.Unlock()
	e.later(func() {
		e.roleMu.Lock()
		defer e.roleMu.Unlock()
		e.letWritesGoLocked()
	})
}
