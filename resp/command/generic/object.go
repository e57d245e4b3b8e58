package generic

import (
	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store"
)

// inspect finds the key of an OBJECT command without touching it or publishing a miss; it
// answers nil when there is none.
func inspect(c *command.Ctx) (store.Entry, bool) {
	e, found := c.Txn.Lookup(c.Argv[2], store.NoTouch)
	if !found {
		c.Out.Null()
	}
	return e, found
}

func objectEncoding(c *command.Ctx) {
	if e, found := inspect(c); found {
		c.Out.BulkString(e.Encoding().String())
	}
}

// objectRefCount answers one: values are not shared here, not even small numbers.
func objectRefCount(c *command.Ctx) {
	if _, found := inspect(c); found {
		c.Out.Int(1)
	}
}

func (f family) objectIdleTime(c *command.Ctx) {
	e, found := inspect(c)
	switch {
	case !found:
	case f.LFU():
		c.Fail(resp.ErrLFU)
	default:
		c.Out.Int(e.IdleSeconds())
	}
}

func (f family) objectFreq(c *command.Ctx) {
	e, found := inspect(c)
	switch {
	case !found:
	case !f.LFU():
		c.Fail(resp.ErrNotLFU)
	default:
		c.Out.Int(int64(e.Freq()))
	}
}

func objectHelp(c *command.Ctx) {
	c.Help(
		"ENCODING <key>",
		"    Name the layout in which the value at <key> is kept.",
		"FREQ <key>",
		"    Tell how often <key> is used, as a logarithm. Needs an LFU maxmemory-policy.",
		"IDLETIME <key>",
		"    Tell how many seconds ago <key> was last used. Not with an LFU maxmemory-policy.",
		"REFCOUNT <key>",
		"    Tell how many references the value at <key> has.",
	)
}
