package lua_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/lua"
)

// goOn is a person who always types the same.
type goOn struct {
	word  string
	stops int
}

func (g *goOn) Read() (words []string, fault string, ok bool) {
	g.stops++
	return []string{g.word}, "", true
}
func (g *goOn) Send([]string) {}

// Code that was compiled for the debugger does what it does otherwise.
func TestDebuggedScriptsDoTheSame(t *testing.T) {
	for _, file := range []string{"testdata/language.lua", "testdata/libraries.lua"} {
		pieces, scripts := chunks(t, file)
		for i, script := range scripts {
			e := lua.New(lua.Options{MemoryLimit: func() int64 { return 64 << 20 }})
			s, err := e.Compile([]byte(script), false)
			if err != "" || strings.Contains(script, "breakpoint") {
				continue
			}
			con := &goOn{word: "s"}
			out := resp.NewWriter(nil, resp.RESP2)
			e.Debug(s, nil, nil, &alone{}, con, 0, out)
			require.Positive(t, con.stops)
			assert.Equal(t, eval(t, script), text(t, out.Bytes()), "%s: %s", file, pieces[i])
		}
	}
}
