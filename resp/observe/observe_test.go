package observe

import (
	"fmt"
	"math/rand"
	"sort"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/store/stat"
)

func TestCountsOfAllShardsAreShownInInfo(t *testing.T) {
	c := NewCommands([]string{"get", "config|get", "quiet"}, 2)
	c.Shard(0).Done(0, 1500, false)
	c.Shard(1).Done(0, 2500, true)
	c.Shard(1).Rejected(1)
	c.CountError("ERR", false)
	c.CountError("WRONGTYPE", false)
	c.CountError("ERR", false)

	var r stat.Registry
	c.RegisterCommandstats(r.Section("commandstats", "Commandstats", stat.All))
	c.RegisterErrorstats(r.Section("errorstats", "Errorstats", stat.Default))
	c.RegisterLatencystats(r.Section("latencystats", "Latencystats", stat.All))
	require.Equal(t, "# Commandstats\r\n"+
		"cmdstat_get:calls=2,usec=4,usec_per_call=2.00,rejected_calls=0,failed_calls=1\r\n"+
		"cmdstat_config|get:calls=0,usec=0,usec_per_call=0.00,rejected_calls=1,failed_calls=0\r\n"+
		"\r\n# Errorstats\r\nerrorstat_ERR:count=2\r\nerrorstat_WRONGTYPE:count=1\r\n"+
		"\r\n# Latencystats\r\nlatency_percentiles_usec_get:p50=1.503,p99=2.511,p99.9=2.511\r\n",
		string(r.Info("everything")))
	require.EqualValues(t, 2, c.Calls())
	require.EqualValues(t, 3, c.ErrorReplies())

	c.SetPercentiles([]float64{0, 100})
	require.Contains(t, string(r.Info("latencystats")), "get:p0=1.503,p100=2.511\r\n")

	c.SetTracking(false)
	require.Equal(t, "# Latencystats\r\n", string(r.Info("latencystats")))
	c.SetTracking(true)
	require.Contains(t, string(r.Info("latencystats")), "get:p0=1.503,p100=2.511\r\n", "what was measured before is still there")

	r.Reset()
	require.Equal(t, "# Commandstats\r\n\r\n# Errorstats\r\n", string(r.Info("commandstats", "errorstats")))
}

func TestErrorCodesAreBounded(t *testing.T) {
	c := NewCommands(nil, 1)
	for i := range MaxErrorCodes + 50 {
		c.CountError(fmt.Sprintf("MADEUP%d", i), true)
	}
	known := *c.errors.known.Load()
	require.Len(t, known, MaxErrorCodes+1)
	require.EqualValues(t, 50, known[ErrorOverflow].Load())
	c.CountError("ERR", false)
	require.EqualValues(t, 1, (*c.errors.known.Load())["ERR"].Load(), "our own have a place")
}

func TestCountingIsSafeWhileOthersReadAndReset(t *testing.T) {
	c := NewCommands([]string{"get"}, 2)
	var wg sync.WaitGroup
	for i := range 2 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for n := range 2000 {
				c.Shard(i).Done(0, int64(n), n%3 == 0)
				c.CountError("ERR", false)
			}
		}()
	}
	for range 50 {
		c.Stat(0)
		c.Latency(0)
		c.SetTracking(false)
		c.SetTracking(true)
		c.Reset()
	}
	wg.Wait()
	c.Reset()
	c.Shard(0).Done(0, 1, false)
	require.EqualValues(t, 1, c.Stat(0).Calls)
}

func TestCountingDoesNotAllocate(t *testing.T) {
	c := NewCommands([]string{"get"}, 1)
	s := c.Shard(0)
	s.Done(0, 100, false)
	c.CountError("ERR", false)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		s.Done(0, 12345, false)
		c.CountError("ERR", false)
	}))
}

// The cells are those of an HDR histogram with two significant digits.
func TestHistogramCells(t *testing.T) {
	for v := int64(1); v < maxNanos; v += 1 + v/997 {
		top := highest(cellOf(v))
		require.GreaterOrEqual(t, top, v)
		require.LessOrEqual(t, float64(top-v), float64(v)/128, "the error stays below one percent of %d", v)
		require.Equal(t, cellOf(v), cellOf(top))
		require.Equal(t, cellOf(top)+1, cellOf(top+1), "cells join without a gap at %d", top)
	}
	require.Less(t, cellOf(maxNanos), cellCount)
	require.EqualValues(t, 1031, highest(cellOf(1024)))
	require.EqualValues(t, 33023, highest(cellOf(32768)))
}

func TestPercentilesAgreeWithSorting(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	var h Histogram
	var all []int64
	for range 5000 {
		v := int64(1) << rng.Intn(29)
		v += rng.Int63n(v)
		all = append(all, v)
		h.Record(v)
	}
	sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
	for _, p := range []float64{0, 1, 50, 90, 99, 99.9, 100} {
		want := all[max(1, int(p/100*5000+0.5))-1]
		require.Equal(t, highest(cellOf(want)), h.Percentile(p), "p%v", p)
	}
}

func TestHistogramLevels(t *testing.T) {
	var h Histogram
	for _, us := range []int64{0, 1, 3, 3, 30, 1000, 5_000_000} {
		h.Record(us * 1000)
	}
	require.Equal(t, []Level{{1, 2}, {4, 4}, {33, 5}, {1056, 6}, {1073741, 7}}, h.Levels())
	require.Empty(t, new(Histogram).Levels())
}

func words(s ...string) (out [][]byte) {
	for _, w := range s {
		out = append(out, []byte(w))
	}
	return out
}

func TestSlowlogKeepsTheNewestAndTrimsWords(t *testing.T) {
	s := NewSlowlog(10, 2)
	require.False(t, s.Slow(9))
	require.True(t, s.Slow(10))
	s.SetSlower(-1)
	require.False(t, s.Slow(1<<40), "negative is off")
	s.SetSlower(0)
	require.True(t, s.Slow(0))

	s.Add(100, 11, words("first"), "c", "")
	s.Add(101, 12, words("set", strings.Repeat("x", 130)), "127.0.0.1:1", "name")
	many := words("sadd")
	for i := range 40 {
		many = append(many, []byte(fmt.Sprint(i)))
	}
	s.Add(102, 13, many, "c", "")
	got := s.Get(-1)
	require.Len(t, got, 2)
	require.EqualValues(t, 2, got[0].ID)
	require.Len(t, got[0].Argv, 32)
	require.Equal(t, "29", got[0].Argv[30])
	require.Equal(t, "... (10 more arguments)", got[0].Argv[31])
	require.Equal(t, SlowEntry{1, 101, 12, []string{"set", strings.Repeat("x", 128) + "... (2 more bytes)"}, "127.0.0.1:1", "name"}, got[1])
	require.Len(t, s.Get(1), 1)

	s.SetMaxLen(1)
	require.Equal(t, 1, s.Len())
	s.Reset()
	require.Zero(t, s.Len())
	s.Add(1, 1, words("x"), "", "")
	require.EqualValues(t, 3, s.Get(1)[0].ID, "ids go on after a reset")
}

func TestLatencyKeepsTheWorstOfEachSecond(t *testing.T) {
	l := NewLatency(0)
	require.False(t, l.Spike(1000), "0 is off")
	l.SetThreshold(10)
	require.False(t, l.Spike(9))
	require.True(t, l.Spike(10))

	l.Note(EventCommand, 100, 20)
	l.Note(EventCommand, 100, 50)
	l.Note(EventCommand, 100, 30)
	l.Note(EventCommand, 101, 10)
	samples, worst := l.History(EventCommand)
	require.Equal(t, []Sample{{100, 50}, {101, 10}}, samples)
	require.EqualValues(t, 50, worst)

	for i := range int64(LatencyHistory + 5) {
		l.Note(EventCommand, 200+i, 1)
	}
	samples, worst = l.History(EventCommand)
	require.Len(t, samples, LatencyHistory)
	require.EqualValues(t, 205, samples[0].Unix)
	require.EqualValues(t, 50, worst, "the worst outlives its sample")

	l.Note(EventExpireCycle, 100, 20)
	require.Equal(t, []string{"command", "expire-cycle"}, l.Events())
	require.Equal(t, 1, l.Reset("COMMAND", "none"))
	require.Equal(t, 1, l.Reset())
	require.Zero(t, l.Reset())
	for i := range MaxLatencyEvents + 3 {
		l.Note(fmt.Sprint("e", i), 1, 1)
	}
	require.Len(t, l.Events(), MaxLatencyEvents)
}

func TestLatencyReports(t *testing.T) {
	l := NewLatency(0)
	require.Contains(t, l.Doctor(0), "latency-monitor-threshold")
	l.SetThreshold(5)
	require.Contains(t, l.Doctor(0), "No latency spike")
	l.Note(EventCommand, 100, 10)
	l.Note(EventCommand, 104, 30)
	require.Contains(t, l.Doctor(110), "1. command: 2 latency spikes (average 20ms, mean deviation 10ms, period 5.00 sec). Worst all time event 30ms.")
	require.Contains(t, l.Doctor(110), "SLOWLOG")

	graph, ok := l.Graph(EventCommand, 170)
	require.True(t, ok)
	require.Equal(t, "command - high 30 ms, low 10 ms (all time high 30 ms)\n"+strings.Repeat("-", 80)+"\n"+
		" #\n |\n |\n_|\n\n11\nmm\n\n", graph)
	_, ok = l.Graph("none", 0)
	require.False(t, ok)
}

func TestFeedTellsEveryListener(t *testing.T) {
	var f Feed
	require.False(t, f.Active())
	var got []string
	f.Add(1, func(line []byte) { got = append(got, string(line)) })
	f.Add(2, func(line []byte) { got = append(got, string(line)) })
	require.True(t, f.Active())
	f.Publish(1339518083_007412, 9, "127.0.0.1:60866", words("set", "k\"\x00", "a\r\n"))
	require.Equal(t, []string{
		"+1339518083.007412 [9 127.0.0.1:60866] \"set\" \"k\\\"\\x00\" \"a\\r\\n\"\r\n",
		"+1339518083.007412 [9 127.0.0.1:60866] \"set\" \"k\\\"\\x00\" \"a\\r\\n\"\r\n",
	}, got)
	f.Remove(1)
	f.Remove(2)
	f.Remove(2)
	require.False(t, f.Active())
}

func BenchmarkDone(b *testing.B) {
	c := NewCommands([]string{"get"}, 1)
	s := c.Shard(0)
	for i := 0; b.Loop(); i++ {
		s.Done(0, int64(i&0xfff), false)
	}
}

// A slow log of length 0 takes no entries, and no ids.
func TestSlowlogOfLengthZero(t *testing.T) {
	s := NewSlowlog(0, 0)
	require.False(t, s.Slow(1e6))
	s.SetMaxLen(10)
	require.True(t, s.Slow(0))
	s.SetMaxLen(0)
	require.False(t, s.Slow(1e6))
}
