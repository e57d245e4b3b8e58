package disk

import (
	"errors"
	"os"
	"syscall"
)

// Datasync is fdatasync, as Redis uses it on Linux.
func Datasync(f *os.File) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var syncErr error
	err = c.Control(func(fd uintptr) {
		for {
			if syncErr = syscall.Fdatasync(int(fd)); !errors.Is(syncErr, syscall.EINTR) {
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
