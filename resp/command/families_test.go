package command_test

import (
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

// complete are the groups of which every command of 7.2 must be entered, but for those in
// elsewhere.
var complete = []command.Group{command.String, command.Bitmap, command.HyperLogLog, command.Geo, command.Hash, command.Set, command.List, command.SortedSet, command.Stream, command.Generic, command.Transactions, command.Scripting, command.Connection, command.Pubsub}

// elsewhere are commands of complete groups that no family above has, and where they are.
var elsewhere = map[string]string{
	"MIGRATE": "cluster/migrate",
	"WAIT":    "cluster/repl", "WAITAOF": "cluster/repl",
}

// differences are the columns of an entry that are meant to differ from 7.2, and why.
var differences = map[string]string{}

const timed = "fields that expire: Redis 7.4 and 8.0, Valkey 9.0 and 9.1"

// ours are commands that 7.2 does not have, and why we have them.
var ours = map[string]string{
	"MSETEX":  "Redis 8.4 and Valkey 9.1 have it",
	"DELIFEQ": "Valkey 9.0 has it",
	"XDELEX":  "Redis 8.2 and Valkey 9.2 have it",
	"XACKDEL": "Redis 8.2 and Valkey 9.2 have it",

	"HEXPIRE": timed, "HPEXPIRE": timed, "HEXPIREAT": timed, "HPEXPIREAT": timed, "HTTL": timed, "HPTTL": timed,
	"HEXPIRETIME": timed, "HPEXPIRETIME": timed, "HPERSIST": timed, "HGETEX": timed, "HGETDEL": timed, "HSETEX": timed,
}
