package store

import (
	"math/bits"
	"unsafe"

	"github.com/sextantdb/sextant/store/arena"
	"github.com/sextantdb/sextant/store/slot"
)

// A table holds the keys of one slot of one space in the order of their hashes. It is an
// extendible hash: a directory, indexed by the hash's first bits, of segments, each a
// packed array of at most segMax words sorted by hash. So
//
//   - memory is 8 bytes a key and a few per cent of slack, at any size;
//   - the work of one insertion or deletion is bounded by one segment (a giant slot grows
//     by splitting segments; only its directory doubles, 8 bytes per hundred keys);
//   - "all keys whose hash is at least x" means the same before and after growth and
//     shrinking, which SCAN's cursors and the snapshot's walk rest on.
//
// A word is a tag, the 16 bits of the hash after the segment's first depth bits, above the
// 48-bit ref of the entry. Tags find a word without touching entries: the tag says about
// where in the array it must be. Only a split, which uses up a bit, hashes keys again.
//
// The table is guarded by its stripe's lock.
type table struct {
	slot  slot.Slot
	space int32
	bits  uint8 // len(dir) == 1<<bits
	deep  int32 // segments whose depth is bits; 0 means that dir can be halved
	keys  int
	// dir[i] is the segment of the hashes that begin with i in bits bits. A segment of
	// less depth stands in several places in a row.
	dir []arena.Ref
	// What dir is while there is one segment, so that a slot's first key costs one allocation; here, so that a lookup
	// finds it in the cache line of what is above.
	dir0 [1]arena.Ref
	// next is a tournament tree over the directory: next[len(dir)+i] is a lower bound of
	// the expiry times in the segment whose first place is i (never elsewhere), next[j] the
	// lesser of next[2j] and next[2j+1]. nil while no key has an expiry.
	next []int64
	// What next is while there is one segment.
	next0 [2]int64
}

// tableBytes is what a table with one segment takes of Go's heap.
const tableBytes = int64(unsafe.Sizeof(table{}))

const (
	segHeader = 16
	segMax    = 256
	// maxDepth bounds the directory; segments at this depth grow beyond segMax, up to
	// segLimit keys, which takes 2^32 times as many keys or an attacker who knows the seed.
	maxDepth = 28
	segLimit = 1<<16 - 16

	refMask = 1<<arena.RefBits - 1
)

// segment is a block of the tables heap: the header and n words.
type segment struct {
	n        uint16
	cap      uint16 // words the block has room for
	volatile uint16 // of the n, keys with an expiry
	slot     uint16
	space    uint16
	depth    uint8
	_        uint8
	prefix   uint32 // the first depth bits of the hashes in it
}

func (st *stripe) seg(r arena.Ref) *segment { return (*segment)(st.tables.At(r)) }

// words is the first n words of g's array.
func (g *segment) words(n int) []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Add(unsafe.Pointer(g), segHeader)), n)
}

func (g *segment) all() []uint64 { return g.words(int(g.n)) }

// tagOf is the tag of hash h in a segment of the given depth.
func tagOf(h uint64, depth uint8) uint64 { return h << depth >> 48 }

// search returns the first place in w whose tag is not below tag.
func search(w []uint64, tag uint64) int {
	// Tags are uniform, so the place is known within a few words.
	i := int(tag * uint64(len(w)) >> 16)
	for i < len(w) && w[i]>>48 < tag {
		i++
	}
	for i > 0 && w[i-1]>>48 >= tag {
		i--
	}
	return i
}

// place is where a key is, or would be, in its table.
type place struct {
	st    *stripe
	part  *part
	tab   *table // nil when the slot has no key
	seg   *segment
	b     block // the entry, nil when absent
	ref   arena.Ref
	hash  uint64
	dir   int // index in tab.dir
	i     int // index in the segment's words
	slot  slot.Slot
	space int
}

// find fills in where key, of slot sl, is in space. REQUIRES: the stripe of sl is held.
func (s *Store) find(p *place, space int, sl slot.Slot, key []byte) {
	p.slot = sl
	p.hash = s.hash(key)
	p.st = &s.stripes[p.slot&s.stripeMask]
	p.space = space
	s.refind(p, key)
}

// findKey is find for a key whose slot is not at hand.
func (s *Store) findKey(p *place, space int, key []byte) { s.find(p, space, slot.Of(key), key) }

// refind is find for a place whose slot and hash are known.
func (s *Store) refind(p *place, key []byte) {
	p.b, p.tab = nil, nil
	p.part = p.st.parts[p.space].Load()
	if p.part == nil {
		return
	}
	tab := p.part.tables[p.slot>>s.stripeBits]
	if tab == nil {
		return
	}
	p.tab = tab
	p.dir = int(p.hash >> (64 - tab.bits)) // a shift by 64 gives 0
	p.seg = p.st.seg(tab.dir[p.dir])
	tag := tagOf(p.hash, p.seg.depth)
	w := p.seg.all()
	p.i = search(w, tag)
	for i := p.i; i < len(w) && w[i]>>48 == tag; i++ {
		ref := arena.Ref(w[i] & refMask)
		if b := p.st.entries.At(ref); string(entryKey(b)) == string(key) {
			p.b, p.ref, p.i = b, ref, i
			return
		}
	}
}

// findRef finds the place of the entry ref, whose key is known to be key; false if no
// space's table holds it (it has been detached).
func (s *Store) findRef(p *place, key []byte, ref arena.Ref) bool {
	p.slot = slot.Of(key)
	p.hash = s.hash(key)
	p.st = &s.stripes[p.slot&s.stripeMask]
	for space := range p.st.parts {
		p.space = space
		if s.refind(p, key); p.b != nil && p.ref == ref {
			return true
		}
	}
	return false
}

// insert puts the entry ref at p, where find found nothing. at is its expiry time.
func (s *Store) insert(p *place, ref arena.Ref, at int64) {
	st := p.st
	if p.tab == nil {
		p.part = s.partOf(st, p.space)
		tab := &table{slot: p.slot, space: int32(p.space), deep: 1}
		tab.dir = tab.dir0[:]
		tab.dir[0] = st.newSegment(tab, 4, segment{})
		st.goBytes += tableBytes
		p.part.tables[p.slot>>s.stripeBits] = tab
		p.tab, p.dir, p.seg, p.i = tab, 0, st.seg(tab.dir[0]), 0
	}
	tab := p.tab
	for p.seg.n >= segMax && p.seg.depth < maxDepth {
		s.split(st, tab, p.dir)
		p.dir = int(p.hash >> (64 - tab.bits))
		p.seg = st.seg(tab.dir[p.dir])
		p.i = search(p.seg.all(), tagOf(p.hash, p.seg.depth))
	}
	n := int(p.seg.n)
	if n+1 >= segLimit {
		panic("store: a segment overflows: the hash has failed")
	}
	if n == int(p.seg.cap) {
		p.seg = st.resizeSegment(tab, p.dir, n+1+n>>4)
	}
	p.seg.n++
	w := p.seg.all()
	copy(w[p.i+1:], w[p.i:n])
	w[p.i] = tagOf(p.hash, p.seg.depth)<<48 | uint64(ref)
	p.ref, p.b = ref, st.entries.At(ref)
	tab.keys++
	p.part.keys.Add(1)
	if at != NoExpire {
		p.noteExpire(s, NoExpire, at)
	}
}

// newSegment allocates a segment with room for n words or a few more, and none in it.
func (st *stripe) newSegment(tab *table, n int, g segment) arena.Ref {
	size := arena.ClassSize(segHeader + 8*n)
	r := st.tables.Alloc(size)
	g.n, g.volatile, g.cap, g.slot, g.space = 0, 0, uint16(min((size-segHeader)/8, segLimit)), tab.slot, uint16(tab.space)
	*st.seg(r) = g
	return r
}

func (st *stripe) freeSegment(r arena.Ref) {
	st.tables.Free(r, st.tables.Size(r))
}

// resizeSegment moves the segment at dir[d] to a block with room for n words.
func (st *stripe) resizeSegment(tab *table, d, n int) *segment {
	old := tab.dir[d]
	g := st.seg(old)
	r := st.newSegment(tab, n, *g)
	h := st.seg(r)
	h.n, h.volatile = g.n, g.volatile
	copy(h.all(), g.all())
	tab.point(h, r)
	st.freeSegment(old)
	return h
}

// places is where g stands in the directory.
func (tab *table) places(g *segment) (first, n int) {
	up := tab.bits - g.depth
	return int(g.prefix) << up, 1 << up
}

// point makes g's places refer to r.
func (tab *table) point(g *segment, r arena.Ref) {
	first, n := tab.places(g)
	for i := first; i < first+n; i++ {
		tab.dir[i] = r
	}
}

// split divides the segment at dir[d] in two of one depth more.
func (s *Store) split(st *stripe, tab *table, d int) {
	old := tab.dir[d]
	g := st.seg(old)
	if g.depth == tab.bits {
		s.grow(st, tab)
	}
	depth := g.depth + 1
	w := g.all()
	half := search(w, 1<<15) // the tag's first bit is the one that becomes prefix
	lower := tab.bound(g)
	for side, part := range [2][]uint64{w[:half], w[half:]} {
		r := st.newSegment(tab, len(part)+len(part)>>4+1, segment{depth: depth, prefix: g.prefix<<1 | uint32(side)})
		h := st.seg(r)
		h.n = uint16(len(part))
		fields := false // some hash has fields that expire
		to := h.all()
		for i, word := range part {
			b := st.entries.At(arena.Ref(word & refMask))
			if entryFlags(b)&flagExpire != 0 {
				h.volatile++
			}
			fields = fields || st.fieldExpiry(b) != never
			word = tagOf(s.hash(entryKey(b)), depth)<<48 | word&refMask
			// The tag has lost its first bit and got a new last one: equal tags may part.
			j := i
			for ; j > 0 && to[j-1]>>48 > word>>48; j-- {
				to[j] = to[j-1]
			}
			to[j] = word
		}
		tab.point(h, r)
		at, _ := tab.places(h)
		if tab.next != nil {
			if h.volatile == 0 && !fields {
				tab.setBound(at, never)
			} else {
				tab.setBound(at, lower)
			}
		}
	}
	if depth == tab.bits {
		tab.deep += 2
	}
	st.freeSegment(old)
}

// grow doubles the directory.
func (s *Store) grow(st *stripe, tab *table) {
	dir := make([]arena.Ref, 2*len(tab.dir))
	for i, r := range tab.dir {
		dir[2*i], dir[2*i+1] = r, r
	}
	s.setDir(st, tab, dir, func(i int) int { return 2 * i })
	tab.deep = 0
}

// setDir replaces the directory; bounds move from place i to place to(i).
func (s *Store) setDir(st *stripe, tab *table, dir []arena.Ref, to func(i int) int) {
	st.goBytes += 8 * int64(len(dir)-len(tab.dir))
	if old := tab.next; old != nil {
		st.goBytes += 16 * int64(len(dir)-len(tab.dir))
		tab.next = make([]int64, 2*len(dir))
		for i := range tab.next {
			tab.next[i] = never
		}
		for i, at := range old[len(tab.dir):] {
			if j := to(i); at != never {
				tab.next[len(dir)+j] = min(tab.next[len(dir)+j], at)
			}
		}
		for i := len(dir) - 1; i > 0; i-- {
			tab.next[i] = min(tab.next[2*i], tab.next[2*i+1])
		}
	}
	tab.dir = dir
	tab.bits = uint8(bits.Len(uint(len(dir))) - 1)
}

// remove takes the word of p out of its segment; the entry's block is the caller's. at is
// the expiry time it had.
func (s *Store) remove(p *place, at int64) {
	tab, g := p.tab, p.seg
	if at != NoExpire {
		p.noteExpire(s, at, NoExpire)
	}
	w := g.all()
	copy(w[p.i:], w[p.i+1:])
	g.n--
	tab.keys--
	p.part.keys.Add(-1)
	if tab.keys == 0 {
		s.dropTable(p)
		return
	}
	n := int(g.n)
	if g.depth > 0 && n < segMax/4 && s.merge(p.st, tab, p.dir) {
		return
	}
	if want := n + n>>4 + 1; want < int(g.cap)*3/4 && arena.ClassSize(segHeader+8*want) < p.st.tables.Size(tab.dir[p.dir]) {
		p.st.resizeSegment(tab, p.dir, want)
	}
}

// dropTable removes the table of p, which has no key left.
func (s *Store) dropTable(p *place) {
	for i := 0; i < len(p.tab.dir); {
		g := p.st.seg(p.tab.dir[i])
		_, n := p.tab.places(g)
		p.st.freeSegment(p.tab.dir[i])
		i += n
	}
	s.unlinkTable(p.st, p.part, p.tab)
	s.forgetTable(p.st, p.tab)
	p.tab, p.b = nil, nil
}

// unlinkTable takes tab out of its part.
func (s *Store) unlinkTable(st *stripe, part *part, tab *table) {
	i := tab.slot >> s.stripeBits
	part.tables[i] = nil
	if part.next != nil {
		part.next[i] = never
	}
}

// forgetTable ends the accounting of a table's Go memory.
func (s *Store) forgetTable(st *stripe, tab *table) {
	st.goBytes -= tableBytes + 8*int64(len(tab.dir)-1)
	if tab.next != nil {
		st.goBytes -= 16 * int64(len(tab.dir)-1)
	}
}

// merge joins the segment at dir[d] with its sibling if both are small, then halves the
// directory while it can.
func (s *Store) merge(st *stripe, tab *table, d int) bool {
	g := st.seg(tab.dir[d])
	first, n := tab.places(g)
	sibling := tab.dir[first^n]
	h := st.seg(sibling)
	if h.depth != g.depth || int(g.n)+int(h.n) > segMax/2 {
		return false
	}
	left, right := g, h
	if g.prefix&1 == 1 {
		left, right = h, g
	}
	lower := min(tab.bound(left), tab.bound(right))
	leftRef, rightRef := tab.dir[first&^n], tab.dir[first|n]
	total := int(left.n) + int(right.n)
	r := st.newSegment(tab, total+total>>4+1, segment{depth: g.depth - 1, prefix: g.prefix >> 1})
	m := st.seg(r)
	m.n, m.volatile = uint16(total), left.volatile+right.volatile
	w := m.all()
	for i, word := range left.all() {
		w[i] = word>>49<<48 | word&refMask
	}
	for i, word := range right.all() {
		w[int(left.n)+i] = 1<<63 | word>>49<<48 | word&refMask
	}
	if tab.next != nil {
		tab.setBound(first|n, never)
		tab.setBound(first&^n, lower)
	}
	if g.depth == tab.bits {
		tab.deep -= 2
	}
	tab.point(m, r)
	st.freeSegment(leftRef)
	st.freeSegment(rightRef)
	for tab.deep == 0 && tab.bits > 0 {
		dir := make([]arena.Ref, len(tab.dir)/2)
		for i := range dir {
			dir[i] = tab.dir[2*i]
		}
		s.setDir(st, tab, dir, func(i int) int { return i / 2 })
		for i := 0; i < len(dir); {
			g := st.seg(dir[i])
			_, n := tab.places(g)
			if n == 1 {
				tab.deep++
			}
			i += n
		}
	}
	return true
}
