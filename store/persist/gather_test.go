package persist

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Fifty clients write 100 bytes each and come back one after the other, a sync takes 2 ms: it is made when most are there,
// not when the first is. Without the rest it comes after half a sync.
func TestASyncGathersClients(t *testing.T) {
	const client, all, took = 100, 50 * 100, 2 * time.Millisecond
	now := time.Unix(1000, 0)
	var g gathering
	require.Zero(t, g.wait(now, client), "nothing is known of other clients")
	at := int64(client)
	sync := func(from, total int64) {
		g.synced(from, at, total, now, now.Add(took))
		now = now.Add(took)
	}
	sync(0, all) // 49 came meanwhile
	require.Zero(t, g.wait(now.Add(took/2), all), "not forever")
	require.Equal(t, took/2, g.wait(now, all), "the first will soon be back")
	require.Zero(t, g.wait(now, all+client), "it is")

	from := at
	at = all + client
	sync(from, at)
	require.Equal(t, took/2, g.wait(now, at+client))
	require.Equal(t, took/4, g.wait(now.Add(took/4), at+42*client))
	require.Zero(t, g.wait(now, at+44*client), "most")
}

// Clients that do not come back soon are not waited for again and again.
func TestGatheringGivesUp(t *testing.T) {
	const took = time.Millisecond
	now := time.Unix(1000, 0)
	var g gathering
	from, total := int64(0), int64(0)
	run := func(syncs int, back bool) (waited int) {
		for range syncs {
			total += 100
			if g.wait(now, total) > 0 {
				waited++
				if back {
					total += 1400
				} else {
					now = now.Add(took)
				}
			}
			to := total
			total += 400 // others, while it is synced
			g.synced(from, to, total, now, now.Add(took))
			from, now = to, now.Add(took)
		}
		return waited
	}
	require.Greater(t, run(100, true), 50)
	require.Less(t, run(1000, false), 30)
	require.Greater(t, run(100, false), 0, "now and then it is tried")
	require.Greater(t, run(200, true), 100)
}
