package value_test

import (
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/store/value"
)

type timedField struct {
	val string
	at  int64
}

// Hashes whose fields expire, compact and large, against a map; a clone stays as it was.
func TestHashTimesModel(t *testing.T) {
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 9))
		l := value.Limits{HashEntries: []int{0, 20, 1000}[seed%3], HashValue: 64}
		fields := []int{30, 600}[seed/3%2]
		var k kept
		var scratch []byte
		model := map[string]timedField{}
		now := int64(1000)
		type frozen struct {
			o     value.Object
			model map[string]timedField
		}
		var clones []frozen
		check := func(h value.HashView, model map[string]timedField, now int64) {
			want := map[string]timedField{}
			next := int64(value.Never)
			for f, v := range model {
				if now == 0 || v.at == 0 || v.at >= now {
					want[f] = v
				}
				if v.at != 0 {
					next = min(next, v.at)
				}
			}
			require.Equal(t, len(want), h.Len())
			require.LessOrEqual(t, h.NextExpiry(), next)
			got := map[string]timedField{}
			h.EachTimed(func(f, v []byte, at int64) bool { got[string(f)] = timedField{string(v), at}; return true })
			require.Equal(t, want, got)
			scanned := 0
			for cursor := uint64(0); ; {
				if cursor = h.Scan(cursor, 7, func(f, v []byte) {
					require.Equal(t, want[string(f)].val, string(v))
					scanned++
				}); cursor == 0 {
					break
				}
			}
			require.Equal(t, len(want), scanned)
			if len(want) > 0 {
				h.Random(r.Uint64, func(f, v []byte) { require.Equal(t, want[string(f)].val, string(v)) })
			}
			for f, v := range model {
				_, there := want[f]
				at, ok := h.ExpiresAt([]byte(f))
				require.Equal(t, there, ok)
				got, ok := h.Get([]byte(f), make([]byte, 0, 20))
				require.Equal(t, there, ok)
				if there {
					require.Equal(t, v.at, at)
					require.Equal(t, v.val, string(got))
					require.Equal(t, len(v.val), h.ValueLen([]byte(f)))
				}
			}
		}
		for step := range 1500 {
			now += int64(r.IntN(3))
			e := value.EditHash(k.enc, k.payload, k.o, now, scratch, &l)
			f := strconv.Itoa(r.IntN(fields))
			has, had := model[f]
			shown := had && (has.at == 0 || has.at >= now)
			switch r.IntN(8) {
			case 0:
				require.Equal(t, shown, e.Delete([]byte(f)))
				if shown || e.Compact() == false {
					delete(model, f)
				}
			case 1, 2, 3:
				v := strconv.Itoa(r.IntN(100000))
				require.Equal(t, !shown, e.Set([]byte(f), []byte(v)))
				model[f] = timedField{v, 0}
			case 4:
				v := strconv.Itoa(r.IntN(100000))
				require.Equal(t, !shown, e.SetKeeping([]byte(f), []byte(v)))
				if !shown {
					has.at = 0
				}
				model[f] = timedField{v, has.at}
			case 5, 6:
				if shown {
					at := now + int64(r.IntN(400))
					if r.IntN(4) == 0 {
						at = 0
					}
					e.SetExpiry([]byte(f), at)
					model[f] = timedField{has.val, at}
				}
			default:
				limit := 1 + r.IntN(5)
				n, more := e.RemoveDue(now, limit, func(f []byte) {
					require.Less(t, model[string(f)].at, now)
					require.NotZero(t, model[string(f)].at)
					delete(model, string(f))
				})
				require.LessOrEqual(t, n, limit)
				if !more {
					for _, v := range model {
						require.True(t, v.at == 0 || v.at >= now)
					}
				}
			}
			enc, payload, o := e.Result()
			k.store(enc, payload, o)
			scratch = e.Scratch()
			if fields < 100 || step%20 == 0 {
				check(value.HashOf(k.enc, k.payload, k.o, now), model, now)
			}
			if step%20 == 0 {
				check(value.HashOf(k.enc, k.payload, k.o, 0), model, 0)
				if k.enc == value.ListpackEx && len(model) > 0 {
					require.True(t, value.CheckListpackEx(k.payload))
				}
			}
			if step%400 == 399 && k.o != nil {
				was := map[string]timedField{}
				for f, v := range model {
					was[f] = v
				}
				clones = append(clones, frozen{k.o.Clone(), was})
			}
		}
		for _, c := range clones {
			check(value.HashOf(0, nil, c.o, 0), c.model, 0)
		}
	}
}
