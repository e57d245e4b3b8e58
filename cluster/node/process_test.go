package node

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/integration/proc"
)

// What cannot be done is refused at the start: exit code 1, and the reason on standard error in
// the words and with the line number tools know from Redis.
func TestRefusalsOfAProcess(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = taken.Close() })
	busy := taken.Addr().(*net.TCPAddr).Port
	for _, c := range []struct {
		name, conf string
		file       string // a dump.rdb to find
		want       []string
	}{
		{"unknown directive", "# first line\nnosuch 1\n", "", []string{
			"*** FATAL CONFIG FILE ERROR (Redis " + redisVersion + ") ***\nReading the configuration file, at line 2\n>>> 'nosuch 1'\nBad directive or wrong number of arguments\n"}},
		{"bad value", "maxmemory 1zz\n", "", []string{"at line 1\n>>> 'maxmemory 1zz'\nargument must be a memory value\n"}},
		{"no such dir", "\n\ndir /none/of/these\n", "", []string{"at line 3\n>>> 'dir /none/of/these'\nNo such file or directory\n"}},
		{"port taken", fmt.Sprintf("bind 127.0.0.1\nport %d\n", busy), "", []string{fmt.Sprintf("Failed listening on port %d (tcp), aborting", busy)}},
		{"bus port too high", "port 60001\nbind 127.0.0.1\ncluster-enabled yes\n", "", []string{"too high for cluster mode", "70001"}},
		{"strict mode is not there yet", "cluster-enabled yes\ncluster-consistency strict\nport 0\n", "", []string{"strict"}},
		{"short secret", "cluster-enabled yes\ncluster-bus-secret short\n", "", []string{"at line 2", "at least 16 characters"}},
		{"bus over TLS is not there yet", "cluster-enabled yes\ncluster-bus-auth tls\nport 0\n", "", []string{"cluster-bus-auth tls"}},
		{"corrupt RDB", "port 0\nunixsocket s\n", "REDIS0010\xfe\x00\x00\x01k", []string{"dump.rdb", "offset 14", "unexpected end"}},
		{"no RDB", "port 0\nunixsocket s\n", "NOTREDIS0011223344", []string{"dump.rdb", "Wrong signature"}},
		{"log file", "port 0\nlogfile /none/of/these\n", "", []string{"Can't open the log file: No such file or directory"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			conf := write(t, dir, "redis.conf", c.conf)
			args := []string{conf}
			if !strings.Contains(c.conf, "dir ") {
				args = append(args, "--dir", dir)
			}
			if c.file != "" {
				write(t, dir, "dump.rdb", c.file)
			}
			p := spawn(t, nil, args...)
			require.Equal(t, 1, p.code())
			for _, w := range c.want {
				require.Contains(t, p.Err.String(), w)
			}
			if c.file != "" {
				b, err := os.ReadFile(filepath.Join(dir, "dump.rdb"))
				require.NoError(t, err)
				require.Equal(t, c.file, string(b), "what cannot be read stays as it is")
			}
		})
	}
}

func TestClusterStateFileIsLocked(t *testing.T) {
	t.Parallel()
	a := serve(t, "cluster-enabled", "yes")
	p := spawn(t, nil, "--port", strconv.Itoa(proc.FreePort(t)), "--bind", "127.0.0.1", "--dir", a.dir, "--cluster-enabled", "yes")
	require.Equal(t, 1, p.code())
	require.Contains(t, p.Err.String(), "nodes.conf")
	require.Contains(t, p.Err.String(), "already used")
}

// The life of a process: it serves, ends on SIGTERM within seconds with its data saved, and
// has it when it comes back.
func TestSigtermSavesAndRestartLoads(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := launch(t, dir, "--save", "3600 1")
	c := p.dial()
	for i := range 1000 {
		c.send("SET", fmt.Sprint("k", i), "v")
	}
	for range 1000 {
		require.Equal(t, "OK", c.read())
	}
	began := time.Now()
	p.Signal(syscall.SIGTERM)
	require.Equal(t, 0, p.code())
	require.Less(t, time.Since(began), 5*time.Second)
	log := p.Out.String()
	require.Contains(t, log, "Received SIGTERM scheduling shutdown...")
	require.Contains(t, log, "Saving the final RDB snapshot before exiting.")
	require.Contains(t, log, "Sextant is now ready to exit, bye bye...")
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	names := []string{}
	for _, f := range left {
		names = append(names, f.Name())
	}
	require.Equal(t, []string{"dump.rdb", "dump.rdb.complete"}, names)
	q := launch(t, dir, "--save", "3600 1")
	require.Equal(t, "1000", q.dial().do("DBSIZE"))
	require.NoFileExists(t, filepath.Join(dir, "dump.rdb.complete"), "from now on it would be a lie")
	q.Signal(syscall.SIGINT)
	require.Equal(t, 0, q.code())
}

// What ps shows is what the template says, longer than the command line or shorter; the arguments are still known.
func TestProcessTitle(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := launch(t, dir, "--dbfilename", "title.rdb")
	c := p.dial()
	shown := func() string {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.PID()))
		require.NoError(t, err)
		return strings.TrimRight(string(b), "\x00")
	}
	require.Equal(t, fmt.Sprintf("%s 127.0.0.1:%d", os.Args[0], p.port), shown())
	long := strings.Repeat("long ", 40)
	require.Equal(t, "OK", c.do("CONFIG", "SET", "proc-title-template", "{{ "+long+"{port} {config-file} end"))
	require.Equal(t, fmt.Sprintf("{ %s%d - end", long, p.port), shown())
	require.Equal(t, "OK", c.do("CONFIG", "SET", "proc-title-template", "x"))
	require.Equal(t, "x", shown())
	require.Equal(t, "[dbfilename title.rdb]", c.do("CONFIG", "GET", "dbfilename"))
	require.Equal(t, "["+"dir "+dir+"]", c.do("CONFIG", "GET", "dir"))
}

// A failed attempt to start does not take away the proof that the data is complete.
func TestFailedStartKeepsTheMark(t *testing.T) {
	t.Parallel()
	s := serve(t)
	require.Equal(t, "OK", s.dial().do("SET", "k", "v"))
	s.dial().send("SHUTDOWN", "SAVE")
	require.Equal(t, 0, <-s.Over())
	s.Stop()
	taken, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(s.port))
	require.NoError(t, err)
	cfg, err := Load([]string{"--port", strconv.Itoa(s.port), "--bind", "127.0.0.1", "--dir", s.dir}, s.dir, strings.NewReader(""))
	require.NoError(t, err)
	_, err = New(cfg, NewLog(s.out, "", "notice", false))
	require.Error(t, err)
	require.NoError(t, taken.Close())
	again := s.again()
	require.True(t, again.cleanStart)
	require.NoFileExists(t, cleanMark(again.cfg.Now()))
}

// A signal while a long file is being loaded ends the process at once, and the file stays.
func TestSigtermDuringLoading(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := launch(t, dir, "--save", "")
	c := p.dial()
	require.Equal(t, "OK", c.do("DEBUG", "POPULATE", "100", "key", "100000"))
	require.Equal(t, "OK", c.do("SAVE"))
	c.send("SHUTDOWN", "NOSAVE")
	require.Equal(t, 0, p.code())
	before, err := os.Stat(filepath.Join(dir, "dump.rdb"))
	require.NoError(t, err)
	port := proc.FreePort(t)
	q := spawn(t, nil, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir, "--save", "3600 1", "--key-load-delay", "1000000")
	eventually(t, func() bool { return strings.Contains(q.Out.String(), "Server initialized") }, "initialized")
	var d *client
	eventually(t, func() bool {
		nc, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err == nil {
			_ = nc.Close()
			d = dialTo(t, "tcp", "127.0.0.1:"+strconv.Itoa(port))
		}
		return err == nil
	}, "listening")
	require.Equal(t, "-LOADING Redis is loading the dataset in memory", d.do("GET", "k"))
	require.Equal(t, "1", d.info("loading"))
	q.Signal(syscall.SIGTERM)
	require.Equal(t, 0, q.code())
	after, err := os.Stat(filepath.Join(dir, "dump.rdb"))
	require.NoError(t, err)
	require.Equal(t, before.ModTime(), after.ModTime())
}

func TestDaemonPIDFileAndLogFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	port := proc.FreePort(t)
	pidFile, logFile := filepath.Join(dir, "s.pid"), filepath.Join(dir, "s.log")
	p := spawn(t, nil, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir, "--daemonize", "yes",
		"--pidfile", pidFile, "--logfile", logFile, "--save", "")
	require.Equal(t, 0, p.code(), "the process that was started ends at once")
	read := func(name string) string {
		b, _ := os.ReadFile(name) // not there yet
		return string(b)
	}
	eventually(t, func() bool { return strings.Contains(read(logFile), "Ready to accept connections tcp") }, "the daemon serves")
	pid, err := strconv.Atoi(strings.TrimSpace(read(pidFile)))
	require.NoError(t, err)
	require.NotEqual(t, p.PID(), pid)
	c := dialTo(t, "tcp", "127.0.0.1:"+strconv.Itoa(port))
	require.Equal(t, strconv.Itoa(pid), c.info("process_id"))
	require.Contains(t, read(logFile), strconv.Itoa(pid)+":M ")
	c.send("SHUTDOWN", "NOSAVE")
	c.closed()
	eventually(t, func() bool { return strings.Contains(read(logFile), "bye bye") }, "it ends")
	require.NoFileExists(t, pidFile)
}

// datagrams listens at a unix socket of the given name until the test ends. What it returns waits for one datagram.
func datagrams(t *testing.T, name string) (heard func() string) {
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return func() string {
		b := make([]byte, 1000)
		require.NoError(t, l.SetReadDeadline(time.Now().Add(patience)))
		n, err := l.Read(b)
		require.NoError(t, err)
		return string(b[:n])
	}
}

// systemd is told only when it supervises us; then the process stays the one that systemd started.
func TestSystemdIsTold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	heard := datagrams(t, filepath.Join(dir, "notify"))
	env := []string{"NOTIFY_SOCKET=" + filepath.Join(dir, "notify")}
	for _, supervised := range []string{"no", "upstart", "systemd", "auto"} {
		told := supervised == "systemd" || supervised == "auto"
		args := []string{"--port", strconv.Itoa(proc.FreePort(t)), "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--supervised", supervised}
		if told {
			args = append(args, "--daemonize", "yes", "--pidfile", filepath.Join(dir, supervised+".pid"))
		}
		p := spawn(t, env, args...)
		if told {
			require.Equal(t, "STATUS=Sextant is loading...\n", heard())
			require.Equal(t, "STATUS=Ready to accept connections\nREADY=1\n", heard())
		}
		eventually(t, func() bool { return strings.Contains(p.Out.String(), "Ready to accept") }, "ready")
		p.Signal(syscall.SIGTERM)
		if told {
			require.Contains(t, heard(), "STOPPING=1")
		}
		require.Equal(t, 0, p.code())
		require.Equal(t, supervised == "upstart", strings.Contains(p.Out.String(), "UPSTART_JOB not found"))
	}
}

// Upstart takes a process that stops itself for ready, and wakes it.
func TestUpstartIsTold(t *testing.T) {
	t.Parallel()
	p := spawn(t, []string{"UPSTART_JOB=sextant"}, "--port", strconv.Itoa(proc.FreePort(t)), "--bind", "127.0.0.1", "--dir", t.TempDir(), "--save", "", "--supervised", "auto")
	eventually(t, p.Stopped, "it stops")
	require.NotContains(t, p.Out.String(), "Ready to accept")
	p.Signal(syscall.SIGCONT)
	eventually(t, func() bool { return strings.Contains(p.Out.String(), "Ready to accept") }, "ready")
	p.Signal(syscall.SIGTERM)
	require.Equal(t, 0, p.code())
}

// SIGINT ends a node that still waits for its replicas; a repeated SIGTERM does not.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	p := launch(t, t.TempDir(), "--save", "", "--shutdown-timeout", "1000", "--repl-diskless-sync-delay", "0")
	laggard(t, p.dial)
	require.Equal(t, "OK", p.dial().do("SET", "k", "v"))
	p.Signal(syscall.SIGTERM)
	eventually(t, func() bool { return strings.Contains(p.Out.String(), "Waiting for replicas") }, "it waits")
	p.Signal(syscall.SIGTERM)
	require.Equal(t, "PONG", p.dial().do("PING"))
	p.Signal(syscall.SIGINT)
	require.Equal(t, 1, p.code())
	require.Contains(t, p.Out.String(), "You insist... exiting now.")
}

// A daemon takes the configuration that came from standard input with it.
func TestDaemonFromStandardInput(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	port := proc.FreePort(t)
	pidFile := filepath.Join(dir, "s.pid")
	conf := fmt.Sprintf("daemonize yes\nport %d\ndir %s\npidfile %s\nlogfile %s/log\nsave \"\"\nmaxclients 77\n", port, dir, pidFile, dir)
	p := prepare(t, nil, "-")
	p.Stdin = strings.NewReader(conf)
	p.Start()
	require.Equal(t, 0, p.code(), p.Out.String())
	eventually(t, func() bool {
		log, _ := os.ReadFile(filepath.Join(dir, "log")) // not there yet
		return strings.Contains(string(log), "Ready to accept connections tcp")
	}, "the daemon serves")
	c := dialTo(t, "tcp", "127.0.0.1:"+strconv.Itoa(port))
	require.Equal(t, "[maxclients 77]", c.do("CONFIG", "GET", "maxclients"))
	c.send("SHUTDOWN", "NOSAVE")
	c.closed()
	eventually(t, func() bool { _, err := os.Stat(pidFile); return os.IsNotExist(err) }, "it ends")
}

// Why a process crashed stands in its log file, also after that was rotated; crash-log-enabled no
// leaves it to standard error.
func TestCrashIsInTheLog(t *testing.T) {
	t.Parallel()
	for _, enabled := range []string{"yes", "no"} {
		dir := t.TempDir()
		name, port := filepath.Join(dir, "log"), proc.FreePort(t)
		p := spawn(t, nil, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--logfile", name,
			"--enable-debug-command", "yes")
		read := func() string {
			b, _ := os.ReadFile(name) // not there yet
			return string(b)
		}
		eventually(t, func() bool { return strings.Contains(read(), "Ready to accept connections tcp") }, "ready")
		require.NoError(t, os.Rename(name, name+".1"))
		c := dialTo(t, "tcp", "127.0.0.1:"+strconv.Itoa(port))
		require.Equal(t, "OK", c.do("CONFIG", "SET", "crash-log-enabled", enabled))
		require.Equal(t, "OK", c.do("DEBUG", "LOG", "after the rotation"))
		c.send("DEBUG", "PANIC")
		require.NotEqual(t, 0, p.code())
		require.Contains(t, read(), "after the rotation")
		require.Equal(t, enabled == "yes", strings.Contains(read(), "goroutine "), read())
		require.Contains(t, p.Err.String(), "goroutine ")
	}
}

// bind "" and no unix socket: nobody could ever reach the node.
func TestListensNowhere(t *testing.T) {
	t.Parallel()
	p := spawn(t, nil, "--port", strconv.Itoa(proc.FreePort(t)), "--bind", "", "--dir", t.TempDir())
	require.Equal(t, 1, p.code())
	require.Contains(t, p.Err.String(), "Configured to not listen anywhere, exiting.")

	missing := filepath.Join(t.TempDir(), "no", "socket")
	p = spawn(t, nil, "--port", "0", "--unixsocket", missing, "--dir", t.TempDir())
	require.Equal(t, 1, p.code())
	require.Contains(t, p.Err.String(), "Failed opening Unix socket: listen on unix socket "+missing)
}

// The system log gets every line at its level, under the name and facility that were configured.
func TestSyslog(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "syslog")
	log := NewLog(io.Discard, "", "notice", false)
	log.AlsoTo(newSyslog(&Values{SyslogIdent: "sextant-7000", SyslogFacility: 3 /* local2 */}, log.level, "unixgram", name))
	log.Notice("nobody listens yet")
	heard := datagrams(t, name)
	log.Verbose("below the level")
	log.Notice("a notice of %d", 1)
	require.Regexp(t, `^<149>.* sextant-7000\[\d+\]: a notice of 1\n$`, heard())
	log.Warning("a warning")
	require.Regexp(t, `^<148>.* sextant-7000\[\d+\]: a warning\n$`, heard())
}

// What the machine should be told before it serves.
func TestCheckSystem(t *testing.T) {
	t.Parallel()
	check := func(files uint64, settings map[string]string) (int, string) {
		root := t.TempDir()
		for name, value := range settings {
			require.NoError(t, os.MkdirAll(filepath.Join(root, filepath.Dir(name)), 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(root, name), []byte(value+"\n"), 0o644))
		}
		var out strings.Builder
		return checkSystem(system{root: root, files: files}, &out), out.String()
	}
	const fine = "[slow-clocksource]...OK\n[overcommit]...OK\n[tcp-backlog]...OK\n[open-files]...OK\n"
	code, out := check(1<<20, nil) // nothing is known
	require.Equal(t, 0, code)
	require.Equal(t, fine, out)
	code, out = check(1<<20, map[string]string{clocksourceFile: "tsc", somaxconnFile: "4096", overcommitFile: "1"})
	require.Equal(t, 0, code)
	require.Equal(t, fine, out)
	code, out = check(1024, map[string]string{clocksourceFile: "hpet", somaxconnFile: "128", overcommitFile: "2"})
	require.Equal(t, 1, code)
	require.Equal(t, 4, strings.Count(out, "...WARNING:\n"))
	require.Contains(t, out, "The TCP backlog setting of 511 cannot be enforced because /proc/sys/net/core/somaxconn is set to the lower value of 128.")

	p := spawn(t, nil, "--check-system")
	p.code()
	require.Contains(t, p.Out.String(), "[slow-clocksource]...")
}
