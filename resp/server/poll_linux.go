package server

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pollEvents is how many events one poll takes; more wait for the next round.
const pollEvents = 512

// acceptsPerRound bounds how many connections a listener adds in one round.
const acceptsPerRound = 128

// poller is a loop's epoll descriptor, with an eventfd for waking it and timers for its ticks and alarms.
//
// A loop with nothing to do sleeps in one of two ways. If Options.Brisk allows it, and while its sleeps are short, it waits
// inside epoll_wait, keeping its thread and its processor of Go's scheduler: what comes is served on the spot, with a warm
// cache. When nothing has come for briskWaitMs it parks like any goroutine that waits for a socket: another epoll descriptor, which Go's poller
// knows, watches this one meanwhile. It watches only then, for every event would wake a thread that waits in Go's poller.
type poller struct {
	loop *Loop

	// Immutable after construction.
	epfd, evfd int
	tmfd, alfd int      // ticks; alarms of WakeAt
	outer      *os.File // owns outerfd, the epoll descriptor that Go's poller knows
	outerfd    int
	raw        syscall.RawConn    // of outer
	again      func(uintptr) bool // polls once more; made once, so that parking allocates nothing

	// Owned by the loop.
	table  []watched // by descriptor number
	short  int       // the last so many parkings were short
	events [pollEvents]unix.EpollEvent
	n      int
	gen    int32
	aside  []unix.EpollEvent // see setAside

	woken atomic.Bool // the eventfd was written and the loop has not looked since

	closing struct {
		sync.Mutex // held while evfd or tmfd is used by another goroutine
		done       bool
	}
}

// watched is what a descriptor number means to the loop. gen tells the present owner of the number from an earlier one whose
// events may still lie in the batch.
type watched struct {
	gen  int32
	conn *Conn
	ln   *listener
}

func newPoller(l *Loop, hz int) (*poller, error) {
	p := &poller{loop: l, evfd: -1, tmfd: -1, alfd: -1}
	var err error
	if p.epfd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if p.outerfd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		unix.Close(p.epfd)
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err = unix.SetNonblock(p.outerfd, true); err == nil { // else NewFile would not tell Go's poller
		p.outer = os.NewFile(uintptr(p.outerfd), "epoll")
		p.raw, err = p.outer.SyscallConn()
	}
	if err == nil {
		err = unix.EpollCtl(p.outerfd, unix.EPOLL_CTL_ADD, p.epfd, &unix.EpollEvent{})
	}
	if err == nil {
		p.evfd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	}
	if err == nil {
		p.tmfd, err = unix.TimerfdCreate(unix.CLOCK_BOOTTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	}
	if err == nil {
		p.alfd, err = unix.TimerfdCreate(unix.CLOCK_BOOTTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	}
	for _, fd := range []int{p.evfd, p.tmfd, p.alfd} {
		if err == nil {
			err = p.ctl(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN, 0)
		}
	}
	if err != nil {
		p.close()
		return nil, err
	}
	p.again = func(uintptr) bool {
		p.poll(0)
		return p.n > 0
	}
	p.setHz(hz)
	return p, nil
}

// setHz changes the rate of ticks. They come at whole multiples of their interval, so that all loops and whoever else
// keeps to that wake up at once. Any goroutine.
func (p *poller) setHz(hz int) {
	every := int64(time.Second) / int64(hz)
	_, now := systemClock()
	spec := unix.ItimerSpec{Interval: unix.NsecToTimespec(every), Value: unix.NsecToTimespec(now - now%every + every)}
	p.closing.Lock()
	defer p.closing.Unlock()
	if !p.closing.done {
		// Cannot fail: the descriptor is a timer and the interval is valid.
		unix.TimerfdSettime(p.tmfd, unix.TFD_TIMER_ABSTIME, &spec, nil)
	}
}

// alarmIn sets the alarm, in place of an earlier one. On the loop only.
func (p *poller) alarmIn(d time.Duration) {
	// Cannot fail: the descriptor is a timer and the time is valid.
	unix.TimerfdSettime(p.alfd, 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}, nil)
}

// wake ends the loop's wait, or makes the next one return at once. Any goroutine.
func (p *poller) wake() {
	if !p.woken.CompareAndSwap(false, true) {
		return
	}
	one := [8]byte{1}
	p.closing.Lock()
	defer p.closing.Unlock()
	if !p.closing.done {
		unix.RawSyscall(unix.SYS_WRITE, uintptr(p.evfd), uintptr(unsafe.Pointer(&one)), unsafe.Sizeof(one))
	}
}

// takeWake reports whether somebody woke the loop since it looked last. What they left was there before.
func (p *poller) takeWake() bool { return p.woken.Load() && p.woken.Swap(false) }

// Bounds of how a loop sleeps.
const (
	briskWaitMs = 1                      // how long it waits with its thread before it parks
	shortPark   = 300 * time.Microsecond // a parking that ends sooner costs more than it gives others
	shortParks  = 3                      // after so many in a row the loop does not park at once any more
)

// wait polls, and if nothing is there and block is true sleeps until something is.
func (p *poller) wait(block bool) {
	if p.poll(0); p.n > 0 || !block {
		return
	}
	p.loop.idle()
	if p.loop.srv.opts.Brisk && p.short >= shortParks {
		if p.poll(briskWaitMs); p.n > 0 {
			return
		}
	}
	p.short++
	began := time.Now()
	p.show(unix.EPOLLIN)
	// Read polls before it parks, in the order that misses no event.
	if err := p.raw.Read(p.again); err != nil {
		panic("server: epoll descriptor lost: " + err.Error())
	}
	p.show(0)
	if time.Since(began) > shortPark {
		p.short = 0
	}
}

// show has the outer descriptor report these events of ours.
func (p *poller) show(events uint32) {
	ev := unix.EpollEvent{Events: events}
	_, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(p.outerfd), unix.EPOLL_CTL_MOD, uintptr(p.epfd), uintptr(unsafe.Pointer(&ev)), 0, 0)
	if errno != 0 {
		panic("server: epoll_ctl: " + errno.Error())
	}
}

// poll takes what there is, or waits for it up to ms milliseconds, with the thread. A signal, by which the runtime stops
// a goroutine, ends the wait.
func (p *poller) poll(ms int) {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.epfd), uintptr(unsafe.Pointer(&p.events[0])),
		pollEvents, uintptr(ms), 0, 0)
	if errno != 0 {
		if errno != unix.EINTR {
			panic("server: epoll_wait: " + errno.Error())
		}
		n = 0
	}
	p.n = int(n)
}

// setAside keeps the events that are being worked off until takeUp, so that others can be waited for in between.
func (p *poller) setAside() { p.aside = append(p.aside[:0], p.events[:p.n]...) }

func (p *poller) takeUp() { p.n = copy(p.events[:], p.aside) }

// serve works off the events of the last wait.
func (p *poller) serve() {
	for i := range p.n {
		ev := &p.events[i]
		fd := int(ev.Fd)
		switch fd {
		case p.evfd, p.alfd:
			clearCount(fd)
			continue
		case p.tmfd:
			clearCount(fd)
			p.loop.ticked = true
			continue
		}
		if fd >= len(p.table) || p.table[fd].gen != ev.Pad {
			continue
		}
		w := p.table[fd]
		if w.ln != nil {
			w.ln.acceptSome(p.loop)
			continue
		}
		if ev.Events&unix.EPOLLOUT != 0 {
			p.loop.writable(w.conn)
		}
		if ev.Events&^uint32(unix.EPOLLOUT) != 0 {
			p.loop.readable(w.conn)
		}
	}
	p.loop.executeGroup()
	p.n = 0
}

// clearCount reads an eventfd or timerfd, so that it is not reported again.
func clearCount(fd int) {
	var count [8]byte
	unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&count)), unsafe.Sizeof(count))
}

func (p *poller) ctl(op, fd int, events uint32, gen int32) error {
	err := unix.EpollCtl(p.epfd, op, fd, &unix.EpollEvent{Events: events, Fd: int32(fd), Pad: gen})
	return os.NewSyscallError("epoll_ctl", err)
}

func (p *poller) watch(fd int, conn *Conn, ln *listener) error {
	for fd >= len(p.table) {
		p.table = append(p.table, make([]watched, max(64, len(p.table)))...)
	}
	p.gen++
	p.table[fd] = watched{gen: p.gen, conn: conn, ln: ln}
	return p.ctl(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN, p.gen)
}

func (p *poller) unwatch(fd int) {
	p.table[fd] = watched{gen: -1}
	// The descriptor may have been duplicated (Detach), so closing it is not enough. An error means it is not there.
	p.ctl(unix.EPOLL_CTL_DEL, fd, 0, 0)
}

func (p *poller) close() {
	p.closing.Lock()
	defer p.closing.Unlock()
	if p.closing.done {
		return
	}
	p.closing.done = true
	for _, fd := range []int{p.evfd, p.tmfd, p.alfd} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	if p.outer != nil {
		p.outer.Close()
	} else {
		unix.Close(p.outerfd)
	}
	unix.Close(p.epfd)
}

// fdSocket is a non-blocking descriptor that a poller watches.
type fdSocket struct {
	num  int
	poll *poller
}

func (s *fdSocket) fd() int { return s.num }

func (s *fdSocket) read(p []byte) (int, error) {
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(s.num), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		switch {
		case errno == 0 && n == 0:
			return 0, io.EOF
		case errno == 0:
			return int(n), nil
		case errno == unix.EAGAIN:
			return 0, errAgain
		case errno != unix.EINTR:
			return 0, os.NewSyscallError("read", errno)
		}
	}
}

func (s *fdSocket) write(p []byte) (int, error) {
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(s.num), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		switch {
		case errno == 0:
			return int(n), nil
		case errno == unix.EAGAIN:
			return 0, errAgain
		case errno != unix.EINTR:
			return 0, os.NewSyscallError("write", errno)
		}
	}
}

func (s *fdSocket) wantWrite(on bool) error {
	events := uint32(unix.EPOLLIN)
	if on {
		events |= unix.EPOLLOUT
	}
	return s.poll.ctl(unix.EPOLL_CTL_MOD, s.num, events, s.poll.table[s.num].gen)
}

func (s *fdSocket) forget() { s.poll.unwatch(s.num) }

func (s *fdSocket) close() { unix.Close(s.num) }

func (s *fdSocket) detach() (net.Conn, []byte, []byte, error) {
	file := os.NewFile(uintptr(s.num), "client")
	nc, err := net.FileConn(file) // duplicates the descriptor
	file.Close()
	return nc, nil, nil, err
}

// acceptor is a listening descriptor, accepted from by loop 0.
type acceptor struct {
	lfd      int
	failing  bool // the last accept failed; owned by the loop
	unixPath string
	dead     bool // closed before the loops were started
}

// newAcceptor takes over nl's descriptor; the net package is used for its address parsing and socket options only.
func newAcceptor(nl net.Listener, backlog int) (acceptor, error) {
	sc, ok := nl.(syscall.Conn)
	if !ok {
		return acceptor{}, errors.New("listener without a descriptor")
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return acceptor{}, err
	}
	fd := -1
	ctlErr := raw.Control(func(orig uintptr) {
		fd, err = unix.FcntlInt(orig, unix.F_DUPFD_CLOEXEC, 0)
		if err == nil {
			err = unix.Listen(fd, backlog) // listening again only changes the backlog
		}
	})
	if err = errors.Join(ctlErr, err); err != nil {
		if fd >= 0 {
			unix.Close(fd)
		}
		return acceptor{}, err
	}
	a := acceptor{lfd: fd}
	if ul, ok := nl.(*net.UnixListener); ok {
		ul.SetUnlinkOnClose(false)
		a.unixPath = nl.Addr().String()
	}
	nl.Close()
	return a, nil
}

// close ends a listener that no loop watches.
func (a *acceptor) close() {
	unix.Close(a.lfd)
	if a.unixPath != "" {
		os.Remove(a.unixPath)
	}
}

// serve has the loop accept from ln. Any goroutine.
func (l *Loop) serve(ln *listener) {
	l.Post(func() {
		if ln.dead {
			return
		}
		if err := l.poll.watch(ln.lfd, nil, ln); err != nil {
			l.srv.Stats.AcceptFails.Inc()
			l.srv.opts.Events(AcceptFailed{Listener: ln.name(), Err: err})
		}
	})
}

// mute stops listening but keeps the socket, unmute listens again. Any goroutine.
func (a *acceptor) mute() error { return unix.Shutdown(a.lfd, unix.SHUT_RDWR) }

func (a *acceptor) unmute(backlog int) error { return unix.Listen(a.lfd, backlog) }

// unserve closes ln. Until the loop's next round connections may still be accepted. Any goroutine. If the loop does not run,
// the listener is closed at once.
func (l *Loop) unserve(ln *listener) {
	if l.srv.mu.started {
		l.Post(func() {
			l.poll.unwatch(ln.lfd)
			ln.close()
		})
		return
	}
	ln.dead = true
	ln.close()
}

func (ln *listener) acceptSome(l *Loop) {
	for range acceptsPerRound {
		fd, sa, err := unix.Accept4(ln.lfd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			if err == unix.EAGAIN || err == unix.EINTR || err == unix.ECONNABORTED {
				ln.failing = false
				return
			}
			l.srv.Stats.AcceptFails.Inc()
			if !ln.failing { // told once until an accept works again: the listener stays readable
				ln.failing = true
				l.srv.opts.Events(AcceptFailed{Listener: ln.name(), Err: os.NewSyscallError("accept4", err)})
			}
			return
		}
		ln.failing = false
		l.accepted(ln, fd, sa)
	}
}

func (l *Loop) accepted(ln *listener, fd int, sa unix.Sockaddr) {
	s := l.srv
	local := ln.name()
	isUnix := ln.unix != ""
	addr := ln.unix + ":0"
	if isUnix {
		local = addr
	} else {
		addr = sockaddrName(sa)
		if own, err := unix.Getsockname(fd); err == nil {
			local = sockaddrName(own)
		}
	}
	if !s.admit(addr, func(text []byte) { unix.Write(fd, text) }) {
		unix.Close(fd)
		return
	}
	if !isUnix {
		tuneTCP(fd, s.settings.Load().TCPKeepAlive)
	}
	to := s.nextLoop()
	c := s.newConn(to, &fdSocket{num: fd, poll: to.poll}, addr, local, isUnix)
	if to == l {
		l.adoptFD(c)
		return
	}
	if !to.postOpen(func() { to.adoptFD(c) }) {
		s.unadmit()
		unix.Close(fd)
	}
}

func (l *Loop) adoptFD(c *Conn) {
	if err := l.poll.watch(c.sock.fd(), c, nil); err != nil {
		l.adopt(c)
		c.Close(err)
		return
	}
	l.adopt(c)
}

// tuneTCP sets what Redis sets on a client's socket. Failures are harmless.
func tuneTCP(fd, keepAlive int) {
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if keepAlive <= 0 {
		return
	}
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, keepAlive)
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, max(keepAlive/3, 1))
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 3)
}

func sockaddrName(sa unix.Sockaddr) string {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return (&net.TCPAddr{IP: sa.Addr[:], Port: sa.Port}).String()
	case *unix.SockaddrInet6:
		return (&net.TCPAddr{IP: sa.Addr[:], Port: sa.Port}).String()
	}
	return "?:0"
}

// systemClock is the default of Options.Clock.
func systemClock() (nowMs, mono int64) {
	var ts unix.Timespec
	// Raw, as all system calls of the loop: an ordinary one wakes the runtime's monitor thread, which then looks around
	// every 20 µs. Cannot fail: the clock exists.
	unix.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_BOOTTIME, uintptr(unsafe.Pointer(&ts)), 0)
	return time.Now().UnixMilli(), ts.Nano()
}
