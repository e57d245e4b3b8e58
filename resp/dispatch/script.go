package dispatch

import (
	"sync/atomic"
	"time"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/acl"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/session"
	"github.com/sextantdb/sextant/store/slot"
)

// scriptRun is the script a worker runs. It is part of the worker and used again.
type scriptRun struct {
	// Owned by the worker's goroutine.
	on       bool
	rules    command.ScriptRules
	readOnly bool            // no writes may come
	dirty    bool            // a write command was called: what is refused later would leave half
	oom      bool            // above maxmemory when it began
	withheld command.Targets // by redis.set_repl
	db       int             // the caller's
	slot     int             // of the keys so far in cluster mode; -1: none yet
	strayed  bool            // it touched a slot whose stripe it did not hold
	apart    bool            // each of its calls is a unit of its own; see Debugger
	anew     bool            // it could not have that stripe, and is run again with all
	start    int64
	served   int64       // when the loop last served others
	slow     *slowScript // set from busy-reply-threshold on
	out      resp.Writer
}

// slowScript is what others see of a script that runs over its time.
type slowScript struct {
	// Immutable.
	name    string
	eval    bool
	trusted bool // our primary sent it
	argv    [][]byte
	start   int64 // Dispatcher.clock

	// Any goroutine.
	wrote  atomic.Bool
	killed atomic.Bool
	die    atomic.Bool // the node ends: also when it wrote
}

// BeginScript implements command.Scripts: the reasons to refuse a run, in Redis' order.
func (w *worker) BeginScript(c *command.Ctx, r command.ScriptRules) resp.Error {
	d := w.d
	gates := Gate(d.gates.Load())
	trusted := w.client.trusted
	if trusted {
		gates = 0
	}
	oom := gates&GateMemory != 0 && !w.room
	if err := refuseScript(r, gates, oom, d); err != "" {
		return err
	}
	s := &w.script
	out := s.out
	*s = scriptRun{
		on: true, rules: r, readOnly: r.ReadOnlyCall || !r.Compat && r.NoWrites, oom: oom && !(!r.Compat && r.AllowOOM),
		db: c.Sess.DB(), slot: -1, start: w.ended, out: out,
	}
	if s.start == 0 {
		s.start = d.clock()
	}
	if d.router != nil && len(w.slots) > 0 && !trusted {
		s.slot = int(w.slots[0])
	}
	c.DontPropagate() // its commands propagate themselves
	return ""
}

func refuseScript(r command.ScriptRules, gates Gate, oom bool, d *Dispatcher) resp.Error {
	if r.Compat {
		if gates&GateStale != 0 {
			return resp.ErrMasterDown
		}
		return ""
	}
	if r.NoCluster && d.router != nil {
		return resp.ErrScriptNoCluster
	}
	if gates&GateStale != 0 && !r.AllowStale {
		return resp.ErrScriptStaleFlag
	}
	if !r.NoWrites {
		if gates&GateReadOnly != 0 {
			return resp.ErrScriptReadOnly
		}
		if gates&GateDisk != 0 {
			return scriptMisconf(*d.misconf.Load())
		}
		if r.ReadOnlyCall {
			return resp.ErrScriptWriteRO
		}
		if gates&GateReplicas != 0 {
			return resp.ErrNoReplicas
		}
	}
	if oom && !r.AllowOOM && !r.NoWrites {
		return resp.ErrScriptOOM
	}
	return ""
}

// scriptMisconf says for scripts why writes are refused.
func scriptMisconf(err resp.Error) resp.Error {
	if err == resp.ErrMisconfRDB {
		return resp.ErrScriptMisconfRDB
	}
	const head = len("MISCONF Errors writing to the AOF file: ")
	return resp.ErrScriptMisconfAOF(string(err[min(head, len(err)):]))
}

// EndScript implements command.Scripts.
func (w *worker) EndScript(c *command.Ctx) (strayed bool) {
	s := &w.script
	if s.slow != nil {
		w.d.scriptEnded(s.slow)
	}
	c.Sess.Select(s.db)
	w.txn.SelectDB(s.db)
	s.on, s.slow, s.withheld = false, nil, 0
	w.ended = 0
	if cap(s.out.Bytes()) > keptReply {
		s.out.Swap(nil)
	}
	s.out.Truncate(0)
	return s.strayed
}

// keptReply is how much room for the replies of a script's calls stays with the worker.
const keptReply = 64 << 10

// CallScript implements command.Scripts.
func (w *worker) CallScript(c *command.Ctx, argv [][]byte, proto int) []byte {
	s := &w.script
	s.out.Truncate(0)
	s.out.Proto = proto
	if s.anew { // this run counts for nothing any more
		s.out.Error(resp.ErrScriptCrossSlot)
		return s.out.Bytes()
	}
	cmd, refusal := w.d.table.Find(argv)
	if err := w.admitScript(c, cmd, refusal != "", argv); err != "" {
		w.d.observer.Rejected(w.index, cmd, err)
		s.out.Error(err)
		return s.out.Bytes()
	}
	out := c.Out
	c.Out, c.InScript = &s.out, true
	c.Effects.Withhold = s.withheld
	w.ended = 0 // the time since the last call is the script's own
	w.Call(c, cmd, argv)
	c.Effects.Withhold = 0
	c.Out, c.InScript = out, false
	w.txn.SelectDB(c.Sess.DB())
	return s.out.Bytes()
}

// admitScript is the whole list of reasons to refuse a call of a script, in Redis' order.
func (w *worker) admitScript(c *command.Ctx, cmd *command.Command, malformed bool, argv [][]byte) resp.Error {
	d, s := w.d, &w.script
	switch {
	case cmd == nil:
		return resp.ErrScriptUnknown
	case malformed:
		return resp.ErrScriptArity
	case cmd.Flags&command.NoScript != 0 && !d.scriptsAllowAll.Load():
		return resp.ErrScriptDenied
	}
	gates := Gate(d.gates.Load())
	if w.client.trusted {
		gates = 0
	}
	flags := cmd.FlagsOf(argv)
	if gates&GateStale != 0 && flags&command.Stale == 0 {
		return resp.ErrScriptStale
	}
	if u := c.Sess.User(); u != nil && !u.MayAll() && !w.client.trusted {
		if err := w.permitScript(u, cmd, argv); err != "" {
			return err
		}
	}
	if s.readOnly && flags&(command.Write|command.MayReplicate) != 0 {
		return resp.ErrScriptWrite
	}
	if flags&command.Write != 0 && !s.dirty {
		switch {
		case gates&GateReadOnly != 0:
			return resp.ErrReadOnly
		case gates&GateDisk != 0:
			return *d.misconf.Load()
		case gates&GateReplicas != 0:
			return resp.ErrNoReplicas
		}
	}
	if s.oom && !s.dirty && flags&command.DenyOOM != 0 {
		return resp.ErrOOM
	}
	if !s.apart {
		if err := w.reachScript(c, cmd, argv, flags); err != "" {
			return err
		}
	}
	if flags&command.Write != 0 {
		s.dirty = true
		if s.slow != nil {
			s.slow.wrote.Store(true)
		}
	}
	return ""
}

// routeScript lets a script touch only keys that are here and whose stripe it holds, or can have.
func (w *worker) routeScript(c *command.Ctx, cmd *command.Command, argv [][]byte, flags command.Flags) resp.Error {
	s, d := &w.script, w.d
	if !cmd.HasKeys() {
		return ""
	}
	w.refs, _ = cmd.KeysOf(argv, w.refs[:0], true)
	if len(w.refs) == 0 {
		return ""
	}
	at := slot.Of(argv[w.refs[0].Index])
	for _, r := range w.refs[1:] {
		if slot.Of(argv[r.Index]) != at {
			return resp.ErrScriptKeysApart(cmd.LowerName())
		}
	}
	if int(at) == s.slot && s.slow == nil {
		return "" // routed with the script, and its stripe has been held since
	}
	v := d.router.Route(command.RouteQuery{
		Slot: at, Write: flags&(command.Write|command.MayReplicate) != 0, ReadOnly: c.Sess.Any(session.ReadOnly),
		Asking: w.asking, Several: len(w.refs) > 1, Mono: w.mono,
	})
	switch v.Kind {
	case command.Refuse:
		return scriptRoute(v.Err, cmd)
	case command.Migrating, command.Importing:
		for _, r := range w.refs {
			if w.txn.Holds(at) && !w.txn.Exists(argv[r.Index]) {
				return scriptRoute(v.Err, cmd)
			}
		}
	}
	if !s.rules.Compat && !s.rules.AnyCrossSlot && !w.txn.Holds(at) {
		return resp.ErrScriptCrossSlot
	}
	if !w.stray(c, at) {
		return resp.ErrScriptCrossSlot
	}
	if !s.rules.Compat && !s.rules.AnyCrossSlot {
		if s.slot >= 0 && s.slot != int(at) {
			return resp.ErrScriptCrossSlot
		}
		s.slot = int(at)
	}
	return ""
}

// reachScript takes the stripes a call of a script needs and the script did not come with.
func (w *worker) reachScript(c *command.Ctx, cmd *command.Command, argv [][]byte, flags command.Flags) resp.Error {
	d := w.d
	if d.router != nil && !w.client.trusted {
		if err := w.routeScript(c, cmd, argv, flags); err != "" {
			return err
		}
	} else if !w.whole && cmd.HasKeys() {
		if k := cmd.SoleKey(); k > 0 && k < len(argv) {
			if at := slot.Of(argv[k]); !w.txn.Holds(at) && !w.stray(c, at) {
				return resp.ErrScriptCrossSlot
			}
		} else {
			w.refs, _ = cmd.KeysOf(argv, w.refs[:0], false)
			for _, r := range w.refs {
				if !w.stray(c, slot.Of(argv[r.Index])) {
					return resp.ErrScriptCrossSlot
				}
			}
		}
	}
	if !w.whole && flags&command.WholeDB != 0 {
		for stripe := range d.store.Stripes() {
			if !w.stray(c, slot.Slot(stripe)) {
				return resp.ErrScriptCrossSlot
			}
		}
	}
	return ""
}

// How long a script waits for a stripe it did not come with, where several scripts may do so.
const (
	strayWait      = 10 * time.Millisecond
	strayWaitWrote = time.Second // of one that cannot be run again
)

// stray takes the stripe of a slot that is not among those of the keys the script declared: alone a script may touch any key,
// and in a cluster one without shebang line any of this node.
//
// With one loop no other script can want what this one has, and what it waits for comes. With several (where only in a cluster
// scripts that write come with less than all) two could lock each other out: one that has waited too long and has not written is
// run again with all stripes, one that has gets an error. From its next run on such a script comes with all (EndScript), so
// that this happens once.
func (w *worker) stray(c *command.Ctx, at slot.Slot) bool {
	if w.txn.Holds(at) {
		return true
	}
	s, d := &w.script, w.d
	s.strayed = len(d.workers) > 1
	end := d.clock() + int64(strayWait)
	if s.dirty || c.Nested > 0 {
		end = d.clock() + int64(strayWaitWrote)
	}
	giveUp := func() bool {
		now := d.clock()
		d.scriptPulse.Store(now)
		return len(d.workers) > 1 && now >= end
	}
	for w.txn.Extend(at, giveUp) {
		if Gate(d.gates.Load())&GateMoving == 0 || !d.movesWithin(at) {
			return true
		}
		w.txn.Retract(at) // a key there is under way to another node; at its end that needs the stripe
		if giveUp() {
			break
		}
		time.Sleep(lockWaitMost)
	}
	s.anew = !s.dirty && c.Nested == 0
	return false
}

// scriptRoute says to a script what a client is told by a redirection.
func scriptRoute(err resp.Error, cmd *command.Command) resp.Error {
	switch {
	case err == resp.ErrClusterDownReadOnly:
		return resp.ErrScriptDownReadOnly
	case err == resp.ErrClusterDownUnbound:
		return resp.ErrScriptUnserved
	case err.Code() == "CLUSTERDOWN":
		return resp.ErrScriptDown
	case err.Code() == "TRYAGAIN":
		return resp.ErrScriptUnstable(cmd.LowerName())
	}
	return resp.ErrScriptNotLocal
}

// ScriptAllowed implements command.Scripts.
func (w *worker) ScriptAllowed(c *command.Ctx, argv [][]byte) (ok, known bool) {
	cmd, _ := w.d.table.Find(argv)
	if cmd == nil {
		return false, false
	}
	u := c.Sess.User()
	if u == nil || w.client.trusted {
		return true, true
	}
	why, _ := cmd.Permission(u, argv, &w.refs)
	return why == acl.Allowed, true
}

// ScriptRepl implements command.Scripts.
func (w *worker) ScriptRepl(_ *command.Ctx, to command.Targets) {
	w.script.withheld = command.ToAll &^ to
}

// innerWorker is the worker that runs commands while a script of w does.
func (w *worker) innerWorker() *worker {
	if w.inner == nil {
		w.inner = newWorker(w.d, w.index)
		w.inner.within = true
	}
	return w.inner
}

// interludeEvery is how often a script over its time lets its loop serve others.
const interludeEvery = int64(time.Millisecond)

// ScriptInterrupt implements command.Scripts.
func (w *worker) ScriptInterrupt(c *command.Ctx) string {
	s := &w.script
	d := w.d
	if s.anew {
		return "the script is run again with all stripes"
	}
	now := d.clock()
	d.scriptPulse.Store(now)
	if s.slow == nil {
		limit := d.scriptLimit.Load()
		if limit <= 0 || now-s.start < limit {
			return ""
		}
		s.slow = d.scriptIsSlow(w, c)
	}
	if conn := w.client.conn; conn != nil && now-s.served >= interludeEvery {
		s.served = now
		client, argv := w.client, w.argv
		conn.Loop().Interlude()
		w.client, w.argv = client, argv
	}
	if s.slow.die.Load() {
		c.Effects.Clear() // the node ends without saving: nothing of it shall remain anywhere
		return "Script killed by SHUTDOWN NOSAVE."
	}
	if s.slow.killed.Load() {
		if s.slow.eval {
			return "Script killed by user with SCRIPT KILL."
		}
		return "Script killed by user with FUNCTION KILL."
	}
	return ""
}

// ScriptAlive reports whether a script was seen running within the last quarter of a second: what seems to hang then does not.
// Any goroutine.
func (d *Dispatcher) ScriptAlive() bool {
	return d.scripts.Load() > 0 && d.clock()-d.scriptPulse.Load() < int64(time.Second/4)
}

// SetScriptLimit sets busy-reply-threshold: how long a script may run before others are told that the node is busy;
// 0 and less: for ever.
func (d *Dispatcher) SetScriptLimit(ms int64) { d.scriptLimit.Store(ms * 1e6) }

// SetScriptsAllowAll lets scripts run what they may not (DEBUG SET-DISABLE-DENY-SCRIPTS).
func (d *Dispatcher) SetScriptsAllowAll(on bool) { d.scriptsAllowAll.Store(on) }

// scriptIsSlow closes the gate for everything that has to wait for the script.
func (d *Dispatcher) scriptIsSlow(w *worker, c *command.Ctx) *slowScript {
	s := &slowScript{
		name: w.script.rules.Name, eval: w.script.rules.Eval, trusted: w.client.trusted, start: w.script.start,
	}
	for _, a := range c.Argv {
		s.argv = append(s.argv, append([]byte(nil), a...))
	}
	s.wrote.Store(w.script.dirty)
	d.mu.Lock()
	d.mu.slow = append(d.mu.slow, s)
	d.SetGate(GateBusy, true)
	d.mu.Unlock()
	if d.scriptSlow != nil {
		d.scriptSlow(s.name, (d.clock()-s.start)/1e6)
	}
	return s
}

func (d *Dispatcher) scriptEnded(s *slowScript) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, other := range d.mu.slow {
		if other == s {
			d.mu.slow = append(d.mu.slow[:i], d.mu.slow[i+1:]...)
			break
		}
	}
	d.SetGate(GateBusy, len(d.mu.slow) > 0)
}

// KillScript implements command.Scripts.
func (w *worker) KillScript(eval bool) resp.Error {
	d := w.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.mu.slow) == 0 {
		return resp.ErrNotBusy
	}
	s := d.mu.slow[0]
	for _, other := range d.mu.slow {
		if other.eval == eval {
			s = other
			break
		}
	}
	switch {
	case s.trusted:
		return resp.ErrUnkillableMaster
	case s.wrote.Load():
		return resp.ErrUnkillable
	case eval && !s.eval:
		return resp.ErrBusyFunction
	case !eval && s.eval:
		return resp.ErrBusyScript
	}
	s.killed.Store(true)
	return ""
}

// SlowScript implements command.Scripts.
func (w *worker) SlowScript() (command.RunningScript, bool) {
	d := w.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.mu.slow) == 0 {
		return command.RunningScript{}, false
	}
	s := d.mu.slow[0]
	return command.RunningScript{Name: s.name, Eval: s.eval, Argv: s.argv, DurationMs: (d.clock() - s.start) / 1e6}, true
}

// DropScripts ends all scripts that run over their time, whatever they have done: the node ends and saves nothing.
func (d *Dispatcher) DropScripts() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.mu.slow {
		s.die.Store(true)
	}
}

// Busy is what clients are told while a script runs over its time; "" when none does. Any goroutine.
func (d *Dispatcher) Busy() resp.Error {
	if Gate(d.gates.Load())&GateBusy == 0 {
		return ""
	}
	return d.busyError()
}

// busyError is what clients are told while scripts run over their time.
func (d *Dispatcher) busyError() resp.Error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.mu.slow) > 0 && !d.mu.slow[0].eval {
		return resp.ErrBusyFunction
	}
	return resp.ErrBusyScript
}
