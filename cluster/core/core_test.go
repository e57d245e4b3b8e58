package core

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCreateAsRedisCLIDoes(t *testing.T) {
	n := newNet(t, 6, 2*Second)
	n.create(3, 1)
	t.Log(n.nodes[0].view.NodesText(false))
	t.Log(n.now/Millisecond, "ms", n.bytes, "bytes")
	require.Equal(t, uint64(1), n.nodes[0].view.VoterVer)
}

func TestKilledPrimaryIsReplaced(t *testing.T) {
	n := newNet(t, 6, 2*Second)
	n.create(3, 1)
	n.nodes[0].local.Offset, n.nodes[0].local.Empty, n.nodes[0].local.Keys = 100, false, 1
	n.run(3 * Second)
	n.nodes[0].kill()
	d := n.until(5*Second, "slot 0 served again", func() bool { return n.server(0) != nil })
	require.LessOrEqual(t, d, 2600*Millisecond)
	t.Log("served again after ms", d/Millisecond)
	n.run(3 * Second)
	n.nodes[0].start(false)
	n.until(10*Second, "old primary is a replica in the set", func() bool { return n.healthy(1) && n.agree(6, 6) })
	require.Equal(t, "n3", n.name(n.nodes[0].role.Primary))
}
