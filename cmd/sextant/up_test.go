package main

import (
	"bufio"
	"context"
	"encoding/json"
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

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/integration/proc"
	"github.com/sextantdb/sextant/store/slot"
)

// upRun is one `sextant cluster up --json` as a process.
type upRun struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines chan string
	errs  *proc.Output
}

func startUp(t *testing.T, args ...string) *upRun {
	exe, err := os.Executable()
	require.NoError(t, err)
	u := &upRun{t: t, lines: make(chan string, 64), errs: new(proc.Output)}
	u.cmd = exec.Command(exe, append([]string{"cluster", "up", "--json"}, args...)...)
	u.cmd.Stderr = u.errs
	out, err := u.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, proc.Start(u.cmd))
	t.Cleanup(func() { _ = u.cmd.Process.Kill() })
	go func() {
		defer close(u.lines)
		for sc := bufio.NewScanner(out); sc.Scan(); {
			u.lines <- sc.Text()
		}
	}()
	return u
}

// event waits for the next line of output.
func (u *upRun) event(limit time.Duration) (e struct {
	Event, Error, Advice, Dir, Try, Cause string
	Port                                  int
	OK                                    bool
	Nodes                                 json.RawMessage
}) {
	u.t.Helper()
	select {
	case line, ok := <-u.lines:
		require.True(u.t, ok, "ended without a word: %s", u.errs)
		require.NoError(u.t, json.Unmarshal([]byte(line), &e), line)
	case <-time.After(limit):
		u.t.Fatalf("no event: %s", u.errs)
	}
	return e
}

// up waits until the cluster is up and returns its nodes.
func (u *upRun) up() []nodeResult {
	u.t.Helper()
	e := u.event(60 * time.Second)
	require.Equal(u.t, "up", e.Event, "%s %s\n%s", e.Error, e.Advice, u.errs)
	var nodes []nodeResult
	require.NoError(u.t, json.Unmarshal(e.Nodes, &nodes))
	return nodes
}

// stop sends Ctrl-C's signal and waits for the end.
func (u *upRun) stop() int {
	u.t.Helper()
	// Twice, as timeout(1) does: it is one wish.
	require.NoError(u.t, u.cmd.Process.Signal(syscall.SIGINT))
	_ = u.cmd.Process.Signal(syscall.SIGTERM)
	for range u.lines {
	}
	_ = u.cmd.Wait()
	return u.cmd.ProcessState.ExitCode()
}

func at(port int) *remote { return &remote{addr: fmt.Sprint(port), ip: "127.0.0.1", port: port} }

func call(t *testing.T, port int, argv ...string) (string, error) {
	r := at(port)
	if err := r.dial(t.Context(), login{}); err != nil {
		return "", err
	}
	defer r.close()
	return r.do(t.Context(), argv...)
}

// sixPorts finds six client ports in a row that are free with their bus ports.
func sixPorts(t *testing.T) int { return proc.FreeRow(t, 6) }

func TestUpFormsSurvivesAKillAndComesBack(t *testing.T) {
	dir, port := t.TempDir(), sixPorts(t)
	flags := []string{"--dir", dir, "--port", strconv.Itoa(port)}
	u := startUp(t, flags...)
	nodes := u.up()
	require.Len(t, nodes, 6)
	for i, slots := range []string{"0-5460", "5461-10922", "10923-16383"} {
		assert.Equal(t, slots, nodes[i].Slots)
		assert.Equal(t, nodes[i].Addr, nodes[i+3].Primary, "first replica to first primary")
		assert.FileExists(t, nodes[i].Log)
	}

	t.Run("the directory is locked", func(t *testing.T) {
		e := startUp(t, flags...).event(10 * time.Second)
		assert.Contains(t, e.Error, fmt.Sprintf("(pid %d) runs its cluster", u.cmd.Process.Pid))
	})
	t.Run("the ports are taken", func(t *testing.T) {
		e := startUp(t, "--dir", t.TempDir(), "--port", strconv.Itoa(port)).event(10 * time.Second)
		assert.Contains(t, e.Error, fmt.Sprintf("port %d is taken by", port))
		assert.Contains(t, e.Error, fmt.Sprintf("(pid %d)", nodes[0].Pid))
	})

	first, second := keyIn(0, 5460), keyIn(5461, 10922)
	_, err := call(t, port+1, "SET", first, "kept")
	require.ErrorContains(t, err, fmt.Sprintf("MOVED %d 127.0.0.1:%d", slot.OfString(first), port))
	for i, key := range []string{first, second} {
		_, err = call(t, port+i, "SET", key, "kept")
		require.NoError(t, err)
	}
	n, err := call(t, port+1, "WAIT", "1", "5000")
	require.NoError(t, err)
	require.NotEmpty(t, n)

	require.NoError(t, syscall.Kill(nodes[1].Pid, syscall.SIGKILL))
	e := u.event(10 * time.Second)
	assert.Equal(t, "ended", e.Event)
	assert.Equal(t, port+1, e.Port)
	assert.Contains(t, e.Cause, "killed by signal 9")
	require.Eventually(t, func() bool {
		_, err := call(t, port+4, "SET", second, "changed")
		return err == nil
	}, 30*time.Second, 50*time.Millisecond, "the replica takes over")

	assert.Equal(t, 0, u.stop(), "%s", u.errs)
	for _, n := range nodes {
		assert.Error(t, syscall.Kill(n.Pid, 0), "node %s is gone", n.Addr)
	}

	u = startUp(t, "--dir", dir, "--port", strconv.Itoa(port))
	again := u.up()
	require.Len(t, again, 6)
	for i := range nodes {
		assert.Equal(t, nodes[i].ID, again[i].ID, "the same node")
	}
	assert.Equal(t, "replica", again[1].Role, "the killed primary came back as a replica")
	for key, want := range map[string]string{first: "kept", second: "changed"} {
		door := port
		if key == second {
			door = port + 4
		}
		got, err := call(t, door, "GET", key)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
	assert.Equal(t, 0, u.stop(), "%s", u.errs)
}

// keyIn returns a key in one of the slots low to high.
func keyIn(low, high slot.Slot) string {
	for i := 0; ; i++ {
		if key := fmt.Sprint("key:", i); slot.OfString(key) >= low && slot.OfString(key) <= high {
			return key
		}
	}
}

func TestUpSaysWhyANodeDoesNotStart(t *testing.T) {
	t.Run("a directive that does not exist", func(t *testing.T) {
		e := startUp(t, "--dir", t.TempDir(), "--port", strconv.Itoa(sixPorts(t)), "--", "--no-such-directive", "1").event(20 * time.Second)
		assert.Contains(t, e.Error, "ended at its start")
		assert.Contains(t, e.Error, "no-such-directive", "the node's own words")
	})
	t.Run("a corrupt state file", func(t *testing.T) {
		dir, port := t.TempDir(), sixPorts(t)
		require.NoError(t, os.Mkdir(nodeDir(dir, port+2), 0o755))
		path := filepath.Join(nodeDir(dir, port+2), "nodes.conf")
		require.NoError(t, os.WriteFile(path, []byte("rubbish\n"), 0o644))
		e := startUp(t, "--dir", dir, "--port", strconv.Itoa(port)).event(20 * time.Second)
		assert.Contains(t, e.Error, path)
		assert.Contains(t, e.Advice, "remove the node's directory")
	})
	t.Run("a bus port that is taken", func(t *testing.T) {
		port := sixPorts(t)
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port+3+busOffset))
		require.NoError(t, err)
		defer l.Close()
		e := startUp(t, "--dir", t.TempDir(), "--port", strconv.Itoa(port)).event(20 * time.Second)
		assert.Contains(t, e.Error, fmt.Sprintf("bus port (of port %d) %d is taken by", port+3, port+3+busOffset))
	})
}

func TestUpStopsWhileItForms(t *testing.T) {
	port := sixPorts(t)
	u := startUp(t, "--dir", t.TempDir(), "--port", strconv.Itoa(port))
	require.Eventually(t, func() bool { return strings.Contains(u.errs.String(), "starting nodes: 3") }, 20*time.Second, time.Millisecond)
	u.stop()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	for p := port; p < port+6; p++ {
		assert.Error(t, at(p).dial(ctx, login{}), "port %d", p)
	}
}

// A cluster's first node may be the one that is down: check asks the others how things stand.
func TestOutcomePassesOverNodesThatAreDown(t *testing.T) {
	_, err := outcome(t.Context(), []*remote{at(1), at(2)})
	assert.ErrorContains(t, err, "the cluster cannot be asked: "+errUnreached.Error())
}

func TestCreateOverOurOwnNodes(t *testing.T) {
	exe, err := os.Executable()
	require.NoError(t, err)
	port := sixPorts(t)
	args := []string{"cluster", "create", "--replicas", "1", "--yes", "--json"}
	for p := port; p < port+6; p++ {
		proc.Prepare(t, exe, "server", "--port", strconv.Itoa(p), "--bind", "127.0.0.1", "--cluster-enabled", "yes", "--dir", t.TempDir(),
			"--cluster-node-timeout", "5000").
			Serve(20*time.Second, func() bool { got, err := call(t, p, "PING"); return err == nil && got == "PONG" })
		args = append(args, "127.0.0.1:"+strconv.Itoa(p))
	}
	code, out, errs := sextant("", args...)
	require.Equal(t, 0, code, out+errs)
	code, out, errs = sextant("", "cluster", "check", "127.0.0.1:"+strconv.Itoa(port+5))
	assert.Equal(t, 0, code, out+errs)
	checked, err := exec.Command("redis-cli", "--cluster", "check", "127.0.0.1:"+strconv.Itoa(port)).CombinedOutput()
	assert.NoError(t, err, string(checked))
}
