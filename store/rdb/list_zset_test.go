package rdb

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/store/value"
)

// inOrder is a list's elements, or a sorted set's members and scores in turn.
func inOrder(v *Value) (all []string) {
	if v.Type == value.List {
		q := value.ListOf(v.Payload, v.Object)
		for it := q.From(0, false); it.Next(); {
			all = append(all, string(it.Element()))
		}
		return all
	}
	z := value.ZSetOf(v.Payload, v.Object)
	for it := z.From(0, false); it.Next(); {
		all = append(all, string(it.Member()), strconv.FormatFloat(it.Score(), 'g', -1, 64))
	}
	return all
}

func listValue(elements ...string) (v Value) {
	l := value.DefaultLimits()
	q := value.NewList(nil)
	for _, s := range elements {
		q.Expect(&l, []byte(s))
		q.Push([]byte(s), false, &l)
	}
	v = Value{Type: value.List, Encoding: value.Listpack, Payload: q.Payload()}
	if o := q.Large(); o != nil {
		v = Value{Type: value.List, Encoding: value.Quicklist, Object: o}
	}
	return v
}

func zsetValue(scores map[string]float64) (v Value) {
	l := value.DefaultLimits()
	z := value.NewZSet(nil, 1, 1, &l)
	for m, s := range scores {
		z.Put([]byte(m), s, &l)
	}
	v.Type = value.ZSet
	_ = v.zset(&z)
	return v
}

func TestOldListsAndSortedSets(t *testing.T) {
	small := value.DefaultLimits()
	small.ListSize, small.ZSetEntries = 3, 2
	zl := func(elements ...string) string { return asString(makeZiplist(elements...)) }
	listpack := listValue("b", "5").Payload
	for _, c := range []struct {
		name    string
		rdbType byte
		body    string
		want    []string
		enc     value.Encoding // with the default limits
		small   value.Encoding // with small ones
	}{
		{"list", TypeList, "\x04\x01a\xc0\x07\x01a\x00", []string{"a", "7", "a", ""}, value.Listpack, value.Quicklist},
		{"ziplist", TypeListZiplist, zl("a", "7", "-70000"), []string{"a", "7", "-70000"}, value.Listpack, value.Listpack},
		{"quicklist", TypeListQuicklist, "\x02" + zl("a", "b") + zl("c", "12345"), []string{"a", "b", "c", "12345"}, value.Listpack, value.Quicklist},
		{"quicklist 2", TypeListQuicklist2, "\x02\x01\x01a\x02" + asString(listpack), []string{"a", "b", "5"}, value.Quicklist, value.Quicklist},
		{"quicklist 2, one node", TypeListQuicklist2, "\x01\x02" + asString(listpack), []string{"b", "5"}, value.Listpack, value.Listpack},
		{"zset", TypeZSet, "\x03\x01a\x011\x01b\x03-.5\x01c\xfe", []string{"b", "-0.5", "a", "1", "c", "+Inf"}, value.Listpack, value.Skiplist},
		{"zset 2", TypeZSet2, "\x01\x01a\x00\x00\x00\x00\x00\x00\xf8\x3f", []string{"a", "1.5"}, value.Listpack, value.Listpack},
		{"zset ziplist", TypeZSetZiplist, zl("a", "1", "13", "1.25", "c", "inf"), []string{"a", "1", "13", "1.25", "c", "+Inf"}, value.Listpack, value.Skiplist},
	} {
		v, err := ParsePayload(footed(c.rdbType, c.body), ReaderOptions{})
		require.NoError(t, err, c.name)
		require.Equal(t, c.want, inOrder(&v), c.name)
		require.Equal(t, c.enc.String(), v.Encoding.String(), c.name)
		v, err = ParsePayload(footed(c.rdbType, c.body), ReaderOptions{Limits: small})
		require.NoError(t, err, c.name)
		require.Equal(t, c.want, inOrder(&v), c.name)
		require.Equal(t, c.small.String(), v.Encoding.String(), c.name)
	}
}

func TestListsAndSortedSetsThatAreRefused(t *testing.T) {
	zl := func(elements ...string) string { return asString(makeZiplist(elements...)) }
	pack := func(elements ...string) string {
		v := listValue(elements...)
		return asString(v.Payload)
	}
	for name, body := range map[string][]byte{
		"empty list":             footed(TypeList, "\x00"),
		"empty ziplist":          footed(TypeListZiplist, zl()),
		"quicklist of nothing":   footed(TypeListQuicklist2, "\x00"),
		"empty nodes":            footed(TypeListQuicklist2, "\x02\x02"+pack()+"\x02"+pack()),
		"one empty node":         footed(TypeListQuicklist2, "\x01\x02"+pack()),
		"unknown node":           footed(TypeListQuicklist2, "\x01\x03"+pack("a")),
		"no listpack":            footed(TypeListQuicklist2, "\x01\x02\x03abc"),
		"fewer nodes":            footed(TypeListQuicklist2, "\x03\x02"+pack("a")),
		"ziplist's tail":         footed(TypeListQuicklist, "\x01"+asString([]byte("\x0f\x00\x00\x00\x0a\x00\x00\x00\x02\x00\x00\xf3\x02\xf6\xff"))),
		"many nodes, no bytes":   footed(TypeListQuicklist2, "\x81\xff\xff\xff\xff\xff\xff\xff\xff"),
		"empty zset":             footed(TypeZSet2, "\x00"),
		"NaN":                    footed(TypeZSet2, "\x01\x01a\x00\x00\x00\x00\x00\x00\xf8\x7f"),
		"old NaN":                footed(TypeZSet, "\x01\x01a\xfd"),
		"no number":              footed(TypeZSet, "\x01\x01a\x02xx"),
		"member twice":           footed(TypeZSet, "\x02\x01a\x011\x01a\x012"),
		"many members, no bytes": footed(TypeZSet2, "\x81\xff\xff\xff\xff\xff\xff\xff\xff"),
		"odd zset ziplist":       footed(TypeZSetZiplist, zl("a", "1", "b")),
		"zset ziplist's score":   footed(TypeZSetZiplist, zl("a", "x")),
		"zset ziplist, twice":    footed(TypeZSetZiplist, zl("a", "1", "a", "2")),
		"empty zset ziplist":     footed(TypeZSetZiplist, zl()),
		"odd zset listpack":      footed(TypeZSetListpack, pack("a", "1", "b")),
		"zset listpack, order":   footed(TypeZSetListpack, pack("a", "2", "b", "1")),
		"zset listpack, twice":   footed(TypeZSetListpack, pack("a", "1", "a", "2")),
		"zset listpack's score":  footed(TypeZSetListpack, pack("a", "x")),
		"empty zset listpack":    footed(TypeZSetListpack, pack()),
	} {
		_, err := ParsePayload(body, ReaderOptions{})
		require.ErrorIs(t, err, ErrPayloadData, name)
	}
}

// Every list and sorted set goes to the real server and back.
func TestListsAndSortedSetsAgainstRedis(t *testing.T) {
	if testing.Short() {
		t.Skip()
	}
	ctx := context.Background()
	c := startRedis(t, t.TempDir())(0)
	r := rand.New(rand.NewPCG(9, 9))
	word := randomWords(r)
	for i := range 120 {
		n := 1 << r.IntN(10)
		var v Value
		if i%2 == 0 {
			elements := make([]string, n)
			for k := range elements {
				elements[k] = word()
			}
			v = listValue(elements...)
		} else {
			scores := map[string]float64{}
			for range n {
				scores[word()] = []float64{float64(r.IntN(100)), r.NormFloat64(), math.Inf(1), math.Inf(-1), 1e300}[r.IntN(5)]
			}
			v = zsetValue(scores)
		}
		require.NoError(t, c.Restore(ctx, "k", 0, string(AppendPayload(nil, &v, WriterOptions{Compress: i%3 == 0}))).Err())
		var got []string
		if v.Type == value.List {
			got = c.LRange(ctx, "k", 0, -1).Val()
		} else {
			for _, z := range c.ZRangeWithScores(ctx, "k", 0, -1).Val() {
				got = append(got, z.Member.(string), strconv.FormatFloat(z.Score, 'g', -1, 64))
			}
			require.Equal(t, v.Encoding.String(), c.ObjectEncoding(ctx, "k").Val())
		}
		require.Equal(t, inOrder(&v), got)
		back, err := ParsePayload([]byte(c.Dump(ctx, "k").Val()), ReaderOptions{})
		require.NoError(t, err)
		require.Equal(t, inOrder(&v), inOrder(&back))
		require.Equal(t, v.Encoding.String(), back.Encoding.String())
		if v.Payload != nil {
			require.Equal(t, v.Payload, back.Payload, "byte for byte")
		}
		require.NoError(t, c.Del(ctx, "k").Err())
	}
	// What Redis itself has built command by command is what we build, byte for byte.
	scores := map[string]float64{}
	for range 100 {
		m, s := fmt.Sprint("m", r.IntN(1000)), float64(r.IntN(100000)-50000)
		scores[m] = s
		require.NoError(t, c.ZAdd(ctx, "z", redis.Z{Score: s, Member: m}).Err())
	}
	v, err := ParsePayload([]byte(c.Dump(ctx, "z").Val()), ReaderOptions{})
	require.NoError(t, err)
	ours := zsetValue(scores)
	require.Equal(t, ours.Payload, v.Payload)
}
