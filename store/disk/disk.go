// Package disk is what the packages that keep data need of a file system: an interface small
// enough that a test can stand in for the machine and lose what was never synced, fail, or run
// full (disktest does). OS is the real one. store/aof and store/persist write through it. It must
// not know what the files mean.
//
// A write is durable after File.Sync; a name is durable after SyncDir of its directory. Nobody may
// count on more.
//
// # Concurrency
//
// An FS may be used by any goroutine; a File by one at a time, except that Sync may run beside
// Write.
package disk

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// FS is a file system. Errors for files that are not there satisfy errors.Is(err, fs.ErrNotExist).
type FS interface {
	// Create makes an empty file, in place of an older one.
	Create(path string) (File, error)
	// Append opens a file to write behind its end, or makes an empty one, and tells its size.
	Append(path string) (File, int64, error)
	// Open opens a file for reading and tells its size.
	Open(path string) (io.ReadCloser, int64, error)
	// Size is the length of a file.
	Size(path string) (int64, error)
	// Truncate cuts a file, durably.
	Truncate(path string, size int64) error
	Rename(from, to string) error
	Remove(path string) error
	// Mkdir makes a directory if there is none.
	Mkdir(dir string) error
	// SyncDir makes the names in a directory durable.
	SyncDir(dir string) error
}

// File is a file being written. Write may write less than it was given, then its error says why.
type File interface {
	io.WriteCloser
	Sync() error
	// Truncate cuts what was written; the next Write goes behind the new end.
	Truncate(size int64) error
}

// QuickWriter is a File that can write and sync without telling Go's scheduler. That makes the call much cheaper for the
// rest of the process (an ordinary one wakes the runtime's monitor thread), but while it blocks it occupies a processor and
// holds up the collector: it is for what fits the system's cache, and for disks whose syncs are short.
type QuickWriter interface {
	// QuickWrite is Write, QuickSync is Sync.
	QuickWrite(p []byte) (int, error)
	QuickSync() error
}

// OS is the real FS.
type OS struct{}

// file is an *os.File in append mode, so that a Write after Truncate goes to the new end.
type file struct{ *os.File }

// Sync makes what was written durable; the times in the inode may wait.
func (f file) Sync() error { return Datasync(f.File) }

func (OS) open(path string, flags int) (File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|flags, 0o644)
	if err != nil {
		return nil, err
	}
	return file{f}, nil
}

func (o OS) Create(path string) (File, error) { return o.open(path, os.O_TRUNC) }

func (o OS) Append(path string) (File, int64, error) {
	f, err := o.open(path, 0)
	if err != nil {
		return nil, 0, err
	}
	size, err := o.Size(path)
	if err != nil {
		_ = f.Close()
		return nil, 0, err
	}
	return f, size, nil
}

func (OS) Open(path string) (io.ReadCloser, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = &fs.PathError{Op: "open", Path: path, Err: errors.New("is a directory")}
	}
	if err != nil {
		_ = f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

func (OS) Size(path string) (int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (OS) Truncate(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if err = f.Truncate(size); err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

func (OS) Rename(from, to string) error { return os.Rename(from, to) }
func (OS) Remove(path string) error     { return os.Remove(path) }

func (OS) Mkdir(dir string) error {
	err := os.Mkdir(dir, 0o755)
	if errors.Is(err, fs.ErrExist) {
		if info, statErr := os.Stat(dir); statErr == nil && info.IsDir() {
			return nil
		}
	}
	return err
}

func (OS) SyncDir(dir string) error {
	d, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return err
	}
	if err := d.Sync(); err != nil {
		_ = d.Close()
		return err
	}
	return d.Close()
}
