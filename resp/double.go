package resp

import (
	"math"
	"strconv"
)

// maxExactInteger bounds the doubles that Redis prints as integers: ±LLONG_MAX/2.
const maxExactInteger = float64(math.MaxInt64 / 2)

// AppendDouble appends f as Redis 7.2 prints scores and other doubles: whole numbers up to 2^62 as integers, everything
// else as the shortest digits that read back as f, without exponent where that is short.
func AppendDouble(dst []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, "nan"...)
	case math.IsInf(f, 1):
		return append(dst, "inf"...)
	case math.IsInf(f, -1):
		return append(dst, "-inf"...)
	case f == 0:
		if math.Signbit(f) {
			return append(dst, "-0"...)
		}
		return append(dst, '0')
	}
	if f >= -maxExactInteger && f <= maxExactInteger && f == math.Trunc(f) {
		return strconv.AppendInt(dst, int64(f), 10)
	}
	return appendShortest(dst, f)
}

// appendShortest lays out the shortest digits of f the way the fpconv library does, whose rules differ from %g's: an
// exponent appears only from 7 trailing zeros or 7 decimals (and a magnitude of 10^4) on, and has no leading zeros.
func appendShortest(dst []byte, f float64) []byte {
	if math.Signbit(f) {
		dst = append(dst, '-')
		f = -f
	}
	var tmp [32]byte
	sci := strconv.AppendFloat(tmp[:0], f, 'e', -1, 64) // d.ddddde±xx
	var digitsArray [24]byte
	digits := digitsArray[:0]
	exp := 0
	for i, c := range sci {
		if c == 'e' {
			exp, _ = strconv.Atoi(string(sci[i+1:]))
			break
		}
		if c != '.' {
			digits = append(digits, c)
		}
	}
	power := exp - (len(digits) - 1) // f = digits × 10^power
	magnitude := max(exp, -exp)
	switch {
	case power >= 0 && magnitude < len(digits)+7:
		dst = append(dst, digits...)
		for range power {
			dst = append(dst, '0')
		}
		return dst
	case power < 0 && (power > -7 || magnitude < 4):
		point := len(digits) + power
		if point <= 0 {
			dst = append(dst, '0', '.')
			for range -point {
				dst = append(dst, '0')
			}
			return append(dst, digits...)
		}
		dst = append(dst, digits[:point]...)
		dst = append(dst, '.')
		return append(dst, digits[point:]...)
	}
	dst = append(dst, digits[0])
	if len(digits) > 1 {
		dst = append(dst, '.')
		dst = append(dst, digits[1:]...)
	}
	dst = append(dst, 'e')
	if exp < 0 {
		dst = append(dst, '-')
	} else {
		dst = append(dst, '+')
	}
	return strconv.AppendInt(dst, int64(magnitude), 10)
}
