package compat

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/integration/proc"
)

// TestModesOfRedisCLI goes through what redis-cli can do beside sending commands, against one server.
func TestModesOfRedisCLI(t *testing.T) {
	t.Parallel()
	s := sextantServer(t, "--maxmemory-policy", "allkeys-lfu")
	require.Equal(t, "interop", s.cli("function", "load", library))

	// --pipe: mass insertion from the protocol, with errors counted.
	var protocol strings.Builder
	command := func(words ...string) {
		fmt.Fprintf(&protocol, "*%d\r\n", len(words))
		for _, w := range words {
			fmt.Fprintf(&protocol, "$%d\r\n%s\r\n", len(w), w)
		}
	}
	const keys = 3000
	for i := range keys - 6 {
		command("SET", fmt.Sprint("key:", i), strings.Repeat("v", 1+i%100))
	}
	for i := range 500 {
		command("RPUSH", "the:list", fmt.Sprint("element ", i))
		command("SADD", "the:set", fmt.Sprint("member ", i))
		command("HSET", "the:hash", fmt.Sprint("field ", i), "value")
		command("ZADD", "the:zset", strconv.Itoa(i), fmt.Sprint("member ", i))
		command("XADD", "the:stream", "*", "field", "value")
	}
	command("SET", "the:string", strings.Repeat("x", 100000))
	out := s.session(protocol.String(), "--pipe")
	require.Contains(t, out, "All data transferred. Waiting for the last reply...")
	require.Contains(t, out, fmt.Sprintf("errors: 0, replies: %d", keys-6+2500+1))
	require.Equal(t, strconv.Itoa(keys), s.cli("dbsize"))
	fails := exec.Command("redis-cli", "-p", strconv.Itoa(s.port), "--pipe")
	fails.Stdin = strings.NewReader("*2\r\n$4\r\nINCR\r\n$8\r\nthe:list\r\n*1\r\n$4\r\nPING\r\n")
	text, err := fails.CombinedOutput()
	require.Error(t, err, "it tells by its exit code that there was an error")
	require.Contains(t, string(text), "WRONGTYPE")
	require.Contains(t, string(text), "errors: 1, replies: 2")

	t.Run("rdb", func(t *testing.T) {
		for mode, digest := range map[string]string{"--rdb": s.say("DEBUG", "DIGEST"), "--functions-rdb": strings.Repeat("0", 40)} {
			dir := t.TempDir()
			file := filepath.Join(dir, "copy.rdb")
			require.Contains(t, s.cli(mode, file), "Transfer finished with success", mode)
			checked, err := exec.Command("redis-check-rdb", file).CombinedOutput()
			require.NoError(t, err, "%s: %s", mode, checked)
			require.Contains(t, string(checked), "RDB looks OK!")
			redis := redisServer(t, "--dir", dir, "--dbfilename", "copy.rdb")
			require.Equal(t, digest, redis.say("DEBUG", "DIGEST"), mode)
			require.Equal(t, s.say("FUNCTION", "LIST", "WITHCODE"), redis.say("FUNCTION", "LIST", "WITHCODE"), mode)
		}
		piped, err := exec.Command("redis-cli", "-p", strconv.Itoa(s.port), "--rdb", "-").Output()
		require.NoError(t, err)
		require.Equal(t, "REDIS0010", string(piped[:9]))
	})

	t.Run("replica", func(t *testing.T) {
		for _, mode := range []string{"--replica", "--slave"} {
			w := watch(t, s, mode)
			w.until("SYNC with master, discarding bytes of bulk transfer until EOF marker...")
			w.until(`SYNC done after \d+ bytes. Logging commands from master.`)
			require.Equal(t, "OK", s.cli("set", "seen by", mode))
			w.until(`"set","seen by","` + mode + `"`)
			w.end()
		}
		s.eventually("they are gone", func() bool { return s.info("replication")["connected_slaves"] == "0" })
		require.Equal(t, "1", s.cli("del", "seen by"))
	})

	t.Run("bigkeys", func(t *testing.T) {
		out := s.cli("--bigkeys")
		for _, line := range []string{
			`Biggest   list found '"the:list"' has 500 items`, `Biggest   hash found '"the:hash"' has 500 fields`, `Biggest string found '"the:string"' has 100000 bytes`,
			`Biggest stream found '"the:stream"' has 500 entries`, `Biggest    set found '"the:set"' has 500 members`, `Biggest   zset found '"the:zset"' has 500 members`,
			fmt.Sprintf("Sampled %d keys in the keyspace!", keys),
			"1 lists with 500 items", "1 streams with 500 entries", fmt.Sprintf("%d strings with ", keys-5),
		} {
			assert.Contains(t, out, line)
		}
	})

	t.Run("memkeys", func(t *testing.T) {
		out := s.cli("--memkeys")
		require.Contains(t, out, fmt.Sprintf("Sampled %d keys in the keyspace!", keys))
		biggest := regexp.MustCompile(`Biggest string found '"the:string"' has (\d+) bytes`).FindStringSubmatch(out)
		require.NotNil(t, biggest, out)
		bytes, _ := strconv.Atoi(biggest[1])
		require.Greater(t, bytes, 100000)
		require.Less(t, bytes, 200000)
		require.Contains(t, s.cli("--memkeys-samples", "0"), fmt.Sprintf("Sampled %d keys in the keyspace!", keys))
	})

	t.Run("hotkeys", func(t *testing.T) {
		c := s.dial(t)
		for range 20 {
			c.do(t, slices.Repeat([][]string{{"GET", "key:7"}}, 1000))
		}
		out := s.cli("--hotkeys")
		require.Regexp(t, regexp.MustCompile(`(?s)-------- summary -------.*Sampled `+strconv.Itoa(keys)+` keys in the keyspace!\nhot key found with counter: \d+\tkeyname: "key:7"`), out)
	})

	t.Run("scan", func(t *testing.T) {
		sorted := func(words ...string) []string {
			names := lines(s.cli(append([]string{"--scan"}, words...)...))
			slices.Sort(names)
			return slices.Compact(names) // SCAN may tell a key twice
		}
		require.Len(t, sorted(), keys)
		require.Equal(t, []string{"the:hash", "the:list", "the:set", "the:stream", "the:string", "the:zset"}, sorted("--pattern", "the:*"))
		require.Equal(t, []string{`"the:zset"`}, sorted("--quoted-pattern", `"the:\x7aset"`, "--no-raw"))
		require.Len(t, sorted("--pattern", "key:*"), keys-6)
	})

	t.Run("stat", func(t *testing.T) {
		w := watch(t, s, "--stat", "-i", "0.05")
		w.until(`^keys +mem +clients +blocked requests +connections`)
		for range 3 {
			w.until(fmt.Sprintf(`^%d +\d+\.\d\d[MK] +\d+ +0 +\d+ \(\+\d+\) +\d+`, keys))
		}
		w.end()
	})

	t.Run("latency", func(t *testing.T) {
		t.Parallel()                                                          // they wait
		three := regexp.MustCompile(`^\d+\.?\d* \d+\.?\d* \d+\.\d\d \d+\n?$`) // min, max, average, samples
		require.Regexp(t, three, s.cli("--latency", "-i", "1"))
		require.Regexp(t, regexp.MustCompile(`^\d+,\d+,\d+\.\d\d,\d+$`), s.cli("--latency", "--csv", "-i", "1"))
		w := watch(t, s, "--latency-history", "-i", "0.3")
		w.until(`\d+ \d+ \d+\.\d\d \d+`)
		w.end()
		require.Contains(t, s.cli("--intrinsic-latency", "1"), "Max latency so far: ")
	})

	t.Run("latency-dist", func(t *testing.T) {
		t.Parallel()
		w := watch(t, s, "--latency-dist", "-i", "0.3")
		w.until(`^From 0 to 100%`)
		w.end()
	})

	t.Run("eval and others", func(t *testing.T) {
		file := configFile(t, "script.lua", "return {KEYS[1], ARGV[1], redis.call('LLEN', KEYS[1])}")
		require.Equal(t, "the:list\nx\n500", s.cli("--eval", file, "the:list", ",", "x"))
		require.Equal(t, "OK", s.session("from standard input", "-x", "set", "piped"))
		require.Equal(t, "from standard input", s.cli("get", "piped"))
		require.Equal(t, "OK", s.session("in the middle", "-X", "tag", "set", "tag", "by tag"))
		require.Equal(t, "by tag", s.cli("get", "in the middle"))
		require.Equal(t, "PONG\nPONG\nPONG", s.cli("-r", "3", "-i", "0.01", "ping"))
		require.Equal(t, `"by tag"`, s.cli("--json", "get", "in the middle"))
		require.Equal(t, "1", s.cli("hset", "one", "field", "value"))
		require.Equal(t, `{"field":"value"}`, s.cli("--json", "hgetall", "one"))
		require.Equal(t, "PONG", s.cli("-u", fmt.Sprintf("redis://127.0.0.1:%d/3", s.port), "ping"))
		require.Contains(t, s.cli("--no-raw", "acl", "whoami"), `"default"`)
		w := watch(t, s, "monitor")
		w.until("^OK")
		s.cli("echo", "seen")
		w.until(`\[0 127\.0\.0\.1:\d+\] "echo" "seen"`)
		w.end()
		w = watch(t, s, "subscribe", "news")
		w.until("^subscribe")
		require.Equal(t, "1", s.cli("publish", "news", "today"))
		w.until("^today")
		w.end()
	})
}

// watched is a redis-cli that runs until it is told to end.
type watched struct {
	t    *testing.T
	cmd  *exec.Cmd
	out  *proc.Output
	seen int // bytes of out that until has gone over
}

func watch(t *testing.T, s *server, words ...string) *watched {
	w := &watched{t: t, cmd: exec.Command("redis-cli", append([]string{"-p", strconv.Itoa(s.port)}, words...)...), out: new(proc.Output)}
	w.cmd.Stdout, w.cmd.Stderr = w.out, w.out
	require.NoError(t, w.cmd.Start())
	t.Cleanup(w.end)
	return w
}

// until waits for output that matches, behind what was waited for before; ^ is the beginning of a line.
func (w *watched) until(pattern string) {
	w.t.Helper()
	re := regexp.MustCompile("(?m)" + pattern)
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		text := w.out.String()
		if at := re.FindStringIndex(text[w.seen:]); at != nil {
			w.seen += at[1]
			return
		}
		if time.Now().After(end) {
			w.t.Fatalf("redis-cli %s never printed %q:\n%s", w.cmd.Args[3:], pattern, proc.Tail(text, 10))
		}
	}
}

func (w *watched) end() {
	if w.cmd.ProcessState == nil {
		_ = w.cmd.Process.Kill()
		_ = w.cmd.Wait() // killed
	}
}
