package command

import (
	"fmt"
	"strings"
)

// Schema is a parsed reply schema: what a handler may answer, apart from errors.
type Schema struct {
	Kind Kind
	Lit  string    // Literal: the simple string
	Elem []*Schema // OneOfReply: alternatives; Tuple: elements; ListOf, SetOf: one; MapOf: key and value
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
)

var schemaWords = map[string]Kind{
	"simple": Simple, "bulk": Bulk, "int": Int, "nil": Nil, "double": Double, "bool": Bool, "any": Any, "none": None,
}

// parseSchema reads the notation of Command.Reply:
//
//	OK | nil | bulk     alternatives; an upper-case word is that simple string
//	[bulk...]           array of any length; [] is the empty one
//	[bulk, int]         array of exactly these
//	<bulk>              set
//	{bulk: int}         map of any size
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
	case p.eat("{"):
		k, err := p.alternatives()
		if err != nil {
			return nil, err
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
	for p.at < len(p.src) && strings.IndexByte(" |[]<>{}:,.", p.src[p.at]) < 0 {
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

func (p *schemaParser) want(s string) error {
	if !p.eat(s) {
		return fmt.Errorf("missing %q at %d", s, p.at)
	}
	return nil
}
