package node

import (
	"sync"
	"time"
)

// pulseEvery is the time between two pulses.
const pulseEvery = 100 * time.Millisecond

// pulse is the clock of what the node does ten times a second: its cron, replication's, the agent's look at the data.
// One timer wakes them all at once, and the event loops' ticks come at the same instant (poller.setHz): an idle node
// pays for each time a thread wakes up, whatever it then does. Like those of a time.Ticker its beats are dropped by who
// is behind.
type pulse struct {
	metronome
	ears []chan time.Time // immutable once run runs
	end  sync.Once
}

// hear returns a channel of beats. Before run.
func (p *pulse) hear() <-chan time.Time {
	ear := make(chan time.Time, 1)
	p.ears = append(p.ears, ear)
	return ear
}

// run beats until close.
func (p *pulse) run() {
	for p.wait() {
		now := time.Now()
		for _, ear := range p.ears {
			select {
			case ear <- now:
			default:
			}
		}
	}
}

// close ends run. Any goroutine.
func (p *pulse) close() { p.end.Do(p.stop) }
