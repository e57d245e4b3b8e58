package vm

import (
	"math"
	"math/bits"
	"strings"
	"unsafe"
)

// Table is an array for the keys 1..n and a chained scatter table with Brent's variation for the rest. When the node
// array is full the sizes of both are computed anew: the array is the largest n such that more than half of 1..n is
// in use. Both sizes, and so the order of Next and the border Len finds, are those of PUC Lua.
type Table struct {
	kind     Kind
	readOnly bool
	lsize    uint8  // log2 of len(nodes)
	seen     uint16 // the last round of the meter that met the table
	id       uint32
	meta     *Table
	arr      []Value
	nodes    []node // length 0 or a power of two
	lastFree int32  // all nodes at and above are in use
	meter    *Meter
}

type node struct {
	key, val Value
	next     int32 // index + 1; 0: end of the chain
}

const (
	tableBytes = int64(unsafe.Sizeof(Table{}))
	valueBytes = int64(unsafe.Sizeof(Value{}))
	nodeBytes  = int64(unsafe.Sizeof(node{}))
	strBytes   = int64(unsafe.Sizeof(Str{}))
	maxArray   = 26 // log2 of the largest array
)

// NewTable makes a table with room for narr array elements and nhash others.
func (vm *VM) NewTable(narr, nhash int) *Table {
	vm.ids++
	t := &Table{kind: KindTable, meter: &vm.meter, id: vm.ids}
	vm.meter.charge(tableBytes)
	if narr > 0 {
		t.setArray(narr)
	}
	if nhash > 0 {
		t.setNodes(nhash)
	}
	return t
}

// NewStringTable makes a list of strings. Its strings live and die together, so that they cost two allocations.
func (vm *VM) NewStringTable(words [][]byte) *Table {
	t := vm.NewTable(len(words), 0)
	if len(words) == 0 {
		return t
	}
	size := 0
	for _, w := range words {
		size += len(w)
	}
	vm.meter.charge(int64(size) + strBytes*int64(len(words)))
	var text strings.Builder
	text.Grow(size)
	for _, w := range words {
		text.Write(w)
	}
	all, strs := text.String(), make([]Str, len(words))
	for i, w := range words {
		strs[i] = Str{kind: KindString, s: all[:len(w)]}
		all = all[len(w):]
		t.arr[i] = strValue(&strs[i])
	}
	return t
}

// SetReadOnly makes writes by scripts an error.
func (t *Table) SetReadOnly(on bool) { t.readOnly = on }

// ReadOnly reports whether scripts may not write to t.
func (t *Table) ReadOnly() bool { return t.readOnly }

// Meta is the metatable, nil if there is none.
func (t *Table) Meta() *Table { return t.meta }

// SetMeta sets the metatable.
func (t *Table) SetMeta(m *Table) { t.meta = m }

func (t *Table) setArray(n int) {
	t.meter.charge(int64(n-len(t.arr)) * valueBytes)
	arr := make([]Value, n)
	copy(arr, t.arr)
	t.arr = arr
}

func (t *Table) setNodes(n int) {
	if n == 0 {
		t.nodes, t.lsize, t.lastFree = nil, 0, 0
		return
	}
	l := bits.Len(uint(n - 1))
	t.meter.charge(int64(1<<l) * nodeBytes)
	t.nodes = make([]node, 1<<l)
	t.lsize, t.lastFree = uint8(l), int32(1<<l)
}

// arrayIndex returns k as an index of the array part (from 1), or 0.
func arrayIndex(f float64) int {
	i := int(f)
	if float64(i) == f && i > 0 {
		return i
	}
	return 0
}

func hashNumber(f float64) uint32 {
	if f == 0 {
		return 0
	}
	b := math.Float64bits(f)
	return uint32(b) + uint32(b>>32)
}

// mainPosition is the index of the node key hashes to. REQUIRES: there are nodes.
func (t *Table) mainPosition(key Value) int32 {
	mask := uint32(len(t.nodes) - 1)
	switch key.Kind() {
	case KindString:
		return int32((*Str)(key.p).sum() & mask)
	case KindNumber:
		f := key.num()
		if f == 0 {
			return 0
		}
		return int32(hashNumber(f) % (mask | 1))
	case KindBool:
		return int32(uint32(key.n) & mask)
	}
	return int32(objectHash(key) % (mask | 1))
}

// objectHash stands for the address that PUC hashes by: the order of such keys means nothing, but is the same in
// every run.
func objectHash(key Value) uint32 {
	switch key.Kind() {
	case KindTable:
		return (*Table)(key.p).id * 2654435761
	case KindFunction:
		return (*Func)(key.p).id * 2654435761
	case KindThread:
		return (*Thread)(key.p).id * 2654435761
	}
	return 0
}

// GetStr looks a string key up.
func (t *Table) getStr(s *Str) Value {
	if len(t.nodes) == 0 {
		return Nil
	}
	for i := int32(s.sum()&uint32(len(t.nodes)-1)) + 1; i != 0; {
		n := &t.nodes[i-1]
		if n.key.p == unsafe.Pointer(s) {
			return n.val
		}
		if k := n.key.str(); k != nil && k.hash == s.hash && k.s == s.s {
			return n.val
		}
		i = n.next
	}
	return Nil
}

// GetInt looks an integer key up.
func (t *Table) GetInt(i int) Value {
	if uint(i-1) < uint(len(t.arr)) {
		return t.arr[i-1]
	}
	if len(t.nodes) == 0 {
		return Nil
	}
	return t.getNumber(float64(i))
}

func (t *Table) getNumber(f float64) Value {
	if n := t.findNumber(f); n != nil {
		return n.val
	}
	return Nil
}

func (t *Table) findNumber(f float64) *node {
	if len(t.nodes) == 0 {
		return nil
	}
	var at int32
	if f != 0 {
		at = int32(hashNumber(f) % (uint32(len(t.nodes)-1) | 1))
	}
	for i := at + 1; i != 0; {
		n := &t.nodes[i-1]
		if n.key.isNumber() && n.key.num() == f {
			return n
		}
		i = n.next
	}
	return nil
}

// Get looks a key up, without metamethods.
func (t *Table) Get(key Value) Value {
	switch key.Kind() {
	case KindNil:
		return Nil
	case KindString:
		return t.getStr((*Str)(key.p))
	case KindNumber:
		f := key.num()
		if i := arrayIndex(f); uint(i-1) < uint(len(t.arr)) {
			return t.arr[i-1]
		}
		return t.getNumber(f)
	}
	if n := t.find(key); n != nil {
		return n.val
	}
	return Nil
}

// GetString looks a string key up.
func (t *Table) GetString(s string) Value {
	k := Str{kind: KindString, s: s}
	return t.getStr(&k)
}

// find returns the node of a key, or nil.
func (t *Table) find(key Value) *node {
	if len(t.nodes) == 0 {
		return nil
	}
	for i := t.mainPosition(key) + 1; i != 0; {
		n := &t.nodes[i-1]
		if RawEqual(n.key, key) {
			return n
		}
		i = n.next
	}
	return nil
}

// Set writes a key, without metamethods. REQUIRES: key is neither nil nor NaN.
func (t *Table) Set(key, val Value) {
	if key.isNumber() {
		if i := arrayIndex(key.num()); uint(i-1) < uint(len(t.arr)) {
			t.arr[i-1] = val
			return
		}
	}
	if n := t.find(key); n != nil {
		n.val = val
		return
	}
	// Also for nil: PUC makes the key then too, and may rehash, which scripts could see in the order of pairs.
	t.insert(key, val)
}

// SetInt writes an integer key.
func (t *Table) SetInt(i int, val Value) {
	if uint(i-1) < uint(len(t.arr)) {
		t.arr[i-1] = val
		return
	}
	t.Set(Int(i), val)
}

// SetString writes a string key.
func (t *Table) SetString(s string, val Value) { t.Set(String(s), val) }

func (t *Table) insert(key, val Value) {
	if len(t.nodes) == 0 {
		t.rehash(key)
		t.Set(key, val)
		return
	}
	at := t.mainPosition(key)
	mp := &t.nodes[at]
	if !mp.val.IsNil() {
		free := t.freePosition()
		if free < 0 {
			t.rehash(key)
			t.Set(key, val)
			return
		}
		other := t.mainPosition(mp.key)
		if other != at {
			// The node here is not in its own place: it moves to the free one.
			for t.nodes[other].next != at+1 {
				other = t.nodes[other].next - 1
			}
			t.nodes[other].next = free + 1
			t.nodes[free] = *mp
			mp.next, mp.val = 0, Nil
		} else {
			n := &t.nodes[free]
			n.next = mp.next
			mp.next = free + 1
			mp = n
		}
	}
	mp.key, mp.val = key, val
}

func (t *Table) freePosition() int32 {
	for t.lastFree > 0 {
		t.lastFree--
		if t.nodes[t.lastFree].key.IsNil() {
			return t.lastFree
		}
	}
	return -1
}

// rehash computes the sizes for all keys and one more.
func (t *Table) rehash(extra Value) {
	var nums [maxArray + 1]int // nums[i]: keys k with 2^(i-1) < k <= 2^i
	count := func(key Value) int {
		if !key.isNumber() {
			return 0
		}
		k := arrayIndex(key.num())
		if k <= 0 || k > 1<<maxArray {
			return 0
		}
		nums[bits.Len(uint(k-1))]++
		return 1
	}
	na, total := 0, 0
	for i, v := range t.arr {
		if !v.IsNil() {
			nums[bits.Len(uint(i))]++
			na++
		}
	}
	total = na
	for i := range t.nodes {
		if n := &t.nodes[i]; !n.val.IsNil() {
			na += count(n.key)
			total++
		}
	}
	na += count(extra)
	total++
	size, in := bestArray(&nums, na)
	t.resize(size, total-in)
}

// bestArray returns the array size for which more than half of the places are used, and how many keys go there.
func bestArray(nums *[maxArray + 1]int, keys int) (size, in int) {
	sum := 0
	for i, p := 0, 1; i <= maxArray && p/2 < keys; i, p = i+1, p*2 {
		if nums[i] > 0 {
			sum += nums[i]
			if sum > p/2 {
				size, in = p, sum
			}
		}
		if sum == keys {
			break
		}
	}
	return size, in
}

// resize gives both parts new sizes and moves what has to move.
func (t *Table) resize(narr, nhash int) {
	old := t.nodes
	oldArr := t.arr
	if narr > len(oldArr) {
		t.setArray(narr)
	}
	t.setNodes(nhash)
	if narr < len(oldArr) {
		t.arr = append([]Value(nil), oldArr[:narr]...)
		for i := narr; i < len(oldArr); i++ {
			if !oldArr[i].IsNil() {
				t.SetInt(i+1, oldArr[i])
			}
		}
	}
	for i := len(old) - 1; i >= 0; i-- {
		if !old[i].val.IsNil() {
			t.Set(old[i].key, old[i].val)
		}
	}
}

// growArray is what a constructor does before it stores item n.
func (t *Table) growArray(n int) {
	if n > len(t.arr) {
		nhash := 0
		if len(t.nodes) > 0 {
			nhash = len(t.nodes)
		}
		t.resize(n, nhash)
	}
}

// Len returns a border: n with t[n] not nil and t[n+1] nil, by PUC's search.
func (t *Table) Len() int {
	j := len(t.arr)
	if j > 0 && t.arr[j-1].IsNil() {
		i := 0
		for j-i > 1 {
			if m := (i + j) / 2; t.arr[m-1].IsNil() {
				j = m
			} else {
				i = m
			}
		}
		return i
	}
	if len(t.nodes) == 0 {
		return j
	}
	i := j
	j++
	for !t.GetInt(j).IsNil() {
		i = j
		j *= 2
		if j > math.MaxInt32 {
			i = 1
			for !t.GetInt(i).IsNil() {
				i++
			}
			return i - 1
		}
	}
	for j-i > 1 {
		if m := (i + j) / 2; t.GetInt(m).IsNil() {
			j = m
		} else {
			i = m
		}
	}
	return i
}

// Next returns the entry behind key (Nil: the first); key Nil when there is none. ok is false when key is not in the
// table.
func (t *Table) Next(key Value) (k, v Value, ok bool) {
	i := 0
	switch {
	case key.IsNil():
	default:
		at := 0
		if key.isNumber() {
			at = arrayIndex(key.num())
		}
		if at > 0 && at <= len(t.arr) {
			i = at
			break
		}
		n := t.find(key)
		if n == nil {
			return Nil, Nil, false
		}
		i = len(t.arr) + int((uintptr(unsafe.Pointer(n))-uintptr(unsafe.Pointer(&t.nodes[0])))/unsafe.Sizeof(node{})) + 1
	}
	for ; i < len(t.arr); i++ {
		if !t.arr[i].IsNil() {
			return Int(i + 1), t.arr[i], true
		}
	}
	for i -= len(t.arr); i < len(t.nodes); i++ {
		if n := &t.nodes[i]; !n.val.IsNil() {
			return n.key, n.val, true
		}
	}
	return Nil, Nil, true
}

// Each calls f for every entry in the order of Next. f must not add keys.
func (t *Table) Each(f func(k, v Value) bool) {
	for i, v := range t.arr {
		if !v.IsNil() && !f(Int(i+1), v) {
			return
		}
	}
	for i := range t.nodes {
		if n := &t.nodes[i]; !n.val.IsNil() && !f(n.key, n.val) {
			return
		}
	}
}

// HasStrings reports whether the table may have keys that are not in its array part.
func (t *Table) HasStrings() bool { return len(t.nodes) > 0 }
