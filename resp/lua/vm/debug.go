package vm

import "unsafe"

// What a debugger sees of a machine whose code was compiled with CompileDebug, from inside VM.Line or VM.Interrupt.

func (c *compiler) at(s *stmtAt) stmtFn {
	inner := func(*frame) signal { return sigNext }
	if s.s != nil {
		inner = c.statement(s.s)
	}
	line, active, fresh, back := s.line, s.active, s.fresh, s.back
	return func(f *frame) signal {
		f.scope = active
		if hook := f.th.vm.Line; hook != nil && line > 0 && (fresh || f.atLine != line) {
			f.line, f.atLine = line, line
			hook(int(line))
		}
		if back {
			f.atLine = 0
		}
		return inner(f)
	}
}

// Level is one running function of code compiled with CompileDebug.
type Level struct {
	Name string // how its caller names it; "" at the top, or when it has no name
	Line int
	f    *frame
}

// Levels are those running functions of the running thread, the innermost first.
func (vm *VM) Levels() (levels []Level) {
	th := vm.cur
	for i := th.depth - 1; i >= 0; i-- {
		f := th.frames[i]
		if f.fn == nil || f.fn.proto == nil || !f.fn.proto.debug {
			continue
		}
		l := Level{Line: int(f.line), f: f}
		if i > 0 {
			if from := th.frames[i-1]; from.fn != nil && from.fn.proto != nil {
				_, l.Name = nameIn(from.callName)
			}
		}
		levels = append(levels, l)
	}
	return levels
}

// Locals calls f for the locals in scope, in the order in which they were declared.
func (l Level) Locals(f func(name string, v Value)) {
	for _, v := range l.f.scope {
		x := l.f.regs[v.slot]
		if x.Kind() == kindCell {
			x = (*cell)(x.p).v
		}
		f(v.name, x)
	}
}

// Where is the line that runs, 0 when there is none.
func (vm *VM) Where() int {
	if levels := vm.Levels(); len(levels) > 0 {
		return levels[0].Line
	}
	return 0
}

// CallInside calls fn while a function of the machine runs.
func (vm *VM) CallInside(fn *Func, args ...Value) (result Value, err *Error) {
	th := vm.cur
	rets, err := th.protect(funcValue(fn), args, th.top)
	if err == nil && len(rets) > 0 {
		result = rets[0]
	}
	return result, err
}

// End ends the run with an error that the script cannot catch.
func (vm *VM) End(text string) { vm.throwFatal(text) }

// Pointer is what tells objects of one kind apart, for people.
func (v Value) Pointer() unsafe.Pointer { return v.p }
