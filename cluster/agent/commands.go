package agent

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/sextantdb/sextant/bus"
	"github.com/sextantdb/sextant/cluster/core"
	"github.com/sextantdb/sextant/cluster/topology"
	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/session"
	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/slot"
)

const (
	// parkFor bounds how long a client waits for the machine's answer (SETSLOT NODE and FAILOVER
	// wait for a decision of the voters, the rest is answered at once).
	parkFor = 15 * time.Second
	// waitFor is the same inside MULTI and scripts, where less may do: see nestedWait.
	waitFor = time.Second
	// busOffset is the distance of a node's bus port from its client port, unless told.
	busOffset = 10000
)

const (
	errUndecided resp.Error = "ERR The voters did not decide in time, the command may still take effect: see CLUSTER NODES"
	errStopping  resp.Error = "ERR This node is shutting down"
)

// Commands is the CLUSTER group. a is nil in a node without cluster mode, whose answer to all
// of them is that cluster support is disabled.
func Commands(a *Agent) []command.Command {
	on := func(f func(*Agent, *command.Ctx)) func(*command.Ctx) {
		return func(c *command.Ctx) {
			if a == nil {
				c.Fail(resp.ErrClusterDisabled)
				return
			}
			f(a, c)
		}
	}
	const (
		admin = command.Admin | command.Stale
		setup = admin | command.NoAsyncLoading
	)
	unstable := []string{"nondeterministic_output"}
	sub := func(name, since string, arity int, flags command.Flags, args, reply, summary, complexity string,
		tips []string, run func(*Agent, *command.Ctx)) command.Command {
		return command.Command{Name: name, Since: since, Group: command.Cluster, Arity: arity, Flags: flags, Args: args,
			Reply: reply, Tips: tips, Doc: command.Doc{Summary: summary, Complexity: complexity}, Run: on(run)}
	}
	const id = "node-id"
	slaves := sub("SLAVES", "3.0.0", 3, admin, id, "[bulk...]", "Lists the replicas of a primary.", "O(N), N replicas", unstable, clusterReplicas)
	slaves.Doc.Deprecated, slaves.Doc.ReplacedBy = "5.0.0", "`CLUSTER REPLICAS`"
	const slotNode = "[bulk | nil, int, bulk, {'ip'?: bulk, 'hostname'?: bulk}]"
	slots := sub("SLOTS", "3.0.0", 2, command.Loading|command.Stale, "", "[[int, int, "+slotNode+"...]...]", "Tells which nodes serve which slots.",
		"O(N), N nodes", unstable, clusterSlots)
	slots.Doc.Deprecated, slots.Doc.ReplacedBy = "7.0.0", "`CLUSTER SHARDS`"
	slots.Doc.History = []string{"4.0.0: node ids", "7.0.0: additional networking metadata"}
	meet := sub("MEET", "3.0.0", -4, setup, "ip port:int [cluster-bus-port:int@4.0.0]", "OK", "Makes this node and another be of one cluster.", "O(1)", nil, clusterMeet)
	meet.Doc.History = []string{"4.0.0: the port of the bus"}
	perClient := func(name, since string, flags command.Flags, summary string, run func(*command.Ctx)) command.Command {
		return command.Command{Name: name, Since: since, Group: command.Cluster, Arity: 1, Flags: flags, Reply: "OK",
			ACL: command.CatConnection, Doc: command.Doc{Summary: summary, Complexity: "O(1)"}, Run: run}
	}
	// Outside of a cluster they mean something to those alone who let a replica send them to its primary.
	chooses := func(run func(*command.Ctx)) func(*command.Ctx) {
		return func(c *command.Ctx) {
			if a == nil && !c.Sess.Has(session.Redirect) {
				c.Fail(resp.ErrClusterDisabled)
				return
			}
			run(c)
		}
	}
	return []command.Command{
		perClient("ASKING", "3.0.0", command.Fast, "Lets the next command touch a slot that is being imported here.", on(asking)),
		perClient("READONLY", "3.0.0", command.Fast|command.Loading|command.Stale, "Lets this connection read from a replica.", chooses(readonly)),
		perClient("READWRITE", "3.0.0", command.Fast|command.Loading|command.Stale, "Ends READONLY.", chooses(readwrite)),
		{Name: "CLUSTER", Since: "3.0.0", Group: command.Cluster, Arity: -2,
			Doc: command.Doc{Summary: "Commands about the cluster and this node's part in it.", Complexity: "Depends on subcommand"},
			Sub: []command.Command{
				sub("ADDSLOTS", "3.0.0", -3, setup, "slot:int...", "OK", "Gives slots that nobody has to this node.", "O(N), N slots", nil, clusterSlotList(core.AdminAddSlots)),
				sub("ADDSLOTSRANGE", "7.0.0", -4, setup, "(range=start-slot:int end-slot:int)...", "OK", "Gives ranges of slots that nobody has to this node.", "O(N), N slots", nil, clusterSlotRanges(core.AdminAddSlots)),
				sub("BUMPEPOCH", "3.0.0", 2, setup, "", "simple", "Asks for a greater epoch for this node's shard.", "O(1)", unstable, clusterBumpEpoch),
				sub("COUNT-FAILURE-REPORTS", "3.0.0", 3, admin, id, "int", "Counts the electors that suspect a node.", "O(N), N reports", unstable, clusterFailureReports),
				sub("COUNTKEYSINSLOT", "3.0.0", 3, command.Stale|command.WholeDB, "slot:int", "int", "Counts this node's keys in a slot.", "O(1)", nil, clusterCountKeys),
				sub("DELSLOTS", "3.0.0", -3, setup, "slot:int...", "OK", "Takes slots away from whoever has them.", "O(N), N slots", nil, clusterSlotList(core.AdminDelSlots)),
				sub("DELSLOTSRANGE", "7.0.0", -4, setup, "(range=start-slot:int end-slot:int)...", "OK", "Takes ranges of slots away from whoever has them.", "O(N), N slots", nil, clusterSlotRanges(core.AdminDelSlots)),
				sub("FAILOVER", "3.0.0", -2, setup, "[options=FORCE|TAKEOVER]", "OK", "Makes this replica the primary of its shard.", "O(1)", nil, clusterFailover),
				sub("FLUSHSLOTS", "3.0.0", 2, setup, "", "OK", "Takes all slots away from this node.", "O(1)", nil, clusterFlushSlots),
				sub("FORGET", "3.0.0", 3, setup, id, "OK", "Removes a node from the cluster and keeps it out for a minute.", "O(1)", nil, clusterNode(core.AdminForget)),
				sub("GETKEYSINSLOT", "3.0.0", 4, command.Stale|command.WholeDB, "slot:int count:int", "[bulk...]", "Names some of this node's keys in a slot.", "O(N), N keys asked for", unstable, clusterGetKeys),
				sub("HELP", "5.0.0", 2, command.Loading|command.Stale, "", "[simple...]", "Lists the subcommands.", "O(1)", nil, clusterHelp),
				sub("INFO", "3.0.0", 2, command.Stale, "", "bulk", "Tells the state of the cluster as this node sees it.", "O(1)", unstable, clusterInfo),
				sub("KEYSLOT", "3.0.0", 3, command.Stale, "key:string", "int", "Computes the slot of a key.", "O(N), N bytes of the key", nil, clusterKeySlot),
				sub("LINKS", "7.0.0", 2, command.Stale, "", "[{'direction': 'to' | 'from', 'node': bulk, 'create-time': int, 'events': bulk, "+
					"'send-buffer-allocated': int, 'send-buffer-used': int}...]", "Lists the connections to other nodes.", "O(N), N nodes", unstable, clusterLinks),
				meet,
				sub("MOVESLOTSRANGE", "7.2.0", -5, setup|command.WholeDB, "node-id (range=start-slot:int end-slot:int)...", "OK", "Gives ranges of slots to a primary in one change. Only in Sextant.", "O(N), N slots", nil, clusterMoveSlots),
				sub("MYID", "3.0.0", 2, command.Stale, "", "bulk", "Tells this node's id.", "O(1)", nil, clusterMyID),
				sub("MYSHARDID", "7.2.0", 2, command.Stale, "", "bulk", "Tells the id of this node's shard.", "O(1)", unstable, clusterMyShardID),
				sub("NODES", "3.0.0", 2, command.Stale, "", "bulk", "Lists the nodes as this node sees them.", "O(N), N nodes", unstable, clusterNodes),
				sub("PROBE", "7.2.0", -4, admin, "ip port:int [cluster-bus-port:int]", "[bulk, bulk]", "Tries whether this node can reach the client and bus port of an address. Only in Sextant.", "O(1)", unstable, clusterProbe),
				sub("REPLICAS", "5.0.0", 3, admin, id, "[bulk...]", "Lists the replicas of a primary.", "O(N), N replicas", unstable, clusterReplicas),
				sub("REPLICATE", "3.0.0", 3, setup, id, "OK", "Makes this node a replica of a primary.", "O(1)", nil, clusterNode(core.AdminReplicate)),
				sub("RESET", "3.0.0", -2, admin|command.NoScript, "[reset-type=HARD|SOFT]", "OK", "Makes this node forget its cluster.", "O(N), N nodes", nil, clusterReset),
				sub("SAVECONFIG", "3.0.0", 2, setup, "", "OK", "Writes the cluster state to disk.", "O(1)", nil, clusterSimple(core.AdminSaveConfig)),
				sub("SET-CONFIG-EPOCH", "3.0.0", 3, setup, "config-epoch:int", "OK", "Sets the epoch of a node that is still alone.", "O(1)", nil, clusterSetConfigEpoch),
				sub("SETSLOT", "3.0.0", -4, setup|command.WholeDB, "slot:int (subcommand=IMPORTING importing|MIGRATING migrating|NODE node|STABLE)", "OK", "Opens, closes or moves a slot.", "O(1)", nil, clusterSetSlot),
				sub("SHARDS", "7.0.0", 2, command.Loading|command.Stale, "", "[{'slots': [int...], 'nodes': [{'id': bulk, 'port'?: int, 'tls-port'?: int, "+
					"'ip': bulk, 'endpoint': bulk, 'hostname'?: bulk, 'role': 'master' | 'replica', 'replication-offset': int, "+
					"'health': 'fail' | 'loading' | 'online'}...]}...]", "Lists the shards with their slots and nodes.", "O(N), N nodes", unstable, clusterShards),
				slaves,
				slots,
				sub("VOTERS", "7.2.0", -2, admin, "[node-id...]", "OK | [bulk...]", "Tells or sets the nodes that decide about failovers. Only in Sextant.", "O(N), N nodes", unstable, clusterVoters),
			}},
	}
}

func asking(_ *Agent, c *command.Ctx) {
	c.Sess.Set(session.AskingOnce)
	c.Out.OK()
}

func readonly(c *command.Ctx) {
	c.Sess.Set(session.ReadOnly)
	c.Out.OK()
}

func readwrite(c *command.Ctx) {
	c.Sess.Clear(session.ReadOnly)
	c.Out.OK()
}

// ask gives the machine a command and answers with what it says: later for a client that can
// wait, at once inside MULTI and scripts.
func (a *Agent) ask(c *command.Ctx, cmd core.Admin) {
	cmd.Keys = c.Txn.Store().DBSize(0)
	if c.Nested > 0 || c.Conn == nil {
		r, ok := a.DoWait(cmd, a.nestedWait())
		if !ok {
			r = core.AdminReply{Err: string(errUndecided)}
		}
		if r.Err != "" {
			c.Fail(resp.Error(r.Err))
			return
		}
		writeReply(c.Out, &r)
		return
	}
	forget := func() {}
	ticket := c.Park(command.Park{
		TimeoutMs: parkFor.Milliseconds(),
		TimedOut:  func(w *resp.Writer) { w.Error(errUndecided) },
		Gone:      func() { forget() }, // runs on this goroutine, later
	})
	answer := func(r core.AdminReply) { ticket.Finish(func(w *resp.Writer) { writeReply(w, &r) }) }
	if f, ok := a.Do(cmd, answer); ok {
		forget = f
	} else {
		answer(core.AdminReply{Err: string(errBusy)})
	}
}

func writeReply(w *resp.Writer, r *core.AdminReply) {
	switch {
	case r.Err != "":
		w.Error(resp.Error(r.Err))
	case r.Text == "OK":
		w.OK()
	case r.Text != "":
		w.Simple(r.Text)
	default:
		w.Int(r.Int)
	}
}

func clusterSimple(kind core.AdminKind) func(*Agent, *command.Ctx) {
	return func(a *Agent, c *command.Ctx) { a.ask(c, core.Admin{Kind: kind}) }
}

func clusterNode(kind core.AdminKind) func(*Agent, *command.Ctx) {
	return func(a *Agent, c *command.Ctx) { a.ask(c, core.Admin{Kind: kind, Node: string(c.Argv[2])}) }
}

func clusterBumpEpoch(a *Agent, c *command.Ctx) { a.ask(c, core.Admin{Kind: core.AdminBumpEpoch}) }

func clusterFailureReports(a *Agent, c *command.Ctx) {
	a.ask(c, core.Admin{Kind: core.AdminCountFailureReports, Node: string(c.Argv[2])})
}

func clusterFlushSlots(a *Agent, c *command.Ctx) {
	if c.Txn.Store().DBSize(0) != 0 {
		c.Fail("ERR DB must be empty to perform CLUSTER FLUSHSLOTS.")
		return
	}
	a.ask(c, core.Admin{Kind: core.AdminFlushSlots})
}

// slotArg reads a slot; it answers the error and reports false when it is none.
func slotArg(c *command.Ctx, word []byte) (slot.Slot, bool) {
	n, ok := slot.Parse(word)
	if !ok {
		c.Fail(resp.ErrInvalidSlot)
	}
	return n, ok
}

func clusterSlotList(kind core.AdminKind) func(*Agent, *command.Ctx) {
	return func(a *Agent, c *command.Ctx) {
		slots := make([]slot.Slot, 0, len(c.Argv)-2)
		for _, word := range c.Argv[2:] {
			s, ok := slotArg(c, word)
			if !ok {
				return
			}
			slots = append(slots, s)
		}
		a.ask(c, core.Admin{Kind: kind, Slots: slots})
	}
}

func clusterSlotRanges(kind core.AdminKind) func(*Agent, *command.Ctx) {
	return func(a *Agent, c *command.Ctx) {
		if slots, ok := rangeArgs(c, c.Argv[2:]); ok {
			a.ask(c, core.Admin{Kind: kind, Slots: slots})
		}
	}
}

// rangeArgs reads pairs of slots, ends included; it answers the error and reports false when they are none.
func rangeArgs(c *command.Ctx, words [][]byte) (slots []slot.Slot, ok bool) {
	if len(words)%2 == 1 {
		c.Fail(resp.ErrWrongArgs(c.Cmd.LowerName()))
		return nil, false
	}
	for i := 0; i < len(words); i += 2 {
		first, ok := slotArg(c, words[i])
		if !ok {
			return nil, false
		}
		last, ok := slotArg(c, words[i+1])
		if !ok {
			return nil, false
		}
		if first > last {
			c.Fail(resp.Errorf("ERR start slot number %d is greater than end slot number %d", first, last))
			return nil, false
		}
		if len(slots)+int(last-first)+1 > 2*slot.Count { // some slot stands twice: enough for the machine to say so
			last = first
		}
		for s := int(first); s <= int(last); s++ {
			slots = append(slots, slot.Slot(s))
		}
	}
	return slots, true
}

func clusterMoveSlots(a *Agent, c *command.Ctx) {
	slots, ok := rangeArgs(c, c.Argv[3:])
	if !ok {
		return
	}
	cmd := core.Admin{Kind: core.AdminMoveSlots, Node: string(c.Argv[2]), Slots: slots}
	v := a.View()
	for _, s := range slots {
		if o, ok := v.OwnerOf(s); ok && o == v.Me {
			cmd.SlotKeys += c.Txn.CountInSlot(s)
		}
	}
	a.ask(c, cmd)
}

func clusterFailover(a *Agent, c *command.Ctx) {
	mode := core.FailoverPlain
	switch {
	case len(c.Argv) == 2:
	case len(c.Argv) > 3:
		c.Fail(resp.ErrUnknownSubcommandOrArgs("cluster", c.Argv[1]))
		return
	case command.Is(c.Argv[2], "FORCE"):
		mode = core.FailoverForce
	case command.Is(c.Argv[2], "TAKEOVER"):
		mode = core.FailoverTakeover
	default:
		c.Fail(resp.ErrSyntax)
		return
	}
	a.ask(c, core.Admin{Kind: core.AdminFailover, Mode: mode})
}

func clusterReset(a *Agent, c *command.Ctx) {
	hard := false
	switch {
	case len(c.Argv) == 2:
	case len(c.Argv) > 3:
		c.Fail(resp.ErrUnknownSubcommandOrArgs("cluster", c.Argv[1]))
		return
	case command.Is(c.Argv[2], "HARD"):
		hard = true
	case !command.Is(c.Argv[2], "SOFT"):
		c.Fail(resp.ErrSyntax)
		return
	}
	a.ask(c, core.Admin{Kind: core.AdminReset, Hard: hard})
}

func clusterSetConfigEpoch(a *Agent, c *command.Ctx) {
	n, ok := c.Int(2)
	if !ok {
		return
	}
	if n < 0 {
		c.Fail(resp.Errorf("ERR Invalid config epoch specified: %d", n))
		return
	}
	a.ask(c, core.Admin{Kind: core.AdminSetConfigEpoch, Epoch: n})
}

// address reads ip, port and bus port as MEET and PROBE give them, with Redis' errors.
func address(c *command.Ctx) (ip string, port, cport int, ok bool) {
	if len(c.Argv) > 5 {
		c.Fail(resp.ErrUnknownSubcommandOrArgs("cluster", c.Argv[1]))
		return "", 0, 0, false
	}
	number := func(word []byte, what string) (int, bool) {
		n, err := strconv.ParseInt(string(word), 10, 64)
		if err != nil {
			c.Fail(resp.Errorf("ERR Invalid %s port specified: %s", what, word))
			return 0, false
		}
		if n < 0 || n > 1<<20 {
			n = 1 << 20 // no port, whatever it is
		}
		return int(n), true
	}
	if port, ok = number(c.Argv[3], "base"); !ok {
		return "", 0, 0, false
	}
	cport = port + busOffset
	if len(c.Argv) == 5 {
		if cport, ok = number(c.Argv[4], "bus"); !ok {
			return "", 0, 0, false
		}
	}
	addr, err := netip.ParseAddr(string(c.Argv[2]))
	if err != nil || addr.Zone() != "" || port < 1 || port > 65535 || cport < 1 || cport > 65535 {
		c.Fail(resp.Errorf("ERR Invalid node address specified: %s:%s", c.Argv[2], c.Argv[3]))
		return "", 0, 0, false
	}
	return addr.String(), port, cport, true
}

func clusterMeet(a *Agent, c *command.Ctx) {
	if ip, port, cport, ok := address(c); ok {
		a.ask(c, core.Admin{Kind: core.AdminMeet, IP: ip, Port: uint16(port), CPort: uint16(cport)})
	}
}

func clusterProbe(a *Agent, c *command.Ctx) {
	ip, port, cport, ok := address(c)
	if !ok {
		return
	}
	if c.Nested > 0 || c.Conn == nil {
		c.Fail(resp.ErrNotInMulti)
		return
	}
	ticket := c.Park(command.Park{TimeoutMs: parkFor.Milliseconds(), TimedOut: func(w *resp.Writer) { w.Error(errStopping) }})
	select {
	case a.probe <- probeCall{ip: ip, port: port, cport: cport, done: ticket.Finish}:
	default:
		ticket.Finish(func(w *resp.Writer) { w.Error(errBusy) })
	}
}

func clusterSetSlot(a *Agent, c *command.Ctx) {
	if a.View().Role == topology.RoleReplica {
		c.Fail("ERR Please use SETSLOT only with masters.")
		return
	}
	s, ok := slotArg(c, c.Argv[2])
	if !ok {
		return
	}
	cmd := core.Admin{Slot: s}
	action, words := c.Argv[3], len(c.Argv)
	switch {
	case command.Is(action, "MIGRATING") && words == 5:
		cmd.Kind = core.AdminSetSlotMigrating
	case command.Is(action, "IMPORTING") && words == 5:
		cmd.Kind = core.AdminSetSlotImporting
	case command.Is(action, "NODE") && words == 5:
		cmd.Kind = core.AdminSetSlotNode
	case command.Is(action, "STABLE") && words == 4:
		cmd.Kind = core.AdminSetSlotStable
	default:
		c.Fail("ERR Invalid CLUSTER SETSLOT action or number of arguments. Try CLUSTER HELP")
		return
	}
	if words == 5 {
		cmd.Node = string(c.Argv[4])
	}
	cmd.SlotKeys = c.Txn.CountInSlot(s)
	a.ask(c, cmd)
}

func clusterVoters(a *Agent, c *command.Ctx) {
	if len(c.Argv) == 2 {
		v := a.View()
		c.Out.Array(len(v.Voters))
		for _, id := range v.Voters {
			c.Out.BulkString(id.String())
		}
		return
	}
	cmd := core.Admin{Kind: core.AdminVoters}
	for _, word := range c.Argv[2:] {
		id, ok := bus.ParseNodeID(string(word))
		if !ok {
			c.Fail(resp.ErrUnknownNode(string(word)))
			return
		}
		cmd.Voters = append(cmd.Voters, id)
	}
	a.ask(c, cmd)
}

func clusterCountKeys(_ *Agent, c *command.Ctx) {
	n, ok := c.Int(2)
	if !ok {
		return
	}
	if n < 0 || n >= slot.Count {
		c.Fail("ERR Invalid slot")
		return
	}
	c.Out.Int(int64(c.Txn.CountInSlot(slot.Slot(n))))
}

func clusterGetKeys(_ *Agent, c *command.Ctx) {
	n, ok := c.Int(2)
	if !ok {
		return
	}
	most, ok := c.Int(3)
	if !ok {
		return
	}
	if n < 0 || n >= slot.Count || most < 0 {
		c.Fail("ERR Invalid slot or number of keys")
		return
	}
	mark, sent := c.Out.Defer(), 0
	if most > 0 {
		c.Txn.EachInSlot(slot.Slot(n), func(e store.Entry) bool {
			c.Out.Bulk(e.Key())
			sent++
			return int64(sent) < most
		})
	}
	c.Out.EndArray(mark, sent)
}

func clusterKeySlot(_ *Agent, c *command.Ctx) { c.Out.Int(int64(slot.Of(c.Argv[2]))) }

func clusterHelp(_ *Agent, c *command.Ctx) { c.Help(strings.Split(helpText, "\n")...) }

const helpText = `ADDSLOTS <slot> [<slot> ...]
    Give unassigned slots to this node.
ADDSLOTSRANGE <start slot> <end slot> [<start slot> <end slot> ...]
    The same for whole ranges, ends included.
BUMPEPOCH
    Ask for a greater configuration epoch.
COUNT-FAILURE-REPORTS <node-id>
    Tell how many electors suspect <node-id>.
COUNTKEYSINSLOT <slot>
    Tell how many keys this node holds in <slot>.
DELSLOTS <slot> [<slot> ...]
    Make slots unassigned.
DELSLOTSRANGE <start slot> <end slot> [<start slot> <end slot> ...]
    The same for whole ranges, ends included.
FAILOVER [FORCE|TAKEOVER]
    Make this replica the primary of its shard.
FLUSHSLOTS
    Make all slots of this node unassigned.
FORGET <node-id>
    Remove <node-id> from the cluster.
GETKEYSINSLOT <slot> <count>
    Name up to <count> keys this node holds in <slot>.
INFO
    Tell the state of the cluster.
KEYSLOT <key>
    Compute the slot of <key>.
LINKS
    List the connections to other nodes, one map each:
    direction, node, create-time, events, send-buffer-allocated, send-buffer-used
MEET <ip> <port> [<bus-port>]
    Be of one cluster with the node at that address.
MOVESLOTSRANGE <node-id> <start slot> <end slot> [<start slot> <end slot> ...]
    Give ranges of slots, ends included, to a primary in one change.
MYID
    Tell this node's id.
MYSHARDID
    Tell the id of this node's shard.
NODES
    List the nodes, one line each:
    <id> <ip:port@bus-port[,hostname]> <flags> <master> <pings> <pongs> <epoch> <link> <slot> ...
PROBE <ip> <port> [<bus-port>]
    Try whether this node reaches the two ports of an address.
REPLICAS <node-id>
    List the replicas of <node-id>.
REPLICATE <node-id>
    Make this node a replica of <node-id>.
RESET [HARD|SOFT]
    Forget the cluster (SOFT, the default); HARD also takes a new node id.
SAVECONFIG
    Write the cluster state to disk.
SET-CONFIG-EPOCH <epoch>
    Set the configuration epoch of a node that is still alone.
SETSLOT <slot> (IMPORTING <node-id>|MIGRATING <node-id>|STABLE|NODE <node-id>)
    Open, close or move a slot.
SHARDS
    List the shards with their slots and nodes.
SLOTS
    List ranges of slots with the nodes that serve them: start, end, primary, replicas.
VOTERS [<node-id> ...]
    Tell or set the nodes that decide about failovers.`
