package repl

import (
	"fmt"
	"strconv"

	"github.com/sextantdb/sextant/store/stat"
)

// Register adds the fields of INFO replication to s, in Redis' order.
func (e *Engine) Register(s *stat.Section) {
	s.Text("role", "master or slave", func() string {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.toldReplicaLocked() {
			return "slave"
		}
		return "master"
	})
	s.Rows("the link to the primary", e.linkRows)
	s.Int("connected_slaves", "replicas connected", stat.Gauge, func() int64 {
		e.mu.Lock()
		defer e.mu.Unlock()
		return int64(len(e.replicas))
	})
	s.Rows("the replicas", e.replicaRows)
	s.Text("master_failover_state", "state of a FAILOVER command", func() string {
		e.mu.Lock()
		defer e.mu.Unlock()
		return failoverStateNames[e.failover.state]
	})
	history := func(pick func(History) string) func() string {
		return func() string {
			h, _ := e.Stream.History()
			return pick(h)
		}
	}
	s.Text("master_replid", "id of the replication history", history(func(h History) string { return h.ID }))
	s.Text("master_replid2", "its id before the last promotion", history(func(h History) string { return h.ID2 }))
	s.Int("master_repl_offset", "bytes of the replication stream", stat.Gauge, e.Stream.Offset)
	s.Int("second_repl_offset", "up to where master_replid2 is valid", stat.Gauge, func() int64 {
		h, _ := e.Stream.History()
		return h.Second
	})
	backlog := func(pick func(active bool, size, first, length int64) int64) func() int64 {
		return func() int64 { return pick(e.Stream.backlogState()) }
	}
	s.Int("repl_backlog_active", "1 while a backlog is kept", stat.Gauge, backlog(func(active bool, _, _, _ int64) int64 {
		if active {
			return 1
		}
		return 0
	}))
	s.Int("repl_backlog_size", "bytes of the stream kept for partial syncs", stat.Gauge, backlog(func(_ bool, size, _, _ int64) int64 { return size }))
	s.Int("repl_backlog_first_byte_offset", "number of the first byte kept", stat.Gauge, backlog(func(_ bool, _, first, _ int64) int64 { return first + 1 }))
	s.Int("repl_backlog_histlen", "bytes kept", stat.Gauge, backlog(func(_ bool, _, _, length int64) int64 { return length }))
}

// RegisterStats adds the counters of INFO stats to s, in Redis' order.
func (e *Engine) RegisterStats(s *stat.Section) {
	s.Counted("sync_full", "full syncs with replicas", &e.Counters.SyncFull)
	s.Counted("sync_partial_ok", "partial syncs accepted", &e.Counters.SyncPartialOK)
	s.Counted("sync_partial_err", "partial syncs refused", &e.Counters.SyncPartialErr)
}

// RegisterExtra adds the numbers Redis does not have to s.
func (e *Engine) RegisterExtra(s *stat.Section) {
	s.Counted("repl_replicas_dropped", "replicas dropped for lag or silence", &e.Counters.ReplicasDropped)
	s.Counted("repl_link_attempts", "connections tried to the primary", &e.Counters.LinkAttempts)
	s.Counted("repl_apply_errors", "commands of the primary that failed here", &e.Counters.ApplyErrors)
	s.Counted("repl_handshakes_evicted", "unfinished handshakes forgotten", &e.Counters.HandshakesEvicted)
	s.Int("repl_buffer_bytes", "memory of the stream's blocks", stat.Gauge, e.Stream.HeldBytes)
}

func (e *Engine) linkRows(emit func(name, value string)) {
	e.mu.Lock()
	l := e.toldLinkLocked()
	down := e.downSince
	e.mu.Unlock()
	if l == nil {
		return
	}
	o := e.opts.Load()
	now := e.deps.Now()
	num := func(name string, n int64) { emit(name, strconv.FormatInt(n, 10)) }
	flag := func(name string, on bool) {
		if on {
			emit(name, "1")
		} else {
			emit(name, "0")
		}
	}
	state := linkState(l.state.Load())
	status, ago := "down", int64(-1)
	if state == linkConnected {
		status = "up"
		ago = (now - l.lastIO.Load()) / 1000
	}
	off := e.Stream.Offset()
	emit("master_host", l.host)
	num("master_port", int64(l.port))
	emit("master_link_status", status)
	num("master_last_io_seconds_ago", ago)
	flag("master_sync_in_progress", state == linkTransfer)
	num("slave_read_repl_offset", off+e.unapplied.Load())
	num("slave_repl_offset", off)
	if s := l.stash.Load(); s != nil || o.DualChannel {
		size, peak := s.size()
		num("replicas_repl_buffer_size", size)
		num("replicas_repl_buffer_peak", peak)
	}
	if state == linkTransfer {
		size, read := l.size.Load(), l.read.Load()
		perc := 0.0
		if size > 0 {
			perc = float64(read) / float64(size) * 100
		}
		num("master_sync_total_bytes", size)
		num("master_sync_read_bytes", read)
		num("master_sync_left_bytes", size-read)
		emit("master_sync_perc", fmt.Sprintf("%.2f", perc))
		num("master_sync_last_io_seconds_ago", (now-l.lastIO.Load())/1000)
	}
	if state != linkConnected {
		since := int64(-1)
		if down != 0 {
			since = (now - down) / 1000
		}
		num("master_link_down_since_seconds", since)
	}
	num("slave_priority", int64(o.Priority))
	flag("slave_read_only", o.ReadOnly)
	flag("replica_announced", o.Announced)
}

func (e *Engine) replicaRows(emit func(name, value string)) {
	o := e.opts.Load()
	now := e.deps.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	if o.MinReplicas > 0 && o.MinReplicasMaxLag > 0 {
		emit("min_slaves_good_slaves", strconv.Itoa(e.goodLocked(o)))
	}
	for i, r := range e.replicas {
		lag := int64(0)
		if r.state == replicaOnline {
			lag = (now - r.ackTime) / 1000
		}
		kind := "" // Redis has one
		if r.side {
			kind = ",type=rdb-channel"
		} else if r.state == replicaFed {
			kind = ",type=main-channel"
		}
		emit("slave"+strconv.Itoa(i), fmt.Sprintf("ip=%s,port=%d,state=%s,offset=%d,lag=%d%s",
			r.address(), r.port, replicaStateNames[r.state], r.ackOff, lag, kind))
	}
	if places := e.waitingPlacesLocked(); o.DualChannel || places > 0 {
		emit("replicas_waiting_psync", strconv.Itoa(places))
	}
}
