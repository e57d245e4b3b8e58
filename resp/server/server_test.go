package server

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/user"
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
	onHouse func(l *Loop)
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

func (t *toy) Housekeeping(l *Loop, tick bool) {
	if t.onHouse != nil {
		t.onHouse(l)
	}
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
	opts := Options{Brisk: true, Bind: []string{"127.0.0.1"}, Port: -1, Settings: DefaultSettings()}
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

// patience is how long a test waits for what must come; it says nothing about how soon it should.
const patience = time.Minute

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
	nc.SetDeadline(time.Now().Add(patience))
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
	c.SetDeadline(time.Now().Add(patience))
}

func request(argv ...string) string { return string(resp.AppendCommandStrings(nil, argv...)) }

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, patience, time.Millisecond, what)
}

func TestAnswersCommands(t *testing.T) {
	s := serve(t, newToy(), nil)
	c := dial(t, s)
	c.send(request("SET", "k", "v") + "PING\r\n" + request("GET", "k") + "\r\n*0\r\n" + `echo "a\x41 b"` + "\n")
	c.expect("+OK\r\n+PONG\r\n$1\r\nv\r\n$4\r\naA b\r\n")
}

// Both kinds of socket must behave alike: a descriptor in the loop's poller, and a net.Conn with two goroutines.
func bothSockets(t *testing.T, test func(t *testing.T, s func(Handler, func(*Options)) *Server, dial func(*Server) *client)) {
	t.Run("descriptor", func(t *testing.T) {
		test(t, func(h Handler, change func(*Options)) *Server { return serve(t, h, change) }, func(s *Server) *client { return dial(t, s) })
	})
	t.Run("stream", func(t *testing.T) {
		test(t, func(h Handler, change func(*Options)) *Server { return serve(t, h, change) }, func(s *Server) *client {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			defer ln.Close()
			nc, err := net.Dial("tcp", ln.Addr().String())
			require.NoError(t, err)
			theirs, err := ln.Accept()
			require.NoError(t, err)
			s.Adopt(theirs) // an error is told to the client
			return wrap(t, nc)
		})
	})
}

func TestPipelinesInAnyFragmentation(t *testing.T) {
	bothSockets(t, func(t *testing.T, serve func(Handler, func(*Options)) *Server, dial func(*Server) *client) {
		s := serve(newToy(), nil)
		stream := request("SET", "k", strings.Repeat("v", 50)) + "PING\r\n" + request("GET", "k") + request("ECHO", "") + "ECHO \"q\\n\"\r\n"
		want := "+OK\r\n+PONG\r\n$50\r\n" + strings.Repeat("v", 50) + "\r\n$0\r\n\r\n$2\r\nq\n\r\n"
		c := dial(s)
		for cut := range len(stream) {
			c.send(stream[:cut])
			if cut%7 == 0 {
				time.Sleep(100 * time.Microsecond) // usually two reads, sometimes one: both must do
			}
			c.send(stream[cut:])
			c.expect(want)
		}
		for i := range stream {
			c.send(stream[i : i+1])
		}
		c.expect(want)
		n := 5000 // many turns' worth at once
		go io.WriteString(c, strings.Repeat(stream, n))
		c.expect(strings.Repeat(want, n))
	})
}

func TestLargeStringsInLinearTime(t *testing.T) {
	bothSockets(t, func(t *testing.T, serve func(Handler, func(*Options)) *Server, dial func(*Server) *client) {
		s := serve(newToy(), nil)
		c := dial(s)
		big := strings.Repeat("0123456789abcdef", 4<<20) // 64 MiB
		start := time.Now()
		go io.WriteString(c, request("SET", "big", big)+request("GET", "big"))
		c.expect("+OK\r\n$67108864\r\n")
		got := make([]byte, len(big)+2)
		_, err := io.ReadFull(c.r, got)
		require.NoError(t, err)
		require.True(t, string(got) == big+"\r\n")
		require.Less(t, time.Since(start), patience, "quadratic would take many minutes")
		eventually(t, "buffers given back", func() bool { return s.Conns()[0].Numbers().BufferBytes < 64<<10 })
	})
}

func TestProtocolErrorIsToldAndEndsTheConnection(t *testing.T) {
	h := newToy()
	var seen atomic.Pointer[ProtocolFailed]
	s := serve(t, h, func(o *Options) {
		o.Events = func(e Event) {
			if p, ok := e.(ProtocolFailed); ok {
				seen.Store(&p)
			}
		}
	})
	c := dial(t, s)
	c.send("PING\r\n*1\r\nfoo\r\nPING\r\n")
	c.expect("+PONG\r\n-ERR Protocol error: expected '$', got 'f'\r\n")
	c.expectEnd()
	require.Equal(t, ErrProtocol, <-h.closed)
	require.Equal(t, resp.ErrProtoExpectedDollar('f'), seen.Load().Err)
	require.EqualValues(t, 1, s.Stats.BadProtocol.Load())
}

func TestBoundsBeforeAuthentication(t *testing.T) {
	h := newToy()
	h.onOpen = func(c *Conn) { c.SetUnauthenticated(true) }
	h.onCmd = func(c *Conn, argv [][]byte) bool {
		if string(argv[0]) == "AUTH" {
			c.SetUnauthenticated(false)
			c.Out.OK()
			return true
		}
		return false
	}
	s := serve(t, h, nil)
	c := dial(t, s)
	c.send("*11\r\n")
	c.expect("-ERR Protocol error: unauthenticated multibulk length\r\n")
	c.expectEnd()
	c = dial(t, s)
	c.send(request("ECHO", strings.Repeat("x", 16385)))
	c.expect("-ERR Protocol error: unauthenticated bulk length\r\n")
	c = dial(t, s)
	c.send(request("AUTH") + request("ECHO", strings.Repeat("x", 16385)))
	c.expect("+OK\r\n$16385\r\n")

	// Replies that are not read before AUTH end the connection, and later ones do not.
	c = dial(t, s)
	for range 2000 {
		if _, err := io.WriteString(c, request("ECHO", strings.Repeat("x", 16000))); err != nil {
			break
		}
	}
	eventually(t, "closed for unread output", func() bool { return s.Stats.UnauthLimit.Load() == 1 })
}

func TestHalfClosedClientGetsItsReplies(t *testing.T) {
	bothSockets(t, func(t *testing.T, serve func(Handler, func(*Options)) *Server, dial func(*Server) *client) {
		h := newToy()
		s := serve(h, nil)
		c := dial(s)
		c.send(strings.Repeat("PING\r\n", 1000))
		require.NoError(t, c.Conn.(*net.TCPConn).CloseWrite())
		c.expect(strings.Repeat("+PONG\r\n", 1000))
		c.expectEnd()
		require.Equal(t, io.EOF, <-h.closed)
	})
}

func TestQuitSendsItsReply(t *testing.T) {
	bothSockets(t, func(t *testing.T, serve func(Handler, func(*Options)) *Server, dial func(*Server) *client) {
		c := dial(serve(newToy(), nil))
		c.send("QUIT\r\nPING\r\n")
		c.expect("+OK\r\n")
		c.expectEnd()
	})
}

func TestMaxClients(t *testing.T) {
	bothSockets(t, func(t *testing.T, serve func(Handler, func(*Options)) *Server, dial func(*Server) *client) {
		h := newToy()
		s := serve(h, func(o *Options) { o.Settings.MaxClients = 2 })
		a, b := dial(s), dial(s)
		a.send("PING\r\n")
		a.expect("+PONG\r\n")
		b.send("PING\r\n")
		b.expect("+PONG\r\n")
		c := dial(s)
		c.expect("-ERR max number of clients reached\r\n")
		c.expectEnd()
		require.EqualValues(t, 1, s.Stats.Rejected.Load())
		require.EqualValues(t, 3, s.Stats.Accepted.Load())
		set := s.Settings()
		set.MaxClients = 3
		require.NoError(t, s.Apply(set))
		c = dial(s)
		c.send("PING\r\n")
		c.expect("+PONG\r\n")
		a.Close()
		<-h.closed
		eventually(t, "room again", func() bool { return s.Stats.Connected.Load() == 2 })
		c = dial(s)
		c.send("PING\r\n")
		c.expect("+PONG\r\n")
	})
}

func TestOutputLimits(t *testing.T) {
	bothSockets(t, func(t *testing.T, serve func(Handler, func(*Options)) *Server, dial func(*Server) *client) {
		var hits atomic.Int64
		h := newToy()
		s := serve(h, func(o *Options) {
			o.Settings.Output[ClassNormal] = OutputLimit{Hard: 20 << 20}
			o.Settings.Output[ClassPubSub] = OutputLimit{Hard: 8 << 20}
			o.Events = func(e Event) {
				if l, ok := e.(LimitHit); ok && l.Why == ErrOutputLimit {
					hits.Add(1)
				}
			}
		})
		h.onOpen = func(c *Conn) { h.data["value"] = make([]byte, 1<<20) }
		c := dial(s)
		c.send(strings.Repeat(request("GET", "value"), 100)) // and reads nothing
		require.Equal(t, ErrOutputLimit, <-h.closed)
		require.EqualValues(t, 1, s.Stats.OutputLimit.Load())

		// Others are not hindered meanwhile, and what others push counts too.
		c = dial(s)
		c.send("PING\r\n")
		c.expect("+PONG\r\n")
		conn := s.Conns()[0]
		conn.SetClass(ClassPubSub)
		message := make([]byte, 100<<10)
		for conn.Push(message) {
		}
		require.Equal(t, ErrOutputLimit, <-h.closed)
		require.EqualValues(t, 2, s.Stats.OutputLimit.Load())
	})
}

func TestSoftOutputLimitNeedsTime(t *testing.T) {
	var now atomic.Int64
	now.Store(1_000_000)
	h := newToy()
	s := serve(t, h, func(o *Options) {
		o.Clock = func() (int64, int64) { return now.Load(), now.Load() * 1e6 }
		o.Settings.Hz = 200
		o.Settings.Output[ClassNormal] = OutputLimit{Soft: 1 << 20, SoftSeconds: 5}
	})
	c := dial(t, s)
	c.send(request("SET", "v", strings.Repeat("x", 1<<20)) + strings.Repeat(request("GET", "v"), 30))
	eventually(t, "output waits", func() bool { return len(s.Conns()) == 1 && s.Conns()[0].Numbers().Omem > 1<<20 })
	waiting := s.Conns()[0].Numbers()
	require.EqualValues(t, uncounted, waiting.Obl)
	require.GreaterOrEqual(t, waiting.BufferBytes, waiting.Obl+waiting.Omem)
	now.Add(5000)
	ticks := h.ticks.Load()
	eventually(t, "looked at", func() bool { return h.ticks.Load() > ticks+5 })
	require.Empty(t, h.closed)
	// The time above the soft limit counts from the round in which it was last reached, which may
	// be a later one than the first that was seen here.
	eventually(t, "closed for the soft limit", func() bool {
		now.Add(1000)
		select {
		case why := <-h.closed:
			require.Equal(t, ErrOutputLimit, why)
			return true
		default:
			return false
		}
	})
}

// A limit below the size of any reply ends those who let much pile up, not who reads a small reply.
func TestSmallRepliesPassAnyOutputLimit(t *testing.T) {
	h := newToy()
	s := serve(t, h, func(o *Options) { o.Settings.Output[ClassNormal] = OutputLimit{Hard: 10} })
	c := dial(t, s)
	c.send(request("SET", "v", strings.Repeat("x", 5000)) + request("GET", "v"))
	c.expect("+OK\r\n$5000\r\n" + strings.Repeat("x", 5000) + "\r\n")
	c.send(request("SET", "v", strings.Repeat("x", 50_000)) + request("GET", "v"))
	require.Equal(t, ErrOutputLimit, <-h.closed)
}

func TestQueryBufferLimit(t *testing.T) {
	h := newToy()
	s := serve(t, h, func(o *Options) { o.Settings.QueryBuffer = 1 << 20 })
	c := dial(t, s)
	go io.WriteString(c, request("SET", "k", strings.Repeat("x", 2<<20)))
	require.Equal(t, ErrQueryLimit, <-h.closed)
	require.EqualValues(t, 1, s.Stats.QueryLimit.Load())

	// A paused client's pipeline is kept, up to the same limit.
	h.onCmd = func(c *Conn, argv [][]byte) bool {
		if string(argv[0]) == "WAIT" {
			c.Pause()
			return true
		}
		return false
	}
	c = dial(t, s)
	c.send("WAIT\r\n")
	go io.WriteString(c, strings.Repeat(request("SET", "k", strings.Repeat("x", 1000)), 2000))
	require.Equal(t, ErrQueryLimit, <-h.closed)
}

func TestPauseKeepsThePipelineInOrder(t *testing.T) {
	bothSockets(t, func(t *testing.T, serve func(Handler, func(*Options)) *Server, dial func(*Server) *client) {
		h := newToy()
		blocked := make(chan *Conn, 1)
		h.onCmd = func(c *Conn, argv [][]byte) bool {
			if string(argv[0]) == "BLPOP" {
				c.Pause()
				blocked <- c
				return true
			}
			return false
		}
		c := dial(serve(h, nil))
		c.send("PING\r\nBLPOP\r\nECHO 1\r\nBLPOP\r\nECHO 2\r\n")
		c.expect("+PONG\r\n")
		conn := <-blocked
		c.expectQuiet()
		c.send("ECHO 3\r\n")
		c.expectQuiet()
		conn.Do(func() {
			conn.Out.Simple("popped")
			conn.Resume()
		})
		c.expect("+popped\r\n$1\r\n1\r\n")
		<-blocked
		conn.Do(func() { conn.Resume() })
		c.expect("$1\r\n2\r\n$1\r\n3\r\n")
	})
}

func TestPausedClientThatLeavesIsNoticed(t *testing.T) {
	h := newToy()
	h.onCmd = func(c *Conn, argv [][]byte) bool { c.Pause(); return true }
	c := dial(t, serve(t, h, nil))
	c.send("BLPOP\r\n")
	eventually(t, "open", func() bool { return h.live.Load() == 1 })
	c.Close()
	require.ErrorIs(t, <-h.closed, io.EOF)
}

// Pushes of many goroutines: each one's arrive in its order, whole, and behind the replies that were there first.
func TestPushOrder(t *testing.T) {
	bothSockets(t, func(t *testing.T, serve func(Handler, func(*Options)) *Server, dial func(*Server) *client) {
		s := serve(newToy(), nil)
		c := dial(s)
		c.send("PING\r\n")
		c.expect("+PONG\r\n")
		conn := s.Conns()[0]
		const pushers, each = 4, 500
		for p := range pushers {
			go func() {
				for i := range each {
					conn.Push(fmt.Appendf(nil, ">%d %d\n", p, i))
				}
			}()
		}
		go io.WriteString(c, strings.Repeat("PING\r\n", each))
		var next [pushers]int
		pongs := 0
		for range pushers*each + each {
			line, err := c.r.ReadString('\n')
			require.NoError(t, err)
			if line == "+PONG\r\n" {
				pongs++
				continue
			}
			var p, i int
			_, err = fmt.Sscanf(line, ">%d %d\n", &p, &i)
			require.NoError(t, err, "torn push %q", line)
			require.Equal(t, next[p], i)
			next[p]++
		}
		require.Equal(t, each, pongs)
	})
}

func TestPushDuringACommandComesBehindItsReply(t *testing.T) {
	h := newToy()
	h.onCmd = func(c *Conn, argv [][]byte) bool {
		c.Out.Simple("reply")
		c.Push([]byte("+push\r\n"))
		c.Out.Simple("more")
		return true
	}
	c := dial(t, serve(t, h, nil))
	c.send("X\r\nX\r\n")
	got := make([]byte, 0, 64)
	for range 6 {
		line, err := c.r.ReadSlice('\n')
		require.NoError(t, err)
		got = append(got, line...)
	}
	require.Equal(t, strings.Repeat("+reply\r\n+more\r\n+push\r\n", 2), string(got))
}

// twoForms is a Message.
type twoForms [2][]byte

func (m twoForms) Form(proto int) []byte { return m[max(proto, 2)-2] }

// Whoever gets a reply from Do, a client that was blocked, gets it before what was pushed after.
func TestPushesComeBehindWhatDoWrites(t *testing.T) {
	h := newToy()
	var asleep *Conn // of the one loop
	h.onCmd = func(c *Conn, argv [][]byte) bool {
		switch string(argv[0]) {
		case "BLPOP":
			asleep = c
			c.Pause()
		case "PUSH":
			asleep.Do(func() {
				asleep.Out.Simple("popped")
				asleep.Resume()
			})
			asleep.PushFrom(c.Loop(), []byte("+invalidate\r\n"))
			c.Out.Int(1)
		}
		return true
	}
	s := serve(t, h, nil)
	blocked, other := dial(t, s), dial(t, s)
	for range 20 {
		blocked.send("BLPOP\r\n")
		eventually(t, "blocked", func() bool {
			asleep := make(chan bool)
			s.Loops()[0].Post(func() { asleep <- s.Conns()[0].Paused() })
			return <-asleep
		})
		other.send("PUSH\r\n")
		other.expect(":1\r\n")
		blocked.expect("+popped\r\n+invalidate\r\n")
	}
}

func TestMessagesFollowTheProtocol(t *testing.T) {
	bothSockets(t, func(t *testing.T, serve func(Handler, func(*Options)) *Server, dial func(*Server) *client) {
		h := newToy()
		long := strings.Repeat("x", 3*chunkBytes)
		m := twoForms{[]byte("*two\r\n"), []byte(">three " + long + "\r\n")}
		h.onCmd = func(c *Conn, argv [][]byte) bool {
			switch string(argv[0]) {
			case "HELLO":
				c.TakePushes()
				c.SetProto(int(argv[1][0] - '0'))
			case "PUBLISH":
				for _, to := range c.Loop().Server().Conns() {
					to.PushMessage(c.Loop(), m)
				}
			case "DROP":
				for _, to := range c.Loop().Server().Conns() {
					to.PushMessage(c.Loop(), twoForms{})
				}
			}
			c.Out.Simple(string(argv[0]))
			return true
		}
		s := serve(h, nil)
		two, three := dial(s), dial(s)
		three.send("HELLO 3\r\n")
		three.expect("+HELLO\r\n")
		two.send("PUBLISH\r\nPUBLISH\r\nDROP\r\n")
		two.expect("+PUBLISH\r\n*two\r\n+PUBLISH\r\n*two\r\n+DROP\r\n")
		three.expect(">three " + long + "\r\n>three " + long + "\r\n")
		three.send("PUBLISH\r\nHELLO 2\r\nPUBLISH\r\n")
		three.expect("+PUBLISH\r\n>three " + long + "\r\n+HELLO\r\n+PUBLISH\r\n*two\r\n")
	})
}

// A long message is kept once, whoever reads slowly.
func TestLongMessagesAreShared(t *testing.T) {
	h := newToy()
	s := serve(t, h, nil)
	dial(t, s).send("PING\r\n")
	eventually(t, "connected", func() bool { return len(s.Conns()) == 1 })
	conn := s.Conns()[0]
	m := twoForms{[]byte(strings.Repeat("x", chunkBytes)), nil}
	waiting := make(chan struct{})
	s.Loops()[0].Post(func() { <-waiting })
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { conn.PushMessage(nil, m) }), 1.0)
	require.EqualValues(t, 101*chunkBytes, conn.Numbers().PushWaiting)
	for i := range conn.mu.chunks {
		require.Same(t, &m[0][0], &conn.mu.chunks[i][0])
	}
	close(waiting)
}

func TestHeldReplies(t *testing.T) {
	bothSockets(t, func(t *testing.T, serve func(Handler, func(*Options)) *Server, dial func(*Server) *client) {
		h := newToy()
		var off atomic.Int64
		h.onCmd = func(c *Conn, argv [][]byte) bool {
			if string(argv[0]) == "WRITE" {
				c.Out.Simple("written")
				c.HoldUntil(off.Add(1))
				return true
			}
			return false
		}
		s := serve(h, nil)
		c := dial(s)
		c.send("ECHO 0\r\nWRITE\r\nECHO 1\r\nWRITE\r\nWRITE\r\nECHO 2\r\n")
		c.expect("$1\r\n0\r\n")
		c.expectQuiet()
		s.Release(1)
		c.expect("+written\r\n$1\r\n1\r\n")
		c.expectQuiet()
		s.Release(5) // beyond what is held
		c.expect("+written\r\n+written\r\n$1\r\n2\r\n")
		c.send("WRITE\r\nWRITE\r\nWRITE\r\n") // 4 and 5 are released already
		c.expect("+written\r\n+written\r\n")
		c.expectQuiet()
		s.Release(3) // nothing goes back
		s.Release(6)
		c.expect("+written\r\n")
		c.send("WRITE\r\n")
		c.expectQuiet()
		conn := s.Conns()[0]
		held := make(chan int, 1)
		conn.Do(func() { held <- conn.Held() })
		require.Equal(t, 1, <-held)
	})
}

func TestBeforeWriteComesBeforeReplies(t *testing.T) {
	h := newToy()
	var executed, synced atomic.Int64
	h.onCmd = func(c *Conn, argv [][]byte) bool { executed.Add(1); return false }
	h.onWrite = func(*Loop) { synced.Store(executed.Load()) }
	s := serve(t, h, nil)
	c := dial(t, s)
	for i := range int64(300) {
		c.send("PING\r\n")
		c.expect("+PONG\r\n")
		require.GreaterOrEqual(t, synced.Load(), i+1)
	}
}

// Release from inside BeforeWrite is the group fsync: the replies of this very round go out in this very round.
func TestGroupCommit(t *testing.T) {
	h := newToy()
	var off int64
	h.onCmd = func(c *Conn, argv [][]byte) bool {
		off++
		c.Out.OK()
		c.HoldUntil(off)
		return true
	}
	h.onWrite = func(l *Loop) { l.Server().Release(off) }
	c := dial(t, serve(t, h, nil))
	for range 100 {
		c.send("WRITE\r\nWRITE\r\n")
		c.expect("+OK\r\n+OK\r\n")
	}
}

func TestDetachHandsOverEverything(t *testing.T) {
	bothSockets(t, func(t *testing.T, serve func(Handler, func(*Options)) *Server, dial func(*Server) *client) {
		h := newToy()
		got := make(chan *Detached, 1)
		h.onCmd = func(c *Conn, argv [][]byte) bool {
			if string(argv[0]) == "PSYNC" {
				c.Out.Simple("CONTINUE")
				d, err := c.Detach()
				if err != nil {
					panic(err)
				}
				got <- d
				return true
			}
			return false
		}
		s := serve(h, nil)
		c := dial(s)
		c.send("PING\r\nPSYNC\r\nREPLCONF ACK 1\r\n")
		d := <-got
		defer d.Conn.Close()
		require.Equal(t, "REPLCONF ACK 1\r\n", string(d.Unread))
		require.True(t, strings.HasSuffix("+PONG\r\n+CONTINUE\r\n", string(d.Unsent)))
		require.Equal(t, ErrDetached, <-h.closed)
		d.Conn.Write(append(d.Unsent, "stream"...))
		c.expect("+PONG\r\n+CONTINUE\r\nstream")
		c.send("later")
		more := make([]byte, 5)
		d.Conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		_, err := io.ReadFull(d.Conn, more)
		require.NoError(t, err)
		require.Equal(t, "later", string(more))
		eventually(t, "forgotten", func() bool { return len(s.Conns()) == 0 && s.Stats.Connected.Load() == 0 })
	})
}

func TestIdleTimeout(t *testing.T) {
	var now atomic.Int64
	now.Store(1_000_000)
	h := newToy()
	h.onCmd = func(c *Conn, argv [][]byte) bool {
		switch string(argv[0]) {
		case "SUBSCRIBE":
			c.SetClass(ClassPubSub)
		case "BLPOP":
			c.Pause()
		case "EXEMPT":
			c.SetNoIdleTimeout(true)
		}
		c.Out.OK()
		return true
	}
	s := serve(t, h, func(o *Options) {
		o.Clock = func() (int64, int64) { return now.Load(), 0 }
		o.Settings.IdleTimeout, o.Settings.Hz = 10, 200
	})
	for _, cmd := range []string{"SUBSCRIBE", "BLPOP", "EXEMPT", "GET"} {
		c := dial(t, s)
		c.send(cmd + "\r\n")
		c.expect("+OK\r\n")
	}
	now.Add(10_000)
	ticks := h.ticks.Load()
	eventually(t, "looked at", func() bool { return h.ticks.Load() > ticks+5 })
	require.Empty(t, h.closed)
	now.Add(1000)
	require.Equal(t, ErrIdle, <-h.closed)
	require.EqualValues(t, 1, s.Stats.IdleClosed.Load())
	ticks = h.ticks.Load()
	eventually(t, "looked at", func() bool { return h.ticks.Load() > ticks+5 })
	require.Empty(t, h.closed)
	require.Len(t, s.Conns(), 3)
}

func TestUnixSocket(t *testing.T) {
	group, err := user.LookupGroupId(strconv.Itoa(os.Getgid())) // the one that anybody may give a file to
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "s.sock")
	require.NoError(t, os.WriteFile(path+"x", nil, 0o600))
	stale, err := net.Listen("unix", path)
	require.NoError(t, err)
	stale.(*net.UnixListener).SetUnlinkOnClose(false)
	stale.Close() // its file stays, as after a crash
	s := serve(t, newToy(), func(o *Options) { o.UnixSocket, o.UnixGroup, o.UnixPerm, o.Port = path, group.Name, 0o700, 0 })
	require.Empty(t, s.TCPAddrs())
	st, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), st.Mode().Perm())
	nc, err := net.Dial("unix", path)
	require.NoError(t, err)
	c := wrap(t, nc)
	c.send("PING\r\n")
	c.expect("+PONG\r\n")
	conn := s.Conns()[0]
	require.Equal(t, path+":0", conn.Addr())
	require.True(t, conn.Unix() && conn.Loopback())
	require.NoError(t, s.Stop(context.Background()))
	require.NoFileExists(t, path)
}

func TestBindAddresses(t *testing.T) {
	s := serve(t, newToy(), func(o *Options) { o.Bind = []string{"127.0.0.1", "-::1", "-192.0.2.1", "-no.such.host.invalid"} })
	require.NotEmpty(t, s.TCPAddrs())
	port := s.TCPAddrs()[0].(*net.TCPAddr).Port

	_, err := net.Dial("tcp", net.JoinHostPort("127.0.0.2", strconv.Itoa(port)))
	require.Error(t, err)
	taken, err := New(Options{Bind: []string{"127.0.0.1"}, Port: port}, newToy())
	require.NoError(t, err)
	var bind *BindError
	require.ErrorAs(t, taken.Listen(), &bind)
	require.Equal(t, port, bind.Port)
	require.NoError(t, taken.Stop(context.Background()))

	missing, err := New(Options{Bind: []string{"192.0.2.1"}, Port: port}, newToy())
	require.NoError(t, err)
	require.ErrorAs(t, missing.Listen(), &bind)
	require.False(t, bind.Optional)
	require.NoError(t, missing.Stop(context.Background()))
}

func TestRebind(t *testing.T) {
	s := serve(t, newToy(), nil)
	old := dial(t, s)
	was := s.TCPAddrs()[0].String()
	require.NoError(t, s.Rebind([]string{"127.0.0.1", "127.0.0.2"}, -1))
	require.Len(t, s.TCPAddrs(), 2)
	require.Equal(t, was, s.TCPAddrs()[0].String())
	require.Error(t, s.Rebind([]string{"127.0.0.1", "192.0.2.1"}, -1))
	require.Len(t, s.TCPAddrs(), 2)
	require.NoError(t, s.Rebind([]string{"127.0.0.2"}, -1))
	require.Len(t, s.TCPAddrs(), 1)
	eventually(t, "old address closed", func() bool {
		nc, err := net.Dial("tcp", was)
		if err == nil {
			nc.Close()
		}
		return err != nil
	})
	c := dial(t, s)
	c.send("PING\r\n")
	c.expect("+PONG\r\n")
	old.send("PING\r\n")
	old.expect("+PONG\r\n")
}

// An address that is part of one listened on now can be had, and when that fails all is as before.
func TestRebindWithinWhatIsOurs(t *testing.T) {
	s := serve(t, newToy(), nil)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr, port := free.Addr().String(), free.Addr().(*net.TCPAddr).Port
	require.NoError(t, free.Close())
	check := func() {
		t.Helper()
		nc, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		defer nc.Close()
		_, err = io.WriteString(nc, "PING\r\n")
		require.NoError(t, err)
		b := make([]byte, 7)
		_, err = io.ReadFull(nc, b)
		require.NoError(t, err)
	}
	require.NoError(t, s.Rebind([]string{"*"}, port))
	check()
	require.NoError(t, s.Rebind([]string{"127.0.0.1"}, port))
	check()
	require.NoError(t, s.Rebind([]string{"*"}, port))
	require.Error(t, s.Rebind([]string{"127.0.0.1", "192.0.2.1"}, port))
	require.Len(t, s.TCPAddrs(), 1)
	check()
}

// Connections come and go on several loops while others talk: a descriptor number is reused at once, and an event or an
// accept must never reach the wrong one.
func TestCloseRaces(t *testing.T) {
	h := newToy()
	s := serve(t, h, func(o *Options) { o.Loops = 3 })
	var wg sync.WaitGroup
	stop := time.Now().Add(time.Second)
	for g := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for n := 0; time.Now().Before(stop); n++ {
				nc, err := net.Dial("tcp", s.TCPAddrs()[0].String())
				if err != nil {
					continue
				}
				c := wrap(t, nc)
				mine := fmt.Sprintf("%d.%d", g, n)
				io.WriteString(c, request("ECHO", mine))
				switch n % 4 {
				case 0: // leaves without reading
				case 1:
					c.Conn.(*net.TCPConn).SetLinger(0) // reset
				default:
					want := string(resp.NewWriter(nil, 2).Swap(nil)) + fmt.Sprintf("$%d\r\n%s\r\n", len(mine), mine)
					got := make([]byte, len(want))
					io.ReadFull(c.r, got)
					if string(got) != want && !strings.HasPrefix(want, strings.TrimRight(string(got), "\x00")) {
						t.Errorf("got %q, want %q", got, want)
					}
				}
				c.Close()
			}
		}()
	}
	for time.Now().Before(stop) {
		for _, c := range s.Conns() {
			c.Push(nil)
			if c.ID()%5 == 0 {
				c.CloseAsync(ErrClosedByServer)
			}
		}
		time.Sleep(time.Millisecond)
	}
	wg.Wait()
	eventually(t, "all closed", func() bool { return h.live.Load() == 0 && s.Stats.Connected.Load() == 0 && len(s.Conns()) == 0 })
}

func TestManyConnections(t *testing.T) {
	s := serve(t, newToy(), func(o *Options) { o.Loops = 2 })
	var clients []*client
	for range 400 {
		clients = append(clients, dial(t, s))
	}
	for range 3 {
		for _, c := range clients {
			c.send("PING\r\n")
		}
		for _, c := range clients {
			c.expect("+PONG\r\n")
		}
	}
	require.Len(t, s.Conns(), 400)
	for _, c := range s.Conns() {
		eventually(t, "idle connections hold no buffers", func() bool { return c.Numbers().BufferBytes == 0 })
	}
}

// One client with a very long pipeline must not keep others waiting for all of it.
func TestLongPipelineSharesTheLoop(t *testing.T) {
	h := newToy()
	var greedy atomic.Int64
	h.onCmd = func(c *Conn, argv [][]byte) bool {
		if len(argv) == 2 {
			greedy.Add(1)
			for end := time.Now().Add(10 * time.Microsecond); time.Now().Before(end); {
			}
		}
		return false
	}
	s := serve(t, h, nil)
	g, c := dial(t, s), dial(t, s)
	const n = 20000
	go io.WriteString(g, strings.Repeat("ECHO x\r\n", n))
	go io.Copy(io.Discard, g.r)
	eventually(t, "begun", func() bool { return greedy.Load() > 10 })
	c.send("PING\r\n")
	c.expect("+PONG\r\n")
	require.Less(t, greedy.Load(), int64(n))
}

func TestStopSendsWhatWasAnswered(t *testing.T) {
	bothSockets(t, func(t *testing.T, serve func(Handler, func(*Options)) *Server, dial func(*Server) *client) {
		h := newToy()
		s := serve(h, nil)
		c, idle := dial(s), dial(s)
		c.send(request("SET", "k", strings.Repeat("x", 8<<20)) + request("GET", "k"))
		c.expect("+OK\r\n$8388608\r\n")
		done := make(chan error, 1)
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			done <- s.Stop(ctx)
		}()
		idle.expectEnd()
		c.expect(strings.Repeat("x", 8<<20) + "\r\n")
		c.expectEnd()
		require.NoError(t, <-done)
		require.Zero(t, h.live.Load())
		require.NoError(t, s.Stop(context.Background()))
	})
}

func TestStopDoesNotWaitForEver(t *testing.T) {
	h := newToy()
	s := serve(t, h, nil)
	c := dial(t, s)
	c.send(request("SET", "k", strings.Repeat("x", 32<<20)) + request("GET", "k")) // and never reads
	eventually(t, "output waits", func() bool { return len(s.Conns()) > 0 && s.Conns()[0].Numbers().Obl > 0 })
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, s.Stop(ctx), context.DeadlineExceeded)
	require.Equal(t, ErrStopped, <-h.closed)
}

func TestTicksWhenIdle(t *testing.T) {
	h := newToy()
	s := serve(t, h, func(o *Options) { o.Settings.Hz = 100 })
	start := h.ticks.Load()
	time.Sleep(300 * time.Millisecond)
	require.InDelta(t, 30, h.ticks.Load()-start, 20)
	require.Less(t, s.Stats.Rounds.Load(), int64(100), "an idle loop only ticks")
	set := s.Settings()
	set.Hz = 10
	require.NoError(t, s.Apply(set))
	start = h.ticks.Load()
	time.Sleep(300 * time.Millisecond)
	require.Less(t, h.ticks.Load()-start, int64(10))
}

func TestPostAndDo(t *testing.T) {
	h := newToy()
	s := serve(t, h, nil)
	c := dial(t, s)
	c.send("PING\r\n")
	c.expect("+PONG\r\n")
	conn := s.Conns()[0]
	for i := range 100 {
		conn.Do(func() { conn.Out.Int(int64(i)) })
	}
	for i := range 100 {
		c.expect(fmt.Sprintf(":%d\r\n", i))
	}
	n := make(chan int, 1)
	conn.Loop().Post(func() {
		count := 0
		conn.Loop().Each(func(*Conn) { count++ })
		n <- count
	})
	require.Equal(t, 1, <-n)
	require.Same(t, conn, s.Conn(conn.ID()))
	conn.CloseAsync(ErrClosedByServer)
	require.Equal(t, ErrClosedByServer, <-h.closed)
	require.False(t, conn.Push([]byte("x")))
	conn.Do(func() { t.Error("ran on a closed connection") })
	eventually(t, "gone", func() bool { return s.Conn(conn.ID()) == nil })
}

func TestCommandsDoNotAllocate(t *testing.T) {
	h := newToy()
	s := serve(t, h, nil)
	c := dial(t, s)
	pipeline := []byte(strings.Repeat(request("SET", "k", "vvvvvvvvvvvvvvvv"), 1000))
	reply := make([]byte, 5*1000)
	round := func() {
		c.Conn.Write(pipeline)
		io.ReadFull(c.Conn, reply)
	}
	round()
	require.Less(t, testing.AllocsPerRun(20, round), 100.0, "per 1000 commands")
}

// Blocked clients have deadlines of milliseconds; ticks are too coarse for them.
func TestWakeAt(t *testing.T) {
	h := newToy()
	var at atomic.Int64
	fired := make(chan int64, 10)
	h.onHouse = func(l *Loop) {
		if d := at.Load(); d != 0 && l.Mono >= d {
			fired <- l.Mono - d
			at.Store(0)
		}
	}
	h.onCmd = func(c *Conn, argv [][]byte) bool {
		l := c.Loop()
		at.Store(l.Mono + 20e6)
		l.WakeAt(l.Mono + 500e6)
		l.WakeAt(l.Mono + 20e6)
		l.WakeAt(l.Mono + 900e6) // later ones do not postpone it
		return true
	}
	s := serve(t, h, func(o *Options) { o.Settings.Hz = 1 })
	c := dial(t, s)
	for range 5 {
		c.send("BLPOP\r\n")
		require.Less(t, <-fired, int64(200e6))
	}
}

func TestPushFromTheSameLoopGoesOutInTheRound(t *testing.T) {
	h := newToy()
	var subscriber *Conn // of the one loop
	h.onCmd = func(c *Conn, argv [][]byte) bool {
		switch string(argv[0]) {
		case "SUBSCRIBE":
			subscriber = c
		case "PUBLISH":
			subscriber.PushFrom(c.Loop(), []byte("+message\r\n"))
		}
		c.Out.Int(1)
		return true
	}
	s := serve(t, h, nil)
	sub, pub := dial(t, s), dial(t, s)
	sub.send("SUBSCRIBE\r\n")
	sub.expect(":1\r\n")
	for range 50 {
		pub.send("PUBLISH\r\n")
		pub.expect(":1\r\n")
		sub.expect("+message\r\n")
	}
}

// What waits for release is bounded: beyond it requests wait, and go on when there is room.
func TestTooManyHoldsStopTheClient(t *testing.T) {
	h := newToy()
	var off atomic.Int64
	h.onCmd = func(c *Conn, argv [][]byte) bool {
		c.Out.Int(1)
		c.HoldUntil(off.Add(1))
		return true
	}
	s := serve(t, h, nil)
	c := dial(t, s)
	const n = maxHolds + 5000
	go io.WriteString(c, strings.Repeat("W\r\n", n))
	eventually(t, "stopped", func() bool { return off.Load() == maxHolds })
	c.expectQuiet()
	require.EqualValues(t, maxHolds, off.Load())
	s.Release(maxHolds / 3)
	c.expect(strings.Repeat(":1\r\n", maxHolds/3))
	require.EqualValues(t, maxHolds, off.Load())
	s.Release(maxHolds)
	eventually(t, "goes on", func() bool { return off.Load() == n })
	s.Release(n)
	c.expect(strings.Repeat(":1\r\n", n-maxHolds/3))
}

// A reader of very much, however fast, must not keep the loop to itself.
func TestLargeRepliesShareTheLoop(t *testing.T) {
	h := newToy()
	var rounds atomic.Int64
	h.onWrite = func(*Loop) { rounds.Add(1) }
	h.onCmd = func(c *Conn, argv [][]byte) bool {
		if len(argv[0]) == 3 {
			c.Out.Raw(make([]byte, 64<<20))
			return true
		}
		return false
	}
	s := serve(t, h, nil)
	c := dial(t, s)
	before := rounds.Load()
	c.send("BIG\r\n")
	_, err := io.CopyN(io.Discard, c.r, 64<<20)
	require.NoError(t, err)
	require.Greater(t, rounds.Load()-before, int64(30))
}

func TestAdoptAfterStop(t *testing.T) {
	s := serve(t, newToy(), nil)
	require.NoError(t, s.Stop(context.Background()))
	a, b := net.Pipe()
	require.Equal(t, ErrStopped, s.Adopt(b))
	_, err := a.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err)
}

// The costliest go first, on whichever loop, those that may not go stay, and the sum is that of the ones left.
func TestClientMemory(t *testing.T) {
	s := serve(t, newToy(), func(o *Options) { o.Loops = 2 })
	fill := func(n int) *client {
		c := dial(t, s)
		c.send(fmt.Sprintf("PING\r\n*2\r\n$%d\r\n%s", n, strings.Repeat("v", n)))
		c.expect("+PONG\r\n")
		return c
	}
	small, kept, large, larger := fill(100<<10), fill(400<<10), fill(200<<10), fill(300<<10)
	waits := func(n int64) { // until all input is read
		t.Helper()
		require.Eventually(t, func() bool {
			var got int64
			for _, c := range s.Conns() {
				got += c.Numbers().Qbuf
			}
			return got == n<<10
		}, 10*time.Second, time.Millisecond)
	}
	waits(1000)
	k := s.Conn(2)
	k.Do(func() { k.SetCost(0, true) })
	set := s.Settings()
	require.Zero(t, s.ClientBytes(), "nobody asks")
	set.CountMemory = true
	require.NoError(t, s.Apply(set))
	require.Greater(t, s.ClientBytes(), int64(1000<<10))
	set.ClientMemory = 620 << 10
	require.Eventually(t, func() bool { return k.keep.Load() }, 10*time.Second, time.Millisecond)
	require.NoError(t, s.Apply(set))
	larger.expectEnd()
	large.expectEnd()
	require.EqualValues(t, 2, s.Stats.Evicted.Load())
	require.Eventually(t, func() bool { return len(s.Conns()) == 2 }, 10*time.Second, time.Millisecond)
	require.Equal(t, s.Conn(1).Memory()+k.Memory(), s.clientBytes.Load())

	// A request that is too large goes before it is executed.
	c := dial(t, s)
	_, _ = io.WriteString(c, fmt.Sprintf("*2\r\n$4\r\nECHO\r\n$%d\r\n%s\r\n", 300<<10, strings.Repeat("v", 300<<10)))
	c.expectEnd()
	waits(500)
	require.EqualValues(t, 3, s.Stats.Evicted.Load())

	// Whoever may not go is not looked at again and again, but when he may.
	set.ClientMemory = 300 << 10
	require.NoError(t, s.Apply(set))
	small.expectEnd()
	require.Greater(t, s.clientBytes.Load(), set.ClientMemory)
	k.Do(func() { k.SetCost(0, false) })
	kept.expectEnd()
	require.Eventually(t, func() bool { return s.clientBytes.Load() == 0 }, 10*time.Second, time.Millisecond)
	require.EqualValues(t, 5, s.Stats.Evicted.Load())
}
