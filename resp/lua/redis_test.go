package lua_test

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/lua"
)

// alone is the host of a script that calls no commands.
type alone struct{ calls int }

func (h *alone) Call(argv [][]byte, _ int) []byte {
	h.calls++
	return []byte("-ERR Unknown Redis command called from script\r\n")
}
func (*alone) Allowed([][]byte) (ok, known bool) { return false, false }
func (*alone) SetRepl(int)                       {}
func (*alone) Interrupt() string                 { return "" }

// eval runs one script on a machine of its own and returns its reply.
func eval(t testing.TB, src string) string {
	e := lua.New(lua.Options{MemoryLimit: func() int64 { return 64 << 20 }})
	out := resp.NewWriter(nil, resp.RESP2)
	s, err := e.Compile([]byte(src), false)
	if err != "" {
		return string(err)
	}
	e.Eval(s, nil, nil, &alone{}, out)
	return text(t, out.Bytes())
}

// text is a reply that is one string or error.
func text(t testing.TB, reply []byte) string {
	v, err := resp.NewReader(bytes.NewReader(reply), resp.ReadLimits{}).ReadValue()
	require.NoError(t, err, "%q", reply)
	return v.Text()
}

// chunks are the pieces of a file, each as a script that shows what the piece returns.
func chunks(t testing.TB, file string) (pieces, scripts []string) {
	prelude, err := os.ReadFile("testdata/prelude.lua")
	require.NoError(t, err)
	src, err := os.ReadFile(file)
	require.NoError(t, err)
	for _, piece := range strings.Split(strings.TrimSuffix(string(src), "\n"), "\n----\n") {
		pieces = append(pieces, piece)
		scripts = append(scripts, strings.TrimSuffix(string(prelude), "\n")+" "+piece+" \nend))")
	}
	return pieces, scripts
}

// startRedis starts the real server on a socket in a folder of the test's own.
func startRedis(t testing.TB) func(args ...string) resp.Value {
	program, err := exec.LookPath("redis-server")
	if err != nil || testing.Short() {
		t.Skip("no redis-server, or -short")
	}
	dir, err := os.MkdirTemp("", "lua") // t.TempDir is longer than a socket's name may be
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	server := exec.Command(program, "--port", "0", "--unixsocket", socket, "--save", "", "--dir", dir)
	require.NoError(t, server.Start())
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	var conn net.Conn
	require.Eventually(t, func() bool { conn, err = net.Dial("unix", socket); return err == nil }, 10*time.Second, 5*time.Millisecond)
	t.Cleanup(func() { conn.Close() })
	in := resp.NewReader(conn, resp.ReadLimits{})
	return func(args ...string) resp.Value {
		_, err := conn.Write(resp.AppendCommandStrings(nil, args...))
		require.NoError(t, err)
		v, err := in.ReadValue()
		require.NoError(t, err)
		return v
	}
}

// differ are pieces that are meant to differ from Redis 7.0, and why.
var differ = map[string]string{
	"return string.dump(function() end)": "there is no byte code here; what dump returns cannot be loaded, as in Redis",
	"return type(os), 1":                 "7.2 has os.clock, 7.0 has no os",
}

// Every piece of the corpus gives what the real Redis gives: values with their order, errors with their text and line.
func TestLanguageAgainstRedis(t *testing.T) {
	redis := startRedis(t)
	for _, file := range []string{"testdata/language.lua", "testdata/libraries.lua"} {
		pieces, scripts := chunks(t, file)
		require.Greater(t, len(pieces), 100)
		for i, script := range scripts {
			if differ[pieces[i]] != "" {
				continue
			}
			assert.Equal(t, redis("EVAL", script, "0").Text(), eval(t, script), "%s: %s", file, pieces[i])
		}
	}
}
