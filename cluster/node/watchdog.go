package node

import (
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// watchdog is Redis' software watchdog (watchdog-period): when an event loop does not answer for so long, the log gets
// what every goroutine is doing, the event loops first. That is once per hang. Unlike the heart it also tells of
// a script: what a command is busy with is what one switches it on for.
type watchdog struct {
	n  *Node
	mu sync.Mutex
	// stop ends the running round of watching; nil: nobody watches. Guarded by mu.
	stop chan struct{}
}

// set puts a period in force, 0 for none. Like in Redis it is at least two turns of the periodic work.
func (w *watchdog) set(v *Values) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stop != nil {
		close(w.stop)
		w.stop = nil
	}
	if v.WatchdogPeriod == 0 {
		return
	}
	period := time.Duration(max(v.WatchdogPeriod, 2*1000/v.Hz)) * time.Millisecond
	stop := make(chan struct{})
	w.stop = stop
	w.n.goes(func() { w.run(period, stop) })
}

// run watches until stop is closed or the node ends.
func (w *watchdog) run(period time.Duration, stop <-chan struct{}) {
	late := time.NewTimer(0)
	defer late.Stop()
	<-late.C
	for {
		loops := w.n.srv.Loops()
		signs := make(chan struct{}, len(loops))
		for _, l := range loops {
			l.Post(func() { signs <- struct{}{} })
		}
		late.Reset(period)
		for missing := len(loops); missing > 0; {
			select {
			case <-signs:
				missing--
			case <-late.C:
				w.n.log.Warning("--- WATCHDOG TIMER EXPIRED ---\n%s--------", stacks())
			case <-stop:
				return
			case <-w.n.quit:
				return
			}
		}
		late.Reset(period / 4)
		select {
		case <-late.C:
		case <-stop:
			return
		case <-w.n.quit:
			return
		}
	}
}

// maxStackBytes bounds what the watchdog writes of stacks.
const maxStackBytes = 256 << 10

// stacks is what all goroutines are doing, the event loops first.
func stacks() string {
	buf := make([]byte, maxStackBytes)
	all := strings.SplitAfter(string(buf[:runtime.Stack(buf, true)]), "\n\n")
	const loop = "resp/server.(*Loop)"
	slices.SortStableFunc(all, func(a, b string) int {
		first, second := strings.Contains(a, loop), strings.Contains(b, loop)
		switch {
		case first && !second:
			return -1
		case second && !first:
			return 1
		}
		return 0
	})
	return strings.Join(all, "")
}
