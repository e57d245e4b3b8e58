package persist

import "github.com/sextantdb/sextant/store/disk"

// syncEveryBytes is how much may be written to a file before it is synced, so that the last
// sync is short and the disk's queue is not filled at once (rdb-save-incremental-fsync,
// aof-rewrite-incremental-fsync).
const syncEveryBytes = 4 << 20

// pacedWriter syncs the file it writes to every syncEveryBytes.
type pacedWriter struct {
	file     disk.File
	off      bool
	unsynced int
}

func (w *pacedWriter) Write(p []byte) (int, error) {
	n, err := w.file.Write(p)
	if err != nil || w.off {
		return n, err
	}
	if w.unsynced += n; w.unsynced >= syncEveryBytes {
		w.unsynced = 0
		err = w.file.Sync()
	}
	return n, err
}
