package node

import (
	"math/rand/v2"

	"github.com/sextantdb/sextant/cluster/migrate"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/command/bitmap"
	"github.com/sextantdb/sextant/resp/command/geo"
	"github.com/sextantdb/sextant/resp/command/hash"
	"github.com/sextantdb/sextant/resp/command/hll"
	lists "github.com/sextantdb/sextant/resp/command/list"
	"github.com/sextantdb/sextant/resp/command/pubsub"
	sets "github.com/sextantdb/sextant/resp/command/set"
	"github.com/sextantdb/sextant/resp/command/sorting"
	streams "github.com/sextantdb/sextant/resp/command/stream"
	"github.com/sextantdb/sextant/resp/command/zset"
	values "github.com/sextantdb/sextant/store/value"
)

// collections are what the families of hashes, sets and the like ask for. To add one: a field,
// a line in commands, and its settings below.
type collections struct {
	hash hash.Options
	set  sets.Options
	list lists.Options
	zset zset.Options
	bits bitmap.Options
	hll  hll.Options
	geo  geo.Options
	sort sorting.Options

	stream streams.Options
	pub    pubsub.Deps
	mover  *migrate.Mover // nil in a table that is only read
}

func (c collections) commands() [][]command.Command {
	zsets := zset.Commands(c.zset)
	c.geo.ZAdd = command.Handler(zsets, "ZADD")
	return [][]command.Command{
		hash.Commands(c.hash),
		sets.Commands(c.set),
		lists.Commands(c.list), lists.Blocking(c.list),
		zsets, zset.Blocking(c.zset),
		bitmap.Commands(c.bits),
		hll.Commands(c.hll),
		geo.Commands(c.geo),
		sorting.Commands(c.sort),
		streams.Commands(c.stream),
		pubsub.Commands(c.pub),
		migrate.Commands(c.mover),
	}
}

func (n *Node) collections() collections {
	return collections{
		mover: n.mover,
		hash:  hash.Options{Limits: n.limits, Rand: rand.Uint64},
		set: sets.Options{
			Limits: n.limits, Rand: rand.Uint64,
			LazyServerDel: func() bool { return n.cfg.Now().LazyfreeLazyServerDel },
		},
		list: lists.Options{Limits: n.limits},
		zset: zset.Options{Limits: n.limits, Rand: rand.Uint64},
		bits: bitmap.Options{MaxBulk: n.maxBulk},
		hll:  hll.Options{SparseMax: func() int { return int(n.cfg.Now().HLLSparseMaxBytes) }, Rand: rand.Uint64},
		geo:  geo.Options{Limits: n.limits},
		sort: sorting.Options{Cluster: n.cfg.Now().ClusterEnabled, Limits: n.limits},

		stream: streams.Options{Limits: n.limits},
		pub:    n.pubsubDeps(),
	}
}

func (n *Node) maxBulk() int64 { return n.cfg.Now().ProtoMaxBulkLen }

// limits are what limitsOf says now.
func (n *Node) limits() *values.Limits { return n.limitsNow.from(n.cfg.Now(), limitsOf) }

// limitsOf are the sizes up to which collections are kept compact.
func limitsOf(v *Values) values.Limits {
	return values.Limits{
		HashEntries: int(v.HashMaxListpackEntries), HashValue: int(v.HashMaxListpackValue),
		SetIntset: int(v.SetMaxIntsetEntries), SetEntries: int(v.SetMaxListpackEntries), SetValue: int(v.SetMaxListpackValue),
		ZSetEntries: int(v.ZSetMaxListpackEntries), ZSetValue: int(v.ZSetMaxListpackValue),
		ListSize:    int(v.ListMaxListpackSize),
		StreamBytes: int(v.StreamNodeMaxBytes), StreamEntries: int(v.StreamNodeMaxEntries),
	}
}
