package snapshot

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// lowest is the nice value of threads that work for a snapshot.
const lowest = 19

// yield gives the calling goroutine a thread of its own whose scheduling priority is the
// lowest: else the kernel lets an event loop wait for whole slices of some milliseconds. The
// thread ends with the goroutine.
func yield() {
	runtime.LockOSThread()
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), lowest) // without it the work is only less considerate
}
