package repl

import "github.com/sextantdb/sextant/resp/session"

// Conn is a replication connection as CLIENT LIST shows it. These connections left the
// server's event loops when replication took them over, but operators look for them there.
type Conn struct {
	Sess            *session.Session
	Addr, LocalAddr string
	CreatedMs       int64
	LastMs          int64 // when the other end last said something
	// UnsentBytes is what a replica has yet to be sent of the stream. The memory is shared
	// by all replicas and the backlog.
	UnsentBytes int64
}

// EachConn calls f for every replica by ascending ID, and for the link to our primary, whose
// ID is 0 and comes first. f must not call the Engine.
func (e *Engine) EachConn(f func(*Conn)) {
	offset := e.Stream.Offset()
	e.mu.Lock()
	defer e.mu.Unlock()
	if l := e.link; l != nil {
		l.connMu.Lock()
		conn := l.conn
		l.connMu.Unlock()
		if conn != nil {
			f(&Conn{
				Sess: l.sess, Addr: conn.RemoteAddr().String(), LocalAddr: conn.LocalAddr().String(),
				CreatedMs: l.since.Load(), LastMs: l.lastIO.Load(),
			})
		}
	}
	for _, r := range e.replicas {
		if r.sess == nil {
			continue
		}
		c := &Conn{
			Sess: r.sess, Addr: r.conn.RemoteAddr().String(), LocalAddr: r.conn.LocalAddr().String(),
			CreatedMs: r.arrived, LastMs: r.ackTime,
		}
		if r.cursor != nil {
			c.UnsentBytes = max(0, offset-r.cursor.Pos())
		}
		f(c)
	}
}

// DropConn ends the replication connection with this ID (CLIENT KILL). The other end may come
// back, and the link to our primary does. It reports whether there was one.
func (e *Engine) DropConn(id int64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if l := e.link; l != nil && l.sess.ID == id {
		l.connMu.Lock()
		defer l.connMu.Unlock()
		if l.conn == nil {
			return false
		}
		_ = l.conn.Close() // a deadline would not do: the reader sets its own before each read
		return true
	}
	for _, r := range e.replicas {
		if r.sess != nil && r.sess.ID == id {
			e.dropLocked(r)
			return true
		}
	}
	return false
}
