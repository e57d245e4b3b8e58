package aof

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Type is what a file is for.
type Type byte

const (
	Base    Type = 'b' // everything as of one instant
	History Type = 'h' // replaced, to be deleted
	Incr    Type = 'i' // what happened since
)

// File is one line of a manifest.
type File struct {
	Name string
	Seq  int64
	Type Type
}

// Manifest says which files make up the data. The zero value is that of no data at all.
// Invariant: the numbers of Incr ascend.
type Manifest struct {
	Base    *File  // nil: none
	History []File // to be deleted
	Incr    []File

	baseSeq, incrSeq int64 // the highest given so far
}

// maxLine is the longest line of a manifest with its end, as in Redis.
const maxLine = 1024

// The reasons why a manifest is no good, in Redis' words.
var (
	errEmptyManifest = errors.New("Found an empty AOF manifest")
	errLongLine      = errors.New("The AOF manifest file contains too long line")
	errManifest      = errors.New("Invalid AOF manifest file format")
	errPath          = errors.New("File can't be a path, just a filename")
	errTwoBases      = errors.New("Found duplicate base file information")
	errOrder         = errors.New("Found a non-monotonic sequence number")
	errType          = errors.New("Unknown AOF file type")
)

// ManifestError says where a manifest is no good.
type ManifestError struct {
	Line int // from 1; 0: none in particular
	Text string
	Err  error
}

func (e *ManifestError) Error() string {
	if e.Line == 0 {
		return e.Err.Error()
	}
	return fmt.Sprintf("%v (line %d: '%s')", e.Err, e.Line, e.Text)
}

func (e *ManifestError) Unwrap() error { return e.Err }

// ParseManifest reads a manifest. Words it does not know are skipped with their values, so that later
// versions may add some.
func ParseManifest(text []byte) (*Manifest, error) {
	m := &Manifest{}
	if len(text) == 0 {
		return nil, &ManifestError{Err: errEmptyManifest}
	}
	for num := 1; len(text) > 0; num++ {
		line, rest, ended := bytes.Cut(text, []byte("\n"))
		text = rest
		if len(line) > 0 && line[0] == '#' {
			continue
		}
		fail := func(err error) (*Manifest, error) {
			return nil, &ManifestError{Line: num, Text: string(line[:min(len(line), 128)]), Err: err}
		}
		if len(line) >= maxLine || !ended {
			return fail(errLongLine)
		}
		f, err := parseLine(string(bytes.Trim(line, " \t\r")))
		if err == nil {
			err = m.add(f)
		}
		if err != nil {
			return fail(err)
		}
	}
	return m, nil
}

func parseLine(line string) (f File, err error) {
	words, ok := splitWords(line)
	if !ok || len(words) < 6 || len(words)%2 != 0 {
		return f, errManifest
	}
	for i := 0; i < len(words); i += 2 {
		switch val := words[i+1]; strings.ToLower(words[i]) {
		case "file":
			if f.Name = val; strings.ContainsAny(val, "/\\") || val == "." || val == ".." {
				return f, errPath
			}
		case "seq":
			f.Seq, _ = strconv.ParseInt(val, 10, 64) // 0, which is refused below
		case "type":
			if val != "" {
				f.Type = Type(val[0])
			}
		}
	}
	if f.Name == "" || f.Seq == 0 || f.Type == 0 {
		return f, errManifest
	}
	return f, nil
}

func (m *Manifest) add(f File) error {
	switch f.Type {
	case Base:
		if m.Base != nil {
			return errTwoBases
		}
		m.Base, m.baseSeq = &f, f.Seq
	case History:
		m.History = append(m.History, f)
	case Incr:
		if f.Seq <= m.incrSeq {
			return errOrder
		}
		m.Incr, m.incrSeq = append(m.Incr, f), f.Seq
	default:
		return errType
	}
	return nil
}

// Bytes is the manifest as it stands in its file.
func (m *Manifest) Bytes() []byte {
	var b bytes.Buffer
	line := func(f File) { fmt.Fprintf(&b, "file %s seq %d type %c\n", quoted(f.Name), f.Seq, f.Type) }
	if m.Base != nil {
		line(*m.Base)
	}
	for _, f := range m.History {
		line(f)
	}
	for _, f := range m.Incr {
		line(f)
	}
	return b.Bytes()
}

// Empty reports whether it names no data.
func (m *Manifest) Empty() bool { return m.Base == nil && len(m.Incr) == 0 }

// Files are the files to load, in their order.
func (m *Manifest) Files() []File {
	var all []File
	if m.Base != nil {
		all = append(all, *m.Base)
	}
	return append(all, m.Incr...)
}

// clone is a copy to change.
func (m *Manifest) clone() *Manifest {
	c := *m
	if m.Base != nil {
		base := *m.Base
		c.Base = &base
	}
	c.History = append([]File(nil), m.History...)
	c.Incr = append([]File(nil), m.Incr...)
	return &c
}

// addIncr puts a new incremental file behind the others.
func (m *Manifest) addIncr(prefix string) File {
	m.incrSeq++
	f := File{Name: fmt.Sprintf("%s.%d.incr.aof", prefix, m.incrSeq), Seq: m.incrSeq, Type: Incr}
	m.Incr = append(m.Incr, f)
	return f
}

// addBase puts a new base in the place of the present one.
func (m *Manifest) addBase(prefix string, rdb bool) File {
	if m.Base != nil {
		old := *m.Base
		old.Type = History
		m.History = append([]File{old}, m.History...)
	}
	m.baseSeq++
	suffix := "aof"
	if rdb {
		suffix = "rdb"
	}
	m.Base = &File{Name: fmt.Sprintf("%s.%d.base.%s", prefix, m.baseSeq, suffix), Seq: m.baseSeq, Type: Base}
	return *m.Base
}

// retire makes history of the incremental files before number keep.
func (m *Manifest) retire(keep int64) {
	var kept []File
	for _, f := range m.Incr {
		if f.Seq >= keep {
			kept = append(kept, f)
			continue
		}
		f.Type = History
		m.History = append(m.History, f)
	}
	m.Incr = kept
}

// splitWords splits a line as Redis splits the lines of its configuration: words between blanks, or in
// double quotes with escapes, or in single quotes.
func splitWords(s string) (words []string, ok bool) {
	for i := 0; ; {
		for i < len(s) && isBlank(s[i]) {
			i++
		}
		if i == len(s) {
			return words, true
		}
		var w []byte
		switch q := s[i]; q {
		case '"', '\'':
			i++
			for ; ; i++ {
				if i >= len(s) {
					return nil, false
				}
				if s[i] == q {
					break
				}
				if s[i] != '\\' || i+1 >= len(s) || q == '\'' && s[i+1] != '\'' {
					w = append(w, s[i])
					continue
				}
				i++
				switch c := s[i]; {
				case q == '"' && c == 'x' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
					n, _ := strconv.ParseUint(s[i+1:i+3], 16, 8)
					w = append(w, byte(n))
					i += 2
				case q == '"':
					w = append(w, unescaped(c))
				default:
					w = append(w, c)
				}
			}
			i++
			if i < len(s) && !isBlank(s[i]) {
				return nil, false
			}
		default:
			for i < len(s) && !isBlank(s[i]) {
				w = append(w, s[i])
				i++
			}
		}
		words = append(words, string(w))
	}
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unescaped(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	case 'a':
		return '\a'
	}
	return c
}

// quoted is a name as a word of a line.
func quoted(s string) string {
	plain := s != ""
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '\'' || c == '\\' {
			plain = false
		}
	}
	if plain {
		return s
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case c == '\a':
			b.WriteString(`\a`)
		case c == '\b':
			b.WriteString(`\b`)
		case c < ' ' || c >= 0x7f:
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
