package value

import "math/big"

// floatPrec is the mantissa of the x87 long double that Redis computes INCRBYFLOAT with:
// the same sums must come out, digit for digit.
const floatPrec = 64

// Bounds of that format; a number beyond them is infinite, or too small to be read.
const (
	floatMaxExp = 16384  // |x| < 2^16384
	floatMinExp = -16445 // the smallest denormal is 2^-16445
)

// maxFloatChars is the longest text Redis takes for a long double.
const maxFloatChars = 5*1024 - 1

// Float is a number with the 64-bit mantissa of the x87 long double.
type Float struct{ f big.Float }

// ParseFloat reads b as Redis reads INCRBYFLOAT's arguments and stored value: the whole of
// b as strtold does (decimal, hexadecimal with 0x, inf, infinity), no leading space, not NaN,
// neither overflowing nor vanishing.
func ParseFloat(b []byte) (Float, bool) {
	var f Float
	f.f.SetPrec(floatPrec)
	if len(b) == 0 || len(b) > maxFloatChars {
		return f, false
	}
	body := b
	if body[0] == '+' || body[0] == '-' {
		body = body[1:]
	}
	if EqualFold(body, "inf") || EqualFold(body, "infinity") {
		f.f.SetInf(b[0] == '-')
		return f, true
	}
	if !floatSyntax(body) {
		return f, false
	}
	if _, _, err := f.f.Parse(string(b), 0); err != nil {
		return f, false
	}
	if f.f.Sign() == 0 {
		// Zero that was written with other digits has vanished.
		return f, allZero(body)
	}
	e := f.f.MantExp(nil)
	return f, e <= floatMaxExp && e > floatMinExp && !f.f.IsInf()
}

// floatSyntax admits what strtold reads to the end and keeps big.Float's own forms out
// (0b, 0o, underscores, "Inf"). Exponents beyond five digits over- or underflow anyway.
func floatSyntax(s []byte) bool {
	hex := len(s) > 1 && s[0] == '0' && s[1]|0x20 == 'x'
	exp := byte('e')
	if hex {
		s, exp = s[2:], 'p'
	}
	digits, dot := 0, false
	for len(s) > 0 {
		c := s[0]
		switch {
		case '0' <= c && c <= '9', hex && 'a' <= c|0x20 && c|0x20 <= 'f':
			digits++
		case c == '.' && !dot:
			dot = true
		case c|0x20 == exp && digits > 0:
			s = s[1:]
			if len(s) > 0 && (s[0] == '+' || s[0] == '-') {
				s = s[1:]
			}
			for i, c := range s {
				if c < '0' || c > '9' || i >= 5 {
					return false
				}
			}
			return len(s) > 0
		default:
			return false
		}
		s = s[1:]
	}
	return digits > 0
}

func allZero(s []byte) bool {
	if len(s) > 1 && s[1]|0x20 == 'x' {
		s = s[2:]
	}
	for _, c := range s {
		if c|0x20 == 'e' || c|0x20 == 'p' {
			break
		}
		if c != '0' && c != '.' {
			return false
		}
	}
	return true
}

// FloatOfInt is n as a Float.
func FloatOfInt(n int64) (f Float) {
	f.f.SetPrec(floatPrec).SetInt64(n)
	return f
}

// Add is f+g rounded to the format; false means that the result is NaN or infinite.
func (f Float) Add(g Float) (Float, bool) {
	if f.f.IsInf() || g.f.IsInf() {
		return f, false
	}
	var sum Float
	sum.f.SetPrec(floatPrec).Add(&f.f, &g.f)
	return sum, sum.f.MantExp(nil) <= floatMaxExp
}

// IsInf reports whether f is infinite.
func (f Float) IsInf() bool { return f.f.IsInf() }

// AppendTo appends f as INCRBYFLOAT stores it: 17 decimals, trailing zeros cut.
func (f Float) AppendTo(dst []byte) []byte {
	if f.f.IsInf() {
		if f.f.Signbit() {
			dst = append(dst, '-')
		}
		return append(dst, "inf"...)
	}
	at := len(dst)
	dst = f.f.Append(dst, 'f', 17)
	for dst[len(dst)-1] == '0' {
		dst = dst[:len(dst)-1]
	}
	if dst[len(dst)-1] == '.' {
		dst = dst[:len(dst)-1]
	}
	if string(dst[at:]) == "-0" {
		dst = append(dst[:at], '0')
	}
	return dst
}
