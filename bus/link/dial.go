package link

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sextantdb/sextant/bus"
)

func (t Target) key(p Purpose) string {
	who := t.ID.String()
	if t.ID.IsZero() {
		who = "meet"
		if len(t.Addrs) > 0 {
			who = t.Addrs[0]
		}
	}
	return p.String() + " " + who
}

// target is somebody to be connected with, and the goroutine that sees to it.
type target struct {
	net     *Net
	want    Target // ID only; see addrs
	purpose Purpose
	ctx     context.Context
	cancel  context.CancelFunc
	kick    chan struct{} // look again: the connection ended, there is something to carry, or the addresses changed
	moved   atomic.Bool   // the addresses changed since the last dial

	// Guarded by Net.mu.
	found     bus.NodeID // who answered where no id was asked for
	committed bool       // a dial has proved itself and waits to be welcome

	mu    sync.Mutex
	addrs []string // guarded by mu
}

func newTarget(n *Net, want Target, p Purpose) *target {
	t := &target{net: n, want: want, purpose: p, kick: make(chan struct{}, 1), addrs: slices.Clone(want.Addrs)}
	t.ctx, t.cancel = context.WithCancel(n.ctx)
	return t
}

func (t *target) addresses() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.addrs)
}

// update changes where the target is looked for; a change ends a pause.
func (t *target) update(addrs []string) {
	t.mu.Lock()
	same := slices.Equal(t.addrs, addrs)
	t.addrs = slices.Clone(addrs)
	t.mu.Unlock()
	if !same {
		t.moved.Store(true)
		t.poke()
	}
}

func (t *target) poke() {
	select {
	case t.kick <- struct{}{}:
	default:
	}
}

// run dials whenever no connection stands, until the target is given up.
func (t *target) run() {
	defer t.net.running.Done()
	defer t.cancel()
	n := t.net
	pause := time.Duration(0)
	for t.ctx.Err() == nil {
		if id := t.id(); !id.IsZero() && n.standing(id, t.purpose) != nil {
			select {
			case <-t.kick:
			case <-t.ctx.Done():
			}
			continue
		}
		if t.purpose == ForPubSub && !t.wanted() {
			select {
			case <-t.kick:
			case <-t.ctx.Done():
			}
			continue
		}
		useful, stood, gaveWay := false, false, false
		for _, addr := range t.addresses() {
			c, err := n.dial(t, addr)
			if err != nil {
				if t.ctx.Err() == nil {
					n.dialFailed(addr, err)
				}
				if gaveWay = errors.Is(err, ErrDuplicate); gaveWay {
					break
				}
				continue
			}
			t.met(c.peer.ID)
			stood = true
			useful = c.run() // as long as it stands
			break
		}
		if !stood && !gaveWay && t.purpose == ForPubSub {
			t.giveUp() // a message that waits for the next dial would come too late to be worth anything
		}
		if useful {
			pause = 0 // frames came: the peer is well, so the next dial need not wait long
		}
		pause = min(max(2*pause, n.opts.RedialMin), n.opts.RedialMax)
		t.sleep(n.jitter(pause))
	}
	if t.purpose == ForPubSub {
		t.giveUp()
	}
}

// id is whom the target means, zero if that is not known yet.
func (t *target) id() bus.NodeID {
	if !t.want.ID.IsZero() {
		return t.want.ID
	}
	t.net.mu.Lock()
	defer t.net.mu.Unlock()
	return t.found
}

func (t *target) met(id bus.NodeID) {
	t.net.mu.Lock()
	t.found = id
	t.net.mu.Unlock()
}

// wanted reports whether a pub/sub connection has something to carry.
func (t *target) wanted() bool {
	t.net.mu.Lock()
	defer t.net.mu.Unlock()
	nd := t.net.mu.nodes[t.want.ID]
	return nd != nil && nd.pubbox != nil
}

// giveUp drops what waited for a pub/sub connection that will not come.
func (t *target) giveUp() {
	t.net.mu.Lock()
	defer t.net.mu.Unlock()
	if nd := t.net.mu.nodes[t.want.ID]; nd != nil && nd.pubbox != nil {
		t.net.dropBox(nd.pubbox)
		nd.pubbox = nil
	}
}

// sleep ends early when the addresses change.
func (t *target) sleep(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return
		case <-t.ctx.Done():
			return
		case <-t.kick:
			// Changed addresses are tried soon, but a storm of changes must not become a storm of dials.
			if t.moved.Swap(false) {
				timer.Reset(min(d, t.net.opts.RedialMin))
			}
		}
	}
}

// jitter spreads d over [d/2, 3d/2), so that many nodes do not dial one in step (H14).
func (n *Net) jitter(d time.Duration) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	return d/2 + time.Duration(n.mu.rng.Int64N(int64(d)))
}

func (n *Net) dial(t *target, addr string) (*conn, error) {
	n.Stats.Dials.Inc()
	ctx, cancel := context.WithTimeout(t.ctx, n.opts.HandshakeTimeout)
	defer cancel()
	nc, err := n.opts.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	defer n.uncommit(t)
	c, err := n.clientHandshake(ctx, nc, t.want.ID, t.purpose, func(peer bus.NodeID) bool { return n.commit(t, peer) })
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		c.peer.Target = addr
		c.node, err = n.register(c)
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	return c, nil
}

func (n *Net) dialFailed(addr string, err error) {
	var refused *refusal
	if errors.As(err, &refused) {
		n.reject(refused.reason, addr, err)
		return
	}
	if errors.Is(err, ErrDuplicate) {
		return
	}
	n.Stats.DialFails.Inc()
}

// Serve accepts connections from l until the Net or l is closed. The Net owns l.
func (n *Net) Serve(l net.Listener) {
	n.mu.Lock()
	if n.closed.Load() {
		n.mu.Unlock()
		l.Close()
		return
	}
	n.mu.listeners = append(n.mu.listeners, l)
	n.running.Add(1)
	n.mu.Unlock()
	go func() {
		defer n.running.Done()
		for {
			nc, err := l.Accept()
			if err != nil {
				if errors.Is(err, net.ErrClosed) || n.closed.Load() {
					return
				}
				n.reject(AcceptFailed, "", err)
				select {
				case <-time.After(n.opts.RedialMin): // out of descriptors, most likely
				case <-n.ctx.Done():
					return
				}
				continue
			}
			n.Stats.Accepts.Inc()
			if n.handshakes.Add(1) > int64(n.opts.MaxHandshakes) {
				n.handshakes.Add(-1)
				n.reject(Busy, hostOf(nc.RemoteAddr()), errors.New("too many handshakes at once"))
				nc.Close()
				continue
			}
			n.running.Add(1)
			go n.welcome(nc)
		}
	}()
}

// welcome shakes hands with a stranger and, if he is none, serves the connection.
func (n *Net) welcome(nc net.Conn) {
	defer n.running.Done()
	ctx, cancel := context.WithTimeout(n.ctx, n.opts.HandshakeTimeout)
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	c, err := n.serverHandshake(ctx, nc)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	cancel()
	if err == nil {
		c.node, err = n.register(c)
	}
	n.handshakes.Add(-1)
	if err != nil {
		if c != nil {
			c.refuse(err)
		}
		nc.Close()
		n.welcomeFailed(nc, err)
		return
	}
	c.run()
}

func (n *Net) welcomeFailed(nc net.Conn, err error) {
	if n.closed.Load() || errors.Is(err, ErrDuplicate) {
		return
	}
	reason := Silent
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		reason = refused.reason
	case errors.Is(err, ErrTooMany):
		reason = Busy
	case errors.Is(err, ErrIdentity):
		reason = Myself
	}
	n.reject(reason, hostOf(nc.RemoteAddr()), err)
}

func hostOf(a net.Addr) string {
	if a == nil {
		return ""
	}
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	return host
}
