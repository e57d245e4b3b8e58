package persist

import "time"

// gathering decides under appendfsync always when to sync. Clients that a sync lets go come back with their next writes
// soon, but not all at once: the first of them would get a sync of its own, for which the rest waits, and from then on two
// groups take turns at the disk. So a sync waits until most are here again, at most half as long as the last one took,
// and seldom where that was in vain.
type gathering struct {
	full  int64     // the stream's count with which most are here
	until time.Time // the longest wait for it
	vain  int       // grows with waits in vain
	pass  int       // so many syncs are not waited for
}

const mostVain = 63

// wait is how much longer a sync may wait when the stream has come to total.
func (g *gathering) wait(now time.Time, total int64) time.Duration {
	if total >= g.full {
		return 0
	}
	return max(g.until.Sub(now), 0)
}

// synced notes that a sync made from..to durable; it took from began to now, when the stream had come to total.
func (g *gathering) synced(from, to, total int64, began, now time.Time) {
	switch {
	case g.full == 0: // it was passed
	case to >= g.full:
		g.vain = 0
	default:
		g.vain = min(2*g.vain+1, mostVain)
		g.pass = g.vain
	}
	if g.full = 0; g.pass > 0 {
		g.pass--
		return
	}
	g.full, g.until = total+(to-from)-(to-from)/8, now.Add(now.Sub(began)/2)
}
