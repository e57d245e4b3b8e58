package rdb

import "github.com/sextantdb/sextant/store/value"

var hashCodec = codec{
	typ:   value.Hash,
	reads: []byte{TypeHash, TypeHashZipmap, TypeHashZiplist, TypeHashListpack},
	read:  readHash,
	write: func(v *Value) (byte, func(*Encoder, *Value)) {
		if v.Object == nil {
			return TypeHashListpack, writeString
		}
		return TypeHash, writeHash
	},
}

func writeHash(e *Encoder, v *Value) {
	h := value.HashOf(nil, v.Object)
	e.Len(uint64(h.Len()))
	h.Each(func(field, val []byte) bool {
		e.String(field)
		e.String(val)
		return e.err == nil
	})
}

func readHash(d *Decoder, rdbType byte, v *Value) error {
	v.Type = value.Hash
	if rdbType == TypeHash {
		return d.readFields(v)
	}
	from := d.Offset()
	b, err := d.String()
	if err != nil {
		return err
	}
	if rdbType == TypeHashListpack {
		n, ok := value.CheckPack(b)
		switch {
		case !ok:
			return d.Corrupt(from, "Hash listpack integrity check failed.")
		case n == 0:
			return errEmpty
		case n%2 != 0:
			return d.Corrupt(from, "a hash listpack with a field that has no value")
		}
		o, ok := value.FitHash(b, d.limits)
		if !ok {
			return d.Corrupt(from, "Hash listpack with dup elements")
		}
		return v.compactOr(value.Listpack, b, o)
	}
	walk, name := ziplist, "Hash ziplist"
	if rdbType == TypeHashZipmap {
		walk, name = zipmap, "Zipmap"
	}
	h := value.EditHash(nil, nil, d.build, d.limits)
	unique, isField := true, true
	n, ok := walk(b, func(s []byte) bool {
		if isField {
			d.element = append(d.element[:0], s...)
		} else {
			unique = h.Set(d.element, s)
		}
		isField = !isField
		return unique
	})
	switch {
	case !unique:
		return d.Corrupt(from, "%s integrity check failed: the same field twice", name)
	case !ok || n%2 != 0:
		return d.Corrupt(from, "%s integrity check failed.", name)
	case n == 0:
		return errEmpty
	}
	return v.builtHash(d, &h)
}

// readFields reads a hash that was written field by field.
func (d *Decoder) readFields(v *Value) error {
	n, err := d.Len()
	if err != nil {
		return err
	}
	if n == 0 {
		return errEmpty
	}
	h := value.EditHash(nil, nil, d.build, d.limits)
	if n > uint64(d.limits.HashEntries) {
		h.Expect(d.limits.HashEntries + 1)
	}
	for range n {
		from := d.Offset()
		field, err := d.String()
		if err != nil {
			return err
		}
		d.element = append(d.element[:0], field...)
		val, err := d.String()
		if err != nil {
			return err
		}
		if !h.Set(d.element, val) {
			return d.Corrupt(from, "a hash with the same field twice")
		}
	}
	return v.builtHash(d, &h)
}

func (v *Value) builtHash(d *Decoder, h *value.HashEdit) error {
	payload, o := h.Result()
	d.build = h.Scratch()
	d.tidy()
	return v.compactOr(value.Listpack, payload, o)
}

// compactOr makes v the Object o, or, without one, the payload in encoding enc.
func (v *Value) compactOr(enc value.Encoding, payload []byte, o value.Object) error {
	if o != nil {
		v.Encoding, v.Payload, v.Object = o.Encoding(), nil, o
	} else {
		v.Encoding, v.Payload, v.Object = enc, payload, nil
	}
	return nil
}

// tidy lets go of memory that a giant has left.
func (d *Decoder) tidy() {
	if cap(d.build) > scratchKeep {
		d.build = nil
	}
	if cap(d.element) > scratchKeep {
		d.element = nil
	}
}
