package cluster

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/store/slot"
)

// An activity is one thing that an application does all the time with its client library. It
// checks what it gets back; an error is what the library could not hide from the application.
type activity struct {
	name string
	// smooth: the library follows the slots by itself, so a reshard causes no error at all. What is
	// bound to one connection (WATCH, SSUBSCRIBE) is the application's to begin again.
	smooth bool
	work   func(ctx context.Context) error

	done, failed atomic.Int64
	circled      atomic.Int64 // of failed: sent to and fro until the library gave up
	last         atomic.Value // the last error's text
}

// application runs its activities side by side until the test ends it.
type application struct {
	t          *testing.T
	activities []*activity
	cancel     context.CancelFunc
	wait       sync.WaitGroup
}

// stepLimit is how long one step of an activity may take; what takes longer has failed.
const stepLimit = 15 * time.Second

func runApplication(t *testing.T, activities ...*activity) *application {
	ctx, cancel := context.WithCancel(context.Background())
	a := &application{t: t, activities: activities, cancel: cancel}
	for _, v := range activities {
		a.wait.Add(1)
		go func() {
			defer a.wait.Done()
			for ctx.Err() == nil {
				step, end := context.WithTimeout(ctx, stepLimit)
				err := v.work(step)
				end()
				switch {
				case err == nil:
					v.done.Add(1)
				case ctx.Err() == nil:
					v.failed.Add(1)
					if strings.HasPrefix(err.Error(), "MOVED ") {
						v.circled.Add(1)
					}
					v.last.Store(err.Error())
				}
			}
		}()
	}
	t.Cleanup(a.end)
	return a
}

func (a *application) end() {
	a.cancel()
	a.wait.Wait()
}

// goesOn waits until every activity has done n more steps.
func (a *application) goesOn(when string, n int64) {
	a.t.Helper()
	from := make([]int64, len(a.activities))
	for i, v := range a.activities {
		from[i] = v.done.Load()
	}
	deadline := time.Now().Add(time.Minute)
	for i, v := range a.activities {
		for v.done.Load() < from[i]+n {
			if time.Now().After(deadline) {
				a.t.Fatalf("%s: %s does not go on: %d done, %d failed, at last: %v", when, v.name, v.done.Load(), v.failed.Load(), v.last.Load())
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// undisturbed asserts that no smooth activity has seen an error.
func (a *application) undisturbed(when string) {
	a.t.Helper()
	for _, v := range a.activities {
		fmt.Printf("  %s: %s: %d done, %d failed (%v)\n", when, v.name, v.done.Load(), v.failed.Load(), v.last.Load())
		if v.smooth {
			// Between MOVESLOTSRANGE at the source and the target's hearing of it both point at each other; where the
			// processors are taken by others that may outlast a library's redirects. A known fault: once in a move at most.
			assert.LessOrEqual(a.t, v.circled.Load(), int64(2), "%s: %s: %v", when, v.name, v.last.Load())
			assert.Zero(a.t, v.failed.Load()-v.circled.Load(), "%s: %s: %v", when, v.name, v.last.Load())
		}
	}
}

// lived runs an application through what happens to a cluster: slots leave under it and come
// back, and a primary dies. The first of the tags lies in a slot that moves and in the shard that dies.
func lived(t *testing.T, g *grid, a *application) {
	from, to := g.nodes[0], g.nodes[1]
	a.goesOn("at the beginning", 5)
	for range 2 {
		out := g.run(binary, "cluster", "reshard", from.addr(), "--from", from.id(), "--to", to.id(), "--slots", strconv.Itoa(movedSlots), "--yes")
		require.Contains(t, out, "[OK] "+strconv.Itoa(movedSlots)+" slots and ")
		a.goesOn("after a reshard", 5)
		from, to = to, from
	}
	a.undisturbed("after the slots came back")

	g.settled()
	victim := g.nodes[0]
	heir := g.replicaOf(victim)
	victim.signal(syscall.SIGKILL)
	heir.eventually(30*time.Second, "the replica leads", func() bool { return heir.info("role") == "master" })
	a.goesOn("after a failover", 5)
}

// movedSlots is how many slots the reshard takes: the lowest of the first node's.
const movedSlots = 60

// tags are hash tags in each of three shards; the first one's slot is among those that a reshard takes.
func tags(t *testing.T) (out [3]string) {
	third := slot.Count / 3
	for i := 0; out[0] == "" || out[1] == "" || out[2] == ""; i++ {
		tag := "{" + strconv.Itoa(i) + "}"
		switch n := int(slot.OfString(tag)); {
		case n < movedSlots && out[0] == "":
			out[0] = tag
		case n > third+10 && n < 2*third-10:
			out[1] = tag
		case n > 2*third+10:
			out[2] = tag
		}
	}
	return out
}

const countScript = `local n = redis.call('INCRBY', KEYS[1], ARGV[1]); return {n, redis.call('TYPE', KEYS[1])['ok']}`

// An application on go-redis' cluster client: pipelines, optimistic transactions, channels of
// both kinds, a consumer group, scripts by digest, blocking pops.
func TestGoRedisApplication(t *testing.T) {
	g := newGrid(t, 6, "--cluster-node-timeout", strconv.Itoa(nodeTimeoutMs))
	g.formOurs(1)
	tag := tags(t)
	c := g.client()
	var round atomic.Int64

	var bought atomic.Int64 // transactions that were acknowledged
	buy := func(ctx context.Context) error {
		key := tag[0] + "stock"
		for {
			err := c.Watch(ctx, func(tx *redis.Tx) error {
				n, err := tx.Get(ctx, key).Int64()
				if err != nil && err != redis.Nil {
					return err
				}
				_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
					p.Set(ctx, key, n+1, 0)
					p.RPush(ctx, tag[0]+"orders", n)
					return nil
				})
				return err
			}, key)
			if err != redis.TxFailedErr {
				if err == nil {
					bought.Add(1)
				}
				return err
			}
		}
	}

	ctx := context.Background()
	channel := c.Subscribe(ctx, "news")
	defer channel.Close()
	require.NoError(t, channel.PSubscribe(ctx, "ne?s"))
	for range 2 {
		_, err := channel.Receive(ctx)
		require.NoError(t, err)
	}

	stream := tag[0] + "events"
	require.NoError(t, c.XGroupCreateMkStream(ctx, stream, "readers", "0").Err())
	count := redis.NewScript(countScript)

	a := runApplication(t,
		&activity{name: "pipelines over all shards", smooth: true, work: func(ctx context.Context) error {
			n := round.Add(1)
			set, get := c.Pipeline(), c.Pipeline()
			var values []*redis.StringCmd
			for i := range 30 {
				key := tag[i%3] + "p" + strconv.Itoa(i)
				set.Set(ctx, key, n, time.Hour)
				values = append(values, get.Get(ctx, key))
			}
			if _, err := set.Exec(ctx); err != nil {
				return err
			}
			if _, err := get.Exec(ctx); err != nil {
				return err
			}
			for _, v := range values {
				if v.Val() != strconv.FormatInt(n, 10) {
					return fmt.Errorf("%v, not %d", v, n)
				}
			}
			return nil
		}},
		&activity{name: "a buyer", work: buy},
		&activity{name: "another buyer", work: buy},
		&activity{name: "channel and pattern", work: func(ctx context.Context) error {
			text := strconv.FormatInt(round.Add(1), 10)
			if err := c.Publish(ctx, "news", text).Err(); err != nil {
				return err
			}
			for seen := 0; seen < 2; {
				m, err := channel.ReceiveTimeout(ctx, stepLimit)
				if err != nil {
					return err
				}
				if m, ok := m.(*redis.Message); ok && m.Payload == text {
					seen++
				}
			}
			return nil
		}},
		&activity{name: "shard channel", work: func(ctx context.Context) error {
			sub := c.SSubscribe(ctx, tag[0]+"channel")
			defer sub.Close()
			if _, err := sub.ReceiveTimeout(ctx, stepLimit); err != nil {
				return err
			}
			if err := c.SPublish(ctx, tag[0]+"channel", "x").Err(); err != nil {
				return err
			}
			m, err := sub.ReceiveTimeout(ctx, stepLimit)
			if m, ok := m.(*redis.Message); err == nil && (!ok || m.Payload != "x") {
				return fmt.Errorf("%v", m)
			}
			return err
		}},
		&activity{name: "consumer group", smooth: true, work: func(ctx context.Context) error {
			id, err := c.XAdd(ctx, &redis.XAddArgs{Stream: stream, Values: []string{"a", "1", "b", "2"}}).Result()
			if err != nil {
				return err
			}
			for {
				got, err := c.XReadGroup(ctx, &redis.XReadGroupArgs{Group: "readers", Consumer: "r", Streams: []string{stream, ">"}, Block: time.Second}).Result()
				if err != nil {
					return err
				}
				m := got[0].Messages[0]
				if n, err := c.XAck(ctx, stream, "readers", m.ID).Result(); err != nil || n != 1 {
					return fmt.Errorf("XACK: %d, %v", n, err)
				}
				if m.ID == id {
					return nil
				}
			}
		}},
		&activity{name: "script by digest", smooth: true, work: func(ctx context.Context) error {
			n := round.Add(1)
			if n%5 == 0 { // no node knows it any more: NOSCRIPT, and the library sends it
				if err := c.ScriptFlush(ctx).Err(); err != nil {
					return err
				}
			}
			v, err := count.Run(ctx, c, []string{tag[n%3] + "count"}, 2).Slice()
			if err == nil && (len(v) != 2 || v[1] != "string" || v[0].(int64)%2 != 0) {
				return fmt.Errorf("%v", v)
			}
			return err
		}},
		&activity{name: "blocking pop", smooth: true, work: func(ctx context.Context) error {
			key, text := tag[0]+"queue", strconv.FormatInt(round.Add(1), 10)
			popped := make(chan error, 1)
			go func() {
				for {
					v, err := c.BLPop(ctx, stepLimit, key).Result()
					if err != nil || v[1] == text { // older ones are of a step that failed
						popped <- err
						return
					}
				}
			}()
			if err := c.RPush(ctx, key, text).Err(); err != nil {
				return err
			}
			return <-popped
		}},
	)
	lived(t, g, a)
	a.end()

	// A failover may lose the last acknowledged writes (replication is asynchronous), never many,
	// and never one half of a transaction.
	n, err := c.Get(ctx, tag[0]+"stock").Int64()
	require.NoError(t, err)
	orders, err := c.LLen(ctx, tag[0]+"orders").Result()
	require.NoError(t, err)
	assert.Equal(t, n, orders)
	assert.InDelta(t, bought.Load(), n, float64(bought.Load())/10+20)
}

// The same on rueidis, which speaks RESP3 and caches what it reads until the server says that a
// key has changed.
func TestRueidisApplication(t *testing.T) {
	g := newGrid(t, 6, "--cluster-node-timeout", strconv.Itoa(nodeTimeoutMs))
	g.formOurs(1)
	tag := tags(t)
	c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: g.addrs(), ConnWriteTimeout: stepLimit,
		ClusterOption: rueidis.ClusterOption{ShardsRefreshInterval: 500 * time.Millisecond}})
	require.NoError(t, err)
	defer c.Close()
	other := g.client() // who changes what is cached
	ctx := context.Background()
	var round, hits atomic.Int64

	// One subscription for the application's whole life: the library renews it.
	news := make(chan string, 1000)
	life, end := context.WithCancel(ctx)
	defer end()
	go func() {
		for life.Err() == nil {
			_ = c.Receive(life, c.B().Subscribe().Channel("news").Build(), func(m rueidis.PubSubMessage) {
				select {
				case news <- m.Message:
				default:
				}
			})
		}
	}()

	stream := tag[0] + "events"
	require.NoError(t, c.Do(ctx, c.B().XgroupCreate().Key(stream).Group("readers").Id("0").Mkstream().Build()).Error())
	count := rueidis.NewLuaScript(countScript)

	a := runApplication(t,
		&activity{name: "client-side cache", work: func(ctx context.Context) error {
			n := round.Add(1)
			key, text := tag[n%3]+"cached", strconv.FormatInt(n, 10)
			get := func() (string, error) {
				r := c.DoCache(ctx, c.B().Get().Key(key).Cache(), time.Hour)
				if r.IsCacheHit() {
					hits.Add(1)
				}
				s, err := r.ToString()
				if rueidis.IsRedisNil(err) {
					err = nil
				}
				return s, err
			}
			for range 2 { // the second comes from the cache, unless something was in between
				if _, err := get(); err != nil {
					return err
				}
			}
			if err := other.Set(ctx, key, text, 0).Err(); err != nil {
				return err
			}
			for { // until the server's push has arrived the cache has the old value
				if s, err := get(); err != nil || s == text {
					return err
				}
			}
		}},
		&activity{name: "pipelines over all shards", smooth: true, work: func(ctx context.Context) error {
			text := strconv.FormatInt(round.Add(1), 10)
			var set, get rueidis.Commands
			for i := range 30 {
				key := tag[i%3] + "p" + strconv.Itoa(i)
				set = append(set, c.B().Set().Key(key).Value(text).Ex(time.Hour).Build())
				get = append(get, c.B().Get().Key(key).Build())
			}
			for _, r := range c.DoMulti(ctx, set...) {
				if err := r.Error(); err != nil {
					return err
				}
			}
			for _, r := range c.DoMulti(ctx, get...) {
				if s, err := r.ToString(); err != nil || s != text {
					return fmt.Errorf("%q, not %s: %w", s, text, err)
				}
			}
			return nil
		}},
		&activity{name: "optimistic transaction", work: func(ctx context.Context) error {
			key := tag[0] + "stock"
			return c.Dedicated(func(d rueidis.DedicatedClient) error {
				for {
					if err := d.Do(ctx, d.B().Watch().Key(key).Build()).Error(); err != nil {
						return err
					}
					n, err := d.Do(ctx, d.B().Get().Key(key).Build()).AsInt64()
					if err != nil && !rueidis.IsRedisNil(err) {
						return err
					}
					text := strconv.FormatInt(n+1, 10)
					r := d.DoMulti(ctx, d.B().Multi().Build(), d.B().Set().Key(key).Value(text).Build(), d.B().Exec().Build())
					if err := r[2].Error(); !rueidis.IsRedisNil(err) { // nil: somebody else was first
						return err
					}
				}
			})
		}},
		&activity{name: "channel", work: func(ctx context.Context) error {
			text := strconv.FormatInt(round.Add(1), 10)
			for { // said again until it is heard: the subscription may just be renewed
				if err := c.Do(ctx, c.B().Publish().Channel("news").Message(text).Build()).Error(); err != nil {
					return err
				}
				again := time.After(200 * time.Millisecond)
				for waiting := true; waiting; {
					select {
					case m := <-news:
						if m == text {
							return nil
						}
					case <-again:
						waiting = false
					case <-ctx.Done():
						return ctx.Err()
					}
				}
			}
		}},
		&activity{name: "shard channel", work: func(ctx context.Context) error {
			name := tag[0] + "channel"
			heard := errors.New("heard")
			ctx, end := context.WithCancelCause(ctx)
			defer end(nil)
			go func() {
				for ctx.Err() == nil { // the subscription may be a moment behind
					_ = c.Do(ctx, c.B().Spublish().Channel(name).Message("x").Build()).Error()
				}
			}()
			err := c.Receive(ctx, c.B().Ssubscribe().Channel(name).Build(), func(m rueidis.PubSubMessage) { end(heard) })
			if context.Cause(ctx) == heard {
				return nil
			}
			if err == nil {
				err = errors.New("the subscription ended")
			}
			return err
		}},
		&activity{name: "consumer group", smooth: true, work: func(ctx context.Context) error {
			id, err := c.Do(ctx, c.B().Xadd().Key(stream).Id("*").FieldValue().FieldValue("a", "1").Build()).ToString()
			if err != nil {
				return err
			}
			for {
				got, err := c.Do(ctx, c.B().Xreadgroup().Group("readers", "r").Block(1000).Streams().Key(stream).Id(">").Build()).AsXRead()
				if err != nil {
					return err
				}
				m := got[stream][0]
				if n, err := c.Do(ctx, c.B().Xack().Key(stream).Group("readers").Id(m.ID).Build()).AsInt64(); err != nil || n != 1 {
					return fmt.Errorf("XACK: %d, %w", n, err)
				}
				if m.ID == id {
					return nil
				}
			}
		}},
		&activity{name: "script by digest", smooth: true, work: func(ctx context.Context) error {
			n := round.Add(1)
			if n%5 == 0 {
				for _, node := range c.Nodes() {
					// A replica that is going or a node that has died need not forget it.
					_ = node.Do(ctx, node.B().ScriptFlush().Build()).Error()
				}
			}
			v, err := count.Exec(ctx, c, []string{tag[n%3] + "count"}, []string{"2"}).ToArray()
			if err != nil {
				return err
			}
			if kind, err := v[1].ToString(); err != nil || kind != "string" {
				return fmt.Errorf("%s, %w", kind, err)
			}
			return nil
		}},
		&activity{name: "blocking pop", smooth: true, work: func(ctx context.Context) error {
			key, text := tag[0]+"queue", strconv.FormatInt(round.Add(1), 10)
			popped := make(chan error, 1)
			go func() {
				for {
					v, err := c.Do(ctx, c.B().Blpop().Key(key).Timeout(stepLimit.Seconds()).Build()).AsStrSlice()
					if err != nil || strings.Join(v, " ") == key+" "+text {
						popped <- err
						return
					}
				}
			}()
			if err := c.Do(ctx, c.B().Rpush().Key(key).Element(text).Build()).Error(); err != nil {
				return err
			}
			return <-popped
		}},
	)
	lived(t, g, a)
	a.end()
	assert.Positive(t, hits.Load(), "nothing was ever answered from the cache")
}
