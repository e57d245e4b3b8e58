// Package proc has what every test of real processes needs: ports nobody listens on, processes that do not outlive the test
// and what they printed, and a network between them that can be cut.
//
// The tests of cluster/repl, cluster/node, cmd/sextant, integration/cluster and integration/compat use it. Of Sextant it knows
// only how it is built: with which arguments a server is started and what it answers is each harness' own.
//
// # Concurrency
//
// Ports may be asked for by tests that run side by side. A Process is used by its test's goroutine, its Output may be read by
// anyone; a Road by anyone.
package proc

import (
	"bytes"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Bus is how far above a client's port the port of the cluster bus is.
const Bus = 10000

// given are the ports that tests of this process have, so that those that run side by side do not
// take each other's.
var given = struct {
	sync.Mutex
	ports map[int]bool
}{ports: map[int]bool{}}

// FreePorts returns n ports that are free, and so are the ones Bus above. No port is given twice.
func FreePorts(t testing.TB, n int) (ports []int) {
	t.Helper()
	given.Lock()
	defer given.Unlock()
	for range 10000 {
		if len(ports) == n {
			return ports
		}
		if p := anyPort(1); takeRow(p, 1) {
			ports = append(ports, p)
		}
	}
	t.Fatal("no port is free")
	return nil
}

// FreeRow returns the first of n ports in a row as those of FreePorts.
func FreeRow(t testing.TB, n int) int {
	t.Helper()
	given.Lock()
	defer given.Unlock()
	for range 10000 {
		if p := anyPort(n); takeRow(p, n) {
			return p
		}
	}
	t.Fatalf("no %d ports in a row are free", n)
	return 0
}

// anyPort is the first of n; with the buses' they stay below the range of outgoing connections.
func anyPort(n int) int { return 11000 + rand.IntN(11501-n) }

// takeRow gives the n ports from p on away, if all are free. REQUIRES: given.
func takeRow(p, n int) bool {
	for q := p; q < p+n; q++ {
		if given.ports[q] || !free(q) || !free(q+Bus) {
			return false
		}
	}
	for q := p; q < p+n; q++ {
		given.ports[q] = true
	}
	return true
}

// FreePort is one of FreePorts.
func FreePort(t testing.TB) int {
	t.Helper()
	return FreePorts(t, 1)[0]
}

func free(port int) bool {
	l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		return false
	}
	_ = l.Close()
	return true
}

// Output is what a process prints; it may be read meanwhile.
type Output struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// Tail is the last lines of s.
func Tail(s string, lines int) string {
	all := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
