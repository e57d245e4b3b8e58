package command

import (
	"fmt"
	"strings"
)

// Command is one entry of the table: everything the node knows about a command. A fact
// about a command that is not here, or derived from what is here, is in the wrong place.
// Entries are immutable once New has accepted them.
type Command struct {
	// Name is upper case; for a subcommand it is the second word only ("SET" of CONFIG SET).
	Name  string
	Since string
	Group Group
	// Arity counts the command's own words: n means exactly n, -n means at least n. For a
	// subcommand it counts the container's name too, as in Redis.
	Arity int
	Flags Flags
	// Keys says where the keys stand and how they are used; see KeySpec.
	Keys []KeySpec
	// Args is the argument grammar in the notation of grammar.go, as one would write the
	// syntax line of a manual: "key value [NX|XX] [GET] [EX seconds:int|KEEPTTL]".
	Args string
	// Reply is the reply schema in the notation of schema.go: "OK | nil | bulk".
	Reply string
	// Doc is what COMMAND DOCS and the README say.
	Doc Doc
	// Channels says which words name channels that the caller must be allowed to use.
	Channels Channels
	// ACL names categories beyond those that follow from the flags, such as CatString.
	ACL Categories
	// Tips are the command tips of COMMAND INFO, in lower case ("request_policy:all_shards").
	Tips []string
	// Refine changes the flags for one call by its words (a script declares what it does); nil:
	// never. See FlagsOf.
	Refine func(argv [][]byte, f Flags) Flags
	// Run executes the command; see Ctx for what it may do. Nil for a pure container.
	Run func(*Ctx)
	// Sub are the subcommands of a container.
	Sub []Command

	// The rest is derived by New and immutable afterwards.

	parent     *Command
	full       string // "CONFIG|SET" or "GET", as COMMAND and INFO commandstats print it in upper case
	lower      string // the same in lower case
	id         int    // dense index into per-command statistics
	categories Categories
	grammar    []Arg
	schema     *Schema
	soleKey    int // argv index of the one key, for entries that have exactly one at a fixed place; else 0
	subs       map[string]*Command
	anywhere   func(argv [][]byte) bool // KeySpec.Anywhere of the one key spec that has it
}

// Doc is the documentation of an entry, in our own words.
type Doc struct {
	Summary    string
	Complexity string
	// Deprecated is the version since which the command is deprecated, "" when it is not.
	Deprecated string
	ReplacedBy string
	// SysCmd marks commands meant for the system itself, not for applications.
	SysCmd bool
	// History is a list of "version: what changed".
	History []string
}

// FullName is "GET" or "CONFIG|SET".
func (c *Command) FullName() string { return c.full }

// LowerName is "get" or "config|set", the form that INFO and ACL print.
func (c *Command) LowerName() string { return c.lower }

// LowerNameRef is LowerName by reference, for whoever keeps it per client.
func (c *Command) LowerNameRef() *string { return &c.lower }

// ID is a dense number in [0, Table.Len()), for per-command statistics.
func (c *Command) ID() int { return c.id }

// Parent is the container of a subcommand, nil for a command.
func (c *Command) Parent() *Command { return c.parent }

// Categories are the ACL categories, explicit and derived.
func (c *Command) Categories() Categories { return c.categories }

// Grammar is the parsed argument grammar.
func (c *Command) Grammar() []Arg { return c.grammar }

// Schema is the parsed reply schema.
func (c *Command) Schema() *Schema { return c.schema }

// ArityOK reports whether a call of n words fits the entry.
func (c *Command) ArityOK(n int) bool {
	if c.Arity >= 0 {
		return n == c.Arity
	}
	return n >= -c.Arity
}

// Group is the chapter of the manual a command belongs to.
type Group string

const (
	Bitmap       Group = "bitmap"
	Cluster      Group = "cluster"
	Connection   Group = "connection"
	Generic      Group = "generic"
	Geo          Group = "geo"
	Hash         Group = "hash"
	HyperLogLog  Group = "hyperloglog"
	List         Group = "list"
	Pubsub       Group = "pubsub"
	Scripting    Group = "scripting"
	Sentinel     Group = "sentinel"
	Server       Group = "server"
	Set          Group = "set"
	SortedSet    Group = "sorted_set"
	Stream       Group = "stream"
	String       Group = "string"
	Transactions Group = "transactions"
)

// Flags say when a command may run and what running it means. Those before WholeDB are
// Redis' own and appear in COMMAND; the rest steer the walk of a request.
type Flags uint32

const (
	Write    Flags = 1 << iota // may change the data set
	ReadOnly                   // reads keys and changes nothing
	DenyOOM                    // refused while memory is above maxmemory
	Admin
	PubSub
	NoScript
	Blocking // may park its client
	Loading  // allowed while the data set is being loaded
	Stale    // allowed on a replica that lost its primary and may not serve stale data
	SkipMonitor
	SkipSlowlog
	Asking // the client is treated as if it had sent ASKING
	Fast
	NoAuth // allowed before AUTH
	MayReplicate
	NoMandatoryKeys
	Protected // needs enable-<name>-command
	NoAsyncLoading
	NoMulti   // refused inside MULTI
	AllowBusy // allowed while a script runs over time
	TouchesArbitraryKeys
	InSentinel   // exists in Sentinel mode too
	OnlySentinel // exists in Sentinel mode only

	// WholeDB runs with every stripe locked: the command reads or changes keys it does not name.
	WholeDB
	// Queued runs with the stripes of all keys in the session's MULTI queue locked (EXEC).
	Queued
	// Unlocked runs without any lock although the entry names keys: it only looks at the words
	// (COMMAND GETKEYS) or at routing (CLUSTER KEYSLOT).
	Unlocked
	// InMulti runs at once inside MULTI instead of being queued (EXEC, DISCARD, MULTI, WATCH, QUIT, RESET).
	InMulti
	// Watched runs with the stripes of the session's watched keys locked, besides those of the
	// entry's own keys: giving back a watch needs the stripe of its key (EXEC, DISCARD,
	// UNWATCH). See Ctx.DropWatches.
	Watched
	// RunsScript runs a script, which may hold what it has locked for long.
	RunsScript
	// WhileSubscribed is allowed to a RESP2 client that has subscriptions.
	WhileSubscribed
	// HandsOver moves keys to another node (MIGRATE): in a slot in classic migration it runs
	// here, whichever of its keys are still here.
	HandsOver
	// KeepsCaching leaves CLIENT CACHING in force for the command behind it.
	KeepsCaching
)

// flagNames are the names COMMAND prints, in Redis' order.
var flagNames = []struct {
	flag Flags
	name string
}{
	{Write, "write"}, {ReadOnly, "readonly"}, {DenyOOM, "denyoom"}, {Admin, "admin"}, {PubSub, "pubsub"},
	{NoScript, "noscript"}, {Blocking, "blocking"}, {Loading, "loading"}, {Stale, "stale"},
	{SkipMonitor, "skip_monitor"}, {SkipSlowlog, "skip_slowlog"}, {Asking, "asking"}, {Fast, "fast"},
	{NoAuth, "no_auth"}, {MayReplicate, "may_replicate"}, {NoMandatoryKeys, "no_mandatory_keys"},
	{Protected, "protected"}, {NoAsyncLoading, "no_async_loading"}, {NoMulti, "no_multi"},
	{AllowBusy, "allow_busy"}, {TouchesArbitraryKeys, "touches_arbitrary_keys"},
}

// Passing reports that what the command sends to replicas is over when it has happened (messages): it is no part of
// the data set and not for the append only file.
func (c *Command) Passing() bool {
	return c != nil && c.Flags&(PubSub|MayReplicate) == PubSub|MayReplicate
}

// FlagNames are the flags as COMMAND prints them, "movablekeys" included.
func (c *Command) FlagNames() (names []string) {
	for _, f := range flagNames {
		if c.Flags&f.flag != 0 {
			names = append(names, f.name)
		}
	}
	if c.MovableKeys() {
		names = append(names, "movablekeys")
	}
	return names
}

// Categories is a set of ACL categories.
type Categories uint32

const (
	CatKeyspace Categories = 1 << iota
	CatRead
	CatWrite
	CatSet
	CatSortedSet
	CatList
	CatHash
	CatString
	CatBitmap
	CatHyperLogLog
	CatGeo
	CatStream
	CatPubSub
	CatAdmin
	CatFast
	CatSlow
	CatBlocking
	CatDangerous
	CatConnection
	CatTransaction
	CatScripting
)

// CategoryNames are the names ACL CAT prints, in bit order.
var CategoryNames = []string{
	"keyspace", "read", "write", "set", "sortedset", "list", "hash", "string", "bitmap", "hyperloglog", "geo",
	"stream", "pubsub", "admin", "fast", "slow", "blocking", "dangerous", "connection", "transaction", "scripting",
}

// Names lists the categories in the order of CategoryNames.
func (c Categories) Names() (names []string) {
	for i, name := range CategoryNames {
		if c&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// CategoryByName is the category of that name, in any letter case; 0: there is none.
func CategoryByName(name []byte) Categories {
	for i, known := range CategoryNames {
		if strings.EqualFold(known, string(name)) {
			return 1 << i
		}
	}
	return 0
}

// deriveCategories adds the categories that follow from the flags, by Redis' rules.
func (c *Command) deriveCategories() {
	cats := c.ACL
	f := c.Flags
	if f&Write != 0 {
		cats |= CatWrite
	}
	if f&ReadOnly != 0 && c.Group != Scripting {
		cats |= CatRead
	}
	if f&Admin != 0 {
		cats |= CatAdmin | CatDangerous
	}
	if f&PubSub != 0 {
		cats |= CatPubSub
	}
	if f&Blocking != 0 {
		cats |= CatBlocking
	}
	if f&Fast != 0 {
		cats |= CatFast
	} else {
		cats |= CatSlow
	}
	c.categories = cats
}

// check refuses an entry that contradicts itself.
func (c *Command) check() error {
	refuse := func(format string, a ...any) error {
		return fmt.Errorf("command %s: %s", c.full, fmt.Sprintf(format, a...))
	}
	if c.Run == nil && len(c.Sub) == 0 {
		return refuse("neither a handler nor subcommands")
	}
	if c.Arity == 0 {
		return refuse("arity missing")
	}
	if c.Flags&Write != 0 && c.Flags&ReadOnly != 0 {
		return refuse("write and readonly")
	}
	if c.Flags&(Write|DenyOOM) == DenyOOM && c.Group != Scripting && c.Flags&MayReplicate == 0 && c.Flags&PubSub == 0 {
		return refuse("denyoom without write")
	}
	if c.Since == "" || c.Group == "" || c.Doc.Summary == "" {
		return refuse("since, group or summary missing")
	}
	minWords := c.Arity
	if minWords < 0 {
		minWords = -minWords
	}
	for i, k := range c.Keys {
		if err := k.check(); err != nil {
			return refuse("key spec %d: %v", i+1, err)
		}
		writes := k.Access&(RW|OW|RM) != 0
		if writes && c.Flags&(Write|MayReplicate|ReadOnly) == ReadOnly {
			return refuse("key spec %d writes, the command is readonly", i+1)
		}
		more := i > 0 && k.Find == FindRange && k.Last < 0 // any number of keys behind others (PFMERGE)
		if k.Begin == BeginIndex && k.Index >= minWords && !more && c.Flags&NoMandatoryKeys == 0 && k.Access&NotKey == 0 && c.Run != nil {
			return refuse("key spec %d begins at word %d, arity is %d", i+1, k.Index, c.Arity)
		}
	}
	if c.Run != nil {
		head := 1 // the words before the arguments
		if c.parent != nil {
			head = 2
		}
		least, most := grammarWords(c.grammar)
		switch {
		case least+head != minWords:
			return refuse("arity %d, but the grammar %q needs at least %d words", c.Arity, c.Args, least+head)
		case c.Arity > 0 && most != least:
			return refuse("arity %d is exact, the grammar %q is not", c.Arity, c.Args)
		}
		if c.schema == nil {
			return refuse("reply schema missing")
		}
	}
	return nil
}
