// Package channel is who listens to what: the registries of channels, patterns and shard
// channels, and the delivery of a message to those who subscribed. Dispatch gives each client a
// Subscriber and owns the Registry, the pub/sub family and the node's fan-out use both. It must
// not know commands, sessions, sockets or the cluster: a listener is a Receiver.
//
// # Cost
//
// Publishing to a channel that nobody listens to is two atomic loads while there are no
// subscriptions at all, and one lookup under a stripe's lock otherwise. A message is encoded once
// for each protocol that some receiver speaks, however many receivers there are.
//
// # Order
//
// All receivers of a channel get its messages in the same order, because the channel's stripe is
// locked while a message is handed out; patterns are served under the same lock. Messages of
// different channels have no order between each other unless one goroutine published them.
//
// # Concurrency
//
// Registry may be used from any goroutine. A Subscriber belongs to its client's goroutine, but
// for the methods marked "any goroutine". Locks, in the order they are taken: a stripe, then the
// patterns' lock, then whatever Receiver.Push takes (a client's push queue). Whoever holds
// stripes of the store may publish; nobody who holds a lock of this package takes one of those.
package channel

import (
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sextantdb/sextant/resp/glob"
)

// Kind says what a subscription is to.
type Kind uint8

const (
	// Channel: messages of PUBLISH to this name.
	Channel Kind = iota
	// Shard: messages of SPUBLISH to this name. In a cluster it lives in the name's slot.
	Shard
	// Pattern: messages of PUBLISH to names that the pattern matches.
	Pattern

	numKinds
)

// Receiver is the client behind a Subscriber.
type Receiver interface {
	// Push gives the client a message. from is what the publisher said about itself. It must not
	// block, call back into this package, or use m after it returns; the bytes of m.Form it may
	// keep and must not change.
	Push(from any, m *Message)
}

// Watcher is told, under a lock that must not be waited for, when a name gets its first
// subscriber and when it loses its last. Only channels and patterns are told, not shard channels.
type Watcher interface {
	Appeared(k Kind, name string)
	Vanished(k Kind, name string)
}

// Registry is all subscriptions of a node.
type Registry struct {
	// Immutable after New.
	seed    maphash.Seed
	watcher Watcher // may be nil

	channels [2]table // Channel and Shard
	patterns patterns
	names    [numKinds]atomic.Int64 // names that have subscribers
	clients  atomic.Int64           // subscribers that have subscriptions
	bytes    atomic.Int64           // memory of the subscriptions
}

// stripes is the number of locks over the channels of one kind.
const stripes = 64

type table [stripes]stripe

type stripe struct {
	mu    sync.Mutex
	names map[string]*members // guarded by mu
	_     [64]byte            // keep neighbours' locks off this one's cache line
}

// patterns are few and looked at by every message, so they are a list.
type patterns struct {
	mu   sync.RWMutex        // guards both
	list []*members          // in no particular order
	find map[string]*members // by pattern
}

// members are the subscribers of one name. Guarded by the lock of the name's stripe, or of the
// patterns.
type members struct {
	name string
	at   int // in patterns.list
	list []*membership
}

// membership is one subscription: list[at] of its members.
type membership struct {
	sub *Subscriber
	of  *members
	at  int // guarded as members are
}

// subscriptionBytes is about what one subscription costs beside its name.
const subscriptionBytes = 112

// New makes an empty registry. w may be nil.
func New(w Watcher) *Registry {
	r := &Registry{seed: maphash.MakeSeed(), watcher: w}
	for k := range r.channels {
		for i := range r.channels[k] {
			r.channels[k][i].names = map[string]*members{}
		}
	}
	r.patterns.find = map[string]*members{}
	return r
}

func (r *Registry) stripe(k Kind, name []byte) *stripe {
	return &r.channels[k][maphash.Bytes(r.seed, name)%stripes]
}

// Publish gives a message to the subscribers of channel and of the patterns it matches, and
// returns how many they are. It keeps neither slice.
func (r *Registry) Publish(from any, channel, payload []byte) int {
	if r.names[Channel].Load() == 0 && r.names[Pattern].Load() == 0 {
		return 0
	}
	st := r.stripe(Channel, channel)
	st.mu.Lock()
	defer st.mu.Unlock()
	n := st.deliver(from, "message", channel, payload)
	if r.names[Pattern].Load() > 0 {
		n += r.patterns.deliver(from, channel, payload)
	}
	return n
}

// PublishShard is Publish for a shard channel.
func (r *Registry) PublishShard(from any, channel, payload []byte) int {
	if r.names[Shard].Load() == 0 {
		return 0
	}
	st := r.stripe(Shard, channel)
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.deliver(from, "smessage", channel, payload)
}

// deliver REQUIRES: mu.
func (st *stripe) deliver(from any, kind string, channel, payload []byte) int {
	e := st.names[string(channel)]
	if e == nil {
		return 0
	}
	m := &Message{kind: kind, channel: channel, payload: payload}
	return e.push(from, m)
}

func (e *members) push(from any, m *Message) int {
	for _, s := range e.list {
		s.sub.to.Push(from, m)
	}
	return len(e.list)
}

func (p *patterns) deliver(from any, channel, payload []byte) (n int) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, e := range p.list {
		if glob.Match(e.name, channel) {
			n += e.push(from, &Message{kind: "pmessage", pattern: e.name, patterned: true, channel: channel, payload: payload})
		}
	}
	return n
}

// Names returns how many names of a kind have subscribers.
func (r *Registry) Names(k Kind) int64 { return r.names[k].Load() }

// Clients returns how many subscribers have subscriptions.
func (r *Registry) Clients() int64 { return r.clients.Load() }

// Bytes is the memory of all subscriptions, the names' included.
func (r *Registry) Bytes() int64 { return r.bytes.Load() }

// Subscribers returns how many subscribe to the name itself, patterns left out.
func (r *Registry) Subscribers(k Kind, name []byte) int {
	st := r.stripe(k, name)
	st.mu.Lock()
	defer st.mu.Unlock()
	if e := st.names[string(name)]; e != nil {
		return len(e.list)
	}
	return 0
}

// Matching returns the channels of a kind that have subscribers and match pattern (nil: all),
// sorted.
func (r *Registry) Matching(k Kind, pattern []byte) []string {
	names := []string{}
	for i := range r.channels[k] {
		st := &r.channels[k][i]
		st.mu.Lock()
		for name := range st.names {
			if pattern == nil || glob.Match(pattern, name) {
				names = append(names, name)
			}
		}
		st.mu.Unlock()
	}
	slices.Sort(names)
	return names
}

// EachSubscriber calls f for those who subscribe to a name at this moment, with the name's lock
// held: f must not call back into this package.
func (r *Registry) EachSubscriber(k Kind, name string, f func(*Subscriber)) {
	st := r.stripe(k, []byte(name))
	st.mu.Lock()
	defer st.mu.Unlock()
	if e := st.names[name]; e != nil {
		for _, s := range e.list {
			f(s.sub)
		}
	}
}

// add makes s a subscriber of a name.
func (r *Registry) add(k Kind, name string, s *Subscriber) *membership {
	m := &membership{sub: s}
	if k == Pattern {
		p := &r.patterns
		p.mu.Lock()
		defer p.mu.Unlock()
		m.of = p.find[name]
		if m.of == nil {
			m.of = &members{name: name, at: len(p.list)}
			p.find[name] = m.of
			p.list = append(p.list, m.of)
			r.appeared(k, name)
		}
		m.join()
		return m
	}
	st := r.stripe(k, []byte(name))
	st.mu.Lock()
	defer st.mu.Unlock()
	m.of = st.names[name]
	if m.of == nil {
		m.of = &members{name: name}
		st.names[name] = m.of
		r.appeared(k, name)
	}
	m.join()
	return m
}

func (m *membership) join() {
	m.at = len(m.of.list)
	m.of.list = append(m.of.list, m)
}

// remove undoes add.
func (r *Registry) remove(k Kind, m *membership) {
	name := m.of.name
	if k == Pattern {
		p := &r.patterns
		p.mu.Lock()
		defer p.mu.Unlock()
		if m.leave() {
			last := len(p.list) - 1
			p.list[m.of.at] = p.list[last]
			p.list[m.of.at].at = m.of.at
			p.list[last] = nil
			p.list = p.list[:last]
			delete(p.find, name)
			r.vanished(k, name)
		}
		return
	}
	st := r.stripe(k, []byte(name))
	st.mu.Lock()
	defer st.mu.Unlock()
	if m.leave() {
		delete(st.names, name)
		r.vanished(k, name)
	}
}

// leave reports whether nobody is left.
func (m *membership) leave() bool {
	e := m.of
	last := len(e.list) - 1
	e.list[m.at] = e.list[last]
	e.list[m.at].at = m.at
	e.list[last] = nil
	e.list = e.list[:last]
	return last == 0
}

func (r *Registry) appeared(k Kind, name string) {
	r.names[k].Add(1)
	if r.watcher != nil && k != Shard {
		r.watcher.Appeared(k, name)
	}
}

func (r *Registry) vanished(k Kind, name string) {
	r.names[k].Add(-1)
	if r.watcher != nil && k != Shard {
		r.watcher.Vanished(k, name)
	}
}
