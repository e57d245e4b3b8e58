package server

import (
	"context"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestServeToy serves the toy handler for measurements until it gets SIGTERM:
//
//	go test -c -o /tmp/toy.test ./resp/server
//	perf --server 'redis=redis-server --port {port} --dir {dir} --save "" --appendonly no' \
//	     --server 'toy=env TOY_PORT={port} /tmp/toy.test -test.run TestServeToy -test.timeout 0'
func TestServeToy(t *testing.T) {
	port, err := strconv.Atoi(os.Getenv("TOY_PORT"))
	if err != nil {
		t.Skip("TOY_PORT is not set")
	}
	opts := Options{Bind: []string{"127.0.0.1"}, Port: port, Settings: DefaultSettings()}
	s, err := New(opts, newToy())
	require.NoError(t, err)
	require.NoError(t, s.Listen())
	s.Start()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	<-stop
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	s.Stop(ctx)
	t.Logf("rounds %d, reads %d, writes %d", s.Stats.Rounds.Load(), s.Stats.Reads.Load(), s.Stats.Writes.Load())
}
