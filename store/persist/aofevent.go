package persist

import "fmt"

// The append only file.
type (
	// AOFBaseCreated, AOFIncrCreated and AOFIncrOpened tell which files are begun or gone on with.
	AOFBaseCreated struct {
		notice
		Name string
	}
	AOFIncrCreated struct {
		notice
		Name, When string
	}
	AOFIncrOpened struct {
		notice
		Name string
	}
	// AOFMigrated: the single file of an older version is the base now.
	AOFMigrated struct {
		notice
		Name, Dir string
	}
	// AOFHistoryRemoved: a file that a rewrite replaced is gone. AOFTempRemoved: so is the file of commands
	// whose base did not come about.
	AOFHistoryRemoved struct {
		notice
		Name string
	}
	AOFTempRemoved struct {
		notice
		Name string
	}
	// AOFWriteFailed, AOFSyncFailed: clients' writes are refused until AOFWriteWorks.
	AOFWriteFailed struct {
		warning
		Err error
	}
	AOFSyncFailed struct {
		warning
		Err error
	}
	AOFWriteWorks struct{ notice }
	// AOFFatal: the node ends because of it.
	AOFFatal struct {
		warning
		Text string
	}
	// AOFSyncSlow: a sync takes more than two seconds.
	AOFSyncSlow struct{ notice }
	// AOFProblem is an error that changes nothing else.
	AOFProblem struct {
		warning
		Err error
	}
)

// Rewriting it.
type (
	AOFScheduled struct{ notice }
	// AOFEnabled: it was switched on; a rewrite makes its base.
	AOFEnabled          struct{ notice }
	AOFScheduleDropped  struct{ notice }
	AOFRewriteKilled    struct{ notice }
	AOFRewriteDone      struct{ notice }
	AOFRewriteFinished  struct{ notice }
	AOFRewriteFailed    struct{ warning }
	AOFRewriteCancelled struct {
		warning
		Reason error
	}
	AOFRewriteStarted struct {
		notice
		PID int
	}
	AOFBaseWritten struct {
		notice
		Name string
	}
	AOFRenamed struct {
		notice
		What, From, To string
	}
	AOFGrown struct {
		notice
		Percent int64
	}
	AOFRewriteLimited struct {
		warning
		Minutes int64
	}
)

func (e AOFBaseCreated) String() string {
	return fmt.Sprintf("Creating AOF base file %s on server start", e.Name)
}
func (e AOFIncrCreated) String() string {
	return fmt.Sprintf("Creating AOF incr file %s %s", e.Name, e.When)
}
func (e AOFIncrOpened) String() string {
	return fmt.Sprintf("Opening AOF incr file %s on server start", e.Name)
}
func (e AOFMigrated) String() string {
	return fmt.Sprintf("Successfully migrated an old-style AOF file (%s) into the AOF directory (%s).", e.Name, e.Dir)
}
func (e AOFHistoryRemoved) String() string {
	return fmt.Sprintf("Removing the history file %s in the background", e.Name)
}
func (e AOFTempRemoved) String() string {
	return fmt.Sprintf("Removing the temp incr aof file %s in the background", e.Name)
}
func (e AOFWriteFailed) String() string {
	return fmt.Sprintf("Error writing to the AOF file: %v", e.Err)
}
func (e AOFSyncFailed) String() string { return fmt.Sprintf("Fail to fsync the AOF file: %v", e.Err) }
func (AOFWriteWorks) String() string {
	return "AOF write error looks solved. The server can write again."
}
func (e AOFFatal) String() string { return e.Text }
func (AOFSyncSlow) String() string {
	return "Asynchronous AOF fsync is taking too long (disk is busy?)."
}
func (e AOFProblem) String() string { return e.Err.Error() }
func (AOFScheduled) String() string { return "Background append only file rewriting scheduled." }
func (AOFEnabled) String() string {
	return "AOF was enabled. An AOF background was scheduled to start when possible."
}

func (AOFScheduleDropped) String() string {
	return "AOF was disabled but there is a scheduled AOF background, cancel it."
}
func (AOFRewriteKilled) String() string   { return "Killing running AOF rewrite child" }
func (AOFRewriteDone) String() string     { return "Background AOF rewrite terminated with success" }
func (AOFRewriteFinished) String() string { return "Background AOF rewrite finished successfully" }
func (AOFRewriteFailed) String() string   { return "Background AOF rewrite terminated with error" }
func (e AOFRewriteCancelled) String() string {
	return fmt.Sprintf("Background AOF rewrite cancelled: %v", e.Reason)
}
func (e AOFRewriteStarted) String() string {
	return fmt.Sprintf("Background append only file rewriting started by pid %d", e.PID)
}
func (e AOFBaseWritten) String() string {
	return fmt.Sprintf("Successfully created the temporary AOF base file %s", e.Name)
}
func (e AOFRenamed) String() string {
	return fmt.Sprintf("Successfully renamed the temporary AOF %s file %s into %s", e.What, e.From, e.To)
}
func (e AOFGrown) String() string {
	return fmt.Sprintf("Starting automatic rewriting of AOF on %d%% growth", e.Percent)
}
func (e AOFRewriteLimited) String() string {
	return fmt.Sprintf("Background AOF rewrite has repeatedly failed and triggered the limit, will retry in %d minutes", e.Minutes)
}

// Loading it.
type (
	// AOFLoadedFile and AOFLoaded tell how long it took.
	AOFLoadedFile struct {
		notice
		What, Name string
		Seconds    float64
	}
	AOFLoaded struct {
		notice
		Seconds float64
	}
	AOFReading struct {
		notice
		Text string
	}
	// AOFRevertedMulti: the file ends within a transaction, which has no effect.
	AOFRevertedMulti struct {
		warning
		Name string
	}
	// AOFCut: the file ended within a record, and what there was of it is gone.
	AOFCut struct {
		warning
		Name   string
		Offset int64
		Bytes  int64
	}
	// AOFCommandFailed: a command of the file answers an error, as it may have when it was written.
	AOFCommandFailed struct {
		Command string
		Err     error
	}
)

func (e AOFLoadedFile) String() string {
	return fmt.Sprintf("DB loaded from %s file %s: %.3f seconds", e.What, e.Name, e.Seconds)
}
func (e AOFLoaded) String() string {
	return fmt.Sprintf("DB loaded from append only file: %.3f seconds", e.Seconds)
}
func (e AOFReading) String() string { return e.Text }
func (e AOFRevertedMulti) String() string {
	return fmt.Sprintf("Revert incomplete MULTI/EXEC transaction in AOF file %s", e.Name)
}
func (e AOFCut) String() string {
	return fmt.Sprintf("!!! Warning: short read while loading the AOF file %s!!! Truncating the AOF %s at offset %d, %d bytes are gone. "+
		"AOF %s loaded anyway because aof-load-truncated is enabled", e.Name, e.Name, e.Offset, e.Bytes, e.Name)
}
func (AOFCommandFailed) Level() Level { return Debug }
func (e AOFCommandFailed) String() string {
	return fmt.Sprintf("Command '%s' of the append only file answers: %v", e.Command, e.Err)
}
