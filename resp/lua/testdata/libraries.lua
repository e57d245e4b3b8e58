return cjson.encode({a=1,b=2,c=3,hello=5,world=6,foo=7,bar=8})
----
return cjson.encode({1,2,3}), cjson.encode({}), cjson.encode({{}}), cjson.encode({a={}}), cjson.encode('x'), cjson.encode(1), cjson.encode(true), cjson.encode(nil), cjson.encode(cjson.null), cjson.encode({cjson.null})
----
return cjson.encode(0.1), cjson.encode(1/3), cjson.encode(1e15), cjson.encode(123456789012345678), cjson.encode(-0.5), cjson.encode(1e-7), cjson.encode(100), cjson.encode(1e100)
----
return cjson.encode({1,nil,3}), cjson.encode({[1]=1,[3]=3}), cjson.encode({[2]=1}), cjson.encode({[1.5]=1}), cjson.encode({[-1]=1}), cjson.encode({[0]=1}), cjson.encode({1,2,x=3})
----
return cjson.encode({[1]=1,[100]=2})
----
return cjson.encode({[1]=1,[11]=2})
----
return cjson.encode({[1]=1,[10]=2})
----
return cjson.encode(1/0)
----
return cjson.encode({0/0})
----
return cjson.encode({[true]=1})
----
return cjson.encode(function() end)
----
return cjson.encode({coroutine.create(function() end)})
----
return cjson.encode("a\"b\\c/d\b\f\n\r\t\0\1\31\127\128\255")
----
return cjson.encode()
----
return cjson.encode(1, 2)
----
local t = {} t.t = t return cjson.encode(t)
----
local t = {} for i = 1, 999 do t = {t} end return #cjson.encode(t)
----
local t = {} for i = 1, 1000 do t = {t} end return #cjson.encode(t)
----
return cjson.decode('[1,2,3]'), cjson.decode('{"a":1,"b":[true,false,null],"c":{"d":"e"}}'), cjson.decode('"x"'), cjson.decode('1.5e3'), cjson.decode('true'), cjson.decode('null') == cjson.null, cjson.decode('  [ ]  '), cjson.decode('{}')
----
return cjson.decode('"\\u0041\\u00e9\\u20ac\\ud83d\\ude00\\n\\t\\"\\\\\\/\\b\\f\\r"')
----
return cjson.decode('"\\ud83d"')
----
return cjson.decode('"\\ude00\\ud83d"')
----
return cjson.decode('"\\uZZZZ"')
----
return cjson.decode('"\\x"')
----
return cjson.decode('"abc')
----
return cjson.decode('[1,2')
----
return cjson.decode('[1,]')
----
return cjson.decode('[,1]')
----
return cjson.decode('{"a"}')
----
return cjson.decode('{"a":}')
----
return cjson.decode('{"a":1,}')
----
return cjson.decode('{a:1}')
----
return cjson.decode('{"a":1 "b":2}')
----
return cjson.decode('[1 2]')
----
return cjson.decode('')
----
return cjson.decode('   ')
----
return cjson.decode('1 2')
----
return cjson.decode('tru')
----
return cjson.decode('nul')
----
return cjson.decode('@')
----
return cjson.decode('\0\0')
----
return cjson.decode('[1]\0')
----
return cjson.decode('-'), 1
----
return cjson.decode('0x10'), cjson.decode('0123'), cjson.decode('-inf'), cjson.decode('inf'), cjson.decode('+1'), cjson.decode('1e5'), cjson.decode('1E+2'), cjson.decode('-0'), tostring(cjson.decode('nan'))
----
return cjson.decode('1.2.3')
----
return cjson.decode('1e')
----
return cjson.decode('[1e5,.5]')
----
return cjson.decode()
----
return cjson.decode({})
----
return cjson.decode(12)
----
return cjson.decode(('['):rep(1000) .. (']'):rep(1000)) ~= nil
----
return cjson.decode(('['):rep(1001) .. (']'):rep(1001))
----
return cjson.decode('{"a":1,"a":2}'), cjson.decode('{"1":1,"2":2}')
----
return cjson.decode_max_depth(), cjson.encode_max_depth(), cjson.encode_sparse_array(), cjson.encode_number_precision(), cjson.encode_keep_buffer(), cjson.encode_invalid_numbers(), cjson.decode_invalid_numbers()
----
local c = cjson.new() c.encode_sparse_array(true) c.encode_number_precision(3) c.encode_invalid_numbers(true) c.decode_invalid_numbers(false) return c.encode({[1]=1,[100]=2}), c.encode(1/3), c.encode(1/0), c.encode(0/0), c.encode_sparse_array(), pcall(c.decode, '0x10')
----
local c = cjson.new() c.encode_invalid_numbers('null') return c.encode({1/0, 0/0}), c.encode_invalid_numbers()
----
local c = cjson.new() c.encode_sparse_array(false, 0) return c.encode({[1]=1,[20]=2})
----
local c = cjson.new() c.encode_max_depth(2) return c.encode({{1}}), c.encode({{{1}}})
----
local c = cjson.new() c.decode_max_depth(2) return c.decode('[[1]]') ~= nil, c.decode('[[[1]]]')
----
return cjson.encode_max_depth(0)
----
return cjson.encode_max_depth('x')
----
return cjson.encode_max_depth(1, 2)
----
return cjson.encode_sparse_array('maybe')
----
return cjson.encode_number_precision(15)
----
return type(cjson.null), tostring(cjson.null), cjson.null == cjson.null, cjson._NAME, cjson._VERSION
----
local function hex(s) return (s:gsub('.', function(c) return string.format('%02x', c:byte()) end)) end return hex(cmsgpack.pack(1)), hex(cmsgpack.pack(-1)), hex(cmsgpack.pack(127)), hex(cmsgpack.pack(128)), hex(cmsgpack.pack(255)), hex(cmsgpack.pack(256)), hex(cmsgpack.pack(65535)), hex(cmsgpack.pack(65536)), hex(cmsgpack.pack(4294967295)), hex(cmsgpack.pack(4294967296)), hex(cmsgpack.pack(-32)), hex(cmsgpack.pack(-33)), hex(cmsgpack.pack(-128)), hex(cmsgpack.pack(-129)), hex(cmsgpack.pack(-32768)), hex(cmsgpack.pack(-32769)), hex(cmsgpack.pack(-2147483649)), hex(cmsgpack.pack(1.5)), hex(cmsgpack.pack(0.1)), hex(cmsgpack.pack(1/0)), hex(cmsgpack.pack(2^63)), hex(cmsgpack.pack(2^53)), hex(cmsgpack.pack(1e100))
----
local function hex(s) return (s:gsub('.', function(c) return string.format('%02x', c:byte()) end)) end return hex(cmsgpack.pack('')), hex(cmsgpack.pack('abc')), hex(cmsgpack.pack(('x'):rep(31))), hex(cmsgpack.pack(('x'):rep(32))):sub(1,8), hex(cmsgpack.pack(('x'):rep(256))):sub(1,8), hex(cmsgpack.pack(('x'):rep(65536))):sub(1,10), hex(cmsgpack.pack(nil)), hex(cmsgpack.pack(true)), hex(cmsgpack.pack(false)), hex(cmsgpack.pack({})), hex(cmsgpack.pack({1,2})), hex(cmsgpack.pack({a=1})), hex(cmsgpack.pack({1,nil,3})), hex(cmsgpack.pack({[2]=1})), hex(cmsgpack.pack(1, 'a', nil)), hex(cmsgpack.pack(print == nil)), hex(cmsgpack.pack(cjson.null))
----
local function hex(s) return (s:gsub('.', function(c) return string.format('%02x', c:byte()) end)) end local t = {} for i = 1, 20 do t = {t} end return hex(cmsgpack.pack(t))
----
return cmsgpack.pack()
----
return cmsgpack.unpack(cmsgpack.pack(1, -1, 1.5, 'x', nil, true, false, {1,2,{3}}, {a=1,b={c=2}}, 2^40, -2^40, 0.1))
----
return cmsgpack.unpack('\207\255\255\255\255\255\255\255\255'), cmsgpack.unpack('\211\255\255\255\255\255\255\255\255'), cmsgpack.unpack('\206\255\255\255\255'), cmsgpack.unpack('\205\255\255'), cmsgpack.unpack('\209\255\254')
----
return cmsgpack.unpack('')
----
return cmsgpack.unpack('\193')
----
return cmsgpack.unpack('\146\1')
----
return cmsgpack.unpack('\165abc')
----
return cmsgpack.unpack('\129\192\1')
----
return cmsgpack.unpack('\221\255\255\255\255')
----
return cmsgpack.unpack('\219\255\255\255\255x')
----
return cmsgpack.unpack_one(cmsgpack.pack(1, 2, 3)), cmsgpack.unpack_one(cmsgpack.pack(1,2,3), 1), cmsgpack.unpack_one(cmsgpack.pack(1), 0)
----
return cmsgpack.unpack_limit(cmsgpack.pack(1, 2, 3), 2), cmsgpack.unpack_limit(cmsgpack.pack(1,2,3), 1, 1), cmsgpack.unpack_limit(cmsgpack.pack(1,2,3), 0)
----
return cmsgpack.unpack_limit(cmsgpack.pack(1), -1)
----
return cmsgpack.unpack_one('x', 5)
----
return cmsgpack.unpack_one('x', -1)
----
return cmsgpack.unpack({})
----
return cmsgpack._NAME, cmsgpack._VERSION, cmsgpack._COPYRIGHT, cmsgpack._DESCRIPTION
----
local function hex(s) return (s:gsub('.', function(c) return string.format('%02x', c:byte()) end)) end return hex(struct.pack('b', -1)), hex(struct.pack('>H', 258)), hex(struct.pack('<H', 258)), hex(struct.pack('i', -2)), hex(struct.pack('>I3', 66051)), hex(struct.pack('>l', 1)), hex(struct.pack('f', 1.5)), hex(struct.pack('>d', 1.5)), hex(struct.pack('s', 'abc')), hex(struct.pack('c2', 'abc')), hex(struct.pack('c0', 'abc')), hex(struct.pack('bxh', 1, 2)), hex(struct.pack('!4bi', 1, 2)), hex(struct.pack('!bd', 1, 2)), hex(struct.pack('>i16', -1)), hex(struct.pack('T', 7)), hex(struct.pack(' b b', 1, 2))
----
return struct.unpack('b', '\255'), struct.unpack('B', '\255'), struct.unpack('>H', '\1\2'), struct.unpack('<h', '\254\255'), struct.unpack('>I3', '\1\2\3'), struct.unpack('f', struct.pack('f', 1.5)), struct.unpack('>d', struct.pack('>d', -2.25)), struct.unpack('s', 'abc\0def'), struct.unpack('c3', 'abcdef'), struct.unpack('bc0', '\3abcdef'), struct.unpack('b', 'xyz', 3), struct.unpack('<i16', ('\255'):rep(16)), struct.unpack('L', ('\255'):rep(8))
----
return struct.size('b'), struct.size('bhil'), struct.size('!4bi'), struct.size('c10'), struct.size('i7'), struct.size('>!8 b d'), struct.size('x')
----
return struct.size('s')
----
return struct.size('c0')
----
return struct.size('i33')
----
return struct.size('i99999999999')
----
return struct.size('!3')
----
return struct.pack('y', 1)
----
return struct.pack('i')
----
return struct.pack('c5', 'abc')
----
return struct.unpack('i', 'abc')
----
return struct.unpack('s', 'abc')
----
return struct.unpack('c0', 'abc')
----
return struct.unpack('bc0', '\255abc')
----
return struct.unpack('b', 'a', 0)
----
return struct.unpack('b', 'a', 5)
----
return struct.unpack('i5', 'abcdefgh'), struct.unpack('!8 b i5', 'abcdefghijklmnopq')
----
return bit.tobit(0xffffffff), bit.tobit(2^32 + 1), bit.bnot(0), bit.band(0xff, 0x0f), bit.bor(1, 2, 4), bit.bxor(5, 3), bit.lshift(1, 31), bit.rshift(-1, 28), bit.arshift(-256, 4), bit.rol(0x12345678, 8), bit.ror(0x12345678, 8), bit.bswap(0x12345678), bit.tohex(255), bit.tohex(-1, 4), bit.tohex(255, -2), bit.lshift(1, 33), bit.tobit(1.5), bit.tobit(2.5), bit.tobit(-1.5), bit.rol(1, 0), bit.tohex(1, 0)
----
return bit.band()
----
return bit.bor('x')
----
return bit.band('5', 3.7)
----
return type(os), 1
----
return redis.sha1hex('') , redis.sha1hex('abc'), redis.sha1hex(1.5)
----
return redis.sha1hex()
----
return redis.sha1hex('a', 'b')
----
return redis.error_reply('x'), redis.error_reply('-x'), redis.error_reply('CODE x'), redis.error_reply('-CODE x'), redis.error_reply(), redis.error_reply(1), redis.status_reply('x'), redis.status_reply(), redis.status_reply({})
----
return redis.LOG_DEBUG, redis.LOG_VERBOSE, redis.LOG_NOTICE, redis.LOG_WARNING, redis.REPL_NONE, redis.REPL_AOF, redis.REPL_SLAVE, redis.REPL_REPLICA, redis.REPL_ALL
----
return redis.log()
----
return redis.log('x', 'y')
----
return redis.log(7, 'y')
----
return redis.setresp()
----
return redis.setresp(4)
----
return redis.set_repl()
----
return redis.set_repl(4)
----
return redis.set_repl(redis.REPL_NONE), redis.replicate_commands(), redis.breakpoint()
----
return redis.call()
----
return redis.call('echo', {})
----
return redis.pcall('echo', nil)
----
return redis.call('nosuchcommand')
----
return pcall(redis.call, 'nosuchcommand')
----
foo = 1
----
return foo
----
return _G.foo
----
_G.foo = 1
----
rawset(_G, 'foo', 1)
----
setmetatable(_G, {})
----
return getmetatable(_G).__index ~= nil
----
getmetatable(_G).__index = nil
----
redis.foo = 1
----
string.foo = 1
----
getmetatable('').__index = {}
----
table.insert(_G, 1)
----
table.insert(math, 1)
----
math.random = 1
----
KEYS = 1
----
KEYS[1] = 'x' return KEYS[1]
----
return #KEYS, #ARGV
----
function f() end
----
return print
----
return dofile
----
return loadfile
----
return require
----
return io
----
return debug
----
return setfenv
----
local t = {} setmetatable(t, {__index = function(t, k) return redis.call('nosuchcommand') end}) return pcall(function() return t.x end)
----
return pcall(error, {err = 'E msg'})
----
return pcall(error, {x = 1})
----
return xpcall(function() error({err = 'E msg'}) end, function(e) return e.err end)
----
return pcall()
----
return select('#', pcall(error)), pcall(error)
----
return loadstring('foo = 1')()
----
return loadstring(string.dump(function() return 1 end)) == nil or 1
