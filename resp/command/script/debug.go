package script

import (
	"bytes"
	"io"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/lua"
	"github.com/sextantdb/sextant/resp/session"
)

// DebugSession is a script that somebody is about to step through. The connection is the session's; when it has ended, it
// is closed.
type DebugSession struct {
	// Sync: what the script writes stays. Else it may not write: Redis forks and forgets it, and here there is no fork.
	Sync bool
	// Rules are the script's.
	Rules command.ScriptRules

	engine     *lua.Engine
	script     *lua.Script
	keys, args [][]byte
	proto      int
}

// DebugHost runs the calls of a session.
type DebugHost interface {
	lua.Host
	// Begin refuses the run, or makes ready for it.
	Begin(r command.ScriptRules) resp.Error
}

func (f *family) debug(c *command.Ctx, s *lua.Script, readOnly bool, keys, args [][]byte) {
	d := DebugSession{
		Sync: c.Sess.Any(session.DebugSync), Rules: rules(s.SHA, true, readOnly, s.Flags), engine: f.Engine, script: s,
		keys: cloned(keys), args: cloned(args), proto: c.Sess.Proto(),
	}
	c.DontPropagate()
	c.Sess.Clear(session.Debug | session.DebugSync)
	if err := f.Debug(c, d); err != nil {
		c.Fail(resp.Errorf("ERR %v", err))
	}
}

func cloned(words [][]byte) [][]byte {
	own := make([][]byte, len(words))
	for i := range words {
		own[i] = bytes.Clone(words[i])
	}
	return own
}

// Run is the session, from the first stop to the reply of EVAL. seconds is how long the script may run without a stop.
func (d DebugSession) Run(conn io.ReadWriter, h DebugHost, seconds float64) error {
	out := resp.NewWriter(nil, d.proto)
	if err := h.Begin(d.Rules); err != "" {
		out.Error(err)
	} else {
		d.engine.Debug(d.script, d.keys, d.args, h, &console{conn: conn}, seconds, out)
	}
	_, err := conn.Write(out.Bytes())
	return err
}

// console is the session's connection.
type console struct {
	conn   io.ReadWriter
	parser resp.Parser
	buf    []byte
}

// Bounds of what a person may type.
const (
	consoleBytes = 1 << 20
	consoleWords = 1024
)

// Read implements lua.Console.
func (c *console) Read() (words []string, fault string, ok bool) {
	var chunk [1024]byte
	for {
		if len(c.buf) > 0 && c.buf[0] != '*' {
			return nil, "protocol error", true
		}
		argv, n, err := c.parser.Next(c.buf, nil, resp.Limits{MaxBulk: consoleBytes})
		switch {
		case err != "" || len(argv) > consoleWords:
			return nil, "protocol error", true
		case n > 0:
			for _, a := range argv {
				words = append(words, string(a))
			}
			c.buf = c.buf[n:]
			if len(words) == 0 {
				continue
			}
			return words, "", true
		case len(c.buf) > consoleBytes:
			return nil, "max client buffer reached", true
		}
		got, rerr := c.conn.Read(chunk[:])
		c.buf = append(c.buf, chunk[:got]...)
		if got == 0 && rerr != nil {
			return nil, "", false
		}
	}
}

// Send implements lua.Console. A broken connection shows at the next Read.
func (c *console) Send(lines []string) {
	out := resp.NewWriter(nil, resp.RESP2)
	out.Array(len(lines))
	for _, line := range lines {
		out.Simple(line)
	}
	_, _ = c.conn.Write(out.Bytes())
}
