//go:build arenacheck || race

package arena

import (
	"bytes"
	"fmt"
	"unsafe"
)

// Checked reports whether this is the checking variant.
const Checked = true

const (
	canary  = "\xfd\xfc\xfb\xfa\xf9\xf8\xf7\xf6"
	newborn = 0xcd
	dead    = 0xdd
)

// Heap is the checking variant: see the package doc.
type Heap struct {
	a      *Arena
	stats  Stats
	blocks map[Ref]*checked
	graves []*checked // the last freed blocks, looked at again for late writes
	next   Ref
	cursor Ref // where Defrag goes on
}

type checked struct {
	mem   []byte // canary, block, canary
	asked int
}

// NewHeap makes an empty heap.
func (a *Arena) NewHeap() *Heap {
	// Refs of different heaps differ, so that a foreign one is found out.
	base := Ref(a.mapped.Add(1)) << 32
	return &Heap{a: a, blocks: map[Ref]*checked{}, next: base}
}

func (h *Heap) Stats() Stats      { return h.stats }
func (h *Heap) BlockBytes() int64 { return h.stats.Block }

func (h *Heap) get(r Ref) *checked {
	b := h.blocks[r]
	if b == nil {
		panic(fmt.Sprintf("arena: block %#x is not alive in this heap", r))
	}
	return b
}

func (b *checked) block() []byte {
	return b.mem[len(canary) : len(b.mem)-len(canary) : len(b.mem)-len(canary)]
}

func (b *checked) check(r Ref) {
	if string(b.mem[:len(canary)]) != canary || string(b.mem[len(b.mem)-len(canary):]) != canary {
		panic(fmt.Sprintf("arena: block %#x of %d bytes was written outside its bounds", r, b.asked))
	}
}

func (h *Heap) At(r Ref) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(h.get(r).block())) }
func (h *Heap) Size(r Ref) int          { return len(h.get(r).block()) }
func (h *Heap) Bytes(r Ref) []byte      { return h.get(r).block() }

// Alloc returns a block of at least n bytes. Its content is arbitrary.
func (h *Heap) Alloc(n int) Ref { return h.AllocRoom(n, n) }

// AllocRoom is Alloc(n) of a block with room to grow to room bytes by Resize.
func (h *Heap) AllocRoom(n, room int) Ref {
	size := ClassSize(room)
	b := &checked{mem: make([]byte, size+2*len(canary)), asked: n}
	copy(b.mem, canary)
	copy(b.mem[len(canary)+size:], canary)
	paint(b.block(), newborn)
	h.next += 8
	h.blocks[h.next] = b
	h.stats.Add(Stats{Blocks: 1, Asked: int64(n), Block: int64(size), Slab: int64(size)})
	return h.next
}

func (h *Heap) Free(r Ref, n int) {
	b := h.get(r)
	b.check(r)
	if b.asked != n {
		panic(fmt.Sprintf("arena: block %#x of %d bytes is freed as one of %d", r, b.asked, n))
	}
	size := int64(len(b.block()))
	paint(b.mem, dead)
	delete(h.blocks, r)
	h.graves = append(h.graves, b)
	if len(h.graves) == 64 {
		for _, g := range h.graves {
			if bytes.Count(g.mem, []byte{dead}) != len(g.mem) {
				panic(fmt.Sprintf("arena: a block of %d bytes was written after it was freed", g.asked))
			}
		}
		h.graves = h.graves[:0]
	}
	h.stats.Add(Stats{Blocks: -1, Asked: -int64(n), Block: -size, Slab: -size})
}

// paint fills b by copying, which the race detector takes as one access a step.
func paint(b []byte, c byte) {
	if len(b) > 0 {
		b[0] = c
	}
	for n := 1; n < len(b); n *= 2 {
		copy(b[n:], b[:n])
	}
}

func (h *Heap) Resize(r Ref, old, n int) bool {
	b := h.get(r)
	b.check(r)
	if b.asked != old {
		panic(fmt.Sprintf("arena: block %#x of %d bytes is resized as one of %d", r, b.asked, old))
	}
	if n > len(b.block()) || (n < old && ClassSize(n) != len(b.block())) {
		return false
	}
	b.asked = n
	h.stats.Asked += int64(n - old)
	return true
}

func (h *Heap) Adopt(from *Heap, r Ref, n int) (Ref, bool) {
	b := from.get(r)
	if b.asked != n {
		panic(fmt.Sprintf("arena: block %#x of %d bytes is adopted as one of %d", r, b.asked, n))
	}
	if n <= slabMax {
		return 0, false
	}
	size := int64(len(b.block()))
	delete(from.blocks, r)
	from.stats.Add(Stats{Blocks: -1, Asked: -int64(n), Block: -size, Slab: -size})
	h.next += 8
	h.blocks[h.next] = b
	h.stats.Add(Stats{Blocks: 1, Asked: int64(n), Block: size, Slab: size})
	return h.next, true
}

func (h *Heap) Trim() {}

// Defrag moves up to budget blocks, wherever they lie, in the order of their birth.
func (h *Heap) Defrag(budget int, move func(Ref) bool) (moved int, more bool) {
	var todo []Ref
	for r := range h.blocks {
		if r > h.cursor && len(todo) < budget {
			todo = append(todo, r)
		}
	}
	if len(todo) == 0 {
		h.cursor = h.next
		return 0, false
	}
	for _, r := range todo {
		h.get(r).check(r)
		if move(r) {
			if h.blocks[r] != nil {
				panic(fmt.Sprintf("arena: block %#x was reported moved and is still there", r))
			}
			moved++
			h.stats.Moves++
		}
	}
	h.cursor = max(h.cursor, todo[len(todo)-1])
	return moved, false
}
