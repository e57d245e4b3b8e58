package cluster

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A primary whose event loop hangs is replaced like one that was stopped, though its bus
// answers: the watchdog gives the lease up. What waited at it is not acknowledged, and it comes
// back as a replica with its heir's data.
func TestHungDataPath(t *testing.T) {
	g := newGrid(t, 6, "--cluster-node-timeout", strconv.Itoa(nodeTimeoutMs), "--enable-debug-command", "yes", "--io-threads", "1")
	g.formOurs(1)
	victim := g.nodes[1]
	heir := g.replicaOf(victim)
	probe := ownedKey(t, victim)
	require.Equal(t, "OK", victim.try("SET", probe, "before"))

	c := victim.dial()
	defer c.Close()
	const hang = 8 * time.Second
	pipe := c.Pipeline()
	pipe.Do(context.Background(), "DEBUG", "SLEEP", hang.Seconds())
	late := pipe.Set(context.Background(), probe, "late", 0)
	c.Options().ReadTimeout = 2 * hang
	answered := make(chan struct{})
	began := time.Now()
	go func() {
		defer close(answered)
		_, _ = pipe.Exec(context.Background())
	}()
	served := probeUntilServed(t, heir, probe, began)
	fmt.Printf("hung: slots served again after %v\n", served.Round(time.Millisecond))
	// A quarter of the timeout until it counts as hung, then the timeout.
	assert.LessOrEqual(t, served, servedWithin+nodeTimeoutMs*time.Millisecond/4)
	assert.Less(t, served, hang, "while it hangs")
	heir.eventually(hang/2, "taken for failed", func() bool { // the heir may be elected a little before all agree on it
		return strings.Contains(lineOf(heir.try("CLUSTER", "NODES"), victim.addr()), "fail")
	})

	<-answered
	require.Error(t, late.Err(), "executed after the lease had run out")
	assert.True(t, strings.HasPrefix(late.Err().Error(), "MOVED ") || strings.HasPrefix(late.Err().Error(), "CLUSTERDOWN "), late.Err())
	victim.eventually(30*time.Second, "returned as replica of its heir", func() bool {
		return victim.info("role") == "slave" && victim.info("master_port") == strconv.Itoa(heir.port) && victim.info("master_link_status") == "up"
	})
	assert.Equal(t, "x", heir.try("GET", probe))
	victim.eventually(30*time.Second, "equal data", func() bool {
		d := heir.try("DEBUG", "DIGEST")
		return len(d) == 40 && d == victim.try("DEBUG", "DIGEST")
	})
	victim.eventually(5*time.Second, "taken for alive again", func() bool {
		return !strings.Contains(lineOf(heir.try("CLUSTER", "NODES"), victim.addr()), "fail")
	})
	assert.Contains(t, victim.Out.String(), "the data path has not answered")
}
