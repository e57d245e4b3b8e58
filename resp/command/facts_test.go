package command_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp/command"
)

// facts reads testdata/commands-7.2.tsv: what Redis 7.2 says about its commands, as rows of
// column to text.
func facts(t *testing.T) map[string]map[string]string {
	src, err := os.ReadFile("testdata/commands-7.2.tsv")
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(string(src)), "\n")
	columns := strings.Split(lines[0], "\t")
	rows := map[string]map[string]string{}
	for _, line := range lines[1:] {
		row := map[string]string{}
		for i, cell := range strings.Split(line, "\t") {
			row[columns[i]] = cell
		}
		rows[row["command"]] = row
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
	}
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

func table(t *testing.T) *command.Table {
	tab, err := command.New(nil, families()...)
	require.NoError(t, err)
	return tab
}

func TestEntriesAgainstFacts(t *testing.T) {
	rows := facts(t)
	seen := map[string]bool{}
	for _, c := range table(t).All() {
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
			assert.Equal(t, normal(column, row[column]), normal(column, got), name)
		}
	}
	for name := range differences {
		assert.True(t, seen[name], "%s: in differences, but no such entry", name)
	}
}

func TestGroupsAreComplete(t *testing.T) {
	tab := table(t)
	for name, row := range facts(t) {
		head, _, _ := strings.Cut(name, "|")
		if !slices.Contains(complete, command.Group(row["group"])) {
			continue
		}
		away := elsewhere[head] != "" || elsewhere[name] != ""
		assert.Equal(t, away, tab.Get(name) == nil, "%s: missing, or no longer elsewhere", name)
	}
}

// The documentation is ours and is read by people: short and in whole sentences.
func TestEveryEntryIsDocumented(t *testing.T) {
	for _, c := range table(t).All() {
		assert.Regexp(t, `^[A-Z].*\.$`, c.Doc.Summary, c.FullName())
		assert.NotEmpty(t, c.Doc.Complexity, c.FullName())
		assert.Equal(t, c.Doc.Deprecated != "", c.Doc.ReplacedBy != "", c.FullName())
		if c.Run != nil {
			assert.NotNil(t, c.Schema(), c.FullName())
		}
	}
}

// onlyReads are Write commands whose keys are read-only to Redis' ACLs, and so to ours.
var onlyReads = map[string]string{"XREADGROUP": "it changes the group, not the entries"}

// What an entry writes it must have the right to: a Write command without a key that it
// changes, or the reverse, is a mistake in one of the two.
func TestKeyAccessFitsFlags(t *testing.T) {
	for _, c := range table(t).All() {
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
