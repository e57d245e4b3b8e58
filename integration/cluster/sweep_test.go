package cluster

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/store/slot"
)

// TestKeysOfALostSlotGo: when a slot goes to another shard with keys still in it, the old owner
// and its replica delete them, so that they cannot come back stale with the slot.
func TestKeysOfALostSlotGo(t *testing.T) {
	g := newGrid(t, 6, "--cluster-node-timeout", "5000")
	g.formOurs(1)
	old, next := g.nodes[0], g.nodes[1]
	key := ownedKey(t, old)
	for i := range 200 {
		require.Equal(t, "OK", old.try("SET", "{"+key+"}"+strconv.Itoa(i), i))
	}
	other := ""
	for i := 0; other == ""; i++ {
		if k := "other:" + strconv.Itoa(i); slot.OfString(k) != slot.OfString(key) && old.try("SET", k, "stays") == "OK" {
			other = k
		}
	}
	id := strings.TrimSpace(next.try("CLUSTER", "MYID"))
	require.Equal(t, "OK", next.try("CLUSTER", "SETSLOT", int(slot.OfString(key)), "NODE", id))
	for _, n := range []*process{old, g.replicaOf(old)} {
		n.eventually(10*time.Second, "only the key of the slot that stayed", func() bool { return n.try("DBSIZE") == "1" })
	}
	require.Equal(t, "stays", old.try("GET", other))
	require.Equal(t, "(nil)", next.try("GET", "{"+key+"}1"))
}
