package stream

import (
	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/value"
)

// open finds the stream at key for changing it, without saying yet that it will. found is false
// when there is none; ok is false when the key holds something else and the error is answered.
func open(c *command.Ctx, key []byte) (s *value.StreamLog, found, ok bool) {
	e, found := c.Write(key)
	if !found || !c.Typed(e, found, value.Stream) {
		return nil, found, !found
	}
	return e.Object().(*value.StreamLog), true, true
}

// read is open for commands that only look.
func read(c *command.Ctx, key []byte) (s *value.StreamLog, found, ok bool) {
	e, found := c.Read(key)
	if !found || !c.Typed(e, found, value.Stream) {
		return nil, found, !found
	}
	return e.Object().(*value.StreamLog), true, true
}

// edit is the stream at key for a change that is one. REQUIRES: the key holds a stream.
func edit(c *command.Ctx, key []byte) *value.StreamLog {
	o, _ := c.Txn.Edit(key)
	return o.(*value.StreamLog)
}

// amend is edit where it is not known yet whether there will be a change, see Txn.Amended.
func amend(c *command.Ctx, key []byte) *value.StreamLog {
	o, _ := c.Txn.Amend(key)
	return o.(*value.StreamLog)
}

// trimWords are the words of XADD and XTRIM that say what to trim, and XADD's others before the
// fields.
type trimWords struct {
	value.StreamTrim
	at int // word of the threshold; 0: nothing is to be trimmed

	noMkStream bool
	next       int // the word of the id
	id         value.StreamID
	auto       bool // all of the id is to be chosen, or with autoSeq its second number
	autoSeq    bool
}

// parse reads the options, in XADD up to the id and with it. It answers the error.
func (t *trimWords) parse(c *command.Ctx, xadd bool, lim *value.Limits) bool {
	limited := false
	i := 2
options:
	for ; i < len(c.Argv); i++ {
		word, more := c.Argv[i], len(c.Argv)-1-i
		switch {
		case xadd && string(word) == "*":
			t.auto = true
			break options
		case more > 0 && (command.Is(word, "MAXLEN") || command.Is(word, "MINID")):
			if t.at != 0 {
				c.Fail(resp.ErrTrimBoth)
				return false
			}
			t.ByID = command.Is(word, "MINID")
			if more > 1 {
				if sign := string(c.Argv[i+1]); sign == "~" || sign == "=" {
					t.Approx = sign == "~"
					i++
				}
			}
			i++
			if t.at = i; !t.threshold(c) {
				return false
			}
		case more > 0 && command.Is(word, "LIMIT"):
			i++
			var ok bool
			if t.Limit, ok = c.Int(i); !ok {
				return false
			}
			if t.Limit < 0 {
				c.Fail(resp.ErrTrimLimit)
				return false
			}
			limited = true
		case xadd && command.Is(word, "NOMKSTREAM"):
			t.noMkStream = true
		case xadd:
			var ok bool
			if t.id, t.autoSeq, ok = parsePartialID(word, 0); !ok {
				c.Fail(resp.ErrStreamID)
				return false
			}
			break options
		default:
			c.Fail(resp.ErrSyntax)
			return false
		}
	}
	t.next = i
	return t.settle(c, xadd, limited, lim)
}

func (t *trimWords) threshold(c *command.Ctx) (ok bool) {
	if t.ByID {
		t.MinID, ok = strictID(c, t.at)
		return ok
	}
	n, ok := c.Int(t.at)
	if ok && n < 0 {
		c.Fail(resp.ErrTrimMaxLen)
		return false
	}
	t.MaxLen = uint64(n)
	return ok
}

// settle refuses words that do not go together, and sets the limit where none was said.
func (t *trimWords) settle(c *command.Ctx, xadd, limited bool, lim *value.Limits) bool {
	switch {
	case t.Limit != 0 && t.at == 0:
		c.Fail(resp.ErrTrimLimitAlone)
	case !xadd && t.at == 0:
		c.Fail(resp.ErrTrimNone)
	case c.Obeys(): // its threshold is exact
		t.Limit = 0
		return true
	case limited && !t.Approx:
		c.Fail(resp.ErrTrimLimitExact)
	default:
		if !limited && t.Approx { // a hundred nodes at once
			t.Limit = min(100*int64(min(lim.StreamEntries, approxMost)), approxMost)
			if t.Limit <= 0 {
				t.Limit = 10000
			}
		}
		return true
	}
	return false
}

const approxMost = 1000000

// propagate sends the call in a form that does the same everywhere: with the id that was chosen, if id
// is not nil, and, where it was approximate, with what it has left as an exact threshold.
func (t *trimWords) propagate(c *command.Ctx, s *value.StreamLog, id []byte) {
	var said [2][]byte
	if id != nil {
		said[0], c.Argv[t.next] = c.Argv[t.next], id
	}
	if t.Approx {
		from := len(c.Scratch)
		if t.ByID {
			c.Scratch = s.FirstKept().Append(c.Scratch)
		} else {
			c.Scratch = appendInt(c.Scratch, int64(s.Len()))
		}
		said[1], c.Argv[t.at], c.Argv[t.at-1] = c.Argv[t.at], c.Scratch[from:], wordExact
	}
	c.Propagate()
	if id != nil {
		c.Argv[t.next] = said[0]
	}
	if t.Approx {
		c.Argv[t.at], c.Argv[t.at-1] = said[1], wordApprox
	}
}

var (
	wordExact  = []byte("=")
	wordApprox = []byte("~")
)

func (f family) xadd(c *command.Ctx) {
	lim := f.Limits()
	var t trimWords
	if !t.parse(c, true, lim) {
		return
	}
	first := t.next + 1
	if n := len(c.Argv) - first; n < 2 || n%2 != 0 {
		c.Fail(resp.ErrWrongArgs(c.Cmd.LowerName()))
		return
	}
	if !t.auto && !t.autoSeq && t.id.IsZero() {
		c.Fail(resp.ErrXAddZero)
		return
	}
	key, fields := c.Argv[1], c.Argv[first:]
	s, found, ok := open(c, key)
	switch {
	case !ok:
		return
	case !found && t.noMkStream:
		c.Out.Null()
		return
	case !found:
		s = value.NewStream()
	}
	if s.Last == value.StreamMaxID {
		c.Fail(resp.ErrXAddExhausted)
		return
	}
	id, ok := t.newID(s.Last, c.Txn.Now())
	if !ok {
		c.Fail(resp.ErrXAddSmall)
		return
	}
	total := 0
	for _, b := range fields {
		total += len(b)
	}
	if total > value.StreamEntryMax {
		c.Fail(resp.ErrXAddTooLarge)
		return
	}
	if found {
		s = edit(c, key)
	}
	s.Append(id, fields, lim)
	trimmed := t.at != 0 && s.Trim(&t.StreamTrim) > 0
	if !found {
		c.Txn.SetObject(key, s, store.NoExpire)
		c.Created(key)
	}
	c.Notify(command.EventStream, "xadd", key)
	if trimmed {
		c.Notify(command.EventStream, "xtrim", key)
	}
	c.Scratch = id.Append(c.Scratch[:0])
	chosen := c.Scratch
	c.Out.Bulk(chosen)
	if !t.auto && !t.autoSeq {
		chosen = nil
	}
	if chosen != nil || t.Approx {
		t.propagate(c, s, chosen)
	}
}

// newID is the id of the next entry; false if the one that was asked for is not above the last.
func (t *trimWords) newID(last value.StreamID, now int64) (value.StreamID, bool) {
	switch {
	case t.auto:
		if uint64(now) > last.Ms {
			return value.StreamID{Ms: uint64(now)}, true
		}
		return last.Next()
	case t.autoSeq && t.id.Ms == last.Ms:
		next, ok := last.Next()
		return next, ok && next.Ms == t.id.Ms
	}
	return t.id, t.id.Compare(last) > 0
}

func (f family) xtrim(c *command.Ctx) {
	var t trimWords
	if !t.parse(c, false, f.Limits()) {
		return
	}
	key := c.Argv[1]
	_, found, ok := open(c, key)
	switch {
	case !ok:
		return
	case !found:
		c.Out.Int(0)
		return
	}
	s := amend(c, key)
	n := s.Trim(&t.StreamTrim)
	c.Out.Int(n)
	if n == 0 {
		return
	}
	c.Txn.Amended(key)
	c.Notify(command.EventStream, "xtrim", key)
	if t.Approx {
		t.propagate(c, s, nil)
	}
}

func xdel(c *command.Ctx) {
	key := c.Argv[1]
	_, found, ok := open(c, key)
	switch {
	case !ok:
		return
	case !found:
		c.Out.Int(0)
		return
	}
	var few [8]value.StreamID
	ids, ok := strictIDs(c, 2, few[:0])
	if !ok {
		return
	}
	s, n := amend(c, key), int64(0)
	for _, id := range ids {
		if s.Delete(id) {
			n++
		}
	}
	if n > 0 {
		c.Txn.Amended(key)
		c.Notify(command.EventStream, "xdel", key)
	}
	c.Out.Int(n)
}

func xlen(c *command.Ctx) {
	s, found, ok := read(c, c.Argv[1])
	switch {
	case !ok:
	case !found:
		c.Out.Int(0)
	default:
		c.Out.Int(int64(s.Len()))
	}
}

func xsetid(c *command.Ctx) {
	last, ok := strictID(c, 2)
	if !ok {
		return
	}
	added, deleted := int64(-1), value.StreamID{}
	for i := 3; i < len(c.Argv); i += 2 {
		more := i+1 < len(c.Argv)
		switch word := c.Argv[i]; {
		case more && command.Is(word, "ENTRIESADDED"):
			if added, ok = c.Int(i + 1); !ok {
				return
			}
			if added < 0 {
				c.Fail(resp.ErrXSetIDAdded)
				return
			}
		case more && command.Is(word, "MAXDELETEDID"):
			if deleted, ok = strictID(c, i+1); !ok {
				return
			}
			if last.Compare(deleted) < 0 {
				c.Fail(resp.ErrXSetIDDeleted)
				return
			}
		default:
			c.Fail(resp.ErrSyntax)
			return
		}
	}
	key := c.Argv[1]
	s, found, ok := open(c, key)
	if !ok {
		return
	}
	if !found {
		c.Fail(resp.ErrNoSuchKey)
		return
	}
	top, any := s.LastEntry()
	switch {
	case last.Compare(s.MaxDeleted) < 0:
		c.Fail(resp.ErrXSetIDWasDeleted)
	case any && last.Compare(top) < 0:
		c.Fail(resp.ErrXSetIDSmall)
	case any && added >= 0 && uint64(added) < uint64(s.Len()):
		c.Fail(resp.ErrXSetIDAddedSmall)
	default:
		s = edit(c, key)
		s.Last = last
		if added >= 0 {
			s.Added = uint64(added)
		}
		if !deleted.IsZero() {
			s.MaxDeleted = deleted
		}
		c.Out.OK()
		c.Notify(command.EventStream, "xsetid", key)
	}
}
