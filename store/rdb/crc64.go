package rdb

import "encoding/binary"

// CRC64 continues crc over p and returns the new value; begin with 0. It is the "Jones" CRC-64
// that Redis puts at the end of RDB files and DUMP payloads: polynomial 0xad93d23594c935a9,
// reflected, no initial and no final inversion (hash/crc64 inverts both, and rebuilds its wide
// tables for each long call with a polynomial of one's own).
func CRC64(crc uint64, p []byte) uint64 {
	t := &crcTable
	// Sixteen bytes a step: the running CRC meets the first eight, the other eight only need
	// to be carried forward, so the two halves of the step do not wait for each other.
	for len(p) >= 16 {
		a := crc ^ binary.LittleEndian.Uint64(p)
		b := binary.LittleEndian.Uint64(p[8:16])
		crc = t[15][byte(a)] ^ t[14][byte(a>>8)] ^ t[13][byte(a>>16)] ^ t[12][byte(a>>24)] ^
			t[11][byte(a>>32)] ^ t[10][byte(a>>40)] ^ t[9][byte(a>>48)] ^ t[8][a>>56] ^
			t[7][byte(b)] ^ t[6][byte(b>>8)] ^ t[5][byte(b>>16)] ^ t[4][byte(b>>24)] ^
			t[3][byte(b>>32)] ^ t[2][byte(b>>40)] ^ t[1][byte(b>>48)] ^ t[0][b>>56]
		p = p[16:]
	}
	for _, c := range p {
		crc = t[0][byte(crc)^c] ^ crc>>8
	}
	return crc
}

// crcTable[k][b] is the CRC of byte b followed by k zero bytes.
var crcTable = buildCRCTable()

func buildCRCTable() (t [16][256]uint64) {
	const reflected = 0x95ac9329ac4bc9b5 // 0xad93d23594c935a9 with its bits in reverse order
	for i := range t[0] {
		crc := uint64(i)
		for range 8 {
			if crc&1 != 0 {
				crc = crc>>1 ^ reflected
			} else {
				crc >>= 1
			}
		}
		t[0][i] = crc
	}
	for k := 1; k < len(t); k++ {
		for i := range t[k] {
			before := t[k-1][i]
			t[k][i] = t[0][byte(before)] ^ before>>8
		}
	}
	return t
}
