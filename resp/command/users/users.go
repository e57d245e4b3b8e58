// Package users is the family of ACL: users and their rules, what a user may do, and what was
// refused. Node puts its Commands into the table. The rules are resp/acl's, the check of a call is
// command.Permission; here is what the commands say about them. It must not know connections or
// files: what it needs of them are the functions of Deps.
package users

import (
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/acl"
	"github.com/sextantdb/sextant/resp/command"
)

// Deps is what the family needs. All fields are required.
type Deps struct {
	// Table is the table of commands, which is made after the family.
	Table func() *command.Table
	Users *acl.List
	Log   *acl.Log
	// Enforce ends connections that a change leaves without what they need.
	Enforce func(c *command.Ctx, change acl.Change)
	// Load reads the ACL file in place of all users, Save writes it. Their errors are for the client.
	Load func() ([]acl.Change, resp.Error)
	Save func() resp.Error
	// Rand fills b with bytes that nobody can guess.
	Rand func(b []byte)
}

type family struct{ Deps }

// Commands are the entries of the family.
func Commands(d Deps) []command.Command {
	f := &family{d}
	const (
		everyone = command.NoScript | command.Loading | command.Stale | command.InSentinel
		operator = everyone | command.Admin
	)
	everywhere := []string{"request_policy:all_nodes", "response_policy:all_succeeded"}
	c := command.Command{
		Name: "ACL", Since: "6.0.0", Arity: -2, Flags: command.InSentinel,
		Doc: command.Doc{Summary: "A container for commands about users and what they may do.", Complexity: "Depends on subcommand."},
		Sub: []command.Command{
			{
				Name: "CAT", Since: "6.0.0", Arity: -2, Flags: everyone, Args: "[category]", Reply: "[bulk...]", Run: f.cat,
				Doc: command.Doc{Summary: "Lists the categories, or the commands of one.", Complexity: "O(n) for n categories or commands"},
			},
			{
				Name: "DELUSER", Since: "6.0.0", Arity: -3, Flags: operator, Args: "username...", Reply: "int", Tips: everywhere, Run: f.delUser,
				Doc: command.Doc{Summary: "Deletes users and ends their connections.", Complexity: "O(n) for n connections, for each user"},
			},
			{
				Name: "DRYRUN", Since: "7.0.0", Arity: -4, Flags: operator, Args: "username command [arg...]", Reply: "OK | bulk", Run: f.dryRun,
				Doc: command.Doc{Summary: "Tells whether a user may make a call, without making it.", Complexity: "O(1)"},
			},
			{
				Name: "GENPASS", Since: "6.0.0", Arity: -2, Flags: everyone, Args: "[bits:int]", Reply: "bulk", Run: f.genPass,
				Doc: command.Doc{Summary: "Makes a password that nobody can guess.", Complexity: "O(1)"},
			},
			{
				Name: "GETUSER", Since: "6.0.0", Arity: 3, Flags: operator, Args: "username", Reply: "{bulk: any} | nil", Run: f.getUser,
				Doc: command.Doc{Summary: "Tells the rules of a user.", Complexity: "O(n) for n passwords and rules",
					History: []string{"6.2.0: Added Pub/Sub channel patterns.", "7.0.0: Added selectors and changed the format of key and channel patterns from a list to their rule representation."}},
			},
			{
				Name: "HELP", Since: "6.0.0", Arity: 2, Flags: command.Loading | command.Stale | command.InSentinel, Reply: "[simple...]", Run: help,
				Doc: command.Doc{Summary: "Lists the subcommands.", Complexity: "O(1)"},
			},
			{
				Name: "LIST", Since: "6.0.0", Arity: 2, Flags: operator, Reply: "[bulk...]", Run: f.list,
				Doc: command.Doc{Summary: "Lists all users with their rules, as lines of an ACL file.", Complexity: "O(n) for n users"},
			},
			{
				Name: "LOAD", Since: "6.0.0", Arity: 2, Flags: operator, Reply: "OK", Run: f.load,
				Doc: command.Doc{Summary: "Reads all users from the ACL file.", Complexity: "O(n) for n users"},
			},
			{
				Name: "LOG", Since: "6.0.0", Arity: -2, Flags: operator, Args: "[operation=count:int|RESET]", Run: f.log,
				Reply: "[{'count': int, 'reason': bulk, 'context': bulk, 'object': bulk, 'username': bulk, 'age-seconds': double, 'client-info': bulk, " +
					"'entry-id': int, 'timestamp-created': int, 'timestamp-last-updated': int}...] | OK",
				Doc: command.Doc{Summary: "Lists the calls and passwords that were refused lately.", Complexity: "O(n) for n entries",
					History: []string{"7.2.0: Added entry ID, timestamp created, and timestamp last updated."}},
			},
			{
				Name: "SAVE", Since: "6.0.0", Arity: 2, Flags: operator, Reply: "OK", Tips: everywhere, Run: f.save,
				Doc: command.Doc{Summary: "Writes all users into the ACL file.", Complexity: "O(n) for n users"},
			},
			{
				Name: "SETUSER", Since: "6.0.0", Arity: -3, Flags: operator, Args: "username [rule...]", Reply: "OK", Tips: everywhere, Run: f.setUser,
				Doc: command.Doc{Summary: "Makes a user, or changes what it may do.", Complexity: "O(n) for n rules",
					History: []string{"6.2.0: Added Pub/Sub channel patterns.", "7.0.0: Added selectors and key based permissions."}},
			},
			{
				Name: "USERS", Since: "6.0.0", Arity: 2, Flags: operator, Reply: "[bulk...]", Run: f.users,
				Doc: command.Doc{Summary: "Lists the names of all users.", Complexity: "O(n) for n users"},
			},
			{
				Name: "WHOAMI", Since: "6.0.0", Arity: 2, Flags: everyone, Reply: "bulk | nil", Run: whoAmI,
				Doc: command.Doc{Summary: "Returns the name of the connection's user.", Complexity: "O(1)"},
			},
		},
	}
	c.Group = command.Server
	for i := range c.Sub {
		c.Sub[i].Group = command.Server
	}
	return []command.Command{c}
}

func (f *family) cat(c *command.Ctx) {
	if len(c.Argv) > 3 {
		c.Fail(resp.ErrUnknownSubcommandOrArgs("acl", c.Argv[1]))
		return
	}
	if len(c.Argv) == 2 {
		c.Out.Array(len(command.CategoryNames))
		for _, name := range command.CategoryNames {
			c.Out.BulkString(name)
		}
		return
	}
	category := command.CategoryByName(c.Argv[2])
	if category == 0 {
		c.Fail(resp.ErrUnknownCategory(c.Argv[2]))
		return
	}
	m := c.Out.Defer()
	n := 0
	for _, cmd := range f.Table().All() {
		if cmd.Categories()&category != 0 {
			c.Out.BulkString(cmd.LowerName())
			n++
		}
	}
	c.Out.EndArray(m, n)
}

func (f *family) setUser(c *command.Ctx) {
	words := c.Redact(2, len(c.Argv))
	name := string(words[0])
	if !acl.ValidName(name) {
		c.Fail(resp.ErrUserName)
		return
	}
	rules := make([]string, len(words)-1)
	for i := range rules {
		rules[i] = string(words[1+i])
	}
	change, err := f.Users.SetUser(name, rules)
	switch e := err.(type) {
	case nil:
		f.Enforce(c, change)
		c.Out.OK()
	case *acl.RuleError:
		c.Fail(resp.Errorf("ERR Error in ACL SETUSER modifier '%s': %v", e.Rule, e.Why))
	default:
		c.Fail(resp.Errorf("ERR %v", err))
	}
}

func (f *family) delUser(c *command.Ctx) {
	names := c.Redact(2, len(c.Argv))
	for _, name := range names {
		if string(name) == acl.DefaultName {
			c.Fail(resp.ErrDefaultUser)
			return
		}
	}
	deleted := int64(0)
	for _, name := range names {
		if change, ok := f.Users.Delete(string(name)); ok {
			f.Enforce(c, change)
			deleted++
		}
	}
	c.Out.Int(deleted)
}

func (f *family) getUser(c *command.Ctx) {
	a := f.Users.Get(string(c.Redact(2, len(c.Argv))[0]))
	var u *acl.User
	if a != nil {
		u = a.User()
	}
	if u == nil {
		c.Out.Null()
		return
	}
	w := c.Out
	w.Map(6)
	w.BulkString("flags")
	flags := u.Flags()
	w.Set(len(flags))
	for _, flag := range flags {
		w.BulkString(flag)
	}
	w.BulkString("passwords")
	passwords := u.Passwords()
	w.Array(len(passwords))
	for _, p := range passwords {
		w.BulkString(p)
	}
	selectors := u.Selectors()
	describe(w, selectors[0])
	w.BulkString("selectors")
	w.Array(len(selectors) - 1)
	for _, s := range selectors[1:] {
		w.Map(3)
		describe(w, s)
	}
}

func describe(w *resp.Writer, s *acl.Selector) {
	for _, field := range [...][2]string{{"commands", s.Commands()}, {"keys", s.Keys()}, {"channels", s.Channels()}} {
		w.BulkString(field[0])
		w.BulkString(field[1])
	}
}

func (f *family) list(c *command.Ctx) {
	lines := f.Users.Lines()
	c.Out.Array(len(lines))
	for _, line := range lines {
		c.Out.BulkString(line)
	}
}

func (f *family) users(c *command.Ctx) {
	all := f.Users.Users()
	c.Out.Array(len(all))
	for _, u := range all {
		c.Out.BulkString(u.Name)
	}
}

func whoAmI(c *command.Ctx) {
	if a := c.Sess.Account(); a != nil {
		c.Out.BulkString(a.Name)
	} else {
		c.Out.Null()
	}
}

func (f *family) load(c *command.Ctx) {
	changes, err := f.Load()
	if err != "" {
		c.Fail(err)
		return
	}
	for _, change := range changes {
		f.Enforce(c, change)
	}
	c.Out.OK()
}

func (f *family) save(c *command.Ctx) {
	if err := f.Save(); err != "" {
		c.Fail(err)
		return
	}
	c.Out.OK()
}

const (
	passwordBits    = 256
	maxPasswordBits = 4096
)

func (f *family) genPass(c *command.Ctx) {
	bits := int64(passwordBits)
	if len(c.Argv) > 3 {
		c.Fail(resp.ErrUnknownSubcommandOrArgs("acl", c.Argv[1]))
		return
	}
	if len(c.Argv) == 3 {
		var ok bool
		if bits, ok = c.Int(2); !ok {
			return
		}
		if bits <= 0 || bits > maxPasswordBits {
			c.Fail(resp.ErrPasswordBits)
			return
		}
	}
	digits := (bits + 3) / 4
	raw := make([]byte, (digits+1)/2)
	f.Rand(raw)
	c.Out.BulkString(hex.EncodeToString(raw)[:digits])
}

// logged is how many entries ACL LOG shows when it is not told.
const logged = 10

func (f *family) log(c *command.Ctx) {
	count := int64(logged)
	if len(c.Argv) > 3 {
		c.Fail(resp.ErrUnknownSubcommandOrArgs("acl", c.Argv[1]))
		return
	}
	if len(c.Argv) == 3 {
		if command.Is(c.Argv[2], "RESET") {
			f.Log.Reset()
			c.Out.OK()
			return
		}
		var ok bool
		if count, ok = c.Int(2); !ok {
			return
		}
	}
	entries := f.Log.Entries(int(count))
	w := c.Out
	w.Array(len(entries))
	text := func(name, value string) {
		w.BulkString(name)
		w.BulkString(value)
	}
	number := func(name string, value int64) {
		w.BulkString(name)
		w.Int(value)
	}
	for i := range entries {
		e := &entries[i]
		w.Map(10)
		number("count", e.Count)
		text("reason", e.Reason.String())
		text("context", e.Context.String())
		text("object", e.Object)
		text("username", e.User)
		w.BulkString("age-seconds")
		w.DoubleText(strconv.AppendFloat(nil, float64(c.Txn.Now()-e.UpdatedMs)/1000, 'g', 17, 64))
		text("client-info", e.Client)
		number("entry-id", e.ID)
		number("timestamp-created", e.CreatedMs)
		number("timestamp-last-updated", e.UpdatedMs)
	}
}

func (f *family) dryRun(c *command.Ctx) {
	a := f.Users.Get(string(c.Argv[2]))
	if a == nil || a.User() == nil {
		c.Fail(resp.Errorf("ERR User '%s' not found", c.Argv[2]))
		return
	}
	u, argv := a.User(), c.Argv[3:]
	cmd, refusal := f.Table().Find(argv)
	switch {
	case cmd == nil:
		c.Fail(resp.Errorf("ERR Command '%s' not found", argv[0]))
		return
	case refusal != "":
		c.Fail(refusal)
		return
	}
	var refs []command.KeyRef
	why, word := cmd.Permission(u, argv, &refs)
	var err resp.Error
	switch why {
	case acl.Allowed:
		c.Out.OK()
		return
	case acl.DeniedKey:
		err = resp.ErrNoPermKeyNamed(u.Name, string(argv[word]))
	case acl.DeniedChannel:
		err = resp.ErrNoPermChannelNamed(u.Name, string(argv[word]))
	default:
		err = resp.ErrNoPermCommand(u.Name, cmd.LowerName())
	}
	c.Out.BulkString(strings.TrimPrefix(string(err), resp.NoPerm+" "))
}

func help(c *command.Ctx) {
	c.Help(
		"CAT [<category>]",
		"    List the categories, or the commands of <category>.",
		"DELUSER <username> [<username> ...]",
		"    Delete users.",
		"DRYRUN <username> <command> [<arg> ...]",
		"    Tell whether the user may make the call, without making it.",
		"GETUSER <username>",
		"    Tell the rules of a user.",
		"GENPASS [<bits>]",
		"    Make a password of 256 bits, or of as many as <bits> says.",
		"LIST",
		"    List all users as lines of an ACL file.",
		"LOAD",
		"    Read all users from the ACL file.",
		"LOG [<count> | RESET]",
		"    Show what was refused lately, or forget it.",
		"SAVE",
		"    Write all users into the ACL file.",
		"SETUSER <username> <attribute> [<attribute> ...]",
		"    Make a user or change it by rules.",
		"USERS",
		"    List the names of all users.",
		"WHOAMI",
		"    Return the name of this connection's user.",
	)
}
