package repl

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/integration/proc"
)

// redisDump is the data of a real server in testNode.dump's form.
func redisDump(c *client, dbs ...int) map[string]string {
	all := map[string]string{}
	for _, db := range dbs {
		c.do("SELECT", strconv.Itoa(db))
		for _, k := range c.do("KEYS", "*").([]any) {
			all[fmt.Sprint(db, "/", k)], _ = c.do("GET", k.(string)).(string)
		}
	}
	c.do("SELECT", "0")
	return all
}

func fieldBecomes(t *testing.T, c *client, name, want string) {
	t.Helper()
	require.Eventually(t, func() bool { return c.field(name) == want }, 20*time.Second, 20*time.Millisecond, "%s is %s", name, c.field(name))
}

// offsetReached waits until the real replica is where our primary is.
func offsetReached(t *testing.T, c *client, n *testNode) {
	t.Helper()
	require.Eventually(t, func() bool {
		return c.field("master_link_status") == "up" && c.field("master_repl_offset") == strconv.FormatInt(n.e.Stream.Offset(), 10)
	}, 20*time.Second, 20*time.Millisecond)
}

func TestRealRedisAsReplica(t *testing.T) {
	for _, load := range []string{"disabled", "swapdb", "on-empty-db"} {
		for _, diskless := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/diskless=%v", load, diskless), func(t *testing.T) {
				p := newNode(t, func(o *Options) { o.DisklessSync = diskless })
				px := proc.NewRoad(t, p.addr())
				c := dial(t, p.addr())
				for i := range 300 {
					c.do("SET", fmt.Sprint("k", i), strings.Repeat("v", i*20))
				}
				rc, _ := realRedis(t, "--repl-diskless-load", load, "--replicaof", "127.0.0.1 "+strconv.Itoa(px.Port()))
				fieldBecomes(t, rc, "master_link_status", "up")
				c.do("SELECT", "7")
				c.do("MSETTX", "a", "1", "b", "2")
				c.do("INCR", "n")
				offsetReached(t, rc, p)
				require.Equal(t, p.dump(), redisDump(rc, 0, 7))
				require.Equal(t, p.field("master_replid"), rc.field("master_replid"))

				px.Cut() // partial resync
				c.do("INCR", "n")
				require.Eventually(t, func() bool { return p.field("sync_partial_ok") == "1" }, 20*time.Second, 20*time.Millisecond)
				offsetReached(t, rc, p)
				require.Equal(t, p.dump(), redisDump(rc, 0, 7))
				require.Equal(t, "1", p.field("sync_full"))
				require.Equal(t, int64(1), func() any { c.do("INCR", "n"); return c.do("WAIT", "1", "10000") }())
			})
		}
	}
}

func TestRealRedisAsPrimary(t *testing.T) {
	for _, mode := range []LoadMode{LoadShadow, LoadFile, LoadOnEmpty} {
		for _, diskless := range []string{"yes", "no"} {
			t.Run(fmt.Sprintf("%v/diskless=%s", mode, diskless), func(t *testing.T) {
				pc, port := realRedis(t, "--repl-diskless-sync", diskless)
				for i := range 300 {
					pc.do("SET", fmt.Sprint("k", i), strings.Repeat("v", i*20))
				}
				pc.do("SELECT", "3")
				pc.do("SET", "three", "3")
				px := proc.NewRoad(t, "127.0.0.1:"+strconv.Itoa(port))
				r := newNode(t, func(o *Options) { o.DisklessLoad = mode })
				follow(t, r, px.Port())
				up(t, r)
				pc.do("INCR", "n")
				pc.do("MULTI")
				pc.do("INCR", "n")
				pc.do("SELECT", "4")
				pc.do("INCR", "m")
				pc.do("EXEC")
				require.Equal(t, int64(1), pc.do("WAIT", "1", "10000"))
				require.Equal(t, redisDump(pc, 0, 3, 4), r.dump())

				pc.do("SELECT", "4")
				px.Cut()
				pc.do("INCR", "m")
				fieldBecomes(t, pc, "sync_partial_ok", "1")
				pc.do("SELECT", "4")
				pc.do("INCR", "m")
				require.Equal(t, int64(1), pc.do("WAIT", "1", "10000"))
				require.Equal(t, redisDump(pc, 0, 3, 4), r.dump())
				require.Equal(t, "1", pc.field("sync_full"))
				require.Contains(t, pc.field("slave0"), "port="+strconv.Itoa(r.port)+",state=online")
				require.Zero(t, r.e.Counters.ApplyErrors.Load())
			})
		}
	}
}

// A real primary, our replica of it, a real replica of ours; then ours is promoted and the old
// primary comes back without a full sync.
func TestRealRedisChainAndFailover(t *testing.T) {
	pc, port := realRedis(t)
	r := newNode(t)
	rc := follow(t, r, port)
	up(t, r)
	sc, _ := realRedis(t, "--replicaof", "127.0.0.1 "+strconv.Itoa(r.port))
	fieldBecomes(t, sc, "master_link_status", "up")
	pc.do("SELECT", "2")
	for range 50 {
		pc.do("INCR", "n")
	}
	require.Equal(t, int64(1), pc.do("WAIT", "1", "10000"))
	require.Eventually(t, func() bool { return redisDump(sc, 2)["2/n"] == "50" }, 20*time.Second, 20*time.Millisecond)
	require.Equal(t, pc.field("master_replid"), sc.field("master_replid"))

	rc.do("REPLICAOF", "NO", "ONE")
	pc.do("REPLICAOF", "127.0.0.1", strconv.Itoa(r.port))
	fieldBecomes(t, pc, "master_link_status", "up")
	rc.do("SELECT", "2")
	rc.do("INCR", "n")
	offsetReached(t, pc, r)
	offsetReached(t, sc, r)
	require.Equal(t, r.dump(), redisDump(pc, 2))
	require.Equal(t, r.dump(), redisDump(sc, 2))
	require.Equal(t, "2", r.field("sync_partial_ok"))
	require.Equal(t, "1", r.field("sync_full"))
	require.Equal(t, "51", r.dump()["2/n"])
}

func TestRealRedisUnderLoad(t *testing.T) {
	p := newNode(t)
	px := proc.NewRoad(t, p.addr())
	rc, _ := realRedis(t, "--replicaof", "127.0.0.1 "+strconv.Itoa(px.Port()))
	fieldBecomes(t, rc, "master_link_status", "up")
	var wg sync.WaitGroup
	for w := range 4 {
		c := dial(t, p.addr())
		wg.Add(1)
		go func() {
			defer wg.Done()
			c.do("SELECT", strconv.Itoa(w))
			for i := range 2000 {
				if i%3 == 0 {
					c.do("MSETTX", fmt.Sprint("a", i%50), strconv.Itoa(i), "z", strconv.Itoa(i))
				} else {
					c.do("APPEND", fmt.Sprint("s", i%7), "x")
				}
			}
		}()
	}
	for range 3 {
		fieldBecomes(t, rc, "master_link_status", "up")
		px.Cut()
	}
	wg.Wait()
	offsetReached(t, rc, p)
	require.Equal(t, p.dump(), redisDump(rc, 0, 1, 2, 3))
}

// redis-cli --rdb fetches a copy.
func TestRedisCLITakesACopy(t *testing.T) {
	cli, err := exec.LookPath("redis-cli")
	if err != nil {
		t.Skip("redis-cli is not installed")
	}
	p := newNode(t)
	c := dial(t, p.addr())
	for i := range 1000 {
		c.do("SET", fmt.Sprint("k", i), strings.Repeat("v", i))
	}
	path := filepath.Join(t.TempDir(), "copy.rdb")
	out, err := exec.Command(cli, "-p", strconv.Itoa(p.port), "--rdb", path).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "Transfer finished with success")
	if check, err := exec.LookPath("redis-check-rdb"); err == nil {
		out, err = exec.Command(check, path).CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), "1000 keys read")
	}
	require.Eventually(t, func() bool { return p.field("connected_slaves") == "0" }, 5*time.Second, 5*time.Millisecond)
}
