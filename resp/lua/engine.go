package lua

import (
	"sync"
	"sync/atomic"

	"github.com/sextantdb/sextant/resp"
)

// Bounds of the engine.
const (
	// evalScripts is how many scripts sent with EVAL are kept for EVALSHA; those of SCRIPT LOAD are kept until SCRIPT
	// FLUSH, as in Redis.
	evalScripts = 500
	// idleMachines is how many machines wait in the pool.
	idleMachines = 16
)

// pool is idle machines of one sort.
type pool struct {
	idle  []*interp
	bytes int64 // of them, as they were when last given back
}

// Options configure an Engine. Functions may be nil.
type Options struct {
	// MemoryLimit is how many bytes the values of one machine may take; 0 is no bound.
	MemoryLimit func() int64
	// Log takes what scripts say with redis.log.
	Log func(level int, text string)
	// Seconds is os.clock.
	Seconds func() float64
	// LoadInterrupt is asked while the code of a library runs at its loading, with when that began; a text ends it. nil: never.
	LoadInterrupt func() func() string
	// Version is redis.REDIS_VERSION, "7.2.4".
	Version string
}

// Engine runs scripts and functions.
type Engine struct {
	o Options

	anyStrays atomic.Bool // some script Strays

	mu      sync.Mutex
	scripts map[string]*Script // by SHA1 in lower-case hex
	recent  Script             // ring of scripts that may be evicted: recent.next was used last
	evictIt int                // how many they are
	bytes   int64              // of all scripts
	evicted int64
	pools   [2]pool // machines for scripts, and for functions
	epoch   uint64  // of the pools: machines from before a flush are not taken back
	made    int32   // machines so far: each has a sequence of random numbers of its own, the first Redis'
	libs    *Libraries
}

// New makes an Engine.
func New(o Options) *Engine {
	if o.MemoryLimit == nil {
		o.MemoryLimit = func() int64 { return 0 }
	}
	if o.Log == nil {
		o.Log = func(int, string) {}
	}
	if o.Seconds == nil {
		o.Seconds = func() float64 { return 0 }
	}
	if o.Version == "" {
		o.Version = "7.2.4"
	}
	e := &Engine{o: o, scripts: map[string]*Script{}, libs: noLibraries()}
	e.recent.prev, e.recent.next = &e.recent, &e.recent
	return e
}

const shaLen = 40

// Find returns the script with this SHA1, in any case, or nil.
func (e *Engine) Find(sha []byte) *Script {
	if len(sha) != shaLen {
		return nil
	}
	var low [shaLen]byte
	for i, c := range sha {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		low[i] = c
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.scripts[string(low[:])]
	if s != nil && !s.loaded && e.recent.next != s {
		s.unlink()
		e.linkLocked(s)
	}
	return s
}

func (s *Script) unlink() {
	s.prev.next, s.next.prev = s.next, s.prev
	s.prev, s.next = nil, nil
}

// linkLocked makes s the script used last.
func (e *Engine) linkLocked(s *Script) {
	s.prev, s.next = &e.recent, e.recent.next
	s.next.prev = s
	e.recent.next = s
}

// Compile returns the script with this text, from the cache or new. load: it came by SCRIPT LOAD.
func (e *Engine) Compile(body []byte, load bool) (*Script, resp.Error) {
	sha := Digest(body)
	if s := e.Find([]byte(sha)); s != nil {
		if load {
			e.mu.Lock()
			if !s.loaded {
				s.loaded = true
				if s.prev != nil {
					s.unlink()
					e.evictIt--
				}
			}
			e.mu.Unlock()
		}
		return s, ""
	}
	s, err := compile(sha, body)
	if err != "" {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if there := e.scripts[sha]; there != nil { // another loop was quicker
		return there, ""
	}
	e.scripts[sha] = s
	e.bytes += s.bytes()
	if s.loaded = load; !load {
		e.linkLocked(s)
		if e.evictIt++; e.evictIt > evalScripts {
			oldest := e.recent.prev
			oldest.unlink()
			delete(e.scripts, oldest.SHA)
			e.bytes -= oldest.bytes()
			e.evictIt--
			e.evicted++
		}
	}
	return s, ""
}

// Flush forgets all scripts (SCRIPT FLUSH).
func (e *Engine) Flush() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.scripts = map[string]*Script{}
	e.recent.prev, e.recent.next = &e.recent, &e.recent
	e.evictIt, e.bytes = 0, 0
	e.dropLocked(false)
}

func (e *Engine) poolOf(functions bool) *pool {
	if functions {
		return &e.pools[1]
	}
	return &e.pools[0]
}

// dropLocked forgets the machines of one sort, with all they hold.
func (e *Engine) dropLocked(functions bool) {
	*e.poolOf(functions) = pool{}
	e.epoch++
}

// take gets a machine for a run.
func (e *Engine) take(functions bool) *interp {
	e.mu.Lock()
	p := e.poolOf(functions)
	if n := len(p.idle); n > 0 {
		in := p.idle[n-1]
		p.idle[n-1] = nil
		p.idle = p.idle[:n-1]
		p.bytes -= in.weighed
		in.epoch = e.epoch
		e.mu.Unlock()
		return in
	}
	epoch := e.epoch
	e.mu.Unlock()
	in := newInterp(e, functions)
	in.epoch = epoch
	return in
}

// seed is what a new machine's random numbers begin with.
func (e *Engine) seed() int32 {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.made++
	return e.made - 1
}

// give puts a machine back.
func (e *Engine) give(in *interp) {
	in.reset()
	e.mu.Lock()
	if p := e.poolOf(in.functions); in.epoch == e.epoch && len(p.idle) < idleMachines {
		p.idle = append(p.idle, in)
		p.bytes += in.weighed
	}
	e.mu.Unlock()
}

// ResetStats zeroes what CONFIG RESETSTAT zeroes.
func (e *Engine) ResetStats() {
	e.mu.Lock()
	e.evicted = 0
	e.mu.Unlock()
}

// Numbers are what INFO shows.
type Numbers struct {
	Scripts, ScriptBytes, EvictedScripts int64
	Libraries, Functions, FunctionBytes  int64
	EvalVMBytes, FunctionVMBytes         int64
}

// Numbers counts. Any goroutine.
func (e *Engine) Numbers() Numbers {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := Numbers{Scripts: int64(len(e.scripts)), ScriptBytes: e.bytes, EvictedScripts: e.evicted, EvalVMBytes: e.pools[0].bytes, FunctionVMBytes: e.pools[1].bytes}
	n.Libraries, n.Functions, n.FunctionBytes = e.libs.count()
	return n
}
