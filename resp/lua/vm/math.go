package vm

import "math"

func (vm *VM) openMath() {
	one := func(f func(float64) float64) GoFunc { return func(c *Call) { c.Push1(Number(f(c.Num(1)))) } }
	two := func(f func(a, b float64) float64) GoFunc {
		return func(c *Call) { c.Push1(Number(f(c.Num(1), c.Num(2)))) }
	}
	m := vm.Library("math", map[string]GoFunc{
		"abs": one(math.Abs), "acos": one(math.Acos), "asin": one(math.Asin), "atan": one(math.Atan), "atan2": two(math.Atan2),
		"ceil": one(math.Ceil), "cos": one(math.Cos), "cosh": one(math.Cosh), "deg": one(func(x float64) float64 { return x / (math.Pi / 180) }),
		"exp": one(math.Exp), "floor": one(math.Floor), "fmod": two(math.Mod), "mod": two(math.Mod),
		"frexp": func(c *Call) {
			f, e := math.Frexp(c.Num(1))
			c.Push(Number(f), Int(e))
		},
		"ldexp": func(c *Call) { c.Push1(Number(math.Ldexp(c.Num(1), c.Int(2)))) },
		"log":   one(math.Log), "log10": one(math.Log10),
		"max": func(c *Call) { extreme(c, func(a, b float64) bool { return a > b }) },
		"min": func(c *Call) { extreme(c, func(a, b float64) bool { return a < b }) },
		"modf": func(c *Call) {
			x := c.Num(1)
			i := math.Trunc(x)
			f := x - i
			if math.IsInf(x, 0) {
				f = math.Copysign(0, x)
			}
			c.Push(Number(i), Number(f))
		},
		"pow": two(math.Pow), "rad": one(func(x float64) float64 { return x * (math.Pi / 180) }),
		"random": mathRandom, "randomseed": func(c *Call) { c.th.vm.SeedRandom(int32(c.Int(1))) },
		"sin": one(math.Sin), "sinh": one(math.Sinh), "sqrt": one(math.Sqrt), "tan": one(math.Tan), "tanh": one(math.Tanh),
	})
	m.SetString("pi", Number(math.Pi))
	m.SetString("huge", Number(math.Inf(1)))
	vm.SeedRandom(0)
}

func extreme(c *Call, better func(a, b float64) bool) {
	best := c.Num(1)
	for i := 2; i <= len(c.Args); i++ {
		if x := c.Num(i); better(x, best) {
			best = x
		}
	}
	c.Push1(Number(best))
}

// SeedRandom begins a sequence of math.random: srand48, so that it is the same on every machine and as in Redis.
func (vm *VM) SeedRandom(seed int32) {
	vm.rand = [3]uint16{0x330e, uint16(seed), uint16(uint32(seed) >> 16)}
}

// lrand48 is the next number of the sequence, 31 bits.
func (vm *VM) lrand48() int32 {
	x := uint64(vm.rand[0]) | uint64(vm.rand[1])<<16 | uint64(vm.rand[2])<<32
	x = (x*0x5deece66d + 0xb) & (1<<48 - 1)
	vm.rand = [3]uint16{uint16(x), uint16(x >> 16), uint16(x >> 32)}
	return int32(x >> 17)
}

func mathRandom(c *Call) {
	const limit = math.MaxInt32
	r := float64(c.th.vm.lrand48()%limit) / limit
	switch len(c.Args) {
	case 0:
		c.Push1(Number(r))
	case 1:
		u := int(int32(c.Int(1)))
		if u < 1 {
			c.ArgError(1, "interval is empty")
		}
		c.Push1(Number(math.Floor(r*float64(u)) + 1))
	case 2:
		l, u := int(int32(c.Int(1))), int(int32(c.Int(2)))
		if l > u {
			c.ArgError(2, "interval is empty")
		}
		c.Push1(Number(math.Floor(r*float64(int32(u-l+1))) + float64(l)))
	default:
		c.Errorf("wrong number of arguments")
	}
}
