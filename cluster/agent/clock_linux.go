package agent

import (
	"golang.org/x/sys/unix"

	"github.com/sextantdb/sextant/cluster/core"
)

// BootTime is the clock of leases: monotonic, and running on while the machine is suspended
// (Go's monotonic clock stands still then, which would make a lease outlive its voters').
func BootTime() core.Mono {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic("agent: CLOCK_BOOTTIME: " + err.Error()) // every Linux since 2.6.39 has it
	}
	return core.Mono(ts.Nano())
}
