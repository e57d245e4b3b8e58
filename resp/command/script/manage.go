package script

import (
	"errors"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/glob"
	"github.com/sextantdb/sextant/resp/lua"
	"github.com/sextantdb/sextant/resp/session"
	"github.com/sextantdb/sextant/store/rdb"
)

const (
	errScriptFlush   resp.Error = "ERR SCRIPT FLUSH only support SYNC|ASYNC option"
	errScriptDebug   resp.Error = "ERR Use SCRIPT DEBUG YES/SYNC/NO"
	errDebugPipeline resp.Error = "ERR SCRIPT DEBUG must be called outside a pipeline"
	errDebugSHA      resp.Error = "ERR Please use EVAL instead of EVALSHA for debugging"
	errFunctionFlush resp.Error = "ERR FUNCTION FLUSH only supports SYNC|ASYNC option"
	errNoLibrary     resp.Error = "ERR Library not found"
	errLibraryName   resp.Error = "ERR library name argument was not given"
	errNoCode        resp.Error = "ERR Function code is missing"
	errPolicy        resp.Error = "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE."
	errPayload       resp.Error = "ERR DUMP payload version or checksum are wrong"
)

func (f *family) scriptLoad(c *command.Ctx) {
	s, err := f.Engine.Compile(c.Argv[2], true)
	if err != "" {
		c.Fail(err)
		return
	}
	c.Out.BulkString(s.SHA)
}

func (f *family) scriptExists(c *command.Ctx) {
	c.Out.Array(len(c.Argv) - 2)
	for _, sha := range c.Argv[2:] {
		n := int64(0)
		if f.Engine.Find(sha) != nil {
			n = 1
		}
		c.Out.Int(n)
	}
}

func (f *family) scriptShow(c *command.Ctx) {
	s := f.Engine.Find(c.Argv[2])
	if s == nil {
		c.Fail(resp.ErrNoScript)
		return
	}
	c.Out.BulkString(s.Body)
}

func (f *family) scriptFlush(c *command.Ctx) {
	if len(c.Argv) > 3 || len(c.Argv) == 3 && !command.Is(c.Argv[2], "SYNC") && !command.Is(c.Argv[2], "ASYNC") {
		c.Fail(errScriptFlush)
		return
	}
	f.Engine.Flush()
	c.Out.OK()
}

// scriptDebug says what the next EVAL of the client is.
func scriptDebug(c *command.Ctx) {
	const both = session.Debug | session.DebugSync
	if c.Nested > 0 || c.Out.Len() > 0 {
		c.Fail(errDebugPipeline)
		return
	}
	switch {
	case command.Is(c.Argv[2], "NO"):
		c.Sess.Clear(both)
	case command.Is(c.Argv[2], "YES"):
		c.Sess.Set(session.Debug)
		c.Sess.Clear(session.DebugSync)
	case command.Is(c.Argv[2], "SYNC"):
		c.Sess.Set(both)
	default:
		c.Fail(errScriptDebug)
		return
	}
	c.Out.OK()
}

func kill(c *command.Ctx, eval bool) {
	if err := c.Host.(command.Scripts).KillScript(eval); err != "" {
		c.Fail(err)
		return
	}
	c.Out.OK()
}

func (f *family) functionLoad(c *command.Ctx) {
	replace := false
	words := c.Argv[2:]
	for len(words) > 1 {
		if !command.Is(words[0], "REPLACE") {
			c.Fail(resp.Errorf("ERR Unknown option given: %s", words[0]))
			return
		}
		replace = true
		words = words[1:]
	}
	if len(words) == 0 {
		c.Fail(errNoCode)
		return
	}
	name, err := f.Engine.Load(words[0], replace)
	if err != "" {
		c.Fail(err)
		return
	}
	c.Propagate()
	c.Out.BulkString(name)
}

func (f *family) functionDelete(c *command.Ctx) {
	if !f.Engine.Delete(string(c.Argv[2])) {
		c.Fail(errNoLibrary)
		return
	}
	c.Propagate()
	c.Out.OK()
}

func (f *family) functionFlush(c *command.Ctx) {
	if len(c.Argv) > 3 {
		c.Fail(resp.ErrUnknownSubcommandOrArgs("function", c.Argv[1]))
		return
	}
	if len(c.Argv) == 3 && !command.Is(c.Argv[2], "SYNC") && !command.Is(c.Argv[2], "ASYNC") {
		c.Fail(errFunctionFlush)
		return
	}
	f.Engine.FlushLibraries()
	c.Propagate()
	c.Out.OK()
}

func (f *family) functionDump(c *command.Ctx) {
	c.Out.Bulk(rdb.AppendFunctions(nil, f.Engine.Libraries().Codes(), rdb.WriterOptions{}))
}

func (f *family) functionRestore(c *command.Ctx) {
	policy := lua.RestoreAppend
	switch {
	case len(c.Argv) > 4:
		c.Fail(resp.ErrUnknownSubcommandOrArgs("function", c.Argv[1]))
		return
	case len(c.Argv) == 3 || command.Is(c.Argv[3], "APPEND"):
	case command.Is(c.Argv[3], "REPLACE"):
		policy = lua.RestoreReplace
	case command.Is(c.Argv[3], "FLUSH"):
		policy = lua.RestoreFlush
	default:
		c.Fail(errPolicy)
		return
	}
	codes, err := rdb.ParseFunctions(c.Argv[2], rdb.ReaderOptions{})
	if errors.Is(err, rdb.ErrPayloadFooter) {
		c.Fail(errPayload)
		return
	}
	if err != nil {
		c.Fail(resp.Errorf("ERR %v", err))
		return
	}
	if err := f.Engine.Restore(codes, policy); err != "" {
		c.Fail(err)
		return
	}
	c.Propagate()
	c.Out.OK()
}

func (f *family) functionList(c *command.Ctx) {
	withCode, pattern, filtered := false, []byte(nil), false
	for i := 2; i < len(c.Argv); i++ {
		switch {
		case !withCode && command.Is(c.Argv[i], "WITHCODE"):
			withCode = true
		case !filtered && command.Is(c.Argv[i], "LIBRARYNAME"):
			if i++; i == len(c.Argv) {
				c.Fail(errLibraryName)
				return
			}
			pattern, filtered = c.Argv[i], true
		default:
			c.Fail(resp.Errorf("ERR Unknown argument %s", c.Argv[i]))
			return
		}
	}
	mark, n := c.Out.Defer(), 0
	for _, l := range f.Engine.Libraries().List() {
		if filtered && !glob.Match(pattern, []byte(l.Name)) {
			continue
		}
		n++
		library(c.Out, l, withCode)
	}
	c.Out.EndArray(mark, n)
}

func library(w *resp.Writer, l *lua.Library, withCode bool) {
	if withCode {
		w.Map(4)
	} else {
		w.Map(3)
	}
	w.BulkString("library_name")
	w.BulkString(l.Name)
	w.BulkString("engine")
	w.BulkString("LUA")
	w.BulkString("functions")
	w.Array(len(l.Functions))
	for _, fn := range l.Functions {
		w.Map(3)
		w.BulkString("name")
		w.BulkString(fn.Name)
		w.BulkString("description")
		if fn.HasDescription {
			w.BulkString(fn.Description)
		} else {
			w.Null()
		}
		w.BulkString("flags")
		names := fn.Flags.Names()
		w.Set(len(names))
		for _, name := range names {
			w.Simple(name)
		}
	}
	if withCode {
		w.BulkString("library_code")
		w.BulkString(l.Code)
	}
}

func (f *family) functionStats(c *command.Ctx) {
	s, running := c.Host.(command.Scripts).SlowScript()
	if running && s.Eval {
		c.Fail(resp.ErrBusyScript)
		return
	}
	w := c.Out
	w.Map(2)
	w.BulkString("running_script")
	if running {
		w.Map(3)
		w.BulkString("name")
		w.BulkString(s.Name)
		w.BulkString("command")
		w.Array(len(s.Argv))
		for _, a := range s.Argv {
			w.Bulk(a)
		}
		w.BulkString("duration_ms")
		w.Int(s.DurationMs)
	} else {
		w.Null()
	}
	n := f.Engine.Numbers()
	w.BulkString("engines")
	w.Map(1)
	w.BulkString("LUA")
	w.Map(2)
	w.BulkString("libraries_count")
	w.Int(n.Libraries)
	w.BulkString("functions_count")
	w.Int(n.Functions)
}
