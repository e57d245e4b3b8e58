package rdb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/store/value"
)

// item is a Record that may be kept.
type item struct {
	Kind           Kind
	DB             int
	Attributes     Attributes
	Key, Text, Val string
	Keys, Expiring uint64
	Slot           uint16
}

func readAll(src io.Reader, o ReaderOptions) ([]item, *Reader, error) {
	if o.Databases == 0 {
		o.Databases = 16
	}
	r := NewReader(src, o)
	var items []item
	var rec Record
	for {
		if err := r.Next(&rec); err != nil {
			return items, r, err
		}
		it := item{Kind: rec.Kind, DB: rec.DB, Attributes: rec.Attributes, Key: string(rec.Key),
			Text: string(rec.Text), Val: string(rec.Value.Payload)}
		switch rec.Kind {
		case KindEnd:
			return items, r, nil
		case KindAux, KindFunction:
			it.DB = 0
		case KindSize:
			it.Keys, it.Expiring = rec.Keys, rec.Expiring
		case KindSlotSize:
			it.Keys, it.Expiring, it.Slot = rec.Keys, rec.Expiring, rec.Slot
		}
		items = append(items, it)
	}
}

func text(s string) *Value {
	return &Value{Type: value.String, Encoding: value.Raw, Payload: []byte(s)}
}

func number(n int64) *Value {
	return &Value{Type: value.String, Encoding: value.Int, Payload: binary.LittleEndian.AppendUint64(nil, uint64(n))}
}

// smallFile has each thing that files of ours can have.
func smallFile(o WriterOptions) []byte {
	var file bytes.Buffer
	w := NewWriter(&file, o)
	w.Begin(Info{CreatedUnix: 1700000000, UsedMemory: 123456, Replication: &Replication{StreamDB: 3, ID: strings.Repeat("a1b2", 10), Offset: 98765}})
	w.Function([]byte("#!lua name=lib\nredis.register_function('f', function() return 1 end)"))
	w.Select(0, 3, 1)
	w.Entry(Attributes{}, []byte("plain"), text("value"))
	w.Entry(Attributes{ExpireAt: 1800000000123, Usage: UsageIdle, Idle: 100}, []byte("key:1"), number(-5))
	w.Entry(Attributes{Usage: UsageFreq, Freq: 7}, []byte("12345"), number(1<<40))
	w.Select(9, 1, 0)
	w.Entry(Attributes{}, []byte(""), text(strings.Repeat("compress me ", 20)))
	w.Select(0, 3, 1)
	w.Entry(Attributes{}, []byte("again"), text("12"))
	if err := w.End(); err != nil {
		panic(err)
	}
	if w.Bytes() != int64(file.Len()) {
		panic("Bytes() is wrong")
	}
	return file.Bytes()
}

func TestFileHasTheItemsInOrder(t *testing.T) {
	items, r, err := readAll(bytes.NewReader(smallFile(WriterOptions{Compress: true})), ReaderOptions{})
	require.NoError(t, err)
	require.Equal(t, 10, r.Version())
	require.False(t, r.Unchecked())
	aux := func(k, v string) item { return item{Kind: KindAux, Key: k, Text: v} }
	require.Equal(t, []item{
		aux("redis-ver", "7.2.4"), aux("redis-bits", "64"), aux("ctime", "1700000000"), aux("used-mem", "123456"),
		aux("repl-stream-db", "3"), aux("repl-id", strings.Repeat("a1b2", 10)), aux("repl-offset", "98765"), aux("aof-base", "0"),
		{Kind: KindFunction, Text: "#!lua name=lib\nredis.register_function('f', function() return 1 end)"},
		{Kind: KindSize, DB: 0, Keys: 3, Expiring: 1},
		{Kind: KindKey, Key: "plain", Val: "value"},
		{Kind: KindKey, Key: "key:1", Val: "-5", Attributes: Attributes{ExpireAt: 1800000000123, Usage: UsageIdle, Idle: 100}},
		{Kind: KindKey, Key: "12345", Val: "1099511627776", Attributes: Attributes{Usage: UsageFreq, Freq: 7}},
		{Kind: KindSize, DB: 9, Keys: 1},
		{Kind: KindKey, DB: 9, Val: strings.Repeat("compress me ", 20)},
		{Kind: KindKey, DB: 0, Key: "again", Val: "12"},
	}, items)
}

// The bytes of a minimal file, checked by hand against the format and by redis-check-rdb in
// TestRedisTakesOurFile.
func TestFileBytes(t *testing.T) {
	var file bytes.Buffer
	w := NewWriter(&file, WriterOptions{NoChecksum: true})
	w.Begin(Info{CreatedUnix: 1, AOFBase: true})
	w.Select(2, 1, 1)
	w.Entry(Attributes{ExpireAt: 0x0102030405060708}, []byte("k"), text("v"))
	require.NoError(t, w.End())
	require.Equal(t, "REDIS0010"+
		"\xfa\x09redis-ver\x057.2.4"+"\xfa\x0aredis-bits\xc0\x40"+"\xfa\x05ctime\xc0\x01"+"\xfa\x08used-mem\xc0\x00"+"\xfa\x08aof-base\xc0\x01"+
		"\xfe\x02\xfb\x01\x01"+"\xfc\x08\x07\x06\x05\x04\x03\x02\x01"+"\x00\x01k\x01v"+"\xff"+"\x00\x00\x00\x00\x00\x00\x00\x00", file.String())
	_, r, err := readAll(&file, ReaderOptions{})
	require.NoError(t, err)
	require.True(t, r.Unchecked())
}

func TestRandomFilesRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 50 {
		var file bytes.Buffer
		w := NewWriter(&file, WriterOptions{Compress: rng.IntN(2) == 0, NoChecksum: rng.IntN(2) == 0})
		w.Begin(Info{})
		var want []item
		db := -1
		seen := map[int]bool{}
		for range rng.IntN(2000) {
			if db < 0 || rng.IntN(100) == 0 {
				if db = rng.IntN(16); !seen[db] {
					want = append(want, item{Kind: KindSize, DB: db, Keys: 7, Expiring: 5})
					seen[db] = true
				}
				w.Select(db, 7, 5)
			}
			it := item{Kind: KindKey, DB: db, Key: randomText(rng), Val: randomText(rng)}
			if rng.IntN(3) == 0 {
				it.Attributes.ExpireAt = rng.Int64() + 1
			}
			switch it.Attributes.Usage = Usage(rng.IntN(3)); it.Attributes.Usage {
			case UsageIdle:
				it.Attributes.Idle = rng.Uint64() >> rng.IntN(64)
			case UsageFreq:
				it.Attributes.Freq = byte(rng.Uint32())
			}
			want = append(want, it)
			w.Entry(it.Attributes, []byte(it.Key), text(it.Val))
		}
		require.NoError(t, w.End())
		file.WriteString("what follows")

		got, r, err := readAll(iotest.HalfReader(bytes.NewReader(file.Bytes())), ReaderOptions{})
		require.NoError(t, err)
		require.Equal(t, want, got[5:])
		require.Equal(t, int64(file.Len())-12, r.Offset())
		require.True(t, strings.HasPrefix("what follows", string(r.Rest())))
	}
}

func randomText(rng *rand.Rand) string {
	switch rng.IntN(6) {
	case 0:
		return fmt.Sprint(rng.Int64() >> rng.IntN(64))
	case 1:
		return strings.Repeat(fmt.Sprint(rng.IntN(100)), rng.IntN(2000))
	}
	b := make([]byte, rng.IntN(100))
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return string(b)
}

func TestEveryTruncationIsRefused(t *testing.T) {
	file := smallFile(WriterOptions{Compress: true})
	for n := range file {
		_, _, err := readAll(bytes.NewReader(file[:n]), ReaderOptions{})
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, "cut at %d", n)
		require.ErrorContains(t, err, fmt.Sprintf("offset %d", n), "cut at %d", n)
	}
}

func TestEveryBitFlipIsRefused(t *testing.T) {
	file := smallFile(WriterOptions{Compress: true})
	for i := range file {
		for bit := range 8 {
			damaged := bytes.Clone(file)
			damaged[i] ^= 1 << bit
			_, _, err := readAll(bytes.NewReader(damaged), ReaderOptions{})
			require.Error(t, err, "byte %d bit %d", i, bit)
			var corrupt *CorruptError
			var unsupported *UnsupportedError
			require.True(t, errors.As(err, &corrupt) || errors.As(err, &unsupported), "byte %d bit %d: %v", i, bit, err)

			// Without the checksum damage may go unnoticed, but never worse.
			_, _, _ = readAll(bytes.NewReader(damaged), ReaderOptions{SkipChecksum: true})
		}
	}
}

func TestOpcodesOfAllVersions(t *testing.T) {
	sum := func(s string) string {
		return string(binary.LittleEndian.AppendUint64([]byte(s), CRC64(0, []byte(s))))
	}
	key := func(a Attributes, k, v string) []item {
		return []item{{Kind: KindKey, Key: k, Val: v, Attributes: a}}
	}
	for name, c := range map[string]struct {
		file string
		want []item
	}{
		"version 1":                      {"REDIS0001\xfe\x00\x00\x01k\x01v\xff", key(Attributes{}, "k", "v")},
		"no SELECTDB means 0":            {"REDIS0004\x00\x01k\x01v\xff", key(Attributes{}, "k", "v")},
		"expiry in seconds":              {"REDIS0002\xfd\x00\x00\x00\x60\x00\x01k\x01v\xff", key(Attributes{ExpireAt: 0x60000000 * 1000}, "k", "v")},
		"expiry in seconds, before 1970": {"REDIS0002\xfd\xff\xff\xff\xff\x00\x01k\x01v\xff", key(Attributes{ExpireAt: 1}, "k", "v")},
		"expiry of zero is not never":    {sum("REDIS0009\xfc\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01k\x01v\xff"), key(Attributes{ExpireAt: 1}, "k", "v")},
		"version 5 has a checksum":       {sum("REDIS0005\x00\x01k\x01v\xff"), key(Attributes{}, "k", "v")},
		"version 12":                     {sum("REDIS0012\x00\x01k\x01v\xff"), key(Attributes{}, "k", "v")},
		"slot sizes":                     {sum("REDIS0011\xfe\x01\xf4\x7f\xff\x02\x01\xff"), []item{{Kind: KindSlotSize, DB: 1, Slot: 16383, Keys: 2, Expiring: 1}}},
		"attributes in any order":        {sum("REDIS0010\xf9\x05\xfc\x01\x00\x00\x00\x00\x00\x00\x00\xfe\x00\x00\x01k\x01v\xff"), key(Attributes{ExpireAt: 1, Usage: UsageFreq, Freq: 5}, "k", "v")},
		"attributes do not linger":       {sum("REDIS0010\xf8\x05\x00\x01k\x01v\x00\x01l\x01w\xff"), append(key(Attributes{Usage: UsageIdle, Idle: 5}, "k", "v"), key(Attributes{}, "l", "w")...)},
	} {
		got, _, err := readAll(strings.NewReader(c.file), ReaderOptions{})
		require.NoError(t, err, name)
		require.Equal(t, c.want, got, name)
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct{ file, reason string }{
		"not RDB":                  {"*1\r\n$4\r\nPING\r\n", "Wrong signature"},
		"version 0":                {"REDIS0000\xff", "Can't handle RDB format version 0"},
		"version 13":               {"REDIS0013\xff", "Can't handle RDB format version 13"},
		"version of letters":       {"REDIS00x1\xff", "not a number"},
		"too many databases":       {"REDIS0010\xfe\x10\xff", "more than 16 databases (RDB offset 9)"},
		"a slot too many":          {"REDIS0011\xf4\x80\x00\x00\x40\x00\x00\x00\xff", "slot 16384 does not exist"},
		"functions before 7.0":     {"REDIS0010\xf6\x01x", "Pre-release function format"},
		"auxiliary data of module": {"REDIS0010\xf7\x81\x60\xb0\xc6\x94\xb2\x29\x3c\x01\x02\x00", "no matching module"},
		"value of a module":        {"REDIS0010\x07\x01k\x81\x60\xb0\xc6\x94\xb2\x29\x3c\x01", "no matching module type"},
		"value of an old module":   {"REDIS0010\x06\x01k\x01", "Pre-release module format"},
		"no such type":             {"REDIS0010\x08\x01k\x01", "offset 9: Unknown RDB encoding type 8"},
		"no such opcode":           {"REDIS0010\xf3\x01k\x01", "offset 9: Unknown RDB encoding type 243"},
		"wrong checksum":           {"REDIS0010\xff12345678", "offset 10: RDB CRC error"},
		"string encoding":          {"REDIS0010\x00\xc4", "offset 10: unknown string encoding 4"},
	} {
		_, _, err := readAll(strings.NewReader(c.file), ReaderOptions{})
		require.ErrorContains(t, err, c.reason, name)
	}
	var id uint64
	for _, c := range "ReJSON-RL" {
		id = id<<6 | uint64(strings.IndexRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", c))
	}
	require.Equal(t, "ReJSON-RL", moduleName(id<<10|3))
}

func TestDumpPayload(t *testing.T) {
	// The example of Redis' documentation of DUMP.
	payload := AppendPayload(nil, number(10), WriterOptions{})
	require.Equal(t, "\x00\xc0\n\n\x00n\x9fWE\x0e\xaec\xbb", string(payload))

	for _, s := range []string{"", "10", "hello", strings.Repeat("long ", 100)} {
		payload := AppendPayload([]byte("before"), text(s), WriterOptions{Compress: true})
		v, err := ParsePayload(payload[6:], ReaderOptions{})
		require.NoError(t, err)
		require.Equal(t, *text(s), Value{v.Type, v.Encoding, append([]byte{}, v.Payload...), nil})

		for i := range payload[6:] {
			damaged := bytes.Clone(payload[6:])
			damaged[i] ^= 1
			_, err := ParsePayload(damaged, ReaderOptions{})
			require.ErrorIs(t, err, ErrPayloadFooter)
			_, _ = ParsePayload(damaged, ReaderOptions{SkipChecksum: true})
			_, err = ParsePayload(damaged[:i], ReaderOptions{})
			require.ErrorIs(t, err, ErrPayloadFooter)
		}
	}

	footed := func(body string, version byte) []byte {
		p := append([]byte(body), version, 0)
		return binary.LittleEndian.AppendUint64(p, CRC64(0, p))
	}
	_, err := ParsePayload(footed("\x00\x01x", 12), ReaderOptions{})
	require.NoError(t, err)
	_, err = ParsePayload(footed("\x00\x01x", 13), ReaderOptions{})
	require.ErrorIs(t, err, ErrPayloadFooter)
	_, err = ParsePayload(append([]byte("\x00\x01x\x0a\x00"), 0, 0, 0, 0, 0, 0, 0, 1), ReaderOptions{SkipChecksum: true})
	require.NoError(t, err, "SET-SKIP-CHECKSUM-VALIDATION")
	for _, body := range []string{"", "\x00", "\x00\x05abc", "\x00\x01xx", "\xfa\x01x", "\x08\x01x"} {
		_, err := ParsePayload(footed(body, 10), ReaderOptions{})
		require.ErrorIs(t, err, ErrPayloadData, "%q", body)
	}
}

func FuzzReader(f *testing.F) {
	f.Add(smallFile(WriterOptions{Compress: true}))
	f.Add(smallFile(WriterOptions{NoChecksum: true}))
	f.Add(fileOf())
	f.Add([]byte("REDIS0011\xfe\x01\xf4\x7f\xff\x02\x01\xf8\x05\xf9\x01\xfd\x00\x00\x00\x60\x00\xc3\x04\x15\x01aa\xe0\x0a\x00\x01v\xff"))
	f.Fuzz(func(t *testing.T, file []byte) {
		for _, skip := range []bool{false, true} {
			var n int
			r := NewReader(bytes.NewReader(file), ReaderOptions{Databases: 16, SkipChecksum: skip})
			var rec Record
			for {
				err := r.Next(&rec)
				if err != nil || rec.Kind == KindEnd {
					break
				}
				if n++; n > len(file) {
					t.Fatal("more items than bytes")
				}
				if rec.DB < 0 || rec.DB > 15 {
					t.Fatalf("database %d", rec.DB)
				}
			}
			if r.Offset() > int64(len(file)) {
				t.Fatalf("read %d of %d bytes", r.Offset(), len(file))
			}
		}
	})
}

func FuzzPayload(f *testing.F) {
	f.Add(AppendPayload(nil, text("hello"), WriterOptions{}))
	f.Add(AppendPayload(nil, text(strings.Repeat("hello", 20)), WriterOptions{Compress: true}))
	f.Add(AppendPayload(nil, number(-70000), WriterOptions{}))
	for rdbType, all := range bodies() {
		for _, b := range all {
			f.Add(footed(rdbType, b))
		}
	}
	f.Fuzz(tryPayload)
}

func BenchmarkWriter(b *testing.B) {
	for _, c := range []struct {
		name string
		val  []byte
	}{
		{"random-64", []byte(randomBytes(64))},
		{"text-64", []byte(strings.Repeat("text and ", 8)[:64])},
		{"random-4096", []byte(randomBytes(4096))},
	} {
		b.Run(c.name, func(b *testing.B) {
			w := NewWriter(io.Discard, WriterOptions{Compress: true})
			v := &Value{Type: value.String, Encoding: value.Raw, Payload: c.val}
			key := []byte("key:000000123456")
			b.SetBytes(int64(len(key) + len(c.val)))
			b.ReportAllocs()
			for b.Loop() {
				w.Entry(Attributes{}, key, v)
			}
		})
	}
}

func BenchmarkReader(b *testing.B) {
	var file bytes.Buffer
	w := NewWriter(&file, WriterOptions{Compress: true})
	w.Begin(Info{})
	const keys = 100_000
	val := text(randomBytes(64))
	for i := range keys {
		w.Entry(Attributes{}, fmt.Appendf(nil, "key:%012d", i), val)
	}
	if err := w.End(); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(file.Len()))
	for b.Loop() {
		r := NewReader(bytes.NewReader(file.Bytes()), ReaderOptions{Databases: 16})
		var rec Record
		for {
			if err := r.Next(&rec); err != nil {
				b.Fatal(err)
			}
			if rec.Kind == KindEnd {
				break
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/keys, "ns/key")
}

func randomBytes(n int) string {
	rng := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return string(b)
}
