package node

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkEval is a script of three commands through a whole node, 64 calls at a time.
func BenchmarkEval(b *testing.B) {
	s := serve(b)
	c := s.dial()
	sha := c.do("SCRIPT", "LOAD", "redis.call('SET', KEYS[1], ARGV[1]) redis.call('INCR', KEYS[2]) return redis.call('GET', KEYS[1])")
	const batch = 64
	calls := strings.Repeat(request("EVALSHA", sha, "2", "key:1", "count:1", "value"), batch)
	replies := make([]byte, batch*len("$5\r\nvalue\r\n"))
	b.ResetTimer()
	for n := 0; n < b.N; n += batch {
		_, err := io.WriteString(c, calls)
		require.NoError(b, err)
		_, err = io.ReadFull(c.r, replies)
		require.NoError(b, err)
	}
}
