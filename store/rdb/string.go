package rdb

import (
	"encoding/binary"

	"github.com/sextantdb/sextant/store/value"
)

var stringCodec = codec{
	typ:   value.String,
	reads: []byte{TypeString},
	read: func(d *Decoder, _ byte, v *Value) (err error) {
		v.Type, v.Encoding = value.String, value.Raw
		v.Payload, err = d.String()
		return err
	},
	write: func(*Value) (byte, func(*Encoder, *Value)) { return TypeString, writeString },
}

func writeString(e *Encoder, v *Value) {
	if v.Encoding == value.Int {
		e.Int(int64(binary.LittleEndian.Uint64(v.Payload)))
		return
	}
	e.String(v.Payload)
}
