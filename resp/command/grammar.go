package command

import (
	"fmt"
	"slices"
	"strings"
)

// Arg is one argument of the parsed grammar, in the terms of COMMAND DOCS.
type Arg struct {
	Name          string
	Type          ArgType
	Token         string // literal word that stands before the argument, or is it (PureToken)
	Optional      bool
	Multiple      bool  // may be repeated; the token stands once
	MultipleToken bool  // may be repeated with its token
	Args          []Arg // of OneOf and Block
	Since         string
	Deprecated    string // since when
}

// ArgType is the type of an argument as COMMAND DOCS names it.
type ArgType string

const (
	StringArg  ArgType = "string"
	IntegerArg ArgType = "integer"
	DoubleArg  ArgType = "double"
	KeyArg     ArgType = "key"
	PatternArg ArgType = "pattern"
	UnixTime   ArgType = "unix-time"
	PureToken  ArgType = "pure-token"
	OneOf      ArgType = "oneof"
	Block      ArgType = "block"
)

var argTypes = map[string]ArgType{
	"": StringArg, "string": StringArg, "int": IntegerArg, "double": DoubleArg, "key": KeyArg,
	"pattern": PatternArg, "time": UnixTime,
}

// parseGrammar reads the notation in which entries write their arguments:
//
//	key value            two arguments; an argument named key has type key
//	offset:int           types are string (the default), int, double, key, pattern, time
//	NX                   an upper-case word (or a 'quoted' one) is a literal token
//	[a b]  (a b)         optional group; plain group
//	NX|XX                alternatives, inside a group
//	[condition=NX|XX]    a group with a name
//	key...               one or more times; also after a group
//	EX seconds:int       in a group, a leading token belongs to what follows it
//	GET@6.2.0            any word or group's name: it came with that version; word@-2.8.12: since then it is deprecated
//
// It is what a manual's syntax line looks like, so it can be checked by eye.
func parseGrammar(src string) ([]Arg, error) {
	p := &grammarParser{words: grammarLex(src), src: src}
	args, err := p.sequence()
	if err == nil && p.at < len(p.words) {
		err = fmt.Errorf("unexpected %q", p.words[p.at])
	}
	if err != nil {
		return nil, fmt.Errorf("grammar %q: %w", src, err)
	}
	return args, nil
}

func grammarLex(src string) (words []string) {
	for i := 0; i < len(src); {
		switch c := src[i]; {
		case c == ' ':
			i++
		case strings.HasPrefix(src[i:], "..."):
			words = append(words, "...")
			i += 3
		case strings.IndexByte("[]()|", c) >= 0:
			words = append(words, src[i:i+1])
			i++
		case c == '\'':
			j := i + 1 + strings.IndexByte(src[i+1:]+"'", '\'')
			word := src[i:j]
			for i = j + 1; i < len(src) && strings.IndexByte(" []()|", src[i]) < 0; i++ {
				word += src[i : i+1] // its version
			}
			words = append(words, word)
		default:
			j := i
			for j < len(src) && strings.IndexByte(" []()|", src[j]) < 0 && !strings.HasPrefix(src[j:], "...") {
				j++
				if src[j-1] == '=' {
					break
				}
			}
			words = append(words, src[i:j])
			i = j
		}
	}
	return words
}

type grammarParser struct {
	src   string
	words []string
	at    int
}

func (p *grammarParser) peek() string {
	if p.at < len(p.words) {
		return p.words[p.at]
	}
	return ""
}

func (p *grammarParser) sequence() (args []Arg, err error) {
	for {
		w := p.peek()
		if w == "" || w == "]" || w == ")" || w == "|" {
			return args, nil
		}
		p.at++
		var a Arg
		switch {
		case w == "[" || w == "(":
			if a, err = p.group(); err != nil {
				return nil, err
			}
			closing := map[string]string{"[": "]", "(": ")"}[w]
			if p.peek() != closing {
				return nil, fmt.Errorf("missing %q", closing)
			}
			p.at++
			a.Optional = w == "["
			if p.peek() == "..." {
				p.at++
				a.Multiple = true
				a.MultipleToken = a.Token != ""
			}
		case w[0] == '\'' || isUpperWord(w):
			a.Type = PureToken
			a.Token = a.version(strings.TrimPrefix(w, "'"))
			a.Name = strings.ToLower(a.Token)
		default:
			name, kind, _ := strings.Cut(a.version(w), ":")
			t, known := argTypes[kind]
			if !known {
				return nil, fmt.Errorf("unknown type %q", kind)
			}
			if kind == "" && name == "key" {
				t = KeyArg
			}
			a.Name, a.Type = name, t
			if p.peek() == "..." {
				p.at++
				a.Multiple = true
			}
		}
		args = append(args, a)
	}
}

// version takes the version off a word.
func (a *Arg) version(word string) string {
	word, version, _ := strings.Cut(word, "@")
	if since, deprecated := strings.CutPrefix(version, "-"); deprecated {
		a.Deprecated = since
	} else {
		a.Since = version
	}
	return word
}

// group reads the inside of brackets: alternatives, each a sequence.
func (p *grammarParser) group() (Arg, error) {
	var named Arg
	if w := p.peek(); strings.HasSuffix(w, "=") && len(w) > 1 {
		named.Name = named.version(strings.TrimSuffix(w, "="))
		p.at++
	}
	var alternatives []Arg
	for {
		seq, err := p.sequence()
		if err != nil {
			return Arg{}, err
		}
		if len(seq) == 0 {
			return Arg{}, fmt.Errorf("empty group before %q", p.peek())
		}
		alternatives = append(alternatives, bundle(seq))
		if p.peek() != "|" {
			break
		}
		p.at++
	}
	a := alternatives[0]
	if len(alternatives) > 1 {
		a = Arg{Name: alternatives[0].Name, Type: OneOf, Args: alternatives}
	}
	if named.Name != "" {
		a.Name = named.Name
	}
	if named.Since+named.Deprecated != "" {
		a.Since, a.Deprecated = named.Since, named.Deprecated
	}
	return a, nil
}

// bundle makes one argument of a sequence, giving a leading token to what follows it.
func bundle(seq []Arg) Arg {
	if len(seq) == 1 {
		return seq[0]
	}
	var head Arg
	rest := seq
	if seq[0].Type == PureToken && slices.ContainsFunc(seq[1:], func(a Arg) bool { return a.Type != PureToken && !a.Optional }) {
		head, rest = seq[0], seq[1:]
	}
	if len(rest) == 1 && head.Token != "" && rest[0].Token == "" && !rest[0].Optional {
		a := rest[0]
		a.Token = head.Token
		if head.Since+head.Deprecated != "" {
			a.Since, a.Deprecated = head.Since, head.Deprecated
		}
		return a
	}
	name := rest[0].Name
	if head.Token != "" {
		name = strings.ToLower(head.Token)
	}
	return Arg{Name: name, Type: Block, Token: head.Token, Args: rest, Since: head.Since, Deprecated: head.Deprecated}
}

func isUpperWord(w string) bool {
	return strings.ToUpper(w) == w && strings.ToLower(w) != w
}

// grammarWords is the least and the most words a call of args can have; most is -1 when
// there is no bound.
func grammarWords(args []Arg) (least, most int) {
	for _, a := range args {
		l, m := a.words()
		least += l
		if most >= 0 && m >= 0 {
			most += m
		} else {
			most = -1
		}
	}
	return least, most
}

func (a *Arg) words() (least, most int) {
	switch a.Type {
	case PureToken:
		least, most = 1, 1
	case OneOf:
		least, most = -1, 0
		for i := range a.Args {
			l, m := a.Args[i].words()
			if least < 0 || l < least {
				least = l
			}
			if m < 0 || most < 0 {
				most = -1
			} else if m > most {
				most = m
			}
		}
	case Block:
		least, most = grammarWords(a.Args)
	default:
		least, most = 1, 1
	}
	if a.Token != "" && a.Type != PureToken {
		least++
		if most >= 0 {
			most++
		}
	}
	if a.Multiple {
		most = -1
	}
	if a.Optional {
		least = 0
	}
	return least, most
}

// Syntax renders args as a manual's syntax line: "key value [NX | XX] [EX seconds]".
func Syntax(args []Arg) string {
	parts := make([]string, len(args))
	for i := range args {
		parts[i] = args[i].syntax()
	}
	return strings.Join(parts, " ")
}

func (a *Arg) syntax() string {
	var s string
	switch a.Type {
	case PureToken:
		s = a.Token
	case OneOf:
		alts := make([]string, len(a.Args))
		for i := range a.Args {
			alts[i] = a.Args[i].syntax()
		}
		s = strings.Join(alts, " | ")
		if !a.Optional {
			s = "<" + s + ">"
		}
	case Block:
		s = Syntax(a.Args)
	default:
		s = a.Name
	}
	once := s
	if a.Token != "" && a.Type != PureToken {
		s = a.Token + " " + s
	}
	if a.Multiple {
		if a.MultipleToken {
			s += " [" + s + " ...]"
		} else {
			s += " [" + once + " ...]"
		}
	}
	if a.Optional {
		s = "[" + s + "]"
	}
	return s
}
