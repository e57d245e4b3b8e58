package repl

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sextantdb/sextant/resp"
)

func TestMemberOnTheWire(t *testing.T) {
	m := Member{Node: strings.Repeat("ab", 20), Incarnation: 7}
	back, ok := parseMember(m.String())
	assert.True(t, ok)
	assert.Equal(t, m, back)
	for _, bad := range []string{"", ":", "ab:1", m.Node, m.Node + ":", m.Node + ":x", m.Node + ":-1"} {
		_, ok := parseMember(bad)
		assert.False(t, ok, bad)
	}
}

func TestVouch(t *testing.T) {
	me := Member{Node: strings.Repeat("01", 20), Incarnation: 3}
	e := &Engine{}
	assert.Equal(t, resp.ErrClusterDisabled, e.vouch(me.String()))
	e.deps.Leads = func(m Member) string {
		if m != me {
			return "somebody else"
		}
		return ""
	}
	assert.Empty(t, e.vouch(me.String()))
	assert.Equal(t, resp.Error("NOTLEADING somebody else"), e.vouch(Member{me.Node, 4}.String()))
	assert.Equal(t, resp.ErrSyntax, e.vouch("nonsense"))
}
