package vm_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp/lua/vm"
)

func run(t *testing.T, m *vm.VM, src string) string {
	p, err := vm.Compile(src, "@user_script")
	if err != nil {
		return "syntax " + err.Error()
	}
	v, lerr := m.Call(m.Load(p))
	if lerr != nil {
		return "uncaught " + lerr.Error()
	}
	s, ok := v.AsString()
	require.True(t, ok, src)
	return s
}

func chunks(t *testing.T) (prelude string, list []string) {
	p, err := os.ReadFile("testdata/prelude.lua")
	require.NoError(t, err)
	c, err := os.ReadFile("testdata/corpus.lua")
	require.NoError(t, err)
	prelude = strings.TrimSuffix(string(p), "\n")
	for _, one := range strings.Split(string(c), "\n----\n") {
		// On one line with the prelude's end, so that line numbers begin at the same place.
		list = append(list, prelude+" "+strings.TrimSuffix(one, "\n")+" \nend))")
	}
	return prelude, list
}

func newVM() *vm.VM { return vm.New(64 << 20) }
