package generic

import (
	"math"
	"strconv"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/glob"
	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/value"
)

func del(c *command.Ctx) {
	n := int64(0)
	for _, key := range c.Argv[1:] {
		if c.Txn.Delete(key) {
			n++
			c.Notify(command.EventGeneric, "del", key)
		}
	}
	c.Out.Int(n)
}

func exists(c *command.Ctx) {
	n := int64(0)
	for _, key := range c.Argv[1:] {
		if _, found := c.Peek(key); found {
			n++
		}
	}
	c.Out.Int(n)
}

// touch touches also for a client that said NO-TOUCH: it is what the command is for.
func touch(c *command.Ctx) {
	n := int64(0)
	for _, key := range c.Argv[1:] {
		if _, found := c.Txn.Lookup(key, 0); found {
			n++
		} else {
			c.Notify(command.EventMiss, "keymiss", key)
		}
	}
	c.Out.Int(n)
}

func typeOf(c *command.Ctx) {
	if e, found := c.Peek(c.Argv[1]); found {
		c.Out.Simple(e.Type().String())
	} else {
		c.Out.Simple("none")
	}
}

// randomkey deletes the expired keys it comes upon, as any lookup does, and draws again.
func randomkey(c *command.Ctx) {
	view := c.Txn.View()
	var dead []byte
	for {
		if view == store.ViewPrimary {
			c.Txn.SetView(store.ViewStream)
		}
		e, found := c.Txn.RandomKey()
		c.Txn.SetView(view)
		switch {
		case !found:
			c.Out.Null()
			return
		case view != store.ViewPrimary || !expired(c, e):
			c.Out.Bulk(e.Key())
			return
		}
		dead = append(dead[:0], e.Key()...)
		c.Txn.Exists(dead)
	}
}

func keys(c *command.Ctx) {
	pattern := c.Argv[1]
	all := len(pattern) == 1 && pattern[0] == '*'
	m := c.Out.Defer()
	n := 0
	c.Txn.Keys(func(e store.Entry) bool {
		if all || glob.Match(pattern, e.Key()) {
			c.Out.Bulk(e.Key())
			n++
		}
		return !c.Out.Full()
	})
	c.Out.EndArray(m, n)
}

func scan(c *command.Ctx) {
	cursor, ok := parseCursor(c.Argv[1])
	if !ok {
		c.Fail(resp.ErrInvalidCursor)
		return
	}
	count := int64(10)
	var pattern []byte
	var typ value.Type
	typed, known := false, false
	for i := 2; i < len(c.Argv); i += 2 {
		word := c.Argv[i]
		switch {
		case i+1 == len(c.Argv):
			c.Fail(resp.ErrSyntax)
			return
		case command.Is(word, "COUNT"):
			if count, ok = c.Int(i + 1); !ok {
				return
			}
			if count < 1 {
				c.Fail(resp.ErrSyntax)
				return
			}
		case command.Is(word, "MATCH"):
			if pattern = c.Argv[i+1]; len(pattern) == 1 && pattern[0] == '*' {
				pattern = nil
			} else if pattern == nil {
				pattern = []byte{}
			}
		case command.Is(word, "TYPE"):
			typ, known = value.ParseType(c.Argv[i+1])
			typed = true
		default:
			c.Fail(resp.ErrSyntax)
			return
		}
	}
	var found, dead names
	// Redis deletes the expired keys that a scan meets. So they must be seen here; what becomes
	// of them is for the eyes of the client to decide.
	view := c.Txn.View()
	c.Txn.SetView(store.ViewStream)
	cursor = c.Txn.Scan(cursor, int(min(count, math.MaxInt32)), nil, func(e store.Entry) {
		switch {
		case pattern != nil && !glob.Match(pattern, e.Key()):
		case view != store.ViewStream && expired(c, e):
			dead.add(e.Key())
		case typed && (!known || e.Type() != typ):
		default:
			found.add(e.Key())
		}
	})
	c.Txn.SetView(view)
	dead.each(func(key []byte) { c.Txn.Exists(key) }) // the scan itself must not change anything
	c.Out.Array(2)
	c.Out.BulkUint(cursor)
	c.Out.Array(len(found.ends))
	found.each(c.Out.Bulk)
}

func expired(c *command.Ctx, e store.Entry) bool {
	at := e.ExpireAt()
	return at != store.NoExpire && at < c.Txn.Now()
}

// names is a list of names in one piece of memory.
type names struct {
	bytes []byte
	ends  []int
}

func (l *names) add(name []byte) {
	l.bytes = append(l.bytes, name...)
	l.ends = append(l.ends, len(l.bytes))
}

func (l *names) each(do func([]byte)) {
	from := 0
	for _, end := range l.ends {
		do(l.bytes[from:end])
		from = end
	}
}

// parseCursor reads a cursor as C's strtoul reads it, for cursors are sent back as they came:
// a sign is allowed, and nothing at all is 0.
func parseCursor(b []byte) (uint64, bool) {
	if len(b) == 0 {
		return 0, true
	}
	neg := b[0] == '-'
	if neg || b[0] == '+' {
		b = b[1:]
	}
	n, err := strconv.ParseUint(string(b), 10, 64)
	if neg {
		n = -n
	}
	return n, err == nil
}
