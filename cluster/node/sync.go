package node

import (
	"context"
	"os"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/sextantdb/sextant/cluster/repl"
	"github.com/sextantdb/sextant/resp/dispatch"
	"github.com/sextantdb/sextant/store"
)

// A full sync from a primary. repl-diskless-load says which way it comes:
//
//	swapdb       parsed from the socket into the store's shadow; exchanged when complete
//	disabled     received into a file and checked; then loaded into the shadow if the node
//	             has data and there is memory for both, else in place
//	on-empty-db  parsed from the socket in place if the node has no data, else as disabled
//	flush-before-load  parsed from the socket in place; whatever the node has is dropped for it
//
// Beside the old data clients go on reading (INFO's async_loading) and a primary that dies
// meanwhile costs nothing; swapdb lets them read only if that data is of the same history, as Redis does. In place
// they are answered LOADING. So the default, Redis'
// "disabled", keeps the old copy for as long as the machine can hold two.

func loadModes() map[DisklessLoad]repl.LoadMode {
	return map[DisklessLoad]repl.LoadMode{
		DisklessLoadDisabled: repl.LoadFile, DisklessLoadOnEmptyDB: repl.LoadOnEmpty, DisklessLoadSwapDB: repl.LoadShadow,
		DisklessLoadFlush: repl.LoadFlush,
	}
}

// replTarget is the keyspace as the goal of full syncs.
func (n *Node) replTarget() repl.Target {
	return repl.StoreTarget{
		Store: n.store, Now: nowMs, Room: roomFor, Libraries: n.libraries.replace,
		Policy: func() store.Policy { return n.cfg.Now().MaxMemoryPolicy },
		Loading: func(how repl.LoadHow, on bool) {
			if how == repl.LoadAside {
				n.disp.SetGate(dispatch.GateAside, on)
				return
			}
			if on && how == repl.LoadInPlace {
				n.aof.CancelRewrite(errEnding)
				n.saver.Cancel() // its pre-images would be the whole old data
			}
			n.setLoading(&n.syncing, on)
		},
		Replaced: func() { n.disp.Changed(nowMs()) },
		Pace: func() func() {
			pace := n.loadPace()
			return func() { _ = pace.Wait(context.Background()) } // it can only run out
		},
	}
}

// setLoading notes in flag that the data set is being loaded, or no longer, and closes or opens
// the gate that goes with it.
func (n *Node) setLoading(flag *atomic.Bool, on bool) {
	n.gateMu.Lock()
	defer n.gateMu.Unlock()
	flag.Store(on)
	n.disp.SetGate(dispatch.GateLoading, n.loading())
}

// filling is loading, or that a full sync is being loaded beside the data.
func (n *Node) filling() bool { return n.loading() || n.repl.Status().Beside }

// loading reports whether the data set is incomplete: a file is being loaded, or a full sync
// in place of the old data.
func (n *Node) loading() bool { return n.loadingNow.Load() || n.syncing.Load() }

// roomFor reports whether the machine, or the control group we are in, has memory for bytes
// more and a quarter on top. Where that cannot be found out it has.
func roomFor(bytes int64) bool {
	return min(availableMemory("/proc/meminfo"), groupMemory("/sys/fs/cgroup")) >= bytes+bytes/4
}

const unknownMemory = 1<<63 - 1

// availableMemory is MemAvailable of a meminfo file.
func availableMemory(name string) int64 {
	b, err := os.ReadFile(name)
	if err != nil {
		return unknownMemory
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == "MemAvailable:" {
			if kb, err := strconv.ParseInt(f[1], 10, 64); err == nil {
				return kb << 10
			}
		}
	}
	return unknownMemory
}

// groupMemory is what a control group (version 2) has left of its bound.
func groupMemory(dir string) int64 {
	read := func(name string) (int64, bool) {
		b, err := os.ReadFile(dir + "/" + name)
		if err != nil {
			return 0, false
		}
		v, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64) // "max" is none
		return v, err == nil
	}
	most, bounded := read("memory.max")
	used, known := read("memory.current")
	if !bounded || !known {
		return unknownMemory
	}
	return most - used
}
