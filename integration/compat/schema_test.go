package compat

import (
	"bytes"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp"
)

// Every reply has the form that its entry promises. The scripts of the families look at that too;
// here is that it is so of every command of the table, in both protocols, through a whole node.

// fits reports a reply of ours that its entry's schema does not allow, and whether it was one: an
// error may always come.
func fits(t *testing.T, call []string, reply []byte, proto int) (ok bool) {
	v, err := resp.NewReader(bytes.NewReader(reply), resp.ReadLimits{}).ReadValue()
	require.NoError(t, err, "%q answers %q", call, reply)
	cmd := entryOf(call)
	if cmd == nil || v.Err() != nil {
		return false
	}
	if v.Kind == resp.KindPush {
		v.Kind = resp.KindArray // what confirms a subscription is a push in RESP3
	}
	return assert.NoError(t, cmd.Schema().Check(v, proto), "%q", call)
}

func queued(reply []byte) bool { return string(reply) == "+QUEUED\r\n" }

// onlyErrors are commands that cannot succeed, and why.
var onlyErrors = map[string]string{
	"MODULE|LOAD": "there are no modules", "MODULE|LOADEX": "there are no modules", "MODULE|UNLOAD": "there are no modules",
}

// noReply are commands that a client hears nothing of, and why.
var noReply = map[string]string{
	"SHUTDOWN": "ends the server", "PSYNC": "takes the connection over", "SYNC": "takes the connection over",
}

// schemaScript plays files to nodes. Words in braces stand for what known says; a call with "=> text"
// is repeated until its reply matches.
type schemaScript struct {
	t       *testing.T
	proto   int
	nodes   map[string]*side // by the name before ":" of a client; "" is the first
	known   func(word string) string
	clients map[string]*client
	seen    map[string]bool
}

func (s *schemaScript) client(who string) *client {
	if s.clients[who] == nil {
		at, _, named := strings.Cut(who, ":")
		if !named {
			at = ""
		}
		c := s.nodes[at].dial(s.t)
		if s.proto == resp.RESP3 {
			c.do(s.t, [][]string{{"HELLO", "3"}})
		}
		s.clients[who] = c
	}
	return s.clients[who]
}

var braces = regexp.MustCompile(`\{\w+\}`)

func (s *schemaScript) play(file string) {
	text, err := os.ReadFile(file)
	require.NoError(s.t, err)
	for n, line := range strings.Split(string(text), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		at := file + ":" + strconv.Itoa(n+1)
		line, fails := strings.CutPrefix(line, "! ")
		line, until, waits := strings.Cut(line, " => ")
		who, call, unread := strings.Cut(line, "& ")
		if unread = unread && !strings.Contains(who, " "); !unread {
			var other bool
			if who, call, other = strings.Cut(line, "> "); !other || strings.Contains(who, " ") {
				who, call = "", line
			}
		}
		argv, ok := resp.SplitArgs([]byte(call), nil)
		require.True(s.t, ok, at)
		words := make([]string, len(argv))
		for i, w := range argv {
			words[i] = braces.ReplaceAllStringFunc(string(w), func(w string) string { return s.known(w[1 : len(w)-1]) })
		}
		var reply []byte
		c := s.client(who)
		if unread {
			_, err := c.Write(resp.AppendCommandStrings(nil, words...))
			require.NoError(s.t, err, at)
			continue
		}
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			reply = c.do(s.t, [][]string{words})[0]
			if !waits || regexp.MustCompile(s.filled(until)).Match(reply) || time.Now().After(end) {
				break
			}
		}
		if reply[0] == '(' {
			require.Fail(s.t, at, "the connection ended")
		}
		if queued(reply) {
			continue
		}
		fit := fits(s.t, words, reply, s.proto)
		assert.Equal(s.t, !fails, fit, "%s: %s answers %q", at, line, reply)
		if cmd := entryOf(words); fit && cmd != nil {
			s.seen[cmd.FullName()] = true
		}
	}
}

func (s *schemaScript) filled(text string) string {
	return braces.ReplaceAllStringFunc(text, func(w string) string { return s.known(w[1 : len(w)-1]) })
}

func TestEveryReplyFitsItsSchema(t *testing.T) {
	tab, err := table()
	require.NoError(t, err)
	for _, proto := range []int{resp.RESP2, resp.RESP3} {
		t.Run("RESP"+strconv.Itoa(proto), func(t *testing.T) {
			t.Parallel()
			seen := map[string]bool{}
			alone(t, proto, seen)
			if !testing.Short() {
				inCluster(t, proto, seen)
			}
			for _, c := range tab.All() {
				name := c.FullName()
				if c.Run == nil || testing.Short() && strings.HasPrefix(name, "CLUSTER|") {
					continue
				}
				why := onlyErrors[name] + noReply[name]
				assert.Equal(t, why == "", seen[name], "%s: no reply of it was checked", name)
			}
		})
	}
}

func alone(t *testing.T, proto int, seen map[string]bool) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(dir+"/redis.conf", []byte("aclfile "+dir+"/users.acl\n"), 0o600))
	require.NoError(t, os.WriteFile(dir+"/users.acl", nil, 0o600))
	node := launch(t, "sextant", binary, "server", dir+"/redis.conf")
	target := launch(t, "target", binary, "server")
	s := &schemaScript{t: t, proto: proto, nodes: map[string]*side{"": node, "target": target}, clients: map[string]*client{}, seen: seen}
	s.known = func(word string) string {
		host, port, _ := net.SplitHostPort(target.addr)
		switch word {
		case "host":
			return host
		case "port":
			return port
		case "own":
			_, port, _ = net.SplitHostPort(node.addr)
			return port
		case "dumped":
			return node.ask(t, "DUMP", "plain").Text()
		case "dump":
			return node.ask(t, "FUNCTION", "DUMP").Text()
		}
		return word
	}
	s.play("testdata/schemas/alone.txt")
	assert.True(t, takesOver(t, node, "PSYNC", "?", "-1"))
	assert.True(t, takesOver(t, node, "SYNC"))
	assert.False(t, takesOver(t, node, "SHUTDOWN", "NOSAVE"))
}

// takesOver reports whether the stream of a whole copy follows a call, or else the connection ended.
func takesOver(t *testing.T, s *side, words ...string) bool {
	c := s.dial(t)
	require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	_, err := c.Write(resp.AppendCommandStrings(nil, words...))
	require.NoError(t, err)
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			return false
		}
		if strings.HasPrefix(line, "$") {
			return true
		}
		require.Regexp(t, `^(\n|\+FULLRESYNC .*)`, line)
	}
}

func inCluster(t *testing.T, proto int, seen map[string]bool) {
	s := &schemaScript{t: t, proto: proto, nodes: map[string]*side{}, clients: map[string]*client{}, seen: seen}
	for _, name := range []string{"", "2", "3"} {
		s.nodes[name] = launch(t, "node"+name, binary, "server", "--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
	}
	s.known = func(word string) string {
		node := s.nodes[strings.TrimLeft(word, "idport")]
		if strings.HasPrefix(word, "id") {
			return node.ask(t, "CLUSTER", "MYID").Text()
		}
		_, port, _ := net.SplitHostPort(node.addr)
		return port
	}
	s.play("testdata/schemas/cluster.txt")
}
