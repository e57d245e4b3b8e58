package stat

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func sample() (*Registry, *Counter) {
	var r Registry
	server := r.Section("server", "Server", Default)
	server.Text("version", "", func() string { return "7.2.4" })
	stats := r.Section("stats", "Stats", Default)
	hits := stats.Counter("hits", "lookups that found a key")
	stats.Rows("", func(emit func(a, b string)) { emit("slave0", "ip=x") })
	r.Section("commandstats", "Commandstats", All).Int("n", "", Gauge, func() int64 { return 3 })
	r.Section("debug", "Debug", Everything).Float("f", "", Gauge, 2, func() float64 { return 1.005 })
	return &r, hits
}

func TestInfoSelectsSectionsAndKeepsOrder(t *testing.T) {
	r, hits := sample()
	hits.Add(2)
	assert.Equal(t, "# Server\r\nversion:7.2.4\r\n\r\n# Stats\r\nhits:2\r\nslave0:ip=x\r\n", string(r.Info()))
	assert.Equal(t, string(r.Info()), string(r.Info("DEFAULT")))
	assert.Equal(t, "# Commandstats\r\nn:3\r\n", string(r.Info("CommandStats")))
	assert.NotContains(t, string(r.Info("all")), "# Debug")
	assert.Contains(t, string(r.Info("everything")), "# Debug")
	assert.Equal(t, "", string(r.Info("nosuch")))
	assert.Equal(t, 2, strings.Count(string(r.Info("debug", "server")), "#"))
}

func TestResetAndMetrics(t *testing.T) {
	r, hits := sample()
	hits.Add(5)
	assert.Contains(t, string(r.Metrics()), "# TYPE sextant_hits counter\nsextant_hits 5\n")
	assert.NotContains(t, string(r.Metrics()), "version")
	r.Reset()
	v, ok := r.Value("hits")
	assert.True(t, ok)
	assert.Equal(t, "0", v)
}

func TestAFieldStandsOnce(t *testing.T) {
	var r Registry
	r.Section("a", "A", Default).Counter("x", "")
	assert.Panics(t, func() { r.Section("a", "A", Default).Counter("x", "") })
}

func TestMeasuredSections(t *testing.T) {
	r, _ := sample()
	var waiting []func()
	for _, name := range []string{"slow", "slower"} {
		r.Section(name, name, Asked).Measured(func(done func()) { waiting = append(waiting, done) })
	}
	assert.False(t, r.Measures())
	assert.False(t, r.Measures("everything", "stats"))
	assert.True(t, r.Measures("stats", "SLOW"))
	ended := 0
	r.Measure(func() { ended++ }, "slow", "slower")
	assert.Len(t, waiting, 2)
	waiting[1]()
	assert.Zero(t, ended)
	waiting[0]()
	assert.Equal(t, 1, ended)
}

func TestASampleIsTakenOnceARendering(t *testing.T) {
	var r Registry
	taken := int64(0)
	s := r.Section("a", "A", Default)
	p := Sampled(s, func() int64 { taken++; return taken })
	p.Int("x", "h", Gauge, func(n int64) int64 { return n })
	p.Float("y", "h", Gauge, 1, func(n int64) float64 { return float64(n) / 2 })
	p.Text("z", "", func(n int64) string { return strings.Repeat("z", int(n)) })
	assert.Equal(t, "# A\r\nx:1\r\ny:0.5\r\nz:z\r\n", string(r.Info()))
	assert.Equal(t, "# A\r\nx:2\r\ny:1.0\r\nz:zz\r\n", string(r.Info()))
	assert.Contains(t, string(r.Metrics()), "sextant_x 3\n")
	assert.Contains(t, string(r.Metrics()), "sextant_y 2.0\n")
}
