package repl

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp"
)

func parsed(t *testing.T, line string) (failover, resp.Error) {
	t.Helper()
	var argv [][]byte
	for _, w := range strings.Fields(line) {
		argv = append(argv, []byte(w))
	}
	return parseFailover(argv, 1000)
}

func TestFailoverWords(t *testing.T) {
	for line, want := range map[string]failover{
		"FAILOVER":                             {state: failoverWaits},
		"failover timeout 5":                   {state: failoverWaits, deadline: 1005},
		"FAILOVER TO h 7":                      {state: failoverWaits, host: "h", port: 7},
		"FAILOVER FORCE to h 7 Timeout 1":      {state: failoverWaits, host: "h", port: 7, force: true, deadline: 1001},
		"FAILOVER TIMEOUT 5 TO timeout 9":      {state: failoverWaits, host: "timeout", port: 9, deadline: 1005},
		"FAILOVER TO force 1 FORCE":            {state: failoverWaits, host: "force", port: 1, force: true},
		"FAILOVER TIMEOUT 9223372036854775807": {state: failoverWaits, deadline: 1000 + 1<<62},
	} {
		f, err := parsed(t, line)
		require.Empty(t, err, line)
		require.Equal(t, want, f, line)
	}
	for line, want := range map[string]resp.Error{
		"FAILOVER TIMEOUT":           resp.ErrSyntax,
		"FAILOVER TIMEOUT x":         resp.ErrNotInteger,
		"FAILOVER TIMEOUT 0":         resp.ErrFailoverTimeout,
		"FAILOVER TIMEOUT -1":        resp.ErrFailoverTimeout,
		"FAILOVER TIMEOUT 1 TIMEOUT": resp.ErrSyntax,
		"FAILOVER TO h":              resp.ErrSyntax,
		"FAILOVER TO h p":            resp.ErrNotInteger,
		"FAILOVER TO h 1 TO h 1":     resp.ErrSyntax,
		"FAILOVER FORCE FORCE":       resp.ErrSyntax,
		"FAILOVER ABORT TIMEOUT 1":   resp.ErrSyntax,
	} {
		_, err := parsed(t, line)
		require.Equal(t, want, err, line)
	}
}

func TestFailoverRefusals(t *testing.T) {
	replicas := []standing{{"h", 1, true, 0}, {"h", 2, false, 0}}
	for _, c := range []struct {
		line     string
		replicas []standing
		want     resp.Error
	}{
		{"FAILOVER", nil, resp.ErrFailoverNoReplicas},
		{"FAILOVER FORCE", nil, resp.ErrFailoverNoReplicas},
		{"FAILOVER FORCE TIMEOUT 1", replicas, resp.ErrFailoverForce},
		{"FAILOVER FORCE TO h 1", replicas, resp.ErrFailoverForce},
		{"FAILOVER TO h 3", replicas, resp.ErrFailoverNotReplica},
		{"FAILOVER TO g 1", replicas, resp.ErrFailoverNotReplica},
		{"FAILOVER TO h 2", replicas, resp.ErrFailoverNotOnline},
		{"FAILOVER TO H 1 FORCE TIMEOUT 1", replicas, ""},
		{"FAILOVER", replicas, ""},
	} {
		f, err := parsed(t, c.line)
		require.Empty(t, err)
		require.Equal(t, c.want, f.refuse(c.replicas), c.line)
	}
}

func TestFailoverSteps(t *testing.T) {
	const offset = 50
	behind := []standing{{"a", 1, true, 49}, {"b", 2, true, 49}}
	second := []standing{{"a", 1, true, 49}, {"b", 2, true, 50}}
	for _, c := range []struct {
		name     string
		f        failover
		now      int64
		replicas []standing
		step     failoverStep
		target   string
	}{
		{"nobody has everything", failover{held: true}, 0, behind, failoverStay, ""},
		{"the first that has", failover{held: true}, 0, second, failoverGo, "b"},
		{"writes are not held yet", failover{}, 0, second, failoverStay, ""},
		{"the one that was named", failover{held: true, host: "B", port: 2}, 0, second, failoverGo, "B"},
		{"only the one that was named", failover{held: true, host: "a", port: 1}, 0, second, failoverStay, ""},
		{"who is gone may come back", failover{held: true, host: "c", port: 3}, 0, second, failoverStay, ""},
		{"before the deadline", failover{held: true, deadline: 10}, 9, behind, failoverStay, ""},
		{"at the deadline", failover{held: true, deadline: 10}, 10, behind, failoverEnd, ""},
		{"too late is too late", failover{held: true, deadline: 10}, 11, second, failoverEnd, ""},
		{"writes could not be held in time", failover{deadline: 10}, 10, second, failoverEnd, ""},
		{"by force", failover{held: true, deadline: 10, force: true, host: "a", port: 1}, 10, behind, failoverForce, "a"},
		{"by force, though it is gone", failover{held: true, deadline: 10, force: true, host: "c", port: 3}, 10, behind, failoverForce, "c"},
		{"force is for the deadline", failover{held: true, deadline: 10, force: true, host: "a", port: 1}, 9, behind, failoverStay, ""},
	} {
		c.f.state = failoverWaits
		step, host, _ := c.f.next(c.now, offset, c.replicas)
		require.Equal(t, c.step, step, c.name)
		require.Equal(t, c.target, host, c.name)
	}
}

// A FAILOVER without an end goes on sending PING, or the replicas it waits for would take the primary for dead. One with a
// deadline does not, and neither does a hand-over of a cluster. Acknowledgements wanted meanwhile are asked for afterwards.
func TestPingsWhileWritesAreHeld(t *testing.T) {
	slow := func(o *Options) { o.PingPeriod = time.Hour }
	p, r := newNode(t, slow), newNode(t, slow)
	follow(t, r, p.port)
	up(t, r)
	pinged := func() bool {
		before := p.e.Stream.Offset()
		p.e.mu.Lock()
		p.e.lastPing = time.Now().Add(-2 * time.Hour).UnixMilli()
		p.e.mu.Unlock()
		p.e.cron(time.Now().UnixMilli())
		return p.e.Stream.Offset()-before == int64(len(pingBytes))
	}
	set := func(f failover) {
		p.e.mu.Lock()
		p.e.failover = f
		p.e.mu.Unlock()
	}
	require.True(t, pinged())
	p.e.PauseFeed(true)
	require.False(t, pinged(), "a hand-over")
	set(failover{state: failoverWaits, host: "nobody", port: 1})
	require.True(t, pinged(), "without an end")
	set(failover{state: failoverWaits, host: "nobody", port: 1, deadline: time.Now().Add(time.Hour).UnixMilli()})
	require.False(t, pinged(), "with a deadline")
	set(failover{state: failoverInProgress, host: "nobody", port: 1})
	require.False(t, pinged(), "the target has everything")
	set(failover{})

	before := p.e.Stream.Offset()
	p.e.getackWanted.Store(true)
	p.e.Stream.signal()
	p.e.PauseFeed(false)
	require.Eventually(t, func() bool { return p.e.Stream.Offset() == before+int64(len(getackBytes)) }, 5*time.Second, time.Millisecond)
}
