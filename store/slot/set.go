package slot

import (
	"math/bits"
	"strconv"
	"strings"
)

// Range is the inclusive range of slots First..Last.
type Range struct{ First, Last Slot }

// String renders r as CLUSTER NODES does: "5" or "0-5460".
func (r Range) String() string {
	if r.First == r.Last {
		return strconv.Itoa(int(r.First))
	}
	return strconv.Itoa(int(r.First)) + "-" + strconv.Itoa(int(r.Last))
}

// Len is the number of slots in r.
func (r Range) Len() int { return int(r.Last) - int(r.First) + 1 }

// ParseRange reads "5" or "0-5460". It reports false when a bound is no slot or the
// bounds are out of order.
func ParseRange(s string) (Range, bool) {
	a, b, two := strings.Cut(s, "-")
	if !two {
		b = a
	}
	first, ok1 := Parse([]byte(a))
	last, ok2 := Parse([]byte(b))
	if !ok1 || !ok2 || first > last {
		return Range{}, false
	}
	return Range{first, last}, true
}

// Set is a set of slots, one bit a slot (2 KiB). The zero value is empty. It is a plain
// value: assignment copies it, == compares it.
type Set [Count / 64]uint64

// SetOf returns the set of the slots in rs.
func SetOf(rs ...Range) (s Set) {
	for _, r := range rs {
		s.AddRange(r)
	}
	return s
}

func (s *Set) Has(n Slot) bool { return s[n>>6]&(1<<(n&63)) != 0 }
func (s *Set) Add(n Slot)      { s[n>>6] |= 1 << (n & 63) }
func (s *Set) Remove(n Slot)   { s[n>>6] &^= 1 << (n & 63) }

// AddRange adds every slot of r.
func (s *Set) AddRange(r Range) {
	for n := int(r.First); n <= int(r.Last); n++ {
		s.Add(Slot(n))
	}
}

// Len is the number of slots in the set.
func (s *Set) Len() (n int) {
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}

// Empty reports whether the set has no slot.
func (s *Set) Empty() bool {
	for _, w := range s {
		if w != 0 {
			return false
		}
	}
	return true
}

// Union adds every slot of o.
func (s *Set) Union(o *Set) {
	for i, w := range o {
		s[i] |= w
	}
}

// Subtract removes every slot of o.
func (s *Set) Subtract(o *Set) {
	for i, w := range o {
		s[i] &^= w
	}
}

// Intersects reports whether the two sets share a slot.
func (s *Set) Intersects(o *Set) bool {
	for i, w := range o {
		if s[i]&w != 0 {
			return true
		}
	}
	return false
}

// Next returns the least slot of the set that is >= from, or false when there is none.
func (s *Set) Next(from int) (Slot, bool) {
	for i := from >> 6; i < len(s); i++ {
		w := s[i]
		if i == from>>6 {
			w &= ^uint64(0) << (from & 63)
		}
		if w != 0 {
			return Slot(i<<6 + bits.TrailingZeros64(w)), true
		}
	}
	return 0, false
}

// Ranges returns the set as merged ranges in ascending order.
func (s *Set) Ranges() (rs []Range) {
	for at := 0; ; {
		first, ok := s.Next(at)
		if !ok {
			return rs
		}
		last := int(first)
		for last+1 < Count && s.Has(Slot(last+1)) {
			last++
		}
		rs = append(rs, Range{first, Slot(last)})
		at = last + 1
	}
}

// String renders the ranges separated by single spaces, as in CLUSTER NODES.
func (s *Set) String() string {
	var b strings.Builder
	for i, r := range s.Ranges() {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(r.String())
	}
	return b.String()
}
