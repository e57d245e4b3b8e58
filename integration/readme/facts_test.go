package readme

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/cluster/node"
	"github.com/sextantdb/sextant/resp/command"
)

// facts are what Redis 7.2 says about its commands, as rows of column to text: its table, made
// from its sources, and in a second file the argument grammar, whether there is a
// successor, the versions of the history and the kinds of reply. Of the grammar, a token stands behind a quote; an
// argument is name:type, or name=(...) if it has parts; "..." may be repeated, "+++" with its token.
func facts(t *testing.T) map[string]map[string]string {
	rows := map[string]map[string]string{}
	for _, file := range []string{"testdata/commands-7.2.tsv", "testdata/arguments-7.2.tsv"} {
		src, err := os.ReadFile(file)
		require.NoError(t, err)
		lines := strings.Split(strings.TrimSpace(string(src)), "\n")
		columns := strings.Split(lines[0], "\t")
		for _, line := range lines[1:] {
			cells := strings.Split(line, "\t")
			row := rows[cells[0]]
			if row == nil {
				row = map[string]string{}
				rows[cells[0]] = row
			}
			for i, cell := range cells {
				row[columns[i]] = cell
			}
		}
	}
	require.Greater(t, len(rows), 380)
	return rows
}

// described is an entry in the columns of the facts.
func described(c *command.Command) map[string]string {
	first, last, step := c.LegacyRange()
	kind := "cmd"
	switch {
	case c.Parent() != nil:
		kind = "sub"
	case len(c.Sub) > 0:
		kind = "container"
	}
	var specs []string
	for _, k := range c.Keys {
		specs = append(specs, describedKeys(k))
	}
	var docFlags []string
	if c.Doc.Deprecated != "" {
		docFlags = append(docFlags, "DEPRECATED")
	}
	if c.Doc.SysCmd {
		docFlags = append(docFlags, "SYSCMD")
	}
	return map[string]string{
		"group":                   string(c.Group),
		"since":                   c.Since,
		"arity":                   fmt.Sprint(c.Arity),
		"key_specs":               list(specs, " ; "),
		"flags":                   list(describedFlags(c), ","),
		"legacy_first_last_step":  fmt.Sprintf("%d,%d,%d", first, last, step),
		"movablekeys":             map[bool]string{true: "yes", false: "no"}[c.MovableKeys()],
		"acl_categories_explicit": list(c.ACL.Names(), ","),
		"tips":                    list(c.Tips, ","),
		"deprecated_since":        list([]string{c.Doc.Deprecated}, ","),
		"doc_flags":               list(docFlags, ","),
		"kind":                    kind,
		"arguments":               list(describedArgs(c.Grammar()), " "),
		"argument_versions":       list(argVersions(c.Grammar(), ""), " "),
		"replaced":                map[bool]string{true: "yes", false: "no"}[c.Doc.ReplacedBy != ""],
		"history":                 list(versions(c.Doc.History), " "),
		"reply":                   list(replyKinds(c.Schema()), " "),
	}
}

// argVersions are the arguments that came, or went out of use, with a version, by the path of their names.
func argVersions(args []command.Arg, path string) (words []string) {
	for _, a := range args {
		if a.Since != "" {
			words = append(words, path+a.Name+"@"+a.Since)
		}
		if a.Deprecated != "" {
			words = append(words, path+a.Name+"@-"+a.Deprecated)
		}
		words = append(words, argVersions(a.Args, path+a.Name+"/")...)
	}
	return words
}

func describedArgs(args []command.Arg) (words []string) {
	for _, a := range args {
		words = append(words, describedArg(a))
	}
	return words
}

func describedArg(a command.Arg) string {
	var s string
	switch a.Type {
	case command.PureToken:
		if s = "'" + a.Token; a.Name != strings.ToLower(a.Token) {
			s = a.Name + "=" + s
		}
	case command.OneOf:
		s = a.Name + "=(" + strings.Join(describedArgs(a.Args), "|") + ")"
	case command.Block:
		s = a.Name + "=(" + strings.Join(describedArgs(a.Args), " ") + ")"
	default:
		s = a.Name + ":" + string(a.Type)
	}
	if a.Token != "" && a.Type != command.PureToken {
		s = "'" + a.Token + " " + s
	}
	switch {
	case a.MultipleToken:
		s += "+++"
	case a.Multiple:
		s += "..."
	}
	if a.Optional {
		s = "[" + s + "]"
	}
	return s
}

// replyKinds are the kinds of reply that a schema allows at its top, in the words of JSON schemas.
func replyKinds(s *command.Schema) (kinds []string) {
	if s == nil {
		return nil
	}
	all := []*command.Schema{s}
	if s.Kind == command.OneOfReply {
		all = s.Elem
	}
	for _, one := range all {
		if kind := jsonKinds[one.Kind]; kind != "" && !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	slices.Sort(kinds)
	return kinds
}

var jsonKinds = map[command.Kind]string{
	command.Literal: "string", command.Simple: "string", command.Bulk: "string", command.Int: "integer", command.Nil: "null",
	command.Double: "number", command.Bool: "boolean", command.Any: "any", command.ListOf: "array", command.Tuple: "array", command.SetOf: "array",
	command.MapOf: "object", command.Record: "object", command.Quoted: "string",
}

// versions are those up to 7.2: what came later is in the history too.
func versions(history []string) (words []string) {
	for _, h := range history {
		if version, _, _ := strings.Cut(h, ":"); version < "7.3" {
			words = append(words, version)
		}
	}
	return words
}

// describedFlags are the flags in the spelling of Redis' sources.
func describedFlags(c *command.Command) (names []string) {
	for _, name := range c.FlagNames() {
		if name != "movablekeys" {
			names = append(names, name)
		}
	}
	if c.Flags&command.OnlySentinel != 0 {
		names = append(names, "ONLY_SENTINEL")
	} else if c.Flags&command.InSentinel != 0 {
		names = append(names, "SENTINEL")
	}
	return names
}

func describedKeys(k command.KeySpec) string {
	var begin, find string
	switch k.Begin {
	case command.BeginIndex:
		begin = fmt.Sprintf("index:%d", k.Index)
	case command.BeginKeyword:
		begin = fmt.Sprintf("keyword:%s@%d", k.Keyword, k.From)
	case command.BeginUnknown:
		begin = "unknown"
	}
	switch k.Find {
	case command.FindRange:
		find = fmt.Sprintf("range:last=%d,step=%d,limit=%d", k.Last, k.Step, k.Limit)
	case command.FindKeyNum:
		find = fmt.Sprintf("keynum:numidx=%d,first=%d,step=%d", k.NumIdx, k.First, k.Step)
	case command.FindUnknown:
		find = "unknown"
	}
	names := k.Access.Names()
	slices.Sort(names)
	return begin + " " + find + " [" + strings.Join(names, " ") + "]"
}

func list(words []string, sep string) string {
	if s := strings.Join(words, sep); s != "" {
		return s
	}
	return "-"
}

// normal makes cells comparable: letter case, underscores and the order within lists do not
// matter.
func normal(column, cell string) string {
	cell = strings.ToLower(cell)
	switch column {
	case "flags":
		// Redis' sources write NOSCRIPT and ALLOW_BUSY, and PUBSUB and NO_AUTH.
		cell = strings.ReplaceAll(cell, "_", "")
		fallthrough
	case "acl_categories_explicit", "tips", "doc_flags":
		words := strings.Split(cell, ",")
		slices.Sort(words)
		return strings.Join(words, ",")
	case "key_specs":
		specs := strings.Split(cell, " ; ")
		for i, s := range specs {
			head, access, _ := strings.Cut(strings.TrimSuffix(s, "]"), " [")
			words := strings.Fields(access)
			slices.Sort(words)
			specs[i] = head + " [" + strings.Join(words, " ") + "]"
		}
		return strings.Join(specs, " ; ")
	}
	return cell
}

func entries(t *testing.T) *command.Table {
	tab, err := node.DocTable()
	require.NoError(t, err)
	return tab
}

func TestEntriesAgainstFacts(t *testing.T) {
	rows, tab := facts(t), entries(t)
	seen := map[string]bool{}
	for _, c := range tab.All() {
		row := rows[c.FullName()]
		if row == nil {
			assert.Contains(t, ours, c.FullName(), "Redis 7.2 has no such command")
			continue
		}
		for column, got := range described(c) {
			name := c.FullName() + " " + column
			if _, meant := differences[name]; meant {
				seen[name] = true
				assert.NotEqual(t, normal(column, row[column]), normal(column, got), "%s: no difference any more", name)
				continue
			}
			if column == "key_specs" && strings.Contains(row[column], "unknown") && len(c.Keys) > 0 {
				// A rule may find in one go what Redis describes as several unknown places.
				continue
			}
			if column == "reply" && (row[column] == "-" || row[column] == "any") {
				continue // 7.2 does not say
			}
			assert.Equal(t, normal(column, row[column]), normal(column, got), name)
		}
	}
	for name := range differences {
		assert.True(t, seen[name], "%s: in differences, but no such entry", name)
	}
	for name, row := range rows {
		reason := missing[name]
		if reason == "" {
			reason = missing[row["group"]]
		}
		assert.Equal(t, reason != "", tab.Get(name) == nil, "%s: missing without a reason, or there and called missing", name)
	}
	for name := range ours {
		assert.NotNil(t, tab.Get(name), name)
	}
}

// The documentation is ours and is read by people: short and in whole sentences.
func TestEveryEntryIsDocumented(t *testing.T) {
	for _, c := range entries(t).All() {
		assert.Regexp(t, `^[A-Z].*\.$`, c.Doc.Summary, c.FullName())
		assert.Equal(t, c.Doc.Deprecated != "", c.Doc.ReplacedBy != "", c.FullName())
		for _, h := range c.Doc.History {
			assert.Regexp(t, `^\d+\.\d+\.\d+: .`, h, c.FullName())
		}
		if c.Run != nil {
			assert.NotEmpty(t, c.Doc.Complexity, c.FullName())
			assert.NotNil(t, c.Schema(), c.FullName())
		}
	}
}

// onlyReads are Write commands whose keys are read-only to Redis' ACLs, and so to ours.
var onlyReads = map[string]string{"XREADGROUP": "it changes the group, not the entries"}

// What an entry writes it must have the right to: a Write command without a key that it
// changes, or the reverse, is a mistake in one of the two.
func TestKeyAccessFitsFlags(t *testing.T) {
	for _, c := range entries(t).All() {
		if onlyReads[c.FullName()] != "" {
			continue
		}
		writes := false
		for _, k := range c.Keys {
			writes = writes || k.Access&(command.RW|command.OW|command.RM) != 0
		}
		if c.HasKeys() && c.Flags&command.MayReplicate == 0 {
			assert.Equal(t, c.Flags&command.Write != 0, writes, c.FullName())
		}
	}
}

// missing are commands or groups of 7.2 that we have not, and why.
var missing = map[string]string{
	"sentinel": "left for later",
}

// differences are the columns of an entry that are meant to differ from 7.2, and why.
var differences = map[string]string{
	"CLIENT|KILL arguments":    "MAXAGE, of 7.4; 7.2 calls each of the filters optional, though one must be there",
	"BGSAVE arguments":         "CANCEL, of Valkey 8.1",
	"BGSAVE argument_versions": "CANCEL, of Valkey 8.1, stands beside SCHEDULE",
	"HSCAN arguments":          "NOVALUES, of 7.4",
	"ZSCAN arguments":          "NOSCORES, of Valkey 8.1",
	"SET arguments":            "IFEQ, of Valkey 8.1 and Redis 8.4",
	"ACL|WHOAMI reply":         "7.2 answers null as well, where nobody is logged in",
	"LMOVE reply":              "7.2 answers null as well, without a source", "OBJECT|FREQ reply": "null without a key, in 7.2 too",
	"OBJECT|IDLETIME reply": "null without a key, in 7.2 too", "OBJECT|REFCOUNT reply": "null without a key, in 7.2 too",
	"PING reply": "an array for subscribers of RESP2", "TYPE reply": "none without a key, in 7.2 too, whatever its schema says",
	"XRANGE reply": "COUNT 0 answers the null array, in 7.2 too", "XREVRANGE reply": "COUNT 0 answers the null array, in 7.2 too",
	"XREAD reply": "pairs in RESP2, of which the schemas of 7.2 do not speak", "XREADGROUP reply": "pairs in RESP2, of which the schemas of 7.2 do not speak",
	"DEBUG arguments": "7.2 does not say that it has any",
}

const (
	timed   = "fields that expire: Redis 7.4 and 8.0, Valkey 9.0 and 9.1"
	cluster = "of the protocol of our own cluster"
)

// ours are commands that 7.2 does not have, and why we have them.
var ours = map[string]string{
	"MSETEX":      "Redis 8.4 and Valkey 9.1 have it",
	"DELIFEQ":     "Valkey 9.0 has it",
	"XDELEX":      "Redis 8.2 and Valkey 9.2 have it",
	"XACKDEL":     "Redis 8.2 and Valkey 9.2 have it",
	"SCRIPT|SHOW": "Valkey 8.0 has it",
	"CLIENT|CAPA": "Valkey 8.0 has it",

	"HEXPIRE": timed, "HPEXPIRE": timed, "HEXPIREAT": timed, "HPEXPIREAT": timed, "HTTL": timed, "HPTTL": timed,
	"HEXPIRETIME": timed, "HPEXPIRETIME": timed, "HPERSIST": timed, "HGETEX": timed, "HGETDEL": timed, "HSETEX": timed,

	"CLUSTER|MOVESLOTSRANGE": cluster, "CLUSTER|PROBE": cluster, "CLUSTER|VOTERS": cluster,
}
