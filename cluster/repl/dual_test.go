package repl

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func dual(o *Options) { o.DualChannel = true }

// held makes a primary with some data whose snapshots hang half way until release is called.
func held(t *testing.T, opts ...nodeOption) (p *testNode, release func()) {
	t.Helper()
	p = newNode(t, append([]nodeOption{dual}, opts...)...)
	for i := range 2000 {
		p.data[3][fmt.Sprint("k", i)] = strings.Repeat("v", 500)
	}
	gate := make(chan struct{})
	p.saveGate.Store(&gate)
	return p, func() {
		p.saveGate.Store(nil)
		close(gate)
	}
}

// splits waits until both connections of a sync are there, and returns the clients' ids of them.
func splits(t *testing.T, p *testNode) (side, main int64) {
	t.Helper()
	require.Eventually(t, func() bool {
		p.e.mu.Lock()
		defer p.e.mu.Unlock()
		for _, r := range p.e.replicas {
			if r.side && r.other != nil {
				side, main = r.sess.ID, r.other.sess.ID
				return true
			}
		}
		return false
	}, 10*time.Second, time.Millisecond)
	return side, main
}

func TestDualChannelSync(t *testing.T) {
	for _, mode := range []LoadMode{LoadShadow, LoadFile, LoadOnEmpty, LoadFlush} {
		t.Run(mode.String(), func(t *testing.T) {
			p, release := held(t, func(o *Options) { o.BacklogBytes = MinBacklogBytes })
			r := newNode(t, dual, func(o *Options) { o.DisklessLoad = mode })
			c := dial(t, p.addr())
			follow(t, r, p.port)
			splits(t, p)
			require.Equal(t, "0", p.field("replicas_waiting_psync"), "the place has been handed over")
			require.Equal(t, "2", p.field("connected_slaves"))
			require.Contains(t, p.field("slave0"), "state=wait_bgsave,")
			require.Contains(t, p.field("slave0"), ",type=rdb-channel")
			require.Contains(t, p.field("slave1"), "state=bg_transfer,")
			require.Contains(t, p.field("slave1"), ",type=main-channel")
			c.do("SELECT", "3")
			for i := range 100 {
				c.do("SET", fmt.Sprint("k", i), strings.Repeat("w", 2000))
			}
			c.do("INCR", "n")
			require.Eventually(t, func() bool { n, _ := strconv.Atoi(r.field("replicas_repl_buffer_size")); return n > 200_000 }, 10*time.Second,
				time.Millisecond, "the replica keeps what the primary need not")
			_, _, _, kept := p.e.Stream.backlogState()
			require.Less(t, kept, int64(100_000))
			require.Equal(t, "1", p.field("sync_partial_err"), "the very first question, with the replica's own id")
			release()
			up(t, r)
			same(t, p, r)
			require.Equal(t, "1", r.dump()["3/n"])
			require.Equal(t, "0", r.field("replicas_repl_buffer_size"))
			c.do("INCR", "n")
			same(t, p, r)
			require.Equal(t, "1", p.field("sync_full"))
			require.Equal(t, "1", p.field("sync_partial_ok"))
			require.Eventually(t, func() bool { return p.field("connected_slaves") == "1" }, 10*time.Second, time.Millisecond)
			require.NotContains(t, p.field("slave0"), "type=")
			require.Equal(t, "1", fmt.Sprint(c.do("WAIT", "1", "5000")))
		})
	}
}

func TestDualChannelNeedsBothEndsAndStreams(t *testing.T) {
	for name, c := range map[string]struct{ primary, replica nodeOption }{
		"primary without": {func(*Options) {}, dual},
		"replica without": {dual, func(*Options) {}},
		"through a file":  {func(o *Options) { o.DualChannel, o.DisklessSync = true, false }, dual},
	} {
		t.Run(name, func(t *testing.T) {
			p, r := newNode(t, c.primary), newNode(t, c.replica)
			dial(t, p.addr()).do("SET", "k", "v")
			follow(t, r, p.port)
			up(t, r)
			same(t, p, r)
			require.Equal(t, "0", p.field("sync_partial_ok"))
			require.Zero(t, r.count("initialize RDB channel"))
		})
	}
}

func TestDualChannelIsOneSync(t *testing.T) {
	for _, kill := range []string{"side", "main"} {
		t.Run(kill, func(t *testing.T) {
			p, release := held(t)
			r := newNode(t, dual)
			dial(t, r.addr()).do("SET", "old", "data")
			follow(t, r, p.port)
			side, main := splits(t, p)
			id := side
			if kill == "main" {
				id = main
			}
			require.True(t, p.e.DropConn(id))
			p.logged("Background RDB transfer error")
			r.logged("Aborting dual channel sync")
			require.Equal(t, "data", r.dump()["0/old"])
			release()
			up(t, r)
			same(t, p, r)
			require.Equal(t, "2", p.field("sync_full"))
		})
	}
}

func TestDualChannelEndsWithTheRole(t *testing.T) {
	p, release := held(t)
	defer release()
	r := newNode(t, dual)
	rc := follow(t, r, p.port)
	splits(t, p)
	require.Equal(t, "OK", rc.do("REPLICAOF", "NO", "ONE"))
	require.Eventually(t, func() bool { return p.field("connected_slaves") == "0" }, 10*time.Second, time.Millisecond)
	require.Eventually(t, func() bool { return !p.e.Saving() }, 10*time.Second, time.Millisecond, "nobody waits for the snapshot any more")
}

func TestReplicasStashIsBounded(t *testing.T) {
	p, release := held(t)
	r := newNode(t, dual, func(o *Options) { o.HardLimit = 100_000 })
	c := dial(t, p.addr())
	follow(t, r, p.port)
	splits(t, p)
	big := strings.Repeat("x", 1<<20)
	for i := range 16 {
		c.do("SET", fmt.Sprint("big", i), big)
	}
	r.logged("Replication buffer limit reached, stopping buffering.")
	n, err := strconv.Atoi(r.field("replicas_repl_buffer_peak"))
	require.NoError(t, err)
	require.Less(t, n, 100_000+stashBlock)
	release()
	up(t, r)
	same(t, p, r)
}

// opensSide asks for an RDB by a side channel of its own and returns what precedes it.
func opensSide(t *testing.T, p *testNode) (side *client, id string, offset int64, client string) {
	t.Helper()
	side = dial(t, p.addr())
	require.Equal(t, "OK", side.do("REPLCONF", "capa", "eof", "rdb-only", "1", "rdb-channel", "1", "listening-port", "77"))
	side.send("SYNC")
	line := side.line()
	for line == "" {
		line = side.line()
	}
	id, offset, client, err := parseEndOff(line)
	require.NoError(t, err)
	require.Equal(t, p.field("master_replid"), id)
	require.Contains(t, side.line(), "$EOF:")
	require.Contains(t, p.field("slave0"), ",type=rdb-channel")
	return side, id, offset, client
}

func TestSideChannelKeepsItsPlace(t *testing.T) {
	small := func(o *Options) { o.DualChannel, o.BacklogBytes = true, MinBacklogBytes }
	write := func(c *client) {
		for i := range 100 {
			c.do("SET", fmt.Sprint("k", i), strings.Repeat("w", 2000))
		}
	}
	t.Run("until it is taken over", func(t *testing.T) {
		p := newNode(t, small)
		side, id, offset, client := opensSide(t, p)
		require.Eventually(t, func() bool { return strings.Contains(p.field("slave0"), "state=rdb_transmitted") }, 10*time.Second, time.Millisecond)
		side.conn.Close()
		write(dial(t, p.addr()))
		require.Equal(t, "1", p.field("replicas_waiting_psync"))
		main := dial(t, p.addr())
		require.Equal(t, "-ERR Unrecognized RDB client id 12345", main.do("REPLCONF", "set-rdb-client-id", "12345"))
		require.Equal(t, "OK", main.do("REPLCONF", "set-rdb-client-id", client))
		require.Equal(t, "CONTINUE", main.do("PSYNC", id, strconv.FormatInt(offset+1, 10)))
		require.Equal(t, []any{"SELECT", "0"}, skipPings(main))
		require.Eventually(t, func() bool { return p.field("connected_slaves") == "1" }, 10*time.Second, time.Millisecond)
		require.Equal(t, "0", p.field("replicas_waiting_psync"))
		require.Contains(t, p.field("slave0"), "state=bg_transfer,")
		main.send("REPLCONF", "ACK", strconv.FormatInt(p.e.Stream.Offset(), 10))
		require.Eventually(t, func() bool { return strings.Contains(p.field("slave0"), "state=online,") }, 10*time.Second, time.Millisecond)
	})
	t.Run("not for ever", func(t *testing.T) {
		p := newNode(t, small)
		p.e.SetSideGrace(time.Millisecond)
		_, id, offset, client := opensSide(t, p)
		p.logged("Replica main channel failed to establish PSYNC within the grace period")
		require.Eventually(t, func() bool { return p.field("connected_slaves") == "0" }, 10*time.Second, time.Millisecond)
		write(dial(t, p.addr()))
		main := dial(t, p.addr())
		require.Equal(t, "-ERR Unrecognized RDB client id "+client, main.do("REPLCONF", "set-rdb-client-id", client))
		require.Equal(t, "OK", main.do("REPLCONF", "capa", "dual-channel", "capa", "psync2"))
		require.Equal(t, dualSyncReply, main.do("PSYNC", id, strconv.FormatInt(offset+1, 10)))
	})
	t.Run("not beyond the limit of a replica's lag", func(t *testing.T) {
		p := newNode(t, small, func(o *Options) { o.HardLimit = 50_000 })
		opensSide(t, p)
		write(dial(t, p.addr()))
		p.logged("scheduled to be closed ASAP for overcoming of output buffer limits")
		require.Eventually(t, func() bool { return p.field("connected_slaves") == "0" }, 10*time.Second, time.Millisecond)
		require.Equal(t, "0", p.field("replicas_waiting_psync"))
	})
}

func TestEndOff(t *testing.T) {
	id := strings.Repeat("a", 40)
	for line, ok := range map[string]bool{
		"$ENDOFF:12 " + id + " 0 7":  true,
		"$ENDOFF:0 " + id + " 15 70": true,
		"$ENDOFF:-1 " + id + " 0 7":  false,
		"$ENDOFF:12 abc 0 7":         false,
		"$ENDOFF:12 " + id + " 0":    false,
		"+FULLRESYNC " + id + " 12":  false,
		"":                           false,
	} {
		_, _, _, err := parseEndOff(line)
		require.Equal(t, ok, err == nil, line)
	}
}
