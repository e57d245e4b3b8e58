package store

import (
	"encoding/binary"
	"math/bits"
)

// mix multiplies to 128 bits and folds: each bit of both operands reaches the whole result.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// hash is a keyed hash of the folded-multiply family. Both words of the seed enter each
// multiplication, so who does not know them cannot choose keys that collide.
func (s *Store) hash(key []byte) uint64 {
	const k1, k2 = 0xa0761d6478bd642f, 0xe7037ed1a0b428db
	a, b := s.seed[0]^k1, s.seed[1]^k2
	n := uint64(len(key))
	for len(key) > 16 {
		x, y := binary.LittleEndian.Uint64(key), binary.LittleEndian.Uint64(key[8:])
		a = mix(x^a, y^b)
		b += k1
		key = key[16:]
	}
	var x, y uint64
	switch {
	case len(key) >= 8:
		x, y = binary.LittleEndian.Uint64(key), binary.LittleEndian.Uint64(key[len(key)-8:])
	case len(key) >= 4:
		x, y = uint64(binary.LittleEndian.Uint32(key)), uint64(binary.LittleEndian.Uint32(key[len(key)-4:]))
	default:
		for i, c := range key {
			x |= uint64(c) << (8 * i)
		}
	}
	return mix(mix(x^a, y^b)^n^k2, s.seed[0]^b)
}
