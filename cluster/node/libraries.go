package node

import (
	"bytes"
	"io"
	"slices"
	"time"

	"github.com/sextantdb/sextant/cluster/agent"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/command/admin"
	"github.com/sextantdb/sextant/resp/command/script"
	"github.com/sextantdb/sextant/resp/dispatch"
	"github.com/sextantdb/sextant/resp/lua"
)

// libraryLoadLimit is how long the code of a library may run when it is loaded, as in Redis.
const libraryLoadLimit = 500 * time.Millisecond

func (n *Node) newScripts() *lua.Engine {
	start := time.Now()
	return lua.New(lua.Options{
		MemoryLimit: func() int64 { return n.cfg.Now().ScriptMemoryLimit },
		Log: func(level int, text string) {
			[]func(string, ...any){n.log.Debug, n.log.Verbose, n.log.Notice, n.log.Warning}[level]("%s", text)
		},
		Seconds: func() float64 { return time.Since(start).Seconds() },
		Version: redisVersion,
		LoadInterrupt: func() func() string {
			began := time.Now()
			return func() string {
				if time.Since(began) > libraryLoadLimit {
					return "FUNCTION LOAD timeout"
				}
				return ""
			}
		},
	})
}

func (n *Node) scriptDeps() script.Deps {
	return script.Deps{Engine: n.scripts, Narrow: n.cfg.Now().ClusterEnabled || n.loops == 1, Debug: n.debugScript}
}

// debugScript gives a session a goroutine of its own, with the client's connection.
func (n *Node) debugScript(c *command.Ctx, s script.DebugSession) error {
	d, err := dispatch.Detach(c)
	if err != nil {
		return err
	}
	h := debugHost{n.disp.NewDebugger(c.Sess, !s.Sync, func() (int64, int64) { return nowMs(), int64(agent.BootTime()) }, n.quit), n.quit}
	n.log.Notice("A debugging session of EVAL began, %s", map[bool]string{true: "whose writes stay", false: "without writes"}[s.Sync])
	n.goes(func() {
		ended := make(chan struct{})
		n.goes(func() { // a node that ends does not wait for who types
			select {
			case <-n.quit:
			case <-ended:
			}
			_ = d.Conn.Close()
		})
		_, err := d.Conn.Write(d.Unsent)
		if err == nil {
			limit := float64(n.cfg.Now().BusyReplyThreshold) / 1000
			err = s.Run(struct {
				io.Reader
				io.Writer
			}{io.MultiReader(bytes.NewReader(d.Unread), d.Conn), d.Conn}, h, limit)
		}
		close(ended)
		n.log.Notice("A debugging session of EVAL ended: %v", err)
	})
	return nil
}

// debugHost is where a session's calls go.
type debugHost struct {
	*dispatch.Debugger
	quit <-chan struct{}
}

func (h debugHost) SetRepl(flags int) { h.SetTargets(command.Targets(flags)) }

func (h debugHost) Interrupt() string {
	select {
	case <-h.quit:
		return "Script killed by SHUTDOWN NOSAVE."
	default:
		return ""
	}
}

// libraries are the function libraries as files and replicas carry them.
type libraries struct{ e *lua.Engine }

// replace puts code in the place of what was there. When it fails nothing has changed.
func (l libraries) replace(code [][]byte) error {
	p, err := l.e.Prepare(code)
	if err != nil {
		return err
	}
	l.e.Put(p)
	return nil
}

// reload puts code in force as the words of DEBUG RELOAD say about keys.
func (l libraries) reload(code [][]byte, o admin.ReloadOptions) error {
	if !o.NoFlush {
		return l.replace(code)
	}
	policy := lua.RestoreAppend
	if o.Merge {
		policy = lua.RestoreReplace
	}
	if err := l.e.Restore(code, policy); err != "" {
		return err
	}
	return nil
}

// all is for writers of snapshots.
func (l libraries) all() [][]byte { return l.e.Libraries().Codes() }

// collector takes libraries while a file is loaded; they count once the file has proven whole.
type collector struct{ code [][]byte }

func (c *collector) add(code []byte) error {
	c.code = append(c.code, slices.Clone(code))
	return nil
}
