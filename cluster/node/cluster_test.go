package node

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/cluster/core"
)

// form starts primaries nodes with all slots shared out and as many replicas, all in this
// process, and waits until they agree.
func form(t *testing.T, primaries int, directives ...string) []*testNode {
	t.Helper()
	all := make([]*testNode, 2*primaries)
	conns := make([]*client, len(all))
	for i := range all {
		all[i] = serve(t, append([]string{"cluster-enabled", "yes", "cluster-node-timeout", "2000", "repl-diskless-sync-delay", "0"}, directives...)...)
		conns[i] = all[i].dial()
	}
	for i := range primaries {
		first, last := 16384*i/primaries, 16384*(i+1)/primaries-1
		require.Equal(t, "OK", conns[i].do("CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(first), strconv.Itoa(last)))
	}
	for i := 1; i < len(all); i++ {
		require.Equal(t, "OK", conns[i].do("CLUSTER", "MEET", "127.0.0.1", strconv.Itoa(all[0].port)))
	}
	for _, c := range conns {
		eventually(t, func() bool { return strings.Count(c.do("CLUSTER", "NODES"), " connected") >= len(all) }, "everyone sees everyone")
	}
	for i := primaries; i < len(all); i++ {
		id := conns[i-primaries].do("CLUSTER", "MYID")
		eventually(t, func() bool { return conns[i].do("CLUSTER", "REPLICATE", id) == "OK" }, "node %d replicates", i)
	}
	for i, c := range conns {
		eventually(t, func() bool {
			info := c.do("CLUSTER", "INFO")
			return strings.Contains(info, "cluster_state:ok") && !strings.Contains(info, "cluster_voter_set_version:0\r\n")
		}, "node %d is content", i)
		if i >= primaries {
			linked(t, c)
		}
	}
	return all
}

// A node timeout of few milliseconds, with which nodes would fail and come back for ever, is taken for
// a longer one; what was set is what is shown.
func TestNodeTimeoutBounds(t *testing.T) {
	for set, want := range map[int64]time.Duration{0: 300 * time.Millisecond, 1: 300 * time.Millisecond, 299: 300 * time.Millisecond,
		301: 301 * time.Millisecond, 15000: 15 * time.Second, math.MaxInt64: maxNodeTimeout} {
		v := &Values{ClusterNodeTimeout: set}
		require.Equal(t, want, nodeTimeout(v), set)
		require.Equal(t, core.Mono(want), coreConfig(v, 0).NodeTimeout, set)
	}
	c := serve(t, "cluster-enabled", "yes", "cluster-node-timeout", "1").dial()
	require.Equal(t, "[cluster-node-timeout 1]", c.do("CONFIG", "GET", "cluster-node-timeout"))
	require.Equal(t, "OK", c.do("CONFIG", "SET", "cluster-node-timeout", "7"))
	require.Equal(t, "[cluster-node-timeout 7]", c.do("CONFIG", "GET", "cluster-node-timeout"))
}

// The bus of six nodes, with and without a secret; and what happens to a node that has not got it.
func TestBusSecret(t *testing.T) {
	for _, x := range []struct {
		name, secret, stranger string
		counter                string // at the stranger, who learns it first
		told                   string
	}{
		{"hmac", "0123456789abcdef", "fedcba9876543210", "cluster_rejects_wrong_secret", "wrong secret"},
		{"hmac, and a stranger without", "0123456789abcdef", "", "cluster_rejects_wrong_auth", "wrong authentication mode"},
		{"none", "", "0123456789abcdef", "cluster_rejects_wrong_auth", "wrong authentication mode"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			all := form(t, 3, "cluster-bus-secret", x.secret)
			warned := strings.Contains(all[0].out.String(), "no cluster-bus-secret")
			require.Equal(t, x.secret == "", warned, "an open bus is said to be one")
			for i := range 100 {
				key := fmt.Sprint("k", i)
				done := false
				for _, s := range all[:3] {
					done = done || s.dial().do("SET", key, "v") == "OK"
				}
				require.True(t, done, key)
			}
			told := strings.Count(all[0].out.String(), " refused: link: ")
			stranger := serve(t, "cluster-enabled", "yes", "cluster-node-timeout", "2000", "cluster-bus-secret", x.stranger)
			c, in := stranger.dial(), all[0].dial()
			require.Equal(t, "OK", c.do("CLUSTER", "MEET", "127.0.0.1", strconv.Itoa(all[0].port)))
			count := func(c *client, name string) int { n, _ := strconv.Atoi(c.info(name)); return n }
			eventually(t, func() bool { return count(c, x.counter) >= 2 && count(in, "cluster_rejects") >= 2 }, "refused again and again")
			require.Contains(t, c.do("CLUSTER", "INFO"), "cluster_slots_assigned:0\r\n")
			require.Contains(t, in.do("CLUSTER", "INFO"), "cluster_known_nodes:6\r\n")
			once := func(s *testNode, text string, before int) {
				eventually(t, func() bool { return strings.Count(s.out.String(), text) > before }, "told")
				require.Equal(t, before+1, strings.Count(s.out.String(), text), "told once")
			}
			once(stranger, x.told, 0)
			if x.counter == "cluster_rejects_wrong_auth" { // of a wrong secret the dialer says nothing
				once(all[0], " refused: link: ", told)
			}
		})
	}
}

// What a client of a cluster meets at a replica, and that its primary's transactions arrive.
func TestReplicaOfACluster(t *testing.T) {
	t.Parallel()
	all := form(t, 1)
	p, r := all[0].dial(), all[1].dial()
	require.Equal(t, "OK", p.do("MULTI"))
	require.Equal(t, "QUEUED", p.do("SET", "{t}a", "1"))
	require.Equal(t, "QUEUED", p.do("SET", "{t}b", "2"))
	require.Equal(t, "[OK OK]", p.do("EXEC"))
	require.Equal(t, "1", p.do("WAIT", "1", "10000"))
	moved := fmt.Sprintf("-MOVED 15891 127.0.0.1:%d", all[0].port)
	require.Equal(t, moved, r.do("GET", "{t}a"))
	require.Equal(t, moved, r.do("SET", "{t}a", "x"), "not READONLY: there is someone who can")
	require.Equal(t, "OK", r.do("READONLY"))
	require.Equal(t, "1", r.do("GET", "{t}a"))
	require.Equal(t, "2", r.do("GET", "{t}b"))
	require.Equal(t, moved, r.do("SET", "{t}a", "x"))
	require.Equal(t, "0", r.info("repl_apply_errors"))
	require.Contains(t, r.do("CONFIG", "GET", "databases"), "databases")
	require.Equal(t, "-ERR SELECT is not allowed in cluster mode", r.do("SELECT", "1"))
}

// An ordered failover loses nothing: writes are held while it lasts.
func TestManualFailoverUnderWrites(t *testing.T) {
	t.Parallel()
	all := form(t, 1)
	at := all[0].dial()
	stop, total := make(chan struct{}), make(chan int)
	w := all[0].dial()
	go func() {
		n := 0
		for end := time.Now().Add(patience); time.Now().Before(end); {
			select {
			case <-stop:
				total <- n
				return
			default:
			}
			w.send("INCR", "n")
			r, err := w.try()
			switch {
			case err == nil && r == strconv.Itoa(n+1):
				n++
			case err == nil && strings.HasPrefix(r, "-MOVED"):
				w = all[1].dial()
			case err == nil && strings.HasPrefix(r, "-CLUSTERDOWN"):
			default:
				total <- -1
				return
			}
		}
		total <- n
	}()
	eventually(t, func() bool { return at.do("GET", "n") != "(nil)" }, "writes run")
	eventually(t, func() bool { // the primary refuses as long as it does not know yet that the replica holds all data
		all[1].dial().do("CLUSTER", "FAILOVER")
		return all[1].dial().info("role") == "master"
	}, "handed over")
	eventually(t, func() bool { return all[0].dial().info("role") == "slave" }, "stepped down")
	before, _ := strconv.Atoi(all[1].dial().do("GET", "n"))
	eventually(t, func() bool { n, _ := strconv.Atoi(all[1].dial().do("GET", "n")); return n > before }, "writes go on at the heir")
	close(stop)
	n := <-total
	require.Equal(t, strconv.Itoa(n), all[1].dial().do("GET", "n"))
	// The logs say so in Redis' words too.
	heir := all[1].dial().do("CLUSTER", "MYID")
	for _, line := range []string{"Cluster state changed: ok [cluster: ", "Starting a failover election for epoch ", "Failover election won: I'm the new master. [cluster: election-won "} {
		require.Contains(t, all[1].out.String(), line)
	}
	require.Contains(t, all[0].out.String(), "Configuration change detected. Reconfiguring myself as a replica of "+heir)
}

// DEBUG makes a node deaf to kinds of messages, by Redis' numbers or our names, and breaks its links: they come back.
func TestDebugOfTheBus(t *testing.T) {
	t.Parallel()
	alone := serve(t).dial()
	require.Equal(t, "-ERR Debug option only available for cluster mode enabled setup!", alone.do("DEBUG", "CLUSTERLINK", "KILL", "ALL", "x"))
	require.Equal(t, "OK", alone.do("DEBUG", "DROP-CLUSTER-PACKET-FILTER", "1"))
	a, b := serve(t, "cluster-enabled", "yes"), serve(t, "cluster-enabled", "yes")
	ac, bc := a.dial(), b.dial()
	require.Equal(t, "-ERR value is not an integer or out of range", ac.do("DEBUG", "DROP-CLUSTER-PACKET-FILTER", "nosuch"))
	require.Equal(t, "OK", ac.do("DEBUG", "DROP-CLUSTER-PACKET-FILTER", "2"))
	require.Equal(t, "OK", ac.do("DEBUG", "CLOSE-CLUSTER-LINK-ON-PACKET-DROP", "1"))
	dropped := a.wire.net.Stats.FramesIn.Load()
	require.Equal(t, "OK", bc.do("CLUSTER", "MEET", "127.0.0.1", strconv.Itoa(a.port)))
	eventually(t, func() bool { return a.wire.net.Stats.FramesIn.Load() > dropped+1 }, "it meets again and again")
	require.Contains(t, ac.do("CLUSTER", "INFO"), "cluster_known_nodes:1\r\n")
	require.Equal(t, "OK", ac.do("DEBUG", "DROP-CLUSTER-PACKET-FILTER", "-1"))
	eventually(t, func() bool { return strings.Contains(ac.do("CLUSTER", "INFO"), "cluster_known_nodes:2\r\n") }, "and is heard")
	eventually(t, func() bool { return strings.Contains(bc.do("CLUSTER", "INFO"), "cluster_known_nodes:2\r\n") }, "both ways")

	id := bc.do("CLUSTER", "MYID")
	require.Equal(t, "-ERR Unknown node "+strings.Repeat("0", 40), ac.do("DEBUG", "CLUSTERLINK", "KILL", "ALL", strings.Repeat("0", 40)))
	require.Equal(t, "-ERR Cannot free cluster link(s) to myself", ac.do("DEBUG", "CLUSTERLINK", "KILL", "ALL", ac.do("CLUSTER", "MYID")))
	require.Equal(t, "-ERR Unknown direction up", ac.do("DEBUG", "CLUSTERLINK", "KILL", "up", id))
	serials := func() (all []uint64) {
		for _, l := range a.wire.net.Links() {
			all = append(all, l.Serial)
		}
		return all
	}
	eventually(t, func() bool { return len(serials()) == 1 }, "one link for both ways")
	before := serials()
	require.Equal(t, "OK", ac.do("DEBUG", "CLUSTERLINK", "KILL", "all", id))
	eventually(t, func() bool { now := serials(); return len(now) == 1 && now[0] != before[0] }, "another one")
}

// An event loop that hangs for longer than watchdog-period has all stacks logged, the hanging one first, and once.
func TestWatchdog(t *testing.T) {
	t.Parallel()
	s := serve(t)
	c := s.dial()
	require.Equal(t, "OK", c.do("CONFIG", "SET", "watchdog-period", "1000"))
	require.Equal(t, "OK", c.do("DEBUG", "SLEEP", "3"))
	eventually(t, func() bool { return strings.Contains(s.out.String(), "--- WATCHDOG TIMER EXPIRED ---") }, "it barks")
	_, text, _ := strings.Cut(s.out.String(), "--- WATCHDOG TIMER EXPIRED ---")
	first, _, _ := strings.Cut(text, "\n\n")
	require.Contains(t, first, "debugger.Sleep")
	require.Equal(t, "OK", c.do("CONFIG", "SET", "watchdog-period", "0"))
	require.Equal(t, "OK", c.do("DEBUG", "SLEEP", "2"))
	require.Equal(t, 1, strings.Count(s.out.String(), "WATCHDOG"))
}
