package str

import (
	"math"
	"strconv"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/value"
)

// lifetime is what a call says about the key's expiry.
type lifetime uint8

const (
	unsaid lifetime = iota
	ex
	px
	exat
	pxat
	keepTTL
	persist
)

// options are the words behind SET's value or GETEX's key.
type options struct {
	nx, xx, get bool
	life        lifetime
	time        int // argv index of the time that belongs to life
}

// parse reads the options from argv[from:]. Which of them exist depends on the command: SET
// has conditions, GET and KEEPTTL, GETEX has PERSIST. Two words about the expiry exclude each
// other unless they are the same; then the last one counts.
func parse(c *command.Ctx, from int, isSet bool) (o options, ok bool) {
	say := func(l lifetime) bool {
		fits := o.life == unsaid || o.life == l
		o.life = l
		return fits
	}
	for i := from; i < len(c.Argv); i++ {
		word := c.Argv[i]
		ok = true
		switch {
		case isSet && !o.xx && command.Is(word, "NX"):
			o.nx = true
		case isSet && !o.nx && command.Is(word, "XX"):
			o.xx = true
		case isSet && command.Is(word, "GET"):
			o.get = true
		case isSet && command.Is(word, "KEEPTTL"):
			ok = say(keepTTL)
		case !isSet && command.Is(word, "PERSIST"):
			ok = say(persist)
		default:
			l := timed(word)
			i++
			ok = l != unsaid && i < len(c.Argv) && say(l)
			o.time = i
		}
		if !ok {
			c.Fail(resp.ErrSyntax)
			return o, false
		}
	}
	return o, true
}

func timed(word []byte) lifetime {
	switch {
	case command.Is(word, "EX"):
		return ex
	case command.Is(word, "PX"):
		return px
	case command.Is(word, "EXAT"):
		return exat
	case command.Is(word, "PXAT"):
		return pxat
	}
	return unsaid
}

// expiry reads the time of argv[i], in the unit and from the origin that l says, as Unix ms.
func expiry(c *command.Ctx, l lifetime, i int) (at int64, ok bool) {
	at, ok = c.Int(i)
	if !ok {
		return 0, false
	}
	seconds := l == ex || l == exat
	if at <= 0 || seconds && at > math.MaxInt64/1000 {
		c.Fail(resp.ErrInvalidExpire(c.Cmd.LowerName()))
		return 0, false
	}
	if seconds {
		at *= 1000
	}
	if l == ex || l == px {
		if at > math.MaxInt64-c.Txn.Now() {
			c.Fail(resp.ErrInvalidExpire(c.Cmd.LowerName()))
			return 0, false
		}
		at += c.Txn.Now()
	}
	return at, true
}

func set(c *command.Ctx) {
	o, ok := parse(c, 3, true)
	if !ok {
		return
	}
	key, val := c.Argv[1], c.Argv[2]
	at := store.NoExpire
	switch o.life {
	case unsaid:
	case keepTTL:
		at = store.KeepTTL
	default:
		if at, ok = expiry(c, o.life, o.time); !ok {
			return
		}
	}
	if o.get && !answerString(c, key) {
		return
	}
	if o.nx || o.xx {
		if _, found := c.Write(key); o.nx == found {
			if !o.get {
				c.Out.Null()
			}
			return
		}
	}
	store1(c, key, val, at)
	switch {
	case o.life == pxat: // as written
	case at >= 0:
		propagateSet(c, key, val, at)
	case o.get:
		propagateWithoutGet(c)
	}
	if !o.get {
		c.Out.OK()
	}
}

// store1 makes key hold val and publishes what happened. at is as for Txn.SetString.
func store1(c *command.Ctx, key, val []byte, at int64) {
	if existed := c.Txn.SetString(key, val, at); !existed {
		c.Created(key)
	}
	c.Notify(command.EventString, "set", key)
	if at >= 0 {
		c.Notify(command.EventGeneric, "expire", key)
	}
}

// The words that calls are rewritten with.
var (
	wordSet       = []byte("SET")
	wordPXAT      = []byte("PXAT")
	wordKeepTTL   = []byte("KEEPTTL")
	wordPExpireAt = []byte("PEXPIREAT")
	wordPersist   = []byte("PERSIST")
	wordDel       = []byte("DEL")
	wordUnlink    = []byte("UNLINK")
)

// propagateSet sends a SET with the time of its expiry instead of a number of seconds, which
// would begin anew wherever and whenever it is carried out.
func propagateSet(c *command.Ctx, key, val []byte, at int64) {
	var tmp [20]byte
	c.PropagateAs(wordSet, key, val, wordPXAT, strconv.AppendInt(tmp[:0], at, 10))
}

// propagateWithoutGet sends a SET without the words GET: nobody there wants the old value.
func propagateWithoutGet(c *command.Ctx) {
	argv := make([][]byte, 0, len(c.Argv))
	for i, word := range c.Argv {
		if i < 3 || !command.Is(word, "GET") {
			argv = append(argv, word)
		}
	}
	c.PropagateAs(argv...)
}

func setnx(c *command.Ctx) {
	key := c.Argv[1]
	if _, found := c.Write(key); found {
		c.Out.Int(0)
		return
	}
	store1(c, key, c.Argv[2], store.NoExpire)
	c.Out.Int(1)
}

func setex(c *command.Ctx)  { setTimed(c, ex) }
func psetex(c *command.Ctx) { setTimed(c, px) }

func setTimed(c *command.Ctx, l lifetime) {
	at, ok := expiry(c, l, 2)
	if !ok {
		return
	}
	store1(c, c.Argv[1], c.Argv[3], at)
	propagateSet(c, c.Argv[1], c.Argv[3], at)
	c.Out.OK()
}

func getset(c *command.Ctx) {
	key, val := c.Argv[1], c.Argv[2]
	if !answerString(c, key) {
		return
	}
	store1(c, key, val, store.NoExpire)
	c.PropagateAs(wordSet, key, val)
}

// mset stores all pairs, msetnx only if no key exists.
func mset(c *command.Ctx) {
	if !pairs(c) {
		return
	}
	for i := 1; i < len(c.Argv); i += 2 {
		store1(c, c.Argv[i], c.Argv[i+1], store.NoExpire)
	}
	c.Out.OK()
}

func msetnx(c *command.Ctx) {
	if !pairs(c) {
		return
	}
	for i := 1; i < len(c.Argv); i += 2 {
		if _, found := c.Write(c.Argv[i]); found {
			c.Out.Int(0)
			return
		}
	}
	for i := 1; i < len(c.Argv); i += 2 {
		store1(c, c.Argv[i], c.Argv[i+1], store.NoExpire)
	}
	c.Out.Int(1)
}

func pairs(c *command.Ctx) bool {
	if len(c.Argv)%2 == 0 {
		c.Fail(resp.ErrWrongArgs(c.Cmd.LowerName()))
		return false
	}
	return true
}

// tooLong refuses a string of size bytes and more bytes behind it when the configuration does
// not allow that much. What the primary did is done here too.
func (f family) tooLong(c *command.Ctx, size, more int64) bool {
	if c.Obeys() || size <= math.MaxInt64-more && size+more <= f.MaxBulk() {
		return false
	}
	c.Fail(resp.ErrStringTooLong)
	return true
}

func (f family) append(c *command.Ctx) {
	key, val := c.Argv[1], c.Argv[2]
	e, found := c.Write(key)
	if !c.Typed(e, found, value.String) {
		return
	}
	if found && f.tooLong(c, int64(e.StrLen()), int64(len(val))) {
		return
	}
	n := c.Txn.Append(key, val)
	if !found {
		c.Created(key)
	}
	c.Notify(command.EventString, "append", key)
	c.Out.Int(int64(n))
}

func (f family) setrange(c *command.Ctx) {
	key, val := c.Argv[1], c.Argv[3]
	offset, ok := c.Int(2)
	if !ok {
		return
	}
	if offset < 0 {
		c.Fail(resp.ErrOffsetOutOfRange)
		return
	}
	e, found := c.Write(key)
	if !c.Typed(e, found, value.String) {
		return
	}
	if len(val) == 0 {
		n := 0
		if found {
			n = e.StrLen()
		}
		c.Out.Int(int64(n))
		return
	}
	if f.tooLong(c, offset, int64(len(val))) {
		return
	}
	n := c.Txn.SetRange(key, int(offset), val)
	if !found {
		c.Created(key)
	}
	c.Notify(command.EventString, "setrange", key)
	c.Out.Int(int64(n))
}
