package fanout

import (
	"bytes"
	"sync"
	"time"

	"github.com/sextantdb/sextant/bus"
	"github.com/sextantdb/sextant/resp/channel"
)

// mine is what this node wants, and who knows it.
//
// Invariant: every bucket with a count, and all if there is a pattern, is in announced; and what
// is in announced has been sent to every informed peer.
type mine struct {
	f *Fanout // immutable

	mu        sync.Mutex
	counts    [buckets]int32 // channels with subscribers here, and claims
	filled    int            // buckets with a count
	patterns  int            // patterns with subscribers, and claims
	wider     bool           // more may be wanted than is announced
	ver       uint64         // of announced
	all       bool           // announced: everything is wanted
	announced []byte         // else these buckets
	informed  map[bus.NodeID]*peer
	waiting   []waiter // oldest first
	looking   bool     // look will be called
}

// peer is a node that has been told over one connection.
type peer struct {
	serial uint64
	acked  uint64
	told   time.Time // when it was sent an Interest last
}

// waiter wants every informed peer to know version ver.
type waiter struct {
	ver   uint64
	until time.Time
	ready func()
}

// Appeared and Vanished implement channel.Watcher. A subscription has been claimed before it is
// made, so Appeared announces nothing.
func (f *Fanout) Appeared(k channel.Kind, name string) { f.mine.count(k, []byte(name), 1) }
func (f *Fanout) Vanished(k channel.Kind, name string) { f.mine.count(k, []byte(name), -1) }

func (m *mine) count(k channel.Kind, name []byte, by int32) {
	m.mu.Lock()
	m.countLocked(k, name, by)
	m.widenLocked()
	m.mu.Unlock()
}

func (m *mine) countLocked(k channel.Kind, name []byte, by int32) {
	if k == channel.Pattern {
		m.patterns += int(by)
		m.wider = m.wider || m.patterns > 0
		return
	}
	b := bucket(name)
	before := m.counts[b]
	m.counts[b] += by
	switch {
	case before == 0:
		m.filled++
		m.wider = m.wider || !has(m.announced, b)
	case m.counts[b] == 0:
		m.filled--
	}
}

// Claim implements pubsub.Others.
func (f *Fanout) Claim(k channel.Kind, names [][]byte) func(ready func()) {
	m := &f.mine
	m.mu.Lock()
	for _, name := range names {
		m.countLocked(k, name, 1)
	}
	m.widenLocked()
	ver := m.ver
	known := m.knownLocked(ver)
	m.mu.Unlock()
	if known {
		return nil
	}
	return func(ready func()) {
		m.mu.Lock()
		m.waiting = append(m.waiting, waiter{ver, time.Now().Add(ackWait), ready})
		if !m.looking {
			m.looking = true
			time.AfterFunc(lookEvery, m.look)
		}
		m.mu.Unlock()
		f.Stats.Waits.Inc()
		m.settle() // they may have answered meanwhile
	}
}

// Release implements pubsub.Others.
func (f *Fanout) Release(k channel.Kind, names [][]byte) {
	for _, name := range names {
		f.mine.count(k, name, -1)
	}
}

// needLocked is the Interest that the subscriptions ask for.
func (m *mine) needLocked() (all bool, bits []byte) {
	if m.patterns > 0 || m.filled > maxBuckets {
		return true, nil
	}
	bits = make([]byte, buckets/8)
	for b := range m.counts {
		if m.counts[b] > 0 {
			bits[b>>3] |= 1 << (b & 7)
		}
	}
	return false, bits
}

// widenLocked announces what is wanted and not announced.
func (m *mine) widenLocked() {
	if m.wider && !m.all {
		all, bits := m.needLocked()
		for i := range bits {
			bits[i] |= m.announced[i]
		}
		m.announceLocked(all, bits)
	}
	m.wider = false
}

// narrow announces less when less is wanted.
func (m *mine) narrow() {
	m.mu.Lock()
	if all, bits := m.needLocked(); all != m.all || !all && !bytes.Equal(bits, m.announced) {
		m.announceLocked(all, bits)
	}
	for id, p := range m.informed {
		if p.serial != m.f.opt.Links.Standing(id) {
			delete(m.informed, id)
		}
	}
	m.mu.Unlock()
	m.settle()
}

func (m *mine) announceLocked(all bool, bits []byte) {
	m.ver++
	m.all, m.announced = all, bits
	if all {
		m.announced = make([]byte, buckets/8)
	}
	if len(m.informed) == 0 {
		return
	}
	frame := m.frameLocked()
	for id, p := range m.informed {
		m.tellLocked(id, p, frame)
	}
}

func (m *mine) frameLocked() []byte {
	i := &bus.Interest{Ver: m.ver, All: m.all}
	if !m.all {
		i.Buckets = m.announced
	}
	return m.f.opt.Links.Encode(i)
}

// tellLocked sends the Interest over the connection that an earlier one was sent over. If that
// takes nothing more it is of no use: without it the peer sends everything.
func (m *mine) tellLocked(id bus.NodeID, p *peer, frame []byte) {
	p.told = time.Now()
	m.f.Stats.Announced.Inc()
	if !m.f.opt.Links.SendOver(p.serial, id, frame) {
		m.f.opt.Links.Break(p.serial, id)
		delete(m.informed, id)
	}
}

// inform tells a node that published a message of bucket b what is wanted here, unless it knows.
func (m *mine) inform(id bus.NodeID, serial uint64, b int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	wanted := m.all || has(m.announced, b)
	if !wanted {
		m.f.Stats.Unwanted.Inc()
	}
	p := m.informed[id]
	switch {
	case p == nil || p.serial != serial:
		p = &peer{serial: serial}
		m.informed[id] = p
	case wanted || p.acked < m.ver || time.Since(p.told) < ackWait:
		return // it knows, or will know soon
	}
	m.tellLocked(id, p, m.frameLocked())
}

func (m *mine) acknowledged(id bus.NodeID, serial, ver uint64) {
	m.mu.Lock()
	if p := m.informed[id]; p != nil && p.serial == serial {
		p.acked = max(p.acked, ver)
	}
	m.mu.Unlock()
	m.settle()
}

// knownLocked reports whether every peer that was ever told, and is still connected so, knows
// version ver.
func (m *mine) knownLocked(ver uint64) bool {
	for id, p := range m.informed {
		if p.acked >= ver {
			continue
		}
		if p.serial == m.f.opt.Links.Standing(id) {
			return false
		}
		delete(m.informed, id)
	}
	return true
}

// settle runs what has waited long enough.
func (m *mine) settle() {
	var ready []func()
	m.mu.Lock()
	for len(m.waiting) > 0 && m.knownLocked(m.waiting[0].ver) {
		ready = append(ready, m.waiting[0].ready)
		m.waiting[0] = waiter{}
		m.waiting = m.waiting[1:]
	}
	m.mu.Unlock()
	for _, f := range ready {
		f()
	}
}

// look sees to it that nobody waits for a peer that is gone or does not answer.
func (m *mine) look() {
	m.mu.Lock()
	if len(m.waiting) > 0 && time.Now().After(m.waiting[0].until) {
		for id, p := range m.informed {
			if p.acked < m.waiting[0].ver {
				m.f.Stats.Unanswered.Inc()
				m.f.opt.Links.Break(p.serial, id)
				delete(m.informed, id)
			}
		}
	}
	m.mu.Unlock()
	m.settle()
	m.mu.Lock()
	if m.looking = len(m.waiting) > 0; m.looking {
		time.AfterFunc(lookEvery, m.look)
	}
	m.mu.Unlock()
}
