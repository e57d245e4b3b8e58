// Package readme holds the command table of the code against what is written about it: the
// README's table, which is made from it, and what Redis 7.2 says of its own commands.
package readme

import (
	"flag"
	"fmt"
	"os"
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp/command"
)

var update = flag.Bool("update", false, "write the table into the README")

const (
	path  = "../../README.md"
	begin = "<!-- commands: written by go test ./integration/readme -update -->\n"
	end   = "<!-- end of commands -->\n"
)

func table(t *testing.T) string {
	known, groups := facts(t), map[string]int{}
	for _, row := range known {
		groups[row["group"]]++
	}
	have, own := map[string]int{}, map[string]int{}
	names := map[string][]string{}
	for _, c := range entries(t).All() {
		group := string(c.Group)
		if known[c.FullName()] != nil {
			have[group]++
		} else {
			own[group]++
		}
		if c.Parent() == nil {
			names[group] = append(names[group], name(c))
		}
	}
	var order []string
	for g := range groups {
		order = append(order, g)
	}
	sort.Strings(order)
	var b strings.Builder
	b.WriteString("| group | of 7.2 | commands |\n|---|---|---|\n")
	for _, g := range order {
		sort.Strings(names[g])
		count := fmt.Sprintf("%d of %d", have[g], groups[g])
		if own[g] > 0 {
			count += fmt.Sprintf(", %d of our own", own[g])
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", g, count, strings.Join(names[g], ", "))
	}
	return b.String()
}

// name is "GET", or "CONFIG (GET, SET)" for a container.
func name(c *command.Command) string {
	if len(c.Sub) == 0 {
		return c.Name
	}
	var subs []string
	for i := range c.Sub {
		subs = append(subs, c.Sub[i].Name)
	}
	sort.Strings(subs)
	return c.Name + " (" + strings.Join(subs, ", ") + ")"
}

func TestReadmeTableIsCurrent(t *testing.T) {
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	readme := string(b)
	i, j := strings.Index(readme, begin), strings.Index(readme, end)
	require.True(t, i >= 0 && j > i, "the README has no place for the table")
	want := readme[:i+len(begin)] + table(t) + readme[j:]
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(want), 0o644))
		return
	}
	assert.Equal(t, want, readme, "run: go test ./integration/readme -update")
}
