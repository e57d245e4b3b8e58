package zset

import (
	"math"
	"strconv"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store/value"
)

const errCountPositive resp.Error = "ERR count should be greater than 0"

func (f family) zpopmin(c *command.Ctx) { f.zpop(c, false) }
func (f family) zpopmax(c *command.Ctx) { f.zpop(c, true) }

func (f family) zpop(c *command.Ctx, highest bool) {
	if len(c.Argv) > 3 {
		c.Fail(resp.ErrSyntax)
		return
	}
	count, counted := int64(1), len(c.Argv) == 3
	if counted {
		var ok bool
		if count, ok = value.ParseInt(c.Argv[2]); !ok || count < 0 {
			c.Fail(resp.ErrMustBePositive)
			return
		}
	}
	ed, ok := open(c, c.Argv[1])
	if !ok {
		return
	}
	if !ed.found || count == 0 {
		c.Out.Array(0)
		return
	}
	n := min(count, int64(ed.z.Len()))
	nested := counted && c.Out.Proto >= resp.RESP3
	if nested {
		c.Out.Array(int(n))
	} else {
		c.Out.Array(int(2 * n))
	}
	ed.pop(int(n), highest, nested)
}

// pop answers n members from one end, the outermost first, and removes them. pairs: each is
// an array of its own.
func (ed *edit) pop(n int, highest, pairs bool) {
	c, size := ed.c, ed.z.Len()
	from, to := 0, n
	it := ed.z.From(0, false)
	if highest {
		from, to = size-n, size
		it = ed.z.From(size-1, true)
	}
	for range n {
		it.Next()
		if pairs {
			c.Out.Array(2)
		}
		c.Out.Bulk(it.Member())
		c.Out.Double(it.Score())
	}
	ed.begin()
	ed.z.RemoveRange(from, to)
	event := "zpopmin"
	if highest {
		event = "zpopmax"
	}
	ed.finish(true, event)
}

// popCall is a call of ZMPOP or BZMPOP.
type popCall struct {
	keys    [][]byte
	highest bool
	count   int64
}

// parse reads "numkeys key... MIN|MAX [COUNT n]" from argv[at] on. It reports false when it
// answered an error.
func (p *popCall) parse(c *command.Ctx, at int) bool {
	numKeys, ok := value.ParseInt(c.Argv[at])
	if !ok || numKeys < 1 {
		c.Fail(resp.ErrNumKeysPositive)
		return false
	}
	if numKeys > int64(len(c.Argv)) || at+1+int(numKeys) >= len(c.Argv) {
		c.Fail(resp.ErrSyntax)
		return false
	}
	where := at + 1 + int(numKeys)
	p.keys, p.count = c.Argv[at+1:where], -1
	switch {
	case command.Is(c.Argv[where], "MIN"):
	case command.Is(c.Argv[where], "MAX"):
		p.highest = true
	default:
		c.Fail(resp.ErrSyntax)
		return false
	}
	for i := where + 1; i < len(c.Argv); i += 2 {
		if p.count != -1 || i+1 == len(c.Argv) || !command.Is(c.Argv[i], "COUNT") {
			c.Fail(resp.ErrSyntax)
			return false
		}
		if p.count, ok = value.ParseInt(c.Argv[i+1]); !ok || p.count < 1 {
			c.Fail(errCountPositive)
			return false
		}
	}
	if p.count == -1 {
		p.count = 1
	}
	return true
}

// firstOf opens the first of keys that exists. found is false when none does; ok is false when
// it answered an error.
func firstOf(c *command.Ctx, keys [][]byte) (ed edit, found, ok bool) {
	for _, key := range keys {
		if ed, ok = open(c, key); !ok || ed.found {
			return ed, ed.found, ok
		}
	}
	return ed, false, true
}

// run pops from the first key that has members. It reports false when none has and nothing was
// answered. Replicas are told the one key and how many, whichever way the call was written.
func (p *popCall) run(c *command.Ctx) (done bool) {
	ed, found, ok := firstOf(c, p.keys)
	if !found {
		return !ok
	}
	n := min(p.count, int64(ed.z.Len()))
	c.Out.Array(2)
	c.Out.Bulk(ed.key)
	c.Out.Array(int(n))
	ed.pop(int(n), p.highest, true)
	c.PropagateAs(popWord(p.highest), ed.key, strconv.AppendInt(nil, n, 10))
	return true
}

func popWord(highest bool) []byte {
	if highest {
		return wordPopMax
	}
	return wordPopMin
}

func (f family) zmpop(c *command.Ctx) {
	var p popCall
	if p.parse(c, 1) && !p.run(c) {
		c.Out.NullArray()
	}
}

func (f family) bzmpop(c *command.Ctx) {
	var p popCall
	if !p.parse(c, 2) {
		return
	}
	timeoutMs, ok := timeout(c, 1)
	if ok && !p.run(c) {
		park(c, p.keys, timeoutMs)
	}
}

func (f family) bzpopmin(c *command.Ctx) { bzpop(c, false) }
func (f family) bzpopmax(c *command.Ctx) { bzpop(c, true) }

func bzpop(c *command.Ctx, highest bool) {
	last := len(c.Argv) - 1
	timeoutMs, ok := timeout(c, last)
	if !ok {
		return
	}
	ed, found, ok := firstOf(c, c.Argv[1:last])
	switch {
	case !ok:
	case !found:
		park(c, c.Argv[1:last], timeoutMs)
	default:
		c.Out.Array(3)
		c.Out.Bulk(ed.key)
		ed.pop(1, highest, false)
		c.PropagateAs(popWord(highest), ed.key)
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

// park waits for one of keys to get a member. Inside a transaction or a script the
// time is up at once.
func park(c *command.Ctx, keys [][]byte, timeoutMs int64) {
	if c.Nested > 0 {
		c.Out.NullArray()
		return
	}
	c.Park(command.Park{Keys: keys, Type: value.ZSet, TimeoutMs: timeoutMs, TimedOut: (*resp.Writer).NullArray})
}
