package value

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"slices"
	"unsafe"

	"github.com/sextantdb/sextant/store/arena"
)

// table is a large hash or set: fields with values, or members. It is an Object.
//
// # Shape
//
// The hash of a key chooses, by its highest bits, one place of a directory whose size is a
// power of two, and through it a chunk. A chunk holds up to chunkItems items (fewer when they
// are long): the low byte of each hash in one row, which a lookup searches as a whole, the
// offsets of the items beside it, and the items back to back in one byte string. A chunk that
// is full is split in two by the next bit of the hash; when it has used all bits of the
// directory, the directory doubles. So growing never moves more than one chunk and, rarely, a
// row of pointers (a million members: 128 KiB), and shrinking is the same backwards. There are
// a handful of pointers for a hundred items, which is what the collector sees.
//
// # Copies
//
// A chunk belongs to the table whose owner it names; a table that wants to edit any other
// chunk copies it first. Clone therefore only gives both tables new owners, and they share
// chunks and directory until one of them is edited. Reading never writes, so a clone may be
// read on another goroutine while the original is edited.
//
// # Order
//
// The directory is in the order of hashes, and a hash never changes: a position between two
// hashes means the same however the table grows and shrinks. Scan's cursors are such
// positions, which is how every item that stays is seen exactly once.
type table struct {
	typ   Type // Hash: items have values; or Set
	bits  uint8
	n     int
	mem   int64    // what the chunks and the directory take
	deep  int      // how many chunks have depth == bits
	dir   []*chunk // 1<<bits places; a chunk of depth d has 1<<(bits-d) of them, side by side
	owner *owner   // of the chunks this table may edit; nil until there has been a clone

	next int64 // a time before which no item expires, may be too early; 0: none has a time

	dirShared bool      // dir belongs to a clone too
	first     [1]*chunk // the first dir
}

// owner is an identity; it has a size so that two of them have two addresses.
type owner struct{ _ byte }

// chunk is a part of a table: all items whose hash begins with the same depth bits.
type chunk struct {
	owner *owner
	tags  []byte   // by item: low byte of its hash
	offs  []uint16 // by item: where it begins in data
	data  []byte
	big   *bigStrings // nil while there are none
	next  int64       // the first time at which one of the items expires; 0: none has a time
	depth uint8
	fixed bool // tags and offs are the rows of a fullChunk
}

// fullChunk is a chunk with its rows beside it: where they are is known before the chunk has been read.
type fullChunk struct {
	chunk
	tagRow [chunkItems]byte
	offRow [chunkItems]uint16
}

// bigStrings are the strings of a chunk that are too long for its data. They are never written
// to, so that copies of the chunk can share them.
type bigStrings struct {
	at    [][]byte // nil entries are free
	bytes int
}

// An item in data is its key and then, in a hash, its value. Each is a head and bytes:
//
//	length<<2        the string follows
//	index<<2 | 1     the string is big[index]
//
// as a varint. In a key's head bit 1 (timed) says that the time it expires at follows the key, in
// timeBytes bytes.
const (
	chunkItems = 128     // at most so many items
	chunkBytes = 8 << 10 // and no more added beyond so many bytes,
	chunkFew   = 16      // unless there are fewer items than this
	inData     = 256     // strings up to this length stand in data

	mergeItems = chunkItems / 2
	mergeBytes = chunkBytes / 2
)

// chunkMost is what data may grow to by values that become longer. Its offsets fit 16 bits.
const chunkMost = 4 * chunkBytes

const _ = uint16(chunkMost + 2*(inData+3) + chunkItems*timeBytes)

const (
	timed     = 2
	timeBytes = 8
)

// hashSeed makes the order of tables, and what collides, unpredictable from outside.
var hashSeed = maphash.MakeSeed()

func hashOf(key []byte) uint64 { return maphash.Bytes(hashSeed, key) }

func newTable(typ Type) *table {
	c := new(chunk)
	t := &table{typ: typ, deep: 1, first: [1]*chunk{c}}
	t.dir = t.first[:]
	t.mem = c.bytes() + 8
	return t
}

func (t *table) Type() Type         { return t.typ }
func (t *table) Encoding() Encoding { return Hashtable }
func (t *table) Len() int           { return t.n }
func (t *table) MemBytes() int64    { return t.mem + int64(unsafe.Sizeof(*t)) }

// Clone shares everything until either is edited.
func (t *table) Clone() Object {
	c := *t
	t.owner, c.owner = new(owner), new(owner)
	t.dirShared, c.dirShared = true, true
	return &c
}

func (t *table) at(h uint64) *chunk { return t.dir[h>>(64-t.bits)] }

func (t *table) hasValues() bool { return t.typ == Hash }

// get is the value of key (empty in a set), the time it expires at (0: never), and whether it is
// there.
func (t *table) get(key []byte) (val []byte, at int64, ok bool) {
	h := hashOf(key)
	c := t.at(h)
	i, end := c.find(h, key)
	if i < 0 {
		return nil, 0, false
	}
	if !t.hasValues() {
		return nil, 0, true
	}
	v, _ := c.str(end)
	return v, c.time(int(c.offs[i])), true
}

// Warm implements Warmer. A lookup follows the directory to a chunk and its rows, and from there to the item.
func (t *table) Warm(calls []Foreseen) {
	var hashes [WarmMost]uint64
	n := min(len(calls), WarmMost)
	for i := range n {
		h := hashOf(calls[i][0])
		hashes[i] = h
		arena.Prefetch(uintptr(unsafe.Pointer(&t.dir[h>>(64-t.bits)])))
	}
	for _, h := range hashes[:n] {
		c := uintptr(unsafe.Pointer(t.at(h)))
		const rows = unsafe.Sizeof(chunk{})
		arena.Prefetch(c)
		arena.Prefetch(c + 64)
		arena.Prefetch(c + rows + chunkItems/2) // the lines of the tags, if it is a fullChunk
		arena.Prefetch(c + rows + chunkItems - 1)
	}
	for _, h := range hashes[:n] {
		c := t.at(h)
		if i := bytes.IndexByte(c.tags, byte(h)); i >= 0 {
			arena.Prefetch(uintptr(unsafe.Pointer(&c.offs[i])))
		}
	}
	for _, h := range hashes[:n] {
		c := t.at(h)
		if i := bytes.IndexByte(c.tags, byte(h)); i >= 0 {
			item := uintptr(unsafe.Pointer(&c.data[c.offs[i]]))
			arena.Prefetch(item)
			arena.Prefetch(item + 64)
		} else if len(c.data) < cap(c.data) {
			arena.Prefetch(uintptr(unsafe.Pointer(&c.data[:len(c.data)+1][len(c.data)]))) // where a new item goes
		}
	}
}

// set makes key have a value and reports whether key is new; the time at which a key expires
// stays. In a set val is not used.
func (t *table) set(key, val []byte) bool {
	h := hashOf(key)
	c := t.at(h)
	if i, from := c.find(h, key); i >= 0 {
		if t.hasValues() {
			if old, _ := c.str(from); !bytes.Equal(old, val) {
				t.replace(h, c, i, val)
			}
		}
		return false
	}
	for c.full() {
		t.split(h)
		c = t.at(h)
	}
	t.edit(h, c, func(c *chunk) { c.add(h, key, val, t.hasValues()) })
	t.n++
	return true
}

func (t *table) replace(h uint64, c *chunk, i int, val []byte) {
	if c.fullFor(val) {
		// The item moves: out, and in again after what a new item may need.
		key, _ := c.str(int(c.offs[i]))
		key = bytes.Clone(key)
		at := c.time(int(c.offs[i]))
		t.remove(key)
		t.set(key, val)
		if at != 0 {
			t.setTime(key, at)
		}
		return
	}
	t.edit(h, c, func(c *chunk) { c.replace(c.valueAt(i), val) })
}

// setTime sets the time at which key expires, 0 for never. REQUIRES: key is there.
func (t *table) setTime(key []byte, at int64) {
	h := hashOf(key)
	c := t.at(h)
	i, _ := c.find(h, key)
	if c.time(int(c.offs[i])) == at {
		return
	}
	t.edit(h, c, func(c *chunk) { c.setTime(i, at) })
	if at != 0 && (t.next == 0 || at < t.next) {
		t.next = at
	}
}

// removeDue removes items whose time was before now, at most limit of them, and gives their keys
// to fn. more: some are left.
func (t *table) removeDue(now int64, limit int, fn func(key []byte)) (n int, more bool) {
	if t.next == 0 || t.next >= now {
		return 0, false
	}
	// Removing may merge chunks: first find some, then remove them.
	var keys [][]byte
	t.eachChunk(func(c *chunk) bool {
		if c.next == 0 {
			return true
		}
		if c.next < now {
			for _, off := range c.offs {
				key, _ := c.str(int(off))
				if at := c.time(int(off)); at != 0 && at < now {
					if len(keys) == limit {
						more = true
						return false
					}
					keys = append(keys, bytes.Clone(key))
				}
			}
		}
		return true
	})
	for _, key := range keys {
		fn(key)
		t.remove(key)
	}
	if !more {
		t.next = t.firstTime()
	}
	return len(keys), more
}

// firstTime is the first time at which an item expires, 0 if none does.
func (t *table) firstTime() (at int64) {
	t.eachChunk(func(c *chunk) bool {
		if c.next != 0 && (at == 0 || c.next < at) {
			at = c.next
		}
		return true
	})
	return at
}

// remove takes key out and reports whether it was there.
func (t *table) remove(key []byte) bool {
	h := hashOf(key)
	c := t.at(h)
	i, _ := c.find(h, key)
	if i < 0 {
		return false
	}
	t.removeAt(h, c, i)
	return true
}

func (t *table) removeAt(h uint64, c *chunk, i int) {
	c = t.edit(h, c, func(c *chunk) { c.remove(i, t.hasValues()) })
	t.n--
	for len(c.tags) <= mergeItems/2 && c.depth > 0 {
		if c = t.merge(h, c); c == nil {
			return
		}
	}
}

// edit lets do change the chunk of h, which is c, after copying it if it is shared, and keeps
// the count of memory. It returns the chunk changed.
func (t *table) edit(h uint64, c *chunk, do func(*chunk)) *chunk {
	before := c.bytes()
	if c.owner != t.owner {
		c = c.copy(t.owner)
		t.place(h, c)
	}
	do(c)
	t.mem += c.bytes() - before
	return c
}

// span is the first of the places of chunks of a depth that h has, and how many they are.
func (t *table) span(h uint64, depth uint8) (from, n int) {
	n = 1 << (t.bits - depth)
	return int(h>>(64-t.bits)) &^ (n - 1), n
}

// place puts c where h leads to.
func (t *table) place(h uint64, c *chunk) {
	t.ownDir()
	from, n := t.span(h, c.depth)
	for i := range n {
		t.dir[from+i] = c
	}
}

func (t *table) ownDir() {
	if t.dirShared {
		t.dir = append([]*chunk(nil), t.dir...)
		t.dirShared = false
	}
}

// split divides the chunk of h in two.
func (t *table) split(h uint64) {
	c := t.at(h)
	if c.depth == t.bits {
		dir := make([]*chunk, 2*len(t.dir))
		for i, c := range t.dir {
			dir[2*i], dir[2*i+1] = c, c
		}
		t.mem += 8 * int64(len(t.dir))
		t.dir, t.dirShared, t.deep = dir, false, 0
		t.bits++
	}
	bit := uint64(1) << (63 - c.depth)
	if c.owner == t.owner && c.divisible() {
		half := c.divide()
		t.place(h|bit, half)
		if c.depth == t.bits {
			t.deep += 2
		}
		t.mem += half.bytes()
		return
	}
	var halves [2]*chunk
	for i := range halves {
		halves[i] = newChunk(t.owner, c.depth+1, len(c.tags)/2+chunkFew/2, len(c.data)/2+len(c.data)/16)
	}
	for i, off := range c.offs {
		key, _ := c.str(int(off))
		g := hashOf(key)
		halves[g>>(63-c.depth)&1].move(c, i, t.hasValues())
	}
	t.place(h&^bit, halves[0])
	t.place(h|bit, halves[1])
	if c.depth+1 == t.bits {
		t.deep += 2
	}
	t.mem += halves[0].bytes() + halves[1].bytes() - c.bytes()
}

// merge joins c, the chunk of h, with its neighbour if they make no more than half a chunk,
// and returns the result or nil.
func (t *table) merge(h uint64, c *chunk) *chunk {
	bit := uint64(1) << (64 - c.depth)
	other := t.at(h ^ bit)
	if other.depth != c.depth || len(c.tags)+len(other.tags) > mergeItems || len(c.data)+len(other.data) > mergeBytes {
		return nil
	}
	m := newChunk(t.owner, c.depth-1, len(c.tags)+len(other.tags), len(c.data)+len(other.data))
	for _, from := range [2]*chunk{c, other} {
		for i := range from.offs {
			m.move(from, i, t.hasValues())
		}
	}
	t.place(h, m)
	t.mem += m.bytes() - c.bytes() - other.bytes()
	if c.depth == t.bits {
		for t.deep -= 2; t.deep == 0; {
			t.halve()
		}
	}
	return m
}

// halve makes the directory half as large. REQUIRES: no chunk has the depth of the directory.
func (t *table) halve() {
	t.bits--
	dir := make([]*chunk, 1<<t.bits)
	for i := range dir {
		dir[i] = t.dir[2*i]
	}
	t.mem -= 8 * int64(len(dir))
	t.dir, t.dirShared = dir, false
	t.eachChunk(func(c *chunk) bool {
		if c.depth == t.bits {
			t.deep++
		}
		return true
	})
}

func (t *table) eachChunk(fn func(*chunk) bool) bool {
	for i := 0; i < len(t.dir); {
		c := t.dir[i]
		if !fn(c) {
			return false
		}
		i += 1 << (t.bits - c.depth)
	}
	return true
}

// each visits all items, in the order of hashes' beginnings, until fn returns false.
func (t *table) each(fn func(key, val []byte) bool) bool {
	for i := 0; i < len(t.dir); {
		c := t.dir[i]
		for _, off := range c.offs {
			if !fn(c.item(int(off), t.hasValues())) {
				return false
			}
		}
		i += 1 << (t.bits - c.depth)
	}
	return true
}

// eachTimed is each with the times at which items expire, 0 for never.
func (t *table) eachTimed(fn func(key, val []byte, at int64) bool) bool {
	for i := 0; i < len(t.dir); {
		c := t.dir[i]
		for _, off := range c.offs {
			key, end := c.str(int(off))
			at := c.time(int(off))
			if at != 0 {
				end += timeBytes
			}
			val, _ := c.str(end)
			if !fn(key, val, at) {
				return false
			}
		}
		i += 1 << (t.bits - c.depth)
	}
	return true
}

// random is an item, each with the same chance. rnd gives 64 random bits. REQUIRES: Len() > 0.
func (t *table) random(rnd func() uint64) (key, val []byte) {
	// A directory place is one share of the hashes. Items get equal chances when a place is
	// taken only as often as its chunk is full, and as its share of the chunk's places.
	if len(t.dir) == 1 {
		c := t.dir[0]
		return c.item(int(c.offs[rnd()%uint64(t.n)]), t.hasValues())
	}
	for range 256 {
		r := rnd()
		c := t.dir[r>>(64-t.bits)]
		i := int(r & (chunkItems - 1)) // other bits than the directory's, which are fewer than 57
		if i < len(c.offs) && r>>7&(1<<(t.bits-c.depth)-1) == 0 {
			return c.item(int(c.offs[i]), t.hasValues())
		}
	}
	// Nearly empty: many long items, or what deletions have left. Count.
	i := int(rnd() % uint64(t.n))
	t.eachChunk(func(c *chunk) bool {
		if i < len(c.offs) {
			key, val = c.item(int(c.offs[i]), t.hasValues())
			return false
		}
		i -= len(c.offs)
		return true
	})
	return key, val
}

// scan visits about count items from a cursor on, with the times at which they expire, and
// returns the next cursor, 0 at the end. fn must not change the table.
func (t *table) scan(cursor uint64, count int, fn func(key, val []byte, at int64)) uint64 {
	pos := bits.Reverse64(cursor)
	for chunks := 10 * int64(count); ; chunks-- {
		c := t.at(pos)
		fine := c.depth // the next position will be a multiple of 2^(64-fine)
		if n := len(c.offs); n > count+count/2+8 {
			fine += uint8(bits.Len(uint(n / max(count, 8))))
		}
		step := uint64(1) << (64 - fine)
		next := pos&^(step-1) + step
		whole := fine == c.depth && pos&(step-1) == 0
		for _, off := range c.offs {
			key, end := c.str(int(off))
			if !whole {
				if h := hashOf(key); h < pos || h-pos >= next-pos {
					continue
				}
			}
			count--
			var val []byte
			at := int64(0)
			if t.hasValues() {
				if at = c.time(int(off)); at != 0 {
					end += timeBytes
				}
				val, _ = c.str(end)
			}
			fn(key, val, at)
		}
		if next == 0 || count <= 0 || chunks <= 0 {
			return bits.Reverse64(next)
		}
		pos = next
	}
}

// Chunks.

// newChunk is an empty chunk with room for items, which take some bytes; a fullChunk if they may become so many that its rows
// waste little.
func newChunk(o *owner, depth uint8, items, bytes int) (c *chunk) {
	if items >= chunkItems/4 {
		f := &fullChunk{chunk: chunk{owner: o, depth: depth, fixed: true}}
		c = &f.chunk
		c.tags, c.offs = f.tagRow[:0], f.offRow[:0]
	} else {
		c = &chunk{owner: o, depth: depth}
		if items > 0 {
			c.tags, c.offs = sized[byte](items), sized[uint16](items)
		}
	}
	if bytes > 0 {
		c.data = fresh(bytes)
	}
	return c
}

func (c *chunk) bytes() int64 {
	n := int64(unsafe.Sizeof(*c)) + int64(cap(c.tags)+2*cap(c.offs)+cap(c.data))
	if c.big != nil {
		n += int64(unsafe.Sizeof(*c.big)) + int64(24*cap(c.big.at)+c.big.bytes)
	}
	return n
}

func (c *chunk) full() bool {
	return len(c.tags) >= chunkItems || len(c.data) >= chunkBytes && len(c.tags) >= chunkFew
}

// fullFor reports whether data might become too long if val took the place of a shorter value.
func (c *chunk) fullFor(val []byte) bool {
	return len(val) <= inData && len(c.data)+len(val) > chunkMost
}

// divisible reports whether divide can be used: the items stand in data in the order of their numbers, and are nothing but
// bytes.
func (c *chunk) divisible() bool {
	return c.fixed && c.big == nil && c.next == 0 && slices.IsSorted(c.offs)
}

// divide leaves in c the items whose hash has 0 in the next bit, and returns a chunk of the others. Both have the room that c
// needed, so that they need not be made anew while they become as full: of a growing table nothing becomes garbage.
func (c *chunk) divide() *chunk {
	c.depth++
	d := newChunk(c.owner, c.depth, chunkItems, min(cap(c.data), len(c.data)+len(c.data)/16))
	kept, size := 0, 0
	for i, off := range c.offs {
		end := len(c.data)
		if i+1 < len(c.offs) {
			end = int(c.offs[i+1])
		}
		item := c.data[off:end]
		if key, _ := c.str(int(off)); hashOf(key)>>(64-c.depth)&1 != 0 {
			d.tags, d.offs = append(d.tags, c.tags[i]), append(d.offs, uint16(len(d.data)))
			d.data = append(d.data, item...)
			continue
		}
		c.tags[kept], c.offs[kept] = c.tags[i], uint16(size)
		size += copy(c.data[size:], item)
		kept++
	}
	c.tags, c.offs, c.data = c.tags[:kept], c.offs[:kept], c.data[:size]
	return d
}

// copy is c for another owner.
func (c *chunk) copy(o *owner) *chunk {
	d := newChunk(o, c.depth, len(c.tags), 0)
	d.tags = append(d.tags, c.tags...)
	d.offs = append(d.offs, c.offs...)
	d.data = append([]byte(nil), c.data...)
	d.next = c.next
	if c.big != nil {
		d.big = &bigStrings{append([][]byte(nil), c.big.at...), c.big.bytes}
	}
	return d
}

// fresh is sized for bytes that may be several pages: those are not cleared once more but asked for in one go.
func fresh(n int) []byte {
	if n < freshFrom || n > freshMost {
		return sized[byte](n)
	}
	b := make([]byte, roomFor[(n-freshFrom+freshStep-1)/freshStep])
	arena.Prefault(b)
	return b[:0]
}

const (
	freshFrom, freshStep, freshMost = 4 << 10, 256, 16 << 10
)

// roomFor is what the allocator gives for freshFrom bytes, freshStep more, and so on.
var roomFor = func() (room [(freshMost-freshFrom)/freshStep + 1]int) {
	for i := range room {
		room[i] = cap(sized[byte](freshFrom + i*freshStep))
	}
	return room
}()

// sized makes an empty slice with room for n, and for what the allocator gives anyway.
func sized[T any](n int) []T { return append([]T(nil), make([]T, n)...)[:0] }

// find is the number of the item with key and where its value is, or -1.
func (c *chunk) find(h uint64, key []byte) (i, end int) {
	for from := 0; ; {
		i = bytes.IndexByte(c.tags[from:], byte(h))
		if i < 0 {
			return -1, 0
		}
		i += from
		off := int(c.offs[i])
		k, end := c.str(off)
		if string(k) == string(key) {
			if c.data[off]&timed != 0 {
				end += timeBytes
			}
			return i, end
		}
		from = i + 1
	}
}

// str is the string whose head stands at a place of data, and the place behind it.
func (c *chunk) str(at int) (s []byte, end int) {
	head := uint(c.data[at])
	at++
	if head >= 0x80 {
		head = head&0x7F | uint(c.data[at])<<7 // heads have at most two bytes
		at++
	}
	n := int(head >> 2)
	if head&1 != 0 {
		return c.big.at[n], at
	}
	return c.data[at : at+n : at+n], at + n
}

// item is the key and, in a hash, the value of the item at a place of data.
func (c *chunk) item(at int, values bool) (key, val []byte) {
	key, end := c.str(at)
	if values {
		if c.data[at]&timed != 0 {
			end += timeBytes
		}
		val, _ = c.str(end)
	}
	return key, val
}

// time is the time at which the item at a place of data expires, 0 for never.
func (c *chunk) time(at int) int64 {
	if c.data[at]&timed == 0 {
		return 0
	}
	_, end := c.end(at)
	return int64(binary.LittleEndian.Uint64(c.data[end:]))
}

// valueAt is where the value of the item number i is.
func (c *chunk) valueAt(i int) int {
	at := int(c.offs[i])
	_, end := c.end(at)
	if c.data[at]&timed != 0 {
		end += timeBytes
	}
	return end
}

// setTime sets the time at which the item number i expires.
func (c *chunk) setTime(i int, at int64) {
	off := int(c.offs[i])
	_, end := c.end(off)
	was := c.time(off)
	switch {
	case was == 0:
		c.resize(end, end, timeBytes)
		c.data[off] |= timed
	case at == 0:
		c.resize(end, end+timeBytes, 0)
		c.data[off] &^= timed
	}
	if at != 0 {
		binary.LittleEndian.PutUint64(c.data[end:], uint64(at))
	}
	c.noteTime(was, at)
}

// noteTime keeps next right when an item's time has changed.
func (c *chunk) noteTime(was, at int64) {
	if at != 0 && (c.next == 0 || at < c.next) {
		c.next = at
		return
	}
	if was == 0 || was != c.next {
		return
	}
	c.next = 0
	for _, off := range c.offs {
		if at := c.time(int(off)); at != 0 && (c.next == 0 || at < c.next) {
			c.next = at
		}
	}
}

// add adds an item. REQUIRES: c is not full and has no such key.
func (c *chunk) add(h uint64, key, val []byte, values bool) {
	c.begin(byte(h))
	c.room(c.strBytes(key) + c.strBytes(val))
	c.appendStr(key)
	if values {
		c.appendStr(val)
	}
}

// begin enters an item that will stand at the end of data.
func (c *chunk) begin(tag byte) {
	if len(c.tags) == cap(c.tags) { // never of a fullChunk: that is full then
		n := len(c.tags)
		c.tags = append(sized[byte](n+n/8+1), c.tags...)
		c.offs = append(sized[uint16](n+n/8+1), c.offs...)
	}
	c.tags = append(c.tags, tag)
	c.offs = append(c.offs, uint16(len(c.data)))
}

// move adds a copy of the item number i of another chunk; they share its big strings.
func (c *chunk) move(from *chunk, i int, values bool) {
	c.begin(from.tags[i])
	at := int(from.offs[i])
	strings := 1
	if values {
		strings = 2
	}
	for range strings {
		head, end := from.end(at)
		if c.room(end - at); head&timed != 0 {
			c.room(end - at + timeBytes)
		}
		if head&1 != 0 {
			c.data = binary.AppendUvarint(c.data, uint64(c.keep(from.big.at[head>>2]))<<2|head&timed|1)
		} else {
			c.data = append(c.data, from.data[at:end]...)
		}
		if head&timed != 0 {
			c.noteTime(0, from.time(at))
			c.data = append(c.data, from.data[end:end+timeBytes]...)
			end += timeBytes
		}
		at = end
	}
}

// room makes sure that data can grow by n: an eighth more than needed, since there are many chunks.
func (c *chunk) room(n int) {
	if need := len(c.data) + n; need > cap(c.data) {
		c.data = append(sized[byte](need+need/8), c.data...)
	}
}

// strBytes is what s will take in data, or a little more.
func (c *chunk) strBytes(s []byte) int {
	if len(s) > inData {
		return 2
	}
	return len(s) + 2
}

func (c *chunk) appendStr(s []byte) {
	if len(s) > inData {
		c.data = binary.AppendUvarint(c.data, uint64(c.keep(bytes.Clone(s)))<<2|1)
		return
	}
	c.data = binary.AppendUvarint(c.data, uint64(len(s))<<2)
	c.data = append(c.data, s...)
}

// keep puts s, which nobody writes to, among the big strings.
func (c *chunk) keep(s []byte) int {
	if c.big == nil {
		c.big = new(bigStrings)
	}
	b := c.big
	b.bytes += cap(s)
	for i := range b.at {
		if b.at[i] == nil {
			b.at[i] = s
			return i
		}
	}
	b.at = append(b.at, s)
	return len(b.at) - 1
}

// drop frees what the string whose head stands at a place has among the big strings.
func (c *chunk) drop(at int) {
	head, _ := binary.Uvarint(c.data[at:])
	if head&1 != 0 {
		c.big.bytes -= cap(c.big.at[head>>2])
		c.big.at[head>>2] = nil
		if c.big.bytes == 0 {
			c.big = nil
		}
	}
}

// replace puts val in the place of the string whose head stands at from.
func (c *chunk) replace(from int, val []byte) {
	_, end := c.str(from)
	c.drop(from)
	if len(val) <= inData {
		var head [2]byte
		k := binary.PutUvarint(head[:], uint64(len(val))<<2)
		c.resize(from, end, k+len(val))
		copy(c.data[from:], head[:k])
		copy(c.data[from+k:], val)
		return
	}
	var head [4]byte
	k := binary.PutUvarint(head[:], uint64(c.keep(bytes.Clone(val)))<<2|1)
	c.resize(from, end, k)
	copy(c.data[from:], head[:k])
}

// resize gives data[from:end] n bytes and moves what stands behind it.
func (c *chunk) resize(from, end, n int) {
	d := n - (end - from)
	if d == 0 {
		return
	}
	size := len(c.data)
	if d > 0 {
		c.room(d)
	}
	c.data = c.data[:max(size, size+d)]
	copy(c.data[from+n:], c.data[end:size])
	c.data = c.data[:size+d]
	for i, off := range c.offs {
		if int(off) >= end {
			c.offs[i] = uint16(int(off) + d)
		}
	}
}

// remove takes the item number i out.
func (c *chunk) remove(i int, values bool) {
	from := int(c.offs[i])
	end := c.valueAt(i)
	was := c.time(from)
	c.drop(from)
	if values {
		c.drop(end)
		_, end = c.end(end)
	}
	last := len(c.tags) - 1
	c.tags[i], c.offs[i] = c.tags[last], c.offs[last]
	c.tags, c.offs = c.tags[:last], c.offs[:last]
	c.resize(from, end, 0)
	if was != 0 {
		c.noteTime(was, 0)
	}
	if cap(c.data) > 64 && len(c.data) < cap(c.data)/3 { // a chunk that was divided may be half full
		c.data = append(sized[byte](len(c.data)+len(c.data)/8), c.data...)
	}
	if last < cap(c.tags)/2 && !c.fixed {
		c.tags = append(sized[byte](last), c.tags...)
		c.offs = append(sized[uint16](last), c.offs...)
	}
}

// end is the head of the string at a place, which may have been dropped already, and the place
// behind the string.
func (c *chunk) end(at int) (head uint64, end int) {
	head, k := binary.Uvarint(c.data[at:])
	if head&1 != 0 {
		return head, at + k
	}
	return head, at + k + int(head>>2)
}
