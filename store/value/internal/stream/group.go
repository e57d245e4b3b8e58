package stream

import (
	"slices"
	"unsafe"
)

// Group is a consumer group: how far it has been given the stream's entries, its consumers, and
// the pending entries, which a consumer was given and has not acknowledged. The exported fields
// may be set in a Group that EditGroup or CreateGroup returned.
//
// Invariant: an id is pending in the group if and only if it is in the list of exactly one
// consumer, the one the pending entry names.
type Group struct {
	gen  uint64
	s    *Stream // whose it is; of use only while gen is the Stream's
	Name string
	// Last is the last id given to a consumer.
	Last ID
	// Read is how many entries of the stream had been given or passed over up to Last;
	// ReadUnknown if that is not known.
	Read int64

	pel   index[Pending]
	slots []*Consumer // by Owner; nil ones are free
	order []Owner     // by name
}

// Owner is the number of a consumer within its group, as long as it exists.
type Owner uint32

// NoOwner is the owner of pending entries while a group is being read, before its consumers are.
const NoOwner = ^Owner(0)

// Consumer is a reader within a group.
type Consumer struct {
	gen  uint64
	Name string
	// Seen is when it last tried to read or claim, Active when it last was given something, -1 never. Both in
	// Unix ms.
	Seen, Active int64

	pel index[ID]
}

// Pending is an entry that a consumer was given and has not acknowledged.
type Pending struct {
	ID    ID
	Time  int64  // of the last delivery, Unix ms
	Count uint64 // of deliveries
	Owner Owner
}

func (p Pending) key() ID { return p.ID }

// Pending is the number of the consumer's pending entries.
func (c *Consumer) Pending() int { return c.pel.n }

// Pending is the number of the group's pending entries.
func (g *Group) Pending() int { return g.pel.n }

// Consumers are the numbers of the consumers in the order of their names. The slice is the
// Group's.
func (g *Group) Consumers() []Owner { return g.order }

// Consumer is a consumer by its number, for reading.
func (g *Group) Consumer(o Owner) *Consumer { return g.slots[o] }

// Find finds a consumer by its name.
func (g *Group) Find(name []byte) (Owner, bool) {
	if i, ok := g.find(name); ok {
		return g.order[i], true
	}
	return NoOwner, false
}

func (g *Group) find(name []byte) (int, bool) {
	return slices.BinarySearchFunc(g.order, name, func(o Owner, name []byte) int { return compareName(g.slots[o].Name, name) })
}

// EditConsumer is a consumer for setting Seen and Active.
func (g *Group) EditConsumer(o Owner) *Consumer {
	c := g.slots[o]
	if c.gen != g.gen {
		n := *c
		n.gen, n.pel.shared = g.gen, true
		c = &n
		g.slots[o] = c
	}
	return c
}

// CreateConsumer adds a consumer seen now; false if there is one of that name.
func (g *Group) CreateConsumer(name []byte, now int64) (Owner, bool) {
	i, ok := g.find(name)
	if ok {
		return g.order[i], false
	}
	g.s.mem -= g.tableBytes()
	o := Owner(len(g.slots))
	if len(g.order) < len(g.slots) {
		o = Owner(slices.Index(g.slots, nil))
	} else {
		g.slots = append(g.slots, nil)
	}
	c := &Consumer{gen: g.gen, Name: string(name), Seen: now, Active: -1}
	g.slots[o] = c
	g.order = slices.Insert(g.order, i, o)
	g.s.mem += g.tableBytes() + c.headBytes()
	return o, true
}

// RemoveConsumer takes a consumer out with its pending entries, whose number it returns.
func (g *Group) RemoveConsumer(o Owner) int {
	c := g.slots[o]
	for _, p := range c.pel.pages {
		for _, id := range p.items {
			at, _ := g.pel.seek(id)
			g.pel.remove(g.gen, at, &g.s.mem)
		}
	}
	i, _ := g.find([]byte(c.Name))
	g.order = slices.Delete(g.order, i, i+1)
	g.s.mem -= c.headBytes() + c.pel.bytes()
	g.slots[o] = nil
	return c.pel.n
}

// Get finds a pending entry.
func (g *Group) Get(id ID) (Pending, bool) {
	at, ok := g.pel.seek(id)
	if !ok {
		return Pending{}, false
	}
	return g.pel.at(at), true
}

// Put makes an entry pending, or changes the pending one with its id. REQUIRES: Owner is a
// consumer of the group.
func (g *Group) Put(p Pending) {
	mem := &g.s.mem
	at, ok := g.pel.seek(p.ID)
	if !ok {
		g.pel.insert(g.gen, p, mem)
		g.EditConsumer(p.Owner).pel.insert(g.gen, p.ID, mem)
		return
	}
	if was := g.pel.at(at).Owner; was != p.Owner {
		if was != NoOwner {
			g.disown(was, p.ID)
		}
		g.EditConsumer(p.Owner).pel.insert(g.gen, p.ID, mem)
	}
	g.pel.set(g.gen, at, p, mem)
}

func (g *Group) disown(o Owner, id ID) {
	c := g.EditConsumer(o)
	at, _ := c.pel.seek(id)
	c.pel.remove(g.gen, at, &g.s.mem)
}

// Ack makes an entry no longer pending and reports whether it was.
func (g *Group) Ack(id ID) bool {
	at, ok := g.pel.seek(id)
	if ok {
		g.disown(g.pel.at(at).Owner, id)
		g.pel.remove(g.gen, at, &g.s.mem)
	}
	return ok
}

// PutUnowned adds a pending entry that still lacks its consumer, when a group is being read;
// false if there is one with that id.
func (g *Group) PutUnowned(id ID, time int64, count uint64) bool {
	if _, ok := g.pel.seek(id); ok {
		return false
	}
	g.pel.insert(g.gen, Pending{id, time, count, NoOwner}, &g.s.mem)
	return true
}

// Own gives the pending entry to a consumer; false if there is no such entry, or another
// consumer has it.
func (g *Group) Own(id ID, o Owner) bool {
	p, ok := g.Get(id)
	if !ok || p.Owner != NoOwner {
		return false
	}
	p.Owner = o
	g.Put(p)
	return true
}

// AllOwned reports whether each pending entry has its consumer.
func (g *Group) AllOwned() bool {
	n := 0
	for _, o := range g.order {
		n += g.slots[o].pel.n
	}
	return n == g.pel.n
}

// From is the first pending entry with an id not below that; false if there is none. With an
// owner, the first of that consumer.
func (g *Group) From(id ID, o Owner) (Pending, bool) {
	if o == NoOwner {
		at, _ := g.pel.seek(id)
		if !g.pel.ok(at) {
			return Pending{}, false
		}
		return g.pel.at(at), true
	}
	pel := &g.slots[o].pel
	at, _ := pel.seek(id)
	if !pel.ok(at) {
		return Pending{}, false
	}
	return g.Get(pel.at(at))
}

// PendingIter walks pending entries. They may be changed and taken out meanwhile.
type PendingIter struct {
	Pending
	g    *Group
	o    Owner
	next ID
	end  bool
}

// Walk walks the pending entries from an id on; with an owner, those of that consumer.
func (g *Group) Walk(from ID, o Owner) PendingIter { return PendingIter{g: g, o: o, next: from} }

// Next goes to the next entry, at first to the first, and reports whether there is one.
func (it *PendingIter) Next() bool {
	if it.end {
		return false
	}
	p, ok := it.g.From(it.next, it.o)
	if !ok {
		it.end = true
		return false
	}
	it.Pending = p
	if it.next, ok = p.ID.Next(); !ok {
		it.end = true
	}
	return true
}

// Edges are the lowest and the highest pending id. REQUIRES: Pending() > 0.
func (g *Group) Edges() (lo, hi ID) { return g.pel.first().ID, g.pel.last().ID }

// copy is g for changing it in s.
func (g *Group) copy(s *Stream) *Group {
	c := *g
	c.gen, c.s = s.gen, s
	s.mem -= g.tableBytes()
	c.slots, c.order = slices.Clone(g.slots), slices.Clone(g.order)
	s.mem += c.tableBytes()
	c.pel.shared = true
	return &c
}

// What things take, for the account of memory.

func (g *Group) tableBytes() int64 { return 8*int64(cap(g.slots)) + 4*int64(cap(g.order)) }
func (g *Group) headBytes() int64 {
	return int64(unsafe.Sizeof(*g)) + int64(len(g.Name)) + g.tableBytes()
}
func (c *Consumer) headBytes() int64 { return int64(unsafe.Sizeof(*c)) + int64(len(c.Name)) }

func (g *Group) allBytes() int64 {
	n := g.headBytes() + g.pel.bytes()
	for _, o := range g.order {
		n += g.slots[o].headBytes() + g.slots[o].pel.bytes()
	}
	return n
}
