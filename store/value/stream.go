package value

import "github.com/sextantdb/sextant/store/value/internal/stream"

// StreamLog is the Object of every stream; package stream has its operations.
type StreamLog struct{ *stream.Stream }

// What the operations on streams take and give.
type (
	StreamID       = stream.ID
	StreamIter     = stream.Iter
	StreamTrim     = stream.Trim
	StreamGroup    = stream.Group
	StreamConsumer = stream.Consumer
	StreamOwner    = stream.Owner
	StreamPending  = stream.Pending
	StreamNode     = stream.NodeCheck
)

const (
	// StreamIDBytes is the size of an id in RDB.
	StreamIDBytes = stream.IDBytes
	// StreamEntryMax is what the fields and values of one entry may take together.
	StreamEntryMax = stream.MaxEntryBytes
	// StreamReadUnknown is a group's count of entries read when it cannot be known.
	StreamReadUnknown = stream.ReadUnknown
	// StreamNoOwner stands for all consumers where one may be named.
	StreamNoOwner = stream.NoOwner
)

// StreamMaxID is the highest id.
var StreamMaxID = stream.MaxID

// NewStream makes an empty stream. Unlike other collections it may stay empty.
func NewStream() *StreamLog { return &StreamLog{stream.New()} }

func (l *StreamLog) Type() Type         { return Stream }
func (l *StreamLog) Encoding() Encoding { return StreamEncoding }

// Clone shares everything with l until one of the two changes it.
func (l *StreamLog) Clone() Object { return &StreamLog{l.Stream.Clone()} }

// Append adds an entry behind the last. fields are names and values in turn. REQUIRES: id > Last;
// not more than StreamEntryMax.
func (l *StreamLog) Append(id StreamID, fields [][]byte, lim *Limits) {
	l.Stream.Append(id, fields, &stream.Limits{NodeBytes: lim.StreamBytes, NodeEntries: lim.StreamEntries})
}

// StreamIDFrom reads the StreamIDBytes bytes of an id in RDB.
func StreamIDFrom(b []byte) StreamID { return stream.IDFrom(b) }

// CheckStreamNode reports whether bytes from outside are a node of a stream whose entries count from
// id. AddNode takes nothing else.
func CheckStreamNode(id StreamID, b []byte) (StreamNode, bool) { return stream.CheckNode(id, b) }
