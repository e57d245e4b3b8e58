package vm

import (
	"fmt"
	"math"
	"strings"
)

// AddFunctions enters built-in functions into a table.
func (vm *VM) AddFunctions(t *Table, fns map[string]GoFunc) {
	names := make([]string, 0, len(fns))
	for name := range fns {
		names = append(names, name)
	}
	sortStrings(names) // the order of pairs shall be the same in every VM
	for _, name := range names {
		t.SetString(name, vm.NewFunc(name, fns[name]).Value())
	}
}

func sortStrings(s []string) {
	for i := range s {
		for j := i; j > 0 && s[j] < s[j-1]; j-- {
			s[j], s[j-1] = s[j-1], s[j]
		}
	}
}

// Library makes a global table of built-in functions.
func (vm *VM) Library(name string, fns map[string]GoFunc) *Table {
	t := vm.NewTable(0, len(fns))
	vm.AddFunctions(t, fns)
	vm.Globals.SetString(name, t.Value())
	return t
}

func (vm *VM) openBase() {
	vm.AddFunctions(vm.Globals, map[string]GoFunc{
		"assert": baseAssert, "collectgarbage": baseCollect, "error": baseError, "gcinfo": baseGCInfo,
		"getmetatable": baseGetMetatable, "load": baseLoad, "loadstring": baseLoadString, "next": baseNext, "pcall": basePCall,
		"rawequal": baseRawEqual, "rawget": baseRawGet, "rawset": baseRawSet, "select": baseSelect,
		"setmetatable": baseSetMetatable, "tonumber": baseToNumber, "tostring": baseToString, "type": baseType,
		"unpack": baseUnpack, "xpcall": baseXPCall,
	})
	vm.Globals.SetString("_G", vm.Globals.Value())
	vm.Globals.SetString("_VERSION", String("Lua 5.1"))
	next := vm.Globals.GetString("next")
	step := vm.NewFunc("", ipairsStep).Value()
	vm.Globals.SetString("pairs", vm.NewFunc("pairs", func(c *Call) { c.Push(next, c.Table(1).Value(), Nil) }).Value())
	vm.Globals.SetString("ipairs", vm.NewFunc("ipairs", func(c *Call) { c.Push(step, c.Table(1).Value(), Int(0)) }).Value())
}

func ipairsStep(c *Call) {
	i := c.Int(2) + 1
	if v := c.Table(1).GetInt(i); v.IsNil() {
		c.Push1(Nil)
	} else {
		c.Push(Int(i), v)
	}
}

func baseAssert(c *Call) {
	if !c.Any(1).Truthy() {
		c.Errorf("%s", c.OptStr(2, "assertion failed!"))
	}
	c.Push(c.Args...)
}

func baseCollect(c *Call) {
	vm := c.th.vm
	switch opt := c.OptStr(1, "collect"); opt {
	case "count":
		c.Push1(Number(float64(vm.UsedBytes()) / 1024))
	case "collect":
		vm.Settle()
		c.Push1(Int(0))
	case "step":
		c.Push1(True)
	case "stop", "restart", "setpause", "setstepmul":
		c.Push1(Int(0))
	default:
		c.ArgError(1, "invalid option '"+opt+"'")
	}
}

func baseGCInfo(c *Call) { c.Push1(Int(int(c.th.vm.UsedBytes() >> 10))) }

func baseError(c *Call) {
	level := c.OptInt(2, 1)
	v := c.Arg(1)
	if s, ok := v.ToString(); ok && level > 0 {
		v = String(c.th.where(level) + s)
	}
	c.th.throw(v)
}

func baseGetMetatable(c *Call) {
	m := c.th.vm.metatable(c.Any(1))
	if m == nil {
		c.Push1(Nil)
		return
	}
	if p := m.getStr(strMetatable); !p.IsNil() {
		c.Push1(p)
		return
	}
	c.Push1(m.Value())
}

func baseSetMetatable(c *Call) {
	t := c.Table(1)
	if k := c.Arg(2).Kind(); len(c.Args) < 2 || k != KindNil && k != KindTable {
		c.ArgError(2, "nil or table expected")
	}
	if t.readOnly {
		c.Throw(String(readOnlyText)) // without a place, as it comes from inside the built-in function
	}
	if t.meta != nil && !t.meta.getStr(strMetatable).IsNil() {
		c.Errorf("cannot change a protected metatable")
	}
	t.meta = c.Arg(2).AsTable()
	c.Push1(t.Value())
}

func baseLoadString(c *Call) {
	src := c.Str(1)
	load(c, src, c.OptStr(2, src))
}

func load(c *Call, src, name string) {
	c.th.vm.meter.charge(int64(len(src)) * codeFactor)
	p, err := Compile(src, name)
	if err != nil {
		c.Push(Nil, String(err.Error()))
		return
	}
	c.Push1(c.th.vm.Load(p).Value())
}

func baseLoad(c *Call) {
	fn := c.Func(1)
	name := c.OptStr(2, "=(load)")
	var b strings.Builder
	for {
		var piece Value
		if rets := c.Call(fn); len(rets) > 0 {
			piece = rets[0]
		}
		if piece.IsNil() {
			break
		}
		s, ok := piece.ToString()
		if !ok {
			c.Errorf("reader function must return a string")
		}
		if s == "" {
			break
		}
		c.th.vm.Reserve(len(s))
		b.WriteString(s)
	}
	load(c, b.String(), name)
}

func baseNext(c *Call) {
	k, v, ok := c.Table(1).Next(c.Arg(2))
	if !ok {
		c.Throw(String("invalid key to 'next'"))
	}
	if k.IsNil() {
		c.Push1(Nil)
		return
	}
	c.Push(k, v)
}

func basePCall(c *Call) {
	if len(c.Args) == 0 {
		c.Push(False, String("attempt to call a boolean value")) // Redis' pcall calls its own place for the result
		return
	}
	th := c.th
	rets, err := th.protect(c.Args[0], c.Args[1:], th.top)
	if err != nil {
		th.caught(err)
		c.Push1(False)
		if th.vm.Caught != nil {
			c.Push(th.vm.Caught(err.Value)...)
		} else {
			c.Push1(err.Value)
		}
		return
	}
	c.Push1(True)
	c.Push(rets...)
}

// caught lets pass what no script may catch.
func (th *Thread) caught(err *Error) {
	if err.Fatal {
		panic(err)
	}
}

func baseXPCall(c *Call) {
	c.Any(2)
	th := c.th
	handler := c.Args[1]
	rets, err := th.protect(c.Args[0], nil, th.top)
	if err != nil {
		th.caught(err)
		rets, err = th.protect(handler, []Value{err.Value}, th.top)
		if err != nil {
			th.caught(err)
			rets = []Value{err.Value}
		}
		c.Push1(False)
		if len(rets) == 0 {
			c.Push1(Nil)
		} else {
			c.Push1(rets[0])
		}
		return
	}
	c.Push1(True)
	c.Push(rets...)
}

func baseRawEqual(c *Call) { c.Push1(Bool(RawEqual(c.Any(1), c.Any(2)))) }

func baseRawGet(c *Call) { c.Push1(c.Table(1).Get(c.Any(2))) }

func baseRawSet(c *Call) {
	t := c.Table(1)
	k, v := c.Any(2), c.Any(3)
	if t.readOnly {
		c.Throw(String(readOnlyText))
	}
	if k.IsNil() {
		c.Errorf("table index is nil")
	}
	if k.isNumber() && math.IsNaN(k.num()) {
		c.Errorf("table index is NaN")
	}
	t.Set(k, v)
	c.Push1(t.Value())
}

func baseSelect(c *Call) {
	if s, ok := c.Arg(1).AsString(); ok && strings.HasPrefix(s, "#") {
		c.Push1(Int(len(c.Args) - 1))
		return
	}
	n := c.Int(1)
	if n < 0 {
		n = len(c.Args) + n
	} else if n > len(c.Args) {
		n = len(c.Args)
	}
	if n < 1 {
		c.ArgError(1, "index out of range")
	}
	c.Push(c.Args[n:]...)
}

func baseToNumber(c *Call) {
	base := c.OptInt(2, 10)
	if base == 10 {
		if f, ok := c.Any(1).ToNumber(); ok {
			c.Push1(Number(f))
		} else {
			c.Push1(Nil)
		}
		return
	}
	s := c.Str(1)
	if base < 2 || base > 36 {
		c.ArgError(2, "base out of range")
	}
	c.Push1(parseBase(s, base))
}

// parseBase is strtoul, which takes a sign and wraps around.
func parseBase(s string, base int) Value {
	s = strings.Trim(cString(s), spaces)
	neg := strings.HasPrefix(s, "-")
	if neg || strings.HasPrefix(s, "+") {
		s = s[1:]
	}
	if base == 16 && len(s) > 2 && s[0] == '0' && s[1]|0x20 == 'x' {
		s = s[2:]
	}
	if s == "" {
		return Nil
	}
	n, over := uint64(0), false
	for i := range len(s) {
		d := 99
		switch c := s[i]; {
		case '0' <= c && c <= '9':
			d = int(c - '0')
		case 'a' <= c|0x20 && c|0x20 <= 'z':
			d = int(c|0x20-'a') + 10
		}
		if d >= base {
			return Nil
		}
		if n > (math.MaxUint64-uint64(d))/uint64(base) {
			over = true
		}
		n = n*uint64(base) + uint64(d)
	}
	if over {
		n = math.MaxUint64
	} else if neg {
		n = -n
	}
	return Number(float64(n))
}

// ToStringMeta is tostring().
func (c *Call) toString(v Value) Value {
	if h := c.th.metamethod(v, strToString); !h.IsNil() {
		if rets := c.Call(h, v); len(rets) > 0 {
			return rets[0]
		}
		return Nil
	}
	switch v.Kind() {
	case KindString:
		return v
	case KindNumber:
		return String(FormatNumber(v.num()))
	case KindBool:
		if v.n != 0 {
			return String("true")
		}
		return String("false")
	case KindNil:
		return String("nil")
	case KindUserdata:
		return String("userdata: (nil)")
	}
	return String(fmt.Sprintf("%s: 0x%014x", v.TypeName(), uint64(objectID(v))<<4))
}

func objectID(v Value) uint32 {
	switch v.Kind() {
	case KindTable:
		return (*Table)(v.p).id
	case KindFunction:
		return (*Func)(v.p).id
	case KindThread:
		return (*Thread)(v.p).id
	}
	return 0
}

func baseToString(c *Call) { c.Push1(c.toString(c.Any(1))) }

func baseType(c *Call) { c.Push1(String(c.Any(1).TypeName())) }

func baseUnpack(c *Call) {
	t := c.Table(1)
	i := c.OptInt(2, 1)
	j := c.OptInt(3, math.MinInt64)
	if c.Arg(3).IsNil() {
		j = t.Len()
	}
	if i > j {
		return
	}
	n := j - i + 1
	if n <= 0 || n > math.MaxInt32 || len(c.Args)+n > maxCStack {
		c.Errorf("too many results to unpack")
	}
	for ; i <= j; i++ {
		c.Push1(t.GetInt(i))
	}
}
