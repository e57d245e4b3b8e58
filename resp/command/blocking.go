package command

import (
	"math"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/store/value"
)

// TimeoutSeconds reads argv[i] as a time to wait in seconds and gives milliseconds, 0 for ever. It answers the error.
func (c *Ctx) TimeoutSeconds(i int) (ms int64, ok bool) {
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

// TimeoutMs reads argv[i] as a time to wait in milliseconds, 0 for ever. It answers the error.
func (c *Ctx) TimeoutMs(i int) (ms int64, ok bool) {
	ms, ok = value.ParseInt(c.Argv[i])
	switch {
	case !ok:
		c.Fail(resp.ErrTimeoutNotInteger)
	case ms < 0:
		c.Fail(resp.ErrTimeoutNegative)
	case ms > math.MaxInt64-c.Txn.Now():
		c.Fail(resp.ErrTimeoutOutOfRange)
	default:
		return ms, true
	}
	return 0, false
}

// WaitFor parks the client until one of keys has a value of a type (see Park). Inside a transaction or a script the time is
// up at once: then nothing answers, but in the form that nested says.
func (c *Ctx) WaitFor(keys [][]byte, t value.Type, timeoutMs int64, nested func(*resp.Writer)) {
	if c.Nested > 0 {
		nested(c.Out)
		return
	}
	c.Park(Park{Keys: keys, Type: t, TimeoutMs: timeoutMs, TimedOut: (*resp.Writer).NullArray})
}

// ManyPop is a call of LMPOP, ZMPOP or their waiting forms: "numkeys key... side [COUNT n]".
type ManyPop struct {
	Keys  [][]byte
	First bool // the side is the first of the two there are
	Count int64
}

// ManyPop reads one from argv[at] on, with the names of the sides. ok is false when it answered an error.
func (c *Ctx) ManyPop(at int, first, second string) (p ManyPop, ok bool) {
	numKeys, ok := value.ParseInt(c.Argv[at])
	if !ok || numKeys < 1 {
		c.Fail(resp.ErrNumKeysPositive)
		return p, false
	}
	if numKeys >= int64(len(c.Argv)-at-1) {
		c.Fail(resp.ErrSyntax)
		return p, false
	}
	where := at + 1 + int(numKeys)
	p.Keys, p.Count = c.Argv[at+1:where], -1
	if p.First = Is(c.Argv[where], first); !p.First && !Is(c.Argv[where], second) {
		c.Fail(resp.ErrSyntax)
		return p, false
	}
	for i := where + 1; i < len(c.Argv); i += 2 {
		if p.Count != -1 || i+1 == len(c.Argv) || !Is(c.Argv[i], "COUNT") {
			c.Fail(resp.ErrSyntax)
			return p, false
		}
		if p.Count, ok = value.ParseInt(c.Argv[i+1]); !ok || p.Count < 1 {
			c.Fail(resp.ErrCountPositive)
			return p, false
		}
	}
	if p.Count == -1 {
		p.Count = 1
	}
	return p, true
}
