package str

import (
	"strconv"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/value"
)

// read finds the string at key for reading. found is false when there is none; ok is false
// when the key holds something else and the error is answered.
func read(c *command.Ctx, key []byte) (e store.Entry, found, ok bool) {
	e, found = c.Read(key)
	return e, found, c.Typed(e, found, value.String)
}

// bulk answers the string of e.
func bulk(c *command.Ctx, e store.Entry) {
	var digits [20]byte
	c.Out.Bulk(e.Bytes(digits[:]))
}

// answerString answers the string at key or nil. It reports false when it answered an error.
func answerString(c *command.Ctx, key []byte) bool {
	e, found, ok := read(c, key)
	switch {
	case !ok:
		return false
	case found:
		bulk(c, e)
	default:
		c.Out.Null()
	}
	return true
}

func get(c *command.Ctx) { answerString(c, c.Argv[1]) }

func mget(c *command.Ctx) {
	c.Out.Array(len(c.Argv) - 1)
	for _, key := range c.Argv[1:] {
		if e, found := c.Read(key); found && e.Type() == value.String {
			bulk(c, e)
		} else {
			c.Out.Null()
		}
	}
}

func strlen(c *command.Ctx) {
	e, found, ok := read(c, c.Argv[1])
	if !ok {
		return
	}
	n := 0
	if found {
		n = e.StrLen()
	}
	c.Out.Int(int64(n))
}

func getrange(c *command.Ctx) {
	start, ok := c.Int(2)
	if !ok {
		return
	}
	end, ok := c.Int(3)
	if !ok {
		return
	}
	e, found, ok := read(c, c.Argv[1])
	switch {
	case !ok:
	case !found:
		c.Out.Bulk(nil)
	default:
		var digits [20]byte
		s := e.Bytes(digits[:])
		from, to := value.Range(len(s), start, end)
		c.Out.Bulk(s[from:to])
	}
}

func getdel(c *command.Ctx) {
	key := c.Argv[1]
	if !answerString(c, key) || !c.Txn.Delete(key) {
		return
	}
	c.Notify(command.EventGeneric, "del", key)
	c.PropagateAs(wordDel, key)
}

func (f family) getex(c *command.Ctx) {
	o, ok := parse(c, 2, takesPersist)
	if !ok {
		return
	}
	key := c.Argv[1]
	e, found, ok := read(c, key)
	if !ok {
		return
	}
	if !found {
		c.Out.Null()
		return
	}
	if o.life == unsaid {
		bulk(c, e)
		return
	}
	if o.life == persist {
		bulk(c, e)
		if c.Txn.Persist(key) {
			c.Notify(command.EventGeneric, "persist", key)
			c.PropagateAs(wordPersist, key)
		}
		return
	}
	at, ok := expiry(c, o.life, o.time)
	if !ok {
		return
	}
	bulk(c, e)
	if at <= c.Txn.Now() && !c.Obeys() {
		c.Txn.Delete(key)
		c.Notify(command.EventGeneric, "del", key)
		if f.LazyExpire() {
			c.PropagateAs(wordUnlink, key)
		} else {
			c.PropagateAs(wordDel, key)
		}
		return
	}
	c.Txn.SetExpire(key, at)
	c.Notify(command.EventGeneric, "expire", key)
	var tmp [20]byte
	c.PropagateAs(wordPExpireAt, key, strconv.AppendInt(tmp[:0], at, 10))
}

func (f family) lcs(c *command.Ctx) {
	a, okA := copyString(c, c.Argv[1])
	b, okB := copyString(c, c.Argv[2])
	if !okA || !okB {
		c.Fail(resp.ErrLCSNeedsStrings)
		return
	}
	var idx, length, withLen bool
	var least int64
	for i := 3; i < len(c.Argv); i++ {
		switch word := c.Argv[i]; {
		case command.Is(word, "IDX"):
			idx = true
		case command.Is(word, "LEN"):
			length = true
		case command.Is(word, "WITHMATCHLEN"):
			withLen = true
		case command.Is(word, "MINMATCHLEN") && i+1 < len(c.Argv):
			i++
			n, ok := c.Int(i)
			if !ok {
				return
			}
			least = n
		default:
			c.Fail(resp.ErrSyntax)
			return
		}
	}
	switch {
	case idx && length:
		c.Fail(resp.ErrLCSLenAndIdx)
		return
	case value.LCSBytes(len(a), len(b)) > f.MaxBulk():
		c.Fail(resp.Errorf("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len"))
		return
	}
	seq, matches := value.LCS(a, b)
	switch {
	case idx:
		answerMatches(c, matches, int(max(least, 0)), withLen, len(seq))
	case length:
		c.Out.Int(int64(len(seq)))
	default:
		c.Out.Bulk(seq)
	}
}

// copyString copies the string at key; ok is false when something else is there. Finding LCS'
// second key may delete it, if its time has come, and then the bytes of the first are no
// longer ours to read.
func copyString(c *command.Ctx, key []byte) (s []byte, ok bool) {
	e, found := c.Read(key)
	if !found {
		return nil, true
	}
	if e.Type() != value.String {
		return nil, false
	}
	return append([]byte(nil), e.Bytes(nil)...), true
}

func answerMatches(c *command.Ctx, matches []value.Match, least int, withLen bool, total int) {
	c.Out.Map(2)
	c.Out.BulkString("matches")
	m := c.Out.Defer()
	n := 0
	for _, match := range matches {
		if match.Len < least {
			continue
		}
		n++
		if withLen {
			c.Out.Array(3)
		} else {
			c.Out.Array(2)
		}
		c.Out.Array(2)
		c.Out.Int(int64(match.AStart))
		c.Out.Int(int64(match.AEnd))
		c.Out.Array(2)
		c.Out.Int(int64(match.BStart))
		c.Out.Int(int64(match.BEnd))
		if withLen {
			c.Out.Int(int64(match.Len))
		}
	}
	c.Out.EndArray(m, n)
	c.Out.BulkString("len")
	c.Out.Int(int64(total))
}
