package persist

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/store/disk/disktest"
)

// TestRDBPowerCut cuts the power at random moments of saves: what is found is the old file or the new one,
// whole, and the new one when the save had said so.
func TestRDBPowerCut(t *testing.T) {
	for seed := range 60 {
		rnd := rand.New(rand.NewPCG(uint64(seed), 9))
		b := newBench(t)
		b.fill(200)
		require.NoError(t, b.saver.Save(context.Background()))
		old := b.state()
		for i := range 50 {
			b.set(0, fmt.Sprint("later:", i), "x", -1)
		}
		next := b.state()
		// Of a save some steps fail, as if the power had gone at one of them.
		op := []string{"", "create", "write", "sync", "close", "rename", "syncdir"}[rnd.IntN(7)]
		if op != "" {
			b.fs.Fail(op, errPowerGone)
		}
		err := b.saver.Save(context.Background())
		after := b.fs.PowerCut(rnd.IntN)
		c := newBench(t)
		c.fs.Put("/data/dump.rdb", after.Content("/data/dump.rdb"))
		_, loadErr := c.loader.File(context.Background(), "/data/dump.rdb", LoadOptions{KeepExpired: true, Library: func([]byte) error { return nil }})
		require.NoError(t, loadErr, "seed %d, %s", seed, op)
		got := c.state()
		if err == nil {
			require.Equal(t, next, got, "seed %d", seed)
		} else if len(got) != len(next) {
			require.Equal(t, old, got, "seed %d, %s", seed, op)
		}
	}
}

var errPowerGone = fmt.Errorf("the power went")

// TestRDBDamage flips bits and cuts at every place of a file: it is refused, with its name and a place, and nothing of it
// stays.
func TestRDBDamage(t *testing.T) {
	b := newBench(t)
	b.fill(40)
	require.NoError(t, b.saver.Save(context.Background()))
	whole := b.fs.Content("/data/dump.rdb")
	load := func(damaged []byte, what string, at int) {
		c := newBench(t)
		defer c.store.Close()
		c.fs = disktest.New()
		c.fs.Put("/data/dump.rdb", damaged)
		c.loader = NewLoader(LoaderOptions{Store: c.store, FS: c.fs, Now: c.clock, Listener: c.hear})
		_, err := c.loader.File(context.Background(), "/data/dump.rdb", LoadOptions{KeepExpired: true, Library: func([]byte) error { return nil }})
		require.Error(t, err, "%s at %d of %d", what, at, len(whole))
		require.Contains(t, err.Error(), "/data/dump.rdb")
		require.Empty(t, c.state(), "%s at %d", what, at)
	}
	for at := range whole {
		if at%3 == 0 {
			damaged := append([]byte(nil), whole...)
			damaged[at] ^= 1 << (at % 8)
			load(damaged, "flip", at)
		}
		if at%5 == 0 {
			load(whole[:at], "cut", at)
		}
	}
}
