package agent

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp/command"
)

// ours are the commands that Redis 7.2 does not have.
var ours = []string{"CLUSTER|MOVESLOTSRANGE", "CLUSTER|PROBE", "CLUSTER|VOTERS"}

// TestGroupIsThatOfRedis holds the entries against what Redis 7.2 says of its own.
func TestGroupIsThatOfRedis(t *testing.T) {
	src, err := os.ReadFile("../../resp/command/testdata/commands-7.2.tsv")
	require.NoError(t, err)
	table, err := command.New(nil, Commands(nil))
	require.NoError(t, err)
	plain := func(s string) []string {
		words := strings.Split(strings.ReplaceAll(strings.ToLower(s), "_", ""), ",")
		slices.Sort(words)
		if s == "-" || s == "" {
			return nil
		}
		return words
	}
	seen := map[string]bool{}
	for _, line := range strings.Split(string(src), "\n") {
		f := strings.Split(line, "\t")
		if len(f) < 13 || f[1] != "cluster" {
			continue
		}
		seen[f[0]] = true
		c := table.Get(f[0])
		if !assert.NotNil(t, c, f[0]) {
			continue
		}
		assert.Equal(t, f[2], c.Since, f[0])
		assert.Equal(t, f[3], strconv.Itoa(c.Arity), f[0])
		assert.Equal(t, plain(f[5]), plain(strings.Join(c.FlagNames(), ",")), f[0])
		assert.Equal(t, plain(f[8]), plain(strings.Join(c.ACL.Names(), ",")), f[0])
		assert.Equal(t, plain(f[9]), plain(strings.Join(c.Tips, ",")), f[0])
		if f[10] != "-" {
			assert.Equal(t, f[10], c.Doc.Deprecated, f[0])
		}
	}
	for _, c := range table.All() {
		assert.True(t, seen[c.FullName()] || slices.Contains(ours, c.FullName()), c.FullName())
	}
}
