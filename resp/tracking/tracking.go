// Package tracking is client-side caching: which clients may have which keys in their caches, and
// what they are told when a key changes. Dispatch tells it what tracked clients read and what
// anybody changed; the connection family switches it on and off. It must not know commands,
// sessions, the store or sockets: a client is a Receiver, a key is bytes.
//
// # Two ways
//
// A client either has the keys it reads remembered (Remember), and is told about each once, or it
// broadcasts: it names prefixes and is told of every change of a key that begins with one. Changes
// for the second kind are gathered and sent by Flush, at the end of an event loop's round: a
// message names all keys of one prefix.
//
// # Order
//
// A read notes its key under the key's stripe of the store before the client gets the reply; a
// change takes the notes under the same stripe (Changed), and tells the clients when it is unlocked (Tell). A push comes behind the replies of commands that have finished, so a
// client never gets the old value behind the message that it is old.
//
// # Bound
//
// At most SetMax keys are remembered; beyond that random ones are forgotten and their clients told
// as if they had changed. The clients of a key are its readers; those that have gone are swept
// out when their number doubles.
//
// # Concurrency
//
// Everything may be called from any goroutine. Locks: a stripe, or the prefixes' mutex; under
// either, nothing that takes one of the other. Receivers are called without a stripe.
package tracking

import (
	"bytes"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
)

// State is how a client tracks.
type State struct {
	On        bool
	Broadcast bool
	NoLoop    bool  // it is not told of its own changes
	Redirect  int64 // the client that is told in its place; 0: itself
}

// Receiver is a connected client. All methods may be called from any goroutine.
type Receiver interface {
	Tracks() State
	// Subscribed reports whether a RESP2 client can be sent messages.
	Subscribed() bool
	// Broken says that the client it redirects to is gone.
	Broken()
	// Invalidate pushes m, which must not be changed. from is what the caller said.
	Invalidate(from any, m *Message)
}

// Client stands for a Receiver as long as it is connected, and for nobody afterwards.
type Client struct {
	to    atomic.Pointer[Receiver]
	bytes atomic.Int64 // of its prefixes; written under the prefixes' mutex
}

// prefixBytes is what a prefix costs its client besides its name, here and in its maps.
const prefixBytes = 400

// Bytes is the memory of the client's prefixes.
func (c *Client) Bytes() int64 { return c.bytes.Load() }

// NewClient makes a Client.
func NewClient(to Receiver) *Client {
	c := new(Client)
	c.to.Store(&to)
	return c
}

func (c *Client) receiver() Receiver {
	if p := c.to.Load(); p != nil {
		return *p
	}
	return nil
}

const stripes = 64

// Table is what all tracking clients have read, and the prefixes.
type Table struct {
	// Immutable.
	seed maphash.Seed
	find func(id int64) Receiver // nil: no such client

	clients atomic.Int64 // that track
	keys    atomic.Int64 // remembered
	items   atomic.Int64 // clients of all keys
	max     atomic.Int64 // keys that may be remembered; 0: any number
	next    atomic.Uint64
	effort  atomic.Int64 // Trims in a row that did not suffice

	stripes [stripes]struct {
		mu   sync.Mutex
		keys map[string]*readers // guarded by mu
		_    [64]byte
	}

	prefixes struct {
		sync.Mutex
		list  []*prefix // sorted by name
		count atomic.Int64
		dirty atomic.Bool // some prefix has changed keys
	}
}

// readers are the clients that may have a key.
type readers struct {
	all   map[*Client]struct{}
	sweep int // size at which those that are gone are taken out
}

type prefix struct {
	name    string
	clients map[*Client]struct{}
	changed map[string]*Client // key to who changed it last, nil for nobody
}

// New makes an empty table. find finds a connected client by its id.
func New(find func(id int64) Receiver) *Table {
	t := &Table{seed: maphash.MakeSeed(), find: find}
	for i := range t.stripes {
		t.stripes[i].keys = map[string]*readers{}
	}
	return t
}

// SetMax bounds the keys remembered (tracking-table-max-keys); 0 is no bound.
func (t *Table) SetMax(n int64) { t.max.Store(n) }

// Active reports whether anybody tracks. One atomic load.
func (t *Table) Active() bool { return t.clients.Load() > 0 }

// Clients, Keys, Items and Prefixes are tracking_clients and tracking_total_*.
func (t *Table) Clients() int64  { return t.clients.Load() }
func (t *Table) Keys() int64     { return t.keys.Load() }
func (t *Table) Items() int64    { return t.items.Load() }
func (t *Table) Prefixes() int64 { return t.prefixes.count.Load() }

// Enter counts a client that begins to track.
func (t *Table) Enter() { t.clients.Add(1) }

// Exit ends a client's tracking. What was remembered for it stays until its key changes, unless
// it was the last.
func (t *Table) Exit(c *Client) {
	t.prefixes.Lock()
	t.prefixes.list = slices.DeleteFunc(t.prefixes.list, func(p *prefix) bool {
		delete(p.clients, c)
		return len(p.clients) == 0
	})
	c.bytes.Store(0)
	t.prefixes.count.Store(int64(len(t.prefixes.list)))
	t.prefixes.Unlock()
	if t.clients.Add(-1) == 0 {
		t.forget(func() bool { return t.clients.Load() > 0 }) // what others have read since must stay
	}
}

// Close says that the client is gone for ever.
func (c *Client) Close() { c.to.Store(nil) }

// Join has the client told of every change of a key that begins with name.
func (t *Table) Join(c *Client, name string) {
	t.prefixes.Lock()
	defer t.prefixes.Unlock()
	i, ok := slices.BinarySearchFunc(t.prefixes.list, name, func(p *prefix, name string) int { return bytes.Compare([]byte(p.name), []byte(name)) })
	if !ok {
		t.prefixes.list = slices.Insert(t.prefixes.list, i, &prefix{name: name, clients: map[*Client]struct{}{}, changed: map[string]*Client{}})
		t.prefixes.count.Store(int64(len(t.prefixes.list)))
	}
	if all := t.prefixes.list[i].clients; !has(all, c) {
		all[c] = struct{}{}
		c.bytes.Add(int64(prefixBytes + len(name)))
	}
}

func has(all map[*Client]struct{}, c *Client) bool { _, ok := all[c]; return ok }

// PrefixesOf lists the client's prefixes, sorted.
func (t *Table) PrefixesOf(c *Client) (names []string) {
	t.prefixes.Lock()
	defer t.prefixes.Unlock()
	for _, p := range t.prefixes.list {
		if has(p.clients, c) {
			names = append(names, p.name)
		}
	}
	return names
}

func (t *Table) stripeOf(key []byte) int { return int(maphash.Bytes(t.seed, key) % stripes) }

// Remember notes that the client has read key.
func (t *Table) Remember(from any, c *Client, key []byte) {
	st := &t.stripes[t.stripeOf(key)]
	st.mu.Lock()
	r := st.keys[string(key)]
	if r == nil {
		r = &readers{all: make(map[*Client]struct{}, 1), sweep: 64}
		st.keys[string(key)] = r
		t.keys.Add(1)
	}
	before := len(r.all)
	r.all[c] = struct{}{}
	if len(r.all) >= r.sweep {
		for c := range r.all {
			if c.receiver() == nil {
				delete(r.all, c)
			}
		}
		r.sweep = 2*len(r.all) + 64
	}
	t.items.Add(int64(len(r.all) - before))
	st.mu.Unlock()
	if most := t.max.Load(); most > 0 && t.keys.Load() > most {
		t.evict(from, 2) // as many come as go: the bound holds
	}
}

// Readers are the clients that may have had a key when it changed.
type Readers struct{ all map[*Client]struct{} }

// Changed forgets who may have key, because it has changed, and returns them for Tell; nil when
// there are none. It is called before anybody can read the key again: whoever reads it then is
// remembered anew. by is who changed it, nil if nobody did (it expired, or was evicted).
func (t *Table) Changed(key []byte, by *Client) *Readers {
	if t.prefixes.count.Load() > 0 {
		t.gather(key, by)
	}
	i := t.stripeOf(key)
	st := &t.stripes[i]
	st.mu.Lock()
	defer st.mu.Unlock()
	r := st.keys[string(key)]
	if r == nil {
		return nil
	}
	t.take(i, string(key), r)
	return &Readers{r.all}
}

// Tell tells r that key has changed.
func (t *Table) Tell(from any, key []byte, r *Readers, by *Client) { t.tell(from, key, r.all, by) }

// take removes a key. REQUIRES: the stripe's mu.
func (t *Table) take(stripe int, key string, r *readers) {
	delete(t.stripes[stripe].keys, key)
	t.keys.Add(-1)
	t.items.Add(int64(-len(r.all)))
}

func (t *Table) tell(from any, key []byte, all map[*Client]struct{}, by *Client) {
	var m *Message
	for c := range all {
		to := c.receiver()
		if to == nil {
			continue
		}
		// A client that broadcasts now does not care for what it read before.
		if s := to.Tracks(); s.On && !s.Broadcast && !(s.NoLoop && c == by) {
			if m == nil {
				m = newMessage([][]byte{key})
			}
			t.send(from, to, s, m)
		}
	}
}

// send pushes m to the client, or to the one it redirects to.
func (t *Table) send(from any, to Receiver, s State, m *Message) {
	if s.Redirect == 0 {
		to.Invalidate(from, m)
		return
	}
	other := t.find(s.Redirect)
	if other == nil {
		to.Broken()
		to.Invalidate(from, brokenMessage(s.Redirect))
		return
	}
	if other.Subscribed() {
		m = m.redirected()
	}
	other.Invalidate(from, m)
}

// gather notes a change for those who broadcast.
func (t *Table) gather(key []byte, by *Client) {
	t.prefixes.Lock()
	defer t.prefixes.Unlock()
	for _, p := range t.prefixes.list {
		if len(p.name) <= len(key) && string(key[:len(p.name)]) == p.name {
			p.changed[string(key)] = by
			t.prefixes.dirty.Store(true)
		}
	}
}

// Flush sends what Changed gathered for those who broadcast.
func (t *Table) Flush(from any) {
	if !t.prefixes.dirty.Load() {
		return
	}
	t.prefixes.Lock()
	defer t.prefixes.Unlock()
	t.prefixes.dirty.Store(false)
	for _, p := range t.prefixes.list {
		if len(p.changed) == 0 {
			continue
		}
		all := p.keys(nil)
		m := newMessage(all)
		for c := range p.clients {
			to := c.receiver()
			if to == nil {
				continue
			}
			s := to.Tracks()
			if !s.NoLoop {
				t.send(from, to, s, m)
			} else if others := p.keys(c); len(others) > 0 {
				t.send(from, to, s, newMessage(others))
			}
		}
		clear(p.changed)
	}
}

// keys lists the changed keys but those that c changed last, sorted.
func (p *prefix) keys(c *Client) (keys [][]byte) {
	for key, by := range p.changed {
		if c == nil || by != c {
			keys = append(keys, []byte(key))
		}
	}
	slices.SortFunc(keys, bytes.Compare)
	return keys
}

// Flushed forgets all keys and tells every tracking client that they have changed. clients lists
// them; it is called when all is forgotten, so that nobody's notes are lost without a word.
func (t *Table) Flushed(from any, clients func() []*Client) {
	t.forget(func() bool { return false })
	for _, c := range clients() {
		if to := c.receiver(); to != nil {
			if s := to.Tracks(); s.On {
				t.send(from, to, s, newMessage(nil))
			}
		}
	}
}

// forget forgets all keys, until stop says so, which is asked under each stripe's mu.
func (t *Table) forget(stop func() bool) {
	for i := range t.stripes {
		st := &t.stripes[i]
		st.mu.Lock()
		if stop() {
			st.mu.Unlock()
			return
		}
		for key, r := range st.keys {
			t.take(i, key, r)
		}
		st.keys = map[string]*readers{}
		st.mu.Unlock()
	}
}

// trimStep is how many keys a Trim forgets; when that does not suffice the next one forgets more.
const trimStep = 100

// Trim brings the table nearer to its bound, after that was lowered.
func (t *Table) Trim(from any) {
	if most := t.max.Load(); most == 0 || t.keys.Load() <= most {
		t.effort.Store(0)
		return
	}
	t.evict(from, int(trimStep*t.effort.Add(1)))
}

// evict forgets up to n keys above the bound, chosen by the random order of Go's maps.
func (t *Table) evict(from any, n int) {
	for empty := 0; n > 0 && empty < stripes && t.keys.Load() > t.max.Load(); {
		i := int(t.next.Add(1) % stripes)
		st := &t.stripes[i]
		st.mu.Lock()
		var key string
		var r *readers
		for key, r = range st.keys {
			t.take(i, key, r)
			break
		}
		st.mu.Unlock()
		if r == nil {
			empty++
			continue
		}
		empty = 0
		n--
		t.tell(from, []byte(key), r.all, nil)
	}
}
