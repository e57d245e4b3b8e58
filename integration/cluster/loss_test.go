package cluster

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/integration/proc"
)

// keysOf returns keys, one in a slot of each of the given nodes.
func keysOf(t *testing.T, nodes ...*process) (keys []string) {
	for _, n := range nodes {
		keys = append(keys, ownedKey(t, n))
	}
	return keys
}

func everywhere(nodes []*process, limit time.Duration, what string, ok func(*process) bool) {
	for _, n := range nodes {
		n.t.Helper()
		n.eventually(limit, what, func() bool { return ok(n) })
	}
}

// A whole shard dies: primary and replica by kill -9. The switches for coverage and reads do
// what redis.conf says; when the two come back (without data, nothing was saved) the shard is
// there again, empty, and says that data may have been lost.
func TestWholeShardLost(t *testing.T) {
	g := newGrid(t, 6, "--cluster-node-timeout", "1000", "--save", "")
	g.formOurs(1)
	lost, rest := []*process{g.nodes[0], g.nodes[3]}, []*process{g.nodes[1], g.nodes[2], g.nodes[4], g.nodes[5]}
	keys := keysOf(t, lost[0], g.nodes[1])
	for i, k := range keys {
		require.Equal(t, "OK", g.nodes[i].try("SET", k, "v"))
	}
	// Both at once: killed one after the other within a second the heir would have taken over.
	lost[0].kill()
	lost[1].kill()
	everywhere(rest, 6*time.Second, "state fail", func(n *process) bool { return n.state() == "fail" })
	assert.Equal(t, "-CLUSTERDOWN The cluster is down", g.nodes[1].try("SET", keys[1], "w"))
	assert.Equal(t, "-CLUSTERDOWN The cluster is down", g.nodes[1].try("GET", keys[1]))

	for _, n := range rest {
		require.Equal(t, "OK", n.try("CONFIG", "SET", "cluster-allow-reads-when-down", "yes"))
	}
	assert.Equal(t, "v", g.nodes[1].try("GET", keys[1]), "reads go on")
	assert.Equal(t, "-CLUSTERDOWN The cluster is down and only accepts read commands", g.nodes[1].try("SET", keys[1], "w"))

	for _, n := range rest {
		require.Equal(t, "OK", n.try("CONFIG", "SET", "cluster-require-full-coverage", "no"))
		require.Equal(t, "ok", n.state())
	}
	assert.Equal(t, "OK", g.nodes[1].try("SET", keys[1], "w"), "covered slots go on")
	assert.True(t, strings.HasPrefix(g.nodes[2].try("GET", keys[1]), "-MOVED"))
	assert.Contains(t, []string{"-CLUSTERDOWN Hash slot not served", "-MOVED"}, strings.Fields(g.nodes[1].try("SET", keys[0], "w"))[0],
		"a slot whose owner has failed is still its own: Redis redirects there")

	for _, n := range lost {
		n.launch()
	}
	everywhere(g.nodes, 30*time.Second, "ok again", func(n *process) bool { return n.state() == "ok" })
	var now *process
	lost[0].eventually(30*time.Second, "one of the two serves the shard", func() bool {
		for _, n := range lost {
			if n.try("GET", keys[0]) == "(nil)" {
				now = n
				return true
			}
		}
		return false
	})
	assert.Equal(t, "1", now.cluster("possible_loss"), "it came back without its data and says so")
	assert.Equal(t, "w", g.nodes[1].try("GET", keys[1]))
}

// All six nodes die at once, some with a saved snapshot. They come back as the same cluster;
// what was saved is there.
func TestAllKilledAtOnce(t *testing.T) {
	g := newGrid(t, 6, "--cluster-node-timeout", "1000", "--save", "")
	g.formOurs(1)
	keys := keysOf(t, g.nodes[0], g.nodes[1], g.nodes[2])
	for i, k := range keys {
		require.Equal(t, "OK", g.nodes[i].try("SET", k, "saved"))
	}
	for _, n := range g.nodes {
		require.Equal(t, "OK", n.try("SAVE"))
	}
	for i, k := range keys {
		require.Equal(t, "OK", g.nodes[i].try("SET", k, "unsaved"))
	}
	id, epoch := g.nodes[0].cluster("cluster_id"), g.nodes[0].cluster("cluster_current_epoch")
	for _, n := range g.nodes {
		n.signal(9)
	}
	for _, n := range g.nodes {
		<-n.Ended()
	}
	for _, n := range g.nodes {
		n.launch()
	}
	everywhere(g.nodes, 30*time.Second, "ok again", func(n *process) bool { return n.state() == "ok" })
	assert.Equal(t, id, g.nodes[5].cluster("cluster_id"))
	was, _ := strconv.Atoi(epoch)
	is, _ := strconv.Atoi(g.nodes[0].cluster("cluster_current_epoch"))
	assert.GreaterOrEqual(t, is, was, "epochs never go back")
	for i, k := range keys {
		var now *process
		g.nodes[i].eventually(20*time.Second, "the shard serves", func() bool {
			for _, n := range []*process{g.nodes[i], g.nodes[i+3]} {
				if n.info("role") == "master" && n.try("GET", k) == "saved" {
					now = n
					return true
				}
			}
			return false
		})
		assert.Equal(t, "1", now.cluster("possible_loss"), "the last write is gone, and it is told")
		require.Equal(t, "OK", now.try("SET", k, "after"))
	}
	for i := range keys { // each shard is a pair again
		a, b := g.nodes[i], g.nodes[i+3]
		a.eventually(20*time.Second, "pair of equals", func() bool {
			d := a.try("DEBUG", "DIGEST")
			return a.info("role") != b.info("role") && len(d) == 40 && d == b.try("DEBUG", "DIGEST")
		})
	}
}

// A primary without persistence comes back, empty, long before the node timeout (H5). Its
// replica must not copy the emptiness: it is the one with the data, so it becomes the primary.
func TestQuickRestartWithoutData(t *testing.T) {
	g := newGrid(t, 6, "--cluster-node-timeout", "5000", "--save", "")
	g.formOurs(1)
	old, heir := g.nodes[0], g.nodes[3]
	key := ownedKey(t, old)
	require.Equal(t, "OK", old.try("SET", key, "precious"))
	heir.eventually(5*time.Second, "replicated", func() bool { return heir.info("slave_repl_offset") == old.info("master_repl_offset") })
	began := time.Now()
	old.kill()
	old.launch()
	heir.eventually(15*time.Second, "the replica leads with its data", func() bool {
		v := old.try("GET", key)
		require.NotEqual(t, "(nil)", v, "the empty node must not serve")
		return heir.try("SET", key+"{x}", "x") != "" && heir.try("GET", key) == "precious"
	})
	t.Logf("replica leads %v after the kill", time.Since(began).Round(time.Millisecond))
	assert.Less(t, time.Since(began), 4*time.Second, "the old process is known to be gone: no need to wait its lease out")
	old.eventually(15*time.Second, "and is the old one's source", func() bool {
		return old.info("role") == "slave" && old.info("master_link_status") == "up" && old.try("DEBUG", "DIGEST") == heir.try("DEBUG", "DIGEST")
	})
	assert.Equal(t, "0", heir.cluster("possible_loss"))
}

// A copied directory: two processes with one node id. The newcomer must not harm the cluster.
func TestCopiedStateFile(t *testing.T) {
	g := newGrid(t, 3, "--cluster-node-timeout", "2000")
	g.formOurs(0)
	key := ownedKey(t, g.nodes[0])
	require.Equal(t, "OK", g.nodes[0].try("SET", key, "v"))
	// The same directory at the same time is refused at once.
	second := &process{t: t, port: proc.FreePort(t), dir: g.nodes[0].dir}
	out, err := runFor(20*time.Second, binary, "server", "--port", strconv.Itoa(second.port), "--bind", "127.0.0.1", "--dir", second.dir,
		"--cluster-enabled", "yes")
	require.Error(t, err)
	assert.Contains(t, out, "is already used by a different Redis Cluster node")

	// A copy elsewhere has the same id at another address.
	dir := filepath.Join(t.TempDir(), "copy")
	require.NoError(t, os.Mkdir(dir, 0o755))
	state, err := os.ReadFile(filepath.Join(g.nodes[0].dir, "nodes.conf"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "nodes.conf"), state, 0o644))
	twin := start(t, dir, proc.FreePort(t), "--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
	assert.Equal(t, g.nodes[0].id(), twin.id())
	// The later life wins: within a node timeout one of the two is left to serve.
	time.Sleep(2500 * time.Millisecond) // a node timeout and a little: nothing to wait for happens
	for range 20 {
		assert.False(t, twin.try("SET", key, "twin") == "OK" && g.nodes[0].try("SET", key, "original") == "OK", "two nodes serve one slot")
	}
	twin.kill()
	// Whether the one that was pushed aside hears of the other's row, and says so, depends on who
	// gossips first; that it recovers does not.
	t.Logf("the original named its twin: %v", strings.Contains(g.nodes[0].Out.String(), "another process runs under my node id"))
	g.nodes[0].kill()
	g.nodes[0].launch()
	everywhere(g.nodes, 20*time.Second, "whole without the twin", func(n *process) bool { return n.state() == "ok" })
	g.nodes[0].eventually(10*time.Second, "serves", func() bool { return g.nodes[0].try("SET", key, "again") == "OK" })
}
