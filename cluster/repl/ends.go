package repl

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
		_, offset := e.Stream.History()
		e.Stream.restart(History{ID: e.newID(), ID2: NoID, Second: -1}, offset, false)
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
