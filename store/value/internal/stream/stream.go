// Package stream owns streams as values: entries in the order of their ids, and consumer groups
// with what they have been given and not yet acknowledged. Package value puts its Object around
// Stream; nobody else uses it. It knows no key, no command and no clock: times are arguments.
//
// # Entries
//
// Entries stand in nodes. A node is a listpack in exactly the form Redis keeps and writes to RDB
// (node.go), so saving copies bytes: the fields of its first entry stand once, ids are
// differences to the first, and an entry deleted out of the middle is only marked. The last node
// takes new entries until the limits say that it is full; a node whose last live entry goes is
// dropped.
//
// # Index
//
// Redis finds a node by a radix tree over the 16 bytes of its first id. Ids of one stream mostly
// share their first bytes and are added at one end and trimmed at the other, which a radix tree
// turns into chains of nearly empty nodes, and which leaves nothing to balance. So the index here
// is a row of pages, each a sorted array of up to pageItems (index.go): two binary searches find a
// node, adding at the end and trimming at the front touch one page, and the overhead is 9 bytes a
// node. The same structure holds the pending entries of groups (40 bytes each, in place) and of
// consumers (16 bytes each), where Redis has two radix trees and an allocation.
//
// # Copies
//
// Clone shares nodes, pages, groups and consumers. Each of them says the generation it was made
// in; a Stream changes in place only those of its own generation, and copies any other first.
// Reading never writes, so a clone may be read on another goroutine while the original changes.
package stream

import (
	"slices"
	"unsafe"

	"github.com/sextantdb/sextant/store/value/internal/listpack"
)

// Limits are stream-node-max-bytes and stream-node-max-entries; 0 is no limit.
type Limits struct {
	NodeBytes, NodeEntries int
}

// MaxEntryBytes is what the fields and values of one entry may take together.
const MaxEntryBytes = listpack.MaxBytes

// nodeBytes is the size up to which nodes are filled.
func (l *Limits) nodeBytes() int {
	if l.NodeBytes <= 0 || l.NodeBytes > listpack.MaxBytes {
		return listpack.MaxBytes
	}
	return l.NodeBytes
}

// Stream is a stream. The zero value is not usable; see New. One goroutine at a time may use it,
// except that a Clone may be used beside its origin.
type Stream struct {
	gen   uint64 // not below that of anything in it; what is below is shared with a clone
	nodes index[*node]
	n     int // live entries
	mem   int64

	// Last is the highest id ever given out: new ones are above it, and Last is not below the id of
	// any entry.
	Last ID
	// First is the id of the first entry, zero without one.
	First ID
	// MaxDeleted is the highest id XDEL ever took out.
	MaxDeleted ID
	// Added counts the entries ever added.
	Added uint64

	groups []*Group // by name
	// groupsShared: the array of groups belongs to a clone too.
	groupsShared bool
}

// New makes an empty stream.
func New() *Stream {
	s := &Stream{gen: 1}
	s.mem = int64(unsafe.Sizeof(*s))
	return s
}

// Len is the number of entries.
func (s *Stream) Len() int { return s.n }

// MemBytes is the memory held, as if nothing were shared.
func (s *Stream) MemBytes() int64 { return s.mem }

// Nodes is the number of nodes, Pages that of the index.
func (s *Stream) Nodes() int { return s.nodes.n }

// Pages is the number of pages of the index.
func (s *Stream) Pages() int { return len(s.nodes.pages) }

// Clone returns an independent copy that shares what neither changes.
func (s *Stream) Clone() *Stream {
	s.gen++
	s.nodes.shared, s.groupsShared = true, true
	c := *s
	return &c
}

// EachNode visits the nodes in order: the id that the others in it count from, and the listpack.
func (s *Stream) EachNode(fn func(id ID, pack []byte)) {
	for _, p := range s.nodes.pages {
		for _, nd := range p.items {
			fn(nd.id, nd.pack)
		}
	}
}

// AddNode adds a node that CheckNode has passed, behind the last; one without live entries is
// left out. The Stream owns pack from then on. It reports false, and adds nothing, if the node's ids do
// not lie above those before. It does not change Last, Added and MaxDeleted.
func (s *Stream) AddNode(id ID, pack []byte, c NodeCheck) bool {
	if s.nodes.n > 0 && c.FirstID.Compare(s.tail().lastID()) <= 0 {
		return false
	}
	if c.Live == 0 {
		return true
	}
	nd := &node{gen: s.gen, id: id, pack: pack, live: int32(c.Live), dead: int32(c.Dead)}
	nd.seekHead()
	s.mem += nd.bytes()
	s.nodes.add(s.gen, nd, &s.mem)
	s.n += c.Live
	if s.First.IsZero() {
		s.First = s.edge(false)
	}
	return true
}

func (s *Stream) tail() *node { return s.nodes.last() }

// LastEntry is the id of the last entry; false without one. (Last may be higher.)
func (s *Stream) LastEntry() (ID, bool) {
	if s.n == 0 {
		return ID{}, false
	}
	return s.edge(true), true
}

// FirstKept is the id of the first entry that takes room, be it a deleted one; MaxID without one.
func (s *Stream) FirstKept() ID {
	if s.nodes.n == 0 {
		return MaxID
	}
	nd := s.nodes.first()
	return nd.read(int(nd.head)).id
}

// edge is the id of the first or last live entry. REQUIRES: there is one.
func (s *Stream) edge(last bool) ID {
	it := s.Range(ID{}, MaxID, last)
	it.Next()
	return it.ID
}

// own makes the node that stands at a place of the index one that may be changed.
func (s *Stream) own(at place) *node {
	nd := s.nodes.at(at)
	if nd.gen == s.gen {
		return nd
	}
	c := *nd
	c.gen = s.gen
	c.pack = append(make(listpack.Pack, 0, len(nd.pack)), nd.pack...)
	s.mem += c.bytes() - nd.bytes()
	s.nodes.set(s.gen, at, &c, &s.mem)
	return &c
}

// Append adds an entry behind the last. fields are names and values in turn. REQUIRES: id >
// Last; not more than MaxEntryBytes.
func (s *Stream) Append(id ID, fields [][]byte, l *Limits) {
	total := 0
	for _, f := range fields {
		total += len(f)
	}
	room := 0 // for a new node: what the one before took, if that is full
	if s.nodes.n > 0 {
		nd := s.tail()
		if !nd.full(total, l) {
			if nd.gen != s.gen {
				nd = s.own(s.nodes.lastPlace())
			}
			was := cap(nd.pack)
			nd.append(id, fields)
			s.mem += int64(cap(nd.pack) - was)
			s.appended(id)
			return
		}
		if nd.gen == s.gen {
			s.fit(nd)
		}
		room = cap(nd.pack)
	}
	nd := newNode(s.gen, id, fields, room)
	s.mem += nd.bytes()
	s.nodes.add(s.gen, nd, &s.mem)
	s.appended(id)
}

func (s *Stream) appended(id ID) {
	if s.n == 0 {
		s.First = id
	}
	s.n++
	s.Last = id
	s.Added++
}

// fit gives back what a node that has been filled holds in reserve, if that is much: the sizes
// that memory comes in are up to a fifth apart.
func (s *Stream) fit(nd *node) {
	if size := len(nd.pack); cap(nd.pack)-size >= size/4 {
		s.mem -= nd.bytes()
		nd.pack = append(listpack.Pack(nil), nd.pack...)
		s.mem += nd.bytes()
	}
}

// Has reports whether there is an entry with the id.
func (s *Stream) Has(id ID) bool {
	it := s.Range(id, id, false)
	return it.Next()
}

// Delete takes an entry out and reports whether it was there. It sets First and MaxDeleted.
func (s *Stream) Delete(id ID) bool {
	it := s.Range(id, id, false)
	if !it.Next() {
		return false
	}
	at := it.place
	if nd := s.nodes.at(at); nd.live == 1 {
		s.drop(at)
	} else {
		nd = s.own(at)
		was := cap(nd.pack)
		nd.mark(it.from)
		nd.recount(nd.live-1, nd.dead+1)
		s.mem += int64(cap(nd.pack) - was)
		s.n--
	}
	if id.Compare(s.MaxDeleted) > 0 {
		s.MaxDeleted = id
	}
	if id == s.First {
		s.refirst()
	}
	return true
}

// drop takes a node out with its entries.
func (s *Stream) drop(at place) {
	nd := s.nodes.at(at)
	s.n -= int(nd.live)
	s.mem -= nd.bytes()
	s.nodes.remove(s.gen, at, &s.mem)
}

func (s *Stream) refirst() {
	s.First = ID{}
	if s.n > 0 {
		s.First = s.edge(false)
	}
}

// Trim says what to take from the front of a stream: all entries but the last MaxLen, or with
// ByID all below MinID.
type Trim struct {
	ByID   bool
	MaxLen uint64
	MinID  ID
	// Approx takes whole nodes only.
	Approx bool
	// Limit is the most entries to take; 0 is any number.
	Limit int64
}

// Trim takes entries from the front and returns how many.
func (s *Stream) Trim(t *Trim) (taken int64) {
	for s.nodes.n > 0 {
		nd := s.nodes.first()
		if !t.ByID && uint64(s.n) <= t.MaxLen || t.Limit > 0 && taken+int64(nd.live) > t.Limit {
			break
		}
		if t.ByID && nd.lastID().Compare(t.MinID) < 0 || !t.ByID && uint64(s.n-int(nd.live)) >= t.MaxLen {
			taken += int64(nd.live)
			s.drop(place{})
			continue
		}
		if !t.Approx {
			taken += s.trimWithin(t)
		}
		break
	}
	if taken > 0 {
		s.refirst()
	}
	return taken
}

// trimWithin is Trim for the first node, which does not go as a whole.
func (s *Stream) trimWithin(t *Trim) (taken int64) {
	nd := s.nodes.first()
	owned := false
	was := int64(0)
	for at := int(nd.head); at != nd.pack.End(); {
		e := nd.read(at)
		if t.ByID && e.id.Compare(t.MinID) >= 0 || !t.ByID && uint64(s.n) <= t.MaxLen {
			break
		}
		if e.flags&flagDeleted == 0 {
			if !owned {
				nd, owned = s.own(place{}), true
				was = nd.bytes()
			}
			nd.mark(at)
			taken++
			s.n--
		}
		at = nd.skip(e)
	}
	if taken == 0 {
		return 0
	}
	nd.recount(nd.live-int32(taken), nd.dead+int32(taken))
	s.mem += nd.bytes() - was
	if nd.live == 0 { // its last entry, a deleted one, is beyond MinID
		s.drop(place{})
	}
	return taken
}

// HasTombstones reports whether an entry taken out by XDEL might have stood between from and the
// end.
func (s *Stream) HasTombstones(from ID) bool {
	if s.n == 0 || s.MaxDeleted.IsZero() || s.First.Compare(s.MaxDeleted) > 0 {
		return false
	}
	return from.Compare(s.MaxDeleted) <= 0
}

// ReadUnknown is a group's count of entries read when it cannot be known.
const ReadUnknown = -1

// Distance is how many entries had been added up to and with id, ReadUnknown if that cannot be
// told.
func (s *Stream) Distance(id ID) int64 {
	if s.Added == 0 {
		return 0
	}
	last := id.Compare(s.Last)
	switch {
	case s.n == 0 && last <= 0, last == 0:
		return int64(s.Added)
	case last > 0:
		return ReadUnknown
	}
	if s.MaxDeleted.IsZero() || s.MaxDeleted.Compare(s.First) < 0 {
		switch c := id.Compare(s.First); {
		case c < 0:
			return int64(s.Added) - int64(s.n)
		case c == 0:
			return int64(s.Added) - int64(s.n) + 1
		}
	}
	return ReadUnknown
}

// Lag is how many entries a group has still to be given; false if that cannot be told.
func (s *Stream) Lag(g *Group) (int64, bool) {
	switch {
	case s.Added == 0:
		return 0, true
	case g.Read != ReadUnknown && !s.HasTombstones(g.Last):
		return int64(s.Added) - g.Read, true
	}
	d := s.Distance(g.Last)
	return int64(s.Added) - d, d != ReadUnknown
}

// Groups are the groups in the order of their names. The slice is the Stream's.
func (s *Stream) Groups() []*Group { return s.groups }

func (s *Stream) findGroup(name []byte) (int, bool) {
	return slices.BinarySearchFunc(s.groups, name, func(g *Group, name []byte) int { return compareName(g.Name, name) })
}

// Group finds a group for reading, nil if there is none.
func (s *Stream) Group(name []byte) *Group {
	if i, ok := s.findGroup(name); ok {
		return s.groups[i]
	}
	return nil
}

// EditGroup finds a group for changing it, nil if there is none.
func (s *Stream) EditGroup(name []byte) *Group {
	i, ok := s.findGroup(name)
	if !ok {
		return nil
	}
	g := s.groups[i]
	if g.gen != s.gen {
		s.ownGroups()
		g = g.copy(s)
		s.groups[i] = g
	}
	return g
}

func (s *Stream) ownGroups() {
	if s.groupsShared {
		s.mem -= 8 * int64(cap(s.groups))
		s.groups, s.groupsShared = slices.Clone(s.groups), false
		s.mem += 8 * int64(cap(s.groups))
	}
}

// CreateGroup adds a group that has been given everything up to last; nil if there is one of that
// name.
func (s *Stream) CreateGroup(name []byte, last ID, read int64) *Group {
	i, ok := s.findGroup(name)
	if ok {
		return nil
	}
	s.ownGroups()
	g := &Group{gen: s.gen, s: s, Name: string(name), Last: last, Read: read}
	s.mem += g.headBytes() - 8*int64(cap(s.groups))
	s.groups = slices.Insert(s.groups, i, g)
	s.mem += 8 * int64(cap(s.groups))
	return g
}

// DestroyGroup takes a group out and reports whether it was there.
func (s *Stream) DestroyGroup(name []byte) bool {
	i, ok := s.findGroup(name)
	if ok {
		s.ownGroups()
		s.mem -= s.groups[i].allBytes()
		s.groups = slices.Delete(s.groups, i, i+1)
	}
	return ok
}

// CheckMem panics if the account of memory is wrong. Tests call it.
func (s *Stream) CheckMem() {
	mem := int64(unsafe.Sizeof(*s)) + 8*int64(cap(s.groups)) + s.nodes.bytes()
	n := 0
	for _, p := range s.nodes.pages {
		for _, nd := range p.items {
			mem += nd.bytes()
			n += int(nd.live)
		}
	}
	for _, g := range s.groups {
		mem += g.allBytes()
	}
	if mem != s.mem || n != s.n {
		panic("stream: the counts are wrong")
	}
}

func compareName(a string, b []byte) int {
	switch {
	case a < string(b):
		return -1
	case a == string(b):
		return 0
	}
	return 1
}
