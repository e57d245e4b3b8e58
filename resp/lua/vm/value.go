package vm

import (
	"math"
	"strconv"
	"strings"
	"unsafe"
)

// Kind is a value's type.
type Kind uint8

const (
	KindNil Kind = iota
	KindBool
	KindNumber
	KindString
	KindTable
	KindFunction
	KindThread
	KindUserdata
	kindCell // a captured local; never seen by scripts
)

var kindNames = [...]string{"nil", "boolean", "number", "string", "table", "function", "thread", "userdata"}

// Value is any Lua value in two words. Numbers and booleans are in n, with p as their tag; for everything else p is
// the object, whose first field is its Kind. The zero Value is nil.
type Value struct {
	p unsafe.Pointer
	n uint64
}

type tag struct{ kind Kind }

var (
	numTag  = tag{KindNumber}
	boolTag = tag{KindBool}
	// nullObject is the one userdata: what cjson.null is (a null pointer in C).
	nullObject = tag{KindUserdata}
)

// Nil is nil; Null is cjson's null, a light userdata.
var (
	Nil   = Value{}
	True  = Value{unsafe.Pointer(&boolTag), 1}
	False = Value{unsafe.Pointer(&boolTag), 0}
	Null  = Value{unsafe.Pointer(&nullObject), 0}
)

// Number makes a number.
func Number(f float64) Value { return Value{unsafe.Pointer(&numTag), math.Float64bits(f)} }

// Int makes a number.
func Int(i int) Value { return Number(float64(i)) }

// Bool makes a boolean.
func Bool(b bool) Value {
	if b {
		return True
	}
	return False
}

// Str is a string object. Constants of a Proto are hashed when they are made, so that VMs can share them.
type Str struct {
	kind   Kind
	hashed bool
	seen   uint16 // the last round of the meter that met the string; not used in constants
	hash   uint32
	s      string
}

// String makes a string; nothing is charged for it.
func String(s string) Value { return Value{unsafe.Pointer(&Str{kind: KindString, s: s}), 0} }

// constStr makes a string that several VMs may share.
func constStr(s string) *Str {
	return &Str{kind: KindString, hashed: true, hash: hashString(s), s: s}
}

func strValue(s *Str) Value     { return Value{unsafe.Pointer(s), 0} }
func tableValue(t *Table) Value { return Value{unsafe.Pointer(t), 0} }
func funcValue(f *Func) Value   { return Value{unsafe.Pointer(f), 0} }

// Value returns t as a value.
func (t *Table) Value() Value { return tableValue(t) }

// Value returns f as a value.
func (f *Func) Value() Value { return funcValue(f) }

// Kind returns the value's type.
func (v Value) Kind() Kind {
	if v.p == nil {
		return KindNil
	}
	return *(*Kind)(v.p)
}

// TypeName is what type() answers.
func (v Value) TypeName() string { return kindNames[v.Kind()] }

// IsNil reports whether v is nil.
func (v Value) IsNil() bool { return v.p == nil }

// Truthy reports whether v counts as true.
func (v Value) Truthy() bool { return v.p != nil && (v.p != unsafe.Pointer(&boolTag) || v.n != 0) }

func (v Value) isNumber() bool { return v.p == unsafe.Pointer(&numTag) }
func (v Value) num() float64   { return math.Float64frombits(v.n) }

// AsNumber returns the number v is, without conversion.
func (v Value) AsNumber() (float64, bool) { return v.num(), v.isNumber() }

// AsBool returns the boolean v is.
func (v Value) AsBool() (value, ok bool) { return v.n != 0, v.p == unsafe.Pointer(&boolTag) }

func (v Value) str() *Str {
	if v.Kind() == KindString {
		return (*Str)(v.p)
	}
	return nil
}

// AsString returns the string v is, without conversion.
func (v Value) AsString() (string, bool) {
	if v.Kind() == KindString {
		return (*Str)(v.p).s, true
	}
	return "", false
}

// AsTable returns the table v is, or nil.
func (v Value) AsTable() *Table {
	if v.Kind() == KindTable {
		return (*Table)(v.p)
	}
	return nil
}

// AsFunc returns the function v is, or nil.
func (v Value) AsFunc() *Func {
	if v.Kind() == KindFunction {
		return (*Func)(v.p)
	}
	return nil
}

func (v Value) thread() *Thread {
	if v.Kind() == KindThread {
		return (*Thread)(v.p)
	}
	return nil
}

// IsNull reports whether v is Null.
func (v Value) IsNull() bool { return v.p == unsafe.Pointer(&nullObject) }

// ToString converts numbers and strings; ok is false for everything else.
func (v Value) ToString() (s string, ok bool) {
	switch v.Kind() {
	case KindString:
		return (*Str)(v.p).s, true
	case KindNumber:
		return FormatNumber(v.num()), true
	}
	return "", false
}

// ToNumber converts numbers and strings that are one.
func (v Value) ToNumber() (float64, bool) {
	if v.isNumber() {
		return v.num(), true
	}
	if s := v.str(); s != nil {
		return ParseNumber(s.s)
	}
	return 0, false
}

// RawEqual compares without metamethods.
func RawEqual(a, b Value) bool {
	if a.p == b.p {
		if a.isNumber() {
			return a.num() == b.num()
		}
		return a.n == b.n
	}
	if s, t := a.str(), b.str(); s != nil && t != nil {
		return s.s == t.s
	}
	return false
}

// FormatNumber is C's "%.14g".
func FormatNumber(f float64) string {
	if f == math.Trunc(f) && f > -1e14 && f < 1e14 && (f != 0 || !math.Signbit(f)) {
		return strconv.FormatInt(int64(f), 10)
	}
	return FormatG(f, 14)
}

// FormatG is C's "%.<precision>g".
func FormatG(f float64, precision int) string {
	if s, special := formatSpecial(f); special {
		return s
	}
	return strconv.FormatFloat(f, 'g', precision, 64)
}

// formatSpecial writes infinities and NaNs as the C library does.
func formatSpecial(f float64) (string, bool) {
	switch {
	case math.IsNaN(f) && math.Signbit(f):
		return "-nan", true
	case math.IsNaN(f):
		return "nan", true
	case math.IsInf(f, 1):
		return "inf", true
	case math.IsInf(f, -1):
		return "-inf", true
	}
	return "", false
}

const spaces = " \t\n\v\f\r"

// ParseNumber reads a number as Lua's tonumber does: decimal, hexadecimal, with white space around it; what strtod
// takes besides ("inf", "nan") too.
func ParseNumber(s string) (float64, bool) {
	if i := strings.IndexByte(s, 0); i >= 0 {
		s = s[:i]
	}
	s = strings.Trim(s, spaces)
	if s == "" || len(s) > 1000 && strings.ContainsAny(s, "_") || strings.IndexByte(s, '_') >= 0 {
		return 0, false
	}
	// Short integers are most of what is read.
	if len(s) < 16 {
		n, ok := int64(0), true
		for i := range len(s) {
			c := s[i]
			if c < '0' || c > '9' {
				ok = false
				break
			}
			n = n*10 + int64(c-'0')
		}
		if ok {
			return float64(n), true
		}
	}
	digits := strings.TrimLeft(s, "+-")
	if len(s)-len(digits) > 1 {
		return 0, false
	}
	if len(digits) > 1 && digits[0] == '0' && digits[1]|0x20 == 'x' {
		return parseHex(s, digits[2:])
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		if e, ok := err.(*strconv.NumError); ok && e.Err == strconv.ErrRange {
			return f, true
		}
		lower := strings.ToLower(digits)
		if strings.HasPrefix(lower, "nan(") && strings.HasSuffix(lower, ")") {
			return math.NaN(), true
		}
		return 0, false
	}
	if math.IsNaN(f) && s[0] == '-' {
		f = math.Copysign(f, -1)
	}
	return f, true
}

func parseHex(s, digits string) (float64, bool) {
	if digits == "" || digits == "." {
		return 0, false
	}
	if !strings.ContainsAny(s, "pP") {
		s += "p0"
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		if e, ok := err.(*strconv.NumError); ok && e.Err == strconv.ErrRange {
			return f, true
		}
		return 0, false
	}
	return f, true
}

// hashString is PUC Lua's hash of strings, which decides the order of pairs. Long strings are hashed by some of their bytes.
func hashString(s string) uint32 {
	h := uint32(len(s))
	step := len(s)>>5 + 1
	for i := len(s); i >= step; i -= step {
		h ^= h<<5 + h>>2 + uint32(s[i-1])
	}
	return h
}

func (s *Str) sum() uint32 {
	if !s.hashed {
		s.hash, s.hashed = hashString(s.s), true
	}
	return s.hash
}
