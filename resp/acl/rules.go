package acl

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Catalog says which commands and categories there are. Immutable.
type Catalog struct {
	categories map[string]uint64 // lower case
	byName     map[string]*entry // lower case: "get", "config|get"
	all        []*entry
	words      int // of a bitmap
}

// Command is one command of a Catalog.
type Command struct {
	// Name is in lower case; a subcommand's has its container's before it: "config|get".
	Name string
	ID   int
	// Categories is a set of bits, in the order of the names NewCatalog gets.
	Categories uint64
}

type entry struct {
	Command
	sub  bool
	subs []*entry
}

// NewCatalog returns a catalog of commands; containers come before their subcommands.
func NewCatalog(categories []string, commands []Command) *Catalog {
	c := &Catalog{categories: map[string]uint64{}, byName: map[string]*entry{}}
	for i, name := range categories {
		c.categories[name] = 1 << i
	}
	for _, one := range commands {
		e := &entry{Command: one}
		if container, _, two := strings.Cut(one.Name, "|"); two {
			e.sub = true
			c.byName[container].subs = append(c.byName[container].subs, e)
		}
		c.byName[one.Name] = e
		c.all = append(c.all, e)
		c.words = max(c.words, one.ID>>6+1)
	}
	return c
}

// Why a rule is refused.
var (
	ErrUnknown     = errors.New("Unknown command or category name in ACL")
	ErrSyntax      = errors.New("Syntax error")
	ErrAllKeys     = errors.New("Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try 'resetkeys' to start with an empty list of patterns")
	ErrAllChannels = errors.New("Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. Try 'resetchannels' to start with an empty list of channels")
	ErrNoPassword  = errors.New("The password you are trying to remove from the user does not exist")
	ErrHash        = errors.New("The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters")
	ErrDuplicate   = errors.New("Duplicate user found. A user can only be defined once in config files")
	ErrFirstArg    = errors.New("Allowing first-arg of a subcommand is not supported")
)

// RuleError says which rule was refused.
type RuleError struct {
	Rule string
	Why  error
}

func (e *RuleError) Error() string { return fmt.Sprintf("'%s': %v", e.Rule, e.Why) }
func (e *RuleError) Unwrap() error { return e.Why }

// UnmatchedError says that a parenthesis is not closed.
type UnmatchedError struct{ Rule string }

func (e *UnmatchedError) Error() string {
	return fmt.Sprintf("Unmatched parenthesis in acl selector starting at '%s'.", e.Rule)
}

// merge joins the words of each selector: "(", "~a", ")" are one rule.
func merge(words []string) ([]string, error) {
	var rules []string
	open := -1
	var b strings.Builder
	for i, w := range words {
		switch {
		case open < 0 && strings.HasPrefix(w, "(") && !strings.HasSuffix(w, ")"):
			open = i
			b.Reset()
			b.WriteString(w)
		case open < 0:
			rules = append(rules, w)
		default:
			b.WriteString(" " + w)
			if strings.HasSuffix(w, ")") {
				open = -1
				rules = append(rules, b.String())
			}
		}
	}
	if open >= 0 {
		return nil, &UnmatchedError{words[open]}
	}
	return rules, nil
}

// editor changes a User that nobody else has yet.
type editor struct {
	u *User
	c *Catalog
	// open is acl-pubsub-default: whether new selectors allow all channels.
	open bool
}

// newUser returns a user that may do nothing.
func newUser(name string, open bool) *User {
	return &User{Name: name, selectors: []*Selector{{allChannels: open}}}
}

// clone is a copy to be changed.
func (u *User) clone() *User {
	v := *u
	v.passwords = slices.Clone(u.passwords)
	v.selectors = make([]*Selector, len(u.selectors))
	for i, s := range u.selectors {
		v.selectors[i] = s.clone()
	}
	return &v
}

func (s *Selector) clone() *Selector {
	t := *s
	t.commands = slices.Clone(s.commands)
	t.keys = slices.Clone(s.keys)
	t.channels = slices.Clone(s.channels)
	t.rules = slices.Clone(s.rules)
	t.firstArgs = nil
	for id, args := range s.firstArgs {
		t.allowFirst(id, args...)
	}
	return &t
}

// finish derives what checks go by.
func (u *User) finish() *User {
	s := u.selectors[0]
	u.all = s.allCommands && s.allKeys && s.allChannels
	return u
}

// apply carries out rules in order; the first that is refused ends it.
func (e editor) apply(rules []string) error {
	for _, r := range rules {
		if err := e.one(r); err != nil {
			return &RuleError{r, err}
		}
	}
	return nil
}

func (e editor) one(rule string) error {
	u := e.u
	if rule == "" {
		return nil
	}
	switch lowered(rule) {
	case "on":
		u.Enabled = true
		return nil
	case "off":
		u.Enabled = false
		return nil
	case "skip-sanitize-payload":
		u.SkipSanitize = true
		return nil
	case "sanitize-payload":
		u.SkipSanitize = false
		return nil
	case "nopass":
		u.NoPass, u.passwords = true, nil
		return nil
	case "resetpass":
		u.NoPass, u.passwords = false, nil
		return nil
	case "clearselectors":
		u.selectors = u.selectors[:1]
		return nil
	case "reset":
		*u = *newUser(u.Name, e.open)
		return nil
	}
	switch rule[0] {
	case '>', '#':
		p, err := passwordOf(rule, '>')
		if err != nil {
			return err
		}
		u.NoPass = false
		if !slices.Contains(u.passwords, p) {
			u.passwords = append(u.passwords, p)
		}
		return nil
	case '<', '!':
		p, err := passwordOf(rule, '<')
		if err != nil {
			return err
		}
		i := slices.Index(u.passwords, p)
		if i < 0 {
			return ErrNoPassword
		}
		u.passwords = slices.Delete(u.passwords, i, i+1)
		return nil
	}
	if len(rule) > 1 && rule[0] == '(' && rule[len(rule)-1] == ')' {
		// Words are what stands between spaces, as in a line of rules. Redis takes quotes here, and then
		// writes lines that it reads otherwise. For the same reason no word may end like a selector.
		s := &Selector{allChannels: e.open}
		for _, w := range strings.Fields(rule[1 : len(rule)-1]) {
			if strings.HasSuffix(w, ")") {
				return ErrSyntax
			}
			if err := s.set(w, e.c); err != nil {
				return err
			}
		}
		u.selectors = append(u.selectors, s)
		return nil
	}
	return u.selectors[0].set(rule, e.c)
}

// passwordOf reads a rule that has a password in plain text behind clear, else a hash.
func passwordOf(rule string, clear byte) (p hash, err error) {
	word := rule[1:]
	if rule[0] == clear {
		return sha256.Sum256([]byte(word)), nil
	}
	if len(word) != 2*len(p) || word != lowered(word) {
		return p, ErrHash
	}
	if _, err := hex.Decode(p[:], []byte(word)); err != nil {
		return p, ErrHash
	}
	return p, nil
}

// set carries out one rule about commands, keys or channels.
func (s *Selector) set(rule string, c *Catalog) error {
	if rule == "" {
		return ErrSyntax
	}
	switch lowered(rule) {
	case "allkeys", "~*":
		s.allKeys, s.keys = true, nil
		return nil
	case "resetkeys":
		s.allKeys, s.keys = false, nil
		return nil
	case "allchannels", "&*":
		s.allChannels, s.channels = true, nil
		return nil
	case "resetchannels":
		s.allChannels, s.channels = false, nil
		return nil
	case "allcommands", "+@all":
		s.setAll(true, c)
		return nil
	case "nocommands", "-@all":
		s.setAll(false, c)
		return nil
	}
	switch rule[0] {
	case '~', '%':
		return s.addKeys(rule)
	case '&':
		return s.addChannels(rule[1:])
	case '+', '-':
		if strings.HasPrefix(rule[1:], "@") {
			return s.setCategory(lowered(rule[2:]), rule[0] == '+', c)
		}
		if rule[0] == '+' && strings.Contains(rule, "|") {
			return s.addSub(lowered(rule[1:]), c)
		}
		e := c.find(lowered(rule[1:]))
		if e == nil {
			return ErrUnknown
		}
		s.setCommand(e, rule[0] == '+')
		s.note(rule[:1], e.Name)
		return nil
	}
	return ErrSyntax
}

func (c *Catalog) find(name string) *entry {
	if c == nil {
		return nil
	}
	return c.byName[name]
}

func (s *Selector) setAll(on bool, c *Catalog) {
	s.allCommands, s.fromAll, s.rules, s.firstArgs, s.commands = on, on, nil, nil, nil
	if on && c != nil {
		s.commands = make([]uint64, c.words)
		for i := range s.commands {
			s.commands[i] = ^uint64(0)
		}
	}
}

// setCommand allows or forbids a command with its subcommands.
func (s *Selector) setCommand(e *entry, on bool) {
	s.setBit(e.ID, on)
	delete(s.firstArgs, e.ID)
	for _, sub := range e.subs {
		s.setBit(sub.ID, on)
	}
}

func (s *Selector) setBit(id int, on bool) {
	for id>>6 >= len(s.commands) {
		s.commands = append(s.commands, 0)
	}
	if on {
		s.commands[id>>6] |= 1 << (id & 63)
		return
	}
	s.commands[id>>6] &^= 1 << (id & 63)
	s.allCommands = false
}

func (s *Selector) setCategory(name string, on bool, c *Catalog) error {
	if c == nil || c.categories[name] == 0 {
		return ErrUnknown
	}
	sign := "-"
	if on {
		sign = "+"
	}
	s.note(sign, "@"+name)
	for _, e := range c.all {
		if e.Categories&c.categories[name] != 0 {
			s.setCommand(e, on)
		}
	}
	return nil
}

// addSub allows a subcommand, or a command with a certain first argument.
func (s *Selector) addSub(name string, c *Catalog) error {
	at := strings.LastIndexByte(name, '|')
	e := c.find(name[:at])
	switch {
	case e == nil:
		return ErrUnknown
	case e.sub:
		return ErrFirstArg
	case at == len(name)-1 || hasSpaces(name):
		return ErrSyntax
	case len(e.subs) > 0:
		if e = c.find(name); e == nil {
			return ErrUnknown
		}
		s.setCommand(e, true)
	default:
		s.allowFirst(e.ID, name[at+1:])
	}
	s.note("+", name)
	return nil
}

func (s *Selector) allowFirst(id int, args ...string) {
	if s.firstArgs == nil {
		s.firstArgs = map[int][]string{}
	}
	for _, a := range args {
		if !slices.Contains(s.firstArgs[id], a) {
			s.firstArgs[id] = append(s.firstArgs[id], a)
		}
	}
}

// note records a rule about commands, in place of those that it makes pointless: the same rule
// and its opposite, and what was said about subcommands.
func (s *Selector) note(sign, name string) {
	s.rules = slices.DeleteFunc(s.rules, func(old string) bool {
		return old[1:] == name || strings.HasPrefix(old[1:], name+"|")
	})
	s.rules = append(s.rules, sign+name)
}

func (s *Selector) addKeys(rule string) error {
	if s.allKeys {
		return ErrAllKeys
	}
	access, pattern := Read|Write, rule[1:]
	if rule[0] == '%' {
		access = 0
		letters, rest, found := strings.Cut(pattern, "~")
		pattern = rest
		for _, l := range letters {
			switch {
			case (l == 'R' || l == 'r') && access&Read == 0:
				access |= Read
			case (l == 'W' || l == 'w') && access&Write == 0:
				access |= Write
			default:
				return ErrSyntax
			}
		}
		if access == 0 || !found {
			return ErrSyntax
		}
	}
	if hasSpaces(pattern) {
		return ErrSyntax
	}
	for i := range s.keys {
		if s.keys[i].pattern == pattern {
			s.keys[i].access |= access
			return nil
		}
	}
	s.keys = append(s.keys, keyPattern{pattern, access})
	return nil
}

func (s *Selector) addChannels(pattern string) error {
	if s.allChannels {
		return ErrAllChannels
	}
	if hasSpaces(pattern) {
		return ErrSyntax
	}
	if !slices.Contains(s.channels, pattern) {
		s.channels = append(s.channels, pattern)
	}
	return nil
}

// lowered is s in lower case, other bytes than ASCII letters as they are.
func lowered(s string) string {
	b := []byte(s)
	for i := range b {
		b[i] = lower(b[i])
	}
	return string(b)
}

// hasSpaces reports whether s would not stay one word in a line of rules.
func hasSpaces(s string) bool { return strings.ContainsAny(s, " \t\n\v\f\r\x00") }

// ValidName reports whether a user may have this name.
func ValidName(name string) bool { return !hasSpaces(name) }

// Flags are the flags of u, in the order in which they are shown.
func (u *User) Flags() []string {
	flags := []string{"off"}
	if u.Enabled {
		flags[0] = "on"
	}
	if u.NoPass {
		flags = append(flags, "nopass")
	}
	if u.SkipSanitize {
		return append(flags, "skip-sanitize-payload")
	}
	return append(flags, "sanitize-payload")
}

// Passwords are the hashes of u's passwords in hexadecimal.
func (u *User) Passwords() []string {
	all := make([]string, len(u.passwords))
	for i, p := range u.passwords {
		all[i] = p.String()
	}
	return all
}

// Text is u as rules that make it again, in normal form.
func (u *User) Text() string {
	words := u.Flags()
	for _, p := range u.passwords {
		words = append(words, "#"+p.String())
	}
	for i, s := range u.selectors {
		if i == 0 {
			words = append(words, s.text())
		} else {
			words = append(words, "("+s.text()+")")
		}
	}
	return strings.Join(words, " ")
}

func (s *Selector) text() string {
	var words []string
	if keys := s.Keys(); keys != "" {
		words = append(words, keys)
	}
	if !s.allChannels {
		words = append(words, "resetchannels")
	}
	if channels := s.Channels(); channels != "" {
		words = append(words, channels)
	}
	return strings.Join(append(words, s.Commands()), " ")
}

// Commands are the rules about commands, Keys and Channels the patterns, as words of rules.
func (s *Selector) Commands() string {
	first := "-@all"
	if s.fromAll {
		first = "+@all"
	}
	return strings.Join(append([]string{first}, s.rules...), " ")
}

// Keys is described at Commands.
func (s *Selector) Keys() string {
	if s.allKeys {
		return "~*"
	}
	words := make([]string, len(s.keys))
	for i, p := range s.keys {
		words[i] = keyMarks[p.access] + p.pattern
	}
	return strings.Join(words, " ")
}

var keyMarks = [...]string{Read: "%R~", Write: "%W~", Read | Write: "~"}

// Channels is described at Commands.
func (s *Selector) Channels() string {
	if s.allChannels {
		return "&*"
	}
	words := make([]string, len(s.channels))
	for i, p := range s.channels {
		words[i] = "&" + p
	}
	return strings.Join(words, " ")
}
