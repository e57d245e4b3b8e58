package admin

import (
	"math"
	"strconv"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/observe"
	"github.com/sextantdb/sextant/resp/session"
	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/value"
)

func (f *family) slowlogEntry() command.Command {
	const flags = command.Admin | always
	return container("SLOWLOG", "2.2.12", "the slow log",
		command.Command{
			Name: "GET", Since: "2.2.12", Arity: -2, Flags: flags, Args: "[count:int]", Reply: "[[int, int, int, [bulk...], bulk, bulk]...]",
			Tips: []string{"request_policy:all_nodes", "nondeterministic_output"}, Run: f.slowlogGet,
			Doc: command.Doc{Summary: "Returns the newest slow commands.", Complexity: "O(n) for n entries returned",
				History: []string{"4.0.0: Added client IP address, port and name to the reply."}},
		},
		help("6.2.0", 0,
			"GET [<count>]",
			"    Return the newest <count> entries (default: 10, -1 is all). Each is made of",
			"    id, time, microseconds, words, client address and client name.",
			"LEN",
			"    Return the number of entries.",
			"RESET",
			"    Forget all entries."),
		command.Command{
			Name: "LEN", Since: "2.2.12", Arity: 2, Flags: flags, Reply: "int",
			Tips: []string{"request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"},
			Run:  func(c *command.Ctx) { c.Out.Int(int64(f.Slowlog.Len())) },
			Doc:  doc("Returns the number of entries in the slow log.", "O(1)"),
		},
		command.Command{
			Name: "RESET", Since: "2.2.12", Arity: 2, Flags: flags, Reply: "OK", Tips: everyNode,
			Run: func(c *command.Ctx) { f.Slowlog.Reset(); c.Out.OK() },
			Doc: doc("Forgets all entries of the slow log.", "O(n) for n entries"),
		},
	)
}

func (f *family) slowlogGet(c *command.Ctx) {
	n := int64(10)
	switch {
	case len(c.Argv) > 3:
		c.Fail(resp.ErrUnknownSubcommandOrArgs("slowlog", c.Argv[1]))
		return
	case len(c.Argv) == 3:
		var ok bool
		if n, ok = value.ParseInt(c.Argv[2]); !ok || n < -1 {
			c.Fail("ERR count should be greater than or equal to -1")
			return
		}
	}
	entries := f.Slowlog.Get(n)
	c.Out.Array(len(entries))
	for _, e := range entries {
		c.Out.Array(6)
		c.Out.Int(e.ID)
		c.Out.Int(e.Unix)
		c.Out.Int(e.Micros)
		c.Out.Array(len(e.Argv))
		for _, a := range e.Argv {
			c.Out.BulkString(a)
		}
		c.Out.BulkString(e.Client)
		c.Out.BulkString(e.Name)
	}
}

func (f *family) monitor(c *command.Ctx) {
	switch {
	case c.Nested > 0:
		c.Fail("ERR MONITOR isn't allowed for DENY BLOCKING client")
	case c.Sess.Any(session.Replica | session.Monitor): // as Redis: nothing, not even a reply
	default:
		if err := f.Monitor(c); err != nil {
			c.Fail(resp.Errorf("ERR %v", err))
			return
		}
		c.Out.OK()
	}
}

func (f *family) latencyEntry() command.Command {
	const flags = operator | always
	return container("LATENCY", "2.8.13", "latency",
		command.Command{
			Name: "DOCTOR", Since: "2.8.13", Arity: 2, Flags: flags, Reply: "bulk", Tips: nodesSpecial,
			Run: func(c *command.Ctx) { c.Out.Verbatim("txt", f.Latency.Doctor(c.Txn.Now()/1000)) },
			Doc: doc("Returns a report on latency spikes for people.", "O(1)"),
		},
		command.Command{
			Name: "GRAPH", Since: "2.8.13", Arity: 3, Flags: flags, Args: "event", Reply: "bulk", Tips: nodesSpecial, Run: f.latencyGraph,
			Doc: doc("Draws the latency spikes of an event.", "O(1)"),
		},
		help("2.8.13", 0,
			"DOCTOR",
			"    Return a report on latency spikes.",
			"GRAPH <event>",
			"    Draw the spikes of <event>.",
			"HISTORY <event>",
			"    Return time and latency of the spikes of <event>.",
			"LATEST",
			"    Return the latest spike of every event.",
			"RESET [<event> ...]",
			"    Forget the spikes of the events, or of all events.",
			"HISTOGRAM [COMMAND ...]",
			"    Return how long the commands, or all commands, took."),
		command.Command{
			Name: "HISTOGRAM", Since: "7.0.0", Arity: -2, Flags: flags, Args: "[command...]", Reply: "{bulk: {bulk: int | {int: int}}}", Tips: nodesSpecial,
			Run: f.latencyHistogram,
			Doc: doc("Returns how long commands took, as cumulative distributions.", "O(n) for n commands"),
		},
		command.Command{
			Name: "HISTORY", Since: "2.8.13", Arity: 3, Flags: flags, Args: "event", Reply: "[[int, int]...]", Tips: nodesSpecial, Run: f.latencyHistory,
			Doc: doc("Returns time and latency of the spikes of an event.", "O(1)"),
		},
		command.Command{
			Name: "LATEST", Since: "2.8.13", Arity: 2, Flags: flags, Reply: "[[bulk, int, int, int]...]", Tips: nodesSpecial, Run: f.latencyLatest,
			Doc: doc("Returns the latest spike of every event.", "O(1)"),
		},
		command.Command{
			Name: "RESET", Since: "2.8.13", Arity: -2, Flags: flags, Args: "[event...]", Reply: "int",
			Tips: []string{"request_policy:all_nodes", "response_policy:agg_sum"}, Run: f.latencyReset,
			Doc: doc("Forgets the spikes of events.", "O(1)"),
		},
	)
}

func (f *family) latencyGraph(c *command.Ctx) {
	event := string(c.Argv[2])
	if graph, ok := f.Latency.Graph(event, c.Txn.Now()/1000); ok {
		c.Out.Verbatim("txt", graph)
	} else {
		c.Fail(resp.Errorf("ERR No samples available for event '%s'", event))
	}
}

func (f *family) latencyHistory(c *command.Ctx) {
	samples, _ := f.Latency.History(string(c.Argv[2]))
	c.Out.Array(len(samples))
	for _, s := range samples {
		c.Out.Array(2)
		c.Out.Int(s.Unix)
		c.Out.Int(s.Ms)
	}
}

func (f *family) latencyLatest(c *command.Ctx) {
	m, n := c.Out.Defer(), 0
	for _, event := range f.Latency.Events() {
		samples, worst := f.Latency.History(event)
		if len(samples) == 0 {
			continue // reset meanwhile
		}
		last := samples[len(samples)-1]
		c.Out.Array(4)
		c.Out.BulkString(event)
		c.Out.Int(last.Unix)
		c.Out.Int(last.Ms)
		c.Out.Int(worst)
		n++
	}
	c.Out.EndArray(m, n)
}

func (f *family) latencyReset(c *command.Ctx) {
	events := make([]string, len(c.Argv)-2)
	for i, word := range c.Argv[2:] {
		events[i] = string(word)
	}
	c.Out.Int(int64(f.Latency.Reset(events...)))
}

func (f *family) latencyHistogram(c *command.Ctx) {
	m, n := c.Out.Defer(), 0
	tell := func(cmd *command.Command) {
		if h := f.Commands().Latency(cmd.ID()); h != nil {
			writeHistogram(c.Out, cmd.LowerName(), h)
			n++
		}
	}
	if len(c.Argv) == 2 {
		for _, cmd := range f.Table().All() {
			tell(cmd)
		}
	}
	for _, word := range c.Argv[2:] {
		cmd := f.Table().Get(string(word))
		if cmd == nil {
			continue
		}
		tell(cmd)
		for i := range cmd.Sub {
			tell(&cmd.Sub[i])
		}
	}
	c.Out.EndMap(m, n)
}

func writeHistogram(w *resp.Writer, name string, h *observe.Histogram) {
	levels := h.Levels()
	w.BulkString(name)
	w.Map(2)
	w.BulkString("calls")
	w.Int(h.Count())
	w.BulkString("histogram_usec")
	w.Map(len(levels))
	for _, l := range levels {
		w.Int(l.Micros)
		w.Int(l.Count)
	}
}

func (f *family) memoryEntry() command.Command {
	return container("MEMORY", "4.0.0", "memory",
		command.Command{
			Name: "DOCTOR", Since: "4.0.0", Arity: 2, Reply: "bulk", Tips: shardsSpecial,
			Run: func(c *command.Ctx) { s := f.Memory.Stats(); c.Out.Verbatim("txt", s.doctor()) },
			Doc: doc("Returns a report on memory for people.", "O(1)"),
		},
		help("4.0.0", 0,
			"DOCTOR",
			"    Return a report on memory.",
			"MALLOC-STATS",
			"    Return the numbers of the memory allocator.",
			"PURGE",
			"    Give free memory back to the system.",
			"STATS",
			"    Return how memory is used.",
			"USAGE <key> [SAMPLES <count>]",
			"    Return the bytes that <key> and its value take. SAMPLES is accepted; the",
			"    number is always exact."),
		command.Command{
			Name: "MALLOC-STATS", Since: "4.0.0", Arity: 2, Reply: "bulk", Tips: shardsSpecial,
			Run: func(c *command.Ctx) { c.Out.Verbatim("txt", f.Memory.AllocatorStats()) },
			Doc: doc("Returns the numbers of the memory allocator.", "O(1)"),
		},
		command.Command{
			Name: "PURGE", Since: "4.0.0", Arity: 2, Reply: "OK", Tips: everyShard,
			Run: func(c *command.Ctx) { f.Memory.Purge(); c.Out.OK() },
			Doc: doc("Gives free memory back to the system.", "O(n) for n bytes"),
		},
		command.Command{
			Name: "STATS", Since: "4.0.0", Arity: 2, Reply: "{bulk: any}", Tips: shardsSpecial,
			Run: func(c *command.Ctx) { s := f.Memory.Stats(); s.write(c.Out) },
			Doc: doc("Returns how memory is used.", "O(1)"),
		},
		command.Command{
			Name: "USAGE", Since: "4.0.0", Arity: -3, Flags: command.ReadOnly, Args: "key [SAMPLES count:int]", Reply: "int | nil",
			Keys: []command.KeySpec{command.At(2, command.RO)}, Run: memoryUsage,
			Doc: doc("Returns the bytes that a key and its value take.", "O(1)"),
		},
	)
}

func memoryUsage(c *command.Ctx) {
	for rest := c.Argv[3:]; len(rest) > 0; rest = rest[2:] {
		if len(rest) < 2 || !command.Is(rest[0], "SAMPLES") {
			c.Fail(resp.ErrSyntax)
			return
		}
		switch n, ok := value.ParseInt(rest[1]); {
		case !ok:
			c.Fail(resp.ErrNotInteger)
			return
		case n < 0:
			c.Fail(resp.ErrSyntax)
			return
		}
	}
	if e, ok := c.Txn.Lookup(c.Argv[2], store.NoTouch|store.NoStats); ok {
		c.Out.Int(e.MemoryUsage())
	} else {
		c.Out.Null()
	}
}

func ratio(a, b int64) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

// overhead is what is held for other things than the data set.
func (s *MemoryStats) overhead() int64 {
	n := s.Startup + s.ReplicationBacklog + s.ClientsReplicas + s.ClientsNormal + s.ClusterLinks + s.AOFBuffer + s.LuaCaches + s.FunctionsCaches
	for _, db := range s.DBs {
		n += db.MainBytes + db.ExpiresBytes
	}
	return n
}

func (s *MemoryStats) write(w *resp.Writer) {
	overhead := s.overhead()
	dataset := max(0, s.Total-overhead)
	perKey := int64(0)
	if s.KeysCount > 0 {
		perKey = (s.Total - s.Startup) / s.KeysCount
	}
	m, n := w.Defer(), 0
	num := func(name string, v int64) { w.BulkString(name); w.Int(v); n++ }
	float := func(name string, v float64) { w.BulkString(name); w.Double(math.Round(v*1e6) / 1e6); n++ }
	num("peak.allocated", s.Peak)
	num("total.allocated", s.Total)
	num("startup.allocated", s.Startup)
	num("replication.backlog", s.ReplicationBacklog)
	num("clients.slaves", s.ClientsReplicas)
	num("clients.normal", s.ClientsNormal)
	num("cluster.links", s.ClusterLinks)
	num("aof.buffer", s.AOFBuffer)
	num("lua.caches", s.LuaCaches)
	num("functions.caches", s.FunctionsCaches)
	for _, db := range s.DBs {
		w.BulkString("db." + strconv.Itoa(db.DB))
		n++
		w.Map(3)
		w.BulkString("overhead.hashtable.main")
		w.Int(db.MainBytes)
		w.BulkString("overhead.hashtable.expires")
		w.Int(db.ExpiresBytes)
		w.BulkString("overhead.hashtable.slot-to-keys")
		w.Int(0) // the tables are by slot already
	}
	num("overhead.total", overhead)
	num("keys.count", s.KeysCount)
	num("keys.bytes-per-key", perKey)
	num("dataset.bytes", dataset)
	float("dataset.percentage", 100*ratio(dataset, max(1, s.Total-s.Startup)))
	float("peak.percentage", 100*ratio(s.Total, s.Peak))
	num("allocator.allocated", s.AllocatorAllocated)
	num("allocator.active", s.AllocatorActive)
	num("allocator.resident", s.AllocatorResident)
	float("allocator-fragmentation.ratio", ratio(s.AllocatorActive, s.AllocatorAllocated))
	num("allocator-fragmentation.bytes", s.AllocatorActive-s.AllocatorAllocated)
	float("allocator-rss.ratio", ratio(s.AllocatorResident, s.AllocatorActive))
	num("allocator-rss.bytes", s.AllocatorResident-s.AllocatorActive)
	float("rss-overhead.ratio", ratio(s.RSS, s.AllocatorResident))
	num("rss-overhead.bytes", s.RSS-s.AllocatorResident)
	float("fragmentation", ratio(s.RSS, s.Total))
	num("fragmentation.bytes", s.RSS-s.Total)
	w.EndMap(m, n)
}

// doctor looks for what is out of proportion, by Redis' thresholds.
func (s *MemoryStats) doctor() string {
	const mb = 1 << 20
	if s.Total < 5*mb {
		return "There is hardly any data here, so the numbers say nothing yet. Ask again when there is more.\n"
	}
	var found []string
	add := func(bad bool, text string) {
		if bad {
			found = append(found, text)
		}
	}
	add(ratio(s.Peak, s.Total) > 1.5, "Peak memory: the node once used more than 150% of what it uses now. Memory the system does not get back at once is kept for reuse; MEMORY PURGE returns it.")
	add(ratio(s.RSS, s.Total) > 1.4 && s.RSS-s.Total > 10*mb, "Fragmentation: the process holds more than 140% of what the data needs. Sparse memory is compacted in the background; if the ratio stays, something beside the data takes memory.")
	add(ratio(s.AllocatorActive, s.AllocatorAllocated) > 1.1 && s.AllocatorActive-s.AllocatorAllocated > 10*mb, "Allocator fragmentation: more than 10% of the pages in use are free space. Compaction is at work or cannot keep up.")
	add(ratio(s.AllocatorResident, s.AllocatorActive) > 1.1 && s.AllocatorResident-s.AllocatorActive > 10*mb, "Idle pages: more than 10% of the allocator's memory is unused. MEMORY PURGE gives it back.")
	add(s.Clients > 0 && s.ClientsNormal/s.Clients > 200<<10, "Client buffers: clients take more than 200 kb each on average. Look at CLIENT LIST for large omem or qbuf.")
	add(s.Replicas > 0 && s.ClientsReplicas/s.Replicas > 10*mb, "Replica buffers: replicas take more than 10 mb each. They cannot keep up with the writes, or their network cannot.")
	if len(found) == 0 {
		return "Nothing is out of proportion in this node's memory.\n"
	}
	out := "Some numbers are out of proportion:\n\n"
	for _, text := range found {
		out += " * " + text + "\n\n"
	}
	return out
}
