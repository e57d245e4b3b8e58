package vm

import (
	"fmt"
	"strings"
)

// Error is a Lua error on its way up. VM.Call returns it.
type Error struct {
	// Value is what was thrown: a string with its position for errors of the machine, anything for error().
	Value Value
	// Source and Line say where, as debug.getinfo would: of the Lua function that failed, or that called the built-in
	// function that did. Line is -1 when there is none.
	Source string
	Line   int
	// Fatal errors are not caught by scripts: the memory bound, a kill.
	Fatal bool
}

// Error makes it a Go error.
func (e *Error) Error() string {
	if s, ok := e.Value.ToString(); ok {
		return s
	}
	return "(error object is a " + e.Value.TypeName() + " value)"
}

// throw raises v as it is.
func (th *Thread) throw(v Value) {
	e := &Error{Value: v}
	e.Source, e.Line = th.position()
	panic(e)
}

// throwFatal raises what no pcall catches.
func (vm *VM) throwFatal(text string) {
	e := &Error{Value: String(text), Fatal: true}
	e.Source, e.Line = "=[C]", -1
	if vm.cur != nil {
		e.Source, e.Line = vm.cur.position()
	}
	panic(e)
}

// Throw raises v from a Go function.
func (c *Call) Throw(v Value) { c.th.throw(v) }

// Errorf raises a message with the position of the function that called the running Go function.
func (c *Call) Errorf(format string, args ...any) {
	c.th.throw(String(c.th.where(1) + fmt.Sprintf(format, args...)))
}

// ArgError raises "bad argument #n to 'name' (what)".
func (c *Call) ArgError(n int, what string) {
	kind, name := c.th.calledAs()
	if kind == "method" {
		n--
		if n == 0 {
			c.Errorf("calling '%s' on bad self (%s)", name, what)
		}
	}
	c.Errorf("bad argument #%d to '%s' (%s)", n, name, what)
}

func (c *Call) typeError(n int, want string) {
	got := "no value"
	if n <= len(c.Args) {
		got = c.Args[n-1].TypeName()
	}
	c.ArgError(n, want+" expected, got "+got)
}

// failf raises a message at line of the Lua function running in f.
func (f *frame) failf(line int32, format string, args ...any) {
	f.line = line
	f.th.throw(String(f.th.where(0) + fmt.Sprintf(format, args...)))
}

// where is "source:line: " of the function level levels below the running one, "" when it is no Lua function.
func (th *Thread) where(level int) string {
	i := th.depth - 1 - level
	if i < 0 || i >= th.depth {
		return ""
	}
	fr := th.frames[i]
	if fr.fn == nil || fr.fn.proto == nil {
		return ""
	}
	return fmt.Sprintf("%s:%d: ", chunkID(fr.fn.proto.source), fr.line)
}

// position is that of the top function, or if it is built in, of the one below.
func (th *Thread) position() (source string, line int) {
	for i := th.depth - 1; i >= max(0, th.depth-2); i-- {
		if fn := th.frames[i].fn; fn != nil && fn.proto != nil {
			return fn.proto.source, int(th.frames[i].line)
		}
	}
	return "=[C]", -1
}

// calledAs is how the caller of the running function names it in its source: "field", "rep".
func (th *Thread) calledAs() (kind, name string) {
	if th.depth >= 2 {
		if kind, name := nameIn(th.frames[th.depth-2].callName); kind != "" {
			return kind, name
		}
	}
	return "", "?"
}

// nameIn takes "field 'rep'" apart.
func nameIn(callName string) (kind, name string) {
	if kind, name, ok := strings.Cut(callName, " '"); ok {
		return kind, strings.TrimSuffix(name, "'")
	}
	return "", ""
}

const idSize = 60

// chunkID shows a chunk's name in messages.
func chunkID(source string) string {
	if source == "" {
		return `[string ""]`
	}
	switch source[0] {
	case '=':
		return source[1:min(len(source), idSize)]
	case '@':
		source = source[1:]
		if room := idSize - len(" '...' ") - 1; len(source) > room {
			return "..." + source[len(source)-room:]
		}
		return source
	}
	n := strings.IndexAny(source, "\r\n")
	cut := n >= 0
	if !cut {
		n = len(source)
	}
	if room := idSize - len(` [string "..."] `) - 1; n > room {
		n, cut = room, true
	}
	if cut {
		return `[string "` + source[:n] + `..."]`
	}
	return `[string "` + source[:n] + `"]`
}
