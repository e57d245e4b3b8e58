package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sextantdb/sextant/cluster/manage"
)

type upOptions struct {
	nodes, replicas, port int
	dir                   string
	directives            []string
	given                 bool // nodes, replicas or port was said
	json                  bool
	limit                 time.Duration
}

const (
	// stopWithin is how long nodes may take to save and end before we say that they did not.
	stopWithin = 20 * time.Second
	// startWithin is how long a node may take to answer its first PING.
	startWithin = 20 * time.Second
	// upNodeTimeout is cluster-node-timeout of local clusters: short, because killing a node to
	// see the failover is what they are for. A directive after -- overrides it.
	upNodeTimeout = "5000"
	// busOffset is the distance of a bus port from its client port.
	busOffset = 10000
	// shownLog is how many lines of a log are shown when a node failed.
	shownLog = 12
)

// layout is what the directory remembers of its cluster.
type layout struct {
	Nodes    int  `json:"nodes"`
	Replicas int  `json:"replicas"`
	Port     int  `json:"port"`
	Formed   bool `json:"formed"`
}

// up is `sextant cluster up`.
func up(t *terminal, o upOptions) error {
	dir, err := upDir(&o)
	if err != nil {
		return err
	}
	lock, err := lockDir(dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	l, err := readLayout(dir, &o)
	if err != nil {
		return err
	}
	if _, err := manage.Create(make([]manage.Place, o.nodes), o.replicas); err != nil {
		return faultf("Ask for more --nodes, or fewer --replicas.", "%v", err)
	}
	if err := portsFree(o.port, o.nodes); err != nil {
		return err
	}
	if err := uniqueIDs(dir, &o); err != nil {
		return err
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)

	s := &squad{t: t, json: o.json, ended: make(chan *worker, o.nodes), launch: make(chan func())}
	go s.launcher()
	if !o.json {
		fmt.Fprintf(t.out, "Data and logs are in %s\n", dir)
	}
	work, cancel := context.WithTimeout(context.Background(), o.limit)
	defer cancel()
	// A signal while the cluster forms ends the forming; the nodes are stopped below.
	stopped := make(chan os.Signal, 1)
	forming := make(chan struct{})
	var watch sync.WaitGroup
	watch.Add(1)
	go func() {
		defer watch.Done()
		select {
		case sig := <-signals:
			stopped <- sig
			cancel()
		case <-forming:
		}
	}()
	err = s.raise(work, dir, &o, l)
	close(forming)
	watch.Wait()
	select {
	case <-stopped:
		return s.stop(signals)
	default:
	}
	if err != nil {
		if e := s.halt(signals); e != nil {
			return faultf("", "%v\n%v", err, e)
		}
		return err
	}
	return s.watch(signals)
}

// upDir settles the directory and makes it.
func upDir(o *upOptions) (string, error) {
	dir := o.dir
	if dir == "" {
		state := os.Getenv("XDG_STATE_HOME")
		if home, err := os.UserHomeDir(); state == "" && err == nil {
			state = filepath.Join(home, ".local", "state")
		}
		if state == "" {
			dir = "sextant-cluster"
		} else {
			dir = filepath.Join(state, "sextant", fmt.Sprintf("up-%d", o.port))
		}
	}
	dir, err := filepath.Abs(dir)
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err != nil {
		return "", faultf("Choose another directory with --dir.", "the directory cannot be used: %v", err)
	}
	return dir, nil
}

// lockDir keeps two of us from one directory. The file tells who holds it.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "up.lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, faultf("Choose another directory with --dir.", "the directory cannot be used: %v", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		who, _ := os.ReadFile(f.Name())
		f.Close()
		return nil, faultf("Stop it (kill "+strings.TrimSpace(string(who))+"), or choose another place with --dir and --port.",
			"the directory %s is locked: another sextant cluster up (pid %s) runs its cluster", dir, strings.TrimSpace(string(who)))
	}
	if err := f.Truncate(0); err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
		if err != nil {
			f.Close()
			return nil, faultf("Choose another directory with --dir.", "the directory cannot be written: %v", err)
		}
	}
	return f, nil
}

// readLayout finds out whether the directory has a cluster; then that one is brought back.
func readLayout(dir string, o *upOptions) (*layout, error) {
	l := &layout{Nodes: o.nodes, Replicas: o.replicas, Port: o.port}
	b, err := os.ReadFile(filepath.Join(dir, "cluster.json"))
	if errors.Is(err, os.ErrNotExist) {
		return l, nil
	}
	if err == nil {
		err = json.Unmarshal(b, l)
	}
	if err != nil {
		return nil, faultf("Repair or remove the file, or choose another directory with --dir.", "%s is not readable: %v", filepath.Join(dir, "cluster.json"), err)
	}
	if o.given && (l.Nodes != o.nodes || l.Replicas != o.replicas || l.Port != o.port) {
		return nil, faultf("Leave the three away to bring it back, or choose another directory with --dir.",
			"the directory %s has a cluster of --nodes %d --replicas %d --port %d", dir, l.Nodes, l.Replicas, l.Port)
	}
	o.nodes, o.replicas, o.port = l.Nodes, l.Replicas, l.Port
	return l, nil
}

func (l *layout) write(dir string) error {
	b, err := json.MarshalIndent(l, "", "  ")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "cluster.json"), append(b, '\n'), 0o644)
	}
	if err != nil {
		return faultf("Make room or choose another directory with --dir.", "the directory cannot be written: %v", err)
	}
	return nil
}

// portsFree looks at every client and bus port before anything is started.
func portsFree(port, nodes int) error {
	if port < 1 || port+nodes-1+busOffset > 65535 {
		return faultf("Choose a lower --port.", "ports %d to %d and their bus ports do not all exist", port, port+nodes-1)
	}
	for _, bus := range []int{0, busOffset} {
		for p := port; p < port+nodes; p++ {
			l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(p+bus)))
			if err == nil {
				l.Close()
				continue
			}
			what, by := "port", ""
			if bus > 0 {
				what = fmt.Sprintf("bus port (of port %d)", p)
			}
			if who := listener(p + bus); who != "" {
				by = " by " + who
			}
			if errors.Is(err, syscall.EADDRINUSE) {
				return faultf("Stop that program, or choose other ports, for example --port "+strconv.Itoa(port+100)+".", "%s %d is taken%s", what, p+bus, by)
			}
			return faultf("Choose other ports with --port.", "%s %d cannot be used: %v", what, p+bus, err)
		}
	}
	return nil
}

func nodeDir(dir string, port int) string { return filepath.Join(dir, strconv.Itoa(port)) }

// uniqueIDs finds node directories that were copied: two nodes with one id would be one node
// to the cluster.
func uniqueIDs(dir string, o *upOptions) error {
	seen := map[string]string{}
	for p := o.port; p < o.port+o.nodes; p++ {
		path := filepath.Join(nodeDir(dir, p), "nodes.conf")
		b, err := os.ReadFile(path)
		if err != nil {
			continue // none yet; the node itself judges an unreadable one
		}
		id := stateID(string(b))
		if first, copied := seen[id]; copied && id != "" {
			return faultf("One is a copy. Remove one of the two files to let that node begin anew, or the whole directory to begin a new cluster.",
				"%s and %s hold the same node id %s", first, path, id)
		}
		seen[id] = path
	}
	return nil
}

// stateID reads the node id out of a state file: the id of its self line.
func stateID(text string) string {
	for _, line := range strings.Split(text, "\n") {
		f := strings.Fields(line)
		if len(f) < 4 || f[2] != "self" {
			continue
		}
		for _, word := range f[3:] {
			if id, ok := strings.CutPrefix(word, "id="); ok {
				return id
			}
		}
	}
	return ""
}

// squad is the nodes of one local cluster.
type squad struct {
	t       *terminal
	json    bool
	workers []*worker
	ended   chan *worker // each worker once, when its process is over
	launch  chan func()
}

// worker is one node's process.
type worker struct {
	port   int
	log    string
	cmd    *exec.Cmd
	stderr *tailBuffer
	over   chan struct{} // closed when the process has ended; err is set then
	err    error
}

// tailBuffer keeps the last bytes written to it.
type tailBuffer struct {
	mu sync.Mutex
	b  []byte // guarded by mu
}

// maxTail bounds what is kept of a node's standard error.
const maxTail = 16 << 10

func (b *tailBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.b = append(b.b, p...)
	if over := len(b.b) - maxTail; over > 0 {
		b.b = append(b.b[:0], b.b[over:]...)
	}
	return len(p), nil
}

func (b *tailBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.b)
}

// raise starts the nodes and makes them a cluster, or waits until they are the old one again.
func (s *squad) raise(ctx context.Context, dir string, o *upOptions, l *layout) error {
	exe, err := os.Executable()
	if err != nil {
		return faultf("", "this program cannot be found: %v", err)
	}
	for p := o.port; p < o.port+o.nodes; p++ {
		w, err := s.start(exe, dir, p, o.directives)
		if err != nil {
			return err
		}
		s.workers = append(s.workers, w)
	}
	bar := &progress{t: s.t}
	defer bar.end()
	var rs []*remote
	for i, w := range s.workers {
		bar.set("starting nodes", i, len(s.workers))
		r, err := w.ready(ctx)
		if err != nil {
			return err
		}
		defer r.close()
		rs = append(rs, r)
	}
	facts, reach := survey(ctx, rs, login{})
	f := former{ctx: ctx, rs: rs, facts: facts, p: bar}
	switch {
	case l.Formed || formedBefore(facts):
		err = f.await("coming back", f.works)
	default:
		if problems := manage.Preflight(facts, reach); len(problems) > 0 {
			err = preflightFault("a cluster", problems)
		} else if f.plan, err = manage.Create(places(rs), o.replicas); err == nil {
			err = f.form()
		}
	}
	if err != nil {
		return s.because(err, dir)
	}
	bar.end()
	if !l.Formed {
		l.Formed = true
		if err := l.write(dir); err != nil {
			return err
		}
	}
	return s.announce(ctx, rs, dir)
}

// formedBefore: every node knows others and together they have all slots; only the note about
// it is missing (we were ended between forming and noting).
func formedBefore(facts []manage.Fact) bool {
	for _, f := range facts {
		if f.Known < len(facts) || f.Slots < 16384 {
			return false
		}
	}
	return true
}

// works is agreed without a plan: the cluster is ok as this node sees it.
func (f *former) works(i int, r *remote) string {
	state, err := r.info(f.ctx, "CLUSTER", "INFO")
	if err != nil {
		return "does not answer: " + plain(err)
	}
	if state["cluster_state"] != "ok" {
		return "says the cluster is down: " + orElse(state["cluster_fail_reason"], "it gives no reason")
	}
	if info, err := r.info(f.ctx, "INFO", "replication"); err == nil && info["role"] == "slave" && info["master_link_status"] != "up" {
		return "has not synchronized with its primary yet"
	}
	return ""
}

// because adds to a failure what the nodes themselves had to say, if one has ended.
func (s *squad) because(err error, dir string) error {
	for _, w := range s.workers {
		select {
		case <-w.over:
			return faultf(w.advice(), "node %d ended: %s\n%s\n(%v)", w.port, w.cause(), w.lastWords(), err)
		default:
		}
	}
	var f *fault
	if errors.As(err, &f) && f.Do == resetAdvice {
		return faultf("Its logs may say more. To begin anew remove the directory: rm -r "+dir, "%s", f.What)
	}
	return err
}

// start starts one node.
func (s *squad) start(exe, dir string, port int, directives []string) (*worker, error) {
	home := nodeDir(dir, port)
	if err := os.MkdirAll(home, 0o755); err != nil {
		return nil, faultf("Choose another directory with --dir.", "the directory cannot be used: %v", err)
	}
	w := &worker{port: port, log: filepath.Join(home, "sextant.log"), stderr: &tailBuffer{}, over: make(chan struct{})}
	args := []string{"server", "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--cluster-enabled", "yes",
		"--cluster-config-file", "nodes.conf", "--cluster-node-timeout", upNodeTimeout, "--dir", home, "--logfile", w.log}
	w.cmd = exec.Command(exe, append(args, directives...)...)
	w.cmd.Stdout, w.cmd.Stderr = w.stderr, w.stderr
	w.cmd.SysProcAttr = nodeAttr()
	result := make(chan error, 1)
	s.launch <- func() { result <- w.cmd.Start() }
	if err := <-result; err != nil {
		return nil, faultf("", "node %d cannot be started: %v", port, err)
	}
	go func() {
		w.err = w.cmd.Wait()
		close(w.over)
		s.ended <- w
	}()
	return w, nil
}

// ready waits until the node answers and has loaded its data.
func (w *worker) ready(ctx context.Context) (*remote, error) {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(w.port))
	last := "it does not listen"
	for {
		r := &remote{addr: addr, ip: "127.0.0.1", port: w.port}
		err := r.dial(ctx, login{})
		if err == nil {
			if _, err = r.do(ctx, "PING"); err == nil {
				return r, nil
			}
			r.close()
		}
		if ctx.Err() == nil {
			last = plain(err)
		}
		select {
		case <-w.over:
			return nil, faultf(w.advice(), "node %d ended at its start: %s\n%s", w.port, w.cause(), w.lastWords())
		case <-ctx.Done():
			return nil, faultf("Its log is "+w.log, "node %d (pid %d) did not answer in time: %s", w.port, w.cmd.Process.Pid, last)
		case <-pause.C:
		}
	}
}

// cause says how a process ended.
func (w *worker) cause() string {
	st, ok := w.cmd.ProcessState.Sys().(syscall.WaitStatus)
	switch {
	case ok && st.Signaled():
		return fmt.Sprintf("killed by signal %d (%s)", st.Signal(), st.Signal())
	case w.cmd.ProcessState.ExitCode() == 0:
		return "it was shut down"
	}
	return fmt.Sprintf("exit code %d", w.cmd.ProcessState.ExitCode())
}

// lastWords is the end of standard error, or of the log when that is empty.
func (w *worker) lastWords() string {
	text := w.stderr.String()
	if strings.TrimSpace(text) == "" {
		b, _ := os.ReadFile(w.log)
		text = string(b)
	}
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return "    " + strings.Join(lines[max(0, len(lines)-shownLog):], "\n    ")
}

func (w *worker) advice() string {
	words := w.lastWords()
	switch {
	case strings.Contains(words, "already used by a different"):
		return "Another process uses this node's files: see fuser " + filepath.Join(filepath.Dir(w.log), "nodes.conf") + ", or choose another --dir."
	case strings.Contains(words, "ould not create server TCP") || strings.Contains(words, "Failed listening"):
		return "Choose other ports with --port."
	case strings.Contains(words, "cluster configuration file"):
		return "Restore that file; or, to let the node begin anew and copy its data from its primary, remove the node's directory " + filepath.Dir(w.log) + "."
	}
	return "Its log is " + w.log
}

// announce prints the cluster that is up.
func (s *squad) announce(ctx context.Context, rs []*remote, dir string) error {
	res, err := outcome(ctx, rs)
	if err != nil {
		return err
	}
	for i := range res.Nodes {
		for _, w := range s.workers {
			if strings.HasSuffix(res.Nodes[i].Addr, ":"+strconv.Itoa(w.port)) {
				res.Nodes[i].Pid, res.Nodes[i].Log = w.cmd.Process.Pid, w.log
			}
		}
	}
	try := fmt.Sprintf("redis-cli -c -p %d", s.workers[0].port)
	if s.json {
		printJSON(s.t, struct {
			Event string `json:"event"`
			Dir   string `json:"dir"`
			Try   string `json:"try"`
			*result
		}{"up", dir, try, res})
		return nil
	}
	fmt.Fprintln(s.t.out, "The cluster is up:")
	fmt.Fprint(s.t.out, res.table())
	for _, n := range res.Nodes {
		fmt.Fprintf(s.t.out, "  %-21s pid %-8d log %s\n", n.Addr, n.Pid, n.Log)
	}
	fmt.Fprintf(s.t.out, "Try: %s\nKill a primary (kill -9 <pid>) to see its replica take over. Ctrl-C stops all nodes; the data stays.\n", try)
	return nil
}

// watch waits for a signal and tells of nodes that end meanwhile.
func (s *squad) watch(signals <-chan os.Signal) error {
	left := len(s.workers)
	for {
		select {
		case <-signals:
			return s.stop(signals)
		case w := <-s.ended:
			left--
			s.gone(w)
			if left == 0 {
				return faultf("Start the cluster again with the same command.", "all nodes have ended")
			}
		}
	}
}

func (s *squad) gone(w *worker) {
	if s.json {
		printJSON(s.t, map[string]any{"event": "ended", "port": w.port, "pid": w.cmd.Process.Pid, "cause": w.cause(), "log": w.log})
		return
	}
	fmt.Fprintf(s.t.out, "Node %d (pid %d) ended: %s. It is not started again; look at the others with redis-cli -p %d cluster nodes\n",
		w.port, w.cmd.Process.Pid, w.cause(), s.other(w).port)
	if w.cmd.ProcessState.ExitCode() > 0 { // a signal came from outside: the log knows nothing of it
		fmt.Fprintln(s.t.out, w.lastWords())
	}
}

// other is a worker that still runs, or w itself.
func (s *squad) other(w *worker) *worker {
	for _, o := range s.workers {
		select {
		case <-o.over:
		default:
			return o
		}
	}
	return w
}

// stop is what a signal asks for.
func (s *squad) stop(signals <-chan os.Signal) error {
	if err := s.halt(signals); err != nil {
		return err
	}
	if s.json {
		printJSON(s.t, map[string]any{"event": "stopped", "nodes": len(s.workers)})
	} else {
		fmt.Fprintf(s.t.out, "All %d nodes have stopped.\n", len(s.workers))
	}
	return nil
}

// twiceWithin is how long after the first signal another one is the same wish: timeout(1) and
// supervisors signal the process and its group.
const twiceWithin = time.Second

// halt ends all nodes in an orderly way and says which did not end. A second signal kills.
func (s *squad) halt(signals <-chan os.Signal) error {
	for _, w := range s.workers {
		_ = w.cmd.Process.Signal(syscall.SIGTERM) // one that has ended needs none
	}
	limit := time.NewTimer(stopWithin)
	defer limit.Stop()
	began, killed := time.Now(), false
	for i, w := range s.workers {
		select {
		case <-w.over:
			continue
		default:
		}
		for waiting := true; waiting; {
			select {
			case <-w.over:
				waiting = false
			case <-signals:
				if time.Since(began) < twiceWithin {
					continue
				}
				killed = true
				for _, w := range s.workers {
					_ = w.cmd.Process.Kill()
				}
			case <-limit.C:
				return s.stuck(i)
			}
		}
	}
	if killed {
		return faultf("", "the nodes were killed at the second signal: writes since their last save may be lost")
	}
	return nil
}

func (s *squad) stuck(from int) error {
	var names, pids []string
	for _, w := range s.workers[from:] {
		select {
		case <-w.over:
		default:
			names = append(names, fmt.Sprintf("node %d (pid %d, log %s)", w.port, w.cmd.Process.Pid, w.log))
			pids = append(pids, strconv.Itoa(w.cmd.Process.Pid))
		}
	}
	return faultf("Their logs may say why. kill -9 "+strings.Join(pids, " ")+" ends them; writes since their last save are lost then.",
		"these did not stop within %v: %s", stopWithin, strings.Join(names, ", "))
}
