package node

import (
	"math/bits"
	"strconv"
	"strings"
	"sync"

	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/slot"
	"github.com/sextantdb/sextant/store/stat"
	"github.com/sextantdb/sextant/store/value"
)

// keySizes is INFO keysizes: per database and type, how many keys have a length (of strings in
// bytes, of collections in elements) between one power of two and the next. Counting it at every
// write would cost every write, so the keyspace is walked when somebody asks, in short lock holds
// beside the traffic: the numbers are those of the walk, not of one moment.
type keySizes struct {
	n *Node

	mu      sync.Mutex
	last    []sizeRow // guarded by mu; of the last walk
	waiting []func()  // guarded by mu; at most one a client: whose walk has yet to begin
	walking bool      // guarded by mu
}

type sizeRow struct{ name, value string }

// sizeSteps is how many powers of two are told apart, and 0.
const sizeSteps = 65

// sizesOf are the types, as Redis 8 has them in this section, in its order.
var sizesOf = []struct {
	of   value.Type
	name string
}{
	{value.String, "strings_sizes"}, {value.List, "lists_items"}, {value.Set, "sets_items"},
	{value.ZSet, "zsets_items"}, {value.Hash, "hashes_items"},
}

// sizes counts keys by type and bits.Len of their length.
type sizes map[value.Type]*[sizeSteps]int64

func (k *keySizes) register(s *stat.Section) {
	s.Measured(k.measure)
	s.Rows("keys by type and length, each number that of keys from it to its double", func(emit func(name, value string)) {
		k.mu.Lock()
		rows := k.last
		k.mu.Unlock()
		for _, r := range rows {
			emit(r.name, r.value)
		}
	})
}

// measure calls done once a walk is over that began later than now. It does not block.
func (k *keySizes) measure(done func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.waiting = append(k.waiting, done)
	if !k.walking {
		k.walking = true
		k.n.goes(k.run)
	}
}

// run walks until nobody waits.
func (k *keySizes) run() {
	for {
		k.mu.Lock()
		served := k.waiting
		k.waiting = nil
		k.walking = len(served) > 0
		k.mu.Unlock()
		if len(served) == 0 {
			return
		}
		rows := k.walk()
		k.mu.Lock()
		k.last = rows
		k.mu.Unlock()
		for _, done := range served {
			done()
		}
	}
}

// walkStep is how many keys are looked at per lock hold.
const walkStep = 512

func (k *keySizes) walk() (rows []sizeRow) {
	s := k.n.store
	for db := range s.Databases() {
		if s.DBSize(db) == 0 {
			continue
		}
		found := sizes{}
		for _, t := range sizesOf {
			found[t.of] = new([sizeSteps]int64)
		}
		for sl := range slot.Count {
			if k.n.stopping.Load() {
				return nil
			}
			found.count(s, db, slot.Slot(sl))
		}
		rows = found.rows(rows, db)
	}
	return rows
}

// count adds the keys of a slot.
func (z sizes) count(s *store.Store, db int, sl slot.Slot) {
	var t store.Txn
	for pos, more := uint64(0), true; more; more = pos != 0 {
		t.Begin(s, nowMs(), sl)
		t.SelectDB(db)
		pos = t.WalkSlot(sl, pos, walkStep, func(e store.Entry) {
			if steps := z[e.Type()]; steps != nil {
				steps[bits.Len(uint(e.Len()))]++
			}
		})
		t.End()
	}
}

func (z sizes) rows(rows []sizeRow, db int) []sizeRow {
	for _, t := range sizesOf {
		var b strings.Builder
		for step, n := range z[t.of] {
			if n == 0 {
				continue
			}
			if b.Len() > 0 {
				b.WriteByte(',')
			}
			b.WriteString(stepName(step) + "=" + strconv.FormatInt(n, 10))
		}
		if b.Len() > 0 {
			rows = append(rows, sizeRow{"db" + strconv.Itoa(db) + "_distrib_" + t.name, b.String()})
		}
	}
	return rows
}

// stepName is the least length of a step: 0, 1, 2, 4 … 512, 1K, 2K …
func stepName(step int) string {
	if step == 0 {
		return "0"
	}
	exp := step - 1
	return strconv.Itoa(1<<(exp%10)) + []string{"", "K", "M", "G", "T", "P", "E"}[exp/10]
}
