// Package persist keeps the keyspace on disk: it saves RDB files on demand, in the background
// and by save points (Saver), and loads them (Loader). The node constructs both; the commands
// SAVE, BGSAVE, LASTSAVE, SHUTDOWN and DEBUG RELOAD, INFO and full syncs use them. It must not
// know clients or the cluster: what it needs of them are functions in its options.
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
// All methods may be called by any goroutine, one load at a time. Lock order: stripes → Saver.mu
// or Loader.mu, under which nothing is waited for. Save, Background and Cron lock all stripes
// themselves, so their caller must hold none.
package persist
