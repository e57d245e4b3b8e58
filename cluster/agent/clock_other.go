//go:build !linux

package agent

import (
	"time"

	"github.com/sextantdb/sextant/cluster/core"
)

// BootTime is the clock of leases. Systems without CLOCK_BOOTTIME get the wall clock: a
// suspended machine must see its lease run out.
func BootTime() core.Mono { return core.Mono(time.Now().Round(0).UnixNano()) }
