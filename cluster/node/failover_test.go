package node

import (
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// A FAILOVER loses no write of clients that go on meanwhile, both replicas go on without a full sync, and the old
// primary follows the new one.
func TestFailover(t *testing.T) {
	t.Parallel()
	p := primary(t, 100)
	r, other := serve(t), serve(t)
	for _, s := range []*testNode{r, other} {
		follow(t, s.dial(), p.port)
		linked(t, s.dial())
	}
	c := p.dial()
	port := strconv.Itoa(r.port)
	require.Equal(t, "-ERR FAILOVER is not valid when server is a replica.", r.dial().do("FAILOVER"))
	require.Equal(t, "-ERR No failover in progress.", c.do("FAILOVER", "ABORT"))
	full := p.info0("sync_full")

	acked := make([]int, 4)
	var writers sync.WaitGroup
	for i := range acked {
		w := p.dial()
		writers.Add(1)
		go func() {
			defer writers.Done()
			for n := 1; ; n++ {
				w.send("SET", "w"+strconv.Itoa(i), strconv.Itoa(n))
				reply, err := w.try()
				if err != nil || reply != "OK" {
					return // READONLY: this is no primary any more
				}
				acked[i] = n
			}
		}()
	}
	eventually(t, func() bool { return c.do("EXISTS", "w0", "w1", "w2", "w3") == "4" }, "all write")
	require.Equal(t, "OK", c.do("FAILOVER", "TO", "127.0.0.1", port, "TIMEOUT", "60000"))
	require.Contains(t, []string{"-ERR FAILOVER already in progress.", "-ERR FAILOVER is not valid when server is a replica."}, c.do("FAILOVER"))
	eventually(t, func() bool { return c.info("master_failover_state") == "no-failover" }, "it ends")
	writers.Wait()
	require.Equal(t, "slave", c.info("role"))
	rc := r.dial()
	require.Equal(t, "master", rc.info("role"))
	for i, n := range acked {
		require.Equal(t, strconv.Itoa(n), rc.do("GET", "w"+strconv.Itoa(i)))
	}
	follow(t, other.dial(), r.port)
	linked(t, other.dial())
	linked(t, c)
	require.Equal(t, "0", rc.info("sync_full"))
	require.Equal(t, "2", rc.info("sync_partial_ok"))
	require.Equal(t, full, p.info0("sync_full"))
	require.Equal(t, "OK", rc.do("SET", "after", "1"))
	eventually(t, func() bool { return c.do("GET", "after") == "1" }, "the stream goes on")
}

// One that is aborted, or whose target refuses, leaves the primary what it was and lets the writes go that waited.
func TestFailoverThatComesToNothing(t *testing.T) {
	t.Parallel()
	p, r := primary(t, 10), serve(t)
	rc, c, w := r.dial(), p.dial(), p.dial()
	follow(t, rc, p.port)
	linked(t, rc)
	to := []string{"FAILOVER", "TO", "127.0.0.1", strconv.Itoa(r.port)}

	require.Equal(t, "OK", rc.do("CLIENT", "PAUSE", "1000000", "WRITE")) // it applies nothing
	require.Equal(t, "OK", c.do("SET", "k", "1"))
	require.Equal(t, "OK", c.do(append(to, "TIMEOUT", "1000000")...))
	require.Equal(t, "waiting-for-sync", c.info("master_failover_state"))
	eventually(t, func() bool { return p.disp.Stats.Blocked.Load() == 0 && p.held() }, "writes are held")
	w.send("SET", "k", "2")
	require.Equal(t, "1", c.do("GET", "k"), "reads are not")
	require.Equal(t, "-ERR REPLICAOF not allowed while failing over.", c.do("REPLICAOF", "NO", "ONE"))
	eventually(t, func() bool { return p.disp.Stats.Blocked.Load() == 1 }, "the write waits")
	require.Equal(t, "OK", c.do("FAILOVER", "ABORT"))
	require.Equal(t, "no-failover", c.info("master_failover_state"))
	require.Equal(t, "OK", w.read())
	require.Equal(t, "master", c.info("role"))

	require.Equal(t, "OK", c.do(append(to, "TIMEOUT", "1")...))
	eventually(t, func() bool { return c.info("master_failover_state") == "no-failover" }, "its time runs out")
	require.Equal(t, "OK", c.do("SET", "k", "3"))
	require.Equal(t, "OK", rc.do("CLIENT", "UNPAUSE"))

	require.Equal(t, "OK", rc.do("ACL", "SETUSER", "default", "-psync"))
	require.Equal(t, "OK", c.do(to...))
	w.send("SET", "k", "4")
	eventually(t, func() bool { return c.info("master_failover_state") == "no-failover" }, "the target refuses")
	require.Contains(t, p.out.String(), "Failover target rejected psync request")
	eventually(t, func() bool { return c.info("role") == "master" }, "it is a primary again")
	require.Contains(t, []string{"OK", "-READONLY You can't write against a read only replica."}, w.read())
	require.Equal(t, "OK", c.do("SET", "k", "5"))
	require.Equal(t, "OK", rc.do("ACL", "SETUSER", "default", "+psync"))
	eventually(t, func() bool { return rc.do("GET", "k") == "5" }, "the replica goes on")
	require.Equal(t, "1", c.info("sync_full"))
}

// info0 is a field of INFO, asked on a connection of its own.
func (s *testNode) info0(name string) string { return s.dial().info(name) }

// held reports whether the node itself holds writes.
func (s *testNode) held() bool { mode, _ := s.disp.Paused(); return mode != 0 }

// A real Redis takes the role over from us by FAILOVER, and hands it back in the same way.
func TestFailoverBesideRealRedis(t *testing.T) {
	t.Parallel()
	redis, port := realRedis(t, "--repl-diskless-sync-delay", "0")
	p := primary(t, 10)
	c := p.dial()
	follow(t, redis, p.port)
	linked(t, redis)
	ended := func(from *client, to *client) {
		t.Helper()
		eventually(t, func() bool {
			return from.info("master_failover_state") == "no-failover" && from.info("role") == "slave"
		}, "the role is handed over")
		linked(t, from)
		require.Equal(t, "master", to.info("role"))
	}
	require.Equal(t, "OK", c.do("FAILOVER", "TO", "127.0.0.1", strconv.Itoa(port)))
	ended(c, redis)
	require.Equal(t, "OK", redis.do("SET", "k", "redis"))
	eventually(t, func() bool { return c.do("GET", "k") == "redis" }, "we follow")
	eventually(t, func() bool { return redis.do("FAILOVER") == "OK" }, "we are online")
	ended(redis, c)
	require.Equal(t, "OK", c.do("SET", "k", "ours"))
	eventually(t, func() bool { return redis.do("GET", "k") == "ours" }, "Redis follows")
	require.Equal(t, "1", c.info("sync_full"), "the first copy")
	require.Equal(t, "0", redis.info("sync_full"))
}

// Who said CLIENT CAPA redirect, Valkey's, is sent from a replica to its primary: with writes, and with reads unless it
// said READONLY. Nobody else notices. What waits for a FAILOVER is sent to whoever has become primary.
func TestRedirectToThePrimary(t *testing.T) {
	t.Parallel()
	p, r := primary(t, 1), serve(t)
	c, plain, before := r.dial(), r.dial(), r.dial()
	for _, one := range []*client{c, before} {
		require.Equal(t, "OK", one.do("CLIENT", "CAPA", "unknown", "redirect"))
		require.Equal(t, "OK", one.do("SET", "own", "1"), "a primary serves")
	}
	require.Equal(t, "OK", before.do("MULTI"))
	require.Equal(t, "QUEUED", before.do("SET", "k", "v"))
	follow(t, plain, p.port)
	linked(t, plain)
	elsewhere := "-REDIRECT 127.0.0.1:" + strconv.Itoa(p.port)
	require.Equal(t, elsewhere, before.do("EXEC"))
	require.Equal(t, "-ERR EXEC without MULTI", before.do("EXEC"))
	require.Equal(t, elsewhere, c.do("SET", "k", "v"))
	require.Equal(t, elsewhere, c.do("GET", "k"))
	require.Equal(t, "PONG", c.do("PING"))
	require.Equal(t, "OK", c.do("MULTI"))
	require.Equal(t, elsewhere, c.do("SET", "k", "v"))
	require.Equal(t, "-EXECABORT Transaction discarded because of previous errors.", c.do("EXEC"))
	require.Equal(t, "OK", c.do("READONLY"))
	require.Equal(t, "(nil)", c.do("GET", "k"))
	require.Equal(t, elsewhere, c.do("SET", "k", "v"))
	require.Equal(t, "OK", c.do("READWRITE"))
	require.Equal(t, elsewhere, c.do("GET", "k"))
	require.Equal(t, "-ERR This instance has cluster support disabled", plain.do("READONLY"))
	require.Equal(t, "(nil)", plain.do("GET", "k"))
	require.Equal(t, "-READONLY You can't write against a read only replica.", plain.do("SET", "k", "v"))

	w := p.dial()
	require.Equal(t, "OK", w.do("CLIENT", "CAPA", "redirect"))
	require.Equal(t, "OK", p.dial().do("FAILOVER", "TO", "127.0.0.1", strconv.Itoa(r.port), "TIMEOUT", "60000"))
	eventually(t, func() bool { return strings.HasPrefix(w.do("SET", "k", "v"), "-REDIRECT") }, "it is no primary any more")
	require.Equal(t, "-REDIRECT 127.0.0.1:"+strconv.Itoa(r.port), w.do("SET", "k", "v"))
	eventually(t, func() bool { return c.do("SET", "k", "v") == "OK" }, "that one is")
	require.Equal(t, "RESET", w.do("RESET"))
	require.Equal(t, "-READONLY You can't write against a read only replica.", w.do("SET", "k", "v"))
}
