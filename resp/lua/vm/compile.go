package vm

// Proto is a compiled function. Immutable after Compile.
type Proto struct {
	source   string
	line     int32
	params   int
	regs     int
	vararg   bool
	cells    []int // parameters that closures capture
	needsArg int   // the register of "arg", or -1
	argCell  bool
	upvals   []upvalue
	body     []stmtFn
	bytes    int  // about what the code takes
	debug    bool // made by CompileDebug
}

// Bytes is about how much memory the code takes.
func (p *Proto) Bytes() int { return p.bytes }

type (
	evalFn  func(f *frame) Value
	multiFn func(f *frame) []Value // the results are valid until the next call
	condFn  func(f *frame) bool
	pushFn  func(f *frame) // leaves values on the stack
	stmtFn  func(f *frame) signal
)

// signal is how a statement ended.
type signal uint8

const (
	sigNext signal = iota
	sigBreak
	sigReturn // the values are in frame.rets
	sigTail   // see frame.tailFn
)

func runBlock(f *frame, body []stmtFn) signal {
	for _, s := range body {
		if sig := s(f); sig != sigNext {
			return sig
		}
	}
	return sigNext
}

// codeFactor is how many bytes of closures a byte of source becomes, about.
const codeFactor = 12

// Compile compiles a chunk. source is its name as PUC has it: "@file", "=name", or the text itself.
func Compile(src, source string) (p *Proto, err error) { return compile(src, source, false) }

// CompileDebug is Compile for a debugger: the code tells VM.Line where it is.
func CompileDebug(src, source string) (p *Proto, err error) { return compile(src, source, true) }

func compile(src, source string, debug bool) (p *Proto, err error) {
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(syntaxError)
			if !ok {
				panic(r)
			}
			err = e
		}
	}()
	ps := &parser{lexer: lexer{src: src, source: source}, debug: debug}
	tree := ps.parse()
	c := &compiler{source: source, debug: debug}
	p = c.function(tree)
	p.bytes = len(src)*codeFactor + 256
	return p, nil
}

func (e syntaxError) Error() string { return string(e) }

type compiler struct {
	source string
	debug  bool
}

func (c *compiler) function(fn *function) *Proto {
	p := &Proto{source: c.source, debug: c.debug, line: fn.line, params: len(fn.params), vararg: fn.vararg, upvals: fn.upvals, needsArg: -1}
	for _, v := range fn.params {
		if v.captured {
			p.cells = append(p.cells, v.slot)
		}
	}
	if fn.arg != nil && !fn.usesDots {
		p.needsArg, p.argCell = fn.arg.slot, fn.arg.captured
	} else if fn.arg != nil && fn.arg.captured {
		p.cells = append(p.cells, fn.arg.slot)
	}
	p.body = c.block(fn.body)
	p.regs = fn.most
	return p
}

func (c *compiler) block(body []stmtNode) []stmtFn {
	out := make([]stmtFn, 0, len(body))
	for _, s := range body {
		out = append(out, c.statement(s))
	}
	return out
}

// describe names an expression for messages: "local 'x'", "" when it has no name.
func describe(e exprNode) string {
	switch e := e.(type) {
	case *exprLocal:
		return "local '" + e.v.name + "'"
	case *exprUpval:
		return "upvalue '" + e.name + "'"
	case *exprGlobal:
		return "global '" + e.name.s + "'"
	case *exprIndex:
		if k, ok := e.key.(*exprConst); ok {
			if s, ok := k.v.AsString(); ok {
				return "field '" + cString(s) + "'"
			}
		}
	case *exprParen:
		return describe(e.e)
	}
	return ""
}

func newCell(f *frame, v Value) Value {
	f.th.vm.meter.charge(cellBytes)
	return Value{p: cellPointer(&cell{kind: kindCell, v: v})}
}

// setLocal returns what stores a value into a variable that is declared by it.
func declareFn(v *local) func(f *frame, x Value) {
	slot := v.slot
	if v.captured {
		return func(f *frame, x Value) { f.regs[slot] = newCell(f, x) }
	}
	return func(f *frame, x Value) { f.regs[slot] = x }
}

func (c *compiler) statement(s stmtNode) stmtFn {
	switch s := s.(type) {
	case *stmtLocal:
		return c.localStatement(s)
	case *stmtAssign:
		return c.assign(s)
	case *stmtCall:
		call := c.multi(s.call)
		return func(f *frame) signal { call(f); return sigNext }
	case *stmtDo:
		body := c.block(s.body)
		return func(f *frame) signal { return runBlock(f, body) }
	case *stmtWhile:
		cond, body := c.cond(s.cond), c.block(s.body)
		line := s.line
		return func(f *frame) signal {
			vm := f.th.vm
			for cond(f) {
				if vm.ticks--; vm.ticks < 0 {
					f.line = line
					vm.tick()
				}
				if sig := runBlock(f, body); sig != sigNext {
					if sig == sigBreak {
						break
					}
					return sig
				}
			}
			return sigNext
		}
	case *stmtRepeat:
		cond, body := c.cond(s.cond), c.block(s.body)
		line := s.line
		return func(f *frame) signal {
			vm := f.th.vm
			for {
				if vm.ticks--; vm.ticks < 0 {
					f.line = line
					vm.tick()
				}
				if sig := runBlock(f, body); sig != sigNext {
					if sig == sigBreak {
						return sigNext
					}
					return sig
				}
				if cond(f) {
					return sigNext
				}
			}
		}
	case *stmtIf:
		return c.ifStatement(s)
	case *stmtNumFor:
		return c.numFor(s)
	case *stmtGenFor:
		return c.genFor(s)
	case *stmtLocalFunc:
		closure, slot := c.closure(s.fn), s.v.slot
		if !s.v.captured {
			return func(f *frame) signal { f.regs[slot] = closure(f); return sigNext }
		}
		return func(f *frame) signal {
			box := newCell(f, Nil) // first, so that the function can see itself
			f.regs[slot] = box
			(*cell)(box.p).v = closure(f)
			return sigNext
		}
	case *stmtReturn:
		return c.returnStatement(s)
	case *stmtAt:
		return c.at(s)
	case *stmtBreak:
		return func(*frame) signal { return sigBreak }
	}
	panic("lua: unknown statement")
}

func (c *compiler) localStatement(s *stmtLocal) stmtFn {
	if len(s.vars) == 1 && len(s.exprs) == 1 {
		e := c.expr(s.exprs[0])
		slot := s.vars[0].slot
		if s.vars[0].captured {
			return func(f *frame) signal { f.regs[slot] = newCell(f, e(f)); return sigNext }
		}
		return func(f *frame) signal { f.regs[slot] = e(f); return sigNext }
	}
	declare := make([]func(*frame, Value), len(s.vars))
	for i, v := range s.vars {
		declare[i] = declareFn(v)
	}
	if len(s.exprs) == 0 {
		return func(f *frame) signal {
			for _, d := range declare {
				d(f, Nil)
			}
			return sigNext
		}
	}
	push := c.pushAdjusted(s.exprs, len(s.vars))
	return func(f *frame) signal {
		th := f.th
		base := th.top
		push(f)
		for i, d := range declare {
			d(f, th.stack[base+i])
		}
		th.top = base
		return sigNext
	}
}

// pushAdjusted leaves exactly n values.
func (c *compiler) pushAdjusted(exprs []exprNode, n int) pushFn {
	push := c.push(exprs)
	return func(f *frame) {
		th := f.th
		want := th.top + n
		push(f)
		for th.top < want {
			th.push(Nil)
		}
		th.top = want
	}
}

// push leaves the values of a list; the last one may be several.
func (c *compiler) push(exprs []exprNode) pushFn {
	if len(exprs) == 0 {
		return func(*frame) {}
	}
	last := exprs[len(exprs)-1]
	if multi := c.multiOrNil(last); multi != nil {
		fixed := c.list(exprs[:len(exprs)-1])
		return func(f *frame) {
			th := f.th
			for _, e := range fixed {
				th.push(e(f))
			}
			rets := multi(f)
			if th.top+len(rets) > len(th.stack) {
				th.grow(len(rets))
			}
			copy(th.stack[th.top:], rets)
			th.top += len(rets)
		}
	}
	switch fixed := c.list(exprs); len(fixed) {
	case 1:
		a := fixed[0]
		return func(f *frame) { f.th.push(a(f)) }
	case 2:
		a, b := fixed[0], fixed[1]
		return func(f *frame) { f.th.push(a(f)); f.th.push(b(f)) }
	default:
		return func(f *frame) {
			for _, e := range fixed {
				f.th.push(e(f))
			}
		}
	}
}

func (c *compiler) list(exprs []exprNode) []evalFn {
	out := make([]evalFn, len(exprs))
	for i, e := range exprs {
		out[i] = c.expr(e)
	}
	return out
}

func (c *compiler) ifStatement(s *stmtIf) stmtFn {
	conds := make([]condFn, len(s.conds))
	for i, e := range s.conds {
		conds[i] = c.cond(e)
	}
	bodies := make([][]stmtFn, len(s.bodies))
	for i, b := range s.bodies {
		bodies[i] = c.block(b)
	}
	switch {
	case len(conds) == 1 && len(bodies) == 1:
		cond, body := conds[0], bodies[0]
		return func(f *frame) signal {
			if cond(f) {
				return runBlock(f, body)
			}
			return sigNext
		}
	case len(conds) == 1:
		cond, yes, no := conds[0], bodies[0], bodies[1]
		return func(f *frame) signal {
			if cond(f) {
				return runBlock(f, yes)
			}
			return runBlock(f, no)
		}
	}
	return func(f *frame) signal {
		for i, cond := range conds {
			if cond(f) {
				return runBlock(f, bodies[i])
			}
		}
		if len(bodies) > len(conds) {
			return runBlock(f, bodies[len(conds)])
		}
		return sigNext
	}
}

func (c *compiler) numFor(s *stmtNumFor) stmtFn {
	from, to := c.expr(s.from), c.expr(s.to)
	step := func(*frame) Value { return Number(1) }
	if s.step != nil {
		step = c.expr(s.step)
	}
	declare, body, line := declareFn(s.v), c.block(s.body), s.line
	slot, captured := s.v.slot, s.v.captured
	return func(f *frame) signal {
		a, b, d := from(f), to(f), step(f)
		i, ok := a.ToNumber()
		if !ok {
			f.failf(line, "'for' initial value must be a number")
		}
		limit, ok := b.ToNumber()
		if !ok {
			f.failf(line, "'for' limit must be a number")
		}
		by, ok := d.ToNumber()
		if !ok {
			f.failf(line, "'for' step must be a number")
		}
		vm := f.th.vm
		for i -= by; ; {
			i += by
			if by > 0 && !(i <= limit) || !(by > 0) && !(limit <= i) {
				return sigNext
			}
			if vm.ticks--; vm.ticks < 0 {
				f.line = line
				vm.tick()
			}
			if captured {
				declare(f, Number(i))
			} else {
				f.regs[slot] = Number(i)
			}
			if sig := runBlock(f, body); sig != sigNext {
				if sig == sigBreak {
					return sigNext
				}
				return sig
			}
		}
	}
}

func (c *compiler) genFor(s *stmtGenFor) stmtFn {
	init := c.pushAdjusted(s.exprs, 3)
	declare := make([]func(*frame, Value), len(s.vars))
	for i, v := range s.vars {
		declare[i] = declareFn(v)
	}
	body, line, base := c.block(s.body), s.line, s.base
	return func(f *frame) signal {
		th := f.th
		vm := th.vm
		top := th.top
		init(f)
		copy(f.regs[base:base+3], th.stack[top:top+3])
		th.top = top
		fn := f.regs[base]
		if g := fn.AsFunc(); g != nil && g.name == "next" && g.goFn != nil && f.regs[base+2].IsNil() {
			if t := f.regs[base+1].AsTable(); t != nil {
				return f.eachNext(t, declare, body, line)
			}
		}
		for {
			if vm.ticks--; vm.ticks < 0 {
				f.line = line
				vm.tick()
			}
			at := th.top
			th.push(f.regs[base+1])
			th.push(f.regs[base+2])
			f.line, f.callName = line, ""
			rets := th.call(f.regs[base], at)
			if len(rets) == 0 || rets[0].IsNil() {
				return sigNext
			}
			f.regs[base+2] = rets[0]
			for i, d := range declare {
				if i < len(rets) {
					d(f, rets[i])
				} else {
					d(f, Nil)
				}
			}
			if sig := runBlock(f, body); sig != sigNext {
				if sig == sigBreak {
					return sigNext
				}
				return sig
			}
		}
	}
}

// eachNext is "for … in next, t": it keeps the place in the table instead of looking for the key before.
func (f *frame) eachNext(t *Table, declare []func(*frame, Value), body []stmtFn, line int32) signal {
	vm := f.th.vm
	for i := 0; ; i++ {
		var k, v Value
		if i < len(t.arr) {
			k, v = Int(i+1), t.arr[i]
		} else if at := i - len(t.arr); at < len(t.nodes) {
			k, v = t.nodes[at].key, t.nodes[at].val
		} else {
			return sigNext
		}
		if v.IsNil() {
			continue
		}
		if vm.ticks--; vm.ticks < 0 {
			f.line = line
			vm.tick()
		}
		for i, d := range declare {
			switch i {
			case 0:
				d(f, k)
			case 1:
				d(f, v)
			default:
				d(f, Nil)
			}
		}
		if sig := runBlock(f, body); sig != sigNext {
			if sig == sigBreak {
				return sigNext
			}
			return sig
		}
	}
}

func (c *compiler) returnStatement(s *stmtReturn) stmtFn {
	switch len(s.exprs) {
	case 0:
		return func(f *frame) signal { f.rets = nil; return sigReturn }
	case 1:
		switch e := s.exprs[0].(type) {
		case *exprCall, *exprMethod:
			target, push, line, name := c.callParts(e)
			return func(f *frame) signal {
				base := f.th.top
				fv := target(f)
				push(f)
				f.line, f.callName = line, name
				f.tailFn, f.tailBase = fv, base
				return sigTail
			}
		case *exprDots:
			return func(f *frame) signal { f.rets = f.varargs; return sigReturn }
		}
		e := c.expr(s.exprs[0])
		return func(f *frame) signal {
			f.one[0] = e(f)
			f.rets = f.one[:]
			return sigReturn
		}
	}
	push := c.push(s.exprs)
	return func(f *frame) signal {
		th := f.th
		base := th.top
		push(f)
		f.many = append(f.many[:0], th.stack[base:th.top]...)
		th.top = base
		f.rets = f.many
		return sigReturn
	}
}

// assign evaluates the targets' tables and keys, then the values, then stores from right to left.
func (c *compiler) assign(s *stmtAssign) stmtFn {
	if len(s.targets) == 1 && len(s.exprs) == 1 {
		return c.assignOne(s.targets[0], s.exprs[0])
	}
	type target struct {
		obj, key evalFn
		store    func(f *frame, obj, key, v Value)
	}
	targets := make([]target, len(s.targets))
	for i, t := range s.targets {
		if x, ok := t.(*exprIndex); ok {
			name, line := describe(x.obj), x.line
			targets[i] = target{c.expr(x.obj), c.expr(x.key), func(f *frame, obj, key, v Value) { f.setIndex(obj, key, v, line, name) }}
			continue
		}
		store := c.store(t)
		targets[i].store = func(f *frame, _, _, v Value) { store(f, v) }
	}
	push := c.pushAdjusted(s.exprs, len(targets))
	return func(f *frame) signal {
		th := f.th
		base := th.top
		for _, t := range targets {
			if t.obj != nil {
				th.push(t.obj(f))
				th.push(t.key(f))
			} else {
				th.push(Nil)
				th.push(Nil)
			}
		}
		vals := th.top
		push(f)
		for i := len(targets) - 1; i >= 0; i-- {
			targets[i].store(f, th.stack[base+2*i], th.stack[base+2*i+1], th.stack[vals+i])
		}
		th.top = base
		return sigNext
	}
}

func (c *compiler) assignOne(t, e exprNode) stmtFn {
	val := c.expr(e)
	switch t := t.(type) {
	case *exprIndex:
		obj, name, line := c.expr(t.obj), describe(t.obj), t.line
		if k, ok := t.key.(*exprConst); ok {
			key := k.v
			return func(f *frame) signal {
				o := obj(f)
				f.setIndex(o, key, val(f), line, name)
				return sigNext
			}
		}
		key := c.expr(t.key)
		return func(f *frame) signal {
			o := obj(f)
			k := key(f)
			f.setIndex(o, k, val(f), line, name)
			return sigNext
		}
	case *exprLocal:
		if slot := t.v.slot; !t.v.captured {
			return func(f *frame) signal { f.regs[slot] = val(f); return sigNext }
		}
	}
	store := c.store(t)
	return func(f *frame) signal { store(f, val(f)); return sigNext }
}

// store writes to a plain name.
func (c *compiler) store(t exprNode) func(f *frame, v Value) {
	switch t := t.(type) {
	case *exprLocal:
		slot := t.v.slot
		if t.v.captured {
			return func(f *frame, v Value) { (*cell)(f.regs[slot].p).v = v }
		}
		return func(f *frame, v Value) { f.regs[slot] = v }
	case *exprUpval:
		i := t.index
		return func(f *frame, v Value) { f.fn.upvals[i].v = v }
	case *exprGlobal:
		key, line := strValue(t.name), t.line
		return func(f *frame, v Value) { f.setIndex(tableValue(f.fn.env), key, v, line, "") }
	}
	panic("lua: cannot assign")
}

func (c *compiler) closure(fn *function) evalFn {
	p := c.function(fn)
	return func(f *frame) Value {
		vm := f.th.vm
		vm.meter.charge(funcBytes + int64(len(p.upvals))*8)
		vm.ids++
		g := &Func{kind: KindFunction, id: vm.ids, proto: p, env: f.fn.env}
		if len(p.upvals) > 0 {
			g.upvals = make([]*cell, len(p.upvals))
			for i := range p.upvals {
				if u := &p.upvals[i]; u.local != nil {
					g.upvals[i] = (*cell)(f.regs[u.local.slot].p)
				} else {
					g.upvals[i] = f.fn.upvals[u.index]
				}
			}
		}
		return funcValue(g)
	}
}

// callParts compiles a call: what is called, and what leaves the arguments.
func (c *compiler) callParts(e exprNode) (fn evalFn, push pushFn, line int32, name string) {
	switch e := e.(type) {
	case *exprCall:
		return c.expr(e.fn), c.push(e.args), e.line, describe(e.fn)
	case *exprMethod:
		obj, key, line, objName := c.expr(e.obj), strValue(e.name), e.line, describe(e.obj)
		rest := c.push(e.args)
		// The object is left on the stack by looking the method up; the arguments follow.
		return func(f *frame) Value {
			o := obj(f)
			fv := f.index(o, key, line, objName)
			f.th.push(o)
			return fv
		}, rest, line, "method '" + e.name.s + "'"
	}
	panic("lua: no call")
}

// multiOrNil compiles an expression with any number of values, or returns nil for others.
func (c *compiler) multiOrNil(e exprNode) multiFn {
	switch e.(type) {
	case *exprCall, *exprMethod, *exprDots:
		return c.multi(e)
	}
	return nil
}

func (c *compiler) multi(e exprNode) multiFn {
	if _, ok := e.(*exprDots); ok {
		return func(f *frame) []Value { return f.varargs }
	}
	fn, push, line, name := c.callParts(e)
	return func(f *frame) []Value {
		th := f.th
		base := th.top
		fv := fn(f)
		push(f)
		f.line, f.callName = line, name
		return th.call(fv, base)
	}
}

func (c *compiler) expr(e exprNode) evalFn {
	switch e := e.(type) {
	case *exprConst:
		v := e.v
		return func(*frame) Value { return v }
	case *exprLocal:
		slot := e.v.slot
		if e.v.captured {
			return func(f *frame) Value { return (*cell)(f.regs[slot].p).v }
		}
		return func(f *frame) Value { return f.regs[slot] }
	case *exprUpval:
		i := e.index
		return func(f *frame) Value { return f.fn.upvals[i].v }
	case *exprGlobal:
		name, line := e.name, e.line
		return func(f *frame) Value {
			env := f.fn.env
			if v := env.getStr(name); !v.IsNil() || env.meta == nil {
				return v
			}
			return f.index(tableValue(env), strValue(name), line, "")
		}
	case *exprIndex:
		return c.indexExpr(e)
	case *exprParen:
		return c.expr(e.e)
	case *exprFunc:
		return c.closure(e.fn)
	case *exprDots:
		return func(f *frame) Value {
			if len(f.varargs) > 0 {
				return f.varargs[0]
			}
			return Nil
		}
	case *exprCall, *exprMethod:
		fn, push, line, name := c.callParts(e)
		return func(f *frame) Value {
			th := f.th
			base := th.top
			fv := fn(f)
			push(f)
			f.line, f.callName = line, name
			if rets := th.call(fv, base); len(rets) > 0 {
				return rets[0]
			}
			return Nil
		}
	case *exprTable:
		return c.tableExpr(e)
	case *exprUn:
		return c.unary(e)
	case *exprBin:
		return c.binary(e)
	}
	panic("lua: unknown expression")
}

func (c *compiler) indexExpr(e *exprIndex) evalFn {
	obj, line, name := c.expr(e.obj), e.line, describe(e.obj)
	if k, ok := e.key.(*exprConst); ok {
		if s := k.v.str(); s != nil {
			return func(f *frame) Value {
				o := obj(f)
				if t := o.AsTable(); t != nil {
					if v := t.getStr(s); !v.IsNil() || t.meta == nil {
						return v
					}
				}
				return f.index(o, k.v, line, name)
			}
		}
	}
	key := c.expr(e.key)
	return func(f *frame) Value {
		o := obj(f)
		k := key(f)
		if t := o.AsTable(); t != nil {
			if v := t.Get(k); !v.IsNil() || t.meta == nil {
				return v
			}
		}
		return f.index(o, k, line, name)
	}
}

// floatingByte rounds a size up to what PUC's OP_NEWTABLE can say.
func floatingByte(x int) int {
	e := 0
	for x >= 16 {
		x = (x + 1) >> 1
		e++
	}
	return x << e
}

// flushItems is how many items of a constructor PUC stores at a time.
const flushItems = 50

func (c *compiler) tableExpr(e *exprTable) evalFn {
	var tail multiFn
	items := e.items
	if n := len(items); n > 0 && len(e.order) > 0 && !e.order[len(e.order)-1] {
		if tail = c.multiOrNil(items[n-1]); tail != nil {
			items = items[:n-1]
		}
	}
	narr, nhash := floatingByte(len(items)), floatingByte(len(e.keys))
	if len(e.order) == 0 {
		return func(f *frame) Value { return f.th.vm.NewTable(0, 0).Value() }
	}
	vals, keyed, keys := c.list(items), c.list(e.vals), c.list(e.keys)
	order, line := e.order, e.line
	if tail != nil {
		order = order[:len(order)-1]
	}
	return func(f *frame) Value {
		t := f.th.vm.NewTable(narr, nhash)
		th := f.th
		th.push(t.Value()) // so that it is weighed
		base := th.top
		k, i := 0, 0
		for _, isKeyed := range order {
			if isKeyed {
				key := keys[k](f)
				f.setIndex(t.Value(), key, keyed[k](f), line, "")
				k++
				continue
			}
			th.push(vals[i](f))
			if i++; th.top-base == flushItems {
				t.store(i-(th.top-base), th.stack[base:th.top])
				th.top = base
			}
		}
		pending := th.top - base
		if tail != nil {
			rets := tail(f)
			t.growArray(i + len(rets))
			t.store(i-pending, th.stack[base:base+pending])
			t.store(i, rets)
		} else {
			t.store(i-pending, th.stack[base:base+pending])
		}
		th.top = base - 1
		return t.Value()
	}
}

// store puts items behind position at.
func (t *Table) store(at int, items []Value) {
	if len(items) == 0 {
		return
	}
	t.growArray(at + len(items))
	copy(t.arr[at:], items)
}

func (c *compiler) unary(e *exprUn) evalFn {
	x, line, name := c.expr(e.e), e.line, describe(e.e)
	switch e.op {
	case tkNot:
		return func(f *frame) Value { return Bool(!x(f).Truthy()) }
	case '-':
		return func(f *frame) Value {
			v := x(f)
			if v.isNumber() {
				return Number(-v.num())
			}
			return f.negate(v, line, name)
		}
	default:
		return func(f *frame) Value { return f.length(x(f), line, name) }
	}
}

// cond compiles an expression of which only the truth matters.
func (c *compiler) cond(e exprNode) condFn {
	switch e := e.(type) {
	case *exprAt:
		at, x := c.at(e.at), c.cond(e.e)
		return func(f *frame) bool { at(f); return x(f) }
	case *exprParen:
		return c.cond(e.e)
	case *exprUn:
		if e.op == tkNot {
			x := c.cond(e.e)
			return func(f *frame) bool { return !x(f) }
		}
	case *exprBin:
		switch e.op {
		case tkAnd:
			l, r := c.cond(e.l), c.cond(e.r)
			return func(f *frame) bool { return l(f) && r(f) }
		case tkOr:
			l, r := c.cond(e.l), c.cond(e.r)
			return func(f *frame) bool { return l(f) || r(f) }
		case tkEq, tkNe, '<', '>', tkLe, tkGe:
			return c.compare(e)
		}
	}
	x := c.expr(e)
	return func(f *frame) bool { return x(f).Truthy() }
}

func (c *compiler) compare(e *exprBin) condFn {
	l, r, line := c.expr(e.l), c.expr(e.r), e.line
	switch e.op {
	case tkEq:
		return func(f *frame) bool {
			a := l(f)
			return f.equal(a, r(f), line)
		}
	case tkNe:
		return func(f *frame) bool {
			a := l(f)
			return !f.equal(a, r(f), line)
		}
	case '<':
		return func(f *frame) bool {
			a := l(f)
			b := r(f)
			if a.isNumber() && b.isNumber() {
				return a.num() < b.num()
			}
			return f.less(a, b, line)
		}
	case '>':
		return func(f *frame) bool {
			a := l(f)
			b := r(f)
			if a.isNumber() && b.isNumber() {
				return a.num() > b.num()
			}
			return f.less(b, a, line)
		}
	case tkLe:
		return func(f *frame) bool {
			a := l(f)
			return f.lessEqual(a, r(f), line)
		}
	default:
		return func(f *frame) bool {
			a := l(f)
			return f.lessEqual(r(f), a, line)
		}
	}
}

func (c *compiler) binary(e *exprBin) evalFn {
	switch e.op {
	case tkAnd:
		l, r := c.expr(e.l), c.expr(e.r)
		return func(f *frame) Value {
			if v := l(f); !v.Truthy() {
				return v
			}
			return r(f)
		}
	case tkOr:
		l, r := c.expr(e.l), c.expr(e.r)
		return func(f *frame) Value {
			if v := l(f); v.Truthy() {
				return v
			}
			return r(f)
		}
	case tkEq, tkNe, '<', '>', tkLe, tkGe:
		cond := c.compare(e)
		return func(f *frame) Value { return Bool(cond(f)) }
	case tkConcat:
		return c.concat(e)
	}
	return c.arithmetic(e)
}

func (c *compiler) concat(e *exprBin) evalFn {
	var parts []evalFn
	var names []string
	line := e.line
	var next exprNode = e
	for {
		b, ok := next.(*exprBin)
		if !ok || b.op != tkConcat {
			parts, names = append(parts, c.expr(next)), append(names, describe(next))
			break
		}
		parts, names = append(parts, c.expr(b.l)), append(names, describe(b.l))
		next = b.r
	}
	return func(f *frame) Value {
		th := f.th
		base := th.top
		for _, p := range parts {
			th.push(p(f))
		}
		v := f.concat(th.stack[base:th.top], names, line)
		th.top = base
		return v
	}
}

func (c *compiler) arithmetic(e *exprBin) evalFn {
	l, r, line, names := c.expr(e.l), c.expr(e.r), e.line, [2]string{describe(e.l), describe(e.r)}
	if k, ok := e.r.(*exprConst); ok && k.v.isNumber() {
		n, kv := k.v.num(), k.v
		switch e.op {
		case '+':
			return func(f *frame) Value {
				if a := l(f); a.isNumber() {
					return Number(a.num() + n)
				} else {
					return f.arith('+', a, kv, line, &names)
				}
			}
		case '-':
			return func(f *frame) Value {
				if a := l(f); a.isNumber() {
					return Number(a.num() - n)
				} else {
					return f.arith('-', a, kv, line, &names)
				}
			}
		}
	}
	op := e.op
	switch op {
	case '+':
		return func(f *frame) Value {
			a := l(f)
			b := r(f)
			if a.isNumber() && b.isNumber() {
				return Number(a.num() + b.num())
			}
			return f.arith('+', a, b, line, &names)
		}
	case '-':
		return func(f *frame) Value {
			a := l(f)
			b := r(f)
			if a.isNumber() && b.isNumber() {
				return Number(a.num() - b.num())
			}
			return f.arith('-', a, b, line, &names)
		}
	case '*':
		return func(f *frame) Value {
			a := l(f)
			b := r(f)
			if a.isNumber() && b.isNumber() {
				return Number(a.num() * b.num())
			}
			return f.arith('*', a, b, line, &names)
		}
	}
	return func(f *frame) Value {
		a := l(f)
		b := r(f)
		if a.isNumber() && b.isNumber() {
			return Number(compute(op, a.num(), b.num()))
		}
		return f.arith(op, a, b, line, &names)
	}
}
