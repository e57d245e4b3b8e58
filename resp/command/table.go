package command

import (
	"fmt"
	"sort"
	"strings"

	"github.com/sextantdb/sextant/resp"
)

// Table is the set of commands a node knows. It is immutable.
type Table struct {
	byName   map[string]*Command // upper-case name, top level; renamed commands under their new name
	commands []*Command          // top level, by name
	all      []*Command          // with subcommands; index is Command.ID
}

// Renames maps upper-case command names to new ones; an empty new name removes the command
// (directive rename-command).
type Renames map[string]string

// New builds the table of the given families. It refuses entries that contradict
// themselves or each other, naming the entry and the contradiction.
func New(renames Renames, families ...[]Command) (*Table, error) {
	t := &Table{byName: map[string]*Command{}}
	for _, family := range families {
		for i := range family {
			c := &family[i]
			if err := t.adopt(c, nil); err != nil {
				return nil, err
			}
			if t.byName[c.Name] != nil {
				return nil, fmt.Errorf("command %s: entered twice", c.Name)
			}
			t.byName[c.Name] = c
			t.commands = append(t.commands, c)
		}
	}
	for from, to := range renames {
		from, to = strings.ToUpper(from), strings.ToUpper(to)
		c := t.byName[from]
		if c == nil {
			return nil, fmt.Errorf("No such command in rename-command")
		}
		delete(t.byName, from)
		if to == "" {
			continue
		}
		if t.byName[to] != nil {
			return nil, fmt.Errorf("Target command name already exists")
		}
		t.byName[to] = c
	}
	sort.Slice(t.commands, func(i, j int) bool { return t.commands[i].Name < t.commands[j].Name })
	for _, c := range t.commands {
		t.number(c)
		sort.Slice(c.Sub, func(i, j int) bool { return c.Sub[i].Name < c.Sub[j].Name })
		c.subs = map[string]*Command{}
		for i := range c.Sub {
			s := &c.Sub[i]
			c.subs[s.Name] = s
			t.number(s)
		}
	}
	return t, nil
}

func (t *Table) number(c *Command) {
	c.id = len(t.all)
	t.all = append(t.all, c)
}

func (t *Table) adopt(c, parent *Command) error {
	c.parent = parent
	c.full = c.Name
	if parent != nil {
		c.full = parent.Name + "|" + c.Name
	}
	c.lower = strings.ToLower(c.full)
	if c.Name == "" || c.Name != strings.ToUpper(c.Name) {
		return fmt.Errorf("command %q: the name must be upper case", c.Name)
	}
	var err error
	if c.grammar, err = parseGrammar(c.Args); err != nil {
		return fmt.Errorf("command %s: %w", c.full, err)
	}
	if c.Reply != "" {
		if c.schema, err = parseSchema(c.Reply); err != nil {
			return fmt.Errorf("command %s: %w", c.full, err)
		}
	}
	c.deriveCategories()
	c.deriveSoleKey()
	if err := c.check(); err != nil {
		return err
	}
	seen := map[string]bool{}
	for i := range c.Sub {
		s := &c.Sub[i]
		if seen[s.Name] {
			return fmt.Errorf("command %s|%s: entered twice", c.Name, s.Name)
		}
		seen[s.Name] = true
		if err := t.adopt(s, c); err != nil {
			return err
		}
	}
	return nil
}

// Commands are the top-level entries by name.
func (t *Table) Commands() []*Command { return t.commands }

// All are all entries, subcommands behind their container; the index is Command.ID.
func (t *Table) All() []*Command { return t.all }

// Len is the number of entries with subcommands.
func (t *Table) Len() int { return len(t.all) }

// Get returns the entry called name: "get", "config|get" in any case, or nil.
func (t *Table) Get(name string) *Command {
	head, sub, two := strings.Cut(strings.ToUpper(name), "|")
	c := t.byName[head]
	if c != nil && two {
		return c.subs[sub]
	}
	return c
}

// longestName bounds the names worth looking up; longer ones are unknown.
const longestName = 64

// Find returns the entry that the call argv runs, or the error a client gets when there is
// none. It checks the arity too. It does not allocate when it succeeds.
func (t *Table) Find(argv [][]byte) (*Command, resp.Error) {
	var buf [longestName]byte
	c := t.byName[string(upper(argv[0], &buf))]
	if c == nil {
		return nil, resp.ErrUnknownCommand(argv)
	}
	if len(c.Sub) > 0 {
		if len(argv) > 1 {
			s := c.subs[string(upper(argv[1], &buf))]
			if s == nil && c.Run == nil {
				return nil, resp.ErrUnknownSubcommand(c.lower, argv[1])
			}
			if s != nil {
				c = s
			}
		}
	}
	if c.Run == nil || !c.ArityOK(len(argv)) {
		return c, resp.ErrWrongArgs(c.lower)
	}
	return c, ""
}

// Finder finds in a Table, and remembers the word of the call before: clients send the same command many times in a row. It
// belongs to one goroutine.
type Finder struct {
	t    *Table
	last *Command // without subcommands
	word [longestName]byte
	n    int // bytes of word, as they came
}

// NewFinder returns a Finder in t.
func NewFinder(t *Table) Finder { return Finder{t: t} }

// Find is Table.Find.
func (f *Finder) Find(argv [][]byte) (*Command, resp.Error) {
	if f.last != nil && string(argv[0]) == string(f.word[:f.n]) && f.last.ArityOK(len(argv)) {
		return f.last, ""
	}
	c, err := f.t.Find(argv)
	if err == "" && c.parent == nil && len(c.Sub) == 0 {
		f.last, f.n = c, copy(f.word[:], argv[0])
	}
	return c, err
}

// upper folds name into buf; names too long to be in any table fold to nothing.
func upper(name []byte, buf *[longestName]byte) []byte {
	if len(name) > len(buf) {
		return nil
	}
	for i, b := range name {
		if 'a' <= b && b <= 'z' {
			b -= 'a' - 'A'
		}
		buf[i] = b
	}
	return buf[:len(name)]
}
