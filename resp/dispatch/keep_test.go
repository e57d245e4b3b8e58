package dispatch_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sextantdb/sextant/resp/acl"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/dispatch"
	"github.com/sextantdb/sextant/resp/server"
	"github.com/sextantdb/sextant/store"
	"github.com/stretchr/testify/require"
)

// What a flush leaves behind is freed in slices between rounds, and when there are no rounds, at the ticks. On this
// test's clock a step takes 0.1 ms, so a slice is three steps; with nothing but a slice a tick it would take nine seconds.
func TestFlushedDataIsFreedWithoutTraffic(t *testing.T) {
	s, err := store.New(store.Options{})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	table, err := command.New(nil)
	require.NoError(t, err)
	var now atomic.Int64
	clock := func() int64 { return now.Add(100e3) }
	d := dispatch.New(dispatch.Options{Table: table, Store: s, ACL: acl.NewList(), Clock: clock, Loops: 1})

	const keys = 100_000
	var x store.Txn
	x.BeginAll(s, 1)
	for i := range keys {
		key := fmt.Appendf(nil, "%d", i)
		x.SetString(key, key, store.NoExpire)
	}
	x.FlushAll()
	x.End()
	garbage := func() int64 {
		var x store.Txn
		x.BeginAll(s, 1)
		defer x.End()
		return x.MemStats().Garbage
	}
	require.Positive(t, garbage())

	set := server.DefaultSettings()
	set.Hz = 10
	srv, err := server.New(server.Options{Bind: []string{"127.0.0.1"}, Port: -1, Loops: 1, Settings: set}, d)
	require.NoError(t, err)
	srv.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = srv.Stop(ctx)
	})
	require.Eventually(t, func() bool { return garbage() == 0 }, 5*time.Second, 10*time.Millisecond)
}
