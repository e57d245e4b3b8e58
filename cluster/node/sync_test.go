package node

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/cluster/core"
	"github.com/sextantdb/sextant/cluster/topology"
	"github.com/sextantdb/sextant/integration/proc"
)

// primary starts a node with keys, named after what, for replicas to copy.
func primary(t *testing.T, keys int, directives ...string) *testNode {
	s := serve(t, append([]string{"repl-diskless-sync-delay", "0"}, directives...)...)
	require.Equal(t, "OK", s.dial().do("DEBUG", "POPULATE", strconv.Itoa(keys), "new", "100"))
	return s
}

func follow(t *testing.T, c *client, port int) {
	t.Helper()
	require.Equal(t, "OK", c.do("REPLICAOF", "127.0.0.1", strconv.Itoa(port)))
}

func linked(t *testing.T, c *client) {
	t.Helper()
	eventually(t, func() bool { return c.info("master_link_status") == "up" }, "linked")
}

// resync makes a replica of p ask for a full sync of the history it has already.
func resync(t *testing.T, p *testNode) {
	t.Helper()
	c := p.dial()
	full := c.info("sync_full")
	eventually(t, func() bool {
		require.Equal(t, "OK", c.do("MULTI"))
		for _, call := range [][]string{{"CLIENT", "KILL", "TYPE", "replica"}, {"SET", "filler", strings.Repeat("x", 1<<20)}, {"DEL", "filler"}} {
			require.Equal(t, "QUEUED", c.do(call...))
		}
		c.do("EXEC")
		eventually(t, func() bool { return c.info("connected_slaves") == "1" }, "the replica is back")
		return c.info("sync_full") != full
	}, "a full sync")
}

// While a full sync of the same history is loaded beside the old data, that is read as before; then all of the new is
// there at once. Commands that would be in the way are refused. Through a file that is so for any history.
func TestOldDataIsReadUntilTheNewIsComplete(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"swapdb", "disabled"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			p := primary(t, 100, "repl-backlog-size", "16384")
			r := serve(t, "repl-diskless-load", how, "replica-read-only", "no")
			c := r.dial()
			if how == "swapdb" {
				follow(t, c, p.port)
				linked(t, c)
				require.Equal(t, "OK", c.do("FLUSHALL"))
			}
			require.Equal(t, "OK", c.do("SET", "old", "data"))
			require.Equal(t, "OK", c.do("CONFIG", "SET", "key-load-delay", "20000"))
			if how == "swapdb" {
				resync(t, p)
			} else {
				follow(t, c, p.port)
			}
			eventually(t, func() bool { return c.info("async_loading") == "1" }, "it loads beside")
			require.Equal(t, "0", c.info("loading"))
			require.Equal(t, "data", c.do("GET", "old"))
			require.Equal(t, "1", c.do("DBSIZE"))
			require.Equal(t, "(nil)", c.do("GET", "new:1"))
			for _, refused := range [][]string{{"SAVE"}, {"REPLICAOF", "NO", "ONE"}, {"CONFIG", "SET", "appendonly", "no"}} {
				require.Equal(t, "-LOADING Redis is loading the dataset in memory", c.do(refused...))
			}
			linked(t, c)
			require.Equal(t, "100", c.do("DBSIZE"))
			require.Equal(t, "(nil)", c.do("GET", "old"))
			require.Equal(t, "0", c.info("async_loading"))
			require.Equal(t, "OK", c.do("CONFIG", "SET", "appendonly", "no"))
			require.Equal(t, "OK", p.dial().do("SET", "new:1", "changed"))
			eventually(t, func() bool { return c.do("GET", "new:1") == "changed" }, "the stream goes on")
		})
	}
}

// The source dies in the middle: the old data is all there (H24). It is of another history: nobody reads it meanwhile.
func TestOldDataSurvivesAPrimaryThatDies(t *testing.T) {
	t.Parallel()
	p := primary(t, 0, "rdbcompression", "no")
	require.Equal(t, "OK", p.dial().do("DEBUG", "POPULATE", "1000", "new", "20000")) // more than sockets hold: it must die in the middle
	r := serve(t, "repl-diskless-load", "swapdb")
	c := r.dial()
	require.Equal(t, "OK", c.do("SET", "old", "data"))
	require.Equal(t, "OK", c.do("CONFIG", "SET", "key-load-delay", "10000"))
	follow(t, c, p.port)
	eventually(t, func() bool { return c.info("loading") == "1" }, "it loads")
	require.Equal(t, "0", c.info("async_loading"))
	require.Equal(t, "-LOADING Redis is loading the dataset in memory", c.do("GET", "old"))
	p.Stop()
	eventually(t, func() bool { return c.do("REPLICAOF", "NO", "ONE") == "OK" }, "the load fails")
	eventually(t, func() bool { return c.do("SET", "k", "v") == "OK" }, "a primary")
	require.Equal(t, "data", c.do("GET", "old"))
	require.Equal(t, "2", c.do("DBSIZE"))
	require.Equal(t, "0", c.info("async_loading"))
}

// A node without data has nothing to show meanwhile: clients are told LOADING.
func TestFirstSyncSaysLoading(t *testing.T) {
	t.Parallel()
	p := primary(t, 100)
	r := serve(t)
	c := r.dial()
	require.Equal(t, "OK", c.do("CONFIG", "SET", "key-load-delay", "5000"))
	follow(t, c, p.port)
	eventually(t, func() bool { return strings.HasPrefix(c.do("GET", "new:1"), "-LOADING") }, "LOADING")
	require.Equal(t, "1", c.info("loading"))
	linked(t, c)
	require.Equal(t, "100", c.do("DBSIZE"))
	require.Equal(t, "0", c.info("loading"))
}

func TestRoomForTwoDataSets(t *testing.T) {
	dir := t.TempDir()
	meminfo := write(t, dir, "meminfo", "MemTotal: 4096 kB\nMemAvailable:    100 kB\n")
	require.EqualValues(t, 100<<10, availableMemory(meminfo))
	require.EqualValues(t, unknownMemory, availableMemory(filepath.Join(dir, "none")))
	require.EqualValues(t, unknownMemory, groupMemory(dir))
	write(t, dir, "memory.current", "1000\n")
	write(t, dir, "memory.max", "max\n")
	require.EqualValues(t, unknownMemory, groupMemory(dir))
	write(t, dir, "memory.max", "3000\n")
	require.EqualValues(t, 2000, groupMemory(dir))
	require.True(t, roomFor(1))
	require.False(t, roomFor(1<<60))
}

func TestBoundOfPreImages(t *testing.T) {
	require.EqualValues(t, 256<<20, preImageBound(&Values{}))
	require.EqualValues(t, 256<<20, preImageBound(&Values{MaxMemory: 1 << 30}))
	require.EqualValues(t, 1<<30, preImageBound(&Values{MaxMemory: 10 << 30}))
}

const library = "#!lua name=lib\nredis.register_function('f', function() return 'from f' end)"

// Function libraries of a real Redis come with its full sync, go on to our replicas, into our
// file, and back into a real Redis.
func TestFunctionLibrariesAreKept(t *testing.T) {
	t.Parallel()
	redis, port := realRedis(t, "--repl-diskless-sync-delay", "0")
	require.Equal(t, "lib", redis.do("FUNCTION", "LOAD", library))
	require.Equal(t, "OK", redis.do("SET", "k", "v"))
	s := serve(t, "repl-diskless-sync-delay", "0")
	c := s.dial()
	follow(t, c, port)
	linked(t, c)
	require.Equal(t, "v", c.do("GET", "k"))
	require.Equal(t, "OK", c.do("SAVE"))
	c.send("SHUTDOWN", "NOSAVE")
	<-s.Over()
	s = s.again("repl-diskless-sync-delay", "0") // has them from the file
	other, _ := realRedis(t)
	follow(t, other, s.port)
	linked(t, other)
	require.Equal(t, "OK", other.do("REPLICAOF", "NO", "ONE"))
	require.Equal(t, "from f", other.do("FCALL", "f", "0"))
	require.Equal(t, "v", other.do("GET", "k"))
}

// REPLCONF rdb-filter-only says what a tool wants in its snapshot.
func TestSnapshotOfFunctionsOnly(t *testing.T) {
	t.Parallel()
	s := primary(t, 100)
	require.NoError(t, s.libraries.replace([][]byte{[]byte(library)}))
	c := s.dial()
	require.Equal(t, "OK", c.do("REPLCONF", "rdb-only", "1", "rdb-filter-only", "functions", "capa", "eof"))
	c.send("SYNC")
	require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
	var all strings.Builder
	mark := ""
	for mark == "" || strings.Count(all.String(), mark) < 2 {
		b, err := c.r.ReadByte()
		require.NoError(t, err)
		all.WriteByte(b)
		if _, after, ok := strings.Cut(all.String(), "$EOF:"); ok && len(after) == 40 {
			mark = after
		}
	}
	require.Contains(t, all.String(), "name=lib")
	require.NotContains(t, all.String(), "new:")
}

// A transaction of a replica's primary, and what BGSAVE on a replica notes, survive a restart.
func TestReplicaContinuesAfterRestart(t *testing.T) {
	t.Parallel()
	p := primary(t, 10)
	r := serve(t, "replicaof", "127.0.0.1 "+strconv.Itoa(p.port))
	c := r.dial()
	linked(t, c)
	w := p.dial()
	require.Equal(t, "OK", w.do("MULTI"))
	require.Equal(t, "QUEUED", w.do("SET", "a", "1"))
	require.Equal(t, "QUEUED", w.do("INCR", "a"))
	require.Equal(t, "[OK 2]", w.do("EXEC"))
	eventually(t, func() bool { return c.do("GET", "a") == "2" }, "replicated")
	c.send("SHUTDOWN", "SAVE")
	require.Equal(t, 0, <-r.Over())
	require.Equal(t, "3", w.do("INCR", "a"))
	r = r.again("replicaof", "127.0.0.1 "+strconv.Itoa(p.port))
	require.True(t, r.cleanStart)
	c = r.dial()
	linked(t, c)
	eventually(t, func() bool { return c.do("GET", "a") == "3" }, "caught up")
	require.Equal(t, "1", w.info("sync_partial_ok"), "from where it was, without a full sync")
}

// A replica that ends in order acknowledges nothing behind what it saved.
func TestReplicaAcknowledgesNothingBehindItsLastSave(t *testing.T) {
	t.Parallel()
	p := primary(t, 10)
	r := serve(t, "replicaof", "127.0.0.1 "+strconv.Itoa(p.port))
	linked(t, r.dial())
	w := p.dial()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				w.do("INCR", "n")
				w.do("WAIT", "1", "1")
			}
		}
	}()
	eventually(t, func() bool { return r.dial().do("GET", "n") != "(nil)" }, "it runs")
	r.dial().send("SHUTDOWN", "SAVE")
	require.Equal(t, 0, <-r.Over())
	time.Sleep(20 * time.Millisecond) // time to acknowledge what it must not
	saved := r.saver.Info().ChangesSinceLastSave
	require.Zero(t, saved, "changed behind the save")
	close(stop)
	<-done
}

// Of several orders that wait, the newest count; a hold comes before a change of role and the
// end of a hold after it.
func TestRoleQueue(t *testing.T) {
	q := newRoleQueue()
	q.putRole(core.RoleChange{Role: topology.RolePrimary, Flush: true})
	q.putPause(core.Pause{Tok: 1})
	q.putRole(core.RoleChange{Role: topology.RoleReplica, IP: "x"})
	q.putPause(core.Pause{})
	role, pause := q.take()
	require.Equal(t, core.RoleChange{Role: topology.RoleReplica, IP: "x", Flush: true}, *role, "what was to be flushed still is")
	require.Zero(t, pause.Tok)
	role, pause = q.take()
	require.Nil(t, role)
	require.Nil(t, pause)
	<-q.wake
	for i := range 1000 { // never waits, whoever is busy
		q.putPause(core.Pause{Tok: uint64(i)})
	}
}

// dead is a port nobody answers on.
func dead(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// A node that is to drop its data is empty afterwards, and its history is nobody's.
func TestFlushWithARoleBeginsANewHistory(t *testing.T) {
	t.Parallel()
	s := serve(t, "cluster-enabled", "yes")
	old := s.repl.Status().ID
	s.assume(core.RoleChange{Role: topology.RoleReplica, IP: "127.0.0.1", Port: uint16(dead(t)), Flush: true})
	require.NotEqual(t, old, s.repl.Status().ID)
	require.True(t, s.repl.IsReplica())
	require.Zero(t, s.store.DBSize(0))
}

// A link that is killed while it is not reading ends too, and goes on where it was.
func TestKilledLinkComesBack(t *testing.T) {
	t.Parallel()
	p := primary(t, 10)
	r := serve(t)
	c := r.dial()
	follow(t, c, p.port)
	linked(t, c)
	require.Equal(t, "OK", c.do("CLIENT", "PAUSE", "1000000", "WRITE"))
	require.Equal(t, "OK", p.dial().do("SET", "k", "1"))
	eventually(t, func() bool { return c.info("slave_read_repl_offset") != c.info("slave_repl_offset") }, "it waits with what it has read")
	require.Equal(t, "1", c.do("CLIENT", "KILL", "TYPE", "master"))
	require.Equal(t, "OK", c.do("CLIENT", "UNPAUSE"))
	eventually(t, func() bool { return p.info0("sync_partial_ok") == "1" }, "it asks again")
	eventually(t, func() bool { return c.do("GET", "k") == "1" }, "the stream goes on")
}

// In a transaction INFO tells of the role that REPLICAOF has asked for.
func TestRoleWithinATransaction(t *testing.T) {
	t.Parallel()
	p, c := primary(t, 1), serve(t).dial()
	require.Equal(t, "OK", c.do("MULTI"))
	require.Equal(t, "QUEUED", c.do("REPLICAOF", "127.0.0.1", strconv.Itoa(p.port)))
	require.Equal(t, "QUEUED", c.do("INFO", "replication"))
	got := c.do("EXEC")
	require.Contains(t, got, "role:slave")
	require.Contains(t, got, "master_link_status:down")
	linked(t, c)
}

// The snapshot of a sync through files stays at both ends as the RDB file: what was synced survives the end of the process
// although nothing else saves, and a replica goes on from there with a partial sync. With rdb-del-sync-files only who saves
// by other means keeps it.
func TestSyncThroughFilesLeavesTheRDBFile(t *testing.T) {
	t.Parallel()
	p := primary(t, 100, "repl-diskless-sync", "no", "repl-diskless-load", "disabled")
	pc := p.dial()
	changed := pc.info("rdb_changes_since_last_save")
	require.NotEqual(t, "0", changed)
	r := serve(t, "repl-diskless-load", "disabled")
	c := r.dial()
	follow(t, c, p.port)
	linked(t, c)
	require.Equal(t, "0", pc.info("rdb_changes_since_last_save"), "the sync saved it")
	require.Equal(t, "OK", pc.do("SET", "later", "1"))
	r = r.again("replicaof", "127.0.0.1 "+strconv.Itoa(p.port))
	c = r.dial()
	linked(t, c)
	eventually(t, func() bool { return c.do("GET", "later") == "1" }, "the stream goes on")
	require.Equal(t, "1", pc.info("sync_partial_ok"))
	require.Equal(t, "1", pc.info("sync_full"))

	d := serve(t, "rdb-del-sync-files", "yes")
	follow(t, d.dial(), p.port)
	linked(t, d.dial())
	require.NoFileExists(t, filepath.Join(d.dir, "dump.rdb"))
	require.Equal(t, "OK", d.dial().do("REPLICAOF", "NO", "ONE"))
	require.Equal(t, "OK", d.dial().do("CONFIG", "SET", "save", "3600 1"))
	require.Equal(t, "OK", d.dial().do("SET", "own", "1")) // another history
	follow(t, d.dial(), p.port)
	linked(t, d.dial())
	require.FileExists(t, filepath.Join(d.dir, "dump.rdb"))

	require.NoFileExists(t, filepath.Join(p.dir, "appendonlydir"))
	p = p.again()
	require.Equal(t, "101", p.dial().do("DBSIZE"))
	for _, n := range []*testNode{p, r, d} {
		left, err := filepath.Glob(filepath.Join(n.dir, "temp-*"))
		require.NoError(t, err)
		require.Empty(t, left)
	}
}

// A received RDB that cannot become the RDB file ends the sync, and the old data stays.
func TestOldDataStaysWhenTheRDBFileCannotBeReplaced(t *testing.T) {
	t.Parallel()
	p, r := primary(t, 10), serve(t)
	c := r.dial()
	require.Equal(t, "OK", c.do("SET", "old", "1"))
	file := filepath.Join(r.dir, "dump.rdb")
	require.NoError(t, os.Mkdir(file, 0o755))
	follow(t, c, p.port)
	eventually(t, func() bool {
		return strings.Contains(r.out.String(), "Failed trying to rename the temp DB into dump.rdb in MASTER <-> REPLICA synchronization: ")
	}, "it says so")
	require.Equal(t, "1", c.do("GET", "old"))
	require.NoError(t, os.Remove(file))
	linked(t, c)
	require.Equal(t, "10", c.do("DBSIZE"))
}

// The snapshot that a sync through a file makes is completed without replicas if the node has save points, and stopped
// if it has none.
func TestSnapshotOutlivesItsReplicas(t *testing.T) {
	t.Parallel()
	for _, points := range []string{"", "3600 1000000"} {
		p := primary(t, 100, "repl-diskless-sync", "no", "save", points)
		pc := p.dial()
		require.Equal(t, "OK", pc.do("CONFIG", "SET", "rdb-key-save-delay", "1000000"))
		c := serve(t).dial()
		follow(t, c, p.port)
		eventually(t, func() bool { return pc.info("rdb_bgsave_in_progress") == "1" }, "it saves")
		require.Equal(t, "OK", c.do("REPLICAOF", "NO", "ONE"))
		eventually(t, func() bool { return pc.info("connected_slaves") == "0" }, "nobody waits")
		if points == "" {
			eventually(t, func() bool { return pc.info("rdb_bgsave_in_progress") == "0" }, "stopped")
			require.NoFileExists(t, filepath.Join(p.dir, "dump.rdb"))
			continue
		}
		require.Equal(t, "1", pc.info("rdb_bgsave_in_progress"))
		require.Equal(t, "OK", pc.do("CONFIG", "SET", "rdb-key-save-delay", "0"))
		eventually(t, func() bool { return pc.info("rdb_bgsave_in_progress") == "0" }, "whole")
		require.FileExists(t, filepath.Join(p.dir, "dump.rdb"))
		require.Equal(t, "0", pc.info("rdb_changes_since_last_save"))
	}
}

// Valkey's flush-before-load drops the old data first: clients are refused, and it is gone when the load fails.
func TestFlushBeforeLoad(t *testing.T) {
	t.Parallel()
	p, r := primary(t, 100), serve(t, "repl-diskless-load", "flush-before-load")
	c := r.dial()
	require.Equal(t, "OK", c.do("SET", "old", "1"))
	require.Equal(t, "OK", c.do("CONFIG", "SET", "key-load-delay", "100000"))
	follow(t, c, p.port)
	eventually(t, func() bool { return c.info("loading") == "1" }, "it loads")
	p.Stop()
	eventually(t, func() bool { return c.info("loading") == "0" }, "it fails")
	require.Equal(t, "0", c.do("DBSIZE"))
}

// What a transaction asks and does behind REPLICAOF is answered as Redis answers it: the role is the new one at once, what was
// queued before the role was known is still done, and scripts are refused as the new role refuses them.
func TestRoleInsideTransaction(t *testing.T) {
	t.Parallel()
	redis, _ := realRedis(t)
	c := serve(t).dial()
	nobody := strconv.Itoa(proc.FreePort(t)) // whose port is not taken meanwhile
	write := []string{"EVAL", "return redis.call('SET', 'script', '1')", "0"}
	for _, transaction := range [][][]string{
		{{"REPLICAOF", "127.0.0.1", nobody}, {"SET", "a", "b"}, {"ROLE"}, {"GET", "a"}, write, {"WAIT", "0", "1"}},
		{{"ROLE"}, {"REPLICAOF", "127.0.0.1", nobody}, {"REPLICAOF", "127.0.0.1", "1"}, {"REPLICAOF", "127.0.0.1", "1"}, {"ROLE"}},
		{{"ROLE"}, {"REPLICAOF", "NO", "ONE"}, {"ROLE"}, {"INCR", "a"}, {"GET", "a"}},
		{{"REPLICAOF", "NO", "ONE"}, {"ROLE"}},
		{{"REPLICAOF", "127.0.0.1", nobody}, {"ROLE"}, {"REPLICAOF", "NO", "ONE"}, {"ROLE"}, write},
		{{"ROLE"}},
	} {
		var replies [2][]string
		for i, s := range []*client{redis, c} {
			s.do("MULTI")
			for _, call := range transaction {
				s.do(call...)
			}
			replies[i] = append(replies[i], s.do("EXEC"))
			_, primary, _ := strings.Cut(s.do("ROLE"), "slave ")
			replies[i] = append(replies[i], primary, s.do("SET", "b", "c"))
			for j := range replies[i] { // how far either is with connecting, and how it counts, is its own
				replies[i][j] = roleState.ReplaceAllString(replies[i][j], "$1")
			}
		}
		require.Equal(t, replies[0], replies[1], "%v", transaction)
	}
}

// Sentinel sends REPLICAOF and CONFIG REWRITE in one transaction: the file names the new primary.
func TestRewriteInsideTransactionNamesTheNewPrimary(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := build(t, dir, proc.FreePort(t))
	s.cfg.file = write(t, dir, "sextant.conf", "replicaof old 1\n")
	require.NoError(t, s.Start())
	c := s.dial()
	for words, want := range map[string]string{"127.0.0.1 1": "\nreplicaof 127.0.0.1 1\n", "NO ONE": ""} {
		require.Equal(t, "OK", c.do("MULTI"))
		require.Equal(t, "QUEUED", c.do(append([]string{"REPLICAOF"}, strings.Fields(words)...)...))
		require.Equal(t, "QUEUED", c.do("CONFIG", "REWRITE"))
		require.Equal(t, "[OK OK]", c.do("EXEC"))
		text, err := os.ReadFile(s.cfg.file)
		require.NoError(t, err)
		require.Contains(t, "\n"+string(text), want)
		require.Equal(t, want != "", strings.Contains(string(text), "replicaof"))
	}
}

var roleState = regexp.MustCompile(`(master|slave 127.0.0.1 [0-9]+|^127.0.0.1 [0-9]+)(?: connect| connecting| handshake)? -?[0-9]+`)

// With dual-channel-replication-enabled at both ends the writes behind a full sync wait at the replica.
func TestDualChannelReplication(t *testing.T) {
	t.Parallel()
	p := primary(t, 2000, "rdb-key-save-delay", "1000")
	pc := p.dial()
	s := serve(t)
	c := s.dial()
	for _, end := range []*client{pc, c} {
		require.Equal(t, "OK", end.do("CONFIG", "SET", "dual-channel-replication-enabled", "yes"))
	}
	follow(t, c, p.port)
	eventually(t, func() bool { return strings.Contains(pc.do("INFO", "replication"), "state=bg_transfer,") }, "the stream goes beside the snapshot")
	require.Contains(t, pc.do("CLIENT", "LIST", "TYPE", "replica"), "cmd=sync ")
	require.Contains(t, pc.do("CLIENT", "LIST", "TYPE", "replica"), "cmd=psync ")
	require.Equal(t, "OK", pc.do("SET", "late", strings.Repeat("x", 100_000)))
	eventually(t, func() bool { n, _ := strconv.Atoi(c.info("replicas_repl_buffer_size")); return n > 100_000 }, "kept")
	require.Equal(t, "OK", pc.do("CONFIG", "SET", "rdb-key-save-delay", "0"))
	linked(t, c)
	require.Equal(t, "1", pc.do("WAIT", "1", "10000"))
	require.Equal(t, pc.do("DEBUG", "DIGEST"), c.do("DEBUG", "DIGEST"))
	require.Equal(t, "1", pc.info("sync_full"))
	require.Equal(t, "1", pc.info("sync_partial_ok"))
}
