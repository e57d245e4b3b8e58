package repl

import (
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp"
)

// shippingEngine is a primary whose appenders call Ship, with one online replica, and that one's end of the connection.
func shippingEngine(t *testing.T) (*Engine, net.Conn) {
	t.Helper()
	e, err := New(Deps{Listen: func(Event) {}, Rand: rand.Reader, Now: wallMs, Apply: nothing{}, Shipped: true}, DefaultOptions())
	require.NoError(t, err)
	e.Stream.keep("")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	theirs, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	ours, err := l.Accept()
	require.NoError(t, err)
	h, end := e.Stream.History()
	c, _, why := e.Stream.resume(h.ID, end, end+1)
	require.Empty(t, why)
	e.admit(ours, nil, nil, handshake{}, false, c, "")
	t.Cleanup(func() { theirs.Close(); e.Close() })
	return e, theirs
}

// Several loops append and ship at the same time, to a replica that does not read at first: its socket fills, its
// goroutine takes over and gives the work back, and every byte arrives once, in order, without anybody shipping again.
func TestEveryByteIsShippedOnceInOrder(t *testing.T) {
	e, theirs := shippingEngine(t)
	const loops, each = 4, 3000
	filler := string(make([]byte, 1000))
	var running sync.WaitGroup
	appended := make(chan struct{})
	for w := range loops {
		running.Add(1)
		go func() {
			defer running.Done()
			for i := range each {
				if i == each/2 {
					<-appended // a quiet moment: some find the replica idle again
				}
				e.Stream.Append(effects(0, []string{"SET", fmt.Sprint("k", w), fmt.Sprint(i), filler}))
				e.Ship(int64(i), i%3 > 0)
			}
			e.Ship(0, true)
		}()
	}
	require.NoError(t, theirs.SetReadDeadline(time.Now().Add(time.Minute)))
	next := map[string]int{}
	var p resp.Parser
	var buf []byte
	chunk := make([]byte, 100<<10)
	for got, woken := 0, false; got < loops*each; {
		n, err := theirs.Read(chunk)
		require.NoError(t, err, "%d of %d commands came", got, loops*each)
		buf = append(buf, chunk[:n]...)
		for {
			args, n, bad := p.Next(buf, nil, resp.Limits{MaxBulk: 1 << 20})
			require.Empty(t, bad)
			if n == 0 {
				break
			}
			buf = buf[n:]
			if string(args[0]) != "SET" {
				continue
			}
			key := string(args[1])
			require.Equal(t, fmt.Sprint(next[key]), string(args[2]), key)
			next[key]++
			got++
		}
		if !woken && got > loops*each/4 {
			woken = true
			close(appended)
		}
	}
	running.Wait()
}

// A replica that ends while loops ship to it is closed, and nobody is left holding its place in the stream.
func TestAReplicaMayEndWhileItIsSentTo(t *testing.T) {
	for range 20 {
		e, theirs := shippingEngine(t)
		var running sync.WaitGroup
		for range 3 {
			running.Add(1)
			go func() {
				defer running.Done()
				for range 300 {
					e.Stream.Append(effects(0, []string{"SET", "k", string(make([]byte, 1000))}))
					e.Ship(0, true)
				}
			}()
		}
		go io.CopyN(io.Discard, theirs, 50_000)
		e.dropAll("")
		running.Wait()
		require.Eventually(t, func() bool {
			e.Stream.mu.Lock()
			defer e.Stream.mu.Unlock()
			return len(e.Stream.cursors) == 0
		}, time.Minute, time.Millisecond)
		theirs.Close()
		e.Close()
	}
}

// A loop that has more to do lets bytes gather, but neither many nor long; before it sleeps it sends what there is.
func TestWhenBytesAreDue(t *testing.T) {
	var r Replica
	require.False(t, r.due(5, 0, true), "there is nothing")
	require.False(t, r.due(5, 100, false))
	require.False(t, r.due(5+shipAfter-1, 200, false))
	require.True(t, r.due(5+shipAfter, 200, false), "the first has waited long enough")
	require.False(t, r.due(6+shipAfter, 200, false), "the time counts anew")
	require.True(t, r.due(7+shipAfter, shipBytes, false), "they are many")
	require.True(t, r.due(0, 1, true), "nobody will come again soon")
}
