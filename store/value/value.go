package value

import "github.com/sextantdb/sextant/store/value/internal/listpack"

// Type is what TYPE names: the kind of value a key holds. The numbers are RDB's object
// type numbers (5, modules, does not occur here).
type Type uint8

const (
	String Type = 0
	List   Type = 1
	Set    Type = 2
	ZSet   Type = 3
	Hash   Type = 4
	Stream Type = 6
)

// String is the name TYPE answers.
func (t Type) String() string {
	switch t {
	case String:
		return "string"
	case List:
		return "list"
	case Set:
		return "set"
	case ZSet:
		return "zset"
	case Hash:
		return "hash"
	case Stream:
		return "stream"
	}
	return "unknown"
}

// ParseType reads a TYPE name in any letter case (SCAN … TYPE name).
func ParseType(s []byte) (Type, bool) {
	for _, t := range [...]Type{String, List, Set, ZSet, Hash, Stream} {
		if EqualFold(s, t.String()) {
			return t, true
		}
	}
	return 0, false
}

// Encoding is how a value is laid out, as OBJECT ENCODING names it.
type Encoding uint8

const (
	Int            Encoding = iota // a string that is a 64-bit integer: payload is its 8 bytes, little endian
	Embstr                         // a string of at most EmbstrMax bytes
	Raw                            // any other string, and every string once edited in place
	Listpack                       // a small list, set, zset or hash: one compact byte string
	Intset                         // a small set of integers: one compact byte string
	Quicklist                      // a large list
	Hashtable                      // a large set or hash
	Skiplist                       // a large zset
	StreamEncoding                 // every stream
	ListpackEx                     // a small hash with fields that expire: one compact byte string
)

// String is the name OBJECT ENCODING answers.
func (e Encoding) String() string {
	switch e {
	case Int:
		return "int"
	case Embstr:
		return "embstr"
	case Raw:
		return "raw"
	case Listpack:
		return "listpack"
	case Intset:
		return "intset"
	case Quicklist:
		return "quicklist"
	case Hashtable:
		return "hashtable"
	case Skiplist:
		return "skiplist"
	case ListpackEx:
		return "listpackex"
	case StreamEncoding:
		return "stream"
	}
	return "unknown"
}

// Object is a value too large or too linked to be one compact byte string: it lives on
// Go's heap behind a handle (arena memory may not hold Go pointers). All calls happen
// under the lock of the stripe that owns the key, except those on a Clone.
type Object interface {
	Type() Type
	Encoding() Encoding
	// Len is the number of elements (LLEN, SCARD, ZCARD, HLEN, XLEN).
	Len() int
	// MemBytes is the memory held, for MEMORY USAGE and maxmemory. It must be O(1):
	// the store asks before and after every edit.
	MemBytes() int64
	// Clone returns an independent copy. Snapshots call it under the stripe's lock at
	// the first edit after a cut and read the copy on another goroutine, so large
	// objects should share chunks copy-on-write instead of copying them all.
	Clone() Object
}

// Foreseen are the two words behind the key of a call that will come, nil where it has fewer: a field, a member, a score
// and a member, or something else.
type Foreseen [2][]byte

// Warmer is an Object that can have the memory fetched which some calls will need, for all of them at a time, so that
// they need not wait for main memory one after the other. It changes nothing.
type Warmer interface {
	Warm(calls []Foreseen)
}

// WarmMost is how many calls Warm takes; it leaves the others alone.
const WarmMost = 64

// CompactLen is the number of elements of a compact collection.
func CompactLen(t Type, enc Encoding, payload []byte) int {
	switch t {
	case Set:
		return SetOf(enc, payload, nil).Len()
	case Hash:
		return HashOf(enc, payload, nil, 0).Len()
	case ZSet:
		return listpack.Pack(payload).Len() / 2
	default:
		return listpack.Pack(payload).Len()
	}
}

// EqualFold reports whether s, in any letter case, is lower.
func EqualFold(s []byte, lower string) bool {
	if len(s) != len(lower) {
		return false
	}
	for i, c := range s {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
