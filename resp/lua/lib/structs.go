package lib

import (
	"encoding/binary"
	"math"
	"strings"

	"github.com/sextantdb/sextant/resp/lua/vm"
)

// openStruct is the struct library: C structures from and to strings, by a format.
func openStruct(m *vm.VM) {
	m.Library("struct", map[string]vm.GoFunc{"pack": structPack, "unpack": structUnpack, "size": structSize})
}

// Sizes of C's types on the machines Redis runs on.
const (
	sizeShort, sizeInt, sizeLong = 2, 4, 8
	mostInt                      = 32 // bytes of the longest integer
	mostAlign                    = 8
	mostResults                  = 7990 // where PUC's stack would end
)

// format walks a format string.
type format struct {
	c     *vm.Call
	s     string
	at    int
	big   bool
	align int
}

func (f *format) number(or int) int {
	if f.at >= len(f.s) || f.s[f.at] < '0' || f.s[f.at] > '9' {
		return or
	}
	n := 0
	for f.at < len(f.s) && '0' <= f.s[f.at] && f.s[f.at] <= '9' {
		d := int(f.s[f.at] - '0')
		if n > math.MaxInt32/10 || n*10 > math.MaxInt32-d {
			f.c.Errorf("integral size overflow")
		}
		n = n*10 + d
		f.at++
	}
	return n
}

// next returns the next option and its size; ok is false at the end.
func (f *format) next() (opt byte, size int, ok bool) {
	if f.at >= len(f.s) || f.s[f.at] == 0 {
		return 0, 0, false
	}
	opt = f.s[f.at]
	f.at++
	switch opt {
	case 'B', 'b', 'x':
		size = 1
	case 'H', 'h':
		size = sizeShort
	case 'L', 'l', 'T':
		size = sizeLong
	case 'f':
		size = 4
	case 'd':
		size = 8
	case 'c':
		size = f.number(1)
	case 'i', 'I':
		if size = f.number(sizeInt); size > mostInt {
			f.c.Errorf("integral size %d is larger than limit of %d", size, mostInt)
		}
	}
	return opt, size, true
}

// pad is how many bytes bring at to where an element of this size may be.
func (f *format) pad(at int, opt byte, size int) int {
	if size == 0 || opt == 'c' {
		return 0
	}
	size = min(size, f.align)
	return (size - at&(size-1)) & (size - 1)
}

// control takes the options that set something.
func (f *format) control(opt byte) {
	switch opt {
	case ' ':
	case '>':
		f.big = true
	case '<':
		f.big = false
	case '!':
		a := f.number(mostAlign)
		if a <= 0 || a&(a-1) != 0 {
			f.c.Errorf("alignment %d is not a power of 2", a)
		}
		f.align = a
	default:
		f.c.ArgError(1, "invalid format option '"+string([]byte{opt})+"'")
	}
}

func (f *format) putInt(b []byte, x float64, size int) []byte {
	var v uint64
	switch {
	case x < 0:
		v = uint64(truncate(x))
	case x >= 9223372036854775808 && x < 18446744073709551616:
		v = uint64(x)
	default:
		v = uint64(truncate(x))
	}
	from := len(b)
	b = append(b, make([]byte, size)...)
	for i := range size {
		at := i
		if f.big {
			at = size - 1 - i
		}
		b[from+at] = byte(v)
		v >>= 8
	}
	return b
}

// truncate is C's cast on amd64.
func truncate(x float64) int64 {
	if x >= -9223372036854775808 && x < 9223372036854775808 {
		return int64(x)
	}
	return math.MinInt64
}

func structPack(c *vm.Call) {
	f := format{c: c, s: c.Str(1), align: 1}
	c.Args = append(c.Args[:len(c.Args):len(c.Args)], vm.Nil) // where C keeps a mark: what is missing is nil
	arg, total := 2, 0
	var b []byte
	for {
		opt, size, ok := f.next()
		if !ok {
			break
		}
		pad := f.pad(total, opt, size)
		total += pad
		c.VM().Reserve(pad + size)
		b = append(b, make([]byte, pad)...)
		order := binary.ByteOrder(binary.LittleEndian)
		if f.big {
			order = binary.BigEndian
		}
		switch opt {
		case 'b', 'B', 'h', 'H', 'l', 'L', 'T', 'i', 'I':
			b = f.putInt(b, c.Num(arg), size)
			arg++
		case 'x':
			b = append(b, 0)
		case 'f':
			var w [4]byte
			order.PutUint32(w[:], math.Float32bits(float32(c.Num(arg))))
			b = append(b, w[:]...)
			arg++
		case 'd':
			var w [8]byte
			order.PutUint64(w[:], math.Float64bits(c.Num(arg)))
			b = append(b, w[:]...)
			arg++
		case 'c', 's':
			s := c.Str(arg)
			arg++
			if size == 0 {
				size = len(s)
			}
			if len(s) < size {
				c.ArgError(arg, "string too short")
			}
			c.VM().Reserve(size)
			b = append(b, s[:size]...)
			if opt == 's' {
				b = append(b, 0)
				size++
			}
		default:
			f.control(opt)
		}
		total += size
	}
	c.PushString(string(b))
}

func (f *format) getInt(s string, signed bool) float64 {
	var v uint64
	for i := range len(s) {
		at := len(s) - 1 - i
		if f.big {
			at = i
		}
		v = v<<8 | uint64(s[at])
	}
	if !signed {
		return float64(v)
	}
	mask := ^uint64(0) << (uint(len(s)*8-1) & 63)
	if v&mask != 0 {
		v |= mask
	}
	return float64(int64(v))
}

func structUnpack(c *vm.Call) {
	f := format{c: c, s: c.Str(1), align: 1}
	data := c.Str(2)
	pos := c.OptInt(3, 1)
	if pos <= 0 {
		c.ArgError(3, "offset must be 1 or greater")
	}
	pos--
	short := func(size int) {
		if size < 0 || size > len(data) || pos > len(data)-size {
			c.ArgError(2, "data string too short")
		}
	}
	var vals []vm.Value
	for {
		opt, size, ok := f.next()
		if !ok {
			break
		}
		pos += f.pad(pos, opt, size)
		short(size)
		if len(vals) > mostResults {
			c.Errorf("stack overflow (too many results)")
		}
		switch opt {
		case 'b', 'h', 'l', 'i':
			vals = append(vals, vm.Number(f.getInt(data[pos:pos+size], true)))
		case 'B', 'H', 'L', 'T', 'I':
			vals = append(vals, vm.Number(f.getInt(data[pos:pos+size], false)))
		case 'x':
		case 'f':
			v := math.Float32frombits(uint32(f.getInt(data[pos:pos+4], false)))
			vals = append(vals, vm.Number(float64(v)))
		case 'd':
			var v uint64
			if w := []byte(data[pos : pos+8]); f.big {
				v = binary.BigEndian.Uint64(w)
			} else {
				v = binary.LittleEndian.Uint64(w)
			}
			vals = append(vals, vm.Number(math.Float64frombits(v)))
		case 'c':
			if size == 0 {
				n, ok := 0.0, false
				if len(vals) > 0 {
					n, ok = vals[len(vals)-1].ToNumber()
				}
				if !ok {
					c.Errorf("format 'c0' needs a previous size")
				}
				size = int(truncate(n))
				vals = vals[:len(vals)-1]
				short(size)
			}
			vals = append(vals, c.VM().NewString(strings.Clone(data[pos:pos+size])))
		case 's':
			n := strings.IndexByte(data[pos:], 0)
			if n < 0 {
				c.Errorf("unfinished string in data")
			}
			size = n + 1
			vals = append(vals, c.VM().NewString(strings.Clone(data[pos:pos+n])))
		default:
			f.control(opt)
		}
		pos += size
	}
	c.Push(vals...)
	c.Push1(vm.Int(pos + 1))
}

func structSize(c *vm.Call) {
	f := format{c: c, s: c.Str(1), align: 1}
	pos := 0
	for {
		opt, size, ok := f.next()
		if !ok {
			break
		}
		pos += f.pad(pos, opt, size)
		switch {
		case opt == 's':
			c.ArgError(1, "option 's' has no fixed size")
		case opt == 'c' && size == 0:
			c.ArgError(1, "option 'c0' has no fixed size")
		case !alphanumeric(opt):
			f.control(opt)
		}
		pos += size
	}
	c.Push1(vm.Int(pos))
}

func alphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}
