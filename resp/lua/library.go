package lua

import (
	"sort"
	"strings"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/lua/vm"
)

// Library is one function library. Immutable.
type Library struct {
	Name      string
	Code      string // with its first line
	Functions []*Function
	proto     *vm.Proto
}

// Function is one function of a library. Immutable.
type Function struct {
	Name           string
	Description    string
	HasDescription bool
	Flags          Flags
	Library        *Library
}

// Libraries is a set of libraries. Immutable: changes make a new one.
type Libraries struct {
	list   []*Library // by name
	byName map[string]*Library
	byFunc map[string]*Function // by name in lower case
}

func noLibraries() *Libraries {
	return &Libraries{byName: map[string]*Library{}, byFunc: map[string]*Function{}}
}

// List is all libraries by name.
func (l *Libraries) List() []*Library { return l.list }

// Function returns the function called name, or nil.
func (l *Libraries) Function(name []byte) *Function { return l.byFunc[strings.ToLower(string(name))] }

// Library returns the library called name, or nil.
func (l *Libraries) Library(name string) *Library { return l.byName[name] }

// Codes are the libraries' texts, for files and replicas.
func (l *Libraries) Codes() [][]byte {
	out := make([][]byte, len(l.list))
	for i, lib := range l.list {
		out[i] = []byte(lib.Code)
	}
	return out
}

func (l *Libraries) count() (libraries, functions, bytes int64) {
	for _, lib := range l.list {
		bytes += int64(len(lib.Code) + lib.proto.Bytes() + 256*len(lib.Functions))
	}
	return int64(len(l.list)), int64(len(l.byFunc)), bytes
}

// change makes a set without drop and with add, which must not have functions of others.
func (l *Libraries) change(drop *Library, add ...*Library) (*Libraries, resp.Error) {
	n := noLibraries()
	for _, lib := range l.list {
		if lib != drop {
			n.link(lib)
		}
	}
	for _, lib := range add {
		for _, f := range lib.Functions {
			if n.byFunc[strings.ToLower(f.Name)] != nil {
				return nil, resp.Errorf("ERR Function %s already exists", f.Name)
			}
		}
		n.link(lib)
	}
	sort.Slice(n.list, func(i, j int) bool { return n.list[i].Name < n.list[j].Name })
	return n, ""
}

func (l *Libraries) link(lib *Library) {
	l.list = append(l.list, lib)
	l.byName[lib.Name] = lib
	for _, f := range lib.Functions {
		l.byFunc[strings.ToLower(f.Name)] = f
	}
}

// Libraries returns the set in force.
func (e *Engine) Libraries() *Libraries {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.libs
}

// put puts a set in force. Machines that have run others' code are forgotten with it.
func (e *Engine) put(l *Libraries) {
	e.mu.Lock()
	e.libs = l
	e.dropLocked(true)
	e.mu.Unlock()
}

// Texts of refusals (7.2's).
const (
	errNoMetadata     resp.Error = "ERR Missing library metadata"
	errBadMetadata    resp.Error = "ERR Invalid library metadata"
	errNameTwice      resp.Error = "ERR Invalid metadata value, name argument was given multiple times"
	errNoName         resp.Error = "ERR Library name was not given"
	errBadName        resp.Error = "ERR Library names can only contain letters, numbers, or underscores(_) and must be at least one character long"
	errNoFunctions    resp.Error = "ERR No functions registered"
	textBadFunction              = "Library names can only contain letters, numbers, or underscores(_) and must be at least one character long"
	textFunctionTwice            = "Function already exists in the library"
)

// Load makes a library of code and puts it in force; replace: in the place of one with the same name.
func (e *Engine) Load(code []byte, replace bool) (name string, err resp.Error) {
	now := e.Libraries()
	l, old, err := e.build(string(code), now, replace)
	if err != "" {
		return "", err
	}
	next, err := now.change(old, l)
	if err != "" {
		return "", err
	}
	e.put(next)
	return l.Name, ""
}

// build compiles and runs code, beside the set into which the library shall come.
func (e *Engine) build(code string, beside *Libraries, replace bool) (l, old *Library, err resp.Error) {
	engine, name, rest, err := metadata(code)
	if err != "" {
		return nil, nil, err
	}
	if !goodName(name) {
		return nil, nil, errBadName
	}
	if !strings.EqualFold(engine, "lua") {
		return nil, nil, resp.Errorf("ERR Engine '%s' not found", engine)
	}
	if old = beside.byName[name]; old != nil && !replace {
		return nil, nil, resp.Errorf("ERR Library '%s' already exists", name)
	}
	p, cerr := vm.Compile(rest, "@user_function")
	if cerr != nil {
		return nil, nil, resp.Errorf("ERR Error compiling function: %s", cerr.Error())
	}
	l = &Library{Name: name, Code: code, proto: p}
	in := newInterp(e, true)
	if err := in.load(l, true); err != "" {
		return nil, nil, err
	}
	if len(l.Functions) == 0 {
		return nil, nil, errNoFunctions
	}
	sort.Slice(l.Functions, func(i, j int) bool { return l.Functions[i].Name < l.Functions[j].Name })
	return l, old, ""
}

// metadata reads the first line of a library: "#!lua name=lib".
func metadata(code string) (engine, name, rest string, err resp.Error) {
	if !strings.HasPrefix(code, "#!") {
		return "", "", "", errNoMetadata
	}
	line, _, found := strings.Cut(code, "\n")
	if !found {
		return "", "", "", errBadMetadata
	}
	parts, ok := resp.SplitArgs([]byte(line), nil)
	if !ok || len(parts) == 0 {
		return "", "", "", errBadMetadata
	}
	given := false
	for _, p := range parts[1:] {
		part := string(p)
		if len(part) < 5 || !strings.EqualFold(part[:5], "name=") {
			return "", "", "", resp.Errorf("ERR Invalid metadata value given: %s", part)
		}
		if given {
			return "", "", "", errNameTwice
		}
		given, name = true, part[5:]
	}
	if !given {
		return "", "", "", errNoName
	}
	return string(parts[0][2:]), name, code[len(line):], ""
}

func goodName(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_':
		default:
			return false
		}
	}
	return s != ""
}

// loading is a library whose code runs.
type loading struct {
	lib   *Library
	first bool // its functions are not known yet
	funcs map[string]*vm.Func
}

// openLibraryAPI makes the globals of library code: a front that shows the library API while code is loaded, and the real
// globals while functions run. What code keeps of the one it has also later.
func (in *interp) openLibraryAPI() {
	m := in.vm
	in.libraryAPI = m.NewTable(0, 0)
	for _, a := range in.apis() {
		t := m.NewTable(0, 0)
		m.AddFunctions(t, map[string]vm.GoFunc{"register_function": a.register, "log": a.log})
		in.levels(t)
		in.strict(t)
		in.libraryAPI.SetString(a.name, t.Value())
	}
	in.strict(in.libraryAPI)
	protectTable(in.libraryAPI)
	in.front, in.frontMeta = m.NewTable(0, 0), m.NewTable(0, 1)
	in.frontMeta.SetString("__index", m.Globals.Value())
	in.front.SetMeta(in.frontMeta)
	protectTable(in.front)
	in.loaded = map[*Library]map[string]*vm.Func{}
}

// load runs the code of a library, so that it registers its functions.
func (in *interp) load(l *Library, first bool) resp.Error {
	m := in.vm
	in.loading = &loading{lib: l, first: first, funcs: map[string]*vm.Func{}}
	in.frontMeta.SetString("__index", in.libraryAPI.Value())
	m.SetLimit(in.e.o.MemoryLimit())
	before := m.Interrupt
	if in.e.o.LoadInterrupt != nil && first {
		m.Interrupt = in.e.o.LoadInterrupt()
	}
	fn := m.Load(l.proto)
	fn.SetEnv(in.front)
	_, err := m.Call(fn)
	m.Interrupt = before
	in.frontMeta.SetString("__index", m.Globals.Value())
	funcs := in.loading.funcs
	in.loading = nil
	if err != nil {
		text := "ERR " + showValue(err.Value)
		if t := err.Value.AsTable(); t != nil {
			text, _ = in.errorText(t)
		} else if s, ok := err.Value.ToString(); ok {
			text = "ERR " + s
		}
		return resp.Errorf("ERR Error registering functions: %s", text)
	}
	in.loaded[l] = funcs
	for _, f := range funcs {
		m.Roots = append(m.Roots, f.Value())
	}
	return ""
}

// register is redis.register_function.
func (in api) register(c *vm.Call) {
	self := in.name + ".register_function"
	if in.loading == nil {
		in.raise(c, self+" can only be called on FUNCTION LOAD command")
	}
	f := &Function{Library: in.loading.lib}
	var callback vm.Value
	problem := ""
	switch len(c.Args) {
	case 1:
		callback, problem = named(self, c.Arg(1).AsTable(), f)
	case 2:
		name, ok := c.Arg(1).ToString()
		f.Name, callback = name, c.Arg(2)
		if !ok {
			problem = "first argument to " + self + " must be a string"
		} else if callback.AsFunc() == nil {
			problem = "second argument to " + self + " must be a function"
		}
	default:
		problem = "wrong number of arguments to " + self
	}
	if problem == "" && !goodName(f.Name) {
		problem = textBadFunction
	}
	if problem == "" && in.loading.funcs[f.Name] != nil {
		problem = textFunctionTwice
	}
	if problem != "" {
		in.raise(c, problem)
	}
	in.loading.funcs[f.Name] = callback.AsFunc()
	if in.loading.first {
		in.loading.lib.Functions = append(in.loading.lib.Functions, f)
	}
}

// named reads the table form of register_function, which was called as self.
func named(self string, t *vm.Table, f *Function) (callback vm.Value, problem string) {
	if t == nil {
		return vm.Nil, "calling " + self + " with a single argument is only applicable to Lua table (representing named arguments)."
	}
	haveName := false
	t.Each(func(k, v vm.Value) bool {
		key, ok := k.ToString()
		if !ok {
			problem = "named argument key given to " + self + " is not a string"
			return false
		}
		switch strings.ToLower(key) {
		case "function_name":
			if f.Name, haveName = v.ToString(); !haveName {
				problem = "function_name argument given to " + self + " must be a string"
			}
		case "description":
			if f.Description, f.HasDescription = v.ToString(); !f.HasDescription {
				problem = "description argument given to " + self + " must be a string"
			}
		case "callback":
			if callback = v; v.AsFunc() == nil {
				problem = "callback argument given to " + self + " must be a function"
			}
		case "flags":
			list := v.AsTable()
			if list == nil {
				problem = "flags argument to " + self + " must be a table representing function flags"
				break
			}
			for i := 1; ; i++ {
				x := list.GetInt(i)
				if x.IsNil() {
					break
				}
				name, _ := x.ToString()
				flag, known := flagOf(strings.ToLower(name))
				if !known {
					problem = "unknown flag given"
					break
				}
				f.Flags |= flag
			}
		default:
			problem = "unknown argument given to " + self
		}
		return problem == ""
	})
	switch {
	case problem != "":
	case !haveName:
		problem = self + " must get a function name argument"
	case callback.AsFunc() == nil:
		problem = self + " must get a callback argument"
	}
	return callback, problem
}

// Call runs a function of a library and writes its reply.
func (e *Engine) Call(f *Function, keys, args [][]byte, h Host, out *resp.Writer) Outcome {
	in := e.take(true)
	defer e.give(in)
	funcs := in.loaded[f.Library]
	if funcs == nil {
		if err := in.load(f.Library, false); err != "" {
			// It was loaded once; now it failed, for what it keeps apart from its text (the memory limit was lowered).
			out.Error(err)
			return Outcome{Err: err}
		}
		funcs = in.loaded[f.Library]
	}
	in.begin(h)
	v, err := in.vm.Call(funcs[f.Name], in.array(keys).Value(), in.array(args).Value())
	if err != nil {
		return in.failed(err, f.Name, out)
	}
	return in.reply(v, out)
}

// Delete removes a library; it reports false when there is none.
func (e *Engine) Delete(name string) bool {
	now := e.Libraries()
	l := now.byName[name]
	if l == nil {
		return false
	}
	next, _ := now.change(l) // nothing is added, so nothing can collide
	e.put(next)
	return true
}

// FlushLibraries removes all libraries.
func (e *Engine) FlushLibraries() { e.put(noLibraries()) }

// Policy is what FUNCTION RESTORE does with the libraries there are.
type Policy uint8

const (
	RestoreAppend Policy = iota
	RestoreReplace
	RestoreFlush
)

// Restore adds libraries by their texts. Nothing changes when one of them cannot be added.
func (e *Engine) Restore(codes [][]byte, policy Policy) resp.Error {
	set := noLibraries()
	for _, code := range codes {
		l, _, err := e.build(string(code), set, false)
		if err != "" {
			return err
		}
		if set, err = set.change(nil, l); err != "" {
			return err
		}
	}
	if policy == RestoreFlush {
		e.put(set)
		return ""
	}
	now := e.Libraries()
	kept := noLibraries()
	for _, l := range now.list {
		if set.byName[l.Name] == nil {
			kept.link(l)
		} else if policy == RestoreAppend {
			return resp.Errorf("ERR Library %s already exists", l.Name)
		}
	}
	next, err := kept.change(nil, set.list...)
	if err != "" {
		return err
	}
	e.put(next)
	return ""
}

// Prepared is libraries that are ready to be put in force.
type Prepared struct{ set *Libraries }

// Prepare builds libraries by their texts, for a data set that is being loaded.
func (e *Engine) Prepare(codes [][]byte) (Prepared, error) {
	set := noLibraries()
	for _, code := range codes {
		l, _, err := e.build(string(code), set, false)
		if err != "" {
			return Prepared{}, err
		}
		if set, err = set.change(nil, l); err != "" {
			return Prepared{}, err
		}
	}
	return Prepared{set}, nil
}

// Put puts prepared libraries in force, in the place of all there were.
func (e *Engine) Put(p Prepared) {
	if p.set == nil {
		p.set = noLibraries()
	}
	e.put(p.set)
}
