package node

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What the Tcl suite of Redis and Valkey found in a whole node, each as a test of ours.

func TestRolesAreInConfigGetAndInClientList(t *testing.T) {
	t.Parallel()
	p := primary(t, 10)
	r := serve(t)
	c, w := r.dial(), p.dial()
	require.Equal(t, "[replicaof ]", c.do("CONFIG", "GET", "replicaof"))
	require.Equal(t, "OK", c.do("REPLICAOF", "127.0.0.1", strconv.Itoa(p.port)))
	require.Equal(t, "[replicaof 127.0.0.1 "+strconv.Itoa(p.port)+"]", c.do("CONFIG", "GET", "replicaof"))
	linked(t, c)

	list := w.do("CLIENT", "LIST", "TYPE", "replica")
	require.Contains(t, list, "flags=S ")
	require.Equal(t, 1, strings.Count(list, "id="))
	require.Contains(t, c.do("CLIENT", "LIST", "TYPE", "master"), "flags=M ")

	before, _ := strconv.Atoi(w.info("sync_partial_ok"))
	require.Equal(t, "1", w.do("CLIENT", "KILL", "TYPE", "replica"))
	eventually(t, func() bool { return w.info("sync_partial_ok") == strconv.Itoa(before+1) }, "the replica comes back and continues")
	require.Equal(t, "1", c.do("CLIENT", "KILL", "TYPE", "master"))
	eventually(t, func() bool { return w.info("sync_partial_ok") == strconv.Itoa(before+2) }, "so it does when it hung up itself")
	require.Equal(t, "1", w.info("sync_full"))

	require.Equal(t, "OK", c.do("MULTI"))
	require.Equal(t, "QUEUED", c.do("REPLICAOF", "NO", "ONE"))
	require.Equal(t, "[OK]", c.do("EXEC"))
	require.Equal(t, "OK", c.do("SET", "k", "v"), "the role holds from the command behind EXEC on")
	require.Equal(t, "[replicaof ]", c.do("CONFIG", "GET", "replicaof"))
}

// A gate that follows from a directive is closed when CONFIG SET answers, not at the next tick.
func TestConfigSetHoldsForTheNextCommand(t *testing.T) {
	t.Parallel()
	c := serve(t).dial()
	require.Equal(t, "OK", c.do("MULTI"))
	require.Equal(t, "QUEUED", c.do("SET", "k", "v"))
	require.Equal(t, "OK", serveSecond(c).do("CONFIG", "SET", "min-replicas-to-write", "1"))
	require.Equal(t, "-EXECABORT Transaction discarded because of: NOREPLICAS Not enough good replicas to write.", c.do("EXEC"))
	require.Equal(t, "-NOREPLICAS Not enough good replicas to write.", c.do("SET", "k", "v"))
	require.Equal(t, "OK", c.do("CONFIG", "SET", "min-replicas-to-write", "0"))
	require.Equal(t, "OK", c.do("SET", "k", "v"))

	// A replica that lost its primary refuses a transaction of reads like the reads.
	require.Equal(t, "OK", c.do("MULTI"))
	require.Equal(t, "QUEUED", c.do("GET", "k"))
	other := serveSecond(c)
	require.Equal(t, "OK", other.do("CONFIG", "SET", "replica-serve-stale-data", "no"))
	require.Equal(t, "OK", other.do("REPLICAOF", "127.0.0.1", "1"))
	require.Contains(t, c.do("EXEC"), "-EXECABORT Transaction discarded because of: MASTERDOWN")
}

// serveSecond is another connection to the node c talks to.
func serveSecond(c *client) *client { return dialTo(c.t, "tcp", c.RemoteAddr().String()) }

// used_memory and maxmemory count the same things: a bound a little above what is used is kept
// by evicting, for keys and for what clients hold.
func TestMaxmemoryIsKeptByEvicting(t *testing.T) {
	t.Parallel()
	c := serve(t).dial()
	require.Equal(t, "OK", c.do("SELECT", "9"))
	used := func() int64 {
		n, err := strconv.ParseInt(c.info("used_memory"), 10, 64)
		require.NoError(t, err)
		return n
	}
	limit := used() + 100<<10
	require.Equal(t, "OK", c.do("CONFIG", "SET", "maxmemory", fmt.Sprint(limit), "maxmemory-policy", "allkeys-lru"))
	for i := range 2000 {
		require.Equal(t, "OK", c.do("SETEX", fmt.Sprintf("k%d", i), "10000", "x"), i)
	}
	require.Less(t, used(), limit+4096)
	require.NotEqual(t, "0", c.info("evicted_keys"))

	require.Equal(t, "OK", c.do("CONFIG", "SET", "maxmemory", "0"))
	big := strings.Repeat("x", 1<<20)
	require.Equal(t, "OK", c.do("SET", "big", big))
	require.Equal(t, "OK", c.do("CONFIG", "SET", "maxmemory", fmt.Sprint(used()+1<<20)))
	slow := serveSecond(c)
	slow.send("SELECT", "9")
	for range 20 { // more than the sockets take
		slow.send("GET", "big")
	}
	eventually(t, func() bool { c.do("SET", "probe", "x"); return c.do("EXISTS", "big") == "0" }, "what a client does not read pushes keys out")
	require.NoError(t, slow.Close())
	eventually(t, func() bool { return c.info("connected_clients") == "1" }, "gone")
	require.Equal(t, "OK", c.do("SET", "k", big[:1<<19]), "and what it held is not held against who comes next")
}

// Keys that expired while a primary was down are not loaded; replicas that continue with it are
// told to delete them.
func TestKeysExpiredWhileDownAreDeletedAtReplicas(t *testing.T) {
	t.Parallel()
	p := primary(t, 10)
	r := serve(t, "replicaof", "127.0.0.1 "+strconv.Itoa(p.port))
	c, w := r.dial(), p.dial()
	linked(t, c)
	require.Equal(t, "OK", w.do("FLUSHALL"))
	require.Equal(t, "OK", w.do("DEBUG", "SET-ACTIVE-EXPIRE", "0"))
	for i := range 50 {
		require.Equal(t, "OK", w.do("SET", fmt.Sprint("k", i), "v", "PX", "1"))
	}
	eventually(t, func() bool { return c.do("DBSIZE") == "50" }, "replicated")
	w.send("SHUTDOWN", "SAVE")
	require.Equal(t, 0, <-p.Over())
	p = p.again("repl-diskless-sync-delay", "0")
	w = p.dial()
	require.Equal(t, "50", w.info("rdb_last_load_keys_expired"))
	eventually(t, func() bool { return c.do("DBSIZE") == "0" }, "deleted at the replica")
	require.Equal(t, "1", w.info("sync_partial_ok"))
	require.Equal(t, w.do("DEBUG", "DIGEST"), c.do("DEBUG", "DIGEST"))
}

func TestMonitorShowsWhatRuns(t *testing.T) {
	t.Parallel()
	s := serve(t)
	m, c := s.dial(), s.dial()
	require.Equal(t, "OK", m.do("MONITOR"))
	require.Equal(t, "OK", c.do("SET", "k", "a b\n"))
	require.Contains(t, c.do("AUTH", "user", "secret"), "WRONGPASS")
	require.Contains(t, c.do("CONFIG", "GET", "port"), "port")
	require.Equal(t, "OK", c.do("SELECT", "3"))
	require.Equal(t, "OK", c.do("MULTI"))
	require.Equal(t, "QUEUED", c.do("INCR", "n"))
	require.Equal(t, "[1]", c.do("EXEC"))
	require.Equal(t, "1", c.do("EVAL", "return redis.call('GET', KEYS[1])", "1", "n"))
	require.Contains(t, c.do("EVALSHA", "none", "0"), "NOSCRIPT")
	require.Contains(t, c.do("FCALL", "none", "0"), "Function not found")
	from := c.LocalAddr().String()
	for _, want := range []string{
		"[0 " + from + `] "SET" "k" "a b\n"`, "[0 " + from + `] "AUTH" "(redacted)" "(redacted)"`, // CONFIG is an administrator's
		"[3 " + from + `] "SELECT" "3"`, "[3 " + from + `] "MULTI"`, "[3 " + from + `] "INCR" "n"`, "[3 " + from + `] "EXEC"`,
		"[3 " + from + `] "EVAL" "return redis.call('GET', KEYS[1])" "1" "n"`, `[3 lua] "GET" "n"`,
		"[3 " + from + `] "EVALSHA" "none" "0"`, "[3 " + from + `] "FCALL" "none" "0"`, // what cannot be run has been asked for
	} {
		require.Regexp(t, `^\d+\.\d{6} `, m.peek())
		require.Equal(t, want, strings.SplitN(m.read(), " ", 2)[1])
	}
	require.Contains(t, c.do("CLIENT", "LIST"), "flags=O ")
	require.Equal(t, "RESET", m.do("RESET"))
	require.Equal(t, "OK", c.do("SET", "k", "v"))
	require.Equal(t, "PONG", m.do("PING"), "and nothing before it")
	require.NoError(t, c.Close())
}

// The passwords that a MIGRATE is given for the target are shown to nobody here, in MULTI neither.
func TestMigrateHidesThePassword(t *testing.T) {
	t.Parallel()
	s := serve(t, "slowlog-log-slower-than", "0")
	m, c := s.dial(), s.dial()
	require.Equal(t, "OK", m.do("MONITOR"))
	head := []string{"MIGRATE", "127.0.0.1", "1", "nosuch", "0", "10"}
	require.Equal(t, "NOKEY", c.do(append(head, "AUTH", "secret")...))
	require.Equal(t, "NOKEY", c.do(append(head, "COPY", "AUTH2", "somebody", "secret")...))
	require.Contains(t, c.do(append(head, "AUTH", "secret", "NONSENSE")...), "syntax error")
	require.Equal(t, "OK", c.do("MULTI"))
	require.Equal(t, "QUEUED", c.do(append(head, "AUTH", "secret")...))
	require.Equal(t, "[NOKEY]", c.do("EXEC"))
	call := `"MIGRATE" "127.0.0.1" "1" "nosuch" "0" "10" `
	for _, want := range []string{
		call + `"AUTH" "(redacted)"`, call + `"COPY" "AUTH2" "(redacted)" "(redacted)"`, call + `"AUTH" "(redacted)" "NONSENSE"`,
		`"MULTI"`, call + `"AUTH" "(redacted)"`, `"EXEC"`,
	} {
		require.True(t, strings.HasSuffix(m.read(), "] "+want), want)
	}
	slow := c.do("SLOWLOG", "GET", "-1")
	require.Contains(t, slow, "(redacted)")
	require.NotContains(t, slow, "secret")
	require.NotContains(t, slow, "somebody")
}

// peek is what read will return.
func (c *client) peek() string {
	b, err := c.r.Peek(24)
	require.NoError(c.t, err)
	return string(b[1:])
}

// FLUSHALL ends a background save, and answers when the emptiness is on disk.
func TestFlushallAndSaves(t *testing.T) {
	t.Parallel()
	s := serve(t, "rdb-key-save-delay", "10000000")
	c := s.dial()
	require.Equal(t, "OK", c.do("MSET", "a", "1", "b", "2"))
	require.Equal(t, "Background saving started", c.do("BGSAVE"))
	require.Equal(t, "1", c.info("rdb_bgsave_in_progress"), "ten seconds for every key")
	require.Equal(t, "OK", c.do("FLUSHALL"))
	eventually(t, func() bool { return c.info("rdb_bgsave_in_progress") == "0" }, "cancelled")
	require.NoFileExists(t, filepath.Join(s.dir, "dump.rdb"), "no save points: nothing is saved")

	require.Equal(t, "OK", c.do("CONFIG", "SET", "save", "3600 1", "rdb-key-save-delay", "0"))
	require.Equal(t, "OK", c.do("SET", "a", "1"))
	require.Equal(t, "OK", c.do("SAVE"))
	full, err := os.Stat(filepath.Join(s.dir, "dump.rdb"))
	require.NoError(t, err)
	require.Equal(t, "OK", c.do("FLUSHALL"))
	empty, err := os.Stat(filepath.Join(s.dir, "dump.rdb"))
	require.NoError(t, err)
	require.Less(t, empty.Size(), full.Size(), "on disk before the answer")
	require.Equal(t, "0", c.info("rdb_changes_since_last_save"))
	require.Equal(t, "OK", c.do("SAVE"), "and nobody else's save is cancelled")
}

func TestLoadingKeysSlowly(t *testing.T) {
	t.Parallel()
	s := serve(t)
	c := s.dial()
	require.Equal(t, "OK", c.do("MSET", "a", "1", "b", "2", "c", "3"))
	require.Equal(t, "OK", c.do("CONFIG", "SET", "key-load-delay", "200000"))
	c.send("DEBUG", "RELOAD")
	d := s.dial()
	eventually(t, func() bool { return d.info("loading") == "1" }, "loads")
	require.Contains(t, d.do("GET", "a"), "-LOADING")
	require.Contains(t, d.do("CONFIG", "SET", "repl-diskless-load", "swapdb"), "-LOADING")
	require.Equal(t, "OK", d.do("CONFIG", "SET", "key-load-delay", "0"), "from the next key on")
	require.Equal(t, "OK", c.read())
	require.Equal(t, "3", d.do("DBSIZE"))
}

func TestListeningSomewhereElse(t *testing.T) {
	t.Parallel()
	s := serve(t, "bind", "*")
	c := s.dial()
	require.Equal(t, "OK", c.do("CONFIG", "SET", "bind", "127.0.0.1"), "which * has taken")
	require.Equal(t, "PONG", s.dial().do("PING"))
	require.Equal(t, "-ERR CONFIG SET failed (possibly related to argument 'bind') - Failed to bind to specified addresses.", c.do("CONFIG", "SET", "bind", "127.0.0.1 192.0.2.1"))
	require.Equal(t, "PONG", s.dial().do("PING"), "as before")
	taken := serve(t)
	require.Equal(t, "-ERR CONFIG SET failed (possibly related to argument 'port') - Unable to listen on this port. Check server logs.",
		c.do("CONFIG", "SET", "port", strconv.Itoa(taken.port)))
	require.Equal(t, "PONG", s.dial().do("PING"))
	require.Contains(t, s.out.String(), "Failed listening on port")
}

// A browser that was made to post to our port is cut off before its first line can do harm.
func TestHTTPEndsTheConnection(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for _, line := range []string{"POST / HTTP/1.1", "Host: example.org"} {
		c := s.dial()
		_, err := fmt.Fprintf(c, "%s\r\nSET stolen 1\r\n", line)
		require.NoError(t, err)
		_, err = c.try()
		require.Error(t, err, line)
	}
	require.Equal(t, "0", s.dial().do("DBSIZE"))
	eventually(t, func() bool { return strings.Count(s.out.String(), "Possible SECURITY ATTACK detected") == 1 }, "told once a minute")
}

func TestInfoAboutTheEventLoop(t *testing.T) {
	t.Parallel()
	c := serve(t).dial()
	require.NotContains(t, c.do("INFO", "everything"), "eventloop_duration_max")
	for _, field := range []string{"eventloop_duration_max", "eventloop_duration_cron_sum", "eventloop_cmd_per_cycle_max"} {
		eventually(t, func() bool { return strings.Contains(c.do("INFO", "debug"), field+":") }, field)
	}
	eventually(t, func() bool {
		return c.info("eventloop_duration_sum") != "0" && c.info("eventloop_duration_cmd_sum") != "0"
	}, "time is counted")
	require.Equal(t, "OK", c.do("CONFIG", "RESETSTAT"))
	time.Sleep(time.Millisecond)
}

func TestResetStatForgetsTheCommands(t *testing.T) {
	t.Parallel()
	c := serve(t).dial()
	for range 20 {
		require.Equal(t, "PONG", c.do("PING"))
	}
	require.GreaterOrEqual(t, len(c.info("total_commands_processed")), 2)
	require.Equal(t, "OK", c.do("CONFIG", "RESETSTAT"))
	require.Equal(t, "1", c.info("total_commands_processed"), "RESETSTAT itself")
}

// The kernel's inclination to kill us follows the directive and is given back.
func TestOOMScore(t *testing.T) {
	read := func() int {
		b, err := os.ReadFile(oomScoreFile)
		require.NoError(t, err)
		n, err := strconv.Atoi(strings.TrimSpace(string(b)))
		require.NoError(t, err)
		return n
	}
	base := read()
	c := serve(t).dial()
	require.Equal(t, "OK", c.do("CONFIG", "SET", "oom-score-adj-values", "9 11 13", "oom-score-adj", "relative"))
	require.Equal(t, min(base+9, 1000), read())
	require.Equal(t, "OK", c.do("CONFIG", "SET", "oom-score-adj", "no"))
	require.Equal(t, base, read())
}

func TestRewriteOfEveryDirective(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "x.conf")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	c, err := Load([]string{file}, dir, nil)
	require.NoError(t, err)
	require.Empty(t, c.RewriteAll())
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Greater(t, strings.Count(string(text), "\n"), 150)
	again, err := Load([]string{file}, dir, nil)
	require.NoError(t, err, "it can be read")
	require.Equal(t, c.Now().MaxMemorySamples, again.Now().MaxMemorySamples)
	for _, p := range c.Get([][]byte{[]byte("*")}) {
		require.False(t, strings.HasPrefix(p.Name, "cluster-voters"), "what tools cannot set back is not listed")
	}
}

// INFO says how long an orderly end waits yet, the log who was waited for.
func TestAnOrderlyEndTellsWhomItWaitsFor(t *testing.T) {
	t.Parallel()
	p := primary(t, 10)
	linked(t, serve(t, "replicaof", "127.0.0.1 "+strconv.Itoa(p.port)).dial())
	w, lazy := p.dial(), p.dial()
	lazy.send("PSYNC", w.info("master_replid"), "1")
	require.Contains(t, lazy.read(), "CONTINUE")
	require.Equal(t, "OK", w.do("SET", "k", "v"))
	require.Empty(t, w.info("shutdown_in_milliseconds"))
	end := p.dial()
	end.send("SHUTDOWN", "NOSAVE")
	eventually(t, func() bool { return strings.HasPrefix(w.info("shutdown_in_milliseconds"), "9") }, "waits up to ten seconds")
	lazy.send("REPLCONF", "ACK", w.info("master_repl_offset"))
	require.Equal(t, 0, <-p.Over())
	require.Contains(t, p.out.String(), "Waiting for replicas before shutting down.")
	require.Contains(t, p.out.String(), "2 of 2 replicas are in sync when shutting down.")
}

// DEBUG OBJECT tells about what is there, also on a replica that waits for its primary to delete it.
func TestDebugObjectSeesExpiredKeys(t *testing.T) {
	t.Parallel()
	c := serve(t).dial()
	require.Equal(t, "OK", c.do("DEBUG", "SET-ACTIVE-EXPIRE", "0"))
	require.Equal(t, "OK", c.do("SET", "k", "v", "PX", "1"))
	time.Sleep(3 * time.Millisecond)
	require.Contains(t, c.do("DEBUG", "OBJECT", "k"), "encoding:embstr")
	require.Equal(t, "0", c.do("EXISTS", "k"))
	require.Contains(t, c.do("DEBUG", "OBJECT", "k"), "-ERR no such key")
}
