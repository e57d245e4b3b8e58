package cluster

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A cluster with append only files loses its power: every process ends at the same moment by kill -9. When they
// are started again everything that was acknowledged is served, under appendfsync always.
func TestWholeClusterKilledComesBackFromItsAppendOnlyFiles(t *testing.T) {
	g := newGrid(t, 6, "--cluster-node-timeout", "1500", "--save", "", "--appendonly", "yes", "--appendfsync", "always")
	g.formOurs(1)
	keys := keysOf(t, g.nodes[0], g.nodes[1], g.nodes[2])
	for round := 1; round <= 2; round++ {
		for i, k := range keys {
			require.Equal(t, "OK", g.nodes[i].try("SET", k, strconv.Itoa(round)))
		}
		require.Contains(t, g.nodes[0].try("BGREWRITEAOF"), "Background append only file rewriting")
		for _, n := range g.nodes {
			n.kill()
		}
		for _, n := range g.nodes {
			n.launch()
		}
		everywhere(g.nodes, 20*time.Second, "state ok", func(n *process) bool { return n.state() == "ok" })
		for i, k := range keys {
			owner := g.nodes[i]
			owner.eventually(15*time.Second, "serves what it acknowledged", func() bool {
				for _, n := range g.nodes {
					if n.try("GET", k) == strconv.Itoa(round) {
						return true
					}
				}
				return false
			})
		}
		// The next round writes where the slots are led now.
		for i, k := range keys {
			g.nodes[i].eventually(15*time.Second, "leads again", func() bool {
				for j, n := range g.nodes {
					if n.info("role") == "master" && n.try("SET", k, strconv.Itoa(round)) == "OK" {
						g.nodes[i], g.nodes[j] = g.nodes[j], g.nodes[i]
						return true
					}
				}
				return false
			})
		}
	}
}
