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

func TestGrammarRefusesNonsense(t *testing.T) {
	for _, src := range []string{"[", "a]", "()", "[a|]", "x:nosuch", "(a"} {
		_, err := parseGrammar(src)
		assert.Error(t, err, src)
	}
}
