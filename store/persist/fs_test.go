package persist

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// memFS is a disk in memory that can fail, and that knows what a crash would leave: what was
// synced, under the names that were synced.
type memFS struct {
	mu    sync.Mutex
	files map[string]*memData // guarded by mu
	log   []string            // guarded by mu: what was done, in order
	fail  map[string]error    // guarded by mu: "create", "write", "sync", "close", "rename", "syncdir"
	space int                 // guarded by mu: bytes until ENOSPC; negative: no limit
	gate  chan struct{}       // when set, each write waits for a token
}

type memData struct {
	bytes  []byte
	synced int
}

func newMemFS() *memFS {
	return &memFS{files: map[string]*memData{}, fail: map[string]error{}, space: -1}
}

func (m *memFS) did(what string) error {
	m.log = append(m.log, what)
	op, _, _ := strings.Cut(what, " ")
	return m.fail[op]
}

func (m *memFS) Create(path string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.did("create " + filepath.Base(path)); err != nil {
		return nil, err
	}
	d := &memData{}
	m.files[path] = d
	return &memFile{fs: m, d: d}, nil
}

func (m *memFS) Open(path string) (io.ReadCloser, int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.files[path]
	if d == nil {
		return nil, 0, &fs.PathError{Op: "open", Path: path, Err: syscall.ENOENT}
	}
	return io.NopCloser(bytes.NewReader(d.bytes)), int64(len(d.bytes)), nil
}

func (m *memFS) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.did("rename " + filepath.Base(from) + " " + filepath.Base(to)); err != nil {
		return err
	}
	d := m.files[from]
	if d.synced != len(d.bytes) {
		return errors.New("renamed before it was synced")
	}
	m.files[to] = d
	delete(m.files, from)
	return nil
}

func (m *memFS) Remove(path string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.files, path)
	return m.did("remove " + filepath.Base(path))
}

func (m *memFS) SyncDir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.did("syncdir " + dir)
}

// names lists the files, and content one of them.
func (m *memFS) names() (names []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name := range m.files {
		names = append(names, name)
	}
	return names
}

func (m *memFS) content(path string) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	if d := m.files[path]; d != nil {
		return bytes.Clone(d.bytes)
	}
	return nil
}

func (m *memFS) put(path string, content []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files[path] = &memData{bytes: content, synced: len(content)}
}

func (m *memFS) set(op string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil {
		delete(m.fail, op)
	} else {
		m.fail[op] = err
	}
}

func (m *memFS) count(op string) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, line := range m.log {
		if line == op || strings.HasPrefix(line, op+" ") {
			n++
		}
	}
	return n
}

type memFile struct {
	fs *memFS
	d  *memData
}

func (f *memFile) Write(p []byte) (int, error) {
	if f.fs.gate != nil {
		<-f.fs.gate
	}
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.did("write"); err != nil {
		return 0, err
	}
	n := len(p)
	if f.fs.space >= 0 && n > f.fs.space {
		n = f.fs.space
	}
	if f.fs.space >= 0 {
		f.fs.space -= n
	}
	f.d.bytes = append(f.d.bytes, p[:n]...)
	if n < len(p) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

func (f *memFile) Sync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.fs.did("sync"); err != nil {
		return err
	}
	f.d.synced = len(f.d.bytes)
	return nil
}

func (f *memFile) Close() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return f.fs.did("close")
}
