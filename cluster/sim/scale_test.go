package sim

import (
	"flag"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/bus"
	"github.com/sextantdb/sextant/cluster/core"
	"github.com/sextantdb/sextant/cluster/topology"
	"github.com/sextantdb/sextant/store/slot"
)

var scaleNodes = flag.Int("sim.scale", 0, "TestScale: measure with so many nodes instead of 100")

// scale is what TestScale measures; the package comment has the table.
type scale struct {
	nodes, links                      int
	formed                            core.Mono
	bytesPerSecond, messagesPerSecond int // a node, idle
	mostBusy                          int // messages per second of the busiest node
	promoted, agreed, failKnown       core.Mono
	cpu                               time.Duration
}

func measure(t *testing.T, n int, timeout core.Mono) (s scale) {
	began := time.Now()
	w := newWorld(Plan{Seed: 1, Primaries: n / 2, Replicas: 1, Tune: func(p *Params) {
		*p = calmParams()
		p.T, p.CountBytes, p.Keys = timeout, true, 8
	}}, false)
	w.check.light = true
	w.net.grow(n)
	for range n {
		p := w.add()
		p.disk.blank = true
		p.start(false)
	}
	ps := w.procs
	lap := func(what string) { // what a phase cost: where a run of many nodes goes on or gets stuck
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		t.Logf("%-8s %6.1f s, virtual %5d ms: %d steps, %d messages of %d MB in all; heap %d MB, %d MB from the system", what, time.Since(began).Seconds(),
			w.now/ms, w.counts.Steps, w.counts.Messages, w.counts.Bytes>>20, m.HeapAlloc>>20, m.Sys>>20)
	}
	for i := range n / 2 {
		ps[i].admin(core.Admin{Kind: core.AdminAddSlots, Slots: slots(i*slot.Count/(n/2), (i+1)*slot.Count/(n/2)-1)})
	}
	for i, p := range ps {
		p.admin(core.Admin{Kind: core.AdminSetConfigEpoch, Epoch: int64(i + 1)})
	}
	start := w.now
	for _, p := range ps[1:] {
		p.admin(core.Admin{Kind: core.AdminMeet, IP: ps[0].ip, Port: 7000, CPort: 17000})
	}
	wait := func(d core.Mono, what string, f func(*proc) bool) core.Mono {
		from := w.now
		for end := w.now + d; ; w.run(20 * ms) {
			all := true
			for _, p := range ps {
				if p.up && (p.view == nil || !f(p)) {
					all = false
					break
				}
			}
			if all {
				return w.now - from
			}
			require.Nil(t, w.bad)
			require.Less(t, w.now, end, what)
		}
	}
	wait(120*core.Second, "everyone knows everyone", func(p *proc) bool { return len(p.view.Nodes) == n && !handshakes(p.view) })
	lap("met")
	for i := n / 2; i < n; i++ {
		ps[i].admin(core.Admin{Kind: core.AdminReplicate, Node: ps[i-n/2].id.String()})
	}
	wait(120*core.Second, "formed, every replica in its set", func(p *proc) bool {
		return p.view.VoterVer > 0 && p.view.State == topology.StateOK && len(p.view.Rec.ISR) == 2
	})
	s.nodes, s.formed = n, w.now-start
	lap("formed")
	// Idle is when the news of the formation has been told: until then every ping carries its share of
	// it, and above 500 nodes 30 s are not enough.
	w.run(60 * core.Second)
	for _, p := range ps {
		k := 0
		for _, c := range p.conns {
			k += b2i(c != nil)
		}
		s.links = max(s.links, k)
		p.sent = 0
	}
	bytes, msgs := w.counts.Bytes, w.counts.Messages
	w.run(10 * core.Second)
	s.bytesPerSecond = int(w.counts.Bytes-bytes) / 10 / n
	s.messagesPerSecond = int(w.counts.Messages-msgs) / 10 / n
	lap("idle")
	for _, p := range ps {
		s.mostBusy = max(s.mostBusy, int(p.sent/10))
	}
	dead, heir := ps[n/4], ps[n/4+n/2]
	died := w.now
	dead.crash(keepNone, 0, true)
	for !heir.serves() {
		require.Less(t, w.now-died, 3*timeout)
		w.run(5 * ms)
	}
	s.promoted = w.now - died
	wait(30*core.Second, "everyone knows the successor", func(p *proc) bool { return p.view.Nodes[index(p.view, heir.id)].SlotCount > 0 })
	s.agreed = w.now - died
	wait(30*core.Second, "everyone knows the failure", func(p *proc) bool { return p.view.Nodes[index(p.view, dead.id)].Health == topology.Failed })
	s.failKnown = w.now - died
	lap("agreed")
	s.cpu = time.Since(began)
	return s
}

func index(v *topology.View, id bus.NodeID) int {
	i, _ := v.Find(id)
	return i
}

func TestScale(t *testing.T) {
	n := *scaleNodes
	if n == 0 {
		if testing.Short() {
			t.Skip("short")
		}
		n = 100
	}
	for _, timeout := range []core.Mono{2 * core.Second} {
		s := measure(t, n, timeout)
		t.Log(fmt.Sprintf("%d nodes, T=%d ms: formed after %d ms; %d links at most; idle %d bytes/s and %d messages/s a node, %d messages/s at the busiest; served again %d ms after the death, one view %d ms, FAIL everywhere %d ms; %.1f s to run",
			s.nodes, timeout/ms, s.formed/ms, s.links, s.bytesPerSecond, s.messagesPerSecond, s.mostBusy, s.promoted/ms, s.agreed/ms, s.failKnown/ms, s.cpu.Seconds()))
		require.Less(t, s.promoted, timeout+timeout/5+200*ms, "about one node timeout")
		require.Less(t, s.agreed, timeout*3/2+core.Second)
		require.Less(t, s.failKnown, 2*timeout+core.Second, "S17")
	}
}
