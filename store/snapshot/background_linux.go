package snapshot

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// lowest is the nice value of threads that work for a snapshot.
const lowest = 19

// Yield gives the calling goroutine a thread of its own whose scheduling priority is the
// lowest, so that on a machine that is busy the event loops go first: else the kernel lets a
// loop wait for whole slices of some milliseconds. The thread ends with the goroutine, so
// Yield is for goroutines made for one snapshot. A lock that such a thread holds is not
// waited for long: whoever waits sleeps, and leaves a processor to it.
func Yield() {
	runtime.LockOSThread()
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), lowest) // without it the work is only less considerate
}
