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

// paceStep is how soon a wait notices that Micros asks for less.
const paceStep = 10 * time.Millisecond

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
	for waited := time.Duration(0); us > 0; {
		rest := time.Duration(us)*time.Microsecond - waited
		if rest <= 0 {
			return nil
		}
		rest = min(rest, paceStep)
		t := time.NewTimer(rest)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return context.Cause(ctx)
		}
		if waited += rest; rest == paceStep {
			us = p.Micros()
		}
	}
	return nil
}
