// Package disktest is a disk in memory for tests of what keeps data: it fails on request, runs
// full, and can lose its power, after which there is what was synced, under the names that were
// synced, and of what was not any part that the test's dice choose. Tests only.
//
// # Concurrency
//
// Any goroutine may call any method.
package disktest

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"syscall"

	"github.com/sextantdb/sextant/store/disk"
)

// Disk is a disk.FS. Make it with New.
type Disk struct {
	// Gate, when set before use, makes each write wait for a token.
	Gate chan struct{}
	// Unordered allows Rename of a file that was never synced. It is else an error: whoever
	// renames before it syncs may find an empty file under the final name after a power cut.
	Unordered bool

	mu    sync.Mutex
	names map[string]*inode // guarded by mu, like all below: as processes see them
	disk  map[string]*inode // as a power cut leaves them
	dirty []change          // of names, since the last SyncDir of their directory, in order
	log   []string          // what was done
	fail  map[string]error  // by operation: create, append, write, sync, close, rename, remove, syncdir, truncate, mkdir
	space int               // bytes until ENOSPC; negative: no limit
	off   bool              // the power is off: nothing works
}

// inode is a file whatever its name.
type inode struct {
	now    []byte
	synced []byte
}

// change is one name that was set (file) or taken away (nil).
type change struct {
	path string
	file *inode
}

// New returns an empty Disk without faults.
func New() *Disk {
	return &Disk{names: map[string]*inode{}, disk: map[string]*inode{}, fail: map[string]error{}, space: -1}
}

var errPower = errors.New("the power is off")

func (m *Disk) did(what string) error {
	if m.off {
		return errPower
	}
	m.log = append(m.log, what)
	op, _, _ := strings.Cut(what, " ")
	return m.fail[op]
}

func missing(op, path string) error {
	return &fs.PathError{Op: op, Path: path, Err: syscall.ENOENT}
}

func (m *Disk) setName(path string, f *inode) {
	if f == nil {
		delete(m.names, path)
	} else {
		m.names[path] = f
	}
	m.dirty = append(m.dirty, change{path, f})
}

// Create implements disk.FS.
func (m *Disk) Create(path string) (disk.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.did("create " + filepath.Base(path)); err != nil {
		return nil, err
	}
	f := m.names[path]
	if f == nil {
		f = &inode{}
		m.setName(path, f)
	}
	f.now = nil
	return &file{disk: m, f: f}, nil
}

// Append implements disk.FS.
func (m *Disk) Append(path string) (disk.File, int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.did("append " + filepath.Base(path)); err != nil {
		return nil, 0, err
	}
	f := m.names[path]
	if f == nil {
		f = &inode{}
		m.setName(path, f)
	}
	return &file{disk: m, f: f}, int64(len(f.now)), nil
}

// Open implements disk.FS.
func (m *Disk) Open(path string) (io.ReadCloser, int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.names[path]
	if f == nil {
		return nil, 0, missing("open", path)
	}
	return io.NopCloser(bytes.NewReader(bytes.Clone(f.now))), int64(len(f.now)), nil
}

// Size implements disk.FS.
func (m *Disk) Size(path string) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.names[path]
	if f == nil {
		return 0, missing("stat", path)
	}
	return int64(len(f.now)), nil
}

// Truncate implements disk.FS.
func (m *Disk) Truncate(path string, size int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.did("truncate " + filepath.Base(path)); err != nil {
		return err
	}
	f := m.names[path]
	if f == nil {
		return missing("truncate", path)
	}
	f.now = slices.Clone(f.now[:min(size, int64(len(f.now)))])
	f.synced = bytes.Clone(f.now)
	return nil
}

// Rename implements disk.FS.
func (m *Disk) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.did("rename " + filepath.Base(from) + " " + filepath.Base(to)); err != nil {
		return err
	}
	f := m.names[from]
	if f == nil {
		return missing("rename", from)
	}
	if !m.Unordered && !bytes.Equal(f.now, f.synced) {
		return errors.New("renamed before it was synced")
	}
	m.setName(to, f)
	m.setName(from, nil)
	return nil
}

// Remove implements disk.FS.
func (m *Disk) Remove(path string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.did("remove " + filepath.Base(path)); err != nil {
		return err
	}
	if m.names[path] == nil {
		return missing("remove", path)
	}
	m.setName(path, nil)
	return nil
}

// Mkdir implements disk.FS; every directory is there.
func (m *Disk) Mkdir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.did("mkdir " + dir)
}

// SyncDir implements disk.FS.
func (m *Disk) SyncDir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.did("syncdir " + dir); err != nil {
		return err
	}
	kept := m.dirty[:0]
	for _, c := range m.dirty {
		if filepath.Dir(c.path) != filepath.Clean(dir) {
			kept = append(kept, c)
			continue
		}
		m.settle(c)
	}
	m.dirty = kept
	return nil
}

func (m *Disk) settle(c change) {
	if c.file == nil {
		delete(m.disk, c.path)
	} else {
		m.disk[c.path] = c.file
	}
}

// PowerCut ends everything: whoever still uses the Disk gets errors. It returns the disk as the
// machine finds it when the power is back. dice(n) returns a number below n and decides how much of
// what was not synced arrived all the same: of names a prefix of the changes, of a file's
// bytes a prefix of those behind the synced ones, the last sector of which may be zeros.
func (m *Disk) PowerCut(dice func(n int) int) *Disk {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.off = true
	for _, c := range m.dirty[:dice(len(m.dirty)+1)] {
		m.settle(c)
	}
	after := New()
	after.Unordered = m.Unordered
	seen := map[*inode]*inode{}
	var paths []string
	for path := range m.disk {
		paths = append(paths, path)
	}
	sort.Strings(paths) // the dice must fall the same way each time
	for _, path := range paths {
		f := m.disk[path]
		g := seen[f]
		if g == nil {
			content := bytes.Clone(f.synced)
			if bytes.HasPrefix(f.now, f.synced) {
				more := f.now[len(f.synced):]
				more = bytes.Clone(more[:dice(len(more)+1)])
				if len(more) > 0 && dice(4) == 0 {
					clear(more[dice(len(more)):])
				}
				content = append(content, more...)
			}
			g = &inode{now: content, synced: bytes.Clone(content)}
			seen[f] = g
		}
		after.names[path], after.disk[path] = g, g
	}
	return after
}

// Kill ends the process that uses the Disk: it gets errors from now on, everything written stays.
func (m *Disk) Kill() *Disk {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.off = true
	after := New()
	after.Unordered = m.Unordered
	for path, f := range m.names {
		g := &inode{now: bytes.Clone(f.now), synced: bytes.Clone(f.now)}
		after.names[path], after.disk[path] = g, g
	}
	return after
}

// Names lists the files, sorted.
func (m *Disk) Names() (names []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name := range m.names {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// Content is a copy of a file's bytes, nil when there is none.
func (m *Disk) Content(path string) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f := m.names[path]; f != nil {
		return bytes.Clone(f.now)
	}
	return nil
}

// Put places a durable file.
func (m *Disk) Put(path string, content []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := &inode{now: bytes.Clone(content), synced: bytes.Clone(content)}
	m.names[path], m.disk[path] = f, f
}

// Fail makes an operation (the first word of a line of Log) fail with err, or work again with nil.
func (m *Disk) Fail(op string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil {
		delete(m.fail, op)
	} else {
		m.fail[op] = err
	}
}

// SetSpace lets so many bytes be written until the disk is full; negative: no limit.
func (m *Disk) SetSpace(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.space = n
}

// Log is what was done so far, a line each.
func (m *Disk) Log() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.log)
}

// Count is how often an operation was done or tried.
func (m *Disk) Count(op string) (n int) {
	for _, line := range m.Log() {
		if line == op || strings.HasPrefix(line, op+" ") {
			n++
		}
	}
	return n
}

type file struct {
	disk *Disk
	f    *inode
}

func (f *file) Write(p []byte) (int, error) {
	if f.disk.Gate != nil {
		<-f.disk.Gate
	}
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.disk.did("write"); err != nil {
		return 0, err
	}
	n := len(p)
	if space := f.disk.space; space >= 0 {
		n = min(n, space)
		f.disk.space -= n
	}
	f.f.now = append(f.f.now, p[:n]...)
	if n < len(p) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

func (f *file) Sync() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.disk.did("sync"); err != nil {
		return err
	}
	f.f.synced = bytes.Clone(f.f.now)
	return nil
}

func (f *file) Truncate(size int64) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.disk.did("truncate"); err != nil {
		return err
	}
	f.f.now = slices.Clone(f.f.now[:min(size, int64(len(f.f.now)))])
	return nil
}

func (f *file) Close() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return f.disk.did("close")
}
