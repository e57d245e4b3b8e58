package command

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp"
)

func TestSchemaRoundTrip(t *testing.T) {
	for _, src := range []string{
		"OK", "simple", "bulk | nil", "[]", "[bulk...]", "[bulk | nil...]", "[bulk, [bulk...]]", "<bulk>",
		"{bulk: int | [any...]}", "'x' | 'a b'", "[int, bulk | nil...]", "{'a': int, 'b'?: 'x' | [bulk...]}", "[[int, int]...] | nil", "double | bool | none | any",
	} {
		s, err := parseSchema(src)
		require.NoError(t, err, src)
		assert.Equal(t, src, s.String())
	}
	for _, src := range []string{"", "[", "[bulk", "ok", "{bulk}", "bulk |", "bulk]", "<bulk, int>", "'x", "{'a'}", "{'a': int, bulk: int}", "{'a': int,}"} {
		_, err := parseSchema(src)
		assert.Error(t, err, src)
	}
}

func TestSchemaCheck(t *testing.T) {
	for _, c := range []struct {
		schema, reply string
		two, three    bool // whether it is allowed in RESP2 and in RESP3
	}{
		{"OK", "+OK\r\n", true, true}, {"OK", "+QUEUED\r\n", false, false}, {"OK", "$2\r\nOK\r\n", false, false},
		{"OK", "-ERR no\r\n", true, true}, {"simple", "+x\r\n", true, true},
		{"bulk | nil", "$-1\r\n", true, true}, {"bulk | nil", "_\r\n", true, true}, {"bulk", "$-1\r\n", false, false},
		{"nil", "*-1\r\n", true, true}, {"bulk", ":1\r\n", false, false}, {"bulk", "=5\r\ntxt:x\r\n", false, true},
		{"int", ":1\r\n", true, true}, {"int", "$1\r\n1\r\n", false, false},
		{"double", ",1.5\r\n", false, true}, {"double", "$3\r\n1.5\r\n", true, false},
		{"bool", "#t\r\n", false, true}, {"bool", ":1\r\n", true, false},
		{"[]", "*0\r\n", true, true}, {"[bulk...]", "*0\r\n", true, true}, {"[bulk...]", "*1\r\n:1\r\n", false, false},
		{"[bulk | nil...]", "*2\r\n$-1\r\n$1\r\na\r\n", true, true}, {"[int...]", "~1\r\n:1\r\n", false, false},
		{"[int, bulk]", "*2\r\n:1\r\n$1\r\na\r\n", true, true}, {"[int, bulk]", "*1\r\n:1\r\n", false, false},
		{"<bulk>", "~1\r\n$1\r\na\r\n", false, true}, {"<bulk>", "*1\r\n$1\r\na\r\n", true, false},
		{"{bulk: int}", "%1\r\n$1\r\na\r\n:1\r\n", false, true}, {"{bulk: int}", "*2\r\n$1\r\na\r\n:1\r\n", true, false},
		{"{bulk: int}", "*1\r\n$1\r\na\r\n", false, false}, {"{bulk: int}", "*2\r\n:1\r\n:1\r\n", false, false},
		{"'x'", "$1\r\nx\r\n", true, true}, {"'x'", "$1\r\ny\r\n", false, false}, {"'x'", "+x\r\n", false, false},
		{"[int, bulk...]", "*1\r\n:1\r\n", true, true}, {"[int, bulk...]", "*3\r\n:1\r\n$1\r\na\r\n$1\r\nb\r\n", true, true},
		{"[int, bulk...]", "*2\r\n:1\r\n:1\r\n", false, false}, {"[int, bulk...]", "*0\r\n", false, false},
		{"{'a': int, 'b'?: bulk}", "%2\r\n$1\r\nb\r\n$1\r\nx\r\n$1\r\na\r\n:1\r\n", false, true},
		{"{'a': int, 'b'?: bulk}", "*2\r\n$1\r\na\r\n:1\r\n", true, false}, {"{'a': int, 'b'?: bulk}", "%0\r\n", false, false},
		{"{'a': int, 'b'?: bulk}", "%2\r\n$1\r\na\r\n:1\r\n$1\r\nc\r\n:1\r\n", false, false},
		{"{'a': int, 'b'?: bulk}", "%2\r\n$1\r\na\r\n:1\r\n$1\r\na\r\n:1\r\n", false, false},
		{"any", "+x\r\n", true, true}, {"none", "+x\r\n", false, false},
		{"[int...]", "*2\r\n:1\r\n-ERR inside\r\n", true, true},
	} {
		s, err := parseSchema(c.schema)
		require.NoError(t, err)
		v, err := resp.NewReader(bytes.NewReader([]byte(c.reply)), resp.ReadLimits{}).ReadValue()
		require.NoError(t, err)
		assert.Equal(t, c.two, s.Check(v, resp.RESP2) == nil, "%s %q RESP2", c.schema, c.reply)
		assert.Equal(t, c.three, s.Check(v, resp.RESP3) == nil, "%s %q RESP3", c.schema, c.reply)
	}
}

func TestSchemaSaysWhatDiffers(t *testing.T) {
	s, err := parseSchema("[bulk...]")
	require.NoError(t, err)
	v := resp.Value{Kind: resp.KindArray, Elems: []resp.Value{{Kind: resp.KindInt}}}
	assert.EqualError(t, s.Check(v, 2), "the reply schema [bulk...] does not allow [int] in RESP2")
}
