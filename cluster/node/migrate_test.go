package node

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// MIGRATE between two nodes, option by option. What the target is told, word by word, is tested in
// cluster/migrate; here is what becomes of the data, of the clients and of a replica.
func TestMigrateBetweenNodes(t *testing.T) {
	t.Parallel()
	from, to := serve(t, "repl-diskless-sync-delay", "0"), serve(t)
	replica := serve(t, "replicaof", "127.0.0.1 "+strconv.Itoa(from.port))
	c, d, r := from.dial(), to.dial(), replica.dial()
	linked(t, r)
	migrate := func(words ...string) string {
		t.Helper()
		return c.do(append([]string{"MIGRATE", "127.0.0.1", strconv.Itoa(to.port)}, words...)...)
	}
	put := func(key string) { t.Helper(); require.Equal(t, "OK", c.do("SET", key, "value of "+key)) }

	put("a")
	require.Equal(t, "OK", migrate("a", "0", "10000"))
	require.Equal(t, "(nil)", c.do("GET", "a"))
	require.Equal(t, "value of a", d.do("GET", "a"))
	require.Equal(t, "NOKEY", migrate("a", "0", "10000"))

	// COPY leaves it here, REPLACE overwrites it there, and without it the target refuses.
	put("a")
	require.Equal(t, "-ERR Target instance replied with error: BUSYKEY Target key name already exists.", migrate("a", "0", "10000"))
	require.Equal(t, "value of a", c.do("GET", "a"))
	require.Equal(t, "OK", c.do("SET", "a", "newer"))
	require.Equal(t, "OK", migrate("a", "0", "10000", "COPY", "REPLACE"))
	require.Equal(t, "newer", c.do("GET", "a"))
	require.Equal(t, "newer", d.do("GET", "a"))

	// Several keys, of which one is taken already; times to live go with the keys.
	put("b")
	require.Equal(t, "OK", c.do("SET", "e", "x", "PX", "100000"))
	require.Contains(t, migrate("", "0", "10000", "KEYS", "b", "a", "none", "e"), "BUSYKEY")
	require.Equal(t, "[(nil) newer (nil)]", c.do("MGET", "b", "a", "e"))
	require.Equal(t, "[value of b newer x]", d.do("MGET", "b", "a", "e"))
	ttl, _ := strconv.Atoi(d.do("PTTL", "e"))
	require.True(t, 0 < ttl && ttl <= 100000, ttl)
	require.Equal(t, "OK", migrate("", "3", "10000", "KEYS", "a"))
	require.Equal(t, "OK", d.do("SELECT", "3"))
	require.Equal(t, "newer", d.do("GET", "a"))
	require.Equal(t, "OK", d.do("SELECT", "0"))
	require.Contains(t, func() string { put("a"); return migrate("a", "99", "10000") }(), "DB index is out of range")
	require.Equal(t, "value of a", c.do("GET", "a"))

	// Passwords: of the default user and of one who has to be named.
	require.Equal(t, "OK", d.do("CONFIG", "SET", "requirepass", "secret"))
	require.Equal(t, "OK", d.do("AUTH", "secret"))
	require.Equal(t, "OK", d.do("ACL", "SETUSER", "mover", "on", ">word", "~*", "+restore", "+select"))
	require.Equal(t, "OK", d.do("ACL", "SETUSER", "reader", "on", ">word", "~*", "+get"))
	eventually(t, func() bool {
		_ = d.do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
		return d.info("connected_clients") == "1"
	}, "kept connections are gone")
	for _, option := range [][]string{{"AUTH", "wrong"}, {"AUTH2", "nobody", "word"}} {
		require.Contains(t, migrate(append([]string{"a", "0", "10000", "REPLACE"}, option...)...), "WRONGPASS")
	}
	require.Contains(t, migrate("a", "0", "10000", "REPLACE", "AUTH2", "reader", "word"), "NOPERM")
	require.Equal(t, "value of a", c.do("GET", "a"), "what the target refused stays")
	require.Equal(t, "OK", migrate("a", "0", "10000", "REPLACE", "AUTH2", "mover", "word"))
	put("a")
	require.Equal(t, "OK", migrate("a", "0", "10000", "REPLACE", "AUTH", "secret"))
	require.Equal(t, "value of a", d.do("GET", "a"))
	require.Equal(t, "OK", d.do("CONFIG", "SET", "requirepass", ""))
	require.NotEqual(t, "0", c.info("migrate_cached_sockets"))

	// A target without memory, or that is a replica, keeps nothing and loses us nothing.
	put("a")
	require.Equal(t, "OK", d.do("CONFIG", "SET", "maxmemory", "1"))
	require.Contains(t, migrate("a", "0", "10000", "REPLACE"), "Target instance replied with error: OOM command not allowed")
	require.Equal(t, "OK", d.do("CONFIG", "SET", "maxmemory", "0"))
	require.Equal(t, "OK", d.do("REPLICAOF", "127.0.0.1", "1"))
	require.Equal(t, "-ERR Target instance replied with error: READONLY You can't write against a read only replica.", migrate("a", "0", "10000", "REPLACE"))
	require.Equal(t, "OK", d.do("REPLICAOF", "NO", "ONE"))
	require.Equal(t, "value of a", c.do("GET", "a"))

	// In a transaction and from a script the exchange is over before the reply.
	require.Equal(t, "OK", c.do("MULTI"))
	require.Equal(t, "QUEUED", migrate("a", "0", "10000", "REPLACE"))
	require.Equal(t, "QUEUED", c.do("EXISTS", "a"))
	require.Equal(t, "[OK 0]", c.do("EXEC"))
	put("a")
	require.Equal(t, "OK", c.do("EVAL", "return redis.call('MIGRATE', '127.0.0.1', ARGV[1], KEYS[1], 0, 10000, 'REPLACE')", "1", "a", strconv.Itoa(to.port)))
	require.Equal(t, "0", c.do("EXISTS", "a"))

	// A target that does not answer in time: the writes that waited go on here.
	put("a")
	require.Equal(t, "OK", d.do("CLIENT", "PAUSE", "600000", "WRITE"))
	c.send("MIGRATE", "127.0.0.1", strconv.Itoa(to.port), "a", "0", "1000", "REPLACE")
	writer := serveSecond(c)
	writer.send("APPEND", "a", "++")
	require.Equal(t, "-IOERR error or timeout reading to target instance", c.read())
	require.Equal(t, strconv.Itoa(len("value of a++")), writer.read())
	require.Equal(t, "OK", d.do("CLIENT", "UNPAUSE"))

	// A client that leaves meanwhile does not stop the exchange.
	leaver := from.dial()
	leaver.send("MIGRATE", "127.0.0.1", strconv.Itoa(to.port), "a", "0", "10000", "REPLACE")
	require.NoError(t, leaver.Close())
	eventually(t, func() bool { return c.do("EXISTS", "a") == "0" }, "moved")
	require.Equal(t, "value of a++", d.do("GET", "a"))

	// Nobody listens.
	put("a")
	require.Equal(t, "-IOERR error or timeout writing to target instance", c.do("MIGRATE", "127.0.0.1", "1", "a", "0", "1000"))

	// The replica has what the primary has, and never heard of MIGRATE.
	eventually(t, func() bool { return r.do("DEBUG", "DIGEST") == c.do("DEBUG", "DIGEST") }, "equal")
	require.NotContains(t, strings.ToLower(r.do("INFO", "commandstats")), "cmdstat_migrate")
}
