package observe

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// Bounds of what the slow log keeps of one call.
const (
	SlowMaxArgs     = 32
	SlowMaxArgBytes = 128
)

// Slowlog is the bounded list of calls that took longer than slowlog-log-slower-than.
//
// # Concurrency
//
// All methods may be called from any goroutine; a call that was not slow costs one load.
type Slowlog struct {
	slowerUs atomic.Int64 // log calls of at least this many µs; negative: none
	off      atomic.Bool  // maxLen is 0

	mu      sync.Mutex
	maxLen  int64       // guarded by mu
	entries []SlowEntry // guarded by mu; oldest first
	nextID  int64       // guarded by mu
}

// SlowEntry is one logged call.
type SlowEntry struct {
	ID     int64
	Unix   int64 // seconds
	Micros int64
	Argv   []string // trimmed
	Client string   // address
	Name   string   // of the client
}

// NewSlowlog makes a slow log (directives slowlog-log-slower-than and slowlog-max-len).
func NewSlowlog(slowerUs, maxLen int64) *Slowlog {
	s := &Slowlog{maxLen: maxLen}
	s.slowerUs.Store(slowerUs)
	s.off.Store(maxLen == 0)
	return s
}

// SetSlower and SetMaxLen change the directives' values.
func (s *Slowlog) SetSlower(us int64) { s.slowerUs.Store(us) }

// SetMaxLen drops the oldest entries when there are more than n.
func (s *Slowlog) SetMaxLen(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.maxLen = n
	s.off.Store(n == 0)
	s.trimLocked()
}

// Slower is the threshold in µs; negative when the slow log is off.
func (s *Slowlog) Slower() int64 { return s.slowerUs.Load() }

// Slow reports whether a call of this many µs is to be logged.
func (s *Slowlog) Slow(us int64) bool {
	limit := s.slowerUs.Load()
	return limit >= 0 && us >= limit && !s.off.Load()
}

// Add logs a call. The words are copied and trimmed as Redis trims them.
func (s *Slowlog) Add(unix, us int64, argv [][]byte, client, name string) {
	e := SlowEntry{Unix: unix, Micros: us, Client: client, Name: name, Argv: trimArgs(argv)}
	s.mu.Lock()
	defer s.mu.Unlock()
	e.ID = s.nextID
	s.nextID++
	s.entries = append(s.entries, e)
	s.trimLocked()
}

func (s *Slowlog) trimLocked() {
	if extra := int64(len(s.entries)) - s.maxLen; extra > 0 {
		clear(s.entries[:extra])
		s.entries = s.entries[extra:]
	}
}

func trimArgs(argv [][]byte) []string {
	kept := argv
	if len(kept) > SlowMaxArgs {
		kept = kept[:SlowMaxArgs-1]
	}
	out := make([]string, 0, min(len(argv), SlowMaxArgs))
	for _, a := range kept {
		if len(a) > SlowMaxArgBytes {
			out = append(out, fmt.Sprintf("%s... (%d more bytes)", a[:SlowMaxArgBytes], len(a)-SlowMaxArgBytes))
		} else {
			out = append(out, string(a))
		}
	}
	if len(kept) < len(argv) {
		out = append(out, fmt.Sprintf("... (%d more arguments)", len(argv)-len(kept)))
	}
	return out
}

// Get returns up to n entries, newest first; all when n is negative.
func (s *Slowlog) Get(n int64) []SlowEntry {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n < 0 || n > int64(len(s.entries)) {
		n = int64(len(s.entries))
	}
	out := make([]SlowEntry, n)
	for i := range out {
		out[i] = s.entries[len(s.entries)-1-i]
	}
	return out
}

// Len is the number of entries.
func (s *Slowlog) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.entries)
}

// Reset empties the log. Ids go on.
func (s *Slowlog) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries = nil
}
