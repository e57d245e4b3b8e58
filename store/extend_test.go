package store

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/store/slot"
)

// Who takes one more stripe out of order gets it, though others who hold it wait for one of his.
func TestExtend(t *testing.T) {
	s, err := New(Options{Databases: 1, Stripes: 4})
	require.NoError(t, err)
	defer s.Close()
	stop := make(chan struct{})
	var others sync.WaitGroup
	for range 3 {
		others.Go(func() {
			for x := new(Txn); ; {
				select {
				case <-stop:
					return
				default:
				}
				x.BeginAll(s, 0)
				x.End()
				x.Begin(s, 0, 1, 3)
				x.End()
			}
		})
	}
	never := func() bool { return false }
	var x Txn
	for range 3000 {
		x.Begin(s, 0, 3)
		for _, sl := range []slot.Slot{2, 0, 0, 1} {
			require.True(t, x.Extend(sl, never))
			require.True(t, x.Holds(sl))
		}
		x.Retract(2)
		require.False(t, x.Holds(2))
		x.End()
	}
	close(stop)
	others.Wait()

	var y Txn
	y.Begin(s, 0, 1)
	x.Begin(s, 0, 2)
	require.False(t, x.Extend(1, func() bool { return true }))
	require.False(t, x.Holds(1))
	y.End()
	x.End()
	x.BeginAll(s, 0)
	x.End()
}
