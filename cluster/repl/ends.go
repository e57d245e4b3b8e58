package repl

import "fmt"

// Behind is how many replicas have not acknowledged the whole stream yet. An orderly end waits
// for them.
func (e *Engine) Behind() (n int) {
	end := e.Stream.Offset()
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range e.replicas {
		if r.state == replicaOnline && !r.gone && r.ackOff < end {
			n++
		}
	}
	return n
}

// ChangeID begins a new history that continues no old one, and drops the replicas, which will
// need a full sync (DEBUG CHANGE-REPL-ID).
func (e *Engine) ChangeID() {
	e.deps.Exclusive(func() {
		e.Stream.rebrand(History{ID: e.newID(), ID2: NoID, Second: -1}, false)
	})
	e.dropAll("the replication id was changed on request")
}

// Freeze stops our link to a primary: nothing of it is applied or acknowledged from here on,
// because what there is is being saved for good. thaw takes the link up again. A change of role
// in between ends the matter.
func (e *Engine) Freeze() (thaw func()) {
	e.roleMu.Lock()
	defer e.roleMu.Unlock()
	e.mu.Lock()
	l, started := e.link, e.started
	e.mu.Unlock()
	if l == nil || !started {
		return func() {}
	}
	l.stop()
	<-l.done
	return func() {
		e.roleMu.Lock()
		defer e.roleMu.Unlock()
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.link != l || e.closed {
			return
		}
		next := newLink(e, l.host, l.port)
		e.link = next
		e.goes(func() { next.run(nil) })
	}
}

// TellLagging emits, at an orderly end, which replicas have not got everything and how many have.
func (e *Engine) TellLagging() {
	end := e.Stream.Offset()
	now := e.deps.Now()
	e.mu.Lock()
	all, inSync := 0, 0
	var lines []string
	for _, r := range e.replicas {
		if r.gone {
			continue
		}
		all++
		if r.state == replicaOnline && r.ackOff >= end {
			inSync++
			continue
		}
		lag := int64(0)
		if r.state == replicaOnline {
			lag = (now - r.ackTime) / 1000
		}
		lines = append(lines, fmt.Sprintf("Lagging replica %s reported offset %d behind master, lag=%d, state=%s.",
			r.name(), end-r.ackOff, lag, replicaStateNames[r.state]))
	}
	e.mu.Unlock()
	for _, line := range lines {
		e.emit(EvReplicaLost, "%s", line)
	}
	if all > 0 {
		e.emit(EvReplicaLost, "%d of %d replicas are in sync when shutting down.", inSync, all)
	}
}
