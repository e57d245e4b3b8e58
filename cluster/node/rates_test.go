package node

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRates(t *testing.T) {
	var r rates
	ops := func(x *reading) int64 { return x.ops }
	at, counted := time.Hour, int64(5000) // the counters of a server that runs for long
	rounds, ns := int64(100), int64(9e9)  // whose start was slow
	beat := func(commands, turns, took int64) {
		at, counted, rounds, ns = at+pulseEvery, counted+commands, rounds+turns, ns+took
		r.note(func() reading { return reading{at: at, ops: counted, rounds: rounds, roundNs: ns} })
	}
	require.Zero(t, r.perSecond(ops))
	require.Zero(t, r.roundMicros())
	beat(7, 3, 1)
	require.Zero(t, r.perSecond(ops), "one reading is no span")
	beat(20, 2, 3000)
	require.Equal(t, int64(200), r.perSecond(ops))
	require.Equal(t, int64(2), r.roundMicros(), "rounded up")
	beat(0, 0, 0)
	require.Equal(t, int64(100), r.perSecond(ops))
	for range rateSpan {
		beat(1, 1, 1)
	}
	require.Equal(t, int64(10), r.perSecond(ops), "what was before is over")
	require.Equal(t, int64(1), r.roundMicros())

	// After CONFIG RESETSTAT the counters are smaller than before; nothing is compared across it.
	counted, rounds, ns = 0, 0, 0
	r.forget()
	require.Zero(t, r.perSecond(ops))
	beat(0, 120, 500)
	beat(3, 1, 1200)
	require.Equal(t, int64(30), r.perSecond(ops))
	require.Equal(t, int64(2), r.roundMicros())
}
