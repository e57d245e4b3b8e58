package persist

import "fmt"

// Level is how loud an event is, as Redis' loglevel.
type Level uint8

const (
	Debug Level = iota
	Notice
	Warning
)

// Event is something worth a log line; String is that line, in Redis' words where Redis has
// one. Listeners may tell events apart by their types.
type Event interface {
	Level() Level
	String() string
}

// Listener hears of events, on the goroutine they happen on. It must not block, nor call back
// into this package.
type Listener func(Event)

type notice struct{}
type warning struct{}

func (notice) Level() Level  { return Notice }
func (warning) Level() Level { return Warning }

// Saving.
type (
	// SavePointReached announces a save that a save point asks for.
	SavePointReached struct {
		notice
		SavePoint
	}
	// BackgroundStarted: a background save has made its cut.
	BackgroundStarted struct {
		notice
		PID int
	}
	// Saved: the file is complete and durable under its name.
	Saved struct {
		notice
		Path  string
		Bytes int64
		Keys  int64
	}
	// PreImages tells what a background save cost in memory.
	PreImages struct {
		notice
		PeakBytes, Count int64
	}
	// BackgroundDone ends a background save well.
	BackgroundDone struct{ notice }
	// BackgroundFailed ends a background save badly; another event has said why.
	BackgroundFailed struct{ warning }
	// BackgroundCancelled: a background save was stopped on purpose.
	BackgroundCancelled struct {
		notice
		Reason error
	}
	// SnapshotFailed: the data could not be read to its end.
	SnapshotFailed struct {
		warning
		Reason error
	}
	// OpenFailed: the temporary file could not be made.
	OpenFailed struct {
		warning
		Temp, Dir string
		Err       error
	}
	// WriteFailed: writing the temporary file failed in Step.
	WriteFailed struct {
		warning
		Step string
		Err  error
	}
	// RenameFailed: the temporary file could not take its final name.
	RenameFailed struct {
		warning
		Temp, Final, Dir string
		Err              error
	}
	// DirSyncFailed: the new name may not survive a crash of the machine.
	DirSyncFailed struct {
		warning
		Err error
	}
)

func (e SavePointReached) String() string {
	return fmt.Sprintf("%d changes in %d seconds. Saving...", e.Changes, e.Seconds)
}
func (e BackgroundStarted) String() string {
	return fmt.Sprintf("Background saving started by pid %d", e.PID)
}
func (Saved) String() string { return "DB saved on disk" }
func (e PreImages) String() string {
	return fmt.Sprintf("Pre-images for RDB: peak %d MB, %d entries changed during the save", e.PeakBytes>>20, e.Count)
}
func (BackgroundDone) String() string   { return "Background saving terminated with success" }
func (BackgroundFailed) String() string { return "Background saving error" }
func (e BackgroundCancelled) String() string {
	return fmt.Sprintf("Background saving cancelled: %v", e.Reason)
}
func (e SnapshotFailed) String() string {
	return fmt.Sprintf("Background saving aborted: %v", e.Reason)
}
func (e OpenFailed) String() string {
	return fmt.Sprintf("Failed opening the temp RDB file %s (in server root dir %s) for saving: %v", e.Temp, e.Dir, e.Err)
}
func (e WriteFailed) String() string {
	return fmt.Sprintf("Write error while saving DB to the disk(%s): %v", e.Step, e.Err)
}
func (e RenameFailed) String() string {
	return fmt.Sprintf("Error moving temp DB file %s on the final destination %s (in server root dir %s): %v", e.Temp, e.Final, e.Dir, e.Err)
}
func (e DirSyncFailed) String() string {
	return fmt.Sprintf("Failed to fsync directory while saving DB: %v", e.Err)
}

// Loading.
type (
	// LoadedVersion, LoadedAge and LoadedMemory are what a file says about its origin.
	LoadedVersion struct {
		notice
		Version string
	}
	LoadedAge struct {
		notice
		Seconds int64
	}
	LoadedMemory struct {
		notice
		Bytes int64
	}
	// LoadedBase: the file is the base of an append-only file; LoadedPreamble: commands follow it.
	LoadedBase     struct{ notice }
	LoadedPreamble struct{ notice }
	// LoadedNote is a field the writer of the file wanted to be logged (its name begins with %).
	LoadedNote struct {
		notice
		Name, Value string
	}
	// LoadedUnknown is a field nobody here knows.
	LoadedUnknown struct{ Name string }
	// LoadedEmptyKey: a key with nothing in it was left out.
	LoadedEmptyKey struct {
		notice
		Key string
	}
	// LoadedUnchecked: the file has no checksum.
	LoadedUnchecked struct{ notice }
	// LoadDone tells what came out of a file or stream.
	LoadDone struct {
		notice
		Keys, Expired, Empty, Foreign int64
	}
	// LoadedFromDisk ends the load at the start.
	LoadedFromDisk struct {
		notice
		Seconds float64
	}
	// LoadFailed: what was loaded has been removed again.
	LoadFailed struct {
		warning
		Err error
	}
)

func (e LoadedVersion) String() string {
	return "Loading RDB produced by version " + e.Version
}
func (e LoadedAge) String() string { return fmt.Sprintf("RDB age %d seconds", e.Seconds) }
func (e LoadedMemory) String() string {
	return fmt.Sprintf("RDB memory usage when created %.2f Mb", float64(e.Bytes)/(1<<20))
}
func (LoadedBase) String() string     { return "RDB is base AOF" }
func (LoadedPreamble) String() string { return "RDB has an AOF tail" }
func (e LoadedNote) String() string   { return fmt.Sprintf("RDB '%s': %s", e.Name, e.Value) }
func (LoadedUnknown) Level() Level    { return Debug }
func (e LoadedUnknown) String() string {
	return fmt.Sprintf("Unrecognized RDB AUX field: '%s'", e.Name)
}
func (e LoadedEmptyKey) String() string {
	return "rdbLoadObject skipping empty key: " + e.Key
}
func (LoadedUnchecked) String() string {
	return "RDB file was saved with checksum disabled: no check performed."
}
func (e LoadDone) String() string {
	s := fmt.Sprintf("Done loading RDB, keys loaded: %d, keys expired: %d", e.Keys, e.Expired)
	if e.Empty > 0 {
		s += fmt.Sprintf(", empty keys skipped: %d", e.Empty)
	}
	if e.Foreign > 0 {
		s += fmt.Sprintf(", keys of other nodes' slots skipped: %d", e.Foreign)
	}
	return s + "."
}
func (e LoadedFromDisk) String() string {
	return fmt.Sprintf("DB loaded from disk: %.3f seconds", e.Seconds)
}
func (e LoadFailed) String() string { return e.Err.Error() }
