package persist

import (
	"io"
	"os"
	"path/filepath"
)

// FS is what saving and loading need of the operating system. Tests put faults into it.
type FS interface {
	// Create makes an empty file, in place of an older one.
	Create(path string) (File, error)
	// Open opens a file for reading and tells its size.
	Open(path string) (io.ReadCloser, int64, error)
	Rename(from, to string) error
	Remove(path string) error
	// SyncDir makes the names in a directory durable.
	SyncDir(dir string) error
}

// File is a file being written.
type File interface {
	io.WriteCloser
	Sync() error
}

// OS is the real FS.
type OS struct{}

func (OS) Create(path string) (File, error) { return os.Create(path) }

func (OS) Open(path string) (io.ReadCloser, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

func (OS) Rename(from, to string) error { return os.Rename(from, to) }
func (OS) Remove(path string) error     { return os.Remove(path) }

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

// syncEveryBytes is how much may be written to a file before it is synced, so that the last
// sync is short and the disk's queue is not filled at once (rdb-save-incremental-fsync).
const syncEveryBytes = 4 << 20

// pacedWriter syncs the file it writes to every syncEveryBytes.
type pacedWriter struct {
	file     File
	off      bool // rdb-save-incremental-fsync no
	unsynced int
}

func (w *pacedWriter) Write(p []byte) (int, error) {
	n, err := w.file.Write(p)
	if err != nil || w.off {
		return n, err
	}
	if w.unsynced += n; w.unsynced >= syncEveryBytes {
		w.unsynced = 0
		err = w.file.Sync()
	}
	return n, err
}
