package arena

import (
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	chunkSize  = 4 << 20
	chunkPages = chunkSize / pageSize
	words      = chunkPages / 64
)

// Arena is the central page allocator. Its methods may be called from any goroutine.
type Arena struct {
	mapped atomic.Int64 // bytes mapped from the system
	free   atomic.Int64 // bytes of free pages, resident or not

	mu     sync.Mutex
	chunks []*chunk           // guarded by mu; in the order they were mapped
	byAddr map[uintptr]*chunk // guarded by mu; by address / chunkSize
	first  int                // guarded by mu; no chunk before it has a free page
	huge   map[uintptr]int    // guarded by mu; mappings of their own: address -> bytes
}

// chunk is chunkSize bytes of mapped memory, aligned to chunkSize. Guarded by Arena.mu.
type chunk struct {
	addr  uintptr
	free  [words]uint64 // bit = page is free
	dirty [words]uint64 // bit = page is free and may be resident; subset of free
	nfree int           // number of bits in free
	run   int           // no run of free pages is longer; may be too large
	none  [3]bool       // no aligned run for a slab of this kind is free
	index int           // its place in Arena.chunks
}

// NewArena makes an empty arena; nothing is mapped until it is needed.
func NewArena() *Arena {
	return &Arena{byAddr: map[uintptr]*chunk{}, huge: map[uintptr]int{}}
}

// Mapped is how many bytes are mapped from the system; Free how many of them are free pages.
func (a *Arena) Mapped() int64 { return a.mapped.Load() }
func (a *Arena) Free() int64   { return a.free.Load() }

// Close unmaps everything. REQUIRES: no block is used any more.
func (a *Arena) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.chunks {
		unmap(c.addr, chunkSize)
	}
	for addr, n := range a.huge {
		unmap(addr, n)
	}
	a.chunks, a.byAddr, a.huge, a.first = nil, map[uintptr]*chunk{}, map[uintptr]int{}, 0
	a.mapped.Store(0)
	a.free.Store(0)
}

// allocSlab returns the pages of a slab of the kind, aligned to its size.
func (a *Arena) allocSlab(kind uint8) uintptr {
	n := slabSizes[kind] >> pageBits
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := a.first; i < len(a.chunks); i++ {
		c := a.chunks[i]
		if c.nfree < n || c.none[kind] {
			continue
		}
		if at, ok := c.take(n, n); ok {
			return a.taken(c, at, n)
		}
		c.none[kind] = true
	}
	c := a.newChunk()
	at, _ := c.take(n, n)
	return a.taken(c, at, n)
}

func (a *Arena) taken(c *chunk, at, n int) uintptr {
	a.free.Add(-int64(n) * pageSize)
	for a.first < len(a.chunks) && a.chunks[a.first].nfree == 0 {
		a.first++
	}
	return c.addr + uintptr(at)<<pageBits
}

// allocSpan returns n pages in a row.
func (a *Arena) allocSpan(n int) uintptr {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n > spanMax/pageSize {
		size := n * pageSize
		addr := mmap(size)
		a.huge[addr] = size
		a.mapped.Add(int64(size))
		return addr
	}
	for i := a.first; i < len(a.chunks); i++ {
		c := a.chunks[i]
		if c.run < n {
			continue
		}
		if at, ok := c.take(n, 1); ok {
			return a.taken(c, at, n)
		}
	}
	c := a.newChunk()
	at, _ := c.take(n, 1)
	return a.taken(c, at, n)
}

// release gives back what allocSlab or allocSpan returned.
func (a *Arena) release(addr uintptr, n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n > spanMax/pageSize {
		size, ok := a.huge[addr]
		if !ok || size != n*pageSize {
			panic("arena: release of a mapping that is not one")
		}
		delete(a.huge, addr)
		unmap(addr, size)
		a.mapped.Add(-int64(size))
		return
	}
	c := a.byAddr[addr/chunkSize]
	if c == nil {
		panic("arena: release of pages that are not the arena's")
	}
	at := int(addr-c.addr) >> pageBits
	for i := at; i < at+n; i++ {
		if c.free[i>>6]&(1<<(i&63)) != 0 {
			panic("arena: pages released twice")
		}
		c.free[i>>6] |= 1 << (i & 63)
		c.dirty[i>>6] |= 1 << (i & 63)
	}
	c.nfree += n
	c.run = chunkPages
	a.free.Add(int64(n) * pageSize)
	c.none = [3]bool{}
	a.first = min(a.first, c.index)
}

// take finds the lowest aligned run of n free pages and marks it used.
func (c *chunk) take(n, align int) (int, bool) {
	longest := 0
	for at := 0; at+n <= chunkPages; {
		if c.free[at>>6] == 0 {
			at = (at>>6 + 1) << 6
			continue
		}
		if c.free[at>>6]&(1<<(at&63)) == 0 {
			at++
			at = (at + align - 1) &^ (align - 1)
			continue
		}
		end := c.runEnd(at, at+n)
		longest = max(longest, end-at)
		if end-at >= n {
			for i := at; i < at+n; i++ {
				c.free[i>>6] &^= 1 << (i & 63)
				c.dirty[i>>6] &^= 1 << (i & 63)
			}
			c.nfree -= n
			return at, true
		}
		at = (end + align) &^ (align - 1)
	}
	if align == 1 {
		c.run = longest
	}
	return 0, false
}

// runEnd is the end of the run of free pages that begins at from, at most limit.
func (c *chunk) runEnd(from, limit int) int {
	for from < limit {
		left := bits.TrailingZeros64(^(c.free[from>>6] >> (from & 63)))
		left = min(left, 64-from&63)
		if left == 0 {
			break
		}
		from += left
	}
	return min(from, limit)
}

// newChunk maps a chunk. REQUIRES: mu held.
func (a *Arena) newChunk() *chunk {
	// Map twice the size and cut off what is not aligned.
	raw := mmap(2 * chunkSize)
	addr := (raw + chunkSize - 1) &^ (chunkSize - 1)
	if addr > raw {
		unmap(raw, int(addr-raw))
	}
	if end := raw + 2*chunkSize; end > addr+chunkSize {
		unmap(addr+chunkSize, int(end-addr-chunkSize))
	}
	// Huge pages would make memory resident that no block is in; measured, they gain nothing.
	advise(addr, chunkSize, unix.MADV_NOHUGEPAGE)
	c := &chunk{addr: addr, nfree: chunkPages, run: chunkPages, index: len(a.chunks)}
	for i := range c.free {
		c.free[i] = ^uint64(0)
	}
	a.chunks = append(a.chunks, c)
	a.byAddr[addr/chunkSize] = c
	a.mapped.Add(chunkSize)
	a.free.Add(chunkSize)
	return c
}

// Release gives up to maxBytes of free pages that may be resident back to the system, and
// unmaps chunks that are wholly free but for one. It returns how many bytes it gave.
func (a *Arena) Release(maxBytes int64) (given int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	spare := false
	for i := len(a.chunks) - 1; i >= 0 && given < maxBytes; i-- {
		c := a.chunks[i]
		if c.nfree == chunkPages && spare {
			for _, w := range c.dirty {
				given += int64(bits.OnesCount64(w)) * pageSize
			}
			unmap(c.addr, chunkSize)
			delete(a.byAddr, c.addr/chunkSize)
			a.chunks = append(a.chunks[:i], a.chunks[i+1:]...)
			for j := i; j < len(a.chunks); j++ {
				a.chunks[j].index = j
			}
			a.first = 0
			a.mapped.Add(-chunkSize)
			a.free.Add(-chunkSize)
			continue
		}
		spare = spare || c.nfree == chunkPages
		for at := 0; at < chunkPages && given < maxBytes; {
			if w := c.dirty[at>>6] >> (at & 63); w == 0 {
				at = (at>>6 + 1) << 6
				continue
			} else if skip := bits.TrailingZeros64(w); skip > 0 {
				at += skip
				continue
			}
			end := at
			for end < chunkPages && c.dirty[end>>6]&(1<<(end&63)) != 0 {
				c.dirty[end>>6] &^= 1 << (end & 63)
				end++
			}
			dontNeed(c.addr+uintptr(at)<<pageBits, (end-at)<<pageBits)
			given += int64(end-at) << pageBits
			at = end
		}
	}
	return given
}

// pointer makes an address of mapped memory a pointer. The memory is no Go memory, so the
// collector neither moves nor frees it.
func pointer(addr uintptr) unsafe.Pointer { return unsafe.Add(unsafe.Pointer(nil), addr) }

func mmap(n int) uintptr {
	p, err := unix.MmapPtr(-1, 0, nil, uintptr(n), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		panic(fmt.Sprintf("arena: out of memory: the system refuses %d more bytes: %v", n, err))
	}
	return uintptr(p)
}

func unmap(addr uintptr, n int) {
	if err := unix.MunmapPtr(pointer(addr), uintptr(n)); err != nil {
		panic(fmt.Sprintf("arena: unmap of %d bytes: %v", n, err))
	}
}

// dontNeed drops the pages' content; they read as zero afterwards. A refusal (locked
// memory) costs memory, not correctness.
func dontNeed(addr uintptr, n int) {
	advise(addr, n, unix.MADV_DONTNEED)
}

// advise is madvise as a raw system call: an ordinary one wakes the runtime's monitor thread, see resp/server.
func advise(addr uintptr, n, advice int) {
	_, _, _ = unix.RawSyscall(unix.SYS_MADVISE, addr, uintptr(n), uintptr(advice))
}
