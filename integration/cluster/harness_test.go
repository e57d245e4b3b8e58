// Package cluster tests whole clusters as a user runs them: processes of the built binary,
// real sockets, the real redis-cli, a Redis client library.
package cluster

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/integration/proc"
)

// binary is the sextant under test, built once by TestMain.
var binary string

func TestMain(m *testing.M) { proc.MainWithSextant(m, &binary) }

// process is one node.
type process struct {
	t             testing.TB
	host          string // "" is 127.0.0.1
	port          int
	pass          string // AUTH before every command
	dir           string
	args          []string
	*proc.Process // from launch on
}

// start runs `sextant server` in dir with the given directives and waits until it answers.
func start(t testing.TB, dir string, port int, directives ...string) *process {
	p := &process{t: t, port: port, dir: dir}
	p.args = append([]string{"server", "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir}, directives...)
	p.launch()
	return p
}

func (p *process) launch() {
	p.t.Helper()
	if p.Process == nil {
		p.Process = proc.Prepare(p.t, append([]string{binary}, p.args...)...)
	}
	p.Serve(20*time.Second, func() bool { return p.try("PING") == "PONG" })
}

func (p *process) addr() string {
	host := p.host
	if host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, strconv.Itoa(p.port))
}

func (p *process) signal(s syscall.Signal) { p.Signal(s) }
func (p *process) kill()                   { p.Kill() }

// try runs one command on a connection of its own and returns its reply as text, "" when
// anything went wrong; errors come back as "-ERR ...".
func (p *process) try(args ...any) string {
	c := p.dial()
	defer c.Close()
	v, err := c.Do(context.Background(), args...).Result()
	if err == redis.Nil {
		return "(nil)"
	}
	if err != nil {
		if e, ok := err.(redis.Error); ok {
			return "-" + e.Error()
		}
		return ""
	}
	return fmt.Sprint(v)
}

// dial opens one connection (a pool of one, made at its first use).
func (p *process) dial() *redis.Client {
	return redis.NewClient(&redis.Options{Addr: p.addr(), Password: p.pass, Protocol: 2, MaxRetries: -1, DialTimeout: time.Second,
		ReadTimeout: 5 * time.Second, DisableIdentity: true, PoolSize: 1})
}

// id is the node's id.
func (p *process) id() string { return p.try("CLUSTER", "MYID") }

// state is cluster_state as the node tells it.
func (p *process) state() string { return p.cluster("cluster_state") }

// cluster returns one field of CLUSTER INFO.
func (p *process) cluster(field string) string {
	for _, line := range strings.Split(p.try("CLUSTER", "INFO"), "\r\n") {
		if v, ok := strings.CutPrefix(line, field+":"); ok {
			return v
		}
	}
	return ""
}

// info returns one field of INFO.
func (p *process) info(field string) string {
	for _, line := range strings.Split(p.try("INFO", "everything"), "\r\n") {
		if v, ok := strings.CutPrefix(line, field+":"); ok {
			return v
		}
	}
	return ""
}

func (p *process) eventually(limit time.Duration, what string, ok func() bool) {
	p.t.Helper()
	deadline := time.Now().Add(limit)
	for !ok() {
		if time.Now().After(deadline) {
			p.t.Fatalf("node %d: not within %v: %s\n%s", p.port, limit, what, proc.Tail(p.Out.String(), 30))
		}
		time.Sleep(5 * time.Millisecond) // the event is in another process: polling is how one awaits it
	}
}

// grid is a cluster of processes; node i < primaries is a primary at first.
type grid struct {
	t     testing.TB
	nodes []*process
}

// newGrid starts n nodes and leaves forming to form.
func newGrid(t testing.TB, n int, directives ...string) *grid {
	return newGridWith(t, n, "", directives...)
}

// newGridWith is newGrid for nodes that ask for a password.
func newGridWith(t testing.TB, n int, pass string, directives ...string) *grid {
	g := &grid{t: t}
	root := t.TempDir()
	for _, port := range proc.FreePorts(t, n) {
		dir := filepath.Join(root, strconv.Itoa(port))
		require.NoError(t, os.Mkdir(dir, 0o755))
		p := &process{t: t, port: port, pass: pass, dir: dir}
		p.args = append([]string{"server", "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir, "--cluster-enabled", "yes",
			"--enable-debug-command", "local"}, directives...)
		p.launch()
		g.nodes = append(g.nodes, p)
	}
	return g
}

func (g *grid) addrs() (out []string) {
	for _, n := range g.nodes {
		out = append(out, n.addr())
	}
	return out
}

// formOurs runs `sextant cluster create`.
func (g *grid) formOurs(replicas int) {
	g.run(binary, append([]string{"cluster", "create", "--replicas", strconv.Itoa(replicas), "--yes"}, g.addrs()...)...)
	g.settled()
}

// formCLI runs the unmodified redis-cli --cluster create.
func (g *grid) formCLI(replicas int) {
	args := append([]string{"--cluster", "create"}, g.addrs()...)
	g.run("redis-cli", append(args, "--cluster-replicas", strconv.Itoa(replicas), "--cluster-yes")...)
	g.settled()
}

func (g *grid) run(name string, args ...string) string {
	g.t.Helper()
	out, err := runFor(time.Minute, name, args...)
	require.NoError(g.t, err, "%s %s:\n%s", name, strings.Join(args, " "), out)
	return out
}

// runFor runs a program for a limited time and returns all it printed.
func runFor(limit time.Duration, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	return string(out), err
}

// settled waits until every node says the cluster is ok and every replica is in sync.
func (g *grid) settled() {
	g.t.Helper()
	for _, n := range g.nodes {
		n.eventually(30*time.Second, "cluster_state:ok", func() bool {
			return strings.Contains(n.try("CLUSTER", "INFO"), "cluster_state:ok")
		})
	}
	for _, n := range g.nodes {
		n.eventually(30*time.Second, "replica in sync", func() bool {
			return n.info("role") == "master" || n.info("master_link_status") == "up"
		})
	}
	// A replica may lead only once its primary has had it entered in the shard's record, a moment
	// after the first synchronization.
	for _, n := range g.nodes {
		n.eventually(30*time.Second, "every replica in its shard's record", func() bool {
			members, _ := strconv.Atoi(n.cluster("in_sync"))
			slaves, _ := strconv.Atoi(n.info("connected_slaves"))
			return n.info("role") == "slave" || members > slaves
		})
	}
}

// replicaOf returns the node that replicates p.
func (g *grid) replicaOf(p *process) *process {
	for _, n := range g.nodes {
		if n != p && n.info("role") == "slave" && n.info("master_port") == strconv.Itoa(p.port) {
			return n
		}
	}
	g.t.Fatalf("node %d has no replica", p.port)
	return nil
}

// client is a cluster client as applications use it.
func (g *grid) client() *redis.ClusterClient {
	// The state is asked for anew every half second; by default the library waits a minute.
	c := redis.NewClusterClient(&redis.ClusterOptions{Addrs: g.addrs(), MaxRedirects: 16, ClusterStateReloadInterval: 500 * time.Millisecond,
		DialTimeout: time.Second, ReadTimeout: time.Second, WriteTimeout: time.Second})
	g.t.Cleanup(func() { _ = c.Close() })
	return c
}

// stanza is one package of apt's catalogue: real keys and values.
type stanza struct{ name, text string }

// stanzas returns up to limit (0: all) package stanzas: apt's catalogue where there is one,
// else the installed packages.
func stanzas(t testing.TB, limit int) (all []stanza) {
	seen := map[string]bool{}
	read := func(b []byte) {
		var text strings.Builder
		name := ""
		flush := func() {
			if name != "" && !seen[name] && (limit == 0 || len(all) < limit) {
				seen[name] = true
				all = append(all, stanza{name, text.String()})
			}
			name = ""
			text.Reset()
		}
		sc := bufio.NewScanner(bytes.NewReader(b))
		sc.Buffer(nil, 1<<20)
		for sc.Scan() {
			line := sc.Text()
			if line == "" {
				flush()
				continue
			}
			if v, ok := strings.CutPrefix(line, "Package: "); ok {
				name = v
			}
			text.WriteString(line + "\n")
		}
		flush()
	}
	if out, err := exec.Command("apt-cache", "dumpavail").Output(); err == nil {
		read(out)
	}
	if len(all) < 1000 {
		if b, err := os.ReadFile("/var/lib/dpkg/status"); err == nil {
			read(b)
		}
	}
	require.Greater(t, len(all), 100, "no package catalogue to load")
	return all
}
