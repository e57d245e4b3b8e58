// Package persist keeps the keyspace on disk: it saves RDB files on demand, in the background
// and by save points (Saver), loads them (Loader), and writes, rewrites and loads the append only file
// (AOF). The node constructs them; the commands SAVE, BGSAVE, BGREWRITEAOF, LASTSAVE, SHUTDOWN, WAITAOF, DEBUG
// RELOAD and LOADAOF, INFO and full syncs use them. It must not know clients or the cluster: what it needs of
// them are functions in its options.
//
// # Order of a save
//
// The cut (all stripes held for microseconds: replication offset, function libraries, number of
// changes) → the snapshot's walk into temp-<pid>.rdb, synced every 4 MiB → sync, close → rename
// over the old file → sync of the directory. A failure at any step before the rename leaves the
// old file as it was and removes the temporary one; changes since the last good save stay counted.
//
// SAVE does the same and waits for it. Unlike Redis' it does not stop the other clients; what
// they write after the cut is not in the file.
//
// # Loading
//
// A file is loaded into an empty store that no client can see, key by key in bounded memory.
// The checksum comes at the end of a file, so nothing may be shown before the load has ended
// well; when it ends badly the store is emptied again. There is no half-loaded state.
//
// # The append only file
//
// Dispatch appends what changes the data to one stream (cluster/repl.Stream) that replicas and this file share. A
// session takes it from a Tap, writes and syncs it. Under everysec and no the event loops write at the end of a round,
// before the replies leave (WriteNow), so that kill -9 loses nothing; while the session's goroutine syncs, a write may
// block, so it is left to that goroutine, as Redis puts it off, and aof_delayed_fsync counts the syncs that take over two
// seconds. No loop waits for a sync, or at all unless clients are MaxAOFLag ahead.
//
// CPU per SET of 64 bytes, 50 clients, on a busy machine, November 2026, without the file / writing in the round / in a
// goroutine every 10 ms / every 1 ms: P=1 11.7 / 15 / 13.3 / 20 µs, P=16 1.15 / 1.85 / 1.65 / 2.7 µs. Waking a goroutine
// is what costs.
//
// Under always everything that came together is written and synced at once, then Options.Synced lets go the
// replies that wait for it (dispatch.Commit). An error there ends the node, as in Redis: what clients wait for cannot
// be had. Else an error closes the gate for writes until the disk works; after a failed sync a rewrite follows,
// because the kernel forgets what it could not write.
//
// A rewrite: a next incremental file is named in the manifest → the cut, at which the session learns the place in the stream
// where it goes on in that file → the snapshot's walk into a new base, synced → rename → manifest, by which the old base and the files
// before the cut become history → their removal. The session syncs a file before it writes to the next. When it is switched on
// (or the data was replaced by a full sync) the commands go to a file that no manifest names until its base is complete:
// until then the files on disk are the old data as it was, and nothing counts as durable.
//
// Loading executes the files in order. Only at the end of the last one that holds anything may a record be torn, or
// a transaction open, or zeros stand where a file system lost a write: it is cut there, with aof-load-truncated, and the cut is synced.
//
// # Measured
//
// BenchmarkTwoMillionKeys: 2 M keys of 16 bytes with random values of 64 (a file of 168 MB),
// files in /dev/shm, two cores that other work kept busy, the real redis-server 7.0.15 in the
// same run, November 2026; processor time is the steady number:
//
//	                save: CPU   wall, best of 8      load: CPU   wall, best of 8
//	Sextant         1.05 s      0.51 s (327 MB/s)    0.56 s      0.52 s
//	redis-server    2.36 s      2.05 s ( 82 MB/s)    1.28 s      1.14 s
//
// SAVE walks and writes on two cores; a background save on few cores keeps to one, so it takes
// about its CPU time. With a disk of 40 MB/s both servers' saves were bound by the disk.
// BenchmarkSaveUnderWrites: cut 20–70 µs; pre-images 1–3 % of the data at their peak.
//
// # Concurrency
//
// All methods may be called by any goroutine, one load at a time. Lock order: AOF.dirMu → stripes → Saver.mu,
// AOF.mu or Loader.mu, under which nothing is waited for. Save, Background and Cron lock all stripes
// themselves, so their caller must hold none.
package persist
