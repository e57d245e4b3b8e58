package aof

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/sextantdb/sextant/store/disk"
)

// Dir is the directory of one append only file and its manifest.
type Dir struct {
	// Immutable.
	FS     disk.FS
	Parent string // where a file of the time before directories lies
	Name   string // appenddirname
	Prefix string // appendfilename

	m *Manifest
}

// OpenDir reads the manifest. Where there is none the Dir names no data.
func OpenDir(fsys disk.FS, parent, name, prefix string) (*Dir, error) {
	d := &Dir{FS: fsys, Parent: parent, Name: name, Prefix: prefix, m: &Manifest{}}
	text, err := d.read(d.manifestName())
	if errors.Is(err, fs.ErrNotExist) {
		return d, nil
	}
	if err != nil {
		return nil, fmt.Errorf("Fatal error: can't open the AOF manifest file %s for reading: %w", d.manifestName(), err)
	}
	if d.m, err = ParseManifest(text); err != nil {
		return nil, fmt.Errorf("%s: %w", d.Path(d.manifestName()), err)
	}
	return d, nil
}

// mostManifest bounds what is read of a manifest.
const mostManifest = 16 << 20

func (d *Dir) read(name string) ([]byte, error) {
	f, _, err := d.FS.Open(d.Path(name))
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	return io.ReadAll(io.LimitReader(f, mostManifest))
}

// Path is where the file of that name is.
func (d *Dir) Path(name string) string { return filepath.Join(d.Parent, d.Name, name) }

func (d *Dir) dirPath() string      { return filepath.Join(d.Parent, d.Name) }
func (d *Dir) manifestName() string { return d.Prefix + ".manifest" }

// TempIncr is the file that takes commands while the first base is being written.
func (d *Dir) TempIncr() string { return "temp-" + d.Prefix + ".incr" }

// ManifestPath is where the manifest is.
func (d *Dir) ManifestPath() string { return d.Path(d.manifestName()) }

// Manifest is the manifest in force. It must not be changed.
func (d *Dir) Manifest() *Manifest { return d.m }

// Exists reports whether a file is in the directory.
func (d *Dir) Exists(name string) (bool, error) {
	_, err := d.FS.Size(d.Path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Make makes the directory.
func (d *Dir) Make() error {
	err := d.FS.Mkdir(d.dirPath())
	if err == nil {
		err = d.FS.SyncDir(d.parentDir())
	}
	if err != nil {
		return fmt.Errorf("Can't open or create append-only dir %s: %w", d.Name, err)
	}
	return nil
}

func (d *Dir) parentDir() string {
	if d.Parent == "" {
		return "."
	}
	return d.Parent
}

// persist makes m the manifest. The old one stays in force (Manifest tells) when it fails before the
// rename. When only the last step fails either may be what a crash leaves, so that the files of both
// must stay.
func (d *Dir) persist(m *Manifest) error {
	temp := "temp-" + d.manifestName()
	f, err := d.FS.Create(d.Path(temp))
	if err != nil {
		return fmt.Errorf("Can't open the AOF manifest file %s: %w", temp, err)
	}
	if _, err = f.Write(m.Bytes()); err != nil {
		_ = f.Close()
		return fmt.Errorf("Error trying to write the temporary AOF manifest file %s: %w", temp, err)
	}
	err = f.Sync()
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("Fail to fsync the temp AOF file %s: %w.", temp, err)
	}
	if err := d.FS.Rename(d.Path(temp), d.ManifestPath()); err != nil {
		return fmt.Errorf("Error trying to rename the temporary AOF manifest file %s into %s: %w", temp, d.manifestName(), err)
	}
	d.m = m
	if err := d.FS.SyncDir(d.dirPath()); err != nil {
		return fmt.Errorf("Fail to fsync AOF directory %s: %w.", d.Name, err)
	}
	return nil
}

// OldFile reports whether there is a file of the time before directories.
func (d *Dir) OldFile() bool {
	_, err := d.FS.Size(filepath.Join(d.Parent, d.Prefix))
	return err == nil
}

// Upgrade takes over the single file of the time before directories, if there is one: it becomes the
// base. It reports whether there was one. An upgrade that was broken off between its two steps
// is gone on with.
func (d *Dir) Upgrade() (bool, error) {
	old := filepath.Join(d.Parent, d.Prefix)
	if _, err := d.FS.Size(old); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		return false, fmt.Errorf("looking for the old AOF file %s: %w", old, err)
	}
	inDir, err := d.Exists(d.Prefix)
	if err != nil {
		return false, err
	}
	// Two servers may share a directory: an old file there is ours if we have no data of our own, or if
	// our manifest names it and it is not in our directory yet.
	ours := d.m.Base == nil && len(d.m.Incr) == 0 ||
		d.m.Base != nil && d.m.Base.Name == d.Prefix && len(d.m.Incr) == 0 && !inDir
	if !ours {
		return false, nil
	}
	if err := d.Make(); err != nil {
		return false, err
	}
	m := d.m.clone()
	m.Base, m.baseSeq = &File{Name: d.Prefix, Seq: 1, Type: Base}, 1
	if err := d.persist(m); err != nil {
		return false, err
	}
	err = d.FS.Rename(old, d.Path(d.Prefix))
	if err == nil {
		err = d.FS.SyncDir(d.dirPath())
	}
	if err == nil {
		err = d.FS.SyncDir(d.parentDir())
	}
	if err != nil {
		return false, fmt.Errorf("Error trying to move the old AOF file %s into dir %s: %w", d.Prefix, d.Name, err)
	}
	return true, nil
}

// OpenLast opens the newest incremental file, or a new one when there is none. created tells which.
// The process before may have ended with files that were written and not synced: all are made durable, because nothing may
// be written behind what could still be lost.
func (d *Dir) OpenLast() (l *Log, created bool, err error) {
	for _, f := range d.m.Incr {
		l, err := OpenLog(d.FS, d.Path(f.Name), f)
		if err != nil {
			return nil, false, err
		}
		err = l.Sync()
		_ = l.Close()
		if err != nil {
			return nil, false, fmt.Errorf("Fail to fsync the AOF file %s: %w", f.Name, err)
		}
	}
	if n := len(d.m.Incr); n > 0 {
		l, err = OpenLog(d.FS, d.Path(d.m.Incr[n-1].Name), d.m.Incr[n-1])
		return l, false, err
	}
	l, err = d.NewIncr()
	return l, true, err
}

// NewIncr begins the next incremental file: it is in the manifest when NewIncr returns.
func (d *Dir) NewIncr() (*Log, error) {
	m := d.m.clone()
	f := m.addIncr(d.Prefix)
	l, err := CreateLog(d.FS, d.Path(f.Name), f)
	if err != nil {
		return nil, err
	}
	if err := d.persist(m); err != nil {
		_ = l.Close()
		if d.m != m {
			_ = d.FS.Remove(d.Path(f.Name))
		}
		return nil, err
	}
	return l, nil
}

// NewTempIncr begins the file that takes commands until there is a first base. Nothing names it.
func (d *Dir) NewTempIncr() (*Log, error) {
	return CreateLog(d.FS, d.Path(d.TempIncr()), File{Name: d.TempIncr(), Type: Incr})
}

// DropTempIncr removes it.
func (d *Dir) DropTempIncr() { _ = d.FS.Remove(d.Path(d.TempIncr())) } // it may not be there

// CommitBase makes the complete and synced file temp the base. keep is the first incremental file
// whose commands are not in it: those before become history. keep 0: there is none (no commands are being written). With
// tempIncr the temporary incremental file becomes the first one behind the base; CommitBase returns it.
// After an error the Dir's Manifest tells whether the new base is in force all the same; then no history
// may be dropped before another commit has worked.
func (d *Dir) CommitBase(temp string, rdb bool, keep int64, tempIncr bool) (base File, incr File, err error) {
	m := d.m.clone()
	base = m.addBase(d.Prefix, rdb)
	if err := d.FS.Rename(d.Path(temp), d.Path(base.Name)); err != nil {
		return base, incr, fmt.Errorf("Error trying to rename the temporary AOF base file %s into %s: %w", temp, base.Name, err)
	}
	if tempIncr {
		incr = m.addIncr(d.Prefix)
		keep = incr.Seq
		if err := d.FS.Rename(d.Path(d.TempIncr()), d.Path(incr.Name)); err != nil {
			_ = d.FS.Remove(d.Path(base.Name))
			return base, incr, fmt.Errorf("Error trying to rename the temporary AOF incr file %s into %s: %w", d.TempIncr(), incr.Name, err)
		}
	}
	if keep == 0 {
		keep = m.incrSeq + 1
	}
	m.retire(keep)
	if err := d.persist(m); err != nil {
		if d.m != m { // the new files are not named
			_ = d.FS.Remove(d.Path(base.Name))
			if tempIncr {
				_ = d.FS.Remove(d.Path(incr.Name))
			}
		}
		return base, incr, err
	}
	return base, incr, nil
}

// FirstBase makes temp the base of a Dir without data.
func (d *Dir) FirstBase(temp string, rdb bool) (File, error) {
	base, _, err := d.CommitBase(temp, rdb, 0, false)
	return base, err
}

// DropHistory deletes what the manifest calls history. dropped are the names, also when it fails.
func (d *Dir) DropHistory() (dropped []string, err error) {
	if len(d.m.History) == 0 {
		return nil, nil
	}
	m := d.m.clone()
	m.History = nil
	for _, f := range d.m.History {
		if err := d.FS.Remove(d.Path(f.Name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return dropped, fmt.Errorf("removing the history file %s: %w", f.Name, err)
		}
		dropped = append(dropped, f.Name)
	}
	return dropped, d.persist(m)
}

// Sizes is the length of the base and of everything together.
func (d *Dir) Sizes() (base, all int64) {
	for _, f := range d.m.Files() {
		n, err := d.FS.Size(d.Path(f.Name))
		if err != nil {
			continue // loading will tell
		}
		if f.Type == Base {
			base = n
		}
		all += n
	}
	return base, all
}
