package lib_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp/lua/lib"
	"github.com/sextantdb/sextant/resp/lua/vm"
)

// What scripts see of the libraries is held against redis-server in resp/lua; here are values that their formats'
// definitions name, which no server is needed for.

// prelude gives the pieces below hex, which shows bytes, and fails, which is the error of a call.
const prelude = `local function hex(s) return (s:gsub('.', function(c) return string.format('%02x', c:byte()) end)) end
local function fails(f, ...) local ok, err = pcall(f, ...) return not ok and err end
`

func run(t *testing.T, src string) string {
	t.Helper()
	p, err := vm.Compile(prelude+"return "+src, "@chunk")
	require.NoError(t, err, src)
	m := vm.New(0)
	lib.Open(m)
	v, lerr := m.Call(m.Load(p))
	if lerr != nil {
		return "error: " + lerr.Error()
	}
	s, ok := v.ToString()
	require.True(t, ok, "%s gives a %s", src, v.TypeName())
	return s
}

func pieces(t *testing.T, want [][2]string) {
	for _, p := range want {
		assert.Equal(t, p[1], run(t, p[0]), p[0])
	}
}

// RFC 8259 and what lua-cjson makes of Lua's values.
func TestJSON(t *testing.T) {
	pieces(t, [][2]string{
		{`cjson.encode({1, 2.5, 'x', true, cjson.null})`, `[1,2.5,"x",true,null]`},
		{`cjson.encode({a = {b = {}}})`, `{"a":{"b":{}}}`},
		{`cjson.encode('"\\/\b\f\n\r\t\1\127')`, `"\"\\\/\b\f\n\r\t\u0001\u007f"`},
		{`cjson.decode('[1, -2.5e3, "\\u00e9\\ud834\\udd1e"]')[3]`, "\u00e9\U0001D11E"},
		{`cjson.decode('[1, -2.5e3, "x"]')[2]`, "-2500"},
		{`cjson.decode(' { "a" : { "b" : [ false ] } } ').a.b[1] == false and 'false'`, "false"},
		{`cjson.decode('[null]')[1] == cjson.null and 'null'`, "null"},
		{`cjson.encode(cjson.decode('{"Image":{"Width":800,"IDs":[116,943]}}').Image.IDs)`, "[116,943]"}, // from the RFC's example
		{`fails(cjson.decode, '[1,]') and 'refused'`, "refused"},
		{`fails(cjson.decode, '{"a" 1}') and 'refused'`, "refused"},
		{`fails(cjson.decode, '"\\ud834"') and 'refused'`, "refused"},
		{`fails(cjson.decode, '[1] x') and 'refused'`, "refused"},
		{`fails(cjson.encode, {[1] = 1, [1000] = 2}) and 'too sparse'`, "too sparse"},
		{`fails(cjson.encode, 0/0) and 'no number'`, "no number"},
		{`fails(cjson.decode, string.rep('[', 1001)) and 'too deep'`, "too deep"},
	})
}

// The formats of the MessagePack specification, each at both ends of its range.
func TestMessagePack(t *testing.T) {
	pieces(t, [][2]string{
		{`hex(cmsgpack.pack(0, 127, 128, 255, 256, 65535, 65536))`, "007fcc80ccffcd0100cdffffce00010000"},
		{`hex(cmsgpack.pack(4294967295, 4294967296))`, "ceffffffffcf0000000100000000"},
		{`hex(cmsgpack.pack(-1, -32, -33, -128, -129, -32768, -32769))`, "ffe0d0dfd080d1ff7fd18000d2ffff7fff"},
		{`hex(cmsgpack.pack(-2147483648, -2147483649))`, "d280000000d3ffffffff7fffffff"},
		{`hex(cmsgpack.pack(1.5, 0.1))`, "ca3fc00000cb3fb999999999999a"},
		{`hex(cmsgpack.pack(nil, true, false))`, "c0c3c2"},
		{`hex(cmsgpack.pack('', 'a', string.rep('x', 31))):sub(1, 8)`, "a0a161bf"},
		{`hex(cmsgpack.pack(string.rep('x', 32))):sub(1, 4)`, "d920"},
		{`hex(cmsgpack.pack(string.rep('x', 256))):sub(1, 6)`, "da0100"},
		{`hex(cmsgpack.pack(string.rep('x', 65536))):sub(1, 10)`, "db00010000"},
		{`hex(cmsgpack.pack({1, 2, 3}, {a = 1}, {}))`, "9301020381a1610190"},
		{`cmsgpack.unpack('\130\167compact\195\166schema\0').schema .. tostring(cmsgpack.unpack('\130\167compact\195\166schema\0').compact)`, "0true"}, // msgpack.org's example
		{`select(3, cmsgpack.unpack(cmsgpack.pack(1, 'two', 3.5)))`, "3.5"},
		{`cmsgpack.unpack('\211\255\255\255\255\255\255\255\254')`, "-2"},
		{`fails(cmsgpack.unpack, '\205\1') and 'cut short'`, "cut short"},
		{`fails(cmsgpack.unpack, '\193') and 'never used'`, "never used"},
	})
}

// C's layouts.
func TestStruct(t *testing.T) {
	pieces(t, [][2]string{
		{`hex(struct.pack('>I2I4', 258, 16909060))`, "010201020304"},
		{`hex(struct.pack('<I2I4', 258, 16909060))`, "020104030201"},
		{`hex(struct.pack('<!4 b I4', 1, 2))`, "0100000002000000"},
		{`hex(struct.pack('>hHlL', -2, 65534, -1, 1))`, "fffefffeffffffffffffffff0000000000000001"},
		{`hex(struct.pack('>fd', 1.5, -2))`, "3fc00000c000000000000000"},
		{`hex(struct.pack('s', 'abc')) .. hex(struct.pack('c2', 'abc')) .. hex(struct.pack('xB', 255))`, "6162630061620" + "0ff"},
		{`struct.size('<!4 b I4 h') .. ' ' .. struct.size('c7') .. ' ' .. struct.size('d')`, "10 7 8"},
		{`table.concat({struct.unpack('>bBhH', '\255\255\255\254\255\254')}, ' ')`, "-1 255 -2 65534 7"},
		{`table.concat({struct.unpack('<I4', '\1\2\3\4xx')}, ' ')`, "67305985 5"},
		{`table.concat({struct.unpack('Bc0s', '\3abcrest\0')}, ' ')`, "abc rest 10"},
		{`fails(struct.unpack, '>I4', 'abc') and 'too short'`, "too short"},
		{`fails(struct.pack, 'I33', 1) and 'too large'`, "too large"},
		{`fails(struct.pack, 'y', 1) and 'no format'`, "no format"},
	})
}

// The values of the documentation of Lua BitOp.
func TestBit(t *testing.T) {
	pieces(t, [][2]string{
		{`bit.tobit(0xffffffff) .. ' ' .. bit.tobit(0xffffffff + 1) .. ' ' .. bit.tobit(2^40 + 1234)`, "-1 0 1234"},
		{`bit.tohex(1) .. ' ' .. bit.tohex(-1) .. ' ' .. bit.tohex(0xffffffff) .. ' ' .. bit.tohex(-1, -8)`, "00000001 ffffffff ffffffff FFFFFFFF"},
		{`bit.tohex(0x21, 4) .. ' ' .. bit.tohex(0x87654321, 4)`, "0021 4321"},
		{`bit.bnot(0) .. ' ' .. bit.bnot(0x12345678)`, "-1 -305419897"},
		{`bit.bor(1, 2, 4, 8) .. ' ' .. bit.tohex(bit.band(0x12345678, 0xff)) .. ' ' .. bit.tohex(bit.bxor(0xa5a5f0f0, 0xaa55ff00))`, "15 00000078 0ff00ff0"},
		{`bit.lshift(1, 0) .. ' ' .. bit.lshift(1, 8) .. ' ' .. bit.lshift(1, 40) .. ' ' .. bit.rshift(256, 8) .. ' ' .. bit.rshift(-256, 8)`, "1 256 256 1 16777215"},
		{`bit.arshift(256, 8) .. ' ' .. bit.arshift(-256, 8) .. ' ' .. bit.tohex(bit.lshift(0x87654321, 12)) .. ' ' .. bit.tohex(bit.rshift(0x87654321, 12))`,
			"1 -1 54321000 00087654"},
		{`bit.tohex(bit.rol(0x12345678, 12)) .. ' ' .. bit.tohex(bit.ror(0x12345678, 12)) .. ' ' .. bit.tohex(bit.bswap(0x12345678))`, "45678123 67812345 78563412"},
		{`fails(bit.band) and 'needs an argument'`, "needs an argument"},
	})
}
