package agent

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/bus"
	"github.com/sextantdb/sextant/cluster/core"
)

func TestNextBeat(t *testing.T) {
	for now, want := range map[core.Mono]core.Mono{0: sampleEvery, 1: sampleEvery, sampleEvery - 1: sampleEvery, sampleEvery: 2 * sampleEvery} {
		require.Equal(t, want, nextBeat(now), now)
	}
}

// silence is a Transport without connections.
type silence struct{}

func (silence) Identify(bus.NodeID, bus.ClusterID) {}
func (silence) SetPeers([]core.Peer)               {}
func (silence) HangUp()                            {}
func (silence) Send(*core.Envelope)                {}
func (silence) Links() []Link                      { return nil }
func (silence) OverLimit() uint64                  { return 0 }

// With a pulse each beat brings one report of the data and one tick of the machine, in the same turn of the loop, though
// no timer of the agent's goes off: its clock stands still between beats.
func TestPulseDrivesTheLoop(t *testing.T) {
	var clock atomic.Int64
	clock.Store(int64(7 * core.Second))
	beat, reports := make(chan time.Time), make(chan core.Mono, 16)
	a, err := Open(Options{Dir: t.TempDir(), File: "nodes.conf", Core: gridConfig(0), Pulse: beat, Clock: func() core.Mono { return core.Mono(clock.Load()) },
		Local: func() core.Local { reports <- core.Mono(clock.Load()); return core.Local{Empty: true} },
		Role:  func(core.RoleChange) {}, Pause: func(core.Pause) {}, Events: func([]core.Event) {}})
	require.NoError(t, err)
	defer a.Close()
	<-reports // Open's
	a.Start(silence{})
	<-reports // the first turn's
	steps := int64(0)
	for range 5 {
		now := clock.Add(int64(sampleEvery))
		beat <- time.Time{}
		require.Equal(t, core.Mono(now), <-reports)
		beat <- time.Time{} // taken when the turn is over; nothing is due
		if steps != 0 {
			require.Equal(t, steps+1, a.stats.steps.Load(), "the report's step is the tick's too")
		}
		steps = a.stats.steps.Load()
	}
	require.Empty(t, reports)
}
