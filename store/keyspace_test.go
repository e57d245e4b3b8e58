package store_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/arena"
	"github.com/sextantdb/sextant/store/slot"
	"github.com/sextantdb/sextant/store/value"
	"github.com/stretchr/testify/require"
)

const t0 = int64(1_700_000_000_000)

func open(t testing.TB) *store.Store {
	s, err := store.New(store.Options{HashSeed: [2]uint64{3, 4}, RandSeed: 5})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

// all runs fn in a Txn over everything at the time now.
func all(s *store.Store, now int64, fn func(x *store.Txn)) {
	var x store.Txn
	x.BeginAll(s, now)
	defer x.End()
	fn(&x)
}

func b(s string) []byte { return []byte(s) }

func fillStore(s *store.Store, n int, format string, at func(i int) int64) {
	var x store.Txn
	for i := range n {
		key := fmt.Appendf(nil, format, i)
		x.Begin(s, t0, slot.Of(key))
		x.SetString(key, key, at(i))
		x.End()
	}
}

func forever(int) int64 { return store.NoExpire }

func encodingOf(x *store.Txn, key string) string {
	e, ok := x.Lookup(b(key), store.NoTouch)
	if !ok {
		return "none"
	}
	return e.Encoding().String()
}

func TestStringEncodingsAreRedis(t *testing.T) {
	all(open(t), t0, func(x *store.Txn) {
		x.SetString(b("k"), b("123"), store.NoExpire)
		require.Equal(t, "int", encodingOf(x, "k"))
		x.Append(b("k"), b("4"))
		require.Equal(t, "raw", encodingOf(x, "k"))
		x.SetString(b("k"), b(strings.Repeat("x", 44)), store.NoExpire)
		require.Equal(t, "embstr", encodingOf(x, "k"))
		x.SetString(b("k"), b(strings.Repeat("x", 45)), store.NoExpire)
		require.Equal(t, "raw", encodingOf(x, "k"))
		x.Append(b("new"), b("77"))
		require.Equal(t, "int", encodingOf(x, "new"))
		x.SetRange(b("range"), 3, b("77"))
		require.Equal(t, "raw", encodingOf(x, "range"))
		e, _ := x.Lookup(b("range"), 0)
		require.Equal(t, "\x00\x00\x0077", string(e.Bytes(nil)))
		x.SetPayload(b("float"), value.String, value.TextEncoding(1), b("3"), store.NoExpire)
		require.Equal(t, "embstr", encodingOf(x, "float"))
		x.SetInt(b("int"), -1<<63, store.NoExpire)
		e, _ = x.Lookup(b("int"), 0)
		require.Equal(t, 20, e.StrLen())
		require.Equal(t, "-9223372036854775808", string(e.Bytes(nil)))
	})
}

func TestHitsAndMissesAreCountedForReadsOnly(t *testing.T) {
	s := open(t)
	all(s, t0, func(x *store.Txn) {
		x.SetString(b("k"), b("v"), store.NoExpire)
		x.Lookup(b("k"), 0)
		x.Lookup(b("none"), store.NoTouch)
		x.Lookup(b("k"), store.NoStats)
	})
	require.Equal(t, int64(1), s.Stats().Hits)
	require.Equal(t, int64(1), s.Stats().Misses)
	s.ResetStats()
	require.Zero(t, s.Stats().Hits)
}

func TestTouchedNamesWhatChanged(t *testing.T) {
	s := open(t)
	all(s, t0, func(x *store.Txn) {
		x.SetString(b("unseen"), b("1"), store.NoExpire)
		require.Zero(t, x.TouchedKeys())
	})
	s.NoteTouched(1)
	all(s, t0, func(x *store.Txn) {
		x.SelectDB(2)
		x.SetString(b("a"), b("1"), store.NoExpire)
		x.Rename(b("a"), b("b"))
		x.FlushDB(2)
		var got []string
		for _, n := range x.Touched(1) {
			got = append(got, fmt.Sprintf("%d:%s", n.DB, n.Key))
		}
		require.Equal(t, 4, x.TouchedKeys())
		require.Equal(t, []string{"2:b", "2:a", "2:"}, got)
		require.Equal(t, int64(3), x.Dirty())
		x.SetString(b("k"), b("v"), t0+1)
	})
	all(s, t0+2, func(x *store.Txn) {
		x.SelectDB(2)
		require.False(t, x.Exists(b("k")))
		require.Equal(t, []store.KeyNote{{DB: 2, Key: b("k"), Expired: true}}, x.Touched(0))
	})
	s.NoteTouched(-1)
	all(s, t0, func(x *store.Txn) {
		x.Delete(b("unseen"))
		require.Zero(t, x.TouchedKeys())
	})
}

func TestAHotSlotGrowsAndShrinksInSmallSteps(t *testing.T) {
	s := open(t)
	n := 200_000
	if arena.Checked {
		n = 10_000
	}
	fillStore(s, n, "{hot}%d", forever)
	used := s.UsedBytes()
	require.Equal(t, int64(n), s.DBSize(0))
	all(s, t0, func(x *store.Txn) {
		x.Check()
		require.Equal(t, n, x.CountInSlot(slot.OfString("hot")))
		for i := range n {
			key := fmt.Appendf(nil, "{hot}%d", i)
			e, ok := x.Lookup(key, 0)
			require.True(t, ok)
			require.Equal(t, string(key), string(e.Payload()))
			if i%100 != 0 {
				x.Delete(key)
			}
		}
		x.Check()
	})
	require.Less(t, s.UsedBytes(), used/30, "tables shrink with their keys")
}

func TestMemoryIsCounted(t *testing.T) {
	s := open(t)
	all(s, t0, func(x *store.Txn) {
		x.SetString(b("small"), b("v"), store.NoExpire)
		x.SetString(b("large"), make([]byte, 1<<20), store.NoExpire)
		x.SetObject(b("object"), &toy{make([]string, 1000)}, store.NoExpire)
		usage := func(key string) int64 { e, _ := x.Lookup(b(key), 0); return e.MemoryUsage() }
		require.InDelta(t, 24, usage("small"), 16)
		require.InDelta(t, 1<<20, usage("large"), 5000)
		require.InDelta(t, 16048, usage("object"), 50)
	})
	before := s.UsedBytes()
	all(s, t0, func(x *store.Txn) {
		o, _ := x.Edit(b("object"))
		o.(*toy).items = make([]string, 2000)
	})
	require.Equal(t, before+16000, s.UsedBytes(), "an edited object is counted anew")
	all(s, t0, func(x *store.Txn) { x.FlushAll(); x.Reclaim(1 << 30) })
	require.Zero(t, s.UsedBytes())
}

func TestRandomKeyIsFair(t *testing.T) {
	s := open(t)
	fillStore(s, 300, "{hot}%d", forever)
	fillStore(s, 100, "k%d", forever)
	hot := 0
	all(s, t0, func(x *store.Txn) {
		for range 4000 {
			e, ok := x.RandomKey()
			require.True(t, ok)
			if e.Key()[0] == '{' {
				hot++
			}
		}
		x.SelectDB(1)
		_, ok := x.RandomKey()
		require.False(t, ok)
	})
	require.InDelta(t, 3000, hot, 150)
}

func TestScanReturnsEveryKeyThatStays(t *testing.T) {
	for _, c := range []struct {
		name         string
		format       string
		stay, churn  int
		growNotStays bool
	}{
		{"spread", "k%d", 3000, 3000, true},
		{"one slot, growing", "{hot}%d", 1000, 20_000, true},
		{"one slot, shrinking", "{hot}%d", 1000, 20_000, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if arena.Checked {
				c.churn /= 5
			}
			s := open(t)
			fillStore(s, c.stay, "stay"+c.format, forever)
			if !c.growNotStays {
				fillStore(s, c.churn, c.format, forever)
			}
			seen := map[string]int{}
			cursor, step, calls := uint64(0), 0, 0
			for {
				all(s, t0, func(x *store.Txn) {
					got := 0
					cursor = x.Scan(cursor, 10, nil, func(e store.Entry) {
						seen[string(e.Key())]++
						got++
					})
					require.LessOrEqual(t, got, 60, "COUNT is about kept")
					for range 200 { // others write meanwhile
						if step < c.churn {
							key := fmt.Appendf(nil, c.format, step)
							if step++; c.growNotStays {
								x.SetString(key, key, store.NoExpire)
							} else {
								x.Delete(key)
							}
						}
					}
				})
				require.Less(t, cursor, uint64(1)<<31, "old tools keep it in a C int")
				if calls++; cursor == 0 {
					break
				}
			}
			for i := range c.stay {
				require.NotZero(t, seen[fmt.Sprintf("stay"+c.format, i)], "key %d", i)
			}
			require.Greater(t, calls, c.stay/60)
		})
	}
}

func TestScanOfSomeSlots(t *testing.T) {
	s := open(t)
	fillStore(s, 1000, "k%d", forever)
	only := slot.SetOf(slot.Range{First: 100, Last: 5000})
	want, got := map[string]bool{}, map[string]bool{}
	all(s, t0, func(x *store.Txn) {
		for cursor := uint64(0); ; {
			cursor = x.Scan(cursor, 7, &only, func(e store.Entry) { got[string(e.Key())] = true })
			if cursor == 0 {
				break
			}
		}
		for sl := slot.Slot(100); sl <= 5000; sl++ {
			x.EachInSlot(sl, func(e store.Entry) bool { want[string(e.Key())] = true; return true })
		}
	})
	require.NotEmpty(t, want)
	require.Equal(t, want, got)
}

func TestDefragGivesMemoryBackAndLosesNothing(t *testing.T) {
	s := open(t)
	n := 100_000
	if arena.Checked {
		n = 5_000
	}
	fillStore(s, n, "key:%012d", forever)
	var x store.Txn
	for i := range n {
		if i%10 != 0 {
			key := fmt.Appendf(nil, "key:%012d", i)
			x.Begin(s, t0, slot.Of(key))
			x.Delete(key)
			x.End()
		}
	}
	all(s, t0, func(x *store.Txn) { x.SetString(b("{large}"), make([]byte, 20_000), store.NoExpire) })
	for more := true; more; {
		all(s, t0, func(x *store.Txn) { _, more = x.Defrag(100) })
	}
	s.ReleaseFree(1 << 40)
	all(s, t0, func(x *store.Txn) {
		x.Check()
		for i := 0; i < n; i += 10 {
			key := fmt.Sprintf("key:%012d", i)
			e, ok := x.Lookup(b(key), 0)
			require.True(t, ok)
			require.Equal(t, key, string(e.Payload()))
		}
		if m := x.MemStats(); !arena.Checked {
			require.Less(t, m.Entries.Slab, 3*m.Entries.Block/2+32*(16<<10))
			require.Positive(t, m.Entries.Moves)
		}
	})
}

func TestReclaimWorksInSteps(t *testing.T) {
	s := open(t)
	fillStore(s, 5000, "{hot}%d", forever)
	fillStore(s, 5000, "k%d", forever)
	all(s, t0, func(x *store.Txn) {
		require.Equal(t, int64(10_000), x.FlushAll())
		require.Zero(t, s.DBSize(0))
		require.False(t, x.Exists(b("k1")))
	})
	require.Positive(t, s.UsedBytes(), "what is detached is still held")
	require.EqualValues(t, 10_000, s.Stats().LazyPending)
	steps := 0
	for left := int64(1); left > 0; steps++ {
		all(s, t0, func(x *store.Txn) { left = x.Reclaim(100); x.Check() })
	}
	require.Greater(t, steps, 10)
	require.Zero(t, s.UsedBytes())
	require.EqualValues(t, 10_000, s.Stats().LazyFreed)
	require.Zero(t, s.Stats().LazyPending)
}

func TestNothingIsAllocatedPerOperation(t *testing.T) {
	if arena.Checked {
		t.Skip("the checking variant allocates")
	}
	s := open(t)
	fillStore(s, 1000, "k%d", forever)
	var x store.Txn
	key, val := b("{k77}"), make([]byte, 64)
	i := 0
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		i++
		x.Begin(s, t0, slot.Of(key))
		x.SetString(key, val[:i%60], store.NoExpire)
		x.Lookup(key, 0)
		x.Append(key, val[:3])
		x.SetExpire(key, t0+5000)
		x.Delete(key)
		x.SetInt(key, 7, t0+1)
		x.End()
	}))
}

// The slot of a key can be told; other keys, equal bytes elsewhere and the next Txn do without.
func TestKnownSlot(t *testing.T) {
	s := open(t)
	buf := b("one two one")
	one, two, again := buf[:3:3], buf[4:7:7], buf[8:]
	var x store.Txn
	x.Begin(s, t0, slot.Of(one), slot.Of(two))
	x.Know(one, slot.Of(one))
	x.SetString(one, b("1"), store.NoExpire)
	x.SetString(two, b("2"), store.NoExpire)
	x.End()
	copy(buf, "two") // the same place, another key
	x.Begin(s, t0, slot.Of(one), slot.Of(again), slot.Of(nil))
	defer x.End()
	for key, want := range map[*[]byte]string{&one: "2", &two: "2", &again: "1"} {
		e, ok := x.Lookup(*key, 0)
		require.True(t, ok)
		require.Equal(t, want, string(e.Bytes(nil)))
	}
	require.False(t, x.Exists(nil))
}
