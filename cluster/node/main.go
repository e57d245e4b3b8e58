package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sextantdb/sextant/cluster/agent"
	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/server"
)

// daemonMark is the environment variable by which the process that daemonize starts knows itself.
const daemonMark = "SEXTANT_DAEMON"

// Main runs a server with the arguments of redis-server and returns its exit code.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) == 1 && (args[0] == "-v" || args[0] == "--version") {
		fmt.Fprintf(stdout, "Sextant server v=%s (speaks Redis %s) bits=%d go=%s\n", sextantVersion, redisVersion, strconv.IntSize, runtime.Version())
		return 0
	}
	if len(args) == 1 && args[0] == "--check-system" {
		return checkSystem(thisSystem(), stdout)
	}
	cwd, err := os.Getwd()
	if err != nil {
		fmt.Fprintf(stderr, "Can't find the working directory: %v\n", err)
		return 1
	}
	args = cloned(args)
	title := claimTitle()
	var given bytes.Buffer // what came from standard input: a daemon is told it again
	cfg, err := Load(args, cwd, io.TeeReader(stdin, &given))
	if err != nil {
		fmt.Fprint(stderr, err)
		return 1
	}
	v := cfg.Now()
	if v.Daemonize && os.Getenv(daemonMark) == "" && supervisor(v) == "no" { // a supervisor watches the process it started
		return daemonize(given.Bytes(), stderr)
	}
	if err := os.Chdir(v.Dir); err != nil {
		fmt.Fprintf(stderr, "Can't chdir to '%s': %s\n", v.Dir, reason(err))
		return 1
	}
	log := NewLog(stdout, v.LogFile, logLevelName(v), false)
	if v.SyslogEnabled {
		log.AlsoTo(newSyslog(v, log.level, "", ""))
	}
	log.KeepCrashes(v.CrashLogEnabled)
	if err := log.Check(); err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	// The collector, the snapshot writer and the bus must not stall the event loops, nor wait for those, which keep their
	// processor of the scheduler while they wait for a moment. Who sets GOMAXPROCS knows better.
	procs := processors
	if os.Getenv("GOMAXPROCS") == "" {
		cfg.Alone = true
		procs += loopCount(int(v.IOThreads))
	}
	runtime.GOMAXPROCS(max(procs, 2))
	return run(cfg, log, title, stderr)
}

// cloned are the arguments in memory of their own: see claimTitle.
func cloned(args []string) []string {
	own := make([]string, len(args))
	for i, a := range args {
		own[i] = strings.Clone(a)
	}
	return own
}

// run is a node's life from construction to exit.
func run(cfg *Config, log *Log, title *titleSpace, stderr io.Writer) int {
	v := cfg.Now()
	log.Notice("oO0OoO0OoO0Oo Sextant is starting oO0OoO0OoO0Oo")
	log.Notice("Sextant version=%s, speaks Redis=%s, bits=%d, pid=%d, just started", sextantVersion, redisVersion, strconv.IntSize, os.Getpid())
	for _, w := range cfg.Warnings {
		log.Warning("%s", w)
	}
	mode := "standalone"
	if v.ClusterEnabled {
		mode = "cluster"
	}
	if v.AlwaysShowLogo || log.onTerminal() && !v.SyslogEnabled {
		log.Raw(banner(sextantVersion, mode, int(v.Port), os.Getpid()))
	} else {
		log.Notice("Running mode=%s, port=%d.", mode, v.Port)
	}
	beSupervised(v, log)
	raiseFileLimit(int(v.MaxClients), log)
	if w := thisSystem().backlogWarning(v.TCPBacklog); w != "" && v.Port != 0 {
		log.Warning("WARNING: %s", w)
	}

	n, err := New(cfg, log)
	if err != nil {
		explain(err, log, stderr)
		return 1
	}
	n.title = title
	n.showTitle(v)
	if err := writePIDFile(v); err != nil {
		log.Warning("%v", err)
	}
	signals := make(chan os.Signal, 4)
	signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go n.obey(signals)
	if err := n.Start(); err != nil {
		log.Warning("%v", err)
		fmt.Fprintln(stderr, err)
		removePIDFile(v, log)
		return 1
	}
	notifySystemd(v, readiness(v))

	code := <-n.Over()
	notifySystemd(v, "STOPPING=1\n")
	removePIDFile(v, log)
	n.Stop()
	log.Notice("Sextant is now ready to exit, bye bye...")
	return code
}

// explain says why a node cannot start, in the words tools look for.
func explain(err error, log *Log, stderr io.Writer) {
	var bind *server.BindError
	var used *agent.InUseError
	switch {
	case errors.As(err, &bind) && bind.Port == 0: // the unix socket
		log.Warning("Failed opening Unix socket: %v", bind)
		fmt.Fprintf(stderr, "Failed opening Unix socket: %v\n", bind)
	case errors.As(err, &bind):
		log.Warning("Warning: Could not create server TCP listening socket %v", bind)
		log.Warning("Failed listening on port %d (tcp), aborting.", bind.Port)
		fmt.Fprintf(stderr, "Failed listening on port %d (tcp), aborting: %v\n", bind.Port, bind)
	case errors.As(err, &used):
		log.Warning("%v", used)
		fmt.Fprintln(stderr, used)
	default:
		log.Warning("%v", err)
		fmt.Fprintln(stderr, err)
	}
}

// obey carries out signals: both ask for an orderly end. SIGINT while that is under way, which is a
// person's second Ctrl-C, ends the node at once; a SIGTERM that init systems repeat does not.
func (n *Node) obey(signals <-chan os.Signal) {
	for s := range signals {
		v := n.cfg.Now()
		name, flags := "SIGTERM", v.ShutdownOnSigterm
		if s == syscall.SIGINT {
			name, flags = "SIGINT", v.ShutdownOnSigint
		}
		if n.ending.underWay() {
			if s == syscall.SIGINT {
				n.log.Warning("You insist... exiting now.")
				n.finish(1)
			}
			continue
		}
		n.beginShutdown("Received "+name+" scheduling shutdown...", flags.Options(), func(resp.Error) {
			n.log.Warning("SIGTERM received but errors trying to shut down the server, check the logs for more information")
		})
	}
}

// daemonize starts this program again in a session of its own, without a terminal, gives it the
// configuration that came from standard input, and leaves it alone.
func daemonize(given []byte, stderr io.Writer) int {
	exe, err := os.Executable()
	if err != nil {
		fmt.Fprintf(stderr, "Can't daemonize: %v\n", err)
		return 1
	}
	child := exec.Command(exe, os.Args[1:]...)
	child.Args[0] = os.Args[0]
	child.Env = append(os.Environ(), daemonMark+"=1")
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	in, err := child.StdinPipe()
	if err == nil {
		err = child.Start()
	}
	if err == nil {
		_, err = in.Write(given)
		in.Close()
	}
	if err != nil {
		fmt.Fprintf(stderr, "Can't daemonize: %v\n", err)
		return 1
	}
	return 0
}

func writePIDFile(v *Values) error {
	name := v.PIDFile
	if name == "" {
		if !v.Daemonize {
			return nil
		}
		name = "/var/run/redis.pid"
	}
	if err := os.WriteFile(name, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
		return fmt.Errorf("Failed to write PID file: %s", reason(err))
	}
	return nil
}

func removePIDFile(v *Values, log *Log) {
	name := v.PIDFile
	if name == "" {
		if !v.Daemonize {
			return
		}
		name = "/var/run/redis.pid"
	}
	log.Notice("Removing the pid file.")
	_ = os.Remove(name) // it may never have been written
}

// spareFiles are the descriptors a node needs beside its clients'.
const spareFiles = 64

// raiseFileLimit makes room for maxclients connections.
func raiseFileLimit(clients int, log *Log) {
	var lim syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim) != nil {
		return
	}
	want := uint64(clients + spareFiles)
	if lim.Cur >= want {
		return
	}
	raised := lim
	raised.Cur = want
	raised.Max = max(lim.Max, want)
	if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised) == nil {
		return
	}
	raised = lim
	raised.Cur = lim.Max
	_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised) // what the system allows
	log.Warning("You requested maxclients of %d requiring at least %d max file descriptors; the system allows %d.", clients, want, lim.Max)
}

// stopServer sends what was answered and closes the connections, for at most a second.
func (n *Node) stopServer() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = n.srv.Stop(ctx) // what is unsent after a second stays unsent
}
