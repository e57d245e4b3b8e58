package observe

import (
	"strconv"
	"sync"
	"sync/atomic"
)

// Feed hands every executed call to the clients in MONITOR mode.
//
// # Concurrency
//
// All methods may be called from any goroutine. While nobody listens a call costs one load.
type Feed struct {
	active atomic.Int32 // len(listeners)

	mu        sync.RWMutex
	listeners map[int64]func(line []byte) // by client id; guarded by mu
}

// Add makes client id a listener. push gets every line, RESP-encoded as a status reply, and must
// not block, keep or change it: it copies it into the client's queue, which has its own bound.
func (f *Feed) Add(id int64, push func(line []byte)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.listeners == nil {
		f.listeners = map[int64]func([]byte){}
	}
	f.listeners[id] = push
	f.active.Store(int32(len(f.listeners)))
}

// Remove ends it (RESET, QUIT, a closed connection).
func (f *Feed) Remove(id int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.listeners, id)
	f.active.Store(int32(len(f.listeners)))
}

// Active reports whether somebody listens; look before Publish.
func (f *Feed) Active() bool { return f.active.Load() > 0 }

// Publish tells the listeners of a call made at Unix time micros in database db. from is the
// client's address, "unix:path" or "lua".
func (f *Feed) Publish(micros int64, db int, from string, argv [][]byte) {
	line := appendMonitor(nil, micros, db, from, argv)
	f.mu.RLock()
	defer f.mu.RUnlock()
	for _, push := range f.listeners {
		push(line)
	}
}

// appendMonitor appends "+1339518083.107412 [0 127.0.0.1:60866] "keys" "*"\r\n".
func appendMonitor(b []byte, micros int64, db int, from string, argv [][]byte) []byte {
	b = append(b, '+')
	b = strconv.AppendInt(b, micros/1e6, 10)
	b = append(b, '.')
	rest := strconv.FormatInt(1e6+micros%1e6, 10)
	b = append(b, rest[1:]...)
	b = append(b, " ["...)
	b = strconv.AppendInt(b, int64(db), 10)
	b = append(b, ' ')
	b = append(b, from...)
	b = append(b, ']')
	for _, a := range argv {
		b = append(b, ' ')
		b = AppendQuoted(b, a)
	}
	return append(b, '\r', '\n')
}

// AppendQuoted appends s between double quotes, with every byte that is not printable ASCII
// escaped, as Redis shows strings to people.
func AppendQuoted(b, s []byte) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for _, c := range s {
		switch c {
		case '\\', '"':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		case '\a':
			b = append(b, '\\', 'a')
		case '\b':
			b = append(b, '\\', 'b')
		default:
			if c >= ' ' && c <= '~' {
				b = append(b, c)
			} else {
				b = append(b, '\\', 'x', hex[c>>4], hex[c&15])
			}
		}
	}
	return append(b, '"')
}
