package node

import (
	"fmt"
	"github.com/sextantdb/sextant/resp/acl"
	"github.com/sextantdb/sextant/resp/lua"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sextantdb/sextant/resp/tracking"
	"github.com/sextantdb/sextant/store/stat"
)

// What the node calls itself. Clients choose their behaviour by redisVersion.
const (
	redisVersion   = "7.2.4"
	sextantVersion = "0.1.0"
)

// sections are INFO's, in the order in which they are printed.
type sections struct {
	server, clients, memory, persistence, stats, replication, cpu, modules *stat.Section
	commandstats, errorstats, latencystats, cluster, keyspace              *stat.Section
	keysizes, debug                                                        *stat.Section
}

func newSections(r *stat.Registry) (s sections) {
	s.server = r.Section("server", "Server", stat.Default)
	s.clients = r.Section("clients", "Clients", stat.Default)
	s.memory = r.Section("memory", "Memory", stat.Default)
	s.persistence = r.Section("persistence", "Persistence", stat.Default)
	s.stats = r.Section("stats", "Stats", stat.Default)
	s.replication = r.Section("replication", "Replication", stat.Default)
	s.cpu = r.Section("cpu", "CPU", stat.Default)
	s.modules = r.Section("modules", "Modules", stat.Default)
	s.commandstats = r.Section("commandstats", "Commandstats", stat.All)
	s.errorstats = r.Section("errorstats", "Errorstats", stat.Default)
	s.latencystats = r.Section("latencystats", "Latencystats", stat.All)
	s.cluster = r.Section("cluster", "Cluster", stat.Default)
	s.keyspace = r.Section("keyspace", "Keyspace", stat.Default)
	s.keysizes = r.Section("keysizes", "Keysizes", stat.Asked)
	s.debug = r.Section("debug", "Debug", stat.Asked)
	return s
}

func says(s string) func() string { return func() string { return s } }
func zero() int64                 { return 0 }

func flagInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// human renders bytes as INFO's _human fields do.
func human(n int64) string {
	f := float64(n)
	for _, unit := range []string{"B", "K", "M", "G", "T", "P"} {
		if f < 1024 || unit == "P" {
			if unit == "B" {
				return strconv.FormatInt(n, 10) + "B"
			}
			return strconv.FormatFloat(f, 'f', 2, 64) + unit
		}
		f /= 1024
	}
	return ""
}

func (n *Node) infoServer(s *stat.Section) {
	s.Text("redis_version", "", says(redisVersion))
	s.Text("server_name", "", says("sextant"))
	s.Text("sextant_version", "", says(sextantVersion))
	s.Text("redis_git_sha1", "", says("00000000"))
	s.Text("redis_git_dirty", "", says("0"))
	s.Text("redis_build_id", "", says(buildID()))
	s.Text("redis_mode", "", says(n.mode()))
	var u unix.Utsname
	_ = unix.Uname(&u)
	s.Text("os", "", says(fmt.Sprintf("%s %s %s", unix.ByteSliceToString(u.Sysname[:]), unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Machine[:]))))
	s.Text("arch_bits", "", says(strconv.Itoa(strconv.IntSize)))
	s.Text("monotonic_clock", "", says("POSIX clock_gettime"))
	s.Text("multiplexing_api", "", says("epoll"))
	s.Text("go_version", "", says(runtime.Version()))
	s.Int("process_id", "pid of the node", stat.Gauge, func() int64 { return int64(os.Getpid()) })
	s.Text("process_supervised", "", func() string { return supervisor(n.cfg.Now()) })
	s.Text("run_id", "", says(n.runID))
	s.Int("tcp_port", "", stat.Gauge, func() int64 { return n.cfg.Now().Port })
	s.Rows("shutdown_in_milliseconds: how long an orderly end waits for replicas yet", func(emit func(name, value string)) {
		if deadline := n.ending.deadlineMs.Load(); deadline != 0 {
			emit("shutdown_in_milliseconds", strconv.FormatInt(deadline-nowMs(), 10))
		}
	})
	s.Int("server_time_usec", "Unix time in microseconds", stat.Gauge, func() int64 { return time.Now().UnixMicro() })
	s.Int("uptime_in_seconds", "time since the start", stat.Gauge, func() int64 { return int64(time.Since(n.started).Seconds()) })
	s.Text("uptime_in_days", "", func() string { return strconv.Itoa(int(time.Since(n.started).Hours() / 24)) })
	s.Int("hz", "housekeeping rounds a second", stat.Gauge, func() int64 { return n.cfg.Now().Hz })
	s.Text("configured_hz", "", func() string { return strconv.FormatInt(n.cfg.Now().Hz, 10) })
	s.Text("lru_clock", "", func() string { return strconv.FormatInt(time.Now().Unix()&(1<<24-1), 10) })
	s.Text("executable", "", func() string { p, _ := os.Executable(); return p })
	s.Text("config_file", "", func() string {
		if p := n.cfg.File(); p != "" {
			abs, _ := filepath.Abs(p)
			return abs
		}
		return ""
	})
	s.Int("event_loops", "event loops serving clients", stat.Gauge, func() int64 { return int64(n.loops) })
	s.Text("io_threads_active", "", says("0"))
	s.Rows("", func(emit func(a, b string)) {
		v := n.cfg.Now()
		if v.Port != 0 {
			line := "name=tcp"
			for _, b := range v.Bind {
				line += ",bind=" + b
			}
			emit("listener0", line+",port="+strconv.FormatInt(v.Port, 10))
		}
		if v.UnixSocket != "" {
			emit("listener1", "name=unix,bind="+v.UnixSocket)
		}
	})
}

func buildID() string { return strings.ReplaceAll(runtime.Version(), ".", "") }

func (n *Node) infoClients(s *stat.Section) {
	s.Int("connected_clients", "clients connected, replicas left out", stat.Gauge, func() int64 { return n.srv.Stats.Connected.Load() })
	s.Int("cluster_connections", "bus connections", stat.Gauge, func() int64 { return n.busConnections() })
	s.Int("maxclients", "", stat.Gauge, func() int64 { return n.cfg.Now().MaxClients })
	now := stat.Sampled(s, n.clientsNow)
	now.Int("client_recent_max_input_buffer", "largest input buffer now, bytes", stat.Gauge, func(c crowd) int64 { return c.largestIn })
	now.Int("client_recent_max_output_buffer", "largest output buffer now, bytes", stat.Gauge, func(c crowd) int64 { return c.largestOut })
	s.Int("blocked_clients", "clients parked by a blocking command or a pause", stat.Gauge, n.disp.Stats.Blocked.Load)
	s.Int("tracking_clients", "clients with client-side caching", stat.Gauge, n.trackingNow((*tracking.Table).Clients))
	s.Int("pubsub_clients", "clients with subscriptions", stat.Gauge, n.channels.Clients)
	now.Int("watching_clients", "clients with watched keys", stat.Gauge, func(c crowd) int64 { return c.watching })
	s.Int("clients_in_timeout_table", "parked clients with a time limit", stat.Gauge, n.disp.Stats.BlockedInTime.Load)
	s.Int("total_watched_keys", "keys under WATCH", stat.Gauge, func() int64 { return int64(n.mem().Watched) })
	s.Int("total_blocking_keys", "keys that clients wait for", stat.Gauge, n.disp.Stats.BlockingKeys.Load)
	s.Int("total_blocking_keys_on_nokey", "keys whose end clients wait for, too", stat.Gauge, n.disp.Stats.BlockingKeysOnNoKey.Load)
}

// usage is what INFO memory and MEMORY STATS are computed from.
type usage struct {
	used, rss, peak, startup, overhead, dataset int64
	allocated, active, resident                 int64 // of the arena: blocks; pages that have some; pages
	backlog, clients, replicas                  int64
}

// memoryPeak is kept by whoever asks or evicts; it never falls until CONFIG RESETSTAT.
type memoryPeak struct{ n atomic.Int64 }

func (p *memoryPeak) see(n int64) int64 {
	for {
		old := p.n.Load()
		if n <= old {
			return old
		}
		if p.n.CompareAndSwap(old, n) {
			return n
		}
	}
}

func (n *Node) memoryNow() (m usage) {
	k := n.store.Stats()
	m.backlog = n.backlogBytes()
	m.clients, m.replicas = n.clientBytes()
	m.startup = n.startupBytes
	// used_memory is the keyspace by its own account and what stands beside it; Go's own
	// heap beyond that (code, stacks, tables of the node) is the startup share.
	m.used = m.startup + k.UsedBytes + m.backlog + m.clients // what replicas wait for is in the backlog's blocks
	m.peak = n.peak.see(m.used)
	m.rss = residentBytes()
	m.overhead = min(m.used, m.startup+n.mem().tables()+m.backlog+m.clients)
	m.dataset = m.used - m.overhead
	m.allocated = n.mem().blocks()
	m.active = max(k.MappedBytes-k.FreeBytes, m.allocated)
	m.resident = k.MappedBytes
	return m
}

// residentBytes reads the process's resident set.
func residentBytes() int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b))
	if len(f) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(f[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

func systemMemory() int64 {
	var si unix.Sysinfo_t
	if unix.Sysinfo(&si) != nil {
		return 0
	}
	return int64(si.Totalram) * int64(si.Unit)
}

func percent(part, whole int64) string {
	if whole <= 0 {
		return "0.00%"
	}
	return strconv.FormatFloat(100*float64(part)/float64(whole), 'f', 2, 64) + "%"
}

func ratio(a, b int64) float64 {
	if b <= 0 {
		return 1
	}
	return float64(a) / float64(b)
}

func (n *Node) infoMemory(s *stat.Section) {
	now := stat.Sampled(s, n.memoryNow)
	both := func(name, help string, f func(usage) int64) {
		now.Int(name, help, stat.Gauge, f)
		now.Text(name+"_human", "", func(m usage) string { return human(f(m)) })
	}
	both("used_memory", "bytes of data and buffers", func(m usage) int64 { return m.used })
	both("used_memory_rss", "resident bytes of the process", func(m usage) int64 { return m.rss })
	both("used_memory_peak", "most bytes of used_memory so far", func(m usage) int64 { return m.peak })
	now.Text("used_memory_peak_perc", "", func(m usage) string { return percent(m.used, m.peak) })
	now.Int("used_memory_overhead", "bytes that are not keys and values", stat.Gauge, func(m usage) int64 { return m.overhead })
	s.Int("used_memory_startup", "bytes used when the node started", stat.Gauge, func() int64 { return n.startupBytes })
	now.Int("used_memory_dataset", "bytes of keys and values", stat.Gauge, func(m usage) int64 { return m.dataset })
	now.Text("used_memory_dataset_perc", "", func(m usage) string { return percent(m.dataset, m.used-m.startup) })
	now.Int("allocator_allocated", "bytes of the arena's blocks", stat.Gauge, func(m usage) int64 { return m.allocated })
	now.Int("allocator_active", "bytes of its pages that have blocks", stat.Gauge, func(m usage) int64 { return m.active })
	now.Int("allocator_resident", "bytes the arena holds from the system", stat.Gauge, func(m usage) int64 { return m.resident })
	total := systemMemory()
	s.Int("total_system_memory", "", stat.Gauge, func() int64 { return total })
	s.Text("total_system_memory_human", "", says(human(total)))
	scripts := func(name, help string, f func(lua.Numbers) int64) {
		s.Int(name, help, stat.Gauge, func() int64 { return f(n.scripts.Numbers()) })
	}
	vms := func(m lua.Numbers) int64 { return m.EvalVMBytes + m.FunctionVMBytes }
	code := func(m lua.Numbers) int64 { return m.ScriptBytes + m.FunctionBytes }
	scripts("used_memory_vm_eval", "bytes of idle machines for scripts", func(m lua.Numbers) int64 { return m.EvalVMBytes })
	scripts("used_memory_lua", "", func(m lua.Numbers) int64 { return m.EvalVMBytes })
	s.Text("used_memory_lua_human", "", func() string { return human(n.scripts.Numbers().EvalVMBytes) })
	scripts("used_memory_scripts_eval", "bytes of cached scripts", func(m lua.Numbers) int64 { return m.ScriptBytes })
	scripts("number_of_cached_scripts", "", func(m lua.Numbers) int64 { return m.Scripts })
	n.sections.stats.Int("evicted_scripts", "scripts of EVAL that made room for others", stat.Count, func() int64 { return n.scripts.Numbers().EvictedScripts })
	scripts("number_of_functions", "", func(m lua.Numbers) int64 { return m.Functions })
	scripts("number_of_libraries", "", func(m lua.Numbers) int64 { return m.Libraries })
	scripts("used_memory_vm_functions", "bytes of idle machines for functions", func(m lua.Numbers) int64 { return m.FunctionVMBytes })
	scripts("used_memory_vm_total", "", vms)
	s.Text("used_memory_vm_total_human", "", func() string { return human(vms(n.scripts.Numbers())) })
	scripts("used_memory_functions", "bytes of function libraries", func(m lua.Numbers) int64 { return m.FunctionBytes })
	scripts("used_memory_scripts", "", code)
	s.Text("used_memory_scripts_human", "", func() string { return human(code(n.scripts.Numbers())) })
	s.Int("maxmemory", "bound of used_memory, 0 for none", stat.Gauge, func() int64 { return n.cfg.Now().MaxMemory })
	s.Text("maxmemory_human", "", func() string { return human(n.cfg.Now().MaxMemory) })
	s.Text("maxmemory_policy", "", func() string { return n.cfg.Now().MaxMemoryPolicy.String() })
	now.Float("allocator_frag_ratio", "bytes of pages in use per byte of blocks", stat.Gauge, 2, func(m usage) float64 { return ratio(m.active, m.allocated) })
	now.Int("allocator_frag_bytes", "bytes of pages in use that are in no block", stat.Gauge, func(m usage) int64 { return m.active - m.allocated })
	now.Float("allocator_rss_ratio", "", stat.Gauge, 2, func(m usage) float64 { return ratio(m.resident, m.active) })
	now.Int("allocator_rss_bytes", "bytes of free pages", stat.Gauge, func(m usage) int64 { return m.resident - m.active })
	now.Float("rss_overhead_ratio", "", stat.Gauge, 2, func(m usage) float64 { return ratio(m.rss, m.resident) })
	now.Int("rss_overhead_bytes", "", stat.Gauge, func(m usage) int64 { return m.rss - m.resident })
	now.Float("mem_fragmentation_ratio", "resident bytes per byte of used_memory", stat.Gauge, 2, func(m usage) float64 { return ratio(m.rss, m.used) })
	now.Int("mem_fragmentation_bytes", "", stat.Gauge, func(m usage) int64 { return m.rss - m.used })
	s.Int("mem_not_counted_for_evict", "buffers that maxmemory leaves out", stat.Gauge, func() int64 { return max(0, n.backlogBytes()-n.cfg.Now().ReplBacklogSize) })
	s.Int("mem_replication_backlog", "", stat.Gauge, n.backlogBytes)
	s.Int("mem_total_replication_buffers", "", stat.Gauge, n.backlogBytes)
	now.Int("mem_clients_slaves", "", stat.Gauge, func(m usage) int64 { return m.replicas })
	now.Int("mem_clients_normal", "", stat.Gauge, func(m usage) int64 { return m.clients })
	s.Int("mem_cluster_links", "", stat.Gauge, zero)
	s.Int("mem_aof_buffer", "", stat.Gauge, zero)
	s.Text("mem_allocator", "", says("sextant-arena"))
	s.Int("mem_go_heap", "bytes of Go's heap", stat.Gauge, func() int64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapInuse)
	})
	s.Int("active_defrag_running", "", stat.Gauge, zero)
	s.Int("lazyfree_pending_objects", "keys flushed and not yet freed", stat.Gauge, func() int64 { return n.store.Stats().LazyPending })
	s.Int("lazyfreed_objects", "keys and large values freed in the background", stat.Count, func() int64 { return n.store.Stats().LazyFreed })
}

func (n *Node) infoStats(s *stat.Section) {
	net, d := &n.srv.Stats, &n.disp.Stats
	s.Counted("total_connections_received", "connections accepted", &net.Accepted)
	var forgotten atomic.Int64 // what the event loops' own counts had reached at the last CONFIG RESETSTAT
	s.Int("total_commands_processed", "commands run", stat.Count, func() int64 { return n.disp.Commands() - forgotten.Load() })
	s.OnReset(func() { forgotten.Store(n.disp.Commands()) })
	perSecond := func(of func(*reading) int64) func() int64 { return func() int64 { return n.rates.perSecond(of) } }
	s.Int("instantaneous_ops_per_sec", "commands run in the last second or so", stat.Gauge, perSecond(func(r *reading) int64 { return r.ops }))
	s.Counted("total_net_input_bytes", "bytes read from clients", &net.NetInput)
	s.Counted("total_net_output_bytes", "bytes written to clients", &net.NetOutput)
	n.infoReplTraffic(s)
	kbps := func(name string, of func(*reading) int64) {
		s.Float(name, "KiB a second", stat.Gauge, 2, func() float64 { return float64(n.rates.perSecond(of)) / 1024 })
	}
	kbps("instantaneous_input_kbps", func(r *reading) int64 { return r.in })
	kbps("instantaneous_output_kbps", func(r *reading) int64 { return r.out })
	kbps("instantaneous_input_repl_kbps", func(r *reading) int64 { return r.replIn })
	kbps("instantaneous_output_repl_kbps", func(r *reading) int64 { return r.replOut })
	s.Counted("rejected_connections", "connections turned away at maxclients", &net.Rejected)
	n.infoSyncs(s)
	s.Int("expired_keys", "keys removed because their time had come", stat.Count, func() int64 { return n.store.Stats().ExpiredKeys })
	s.Int("expired_subkeys", "fields of hashes removed because their time had come", stat.Count, func() int64 { return n.store.Stats().ExpiredFields })
	s.Float("expired_stale_perc", "", stat.Gauge, 2, func() float64 { return 0 })
	s.Counted("expired_time_cap_reached_count", "expiry rounds that ran out of time", &d.ExpireStopped)
	s.Int("expire_cycle_cpu_milliseconds", "time spent in expiry rounds", stat.Count, func() int64 { return d.ExpireNs.Load() / 1e6 })
	s.Counted("evicted_keys", "keys evicted at maxmemory", &d.Evicted)
	s.Counted("evicted_clients", "clients closed at maxmemory-clients", &net.Evicted)
	for _, name := range []string{"total_eviction_exceeded_time", "current_eviction_exceeded_time"} {
		s.Int(name, "", stat.Count, zero)
	}
	s.Int("keyspace_hits", "lookups that found a key", stat.Count, func() int64 { return n.store.Stats().Hits })
	s.Int("keyspace_misses", "lookups that found none", stat.Count, func() int64 { return n.store.Stats().Misses })
	n.infoPubSub(s)
	s.Int("tracking_total_keys", "keys that clients may cache", stat.Gauge, n.trackingNow((*tracking.Table).Keys))
	s.Int("tracking_total_items", "clients of all these keys", stat.Gauge, n.trackingNow((*tracking.Table).Items))
	s.Int("tracking_total_prefixes", "prefixes of clients that are told of all changes", stat.Gauge, n.trackingNow((*tracking.Table).Prefixes))
	s.Text("latest_fork_usec", "microseconds that the last snapshot, where Redis forks, stopped everything", func() string {
		_, took := n.source.Cuts()
		return strconv.FormatInt(took.Microseconds(), 10)
	})
	s.Int("total_forks", "snapshots begun, where Redis forks", stat.Count, func() int64 { cuts, _ := n.source.Cuts(); return cuts })
	s.Int("migrate_cached_sockets", "connections kept for the next MIGRATE", stat.Gauge, func() int64 { return int64(n.mover.Idle()) })
	s.Int("slave_expires_tracked_keys", "keys that clients of this replica gave an expiry time", stat.Gauge, d.OwnExpires.Load)
	s.Int("active_defrag_hits", "blocks moved together", stat.Count, func() int64 { return n.moved() })
	for _, name := range []string{"active_defrag_misses", "active_defrag_key_hits", "active_defrag_key_misses",
		"total_active_defrag_time", "current_active_defrag_time"} {
		s.Int(name, "", stat.Count, zero)
	}
	s.Counted("unexpected_error_replies", "commands of the primary that failed here", &n.repl.Counters.ApplyErrors)
	s.Int("total_error_replies", "errors answered", stat.Count, n.commands.ErrorReplies)
	s.Int("dump_payload_sanitizations", "", stat.Count, zero)
	s.Counted("total_reads_processed", "reads from client sockets", &net.Reads)
	s.Counted("total_writes_processed", "writes to client sockets", &net.Writes)
	s.Int("io_threaded_reads_processed", "", stat.Count, zero)
	s.Int("io_threaded_writes_processed", "", stat.Count, zero)
	s.Counted("client_query_buffer_limit_disconnections", "clients closed for too long a request", &net.QueryLimit)
	s.Counted("client_output_buffer_limit_disconnections", "clients closed for unread replies, and replicas for their lag", &net.OutputLimit, &n.repl.Counters.OutputLimit)
	s.Counted("client_idle_disconnections", "clients closed by timeout", &net.IdleClosed)
	s.Counted("client_unauthenticated_disconnections", "clients closed for what they did before AUTH", &net.UnauthLimit)
	s.Counted("client_protocol_errors", "clients closed for a protocol error", &net.BadProtocol)
	s.Counted("accept_failures", "accepts that failed", &net.AcceptFails)
	s.Counted("dropped_pushes", "messages to clients that were closing", &net.PushDropped)
	s.Int("reply_buffer_shrinks", "", stat.Count, zero)
	s.Int("reply_buffer_expands", "", stat.Count, zero)
	s.Counted("eventloop_cycles", "rounds of the event loops", &net.Rounds)
	s.Int("eventloop_duration_sum", "microseconds between the polls of the event loops", stat.Count, micros(net.RoundNs.Load))
	s.Int("eventloop_duration_cmd_sum", "microseconds of them spent in commands", stat.Count, n.commands.Micros)
	s.Int("instantaneous_eventloop_cycles_per_sec", "rounds in the last second or so", stat.Gauge, perSecond(func(r *reading) int64 { return r.rounds }))
	s.Int("instantaneous_eventloop_duration_usec", "microseconds a round took lately", stat.Gauge, n.rates.roundMicros)
	denied := func(name, help string, why acl.Reason) {
		s.Int(name, help, stat.Count, func() int64 { return n.aclLog.Count(why) })
	}
	denied("acl_access_denied_auth", "passwords and users refused", acl.DeniedAuth)
	denied("acl_access_denied_cmd", "calls refused for their command", acl.DeniedCommand)
	denied("acl_access_denied_key", "calls refused for a key", acl.DeniedKey)
	denied("acl_access_denied_channel", "calls refused for a channel", acl.DeniedChannel)
	s.OnReset(func() {
		n.aclLog.ResetCounts()
		n.store.ResetStats()
		n.scripts.ResetStats()
		n.peak.n.Store(0)
		for _, c := range []*stat.Counter{&net.RoundNs, &net.TickNs} {
			c.Reset()
		}
		net.LongestRoundNs.Set(0)
		net.MostCommands.Set(0)
		n.rates.forget() // last: a reading before is one of the old counters
	})
}

func micros(nanos func() int64) func() int64 { return func() int64 { return nanos() / 1000 } }

// infoDebug is INFO's section for those who look into the server itself.
func (n *Node) infoDebug(s *stat.Section) {
	net := &n.srv.Stats
	s.Int("eventloop_duration_aof_sum", "microseconds spent flushing the append only file", stat.Count, zero)
	s.Int("eventloop_duration_cron_sum", "microseconds spent in periodic work", stat.Count, micros(net.TickNs.Load))
	s.Int("eventloop_duration_max", "microseconds of the longest round", stat.Gauge, micros(net.LongestRoundNs.Load))
	s.Int("eventloop_cmd_per_cycle_max", "most requests of one round", stat.Gauge, net.MostCommands.Load)
}

func (n *Node) infoCPU(s *stat.Section) {
	rusage := func(who int, system bool) func() float64 {
		return func() float64 {
			var r unix.Rusage
			if unix.Getrusage(who, &r) != nil {
				return 0
			}
			t := r.Utime
			if system {
				t = r.Stime
			}
			return float64(t.Sec) + float64(t.Usec)/1e6
		}
	}
	s.Float("used_cpu_sys", "seconds of system time", stat.Count, 6, rusage(unix.RUSAGE_SELF, true))
	s.Float("used_cpu_user", "seconds of user time", stat.Count, 6, rusage(unix.RUSAGE_SELF, false))
	s.Float("used_cpu_sys_children", "", stat.Count, 6, rusage(unix.RUSAGE_CHILDREN, true))
	s.Float("used_cpu_user_children", "", stat.Count, 6, rusage(unix.RUSAGE_CHILDREN, false))
	s.Float("used_cpu_sys_main_thread", "", stat.Count, 6, rusage(unix.RUSAGE_SELF, true))
	s.Float("used_cpu_user_main_thread", "", stat.Count, 6, rusage(unix.RUSAGE_SELF, false))
}

func (n *Node) infoKeyspace(s *stat.Section) {
	s.Rows("keys per database", func(emit func(name, value string)) {
		now := time.Now().UnixMilli()
		for db := range n.store.Databases() {
			keys := n.store.DBSize(db)
			if keys == 0 {
				continue
			}
			emit("db"+strconv.Itoa(db), fmt.Sprintf("keys=%d,expires=%d,avg_ttl=%d", keys, n.store.Expires(db), n.store.AvgTTL(db, now)))
		}
	})
}

func (n *Node) trackingNow(f func(*tracking.Table) int64) func() int64 {
	return func() int64 { return f(n.disp.Tracking()) }
}
