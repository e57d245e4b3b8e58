package lib

import (
	"math"
	"strconv"
	"strings"

	"github.com/sextantdb/sextant/resp/lua/vm"
)

// openBit is the bit library of LuaJIT: 32-bit operations on numbers taken modulo 2^32.
func openBit(m *vm.VM) {
	fold := func(op func(a, b uint32) uint32) vm.GoFunc {
		return func(c *vm.Call) {
			r := bits(c, 1)
			for i := 2; i <= len(c.Args); i++ {
				r = op(r, bits(c, i))
			}
			pushBits(c, r)
		}
	}
	shift := func(op func(a uint32, n uint) uint32) vm.GoFunc {
		return func(c *vm.Call) {
			a := bits(c, 1)
			pushBits(c, op(a, uint(bits(c, 2)&31)))
		}
	}
	m.Library("bit", map[string]vm.GoFunc{
		"tobit":  func(c *vm.Call) { pushBits(c, bits(c, 1)) },
		"bnot":   func(c *vm.Call) { pushBits(c, ^bits(c, 1)) },
		"band":   fold(func(a, b uint32) uint32 { return a & b }),
		"bor":    fold(func(a, b uint32) uint32 { return a | b }),
		"bxor":   fold(func(a, b uint32) uint32 { return a ^ b }),
		"lshift": shift(func(a uint32, n uint) uint32 { return a << n }), "rshift": shift(func(a uint32, n uint) uint32 { return a >> n }),
		"arshift": shift(func(a uint32, n uint) uint32 { return uint32(int32(a) >> n) }),
		"rol":     shift(func(a uint32, n uint) uint32 { return a<<n | a>>((32-n)&31) }),
		"ror":     shift(func(a uint32, n uint) uint32 { return a>>n | a<<((32-n)&31) }),
		"bswap": func(c *vm.Call) {
			b := bits(c, 1)
			pushBits(c, b>>24|b>>8&0xff00|b&0xff00<<8|b<<24)
		},
		"tohex": toHex,
	})
}

// bits is argument n modulo 2^32, rounded to even.
func bits(c *vm.Call, n int) uint32 {
	f := c.Num(n)
	return uint32(math.Float64bits(f + 6755399441055744.0)) // 2^52 + 2^51: the low bits of the sum are the integer
}

func pushBits(c *vm.Call, b uint32) { c.Push1(vm.Number(float64(int32(b)))) }

func toHex(c *vm.Call) {
	b := bits(c, 1)
	n := int32(8)
	if !c.Arg(2).IsNil() || len(c.Args) > 1 {
		n = int32(bits(c, 2))
	}
	upper := n < 0
	if upper {
		if n == math.MinInt32 {
			n++
		}
		n = -n
	}
	n = min(n, 8)
	s := strconv.FormatUint(uint64(b)|1<<32, 16)[1:]
	if upper {
		s = strings.ToUpper(s)
	}
	c.PushString(s[8-n:])
}
