package repl

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/rdb"
	"github.com/sextantdb/sextant/store/slot"
	"github.com/sextantdb/sextant/store/snapshot"
)

// Exclusive makes Deps.Exclusive of a store.
func Exclusive(s *store.Store, now func() int64) func(f func()) {
	return func(f func()) {
		var t store.Txn
		t.BeginAll(s, now())
		defer t.End()
		f()
	}
}

// WriteRDB writes what in delivers of snap to w. at is the place in the stream.
type WriteRDB func(ctx context.Context, w io.Writer, snap *snapshot.Snapshot, in *snapshot.Stream, at rdb.Replication, req SaveRequest) error

// SaveFrom makes Deps.Save of a snapshot source and a way to write RDB. It waits while another
// snapshot is being read.
func SaveFrom(src *snapshot.Source, o snapshot.Options, now func() int64, write WriteRDB) func(context.Context, io.Writer, SaveRequest) error {
	return func(ctx context.Context, w io.Writer, req SaveRequest) error {
		var at rdb.Replication
		var snap *snapshot.Snapshot
		for snap == nil {
			release := req.Quiesce()
			got, err := src.Begin(snapshot.ForSync, now(), o, func(*store.Txn) { at = req.Cut() })
			release()
			var busy *snapshot.BusyError
			switch {
			case err == nil:
				snap = got
			case errors.As(err, &busy):
				select {
				case <-src.Idle():
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			default:
				return fmt.Errorf("taking a snapshot: %w", err)
			}
		}
		walked := make(chan error, 1)
		in, err := snap.Stream()
		if err != nil {
			snap.Abort(err)
			_ = snap.Run(ctx) // returns err, which is being returned
			return err
		}
		go func() { walked <- snap.Run(ctx) }()
		err = write(ctx, w, snap, in, at, req)
		in.Close()
		if walkErr := <-walked; err == nil {
			err = walkErr
		}
		return err
	}
}

// StoreTarget makes Deps.Target of a store. Its shadow is the upper half of the store's
// databases: a store that was made with twice the databases clients may select can load a full
// sync beside the old data, and exchange the halves at the end in one critical section. Keys in
// the upper half are invisible to clients; a store without one loads via a file.
type StoreTarget struct {
	Store *store.Store
	// Visible is the number of databases clients may select.
	Visible int
	Now     func() int64
	// Policy says which access clocks of the file are used.
	Policy func() store.Policy
	// Libraries replaces the function libraries; called by Install. nil: a full sync that has
	// some is refused.
	Libraries func(code [][]byte) error
}

// reclaimBudget bounds one step of freeing the replaced data.
const reclaimBudget = 1 << 12

// Databases implements Target.
func (t StoreTarget) Databases() int { return t.Visible }

// CanShadow implements Target.
func (t StoreTarget) CanShadow() bool { return t.Store.Databases() >= 2*t.Visible }

// Empty implements Target.
func (t StoreTarget) Empty() bool {
	for db := range t.Visible {
		if t.Store.DBSize(db) > 0 {
			return false
		}
	}
	return true
}

// Begin implements Target.
func (t StoreTarget) Begin(inPlace bool) (Dataset, error) {
	if !inPlace && !t.CanShadow() {
		return nil, errors.New("the store has no second half of databases")
	}
	d := &storeDataset{t: t}
	if !inPlace {
		d.base = t.Visible
	}
	d.flush(d.base)
	return d, nil
}

// storeDataset loads into databases base and up.
type storeDataset struct {
	t    StoreTarget
	base int
	txn  store.Txn
	libs [][]byte
}

// flush empties the databases from base on, and frees what was in them.
func (d *storeDataset) flush(base int) {
	d.txn.BeginAll(d.t.Store, d.t.Now())
	for db := range d.t.Visible {
		d.txn.FlushDB(base + db)
	}
	d.txn.End()
	d.reclaim()
}

// reclaim frees detached tables a stripe at a time, so that clients get in between.
func (d *storeDataset) reclaim() {
	for st := range d.t.Store.Stripes() {
		for left := int64(1); left > 0; {
			d.txn.BeginStripe(d.t.Store, d.t.Now(), st)
			left = d.txn.Reclaim(reclaimBudget)
			d.txn.End()
		}
	}
}

// Put implements Dataset.
func (d *storeDataset) Put(rec *rdb.Record) error {
	switch rec.Kind {
	case rdb.KindFunction:
		if d.t.Libraries == nil {
			return errors.New("the data has function libraries, which are not supported")
		}
		d.libs = append(d.libs, append([]byte(nil), rec.Text...))
		return nil
	case rdb.KindKey:
	default:
		return nil
	}
	at := store.NoExpire
	if rec.ExpireAt != 0 {
		at = rec.ExpireAt
	}
	t := &d.txn
	t.Begin(d.t.Store, d.t.Now(), slot.Of(rec.Key))
	defer t.End()
	t.SetView(store.ViewStream) // keys whose time has come stay until the primary deletes them
	t.SelectDB(d.base + rec.DB)
	var existed bool
	switch v := &rec.Value; {
	case v.Object != nil:
		existed = t.SetObject(rec.Key, v.Object, at)
	case v.IsString():
		existed = t.SetString(rec.Key, v.Payload, at)
	default:
		existed = t.SetPayload(rec.Key, v.Type, v.Encoding, v.Payload, at)
	}
	if existed {
		return fmt.Errorf("RDB has duplicated key '%s' in DB %d", rec.Key, rec.DB)
	}
	if d.t.Policy != nil && rec.Usage != rdb.UsageNone {
		if lfu := d.t.Policy().LFU(); lfu && rec.Usage == rdb.UsageFreq {
			t.SetFreq(rec.Key, rec.Freq)
		} else if !lfu && rec.Usage == rdb.UsageIdle {
			t.SetIdle(rec.Key, int64(min(rec.Idle, 1<<40)))
		}
	}
	return nil
}

// Install implements Dataset.
func (d *storeDataset) Install(at func()) error {
	if d.t.Libraries != nil {
		if err := d.t.Libraries(d.libs); err != nil {
			return fmt.Errorf("loading function libraries: %w", err)
		}
	}
	d.txn.BeginAll(d.t.Store, d.t.Now())
	if d.base != 0 {
		for db := range d.t.Visible {
			d.txn.SwapDB(db, d.base+db)
			d.txn.FlushDB(d.base + db)
		}
	}
	at()
	d.txn.End()
	d.reclaim()
	return nil
}

// Discard implements Dataset.
func (d *storeDataset) Discard() { d.flush(d.base) }
