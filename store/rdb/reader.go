package rdb

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/sextantdb/sextant/store/value"
)

// Kind says what Reader.Next has found.
type Kind byte

const (
	KindKey      Kind = iota // a key with its value
	KindAux                  // a field about the file: Key is its name, Text its value
	KindSize                 // hint: database DB has Keys keys, Expiring of which expire
	KindSlotSize             // the same for Slot of database DB
	KindFunction             // a function library: Text is its code
	KindEnd                  // the file is complete and its checksum right
)

// Record is one item of a file. Its bytes and its Object belong to the Reader until the next
// call of Next.
type Record struct {
	Kind   Kind
	Offset int64 // of the item in the file
	DB     int
	Attributes

	Key   []byte
	Value Value  // of KindKey
	Text  []byte // the value of a field, the code of a function

	Keys, Expiring uint64
	Slot           uint16
}

// ReaderOptions bound what a file may contain.
type ReaderOptions struct {
	// Databases is how many there may be; a key in another one is refused.
	Databases int
	// SkipChecksum reads past a missing or wrong checksum (rdbchecksum no).
	SkipChecksum bool
	// Limits say which collections stay compact; the zero value stands for Redis' defaults.
	Limits value.Limits
	// Skipped, when set, is told of every key that is left out because there is nothing in it.
	Skipped func(key []byte)
}

func (o *ReaderOptions) limits() value.Limits {
	if o.Limits == (value.Limits{}) {
		return value.DefaultLimits()
	}
	return o.Limits
}

// UnsupportedError refuses input that is well formed but not for us: a newer version, more
// databases, data of a module.
type UnsupportedError struct {
	Offset int64
	Reason string
}

func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("%s (RDB offset %d)", e.Reason, e.Offset)
}

// Reader reads an RDB file or stream item by item. One goroutine uses it at a time.
type Reader struct {
	d       *Decoder
	o       ReaderOptions
	version int // 0 before the head is read
	db      int
	key     []byte

	// emptySkipped counts keys that were left out because their value had no element.
	emptySkipped int64

	// unchecked is set at the end when there was no checksum to compare: the file is older
	// than version 5 or was written without.
	unchecked bool
}

// NewReader returns a Reader of src. It reads ahead: see Rest.
func NewReader(src io.Reader, o ReaderOptions) *Reader {
	r := &Reader{d: newStreamDecoder(src), o: o}
	r.d.noCRC = o.SkipChecksum
	r.d.limits = o.limits()
	return r
}

// Version is the version of the file, 0 before the first Next.
func (r *Reader) Version() int { return r.version }

// Offset is the number of bytes used so far.
func (r *Reader) Offset() int64 { return r.d.Offset() }

// Unchecked reports, at the end, that no checksum has confirmed the file.
func (r *Reader) Unchecked() bool { return r.unchecked }

// EmptySkipped is how many keys were left out because there was nothing in them.
func (r *Reader) EmptySkipped() int64 { return r.emptySkipped }

// Rest returns what was read from the source but lies behind the end of the file. It aliases
// the Reader's buffer.
func (r *Reader) Rest() []byte { return r.d.window[r.d.pos:r.d.end] }

// Next reads the next item into rec. After KindEnd, or after an error, it must not be called
// again. An error is a CorruptError, a refusal (UnsupportedError) or the source's own.
func (r *Reader) Next(rec *Record) error {
	if r.version == 0 {
		if err := r.head(); err != nil {
			return err
		}
	}
	d := r.d
	rec.Offset = d.Offset()
	rec.Attributes = Attributes{}
	rec.Key, rec.Text, rec.Value = nil, nil, Value{}
	for {
		at := d.Offset()
		op, err := d.Byte()
		if err != nil {
			return err
		}
		switch op {
		case opExpireMillis:
			v, err := d.Uint64()
			if err != nil {
				return err
			}
			rec.ExpireAt = pastIfNotPositive(int64(v))
		case opExpireSecs:
			p, err := d.take(4)
			if err != nil {
				return err
			}
			secs := int32(uint32(p[0]) | uint32(p[1])<<8 | uint32(p[2])<<16 | uint32(p[3])<<24)
			rec.ExpireAt = pastIfNotPositive(int64(secs) * 1000)
		case opFreq:
			if rec.Freq, err = d.Byte(); err != nil {
				return err
			}
			rec.Usage = UsageFreq
		case opIdle:
			if rec.Idle, err = d.Len(); err != nil {
				return err
			}
			rec.Usage = UsageIdle
		case opSelectDB:
			n, err := d.Len()
			if err != nil {
				return err
			}
			if n >= uint64(r.o.Databases) {
				return &UnsupportedError{Offset: at, Reason: fmt.Sprintf("Data file was created with a Redis server configured to handle more than %d databases", r.o.Databases)}
			}
			r.db = int(n)
			rec.Offset = d.Offset()
		case opResizeDB:
			rec.Kind, rec.DB = KindSize, r.db
			return r.sizes(rec)
		case opSlotInfo:
			n, err := d.Len()
			if err != nil {
				return err
			}
			if n >= slotCount {
				return d.Corrupt(at, "slot %d does not exist", n)
			}
			rec.Kind, rec.DB, rec.Slot = KindSlotSize, r.db, uint16(n)
			return r.sizes(rec)
		case opAux:
			rec.Kind = KindAux
			if err := r.readKey(rec); err != nil {
				return err
			}
			rec.Text, err = d.String()
			return err
		case opFunction2:
			rec.Kind = KindFunction
			rec.Text, err = d.String()
			return err
		case opFunctionOld:
			return &UnsupportedError{Offset: at, Reason: "Pre-release function format not supported."}
		case opModuleAux:
			id, err := d.Len()
			if err != nil {
				return err
			}
			return &UnsupportedError{Offset: at, Reason: "The RDB file contains AUX module data I can't load: no matching module '" + moduleName(id) + "'"}
		case opEOF:
			rec.Kind = KindEnd
			return r.end()
		default:
			rec.Kind, rec.DB = KindKey, r.db
			if err := r.readKey(rec); err != nil {
				return err
			}
			err = d.read(op, at, &rec.Value)
			if !errors.Is(err, errEmpty) {
				return err
			}
			// Old versions of Redis could save keys with nothing in them; no key may be
			// empty, so it is left out, as Redis does.
			r.emptySkipped++
			if r.o.Skipped != nil {
				r.o.Skipped(rec.Key)
			}
			rec.Attributes = Attributes{}
			rec.Offset = d.Offset()
		}
	}
}

func (r *Reader) head() error {
	p, err := r.d.take(len(magic) + 4)
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(p, []byte(magic)) {
		return r.d.Corrupt(0, "Wrong signature trying to load DB from file")
	}
	version := 0
	for _, c := range p[len(magic):] {
		if c < '0' || c > '9' {
			return r.d.Corrupt(int64(len(magic)), "the version %q is not a number", p[len(magic):])
		}
		version = version*10 + int(c-'0')
	}
	if version < 1 || version > MaxVersion {
		return &UnsupportedError{Offset: int64(len(magic)), Reason: fmt.Sprintf("Can't handle RDB format version %d", version)}
	}
	r.version = version
	return nil
}

// readKey reads a string into memory of its own: what follows may move the window.
func (r *Reader) readKey(rec *Record) error {
	s, err := r.d.String()
	if err != nil {
		return err
	}
	if cap(r.key) > scratchKeep {
		r.key = nil
	}
	r.key = append(r.key[:0], s...)
	rec.Key = r.key
	return nil
}

func (r *Reader) sizes(rec *Record) (err error) {
	if rec.Keys, err = r.d.Len(); err != nil {
		return err
	}
	rec.Expiring, err = r.d.Len()
	return err
}

func (r *Reader) end() error {
	if r.version < checksumSince {
		r.unchecked = true
		return nil
	}
	want := r.d.checksum()
	at := r.d.Offset()
	noCRC := r.d.noCRC
	r.d.noCRC = true
	got, err := r.d.Uint64()
	if err != nil {
		return err
	}
	if got == 0 || noCRC {
		r.unchecked = true
		return nil
	}
	if got != want {
		return r.d.Corrupt(at, "RDB CRC error: expected %x but got %x", want, got)
	}
	return nil
}

// pastIfNotPositive keeps an expiry that is not after 1970 what it is, long past, although 0
// means "never" in Attributes.
func pastIfNotPositive(ms int64) int64 { return max(ms, 1) }
