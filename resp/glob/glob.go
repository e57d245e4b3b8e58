// Package glob matches names against Redis' glob patterns. Everyone who takes a pattern from
// a client uses it: KEYS, the SCAN family, pub/sub, CONFIG GET, key patterns of ACL rules. It
// is pure and knows nothing but bytes.
//
// # Patterns
//
//	x        x
//	?        one byte
//	*        any bytes, also none
//	[abc]    one byte of these; [a-z] a range, [^a] none of these; a missing ] is at the end
//	\x       x itself, inside brackets too
//
// The corners are Redis' own, since scripts and ACLs rely on them: the empty name matches the
// empty pattern only (not even "*"), a range whose ends are swapped is turned round, and
// bytes from 0x80 stand before the others in a range.
package glob

// Text is what patterns and names are made of.
type Text interface{ ~string | ~[]byte }

// MaxSteps bounds the work of one match. A pattern of many stars can ask for the product of
// both lengths; one that asks for more than this does not match. It is far above what any
// pattern needs that was not made to waste time: a name of a megabyte takes a million.
const MaxSteps = 1 << 24

// MaxStars is how many stars may stand between other elements: a pattern of more does not match, as in Redis since 7.2.6.
const MaxStars = 1000

// Match reports whether name matches pattern.
func Match[P, N Text](pattern P, name N) bool { return match(pattern, name, false) }

// MatchFold is Match without regard to ASCII letter case.
func MatchFold[P, N Text](pattern P, name N) bool { return match(pattern, name, true) }

// match walks pattern and name together. Each element but the star takes exactly one byte, so
// on a mismatch it is enough to let the last star take one byte more: what an earlier star
// could gain, the last one gains too. Neither recursion nor memory is needed.
func match[P, N Text](pattern P, name N, fold bool) bool {
	if len(name) == 0 {
		return len(pattern) == 0
	}
	p, n := 0, 0
	star, from := -1, 0 // after the last star; where in name it stopped taking bytes
	stars := 0
	for steps := 0; n < len(name); steps++ {
		if steps == MaxSteps {
			return false
		}
		if p < len(pattern) && pattern[p] == '*' {
			if p != star {
				stars++
			}
			p++
			star, from = p, n
			if p == len(pattern) {
				return true
			}
			if stars > MaxStars {
				return false
			}
			continue
		}
		if p < len(pattern) {
			next, ok := element(pattern, p, name[n], fold)
			if ok {
				p = next
				n++
				continue
			}
		}
		if star < 0 {
			return false
		}
		from++
		p, n = star, from
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// element matches c against the one-byte element of pattern at p, and tells where the next
// one begins.
func element[P Text](pattern P, p int, c byte, fold bool) (next int, ok bool) {
	switch pattern[p] {
	case '?':
		return p + 1, true
	case '[':
		return class(pattern, p+1, c, fold)
	case '\\':
		if p+1 < len(pattern) {
			p++
		}
	}
	return p + 1, same(pattern[p], c, fold)
}

// class matches c against the bracket whose inside begins at p.
func class[P Text](pattern P, p int, c byte, fold bool) (next int, ok bool) {
	not := p < len(pattern) && pattern[p] == '^'
	if not {
		p++
	}
	for ; p < len(pattern); p++ {
		left := len(pattern) - p
		switch {
		case pattern[p] == '\\' && left >= 2:
			p++
			ok = ok || pattern[p] == c
		case pattern[p] == ']':
			return p + 1, ok != not
		case left >= 3 && pattern[p+1] == '-':
			ok = ok || within(pattern[p], pattern[p+2], c, fold)
			p += 2
		default:
			ok = ok || same(pattern[p], c, fold)
		}
	}
	return p, ok != not
}

// within compares as signed bytes, as the C of Redis does on the machines people run it on.
func within(a, b, c byte, fold bool) bool {
	low, high := min(int8(a), int8(b)), max(int8(a), int8(b))
	if fold {
		low, high, c = int8(lower(byte(low))), int8(lower(byte(high))), lower(c)
	}
	return low <= int8(c) && int8(c) <= high
}

func same(a, b byte, fold bool) bool {
	return a == b || fold && lower(a) == lower(b)
}

func lower(b byte) byte {
	if 'A' <= b && b <= 'Z' {
		b += 'a' - 'A'
	}
	return b
}
