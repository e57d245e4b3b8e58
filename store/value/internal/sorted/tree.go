package sorted

import "bytes"

const (
	leafMax  = 84 // a leaf is 1,024 bytes, a size that Go allocates without loss
	innerMax = 31 // the same for inner nodes

	leafMin   = leafMax / 3
	innerMin  = innerMax / 3
	nodeBytes = 1024

	// maxHeight bounds the tree: innerMin nodes a level are far beyond 32-bit refs.
	maxHeight = 16
)

// leaf holds members in order. It has no pointer: the collector does not look into it.
type leaf struct {
	gen    uint64
	n      int
	scores [leafMax]float64
	refs   [leafMax]uint32
}

// inner holds what is below it in order.
type inner struct {
	gen  uint64
	n    int
	kids [innerMax]kid
}

// kid is a subtree as its parent (for the root: the Set) knows it. Exactly one of inner and
// leaf is set, or none if the tree is empty.
type kid struct {
	inner *inner
	leaf  *leaf
	// score and ref are those of its first member.
	score float64
	ref   uint32
	n     uint32 // members in it
}

// before is the order of sorted sets.
func before(score float64, member []byte, thanScore float64, thanMember []byte) bool {
	if score != thanScore {
		return score < thanScore
	}
	return bytes.Compare(member, thanMember) < 0
}

// behind reports whether (score, ref) comes after (thanScore, thanMember).
func (s *Set) behind(score float64, ref uint32, thanScore float64, thanMember []byte) bool {
	if score != thanScore {
		return score > thanScore
	}
	return bytes.Compare(s.member(ref), thanMember) > 0
}

// own makes the node of k one that may be changed.
func (s *Set) own(k *kid) {
	switch {
	case k.leaf != nil && k.leaf.gen != s.gen:
		own := *k.leaf
		own.gen = s.gen
		k.leaf = &own
	case k.inner != nil && k.inner.gen != s.gen:
		own := *k.inner
		own.gen = s.gen
		k.inner = &own
	}
}

// refresh takes first member and count from k's node.
func (k *kid) refresh() {
	if l := k.leaf; l != nil {
		k.n = uint32(l.n)
		k.score, k.ref = l.scores[0], l.refs[0]
		return
	}
	in := k.inner
	k.n = 0
	for i := range in.n {
		k.n += in.kids[i].n
	}
	k.score, k.ref = in.kids[0].score, in.kids[0].ref
}

// towards is the index of the subtree that (score, member) is in or belongs to.
func (s *Set) towards(in *inner, score float64, member []byte) int {
	lo, hi := 1, in.n // the first kid, from 1 on, that begins behind the member
	for lo < hi {
		m := (lo + hi) / 2
		if s.behind(in.kids[m].score, in.kids[m].ref, score, member) {
			hi = m
		} else {
			lo = m + 1
		}
	}
	return lo - 1
}

// indexIn is where (score, member) is in the leaf, or belongs.
func (s *Set) indexIn(l *leaf, score float64, member []byte) int {
	lo, hi := 0, l.n
	for lo < hi {
		m := (lo + hi) / 2
		if l.scores[m] < score || l.scores[m] == score && bytes.Compare(s.member(l.refs[m]), member) < 0 {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo
}

func (s *Set) newLeaf() *leaf {
	s.bytes += nodeBytes
	return &leaf{gen: s.gen}
}

func (s *Set) newInner() *inner {
	s.bytes += nodeBytes
	return &inner{gen: s.gen}
}

func (s *Set) treeInsert(score float64, ref uint32, member []byte) {
	if s.root.leaf == nil && s.root.inner == nil {
		s.root.leaf = s.newLeaf()
		s.height = 0
	}
	right, split := s.insert(&s.root, s.height, score, ref, member)
	if !split {
		return
	}
	in := s.newInner()
	in.kids[0], in.kids[1], in.n = s.root, right, 2
	s.root = kid{inner: in}
	s.root.refresh()
	s.height++
}

// insert puts a new member under k. If k's node was full, its right half is returned.
func (s *Set) insert(k *kid, height int, score float64, ref uint32, member []byte) (right kid, split bool) {
	s.own(k)
	if height == 0 {
		l := k.leaf
		i := s.indexIn(l, score, member)
		if l.n < leafMax {
			l.insert(i, score, ref)
			k.refresh()
			return kid{}, false
		}
		r := s.newLeaf()
		half := splitAt(i, leafMax)
		r.n = copy(r.scores[:], l.scores[half:])
		copy(r.refs[:], l.refs[half:])
		l.n = half
		if i < half || i == half && half < leafMax {
			l.insert(i, score, ref)
		} else {
			r.insert(i-half, score, ref)
		}
		right.leaf = r
	} else {
		in := k.inner
		i := s.towards(in, score, member)
		below, split := s.insert(&in.kids[i], height-1, score, ref, member)
		if !split {
			k.n++
			k.score, k.ref = in.kids[0].score, in.kids[0].ref
			return kid{}, false
		}
		if in.n < innerMax {
			in.insert(i+1, below)
			k.refresh()
			return kid{}, false
		}
		r := s.newInner()
		half := splitAt(i+1, innerMax)
		r.n = copy(r.kids[:], in.kids[half:])
		clear(in.kids[half:])
		in.n = half
		if i+1 < half || i+1 == half && half < innerMax {
			in.insert(i+1, below)
		} else {
			r.insert(i+1-half, below)
		}
		right.inner = r
	}
	k.refresh()
	right.refresh()
	return right, true
}

// splitAt says how many stay in the left node when one is to be inserted at i of a full one:
// half, but all of them when it comes last. Members that arrive in order fill their nodes.
func splitAt(i, full int) int {
	if i == full {
		return full
	}
	return full / 2
}

func (l *leaf) insert(i int, score float64, ref uint32) {
	copy(l.scores[i+1:l.n+1], l.scores[i:l.n])
	copy(l.refs[i+1:l.n+1], l.refs[i:l.n])
	l.scores[i], l.refs[i] = score, ref
	l.n++
}

func (l *leaf) remove(from, to int) {
	copy(l.scores[from:], l.scores[to:l.n])
	copy(l.refs[from:], l.refs[to:l.n])
	l.n -= to - from
}

func (in *inner) insert(i int, k kid) {
	copy(in.kids[i+1:in.n+1], in.kids[i:in.n])
	in.kids[i] = k
	in.n++
}

func (in *inner) remove(i int) {
	copy(in.kids[i:], in.kids[i+1:in.n])
	in.n--
	in.kids[in.n] = kid{}
}

// treeDelete takes out a member that is in the tree.
func (s *Set) treeDelete(score float64, member []byte) {
	s.delete(&s.root, s.height, score, member)
	s.trimRoot()
}

func (s *Set) delete(k *kid, height int, score float64, member []byte) {
	s.own(k)
	if height == 0 {
		i := s.indexIn(k.leaf, score, member)
		k.leaf.remove(i, i+1)
		k.refresh()
		return
	}
	in := k.inner
	i := s.towards(in, score, member)
	s.delete(&in.kids[i], height-1, score, member)
	s.mend(in, i)
	k.n--
	k.score, k.ref = in.kids[0].score, in.kids[0].ref
}

// mend joins the kid i of in with a neighbour if it has become small and they fit together.
// A kid without members goes in any case. It reports whether in has one kid less.
func (s *Set) mend(in *inner, i int) bool {
	k := &in.kids[i]
	if k.n == 0 {
		in.remove(i)
		s.bytes -= nodeBytes
		return true
	}
	if k.leaf != nil && k.leaf.n >= leafMin || k.inner != nil && k.inner.n >= innerMin {
		return false
	}
	return i > 0 && s.join(in, i-1) || i+1 < in.n && s.join(in, i)
}

// join moves what kid i+1 of in holds into kid i, if there is room.
func (s *Set) join(in *inner, i int) bool {
	a, b := &in.kids[i], &in.kids[i+1]
	switch {
	case a.leaf != nil && a.leaf.n+b.leaf.n <= leafMax:
		s.own(a)
		copy(a.leaf.scores[a.leaf.n:], b.leaf.scores[:b.leaf.n])
		copy(a.leaf.refs[a.leaf.n:], b.leaf.refs[:b.leaf.n])
		a.leaf.n += b.leaf.n
	case a.inner != nil && a.inner.n+b.inner.n <= innerMax:
		s.own(a)
		copy(a.inner.kids[a.inner.n:], b.inner.kids[:b.inner.n])
		a.inner.n += b.inner.n
	default:
		return false
	}
	a.refresh()
	in.remove(i + 1)
	s.bytes -= nodeBytes
	return true
}

// trimRoot keeps the root from being a node with nothing to choose from.
func (s *Set) trimRoot() {
	for {
		switch {
		case s.root.n == 0:
			if s.root.leaf != nil || s.root.inner != nil {
				s.bytes -= nodeBytes
			}
			s.root, s.height = kid{}, 0
			return
		case s.root.inner != nil && s.root.inner.n == 1:
			s.root = s.root.inner.kids[0]
			s.height--
			s.bytes -= nodeBytes
		default:
			return
		}
	}
}

// rescore changes a member's score where it stands. It reports false, having changed
// nothing, when the member must go elsewhere.
func (s *Set) rescore(k *kid, height int, old, score float64, member []byte) bool {
	s.own(k)
	if height > 0 {
		in := k.inner
		i := s.towards(in, old, member)
		if !s.rescore(&in.kids[i], height-1, old, score, member) {
			return false
		}
		k.score = in.kids[0].score
		return true
	}
	l := k.leaf
	i := s.indexIn(l, old, member)
	// At the leaf's ends the neighbours are elsewhere.
	if i == 0 || i == l.n-1 || s.behind(l.scores[i-1], l.refs[i-1], score, member) || !s.behind(l.scores[i+1], l.refs[i+1], score, member) {
		return false
	}
	l.scores[i] = score
	return true
}

// relocate tells the tree that a member lies elsewhere in the log.
func (s *Set) relocate(k *kid, height int, score float64, member []byte, ref uint32) {
	s.own(k)
	if height == 0 {
		k.leaf.refs[s.indexIn(k.leaf, score, member)] = ref
		k.ref = k.leaf.refs[0]
		return
	}
	in := k.inner
	s.relocate(&in.kids[s.towards(in, score, member)], height-1, score, member, ref)
	k.ref = in.kids[0].ref
}

// cut removes the members of ranks from to to-1 under k, which is left for the caller to
// mend.
func (s *Set) cut(k *kid, height, from, to int) {
	s.own(k)
	if height == 0 {
		for _, ref := range k.leaf.refs[from:to] {
			s.forget(ref)
		}
		k.leaf.remove(from, to)
		k.refresh()
		return
	}
	in := k.inner
	base := 0
	for i := range in.n {
		n := int(in.kids[i].n)
		if from < base+n && to > base {
			s.cut(&in.kids[i], height-1, max(from-base, 0), min(to-base, n))
		}
		base += n
	}
	for i := 0; i < in.n; {
		if !s.mend(in, i) {
			i++
		}
	}
	k.refresh()
}

// Search is the number of members for which isBefore reports true. REQUIRES: it does so for
// members up to some rank and for none after it.
func (s *Set) Search(isBefore func(score float64, member []byte) bool) int {
	if s.n == 0 {
		return 0
	}
	k, rank := &s.root, 0
	for k.inner != nil {
		in := k.inner
		lo, hi := 1, in.n
		for lo < hi {
			m := (lo + hi) / 2
			if isBefore(in.kids[m].score, s.member(in.kids[m].ref)) {
				lo = m + 1
			} else {
				hi = m
			}
		}
		for i := range lo - 1 {
			rank += int(in.kids[i].n)
		}
		k = &in.kids[lo-1]
	}
	l := k.leaf
	lo, hi := 0, l.n
	for lo < hi {
		m := (lo + hi) / 2
		if isBefore(l.scores[m], s.member(l.refs[m])) {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return rank + lo
}

// Iter walks the members in order, either way. It is valid until the Set changes.
type Iter struct {
	s    *Set
	leaf *leaf
	i    int
	// path are the inner nodes above leaf, from the root down, and which kid was taken.
	path [maxHeight]struct {
		in *inner
		i  int
	}
}

// From returns an Iter whose next is the member of that rank. REQUIRES: 0 <= rank < Len.
func (s *Set) From(rank int) (it Iter) {
	it.s = s
	k := &s.root
	for d := 0; k.inner != nil; d++ {
		in, i := k.inner, 0
		for rank >= int(in.kids[i].n) {
			rank -= int(in.kids[i].n)
			i++
		}
		it.path[d].in, it.path[d].i = in, i
		k = &in.kids[i]
	}
	it.leaf, it.i = k.leaf, rank
	return it
}

// Here is the member that the Iter stands at.
func (it *Iter) Here() (member []byte, score float64) {
	return it.s.member(it.leaf.refs[it.i]), it.leaf.scores[it.i]
}

// Step goes to the next member, or with back to the one before. It reports false, and the
// Iter is of no more use, when there is none.
func (it *Iter) Step(back bool) bool {
	if back {
		if it.i--; it.i >= 0 {
			return true
		}
	} else if it.i++; it.i < it.leaf.n {
		return true
	}
	d := it.s.height - 1
	for ; d >= 0; d-- {
		p := &it.path[d]
		if back && p.i > 0 {
			p.i--
			break
		}
		if !back && p.i+1 < p.in.n {
			p.i++
			break
		}
	}
	if d < 0 {
		return false
	}
	k := &it.path[d].in.kids[it.path[d].i]
	for d++; k.inner != nil; d++ {
		i := 0
		if back {
			i = k.inner.n - 1
		}
		it.path[d].in, it.path[d].i = k.inner, i
		k = &k.inner.kids[i]
	}
	if it.leaf, it.i = k.leaf, 0; back {
		it.i = it.leaf.n - 1
	}
	return true
}
