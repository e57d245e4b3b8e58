package topology

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	"github.com/sextantdb/sextant/bus"
)

// # The state file
//
// cluster-config-file (nodes.conf) is an append-only log of text lines. Two generations exist
// while one replaces the other: the file itself and the file with ".new" behind its name,
// which takes its place by rename after fsync. A line is
//
//	<crc32c, 8 hex digits> <sequence> <key> <value …>\n
//
// where the checksum covers everything after it up to the line end. The first line of a
// generation is `sextant-cluster <format> <generation>`, the second `self …`. Later values
// of a key replace earlier ones; an empty value removes the key. Values of node rows are
// readable text, voter state is base64 of its bus encoding.
//
// Decode decides what a damaged file means (H16):
//
//	damage                                     verdict
//	last line has no \n or a bad checksum      torn tail: dropped, Repaired says where
//	a bad line with good lines after it        refused: the middle is corrupt
//	empty file, no data beside it              fresh start (as when the first write was cut off)
//	empty file, but data present               refused: a new identity would orphan the data
//	sequence gap                               refused: lines are missing

// ConfFormat is the version in a generation's first line.
const ConfFormat = 1

// Record is one keyed value of the durable state.
type Record struct {
	Key   string // no spaces
	Value string // one line; "" removes the key
}

// Log encodes records for one generation of the file. It keeps only the next sequence
// number; the owner of the file keeps the Log.
type Log struct{ next uint64 }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Begin encodes the start of a new generation with its whole state.
func (l *Log) Begin(generation uint64, all []Record) []byte {
	l.next = 0
	head := Record{"sextant-cluster", strconv.Itoa(ConfFormat) + " " + strconv.FormatUint(generation, 10)}
	return l.Append(l.Append(nil, head), all...)
}

// Append encodes recs behind dst.
func (l *Log) Append(dst []byte, recs ...Record) []byte {
	for _, r := range recs {
		body := strconv.FormatUint(l.next, 10) + " " + r.Key + " " + clean(r.Value)
		l.next++
		dst = fmt.Appendf(dst, "%08x %s\n", crc32.Checksum([]byte(body), castagnoli), body)
	}
	return dst
}

// clean keeps a value on its line.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\r' {
			return ' '
		}
		return r
	}, s)
}

// Loaded is what a state file holds.
type Loaded struct {
	Fresh      bool // no state: first start
	Generation uint64
	Records    []Record // last value per key, in order of first appearance
	// Repaired tells what was cut off, "" when nothing. Keep is the length of the good part:
	// the owner truncates the file to it before appending.
	Repaired string
	Keep     int
	Log      Log // ready to append
}

// RefusedError says why a state file must not be used, and where it is broken.
type RefusedError struct {
	Line, Offset int
	Why          string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("cluster state file is not usable: line %d (byte %d): %s", e.Line, e.Offset, e.Why)
}

// Decode reads a state file. dataPresent says whether a data set lies beside it.
func Decode(file []byte, dataPresent bool) (*Loaded, error) {
	if len(bytes.TrimRight(file, "\x00")) == 0 {
		if dataPresent {
			return nil, &RefusedError{1, 0, "the file is empty but data files are present; restore the file, or move the data away to start as a new node"}
		}
		return &Loaded{Fresh: true}, nil
	}
	out := &Loaded{}
	at := map[string]int{}
	for off, line := 0, 1; off < len(file); line++ {
		end := bytes.IndexByte(file[off:], '\n')
		var seq uint64
		var rec Record
		why := "no line end"
		if end >= 0 {
			seq, rec, why = decodeLine(file[off : off+end])
		}
		if why == "" && seq != out.Log.next {
			return nil, &RefusedError{line, off, fmt.Sprintf("record %d follows record %d: lines are missing", seq, int64(out.Log.next)-1)}
		}
		if why != "" {
			if goodLineAfter(file[off:]) {
				return nil, &RefusedError{line, off, why + ", and good records follow: the middle is corrupt"}
			}
			if line <= 2 && end < 0 && !dataPresent {
				return &Loaded{Fresh: true}, nil // the very first write was cut off: nothing was ever said under that name
			}
			if line <= 2 {
				return nil, &RefusedError{line, off, why + ": the node's identity is unreadable"}
			}
			out.Repaired = fmt.Sprintf("dropped %d bytes of a torn last record at line %d (byte %d): %s", len(file)-off, line, off, why)
			out.Keep = off
			break
		}
		if line == 1 {
			if err := out.header(rec); err != nil {
				return nil, &RefusedError{line, off, err.Error()}
			}
		} else if i, ok := at[rec.Key]; ok {
			out.Records[i].Value = rec.Value
		} else {
			at[rec.Key] = len(out.Records)
			out.Records = append(out.Records, rec)
		}
		out.Log.next++
		off += end + 1
		out.Keep = off
	}
	kept := out.Records[:0]
	for _, r := range out.Records {
		if r.Value != "" {
			kept = append(kept, r)
		}
	}
	out.Records = kept
	if len(out.Records) == 0 && !dataPresent {
		return &Loaded{Fresh: true}, nil
	}
	if len(out.Records) == 0 {
		return nil, &RefusedError{2, out.Keep, "the node's identity is missing"}
	}
	return out, nil
}

func (l *Loaded) header(r Record) error {
	format, gen, _ := strings.Cut(r.Value, " ")
	n, err := strconv.ParseUint(gen, 10, 64)
	if r.Key != "sextant-cluster" || err != nil {
		return fmt.Errorf("not a Sextant cluster state file")
	}
	if format != strconv.Itoa(ConfFormat) {
		return fmt.Errorf("format %s is not understood, this program writes format %d", format, ConfFormat)
	}
	l.Generation = n
	return nil
}

func decodeLine(line []byte) (seq uint64, r Record, why string) {
	sum, body, ok := bytes.Cut(line, []byte{' '})
	if _, err := strconv.ParseUint(string(sum), 16, 32); !ok || err != nil || len(sum) != 8 {
		return 0, r, "no checksum"
	}
	if got := fmt.Sprintf("%08x", crc32.Checksum(body, castagnoli)); got != string(sum) {
		return 0, r, fmt.Sprintf("checksum is %s, should be %s", got, sum)
	}
	n, rest, _ := strings.Cut(string(body), " ")
	seq, err := strconv.ParseUint(n, 10, 64)
	if err != nil {
		return 0, r, "no sequence number"
	}
	r.Key, r.Value, _ = strings.Cut(rest, " ")
	if r.Key == "" {
		return 0, r, "no key"
	}
	return seq, r, ""
}

// goodLineAfter reports whether any whole, intact record follows the first line of b.
func goodLineAfter(b []byte) bool {
	for {
		end := bytes.IndexByte(b, '\n')
		if end < 0 {
			return false
		}
		b = b[end+1:]
		if next := bytes.IndexByte(b, '\n'); next > 0 {
			if _, _, why := decodeLine(b[:next]); why == "" {
				return true
			}
		}
	}
}

// Pack renders a bus value for a record: base64 of its frame. codec is the caller's.
func Pack(c *bus.Codec, m *bus.Msg) (string, error) {
	b, err := c.Append(nil, m)
	if err != nil {
		return "", err
	}
	return base64.RawStdEncoding.EncodeToString(b), nil
}

// Unpack reads what Pack wrote.
func Unpack(c *bus.Codec, s string) (*bus.Msg, error) {
	b, err := base64.RawStdEncoding.DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("cluster state: %w", err)
	}
	return c.Decode(b)
}
