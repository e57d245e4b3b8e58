package node

import (
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// metronome waits for whole multiples of pulseEvery on the agent's clock. It is a timer of the kernel's, because for one
// of Go's the runtime's monitor thread wakes up too.
type metronome struct {
	file *os.File
	raw  syscall.RawConn
	read func(fd uintptr) bool
}

func (m *metronome) start() error {
	fd, err := unix.TimerfdCreate(unix.CLOCK_BOOTTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return os.NewSyscallError("timerfd_create", err)
	}
	m.file = os.NewFile(uintptr(fd), "pulse")
	m.raw, err = m.file.SyscallConn()
	if err != nil {
		return err
	}
	m.read = func(fd uintptr) bool {
		var beats uint64
		_, _, errno := unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&beats)), unsafe.Sizeof(beats))
		return errno == 0
	}
	every := unix.NsecToTimespec(int64(pulseEvery))
	// The first is long ago by that clock, so the multiples of it are told from now on.
	return os.NewSyscallError("timerfd_settime",
		unix.TimerfdSettime(fd, unix.TFD_TIMER_ABSTIME, &unix.ItimerSpec{Interval: every, Value: every}, nil))
}

// wait returns false after stop.
func (m *metronome) wait() bool { return m.raw.Read(m.read) == nil }

func (m *metronome) stop() {
	if m.file != nil {
		m.file.Close()
	}
}
