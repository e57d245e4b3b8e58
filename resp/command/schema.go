package command

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sextantdb/sextant/resp"
)

// Schema is a parsed reply schema: what a handler may answer, apart from errors.
type Schema struct {
	Kind  Kind
	Lit   string    // Literal: the simple string; Quoted: the bulk string
	Elem  []*Schema // OneOfReply: alternatives; Tuple: elements; ListOf, SetOf: one; MapOf: key and value; Record: values
	Keys  []string  // Record: the keys of Elem
	Maybe []bool    // Record: that key may be missing
	Rest  bool      // Tuple: the last of Elem is there any number of times
}

// Kind is the shape of one reply.
type Kind uint8

const (
	Literal    Kind = iota // one particular simple string, such as OK
	Simple                 // any simple string
	Bulk                   // a bulk string; verbatim strings count
	Int                    // an integer
	Nil                    // RESP3 null; null bulk or null array in RESP2
	Double                 // RESP3 double; bulk in RESP2
	Bool                   // RESP3 boolean; integer in RESP2
	Any                    // anything but an error
	None                   // no reply at all (CLIENT REPLY OFF, SYNC)
	OneOfReply             // one of Elem
	ListOf                 // an array of any length of Elem[0]
	Tuple                  // an array of exactly Elem
	SetOf                  // a RESP3 set; array in RESP2
	MapOf                  // a RESP3 map of Elem[0] to Elem[1]; flat array in RESP2
	Quoted                 // one particular bulk string
	Record                 // a RESP3 map of Keys to Elem and no others; flat array in RESP2
)

var schemaWords = map[string]Kind{
	"simple": Simple, "bulk": Bulk, "int": Int, "nil": Nil, "double": Double, "bool": Bool, "any": Any, "none": None,
}

// parseSchema reads the notation of Command.Reply:
//
//	OK | nil | bulk     alternatives; an upper-case word is that simple string
//	[bulk...]           array of any length; [] is the empty one
//	[bulk, int]         array of exactly these
//	[bulk, int...]      array of these and more like the last, or without it
//	<bulk>              set
//	{bulk: int}         map of any size
//	'ip'                that bulk string
//	{'ip': bulk, 'port'?: int}  map of exactly these keys, of which those with ? may be missing
func parseSchema(src string) (*Schema, error) {
	p := &schemaParser{src: src}
	s, err := p.alternatives()
	if err == nil && p.skip() < len(p.src) {
		err = fmt.Errorf("unexpected %q", p.src[p.at:])
	}
	if err != nil {
		return nil, fmt.Errorf("reply schema %q: %w", src, err)
	}
	return s, nil
}

type schemaParser struct {
	src string
	at  int
}

func (p *schemaParser) skip() int {
	for p.at < len(p.src) && p.src[p.at] == ' ' {
		p.at++
	}
	return p.at
}

func (p *schemaParser) eat(s string) bool {
	p.skip()
	if strings.HasPrefix(p.src[p.at:], s) {
		p.at += len(s)
		return true
	}
	return false
}

func (p *schemaParser) alternatives() (*Schema, error) {
	first, err := p.one()
	if err != nil || !p.eat("|") {
		return first, err
	}
	all := &Schema{Kind: OneOfReply, Elem: []*Schema{first}}
	for {
		next, err := p.one()
		if err != nil {
			return nil, err
		}
		all.Elem = append(all.Elem, next)
		if !p.eat("|") {
			return all, nil
		}
	}
}

func (p *schemaParser) one() (*Schema, error) {
	switch {
	case p.eat("["):
		s := &Schema{Kind: Tuple}
		if p.eat("]") {
			return s, nil
		}
		for {
			e, err := p.alternatives()
			if err != nil {
				return nil, err
			}
			s.Elem = append(s.Elem, e)
			if len(s.Elem) == 1 && p.eat("...") {
				s.Kind = ListOf
				break
			}
			if s.Rest = p.eat("..."); s.Rest {
				break
			}
			if !p.eat(",") {
				break
			}
		}
		return s, p.want("]")
	case p.eat("<"):
		e, err := p.alternatives()
		if err != nil {
			return nil, err
		}
		return &Schema{Kind: SetOf, Elem: []*Schema{e}}, p.want(">")
	case p.eat("'"):
		word, rest, closed := strings.Cut(p.src[p.at:], "'")
		if !closed {
			return nil, fmt.Errorf("missing %q at %d", "'", len(p.src))
		}
		p.at = len(p.src) - len(rest)
		return &Schema{Kind: Quoted, Lit: word}, nil
	case p.eat("{"):
		k, err := p.one()
		if err != nil {
			return nil, err
		}
		if k.Kind == Quoted {
			return p.record(k)
		}
		if err := p.want(":"); err != nil {
			return nil, err
		}
		v, err := p.alternatives()
		if err != nil {
			return nil, err
		}
		return &Schema{Kind: MapOf, Elem: []*Schema{k, v}}, p.want("}")
	}
	start := p.skip()
	for p.at < len(p.src) && strings.IndexByte(" |[]<>{}:,.?'", p.src[p.at]) < 0 {
		p.at++
	}
	word := p.src[start:p.at]
	if k, known := schemaWords[word]; known {
		return &Schema{Kind: k}, nil
	}
	if word == "" || !isUpperWord(word) {
		return nil, fmt.Errorf("unknown word %q at %d", word, start)
	}
	return &Schema{Kind: Literal, Lit: word}, nil
}

// record reads a record behind its first key.
func (p *schemaParser) record(key *Schema) (*Schema, error) {
	r := &Schema{Kind: Record}
	for {
		if key.Kind != Quoted {
			return nil, fmt.Errorf("a key that is not quoted at %d", p.at)
		}
		r.Keys, r.Maybe = append(r.Keys, key.Lit), append(r.Maybe, p.eat("?"))
		if err := p.want(":"); err != nil {
			return nil, err
		}
		value, err := p.alternatives()
		if err != nil {
			return nil, err
		}
		r.Elem = append(r.Elem, value)
		if !p.eat(",") {
			return r, p.want("}")
		}
		if key, err = p.one(); err != nil {
			return nil, err
		}
	}
}

func (p *schemaParser) want(s string) error {
	if !p.eat(s) {
		return fmt.Errorf("missing %q at %d", s, p.at)
	}
	return nil
}

// Check reports how v, a reply in the given protocol, differs from what s allows. Errors are
// allowed anywhere: every command can fail, and EXEC answers those of its commands.
func (s *Schema) Check(v resp.Value, proto int) error {
	if s.allows(v, proto) {
		return nil
	}
	return fmt.Errorf("the reply schema %s does not allow %s in RESP%d", s, shape(v), proto)
}

func (s *Schema) allows(v resp.Value, proto int) bool {
	if v.Err() != nil {
		return true
	}
	resp3 := proto >= resp.RESP3
	// RESP2 has neither maps nor sets, doubles nor booleans.
	form := func(three, two resp.Kind) bool {
		return v.Kind == three && resp3 || v.Kind == two && !resp3
	}
	switch s.Kind {
	case Literal:
		return v.Kind == resp.KindSimple && string(v.Str) == s.Lit
	case Simple:
		return v.Kind == resp.KindSimple
	case Bulk:
		return v.Kind == resp.KindBulk || v.Kind == resp.KindVerbatim && resp3
	case Int:
		return v.Kind == resp.KindInt
	case Nil:
		return v.IsNull()
	case Double:
		return form(resp.KindDouble, resp.KindBulk)
	case Bool:
		return form(resp.KindBool, resp.KindInt)
	case Any:
		return true
	case None:
		return false
	case OneOfReply:
		for _, e := range s.Elem {
			if e.allows(v, proto) {
				return true
			}
		}
		return false
	case ListOf:
		return v.Kind == resp.KindArray && s.Elem[0].allowsAll(v.Elems, proto)
	case SetOf:
		return form(resp.KindSet, resp.KindArray) && s.Elem[0].allowsAll(v.Elems, proto)
	case Quoted:
		return v.Kind == resp.KindBulk && string(v.Str) == s.Lit
	case Tuple:
		n := len(s.Elem)
		if s.Rest {
			n--
		}
		if v.Kind != resp.KindArray || len(v.Elems) < n || len(v.Elems) > n && !s.Rest {
			return false
		}
		for i := range v.Elems {
			if !s.Elem[min(i, len(s.Elem)-1)].allows(v.Elems[i], proto) {
				return false
			}
		}
		return true
	case Record:
		return form(resp.KindMap, resp.KindArray) && s.allowsRecord(v.Elems, proto)
	case MapOf:
		if !form(resp.KindMap, resp.KindArray) || len(v.Elems)%2 != 0 {
			return false
		}
		for i, e := range v.Elems {
			if !s.Elem[i%2].allows(e, proto) {
				return false
			}
		}
		return true
	}
	return false
}

// allowsRecord reports whether pairs are s.Keys and values they may have. Their order is free.
func (s *Schema) allowsRecord(pairs []resp.Value, proto int) bool {
	if len(pairs)%2 != 0 {
		return false
	}
	seen := make([]bool, len(s.Keys))
	for i := 0; i < len(pairs); i += 2 {
		at := slices.Index(s.Keys, string(pairs[i].Str))
		if at < 0 || seen[at] || pairs[i].Kind != resp.KindBulk || !s.Elem[at].allows(pairs[i+1], proto) {
			return false
		}
		seen[at] = true
	}
	for i := range seen {
		if !seen[i] && !s.Maybe[i] {
			return false
		}
	}
	return true
}

func (s *Schema) allowsAll(vs []resp.Value, proto int) bool {
	for _, v := range vs {
		if !s.allows(v, proto) {
			return false
		}
	}
	return true
}

// String renders s in the notation of Command.Reply.
func (s *Schema) String() string {
	parts := make([]string, len(s.Elem))
	for i, e := range s.Elem {
		parts[i] = e.String()
	}
	switch s.Kind {
	case Literal:
		return s.Lit
	case OneOfReply:
		return strings.Join(parts, " | ")
	case ListOf:
		return "[" + parts[0] + "...]"
	case Quoted:
		return "'" + s.Lit + "'"
	case Tuple:
		rest := ""
		if s.Rest {
			rest = "..."
		}
		return "[" + strings.Join(parts, ", ") + rest + "]"
	case Record:
		for i := range parts {
			maybe := ""
			if s.Maybe[i] {
				maybe = "?"
			}
			parts[i] = "'" + s.Keys[i] + "'" + maybe + ": " + parts[i]
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case SetOf:
		return "<" + parts[0] + ">"
	case MapOf:
		return "{" + parts[0] + ": " + parts[1] + "}"
	}
	for word, k := range schemaWords {
		if k == s.Kind {
			return word
		}
	}
	return "?"
}

// shape renders a reply in the same notation, without its contents.
func shape(v resp.Value) string {
	parts := make([]string, len(v.Elems))
	for i, e := range v.Elems {
		parts[i] = shape(e)
	}
	inside := strings.Join(parts, ", ")
	switch v.Kind {
	case resp.KindSimple:
		return string(v.Str)
	case resp.KindError, resp.KindBulkError:
		return "error"
	case resp.KindBulk, resp.KindVerbatim:
		return "bulk"
	case resp.KindInt:
		return "int"
	case resp.KindNull:
		return "nil"
	case resp.KindDouble:
		return "double"
	case resp.KindBool:
		return "bool"
	case resp.KindArray, resp.KindPush:
		return "[" + inside + "]"
	case resp.KindSet:
		return "<" + inside + ">"
	case resp.KindMap:
		return "{" + inside + "}"
	}
	return "big number"
}
