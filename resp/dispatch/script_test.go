package dispatch_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp/dispatch"
	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/slot"
)

// A worker that has begun to wait for stripes before it could see that a script comes has them before the script: else its
// loop would serve nobody until the script ends.
func TestScriptBeginsBehindThoseWhoWaitAlready(t *testing.T) {
	r := newRig(t, nil, nil)
	reader, runner := r.dial(), r.dial() // on two loops
	low, high := "a", "b"
	if mask := slot.Slot(r.s.Stripes() - 1); slot.OfString(low)&mask > slot.OfString(high)&mask {
		low, high = high, low
	}
	var held store.Txn
	held.Begin(r.s, time.Now().UnixMilli(), slot.OfString(low))
	reader.send("MGET " + low + " " + high) // waits for the stripe of low, and does not hold that of high yet
	require.Eventually(t, r.d.SomeoneWaits, 5*time.Second, time.Millisecond)
	runner.send("RUNSTALL " + high)
	require.Eventually(t, func() bool { return r.d.Scripts() == 1 }, 5*time.Second, time.Millisecond)
	var end chan func()
	select {
	case end = <-r.stall:
		t.Error("the script runs while a worker waits")
	case <-time.After(50 * time.Millisecond): // it would not be here; the wait only helps to catch it
	}
	held.End()
	if end == nil {
		reader.want("*2", "$-1", "$-1")
		end = <-r.stall
	}
	end <- func() {}
	runner.want("+OK")
}

// While a script runs nobody on another loop waits for its stripes without end: giving back watches, and ending a parked
// call, is tried again later.
func TestLoopsGoOnWhileAScriptHoldsStripes(t *testing.T) {
	r := newRig(t, nil, nil)
	a, b, c, d := r.dial(), r.dial(), r.dial(), r.dial() // a and c on one loop, b and d on the other
	for _, w := range []*dialed{a, b} {
		w.send("WATCH k").want("+OK")
	}
	parked := map[bool]*dialed{true: r.dial(), false: r.dial()}
	for _, w := range parked {
		w.send("BLPOP k 0.1") // ends meanwhile
	}
	require.Eventually(t, func() bool { return r.d.Stats.Blocked.Load() == 2 }, 5*time.Second, time.Millisecond)
	for _, w := range []*dialed{a, b, c, d} {
		w.send("GET other").want("$-1")
	}
	c.send("RUNSTALL k")
	end := <-r.stall
	require.NoError(t, b.Close())
	d.send("GET other").want("$-1")
	time.Sleep(150 * time.Millisecond) // the calls' time is over
	d.send("GET other").want("$-1")
	end <- func() {}
	c.want("+OK")
	for _, w := range parked {
		w.want("*-1")
	}
	require.NoError(t, a.Close())
	require.Eventually(t, func() bool { return r.watched() == 0 }, 5*time.Second, time.Millisecond)
}

// A push that wakes a client whose call wants what a script holds does not wait for it, nor does its loop: the client is served
// when the script has ended, before what is pushed later, and others meanwhile.
func TestLoopsGoOnWhileAScriptHoldsWhatAWokenCallWants(t *testing.T) {
	r := newRig(t, nil, nil)
	a, b, c, d := r.dial(), r.dial(), r.dial(), r.dial() // a and c on one loop, b and d on the other
	from, to := "x", "y"
	require.NotEqual(t, r.s.Stripe(slot.OfString(from)), r.s.Stripe(slot.OfString(to)))
	d.waits(r, "BLMOVE "+from+" "+to+" LEFT RIGHT 0")
	a.waits(r, "BLPOP "+from+" 0")
	c.send("RUNSTALL " + to)
	end := <-r.stall
	b.send("RPUSH "+from+" 1", "GET other").want(":1", "$-1")
	b.send("LLEN "+from, "RPUSH "+from+" 2", "GET other").want(":1", ":2", "$-1")
	end <- func() {}
	c.want("+OK")
	d.want("$1", "1")
	a.want("*2", "$1", from, "$1", "2")
	r.nobodyWaits()
	b.send("LLEN "+from, "LLEN "+to).want(":0", ":1")
}

// A script may write to keys it did not name, so that it waits while any key its stripes hold is handed to another node.
func TestScriptWaitsForKeysUnderWayThatItDidNotName(t *testing.T) {
	r := newRig(t, &switchboard{}, nil)
	a, b := r.dial(), r.dial()
	keys := [][]byte{[]byte("{k}b")}
	var x store.Txn
	x.BeginAll(r.s, time.Now().UnixMilli())
	r.d.HoldKeys(0, keys)
	x.End()
	a.send("RUN {k}a")
	require.Eventually(t, func() bool { return r.d.Stats.Blocked.Load() == 1 }, 5*time.Second, time.Millisecond)
	b.send("RUN elsewhere").want("+OK")
	r.d.LetKeysGo(0, keys)
	a.want("+OK")
}

// A call that waits for the end of a pause is the one that was not to be answered.
func TestReplyIsSkippedOfACallSetAside(t *testing.T) {
	r := newRig(t, nil, nil)
	a := r.dial()
	r.d.Pause(dispatch.PauseWrites, 1e6)
	a.send("REPLY skip", "SET k v", "GET k")
	require.Eventually(t, func() bool { return r.d.Stats.Blocked.Load() == 1 }, 5*time.Second, time.Millisecond)
	r.d.Unpause()
	a.want("$1", "v")
	a.send("GET k").want("$1", "v")
	assert.Zero(t, r.d.Stats.Blocked.Load())
}
