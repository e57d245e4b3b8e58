package list

import (
	"math"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store/value"
)

func (f family) blpop(c *command.Ctx) { f.blockingPop(c, true) }
func (f family) brpop(c *command.Ctx) { f.blockingPop(c, false) }

func (f family) blockingPop(c *command.Ctx, front bool) {
	last := len(c.Argv) - 1
	timeoutMs, ok := timeout(c, last)
	if !ok {
		return
	}
	ed, found, ok := f.firstOf(c, c.Argv[1:last])
	switch {
	case !ok:
	case !found:
		park(c, c.Argv[1:last], timeoutMs, (*resp.Writer).NullArray)
	default:
		c.Out.Array(2)
		c.Out.Bulk(ed.key)
		ed.take(1, front)
		c.PropagateAs(popWord(front), ed.key)
	}
}

func (f family) blmpop(c *command.Ctx) {
	var p popCall
	if !p.parse(c, 2) {
		return
	}
	timeoutMs, ok := timeout(c, 1)
	if ok && !f.popFrom(c, &p) {
		park(c, p.keys, timeoutMs, (*resp.Writer).NullArray)
	}
}

func (f family) blmove(c *command.Ctx) {
	from, ok := isLeft(c, 3)
	if !ok {
		return
	}
	to, ok := isLeft(c, 4)
	if !ok {
		return
	}
	timeoutMs, ok := timeout(c, 5)
	if !ok {
		return
	}
	if !f.move(c, from, to) {
		park(c, c.Argv[1:2], timeoutMs, (*resp.Writer).Null)
	} else if c.Err == "" {
		c.PropagateAs(wordLMove, c.Argv[1], c.Argv[2], c.Argv[3], c.Argv[4])
	}
}

func (f family) brpoplpush(c *command.Ctx) {
	timeoutMs, ok := timeout(c, 3)
	if !ok {
		return
	}
	if !f.move(c, false, true) {
		park(c, c.Argv[1:2], timeoutMs, (*resp.Writer).Null)
	} else if c.Err == "" {
		c.PropagateAs(wordRPopLPush, c.Argv[1], c.Argv[2])
	}
}

// timeout reads argv[i] as seconds and gives ms, 0 for ever.
func timeout(c *command.Ctx, i int) (ms int64, ok bool) {
	seconds, ok := value.ParseScore(c.Argv[i])
	switch {
	case !ok:
		c.Fail(resp.ErrTimeoutNotFloat)
	case seconds < 0:
		c.Fail(resp.ErrTimeoutNegative)
	case seconds*1000 > math.MaxInt64-float64(c.Txn.Now()):
		c.Fail(resp.ErrTimeoutOutOfRange)
	default:
		return int64(math.Ceil(seconds * 1000)), true
	}
	return 0, false
}

// park waits for one of keys to get an element. Inside a transaction or a script the
// time is up at once: then nothing answers, but in the form that nested says.
func park(c *command.Ctx, keys [][]byte, timeoutMs int64, nested func(*resp.Writer)) {
	if c.Nested > 0 {
		nested(c.Out)
		return
	}
	c.Park(command.Park{Keys: keys, Type: value.List, TimeoutMs: timeoutMs, TimedOut: (*resp.Writer).NullArray})
}
