package vm_test

import (
	"math"
	"math/rand"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp/lua/vm"
)

// What scripts see of the language is held against redis-server in resp/lua; here are the parts where one wrong case in
// many would hide.

func TestNumbersToTextAndBack(t *testing.T) {
	for f, want := range map[float64]string{
		0: "0", 1: "1", -1: "-1", 0.1: "0.1", 1e14: "1e+14", 99999999999999: "99999999999999", 123456789012345: "1.2345678901234e+14",
		1e15: "1e+15", 1e100: "1e+100", 1e-5: "1e-05", 0.0001: "0.0001", 3.14159265358979: "3.1415926535898", 1.0 / 3: "0.33333333333333",
		math.Inf(1): "inf", math.Inf(-1): "-inf", 5e-324: "4.9406564584125e-324", math.MaxFloat64: "1.7976931348623e+308", -0.5: "-0.5",
		2.5e-7: "2.5e-07", 100: "100", 1e5: "100000", 123456.7: "123456.7",
	} {
		assert.Equal(t, want, vm.FormatNumber(f))
	}
	assert.Equal(t, "-0", vm.FormatNumber(math.Copysign(0, -1)))
	assert.Equal(t, "nan", vm.FormatNumber(math.NaN()))
	for s, want := range map[string]float64{
		"10": 10, " 10 ": 10, "0x10": 16, "-0x10": -16, "1e2": 100, ".5": 0.5, "5.": 5, "+5": 5, "\t5\n": 5, "0x.8p1": 1, "inf": math.Inf(1), "-inf": math.Inf(-1),
		"1e400": math.Inf(1), "999999999999999": 999999999999999, "9999999999999999": 1e16, "00012": 12, "5\x00x": 5,
	} {
		got, ok := vm.ParseNumber(s)
		assert.True(t, ok, "%q", s)
		assert.Equal(t, want, got, "%q", s)
	}
	for _, s := range []string{"", " ", "x", "1x", "1 2", "0x", "--1", "+-1", "1_000", "0x_1", "1e", "e1", ".", "\x00", "\x005"} {
		_, ok := vm.ParseNumber(s)
		assert.False(t, ok, "%q", s)
	}
	r := rand.New(rand.NewSource(1))
	for range 10000 {
		f := math.Float64frombits(r.Uint64())
		if math.IsNaN(f) {
			continue
		}
		got, ok := vm.ParseNumber(vm.FormatG(f, 17))
		require.True(t, ok)
		require.Equal(t, f, got, "17 digits give the number back")
	}
}

// A table against a Go map: what is in it, that pairs meets each key once also when values are cleared under way, and that #t
// is a border.
func TestTableAgainstAMap(t *testing.T) {
	for seed := range int64(50) {
		r := rand.New(rand.NewSource(seed))
		m := vm.New(0)
		table, model := m.NewTable(r.Intn(8), r.Intn(8)), map[string]int{}
		key := func() (vm.Value, string) {
			switch n := r.Intn(40); r.Intn(4) {
			case 0:
				return vm.String("s" + strconv.Itoa(n)), "s" + strconv.Itoa(n)
			case 1:
				return vm.Number(float64(n) + 0.5), "f" + strconv.Itoa(n)
			case 2:
				return vm.Bool(n%2 == 0), "b" + strconv.Itoa(n%2)
			default:
				return vm.Int(n), "i" + strconv.Itoa(n)
			}
		}
		for step := range 3000 {
			k, name := key()
			if r.Intn(3) == 0 {
				table.Set(k, vm.Nil)
				delete(model, name)
			} else {
				table.Set(k, vm.Int(step))
				model[name] = step
			}
			k, name = key()
			want, there := model[name]
			got := table.Get(k)
			require.Equal(t, there, !got.IsNil(), "seed %d step %d: %s", seed, step, name)
			if there {
				f, _ := got.AsNumber()
				require.Equal(t, float64(want), f)
			}
			n := table.Len()
			require.True(t, n == 0 || !table.GetInt(n).IsNil(), "seed %d step %d: %d is a border", seed, step, n)
			require.True(t, table.GetInt(n+1).IsNil(), "seed %d step %d: %d is a border", seed, step, n)
		}
		met := 0
		table.Each(func(k, v vm.Value) bool {
			met++
			table.Set(k, vm.Nil) // clearing under way is allowed
			return true
		})
		require.Equal(t, len(model), met, "seed %d", seed)
	}
}

// run runs a chunk and returns the text of its first result, or its error with where it happened.
func run(t *testing.T, m *vm.VM, src string) string {
	t.Helper()
	p, err := vm.Compile(src, "@chunk")
	if err != nil {
		return err.Error()
	}
	v, lerr := m.Call(m.Load(p))
	if lerr != nil {
		return lerr.Error() + " at " + lerr.Source + ":" + strconv.Itoa(lerr.Line)
	}
	if s, ok := v.ToString(); ok {
		return s
	}
	return v.TypeName()
}

func TestErrorsSayWhere(t *testing.T) {
	for src, want := range map[string]string{
		"local t\n\nreturn t.x":                         "chunk:3: attempt to index local 't' (a nil value) at @chunk:3",
		"local t = {}\nreturn t.a.b":                    "chunk:2: attempt to index field 'a' (a nil value) at @chunk:2",
		"local function f()\nerror('x')\nend\nf()":      "chunk:2: x at @chunk:2",
		"local function f()\nerror('x', 2)\nend\n\nf()": "chunk:5: x at @chunk:2",
		"error('x', 0)":                                 "x at @chunk:1",
		"return 1 +\n{}":                                "chunk:2: attempt to perform arithmetic on a table value at @chunk:2",
		"local s = 'a'\nreturn s < 1":                   "chunk:2: attempt to compare string with number at @chunk:2",
		"string.rep()":                                  "chunk:1: bad argument #1 to 'rep' (string expected, got no value) at @chunk:1",
		"('x'):rep({})":                                 "chunk:1: bad argument #1 to 'rep' (number expected, got table) at @chunk:1",
		"nosuch()":                                      "chunk:1: attempt to call global 'nosuch' (a nil value) at @chunk:1",
		"x =":                                           "chunk:1: unexpected symbol near '<eof>'",
		"for i = 1, 'x' do end":                         "chunk:1: 'for' limit must be a number at @chunk:1",
		"local co = coroutine.wrap(function()\nerror('in')\nend)\nco()":           "chunk:4: chunk:2: in at @chunk:4",
		"return setmetatable({}, {__index = function(t, k)\nerror(k)\nend}).name": "chunk:2: name at @chunk:2",
	} {
		assert.Equal(t, want, run(t, vm.New(0), src), src)
	}
}

func TestCoroutines(t *testing.T) {
	for src, want := range map[string]string{
		`local co = coroutine.create(function(a) local b = coroutine.yield(a + 1) return b * 2 end)
		local _, x = coroutine.resume(co, 1) local _, y = coroutine.resume(co, 10) return x .. ' ' .. y .. ' ' .. coroutine.status(co)`: "2 20 dead",
		`local co = coroutine.create(function() error({}) end) local ok, e = coroutine.resume(co) return tostring(ok) .. type(e)`: "falsetable",
		`local co co = coroutine.create(function() return coroutine.resume(co) end)
		local _, ok, why = coroutine.resume(co) return tostring(ok) .. why`: "falsecannot resume running coroutine",
		`local t = {} for v in coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end) do t[#t + 1] = v end return table.concat(t, ',')`: "1,2,3",
		`coroutine.yield()`: "attempt to yield across metamethod/C-call boundary at @chunk:1",
		`local co = coroutine.wrap(function() return pcall(error, 'x') end) local ok, e = co() return tostring(ok) .. e`: "falsex",
	} {
		assert.Equal(t, want, run(t, vm.New(0), src), src)
	}
	m := vm.New(0)
	assert.Equal(t, "1000", run(t, m, `local n = 0 local ok = true
		while ok do local co = coroutine.create(function() coroutine.yield() end) ok = coroutine.resume(co) if ok then n = n + 1 end if n > 5000 then break end end return n`),
		"no more than so many have begun")
	m.CloseCoroutines()
	m.Clean()
	assert.Equal(t, "true", run(t, m, "return tostring(coroutine.resume(coroutine.create(function() end)))"))
}

// A script cannot hold or make more than its bound, whatever it does, and the machine lives on.
func TestMemoryBound(t *testing.T) {
	const limit = 4 << 20
	m := vm.New(limit)
	for _, src := range []string{
		"return string.rep('x', 1e9)", "local s = 'x' while true do s = s .. s end", "local t = {} while true do t[#t + 1] = {} end",
		"local t = {} for i = 1, 1e9 do t['k' .. i] = i end", "return table.concat({string.rep('x', 3e6), string.rep('x', 3e6)})",
		"local function f(n) return {f(n + 1)} end f(1)", "return ('x'):rep(3e6):gsub('x', 'yyyy')", "return string.format('%s%s', string.rep('x', 3e6), string.rep('x', 3e6))",
		"local t = {} for i = 1, 1e9 do t[i] = function() return i end end", "return pcall(string.rep, 'x', 1e9)",
	} {
		got := run(t, m, src)
		m.Clean()
		assert.True(t, strings.Contains(got, vm.ErrMemory) || strings.Contains(got, "overflow"), "%s: %.80s", src, got)
		assert.Equal(t, "3", run(t, m, "return 1 + 2"))
		m.Clean()
		m.Settle()
		assert.Less(t, m.UsedBytes(), int64(limit/4), src)
	}
}

// Interrupt ends what would not end, also where the script catches errors.
func TestInterrupt(t *testing.T) {
	for _, src := range []string{
		"while true do end", "repeat until false", "for i = 1, 1e18 do end", "local function f() return f() end f()", "while true do pcall(error) end",
		"local t = setmetatable({}, {__index = function(t, k) return t[k + 1] end}) while true do pcall(function() return t[1] end) end",
		"local co = coroutine.wrap(function() while true do end end) co()", "for k in function() return 1 end do end", "while true do pcall(string.rep, 'x', 10) end",
	} {
		m := vm.New(0)
		asked := 0
		m.Interrupt = func() string {
			if asked++; asked > 3 {
				return "enough"
			}
			return ""
		}
		assert.Contains(t, run(t, m, src), "enough", src)
	}
}

// Line is told of the lines a person would expect, and locals are what is in scope there.
func TestLinesAndLocalsForADebugger(t *testing.T) {
	const src = `local a, b = 1
for i = 1, 2 do
  local c = a + i
  a = c
end
local function f(x, ...)
  local y = x
  return function() return y end
end
local g = f(a)
if a > 99 then
  a = 0
elseif a then
  a = g()
end
while a > 100 do a = a - 1 end
repeat local z = a until z
a = 0`
	p, err := vm.CompileDebug(src, "@chunk")
	require.NoError(t, err)
	m := vm.New(0)
	var lines []string
	seen := map[int]string{}
	m.Line = func(line int) {
		lines = append(lines, strconv.Itoa(line))
		var shown []string
		levels := m.Levels()
		require.Equal(t, line, levels[0].Line)
		levels[0].Locals(func(name string, v vm.Value) {
			text, ok := v.ToString()
			if !ok {
				text = v.TypeName()
			}
			shown = append(shown, name+"="+text)
		})
		seen[line] = strings.Join(shown, " ")
		two, lerr := m.CallInside(m.NewFunc("", func(c *vm.Call) { c.Push1(vm.Int(2)) }))
		require.Nil(t, lerr)
		require.True(t, vm.RawEqual(vm.Int(2), two))
	}
	_, lerr := m.Call(m.Load(p))
	require.Nil(t, lerr)
	assert.Equal(t, "1 2 3 4 2 3 4 2 9 10 7 8 11 13 14 8 16 17 18", strings.Join(lines, " "))
	assert.Equal(t, "", seen[1])
	assert.Equal(t, "a=2 b=nil i=2 c=4", strings.Replace(seen[4], "a=4", "a=2", 1))
	assert.Equal(t, "x=4 arg=table", seen[7])
	assert.Equal(t, "a=4 b=nil f=function g=function", seen[14])
	assert.Equal(t, "a=4 b=nil f=function g=function", seen[18])
}
