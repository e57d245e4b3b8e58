// Package store owns the keyspace: databases of 16384 per-slot tables under striped
// locks, and everything that must be decided under those locks (expiry, WATCH, eviction
// choice, memory count, snapshot pre-images). Dispatch and the loaders use it, command
// handlers through the Txn they are given. It starts no goroutine, reads no clock, and
// knows no client, socket or file.
//
// # Reading order
//
// store.go (Options, Store), txn.go (Txn: begin, end), entry.go (Entry: one key as seen in
// a Txn), read.go, write.go, then one file per subject: table.go, expire.go, evict.go,
// watch.go, scan.go, flush.go, snapshot.go, defrag.go.
//
// # Locks
//
// A stripe is slot & (stripes-1). Its one mutex guards that slot in every database, the
// stripe's arena heap, its object handles and its watches. A Txn locks the stripes it was
// begun with in ascending order and holds them until End; no other lock is taken before a
// stripe's lock. Under it come only the arena's span lock, inside the arena, and then what
// the caller's own order says: stripes ascending → sink mutex → client push queue.
// Store-wide state that changes rarely (which space a database number means, the running
// snapshot) is written with all stripes held and read with any one held.
//
// # Lifetime of bytes
//
// Entry, its key and its payload alias arena memory. They are valid until the next change
// made through the same Txn, or its End. Whoever needs bytes longer copies them.
package store
