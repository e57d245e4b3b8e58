package compat

import (
	"bufio"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/integration/proc"
	"github.com/sextantdb/sextant/resp"
)

// patience is how long a test waits for what another process must do, on a machine that is busy with other tests.
const patience = time.Minute

// server is a process that can be stopped and started again: a Sextant, a Redis or a Sentinel.
type server struct {
	side
	t        testing.TB
	port     int
	pass     string // what AUTH wants, if anything
	followed int    // the port it follows its primary through, when that is not the primary's
	*proc.Process
}

// prepare describes a server that argv starts on a port. The test kills it at its end.
func prepare(t testing.TB, name string, port int, argv ...string) *server {
	return &server{side: side{name: name, addr: "127.0.0.1:" + strconv.Itoa(port)}, t: t, port: port, Process: proc.Prepare(t, argv...)}
}

// start runs the process and waits until it answers, be it with an error.
func (s *server) start() {
	s.t.Helper()
	s.Serve(patience, func() bool {
		reply := s.say("PING")
		return reply == "PONG" || strings.HasPrefix(reply, "NOAUTH")
	})
}

// stop asks for an orderly end, as `systemctl stop` does, and waits for it.
func (s *server) stop() {
	s.t.Helper()
	s.Signal(syscall.SIGTERM)
	s.gone()
}

// gone waits until the process has ended by itself.
func (s *server) gone() {
	s.t.Helper()
	require.Zero(s.t, s.Code(patience), "%s", s.Out)
}

func (s *server) restart() {
	s.t.Helper()
	s.stop()
	s.start()
}

func (s *server) kill() { s.Kill() }

// say sends one command on a connection of its own and returns the reply as redis-cli prints it
// into a pipe; "" when the server cannot be reached.
func (s *server) say(words ...string) string {
	c, err := net.DialTimeout("tcp", s.addr, time.Second)
	if err != nil {
		return ""
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	var out []byte
	calls := [][]string{words}
	if s.pass != "" {
		calls = [][]string{{"AUTH", s.pass}, words}
	}
	for _, call := range calls {
		out = resp.AppendCommandStrings(out, call...)
	}
	if _, err := c.Write(out); err != nil {
		return ""
	}
	in := bufio.NewReader(c)
	var reply []byte
	for range calls {
		if reply, err = readReply(in, nil); err != nil {
			return ""
		}
	}
	return plain(reply)
}

// plain is a reply without its frame; of an array the elements, one a line.
func plain(reply []byte) string {
	head, rest, _ := strings.Cut(string(reply), "\r\n")
	switch head[0] {
	case '*':
		var lines []string
		for in := bufio.NewReader(strings.NewReader(rest)); ; {
			element, err := readReply(in, nil)
			if err != nil {
				return strings.Join(lines, "\n")
			}
			lines = append(lines, plain(element))
		}
	case '$':
		return strings.TrimSuffix(rest, "\r\n")
	}
	return head[1:]
}

// info returns the fields of one section of INFO.
func (s *server) info(section string) map[string]string {
	fields := map[string]string{}
	for line := range strings.Lines(s.say("INFO", section)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[name] = value
		}
	}
	return fields
}

// cli runs the real redis-cli against the server and returns what it printed.
func (s *server) cli(words ...string) string { return s.session("", words...) }

// session is cli with lines typed into it.
func (s *server) session(typed string, words ...string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	program, err := exec.LookPath("redis-cli")
	if err != nil {
		s.t.Skip("no redis-cli (scripts/test.sh installs it)")
	}
	cmd := exec.CommandContext(ctx, program, append([]string{"-p", strconv.Itoa(s.port)}, words...)...)
	cmd.Stdin = strings.NewReader(typed)
	out, err := cmd.CombinedOutput()
	require.NoError(s.t, err, "redis-cli %s:\n%s", words, out)
	return strings.TrimRight(string(out), "\n")
}

// inSync waits until a replica has everything its primary has.
func (s *server) inSync(primary *server) {
	s.t.Helper()
	s.eventually("in sync with "+primary.name, func() bool {
		at := primary.info("replication")["master_repl_offset"]
		mine := s.info("replication")
		return at != "" && mine["master_link_status"] == "up" && (mine["master_port"] == strconv.Itoa(primary.port) || mine["master_port"] == strconv.Itoa(s.followed)) && mine["master_repl_offset"] == at
	})
}

func (s *server) eventually(what string, ok func() bool) {
	s.t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) { // other processes give no event to wait for
		if time.Now().After(end) {
			s.t.Fatalf("%s on port %d, never: %s", s.name, s.port, what)
		}
	}
}

// configFile writes a configuration file into a directory of its own and returns its path.
func configFile(t testing.TB, name string, lines ...string) string {
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	return path
}

// edit replaces a text in a file, which must be there.
func edit(t testing.TB, path, old, new string) {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(text), old)
	require.NoError(t, os.WriteFile(path, []byte(strings.Replace(string(text), old, new, 1)), 0o600))
}

// fileSays waits until a line of a file begins with a text, or none does.
func fileSays(t testing.TB, path, begins string, want bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		text, err := os.ReadFile(path)
		return err == nil && strings.Contains("\n"+string(text), "\n"+begins) == want
	}, patience, 10*time.Millisecond, "%s in %s: %v", begins, path, want)
}
