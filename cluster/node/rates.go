package node

import (
	"sync"
	"time"
)

// reading is what the counters behind the instantaneous metrics showed at one time.
type reading struct {
	at                            time.Duration // since any fixed time
	ops, in, out, replIn, replOut int64
	rounds, roundNs               int64
}

// rateSpan is over how many beats the metrics are taken: 1.6 s, as in Redis.
const rateSpan = 16

// rates are the readings of the last beats.
type rates struct {
	mu   sync.Mutex // guards all below
	last [rateSpan + 1]reading
	n    int // readings since the last forget, the newest at last[(n-1)%len(last)]
}

// note adds a reading.
func (r *rates) note(read func() reading) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last[r.n%len(r.last)] = read()
	r.n++
}

// forget drops the readings: CONFIG RESETSTAT has reset the counters, and no span may have that in it.
func (r *rates) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n = 0
}

// over tells by how much a number grew between the oldest and the newest reading, and how much another one did.
func (r *rates) over(of, by func(*reading) int64) (grown, span int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.n < 2 {
		return 0, 0
	}
	newest := &r.last[(r.n-1)%len(r.last)]
	oldest := &r.last[max(0, r.n-len(r.last))%len(r.last)]
	return of(newest) - of(oldest), by(newest) - by(oldest)
}

// perSecond is how fast a number grows.
func (r *rates) perSecond(of func(*reading) int64) int64 {
	grown, span := r.over(of, func(x *reading) int64 { return int64(x.at) })
	return int64(float64(grown) * float64(time.Second) / float64(max(1, span)))
}

// roundMicros is how long a round of an event loop takes, rounded up.
func (r *rates) roundMicros() int64 {
	ns, rounds := r.over(func(x *reading) int64 { return x.roundNs }, func(x *reading) int64 { return x.rounds })
	return (ns/max(1, rounds) + 999) / 1000
}

// reading reads the counters.
func (n *Node) reading() reading {
	net, repl := &n.srv.Stats, &n.repl.Counters
	return reading{
		at: time.Since(n.started), ops: n.disp.Commands(), in: net.NetInput.Load(), out: net.NetOutput.Load(),
		replIn: repl.InputBytes.Load(), replOut: repl.OutputBytes.Load(), rounds: net.Rounds.Load(), roundNs: net.RoundNs.Load(),
	}
}
