package vm

import (
	"bytes"
	"strings"
)

func (vm *VM) openString() {
	t := vm.Library("string", map[string]GoFunc{
		"byte": strByte, "char": strChar, "dump": func(c *Call) { c.Func(1); c.Push1(String("\x1bLuaQ")) },
		"find": func(c *Call) { strFind(c, true) }, "format": strFormat, "gmatch": strGmatch, "gfind": strGmatch, "gsub": strGsub,
		"len": func(c *Call) { c.Push1(Int(len(c.Str(1)))) },
		"lower": func(c *Call) {
			c.mapped(func(b byte) byte {
				if 'A' <= b && b <= 'Z' {
					b += 'a' - 'A'
				}
				return b
			})
		},
		"match": func(c *Call) { strFind(c, false) }, "rep": strRep, "reverse": strReverse, "sub": strSub,
		"upper": func(c *Call) {
			c.mapped(func(b byte) byte {
				if 'a' <= b && b <= 'z' {
					b -= 'a' - 'A'
				}
				return b
			})
		},
	})
	vm.stringMeta = vm.NewTable(0, 1)
	vm.stringMeta.SetString("__index", t.Value())
}

// StringMeta is the metatable of strings.
func (vm *VM) StringMeta() *Table { return vm.stringMeta }

// PushString adds a new string as a result.
func (c *Call) PushString(s string) { c.Push1(c.th.vm.NewString(s)) }

func (c *Call) mapped(f func(byte) byte) {
	s := c.Str(1)
	c.th.vm.Reserve(len(s))
	out := make([]byte, len(s))
	for i := range len(s) {
		out[i] = f(s[i])
	}
	c.Push1(String(string(out)))
}

// position turns a negative place into one from the beginning (posrelat).
func position(pos, length int) int {
	if pos < 0 {
		return max(0, pos+length+1)
	}
	return pos
}

func strByte(c *Call) {
	s := c.Str(1)
	i := position(c.OptInt(2, 1), len(s))
	j := position(c.OptInt(3, i), len(s))
	i, j = max(i, 1), min(j, len(s))
	if i > j {
		return
	}
	if j-i+1+len(c.Args) > maxCStack {
		c.Errorf("string slice too long")
	}
	for ; i <= j; i++ {
		c.Push1(Int(int(s[i-1])))
	}
}

func strChar(c *Call) {
	out := make([]byte, len(c.Args))
	for i := range out {
		n := c.Int(i + 1)
		if n < 0 || n > 255 {
			c.ArgError(i+1, "invalid value")
		}
		out[i] = byte(n)
	}
	c.PushString(string(out))
}

func strRep(c *Call) {
	s, n := c.Str(1), c.Int(2)
	if n <= 0 || s == "" {
		c.Push1(String(""))
		return
	}
	if n > (1<<40)/len(s) {
		c.th.vm.Reserve(1 << 50) // more than there can be
	}
	c.th.vm.Reserve(n * len(s))
	c.Push1(String(strings.Repeat(s, n)))
}

func strReverse(c *Call) {
	s := c.Str(1)
	c.th.vm.Reserve(len(s))
	out := make([]byte, len(s))
	for i := range len(s) {
		out[len(s)-1-i] = s[i]
	}
	c.Push1(String(string(out)))
}

func strSub(c *Call) {
	s := c.Str(1)
	i := max(position(c.Int(2), len(s)), 1)
	j := min(position(c.OptInt(3, -1), len(s)), len(s))
	if i > j {
		c.Push1(String(""))
		return
	}
	if i == 1 && j == len(s) {
		c.Push1(c.Args[0].asStringValue(s))
		return
	}
	c.PushString(strings.Clone(s[i-1 : j]))
}

// asStringValue is v if it is the string s, else a new value.
func (v Value) asStringValue(s string) Value {
	if v.Kind() == KindString {
		return v
	}
	return String(s)
}

const specials = "^$*+?.([%-"

func strFind(c *Call, find bool) {
	s, p := c.Str(1), c.Str(2)
	init := position(c.OptInt(3, 1), len(s)) - 1
	init = min(max(init, 0), len(s))
	if find && (c.Arg(4).Truthy() || !strings.ContainsAny(p, specials)) {
		if i := strings.Index(s[init:], p); i >= 0 {
			c.Push(Int(init+i+1), Int(init+i+len(p)))
			return
		}
		c.Push1(Nil)
		return
	}
	m := matcher{c: c, src: s, pat: p}
	anchor := strings.HasPrefix(p, "^")
	at := 0
	if anchor {
		at = 1
	}
	for i := init; ; i++ {
		m.level = 0
		if e := m.match(i, at); e >= 0 {
			if find {
				c.Push(Int(i+1), Int(e))
				m.pushCaptures(-1, -1)
			} else {
				m.pushCaptures(i, e)
			}
			return
		}
		if i >= len(s) || anchor {
			break
		}
	}
	c.Push1(Nil)
}

func strGmatch(c *Call) {
	s, p := c.Str(1), c.Str(2)
	at := 0
	c.Push1(c.th.vm.NewFunc("", func(c *Call) {
		m := matcher{c: c, src: s, pat: p}
		for i := at; i <= len(s); i++ {
			m.level = 0
			if e := m.match(i, 0); e >= 0 {
				if at = e; e == i {
					at++
				}
				m.pushCaptures(i, e)
				return
			}
		}
		at = len(s) + 1
		c.Push1(Nil)
	}).Value())
}

func strGsub(c *Call) {
	s, p := c.Str(1), c.Str(2)
	repl := c.Arg(3)
	switch repl.Kind() {
	case KindNumber, KindString, KindTable, KindFunction:
	default:
		c.ArgError(3, "string/function/table expected")
	}
	most := c.OptInt(4, len(s)+1)
	anchor := strings.HasPrefix(p, "^")
	if anchor {
		p = p[1:]
	}
	m := matcher{c: c, src: s, pat: p}
	var b bytes.Buffer
	charged := 0
	n, i := 0, 0
	for n < most {
		m.level = 0
		e := m.match(i, 0)
		if e >= 0 {
			n++
			m.replace(&b, i, e, repl)
		}
		switch {
		case e >= 0 && e > i:
			i = e
		case i < len(s):
			b.WriteByte(s[i])
			i++
		default:
			e = -2
		}
		if n := b.Len(); n >= 2*charged { // the whole, each time it has doubled: nobody weighs what was charged before
			c.th.vm.Reserve(n)
			charged = n
		}
		if e == -2 || anchor {
			break
		}
	}
	c.th.vm.Reserve(len(s) - i)
	b.WriteString(s[i:])
	c.Push(String(b.String()), Int(n))
}

// replace writes what stands for the match s[i:e].
func (m *matcher) replace(b *bytes.Buffer, i, e int, repl Value) {
	var v Value
	switch repl.Kind() {
	case KindTable:
		th := m.c.th
		th.depth-- // messages about the table have the position of gsub's caller
		v = th.frames[th.depth-1].index(repl, m.capture(0, i, e), th.frames[th.depth-1].line, "")
		th.depth++
	case KindFunction:
		th := m.c.th
		base := th.top
		for k := range max(m.level, 1) {
			th.push(m.capture(k, i, e))
		}
		if rets := th.call(repl, base); len(rets) > 0 {
			v = rets[0]
		}
	default:
		text, _ := repl.ToString()
		for k := 0; k < len(text); k++ {
			if text[k] != '%' {
				b.WriteByte(text[k])
				continue
			}
			if k++; k == len(text) {
				b.WriteByte(0) // what C finds behind the end
				return
			}
			switch d := text[k]; {
			case d == '0':
				b.WriteString(m.src[i:e])
			case '1' <= d && d <= '9':
				s, _ := m.capture(int(d-'1'), i, e).ToString()
				b.WriteString(s)
			default:
				b.WriteByte(d)
			}
		}
		return
	}
	if !v.Truthy() {
		b.WriteString(m.src[i:e])
		return
	}
	s, ok := v.ToString()
	if !ok {
		m.c.Errorf("invalid replacement value (a %s)", v.TypeName())
	}
	b.WriteString(s)
}
