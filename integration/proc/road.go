package proc

import (
	"io"
	"net"
	"strconv"
	"sync"
	"testing"
)

// Road is a network between two servers that can be cut.
type Road struct {
	to string
	l  net.Listener

	running sync.WaitGroup

	mu     sync.Mutex
	closed bool       // guarded by mu: nothing gets through
	over   bool       // guarded by mu: the test has ended
	conns  []net.Conn // guarded by mu: both ends of what gets through
}

// NewRoad returns an open road to an address. It ends with the test.
func NewRoad(t testing.TB, to string) *Road {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &Road{to: to, l: l}
	r.running.Add(1)
	go func() {
		defer r.running.Done()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r.enter(c)
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		r.mu.Lock()
		r.over = true
		r.cutLocked()
		r.mu.Unlock()
		r.running.Wait()
	})
	return r
}

// enter takes a connection, and closes it where nothing gets through.
func (r *Road) enter(c net.Conn) {
	d, err := net.Dial("tcp", r.to)
	if err != nil {
		_ = c.Close()
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.over {
		_ = c.Close()
		_ = d.Close()
		return
	}
	r.conns = append(r.conns, c, d)
	for _, way := range [][2]net.Conn{{c, d}, {d, c}} {
		r.running.Add(1)
		go func() {
			defer r.running.Done()
			_, _ = io.Copy(way[0], way[1]) // it ends when either end is closed
			_ = c.Close()
			_ = d.Close()
		}()
	}
}

// Port and Addr are where it begins.
func (r *Road) Port() int    { return r.l.Addr().(*net.TCPAddr).Port }
func (r *Road) Addr() string { return "127.0.0.1:" + strconv.Itoa(r.Port()) }

// Cut ends every connection; new ones get through.
func (r *Road) Cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cutLocked()
}

func (r *Road) cutLocked() {
	for _, c := range r.conns {
		_ = c.Close()
	}
	r.conns = nil
}

// Close is Cut, and nothing gets through until Open.
func (r *Road) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.cutLocked()
}

// Open ends Close.
func (r *Road) Open() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = false
}
