package server

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sextantdb/sextant/resp"
	"github.com/stretchr/testify/require"
)

// toy is a handler with a map behind it, and a few commands that pull the server's levers.
type toy struct {
	mu      sync.Mutex
	data    map[string][]byte
	onCmd   func(c *Conn, argv [][]byte) bool // returns true if it answered
	onOpen  func(c *Conn)
	onWrite func(l *Loop)
	closed  chan error
	ticks   atomic.Int64
	live    atomic.Int64
}

func newToy() *toy { return &toy{data: map[string][]byte{}, closed: make(chan error, 4096)} }

func (t *toy) Opened(c *Conn) {
	t.live.Add(1)
	if t.onOpen != nil {
		t.onOpen(c)
	}
}

func (t *toy) Closed(c *Conn, why error) {
	t.live.Add(-1)
	select {
	case t.closed <- why:
	default:
	}
}

func (t *toy) BeforeWrite(l *Loop) {
	if t.onWrite != nil {
		t.onWrite(l)
	}
}

func (t *toy) Housekeeping(_ *Loop, tick bool) {
	if tick {
		t.ticks.Add(1)
	}
}

func (t *toy) Command(c *Conn, argv [][]byte) {
	if t.onCmd != nil && t.onCmd(c, argv) {
		return
	}
	switch {
	case len(argv) == 1 && bytes.EqualFold(argv[0], []byte("ping")):
		c.Out.Simple("PONG")
	case len(argv) == 2 && bytes.EqualFold(argv[0], []byte("echo")):
		c.Out.Bulk(argv[1])
	case len(argv) == 3 && bytes.EqualFold(argv[0], []byte("set")):
		t.mu.Lock()
		if old, ok := t.data[string(argv[1])]; ok && cap(old) >= len(argv[2]) {
			t.data[string(argv[1])] = append(old[:0], argv[2]...)
		} else {
			t.data[string(argv[1])] = bytes.Clone(argv[2])
		}
		t.mu.Unlock()
		c.Out.OK()
	case len(argv) == 2 && bytes.EqualFold(argv[0], []byte("get")):
		t.mu.Lock()
		v, ok := t.data[string(argv[1])]
		if ok {
			c.Out.Bulk(v)
		} else {
			c.Out.Null()
		}
		t.mu.Unlock()
	case len(argv) == 1 && bytes.EqualFold(argv[0], []byte("quit")):
		c.Out.OK()
		c.CloseAfterReply()
	default:
		c.Out.Error(resp.ErrUnknownCommand(argv))
	}
}

func serve(t testing.TB, h Handler, change func(*Options)) *Server {
	t.Helper()
	opts := Options{Bind: []string{"127.0.0.1"}, Port: -1, Settings: DefaultSettings()}
	if change != nil {
		change(&opts)
	}
	s, err := New(opts, h)
	require.NoError(t, err)
	require.NoError(t, s.Listen())
	s.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		s.Stop(ctx)
	})
	return s
}

type client struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

func dial(t testing.TB, s *Server) *client {
	t.Helper()
	nc, err := net.Dial("tcp", s.TCPAddrs()[0].String())
	require.NoError(t, err)
	return wrap(t, nc)
}

func wrap(t testing.TB, nc net.Conn) *client {
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	return &client{t: t, Conn: nc, r: bufio.NewReader(nc)}
}

func (c *client) send(text string) {
	c.t.Helper()
	_, err := io.WriteString(c, text)
	require.NoError(c.t, err)
}

func (c *client) expect(text string) {
	c.t.Helper()
	got := make([]byte, len(text))
	n, err := io.ReadFull(c.r, got)
	require.Equal(c.t, text, string(got[:n]))
	require.NoError(c.t, err)
}

func (c *client) expectEnd() {
	c.t.Helper()
	rest, err := io.ReadAll(c.r)
	require.Empty(c.t, string(rest))
	if err != nil {
		require.Contains(c.t, err.Error(), "reset")
	}
}

func (c *client) expectQuiet() {
	c.t.Helper()
	c.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
	_, err := c.r.ReadByte()
	require.ErrorIs(c.t, err, os.ErrDeadlineExceeded)
	c.SetDeadline(time.Now().Add(20 * time.Second))
}

func request(argv ...string) string { return string(resp.AppendCommandStrings(nil, argv...)) }

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, 10*time.Second, time.Millisecond, what)
}

var _ = fmt.Sprint
var _ = filepath.Join
var _ = strconv.Itoa
var _ = strings.Repeat

func TestAnswersCommands(t *testing.T) {
	s := serve(t, newToy(), nil)
	c := dial(t, s)
	c.send(request("SET", "k", "v") + "PING\r\n" + request("GET", "k") + "\r\n*0\r\n" + `echo "a\x41 b"` + "\n")
	c.expect("+OK\r\n+PONG\r\n$1\r\nv\r\n$4\r\naA b\r\n")
}
