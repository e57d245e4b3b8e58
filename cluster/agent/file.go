package agent

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/sextantdb/sextant/cluster/core"
	"github.com/sextantdb/sextant/cluster/topology"
	"github.com/sextantdb/sextant/store/disk"
)

// stateFile is cluster-config-file on disk: an append-only log of records (its form is
// topology's), rewritten whole when it has grown well beyond what it says. A rewrite goes to
// the file's name with ".new" behind it, is fsynced, and takes the name by rename: at any
// moment the name holds one whole generation.
//
// The file itself carries the lock that keeps two nodes from sharing it. A new generation is
// locked before it takes the name, so there is no moment without a lock, and no lock file to
// be left behind.
//
// It is owned by the agent's loop.
type stateFile struct {
	path    string
	f       *os.File // locked; written at the end
	created bool     // the file did not exist before, and nothing was saved yet
	log     topology.Log
	gen     uint64
	size    int64 // bytes in the file
	whole   int64 // bytes of it when this generation began
	records []topology.Record
	at      map[string]int // key → index in records
	lagging bool           // written, but not yet fsynced
	wrote   func(bytes int, whole bool)
}

// compactSlack is how far a generation may outgrow four times its beginning.
const compactSlack = 64 << 10

// openState locks and reads the file. A missing file is a first start. A torn last record is
// cut off; anything worse is refused (topology.Decode has the table).
func openState(path string, dataPresent bool) (*stateFile, *topology.Loaded, error) {
	s := &stateFile{path: path, at: map[string]int{}, wrote: func(int, bool) {}}
	if err := s.lock(); err != nil {
		return nil, nil, err
	}
	b, err := io.ReadAll(s.f)
	if err != nil {
		s.close()
		return nil, nil, fmt.Errorf("Can't read the cluster configuration file %s: %w", path, err)
	}
	loaded, err := topology.Decode(b, dataPresent && !s.created)
	if err != nil {
		s.close()
		return nil, nil, fmt.Errorf("Unrecoverable error: cluster configuration file %s: %w", path, err)
	}
	if loaded.Repaired != "" {
		if err := s.f.Truncate(int64(loaded.Keep)); err != nil {
			s.close()
			return nil, nil, fmt.Errorf("Can't repair the cluster configuration file %s: %w", path, err)
		}
	}
	s.size, s.gen, s.log = int64(loaded.Keep), loaded.Generation, loaded.Log
	s.whole = s.size
	for _, r := range loaded.Records {
		s.remember(r)
	}
	return s, loaded, nil
}

// lock opens the file and takes its lock.
func (s *stateFile) lock() error {
	for {
		f, err := os.OpenFile(s.path, os.O_RDWR, 0)
		created := false
		if errors.Is(err, os.ErrNotExist) {
			f, err = os.OpenFile(s.path, os.O_RDWR|os.O_CREATE, 0o644)
			created = true
		}
		if err != nil {
			return fmt.Errorf("Can't open %s in order to acquire a lock: %w", s.path, err)
		}
		if err := flock(f); err != nil {
			f.Close()
			if errors.Is(err, syscall.EWOULDBLOCK) {
				return &InUseError{s.path}
			}
			return fmt.Errorf("Impossible to lock %s: %w", s.path, err)
		}
		// Its owner may have replaced the file between our open and our lock: then we hold the
		// lock of a file without a name.
		opened, err1 := f.Stat()
		named, err2 := os.Stat(s.path)
		if err1 == nil && err2 == nil && os.SameFile(opened, named) {
			s.f, s.created = f, created
			return nil
		}
		f.Close()
	}
}

// InUseError says that another process holds the state file.
type InUseError struct{ Path string }

func (e *InUseError) Error() string {
	return "Sorry, the cluster configuration file " + e.Path + " is already used by a different Redis Cluster node. " +
		"Please make sure that different nodes use different cluster configuration files."
}

func flock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }

// save makes a change durable.
func (s *stateFile) save(c *core.Save) error {
	if c.All {
		s.records, s.at = s.records[:0], map[string]int{}
	}
	for _, r := range c.Records {
		s.remember(r)
	}
	var err error
	if c.All || s.size > 4*s.whole+compactSlack {
		err = s.rewrite()
	} else {
		err = s.append(c.Records, !c.Lazy)
	}
	if err != nil {
		return fmt.Errorf("cluster configuration file %s: %w", s.path, err)
	}
	s.created = false
	return nil
}

func (s *stateFile) append(recs []topology.Record, durably bool) error {
	b := s.log.Append(nil, recs...)
	if _, err := s.f.WriteAt(b, s.size); err != nil {
		return err
	}
	s.size += int64(len(b))
	s.wrote(len(b), false)
	s.lagging = true
	if !durably {
		return nil
	}
	return s.sync()
}

// sync makes durable what was written lazily.
func (s *stateFile) sync() error {
	if !s.lagging {
		return nil
	}
	if err := disk.Datasync(s.f); err != nil { // the length is data; times are not worth a wait
		return err
	}
	s.lagging = false
	return nil
}

// rewrite begins a new generation.
func (s *stateFile) rewrite() error {
	temp := s.path + ".new"
	f, err := os.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	b := s.log.Begin(s.gen+1, s.live())
	if _, err = f.Write(b); err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = flock(f)
	}
	if err == nil {
		err = os.Rename(temp, s.path)
	}
	if err != nil {
		f.Close()
		return err
	}
	s.f.Close() // its lock goes; the named file's is ours already
	s.f, s.size, s.whole, s.lagging = f, int64(len(b)), int64(len(b)), false
	s.gen++
	s.wrote(len(b), true)
	return syncDir(filepath.Dir(s.path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func (s *stateFile) remember(r topology.Record) {
	if i, ok := s.at[r.Key]; ok {
		s.records[i].Value = r.Value
		return
	}
	s.at[r.Key] = len(s.records)
	s.records = append(s.records, r)
}

// live drops removed records and returns the rest.
func (s *stateFile) live() []topology.Record {
	kept := s.records[:0]
	s.at = map[string]int{}
	for _, r := range s.records {
		if r.Value != "" {
			s.at[r.Key] = len(kept)
			kept = append(kept, r)
		}
	}
	s.records = kept
	return kept
}

// close gives the lock back. A file that was only created for its lock goes away again, so
// that a start that failed leaves nothing behind.
func (s *stateFile) close() {
	if s.f == nil {
		return
	}
	if s.created {
		os.Remove(s.path)
	}
	_ = s.sync() // nobody is left to be told; what had to be durable is
	s.f.Close()
	s.f = nil
}
