package disk

import (
	"errors"
	"os"
	"syscall"
	"unsafe"
)

// QuickWrite implements QuickWriter.
func (f file) QuickWrite(p []byte) (n int, err error) {
	c, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	var errno syscall.Errno
	err = c.Write(func(fd uintptr) bool {
		for n < len(p) {
			var m uintptr
			m, _, errno = syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(&p[n])), uintptr(len(p)-n))
			if errno == syscall.EINTR {
				continue
			}
			if errno != 0 {
				break
			}
			n += int(m)
		}
		return true
	})
	if err == nil && errno != 0 {
		err = &os.PathError{Op: "write", Path: f.Name(), Err: errno}
	}
	return n, err
}

// QuickSync implements QuickWriter.
func (f file) QuickSync() error {
	return datasync(f.File, func(fd uintptr) error {
		if _, _, errno := syscall.RawSyscall(syscall.SYS_FDATASYNC, fd, 0, 0); errno != 0 {
			return errno
		}
		return nil
	})
}

// Datasync is fdatasync, as Redis uses it on Linux.
func Datasync(f *os.File) error {
	return datasync(f, func(fd uintptr) error { return syscall.Fdatasync(int(fd)) })
}

func datasync(f *os.File, sync func(fd uintptr) error) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var syncErr error
	err = c.Control(func(fd uintptr) {
		for {
			if syncErr = sync(fd); !errors.Is(syncErr, syscall.EINTR) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	if syncErr != nil {
		return &os.PathError{Op: "fsync", Path: f.Name(), Err: syncErr}
	}
	return nil
}
