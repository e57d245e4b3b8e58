package node

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
)

// oomScore is the process's /proc/self/oom_score_adj while the directive oom-score-adj is on.
type oomScore struct {
	mu    sync.Mutex
	taken bool // guarded by mu, like base: base is what it was before we changed it
	base  int
}

const oomScoreFile = "/proc/self/oom_score_adj"

// apply writes the score that v asks for in this role, or gives the original back.
func (o *oomScore) apply(v *Values, replica bool) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if v.OOMScoreAdj == OOMScoreNo {
		if !o.taken {
			return nil
		}
		o.taken = false
		return writeOOMScore(o.base)
	}
	if !o.taken {
		b, err := os.ReadFile(oomScoreFile)
		if err != nil {
			return errOOMScore(err)
		}
		if o.base, err = strconv.Atoi(strings.TrimSpace(string(b))); err != nil {
			return errOOMScore(err)
		}
		o.taken = true
	}
	score := v.OOMScoreAdjValues[0]
	if replica {
		score = v.OOMScoreAdjValues[1]
	}
	if v.OOMScoreAdj == OOMScoreRelative {
		score += o.base
	}
	return writeOOMScore(min(max(score, -1000), 1000))
}

func writeOOMScore(n int) error {
	if err := os.WriteFile(oomScoreFile, []byte(strconv.Itoa(n)+"\n"), 0); err != nil {
		return errOOMScore(err)
	}
	return nil
}

func errOOMScore(err error) error {
	return fmt.Errorf("Failed to set current oom_score_adj. Check server logs. (%w)", err)
}
