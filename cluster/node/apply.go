package node

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/sextantdb/sextant/bus/link"
	"github.com/sextantdb/sextant/resp/dispatch"
	"github.com/sextantdb/sextant/store/snapshot"
	"github.com/sextantdb/sextant/store/stat"
)

// bindConfig says what CONFIG SET of a directive does besides changing the value. Directives
// that are read where they are used need no line here.
func (n *Node) bindConfig() {
	c := n.cfg
	sockets := func(_, v *Values) error { return n.srv.Apply(serverSettings(v, n.agent != nil)) }
	c.OnChange(func(_, v *Values) error { raiseFileLimit(int(v.MaxClients), n.log); return nil }, "maxclients")
	c.OnChange(sockets, "maxclients", "timeout", "tcp-keepalive", "proto-max-bulk-len", "client-query-buffer-limit",
		"client-output-buffer-limit", "hz", "maxmemory-clients", "maxmemory")
	replication := func(_, v *Values) error {
		if err := n.repl.Configure(replOptions(v)); err != nil {
			return err
		}
		n.refreshGates() // the next command must see it
		return nil
	}
	c.OnChange(replication, "repl-backlog-size", "repl-backlog-ttl", "repl-ping-replica-period", "repl-timeout",
		"repl-diskless-sync", "repl-diskless-sync-delay", "repl-diskless-sync-max-replicas", "dual-channel-replication-enabled",
		"repl-disable-tcp-nodelay",
		"masteruser", "masterauth", "bind-source-addr", "replica-announce-ip", "replica-announce-port", "replica-announced",
		"replica-priority", "replica-serve-stale-data", "min-replicas-to-write", "min-replicas-max-lag",
		"client-output-buffer-limit", "repl-diskless-load", "rdb-del-sync-files", "save", "appendonly", "dir", "dbfilename")
	memory := func(_, v *Values) error {
		n.weighBesides()
		n.disp.SetMemory(memoryLimits(v))
		return nil
	}
	c.OnChange(func(_, v *Values) error { n.watchdog.set(v); return nil }, "watchdog-period")
	c.OnChange(func(_, v *Values) error { n.disp.SetScriptLimit(v.BusyReplyThreshold); return nil }, "busy-reply-threshold")
	c.OnChange(func(_, v *Values) error {
		n.disp.Tracking().SetMax(v.TrackingTableMaxKeys)
		n.disp.Tracking().Trim(nil) // the rest is housekeeping's
		return nil
	}, "tracking-table-max-keys")
	c.OnChange(func(_, v *Values) error { n.showTitle(v); return nil }, "proc-title-template", "port", "tls-port", "bind")
	c.OnChange(memory, "maxmemory", "maxmemory-policy", "maxmemory-samples", "lfu-log-factor", "lfu-decay-time")
	c.OnChange(func(_, v *Values) error { n.disp.SetExpireEffort(v.ActiveExpireEffort); return nil }, "active-expire-effort")
	c.OnChange(func(_, v *Values) error { n.log.KeepCrashes(v.CrashLogEnabled); return nil }, "crash-log-enabled")
	rebind := func(refusal string) func(_, v *Values) error {
		return func(_, v *Values) error {
			err := n.srv.Rebind(v.Bind, tcpPort(v))
			if err == nil {
				return nil
			}
			n.log.Warning("Failed listening on port %d: %v", v.Port, err)
			return errors.New(refusal)
		}
	}
	c.OnChange(func(_, v *Values) error {
		err := notYet(v)
		if err == nil {
			return nil
		}
		n.log.Warning("%v", err)
		return errors.New("Unable to update TLS configuration. Check server logs.")
	}, "tls-port", "tls-cluster", "tls-replication")
	c.OnChange(rebind("Failed to bind to specified addresses."), "bind")
	c.OnChange(rebind("Unable to listen on this port. Check server logs."), "port")
	c.OnChange(func(_, _ *Values) error { n.refreshGates(); return nil }, "stop-writes-on-bgsave-error", "save")
	adjust := func(_, v *Values) error { return n.oomScore.apply(v, n.repl.IsReplica()) }
	c.OnChange(adjust, "oom-score-adj", "oom-score-adj-values")
	c.OnChange(func(old, v *Values) error {
		if old.AppendOnly != v.AppendOnly {
			return n.switchAOF(v)
		}
		return nil
	}, "appendonly")
	c.OnChange(func(_, v *Values) error { return n.fsyncChanged(v) }, "appendfsync")
	c.OnChange(func(_, v *Values) error {
		if !v.AOFDisableAutoGC {
			n.aof.CollectHistory()
		}
		return nil
	}, "aof-disable-auto-gc")
	c.OnChange(func(_, v *Values) error { n.acl.RequirePass(v.RequirePass); return nil }, "requirepass")
	c.OnChange(func(_, v *Values) error { n.disp.SetGate(dispatch.GateProtected, v.ProtectedMode); return nil }, "protected-mode")
	c.OnChange(func(_, v *Values) error { n.acl.SetOpen(v.ACLPubsubDefault == ACLAllChannels); return nil }, "acl-pubsub-default")
	c.OnChange(func(_, v *Values) error { n.aclLog.SetMax(aclLogMax(v)); return nil }, "acllog-max-len")
	c.OnChange(func(_, v *Values) error { n.log.SetLevel(logLevelName(v)); return nil }, "loglevel")
	c.OnChange(func(_, v *Values) error { n.slowlog.SetSlower(v.SlowlogLogSlowerThan); return nil }, "slowlog-log-slower-than")
	c.OnChange(func(_, v *Values) error { n.slowlog.SetMaxLen(v.SlowlogMaxLen); return nil }, "slowlog-max-len")
	c.OnChange(func(_, v *Values) error { n.latency.SetThreshold(v.LatencyMonitorThreshold); return nil }, "latency-monitor-threshold")
	c.OnChange(func(_, v *Values) error { n.commands.SetTracking(v.LatencyTracking); return nil }, "latency-tracking")
	c.OnChange(func(_, v *Values) error { n.commands.SetPercentiles(v.LatencyTrackingInfoPercentiles); return nil }, "latency-tracking-info-percentiles")
	c.OnChange(func(_, v *Values) error {
		if err := os.Chdir(v.Dir); err != nil {
			return fmt.Errorf("%s", reason(err))
		}
		return nil
	}, "dir")
	c.OnChange(func(_, v *Values) error {
		n.disp.SetGate(dispatch.GateReadOnly, n.repl.IsReplica() && v.ReplicaReadOnly)
		n.disp.TrackOwnExpiry(n.repl.IsReplica() && !v.ReplicaReadOnly)
		return n.repl.Configure(replOptions(v))
	}, "replica-read-only")
	if n.agent != nil {
		c.OnChange(func(_, v *Values) error {
			n.agent.Reconfigure(coreConfig(v, 0), endpoint(v))
			n.wire.net.SetTimes(linkTimes(v))
			return nil
		}, "cluster-node-timeout", "cluster-announce-ip", "cluster-announce-port", "cluster-announce-tls-port", "cluster-announce-bus-port",
			"cluster-announce-hostname", "cluster-replica-no-failover", "cluster-require-full-coverage",
			"cluster-allow-reads-when-down", "cluster-allow-replica-migration", "cluster-migration-barrier",
			"cluster-replica-validity-factor", "cluster-preferred-endpoint-type")
	}
}

// registerInfo fills the sections of INFO.
func (n *Node) registerInfo() {
	s := &n.sections
	n.infoServer(s.server)
	n.infoClients(s.clients)
	n.infoMemory(s.memory)
	n.infoPersistence(s.persistence)
	n.infoStats(s.stats)
	n.repl.Register(s.replication)
	n.infoCPU(s.cpu)
	n.commands.RegisterCommandstats(s.commandstats)
	n.commands.RegisterErrorstats(s.errorstats)
	n.commands.RegisterLatencystats(s.latencystats)
	s.cluster.Text("cluster_enabled", "", func() string { return strconv.FormatInt(flagInt(n.agent != nil), 10) })
	n.repl.RegisterExtra(n.stats.Section("replication_links", "Replication_links", stat.Everything))
	if n.agent != nil {
		n.agent.Stats(n.stats.Section("cluster_bus", "Cluster_bus", stat.Everything))
		n.infoBus(n.stats.Section("cluster_links", "Cluster_links", stat.Everything))
		n.infoFanout(n.stats.Section("cluster_pubsub", "Cluster_pubsub", stat.Everything))
	}
	n.infoKeyspace(s.keyspace)
	(&keySizes{n: n}).register(s.keysizes)
	n.infoDebug(s.debug)
}

func (n *Node) infoBus(s *stat.Section) {
	w := &n.wire.net.Stats
	s.Counted("cluster_frames_in", "frames received on the bus", &w.FramesIn)
	s.Counted("cluster_frames_out", "frames sent on the bus", &w.FramesOut)
	s.Counted("cluster_bytes_in", "bytes received on the bus", &w.BytesIn)
	s.Counted("cluster_bytes_out", "bytes sent on the bus", &w.BytesOut)
	s.Counted("cluster_dials", "bus connections dialed", &w.Dials)
	s.Counted("cluster_dial_failures", "dials that failed", &w.DialFails)
	s.Counted("cluster_accepts", "bus connections accepted", &w.Accepts)
	s.Int("cluster_rejects", "bus connections refused, for whatever reason", stat.Count, func() (sum int64) {
		for i := range w.Rejects {
			sum += w.Rejects[i].Load()
		}
		return sum
	})
	s.Counted("cluster_rejects_wrong_secret", "bus connections refused because the proof did not fit the secret", &w.Rejects[link.BadProof])
	s.Counted("cluster_rejects_wrong_auth", "bus connections refused because only one side has a secret", &w.Rejects[link.WrongAuth])
	s.Counted("cluster_dropped_bytes", "bytes that did not fit into a connection's budget", &w.DroppedBytes)
	s.Counted("cluster_bad_frames", "frames that were no message", &n.badFrames)
}

func (n *Node) infoPersistence(s *stat.Section) {
	gauge := func(name, help string, f func() int64) { s.Int(name, help, stat.Gauge, f) }
	gauge("loading", "the data set is being loaded", func() int64 {
		return flagInt(n.loading())
	})
	gauge("async_loading", "a full sync is being loaded beside the old data", func() int64 {
		return flagInt(n.repl.Status().Beside)
	})
	gauge("current_cow_peak", "most bytes of old images in the snapshot now running", func() int64 { return n.saver.Info().PreImageBytesPeak })
	gauge("current_cow_size", "bytes of old images held now", func() int64 { return n.saver.Info().PreImageBytes })
	gauge("current_cow_size_age", "", zero)
	s.Float("current_fork_perc", "per cent of the running snapshot done", stat.Gauge, 2, func() float64 { return n.saver.Info().Percent })
	gauge("current_save_keys_processed", "keys of the running snapshot written", func() int64 { return n.saver.Info().KeysProcessed })
	gauge("current_save_keys_total", "keys of the running snapshot", func() int64 { return n.saver.Info().KeysTotal })
	gauge("rdb_changes_since_last_save", "", func() int64 { return n.saver.Info().ChangesSinceLastSave })
	gauge("rdb_bgsave_in_progress", "", func() int64 {
		// A snapshot for replicas counts, as in Redis, where any child that writes an RDB does.
		purpose, busy := n.source.Busy()
		return flagInt(n.saver.Info().BgsaveInProgress || n.saving.Load() > 0 || busy && purpose == snapshot.ForSync || n.repl.Saving())
	})
	gauge("rdb_last_save_time", "Unix time", func() int64 { return n.saver.Info().LastSaveTime })
	s.Text("rdb_last_bgsave_status", "", func() string {
		if n.saver.Failed() {
			return "err"
		}
		return "ok"
	})
	gauge("rdb_last_bgsave_time_sec", "", func() int64 { return n.saver.Info().LastBgsaveSeconds })
	gauge("rdb_current_bgsave_time_sec", "", func() int64 { return n.saver.Info().CurrentBgsaveSeconds })
	s.Int("rdb_saves", "snapshots saved", stat.Count, func() int64 { return n.saver.Info().Saves })
	s.OnReset(n.saver.ResetStats)
	gauge("rdb_last_cow_size", "most bytes of old images in the last snapshot", func() int64 { return n.saver.Info().LastPreImageBytes })
	gauge("rdb_last_load_keys_expired", "", func() int64 { return n.loader.Last().Expired })
	gauge("rdb_last_load_keys_loaded", "", func() int64 { return n.loader.Last().Keys })
	n.infoAOF(s)
	gauge("module_fork_in_progress", "", zero)
	gauge("module_fork_last_cow_size", "", zero)
	s.Rows("sizes of the append only file", n.aofSizes)
	s.Rows("progress of loading", func(emit func(name, value string)) {
		p := n.loader.Progress()
		if !p.Loading {
			return
		}
		num := func(name string, v int64) { emit(name, strconv.FormatInt(v, 10)) }
		num("loading_start_time", p.StartUnix)
		num("loading_total_bytes", p.TotalBytes)
		num("loading_rdb_used_mem", p.UsedMemory)
		num("loading_loaded_bytes", p.LoadedBytes)
		emit("loading_loaded_perc", strconv.FormatFloat(p.Percent, 'f', 2, 64))
		num("loading_eta_seconds", p.ETASeconds)
	})
}

func logLevelName(v *Values) string {
	for _, l := range logLevelNames {
		if l.value == v.LogLevel {
			return l.name
		}
	}
	return "notice"
}

// backlogBytes is the memory of the replication stream.
func (n *Node) backlogBytes() int64 { return n.repl.Stream.HeldBytes() }

func (n *Node) infoReplTraffic(s *stat.Section) {
	s.Counted("total_net_repl_input_bytes", "bytes received over replication links", &n.repl.Counters.InputBytes)
	s.Counted("total_net_repl_output_bytes", "bytes sent over replication links", &n.repl.Counters.OutputBytes)
}

func (n *Node) infoSyncs(s *stat.Section) { n.repl.RegisterStats(s) }
