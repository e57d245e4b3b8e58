package repl

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/integration/proc"
	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/session"
)

// REPLICAOF inside EXEC holds stripes: the role changes right after they are free.
func TestRoleChangesInsideATransaction(t *testing.T) {
	p, r := newNode(t), newNode(t)
	dial(t, p.addr()).do("SET", "k", "v")
	var waiting []func()
	later := func(f func()) { waiting = append(waiting, f) }
	unlock := func() {
		require.Len(t, waiting, 1)
		waiting[0]()
		waiting = nil
	}
	require.True(t, r.e.Follow("127.0.0.1", p.port, later))
	require.False(t, r.e.IsReplica())
	unlock()
	require.True(t, r.e.IsReplica(), "the next command sees the new role")
	up(t, r)
	same(t, p, r)
	require.True(t, r.e.Promote(later))
	require.True(t, r.e.IsReplica())
	unlock()
	require.False(t, r.e.IsReplica())
	require.False(t, r.e.Promote(nil))
}

// While a promotion runs nothing of the old primary gets in any more, and what got in is counted.
func TestPromotionUnderLoad(t *testing.T) {
	p := newNode(t)
	quit := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-quit:
				return
			default:
			}
			p.mu.Lock()
			if !p.e.IsReplica() {
				require.NoError(t, p.exec(0, [][]byte{[]byte("INCR"), []byte("n")}))
				p.e.Stream.Append(effects(0, []string{"INCR", "n"}))
			}
			p.mu.Unlock()
		}
	}()
	for range 10 {
		r := newNode(t)
		follow(t, r, p.port)
		up(t, r)
		n := func() int {
			r.mu.Lock()
			defer r.mu.Unlock()
			n, _ := strconv.Atoi(r.data[0]["n"])
			return n
		}
		at := n()
		require.Eventually(t, func() bool { return n() > at+100 }, 5*time.Second, time.Millisecond)
		require.True(t, r.e.Promote(nil))
		h, off := r.e.Stream.History()
		require.Equal(t, off+1, h.Second)
		was := n()
		// A sibling that follows the old primary further knows what the data was at that offset:
		// here the stream itself does, INCR by INCR.
		c, _, why := r.e.Stream.resume(h.ID, r.e.Stream.start(), r.e.Stream.start()+1)
		require.NotNil(t, c, "%s", why)
		last := n()
		c.Close()
		require.Equal(t, was, last)
		// The old primary becomes a replica of the promoted one, which must send everything, and
		// then is a primary again: nobody has more or less than the other.
		p.e.Follow("127.0.0.1", r.port, nil)
		up(t, p)
		same(t, r, p)
		p.e.Promote(nil)
	}
	close(quit)
	<-stopped
}

func TestStatusForTheCluster(t *testing.T) {
	p, r := newNode(t), newNode(t, func(o *Options) { o.ServeStale = false })
	px := proc.NewRoad(t, p.addr())
	require.Equal(t, Status{History: p.e.Status().History}, p.e.Status())
	px.Close()
	follow(t, r, px.Port())
	require.True(t, r.e.Stale())
	require.False(t, r.e.Status().Synced)
	px.Open()
	up(t, r)
	st := r.e.Status()
	require.True(t, st.Replica && st.LinkUp && st.Synced && !st.Syncing && !st.Loading)
	require.Equal(t, p.e.Status().ID, st.ID)
	require.False(t, r.e.Stale())
	host, port := r.e.Primary()
	require.Equal(t, "127.0.0.1", host)
	require.Equal(t, px.Port(), port)
	px.Close()
	require.Eventually(t, r.e.Stale, 5*time.Second, time.Millisecond)
	require.True(t, r.e.Status().Synced)
	require.Equal(t, "down", r.field("master_link_status"))
	require.Regexp(t, `^\d+$`, r.field("master_link_down_since_seconds"))
}

func TestWhoeverAsksOnAReplicasConnectionIsSentAway(t *testing.T) {
	p := newNode(t)
	c := dial(t, p.addr())
	c.do("REPLCONF", "capa", "eof")
	c.send("PSYNC", "?", "-1")
	p.logged("succeeded")
	c.send("REPLCONF", "ACK", "0")
	c.send("REPLCONF", "GETACK", "*")
	c.send("GET", "k")
	p.logged("Replica generated a reply to command 'get', disconnecting it")
	require.Eventually(t, func() bool { return p.field("connected_slaves") == "0" }, 5*time.Second, time.Millisecond)
}

// A command that fails here is told, counted, and does not stop the stream.
func TestCommandThatFailsAtTheReplica(t *testing.T) {
	p, r := newNode(t), newNode(t)
	follow(t, r, p.port)
	up(t, r)
	p.e.Stream.Append(effects(0, []string{"LPUSH", "l", "x"}))
	p.mu.Lock()
	p.data[0]["k"] = "v"
	p.mu.Unlock()
	p.e.Stream.Append(effects(0, []string{"SET", "k", "v"}))
	r.logged("== CRITICAL == This replica is sending an error to its master: 'ERR unknown command 'LPUSH'' after processing the command 'lpush'")
	same(t, p, r)
	require.EqualValues(t, 1, r.e.Counters.ApplyErrors.Load())
}

func TestBrokenStreamMeansFullSync(t *testing.T) {
	for name, rubbish := range map[string]string{"inline": "SET k v\r\n", "length": "*1\r\n$x\r\n"} {
		t.Run(name, func(t *testing.T) {
			p, r := newNode(t), newNode(t)
			follow(t, r, p.port)
			up(t, r)
			p.e.Stream.AppendRaw([]byte(rubbish), nil, 0)
			r.logged(") from master. Closing the master connection and discarding the cached master.")
			up(t, r)
			require.Eventually(t, func() bool { return p.field("sync_full") == "2" }, 10*time.Second, time.Millisecond)
		})
	}
}

// Values larger than the read buffer, inside a transaction too.
func TestLongValuesInTheStream(t *testing.T) {
	p, a, b := newNode(t), newNode(t), newNode(t)
	c := dial(t, p.addr())
	follow(t, a, p.port)
	up(t, a)
	follow(t, b, a.port)
	up(t, b)
	c.do("SET", "long", strings.Repeat("l", 3*readBytes+17))
	c.do("MSETTX", "a", strings.Repeat("a", readBytes), "b", strings.Repeat("b", 2*readBytes))
	c.do("SET", "k", "v")
	same(t, p, a)
	same(t, p, b)
}

// A cut never lies inside a transaction the replica has half received.
func TestNoCutInsideATransaction(t *testing.T) {
	p, a, b := newNode(t), newNode(t), newNode(t)
	follow(t, a, p.port)
	up(t, a)
	before := a.e.Stream.Offset()
	half := resp.AppendCommandStrings(nil, "MULTI")
	half = resp.AppendCommandStrings(half, "SELECT", "3")
	half = resp.AppendCommandStrings(half, "INCR", "n")
	p.e.Stream.AppendRaw(half, nil, 0)
	in := a.e.Counters.InputBytes.Load()
	require.Eventually(t, func() bool { return a.e.Counters.InputBytes.Load() >= in }, time.Second, time.Millisecond)
	follow(t, b, a.port)
	up(t, b)
	require.LessOrEqual(t, before, b.e.Stream.Offset())
	require.Less(t, b.e.Stream.Offset(), p.e.Stream.Offset())
	p.e.Stream.AppendRaw(resp.AppendCommandStrings(nil, "EXEC"), nil, 0)
	p.mu.Lock()
	p.data[3]["n"] = "1"
	p.mu.Unlock()
	same(t, p, a)
	same(t, p, b)
	release := a.e.Quiesce()
	require.Equal(t, 3, a.e.Position().StreamDB)
	release()
}

func TestOptions(t *testing.T) {
	o := DefaultOptions()
	require.NoError(t, o.Validate())
	for name, spoil := range map[string]func(*Options){
		"repl-backlog-size":          func(o *Options) { o.BacklogBytes = 0 },
		"repl-backlog-ttl":           func(o *Options) { o.BacklogTTL = -1 },
		"repl-ping-replica-period":   func(o *Options) { o.PingPeriod = 0 },
		"repl-timeout":               func(o *Options) { o.Timeout = 0 },
		"repl-diskless-sync-delay":   func(o *Options) { o.DisklessSyncDelay = -1 },
		"repl-diskless-load":         func(o *Options) { o.DisklessLoad = 9 },
		"port":                       func(o *Options) { o.ListenPort = 1 << 16 },
		"min-replicas-to-write":      func(o *Options) { o.MinReplicas = -1 },
		"client-output-buffer-limit": func(o *Options) { o.HardLimit = -1 },
	} {
		o := DefaultOptions()
		spoil(&o)
		require.ErrorContains(t, o.Validate(), name)
		_, err := New(Deps{Rand: zero{}}, o)
		require.Error(t, err)
	}
	for _, m := range []LoadMode{LoadShadow, LoadFile, LoadOnEmpty} {
		got, ok := ParseLoadMode(strings.ToUpper(m.String()))
		require.True(t, ok)
		require.Equal(t, m, got)
	}
	_, ok := ParseLoadMode("sometimes")
	require.False(t, ok)

	p := newNode(t)
	o = p.e.Options()
	o.BacklogBytes = 4 << 20
	require.NoError(t, p.e.Configure(o))
	require.Equal(t, fmt.Sprint(4<<20), p.field("repl_backlog_size"))
	o.Timeout = 0
	require.Error(t, p.e.Configure(o))
	_, err := New(Deps{Rand: noRand{}, Now: wallMs}, DefaultOptions())
	require.ErrorContains(t, err, "no dice")
}

type noRand struct{}

func (noRand) Read([]byte) (int, error) { return 0, errors.New("no dice") }

// A file must never have an offset behind its data.
func TestPositionOfAReplica(t *testing.T) {
	p, r := newNode(t), newNode(t)
	require.Nil(t, r.e.Position(), "a primary that keeps nothing has no history")
	follow(t, r, p.port)
	up(t, r)
	require.NotNil(t, r.e.Position())
	release := r.e.Quiesce()
	require.NotNil(t, r.e.Position())
	release()
	r.e.applyMu.Lock() // as the link does while it applies
	require.Nil(t, r.e.Position())
	r.e.applyMu.Unlock()
	require.NotNil(t, r.e.Position())
}

// A change of role asked for inside EXEC is told at once, to whom keeps it in the configuration too, and done when the stripes are free.
func TestPromisedRoles(t *testing.T) {
	n := freshNode(t)
	var told []string
	n.e.deps.Follows = func(host string, port int) { told = append(told, host+" "+strconv.Itoa(port)) } // by this test's goroutine
	n.start()
	var later []func()
	hold := func(f func()) { later = append(later, f) }
	role := func() string {
		var out resp.Writer
		n.e.role(&command.Ctx{Out: &out})
		return strings.ReplaceAll(string(out.Bytes()), "\r\n", " ")
	}
	require.True(t, n.e.Follow("127.0.0.1", 1, hold))
	require.False(t, n.e.Follow("127.0.0.1", 1, hold), "that is promised already")
	require.Equal(t, []string{"127.0.0.1 1"}, told)
	require.Contains(t, role(), "slave")
	require.False(t, n.e.IsReplica())
	require.True(t, n.e.Follow("127.0.0.1", 2, hold))
	require.Contains(t, role(), ":2 ")
	require.True(t, n.e.Promote(hold))
	require.False(t, n.e.Promote(hold))
	require.Contains(t, role(), "master")
	require.Len(t, later, 3)
	for _, f := range later {
		f()
	}
	require.False(t, n.e.IsReplica())
	require.Contains(t, role(), "master")
	require.Equal(t, []string{"127.0.0.1 1", "127.0.0.1 2", " 0"}, told[:3])

	later = nil
	require.True(t, n.e.Follow("127.0.0.1", 1, hold))
	later[0]()
	require.True(t, n.e.IsReplica())
	require.Contains(t, role(), "slave")
	require.Equal(t, "127.0.0.1 1", told[len(told)-1])
}

// The link to the primary is a connection that can be ended by its number, as CLIENT KILL TYPE master does; it comes back by a
// partial sync. So does a replica's.
func TestDroppedLinksComeBack(t *testing.T) {
	p, r := newNode(t), newNode(t)
	follow(t, r, p.port)
	up(t, r)
	drop := func(n *testNode, flag session.Flags) bool {
		found := int64(-1)
		n.e.EachConn(func(c *Conn) {
			if c.Sess.Any(flag) {
				found = c.Sess.ID
			}
		})
		return found >= 0 && n.e.DropConn(found)
	}
	require.False(t, p.e.DropConn(1<<40))
	for i, side := range []func() bool{
		func() bool { return drop(r, session.Primary) },
		func() bool { return drop(p, session.Replica) },
	} {
		require.Eventually(t, side, time.Minute, time.Millisecond)
		require.Eventually(t, func() bool { return p.field("sync_partial_ok") == strconv.Itoa(i+1) }, time.Minute, time.Millisecond)
		up(t, r)
	}
	require.Equal(t, "1", p.field("sync_full"))
	same(t, p, r)
}
