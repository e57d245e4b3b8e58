//go:build !linux

package node

import (
	"time"

	"github.com/sextantdb/sextant/cluster/agent"
)

// metronome waits for whole multiples of pulseEvery on the agent's clock.
type metronome struct {
	timer *time.Timer
	over  chan struct{}
}

func (m *metronome) start() error {
	m.timer, m.over = time.NewTimer(0), make(chan struct{})
	return nil
}

// wait returns false after stop.
func (m *metronome) wait() bool {
	m.timer.Reset(pulseEvery - time.Duration(agent.BootTime())%pulseEvery)
	select {
	case <-m.timer.C:
		return true
	case <-m.over:
		return false
	}
}

func (m *metronome) stop() {
	if m.over != nil {
		close(m.over)
	}
}
