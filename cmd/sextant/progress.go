package main

import (
	"fmt"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress shows how far a long action has come: a bar on a terminal, a line for each change
// elsewhere.
type progress struct {
	t    *terminal
	bar  *progressbar.ProgressBar
	name string
	done int
}

// set tells that done of total parts of the phase called name are finished.
func (p *progress) set(name string, done, total int) {
	if name == p.name && done == p.done {
		return
	}
	if name != p.name {
		p.end()
		if p.t.draws {
			p.bar = progressbar.NewOptions(total, progressbar.OptionSetWriter(p.t.err), progressbar.OptionSetDescription(name),
				progressbar.OptionSetWidth(24), progressbar.OptionShowCount(), progressbar.OptionThrottle(50*time.Millisecond),
				progressbar.OptionClearOnFinish())
		}
	}
	p.name, p.done = name, done
	if p.bar != nil {
		_ = p.bar.Set(done) // a terminal that cannot be drawn on is no reason to stop
		return
	}
	fmt.Fprintf(p.t.err, ">>> %s: %d of %d\n", name, done, total)
}

// end takes the bar away.
func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Finish()
		p.bar = nil
	}
	p.name = ""
}
