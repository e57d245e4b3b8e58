// Package fanout carries published messages between the nodes of a cluster: PUBLISH to every node
// that may have a subscriber, SPUBLISH to the nodes of the shard. cluster/node builds one Fanout,
// gives it what comes over the bus' pub/sub connections, and puts it behind the pub/sub family as
// its Others. It must not know clients, sockets or the walk of a request.
//
// # Who gets a message
//
// A node that has heard nothing from a peer sends it everything. A peer that gets a first message
// over a connection answers with its Interest: all messages (it has a pattern, or subscribers in
// very many buckets), or those of the buckets its channels fall into, by a hash. From then on the
// publisher leaves out what the peer does not want. So a cluster in which nobody publishes pays
// nothing, and nodes that only publish to each other's strangers stop after one message.
//
// # Why no message is lost
//
// The promise is Redis': a message published anywhere after a subscription was confirmed reaches
// the subscriber if the connection between the two nodes stands. Three rules keep it.
//
//  1. An Interest holds only for the connection it came over: when that connection is gone, on
//     whichever side, everything is sent again. (knowledge is compared with Links.Standing)
//  2. A node announces a wider Interest before the subscription that needs it is confirmed, to
//     every peer that has had one, and the confirmation waits for all their acknowledgements. (Claim)
//  3. A peer that does not acknowledge within ackWait loses the connection, and with it, by rule
//     1, the narrow Interest.
//
// A narrower Interest needs none of this. A subscription made inside MULTI cannot wait; there a
// message published elsewhere before the acknowledgements may be missed.
//
// # Bounds
//
// What waits for a peer is bounded by the budget of the link's pub/sub queue; what does not fit is
// dropped and counted, as is a message longer than maxMessage. One unfinished long message is kept
// per connection.
//
// # Concurrency
//
// All methods may be called from any goroutine; Received of one connection by one at a time. mine
// and theirs have a mutex each, neither is taken under the other; under them only Links and Options.Peers are
// called, which take locks of their own.
package fanout

import (
	"slices"
	"sync"
	"time"

	"github.com/sextantdb/sextant/bus"
	"github.com/sextantdb/sextant/store/stat"
)

const (
	// buckets is how many buckets channel names fall into.
	buckets = 4096
	// maxBuckets is the number of buckets from which on a node wants all messages.
	maxBuckets = 1024
	// partBytes is the longest part of a payload that travels in one frame.
	partBytes = 512 << 10
	// maxMessage bounds channel and payload of a message that travels between nodes.
	maxMessage = 32 << 20
	// maxChannel bounds the channel's name alone: it is in every part.
	maxChannel = 256 << 10
	// ackWait is how long a confirmation waits for a peer.
	ackWait = time.Second
	// lookEvery is how often it is looked whether a peer that is waited for is still connected.
	lookEvery = 50 * time.Millisecond
)

// Links are the pub/sub connections to other nodes. None of the methods waits for the network.
type Links interface {
	// Encode makes a frame that may be sent to many.
	Encode(b bus.Body) []byte
	// Send queues a frame for a node, whatever connection there is or will be.
	Send(to bus.NodeID, frame []byte) bool
	// SendOver queues a frame on one connection.
	SendOver(serial uint64, to bus.NodeID, frame []byte) bool
	// Standing is the connection that stands with a node now, 0 for none.
	Standing(id bus.NodeID) uint64
	// Break ends a connection.
	Break(serial uint64, id bus.NodeID)
}

// Options make a Fanout. All are needed.
type Options struct {
	Links Links
	// Peers calls f for the other nodes, with sharded those of this node's shard only.
	Peers func(sharded bool, f func(bus.NodeID))
	// Deliver gives a message to this node's subscribers.
	Deliver func(channel, payload []byte, sharded bool)
}

// Stats count messages between nodes.
type Stats struct {
	Sent       stat.Counter // messages sent, per receiver
	Spared     stat.Counter // not sent, since the node has no subscriber for them
	Dropped    stat.Counter // not sent for want of a connection or of room
	Received   stat.Counter
	Unwanted   stat.Counter // received, and no subscriber had announced them
	Torn       stat.Counter // parts of long messages whose other parts did not come
	Announced  stat.Counter // interests sent
	Waits      stat.Counter // subscriptions that waited for acknowledgements
	Unanswered stat.Counter // connections broken for a missing acknowledgement
}

// Fanout is one node's part in it.
type Fanout struct {
	Stats Stats

	opt Options

	mine   mine
	theirs struct {
		sync.RWMutex
		known map[bus.NodeID]interest // what peers want
	}
	parts struct {
		sync.Mutex
		open map[uint64]*assembly // by connection
	}
}

// interest is what one peer wants of messages sent over one connection.
type interest struct {
	serial uint64
	ver    uint64
	all    bool
	bits   []byte
}

// assembly is a long message that has not come whole.
type assembly struct {
	channel []byte
	payload []byte
	total   int
	sharded bool
	from    bus.NodeID
}

// New makes a Fanout.
func New(o Options) *Fanout {
	f := &Fanout{opt: o}
	f.mine.f = f
	f.mine.announced = make([]byte, buckets/8)
	f.mine.informed = map[bus.NodeID]*peer{}
	f.theirs.known = map[bus.NodeID]interest{}
	f.parts.open = map[uint64]*assembly{}
	return f
}

// bucket is FNV-1a of the name. All nodes must agree on it.
func bucket(name []byte) int {
	h := uint64(14695981039346656037)
	for _, c := range name {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return int((h ^ h>>32) % buckets)
}

func has(bits []byte, b int) bool { return bits[b>>3]&(1<<(b&7)) != 0 }

// Publish sends a message to the other nodes that may have subscribers. It keeps neither slice.
func (f *Fanout) Publish(channel, payload []byte, sharded bool) {
	var frames [][]byte
	b := bucket(channel)
	f.opt.Peers(sharded, func(id bus.NodeID) {
		if !sharded && !f.wants(id, b) {
			f.Stats.Spared.Inc()
			return
		}
		if frames == nil {
			frames = f.encode(channel, payload, sharded)
		}
		if len(frames) == 0 {
			f.Stats.Dropped.Inc()
			return
		}
		for _, frame := range frames {
			if !f.opt.Links.Send(id, frame) {
				f.Stats.Dropped.Inc()
				return
			}
		}
		f.Stats.Sent.Inc()
	})
}

// encode returns the frames of a message, empty if it is too long.
func (f *Fanout) encode(channel, payload []byte, sharded bool) [][]byte {
	if len(channel) > maxChannel || len(channel)+len(payload) > maxMessage {
		return [][]byte{}
	}
	if len(channel)+len(payload) <= partBytes {
		return [][]byte{f.opt.Links.Encode(&bus.Publish{Channel: channel, Payload: payload, Sharded: sharded})}
	}
	var frames [][]byte
	for at := 0; at < len(payload); at += partBytes {
		part := payload[at:min(at+partBytes, len(payload))]
		frames = append(frames, f.opt.Links.Encode(&bus.Publish{
			Channel: channel, Payload: part, Sharded: sharded, Total: uint32(len(payload)), At: uint32(at),
		}))
	}
	return frames
}

// wants reports whether a message of bucket b must be sent to a peer.
func (f *Fanout) wants(id bus.NodeID, b int) bool {
	f.theirs.RLock()
	defer f.theirs.RUnlock()
	k, ok := f.theirs.known[id]
	return !ok || k.all || has(k.bits, b) || k.serial != f.opt.Links.Standing(id)
}

// Received takes what came over connection serial from a node. It reports false for a body that
// is none of this package's.
func (f *Fanout) Received(from bus.NodeID, serial uint64, body bus.Body) bool {
	switch m := body.(type) {
	case *bus.Publish:
		f.published(from, serial, m)
	case *bus.Interest:
		f.adopt(from, serial, m)
	case *bus.InterestAck:
		f.mine.acknowledged(from, serial, m.Ver)
	default:
		return false
	}
	return true
}

func (f *Fanout) published(from bus.NodeID, serial uint64, m *bus.Publish) {
	if !m.Sharded {
		f.mine.inform(from, serial, bucket(m.Channel))
	}
	payload := m.Payload
	if m.Total > 0 {
		var whole bool
		if payload, whole = f.join(from, serial, m); !whole {
			return
		}
	}
	f.Stats.Received.Inc()
	f.opt.Deliver(m.Channel, payload, m.Sharded)
}

// join puts a part to those that came before. It returns the payload when it is whole.
func (f *Fanout) join(from bus.NodeID, serial uint64, m *bus.Publish) ([]byte, bool) {
	f.parts.Lock()
	defer f.parts.Unlock()
	a := f.parts.open[serial]
	if m.At == 0 {
		if a != nil {
			f.Stats.Torn.Inc()
			delete(f.parts.open, serial)
		}
		if int(m.Total) > maxMessage {
			f.Stats.Torn.Inc()
			return nil, false
		}
		a = &assembly{channel: m.Channel, total: int(m.Total), sharded: m.Sharded, from: from}
		f.parts.open[serial] = a
	} else if a == nil || len(a.payload) != int(m.At) || a.total != int(m.Total) || !slices.Equal(a.channel, m.Channel) {
		f.Stats.Torn.Inc()
		delete(f.parts.open, serial)
		return nil, false
	}
	a.payload = append(a.payload, m.Payload...)
	if len(a.payload) < a.total {
		return nil, false
	}
	delete(f.parts.open, serial)
	return a.payload, len(a.payload) == a.total
}

// adopt takes over what a peer wants and says so. Whatever is published here afterwards obeys it.
func (f *Fanout) adopt(from bus.NodeID, serial uint64, m *bus.Interest) {
	if !m.All && len(m.Buckets) != buckets/8 {
		return // of a version that counts otherwise: it goes on getting everything
	}
	f.theirs.Lock()
	if k, ok := f.theirs.known[from]; !ok || k.serial != serial || k.ver <= m.Ver {
		f.theirs.known[from] = interest{serial: serial, ver: m.Ver, all: m.All, bits: m.Buckets}
	}
	f.theirs.Unlock()
	f.opt.Links.SendOver(serial, from, f.opt.Links.Encode(&bus.InterestAck{Ver: m.Ver}))
}

// Tidy forgets what belongs to connections that are gone, and makes this node's Interest narrower
// when subscriptions have ended. Call it about once a second.
func (f *Fanout) Tidy() {
	f.theirs.Lock()
	for id, k := range f.theirs.known {
		if k.serial != f.opt.Links.Standing(id) {
			delete(f.theirs.known, id)
		}
	}
	f.theirs.Unlock()
	f.parts.Lock()
	for serial, a := range f.parts.open {
		if f.opt.Links.Standing(a.from) != serial {
			delete(f.parts.open, serial)
		}
	}
	f.parts.Unlock()
	f.mine.narrow()
}
