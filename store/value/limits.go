package value

// Limits are the sizes up to which collections are kept compact, as one byte string: Redis'
// *-max-listpack-*, set-max-intset-entries and stream-node-max-*. A collection that grows beyond becomes an
// Object, and stays one however small it becomes again.
type Limits struct {
	HashEntries, HashValue          int
	SetIntset, SetEntries, SetValue int
	ZSetEntries, ZSetValue          int
	// ListSize is list-max-listpack-size: a number of entries, or -1 to -5 for 4, 8, 16, 32
	// and 64 KiB.
	ListSize int
	// ListDepth is list-compress-depth: how many nodes at each end stay uncompressed; 0 is all.
	ListDepth int
	// StreamBytes and StreamEntries are stream-node-max-bytes and -entries: when a node of a stream
	// is full; 0 is no limit.
	StreamBytes, StreamEntries int
}

// DefaultLimits are Redis' defaults.
func DefaultLimits() Limits {
	return Limits{
		HashEntries: 512, HashValue: 64,
		SetIntset: 512, SetEntries: 128, SetValue: 64,
		ZSetEntries: 128, ZSetValue: 64,
		ListSize:    -2,
		StreamBytes: 4096, StreamEntries: 100,
	}
}

var usual = DefaultLimits()

// UsualLimits are DefaultLimits, one copy for all, which nobody changes.
func UsualLimits() *Limits { return &usual }

// packMax is the size no listpack in memory may reach, whatever the limits say.
const packMax = 1 << 30
