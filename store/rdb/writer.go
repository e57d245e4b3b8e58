package rdb

import (
	"io"
	"strconv"

	"github.com/sextantdb/sextant/store/value"
)

// Info is what a file says about its origin (its auxiliary fields).
type Info struct {
	CreatedUnix int64 // seconds
	UsedMemory  int64
	AOFBase     bool // the file is the base of an append-only file

	// Replication, when set, lets whoever loads the file continue with a partial sync.
	Replication *Replication
}

// Replication is the place in the stream of writes at which the data was saved.
type Replication struct {
	StreamDB int // the database selected in the stream
	ID       string
	Offset   int64
}

// ClaimedVersion is the Redis version that files say they come from.
const ClaimedVersion = "7.2.4"

// WriterOptions choose what Redis' rdbcompression and rdbchecksum choose.
type WriterOptions struct {
	Compress   bool
	NoChecksum bool
}

// Writer writes one RDB file or stream: Begin, then functions, databases and entries, then End.
// Its first error is sticky and returned by End (and Err), so the calls between need no checks;
// long loops should look at Err now and then to stop early. Its buffer is bounded (flushBytes).
// One goroutine uses it at a time.
type Writer struct {
	e       Encoder
	db      int    // the database of the entries that follow; -1 before the first
	resized []bool // by database: its size hint is written
}

// NewWriter returns a Writer that passes its output to dst in large pieces.
func NewWriter(dst io.Writer, o WriterOptions) *Writer {
	return &Writer{
		e:  Encoder{dst: dst, buf: make([]byte, 0, flushBytes+flushBytes/4), compress: o.Compress, noCRC: o.NoChecksum},
		db: -1,
	}
}

// Err is the first error of the destination.
func (w *Writer) Err() error { return w.e.err }

// Bytes is the number of bytes written so far, with those still in the buffer.
func (w *Writer) Bytes() int64 { return w.e.passed + int64(len(w.e.buf)) }

// Begin writes the file's head and where it comes from.
func (w *Writer) Begin(in Info) {
	w.e.Raw([]byte(magic + "0010"))
	w.Aux("redis-ver", ClaimedVersion)
	w.auxInt("redis-bits", 32<<(^uint(0)>>63))
	w.auxInt("ctime", in.CreatedUnix)
	w.auxInt("used-mem", in.UsedMemory)
	if r := in.Replication; r != nil {
		w.auxInt("repl-stream-db", int64(r.StreamDB))
		w.Aux("repl-id", r.ID)
		w.auxInt("repl-offset", r.Offset)
	}
	base := int64(0)
	if in.AOFBase {
		base = 1
	}
	w.auxInt("aof-base", base)
}

// Aux writes a field that readers who do not know it must skip.
func (w *Writer) Aux(name, value string) {
	w.e.Byte(opAux)
	w.e.String([]byte(name))
	w.e.String([]byte(value))
}

func (w *Writer) auxInt(name string, v int64) { w.Aux(name, strconv.FormatInt(v, 10)) }

// Function writes the code of one function library. Libraries come before the databases.
func (w *Writer) Function(code []byte) {
	w.e.Byte(opFunction2)
	w.e.String(code)
}

// Select makes the entries that follow belong to database db. keys and expiring are how many
// keys it has and how many of them expire, a hint for whoever loads it; only the first Select
// of a database writes it. A database may be selected again.
func (w *Writer) Select(db int, keys, expiring uint64) {
	if db == w.db {
		return
	}
	w.db = db
	w.e.Byte(opSelectDB)
	w.e.Len(uint64(db))
	for len(w.resized) <= db {
		w.resized = append(w.resized, false)
	}
	if !w.resized[db] {
		w.resized[db] = true
		w.e.Byte(opResizeDB)
		w.e.Len(keys)
		w.e.Len(expiring)
	}
}

// Attributes are what a key has besides its value. The zero value is a key that never expires
// and whose use is not recorded.
type Attributes struct {
	ExpireAt int64 // Unix milliseconds; 0: never
	Usage    Usage
	Idle     uint64 // seconds, with UsageIdle
	Freq     byte   // logarithmic counter, with UsageFreq
}

// Usage says which record of a key's use there is: maxmemory-policy decides that.
type Usage byte

const (
	UsageNone Usage = iota
	UsageIdle
	UsageFreq
)

func (w *Writer) attributes(a Attributes) {
	e := &w.e
	if a.ExpireAt != 0 {
		e.Byte(opExpireMillis)
		e.Uint64(uint64(a.ExpireAt))
	}
	switch a.Usage {
	case UsageIdle:
		e.Byte(opIdle)
		e.Len(a.Idle)
	case UsageFreq:
		e.Byte(opFreq)
		e.Byte(a.Freq)
	}
}

// Entry writes a key with its value. It keeps nothing of them.
func (w *Writer) Entry(a Attributes, key []byte, v *Value) {
	w.attributes(a)
	rdbType, body := byte(TypeString), writeString
	if v.Type != value.String {
		rdbType, body = writerOf(v.Type).write(v)
	}
	w.e.Byte(rdbType)
	w.e.String(key)
	body(&w.e, v)
}

// End writes the end of the file with its checksum, passes on what is still buffered and
// returns the first error of all.
func (w *Writer) End() error {
	w.e.Byte(opEOF)
	w.e.flush()
	sum := w.e.crc
	if w.e.noCRC {
		sum = 0 // says "not computed"
	}
	w.e.noCRC = true
	w.e.Uint64(sum)
	w.e.flush()
	return w.e.err
}
