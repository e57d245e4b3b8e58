package rdb

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/store/value"
)

// contents is a hash or a set as a map; of other types the payload.
func contents(v *Value) map[string]string {
	m := map[string]string{}
	switch v.Type {
	case value.Hash:
		value.HashOf(v.Encoding, v.Payload, v.Object, 0).Each(func(f, val []byte) bool { m[string(f)] = string(val); return true })
	case value.Set:
		value.SetOf(v.Encoding, v.Payload, v.Object).Each(func(e []byte) bool { m[string(e)] = ""; return true })
	case value.Stream:
		m[body(v, WriterOptions{})] = ""
	default:
		m[string(v.Payload)] = ""
	}
	return m
}

func footed(rdbType byte, body string) []byte {
	return appendFooter(append([]byte{rdbType}, body...), 0)
}

func asString(b []byte) string {
	var e Encoder
	e.Len(uint64(len(b)))
	e.Raw(b)
	return string(e.buf)
}

// makeZiplist writes a ziplist as Redis before 7.0 did.
func makeZiplist(elements ...string) []byte {
	b := make([]byte, ziplistHead)
	prev, last := 0, ziplistHead
	for _, s := range elements {
		last = len(b)
		if prev < 254 {
			b = append(b, byte(prev))
		} else {
			b = binary.LittleEndian.AppendUint32(append(b, ziplistLong), uint32(prev))
		}
		n, err := strconv.ParseInt(s, 10, 64)
		switch {
		case err == nil && strconv.FormatInt(n, 10) == s:
			switch {
			case n >= 0 && n <= 12:
				b = append(b, 0xF1+byte(n))
			case n == int64(int8(n)):
				b = append(b, 0xFE, byte(n))
			case n == int64(int16(n)):
				b = binary.LittleEndian.AppendUint16(append(b, 0xC0), uint16(n))
			case n == n<<40>>40:
				b = append(b, 0xF0, byte(n), byte(n>>8), byte(n>>16))
			case n == int64(int32(n)):
				b = binary.LittleEndian.AppendUint32(append(b, 0xD0), uint32(n))
			default:
				b = binary.LittleEndian.AppendUint64(append(b, 0xE0), uint64(n))
			}
		case len(s) < 64:
			b = append(append(b, byte(len(s))), s...)
		case len(s) < 16384:
			b = append(append(b, 0x40|byte(len(s)>>8), byte(len(s))), s...)
		default:
			b = append(binary.BigEndian.AppendUint32(append(b, 0x80), uint32(len(s))), s...)
		}
		prev = len(b) - last
	}
	b = append(b, ziplistEnd)
	binary.LittleEndian.PutUint32(b, uint32(len(b)))
	binary.LittleEndian.PutUint32(b[4:], uint32(last))
	binary.LittleEndian.PutUint16(b[8:], uint16(len(elements)))
	return b
}

func TestOldHashes(t *testing.T) {
	// The example of ziplist.c.
	require.Equal(t, "\x0f\x00\x00\x00\x0c\x00\x00\x00\x02\x00\x00\xf3\x02\xf6\xff", string(makeZiplist("2", "5")))

	long := strings.Repeat("x", 20000)
	want := map[string]string{"a": "12", "13": "-1", "n": "-129", "m": "40000", "o": "-8388609", "p": "9223372036854775807",
		"q": "0", "r": "8388607", "s": "-8388608", "l": strings.Repeat("y", 300), "long": long}
	var elements []string
	for f, v := range want {
		elements = append(elements, f, v)
	}
	v, err := ParsePayload(footed(TypeHashZiplist, asString(makeZiplist(elements...))), ReaderOptions{})
	require.NoError(t, err)
	require.Equal(t, want, contents(&v))
	require.Equal(t, value.Hashtable, v.Encoding)

	zm := "\x04\x03foo\x03\x00bar\x05hello\x05\x02worldXX\x00\x00\x00\x01k\xfe\x2c\x01\x00\x00\x04" + strings.Repeat("z", 300) + "1234\xff"
	v, err = ParsePayload(footed(TypeHashZipmap, asString([]byte(zm))), ReaderOptions{Limits: value.Limits{HashEntries: 9, HashValue: 400}})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"foo": "bar", "hello": "world", "": "", "k": strings.Repeat("z", 300)}, contents(&v))
	require.Equal(t, value.Listpack, v.Encoding)
}

// timedHash is a hash of n fields, every second of which expires.
func timedHash(l value.Limits, n int) *Value {
	h := value.NewHash(nil, &l)
	for i := range n {
		field := fmt.Appendf(nil, "field%d", i)
		h.Set(field, []byte(strconv.Itoa(i)))
		if i%2 == 0 {
			h.SetExpiry(field, 1_700_000_000_000+int64(i*7919%1000))
		}
	}
	v := &Value{Type: value.Hash}
	if err := v.compactOr(h.Result()); err != nil {
		panic(err)
	}
	return v
}

// times are the times at which the fields of a hash expire.
func times(v *Value) map[string]int64 {
	m := map[string]int64{}
	if v.Type == value.Hash {
		v.hash().EachTimed(func(f, _ []byte, at int64) bool {
			if at != 0 {
				m[string(f)] = at
			}
			return true
		})
	}
	return m
}

// Hashes with fields that expire come back with their times, in Redis 7.4's types; without such a
// field they are written as everybody reads them.
func TestFieldsThatExpire(t *testing.T) {
	small, large := value.DefaultLimits(), value.Limits{HashEntries: 1, HashValue: 64}
	for _, c := range []struct {
		l       value.Limits
		n       int
		rdbType byte
		enc     value.Encoding
	}{
		{small, 1, TypeHashListpackEx, value.ListpackEx},
		{small, 400, TypeHashListpackEx, value.ListpackEx},
		{large, 2, TypeHashTimed, value.Hashtable},
		{large, 5000, TypeHashTimed, value.Hashtable},
	} {
		v := timedHash(c.l, c.n)
		payload := AppendPayload(nil, v, WriterOptions{})
		require.Equal(t, c.rdbType, payload[0])
		back, err := ParsePayload(payload, ReaderOptions{Limits: c.l})
		require.NoError(t, err)
		require.Equal(t, c.enc, back.Encoding)
		require.Equal(t, contents(v), contents(&back))
		require.Equal(t, times(v), times(&back))
		require.Len(t, times(v), (c.n+1)/2)

		e := value.EditHash(v.Encoding, v.Payload, v.Object, 0, nil, &c.l)
		for f := range times(v) {
			e.SetExpiry([]byte(f), 0)
		}
		never := &Value{Type: value.Hash}
		if enc, payload, o := e.Result(); o != nil || payload != nil {
			require.NoError(t, never.compactOr(enc, payload, o))
		} else {
			never = v // changed in place
		}
		payload = AppendPayload(nil, never, WriterOptions{})
		require.EqualValues(t, TypeHash, payload[0])
		back, err = ParsePayload(payload, ReaderOptions{Limits: c.l})
		require.NoError(t, err)
		require.Equal(t, contents(never), contents(&back))
	}
	// As Redis 7.4 writes them: the first time, then each time after it plus one.
	first := "\x10\x27\x00\x00\x00\x00\x00\x00"
	v, err := ParsePayload(footed(TypeHashTimed, first+"\x03\x01\x01a\x011\x00\x01b\x012\x06\x01c\x013"), ReaderOptions{})
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"a": 10000, "c": 10005}, times(&v))
	for name, body := range map[string]string{
		"a time too late": "\xff\xff\xff\xff\xff\xff\xff\x7f\x01\x02\x01a\x011",
		"a time wraps":    "\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02\x01a\x011",
		"field twice":     first + "\x02\x01\x01a\x011\x02\x01a\x012",
		"empty":           first + "\x00",
		"cut":             first + "\x01\x01",
	} {
		_, err := ParsePayload(footed(TypeHashTimed, body), ReaderOptions{})
		require.ErrorIs(t, err, ErrPayloadData, name)
	}
	pack := func(elements ...string) string {
		q, l := value.NewList(nil), value.DefaultLimits()
		for _, e := range elements {
			q.Push([]byte(e), false, &l)
		}
		return asString(q.Payload())
	}
	for name, body := range map[string]string{
		"not threes":     pack("a", "1", "2", "b"),
		"a time is text": pack("a", "1", "x", "b", "2", "7"),
		"negative":       pack("a", "1", "-5", "b", "2", "7"),
		"out of order":   pack("a", "1", "9", "b", "2", "7"),
		"time behind 0":  pack("a", "1", "0", "b", "2", "7"),
		"field twice":    pack("a", "1", "2", "a", "3", "7"),
	} {
		_, err := ParsePayload(footed(TypeHashListpackEx, first+body), ReaderOptions{})
		require.ErrorIs(t, err, ErrPayloadData, name)
	}
	v, err = ParsePayload(footed(TypeHashListpackEx, first+pack("a", "1", "2", "b", "2", "7")), ReaderOptions{})
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"a": 2, "b": 7}, times(&v))
}

func TestCollectionsThatAreRefused(t *testing.T) {
	pack := func(elements ...string) string {
		h := value.EditSet(0, nil, nil, nil, value.UsualLimits())
		h.Begin(value.Listpack)
		for _, e := range elements {
			h.Add([]byte(e))
		}
		_, payload, _ := h.Result()
		return asString(payload)
	}
	for name, body := range map[string][]byte{
		"odd listpack":         footed(TypeHashListpack, pack("a", "b", "c")),
		"no listpack":          footed(TypeHashListpack, asString([]byte("\x08\x00\x00\x00\x01\x00\x05\xff"))),
		"field twice":          footed(TypeHash, "\x02\x01a\x01b\x01a\x01c"),
		"member twice":         footed(TypeSet, "\x02\x01a\x01a"),
		"number twice":         footed(TypeSet, "\x02\xc0\x07\xc0\x07"),
		"unsorted intset":      footed(TypeSetIntset, asString([]byte("\x02\x00\x00\x00\x02\x00\x00\x00\x05\x00\x04\x00"))),
		"short intset":         footed(TypeSetIntset, asString([]byte("\x02\x00\x00\x00\x03\x00\x00\x00\x04\x00\x05\x00"))),
		"field twice, ziplist": footed(TypeHashZiplist, asString(makeZiplist("a", "b", "a", "c"))),
		"field twice, zipmap":  footed(TypeHashZipmap, asString([]byte("\x02\x01a\x01\x00b\x01a\x01\x00b\xff"))),
		"odd ziplist":          footed(TypeHashZiplist, asString(makeZiplist("a", "b", "c"))),
		"ziplist's tail":       footed(TypeHashZiplist, asString([]byte("\x0f\x00\x00\x00\x0a\x00\x00\x00\x02\x00\x00\xf3\x02\xf6\xff"))),
		"ziplist's prevlen":    footed(TypeHashZiplist, asString([]byte("\x0f\x00\x00\x00\x0c\x00\x00\x00\x02\x00\x00\xf3\x03\xf6\xff"))),
		"zipmap's count":       footed(TypeHashZipmap, asString([]byte("\x02\x01a\x01\x00b\xff"))),
		"zipmap's value":       footed(TypeHashZipmap, asString([]byte("\x01\x01a\x05\x00b\xff"))),
		"empty":                footed(TypeSet, "\x00"),
		"empty listpack":       footed(TypeHashListpack, pack()),
	} {
		_, err := ParsePayload(body, ReaderOptions{})
		require.ErrorIs(t, err, ErrPayloadData, name)
	}
}

func TestSetsReadTheirLimits(t *testing.T) {
	l := value.Limits{SetIntset: 3, SetEntries: 2, SetValue: 4}
	for _, c := range []struct {
		body    string
		members int
		enc     value.Encoding
	}{
		{"\x03\xc0\x07\xc0\x08\xc0\x09", 3, value.Intset},
		{"\x04\xc0\x07\xc0\x08\xc0\x09\xc0\x0a", 4, value.Hashtable},
		{"\x02\xc0\x07\x01a", 2, value.Listpack},
		{"\x03\xc0\x07\x01a\x01b", 3, value.Hashtable},
		{"\x01\x05abcde", 1, value.Hashtable},
	} {
		v, err := ParsePayload(footed(TypeSet, c.body), ReaderOptions{Limits: l})
		require.NoError(t, err)
		require.Len(t, contents(&v), c.members)
		require.Equal(t, c.enc.String(), v.Encoding.String(), "%q", c.body)
	}
	listpack := "\x0d\x00\x00\x00\x03\x00\x81a\x02\x05\x01\x06\x01\xff"
	v, err := ParsePayload(footed(TypeSetListpack, asString([]byte(listpack+""))), ReaderOptions{})
	require.Error(t, err, "a length too many")
	listpack = "\x0e" + listpack[1:]
	v, err = ParsePayload(footed(TypeSetListpack, asString([]byte(listpack))), ReaderOptions{})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"a": "", "5": "", "6": ""}, contents(&v))
	require.Equal(t, value.Listpack, v.Encoding)
	v, err = ParsePayload(footed(TypeSetListpack, asString([]byte(listpack))), ReaderOptions{Limits: l})
	require.NoError(t, err)
	require.Equal(t, value.Hashtable, v.Encoding)
}

// Every hash and set goes to the real server and back, and so does every one of its own.
func TestHashesAndSetsAgainstRedis(t *testing.T) {
	if testing.Short() {
		t.Skip()
	}
	ctx := context.Background()
	c := startRedis(t, t.TempDir())(0)
	r := rand.New(rand.NewPCG(9, 9))
	word := randomWords(r)
	for i := range 120 {
		n := 1 << r.IntN(11)
		v := Value{Type: value.Hash}
		if i%2 == 0 {
			h := value.NewHash(nil, value.UsualLimits())
			for range n {
				h.Set([]byte(word()), []byte(word()))
			}
			require.NoError(t, v.compactOr(h.Result()))
		} else {
			s := value.EditSet(0, nil, nil, nil, value.UsualLimits())
			for range n {
				m := word()
				if i%4 == 1 {
					m = strconv.Itoa(r.IntN(1 << 20))
				}
				s.Add([]byte(m))
			}
			v.Type = value.Set
			enc, payload, o := s.Result()
			require.NoError(t, v.compactOr(enc, payload, o))
		}
		require.NoError(t, c.Restore(ctx, "k", 0, string(AppendPayload(nil, &v, WriterOptions{Compress: i%3 == 0}))).Err())
		got := map[string]string{}
		if v.Type == value.Hash {
			got = c.HGetAll(ctx, "k").Val()
		} else {
			for _, m := range c.SMembers(ctx, "k").Val() {
				got[m] = ""
			}
		}
		require.Equal(t, contents(&v), got)
		if v.Encoding != value.Listpack || v.Type == value.Hash { // 7.0 keeps no sets as listpacks
			require.Equal(t, v.Encoding.String(), c.ObjectEncoding(ctx, "k").Val())
		}
		payload := c.Dump(ctx, "k").Val()
		back, err := ParsePayload([]byte(payload), ReaderOptions{})
		require.NoError(t, err)
		require.Equal(t, contents(&v), contents(&back))
		if v.Payload != nil && v.Type == value.Hash {
			require.Equal(t, v.Payload, back.Payload, "byte for byte")
		}
		require.NoError(t, c.Del(ctx, "k").Err())
	}
	// What Redis itself has built command by command is what we build, byte for byte.
	h := value.NewHash(nil, value.UsualLimits())
	for range 400 {
		f, val := word(), word()
		if len(f) <= 64 && len(val) <= 64 {
			require.NoError(t, c.HSet(ctx, "h", f, val).Err())
			h.Set([]byte(f), []byte(val))
		}
	}
	v, err := ParsePayload([]byte(c.Dump(ctx, "h").Val()), ReaderOptions{})
	require.NoError(t, err)
	_, payload, _ := h.Result()
	require.True(t, bytes.Equal(payload, v.Payload))
	s := value.EditSet(0, nil, nil, nil, value.UsualLimits())
	for range 400 {
		n := int64(r.Uint64()) >> 40
		require.NoError(t, c.SAdd(ctx, "s", n).Err())
		s.Add(strconv.AppendInt(nil, n, 10))
		if r.IntN(3) == 0 {
			m := c.SRandMember(ctx, "s").Val()
			c.SRem(ctx, "s", m)
			s.Remove([]byte(m))
		}
	}
	v, err = ParsePayload([]byte(c.Dump(ctx, "s").Val()), ReaderOptions{})
	require.NoError(t, err)
	_, payload, _ = s.Result()
	require.True(t, bytes.Equal(payload, v.Payload))
}

func BenchmarkReadLargeHash(b *testing.B) {
	h := value.NewHash(nil, value.UsualLimits())
	for i := range 100000 {
		h.Set(fmt.Appendf(nil, "field:%08d", i), []byte("0123456789"))
	}
	_, _, o := h.Result()
	v := Value{Type: value.Hash, Encoding: value.Hashtable, Object: o}
	payload := AppendPayload(nil, &v, WriterOptions{})
	b.SetBytes(int64(len(payload)))
	for b.Loop() {
		if _, err := ParsePayload(payload, ReaderOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}
