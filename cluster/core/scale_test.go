package core

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/bus"
)

// Above MeshLimit nodes keep few connections, and a death is known everywhere all the same.
func TestPartialMesh(t *testing.T) {
	n := newNet(t, 0, 2*Second)
	n.cfg.MeshLimit = 8
	for range 40 {
		n.addNode()
	}
	n.create(10, 1)
	for i := 20; i < 40; i++ {
		n.nodes[i].ok(Admin{Kind: AdminMeet, IP: "127.0.0.1", Port: 7000, CPort: 17000})
	}
	n.until(30*Second, "40 nodes", func() bool { return n.agree(40, 40) && n.healthy(1) })
	n.run(3 * Second)
	links := 0
	for _, x := range n.nodes {
		links = max(links, len(x.m.gossip))
	}
	require.Less(t, links, 26, "log2(40)+4 peers, 7 voters and the shard")
	before, msgs := n.bytes, n.count()
	n.run(10 * Second)
	t.Logf("at most %d connections; idle: %d bytes/s and %d messages/s a node", links, (n.bytes-before)/400, (n.count()-msgs)/400)

	dead := n.nodes[25] // neither a voter nor a member of any shard
	dead.kill()
	d := n.until(5*Second, "its failure is known everywhere (S17)", func() bool {
		for _, x := range n.nodes {
			if x.up {
				if i, ok := x.view.Find(dead.id); !ok || x.view.Nodes[i].FlagsText() != "master,fail" {
					return false
				}
			}
		}
		return true
	})
	t.Logf("failure known everywhere after %d ms", d/Millisecond)

	n.nodes[9].kill()
	owned := uint16(16383)
	d = n.until(2600*Millisecond, "served again", func() bool { return n.server(owned) != nil })
	t.Logf("served again after %d ms", d/Millisecond)
	n.until(2*Second, "one view", func() bool { return n.agree(40, 40) })
}

func (n *net) count() (c int) {
	for k := range bus.Kinds {
		c += n.sent[bus.Kind(k)]
	}
	return c
}

// A node that is not the only one to miss somebody: FAIL within 1.5 T + 1 s in the full mesh.
func TestFailIsKnownInTime(t *testing.T) {
	n := newNet(t, 6, 2*Second)
	n.create(3, 1)
	n.run(2 * Second)
	start, before := n.bytes, n.count()
	n.run(10 * Second)
	t.Logf("idle: %d bytes/s and %d messages/s a node", (n.bytes-start)/60, (n.count()-before)/60)
	n.nodes[5].kill()
	d := n.until(4*Second, "FAIL everywhere", func() bool {
		for _, x := range n.nodes[:5] {
			if i, _ := x.view.Find(n.nodes[5].id); x.view.Nodes[i].FlagsText() != "slave,fail" {
				return false
			}
		}
		return true
	})
	require.LessOrEqual(t, d, 2500*Millisecond)
	t.Logf("FAIL everywhere after %d ms", d/Millisecond)
}
