// Package quicklist owns the large form of lists: a row of nodes, each a listpack of some
// elements or one element too large for that. Package value puts its Object around it; nobody
// else uses it. It knows no key and no command.
//
// The row is a slice of pointers with room at both ends, so both ends are O(1), and the way to
// an index walks over counts, not over elements, from the nearer end. A Clone copies the row and
// shares the nodes: each carries the generation it was made in, and a List changes in place only
// those of its own.
package quicklist

import (
	"bytes"
	"slices"

	"github.com/sextantdb/sextant/store/arena"
	"github.com/sextantdb/sextant/store/value/internal/listpack"
)

// Limit is list-max-listpack-size: above zero a number of elements, -1 to -5 the bytes 4 to 64 KiB.
type Limit int

// safeBytes bounds a node that is limited by its number of elements.
const safeBytes = 8192

// Split is what the limit says: so many bytes and so many elements, where 0 means any number.
func (l Limit) Split() (size, count int) {
	switch {
	case l > 0:
		return 0, int(l)
	case l == 0:
		return 0, 1
	}
	return 4096 << (min(-int(l), 5) - 1), 0
}

// Exceeds reports whether a listpack of that size is too large for one node.
func (l Limit) Exceeds(size, count int) bool {
	maxSize, maxCount := l.Split()
	if maxSize > 0 {
		return size > maxSize
	}
	return size > safeBytes || count > maxCount
}

// plain reports whether an element gets a node of its own.
func (l Limit) plain(s []byte) bool {
	size, _ := l.Split()
	if size == 0 {
		size = safeBytes
	}
	return len(s) > size-listpack.EmptyBytes-8
}

// node is a piece of the list. It has at least one element.
type node struct {
	gen   uint64
	mem   []byte // mem[lo:] is the listpack, of a plain node the element itself
	n     int32
	lo    uint32 // the room before it: elements that come and go at the front move nothing
	plain bool
}

func (nd *node) pack() listpack.Pack { return nd.mem[nd.lo:] }

// setPack takes back what pack() has become.
func (nd *node) setPack(p listpack.Pack) {
	if at := int(nd.lo); len(p) > 0 && at < len(nd.mem) && &p[0] == &nd.mem[at] {
		nd.mem = nd.mem[:at+len(p)]
		return
	}
	nd.mem, nd.lo = p, 0
}

const (
	roomUnit  = 1024 // Go allocates multiples of it, up to 8 KiB, without loss
	nodeBytes = 48
	listBytes = 96
)

// List is a list. The zero value is not usable; see New. One goroutine at a time may use it,
// except that a Clone may be used beside its origin.
type List struct {
	gen   uint64 // above that of every node shared with a clone
	row   row
	n     int   // elements
	bytes int64 // of the nodes
}

// New makes an empty list.
func New() *List { return &List{gen: 1} }

// Len is the number of elements.
func (l *List) Len() int { return l.n }

// Bytes is the memory held, as if nothing were shared.
func (l *List) Bytes() int64 { return listBytes + l.bytes + int64(cap(l.row.all))*8 }

// Clone returns an independent copy that shares what neither changes.
func (l *List) Clone() *List {
	l.gen++
	c := *l
	c.row = row{slices.Clone(l.row.nodes()), 0, l.row.len()}
	return &c
}

func (nd *node) bytes() int64 { return nodeBytes + int64(cap(nd.mem)) }

// own makes node k one that may be changed.
func (l *List) own(k int) *node {
	nd := l.row.at(k)
	if nd.gen == l.gen {
		return nd
	}
	l.bytes -= nd.bytes()
	own := *nd
	own.gen = l.gen
	own.mem, own.lo = append(make([]byte, 0, len(nd.pack())+len(nd.pack())/8), nd.pack()...), 0
	l.row.set(k, &own)
	l.bytes += own.bytes()
	return &own
}

// edit replaces the listpack of node k by what change makes of it; count is by how much its
// number of elements grows. A node without elements goes.
func (l *List) edit(k, count int, change func(listpack.Pack) listpack.Pack) {
	nd := l.own(k)
	l.n += count
	if nd.n += int32(count); nd.n == 0 {
		l.bytes -= nd.bytes()
		l.row.remove(k, k+1)
		return
	}
	l.bytes -= nd.bytes()
	nd.setPack(change(nd.pack()))
	l.bytes += nd.bytes()
}

// newNode makes a node of one element, with room for that many bytes, before the element if front.
func (l *List) newNode(s []byte, limit Limit, room int, front bool) *node {
	nd := &node{gen: l.gen, n: 1}
	if limit.plain(s) {
		nd.plain = true
		nd.mem = append(nd.mem, s...)
	} else {
		room = max(room, listpack.EmptyBytes+listpack.EntryBytes(s))
		if front {
			nd.lo = uint32(room - listpack.EmptyBytes - listpack.EntryBytes(s))
		}
		mem := make([]byte, room)
		arena.Prefault(mem)
		nd.mem = mem[:int(nd.lo)+len(listpack.New(mem[nd.lo:]).Append(s))]
	}
	l.bytes += nd.bytes()
	l.n++
	return nd
}

// takes reports whether s may be added to node k.
func (l *List) takes(k int, s []byte, limit Limit) bool {
	nd := l.row.at(k)
	return !nd.plain && !limit.plain(s) && !limit.Exceeds(len(nd.pack())+listpack.EntryBytes(s), int(nd.n)+1)
}

// Push adds s at an end.
func (l *List) Push(s []byte, front bool, limit Limit) {
	end := l.row.len() - 1
	if front {
		end = 0
	}
	if l.n > 0 && l.takes(end, s, limit) {
		nd := l.own(end)
		was := cap(nd.mem)
		nd.push(s, front)
		nd.n++
		l.n++
		l.bytes += int64(cap(nd.mem) - was)
		return
	}
	room := 0
	if l.n > 0 {
		l.fit(end)
		if full := l.row.at(end); l.row.len() > 1 && !full.plain {
			// A list that grows this way will fill the next node too: no growing step by step.
			room = (len(full.pack()) + roomUnit - 1) &^ (roomUnit - 1)
		}
	}
	nd := l.newNode(s, limit, room, front)
	if front {
		l.row.insert(0, nd)
	} else {
		l.row.insert(l.row.len(), nd)
	}
}

// push adds s at an end of the listpack of a node that is no plain one.
func (nd *node) push(s []byte, front bool) {
	size := listpack.EntryBytes(s)
	pack := nd.pack()
	behind := cap(nd.mem) - len(nd.mem)
	if front && int(nd.lo) < size || !front && behind < size {
		// The spare room is on the other side, or there is too little: then it grows by half on this one.
		mem, lo := nd.mem[:cap(nd.mem)], (int(nd.lo)+behind)/2
		if spare := int(nd.lo) + behind; spare < 2*size || spare < len(pack)/8 {
			room := size + len(pack)/2
			mem, lo = make([]byte, len(pack)+room), 0
			if front {
				lo = room
			}
		}
		copy(mem[lo:], pack)
		nd.mem, nd.lo = mem[:lo+len(pack)], uint32(lo)
	}
	if front {
		listpack.PrependBefore(nd.mem, int(nd.lo), s)
		nd.lo -= uint32(size)
	} else {
		nd.setPack(nd.pack().Append(s))
	}
}

// shift takes the first elements out of the listpack of a node that is no plain one, and not all of them.
func (nd *node) shift(count int) {
	nd.lo += uint32(listpack.DropFirst(nd.pack(), count))
	nd.n -= int32(count)
}

// fit gives back what a node that has been filled holds in reserve.
func (l *List) fit(k int) {
	nd := l.row.at(k)
	if pack := nd.pack(); nd.gen == l.gen && cap(nd.mem)-len(pack) >= len(pack)/8 {
		l.bytes -= nd.bytes()
		nd.mem, nd.lo = append(make([]byte, 0, len(pack)), pack...), 0
		l.bytes += nd.bytes()
	}
}

// AddPack adds the elements of a listpack behind the last, as a node of its own. The List owns
// it from then on. REQUIRES: it has n > 0 elements.
func (l *List) AddPack(p listpack.Pack, n int) {
	nd := &node{gen: l.gen, mem: p, n: int32(n)}
	l.bytes += nd.bytes()
	l.n += n
	l.row.insert(l.row.len(), nd)
}

// AddPlain adds one element behind the last, as a node of its own. The List owns s from then
// on.
func (l *List) AddPlain(s []byte) {
	nd := &node{gen: l.gen, mem: s, n: 1, plain: true}
	l.bytes += nd.bytes()
	l.n++
	l.row.insert(l.row.len(), nd)
}

// seek finds element number i: the node, and how many of its elements are before. REQUIRES:
// 0 <= i < Len.
func (l *List) seek(i int) (k, off int) {
	if i < l.n/2 {
		for k = 0; i >= int(l.row.at(k).n); k++ {
			i -= int(l.row.at(k).n)
		}
		return k, i
	}
	i = l.n - i // from the end: 1 is the last
	for k = l.row.len() - 1; i > int(l.row.at(k).n); k-- {
		i -= int(l.row.at(k).n)
	}
	return k, int(l.row.at(k).n) - i
}

// At is element number i. REQUIRES: 0 <= i < Len.
func (l *List) At(i int) listpack.Value {
	k, off := l.seek(i)
	return l.row.at(k).value(off)
}

func (nd *node) value(off int) listpack.Value {
	if nd.plain {
		return listpack.Value{Str: nd.pack()}
	}
	return nd.pack().Get(nd.pack().Seek(off))
}

// Set puts s in the place of element number i. REQUIRES: 0 <= i < Len.
func (l *List) Set(i int, s []byte, limit Limit) {
	k, off := l.seek(i)
	nd := l.row.at(k)
	if !nd.plain && !limit.plain(s) {
		pack := nd.pack()
		at := pack.Seek(off)
		if size := len(pack) - (pack.Next(at) - at) + listpack.EntryBytes(s); nd.n == 1 || !limit.Exceeds(size, int(nd.n)) {
			l.edit(k, 0, func(p listpack.Pack) listpack.Pack { return p.Replace(at, s) })
			return
		}
	}
	l.insertAt(k, off, s, limit)
	l.Delete(i+1, 1)
}

// Insert puts s before element number i; i may be Len.
func (l *List) Insert(i int, s []byte, limit Limit) {
	if i == l.n {
		l.Push(s, false, limit)
		return
	}
	k, off := l.seek(i)
	l.insertAt(k, off, s, limit)
}

// insertAt puts s before the element off of node k.
func (l *List) insertAt(k, off int, s []byte, limit Limit) {
	switch {
	case l.takes(k, s, limit):
		l.edit(k, 1, func(p listpack.Pack) listpack.Pack { return p.Insert(p.Seek(off), s) })
		return
	case off == 0 && k > 0 && l.takes(k-1, s, limit):
		l.edit(k-1, 1, func(p listpack.Pack) listpack.Pack { return p.Append(s) })
		return
	case off == 0:
		l.row.insert(k, l.newNode(s, limit, 0, false))
		return
	}
	l.split(k, off)
	if l.takes(k, s, limit) {
		l.edit(k, 1, func(p listpack.Pack) listpack.Pack { return p.Append(s) })
		return
	}
	l.insertAt(k+1, 0, s, limit)
}

// split moves the elements from off on out of node k into one behind it. REQUIRES: 0 < off < its
// number of elements.
func (l *List) split(k, off int) {
	nd := l.own(k)
	pack := nd.pack()
	at := pack.Seek(off)
	rest := listpack.New(make([]byte, 0, len(pack)-at+listpack.EmptyBytes))
	for p := at; p != pack.End(); p = pack.Next(p) {
		if v := pack.Get(p); v.IsInt {
			rest = rest.AppendInt(v.Int)
		} else {
			rest = rest.Append(v.Str)
		}
	}
	behind := &node{gen: l.gen, mem: rest, n: nd.n - int32(off)}
	l.bytes += behind.bytes() - nd.bytes()
	nd.mem, nd.lo = append([]byte(nil), pack.Truncate(at, off)...), 0
	nd.n = int32(off)
	l.bytes += nd.bytes()
	l.row.insert(k+1, behind)
}

// Delete removes count elements from number i on. REQUIRES: 0 <= i, i+count <= Len.
func (l *List) Delete(i, count int) {
	if count == 0 {
		return
	}
	k, off := l.seek(i)
	for count > 0 {
		nd := l.row.at(k)
		if off == 0 && count >= int(nd.n) { // whole nodes, in one go
			to := k
			for ; to < l.row.len() && count >= int(l.row.at(to).n); to++ {
				nd = l.row.at(to)
				count -= int(nd.n)
				l.n -= int(nd.n)
				l.bytes -= nd.bytes()
			}
			l.row.remove(k, to)
			continue
		}
		here := min(count, int(nd.n)-off)
		if off == 0 {
			l.own(k).shift(here)
			l.n -= here
			return
		}
		l.edit(k, -here, func(p listpack.Pack) listpack.Pack { return p.Delete(p.Seek(off), here) })
		count -= here
		k, off = k+1, 0
	}
}

// Remove removes the first max elements equal to s, with back the last, or all of them if max is
// 0. It returns how many.
func (l *List) Remove(s []byte, max int, back bool) (removed int) {
	left := func() bool { return max == 0 || removed < max }
	k := 0
	if back {
		k = l.row.len() - 1
	}
	for k >= 0 && k < l.row.len() && left() {
		nd := l.row.at(k)
		before := removed
		size := int(nd.n)
		pack := nd.pack()
		switch {
		case nd.plain:
			if bytes.Equal(pack, s) {
				removed++
				l.edit(k, -1, nil)
			}
		case back:
			for at := pack.Prev(pack.End()); at >= 0 && left(); {
				next := pack.Prev(at)
				if pack.Get(at).Equal(s) {
					removed++
					pack = l.deleteAt(k, at)
				}
				at = next // -1 if the node is gone: this was its last
			}
		default:
			for at := pack.Find(pack.First(), s, 0); at >= 0 && left(); {
				removed++
				if pack = l.deleteAt(k, at); pack == nil {
					break
				}
				at = pack.Find(at, s, 0)
			}
		}
		gone := removed-before == size
		switch {
		case back:
			k--
		case !gone:
			k++
		}
	}
	return removed
}

// deleteAt takes the element at a position out of node k, and returns the listpack as it is then,
// or nil if the node is gone.
func (l *List) deleteAt(k, at int) listpack.Pack {
	last := l.row.at(k).n == 1
	l.edit(k, -1, func(p listpack.Pack) listpack.Pack { return p.Delete(at, 1) })
	if last {
		return nil
	}
	return l.row.at(k).pack()
}

// Sole is the listpack of a list that is one node, and not a plain one.
func (l *List) Sole() (listpack.Pack, bool) {
	if l.row.len() != 1 || l.row.at(0).plain {
		return nil, false
	}
	return l.row.at(0).pack(), true
}

// Nodes is the number of nodes.
func (l *List) Nodes() int { return l.row.len() }

// EachNode visits the nodes in order: a listpack, or with plain set the bytes of one element.
func (l *List) EachNode(fn func(b []byte, plain bool)) {
	for _, nd := range l.row.nodes() {
		fn(nd.pack(), nd.plain)
	}
}

// Iter walks the elements, either way. It is valid until the List changes.
type Iter struct {
	l    *List
	k    int
	at   int // in the listpack
	back bool
}

// From returns an Iter that stands at element number i. REQUIRES: 0 <= i < Len.
func (l *List) From(i int, back bool) Iter {
	k, off := l.seek(i)
	it := Iter{l: l, k: k, back: back}
	if nd := l.row.at(k); !nd.plain {
		it.at = nd.pack().Seek(off)
	}
	return it
}

// Here is the element that the Iter stands at.
func (it *Iter) Here() listpack.Value {
	nd := it.l.row.at(it.k)
	if nd.plain {
		return listpack.Value{Str: nd.pack()}
	}
	return nd.pack().Get(it.at)
}

// Step goes to the next element. It reports false, and the Iter is of no more use, when there is
// none.
func (it *Iter) Step() bool {
	nd := it.l.row.at(it.k)
	if it.back {
		if !nd.plain {
			if it.at = nd.pack().Prev(it.at); it.at >= 0 {
				return true
			}
		}
		if it.k--; it.k < 0 {
			return false
		}
		if nd = it.l.row.at(it.k); !nd.plain {
			it.at = nd.pack().Prev(nd.pack().End())
		}
		return true
	}
	if !nd.plain {
		if it.at = nd.pack().Next(it.at); it.at != nd.pack().End() {
			return true
		}
	}
	return it.enter(it.k + 1)
}

// Strings puts the element that the Iter stands at and those behind it into dst, up to its length, the first
// one kept as a number and the end of the node. It returns how many they are and whether the Iter stands at another element,
// the next; else it is of no more use. REQUIRES: the Iter goes forwards.
func (it *Iter) Strings(dst [][]byte) (n int, more bool) {
	nd := it.l.row.at(it.k)
	if nd.plain {
		dst[0] = nd.pack()
		return 1, it.Step()
	}
	n, it.at = nd.pack().Strings(it.at, dst)
	if it.at != nd.pack().End() {
		return n, true
	}
	return n, it.enter(it.k + 1)
}

// enter goes to the first element of the node k, and reports whether there is one.
func (it *Iter) enter(k int) bool {
	if it.k = k; k >= it.l.row.len() {
		return false
	}
	if nd := it.l.row.at(k); !nd.plain {
		it.at = nd.pack().First()
	}
	return true
}

// row is the nodes in order, with room at both ends.
type row struct {
	all    []*node // all[lo:hi] are the nodes, the rest is nil
	lo, hi int
}

func (r *row) len() int            { return r.hi - r.lo }
func (r *row) at(k int) *node      { return r.all[r.lo+k] }
func (r *row) set(k int, nd *node) { r.all[r.lo+k] = nd }
func (r *row) nodes() []*node      { return r.all[r.lo:r.hi] }

// insert puts a node before the node k; k may be len.
func (r *row) insert(k int, nd *node) {
	front := k == 0 && r.len() > 0
	if front && r.lo == 0 || !front && r.hi == len(r.all) {
		r.center()
	}
	if front {
		r.lo--
	} else {
		r.hi++
		copy(r.nodes()[k+1:], r.nodes()[k:])
	}
	r.set(k, nd)
}

// remove takes the nodes from to to-1 out.
func (r *row) remove(from, to int) {
	if from == 0 {
		clear(r.nodes()[:to])
		r.lo += to
	} else {
		gone := to - from
		copy(r.nodes()[from:], r.nodes()[to:])
		clear(r.nodes()[r.len()-gone:])
		r.hi -= gone
	}
	if len(r.all) > 64 && r.len() < len(r.all)/8 {
		r.center()
	}
}

// center makes room at both ends.
func (r *row) center() {
	room := r.len()/4 + 1
	all := make([]*node, r.len()+2*room)
	r.lo, r.hi, r.all = room, room+copy(all[room:], r.nodes()), all
}
