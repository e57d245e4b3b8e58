package generic_test

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/command/commandtest"
	"github.com/sextantdb/sextant/resp/command/generic"
	"github.com/sextantdb/sextant/resp/command/str"
	"github.com/sextantdb/sextant/resp/session"
	"github.com/sextantdb/sextant/store"
)

// setup makes the family, and the string family for keys to work on.
func setup(s commandtest.Settings) [][]command.Command {
	on := func(name string) func() bool { return func() bool { return s.On(name) } }
	o := generic.Options{LFU: on("lfu"), Shared: func() bool { return !s.On("lfu") }, Compress: on("compress"), LazyExpire: on("lazy-expire"), LazyServerDel: on("lazy-server-del")}
	entries := generic.Commands(o)
	o.Cluster = true
	clustered := generic.Commands(o)
	for i := range entries { // cluster mode is fixed for the life of a node, but not of a script
		plain, other := entries[i].Run, clustered[i].Run
		if plain != nil {
			entries[i].Run = func(c *command.Ctx) {
				if s.On("cluster") {
					other(c)
				} else {
					plain(c)
				}
			}
		}
	}
	return [][]command.Command{entries, str.Commands(str.Options{MaxBulk: func() int64 { return 512 << 20 }, LazyExpire: on("lazy-expire")})}
}

func TestScripts(t *testing.T) { commandtest.Scripts(t, "testdata/*.txt", setup) }

func TestAgainstRedis(t *testing.T) {
	commandtest.AgainstRedis(t, "testdata/*.txt", map[string]string{"lazy-expire": "lazyfree-lazy-expire"}, map[string]string{
		"KEYS h?llo": "in no order", "KEYS h[ae]llo": "in no order", "TTL k": "the clock runs",
	})
}

func newClient(t *testing.T, settings commandtest.Settings) (*commandtest.Bench, *commandtest.Client) {
	b := commandtest.New(t, setup(settings)...)
	return b, b.Client(0)
}

func TestDumpAndRestore(t *testing.T) {
	settings := commandtest.Settings{"compress": "on"}
	_, c := newClient(t, settings)
	for _, val := range []string{"", "v", "12345", "-1", "9223372036854775807", string(make([]byte, 5000)), "\x00\xff\r\n"} {
		c.Do("SET", "k", val)
		payload := c.Do("DUMP", "k").Reply.Text()
		got := c.Do("RESTORE", "r", "0", payload, "REPLACE")
		require.Equal(t, "OK", got.Reply.Text())
		assert.Equal(t, val, c.Do("GET", "r").Reply.Text())
		assert.Equal(t, c.Do("OBJECT", "ENCODING", "k").Reply.Text(), c.Do("OBJECT", "ENCODING", "r").Reply.Text())
		if len(val) > 1000 {
			assert.Less(t, len(payload), 500, "compressed")
			settings["compress"] = "off"
			assert.Greater(t, len(c.Do("DUMP", "k").Reply.Text()), 5000, "not compressed")
		}
	}
	payload := c.Do("DUMP", "k").Reply.Text()
	bad := []byte(payload)
	bad[0] ^= 1
	assert.Equal(t, "ERR DUMP payload version or checksum are wrong", c.Do("RESTORE", "x", "0", string(bad)).Reply.Text())
}

// RESTORE's time counts from now unless ABSTTL says otherwise; it is propagated as a time.
func TestRestoreTime(t *testing.T) {
	settings := commandtest.Settings{}
	b, c := newClient(t, settings)
	c.Do("SET", "k", "v")
	payload := c.Do("DUMP", "k").Reply.Text()
	at := strconv.FormatInt(b.Now+5000, 10)

	r := c.Do("restore", "a", "5000", payload)
	assert.Equal(t, [][]string{{"restore", "a", at, payload, "ABSTTL"}}, argvs(r))
	assert.Equal(t, []string{"new a", "restore a"}, events(r))
	assert.Equal(t, at, c.Do("PEXPIRETIME", "a").Reply.Text())

	r = c.Do("RESTORE", "b", at, payload, "ABSTTL")
	assert.Equal(t, [][]string{{"RESTORE", "b", at, payload, "ABSTTL"}}, argvs(r))
	assert.Equal(t, at, c.Do("PEXPIRETIME", "b").Reply.Text())

	r = c.Do("RESTORE", "c", "0", payload)
	assert.Equal(t, [][]string{{"RESTORE", "c", "0", payload}}, argvs(r))
	assert.Equal(t, "-1", c.Do("TTL", "c").Reply.Text())

	r = c.Do("RESTORE", "d", "7", payload, "IDLETIME", "1000")
	assert.Equal(t, [][]string{{"RESTORE", "d", strconv.FormatInt(b.Now+7, 10), payload, "IDLETIME", "1000", "ABSTTL"}}, argvs(r))
	assert.Equal(t, "1000", c.Do("OBJECT", "IDLETIME", "d").Reply.Text())

	// Dead on arrival: nothing is made; what was there is deleted.
	r = c.Do("RESTORE", "e", "1", payload, "ABSTTL")
	assert.Equal(t, "OK", r.Reply.Text())
	assert.Empty(t, r.Effects)
	assert.Empty(t, r.Events)
	r = c.Do("RESTORE", "c", "1", payload, "ABSTTL", "REPLACE")
	assert.Equal(t, [][]string{{"DEL", "c"}}, argvs(r))
	assert.Equal(t, []string{"del c"}, events(r))
	assert.Equal(t, "0", c.Do("EXISTS", "c").Reply.Text())
	settings["lazy-server-del"] = "on"
	r = c.Do("RESTORE", "b", "1", payload, "ABSTTL", "REPLACE")
	assert.Equal(t, [][]string{{"UNLINK", "b"}}, argvs(r))

	assert.Equal(t, "BUSYKEY Target key name already exists.", c.Do("RESTORE", "a", "0", payload).Reply.Text())
	assert.Equal(t, "OK", c.Do("RESTORE-ASKING", "f", "0", payload).Reply.Text())
}

func argvs(r commandtest.Result) (all [][]string) {
	for _, e := range r.Effects {
		all = append(all, e.Argv)
	}
	return all
}

func events(r commandtest.Result) (all []string) {
	for _, e := range r.Events {
		all = append(all, e.Name+" "+e.Key)
	}
	return all
}

// Every key that stays is seen by a scan whatever is written meanwhile, none twice.
func TestScanSeesEveryKeyOnce(t *testing.T) {
	_, c := newClient(t, commandtest.Settings{})
	want := map[string]bool{}
	for i := range 2000 {
		key := fmt.Sprint("key:", i)
		c.Do("SET", key, "v")
		want[key] = true
	}
	seen := map[string]int{}
	cursor, calls := "0", 0
	for first := true; first || cursor != "0"; first = false {
		r := c.Do("SCAN", cursor, "COUNT", "50").Reply
		cursor = r.Elems[0].Text()
		for _, key := range r.Elems[1].Texts() {
			seen[key]++
		}
		c.Do("SET", fmt.Sprint("new:", calls), "v")
		c.Do("DEL", fmt.Sprint("new:", calls/2))
		calls++
		require.Less(t, calls, 10000)
	}
	for key := range want {
		assert.Equal(t, 1, seen[key], key)
	}
	assert.Greater(t, calls, 10)
	assert.Len(t, c.Do("KEYS", "key:*").Reply.Elems, len(want))
	assert.Len(t, c.Do("KEYS", "key:1??").Reply.Elems, 100)
}

func TestRandomKeyFindsAll(t *testing.T) {
	_, c := newClient(t, commandtest.Settings{})
	for i := range 5 {
		c.Do("SET", fmt.Sprint("k", i), "v")
	}
	seen := map[string]bool{}
	for range 300 {
		seen[c.Do("RANDOMKEY").Reply.Text()] = true
	}
	assert.Len(t, seen, 5)
}

func TestObjectFreqNeedsLFU(t *testing.T) {
	settings := commandtest.Settings{"lfu": "on"}
	b, c := newClient(t, settings)
	b.SetEviction(store.AllKeysLFU)
	c.Do("SET", "k", "v")
	payload := c.Do("DUMP", "k").Reply.Text()
	c.Do("RESTORE", "r", "0", payload, "FREQ", "200")
	assert.Equal(t, "200", c.Do("OBJECT", "FREQ", "r").Reply.Text())
	b.Now += 10 * 60_000
	assert.Equal(t, "190", c.Do("OBJECT", "FREQ", "r").Reply.Text(), "it decays by one a minute")
	assert.ErrorContains(t, c.Do("OBJECT", "IDLETIME", "k").Reply.Err(), "An LFU maxmemory policy is selected")
	settings["lfu"] = "off"
	assert.ErrorContains(t, c.Do("OBJECT", "FREQ", "k").Reply.Err(), "An LFU maxmemory policy is not selected")
}

// CLIENT NO-TOUCH keeps reads and writes from renewing the access time; TOUCH still does.
func TestNoTouch(t *testing.T) {
	b, c := newClient(t, commandtest.Settings{})
	quiet := b.Client(session.NoTouch)
	c.Do("SET", "k", "v")
	idle := func() string { return c.Do("OBJECT", "IDLETIME", "k").Reply.Text() }
	b.Now += 100_000
	quiet.Do("GET", "k")
	quiet.Do("EXISTS", "k")
	quiet.Do("EXPIRE", "k", "1000")
	assert.Equal(t, "100", idle())
	quiet.Do("TOUCH", "k")
	assert.Equal(t, "0", idle())
	b.Now += 100_000
	c.Do("TTL", "k")
	c.Do("TYPE", "k")
	c.Do("EXISTS", "k")
	assert.Equal(t, "100", idle(), "looking at metadata is no access")
	c.Do("GET", "k")
	assert.Equal(t, "0", idle())
}
