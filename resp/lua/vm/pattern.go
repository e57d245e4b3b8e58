package vm

import "strings"

// Bounds of patterns: captures (LUA_MAXCAPTURES), and how deep a match may recurse (MAXCCALLS of later Luas; 5.1 has C's
// stack).
const (
	maxCaptures   = 32
	maxMatchDepth = 100000
)

const (
	capUnfinished = -1
	capPosition   = -2
)

// matcher is one use of a Lua pattern, after the published algorithm.
type matcher struct {
	c        *Call
	src, pat string
	level    int
	depth    int
	caps     [maxCaptures]struct{ at, n int }
}

// classEnd returns the place behind the single-character class at p.
func (m *matcher) classEnd(p int) int {
	ch := m.pat[p]
	p++
	switch ch {
	case '%':
		if p >= len(m.pat) {
			m.c.Errorf("malformed pattern (ends with '%%')")
		}
		return p + 1
	case '[':
		if p < len(m.pat) && m.pat[p] == '^' {
			p++
		}
		for first := true; first || p >= len(m.pat) || m.pat[p] != ']'; first = false {
			if p >= len(m.pat) {
				m.c.Errorf("malformed pattern (missing ']')")
			}
			ch := m.pat[p]
			p++
			if ch == '%' {
				if p >= len(m.pat) {
					m.c.Errorf("malformed pattern (missing ']')")
				}
				p++
			}
		}
		return p + 1
	}
	return p
}

func isPunct(b byte) bool { return b > 32 && b < 127 && !isAlnum(b) }
func isAlnum(b byte) bool {
	return '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}

// inClass matches a letter class: %a, %d, …
func inClass(b, class byte) bool {
	var in bool
	switch class | 0x20 {
	case 'a':
		in = 'a' <= b|0x20 && b|0x20 <= 'z'
	case 'c':
		in = b < 32 || b == 127
	case 'd':
		in = '0' <= b && b <= '9'
	case 'l':
		in = 'a' <= b && b <= 'z'
	case 'p':
		in = isPunct(b)
	case 's':
		in = b == ' ' || 9 <= b && b <= 13
	case 'u':
		in = 'A' <= b && b <= 'Z'
	case 'w':
		in = isAlnum(b)
	case 'x':
		in = '0' <= b && b <= '9' || 'a' <= b|0x20 && b|0x20 <= 'f'
	case 'z':
		in = b == 0
	default:
		return class == b
	}
	if 'A' <= class && class <= 'Z' {
		return !in
	}
	return in
}

// inSet matches the set [p:end], end at its ']'.
func (m *matcher) inSet(b byte, p, end int) bool {
	in := true
	p++
	if m.pat[p] == '^' {
		in = false
		p++
	}
	for ; p < end; p++ {
		switch {
		case m.pat[p] == '%':
			p++
			if inClass(b, m.pat[p]) {
				return in
			}
		case p+2 < end && m.pat[p+1] == '-':
			if m.pat[p] <= b && b <= m.pat[p+2] {
				return in
			}
			p += 2
		case m.pat[p] == b:
			return in
		}
	}
	return !in
}

// one matches the single-character class [p:end) at s.
func (m *matcher) one(s, p, end int) bool {
	if s >= len(m.src) {
		return false
	}
	b := m.src[s]
	switch m.pat[p] {
	case '.':
		return true
	case '%':
		return inClass(b, m.pat[p+1])
	case '[':
		return m.inSet(b, p, end-1)
	}
	return m.pat[p] == b
}

// match matches the pattern from p at s and returns the end, or -1.
func (m *matcher) match(s, p int) int {
	if m.depth++; m.depth > maxMatchDepth {
		m.c.Errorf("pattern too complex")
	}
	defer func() { m.depth-- }()
	vm := m.c.th.vm
	for {
		if vm.ticks--; vm.ticks < 0 {
			vm.tick()
		}
		if p == len(m.pat) {
			return s
		}
		switch m.pat[p] {
		case '(':
			if p+1 < len(m.pat) && m.pat[p+1] == ')' {
				return m.open(s, p+2, capPosition)
			}
			return m.open(s, p+1, capUnfinished)
		case ')':
			return m.close(s, p+1)
		case '$':
			if p+1 == len(m.pat) {
				if s == len(m.src) {
					return s
				}
				return -1
			}
		case '%':
			if p+1 < len(m.pat) {
				switch d := m.pat[p+1]; {
				case d == 'b':
					if s = m.balance(s, p+2); s < 0 {
						return -1
					}
					p += 4
					continue
				case d == 'f':
					p += 2
					if p >= len(m.pat) || m.pat[p] != '[' {
						m.c.Errorf("missing '[' after '%%f' in pattern")
					}
					end := m.classEnd(p)
					var before, here byte
					if s > 0 {
						before = m.src[s-1]
					}
					if s < len(m.src) {
						here = m.src[s]
					}
					if m.inSet(before, p, end-1) || !m.inSet(here, p, end-1) {
						return -1
					}
					p = end
					continue
				case '0' <= d && d <= '9':
					if s = m.back(s, d); s < 0 {
						return -1
					}
					p += 2
					continue
				}
			}
		}
		end := m.classEnd(p)
		hit := m.one(s, p, end)
		var op byte
		if end < len(m.pat) {
			op = m.pat[end]
		}
		switch op {
		case '?':
			if hit {
				if e := m.match(s+1, end+1); e >= 0 {
					return e
				}
			}
			p = end + 1
		case '*':
			return m.most(s, p, end, 0)
		case '+':
			return m.most(s, p, end, 1)
		case '-':
			for {
				if e := m.match(s, end+1); e >= 0 {
					return e
				}
				if !m.one(s, p, end) {
					return -1
				}
				s++
			}
		default:
			if !hit {
				return -1
			}
			s, p = s+1, end
		}
	}
}

// most matches the class as often as it can, at least least times.
func (m *matcher) most(s, p, end, least int) int {
	n := 0
	for m.one(s+n, p, end) {
		n++
	}
	for ; n >= least; n-- {
		if e := m.match(s+n, end+1); e >= 0 {
			return e
		}
	}
	return -1
}

func (m *matcher) open(s, p, what int) int {
	if m.level >= maxCaptures {
		m.c.Errorf("too many captures")
	}
	m.caps[m.level].at, m.caps[m.level].n = s, what
	m.level++
	e := m.match(s, p)
	if e < 0 {
		m.level--
	}
	return e
}

func (m *matcher) close(s, p int) int {
	for l := m.level - 1; l >= 0; l-- {
		if m.caps[l].n == capUnfinished {
			m.caps[l].n = s - m.caps[l].at
			e := m.match(s, p)
			if e < 0 {
				m.caps[l].n = capUnfinished
			}
			return e
		}
	}
	m.c.Errorf("invalid pattern capture")
	return -1
}

func (m *matcher) balance(s, p int) int {
	if p+1 >= len(m.pat) {
		m.c.Errorf("unbalanced pattern")
	}
	if s >= len(m.src) || m.src[s] != m.pat[p] {
		return -1
	}
	begin, end := m.pat[p], m.pat[p+1]
	depth := 1
	for s++; s < len(m.src); s++ {
		switch m.src[s] {
		case end:
			if depth--; depth == 0 {
				return s + 1
			}
		case begin:
			depth++
		}
	}
	return -1
}

func (m *matcher) back(s int, digit byte) int {
	l := int(digit) - '1'
	if l < 0 || l >= m.level || m.caps[l].n == capUnfinished {
		m.c.Errorf("invalid capture index")
	}
	text := ""
	if k := m.caps[l]; k.n > 0 {
		text = m.src[k.at : k.at+k.n]
	}
	if strings.HasPrefix(m.src[s:], text) {
		return s + len(text)
	}
	return -1
}

// capture returns capture i; number 0 is the whole match s[from:to] when there are none.
func (m *matcher) capture(i, from, to int) Value {
	if i >= m.level {
		if i != 0 {
			m.c.Errorf("invalid capture index")
		}
		return m.c.th.vm.NewString(strings.Clone(m.src[from:to]))
	}
	k := m.caps[i]
	switch k.n {
	case capUnfinished:
		m.c.Errorf("unfinished capture")
	case capPosition:
		return Int(k.at + 1)
	}
	return m.c.th.vm.NewString(strings.Clone(m.src[k.at : k.at+k.n]))
}

// pushCaptures adds all captures; the whole match if there are none and from is not negative.
func (m *matcher) pushCaptures(from, to int) {
	n := m.level
	if n == 0 && from >= 0 {
		n = 1
	}
	for i := range n {
		m.c.Push1(m.capture(i, from, to))
	}
}
