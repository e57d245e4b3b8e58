// Package arena hands out memory outside Go's heap, so that millions of keys cost the
// collector nothing. The store uses it (and value may); it knows nothing of keys.
//
// # Shape
//
// An Arena is the one central page allocator: chunks of 4 MiB mapped from the system, cut
// into pages of 4 KiB. A Heap belongs to one owner (the store gives each stripe some) and
// needs no lock of its own: the owner's lock is its lock. A heap cuts slabs, got from the
// arena, into blocks of one size class; classes are 8 bytes apart up to 128, then at
// most 6 %, and from 2 KiB on 12.5 % apart. Blocks beyond 32 KiB are runs of pages (spans), beyond 2 MiB mappings
// of their own. Slabs fill from their start, so pages never used are never resident; an
// emptied slab goes back to the arena at once, and Arena.Release gives free pages back to
// the system when the owner's housekeeping finds it is time.
//
// # Blocks and refs
//
// A block is named by a Ref of 48 bits, so its holder has 16 bits to spare beside it. The
// owner remembers the size it asked for and says it again at Free; the arena then counts
// bytes asked, bytes of blocks and bytes mapped without a header per block.
//
// Slabs of a class of which there are many, and spans, are asked for page by page no more but as a whole (prefault.go);
// owners of memory on Go's heap that grows the same way may use Prefault.
//
// # Emptying sparse slabs
//
// Frees leave holes. Heap.Defrag picks the emptiest slab of a class that wastes more than
// it should, stops allocating from it, and asks the owner to move each block still in it:
// the owner allocates anew, copies, redirects its pointer, frees the old block.
//
// # The checking variant
//
// With the build tag arenacheck or race, each block is a Go slice of its own with canaries
// around it, filled with a pattern at birth and at death; a freed, foreign or wrongly sized
// Ref panics, and the race detector sees every access. Defrag then moves blocks for no
// reason but to find pointers its owner forgot.
//
// # Lock order
//
// The heap's owner's lock, then Arena.mu, which is held for bit work and mapping calls.
package arena
