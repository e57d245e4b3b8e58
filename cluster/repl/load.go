package repl

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sextantdb/sextant/store/rdb"
)

// Target is where a full sync goes.
type Target interface {
	// Begin makes a data set to load into. Databases is how many an RDB may have.
	Begin(how LoadHow) (Dataset, error)
	Databases() int
	// Empty reports whether clients see no key at all.
	Empty() bool
	// CanShadow reports whether Begin works other than LoadInPlace, for data of about that many bytes (0: unknown).
	CanShadow(bytes int64) bool
}

// LoadHow says where a data set is loaded, and what clients have of it meanwhile.
type LoadHow uint8

const (
	// LoadInPlace: what was there is gone at once, and clients are refused.
	LoadInPlace LoadHow = iota
	// LoadAside: beside the data clients see, which they go on reading.
	LoadAside
	// LoadClosed: beside it, to have it back if the load fails; clients are refused, because that data is not an
	// older state of what is being loaded.
	LoadClosed
)

// Dataset is a data set being loaded by one goroutine. One successful Install or
// one Discard ends it.
type Dataset interface {
	// Put takes a record of kind KindKey, KindSize or KindFunction.
	Put(rec *rdb.Record) error
	// Install makes it what clients see and calls at in the same critical section, with every
	// stripe held. After an error nothing has changed and Discard must be called.
	Install(at func()) error
	// Discard forgets it. What clients see stays, or, loaded in place, is empty.
	Discard()
}

// fullSync receives a whole copy, makes it our data, and returns what was read behind it.
func (l *link) fullSync(in *bufio.Reader, id string, offset int64) (rest []byte, err error) {
	e := l.e
	line, err := replyLine(in)
	if err != nil {
		return nil, fmt.Errorf("I/O error reading bulk count from MASTER: %w", err)
	}
	if strings.HasPrefix(line, "-") {
		return nil, fmt.Errorf("MASTER aborted replication with an error: %s", line[1:])
	}
	if !strings.HasPrefix(line, "$") {
		return nil, fmt.Errorf("Bad protocol from MASTER, the first byte is not '$' (we received '%.40q'), are you sure the host and port are right?", line)
	}
	mark, marked := strings.CutPrefix(line, "$EOF:")
	size := int64(0)
	if marked {
		if len(mark) != len(NoID) {
			return nil, fmt.Errorf("Bad protocol from MASTER: end mark of %d characters", len(mark))
		}
	} else if size, err = strconv.ParseInt(line[1:], 10, 64); err != nil || size < 0 {
		return nil, fmt.Errorf("Bad protocol from MASTER: '%.40q' is not a length", line)
	}
	l.size.Store(size)
	l.read.Store(0)
	l.set(linkTransfer)

	t := e.deps.Target
	mode := e.opts.Load().DisklessLoad
	inPlace := mode == LoadFlush || mode == LoadOnEmpty && t.Empty()
	viaFile := !inPlace && (mode != LoadShadow || !t.CanShadow(size))
	how := "to parser"
	if viaFile {
		how = "to disk"
	}
	if marked {
		e.emit(EvLoad, "MASTER <-> REPLICA sync: receiving streamed RDB from master with EOF %s", how)
	} else {
		e.emit(EvLoad, "MASTER <-> REPLICA sync: receiving %d bytes from master %s", size, how)
	}
	src := &bulk{in: in, l: l, marked: marked, mark: mark, left: size}
	if viaFile {
		err = l.loadFile(src, id, offset)
	} else {
		how := LoadAside
		if h, _ := e.Stream.History(); inPlace {
			how = LoadInPlace
		} else if h.ID != id {
			how = LoadClosed
		}
		err = l.load(src, src.finish, how, id, offset)
	}
	if err != nil {
		return nil, err
	}
	e.emit(EvLinkUp, "MASTER <-> REPLICA sync: Finished with success")
	return append(src.over, buffered(in)...), nil
}

// bulk is the RDB on the wire: size bytes, or up to the mark that follows it.
type bulk struct {
	in     *bufio.Reader
	l      *link
	marked bool
	mark   string
	left   int64  // not marked: bytes still to come
	over   []byte // marked: read by the parser beyond the mark
}

func (b *bulk) Read(p []byte) (int, error) {
	if !b.marked {
		if b.left == 0 {
			return 0, io.EOF
		}
		p = p[:min(int64(len(p)), b.left)]
	}
	n, err := b.in.Read(p)
	b.left -= int64(n)
	b.l.read.Add(int64(n))
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// finish checks what must follow the RDB; rest is what the parser read beyond its end.
func (b *bulk) finish(rest []byte) error {
	if !b.marked {
		if len(rest) > 0 || b.left > 0 {
			return fmt.Errorf("the RDB from MASTER is %d bytes shorter than announced", int64(len(rest))+b.left)
		}
		return nil
	}
	all := append([]byte(nil), rest...)
	if missing := len(b.mark) - len(all); missing > 0 {
		at := len(all)
		all = append(all, make([]byte, missing)...)
		if _, err := io.ReadFull(b.in, all[at:]); err != nil {
			return fmt.Errorf("I/O error trying to sync with MASTER: %w", err)
		}
	}
	if string(all[:len(b.mark)]) != b.mark {
		return errors.New("Replication stream EOF marker is broken")
	}
	b.over = all[len(b.mark):]
	return nil
}

// load parses src into a data set and makes it ours if finish agrees.
func (l *link) load(src io.Reader, finish func(rest []byte) error, how LoadHow, id string, offset int64) error {
	e := l.e
	inPlace := how == LoadInPlace
	if inPlace {
		e.emit(EvLoad, "MASTER <-> REPLICA sync: Flushing old data")
		e.abandonHistory()
		l.synced.Store(false)
	}
	if how == LoadAside {
		l.beside.Store(true)
		defer l.beside.Store(false)
	} else {
		l.loading.Store(true)
		defer l.loading.Store(false)
	}
	ds, err := e.deps.Target.Begin(how)
	if err != nil {
		return fmt.Errorf("preparing for the data of MASTER: %w", err)
	}
	e.emit(EvLoad, "MASTER <-> REPLICA sync: Loading DB in memory")
	db, _, err := l.parse(src, finish, ds.Put)
	if err != nil || l.stopped.Load() {
		e.warn(EvLoad, "Internal error in RDB: %v", err)
		ds.Discard()
		if err == nil {
			err = l.ctx.Err()
		}
		return fmt.Errorf("Failed trying to load the MASTER synchronization DB: %w", err)
	}
	if !inPlace {
		e.emit(EvLoad, "MASTER <-> REPLICA sync: Swapping active DB with loaded DB")
	}
	release := e.Quiesce()
	err = ds.Install(func() {
		e.Stream.restart(History{ID: id, ID2: NoID, Second: -1}, offset, true)
		e.mu.Lock()
		e.valid, e.streamDB = true, db
		e.Stream.relaysFrom(db)
		e.mu.Unlock()
	})
	release()
	if err != nil {
		ds.Discard()
		return fmt.Errorf("Failed trying to load the MASTER synchronization DB: %w", err)
	}
	e.dropAll("our data is another primary's now")
	l.resetApplier(db)
	return nil
}

// abandonHistory says that our data is about to be no one's.
func (e *Engine) abandonHistory() {
	e.mu.Lock()
	e.valid = false
	e.mu.Unlock()
}

// expansion is how many times larger than its RDB a data set is taken to be when the file does
// not say.
const expansion = 4

// loadFile receives src into a file and proves it whole. Then it is loaded: beside the old
// data when there is some and memory allows, else in its place.
func (l *link) loadFile(src *bulk, id string, offset int64) error {
	o := l.e.opts.Load()
	f, err := createRDB(o, "sync-from", o.RDBPath != "")
	if err != nil {
		return fmt.Errorf("Opening the temp file needed for MASTER <-> REPLICA synchronization: %w", err)
	}
	defer f.Close()
	defer f.unname()
	out := bufio.NewWriterSize(f, 256<<10)
	nothing := func(*rdb.Record) error { return nil }
	_, bytes, err := l.parse(io.TeeReader(src, out), src.finish, nothing)
	if err != nil {
		return fmt.Errorf("receiving the RDB from MASTER: %w", err)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("Write error or short write writing to the DB dump file needed for MASTER <-> REPLICA synchronization: %w", err)
	}
	if err := l.keepFile(f, o.RDBPath); err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if bytes == 0 {
		bytes = expansion * l.read.Load()
	}
	t := l.e.deps.Target
	how := LoadAside
	if t.Empty() || !t.CanShadow(bytes) {
		how = LoadInPlace
	}
	return l.load(f, func([]byte) error { return nil }, how, id, offset)
}

// keepFile makes f, which is whole, the node's RDB file at path: a start without the primary, or without having met it yet, finds
// the data and its place in the stream.
func (l *link) keepFile(f *rdbFile, path string) error {
	if path == "" {
		return nil
	}
	err := f.Sync()
	if err != nil {
		return fmt.Errorf("Failed trying to sync the temp DB to disk in MASTER <-> REPLICA synchronization: %w", err)
	}
	rename := func() error { return f.rename(path) }
	if l.e.deps.Supersede != nil {
		err = l.e.deps.Supersede(rename)
	} else {
		err = rename()
	}
	if err != nil {
		return fmt.Errorf("Failed trying to rename the temp DB into %s in MASTER <-> REPLICA synchronization: %w", filepath.Base(path), err)
	}
	if err := syncName(path); err != nil {
		return fmt.Errorf("Failed trying to sync DB directory %s in MASTER <-> REPLICA synchronization: %w", filepath.Dir(path), err)
	}
	return nil
}

// parse reads one RDB and passes its records to put. db is the database selected in the stream
// that follows, used what the primary's data took there, 0 if it does not say.
func (l *link) parse(src io.Reader, finish func(rest []byte) error, put func(*rdb.Record) error) (db int, used int64, err error) {
	keys := 0
	r := rdb.NewReader(src, rdb.ReaderOptions{Databases: l.e.deps.Target.Databases()})
	var rec rdb.Record
	for {
		if err := r.Next(&rec); err != nil {
			return 0, 0, err
		}
		if l.stopped.Load() {
			return 0, 0, l.ctx.Err() // a file would not fail as the connection does
		}
		switch rec.Kind {
		case rdb.KindEnd:
			l.e.emit(EvLoad, "Done loading RDB, keys loaded: %d, keys expired: 0.", keys)
			return db, used, finish(r.Rest())
		case rdb.KindAux:
			n, err := strconv.ParseInt(string(rec.Text), 10, 64)
			switch {
			case err != nil || n < 0:
			case string(rec.Key) == "repl-stream-db" && n < int64(l.e.deps.Target.Databases()):
				db = int(n)
			case string(rec.Key) == "used-mem":
				used = n
			}
		case rdb.KindKey, rdb.KindSize, rdb.KindFunction:
			if err := put(&rec); err != nil {
				return 0, 0, err
			}
			if rec.Kind == rdb.KindKey {
				keys++
			}
		}
	}
}
