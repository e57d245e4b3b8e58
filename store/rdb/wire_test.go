package rdb

import (
	"bytes"
	"encoding/hex"
	"errors"
	"hash/crc64"
	"io"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

func TestCRC64(t *testing.T) {
	require.Equal(t, uint64(0xe9c6d914c4b8d9ca), CRC64(0, []byte("123456789")))

	// The same polynomial in the standard library, which inverts before and after.
	table := crc64.MakeTable(0x95ac9329ac4bc9b5)
	rng := rand.New(rand.NewPCG(1, 2))
	p := make([]byte, 1000)
	for i := range p {
		p[i] = byte(rng.Uint32())
	}
	for n := range p {
		require.Equal(t, ^crc64.Update(math.MaxUint64, table, p[:n]), CRC64(0, p[:n]))
		require.Equal(t, CRC64(0, p), CRC64(CRC64(0, p[:n]), p[n:]))
	}
}

func BenchmarkCRC64(b *testing.B) {
	p := make([]byte, 64<<10)
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		CRC64(0, p)
	}
}

func TestLengths(t *testing.T) {
	for _, c := range []struct {
		n     uint64
		bytes string
	}{
		{0, "00"}, {63, "3f"}, {64, "4040"}, {16383, "7fff"}, {16384, "8000004000"},
		{math.MaxUint32, "80ffffffff"}, {math.MaxUint32 + 1, "810000000100000000"},
		{math.MaxUint64, "81ffffffffffffffff"},
	} {
		var e Encoder
		e.Len(c.n)
		require.Equal(t, c.bytes, hex.EncodeToString(e.buf))
		n, err := newPayloadDecoder(e.buf).Len()
		require.NoError(t, err)
		require.Equal(t, c.n, n)
	}
	_, err := newPayloadDecoder([]byte{0xc0, 1}).Len()
	require.ErrorContains(t, err, "offset 0: a length was expected")
	_, err = newPayloadDecoder([]byte{0x82, 1, 1, 1, 1}).Len()
	require.ErrorContains(t, err, "unknown length encoding 0x82")
}

func TestStringForms(t *testing.T) {
	for _, c := range []struct{ s, bytes string }{
		{"", "00"}, {"abc", "03616263"},
		{"0", "c000"}, {"-1", "c0ff"}, {"127", "c07f"}, {"-128", "c080"},
		{"128", "c18000"}, {"-32768", "c10080"}, {"32768", "c200800000"},
		{"2147483647", "c2ffffff7f"}, {"-2147483648", "c200000080"},
		{"2147483648", "0a32313437343833363438"}, {"-2147483649", "0b2d32313437343833363439"},
		{"007", "03303037"}, {"-0", "022d30"}, {"-", "012d"}, {"+1", "022b31"}, {" 1", "022031"},
		{"1x", "023178"}, {"00", "023030"}, {"-01", "032d3031"},
		{strings.Repeat("a", 21), ""},
	} {
		e := Encoder{compress: true}
		e.String([]byte(c.s))
		if len(c.s) <= compressAbove {
			require.Equal(t, c.bytes, hex.EncodeToString(e.buf), c.s)
		} else {
			require.Equal(t, byte(encMark|encLZF), e.buf[0])
		}
		s, err := newPayloadDecoder(e.buf).String()
		require.NoError(t, err)
		require.Equal(t, c.s, string(s))
	}
	for _, v := range []int64{0, 1, -1, 127, 128, -129, 40000, math.MaxInt32, math.MinInt32, math.MaxInt32 + 1, math.MaxInt64, math.MinInt64} {
		var a, b Encoder
		a.Int(v)
		b.String(strconv.AppendInt(nil, v, 10))
		require.Equal(t, b.buf, a.buf)
	}
}

func TestStringsOfAllSizesThroughAStream(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var want [][]byte
	var file bytes.Buffer
	e := Encoder{dst: &file, compress: true}
	for _, n := range []int{0, 1, 20, 21, 63, 64, 16383, 16384, windowBytes - 1, windowBytes, windowBytes + 1, 3 << 20, 5, 2 << 20} {
		for _, alphabet := range []int{1, 256} {
			s := make([]byte, n)
			for i := range s {
				s[i] = byte(rng.IntN(alphabet))
			}
			want = append(want, s)
			e.String(s)
		}
	}
	e.flush()
	require.NoError(t, e.err)
	require.Equal(t, int64(file.Len()), e.passed)
	require.Equal(t, CRC64(0, file.Bytes()), e.crc)

	for _, src := range []io.Reader{
		bytes.NewReader(file.Bytes()),
		iotest.HalfReader(bytes.NewReader(file.Bytes())),
		iotest.DataErrReader(bytes.NewReader(file.Bytes())),
	} {
		d := newStreamDecoder(src)
		for _, s := range want {
			got, err := d.String()
			require.NoError(t, err)
			require.True(t, bytes.Equal(s, got))
		}
		require.Equal(t, int64(file.Len()), d.Offset())
		require.Equal(t, e.crc, d.checksum())
		_, err := d.Byte()
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	}
}

func TestLengthsThatLieCostNoMemory(t *testing.T) {
	for name, in := range map[string][]byte{
		"plain string":      append([]byte{len64}, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 'x'),
		"compressed string": append([]byte{encMark | encLZF, len64}, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 5, 'x'),
		"compressed result": append([]byte{encMark | encLZF, 3, len64}, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 'x', 'x'),
	} {
		t.Run(name, func(t *testing.T) {
			d := newStreamDecoder(bytes.NewReader(in))
			_, err := d.String()
			var corrupt *CorruptError
			require.ErrorAs(t, err, &corrupt)
			require.LessOrEqual(t, cap(d.scratch)+cap(d.packed), 2*firstChunk)

			_, err = newPayloadDecoder(in).String()
			require.ErrorAs(t, err, &corrupt)
		})
	}
}

func TestReadErrorsAreNotCalledCorruption(t *testing.T) {
	broken := errors.New("disk on fire")
	d := newStreamDecoder(io.MultiReader(strings.NewReader("\x05ab"), iotest.ErrReader(broken)))
	_, err := d.String()
	require.ErrorIs(t, err, broken)
	var corrupt *CorruptError
	require.False(t, errors.As(err, &corrupt))
	require.ErrorContains(t, err, "offset 3")
}

func TestWriteErrorIsKept(t *testing.T) {
	e := Encoder{dst: shortWriter{}}
	e.Raw(make([]byte, flushBytes))
	require.ErrorIs(t, e.err, io.ErrShortWrite)
	e.Raw(make([]byte, flushBytes))
	require.ErrorIs(t, e.err, io.ErrShortWrite)
	require.Equal(t, int64(1), e.passed)
}

type shortWriter struct{}

func (shortWriter) Write(p []byte) (int, error) { return min(1, len(p)), nil }
