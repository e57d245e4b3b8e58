package node

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestKeySizes(t *testing.T) {
	t.Parallel()
	s := serve(t)
	c := s.dial()
	sizes := func() string { return strings.TrimSpace(strings.ReplaceAll(c.do("INFO", "keysizes"), "\r\n", " ")) }
	require.Equal(t, "# Keysizes", sizes())
	for _, call := range []string{
		"SET empty ", "SET number 12345", "SETRANGE long 5000 x", "SETBIT bits 8191 1", "RPUSH l 1 2 3", "SADD ints 1 2 3 4", "SADD words a b",
		"HSET h a 1 b 2", "ZADD z 1 a", "XADD x * a b", "SET gone v",
	} {
		c.do(strings.Split(call, " ")...)
	}
	require.Equal(t, "1", c.do("DEL", "gone"))
	require.Equal(t, "OK", c.do("DEBUG", "POPULATE", "2000", "k", "20"))
	args := []string{"SADD", "large"}
	for i := range 1500 {
		args = append(args, "member"+strings.Repeat("x", i%7)+string(rune('a'+i%26))+strings.Repeat("y", i/26))
	}
	c.do(args...)
	const want = "# Keysizes db0_distrib_strings_sizes:0=1,4=1,16=2000,1K=1,4K=1 db0_distrib_lists_items:2=1 db0_distrib_sets_items:2=1,4=1,1K=1 " +
		"db0_distrib_zsets_items:1=1 db0_distrib_hashes_items:2=1"
	require.Equal(t, want, sizes())
	require.Equal(t, "OK", c.do("MULTI"))
	require.Equal(t, "QUEUED", c.do("DEL", "l"))
	require.Equal(t, "QUEUED", c.do("INFO", "keysizes"))
	require.Contains(t, c.do("EXEC"), "lists_items:2=1", "a transaction does not wait: what was measured last")
	require.NotContains(t, sizes(), "lists_items")
	require.NotContains(t, c.do("INFO", "everything"), "Keysizes")
}
