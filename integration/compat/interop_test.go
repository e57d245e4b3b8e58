package compat

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/integration/proc"
	"github.com/sextantdb/sextant/resp/command"
)

// redisServer starts a Redis, sextantServer a Sextant; both allow DEBUG and keep nothing on disk unless told to.
func redisServer(t *testing.T, directives ...string) *server {
	return serverOf(t, "redis", directives, realRedis(t))
}

func sextantServer(t *testing.T, directives ...string) *server {
	return serverOf(t, "sextant", directives, binary, "server")
}

func serverOf(t *testing.T, name string, directives []string, argv ...string) *server {
	port := proc.FreePort(t)
	argv = append(argv, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", t.TempDir(), "--save", "", "--enable-debug-command", "yes",
		"--repl-diskless-sync-delay", "0")
	s := prepare(t, name, port, append(argv, directives...)...)
	s.start()
	return s
}

// values are writes that make values of every type in every encoding, with and without expiry, in two databases.
func values() (calls [][]string) {
	do := func(words ...string) { calls = append(calls, words) }
	many := func(n int, of func(i int) []string, words ...string) {
		for i := range n {
			words = append(words, of(i)...)
		}
		do(words...)
	}
	long := strings.Repeat("long text, ", 300)
	elements := map[string]func(i int) string{
		"ints":   func(i int) string { return strconv.Itoa((i - 3) * 77) },
		"bigs":   func(i int) string { return strconv.FormatInt(-1<<63+int64(i)*(1<<52), 10) },
		"words":  func(i int) string { return "element " + strconv.Itoa(i) },
		"long":   func(i int) string { return strconv.Itoa(i) + long },
		"binary": func(i int) string { return "\x00\xff" + string(rune(i)) + "\r\n" },
	}
	for _, db := range []string{"0", "9"} {
		do("SELECT", db)
		for _, kind := range slices.Sorted(maps.Keys(elements)) {
			of := elements[kind]
			for _, n := range []int{1, 7, 128, 129, 513, 1100} {
				if kind == "long" && n > 129 {
					continue
				}
				name := fmt.Sprint(kind, ":", n)
				one := func(i int) []string { return []string{of(i)} }
				many(n, one, "RPUSH", "list:"+name)
				do("LPUSH", "list:"+name, of(n), of(n+1))
				many(n, one, "SADD", "set:"+name)
				many(n, func(i int) []string { return []string{of(i), of(n - i)} }, "HSET", "hash:"+name)
				many(n, func(i int) []string { return []string{score(i), of(i)} }, "ZADD", "zset:"+name)
			}
			do("SET", "string:"+kind, of(5))
			do("EXPIRE", "list:"+kind+":7", "100000")
			do("PEXPIREAT", "zset:"+kind+":129", "4000000000000")
		}
		do("SETEX", "string:expires", "100000", "x")
		do("APPEND", "string:raw", "appended")
		do("SETRANGE", "string:raw", "100", "behind a gap")
		do("INCRBYFLOAT", "string:float", "3.1")
		do("SETBIT", "string:bits", "1001", "1")
		many(1000, func(i int) []string { return []string{strconv.Itoa(i)} }, "PFADD", "hll:dense")
		do("PFADD", "hll:sparse", "a", "b")
		do("GEOADD", "geo", "13.361389", "38.115556", "Palermo", "15.087269", "37.502669", "Catania")
		for i := range 250 {
			do("XADD", "stream", fmt.Sprintf("%d-%d", 1+i/3, 1+i%3), "field", strconv.Itoa(i), "other"+strconv.Itoa(i%2), "text")
		}
		do("XDEL", "stream", "5-1", "6-2")
		do("XGROUP", "CREATE", "stream", "group", "0")
		do("XREADGROUP", "GROUP", "group", "alice", "COUNT", "10", "STREAMS", "stream", ">")
		do("XREADGROUP", "GROUP", "group", "bob", "COUNT", "3", "STREAMS", "stream", ">")
		do("XACK", "stream", "group", "1-1")
		do("XADD", "stream:empty", "7-7", "f", "v")
		do("XDEL", "stream:empty", "7-7")
	}
	do("SELECT", "0")
	return calls
}

// score is one of the numbers that are hard to write. "-0" is not among them: a ZADD with more pairs than a listpack takes makes
// a skiplist at once since 7.2, which keeps the sign; 7.0 fills a listpack first, which does not.
func score(i int) string {
	odd := []string{"0", "1", "-1", "0.1", "inf", "-inf", "1e300", "5e-324", "3.3333333333333335", "9007199254740993", "-123456789012", "1e21", "17.5"}
	if i < len(odd) {
		return odd[i]
	}
	return strconv.FormatFloat(float64(i)*1.1-50, 'g', -1, 64)
}

// TestDigestsOfValues has both servers make the same values and compares DEBUG DIGEST-VALUE of each key
// and DEBUG DIGEST of everything; then again after each value was changed within its encoding and
// across it.
func TestDigestsOfValues(t *testing.T) {
	ours, theirs := both(t)
	a, b := ours.dial(t), theirs.dial(t)
	same := func(calls [][]string) {
		t.Helper()
		got, want := a.do(t, calls), b.do(t, calls)
		for i := range calls {
			require.True(t, equal(calls[i], got[i], want[i]), "%.200q: %q and %q", calls[i], got[i], want[i])
		}
	}
	keys := func() (names []string) {
		got := b.do(t, [][]string{{"KEYS", "*"}})[0]
		names = lines(plain(got))
		slices.Sort(names)
		return names
	}
	compare := func() {
		t.Helper()
		for _, key := range keys() {
			call := [][]string{{"DEBUG", "DIGEST-VALUE", key}, {"OBJECT", "ENCODING", key}}
			got, want := a.do(t, call), b.do(t, call)
			assert.Equal(t, string(want[0]), string(got[0]), "%s, a %s", key, plain(want[1]))
			if kind, _, _ := strings.Cut(key, ":"); kind == "hash" || kind == "zset" || kind == "string" { // 7.2 has listpacks for small lists and sets
				assert.Equal(t, string(want[1]), string(got[1]), key)
			}
		}
		same([][]string{{"DEBUG", "DIGEST"}})
	}
	same(values())
	compare()
	var change [][]string
	for _, key := range keys() {
		switch kind, _, _ := strings.Cut(key, ":"); kind {
		case "list":
			change = append(change, []string{"LSET", key, "-1", "changed"}, []string{"LINSERT", key, "BEFORE", "changed", strings.Repeat("x", 70)}, []string{"LTRIM", key, "1", "-2"})
		case "set":
			change = append(change, []string{"SADD", key, "not a number"}, []string{"SREM", key, "element 3", "-231"})
		case "hash":
			change = append(change, []string{"HINCRBYFLOAT", key, "n", "0.1"}, []string{"HDEL", key, "element 3", "77"})
		case "zset":
			change = append(change, []string{"ZINCRBY", key, "0.1", "element 3"}, []string{"ZREM", key, "-231"}, []string{"ZADD", key, "GT", "1e-7", "new"})
		}
	}
	same(change)
	compare()
	for _, name := range []string{"list", "hash", "zset", "set"} { // one too many for the small encoding
		same([][]string{{"CONFIG", "SET", "list-max-listpack-size", "4", "hash-max-listpack-entries", "4", "zset-max-listpack-entries", "4", "set-max-intset-entries", "4"},
			{"COPY", name + ":ints:7", name + ":copy"}, {"COPY", name + ":words:7", name + ":other"}})
	}
	same([][]string{{"RPUSH", "list:copy", "1"}, {"HSET", "hash:copy", "1", "2"}, {"ZADD", "zset:copy", "1", "2"}, {"SADD", "set:copy", "12345"},
		{"ZUNIONSTORE", "zset:union", "2", "zset:ints:513", "zset:words:7", "WEIGHTS", "0.5", "3"}, {"ZRANGESTORE", "zset:range", "zset:bigs:129", "0", "50"},
		{"SORT", "list:ints:129", "STORE", "list:sorted"}, {"SINTERSTORE", "set:inter", "set:ints:129", "set:ints:513"}, {"SDIFFSTORE", "set:diff", "set:words:513", "set:words:7"}})
	compare()
}

// library is a function library whose function writes.
const library = "#!lua name=interop\nredis.register_function('mark', function(keys, args) redis.call('HSET', keys[1], args[1], args[2], 'n', redis.call('HINCRBY', keys[1], 'count', 1)) return redis.call('HLEN', keys[1]) end)"

// script writes different things at each call, so that it can only be replicated by what it did.
const script = `local r = redis.call('SPOP', KEYS[1]) or 'none'
redis.call('RPUSH', KEYS[2], r, math.random(1000))
redis.call('LTRIM', KEYS[2], -200, -1)
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[2], 1000000 + ARGV[1])
return r`

// writes is the i-th round of calls that write by transactions, scripts and functions, to streams with groups, and by
// chance.
func writes(i int) [][]string {
	n := strconv.Itoa(i)
	key := func(kind string) string { return fmt.Sprint("load:", kind, ":", i%17) }
	return [][]string{{"SELECT", "9"},
		{"MULTI"}, {"INCR", key("s")}, {"SELECT", "8"}, {"APPEND", key("s"), "x"}, {"SELECT", "9"}, {"EXEC"},
		{"EVAL", script, "2", key("set"), key("list"), n},
		{"FCALL", "mark", "1", key("hash"), n, "v"},
		{"XADD", key("stream"), "MAXLEN", "~", "100", "*", "f", n}, {"XGROUP", "CREATE", key("stream"), "g", "0"},
		{"XREADGROUP", "GROUP", "g", "c" + n[:1], "COUNT", "2", "STREAMS", key("stream"), ">"},
		{"XAUTOCLAIM", key("stream"), "g", "other", "0", "0", "COUNT", "1"},
		{"ZADD", key("zset"), n, "m" + n}, {"ZPOPMIN", key("zset")}, {"SPOP", "set:words:513", "1"},
		{"GETEX", key("s"), "EX", "100000"}, {"LMOVE", key("list"), key("list2"), "LEFT", "RIGHT"}, {"COPY", key("zset"), key("copy"), "REPLACE"}}
}

// load writes to a server from several connections until it is told to stop: generated calls of all families,
// transactions, scripts, functions, keys that expire meanwhile.
type load struct {
	stop atomic.Bool
	done sync.WaitGroup
	n    atomic.Int64 // rounds so far
}

// startLoad begins a load and waits until it is under way.
func startLoad(t *testing.T, s *server) *load {
	l := new(load)
	for w := range 2 {
		c := s.dial(t)
		g := newGenerator(t, uint64(100+w))
		l.done.Add(1)
		go func() {
			defer l.done.Done()
			for i := 0; !l.stop.Load(); i++ {
				calls := [][]string{{"RESET"}, {"SELECT", strconv.Itoa(w)}}
				for _, call := range g.sequence()[3:] {
					// Only what writes; and not FLUSHALL, or there would never be much to compare.
					if cmd := entryOf(call); cmd != nil && cmd.Flags&command.Write != 0 && !strings.HasPrefix(cmd.Name, "FLUSH") {
						calls = append(calls, call)
					}
				}
				calls = append(append(calls, []string{"RESET"}), writes(i)...)
				calls = append(calls, []string{"SET", fmt.Sprint("load:short:", i%17), "x", "PX", strconv.Itoa(1 + i%50)})
				c.do(t, calls)
				l.n.Add(1)
				time.Sleep(2 * time.Millisecond) // a load, not a flood: the servers have other work on the same processors
			}
		}()
	}
	t.Cleanup(l.end)
	l.goesOn(t, 20)
	return l
}

// goesOn waits for so many rounds more.
func (l *load) goesOn(t *testing.T, rounds int64) {
	t.Helper()
	from := l.n.Load()
	require.Eventually(t, func() bool { return l.n.Load() >= from+rounds }, patience, time.Millisecond)
}

func (l *load) end() {
	l.stop.Store(true)
	l.done.Wait()
}

// sameData waits until a replica is in sync and compares everything.
func sameData(t *testing.T, primary, replica *server, when string) {
	t.Helper()
	digest := func() bool {
		replica.inSync(primary)
		return replica.say("DEBUG", "DIGEST") == primary.say("DEBUG", "DIGEST") // keys expire meanwhile
	}
	for end := time.Now().Add(patience / 3); !digest(); {
		if time.Now().After(end) {
			tellDifference(t, primary, replica, when)
		}
	}
	assert.Equal(t, primary.say("FUNCTION", "LIST", "WITHCODE"), replica.say("FUNCTION", "LIST", "WITHCODE"), when)
	for _, about := range [][]string{{"XPENDING", "stream", "group"}, {"XPENDING", "stream", "group", "-", "+", "1", "alice"}} {
		want, got := lines(primary.say(about...)), lines(replica.say(about...))
		if len(want) == 4 { // id, consumer, idle, deliveries: the clocks differ
			want[2], got[2] = "", ""
		}
		assert.Equal(t, want, got, "%s: %s", when, about)
	}
}

// tellDifference names the keys that differ.
func tellDifference(t *testing.T, primary, replica *server, when string) {
	a, b := primary.dial(t), replica.dial(t)
	for db := range 16 {
		sel := [][]string{{"SELECT", strconv.Itoa(db)}}
		a.do(t, sel)
		b.do(t, sel)
		names := map[string]bool{}
		for _, c := range []*client{a, b} {
			for _, k := range lines(plain(c.do(t, [][]string{{"KEYS", "*"}})[0])) {
				names[k] = true
			}
		}
		for k := range names {
			about := [][]string{{"DEBUG", "DIGEST-VALUE", k}, {"TYPE", k}, {"PTTL", k}, {"DUMP", k}}
			x, y := a.do(t, about), b.do(t, about)
			if string(x[0]) != string(y[0]) || (string(x[2]) == ":-1\r\n") != (string(y[2]) == ":-1\r\n") {
				t.Errorf("%s: db %d key %q differs: %s %q %s: %.300q", when, db, k, primary.name, x[1], x[2], x[3])
				t.Errorf("                 %s %q %s: %.300q", replica.name, y[1], y[2], y[3])
			}
		}
	}
	t.Fatalf("%s: DEBUG DIGEST differs", when)
}

// TestReplicationWithRedis: a full sync under load, partial syncs after the connection was cut, by either end and by the
// network, and what was written meanwhile, in both directions.
func TestReplicationWithRedis(t *testing.T) {
	for _, way := range []struct {
		name             string
		primary, replica func(*testing.T, ...string) *server
	}{
		{"redis follows sextant", sextantServer, redisServer},
		{"sextant follows redis", redisServer, sextantServer},
	} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			primary, replica := way.primary(t, "--repl-backlog-size", "64mb"), way.replica(t, "--repl-diskless-load", "swapdb")
			c := primary.dial(t)
			c.do(t, values())
			require.Equal(t, "interop", primary.say("FUNCTION", "LOAD", library))
			road := proc.NewRoad(t, primary.addr)
			replica.say("SET", "gone", "after the sync")

			l := startLoad(t, primary)
			require.Equal(t, "OK", replica.say("REPLICAOF", "127.0.0.1", strconv.Itoa(road.Port())))
			up := func() {
				t.Helper()
				replica.eventually("link up", func() bool { return replica.info("replication")["master_link_status"] == "up" })
			}
			up()
			l.goesOn(t, 20)
			l.end()
			replica.followed = road.Port()
			sameData(t, primary, replica, "after a full sync under load")

			for round, cut := range []func(){
				func() { require.Equal(t, "1", primary.say("CLIENT", "KILL", "TYPE", "replica")) },
				func() { require.Equal(t, "1", replica.say("CLIENT", "KILL", "TYPE", "master")) },
				road.Cut,
			} {
				l = startLoad(t, primary)
				cut()
				primary.eventually("a partial sync", func() bool { return primary.info("stats")["sync_partial_ok"] == strconv.Itoa(round+1) })
				up()
				l.goesOn(t, 20)
				l.end()
				sameData(t, primary, replica, fmt.Sprint("after partial sync ", round+1))
			}
			road.Close() // nothing gets through until it is open again
			require.Equal(t, "interop", primary.say("FUNCTION", "LOAD", "REPLACE", strings.Replace(library, "mark", "other", 1)))
			c.do(t, [][]string{{"SWAPDB", "0", "9"}, {"SET", "while it was away", "1"}, {"DEL", "zset:ints:129"}})
			road.Open()
			up()
			sameData(t, primary, replica, "after a time without connection")
			require.Equal(t, "1", primary.info("stats")["sync_full"])
			if way.name == "sextant follows redis" {
				require.Equal(t, "0", replica.info("everything")["repl_apply_errors"])
			} else {
				require.NotContains(t, replica.Out.String(), "== CRITICAL ==", "the replica understood everything")
			}
		})
	}
}

// TestChainWithRedis: Redis → Sextant → Redis; then ours is made the primary in the middle, the first Redis comes back as
// its replica, and nobody copies anything again.
func TestChainWithRedis(t *testing.T) {
	t.Parallel()
	first, middle, last := redisServer(t), sextantServer(t), redisServer(t)
	first.dial(t).do(t, values())
	require.Equal(t, "interop", first.say("FUNCTION", "LOAD", library))
	follow := func(s, primary *server) {
		t.Helper()
		require.Equal(t, "OK", s.say("REPLICAOF", "127.0.0.1", strconv.Itoa(primary.port)))
		s.eventually("link up", func() bool { return s.info("replication")["master_link_status"] == "up" })
	}
	follow(middle, first)
	follow(last, middle)
	l := startLoad(t, first)
	l.goesOn(t, 50)
	l.end()
	sameData(t, first, middle, "first and middle")
	sameData(t, middle, last, "middle and last")
	require.Equal(t, first.info("replication")["master_replid"], last.info("replication")["master_replid"])

	require.Equal(t, "OK", middle.say("REPLICAOF", "NO", "ONE"))
	follow(first, middle)
	l = startLoad(t, middle)
	l.goesOn(t, 50)
	l.end()
	sameData(t, middle, first, "middle and first, the other way round")
	sameData(t, middle, last, "middle and last after the change")
	require.Equal(t, "1", middle.info("stats")["sync_full"], "the one of the beginning")

	// And back.
	require.Equal(t, "OK", first.say("REPLICAOF", "NO", "ONE"))
	follow(middle, first)
	l = startLoad(t, first)
	l.end()
	sameData(t, first, middle, "first and middle at the end")
	sameData(t, middle, last, "middle and last at the end")
	require.Equal(t, "1", middle.info("stats")["sync_full"])
}

// TestLaterCommandsReachRedis: commands that 7.0 does not know reach it as what they did, but for fields of hashes that
// expire.
func TestLaterCommandsReachRedis(t *testing.T) {
	t.Parallel()
	primary, replica := sextantServer(t), redisServer(t)
	require.Equal(t, "OK", replica.say("REPLICAOF", "127.0.0.1", strconv.Itoa(primary.port)))
	replica.inSync(primary)
	for _, line := range []string{
		"MSETEX 2 a 1 b 2 EX 1000 => 1",
		"MSETEX 1 d 1 PXAT 4000000000000 NX => 1",
		"SET e 5 => OK", "SET e 6 IFEQ 5 => OK",
		"SET f 5 => OK", "DELIFEQ f 5 => 1",
		"XADD s 1-1 f v => 1-1", "XADD s 2-1 f v => 2-1", "XADD s 3-1 f v => 3-1",
		"XGROUP CREATE s g 0 => OK", "XREADGROUP GROUP g c NOACK COUNT 1 STREAMS s > => s\n1-1\nf\nv",
		"XDELEX s KEEPREF IDS 1 1-1 => 1", "XACKDEL s g DELREF IDS 1 2-1 => -1", "XDELEX s DELREF IDS 1 2-1 => 1",
		"HSET h f v g w x y => 3", "HGETDEL h FIELDS 1 f => v",
		"HSETEX i FIELDS 1 a b => 1", "HSETEX i FNX FIELDS 1 c d => 1", "HPEXPIRE i 0 FIELDS 1 c => 2",
	} {
		call, want, _ := strings.Cut(line, " => ")
		require.Equal(t, want, primary.say(strings.Fields(call)...), call)
	}
	sameData(t, primary, replica, "at the end")
}

// TestRestartsWithRedis: a replica that was stopped, and a primary that was, go on from where they were; what they
// need for it stands in the RDB file, in the other's words.
func TestRestartsWithRedis(t *testing.T) {
	for _, way := range []struct {
		name             string
		primary, replica func(*testing.T, ...string) *server
	}{
		{"redis follows sextant", sextantServer, redisServer},
		{"sextant follows redis", redisServer, sextantServer},
	} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			primary := way.primary(t, "--save", "3600", "1")
			replica := way.replica(t, "--save", "3600", "1", "--replicaof", "127.0.0.1", strconv.Itoa(primary.port))
			c := primary.dial(t)
			c.do(t, values())
			sameData(t, primary, replica, "at first")
			history := primary.info("replication")["master_replid"]

			replica.stop()
			for i := range 20 {
				c.do(t, writes(i))
			}
			replica.start()
			sameData(t, primary, replica, "after the replica's restart")
			require.Equal(t, "1", primary.info("stats")["sync_full"], "that of the beginning")
			require.Equal(t, "1", primary.info("stats")["sync_partial_ok"])

			require.NoError(t, c.Close())
			primary.restart()
			sameData(t, primary, replica, "after the primary's restart")
			require.Equal(t, "0", primary.info("stats")["sync_full"])
			require.Equal(t, history, primary.info("replication")["master_replid2"], "it goes on with the history of its file")
			require.Equal(t, primary.info("replication")["master_replid"], replica.info("replication")["master_replid"])
		})
	}
}
