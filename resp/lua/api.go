package lua

import (
	"crypto/sha1"
	"encoding/hex"
	"math"
	"strconv"
	"strings"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/lua/vm"
)

// Where writes go, for redis.set_repl.
const (
	ReplAOF     = 1
	ReplReplica = 2
	ReplAll     = ReplAOF | ReplReplica
)

// api is what a script reaches through one global: redis, as Redis 7.2 calls it, or server, as Valkey does. Both do the
// same; errors name the one that was called and have the words of the one that has it.
type api struct {
	*interp
	dialect
}

// dialect is the words in which redis.* and server.* differ.
type dialect struct {
	name         string
	noArguments  string
	notStrings   string
	setReplWords string
	refusals     map[resp.Error]resp.Error // of calls, when they are others than the one list's
}

var (
	redisWords = dialect{
		name: "redis", noArguments: "Please specify at least one argument for this redis lib call",
		notStrings: "Lua redis lib command arguments must be strings or integers", setReplWords: "two arguments",
	}
	serverWords = dialect{
		name: "server", noArguments: "Please specify at least one argument for this call",
		notStrings: "Command arguments must be strings or integers", setReplWords: "one argument",
		refusals: map[resp.Error]resp.Error{
			resp.ErrScriptUnknown: "ERR Unknown command called from script",
			resp.ErrScriptArity:   "ERR Wrong number of args calling command from script",
		},
	}
)

func (in *interp) apis() []api { return []api{{in, redisWords}, {in, serverWords}} }

// openAPI makes redis.* and server.*.
func (in *interp) openAPI() {
	m := in.vm
	for _, a := range in.apis() {
		t := m.Library(a.name, a.common())
		if !in.functions {
			m.AddFunctions(t, map[string]vm.GoFunc{
				"breakpoint": in.breakpoint, "debug": in.debugSay,
				"replicate_commands": func(c *vm.Call) { c.Push1(vm.True) },
			})
		}
		in.levels(t)
		for i, name := range []string{"REPL_NONE", "REPL_AOF", "REPL_SLAVE", "REPL_REPLICA", "REPL_ALL"} {
			t.SetString(name, vm.Int([]int{0, ReplAOF, ReplReplica, ReplReplica, ReplAll}[i]))
		}
	}
}

// common are the functions that scripts and libraries have.
func (in api) common() map[string]vm.GoFunc {
	return map[string]vm.GoFunc{
		"call":  func(c *vm.Call) { in.call(c, true) },
		"pcall": func(c *vm.Call) { in.call(c, false) },
		"log":   in.log, "setresp": in.setResp, "sha1hex": sha1Hex, "error_reply": in.errorReply, "status_reply": in.statusReply,
		"set_repl": in.setRepl, "acl_check_cmd": in.aclCheck,
	}
}

// levels are the constants that library code sees while it is loaded, too.
func (in *interp) levels(t *vm.Table) {
	for level, name := range []string{"LOG_DEBUG", "LOG_VERBOSE", "LOG_NOTICE", "LOG_WARNING"} {
		t.SetString(name, vm.Int(level))
	}
	for _, who := range []string{"REDIS", "VALKEY"} { // scripts ask for the one or the other
		t.SetString(who+"_VERSION_NUM", vm.Int(versionNumber(in.e.o.Version)))
		t.SetString(who+"_VERSION", vm.String(in.e.o.Version))
	}
	t.SetString("SERVER_NAME", vm.String("redis"))
}

// versionNumber is 0x00MMmmpp of "MM.mm.pp".
func versionNumber(version string) (n int) {
	for _, part := range strings.SplitN(version, ".", 3) {
		v, _ := strconv.Atoi(part)
		n = n<<8 | v&0xff
	}
	return n
}

// errorTable is {err = text}; text may begin with '-', and then its first word is the code, else the code is ERR.
func (in *interp) errorTable(text string) *vm.Table {
	code := "ERR"
	if rest, ok := strings.CutPrefix(text, "-"); ok {
		if c, msg, found := strings.Cut(rest, " "); found {
			code, text = c, msg
		} else {
			text = rest
		}
	}
	t := in.vm.NewTable(0, 0)
	t.SetString("err", in.vm.NewString(code+" "+strings.Trim(text, "\r\n")))
	return t
}

func (in *interp) raise(c *vm.Call, text string) { c.Throw(in.errorTable(text).Value()) }

// words turns the arguments of a call into a command. They are valid until the next one.
func (in api) words(c *vm.Call) (argv [][]byte, problem string) {
	if len(c.Args) == 0 {
		return nil, in.noArguments
	}
	b, argv := in.argBytes[:0], in.argv[:0]
	need := 0
	for _, a := range c.Args {
		if s, ok := a.AsString(); ok {
			need += len(s)
		} else {
			need += 32
		}
	}
	if cap(b) < need {
		b = make([]byte, 0, need+need/2)
	}
	for _, a := range c.Args {
		from := len(b)
		if s, ok := a.AsString(); ok {
			b = append(b, s...)
		} else if f, ok := a.AsNumber(); ok {
			b = appendNumber(b, f)
		} else {
			return nil, in.notStrings
		}
		argv = append(argv, b[from:len(b):len(b)])
	}
	in.argBytes, in.argv = b, argv
	return argv, ""
}

// appendNumber is C's "%.17g"; whole numbers are written as integers as far as a double is exact.
func appendNumber(b []byte, f float64) []byte {
	if f == math.Trunc(f) && math.Abs(f) < 1e17 && (f != 0 || !math.Signbit(f)) {
		return strconv.AppendInt(b, int64(f), 10)
	}
	return append(b, vm.FormatG(f, 17)...)
}

// call is redis.call, and redis.pcall, which returns errors.
func (in api) call(c *vm.Call, raise bool) {
	argv, problem := in.words(c)
	var v vm.Value
	failed := true
	switch {
	case problem != "":
		v = in.errorTable(problem).Value()
	case in.host == nil:
		v = in.errorTable(in.name + ".call/pcall can only be called inside a script invocation").Value()
	default:
		in.debug.called(argv)
		reply := in.host.Call(argv, in.proto)
		if failed = len(reply) > 0 && reply[0] == '-'; failed && in.refusals != nil {
			text, _ := line(reply[1:])
			if other := in.refusals[resp.Error(text)]; other != "" {
				reply = []byte("-" + other + "\r\n")
			}
		}
		in.debug.answered(reply)
		v, _ = in.toLua(reply, 0)
	}
	if failed && raise {
		c.Throw(v)
	}
	c.Push1(v)
}

func (in api) log(c *vm.Call) {
	if len(c.Args) < 2 {
		in.raise(c, in.name+".log() requires two arguments or more.")
	}
	n, ok := c.Arg(1).ToNumber()
	if !ok {
		in.raise(c, "First argument must be a number (log level).")
	}
	level := int(n)
	if level < 0 || level > 3 {
		in.raise(c, "Invalid debug level.")
	}
	var parts []string
	for _, a := range c.Args[1:] {
		if s, ok := a.ToString(); ok {
			parts = append(parts, s)
		}
	}
	in.e.o.Log(level, strings.Join(parts, " "))
}

func (in api) setResp(c *vm.Call) {
	if len(c.Args) != 1 {
		in.raise(c, in.name+".setresp() requires one argument.")
	}
	n, _ := c.Arg(1).ToNumber()
	if n = math.Trunc(n); n != resp.RESP2 && n != resp.RESP3 {
		in.raise(c, "RESP version must be 2 or 3.")
	}
	in.proto = int(n)
}

func sha1Hex(c *vm.Call) {
	if len(c.Args) != 1 {
		// The text of a Lua error table with its code, as errorTable makes it.
		t := c.VM().NewTable(0, 1)
		t.SetString("err", vm.String("ERR wrong number of arguments"))
		c.Throw(t.Value())
	}
	s, _ := c.Arg(1).ToString()
	sum := sha1.Sum([]byte(s))
	c.PushString(hex.EncodeToString(sum[:]))
}

const errOneString = "wrong number or type of arguments"

func (in *interp) errorReply(c *vm.Call) {
	s, ok := c.Arg(1).AsString()
	if len(c.Args) != 1 || !ok {
		c.Push1(in.errorTable(errOneString).Value())
		return
	}
	if !strings.HasPrefix(s, "-") {
		s = "-" + s
	}
	c.Push1(in.errorTable(s).Value())
}

func (in *interp) statusReply(c *vm.Call) {
	if len(c.Args) != 1 || c.Arg(1).Kind() != vm.KindString {
		c.Push1(in.errorTable(errOneString).Value())
		return
	}
	t := in.vm.NewTable(0, 0)
	t.SetString("ok", c.Arg(1))
	c.Push1(t.Value())
}

func (in api) setRepl(c *vm.Call) {
	if len(c.Args) != 1 {
		in.raise(c, in.name+".set_repl() requires "+in.setReplWords+".")
	}
	n, _ := c.Arg(1).ToNumber()
	flags := int(n)
	if flags&^ReplAll != 0 {
		in.raise(c, "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.")
	}
	if in.host != nil {
		in.host.SetRepl(flags)
	}
}

func (in api) aclCheck(c *vm.Call) {
	argv, problem := in.words(c)
	if problem != "" {
		in.raise(c, problem)
	}
	if in.host == nil {
		in.raise(c, in.name+".acl_check_cmd can only be called inside a script invocation")
	}
	ok, known := in.host.Allowed(argv)
	if !known {
		in.raise(c, "Invalid command passed to "+in.name+".acl_check_cmd()")
	}
	c.Push1(vm.Bool(ok))
}
