package vm

import (
	"math"
	"strconv"
	"strings"
)

// strFormat is string.format, whose conversions are C's.
func strFormat(c *Call) {
	format := c.Str(1)
	var b strings.Builder
	arg := 1
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			b.WriteByte(format[i])
			continue
		}
		if i++; i < len(format) && format[i] == '%' {
			b.WriteByte('%')
			continue
		}
		if arg++; arg > len(c.Args) {
			c.ArgError(arg, "no value")
		}
		spec, n := c.parseSpec(format[i:])
		i += n
		before := b.Len()
		conv := byte(0)
		if i < len(format) {
			conv = format[i]
		}
		switch conv {
		case 'c':
			spec.pad(&b, string([]byte{byte(c.Int(arg))}), false)
		case 'd', 'i':
			spec.integer(&b, c.Num(arg))
		case 'o', 'u', 'x', 'X':
			spec.unsigned(&b, c.Num(arg), conv)
		case 'e', 'E', 'f', 'g', 'G':
			spec.float(&b, c.Num(arg), conv)
		case 'q':
			quote(&b, c.Str(arg))
		case 's':
			s := c.Str(arg)
			if spec.precision >= 0 && spec.precision < len(s) {
				s = s[:spec.precision]
			}
			if spec.precision < 0 && len(s) >= 100 {
				b.WriteString(s) // as it is, PUC does not format long strings
			} else {
				spec.pad(&b, cString(s), false)
			}
		default:
			c.Errorf("invalid option '%%%s' to 'format'", strings.TrimRight(string([]byte{conv}), "\x00"))
		}
		c.th.vm.Reserve(b.Len() - before)
	}
	c.PushString(b.String())
}

// spec is flags, width and precision of one conversion.
type spec struct {
	minus, plus, space, sharp, zero bool
	width, precision                int // precision -1: none
}

const specFlags = "-+ #0"

func (c *Call) parseSpec(s string) (f spec, n int) {
	f.precision = -1
	for n < len(s) && strings.IndexByte(specFlags, s[n]) >= 0 {
		switch s[n] {
		case '-':
			f.minus = true
		case '+':
			f.plus = true
		case ' ':
			f.space = true
		case '#':
			f.sharp = true
		case '0':
			f.zero = true
		}
		n++
	}
	if n >= len(specFlags)+1 {
		c.Errorf("invalid format (repeated flags)")
	}
	digits := func() (v int) {
		for i := 0; i < 2 && n < len(s) && isNum(int(s[n])); i++ {
			v = v*10 + int(s[n]-'0')
			n++
		}
		return v
	}
	f.width = digits()
	if n < len(s) && s[n] == '.' {
		n++
		f.precision = digits()
	}
	if n < len(s) && isNum(int(s[n])) {
		c.Errorf("invalid format (width or precision too long)")
	}
	return f, n
}

// pad writes text in its width. zeros: the width is filled with zeros behind the sign.
func (f *spec) pad(b *strings.Builder, text string, zeros bool) {
	fill := f.width - len(text)
	switch {
	case fill <= 0:
		b.WriteString(text)
	case f.minus:
		b.WriteString(text)
		b.WriteString(strings.Repeat(" ", fill))
	case zeros:
		n := 0
		if text[0] == '-' || text[0] == '+' || text[0] == ' ' {
			n = 1
		}
		if len(text) > n+1 && text[n] == '0' && text[n+1]|0x20 == 'x' {
			n += 2
		}
		b.WriteString(text[:n])
		b.WriteString(strings.Repeat("0", fill))
		b.WriteString(text[n:])
	default:
		b.WriteString(strings.Repeat(" ", fill))
		b.WriteString(text)
	}
}

func (f *spec) sign(negative bool) string {
	switch {
	case negative:
		return "-"
	case f.plus:
		return "+"
	case f.space:
		return " "
	}
	return ""
}

// digits fills an integer's digits up to the precision.
func (f *spec) digits(s string) string {
	if f.precision == 0 && s == "0" {
		return ""
	}
	if n := f.precision - len(s); n > 0 {
		return strings.Repeat("0", n) + s
	}
	return s
}

func (f *spec) integer(b *strings.Builder, x float64) {
	n := toInt(x)
	digits := strconv.FormatInt(int64(n), 10)
	digits = strings.TrimPrefix(digits, "-")
	f.pad(b, f.sign(n < 0)+f.digits(digits), f.zero && f.precision < 0)
}

func (f *spec) unsigned(b *strings.Builder, x float64, conv byte) {
	var n uint64
	if x >= 9223372036854775808 {
		n = uint64(x)
	} else {
		n = uint64(toInt(x))
	}
	base := map[byte]int{'o': 8, 'u': 10, 'x': 16, 'X': 16}[conv]
	digits := f.digits(strconv.FormatUint(n, base))
	switch {
	case conv == 'X':
		digits = strings.ToUpper(digits)
	}
	if f.sharp {
		switch {
		case conv == 'o' && !strings.HasPrefix(digits, "0"):
			digits = "0" + digits
		case n != 0 && conv == 'x':
			digits = "0x" + digits
		case n != 0 && conv == 'X':
			digits = "0X" + digits
		}
	}
	f.pad(b, digits, f.zero && f.precision < 0)
}

func (f *spec) float(b *strings.Builder, x float64, conv byte) {
	if s, special := formatSpecial(x); special {
		neg := strings.HasPrefix(s, "-")
		s = f.sign(neg) + strings.TrimPrefix(s, "-")
		if conv < 'a' {
			s = strings.ToUpper(s)
		}
		f.pad(b, s, false)
		return
	}
	precision := f.precision
	if precision < 0 {
		precision = 6
	}
	abs := math.Abs(x)
	var text string
	switch conv {
	case 'g', 'G':
		if precision == 0 {
			precision = 1
		}
		if f.sharp {
			text = sharpG(abs, precision)
		} else {
			text = strconv.FormatFloat(abs, 'g', precision, 64)
		}
	default:
		text = strconv.FormatFloat(abs, conv|0x20, precision, 64)
		if f.sharp && precision == 0 {
			if i := strings.IndexByte(text, 'e'); i >= 0 {
				text = text[:i] + "." + text[i:]
			} else {
				text += "."
			}
		}
	}
	if conv < 'a' {
		text = strings.ToUpper(text)
	}
	f.pad(b, f.sign(math.Signbit(x))+text, f.zero)
}

// sharpG is "%#.<precision>g": the zeros at the end stay.
func sharpG(x float64, precision int) string {
	e := strconv.FormatFloat(x, 'e', precision-1, 64)
	at := strings.IndexByte(e, 'e')
	exp, _ := strconv.Atoi(e[at+1:])
	if exp < -4 || exp >= precision {
		if precision == 1 {
			return e[:at] + "." + e[at:]
		}
		return e
	}
	s := strconv.FormatFloat(x, 'f', precision-1-exp, 64)
	if precision-1-exp == 0 {
		s += "."
	}
	return s
}

// quote writes s as a Lua string constant.
func quote(b *strings.Builder, s string) {
	b.WriteByte('"')
	for i := range len(s) {
		switch ch := s[i]; ch {
		case '"', '\\', '\n':
			b.WriteByte('\\')
			b.WriteByte(ch)
		case '\r':
			b.WriteString(`\r`)
		case 0:
			b.WriteString(`\000`)
		default:
			b.WriteByte(ch)
		}
	}
	b.WriteByte('"')
}
