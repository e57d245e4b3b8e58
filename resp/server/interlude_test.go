package server

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// A call that was set aside runs again in a function given to Do. What it has written of its reply is not sent before the
// rest, though others are served in between.
func TestInterludeSendsNothingHalf(t *testing.T) {
	h := newToy()
	const first, half, rest = "+first\r\n", "*2\r\n:1\r\n", ":2\r\n"
	pending := make(chan int, 1)
	h.onCmd = func(c *Conn, argv [][]byte) bool {
		c.Do(func() { c.Out.Raw([]byte(first)) }) // the loop has something to send of the connection when the next one runs
		c.Do(func() {
			c.Out.Raw([]byte(half))
			c.Loop().Interlude()
			pending <- c.Pending()
			c.Out.Raw([]byte(rest))
		})
		return true
	}
	s := serve(t, h, nil)
	c := dial(t, s)
	_, err := c.Write([]byte("GO\r\n"))
	require.NoError(t, err)
	require.Equal(t, len(first+half), <-pending)
	got := make([]byte, len(first+half+rest))
	_, err = io.ReadFull(c, got)
	require.NoError(t, err)
	require.Equal(t, first+half+rest, string(got))
}
