package bus

import (
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/store/slot"
)

// fill puts pseudo-random values into every exported field of a message.
func fill(r *rand.Rand, v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				fill(r, v.Field(i), depth+1)
			}
		}
	case reflect.Array:
		for i := range v.Len() {
			v.Index(i).SetUint(uint64(r.IntN(256)))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1+r.IntN(3), 4))
		for i := range v.Len() {
			fill(r, v.Index(i), depth+1)
		}
	case reflect.String:
		v.SetString(fmt.Sprint(r.Uint32()))
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(r.Uint64() >> (64 - v.Type().Bits()))
	case reflect.Int64, reflect.Int:
		v.SetInt(r.Int64() - r.Int64())
	}
}

func sample(r *rand.Rand, k Kind) *Msg {
	m := &Msg{Body: NewBody(k)}
	fill(r, reflect.ValueOf(&m.Header).Elem(), 0)
	fill(r, reflect.ValueOf(m.Body).Elem(), 0)
	return m
}

func TestEveryMessageSurvivesTheWire(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	c := NewCodec()
	for k := Kind(1); int(k) < Kinds; k++ {
		require.NotNil(t, NewBody(k), "%d", k)
		require.Equal(t, k, NewBody(k).Kind())
		require.NotContains(t, k.String(), "kind(")
		for range 20 {
			m := sample(r, k)
			frame, err := c.Append(nil, m)
			require.NoError(t, err)
			got, err := c.Decode(frame)
			require.NoError(t, err, k)
			require.Equal(t, m, got, k)
		}
	}
	require.Nil(t, NewBody(0))
	require.Nil(t, NewBody(kindEnd))
}

// An older reader skips appended fields; a newer reader sees zero for missing ones.
func TestFieldsAreAppendable(t *testing.T) {
	c := NewCodec()
	frame, err := c.Append(nil, &Msg{Body: &LeaseRelease{Shard: NodeID{1}, Epoch: 7}})
	require.NoError(t, err)
	n, err := span(frame[2:])
	require.NoError(t, err)
	body := 2 + n
	require.Equal(t, byte(0x92), frame[body])

	longer := append(append([]byte{}, frame...), 0x92, 0x01, 0xa1, 'x')
	longer[body] = 0x93
	m, err := c.Decode(longer)
	require.NoError(t, err)
	require.Equal(t, &LeaseRelease{Shard: NodeID{1}, Epoch: 7}, m.Body)

	shorter := append([]byte{}, frame[:len(frame)-1]...)
	shorter[body] = 0x91
	m, err = c.Decode(shorter)
	require.NoError(t, err)
	require.Equal(t, &LeaseRelease{Shard: NodeID{1}}, m.Body)
}

func TestRubbishIsRefused(t *testing.T) {
	c := NewCodec()
	good, err := c.Append(nil, &Msg{Body: &Ping{}})
	require.NoError(t, err)
	deep := append([]byte{WireVersion, byte(KindPing)}, []byte(strings.Repeat("\x91", 40))...)
	for name, tc := range map[string]struct {
		frame []byte
		want  error
	}{
		"empty":         {nil, ErrFrameSize},
		"too long":      {make([]byte, MaxFrame+1), ErrFrameSize},
		"wrong version": {append([]byte{WireVersion + 1}, good[1:]...), ErrWireVersion},
		"unknown kind":  {append([]byte{WireVersion, 200}, good[2:]...), ErrKind},
		"truncated":     {good[:len(good)-1], ErrShape},
		"trailing":      {append(append([]byte{}, good...), 0), ErrTrailing},
		"too deep":      {append(deep, 0), ErrShape},
		"a map":         {[]byte{WireVersion, byte(KindPing), 0x80, 0x80}, ErrShape},
		"huge list":     {[]byte{WireVersion, byte(KindPing), 0x90, 0xdd, 0xff, 0xff, 0xff, 0xff}, ErrShape},
		"huge string":   {[]byte{WireVersion, byte(KindPing), 0x91, 0xdb, 0xff, 0xff, 0xff, 0xff}, ErrShape},
		"wrong types":   {[]byte{WireVersion, byte(KindPing), 0x91, 0xa1, 'x', 0x90}, ErrShape},
	} {
		_, err := c.Decode(tc.frame)
		require.ErrorIs(t, err, tc.want, name)
	}
	// and the codec still works
	_, err = c.Decode(good)
	require.NoError(t, err)
}

// A frame full of the shortest list items is the worst case for memory.
func TestDecodeMemoryIsBounded(t *testing.T) {
	c := NewCodec()
	frame := []byte{WireVersion, byte(KindTable), 0x90, 0x93, 0, 0, 0xdc, 0x40, 0x00}
	frame = append(frame, []byte(strings.Repeat("\x90", MaxList))...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := c.Decode(frame)
	runtime.ReadMemStats(&after)
	require.NoError(t, err)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(16<<20))
}

func TestTooLongIsNotEncoded(t *testing.T) {
	c := NewCodec()
	dst := []byte("kept")
	got, err := c.Append(dst, &Msg{Body: &Publish{Payload: make([]byte, MaxFrame)}})
	require.ErrorIs(t, err, ErrFrameSize)
	require.Equal(t, "kept", string(got))
}

func sizes(t testing.TB) [][2]any {
	id := func(b byte) (n NodeID) {
		for i := range n {
			n[i] = b
		}
		return n
	}
	row := Row{ID: id(1), Ver: 1<<32 + 5, Inc: 1, IP: "192.168.100.200", Port: 6379, CPort: 16379, Primary: id(2), Shard: id(3), Epoch: 7}
	stat := Stat{Shard: id(1), ReplID: id(2), Offset: 1 << 40, Flags: 3}
	head := Header{Cluster: 1 << 60, From: id(9), Inc: 3, Boot: 4, VoterVer: 2, SlotVer: 9, Epoch: 12, Table: 1 << 63}
	mem := NewMember(id(4), 3)
	rec := Rec{Shard: id(1), Epoch: 12, Seq: 3, Primary: mem, ISR: []Member{mem, mem, mem}, VoterVer: 2}
	c := NewCodec()
	size := func(b Body) int {
		f, err := c.Append(nil, &Msg{Header: head, Body: b})
		require.NoError(t, err)
		return len(f)
	}
	hashes := make([]uint64, HashBuckets)
	for i := range hashes {
		hashes[i] = 1 << 63
	}
	one := size(&Table{Rows: []Row{row}}) - size(&Table{Rows: []Row{}})
	return [][2]any{
		{"ping, no news", size(&Ping{Stat: stat})},
		{"ping, 6 node rows", size(&Ping{Stat: stat, Rows: []Row{row, row, row, row, row, row}})},
		{"lease request", size(&LeaseReq{Shard: id(1), Epoch: 12, TSend: 1 << 50, Stat: stat})},
		{"vote request", size(&VoteReq{Shard: id(1), Epoch: 12, Cand: mem, Stat: stat})},
		{"accept, record of 3 members", size(&Accept{Rec: rec, TSend: 1 << 50, Stat: stat})},
		{"node row alone", one},
		{"table hashes (64 buckets)", size(&Buckets{Hash: hashes})},
		{"publish, 16-byte channel, 64-byte payload", size(&Publish{Channel: make([]byte, 16), Payload: make([]byte, 64)})},
	}
}

// The table of sizes in the package doc is what is measured.
func TestFrameSizes(t *testing.T) {
	src, err := os.ReadFile("bus.go")
	require.NoError(t, err)
	for _, s := range sizes(t) {
		re := regexp.MustCompile(`//\t` + regexp.QuoteMeta(s[0].(string)) + ` +(\d+)\n`)
		m := re.FindSubmatch(src)
		require.NotNil(t, m, s[0])
		require.Equal(t, strconv.Itoa(s[1].(int)), string(m[1]), "size of %s", s[0])
	}
}

func TestNodeID(t *testing.T) {
	id, ok := ParseNodeID(strings.Repeat("0af9", 10))
	require.True(t, ok)
	require.Equal(t, strings.Repeat("0af9", 10), id.String())
	for _, bad := range []string{"", "0af9", strings.Repeat("0ag9", 10), strings.Repeat("0", 41)} {
		_, ok := ParseNodeID(bad)
		require.False(t, ok, bad)
	}
}

func TestPairs(t *testing.T) {
	s := slot.SetOf(slot.Range{First: 0, Last: 5}, slot.Range{First: 16383, Last: 16383})
	got, ok := SetOf(Pairs(s.Ranges()))
	require.True(t, ok)
	require.Equal(t, s, got)
	for _, bad := range [][]uint16{{1}, {5, 4}, {0, 16384}} {
		_, ok := SetOf(bad)
		require.False(t, ok)
	}
}

func TestRecOrder(t *testing.T) {
	for _, tc := range []struct {
		a, b  Rec
		newer bool
	}{
		{Rec{Epoch: 2}, Rec{Epoch: 1, Seq: 9}, true},
		{Rec{Epoch: 1, Seq: 2}, Rec{Epoch: 1, Seq: 1}, true},
		{Rec{Epoch: 1, Seq: 1}, Rec{Epoch: 1, Seq: 1}, false},
		{Rec{Epoch: 1, Seq: 9}, Rec{Epoch: 2}, false},
	} {
		require.Equal(t, tc.newer, tc.a.Newer(&tc.b))
	}
}

// Decode is total.
func FuzzDecode(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 4))
	c := NewCodec()
	for k := Kind(1); int(k) < Kinds; k++ {
		frame, _ := c.Append(nil, sample(r, k))
		f.Add(frame)
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		m, err := c.Decode(frame)
		if err != nil {
			return
		}
		again, err := c.Append(nil, m)
		require.NoError(t, err)
		m2, err := c.Decode(again)
		require.NoError(t, err)
		require.Equal(t, m, m2)
	})
}

func BenchmarkPing(b *testing.B) {
	c := NewCodec()
	m := &Msg{Body: &Ping{}}
	frame, _ := c.Append(nil, m)
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			frame, _ = c.Append(frame[:0], m)
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			if _, err := c.Decode(frame); err != nil {
				b.Fatal(err)
			}
		}
	})
}
