package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/sextantdb/sextant/resp"
	"github.com/stretchr/testify/require"
)

// server runs talk for each connection and returns its address.
func server(t *testing.T, talk func(r *bufio.Reader, nc net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer nc.Close()
				talk(bufio.NewReader(nc), nc)
			}()
		}
	}()
	return l.Addr().String()
}

// script answers requests in order: pairs of an expected request and its reply.
func script(pairs ...string) func(*bufio.Reader, net.Conn) {
	return func(r *bufio.Reader, nc net.Conn) {
		for i := 0; i < len(pairs); i += 2 {
			want := string(resp.AppendCommandStrings(nil, strings.Fields(pairs[i])...))
			got := make([]byte, len(want))
			if _, err := io.ReadFull(r, got); err != nil {
				return
			}
			if string(got) != want {
				fmt.Fprintf(nc, "-ERR expected %q, got %q\r\n", want, got)
				return
			}
			io.WriteString(nc, pairs[i+1])
		}
		io.Copy(io.Discard, r)
	}
}

func dial(t *testing.T, addr string, o Options) *Client {
	t.Helper()
	c, err := Dial(context.Background(), addr, o)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func TestGreetings(t *testing.T) {
	for _, g := range []struct {
		opts   Options
		script []string
	}{
		{Options{}, nil},
		{Options{Password: "pw"}, []string{"AUTH pw", "+OK\r\n"}},
		{Options{Username: "bob", Password: "pw", DB: 3}, []string{"AUTH bob pw", "+OK\r\n", "SELECT 3", "+OK\r\n"}},
		{Options{Proto: 3, Password: "pw", Name: "me"}, []string{"HELLO 3 AUTH default pw", "%0\r\n", "CLIENT SETNAME me", "+OK\r\n"}},
	} {
		c := dial(t, server(t, script(append(g.script, "PING", "+PONG\r\n")...)), g.opts)
		v, err := c.Do("PING")
		require.NoError(t, err)
		require.Equal(t, "PONG", v.Text())
	}
}

func TestRefusedGreetingIsAnError(t *testing.T) {
	_, err := Dial(context.Background(), server(t, script("AUTH pw", "-"+string(resp.ErrWrongPass)+"\r\n")), Options{Password: "pw"})
	var refused resp.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, resp.ErrWrongPass, refused)
}

func TestDialGivesUp(t *testing.T) {
	silent := server(t, func(r *bufio.Reader, _ net.Conn) { io.Copy(io.Discard, r) })
	start := time.Now()
	_, err := Dial(context.Background(), silent, Options{Password: "pw", Timeout: 50 * time.Millisecond})
	require.Error(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(30*time.Millisecond, cancel)
	_, err = Dial(ctx, silent, Options{Password: "pw"})
	require.Error(t, err)
	require.Less(t, time.Since(start), 3*time.Second)
	_, err = Dial(context.Background(), "127.0.0.1:1", Options{})
	require.Error(t, err)
}

func TestErrorRepliesAreValues(t *testing.T) {
	c := dial(t, server(t, script("GET x", "-WRONGTYPE no\r\n", "PING", "+PONG\r\n")), Options{})
	v, err := c.Do("GET", "x")
	require.NoError(t, err)
	require.Equal(t, resp.Error("WRONGTYPE no"), v.Err())
	v, err = c.Do("PING")
	require.NoError(t, err)
	require.Equal(t, "PONG", v.Text())
}

// A server that stops reading until its replies are read must not lock up with a client that sends first and reads later.
func TestPipelineCannotDeadlock(t *testing.T) {
	const n = 20000
	reply := "$1000\r\n" + strings.Repeat("x", 1000) + "\r\n"
	request := resp.AppendCommandStrings(nil, "GET", strings.Repeat("k", 1000))
	c := dial(t, server(t, func(r *bufio.Reader, nc net.Conn) {
		buf := make([]byte, len(request))
		for range n {
			if _, err := io.ReadFull(r, buf); err != nil {
				return
			}
			io.WriteString(nc, reply) // blocks while nobody reads
		}
	}), Options{IOTimeout: 20 * time.Second})
	requests := make([][]string, n)
	for i := range requests {
		requests[i] = []string{"GET", strings.Repeat("k", 1000)}
	}
	replies, err := c.Pipeline(requests)
	require.NoError(t, err)
	require.Len(t, replies, n)
}

func TestPipelineReportsTheBreak(t *testing.T) {
	c := dial(t, server(t, script("A", "+1\r\n", "B", "+2\r\n", "C", "?\r\n")), Options{})
	replies, err := c.Pipeline([][]string{{"A"}, {"B"}, {"C"}, {"D"}})
	require.ErrorIs(t, err, resp.ErrBadReply)
	require.Len(t, replies, 2)
}

func TestTimeoutsAndContext(t *testing.T) {
	silent := server(t, func(r *bufio.Reader, _ net.Conn) { io.Copy(io.Discard, r) })
	c := dial(t, silent, Options{IOTimeout: 30 * time.Millisecond})
	_, err := c.Do("PING")
	var ne net.Error
	require.True(t, errors.As(err, &ne) && ne.Timeout(), "%v", err)

	c = dial(t, silent, Options{})
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	_, err = c.DoContext(ctx, "PING")
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestSettingNoTimeoutRemovesTheOldOne(t *testing.T) {
	c := dial(t, server(t, func(r *bufio.Reader, nc net.Conn) {
		for {
			if _, err := r.ReadString('\n'); err != nil {
				return
			}
			if r.Buffered() == 0 {
				io.WriteString(nc, "+OK\r\n")
			}
		}
	}), Options{IOTimeout: 50 * time.Millisecond})
	_, err := c.Do("PING")
	require.NoError(t, err)
	c.SetIOTimeout(0)
	time.Sleep(80 * time.Millisecond)
	_, err = c.Do("PING")
	require.NoError(t, err)
}

// What a replica does: PSYNC, an announced RDB in either form, then the endless stream.
func TestReplicaLink(t *testing.T) {
	body := strings.Repeat("REDIS0011 data ", 20000)
	mark := strings.Repeat("ab", 20)
	for name, wire := range map[string]string{
		"sized":  fmt.Sprintf("\n\n$%d\r\n%s", len(body), body),
		"marked": "\n$EOF:" + mark + "\r\n" + body + mark,
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, server(t, script("PSYNC ? -1", "+FULLRESYNC abc 17\r\n"+wire+"*1\r\n$4\r\nPING\r\n")), Options{IOTimeout: 10 * time.Second})
			require.NoError(t, c.SendBytes([]byte("PSYNC"), []byte("?"), []byte("-1")))
			require.NoError(t, c.Flush())
			line, err := c.ReceiveLine()
			require.NoError(t, err)
			require.Equal(t, "+FULLRESYNC abc 17", string(line))
			alive := 0
			size, r, err := c.ReceiveBulk(func() { alive++ })
			require.NoError(t, err)
			require.Positive(t, alive)
			if name == "sized" {
				require.EqualValues(t, len(body), size)
			} else {
				require.EqualValues(t, -1, size)
			}
			got, err := io.ReadAll(r)
			require.NoError(t, err)
			require.True(t, string(got) == body)
			stream := make([]byte, 14)
			_, err = io.ReadFull(c.Stream(), stream)
			require.NoError(t, err)
			require.Equal(t, "*1\r\n$4\r\nPING\r\n", string(stream))
		})
	}
}

func TestPushesGoToTheirOwnPlace(t *testing.T) {
	var pushed []string
	c := dial(t, server(t, script("PING", ">2\r\n+invalidate\r\n*1\r\n+k\r\n+PONG\r\n")), Options{OnPush: func(v resp.Value) { pushed = append(pushed, v.Elems[0].Text()) }})
	v, err := c.Do("PING")
	require.NoError(t, err)
	require.Equal(t, "PONG", v.Text())
	require.Equal(t, []string{"invalidate"}, pushed)
}
