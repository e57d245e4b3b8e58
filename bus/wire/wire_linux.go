package wire

import (
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"
)

// Conn reads and writes a connection's descriptor. No call blocks: what must wait parks in the runtime's poller, until
// the connection's deadline.
//
// One goroutine at a time reads, one at a time writes.
type Conn struct {
	rc syscall.RawConn // immutable

	// The reader's.
	in   moved
	read func(fd uintptr) bool
	// The writer's.
	out   moved
	wait  bool
	write func(fd uintptr) bool
}

// moved is what one call moved.
type moved struct {
	p   []byte
	n   int
	err error
}

// New returns nil when there is no descriptor below conn that has its bytes as they are.
func New(conn net.Conn) *Conn {
	t, ok := conn.(*net.TCPConn)
	if !ok {
		return nil
	}
	rc, err := t.SyscallConn()
	if err != nil {
		return nil
	}
	w := &Conn{rc: rc}
	w.read = func(fd uintptr) bool {
		n, errno := rawCall(syscall.SYS_READ, fd, w.in.p)
		switch {
		case errno == syscall.EAGAIN:
			return false
		case errno != 0:
			w.in.err = os.NewSyscallError("read", errno)
		case n == 0:
			w.in.err = io.EOF
		}
		w.in.n = n
		return true
	}
	w.write = func(fd uintptr) bool {
		n, errno := rawCall(syscall.SYS_WRITE, fd, w.out.p[w.out.n:])
		switch {
		case errno == syscall.EAGAIN:
			return !w.wait
		case errno != 0:
			w.out.err = os.NewSyscallError("write", errno)
			return true
		}
		w.out.n += n
		return !w.wait || w.out.n == len(w.out.p)
	}
	return w
}

// rawCall reads or writes p, which is not empty.
func rawCall(call, fd uintptr, p []byte) (n int, errno syscall.Errno) {
	for {
		r, _, errno := syscall.RawSyscall(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		if errno == 0 {
			return int(r), 0
		}
		if errno != syscall.EINTR {
			return 0, errno
		}
	}
}

// Read waits for bytes, as net.Conn's does.
func (w *Conn) Read(p []byte) (int, error) {
	w.in = moved{p: p}
	if err := w.rc.Read(w.read); err != nil {
		return 0, err
	}
	return w.in.n, w.in.err
}

// Write writes all of p, as net.Conn's does.
func (w *Conn) Write(p []byte) (int, error) { return w.put(p, true) }

// TryWrite writes what the socket takes now: less than len(p) when it is full.
func (w *Conn) TryWrite(p []byte) (int, error) { return w.put(p, false) }

func (w *Conn) put(p []byte, wait bool) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	w.out, w.wait = moved{p: p}, wait
	err := w.rc.Write(w.write)
	if err == nil {
		err = w.out.err
	}
	n := w.out.n
	w.out.p = nil
	return n, err
}
