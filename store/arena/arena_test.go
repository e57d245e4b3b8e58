package arena_test

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/sextantdb/sextant/store/arena"
	"github.com/stretchr/testify/require"
)

func TestClassesWasteLittle(t *testing.T) {
	for n := 1; n < 200_000; n++ {
		size := arena.ClassSize(n)
		if size < n || size != arena.ClassSize(size) || n >= 64 && float64(size) > float64(n)*1.125+1 {
			t.Fatalf("%d bytes get a block of %d", n, size)
		}
	}
}

// held is a block the test owns, filled with its own byte.
type held struct {
	r    arena.Ref
	n    int
	fill byte
}

func fill(h *arena.Heap, b held) {
	m := h.Bytes(b.r)[:b.n]
	copy(m, bytes.Repeat([]byte{b.fill}, b.n))
}

func intact(t *testing.T, h *arena.Heap, b held) {
	m := h.Bytes(b.r)[:b.n]
	require.Equal(t, b.n, bytes.Count(m, []byte{b.fill}), "block of %d bytes", b.n)
}

func randomSize(r *rand.Rand) int {
	switch r.IntN(20) {
	case 0:
		return 1 + r.IntN(100_000)
	case 1:
		return 1 + r.IntN(3<<20)
	case 2, 3:
		return 1 + r.IntN(8000)
	}
	return 1 + r.IntN(200)
}

func TestBlocksKeepTheirContentWhileOthersComeAndGo(t *testing.T) {
	steps := 10_000
	if arena.Checked {
		steps = 1_000
	}
	for seed := range uint64(3) {
		r := rand.New(rand.NewPCG(seed, 0))
		a := arena.NewArena()
		h := a.NewHeap()
		var all []held
		asked := int64(0)
		at := map[arena.Ref]int{}
		for range steps {
			switch op := r.IntN(10); {
			case op < 5 && len(all) < 3000:
				n := randomSize(r)
				b := held{h.AllocRoom(n, n+r.IntN(50)), n, byte(r.Uint32())}
				require.GreaterOrEqual(t, h.Size(b.r), n)
				require.NotContains(t, at, b.r, "a block was given out twice")
				fill(h, b)
				at[b.r] = len(all)
				all = append(all, b)
				asked += int64(n)
			case op < 7 && len(all) > 0:
				b := &all[r.IntN(len(all))]
				if n := 1 + r.IntN(2*b.n); h.Resize(b.r, b.n, n) {
					require.LessOrEqual(t, n, h.Size(b.r))
					asked += int64(n - b.n)
					b.n = n
					fill(h, *b)
				}
			case op < 9 && len(all) > 0:
				i := r.IntN(len(all))
				b := all[i]
				intact(t, h, b)
				h.Free(b.r, b.n)
				asked -= int64(b.n)
				delete(at, b.r)
				all[i] = all[len(all)-1]
				all = all[:len(all)-1]
				if i < len(all) {
					at[all[i].r] = i
				}
			default:
				h.Defrag(r.IntN(50), func(old arena.Ref) bool {
					i, ok := at[old]
					require.True(t, ok, "a block is to be moved that is not in use")
					b := &all[i]
					to := h.Alloc(b.n)
					copy(h.Bytes(to)[:b.n], h.Bytes(old)[:b.n])
					h.Free(old, b.n)
					delete(at, old)
					b.r, at[to] = to, i
					return true
				})
				if r.IntN(50) == 0 {
					a.Release(1 << 20)
				}
			}
			s := h.Stats()
			require.Equal(t, int64(len(all)), s.Blocks)
			require.Equal(t, asked, s.Asked)
			require.LessOrEqual(t, s.Asked, s.Block)
			require.LessOrEqual(t, s.Block, s.Slab)
		}
		for _, b := range all {
			intact(t, h, b)
			h.Free(b.r, b.n)
		}
		h.Trim()
		require.Equal(t, arena.Stats{Moves: h.Stats().Moves}, h.Stats())
		if !arena.Checked {
			require.Equal(t, a.Mapped(), a.Free(), "all pages are free again")
			a.Release(1 << 40)
			require.LessOrEqual(t, a.Mapped(), int64(4<<20), "one chunk may stay")
			a.Close()
			require.Zero(t, a.Mapped())
		}
	}
}

func TestDefragEmptiesSparseSlabs(t *testing.T) {
	if arena.Checked {
		t.Skip("the checking variant has no slabs")
	}
	a := arena.NewArena()
	defer a.Close()
	h := a.NewHeap()
	r := rand.New(rand.NewPCG(1, 1))
	live := map[arena.Ref]byte{}
	for i := range 100_000 {
		ref := h.Alloc(88)
		fill(h, held{ref, 88, byte(i)})
		live[ref] = byte(i)
	}
	for ref := range live {
		if r.IntN(10) != 0 {
			h.Free(ref, 88)
			delete(live, ref)
		}
	}
	before := h.Stats()
	require.Greater(t, before.Slab, 5*before.Block, "the slabs are sparse")
	for steps, more := 0, true; more; steps++ {
		require.Less(t, steps, 100_000, "it must come to an end")
		var moved int
		moved, more = h.Defrag(10, func(old arena.Ref) bool {
			to := h.Alloc(88)
			copy(h.Bytes(to), h.Bytes(old))
			live[to] = live[old]
			delete(live, old)
			h.Free(old, 88)
			return true
		})
		require.LessOrEqual(t, moved, 10)
	}
	after := h.Stats()
	require.Less(t, float64(after.Slab), 1.15*float64(after.Block))
	for ref, c := range live {
		intact(t, h, held{ref, 88, c})
	}
	given := a.Release(1 << 40)
	require.Greater(t, given, (before.Slab-after.Slab)/2)
}

func TestAdoptMovesSpansBetweenHeaps(t *testing.T) {
	a := arena.NewArena()
	defer a.Close()
	h, g := a.NewHeap(), a.NewHeap()
	small, large := h.Alloc(100), h.Alloc(100_000)
	fill(h, held{large, 100_000, 7})
	_, ok := g.Adopt(h, small, 100)
	require.False(t, ok)
	moved, ok := g.Adopt(h, large, 100_000)
	require.True(t, ok)
	intact(t, g, held{moved, 100_000, 7})
	g.Free(moved, 100_000)
	h.Free(small, 100)
	require.Zero(t, h.Stats().Asked+g.Stats().Asked+g.Stats().Blocks)
}

func TestTheCheckingVariantFindsErrors(t *testing.T) {
	if !arena.Checked {
		t.Skip("needs the build tag arenacheck or race")
	}
	a := arena.NewArena()
	h, other := a.NewHeap(), a.NewHeap()
	r := h.Alloc(10)
	require.Panics(t, func() { other.Bytes(r) }, "a block of another heap")
	require.Panics(t, func() { h.Free(r, 11) }, "a wrong size")
	h.Free(r, 10)
	require.Panics(t, func() { h.Free(r, 10) }, "freed twice")
	require.Panics(t, func() { h.At(r) }, "used after free")
	r = h.Alloc(16)
	b := h.Bytes(r)
	h.Free(r, 16)
	b[3] = 1
	require.Panics(t, func() {
		for range 100 {
			h.Free(h.Alloc(8), 8)
		}
	}, "written after free")
}

// A store has some hundred heaps, most of them without a block on a small node.
func TestEmptyHeapIsSmall(t *testing.T) {
	require.LessOrEqual(t, unsafe.Sizeof(arena.Heap{}), uintptr(160))
}
