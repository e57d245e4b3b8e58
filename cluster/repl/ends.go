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
