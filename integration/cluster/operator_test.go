package cluster

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/integration/proc"
)

// Four ways a replica becomes primary by order. The plain one loses nothing under load.
func TestManualFailovers(t *testing.T) {
	g := newGrid(t, 6, "--cluster-node-timeout", "2000")
	g.formOurs(1)
	a, b := g.nodes[0], g.nodes[3]
	key := ownedKey(t, a)
	tag := "{" + key + "}"

	client := g.client()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var wg sync.WaitGroup
	var acked [4]atomic.Int64 // writer i counts up in its own key
	for i := range acked {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for n := int64(1); ctx.Err() == nil; n++ {
				for client.Set(context.Background(), fmt.Sprint(tag, i), n, 0).Err() != nil && ctx.Err() == nil {
				}
				if ctx.Err() == nil {
					acked[i].Store(n)
				}
			}
		}()
	}
	swap := func(from, to *process, how ...any) time.Duration {
		began := time.Now()
		require.Equal(t, "OK", to.try(append([]any{"CLUSTER", "FAILOVER"}, how...)...))
		to.eventually(10*time.Second, fmt.Sprint("leads after FAILOVER ", how), func() bool { return to.info("role") == "master" && to.state() == "ok" })
		took := time.Since(began)
		from.eventually(10*time.Second, "follows", func() bool { return from.info("role") == "slave" && from.info("master_link_status") == "up" })
		return took
	}
	for round := range 4 {
		from, to := a, b
		if round%2 == 1 {
			from, to = b, a
		}
		seen := [len(acked)]int64{}
		for i := range acked {
			seen[i] = acked[i].Load()
		}
		to.eventually(10*time.Second, "writes flow", func() bool { return acked[0].Load() > seen[0]+20 })
		t.Logf("plain: %v", swap(from, to).Round(time.Millisecond))
	}
	stop()
	wg.Wait()
	for i := range acked {
		got, err := client.Get(context.Background(), fmt.Sprint(tag, i)).Int64()
		require.NoError(t, err)
		assert.GreaterOrEqual(t, got, acked[i].Load(), "an acknowledged write was lost")
	}
	assert.Equal(t, "-ERR You should send CLUSTER FAILOVER to a replica", a.try("CLUSTER", "FAILOVER"))

	t.Logf("FORCE: %v", swap(a, b, "FORCE").Round(time.Millisecond))
	t.Logf("TAKEOVER: %v", swap(b, a, "TAKEOVER").Round(time.Millisecond))

	// What a forced failover leaves out of the set is taken in again, so the shard is safe at once.
	a.eventually(5*time.Second, "in the record again", func() bool { return a.cluster("in_sync") == "2" })
	a.signal(19)
	defer a.signal(18)
	b.eventually(10*time.Second, "elected by itself", func() bool { return b.info("role") == "master" })
}

// A primary that loses its last replica gets one from a shard that has two (S12).
func TestReplicaMigration(t *testing.T) {
	g := newGrid(t, 7, "--cluster-node-timeout", "1000")
	g.formOurs(1) // three primaries, four replicas: the first shard has two
	var rich, poor *process
	for _, p := range g.nodes[:3] {
		switch p.info("connected_slaves") {
		case "2":
			rich = p
		case "1":
			poor = p
		}
	}
	require.NotNil(t, rich)
	require.NotNil(t, poor)
	last := g.replicaOf(poor)
	poor.eventually(10*time.Second, "known to have had a replica", func() bool { return poor.info("connected_slaves") == "1" })
	last.kill()
	poor.eventually(15*time.Second, "has a replica again", func() bool { return poor.info("connected_slaves") == "1" && rich.info("connected_slaves") == "1" })
	last.launch()
	last.eventually(15*time.Second, "comes back to its primary", func() bool { return last.info("master_port") == strconv.Itoa(poor.port) })
}

// What redis-cli --cluster does to a running cluster: add nodes, move slots, take nodes away.
func TestGrowAndShrink(t *testing.T) {
	g := newGrid(t, 5, "--cluster-node-timeout", "2000")
	three := &grid{t: t, nodes: g.nodes[:3]}
	three.formCLI(0)
	fourth, replica := g.nodes[3], g.nodes[4]
	door := g.nodes[0].addr()

	g.run("redis-cli", "--cluster", "add-node", fourth.addr(), door)
	fourth.eventually(10*time.Second, "all know it", func() bool { return g.nodes[2].cluster("cluster_known_nodes") == "4" && fourth.state() == "ok" })
	g.run("redis-cli", "--cluster", "add-node", replica.addr(), door, "--cluster-slave", "--cluster-master-id", fourth.id())
	replica.eventually(10*time.Second, "follows the fourth", func() bool { return replica.info("master_port") == strconv.Itoa(fourth.port) })

	began := time.Now()
	g.run("redis-cli", "--cluster", "reshard", door, "--cluster-from", g.nodes[0].id(), "--cluster-to", fourth.id(), "--cluster-slots", "300", "--cluster-yes")
	t.Logf("300 empty slots moved in %v", time.Since(began).Round(time.Millisecond))
	out := g.run("redis-cli", "--cluster", "check", door)
	assert.Contains(t, out, "[OK] All nodes agree about slots configuration.")
	assert.Contains(t, out, "[OK] All 16384 slots covered.")
	assert.NotContains(t, out, "WARNING")
	key := ownedKey(t, fourth)
	require.Equal(t, "OK", fourth.try("SET", key, "v"))

	// Back again, key by key: the key goes first, for SETSLOT refuses to give a slot away that has keys.
	require.Equal(t, "1", fourth.try("DEL", key))
	g.run("redis-cli", "--cluster", "reshard", door, "--cluster-from", fourth.id(), "--cluster-to", g.nodes[0].id(), "--cluster-slots", "300", "--cluster-yes")
	fourth.eventually(10*time.Second, "a primary without slots follows whoever took the last one", func() bool { return fourth.info("role") == "slave" })

	gone := fourth.id()
	g.run("redis-cli", "--cluster", "del-node", door, replica.id())
	g.run("redis-cli", "--cluster", "del-node", door, gone)
	everywhere(g.nodes[:3], 10*time.Second, "three again", func(n *process) bool { return n.cluster("cluster_known_nodes") == "3" })
	for range 20 { // FORGET bans for a minute: gossip must not bring it back
		assert.Equal(t, "3", g.nodes[1].cluster("cluster_known_nodes"))
		time.Sleep(50 * time.Millisecond)
	}
	assert.Equal(t, "-ERR Unknown node "+strings.Repeat("0", 40), g.nodes[1].try("CLUSTER", "FORGET", strings.Repeat("0", 40)))
	assert.Equal(t, "OK", g.nodes[1].try("CLUSTER", "FORGET", gone), "forgotten already")
	assert.Equal(t, "1", fourth.cluster("cluster_known_nodes"), "RESET SOFT came with del-node")
	assert.Equal(t, gone, fourth.id())

	// HARD gives a new id; the node may join again at once.
	require.Equal(t, "OK", fourth.try("CLUSTER", "RESET", "HARD"))
	assert.NotEqual(t, gone, fourth.id())
	assert.Equal(t, "0", fourth.cluster("cluster_current_epoch"))
	g.run("redis-cli", "--cluster", "add-node", fourth.addr(), door)
	fourth.eventually(10*time.Second, "in again", func() bool { return fourth.cluster("cluster_known_nodes") == "4" && fourth.state() == "ok" })
	require.Equal(t, "OK", g.nodes[0].try("SET", ownedKey(t, g.nodes[0]), "v"))
	assert.Equal(t, "-ERR CLUSTER RESET can't be called with master nodes containing keys", g.nodes[0].try("CLUSTER", "RESET"))
}

// An open slot: ASK, ASKING, TRYAGAIN, and the end of the migration.
func TestOpenSlot(t *testing.T) {
	g := newGrid(t, 3, "--cluster-node-timeout", "2000")
	g.formOurs(0)
	src, dst := g.nodes[0], g.nodes[1]
	key := ownedKey(t, src)
	other := "{" + key + "}other"
	slot := src.try("CLUSTER", "KEYSLOT", key)
	require.Equal(t, "OK", src.try("SET", key, "v"))
	require.Equal(t, "OK", dst.try("CLUSTER", "SETSLOT", slot, "IMPORTING", src.id()))
	require.Equal(t, "OK", src.try("CLUSTER", "SETSLOT", slot, "MIGRATING", dst.id()))

	assert.Equal(t, "v", src.try("GET", key))
	ask := "-ASK " + slot + " " + dst.addr()
	assert.Equal(t, ask, src.try("GET", other))
	assert.Equal(t, "-TRYAGAIN Multiple keys request during rehashing of slot", src.try("MGET", key, other))
	assert.Equal(t, "-MOVED "+slot+" "+src.addr(), dst.try("GET", other))

	c := dst.dial()
	defer c.Close()
	ctx := context.Background()
	require.NoError(t, c.Do(ctx, "ASKING").Err())
	require.NoError(t, c.Do(ctx, "SET", other, "w").Err())
	assert.ErrorContains(t, c.Do(ctx, "GET", other).Err(), "MOVED", "ASKING is for one command")
	require.NoError(t, c.Do(ctx, "ASKING").Err())
	assert.ErrorContains(t, c.Do(ctx, "MGET", key, other).Err(), "TRYAGAIN")

	// Marks outlive a kill -9.
	require.Equal(t, "OK", src.try("SAVE"))
	src.kill()
	src.launch()
	src.eventually(15*time.Second, "serves again", func() bool { return strings.HasPrefix(src.try("GET", other), "-ASK") })
	assert.Contains(t, src.try("CLUSTER", "NODES"), "["+slot+"->-"+dst.id()+"]")

	require.Equal(t, "OK", src.try("SET", key, "v2"))
	assert.Equal(t, "-ERR Can't assign hashslot "+slot+" to a different node while I still hold keys for this hash slot.",
		src.try("CLUSTER", "SETSLOT", slot, "NODE", dst.id()))
	require.Equal(t, "1", src.try("DEL", key))
	require.Equal(t, "OK", dst.try("CLUSTER", "SETSLOT", slot, "NODE", dst.id()))
	require.Equal(t, "OK", src.try("CLUSTER", "SETSLOT", slot, "NODE", dst.id()))
	require.Equal(t, "OK", g.nodes[2].try("CLUSTER", "SETSLOT", slot, "NODE", dst.id()))
	assert.Equal(t, "w", dst.try("GET", other))
	for _, n := range []*process{src, g.nodes[2]} {
		assert.Equal(t, "-MOVED "+slot+" "+dst.addr(), n.try("GET", other))
		assert.NotContains(t, n.try("CLUSTER", "NODES"), "["+slot)
	}
}

// What nodes announce is what others see, also when it changes while they run.
func TestAnnounced(t *testing.T) {
	g := newGrid(t, 3, "--cluster-node-timeout", "2000")
	g.formOurs(0)
	n := g.nodes[0]
	set := func(name, value string) { t.Helper(); require.Equal(t, "OK", n.try("CONFIG", "SET", name, value)) }
	shown := func(what string) {
		t.Helper()
		assert.Contains(t, n.try("CLUSTER", "NODES"), what, "here at once")
		everywhere(g.nodes[1:], 5*time.Second, what, func(o *process) bool { return strings.Contains(o.try("CLUSTER", "NODES"), what) })
	}
	key := ownedKey(t, n)
	slot := n.try("CLUSTER", "KEYSLOT", key)
	set("cluster-announce-hostname", "db-1.example.org")
	shown(fmt.Sprintf("127.0.0.1:%d@%d,db-1.example.org ", n.port, n.port+10000))
	assert.Equal(t, fmt.Sprintf("-MOVED %s 127.0.0.1:%d", slot, n.port), g.nodes[1].try("GET", key))
	require.Equal(t, "OK", g.nodes[1].try("CONFIG", "SET", "cluster-preferred-endpoint-type", "hostname"))
	assert.Equal(t, fmt.Sprintf("-MOVED %s db-1.example.org:%d", slot, n.port), g.nodes[1].try("GET", key))
	set("cluster-announce-hostname", "")
	assert.Equal(t, "-ERR CONFIG SET failed (possibly related to argument 'cluster-announce-hostname') - Hostnames may only contain alphanumeric characters, hyphens or dots",
		n.try("CONFIG", "SET", "cluster-announce-hostname", "no host"))

	set("cluster-announce-port", "4711")
	shown(fmt.Sprintf("127.0.0.1:4711@%d ", n.port+10000))
	set("cluster-announce-port", "0")
	shown(fmt.Sprintf("127.0.0.1:%d@%d ", n.port, n.port+10000))
	everywhere(g.nodes, 5*time.Second, "ok all the time", func(o *process) bool { return o.state() == "ok" })

	// The node timeout changes on the fly: failure is seen after the new one.
	for _, o := range g.nodes {
		require.Equal(t, "OK", o.try("CONFIG", "SET", "cluster-node-timeout", "500"))
	}
	require.Equal(t, "OK", n.try("SET", key, "v"))
	began := time.Now()
	n.signal(19)
	everywhere(g.nodes[1:], 5*time.Second, "failed after half a second", func(o *process) bool { return o.state() == "fail" })
	assert.Less(t, time.Since(began), 1500*time.Millisecond)
	n.signal(18)
	everywhere(g.nodes, 10*time.Second, "back", func(o *process) bool { return o.state() == "ok" })
}

// A cluster behind a password and a bus secret: replicas log in with masterauth; a node with
// another secret gets in nowhere.
func TestPasswordAndBusSecret(t *testing.T) {
	secret := "a bus secret that is long enough"
	g := newGridWith(t, 6, "pw", "--cluster-node-timeout", "2000", "--requirepass", "pw", "--masterauth", "pw", "--cluster-bus-secret", secret)
	args := append([]string{"--cluster", "create"}, g.addrs()...)
	g.run("redis-cli", append(args, "--cluster-replicas", "1", "--cluster-yes", "-a", "pw", "--no-auth-warning")...)
	g.settled()
	key := ownedKey(t, g.nodes[0])
	require.Equal(t, "OK", g.nodes[0].try("SET", key, "v"))
	for _, n := range g.nodes {
		assert.NotContains(t, n.Out.String(), "no authentication")
	}
	victim, heir := g.nodes[0], g.replicaOf(g.nodes[0])
	victim.kill()
	heir.eventually(10*time.Second, "took over", func() bool { return heir.try("GET", key) == "v" })

	for _, other := range [][]string{{"--cluster-bus-secret", "another secret that is long enough"}, {}} {
		stranger := start(t, t.TempDir(), proc.FreePort(t), append([]string{"--cluster-enabled", "yes", "--cluster-node-timeout", "1000"}, other...)...)
		require.Equal(t, "OK", stranger.try("CLUSTER", "MEET", "127.0.0.1", strconv.Itoa(heir.port)))
		stranger.eventually(10*time.Second, "the handshake ends without success", func() bool {
			return !strings.Contains(stranger.try("CLUSTER", "NODES"), "handshake")
		})
		assert.Equal(t, "1", stranger.cluster("cluster_known_nodes"))
		assert.Equal(t, "6", heir.cluster("cluster_known_nodes"))
		stranger.kill()
	}
}

// Everything over IPv6.
func TestIPv6(t *testing.T) {
	if l, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skip("no IPv6 loopback")
	} else {
		l.Close()
	}
	g := &grid{t: t}
	for _, port := range proc.FreePorts(t, 3) {
		p := &process{t: t, host: "::1", port: port, dir: t.TempDir()}
		p.args = []string{"server", "--port", strconv.Itoa(port), "--bind", "::1", "--dir", p.dir, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000"}
		p.launch()
		g.nodes = append(g.nodes, p)
	}
	g.formOurs(0) // redis-cli 7.0 cannot read [::1]:port
	key := ownedKey(t, g.nodes[2])
	require.Equal(t, "OK", g.nodes[2].try("SET", key, "v"))
	assert.Equal(t, fmt.Sprintf("-MOVED %s ::1:%d", g.nodes[0].try("CLUSTER", "KEYSLOT", key), g.nodes[2].port), g.nodes[0].try("GET", key))
	assert.Equal(t, "v", strings.TrimSpace(g.run("redis-cli", "-h", "::1", "-p", strconv.Itoa(g.nodes[0].port), "-c", "GET", key)))
}
