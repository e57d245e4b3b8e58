// Package aof is the format of the append only file on disk as Redis 7 lays it out: a directory
// with a manifest, at most one base file (a snapshot, or commands) and incremental files of commands
// behind it (Manifest, Dir), the file that grows (Log), and the framing of its records (Reader).
// store/persist decides what is written when, and loads. To this package a record is a list of
// opaque words; it knows neither commands nor keys.
//
// # Files
//
//	appenddirname/appendfilename.manifest          which files make up the data, in which order
//	appenddirname/appendfilename.N.base.rdb|.aof   everything as of one instant
//	appenddirname/appendfilename.N.incr.aof        what happened since, ascending
//
// A change of the manifest is a new file that is synced, renamed over the old one, and its directory
// synced: what it names is complete on disk before it is named. Only the last file of a manifest may
// end within a record; a file behind which another was begun was synced whole.
//
// # Records
//
// A record is a command in the protocol of clients ("*2\r\n$3\r\nGET\r\n…"). A line that begins with '#'
// between records is an annotation: "#TS:<unix seconds>\r\n" says when the next record was written.
//
// # Concurrency
//
// A Dir, Log or Reader is used by one goroutine at a time, except that Log.Sync may run beside Write.
package aof
