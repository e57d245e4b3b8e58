package command_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/command/admin"
	"github.com/sextantdb/sextant/resp/command/bitmap"
	"github.com/sextantdb/sextant/resp/command/conn"
	"github.com/sextantdb/sextant/resp/command/generic"
	"github.com/sextantdb/sextant/resp/command/geo"
	"github.com/sextantdb/sextant/resp/command/hash"
	"github.com/sextantdb/sextant/resp/command/hll"
	lists "github.com/sextantdb/sextant/resp/command/list"
	"github.com/sextantdb/sextant/resp/command/pubsub"
	"github.com/sextantdb/sextant/resp/command/script"
	"github.com/sextantdb/sextant/resp/command/set"
	"github.com/sextantdb/sextant/resp/command/sorting"
	"github.com/sextantdb/sextant/resp/command/str"
	"github.com/sextantdb/sextant/resp/command/stream"
	"github.com/sextantdb/sextant/resp/command/txn"
	"github.com/sextantdb/sextant/resp/command/zset"
)

// families are all families whose entries the tests here look at: add yours.
func families() [][]command.Command {
	no := func() bool { return false }
	return [][]command.Command{
		str.Commands(str.Options{MaxBulk: func() int64 { return 512 << 20 }, LazyExpire: no}),
		generic.Commands(generic.Options{LFU: no, Compress: no, LazyExpire: no, LazyServerDel: no}),
		bitmap.Commands(bitmap.Options{}),
		hll.Commands(hll.Options{}),
		geo.Commands(geo.Options{}),
		sorting.Commands(sorting.Options{}),
		hash.Commands(hash.Options{}),
		set.Commands(set.Options{}),
		lists.Commands(lists.Options{}), lists.Blocking(lists.Options{}),
		zset.Commands(zset.Options{}), zset.Blocking(zset.Options{}),
		stream.Commands(stream.Options{}),
		script.Commands(script.Deps{}),
		txn.Commands(),
		pubsub.Commands(pubsub.Deps{}),
		conn.Commands(conn.Deps{}),
		admin.Commands(admin.Deps{}),
	}
}

func table(t *testing.T) *command.Table {
	tab, err := command.New(nil, families()...)
	require.NoError(t, err)
	return tab
}
