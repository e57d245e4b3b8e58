package lua

import (
	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/lua/lib"
	"github.com/sextantdb/sextant/resp/lua/vm"
)

// Host is what a running script calls out to.
type Host interface {
	// Call runs a command and returns its reply in RESP of the given protocol, valid until the next call. counted says
	// that an error is in the statistics already.
	Call(argv [][]byte, proto int) (reply []byte)
	// Allowed says whether the caller may run a command by its ACL rules; known is false when there is no such command.
	Allowed(argv [][]byte) (ok, known bool)
	// SetRepl says where what the script writes goes: bit 0 the append only file, bit 1 the replicas.
	SetRepl(flags int)
	// Interrupt is asked now and then while the script runs; a text other than "" ends it.
	Interrupt() string
}

// interp is one machine with the server's globals.
type interp struct {
	e     *Engine
	vm    *vm.VM
	host  Host      // of the run going on, else nil
	debug *debugger // of a machine that is debugged, else nil

	proto    int // what redis.setresp chose
	argv     [][]byte
	argBytes []byte
	epoch    uint64 // Engine.epoch when it was taken
	weighed  int64  // UsedBytes when it was given back

	functions  bool // runs functions of libraries, not scripts
	front      *vm.Table
	frontMeta  *vm.Table
	libraryAPI *vm.Table // what the code of a library sees while it is loaded
	loading    *loading
	loaded     map[*Library]map[string]*vm.Func

	keysName, argvName, okName, okText vm.Value
}

func newInterp(e *Engine, functions bool) *interp {
	in := &interp{e: e, vm: vm.New(0), proto: resp.RESP2, functions: functions, keysName: vm.String("KEYS"), argvName: vm.String("ARGV"),
		okName: vm.String("ok"), okText: vm.String("OK"),
	}
	m := in.vm
	m.Interrupt = func() string {
		if in.host == nil {
			return ""
		}
		return in.host.Interrupt()
	}
	m.Caught = caught
	lib.Open(m)
	m.SeedRandom(e.seed())
	m.Library("os", map[string]vm.GoFunc{"clock": func(c *vm.Call) { c.Push1(vm.Number(e.o.Seconds())) }})
	in.openAPI()
	handler := m.NewFunc("", func(c *vm.Call) { c.Push1(c.Arg(1)) }).Value()
	m.Globals.SetString("__redis__err__handler", handler)
	in.protect()
	if functions {
		in.openLibraryAPI()
	}
	return in
}

// protect makes the globals and all tables in them read-only, and reading what is not there an error.
func (in *interp) protect() {
	m := in.vm
	in.strict(m.Globals)
	protectTable(m.Globals)
	protectTable(m.StringMeta())
}

// strict makes reading what is not in t an error.
func (in *interp) strict(t *vm.Table) {
	meta := in.vm.NewTable(0, 1)
	meta.SetString("__index", in.vm.NewFunc("", noGlobal).Value())
	t.SetMeta(meta)
}

func protectTable(t *vm.Table) {
	if t.ReadOnly() {
		return
	}
	t.SetReadOnly(true)
	t.Each(func(_, v vm.Value) bool {
		if u := v.AsTable(); u != nil {
			protectTable(u)
		}
		return true
	})
	if m := t.Meta(); m != nil {
		protectTable(m)
	}
}

func noGlobal(c *vm.Call) {
	if len(c.Args) != 2 {
		c.Errorf("Wrong number of arguments to luaProtectedTableError")
	}
	name, ok := c.Arg(2).ToString()
	if !ok {
		c.Errorf("Second argument to luaProtectedTableError must be a string or number")
	}
	c.Errorf("Script attempted to access nonexistent global variable '%s'", name)
}

// caught is what pcall returns for an error: the text of an error table, for scripts that were written when errors were
// texts. A table whose err is none leaves that behind itself, as in Redis.
func caught(v vm.Value) []vm.Value {
	t := v.AsTable()
	if t == nil {
		return []vm.Value{v}
	}
	text := t.GetString("err")
	if _, ok := text.ToString(); ok {
		return []vm.Value{text}
	}
	return []vm.Value{v, text}
}

// reset makes the machine ready for the next run.
func (in *interp) reset() {
	in.host = nil
	in.proto = resp.RESP2
	in.vm.CloseCoroutines() // they do not live longer than the call that made them
	in.vm.Clean()
	if cap(in.argBytes) > keptArgs {
		in.argBytes = nil
	}
	if cap(in.argv) > keptArgs/64 {
		in.argv = nil
	}
	clear(in.argv[:cap(in.argv)])
	if in.vm.MadeBytes() > weighFrom {
		in.vm.Settle()
	}
	in.weighed = in.vm.UsedBytes()
}

// weighFrom is how many bytes a machine makes between two weighings of what is left.
const weighFrom = 32 << 10

// keptArgs is how much room for arguments stays with a machine.
const keptArgs = 64 << 10

// Outcome is what a run answered besides its reply.
type Outcome struct {
	// Err is the error the client got, "" when the reply is no error.
	Err resp.Error
	// Counted says that the error was counted when it happened, inside the script.
	Counted bool
}

// Eval runs a script and writes its reply.
func (e *Engine) Eval(s *Script, keys, args [][]byte, h Host, out *resp.Writer) Outcome {
	in := e.take(false)
	defer e.give(in)
	in.begin(h)
	m := in.vm
	m.Globals.Set(in.keysName, in.array(keys).Value())
	m.Globals.Set(in.argvName, in.array(args).Value())
	v, err := m.Call(m.Load(s.proto))
	if err != nil {
		return in.failed(err, s.SHA, out)
	}
	return in.reply(v, out)
}

func (in *interp) begin(h Host) {
	in.host = h
	in.vm.SetLimit(in.e.o.MemoryLimit())
}

func (in *interp) array(words [][]byte) *vm.Table { return in.vm.NewStringTable(words) }
