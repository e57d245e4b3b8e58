// Package sorted owns the large form of sorted sets: members in the order of score and
// member, found by member, by rank and by any bound in O(log n). Package value puts its
// Object around it; nobody else uses it. It knows no key, command or encoding.
//
// # Parts
//
// Three structures refer to each other (one file each):
//
//   - the log (log.go) keeps each member's bytes once, in chunks that are only appended to; a
//     member is known by its ref, 32 bits;
//   - the table (table.go) leads from a member to its ref and score: extendible hashing, so
//     that growing never moves more than one segment at a time;
//   - the tree (tree.go) holds scores and refs in order, with counts, so that rank and bound
//     are one descent.
//
// A member of 10 bytes takes some 50 bytes all in all, where a skip list and a hash table of
// pointers take 100. None of it is a pointer that Go's collector must follow one by one.
//
// # Clones
//
// Clone shares everything and costs three short slices. Tree nodes and segments carry the
// generation they were made in; a Set changes in place only what is of its own generation
// and copies the rest first. Chunks of the log need no copy: what is written stays.
package sorted

import "slices"

// Set is a sorted set. The zero value is not usable; see New. One goroutine at a time may
// use it, except that a Clone may be used beside its origin.
type Set struct {
	// gen is above the gen of every node and segment that is shared with a clone.
	gen   uint64
	n     int
	bytes int64

	root   kid // of the tree; empty when n is 0
	height int // 0: root is a leaf

	dir   []*segment // len is 1<<depth; indexed by the top bits of a tag
	depth uint8

	chunks []chunk  // chunks[0] is never used: ref 0 is no ref
	free   []uint32 // numbers of chunks that have been given up
	cur    uint32   // the chunk that is appended to; 0 is none
	used   int64    // bytes in all chunks; used >= live
	live   int64    // of these, bytes of members that are in the set
	victim uint32   // the chunk being emptied; 0 is none
	walked int      // of its bytes, those already looked at
}

// setBytes is the size of a Set itself.
const setBytes = 256

// New makes an empty set.
func New() *Set {
	s := &Set{gen: 1, bytes: setBytes}
	s.chunks = make([]chunk, 1, 2)
	s.dir = []*segment{s.newSegment(0, segMin)}
	return s
}

// Len is the number of members.
func (s *Set) Len() int { return s.n }

// Bytes is the memory held, as if nothing were shared.
func (s *Set) Bytes() int64 {
	return s.bytes + int64(cap(s.chunks))*chunkEntryBytes + int64(cap(s.dir))*8 + int64(cap(s.free))*4
}

// Clone returns an independent copy that shares what neither changes.
func (s *Set) Clone() *Set {
	s.gen++
	c := *s
	c.dir, c.chunks, c.free = slices.Clone(s.dir), slices.Clone(s.chunks), slices.Clone(s.free)
	c.cur, c.victim = 0, 0
	return &c
}

// Score finds a member.
func (s *Set) Score(member []byte) (float64, bool) {
	tag := hash(member)
	g := s.segmentOf(tag)
	if i := s.find(g, tag, member); i >= 0 {
		return g.slots[i].score, true
	}
	return 0, false
}

// Rank is the number of members before member.
func (s *Set) Rank(member []byte) (int, float64, bool) {
	score, ok := s.Score(member)
	if !ok {
		return 0, 0, false
	}
	return s.rankOf(score, member), score, true
}

func (s *Set) rankOf(score float64, member []byte) int {
	return s.Search(func(sc float64, m []byte) bool { return before(sc, m, score, member) })
}

// Put gives member a score, adding it if it is not there. It reports whether it was.
// REQUIRES: score is not NaN.
func (s *Set) Put(member []byte, score float64) (existed bool) {
	tag := hash(member)
	g := s.segmentOf(tag)
	if i := s.find(g, tag, member); i >= 0 {
		old, ref := g.slots[i].score, g.slots[i].ref
		if old == score {
			return true
		}
		g = s.ownSegment(tag)
		g.slots[i].score = score
		if !s.rescore(&s.root, s.height, old, score, member) {
			s.treeDelete(old, member)
			s.treeInsert(score, ref, member)
		}
		return true
	}
	ref := s.append(member)
	s.insertSlot(tag, ref, score)
	s.treeInsert(score, ref, member)
	s.n++
	s.tidy()
	return false
}

// Remove takes member out.
func (s *Set) Remove(member []byte) (float64, bool) {
	tag := hash(member)
	g := s.segmentOf(tag)
	i := s.find(g, tag, member)
	if i < 0 {
		return 0, false
	}
	score, ref := g.slots[i].score, g.slots[i].ref
	s.treeDelete(score, member)
	s.removeSlot(tag, i)
	s.release(ref)
	s.n--
	s.tidy()
	return score, true
}

// RemoveRange takes out the members of ranks from to to-1. each, if not nil, sees them
// before. REQUIRES: 0 <= from <= to <= Len.
func (s *Set) RemoveRange(from, to int) {
	if from >= to {
		return
	}
	s.cut(&s.root, s.height, from, to)
	s.n -= to - from
	s.trimRoot()
	s.tidy()
}

// forget takes a member that has left the tree out of the table and the log.
func (s *Set) forget(ref uint32) {
	member := s.member(ref)
	tag := hash(member)
	s.removeSlot(tag, s.findRef(s.segmentOf(tag), tag, ref))
	s.release(ref)
}

// tidy moves a few members out of a sparse chunk when too much of the log is dead, so that no
// single call pays for it all.
func (s *Set) tidy() {
	const perCall = 4
	if s.victim == 0 {
		if s.used < 4*chunkMax || s.used-s.live < s.used*2/5 {
			return
		}
		if s.victim, s.walked = s.sparsest(), 0; s.victim == 0 {
			return
		}
	}
	for range perCall {
		if s.victim == 0 {
			return
		}
		ref, member, size := s.recordAt(s.victim, s.walked)
		s.walked += size
		tag := hash(member)
		if i := s.findRef(s.segmentOf(tag), tag, ref); i >= 0 {
			score := s.segmentOf(tag).slots[i].score
			to := s.append(member)
			s.ownSegment(tag).slots[i].ref = to
			s.relocate(&s.root, s.height, score, member, to)
			s.release(ref) // may give the victim up
		}
		if s.victim != 0 && s.walked >= len(s.chunks[s.victim].data) {
			panic("sorted: a chunk that was emptied has members")
		}
	}
}
