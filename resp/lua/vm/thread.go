package vm

import "unsafe"

// Bounds of a thread. They are PUC's, but for calls between Lua functions, which need Go's stack here.
const (
	maxDepth     = 20000 // calls inside each other (LUAI_MAXCALLS)
	maxGoDepth   = 200   // of them through built-in functions (LUAI_MAXCCALLS)
	maxCStack    = 8000  // values a built-in function may take or return (LUAI_MAXCSTACK)
	firstStack   = 256
	maxThreads   = 1000 // coroutines of a VM that have begun and not ended
	tickInterval = 1000 // calls and loop rounds between two looks at Interrupt
)

// VM is one machine: globals, libraries, threads.
type VM struct {
	// Globals is _G.
	Globals *Table
	// Interrupt, if not nil, is asked every few thousand instructions; what it returns ("" for nothing) ends the script.
	Interrupt func() string
	// Clock is os.clock in seconds.
	Clock func() float64
	// Caught, if not nil, says what pcall returns behind false for an error.
	Caught func(Value) []Value
	// Line, if not nil, is called where code of CompileDebug comes to another line.
	Line func(line int)
	// Roots are values that Go holds for the script.
	Roots []Value

	stringMeta *Table
	meter      Meter
	main, cur  *Thread
	ticks      int
	ids        uint32
	rand       [3]uint16 // drand48's state
	open       map[*Thread]struct{}
}

// Thread is one stack: the main one, or a coroutine's.
type Thread struct {
	kind    Kind
	seen    uint16
	id      uint32
	vm      *VM
	stack   []Value // arguments on their way, registers
	top     int
	frames  []*frame // made when first needed, used again
	depth   int
	goDepth int
	resumer *Thread // who waits for this coroutine
	co      *coroutine
}

// Func is a closure of a Proto, or a Go function.
type Func struct {
	kind   Kind
	seen   uint16
	id     uint32
	proto  *Proto
	upvals []*cell
	env    *Table
	goFn   GoFunc
	name   string
}

// GoFunc is a built-in function: it reads c.Args and pushes its results.
type GoFunc func(c *Call)

type cell struct {
	kind Kind
	seen uint16
	v    Value
}

const (
	funcBytes   = int64(unsafe.Sizeof(Func{}))
	cellBytes   = int64(unsafe.Sizeof(cell{}))
	threadBytes = int64(unsafe.Sizeof(Thread{}))
	frameBytes  = int64(unsafe.Sizeof(frame{}))
)

func threadPointer(t *Thread) unsafe.Pointer { return unsafe.Pointer(t) }
func cellPointer(c *cell) unsafe.Pointer     { return unsafe.Pointer(c) }

// frame is one running function.
type frame struct {
	th       *Thread
	fn       *Func
	regs     []Value
	varargs  []Value
	line     int32
	callName string  // how the function it is calling is named in the source
	rets     []Value // what return left
	one      [1]Value
	many     []Value
	tailFn   Value // set with sigTail; the arguments are on the stack
	tailBase int
	call     Call

	// Only of code of CompileDebug.
	atLine int32    // told last
	scope  []*local // the locals there
}

// Call is a built-in function's view of its call.
type Call struct {
	// Args are the arguments.
	Args []Value
	th   *Thread
	rets []Value
}

// VM is the machine.
func (c *Call) VM() *VM { return c.th.vm }

// Push adds a result.
func (c *Call) Push(v ...Value) { c.rets = append(c.rets, v...) }

// Push1 adds one result.
func (c *Call) Push1(v Value) { c.rets = append(c.rets, v) }

// Arg returns argument n from 1, nil when there are fewer.
func (c *Call) Arg(n int) Value {
	if n <= len(c.Args) {
		return c.Args[n-1]
	}
	return Nil
}

// Call calls a Lua value from a Go function; the results are valid until the next call.
func (c *Call) Call(fn Value, args ...Value) []Value {
	th := c.th
	base := th.top
	for _, a := range args {
		th.push(a)
	}
	return th.call(fn, base)
}

// New makes a VM whose scripts may hold limitBytes (0: no bound), with the base libraries.
func New(limitBytes int64) *VM {
	vm := &VM{ticks: tickInterval, open: map[*Thread]struct{}{}}
	vm.meter.vm = vm
	vm.meter.setLimit(0)
	vm.main = vm.newThread()
	vm.cur = vm.main
	vm.Globals = vm.NewTable(0, 64)
	vm.openBase()
	vm.openString()
	vm.openTable()
	vm.openMath()
	vm.openCoroutine()
	vm.meter.setLimit(limitBytes)
	return vm
}

// SetLimit changes the memory bound.
func (vm *VM) SetLimit(bytes int64) { vm.meter.setLimit(bytes) }

func (vm *VM) newThread() *Thread {
	vm.ids++
	return &Thread{kind: KindThread, id: vm.ids, vm: vm, stack: make([]Value, firstStack)}
}

// NewString makes a string and charges it.
func (vm *VM) NewString(s string) Value {
	vm.meter.charge(strBytes + int64(len(s)))
	return String(s)
}

// Reserve charges n bytes before they are made.
func (vm *VM) Reserve(n int) { vm.meter.charge(int64(n)) }

// NewFunc makes a built-in function; name is for messages.
func (vm *VM) NewFunc(name string, fn GoFunc) *Func {
	vm.ids++
	return &Func{kind: KindFunction, id: vm.ids, goFn: fn, name: name, env: vm.Globals}
}

// Load makes a function of a compiled chunk.
func (vm *VM) Load(p *Proto) *Func {
	vm.ids++
	return &Func{kind: KindFunction, id: vm.ids, proto: p, env: vm.Globals}
}

// Env is the function's global table.
func (f *Func) Env() *Table { return f.env }

// SetEnv changes it.
func (f *Func) SetEnv(t *Table) { f.env = t }

// Call runs fn from outside and returns its first result.
func (vm *VM) Call(fn *Func, args ...Value) (result Value, err *Error) {
	th := vm.main
	vm.cur = th
	base := th.top
	rets, err := th.protect(funcValue(fn), args, base)
	if err == nil && len(rets) > 0 {
		result = rets[0]
	}
	return result, err
}

// Clean forgets what a run has left on the stack, so that the garbage collector can have it.
func (vm *VM) Clean() {
	th := vm.main
	th.top, th.depth, th.goDepth = 0, 0, 0
	if len(th.stack) > keptStack {
		th.stack = make([]Value, firstStack)
	} else {
		for i := range th.stack { // most are nil: to write them all would be work for the garbage collector
			if th.stack[i].p != nil {
				th.stack[i] = Nil
			}
		}
	}
	if len(th.frames) > keptFrames {
		th.frames = th.frames[:keptFrames:keptFrames]
	}
	for _, f := range th.frames {
		f.forget()
	}
	vm.ticks = tickInterval
}

const (
	keptStack  = 4096
	keptFrames = 64
	keptValues = 64
)

func (f *frame) forget() {
	f.regs, f.varargs, f.rets, f.fn, f.tailFn, f.one[0], f.callName = nil, nil, nil, nil, Nil, Nil, ""
	f.call.Args = nil
	if cap(f.many) > keptValues {
		f.many = nil
	}
	if cap(f.call.rets) > keptValues {
		f.call.rets = nil
	}
	clear(f.many[:cap(f.many)])
	clear(f.call.rets[:cap(f.call.rets)])
}

// protect calls fn and turns an error into a value. The results are valid until the next call.
func (th *Thread) protect(fn Value, args []Value, base int) (rets []Value, err *Error) {
	depth, goDepth, top := th.depth, th.goDepth, th.top
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(*Error)
			if !ok {
				panic(r)
			}
			th.vm.cur = th
			th.unwind(depth, goDepth, top)
			rets, err = nil, e
		}
	}()
	for _, a := range args {
		th.push(a)
	}
	return th.call(fn, base), nil
}

// unwind takes the thread back to where it was before a call that failed.
func (th *Thread) unwind(depth, goDepth, top int) {
	th.depth, th.goDepth, th.top = depth, goDepth, top
}

func (th *Thread) push(v Value) {
	if th.top == len(th.stack) {
		th.grow(1)
	}
	th.stack[th.top] = v
	th.top++
}

// grow makes room for n more values. Registers of running functions stay in the old array.
func (th *Thread) grow(n int) {
	size := max(2*len(th.stack), th.top+n+firstStack)
	th.vm.meter.charge(int64(size) * valueBytes)
	stack := make([]Value, size)
	copy(stack, th.stack[:th.top])
	th.stack = stack
}

func (th *Thread) frame() *frame {
	if th.depth == len(th.frames) {
		th.frames = append(th.frames, &frame{th: th})
		f := th.frames[th.depth]
		f.call.th = th
	}
	f := th.frames[th.depth]
	th.depth++
	return f
}

// tick is called when vm.ticks has run out.
func (vm *VM) tick() {
	vm.ticks = tickInterval
	if vm.Interrupt != nil {
		if why := vm.Interrupt(); why != "" {
			vm.throwFatal(why)
		}
	}
}

// call calls fv with the arguments from base on, which it takes off the stack. The results are valid until the next
// call of the thread.
func (th *Thread) call(fv Value, base int) []Value {
	vm := th.vm
	if vm.ticks--; vm.ticks < 0 {
		vm.tick()
	}
	fn := fv.AsFunc()
	if fn == nil {
		fn = th.callable(fv, base)
	}
	if th.depth >= maxDepth {
		th.throw(String(th.where(0) + "stack overflow"))
	}
	fr := th.frame()
	fr.fn = fn
	if fn.goFn != nil {
		if th.goDepth++; th.goDepth > maxGoDepth {
			th.throw(String(th.where(1) + "C stack overflow"))
		}
		c := &fr.call
		c.Args = th.stack[base:th.top:th.top]
		c.rets = c.rets[:0]
		fr.line, fr.callName = -1, ""
		fn.goFn(c)
		th.goDepth--
		th.depth--
		th.top = base
		return c.rets
	}
	var rets []Value
	for {
		p := fn.proto
		th.enter(fr, p, base)
		sig := runBlock(fr, p.body)
		if sig == sigTail {
			// The arguments of the tail call take the place of this call's.
			n := copy(th.stack[base:], th.stack[fr.tailBase:th.top])
			clear(th.stack[base+n : th.top])
			th.top = base + n
			fv = fr.tailFn
			if vm.ticks--; vm.ticks < 0 {
				vm.tick()
			}
			if fn = fv.AsFunc(); fn == nil {
				fn = th.callable(fv, base)
			}
			if fn.goFn == nil {
				fr.fn = fn
				continue
			}
			rets = th.call(funcValue(fn), base)
			// They lie in the frame above, which the caller's next call uses again: as ours would.
		} else {
			if sig == sigReturn {
				rets = fr.rets
			}
			clear(fr.regs)
		}
		th.depth--
		th.top = base
		fr.regs, fr.varargs = nil, nil
		return rets
	}
}

// enter lays out the registers of a Lua function over its arguments.
func (th *Thread) enter(fr *frame, p *Proto, base int) {
	nargs := th.top - base
	fr.varargs = nil
	if p.vararg {
		if nargs > p.params {
			fr.varargs = th.stack[base+p.params : th.top : th.top]
		}
		from := base
		base = th.top
		if base+p.regs > len(th.stack) {
			th.grow(p.regs)
		}
		copy(th.stack[base:], th.stack[from:min(from+p.params, base)])
		nargs = min(nargs, p.params)
	}
	if base+p.regs > len(th.stack) {
		th.grow(p.regs)
	}
	fr.regs = th.stack[base : base+p.regs : base+p.regs]
	if nargs < p.regs {
		clear(fr.regs[nargs:])
	}
	if nargs > p.params {
		clear(fr.regs[p.params:min(nargs, p.regs)])
		if nargs > p.regs {
			clear(th.stack[base+p.regs : base+nargs])
		}
	}
	th.top = base + p.regs
	for _, i := range p.cells {
		fr.regs[i] = Value{p: cellPointer(&cell{kind: kindCell, v: fr.regs[i]})}
		th.vm.meter.charge(cellBytes)
	}
	if p.needsArg >= 0 {
		t := th.vm.NewTable(len(fr.varargs), 1)
		copy(t.arr, fr.varargs)
		t.SetString("n", Int(len(fr.varargs)))
		v := t.Value()
		if p.argCell {
			v = Value{p: cellPointer(&cell{kind: kindCell, v: v})}
		}
		fr.regs[p.needsArg] = v
	}
}

// callable finds what to call when fv is no function: its __call, which gets fv as its first argument.
func (th *Thread) callable(fv Value, base int) *Func {
	h := th.metamethod(fv, strCall)
	fn := h.AsFunc()
	if fn == nil {
		what := ""
		if th.depth > 0 {
			what = th.frames[th.depth-1].callName
		}
		th.throw(String(th.where(0) + "attempt to call " + named(what, fv)))
	}
	th.push(Nil)
	copy(th.stack[base+1:th.top], th.stack[base:th.top-1])
	th.stack[base] = fv
	return fn
}

// named is "local 'x' (a nil value)", or "a nil value" for what has no name.
func named(what string, v Value) string {
	if what == "" {
		return "a " + v.TypeName() + " value"
	}
	return what + " (a " + v.TypeName() + " value)"
}
