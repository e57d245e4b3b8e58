package core

import (
	"testing"

	"github.com/sextantdb/sextant/store/slot"
)

// One slot given away, at all nodes of six: what redis-cli --cluster rebalance waits for 4,096 times.
func BenchmarkSetSlotNode(b *testing.B) {
	n := newNet(b, 6, 15*Second)
	n.create(3, 1)
	n.run(Second)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		to := n.nodes[1+i%2]
		to.ok(Admin{Kind: AdminSetSlotNode, Slot: slot.Slot(i / 2 % slot.Count), Node: to.id.String()})
	}
}
