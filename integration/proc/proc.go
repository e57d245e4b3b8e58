// Package proc has what every test of real processes needs: ports nobody listens on, and what a process printed.
//
// The tests of cluster/node, cmd/sextant, integration/cluster and integration/compat use it. It must not know Sextant: how a
// server is started and what it answers is each harness' own.
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
		p := 11000 + rand.IntN(11500) // the upper ones stay below the range of outgoing connections
		if !given.ports[p] && free(p) && free(p+Bus) {
			given.ports[p] = true
			ports = append(ports, p)
		}
	}
	t.Fatal("no port is free")
	return nil
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
