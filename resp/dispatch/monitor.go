package dispatch

import (
	"errors"
	"strings"
	"time"

	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/session"
)

// Monitor turns the client a handler was called for into a monitor: from now on it gets every
// call in the order of execution, after the reply of the handler.
func (d *Dispatcher) Monitor(c *command.Ctx) error {
	f, ok := c.Conn.(face)
	if !ok {
		return errors.New("a client without a connection cannot monitor")
	}
	c.Sess.Set(session.Monitor)
	d.feed.Add(c.Sess.ID, func(line []byte) { f.c.Push(line) })
	return nil
}

// EndMonitor undoes Monitor (RESET, a closed connection). On the client's loop.
func (d *Dispatcher) EndMonitor(s *session.Session) {
	if s.Any(session.Monitor) {
		s.Clear(session.Monitor)
		d.feed.Remove(s.ID)
	}
}

// tellMonitors shows the call just run. Its handler has taken secrets out of the words.
// Administrators' commands are never shown.
func (w *worker) tellMonitors(cmd *command.Command) {
	if cmd.Flags&(command.Admin|command.SkipMonitor) != 0 {
		return
	}
	from := ""
	if w.ctx.InScript {
		from = "lua"
	}
	w.showMonitors(from, w.ctx.Argv)
}

// showMonitors shows a call; from is where it came from, "" for the client's address.
func (w *worker) showMonitors(from string, argv [][]byte) {
	if c := w.client; from == "" {
		switch {
		case c.conn == nil:
			from = "?:0" // what our primary or a file says
		case c.sess.Any(session.Unix):
			from = "unix:" + strings.TrimSuffix(c.conn.LocalAddr(), ":0")
		default:
			from = c.conn.Addr()
		}
	}
	w.d.feed.Publish(time.Now().UnixMicro(), w.client.sess.DB(), from, argv)
}
