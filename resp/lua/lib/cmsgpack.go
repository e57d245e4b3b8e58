package lib

import (
	"encoding/binary"
	"math"
	"strings"

	"github.com/sextantdb/sextant/resp/lua/vm"
)

// Bounds of cmsgpack: how deep tables are packed (deeper ones become nil), and where PUC's stack would end.
const (
	deepestPack   = 16
	deepestUnpack = 2600
	mostUnpacked  = 7990
)

func openMsgpack(m *vm.VM) {
	t := m.Library("cmsgpack", map[string]vm.GoFunc{
		"pack":   msgPack,
		"unpack": func(c *vm.Call) { msgUnpack(c, 0, 0) },
		"unpack_one": func(c *vm.Call) {
			offset := c.OptInt(2, 0)
			msgUnpack(c, 1, offset)
		},
		"unpack_limit": func(c *vm.Call) {
			limit, offset := c.Int(2), c.OptInt(3, 0)
			msgUnpack(c, limit, offset)
		},
	})
	t.SetString("_NAME", vm.String("cmsgpack"))
	t.SetString("_VERSION", vm.String("lua-cmsgpack 0.4.0"))
	t.SetString("_COPYRIGHT", vm.String("Copyright (C) 2012, Salvatore Sanfilippo"))
	t.SetString("_DESCRIPTION", vm.String("MessagePack C implementation for Lua"))
}

type packer struct {
	c    *vm.Call
	b    []byte
	paid int
}

func msgPack(c *vm.Call) {
	if len(c.Args) == 0 {
		c.ArgError(0, "MessagePack pack needs input.")
	}
	p := packer{c: c}
	for _, v := range c.Args {
		p.value(v, 0)
	}
	c.PushString(string(p.b))
}

// size writes a head: fixed (if n is at most most), else the byte for the narrowest width that holds n.
func (p *packer) size(n, most int, fixed, w8, w16, w32 byte) {
	switch {
	case n <= most:
		p.b = append(p.b, fixed|byte(n))
	case w8 != 0 && n <= math.MaxUint8:
		p.b = append(p.b, w8, byte(n))
	case n <= math.MaxUint16:
		p.b = binary.BigEndian.AppendUint16(append(p.b, w16), uint16(n))
	default:
		p.b = binary.BigEndian.AppendUint32(append(p.b, w32), uint32(n))
	}
}

func (p *packer) value(v vm.Value, depth int) {
	if n := len(p.b); n > 4096 && n >= 2*p.paid { // as jsonEncoder.pay
		p.c.VM().Reserve(n)
		p.paid = n
	}
	if s, ok := v.AsString(); ok {
		p.size(len(s), 31, 0xa0, 0xd9, 0xda, 0xdb)
		p.b = append(p.b, s...)
		return
	}
	if f, ok := v.AsNumber(); ok {
		p.number(f)
		return
	}
	if b, ok := v.AsBool(); ok {
		if b {
			p.b = append(p.b, 0xc3)
		} else {
			p.b = append(p.b, 0xc2)
		}
		return
	}
	t := v.AsTable()
	if t == nil || depth == deepestPack {
		p.b = append(p.b, 0xc0)
		return
	}
	n, array := 0, true
	most := 0.0
	t.Each(func(k, _ vm.Value) bool {
		f, ok := k.AsNumber()
		if !ok || f <= 0 || f != math.Trunc(f) || f > math.MaxInt32 {
			array = false
		}
		most = max(most, f)
		n++
		return true
	})
	if array && most == float64(n) {
		n = t.Len()
		p.size(n, 15, 0x90, 0, 0xdc, 0xdd)
		for i := 1; i <= n; i++ {
			p.value(t.GetInt(i), depth+1)
		}
		return
	}
	p.size(n, 15, 0x80, 0, 0xde, 0xdf)
	t.Each(func(k, v vm.Value) bool {
		p.value(k, depth+1)
		p.value(v, depth+1)
		return true
	})
}

func (p *packer) number(f float64) {
	if f != math.Trunc(f) || math.IsInf(f, 0) || f < -9223372036854775808 || f >= 9223372036854775808 {
		if float64(float32(f)) == f {
			p.b = binary.BigEndian.AppendUint32(append(p.b, 0xca), math.Float32bits(float32(f)))
		} else {
			p.b = binary.BigEndian.AppendUint64(append(p.b, 0xcb), math.Float64bits(f))
		}
		return
	}
	switch n := int64(f); {
	case n >= 0 && n <= 127, n < 0 && n >= -32:
		p.b = append(p.b, byte(n))
	case n >= 0 && n <= math.MaxUint8:
		p.b = append(p.b, 0xcc, byte(n))
	case n >= 0 && n <= math.MaxUint16:
		p.b = binary.BigEndian.AppendUint16(append(p.b, 0xcd), uint16(n))
	case n >= 0 && n <= math.MaxUint32:
		p.b = binary.BigEndian.AppendUint32(append(p.b, 0xce), uint32(n))
	case n >= 0:
		p.b = binary.BigEndian.AppendUint64(append(p.b, 0xcf), uint64(n))
	case n >= math.MinInt8:
		p.b = append(p.b, 0xd0, byte(n))
	case n >= math.MinInt16:
		p.b = binary.BigEndian.AppendUint16(append(p.b, 0xd1), uint16(n))
	case n >= math.MinInt32:
		p.b = binary.BigEndian.AppendUint32(append(p.b, 0xd2), uint32(n))
	default:
		p.b = binary.BigEndian.AppendUint64(append(p.b, 0xd3), uint64(n))
	}
}

// msgUnpack returns up to limit values from offset on, and before them where it stopped; with both 0 all values and no place.
func msgUnpack(c *vm.Call, limit, offset int) {
	all := limit == 0 && offset == 0
	s := c.Str(1)
	switch {
	case offset < 0 || limit < 0:
		c.Errorf("Invalid request to unpack with offset of %d and limit of %d.", int32(offset), int32(len(s)))
	case offset > len(s):
		c.Errorf("Start offset %d greater than input length %d.", int32(offset), int32(len(s)))
	}
	u := unpacker{c: c, s: s, at: offset}
	var vals []vm.Value
	for n := 0; u.at < len(s) && (all || n < limit); n++ {
		vals = append(vals, u.value(0))
		if len(vals) > mostUnpacked {
			u.overflow()
		}
	}
	if !all {
		next := u.at
		if next == len(s) {
			next = -1
		}
		c.Push1(vm.Int(next))
	}
	c.Push(vals...)
}

type unpacker struct {
	c  *vm.Call
	s  string
	at int
}

func (u *unpacker) overflow() {
	u.c.Errorf("stack overflow (too many return values at once; use unpack_one or unpack_limit instead.)")
}

func (u *unpacker) take(n int) string {
	if n < 0 || len(u.s)-u.at < n {
		u.c.Errorf("Missing bytes in input.")
	}
	s := u.s[u.at : u.at+n]
	u.at += n
	return s
}

// uint reads n bytes.
func (u *unpacker) uint(n int) (v uint64) {
	s := u.take(n)
	for i := range len(s) {
		v = v<<8 | uint64(s[i])
	}
	return v
}

func (u *unpacker) str(n int) vm.Value { return u.c.VM().NewString(strings.Clone(u.take(n))) }

func (u *unpacker) value(depth int) vm.Value {
	if depth > deepestUnpack {
		u.overflow()
	}
	b := u.take(1)[0]
	switch b {
	case 0xc0:
		return vm.Nil
	case 0xc2:
		return vm.False
	case 0xc3:
		return vm.True
	case 0xca:
		return vm.Number(float64(math.Float32frombits(uint32(u.uint(4)))))
	case 0xcb:
		return vm.Number(math.Float64frombits(u.uint(8)))
	case 0xcc, 0xcd, 0xce, 0xcf:
		return vm.Number(float64(int64(u.uint(1 << (b - 0xcc))))) // also of 64 bits it is a signed integer on its way
	case 0xd0:
		return vm.Number(float64(int8(u.uint(1))))
	case 0xd1:
		return vm.Number(float64(int16(u.uint(2))))
	case 0xd2:
		return vm.Number(float64(int32(u.uint(4))))
	case 0xd3:
		return vm.Number(float64(int64(u.uint(8))))
	case 0xd9, 0xda, 0xdb:
		return u.str(int(u.uint(1 << (b - 0xd9))))
	case 0xdc, 0xdd:
		return u.array(int(u.uint(2<<(b-0xdc))), depth)
	case 0xde, 0xdf:
		return u.hash(int(u.uint(2<<(b-0xde))), depth)
	}
	switch {
	case b < 0x80:
		return vm.Int(int(b))
	case b >= 0xe0:
		return vm.Int(int(int8(b)))
	case b&0xe0 == 0xa0:
		return u.str(int(b & 31))
	case b&0xf0 == 0x90:
		return u.array(int(b&15), depth)
	case b&0xf0 == 0x80:
		return u.hash(int(b&15), depth)
	}
	u.c.Errorf("Bad data format in input.")
	return vm.Nil
}

func (u *unpacker) array(n, depth int) vm.Value {
	t := u.c.VM().NewTable(0, 0)
	for i := 1; i <= n; i++ {
		t.SetInt(i, u.value(depth+1))
	}
	return t.Value()
}

func (u *unpacker) hash(n, depth int) vm.Value {
	t := u.c.VM().NewTable(0, 0)
	for range n {
		k := u.value(depth + 1)
		v := u.value(depth + 1)
		if k.IsNil() {
			u.c.Throw(vm.String("table index is nil"))
		}
		if f, ok := k.AsNumber(); ok && math.IsNaN(f) {
			u.c.Throw(vm.String("table index is NaN"))
		}
		t.Set(k, v)
	}
	return t.Value()
}
