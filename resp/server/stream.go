package server

import (
	"io"
	"net"
	"sync"
	"time"
)

// streamRoom bounds each direction of a streamSocket.
const streamRoom = 32 << 10

// streamSocket makes a net.Conn look non-blocking: one goroutine reads ahead, one writes behind, each with a bounded
// buffer. They end when the net.Conn is closed.
type streamSocket struct {
	nc   net.Conn
	wake func() // tells the loop that take or room has something new; immutable once started

	mu       sync.Mutex // guards all below
	canRead  sync.Cond  // the loop took the input
	canWrite sync.Cond  // the loop gave output, or ended the socket
	in       []byte     // read and not taken by the loop; refilled when empty
	readErr  error
	out      []byte // given by the loop and not yet being written
	busy     int    // bytes being written
	writeErr error
	want     bool // the loop waits for room
	ended    bool

	readers sync.WaitGroup // both goroutines
}

func newStreamSocket(nc net.Conn) *streamSocket {
	s := &streamSocket{nc: nc}
	s.canRead.L, s.canWrite.L = &s.mu, &s.mu
	return s
}

// start begins reading; wake may be called from then on, from other goroutines.
func (s *streamSocket) start(wake func()) {
	s.wake = wake
	s.readers.Add(2)
	go s.readAhead()
	go s.writeBehind()
}

func (s *streamSocket) readAhead() {
	defer s.readers.Done()
	buf := make([]byte, streamRoom)
	for {
		n, err := s.nc.Read(buf)
		s.mu.Lock()
		s.in, s.readErr = buf[:n], err
		s.mu.Unlock()
		s.wake()
		s.mu.Lock()
		for len(s.in) > 0 && !s.ended {
			s.canRead.Wait()
		}
		stop := s.ended || s.readErr != nil
		s.mu.Unlock()
		if stop {
			return
		}
	}
}

func (s *streamSocket) writeBehind() {
	defer s.readers.Done()
	var buf []byte
	for {
		s.mu.Lock()
		for len(s.out) == 0 && !s.ended {
			s.canWrite.Wait()
		}
		if s.ended {
			s.mu.Unlock()
			return
		}
		buf, s.out = s.out, buf[:0]
		s.busy = len(buf)
		s.mu.Unlock()
		_, err := s.nc.Write(buf)
		s.mu.Lock()
		s.busy = 0
		if err != nil {
			s.writeErr = err
		}
		tell := s.want || err != nil
		s.mu.Unlock()
		if tell {
			s.wake()
		}
		if err != nil {
			return
		}
	}
}

// state reports whether read and write would now give something else than errAgain.
func (s *streamSocket) state() (readable, writable bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.in) > 0 || s.readErr != nil, s.want && (s.room() > 0 || s.writeErr != nil)
}

// room is how much write takes now; busy bytes count, so that a reader who stops is noticed. REQUIRES: mu held.
func (s *streamSocket) room() int { return streamRoom - len(s.out) - s.busy }

func (s *streamSocket) fd() int { return -1 }

func (s *streamSocket) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.in) == 0 {
		if s.readErr != nil {
			return 0, s.readErr
		}
		return 0, errAgain
	}
	n := copy(p, s.in)
	s.in = s.in[n:]
	if len(s.in) == 0 {
		s.canRead.Signal()
	}
	return n, nil
}

func (s *streamSocket) write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writeErr != nil {
		return 0, s.writeErr
	}
	n := min(len(p), s.room())
	if n <= 0 {
		return 0, errAgain
	}
	s.out = append(s.out, p[:n]...)
	s.canWrite.Signal()
	return n, nil
}

func (s *streamSocket) wantWrite(on bool) error {
	s.mu.Lock()
	s.want = on
	late := on && s.room() > 0 // the writer drained it since write answered errAgain
	s.mu.Unlock()
	if late {
		s.wake()
	}
	return nil
}

func (s *streamSocket) forget() {}

// close lets the writer finish what it holds for a moment, as the kernel does for a descriptor, then closes.
func (s *streamSocket) close() {
	s.mu.Lock()
	left := len(s.out) + s.busy
	s.mu.Unlock()
	if left == 0 {
		s.end()
		s.nc.Close()
		return
	}
	go s.linger()
}

// lingerTime bounds how long a closed streamSocket may still be sending.
const lingerTime = 2 * time.Second

func (s *streamSocket) linger() {
	s.nc.SetWriteDeadline(time.Now().Add(lingerTime))
	s.mu.Lock()
	rest := append([]byte(nil), s.out...)
	s.out = nil
	s.mu.Unlock()
	s.end()
	// The writer goroutine may hold bytes that come first: it ends after them.
	s.nc.SetReadDeadline(time.Unix(1, 0))
	s.readers.Wait()
	if len(rest) > 0 {
		s.nc.Write(rest)
	}
	s.nc.Close()
}

func (s *streamSocket) end() {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	s.canRead.Broadcast()
	s.canWrite.Broadcast()
}

func (s *streamSocket) detach() (net.Conn, []byte, []byte, error) {
	s.end()
	s.nc.SetDeadline(time.Unix(1, 0)) // wakes both goroutines out of the net.Conn
	s.readers.Wait()
	if err := s.nc.SetDeadline(time.Time{}); err != nil {
		return nil, nil, nil, err
	}
	if s.readErr == io.EOF || s.writeErr != nil {
		return nil, nil, nil, io.ErrUnexpectedEOF
	}
	return s.nc, append([]byte(nil), s.in...), append([]byte(nil), s.out...), nil
}
