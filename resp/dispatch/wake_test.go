package dispatch_test

import (
	"bufio"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/dispatch"
	"github.com/sextantdb/sextant/resp/session"
	"github.com/sextantdb/sextant/store"
)

// waits sends a call that parks and returns once it stands in its queues.
func (c *dialed) waits(r *rig, line string) *dialed {
	c.t.Helper()
	before := r.d.Stats.Blocked.Load()
	c.send(line)
	require.Eventually(c.t, func() bool { return r.d.Stats.Blocked.Load() == before+1 }, 5*time.Second, time.Millisecond, line)
	return c
}

// nobodyWaits: the numbers are exact the moment the last one is served.
func (r *rig) nobodyWaits() {
	r.t.Helper()
	s := &r.d.Stats
	assert.Zero(r.t, s.Blocked.Load()+s.BlockedInTime.Load()+s.BlockingKeys.Load()+s.BlockingKeysOnNoKey.Load())
}

func TestWaitingClientsAreServedInOrderBehindThePush(t *testing.T) {
	r := newRig(t, nil, nil)
	first, second, third := r.dial().waits(r, "BLPOP k 0"), r.dial().waits(r, "BRPOP k 0"), r.dial().waits(r, "BLMPOP 0 1 k LEFT COUNT 2")
	assert.EqualValues(t, 1, r.d.Stats.BlockingKeys.Load())
	// The pusher's next command sees what is left, on whichever loop the others live.
	r.dial().send("RPUSH k a b c d e", "LRANGE k 0 -1").want(":5", "*1", "$1", "d")
	r.nobodyWaits()
	first.want("*2", "$1", "k", "$1", "a")
	second.want("*2", "$1", "k", "$1", "e")
	third.want("*2", "$1", "k", "*2", "$1", "b", "$1", "c")
	assert.Equal(t, "RPUSH k a b c d e\n--\nLPOP k\n--\nRPOP k\n--\nLPOP k 2\n--", r.tape.take())
}

func TestTransactionWakesAtItsEnd(t *testing.T) {
	r := newRig(t, nil, nil)
	z, l := r.dial().waits(r, "BZPOPMAX z 0"), r.dial().waits(r, "BLPOP l 0")
	r.dial().send("MULTI", "LPUSH l 1", "ZADD z 1 m", "DEL l", "LPUSH l 2", "LPUSH l 3", "BLPOP none 0", "EXEC").want(
		"+OK", "+QUEUED", "+QUEUED", "+QUEUED", "+QUEUED", "+QUEUED", "+QUEUED", "*6", ":1", ":1", ":1", ":1", ":2", "*-1")
	l.want("*2", "$1", "l", "$1", "3")
	z.want("*3", "$1", "z", "$1", "m", "$1", "1")
	// l was ready before z.
	assert.Equal(t, "LPUSH l 1\nZADD z 1 m\nDEL l\nLPUSH l 2\nLPUSH l 3\n--\nLPOP l\n--\nZPOPMAX z\n--", r.tape.take())
	r.nobodyWaits()
}

func TestOneWakesAnother(t *testing.T) {
	r := newRig(t, nil, nil)
	last := r.dial().waits(r, "BLPOP {s}c 0")
	middle := r.dial().waits(r, "BLMOVE {s}b c LEFT RIGHT 0")
	again := r.dial().waits(r, "BLMOVE {s}b {s}c LEFT RIGHT 0")
	one := r.dial().waits(r, "BRPOPLPUSH a {s}b 0")
	c := r.dial()
	c.send("RPUSH a x", "EXISTS a {s}b {s}c c").want(":1", ":1")
	one.want("$1", "x")
	middle.want("$1", "x")
	assert.Equal(t, "RPUSH a x\n--\nRPOPLPUSH a {s}b\n--\nLMOVE {s}b c LEFT RIGHT\n--", r.tape.take())
	c.send("RPUSH {s}b y").want(":1")
	again.want("$1", "y")
	last.want("*2", "$4", "{s}c", "$1", "y")
	r.nobodyWaits()
}

func TestEveryWayAKeyComesToBeWakes(t *testing.T) {
	for _, way := range []string{"RENAME src dst", "COPY src dst", "MOVE dst 0", "LMOVE src dst LEFT LEFT", "SWAP 0 1", "SET dst v"} {
		r := newRig(t, nil, nil)
		w, c := r.dial(), r.dial()
		c.send("RPUSH src x", "SELECT 1", "RPUSH dst y", "SELECT 0").want(":1", "+OK", ":1", "+OK")
		switch way {
		case "MOVE dst 0":
			w.waits(r, "BLPOP other dst 0")
			c.send("SELECT 1", "MOVE dst 0").want("+OK", ":1")
			w.want("*2", "$3", "dst", "$1", "y")
		case "SWAP 0 1":
			w.waits(r, "BLPOP other dst 0")
			c.send("SWAP 0 1").want("+OK")
			w.want("*2", "$3", "dst", "$1", "y")
		case "SET dst v": // not this one: the type is another
			w.waits(r, "BLPOP other dst 0")
			c.send(way, "DEL dst", "RPUSH other z").want("+OK", ":1", ":1")
			w.want("*2", "$5", "other", "$1", "z")
		default:
			w.waits(r, "BLPOP other dst 0")
			c.send(way)
			w.want("*2", "$3", "dst", "$1", "x")
		}
		r.nobodyWaits()
	}
}

// A list that has gone again, or has expired, by the end of the unit wakes nobody; a destination
// of another type does, with the error.
func TestWakingLooksAtTheKeyAsItIsThen(t *testing.T) {
	r := newRig(t, nil, nil)
	w, c := r.dial().waits(r, "BLMOVE k dst LEFT LEFT 0"), r.dial()
	c.send("MULTI", "RPUSH k x", "DEL k", "EXEC").want("+OK", "+QUEUED", "+QUEUED", "*2", ":1", ":1")
	c.send("MULTI", "RPUSH k x", "PEXPIREAT k 1", "EXEC").want("+OK", "+QUEUED", "+QUEUED", "*2", ":1", ":1")
	assert.EqualValues(t, 1, r.d.Stats.BlockingKeys.Load())
	c.send("SET dst v", "RPUSH k x", "LLEN k").want("+OK", ":1", ":1")
	w.want("-" + string(resp.ErrWrongType))
	r.nobodyWaits()
}

func TestWaitingEndsInEveryOtherWay(t *testing.T) {
	r := newRig(t, nil, nil)
	c := r.dial()
	c.send("BLPOP k k j 0.01", "GET none").want("*-1", "$-1")
	r.nobodyWaits()

	c.waits(r, "BLPOP k j k 1000")
	assert.EqualValues(t, 2, r.d.Stats.BlockingKeys.Load())
	assert.EqualValues(t, 1, r.d.Stats.BlockedInTime.Load())
	assert.True(t, r.d.Unblock(1, ""))
	c.want("*-1")
	r.nobodyWaits()
	assert.False(t, r.d.Unblock(1, ""))

	c.waits(r, "BZPOPMIN k 0")
	assert.True(t, r.d.Unblock(1, resp.ErrUnblocked))
	c.want("-" + string(resp.ErrUnblocked))
	r.nobodyWaits()

	gone := r.dial().waits(r, "BLPOP k j 0")
	require.NoError(t, gone.Close())
	require.Eventually(t, func() bool { return r.d.Stats.Blocked.Load() == 0 }, 5*time.Second, time.Millisecond)
	r.nobodyWaits()
	c.send("RPUSH k x", "RPUSH j x", "DEL k j").want(":1", ":1", ":2")

	c.waits(r, "BLPOP k j 0")
	r.d.UnblockAll(resp.ErrUnblockedForce, time.Now().UnixMilli())
	r.nobodyWaits()
	c.want("-" + string(resp.ErrUnblockedForce))
	n, err := c.Read(make([]byte, 1))
	assert.Zero(t, n)
	assert.Error(t, err, "the client is closed")
}

func TestReplyOfAWokenCallMayBeUnwanted(t *testing.T) {
	r := newRig(t, nil, nil)
	c, p := r.dial(), r.dial()
	c.send("REPLY skip").waits(r, "BLPOP k 0")
	p.send("RPUSH k x").want(":1")
	c.send("GET none").want("$-1")
	c.send("REPLY off").waits(r, "BLPOP k 0.01")
	c.send("REPLY on").want("+OK")
}

// What admission and routing say at the time of waking counts.
func TestWokenCallIsAdmittedAndRoutedAgain(t *testing.T) {
	sb := &switchboard{}
	r := newRig(t, sb, nil)
	w, c := r.dial().waits(r, "BLPOP k 0"), r.dial()
	a := r.d.NewApplier(session.Primary)
	push := func() { require.NoError(t, a.Apply([][]byte{[]byte("RPUSH"), []byte("k"), []byte("x")})) }
	r.d.SetGate(dispatch.GateReadOnly, true)
	push()
	w.want("-" + string(resp.ErrReadOnly))
	r.d.SetGate(dispatch.GateReadOnly, false)
	c.send("DEL k").want(":1")

	w.waits(r, "BLPOP k 0")
	sb.set(command.Verdict{Kind: command.Refuse, Err: resp.ErrMoved(7, "h", 1)})
	push()
	w.want("-MOVED 7 h:1")
	sb.set(command.Verdict{})
	c.send("DEL k").want(":1")

	// Nobody pushes: housekeeping sees that the slot is another node's.
	w.waits(r, "BLPOP k 0")
	sb.set(command.Verdict{Kind: command.Refuse, Err: resp.ErrMoved(7, "h", 1)})
	w.want("-MOVED 7 h:1")
	r.nobodyWaits()

	sb.set(command.Verdict{})
	w.waits(r, "BLPOP k 0")
	sb.set(command.Verdict{Kind: command.Migrating, Err: resp.ErrAsk(7, "h", 1)})
	push()
	w.want("*2", "$1", "k", "$1", "x")
	r.nobodyWaits()
}

// A woken call writes to no key that is being handed to another node: what it wrote would be lost.
func TestWokenCallWaitsForAKeyUnderWay(t *testing.T) {
	r := newRig(t, nil, nil)
	w, c := r.dial().waits(r, "BLMOVE src dst LEFT RIGHT 0"), r.dial()
	keys := [][]byte{[]byte("dst")}
	var x store.Txn
	x.BeginAll(r.s, time.Now().UnixMilli())
	r.d.HoldKeys(0, keys)
	x.End()
	r.tape.take()
	c.send("RPUSH src x", "LRANGE src 0 -1").want(":1", "*1", "$1", "x")
	require.Equal(t, "RPUSH src x\n--", r.tape.take())
	setAside := func() bool { return r.d.Stats.Blocked.Load() == 1 } // the ticket ended before the push was answered
	require.Eventually(t, setAside, 5*time.Second, time.Millisecond)
	r.d.LetKeysGo(0, keys)
	w.want("$1", "x")
	w.send("LRANGE dst 0 -1").want("*1", "$1", "x")
	r.nobodyWaits()

	// Its connection goes meanwhile.
	w.waits(r, "BLMOVE src dst LEFT RIGHT 0")
	x.BeginAll(r.s, time.Now().UnixMilli())
	r.d.HoldKeys(0, keys)
	x.End()
	c.send("RPUSH src y").want(":1")
	require.Eventually(t, setAside, 5*time.Second, time.Millisecond)
	require.NoError(t, w.Close())
	require.Eventually(t, func() bool { return r.d.Stats.Blocked.Load() == 0 }, 5*time.Second, time.Millisecond)
	r.d.LetKeysGo(0, keys)
	c.send("LLEN src").want(":1")
}

// WAITGONE waits for key to hold a list or to go, and says which.
func waitGone(c *command.Ctx) {
	if c.Txn.Exists(c.Argv[1]) {
		c.Park(command.Park{Keys: c.Argv[1:2], Missing: true, Again: [][]byte{[]byte("WAITGONE"), c.Argv[1], []byte("again")}})
		return
	}
	c.Out.Simple("gone " + string(c.Argv[len(c.Argv)-1]))
}

func TestWaitingForAKeyToGo(t *testing.T) {
	for _, end := range []string{"DEL k", "UNLINK k", "RENAME k j", "FLUSH", "EXPIRE", "MULTI\r\nSET k v\r\nDEL k\r\nEXEC"} {
		r := newRig(t, nil, nil)
		c := r.dial()
		c.send("RPUSH k x").want(":1")
		w := r.dial().waits(r, "WAITGONE k now")
		assert.EqualValues(t, 1, r.d.Stats.BlockingKeysOnNoKey.Load())
		c.send("RPUSH k y", "SET k v").want(":2", "+OK")
		assert.EqualValues(t, 1, r.d.Stats.Blocked.Load())
		switch end {
		case "EXPIRE":
			c.send("PEXPIRE k 1").want(":1") // found by housekeeping
		default:
			c.send(end)
		}
		w.want("+gone again")
		r.nobodyWaits()
	}
}

// Every element reaches one client, or stays: whatever pushes, time-outs and closed connections
// on two loops do to each other. The replies, and the stream played from the beginning, agree.
func TestNothingIsLostOrServedTwice(t *testing.T) {
	r := newRig(t, nil, nil)
	const pushers, takers, each = 3, 6, 300
	keys := []string{"a", "b", "c", "d"} // in several stripes
	var got sync.Map
	var n atomic.Int64
	var push, take sync.WaitGroup
	done := make(chan struct{})
	for i := range takers {
		take.Go(func() {
			for {
				conn, err := net.Dial("tcp", r.srv.TCPAddrs()[0].String())
				if err != nil {
					t.Error(err)
					return
				}
				in := bufio.NewReader(conn)
				for range 50 {
					select {
					case <-done:
						_ = conn.Close()
						return
					default:
					}
					k := append(append([]string{}, keys[i%4:]...), keys[:i%4]...)
					fmt.Fprintf(conn, "BLPOP %s 0.00%d\r\n", strings.Join(k[:1+i%4], " "), 1+i)
					line, err := in.ReadString('\n')
					if err != nil {
						t.Error(err)
						return
					}
					if line == "*-1\r\n" {
						continue
					}
					for range 3 {
						_, _ = in.ReadString('\n')
					}
					element, _ := in.ReadString('\n')
					if _, twice := got.LoadOrStore(strings.TrimSpace(element), true); twice {
						t.Errorf("%q twice", element)
					}
					n.Add(1)
				}
				_ = conn.Close()
			}
		})
	}
	for i := range pushers {
		push.Go(func() {
			conn, err := net.Dial("tcp", r.srv.TCPAddrs()[0].String())
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			in := bufio.NewReader(conn)
			for j := range each {
				fmt.Fprintf(conn, "RPUSH %s %d-%d\r\n", keys[(i+j)%4], i, j)
				if _, err := in.ReadString('\n'); err != nil {
					t.Error(err)
				}
			}
		})
	}
	push.Wait()
	left := func() (n int) {
		c := r.dial()
		for _, k := range keys {
			c.send("LLEN " + k)
		}
		in := bufio.NewReader(c)
		for range keys {
			line, _ := in.ReadString('\n')
			v, _ := strconv.Atoi(strings.TrimSpace(line[1:]))
			n += v
		}
		return n
	}
	assert.Eventually(t, func() bool { return left() == 0 && n.Load() == pushers*each }, 20*time.Second, 10*time.Millisecond)
	close(done)
	take.Wait()
	require.Eventually(t, func() bool { return r.d.Stats.Blocked.Load() == 0 }, 5*time.Second, time.Millisecond)
	r.nobodyWaits()

	// The stream played from the beginning: no pop comes before its push.
	size := map[string]int{}
	for _, line := range strings.Split(r.tape.take(), "\n") {
		switch f := strings.Fields(line); f[0] {
		case "RPUSH":
			size[f[1]]++
		case "LPOP":
			size[f[1]]--
			require.GreaterOrEqual(t, size[f[1]], 0, line)
		}
	}
}
