package link

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"math/big"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sextantdb/sextant/bus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// recorder is an Owner that writes down what it is told.
type recorder struct {
	mu     sync.Mutex
	log    []string
	frames map[bus.NodeID][]string
	up     map[bus.NodeID]Peer
	events []Event
	block  chan struct{} // not nil: Frame waits for it
}

func newRecorder() *recorder {
	return &recorder{frames: map[bus.NodeID][]string{}, up: map[bus.NodeID]Peer{}}
}

func (r *recorder) Frame(from Peer, _ Purpose, frame []byte) {
	if r.block != nil {
		<-r.block
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.frames[from.ID] = append(r.frames[from.ID], string(frame))
}

func (r *recorder) LinkUp(p Peer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = append(r.log, "up "+p.ID.Short())
	r.up[p.ID] = p
}

func (r *recorder) LinkDown(p Peer, why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = append(r.log, "down "+p.ID.Short())
	delete(r.up, p.ID)
}

func (r *recorder) event(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

func (r *recorder) told(reason Reason) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, e := range r.events {
		if e.Kind == Rejected && e.Reason == reason {
			n++
		}
	}
	return n
}

func (r *recorder) got(from bus.NodeID) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.frames[from]...)
}

func (r *recorder) peer(id bus.NodeID) (Peer, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, ok := r.up[id]
	return p, ok
}

func (r *recorder) history() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.log...)
}

type testNode struct {
	*Net
	*recorder
	id   bus.NodeID
	addr string
}

func nodeID(n byte) bus.NodeID { return bus.NodeID{n, n, n} }

var testSecret = []byte("a secret of more than 16 bytes")

// start makes a node that listens on a real socket.
func start(t testing.TB, n byte, change func(*Options)) *testNode {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return startOn(t, n, l, change)
}

func startOn(t testing.TB, n byte, l net.Listener, change func(*Options)) *testNode {
	t.Helper()
	r := newRecorder()
	opts := Options{
		Self: Identity{ID: nodeID(n), Cluster: 7}, Auth: AuthHMAC, Secret: testSecret, Owner: r, Events: r.event, Seed: uint64(n),
		HandshakeTimeout: time.Second, Heartbeat: 50 * time.Millisecond, DeadAfter: 5 * time.Second,
		RedialMin: 5 * time.Millisecond, RedialMax: 50 * time.Millisecond,
	}
	if change != nil {
		change(&opts)
	}
	nn, err := New(opts)
	require.NoError(t, err)
	nn.Serve(l)
	t.Cleanup(nn.Close)
	return &testNode{Net: nn, recorder: r, id: nodeID(n), addr: l.Addr().String()}
}

func (a *testNode) target() Target { return Target{ID: a.id, Addrs: []string{a.addr}} }

func soon(t testing.TB, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, time.Minute, 2*time.Millisecond, what)
}

func linked(t testing.TB, a, b *testNode) {
	t.Helper()
	soon(t, "link up", func() bool {
		_, up := a.peer(b.id)
		_, up2 := b.peer(a.id)
		return up && up2
	})
}

func TestFramesBothWays(t *testing.T) {
	for _, auth := range []Auth{AuthHMAC, AuthNone, AuthTLS} {
		t.Run(auth.String(), func(t *testing.T) {
			cfg := testTLS(t)
			set := func(o *Options) { o.Auth, o.TLS = auth, cfg }
			a, b := start(t, 1, set), start(t, 2, set)
			a.SetPeers([]Target{b.target()})
			linked(t, a, b)
			p, _ := a.peer(b.id)
			require.Equal(t, b.addr, p.Target)
			require.Equal(t, "127.0.0.1", p.LocalIP)
			require.EqualValues(t, 7, p.Cluster)
			require.True(t, p.Dialed)
			p, _ = b.peer(a.id)
			require.Equal(t, "127.0.0.1", p.IP)
			require.False(t, p.Dialed)

			big := bytes.Repeat([]byte("x"), bus.MaxFrame)
			require.True(t, a.Send(b.id, Control, []byte("hello")))
			require.True(t, a.Send(b.id, Bulk, big))
			require.True(t, b.Send(a.id, Control, []byte("there")))
			soon(t, "frames", func() bool { return len(b.got(a.id)) == 2 && len(a.got(b.id)) == 1 })
			require.ElementsMatch(t, []string{"hello", string(big)}, b.got(a.id))
			require.Equal(t, []string{"there"}, a.got(b.id))
			require.False(t, a.Send(nodeID(9), Control, []byte("nobody")))
			require.EqualValues(t, 1, a.Stats.Dropped[Control].Load())
			require.Zero(t, a.OverLimit(), "no connection is no full buffer")
			links := a.Links()
			require.Len(t, links, 1)
			require.Equal(t, b.id, links[0].ID)
			require.NotZero(t, links[0].CreatedMs)
		})
	}
}

func TestMemoryNetwork(t *testing.T) {
	m := NewMemory()
	node := func(n byte) *testNode {
		addr := fmt.Sprintf("host%d:1", n)
		l, err := m.Listen(addr)
		require.NoError(t, err)
		return startOn(t, n, l, func(o *Options) { o.Dial = m.Dialer(fmt.Sprintf("host%d", n)) })
	}
	a, b := node(1), node(2)
	a.SetPeers([]Target{b.target()})
	b.SetPeers([]Target{a.target()})
	linked(t, a, b)
	a.Send(b.id, Control, []byte("x"))
	soon(t, "frame", func() bool { return len(b.got(a.id)) == 1 })
	p, _ := b.peer(a.id)
	require.Contains(t, []string{"host1"}, p.IP)
}

// Both dial each other, again and again: always one link, and the Owner sees up and down in turn.
func TestSimultaneousDials(t *testing.T) {
	a, b := start(t, 1, nil), start(t, 2, nil)
	for range 20 {
		a.SetPeers([]Target{b.target()})
		b.SetPeers([]Target{a.target()})
		linked(t, a, b)
		soon(t, "one link", func() bool { return len(a.Links()) == 1 && len(b.Links()) == 1 })
		if c := a.Net.standing(b.id, ForControl); c != nil {
			c.close(io.ErrClosedPipe)
		}
	}
	a.Close()
	b.Close()
	for _, n := range []*testNode{a, b} {
		for i, line := range n.history() {
			require.Equal(t, [2]string{"up", "down"}[i%2], line[:len(line)-9], "%v", n.history())
		}
	}
}

func TestMeetLearnsWhoAnswers(t *testing.T) {
	a, b := start(t, 1, nil), start(t, 2, func(o *Options) { o.Self.Cluster = 99 })
	a.SetPeers([]Target{{Addrs: []string{b.addr}}})
	linked(t, a, b)
	p, _ := a.peer(b.id)
	require.Equal(t, b.addr, p.Target)
	require.EqualValues(t, 99, p.Cluster)
	require.True(t, a.SendAddr(b.addr, Control, []byte("meet")))
	soon(t, "frame", func() bool { return len(b.got(a.id)) == 1 })

	// The address becomes a pinned peer: the connection stays.
	a.SetPeers([]Target{b.target()})
	require.True(t, a.Send(b.id, Control, []byte("again")))
	soon(t, "frame", func() bool { return len(b.got(a.id)) == 2 })
	require.Equal(t, []string{"up " + b.id.Short()}, a.history())

	// Forgotten: the connection that was dialed to it is closed.
	a.SetPeers(nil)
	soon(t, "down", func() bool { _, up := b.peer(a.id); return !up })
}

func TestDialIsPinnedToTheNode(t *testing.T) {
	a, b := start(t, 1, nil), start(t, 2, nil)
	a.SetPeers([]Target{{ID: nodeID(3), Addrs: []string{b.addr}}}) // the address is node 2's now
	soon(t, "refused", func() bool { return a.Stats.Rejects[NotExpected].Load() > 2 })
	require.Empty(t, a.Links())
	require.Empty(t, b.Links())
	require.Equal(t, 1, a.told(NotExpected), "told once, however often it happens")
	require.Equal(t, 1, b.told(NotExpected))

	a.SetPeers([]Target{{ID: a.id, Addrs: []string{a.addr}}, {Addrs: []string{a.addr}}})
	soon(t, "does not talk to itself", func() bool { return a.Stats.Rejects[Myself].Load() > 0 })
	require.Empty(t, a.Links())
}

// H18: all addresses change at once; one good address of one peer is enough to be found again.
func TestPeersAreAcceptedFromAnyAddress(t *testing.T) {
	a, b := start(t, 1, nil), start(t, 2, nil)
	a.SetPeers([]Target{{ID: b.id, Addrs: []string{"127.0.0.1:1"}}}) // wrong by now
	b.SetPeers([]Target{a.target()})
	linked(t, a, b)
	require.True(t, a.Send(b.id, Control, []byte("x")))
	soon(t, "frame", func() bool { return len(b.got(a.id)) == 1 })
}

func TestAddressesAreTriedInOrderAndMayChange(t *testing.T) {
	a, b := start(t, 1, nil), start(t, 2, nil)
	a.SetPeers([]Target{{ID: b.id, Addrs: []string{"127.0.0.1:1", b.addr}}})
	linked(t, a, b)
	c := start(t, 3, nil)
	a.SetPeers([]Target{{ID: c.id, Addrs: []string{"127.0.0.1:1"}}})
	soon(t, "fails", func() bool { return a.Stats.DialFails.Load() > 3 })
	a.SetPeers([]Target{c.target()})
	linked(t, a, c)
}

func TestStrangersAreRefused(t *testing.T) {
	b := start(t, 2, nil)
	wrong := start(t, 3, func(o *Options) { o.Secret = []byte("another secret, as long as ours") })
	wrong.SetPeers([]Target{b.target()})
	soon(t, "wrong secret", func() bool { return wrong.Stats.Rejects[BadProof].Load() > 2 })
	require.Equal(t, 1, wrong.told(BadProof))

	open := start(t, 4, func(o *Options) { o.Auth = AuthNone })
	open.SetPeers([]Target{b.target()})
	soon(t, "no authentication", func() bool { return b.Stats.Rejects[WrongAuth].Load() > 2 && open.Stats.Rejects[WrongAuth].Load() > 2 })
	require.Equal(t, 1, b.told(WrongAuth))
	require.Equal(t, Unauthenticated, open.events[0].Kind)
	require.Empty(t, b.Links())
	require.Empty(t, b.history())
}

// An acceptor that does not know the secret itself must not learn a proof it could use, nor be believed.
func TestDialerProvesNothingToAnImpostor(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	a := start(t, 1, nil)
	a.SetPeers([]Target{{ID: nodeID(2), Addrs: []string{l.Addr().String()}}})
	nc, err := l.Accept()
	require.NoError(t, err)
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(5 * time.Second))
	var h hello
	_, err = io.ReadFull(nc, h[:])
	require.NoError(t, err)
	var ans answer
	putHead(ans[:], 0, AuthHMAC, Identity{ID: nodeID(2), Cluster: 7})
	nc.Write(ans[:])
	rest, _ := io.ReadAll(nc)
	require.Empty(t, rest)
	soon(t, "counted", func() bool { return a.Stats.Rejects[BadProof].Load() == 1 })
}

func dialRaw(t testing.TB, addr string) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	return nc
}

// shake is a hand-made dialer that follows the protocol.
func shake(t testing.TB, n *testNode, id byte) (net.Conn, keys) {
	nc := dialRaw(t, n.addr)
	var h hello
	putHead(h[:], byte(ForControl), AuthHMAC, Identity{ID: nodeID(id), Cluster: 7})
	crand.Read(h.nonce())
	nc.Write(h[:])
	var a answer
	_, err := io.ReadFull(nc, a[:])
	require.NoError(t, err)
	k := n.keysFor(&h, &a)
	require.Equal(t, k.proof("acceptor"), a.proof())
	nc.Write(k.proof("dialer"))
	var welcome [1]byte
	_, err = io.ReadFull(nc, welcome[:])
	require.NoError(t, err)
	require.EqualValues(t, accepted, welcome[0])
	return nc, k
}

func handFrame(k keys, count uint64, payload []byte) []byte {
	var sum [32]byte
	out := binary.BigEndian.AppendUint32(nil, uint32(len(payload)))
	out = append(out, payload...)
	return append(out, frameMAC(k.frames("dialer"), count, payload, sum[:0])...)
}

func TestHandMadeDialer(t *testing.T) {
	b := start(t, 2, nil)
	nc, k := shake(t, b, 9)
	nc.Write(handFrame(k, 0, []byte("one")))
	nc.Write(handFrame(k, 1, []byte("two")))
	soon(t, "frames", func() bool { return len(b.got(nodeID(9))) == 2 })
}

func TestReplays(t *testing.T) {
	b := start(t, 2, nil)
	// A frame sent twice.
	nc, k := shake(t, b, 9)
	one := handFrame(k, 0, []byte("one"))
	nc.Write(one)
	nc.Write(one)
	soon(t, "refused", func() bool { return b.Stats.Rejects[BadFrame].Load() == 1 })
	require.Equal(t, []string{"one"}, b.got(nodeID(9)))

	// A frame of an earlier connection.
	nc, _ = shake(t, b, 9)
	nc.Write(one)
	soon(t, "refused", func() bool { return b.Stats.Rejects[BadFrame].Load() == 2 })

	// A frame sent back to its sender.
	nc, _ = shake(t, b, 9)
	beat := make([]byte, lengthLen+macLen)
	_, err := io.ReadFull(nc, beat)
	require.NoError(t, err)
	nc.Write(beat)
	soon(t, "refused", func() bool { return b.Stats.Rejects[BadFrame].Load() == 3 })

	// A whole recorded handshake: the acceptor's nonce is another.
	nc = dialRaw(t, b.addr)
	var h hello
	putHead(h[:], 0, AuthHMAC, Identity{ID: nodeID(9), Cluster: 7})
	nc.Write(h[:])
	var a answer
	io.ReadFull(nc, a[:])
	proof := b.keysFor(&h, &a).proof("dialer")
	nc.Close()
	nc = dialRaw(t, b.addr)
	nc.Write(h[:])
	io.ReadFull(nc, a[:])
	nc.Write(proof)
	soon(t, "refused", func() bool { return b.Stats.Rejects[BadProof].Load() == 1 })

	// The acceptor's own proof, reflected.
	nc = dialRaw(t, b.addr)
	nc.Write(h[:])
	io.ReadFull(nc, a[:])
	nc.Write(a.proof())
	soon(t, "refused", func() bool { return b.Stats.Rejects[BadProof].Load() == 2 })
	soon(t, "no link left", func() bool { return len(b.Links()) == 0 })
}

func TestOversizedFrameIsNotRead(t *testing.T) {
	b := start(t, 2, nil)
	nc, _ := shake(t, b, 9)
	nc.Write(binary.BigEndian.AppendUint32(nil, bus.MaxFrame+1))
	soon(t, "refused", func() bool { return b.Stats.Rejects[BadFrame].Load() == 1 && len(b.Links()) == 0 })
	require.Panics(t, func() { b.Send(nodeID(9), Control, make([]byte, bus.MaxFrame+1)) })
}

func TestWrongVersionIsAnsweredAndTold(t *testing.T) {
	b := start(t, 2, nil)
	for range 3 {
		nc := dialRaw(t, b.addr)
		var h hello
		putHead(h[:], 0, AuthHMAC, Identity{ID: nodeID(9), Cluster: 7})
		h[4] = handshakeVersion + 1
		nc.Write(h[:])
		var a answer
		_, err := io.ReadFull(nc, a[:])
		require.NoError(t, err)
		require.Equal(t, WrongVersion, a.status())
		require.EqualValues(t, handshakeVersion, a[4])
		n, err := nc.Read(a[:])
		require.Zero(t, n)
		require.Equal(t, io.EOF, err)
	}
	soon(t, "counted", func() bool { return b.Stats.Rejects[WrongVersion].Load() == 3 })
	require.Equal(t, 1, b.told(WrongVersion))
}

func TestRubbishAndSilence(t *testing.T) {
	b := start(t, 2, func(o *Options) { o.HandshakeTimeout = 100 * time.Millisecond; o.MaxHandshakes = 8 })
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		nc := dialRaw(t, b.addr)
		junk := make([]byte, rng.IntN(300))
		for i := range junk {
			junk[i] = byte(rng.Uint32())
		}
		if rng.IntN(2) == 0 {
			putHead(append(junk[:0], make([]byte, 200)...), byte(rng.IntN(3)), AuthHMAC, Identity{ID: nodeID(9)})
			copy(junk, magic[:])
		}
		nc.Write(junk)
		nc.Close()
	}
	nc := dialRaw(t, b.addr)
	io.WriteString(nc, "GET / HTTP/1.1\r\n")
	_, err := nc.Read(make([]byte, 1))
	require.Error(t, err)
	for range 20 { // more than MaxHandshakes who say nothing
		dialRaw(t, b.addr)
	}
	soon(t, "given up", func() bool {
		return b.Stats.Rejects[Silent].Load() > 0 && b.Stats.Rejects[Busy].Load() > 0 && b.Stats.Rejects[Rubbish].Load() > 0
	})
	require.Empty(t, b.history())
	a := start(t, 1, nil)
	a.SetPeers([]Target{b.target()})
	linked(t, a, b)
}

// The far end is there, accepts, and never says anything again: as after a pulled cable or a SIGSTOP.
func TestHalfOpenPeerIsGivenUp(t *testing.T) {
	quick := func(o *Options) { o.DeadAfter = 150 * time.Millisecond; o.Heartbeat = 30 * time.Millisecond }
	b := start(t, 2, quick)
	nc, _ := shake(t, b, 9)
	defer nc.Close()
	soon(t, "up", func() bool { return len(b.history()) == 1 })
	soon(t, "down", func() bool { return len(b.history()) == 2 })

	// A living one with nothing to say stays. (Its heartbeats may be late by more than a second here.)
	patient := func(o *Options) { o.DeadAfter = 1500 * time.Millisecond; o.Heartbeat = 30 * time.Millisecond }
	a, c := start(t, 1, patient), start(t, 3, patient)
	a.SetPeers([]Target{c.target()})
	linked(t, a, c)
	time.Sleep(2 * time.Second)
	require.Equal(t, []string{"up " + c.id.Short()}, a.history())
}

// Times that are changed hold for connections that stand: the far end is silent, and would have been
// waited for long.
func TestSetTimes(t *testing.T) {
	b := start(t, 2, func(o *Options) { o.DeadAfter, o.Heartbeat = time.Hour, time.Hour })
	nc, _ := shake(t, b, 9)
	defer nc.Close()
	a := start(t, 1, func(o *Options) { o.DeadAfter, o.Heartbeat = time.Hour, time.Hour })
	a.SetPeers([]Target{b.target()})
	linked(t, a, b)
	soon(t, "up", func() bool { return len(b.history()) == 2 })
	a.SetTimes(30*time.Millisecond, 1500*time.Millisecond)
	b.SetTimes(30*time.Millisecond, 1500*time.Millisecond)
	soon(t, "the silent one down", func() bool { return len(b.history()) == 3 })
	time.Sleep(500 * time.Millisecond) // the other one's heartbeats have changed as well
	require.Equal(t, []string{"up " + b.id.Short()}, a.history())
}

func TestBudgets(t *testing.T) {
	b := start(t, 2, nil)
	b.block = make(chan struct{})
	unblock := sync.OnceFunc(func() { close(b.block) })
	defer unblock()
	a := start(t, 1, func(o *Options) {
		o.Budget = [numChannels]int{64 << 10, 128 << 10, 256 << 10}
		o.DeadAfter = 10 * time.Second
	})
	a.SetPeers([]Target{b.target()})
	linked(t, a, b)
	frame := make([]byte, 10<<10)
	sent := 0
	soon(t, "full", func() bool { // b reads nothing: its sockets fill, then our budget
		if a.Send(b.id, Bulk, frame) {
			sent++
			return false
		}
		return true
	})
	require.Positive(t, a.Stats.Dropped[Bulk].Load())
	require.Positive(t, a.OverLimit())
	info := a.Links()[0]
	require.LessOrEqual(t, info.Used, int64(128<<10))
	require.Positive(t, info.Used)
	require.Equal(t, "rw", info.Events)
	require.Positive(t, info.Dropped)
	// Control has a budget of its own, and overtakes.
	require.True(t, a.Send(b.id, Control, []byte("urgent")))
	unblock()
	soon(t, "all there", func() bool { return len(b.got(a.id)) == sent+1 })
	got := b.got(a.id)
	at := 0
	for i, f := range got {
		if f == "urgent" {
			at = i
		}
	}
	require.Less(t, at, len(got)-5, "overtook what waited")
}

func TestPubSubHasItsOwnConnection(t *testing.T) {
	a, b := start(t, 1, nil), start(t, 2, nil)
	a.SetPeers([]Target{b.target()})
	b.SetPeers([]Target{a.target()})
	linked(t, a, b)
	require.Len(t, a.Links(), 1, "not before it is needed")
	for i := range 100 {
		require.True(t, a.Send(b.id, PubSub, fmt.Appendf(nil, "message %d", i)), "none is lost while it is dialed")
	}
	soon(t, "messages", func() bool { return len(b.got(a.id)) == 100 })
	for i, m := range b.got(a.id) {
		require.Equal(t, fmt.Sprintf("message %d", i), m)
	}
	require.True(t, b.Send(a.id, PubSub, []byte("back")))
	soon(t, "back", func() bool { return len(a.got(b.id)) == 1 })
	soon(t, "two connections", func() bool { return len(a.Links()) == 2 && len(b.Links()) == 2 })
	require.Len(t, a.history(), 1, "the Owner hears of control links only")
}

// Both begin to publish at the same moment, so both dial: the connection that gives way carries nothing that is lost.
func TestSimultaneousPublishers(t *testing.T) {
	// A message is given up when its dial fails (target.run), and a loaded machine may take seconds for a handshake.
	patient := func(o *Options) { o.HandshakeTimeout, o.DeadAfter = time.Minute, time.Minute }
	a, b := start(t, 1, patient), start(t, 2, patient)
	a.SetPeers([]Target{b.target()})
	b.SetPeers([]Target{a.target()})
	linked(t, a, b)
	for round := range 200 {
		var both sync.WaitGroup
		for _, pair := range [][2]*testNode{{a, b}, {b, a}} {
			both.Go(func() { assert.True(t, pair[0].Send(pair[1].id, PubSub, fmt.Append(nil, round))) })
		}
		both.Wait()
		soon(t, fmt.Sprint("messages of round ", round), func() bool { return len(b.got(a.id)) > round && len(a.got(b.id)) > round })
		soon(t, "no connection", func() bool {
			none := true
			for _, pair := range [][2]*testNode{{a, b}, {b, a}} {
				if c := pair[0].standing(pair[1].id, ForPubSub); c != nil {
					c.close(io.ErrClosedPipe)
					none = false
				}
			}
			return none
		})
	}
}

func TestReconnectsAreBounded(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var accepts atomic.Int64
	go func() { // accepts and hangs up at once
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			accepts.Add(1)
			nc.Close()
		}
	}()
	defer l.Close()
	a := start(t, 1, func(o *Options) { o.RedialMin, o.RedialMax = 10*time.Millisecond, 200*time.Millisecond })
	a.SetPeers([]Target{{ID: nodeID(2), Addrs: []string{l.Addr().String()}}})
	time.Sleep(time.Second)
	// 10+20+40+80+160+200+… with jitter: about 9 in a second, never more than one per half RedialMin.
	require.InDelta(t, 9, accepts.Load(), 6)

	// A peer that authenticates and then hangs up without a frame does not reset the backoff.
	b := start(t, 3, nil)
	a.SetPeers([]Target{b.target()})
	stop := time.Now().Add(time.Second)
	before := a.Stats.Dials.Load()
	for time.Now().Before(stop) {
		if c := b.standing(a.id, ForControl); c != nil {
			c.close(io.ErrClosedPipe)
		}
		time.Sleep(time.Millisecond)
	}
	require.Less(t, a.Stats.Dials.Load()-before, int64(20))
}

func TestIdentityChange(t *testing.T) {
	a, b := start(t, 1, nil), start(t, 2, nil)
	b.SetPeers([]Target{a.target(), {Addrs: []string{a.addr}}})
	linked(t, a, b)
	a.Identify(Identity{ID: nodeID(5), Cluster: 8})
	soon(t, "found again under the new name", func() bool { _, up := b.peer(nodeID(5)); return up })
	_, old := b.peer(nodeID(1))
	require.False(t, old)
}

func TestTooManyLinks(t *testing.T) {
	b := start(t, 2, func(o *Options) { o.MaxLinks = 1 })
	a, c := start(t, 1, nil), start(t, 3, nil)
	a.SetPeers([]Target{b.target()})
	linked(t, a, b)
	c.SetPeers([]Target{b.target()})
	soon(t, "refused", func() bool { return b.Stats.Rejects[Busy].Load() > 0 })
	require.Len(t, b.Links(), 1)
}

func TestPublicAddressesNeedAuthentication(t *testing.T) {
	for addr, private := range map[string]bool{"127.0.0.1": true, "::1": true, "10.1.2.3": true, "192.168.0.1": true, "172.20.0.1": true,
		"fd00::1": true, "169.254.1.1": true, "8.8.8.8": false, "172.32.0.1": false, "2001:db8::1": false} {
		require.Equal(t, private, isPrivate(&net.TCPAddr{IP: net.ParseIP(addr)}), addr)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	r := newRecorder()
	for _, o := range []Options{{}, {Owner: r, Auth: AuthHMAC, Secret: []byte("short")}, {Owner: r, Auth: AuthTLS}, {Owner: r, Auth: 9}, {Owner: r, LocalAddr: "x"}} {
		_, err := New(o)
		require.Error(t, err)
	}
}

func TestCloseEndsEverything(t *testing.T) {
	a, b := start(t, 1, nil), start(t, 2, nil)
	a.SetPeers([]Target{b.target(), {ID: nodeID(9), Addrs: []string{"127.0.0.1:1"}}})
	b.SetPeers([]Target{a.target()})
	linked(t, a, b)
	a.Close()
	a.Close()
	require.Empty(t, a.Links())
	require.False(t, a.Send(b.id, Control, []byte("x")))
	soon(t, "noticed", func() bool { _, up := b.peer(a.id); return !up })
	_, err := net.DialTimeout("tcp", a.addr, time.Second)
	require.Error(t, err)
}

func TestOutboxKeepsOrderAndForgets(t *testing.T) {
	budget := [numChannels]int{1 << 20, 1 << 20, 1 << 20}
	b := newOutbox(&budget)
	rng := rand.New(rand.NewPCG(3, 4))
	var want [2][]string
	for i := range 20000 {
		if ch := rng.IntN(2); rng.IntN(2) == 0 {
			f := fmt.Sprint(i)
			fits, open := b.add(Channel(ch), []byte(f))
			require.True(t, fits && open)
			want[ch] = append(want[ch], f)
			continue
		}
		got := b.take()
		ch := 0
		if len(want[0]) == 0 {
			ch = 1
		}
		if len(want[ch]) == 0 {
			require.Nil(t, got)
			continue
		}
		require.Equal(t, want[ch][0], string(got))
		want[ch] = want[ch][1:]
	}
	lost := b.close()
	require.Equal(t, len(want[0]), lost[0].frames)
	require.Equal(t, len(want[1]), lost[1].frames)
	fits, open := b.add(Control, []byte("late"))
	require.False(t, fits || open)
}

// FuzzAcceptor: whatever a stranger sends, nothing is believed and the next peer is served.
func FuzzAcceptor(f *testing.F) {
	var h hello
	putHead(h[:], 0, AuthHMAC, Identity{ID: nodeID(9), Cluster: 7})
	f.Add(h[:])
	f.Add(append(h[:], make([]byte, 32)...))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add([]byte("SXTB\x02"))
	f.Fuzz(func(t *testing.T, junk []byte) {
		r := newRecorder()
		n, err := New(Options{Self: Identity{ID: nodeID(2)}, Auth: AuthHMAC, Secret: testSecret, Owner: r, HandshakeTimeout: time.Second})
		require.NoError(t, err)
		m := NewMemory()
		l, err := m.Listen("b:1")
		require.NoError(t, err)
		n.Serve(l)
		nc, err := m.Dialer("x")(context.Background(), "b:1")
		require.NoError(t, err)
		go io.Copy(io.Discard, nc)
		nc.SetWriteDeadline(time.Now().Add(time.Second))
		nc.Write(junk)
		nc.Close()
		n.Close()
		if len(r.history()) > 0 {
			t.Fatalf("%q was believed", junk)
		}
	})
}

// testTLS makes one self-signed certificate that both sides present and trust.
func testTLS(t testing.TB) *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	require.NoError(t, err)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"bus"},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(crand.Reader, tmpl, tmpl, &key.PublicKey, key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, RootCAs: pool, ClientCAs: pool,
		ClientAuth: tls.RequireAndVerifyClientCert, ServerName: "bus"}
}
