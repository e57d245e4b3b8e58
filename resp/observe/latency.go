package observe

import (
	"fmt"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
)

// LatencyHistory is how many samples are kept per event.
const LatencyHistory = 160

// MaxLatencyEvents bounds the number of events; their names are constants of the program, so
// more would be a mistake in it.
const MaxLatencyEvents = 64

// Names of the latency events, as in Redis. An event Redis does not have is named by whoever
// measures it.
const (
	EventCommand       = "command"
	EventFastCommand   = "fast-command"
	EventExpireCycle   = "expire-cycle"
	EventEvictionCycle = "eviction-cycle"
	EventEvictionDel   = "eviction-del"
	EventSnapshotCut   = "snapshot-cut" // where Redis has fork
	EventAOFWrite      = "aof-write"
	EventAOFFsync      = "aof-fsync-always"
	EventAOFRename     = "aof-rename"
)

// Latency is the latency monitor: things that took at least latency-monitor-threshold
// milliseconds, by event, one sample (the worst) per second.
//
// # Concurrency
//
// All methods may be called from any goroutine; something that was fast costs one load.
type Latency struct {
	thresholdMs atomic.Int64 // 0: off

	mu     sync.Mutex
	events map[string]*series // guarded by mu
}

// Sample is the worst latency of an event in one second.
type Sample struct{ Unix, Ms int64 }

type series struct {
	samples []Sample // oldest first, at most LatencyHistory
	worstMs int64
}

// NewLatency makes a latency monitor (directive latency-monitor-threshold).
func NewLatency(thresholdMs int64) *Latency {
	l := &Latency{events: map[string]*series{}}
	l.thresholdMs.Store(thresholdMs)
	return l
}

// SetThreshold changes the threshold; 0 is off.
func (l *Latency) SetThreshold(ms int64) { l.thresholdMs.Store(ms) }

// Threshold is the threshold in ms, 0 when off.
func (l *Latency) Threshold() int64 { return l.thresholdMs.Load() }

// Spike reports whether something that took ms is to be noted.
func (l *Latency) Spike(ms int64) bool {
	t := l.thresholdMs.Load()
	return t > 0 && ms >= t
}

// Note records that event took ms at Unix time unix (seconds). Call it when Spike says so.
func (l *Latency) Note(event string, unix, ms int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.events[event]
	if s == nil {
		if len(l.events) >= MaxLatencyEvents {
			return
		}
		s = &series{}
		l.events[event] = s
	}
	s.worstMs = max(s.worstMs, ms)
	if n := len(s.samples); n > 0 && s.samples[n-1].Unix == unix {
		s.samples[n-1].Ms = max(s.samples[n-1].Ms, ms)
		return
	}
	if len(s.samples) == LatencyHistory {
		s.samples = append(s.samples[:0], s.samples[1:]...)
	}
	s.samples = append(s.samples, Sample{unix, ms})
}

// History is the samples of event, oldest first, and the worst since the event was last reset.
func (l *Latency) History(event string) (samples []Sample, worstMs int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.events[event]; s != nil {
		return append(samples, s.samples...), s.worstMs
	}
	return nil, 0
}

// Events are the events with samples, by name.
func (l *Latency) Events() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	names := make([]string, 0, len(l.events))
	for name := range l.events {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// Reset forgets the named events (in any letter case), or all, and returns how many it forgot.
func (l *Latency) Reset(events ...string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name := range l.events {
		hit := len(events) == 0
		for _, e := range events {
			hit = hit || strings.EqualFold(e, name)
		}
		if hit {
			delete(l.events, name)
			n++
		}
	}
	return n
}

// Graph draws the samples of event as LATENCY GRAPH shows them; false when there are none.
func (l *Latency) Graph(event string, nowUnix int64) (string, bool) {
	samples, worst := l.History(event)
	if len(samples) == 0 {
		return "", false
	}
	low, high := samples[0].Ms, samples[0].Ms
	for _, s := range samples {
		low, high = min(low, s.Ms), max(high, s.Ms)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s - high %d ms, low %d ms (all time high %d ms)\n", event, high, low, worst)
	b.WriteString(strings.Repeat("-", graphColumns) + "\n")
	for from := 0; from < len(samples); from += graphColumns {
		drawGraph(&b, samples[from:min(from+graphColumns, len(samples))], low, high, nowUnix)
		b.WriteByte('\n')
	}
	return b.String(), true
}

const (
	graphColumns = 80
	graphRows    = 4
)

// drawGraph draws one column per sample, its label (the age) written downwards below it.
func drawGraph(b *strings.Builder, samples []Sample, low, high, nowUnix int64) {
	// Each row stands for three heights, drawn '_', 'o' and '#', as high as the value lies
	// between the lowest and the highest.
	const perRow = 3
	marks := [perRow]byte{'_', 'o', '#'}
	heights := make([]int, len(samples))
	for i, s := range samples {
		heights[i] = 1
		if high > low {
			heights[i] = 1 + int((s.Ms-low)*(graphRows*perRow-1)/(high-low))
		}
	}
	for row := graphRows - 1; row >= 0; row-- {
		line := make([]byte, len(samples))
		for i, h := range heights {
			switch over := h - row*perRow; {
			case over <= 0:
				line[i] = ' '
			case over > perRow:
				line[i] = '|'
			default:
				line[i] = marks[over-1]
			}
		}
		if text := strings.TrimRight(string(line), " "); text != "" {
			b.WriteString(text + "\n")
		}
	}
	b.WriteByte('\n')
	labels := make([]string, len(samples))
	longest := 0
	for i, s := range samples {
		labels[i] = age(nowUnix - s.Unix)
		longest = max(longest, len(labels[i]))
	}
	for row := range longest {
		line := make([]byte, len(samples))
		for i, label := range labels {
			line[i] = ' '
			if row < len(label) {
				line[i] = label[row]
			}
		}
		b.WriteString(strings.TrimRight(string(line), " ") + "\n")
	}
}

func age(seconds int64) string {
	switch {
	case seconds < 60:
		return fmt.Sprintf("%ds", max(seconds, 0))
	case seconds < 3600:
		return fmt.Sprintf("%dm", seconds/60)
	case seconds < 86400:
		return fmt.Sprintf("%dh", seconds/3600)
	}
	return fmt.Sprintf("%dd", seconds/86400)
}

// advice is what Doctor says about an event, once.
var advice = map[string][]string{
	EventCommand: {
		"Some commands are slow by nature: look at SLOWLOG GET, and lower slowlog-log-slower-than if nothing shows up there.",
		"Operations on very large values hold up everybody else: split such values.",
	},
	EventFastCommand: {
		"Commands that do hardly any work were slow, so the process did not get the processor. Check the load of the machine, CPU limits of the container, and neighbours on the same host.",
	},
	EventExpireCycle: {
		"Many keys expire at the same moment: spread their expiry times, and split very large values.",
	},
	EventEvictionCycle: {
		"Memory was freed by eviction in one go: avoid sudden changes of maxmemory and sudden large writes.",
	},
	EventEvictionDel: {"Very large values were evicted: split them."},
	EventSnapshotCut: {
		"Taking a snapshot's cut waits for the command in progress in every stripe: slow commands make it slow.",
	},
	EventAOFWrite: {
		"Writing the append only file was slow: use a local disk, and look for other programs that write to it.",
	},
	EventAOFFsync: {
		"appendfsync always makes each batch of writes wait for the disk: a faster disk or appendfsync everysec helps.",
	},
	EventAOFRename: {"Renaming a file was slow: look for other programs that write to the same disk."},
}

// Doctor is the report of LATENCY DOCTOR.
func (l *Latency) Doctor(nowUnix int64) string {
	events := l.Events()
	if len(events) == 0 {
		if l.Threshold() == 0 {
			return "The latency monitor is off, so there is nothing to look at. Switch it on with CONFIG SET latency-monitor-threshold <milliseconds>.\n"
		}
		return "No latency spike was seen so far. Nothing to worry about.\n"
	}
	var b strings.Builder
	b.WriteString("Latency spikes were seen:\n\n")
	var advices []string
	for i, name := range events {
		samples, worst := l.History(name)
		if len(samples) == 0 {
			continue
		}
		a := analyze(samples, nowUnix)
		fmt.Fprintf(&b, "%d. %s: %d latency spikes (average %dms, mean deviation %dms, period %.2f sec). Worst all time event %dms.\n",
			i+1, name, len(samples), a.averageMs, a.deviationMs, float64(a.periodSeconds)/float64(len(samples)), worst)
		advices = append(advices, advice[name]...)
	}
	if len(advices) == 0 {
		b.WriteString("\nThere is no ready-made advice for these events.\n")
		return b.String()
	}
	b.WriteString("\nWhat may help:\n\n")
	for _, a := range advices {
		b.WriteString("- " + a + "\n")
	}
	return b.String()
}

type analysis struct{ averageMs, deviationMs, periodSeconds int64 }

// analyze finds the average, the mean deviation from it, and how long ago the oldest sample is.
func analyze(samples []Sample, nowUnix int64) (a analysis) {
	var sum int64
	for _, s := range samples {
		sum += s.Ms
	}
	n := int64(len(samples))
	a.averageMs = sum / n
	sum = 0
	for _, s := range samples {
		sum += max(a.averageMs-s.Ms, s.Ms-a.averageMs)
	}
	a.deviationMs = sum / n
	a.periodSeconds = max(1, nowUnix-samples[0].Unix)
	return a
}
