package cluster

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// A cluster client of a library subscribes wherever it likes; what is published on any node, primary
// or replica, reaches it, and nodes without subscribers are soon left alone.
func TestPublishReachesAllNodes(t *testing.T) {
	g := newGrid(t, 6)
	g.formOurs(1)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	next := func(s *redis.PubSub) string {
		m, err := s.ReceiveMessage(ctx)
		require.NoError(t, err)
		return m.Channel + " " + m.Payload
	}
	c := g.client()
	sub := c.Subscribe(ctx, "news")
	defer sub.Close()
	_, err := sub.Receive(ctx)
	require.NoError(t, err)
	for round := range 3 {
		for i, p := range g.nodes {
			text := fmt.Sprint(round, ".", i)
			p.try("PUBLISH", "news", text)
			require.Equal(t, "news "+text, next(sub))
		}
	}
	spared, sent := 0, 0
	for _, p := range g.nodes {
		n, _ := strconv.Atoi(p.info("cluster_pubsub_spared"))
		m, _ := strconv.Atoi(p.info("cluster_pubsub_sent"))
		spared, sent = spared+n, sent+m
	}
	require.Positive(t, spared, "nodes without subscribers get a first message only")
	require.Less(t, sent, 3*6*5)

	// A channel that nobody has asked for before: confirmed means that everybody sends it.
	late := c.Subscribe(ctx, "late")
	defer late.Close()
	_, err = late.Receive(ctx)
	require.NoError(t, err)
	for i, p := range g.nodes {
		p.try("PUBLISH", "late", i)
		require.Equal(t, "late "+strconv.Itoa(i), next(late))
	}

	shard := c.SSubscribe(ctx, "orders")
	defer shard.Close()
	_, err = shard.Receive(ctx)
	require.NoError(t, err)
	require.NoError(t, c.SPublish(ctx, "orders", "one").Err())
	require.Equal(t, "orders one", next(shard))
}
