//go:build !arenacheck && !race

package arena

import "unsafe"

// Checked reports whether this is the checking variant.
const Checked = false

// kinds of blocks, in the low three bits of a Ref (blocks are aligned to 8): 0 to 2 are
// slab sizes, see slabSizes.
const kindSpan = 3

// bins sort the slabs of a class that have free blocks by how full they are, in quarters.
const bins = 4

// Heap is a set of blocks with one owner, whose lock guards it.
type Heap struct {
	a      *Arena
	stats  Stats
	evac   *slab           // the slab being emptied by Defrag, in no bin
	evacAt uint32          // the next block of evac to look at
	empty  *slab           // the slab emptied last; it may be in use again
	scan   int             // the class Defrag looks at next
	class  *[classes]class // 4.5 KB, nil until the first block: most heaps of a small node have none. Not in Stats
}

type class struct {
	bin   [bins]*slab // heads of the lists of slabs with a free block
	slabs int32
	live  int32 // blocks in use
}

// slab is the header at a slab's start, in mapped memory: its pointers point to other
// slabs, never to Go's heap.
type slab struct {
	next, prev *slab
	class      uint16
	bin        uint8
	evac       bool
	live       uint32 // blocks in use
	used       uint32 // blocks ever used: those from here on are untouched memory
	head       uint32 // first free block below used, +1; 0 is none
}

// NewHeap makes an empty heap.
func (a *Arena) NewHeap() *Heap { return &Heap{a: a} }

// Stats returns the heap's counts.
func (h *Heap) Stats() Stats { return h.stats }

// BlockBytes is Stats().Block, which the owner asks often.
func (h *Heap) BlockBytes() int64 { return h.stats.Block }

// At is the address of the block's memory, of Size(r) bytes.
func (h *Heap) At(r Ref) unsafe.Pointer { return pointer(uintptr(r) &^ 7) }

// Size is how many bytes the block really has.
func (h *Heap) Size(r Ref) int {
	if r&7 == kindSpan {
		return *spanPages(r)*pageSize - spanHeader
	}
	return int(classSize[slabOf(r).class])
}

// Bytes is the block's memory.
func (h *Heap) Bytes(r Ref) []byte { return unsafe.Slice((*byte)(h.At(r)), h.Size(r)) }

// Alloc returns a block of at least n bytes. Its content is arbitrary.
func (h *Heap) Alloc(n int) Ref { return h.AllocRoom(n, n) }

// AllocRoom is Alloc(n) of a block with room to grow to room bytes by Resize.
func (h *Heap) AllocRoom(n, room int) Ref {
	h.stats.Blocks++
	h.stats.Asked += int64(n)
	if room > slabMax {
		pages := (room + spanHeader + pageSize - 1) >> pageBits
		addr := h.a.allocSpan(pages)
		prefault(addr, n+spanHeader)
		h.stats.Block += int64(pages)*pageSize - spanHeader
		h.stats.Slab += int64(pages) * pageSize
		*(*int)(pointer(addr)) = pages
		return Ref(addr + spanHeader | kindSpan)
	}
	if h.class == nil {
		h.class = new([classes]class)
	}
	ci := classOf(room)
	c := &h.class[ci]
	var s *slab
	for b := bins - 1; b >= 0; b-- {
		if s = c.bin[b]; s != nil {
			break
		}
	}
	if s == nil {
		s = h.newSlab(ci)
	}
	size := classSize[ci]
	h.stats.Block += int64(size)
	c.live++
	i := s.head
	if i != 0 {
		i--
		s.head = *(*uint32)(s.block(i))
	} else {
		i = s.used
		s.used++
	}
	s.live++
	h.rebin(s)
	return Ref(uintptr(s.block(i)) | uintptr(slabKind[ci]))
}

// Free ends a block. n is the size last asked for it.
func (h *Heap) Free(r Ref, n int) {
	h.stats.Blocks--
	h.stats.Asked -= int64(n)
	if r&7 == kindSpan {
		pages := *spanPages(r)
		h.stats.Block -= int64(pages)*pageSize - spanHeader
		h.stats.Slab -= int64(pages) * pageSize
		h.a.release(uintptr(r)&^7-spanHeader, pages)
		return
	}
	s := slabOf(r)
	size := classSize[s.class]
	i := uint32(uintptr(r)&^7-uintptr(unsafe.Pointer(s))-slabHeader) / size
	*(*uint32)(s.block(i)) = s.head
	s.head = i + 1
	s.live--
	h.stats.Block -= int64(size)
	h.class[s.class].live--
	if s.evac {
		if s.live == 0 {
			h.evac = nil
			h.freeSlab(s)
		}
		return
	}
	h.rebin(s)
	if s.live == 0 {
		// The slab emptied last is kept, or a key set and deleted in turn would get and give
		// back pages each time.
		if e := h.empty; e != nil && e != s && e.live == 0 {
			h.unlink(e)
			h.freeSlab(e)
		}
		h.empty = s
	}
}

// Resize changes the asked size of the block from old to n without moving it; false means
// that it must move (or, to shrink, should).
func (h *Heap) Resize(r Ref, old, n int) bool {
	// A block of old bytes has room for the class of old. So that needs no look at the slab, which is seldom in the cache.
	if n < old || n > old && n > ClassSize(old) {
		if n > h.Size(r) || (n < old && ClassSize(n) != h.Size(r)) {
			return false
		}
	}
	h.stats.Asked += int64(n - old)
	return true
}

// Adopt takes over a block of another heap of the same arena without copying it. false: the
// block lies in a slab of that heap and must be copied.
func (h *Heap) Adopt(from *Heap, r Ref, n int) (Ref, bool) {
	if r&7 != kindSpan {
		return 0, false
	}
	pages := int64(*spanPages(r)) * pageSize
	from.stats.Add(Stats{Blocks: -1, Asked: -int64(n), Block: -(pages - spanHeader), Slab: -pages})
	h.stats.Add(Stats{Blocks: 1, Asked: int64(n), Block: pages - spanHeader, Slab: pages})
	return r, true
}

// Trim gives the slab kept without blocks back to the arena.
func (h *Heap) Trim() {
	if e := h.empty; e != nil && e.live == 0 {
		h.unlink(e)
		h.freeSlab(e)
	}
}

// Defrag empties sparse slabs: it calls move for up to budget blocks, which must move each
// (Alloc, copy, Free) and report true, or report false when it cannot. more tells that
// there is more worth doing.
func (h *Heap) Defrag(budget int, move func(Ref) bool) (moved int, more bool) {
	for moved < budget {
		if h.evac == nil && !h.pickVictim() {
			return moved, false
		}
		s := h.evac
		var live [256]byte // one bit a block; the smallest class has 2040 of them
		s.liveBits(&live)
		kind := uintptr(slabKind[s.class])
		for ; h.evac == s && h.evacAt < s.used && moved < budget; h.evacAt++ {
			i := h.evacAt
			if live[i>>3]&(1<<(i&7)) == 0 {
				continue
			}
			if !move(Ref(uintptr(s.block(i)) | kind)) {
				// The owner is busy with the block (or lost it): leave the slab alone.
				h.evacAt = s.used
				break
			}
			moved++
			h.stats.Moves++
		}
		if h.evac == s && h.evacAt >= s.used {
			// Blocks remain: they could not be moved. Use the slab as before.
			s.evac = false
			h.evac = nil
			h.link(s)
			return moved, false
		}
	}
	return moved, true
}

// pickVictim chooses the next slab to empty, if any class wastes enough to bother: free
// blocks for more than one whole slab, and more than 1/16 of the blocks in use.
func (h *Heap) pickVictim() bool {
	if h.class == nil {
		return false
	}
	for range classes {
		h.scan = (h.scan + 1) % classes
		c := &h.class[h.scan]
		per := int32(slabBlocks[h.scan])
		idle := c.slabs*per - c.live
		if idle < per+per/4 || idle*16 < c.live {
			continue
		}
		for b := range c.bin[:3] { // never a slab over three quarters full
			if s := c.bin[b]; s != nil {
				h.unlink(s)
				if s.live == 0 {
					h.freeSlab(s)
					return h.pickVictim()
				}
				s.evac = true
				h.evac, h.evacAt = s, 0
				return true
			}
		}
	}
	return false
}

func (h *Heap) newSlab(ci int) *slab {
	size := slabSizes[slabKind[ci]]
	addr := h.a.allocSlab(slabKind[ci])
	if h.class[ci].slabs >= prefaultFrom && slabKind[ci] < 2 {
		prefault(addr, size)
	}
	s := (*slab)(pointer(addr))
	*s = slab{class: uint16(ci)}
	h.class[ci].slabs++
	h.stats.Slab += int64(size)
	h.link(s)
	return s
}

// freeSlab gives s back. REQUIRES: s has no block and is in no bin.
func (h *Heap) freeSlab(s *slab) {
	if h.empty == s {
		h.empty = nil
	}
	size := slabSizes[slabKind[s.class]]
	h.class[s.class].slabs--
	h.stats.Slab -= int64(size)
	h.a.release(uintptr(unsafe.Pointer(s)), size>>pageBits)
}

// rebin moves s to the bin its filling asks for.
func (h *Heap) rebin(s *slab) {
	if b := s.wantBin(); b != s.bin {
		h.unlink(s)
		h.linkAt(s, b)
	}
}

func (h *Heap) link(s *slab) { h.linkAt(s, s.wantBin()) }

// wantBin is the quarter s is filled to, or bins when it is full.
func (s *slab) wantBin() uint8 { return uint8(s.live * bins / slabBlocks[s.class]) }

func (h *Heap) linkAt(s *slab, b uint8) {
	s.bin = b
	s.prev, s.next = nil, nil
	if b == bins {
		return
	}
	head := &h.class[s.class].bin[b]
	if s.next = *head; s.next != nil {
		s.next.prev = s
	}
	*head = s
}

func (h *Heap) unlink(s *slab) {
	if s.bin == bins {
		return
	}
	if s.prev != nil {
		s.prev.next = s.next
	} else {
		h.class[s.class].bin[s.bin] = s.next
	}
	if s.next != nil {
		s.next.prev = s.prev
	}
}

func slabOf(r Ref) *slab {
	return (*slab)(pointer(uintptr(r) &^ (uintptr(16<<10)<<(2*(r&7)) - 1)))
}

// block is the address of block i.
func (s *slab) block(i uint32) unsafe.Pointer {
	return unsafe.Add(unsafe.Pointer(s), slabHeader+uintptr(i)*uintptr(classSize[s.class]))
}

// liveBits sets the bits of the blocks in use.
func (s *slab) liveBits(live *[256]byte) {
	for i := uint32(0); i < s.used; i++ {
		live[i>>3] |= 1 << (i & 7)
	}
	for i := s.head; i != 0; i = *(*uint32)(s.block(i - 1)) {
		live[(i-1)>>3] &^= 1 << ((i - 1) & 7)
	}
}

func spanPages(r Ref) *int { return (*int)(pointer(uintptr(r)&^7 - spanHeader)) }
