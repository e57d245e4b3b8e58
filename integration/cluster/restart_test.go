package cluster

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestEmptyPrimaryDoesNotEmptyItsReplica: a primary that is killed and comes back at once, long
// before its node timeout, without its data (and in the second case without its identity), must
// neither serve emptiness nor give it to its replica, which has the data (PROTOCOL H5).
func TestEmptyPrimaryDoesNotEmptyItsReplica(t *testing.T) {
	for _, c := range []struct {
		name string
		lose []string
	}{{"data lost", []string{"dump.rdb"}}, {"data and state lost", []string{"dump.rdb", "nodes.conf"}}} {
		t.Run(c.name, func(t *testing.T) {
			g := newGrid(t, 6, "--cluster-node-timeout", "2000", "--save", "")
			g.formOurs(1)
			victim := g.nodes[0]
			heir := g.replicaOf(victim)
			key := ownedKey(t, victim)
			require.Equal(t, "OK", victim.try("SET", key, "precious"))
			require.Equal(t, "1", victim.try("WAIT", 1, 5000))

			victim.kill()
			for _, name := range c.lose {
				_ = os.Remove(filepath.Join(victim.dir, name)) // there may have been no snapshot
			}
			victim.launch()
			heir.eventually(15*time.Second, "leads with the data", func() bool {
				return heir.info("role") == "master" && heir.try("GET", key) == "precious"
			})
			assert.Equal(t, "1", heir.try("DBSIZE"))
			if len(c.lose) == 1 { // it still knows who it is, and returns as a replica
				victim.eventually(15*time.Second, "is a replica with the data", func() bool {
					return victim.info("master_port") == strconv.Itoa(heir.port) && victim.try("DBSIZE") == "1"
				})
			}
		})
	}
}
