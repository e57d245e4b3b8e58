package migrate

import (
	"bufio"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/command/commandtest"
	"github.com/sextantdb/sextant/resp/command/generic"
	"github.com/sextantdb/sextant/resp/command/str"
)

// target is a server that answers as a test says and remembers what it was told.
type target struct {
	net.Listener
	// answer is the reply to a call; "" is silence, "close" ends the connection.
	answer func(words []string) string

	mu    sync.Mutex
	calls []string // guarded by mu, like all below: payloads left out
	conns int
	open  map[net.Conn]bool
}

func newTarget(t *testing.T) *target {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &target{Listener: l, answer: func([]string) string { return "+OK" }, open: map[net.Conn]bool{}}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns++
			s.open[c] = true
			s.mu.Unlock()
			all.Go(func() { s.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		s.hangUp()
		all.Wait()
	})
	return s
}

func (s *target) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		_ = c.Close()
		delete(s.open, c)
	}
}

func (s *target) serve(c net.Conn) {
	in := resp.NewReader(bufio.NewReader(c), resp.ReadLimits{})
	for {
		v, err := in.ReadValue()
		if err != nil {
			return
		}
		words := v.Texts()
		told := append([]string(nil), words...)
		if strings.HasPrefix(words[0], "RESTORE") {
			if told[3] = "PAYLOAD"; told[2] != "0" {
				told[2] = "TTL"
			}
		}
		s.mu.Lock()
		s.calls = append(s.calls, strings.Join(told, " "))
		answer := s.answer(words)
		s.mu.Unlock()
		switch answer {
		case "":
		case "close":
			_ = c.Close()
			return
		default:
			if _, err := c.Write([]byte(answer + "\r\n")); err != nil {
				return
			}
		}
	}
}

// told is what the target was told since the last call, and on how many new connections.
func (s *target) told() (calls []string, conns int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls, conns = s.calls, s.conns
	s.calls, s.conns = nil, 0
	return calls, conns
}

func (s *target) port() string { _, p, _ := net.SplitHostPort(s.Addr().String()); return p }

// bench runs MIGRATE as scripts and transactions do, within the call.
func bench(t *testing.T, clustered bool) (*commandtest.Client, *Mover) {
	no := func() bool { return false }
	m := New(Options{Clustered: clustered, Compress: no})
	t.Cleanup(m.Close)
	b := commandtest.New(t, Commands(m), str.Commands(str.Options{MaxBulk: func() int64 { return 1 << 20 }, LazyExpire: no}),
		generic.Commands(generic.Options{LFU: no, Compress: no, LazyExpire: no, LazyServerDel: no}))
	return b.Client(0), m
}

func TestWhatTheTargetIsToldAndWhatStays(t *testing.T) {
	refuse := func(word, reply string) func([]string) string {
		return func(words []string) string {
			if words[0] == word || len(words) > 1 && words[1] == word {
				return reply
			}
			return "+OK"
		}
	}
	for _, c := range []struct {
		name, call string // HERE is the target's host and port
		clustered  bool
		answer     func([]string) string
		told       string // ";" between calls
		reply      string
		stays      string // of a b c
	}{
		{name: "a key", call: "MIGRATE HERE a 0 1000", told: "RESTORE a 0 PAYLOAD", reply: "OK", stays: "b c"},
		{name: "a key that expires", call: "MIGRATE HERE c 0 1000", told: "RESTORE c TTL PAYLOAD", reply: "OK", stays: "a b"},
		{name: "another database", call: "MIGRATE HERE a 3 1000", told: "SELECT 3; RESTORE a 0 PAYLOAD", reply: "OK", stays: "b c"},
		{name: "COPY", call: "MIGRATE HERE a 0 1000 COPY", told: "RESTORE a 0 PAYLOAD", reply: "OK", stays: "a b c"},
		{name: "REPLACE", call: "MIGRATE HERE a 0 1000 replace", told: "RESTORE a 0 PAYLOAD REPLACE", reply: "OK", stays: "b c"},
		{name: "COPY and REPLACE", call: "MIGRATE HERE a 0 1000 COPY REPLACE", told: "RESTORE a 0 PAYLOAD REPLACE", reply: "OK", stays: "a b c"},
		{name: "AUTH", call: "MIGRATE HERE a 0 1000 AUTH secret", told: "AUTH secret; RESTORE a 0 PAYLOAD", reply: "OK", stays: "b c"},
		{name: "AUTH2", call: "MIGRATE HERE a 2 1000 AUTH2 alice secret", told: "AUTH alice secret; SELECT 2; RESTORE a 0 PAYLOAD", reply: "OK", stays: "b c"},
		{name: "KEYS", call: "MIGRATE HERE '' 0 1000 KEYS a none c", told: "RESTORE a 0 PAYLOAD; RESTORE c TTL PAYLOAD", reply: "OK", stays: "b"},
		{name: "all options", call: "MIGRATE HERE '' 1 1000 COPY REPLACE AUTH secret KEYS a b", told: "AUTH secret; SELECT 1; RESTORE a 0 PAYLOAD REPLACE; RESTORE b 0 PAYLOAD REPLACE", reply: "OK", stays: "a b c"},
		{name: "in a cluster", clustered: true, call: "MIGRATE HERE a 0 1000", told: "RESTORE-ASKING a 0 PAYLOAD", reply: "OK", stays: "b c"},
		{name: "no key", call: "MIGRATE HERE none 0 1000", reply: "NOKEY", stays: "a b c"},
		{name: "no keys", call: "MIGRATE HERE '' 0 1000 KEYS x y", reply: "NOKEY", stays: "a b c"},
		{name: "a default time limit", call: "MIGRATE HERE a 0 0", told: "RESTORE a 0 PAYLOAD", reply: "OK", stays: "b c"},

		{name: "the key is there", call: "MIGRATE HERE a 0 1000", answer: refuse("RESTORE", "-BUSYKEY Target key name already exists."),
			told: "RESTORE a 0 PAYLOAD", reply: "-ERR Target instance replied with error: BUSYKEY Target key name already exists.", stays: "a b c"},
		{name: "one of the keys is there", call: "MIGRATE HERE '' 0 1000 KEYS a b c", answer: refuse("b", "-BUSYKEY x"),
			told: "RESTORE a 0 PAYLOAD; RESTORE b 0 PAYLOAD; RESTORE c TTL PAYLOAD", reply: "-ERR Target instance replied with error: BUSYKEY x", stays: "b"},
		{name: "the password is wrong", call: "MIGRATE HERE a 0 1000 AUTH secret", answer: refuse("AUTH", "-WRONGPASS no"),
			told: "AUTH secret; RESTORE a 0 PAYLOAD", reply: "-ERR Target instance replied with error: WRONGPASS no", stays: "a b c"},
		{name: "no such database", call: "MIGRATE HERE a 99 1000", answer: refuse("SELECT", "-ERR DB index is out of range"),
			told: "SELECT 99; RESTORE a 0 PAYLOAD", reply: "-ERR Target instance replied with error: ERR DB index is out of range", stays: "a b c"},
		{name: "the target hangs up", call: "MIGRATE HERE a 0 1000", answer: func([]string) string { return "close" },
			told: "RESTORE a 0 PAYLOAD; RESTORE a 0 PAYLOAD", reply: "-IOERR error or timeout reading to target instance", stays: "a b c"},
		{name: "the target is silent", call: "MIGRATE HERE a 0 50", answer: func([]string) string { return "" },
			told: "RESTORE a 0 PAYLOAD", reply: "-IOERR error or timeout reading to target instance", stays: "a b c"},
		{name: "the target hangs up between keys", call: "MIGRATE HERE '' 0 1000 KEYS a b c", answer: refuse("b", "close"),
			told: "RESTORE a 0 PAYLOAD; RESTORE b 0 PAYLOAD", reply: "-IOERR error or timeout reading to target instance", stays: "b c"},

		{name: "a key and KEYS", call: "MIGRATE HERE a 0 1000 KEYS b", reply: "-ERR When using MIGRATE KEYS option, the key argument must be set to the empty string", stays: "a b c"},
		{name: "an unknown option", call: "MIGRATE HERE a 0 1000 FAST", reply: "-ERR syntax error", stays: "a b c"},
		{name: "AUTH without a password", call: "MIGRATE HERE a 0 1000 AUTH", reply: "-ERR syntax error", stays: "a b c"},
		{name: "AUTH2 without a password", call: "MIGRATE HERE a 0 1000 AUTH2 alice", reply: "-ERR syntax error", stays: "a b c"},
		{name: "no number of ms", call: "MIGRATE HERE a 0 soon", reply: "-ERR value is not an integer or out of range", stays: "a b c"},
		{name: "no number of a database", call: "MIGRATE HERE a x 1000", reply: "-ERR value is not an integer or out of range", stays: "a b c"},
		{name: "nobody listens", call: "MIGRATE 127.0.0.1 1 a 0 1000", reply: "-IOERR error or timeout writing to target instance", stays: "a b c"},
		{name: "no such host", call: "MIGRATE no.such.host.invalid 1 a 0 1000", reply: "-IOERR error or timeout connecting to the client", stays: "a b c"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newTarget(t)
			if c.answer != nil {
				s.answer = c.answer
			}
			client, _ := bench(t, c.clustered)
			client.Do("MSET", "a", "1", "b", "2")
			client.Do("SET", "c", "3", "PX", "100000")
			argv, ok := resp.SplitArgs([]byte(strings.ReplaceAll(c.call, "HERE", "127.0.0.1 "+s.port())), nil)
			require.True(t, ok)
			var words []string
			for _, w := range argv {
				words = append(words, string(w))
			}
			done := client.Do(words...)
			reply, _, _ := strings.Cut(done.String(), "\n")
			require.Equal(t, c.reply, reply)
			calls, _ := s.told()
			require.Equal(t, bothSides(c.told, reply), calls)
			var stays, gone []string
			for _, key := range []string{"a", "b", "c"} {
				if client.Do("EXISTS", key).Reply.Int == 1 {
					stays = append(stays, key)
				} else {
					gone = append(gone, key)
				}
			}
			require.Equal(t, c.stays, strings.Join(stays, " "))
			if len(gone) == 0 {
				require.Empty(t, done.Effects)
			} else {
				require.Equal(t, []commandtest.Effect{{Argv: append([]string{"DEL"}, gone...)}}, done.Effects)
			}
		})
	}
}

// bothSides is what a target hears of the two sides of a bench, the second of which takes the connection
// that the first left: a database that was selected stays so; after an error nobody knows which one is.
func bothSides(told, reply string) (calls []string) {
	if told == "" {
		return nil
	}
	calls = strings.Split(told, "; ")
	second := append([]string(nil), calls...)
	isSelect := func(call string) bool { return strings.HasPrefix(call, "SELECT ") }
	switch {
	case reply == "OK":
		second = slices.DeleteFunc(second, isSelect)
	case strings.HasPrefix(reply, "-ERR Target") && !slices.ContainsFunc(second, isSelect):
		at := slices.IndexFunc(second, func(call string) bool { return strings.HasPrefix(call, "RESTORE") })
		second = slices.Insert(second, at, "SELECT 0")
	}
	return append(calls, second...)
}

func TestConnectionsAreKept(t *testing.T) {
	s := newTarget(t)
	client, m := bench(t, false)
	migrate := func(words ...string) string {
		t.Helper()
		client.Do("SET", "k", "v")
		done := client.Do(append([]string{"MIGRATE", "127.0.0.1", s.port(), "k"}, words...)...)
		reply, _, _ := strings.Cut(done.String(), "\n")
		return reply
	}
	require.Equal(t, "OK", migrate("0", "1000"))
	require.Equal(t, "OK", migrate("0", "1000"))
	_, conns := s.told()
	require.Equal(t, 1, conns, "one connection serves all")
	require.Equal(t, 1, m.Idle())

	// A kept connection that the target closed meanwhile is no error.
	s.hangUp()
	require.Equal(t, "OK", migrate("0", "1000"))
	calls, conns := s.told()
	require.Equal(t, 1, conns)
	require.Equal(t, []string{"RESTORE k 0 PAYLOAD", "RESTORE k 0 PAYLOAD"}, calls, "said once to each side's")

	// One on which time ran out is not kept: its reply may still come.
	s.mu.Lock()
	s.answer = func([]string) string { return "" }
	s.mu.Unlock()
	require.Equal(t, "-IOERR error or timeout reading to target instance", migrate("0", "50"))
	require.Zero(t, m.Idle())
	s.mu.Lock()
	s.answer = func([]string) string { return "+OK" }
	s.mu.Unlock()
	require.Equal(t, "OK", migrate("0", "1000", "REPLACE"))

	// They end when nobody needs them.
	m.dropIdle(time.Now().Add(idleFor - time.Second))
	require.Equal(t, 1, m.Idle())
	m.dropIdle(time.Now().Add(idleFor + time.Second))
	require.Zero(t, m.Idle())
}

func TestIdleConnectionsAreBounded(t *testing.T) {
	s := newTarget(t)
	_, m := bench(t, false)
	var all []*conn
	for range maxIdle + 5 {
		c, err := m.take(s.Addr().String(), time.Second)
		require.NoError(t, err)
		all = append(all, c)
	}
	for _, c := range all {
		m.keep(c)
	}
	require.Equal(t, maxIdle, m.Idle())
	m.Close()
	require.Zero(t, m.Idle())
	m.keep(all[len(all)-1])
	require.Zero(t, m.Idle(), "nothing is kept by a mover that has ended")
}

func TestAddresses(t *testing.T) {
	for _, c := range [][3]string{{"host", "1", "host:1"}, {"127.0.0.1", "6379", "127.0.0.1:6379"}, {"::1", "6379", "[::1]:6379"}, {"[::1]", "6379", "[::1]:6379"}} {
		require.Equal(t, c[2], address(c[0], c[1]))
	}
}

func TestKeysOfMigrate(t *testing.T) {
	table, err := command.New(nil, Commands(nil))
	require.NoError(t, err)
	for call, want := range map[string]string{
		"MIGRATE h 1 k 0 1":                              "k",
		"MIGRATE h 1 k 0 1 COPY REPLACE":                 "k",
		"MIGRATE h 1 '' 0 1 KEYS a b":                    "a b",
		"MIGRATE h 1 '' 0 1 COPY AUTH KEYS KEYS a":       "a",
		"MIGRATE h 1 '' 0 1 AUTH2 KEYS KEYS KEYS a KEYS": "a KEYS",
		"MIGRATE h 1 '' 0 1":                             "",
	} {
		argv, ok := resp.SplitArgs([]byte(call), nil)
		require.True(t, ok)
		refs, ok := table.Get("MIGRATE").KeysOf(argv, nil, false)
		require.True(t, ok, call)
		var keys []string
		for _, r := range refs {
			keys = append(keys, string(argv[r.Index]))
		}
		require.Equal(t, want, strings.Join(keys, " "), call)
	}
}
