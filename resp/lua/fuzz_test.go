package lua_test

import (
	"strings"
	"testing"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/lua"
)

// fuzzDecoder gives any bytes to a piece of Lua that decodes ARGV[1], encodes what came out and decodes that: it answers
// "" or how the second time differs. It must end in a reply, whatever comes, and the machine must serve the next script.
func fuzzDecoder(f *testing.F, script string, seeds ...string) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	e := lua.New(lua.Options{MemoryLimit: func() int64 { return 16 << 20 }})
	compile := func(src string) *lua.Script {
		s, err := e.Compile([]byte(src), false)
		if err != "" {
			f.Fatal(err)
		}
		return s
	}
	code, next := compile(script), compile("return 'alive'")
	f.Fuzz(func(t *testing.T, data []byte) {
		out := resp.NewWriter(nil, resp.RESP2)
		e.Eval(code, nil, [][]byte{data}, &alone{}, out)
		if got := text(t, out.Bytes()); got != "" && !strings.HasPrefix(got, "ERR ") {
			t.Fatalf("%q: %s", data, got)
		}
		out = resp.NewWriter(nil, resp.RESP2)
		e.Eval(next, nil, nil, &alone{}, out)
		if got := text(t, out.Bytes()); got != "alive" {
			t.Fatalf("%q: the next script answers %q", data, got)
		}
	})
}

func FuzzJSON(f *testing.F) {
	fuzzDecoder(f, `local ok, v = pcall(cjson.decode, ARGV[1])
		if not ok then return '' end
		local ok, s = pcall(cjson.encode, v)
		if not ok then return '' end
		local ok, why = pcall(cjson.decode, s)
		return ok and '' or s .. ': ' .. why`,
		`{"a":[1,2.5,-3e2,true,false,null,"x\u00e9\ud83d\ude00\n"],"b":{}}`, `[]`, `""`, `"\ud800"`, `[1,`, `{"a"`, `nan`, `0x10`,
		`-Infinity`, strings.Repeat("[", 1001), "\"\x00\"", `{"1":1,"2":[{}]}`)
}

func FuzzMsgpack(f *testing.F) {
	fuzzDecoder(f, `local t = {pcall(cmsgpack.unpack, ARGV[1])}
		if not t[1] then return '' end
		local ok, s = pcall(cmsgpack.pack, t)
		if not ok then return '' end
		local ok, why = pcall(cmsgpack.unpack, s)
		pcall(cmsgpack.unpack_one, ARGV[1], 1)
		pcall(cmsgpack.unpack_limit, ARGV[1], 2, 1)
		return ok and '' or why`,
		"\x93\x01\xa1x\xc0", "\x82\xa1a\x01\xa1b\xc3", "\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00", "\xdf\xff\xff\xff\xff", "\xdd\xff\xff\xff\xff",
		"\xdb\xff\xff\xff\xff", "\xc1", "\x81\xc0\x01", "\x81\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00\x01", strings.Repeat("\x91", 5000), "\xd3\x80\x00\x00\x00\x00\x00\x00\x00")
}

func FuzzStruct(f *testing.F) {
	// The first word is the format.
	fuzzDecoder(f, `local form, data = ARGV[1]:match('^(%S*) ?(.*)$')
		if not form then return '' end
		pcall(struct.size, form)
		pcall(struct.pack, form, 1, 'text', 2.5, -1, 'more')
		local t = {pcall(struct.unpack, form, data)}
		pcall(struct.unpack, form, data, 2)
		return ''`,
		">I2bHd \x00\x01\x02\x03\x04\x00\x00\x00\x00\x00\x00\x00\x00", "s abc\x00", "bc0 \x03abc", "!8i4d", "i33", "c99999999999 x", "I0", "!3 i", "xxc2 \x00\x00ab",
		"<i8 \xff\xff\xff\xff\xff\xff\xff\xff", "!16", "c0 ", "f \x00\x00\xc0\x7f")
}
