return 1, 'a', nil, true, {1,2,3}, {a=1,b=2}
----
return 1e15, 1e14 .. '', 123456789012345 .. '', 0.1+0.2 .. '', 1/0 .. '', -1/0 .. '', 2^53 .. '', 1e100 .. ''
----
return tostring(0/0), tostring(-(0/0)), 0/0 == 0/0
----
return #{1,2,nil,4}, #{1,nil,3}, #{nil,nil,3}, #{1,2,3,nil}, #{1,nil,3,nil}, #{n=1}, #{nil}, #{1,2,3,nil,5,nil}
----
local t = {} t[1]=1 t[2]=2 t[4]=4 return #t, t
----
local t = {} for i=1,10 do t[i]=i end t[5]=nil local a=#t t[10]=nil local b=#t t[9]=nil return a,b,#t,t
----
local t = {} for _,k in ipairs{'zeta','alpha','x','y','foo','bar','hello','world','key1','key2','key3'} do t[k]=#k end return t
----
local t = {a=1,b=2,c=3,d=4} t.a=nil t.e=5 t.f=6 t.a=7 return t
----
local t = {[1.5]=1,[2.5]=2,[-1]=3,[0]=4,[1e10]=5,[true]=6,[false]=7} return t
----
local t = {} for i=10,1,-1 do t[i]=i end return t, #t
----
local t = {10,20,30,x=1,[5]=50,[6]=60} return t, #t
----
local t={} for i=1,100 do t[i]=i end for i=1,99 do t[i]=nil end return #t, next(t), t
----
local t={} for i=1,20 do t[i*2]=i end return t, #t
----
local s = 0 for i=1,10 do s = s + i end for i=10,1,-3 do s = s + i end for i=1,0 do s = s + 100 end return s
----
for i='1','3' do if i == 2 then return i, type(i) end end
----
for i=1,'x' do end
----
for i={},1 do end
----
for i=1,2,{} do end
----
local i = 0 while true do i = i + 1 if i > 5 then break end end repeat local z = i i = i - 1 until z < 3 return i
----
local fs = {} for i=1,3 do fs[i] = function() i = i + 1 return i end end return fs[1](), fs[1](), fs[2](), fs[3]()
----
local function f(...) return select('#', ...), ... end return f(nil, nil), (f(1,2,3)), f()
----
local function f(...) return arg.n, arg[1], #arg end return f(5,6,7)
----
local function fib(n) if n < 2 then return n end return fib(n-1) + fib(n-2) end return fib(15)
----
local function loop(n) if n == 0 then return 'done' end return loop(n-1) end return loop(100000)
----
local function deep(n) return 1 + deep(n+1) end return pcall(deep, 1) == false
----
local t = setmetatable({}, {__index=function(t,k) return k .. '!' end, __newindex=function(t,k,v) rawset(t,k,v*2) end, __call=function(self, a, b) return a, b, self ~= nil end, __add=function(a,b) return 'add' end, __concat=function(a,b) return 'cat' end, __eq=function() return true end, __lt=function() return true end, __le=function() return false end, __unm=function() return 'neg' end, __tostring=function() return 'T' end, __len=function() return 42 end})
t.x = 5
return t.y, t.x, t(1,2), t + 1, 1 + t, t .. 'x', 'x' .. t, 1 .. t, t < t, t <= t, -t, tostring(t), #t, t == setmetatable({}, getmetatable(t))
----
return ('x'):rep(3), ('abc'):upper(), ("%d"):format(3.7), ('x').len
----
return string.format('%5d|%-5d|%05d|%+d|% d|%x|%X|%#x|%o|%c|%e|%E|%g|%G|%f|%.3f|%10.2f|%s|%10s|%-10s|%.2s|%q|%%|%i|%u', 42,42,42,42,42,255,255,255,8,65,12345.678,0.00001,1e20,1e-10,1.5,1.23456,3.14159,'str','right','left','cut','q"\n\\\0\r',7,8)
----
return string.format('%.0f %.14g %.17g %5.1f %g %g %g', 0.5, 0.1, 0.1, 2.25, 100000, 1000000, 1e15), string.format('%d', -1.5), string.format('%x', -1), string.format('%5s%%', 'a'), string.format('%g %g', 1/0, -1/0)
----
return string.format('%s', 'a\0b'), #string.format('%s', 'a\0b'), string.format('%s', ('x'):rep(120))
----
return string.format('%d', 'x')
----
return string.format('%d')
----
return string.format('%y', 1)
----
return string.format('%123d', 1)
----
return string.format('%s', nil)
----
return string.format('%s', {})
----
return string.find('hello world', 'o'), string.find('hello world', 'o', 6), string.find('hello', 'l+'), string.find('hello', '(l)(l)'), string.find('hello', 'xyz'), string.find('a.b', '.', 1, true), string.find('abc', 'b', -1), string.find('', ''), string.find('abc', '', 10), string.find('abc','',4)
----
return string.match('key=value', '(%w+)=(%w+)'), string.match('2024-01-02', '(%d+)-(%d+)-(%d+)'), string.match('  trim  ', '^%s*(.-)%s*$'), string.match('abc', '()b()'), string.match('hello', '.-'), string.match('x', 'y?x'), string.match('f(a(b)c)d', '%b()'), string.match('THE (quick) fox', '%f[%a]%a+', 5)
----
return string.gsub('hello world', 'o', '0'), string.gsub('hello', '', '-'), string.gsub('hello', 'l', {l='L'}), string.gsub('hello', '(h)(e)', '%2%1'), string.gsub('abc', '%w', '%0%0'), string.gsub('abc', '%w', function(c) if c == 'b' then return false end return c:upper() end), string.gsub('hello', 'l', 'x', 1), string.gsub('abc def', '^%w+', 'X')
----
local r = {} for k, v in string.gmatch('a=1, b=2', '(%w+)=(%w+)') do r[#r+1] = k .. v end for w in string.gmatch('one two', '%a+') do r[#r+1] = w end for p in ('abc'):gmatch('()') do r[#r+1] = p end return unpack(r)
----
return string.gsub('x', 'x', '%')
----
return string.gsub('x', '(', 'y')
----
return string.find('x', '[a')
----
return string.find('x', '%')
----
return string.gsub('x', 'x', '%9')
----
return string.rep('ab', 3), string.rep('x', 0), string.rep('x', -1), string.reverse('abc'), string.sub('hello', 2, -2), string.sub('hello', -3), string.sub('hello', 0), string.sub('hello', 10), string.sub('hello', 2, 1), string.byte('A'), string.byte('abc', 1, -1), string.byte(''), string.byte('abc', 10), string.char(72, 105), string.char(), string.len('a\0b'), string.lower('ABC'), string.upper('abc')
----
return string.char(256)
----
return string.rep()
----
return ('x'):rep({})
----
return ('x'):bad()
----
return tonumber('10'), tonumber('  10  '), tonumber('0x10'), tonumber('1e2'), tonumber('abc'), tonumber(''), tonumber('10', 2), tonumber('ff', 16), tonumber('zz', 36), tonumber('8', 8), tonumber('-7', 8), tonumber('1 2'), tonumber(nil), tonumber({}), tonumber('0x'), tonumber('.5'), tonumber('5.'), tonumber('1e'), tonumber('inf'), tonumber('0x1p4'), tonumber('1_000')
----
return tonumber()
----
return '10' + 5, '3' * '4', 10 .. 20, '0x10' + 0, -'2', '10' / 2, 7 % 3, -7 % 3, 7 % -3, 5.5 % 2, 2 ^ 10, 7 / 2, 1 / 3
----
return 'abc' + 1
----
return {} + 1
----
return nil .. 'x'
----
local x = nil return x .. 'y'
----
local t = {} return t.a.b
----
local t = {} return t.a.b.c
----
local t = {} t.a.b = 1
----
local x x.y = 1
----
local t = {} t[nil] = 1
----
local t = {} t[0/0] = 1
----
local t = {} t.f()
----
local t = {} t:m()
----
local t = {a={}} t.a.b()
----
local a = {} local function f() return a.b.c end return f()
----
local f = 5 f()
----
local s = 'x' return s < 1
----
return {} < {}
----
return nil < nil
----
return 1 < 'x'
----
return #nil
----
local n = 5 return #n
----
return -{}
----
return 1 and 2, nil and 1, false or 'x', nil or false, not nil, not 0, 1 == 1.0, '1' == 1, 'a' < 'b', 'a' < 'B', 'Z' < 'a', '' < 'a', 2 <= 2, 'abc' >= 'abd'
----
error('msg')
----
error('msg', 0)
----
error('msg', 2)
----
error({code=5})
----
error()
----
error(nil)
----
local ok, e = pcall(error, {x=1}) return ok, e
----
return pcall(error, 'm')
----
return pcall(function() error('in') end)
----
return pcall(function() local x = nil; x() end)
----
return select(2, pcall(pcall))
----
return xpcall(function() error('e') end, function(e) return 'H:' .. e end)
----
return xpcall(function() return 1, 2 end, tostring)
----
return assert(1, 2, 3)
----
return assert(false)
----
return assert(nil, 'custom')
----
return assert(false, {1})
----
return select(2, 'a', 'b', 'c'), select(-1, 'a', 'b'), select('#'), select('#', nil, nil)
----
return select(0)
----
return select(-5, 1)
----
return unpack({1,2,3}), unpack({1,2,3}, 2), unpack({1,2,3}, 2, 5), unpack({}, 1, 0)
----
return unpack({}, 1, 1e7)
----
return type(1), type('x'), type(nil), type({}), type(type), type(true)
----
return type()
----
return rawequal('a', 'a'), rawequal({}, {}), rawget({a=1}, 'a'), rawset({}, 'x', 1)
----
return next({}), next({1}), next({a=1}), next({1}, 1)
----
return next({}, 'nope')
----
return table.concat({1,2,3}), table.concat({1,2,3}, ', '), table.concat({'a','b','c'}, '-', 2, 3), table.concat({}), table.concat({1.5,'x'}, '')
----
return table.concat({1,{},3})
----
local t = {1,2,3} table.insert(t, 4) table.insert(t, 1, 0) table.insert(t, 10, 'x') local r = table.remove(t) local f = table.remove(t, 1) return t, r, f, table.remove({}), table.remove({1}, 5)
----
table.insert({})
----
table.insert({}, 1, 2, 3)
----
table.insert(nil, 1)
----
local t = {5,2,8,1,9,3} table.sort(t) local u = {'b','a','C'} table.sort(u) local w = {3,1,2} table.sort(w, function(a,b) return a > b end) return t, u, w
----
local t = {3,1,'x'} table.sort(t)
----
local t = {} for i=1,60 do t[i] = (i * 7919) % 101 end table.sort(t) return table.concat(t, ',')
----
local t = {1,2,3,4,5,6,7,8,9,10} return pcall(table.sort, t, function(a, b) return true end)
----
return table.getn({1,2}), table.maxn({1,2,[10]=3}), #table
----
local r = {} table.foreach({a=1}, function(k, v) r[#r+1] = k .. v end) table.foreachi({5,6}, function(i, v) r[#r+1] = i * v end) return r
----
return math.floor(3.7), math.ceil(3.2), math.abs(-5), math.max(1,5,3), math.min(4,2,8), math.sqrt(16), math.pow(2,8), math.fmod(7,3), math.fmod(-7,3), math.modf(3.7), math.modf(-3.7), math.huge, -math.huge, math.pi, math.log(10), math.exp(1), math.log10(1000), math.deg(math.pi), math.rad(180), math.frexp(8), math.ldexp(0.5, 4), math.sin(1), math.cos(1), math.atan2(1,2)
----
return math.random(0)
----
return math.random(1,2,3)
----
return math.max()
----
math.randomseed(42) local a = {math.random(), math.random(10), math.random(5, 15), math.random(100)} math.randomseed(1) return a, math.random(1000000), math.random(1000000)
----
local co = coroutine.create(function(a, b) local c = coroutine.yield(a + b) local d, e = coroutine.yield(c * 2) return d + e end) return coroutine.resume(co, 1, 2), select(2, coroutine.resume(co, 10)), select(2, coroutine.resume(co, 3, 4)), coroutine.status(co), select(2, coroutine.resume(co))
----
local gen = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end) return gen(), gen(), gen(), gen()
----
local gen = coroutine.wrap(function() error('inside') end) return gen()
----
local co = coroutine.create(function() error({1}) end) return coroutine.resume(co)
----
return coroutine.running(), coroutine.status(coroutine.create(function() end))
----
return coroutine.yield(1)
----
return coroutine.resume(1)
----
local co co = coroutine.create(function() return coroutine.status(co), coroutine.resume(co) end) return coroutine.resume(co)
----
local co = coroutine.wrap(function() return pcall(coroutine.yield, 1) end) return co()
----
return loadstring('return 1 + 1')(), loadstring('syntax error here'), loadstring('x = ', '=chunk'), loadstring('return ...', '@f')(7)
----
return load(function() return nil end), pcall(load, 1)
----
local n = 0 local parts = {'return ', '4', '2'} return load(function() n = n + 1 return parts[n] end)()
----
return select(2, loadstring('for')), select(2, loadstring('x = = 1')), select(2, loadstring('local function')), select(2, loadstring('return "abc')), select(2, loadstring('a.b:c = 1')), select(2, loadstring('if x then')), select(2, loadstring('goto x')), select(2, loadstring('break')), select(2, loadstring('return 1 2')), select(2, loadstring('f(\n')), select(2, loadstring('x = }')), select(2, loadstring('x = 1e')), select(2, loadstring('x = "\\300"')), select(2, loadstring('--[[ abc')), select(2, loadstring('x = [==[ abc')), select(2, loadstring('local x <const> = 1')), select(2, loadstring('a, b += 1')), select(2, loadstring('(a) = 1')), select(2, loadstring('f() = 1')), select(2, loadstring('x = @')), select(2, loadstring('return ... ')), select(2, loadstring('function f() return ... end'))
----
return select(2, loadstring('while true do\n\n x'))
----
return select(2, loadstring('x\n(1)'))
----
return [[
line]], [==[a]]b]==], 'a\tb\\\65\066\
c', "\x41"
----
local a = 1
----
local t = {f=function(self, x) return self.v + x end, v=10} return t:f(5), t.f(t, 6), t['f'](t, 7)
----
local a, b, c = (function() return 1, 2, 3 end)() local d, e = (function() return 1, 2 end)(), 9 return a, b, c, d, e, ((function() return 1, 2 end)())
----
local t = {(function() return 1, 2, 3 end)(), (function() return 4, 5 end)()} return #t, t
----
local t = {1, 2, (function() return 3, 4, 5 end)()} t[8] = 8 return #t, t
----
local a = {} local i = 1 i, a[i] = i + 1, 20 return i, a[1], a[2]
----
local x, y = 1, 2 x, y = y, x return x, y
----
local function outer() local n = 0 return function() n = n + 1 return n end, function() return n end end local inc, get = outer() inc() inc() local ok = pcall(function() inc() error('x') end) return get(), ok
----
local x = 1 local function f() return x end x = 2 pcall(error, 'e') x = 3 return f()
----
do local x = 1 do local x = 2 end return x end
----
local s = {} for k, v in pairs({10,20,30}) do s[#s+1] = k * v end for i, v in ipairs({1,2,nil,4}) do s[#s+1] = v end return s
----
local t = {1,2,3} for k in pairs(t) do t[k] = nil end return next(t)
----
return ipairs()
----
for k in pairs(nil) do end
----
for x in 5 do end
----
for i, v in nil do end
----
return ("a,b,,c"):gsub(",", ";"), ("path/to/file"):match("([^/]+)$"), ("  x "):gsub("^%s+", ""), ("%d"):gsub("%%d", "%%s")
----
return tostring(nil), tostring(true), tostring(12), tostring(-0.0), tostring('x'), tostring(1e300 * 1e10)
----
return tostring()
----
return getmetatable('').__index == string, getmetatable({}), getmetatable(setmetatable({}, {__metatable='locked'}))
----
return setmetatable(1, {})
----
return setmetatable({}, 1)
----
return setmetatable(setmetatable({}, {__metatable=1}), {})
----
return collectgarbage('count') > 0, collectgarbage(), collectgarbage('step') ~= nil, gcinfo() > 0
----
return collectgarbage('bogus')
----
return string.dump(function() end)
----
local t = {} t[1]=1 t[3]=3 t[2]=2 t[7]=7 t[5]=5 t.x=1 return t, #t
----
local t = {n=0} for i = 1, 40 do t['key:' .. i] = i end local r = {} for k, v in pairs(t) do r[#r+1] = k end return table.concat(r, ' ')
----
local t = {} for i = 1, 30 do t['k' .. i] = i end for i = 1, 30, 2 do t['k' .. i] = nil end for i = 31, 40 do t['k' .. i] = i end local r = {} for k, v in pairs(t) do r[#r+1] = k end return table.concat(r, ' ')
----
return 0x10, 0xff, 1e3, .5, 3.
----
return 5 / 2
----
return 1 ~= 2, 'a' .. 1 + 2 .. 'b', 2 ^ 3 ^ 2, -2 ^ 2, not 1 == 2, 1 .. 2 == '12', 1 + 2 < 4 and 'y' or 'n'
----
return math.floor(-0.5), 1 % 0, -1 % 0, 5 % (1/0), -5 % (1/0), 0 % 5, 2^0.5
----
local t = {} for w in ("the quick brown fox"):gmatch("%w+") do table.insert(t, 1, w) end return table.concat(t, " ")
----
return string.format("%-20s|%20s|", "left", "right"), ("x"):rep(3, ","), #("x"):rep(1000)
----
return string.find("abc [test] def", "[test]", 1, true), string.find("a+b", "+", 1, true), string.find("aXb", "%u"), string.find("a-b", "[%-x]"), string.find("]", "[]]"), string.find("^", "[x^]"), string.find("b", "[^a]"), string.find("a]", "[^]]"), string.match("2-5", "[0-9]-[0-9]")
----
local a = setmetatable({}, {__index = setmetatable({x = 1}, {__index = {y = 2}})}) return a.x, a.y, a.z
----
local log = {} local t = setmetatable({}, {__newindex = {}}) t.a = 1 return rawget(t, 'a'), getmetatable(t).__newindex.a
----
local t = setmetatable({}, {__index = function(t, k) error('no ' .. k) end}) return t.foo
----
return (1).x
----
return ('x').y.z
----
local f = function() end return f.x
----
return true .. ''
----
return 1 + nil
----
local t = {} return t.x + 1
----
local t = {} return 1 + t.x
----
local t = {x={}} return t.x .. 'a'
----
return math.abs('x')
----
return math.abs()
----
return ("x"):sub()
----
return string.sub("x", {})
----
return table.concat({}, {})
----
return tostring(2^63), 2^63 == 2^63 + 1, 1e308 * 10, -1e308 * 10, 5e-324, 1.7976931348623157e308
----
local ok, e = pcall(function() return 1 +
{} end) return e
----
local ok, e = pcall(function() local a = 'x' return -
a end) return e
----
local ok, e = pcall(function() return {} ..
'x'
.. 'y' end) return e
----
local ok, e = pcall(function() return 1
< {}

end) return e
