package stream

import (
	"slices"
	"unsafe"
)

// item is what an index holds: something with an id.
type item interface{ key() ID }

// index is a sorted map from ids to items: a row of pages, each a sorted array. Pages are shared
// between clones; gen, given to what changes, tells which may be changed in place. mem, given
// too, is the account that follows what the index takes (bytes).
type index[T item] struct {
	pages  []*page[T] // none is empty
	n      int
	shared bool // the array pages belongs to a clone too
}

type page[T item] struct {
	gen   uint64
	items []T
}

// pageItems is how many items a page has at most. Pages with less than a quarter of that are
// joined with a neighbour if both together are no more than half full.
const pageItems = 128

// place is where an item stands.
type place struct{ page, item int }

func (x *index[T]) at(p place) T { return x.pages[p.page].items[p.item] }

func (x *index[T]) first() T { return x.pages[0].items[0] }

func (x *index[T]) last() T {
	p := x.pages[len(x.pages)-1].items
	return p[len(p)-1]
}

func (x *index[T]) lastPlace() place {
	k := len(x.pages) - 1
	return place{k, len(x.pages[k].items) - 1}
}

// seek is the place of the first item that is not below id, and whether it has that id. Without
// such an item the place is one behind the last.
func (x *index[T]) seek(id ID) (place, bool) {
	// The page is the last one that begins at or below id.
	lo, hi := 0, len(x.pages)
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		if x.pages[m].items[0].key().Compare(id) <= 0 {
			lo = m + 1
		} else {
			hi = m
		}
	}
	if lo == 0 {
		return place{}, false
	}
	k := lo - 1
	items := x.pages[k].items
	lo, hi = 0, len(items)
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		if items[m].key().Compare(id) < 0 {
			lo = m + 1
		} else {
			hi = m
		}
	}
	if lo == len(items) {
		return place{k + 1, 0}, false
	}
	return place{k, lo}, items[lo].key() == id
}

// ok reports whether an item stands at p.
func (x *index[T]) ok(p place) bool { return p.page >= 0 && p.page < len(x.pages) }

// next is the place behind p, prev the one before it.
func (x *index[T]) next(p place) place {
	if p.item++; p.item == len(x.pages[p.page].items) {
		return place{p.page + 1, 0}
	}
	return p
}

func (x *index[T]) prev(p place) place {
	if p.item > 0 {
		return place{p.page, p.item - 1}
	}
	if p.page == 0 {
		return place{-1, 0}
	}
	return place{p.page - 1, len(x.pages[p.page-1].items) - 1}
}

// own makes page k one that may be changed.
func (x *index[T]) own(gen uint64, k int, mem *int64) *page[T] {
	p := x.pages[k]
	if p.gen == gen {
		return p
	}
	x.ownRow(mem)
	c := &page[T]{gen, slices.Clone(p.items)}
	*mem += c.bytes() - p.bytes()
	x.pages[k] = c
	return c
}

func (x *index[T]) ownRow(mem *int64) {
	if x.shared {
		*mem -= 8 * int64(cap(x.pages))
		x.pages, x.shared = slices.Clone(x.pages), false
		*mem += 8 * int64(cap(x.pages))
	}
}

// set replaces the item at a place by one with the same id.
func (x *index[T]) set(gen uint64, p place, v T, mem *int64) {
	x.own(gen, p.page, mem).items[p.item] = v
}

// add is insert for an item that comes last.
func (x *index[T]) add(gen uint64, v T, mem *int64) {
	k := len(x.pages)
	if k == 0 || len(x.pages[k-1].items) >= pageItems {
		room := 0
		if k > 0 {
			room = pageItems
		}
		x.insertPage(k, &page[T]{gen, append(make([]T, 0, room), v)}, mem)
	} else {
		p := x.own(gen, k-1, mem)
		was := p.bytes()
		p.items = append(p.items, v)
		*mem += p.bytes() - was
	}
	x.n++
}

func (x *index[T]) insertPage(k int, p *page[T], mem *int64) {
	x.ownRow(mem)
	*mem += p.bytes() - 8*int64(cap(x.pages))
	x.pages = slices.Insert(x.pages, k, p)
	*mem += 8 * int64(cap(x.pages))
}

// insert adds an item whose id is not there.
func (x *index[T]) insert(gen uint64, v T, mem *int64) {
	at, _ := x.seek(v.key())
	if at.page == len(x.pages) {
		x.add(gen, v, mem)
		return
	}
	if at.item == 0 && at.page > 0 { // the end of the page before, as good a place, may have room
		if n := len(x.pages[at.page-1].items); n < len(x.pages[at.page].items) {
			at = place{at.page - 1, n}
		}
	}
	p := x.own(gen, at.page, mem)
	if len(p.items) >= pageItems {
		half := len(p.items) / 2
		behind := &page[T]{gen, slices.Clone(p.items[half:])}
		was := p.bytes()
		clear(p.items[half:])
		p.items = p.items[:half]
		*mem += p.bytes() - was
		x.insertPage(at.page+1, behind, mem)
		if at.item > half {
			at = place{at.page + 1, at.item - half}
			p = behind
		}
	}
	was := p.bytes()
	p.items = slices.Insert(p.items, at.item, v)
	*mem += p.bytes() - was
	x.n++
}

// remove takes the item at a place out. What stood behind it stands at that place afterwards,
// or, at the end of a page, at the start of the next; but see join.
func (x *index[T]) remove(gen uint64, at place, mem *int64) {
	x.n--
	if len(x.pages[at.page].items) == 1 {
		x.removePage(at.page, mem)
		return
	}
	p := x.own(gen, at.page, mem)
	p.items = slices.Delete(p.items, at.item, at.item+1)
	if len(p.items) < pageItems/4 {
		x.join(gen, at.page, mem)
	}
}

func (x *index[T]) removePage(k int, mem *int64) {
	x.ownRow(mem)
	*mem -= x.pages[k].bytes()
	if k == 0 {
		// Trimming at the front: no moving of the whole row for every page. The array is left behind when
		// the row next grows.
		x.pages[0] = nil
		*mem -= 8
		x.pages = x.pages[1:]
		return
	}
	x.pages = slices.Delete(x.pages, k, k+1)
}

// join puts a page that has become small and a neighbour into one, if the two are small enough.
func (x *index[T]) join(gen uint64, k int, mem *int64) {
	if k+1 == len(x.pages) || k > 0 && len(x.pages[k-1].items) < len(x.pages[k+1].items) {
		k--
	}
	if k < 0 || len(x.pages[k].items)+len(x.pages[k+1].items) > pageItems/2 {
		return
	}
	p := x.own(gen, k, mem)
	was := p.bytes()
	p.items = append(p.items, x.pages[k+1].items...)
	*mem += p.bytes() - was
	x.removePage(k+1, mem)
}

func (p *page[T]) bytes() int64 {
	var v T
	return int64(unsafe.Sizeof(*p)) + int64(cap(p.items))*int64(unsafe.Sizeof(v))
}

// bytes is what mem should say of the index.
func (x *index[T]) bytes() int64 {
	n := 8 * int64(cap(x.pages))
	for _, p := range x.pages {
		n += p.bytes()
	}
	return n
}
