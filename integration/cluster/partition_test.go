package cluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/integration/proc"
)

// split is a grid whose nodes have addresses of their own (127.x.y.1, .2, …) and reach each
// other, for bus and replication alike, only through gates that can be closed: then bytes stand
// still and nobody is told, as when a switch dies. The test's own clients always get through.
type split struct {
	*grid
	hosts []string
	gates []int // the client ports that nodes announce

	mu   sync.Mutex
	open *sync.Cond
	side []int // guarded by mu: nodes of different sides do not hear each other
}

func newSplit(t testing.TB, n int, directives ...string) *split {
	s := &split{grid: &grid{t: t}, side: make([]int, n), gates: proc.FreePorts(t, n)}
	s.open = sync.NewCond(&s.mu)
	prefix := fmt.Sprintf("127.%d.%d.", 1+rand.IntN(254), rand.IntN(255))
	root := t.TempDir()
	args := []string{"cluster", "create", "--replicas", "1", "--yes"}
	for i := range n { // before any gate opens: gates look at them from their own goroutines
		s.hosts = append(s.hosts, prefix+strconv.Itoa(i+1))
	}
	for i, port := range proc.FreePorts(t, n) {
		host, gate := s.hosts[i], s.gates[i]
		dir := filepath.Join(root, strconv.Itoa(port))
		require.NoError(t, os.Mkdir(dir, 0o755))
		p := &process{t: t, host: host, port: port, dir: dir}
		p.args = append([]string{"server", "--port", strconv.Itoa(port), "--bind", host, "--bind-source-addr", host, "--dir", dir,
			"--protected-mode", "no", "--cluster-enabled", "yes", "--enable-debug-command", "yes", "--cluster-announce-ip", host,
			"--cluster-announce-port", strconv.Itoa(gate), "--cluster-announce-bus-port", strconv.Itoa(gate + 10000)}, directives...)
		s.nodes = append(s.nodes, p)
		s.gate(i, gate, port)
		s.gate(i, gate+10000, port+10000)
		p.launch()
		args = append(args, host+":"+strconv.Itoa(gate))
	}
	t.Cleanup(s.heal)
	s.run(binary, args...)
	s.settled()
	return s
}

// gate lets connections to a port of node i through, as long as both ends are on one side.
func (s *split) gate(i, outer, inner int) {
	l, err := net.Listen("tcp", net.JoinHostPort(s.hosts[i], strconv.Itoa(outer)))
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			go s.carry(in, i, inner)
		}
	}()
}

func (s *split) carry(in net.Conn, i, port int) {
	defer in.Close()
	from, _, _ := net.SplitHostPort(in.RemoteAddr().String())
	j := -1
	for k, h := range s.hosts {
		if h == from {
			j = k
		}
	}
	s.await(i, j)
	d := net.Dialer{}
	if j >= 0 {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)} // the node must see who calls
	}
	out, err := d.Dial("tcp", net.JoinHostPort(s.hosts[i], strconv.Itoa(port)))
	if err != nil {
		return
	}
	defer out.Close()
	done := make(chan struct{}, 2)
	pipe := func(to, from net.Conn) {
		defer func() { done <- struct{}{} }()
		b := make([]byte, 32<<10)
		for {
			n, err := from.Read(b)
			s.await(i, j)
			if n > 0 {
				if _, err := to.Write(b[:n]); err != nil {
					return
				}
			}
			if err != nil {
				return
			}
		}
	}
	go pipe(out, in)
	go pipe(in, out)
	<-done
}

// await waits until i and j hear each other; j < 0 is not a node.
func (s *split) await(i, j int) {
	s.mu.Lock()
	for j >= 0 && s.side[i] != s.side[j] {
		s.open.Wait()
	}
	s.mu.Unlock()
}

// isolate puts nodes on a side of their own.
func (s *split) isolate(nodes ...int) {
	s.mu.Lock()
	for _, i := range nodes {
		s.side[i] = 1
	}
	s.mu.Unlock()
}

func (s *split) heal() {
	s.mu.Lock()
	clear(s.side)
	s.mu.Unlock()
	s.open.Broadcast()
}

// A primary cut off from the others stops serving within the node timeout; its replica takes
// over; what the old primary had accepted before may be lost (contract S3), what anyone accepts
// afterwards is not, and nothing is accepted twice over.
func TestMinorityStopsServing(t *testing.T) {
	s := newSplit(t, 6, "--cluster-node-timeout", "2000")
	old, heir := s.nodes[0], s.nodes[3]
	key := ownedKey(t, old)
	require.Equal(t, "OK", old.try("SET", key, "before"))

	s.isolate(0)
	cut := time.Now()
	// A client on the minority side writes on and on.
	c := old.dial()
	defer c.Close()
	var last time.Time
	refused := ""
	for refused == "" {
		if err := c.Set(context.Background(), key, "minority", 0).Err(); err != nil {
			refused = err.Error()
		} else {
			last = time.Now()
		}
		require.Less(t, time.Since(cut), 10*time.Second, "the minority goes on serving")
		time.Sleep(time.Millisecond)
	}
	assert.True(t, strings.HasPrefix(refused, "CLUSTERDOWN"), refused)
	assert.Less(t, last.Sub(cut), 2000*time.Millisecond, "the lease is over within the node timeout")
	taken := probeUntilServed(t, heir, key, cut)
	fmt.Printf("  minority served for %v after the cut, the majority again after %v\n", last.Sub(cut).Round(time.Millisecond), taken.Round(time.Millisecond))
	assert.Greater(t, cut.Add(taken), last, "never two at once")
	assert.Less(t, taken, servedWithin)

	// Now nothing may be accepted by the minority any more, whatever is asked of it.
	for range 50 {
		assert.True(t, strings.HasPrefix(old.try("SET", key, "late"), "-CLUSTERDOWN"))
		assert.True(t, strings.HasPrefix(old.try("GET", key), "-CLUSTERDOWN"), "nor read")
	}
	require.Equal(t, "OK", heir.try("SET", key, "majority"))
	s.heal()
	old.eventually(20*time.Second, "returned as replica of its heir", func() bool {
		return old.info("role") == "slave" && old.info("master_host") == s.hosts[3] && old.info("master_link_status") == "up"
	})
	assert.Equal(t, "majority", heir.try("GET", key))
	old.eventually(10*time.Second, "equal data", func() bool {
		d := heir.try("DEBUG", "DIGEST")
		return len(d) == 40 && d == old.try("DEBUG", "DIGEST")
	})

	// Two of three voters cut off together: the third alone must not serve either, nor elect.
	s.isolate(1, 4, 2, 5)
	other := s.nodes[3]
	other.eventually(10*time.Second, "one voter of three serves nothing", func() bool { return other.state() == "fail" })
	assert.True(t, strings.HasPrefix(other.try("SET", key, "x"), "-CLUSTERDOWN"))
	s.heal()
	for _, n := range s.nodes {
		n.eventually(20*time.Second, "whole again", func() bool { return n.state() == "ok" })
	}
	require.Equal(t, "OK", heir.try("SET", key, "again"))
}
