package command_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
)

// entry is a plain correct entry, which the tests then break.
func entry(change ...func(*command.Command)) command.Command {
	c := command.Command{
		Name: "PUT", Since: "1.0.0", Group: command.String, Arity: -3, Flags: command.Write,
		Args: "key value [GET]", Reply: "OK", Keys: []command.KeySpec{command.At(1, command.RW|command.Update)},
		Doc: command.Doc{Summary: "Puts."}, Run: func(*command.Ctx) {},
	}
	for _, f := range change {
		f(&c)
	}
	return c
}

func TestNewRefusesContradictions(t *testing.T) {
	_, err := command.New(nil, []command.Command{entry()})
	require.NoError(t, err)
	type E = command.Command
	for _, c := range []struct {
		name   string
		change func(*E)
		says   string
	}{
		{"write and readonly", func(e *E) { e.Flags |= command.ReadOnly }, "write and readonly"},
		{"a readonly command that writes its key", func(e *E) { e.Flags = command.ReadOnly }, "writes, the command is readonly"},
		{"denyoom without write", func(e *E) {
			e.Flags = command.DenyOOM
			e.Keys = nil
			e.Args = "a b [GET]"
		}, "denyoom without write"},
		{"no handler", func(e *E) { e.Run = nil }, "neither a handler nor subcommands"},
		{"no arity", func(e *E) { e.Arity = 0 }, "arity missing"},
		{"arity below the grammar", func(e *E) { e.Arity = -2 }, "needs at least 3 words"},
		{"arity above the grammar", func(e *E) { e.Arity = -4 }, "needs at least 3 words"},
		{"exact arity, open grammar", func(e *E) { e.Arity = 3 }, "is exact"},
		{"no since", func(e *E) { e.Since = "" }, "since, group or summary missing"},
		{"no group", func(e *E) { e.Group = "" }, "since, group or summary missing"},
		{"no summary", func(e *E) { e.Doc.Summary = "" }, "since, group or summary missing"},
		{"no reply schema", func(e *E) { e.Reply = "" }, "reply schema missing"},
		{"bad reply schema", func(e *E) { e.Reply = "[bulk" }, "reply schema"},
		{"bad grammar", func(e *E) { e.Args = "key [x" }, "grammar"},
		{"lower-case name", func(e *E) { e.Name = "put" }, "upper case"},
		{"no name", func(e *E) { e.Name = "" }, "upper case"},
		{"key beyond arity", func(e *E) { e.Keys = []command.KeySpec{command.At(3, command.RW)} }, "arity is -3"},
		{"key at word 0", func(e *E) { e.Keys = []command.KeySpec{command.At(0, command.RW)} }, "before word 1"},
		{"two kinds of access", func(e *E) { e.Keys = []command.KeySpec{command.At(1, command.RW|command.OW)} }, "exactly one of"},
		{"no kind of access", func(e *E) { e.Keys = []command.KeySpec{command.At(1, command.Update)} }, "exactly one of"},
		{"step 0", func(e *E) { e.Keys = []command.KeySpec{{Access: command.RW, Index: 1}} }, "step below 1"},
		{"unknown keys, no rule", func(e *E) { e.Keys = []command.KeySpec{command.Unknown(command.RW, nil)} }, "no rule"},
	} {
		_, err := command.New(nil, []command.Command{entry(c.change)})
		if assert.Error(t, err, c.name) {
			assert.Contains(t, err.Error(), c.says, c.name)
		}
	}
}

func container(subs ...command.Command) command.Command {
	return entry(func(e *command.Command) {
		e.Name, e.Arity, e.Run, e.Keys, e.Args, e.Sub, e.Flags = "BOX", -2, nil, nil, "", subs, 0
	})
}

func sub(name string) command.Command {
	return entry(func(e *command.Command) {
		e.Name, e.Arity, e.Args, e.Keys = name, 3, "key", []command.KeySpec{command.At(2, command.RW)}
	})
}

func TestNewRefusesDoubles(t *testing.T) {
	_, err := command.New(nil, []command.Command{entry()}, []command.Command{entry()})
	assert.ErrorContains(t, err, "PUT: entered twice")
	_, err = command.New(nil, []command.Command{container(sub("A"), sub("A"))})
	assert.ErrorContains(t, err, "BOX|A: entered twice")
}

func TestRename(t *testing.T) {
	set := func() []command.Command {
		return []command.Command{entry(), entry(func(e *command.Command) { e.Name = "OTHER" })}
	}
	tab, err := command.New(command.Renames{"put": "lay", "OTHER": ""}, set())
	require.NoError(t, err)
	assert.Nil(t, tab.Get("put"))
	assert.Nil(t, tab.Get("other"))
	assert.Equal(t, "PUT", tab.Get("lay").Name)
	_, err = command.New(command.Renames{"NOSUCH": "x"}, set())
	assert.EqualError(t, err, "No such command in rename-command")
	_, err = command.New(command.Renames{"PUT": "OTHER"}, set())
	assert.EqualError(t, err, "Target command name already exists")
}

func words(line string) (argv [][]byte) {
	for _, w := range strings.Fields(line) {
		argv = append(argv, []byte(w))
	}
	return argv
}

func TestFind(t *testing.T) {
	tab, err := command.New(nil, []command.Command{entry(), container(sub("A"))})
	require.NoError(t, err)
	for line, want := range map[string]string{
		"put k v":                "PUT",
		"PuT k v GET":            "PUT",
		"box a k":                "BOX|A",
		"BOX A k":                "BOX|A",
		"put k":                  "-" + string(resp.ErrWrongArgs("put")),
		"box a":                  "-" + string(resp.ErrWrongArgs("box|a")),
		"box":                    "-" + string(resp.ErrWrongArgs("box")),
		"box b k":                "-" + string(resp.ErrUnknownSubcommand("box", []byte("b"))),
		"nosuch x":               "-" + string(resp.ErrUnknownCommand(words("nosuch x"))),
		"put|a x":                "-" + string(resp.ErrUnknownCommand(words("put|a x"))),
		strings.Repeat("x", 100): "-" + string(resp.ErrUnknownCommand(words(strings.Repeat("x", 100)))),
	} {
		c, refusal := tab.Find(words(line))
		got := "-" + string(refusal)
		if refusal == "" {
			got = c.FullName()
		}
		assert.Equal(t, want, got, line)
	}
}

func TestFindDoesNotAllocate(t *testing.T) {
	tab := table(t)
	for _, line := range []string{"set k v", "object encoding k"} {
		argv := words(line)
		assert.Zero(t, testing.AllocsPerRun(100, func() { tab.Find(argv) }), line)
	}
}

// What a Finder remembers of the call before must not show.
func TestFinderAnswersAsTheTable(t *testing.T) {
	tab := table(t)
	f := command.NewFinder(tab)
	r := rand.New(rand.NewPCG(3, 4))
	words := []string{"GET", "get", "GeT", "GETX", "CONFIG", "config", "set", "NOSUCH", ""}
	for range 2000 {
		argv := [][]byte{[]byte(words[r.IntN(len(words))])}
		for range r.IntN(4) {
			argv = append(argv, []byte([]string{"GET", "set", "a"}[r.IntN(3)]))
		}
		want, wantErr := tab.Find(argv)
		got, err := f.Find(argv)
		require.Equal(t, wantErr, err, "%q", argv)
		require.Same(t, want, got, "%q", argv)
	}
}

func TestIDsAreDense(t *testing.T) {
	tab := table(t)
	for i, c := range tab.All() {
		assert.Equal(t, i, c.ID())
	}
	assert.Equal(t, len(tab.All()), tab.Len())
}
