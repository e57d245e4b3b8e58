package command

import (
	"errors"
	"strconv"
)

// Access is how a command uses a key, in the words of Redis' key specifications.
type Access uint16

const (
	RO            Access = 1 << iota // reads the value, its metadata or both, and changes nothing
	RW                               // changes the value in a way that depends on what it was
	OW                               // overwrites the value whatever it was
	RM                               // deletes the key
	ReadsValue                       // ACCESS: returns or uses the user's data
	Update                           // changes data in the value
	Insert                           // adds data, changing none
	Delete                           // removes data explicitly
	NotKey                           // not a key, but routed like one (channels, COMMAND GETKEYS)
	Incomplete                       // the spec may miss keys
	VariableFlags                    // the access depends on the arguments
)

var accessNames = []string{"RO", "RW", "OW", "RM", "access", "update", "insert", "delete", "not_key", "incomplete", "variable_flags"}

// Names lists the flags as COMMAND prints them.
func (a Access) Names() (names []string) {
	for i, name := range accessNames {
		if a&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// Begin says how the place of the first key is found.
type Begin uint8

const (
	BeginIndex Begin = iota
	BeginKeyword
	BeginUnknown
)

// Find says how the keys are found from there.
type Find uint8

const (
	FindRange Find = iota
	FindKeyNum
	FindUnknown
)

// KeySpec says where keys stand in the words of a call, as data: the fields mean what they
// mean in COMMAND's key specifications. What cannot be said as data carries a Rule.
type KeySpec struct {
	Access  Access
	Begin   Begin
	Index   int    // BeginIndex: word of the first key (or of the key count)
	Keyword string // BeginKeyword: the keys begin after this word
	From    int    // BeginKeyword: the word to search from; negative counts from the end, backwards
	Find    Find
	Last    int // FindRange: last key relative to the first; negative counts from the end (-1 is the last word)
	Step    int
	Limit   int // FindRange with Last -1: keys take 1/Limit of the remaining words; 0 and 1 mean all
	// FindKeyNum: place of the count and of the first key relative to the begin
	NumIdx, First int
	// Rule finds the keys when data cannot. It appends to refs and reports false for words in
	// which no keys can be told. COMMAND still shows the data fields.
	Rule func(argv [][]byte, refs []KeyRef) ([]KeyRef, bool)
	// Vary returns the access of this call where Access has VariableFlags; nil means Access.
	Vary func(argv [][]byte) Access
	// Anywhere reports that the call uses keys that no word names, so that every stripe must be
	// locked; nil: never. See Command.FlagsOf.
	Anywhere func(argv [][]byte) bool
}

// At is one key at word index.
func At(index int, a Access) KeySpec { return KeySpec{Access: a, Index: index, Step: 1} }

// Span is the keys from word first to word last (negative: from the end), step words apart.
func Span(first, last, step int, a Access) KeySpec {
	if last >= 0 {
		last -= first
	}
	return KeySpec{Access: a, Index: first, Last: last, Step: step}
}

// Counted is a count at word index, followed by that many keys.
func Counted(index int, a Access) KeySpec {
	return KeySpec{Access: a, Index: index, Find: FindKeyNum, First: 1, Step: 1}
}

// After is the keys behind a keyword.
func After(keyword string, from, last, step, limit int, a Access) KeySpec {
	return KeySpec{Access: a, Begin: BeginKeyword, Keyword: keyword, From: from, Last: last, Step: step, Limit: limit}
}

// Unknown says that the entry has keys which only rule can find.
func Unknown(a Access, rule func([][]byte, []KeyRef) ([]KeyRef, bool)) KeySpec {
	return KeySpec{Access: a, Begin: BeginUnknown, Find: FindUnknown, Rule: rule}
}

func (k *KeySpec) check() error {
	kinds := 0
	for _, one := range []Access{RO, RW, OW, RM} {
		if k.Access&one != 0 {
			kinds++
		}
	}
	switch {
	case kinds > 1 || kinds == 0 && k.Access&NotKey == 0:
		return errors.New("needs exactly one of RO, RW, OW, RM")
	case k.Begin == BeginIndex && k.Index < 1:
		return errors.New("begins before word 1")
	case k.Find != FindUnknown && k.Step < 1:
		return errors.New("step below 1")
	case k.Begin == BeginUnknown && k.Rule == nil:
		return errors.New("unknown place and no rule")
	}
	return nil
}

// KeyRef is one key of a call: argv[Index], used as Access says.
type KeyRef struct {
	Index  int
	Access Access
}

// KeysOf appends the keys of the call argv to refs. It reports false when the words are
// such that the keys cannot be told (a key count that is no number, a missing keyword); the
// handler then answers the syntax error. Words that are routed but are no keys (NotKey) are
// included only when channels is set.
func (c *Command) KeysOf(argv [][]byte, refs []KeyRef, channels bool) ([]KeyRef, bool) {
	ok := true
	for i := range c.Keys {
		k := &c.Keys[i]
		if k.Access&NotKey != 0 && !channels {
			continue
		}
		var good bool
		if refs, good = k.find(argv, refs); !good {
			ok = false
		}
	}
	return refs, ok
}

func (k *KeySpec) find(argv [][]byte, refs []KeyRef) ([]KeyRef, bool) {
	access := k.Access
	if k.Vary != nil {
		access = k.Vary(argv)
	}
	if k.Rule != nil {
		return k.Rule(argv, refs)
	}
	first := k.Index
	if k.Begin == BeginKeyword {
		if first = k.keyword(argv); first == 0 {
			return refs, true // the keyword is optional: no keys here
		}
	}
	if first >= len(argv) {
		return refs, true
	}
	if k.Find == FindKeyNum {
		at := first + k.NumIdx
		if at >= len(argv) {
			return refs, false
		}
		n, err := strconv.Atoi(string(argv[at]))
		first += k.First
		if err != nil || n < 0 || n > len(argv) || n > 0 && first+(n-1)*k.Step >= len(argv) {
			return refs, false
		}
		for i := range n {
			refs = append(refs, KeyRef{first + i*k.Step, access})
		}
		return refs, true
	}
	last := first + k.Last
	if k.Last < 0 {
		last = len(argv) + k.Last
		if k.Limit > 1 {
			last = first + (len(argv)-first)/k.Limit + k.Last
		}
	}
	if last >= len(argv) {
		return refs, false
	}
	for i := first; i <= last; i += k.Step {
		refs = append(refs, KeyRef{i, access})
	}
	return refs, true
}

// keyword returns the word after the keyword, or 0.
func (k *KeySpec) keyword(argv [][]byte) int {
	if k.From < 0 {
		for i := len(argv) + k.From; i >= 1; i-- {
			if foldEqual(argv[i], k.Keyword) {
				return i + 1
			}
		}
		return 0
	}
	for i := k.From; i < len(argv)-1; i++ {
		if foldEqual(argv[i], k.Keyword) {
			return i + 1
		}
	}
	return 0
}

// foldEqual compares without regard to ASCII case; upper is upper case.
func foldEqual(b []byte, upper string) bool {
	if len(b) != len(upper) {
		return false
	}
	for i, c := range b {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		if c != upper[i] {
			return false
		}
	}
	return true
}

// FlagsOf are the flags of the call argv: those of the entry, and WholeDB if the call uses keys
// that its words do not name (SORT BY).
func (c *Command) FlagsOf(argv [][]byte) Flags {
	if c.Refine != nil {
		return c.Refine(argv, c.Flags)
	}
	if c.anywhere == nil || !c.anywhere(argv) {
		return c.Flags
	}
	return c.Flags | WholeDB
}

// SoleKey is the argv index of the entry's one key when it has exactly one at a fixed
// place, else 0: the short way that most calls take.
func (c *Command) SoleKey() int { return c.soleKey }

// HasKeys reports whether calls of the entry can name keys.
func (c *Command) HasKeys() bool { return len(c.Keys) > 0 }

// MovableKeys reports whether the first, last and step of LegacyRange do not describe all
// keys.
func (c *Command) MovableKeys() bool {
	for _, k := range c.Keys {
		if k.Begin != BeginIndex || k.Find != FindRange || k.Access&Incomplete != 0 {
			return true
		}
	}
	return false
}

// LegacyRange is the first key, last key and step of old COMMAND replies; zeros when the
// keys do not begin with a plain range.
func (c *Command) LegacyRange() (first, last, step int) {
	if len(c.Keys) == 0 {
		return 0, 0, 0
	}
	k := c.Keys[0]
	if k.Begin != BeginIndex || k.Find != FindRange {
		return 0, 0, 0
	}
	first, last, step = k.Index, k.Last, k.Step
	if last >= 0 {
		last += first
	}
	// Neighbouring ranges are shown as one, as the tools of old expect of RENAME or COPY.
	for _, next := range c.Keys[1:] {
		if next.Begin != BeginIndex || next.Find != FindRange || last < 0 || next.Index != last+1 || next.Step != step {
			break
		}
		if last = next.Last; last >= 0 {
			last += next.Index
		}
	}
	return first, last, step
}

func (c *Command) deriveSoleKey() {
	for i := range c.Keys {
		if c.Keys[i].Anywhere != nil {
			c.anywhere = c.Keys[i].Anywhere
		}
	}
	if len(c.Keys) != 1 {
		return
	}
	k := c.Keys[0]
	if k.Begin == BeginIndex && k.Find == FindRange && k.Last == 0 && k.Rule == nil && k.Access&NotKey == 0 {
		c.soleKey = k.Index
	}
}
