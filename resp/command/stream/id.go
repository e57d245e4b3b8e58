package stream

import (
	"bytes"
	"math"
	"strconv"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store/value"
)

// idMax is the longest text that is looked at as an id.
const idMax = 127

// parseID reads ms-seq, or ms alone, with seq for the second number then. C reads it as text that
// ends at a NUL, and so do we.
func parseID(b []byte, seq uint64) (id value.StreamID, ok bool) {
	id, auto, ok := parsePartialID(b, seq)
	return id, ok && !auto
}

// parsePartialID is parseID for XADD, where auto may stand for ms-*.
func parsePartialID(b []byte, seq uint64) (id value.StreamID, auto, ok bool) {
	if len(b) > idMax {
		return id, false, false
	}
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	ms, rest, both := bytes.Cut(b, []byte("-"))
	if id.Ms, ok = parseUint(ms); !ok {
		return id, false, false
	}
	switch {
	case !both:
		id.Seq = seq
	case string(rest) == "*":
		return id, true, true
	default:
		id.Seq, ok = parseUint(rest)
	}
	return id, false, ok
}

// parseUint reads a number as Redis does: what is a number in its one canonical form must not be
// negative; other spellings are read by C's strtoull, which skips white space, takes signs and leading
// zeros, and wraps what is negative.
func parseUint(b []byte) (uint64, bool) {
	if n, ok := value.ParseInt(b); ok {
		return uint64(n), n >= 0
	}
	for len(b) > 0 && (b[0] == ' ' || b[0] >= '\t' && b[0] <= '\r') {
		b = b[1:]
	}
	neg := false
	if len(b) > 0 && (b[0] == '+' || b[0] == '-') {
		neg = b[0] == '-'
		b = b[1:]
	}
	if len(b) == 0 || b[0] < '0' || b[0] > '9' { // ParseUint takes neither signs nor underscores here
		return 0, false
	}
	n, err := strconv.ParseUint(string(b), 10, 64)
	if neg {
		n = -n
	}
	return n, err == nil
}

// strictID reads argv[i] as an id; it answers the error.
func strictID(c *command.Ctx, i int) (value.StreamID, bool) {
	id, ok := parseID(c.Argv[i], 0)
	if !ok {
		c.Fail(resp.ErrStreamID)
	}
	return id, ok
}

// looseID is strictID that knows - and + too; seq completes an id of one number.
func looseID(c *command.Ctx, i int, seq uint64) (value.StreamID, bool) {
	switch string(c.Argv[i]) {
	case "-":
		return value.StreamID{}, true
	case "+":
		return value.StreamMaxID, true
	}
	id, ok := parseID(c.Argv[i], seq)
	if !ok {
		c.Fail(resp.ErrStreamID)
	}
	return id, ok
}

// strictIDs reads the words from argv[from] on; it answers the error. The ids are put behind dst.
func strictIDs(c *command.Ctx, from int, dst []value.StreamID) ([]value.StreamID, bool) {
	for i := from; i < len(c.Argv); i++ {
		id, ok := strictID(c, i)
		if !ok {
			return nil, false
		}
		dst = append(dst, id)
	}
	return dst, true
}

// start and end read an end of a range, which "(" excludes; they answer the error.
func start(c *command.Ctx, i int) (value.StreamID, bool) {
	return bound(c, i, 0, value.StreamID.Next, resp.ErrStreamStart)
}

func end(c *command.Ctx, i int) (value.StreamID, bool) {
	return bound(c, i, math.MaxUint64, value.StreamID.Prev, resp.ErrStreamEnd)
}

func bound(c *command.Ctx, i int, seq uint64, inside func(value.StreamID) (value.StreamID, bool), none resp.Error) (value.StreamID, bool) {
	b := c.Argv[i]
	if len(b) < 2 || b[0] != '(' {
		return looseID(c, i, seq)
	}
	id, ok := parseID(b[1:], seq)
	if !ok {
		c.Fail(resp.ErrStreamID)
		return id, false
	}
	if id, ok = inside(id); !ok {
		c.Fail(none)
	}
	return id, ok
}

// idText is room for an id as text.
type idText [41]byte

func putID(w *resp.Writer, id value.StreamID) {
	var text idText
	w.Bulk(id.Append(text[:0]))
}
