package channel

import (
	"slices"
	"sync/atomic"
)

// Subscriber is one client's subscriptions.
type Subscriber struct {
	// Immutable.
	r  *Registry
	to Receiver

	sets [numKinds]map[string]*membership // owned by the client's goroutine

	// counts[k] == len(sets[k]). Written by the owner, read by anyone.
	counts [numKinds]atomic.Int32
	bytes  atomic.Int64
}

// NewSubscriber makes a Subscriber without subscriptions.
func (r *Registry) NewSubscriber(to Receiver) *Subscriber { return &Subscriber{r: r, to: to} }

// Receiver is whom the messages go to. Any goroutine.
func (s *Subscriber) Receiver() Receiver { return s.to }

// Count is how many subscriptions of a kind there are. Any goroutine.
func (s *Subscriber) Count(k Kind) int { return int(s.counts[k].Load()) }

// Total is how many subscriptions there are. Any goroutine.
func (s *Subscriber) Total() int { return s.Count(Channel) + s.Count(Shard) + s.Count(Pattern) }

// Bytes is the memory of the subscriptions. Any goroutine.
func (s *Subscriber) Bytes() int64 { return s.bytes.Load() }

// Has reports whether the client subscribed to a name.
func (s *Subscriber) Has(k Kind, name []byte) bool { return s.sets[k][string(name)] != nil }

// Join subscribes to a name. It reports false when the client had subscribed already.
func (s *Subscriber) Join(k Kind, name []byte) bool {
	if s.Has(k, name) {
		return false
	}
	if s.sets[k] == nil {
		s.sets[k] = map[string]*membership{}
	}
	own := string(name)
	if s.Total() == 0 {
		s.r.clients.Add(1)
	}
	s.count(k, 1, own)
	s.sets[k][own] = s.r.add(k, own, s)
	return true
}

// Leave ends a subscription. It reports false when there was none. When it has returned, no
// message of this subscription is pushed any more.
func (s *Subscriber) Leave(k Kind, name []byte) bool {
	m := s.sets[k][string(name)]
	if m == nil {
		return false
	}
	own := m.of.name
	s.r.remove(k, m)
	delete(s.sets[k], own)
	s.count(k, -1, own)
	if s.Total() == 0 {
		s.r.clients.Add(-1)
	}
	return true
}

func (s *Subscriber) count(k Kind, by int, name string) {
	s.counts[k].Add(int32(by))
	size := int64(by) * int64(subscriptionBytes+len(name))
	s.bytes.Add(size)
	s.r.bytes.Add(size)
}

// Names are the subscriptions of a kind, sorted.
func (s *Subscriber) Names(k Kind) []string {
	names := make([]string, 0, len(s.sets[k]))
	for name := range s.sets[k] {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Session is what remembers the numbers of subscriptions; it reports whether the client began or
// ceased to have any.
type Session interface {
	SetSubscriptions(channels, patterns, shardChannels int) bool
}

// Limits moves a client between the output limits of those who have subscriptions and of others.
type Limits interface {
	SetPubSub(on bool)
}

// Settle tells the client's session and connection what the subscriptions are now. Whoever
// changed them calls it.
func (s *Subscriber) Settle(sess Session, conn Limits) {
	if sess.SetSubscriptions(s.Count(Channel), s.Count(Pattern), s.Count(Shard)) {
		conn.SetPubSub(s.Total() > 0)
	}
}

// Close ends all subscriptions.
func (s *Subscriber) Close() {
	for k := range numKinds {
		for name := range s.sets[k] {
			s.Leave(k, []byte(name))
		}
	}
}
