package link

import (
	"context"
	"errors"
	"net"
	"sync"
)

// Memory is a network inside the process, for tests: listeners by name, connections that are pipes.
type Memory struct {
	mu        sync.Mutex
	listeners map[string]*memoryListener // guarded by mu
}

// NewMemory makes an empty network.
func NewMemory() *Memory { return &Memory{listeners: make(map[string]*memoryListener)} }

var errNobody = errors.New("memory: nobody listens there")

// Listen listens on "host:port" of the network.
func (m *Memory) Listen(addr string) (net.Listener, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.listeners[addr] != nil {
		return nil, errors.New("memory: address taken: " + addr)
	}
	l := &memoryListener{net: m, addr: memoryAddr(addr), queue: make(chan net.Conn), done: make(chan struct{})}
	m.listeners[addr] = l
	return l, nil
}

// Dialer returns a function for Options.Dial whose connections come from host.
func (m *Memory) Dialer(host string) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, addr string) (net.Conn, error) {
		m.mu.Lock()
		l := m.listeners[addr]
		m.mu.Unlock()
		if l == nil {
			return nil, errNobody
		}
		a, b := net.Pipe()
		from := memoryAddr(net.JoinHostPort(host, "0"))
		select {
		case l.queue <- &memoryConn{Conn: b, local: l.addr, remote: from}:
			return &memoryConn{Conn: a, local: from, remote: l.addr}, nil
		case <-l.done:
			return nil, errNobody
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

type memoryAddr string

func (memoryAddr) Network() string  { return "memory" }
func (a memoryAddr) String() string { return string(a) }

type memoryListener struct {
	net   *Memory
	addr  memoryAddr
	queue chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *memoryListener) Close() error {
	l.once.Do(func() {
		l.net.mu.Lock()
		delete(l.net.listeners, string(l.addr))
		l.net.mu.Unlock()
		close(l.done)
	})
	return nil
}

func (l *memoryListener) Addr() net.Addr { return l.addr }

type memoryConn struct {
	net.Conn
	local, remote memoryAddr
}

func (c *memoryConn) LocalAddr() net.Addr  { return c.local }
func (c *memoryConn) RemoteAddr() net.Addr { return c.remote }
