// Package store owns the keyspace: databases of 16384 per-slot tables under striped
// locks, and everything that must be decided under those locks (expiry, WATCH, eviction
// choice, memory count, snapshot pre-images). Dispatch and the loaders use it, command
// handlers through the Txn they are given. It starts no goroutine, reads no clock, and
// knows no client, socket or file.
//
// # Reading order
//
// store.go (Options, Store, stripes), txn.go (Txn: begin, end, notes), entry.go (Entry: one
// key as seen in a Txn, and its block), table.go (the keys of one slot), read.go, write.go,
// then one file per subject: walk.go, expire.go, evict.go, watch.go, flush.go, snapshot.go,
// shadow.go, defrag.go. check.go says what always holds. model_test.go is the specification by a map.
//
// # Locks
//
// A stripe is slot & (stripes-1). Its one mutex guards that slot in every database, the
// stripe's arena heap, its object handles and its watches. A Txn locks the stripes it was
// begun with in ascending order and holds them until End; no other lock is taken before a
// stripe's lock. Under it come only the arena's span lock, inside the arena, and then what
// the caller's own order says: stripes ascending → sink mutex → client push queue. What the
// caller keeps by key (dispatch: the queues of clients that wait for it) may be guarded by the
// key's stripe, Store.Stripe.
// Store-wide state that changes rarely (which space a database number means, the running
// snapshot) is written with all stripes held and read with any one held.
//
// # Lifetime of bytes
//
// Entry, its key and its payload alias arena memory, which the collector does not know. They are valid until the next change
// made through the same Txn, or its End. Whoever needs bytes longer copies them.
//
// # Housekeeping
//
// The owner of the store (dispatch) calls, now and then: for each stripe whose NextExpire
// has come, ActiveExpire; for each stripe in turn, Reclaim and Defrag, each with a small
// budget in a Txn of its own; and ReleaseFree. Without the last two memory that has been
// freed is used again but not given back.
//
// # Memory
//
// Bytes per key of 2 M keys of 16 bytes with values of 64 (TestBytesPerKey; redis-server
// 7.0.15 on the same machine, filled with the same keys):
//
//	                                      RSS   blocks  slabs   Redis RSS
//	loaded                                103     97.5   100.9        169
//	overwritten with 32–96 bytes          118    100.8   103.5        234
//	the same, free pages released         106    100.8   103.5
//
// An entry of 88 bytes and its share of a table, 8.5, make the 97. Defrag moved one block
// for every five overwrites. An expiry time takes 8 bytes more, finding it when it has come
// some 0.2.
package store
