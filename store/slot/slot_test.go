package slot

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestCRC16ReferenceValue(t *testing.T) {
	assert.Equal(t, uint16(0x31C3), crc16([]byte("123456789")))
}

func TestSlicedCRCEqualsBitwise(t *testing.T) {
	bitwise := func(b []byte) (crc uint16) {
		for _, c := range b {
			crc ^= uint16(c) << 8
			for range 8 {
				if crc&0x8000 != 0 {
					crc = crc<<1 ^ 0x1021
				} else {
					crc <<= 1
				}
			}
		}
		return crc
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		b := make([]byte, rng.IntN(70))
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		assert.Equal(t, bitwise(b), crc16(b))
	}
}

func TestTag(t *testing.T) {
	for key, want := range map[string]string{
		"plain": "plain", "": "", "{user1000}.following": "user1000", "foo{}{bar}": "foo{}{bar}",
		"foo{{bar}}zap": "{bar", "foo{bar}{zap}": "bar", "foo{bar": "foo{bar", "}{x}": "x", "a}b": "a}b",
	} {
		assert.Equal(t, want, string(Tag([]byte(key))), key)
	}
}

func TestSetAgainstMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		var s Set
		model := map[Slot]bool{}
		for range rng.IntN(400) {
			n := Slot(rng.IntN(Count))
			if rng.IntN(3) == 0 {
				s.Remove(n)
				delete(model, n)
			} else {
				s.Add(n)
				model[n] = true
			}
		}
		assert.Equal(t, len(model), s.Len())
		total := 0
		for _, r := range s.Ranges() {
			for n := int(r.First); n <= int(r.Last); n++ {
				assert.True(t, model[Slot(n)])
			}
			total += r.Len()
		}
		assert.Equal(t, len(model), total)
		back := SetOf(s.Ranges()...)
		assert.Equal(t, s, back)
	}
}

func TestParseRange(t *testing.T) {
	r, ok := ParseRange("0-16383")
	assert.True(t, ok)
	full := SetOf(r)
	assert.Equal(t, Count, full.Len())
	assert.Equal(t, "0-16383", full.String())
	for _, bad := range []string{"", "-", "1-", "-1", "5-4", "16384", "0-16384", "x", "1-2-3"} {
		_, ok := ParseRange(bad)
		assert.False(t, ok, bad)
	}
}

func BenchmarkOf16(b *testing.B) {
	key := []byte("key:000000012345")
	for b.Loop() {
		Of(key)
	}
}
