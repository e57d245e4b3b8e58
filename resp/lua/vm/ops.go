package vm

import (
	"math"
	"strings"
)

// The names of metamethods, made once.
var (
	strIndex     = constStr("__index")
	strNewIndex  = constStr("__newindex")
	strCall      = constStr("__call")
	strEq        = constStr("__eq")
	strLt        = constStr("__lt")
	strLe        = constStr("__le")
	strLen       = constStr("__len")
	strUnm       = constStr("__unm")
	strConcat    = constStr("__concat")
	strToString  = constStr("__tostring")
	strMetatable = constStr("__metatable")
	arithEvents  = map[token]*Str{
		'+': constStr("__add"), '-': constStr("__sub"), '*': constStr("__mul"), '/': constStr("__div"),
		'%': constStr("__mod"), '^': constStr("__pow"),
	}
)

// maxMetaLoop bounds chains of __index and __newindex (MAXTAGLOOP).
const maxMetaLoop = 100

func (vm *VM) metatable(v Value) *Table {
	switch v.Kind() {
	case KindTable:
		return (*Table)(v.p).meta
	case KindString:
		return vm.stringMeta
	}
	return nil
}

func (th *Thread) metamethod(v Value, event *Str) Value {
	if m := th.vm.metatable(v); m != nil {
		return m.getStr(event)
	}
	return Nil
}

// invoke calls a metamethod and returns its first result.
func (th *Thread) invoke(fn Value, args ...Value) Value {
	base := th.top
	for _, a := range args {
		th.push(a)
	}
	if rets := th.call(fn, base); len(rets) > 0 {
		return rets[0]
	}
	return Nil
}

// index is obj[key] with metamethods; name is what obj is called in messages.
func (f *frame) index(obj, key Value, line int32, name string) Value {
	th := f.th
	for range maxMetaLoop {
		var h Value
		if t := obj.AsTable(); t != nil {
			v := t.Get(key)
			if !v.IsNil() || t.meta == nil {
				return v
			}
			if h = t.meta.getStr(strIndex); h.IsNil() {
				return v
			}
		} else if h = th.metamethod(obj, strIndex); h.IsNil() {
			f.failf(line, "attempt to index %s", named(name, obj))
		}
		if h.Kind() == KindFunction {
			f.line, f.callName = line, ""
			return th.invoke(h, obj, key)
		}
		obj, name = h, ""
	}
	f.failf(line, "loop in gettable")
	return Nil
}

const readOnlyText = "Attempt to modify a readonly table"

// setIndex is obj[key] = v with metamethods.
func (f *frame) setIndex(obj, key, v Value, line int32, name string) {
	th := f.th
	for range maxMetaLoop {
		var h Value
		if t := obj.AsTable(); t != nil {
			if t.readOnly {
				f.failf(line, readOnlyText)
			}
			if t.meta == nil {
				f.rawSet(t, key, v, line)
				return
			}
			if !t.Get(key).IsNil() {
				t.Set(key, v)
				return
			}
			if h = t.meta.getStr(strNewIndex); h.IsNil() {
				f.rawSet(t, key, v, line)
				return
			}
		} else if h = th.metamethod(obj, strNewIndex); h.IsNil() {
			f.failf(line, "attempt to index %s", named(name, obj))
		}
		if h.Kind() == KindFunction {
			f.line, f.callName = line, ""
			th.invoke(h, obj, key, v)
			return
		}
		obj, name = h, ""
	}
	f.failf(line, "loop in settable")
}

func (f *frame) rawSet(t *Table, key, v Value, line int32) {
	if key.IsNil() {
		f.failf(line, "table index is nil")
	}
	if key.isNumber() && math.IsNaN(key.num()) {
		f.failf(line, "table index is NaN")
	}
	t.Set(key, v)
}

// compute does one operation on numbers.
func compute(op token, a, b float64) float64 {
	switch op {
	case '+':
		return a + b
	case '-':
		return a - b
	case '*':
		return a * b
	case '/':
		return a / b
	case '%':
		return a - math.Floor(a/b)*b
	default:
		return math.Pow(a, b)
	}
}

// arith is an operation whose operands are not both numbers.
func (f *frame) arith(op token, a, b Value, line int32, names *[2]string) Value {
	x, okA := a.ToNumber()
	y, okB := b.ToNumber()
	if okA && okB {
		return Number(compute(op, x, y))
	}
	event := arithEvents[op]
	h := f.th.metamethod(a, event)
	if h.IsNil() {
		h = f.th.metamethod(b, event)
	}
	if h.IsNil() {
		bad, name := b, names[1]
		if !okA {
			bad, name = a, names[0]
		}
		f.failf(line, "attempt to perform arithmetic on %s", named(name, bad))
	}
	f.line, f.callName = line, ""
	return f.th.invoke(h, a, b)
}

func (f *frame) negate(v Value, line int32, name string) Value {
	if n, ok := v.ToNumber(); ok {
		return Number(-n)
	}
	h := f.th.metamethod(v, strUnm)
	if h.IsNil() {
		f.failf(line, "attempt to perform arithmetic on %s", named(name, v))
	}
	f.line, f.callName = line, ""
	return f.th.invoke(h, v, v)
}

func (f *frame) length(v Value, line int32, name string) Value {
	switch v.Kind() {
	case KindTable:
		return Int((*Table)(v.p).Len())
	case KindString:
		return Int(len((*Str)(v.p).s))
	}
	h := f.th.metamethod(v, strLen)
	if h.IsNil() {
		f.failf(line, "attempt to get length of %s", named(name, v))
	}
	f.line, f.callName = line, ""
	return f.th.invoke(h, v)
}

// concat joins values; from the right, where metamethods are concerned.
func (f *frame) concat(vals []Value, names []string, line int32) Value {
	total := 0
	for i := range vals {
		switch vals[i].Kind() {
		case KindString:
			total += len((*Str)(vals[i].p).s)
		case KindNumber:
			vals[i] = String(FormatNumber(vals[i].num()))
			total += len((*Str)(vals[i].p).s)
		default:
			return f.concatSlow(vals, names, line)
		}
	}
	f.line = line
	f.th.vm.meter.charge(strBytes + int64(total))
	if len(vals) == 2 {
		return String((*Str)(vals[0].p).s + (*Str)(vals[1].p).s)
	}
	var b strings.Builder
	b.Grow(total)
	for _, v := range vals {
		b.WriteString((*Str)(v.p).s)
	}
	return String(b.String())
}

func (f *frame) concatSlow(vals []Value, names []string, line int32) Value {
	vals = append([]Value(nil), vals...)
	acc := vals[len(vals)-1]
	for i := len(vals) - 2; i >= 0; i-- {
		left := vals[i]
		a, okA := left.ToString()
		b, okB := acc.ToString()
		if okA && okB {
			f.line = line
			acc = f.th.vm.NewString(a + b)
			continue
		}
		h := f.th.metamethod(left, strConcat)
		if h.IsNil() {
			h = f.th.metamethod(acc, strConcat)
		}
		if h.IsNil() {
			bad, name := left, names[i]
			if okA {
				bad, name = acc, ""
				if i == len(vals)-2 {
					name = names[i+1]
				}
			}
			f.failf(line, "attempt to concatenate %s", named(name, bad))
		}
		f.line, f.callName = line, ""
		acc = f.th.invoke(h, left, acc)
	}
	return acc
}

func (f *frame) equal(a, b Value, line int32) bool {
	if RawEqual(a, b) {
		return true
	}
	s, t := a.AsTable(), b.AsTable()
	if s == nil || t == nil || s.meta == nil || t.meta == nil {
		return false
	}
	h := s.meta.getStr(strEq)
	if h.IsNil() || !RawEqual(h, t.meta.getStr(strEq)) {
		return false
	}
	f.line, f.callName = line, ""
	return f.th.invoke(h, a, b).Truthy()
}

// orderMeta is the metamethod both operands have, or nil.
func (th *Thread) orderMeta(a, b Value, event *Str) Value {
	h := th.metamethod(a, event)
	if h.IsNil() || !RawEqual(h, th.metamethod(b, event)) {
		return Nil
	}
	return h
}

func (f *frame) less(a, b Value, line int32) bool {
	if ka, kb := a.Kind(), b.Kind(); ka == kb {
		switch ka {
		case KindNumber:
			return a.num() < b.num()
		case KindString:
			return (*Str)(a.p).s < (*Str)(b.p).s
		}
		if h := f.th.orderMeta(a, b, strLt); !h.IsNil() {
			f.line, f.callName = line, ""
			return f.th.invoke(h, a, b).Truthy()
		}
	}
	f.orderError(a, b, line)
	return false
}

func (f *frame) lessEqual(a, b Value, line int32) bool {
	if ka, kb := a.Kind(), b.Kind(); ka == kb {
		switch ka {
		case KindNumber:
			return a.num() <= b.num()
		case KindString:
			return (*Str)(a.p).s <= (*Str)(b.p).s
		}
		if h := f.th.orderMeta(a, b, strLe); !h.IsNil() {
			f.line, f.callName = line, ""
			return f.th.invoke(h, a, b).Truthy()
		}
		if h := f.th.orderMeta(b, a, strLt); !h.IsNil() {
			f.line, f.callName = line, ""
			return !f.th.invoke(h, b, a).Truthy()
		}
	}
	f.orderError(a, b, line)
	return false
}

func (f *frame) orderError(a, b Value, line int32) {
	if x, y := a.TypeName(), b.TypeName(); x == y {
		f.failf(line, "attempt to compare two %s values", x)
	} else {
		f.failf(line, "attempt to compare %s with %s", x, y)
	}
}
