package server

import (
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// A client that is sent much in every round has the same large buffer each time; when nobody needs it any more it is
// given up, at the second tick.
func TestLargeOutputBuffersAreLentAgain(t *testing.T) {
	s := serve(t, newToy(), nil)
	c := dial(t, s)
	big := strings.Repeat("x", 2*pooledOut)
	want := "$" + strconv.Itoa(len(big)) + "\r\n" + big + "\r\n"
	c.send(request("SET", "big", big))
	c.expect("+OK\r\n")
	l := s.Conns()[0].loop
	larges := func() (at []*byte) {
		done := make(chan struct{})
		l.Post(func() {
			for _, b := range l.larges {
				at = append(at, unsafe.SliceData(b))
			}
			close(done)
		})
		<-done
		return at
	}
	again := 0
	for last, i := []*byte(nil), 0; i < 50; i++ {
		c.send(request("GET", "big"))
		c.expect(want)
		now := larges()
		if len(last) == 1 && len(now) == 1 && last[0] == now[0] {
			again++
		}
		last = now
	}
	require.Positive(t, again, "a tick between two of the calls may take the buffer, not between all")
	eventually(t, "given up", func() bool { return len(larges()) == 0 })
}
