package sorted

import (
	"encoding/binary"

	"github.com/sextantdb/sextant/store/arena"
)

const (
	// unit is the alignment of records: a ref counts units, so 32 bits reach 16 GiB of
	// members. (Members in chunks of their own do not count by their length.)
	unit = 4
	// unitBits of a ref are the place within the chunk, the others the chunk's number.
	unitBits = 12
	chunkMax = unit << unitBits
	// chunkMin is what the first chunk begins with.
	chunkMin = 512
	// ownChunk is the longest record that shares a chunk with others.
	ownChunk = chunkMax / 4

	maxChunks       = 1 << (32 - unitBits)
	chunkEntryBytes = 32
)

// chunk is a piece of the log. Records lie one behind the other, each the length (uvarint)
// and the bytes of a member, padded to units. What is in data stays as it is: clones share
// it. Only the Set that began a chunk appends to it.
type chunk struct {
	data []byte
	live int32 // bytes of data that belong to members of the set
}

func recordBytes(n int) int {
	size := n + 1
	for v := n; v >= 0x80; v >>= 7 {
		size++
	}
	return (size + unit - 1) &^ (unit - 1)
}

// member is the bytes behind a ref. They stay what they are for ever.
func (s *Set) member(ref uint32) []byte {
	p := s.chunks[ref>>unitBits].data[ref&(1<<unitBits-1)*unit:]
	n := int(p[0])
	if n < 0x80 {
		return p[1 : 1+n : 1+n]
	}
	long, w := binary.Uvarint(p)
	return p[w : w+int(long) : w+int(long)]
}

// recordAt is the record that begins at byte off of a chunk, and its size.
func (s *Set) recordAt(number uint32, off int) (ref uint32, member []byte, size int) {
	ref = number<<unitBits | uint32(off/unit)
	member = s.member(ref)
	return ref, member, recordBytes(len(member))
}

// append writes a member into the log.
func (s *Set) append(member []byte) uint32 {
	size := recordBytes(len(member))
	if size > ownChunk {
		number := s.newChunk(size)
		s.write(number, member, size)
		return number << unitBits
	}
	if s.cur == 0 || len(s.chunks[s.cur].data)+size > chunkMax {
		first := chunkMax
		if s.used == 0 {
			first = max(chunkMin, size)
		}
		s.cur = s.newChunk(first)
	}
	at := len(s.chunks[s.cur].data)
	s.write(s.cur, member, size)
	return s.cur<<unitBits | uint32(at/unit)
}

func (s *Set) newChunk(room int) (number uint32) {
	c := chunk{data: make([]byte, room)}
	arena.Prefault(c.data)
	c.data = c.data[:0]
	s.bytes += int64(room)
	if k := len(s.free); k > 0 {
		number, s.free = s.free[k-1], s.free[:k-1]
		s.chunks[number] = c
		return number
	}
	if len(s.chunks) == maxChunks {
		panic("sorted: more members than 32 bits can refer to")
	}
	s.chunks = append(s.chunks, c)
	return uint32(len(s.chunks) - 1)
}

func (s *Set) write(number uint32, member []byte, size int) {
	c := &s.chunks[number]
	at := len(c.data)
	if at+size > cap(c.data) {
		bigger := make([]byte, at, min(max(2*cap(c.data), at+size), chunkMax))
		copy(bigger, c.data)
		s.bytes += int64(cap(bigger) - cap(c.data))
		c.data = bigger
	}
	p := c.data[at : at+size]
	copy(p[binary.PutUvarint(p, uint64(len(member))):], member)
	c.data = c.data[:at+size]
	c.live += int32(size)
	s.used += int64(size)
	s.live += int64(size)
}

// release says that the member behind ref has left the set. A chunk without members goes.
func (s *Set) release(ref uint32) {
	number := ref >> unitBits
	c := &s.chunks[number]
	size := recordBytes(len(s.member(ref)))
	c.live -= int32(size)
	s.live -= int64(size)
	if c.live != 0 || number == s.cur {
		return
	}
	s.used -= int64(len(c.data))
	s.bytes -= int64(cap(c.data))
	*c = chunk{}
	s.free = append(s.free, number)
	if number == s.victim {
		s.victim = 0
	}
}

// sparsest looks for a chunk that is worth emptying, at a few places only.
func (s *Set) sparsest() uint32 {
	const tries = 16
	var best uint32
	bestShare := int64(80) // percent alive
	step := max(1, len(s.chunks)/tries)
	for i := s.n % step; i < len(s.chunks); i += step {
		c := &s.chunks[i]
		if len(c.data) == 0 || uint32(i) == s.cur {
			continue
		}
		if share := int64(c.live) * 100 / int64(len(c.data)); share < bestShare {
			best, bestShare = uint32(i), share
		}
	}
	return best
}
