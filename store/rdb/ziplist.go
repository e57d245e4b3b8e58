package rdb

import (
	"encoding/binary"
	"strconv"
)

// Encodings that Redis wrote before version 7. They are read element by element and put
// together anew.

// A ziplist is
//
//	4 bytes   length of the whole    4 bytes   offset of the last element
//	2 bytes   number of elements; 65535: count them
//	elements: length of the element before (1 byte, or 254 and 4 bytes), header, bytes
//	1 byte    0xFF
//
// Numbers are little endian, but for the lengths in headers of strings.
const (
	ziplistHead = 10
	ziplistEnd  = 0xFF
	ziplistLong = 0xFE
)

// ziplist visits the elements of a ziplist as text and returns how many there are. It reports
// false for bytes that are no ziplist, perhaps after some elements, and when visit does. The
// bytes are valid during the call.
func ziplist(b []byte, visit func([]byte) bool) (n int, ok bool) {
	if len(b) < ziplistHead+1 || uint64(binary.LittleEndian.Uint32(b)) != uint64(len(b)) || b[len(b)-1] != ziplistEnd {
		return 0, false
	}
	end := len(b) - 1
	var digits [20]byte
	at, last, before := ziplistHead, ziplistHead, 0
	for at < end {
		last = at
		prev := int(b[at])
		at++
		if prev == ziplistLong {
			if end-at < 4 {
				return n, false
			}
			prev = int(binary.LittleEndian.Uint32(b[at:]))
			at += 4
		}
		if prev != before || at == end {
			return n, false
		}
		head, size, integer, fine := ziplistHeader(b[at:end])
		if !fine || size > end-at-head {
			return n, false
		}
		data := b[at+head : at+head+size]
		if integer {
			data = strconv.AppendInt(digits[:0], ziplistInt(b[at], data), 10)
		}
		if !visit(data) {
			return n, false
		}
		at += head + size
		before = at - last
		n++
	}
	count := int(binary.LittleEndian.Uint16(b[8:]))
	return n, (count == n || count == 65535) && uint64(binary.LittleEndian.Uint32(b[4:])) == uint64(last)
}

// ziplistHeader reads an element's header: its own size, the size of what follows, and whether
// that is a number.
func ziplistHeader(b []byte) (head, size int, integer, ok bool) {
	switch c := b[0]; {
	case c < 0x40:
		return 1, int(c), false, true
	case c < 0x80:
		if len(b) < 2 {
			return 0, 0, false, false
		}
		return 2, int(c&0x3F)<<8 | int(b[1]), false, true
	case c == 0x80:
		if len(b) < 5 {
			return 0, 0, false, false
		}
		return 5, int(binary.BigEndian.Uint32(b[1:])), false, true
	case c == 0xC0:
		return 1, 2, true, true
	case c == 0xD0:
		return 1, 4, true, true
	case c == 0xE0:
		return 1, 8, true, true
	case c == 0xF0:
		return 1, 3, true, true
	case c == 0xFE:
		return 1, 1, true, true
	case c >= 0xF1 && c <= 0xFD:
		return 1, 0, true, true
	}
	return 0, 0, false, false
}

func ziplistInt(head byte, b []byte) int64 {
	switch len(b) {
	case 0:
		return int64(head&0x0F) - 1
	case 1:
		return int64(int8(b[0]))
	case 2:
		return int64(int16(binary.LittleEndian.Uint16(b)))
	case 3:
		return int64(int32(uint32(b[0])<<8|uint32(b[1])<<16|uint32(b[2])<<24) >> 8)
	case 4:
		return int64(int32(binary.LittleEndian.Uint32(b)))
	}
	return int64(binary.LittleEndian.Uint64(b))
}

// zipmap visits the strings of a zipmap, names and values in turn; otherwise it is as ziplist.
// A zipmap is
//
//	1 byte    number of pairs; 254 and more: count them
//	pairs: length, name, length, one byte: how many unused bytes follow the value, value, unused bytes
//	1 byte    0xFF
//
// A length is 1 byte up to 253, or 254 and 4 bytes, little endian.
func zipmap(b []byte, visit func([]byte) bool) (n int, ok bool) {
	if len(b) < 2 || b[len(b)-1] != 0xFF {
		return 0, false
	}
	end := len(b) - 1
	at := 1
	for at < end {
		size, k, fine := zipmapLen(b[at:end])
		unused := 0
		if fine && n&1 == 1 {
			if fine = k < end-at; fine {
				unused = int(b[at+k])
				k++
			}
		}
		if !fine || size > end-at-k || unused > end-at-k-size {
			return n, false
		}
		at += k
		if !visit(b[at : at+size]) {
			return n, false
		}
		at += size + unused
		n++
	}
	return n, n > 0 && n&1 == 0 && (b[0] >= 254 || int(b[0]) == n/2)
}

func zipmapLen(b []byte) (n, size int, ok bool) {
	switch {
	case b[0] < 254:
		return int(b[0]), 1, true
	case b[0] == 254 && len(b) >= 5:
		return int(binary.LittleEndian.Uint32(b[1:])), 5, true
	}
	return 0, 0, false
}
