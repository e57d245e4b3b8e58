package dispatch

// SomeoneWaits reports whether a loop's worker waits for stripes.
func (d *Dispatcher) SomeoneWaits() bool { return d.someoneWaits() }

// Scripts is how many scripts run or are about to.
func (d *Dispatcher) Scripts() int64 { return int64(d.scripts.Load()) }
