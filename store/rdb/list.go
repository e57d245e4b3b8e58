package rdb

import "github.com/sextantdb/sextant/store/value"

var listCodec = codec{
	typ:   value.List,
	reads: []byte{TypeList, TypeListZiplist, TypeListQuicklist, TypeListQuicklist2},
	read:  readList,
	write: func(*Value) (byte, func(*Encoder, *Value)) { return TypeListQuicklist2, writeList },
}

// What a node of a quicklist is.
const (
	nodePlain  = 1 // one element
	nodePacked = 2 // a listpack
)

func writeList(e *Encoder, v *Value) {
	if v.Object == nil {
		e.Len(1)
		e.Len(nodePacked)
		e.String(v.Payload)
		return
	}
	l := v.Object.(*value.LargeList)
	e.Len(uint64(l.Nodes()))
	l.EachNode(func(b []byte, plain bool) {
		if plain {
			e.Len(nodePlain)
		} else {
			e.Len(nodePacked)
		}
		e.String(b)
	})
}

func readList(d *Decoder, rdbType byte, v *Value) error {
	v.Type = value.List
	if rdbType == TypeListZiplist {
		l := value.NewLargeList()
		if err := d.readZiplistNode(l); err != nil {
			return err
		}
		return v.builtList(d, l)
	}
	n, err := d.Len()
	if err != nil {
		return err
	}
	if n == 1 && rdbType == TypeListQuicklist2 {
		return d.readOneNode(v)
	}
	l := value.NewLargeList()
	for range n {
		switch rdbType {
		case TypeList:
			var s []byte
			if s, err = d.String(); err == nil {
				l.Push(s, &d.limits)
			}
		case TypeListQuicklist:
			err = d.readZiplistNode(l)
		default:
			var b []byte
			var plain bool
			if b, plain, err = d.readNode(); err == nil {
				l.AddNode(b, plain)
			}
		}
		if err != nil {
			return err
		}
	}
	return v.builtList(d, l)
}

// readOneNode is readList for what most lists are: one listpack, which can stay as it is.
func (d *Decoder) readOneNode(v *Value) error {
	b, plain, err := d.readNode()
	if err != nil {
		return err
	}
	if plain {
		l := value.NewLargeList()
		l.AddNode(b, true)
		return v.builtList(d, l)
	}
	q := value.ListOf(b, nil)
	if q.Len() == 0 {
		return errEmpty
	}
	q.Expect(&d.limits)
	if large := q.Large(); large != nil {
		return v.compactOr(0, nil, large)
	}
	return v.compactOr(value.Listpack, b, nil)
}

// readNode reads a node, which is checked. The bytes are valid until the next call.
func (d *Decoder) readNode() (b []byte, plain bool, err error) {
	from := d.Offset()
	kind, err := d.Len()
	if err != nil {
		return nil, false, err
	}
	if kind != nodePlain && kind != nodePacked {
		return nil, false, d.Corrupt(from, "Quicklist integrity check failed.")
	}
	if b, err = d.String(); err == nil && len(b) == 0 {
		return nil, false, d.Corrupt(from, "Quicklist node of no bytes.")
	}
	if err != nil || kind == nodePlain {
		return b, true, err
	}
	if _, ok := value.CheckPack(b); !ok {
		return nil, false, d.Corrupt(from, "Listpack integrity check failed.")
	}
	return b, false, nil
}

// readZiplistNode reads a ziplist and adds its elements to l.
func (d *Decoder) readZiplistNode(l *value.LargeList) error {
	from := d.Offset()
	b, err := d.String()
	if err != nil {
		return err
	}
	if _, ok := ziplist(b, func(s []byte) bool { l.Push(s, &d.limits); return true }); !ok {
		return d.Corrupt(from, "Ziplist integrity check failed.")
	}
	return nil
}

func (v *Value) builtList(d *Decoder, l *value.LargeList) error {
	if l.Len() == 0 {
		return errEmpty
	}
	q := value.ListOf(nil, l)
	if q.Shrink(d.build, &d.limits, true); q.Large() != nil {
		return v.compactOr(0, nil, l)
	}
	d.build = q.Payload()
	d.tidy()
	return v.compactOr(value.Listpack, d.build, nil)
}
