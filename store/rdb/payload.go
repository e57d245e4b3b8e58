package rdb

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A DUMP payload is one value: its type byte, its bytes as in a file, the version (two bytes)
// and the CRC64 of all before it.
const payloadFooter = 2 + 8

// The two refusals of RESTORE, in Redis' words (without the "ERR ").
var (
	ErrPayloadFooter = errors.New("DUMP payload version or checksum are wrong")
	ErrPayloadData   = errors.New("Bad data format")
)

// AppendPayload appends the DUMP payload of a value to dst.
func AppendPayload(dst []byte, v *Value, o WriterOptions) []byte {
	e := Encoder{buf: dst, compress: o.Compress}
	from := len(dst)
	rdbType, body := writerOf(v.Type).write(v)
	e.Byte(rdbType)
	body(&e, v)
	return appendFooter(e.buf, from)
}

// ParsePayload reads a DUMP payload, as RESTORE gets it. The value's bytes may alias payload.
// The error is ErrPayloadFooter, or wraps ErrPayloadData with the reason.
func ParsePayload(payload []byte, o ReaderOptions) (v Value, err error) {
	body, err := checkFooter(payload, o.SkipChecksum)
	if err != nil {
		return Value{}, err
	}
	d := newPayloadDecoder(body)
	d.limits = o.limits()
	rdbType, err := d.Byte()
	if err == nil {
		err = d.read(rdbType, 0, &v)
	}
	if err == nil && d.pos != d.end {
		err = d.Corrupt(d.Offset(), "%d bytes too many", d.end-d.pos)
	}
	if err != nil {
		return Value{}, fmt.Errorf("%w: %w", ErrPayloadData, err)
	}
	return v, nil
}

func appendFooter(buf []byte, from int) []byte {
	buf = binary.LittleEndian.AppendUint16(buf, Version)
	return binary.LittleEndian.AppendUint64(buf, CRC64(0, buf[from:]))
}

// checkFooter verifies a payload's end and returns what is before it.
func checkFooter(payload []byte, skipChecksum bool) ([]byte, error) {
	if len(payload) < payloadFooter {
		return nil, ErrPayloadFooter
	}
	body := payload[:len(payload)-payloadFooter]
	if binary.LittleEndian.Uint16(payload[len(body):]) > MaxVersion {
		return nil, ErrPayloadFooter
	}
	sum := payload[len(body)+2:]
	if !skipChecksum && binary.LittleEndian.Uint64(sum) != CRC64(0, payload[:len(body)+2]) {
		return nil, ErrPayloadFooter
	}
	return body, nil
}
