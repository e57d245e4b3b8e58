package node

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	busyScript   = "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
	busyFunction = "-BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE."
	endless      = "while true do end"
)

// slow starts what does not end on c and returns when others are told so. Of eight connections dealt over the loops some
// share the script's and some do not.
func slow(t *testing.T, s *testNode, busy string, c *client, words ...string) []*client {
	t.Helper()
	others := make([]*client, 8)
	for i := range others {
		others[i] = s.dial()
		require.Equal(t, "PONG", others[i].do("PING"))
	}
	c.send(words...)
	for _, o := range others {
		eventually(t, func() bool { return o.do("GET", "other") == busy }, "%v: nobody is told BUSY", words)
	}
	return others
}

func scriptNode(t *testing.T) *testNode {
	return serve(t, "io-threads", "2", "busy-reply-threshold", "5")
}

func TestSlowScriptIsKilledFromEveryLoop(t *testing.T) {
	s := scriptNode(t)
	assert.Equal(t, "-NOTBUSY No scripts in execution right now.", s.dial().do("SCRIPT", "KILL"))
	runner := s.dial()
	for i := range 8 {
		others := slow(t, s, busyScript, runner, "EVAL", endless, "1", "key")
		for _, o := range others {
			assert.Equal(t, busyScript, o.do("PING"))
			assert.Equal(t, busyScript, o.do("SET", "key", "v"))
		}
		newcomer := s.dial()
		assert.Equal(t, busyScript, newcomer.do("GET", "key"))
		assert.True(t, strings.HasPrefix(newcomer.do("FUNCTION", "KILL"), "-BUSY"), "it is not a function")
		assert.Equal(t, "OK", others[i].do("SCRIPT", "KILL"))
		assert.Contains(t, runner.read(), "Script killed by user with SCRIPT KILL")
		for _, o := range others {
			assert.Equal(t, "PONG", o.do("PING"))
			_ = o.Close()
		}
		assert.Equal(t, "OK", newcomer.do("SET", "key", "v"))
	}
}

func TestSlowFunctionIsKilled(t *testing.T) {
	s := scriptNode(t)
	runner := s.dial()
	require.Equal(t, "lib", runner.do("FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('f', function() "+endless+" end)"))
	others := slow(t, s, busyFunction, runner, "FCALL", "f", "0")
	assert.True(t, strings.HasPrefix(others[0].do("SCRIPT", "KILL"), "-BUSY"), "it is not a script")
	assert.Contains(t, others[0].do("FUNCTION", "STATS"), "[name f command [FCALL f 0] duration_ms ")
	assert.Equal(t, "OK", others[1].do("FUNCTION", "KILL"))
	assert.Contains(t, runner.read(), "Script killed by user with FUNCTION KILL")
	assert.Equal(t, "PONG", others[2].do("PING"))
}

func TestSlowScriptThatWroteCannotBeKilled(t *testing.T) {
	s := scriptNode(t)
	runner := s.dial()
	// It ends by itself when its time is up: nothing else could end it and leave the node alive.
	others := slow(t, s, busyScript, runner, "EVAL", `redis.call('SET', KEYS[1], 'v')
		local n = 0
		for i = 1, 40000000 do n = n + i end
		return 'whole'`, "1", "key")
	assert.True(t, strings.HasPrefix(others[0].do("SCRIPT", "KILL"), "-UNKILLABLE "))
	assert.True(t, strings.HasPrefix(others[1].do("SCRIPT", "KILL"), "-UNKILLABLE "))
	assert.Equal(t, "whole", runner.read())
	assert.Equal(t, "v", others[0].do("GET", "key"))
}

func TestShutdownEndsASlowScriptThatWrote(t *testing.T) {
	p := launch(t, t.TempDir(), "--save", "", "--io-threads", "2", "--busy-reply-threshold", "5")
	runner, other := p.dial(), p.dial()
	runner.send("EVAL", "redis.call('SET', KEYS[1], 'v') "+endless, "1", "key")
	eventually(t, func() bool { return other.do("PING") == busyScript }, "nobody is told BUSY")
	other.send("SHUTDOWN", "NOSAVE")
	assert.Equal(t, 0, p.code())
}

func TestTransactionsAndSlowScripts(t *testing.T) {
	const aborted = "-EXECABORT Transaction discarded because of previous errors."
	for _, c := range []struct {
		name                 string
		before, during, then []string // requests, and after "=" their reply
	}{
		{"begun meanwhile", nil,
			[]string{"MULTI=OK", "INCR key=" + busyScript}, []string{"INCR key=QUEUED", "EXEC=" + aborted}},
		{"its body meanwhile", []string{"MULTI=OK", "INCR key=QUEUED"},
			[]string{"INCR key=" + busyScript}, []string{"EXEC=" + aborted}},
		{"executed meanwhile", []string{"MULTI=OK", "INCR key=QUEUED"},
			[]string{"EXEC=-EXECABORT Transaction discarded because of: " + busyScript[1:]}, []string{"EXEC=-ERR EXEC without MULTI"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := scriptNode(t)
			clients := []*client{s.dial(), s.dial(), s.dial(), s.dial()} // on both loops
			play := func(lines []string) {
				for _, line := range lines {
					words, want, _ := strings.Cut(line, "=")
					for _, o := range clients {
						assert.Equal(t, want, o.do(strings.Fields(words)...), words)
					}
				}
			}
			play(c.before)
			runner := s.dial()
			others := slow(t, s, busyScript, runner, "EVAL", endless, "1", "key")
			play(c.during)
			assert.Equal(t, "OK", others[0].do("SCRIPT", "KILL"))
			assert.Contains(t, runner.read(), "SCRIPT KILL")
			play(c.then)
			play([]string{"GET key=(nil)", "PING=PONG"})
		})
	}
}

func TestSlowScriptInsideATransaction(t *testing.T) {
	s := scriptNode(t)
	runner := s.dial()
	assert.Equal(t, "OK", runner.do("MULTI"))
	assert.Equal(t, "QUEUED", runner.do("SET", "before", "1"))
	assert.Equal(t, "QUEUED", runner.do("EVAL", endless, "1", "key"))
	assert.Equal(t, "QUEUED", runner.do("SET", "after", "2"))
	others := slow(t, s, busyScript, runner, "EXEC")
	assert.Equal(t, "OK", others[0].do("SCRIPT", "KILL"))
	reply := runner.read()
	assert.Contains(t, reply, "SCRIPT KILL")
	assert.True(t, strings.HasPrefix(reply, "[OK -") && strings.HasSuffix(reply, " OK]"), reply)
	assert.Equal(t, "[1 2]", others[1].do("MGET", "before", "after"))
}

func TestConnectionsCloseWhileAScriptIsSlow(t *testing.T) {
	s := scriptNode(t)
	runner := s.dial()
	others := slow(t, s, busyScript, runner, "EVAL", endless, "1", "key")
	require.NoError(t, runner.Close()) // the script's own client does not wait for it
	for _, o := range others[2:] {
		o.send("GET", "key")
		require.NoError(t, o.Close())
	}
	assert.Equal(t, busyScript, others[0].do("PING"))
	assert.Equal(t, "OK", others[1].do("SCRIPT", "KILL"))
	for _, o := range others[:2] {
		eventually(t, func() bool { return o.do("PING") == "PONG" }, "still busy")
	}
	eventually(t, func() bool { return others[0].info("connected_clients") == "2" }, "closed connections are still counted")
}

func TestScriptMemoryLimit(t *testing.T) {
	s := serve(t, "script-memory-limit", "16mb")
	c := s.dial()
	for name, script := range map[string]string{
		"a string that doubles": "local s = 'x' while true do s = s .. s end",
		"string.rep":            "return #string.rep('x', 1024 * 1024 * 1024)",
		"an array that grows":   "local t = {} local i = 0 while true do i = i + 1 t[i] = i end",
		"a hash that grows":     "local t = {} local i = 0 while true do i = i + 1 t['k' .. i] = i end",
		"table.concat":          "local t = {} local s = string.rep('x', 65536) for i = 1, 100000 do t[i] = s end return #table.concat(t)",
		"cjson.encode":          "local t = {} local s = string.rep('x', 65536) for i = 1, 10000 do t[i] = s end return #cjson.encode(t)",
		"cmsgpack.pack":         "local t = {} local s = string.rep('x', 65536) for i = 1, 10000 do t[i] = s end return #cmsgpack.pack(t)",
		"gsub":                  "return #string.rep('x', 100000):gsub('x', string.rep('y', 65536))",
	} {
		reply := c.do("EVAL", script, "0")
		assert.True(t, strings.HasPrefix(reply, "-ERR ") && strings.Contains(reply, "not enough memory"), "%s: %s", name, reply)
		assert.Equal(t, "7", c.do("EVAL", "return 3 + 4", "0"), "after %s", name)
		assert.Equal(t, "PONG", s.dial().do("PING"), "after %s", name)
	}
}

func TestScriptsSeeOneTimeAndOneOrder(t *testing.T) {
	c := serve(t).dial()
	assert.Equal(t, "[0 0]", c.do("EVAL", `local a = redis.call('TIME')
		for i = 1, 300000 do end
		local b = redis.call('TIME')
		return {a[1] - b[1], a[2] - b[2]}`, "0"))
	c.do("SADD", "s", "b", "aa", "c", "a", "z", "k")
	assert.Equal(t, "[a aa b c k z]", c.do("EVAL", "return redis.call('SORT', KEYS[1], 'BY', 'nosort')", "1", "s"))
	assert.Equal(t, "[aa b]", c.do("EVAL", "return redis.call('SORT', KEYS[1], 'BY', 'nosort', 'LIMIT', 1, 2)", "1", "s"))
}

func TestScriptShow(t *testing.T) {
	c := serve(t).dial()
	sha := c.do("SCRIPT", "LOAD", "return 'dump'")
	assert.Equal(t, "return 'dump'", c.do("SCRIPT", "SHOW", strings.ToUpper(sha)))
	assert.Equal(t, "-NOSCRIPT No matching script. Please use EVAL.", c.do("SCRIPT", "SHOW", "ffff"))
	assert.Equal(t, "OK", c.do("SCRIPT", "FLUSH"))
	assert.Equal(t, "-NOSCRIPT No matching script. Please use EVAL.", c.do("SCRIPT", "SHOW", sha))
}

// DEBUG RELOAD treats libraries as its words say about keys.
func TestDebugReloadOfLibraries(t *testing.T) {
	c := serve(t, "enable-debug-command", "yes").dial()
	load := func(name string) {
		require.Equal(t, name, c.do("FUNCTION", "LOAD", "#!lua name="+name+"\nredis.register_function('"+name+"', function() return '"+name+"' end)"))
	}
	load("one")
	assert.Equal(t, "OK", c.do("DEBUG", "RELOAD"))
	assert.Contains(t, c.do("DEBUG", "RELOAD", "NOFLUSH"), "-ERR Error trying to load the RDB dump")
	assert.Equal(t, "one", c.do("FCALL", "one", "0"))
	load("two")
	assert.Equal(t, "OK", c.do("DEBUG", "RELOAD", "NOSAVE", "NOFLUSH", "MERGE"), "the file has one")
	assert.Equal(t, "one", c.do("FCALL", "one", "0"))
	assert.Equal(t, "two", c.do("FCALL", "two", "0"))
	assert.Equal(t, "OK", c.do("DEBUG", "RELOAD", "NOSAVE"))
	assert.Equal(t, "one", c.do("FCALL", "one", "0"))
	assert.Equal(t, "-ERR Function not found", c.do("FCALL", "two", "0"))
}

// In a cluster a script that declares nothing about itself may touch other slots of its node than that of its keys; one with a
// shebang line must say so.
func TestClusterScriptsTouchOtherSlots(t *testing.T) {
	s := serve(t, "cluster-enabled", "yes", "io-threads", "2")
	c := s.dial()
	require.Equal(t, "OK", c.do("CLUSTER", "ADDSLOTSRANGE", "0", "16383"))
	eventually(t, func() bool { return c.do("SET", "a", "1") == "OK" }, "the cluster is up")
	const swap = "redis.call('SET', ARGV[1], 'b') return redis.call('GET', KEYS[1]) .. redis.call('GET', ARGV[1])"
	for range 3 {
		assert.Equal(t, "1b", c.do("EVAL", swap, "1", "a", "b"))
	}
	sha := c.do("SCRIPT", "LOAD", swap)
	assert.Equal(t, "1b", c.do("EVALSHA", sha, "1", "a", "c"))
	require.Equal(t, "OK", c.do("MULTI"))
	require.Equal(t, "QUEUED", c.do("EVALSHA", sha, "1", "a", "d"))
	assert.Equal(t, "[1b]", c.do("EXEC"))
	assert.Contains(t, c.do("EVAL", "#!lua\n"+swap, "1", "a", "b"), "-ERR Script attempted to access keys that do not hash to the same slot")
	assert.Equal(t, "1b", c.do("EVAL", "#!lua flags=allow-cross-slot-keys\n"+swap, "1", "a", "b"))

	// Scripts that are new and cross one another's slots on two loops all get what they want: those that write nothing before.
	clients := make([]*client, 8)
	for i := range clients {
		clients[i] = s.dial()
	}
	for round := range 20 {
		script := "local n = " + strconv.Itoa(round) + " for i = 1, 2000 do n = n + i end redis.call('GET', KEYS[1]) redis.call('SET', ARGV[1], 'b') return redis.call('GET', ARGV[1])"
		for i, o := range clients {
			keys := []string{"a", "b"}
			if i%2 == 1 {
				keys = []string{"b", "a"}
			}
			o.send("EVAL", script, "1", keys[0], keys[1])
		}
		for _, o := range clients {
			assert.Equal(t, "b", o.read())
		}
	}
}

// With one loop a script comes with the stripes of the keys it declares, and takes others' when it touches them.
func TestScriptsTouchWhatTheyDidNotDeclare(t *testing.T) {
	s := serve(t, "io-threads", "1")
	c := s.dial()
	require.Equal(t, "OK", c.do("MSET", "a", "1", "b", "2", "c", "3"))
	assert.Equal(t, "[1 2 3 [a b c] 3]", c.do("EVAL", `local all = redis.call('KEYS', '*') table.sort(all)
		return {redis.call('GET', KEYS[1]), redis.call('GET', 'b'), redis.call('MGET', 'b', 'c')[2], all, redis.call('DBSIZE')}`, "1", "a"))
	assert.Equal(t, "OK", c.do("EVAL", "redis.call('SET', KEYS[1], 'x') redis.call('RENAME', KEYS[1], 'd') return redis.call('SET', 'e', 'y')", "1", "a"))
	require.Equal(t, "OK", c.do("MULTI"))
	require.Equal(t, "QUEUED", c.do("GET", "b"))
	require.Equal(t, "QUEUED", c.do("EVAL", "redis.call('SELECT', 1) return redis.call('SET', 'f', redis.call('INCR', KEYS[1]))", "1", "c"))
	require.Equal(t, "QUEUED", c.do("DBSIZE"))
	assert.Equal(t, "[2 OK 4]", c.do("EXEC"))
	require.Equal(t, "lib", c.do("FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('f', function(keys) return redis.call('GET', 'd') end)"))
	assert.Equal(t, "x", c.do("FCALL", "f", "1", "b"))

	// Nobody waits for stripes while he keeps others that a script may want.
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 300 {
			s.disp.Fence(nowMs())
		}
	}()
	for ended := false; !ended; {
		assert.Equal(t, "4", c.do("EVAL", `redis.call('INCR', KEYS[1])
			for i = 0, 40 do redis.call('SET', 'k' .. i, i) end
			return redis.call('GET', 'k4')`, "1", "n"))
		select {
		case <-done:
			ended = true
		default:
		}
	}
	assert.Equal(t, "OK", c.do("EVAL", "redis.call('INCR', KEYS[1]) return redis.call('FLUSHALL')", "1", "n"))
	assert.Equal(t, "0", c.do("DBSIZE"))
}

// With several loops a script that only reads holds up the keys it declares and no others; it may read others all the same, also
// while another such script holds them, and comes with all from its next run on.
func TestScriptsThatReadRunBesideOtherLoops(t *testing.T) {
	s := serve(t, "io-threads", "2", "busy-reply-threshold", "0")
	runner, other := s.dial(), s.dial() // on two loops
	require.Equal(t, "OK", runner.do("MSET", "k", "1", "far", "2"))
	// It ends when somebody subscribes, which takes no stripe; in any case after a while.
	const until = `local till = redis.call('TIME')[1] + 60
		while redis.call('PUBSUB', 'NUMSUB', 'go')[2] == 0 and tonumber(redis.call('TIME')[1]) < till do end
		return redis.call('GET', KEYS[1]) .. redis.call('GET', 'far')`
	for round, call := range [][]string{{"EVAL_RO", until}, {"EVAL", "#!lua flags=no-writes\n" + until}} {
		runner.send(append(call, "1", "k")...)
		eventually(t, s.disp.ScriptAlive, "it runs")
		require.Equal(t, "OK", other.do("SET", "far", strconv.Itoa(round)))
		listener := dialTo(t, "tcp", "127.0.0.1:"+strconv.Itoa(s.port)) // on the runner's loop
		listener.send("PING")
		require.Equal(t, "[subscribe go 1]", other.do("SUBSCRIBE", "go"))
		require.Equal(t, "1"+strconv.Itoa(round), runner.read())
		require.Equal(t, "PONG", listener.read())
		require.Equal(t, "[unsubscribe go 0]", other.do("UNSUBSCRIBE", "go"))
	}
	require.Equal(t, "OK", runner.do("MULTI"))
	require.Equal(t, "QUEUED", runner.do("EVAL_RO", "return redis.call('GET', 'far')", "1", "k"))
	require.Equal(t, "[1]", runner.do("EXEC"))
}
