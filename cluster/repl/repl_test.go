package repl

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/integration/proc"
	"github.com/sextantdb/sextant/store/rdb"
)

// same waits until b has a's data at a's offset.
func same(t *testing.T, a, b *testNode) {
	t.Helper()
	require.Eventually(t, func() bool {
		return b.e.Status().LinkUp && a.e.Stream.Offset() == b.e.Stream.Offset()
	}, 15*time.Second, 5*time.Millisecond, "offsets %d and %d", a.e.Stream.Offset(), b.e.Stream.Offset())
	require.Equal(t, a.dump(), b.dump())
}

func follow(t *testing.T, replica *testNode, port int) *client {
	t.Helper()
	c := dial(t, replica.addr())
	require.Equal(t, "OK", c.do("REPLICAOF", "127.0.0.1", strconv.Itoa(port)))
	return c
}

func up(t *testing.T, n *testNode) {
	t.Helper()
	require.Eventually(t, func() bool { return n.e.Status().LinkUp }, 15*time.Second, 5*time.Millisecond, "the link does not come up")
}

func TestFullSyncThenStream(t *testing.T) {
	for _, mode := range []LoadMode{LoadShadow, LoadFile, LoadOnEmpty} {
		for _, diskless := range []bool{true, false} {
			t.Run(fmt.Sprintf("%v/diskless=%v", mode, diskless), func(t *testing.T) {
				p := newNode(t, func(o *Options) { o.DisklessSync = diskless })
				r := newNode(t, func(o *Options) { o.DisklessLoad = mode })
				c := dial(t, p.addr())
				for i := range 500 {
					c.do("SET", fmt.Sprint("k", i), strings.Repeat("v", i))
				}
				c.do("SELECT", "9")
				c.do("SET", "nine", "9")
				require.Equal(t, "0", p.field("master_repl_offset"), "nothing is counted before the first replica")
				rc := follow(t, r, p.port)
				up(t, r)
				same(t, p, r)
				c.do("SET", "nine", "10")
				c.do("MSETTX", "a", "1", "b", "2")
				c.do("SELECT", "0")
				c.do("INCR", "n")
				same(t, p, r)
				require.Equal(t, "2", r.dump()["9/b"])
				require.Equal(t, "1", p.field("sync_full"))
				require.Equal(t, "-"+"READONLY You can't write against a read only replica.", rc.do("SET", "x", "y"))
				p.logged("Synchronization with replica 127.0.0.1:" + strconv.Itoa(r.port) + " succeeded")
				r.logged("MASTER <-> REPLICA sync: Finished with success")
				require.Equal(t, []any{"slave", "127.0.0.1", int64(p.port), "connected", r.e.Stream.Offset()}, rc.do("ROLE"))
			})
		}
	}
}

func TestPartialSyncAfterCutLink(t *testing.T) {
	p, r := newNode(t), newNode(t)
	px := proc.NewRoad(t, p.addr())
	c := dial(t, p.addr())
	c.do("SELECT", "5")
	follow(t, r, px.Port())
	up(t, r)
	c.do("INCR", "n")
	same(t, p, r)
	for i := range 5 {
		px.Close()
		for range 50 {
			c.do("INCR", "n")
		}
		require.Eventually(t, func() bool { return !r.e.Status().LinkUp }, 5*time.Second, time.Millisecond)
		px.Open()
		up(t, r)
		same(t, p, r)
		require.Equal(t, strconv.Itoa(i+1), p.field("sync_partial_ok"))
	}
	require.Equal(t, "251", r.dump()["5/n"])
	require.Equal(t, "1", p.field("sync_full"))
	require.Equal(t, "1", p.field("sync_partial_err"), "the very first question, with the replica's own id")
	p.logged("accepted. Sending ")
}

func TestBacklogOverflowMeansFullSync(t *testing.T) {
	p := newNode(t, func(o *Options) { o.BacklogBytes = MinBacklogBytes })
	r := newNode(t)
	px := proc.NewRoad(t, p.addr())
	c := dial(t, p.addr())
	follow(t, r, px.Port())
	up(t, r)
	px.Close()
	for i := range 100 {
		c.do("SET", fmt.Sprint("k", i), strings.Repeat("x", 1000))
	}
	px.Open()
	p.logged("for lack of backlog")
	up(t, r)
	same(t, p, r)
	require.Equal(t, "2", p.field("sync_full"))
}

func TestPromotedReplicaContinuesItsSibling(t *testing.T) {
	p, a, b := newNode(t), newNode(t), newNode(t)
	c := dial(t, p.addr())
	c.do("SELECT", "2")
	ca, cb := follow(t, a, p.port), follow(t, b, p.port)
	up(t, a)
	up(t, b)
	c.do("INCR", "n")
	same(t, p, a)
	same(t, p, b)
	old := p.field("master_replid")

	require.Equal(t, "OK", ca.do("REPLICAOF", "NO", "ONE"))
	require.Equal(t, "master", a.field("role"))
	require.Equal(t, old, a.field("master_replid2"))
	require.NotEqual(t, old, a.field("master_replid"))
	require.Equal(t, strconv.FormatInt(a.e.Stream.Offset()+1, 10), a.field("second_repl_offset"))

	cb.do("REPLICAOF", "127.0.0.1", strconv.Itoa(a.port))
	up(t, b)
	ca.do("SELECT", "2")
	ca.do("INCR", "n")
	same(t, a, b)
	require.Equal(t, "2", b.dump()["2/n"])
	require.Equal(t, a.field("master_replid"), b.field("master_replid"))

	// The old primary wrote nothing since: it continues too.
	c.do("REPLICAOF", "127.0.0.1", strconv.Itoa(a.port))
	require.Eventually(t, func() bool { return p.e.Status().LinkUp }, 10*time.Second, 5*time.Millisecond)
	same(t, a, p)
	require.Equal(t, "0", a.field("sync_full"))
	require.Equal(t, "2", a.field("sync_partial_ok"))
}

func TestOldPrimaryThatWroteOnMustCopy(t *testing.T) {
	p, a := newNode(t), newNode(t)
	c := dial(t, p.addr())
	ca := follow(t, a, p.port)
	up(t, a)
	c.do("SET", "k", "v")
	same(t, p, a)
	ca.do("REPLICAOF", "NO", "ONE")
	c.do("SET", "lost", "write")
	ca.do("SET", "kept", "write")
	c.do("REPLICAOF", "127.0.0.1", strconv.Itoa(a.port))
	up(t, p)
	same(t, a, p)
	require.Equal(t, "1", a.field("sync_full"))
	a.logged("Requested offset for second ID was")
	require.NotContains(t, p.dump(), "0/lost")
}

func TestChainedReplicas(t *testing.T) {
	p, a, b := newNode(t), newNode(t), newNode(t)
	px := proc.NewRoad(t, p.addr())
	c := dial(t, p.addr())
	follow(t, a, px.Port())
	up(t, a)
	c.do("SELECT", "4")
	c.do("INCR", "n")
	same(t, p, a)
	follow(t, b, a.port)
	up(t, b)
	c.do("INCR", "n")
	c.do("MSETTX", "x", "1", "y", "2")
	same(t, p, a)
	same(t, p, b)
	require.Equal(t, p.field("master_replid"), b.field("master_replid"))

	px.Cut() // the middle comes back by a partial sync: its replica notices nothing
	up(t, a)
	c.do("INCR", "n")
	same(t, p, b)
	require.Equal(t, "1", a.field("sync_full"))
	require.Equal(t, "0", a.field("sync_partial_ok"))
	require.Equal(t, "3", b.dump()["4/n"])

	// The middle turns to another history: its replica is sent away and copies anew.
	q := newNode(t)
	dial(t, q.addr()).do("SET", "other", "data")
	dial(t, a.addr()).do("REPLICAOF", "127.0.0.1", strconv.Itoa(q.port))
	require.Eventually(t, func() bool { return a.field("master_replid") == q.field("master_replid") }, 10*time.Second, 5*time.Millisecond)
	require.Eventually(t, func() bool { return b.field("master_replid") == q.field("master_replid") }, 10*time.Second, 5*time.Millisecond)
	same(t, q, b)

	// The middle is promoted: its replica continues with it.
	dial(t, a.addr()).do("REPLICAOF", "NO", "ONE")
	dial(t, a.addr()).do("SET", "mine", "now")
	same(t, a, b)
	require.Equal(t, "1", a.field("sync_partial_ok"))
}

func TestRestartContinuesFromTheFile(t *testing.T) {
	p, r := newNode(t), newNode(t)
	c := dial(t, p.addr())
	c.do("SELECT", "6")
	follow(t, r, p.port)
	up(t, r)
	c.do("INCR", "n")
	same(t, p, r)
	release := r.e.Quiesce()
	at := *r.e.Position()
	data := r.dump()
	release()
	require.Equal(t, 6, at.StreamDB)
	r.stop()
	c.do("INCR", "n")

	again := freshNode(t)
	again.data[6]["n"] = data["6/n"]
	require.NoError(t, again.e.Resume(at, true))
	again.e.Follow("127.0.0.1", p.port, nil)
	again.start()
	up(t, again)
	same(t, p, again)
	require.Equal(t, "2", again.dump()["6/n"])
	require.Equal(t, "1", p.field("sync_full"))
	require.Equal(t, "1", p.field("sync_partial_ok"))

	// A node that learns only later that it is a replica.
	late := freshNode(t)
	late.data[6]["n"] = data["6/n"]
	require.NoError(t, late.e.Resume(at, false))
	late.start()
	require.Equal(t, at.ID, late.field("master_replid2"))
	late.e.Follow("127.0.0.1", p.port, nil)
	up(t, late)
	same(t, p, late)
	require.Equal(t, "1", p.field("sync_full"))
	require.Equal(t, "2", p.field("sync_partial_ok"))

	// The primary restarts from a file that holds everything: the replica continues.
	release = p.e.Quiesce()
	at = *p.e.Position()
	release()
	p2 := freshNode(t)
	p2.data[6]["n"] = "2"
	require.NoError(t, p2.e.Resume(at, false))
	p2.start()
	dial(t, again.addr()).do("REPLICAOF", "127.0.0.1", strconv.Itoa(p2.port))
	up(t, again)
	c2 := dial(t, p2.addr())
	c2.do("SELECT", "6")
	c2.do("INCR", "n")
	same(t, p2, again)
	require.Equal(t, "0", p2.field("sync_full"))
	require.Error(t, p2.e.Resume(rdb.Replication{ID: "short"}, true))
}

func TestReplicaWithoutHistoryAsksForEverything(t *testing.T) {
	p := newNode(t)
	r := freshNode(t)
	r.e.Follow("127.0.0.1", p.port, nil)
	r.start()
	up(t, r)
	require.Equal(t, "0", p.field("sync_partial_err"))
	p.logged("Full resync requested by replica")
}

func TestSlowReplicaIsDropped(t *testing.T) {
	p := newNode(t, func(o *Options) { o.HardLimit = 256 << 10; o.BacklogBytes = MinBacklogBytes })
	c := dial(t, p.addr())
	slow := dial(t, p.addr())
	slow.do("REPLCONF", "listening-port", "4711", "capa", "eof", "capa", "psync2")
	slow.send("PSYNC", "?", "-1")
	require.Contains(t, slow.line(), "FULLRESYNC")
	p.logged("Synchronization with replica 127.0.0.1:4711 succeeded") // and it never acknowledges
	for range 40 {
		c.do("SET", "k", strings.Repeat("x", 16<<10))
	}
	p.logged("for overcoming of output buffer limits")
	require.Equal(t, "0", p.field("connected_slaves"))
	require.EqualValues(t, 1, p.e.Counters.ReplicasDropped.Load())
	require.EqualValues(t, 1, p.e.Counters.OutputLimit.Load())
	require.Eventually(t, func() bool { return p.e.Stream.HeldBytes() < 100<<10 }, 5*time.Second, time.Millisecond)
}

func TestSilentReplicaTimesOut(t *testing.T) {
	p := newNode(t, func(o *Options) { o.Timeout = 300 * time.Millisecond })
	slow := dial(t, p.addr())
	slow.do("REPLCONF", "listening-port", "4711", "capa", "eof")
	slow.send("PSYNC", "?", "-1")
	p.logged("Disconnecting timedout replica (streaming sync): 127.0.0.1:4711")
}

func TestReplicaLeavesASilentPrimary(t *testing.T) {
	p := newNode(t, func(o *Options) { o.PingPeriod = time.Hour })
	r := newNode(t, func(o *Options) { o.Timeout = 300 * time.Millisecond })
	follow(t, r, p.port)
	r.logged("MASTER timeout: no data nor PING received...")
	r.logged("Reconnecting to MASTER 127.0.0.1:" + strconv.Itoa(p.port))
}

func TestAbortedSyncLeavesOldData(t *testing.T) {
	for _, mode := range []LoadMode{LoadShadow, LoadFile, LoadOnEmpty} {
		t.Run(mode.String(), func(t *testing.T) {
			p := newNode(t)
			r := newNode(t, func(o *Options) { o.DisklessLoad = mode })
			c := dial(t, p.addr())
			for i := range 20000 {
				p.mu.Lock()
				p.data[0][fmt.Sprint("new", i)] = strings.Repeat("n", 50)
				p.mu.Unlock()
			}
			rc := dial(t, r.addr())
			rc.do("SET", "old", "data")
			px := proc.NewRoad(t, p.addr())
			gate := make(chan struct{})
			p.saveGate.Store(&gate) // the transfer has begun and hangs
			rc.do("REPLICAOF", "127.0.0.1", strconv.Itoa(px.Port()))
			require.Eventually(t, func() bool { return r.e.Status().Syncing }, 10*time.Second, time.Millisecond)
			require.Equal(t, "sync", rc.do("ROLE").([]any)[3])
			px.Cut()
			r.logged("unexpected end of input")
			require.Equal(t, map[string]string{"0/old": "data"}, r.dump())
			p.saveGate.Store(nil)
			close(gate)
			up(t, r)
			c.do("SET", "k", "v")
			same(t, p, r)
		})
	}
}

func TestBrokenTransfersAreRefused(t *testing.T) {
	const mark = "0123456789012345678901234567890123456789"
	for name, payload := range map[string]string{
		"not a length":   "$abc\r\n",
		"short mark":     "$EOF:123\r\n",
		"an error":       "-ERR no\r\n",
		"not an RDB":     "$9\r\nnonsense!",
		"rubbish behind": "$EOF:" + mark + "\r\nREDIS0010\xff\x00\x00\x00\x00\x00\x00\x00\x00" + strings.Repeat("x", 40),
		"too short":      "$18\r\nREDIS0010\xfe\x00\x00\x03key\x05v",
		"longer":         "$20\r\nREDIS0010\xff\x00\x00\x00\x00\x00\x00\x00\x00xx",
	} {
		t.Run(name, func(t *testing.T) {
			fake := newFakePrimary(t, payload)
			r := newNode(t)
			rc := dial(t, r.addr())
			rc.do("SET", "old", "data")
			rc.do("REPLICAOF", "127.0.0.1", strconv.Itoa(fake))
			require.Eventually(t, func() bool { return r.e.Counters.LinkAttempts.Load() > 1 }, 10*time.Second, time.Millisecond)
			require.Equal(t, map[string]string{"0/old": "data"}, r.dump())
			require.False(t, r.e.Status().Synced)
		})
	}
}

func TestSeveralReplicasShareOneSnapshot(t *testing.T) {
	p := newNode(t, func(o *Options) { o.DisklessSyncDelay = time.Hour; o.DisklessSyncMaxReplicas = 3 })
	c := dial(t, p.addr())
	c.do("SET", "k", "v")
	var rs []*testNode
	for range 3 {
		r := newNode(t)
		follow(t, r, p.port)
		rs = append(rs, r)
		if len(rs) < 3 {
			require.Eventually(t, func() bool { return p.field("connected_slaves") == strconv.Itoa(len(rs)) }, 5*time.Second, time.Millisecond)
			require.Contains(t, p.field("slave0"), "state=wait_bgsave")
		}
	}
	for _, r := range rs {
		up(t, r)
		same(t, p, r)
	}
	require.EqualValues(t, 1, p.saves.Load())
	require.Equal(t, "3", p.field("sync_full"))
}

func TestDisklessDelay(t *testing.T) {
	p := newNode(t, func(o *Options) { o.DisklessSyncDelay = 400 * time.Millisecond })
	a, b := newNode(t), newNode(t)
	follow(t, a, p.port)
	p.logged("Replica 127.0.0.1:" + strconv.Itoa(a.port) + " asks for synchronization")
	follow(t, b, p.port)
	up(t, a)
	up(t, b)
	require.EqualValues(t, 1, p.saves.Load())
}

func TestFailedSnapshotSendsReplicasAway(t *testing.T) {
	p, r := newNode(t), newNode(t)
	p.failSave.Store(true)
	follow(t, r, p.port)
	p.logged("BGSAVE for replication failed: no snapshot today")
	p.failSave.Store(false)
	up(t, r)
}

func TestMixedPeersShareOneSnapshot(t *testing.T) {
	p := newNode(t, func(o *Options) { o.DisklessSyncDelay = time.Hour })
	dial(t, p.addr()).do("SET", "k", "v")
	r := newNode(t)
	follow(t, r, p.port)
	require.Eventually(t, func() bool { return p.field("connected_slaves") == "1" }, 5*time.Second, time.Millisecond)
	old := dial(t, p.addr()) // no capa at all: needs the length first, and does not wait
	old.send("SYNC")
	up(t, r)
	for {
		if s := old.line(); strings.HasPrefix(s, "$") {
			n, err := strconv.Atoi(s[1:])
			require.NoError(t, err)
			for len(old.buf) < n {
				old.more()
			}
			require.True(t, strings.HasPrefix(string(old.buf), "REDIS0010"))
			old.buf = old.buf[n:]
			break
		}
	}
	dial(t, p.addr()).do("SET", "k", "w")
	require.Equal(t, []any{"SELECT", "0"}, skipPings(old))
	require.Equal(t, []any{"SET", "k", "w"}, skipPings(old))
	require.EqualValues(t, 1, p.saves.Load())
}

func skipPings(c *client) any {
	for {
		if got := c.reply(); fmt.Sprint(got) != "[PING]" {
			return got
		}
	}
}

func TestWait(t *testing.T) {
	p, r := newNode(t), newNode(t)
	c := dial(t, p.addr())
	require.Equal(t, int64(0), c.do("WAIT", "0", "0"))
	require.Equal(t, int64(0), c.do("WAIT", "1", "20"))
	rc := follow(t, r, p.port)
	up(t, r)
	began := time.Now()
	for i := range 20 {
		c.do("SET", "k", strconv.Itoa(i))
		require.Equal(t, int64(1), c.do("WAIT", "1", "10000"))
		require.Equal(t, strconv.Itoa(i), r.dump()["0/k"])
	}
	require.Less(t, time.Since(began), 5*time.Second, "acknowledgements are asked for, not waited for")
	require.Equal(t, int64(1), c.do("WAIT", "2", "20"))
	require.Equal(t, []any{int64(0), int64(0)}, c.do("WAITAOF", "0", "1", "20"))
	require.Equal(t, "-ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.", c.do("WAITAOF", "1", "0", "0"))
	require.Equal(t, "-ERR timeout is negative", c.do("WAIT", "1", "-1"))
	require.Contains(t, rc.do("WAIT", "1", "0"), "-ERR WAIT cannot be used with replica instances.")

	parked := dial(t, p.addr())
	parked.do("SET", "k", "v")
	parked.send("WAIT", "5", "0")
	require.Eventually(t, func() bool { p.e.mu.Lock(); defer p.e.mu.Unlock(); return len(p.e.waiters) == 1 }, 5*time.Second, time.Millisecond)
	c.do("REPLICAOF", "127.0.0.1", strconv.Itoa(r.port))
	require.Contains(t, parked.reply(), "-UNBLOCKED")
}

func TestGoodReplicas(t *testing.T) {
	p, r := newNode(t, func(o *Options) { o.MinReplicas = 1 }), newNode(t)
	require.False(t, p.e.EnoughReplicas())
	rc := follow(t, r, p.port)
	up(t, r)
	require.Eventually(t, p.e.EnoughReplicas, 5*time.Second, time.Millisecond)
	require.Equal(t, 1, p.e.GoodReplicas())
	require.Equal(t, "1", p.field("min_slaves_good_slaves"))
	rc.do("REPLICAOF", "NO", "ONE")
	require.Eventually(t, func() bool { return !p.e.EnoughReplicas() }, 5*time.Second, time.Millisecond)
}

func TestBacklogIsFreedAndTheHistoryEnds(t *testing.T) {
	p, r := newNode(t, func(o *Options) { o.BacklogTTL = 300 * time.Millisecond }), newNode(t)
	rc := follow(t, r, p.port)
	up(t, r)
	id := p.field("master_replid")
	require.True(t, p.e.Stream.Active())
	rc.do("REPLICAOF", "NO", "ONE")
	p.logged("Replication backlog freed after")
	require.False(t, p.e.Stream.Active())
	require.NotEqual(t, id, p.field("master_replid"))
	require.Equal(t, "0", p.field("repl_backlog_active"))
}

func TestReplconf(t *testing.T) {
	p := newNode(t)
	c := dial(t, p.addr())
	for _, row := range []struct{ words, want string }{
		{"REPLCONF", "OK"},
		{"REPLCONF listening-port", "-ERR syntax error"},
		{"REPLCONF listening-port x", "-ERR value is not an integer or out of range"},
		{"REPLCONF listening-port 1 ip-address 1.2.3.4 capa eof capa psync2 capa new version 7.2.4", "OK"},
		{"REPLCONF ip-address " + strings.Repeat("a", 300), "-ERR REPLCONF ip-address provided by replica instance is too long: 300 bytes"},
		{"REPLCONF rdb-only 2", "-ERR value is out of range, value must between 0 and 1"},
		{"REPLCONF rdb-filter-only all", "-ERR Unsupported rdb-filter-only option: all"},
		{"REPLCONF bogus 1", "-ERR Unrecognized REPLCONF option: bogus"},
		{"PSYNC ? x", "-ERR value is not an integer or out of range"},
		{"PSYNC ? -1 FAILOVER", "-ERR PSYNC FAILOVER can't be sent to a master."},
		{"REPLICAOF a 65536", "-ERR Invalid master port"},
		{"REPLICAOF NO ONE", "OK"},
		{"WAIT x 0", "-ERR value is not an integer or out of range"},
		{"WAITAOF 2 0 0", "-ERR value is out of range, value must between 0 and 1"},
		{"WAITAOF 0 -1 0", "-ERR value is out of range, must be positive"},
	} {
		require.Equal(t, row.want, c.do(strings.Fields(row.words)...), row.words)
	}
	require.Equal(t, []any{"master", int64(0), []any{}}, c.do("ROLE"))
	for i := range maxHandshakes + 10 {
		p.e.mu.Lock()
		p.e.shakeOf(int64(1000 + i))
		p.e.mu.Unlock()
	}
	require.Len(t, p.e.handshakes, maxHandshakes)
	require.Positive(t, p.e.Counters.HandshakesEvicted.Load())

	r := newNode(t)
	rc := dial(t, r.addr())
	require.Equal(t, "OK", rc.do("REPLICAOF", "127.0.0.1", "1"))
	require.Equal(t, "OK Already connected to specified master", rc.do("REPLICAOF", "127.0.0.1", "1"))
	require.Equal(t, "-NOMASTERLINK Can't SYNC while not connected with my master", rc.do("PSYNC", "?", "-1"))
}

func TestInfoFieldsAndOrder(t *testing.T) {
	p, r := newNode(t), newNode(t)
	follow(t, r, p.port)
	up(t, r)
	require.Eventually(t, func() bool { return strings.Contains(p.field("slave0"), "state=online") }, 5*time.Second, time.Millisecond)
	names := func(n *testNode) (list []string) {
		for _, line := range strings.Split(string(n.info.Info("replication")), "\r\n") {
			if name, _, ok := strings.Cut(line, ":"); ok {
				list = append(list, name)
			}
		}
		return list
	}
	tail := []string{"master_failover_state", "master_replid", "master_replid2", "master_repl_offset", "second_repl_offset",
		"repl_backlog_active", "repl_backlog_size", "repl_backlog_first_byte_offset", "repl_backlog_histlen"}
	require.Equal(t, append([]string{"role", "connected_slaves", "slave0"}, tail...), names(p))
	require.Equal(t, append([]string{"role", "master_host", "master_port", "master_link_status", "master_last_io_seconds_ago",
		"master_sync_in_progress", "slave_read_repl_offset", "slave_repl_offset", "slave_priority", "slave_read_only",
		"replica_announced", "connected_slaves"}, tail...), names(r))
	require.Equal(t, "1", p.field("repl_backlog_first_byte_offset"))
	require.Equal(t, p.field("master_repl_offset"), p.field("repl_backlog_histlen"))
	require.Regexp(t, `^ip=127.0.0.1,port=`+strconv.Itoa(r.port)+`,state=online,offset=\d+,lag=[01]$`, p.field("slave0"))
	p.e.PauseFeed(true)
	off := p.e.Stream.Offset()
	p.e.cron(time.Now().Add(time.Hour).UnixMilli() - time.Hour.Milliseconds())
	require.Equal(t, off, p.e.Stream.Offset(), "paused, nothing of ours is added")
}

// Writers on several connections while replicas come, lose their links and come back.
func TestEqualDataUnderLoad(t *testing.T) {
	t.Run("one connection", func(t *testing.T) { equalUnderLoad(t) })
	t.Run("two", func(t *testing.T) {
		equalUnderLoad(t, dual, func(o *Options) { o.BacklogBytes, o.HardLimit = MinBacklogBytes, 100_000 })
	})
}

func equalUnderLoad(t *testing.T, opts ...nodeOption) {
	p, a, b := newNode(t, opts...), newNode(t, opts...), newNode(t, opts...)
	px := proc.NewRoad(t, p.addr())
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Add(1)
		c := dial(t, p.addr())
		go func() {
			defer wg.Done()
			c.do("SELECT", strconv.Itoa(w*3))
			for i := range 1500 {
				switch i % 5 {
				case 0:
					c.do("MSETTX", fmt.Sprint("a", i%50), strconv.Itoa(i), "z", strconv.Itoa(i))
				case 1:
					c.do("DEL", fmt.Sprint("k", i%70))
				case 2:
					c.do("APPEND", fmt.Sprint("s", i%7), "x")
				case 3:
					c.do("INCR", "n")
				default:
					c.do("SET", fmt.Sprint("k", i%100), strings.Repeat("v", i%900))
				}
			}
		}()
	}
	follow(t, a, px.Port())
	follow(t, b, a.port)
	for range 4 {
		up(t, a)
		up(t, b)
		px.Cut()
	}
	wg.Wait()
	up(t, a)
	same(t, p, a)
	same(t, p, b)
	require.Zero(t, a.e.Counters.ApplyErrors.Load())
}
