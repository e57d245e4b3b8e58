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
		err := <-snapshot.Go(true, func() error {
			return snap.Read(ctx, true, func(in *snapshot.Stream) error { return write(ctx, w, snap, in, at, req) })
		})
		if err == nil && req.Whole != nil {
			err = req.Whole()
		}
		return err
	}
}

// StoreTarget makes Deps.Target of a store: a store with a shadow can take a full sync beside
// the old data and exchange the two at the end in one critical section. Functions may be nil
// where that is said.
type StoreTarget struct {
	Store *store.Store
	Now   func() int64
	// Room reports whether there is memory for that many bytes more. nil: there always is.
	Room func(bytes int64) bool
	// Policy says which access clocks of the file are used. nil: none.
	Policy func() store.Policy
	// Libraries replaces the function libraries; called with every stripe held, and may not fail
	// for code it took before. nil: a full sync that has some is refused.
	Libraries func(code [][]byte) error
	// Loading is told before a load begins, or the old data goes for it, and when that load has ended: clients are to be
	// kept away in between as LoadHow says. nil: nobody keeps them away.
	Loading func(how LoadHow, on bool)
	// Replaced is told after a full sync has taken the place of the old data. nil: nobody.
	Replaced func()
	// Pace makes the function that is called after every key of one load, with no stripe held. nil: none.
	Pace func() func()
}

// reclaimBudget bounds one step of freeing the replaced data.
const reclaimBudget = 1 << 12

// Databases implements Target.
func (t StoreTarget) Databases() int { return t.Store.Databases() }

// CanShadow implements Target.
func (t StoreTarget) CanShadow(bytes int64) bool {
	return t.Store.HasShadow() && (t.Room == nil || t.Room(bytes))
}

// Empty implements Target.
func (t StoreTarget) Empty() bool {
	for db := range t.Store.Databases() {
		if t.Store.DBSize(db) > 0 {
			return false
		}
	}
	return true
}

// Begin implements Target.
func (t StoreTarget) Begin(how LoadHow) (Dataset, error) {
	if how != LoadInPlace && !t.Store.HasShadow() {
		return nil, errors.New("the store has no shadow")
	}
	d := &storeDataset{t: t, how: how}
	if t.Pace != nil {
		d.pace = t.Pace()
	}
	if t.Loading != nil {
		t.Loading(how, true)
	}
	d.flush()
	d.reclaim() // the new data needs the room
	return d, nil
}

// storeDataset is a data set being loaded, in the shadow or in place.
type storeDataset struct {
	t    StoreTarget
	how  LoadHow
	pace func() // nil: none
	txn  store.Txn
	libs [][]byte
}

// flush empties where the data goes. What was there is freed by housekeeping: whoever changes
// the node's role may be waiting for us.
func (d *storeDataset) flush() {
	d.txn.BeginAll(d.t.Store, d.t.Now())
	if d.how == LoadInPlace {
		d.txn.FlushAll()
	} else {
		d.txn.FlushShadow()
	}
	d.txn.End()
}

// ended lets clients back in.
func (d *storeDataset) ended() {
	if d.t.Loading != nil {
		d.t.Loading(d.how, false)
	}
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
	if d.pace != nil {
		defer d.pace()
	}
	t := &d.txn
	t.Begin(d.t.Store, d.t.Now(), slot.Of(rec.Key))
	defer t.End()
	t.SetView(store.ViewStream) // keys whose time has come stay until the primary deletes them
	if d.how == LoadInPlace {
		t.SelectDB(rec.DB)
	} else {
		t.SelectShadow(rec.DB)
	}
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
	d.txn.BeginAll(d.t.Store, d.t.Now())
	if d.t.Libraries != nil {
		if err := d.t.Libraries(d.libs); err != nil {
			d.txn.End()
			return fmt.Errorf("loading function libraries: %w", err)
		}
	}
	if d.how != LoadInPlace {
		d.txn.InstallShadow()
	}
	at()
	d.txn.End()
	d.ended()
	if d.t.Replaced != nil {
		d.t.Replaced()
	}
	return nil
}

// Discard implements Dataset.
func (d *storeDataset) Discard() {
	d.flush()
	d.ended()
}
