package persist

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/sextantdb/sextant/store/aof"
)

// AOFLoad says how an append only file is loaded.
type AOFLoad struct {
	// Apply executes one command of the file; MULTI, EXEC and SELECT come too. argv is valid during the
	// call. An error is what the command answered: it did so when it was written, too.
	Apply func(argv [][]byte) error
	// Reset forgets an unfinished MULTI and selects database 0: a file begins.
	Reset func()
	// Known reports whether there is such a command.
	Known func(name []byte) bool
	// Loaded, when set, is called when a base in RDB form is loaded, before commands that build on it.
	Loaded func() error
	// Base is how a base in RDB form is loaded. KeepExpired is implied: commands that follow may count on keys
	// whose time has come since.
	Base LoadOptions
}

// ErrNoAOF: there is nothing to load.
var ErrNoAOF = errors.New("there is no append only file")

// errNotLast is told besides why a file is no good.
var errNotLast = errors.New("Fatal error: the truncated file is not the last file")

// advice is what to do about a file that is refused.
const advice = "make a backup of your AOF file, then use ./redis-check-aof --fix <filename.manifest>"

// AOFLoadResult is what came out of a load.
type AOFLoadResult struct {
	Files, Commands int64
	Base            Loaded
	Truncated       bool // the end of the last file was cut
}

// Load loads the append only file into an empty store that no client sees, through loader for progress. When
// it fails the store is empty. The error is ErrNoAOF when there is none.
func (a *AOF) Load(ctx context.Context, loader *Loader, o AOFLoad) (got AOFLoadResult, err error) {
	a.dirMu.Lock()
	defer a.dirMu.Unlock()
	migrated, err := a.dir.Upgrade()
	if err != nil {
		return got, err
	}
	if migrated {
		a.o.Listener(AOFMigrated{Name: a.dir.Prefix, Dir: a.dir.Name})
	}
	files := a.dir.Manifest().Files()
	if len(files) == 0 {
		return got, ErrNoAOF
	}
	began := a.o.Now()
	sizes := make([]int64, len(files))
	total := int64(0)
	for i, f := range files {
		if sizes[i], err = a.o.FS.Size(a.dir.Path(f.Name)); err != nil {
			return got, openError(f, err)
		}
		total += sizes[i]
	}
	loader.begin(total)
	defer loader.end()
	o.Base.KeepExpired = true
	for i, f := range files {
		// What is behind the last byte there is may be missing: of the last file, or of one that nothing was written behind.
		last := true
		for _, n := range sizes[i+1:] {
			last = last && n == 0
		}
		l := aofFile{a: a, loader: loader, o: &o, f: f, size: sizes[i], last: last, got: &got}
		if err := l.load(ctx); err != nil {
			loader.empty(a.o.Now().UnixMilli())
			return got, err
		}
		loader.passed(sizes[i])
		got.Files++
	}
	a.o.Listener(AOFLoaded{Seconds: a.o.Now().Sub(began).Seconds()})
	return got, nil
}

func openError(f aof.File, err error) error {
	reason := err
	var path *fs.PathError
	if errors.As(err, &path) {
		reason = path.Err
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("The append log file %s doesn't exist: %s", f.Name, sentence(reason))
	}
	return fmt.Errorf("Fatal error: can't open the append log file %s for reading: %s", f.Name, sentence(reason))
}

// sentence is an error as the C library words it.
func sentence(err error) string {
	s := err.Error()
	return strings.ToUpper(s[:1]) + s[1:]
}

// aofFile is the load of one file.
type aofFile struct {
	a      *AOF
	loader *Loader
	o      *AOFLoad
	f      aof.File
	size   int64
	last   bool // it may be cut
	got    *AOFLoadResult
}

func (l *aofFile) load(ctx context.Context) error {
	began := l.a.o.Now()
	src, _, err := l.a.o.FS.Open(l.a.dir.Path(l.f.Name))
	if err != nil {
		return openError(l.f, err)
	}
	defer src.Close() //nolint:errcheck // only read
	if l.size == 0 {
		if l.f.Type == aof.Base && strings.HasSuffix(l.f.Name, ".rdb") {
			return fmt.Errorf("Error reading the RDB base file %s, AOF loading aborted: it is empty, at offset 0", l.f.Name)
		}
		return nil
	}
	var magic [5]byte
	n, err := io.ReadFull(src, magic[:])
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return l.unreadable(err)
	}
	in := io.MultiReader(bytes.NewReader(magic[:n]), src)
	offset := int64(0)
	if string(magic[:n]) == "REDIS" {
		if in, offset, err = l.preamble(ctx, in); err != nil {
			return err
		}
	}
	if err := l.commands(ctx, aof.NewReader(in, offset)); err != nil {
		return err
	}
	l.a.o.Listener(AOFLoadedFile{What: l.kind(), Name: l.f.Name, Seconds: l.a.o.Now().Sub(began).Seconds()})
	return nil
}

func (l *aofFile) kind() string {
	if l.f.Type == aof.Base {
		return "base"
	}
	return "incr"
}

// preamble loads the RDB that the file begins with, and returns what comes behind.
func (l *aofFile) preamble(ctx context.Context, in io.Reader) (rest io.Reader, offset int64, err error) {
	old := !strings.HasSuffix(l.f.Name, ".rdb")
	what := "base file"
	if old {
		what = "preamble of the AOF file"
		l.a.o.Listener(AOFReading{Text: "Reading RDB preamble from AOF file..."})
	} else {
		l.a.o.Listener(AOFReading{Text: "Reading RDB base file on AOF loading..."})
	}
	got, behind, err := l.loader.Stream(ctx, in, l.size, l.o.Base)
	if err != nil {
		return nil, 0, fmt.Errorf("Error reading the RDB %s %s, AOF loading aborted: %w", what, l.f.Name, err)
	}
	l.got.Base = got
	if l.o.Loaded != nil {
		if err := l.o.Loaded(); err != nil {
			return nil, 0, err
		}
	}
	if old {
		l.a.o.Listener(AOFReading{Text: "Reading the remaining AOF tail..."})
	}
	return io.MultiReader(bytes.NewReader(bytes.Clone(behind)), in), got.Bytes, nil
}

// commands executes the records of the file.
func (l *aofFile) commands(ctx context.Context, r *aof.Reader) error {
	l.o.Reset()
	multi := int64(-1) // where an open transaction begins
	reported := int64(0)
	pace := l.o.Base.Pace
	for {
		at := r.Offset()
		argv, err := r.Next()
		if errors.Is(err, io.EOF) {
			if multi < 0 {
				return nil
			}
			l.a.o.Listener(AOFRevertedMulti{Name: l.f.Name})
			return l.cut(multi, &aof.FormatError{Offset: multi, Reason: "MULTI without EXEC", Err: aof.ErrTruncated})
		}
		if err != nil {
			if errors.Is(err, aof.ErrTruncated) {
				if multi >= 0 {
					l.a.o.Listener(AOFRevertedMulti{Name: l.f.Name})
					at = multi
				}
				return l.cut(at, err)
			}
			if errors.Is(err, aof.ErrFormat) && l.zeroTail(r.Offset()) {
				if multi >= 0 {
					at = multi
				}
				return l.cut(at, err)
			}
			return l.unreadable(err)
		}
		if !l.o.Known(argv[0]) {
			return fmt.Errorf("Unknown command '%s' reading the append only file %s (at offset %d)", argv[0], l.f.Name, at)
		}
		switch {
		case isWord(argv[0], "multi"):
			multi = at
		case isWord(argv[0], "exec"):
			multi = -1
		}
		if err := l.o.Apply(argv); err != nil {
			l.a.o.Listener(AOFCommandFailed{Command: string(argv[0]), Err: err})
		}
		l.got.Commands++
		if err := pace.Wait(ctx); err != nil {
			return err
		}
		if r.Offset()-reported >= progressBytes {
			reported = r.Offset()
			l.loader.reached(reported)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
		}
	}
}

// zeroTail reports whether the file from offset on is the beginning of a record and then zeros to the end: what
// a file system leaves of a write when the length came to the disk and the bytes did not.
func (l *aofFile) zeroTail(offset int64) bool {
	if !l.last {
		return false
	}
	open := func() (io.ReadCloser, bool) {
		src, _, err := l.a.o.FS.Open(l.a.dir.Path(l.f.Name))
		if err != nil {
			return nil, false
		}
		_, err = io.CopyN(io.Discard, src, offset)
		return src, err == nil
	}
	src, ok := open()
	if !ok {
		return false
	}
	var end, at int64 // of what is not zero, behind offset
	buf := make([]byte, 64<<10)
	for {
		n, err := src.Read(buf)
		if head := bytes.TrimRight(buf[:n], "\x00"); len(head) > 0 {
			end = at + int64(len(head))
		}
		if at += int64(n); err != nil {
			ok = errors.Is(err, io.EOF)
			break
		}
	}
	_ = src.Close()
	if !ok || end == at {
		return false
	}
	if src, ok = open(); !ok {
		return false
	}
	defer src.Close() //nolint:errcheck // only read
	_, err := aof.NewReader(io.LimitReader(src, end), offset).Next()
	return errors.Is(err, aof.ErrTruncated) || errors.Is(err, io.EOF)
}

func isWord(b []byte, lower string) bool {
	return len(b) == len(lower) && strings.EqualFold(string(b), lower)
}

// cut ends the file at offset because what follows is not whole, if that may be.
func (l *aofFile) cut(offset int64, why error) error {
	l.o.Reset()
	if l.last && l.a.o.Settings().LoadTruncated {
		if err := l.a.o.FS.Truncate(l.a.dir.Path(l.f.Name), offset); err != nil {
			return fmt.Errorf("Error truncating the AOF file %s: %w", l.f.Name, err)
		}
		l.a.o.Listener(AOFCut{Name: l.f.Name, Offset: offset, Bytes: l.size - offset})
		l.got.Truncated = true
		return nil
	}
	err := fmt.Errorf("%w %s: at offset %d: %s. You can: 1) Make a backup of your AOF file, then use ./redis-check-aof --fix <filename.manifest>. "+
		"2) Alternatively you can set the 'aof-load-truncated' configuration option to yes and restart the server", aof.ErrTruncated, l.f.Name, offset, reasonOf(why))
	if !l.last {
		err = fmt.Errorf("%w. %w", errNotLast, err)
	}
	return err
}

func reasonOf(err error) string {
	var f *aof.FormatError
	if errors.As(err, &f) && f.Reason != "" {
		return f.Reason
	}
	return "the record there is not whole"
}

// unreadable is the error for bytes that are no records.
func (l *aofFile) unreadable(err error) error {
	var f *aof.FormatError
	if errors.As(err, &f) {
		return fmt.Errorf("%w %s: %s in the record at offset %d; %s", aof.ErrFormat, l.f.Name, f.Reason, f.Offset, advice)
	}
	return fmt.Errorf("Unrecoverable error reading the append only file %s: %w", l.f.Name, err)
}

// begin starts a load of several streams of total bytes; end ends it.
func (l *Loader) begin(total int64) {
	l.mu.Lock()
	l.outer = true
	l.before = 0
	l.progress = LoadProgress{Loading: true, StartUnix: l.o.Now().Unix(), TotalBytes: total}
	l.last = Loaded{}
	l.mu.Unlock()
}

func (l *Loader) end() {
	l.mu.Lock()
	l.outer, l.before, l.progress = false, 0, LoadProgress{}
	l.mu.Unlock()
}

// passed counts a stream that is done, reached how far the present one is.
func (l *Loader) passed(bytes int64) {
	l.mu.Lock()
	l.before += bytes
	l.progress.LoadedBytes = l.before
	l.mu.Unlock()
}

func (l *Loader) reached(bytes int64) {
	l.mu.Lock()
	l.progress.LoadedBytes = l.before + bytes
	l.mu.Unlock()
}

// AOFInfo is what INFO's section persistence tells; the names are Redis' with aof_ before them.
type AOFInfo struct {
	Enabled, RewriteInProgress, RewriteScheduled bool
	LastRewriteSeconds, CurrentRewriteSeconds    int64 // -1: none
	LastRewriteOK, LastWriteOK                   bool
	LastPeakBytes                                int64 // last_cow_size
	Rewrites, RewriteFailures                    int64
	CurrentSize, BaseSize                        int64
	PendingSync, DelayedSyncs                    int64
	LagBytes                                     int64 // buffer_length
}

// Info may be called by any goroutine, also one that holds stripes.
func (a *AOF) Info() AOFInfo {
	now := a.o.Now()
	a.mu.Lock()
	in := AOFInfo{
		Enabled: a.state != AOFOff, RewriteInProgress: a.job != nil, RewriteScheduled: a.scheduled,
		LastRewriteSeconds: a.stats.took, CurrentRewriteSeconds: -1, LastRewriteOK: !a.stats.failed,
		LastPeakBytes: a.stats.peak, Rewrites: a.stats.rewrites, RewriteFailures: int64(a.flaws), BaseSize: a.baseSize,
	}
	if a.job != nil {
		in.CurrentRewriteSeconds = int64(now.Sub(a.job.began) / time.Second)
	}
	a.mu.Unlock()
	in.LastWriteOK = a.Failed() == nil
	in.CurrentSize, in.DelayedSyncs, in.LagBytes = a.size.Load(), a.delayed.Load(), a.Lag()
	if a.syncing.Load() {
		in.PendingSync = 1
	}
	return in
}

// ResetStats zeroes what CONFIG RESETSTAT zeroes.
func (a *AOF) ResetStats() {
	a.delayed.Store(0)
	a.mu.Lock()
	a.stats.rewrites = 0
	a.mu.Unlock()
}
