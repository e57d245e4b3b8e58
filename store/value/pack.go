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
	var digits []byte // room for numbers, once there is one
	for at, end := p.First(), p.End(); at != end; at = p.Next(at) {
		var text []byte
		if text, digits = textOf(p.Get(at), digits); !fn(text) {
			return
		}
	}
}

// textOf is an element as text: a number is written into digits, which may grow.
func textOf(v listpack.Value, digits []byte) (text, room []byte) {
	if !v.IsInt {
		return v.Str, digits
	}
	digits = v.Append(digits[:0])
	return digits, digits
}
