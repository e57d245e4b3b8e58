package admin

import (
	"slices"
	"strings"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/glob"
)

func (f *family) commandEntry() command.Command {
	const flags = always | command.InSentinel
	entry := func(name, since string, arity int, args, reply string, tips []string, run func(*command.Ctx), d command.Doc) command.Command {
		return command.Command{
			Name: name, Since: since, Arity: arity, Flags: flags, ACL: command.CatConnection,
			Args: args, Reply: reply, Tips: tips, Run: run, Doc: d,
		}
	}
	const info = "[[bulk, int, <simple>, int, int, int, <simple>, <bulk>, <any>, <any> | [any...]] | nil...]"
	e := command.Command{
		Name: "COMMAND", Since: "2.8.13", Arity: -1, Flags: flags, ACL: command.CatConnection, Tips: varyingOrder, Reply: info, Run: f.command,
		Doc: doc("Describes every command.", "O(n) for n commands"),
		Sub: []command.Command{
			entry("COUNT", "2.8.13", 2, "", "int", nil, f.commandCount, doc("Returns the number of commands.", "O(1)")),
			entry("DOCS", "7.0.0", -2, "[command-name...]", "{bulk: {bulk: any}}", varyingOrder, f.commandDocs,
				doc("Returns the documentation of commands.", "O(n) for n commands")),
			entry("GETKEYS", "2.8.13", -3, "command [arg...]", "[bulk...]", nil, f.commandGetKeys(false),
				doc("Returns the keys among the words of a command.", "O(n) for n words")),
			entry("GETKEYSANDFLAGS", "7.0.0", -3, "command [arg...]", "[[bulk, <simple>]...]", nil, f.commandGetKeys(true),
				doc("Returns the keys among the words of a command, and how they are used.", "O(n) for n words")),
			help("5.0.0", command.InSentinel,
				"(no subcommand)",
				"    Describe every command.",
				"COUNT",
				"    Return the number of commands.",
				"LIST [FILTERBY (MODULE <name>|ACLCAT <category>|PATTERN <pattern>)]",
				"    Return the names of commands.",
				"INFO [<command-name> ...]",
				"    Describe some commands, or all.",
				"DOCS [<command-name> ...]",
				"    Return the documentation of some commands, or of all.",
				"GETKEYS <full-command>",
				"    Return the keys among the words of a command.",
				"GETKEYSANDFLAGS <full-command>",
				"    Return the keys and how they are used."),
			entry("INFO", "2.8.13", -2, "[command-name...]", info, varyingOrder, f.commandInfo,
				command.Doc{Summary: "Describes commands.", Complexity: "O(n) for n commands",
					History: []string{"7.0.0: Allowed to be called with no argument to get info on all commands."}}),
			entry("LIST", "7.0.0", -2, "[FILTERBY (filterby=MODULE module-name|ACLCAT category|PATTERN pattern:pattern)]", "[bulk...]", varyingOrder, f.commandList,
				doc("Returns the names of commands.", "O(n) for n commands")),
		},
	}
	for i := range e.Sub {
		e.Sub[i].ACL = command.CatConnection
	}
	return e
}

// command answers the bare COMMAND. The container has a handler of its own, so words that
// are no subcommand end up here too.
func (f *family) command(c *command.Ctx) {
	if len(c.Argv) > 1 {
		c.Fail(resp.ErrUnknownSubcommand("command", c.Argv[1]))
		return
	}
	f.describeAll(c.Out)
}

func (f *family) describeAll(w *resp.Writer) {
	all := f.Table().Commands()
	w.Array(len(all))
	for _, cmd := range all {
		describe(w, cmd)
	}
}

func (f *family) commandCount(c *command.Ctx) { c.Out.Int(int64(len(f.Table().Commands()))) }

func (f *family) commandInfo(c *command.Ctx) {
	if len(c.Argv) == 2 {
		f.describeAll(c.Out)
		return
	}
	c.Out.Array(len(c.Argv) - 2)
	for _, name := range c.Argv[2:] {
		if cmd := f.Table().Get(string(name)); cmd != nil {
			describe(c.Out, cmd)
		} else {
			c.Out.Null()
		}
	}
}

// describe writes one element of COMMAND's reply.
func describe(w *resp.Writer, cmd *command.Command) {
	first, last, step := cmd.LegacyRange()
	w.Array(10)
	w.BulkString(cmd.LowerName())
	w.Int(int64(cmd.Arity))
	statuses(w, shownFlags(cmd), "")
	w.Int(int64(first))
	w.Int(int64(last))
	w.Int(int64(step))
	statuses(w, cmd.Categories().Names(), "@")
	w.Set(len(cmd.Tips))
	for _, tip := range cmd.Tips {
		w.BulkString(tip)
	}
	w.Set(len(cmd.Keys))
	for i := range cmd.Keys {
		describeKeys(w, &cmd.Keys[i])
	}
	if len(cmd.Sub) == 0 {
		w.Set(0)
		return
	}
	w.Array(len(cmd.Sub))
	for i := range cmd.Sub {
		describe(w, &cmd.Sub[i])
	}
}

// shownFlags are the flags that COMMAND tells; Redis keeps the others to itself.
func shownFlags(cmd *command.Command) []string {
	return slices.DeleteFunc(cmd.FlagNames(), func(name string) bool {
		return name == "may_replicate" || name == "protected" || name == "touches_arbitrary_keys"
	})
}

// statuses writes a set of status replies.
func statuses(w *resp.Writer, names []string, prefix string) {
	w.Set(len(names))
	for _, n := range names {
		w.Simple(prefix + n)
	}
}

func describeKeys(w *resp.Writer, k *command.KeySpec) {
	w.Map(3)
	w.BulkString("flags")
	statuses(w, k.Access.Names(), "")
	part := func(name, kind string, fields ...any) {
		w.BulkString(name)
		w.Map(2)
		w.BulkString("type")
		w.BulkString(kind)
		w.BulkString("spec")
		w.Map(len(fields) / 2)
		for i := 0; i < len(fields); i += 2 {
			w.BulkString(fields[i].(string))
			switch v := fields[i+1].(type) {
			case int:
				w.Int(int64(v))
			case string:
				w.BulkString(v)
			}
		}
	}
	switch k.Begin {
	case command.BeginIndex:
		part("begin_search", "index", "index", k.Index)
	case command.BeginKeyword:
		part("begin_search", "keyword", "keyword", k.Keyword, "startfrom", k.From)
	case command.BeginUnknown:
		part("begin_search", "unknown")
	}
	switch k.Find {
	case command.FindRange:
		part("find_keys", "range", "lastkey", k.Last, "keystep", k.Step, "limit", k.Limit)
	case command.FindKeyNum:
		part("find_keys", "keynum", "keynumidx", k.NumIdx, "firstkey", k.First, "keystep", k.Step)
	case command.FindUnknown:
		part("find_keys", "unknown")
	}
}

func (f *family) commandDocs(c *command.Ctx) {
	if len(c.Argv) == 2 {
		all := f.Table().Commands()
		c.Out.Map(len(all))
		for _, cmd := range all {
			document(c.Out, cmd)
		}
		return
	}
	m, n := c.Out.Defer(), 0
	for _, name := range c.Argv[2:] {
		if cmd := f.Table().Get(string(name)); cmd != nil {
			document(c.Out, cmd)
			n++
		}
	}
	c.Out.EndMap(m, n)
}

// document writes a command's name and its documentation.
func document(w *resp.Writer, cmd *command.Command) {
	w.BulkString(cmd.LowerName())
	m, n := w.Defer(), 0
	field := func(name, text string) {
		if text != "" {
			w.BulkString(name)
			w.BulkString(text)
			n++
		}
	}
	d := &cmd.Doc
	field("summary", d.Summary)
	field("since", cmd.Since)
	field("group", strings.ReplaceAll(string(cmd.Group), "_", "-"))
	field("complexity", d.Complexity)
	if flags := docFlags(d); len(flags) > 0 {
		w.BulkString("doc_flags")
		statuses(w, flags, "")
		n++
	}
	field("deprecated_since", d.Deprecated)
	field("replaced_by", d.ReplacedBy)
	if len(d.History) > 0 {
		w.BulkString("history")
		w.Set(len(d.History))
		for _, h := range d.History {
			version, change, _ := strings.Cut(h, ": ")
			w.Array(2)
			w.BulkString(version)
			w.BulkString(change)
		}
		n++
	}
	if args := cmd.Grammar(); len(args) > 0 {
		w.BulkString("arguments")
		keys := keyCounter{last: len(cmd.Keys) - 1}
		documentArgs(w, args, &keys)
		n++
	}
	if len(cmd.Sub) > 0 {
		w.BulkString("subcommands")
		w.Map(len(cmd.Sub))
		for i := range cmd.Sub {
			document(w, &cmd.Sub[i])
		}
		n++
	}
	w.EndMap(m, n)
}

func docFlags(d *command.Doc) (flags []string) {
	if d.Deprecated != "" {
		flags = append(flags, "deprecated")
	}
	if d.SysCmd {
		flags = append(flags, "syscmd")
	}
	return flags
}

// keyCounter tells key arguments which key specification they belong to: the first to the
// first, and so on; when there are more arguments than specifications, the rest to the last.
type keyCounter struct{ next, last int }

func (k *keyCounter) take() int {
	i := min(k.next, k.last)
	k.next++
	return i
}

func documentArgs(w *resp.Writer, args []command.Arg, keys *keyCounter) {
	w.Array(len(args))
	for i := range args {
		a := &args[i]
		m, n := w.Defer(), 0
		field := func(name, text string) {
			w.BulkString(name)
			w.BulkString(text)
			n++
		}
		field("name", a.Name)
		field("type", string(a.Type))
		nested := a.Type == command.OneOf || a.Type == command.Block
		if !nested {
			field("display_text", a.Name)
		}
		if a.Type == command.KeyArg && keys.last >= 0 {
			w.BulkString("key_spec_index")
			w.Int(int64(keys.take()))
			n++
		}
		if a.Token != "" {
			field("token", a.Token)
		}
		if a.Since != "" {
			field("since", a.Since)
		}
		if a.Deprecated != "" {
			field("deprecated_since", a.Deprecated)
		}
		if flags := argFlags(a); len(flags) > 0 {
			w.BulkString("flags")
			statuses(w, flags, "")
			n++
		}
		if nested {
			w.BulkString("arguments")
			documentArgs(w, a.Args, keys)
			n++
		}
		w.EndMap(m, n)
	}
}

func argFlags(a *command.Arg) (flags []string) {
	if a.Optional {
		flags = append(flags, "optional")
	}
	if a.Multiple {
		flags = append(flags, "multiple")
	}
	if a.MultipleToken {
		flags = append(flags, "multiple_token")
	}
	return flags
}

func (f *family) commandList(c *command.Ctx) {
	keep := func(*command.Command) bool { return true }
	if args := c.Argv[2:]; len(args) > 0 {
		if len(args) != 3 || !command.Is(args[0], "FILTERBY") {
			c.Fail(resp.ErrSyntax)
			return
		}
		what := string(args[2])
		switch {
		case command.Is(args[1], "MODULE"):
			keep = func(*command.Command) bool { return false } // there are none
		case command.Is(args[1], "ACLCAT"):
			category := categoryNamed(what)
			keep = func(cmd *command.Command) bool { return cmd.Categories()&category != 0 }
		case command.Is(args[1], "PATTERN"):
			keep = func(cmd *command.Command) bool { return glob.MatchFold(what, cmd.LowerName()) }
		default:
			c.Fail(resp.ErrSyntax)
			return
		}
	}
	m, n := c.Out.Defer(), 0
	for _, cmd := range f.Table().All() {
		if keep(cmd) {
			c.Out.BulkString(cmd.LowerName())
			n++
		}
	}
	c.Out.EndArray(m, n)
}

// categoryNamed is 0 for a name that is none.
func categoryNamed(name string) command.Categories {
	for i, n := range command.CategoryNames {
		if strings.EqualFold(n, name) {
			return 1 << i
		}
	}
	return 0
}

func (f *family) commandGetKeys(withFlags bool) func(*command.Ctx) {
	return func(c *command.Ctx) {
		argv := c.Argv[2:]
		cmd, err := f.Table().Find(argv)
		switch {
		case cmd == nil:
			c.Fail(resp.ErrInvalidCommandSpec)
			return
		case !namesKeys(cmd):
			c.Fail(resp.ErrNoKeyArguments)
			return
		case err != "":
			c.Fail(resp.ErrInvalidNumArgs)
			return
		}
		refs, ok := cmd.KeysOf(argv, nil, false)
		switch optional := cmd.Flags&command.NoMandatoryKeys != 0; {
		case !optional && (!ok || len(refs) == 0):
			c.Fail(resp.ErrInvalidArgsForCmd)
			return
		case !ok:
			refs = refs[:0] // the command itself will refuse its count of keys
		}
		c.Out.Array(len(refs))
		for _, r := range refs {
			if withFlags {
				c.Out.Array(2)
			}
			c.Out.Bulk(argv[r.Index])
			if withFlags {
				statuses(c.Out, r.Access.Names(), "")
			}
		}
	}
}

// namesKeys reports whether calls of cmd can name keys: words that are only routed like keys do not
// count.
func namesKeys(cmd *command.Command) bool {
	return slices.ContainsFunc(cmd.Keys, func(k command.KeySpec) bool { return k.Access&command.NotKey == 0 })
}
