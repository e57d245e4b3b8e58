package vm

import (
	"fmt"
	"strings"
)

type token int

const (
	tkEOF token = iota + 256
	tkAnd
	tkBreak
	tkDo
	tkElse
	tkElseif
	tkEnd
	tkFalse
	tkFor
	tkFunction
	tkIf
	tkIn
	tkLocal
	tkNil
	tkNot
	tkOr
	tkRepeat
	tkReturn
	tkThen
	tkTrue
	tkUntil
	tkWhile
	tkConcat // ..
	tkDots   // ...
	tkEq
	tkGe
	tkLe
	tkNe
	tkNumber
	tkName
	tkString
)

var reserved = map[string]token{
	"and": tkAnd, "break": tkBreak, "do": tkDo, "else": tkElse, "elseif": tkElseif, "end": tkEnd, "false": tkFalse,
	"for": tkFor, "function": tkFunction, "if": tkIf, "in": tkIn, "local": tkLocal, "nil": tkNil, "not": tkNot, "or": tkOr,
	"repeat": tkRepeat, "return": tkReturn, "then": tkThen, "true": tkTrue, "until": tkUntil, "while": tkWhile,
}

var tokenTexts = func() map[token]string {
	m := map[token]string{tkEOF: "<eof>", tkConcat: "..", tkDots: "...", tkEq: "==", tkGe: ">=", tkLe: "<=", tkNe: "~=",
		tkNumber: "<number>", tkName: "<name>", tkString: "<string>"}
	for s, t := range reserved {
		m[t] = s
	}
	return m
}()

func (t token) String() string {
	if t < 256 {
		if t < 32 || t == 127 {
			return fmt.Sprintf("char(%d)", int(t))
		}
		return string([]byte{byte(t)})
	}
	return tokenTexts[t]
}

// lexer cuts source into tokens.
type lexer struct {
	src    string
	source string // the chunk's name
	at     int
	line   int32

	tok      token
	text     string // of a name or string, or the raw text of what was read
	num      float64
	raw      int   // where tok begins
	lastLine int32 // of the token before

	ahead     bool
	aheadTok  token
	aheadText string
	aheadNum  float64
	aheadRaw  int
}

// syntaxError is thrown by lexer and parser, and recovered by Compile.
type syntaxError string

func (l *lexer) fail(msg string, near string) {
	m := fmt.Sprintf("%s:%d: %s", chunkID(l.source), l.line, msg)
	if near != "" {
		m += " near '" + near + "'"
	}
	panic(syntaxError(m))
}

// failHere complains about the present token.
func (l *lexer) failHere(msg string) {
	switch l.tok {
	case tkName, tkString, tkNumber:
		l.fail(msg, cString(l.src[l.raw:min(l.at, len(l.src))]))
	}
	l.fail(msg, l.tok.String())
}

func cString(s string) string {
	if i := strings.IndexByte(s, 0); i >= 0 {
		return s[:i]
	}
	return s
}

func (l *lexer) next() {
	l.lastLine = l.line
	if l.ahead {
		l.ahead = false
		l.tok, l.text, l.num, l.raw = l.aheadTok, l.aheadText, l.aheadNum, l.aheadRaw
		return
	}
	l.tok = l.scan()
}

func (l *lexer) peek() token {
	tok, text, num, raw := l.tok, l.text, l.num, l.raw
	l.aheadTok = l.scan()
	l.aheadText, l.aheadNum, l.aheadRaw = l.text, l.num, l.raw
	l.tok, l.text, l.num, l.raw = tok, text, num, raw
	l.ahead = true
	return l.aheadTok
}

func (l *lexer) ch() int {
	if l.at < len(l.src) {
		return int(l.src[l.at])
	}
	return -1
}

func isAlpha(c int) bool { return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
func isNum(c int) bool   { return '0' <= c && c <= '9' }

// newline takes "\n", "\r", "\r\n" or "\n\r".
func (l *lexer) newline() {
	c := l.ch()
	l.at++
	if d := l.ch(); (d == '\n' || d == '\r') && d != c {
		l.at++
	}
	l.line++
}

func (l *lexer) scan() token {
	for {
		l.raw = l.at
		c := l.ch()
		switch c {
		case -1:
			return tkEOF
		case '\n', '\r':
			l.newline()
			continue
		case ' ', '\t', '\v', '\f':
			l.at++
			continue
		case '-':
			if !strings.HasPrefix(l.src[l.at:], "--") {
				l.at++
				return '-'
			}
			l.at += 2
			if l.ch() == '[' {
				if n := l.bracket(); n >= 0 {
					l.long(n, true)
					continue
				}
			}
			for c := l.ch(); c != -1 && c != '\n' && c != '\r'; c = l.ch() {
				l.at++
			}
			continue
		case '[':
			n := l.bracket()
			if n >= 0 {
				l.text = l.long(n, false)
				return tkString
			}
			if n == -1 {
				l.at = l.raw + 1
				return '['
			}
			l.fail("invalid long string delimiter", l.src[l.raw:l.at])
		case '=':
			return l.two('=', '=', tkEq)
		case '<':
			return l.two('<', '=', tkLe)
		case '>':
			return l.two('>', '=', tkGe)
		case '~':
			return l.two('~', '=', tkNe)
		case '"', '\'':
			l.text = l.quoted(byte(c))
			return tkString
		case '.':
			rest := l.src[l.at:]
			switch {
			case strings.HasPrefix(rest, "..."):
				l.at += 3
				return tkDots
			case strings.HasPrefix(rest, ".."):
				l.at += 2
				return tkConcat
			case len(rest) > 1 && isNum(int(rest[1])):
				return l.number()
			}
			l.at++
			return '.'
		}
		switch {
		case isNum(c):
			return l.number()
		case isAlpha(c):
			for isAlpha(l.ch()) || isNum(l.ch()) {
				l.at++
			}
			l.text = l.src[l.raw:l.at]
			if t, ok := reserved[l.text]; ok {
				return t
			}
			return tkName
		}
		l.at++
		return token(c)
	}
}

func (l *lexer) two(one token, second byte, both token) token {
	l.at++
	if l.ch() == int(second) {
		l.at++
		return both
	}
	return one
}

// bracket reads "[==" and returns the level if another '[' follows (it is not taken), -1 for a lone '[', -2 for "[=" that
// goes wrong.
func (l *lexer) bracket() int {
	l.at++
	n := 0
	for l.ch() == '=' {
		l.at++
		n++
	}
	switch {
	case l.ch() == '[':
		return n
	case n == 0:
		return -1
	}
	return -2
}

// long reads a long string or comment; the first '[' and the '=' were taken.
func (l *lexer) long(level int, comment bool) string {
	l.at++
	if c := l.ch(); c == '\n' || c == '\r' {
		l.newline()
	}
	end := "]" + strings.Repeat("=", level) + "]"
	var b strings.Builder
	for {
		switch c := l.ch(); c {
		case -1:
			if comment {
				l.fail("unfinished long comment", "<eof>")
			}
			l.fail("unfinished long string", "<eof>")
		case ']':
			if strings.HasPrefix(l.src[l.at:], end) {
				l.at += len(end)
				return b.String()
			}
			b.WriteByte(']')
			l.at++
		case '[':
			if level == 0 && strings.HasPrefix(l.src[l.at:], "[[") {
				l.fail("nesting of [[...]] is deprecated", "[")
			}
			b.WriteByte('[')
			l.at++
		case '\n', '\r':
			l.newline()
			b.WriteByte('\n')
		default:
			if !comment {
				b.WriteByte(byte(c))
			}
			l.at++
		}
	}
}

func (l *lexer) quoted(quote byte) string {
	l.at++
	var b strings.Builder
	for {
		c := l.ch()
		switch {
		case c == -1:
			l.fail("unfinished string", "<eof>")
		case c == '\n' || c == '\r':
			l.fail("unfinished string", cString(string([]byte{quote})+b.String()))
		case c == int(quote):
			l.at++
			return b.String()
		case c == '\\':
			l.at++
			l.escape(&b, quote)
		default:
			b.WriteByte(byte(c))
			l.at++
		}
	}
}

func (l *lexer) escape(b *strings.Builder, quote byte) {
	c := l.ch()
	switch c {
	case 'a':
		c = '\a'
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'v':
		c = '\v'
	case '\n', '\r':
		l.newline()
		b.WriteByte('\n')
		return
	case -1:
		return // the end is told by the caller
	default:
		if isNum(c) {
			n := 0
			for i := 0; i < 3 && isNum(l.ch()); i++ {
				n = 10*n + l.ch() - '0'
				l.at++
			}
			if n > 255 {
				l.fail("escape sequence too large", cString(string([]byte{quote})+b.String()))
			}
			b.WriteByte(byte(n))
			return
		}
	}
	b.WriteByte(byte(c))
	l.at++
}

func (l *lexer) number() token {
	for isNum(l.ch()) || l.ch() == '.' {
		l.at++
	}
	if c := l.ch(); c == 'e' || c == 'E' {
		l.at++
		if c := l.ch(); c == '+' || c == '-' {
			l.at++
		}
	}
	for isNum(l.ch()) || isAlpha(l.ch()) {
		l.at++
	}
	text := l.src[l.raw:l.at]
	f, ok := ParseNumber(text)
	if !ok {
		l.fail("malformed number", text)
	}
	l.num = f
	return tkNumber
}
