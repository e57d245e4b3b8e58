package command

import "github.com/sextantdb/sextant/resp"

// ScriptRules are what a script or function declared about itself, and how it was called.
type ScriptRules struct {
	// Name is the script's SHA1 or the function's name.
	Name string
	// Eval says that it is a script of EVAL, not a function.
	Eval bool
	// Compat says that it declared nothing: a script without shebang line.
	Compat                                                  bool
	NoWrites, AllowOOM, AllowStale, NoCluster, AnyCrossSlot bool
	// ReadOnlyCall says that it was called by EVAL_RO or its like.
	ReadOnlyCall bool
}

// RunningScript is a script that runs over busy-reply-threshold.
type RunningScript struct {
	Name       string
	Eval       bool
	Argv       [][]byte
	DurationMs int64
}

// BusyError is what other clients are told meanwhile.
func (r RunningScript) BusyError() resp.Error {
	if r.Eval {
		return resp.ErrBusyScript
	}
	return resp.ErrBusyFunction
}

// Scripts is what a Host offers to the family of scripts besides Host.
type Scripts interface {
	// BeginScript refuses a run, or makes ready for it; then EndScript must follow.
	BeginScript(c *Ctx, r ScriptRules) resp.Error
	// EndScript reports whether the script touched keys whose stripes it did not come with; then it should come with all.
	EndScript(c *Ctx) (strayed bool)
	// CallScript runs a command for the script and returns its reply in RESP of protocol proto. It
	// is valid until the next call.
	CallScript(c *Ctx, argv [][]byte, proto int) []byte
	// ScriptAllowed says whether the caller may run argv; known is false when there is no such command.
	ScriptAllowed(c *Ctx, argv [][]byte) (ok, known bool)
	// ScriptRepl says who receives what the script writes from now on.
	ScriptRepl(c *Ctx, to Targets)
	// ScriptInterrupt is asked now and then while the script runs; a text ends it.
	ScriptInterrupt(c *Ctx) string
	// KillScript ends the script (eval) or the function that runs over its time.
	KillScript(eval bool) resp.Error
	// SlowScript tells of a script that runs over its time.
	SlowScript() (RunningScript, bool)
}
