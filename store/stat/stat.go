// Package stat holds the numbers a node tells about itself. A number is registered once,
// with its section, name, kind and help, by the package that counts it; INFO and the
// /metrics page are two renderings of the same registry. Any package may use it; it knows
// none of them.
//
// # Concurrency
//
// Sections and fields are registered while the node is being built, before it serves; from
// then on a Registry is immutable. Counters and gauges may be changed and everything may be
// read from any goroutine at any time.
package stat

import (
	"math"
	"sort"
	"strconv"
	"strings"
	"sync/atomic"
)

// Kind says how a number behaves over time; /metrics prints it as the TYPE of the metric.
type Kind uint8

const (
	// Text is shown by INFO only.
	Text Kind = iota
	// Gauge goes up and down.
	Gauge
	// Count only goes up, except at CONFIG RESETSTAT.
	Count
)

// Counter is a number that only goes up until it is reset. The zero value is ready.
type Counter struct{ n atomic.Int64 }

func (c *Counter) Add(n int64) { c.n.Add(n) }
func (c *Counter) Inc()        { c.n.Add(1) }
func (c *Counter) Load() int64 { return c.n.Load() }

// Reset sets the counter to zero (CONFIG RESETSTAT).
func (c *Counter) Reset() { c.n.Store(0) }

// Level is a number that goes up and down. The zero value is ready.
type Level struct{ n atomic.Int64 }

func (g *Level) Add(n int64) { g.n.Add(n) }
func (g *Level) Set(n int64) { g.n.Store(n) }
func (g *Level) Load() int64 { return g.n.Load() }
func (g *Level) Max(n int64) {
	for {
		old := g.n.Load()
		if n <= old || g.n.CompareAndSwap(old, n) {
			return
		}
	}
}

// Registry is an ordered list of sections. INFO prints sections and fields in the order in
// which they were registered, because old tools take the first substring that matches.
type Registry struct {
	sections []*Section // immutable once the node serves
}

// Section is one "# Title" block of INFO.
type Section struct {
	name, title string
	set         Set
	fields      []field // immutable once the node serves
	resets      []func()
	measure     func(done func()) // see Measured
}

// Set says with which INFO argument a section is printed besides its own name.
type Set uint8

const (
	// Default sections appear in a bare INFO, in "all" and in "everything".
	Default Set = iota
	// All sections appear in "all" and "everything".
	All
	// Everything sections appear in "everything" only.
	Everything
	// Asked sections appear only when they are asked for by name.
	Asked
)

type field struct {
	name, help string
	kind       Kind
	read       func(rendering) string
	rows       func(emit func(name, value string))
}

// Measured says that the section's numbers take too long to be looked up when asked for: measure does it on
// another goroutine and calls done, and until then the section shows what was measured last. It must not block.
func (s *Section) Measured(measure func(done func())) { s.measure = measure }

// Measures reports whether the INFO arguments name a section that is Measured.
func (r *Registry) Measures(args ...string) bool { return len(r.measured(args)) > 0 }

func (r *Registry) measured(args []string) (all []func(done func())) {
	want := wanted(args)
	for _, s := range r.sections {
		if s.measure != nil && want(s) {
			all = append(all, s.measure)
		}
	}
	return all
}

// Measure measures these sections and calls done, on any goroutine. REQUIRES: Measures.
func (r *Registry) Measure(done func(), args ...string) {
	all := r.measured(args)
	left := new(atomic.Int64)
	left.Store(int64(len(all)))
	for _, measure := range all {
		measure(func() {
			if left.Add(-1) == 0 {
				done()
			}
		})
	}
}

// Section adds a section, or returns the one that has this name already.
func (r *Registry) Section(name, title string, set Set) *Section {
	for _, s := range r.sections {
		if s.name == name {
			return s
		}
	}
	s := &Section{name: name, title: title, set: set}
	r.sections = append(r.sections, s)
	return s
}

// Counter registers and returns a new counter.
func (s *Section) Counter(name, help string) *Counter {
	c := new(Counter)
	s.Counted(name, help, c)
	return c
}

// Counted registers a counter that lives elsewhere, or the sum of several. CONFIG RESETSTAT resets it.
func (s *Section) Counted(name, help string, parts ...*Counter) {
	s.Int(name, help, Count, func() (n int64) {
		for _, c := range parts {
			n += c.Load()
		}
		return n
	})
	for _, c := range parts {
		s.resets = append(s.resets, c.Reset)
	}
}

// Level registers and returns a new level.
func (s *Section) Level(name, help string) *Level {
	g := new(Level)
	s.Int(name, help, Gauge, g.Load)
	return g
}

// Int registers a number that is computed when asked for. read must be safe to call from
// any goroutine.
func (s *Section) Int(name, help string, kind Kind, read func() int64) {
	s.int(name, help, kind, func(rendering) int64 { return read() })
}

// Float registers a number printed with prec digits after the point.
func (s *Section) Float(name, help string, kind Kind, prec int, read func() float64) {
	s.float(name, help, kind, prec, func(rendering) float64 { return read() })
}

func (s *Section) int(name, help string, kind Kind, read func(rendering) int64) {
	s.add(field{name: name, help: help, kind: kind, read: func(r rendering) string { return strconv.FormatInt(read(r), 10) }})
}

func (s *Section) float(name, help string, kind Kind, prec int, read func(rendering) float64) {
	s.add(field{name: name, help: help, kind: kind, read: func(r rendering) string {
		f := read(r)
		if math.IsNaN(f) || math.IsInf(f, 0) {
			f = 0
		}
		return strconv.FormatFloat(f, 'f', prec, 64)
	}})
}

// Text registers a field that INFO shows and /metrics leaves out.
func (s *Section) Text(name, help string, read func() string) {
	s.add(field{name: name, help: help, kind: Text, read: func(rendering) string { return read() }})
}

// rendering is what has been looked up for one rendering, by Sample.
type rendering map[any]any

// Sample is numbers of a section that are looked up together, once a rendering: for what costs
// more than a few loads.
type Sample[T any] struct {
	s    *Section
	take func() T
}

// Sampled makes a Sample. take must be safe to call from any goroutine.
func Sampled[T any](s *Section, take func() T) *Sample[T] { return &Sample[T]{s, take} }

func (p *Sample[T]) in(r rendering) T {
	v, ok := r[p].(T)
	if !ok {
		v = p.take()
		r[p] = v
	}
	return v
}

// Int, Float and Text are Section's, of a number of the Sample.
func (p *Sample[T]) Int(name, help string, kind Kind, of func(T) int64) {
	p.s.int(name, help, kind, func(r rendering) int64 { return of(p.in(r)) })
}

func (p *Sample[T]) Float(name, help string, kind Kind, prec int, of func(T) float64) {
	p.s.float(name, help, kind, prec, func(r rendering) float64 { return of(p.in(r)) })
}

func (p *Sample[T]) Text(name, help string, of func(T) string) {
	p.s.add(field{name: name, help: help, kind: Text, read: func(r rendering) string { return of(p.in(r)) }})
}

// Rows registers lines whose names are known only when asked for, such as slave0:... or
// cmdstat_get:.... They are printed where they were registered.
func (s *Section) Rows(help string, rows func(emit func(name, value string))) {
	s.add(field{help: help, kind: Text, rows: rows})
}

// OnReset registers what CONFIG RESETSTAT must do besides resetting the counters.
func (s *Section) OnReset(f func()) { s.resets = append(s.resets, f) }

func (s *Section) add(f field) {
	for _, have := range s.fields {
		if f.name != "" && have.name == f.name {
			panic("stat: field " + f.name + " registered twice in section " + s.name)
		}
	}
	s.fields = append(s.fields, f)
}

// Reset does what CONFIG RESETSTAT asks of every section.
func (r *Registry) Reset() {
	for _, s := range r.sections {
		for _, f := range s.resets {
			f()
		}
	}
}

// Info renders the sections that the INFO arguments name, in registry order: none or
// "default" for the default ones, "all", "everything", or section names, without regard
// to case. Unknown names render nothing. Every line ends in \r\n.
func (r *Registry) Info(args ...string) []byte {
	var b strings.Builder
	want := wanted(args)
	for _, s := range r.sections {
		if !want(s) {
			continue
		}
		if b.Len() > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString("# " + s.title + "\r\n")
		s.each(func(name, value string) { b.WriteString(name + ":" + value + "\r\n") })
	}
	return []byte(b.String())
}

// wanted is which sections the INFO arguments name.
func wanted(args []string) func(*Section) bool {
	if len(args) == 0 {
		args = []string{"default"}
	}
	return func(s *Section) bool {
		for _, a := range args {
			switch a = strings.ToLower(a); {
			case a == s.name, a == "everything" && s.set <= Everything, a == "all" && s.set <= All, a == "default" && s.set == Default:
				return true
			}
		}
		return false
	}
}

func (s *Section) each(emit func(name, value string)) {
	r := rendering{}
	for _, f := range s.fields {
		if f.rows != nil {
			f.rows(emit)
		} else {
			emit(f.name, f.read(r))
		}
	}
}

// Value returns what INFO would print for one registered field, for tests and tools.
func (r *Registry) Value(name string) (string, bool) {
	for _, s := range r.sections {
		for _, f := range s.fields {
			if f.name == name && f.read != nil {
				return f.read(rendering{}), true
			}
		}
	}
	return "", false
}

// Metrics renders every number in the Prometheus text format, each name prefixed with
// "sextant_", in ascending order of name.
func (r *Registry) Metrics() []byte {
	type metric struct{ name, help, kind, value string }
	var ms []metric
	seen := map[string]bool{}
	looked := rendering{}
	for _, s := range r.sections {
		for _, f := range s.fields {
			if f.kind == Text || seen[f.name] {
				continue
			}
			seen[f.name] = true
			kind := "gauge"
			if f.kind == Count {
				kind = "counter"
			}
			ms = append(ms, metric{"sextant_" + f.name, f.help, kind, f.read(looked)})
		}
	}
	sort.Slice(ms, func(i, j int) bool { return ms[i].name < ms[j].name })
	var b strings.Builder
	for _, m := range ms {
		b.WriteString("# HELP " + m.name + " " + m.help + "\n# TYPE " + m.name + " " + m.kind + "\n" + m.name + " " + m.value + "\n")
	}
	return []byte(b.String())
}
