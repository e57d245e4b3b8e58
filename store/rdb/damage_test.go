package rdb

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What no writer writes is refused with the reason that Redis logs.
func TestPayloadsThatNoWriterWrites(t *testing.T) {
	for _, c := range []struct {
		rdbType byte
		body    string
		says    string
	}{
		{TypeListQuicklist2, "\x01\x01\x00", "Quicklist node of no bytes."},
		{TypeListQuicklist2, "\x01\x02\x00", "Quicklist node of no bytes."},
		{TypeHashZipmap, asString([]byte("\x00\xff")), "Zipmap integrity check failed."},
	} {
		_, err := ParsePayload(footed(c.rdbType, c.body), ReaderOptions{})
		require.ErrorIs(t, err, ErrPayloadData)
		require.ErrorContains(t, err, c.says)
	}
}

func TestEmptyKeysAreNamed(t *testing.T) {
	file := "REDIS0010\x02\x03set\x00\x01\x04list\x00\x00\x01k\x01v\xff"
	var skipped []string
	r := NewReader(strings.NewReader(file+strings.Repeat("\x00", 8)), ReaderOptions{Databases: 1, SkipChecksum: true,
		Skipped: func(key []byte) { skipped = append(skipped, string(key)) }})
	var rec Record
	keys := []string{}
	for {
		require.NoError(t, r.Next(&rec))
		if rec.Kind == KindEnd {
			break
		}
		if rec.Kind == KindKey {
			keys = append(keys, string(rec.Key))
		}
	}
	require.Equal(t, []string{"k"}, keys)
	require.Equal(t, []string{"set", "list"}, skipped)
	require.Equal(t, int64(2), r.EmptySkipped())
}
