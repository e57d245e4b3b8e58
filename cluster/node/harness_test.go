package node

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/integration/proc"
	"github.com/sextantdb/sextant/store/disk"
)

// asServer makes this test binary a server: a process of its own for what only a process has
// (signals, exit codes, daemons).
const asServer = "SEXTANT_TEST_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(asServer) != "" {
		os.Exit(Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// patience is how long a test waits for what must happen.
const patience = 15 * time.Second

// eventually waits until ok.
func eventually(t testing.TB, ok func() bool, what string, args ...any) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: "+what, args...)
		}
	}
}

// testNode is a Node in this process.
type testNode struct {
	*Node
	t    testing.TB
	port int
	dir  string
	out  *proc.Output
}

// serve starts a node with directives as on a command line, e.g. "save", "1 1".
func serve(t testing.TB, directives ...string) *testNode {
	s := build(t, t.TempDir(), proc.FreePort(t), directives...)
	require.NoError(t, s.Start())
	return s
}

// build makes a node and does not start it.
func build(t testing.TB, dir string, port int, directives ...string) *testNode {
	t.Helper()
	return buildOn(t, nil, dir, port, directives...)
}

// buildOn is build on another disk than the machine's.
func buildOn(t testing.TB, d disk.FS, dir string, port int, directives ...string) *testNode {
	t.Helper()
	s := &testNode{t: t, port: port, dir: dir, out: new(proc.Output)}
	args := []string{"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--loglevel", "verbose", "--hz", "50", "--enable-debug-command", "yes"}
	for i := 0; i < len(directives); i += 2 {
		args = append(args, "--"+directives[i])
		args = append(args, strings.Fields(directives[i+1])...)
		if directives[i+1] == "" {
			args = append(args, "")
		}
	}
	cfg, err := Load(args, dir, strings.NewReader(""))
	require.NoError(t, err)
	if d != nil {
		cfg.Disk = d
	}
	s.Node, err = New(cfg, NewLog(s.out, "", "verbose", false))
	require.NoError(t, err)
	t.Cleanup(func() {
		s.Stop()
		if t.Failed() {
			t.Logf("log of %d:\n%s", port, s.out)
		}
	})
	return s
}

// again stops the node and starts another in its place.
func (s *testNode) again(directives ...string) *testNode {
	s.Stop()
	next := build(s.t, s.dir, s.port, directives...)
	require.NoError(s.t, next.Start())
	return next
}

// client is a connection of a test.
type client struct {
	net.Conn
	t testing.TB
	r *bufio.Reader
}

func (s *testNode) dial() *client { return dialTo(s.t, "tcp", "127.0.0.1:"+strconv.Itoa(s.port)) }

func dialTo(t testing.TB, network, addr string) *client {
	t.Helper()
	c, err := net.Dial(network, addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return &client{Conn: c, t: t, r: bufio.NewReader(c)}
}

// send writes one request.
func (c *client) send(words ...string) {
	c.t.Helper()
	_, err := io.WriteString(c, request(words...))
	require.NoError(c.t, err)
}

func request(words ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	return b.String()
}

// do sends one request and returns the reply: strings as they are, errors with "-", integers as
// text, nil as "(nil)", aggregates as their elements in brackets.
func (c *client) do(words ...string) string {
	c.t.Helper()
	c.send(words...)
	return c.read()
}

func (c *client) read() string {
	c.t.Helper()
	s, err := c.try()
	require.NoError(c.t, err)
	return s
}

func (c *client) try() (string, error) {
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	line, err := c.r.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimRight(line, "\r\n")
	n, _ := strconv.Atoi(line[1:])
	switch line[0] {
	case '-':
		return line, nil
	case '$', '=':
		if n < 0 {
			return "(nil)", nil
		}
		b := make([]byte, n+2)
		if _, err := io.ReadFull(c.r, b); err != nil {
			return "", err
		}
		if line[0] == '=' {
			return string(b[4:n]), nil
		}
		return string(b[:n]), nil
	case '*', '%', '~', '>':
		if n < 0 {
			return "(nil)", nil
		}
		if line[0] == '%' {
			n *= 2
		}
		parts := make([]string, n)
		for i := range parts {
			if parts[i], err = c.try(); err != nil {
				return "", err
			}
		}
		return "[" + strings.Join(parts, " ") + "]", nil
	}
	return line[1:], nil
}

// info returns one field of INFO.
func (c *client) info(name string) string {
	c.t.Helper()
	for line := range strings.Lines(c.do("INFO", "everything")) {
		if v, ok := strings.CutPrefix(strings.TrimRight(line, "\r\n"), name+":"); ok {
			return v
		}
	}
	return ""
}

// closed waits until the other side has closed the connection.
func (c *client) closed() {
	c.t.Helper()
	for {
		if _, err := c.try(); err != nil {
			var timeout net.Error
			require.False(c.t, errors.As(err, &timeout) && timeout.Timeout(), "still open")
			return
		}
	}
}

// process is a server in a process of its own; Out and Err are apart.
type process struct {
	*proc.Process
	t    testing.TB
	port int
}

// spawn starts this binary with arguments as redis-server's.
func spawn(t testing.TB, env []string, args ...string) *process {
	t.Helper()
	p := prepare(t, env, args...)
	p.Start()
	return p
}

func prepare(t testing.TB, env []string, args ...string) *process {
	p := &process{t: t, Process: proc.Prepare(t, append([]string{os.Args[0]}, args...)...)}
	p.Env, p.Err = append([]string{asServer + "=1"}, env...), new(proc.Output)
	return p
}

// launch starts a process that serves, and waits until it does.
func launch(t testing.TB, dir string, args ...string) *process {
	t.Helper()
	port := proc.FreePort(t)
	p := prepare(t, nil, append([]string{"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir, "--enable-debug-command", "yes"}, args...)...)
	p.port = port
	p.Serve(patience, func() bool { return strings.Contains(p.Out.String(), "Ready to accept connections tcp") })
	return p
}

func (p *process) dial() *client { return dialTo(p.t, "tcp", "127.0.0.1:"+strconv.Itoa(p.port)) }

// code waits for the end and returns the exit code.
func (p *process) code() int { p.t.Helper(); return p.Code(patience) }

// realRedis starts a real server and returns a client and its port.
func realRedis(t testing.TB, args ...string) (*client, int) {
	t.Helper()
	port := proc.FreePort(t)
	addr := "127.0.0.1:" + strconv.Itoa(port)
	proc.Prepare(t, append([]string{proc.Redis(t), "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", t.TempDir(), "--save", ""}, args...)...).
		Serve(patience, func() bool { return proc.Listens(addr) })
	return dialTo(t, "tcp", addr), port
}

func write(t testing.TB, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}
