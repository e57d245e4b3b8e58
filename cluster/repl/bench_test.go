package repl

import (
	"fmt"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/slot"
)

// storeApplier puts SETs into a store, as dispatch's Applier does with more ado.
type storeApplier struct {
	s   *store.Store
	txn store.Txn
	now int64
}

func (a *storeApplier) Reset()            {}
func (a *storeApplier) Select(int)        {}
func (a *storeApplier) Ahead([]byte, int) {}
func (a *storeApplier) Lasting() bool     { return true }
func (a *storeApplier) Apply(argv [][]byte, ran func()) error {
	if is(argv[0], "SET") {
		a.txn.Begin(a.s, a.now, slot.Of(argv[1]))
		a.txn.SetView(store.ViewStream)
		a.txn.SetString(argv[1], argv[2], store.NoExpire)
		a.txn.End()
	}
	return nil
}

// One goroutine parsing, applying and relaying a stream that lies in memory.
func BenchmarkApply(b *testing.B) {
	for _, kind := range []string{"nothing", "store"} {
		b.Run(kind, func(b *testing.B) {
			e, err := New(Deps{Listen: func(Event) {}, Rand: zero{}, Now: wallMs, Apply: &storeApplier{s: newStore(b, false), now: wallMs()}}, DefaultOptions())
			require.NoError(b, err)
			if kind == "nothing" {
				e.deps.Apply = nothing{}
			}
			e.Stream.restart(History{ID: NoID, ID2: NoID, Second: -1}, 0, true)
			l := newLink(e, "", 0)
			var buf []byte
			const n = 2000
			for i := range n {
				buf = resp.AppendCommandStrings(buf, "SET", fmt.Sprintf("key:%012d", i*7919%100000), string(make([]byte, 64)))
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%n != 0 {
					continue
				}
				var p resp.Parser
				for kept, next, more := 0, 0, true; more; {
					if kept, next, more, err = l.apply(&p, buf, kept, next); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

type nothing struct{}

func (nothing) Reset()                       {}
func (nothing) Select(int)                   {}
func (nothing) Apply([][]byte, func()) error { return nil }
func (nothing) Ahead([]byte, int)            {}
func (nothing) Lasting() bool                { return true }

type zero struct{}

func (zero) Read(p []byte) (int, error) { return len(p), nil }

// From our stream over a socket into a replica, ours or a real one, until it has acknowledged.
func BenchmarkReplica(b *testing.B) {
	for _, kind := range []string{"sextant", "redis"} {
		b.Run(kind, func(b *testing.B) {
			p := benchNode(b)
			var rc *client
			if kind == "redis" {
				rc, _ = realRedis(b, "--replicaof", "127.0.0.1 "+strconv.Itoa(p.port))
			} else {
				r := benchNode(b)
				r.e.deps.Apply = &storeApplier{s: newStore(b, false), now: wallMs()}
				r.e.Follow("127.0.0.1", p.port, nil)
			}
			acked := func() int64 {
				p.e.mu.Lock()
				defer p.e.mu.Unlock()
				if len(p.e.replicas) == 0 || p.e.replicas[0].state != replicaOnline {
					return -1
				}
				return p.e.replicas[0].ackOff
			}
			for acked() < 0 {
				time.Sleep(time.Millisecond)
			}
			e := effects(0, []string{"SET", "key:000000000001", string(make([]byte, 64))})
			key := e.Buf[len("*3\r\n$3\r\nSET\r\n$16\r\nkey:"):][:12]
			own, its := ownCPU(), redisCPU(rc)
			b.ResetTimer()
			for i := range b.N {
				for j, v := 11, i*7919%100000; j >= 0; j, v = j-1, v/10 {
					key[j] = byte('0' + v%10)
				}
				p.e.Stream.Append(e)
			}
			for end := p.e.Stream.Offset(); acked() < end; {
				p.e.Stream.control(getackBytes)
				time.Sleep(2 * time.Millisecond)
			}
			b.StopTimer()
			// The machine is shared: processor time says more than the clock. Ours holds the
			// primary's part too, which the line of redis shows alone.
			b.ReportMetric(float64(ownCPU()-own)/float64(b.N), "own-cpu-ns/op")
			b.ReportMetric(float64(redisCPU(rc)-its)/float64(b.N), "redis-cpu-ns/op")
		})
	}
}

func ownCPU() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func redisCPU(c *client) (d time.Duration) {
	if c == nil {
		return 0
	}
	for _, name := range []string{"used_cpu_user_main_thread", "used_cpu_sys_main_thread"} {
		f, _ := strconv.ParseFloat(c.field(name), 64)
		d += time.Duration(f * 1e9)
	}
	return d
}

func benchNode(b *testing.B) *testNode {
	n := freshNode(b, func(o *Options) { o.HardLimit, o.SoftLimit = 0, 0; o.PingPeriod = time.Hour })
	return n.start()
}
