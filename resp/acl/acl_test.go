package acl

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestDefaultUserWithAndWithoutPassword(t *testing.T) {
	l := NewList()
	assert.True(t, l.Default().User().NoPass)
	l.RequirePass("secret")
	assert.False(t, l.Default().User().NoPass)
	for _, c := range []struct {
		name, pass string
		ok         bool
	}{{"default", "secret", true}, {"default", "Secret", false}, {"default", "", false}, {"nobody", "secret", false}} {
		u, ok := l.Authenticate([]byte(c.name), []byte(c.pass))
		assert.Equal(t, c.ok, ok, c)
		if ok {
			assert.Equal(t, c.name, u.Name)
		}
	}
	l.RequirePass("")
	_, ok := l.Authenticate([]byte("default"), []byte("anything"))
	assert.True(t, ok)
}
