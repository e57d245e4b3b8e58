package rdb

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/store/value"
)

func sid(ms, seq uint64) value.StreamID { return value.StreamID{Ms: ms, Seq: seq} }

// smallStream has two nodes, a deleted entry, two groups, and a pending entry that is gone.
func smallStream() *Value {
	s := value.NewStream()
	l := value.DefaultLimits()
	l.StreamEntries = 3
	for i := range uint64(5) {
		s.Append(sid(10+i/2, i), [][]byte{[]byte("field"), fmt.Append(nil, i*1000)}, &l)
	}
	s.Delete(sid(11, 2))
	g := s.CreateGroup([]byte("g"), sid(11, 3), 4)
	o, _ := g.CreateConsumer([]byte("bob"), 1700000000000)
	g.EditConsumer(o).Active = 1600000000000
	g.Put(value.StreamPending{ID: sid(11, 2), Time: 1700000000001, Count: 1, Owner: o})
	o, _ = g.CreateConsumer([]byte("alice"), 1700000000003)
	g.Put(value.StreamPending{ID: sid(10, 1), Time: 1700000000002, Count: 70000, Owner: o})
	s.CreateGroup([]byte("empty"), sid(0, 0), value.StreamReadUnknown)
	return &Value{Type: value.Stream, Encoding: value.StreamEncoding, Object: s}
}

func body(v *Value, o WriterOptions) string {
	p := AppendPayload(nil, v, o)
	return string(p[1 : len(p)-payloadFooter])
}

func TestStreamForms(t *testing.T) {
	v := smallStream()
	p := AppendPayload(nil, v, WriterOptions{})
	require.Equal(t, byte(TypeStreamListpacks2), p[0])
	back, err := ParsePayload(p, ReaderOptions{})
	require.NoError(t, err)
	s := back.Object.(*value.StreamLog)
	s.CheckMem()
	require.Equal(t, p, AppendPayload(nil, &back, WriterOptions{}))
	require.Equal(t, 4, s.Len())
	require.Equal(t, 2, s.Nodes())
	require.Equal(t, sid(11, 2), s.MaxDeleted)
	require.Equal(t, sid(10, 0), s.First)
	require.Equal(t, uint64(5), s.Added)
	g := s.Group([]byte("g"))
	bob, _ := g.Find([]byte("bob"))
	require.Equal(t, int64(1700000000000), g.Consumer(bob).Active, "the second form has only when it was seen")

	// The first form lacks First, MaxDeleted, Added and Read; the third has when a consumer was active.
	first, third := otherForms(v)
	back, err = ParsePayload(footed(TypeStreamListpacks, first), ReaderOptions{})
	require.NoError(t, err)
	s = back.Object.(*value.StreamLog)
	require.Equal(t, uint64(4), s.Added)
	require.Equal(t, sid(0, 0), s.MaxDeleted)
	require.Equal(t, sid(10, 0), s.First)
	require.Equal(t, int64(value.StreamReadUnknown), s.Group([]byte("g")).Read)
	require.Equal(t, int64(0), s.Group([]byte("empty")).Read)

	back, err = ParsePayload(footed(TypeStreamListpacks3, third), ReaderOptions{})
	require.NoError(t, err)
	g = back.Object.(*value.StreamLog).Group([]byte("g"))
	bob, _ = g.Find([]byte("bob"))
	alice, _ := g.Find([]byte("alice"))
	require.Equal(t, int64(1600000000000), g.Consumer(bob).Active)
	require.Equal(t, int64(1700000000000), g.Consumer(bob).Seen)
	require.Equal(t, int64(-1), g.Consumer(alice).Active)
}

func TestStreamsThatAreRefused(t *testing.T) {
	good := body(smallStream(), WriterOptions{})
	for cut := range good {
		_, err := ParsePayload(footed(TypeStreamListpacks2, good[:cut]), ReaderOptions{})
		require.ErrorIs(t, err, ErrPayloadData, "cut at %d", cut)
	}
	swap := func(old, new string) []byte {
		require.Equal(t, 1, strings.Count(good, old), "%q", old)
		return footed(TypeStreamListpacks2, strings.Replace(good, old, new, 1))
	}
	id := func(ms, seq uint64) string { return string(sid(ms, seq).AppendBytes(nil)) }
	node := func(ms, seq uint64) string { return "\x10" + id(ms, seq) }
	for name, p := range map[string][]byte{
		"node key":             swap(node(11, 3), "\x0f"+id(11, 3)[:15]),
		"order of nodes":       swap(node(11, 3), node(10, 0)),
		"last id":              swap("\x04\x0c\x04", "\x04\x0c\x03"),
		"length of no entries": footed(TypeStreamListpacks2, "\x00\x01\x0c\x04\x00\x00\x00\x00\x05\x00"),
		"group twice":          swap("\x05empty", "\x01g"),
		"pending twice":        swap("\x02"+id(10, 1), "\x02"+id(11, 2)),
		"pending of nobody":    swap("\x01"+id(10, 1), "\x00"),
		"not pending":          swap("\x01"+id(10, 1), "\x01"+id(10, 7)),
		"consumer twice":       swap("\x05alice", "\x03bob"),
		"of two":               swap("\x01"+id(11, 2), "\x01"+id(10, 1)),
		"many nodes":           footed(TypeStreamListpacks2, "\x81\xff\xff\xff\xff\xff\xff\xff\xff"),
	} {
		_, err := ParsePayload(p, ReaderOptions{})
		require.ErrorIs(t, err, ErrPayloadData, name)
	}
	// A stream of nothing is a stream.
	v, err := ParsePayload(footed(TypeStreamListpacks2, "\x00\x00\x0c\x04\x00\x00\x00\x00\x05\x00"), ReaderOptions{})
	require.NoError(t, err)
	require.Equal(t, sid(12, 4), v.Object.(*value.StreamLog).Last)
}

// What Redis builds command by command is what we build, byte for byte; what it dumps we read and
// write again, byte for byte; what we write it reads.
func TestStreamsAgainstRedis(t *testing.T) {
	if testing.Short() {
		t.Skip()
	}
	ctx := context.Background()
	c := startRedis(t, t.TempDir(), "--rdbcompression", "no")(0)
	do := func(args ...any) any {
		v, err := c.Do(ctx, args...).Result()
		if err != redis.Nil {
			require.NoError(t, err, "%v", args)
		}
		return v
	}
	dump := func() string { return c.Dump(ctx, "k").Val() }
	r := rand.New(rand.NewPCG(5, 5))
	for round := range 12 {
		l := value.DefaultLimits()
		l.StreamEntries, l.StreamBytes = []int{100, 3, 0}[r.IntN(3)], []int{4096, 200, 1000}[r.IntN(3)]
		do("CONFIG", "SET", "stream-node-max-entries", l.StreamEntries, "stream-node-max-bytes", l.StreamBytes)
		do("DEL", "k")
		do("XGROUP", "CREATE", "k", "g", "0", "MKSTREAM")
		do("XGROUP", "DESTROY", "k", "g")
		s := value.NewStream()
		v := &Value{Type: value.Stream, Encoding: value.StreamEncoding, Object: s}
		var ids []value.StreamID
		for range 400 {
			switch k := r.IntN(20); {
			case k < 15 || len(ids) == 0:
				id := sid(s.Last.Ms+r.Uint64N(300), s.Last.Seq+1+r.Uint64N(2)*r.Uint64N(1000))
				var fields [][]byte
				for i := range 1 + r.IntN(3) {
					fields = append(fields, fmt.Append(nil, "f", i+r.IntN(10)/9), []byte([]string{"1", "-129", "8388608", "", "text", strings.Repeat("long", r.IntN(200))}[r.IntN(6)]))
				}
				args := []any{"XADD", "k", string(id.Append(nil))}
				for _, f := range fields {
					args = append(args, f)
				}
				do(args...)
				s.Append(id, fields, &l)
				ids = append(ids, id)
			case k < 19:
				id := ids[r.IntN(len(ids))]
				do("XDEL", "k", string(id.Append(nil)))
				s.Delete(id)
			default:
				n := r.IntN(2*s.Len() + 1)
				do("XTRIM", "k", "MAXLEN", "=", n)
				s.Trim(&value.StreamTrim{MaxLen: uint64(n)})
			}
		}
		require.Equal(t, dump(), string(AppendPayload(nil, v, WriterOptions{})), "round %d", round)

		// Groups: Redis' clock, so only there and back.
		do("XGROUP", "CREATE", "k", "g", "0")
		do("XGROUP", "CREATE", "k", "123", "$", "ENTRIESREAD", "77")
		for i := range 5 {
			do("XREADGROUP", "GROUP", "g", fmt.Sprint("consumer", r.IntN(3)), "COUNT", 1+i*20, "STREAMS", "k", ">")
		}
		do("XREADGROUP", "GROUP", "123", "1", "STREAMS", "k", "0")
		if id, ok := s.LastEntry(); ok {
			do("XACK", "k", "g", string(s.First.Append(nil)), string(id.Append(nil)))
			do("XDEL", "k", string(id.Append(nil)))
		}
		theirs := dump()
		back, err := ParsePayload([]byte(theirs), ReaderOptions{})
		require.NoError(t, err)
		back.Object.(*value.StreamLog).CheckMem()
		require.Equal(t, theirs, string(AppendPayload(nil, &back, WriterOptions{})))
		do("DEL", "k")
		require.NoError(t, c.Restore(ctx, "k", 0, string(AppendPayload(nil, &back, WriterOptions{Compress: true}))).Err())
		require.Equal(t, theirs, dump())
	}
}

// useStream does everything to a stream that has been read: nothing may panic.
func useStream(s *value.StreamLog) {
	s.CheckMem()
	clone := s.Clone().(*value.StreamLog)
	for _, back := range []bool{false, true} {
		n := 0
		for it := s.Range(value.StreamID{}, value.StreamMaxID, back); it.Next(); n++ {
			for range it.N {
				it.Field()
			}
		}
		if n != s.Len() {
			panic("entries are missing")
		}
	}
	if id, ok := s.Last.Next(); ok {
		l := value.DefaultLimits()
		s.Append(id, [][]byte{[]byte("f"), []byte("v")}, &l)
	}
	for s.Len() > 1 {
		s.Delete(s.First)
		s.Trim(&value.StreamTrim{MaxLen: uint64(s.Len() / 2)})
	}
	for len(s.Groups()) > 0 {
		g := s.EditGroup([]byte(s.Groups()[0].Name))
		s.Lag(g)
		for len(g.Consumers()) > 0 {
			if p, ok := g.From(value.StreamID{}, value.StreamNoOwner); ok {
				g.Ack(p.ID)
			}
			g.RemoveConsumer(g.Consumers()[0])
		}
		s.DestroyGroup([]byte(g.Name))
	}
	s.CheckMem()
	clone.CheckMem()
}
