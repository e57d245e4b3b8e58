package dispatch_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/acl"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/command/str"
	"github.com/sextantdb/sextant/resp/dispatch"
	"github.com/sextantdb/sextant/resp/observe"
	"github.com/sextantdb/sextant/resp/server"
	"github.com/sextantdb/sextant/store"
	"github.com/stretchr/testify/require"
)

// stopwatch is a clock that goes on by one with every reading, and an Observer of what calls took.
type stopwatch struct {
	now   atomic.Int64
	calls chan [2]int64 // what a call took, and the clock after it
	swept atomic.Int64  // what the last expire cycle took
}

func (s *stopwatch) read() int64 { return s.now.Add(1) }

func (s *stopwatch) Called(_ int, _ *command.Ctx, ns int64)     { s.calls <- [2]int64{ns, s.now.Load()} }
func (s *stopwatch) Rejected(int, *command.Command, resp.Error) {}

func (s *stopwatch) Worked(event string, ns int64) {
	if event == observe.EventExpireCycle {
		s.swept.Store(ns)
	}
}

// The calls of one turn share a clock reading; what passes between turns is no call's time.
func TestCallsOfATurnAreTimedWithoutGaps(t *testing.T) {
	s, err := store.New(store.Options{})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	table, err := command.New(nil, str.Commands(str.Options{MaxBulk: func() int64 { return 1 << 20 }, LazyExpire: func() bool { return false }}))
	require.NoError(t, err)
	watch := &stopwatch{calls: make(chan [2]int64, 100)}
	d := dispatch.New(dispatch.Options{Table: table, Store: s, ACL: acl.NewList(), Observer: watch, Clock: watch.read, Loops: 1})
	srv, err := server.New(server.Options{Bind: []string{"127.0.0.1"}, Port: -1, Loops: 1, Settings: server.DefaultSettings()}, d)
	require.NoError(t, err)
	require.NoError(t, srv.Listen())
	srv.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = srv.Stop(ctx)
	})
	nc, err := net.Dial("tcp", srv.TCPAddrs()[0].String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = nc.Close() })
	c := &dialed{t: t, Conn: nc}
	for range 3 {
		c.send("SET a 1", "SET b 2", "GET a").want("+OK", "+OK", "$1", "1")
		first, second, third := <-watch.calls, <-watch.calls, <-watch.calls
		require.EqualValues(t, [3]int64{1, 1, 1}, [3]int64{first[0], second[0], third[0]})
		require.EqualValues(t, first[1]+1, second[1], "one reading a call")
		require.EqualValues(t, second[1]+1, third[1], "one reading a call")
		watch.now.Add(1_000_000)
	}
	require.Eventually(t, func() bool { return watch.swept.Load() > 0 }, 10*time.Second, time.Millisecond, "expire cycles are told of")
}
