package bus

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/hashicorp/go-msgpack/v2/codec"
)

// Errors of Decode. A frame that fails is dropped and counted; it never harms the node.
var (
	ErrFrameSize   = errors.New("bus: frame longer than 1 MiB or shorter than its header")
	ErrWireVersion = errors.New("bus: wire version not understood")
	ErrKind        = errors.New("bus: unknown message kind")
	ErrShape       = errors.New("bus: not the msgpack arrays this kind is made of")
	ErrTrailing    = errors.New("bus: bytes after the message")
)

// Codec encodes and decodes frames. It is owned by one goroutine; make one per goroutine.
type Codec struct {
	handle codec.MsgpackHandle
	enc    *codec.Encoder
	dec    *codec.Decoder
	out    []byte
}

// NewCodec makes a Codec.
func NewCodec() *Codec {
	c := &Codec{}
	c.handle.StructToArray = true
	c.handle.WriteExt = true // byte strings as bin, text as str
	c.handle.MaxInitLen = 1024
	c.handle.MaxDepth = MaxDepth
	c.enc = codec.NewEncoderBytes(&c.out, &c.handle)
	c.dec = codec.NewDecoderBytes(nil, &c.handle)
	return c
}

// Append encodes m behind dst. It fails when the frame would be longer than MaxFrame.
func (c *Codec) Append(dst []byte, m *Msg) ([]byte, error) {
	start := len(dst)
	dst = append(dst, WireVersion, byte(m.Body.Kind()))
	var err error
	if dst, err = c.value(dst, &m.Header); err != nil {
		return dst[:start], err
	}
	if dst, err = c.value(dst, m.Body); err != nil {
		return dst[:start], err
	}
	if len(dst)-start > MaxFrame {
		return dst[:start], ErrFrameSize
	}
	return dst, nil
}

func (c *Codec) value(dst []byte, v any) ([]byte, error) {
	c.out = c.out[:0]
	c.enc.ResetBytes(&c.out)
	if err := c.enc.Encode(v); err != nil {
		return dst, fmt.Errorf("bus: encode: %w", err)
	}
	return append(dst, c.out...), nil
}

// Decode reads one frame. It never panics, keeps no reference to frame, and allocates at
// most a small multiple of its length plus what MaxList allows.
func (c *Codec) Decode(frame []byte) (*Msg, error) {
	if len(frame) < 4 || len(frame) > MaxFrame {
		return nil, ErrFrameSize
	}
	if frame[0] != WireVersion {
		return nil, ErrWireVersion
	}
	body := NewBody(Kind(frame[1]))
	if body == nil {
		return nil, ErrKind
	}
	head, err := span(frame[2:])
	if err != nil {
		return nil, err
	}
	rest := frame[2+head:]
	n, err := span(rest)
	if err != nil {
		return nil, err
	}
	if n != len(rest) {
		return nil, ErrTrailing
	}
	m := &Msg{Body: body}
	c.dec.ResetBytes(frame[2 : 2+head])
	if err := c.dec.Decode(&m.Header); err != nil {
		return nil, fmt.Errorf("%w: header: %v", ErrShape, err)
	}
	c.dec.ResetBytes(rest)
	if err := c.dec.Decode(body); err != nil {
		return nil, fmt.Errorf("%w: %v: %v", ErrShape, body.Kind(), err)
	}
	return m, nil
}

// span walks one msgpack value without building it and returns its length. It is the gate
// before the decoder: only arrays, strings, byte strings, integers, booleans and nil pass,
// nested at most MaxDepth deep, no list longer than MaxList and nothing longer than what
// is there. The outermost value must be an array.
func span(b []byte) (int, error) {
	if len(b) == 0 || !isArray(b[0]) {
		return 0, ErrShape
	}
	var left [MaxDepth + 1]int // values still to come per open array
	depth, at := 0, 0
	left[0] = 1
	for {
		for left[depth] == 0 {
			if depth == 0 {
				return at, nil
			}
			depth--
		}
		left[depth]--
		if at >= len(b) {
			return 0, ErrShape
		}
		h := b[at]
		at++
		size, list := 0, -1
		switch {
		case h <= 0x7f || h >= 0xe0 || h == 0xc0 || h == 0xc2 || h == 0xc3:
		case h >= 0x90 && h <= 0x9f:
			list = int(h & 0x0f)
		case h >= 0xa0 && h <= 0xbf:
			size = int(h & 0x1f)
		case h == 0xcc || h == 0xd0:
			size = 1
		case h == 0xcd || h == 0xd1:
			size = 2
		case h == 0xce || h == 0xd2:
			size = 4
		case h == 0xcf || h == 0xd3:
			size = 8
		case h == 0xc4 || h == 0xd9 || h == 0xc5 || h == 0xda || h == 0xc6 || h == 0xdb || h == 0xdc || h == 0xdd:
			w := lengthWidth(h)
			if len(b)-at < w {
				return 0, ErrShape
			}
			v := uint64(0)
			switch w {
			case 1:
				v = uint64(b[at])
			case 2:
				v = uint64(binary.BigEndian.Uint16(b[at:]))
			case 4:
				v = uint64(binary.BigEndian.Uint32(b[at:]))
			}
			at += w
			if v > MaxFrame {
				return 0, ErrShape
			}
			if h == 0xdc || h == 0xdd {
				list = int(v)
			} else {
				size = int(v)
			}
		default: // maps, floats and extensions are no part of any message
			return 0, ErrShape
		}
		if size > len(b)-at {
			return 0, ErrShape
		}
		at += size
		if list >= 0 {
			if list > MaxList || list > len(b)-at || depth == MaxDepth {
				return 0, ErrShape
			}
			depth++
			left[depth] = list
		}
	}
}

func isArray(h byte) bool { return h >= 0x90 && h <= 0x9f || h == 0xdc || h == 0xdd }

func lengthWidth(h byte) int {
	switch h {
	case 0xc4, 0xd9:
		return 1
	case 0xc5, 0xda, 0xdc:
		return 2
	}
	return 4
}
