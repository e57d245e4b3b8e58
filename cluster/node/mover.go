package node

import (
	"github.com/sextantdb/sextant/cluster/migrate"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store/slot"
)

// newMover joins MIGRATE to the walk of a request, which does not exist yet.
func (n *Node) newMover() *migrate.Mover {
	return migrate.New(migrate.Options{
		Hold:  func(db int, keys [][]byte) { n.disp.HoldKeys(db, keys) },
		LetGo: func(db int, keys [][]byte) { n.disp.LetKeysGo(db, keys) },
		Unit: func(db int, slots *slot.Set, f func(*command.Ctx)) bool {
			return n.units.Run(nowMs(), db, slots, f)
		},
		Primary:   func() bool { return !n.repl.IsReplica() && !n.stopping.Load() },
		Clustered: n.cfg.Now().ClusterEnabled,
		Compress:  func() bool { return n.cfg.Now().RDBCompression },
		LocalAddr: func() string { return n.cfg.Now().BindSourceAddr },
	})
}
