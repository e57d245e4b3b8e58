package conn_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp/acl"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/command/commandtest"
	"github.com/sextantdb/sextant/resp/command/conn"
	"github.com/sextantdb/sextant/resp/command/str"
	"github.com/sextantdb/sextant/resp/command/txn"
	"github.com/sextantdb/sextant/resp/session"
)

// users is a list with one more user than the default one.
type users struct{ *acl.List }

func (u users) Get(name string) *acl.Account {
	if name == acl.DefaultName {
		return u.Default()
	}
	return nil
}

// clients is a registry of made-up clients that notes what is asked of it.
type clients struct {
	all   []conn.Info
	notes []string
}

func (c *clients) note(words ...string) { c.notes = append(c.notes, strings.Join(words, " ")) }

func (c *clients) Each(f func(*conn.Info) bool) {
	for i := range c.all {
		if !f(&c.all[i]) {
			return
		}
	}
}

func (c *clients) Get(id int64, info *conn.Info) bool {
	for _, i := range c.all {
		if i.Sess.ID == id {
			*info = i
			return true
		}
	}
	return false
}

func (c *clients) Kill(id int64) bool {
	c.note("kill", string(rune('0'+id)))
	return true
}

func (c *clients) Unblock(id int64, withError bool) bool {
	c.note("unblock", map[bool]string{true: "error", false: "timeout"}[withError])
	return id == 2
}

func (c *clients) Pause(untilMs int64, writesOnly bool) {
	c.note("pause", map[bool]string{true: "writes", false: "all"}[writesOnly], map[bool]string{true: "100 ms"}[untilMs == commandtest.Epoch+100])
}

func (c *clients) Unpause()                               { c.note("unpause") }
func (c *clients) Reset(*command.Ctx)                     { c.note("reset") }
func (c *clients) AuthFailed(_ *command.Ctx, user []byte) { c.note("refused", string(user)) }

type bench struct {
	*commandtest.Bench
	clients *clients
	users   users
}

func newBench(t testing.TB, change func(*conn.Deps)) bench {
	b := bench{clients: &clients{}, users: users{acl.NewList()}}
	d := conn.Deps{
		Clients: b.clients, Users: b.users, Databases: 16,
		Node: conn.Node{Version: "7.2.4", Mode: "standalone", Role: func() string { return "master" }},
	}
	if change != nil {
		change(&d)
	}
	b.Bench = commandtest.New(t, conn.Commands(d))
	return b
}

// said runs a call and returns what a RESP2 client sees, on one line per reply.
func said(c *commandtest.Client, call string) string {
	first, _, _ := strings.Cut(c.Do(strings.Fields(call)...).String(), "\n")
	return first
}

func TestWordsOfOneConnection(t *testing.T) {
	b := newBench(t, nil)
	c := b.Client(0)
	for _, step := range [][2]string{
		{"PING", "PONG"},
		{"PING hello", `"hello"`},
		{"PING a b", "-ERR wrong number of arguments for 'ping' command"},
		{"ECHO hello", `"hello"`},
		{"SELECT 15", "OK"},
		{"SELECT 16", "-ERR DB index is out of range"},
		{"SELECT -1", "-ERR DB index is out of range"},
		{"SELECT x", "-ERR value is not an integer or out of range"},
		{"AUTH x", "-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?"},
		{"AUTH default x", "OK"},
		{"AUTH nobody x", "-WRONGPASS invalid username-password pair or user is disabled."},
		{"AUTH a b c", "-ERR syntax error"},
		{"CLIENT GETNAME", "nil"},
		{"CLIENT SETNAME me", "OK"},
		{"CLIENT GETNAME", `"me"`},
		{"CLIENT SETNAME a\tb", "-ERR wrong number of arguments for 'client|setname' command"},
		{"CLIENT SETNAME ä", "-ERR Client names cannot contain spaces, newlines or special characters."},
		{"CLIENT SETINFO lib-name go", "OK"},
		{"CLIENT SETINFO LIB-VER 1.2", "OK"},
		{"CLIENT SETINFO lib-ver ä", "-ERR lib-ver cannot contain spaces, newlines or special characters."},
		{"CLIENT SETINFO lib x", "-ERR Unrecognized option 'lib'"},
		{"CLIENT ID", "1"},
		{"CLIENT NO-EVICT on", "OK"},
		{"CLIENT NO-TOUCH on", "OK"},
		{"CLIENT NO-TOUCH maybe", "-ERR syntax error"},
		{"CLIENT REPLY maybe", "-ERR syntax error"},
		{"CLIENT REPLY ON", "OK"},
		{"CLIENT UNPAUSE", "OK"},
		{"CLIENT PAUSE 100", "OK"},
		{"CLIENT PAUSE 100 write", "OK"},
		{"CLIENT PAUSE 0 ALL", "OK"},
		{"CLIENT PAUSE x", "-ERR timeout is not an integer or out of range"},
		{"CLIENT PAUSE -1", "-ERR timeout is negative"},
		{"CLIENT PAUSE 9223372036854775807", "-ERR timeout is out of range"},
		{"CLIENT PAUSE 1 some", "-ERR CLIENT PAUSE mode must be WRITE or ALL"},
		{"CLIENT UNBLOCK 2", "1"},
		{"CLIENT UNBLOCK 3 ERROR", "0"},
		{"CLIENT UNBLOCK 2 never", "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"},
		{"CLIENT UNBLOCK x", "-ERR value is not an integer or out of range"},
		{"CLIENT NOSUCH", "-ERR unknown subcommand 'NOSUCH'. Try CLIENT HELP."},
		{"HELLO x", "-ERR Protocol version is not an integer or out of range"},
		{"HELLO 4", "-NOPROTO unsupported protocol version"},
		{"HELLO 2 NONSENSE", "-ERR Syntax error in HELLO option 'NONSENSE'"},
		{"HELLO 2 AUTH default", "-ERR Syntax error in HELLO option 'AUTH'"},
		{"HELLO 2 AUTH nobody x", "-WRONGPASS invalid username-password pair or user is disabled."},
		{"HELLO 2 SETNAME ä", "-ERR Client names cannot contain spaces, newlines or special characters."},
	} {
		require.Equal(t, step[1], said(c, step[0]), step[0])
	}
	// The bench runs each call on two sides; the second one sees AUTH's words redacted already.
	notes := slices.DeleteFunc(slices.Compact(b.clients.notes), func(n string) bool { return strings.Contains(n, "redacted") })
	require.Equal(t, []string{
		"refused nobody", "unpause", "pause all 100 ms", "pause writes 100 ms", "unblock timeout", "unblock error", "refused nobody",
	}, notes)
	name, version := c.Session().Lib()
	require.Equal(t, "go 1.2", name+" "+version)
	require.True(t, c.Session().Has(session.NoEvict|session.NoTouch))
	require.Contains(t, c.Do("CLIENT", "HELP").String(), "CLIENT <subcommand>")
}

// run runs a call on the RESP2 side without looking at the reply.
func run(b bench, c *commandtest.Client, words ...string) {
	argv := make([][]byte, len(words))
	for i, w := range words {
		argv[i] = []byte(w)
	}
	cmd, _ := b.Table.Find(argv)
	c.Side().Run(cmd, argv, b.Now)
}

func TestHelloAndReset(t *testing.T) {
	b := newBench(t, nil)
	c := b.Client(0)
	c.Do("SELECT", "3")
	got := c.Do("HELLO", "2", "AUTH", "default", "x", "SETNAME", "me").String()
	for _, field := range []string{"server", "redis", "version", "7.2.4", "proto", "mode", "standalone", "role", "master", "modules"} {
		require.Contains(t, got, field)
	}
	require.Equal(t, "me", c.Session().Name())
	run(b, c, "HELLO", "3")
	require.Equal(t, 3, c.Session().Proto())

	c.Do("CLIENT", "NO-TOUCH", "ON")
	c.Session().Set(session.Multi | session.ReadOnly)
	// The other side of the bench is not in MULTI; the replies agree all the same.
	require.Equal(t, "RESET", said(c, "RESET"))
	s := c.Session()
	require.Equal(t, 2, s.Proto())
	require.Zero(t, s.DB())
	require.Empty(t, s.Name())
	require.False(t, s.Any(session.Multi|session.ReadOnly|session.NoTouch))
	require.NotNil(t, s.User())
	require.Contains(t, b.clients.notes, "reset")

	b.users.RequirePass("secret")
	require.Equal(t, "RESET", said(c, "RESET"))
	require.Nil(t, s.User(), "with a password RESET ends the authentication")
	require.True(t, strings.HasPrefix(said(c, "HELLO 3"), "-NOAUTH HELLO must be called with the client already authenticated"))
	require.Equal(t, 2, s.Proto())
	require.Equal(t, "-WRONGPASS invalid username-password pair or user is disabled.", said(c, "AUTH wrong"))
	require.Equal(t, "OK", said(c, "AUTH secret"))
	require.NotNil(t, s.User())

	require.Equal(t, "-ERR can only reset normal client connections", said(b.Client(session.Replica), "RESET"))
}

// What follows a SELECT in the same transaction works on the new database.
func TestSelectInsideATransaction(t *testing.T) {
	d := conn.Deps{
		Clients: &clients{}, Users: users{acl.NewList()}, Databases: 16,
		Node: conn.Node{Version: "7.2.4", Mode: "standalone", Role: func() string { return "master" }},
	}
	no := func() bool { return false }
	b := commandtest.New(t, conn.Commands(d), txn.Commands(), str.Commands(str.Options{MaxBulk: func() int64 { return 1 << 20 }, LazyExpire: no}))
	c := b.Client(0)
	for _, call := range []string{"SET k zero", "MULTI", "SELECT 5", "SET k five", "GET k", "SELECT 0", "GET k"} {
		c.Do(strings.Fields(call)...)
	}
	got := c.Do("EXEC").String()
	require.Contains(t, got, `[OK, OK, "five", OK, "zero"]`)
	require.Contains(t, got, "5 ~ SET k five")
}

func TestReplyModes(t *testing.T) {
	b := newBench(t, nil)
	c := b.Client(0)
	run(b, c, "CLIENT", "REPLY", "SKIP")
	require.True(t, c.Session().Has(session.ReplySkip))
	run(b, c, "CLIENT", "REPLY", "OFF")
	require.True(t, c.Session().Has(session.ReplyOff))
	c.Session().Clear(session.ReplySkip)
	run(b, c, "CLIENT", "REPLY", "SKIP")
	require.False(t, c.Session().Has(session.ReplySkip), "nothing to skip while replies are off")
	run(b, c, "CLIENT", "REPLY", "ON")
	require.False(t, c.Session().Any(session.ReplyOff))
}

func TestPingOfASubscribedClient(t *testing.T) {
	b := newBench(t, nil)
	c := b.Client(session.Subscribed)
	r := c.Do("PING", "x")
	require.Equal(t, `["pong", "x"]`, strings.Split(r.String(), "\n")[0])
	require.Contains(t, r.String(), `3 "x"`, "a RESP3 client gets the plain answer")
}

func TestClusterModeHasOneDatabase(t *testing.T) {
	b := newBench(t, func(d *conn.Deps) { d.ClusterMode, d.Databases = true, 1 })
	c := b.Client(0)
	require.Equal(t, "OK", said(c, "SELECT 0"))
	require.Equal(t, "-ERR SELECT is not allowed in cluster mode", said(c, "SELECT 1"))
}

// made adds a client to the registry.
func (b bench) made(id int64, f session.Flags, change func(*conn.Info)) *session.Session {
	s := session.New(id, b.users.Default(), f)
	info := conn.Info{Sess: s, Addr: "1.1.1.1:" + string(rune('0'+id)), LocalAddr: "2.2.2.2:6379", FD: 7}
	if change != nil {
		change(&info)
	}
	b.clients.all = append(b.clients.all, info)
	return s
}

func TestClientListLine(t *testing.T) {
	b := newBench(t, nil)
	c := b.Client(0)
	b.made(1, session.Unix|session.ReadOnly|session.Multi|session.Blocked|session.DirtyCAS|session.NoEvict|session.NoTouch, func(i *conn.Info) {
		i.AgeSeconds, i.IdleSeconds = 10, 5
		i.Channels, i.Patterns, i.ShardChannels = 1, 2, 3
		i.QueryBytes, i.QueryFree, i.ArgvBytes = 4, 5, 6
		i.ReplyBufBytes, i.ReplyPeakBytes, i.OutBytes, i.QueuedReplies, i.QueuedBytes, i.TotalBytes = 7, 8, 9, 10, 11, 12
		i.WantsWrite, i.Closing = true, true
		i.Sess.Select(3)
		i.Sess.SetName("n")
		i.Sess.SetLibName("lib")
		i.Sess.SetLibVersion("1")
		last := "client|list"
		i.Sess.SetLastCommand(&last)
	})
	require.Equal(t, "id=1 addr=1.1.1.1:1 laddr=2.2.2.2:6379 fd=7 name=n age=10 idle=5 flags=xbdAUreT db=3 sub=1 psub=2 ssub=3 multi=0 "+
		"qbuf=4 qbuf-free=5 argv-mem=6 multi-mem=0 rbs=7 rbp=8 obl=9 oll=10 omem=11 tot-mem=12 events=rw cmd=client|list user=default "+
		"redir=-1 resp=2 lib-name=lib lib-ver=1\n", string(c.Do("CLIENT", "LIST").Reply.Str))
	require.Equal(t, c.Do("CLIENT", "LIST").Reply.Str, c.Do("CLIENT", "INFO").Reply.Str)
	require.Equal(t, c.Do("CLIENT", "LIST").Reply.Str, c.Do("CLIENT", "LIST", "ID", "5", "1").Reply.Str)

	b.made(2, session.Subscribed, nil)
	b.made(3, session.Replica, nil)
	b.made(4, session.Replica|session.Monitor, nil)
	b.made(5, session.Primary, nil)
	for kind, ids := range map[string]string{"normal": "1 4", "pubsub": "2", "slave": "3", "replica": "3", "master": "5"} {
		var got []string
		for line := range strings.Lines(string(c.Do("CLIENT", "LIST", "TYPE", kind).Reply.Str)) {
			got = append(got, strings.TrimPrefix(strings.Fields(line)[0], "id="))
		}
		require.Equal(t, ids, strings.Join(got, " "), kind)
	}
	require.Contains(t, string(c.Do("CLIENT", "LIST", "ID", "4").Reply.Str), "flags=O ")
	require.Contains(t, string(c.Do("CLIENT", "LIST", "ID", "2").Reply.Str), "flags=P db=0 sub=0 psub=0 ssub=0 multi=-1 ")
	require.Contains(t, string(c.Do("CLIENT", "LIST", "ID", "2").Reply.Str), " cmd=NULL ")
	require.Equal(t, "-ERR Unknown client type 'odd'", said(c, "CLIENT LIST TYPE odd"))
	require.Equal(t, "-ERR Invalid client ID", said(c, "CLIENT LIST ID x"))
	require.Equal(t, "-ERR syntax error", said(c, "CLIENT LIST TYPE"))
	require.Equal(t, "-ERR syntax error", said(c, "CLIENT LIST NONSENSE x y"))
}

func TestClientKill(t *testing.T) {
	b := newBench(t, nil)
	c := b.Client(0) // id 1
	b.made(1, 0, nil)
	b.made(2, 0, nil)
	b.made(3, session.Subscribed, func(i *conn.Info) { i.LocalAddr = "3.3.3.3:1" })
	b.made(4, session.Replica, nil).SetAccount(nil)
	for _, step := range []struct{ call, reply, killed string }{
		{"CLIENT KILL 1.1.1.1:2", "OK", "kill 2"},
		{"CLIENT KILL 9.9.9.9:2", "-ERR No such client", ""},
		{"CLIENT KILL ID 2", "1", "kill 2"},
		{"CLIENT KILL ID 1", "0", ""},
		{"CLIENT KILL ADDR 1.1.1.1:3 LADDR 3.3.3.3:1", "1", "kill 3"},
		{"CLIENT KILL ADDR 1.1.1.1:2 LADDR 3.3.3.3:1", "0", ""},
		{"CLIENT KILL TYPE pubsub", "1", "kill 3"},
		{"CLIENT KILL USER default", "2", "kill 2,kill 3"},
		{"CLIENT KILL USER default SKIPME yes ID 3", "1", "kill 3"},
		{"CLIENT KILL MAXAGE 0", "-ERR maxage should be greater than 0", ""},
		{"CLIENT KILL MAXAGE x", "-ERR maxage is not an integer or out of range", ""},
		{"CLIENT KILL MAXAGE 1000000", "0", ""},
		{"CLIENT KILL USER nobody", "-ERR No such user 'nobody'", ""},
		{"CLIENT KILL ID 0", "-ERR client-id should be greater than 0", ""},
		{"CLIENT KILL ID x", "-ERR client-id should be greater than 0", ""},
		{"CLIENT KILL TYPE odd", "-ERR Unknown client type 'odd'", ""},
		{"CLIENT KILL SKIPME maybe", "-ERR syntax error", ""},
		{"CLIENT KILL ID 1 ADDR", "-ERR syntax error", ""},
		{"CLIENT KILL ID 1 SKIPME no", "1", ""},
	} {
		b.clients.notes = nil
		require.Equal(t, step.reply, said(c, step.call), step.call)
		notes := b.clients.notes
		require.Equal(t, step.killed, strings.Join(notes[:len(notes)/2], ","), step.call)
	}
	require.True(t, c.Session().Has(session.Closing), "killing oneself closes after the reply")
	require.Equal(t, "OK", said(b.Client(0), "QUIT"))
}

func TestPasswordsAreKeptOutOfTheLogs(t *testing.T) {
	b := newBench(t, nil)
	side := b.Client(0).Side()
	argv := [][]byte{[]byte("AUTH"), []byte("default"), []byte("x")}
	side.Run(b.Table.Get("auth"), argv, b.Now)
	require.Equal(t, "AUTH (redacted) (redacted)", string(argv[0])+" "+string(argv[1])+" "+string(argv[2]))
	argv = [][]byte{[]byte("HELLO"), []byte("3"), []byte("AUTH"), []byte("default"), []byte("x")}
	side.Run(b.Table.Get("hello"), argv, b.Now)
	require.Equal(t, "(redacted) (redacted)", string(argv[3])+" "+string(argv[4]))
}

func TestFrequentCommandsDoNotAllocate(t *testing.T) {
	b := newBench(t, nil)
	side := b.Client(0).Side()
	for _, words := range [][][]byte{
		{[]byte("PING")}, {[]byte("ECHO"), []byte("hello")}, {[]byte("SELECT"), []byte("3")},
	} {
		cmd := b.Table.Get(string(words[0]))
		side.Run(cmd, words, b.Now)
		require.Zero(t, testing.AllocsPerRun(100, func() { side.Run(cmd, words, b.Now) }), "%s", words[0])
	}
}
