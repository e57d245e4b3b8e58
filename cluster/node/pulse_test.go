package node

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/cluster/agent"
)

// Beats come right behind whole multiples of the period, to everybody who hears, and nobody who does not take them holds
// up the others.
func TestPulse(t *testing.T) {
	var p pulse
	require.NoError(t, p.start())
	ear, deaf := p.hear(), p.hear()
	ended := make(chan struct{})
	go func() { defer close(ended); p.run() }()
	<-ear // the first may be out of time
	soonest := pulseEvery
	for range 10 {
		<-ear
		soonest = min(soonest, time.Duration(agent.BootTime())%pulseEvery)
	}
	require.Less(t, soonest, pulseEvery/4, "the clock when a beat came, beyond a multiple")
	require.Len(t, deaf, 1)
	p.close()
	<-ended
	p.close()
}
