package lua_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/lua"
)

// run evaluates one script on e.
func run(t testing.TB, e *lua.Engine, src string) string {
	s, err := e.Compile([]byte(src), false)
	require.Empty(t, err)
	out := resp.NewWriter(nil, resp.RESP2)
	e.Eval(s, nil, nil, &alone{}, out)
	return text(t, out.Bytes())
}

// What runs leave behind is forgotten, however little each of them makes.
func TestGarbageOfShortRunsDoesNotAddUp(t *testing.T) {
	e := lua.New(lua.Options{})
	for range 5000 {
		require.Equal(t, "xxxxxxxxxxxxxxxxxxxx", run(t, e, "local t = {} return string.rep('x', 20)"))
	}
	assert.Less(t, e.Numbers().EvalVMBytes, int64(100<<10))
}

// Scripts and libraries go on with random numbers where the run before stopped; those of a new machine are others.
func TestRandomNumbersDoNotBeginAnew(t *testing.T) {
	e := lua.New(lua.Options{})
	const throw = "return tostring(math.random())"
	first := run(t, e, throw)
	assert.NotEqual(t, first, run(t, e, throw))
	call := func() string {
		name, err := e.Load([]byte("#!lua name=lib\nredis.register_function('f', function() "+throw+" end)"), true)
		require.Empty(t, err)
		require.Equal(t, "lib", name)
		out := resp.NewWriter(nil, resp.RESP2)
		e.Call(e.Libraries().Function([]byte("f")), nil, nil, &alone{}, out)
		return text(t, out.Bytes())
	}
	assert.NotEqual(t, call(), call(), "of a library loaded anew")
}

func TestEvictedScriptsAreCountedUntilReset(t *testing.T) {
	e := lua.New(lua.Options{})
	for i := range 503 {
		run(t, e, "return "+strconv.Itoa(i)+" ..''")
	}
	assert.Equal(t, int64(3), e.Numbers().EvictedScripts)
	assert.Equal(t, int64(500), e.Numbers().Scripts)
	e.ResetStats()
	assert.Zero(t, e.Numbers().EvictedScripts)
}

// Errors name the table that was called, with the words of the server that has it.
func TestErrorsNameTheTableCalled(t *testing.T) {
	for _, c := range []struct{ call, redis, server string }{
		{"NAME.call()", "ERR Please specify at least one argument for this redis lib call", "ERR Please specify at least one argument for this call"},
		{"NAME.call({})", "ERR Lua redis lib command arguments must be strings or integers", "ERR Command arguments must be strings or integers"},
		{"NAME.call('x')", "ERR Unknown Redis command called from script", "ERR Unknown command called from script"},
		{"NAME.acl_check_cmd('x')", "ERR Invalid command passed to redis.acl_check_cmd()", "ERR Invalid command passed to server.acl_check_cmd()"},
		{"NAME.setresp()", "ERR redis.setresp() requires one argument.", "ERR server.setresp() requires one argument."},
		{"NAME.set_repl()", "ERR redis.set_repl() requires two arguments.", "ERR server.set_repl() requires one argument."},
	} {
		for name, want := range map[string]string{"redis": c.redis, "server": c.server} {
			call := replaceName(c.call, name)
			assert.Equal(t, want, eval(t, "local ok, e = pcall(function() "+call+" end) return e"), call)
		}
	}
	for name := range map[string]bool{"redis": true, "server": true} {
		e := lua.New(lua.Options{})
		_, err := e.Load([]byte("#!lua name=lib\n"+name+".register_function('f')"), false)
		assert.Contains(t, string(err), "calling "+name+".register_function with a single argument")
	}
}

func replaceName(call, name string) string { return strings.ReplaceAll(call, "NAME", name) }
