package sim

import (
	"container/heap"
	"fmt"

	"github.com/sextantdb/sextant/bus"
	"github.com/sextantdb/sextant/cluster/core"
)

// rng is splitmix64. Each concern has its own, so that taking away a fault or a client does
// not shift what the others draw: that is what makes shrinking work.
type rng struct{ s uint64 }

func mix(v uint64) uint64 {
	v += 0x9e3779b97f4a7c15
	v = (v ^ v>>30) * 0xbf58476d1ce4e5b9
	v = (v ^ v>>27) * 0x94d049bb133111eb
	return v ^ v>>31
}

// stream is the generator of one concern of one seed.
func stream(seed uint64, concern uint64) *rng { return &rng{mix(seed ^ mix(concern))} }

func (r *rng) next() uint64 {
	r.s += 0x9e3779b97f4a7c15
	return mix(r.s)
}

// n draws from [0, k).
func (r *rng) n(k int) int {
	if k <= 1 {
		return 0
	}
	return int(r.next() % uint64(k))
}

// in draws from [lo, hi].
func (r *rng) in(lo, hi core.Mono) core.Mono {
	if hi <= lo {
		return lo
	}
	return lo + core.Mono(r.next()%uint64(hi-lo+1))
}

func (r *rng) pct(p int) bool { return r.n(100) < p }

func pick[T any](r *rng, vs ...T) T { return vs[r.n(len(vs))] }

// The concerns.
const (
	forParams uint64 = iota + 1
	forFaults
	forNet
	forClients
	forNodes // + index
)

type event struct {
	at  core.Mono
	seq uint64
	f   func()
}

type events []event

func (q events) Len() int { return len(q) }
func (q events) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}
func (q events) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *events) Push(x any)   { *q = append(*q, x.(event)) }
func (q *events) Pop() any {
	o := *q
	e := o[len(o)-1]
	o[len(o)-1] = event{}
	*q = o[:len(o)-1]
	return e
}

// World is one run: true time, the event heap, and everything that lives in it.
type World struct {
	plan Plan
	p    Params

	now   core.Mono // true time
	seq   uint64
	q     events
	steps uint64
	hash  uint64 // over everything that left any machine, in order

	procs   []*proc
	ids     map[bus.NodeID]*proc // by the id of each process's last machine
	ips     map[string]*proc
	doubled bool      // two processes have had one name
	both    core.Mono // for how long both served
	bothAt  core.Mono // when both were last seen to serve, 0 = they do not
	net     network
	clients []*client
	next    uint64 // tokens of admin commands, replids
	lastVal uint64 // of the last executed write

	check   checker
	bad     *Violation
	phase   phaseKind
	ordered core.Mono // last order to change the voters
	// assigner was last told, by assigned, to own or to disown slots without an owner.
	assigner *proc
	assigned uint64
	codec    *bus.Codec
	counts   Counts
	trace    []string // the last events of all machines, for reports
	traced   bool
	tap      func(*bus.Msg) // tests look at every message
}

type phaseKind uint8

const (
	forming phaseKind = iota
	faulty
	healed
)

// Counts is what a run did; tests use it to see that runs are not idle.
type Counts struct {
	Steps, Messages, Acked, Reads, Refused, Elections, Handovers, Restarts, Partials, Fulls, LostWrites uint64
	Bytes                                                                                               uint64
	Virtual                                                                                             core.Mono
	ConvergedIn                                                                                         core.Mono
}

// Violation is a broken invariant.
type Violation struct {
	At    core.Mono
	Name  string
	Text  string
	Trace []string
}

func (v *Violation) Error() string {
	return fmt.Sprintf("t=%d ms: %s: %s", v.At/core.Millisecond, v.Name, v.Text)
}

// ofOneProcess are the invariants that a name with two processes breaks by being doubled: each of
// the two has a memory of its own, and for a moment both are listened to by somebody.
var ofOneProcess = map[string]bool{
	"register went back": true, "decided record forgotten": true, "incarnation reused": true, "accepted below a promise": true,
	"two executors in one epoch": true, "executed after a successor": true, "two leased primaries": true,
	"write lost": true, "handover lost a write": true, "two proposers in one epoch": true,
}

// traceKept is how many of the last events a violation shows.
const traceKept = 120

func (w *World) violated(name, format string, args ...any) {
	if w.bad == nil && !(w.doubled && ofOneProcess[name]) {
		w.bad = &Violation{At: w.now, Name: name, Text: fmt.Sprintf(format, args...)}
	}
}

// at runs f after d of true time.
func (w *World) at(d core.Mono, f func()) {
	w.seq++
	heap.Push(&w.q, event{w.now + max(d, 0), w.seq, f})
}

// run advances by d, or until something is violated.
func (w *World) run(d core.Mono) {
	end := w.now + d
	for w.bad == nil && len(w.q) > 0 && w.q[0].at <= end {
		e := heap.Pop(&w.q).(event)
		w.now = e.at
		e.f()
	}
	if w.bad == nil {
		w.now = end
	}
}

// until runs until f holds, at most for d.
func (w *World) until(d core.Mono, f func() bool) bool {
	for end := w.now + d; w.now < end && w.bad == nil; w.run(max(w.p.T/50, 5*core.Millisecond)) {
		if f() {
			return true
		}
	}
	return w.bad == nil && f()
}

func (w *World) token() uint64 {
	w.next++
	return w.next
}

func (w *World) byID(id bus.NodeID) *proc {
	if p := w.ids[id]; p != nil && p.id == id {
		return p
	}
	return nil
}

func (w *World) byIP(ip string) *proc { return w.ips[ip] }

// name is what reports call a node: its process's number.
func (w *World) name(id bus.NodeID) string {
	if id.IsZero() {
		return "-"
	}
	for _, p := range w.procs {
		if p.id == id {
			return fmt.Sprintf("n%d", p.i)
		}
	}
	return id.Short()
}

func (w *World) log(format string, args ...any) {
	if !w.traced {
		return
	}
	w.trace = append(w.trace, fmt.Sprintf("%7.1f ", float64(w.now)/1e6)+fmt.Sprintf(format, args...))
}
