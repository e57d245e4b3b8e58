package persist

// Info is what INFO's section persistence tells about saving; the names are Redis'.
type Info struct {
	ChangesSinceLastSave int64 // rdb_changes_since_last_save
	BgsaveInProgress     bool  // rdb_bgsave_in_progress
	LastSaveTime         int64 // rdb_last_save_time, Unix seconds
	LastBgsaveOK         bool  // rdb_last_bgsave_status: ok or err
	LastBgsaveSeconds    int64 // rdb_last_bgsave_time_sec, -1 before the first
	CurrentBgsaveSeconds int64 // rdb_current_bgsave_time_sec, -1 when none runs
	Saves                int64 // rdb_saves
	LastPreImageBytes    int64 // rdb_last_cow_size: the peak of the last background save

	// While a snapshot is read, for whatever purpose; 0 else.
	PreImageBytes     int64 // current_cow_size
	PreImageBytesPeak int64 // current_cow_peak
	DetachedBytes     int64 // emptied tables kept for the snapshot
	KeysProcessed     int64 // current_save_keys_processed
	KeysTotal         int64 // current_save_keys_total
	Percent           float64
}

// Info may be called by any goroutine, also one that holds stripes.
func (p *Saver) Info() Info {
	changes := p.o.Store.Stats().Changes
	now := p.o.Now().Unix()
	p.mu.Lock()
	in := Info{
		ChangesSinceLastSave: changes - p.clean,
		BgsaveInProgress:     p.job != nil,
		LastSaveTime:         p.lastSave,
		LastBgsaveOK:         !p.failed.Load(),
		LastBgsaveSeconds:    p.lastTook,
		CurrentBgsaveSeconds: -1,
		Saves:                p.saves,
		LastPreImageBytes:    p.lastPeak,
	}
	if p.job != nil {
		in.CurrentBgsaveSeconds = now - p.job.started.Unix()
	}
	p.mu.Unlock()
	if snap := p.o.Source.Current(); snap != nil {
		pr := snap.Progress()
		in.PreImageBytes, in.PreImageBytesPeak, in.DetachedBytes = pr.PreImageBytes, pr.PreImageBytesPeak, pr.DetachedBytes
		in.KeysProcessed, in.KeysTotal = pr.KeysDone, pr.KeysTotal
		if pr.KeysTotal > 0 {
			in.Percent = 100 * float64(pr.KeysDone) / float64(pr.KeysTotal)
		}
	}
	return in
}

// ResetStats zeroes what CONFIG RESETSTAT zeroes.
func (p *Saver) ResetStats() {
	p.mu.Lock()
	p.saves = 0
	p.mu.Unlock()
}
