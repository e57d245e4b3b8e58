package node

import (
	"slices"
	"sync"
)

// libraries keeps the code of function libraries that came with a data set. This node cannot
// run them; it keeps them so that attaching to a Redis that has some works, and so that none is
// lost on the way through us into a file or to a replica.
type libraries struct {
	mu   sync.Mutex
	code [][]byte // guarded by mu; the elements are immutable
}

// replace puts code in the place of what was there. It never fails.
func (l *libraries) replace(code [][]byte) error {
	l.mu.Lock()
	l.code = code
	l.mu.Unlock()
	return nil
}

// all is for writers of snapshots.
func (l *libraries) all() [][]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.code)
}

// collector takes libraries while a file is loaded; they count once the file has proven whole.
type collector struct{ code [][]byte }

func (c *collector) add(code []byte) error {
	c.code = append(c.code, slices.Clone(code))
	return nil
}
