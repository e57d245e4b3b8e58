package server

import (
	"errors"
	"net"
)

// errAgain is what a socket answers when nothing can be read or written now; the loop will hear when that changes.
var errAgain = errors.New("try again")

// socket is the way bytes come and go. Both kinds behave like a non-blocking descriptor: *fdSocket is one (Linux, plain
// TCP and unix sockets), *streamSocket imitates one with two goroutines over any net.Conn (TLS, other systems).
// All methods are called on the connection's loop.
type socket interface {
	// fd returns the descriptor number, or −1.
	fd() int
	// read fills p with what is there: n > 0, or errAgain, io.EOF or another error.
	read(p []byte) (n int, err error)
	// write sends what can be sent of p now: n > 0, or errAgain or another error.
	write(p []byte) (n int, err error)
	// wantWrite says whether the loop wants to hear when write can go on.
	wantWrite(on bool) error
	// forget takes the socket out of the loop's sight; after that close and detach may follow.
	forget()
	close()
	// detach gives up the socket as a blocking net.Conn. unread and unsent are bytes on the way inside the socket.
	detach() (nc net.Conn, unread, unsent []byte, err error)
}
