package cluster

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// counters are keys that writers count up for as long as a test moves their slots. Every
// acknowledged increment must be there at the end, and none twice.
type counters struct {
	t      *testing.T
	client *redis.ClusterClient
	acked  []atomic.Int64
	unsure []atomic.Int64 // increments whose outcome nobody told
	stop   chan struct{}
	work   sync.WaitGroup
}

func counterKey(i int) string { return "counter:" + strconv.Itoa(i) }

// countUp begins to write to n keys, some of them many-elemented, one with a long string.
func countUp(g *grid, n int) *counters {
	c := &counters{t: g.t.(*testing.T), client: g.client(), acked: make([]atomic.Int64, n), unsure: make([]atomic.Int64, n), stop: make(chan struct{})}
	ctx := context.Background()
	for w := range 6 {
		c.work.Add(1)
		go func() {
			defer c.work.Done()
			for i := w; ; i = (i + 7) % n {
				select {
				case <-c.stop:
					return
				default:
				}
				var err error
				switch i % 3 {
				case 0:
					err = c.client.Incr(ctx, counterKey(i)).Err()
				case 1:
					err = c.client.HIncrBy(ctx, counterKey(i), "n", 1).Err()
				case 2: // a deletion in the middle of a move must not bring the key back
					_, err = c.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
						p.RPush(ctx, counterKey(i), "x")
						return nil
					})
				}
				if err == nil {
					c.acked[i].Add(1)
				} else {
					c.unsure[i].Add(1)
				}
			}
		}()
	}
	return c
}

// end stops the writers and compares.
func (c *counters) end() {
	close(c.stop)
	c.work.Wait()
	ctx := context.Background()
	total, unsure := int64(0), int64(0)
	for i := range c.acked {
		var got int64
		var err error
		switch i % 3 {
		case 0:
			got, err = c.client.Get(ctx, counterKey(i)).Int64()
		case 1:
			got, err = c.client.HGet(ctx, counterKey(i), "n").Int64()
		case 2:
			got, err = c.client.LLen(ctx, counterKey(i)).Result()
		}
		if err != nil && err != redis.Nil {
			require.NoError(c.t, err)
		}
		acked, maybe := c.acked[i].Load(), c.unsure[i].Load()
		assert.GreaterOrEqual(c.t, got, acked, "%s lost writes", counterKey(i))
		assert.LessOrEqual(c.t, got, acked+maybe, "%s was counted twice", counterKey(i))
		total, unsure = total+acked, unsure+maybe
	}
	fmt.Printf("  %d increments acknowledged, %d without an answer\n", total, unsure)
	assert.Greater(c.t, total, int64(1000))
	assert.Less(c.t, unsure, total/100+10, "clients were hardly disturbed")
}

// The unmodified redis-cli, and our own tool, move slots with keys there and back while clients write.
func TestReshardUnderWrites(t *testing.T) {
	for name, tool := range map[string]func(g *grid, a, b *process){
		"redis-cli": func(g *grid, a, b *process) {
			out := g.run("redis-cli", "--cluster", "reshard", a.addr(), "--cluster-from", a.id(), "--cluster-to", b.id(), "--cluster-slots", "200", "--cluster-yes", "--cluster-pipeline", "20")
			assert.Equal(g.t, 200, strings.Count(out, "from "+a.addr()+" to "+b.addr()+":"), "slots moved")
			g.run("redis-cli", "--cluster", "rebalance", a.addr())
		},
		"sextant": func(g *grid, a, b *process) {
			out := g.run(binary, "cluster", "reshard", a.addr(), "--from", a.id(), "--to", b.id(), "--slots", "1000", "--yes")
			assert.Contains(g.t, out, "[OK] 1000 slots and ")
			out = g.run(binary, "cluster", "rebalance", a.addr(), "--yes")
			assert.Contains(g.t, out, "[OK] ")
			g.settled()
			assert.Contains(g.t, g.run(binary, "cluster", "rebalance", b.addr(), "--yes"), "Nothing to move")
		},
	} {
		t.Run(name, func(t *testing.T) { reshardUnderWrites(t, tool) })
	}
}

func reshardUnderWrites(t *testing.T, tool func(g *grid, a, b *process)) {
	g := newGrid(t, 3, "--cluster-node-timeout", "5000")
	g.formOurs(0)
	data := stanzas(t, 600)
	ctx := context.Background()
	client := g.client()
	for _, s := range data {
		require.NoError(t, client.Set(ctx, s.name, s.text, 0).Err())
	}
	c := countUp(g, 300)
	began := time.Now()
	tool(g, g.nodes[0], g.nodes[1])
	fmt.Printf("  slots there and the cluster even again in %v\n", time.Since(began).Round(time.Millisecond))
	c.end()
	assert.Contains(t, g.run("redis-cli", "--cluster", "check", g.nodes[0].addr()), "[OK] All 16384 slots covered.")
	for _, s := range data {
		v, err := client.Get(ctx, s.name).Result()
		require.NoError(t, err, s.name)
		require.Equal(t, s.text, v)
	}
	g.end()
}

// A reshard that was broken off leaves an open slot with keys on both sides; redis-cli --cluster
// fix finishes it. Meanwhile single keys work through ASK, several through TRYAGAIN.
func TestFixHalfMovedSlot(t *testing.T) {
	g := newGrid(t, 3, "--cluster-node-timeout", "5000")
	g.formOurs(0)
	a, b := g.nodes[0], g.nodes[1]
	for i := range 9 {
		require.Equal(t, "OK", g.redisCLILine(0, fmt.Sprintf("SET {06S}%d v%d", i, i)))
	}
	slot := a.try("CLUSTER", "KEYSLOT", "{06S}0")
	require.Equal(t, "0", slot)
	require.Equal(t, "OK", b.try("CLUSTER", "SETSLOT", slot, "IMPORTING", a.id()))
	require.Equal(t, "OK", a.try("CLUSTER", "SETSLOT", slot, "MIGRATING", b.id()))
	require.Equal(t, "OK", a.try("MIGRATE", "127.0.0.1", b.port, "", 0, 5000, "KEYS", "{06S}0", "{06S}1", "{06S}2", "{06S}3"))
	assert.Equal(t, "NOKEY", a.try("MIGRATE", "127.0.0.1", b.port, "{06S}0", 0, 5000), "not redirected")
	assert.Equal(t, "5", a.try("CLUSTER", "COUNTKEYSINSLOT", slot))
	assert.Equal(t, "4", b.try("CLUSTER", "COUNTKEYSINSLOT", slot))

	ask := "-ASK " + slot + " " + b.addr()
	assert.Equal(t, ask, a.try("GET", "{06S}0"))
	assert.Equal(t, "v5", a.try("GET", "{06S}5"))
	assert.Equal(t, ask, a.try("MGET", "{06S}0", "{06S}1"))
	assert.True(t, strings.HasPrefix(a.try("MGET", "{06S}0", "{06S}5"), "-TRYAGAIN "))
	assert.True(t, strings.HasPrefix(b.try("GET", "{06S}0"), "-MOVED "+slot))
	asking := func(args ...any) string {
		c := b.dial()
		defer c.Close()
		p := c.Pipeline()
		p.Do(context.Background(), "ASKING")
		r := p.Do(context.Background(), args...)
		_, _ = p.Exec(context.Background())
		if r.Err() != nil {
			return "-" + r.Err().Error()
		}
		return fmt.Sprint(r.Val())
	}
	assert.Equal(t, "v0", asking("GET", "{06S}0"))
	assert.True(t, strings.HasPrefix(asking("MGET", "{06S}0", "{06S}5"), "-TRYAGAIN "))
	client := g.client()
	for i := range 9 {
		v, err := client.Get(context.Background(), fmt.Sprintf("{06S}%d", i)).Result()
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("v%d", i), v)
	}

	g.run("redis-cli", "--cluster", "fix", a.addr())
	assert.Contains(t, g.run("redis-cli", "--cluster", "check", a.addr()), "[OK] All 16384 slots covered.")
	assert.Equal(t, "9", a.try("CLUSTER", "COUNTKEYSINSLOT", slot))
	assert.Equal(t, "0", b.try("CLUSTER", "COUNTKEYSINSLOT", slot))
}

// redisCLILine runs one line through redis-cli -c.
func (g *grid) redisCLILine(node int, line string) string {
	return strings.TrimSpace(strings.Join(answers(g.redisCLI(node, line+"\n")), "\n"))
}
