package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
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
)

// TestMain makes the test binary a sextant too: what `cluster up` starts is os.Executable.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "server" || os.Args[1] == "cluster") {
		main()
	}
	os.Exit(m.Run())
}

// sextant runs a tool within the test; answers is what the user types, "" without a terminal.
func sextant(answers string, args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	t := &terminal{in: strings.NewReader(answers), out: &o, err: &e, asks: answers != ""}
	code = run(append([]string{"sextant"}, args...), t)
	return code, o.String(), e.String()
}

func TestWhichProgramIsMeant(t *testing.T) {
	for _, c := range []struct {
		argv   string
		server bool
		args   string
	}{
		{"sextant", false, ""},
		{"sextant cluster up", false, ""},
		{"sextant cluster create a:1 --replicas 1", false, ""},
		{"sextant --help", false, ""},
		{"sextant -h", false, ""},
		{"sextant nonsense", false, ""},
		{"sextant server", true, ""},
		{"sextant server /etc/redis.conf --port 7", true, "/etc/redis.conf --port 7"},
		{"sextant server -h", true, "-h"},
		{"sextant /etc/redis.conf", true, "/etc/redis.conf"},
		{"sextant redis.conf", true, "redis.conf"},
		{"sextant ./cluster", true, "./cluster"},
		{"sextant --port 7000", true, "--port 7000"},
		{"sextant -", true, "-"},
		{"sextant -v", true, "-v"},
		{"sextant --version", true, "--version"},
		{"/usr/bin/redis-server", true, ""},
		{"redis-server cluster", true, "cluster"},
	} {
		args, server := serverArgs(strings.Fields(c.argv))
		assert.Equal(t, c.server, server, c.argv)
		assert.Equal(t, c.args, strings.Join(args, " "), c.argv)
	}
}

func TestHelp(t *testing.T) {
	for line, says := range map[string]string{
		"server -h": "sextant server [/path/redis.conf]", "server --help": "redis-server", "--help": "sextant cluster up", "": "sextant cluster up",
		"cluster": "create", "cluster up --help": "--replicas", "cluster create --help": "--timeout",
	} {
		code, out, errs := sextant("", strings.Fields(line)...)
		assert.Equal(t, 0, code, line)
		assert.Contains(t, out, says, line)
		assert.Empty(t, errs, line)
	}
}

func TestMistakesAreExplained(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	port := strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)
	for _, c := range []struct {
		args, says string
	}{
		{"nonsense", "unknown command"},
		{"cluster nonsense", "unknown command"},
		{"cluster create", "requires at least 1 arg"},
		{"cluster create a:1 b:2 c:3 --replicas 1", "cannot be resolved"},
		{"cluster create 127.0.0.1:1 127.0.0.1:2 --replicas 0", "Redis Cluster requires at least 3 master nodes"},
		{"cluster create 127.0.0.1", "is not an address"},
		{"cluster create 127.0.0.1:x", "has no valid port"},
		{"cluster create 127.0.0.1:1 127.0.0.1:2 127.0.0.1:3 --yes", "connection refused"},
		{"cluster create 127.0.0.1:1 --askpass", "--askpass needs a terminal"},
		{"cluster check 127.0.0.1:1", "connection refused"},
		{"cluster up --nodes 3 --replicas 1", "requires at least 3 master nodes"},
		{"cluster up --port 60000", "do not all exist"},
		{"cluster up --port " + port + " --nodes 3 --replicas 0", "port " + port + " is taken by"},
		{"cluster up --port 70000 extra", "unexpected argument"},
	} {
		t.Run(c.args, func(t *testing.T) {
			args := strings.Fields(c.args)
			if strings.HasPrefix(c.args, "cluster up") {
				args = append(args[:2:2], append([]string{"--dir", t.TempDir()}, args[2:]...)...)
			}
			code, out, errs := sextant("", args...)
			assert.Equal(t, 1, code)
			assert.Contains(t, errs, c.says)
			assert.Empty(t, out)
			if c.says == "unknown command" || strings.HasPrefix(c.says, "requires") || strings.Contains(c.says, "do not all exist") {
				return
			}
			if strings.HasPrefix(c.args, "cluster up --port "+port) {
				assert.Contains(t, errs, fmt.Sprintf("(pid %d)", os.Getpid()), "it says who has the port")
			}
		})
	}
	_, out, _ := sextant("", "cluster", "check", "127.0.0.1:1", "--json")
	var f fault
	require.NoError(t, json.Unmarshal([]byte(out), &f))
	assert.Contains(t, f.What, "connection refused")
	assert.NotEmpty(t, f.Do)
}

// peers starts n real redis-servers; the command line works with them as with our own.
func peers(t *testing.T, n int, directives ...string) (addrs []string, procs []*proc.Process) {
	for _, p := range proc.FreePorts(t, n) {
		s := proc.Prepare(t, append([]string{proc.Redis(t), "--port", strconv.Itoa(p), "--bind", "127.0.0.1", "--dir", t.TempDir(), "--save", ""}, directives...)...)
		s.Serve(time.Minute, func() bool { return strings.Contains(s.Out.String(), "Ready to accept connections") })
		addrs, procs = append(addrs, "127.0.0.1:"+strconv.Itoa(p)), append(procs, s)
	}
	return addrs, procs
}

func TestCreateAndCheckWithRealServers(t *testing.T) {
	addrs, procs := peers(t, 6, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
	args := append([]string{"cluster", "create", "--replicas", "1"}, addrs...)

	code, out, errs := sextant("", args...)
	assert.Equal(t, 1, code)
	assert.Contains(t, errs, "there is no terminal to ask on")
	assert.Contains(t, errs, "--yes")
	assert.Contains(t, out, "Master[2] -> Slots 10923 - 16383")
	assert.Contains(t, out, "Adding replica "+addrs[3]+" to "+addrs[0])

	code, _, errs = sextant("no\n", args...)
	assert.Equal(t, 1, code)
	assert.Contains(t, errs, "nothing was changed")

	code, out, errs = sextant("yes\n", args...)
	require.Equal(t, 0, code, errs)
	assert.Contains(t, out, "[OK] The cluster is up.")
	assert.Contains(t, errs, ">>> joining: 6 of 6")
	checked, err := exec.Command("redis-cli", "--cluster", "check", addrs[4]).CombinedOutput()
	require.NoError(t, err, string(checked))
	assert.Contains(t, string(checked), "[OK] All 16384 slots covered.")

	code, out, _ = sextant("", "cluster", "check", addrs[1], "--json")
	assert.Equal(t, 0, code, out)
	assert.JSONEq(t, `{"ok":true,"agree":true,"slots_covered":16384,"problems":[],"warnings":[]}`, out)

	code, _, errs = sextant("", append(args, "--yes")...)
	assert.Equal(t, 1, code)
	assert.Contains(t, errs, "is not empty: it knows 5 other nodes and has 16384 slots assigned")
	assert.Contains(t, errs, "6 things stand in the way")

	procs[5].Kill()
	code, out, errs = sextant("", "cluster", "check", addrs[1])
	assert.Equal(t, 1, code)
	assert.Contains(t, out, "[ERR] "+addrs[5]+" cannot be asked")
	assert.Contains(t, errs, "problem")
}

func TestCreateRefusesWhatCannotWork(t *testing.T) {
	addrs, _ := peers(t, 2, "--cluster-enabled", "yes")
	alone, _ := peers(t, 1)
	locked, _ := peers(t, 1, "--cluster-enabled", "yes", "--requirepass", "secret")
	code, _, errs := sextant("", "cluster", "create", addrs[0], addrs[1], alone[0], locked[0], addrs[0], "127.0.0.1:1", "--yes")
	assert.Equal(t, 1, code)
	for _, part := range []string{
		alone[0] + ": is not configured as a cluster node", locked[0] + ": NOAUTH", "REDISCLI_AUTH",
		addrs[0] + ": given twice", "127.0.0.1:1: connection refused", "4 things stand in the way", "nothing was changed",
	} {
		assert.Contains(t, errs, part)
	}
	t.Setenv("REDISCLI_AUTH", "wrong")
	_, _, errs = sextant("", "cluster", "create", locked[0], locked[0], locked[0], "--yes")
	assert.Contains(t, errs, "WRONGPASS")
}

func TestCreateWithAPassword(t *testing.T) {
	addrs, _ := peers(t, 3, "--cluster-enabled", "yes", "--requirepass", "secret", "--masterauth", "secret")
	code, out, errs := sextant("", append([]string{"cluster", "create", "-a", "secret", "--yes", "--json"}, addrs...)...)
	require.Equal(t, 0, code, errs)
	var res result
	require.NoError(t, json.Unmarshal([]byte(out), &res), out)
	require.Len(t, res.Nodes, 3)
	assert.Equal(t, "0-5460", res.Nodes[0].Slots)
	t.Setenv("REDISCLI_AUTH", "secret")
	code, _, errs = sextant("", "cluster", "check", addrs[0])
	assert.Equal(t, 0, code, errs)
}

func TestCreateEndsInTimeWithTheReason(t *testing.T) {
	addrs, procs := peers(t, 3, "--cluster-enabled", "yes")
	// A node that stops in the middle: it answered the survey, then nothing more.
	slow := &terminal{in: &stopper{procs[2]}, out: io.Discard, err: new(bytes.Buffer), asks: true}
	began := time.Now()
	code := run(append([]string{"sextant", "cluster", "create", "--timeout", "3s"}, addrs...), slow)
	procs[2].Signal(syscall.SIGCONT)
	assert.Equal(t, 1, code)
	assert.Less(t, time.Since(began), 10*time.Second)
	assert.Contains(t, slow.err.(*bytes.Buffer).String(), addrs[2])
}

// stopper is a user who stops a node before saying yes.
type stopper struct{ node *proc.Process }

func (s *stopper) Read(p []byte) (int, error) {
	s.node.Freeze()
	return copy(p, "yes\n"), io.EOF
}

func TestUpDirectory(t *testing.T) {
	dir := t.TempDir()
	lock, err := lockDir(dir)
	require.NoError(t, err)
	_, err = lockDir(dir)
	require.ErrorContains(t, err, fmt.Sprintf("another sextant cluster up (pid %d) runs its cluster", os.Getpid()))
	lock.Close()
	lock, err = lockDir(dir)
	require.NoError(t, err)
	lock.Close()

	o := upOptions{nodes: 8, replicas: 1, port: 7100}
	l, err := readLayout(dir, &o)
	require.NoError(t, err)
	assert.False(t, l.Formed)
	l.Formed = true
	require.NoError(t, l.write(dir))
	o = upOptions{nodes: 6, replicas: 1, port: 7000}
	l, err = readLayout(dir, &o)
	require.NoError(t, err)
	assert.True(t, l.Formed)
	assert.Equal(t, 8, o.nodes, "what the directory has comes back")
	o = upOptions{nodes: 6, replicas: 1, port: 7000, given: true}
	_, err = readLayout(dir, &o)
	assert.ErrorContains(t, err, "has a cluster of --nodes 8 --replicas 1 --port 7100")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "cluster.json"), []byte("{"), 0o644))
	_, err = readLayout(dir, &o)
	assert.ErrorContains(t, err, "cluster.json")
}

func TestUpFindsCopiedNodes(t *testing.T) {
	dir := t.TempDir()
	o := &upOptions{nodes: 3, port: 7000}
	for i, id := range []string{"aa", "bb", "aa"} {
		home := nodeDir(dir, 7000+i)
		require.NoError(t, os.Mkdir(home, 0o755))
		state := "1234abcd 0 sextant-cluster 1 1\n1234abcd 1 self id=" + id + " cluster=01 boot=1\n"
		require.NoError(t, os.WriteFile(filepath.Join(home, "nodes.conf"), []byte(state), 0o644))
	}
	err := uniqueIDs(dir, o)
	require.Error(t, err)
	assert.Contains(t, err.Error(), filepath.Join(dir, "7000", "nodes.conf")+" and "+filepath.Join(dir, "7002", "nodes.conf")+" hold the same node id aa")
	o.nodes = 2
	assert.NoError(t, uniqueIDs(dir, o))
}

func TestUpDefaultDirectory(t *testing.T) {
	state := t.TempDir()
	t.Setenv("XDG_STATE_HOME", state)
	dir, err := upDir(&upOptions{port: 7000})
	require.NoError(t, err)
	assert.Equal(t, filepath.Join(state, "sextant", "up-7000"), dir)
	assert.DirExists(t, dir)
	require.NoError(t, os.WriteFile(filepath.Join(state, "file"), nil, 0o644))
	_, err = upDir(&upOptions{dir: filepath.Join(state, "file", "x")})
	assert.Error(t, err)
}
