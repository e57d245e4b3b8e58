package generic

import (
	"math"

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

// Redis shares the values of numbers below sharedBelow, and says so by sharedRefs.
const (
	sharedBelow = 10_000
	sharedRefs  = math.MaxInt32
)

// objectRefCount answers what Redis would. No value here is shared: a small number costs no block of its own.
func (f family) objectRefCount(c *command.Ctx) {
	e, found := inspect(c)
	if !found {
		return
	}
	refs := int64(1)
	if n, ok := e.Int(); ok && n >= 0 && n < sharedBelow && f.Shared() {
		refs = sharedRefs
	}
	c.Out.Int(refs)
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
