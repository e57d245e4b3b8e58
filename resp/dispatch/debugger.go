package dispatch

import (
	"time"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/session"
)

// Debugger runs the calls of a script that somebody steps through. Redis stands still meanwhile, or forks; here each call is
// a unit of its own, so that nobody waits for the person at the keyboard: others may change keys between two calls. It is
// owned by one goroutine.
type Debugger struct {
	w        *worker
	c        *client
	out      resp.Writer
	noWrites bool
	clock    func() (nowMs, mono int64)
	quit     <-chan struct{}
}

// NewDebugger returns a Debugger for the user, database and protocol of caller. noWrites: what the script writes is refused.
// clock tells Unix time and CLOCK_BOOTTIME; quit is closed when the node ends.
func (d *Dispatcher) NewDebugger(caller *session.Session, noWrites bool, clock func() (nowMs, mono int64), quit <-chan struct{}) *Debugger {
	g := &Debugger{w: newWorker(d, len(d.workers)), noWrites: noWrites, clock: clock, quit: quit}
	g.c = &client{w: g.w, out: &g.out}
	g.c.sess.Init(0, caller.Account(), session.Internal)
	g.c.sess.Select(caller.DB())
	g.w.client, g.w.ctx.Sess = g.c, &g.c.sess
	return g
}

// Begin refuses a run, or makes ready for it, as BeginScript does.
func (g *Debugger) Begin(r command.ScriptRules) resp.Error {
	w := g.w
	if err := refuseScript(r, Gate(w.d.gates.Load()), false, w.d); err != "" {
		return err
	}
	w.script = scriptRun{rules: r, readOnly: r.ReadOnlyCall || !r.Compat && r.NoWrites, apart: true}
	return ""
}

// Call runs one command and returns its reply, valid until the next call.
func (g *Debugger) Call(argv [][]byte, proto int) []byte {
	w, c := g.w, g.c
	w.client = c
	g.out.Truncate(0)
	g.out.Proto = proto
	w.nowMs, w.mono = g.clock()
	w.ended = 0
	cmd, refusal := w.d.table.Find(argv)
	err := w.admitScript(&w.ctx, cmd, refusal != "", argv)
	if err == "" && g.noWrites && cmd.FlagsOf(argv)&(command.Write|command.MayReplicate) != 0 {
		err = resp.ErrDebugWrites
	}
	if err != "" {
		w.d.observer.Rejected(w.index, cmd, err)
		g.out.Error(err)
		return g.out.Bytes()
	}
	w.ctx.InScript = true
	for flags := cmd.FlagsOf(argv); g.out.Len() == 0; {
		w.d.AwaitUnpaused(g.quit)
		gates := Gate(w.d.gates.Load())
		if gates&(GatePause|GateLoading|GateBusy) != 0 { // a pause that is none of the clients'
			g.out.Error(resp.ErrTryAgain)
		} else if w.execute(c, cmd, argv, flags, gates) && g.out.Len() == 0 {
			time.Sleep(lockWaitMost) // a key of it is under way to another node
		}
	}
	return g.out.Bytes()
}

// Allowed says whether the caller may run a command.
func (g *Debugger) Allowed(argv [][]byte) (ok, known bool) { return g.w.ScriptAllowed(&g.w.ctx, argv) }

// SetTargets says where what the script writes from now on goes.
func (g *Debugger) SetTargets(to command.Targets) { g.w.script.withheld = command.ToAll &^ to }
