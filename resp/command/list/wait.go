package list

import (
	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store/value"
)

func (f family) blpop(c *command.Ctx) { f.blockingPop(c, true) }
func (f family) brpop(c *command.Ctx) { f.blockingPop(c, false) }

func (f family) blockingPop(c *command.Ctx, front bool) {
	last := len(c.Argv) - 1
	timeoutMs, ok := c.TimeoutSeconds(last)
	if !ok {
		return
	}
	ed, found, ok := f.firstOf(c, c.Argv[1:last])
	switch {
	case !ok:
	case !found:
		c.WaitFor(c.Argv[1:last], value.List, timeoutMs, (*resp.Writer).NullArray)
	default:
		c.Out.Array(2)
		c.Out.Bulk(ed.key)
		ed.take(1, front)
		c.PropagateAs(popWord(front), ed.key)
	}
}

func (f family) blmpop(c *command.Ctx) {
	p, ok := c.ManyPop(2, "LEFT", "RIGHT")
	if !ok {
		return
	}
	timeoutMs, ok := c.TimeoutSeconds(1)
	if ok && !f.popFrom(c, &p) {
		c.WaitFor(p.Keys, value.List, timeoutMs, (*resp.Writer).NullArray)
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
	timeoutMs, ok := c.TimeoutSeconds(5)
	if !ok {
		return
	}
	if !f.move(c, from, to) {
		c.WaitFor(c.Argv[1:2], value.List, timeoutMs, (*resp.Writer).Null)
	} else if c.Err == "" {
		c.PropagateAs(wordLMove, c.Argv[1], c.Argv[2], c.Argv[3], c.Argv[4])
	}
}

func (f family) brpoplpush(c *command.Ctx) {
	timeoutMs, ok := c.TimeoutSeconds(3)
	if !ok {
		return
	}
	if !f.move(c, false, true) {
		c.WaitFor(c.Argv[1:2], value.List, timeoutMs, (*resp.Writer).Null)
	} else if c.Err == "" {
		c.PropagateAs(wordRPopLPush, c.Argv[1], c.Argv[2])
	}
}
