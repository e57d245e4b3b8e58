package stream

import (
	"encoding/binary"
	"math"
	"strconv"
)

// ID names an entry: the time it was added at in ms, and a number within that millisecond.
type ID struct{ Ms, Seq uint64 }

// IDBytes is the size of an id in RDB: both numbers, big endian, so that bytes order as ids do.
const IDBytes = 16

// MaxID is the highest id.
var MaxID = ID{math.MaxUint64, math.MaxUint64}

// IsZero reports whether the id is 0-0, which no entry has.
func (a ID) IsZero() bool { return a == ID{} }

// Compare is below zero if a is before b.
func (a ID) Compare(b ID) int {
	switch {
	case a.Ms < b.Ms:
		return -1
	case a.Ms > b.Ms:
		return 1
	case a.Seq < b.Seq:
		return -1
	case a.Seq > b.Seq:
		return 1
	}
	return 0
}

// Next is the id behind a; false if a is the highest.
func (a ID) Next() (ID, bool) {
	if a.Seq++; a.Seq == 0 {
		a.Ms++
		if a.Ms == 0 {
			return MaxID, false
		}
	}
	return a, true
}

// Prev is the id before a; false if a is zero.
func (a ID) Prev() (ID, bool) {
	if a.Seq == 0 {
		if a.Ms == 0 {
			return a, false
		}
		a.Ms--
	}
	a.Seq--
	return a, true
}

// Append appends the id as text.
func (a ID) Append(dst []byte) []byte {
	dst = strconv.AppendUint(dst, a.Ms, 10)
	return strconv.AppendUint(append(dst, '-'), a.Seq, 10)
}

// AppendBytes appends the id as RDB has it.
func (a ID) AppendBytes(dst []byte) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(dst, a.Ms), a.Seq)
}

// IDFrom reads the IDBytes bytes of an id.
func IDFrom(b []byte) ID {
	return ID{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}
}

func (a ID) key() ID { return a }
