// Package slot maps keys to the 16384 hash slots of the Redis Cluster key space and
// holds sets of slots. Any package may use it. It is pure and knows nothing of nodes,
// keyspaces or connections.
package slot

import (
	"bytes"
	"strconv"
)

// Count is the number of hash slots. It is fixed by the Redis Cluster specification:
// clients compute slots themselves, so it can never change.
const Count = 16384

// Slot is a hash slot number in [0, Count).
type Slot = uint16

// Of returns the slot of key: CRC16-XMODEM of the key's hash tag, modulo Count.
// It does not allocate and does not keep key.
func Of(key []byte) Slot { return crc16(Tag(key)) & (Count - 1) }

// OfString is Of for a string.
func OfString(key string) Slot { return Of([]byte(key)) }

// Tag returns the part of key that decides its slot: the bytes between the first '{' and
// the first '}' after it, or the whole key when there is no such pair or it is empty
// (contract S36).
func Tag(key []byte) []byte {
	open := bytes.IndexByte(key, '{')
	if open < 0 {
		return key
	}
	if n := bytes.IndexByte(key[open+1:], '}'); n > 0 {
		return key[open+1 : open+1+n]
	}
	return key
}

// Parse reads a slot number as clients write it. It reports false for anything that is
// not a decimal number in [0, Count).
func Parse(s []byte) (Slot, bool) {
	n, err := strconv.ParseUint(string(s), 10, 32)
	if err != nil || n >= Count {
		return 0, false
	}
	return Slot(n), true
}

func crc16(b []byte) uint16 {
	var crc uint16
	for len(b) >= 8 {
		// Slicing by eight: the first two bytes meet the running CRC, the others do not.
		x := b[:8]
		crc = table[7][x[0]^byte(crc>>8)] ^ table[6][x[1]^byte(crc)] ^
			table[5][x[2]] ^ table[4][x[3]] ^ table[3][x[4]] ^ table[2][x[5]] ^ table[1][x[6]] ^ table[0][x[7]]
		b = b[8:]
	}
	if len(b) >= 4 {
		crc = table[3][b[0]^byte(crc>>8)] ^ table[2][b[1]^byte(crc)] ^ table[1][b[2]] ^ table[0][b[3]]
		b = b[4:]
	}
	for _, c := range b {
		crc = crc<<8 ^ table[0][byte(crc>>8)^c]
	}
	return crc
}

// table[k][b] is the CRC of byte b followed by k zero bytes, for the polynomial
// x^16 + x^12 + x^5 + 1 (0x1021), initial value 0, not reflected.
var table = buildTable()

func buildTable() (t [8][256]uint16) {
	for i := range t[0] {
		crc := uint16(i) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
		t[0][i] = crc
	}
	for k := 1; k < len(t); k++ {
		for i := range t[k] {
			prev := t[k-1][i]
			t[k][i] = prev<<8 ^ t[0][prev>>8]
		}
	}
	return t
}
