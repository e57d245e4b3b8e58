package rdb

import "github.com/sextantdb/sextant/store/value"

// Sets that are listpacks have a type of their own only from version 11 on, and we write 10:
// they are written member by member, and become listpacks again when they are read.
var setCodec = codec{
	typ:   value.Set,
	reads: []byte{TypeSet, TypeSetIntset, TypeSetListpack},
	read:  readSet,
	write: func(v *Value) (byte, func(*Encoder, *Value)) {
		if v.Encoding == value.Intset && v.Object == nil {
			return TypeSetIntset, writeString
		}
		return TypeSet, writeSet
	},
}

func writeSet(e *Encoder, v *Value) {
	s := value.SetOf(v.Encoding, v.Payload, v.Object)
	e.Len(uint64(s.Len()))
	s.Each(func(m []byte) bool {
		e.String(m)
		return e.err == nil
	})
}

func readSet(d *Decoder, rdbType byte, v *Value) error {
	v.Type = value.Set
	if rdbType == TypeSet {
		return d.readMembers(v)
	}
	from := d.Offset()
	b, err := d.String()
	if err != nil {
		return err
	}
	enc, check, name := value.Listpack, value.CheckPack, "listpack"
	if rdbType == TypeSetIntset {
		enc, check, name = value.Intset, value.CheckIntset, "intset"
	}
	n, ok := check(b)
	switch {
	case !ok:
		return d.Corrupt(from, "Set %s integrity check failed.", name)
	case n == 0:
		return errEmpty
	}
	o, ok := value.FitSet(enc, b, d.limits)
	if !ok {
		return d.Corrupt(from, "a set with the same member twice")
	}
	return v.compactOr(enc, b, o)
}

// readMembers reads a set that was written member by member.
func (d *Decoder) readMembers(v *Value) error {
	n, err := d.Len()
	if err != nil {
		return err
	}
	if n == 0 {
		return errEmpty
	}
	s := value.EditSet(0, nil, nil, d.build, &d.limits)
	for i := range n {
		from := d.Offset()
		m, err := d.String()
		if err != nil {
			return err
		}
		if i == 0 {
			// A set of more integers than an intset takes is a table at once.
			s.Expect(m, int(min(n, uint64(d.limits.SetIntset+d.limits.SetEntries+1))))
		}
		if !s.Add(m) {
			return d.Corrupt(from, "a set with the same member twice")
		}
	}
	enc, payload, o := s.Result()
	d.build = s.Scratch()
	d.tidy()
	return v.compactOr(enc, payload, o)
}
