package node

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/integration/proc"
	"github.com/sextantdb/sextant/store/disk"
)

// writer is one client that counts upwards in two keys at a time until its connection breaks.
type writer struct {
	c     *client
	name  string
	from  int
	acked int
	at    []time.Time // of the acknowledgement of from+1, from+2, …
}

func (w *writer) run() {
	for n := w.from + 1; ; n++ {
		v := strconv.Itoa(n)
		text := request("MULTI") + request("SET", w.name+":a", v) + request("SET", w.name+":b", v) + request("EXEC")
		if n%2 == 0 {
			text = request("MSET", w.name+":a", v, w.name+":b", v)
		}
		if _, err := w.c.Write([]byte(text)); err != nil {
			return
		}
		replies := 4
		if n%2 == 0 {
			replies = 1
		}
		for range replies {
			reply, err := w.c.try()
			if err != nil {
				return
			}
			if strings.HasPrefix(reply, "-") {
				w.c.t.Errorf("%s: %s", w.name, reply)
				return
			}
		}
		w.acked = n
		w.at = append(w.at, time.Now())
	}
}

// TestKillNineLosesNothing ends a server under load with SIGKILL at random moments, again and again in the same
// directory, with rewrites under way: under appendfsync always everything acknowledged comes back, under everysec what was
// acknowledged two seconds before (in truth all but what came while a sync ran). No transaction comes back in half.
func TestKillNineLosesNothing(t *testing.T) {
	for _, fsync := range []string{"always", "everysec"} {
		t.Run(fsync, func(t *testing.T) {
			t.Parallel()
			rounds := 6
			if testing.Short() {
				rounds = 2
			}
			dir := t.TempDir()
			const clients = 8
			var last [clients]int
			var mostLost time.Duration
			for round := range rounds {
				p := launch(t, dir, "--save", "", "--appendonly", "yes", "--appendfsync", fsync, "--aof-use-rdb-preamble", []string{"yes", "no"}[round%2],
					"--auto-aof-rewrite-min-size", "100kb", "--auto-aof-rewrite-percentage", "50")
				c := p.dial()
				var writers [clients]*writer
				for i := range writers {
					w := &writer{c: p.dial(), name: fmt.Sprint("w", i), from: last[i]}
					writers[i] = w
					if last[i] > 0 {
						require.Equal(t, fmt.Sprintf("[%d %d]", last[i], last[i]), c.do("MGET", w.name+":a", w.name+":b"), "round %d", round)
					}
				}
				var all sync.WaitGroup
				for _, w := range writers {
					all.Add(1)
					go func() { defer all.Done(); w.run() }()
				}
				for range 3 {
					time.Sleep(time.Duration(rand.IntN(150)) * time.Millisecond) // the moment is what is tested
					c.do("BGREWRITEAOF")
				}
				p.Kill()
				killed := time.Now()
				p.code()
				all.Wait()

				q := launch(t, dir, "--save", "", "--appendonly", "yes", "--appendfsync", fsync)
				c = q.dial()
				for i, w := range writers {
					reply := c.do("MGET", w.name+":a", w.name+":b")
					var a, b int
					if _, err := fmt.Sscanf(reply, "[%d %d]", &a, &b); err != nil {
						require.Equal(t, "[(nil) (nil)]", reply)
					}
					require.Equal(t, a, b, "a transaction came back in half")
					last[i] = a
					if a >= w.acked {
						continue
					}
					require.NotEqual(t, "always", fsync, "round %d: %s:%d was acknowledged, %d came back\n%s", round, w.name, w.acked, a, q.Out)
					lost := killed.Sub(w.at[a-w.from])
					mostLost = max(mostLost, lost)
					require.Less(t, lost, 2*time.Second)
				}
				if path, err := exec.LookPath("redis-check-aof"); err == nil {
					text, err := exec.Command(path, filepath.Join(dir, "appendonlydir", "appendonly.aof.manifest")).CombinedOutput()
					require.NoError(t, err, "%s", text)
				}
				q.Kill()
			}
			t.Logf("%s: acknowledged up to %v before the kill and lost", fsync, mostLost)
		})
	}
}

// TestRealRedisAndWeTakeOverFromEachOther: a directory of ours starts a redis-server, and one of it starts us.
func TestRealRedisAndWeTakeOverFromEachOther(t *testing.T) {
	t.Parallel()
	path := proc.Redis(t)
	for _, preamble := range []string{"yes", "no"} {
		dir := t.TempDir()
		fill := func(c *client, from int) string {
			for i := from; i < from+300; i++ {
				k := strconv.Itoa(i)
				c.do("SET", "s"+k, k)
				c.do("SELECT", strconv.Itoa(i%3))
				c.do("RPUSH", "l"+strconv.Itoa(i%7), k, "text")
				c.do("HSET", "h"+strconv.Itoa(i%5), "f"+k, k)
				c.do("SADD", "u"+strconv.Itoa(i%5), k)
				c.do("ZADD", "z"+strconv.Itoa(i%5), k, "m"+k)
				c.do("EXPIRE", "s"+k, "100000")
				if i == from+150 {
					require.Equal(t, "Background append only file rewriting started", c.do("BGREWRITEAOF"))
					eventually(t, func() bool { return c.info("aof_rewrite_in_progress") == "0" }, "rewritten")
				}
			}
			return c.do("DEBUG", "DIGEST")
		}
		args := []string{"--save", "", "--appendonly", "yes", "--appendfsync", "always", "--aof-use-rdb-preamble", preamble, "--aof-timestamp-enabled", "yes"}
		p := launch(t, dir, args...)
		digest := fill(p.dial(), 0)
		p.Kill()

		port := proc.FreePort(t)
		real := proc.Prepare(t, append([]string{path, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir, "--enable-debug-command", "yes"}, args...)...)
		real.Serve(patience, func() bool { return strings.Contains(real.Out.String(), "Ready to accept connections") }) // from our directory
		c := dialTo(t, "tcp", "127.0.0.1:"+strconv.Itoa(port))
		require.Equal(t, digest, c.do("DEBUG", "DIGEST"), "%s", real.Out)
		digest = fill(c, 1000)
		real.Kill()

		q := launch(t, dir, args...)
		require.Equal(t, digest, q.dial().do("DEBUG", "DIGEST"), "%s", q.Out)
	}
}

// Under appendfsync always a reply leaves when the write is on disk, and what others read meanwhile
// does not leave before either. The loop serves on.
func TestRepliesWaitForTheDisk(t *testing.T) {
	t.Parallel()
	s := serve(t, "appendonly", "yes", "appendfsync", "always", "latency-monitor-threshold", "1")
	a, b := s.dial(), s.dial()
	require.Equal(t, "OK", a.do("DEBUG", "AOF-FLUSH-SLEEP", "300000"))
	incr := filepath.Join(s.dir, "appendonlydir", "appendonly.aof.1.incr.aof")
	before, err := disk.OS{}.Size(incr)
	require.NoError(t, err)
	began := time.Now()
	a.send("SET", "k", "v")
	eventually(t, func() bool { return s.store.DBSize(0) == 1 }, "it is executed")
	require.Equal(t, "v", b.do("GET", "k"))
	require.GreaterOrEqual(t, time.Since(began), 300*time.Millisecond)
	require.Equal(t, "OK", a.read())
	after, err := disk.OS{}.Size(incr)
	require.NoError(t, err)
	require.Greater(t, after, before)
	longest, _ := strconv.Atoi(a.info("eventloop_duration_max"))
	require.Less(t, longest, 200_000, "no round waited for the disk")
}

// faulty is a disk that can be told to fail.
type faulty struct {
	disk.FS
	err atomic.Pointer[error]
}

type faultyFile struct {
	disk.File
	on *faulty
}

func (f *faulty) fail(err error) {
	if err == nil {
		f.err.Store(nil)
		return
	}
	f.err.Store(&err)
}

func (f *faulty) Append(path string) (disk.File, int64, error) {
	g, n, err := f.FS.Append(path)
	return faultyFile{g, f}, n, err
}

func (f *faulty) Create(path string) (disk.File, error) {
	g, err := f.FS.Create(path)
	return faultyFile{g, f}, err
}

func (f faultyFile) Write(p []byte) (int, error) {
	if err := f.on.err.Load(); err != nil {
		return 0, *err
	}
	return f.File.Write(p)
}

// A disk that fails refuses writes with Redis' error, and lets them in again when it works.
func TestDiskThatFailsRefusesWrites(t *testing.T) {
	t.Parallel()
	d := &faulty{FS: disk.OS{}}
	s := buildOn(t, d, t.TempDir(), proc.FreePort(t), "appendonly", "yes")
	require.NoError(t, s.Start())
	c := s.dial()
	require.Equal(t, "OK", c.do("SET", "k", "1"))
	require.Equal(t, "[1 0]", c.do("WAITAOF", "1", "0", "5000"))
	d.fail(syscall.ENOSPC)
	require.Equal(t, "OK", c.do("SET", "k", "2"), "nobody knows yet")
	const misconf = "-MISCONF Errors writing to the AOF file: No space left on device"
	eventually(t, func() bool { return c.do("SET", "k", "3") == misconf }, "refused")
	require.Equal(t, "err", c.info("aof_last_write_status"))
	require.Equal(t, "[0 0]", c.do("WAITAOF", "1", "0", "10"))
	d.fail(nil)
	eventually(t, func() bool { return c.do("SET", "k", "4") == "OK" }, "accepted again")
	require.Equal(t, "[1 0]", c.do("WAITAOF", "1", "0", "5000"))
	require.Equal(t, "ok", c.info("aof_last_write_status"))
	again := s.again("appendonly", "yes")
	require.Equal(t, "4", again.dial().do("GET", "k"))

	// Under always Redis ends, and so do we: a client must not be told what is not so.
	e := &faulty{FS: disk.OS{}}
	u := buildOn(t, e, t.TempDir(), proc.FreePort(t), "appendonly", "yes", "appendfsync", "always")
	require.NoError(t, u.Start())
	e.fail(errors.New("broken"))
	u.dial().send("SET", "k", "1")
	require.Equal(t, 1, <-u.Over())
	require.Contains(t, u.out.String(), "Can't recover from AOF write error when the AOF fsync policy is 'always'. Exiting...")
}

// A replica with an append only file begins it anew after a full sync, and starts from it.
func TestReplicaHasAnAppendOnlyFile(t *testing.T) {
	t.Parallel()
	primary := serve(t, "appendonly", "yes", "repl-diskless-sync-delay", "0")
	p := primary.dial()
	for i := range 100 {
		p.do("SET", fmt.Sprint("k", i), "v")
	}
	replica := serve(t, "appendonly", "yes", "appendfsync", "always")
	r := replica.dial()
	require.Equal(t, "OK", r.do("SET", "mine", "gone"))
	require.Equal(t, "OK", r.do("REPLICAOF", "127.0.0.1", strconv.Itoa(primary.port)))
	eventually(t, func() bool { return r.info("master_link_status") == "up" }, "the link is up")
	eventually(t, func() bool { return !replica.aof.Waiting() }, "a new base")
	require.Equal(t, "OK", p.do("SELECT", "3"))
	require.Equal(t, "[[OK] [OK]]", strings.ReplaceAll(func() string {
		p.send("MULTI")
		p.read()
		p.send("SET", "x", "1")
		p.read()
		p.send("SET", "y", "1")
		p.read()
		return p.do("EXEC")
	}(), "OK", "[OK]"))
	require.Equal(t, "[1 1]", p.do("WAITAOF", "1", "1", "10000"))
	require.Equal(t, p.do("DEBUG", "DIGEST"), r.do("DEBUG", "DIGEST"))
	want := p.do("DEBUG", "DIGEST")
	_ = replica.aof.Close()
	again := replica.again("appendonly", "yes")
	require.Equal(t, want, again.dial().do("DEBUG", "DIGEST"))
}

// What proves the data complete across a crash: appendfsync always does, everysec only an orderly end.
func TestAppendOnlyFileAsProof(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run := func(fsync string, end func(*testNode)) bool {
		s := build(t, dir, proc.FreePort(t), "appendonly", "yes", "appendfsync", fsync)
		complete := s.cleanStart
		require.NoError(t, s.Start())
		require.Equal(t, "OK", s.dial().do("SET", "k", "v"))
		end(s)
		s.Stop()
		return complete
	}
	crash := func(*testNode) {} // nothing that an orderly end does
	orderly := func(s *testNode) {
		s.dial().send("SHUTDOWN")
		require.Equal(t, 0, <-s.Over())
	}
	require.False(t, run("everysec", crash))
	require.False(t, run("everysec", orderly))
	require.True(t, run("everysec", crash))
	require.False(t, run("always", crash))
	require.True(t, run("always", func(s *testNode) { require.Equal(t, "OK", s.dial().do("CONFIG", "SET", "appendfsync", "everysec")) }))
	require.False(t, run("everysec", func(s *testNode) {
		require.Equal(t, "OK", s.dial().do("CONFIG", "SET", "appendfsync", "always"))
		eventually(t, func() bool { return s.hasCleanMark(s.cfg.Now()) }, "the mark")
	}))
	require.True(t, run("always", crash))
}

// appendonly yes where there is only an RDB file takes it over; Redis starts empty there.
func TestAppendOnlyTakesOverTheRDBFile(t *testing.T) {
	t.Parallel()
	s := serve(t)
	require.Equal(t, "OK", s.dial().do("SET", "k", "v"))
	require.Equal(t, "OK", s.dial().do("SAVE"))
	on := s.again("appendonly", "yes")
	require.Equal(t, "v", on.dial().do("GET", "k"))
	require.Equal(t, "OK", on.dial().do("SET", "k", "w"))
	again := on.again("appendonly", "yes")
	require.Equal(t, "w", again.dial().do("GET", "k"))
}

// One stream has two kinds of receivers: messages and what keeps a link alive are for replicas, and scripts may say who
// receives what they write. What clients write to a writable replica is in its own file.
func TestAOFHoldsWhatIsForIt(t *testing.T) {
	t.Parallel()
	p := primary(t, 1, "appendonly", "yes", "appendfsync", "always", "repl-ping-replica-period", "1")
	r := serve(t, "appendonly", "yes", "appendfsync", "always", "replica-read-only", "no")
	c, rc := p.dial(), r.dial()
	follow(t, rc, p.port)
	linked(t, rc)
	eventually(t, func() bool { return rc.info("aof_rewrite_in_progress")+rc.info("aof_rewrite_scheduled") == "00" }, "its file is whole")
	offset := p.repl.Stream.Offset()
	eventually(t, func() bool { return p.repl.Stream.Offset() > offset }, "a PING")

	require.Equal(t, "0", c.do("PUBLISH", "news", "message"))
	for _, to := range []string{"NONE", "AOF", "REPLICA", "ALL"} {
		script := "redis.set_repl(redis.REPL_" + to + ") redis.call('SET', KEYS[1], '1') redis.call('PUBLISH', 'news', 'scripted')"
		require.Equal(t, "(nil)", c.do("EVAL", script, "1", to))
	}
	require.Equal(t, "OK", c.do("MULTI"))
	require.Equal(t, "QUEUED", c.do("SET", "together", "1"))
	require.Equal(t, "QUEUED", c.do("PUBLISH", "news", "queued"))
	require.Equal(t, "[OK 0]", c.do("EXEC"))
	require.Equal(t, "OK", rc.do("SELECT", "7"))
	require.Equal(t, "OK", rc.do("SET", "mine", "1"))
	require.Equal(t, "OK", rc.do("SELECT", "0"))
	require.Equal(t, "1", c.do("WAIT", "1", "0")) // GETACK
	require.Equal(t, "OK", c.do("SET", "last", "1"))
	require.Equal(t, "[1 1]", c.do("WAITAOF", "1", "1", "0"))
	require.Equal(t, "[(nil) (nil) 1 1]", rc.do("MGET", "NONE", "AOF", "REPLICA", "ALL"))

	text := func(s *testNode) string {
		files, err := filepath.Glob(filepath.Join(s.dir, "appendonlydir", "*.incr.aof"))
		require.NoError(t, err)
		require.Len(t, files, 1)
		b, err := os.ReadFile(files[0])
		require.NoError(t, err)
		return strings.ReplaceAll(string(b), "\r\n", " ")
	}
	for _, s := range []*testNode{p, r} {
		for _, word := range []string{"PUBLISH", "PING", "GETACK", "NONE"} {
			require.NotContains(t, text(s), word)
		}
		require.Contains(t, text(s), "together")
	}
	require.Contains(t, text(r), "$6 SELECT $1 7 *3 $3 SET $4 mine $1 1 *2 $6 SELECT $1 0 ", "the primary's commands are for its database")
	p, r = p.again("appendonly", "yes"), r.again("appendonly", "yes")
	require.Equal(t, "[(nil) 1 (nil) 1 1 1]", p.dial().do("MGET", "NONE", "AOF", "REPLICA", "ALL", "together", "last"))
	rc = r.dial()
	require.Equal(t, "[(nil) (nil) 1 1 1 1]", rc.do("MGET", "NONE", "AOF", "REPLICA", "ALL", "together", "last"))
	require.Equal(t, "OK", rc.do("SELECT", "7"))
	require.Equal(t, "1", rc.do("GET", "mine"))
}

// A replica that takes writes has its clients' and its primary's changes of one key in its file in the order in which it made
// them: loading the file gives what it had.
func TestWritableReplicasFileKeepsTheOrderOfAKey(t *testing.T) {
	t.Parallel()
	p := primary(t, 1)
	replica := serve(t, "appendonly", "yes", "replica-read-only", "no")
	r := replica.dial()
	follow(t, r, p.port)
	linked(t, r)
	eventually(t, func() bool { return !replica.aof.Waiting() }, "a new base")

	const rounds, each = 40, 200
	var both sync.WaitGroup
	for _, w := range []struct {
		c    *client
		what string
	}{{p.dial(), "p"}, {replica.dial(), "o"}} {
		both.Add(1)
		go func() {
			defer both.Done()
			for i := range rounds {
				var text strings.Builder
				for j := range each {
					if j%5 == 0 {
						text.WriteString(request("MULTI") + request("APPEND", "k", w.what) + request("APPEND", "l", w.what) + request("EXEC"))
					} else {
						text.WriteString(request("APPEND", "k", w.what))
					}
				}
				text.WriteString(request("ECHO", strconv.Itoa(i)))
				if _, err := io.WriteString(w.c, text.String()); err != nil {
					t.Error(err)
					return
				}
				for {
					reply, err := w.c.try()
					if err != nil {
						t.Error(err)
						return
					}
					if reply == strconv.Itoa(i) {
						break
					}
				}
			}
		}()
	}
	both.Wait()
	eventually(t, func() bool { return r.do("STRLEN", "k") == strconv.Itoa(2*rounds*each) }, "all is there")
	value, other := r.do("GET", "k"), r.do("GET", "l")
	require.Contains(t, value, "op", "both wrote in turns")
	require.Equal(t, "OK", r.do("REPLICAOF", "NO", "ONE"))
	require.Equal(t, "OK", r.do("DEBUG", "LOADAOF"))
	require.True(t, value == r.do("GET", "k"), "the order of single commands") // a difference of texts so long takes minutes to print
	require.True(t, other == r.do("GET", "l"), "the order of transactions")
}
