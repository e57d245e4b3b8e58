package dispatch_test

import (
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sextantdb/sextant/resp"
)

func TestReadersOfAStreamAllGetTheEntry(t *testing.T) {
	r := newRig(t, nil, nil)
	c := r.dial()
	c.send("XADD s 1-1 a 1").want("$3", "1-1")
	one := r.dial().waits(r, "XREAD BLOCK 0 STREAMS s $")
	two := r.dial().waits(r, "XREAD BLOCK 0 COUNT 5 STREAMS t s $ 1-1")
	three := r.dial().waits(r, "XREAD BLOCK 0 STREAMS s 1-3")
	entry := []string{"*1", "*2", "$1", "s", "*1", "*2", "$3", "1-2", "*2", "$1", "a", "$1", "2"}
	c.send("XADD s 1-2 a 2").want("$3", "1-2")
	one.want(entry...)
	two.want(entry...)
	assert.EqualValues(t, 1, r.d.Stats.Blocked.Load(), "what the third waits for has not come")

	// Neither an entry that is gone by the end of the unit, nor another type, nor nothing.
	c.send("MULTI", "XADD s 1-9 a 9", "XDEL s 1-9", "EXEC").want("+OK", "+QUEUED", "+QUEUED", "*2", "$3", "1-9", ":1")
	c.send("XACK s g 1-1", "DEL s", "SET s v", "DEL s").want(":0", ":1", "+OK", ":1")
	assert.EqualValues(t, 1, r.d.Stats.Blocked.Load())
	c.send("XADD s 1-3 a 3", "XADD s 1-4 a 4").want("$3", "1-3", "$3", "1-4")
	three.want("*1", "*2", "$1", "s", "*1", "*2", "$3", "1-4", "*2", "$1", "a", "$1", "4")
	r.nobodyWaits()
}

func TestConsumersTakeTurns(t *testing.T) {
	r := newRig(t, nil, nil)
	c := r.dial()
	c.send("XGROUP CREATE s g $ MKSTREAM").want("+OK")
	r.tape.take()
	alice := r.dial().waits(r, "XREADGROUP GROUP g alice COUNT 1 BLOCK 0 STREAMS s >")
	bob := r.dial().waits(r, "XREADGROUP GROUP g bob COUNT 1 BLOCK 0 STREAMS s >")
	assert.Equal(t, "XGROUP CREATECONSUMER s g alice\n--\nXGROUP CREATECONSUMER s g bob\n--", r.tape.take())
	c.send("XADD s 1-1 a 1").want("$3", "1-1")
	alice.want("*1", "*2", "$1", "s", "*1", "*2", "$3", "1-1", "*2", "$1", "a", "$1", "1")
	alice.waits(r, "XREADGROUP GROUP g alice COUNT 1 BLOCK 0 STREAMS s >")
	c.send("XADD s 1-2 a 2").want("$3", "1-2")
	bob.want("*1", "*2", "$1", "s", "*1", "*2", "$3", "1-2", "*2", "$1", "a", "$1", "2")
	c.send("XADD s 1-3 a 3", "XPENDING s g").want("$3", "1-3", "*4", ":3", "$3", "1-1", "$3", "1-3", "*2",
		"*2", "$5", "alice", "$1", "2", "*2", "$3", "bob", "$1", "1")
	alice.want("*1", "*2", "$1", "s", "*1", "*2", "$3", "1-3", "*2", "$1", "a", "$1", "3")
	r.nobodyWaits()
	assert.Equal(t, `XADD s 1-1 a 1
--
XCLAIM s g alice 0 1-1 TIME <now> RETRYCOUNT 1 FORCE JUSTID LASTID 1-1
XGROUP SETID s g 1-1 ENTRIESREAD 1
--
XADD s 1-2 a 2
--
XCLAIM s g bob 0 1-2 TIME <now> RETRYCOUNT 1 FORCE JUSTID LASTID 1-2
XGROUP SETID s g 1-2 ENTRIESREAD 2
--
XADD s 1-3 a 3
--
XCLAIM s g alice 0 1-3 TIME <now> RETRYCOUNT 1 FORCE JUSTID LASTID 1-3
XGROUP SETID s g 1-3 ENTRIESREAD 3
--`, regexp.MustCompile(`TIME \d+`).ReplaceAllString(r.tape.take(), "TIME <now>"))
}

// A consumer is told when what it waits for can no longer come.
func TestConsumersAreToldThatTheGroupIsGone(t *testing.T) {
	gone := "-" + string(resp.ErrXReadGroupNoGroup([]byte("s"), []byte("g")))
	for end, told := range map[string]string{
		"DEL s": gone, "UNLINK s": gone, "XGROUP DESTROY s g": gone, "RENAME s z": gone, "FLUSH": "-" + string(resp.ErrXReadGroupNoGroup([]byte("other"), []byte("g"))),
		"PEXPIRE s 1": gone,
		"MULTI\r\nDEL s\r\nXADD s 9-9 a b\r\nEXEC": gone, "SET s v": "-" + string(resp.ErrWrongType),
	} {
		r := newRig(t, nil, nil)
		c := r.dial()
		c.send("XGROUP CREATE s g $ MKSTREAM", "XGROUP CREATE other g $ MKSTREAM", "XGROUP CREATE s h $").want("+OK", "+OK", "+OK")
		w := r.dial().waits(r, "XREADGROUP GROUP g w BLOCK 0 STREAMS other s > >")
		// What does not touch the group wakes, and parks again.
		c.send("XGROUP DESTROY s h", "XGROUP CREATECONSUMER s g x", "XGROUP DELCONSUMER s g x").want(":1", ":1", ":0")
		assert.EqualValues(t, 1, r.d.Stats.Blocked.Load())
		c.send(end)
		w.want(told)
		r.nobodyWaits()
	}
}

func TestReadersTimeOut(t *testing.T) {
	r := newRig(t, nil, nil)
	c, w := r.dial(), r.dial()
	c.send("XGROUP CREATE s g $ MKSTREAM").want("+OK")
	w.send("XREAD BLOCK 1 STREAMS s $").want("*-1")
	w.send("XREADGROUP GROUP g w BLOCK 1 STREAMS s >").want("*-1")
	w.send("MULTI", "XREAD BLOCK 0 STREAMS s $", "EXEC").want("+OK", "+QUEUED", "*1", "*-1")
	w.waits(r, "XREADGROUP GROUP g w BLOCK 0 STREAMS s >")
	r.d.UnblockAll(resp.ErrUnblockedForce, time.Now().UnixMilli())
	w.want("-" + string(resp.ErrUnblockedForce))
	r.nobodyWaits()
}
