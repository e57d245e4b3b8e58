package node

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRestartKeepsTheData(t *testing.T) {
	t.Parallel()
	s := serve(t)
	c := s.dial()
	require.Equal(t, "OK", c.do("SET", "a", "1"))
	require.Equal(t, "OK", c.do("SET", "e", "2", "EX", "1000"))
	require.Equal(t, "OK", c.do("SELECT", "5"))
	require.Equal(t, "OK", c.do("SET", "b", strings.Repeat("x", 100_000)))
	require.Equal(t, "OK", c.do("SAVE"))
	require.Equal(t, "OK", c.do("SET", "late", "x")) // behind the save: lost, as there are no save points
	s = s.again()
	require.False(t, s.cleanStart)
	c = s.dial()
	require.Equal(t, "1", c.do("GET", "a"))
	require.Contains(t, []string{"999", "1000"}, c.do("TTL", "e"))
	require.Equal(t, "0", c.info("rdb_changes_since_last_save"))
	require.Equal(t, "OK", c.do("SELECT", "5"))
	require.Equal(t, "100000", c.do("STRLEN", "b"))
	require.Equal(t, "(nil)", c.do("GET", "late"))
}

func TestSavePointsFire(t *testing.T) {
	t.Parallel()
	s := serve(t)
	c := s.dial()
	require.Equal(t, "OK", c.do("CONFIG", "SET", "save", "1 10"))
	for i := range 10 {
		require.Equal(t, "OK", c.do("SET", fmt.Sprint("k", i), "v"))
	}
	eventually(t, func() bool { return c.info("rdb_changes_since_last_save") == "0" }, "a save")
	require.FileExists(t, filepath.Join(s.dir, "dump.rdb"))
	require.Contains(t, s.out.String(), "10 changes in 1 seconds. Saving...")
}

// From the answer to BGSAVE on until the file is there INFO says that a save is in progress.
func TestBgsaveIsInProgressAtOnce(t *testing.T) {
	t.Parallel()
	s := serve(t)
	c := s.dial()
	require.Equal(t, "OK", c.do("DEBUG", "POPULATE", "100", "key", "100"))
	require.Equal(t, "OK", c.do("CONFIG", "SET", "rdb-key-save-delay", "1000"))
	for range 3 {
		require.Equal(t, "Background saving started", c.do("BGSAVE"))
		require.Equal(t, "1", c.info("rdb_bgsave_in_progress"))
		require.Equal(t, "-ERR Background save already in progress", c.do("BGSAVE"))
		require.Equal(t, "-ERR Background save already in progress", c.do("BGSAVE", "SCHEDULE"))
		require.Equal(t, "-ERR Background save already in progress", c.do("SAVE"))
		eventually(t, func() bool { return c.info("rdb_bgsave_in_progress") == "0" }, "done")
		require.Equal(t, "ok", c.info("rdb_last_bgsave_status"))
	}
	require.Equal(t, "3", c.info("rdb_saves"))
}

func TestFlushallBreaksASaveOff(t *testing.T) {
	t.Parallel()
	s := serve(t)
	c := s.dial()
	require.Equal(t, "OK", c.do("DEBUG", "POPULATE", "1000", "key", "100"))
	require.Equal(t, "OK", c.do("CONFIG", "SET", "rdb-key-save-delay", "100000"))
	require.Equal(t, "Background saving started", c.do("BGSAVE"))
	eventually(t, func() bool { return s.source.Current() != nil }, "the cut")
	require.Equal(t, "OK", c.do("FLUSHALL"))
	eventually(t, func() bool { return c.info("rdb_bgsave_in_progress") == "0" }, "broken off")
	require.NoFileExists(t, filepath.Join(s.dir, "dump.rdb"))
	left, err := os.ReadDir(s.dir)
	require.NoError(t, err)
	require.Empty(t, left, "no temporary file is left")
	require.Equal(t, "ok", c.info("rdb_last_bgsave_status"), "nothing failed")
}

// BGSAVE CANCEL, Valkey's, stops what runs, also what has only just been asked for, and else what waits its turn.
func TestCancelledSave(t *testing.T) {
	t.Parallel()
	s := serve(t)
	c := s.dial()
	const nothing = "-ERR Background saving is currently not in progress or scheduled"
	require.Equal(t, nothing, c.do("BGSAVE", "CANCEL"))
	require.Equal(t, "OK", c.do("DEBUG", "POPULATE", "100", "key", "100"))
	require.Equal(t, "OK", c.do("CONFIG", "SET", "rdb-key-save-delay", "10000000"))
	for range 3 {
		require.Equal(t, "Background saving started", c.do("BGSAVE"))
		require.Equal(t, "Background saving cancelled", c.do("BGSAVE", "CANCEL"))
		eventually(t, func() bool { return c.info("rdb_bgsave_in_progress") == "0" }, "stopped")
		require.Equal(t, "ok", c.info("rdb_last_bgsave_status"))
	}
	require.Equal(t, "Background append only file rewriting started", c.do("BGREWRITEAOF"))
	require.Equal(t, "Background saving scheduled", c.do("BGSAVE", "SCHEDULE"))
	require.Equal(t, "Scheduled background saving cancelled", c.do("BGSAVE", "CANCEL"))
	require.Equal(t, nothing, c.do("BGSAVE", "CANCEL"))
	require.Equal(t, "OK", c.do("CONFIG", "SET", "rdb-key-save-delay", "0"))
	require.NoFileExists(t, filepath.Join(s.dir, "dump.rdb"))
}

func TestFailingSavesStopWrites(t *testing.T) {
	t.Parallel()
	s := serve(t)
	c := s.dial()
	require.Equal(t, "OK", c.do("CONFIG", "SET", "save", "1000 1000"))
	require.NoError(t, os.Mkdir(filepath.Join(s.dir, "dump.rdb"), 0o700)) // nothing can be renamed over it
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "dump.rdb", "x"), nil, 0o600))
	require.Equal(t, "Background saving started", c.do("BGSAVE"))
	eventually(t, func() bool { return c.info("rdb_last_bgsave_status") == "err" }, "it fails")
	eventually(t, func() bool { return strings.HasPrefix(c.do("SET", "k", "v"), "-MISCONF") }, "writes are refused")
	require.Equal(t, "(nil)", c.do("GET", "none"))
	require.NoError(t, os.RemoveAll(filepath.Join(s.dir, "dump.rdb")))
	require.Equal(t, "Background saving started", c.do("BGSAVE"))
	eventually(t, func() bool { return c.do("SET", "k", "v") == "OK" }, "writes go on")
}

// What was acknowledged before DEBUG RELOAD is there after it, whoever writes meanwhile.
func TestReloadLosesNothing(t *testing.T) {
	t.Parallel()
	s := serve(t)
	require.Equal(t, "OK", s.dial().do("DEBUG", "POPULATE", "3000", "key", "1000"))
	stop, last := make(chan struct{}), make(chan int)
	w := s.dial()
	go func() {
		n := 0
		for {
			select {
			case <-stop:
				last <- n
				return
			default:
			}
			w.send("INCR", "n")
			switch r, err := w.try(); {
			case err != nil || r == fmt.Sprint(n+1):
				n++
			case !strings.HasPrefix(r, "-LOADING"):
				last <- -1 // an acknowledged write was lost
				return
			}
		}
	}()
	c := s.dial()
	for range 4 {
		require.Equal(t, "OK", c.do("DEBUG", "RELOAD"))
	}
	close(stop)
	n := <-last
	require.NotEqual(t, -1, n, "a write that was acknowledged is gone")
	require.Positive(t, n)
	require.Equal(t, fmt.Sprint(n), c.do("GET", "n"))
}

func TestShutdownWords(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		save, words string
		file        bool
	}{
		{"", "SHUTDOWN", false},
		{"", "SHUTDOWN SAVE", true},
		{"1000 1", "SHUTDOWN", true},
		{"1000 1", "SHUTDOWN NOSAVE", false},
		{"1000 1", "SHUTDOWN NOW FORCE", true},
	} {
		t.Run(x.save+"/"+x.words, func(t *testing.T) {
			t.Parallel()
			s := serve(t, "save", x.save)
			c := s.dial()
			require.Equal(t, "OK", c.do("SET", "k", "v"))
			c.send(strings.Fields(x.words)...)
			require.Equal(t, 0, <-s.Over())
			s.Stop()
			c.closed()
			_, err := os.Stat(filepath.Join(s.dir, "dump.rdb"))
			require.Equal(t, x.file, err == nil)
			_, err = os.Stat(filepath.Join(s.dir, "dump.rdb.complete"))
			require.Equal(t, x.file, err == nil)
		})
	}
	s := serve(t)
	c := s.dial()
	require.Equal(t, "-ERR syntax error", c.do("SHUTDOWN", "SAVE", "NOSAVE"))
	require.Equal(t, "-ERR syntax error", c.do("SHUTDOWN", "ABORT", "NOW"))
	require.Equal(t, "-ERR No shutdown in progress.", c.do("SHUTDOWN", "ABORT"))
}

// laggard attaches a replica that acknowledges nothing.
func laggard(t *testing.T, dial func() *client) *client {
	r := dial()
	require.Equal(t, "OK", r.do("REPLCONF", "listening-port", "1"))
	require.Equal(t, "OK", r.do("REPLCONF", "capa", "eof", "capa", "psync2"))
	r.send("PSYNC", "?", "-1")
	require.Contains(t, r.read(), "FULLRESYNC")
	line, err := r.r.ReadString('\n')
	for err == nil && line == "\n" {
		line, err = r.r.ReadString('\n')
	}
	require.NoError(t, err)
	mark := strings.TrimPrefix(strings.TrimSpace(line), "$EOF:")
	require.Len(t, mark, 40)
	var all []byte
	for !strings.HasSuffix(string(all), mark) {
		b, err := r.r.ReadByte()
		require.NoError(t, err)
		all = append(all, b)
	}
	r.send("REPLCONF", "ACK", "0")
	eventually(t, func() bool { return strings.Contains(dial().info("slave0"), "state=online") }, "online")
	return r
}

// SHUTDOWN waits for replicas, holds writes meanwhile, and can be aborted; who asks twice waits
// for the same end.
func TestShutdownWaitsAndAborts(t *testing.T) {
	t.Parallel()
	s := serve(t, "repl-diskless-sync-delay", "0", "shutdown-timeout", "100")
	laggard(t, s.dial)
	a, b, c, w := s.dial(), s.dial(), s.dial(), s.dial()
	require.Equal(t, "OK", c.do("SET", "k", "1"))
	a.send("SHUTDOWN")
	eventually(t, func() bool { return strings.Contains(s.out.String(), "Waiting for replicas before shutting down") }, "it waits")
	b.send("SHUTDOWN", "NOSAVE")
	w.send("SET", "k", "2")
	eventually(t, func() bool { return c.info("blocked_clients") == "3" }, "all of them wait")
	require.Equal(t, "1", c.do("GET", "k"))
	require.Equal(t, "OK", c.do("SHUTDOWN", "ABORT"))
	require.Equal(t, "-ERR Errors trying to SHUTDOWN. Check logs.", a.read())
	require.Equal(t, "-ERR Errors trying to SHUTDOWN. Check logs.", b.read())
	require.Equal(t, "OK", w.read())
	require.Equal(t, "-ERR No shutdown in progress.", c.do("SHUTDOWN", "ABORT"))
	require.Contains(t, s.out.String(), "Shutdown manually aborted.")
	a.send("SHUTDOWN", "NOW")
	require.Equal(t, 0, <-s.Over())
}

// A full sync that is being written does not keep the node from its last save.
func TestShutdownBreaksAFullSyncOff(t *testing.T) {
	t.Parallel()
	s := serve(t, "repl-diskless-sync-delay", "0", "save", "1000 1", "rdb-key-save-delay", "100000")
	c := s.dial()
	require.Equal(t, "OK", c.do("DEBUG", "POPULATE", "1000", "key", "10"))
	r := s.dial()
	r.send("PSYNC", "?", "-1")
	eventually(t, func() bool { return s.source.Current() != nil }, "the sync runs")
	require.Equal(t, "OK", c.do("CONFIG", "SET", "rdb-key-save-delay", "0"))
	c.send("SHUTDOWN")
	select {
	case code := <-s.Over():
		require.Equal(t, 0, code)
	case <-time.After(patience):
		t.Fatal("it does not end")
	}
	require.FileExists(t, filepath.Join(s.dir, "dump.rdb.complete"))
}

// A shutdown whose save fails does not happen, and everything goes on.
func TestShutdownThatCannotSave(t *testing.T) {
	t.Parallel()
	s := serve(t, "save", "1000 1")
	require.NoError(t, os.Mkdir(filepath.Join(s.dir, "dump.rdb"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "dump.rdb", "x"), nil, 0o600))
	c := s.dial()
	require.Equal(t, "OK", c.do("SET", "k", "v"))
	require.Equal(t, "-ERR Errors trying to SHUTDOWN. Check logs.", c.do("SHUTDOWN"))
	require.Equal(t, "OK", c.do("SET", "k", "v"))
	c.send("SHUTDOWN", "FORCE")
	require.Equal(t, 0, <-s.Over())
}
