package arena

import (
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A page that is touched for the first time costs a fault: a quarter of a microsecond on a bare machine, up to 27 µs on
// some virtual ones, where a data set that grows spent more time in faults than in anything else. Asking for several pages
// at once costs one call and then some 2 µs a page there.

// prefaultFrom is from how many slabs of its class on a new slab is prefaulted: a class that has grown that far fills it.
const prefaultFrom = 8

// Prefault asks the system for the pages of b, memory of Go's heap or of an arena, which the caller is about to fill. It
// changes nothing else. For less than a page it is not worth the call.
func Prefault(b []byte) {
	if len(b) >= pageSize {
		prefault(uintptr(unsafe.Pointer(&b[0])), len(b))
	}
}

// refusals says that the system does not know the request (Linux before 5.14).
var refusals atomic.Bool

func prefault(addr uintptr, n int) {
	if refusals.Load() {
		return
	}
	from := addr &^ (pageSize - 1)
	to := (addr + uintptr(n) + pageSize - 1) &^ (pageSize - 1)
	// A raw call: an ordinary one wakes the runtime's monitor thread.
	if _, _, err := unix.RawSyscall(unix.SYS_MADVISE, from, to-from, unix.MADV_POPULATE_WRITE); err == unix.EINVAL {
		refusals.Store(true)
	}
}
