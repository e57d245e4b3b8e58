package rdb

import (
	"errors"
	"fmt"

	"github.com/sextantdb/sextant/store/value"
)

// Value is a value on its way between RDB and the keyspace: a payload or an Object, as the
// keyspace holds them (package value). A string read from RDB is always text: encoding Raw,
// whether or not it looks like a number; the keyspace chooses its own encoding.
type Value struct {
	Type     value.Type
	Encoding value.Encoding
	Payload  []byte
	Object   value.Object
}

// codec is how the values of one data type look in RDB. To add a type: one file with its
// codec, one line in codecs.
type codec struct {
	typ value.Type
	// reads are the RDB types read understands.
	reads []byte
	// read reads a value that began with the type byte rdbType. It leaves payloads in memory
	// of d's (valid until d's next call), Objects are the caller's. A value with no element,
	// which no key may hold, is errEmpty.
	read func(d *Decoder, rdbType byte, v *Value) error
	// write returns the RDB type for v and how its bytes are written.
	write func(v *Value) (rdbType byte, body func(e *Encoder, v *Value))
}

// errEmpty is a value without an element.
var errEmpty = errors.New("a key with nothing in it")

// codecs has one line for each data type.
var codecs = [...]codec{
	stringCodec,
	hashCodec,
	setCodec,
	listCodec,
	zsetCodec,
	streamCodec,
}

// codecFor maps RDB types to codecs: codecFor[t] is 0 or one more than an index of codecs.
var codecFor = func() (t [256]uint8) {
	for i, c := range codecs {
		for _, rdbType := range c.reads {
			t[rdbType] = uint8(i + 1)
		}
	}
	return t
}()

// read reads one value. at is the offset of its type byte.
func (d *Decoder) read(rdbType byte, at int64, v *Value) error {
	i := codecFor[rdbType]
	if i == 0 {
		return d.noCodec(rdbType, at)
	}
	return codecs[i-1].read(d, rdbType, v)
}

func (d *Decoder) noCodec(rdbType byte, at int64) error {
	switch {
	case rdbType == TypeModule2:
		id, err := d.Len()
		if err != nil {
			return err
		}
		return &UnsupportedError{Offset: at, Reason: "The RDB file contains module data I can't load: no matching module type '" + moduleName(id) + "'"}
	case rdbType == TypeModulePreGA:
		return &UnsupportedError{Offset: at, Reason: "Pre-release module format not supported"}
	case typeName(rdbType) != unknownType:
		return &UnsupportedError{Offset: at, Reason: "values of the type " + typeName(rdbType) + " are not supported"}
	}
	return d.Corrupt(at, "Unknown RDB encoding type %d", rdbType)
}

// writerOf returns the codec of a type. A type without one cannot be in the keyspace.
func writerOf(t value.Type) *codec {
	for i := range codecs {
		if codecs[i].typ == t {
			return &codecs[i]
		}
	}
	panic(fmt.Sprintf("rdb: no codec for values of type %v", t))
}

// IsString reports whether v is a string.
func (v *Value) IsString() bool { return v.Type == value.String }
