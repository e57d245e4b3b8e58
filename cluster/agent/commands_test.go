package agent

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/cluster/core"
	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/acl"
	"github.com/sextantdb/sextant/resp/client"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/session"
	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/slot"
)

// shell runs commands of the CLUSTER group as a client in MULTI would: answers come at once.
type shell struct {
	t     testing.TB
	table *command.Table
	store *store.Store
	sess  *session.Session
	host  *parkHost
}

// parkHost is a dispatch that keeps parked clients' replies.
type parkHost struct {
	replies chan func(*resp.Writer)
	gone    func()
}

func (*parkHost) Call(*command.Ctx, *command.Command, [][]byte)           {}
func (*parkHost) Notify(*command.Ctx, command.EventClass, string, []byte) {}
func (h *parkHost) Park(_ *command.Ctx, p command.Park) command.Ticket    { h.gone = p.Gone; return h }
func (h *parkHost) Finish(reply func(w *resp.Writer)) bool                { h.replies <- reply; return true }

type fakeConn struct{ command.Conn }

func (fakeConn) Addr() string      { return "127.0.0.1:1" }
func (fakeConn) LocalAddr() string { return "127.0.0.1:2" }
func (fakeConn) CloseAfterReply()  {}

func newShell(t testing.TB, a *Agent) *shell {
	table, err := command.New(nil, Commands(a))
	require.NoError(t, err)
	s, err := store.New(store.Options{})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return &shell{t: t, table: table, store: s, sess: session.New(1, acl.NewList().Default(), 0), host: &parkHost{replies: make(chan func(*resp.Writer), 1)}}
}

// run runs one command; with parked the client can wait.
func (s *shell) run(proto int, parked bool, words ...string) resp.Value {
	argv := make([][]byte, len(words))
	for i, w := range words {
		argv[i] = []byte(w)
	}
	out := resp.NewWriter(nil, proto)
	cmd, fail := s.table.Find(argv)
	if fail != "" {
		out.Error(fail)
	} else {
		var txn store.Txn
		txn.BeginAll(s.store, 1_700_000_000_000)
		c := command.Ctx{Txn: &txn, Sess: s.sess, Out: out, Host: s.host}
		if parked {
			c.Conn = fakeConn{}
		} else {
			c.Nested = 1
		}
		c.Reset(cmd, argv)
		cmd.Run(&c)
		txn.End()
		if out.Len() == 0 {
			select {
			case reply := <-s.host.replies:
				reply(out)
			case <-time.After(patience):
				s.t.Fatalf("%v: parked and not woken", words)
			}
		}
	}
	v, err := resp.NewReader(strings.NewReader(string(out.Bytes())), resp.ReadLimits{}).ReadValue()
	require.NoError(s.t, err, "%q", out.Bytes())
	return v
}

func (s *shell) do(line string) resp.Value { return s.run(2, false, strings.Fields(line)...) }

func TestClusterDisabled(t *testing.T) {
	s := newShell(t, nil)
	for _, line := range []string{"CLUSTER INFO", "CLUSTER HELP", "CLUSTER ADDSLOTS 1", "CLUSTER KEYSLOT x", "ASKING", "READONLY", "READWRITE"} {
		assert.Equal(t, "ERR This instance has cluster support disabled", s.do(line).Text(), line)
	}
	assert.Equal(t, "ERR unknown subcommand 'NOPE'. Try CLUSTER HELP.", s.do("CLUSTER NOPE").Text())
}

func TestClusterCommandErrors(t *testing.T) {
	g := newGrid(t, 1)
	s := newShell(t, g.nodes[0].Agent)
	unknown := strings.Repeat("0", 40)
	self := g.nodes[0].View().Self.String()
	for _, c := range [][2]string{
		{"CLUSTER ADDSLOTS 16384", "ERR Invalid or out of range slot"},
		{"CLUSTER ADDSLOTS x", "ERR Invalid or out of range slot"},
		{"CLUSTER ADDSLOTS 5 5", "ERR Slot 5 specified multiple times"},
		{"CLUSTER DELSLOTS 5", "ERR Slot 5 is already unassigned"},
		{"CLUSTER ADDSLOTS 1 2 3", "OK"},
		{"CLUSTER ADDSLOTS 3", "ERR Slot 3 is already busy"},
		{"CLUSTER ADDSLOTSRANGE 9 7", "ERR start slot number 9 is greater than end slot number 7"},
		{"CLUSTER ADDSLOTSRANGE 7 8 9", "ERR wrong number of arguments for 'cluster|addslotsrange' command"},
		{"CLUSTER ADDSLOTSRANGE 7 9", "OK"},
		{"CLUSTER DELSLOTSRANGE 7 9", "OK"},
		{"CLUSTER DELSLOTS 3", "OK"},
		{"CLUSTER MEET 127.0.0.1 x", "ERR Invalid base port specified: x"},
		{"CLUSTER MEET 127.0.0.1 7000 x", "ERR Invalid bus port specified: x"},
		{"CLUSTER MEET nowhere 7000", "ERR Invalid node address specified: nowhere:7000"},
		{"CLUSTER MEET 127.0.0.1 0", "ERR Invalid node address specified: 127.0.0.1:0"},
		{"CLUSTER MEET 127.0.0.1 60000", "ERR Invalid node address specified: 127.0.0.1:60000"},
		{"CLUSTER FORGET " + unknown, "ERR Unknown node " + unknown},
		{"CLUSTER FORGET " + self, "ERR I tried hard but I can't forget myself..."},
		{"CLUSTER REPLICATE x", "ERR Unknown node x"},
		{"CLUSTER REPLICATE " + self, "ERR Can't replicate myself"},
		{"CLUSTER REPLICAS x", "ERR Unknown node x"},
		{"CLUSTER COUNT-FAILURE-REPORTS x", "ERR Unknown node x"},
		{"CLUSTER COUNT-FAILURE-REPORTS " + self, "0"},
		{"CLUSTER FAILOVER NOW", "ERR syntax error"},
		{"CLUSTER FAILOVER", "ERR You should send CLUSTER FAILOVER to a replica"},
		{"CLUSTER RESET MEDIUM", "ERR syntax error"},
		{"CLUSTER SET-CONFIG-EPOCH x", "ERR value is not an integer or out of range"},
		{"CLUSTER SET-CONFIG-EPOCH -3", "ERR Invalid config epoch specified: -3"},
		{"CLUSTER SETSLOT 99999 STABLE", "ERR Invalid or out of range slot"},
		{"CLUSTER SETSLOT 1 NODE", "ERR Invalid CLUSTER SETSLOT action or number of arguments. Try CLUSTER HELP"},
		{"CLUSTER SETSLOT 1 SIDEWAYS x", "ERR Invalid CLUSTER SETSLOT action or number of arguments. Try CLUSTER HELP"},
		{"CLUSTER SETSLOT 9 MIGRATING " + unknown, "ERR I'm not the owner of hash slot 9"},
		{"CLUSTER SETSLOT 1 MIGRATING " + unknown, "ERR I don't know about node " + unknown},
		{"CLUSTER SETSLOT 1 IMPORTING " + unknown, "ERR I'm already the owner of hash slot 1"},
		{"CLUSTER SETSLOT 1 NODE " + unknown, "ERR Unknown node " + unknown},
		{"CLUSTER SETSLOT 1 STABLE", "OK"},
		{"CLUSTER COUNTKEYSINSLOT x", "ERR value is not an integer or out of range"},
		{"CLUSTER COUNTKEYSINSLOT 16384", "ERR Invalid slot"},
		{"CLUSTER COUNTKEYSINSLOT 1", "0"},
		{"CLUSTER GETKEYSINSLOT 16384 1", "ERR Invalid slot or number of keys"},
		{"CLUSTER GETKEYSINSLOT 1 -1", "ERR Invalid slot or number of keys"},
		{"CLUSTER KEYSLOT {user1000}.following", strconv.Itoa(int(slot.OfString("user1000")))},
		{"CLUSTER MYID", self},
		{"CLUSTER MYSHARDID", g.nodes[0].View().Shard.String()},
		{"CLUSTER VOTERS x", "ERR Unknown node x"},
		{"CLUSTER SAVECONFIG", "OK"},
		{"CLUSTER FLUSHSLOTS", "OK"},
		{"CLUSTER SET-CONFIG-EPOCH 7", "OK"},
		{"CLUSTER SET-CONFIG-EPOCH 8", "ERR Node config epoch is already non-zero"},
		{"ASKING", "OK"}, {"READONLY", "OK"}, {"READWRITE", "OK"},
		{"CLUSTER RESET", "OK"},
	} {
		assert.Equal(t, c[1], s.do(c[0]).Text(), c[0])
	}
	assert.True(t, s.sess.Has(session.AskingOnce))
	assert.False(t, s.sess.Has(session.ReadOnly))
	s.do("CLUSTER RESET HARD")
	assert.NotEqual(t, self, s.do("CLUSTER MYID").Text())
}

func TestClusterKeysOfASlot(t *testing.T) {
	g := newGrid(t, 1)
	s := newShell(t, g.nodes[0].Agent)
	var txn store.Txn
	txn.BeginAll(s.store, 1)
	for i := range 12 {
		txn.SetString([]byte(fmt.Sprintf("{a}%d", i)), []byte("v"), store.NoExpire)
	}
	txn.SetString([]byte("b"), []byte("v"), store.NoExpire)
	txn.End()
	at := slot.OfString("a")
	assert.Equal(t, "12", s.do(fmt.Sprintf("CLUSTER COUNTKEYSINSLOT %d", at)).Text())
	for n, want := range map[int]int{0: 0, 1: 1, 5: 5, 100: 12} {
		got := s.do(fmt.Sprintf("CLUSTER GETKEYSINSLOT %d %d", at, n))
		assert.Len(t, got.Elems, want)
		for _, k := range got.Elems {
			assert.Equal(t, at, slot.Of(k.Str))
		}
	}
	assert.Equal(t, "ERR DB must be empty to perform CLUSTER FLUSHSLOTS.", s.do("CLUSTER FLUSHSLOTS").Text())
	assert.Contains(t, s.do("CLUSTER RESET").Text(), "CLUSTER RESET can't be called with master nodes containing keys")
}

// A client that can wait is parked, and woken by the loop.
func TestAdminCommandsPark(t *testing.T) {
	g := newGrid(t, 1)
	s := newShell(t, g.nodes[0].Agent)
	assert.Equal(t, "OK", s.run(2, true, "cluster", "addslots", "7").Text())
	assert.Equal(t, "ERR Slot 7 is already busy", s.run(2, true, "cluster", "addslots", "7").Text())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	got := s.run(2, true, "cluster", "probe", "127.0.0.1", port, port)
	require.Len(t, got.Elems, 2)
	assert.Equal(t, "ok", got.Elems[0].Text())
	l.Close()
	got = s.run(2, true, "cluster", "probe", "127.0.0.1", port, port)
	assert.Equal(t, "connection refused", got.Elems[1].Text())
}

func TestForgottenCommandIsNotAnswered(t *testing.T) {
	g := newGrid(t, 1)
	m := g.nodes[0]
	called := make(chan struct{}, 1)
	// With nobody to agree with, setting voters is not answered for a while.
	forget, ok := m.Do(core.Admin{Kind: core.AdminVoters, Voters: nil}, func(core.AdminReply) { called <- struct{}{} })
	require.True(t, ok)
	<-called // an impossible set is refused at once
	forget()
	m.must(core.Admin{Kind: core.AdminSaveConfig}) // the loop has seen the forget by now
}

func TestClusterLooksInBothProtocols(t *testing.T) {
	g := newGrid(t, 6)
	g.form(3)
	g.eventually("replicas known", func() bool {
		for _, m := range g.running() {
			if len(m.View().Replicas(m.View().Me)) != 1 && m.index < 3 || m.index >= 3 && m.View().Role == 0 {
				return false
			}
		}
		return true
	})
	s := newShell(t, g.nodes[0].Agent)

	info := s.run(3, false, "CLUSTER", "INFO")
	assert.Equal(t, "txt", info.Format, "verbatim in RESP3")
	assert.Contains(t, s.do("CLUSTER INFO").Text(), "cluster_known_nodes:6\r\n")
	nodes := s.do("CLUSTER NODES").Text()
	assert.Equal(t, 6, strings.Count(nodes, "\n"))
	assert.True(t, strings.HasSuffix(nodes, "\n"))

	slots := s.do("CLUSTER SLOTS")
	require.Len(t, slots.Elems, 3)
	assert.Equal(t, "0", slots.Elems[0].Elems[0].Text())
	assert.Equal(t, "5460", slots.Elems[0].Elems[1].Text())
	require.Len(t, slots.Elems[0].Elems, 4, "start, end, primary, replica")
	assert.Equal(t, "7000", slots.Elems[0].Elems[2].Elems[1].Text())
	assert.Equal(t, "7003", slots.Elems[0].Elems[3].Elems[1].Text())

	shards := s.run(3, false, "CLUSTER", "SHARDS")
	require.Len(t, shards.Elems, 3)
	assert.Equal(t, resp.KindMap, shards.Elems[0].Kind)

	links := s.do("CLUSTER LINKS")
	assert.Len(t, links.Elems, 5)

	self := g.nodes[0].View().Self.String()
	replicas := s.do("CLUSTER REPLICAS " + self)
	require.Len(t, replicas.Elems, 1)
	assert.Contains(t, replicas.Elems[0].Text(), " slave "+self+" ")
	assert.Equal(t, replicas.Elems[0].Text(), s.do("CLUSTER SLAVES " + self).Elems[0].Text())
	assert.Equal(t, "ERR The specified node is not a master", s.do("CLUSTER REPLICAS "+g.nodes[3].View().Self.String()).Text())
	assert.NotEmpty(t, s.do("CLUSTER VOTERS").Elems)

	t.Run("against a real Redis cluster", func(t *testing.T) { compareWithRedis(t, s) })
}

// compareWithRedis holds the shapes of our replies against those of a real cluster of six.
func compareWithRedis(t *testing.T, ours *shell) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("no redis-server")
	}
	var addrs []string
	for len(addrs) < 6 {
		p := 20000 + rand.IntN(1300)*2
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(p+10000))
		if err != nil {
			continue
		}
		l.Close()
		cmd := exec.Command("redis-server", "--port", strconv.Itoa(p), "--bind", "127.0.0.1", "--cluster-enabled", "yes", "--dir", t.TempDir(), "--save", "")
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		lines := bufio.NewScanner(out)
		ready := false
		for !ready && lines.Scan() {
			ready = strings.Contains(lines.Text(), "Ready to accept connections")
		}
		if ready {
			addrs = append(addrs, "127.0.0.1:"+strconv.Itoa(p))
		}
	}
	args := append(append([]string{"--cluster", "create"}, addrs...), "--cluster-replicas", "1", "--cluster-yes")
	out, err := exec.Command("redis-cli", args...).CombinedOutput()
	require.NoError(t, err, string(out))
	for _, proto := range []int{2, 3} {
		c, err := client.Dial(t.Context(), addrs[0], client.Options{Proto: proto, IOTimeout: patience})
		require.NoError(t, err)
		defer c.Close()
		require.Eventually(t, func() bool { // redis-cli is done before all know who follows whom
			v, err := c.Do("CLUSTER", "NODES")
			return err == nil && strings.Count(v.Text(), " slave ") == 3 && strings.Count(v.Text(), " connected") == 6
		}, patience, 20*time.Millisecond)
		for _, line := range []string{"CLUSTER SLOTS", "CLUSTER SHARDS", "CLUSTER LINKS", "CLUSTER NODES", "CLUSTER INFO", "CLUSTER MYID",
			"CLUSTER KEYSLOT foo", "CLUSTER COUNTKEYSINSLOT 5", "CLUSTER GETKEYSINSLOT 5 5", "CLUSTER SAVECONFIG", "CLUSTER HELP"} {
			theirs, err := c.Do(strings.Fields(line)...)
			require.NoError(t, err)
			if strings.HasPrefix(line, "CLUSTER INFO") || strings.HasPrefix(line, "CLUSTER NODES") {
				assert.Equal(t, theirs.Kind, ours.run(proto, false, strings.Fields(line)...).Kind, line)
				continue
			}
			assert.Equal(t, shape(theirs), shape(ours.run(proto, false, strings.Fields(line)...)), "%s in RESP%d", line, proto)
		}
		theirs, err := c.Do("CLUSTER", "NODES")
		require.NoError(t, err)
		assert.Equal(t, pattern(theirs.Text()), pattern(ours.run(proto, false, "CLUSTER", "NODES").Text()))
		theirs, err = c.Do("CLUSTER", "INFO")
		require.NoError(t, err)
		have := ours.run(proto, false, "CLUSTER", "INFO").Text()
		for _, l := range strings.Split(theirs.Text(), "\r\n") {
			if name, _, ok := strings.Cut(l, ":"); ok && !strings.Contains(name, "stats_messages_") {
				assert.Contains(t, have, name+":")
			}
		}
	}
}

// shape renders the kinds of a reply; elements of the same shape stand once, so that clusters of
// other numbers and orders compare equal. Keys of maps are shown.
func shape(v resp.Value) string {
	if len(v.Elems) == 0 {
		return fmt.Sprint(v.Kind)
	}
	seen := map[string]bool{}
	var parts []string
	for _, e := range v.Elems {
		s := shape(e)
		if e.Kind == resp.KindBulk && word.MatchString(e.Text()) && !states[e.Text()] {
			s = e.Text()
		}
		if !seen[s] {
			seen[s] = true
			parts = append(parts, s)
		}
	}
	sort.Strings(parts)
	return fmt.Sprintf("%v[%s]", v.Kind, strings.Join(parts, " "))
}

var (
	word   = regexp.MustCompile(`^[a-z][a-z-]{1,25}$`)
	states = map[string]bool{"online": true, "loading": true, "fail": true, "master": true, "replica": true, "r": true, "rw": true, "from": true, "to": true}
	number = regexp.MustCompile(`\d+`)
	hexID  = regexp.MustCompile(`[0-9a-f]{40}`)
)

// pattern is the sorted set of forms of lines of CLUSTER NODES.
func pattern(text string) []string {
	seen := map[string]bool{}
	var out []string
	for _, l := range strings.Split(text, "\n") {
		l = number.ReplaceAllString(hexID.ReplaceAllString(l, "ID"), "N")
		if !seen[l] {
			seen[l] = true
			out = append(out, l)
		}
	}
	sort.Strings(out)
	return out
}
