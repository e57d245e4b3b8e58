package lua

import (
	"slices"
	"strconv"
	"strings"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/lua/vm"
)

// Console is the person who debugs: redis-cli --ldb, usually.
type Console interface {
	// Read waits for the next command. false: nobody is there any more; or fault says what was wrong with what came.
	Read() (words []string, fault string, ok bool)
	// Send sends lines as one reply.
	Send(lines []string)
}

// Bounds of a debugging session.
const (
	maxBreaks     = 64
	defaultMaxLen = 256
	leastMaxLen   = 60
	shownWords    = 10 // of a command called
)

// debugger is one session. It lives on the goroutine of the run.
type debugger struct {
	in       *interp
	con      Console
	commands []debugCommand
	src      []string // the script by lines
	breaks   []int
	step     bool // stop at the next line; calls are shown
	asked    bool // redis.breakpoint() was called
	line     int
	lines    []string // not sent yet
	maxLen   int      // of values and replies shown; 0: no bound
	hinted   bool
	gone     bool    // the person
	began    float64 // seconds, when the run went on
	limit    float64 // seconds it may run without a stop; 0: for ever
	inside   bool    // a command of the session runs code
}

// Debug runs a script step by step, as con says. seconds is how long it may run without a stop. The machine is the
// session's own.
func (e *Engine) Debug(s *Script, keys, args [][]byte, h Host, con Console, seconds float64, out *resp.Writer) Outcome {
	in := newInterp(e, false)
	d := &debugger{in: in, con: con, commands: debugCommands(), step: true, maxLen: defaultMaxLen, limit: seconds, src: strings.Split(strings.TrimRight(s.Body, "\r\n"), "\n")}
	in.debug = d
	_, code, _ := shebang(s.Body)
	p, cerr := vm.CompileDebug(code, "@user_script")
	if cerr != nil {
		panic("lua: a script compiles once and not twice: " + cerr.Error())
	}
	in.begin(h)
	m := in.vm
	m.Line = d.at
	m.Interrupt = d.interrupt
	d.began = e.o.Seconds()
	m.Globals.Set(in.keysName, in.array(keys).Value())
	m.Globals.Set(in.argvName, in.array(args).Value())
	v, err := m.Call(m.Load(p))
	var o Outcome
	if err != nil {
		o = in.failed(err, s.SHA, out)
	} else {
		o = in.reply(v, out)
	}
	d.say("<endsession>")
	d.send()
	return o
}

// at is told of every line.
func (d *debugger) at(line int) {
	d.line = line
	if d.inside {
		return
	}
	broken := slices.Contains(d.breaks, line)
	switch {
	case d.asked:
		d.stop("redis.breakpoint() called")
	case broken:
		d.stop("break point")
	case d.step:
		d.stop("step over")
	}
}

// interrupt is asked now and then.
func (d *debugger) interrupt() string {
	if why := d.in.host.Interrupt(); why != "" {
		return why
	}
	if d.inside || d.limit <= 0 || d.in.e.o.Seconds()-d.began < d.limit {
		return ""
	}
	if d.gone {
		return "timeout during Lua debugging with client closing connection"
	}
	d.line = d.in.vm.Where()
	d.stop("timeout reached, infinite loop?")
	return ""
}

// stop shows where the run is and obeys until it shall go on.
func (d *debugger) stop(reason string) {
	if d.gone {
		return
	}
	d.step, d.asked = false, false
	d.say("* Stopped at " + strconv.Itoa(d.line) + ", stop reason = " + reason)
	d.sayLine(d.line)
	d.send()
	for d.obey() {
	}
	d.began = d.in.e.o.Seconds()
}

func (d *debugger) say(line string) { d.lines = append(d.lines, oneLine(line)) }

// sayLong is say for what may be long.
func (d *debugger) sayLong(line string) {
	if d.maxLen == 0 || len(line) <= d.maxLen {
		d.say(line)
		return
	}
	d.say(line[:d.maxLen] + " ...")
	if !d.hinted {
		d.hinted = true
		d.say("<hint> The above reply was trimmed. Use 'maxlen 0' to disable trimming.")
	}
}

func (d *debugger) send() {
	d.con.Send(d.lines)
	d.lines = d.lines[:0]
}

// sayLine shows a line of the script, marked when the run is there or a breakpoint is.
func (d *debugger) sayLine(n int) {
	text := "<out of range source code line>"
	if n >= 1 && n <= len(d.src) {
		text = d.src[n-1]
	}
	mark := []byte("   ")
	if n == d.line {
		mark[0], mark[1] = '-', '>'
	}
	if slices.Contains(d.breaks, n) {
		mark[2] = '#'
	}
	number := strconv.Itoa(n)
	d.say(string(mark) + number + strings.Repeat(" ", max(3-len(number), 0)) + " " + text)
}

// list shows the lines up to ctx away from line.
func (d *debugger) list(line, ctx int) {
	for n := max(1, line-ctx); n <= min(len(d.src), line+ctx); n++ {
		d.sayLine(n)
	}
}

// debugCommand is one command of the console; shorter forms are its beginning letters.
type debugCommand struct {
	names []string
	// run reports whether the session waits for the next command.
	run func(d *debugger, words []string) bool
}

func debugCommands() []debugCommand {
	stay := func(f func(d *debugger, words []string)) func(*debugger, []string) bool {
		return func(d *debugger, words []string) bool {
			f(d, words)
			d.send()
			return true
		}
	}
	step := func(d *debugger, _ []string) bool { d.step = true; return false }
	return []debugCommand{
		{[]string{"h", "help"}, stay((*debugger).help)},
		{[]string{"s", "step", "n", "next"}, step},
		{[]string{"c", "continue"}, func(*debugger, []string) bool { return false }},
		{[]string{"l", "list"}, stay((*debugger).listWords)},
		{[]string{"w", "whole"}, stay(func(d *debugger, _ []string) { d.list(1, len(d.src)) })},
		{[]string{"p", "print"}, stay((*debugger).print)},
		{[]string{"b", "break"}, stay((*debugger).breakpoints)},
		{[]string{"t", "trace"}, stay((*debugger).trace)},
		{[]string{"e", "eval"}, stay((*debugger).eval)},
		{[]string{"r", "redis", "v", "valkey", "server"}, stay((*debugger).command)},
		{[]string{"m", "maxlen"}, stay((*debugger).setMaxLen)},
		{[]string{"a", "abort"}, func(d *debugger, _ []string) bool {
			d.in.vm.End("script aborted for user request")
			return false
		}},
	}
}

// obey reads one command and reports whether to wait for the next.
func (d *debugger) obey() bool {
	words, fault, ok := d.con.Read()
	if fault != "" {
		d.gone = true
		d.in.vm.End(fault)
	}
	if !ok { // the script goes on to its end by itself
		d.gone, d.step, d.breaks = true, false, nil
		return false
	}
	name := strings.ToLower(words[0])
	for _, c := range d.commands {
		if slices.Contains(c.names, name) && (c.names[0] != "r" || len(words) > 1) {
			return c.run(d, words)
		}
	}
	d.say("<error> Unknown Lua debugger command or wrong number of arguments.")
	d.send()
	return true
}

func (d *debugger) help([]string) {
	for _, line := range []string{
		"Lua debugger help:",
		"[h]elp               Show these lines.",
		"[s]tep               Run the current line and stop again.",
		"[n]ext               The same as step.",
		"[c]ontinue           Run until the next breakpoint.",
		"[l]ist [line] [ctx]  Show the code around the current line or that one,",
		"                     ctx lines before and after; line 0 is the current one.",
		"[w]hole              Show all of the code.",
		"[p]rint [var]        Show the local variables, or one of them, KEYS or ARGV.",
		"[b]reak              Show the breakpoints.",
		"[b]reak [-]<line>    Set a breakpoint, or with - take it away.",
		"[b]reak 0            Take all breakpoints away.",
		"[t]race              Show who called the running function.",
		"[e]val <code>        Run some Lua code, in a frame of its own.",
		"[r]edis <cmd>        Run a command.",
		"[m]axlen [len]       Cut what is shown to len bytes; 0 is no bound.",
		"[a]bort              End the script. In sync mode what it wrote stays.",
		"",
		"What scripts can call:",
		"redis.debug()        Show values here.",
		"redis.breakpoint()   Stop as if the next line had a breakpoint.",
	} {
		d.say(line)
	}
}

func (d *debugger) listWords(words []string) {
	around, ctx := d.line, 5
	if len(words) > 1 {
		if n, _ := strconv.Atoi(words[1]); n > 0 {
			around = n
		}
	}
	if len(words) > 2 {
		ctx, _ = strconv.Atoi(words[2])
	}
	d.list(around, ctx)
}

func (d *debugger) print(words []string) {
	m := d.in.vm
	levels := m.Levels()
	if len(words) != 2 {
		none := true
		if len(levels) > 0 {
			levels[0].Locals(func(name string, v vm.Value) {
				none = false
				d.sayLong("<value> " + name + " = " + showForPeople(v))
			})
		}
		if none {
			d.say("No local variables in the current context.")
		}
		return
	}
	for _, l := range levels {
		var found *vm.Value
		l.Locals(func(name string, v vm.Value) {
			if name == words[1] && found == nil {
				found = &v
			}
		})
		if found != nil {
			d.sayLong("<value> " + showForPeople(*found))
			return
		}
	}
	if words[1] == "KEYS" || words[1] == "ARGV" {
		d.sayLong("<value> " + showForPeople(m.Globals.GetString(words[1])))
		return
	}
	d.say("No such variable.")
}

func (d *debugger) breakpoints(words []string) {
	if len(words) == 1 {
		if len(d.breaks) == 0 {
			d.say("No breakpoints set. Use 'b <line>' to add one.")
			return
		}
		d.say(strconv.Itoa(len(d.breaks)) + " breakpoints set:")
		for _, n := range d.breaks {
			d.sayLine(n)
		}
		return
	}
	for _, word := range words[1:] {
		n, err := strconv.Atoi(word)
		switch {
		case err != nil:
			d.say("Invalid argument:'" + word + "'")
		case n == 0:
			d.breaks = nil
			d.say("All breakpoints removed.")
		case n < 0:
			if i := slices.Index(d.breaks, -n); i >= 0 {
				d.breaks = slices.Delete(d.breaks, i, i+1)
				d.say("Breakpoint removed.")
			} else {
				d.say("No breakpoint in the specified line.")
			}
		case len(d.breaks) == maxBreaks:
			d.say("Too many breakpoints set.")
		case n > len(d.src):
			d.say("Wrong line number.")
		default:
			if !slices.Contains(d.breaks, n) {
				d.breaks = append(d.breaks, n)
			}
			d.list(n, 1)
		}
	}
}

func (d *debugger) trace([]string) {
	levels := d.in.vm.Levels()
	if len(levels) == 0 {
		d.say("<error> Can't retrieve Lua stack.")
	}
	for i, l := range levels {
		word, name := "From ", l.Name
		if i == 0 {
			word = "In "
		}
		if name == "" {
			name = "top level"
		}
		d.say(word + name + ":")
		d.sayLine(l.Line)
	}
}

// eval runs code: as an expression when it is one, else as statements.
func (d *debugger) eval(words []string) {
	code := strings.Join(words[1:], " ")
	p, err := vm.Compile("return "+code, "@ldb_eval")
	if err != nil {
		if p, err = vm.Compile(code, "@ldb_eval"); err != nil {
			d.say("<error> " + err.Error())
			return
		}
	}
	v, cerr := d.run(d.in.vm.Load(p))
	if cerr != nil {
		d.say("<error> " + d.errorOf(cerr))
		return
	}
	d.sayLong("<retval> " + showForPeople(v))
}

func (d *debugger) errorOf(err *vm.Error) string {
	if t := err.Value.AsTable(); t != nil {
		text, _ := d.in.errorText(t)
		return text
	}
	return err.Error()
}

// run calls fn while the script stands still.
func (d *debugger) run(fn *vm.Func, args ...vm.Value) (vm.Value, *vm.Error) {
	line := d.line
	d.inside = true
	defer func() { d.inside, d.line = false, line }()
	return d.in.vm.CallInside(fn, args...)
}

// command calls a command, which is shown with its reply as those of a line stepped over are.
func (d *debugger) command(words []string) {
	m := d.in.vm
	args := make([]vm.Value, len(words)-1)
	for i, word := range words[1:] {
		args[i] = m.NewString(word)
	}
	name := "redis"
	if strings.ToLower(words[0])[0] != 'r' {
		name = "server"
	}
	call := m.Globals.GetString(name).AsTable().GetString("call").AsFunc()
	d.step = true
	_, err := d.run(call, args...)
	d.step = false
	if err != nil && len(d.lines) == 0 {
		d.say("<error> " + d.errorOf(err))
	}
}

func (d *debugger) setMaxLen(words []string) {
	if len(words) == 2 {
		d.hinted = true
		n, _ := strconv.Atoi(words[1])
		if n != 0 {
			n = max(n, leastMaxLen)
		}
		d.maxLen = n
	}
	if d.maxLen == 0 {
		d.say("<value> replies are unlimited.")
		return
	}
	d.say("<value> replies are truncated at " + strconv.Itoa(d.maxLen) + " bytes.")
}

// called and answered show a call of the script while lines are stepped over.
func (d *debugger) called(argv [][]byte) {
	if d == nil || !d.step {
		return
	}
	line := "<redis>"
	for i, a := range argv {
		if i == shownWords {
			line += " ... (" + strconv.Itoa(len(argv)-i-1) + " more)"
			break
		}
		line += " " + string(a)
	}
	d.say(line)
}

func (d *debugger) answered(reply []byte) {
	if d == nil || !d.step {
		return
	}
	text, _ := appendReply(nil, reply)
	d.sayLong("<reply> " + string(text))
}

// breakpoint is redis.breakpoint().
func (in *interp) breakpoint(c *vm.Call) {
	if in.debug != nil {
		in.debug.asked = true
	}
	c.Push1(vm.Bool(in.debug != nil))
}

// debugSay is redis.debug().
func (in *interp) debugSay(c *vm.Call) {
	d := in.debug
	if d == nil {
		return
	}
	var shown []string
	for _, v := range c.Args {
		shown = append(shown, showForPeople(v))
	}
	d.say("<debug> line " + strconv.Itoa(d.line) + ": " + strings.Join(shown, ", "))
}
