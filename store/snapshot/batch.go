package snapshot

import (
	"iter"
	"sync/atomic"

	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/slot"
	"github.com/sextantdb/sextant/store/value"
)

// Batch is a number of entries of the cut. All readers share it: it is read-only, and valid
// for a reader until its next call of Next or Close.
type Batch struct {
	// Owned by whoever fills it; immutable from when it is passed on.
	data    []byte // keys and payloads, back to back
	items   []item
	objects []value.Object
	held    int64 // what it counts as held pre-images; 0 in a batch of the walk

	sp   *Snapshot
	refs atomic.Int32 // readers that still have it
}

// item is one entry without its bytes. It holds no pointer, so that the collector need not
// look at batches.
type item struct {
	expireAt int64
	idle     int64
	valLen   int
	keyLen   int32
	object   int32 // one more than the index in objects; 0: the value is a payload
	db       int32
	slot     slot.Slot
	typ      value.Type
	enc      value.Encoding
	freq     uint8
}

const (
	itemBytes   = 48
	freeBatches = 2 * shards
)

// Len is the number of entries.
func (b *Batch) Len() int { return len(b.items) }

// All yields the entries. The Image and its bytes are valid until the next one.
func (b *Batch) All() iter.Seq[*store.Image] {
	return func(yield func(*store.Image) bool) {
		var img store.Image
		data := b.data
		for i := range b.items {
			it := &b.items[i]
			img = store.Image{
				DB: int(it.db), Slot: it.slot, Type: it.typ, Encoding: it.enc,
				ExpireAt: it.expireAt, IdleSeconds: it.idle, Freq: it.freq,
			}
			img.Key, data = data[:it.keyLen:it.keyLen], data[it.keyLen:]
			if it.object != 0 {
				img.Object = b.objects[it.object-1]
			} else {
				img.Payload, data = data[:it.valLen:it.valLen], data[it.valLen:]
			}
			if !yield(&img) {
				return
			}
		}
	}
}

// bytes is the memory the entries take, without their objects.
func (b *Batch) bytes() int64 { return int64(len(b.data) + len(b.items)*itemBytes) }

// add copies an entry in.
func (b *Batch) add(img *store.Image) {
	it := item{
		expireAt: img.ExpireAt, idle: img.IdleSeconds, keyLen: int32(len(img.Key)), db: int32(img.DB),
		slot: img.Slot, typ: img.Type, enc: img.Encoding, freq: img.Freq,
	}
	b.data = append(b.data, img.Key...)
	if img.Object != nil {
		b.objects = append(b.objects, img.Object)
		it.object = int32(len(b.objects))
	} else {
		b.data = append(b.data, img.Payload...)
		it.valLen = len(img.Payload)
	}
	b.items = append(b.items, it)
}

// take returns an empty batch with room for about n bytes.
func (sp *Snapshot) take(n int) *Batch {
	sp.free.Lock()
	defer sp.free.Unlock()
	if last := len(sp.free.batches) - 1; last >= 0 {
		b := sp.free.batches[last]
		sp.free.batches = sp.free.batches[:last]
		return b
	}
	return &Batch{sp: sp, data: make([]byte, 0, n), items: make([]item, 0, n/256)}
}

// release says that one reader is done with b.
func (b *Batch) release() {
	if b.refs.Add(-1) > 0 {
		return
	}
	sp := b.sp
	if b.held != 0 {
		sp.held.Add(-b.held)
	}
	if cap(b.data) <= 2*walkBatchBytes { // do not keep a giant's memory
		clear(b.objects)
		b.data, b.items, b.objects, b.held = b.data[:0], b.items[:0], b.objects[:0], 0
		sp.free.Lock()
		if len(sp.free.batches) < freeBatches {
			sp.free.batches = append(sp.free.batches, b)
		}
		sp.free.Unlock()
	}
	if sp.returned != nil {
		sp.returned <- struct{}{} // has room: the walk waits for it before it passes the next
	}
}
