package node

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/integration/proc"
)

func TestBothProtocolsAndTheUnixSocket(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := build(t, dir, proc.FreePort(t), "unixsocket", filepath.Join(dir, "s"), "unixsocketperm", "700")
	require.NoError(t, s.Start())
	for _, c := range []*client{s.dial(), dialTo(t, "unix", filepath.Join(dir, "s"))} {
		require.Equal(t, "OK", c.do("SET", "k", "v"))
		require.Contains(t, c.do("HELLO"), "proto 2")
		require.Contains(t, c.do("HELLO", "3"), "proto 3")
		require.Contains(t, c.do("HELLO", "3"), "mode standalone role master")
		require.Equal(t, "-NOPROTO unsupported protocol version", c.do("HELLO", "4"))
		c.send("GET", "none")
		line, err := c.r.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "_\r\n", line, "null in RESP3")
		require.Contains(t, c.do("HELLO", "2"), "proto 2")
		c.send("GET", "none")
		line, err = c.r.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "$-1\r\n", line)
	}
	s.Stop()
	require.NoFileExists(t, filepath.Join(dir, "s"))
}

func TestPassword(t *testing.T) {
	t.Parallel()
	s := serve(t, "requirepass", "secret")
	c := s.dial()
	require.Equal(t, "-NOAUTH Authentication required.", c.do("GET", "k"))
	require.Contains(t, c.do("AUTH", "wrong"), "-WRONGPASS")
	require.Equal(t, "OK", c.do("AUTH", "secret"))
	require.Equal(t, "(nil)", c.do("GET", "k"))
	d := s.dial()
	require.Contains(t, d.do("HELLO", "3", "AUTH", "default", "secret"), "proto 3")
	require.Equal(t, "1", d.info("acl_access_denied_auth"))
	require.Equal(t, "OK", d.do("CONFIG", "SET", "requirepass", ""))
	require.Equal(t, "(nil)", s.dial().do("GET", "k"))
	require.Equal(t, "OK", d.do("CONFIG", "SET", "requirepass", "other"))
	require.Equal(t, "(nil)", c.do("GET", "k"), "who is in stays in")
	require.Equal(t, "-NOAUTH Authentication required.", s.dial().do("GET", "k"))
}

func TestMaxclientsAndItsChange(t *testing.T) {
	t.Parallel()
	s := serve(t, "maxclients", "2")
	a, b := s.dial(), s.dial()
	require.Equal(t, "PONG", a.do("PING"))
	require.Equal(t, "PONG", b.do("PING"))
	c := s.dial()
	require.Equal(t, "-ERR max number of clients reached", c.read())
	c.closed()
	require.Equal(t, "OK", a.do("CONFIG", "SET", "maxclients", "3"))
	require.Equal(t, "PONG", s.dial().do("PING"))
	require.Equal(t, "1", a.info("rejected_connections"))
	require.Equal(t, "3", a.info("maxclients"))
}

func TestIdleClientsAreClosed(t *testing.T) {
	t.Parallel()
	s := serve(t)
	c, idle := s.dial(), s.dial()
	require.Equal(t, "PONG", idle.do("PING"))
	require.Equal(t, "OK", c.do("CONFIG", "SET", "timeout", "1"))
	idle.closed()
	require.NotEqual(t, "0", s.dial().info("client_idle_disconnections"))
}

// otherAddress is an address of this machine that is not a loopback address.
func otherAddress(t *testing.T) string {
	all, err := net.InterfaceAddrs()
	require.NoError(t, err)
	for _, a := range all {
		if ip, ok := a.(*net.IPNet); ok && !ip.IP.IsLoopback() && ip.IP.To4() != nil {
			return ip.IP.String()
		}
	}
	t.Skip("this machine has only loopback addresses; run it where there is a network")
	return ""
}

// Protected mode turns everyone away who comes from another host while there is no password. A
// connection to an address of our own that is no loopback address comes from that address too.
func TestProtectedMode(t *testing.T) {
	t.Parallel()
	ip := otherAddress(t)
	s := build(t, t.TempDir(), proc.FreePort(t), "bind", "127.0.0.1 "+ip)
	require.NoError(t, s.Start())
	addr := net.JoinHostPort(ip, strconv.Itoa(s.port))
	local := s.dial()
	require.Equal(t, "PONG", local.do("PING"))
	stranger := dialTo(t, "tcp", addr)
	require.Contains(t, stranger.read(), "-DENIED Redis is running in protected mode")
	stranger.closed()
	require.Equal(t, "OK", local.do("CONFIG", "SET", "requirepass", "pw"))
	require.Equal(t, "OK", dialTo(t, "tcp", addr).do("AUTH", "pw"))
	require.Equal(t, "OK", local.do("CONFIG", "SET", "requirepass", "", "protected-mode", "no"))
	require.Equal(t, "PONG", dialTo(t, "tcp", addr).do("PING"))
	require.Equal(t, "OK", local.do("CONFIG", "SET", "protected-mode", "yes"))
	require.Contains(t, dialTo(t, "tcp", addr).read(), "-DENIED")
}

func TestOutputLimitClosesTheClient(t *testing.T) {
	t.Parallel()
	s := serve(t)
	c, slow := s.dial(), s.dial()
	require.Equal(t, "OK", c.do("CONFIG", "SET", "client-output-buffer-limit", "normal 1mb 0 0"))
	require.Equal(t, "OK", c.do("SET", "big", strings.Repeat("x", 200_000)))
	_, err := slow.Write([]byte(strings.Repeat(request("GET", "big"), 200))) // 40 MB of replies, and nobody reads
	require.NoError(t, err)
	eventually(t, func() bool { return c.info("client_output_buffer_limit_disconnections") == "1" }, "closed")
	slow.closed()
	require.Equal(t, "200000", c.do("STRLEN", "big"))
}

func TestQueryBufferLimit(t *testing.T) {
	t.Parallel()
	s := serve(t, "client-query-buffer-limit", "1mb")
	c := s.dial()
	_, _ = c.Write([]byte("*1\r\n$" + strconv.Itoa(20<<20) + "\r\n"))
	_, _ = c.Write(bytes.Repeat([]byte("x"), 3<<20)) // may fail: closed meanwhile
	c.closed()
	require.Equal(t, "1", s.dial().info("client_query_buffer_limit_disconnections"))
}

// A transaction that is queued and never executed is bounded like a request that is never finished.
func TestQueueOfATransactionIsBounded(t *testing.T) {
	t.Parallel()
	s := serve(t, "client-query-buffer-limit", "1mb")
	c := s.dial()
	require.Equal(t, "OK", c.do("MULTI"))
	big := strings.Repeat("x", 300_000)
	for range 3 {
		require.Equal(t, "QUEUED", c.do("SET", "k", big))
	}
	c.send("SET", "k", big)
	c.closed()
	d := s.dial()
	require.Equal(t, "1", d.info("client_query_buffer_limit_disconnections"))
	require.Equal(t, "(nil)", d.do("GET", "k"))
}

// What CONFIG SET of a directive is to change, it changes at once.
func TestConfigSetTakesEffect(t *testing.T) {
	t.Parallel()
	s := serve(t)
	c := s.dial()
	set := func(words ...string) {
		t.Helper()
		require.Equal(t, "OK", c.do(append([]string{"CONFIG", "SET"}, words...)...))
	}
	set("maxmemory", "1")
	require.Contains(t, c.do("SET", "k", "v"), "-OOM")
	set("maxmemory", "0")
	require.Equal(t, "OK", c.do("SET", "k", "v"))

	set("min-replicas-to-write", "1", "min-replicas-max-lag", "10")
	require.Equal(t, "-NOREPLICAS Not enough good replicas to write.", c.do("SET", "k", "v"))
	set("min-replicas-to-write", "0")
	require.Equal(t, "OK", c.do("SET", "k", "v"))

	set("slowlog-log-slower-than", "0")
	require.Equal(t, "v", c.do("GET", "k"))
	require.NotEqual(t, "0", c.do("SLOWLOG", "LEN"))
	set("slowlog-max-len", "1", "slowlog-log-slower-than", "-1")
	require.Equal(t, "1", c.do("SLOWLOG", "LEN"))

	set("loglevel", "warning")
	before := len(s.out.String())
	s.dial().do("PING")
	require.Len(t, s.out.String(), before, "verbose lines are not written any more")

	set("proto-max-bulk-len", "1048576")
	big := s.dial() // the header alone: the node hangs up on it, which would break a longer write
	_, err := io.WriteString(big, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2097152\r\n")
	require.NoError(t, err)
	require.Contains(t, big.read(), "-ERR Protocol error: invalid bulk length")
	set("proto-max-bulk-len", "512mb")

	other := proc.FreePort(t)
	set("port", strconv.Itoa(other))
	require.Equal(t, "PONG", dialTo(t, "tcp", "127.0.0.1:"+strconv.Itoa(other)).do("PING"))
	_, err = net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(s.port))
	require.Error(t, err)
	require.Equal(t, "PONG", c.do("PING"), "connections stay")
	require.Equal(t, strconv.Itoa(other), c.info("tcp_port"))
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	for _, c2 := range [][2]string{{"tls-port", "1"}, {"tls-cluster", "yes"}, {"tls-replication", "yes"}} { // not served yet: nobody shall believe it is
		was := c.do("CONFIG", "GET", c2[0])
		require.Contains(t, c.do("CONFIG", "SET", c2[0], c2[1]), "Unable to update TLS configuration. Check server logs.")
		require.Equal(t, was, c.do("CONFIG", "GET", c2[0]))
	}
	require.Contains(t, c.do("CONFIG", "SET", "port", strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)), "Unable to listen on this port")
	require.Equal(t, "PONG", dialTo(t, "tcp", "127.0.0.1:"+strconv.Itoa(other)).do("PING"), "what was is as it was")

	set("replica-read-only", "no")
	require.Equal(t, "OK", c.do("REPLICAOF", "127.0.0.1", "1"))
	require.Equal(t, "OK", c.do("SET", "k", "v"))
	set("replica-read-only", "yes")
	require.Equal(t, "-READONLY You can't write against a read only replica.", c.do("SET", "k", "v"))
	set("replica-serve-stale-data", "no")
	require.Contains(t, c.do("GET", "k"), "-MASTERDOWN")
	set("replica-serve-stale-data", "yes")
	require.Equal(t, "v", c.do("GET", "k"))
	require.Equal(t, "OK", c.do("REPLICAOF", "NO", "ONE"))
	eventually(t, func() bool { return c.do("SET", "k", "v") == "OK" }, "a primary again")
}

// INFO renders every section in every state, and what is a number reads as one.
func TestInfoRendersAndParses(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"no", "yes"} {
		t.Run("cluster-enabled "+mode, func(t *testing.T) {
			t.Parallel()
			s := serve(t, "cluster-enabled", mode)
			c := s.dial()
			for i := range 100 {
				c.do("SET", fmt.Sprint("k", i), "v", "EX", "100") // CLUSTERDOWN in a cluster: counted as an error
			}
			c.do("NOSUCH")
			c.do("BGSAVE")
			words := map[string]bool{}
			for line := range strings.Lines(c.do("INFO", "everything")) {
				line = strings.TrimSuffix(line, "\r\n")
				if line == "" || line[0] == '#' {
					continue
				}
				name, v, ok := strings.Cut(line, ":")
				require.True(t, ok, line)
				require.False(t, words[name], "%s twice", name)
				words[name] = true
				if strings.Contains(v, "=") {
					for _, part := range strings.Split(v, ",") {
						require.Contains(t, part, "=", line)
					}
				}
				for _, suffix := range []string{"_bytes", "_clients", "_seconds", "_total", "_ratio", "used_memory", "_keys"} {
					if strings.HasSuffix(name, suffix) {
						_, err := strconv.ParseFloat(v, 64)
						require.NoError(t, err, line)
					}
				}
			}
			for _, need := range strings.Fields(`redis_version redis_mode process_id run_id tcp_port uptime_in_seconds connected_clients blocked_clients
				used_memory used_memory_rss used_memory_peak maxmemory maxmemory_policy mem_fragmentation_ratio loading rdb_changes_since_last_save
				rdb_bgsave_in_progress rdb_last_save_time rdb_last_bgsave_status aof_enabled total_connections_received total_commands_processed
				instantaneous_ops_per_sec expired_keys evicted_keys keyspace_hits role connected_slaves master_replid master_repl_offset
				used_cpu_sys used_cpu_user cluster_enabled`) {
				require.True(t, words[need], need)
			}
			require.Equal(t, mode == "yes", words["cluster_frames_in"])
		})
	}
}

func TestUsedMemoryFollowsTheData(t *testing.T) {
	t.Parallel()
	s := serve(t)
	c := s.dial()
	used := func() int {
		n, err := strconv.Atoi(c.info("used_memory"))
		require.NoError(t, err)
		return n
	}
	empty := used()
	require.Greater(t, empty, 100_000)
	require.Less(t, empty, 512<<20, "of which most is this test process")
	require.Equal(t, "OK", c.do("DEBUG", "POPULATE", "10000", "key", "1000"))
	full := used()
	require.Greater(t, full-empty, 10_000*1000)
	require.Less(t, full-empty, 10_000*1400)
	require.Equal(t, "OK", c.do("FLUSHALL"))
	require.Less(t, used(), empty+1<<20)
}

// Nobody who waits for something keeps the node from ending.
func TestStopEndsWithParkedAndPausedClients(t *testing.T) {
	t.Parallel()
	s := serve(t)
	a, b := s.dial(), s.dial()
	a.send("WAIT", "1", "0")
	require.Equal(t, "OK", b.do("CLIENT", "PAUSE", "100000", "WRITE"))
	b.send("SET", "k", "v")
	c := s.dial()
	eventually(t, func() bool { return c.info("blocked_clients") == "2" }, "both wait")
	began := time.Now()
	s.Stop()
	require.Less(t, time.Since(began), 5*time.Second)
	a.closed()
	b.closed()
}

// CLIENT CACHING is about the next call, also when that waits for the end of a pause.
func TestCachingHoldsForACallSetAside(t *testing.T) {
	s := serve(t)
	a, b := s.dial(), s.dial()
	require.Equal(t, "OK", b.do("SET", "k", "v"))
	require.Contains(t, a.do("HELLO", "3"), "proto 3")
	require.Equal(t, "OK", a.do("CLIENT", "TRACKING", "ON", "OPTIN"))
	require.Equal(t, "OK", a.do("CLIENT", "CACHING", "YES"))
	require.Equal(t, "OK", b.do("CLIENT", "PAUSE", "200", "ALL"))
	require.Equal(t, "v", a.do("GET", "k"))
	require.Equal(t, "OK", b.do("SET", "k", "w"))
	require.Equal(t, "[invalidate [k]]", a.read())
}
