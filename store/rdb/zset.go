package rdb

import (
	"math"

	"github.com/sextantdb/sextant/store/value"
)

var zsetCodec = codec{
	typ:   value.ZSet,
	reads: []byte{TypeZSet, TypeZSet2, TypeZSetZiplist, TypeZSetListpack},
	read:  readZSet,
	write: func(v *Value) (byte, func(*Encoder, *Value)) {
		if v.Object == nil {
			return TypeZSetListpack, writeString
		}
		return TypeZSet2, writeZSet
	},
}

// writeZSet writes the highest score first, as Redis does: it adds each member at the head of
// its list when it loads them.
func writeZSet(e *Encoder, v *Value) {
	z := value.ZSetOf(nil, v.Object)
	e.Len(uint64(z.Len()))
	for it := z.From(z.Len()-1, true); it.Next() && e.err == nil; {
		e.String(it.Member())
		e.Double(it.Score())
	}
}

func readZSet(d *Decoder, rdbType byte, v *Value) error {
	v.Type = value.ZSet
	if rdbType == TypeZSet || rdbType == TypeZSet2 {
		return d.readScored(rdbType, v)
	}
	from := d.Offset()
	b, err := d.String()
	if err != nil {
		return err
	}
	if rdbType == TypeZSetListpack {
		n, ok := value.CheckPack(b)
		switch {
		case ok && n == 0:
			return errEmpty
		case !ok || !value.CheckZSet(b):
			return d.Corrupt(from, "Zset listpack integrity check failed.")
		}
		z := value.ZSetOf(b, nil)
		if !z.Fits(0, &d.limits) {
			z.Grow()
		}
		return v.zset(&z)
	}
	z := value.NewZSet(d.build, 1, 0, &d.limits)
	good, isMember := true, true
	n, ok := ziplist(b, func(s []byte) bool {
		if isMember {
			d.element = append(d.element[:0], s...)
		} else {
			var score float64
			if score, good = value.ParseScore(s); good {
				good = !z.Put(d.element, score, &d.limits)
			}
		}
		isMember = !isMember
		return good
	})
	switch {
	case !good || !ok || n%2 != 0:
		return d.Corrupt(from, "Zset ziplist integrity check failed.")
	case n == 0:
		return errEmpty
	}
	return v.builtZSet(d, &z)
}

// readScored reads a sorted set that was written member by member.
func (d *Decoder) readScored(rdbType byte, v *Value) error {
	n, err := d.Len()
	if err != nil {
		return err
	}
	if n == 0 {
		return errEmpty
	}
	z := value.NewZSet(d.build, int(min(n, math.MaxInt32)), 0, &d.limits)
	for range n {
		from := d.Offset()
		member, err := d.String()
		if err != nil {
			return err
		}
		d.element = append(d.element[:0], member...)
		score, err := d.score(rdbType)
		if err != nil {
			return err
		}
		if math.IsNaN(score) {
			return d.Corrupt(from, "Zset with NAN score detected")
		}
		if z.Put(d.element, score, &d.limits) {
			return d.Corrupt(from, "a sorted set with the same member twice")
		}
	}
	return v.builtZSet(d, &z)
}

// score reads a score: eight bytes, or in the old form a length and that many digits.
func (d *Decoder) score(rdbType byte) (float64, error) {
	if rdbType == TypeZSet2 {
		return d.Double()
	}
	from := d.Offset()
	n, err := d.Byte()
	if err != nil {
		return 0, err
	}
	switch n {
	case 253:
		return math.NaN(), nil
	case 254:
		return math.Inf(1), nil
	case 255:
		return math.Inf(-1), nil
	}
	text, err := d.take(int(n))
	if err != nil {
		return 0, err
	}
	f, ok := value.ParseScore(text)
	if !ok {
		return 0, d.Corrupt(from, "a score that is not a number")
	}
	return f, nil
}

func (v *Value) builtZSet(d *Decoder, z *value.SortedSet) error {
	if p := z.Payload(); p != nil {
		d.build = p
	}
	d.tidy()
	return v.zset(z)
}

func (v *Value) zset(z *value.SortedSet) error {
	if large := z.Large(); large != nil {
		return v.compactOr(0, nil, large)
	}
	return v.compactOr(value.Listpack, z.Payload(), nil)
}
