package compat

import (
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMigrate says the same MIGRATEs to both servers, each with a Redis as its target, then hands
// values of every type from Redis to ours and back.
func TestMigrate(t *testing.T) {
	ours, theirs := both(t)
	redis := realRedis(t)
	targets := map[*side]*side{ours: launch(t, "target of ours", redis), theirs: launch(t, "target of redis", redis)}
	port := func(s *side) string { _, p, _ := net.SplitHostPort(s.addr); return p }
	script := `
set a 1
migrate 127.0.0.1 PORT a 0 5000
migrate 127.0.0.1 PORT a 0 5000
target get a
exists a
mset b 2 c 3 d 4
pexpire c 100000
migrate 127.0.0.1 PORT "" 3 5000 copy keys b c d
migrate 127.0.0.1 PORT "" 3 5000 keys b c d
exists b c d
migrate 127.0.0.1 PORT "" 3 5000 replace keys b c d nokey
exists b c d
target select 3
target mget b c d
target pttl c
target select 0
set e 5
migrate 127.0.0.1 1 e 0 500
migrate 127.0.0.1 PORT e 99 500
migrate 127.0.0.1 PORT e 0 500 auth foo
migrate 127.0.0.1 PORT e 0 500 auth2 u p
migrate 127.0.0.1 PORT e 0 500 auth
migrate 127.0.0.1 PORT e 0 500 auth2 a
migrate 127.0.0.1 PORT e 0 abc
migrate 127.0.0.1 PORT e abc 100
migrate 127.0.0.1 PORT e 0 500 foo
migrate 127.0.0.1 PORT e 0 500 keys a
migrate 127.0.0.1 PORT "" 0 500 keys
migrate 127.0.0.1 PORT e 0
exists e
multi
migrate 127.0.0.1 PORT e 0 1000
set e 6
exec
get e
target get e
target config set requirepass secret
migrate 127.0.0.1 PORT e 0 1000 replace
migrate 127.0.0.1 PORT e 0 1000 replace auth secret
target config set requirepass ""
set e 7
migrate 127.0.0.1 PORT e 0 1000 replace
target get e
command getkeys migrate h 1 "" 0 100 copy auth keys keys a b
command getkeys migrate h 1 k 0 100 copy`
	clients := map[*side]*client{}
	for _, s := range []*side{ours, theirs, targets[ours], targets[theirs]} {
		clients[s] = s.dial(t)
	}
	say := func(s *side, line string) string {
		words := strings.Fields(strings.ReplaceAll(line, "PORT", port(targets[s])))
		for i, w := range words {
			if w == `""` {
				words[i] = ""
			}
		}
		to := s
		if words[0] == "target" {
			to, words = targets[s], words[1:]
		}
		return string(clients[to].do(t, [][]string{words})[0])
	}
	for _, line := range strings.Split(strings.TrimSpace(script), "\n") {
		want, got := say(theirs, line), say(ours, line)
		if strings.Contains(line, "pttl") {
			assert.Equal(t, len(want), len(got), line)
			continue
		}
		assert.Equal(t, want, got, line)
	}

	// From Redis to ours, and back.
	do := func(s *side, words ...string) string { return string(clients[s].do(t, [][]string{words})[0]) }
	long := strings.Repeat("0123456789", 100000)
	do(theirs, "RPUSH", "list", "a", "b", long)
	do(theirs, "HSET", "hash", "f", "v", "g", long)
	do(theirs, "SADD", "set", "1", "2", "x")
	do(theirs, "ZADD", "zset", "1", "a", "2.5", "b")
	do(theirs, "SET", "string", strings.Repeat(long, 20))
	do(theirs, "XADD", "stream", "1-1", "f", "v")
	keys := []string{"list", "hash", "set", "zset", "string", "stream"}
	digest := do(theirs, append([]string{"DEBUG", "DIGEST-VALUE"}, keys...)...)
	for _, way := range [][2]*side{{theirs, ours}, {ours, theirs}} {
		require.Equal(t, "+OK\r\n", do(way[0], append([]string{"MIGRATE", "127.0.0.1", port(way[1]), "", "0", "20000", "KEYS"}, keys...)...), "to %s", way[1].name)
		assert.Equal(t, ":0\r\n", do(way[0], append([]string{"EXISTS"}, keys...)...))
		assert.Equal(t, ":6\r\n", do(way[1], append([]string{"EXISTS"}, keys...)...))
	}
	assert.Equal(t, digest, do(theirs, append([]string{"DEBUG", "DIGEST-VALUE"}, keys...)...))
}
