package store_test

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/slot"
	"github.com/sextantdb/sextant/store/value"
)

// hashOf makes key a hash of fields f0, f1, ... that expire at the times given, 0 for never.
func hashOf(x *store.Txn, key []byte, l value.Limits, at ...int64) {
	e := value.NewHash(nil, &l)
	for i, when := range at {
		f := fmt.Appendf(nil, "f%d", i)
		if e.Set(f, f); when != 0 {
			e.SetExpiry(f, when)
		}
	}
	if enc, payload, o := e.Result(); o != nil {
		x.SetObject(key, o, store.NoExpire)
	} else {
		x.SetPayload(key, value.Hash, enc, payload, store.NoExpire)
	}
}

func fieldsOf(e store.Entry) map[string]int64 {
	m := map[string]int64{}
	value.HashOf(e.Encoding(), e.Payload(), e.Object(), 0).EachTimed(func(f, _ []byte, at int64) bool {
		m[string(f)] = at
		return true
	})
	return m
}

var bothForms = []value.Limits{value.DefaultLimits(), {HashEntries: 0, HashValue: 64}}

// A field lives through its last millisecond; the key goes with the last one. A replica removes
// nothing, and the stream sees all.
func TestFieldsExpireWhenMet(t *testing.T) {
	for _, l := range bothForms {
		s := open(t)
		all(s, t0, func(x *store.Txn) { hashOf(x, b("h"), l, t0+10, 0, t0+20) })
		all(s, t0+10, func(x *store.Txn) {
			e, _ := x.Lookup(b("h"), 0)
			require.Len(t, fieldsOf(e), 3)
			require.False(t, x.HasExpired())
		})
		all(s, t0+11, func(x *store.Txn) {
			for _, v := range []store.View{store.ViewReplica, store.ViewStream} {
				x.SetView(v)
				e, _ := x.Lookup(b("h"), 0)
				require.Len(t, fieldsOf(e), 3)
			}
			x.SetView(store.ViewPrimary)
			e, ok := x.Lookup(b("h"), 0)
			require.True(t, ok)
			require.Equal(t, map[string]int64{"f1": 0, "f2": t0 + 20}, fieldsOf(e))
			notes := x.ExpiredFields()
			require.Len(t, notes, 1)
			require.Equal(t, "h", string(notes[0].Key))
			require.Equal(t, [][]byte{b("f0")}, notes[0].Fields)
			require.False(t, notes[0].Gone)
			require.Zero(t, x.Dirty(), "nobody has changed anything")
			x.ClearExpired()
			require.False(t, x.HasExpired())
			x.Check()
			hashOf(x, b("g"), l, t0+12, t0+13)
		})
		all(s, t0+50, func(x *store.Txn) {
			require.False(t, x.Exists(b("g")))
			require.True(t, x.ExpiredFields()[0].Gone)
			require.Len(t, x.ExpiredFields()[0].Fields, 2)
			require.False(t, x.SetString(b("g"), b("v"), store.NoExpire))
		})
		require.EqualValues(t, 3, s.Stats().ExpiredFields)
	}
}

// A watched hash is another once a field has gone.
func TestFieldsThatExpireAreChanges(t *testing.T) {
	s := open(t)
	var w store.Watch
	all(s, t0, func(x *store.Txn) {
		hashOf(x, b("h"), value.DefaultLimits(), t0+10, 0)
		x.Watch(b("h"), &w)
	})
	all(s, t0+11, func(x *store.Txn) {
		x.Exists(b("h"))
		require.True(t, x.Changed(&w))
		x.Unwatch(&w)
	})
}

// One lookup removes so many fields, and no more.
func TestFieldsGoInSteps(t *testing.T) {
	s := open(t)
	at := make([]int64, 3000)
	for i := range at {
		at[i] = t0 + int64(i%7)
	}
	all(s, t0, func(x *store.Txn) { hashOf(x, b("h"), value.DefaultLimits(), at...) })
	all(s, t0+100, func(x *store.Txn) {
		left := len(at)
		for x.Exists(b("h")) {
			notes := x.ExpiredFields()
			n := len(notes[0].Fields)
			require.LessOrEqual(t, n, 512)
			require.Positive(t, n)
			x.ClearExpired()
			left -= n
		}
		require.Equal(t, left, len(x.ExpiredFields()[0].Fields))
	})
}

// Active expiry finds all fields whose time has come and only those, whatever has happened to
// their keys meanwhile: the tables have grown and shrunk, hashes were renamed, copied, moved and
// edited in place.
func TestActiveExpiryOfFields(t *testing.T) {
	s := open(t)
	r := rand.New(rand.NewPCG(1, 2))
	model := map[string]map[string]int64{}
	key := func(i int) []byte {
		if i%2 == 0 {
			return fmt.Appendf(nil, "{hot}%d", i)
		}
		return fmt.Appendf(nil, "k%d", i)
	}
	const keys = 3000
	var x store.Txn
	for now := t0; now < t0+3000; now += 50 {
		for range 400 {
			k, other := key(r.IntN(keys)), key(r.IntN(keys))
			x.Begin(s, now, slot.Of(k), slot.Of(other))
			x.SetView(store.ViewStream) // nothing expires by being met
			switch r.IntN(8) {
			case 0:
				x.Delete(k)
				delete(model, string(k))
			case 1:
				if x.Rename(k, other) && string(k) != string(other) {
					delete(model, string(other))
					if fields := model[string(k)]; fields != nil {
						model[string(other)] = fields
						delete(model, string(k))
					}
				}
			case 2:
				if string(k) != string(other) && x.Copy(k, other, 0) {
					delete(model, string(other))
					if fields := model[string(k)]; fields != nil {
						model[string(other)] = maps.Clone(fields)
					}
				}
			case 3:
				x.SetString(k, k, store.NoExpire)
				delete(model, string(k))
			case 4:
				if o, ok := x.Edit(k); ok {
					e := value.EditHash(0, nil, o, 0, nil, value.UsualLimits())
					at := now + r.Int64N(500)
					e.SetExpiry(b("f0"), 0)
					if e.Has(b("f1")) {
						e.SetExpiry(b("f1"), at)
						model[string(k)]["f1"] = at
					}
					model[string(k)]["f0"] = 0
					x.NoteFieldExpiry(k)
				}
			default:
				at := make([]int64, 1+r.IntN(6))
				fields := map[string]int64{}
				at[0] = 0 // hashes do not vanish
				for i := range at {
					if i > 0 && r.IntN(3) > 0 {
						at[i] = now + 1 + r.Int64N(1500)
					}
					fields[fmt.Sprint("f", i)] = at[i]
				}
				hashOf(&x, k, bothForms[r.IntN(2)], at...)
				model[string(k)] = fields
			}
			x.End()
		}
		for stripe := range s.Stripes() {
			for more := s.NextExpire(stripe) < now; more; {
				x.BeginStripe(s, now, stripe)
				_, more = x.ActiveExpire(50)
				for _, n := range x.ExpiredFields() {
					for _, f := range n.Fields {
						at, there := model[string(n.Key)][string(f)]
						require.True(t, there && at != 0 && at < now, "%s %s", n.Key, f)
						delete(model[string(n.Key)], string(f))
					}
				}
				x.End()
			}
		}
		all(s, now, func(x *store.Txn) {
			x.Check()
			x.SetView(store.ViewStream)
			for k, fields := range model {
				e, ok := x.Lookup(b(k), 0)
				require.True(t, ok, k)
				require.Equal(t, fields, fieldsOf(e), k)
				for _, at := range fields {
					require.True(t, at == 0 || at >= now)
				}
			}
		})
	}
	all(s, t0, func(x *store.Txn) { x.FlushDB(0) })
	for stripe := range s.Stripes() {
		for more := s.NextExpire(stripe) < math.MaxInt64; more; {
			x.BeginStripe(s, t0+10_000, stripe)
			_, more = x.ActiveExpire(50)
			x.End()
		}
		require.Equal(t, int64(math.MaxInt64), s.NextExpire(stripe), "nothing is waited for")
	}
}

// What expires after the cut is in the snapshot.
func TestSnapshotHasFieldsThatExpireMeanwhile(t *testing.T) {
	for _, l := range bothForms {
		s := open(t)
		all(s, t0, func(x *store.Txn) { hashOf(x, b("h"), l, t0+10, 0) })
		sink := fieldSink{}
		var sn *store.Snapshot
		all(s, t0, func(x *store.Txn) { sn = x.Cut(sink) })
		all(s, t0+11, func(x *store.Txn) { x.Exists(b("h")); require.True(t, x.HasExpired()) })
		require.Equal(t, map[string]int64{"f0": t0 + 10, "f1": 0}, sink["h"])
		sn.End()
	}
}

type fieldSink map[string]map[string]int64

func (c fieldSink) PreImage(i *store.Image) {
	m := map[string]int64{}
	value.HashOf(i.Encoding, i.Payload, i.Object, 0).EachTimed(func(f, _ []byte, at int64) bool { m[string(f)] = at; return true })
	c[string(i.Key)] = m
}
