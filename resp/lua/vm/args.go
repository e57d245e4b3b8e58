package vm

import "math"

// Str returns argument n, a string or a number as one, or raises an error.
func (c *Call) Str(n int) string {
	if s, ok := c.Arg(n).ToString(); ok && n <= len(c.Args) {
		return s
	}
	c.typeError(n, "string")
	return ""
}

// Num returns argument n, a number or a string that is one, or raises an error.
func (c *Call) Num(n int) float64 {
	if f, ok := c.Arg(n).ToNumber(); ok {
		return f
	}
	c.typeError(n, "number")
	return 0
}

// Int returns argument n cut to an integer.
func (c *Call) Int(n int) int { return toInt(c.Num(n)) }

// OptInt is Int with a value for nil and none.
func (c *Call) OptInt(n, or int) int {
	if c.Arg(n).IsNil() {
		return or
	}
	return c.Int(n)
}

// OptStr is Str with a value for nil and none.
func (c *Call) OptStr(n int, or string) string {
	if c.Arg(n).IsNil() {
		return or
	}
	return c.Str(n)
}

// Table returns argument n, or raises an error.
func (c *Call) Table(n int) *Table {
	t := c.Arg(n).AsTable()
	if t == nil {
		c.typeError(n, "table")
	}
	return t
}

// Func returns argument n, or raises an error.
func (c *Call) Func(n int) Value {
	if c.Arg(n).Kind() != KindFunction {
		c.typeError(n, "function")
	}
	return c.Arg(n)
}

// Any returns argument n, which must be there.
func (c *Call) Any(n int) Value {
	if n > len(c.Args) {
		c.ArgError(n, "value expected")
	}
	return c.Args[n-1]
}

// toInt is C's cast of a double to an integer, on amd64.
func toInt(f float64) int {
	if f >= -9223372036854775808 && f < 9223372036854775808 {
		return int(f)
	}
	return math.MinInt64
}

// TypeError raises "bad argument #n to 'name' (want expected, got …)".
func (c *Call) TypeError(n int, want string) { c.typeError(n, want) }
