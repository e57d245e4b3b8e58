package persist

import (
	"context"
	"time"
)

// Pace slows a save or a load down key by key, so that tests can look at one that is under
// way (rdb-key-save-delay, key-load-delay). The zero value does not.
type Pace struct {
	// Micros is asked for before every key: how many microseconds to wait behind it. A negative
	// number -n waits a microsecond behind every n-th key, for delays shorter than a
	// timer can be. Nil: never.
	Micros func() int64

	keys int64 // owned by the goroutine that saves or loads
}

// FixedPace is a Pace that stays as it is.
func FixedPace(micros int64) Pace {
	if micros == 0 {
		return Pace{}
	}
	return Pace{Micros: func() int64 { return micros }}
}

// Wait waits behind one key. It returns the context's cause when that ends first.
func (p *Pace) Wait(ctx context.Context) error {
	if p.Micros == nil {
		return nil
	}
	us := p.Micros()
	if us < 0 {
		p.keys++
		if p.keys%us != 0 {
			return nil
		}
		us = 1
	}
	if us == 0 {
		return nil
	}
	t := time.NewTimer(time.Duration(us) * time.Microsecond)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
