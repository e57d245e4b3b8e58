package bitmap

import (
	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store/value"
)

// fieldOp is one operation of BITFIELD: with none of set and add it only reads.
type fieldOp struct {
	field    value.BitField
	at       int64
	set, add bool
	operand  int64
	overflow value.Overflow
}

func (o *fieldOp) writes() bool { return o.set || o.add }

// parseFieldOps reads the operations. size is how long a string must be for all that write.
func (f family) parseFieldOps(c *command.Ctx, ops []fieldOp) (all []fieldOp, size int64, ok bool) {
	overflow := value.Wrap
	for i := 2; i < len(c.Argv); {
		word, after := c.Argv[i], len(c.Argv)-i-1
		o := fieldOp{overflow: overflow}
		words := 3
		switch {
		case command.Is(word, "GET") && after >= 2:
		case command.Is(word, "SET") && after >= 3:
			o.set, words = true, 4
		case command.Is(word, "INCRBY") && after >= 3:
			o.add, words = true, 4
		case command.Is(word, "OVERFLOW") && after >= 1:
			if overflow, ok = parseOverflow(c.Argv[i+1]); !ok {
				c.Fail(resp.ErrBitfieldOverflow)
				return nil, 0, false
			}
			i += 2
			continue
		default:
			c.Fail(resp.ErrSyntax)
			return nil, 0, false
		}
		if o.field, ok = value.ParseBitField(c.Argv[i+1]); !ok {
			c.Fail(resp.ErrBitfieldType)
			return nil, 0, false
		}
		if o.at, ok = f.offset(c, c.Argv[i+2], true, o.field.Bits); !ok {
			return nil, 0, false
		}
		if o.writes() {
			if o.operand, ok = c.Int(i + 3); !ok {
				return nil, 0, false
			}
			size = max(size, (o.at+int64(o.field.Bits)-1)>>3+1)
		}
		ops = append(ops, o)
		i += words
	}
	return ops, size, true
}

func parseOverflow(word []byte) (o value.Overflow, ok bool) {
	switch {
	case command.Is(word, "WRAP"):
		return value.Wrap, true
	case command.Is(word, "SAT"):
		return value.Saturate, true
	case command.Is(word, "FAIL"):
		return value.Refuse, true
	}
	return 0, false
}

// fieldKey is BITFIELD's key: it is only read when all operations do.
func fieldKey(writing, reading command.Access) command.KeySpec {
	k := command.At(1, writing)
	k.Vary = func(argv [][]byte) command.Access {
		for i := 2; i < len(argv); i++ {
			switch {
			case command.Is(argv[i], "GET"):
				i += 2
			case command.Is(argv[i], "OVERFLOW"):
				i++
			default:
				return writing &^ command.VariableFlags
			}
		}
		return reading
	}
	return k
}

func (f family) bitfield(c *command.Ctx) {
	var few [8]fieldOp
	ops, size, ok := f.parseFieldOps(c, few[:0])
	switch {
	case !ok:
	case size == 0:
		readFields(c, ops)
	default:
		writeFields(c, ops, int(size))
	}
}

func (f family) bitfieldRO(c *command.Ctx) {
	var few [8]fieldOp
	ops, size, ok := f.parseFieldOps(c, few[:0])
	switch {
	case !ok:
	case size > 0:
		c.Fail(resp.ErrBitfieldReadOnly)
	default:
		readFields(c, ops)
	}
}

func readFields(c *command.Ctx, ops []fieldOp) {
	var digits [20]byte
	b, _, ok := text(c, c.Argv[1], digits[:])
	if !ok {
		return
	}
	c.Out.Array(len(ops))
	for i := range ops {
		c.Out.Int(ops[i].field.Get(b, ops[i].at))
	}
}

// writeFields carries the operations out. The string is edited, and grows to size, with the
// first operation that changes something; one that overflow refuses does not.
func writeFields(c *command.Ctx, ops []fieldOp, size int) {
	key := c.Argv[1]
	e, found := c.Write(key)
	if !c.Typed(e, found, value.String) {
		return
	}
	var digits [20]byte
	var b []byte
	if found {
		b = e.Bytes(digits[:])
	}
	changed := false
	c.Out.Array(len(ops))
	for i := range ops {
		o := &ops[i]
		old := o.field.Get(b, o.at)
		if !o.writes() {
			c.Out.Int(old)
			continue
		}
		begin, delta := old, o.operand
		if o.set {
			begin, delta = o.operand, 0
		}
		val, overflows := o.field.Add(begin, delta, o.overflow)
		if overflows && o.overflow == value.Refuse {
			c.Out.Null()
			continue
		}
		if val != old || len(b) < size {
			if !changed {
				b, changed = c.Txn.EditString(key, size), true
			}
			o.field.Put(b, o.at, val)
		}
		if o.set {
			c.Out.Int(old)
		} else {
			c.Out.Int(val)
		}
	}
	if changed {
		if !found {
			c.Created(key)
		}
		c.Notify(command.EventString, "setbit", key)
	}
}
