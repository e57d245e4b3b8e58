package migrate

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/client"
)

// chunk is how much is written under one time limit: a large value over a slow path is no
// broken connection.
const chunk = 64 << 10

// conn is a connection to a target that is not in use.
type conn struct {
	*client.Client
	addr string
	db   int64 // selected there, -1 = not known
	used time.Time
}

// address is a host and port as dialled, IPv6 included.
func address(host, port string) string {
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		return "[" + host + "]:" + port
	}
	return host + ":" + port
}

// take returns a kept connection, or dials.
func (m *Mover) take(addr string, timeout time.Duration) (*conn, error) {
	m.mu.Lock()
	for i := len(m.mu.idle) - 1; i >= 0; i-- {
		if c := m.mu.idle[i]; c.addr == addr {
			m.mu.idle = append(m.mu.idle[:i], m.mu.idle[i+1:]...)
			m.mu.Unlock()
			return c, nil
		}
	}
	m.mu.Unlock()
	o := client.Options{Timeout: timeout}
	if m.opt.LocalAddr != nil {
		o.LocalAddr = m.opt.LocalAddr()
	}
	c, err := client.Dial(m.ctx, addr, o)
	if err != nil {
		return nil, err
	}
	return &conn{Client: c, addr: addr}, nil
}

// keep puts a connection back.
func (m *Mover) keep(c *conn) {
	c.used = time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.closed {
		c.Close()
		return
	}
	m.mu.idle = append(m.mu.idle, c)
	if len(m.mu.idle) > maxIdle {
		m.mu.idle[0].Close()
		m.mu.idle = m.mu.idle[1:]
	}
}

// Idle is how many connections are kept. Any goroutine.
func (m *Mover) Idle() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.mu.idle)
}

func (m *Mover) dropIdle(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.mu.idle) > 0 && now.Sub(m.mu.idle[0].used) > idleFor {
		m.mu.idle[0].Close()
		m.mu.idle = m.mu.idle[1:]
	}
}

func (m *Mover) closeIdle() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.closed = true
	for _, c := range m.mu.idle {
		c.Close()
	}
	m.mu.idle = nil
}

func timedOut(err error) bool {
	var ne net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &ne) && ne.Timeout()
}

// exchange hands the items over and marks those the target has taken. A kept connection may have
// been closed by the other end: when not a single reply came, and not for lack of time, it is
// tried once more.
func (m *Mover) exchange(h *handover) resp.Error {
	for again := true; ; again = false {
		c, err := m.take(h.addr, h.timeout)
		switch {
		case errors.Is(err, syscall.ECONNREFUSED): // Redis notices when it writes
			return errWriting
		case err != nil:
			return errConnect
		}
		stop := context.AfterFunc(m.ctx, func() { c.Close() })
		answer, ioErr, replies := h.talk(c, m.opt.Clustered)
		stop()
		if ioErr == nil {
			m.keep(c)
			return answer
		}
		c.Close()
		var w writeError
		writing := errors.As(ioErr, &w)
		if replies == 0 && again && !timedOut(ioErr) {
			continue
		}
		switch {
		case answer != "":
			return answer
		case writing:
			return errWriting
		}
		return errReading
	}
}

type writeError struct{ error }

// talk sends everything and reads every reply. answer is the first error the target replied;
// err is about the connection, and replies says how many items were answered before.
func (h *handover) talk(c *conn, asking bool) (answer resp.Error, err error, replies int) {
	c.SetIOTimeout(h.timeout)
	var buf []byte
	heads := 0
	if h.auth {
		heads++
		if h.user != "" {
			buf = resp.AppendCommandStrings(buf, "AUTH", h.user, h.pass)
		} else {
			buf = resp.AppendCommandStrings(buf, "AUTH", h.pass)
		}
	}
	if c.db != h.targetDB {
		heads++
		buf = resp.AppendCommandStrings(buf, "SELECT", itoa(h.targetDB))
	}
	sent := make(chan error, 1)
	go func() { sent <- h.send(c, buf, asking) }()
	note := func(v resp.Value) {
		if e := v.Err(); e != nil && answer == "" {
			answer = resp.Error("ERR Target instance replied with error: " + e.Error())
		}
	}
	for range heads {
		var v resp.Value
		if v, err = c.Receive(); err != nil {
			break
		}
		note(v)
	}
	refused := answer != "" // then whatever RESTORE did, it did it in the wrong place
	for i := 0; err == nil && i < len(h.items); i++ {
		var v resp.Value
		if v, err = c.Receive(); err != nil {
			break
		}
		replies++
		note(v)
		h.items[i].taken = v.Err() == nil && !refused
	}
	if err != nil {
		c.Close() // the sender may be waiting for room
	}
	if sendErr := <-sent; sendErr != nil && (err == nil || !timedOut(err)) {
		err = writeError{sendErr}
	}
	if c.db = h.targetDB; answer != "" {
		c.db = -1
	}
	return answer, err, replies
}

func (h *handover) send(c *conn, buf []byte, asking bool) error {
	name := []byte("RESTORE")
	if asking {
		name = []byte("RESTORE-ASKING")
	}
	for i := range h.items {
		it := &h.items[i]
		argv := [][]byte{name, it.key, []byte(itoa(it.ttlMs)), it.payload}
		if h.replace {
			argv = append(argv, []byte("REPLACE"))
		}
		buf = resp.AppendCommand(buf, argv...)
		for len(buf) >= chunk {
			if err := c.SendRaw(buf[:chunk]); err != nil {
				return err
			}
			buf = buf[chunk:]
		}
	}
	if err := c.SendRaw(buf); err != nil {
		return err
	}
	return c.Flush()
}
