package agent

import (
	"errors"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/sextantdb/sextant/resp"
)

const (
	// probers is the number of goroutines that try addresses for CLUSTER PROBE.
	probers = 4
	// maxProbes bounds the probes waiting for one of them.
	maxProbes = 64
	// probeTimeout bounds the attempt to reach one port.
	probeTimeout = 1500 * time.Millisecond
)

// probeCall asks whether this node can reach another's client and bus port, before anything
// about a cluster is written anywhere (sextant cluster create).
type probeCall struct {
	ip          string
	port, cport int
	done        func(reply func(w *resp.Writer)) bool
}

// prober tries addresses, so that neither an event loop nor the agent's loop waits for a dial.
func (a *Agent) prober() {
	defer a.work.Done()
	for {
		select {
		case <-a.quit:
			return
		case p := <-a.probe:
			client, bus := reach(p.ip, p.port), reach(p.ip, p.cport)
			p.done(func(w *resp.Writer) {
				w.Array(2)
				w.BulkString(client)
				w.BulkString(bus)
			})
		}
	}
}

// reach is "ok", or why a port cannot be reached, in a few plain words.
func reach(ip string, port int) string {
	conn, err := net.DialTimeout("tcp", net.JoinHostPort(ip, strconv.Itoa(port)), probeTimeout)
	switch {
	case err == nil:
		conn.Close()
		return "ok"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "no answer within " + probeTimeout.String()
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "no route to host"
	}
	return err.Error()
}
