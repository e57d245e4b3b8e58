package vm

import (
	"fmt"
	"slices"
)

// Bounds of one chunk (LUAI_MAXCCALLS, LUAI_MAXVARS, LUAI_MAXUPVALUES).
const (
	maxSyntaxLevels = 200
	maxLocals       = 200
	maxUpvalues     = 60
)

type parser struct {
	lexer
	fn     *function
	levels int
	debug  bool // statements are told to VM.Line
}

func (p *parser) enter() {
	if p.levels++; p.levels > maxSyntaxLevels {
		p.fail("chunk has too many syntax levels", "")
	}
}

func (p *parser) leave() { p.levels-- }

func (p *parser) limit(n int, what string) {
	where := "main function"
	if p.fn.line > 0 {
		where = fmt.Sprintf("function at line %d", p.fn.line)
	}
	p.fail(fmt.Sprintf("%s has more than %d %s", where, n, what), "")
}

func (p *parser) accept(t token) bool {
	if p.tok == t {
		p.next()
		return true
	}
	return false
}

func (p *parser) check(t token) {
	if p.tok != t {
		p.failHere(fmt.Sprintf("'%s' expected", t))
	}
}

func (p *parser) expect(t token) {
	p.check(t)
	p.next()
}

// match expects the end of something that began with who at line.
func (p *parser) match(what, who token, line int32) {
	if p.tok == what {
		p.next()
		return
	}
	if line == p.line {
		p.failHere(fmt.Sprintf("'%s' expected", what))
	}
	p.failHere(fmt.Sprintf("'%s' expected (to close '%s' at line %d)", what, who, line))
}

func (p *parser) name() string {
	p.check(tkName)
	s := p.text
	p.next()
	return s
}

// parse reads a whole chunk.
func (p *parser) parse() *function {
	p.line, p.lastLine = 1, 1
	p.fn = &function{vararg: true}
	p.next()
	p.fn.body = p.block()
	p.fn.body = p.round(p.fn.body, p.lastLine, true, false)
	p.check(tkEOF)
	return p.fn
}

// reserve takes n registers.
func (p *parser) reserve(n int) int {
	f := p.fn
	at := f.slots
	f.slots += n
	f.most = max(f.most, f.slots)
	return at
}

// declare brings v into scope, in a new register.
func (p *parser) declare(v *local) {
	v.slot = p.reserve(1)
	p.fn.active = append(p.fn.active, v)
	if len(p.fn.active) > maxLocals {
		p.limit(maxLocals, "local variables")
	}
}

// scope runs f and forgets the locals declared in it.
func (p *parser) scope(f func()) {
	fn := p.fn
	active, slots := len(fn.active), fn.slots
	f()
	fn.active, fn.slots = fn.active[:active], slots
}

func (p *parser) scoped() (body []stmtNode) {
	p.scope(func() { body = p.block() })
	return body
}

// round marks, for a debugger, a body that control enters anew at its first statement (a function, a for loop), and that ends
// at line; again: at whose end control goes back.
func (p *parser) round(body []stmtNode, line int32, anew, again bool) []stmtNode {
	if !p.debug {
		return body
	}
	if anew && len(body) > 0 {
		body[0].(*stmtAt).fresh = true
	}
	return append(body, &stmtAt{line: line, active: slices.Clone(p.fn.active), fresh: again || len(body) == 0})
}

func (p *parser) ends() bool {
	switch p.tok {
	case tkElse, tkElseif, tkEnd, tkEOF, tkUntil:
		return true
	}
	return false
}

func (p *parser) block() (body []stmtNode) {
	p.enter()
	last := false
	for !last && !p.ends() {
		var s stmtNode
		line, active := p.line, len(p.fn.active)
		s, last = p.statement()
		if p.debug {
			switch s.(type) {
			case *stmtLocalFunc:
				line = p.lastLine
			case *stmtRepeat:
				line = 0 // nothing happens at its first word
			}
			s = &stmtAt{s: s, line: line, active: slices.Clone(p.fn.active[:active])}
		}
		body = append(body, s)
		p.accept(';')
	}
	p.leave()
	return body
}

func (p *parser) statement() (s stmtNode, last bool) {
	line := p.line
	switch p.tok {
	case tkIf:
		return p.ifStatement(line), false
	case tkWhile:
		p.next()
		cond := p.expr()
		p.expect(tkDo)
		body := p.round(p.loop(), line, false, true)
		p.match(tkEnd, tkWhile, line)
		return &stmtWhile{cond, body, line}, false
	case tkDo:
		p.next()
		body := p.scoped()
		p.match(tkEnd, tkDo, line)
		return &stmtDo{body}, false
	case tkFor:
		return p.forStatement(line), false
	case tkRepeat:
		p.next()
		r := &stmtRepeat{line: line}
		p.scope(func() {
			p.fn.loops++
			r.body = p.block()
			if r.body = p.round(r.body, p.line, false, false); p.debug {
				r.body[len(r.body)-1].(*stmtAt).back = true
			}
			p.fn.loops--
			p.match(tkUntil, tkRepeat, line)
			r.cond = p.expr()
		})
		return r, false
	case tkFunction:
		return p.functionStatement(line), false
	case tkLocal:
		p.next()
		if p.accept(tkFunction) {
			v := &local{name: p.name()}
			p.declare(v)
			return &stmtLocalFunc{v, p.body(false, p.line)}, false
		}
		return p.localStatement(line), false
	case tkReturn:
		p.next()
		var exprs []exprNode
		if !p.ends() && p.tok != ';' {
			exprs = p.exprs()
		}
		return &stmtReturn{exprs, line}, true
	case tkBreak:
		p.next()
		if p.fn.loops == 0 {
			p.fail("no loop to break", p.nearText())
		}
		return &stmtBreak{}, true
	}
	return p.exprStatement(line), false
}

// nearText is the present token as messages show it.
func (p *parser) nearText() string {
	switch p.tok {
	case tkName, tkString, tkNumber:
		return cString(p.src[p.raw:min(p.at, len(p.src))])
	}
	return p.tok.String()
}

func (p *parser) loop() (body []stmtNode) {
	p.fn.loops++
	body = p.scoped()
	p.fn.loops--
	return body
}

func (p *parser) ifStatement(line int32) stmtNode {
	s := &stmtIf{}
	for {
		p.next()
		line := p.line
		cond := p.expr()
		if p.debug && len(s.conds) > 0 {
			cond = &exprAt{cond, &stmtAt{line: line, active: slices.Clone(p.fn.active)}}
		}
		s.conds = append(s.conds, cond)
		p.expect(tkThen)
		s.bodies = append(s.bodies, p.scoped())
		if p.tok != tkElseif {
			break
		}
	}
	if p.accept(tkElse) {
		s.bodies = append(s.bodies, p.scoped())
	}
	p.match(tkEnd, tkIf, line)
	return s
}

func (p *parser) forStatement(line int32) (s stmtNode) {
	p.next()
	first := p.name()
	p.scope(func() {
		switch p.tok {
		case '=':
			p.next()
			n := &stmtNumFor{v: &local{name: first}, line: line}
			n.from = p.expr()
			p.expect(',')
			n.to = p.expr()
			if p.accept(',') {
				n.step = p.expr()
			}
			p.expect(tkDo)
			n.base = p.reserve(3) // as in PUC, so that the bound of locals falls at the same place
			p.fn.loops++
			p.scope(func() {
				p.declare(n.v)
				n.body = p.round(p.block(), line, true, false)
			})
			p.fn.loops--
			s = n
		case ',', tkIn:
			n := &stmtGenFor{vars: []*local{{name: first}}, line: line}
			for p.accept(',') {
				n.vars = append(n.vars, &local{name: p.name()})
			}
			p.expect(tkIn)
			n.line = p.line
			n.exprs = p.exprs()
			p.expect(tkDo)
			n.base = p.reserve(3)
			p.fn.loops++
			p.scope(func() {
				for _, v := range n.vars {
					p.declare(v)
				}
				n.body = p.round(p.block(), line, true, false)
			})
			p.fn.loops--
			s = n
		default:
			p.failHere("'=' or 'in' expected")
		}
		p.match(tkEnd, tkFor, line)
	})
	return s
}

func (p *parser) functionStatement(line int32) stmtNode {
	p.next()
	target := p.resolve(p.name())
	method := false
	for p.tok == '.' || p.tok == ':' {
		method = p.tok == ':'
		p.next()
		target = &exprIndex{target, &exprConst{strValue(constStr(p.name()))}, line}
		if method {
			break
		}
	}
	return &stmtAssign{[]exprNode{target}, []exprNode{&exprFunc{p.body(method, line)}}, line}
}

func (p *parser) localStatement(line int32) stmtNode {
	s := &stmtLocal{line: line}
	for {
		s.vars = append(s.vars, &local{name: p.name()})
		if !p.accept(',') {
			break
		}
	}
	if p.accept('=') {
		s.exprs = p.exprs()
	}
	for _, v := range s.vars {
		p.declare(v)
	}
	return s
}

func (p *parser) exprStatement(line int32) stmtNode {
	e := p.primary()
	switch e.(type) {
	case *exprCall, *exprMethod:
		return &stmtCall{e}
	}
	s := &stmtAssign{line: line}
	for {
		switch e.(type) {
		case *exprLocal, *exprUpval, *exprGlobal, *exprIndex:
		default:
			p.failHere("syntax error")
		}
		s.targets = append(s.targets, e)
		if len(s.targets) > maxSyntaxLevels-p.levels {
			p.fail(fmt.Sprintf("%s has more than %d %s", "main function", maxSyntaxLevels-p.levels, "variables in assignment"), "")
		}
		if !p.accept(',') {
			break
		}
		e = p.primary()
	}
	p.expect('=')
	s.exprs = p.exprs()
	return s
}

// body reads parameters and body of a function.
func (p *parser) body(method bool, line int32) *function {
	fn := &function{parent: p.fn, line: line}
	p.fn = fn
	if method {
		v := &local{name: "self"}
		p.declare(v)
		fn.params = append(fn.params, v)
	}
	p.expect('(')
	for p.tok != ')' {
		if p.accept(tkDots) {
			fn.vararg = true
			break
		}
		if p.tok != tkName {
			p.failHere("<name> or '...' expected")
		}
		v := &local{name: p.name()}
		p.declare(v)
		fn.params = append(fn.params, v)
		if !p.accept(',') {
			break
		}
		if p.tok == ')' {
			p.failHere("<name> or '...' expected")
		}
	}
	if fn.vararg {
		fn.arg = &local{name: "arg"}
		p.declare(fn.arg)
	}
	p.expect(')')
	fn.body = p.block()
	fn.body = p.round(fn.body, p.line, true, false)
	p.match(tkEnd, tkFunction, line)
	p.fn = fn.parent
	return fn
}

func (p *parser) exprs() (list []exprNode) {
	for {
		list = append(list, p.expr())
		if !p.accept(',') {
			return list
		}
	}
}

// resolve finds what a name means here.
func (p *parser) resolve(name string) exprNode {
	for i := len(p.fn.active) - 1; i >= 0; i-- {
		if v := p.fn.active[i]; v.name == name {
			return &exprLocal{v}
		}
	}
	if i := p.capture(p.fn, name); i >= 0 {
		return &exprUpval{i, name}
	}
	return &exprGlobal{constStr(name), p.lastLine}
}

// capture returns the number of fn's upvalue called name, making it if a function around has such a local, or -1.
func (p *parser) capture(fn *function, name string) int {
	outer := fn.parent
	if outer == nil {
		return -1
	}
	for i, u := range fn.upvals {
		if u.name == name {
			// The same name may mean another variable if it was declared anew in between.
			if v := visible(outer, name); v == u.local && v != nil || v == nil && u.local == nil {
				return i
			}
		}
	}
	u := upvalue{name: name}
	if v := visible(outer, name); v != nil {
		v.captured = true
		u.local = v
	} else if u.index = p.capture(outer, name); u.index < 0 {
		return -1
	}
	fn.upvals = append(fn.upvals, u)
	if len(fn.upvals) > maxUpvalues {
		p.limit(maxUpvalues, "upvalues")
	}
	return len(fn.upvals) - 1
}

func visible(fn *function, name string) *local {
	for i := len(fn.active) - 1; i >= 0; i-- {
		if v := fn.active[i]; v.name == name {
			return v
		}
	}
	return nil
}

func (p *parser) primary() exprNode {
	var e exprNode
	switch line := p.line; p.tok {
	case '(':
		p.next()
		e = p.expr()
		p.match(')', '(', line)
		e = &exprParen{e}
	case tkName:
		name := p.text
		p.next()
		e = p.resolve(name)
	default:
		p.failHere("unexpected symbol")
	}
	for {
		line := p.line
		switch p.tok {
		case '.':
			p.next()
			e = &exprIndex{e, &exprConst{strValue(constStr(p.name()))}, line}
		case '[':
			p.next()
			key := p.expr()
			p.expect(']')
			e = &exprIndex{e, key, line}
		case ':':
			p.next()
			name := constStr(p.name())
			e = &exprMethod{e, name, p.args(), line}
		case '(', tkString, '{':
			e = &exprCall{e, p.args(), line}
		default:
			return e
		}
	}
}

func (p *parser) args() []exprNode {
	line := p.line
	switch p.tok {
	case tkString:
		s := p.text
		p.next()
		return []exprNode{&exprConst{strValue(constStr(s))}}
	case '{':
		return []exprNode{p.table()}
	case '(':
		if line != p.lastLine {
			p.failHere("ambiguous syntax (function call x new statement)")
		}
		p.next()
		if p.accept(')') {
			return nil
		}
		list := p.exprs()
		p.match(')', '(', line)
		return list
	}
	p.failHere("function arguments expected")
	return nil
}

func (p *parser) table() exprNode {
	line := p.line
	t := &exprTable{line: line}
	p.expect('{')
	for p.tok != '}' {
		switch {
		case p.tok == '[':
			p.next()
			key := p.expr()
			p.expect(']')
			p.expect('=')
			t.keys, t.vals, t.order = append(t.keys, key), append(t.vals, p.expr()), append(t.order, true)
		case p.tok == tkName && p.peek() == '=':
			key := &exprConst{strValue(constStr(p.name()))}
			p.expect('=')
			t.keys, t.vals, t.order = append(t.keys, key), append(t.vals, p.expr()), append(t.order, true)
		default:
			t.items, t.order = append(t.items, p.expr()), append(t.order, false)
		}
		if !p.accept(',') && !p.accept(';') {
			break
		}
	}
	p.match('}', '{', line)
	return t
}

func (p *parser) simple() exprNode {
	switch p.tok {
	case tkNumber:
		f := p.num
		p.next()
		return &exprConst{Number(f)}
	case tkString:
		s := p.text
		p.next()
		return &exprConst{strValue(constStr(s))}
	case tkNil:
		p.next()
		return &exprConst{Nil}
	case tkTrue:
		p.next()
		return &exprConst{True}
	case tkFalse:
		p.next()
		return &exprConst{False}
	case tkDots:
		if !p.fn.vararg {
			p.failHere("cannot use '...' outside a vararg function")
		}
		p.fn.usesDots = true
		p.next()
		return &exprDots{}
	case '{':
		return p.table()
	case tkFunction:
		line := p.line
		p.next()
		return &exprFunc{p.body(false, line)}
	}
	return p.primary()
}

type priority struct{ left, right int }

var priorities = map[token]priority{
	'+': {6, 6}, '-': {6, 6}, '*': {7, 7}, '/': {7, 7}, '%': {7, 7}, '^': {10, 9}, tkConcat: {5, 4},
	tkNe: {3, 3}, tkEq: {3, 3}, '<': {3, 3}, tkLe: {3, 3}, '>': {3, 3}, tkGe: {3, 3}, tkAnd: {2, 2}, tkOr: {1, 1},
}

const unaryPriority = 8

func (p *parser) expr() exprNode { return p.subexpr(0) }

func (p *parser) subexpr(limit int) exprNode {
	p.enter()
	var e exprNode
	switch p.tok {
	case tkNot, '-', '#':
		op := p.tok
		p.next()
		e = p.subexpr(unaryPriority)
		e = unary(op, e, p.lastLine)
	default:
		e = p.simple()
	}
	for {
		op := p.tok
		pr, ok := priorities[op]
		if !ok || pr.left <= limit {
			break
		}
		p.next()
		right := p.subexpr(pr.right)
		e = &exprBin{op, e, right, p.lastLine} // an operation is where its last operand ends, as in PUC
	}
	p.leave()
	return e
}

// unary folds the minus of a number.
func unary(op token, e exprNode, line int32) exprNode {
	if c, ok := e.(*exprConst); ok && op == '-' && c.v.isNumber() {
		return &exprConst{Number(-c.v.num())}
	}
	return &exprUn{op, e, line}
}
