package tracking_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp/tracking"
)

type cacher struct {
	state  tracking.State
	proto  int
	public bool
	broken bool
	mu     sync.Mutex
	got    []string // guarded by mu
}

func (c *cacher) Tracks() tracking.State { return c.state }
func (c *cacher) Subscribed() bool       { return c.public }
func (c *cacher) Broken()                { c.broken = true }
func (c *cacher) Invalidate(_ any, m *tracking.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b := m.Form(c.proto); b != nil {
		c.got = append(c.got, strings.ReplaceAll(string(b), "\r\n", " "))
	}
}

func (c *cacher) take() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := strings.Join(c.got, "| ")
	c.got = nil
	return all
}

func on() *cacher { return &cacher{state: tracking.State{On: true}, proto: 3} }

// invalidate is what dispatch does about a change.
func invalidate(t *tracking.Table, key []byte, by *tracking.Client) {
	if r := t.Changed(key, by); r != nil {
		t.Tell(nil, key, r, by)
	}
}

func TestRedirection(t *testing.T) {
	others := map[int64]*cacher{}
	table := tracking.New(func(id int64) tracking.Receiver {
		if c := others[id]; c != nil {
			return c
		}
		return nil
	})
	c := on()
	c.state.Redirect = 7
	client := tracking.NewClient(c)
	k := []byte("k")
	read := func() string {
		table.Remember(nil, client, k)
		invalidate(table, k, nil)
		if o := others[7]; o != nil {
			return o.take()
		}
		return c.take()
	}
	require.Equal(t, ">2 $21 tracking-redir-broken :7 ", read())
	require.True(t, c.broken)
	others[7] = &cacher{proto: 2}
	require.Empty(t, read(), "a RESP2 client without subscriptions cannot be told")
	others[7].public = true
	require.Equal(t, "*3 $7 message $20 __redis__:invalidate *1 $1 k ", read())
	table.Flushed(nil, func() []*tracking.Client { return []*tracking.Client{client} })
	require.Equal(t, "*3 $7 message $20 __redis__:invalidate $-1 ", others[7].take())
	others[7].proto = 3
	require.Equal(t, ">2 $10 invalidate *1 $1 k ", read())
	table.Flushed(nil, func() []*tracking.Client { return []*tracking.Client{client} })
	require.Equal(t, ">2 $10 invalidate _ ", others[7].take())
}

func TestNoLoopAndTheGone(t *testing.T) {
	table := tracking.New(nil)
	c, gone := on(), on()
	c.state.NoLoop = true
	client, dead := tracking.NewClient(c), tracking.NewClient(gone)
	k := []byte("k")
	table.Remember(nil, client, k)
	table.Remember(nil, dead, k)
	table.Remember(nil, dead, k)
	require.EqualValues(t, 1, table.Keys())
	require.EqualValues(t, 2, table.Items())
	dead.Close()
	invalidate(table, k, client)
	require.Empty(t, c.take()+gone.take())
	require.Zero(t, table.Keys()+table.Items())

	// A key that many clients read that are gone does not keep them all.
	for range 10000 {
		d := tracking.NewClient(on())
		table.Remember(nil, d, k)
		d.Close()
	}
	require.Less(t, table.Items(), int64(200))
}

func TestBroadcast(t *testing.T) {
	table := tracking.New(nil)
	a, quiet := on(), on()
	a.state.Broadcast, quiet.state.Broadcast, quiet.state.NoLoop = true, true, true
	ca, cq := tracking.NewClient(a), tracking.NewClient(quiet)
	table.Enter()
	table.Enter()
	table.Join(ca, "a:")
	table.Join(cq, "")
	table.Join(ca, "a:")
	require.EqualValues(t, 2, table.Prefixes())
	require.Equal(t, cq.Bytes()+2, ca.Bytes(), "a prefix named twice counts once")
	invalidate(table, []byte("a:2"), nil)
	invalidate(table, []byte("a:1"), cq)
	invalidate(table, []byte("b:1"), cq)
	invalidate(table, []byte("own"), cq)
	invalidate(table, []byte("own"), nil) // and then it expired
	require.Empty(t, a.take())
	table.Flush(nil)
	require.Equal(t, ">2 $10 invalidate *2 $3 a:1 $3 a:2 ", a.take())
	require.Equal(t, ">2 $10 invalidate *2 $3 a:2 $3 own ", quiet.take())
	table.Flush(nil)
	require.Empty(t, a.take())
	table.Exit(ca)
	table.Exit(cq)
	require.Zero(t, ca.Bytes())
	require.Zero(t, table.Prefixes())
	require.False(t, table.Active())
}

func TestBound(t *testing.T) {
	table := tracking.New(nil)
	table.SetMax(100)
	c := on()
	client := tracking.NewClient(c)
	for i := range 1000 {
		table.Remember(nil, client, fmt.Append(nil, i))
		require.LessOrEqual(t, table.Keys(), int64(100))
	}
	require.Len(t, c.got, 900, "whoever is forgotten is told")
	table.SetMax(1)
	rounds := 0
	for ; table.Keys() > 1; rounds++ {
		table.Trim(nil)
	}
	require.Equal(t, 1, rounds)
	require.Len(t, c.got, 999)
}

// Readers, writers and clients that come and go at once: whoever read a key before it changed for
// the last time is told so.
func TestNobodyIsForgotten(t *testing.T) {
	table := tracking.New(nil)
	var mu [4]sync.Mutex // stands for the stripes of the keys
	var values [4]int
	var stop atomic.Bool
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			for i := range 2000 {
				k := i % 4
				mu[k].Lock()
				values[k]++
				mu[k].Unlock()
				invalidate(table, fmt.Append(nil, k), nil)
				table.Flush(nil)
			}
			stop.Store(true)
		})
	}
	for range 4 {
		all.Go(func() {
			for !stop.Load() {
				c := on()
				client := tracking.NewClient(c)
				table.Enter()
				var seen [4]int
				for k := range 4 {
					mu[k].Lock()
					table.Remember(nil, client, fmt.Append(nil, k))
					seen[k] = values[k]
					mu[k].Unlock()
				}
				// Under the locks of all keys nothing changes: what was changed since must be told,
				// but for a change whose telling is under way.
				for k := range 4 {
					invalidate(table, fmt.Append(nil, k), nil)
				}
				got := c.take()
				for k := range 4 {
					if !strings.Contains(got, fmt.Sprintf("$1 %d ", k)) {
						// Another writer took the note and tells just now.
						for !strings.Contains(got, fmt.Sprintf("$1 %d ", k)) {
							got += c.take()
						}
					}
				}
				table.Exit(client)
				client.Close()
			}
		})
	}
	all.Wait()
}

// The last client that tracks goes, and its keys with it, while another comes: what that one has read stays.
func TestWhoComesAsTheLastGoesIsNotForgotten(t *testing.T) {
	table := tracking.New(nil)
	for range 200 {
		old, fresh := tracking.NewClient(on()), tracking.NewClient(on())
		table.Enter()
		for i := range 500 {
			table.Remember(nil, old, fmt.Append(nil, i))
		}
		gone := make(chan struct{})
		go func() {
			table.Exit(old)
			close(gone)
		}()
		for table.Clients() > 0 {
			runtime.Gosched()
		}
		table.Enter()
		for i := range 500 {
			table.Remember(nil, fresh, fmt.Append(nil, "new", i))
		}
		<-gone
		for i := range 500 {
			require.NotNil(t, table.Changed(fmt.Append(nil, "new", i), nil))
		}
		table.Exit(fresh)
	}
}
