package store_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/arena"
	"github.com/sextantdb/sextant/store/slot"
	"github.com/sextantdb/sextant/store/value"
	"github.com/stretchr/testify/require"
)

// toy is the least Object: a growing set of strings.
type toy struct{ items []string }

func (o *toy) Type() value.Type         { return value.Set }
func (o *toy) Encoding() value.Encoding { return value.Hashtable }
func (o *toy) Len() int                 { return len(o.items) }
func (o *toy) Clone() value.Object      { return &toy{slices.Clone(o.items)} }
func (o *toy) MemBytes() int64          { return 48 + 16*int64(len(o.items)) }
func (o *toy) String() string           { return fmt.Sprint(o.items) }

// item is a key of the model.
type item struct {
	typ    value.Type
	enc    value.Encoding
	data   string // the payload's bytes, an integer's digits, or a toy's String
	expire int64
}

type dbKey struct {
	db  int
	key string
}

// model is the dumb version of the whole keyspace. An expired key stays in it until it is
// met, or the store says that it removed it.
type model map[dbKey]item

func itemOf(typ value.Type, enc value.Encoding, payload []byte, o value.Object, expire int64) item {
	switch {
	case o != nil:
		return item{typ, enc, o.(*toy).String(), expire}
	case enc == value.Int:
		n := int64(0)
		for i, c := range payload {
			n |= int64(c) << (8 * i)
		}
		return item{typ, enc, strconv.FormatInt(n, 10), expire}
	}
	return item{typ, enc, string(payload), expire}
}

func itemOfEntry(e store.Entry) item {
	return itemOf(e.Type(), e.Encoding(), e.Payload(), e.Object(), e.ExpireAt())
}

func itemOfImage(i *store.Image) item {
	return itemOf(i.Type, i.Encoding, i.Payload, i.Object, i.ExpireAt)
}

// images collects a snapshot.
type images struct {
	t    *testing.T
	seen model
}

func (c *images) add(i *store.Image) {
	k := dbKey{i.DB, string(i.Key)}
	require.NotContains(c.t, c.seen, k, "an entry came out twice")
	require.Equal(c.t, slot.Of(i.Key), i.Slot)
	c.seen[k] = itemOfImage(i)
}

func (c *images) PreImage(i *store.Image) { c.add(i) }

// sim drives a store and the model with the same random operations.
type sim struct {
	t   *testing.T
	r   *rand.Rand
	s   *store.Store
	x   store.Txn
	m   model
	now int64
	dbs int

	shadow model // what is in the shadow; keys have the numbers of the databases they are for

	snap  *store.Snapshot
	cut   model
	got   *images
	slots []slot.Slot // still to be walked
	pos   store.WalkPos

	watches []*watching
}

type watching struct {
	w       store.Watch
	id      dbKey
	changed bool
	alive   bool
}

func newSim(t *testing.T, seed uint64, stripes int) *sim {
	s, err := store.New(store.Options{Databases: 3, Shadow: true, Stripes: stripes, HashSeed: [2]uint64{seed, 7}, RandSeed: seed})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return &sim{t: t, r: rand.New(rand.NewPCG(seed, 1)), s: s, m: model{}, shadow: model{}, now: 1_000_000, dbs: 3}
}

// key is one of many in one slot, or one of a few anywhere.
func (z *sim) key() []byte {
	switch z.r.IntN(8) {
	case 0:
		return fmt.Appendf(nil, "%0300d", z.r.IntN(20)) // a long key
	case 1, 2, 3:
		return fmt.Appendf(nil, "k%d", z.r.IntN(100))
	}
	return fmt.Appendf(nil, "{hot}%d", z.r.IntN(1500))
}

func (z *sim) val() []byte {
	n := z.r.IntN(60)
	switch z.r.IntN(20) {
	case 0:
		n = 3000 + z.r.IntN(3000) // around inlineMax
	case 1:
		n = z.r.IntN(100_000) // spans
	case 2, 3, 4:
		return strconv.AppendInt(nil, z.r.Int64()-z.r.Int64(), 10)
	}
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('a' + z.r.IntN(26))
	}
	return b
}

func (z *sim) expiry() int64 {
	switch z.r.IntN(4) {
	case 0:
		return z.now + int64(z.r.IntN(2000))
	case 1:
		return store.KeepTTL
	}
	return store.NoExpire
}

// get is the model's lookup.
func (z *sim) get(db int, key []byte) (item, bool) {
	id := dbKey{db, string(key)}
	it, ok := z.m[id]
	if ok && z.dead(it) {
		delete(z.m, id)
		return item{}, false
	}
	return it, ok
}

func (z *sim) dead(it item) bool { return it.expire != store.NoExpire && z.now > it.expire }

// touch is the model's WATCH.
func (z *sim) touch(db int, key []byte) {
	for _, w := range z.watches {
		if w.id == (dbKey{db, string(key)}) {
			w.changed = true
		}
	}
}

// put is the model's write.
func (z *sim) put(db int, key []byte, it item) {
	if old, ok := z.get(db, key); it.expire == store.KeepTTL {
		it.expire = store.NoExpire
		if ok {
			it.expire = old.expire
		}
	}
	z.m[dbKey{db, string(key)}] = it
	z.touch(db, key)
}

func text(b []byte) item {
	enc, _ := value.StringEncoding(b)
	return item{value.String, enc, string(b), store.NoExpire}
}

// step does one random operation on both.
func (z *sim) step() {
	t, x, db := z.t, &z.x, z.r.IntN(z.dbs)
	key, other := z.key(), z.key()
	begin := func(keys ...[]byte) {
		slots := make([]slot.Slot, len(keys))
		for i, k := range keys {
			slots[i] = slot.Of(k)
		}
		x.Begin(z.s, z.now, slots...)
		x.SelectDB(db)
	}
	all := func() { x.BeginAll(z.s, z.now); x.SelectDB(db) }
	it, ok := item{}, false
	switch op := z.r.IntN(100); {
	case op < 25:
		begin(key)
		_, ok = z.get(db, key)
		v, at := z.val(), z.expiry()
		require.Equal(t, ok, x.SetString(key, v, at))
		it = text(v)
		it.expire = at
		z.put(db, key, it)
	case op < 28:
		begin(key)
		v, at := z.val(), z.expiry()
		x.SetPayload(key, value.List, value.Listpack, v, at)
		z.put(db, key, item{value.List, value.Listpack, string(v), at})
	case op < 32:
		begin(key)
		o, at := &toy{[]string{"one"}}, z.expiry()
		x.SetObject(key, o, at)
		z.put(db, key, item{value.Set, value.Hashtable, o.String(), at})
	case op < 36:
		begin(key)
		it, ok = z.get(db, key)
		o, edit := x.Edit(key)
		require.Equal(t, ok && it.enc == value.Hashtable, edit)
		if edit {
			o.(*toy).items = append(o.(*toy).items, strconv.Itoa(z.r.IntN(100)))
			it.data = o.(*toy).String()
			z.put(db, key, it)
		}
	case op < 44:
		begin(key)
		it, ok = z.get(db, key)
		if ok && it.typ != value.String {
			break
		}
		v, offset := z.val(), -1
		if z.r.IntN(2) == 0 && len(v) > 0 {
			offset = z.r.IntN(100)
		}
		if offset < 0 {
			if !ok {
				it = text(v)
			} else {
				it.data, it.enc = it.data+string(v), value.Raw
			}
			require.Equal(t, len(it.data), x.Append(key, v))
		} else {
			if !ok {
				it = item{value.String, value.Raw, "", store.NoExpire}
			}
			b := append([]byte(it.data), make([]byte, max(0, offset+len(v)-len(it.data)))...)
			copy(b[offset:], v)
			it.data, it.enc = string(b), value.Raw
			require.Equal(t, len(b), x.SetRange(key, offset, v))
		}
		z.put(db, key, it)
	case op < 52:
		begin(key)
		if _, ok = z.get(db, key); ok {
			z.touch(db, key)
		}
		delete(z.m, dbKey{db, string(key)})
		require.Equal(t, ok, x.Delete(key))
	case op < 58:
		begin(key)
		at := z.now - 5 + int64(z.r.IntN(1000))
		if it, ok = z.get(db, key); ok {
			it.expire = at
			z.put(db, key, it)
		}
		require.Equal(t, ok, x.SetExpire(key, at))
	case op < 61:
		begin(key)
		it, ok = z.get(db, key)
		require.Equal(t, ok && it.expire != store.NoExpire, x.Persist(key))
		if ok && it.expire != store.NoExpire {
			it.expire = store.NoExpire
			z.put(db, key, it)
		}
	case op < 66:
		begin(key, other)
		it, ok = z.get(db, key)
		require.Equal(t, ok, x.Rename(key, other))
		if ok && !bytes.Equal(key, other) {
			delete(z.m, dbKey{db, string(key)})
			z.touch(db, key)
			z.put(db, other, it)
		}
	case op < 70:
		begin(key, other)
		to := z.r.IntN(z.dbs)
		if to == db && bytes.Equal(key, other) {
			break
		}
		it, ok = z.get(db, key)
		require.Equal(t, ok, x.Copy(key, other, to))
		if ok {
			z.put(to, other, it)
		}
	case op < 74:
		begin(key)
		to := z.r.IntN(z.dbs)
		if to == db {
			break
		}
		it, ok = z.get(db, key)
		_, there := item{}, false
		if ok {
			_, there = z.get(to, key)
		}
		require.Equal(t, ok && !there, x.Move(key, to))
		if ok && !there {
			delete(z.m, dbKey{db, string(key)})
			z.touch(db, key)
			z.put(to, key, it)
		}
	case op < 86:
		begin(key)
		it, ok = z.get(db, key)
		e, found := x.Lookup(key, 0)
		require.Equal(t, ok, found, "%d %q", db, key)
		if ok {
			require.Equal(t, it, itemOfEntry(e))
			require.Equal(t, key, e.Key())
			if it.typ == value.String {
				require.Equal(t, len(it.data), e.StrLen())
				require.Equal(t, it.data, string(e.Bytes(nil)))
			}
		}
	case op < 88:
		z.now += int64(z.r.IntN(50))
	case op < 90:
		x.BeginStripe(z.s, z.now, z.r.IntN(z.s.Stripes()))
		x.ActiveExpire(z.r.IntN(400))
		for _, n := range x.Expired() {
			id := dbKey{n.DB, string(n.Key)}
			if it, ok := z.m[id]; ok {
				require.True(t, z.dead(it), "%v was expired too early", id)
				delete(z.m, id)
			}
		}
	case op < 91:
		all()
		x.Defrag(z.r.IntN(300))
	case op < 92:
		all()
		x.Reclaim(z.r.IntN(300))
	case op < 93:
		begin(key)
		x.SetView(store.ViewStream)
		x.SelectShadow(db)
		v, at := z.val(), z.now-5+int64(z.r.IntN(1000))
		x.SetString(key, v, at)
		it = text(v)
		it.expire = at
		z.shadow[dbKey{db, string(key)}] = it
	case op < 96:
		z.watch(begin, db, key)
	default:
		z.rare(all, db, key)
	}
	if !z.open() {
		return
	}
	x.End()
}

func (z *sim) open() bool { return z.x.Open() }

// rare does what empties much, and drives the snapshot.
func (z *sim) rare(all func(), db int, key []byte) {
	x := &z.x
	switch z.r.IntN(40) {
	case 0:
		all()
		for id, it := range z.m {
			if id.db == db {
				if !z.dead(it) {
					z.touch(db, []byte(id.key))
				}
				delete(z.m, id)
			}
		}
		x.FlushDB(db)
	case 1:
		all()
		to := z.r.IntN(z.dbs)
		x.SwapDB(db, to)
		if to == db {
			return
		}
		swapped := model{}
		for id, it := range z.m {
			if id.db == db || id.db == to {
				if !z.dead(it) {
					z.touch(db, []byte(id.key))
					z.touch(to, []byte(id.key))
				}
				id.db = db + to - id.db
			}
			swapped[id] = it
		}
		z.m = swapped
	case 2:
		all()
		sl := slot.Of(key)
		x.DropSlot(sl)
		for id, it := range z.m {
			if slot.OfString(id.key) == sl {
				if !z.dead(it) {
					z.touch(id.db, []byte(id.key))
				}
				delete(z.m, id)
			}
		}
	case 6:
		all()
		require.Equal(z.t, int64(len(z.shadow)), x.FlushShadow())
		z.shadow = model{}
	case 7:
		all()
		for _, m := range []model{z.m, z.shadow} {
			for id, it := range m {
				if !z.dead(it) {
					z.touch(id.db, []byte(id.key))
				}
			}
		}
		x.InstallShadow()
		z.m, z.shadow = z.shadow, model{}
	case 3, 4, 5:
		if z.snap != nil {
			return
		}
		all()
		z.got = &images{z.t, model{}}
		z.snap = x.Cut(z.got)
		z.cut = maps.Clone(z.m)
		z.slots = z.slots[:0]
		for _, i := range z.r.Perm(slot.Count) {
			z.slots = append(z.slots, slot.Slot(i))
		}
		// The hot slot somewhere, cut into many steps.
	default:
		z.walk()
	}
}

// walk takes some steps of the snapshot's walk, and compares when it is done.
func (z *sim) walk() {
	if z.snap == nil {
		return
	}
	if z.r.IntN(100) == 0 {
		z.snap.Abort()
		z.snap.End()
		z.snap = nil
		return
	}
	for range z.r.IntN(2000) {
		if len(z.slots) == 0 {
			z.snap.End()
			z.snap = nil
			for id, it := range z.cut {
				if !z.dead(it) {
					require.Contains(z.t, z.got.seen, id)
				}
			}
			for id, it := range z.got.seen {
				require.Equal(z.t, z.cut[id], it, "%v", id)
			}
			return
		}
		if z.snap.Walk(z.slots[0], &z.pos, 40, 2000, z.got.add) {
			z.slots, z.pos = z.slots[1:], store.WalkPos{}
		} else {
			return // let the writers in
		}
	}
}

// watch starts a watch, or ends one as EXEC does.
func (z *sim) watch(begin func(...[]byte), db int, key []byte) {
	x := &z.x
	if len(z.watches) < 20 {
		begin(key)
		it, ok := z.m[dbKey{db, string(key)}]
		w := &watching{id: dbKey{db, string(key)}, alive: ok && !z.dead(it)}
		x.Watch(key, &w.w)
		z.watches = append(z.watches, w)
		return
	}
	i := z.r.IntN(len(z.watches))
	w := z.watches[i]
	begin([]byte(w.id.key))
	require.Equal(z.t, slot.OfString(w.id.key), w.w.Slot())
	it, ok := z.m[w.id]
	want := w.changed || w.alive && (!ok || z.dead(it))
	require.Equal(z.t, want, x.Changed(&w.w), "watch of %v", w.id)
	x.Unwatch(&w.w)
	z.watches = slices.Delete(z.watches, i, i+1)
}

// compare checks that the whole store is the whole model.
func (z *sim) compare() {
	z.x.BeginAll(z.s, z.now)
	defer z.x.End()
	z.x.Check()
	for db := range z.dbs {
		z.x.SelectDB(db)
		n := 0
		z.x.Keys(func(e store.Entry) bool {
			n++
			require.Equal(z.t, z.m[dbKey{db, string(e.Key())}], itemOfEntry(e), "%d %q", db, e.Key())
			return true
		})
		want := 0
		for id, it := range z.m {
			if id.db == db && !z.dead(it) {
				want++
			}
		}
		require.Equal(z.t, want, n)
	}
}

func TestStoreIsTheModel(t *testing.T) {
	seeds, steps := 6, 12_000
	if arena.Checked {
		seeds, steps = 4, 5_000 // each access is checked there
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			z := newSim(t, uint64(seed), 1<<(seed%4))
			for i := range steps {
				z.step()
				if i%2000 == 0 {
					z.compare()
				}
			}
			z.compare()
			for len(z.watches) > 0 {
				z.x.BeginAll(z.s, z.now)
				z.x.Unwatch(&z.watches[0].w)
				z.watches = z.watches[1:]
				z.x.End()
			}
			if z.snap != nil {
				z.snap.End()
			}
			// Nothing is left when everything is gone.
			z.x.BeginAll(z.s, z.now)
			z.x.FlushAll()
			require.Equal(t, int64(len(z.shadow)), z.x.FlushShadow())
			require.Zero(t, z.x.Reclaim(1<<40))
			m := z.x.MemStats()
			require.Zero(t, m.Entries.Blocks+m.Values.Blocks+m.Tables.Blocks+m.Objects+m.Garbage)
			require.Zero(t, m.Watched)
			z.x.End()
			require.Zero(t, z.s.UsedBytes())
		})
	}
}
