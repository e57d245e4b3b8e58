package persist

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/disk"
	"github.com/sextantdb/sextant/store/rdb"
	"github.com/sextantdb/sextant/store/slot"
	"github.com/sextantdb/sextant/store/value"
)

const (
	// progressBytes is how much is loaded between two reports of progress
	// (loading-process-events-interval-bytes).
	progressBytes = 2 << 20

	// reclaimBudget bounds one step of emptying the store after a failed load.
	reclaimBudget = 1 << 16
)

// LoaderOptions are fixed for the life of a Loader.
type LoaderOptions struct {
	Store    *store.Store
	FS       disk.FS // nil: disk.OS
	Now      func() time.Time
	Listener Listener // nil: nobody listens
}

// LoadOptions are those of one load. The zero value loads what a primary may serve.
type LoadOptions struct {
	// KeepExpired loads keys whose time has come, as a replica must (its primary will delete
	// them), and whoever loads the base of an append-only file. Else they are dropped and counted.
	KeepExpired bool
	// Expired, when set, is told of every key that KeepExpired would have kept, while it is
	// valid: replicas of ours still have it.
	Expired func(db int, key []byte)
	// Merge loads into a store that has keys; those of the file replace them (DEBUG RELOAD
	// NOFLUSH MERGE). Without it the store must be empty, a key that comes twice is refused,
	// and a load that fails leaves the store empty.
	Merge bool
	// SkipChecksum is rdbchecksum no.
	SkipChecksum bool
	// Limits say which collections stay compact; the zero value stands for Redis' defaults.
	Limits value.Limits
	// Policy decides which of the access clocks of the file are used.
	Policy store.Policy
	// Drop, when set, says that the keys of a slot are not wanted (cluster mode: another node
	// serves it). They are counted.
	Drop func(slot.Slot) bool
	// Library takes the code of a function library, which is valid during the call. Without it a file with one is refused.
	Library func(code []byte) error
	// AtStart adds the line Redis logs after loading at the start.
	AtStart bool
	// Progress, when set, is called every progressBytes on the loading goroutine (a replica
	// keeps its link alive there).
	Progress func(LoadProgress)
	Pace     Pace
}

// Loaded is what came out of a load.
type Loaded struct {
	Keys, Expired, Empty, Foreign int64
	Bytes                         int64 // of the file
	// Replication is the place in the stream of writes the file was saved at, or nil.
	Replication *rdb.Replication
	// AOFTail: commands follow behind the RDB part (aof-preamble of old files).
	AOFTail bool
}

// ErrNotEmpty refuses to load into a store that has keys.
var ErrNotEmpty = errors.New("the store to load into is not empty")

// Loader fills the store from RDB. One load at a time. While it runs the caller keeps clients
// away from the data (-LOADING), then nobody ever sees half of a file: either the load ends well
// or the store is empty again.
type Loader struct {
	o LoaderOptions

	mu       sync.Mutex
	progress LoadProgress // guarded by mu
	last     Loaded       // guarded by mu
	outer    bool         // guarded by mu: several streams are loaded one after the other; see begin
	before   int64        // guarded by mu: bytes of those that are done
}

// LoadProgress is what INFO's loading_ fields tell.
type LoadProgress struct {
	Loading     bool
	StartUnix   int64 // loading_start_time
	TotalBytes  int64 // loading_total_bytes; 0: unknown
	LoadedBytes int64 // loading_loaded_bytes
	UsedMemory  int64 // loading_rdb_used_mem: what the file's writer used
	Keys        int64
	Percent     float64 // loading_loaded_perc
	ETASeconds  int64   // loading_eta_seconds
}

// NewLoader returns a Loader.
func NewLoader(o LoaderOptions) *Loader {
	if o.FS == nil {
		o.FS = disk.OS{}
	}
	if o.Listener == nil {
		o.Listener = func(Event) {}
	}
	return &Loader{o: o}
}

// Progress may be called by any goroutine.
func (l *Loader) Progress() LoadProgress {
	now := l.o.Now().Unix()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.progress.at(now)
}

func (p LoadProgress) at(nowUnix int64) LoadProgress {
	if !p.Loading {
		return p
	}
	total := p.TotalBytes
	if total == 0 {
		total = p.UsedMemory
	}
	remaining := int64(1) // Redis' guess when nothing is known
	if total > 0 {
		p.Percent = 100 * float64(p.LoadedBytes) / float64(total)
		remaining = total - p.LoadedBytes
	}
	if elapsed := nowUnix - p.StartUnix; elapsed == 0 {
		p.ETASeconds = 1
	} else {
		p.ETASeconds = max(elapsed*remaining/(p.LoadedBytes+1), 0)
	}
	return p
}

// Last is what the last load gave (rdb_last_load_keys_expired, rdb_last_load_keys_loaded).
func (l *Loader) Last() Loaded {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// File loads the file at path. When there is none, the error is fs.ErrNotExist.
func (l *Loader) File(ctx context.Context, path string, o LoadOptions) (Loaded, error) {
	began := l.o.Now()
	file, size, err := l.o.FS.Open(path)
	if err != nil {
		return Loaded{}, fmt.Errorf("opening the RDB file %s: %w", path, err)
	}
	defer file.Close() //nolint:errcheck // only read
	got, _, err := l.Stream(ctx, file, size, o)
	if err != nil {
		err = fmt.Errorf("loading the RDB file %s: %w", path, err)
		l.o.Listener(LoadFailed{Err: err})
		return Loaded{}, err
	}
	if o.AtStart {
		l.o.Listener(LoadedFromDisk{Seconds: l.o.Now().Sub(began).Seconds()})
	}
	return got, nil
}

// Stream loads one RDB from src, whose length is size, 0 if unknown. rest is what was read
// from src beyond its end. On an error nothing is left of it in the store (see LoadOptions.Merge).
func (l *Loader) Stream(ctx context.Context, src io.Reader, size int64, o LoadOptions) (got Loaded, rest []byte, err error) {
	if !o.Merge {
		for db := range l.o.Store.Databases() {
			if l.o.Store.DBSize(db) != 0 {
				return Loaded{}, nil, ErrNotEmpty
			}
		}
	}
	now := l.o.Now()
	l.mu.Lock()
	if !l.outer {
		l.progress = LoadProgress{Loading: true, StartUnix: now.Unix(), TotalBytes: size}
		l.last = Loaded{}
	}
	l.mu.Unlock()

	ld := load{
		Loader: l, o: o, nowMs: now.UnixMilli(), r: rdb.NewReader(src, rdb.ReaderOptions{
			Databases: l.o.Store.Databases(), SkipChecksum: o.SkipChecksum, Limits: o.Limits, Skipped: l.tellSkipped(),
		}),
	}
	err = ld.run(ctx)
	ld.got.Bytes, ld.got.Empty = ld.r.Offset(), ld.r.EmptySkipped()
	if err != nil && !o.Merge {
		l.empty(ld.nowMs)
	}
	l.mu.Lock()
	if !l.outer {
		l.progress = LoadProgress{}
	}
	l.last = ld.got
	l.mu.Unlock()
	if err != nil {
		return Loaded{}, nil, err
	}
	l.o.Listener(LoadDone{Keys: ld.got.Keys, Expired: ld.got.Expired, Empty: ld.got.Empty, Foreign: ld.got.Foreign})
	return ld.got, ld.r.Rest(), nil
}

// skippedTold is how many keys that are left out are named in the log.
const skippedTold = 10

func (l *Loader) tellSkipped() func(key []byte) {
	told := 0
	return func(key []byte) {
		if told++; told <= skippedTold {
			l.o.Listener(LoadedEmptyKey{Key: string(key)})
		}
	}
}

// empty removes what a failed load has left.
func (l *Loader) empty(nowMs int64) {
	var t store.Txn
	t.BeginAll(l.o.Store, nowMs)
	t.FlushAll()
	for t.Reclaim(reclaimBudget) > 0 {
	}
	t.End()
}

// load is one load under way. It belongs to its goroutine.
type load struct {
	*Loader
	o        LoadOptions
	r        *rdb.Reader
	nowMs    int64
	got      Loaded
	usedMem  int64
	reported int64 // offset of the last report
	repl     rdb.Replication
	replSeen uint8 // a bit for each field of repl that has come
}

const (
	replStreamDB = 1 << iota
	replID
	replOffset
)

func (l *load) run(ctx context.Context) error {
	var rec rdb.Record
	var t store.Txn
	for {
		if err := l.r.Next(&rec); err != nil {
			return err
		}
		switch rec.Kind {
		case rdb.KindKey:
			if err := l.key(&t, &rec); err != nil {
				return err
			}
			if err := l.o.Pace.Wait(ctx); err != nil {
				return err
			}
		case rdb.KindAux:
			l.aux(string(rec.Key), string(rec.Text))
		case rdb.KindFunction:
			if l.o.Library == nil {
				return fmt.Errorf("function libraries are not supported (RDB offset %d)", rec.Offset)
			}
			if err := l.o.Library(rec.Text); err != nil {
				return fmt.Errorf("Failed loading library, %w (RDB offset %d)", err, rec.Offset)
			}
		case rdb.KindSize, rdb.KindSlotSize: // our tables grow by themselves
		case rdb.KindEnd:
			if l.r.Unchecked() && l.r.Version() >= 5 && !l.o.SkipChecksum {
				l.Loader.o.Listener(LoadedUnchecked{})
			}
			if l.replSeen == replStreamDB|replID|replOffset {
				l.got.Replication = &l.repl
			}
			return nil
		}
		if l.r.Offset()-l.reported >= progressBytes {
			l.report()
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
		}
	}
}

func (l *load) report() {
	l.reported = l.r.Offset()
	now := l.Loader.o.Now().Unix()
	l.mu.Lock()
	l.progress.LoadedBytes, l.progress.Keys, l.progress.UsedMemory = l.before+l.reported, l.got.Keys, l.usedMem
	p := l.progress.at(now)
	l.mu.Unlock()
	if l.o.Progress != nil {
		l.o.Progress(p)
	}
}

// key puts one key into the store. It locks one stripe for it: reading from src, which may
// block, happens outside.
func (l *load) key(t *store.Txn, rec *rdb.Record) error {
	if !l.o.KeepExpired && rec.ExpireAt != 0 && rec.ExpireAt < l.nowMs {
		l.got.Expired++
		if l.o.Expired != nil {
			l.o.Expired(rec.DB, rec.Key)
		}
		return nil
	}
	sl := slot.Of(rec.Key)
	if l.o.Drop != nil && l.o.Drop(sl) {
		l.got.Foreign++
		return nil
	}
	at := store.NoExpire
	if rec.ExpireAt != 0 {
		at = rec.ExpireAt
	}
	t.Begin(l.Loader.o.Store, l.nowMs, sl)
	t.SetView(store.ViewStream)
	t.SelectDB(rec.DB)
	var existed bool
	switch v := &rec.Value; {
	case v.Object != nil:
		existed = t.SetObject(rec.Key, v.Object, at)
	case v.IsString():
		existed = t.SetString(rec.Key, v.Payload, at)
	default:
		existed = t.SetPayload(rec.Key, v.Type, v.Encoding, v.Payload, at)
	}
	if rec.Usage != rdb.UsageNone {
		if lfu := l.o.Policy.LFU(); lfu && rec.Usage == rdb.UsageFreq {
			t.SetFreq(rec.Key, rec.Freq)
		} else if !lfu && rec.Usage == rdb.UsageIdle {
			t.SetIdle(rec.Key, int64(min(rec.Idle, 1<<40)))
		}
	}
	t.End()
	if existed && !l.o.Merge {
		return fmt.Errorf("RDB has duplicated key '%s' in DB %d (RDB offset %d)", rec.Key, rec.DB, rec.Offset)
	}
	l.got.Keys++
	return nil
}

// aux takes a field that says something about the file.
func (l *load) aux(name, val string) {
	tell := l.Loader.o.Listener
	number := func() int64 {
		n, err := strconv.ParseInt(val, 10, 64)
		if err != nil {
			return 0 // as Redis' strtoll: such fields only inform
		}
		return n
	}
	switch strings.ToLower(name) {
	case "repl-stream-db":
		l.repl.StreamDB = int(number())
		l.replSeen |= replStreamDB
	case "repl-id":
		if len(val) == 40 {
			l.repl.ID = val
			l.replSeen |= replID
		}
	case "repl-offset":
		l.repl.Offset = number()
		l.replSeen |= replOffset
	case "redis-ver":
		tell(LoadedVersion{Version: val})
	case "ctime":
		tell(LoadedAge{Seconds: max(l.nowMs/1000-number(), 0)})
	case "used-mem":
		l.usedMem = number()
		tell(LoadedMemory{Bytes: l.usedMem})
	case "aof-preamble":
		if l.got.AOFTail = number() != 0; l.got.AOFTail {
			tell(LoadedPreamble{})
		}
	case "aof-base":
		if number() != 0 {
			tell(LoadedBase{})
		}
	case "redis-bits", "lua": // of no use
	default:
		if strings.HasPrefix(name, "%") {
			tell(LoadedNote{Name: name, Value: val})
		} else {
			tell(LoadedUnknown{Name: name})
		}
	}
}
