package arena

import "math/bits"

const (
	pageBits = 12
	pageSize = 1 << pageBits

	// slabMax is the largest block cut from a slab; larger ones are spans.
	slabMax = 32 << 10

	// spanMax is the largest span within a chunk; larger ones are mapped on their own.
	spanMax = 2 << 20

	// Classes: 8, 16 … 128, then sixteen steps to each doubling up to fineMax, where most blocks are small collections of
	// much the same size, and eight up to slabMax.
	fineMax = 2 << 10
	fine    = 16 + 4*16
	classes = fine + 4*8
)

// ClassSize is the size of the block that a request of n bytes gets: for n beyond the
// largest class, n and the span header rounded up to pages, less the header.
func ClassSize(n int) int {
	if n <= slabMax {
		return int(classSize[classOf(n)])
	}
	return (n+spanHeader+pageSize-1)&^(pageSize-1) - spanHeader
}

// classOf is the smallest class that holds n bytes. REQUIRES: n <= slabMax.
func classOf(n int) int {
	if n <= 128 {
		if n <= 8 {
			return 0
		}
		return (n+7)>>3 - 1
	}
	// With 2^k < n <= 2^(k+1), the step is 2^(k-4) or 2^(k-3).
	k := bits.Len(uint(n-1)) - 1
	if n <= fineMax {
		return 16 + (k-7)*16 + (n-1-1<<k)>>(k-4)
	}
	return fine + (k-11)*8 + (n-1-1<<k)>>(k-3)
}

// classSize, slabKind and slabBlocks are tables over classes, constant after start.
var classSize, slabKind, slabBlocks = buildClasses()

// slabSizes by kind: larger blocks come in larger slabs so that the tail is small.
var slabSizes = [3]int{16 << 10, 64 << 10, 256 << 10}

func buildClasses() (size [classes]uint32, kind [classes]uint8, blocks [classes]uint32) {
	for i := range size {
		switch {
		case i < 16:
			size[i] = uint32(i+1) * 8
		case i < fine:
			k := (i-16)/16 + 7
			size[i] = 1<<k + uint32((i-16)%16+1)<<(k-4)
		default:
			k := (i-fine)/8 + 11
			size[i] = 1<<k + uint32((i-fine)%8+1)<<(k-3)
		}
		switch {
		case size[i] <= 2<<10:
			kind[i] = 0
		case size[i] <= 8<<10:
			kind[i] = 1
		default:
			kind[i] = 2
		}
		blocks[i] = (16<<10<<(2*kind[i]) - slabHeader) / size[i]
	}
	return
}

// Stats counts a heap's memory. The zero value counts nothing.
type Stats struct {
	Blocks int64 // blocks in use
	Asked  int64 // bytes asked for in them
	Block  int64 // bytes of those blocks
	Slab   int64 // bytes of the slabs and spans they lie in
	Moves  int64 // blocks that Defrag asked the owner to move and that were moved
}

// Add adds o to s.
func (s *Stats) Add(o Stats) {
	s.Blocks += o.Blocks
	s.Asked += o.Asked
	s.Block += o.Block
	s.Slab += o.Slab
	s.Moves += o.Moves
}

// Ref names a block within its heap: 48 bits, 0 is none.
type Ref uint64

// RefBits is how many bits of a Ref are used.
const RefBits = 48

const (
	slabHeader = 64
	spanHeader = 16
)
