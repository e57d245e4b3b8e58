package admin

import (
	"strings"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/session"
	"github.com/sextantdb/sextant/store/value"
)

func dbsize(c *command.Ctx) { c.Out.Int(c.Txn.Store().DBSize(c.Txn.DB())) }

// reclaimStep is how many keys of a flushed database are freed between two looks whether any
// are left.
const reclaimStep = 1 << 16

// flushMode reads the word behind FLUSHALL and FLUSHDB.
func (f *family) flushMode(c *command.Ctx) (lazy, ok bool) {
	switch {
	case len(c.Argv) == 1:
		return f.LazyFlush(), true
	case len(c.Argv) == 2 && command.Is(c.Argv[1], "ASYNC"):
		return true, true
	case len(c.Argv) == 2 && command.Is(c.Argv[1], "SYNC"):
		return false, true
	}
	c.Fail(resp.ErrSyntax)
	return false, false
}

// flushed frees what was detached, unless that is left to housekeeping. The call is always
// propagated: a replica may hold keys that this node has not.
func (f *family) flushed(c *command.Ctx, lazy bool) {
	for !lazy && c.Txn.Reclaim(reclaimStep) > 0 {
	}
	c.Propagate()
}

func (f *family) flushAll(c *command.Ctx) {
	lazy, ok := f.flushMode(c)
	if !ok {
		return
	}
	c.Txn.FlushAll()
	f.flushed(c, lazy)
	switch save := f.Saver.Flushed(); {
	case save && c.Nested == 0 && c.Conn != nil:
		// Whoever has the answer has it on disk: the old data will not come back with a restart.
		wait(c, f.Saver.SaveEmpty)
	case save:
		f.Saver.SaveEmpty(func(resp.Error) {})
		c.Out.OK()
	default:
		c.Out.OK()
	}
}

func (f *family) flushDB(c *command.Ctx) {
	lazy, ok := f.flushMode(c)
	if !ok {
		return
	}
	c.Txn.FlushDB(c.Txn.DB())
	f.flushed(c, lazy)
	c.Out.OK()
}

// dbIndex reads a number that Redis keeps in 32 bits.
func dbIndex(word []byte) (int, bool) {
	n, ok := value.ParseInt(word)
	return int(n), ok && n == int64(int32(n))
}

func (f *family) swapDB(c *command.Ctx) {
	if f.ClusterMode {
		c.Fail(resp.ErrSwapDBInCluster)
		return
	}
	a, ok1 := dbIndex(c.Argv[1])
	b, ok2 := dbIndex(c.Argv[2])
	n := c.Txn.Store().Databases()
	switch {
	case !ok1:
		c.Fail(resp.ErrInvalidFirstDBIndex)
	case !ok2:
		c.Fail(resp.ErrInvalidSecondDBIndex)
	case a < 0 || a >= n || b < 0 || b >= n:
		c.Fail(resp.ErrDBIndexOutOfRange)
	default:
		if a != b {
			c.Txn.SwapDB(a, b)
		}
		c.Propagate()
		c.Out.OK()
	}
}

func (f *family) time(c *command.Ctx) {
	now := f.NowMicros()
	if c.InScript {
		now = c.Txn.Now() * 1e3 // time stands still in a script
	}
	c.Out.Array(2)
	c.Out.BulkInt(now / 1e6)
	c.Out.BulkInt(now % 1e6)
}

func (f *family) info(c *command.Ctx) {
	sections := make([]string, len(c.Argv)-1)
	for i, word := range c.Argv[1:] {
		sections[i] = string(word)
	}
	answer := func(w *resp.Writer) { w.Verbatim("txt", string(f.Stats.Info(sections...))) }
	if c.Nested == 0 && f.Stats.Measures(sections...) {
		t := c.Park(command.Park{TimedOut: answer})
		f.Stats.Measure(func() { t.Finish(answer) }, sections...)
		return
	}
	answer(c.Out)
}

// wait parks the client until done is called: "" answers OK. Inside EXEC or a script there is
// nobody to park, so the call is refused.
func wait(c *command.Ctx, start func(done func(resp.Error))) {
	if c.Nested > 0 {
		c.Fail(resp.ErrNotInMulti)
		return
	}
	t := c.Park(command.Park{TimedOut: func(w *resp.Writer) { w.Error(resp.ErrUnblocked) }})
	start(func(err resp.Error) {
		t.Finish(func(w *resp.Writer) {
			if err != "" {
				w.Error(err)
			} else {
				w.OK()
			}
		})
	})
}

func (f *family) save(c *command.Ctx) { wait(c, f.Saver.Save) }

func (f *family) rewriteAOF(c *command.Ctx) {
	// Inside EXEC it comes after: the commands before it are not in the stream yet.
	switch scheduled, err := f.Saver.RewriteAOF(c.Nested > 0); {
	case err != "":
		c.Fail(err)
	case scheduled:
		c.Out.Simple("Background append only file rewriting scheduled")
	default:
		c.Out.Simple("Background append only file rewriting started")
	}
}

func (f *family) bgsave(c *command.Ctx) {
	schedule := false
	switch {
	case len(c.Argv) == 1:
	case len(c.Argv) == 2 && command.Is(c.Argv[1], "SCHEDULE"):
		schedule = true
	case len(c.Argv) == 2 && command.Is(c.Argv[1], "CANCEL"):
		f.cancelSave(c)
		return
	default:
		c.Fail(resp.ErrSyntax)
		return
	}
	switch scheduled, err := f.Saver.BGSave(schedule); {
	case err != "":
		c.Fail(err)
	case scheduled:
		c.Out.Simple("Background saving scheduled")
	default:
		c.Out.Simple("Background saving started")
	}
}

func (f *family) cancelSave(c *command.Ctx) {
	switch running, scheduled := f.Saver.CancelBGSave(); {
	case running:
		c.Out.Simple("Background saving cancelled")
	case scheduled:
		c.Out.Simple("Scheduled background saving cancelled")
	default:
		c.Fail(ErrNothingToCancel)
	}
}

func (f *family) shutdown(c *command.Ctx) {
	var o ShutdownOptions
	var save, noSave, abort bool
	for _, word := range c.Argv[1:] {
		switch {
		case command.Is(word, "SAVE"):
			save, o.Save = true, SaveAlways
		case command.Is(word, "NOSAVE"):
			noSave, o.Save = true, SaveNever
		case command.Is(word, "NOW"):
			o.Now = true
		case command.Is(word, "FORCE"):
			o.Force = true
		case command.Is(word, "ABORT"):
			abort = true
		default:
			c.Fail(resp.ErrSyntax)
			return
		}
	}
	switch {
	case save && noSave || abort && o != (ShutdownOptions{}):
		c.Fail(resp.ErrSyntax)
	case abort && f.Shutdown.Abort():
		c.Out.OK()
	case abort:
		c.Fail(resp.ErrNoShutdown)
	default:
		if s, ok := c.Host.(command.Scripts); ok && o.Save != SaveNever {
			if running, busy := s.SlowScript(); busy { // what it has done so far would be saved by half
				c.Fail(running.BusyError())
				return
			}
		}
		wait(c, func(failed func(resp.Error)) { f.Shutdown.Begin(o, failed) })
	}
}

// art is a sextant, seen from the side.
const art = `
            /\
           /  \
          / .- \
         /  |   \        "To find out where you are,
        /   o    \        look at the stars."
       /   /      \
      /   /   *    \
     (___/__________)
       '.|.|.|.|.|.'
`

func (f *family) lolwut(c *command.Ctx) {
	if len(c.Argv) > 2 && command.Is(c.Argv[1], "VERSION") {
		if _, ok := c.Int(2); !ok {
			return
		}
	}
	c.Out.Verbatim("txt", art+"\nRedis ver. "+f.Version+"\n")
}

// local reports whether the caller sits on this host: the unix socket or a loopback address.
func local(c *command.Ctx) bool {
	if c.Sess.Has(session.Unix) || c.Conn == nil {
		return true
	}
	addr := c.Conn.Addr()
	return strings.HasPrefix(addr, "127.") || strings.HasPrefix(addr, "[::1]") || strings.HasPrefix(addr, "::1")
}

// permitted answers the error when command may not be used by this caller.
func permitted(c *command.Ctx, p Permission, command, directive string) bool {
	if p == PermitYes || p == PermitLocal && local(c) {
		return true
	}
	c.Fail(resp.ErrNotLocal(command, directive))
	return false
}
