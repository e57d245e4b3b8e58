package agent

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sextantdb/sextant/cluster/core"
)

// BootTime is the clock of leases: monotonic, and running on while the machine is suspended
// (Go's monotonic clock stands still then, which would make a lease outlive its voters').
func BootTime() core.Mono {
	var ts unix.Timespec
	// Raw: an ordinary system call wakes the runtime's monitor thread.
	_, _, errno := unix.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_BOOTTIME, uintptr(unsafe.Pointer(&ts)), 0)
	if errno != 0 {
		panic("agent: CLOCK_BOOTTIME: " + errno.Error()) // every Linux since 2.6.39 has it
	}
	return core.Mono(ts.Nano())
}
