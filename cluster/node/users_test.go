package node

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/integration/proc"
)

// as is a client of user name.
func (s *testNode) as(name string) *client {
	c := s.dial()
	require.Equal(s.t, "OK", c.do("AUTH", name, "pw"))
	return c
}

func TestRulesBindTheNextCall(t *testing.T) {
	t.Parallel()
	s := serve(t)
	c := s.dial()
	require.Equal(t, "OK", c.do("ACL", "SETUSER", "u", "on", ">pw", "+@all", "-@admin", "~a*", "%R~r", "resetchannels", "&news"))
	u := s.as("u")
	require.Equal(t, "u", u.do("ACL", "WHOAMI"))
	require.Equal(t, "OK", u.do("SET", "a1", "x"))
	require.Equal(t, "-NOPERM No permissions to access a key", u.do("SET", "b", "x"))
	require.Equal(t, "(nil)", u.do("GET", "r"))
	require.Equal(t, "-NOPERM No permissions to access a key", u.do("COPY", "a1", "r"))
	require.Equal(t, "-NOPERM User u has no permissions to run the 'config|get' command", u.do("CONFIG", "GET", "port"))
	require.Equal(t, "0", u.do("PUBLISH", "news", "x"))
	require.Equal(t, "-NOPERM No permissions to access a channel", u.do("PSUBSCRIBE", "news*"))
	require.Equal(t, "-ERR BY option of SORT denied due to insufficient ACL permissions.", u.do("SORT", "a1", "BY", "x*"))
	require.Contains(t, u.do("EVAL", "return redis.call('get', 'b')", "0"), "-NOPERM ACL failure in script: No permissions to access a key")
	require.Equal(t, "1", u.do("EVAL", "return redis.acl_check_cmd('get', 'a1') and not redis.acl_check_cmd('set', 'r', 'x') and 1", "0"))

	require.Equal(t, "OK", u.do("MULTI"))
	require.Equal(t, "QUEUED", u.do("SET", "a2", "x"))
	require.Equal(t, "QUEUED", u.do("GET", "a2"))
	require.Equal(t, "OK", c.do("ACL", "SETUSER", "u", "-set"))
	got := u.do("EXEC")
	require.Contains(t, got, "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is no longer allowed for the following reason: no permission to execute the command or subcommand")
	require.Equal(t, "(nil)", c.do("GET", "a2"))
	require.Equal(t, "-NOPERM User u has no permissions to run the 'set' command", u.do("SET", "a1", "x"))

	log := c.do("ACL", "LOG", "1")
	require.Contains(t, log, "reason command context toplevel object set username u")
	require.Contains(t, log, "cmd=set user=u")
	require.Equal(t, "3", c.info("acl_access_denied_key"), "acl_check_cmd only asks")
	require.Equal(t, "3", c.info("acl_access_denied_cmd"))
	require.Equal(t, "1", c.info("acl_access_denied_channel"))
	require.Equal(t, "User u has no permissions to access the 'b' key", c.do("ACL", "DRYRUN", "u", "GET", "b"))
	require.Equal(t, "OK", c.do("ACL", "DRYRUN", "u", "GET", "a"))
}

func TestWhoLosesTheConnection(t *testing.T) {
	t.Parallel()
	s := serve(t)
	c := s.dial()
	require.Equal(t, "OK", c.do("ACL", "SETUSER", "u", "on", ">pw", "+@all", "~*", "&a*"))
	listener, idle, self := s.as("u"), s.as("u"), s.as("u")
	require.Contains(t, listener.do("SUBSCRIBE", "a1"), "subscribe a1 1")
	require.Equal(t, "OK", c.do("ACL", "SETUSER", "u", "&b"))
	require.Contains(t, listener.do("SUBSCRIBE", "b"), "subscribe b 2")
	require.Equal(t, "OK", c.do("ACL", "SETUSER", "u", "resetchannels", "&b"))
	listener.closed()
	require.Equal(t, "PONG", idle.do("PING"), "who has no subscriptions stays")
	require.Equal(t, "OK", c.do("ACL", "SETUSER", "u", "off"))
	require.Equal(t, "PONG", idle.do("PING"), "off keeps others from coming")
	require.Contains(t, s.dial().do("AUTH", "u", "pw"), "-WRONGPASS")
	require.Equal(t, "1", self.do("ACL", "DELUSER", "u"), "the caller gets its reply")
	self.closed()
	idle.closed()
	require.Equal(t, "-ERR The 'default' user cannot be removed", c.do("ACL", "DELUSER", "default"))
}

func TestUsersInTheConfigurationAndInAFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	conf := write(t, dir, "redis.conf", "user alice on nopass ~x +get (~y +set)\nuser default on nopass ~* &* +@all -debug\n")
	cfg, err := Load([]string{conf}, dir, strings.NewReader(""))
	require.NoError(t, err)
	require.Len(t, cfg.Users, 2)
	for text, want := range map[string]string{
		"\nuser a on\nuser a on":   "at line 3\n>>> 'user a on'\nError in user declaration 'a': Duplicate user found. A user can only be defined once in config files\n",
		"user a on what":           "at line 1\n>>> 'user a on what'\nError in user declaration 'what': Syntax error\n",
		"# comment\nuser a (~x on": "at line 2\n>>> 'user a (~x on'\nError in user declaration 'a': Unmatched parenthesis in acl selector starting at '(~x'.\n",
	} {
		_, err := Load([]string{write(t, dir, "bad.conf", text)}, dir, strings.NewReader(""))
		require.ErrorContains(t, err, want)
	}

	file := filepath.Join(dir, "users.acl")
	write(t, dir, "users.acl", "user alice on >pw ~x +get\n")
	s := build(t, dir, proc.FreePort(t), "aclfile", file)
	require.NoError(t, s.Start())
	c := s.dial()
	a := s.as("alice")
	require.Equal(t, "(nil)", a.do("GET", "x"))
	write(t, dir, "users.acl", "user alice on >pw ~y +get\nuser alice on\n")
	require.Equal(t, "-ERR WARNING: Duplicate user 'alice' found on line 2. WARNING: ACL errors detected, no change to the previously active ACL rules was performed", c.do("ACL", "LOAD"))
	require.Equal(t, "(nil)", a.do("GET", "x"))
	write(t, dir, "users.acl", "user alice on >pw ~y +get\nuser bob\n")
	require.Equal(t, "OK", c.do("ACL", "LOAD"))
	require.Equal(t, "-NOPERM No permissions to access a key", a.do("GET", "x"), "a client goes by the new file at once")
	require.Equal(t, "1", c.do("ACL", "DELUSER", "bob"))
	require.Equal(t, "OK", c.do("ACL", "SAVE"))
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "user alice on sanitize-payload #30c952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170c4 ~y resetchannels -@all +get\n"+
		"user default on nopass sanitize-payload ~* &* +@all\n", string(text))
}

func TestRewriteKeepsUsers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	port := proc.FreePort(t)
	conf := write(t, dir, "redis.conf", "bind 127.0.0.1\nport "+strconv.Itoa(port)+"\ndir "+dir+"\n# people\nuser alice on nopass ~x +get\nuser gone on\n")
	p := spawn(t, nil, conf)
	p.port = port
	eventually(t, func() bool { return strings.Contains(p.Out.String(), "Ready to accept connections tcp") }, "ready")
	c := p.dial()
	require.Equal(t, "1", c.do("ACL", "DELUSER", "gone"))
	require.Equal(t, "OK", c.do("ACL", "SETUSER", "zoe", "on", "(~z +set)"))
	require.Equal(t, "OK", c.do("CONFIG", "REWRITE"))
	text, err := os.ReadFile(conf)
	require.NoError(t, err)
	require.Contains(t, string(text), "# people\nuser alice on nopass sanitize-payload ~x resetchannels -@all +get\nuser default on nopass sanitize-payload ~* &* +@all\n")
	require.Contains(t, string(text), "\nuser zoe on sanitize-payload resetchannels -@all (~z resetchannels -@all +set)\n")
	require.NotContains(t, string(text), "gone")
}

// TestRulesChangeWhileClientsRun is for the race detector, and says that a client never gets anything but
// what one of the versions allows.
func TestRulesChangeWhileClientsRun(t *testing.T) {
	t.Parallel()
	s := serve(t, "io-threads", "2")
	c := s.dial()
	require.Equal(t, "OK", c.do("ACL", "SETUSER", "u", "on", ">pw", "+@all", "~*", "&*"))
	var group sync.WaitGroup
	stop := make(chan struct{})
	for i := range 4 {
		u := s.as("u")
		if i == 0 {
			require.Contains(t, u.do("SUBSCRIBE", "ch"), "subscribe ch 1")
			continue
		}
		group.Add(1)
		go func() {
			defer group.Done()
			for {
				select {
				case <-stop:
					return
				default:
				}
				switch got := u.do("SET", "k", "v"); got {
				case "OK", "-NOPERM No permissions to access a key", "-NOPERM User u has no permissions to run the 'set' command":
				default:
					t.Errorf("SET answered %q", got)
					return
				}
			}
		}()
	}
	for range 300 {
		require.Equal(t, "OK", c.do("ACL", "SETUSER", "u", "-@write"))
		require.Equal(t, "OK", c.do("ACL", "SETUSER", "u", "+@write", "resetkeys", "~x"))
		require.Equal(t, "OK", c.do("ACL", "SETUSER", "u", "~*", "+@all", "resetchannels", "&ch"))
		require.Equal(t, "OK", c.do("ACL", "SETUSER", "u", "&*"))
		c.do("ACL", "LIST")
		c.do("ACL", "LOG")
	}
	close(stop)
	group.Wait()
}
