package node

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A stage plays a script with several clients against one server. A line "a: SUBSCRIBE x" has
// client a send a request; what every client got by it is noted as it came over the wire. The
// clients are asked for a mark after each line, so nothing has to be waited for.
type stage struct {
	t       testing.TB
	addr    string
	clients map[string]*actor
	names   []string
	marks   int
}

type actor struct {
	*client
	queueing bool // between MULTI and EXEC: a mark would be queued
	mute     bool // CLIENT REPLY OFF: there is no mark
}

// play returns the script's lines, each with what came.
func (s *stage) play(script string) (out []string) {
	for line := range strings.Lines(script) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, request, _ := strings.Cut(line, ": ")
		words := strings.Fields(request)
		for i := range words {
			if words[i] == `""` {
				words[i] = ""
			}
		}
		a := s.actor(name)
		a.send(words...)
		verb := strings.ToUpper(words[0])
		switch {
		case verb == "EXEC" || verb == "DISCARD" || verb == "RESET":
			a.queueing = false
		case verb == "CLIENT" && len(words) > 2 && strings.EqualFold(words[1], "REPLY"):
			a.mute = strings.EqualFold(words[2], "OFF")
		}
		note := line
		if a.queueing {
			note += "\n  " + name + "> " + rawValue(s.t, a.r)
		}
		a.queueing = a.queueing || verb == "MULTI"
		if verb == "MULTI" {
			note += "\n  " + name + "> " + rawValue(s.t, a.r)
		}
		// Whoever acted first: when it has its reply, the others have their messages.
		for _, name := range append([]string{name}, without(s.names, name)...) {
			for _, got := range s.mark(s.clients[name]) {
				if verb == "HELLO" {
					got, _, _ = strings.Cut(got, " ") // it tells versions
				}
				note += "\n  " + name + "> " + got
			}
		}
		out = append(out, note)
	}
	return out
}

func without(names []string, name string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == name })
}

func (s *stage) actor(name string) *actor {
	if a := s.clients[name]; a != nil {
		return a
	}
	a := &actor{client: dialTo(s.t, "tcp", s.addr)}
	s.clients[name] = a
	s.names = append(s.names, name)
	return a
}

// mark reads what a has got so far.
func (s *stage) mark(a *actor) (got []string) {
	if a.queueing || a.mute {
		return nil
	}
	s.marks++
	mark := fmt.Sprintf("mark-%d", s.marks)
	a.send("PING", mark)
	require.NoError(s.t, a.SetReadDeadline(time.Now().Add(patience)))
	for {
		v := rawValue(s.t, a.r)
		if strings.Contains(v, mark) {
			return got
		}
		got = append(got, v)
	}
}

// rawValue reads one value and returns its bytes, line ends as spaces.
func rawValue(t testing.TB, r *bufio.Reader) string {
	t.Helper()
	line, err := r.ReadString('\n')
	require.NoError(t, err)
	out := strings.TrimSpace(line)
	n, _ := strconv.Atoi(out[1:])
	switch out[0] {
	case '$', '=':
		if n >= 0 {
			b := make([]byte, n+2)
			_, err := io.ReadFull(r, b)
			require.NoError(t, err)
			out += " " + string(b[:n])
		}
	case '%':
		n *= 2
		fallthrough
	case '*', '>', '~':
		for range n {
			out += " " + rawValue(t, r)
		}
	}
	return out
}

// sameAsRedis plays the scripts of a file against a node and a real server: every byte must agree.
func sameAsRedis(t *testing.T, path string) {
	src, err := os.ReadFile(path)
	require.NoError(t, err)
	args := []string{"notify-keyspace-events", ""}
	ours := serve(t, args...)
	_, real := realRedis(t, "--notify-keyspace-events", "", "--enable-debug-command", "yes")
	for _, script := range strings.Split(string(src), "\n---\n") {
		title, body, _ := strings.Cut(strings.TrimSpace(script), "\n")
		t.Run(strings.TrimLeft(title, "# "), func(t *testing.T) {
			one := &stage{t: t, addr: "127.0.0.1:" + strconv.Itoa(ours.port), clients: map[string]*actor{}}
			two := &stage{t: t, addr: "127.0.0.1:" + strconv.Itoa(real), clients: map[string]*actor{}}
			for _, s := range []*stage{one, two} {
				c := dialTo(t, "tcp", s.addr)
				for _, words := range [][]string{{"FLUSHALL"}, {"CONFIG", "SET", "notify-keyspace-events", ""}} {
					require.Equal(t, "OK", c.do(words...))
				}
			}
			got, want := one.play(body), two.play(body)
			require.Equal(t, strings.Join(want, "\n"), strings.Join(got, "\n"))
			for _, s := range []*stage{one, two} {
				for _, a := range s.clients {
					_ = a.Close()
				}
			}
		})
	}
}

func TestPubSubLikeRedis(t *testing.T)         { sameAsRedis(t, "testdata/pubsub.txt") }
func TestKeyspaceEventsLikeRedis(t *testing.T) { sameAsRedis(t, "testdata/events.txt") }
func TestTrackingLikeRedis(t *testing.T)       { sameAsRedis(t, "testdata/tracking.txt") }

func TestPubSubNumbers(t *testing.T) {
	n := serve(t)
	sub, other := n.dial(), n.dial()
	sub.do("CLIENT", "SETNAME", "listener")
	sub.do("SUBSCRIBE", "a")
	sub.send("SUBSCRIBE", "b")
	sub.read()
	sub.do("PSUBSCRIBE", "p*")
	sub.do("SSUBSCRIBE", "s")
	list := other.do("CLIENT", "LIST", "TYPE", "pubsub")
	assert.Contains(t, list, "name=listener")
	assert.Contains(t, list, " flags=P ")
	assert.Contains(t, list, " sub=2 psub=1 ssub=1 ")
	assert.Equal(t, 1, strings.Count(list, "id="))
	for field, want := range map[string]string{
		"pubsub_channels": "2", "pubsub_patterns": "1", "pubsubshard_channels": "1", "pubsub_clients": "1",
	} {
		assert.Equal(t, want, other.info(field), field)
	}
	assert.NotEqual(t, "0", other.info("pubsub_subscription_bytes"))
	assert.Equal(t, "1", other.do("CLIENT", "KILL", "TYPE", "pubsub"))
	sub.closed()
	eventually(t, func() bool { return other.info("pubsub_clients") == "0" }, "the killed client is forgotten")
	assert.Equal(t, "0", other.info("pubsub_channels"))
	assert.Equal(t, "0", other.info("pubsub_subscription_bytes"))
}

// A subscriber that does not read is closed by the limit of its class, and nobody waits for it.
func TestPubSubOutputLimit(t *testing.T) {
	n := serve(t, "client-output-buffer-limit", "pubsub 1mb 0 0")
	slow, quick, pub := n.dial(), n.dial(), n.dial()
	slow.do("SUBSCRIBE", "c")
	quick.do("SUBSCRIBE", "c")
	message := strings.Repeat("x", 100<<10)
	sent := 0
	for pub.info("pubsub_clients") == "2" {
		require.Less(t, sent, 1000, "the slow subscriber is never closed")
		pub.do("PUBLISH", "c", message)
		require.Equal(t, "[message c "+message+"]", quick.read())
		sent++
	}
	assert.Equal(t, "1", pub.info("client_output_buffer_limit_disconnections"))
	assert.Equal(t, "1", pub.do("PUBLISH", "c", "x"))
}

// A message longer than any buffer reaches everybody whole.
func TestPubSubLongMessage(t *testing.T) {
	n := serve(t)
	pub := n.dial()
	var subs []*client
	for range 3 {
		s := n.dial()
		s.do("SUBSCRIBE", "c")
		subs = append(subs, s)
	}
	message := strings.Repeat("0123456789abcdef", 200<<10)
	for range 2 {
		require.Equal(t, "3", pub.do("PUBLISH", "c", message))
	}
	require.Equal(t, "3", pub.do("PUBLISH", "c", "short"))
	for _, s := range subs {
		for range 2 {
			require.Equal(t, "[message c "+message+"]", s.read())
		}
		require.Equal(t, "[message c short]", s.read())
	}
}

// What a primary is told reaches the subscribers of its replica.
func TestPublishReachesReplicas(t *testing.T) {
	primary := serve(t)
	replica := serve(t, "replicaof", "127.0.0.1 "+strconv.Itoa(primary.port))
	sub, pub := replica.dial(), primary.dial()
	eventually(t, func() bool { return sub.info("master_link_status") == "up" }, "the link is up")
	sub.do("SUBSCRIBE", "c")
	require.Equal(t, "0", pub.do("PUBLISH", "c", "hello"))
	require.Equal(t, "[message c hello]", sub.read())
	pub.do("MULTI")
	pub.do("SET", "k", "v")
	pub.do("PUBLISH", "c", "within")
	pub.do("SPUBLISH", "c", "nobody")
	require.Equal(t, "[OK 0 0]", pub.do("EXEC"))
	require.Equal(t, "[message c within]", sub.read())
	require.Equal(t, "1", replica.dial().do("PUBLISH", "c", "own"))
	require.Equal(t, "[message c own]", sub.read())
}

// Publishers, subscribers that come and go, and a change of protocol at once: nobody reads a torn
// message or one in the wrong protocol, and each publisher's messages come in order.
func TestPubSubUnderFire(t *testing.T) {
	n := serve(t, "io-threads", "2")
	const publishers, each = 3, 400
	var stop atomic.Bool
	var coming, publishing sync.WaitGroup
	steady := n.dial()
	steady.do("HELLO", "3")
	steady.do("PSUBSCRIBE", "c*")
	for i := range 4 {
		coming.Go(func() {
			for !stop.Load() {
				c := n.dial()
				proto := strconv.Itoa(2 + i%2)
				c.send("HELLO", proto)
				rawValue(t, c.r)
				c.send("SUBSCRIBE", "c0", "c1")
				for range 20 {
					v := rawValue(t, c.r)
					if want := map[string]byte{"2": '*', "3": '>'}[proto]; v[0] != want {
						assert.Failf(t, "wrong form", "%q for a client of RESP%s", v, proto)
						return
					}
					if stop.Load() {
						break
					}
				}
				_ = c.Close()
			}
		})
	}
	for p := range publishers {
		publishing.Go(func() {
			c := n.dial()
			for i := range each {
				c.do("PUBLISH", "c"+strconv.Itoa(i%2), fmt.Sprintf("%d.%d", p, i))
			}
		})
	}
	next := [publishers]int{}
	for range publishers * each {
		v := rawValue(t, steady.r)
		var p, i int
		_, err := fmt.Sscanf(v[strings.LastIndexByte(v, ' ')+1:], "%d.%d", &p, &i)
		require.NoError(t, err, v)
		require.Equal(t, next[p], i)
		next[p]++
	}
	publishing.Wait()
	stop.Store(true)
	last := n.dial()
	for done := make(chan struct{}); ; {
		go func() { coming.Wait(); close(done) }()
		for {
			select {
			case <-done:
				return
			default:
				last.do("PUBLISH", "c0", "0.0") // whoever waits for one more message gets it
			}
		}
	}
}

// Since 7.2 a client that publishes to itself gets its message behind the reply, and behind all
// of EXEC's; so do the events of its own writes.
func TestOwnMessagesComeBehindTheReply(t *testing.T) {
	n := serve(t, "notify-keyspace-events", "E$")
	s := &stage{t: t, addr: "127.0.0.1:" + strconv.Itoa(n.port), clients: map[string]*actor{}}
	got := s.play(`
		a: HELLO 3
		a: SUBSCRIBE foo __keyevent@0__:set
		a: PUBLISH foo x
		a: MULTI
		a: SET k v
		a: PUBLISH foo y
		a: PING z
		a: EXEC
	`)
	require.Equal(t, "a: PUBLISH foo x\n  a> :1\n  a> >3 $7 message $3 foo $1 x", got[2])
	require.Equal(t, "a: EXEC\n  a> *3 +OK :1 $1 z\n"+
		"  a> >3 $7 message $18 __keyevent@0__:set $1 k\n  a> >3 $7 message $3 foo $1 y", got[7])

	// The same in one pipeline: each message right behind the reply it belongs to.
	c := n.dial()
	c.send("HELLO", "3")
	c.read()
	c.do("SUBSCRIBE", "bar")
	_, err := io.WriteString(c, request("PUBLISH", "bar", "1")+request("PUBLISH", "bar", "2")+request("PING"))
	require.NoError(t, err)
	for _, want := range []string{"1", "[message bar 1]", "1", "[message bar 2]", "PONG"} {
		require.Equal(t, want, c.read())
	}
}

// The last messages of a subscription come before the confirmation of its end.
func TestNothingFollowsUnsubscribe(t *testing.T) {
	n := serve(t, "io-threads", "2")
	var stop atomic.Bool
	var publishing sync.WaitGroup
	for range 2 {
		c := n.dial()
		publishing.Go(func() {
			for !stop.Load() {
				c.do("PUBLISH", "c", "x")
			}
		})
	}
	sub := n.dial()
	for range 300 {
		sub.do("SUBSCRIBE", "c")
		sub.send("UNSUBSCRIBE", "c")
		sub.send("GET", "k")
		for got := sub.read(); got != "[unsubscribe c 0]"; got = sub.read() {
			require.Equal(t, "[message c x]", got)
		}
		require.Equal(t, "(nil)", sub.read())
	}
	stop.Store(true)
	publishing.Wait()
}
