package hash

import (
	"math"
	"strconv"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/value"
)

// The commands on the times at which fields expire. The stream says what was done, not when it
// was asked for: HPEXPIREAT with a time, HPERSIST, HDEL.

var (
	wordHSetEx     = []byte("HSETEX")
	wordHPExpireAt = []byte("HPEXPIREAT")
	wordHPersist   = []byte("HPERSIST")
	wordHDel       = []byte("HDEL")
	wordKeepTTL    = []byte("KEEPTTL")
	wordPXAT       = []byte("PXAT")
	wordFields     = []byte("FIELDS")
	wordOne        = []byte("1")
)

// maxFieldTime is the last time, in ms, that Redis lets a field expire at.
const maxFieldTime = 1<<46 - 2

// What HEXPIRE, HPERSIST and HTTL answer for a field.
const (
	noField = -2
	noTime  = -1
	refused = 0 // the condition was not met
	done    = 1
	deleted = 2 // the time had come already
)

// fieldTime reads argv[i] as a time in units of unit ms from base.
func fieldTime(c *command.Ctx, i int, base, unit int64) (at int64, ok bool) {
	if at, ok = c.Int(i); !ok {
		return 0, false
	}
	switch {
	case at < 0:
		c.Fail(resp.ErrFieldTimeNegative)
		return 0, false
	case at > maxFieldTime/unit || at*unit > maxFieldTime-base:
		c.Fail(resp.ErrInvalidExpire(c.Cmd.LowerName()))
		return 0, false
	}
	return at*unit + base, true
}

// fieldsAt reads "FIELDS numfields field..." from argv[i:]; each field is a word, or with pairs
// two. badCount is the error for a count that is none.
func fieldsAt(c *command.Ctx, i int, badCount resp.Error) (fields [][]byte, ok bool) {
	if i >= len(c.Argv) || !command.Is(c.Argv[i], "FIELDS") {
		c.Fail(resp.ErrFieldsMissing)
		return nil, false
	}
	if i+1 >= len(c.Argv) {
		c.Fail(badCount)
		return nil, false
	}
	n, ok := value.ParseInt(c.Argv[i+1])
	if !ok || n < 1 {
		c.Fail(badCount)
		return nil, false
	}
	if fields = c.Argv[i+2:]; n != int64(len(fields)) {
		c.Fail(resp.ErrFieldsMismatch)
		return nil, false
	}
	return fields, true
}

// answerAll answers n for every field: there is no hash.
func answerAll(c *command.Ctx, fields [][]byte, n int64) {
	c.Out.Array(len(fields))
	for range fields {
		c.Out.Int(n)
	}
}

func (f family) hexpire(c *command.Ctx)    { f.expire(c, c.Txn.Now(), 1000) }
func (f family) hpexpire(c *command.Ctx)   { f.expire(c, c.Txn.Now(), 1) }
func (f family) hexpireat(c *command.Ctx)  { f.expire(c, 0, 1000) }
func (f family) hpexpireat(c *command.Ctx) { f.expire(c, 0, 1) }

// expire is the four commands: argv[2] counts in units of unit ms from base.
func (f family) expire(c *command.Ctx, base, unit int64) {
	key := c.Argv[1]
	entry, h, found, ok := look(c, key)
	if !ok {
		return
	}
	at, ok := fieldTime(c, 2, base, unit)
	if !ok {
		return
	}
	at = max(at, 1) // 0 would be never
	i := 3
	var d command.ExpiryCondition
	if d.Take(c.Argv[3]) {
		i++
	}
	fields, ok := fieldsAt(c, i, resp.ErrNumFields)
	if !ok {
		return
	}
	if !found {
		answerAll(c, fields, noField)
		return
	}
	t := timing{f: f, c: c, key: key, entry: entry, h: h, at: at}
	c.Out.Array(len(fields))
	for _, field := range fields {
		has, there := t.h.ExpiresAt(field)
		switch {
		case !there:
			c.Out.Int(noField)
		case !d.Allows(has == 0, has, at):
			c.Out.Int(refused)
		case t.set(field):
			c.Out.Int(deleted)
		default:
			c.Out.Int(done)
		}
	}
	t.finish()
}

// timing is a hash whose fields get a time, or never expire any more (at 0). A time that has come
// already deletes the field, unless the call comes from someone whose stream deletes it.
type timing struct {
	f     family
	c     *command.Ctx
	key   []byte
	entry store.Entry
	h     value.HashView
	at    int64

	begun          bool
	e              edit
	timed, removed [][]byte // the fields that have got a time, or are gone
}

// begin must be called before a change.
func (t *timing) begin() {
	if !t.begun {
		t.begun = true
		t.e = t.f.change(t.c, t.key, t.entry, true)
		t.h = t.e.HashView
	}
}

// set gives a field that is there the time, and reports whether that deleted it.
func (t *timing) set(field []byte) (gone bool) {
	t.begin()
	if t.at != 0 && t.at <= t.c.Txn.Now() && !t.c.Obeys() {
		t.e.Delete(field)
		t.removed = append(t.removed, field)
		gone = true
	} else {
		t.e.SetExpiry(field, t.at)
		t.e.timed = true
		t.timed = append(t.timed, field)
	}
	t.h = t.e.HashView
	return gone
}

// finish stores the hash, publishes and propagates what was done.
func (t *timing) finish() {
	if !t.begun {
		return
	}
	c := t.c
	save(c, t.key, &t.e)
	switch {
	case len(t.removed) > 0:
		c.Notify(command.EventHash, "hdel", t.key)
	case t.at == 0:
		c.Notify(command.EventHash, "hpersist", t.key)
	default:
		c.Notify(command.EventHash, "hexpire", t.key)
	}
	if t.e.Len() == 0 {
		c.Notify(command.EventGeneric, "del", t.key)
	}
	if len(t.removed) > 0 {
		c.PropagateAs(append([][]byte{wordHDel, t.key}, t.removed...)...)
	}
	if n := len(t.timed); n > 0 {
		count := strconv.AppendInt(nil, int64(n), 10)
		if t.at == 0 {
			c.PropagateAs(append([][]byte{wordHPersist, t.key, wordFields, count}, t.timed...)...)
			return
		}
		when := strconv.AppendInt(nil, t.at, 10)
		c.PropagateAs(append([][]byte{wordHPExpireAt, t.key, when, wordFields, count}, t.timed...)...)
	}
}

func (f family) hpersist(c *command.Ctx) {
	key := c.Argv[1]
	entry, h, found, ok := look(c, key)
	if !ok {
		return
	}
	fields, ok := fieldsAt(c, 2, resp.ErrFieldsCount)
	if !ok {
		return
	}
	if !found {
		answerAll(c, fields, noField)
		return
	}
	t := timing{f: f, c: c, key: key, entry: entry, h: h}
	c.Out.Array(len(fields))
	for _, field := range fields {
		switch at, there := t.h.ExpiresAt(field); {
		case !there:
			c.Out.Int(noField)
		case at == 0:
			c.Out.Int(noTime)
		default:
			t.set(field)
			c.Out.Int(done)
		}
	}
	t.finish()
}

func httl(c *command.Ctx)         { life(c, c.Txn.Now(), 1000) }
func hpttl(c *command.Ctx)        { life(c, c.Txn.Now(), 1) }
func hexpiretime(c *command.Ctx)  { life(c, 0, 1000) }
func hpexpiretime(c *command.Ctx) { life(c, 0, 1) }

// life answers when fields expire, from base on in units of unit ms, begun ones counting.
func life(c *command.Ctx, base, unit int64) {
	h, ok := open(c, c.Argv[1])
	if !ok {
		return
	}
	fields, ok := fieldsAt(c, 2, resp.ErrFieldsCount)
	if !ok {
		return
	}
	c.Out.Array(len(fields))
	for _, field := range fields {
		switch at, there := h.ExpiresAt(field); {
		case !there:
			c.Out.Int(noField)
		case at == 0:
			c.Out.Int(noTime)
		default:
			c.Out.Int((at - base + unit - 1) / unit)
		}
	}
}

// lifetime reads a word that says when something expires, with argv[i+1] as the time. ok is false
// when the word is another one; bad when the time is wrong and the error is answered.
func lifetime(c *command.Ctx, i int) (at int64, ok, bad bool) {
	word := command.TimeWordOf(c.Argv[i])
	if word == command.NoTime {
		return 0, false, false
	}
	base, unit := word.Scale(c.Txn.Now())
	if i+1 >= len(c.Argv) {
		c.Fail(resp.ErrFieldTimeMissing)
		return 0, true, true
	}
	at, good := fieldTime(c, i+1, base, unit)
	return max(at, 1), true, !good // 0 would be never
}

func (f family) hgetex(c *command.Ctx) {
	key := c.Argv[1]
	entry, h, found, ok := look(c, key)
	if !ok {
		return
	}
	at, timed, bad := lifetime(c, 2)
	i, persist := 2, false
	switch {
	case bad:
		return
	case timed:
		i += 2
	case command.Is(c.Argv[2], "PERSIST"):
		i, persist = i+1, true
	}
	fields, ok := fieldsAt(c, i, resp.ErrFieldsCount)
	if !ok {
		return
	}
	t := timing{f: f, c: c, key: key, entry: entry, h: h, at: at}
	c.Out.Array(len(fields))
	for _, field := range fields {
		answer(c, t.h, field)
		has, there := t.h.ExpiresAt(field)
		if found && there && (timed || persist && has != 0) {
			t.set(field)
		}
	}
	t.finish()
}

// hgetdel is propagated as HDEL.
func (f family) hgetdel(c *command.Ctx) {
	key := c.Argv[1]
	entry, h, found, ok := look(c, key)
	if !ok {
		return
	}
	fields, ok := fieldsAt(c, 2, resp.ErrFieldsCount)
	if !ok {
		return
	}
	t := timing{f: f, c: c, key: key, entry: entry, h: h}
	c.Out.Array(len(fields))
	for _, field := range fields {
		answer(c, t.h, field)
		if found && t.h.Has(field) {
			t.begin()
			t.e.Delete(field)
			t.h = t.e.HashView
			t.removed = append(t.removed, field)
		}
	}
	t.finish()
}

// setexCall is what HSETEX says before its fields.
type setexCall struct {
	fnx, fxx, keep, timed bool
	at                    int64
	pairs                 [][]byte
}

func parseSetEx(c *command.Ctx) (s setexCall, ok bool) {
	for i := 2; i < len(c.Argv); i++ {
		word := c.Argv[i]
		if at, is, bad := lifetime(c, i); is {
			if s.timed || s.keep {
				c.Fail(resp.ErrFieldTimeTwice)
				return s, false
			}
			if bad {
				return s, false
			}
			s.timed, s.at = true, at
			i++
			continue
		}
		switch {
		case command.Is(word, "FIELDS"):
			n, good := int64(0), i+1 < len(c.Argv)
			if i >= len(c.Argv)-3 {
				c.Fail(resp.ErrWrongArgs(c.Cmd.LowerName()))
				return s, false
			}
			if n, good = value.ParseInt(c.Argv[i+1]); !good || n < 1 || n > math.MaxInt32 {
				c.Fail(resp.ErrFieldsInvalid)
				return s, false
			}
			if s.pairs = c.Argv[i+2:]; int64(len(s.pairs)) != 2*n {
				c.Fail(resp.ErrWrongArgs(c.Cmd.LowerName()))
				return s, false
			}
			return s, true
		case command.Is(word, "KEEPTTL"):
			if s.timed || s.keep {
				c.Fail(resp.ErrFieldTimeTwice)
				return s, false
			}
			s.keep = true
		case command.Is(word, "FNX"), command.Is(word, "FXX"):
			if s.fnx || s.fxx {
				c.Fail(resp.ErrFieldConditionTwice)
				return s, false
			}
			s.fnx = command.Is(word, "FNX")
			s.fxx = !s.fnx
		default:
			c.Fail(resp.Errorf("ERR unknown argument: %s", word))
			return s, false
		}
	}
	c.Fail(resp.ErrFieldsMissing)
	return s, false
}

// hsetex is propagated with the time at which the fields expire; fields whose time has come are
// propagated as HDEL.
func (f family) hsetex(c *command.Ctx) {
	s, ok := parseSetEx(c)
	if !ok {
		return
	}
	key := c.Argv[1]
	entry, h, found, ok := look(c, key)
	if !ok {
		return
	}
	if s.fnx || s.fxx {
		for i := 0; i < len(s.pairs); i += 2 {
			if h.Has(s.pairs[i]) == s.fnx {
				c.Out.Int(0)
				return
			}
		}
	}
	c.Out.Int(1)
	if s.timed && s.at <= c.Txn.Now() && !c.Obeys() {
		f.setGone(c, key, entry, h, found, s.pairs)
		return
	}
	e := f.change(c, key, entry, found)
	e.Expect(len(s.pairs) / 2)
	for i := 0; i < len(s.pairs); i += 2 {
		if field := s.pairs[i]; s.keep {
			e.SetKeeping(field, s.pairs[i+1])
		} else if e.Set(field, s.pairs[i+1]); s.timed {
			e.SetExpiry(field, s.at)
			e.timed = true
		}
	}
	save(c, key, &e)
	c.Notify(command.EventHash, "hset", key)
	argv := [][]byte{wordHSet, key} // which everybody knows
	count := strconv.AppendInt(nil, int64(len(s.pairs)/2), 10)
	switch {
	case s.timed:
		c.Notify(command.EventHash, "hexpire", key)
		argv = [][]byte{wordHSetEx, key, wordPXAT, strconv.AppendInt(nil, s.at, 10), wordFields, count}
	case s.keep && e.NextExpiry() != value.Never:
		argv = [][]byte{wordHSetEx, key, wordKeepTTL, wordFields, count}
	}
	c.PropagateAs(append(argv, s.pairs...)...)
}

// setGone is HSETEX with a time that has come: the fields are set and gone at once.
func (f family) setGone(c *command.Ctx, key []byte, entry store.Entry, h value.HashView, found bool, pairs [][]byte) {
	t := timing{f: f, c: c, key: key, entry: entry, h: h}
	for i := 0; found && i < len(pairs); i += 2 {
		if t.h.Has(pairs[i]) {
			t.begin()
			t.e.Delete(pairs[i])
			t.h = t.e.HashView
			t.removed = append(t.removed, pairs[i])
		}
	}
	c.Notify(command.EventHash, "hset", key)
	if t.begun {
		t.finish()
	} else {
		c.Notify(command.EventHash, "hdel", key)
	}
}
