package node

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const debugged = `local a = 1
for i = 1, 2 do
  a = a + i
  redis.call('SET', KEYS[1], a)
end
local function f(x)
  redis.debug('in f', {x, b = {}})
  redis.breakpoint()
  return x .. 'y'
end
return f(redis.call('GET', KEYS[1]))`

// debugWith types commands, each answered by lines, and returns what the script answered.
func debugWith(t *testing.T, c *client, script []string, dialogue ...string) string {
	t.Helper()
	require.Equal(t, "[* Stopped at 1, stop reason = step over -> 1   "+strings.Split(script[1], "\n")[0]+"]", c.do(script...))
	for i := 0; i < len(dialogue); i += 2 {
		require.Equal(t, dialogue[i+1], c.do(strings.Fields(dialogue[i])...), dialogue[i])
	}
	return c.read()
}

func TestDebugger(t *testing.T) {
	s := serve(t)
	c, other := s.dial(), s.dial()
	require.Equal(t, "OK", c.do("SCRIPT", "DEBUG", "SYNC"))
	require.Equal(t, "-ERR Please use EVAL instead of EVALSHA for debugging", c.do("EVALSHA", strings.Repeat("a", 40), "0"))
	got := debugWith(t, c, []string{"EVAL", debugged, "1", "k"},
		"print", "[No local variables in the current context.]",
		"step", "[* Stopped at 2, stop reason = step over -> 2   for i = 1, 2 do]",
		"next", "[* Stopped at 3, stop reason = step over -> 3     a = a + i]",
		"print", "[<value> a = 1 <value> i = 1]",
		"b 4", "[-> 3     a = a + i   #4     redis.call('SET', KEYS[1], a)    5   end]",
		"c", "[* Stopped at 4, stop reason = break point ->#4     redis.call('SET', KEYS[1], a)]",
		"s", `[<redis> SET k 2 <reply> "+OK" * Stopped at 2, stop reason = step over -> 2   for i = 1, 2 do]`,
		"break", "[1 breakpoints set:   #4     redis.call('SET', KEYS[1], a)]",
		"break -4", "[Breakpoint removed.]",
		"break 99", "[Wrong line number.]",
		"continue", "[<debug> line 7: \"in f\", {[1]=\"4\"; [\"b\"]={}} * Stopped at 9, stop reason = redis.breakpoint() called -> 9     return x .. 'y']",
		"p x", `[<value> "4"]`, "p a", "[No such variable.]", "p KEYS", `[<value> {"k"}]`, "p nosuch", "[No such variable.]",
		"list 1 1", "[   1   local a = 1    2   for i = 1, 2 do]",
		"trace", "[In top level: -> 9     return x .. 'y']",
		"eval 1 + 2", "[<retval> 3]",
		"eval redis.call('nosuch')", "[<error> ERR Unknown Redis command called from script]",
		"redis hset h f v", `[<redis> hset h f v <reply> 1]`,
		"server hgetall h", `[<redis> hgetall h <reply> ["f","v"]]`,
		"maxlen 1", "[<value> replies are truncated at 60 bytes.]",
		"nosuch", "[<error> Unknown Lua debugger command or wrong number of arguments.]",
		"c", "[<endsession>]")
	assert.Equal(t, "4y", got)
	c.closed()
	assert.Equal(t, "4", other.do("GET", "k"), "what was written stays")
	assert.Equal(t, "v", other.do("HGET", "h", "f"))
}

// Nobody waits for a person at a keyboard, and a session that shall change nothing changes nothing.
func TestDebuggerHoldsNobodyUp(t *testing.T) {
	s := serve(t, "busy-reply-threshold", "50")
	for _, mode := range []string{"YES", "SYNC"} {
		c, other := s.dial(), s.dial()
		require.Equal(t, "OK", c.do("SCRIPT", "DEBUG", mode))
		require.Contains(t, c.do("EVAL", "redis.call('SET', KEYS[1], 'v')\nwhile true do end", "1", "k"), "* Stopped at 1")
		assert.Equal(t, "OK", other.do("SET", "k", "w"))
		if mode == "YES" {
			assert.Contains(t, c.do("redis", "set", "k", "x"), "Writes are refused")
			assert.Equal(t, `[<redis> get k <reply> "w"]`, c.do("redis", "get", "k"))
			assert.Contains(t, c.do("s"), "<endsession>")
			assert.Contains(t, c.read(), "-ERR Writes are refused")
			c.closed()
			continue
		}
		assert.Contains(t, c.do("c"), "timeout reached, infinite loop?")
		assert.Equal(t, "v", other.do("GET", "k"))
		assert.Equal(t, "[<endsession>]", c.do("abort"))
		assert.Contains(t, c.read(), "-ERR script aborted for user request script: ")
		c.closed()
	}
	// A node that ends does not wait for the person, nor for a script whose person has gone.
	c := s.dial()
	require.Equal(t, "OK", c.do("SCRIPT", "DEBUG", "YES"))
	require.Contains(t, c.do("EVAL", "return 1", "0"), "* Stopped at 1")
	gone := s.dial()
	require.Equal(t, "OK", gone.do("SCRIPT", "DEBUG", "YES"))
	require.Contains(t, gone.do("EVAL", "while true do end", "0"), "* Stopped at 1")
	_ = gone.Close()
}
