package dispatch_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/acl"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/command/generic"
	lists "github.com/sextantdb/sextant/resp/command/list"
	"github.com/sextantdb/sextant/resp/command/str"
	"github.com/sextantdb/sextant/resp/command/stream"
	"github.com/sextantdb/sextant/resp/command/txn"
	"github.com/sextantdb/sextant/resp/command/zset"
	"github.com/sextantdb/sextant/resp/dispatch"
	"github.com/sextantdb/sextant/resp/server"
	"github.com/sextantdb/sextant/resp/session"
	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/slot"
	"github.com/sextantdb/sextant/store/value"
)

// tape is a Sink that remembers, as lines: "db| CMD arg arg", units separated by "--".
type tape struct {
	mu     sync.Mutex
	lines  []string
	offset int64
}

func (t *tape) Active() bool { return true }

func (t *tape) Append(e *command.Effects) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	begin := 0
	for _, m := range e.Marks {
		t.lines = append(t.lines, words(e.Buf[begin:m.End]))
		begin = m.End
	}
	t.lines = append(t.lines, "--")
	t.offset += int64(len(e.Buf))
	return t.offset
}

func (t *tape) take() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := strings.Join(t.lines, "\n")
	t.lines = nil
	return s
}

// words turns one RESP command into its words.
func words(b []byte) string {
	var out []string
	for i, line := range strings.Split(string(b), "\r\n") {
		if i > 0 && i%2 == 0 && line != "" {
			out = append(out, line)
		}
	}
	return strings.Join(out, " ")
}

type rig struct {
	t    *testing.T
	d    *dispatch.Dispatcher
	s    *store.Store
	acl  *acl.List
	srv  *server.Server
	tape *tape

	gone  atomic.Int64     // tickets whose Gone was called
	stall chan chan func() // one per STALL: what is received ends it
}

// extra are commands that only these tests need.
func extra(r *rig, tickets chan command.Ticket) []command.Command {
	doc := command.Doc{Summary: "test", Complexity: "O(1)"}
	return []command.Command{
		{Name: "PARK", Since: "1", Group: command.Generic, Arity: 2, Args: "ms:int", Reply: "simple", Doc: doc, Run: func(c *command.Ctx) {
			ms, _ := c.Int(1)
			tickets <- c.Park(command.Park{
				Data: true, TimeoutMs: ms, TimedOut: func(w *resp.Writer) { w.Simple("TIMEOUT") }, Gone: func() { r.gone.Add(1) },
			})
		}},
		{Name: "WAITGONE", Since: "1", Group: command.Generic, Arity: 3, Args: "key word", Reply: "simple", Flags: command.ReadOnly | command.Blocking,
			Keys: []command.KeySpec{command.At(1, command.RO)}, Doc: doc, Run: waitGone},
		{Name: "SELECT", Since: "1", Group: command.Connection, Arity: 2, Args: "db:int", Reply: "OK", Doc: doc, Run: func(c *command.Ctx) {
			n, _ := c.Int(1)
			c.Sess.Select(int(n))
			c.Out.OK()
		}},
		{Name: "SWAP", Since: "1", Group: command.Server, Arity: 3, Args: "a b", Reply: "OK", Flags: command.Write | command.WholeDB, Doc: doc, Run: func(c *command.Ctx) {
			a, _ := c.Int(1)
			b, _ := c.Int(2)
			c.Txn.SwapDB(int(a), int(b))
			c.Out.OK()
		}},
		{Name: "FLUSH", Since: "1", Group: command.Server, Arity: 1, Reply: "OK", Flags: command.Write | command.WholeDB, Doc: doc, Run: func(c *command.Ctx) {
			c.Txn.FlushAll()
			c.Out.OK()
		}},
		{Name: "STALL", Since: "1", Group: command.Generic, Arity: 1, Reply: "OK", Doc: doc, Run: func(c *command.Ctx) {
			end := make(chan func())
			r.stall <- end
			(<-end)()
			c.Out.OK()
		}},
		{Name: "RUN", Since: "1", Group: command.Scripting, Arity: 2, Args: "key", Reply: "OK", Flags: command.MayReplicate | command.RunsScript,
			Keys: []command.KeySpec{command.At(1, command.RW)}, Doc: doc, Run: func(c *command.Ctx) { c.Out.OK() }},
		{Name: "RUNSTALL", Since: "1", Group: command.Scripting, Arity: 2, Args: "key", Reply: "OK", Flags: command.MayReplicate | command.RunsScript,
			Keys: []command.KeySpec{command.At(1, command.RW)}, Doc: doc, Run: func(c *command.Ctx) {
				end := make(chan func())
				r.stall <- end
				(<-end)()
				c.Out.OK()
			}},
		{Name: "ASKING", Since: "1", Group: command.Cluster, Arity: 1, Reply: "OK", Doc: doc, Run: func(c *command.Ctx) {
			c.Sess.Set(session.AskingOnce)
			c.Out.OK()
		}},
		{Name: "REPLY", Since: "1", Group: command.Connection, Arity: 2, Args: "mode", Reply: "OK | none", Doc: doc, Run: func(c *command.Ctx) {
			switch string(c.Argv[1]) {
			case "off":
				c.Sess.Set(session.ReplyOff)
			case "on":
				c.Sess.Clear(session.ReplyOff | session.ReplySkip | session.ReplySkipping)
				c.Out.OK()
			case "skip":
				c.Sess.Set(session.ReplySkip)
			}
		}},
	}
}

func newRig(t *testing.T, router dispatch.Router, tickets chan command.Ticket) *rig {
	r := &rig{t: t, acl: acl.NewList(), tape: new(tape), stall: make(chan chan func(), 4)}
	var err error
	r.s, err = store.New(store.Options{Databases: 16, RandSeed: 1})
	require.NoError(t, err)
	no := func() bool { return false }
	limits := value.UsualLimits
	table, err := command.New(nil, str.Commands(str.Options{MaxBulk: func() int64 { return 512 << 20 }, LazyExpire: no}),
		generic.Commands(generic.Options{LFU: no, Compress: no, LazyExpire: no, LazyServerDel: no}), txn.Commands(),
		lists.Commands(lists.Options{Limits: limits}), lists.Blocking(lists.Options{Limits: limits}), zset.Commands(zset.Options{Limits: limits}), zset.Blocking(zset.Options{Limits: limits}), stream.Commands(stream.Options{Limits: limits}), extra(r, tickets))
	require.NoError(t, err)
	r.d = dispatch.New(dispatch.Options{Table: table, Store: r.s, ACL: r.acl, Sink: r.tape, Router: router, Loops: 2})
	r.srv, err = server.New(server.Options{Bind: []string{"127.0.0.1"}, Port: -1, Loops: 2, Settings: server.DefaultSettings()}, r.d)
	require.NoError(t, err)
	require.NoError(t, r.srv.Listen())
	r.srv.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = r.srv.Stop(ctx)
		r.s.Close()
	})
	return r
}

// watched is how many keys are under WATCH.
func (r *rig) watched() int {
	var t store.Txn
	t.BeginAll(r.s, 0)
	defer t.End()
	return t.MemStats().Watched
}

// dialed is a raw client: send writes inline commands, read takes reply lines.
type dialed struct {
	t *testing.T
	net.Conn
	buf  []byte
	last string // see read
}

func (r *rig) dial() *dialed {
	c, err := net.Dial("tcp", r.srv.TCPAddrs()[0].String())
	require.NoError(r.t, err)
	r.t.Cleanup(func() { _ = c.Close() })
	return &dialed{t: r.t, Conn: c}
}

func (c *dialed) send(lines ...string) *dialed {
	_, err := c.Write([]byte(strings.Join(lines, "\r\n") + "\r\n"))
	require.NoError(c.t, err)
	return c
}

// want reads until the replies received are exactly the given lines.
func (c *dialed) want(lines ...string) {
	c.t.Helper()
	want := strings.Join(lines, "\r\n") + "\r\n"
	require.NoError(c.t, c.SetReadDeadline(time.Now().Add(5*time.Second)))
	for len(c.buf) < len(want) {
		b := make([]byte, 4096)
		n, err := c.Read(b)
		c.buf = append(c.buf, b[:n]...)
		if err != nil {
			require.NoError(c.t, err, "got %q, want %q", c.buf, want)
		}
	}
	require.Equal(c.t, want, string(c.buf[:len(want)]))
	c.buf = c.buf[len(want):]
}

// read takes n bytes into last.
func (c *dialed) read(n int) {
	c.t.Helper()
	require.NoError(c.t, c.SetReadDeadline(time.Now().Add(5*time.Second)))
	b := make([]byte, n)
	_, err := io.ReadFull(c, b)
	require.NoError(c.t, err)
	c.last = string(b)
}

func TestPlainCommandsAndTheirStream(t *testing.T) {
	r := newRig(t, nil, nil)
	c := r.dial()
	c.send("SET a 1", "INCR a", "GET a", "GETDEL a", "GET a", "NOSUCH x", "GET", "SET a").want(
		"+OK", ":2", "$1", "2", "$1", "2", "$-1", "-ERR unknown command 'NOSUCH', with args beginning with: 'x' ",
		"-ERR wrong number of arguments for 'get' command", "-ERR wrong number of arguments for 'set' command")
	assert.Equal(t, "SET a 1\n--\nINCR a\n--\nDEL a\n--", r.tape.take())
	assert.EqualValues(t, 5, r.d.Commands(), "refused calls are not run")
}

func TestTransactionIsOneUnit(t *testing.T) {
	r := newRig(t, nil, nil)
	c := r.dial()
	c.send("MULTI", "SET a 1", "GET a", "SET b 2", "EXEC").want("+OK", "+QUEUED", "+QUEUED", "+QUEUED", "*3", "+OK", "$1", "1", "+OK")
	assert.Equal(t, "SET a 1\nSET b 2\n--", r.tape.take())
	c.send("MULTI", "SET", "SET a 5", "EXEC", "GET a").want("+OK", "-ERR wrong number of arguments for 'set' command", "+QUEUED",
		"-EXECABORT Transaction discarded because of previous errors.", "$1", "1")
}

func TestWatchSeesOtherClients(t *testing.T) {
	r := newRig(t, nil, nil)
	a, b := r.dial(), r.dial()
	a.send("WATCH k", "MULTI", "SET k mine").want("+OK", "+OK", "+QUEUED")
	b.send("SET k theirs").want("+OK")
	a.send("EXEC", "GET k").want("*-1", "$6", "theirs")
	a.send("WATCH k", "MULTI", "SET k mine", "EXEC", "GET k").want("+OK", "+OK", "+QUEUED", "*1", "+OK", "$4", "mine")
	a.send("WATCH k").want("+OK")
	require.NoError(t, a.Close())
	require.Eventually(t, func() bool { return r.watched() == 0 }, 5*time.Second, time.Millisecond, "a closed client gives its watches back")
}

func TestExpiredKeyLeavesAsDelBeforeTheCommand(t *testing.T) {
	r := newRig(t, nil, nil)
	r.d.SetActiveExpire(false)
	c := r.dial()
	c.send("SET k v PX 1").want("+OK")
	r.tape.take()
	time.Sleep(5 * time.Millisecond) // the expiry is wall time
	c.send("APPEND k x", "GET k").want(":1", "$1", "x")
	assert.Equal(t, "DEL k\nAPPEND k x\n--", r.tape.take())
}

func TestActiveExpiryIsPublished(t *testing.T) {
	r := newRig(t, nil, nil)
	c := r.dial()
	c.send("SET k v PX 1").want("+OK")
	require.Eventually(t, func() bool { return r.s.DBSize(0) == 0 }, 5*time.Second, time.Millisecond)
	assert.True(t, strings.HasSuffix(r.tape.take(), "DEL k\n--"))
	c.send("SET k v PX 1").want("+OK")
	r.d.SetView(store.ViewReplica)
	time.Sleep(300 * time.Millisecond) // three rounds of housekeeping must leave the key alone
	c.send("GET k").want("$-1")
	assert.EqualValues(t, 1, r.s.DBSize(0), "a replica hides the key and waits for its primary")
}

// A key whose time has come may be met by whoever runs no call: its deletion is told all the same.
func TestExpiryOutsideCallsIsPublished(t *testing.T) {
	sb := &switchboard{}
	r := newRig(t, sb, nil)
	r.d.SetActiveExpire(false)
	c := r.dial()
	expired := func() {
		c.send("SET k v PX 1").want("+OK")
		time.Sleep(5 * time.Millisecond) // the expiry is wall time
		r.tape.take()
	}

	expired()
	var slots slot.Set
	slots.Add(slot.OfString("k"))
	r.d.NewUnits().Run(time.Now().UnixMilli(), 0, &slots, func(c *command.Ctx) { assert.False(t, c.Txn.Delete([]byte("k"))) })
	assert.Equal(t, "DEL k\n--", r.tape.take(), "handing over keys")

	expired()
	sb.set(command.Verdict{Kind: command.Migrating, Err: resp.ErrAsk(7, "h", 1)})
	c.send("GET k").want("-ASK 7 h:1")
	sb.set(command.Verdict{})
	c.send("GET k").want("$-1")
	assert.Equal(t, "DEL k\n--", r.tape.take(), "a look at what is here of a slot that moves")

	expired()
	r.d.SetMemory(dispatch.Memory{MaxBytes: 1, Policy: store.AllKeysLRU, Samples: 5})
	c.send("GET none").want("$-1")
	assert.Equal(t, "DEL k\n--", r.tape.take(), "eviction")
	assert.Zero(t, r.d.Stats.Evicted.Load())
}

func TestGates(t *testing.T) {
	r := newRig(t, nil, nil)
	c := r.dial()
	for _, g := range []struct {
		gate        dispatch.Gate
		write, read string
	}{
		{dispatch.GateReadOnly, "-" + string(resp.ErrReadOnly), "$-1"},
		{dispatch.GateReplicas, "-" + string(resp.ErrNoReplicas), "$-1"},
		{dispatch.GateStale, "-" + string(resp.ErrMasterDown), "-" + string(resp.ErrMasterDown)},
		{dispatch.GateLoading, "-" + string(resp.ErrLoading), "-" + string(resp.ErrLoading)},
	} {
		r.d.SetGate(g.gate, true)
		c.send("SET k v", "GET k").want(g.write, g.read)
		r.d.SetGate(g.gate, false)
	}
	r.d.SetMisconf(resp.ErrMisconfRDB)
	c.send("SET k v", "GET k").want("-"+string(resp.ErrMisconfRDB), "$-1")
	r.d.SetMisconf("")
	c.send("MULTI", "SET k v").want("+OK", "+QUEUED")
	r.d.SetGate(dispatch.GateReadOnly, true)
	c.send("EXEC", "GET k").want("-EXECABORT Transaction discarded because of: "+strings.TrimPrefix(string(resp.ErrReadOnly), "ERR "), "$-1")
}

func TestMaxmemory(t *testing.T) {
	r := newRig(t, nil, nil)
	c := r.dial()
	c.send("SET a " + strings.Repeat("x", 3000)).want("+OK")
	r.d.SetMemory(dispatch.Memory{MaxBytes: 1, Samples: 5})
	c.send("SET b 1", "GET b", "DEL a").want("-"+string(resp.ErrOOM), "$-1", ":1")
	r.d.SetMemory(dispatch.Memory{})
	for i := range 200 {
		c.send("SET k" + string(rune('a'+i%26)) + strings.Repeat("y", i) + " " + strings.Repeat("x", 2000)).want("+OK")
	}
	limit := r.s.UsedBytes() - 100<<10
	r.d.SetMemory(dispatch.Memory{MaxBytes: limit, Policy: store.AllKeysLRU, Samples: 5})
	c.send("SET z 1").want("+OK")
	assert.LessOrEqual(t, r.s.UsedBytes(), limit+4096)
	assert.Positive(t, r.d.Stats.Evicted.Load())
}

func TestAuth(t *testing.T) {
	r := newRig(t, nil, nil)
	r.acl.RequirePass("pw")
	c := r.dial()
	c.send("GET k", "NOSUCH").want("-"+string(resp.ErrNoAuth), "-ERR unknown command 'NOSUCH', with args beginning with: ")
}

func TestParkedClient(t *testing.T) {
	tickets := make(chan command.Ticket, 4)
	r := newRig(t, nil, tickets)
	c := r.dial()
	c.send("PARK 0", "GET k") // the GET waits behind
	ticket := <-tickets
	assert.EqualValues(t, 1, r.d.Stats.Blocked.Load())
	assert.True(t, ticket.Finish(func(w *resp.Writer) { w.Simple("WOKEN") }))
	assert.False(t, ticket.Finish(func(w *resp.Writer) { w.Simple("TWICE") }))
	c.want("+WOKEN", "$-1")
	c.send("PARK 20", "GET k").want("+TIMEOUT", "$-1")
	c.send("PARK 0")
	<-tickets
	<-tickets
	require.Eventually(t, func() bool { return r.d.Unblock(1, resp.ErrUnblocked) }, 5*time.Second, time.Millisecond)
	c.want("-" + string(resp.ErrUnblocked))
	assert.Zero(t, r.d.Stats.Blocked.Load())
	c.send("PARK 0")
	<-tickets
	require.NoError(t, c.Close())
	require.Eventually(t, func() bool { return r.d.Stats.Blocked.Load() == 0 }, 5*time.Second, time.Millisecond)
}

func TestPauseHoldsWritesAndLetsThemGo(t *testing.T) {
	r := newRig(t, nil, nil)
	a, b := r.dial(), r.dial()
	r.d.HoldWrites(dispatch.HoldHandover, true, time.Now().UnixMilli())
	a.send("SET k v", "GET k")
	b.send("GET k").want("$-1")
	require.Eventually(t, func() bool { return r.d.Stats.Blocked.Load() == 1 }, 5*time.Second, time.Millisecond)
	r.d.HoldWrites(dispatch.HoldHandover, false, time.Now().UnixMilli())
	a.want("+OK", "$1", "v")
	r.d.Pause(dispatch.PauseAll, 30)
	b.send("GET k").want("$1", "v") // answered when the pause ends by itself
}

// Writes to keys that are being handed to another node wait; the rest goes on. What waited walks anew
// and finds the key gone.
func TestKeysUnderWay(t *testing.T) {
	r := newRig(t, nil, nil)
	a, b, c := r.dial(), r.dial(), r.dial()
	a.send("SET k v", "SET other v").want("+OK", "+OK")
	var txn store.Txn
	txn.Begin(r.s, time.Now().UnixMilli(), slot.Of([]byte("k")))
	r.d.HoldKeys(0, [][]byte{[]byte("k")})
	txn.End()
	a.send("INCR k") // would fail: it holds a string that is no number
	c.send("MULTI", "SET k w", "SET other x", "EXEC").read(len("+OK\r\n+QUEUED\r\n+QUEUED\r\n"))
	b.send("GET k", "SET other w", "EXISTS k other").want("$1", "v", "+OK", ":2")
	require.Eventually(t, func() bool { return r.d.Stats.Blocked.Load() == 2 }, 5*time.Second, time.Millisecond)
	b.send("SELECT 1", "SET k elsewhere", "SELECT 0").want("+OK", "+OK", "+OK")

	r.tape.take()
	var slots slot.Set
	slots.Add(slot.Of([]byte("k")))
	units := r.d.NewUnits()
	r.d.HoldWrites(dispatch.HoldHandover, true, time.Now().UnixMilli())
	assert.False(t, units.Run(time.Now().UnixMilli(), 0, &slots, func(*command.Ctx) { t.Error("while writes are held") }))
	r.d.HoldWrites(dispatch.HoldHandover, false, time.Now().UnixMilli())
	require.True(t, units.Run(time.Now().UnixMilli(), 0, &slots, func(c *command.Ctx) {
		assert.True(t, c.Txn.Delete([]byte("k")))
		c.PropagateAs([]byte("DEL"), []byte("k"))
	}))
	assert.Equal(t, "DEL k\n--", r.tape.take())
	r.d.LetKeysGo(0, [][]byte{[]byte("k")})
	a.want(":1")
	require.Eventually(t, func() bool { return r.d.Stats.Blocked.Load() == 0 }, 5*time.Second, time.Millisecond)
	c.want("*2", "+OK", "+OK")
	b.send("SET k z").want("+OK")

	// A client that goes while it waits is forgotten.
	r.d.HoldKeys(0, [][]byte{[]byte("k")})
	gone := r.dial()
	gone.send("SET k y")
	require.Eventually(t, func() bool { return r.d.Stats.Blocked.Load() == 1 }, 5*time.Second, time.Millisecond)
	_ = gone.Close()
	require.Eventually(t, func() bool { return r.d.Stats.Blocked.Load() == 0 }, 5*time.Second, time.Millisecond)
	r.d.LetKeysGo(0, [][]byte{[]byte("k")})
	b.send("GET k").want("$1", "z")
}

// TestHoldWritesIsAFence: once it has returned no write is under way, whatever the clients do.
func TestReplicaAppliesAfterThePause(t *testing.T) {
	r := newRig(t, nil, nil)
	r.d.AwaitUnpaused(nil) // there is none
	r.d.Pause(dispatch.PauseWrites, 1e6)
	done, applied := make(chan struct{}), make(chan int, 2)
	go func() { r.d.AwaitUnpaused(done); applied <- 1 }()
	go func() { r.d.AwaitUnpaused(nil); applied <- 2 }()
	close(done) // the link is given up
	assert.Equal(t, 1, <-applied)
	assert.Empty(t, applied)
	r.d.Unpause()
	assert.Equal(t, 2, <-applied)
}

// A replica leaves its primary's keys alone; those its own clients made go when their time comes.
func TestWritableReplicaExpiresItsOwnKeys(t *testing.T) {
	r := newRig(t, nil, nil)
	r.d.SetView(store.ViewReplica)
	r.d.TrackOwnExpiry(true)
	a := r.d.NewApplier(session.Primary)
	for _, key := range []string{"theirs", "both"} {
		require.NoError(t, a.Apply([][]byte{[]byte("SET"), []byte(key), []byte("v"), []byte("PX"), []byte("1")}))
	}
	c := r.dial()
	c.send("SET mine v PX 50", "SET both v PX 1", "SET kept v PX 100000", "PERSIST kept", "SET later v PX 100000").want("+OK", "+OK", "+OK", ":1", "+OK")
	require.Eventually(t, func() bool { return r.s.DBSize(0) == 3 && r.d.Stats.OwnExpires.Load() == 1 }, 5*time.Second, time.Millisecond)
	c.send("EXISTS mine both kept later theirs").want(":2")
	assert.EqualValues(t, 2, r.s.Stats().ExpiredKeys)
	r.d.TrackOwnExpiry(false) // a primary again, or read-only
	require.Eventually(t, func() bool { return r.d.Stats.OwnExpires.Load() == 0 }, 5*time.Second, time.Millisecond)
}

func TestHoldWritesIsAFence(t *testing.T) {
	r := newRig(t, nil, nil)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 4 {
		c := r.dial()
		wg.Add(1)
		go func() {
			defer wg.Done()
			b := make([]byte, 4096)
			for {
				select {
				case <-stop:
					return
				default:
				}
				_, _ = c.Write([]byte("INCR k" + string(rune('a'+i)) + "\r\n"))
				_ = c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
				_, _ = c.Read(b)
			}
		}()
	}
	for range 50 {
		r.d.HoldWrites(dispatch.HoldHandover, true, time.Now().UnixMilli())
		before := r.s.Stats().Changes
		time.Sleep(time.Millisecond) // gives a write that slipped through the time to show
		assert.Equal(t, before, r.s.Stats().Changes)
		r.d.HoldWrites(dispatch.HoldHandover, false, time.Now().UnixMilli())
		time.Sleep(time.Millisecond)
	}
	close(stop)
	wg.Wait()
}

func TestReplyModes(t *testing.T) {
	r := newRig(t, nil, nil)
	c := r.dial()
	c.send("REPLY skip", "SET a 1", "GET a").want("$1", "1")
	c.send("REPLY skip", "REPLY on", "GET a").want("+OK", "$1", "1")
	c.send("REPLY skip", "REPLY skip", "GET a", "GET none").want("$-1")
	c.send("REPLY off", "SET a 2", "GET a", "REPLY on", "GET a").want("+OK", "$1", "2")
}

// While clients are paused nothing changes: a key whose time has come is gone for who reads, and
// is deleted and counted only afterwards.
func TestNothingExpiresDuringAPause(t *testing.T) {
	r := newRig(t, nil, nil)
	c := r.dial()
	c.send("SET k v PX 1").want("+OK")
	r.d.SetActiveExpire(false)
	r.d.Pause(dispatch.PauseWrites, 60_000)
	require.Eventually(t, func() bool {
		c.send("EXISTS k").read(4)
		return c.last == ":0\r\n"
	}, 5*time.Second, time.Millisecond)
	assert.EqualValues(t, 1, r.s.DBSize(0))
	assert.Zero(t, r.s.Stats().ExpiredKeys)
	r.d.Unpause()
	r.tape.take()
	c.send("EXISTS k").want(":0")
	assert.Equal(t, "DEL k\n--", r.tape.take())
	assert.EqualValues(t, 1, r.s.Stats().ExpiredKeys)
}

// EXEC is refused where one of its commands would be, and is over then, also when there was no MULTI.
func TestExecIsRefusedLikeItsCommands(t *testing.T) {
	r := newRig(t, nil, nil)
	c := r.dial()
	c.send("EXEC now").want("-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command")
	c.send("MULTI", "GET k").want("+OK", "+QUEUED")
	r.d.SetGate(dispatch.GateStale, true)
	c.send("EXEC", "EXEC").want("-EXECABORT Transaction discarded because of: "+string(resp.ErrMasterDown), "-ERR EXEC without MULTI")
}

// switchboard is a Router with one verdict per slot group, changed by tests.
type switchboard struct {
	mu      sync.Mutex
	version uint64
	verdict command.Verdict
	asked   []command.RouteQuery
	onRoute func()
}

func (s *switchboard) Version() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.version
}

func (s *switchboard) Route(q command.RouteQuery) command.Verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, q)
	v := s.verdict
	if s.onRoute != nil {
		s.onRoute()
	}
	return v
}

func (s *switchboard) set(v command.Verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.verdict = v
	s.version++
}

func TestRouting(t *testing.T) {
	sb := &switchboard{}
	r := newRig(t, sb, nil)
	c := r.dial()
	c.send("SET {t}a 1", "MGET {t}a {t}b", "MGET a b").want("+OK", "*2", "$1", "1", "$-1", "-"+string(resp.ErrCrossSlot))
	moved := resp.ErrMoved(7, "h", 1)
	sb.set(command.Verdict{Kind: command.Refuse, Err: moved})
	c.send("GET {t}a", "MULTI", "GET {t}a", "EXEC").want("-MOVED 7 h:1", "+OK", "-MOVED 7 h:1", "-EXECABORT Transaction discarded because of previous errors.")
	sb.set(command.Verdict{})
	c.send("MULTI", "GET {t}a").want("+OK", "+QUEUED")
	sb.set(command.Verdict{Kind: command.Refuse, Err: moved})
	c.send("EXEC", "EXEC").want("-MOVED 7 h:1", "-ERR EXEC without MULTI")
	ask := resp.ErrAsk(7, "h", 1)
	sb.set(command.Verdict{Kind: command.Migrating, Err: ask})
	c.send("GET {t}a", "GET {t}none", "MGET {t}a {t}none", "MGET {t}x {t}y").want("$1", "1", "-ASK 7 h:1", "-"+string(resp.ErrTryAgain), "-ASK 7 h:1")
	sb.set(command.Verdict{Kind: command.Importing})
	c.send("SET {t}new 1", "MGET {t}a {t}none").want("+OK", "-"+string(resp.ErrTryAgain))
	sb.mu.Lock()
	sb.asked = nil
	sb.mu.Unlock()
	c.send("ASKING", "GET {t}a", "GET {t}a").want("+OK", "$1", "1", "$1", "1")
	c.send("ASKING", "MULTI", "SET {t}tx 1", "EXPIRE {t}tx 100", "EXEC", "GET {t}a").want("+OK", "+OK", "+QUEUED", "+QUEUED", "*2", "+OK", ":1", "$1", "1")
	c.send("ASKING", "MULTI", "SET {t}b 1", "SET {t}c 1", "EXEC").want("+OK", "+OK", "+QUEUED", "+QUEUED", "-"+string(resp.ErrTryAgain))
	c.send("ASKING", "MULTI", "DISCARD", "GET {t}a").want("+OK", "+OK", "+OK", "$1", "1")
	sb.mu.Lock()
	defer sb.mu.Unlock()
	var asking []bool
	for _, q := range sb.asked {
		asking = append(asking, q.Asking)
	}
	assert.Equal(t, []bool{
		true, false, // ASKING holds for one command,
		true, true, true, false, // or, to the end, for the transaction that this command begins
		true, true, true,
		false,
	}, asking)
}

// TestViewIsComparedUnderTheLock: a slot that moves between routing and locking is routed again.
func TestViewIsComparedUnderTheLock(t *testing.T) {
	sb := &switchboard{}
	moves := 1
	sb.onRoute = func() { // under sb.mu: the view changes right after the verdict was given
		if moves > 0 {
			moves--
			sb.verdict = command.Verdict{Kind: command.Refuse, Err: resp.ErrMoved(7, "h", 1)}
			sb.version++
		}
	}
	r := newRig(t, sb, nil)
	r.dial().send("SET k v").want("-MOVED 7 h:1")
	assert.Zero(t, r.s.DBSize(0))
}

func TestApplierObeysWithoutPropagating(t *testing.T) {
	r := newRig(t, nil, nil)
	r.d.SetGate(dispatch.GateReadOnly, true)
	r.d.SetView(store.ViewReplica)
	a := r.d.NewApplier(session.Primary)
	argv := func(s string) (out [][]byte) {
		for _, w := range strings.Fields(s) {
			out = append(out, []byte(w))
		}
		return out
	}
	for _, line := range []string{"SET a 1", "MULTI", "INCR a", "INCR a", "EXEC", "SET old v PXAT 1"} {
		require.NoError(t, a.Apply(argv(line)), line)
	}
	assert.Error(t, a.Apply(argv("INCR old")))
	r.dial().send("GET a", "GET old").want("$1", "3", "$-1")
	assert.Empty(t, r.tape.take())
	assert.EqualValues(t, 2, r.s.DBSize(0))
}

// What an Applier is told ahead is a hint: it may be too little, incomplete, wrong, or never come.
func TestApplierIsToldWhatComes(t *testing.T) {
	r := newRig(t, nil, nil)
	a := r.d.NewApplier(session.Primary)
	var stream []byte
	var units [][][]byte
	for i := range 100 {
		argv := [][]byte{[]byte("INCRBY"), fmt.Appendf(nil, "k%d", i%7), []byte("1")}
		units = append(units, argv)
		stream = resp.AppendCommand(stream, argv...)
	}
	for i, argv := range units {
		switch i % 10 {
		case 0:
			a.Ahead(stream[:len(stream)/2+i%3], 32)
		case 5:
			a.Ahead([]byte("*3\r\n$rubbish"), 32)
		case 8:
			a.Ahead(stream, 1)
		}
		require.NoError(t, a.Apply(argv))
	}
	r.dial().send("GET k0", "GET k1", "GET k6").want("$2", "15", "$2", "15", "$2", "14")
}

// A replica in a cluster obeys transactions of its primary although clients are sent there.
func TestApplierIsNotRouted(t *testing.T) {
	sb := &switchboard{}
	sb.set(command.Verdict{Kind: command.Refuse, Err: resp.ErrMoved(7, "h", 1)})
	r := newRig(t, sb, nil)
	a := r.d.NewApplier(session.Primary)
	for _, line := range []string{"MULTI", "SET {a}1 x", "SET {a}2 y", "EXEC"} {
		var argv [][]byte
		for _, w := range strings.Fields(line) {
			argv = append(argv, []byte(w))
		}
		require.NoError(t, a.Apply(argv), line)
	}
	assert.EqualValues(t, 2, r.s.DBSize(0))
}

// Where a call belongs comes before why it is refused here: a cluster's replica redirects.
func TestRedirectionBeforeRefusal(t *testing.T) {
	sb := &switchboard{}
	r := newRig(t, sb, nil)
	sb.set(command.Verdict{Kind: command.Refuse, Err: resp.ErrMoved(7, "h", 1)})
	c := r.dial()
	for _, g := range []dispatch.Gate{dispatch.GateReadOnly, dispatch.GateLoading, dispatch.GateReplicas, dispatch.GateStale} {
		r.d.SetGate(g, true)
		c.send("SET k v").want("-MOVED 7 h:1")
		r.d.SetGate(g, false)
	}
	r.d.SetGate(dispatch.GateReadOnly, true)
	c.send("MSET a 1 b 2", "MULTI", "SET k v", "EXEC").want("-"+string(resp.ErrCrossSlot), "+OK", "-MOVED 7 h:1",
		"-EXECABORT Transaction discarded because of previous errors.")
}

func TestReplicaIgnoresMaxmemory(t *testing.T) {
	r := newRig(t, nil, nil)
	c := r.dial()
	c.send("SET a " + strings.Repeat("x", 3000)).want("+OK")
	r.d.SetMemory(dispatch.Memory{MaxBytes: 1, Policy: store.AllKeysLRU, Samples: 5})
	r.d.SetView(store.ViewReplica)
	r.d.SetGate(dispatch.GateReadOnly, true)
	c.send("SET b 1", "STRLEN a").want("-"+string(resp.ErrReadOnly), ":3000")
	assert.Zero(t, r.d.Stats.Evicted.Load())
}

// While writes are held nothing changes, not even by eviction or expiry.
func TestNothingIsEvictedOrExpiredWhileWritesAreHeld(t *testing.T) {
	r := newRig(t, nil, nil)
	c := r.dial()
	c.send("SET a "+strings.Repeat("x", 3000), "SET e v PX 1").want("+OK", "+OK")
	r.tape.take()
	r.d.HoldWrites(dispatch.HoldHandover, true, time.Now().UnixMilli())
	r.d.SetMemory(dispatch.Memory{MaxBytes: 1, Policy: store.AllKeysLRU, Samples: 5})
	c.send("STRLEN a").want(":3000")
	time.Sleep(150 * time.Millisecond) // its time has come, and so has a round of housekeeping
	c.send("GET e").want("$-1")
	assert.Empty(t, r.tape.take())
}

func TestHoldersOfWritesDoNotReleaseEachOther(t *testing.T) {
	r := newRig(t, nil, nil)
	a := r.dial()
	now := time.Now().UnixMilli()
	r.d.HoldWrites(dispatch.HoldHandover, true, now)
	r.d.HoldWrites(dispatch.HoldShutdown, true, now)
	a.send("SET k v")
	require.Eventually(t, func() bool { return r.d.Stats.Blocked.Load() == 1 }, 5*time.Second, time.Millisecond)
	r.d.HoldWrites(dispatch.HoldHandover, false, now)
	b := r.dial()
	b.send("GET k").want("$-1")
	mode, _ := r.d.Paused()
	assert.Equal(t, dispatch.PauseWrites, mode)
	r.d.HoldWrites(dispatch.HoldShutdown, false, now)
	a.want("+OK")
}

func TestHeldClientThatLeavesIsForgotten(t *testing.T) {
	r := newRig(t, nil, nil)
	a := r.dial()
	r.d.HoldWrites(dispatch.HoldHandover, true, time.Now().UnixMilli())
	a.send("SET k v")
	require.Eventually(t, func() bool { return r.d.Stats.Blocked.Load() == 1 }, 5*time.Second, time.Millisecond)
	require.NoError(t, a.Close())
	require.Eventually(t, func() bool { return r.d.Stats.Blocked.Load() == 0 }, 5*time.Second, time.Millisecond)
	r.d.HoldWrites(dispatch.HoldHandover, false, time.Now().UnixMilli())
	b := r.dial()
	b.send("GET k").want("$-1")
}

// A time-out goes off while the connection is being closed: nobody is there to be answered, but
// the holder of the ticket is told all the same.
func TestTicketOfAClosedConnectionIsGivenBack(t *testing.T) {
	tickets := make(chan command.Ticket, 4)
	r := newRig(t, nil, tickets)
	a := r.dial()
	a.send("GET k").want("$-1") // is adopted by the first loop
	r.dial().send("GET k").want("$-1")
	b := r.dial() // by the first again
	b.send("GET k").want("$-1")
	a.send("PARK 300")
	<-tickets
	b.send("STALL")
	first := <-r.stall
	require.NoError(t, a.Close())
	b.send("STALL")
	time.Sleep(20 * time.Millisecond) // both have arrived at the socket
	first <- func() {}
	second := <-r.stall // in the round that also sees the end of a
	second <- func() { time.Sleep(400 * time.Millisecond) }
	b.want("+OK", "+OK")
	require.Eventually(t, func() bool { return r.gone.Load() == 1 }, 5*time.Second, time.Millisecond)
	assert.Zero(t, r.d.Stats.Blocked.Load())
}

func TestLongestTimeoutDoesNotWrap(t *testing.T) {
	tickets := make(chan command.Ticket, 4)
	r := newRig(t, nil, tickets)
	c := r.dial()
	c.send("PARK 9223372036854775807")
	ticket := <-tickets
	time.Sleep(20 * time.Millisecond)
	assert.True(t, ticket.Finish(func(w *resp.Writer) { w.Simple("WOKEN") }))
	c.want("+WOKEN")
}

// A later, longer pause is not ended by the earlier one's timer.
func TestLongerPauseStays(t *testing.T) {
	r := newRig(t, nil, nil)
	for range 100 {
		r.d.Pause(dispatch.PauseWrites, 1)
		time.Sleep(time.Millisecond)
		r.d.Pause(dispatch.PauseWrites, 60_000)
		time.Sleep(500 * time.Microsecond)
		mode, _ := r.d.Paused()
		require.Equal(t, dispatch.PauseWrites, mode)
		r.d.Unpause()
	}
}
