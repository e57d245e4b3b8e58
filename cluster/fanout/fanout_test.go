package fanout

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/bus"
	"github.com/sextantdb/sextant/resp/channel"
)

// net is nodes whose frames travel when the test says so, each connection in order.
type net struct {
	t     *testing.T
	mu    sync.Mutex // guards all below; never held while a Fanout is called
	nodes []*node
	links map[[2]int]*wire // by ends, the lesser first
	next  uint64
}

type wire struct {
	serial uint64
	queues map[int][]bus.Body // by receiver
}

type node struct {
	net *net
	at  int
	f   *Fanout
	r   *channel.Registry
	got []string
}

func id(at int) (id bus.NodeID) { id[0] = byte(at + 1); return id }
func at(id bus.NodeID) int      { return int(id[0]) - 1 }

func newNet(t *testing.T, n int) *net {
	w := &net{t: t, links: map[[2]int]*wire{}}
	for i := range n {
		nd := &node{net: w, at: i}
		nd.f = New(Options{Links: nd, Peers: nd.peers, Deliver: func(c, p []byte, sharded bool) { nd.r.Publish(nil, c, p) }})
		nd.r = channel.New(nd.f)
		w.nodes = append(w.nodes, nd)
	}
	return w
}

func ends(a, b int) [2]int { return [2]int{min(a, b), max(a, b)} }

func (n *node) peers(_ bool, f func(bus.NodeID)) {
	for i := range n.net.nodes {
		if i != n.at {
			f(id(i))
		}
	}
}

// The test's frames are bodies: one byte string stands for each.
var bodies sync.Map

func (n *node) Encode(b bus.Body) []byte {
	key := fmt.Sprintf("%p", b)
	bodies.Store(key, b)
	return []byte(key)
}

func (n *node) send(serial uint64, to bus.NodeID, frame []byte, open bool) bool {
	w := n.net
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.links[ends(n.at, at(to))]
	if l == nil && open {
		w.next++
		l = &wire{serial: w.next, queues: map[int][]bus.Body{}}
		w.links[ends(n.at, at(to))] = l
	}
	if l == nil || !open && l.serial != serial {
		return false
	}
	b, _ := bodies.Load(string(frame))
	l.queues[at(to)] = append(l.queues[at(to)], b.(bus.Body))
	return true
}

func (n *node) Send(to bus.NodeID, frame []byte) bool { return n.send(0, to, frame, true) }
func (n *node) SendOver(serial uint64, to bus.NodeID, frame []byte) bool {
	return n.send(serial, to, frame, false)
}

func (n *node) Standing(to bus.NodeID) uint64 {
	n.net.mu.Lock()
	defer n.net.mu.Unlock()
	if l := n.net.links[ends(n.at, at(to))]; l != nil {
		return l.serial
	}
	return 0
}

func (n *node) Break(serial uint64, to bus.NodeID) {
	if n.Standing(to) == serial {
		n.net.cut(n.at, at(to))
	}
}

func (w *net) cut(a, b int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.links, ends(a, b))
}

// step delivers one frame from a to b, if there is one.
func (w *net) step(a, b int) bool {
	w.mu.Lock()
	l := w.links[ends(a, b)]
	if l == nil || len(l.queues[b]) == 0 {
		w.mu.Unlock()
		return false
	}
	body := l.queues[b][0]
	l.queues[b] = l.queues[b][1:]
	serial := l.serial
	w.mu.Unlock()
	require.True(w.t, w.nodes[b].f.Received(id(a), serial, body))
	return true
}

// flow delivers everything.
func (w *net) flow() {
	for more := true; more; {
		more = false
		for a := range w.nodes {
			for b := range w.nodes {
				more = a != b && w.step(a, b) || more
			}
		}
	}
}

func (n *node) Push(_ any, m *channel.Message) { n.got = append(n.got, string(m.Form(2))) }

// subscribe does what the pub/sub family does, and reports whether the confirmation has gone out.
func (n *node) subscribe(s *channel.Subscriber, k channel.Kind, name string) (confirmed *bool) {
	confirmed = new(bool)
	names := [][]byte{[]byte(name)}
	done := func() {
		s.Join(k, names[0])
		n.f.Release(k, names)
		*confirmed = true
	}
	if await := n.f.Claim(k, names); await != nil {
		await(done)
	} else {
		done()
	}
	return confirmed
}

func TestMessagesGoWhereTheyAreWanted(t *testing.T) {
	w := newNet(t, 3)
	pub, sub, other := w.nodes[0], w.nodes[1], w.nodes[2]
	s := sub.r.NewSubscriber(sub)
	require.True(t, *sub.subscribe(s, channel.Channel, "a"), "nobody has been told anything, so nobody need confirm")

	for range 5 {
		pub.f.Publish([]byte("a"), []byte("x"), false)
		w.flow()
	}
	require.Len(t, sub.got, 5)
	require.EqualValues(t, 1, other.f.Stats.Received.Load(), "the first message tells the publisher that nobody is there")
	require.EqualValues(t, 4, pub.f.Stats.Spared.Load())

	// A new channel is announced before it is confirmed.
	o := other.r.NewSubscriber(other)
	confirmed := other.subscribe(o, channel.Channel, "a")
	require.False(t, *confirmed)
	pub.f.Publish([]byte("a"), []byte("too early"), false)
	w.flow()
	require.True(t, *confirmed)
	require.Empty(t, other.got)
	pub.f.Publish([]byte("a"), []byte("in time"), false)
	w.flow()
	require.Len(t, other.got, 1)

	// A pattern wants everything; when it goes, less is sent again.
	confirmed = other.subscribe(o, channel.Pattern, "*")
	w.flow()
	require.True(t, *confirmed)
	pub.f.Publish([]byte("zzz"), []byte("x"), false)
	w.flow()
	require.Len(t, other.got, 2)
	o.Close()
	other.f.Tidy()
	w.flow()
	before := pub.f.Stats.Spared.Load()
	pub.f.Publish([]byte("a"), []byte("x"), false)
	w.flow()
	require.Equal(t, before+1, pub.f.Stats.Spared.Load())
}

func TestKnowledgeEndsWithItsConnection(t *testing.T) {
	w := newNet(t, 2)
	pub, sub := w.nodes[0], w.nodes[1]
	pub.f.Publish([]byte("a"), []byte("x"), false)
	w.flow()
	pub.f.Publish([]byte("a"), []byte("x"), false)
	require.EqualValues(t, 1, pub.f.Stats.Spared.Load())
	w.cut(0, 1)
	s := sub.r.NewSubscriber(sub)
	require.True(t, *sub.subscribe(s, channel.Channel, "a"), "whoever is not connected need not confirm")
	pub.f.Publish([]byte("a"), []byte("y"), false)
	w.flow()
	require.Len(t, sub.got, 1, "and sends everything again")
}

// A peer that does not answer costs a second, and its connection.
func TestSilentPeer(t *testing.T) {
	w := newNet(t, 2)
	pub, sub := w.nodes[0], w.nodes[1]
	pub.f.Publish([]byte("a"), []byte("x"), false)
	w.flow()
	names := [][]byte{[]byte("a")}
	ready := make(chan struct{})
	began := time.Now()
	sub.f.Claim(channel.Channel, names)(func() { close(ready) })
	<-ready
	require.GreaterOrEqual(t, time.Since(began), ackWait)
	require.EqualValues(t, 1, sub.f.Stats.Unanswered.Load())
	sub.r.NewSubscriber(sub).Join(channel.Channel, names[0])
	pub.f.Publish(names[0], []byte("y"), false)
	w.flow()
	require.Len(t, sub.got, 1)
}

func TestManyBucketsAreEverything(t *testing.T) {
	w := newNet(t, 2)
	pub, sub := w.nodes[0], w.nodes[1]
	pub.f.Publish([]byte("a"), []byte("x"), false)
	w.flow()
	s := sub.r.NewSubscriber(sub)
	for i := range 2 * maxBuckets {
		confirmed := sub.subscribe(s, channel.Channel, fmt.Sprint("channel-", i))
		w.flow()
		require.True(t, *confirmed)
	}
	require.LessOrEqual(t, sub.f.Stats.Waits.Load(), int64(maxBuckets+1))
	for i := range 2 * maxBuckets {
		pub.f.Publish(fmt.Append(nil, "channel-", i), []byte("x"), false)
	}
	w.flow()
	require.Len(t, sub.got, 2*maxBuckets)
}

func TestLongMessages(t *testing.T) {
	w := newNet(t, 2)
	pub, sub := w.nodes[0], w.nodes[1]
	sub.r.NewSubscriber(sub).Join(channel.Pattern, []byte("*"))
	long := bytes.Repeat([]byte("0123456789"), partBytes/4)
	pub.f.Publish([]byte("a"), long, false)
	pub.f.Publish([]byte("a"), []byte("short"), false)
	w.flow()
	require.Len(t, sub.got, 2)
	require.Contains(t, sub.got[0], string(long))
	// A part that is lost loses its message and no other.
	pub.f.Publish([]byte("a"), long, false)
	w.mu.Lock()
	q := w.links[[2]int{0, 1}].queues
	q[1] = append(q[1][:1:1], q[1][2:]...)
	w.mu.Unlock()
	pub.f.Publish([]byte("a"), long, false)
	w.flow()
	require.Len(t, sub.got, 3)
	require.Positive(t, sub.f.Stats.Torn.Load())
	pub.f.Publish([]byte("a"), make([]byte, maxMessage+1), false)
	require.EqualValues(t, 1, pub.f.Stats.Dropped.Load())
}

// Whatever the order in which frames travel, connections break and clients come and go: a message
// that is published when a subscription is confirmed arrives, unless its connection is cut.
func TestConfirmedSubscribersMissNothing(t *testing.T) {
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 7))
		w := newNet(t, 3)
		type client struct {
			n         *node
			s         *channel.Subscriber
			name      string
			k         channel.Kind
			confirmed *bool
		}
		var clients []*client
		owed := map[*node]map[string]bool{} // what must have come, unless a connection was cut since
		for _, n := range w.nodes {
			owed[n] = map[string]bool{}
		}
		for i := range 400 {
			switch rng.IntN(10) {
			case 0, 1:
				if len(clients) > 12 {
					continue
				}
				n := w.nodes[rng.IntN(3)]
				c := &client{n: n, s: n.r.NewSubscriber(n), name: fmt.Sprint("c", rng.IntN(30))}
				if rng.IntN(50) == 0 {
					c.k, c.name = channel.Pattern, "c*"
				}
				c.confirmed = n.subscribe(c.s, c.k, c.name)
				clients = append(clients, c)
			case 2:
				if len(clients) > 0 {
					w.flow() // what was owed to it has come
					if j := rng.IntN(len(clients)); *clients[j].confirmed {
						clients[j].s.Close()
						clients = append(clients[:j], clients[j+1:]...)
					}
				}
			case 3:
				if rng.IntN(5) == 0 {
					w.cut(rng.IntN(3), rng.IntN(3))
					for _, n := range w.nodes {
						clear(owed[n])
					}
				}
				w.nodes[rng.IntN(3)].f.Tidy()
			case 4, 5, 6:
				from, name, payload := w.nodes[rng.IntN(3)], fmt.Sprint("c", rng.IntN(30)), fmt.Sprint("<", i, ">")
				for _, c := range clients {
					if c.n != from && *c.confirmed && (c.k == channel.Pattern || c.name == name) {
						owed[c.n][payload] = true
					}
				}
				from.f.Publish([]byte(name), []byte(payload), false)
				if rng.IntN(2) == 0 {
					w.flow()
				}
			default:
				w.step(rng.IntN(3), rng.IntN(3))
			}
			if rng.IntN(12) == 0 {
				w.flow()
			}
		}
		w.flow()
		for _, n := range w.nodes {
			all := strings.Join(n.got, "")
			for payload := range owed[n] {
				if !strings.Contains(all, payload) {
					t.Fatalf("seed %d: node %d never got %s", seed, n.at, payload)
				}
			}
		}
	}
}
