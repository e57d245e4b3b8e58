package lib

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/sextantdb/sextant/resp/lua/vm"
)

// jsonConfig is what cjson's functions set. It lives as long as the machine, as in Redis.
type jsonConfig struct {
	sparseConvert           bool
	sparseRatio, sparseSafe int
	encodeDepth             int
	decodeDepth             int
	encodeInvalid           int // 0: refused, 1: as they are, 2: null
	decodeInvalid           bool
	keepBuffer              bool
	precision               int
	buf                     []byte
}

// Where the stack of PUC Lua would end, whatever depth is asked for.
const deepestJSON = 2600

func newJSON(m *vm.VM) *vm.Table {
	cfg := &jsonConfig{sparseRatio: 2, sparseSafe: 10, encodeDepth: 1000, decodeDepth: 1000, decodeInvalid: true, keepBuffer: true, precision: 14}
	t := m.NewTable(0, 0)
	m.AddFunctions(t, map[string]vm.GoFunc{
		"encode": func(c *vm.Call) { jsonEncode(c, cfg) }, "decode": func(c *vm.Call) { jsonDecode(c, cfg) },
		"encode_sparse_array": func(c *vm.Call) {
			noMoreThan(c, 3)
			boolOption(c, 1, &cfg.sparseConvert)
			intOption(c, 2, &cfg.sparseRatio, 0, math.MaxInt32)
			intOption(c, 3, &cfg.sparseSafe, 0, math.MaxInt32)
		},
		"encode_max_depth":        func(c *vm.Call) { noMoreThan(c, 1); intOption(c, 1, &cfg.encodeDepth, 1, math.MaxInt32) },
		"decode_max_depth":        func(c *vm.Call) { noMoreThan(c, 1); intOption(c, 1, &cfg.decodeDepth, 1, math.MaxInt32) },
		"encode_number_precision": func(c *vm.Call) { noMoreThan(c, 1); intOption(c, 1, &cfg.precision, 1, 14) },
		"encode_keep_buffer":      func(c *vm.Call) { noMoreThan(c, 1); boolOption(c, 1, &cfg.keepBuffer) },
		"encode_invalid_numbers":  func(c *vm.Call) { noMoreThan(c, 1); invalidOption(c, &cfg.encodeInvalid) },
		"decode_invalid_numbers":  func(c *vm.Call) { noMoreThan(c, 1); boolOption(c, 1, &cfg.decodeInvalid) },
		"new":                     func(c *vm.Call) { c.Push1(newJSON(c.VM()).Value()) },
	})
	t.SetString("null", vm.Null)
	t.SetString("_NAME", vm.String("cjson"))
	t.SetString("_VERSION", vm.String("2.1.0"))
	return t
}

func openJSON(m *vm.VM) { m.Globals.SetString("cjson", newJSON(m).Value()) }

func noMoreThan(c *vm.Call, n int) {
	if len(c.Args) > n {
		c.ArgError(n+1, "found too many arguments")
	}
}

func intOption(c *vm.Call, n int, v *int, low, high int) {
	if !c.Arg(n).IsNil() {
		x := c.Int(n)
		if x < low || x > high {
			c.ArgError(1, fmt.Sprintf("expected integer between %d and %d", low, high))
		}
		*v = x
	}
	c.Push1(vm.Int(*v))
}

func boolOption(c *vm.Call, n int, v *bool) {
	if b, ok := c.Arg(n).AsBool(); ok {
		*v = b
	} else if !c.Arg(n).IsNil() {
		*v = option(c, n, "off", "on") == 1
	}
	c.Push1(vm.Bool(*v))
}

func invalidOption(c *vm.Call, v *int) {
	if b, ok := c.Arg(1).AsBool(); ok {
		*v = 0
		if b {
			*v = 1
		}
	} else if !c.Arg(1).IsNil() {
		*v = option(c, 1, "off", "on", "null")
	}
	if *v == 2 {
		c.Push1(vm.String("null"))
	} else {
		c.Push1(vm.Bool(*v == 1))
	}
}

// option is luaL_checkoption.
func option(c *vm.Call, n int, names ...string) int {
	s := c.Str(n)
	for i, name := range names {
		if s == name {
			return i
		}
	}
	c.ArgError(n, "invalid option '"+s+"'")
	return 0
}

func oneArgument(c *vm.Call) {
	if len(c.Args) != 1 {
		c.ArgError(1, "expected 1 argument")
	}
}

type jsonEncoder struct {
	c    *vm.Call
	cfg  *jsonConfig
	b    []byte
	paid int // len(b) when it was charged last
}

// keptJSON is how much of the buffer stays with the machine.
const keptJSON = 64 << 10

func jsonEncode(c *vm.Call, cfg *jsonConfig) {
	oneArgument(c)
	e := jsonEncoder{c: c, cfg: cfg, b: cfg.buf[:0]}
	e.value(c.Args[0], 0)
	c.PushString(string(e.b))
	if cap(e.b) <= keptJSON {
		cfg.buf = e.b
	}
}

func (e *jsonEncoder) fail(v vm.Value, why string) {
	e.c.Errorf("Cannot serialise %s: %s", v.TypeName(), why)
}

// pay charges the whole buffer each time it has doubled: nobody weighs what it was charged before.
func (e *jsonEncoder) pay() {
	if n := len(e.b); n > 4096 && n >= 2*e.paid {
		e.c.VM().Reserve(n)
		e.paid = n
	}
}

func (e *jsonEncoder) value(v vm.Value, depth int) {
	e.pay()
	if s, ok := v.AsString(); ok {
		e.str(s)
		return
	}
	if f, ok := v.AsNumber(); ok {
		e.number(v, f)
		return
	}
	if b, ok := v.AsBool(); ok {
		e.b = strconv.AppendBool(e.b, b)
		return
	}
	t := v.AsTable()
	if t == nil {
		if !v.IsNil() && !v.IsNull() {
			e.fail(v, "type not supported")
		}
		e.b = append(e.b, "null"...)
		return
	}
	if depth++; depth > e.cfg.encodeDepth || depth > deepestJSON {
		e.c.Errorf("Cannot serialise, excessive nesting (%d)", depth)
	}
	n := e.length(t)
	if n <= 0 {
		e.object(t, depth)
		return
	}
	e.b = append(e.b, '[')
	for i := 1; i <= n; i++ {
		if i > 1 {
			e.b = append(e.b, ',')
		}
		e.value(t.GetInt(i), depth)
	}
	e.b = append(e.b, ']')
}

// length is the highest index of an array, or -1 for what must be an object.
func (e *jsonEncoder) length(t *vm.Table) int {
	most, items, array := 0, 0, true
	t.Each(func(k, _ vm.Value) bool {
		f, ok := k.AsNumber()
		if !ok || f < 1 || math.Floor(f) != f || f > math.MaxInt32 {
			array = false
			return false
		}
		most = max(most, int(f))
		items++
		return true
	})
	if !array {
		return -1
	}
	if r := e.cfg.sparseRatio; r > 0 && most > items*r && most > e.cfg.sparseSafe {
		if !e.cfg.sparseConvert {
			e.fail(t.Value(), "excessively sparse array")
		}
		return -1
	}
	return most
}

func (e *jsonEncoder) object(t *vm.Table, depth int) {
	e.b = append(e.b, '{')
	first := true
	t.Each(func(k, v vm.Value) bool {
		if !first {
			e.b = append(e.b, ',')
		}
		first = false
		if s, ok := k.AsString(); ok {
			e.str(s)
			e.b = append(e.b, ':')
		} else if f, ok := k.AsNumber(); ok {
			e.b = append(e.b, '"')
			e.number(k, f)
			e.b = append(e.b, `":`...)
		} else {
			e.fail(k, "table key must be a number or string")
		}
		e.value(v, depth)
		return true
	})
	e.b = append(e.b, '}')
}

func (e *jsonEncoder) number(v vm.Value, f float64) {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		switch {
		case e.cfg.encodeInvalid == 0:
			e.fail(v, "must not be NaN or Inf")
		case e.cfg.encodeInvalid == 2:
			e.b = append(e.b, "null"...)
			return
		case math.IsNaN(f):
			e.b = append(e.b, "nan"...)
			return
		}
	}
	if e.cfg.precision == 14 {
		e.b = append(e.b, vm.FormatNumber(f)...)
		return
	}
	e.b = append(e.b, vm.FormatG(f, e.cfg.precision)...)
}

const hexDigits = "0123456789abcdef"

func (e *jsonEncoder) str(s string) {
	e.b = append(e.b, '"')
	for i := range len(s) {
		switch c := s[i]; c {
		case '"', '\\', '/':
			e.b = append(e.b, '\\', c)
		case '\b':
			e.b = append(e.b, `\b`...)
		case '\t':
			e.b = append(e.b, `\t`...)
		case '\n':
			e.b = append(e.b, `\n`...)
		case '\f':
			e.b = append(e.b, `\f`...)
		case '\r':
			e.b = append(e.b, `\r`...)
		default:
			if c < 0x20 || c == 0x7f {
				e.b = append(e.b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			} else {
				e.b = append(e.b, c)
			}
		}
	}
	e.b = append(e.b, '"')
}

// jsonToken is the kind of a token; its text is what messages call it.
type jsonToken string

const (
	jsonObjectBegin jsonToken = "T_OBJ_BEGIN"
	jsonObjectEnd   jsonToken = "T_OBJ_END"
	jsonArrayBegin  jsonToken = "T_ARR_BEGIN"
	jsonArrayEnd    jsonToken = "T_ARR_END"
	jsonString      jsonToken = "T_STRING"
	jsonNumber      jsonToken = "T_NUMBER"
	jsonBoolean     jsonToken = "T_BOOLEAN"
	jsonNull        jsonToken = "T_NULL"
	jsonColon       jsonToken = "T_COLON"
	jsonComma       jsonToken = "T_COMMA"
	jsonEnd         jsonToken = "T_END"
)

type jsonDecoder struct {
	c     *vm.Call
	cfg   *jsonConfig
	s     string
	at    int
	depth int

	tok   jsonToken // not one of the constants: what is wrong
	index int       // where it begins, or where it goes wrong
	val   vm.Value
}

func jsonDecode(c *vm.Call, cfg *jsonConfig) {
	oneArgument(c)
	d := jsonDecoder{c: c, cfg: cfg, s: c.Str(1)}
	if len(d.s) >= 2 && (d.s[0] == 0 || d.s[1] == 0) {
		c.Errorf("JSON parser does not support UTF-16 or UTF-32")
	}
	d.next()
	v := d.value()
	d.next()
	if d.tok != jsonEnd {
		d.fail("the end")
	}
	c.Push1(v)
}

func (d *jsonDecoder) fail(want string) {
	d.c.Errorf("Expected %s but found %s at character %d", want, string(d.tok), d.index+1)
}

func (d *jsonDecoder) ch(i int) byte {
	if i < len(d.s) {
		return d.s[i]
	}
	return 0
}

func (d *jsonDecoder) next() {
	for c := d.ch(d.at); d.at < len(d.s) && (c == ' ' || c == '\t' || c == '\n' || c == '\r'); c = d.ch(d.at) {
		d.at++
	}
	d.index = d.at
	single := func(t jsonToken) { d.tok = t; d.at++ }
	switch c := d.ch(d.at); c {
	case '{':
		single(jsonObjectBegin)
	case '}':
		single(jsonObjectEnd)
	case '[':
		single(jsonArrayBegin)
	case ']':
		single(jsonArrayEnd)
	case ',':
		single(jsonComma)
	case ':':
		single(jsonColon)
	case 0:
		d.tok = jsonEnd
	case '"':
		d.str()
	case 'f', 'i', 'I', 'n', 'N', 't', '+', '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		d.word(c)
	default:
		d.tok = "invalid token"
	}
}

func (d *jsonDecoder) word(c byte) {
	rest := d.s[d.at:]
	switch {
	case c == '-' || '0' <= c && c <= '9':
		if !d.cfg.decodeInvalid && oddNumber(rest) {
			d.tok = "invalid number"
			return
		}
		d.number(rest)
	case strings.HasPrefix(rest, "true"):
		d.tok, d.val = jsonBoolean, vm.True
		d.at += 4
	case strings.HasPrefix(rest, "false"):
		d.tok, d.val = jsonBoolean, vm.False
		d.at += 5
	case strings.HasPrefix(rest, "null"):
		d.tok, d.val = jsonNull, vm.Null
		d.at += 4
	case d.cfg.decodeInvalid && oddNumber(rest):
		d.number(rest)
	default:
		d.tok = "invalid token"
	}
}

func (d *jsonDecoder) number(s string) {
	f, n := strtod(s)
	if n == 0 {
		d.tok = "invalid number"
		return
	}
	d.tok, d.val = jsonNumber, vm.Number(f)
	d.at += n
}

// oddNumber reports whether s begins like a number that JSON does not have: +1, 0x1, 01, inf, nan.
func oddNumber(s string) bool {
	if strings.HasPrefix(s, "+") {
		return true
	}
	s = strings.TrimPrefix(s, "-")
	if s == "" {
		return false
	}
	if s[0] == '0' {
		return len(s) > 1 && (s[1]|0x20 == 'x' || '0' <= s[1] && s[1] <= '9')
	}
	return s[0] > '9' && (hasPrefixFold(s, "inf") || hasPrefixFold(s, "nan"))
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// strtod reads the number that s begins with; n is how many bytes it has, 0 when there is none.
func strtod(s string) (f float64, n int) {
	i := 0
	if i < len(s) && (s[i] == '+' || s[i] == '-') {
		i++
	}
	for _, word := range []string{"infinity", "inf", "nan"} {
		if hasPrefixFold(s[i:], word) {
			f, _ = vm.ParseNumber(s[:i+len(word)])
			return f, i + len(word)
		}
	}
	digits := func(hex bool) (n int) {
		for i < len(s) && ('0' <= s[i] && s[i] <= '9' || hex && 'a' <= s[i]|0x20 && s[i]|0x20 <= 'f') {
			i++
			n++
		}
		return n
	}
	hex := len(s) > i+2 && s[i] == '0' && s[i+1]|0x20 == 'x' &&
		(isHex(s[i+2]) || s[i+2] == '.' && len(s) > i+3 && isHex(s[i+3]))
	if hex {
		i += 2
	}
	count := digits(hex)
	if i < len(s) && s[i] == '.' {
		i++
		count += digits(hex)
	}
	if count == 0 {
		return 0, 0
	}
	exp := byte('e')
	if hex {
		exp = 'p'
	}
	if end := i; i < len(s) && s[i]|0x20 == exp {
		i++
		if i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		if digits(false) == 0 {
			i = end
		}
	}
	f, _ = vm.ParseNumber(s[:i])
	return f, i
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f' }

func (d *jsonDecoder) str() {
	d.at++
	end := d.at
	for end < len(d.s) && d.s[end] != '"' && d.s[end] != '\\' && d.s[end] != 0 {
		end++
	}
	if d.ch(end) == '"' && end < len(d.s) { // nothing to undo in it
		d.tok, d.val = jsonString, d.c.VM().NewString(strings.Clone(d.s[d.at:end]))
		d.at = end + 1
		return
	}
	var b strings.Builder
	for {
		c := d.ch(d.at)
		switch c {
		case 0:
			d.tok, d.index = "unexpected end of string", d.at
			return
		case '"':
			d.at++
			d.tok, d.val = jsonString, d.c.VM().NewString(b.String())
			return
		case '\\':
			switch e := d.ch(d.at + 1); e {
			case '"', '\\', '/':
				c = e
			case 'b':
				c = '\b'
			case 't':
				c = '\t'
			case 'n':
				c = '\n'
			case 'f':
				c = '\f'
			case 'r':
				c = '\r'
			case 'u':
				if !d.unicode(&b) {
					d.tok, d.index = "invalid unicode escape code", d.at
					return
				}
				continue
			default:
				d.tok, d.index = "invalid escape code", d.at
				return
			}
			d.at++
		}
		b.WriteByte(c)
		d.at++
	}
}

// unicode reads \uXXXX, or two of them that are a surrogate pair.
func (d *jsonDecoder) unicode(b *strings.Builder) bool {
	code, ok := d.hex4(d.at + 2)
	if !ok {
		return false
	}
	n := 6
	if code&0xf800 == 0xd800 {
		if code&0x400 != 0 || d.ch(d.at+n) != '\\' || d.ch(d.at+n+1) != 'u' {
			return false
		}
		low, ok := d.hex4(d.at + 2 + n)
		if !ok || low&0xfc00 != 0xdc00 {
			return false
		}
		code = (code&0x3ff)<<10 + low&0x3ff + 0x10000
		n = 12
	}
	b.WriteRune(rune(code))
	d.at += n
	return true
}

func (d *jsonDecoder) hex4(i int) (n int, ok bool) {
	for k := range 4 {
		c := d.ch(i + k)
		if !isHex(c) {
			return 0, false
		}
		v := int(c|0x20) - 'a' + 10
		if c <= '9' {
			v = int(c - '0')
		}
		n = n<<4 | v
	}
	return n, true
}

func (d *jsonDecoder) descend() {
	if d.depth++; d.depth > d.cfg.decodeDepth || d.depth > deepestJSON {
		d.c.Errorf("Found too many nested data structures (%d) at character %d", d.depth, d.at)
	}
}

func (d *jsonDecoder) value() vm.Value {
	switch d.tok {
	case jsonString, jsonNumber, jsonBoolean, jsonNull:
		return d.val
	case jsonObjectBegin:
		return d.object()
	case jsonArrayBegin:
		return d.array()
	}
	d.fail("value")
	return vm.Nil
}

func (d *jsonDecoder) object() vm.Value {
	d.descend()
	t := d.c.VM().NewTable(0, 0)
	d.next()
	for d.tok != jsonObjectEnd {
		if d.tok != jsonString {
			d.fail("object key string")
		}
		key := d.val
		if d.next(); d.tok != jsonColon {
			d.fail("colon")
		}
		d.next()
		t.Set(key, d.value())
		if d.next(); d.tok == jsonObjectEnd {
			break
		}
		if d.tok != jsonComma {
			d.fail("comma or object end")
		}
		if d.next(); d.tok == jsonObjectEnd {
			d.fail("object key string")
		}
	}
	d.depth--
	return t.Value()
}

func (d *jsonDecoder) array() vm.Value {
	d.descend()
	t := d.c.VM().NewTable(0, 0)
	if d.next(); d.tok != jsonArrayEnd {
		for i := 1; ; i++ {
			t.SetInt(i, d.value())
			if d.next(); d.tok == jsonArrayEnd {
				break
			}
			if d.tok != jsonComma {
				d.fail("comma or array end")
			}
			d.next()
		}
	}
	d.depth--
	return t.Value()
}
