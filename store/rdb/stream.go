package rdb

import (
	"slices"

	"github.com/sextantdb/sextant/store/value"
)

// Streams have had three forms: the second added what First, MaxDeleted, Added and a group's Read are,
// the third when a consumer was last active. Version 10 has the second.
var streamCodec = codec{
	typ:   value.Stream,
	reads: []byte{TypeStreamListpacks, TypeStreamListpacks2, TypeStreamListpacks3},
	read:  readStream,
	write: func(*Value) (byte, func(*Encoder, *Value)) { return TypeStreamListpacks2, writeStream },
}

func writeStream(e *Encoder, v *Value) {
	s := v.Object.(*value.StreamLog)
	var tmp [value.StreamIDBytes]byte
	e.Len(uint64(s.Nodes()))
	s.EachNode(func(id value.StreamID, pack []byte) {
		e.String(id.AppendBytes(tmp[:0]))
		e.String(pack)
	})
	e.Len(uint64(s.Len()))
	e.streamID(s.Last)
	e.streamID(s.First)
	e.streamID(s.MaxDeleted)
	e.Len(s.Added)
	e.Len(uint64(len(s.Groups())))
	for _, g := range s.Groups() {
		e.String([]byte(g.Name))
		e.streamID(g.Last)
		e.Len(uint64(g.Read))
		e.Len(uint64(g.Pending()))
		for p := g.Walk(value.StreamID{}, value.StreamNoOwner); p.Next(); {
			e.Raw(p.ID.AppendBytes(tmp[:0]))
			e.Uint64(uint64(p.Time))
			e.Len(p.Count)
		}
		e.Len(uint64(len(g.Consumers())))
		for _, o := range g.Consumers() {
			c := g.Consumer(o)
			e.String([]byte(c.Name))
			e.Uint64(uint64(c.Seen))
			e.Len(uint64(c.Pending()))
			for p := g.Walk(value.StreamID{}, o); p.Next(); {
				e.Raw(p.ID.AppendBytes(tmp[:0]))
			}
		}
	}
}

func (e *Encoder) streamID(id value.StreamID) {
	e.Len(id.Ms)
	e.Len(id.Seq)
}

// fields reads one thing after the other; after an error, nothing more, and zeros.
type fields struct {
	d   *Decoder
	err error
}

func (f *fields) len() (n uint64) {
	if f.err == nil {
		n, f.err = f.d.Len()
	}
	return n
}

func (f *fields) uint64() (n uint64) {
	if f.err == nil {
		n, f.err = f.d.Uint64()
	}
	return n
}

func (f *fields) string() (s []byte) {
	if f.err == nil {
		s, f.err = f.d.String()
	}
	return s
}

// id reads an id that is written as two numbers, rawID one of sixteen bytes.
func (f *fields) id() value.StreamID { return value.StreamID{Ms: f.len(), Seq: f.len()} }

func (f *fields) rawID() (id value.StreamID) {
	if f.err != nil {
		return id
	}
	b, err := f.d.Raw(value.StreamIDBytes)
	if f.err = err; err == nil {
		id = value.StreamIDFrom(b)
	}
	return id
}

func (f *fields) corrupt(from int64, format string, args ...any) error {
	if f.err == nil {
		f.err = f.d.Corrupt(from, format, args...)
	}
	return f.err
}

func readStream(d *Decoder, rdbType byte, v *Value) error {
	v.Type = value.Stream
	s := value.NewStream()
	f := &fields{d: d}
	for n := f.len(); n > 0; n-- {
		from := d.Offset()
		key := f.string()
		if f.err == nil && len(key) != value.StreamIDBytes {
			return f.corrupt(from, "Stream node key entry is not the size of a stream ID")
		}
		if f.err != nil {
			return f.err
		}
		id := value.StreamIDFrom(key)
		pack := f.string()
		if f.err != nil {
			return f.err
		}
		node, ok := value.CheckStreamNode(id, pack)
		if !ok {
			return f.corrupt(from, "Stream listpack integrity check failed.")
		}
		if !s.AddNode(id, slices.Clone(pack), node) {
			return f.corrupt(from, "a stream with ids that do not ascend")
		}
	}
	from := d.Offset()
	length := f.len()
	s.Last = f.id()
	s.Added = uint64(s.Len())
	if rdbType != TypeStreamListpacks {
		f.id() // First: we have it
		s.MaxDeleted = f.id()
		s.Added = f.len()
	}
	if f.err != nil {
		return f.err
	}
	if length > 0 && s.Len() == 0 {
		return f.corrupt(from, "Stream length inconsistent with rax entries")
	}
	if last, ok := s.LastEntry(); ok && last.Compare(s.Last) > 0 {
		return f.corrupt(from, "a stream whose last id is below that of an entry")
	}
	for n := f.len(); n > 0 && f.err == nil; n-- {
		f.group(rdbType, s)
	}
	if f.err != nil {
		return f.err
	}
	return v.compactOr(0, nil, s)
}

// group reads a consumer group: the pending entries, then the consumers and which of those they
// have.
func (f *fields) group(rdbType byte, s *value.StreamLog) {
	from := f.d.Offset()
	name := slices.Clone(f.string())
	last := f.id()
	read := s.Distance(last)
	if rdbType != TypeStreamListpacks {
		read = int64(f.len())
	}
	if f.err != nil {
		return
	}
	g := s.CreateGroup(name, last, read)
	if g == nil {
		f.corrupt(from, "Duplicated consumer group name %q", name)
		return
	}
	for n := f.len(); n > 0 && f.err == nil; n-- {
		from := f.d.Offset()
		id, time, count := f.rawID(), f.uint64(), f.len()
		if f.err == nil && !g.PutUnowned(id, int64(time), count) {
			f.corrupt(from, "Duplicated global PEL entry loading stream consumer group")
		}
	}
	for n := f.len(); n > 0 && f.err == nil; n-- {
		from := f.d.Offset()
		name := slices.Clone(f.string())
		seen := int64(f.uint64())
		active := seen // the best there is in the older forms
		if rdbType == TypeStreamListpacks3 {
			active = int64(f.uint64())
		}
		if f.err != nil {
			return
		}
		o, isNew := g.CreateConsumer(name, seen)
		if !isNew {
			f.corrupt(from, "Duplicate stream consumer detected.")
			return
		}
		g.EditConsumer(o).Active = active
		for n := f.len(); n > 0 && f.err == nil; n-- {
			from := f.d.Offset()
			if id := f.rawID(); f.err == nil && !g.Own(id, o) {
				f.corrupt(from, "Consumer entry not found in group global PEL, or of two consumers")
			}
		}
	}
	if f.err == nil && !g.AllOwned() {
		f.corrupt(from, "Stream CG PEL entry without consumer")
	}
}
