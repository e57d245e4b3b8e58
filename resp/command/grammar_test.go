package command

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestGrammar(t *testing.T) {
	for _, c := range []struct {
		src, syntax string
		least, most int
	}{
		{"", "", 0, 0},
		{"key", "key", 1, 1},
		{"key...", "key [key ...]", 1, -1},
		{"(key value)...", "key value [key value ...]", 2, -1},
		{"key value [condition=NX|XX] [GET] [expiration=EX seconds:int|PX milliseconds:int|KEEPTTL]",
			"key value [NX | XX] [GET] [EX seconds | PX milliseconds | KEEPTTL]", 2, 6},
		{"[ASYNC|SYNC]", "[ASYNC | SYNC]", 0, 1},
		{"key [LIMIT offset:int count:int] [GET pattern]...", "key [LIMIT offset count] [GET pattern [GET pattern ...]]", 1, -1},
		{"(STREAMS key... id...)", "STREAMS key [key ...] id [id ...]", 3, -1},
		{"slot:int (IMPORTING node|STABLE)", "slot <IMPORTING node | STABLE>", 2, 3},
		{"key [MAXLEN [operator='='|'~'] threshold]", "key [MAXLEN [= | ~] threshold]", 1, 4},
	} {
		args, err := parseGrammar(c.src)
		require.NoError(t, err, c.src)
		assert.Equal(t, c.syntax, Syntax(args), c.src)
		least, most := grammarWords(args)
		assert.Equal(t, []int{c.least, c.most}, []int{least, most}, c.src)
	}
}

func TestGrammarNamesAndTokens(t *testing.T) {
	args, err := parseGrammar("key [expiration=EX seconds:int|KEEPTTL] [GET pattern]...")
	require.NoError(t, err)
	assert.Equal(t, KeyArg, args[0].Type)
	assert.Equal(t, Arg{Name: "expiration", Type: OneOf, Optional: true, Args: []Arg{
		{Name: "seconds", Type: IntegerArg, Token: "EX"},
		{Name: "keepttl", Type: PureToken, Token: "KEEPTTL"},
	}}, args[1])
	assert.True(t, args[2].Multiple && args[2].MultipleToken)
}

// A version belongs to the word, the token or the named group it stands at; what a token leads it gets from there.
func TestGrammarVersions(t *testing.T) {
	args, err := parseGrammar("[CH@1.0.0] [mode@2.0.0=ON|OFF@3.0.0] [EX seconds:int@4.0.0] [LIMIT@5.0.0 offset:int count:int] (old@-6.0.0|(NEW@7.0.0 new)) ['='@8.0.0] key@9.0.0...")
	require.NoError(t, err)
	assert.Equal(t, []Arg{
		{Name: "ch", Type: PureToken, Token: "CH", Optional: true, Since: "1.0.0"},
		{Name: "mode", Type: OneOf, Optional: true, Since: "2.0.0", Args: []Arg{
			{Name: "on", Type: PureToken, Token: "ON"}, {Name: "off", Type: PureToken, Token: "OFF", Since: "3.0.0"},
		}},
		{Name: "seconds", Type: IntegerArg, Token: "EX", Optional: true, Since: "4.0.0"},
		{Name: "limit", Type: Block, Token: "LIMIT", Optional: true, Since: "5.0.0", Args: []Arg{
			{Name: "offset", Type: IntegerArg}, {Name: "count", Type: IntegerArg},
		}},
		{Name: "old", Type: OneOf, Args: []Arg{
			{Name: "old", Type: StringArg, Deprecated: "6.0.0"}, {Name: "new", Type: StringArg, Token: "NEW", Since: "7.0.0"},
		}},
		{Name: "=", Type: PureToken, Token: "=", Optional: true, Since: "8.0.0"},
		{Name: "key", Type: KeyArg, Multiple: true, Since: "9.0.0"},
	}, args)
}

func TestGrammarRefusesNonsense(t *testing.T) {
	for _, src := range []string{"[", "a]", "()", "[a|]", "x:nosuch", "(a"} {
		_, err := parseGrammar(src)
		assert.Error(t, err, src)
	}
}
