package aof

import (
	"fmt"

	"github.com/sextantdb/sextant/store/disk"
)

// Log is an incremental file that is being written.
type Log struct {
	// Immutable, but for the name of a temporary file that became a proper one (see Named).
	File File
	Path string

	f     disk.File
	quick disk.QuickWriter // f, if it is one, else nil
	size  int64
}

// CreateLog makes an empty file.
func CreateLog(fsys disk.FS, path string, f File) (*Log, error) {
	out, err := fsys.Create(path)
	if err != nil {
		return nil, fmt.Errorf("Can't open the append-only file %s: %w", f.Name, err)
	}
	return newLog(path, f, out, 0), nil
}

// OpenLog opens a file to write behind its end.
func OpenLog(fsys disk.FS, path string, f File) (*Log, error) {
	out, size, err := fsys.Append(path)
	if err != nil {
		return nil, fmt.Errorf("Can't open the append-only file %s: %w", f.Name, err)
	}
	return newLog(path, f, out, size), nil
}

func newLog(path string, f File, out disk.File, size int64) *Log {
	l := &Log{File: f, Path: path, f: out, size: size}
	l.quick, _ = out.(disk.QuickWriter)
	return l
}

// Size is the length of the file.
func (l *Log) Size() int64 { return l.size }

// Write appends p. When it fails, n bytes of p are in the file for good: 0 if what was written of
// it could be cut off again. Either way the next Write goes on behind them.
func (l *Log) Write(p []byte) (n int, err error) { return l.add(p, l.f.Write) }

// QuickWrite is Write as disk.QuickWriter does it, if the file can.
func (l *Log) QuickWrite(p []byte) (n int, err error) {
	if l.quick == nil {
		return l.Write(p)
	}
	return l.add(p, l.quick.QuickWrite)
}

func (l *Log) add(p []byte, write func([]byte) (int, error)) (n int, err error) {
	n, err = write(p)
	if err == nil {
		l.size += int64(n)
		return n, nil
	}
	if n == 0 {
		return 0, err
	}
	if cut := l.f.Truncate(l.size); cut != nil {
		l.size += int64(n)
		return n, err
	}
	return 0, err
}

// Sync makes what was written before durable.
func (l *Log) Sync() error { return l.f.Sync() }

// QuickSync is Sync as disk.QuickWriter does it, if the file can.
func (l *Log) QuickSync() error {
	if l.quick == nil {
		return l.Sync()
	}
	return l.quick.QuickSync()
}

// Close closes the file without syncing it.
func (l *Log) Close() error { return l.f.Close() }
