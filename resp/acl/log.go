package acl

import "sync"

// Reason is why something was refused. A greater one says more: the command was allowed, a key
// was not.
type Reason uint8

const (
	Allowed Reason = iota
	DeniedCommand
	DeniedKey
	DeniedAuth
	DeniedChannel
	numReasons
)

var reasonNames = [numReasons]string{DeniedCommand: "command", DeniedKey: "key", DeniedAuth: "auth", DeniedChannel: "channel"}

func (r Reason) String() string { return reasonNames[r] }

// Context is where it happened.
type Context uint8

const (
	TopLevel Context = iota
	InMulti
	InScript
)

var contextNames = [...]string{"toplevel", "multi", "lua"}

func (c Context) String() string { return contextNames[c] }

// Denial is one refusal.
type Denial struct {
	Reason  Reason
	Context Context
	Object  string // the command, key or channel
	User    string // whoever the client is, or wanted to be
}

// Entry is one line of the log: a refusal and those like it.
type Entry struct {
	Denial
	Count     int64
	ID        int64
	Client    string // the line of CLIENT LIST of the last client it happened to
	CreatedMs int64  // Unix time
	UpdatedMs int64
}

// Log keeps the last refusals, the newest first.
type Log struct {
	mu      sync.Mutex
	entries []*Entry // guarded by mu; the newest first
	nextID  int64    // guarded by mu
	max     int      // guarded by mu: acllog-max-len
	counts  [numReasons]int64
}

// How far a refusal is looked for, and how old it may be, to be counted with an earlier one.
const (
	groupWithin   = 10
	groupWithinMs = 60000
)

// NewLog returns an empty log that keeps up to max entries.
func NewLog(max int) *Log { return &Log{max: max} }

// SetMax changes how many entries are kept, from the next refusal on.
func (l *Log) SetMax(max int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.max = max
}

func (l *Log) trim() {
	if len(l.entries) > l.max {
		clear(l.entries[l.max:])
		l.entries = l.entries[:l.max]
	}
}

// Add records d, which happened at nowMs to client.
func (l *Log) Add(d Denial, client string, nowMs int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[d.Reason]++
	if l.max == 0 {
		l.trim()
		return
	}
	for i, e := range l.entries[:min(groupWithin, len(l.entries))] {
		if age := nowMs - e.UpdatedMs; e.Denial != d || age > groupWithinMs || age < -groupWithinMs {
			continue
		}
		e.Count++
		e.Client, e.UpdatedMs = client, nowMs
		copy(l.entries[1:i+1], l.entries[:i])
		l.entries[0] = e
		return
	}
	e := &Entry{Denial: d, Count: 1, ID: l.nextID, Client: client, CreatedMs: nowMs, UpdatedMs: nowMs}
	l.nextID++
	l.entries = append([]*Entry{e}, l.entries...)
	l.trim()
}

// Entries are copies of the newest entries, at most n.
func (l *Log) Entries(n int) []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]Entry, max(0, min(n, len(l.entries))))
	for i := range out {
		out[i] = *l.entries[i]
	}
	return out
}

// Reset forgets all entries.
func (l *Log) Reset() {
	l.mu.Lock()
	l.entries = nil
	l.mu.Unlock()
}

// Count is how many refusals for this reason there were.
func (l *Log) Count(r Reason) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts[r]
}

// ResetCounts is CONFIG RESETSTAT.
func (l *Log) ResetCounts() {
	l.mu.Lock()
	l.counts = [numReasons]int64{}
	l.mu.Unlock()
}
