package rdb

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/store/value"
)

// bodies are a value or two of each type byte, as they stand behind it: what the fuzzers begin with and
// what is damaged here. Types that are refused are there as well.
func bodies() map[byte][]string {
	zl := func(elements ...string) string { return asString(makeZiplist(elements...)) }
	few := listValue("b", "5")
	many := make([]string, 300)
	for i := range many {
		many[i] = fmt.Sprint("element", i)
	}
	listpack, quicklist := few.Payload, listValue(many...)
	scores := zsetValue(map[string]float64{"a": 1, "b": -2.5, "c": 1e300})
	stream, timed, large := smallStream(), timedHash(value.DefaultLimits(), 5), timedHash(value.Limits{HashEntries: 1, HashValue: 64}, 5)
	first, third := otherForms(stream)
	ordered := "\x0c\x00\x00\x00\x02\x00\x81a\x02\x05\x01\xff" // a 5
	return map[byte][]string{
		TypeString:           {"\x05hello", "\xc0\x07", "\xc1\x39\x30", "\xc2\x00\x00\x00\x80", body(text(strings.Repeat("hello", 20)), WriterOptions{Compress: true})},
		TypeList:             {"\x04\x01a\xc0\x07\x01a\x00"},
		TypeSet:              {"\x02\x01a\xc0\x07"},
		TypeZSet:             {"\x03\x01a\x011\x01b\x03-.5\x01c\xfe"},
		TypeHash:             {"\x01\x01a\xc0\x07"},
		TypeZSet2:            {"\x01\x01a\x00\x00\x00\x00\x00\x00\xf0\x3f"},
		TypeModulePreGA:      {"\x00"},
		TypeModule2:          {"\x81\x00\x00\x00\x00\x00\x00\x00\x01\x00"},
		TypeHashZipmap:       {asString([]byte("\x02\x03foo\x03\x00bar\x05hello\x05\x02worldXX\xff"))},
		TypeListZiplist:      {zl("a", "7", "-70000", strings.Repeat("x", 300), "9223372036854775807", "15")},
		TypeSetIntset:        {asString([]byte("\x02\x00\x00\x00\x02\x00\x00\x00\x03\x00\x04\x00"))},
		TypeZSetZiplist:      {zl("a", "1", "13", "1.25", "c", "inf")},
		TypeHashZiplist:      {zl("a", "12", "b", "70000")},
		TypeListQuicklist:    {"\x02" + zl("a", "b") + zl("c", "12345")},
		TypeStreamListpacks:  {first},
		TypeHashListpack:     {asString([]byte(ordered))},
		TypeZSetListpack:     {asString([]byte(ordered)), body(&scores, WriterOptions{})},
		TypeListQuicklist2:   {"\x01\x02" + asString(listpack), body(&quicklist, WriterOptions{Compress: true}), "\x02\x01\x05plain\x02" + asString(listpack)},
		TypeStreamListpacks2: {body(stream, WriterOptions{})},
		TypeSetListpack:      {asString([]byte("\x0c\x00\x00\x00\x02\x00\x81a\x02\x02\x01\xff"))},
		TypeStreamListpacks3: {third},
		TypeHashTimedOld:     {"\x01\x01a\x01b\x00"},
		TypeHashListpackOld:  {asString([]byte(ordered))},
		TypeHashTimed:        {body(large, WriterOptions{})},
		TypeHashListpackEx:   {body(timed, WriterOptions{})},
	}
}

// refusedTypes are those whose values are not read, and what is said.
var refusedTypes = map[byte]string{
	TypeModulePreGA: "module", TypeModule2: "module", TypeHashTimedOld: "", TypeHashListpackOld: "",
}

// otherForms are the stream in the first and the third form, which we do not write.
func otherForms(stream *Value) (first, third string) {
	second := body(stream, WriterOptions{})
	const meta = "\x04" + "\x0c\x04" + "\x0a\x00" + "\x0b\x02" + "\x05" + "\x02"
	first = strings.Replace(second, meta, "\x04"+"\x0c\x04"+"\x02", 1)
	first = strings.Replace(first, "\x05empty\x00\x00\x81\xff\xff\xff\xff\xff\xff\xff\xff", "\x05empty\x00\x00", 1)
	first = strings.Replace(first, "\x01g\x0b\x03\x04", "\x01g\x0b\x03", 1)
	seen := func(ms int64) string { var e Encoder; e.Uint64(uint64(ms)); return string(e.buf) }
	third = strings.Replace(second, "bob"+seen(1700000000000), "bob"+seen(1700000000000)+seen(1600000000000), 1)
	third = strings.Replace(third, "alice"+seen(1700000000003), "alice"+seen(1700000000003)+seen(-1), 1)
	return first, third
}

func TestEveryTypeIsReadOrRefused(t *testing.T) {
	for rdbType := range typeNames {
		if typeNames[rdbType] == "" {
			continue
		}
		all, known := bodies()[byte(rdbType)]
		require.True(t, known, "%s: no value of it is tried", typeName(byte(rdbType)))
		for _, b := range all {
			_, err := ParsePayload(footed(byte(rdbType), b), ReaderOptions{})
			if says, refused := refusedTypes[byte(rdbType)]; refused {
				require.ErrorContains(t, err, says, typeName(byte(rdbType)))
				continue
			}
			require.NoError(t, err, "%s: %q", typeName(byte(rdbType)), b)
		}
	}
}

// A payload that is cut is refused at every place, and so is one of which a bit is flipped, by its
// checksum; without the checksum nothing worse may come of it than another value.
func TestDamagedPayloads(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for rdbType, all := range bodies() {
		for _, b := range all {
			whole := footed(rdbType, b)
			for at := range whole {
				_, err := ParsePayload(whole[:at], ReaderOptions{})
				require.Error(t, err, "%s cut at %d", typeName(rdbType), at)
				_, err = ParsePayload(footed(rdbType, b[:min(at, len(b)-1)]), ReaderOptions{})
				require.Error(t, err, "%s cut at %d, under a checksum that fits", typeName(rdbType), at)
				damaged := slices.Clone(whole)
				damaged[at] ^= 1 << rnd.IntN(8)
				if at < len(whole)-payloadFooter || at >= len(whole)-8 {
					_, err = ParsePayload(damaged, ReaderOptions{})
					require.Error(t, err, "%s flipped at %d", typeName(rdbType), at)
				}
				tryPayload(t, damaged)
			}
		}
	}
}

// tryPayload reads a payload whatever its checksum, and what it read must be whole: it is written and
// read again, and everything in it is looked at.
func tryPayload(t *testing.T, payload []byte) {
	v, err := ParsePayload(payload, ReaderOptions{SkipChecksum: true})
	if err != nil {
		return
	}
	again, err := ParsePayload(AppendPayload(nil, &v, WriterOptions{Compress: true}), ReaderOptions{})
	require.NoError(t, err, "%q", payload)
	switch v.Type {
	case value.List, value.ZSet:
		require.Equal(t, inOrder(&v), inOrder(&again), "%q", payload)
	default:
		require.Equal(t, contents(&v), contents(&again), "%q", payload)
		require.Equal(t, times(&v), times(&again), "%q", payload)
	}
	if s, ok := v.Object.(*value.StreamLog); ok {
		useStream(s)
	}
}

// fileOf is a file with a key of each type that is read.
func fileOf() []byte {
	file := []byte("REDIS0010\xfa\x09redis-ver\x057.2.4\xf5\x0d#!lua name=l\n\xfe\x00\xfb\x10\x01")
	for rdbType := range byte(len(typeNames)) {
		if _, refused := refusedTypes[rdbType]; refused {
			continue
		}
		for i, b := range bodies()[rdbType] {
			if rdbType == TypeHash {
				file = append(file, "\xfc\x00\xf0\xef\x4b\x8c\x01\x00\x00\xf8\x05"...)
			}
			file = append(append(file, rdbType, 3, 'k', 'a'+rdbType, '0'+byte(i)), b...)
		}
	}
	file = append(file, opEOF)
	return binary.LittleEndian.AppendUint64(file, CRC64(0, file))
}

func TestDamagedFilesOfEveryType(t *testing.T) {
	whole := fileOf()
	items, _, err := readAll(bytes.NewReader(whole), ReaderOptions{})
	require.NoError(t, err)
	require.Greater(t, len(items), 25)
	for at := range whole {
		_, r, err := readAll(bytes.NewReader(whole[:at]), ReaderOptions{})
		require.Error(t, err, "cut at %d", at)
		require.LessOrEqual(t, r.Offset(), int64(at))
		damaged := slices.Clone(whole)
		damaged[at] ^= 1 << (at % 8)
		_, _, err = readAll(bytes.NewReader(damaged), ReaderOptions{})
		require.Error(t, err, "flipped at %d", at)
		if at%7 == 0 { // nothing but a value that is another may come of it
			_, _, _ = readAll(bytes.NewReader(damaged), ReaderOptions{SkipChecksum: true})
		}
	}
}
