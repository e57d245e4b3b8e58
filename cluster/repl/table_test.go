package repl

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp/command"
)

func TestSyntaxOfReplicaof(t *testing.T) {
	n := freshNode(t)
	defer n.l.Close()
	require.Equal(t, "<host port | NO ONE>", command.Syntax(n.table.Get("replicaof").Grammar()))
}
