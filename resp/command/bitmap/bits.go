package bitmap

import (
	"math"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/value"
)

// offset reads a bit's place; with hash, "#n" stands for n times width. A string that holds it
// must be allowed, unless our primary has it.
func (f family) offset(c *command.Ctx, word []byte, hash bool, width int) (int64, bool) {
	factor := int64(1)
	if hash && len(word) > 0 && word[0] == '#' {
		factor, word = int64(width), word[1:]
	}
	n, ok := value.ParseInt(word)
	if !ok || n < 0 || n > math.MaxInt64/factor || !c.Obeys() && n*factor>>3 >= f.MaxBulk() {
		c.Fail(resp.ErrBitOffset)
		return 0, false
	}
	return n * factor, true
}

// text is the string at key; empty when there is none. digits is room for a number.
func text(c *command.Ctx, key, digits []byte) (b []byte, found, ok bool) {
	e, found := c.Read(key)
	if !c.Typed(e, found, value.String) {
		return nil, found, false
	}
	if found {
		b = e.Bytes(digits)
	}
	return b, found, true
}

func (f family) setbit(c *command.Ctx) {
	key := c.Argv[1]
	at, ok := f.offset(c, c.Argv[2], false, 0)
	if !ok {
		return
	}
	on, ok := value.ParseInt(c.Argv[3])
	if !ok || on != 0 && on != 1 {
		c.Fail(resp.ErrBitValue)
		return
	}
	e, found := c.Write(key)
	if !c.Typed(e, found, value.String) {
		return
	}
	var old bool
	size := int(at>>3) + 1
	if found {
		var digits [20]byte
		old = value.BitAt(e.Bytes(digits[:]), at)
	}
	if !found || e.StrLen() < size || old != (on == 1) {
		value.SetBitAt(c.Txn.EditString(key, size), at, on == 1)
		if !found {
			c.Created(key)
		}
		c.Notify(command.EventString, "setbit", key)
	}
	answer(c, old)
}

func (f family) getbit(c *command.Ctx) {
	at, ok := f.offset(c, c.Argv[2], false, 0)
	if !ok {
		return
	}
	var digits [20]byte
	if b, _, ok := text(c, c.Argv[1], digits[:]); ok {
		answer(c, value.BitAt(b, at))
	}
}

func answer(c *command.Ctx, bit bool) {
	if bit {
		c.Out.Int(1)
	} else {
		c.Out.Int(0)
	}
}

// part is what BITCOUNT and BITPOS are told of the string: from start to end, each counted in
// bytes or bits and from the end when it is negative.
type part struct {
	start, end int64
	ended      bool // an end was said
	inBits     bool
}

func parsePart(c *command.Ctx, from int) (p part, ok bool) {
	p.end = -1
	if len(c.Argv) > from+3 {
		c.Fail(resp.ErrSyntax)
		return p, false
	}
	if len(c.Argv) > from {
		if p.start, ok = c.Int(from); !ok {
			return p, false
		}
	}
	if !p.unit(c, from+2) {
		c.Fail(resp.ErrSyntax)
		return p, false
	}
	if len(c.Argv) > from+1 {
		if p.end, ok = c.Int(from + 1); !ok {
			return p, false
		}
		p.ended = true
	}
	return p, true
}

// unit reads the unit, if there is one at that word.
func (p *part) unit(c *command.Ctx, at int) bool {
	if len(c.Argv) <= at {
		return true
	}
	p.inBits = command.Is(c.Argv[at], "BIT")
	return p.inBits || command.Is(c.Argv[at], "BYTE")
}

// bits is the part in bits of a string of n bytes, as [from, to).
func (p part) bits(n int) (from, to int) {
	total := int64(n)
	if p.inBits {
		total *= 8
	}
	start, end := p.start, p.end
	if start < 0 {
		start = max(start+total, 0)
	}
	if end < 0 && p.ended {
		end = max(end+total, 0)
	}
	if end >= total || !p.ended {
		end = total - 1
	}
	switch {
	case start > end:
		return 0, 0
	case p.inBits:
		return int(start), int(end) + 1
	}
	return int(start) * 8, int(end)*8 + 8
}

// bitcount looks at the key before it looks at the other words, as Redis does: of a key that
// is not there any words are taken.
func bitcount(c *command.Ctx) {
	var digits [20]byte
	b, found, ok := text(c, c.Argv[1], digits[:])
	if !ok {
		return
	}
	if !found {
		c.Out.Int(0)
		return
	}
	if len(c.Argv) == 3 {
		c.Fail(resp.ErrSyntax)
		return
	}
	p := part{end: -1, ended: len(c.Argv) > 3}
	if len(c.Argv) == 4 || len(c.Argv) == 5 { // Redis looks at both numbers before the unit, and not at it where they say that there is nothing
		if p.start, ok = c.Int(2); ok {
			p.end, ok = c.Int(3)
		}
		if !ok {
			return
		}
	}
	switch {
	case len(c.Argv) > 3 && p.start < 0 && p.end < 0 && p.start > p.end: // both may lie before the string
		c.Out.Int(0)
	case len(c.Argv) > 5, !p.unit(c, 4):
		c.Fail(resp.ErrSyntax)
	default:
		from, to := p.bits(len(b))
		c.Out.Int(int64(value.CountBits(b, from, to)))
	}
}

func bitpos(c *command.Ctx) {
	bit, ok := c.Int(2)
	if !ok {
		return
	}
	if bit != 0 && bit != 1 {
		c.Fail(resp.ErrBitArgument)
		return
	}
	var digits [20]byte
	b, found, ok := text(c, c.Argv[1], digits[:])
	if !ok {
		return
	}
	if !found {
		c.Out.Int(-bit)
		return
	}
	p, ok := parsePart(c, 3)
	if !ok {
		return
	}
	from, to := p.bits(len(b))
	at := value.FindBit(b, bit == 1, from, to)
	if at < 0 && bit == 0 && from < to && !p.ended { // zeros follow the string
		at = to
	}
	c.Out.Int(int64(at))
}

func parseOp(word []byte) (op value.BitOp, ok bool) {
	switch {
	case command.Is(word, "AND"):
		return value.BitAnd, true
	case command.Is(word, "OR"):
		return value.BitOr, true
	case command.Is(word, "XOR"):
		return value.BitXor, true
	case command.Is(word, "NOT"):
		return value.BitNot, true
	}
	return 0, false
}

func bitop(c *command.Ctx) {
	op, ok := parseOp(c.Argv[1])
	if !ok {
		c.Fail(resp.ErrSyntax)
		return
	}
	dst, keys := c.Argv[2], c.Argv[3:]
	if op == value.BitNot && len(keys) != 1 {
		c.Fail(resp.ErrBitopNot)
		return
	}
	// Looking a key up may delete it, so bytes are read only when all have been found.
	longest := 0
	for _, key := range keys {
		e, found := c.Read(key)
		if !c.Typed(e, found, value.String) {
			return
		}
		if found {
			longest = max(longest, e.StrLen())
		}
	}
	if longest == 0 {
		if c.Txn.Delete(dst) {
			c.Notify(command.EventGeneric, "del", dst)
		}
		c.Out.Int(0)
		return
	}
	result := append(c.Scratch[:0], make([]byte, longest)...)
	for i, key := range keys {
		var digits [20]byte
		var b []byte
		if e, found := c.Txn.Lookup(key, store.NoTouch|store.NoStats); found {
			b = e.Bytes(digits[:])
		}
		if i == 0 && op != value.BitNot {
			copy(result, b)
		} else {
			value.CombineBits(op, result, b)
		}
	}
	c.Scratch = result
	if existed := c.Txn.SetPayload(dst, value.String, value.Raw, result, store.NoExpire); !existed {
		c.Created(dst)
	}
	c.Notify(command.EventString, "set", dst)
	c.Out.Int(int64(longest))
}
