package command

import (
	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/value"
)

// How commands of several families end that keep their result under a key.

// StoreZSet makes key hold z, whatever it held, publishes event and answers how many members
// that is. Without a member the key is deleted.
func (c *Ctx) StoreZSet(key []byte, z *value.SortedSet, event string) {
	n := z.Len()
	if n == 0 {
		c.storeNothing(key)
		return
	}
	var existed bool
	if large := z.Large(); large != nil {
		existed = c.Txn.SetObject(key, large, store.NoExpire)
	} else {
		existed = c.Txn.SetPayload(key, value.ZSet, value.Listpack, z.Payload(), store.NoExpire)
		c.Scratch = z.Payload()
	}
	if !existed {
		c.Created(key)
	}
	c.Notify(EventZSet, event, key)
	c.Out.Int(int64(n))
}

// StoreList is StoreZSet for a list.
func (c *Ctx) StoreList(key []byte, q *value.Sequence, event string) {
	n := q.Len()
	if n == 0 {
		c.storeNothing(key)
		return
	}
	var existed bool
	if large := q.Large(); large != nil {
		existed = c.Txn.SetObject(key, large, store.NoExpire)
	} else {
		existed = c.Txn.SetPayload(key, value.List, value.Listpack, q.Payload(), store.NoExpire)
	}
	if !existed {
		c.Created(key)
	}
	c.Notify(EventList, event, key)
	c.Out.Int(int64(n))
}

// storeNothing is the end without a result.
func (c *Ctx) storeNothing(key []byte) {
	if c.Txn.Delete(key) {
		c.Notify(EventGeneric, "del", key)
	}
	c.Out.Int(0)
}

// Handler is the handler of the entry called name, for a family that carries calls out by it.
func Handler(entries []Command, name string) func(*Ctx) {
	for i := range entries {
		if entries[i].Name == name {
			return entries[i].Run
		}
	}
	panic("command: no entry " + name)
}
