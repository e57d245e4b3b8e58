package str_test

import (
	"strings"
	"testing"

	"github.com/sextantdb/sextant/resp/command/commandtest"
)

// BenchmarkCall is one call from Txn.Begin to End, without parsing, routing and the socket.
func BenchmarkCall(b *testing.B) {
	for _, line := range []string{
		"GET k", "SET k 0123456789012345678901234567890123456789012345678901234567890123", "SET k v EX 100", "INCR n",
		"MGET k k k k", "EXISTS k", "EXPIRE k 100", "TTL k",
	} {
		b.Run(line[:min(len(line), 14)], func(b *testing.B) {
			bench := commandtest.New(b, setup(commandtest.Settings{})...)
			c := bench.Client(0)
			c.Do("SET", "k", "v")
			argv := words(line)
			cmd, _ := bench.Table.Find(argv)
			side := c.Side()
			b.ReportAllocs()
			for b.Loop() {
				side.Run(cmd, argv, bench.Now)
			}
		})
	}
}

func words(line string) (argv [][]byte) {
	for _, w := range strings.Fields(line) {
		argv = append(argv, []byte(w))
	}
	return argv
}
