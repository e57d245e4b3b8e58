package sorted

import (
	"bytes"
	"hash/maphash"
	"slices"
	"unsafe"

	"github.com/sextantdb/sextant/store/arena"
)

const (
	segMin = 16  // slots of the first segment at the beginning
	segMax = 512 // slots of a segment that must be split rather than grow
	// maxDepth bounds the directory; beyond it segments grow. No honest hash gets there.
	maxDepth = 24

	slotBytes    = 16
	segmentBytes = 64
)

// seed makes the places of members unknown to those who choose them. Set once, before main.
var seed = maphash.MakeSeed()

// hash is a member's tag: the top bits choose its segment, the low ones its slot.
func hash(member []byte) uint32 { return uint32(maphash.Bytes(seed, member)) }

// segment is an open-addressing table of the members whose tags begin with the same bits.
// slots has a power of two of them; at least a quarter is empty.
type segment struct {
	gen   uint64
	depth uint8 // how many bits of the tag all its members share
	n     int
	slots []entry
}

// entry is a slot of a segment; ref 0 means empty.
type entry struct {
	tag, ref uint32
	score    float64
}

func (s *Set) newSegment(depth uint8, slots int) *segment {
	s.bytes += segmentBytes + slotBytes*int64(slots)
	return &segment{gen: s.gen, depth: depth, slots: make([]entry, slots)}
}

func (s *Set) dropSegment(g *segment) { s.bytes -= segmentBytes + slotBytes*int64(len(g.slots)) }

// place is where a tag's segment stands in the directory.
func (s *Set) place(tag uint32) uint32 { return uint32(uint64(tag) << s.depth >> 32) }

func (s *Set) segmentOf(tag uint32) *segment { return s.dir[s.place(tag)] }

// find is the slot of member, or -1.
func (s *Set) find(g *segment, tag uint32, member []byte) int {
	mask := uint32(len(g.slots) - 1)
	for i := tag & mask; ; i = (i + 1) & mask {
		e := &g.slots[i]
		if e.ref == 0 {
			return -1
		}
		if e.tag == tag && bytes.Equal(s.member(e.ref), member) {
			return int(i)
		}
	}
}

// Warm has the memory fetched that finding some members, at most 64, will need; see value.Warmer.
func (s *Set) Warm(members [][]byte) {
	var tags [64]uint32
	for i, m := range members {
		tags[i] = hash(m)
		arena.Prefetch(uintptr(unsafe.Pointer(&s.dir[s.place(tags[i])])))
	}
	for _, tag := range tags[:len(members)] {
		arena.Prefetch(uintptr(unsafe.Pointer(s.segmentOf(tag))))
	}
	for _, tag := range tags[:len(members)] {
		g := s.segmentOf(tag)
		at := uintptr(unsafe.Pointer(&g.slots[tag&uint32(len(g.slots)-1)]))
		arena.Prefetch(at)
		arena.Prefetch(at + 64)
	}
	for _, tag := range tags[:len(members)] {
		g := s.segmentOf(tag)
		mask := uint32(len(g.slots) - 1)
		for i := tag & mask; g.slots[i].ref != 0; i = (i + 1) & mask {
			if e := &g.slots[i]; e.tag == tag {
				arena.Prefetch(uintptr(unsafe.Pointer(&s.chunks[e.ref>>unitBits].data[e.ref&(1<<unitBits-1)*unit])))
				break
			}
		}
	}
}

// findRef is find for a member that is known by its ref.
func (s *Set) findRef(g *segment, tag, ref uint32) int {
	mask := uint32(len(g.slots) - 1)
	for i := tag & mask; ; i = (i + 1) & mask {
		switch g.slots[i].ref {
		case 0:
			return -1
		case ref:
			return int(i)
		}
	}
}

// ownSegment is segmentOf for changing it. Slots keep their places.
func (s *Set) ownSegment(tag uint32) *segment {
	g := s.segmentOf(tag)
	if g.gen == s.gen {
		return g
	}
	own := *g
	own.gen = s.gen
	own.slots = slices.Clone(g.slots)
	s.enter(&own, tag)
	return &own
}

// enter puts g into all its places, which are those of tag.
func (s *Set) enter(g *segment, tag uint32) {
	span := uint32(1) << (s.depth - g.depth)
	first := s.place(tag) &^ (span - 1)
	for i := range span {
		s.dir[first+i] = g
	}
}

func (s *Set) insertSlot(tag, ref uint32, score float64) {
	g := s.ownSegment(tag)
	for (g.n+1)*4 > len(g.slots)*3 {
		g = s.makeRoom(g, tag)
	}
	g.put(entry{tag, ref, score})
}

func (g *segment) put(e entry) {
	mask := uint32(len(g.slots) - 1)
	i := e.tag & mask
	for g.slots[i].ref != 0 {
		i = (i + 1) & mask
	}
	g.slots[i] = e
	g.n++
}

// makeRoom doubles a small segment and halves a large one. It returns that of tag.
func (s *Set) makeRoom(g *segment, tag uint32) *segment {
	if len(g.slots) < segMax || g.depth == maxDepth {
		bigger := s.newSegment(g.depth, 2*len(g.slots))
		g.each(bigger.put)
		s.enter(bigger, tag)
		s.dropSegment(g)
		return bigger
	}
	if g.depth == s.depth {
		s.doubleDirectory()
	}
	bit := uint32(1) << (31 - g.depth)
	low, high := s.newSegment(g.depth+1, segMax), s.newSegment(g.depth+1, segMax)
	g.each(func(e entry) {
		if e.tag&bit == 0 {
			low.put(e)
		} else {
			high.put(e)
		}
	})
	s.enter(low, tag&^bit)
	s.enter(high, tag|bit)
	s.dropSegment(g)
	if tag&bit == 0 {
		return low
	}
	return high
}

func (s *Set) doubleDirectory() {
	dir := make([]*segment, 2*len(s.dir))
	for i, g := range s.dir {
		dir[2*i], dir[2*i+1] = g, g
	}
	s.dir = dir
	s.depth++
}

func (g *segment) each(fn func(entry)) {
	for _, e := range g.slots {
		if e.ref != 0 {
			fn(e)
		}
	}
}

// removeSlot empties slot i of tag's segment.
func (s *Set) removeSlot(tag uint32, i int) {
	g := s.ownSegment(tag)
	mask := uint32(len(g.slots) - 1)
	hole := uint32(i)
	for j := (hole + 1) & mask; g.slots[j].ref != 0; j = (j + 1) & mask {
		// An entry may move to the hole if that is not before where its search begins.
		if home := g.slots[j].tag & mask; (j-home)&mask >= (j-hole)&mask {
			g.slots[hole] = g.slots[j]
			hole = j
		}
	}
	g.slots[hole] = entry{}
	g.n--
	if g.n < len(g.slots)/8 {
		s.shrink(g, tag)
	}
}

// shrink joins a sparse segment with its other half, or halves it when it is the only one.
func (s *Set) shrink(g *segment, tag uint32) {
	if g.depth == 0 {
		if len(g.slots) > segMin {
			smaller := s.newSegment(0, len(g.slots)/2)
			g.each(smaller.put)
			s.enter(smaller, tag)
			s.dropSegment(g)
		}
		return
	}
	bit := uint32(1) << (32 - g.depth)
	other := s.segmentOf(tag ^ bit)
	if other.depth != g.depth || g.n+other.n > segMax/2 {
		return
	}
	both := s.newSegment(g.depth-1, segMax)
	g.each(both.put)
	other.each(both.put)
	s.enter(both, tag)
	s.dropSegment(g)
	s.dropSegment(other)
}

// Scan visits at least count members, if there are as many, in the order of their tags,
// beginning at cursor, and returns the cursor to go on with, 0 at the end. A member that is
// in the set from the first call (cursor 0) to the last is visited exactly once, whatever
// else changes in between.
func (s *Set) Scan(cursor uint64, count int, fn func(member []byte, score float64)) uint64 {
	var sorted [segMax]entry
	for cursor < 1<<32 {
		g := s.segmentOf(uint32(cursor))
		some := sorted[:0]
		g.each(func(e entry) {
			if uint64(e.tag) >= cursor {
				some = append(some, e)
			}
		})
		slices.SortFunc(some, func(a, b entry) int {
			if a.tag < b.tag {
				return -1
			}
			return 1
		})
		for i, e := range some {
			if count <= 0 && e.tag != some[max(i-1, 0)].tag {
				return uint64(e.tag)
			}
			fn(s.member(e.ref), e.score)
			count--
		}
		span := uint64(1) << (32 - g.depth)
		cursor = (cursor + span) &^ (span - 1)
		if count <= 0 && cursor < 1<<32 {
			return cursor
		}
	}
	return 0
}
