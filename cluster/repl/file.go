package repl

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/sextantdb/sextant/store/disk"
)

// rdbFile is an RDB on its way through a file: received from our primary, or made for replicas. Where
// Options.RDBPath says so it becomes the node's own RDB file once it is whole; else it never has a name, and is gone
// with the last who has it open.
type rdbFile struct {
	*os.File
	temp string // its name while it has only this one; "" when it has none, or its final one
}

// createRDB opens an empty one for writing and reading. There may be one of each purpose at a time.
func createRDB(o *Options, purpose string, keep bool) (*rdbFile, error) {
	name := filepath.Join(o.TempDir, fmt.Sprintf("temp-%s-%d.rdb", purpose, os.Getpid()))
	_ = os.Remove(name) // left by a process before us that had our pid
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	out := &rdbFile{File: f, temp: name}
	if !keep {
		if err := out.unname(); err != nil {
			_ = f.Close()
			return nil, err
		}
	}
	return out, nil
}

// unname removes the temporary name, if there is one.
func (f *rdbFile) unname() error {
	if f.temp == "" {
		return nil
	}
	name := f.temp
	f.temp = ""
	return os.Remove(name)
}

// rename gives it its final name. What it holds must be on disk by then.
func (f *rdbFile) rename(path string) error {
	if err := os.Rename(f.temp, path); err != nil {
		return err
	}
	f.temp = ""
	return nil
}

// syncName makes the name durable.
func syncName(path string) error { return disk.OS{}.SyncDir(filepath.Dir(path)) }
