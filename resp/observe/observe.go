// Package observe watches commands go by: per-command statistics with latency histograms,
// error counts, the slow log, the latency monitor and the feed of MONITOR. Dispatch reports
// to it, the admin family and INFO show what it kept. It must not know the command table,
// clients or sockets: commands are dense numbers with names given at construction, clients
// are addresses in text, time is an argument.
package observe

import (
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sextantdb/sextant/store/stat"
)

// Commands are the per-command statistics of a node. Every event loop counts into a Shard of
// its own, so that counting is an uncontended add; reading adds the shards up.
//
// # Concurrency
//
// Everything may be called from any goroutine, but a Shard is cheap only while one goroutine
// at a time counts into it.
type Commands struct {
	names    []string     // by command id; immutable
	shards   []*Shard     // immutable
	tracking atomic.Bool  // latency-tracking
	percents atomic.Value // []float64: latency-tracking-info-percentiles
	replies  atomic.Int64 // error replies of all codes
	errors   errorCounts
}

// Shard is what one event loop counts.
type Shard struct {
	all  *Commands
	cmds []counters // by command id
	_    [64]byte   // the next shard's header lies on another cache line
}

type counters struct {
	calls, nanos, rejected, failed atomic.Int64
	hist                           atomic.Pointer[Histogram]
}

// DefaultPercentiles are those of Redis: p50, p99 and p99.9.
var defaultPercentiles = []float64{50, 99, 99.9}

// NewCommands makes the statistics of commands with the given lower-case full names
// ("get", "config|get"), for a number of event loops (and whoever else counts).
func NewCommands(names []string, shards int) *Commands {
	c := &Commands{names: names}
	c.tracking.Store(true)
	c.percents.Store(defaultPercentiles)
	c.errors.known.Store(&map[string]*atomic.Int64{})
	for range shards {
		c.shards = append(c.shards, &Shard{all: c, cmds: make([]counters, len(names))})
	}
	return c
}

// Shard is the shard of loop i.
func (c *Commands) Shard(i int) *Shard { return c.shards[i] }

// SetTracking switches the latency histograms on or off (latency-tracking). What they hold stays, as in Redis; INFO
// does not show it while they are off.
func (c *Commands) SetTracking(on bool) { c.tracking.Store(on) }

// SetPercentiles sets the percentiles INFO latencystats shows (latency-tracking-info-percentiles).
func (c *Commands) SetPercentiles(p []float64) {
	c.percents.Store(append([]float64{}, p...))
}

// Done counts one executed call of command id that took nanos; failed says it answered an error.
func (s *Shard) Done(id int, nanos int64, failed bool) {
	k := &s.cmds[id]
	k.calls.Add(1)
	k.nanos.Add(nanos)
	if failed {
		k.failed.Add(1)
	}
	if s.all.tracking.Load() {
		h := k.hist.Load()
		if h == nil {
			// Whoever comes second takes what the first has put there.
			k.hist.CompareAndSwap(nil, new(Histogram))
			if h = k.hist.Load(); h == nil {
				return // Reset came in between
			}
		}
		h.Record(nanos)
	}
}

// Rejected counts a call that was refused before it was executed.
func (s *Shard) Rejected(id int) { s.cmds[id].rejected.Add(1) }

// Failed counts an execution that failed without being Done by itself (a command inside a script).
func (s *Shard) Failed(id int) { s.cmds[id].failed.Add(1) }

// Stat is what is known about one command.
type Stat struct{ Calls, Micros, Rejected, Failed int64 }

// Stat adds up what the shards counted for command id.
func (c *Commands) Stat(id int) (t Stat) {
	var nanos int64
	for _, s := range c.shards {
		k := &s.cmds[id]
		t.Calls += k.calls.Load()
		nanos += k.nanos.Load()
		t.Rejected += k.rejected.Load()
		t.Failed += k.failed.Load()
	}
	t.Micros = nanos / 1000
	return t
}

// Calls is the number of calls of all commands (total_commands_processed).
func (c *Commands) Calls() (n int64) {
	for _, s := range c.shards {
		for i := range s.cmds {
			n += s.cmds[i].calls.Load()
		}
	}
	return n
}

// Latency is the histogram of command id over all shards, nil when it has no samples.
func (c *Commands) Latency(id int) *Histogram {
	var sum *Histogram
	for _, s := range c.shards {
		if h := s.cmds[id].hist.Load(); h != nil {
			if sum == nil {
				sum = new(Histogram)
			}
			sum.add(h)
		}
	}
	return sum
}

// CountError counts an error reply by its code, the first word ("ERR", "MOVED"). invented says that it may be a
// script's own: of those only so many are counted one by one.
func (c *Commands) CountError(code string, invented bool) {
	c.replies.Add(1)
	c.errors.count(code, invented)
}

// ErrorReplies is the number of error replies (total_error_replies).
func (c *Commands) ErrorReplies() int64 { return c.replies.Load() }

// Reset forgets everything (CONFIG RESETSTAT).
func (c *Commands) Reset() {
	for _, s := range c.shards {
		for i := range s.cmds {
			k := &s.cmds[i]
			k.calls.Store(0)
			k.nanos.Store(0)
			k.rejected.Store(0)
			k.failed.Store(0)
			k.hist.Store(nil)
		}
	}
	c.replies.Store(0)
	c.errors.reset()
}

// RegisterCommandstats, RegisterErrorstats and RegisterLatencystats add the rows of these
// INFO sections; CONFIG RESETSTAT resets them all through the first.
func (c *Commands) RegisterCommandstats(s *stat.Section) {
	s.OnReset(c.Reset)
	s.Rows("calls, time and refusals of every command called so far", func(emit func(name, value string)) {
		for id, name := range c.names {
			t := c.Stat(id)
			if t == (Stat{}) {
				continue
			}
			perCall := 0.0
			if t.Calls > 0 {
				perCall = float64(t.Micros) / float64(t.Calls)
			}
			emit("cmdstat_"+infoName(name), "calls="+strconv.FormatInt(t.Calls, 10)+
				",usec="+strconv.FormatInt(t.Micros, 10)+
				",usec_per_call="+strconv.FormatFloat(perCall, 'f', 2, 64)+
				",rejected_calls="+strconv.FormatInt(t.Rejected, 10)+
				",failed_calls="+strconv.FormatInt(t.Failed, 10))
		}
	})
}

// RegisterErrorstats: see RegisterCommandstats.
func (c *Commands) RegisterErrorstats(s *stat.Section) {
	s.Rows("error replies by code", func(emit func(name, value string)) {
		known := *c.errors.known.Load()
		codes := make([]string, 0, len(known))
		for code := range known {
			codes = append(codes, code)
		}
		sort.Strings(codes)
		for _, code := range codes {
			if n := known[code].Load(); n > 0 {
				emit("errorstat_"+infoName(code), "count="+strconv.FormatInt(n, 10))
			}
		}
	})
}

// RegisterLatencystats: see RegisterCommandstats.
func (c *Commands) RegisterLatencystats(s *stat.Section) {
	s.Rows("percentiles of the time commands took, in microseconds", func(emit func(name, value string)) {
		if !c.tracking.Load() {
			return
		}
		percents := c.percents.Load().([]float64)
		for id, name := range c.names {
			h := c.Latency(id)
			if h == nil {
				continue
			}
			parts := make([]string, len(percents))
			for i, p := range percents {
				parts[i] = "p" + strconv.FormatFloat(p, 'f', -1, 64) + "=" +
					strconv.FormatFloat(float64(h.Percentile(p))/1000, 'f', 3, 64)
			}
			emit("latency_percentiles_usec_"+infoName(name), strings.Join(parts, ","))
		}
	})
}

// infoName replaces what would break an INFO line.
func infoName(s string) string {
	if strings.ContainsAny(s, "#:\n\r") {
		return strings.NewReplacer("#", "_", ":", "_", "\n", "_", "\r", "_").Replace(s)
	}
	return s
}

// MaxErrorCodes bounds the error codes that are counted one by one: scripts can invent any
// number of them. The rest of those is counted under ErrorOverflow; ours are few.
const (
	MaxErrorCodes = 128
	ErrorOverflow = "ERRORSTATS_OVERFLOW"
)

// errorCounts counts by code. The map is replaced whole when a code appears for the first
// time, so that counting takes no lock.
type errorCounts struct {
	known atomic.Pointer[map[string]*atomic.Int64]

	mu sync.Mutex // orders replacements of known
}

func (e *errorCounts) count(code string, invented bool) {
	n := (*e.known.Load())[code]
	if n == nil {
		n = e.learn(code, invented)
	}
	n.Add(1)
}

func (e *errorCounts) learn(code string, invented bool) *atomic.Int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	old := *e.known.Load()
	if n := old[code]; n != nil {
		return n
	}
	if invented && len(old) >= MaxErrorCodes {
		code = ErrorOverflow
		if n := old[code]; n != nil {
			return n
		}
	}
	next := make(map[string]*atomic.Int64, len(old)+1)
	for k, v := range old {
		next[k] = v
	}
	n := new(atomic.Int64)
	next[strings.Clone(code)] = n
	e.known.Store(&next)
	return n
}

func (e *errorCounts) reset() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.known.Store(&map[string]*atomic.Int64{})
}

// Micros is the time all calls took, in µs.
func (c *Commands) Micros() (us int64) {
	for id := range c.names {
		us += c.Stat(id).Micros
	}
	return us
}
