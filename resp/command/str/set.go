package str

import (
	"math"
	"strconv"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/value"
)

// lifetime is what a call says about the key's expiry: a command.TimeWord, or one of two words more.
type lifetime = command.TimeWord

const (
	unsaid  = command.NoTime
	keepTTL = command.PXAT + 1
	persist = command.PXAT + 2
)

// options are the words behind SET's value, GETEX's key or MSETEX's pairs.
type options struct {
	nx, xx, get bool
	equal       int // argv index of the value that IFEQ wants; 0: none
	life        lifetime
	time        int // argv index of the time that belongs to life
}

// taken are the words a command takes besides those for a time.
type taken uint8

const (
	takesExists  taken = 1 << iota // NX and XX
	takesEqual                     // IFEQ
	takesGet                       // GET
	takesKeepTTL                   // KEEPTTL
	takesPersist                   // PERSIST
)

// parse reads the options from argv[from:]. The conditions exclude each other. So do two words
// about the expiry unless they are the same; then the last one counts.
func parse(c *command.Ctx, from int, takes taken) (o options, ok bool) {
	say := func(l lifetime) bool {
		fits := o.life == unsaid || o.life == l
		o.life = l
		return fits
	}
	for i := from; i < len(c.Argv); i++ {
		word := c.Argv[i]
		ok = true
		switch {
		case takes&takesExists != 0 && !o.xx && o.equal == 0 && command.Is(word, "NX"):
			o.nx = true
		case takes&takesExists != 0 && !o.nx && o.equal == 0 && command.Is(word, "XX"):
			o.xx = true
		case takes&takesEqual != 0 && !o.nx && !o.xx && i+1 < len(c.Argv) && command.Is(word, "IFEQ"):
			i++
			o.equal = i
		case takes&takesGet != 0 && command.Is(word, "GET"):
			o.get = true
		case takes&takesKeepTTL != 0 && command.Is(word, "KEEPTTL"):
			ok = say(keepTTL)
		case takes&takesPersist != 0 && command.Is(word, "PERSIST"):
			ok = say(persist)
		default:
			l := command.TimeWordOf(word)
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

// expiry reads the time of argv[i], in the unit and from the origin that l says, as Unix ms.
func expiry(c *command.Ctx, l lifetime, i int) (at int64, ok bool) {
	at, ok = c.Int(i)
	if !ok {
		return 0, false
	}
	base, unit := l.Scale(c.Txn.Now())
	if at <= 0 || at > math.MaxInt64/unit || at*unit > math.MaxInt64-base {
		c.Fail(resp.ErrInvalidExpire(c.Cmd.LowerName()))
		return 0, false
	}
	return at*unit + base, true
}

func set(c *command.Ctx) {
	o, ok := parse(c, 3, takesExists|takesEqual|takesGet|takesKeepTTL)
	if !ok {
		return
	}
	key, val := c.Argv[1], c.Argv[2]
	at, ok := o.expiry(c)
	if !ok {
		return
	}
	if o.get && !answerString(c, key) {
		return
	}
	if o.equal > 0 {
		if equal, ok := holds(c, key, c.Argv[o.equal]); !equal {
			if ok && !o.get {
				c.Out.Null()
			}
			return
		}
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
	case o.life == command.PXAT && o.equal == 0: // as written
	case at >= 0:
		propagateSet(c, key, val, at)
	case o.get || o.equal > 0:
		propagatePlain(c, o.equal)
	}
	if !o.get {
		c.Out.OK()
	}
}

// expiry is what the options say about the key's expiry, as for Txn.SetString. It reports false
// when it answered an error.
func (o *options) expiry(c *command.Ctx) (at int64, ok bool) {
	switch o.life {
	case unsaid:
		return store.NoExpire, true
	case keepTTL:
		return store.KeepTTL, true
	}
	return expiry(c, o.life, o.time)
}

// holds reports whether key holds the string want. ok is false when it holds something else
// than a string and the error is answered.
func holds(c *command.Ctx, key, want []byte) (equal, ok bool) {
	e, found := c.Write(key)
	if !c.Typed(e, found, value.String) {
		return false, false
	}
	var digits [20]byte
	return found && string(e.Bytes(digits[:])) == string(want), true
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

// propagatePlain sends a SET without the words GET, since nobody there wants the old value, and
// without IFEQ, whose value is at argv[equal], since it has been found true.
func propagatePlain(c *command.Ctx, equal int) {
	argv := make([][]byte, 0, len(c.Argv))
	for i, word := range c.Argv {
		switch {
		case i >= 3 && command.Is(word, "GET") && i != equal:
		case equal > 0 && (i == equal || i >= 3 && command.Is(word, "IFEQ")):
		default:
			argv = append(argv, word)
		}
	}
	c.PropagateAs(argv...)
}

// msetex is propagated as SETs, which everybody knows.
func msetex(c *command.Ctx) {
	n, ok := value.ParseInt(c.Argv[1])
	if !ok || n <= 0 || n > math.MaxInt32 {
		c.Fail(resp.ErrInvalidNumKeys)
		return
	}
	end := 2 + 2*int(n)
	if end > len(c.Argv) {
		c.Fail(resp.ErrWrongPairs)
		return
	}
	o, ok := parse(c, end, takesExists|takesKeepTTL)
	if !ok {
		return
	}
	at, ok := o.expiry(c)
	if !ok {
		return
	}
	if o.nx || o.xx {
		for i := 2; i < end; i += 2 {
			if _, found := c.Write(c.Argv[i]); o.nx == found {
				c.Out.Int(0)
				return
			}
		}
	}
	for i := 2; i < end; i += 2 {
		key, val := c.Argv[i], c.Argv[i+1]
		store1(c, key, val, at)
		switch {
		case at >= 0:
			propagateSet(c, key, val, at)
		case at == store.KeepTTL:
			c.PropagateAs(wordSet, key, val, wordKeepTTL)
		default:
			c.PropagateAs(wordSet, key, val)
		}
	}
	c.Out.Int(1)
}

// delifeq is propagated as DEL, which everybody knows.
func delifeq(c *command.Ctx) {
	key := c.Argv[1]
	equal, ok := holds(c, key, c.Argv[2])
	switch {
	case !ok:
	case !equal:
		c.Out.Int(0)
	default:
		c.Txn.Delete(key)
		c.Notify(command.EventGeneric, "del", key)
		c.PropagateAs(wordDel, key)
		c.Out.Int(1)
	}
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

func setex(c *command.Ctx)  { setTimed(c, command.EX) }
func psetex(c *command.Ctx) { setTimed(c, command.PX) }

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
