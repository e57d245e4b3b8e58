package rdb

import (
	"math"

	"github.com/sextantdb/sextant/store/value"
)

var hashCodec = codec{
	typ:   value.Hash,
	reads: []byte{TypeHash, TypeHashZipmap, TypeHashZiplist, TypeHashListpack, TypeHashTimed, TypeHashListpackEx},
	read:  readHash,
	// The forms of Redis 7.4 are only for hashes with fields that expire: what reads version 10
	// can read all others.
	write: func(v *Value) (byte, func(*Encoder, *Value)) {
		compact := v.Object == nil
		mortal := v.hash().FirstExpiry() != value.Never
		switch {
		case compact && mortal:
			return TypeHashListpackEx, writeTimedPack
		case mortal:
			return TypeHashTimed, writeTimedHash
		case compact && v.Encoding != value.ListpackEx:
			return TypeHashListpack, writeString
		}
		return TypeHash, writeHash
	},
}

// hash is the hash that v is, with all its fields.
func (v *Value) hash() value.HashView { return value.HashOf(v.Encoding, v.Payload, v.Object, 0) }

func writeTimedPack(e *Encoder, v *Value) {
	e.Uint64(uint64(v.hash().FirstExpiry()))
	e.String(v.Payload)
}

// writeTimedHash writes times as what they are after the first one, and one more, since 0 is never.
func writeTimedHash(e *Encoder, v *Value) {
	h := v.hash()
	first := h.FirstExpiry()
	e.Uint64(uint64(first))
	e.Len(uint64(h.Len()))
	h.EachTimed(func(field, val []byte, at int64) bool {
		if at == 0 {
			e.Len(0)
		} else {
			e.Len(uint64(at-first) + 1)
		}
		e.String(field)
		e.String(val)
		return e.err == nil
	})
}

func writeHash(e *Encoder, v *Value) {
	h := v.hash()
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
		return d.readFields(v, false)
	}
	if rdbType == TypeHashTimed {
		return d.readFields(v, true)
	}
	if rdbType == TypeHashListpackEx {
		if _, err := d.Uint64(); err != nil { // the first time, which the listpack tells as well
			return err
		}
	}
	from := d.Offset()
	b, err := d.String()
	if err != nil {
		return err
	}
	if rdbType == TypeHashListpackEx {
		if n, ok := value.CheckPack(b); ok && n == 0 {
			return errEmpty
		}
		if !value.CheckListpackEx(b) {
			return d.Corrupt(from, "Hash listpack integrity check failed.")
		}
		o, ok := value.FitHash(value.ListpackEx, b, d.limits)
		if !ok {
			return d.Corrupt(from, "Hash listpack with dup elements")
		}
		return v.compactOr(value.ListpackEx, b, o)
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
		o, ok := value.FitHash(value.Listpack, b, d.limits)
		if !ok {
			return d.Corrupt(from, "Hash listpack with dup elements")
		}
		return v.compactOr(value.Listpack, b, o)
	}
	walk, name := ziplist, "Hash ziplist"
	if rdbType == TypeHashZipmap {
		walk, name = zipmap, "Zipmap"
	}
	h := value.NewHash(d.build, &d.limits)
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

// readFields reads a hash that was written field by field, with times or without.
func (d *Decoder) readFields(v *Value, timed bool) error {
	var first uint64
	if timed {
		var err error
		if first, err = d.Uint64(); err != nil {
			return err
		}
	}
	n, err := d.Len()
	if err != nil {
		return err
	}
	if n == 0 {
		return errEmpty
	}
	h := value.NewHash(d.build, &d.limits)
	if n > uint64(d.limits.HashEntries) {
		h.Expect(d.limits.HashEntries + 1)
	}
	for range n {
		from := d.Offset()
		after := uint64(0)
		if timed {
			if after, err = d.Len(); err != nil {
				return err
			}
			if at := first + after - 1; after != 0 && (at < first || at > math.MaxInt64 || at == 0) {
				return d.Corrupt(from, "a field that expires at no time")
			}
		}
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
		if after != 0 {
			h.SetExpiry(d.element, int64(first+after-1))
		}
	}
	return v.builtHash(d, &h)
}

func (v *Value) builtHash(d *Decoder, h *value.HashEdit) error {
	enc, payload, o := h.Result()
	d.build = h.Scratch()
	d.tidy()
	return v.compactOr(enc, payload, o)
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
