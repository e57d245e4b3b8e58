package value

import (
	"github.com/sextantdb/sextant/store/value/internal/intset"
	"github.com/sextantdb/sextant/store/value/internal/listpack"
)

// CheckPack reports whether b is a well-formed listpack, and how many elements it has. Payloads
// from outside must be checked before anything else here looks at them.
func CheckPack(b []byte) (int, bool) {
	n, err := listpack.Check(b)
	return n, err == nil
}

// CheckIntset is CheckPack for an intset.
func CheckIntset(b []byte) (int, bool) {
	n, err := intset.Check(b)
	return n, err == nil
}

// EachInPack visits the elements of a listpack as text until fn returns false. The bytes are
// valid during the call.
func EachInPack(b []byte, fn func([]byte) bool) {
	p := listpack.Pack(b)
	var digits [20]byte
	for at, end := p.First(), p.End(); at != end; at = p.Next(at) {
		if !fn(p.Get(at).Bytes(digits[:])) {
			return
		}
	}
}
